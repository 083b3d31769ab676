"""``progress``: how far a broadcast has come."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.questions import question
from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint
from reengage.cli.console import ExitCode, UsageError, command, flat, warn, write, write_json
from reengage.cli.explain import JsonOption, StackOption


@command
def progress(
    brand: Annotated[str, typer.Argument(help="the brand whose broadcast it is, for example acme-dental")],
    announcement: Annotated[str, typer.Option("--announcement", help="id of the announcement")] = "",
    item: Annotated[str, typer.Option("--item", help="id of the item that is back in stock")] = "",
    stack: StackOption = "reengage",
    as_json: JsonOption = False,
) -> ExitCode:
    """Show how far a broadcast has come, and the outcome of its messages.

    Example: reengage progress acme --announcement summer-2026
    """
    ids = {name: value for name, value in (("announcement_id", announcement), ("item_id", item)) if value}
    if len(ids) != 1:
        raise UsageError("Give either --announcement ID or --item ID.")
    event = {"broadcast": {"brand": brand, **ids}}
    question(event)
    answer = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", event))
    if as_json:
        write_json(answer)
    if not answer["broadcasts"]:
        warn(brand_hint(stack, brand) or "No such broadcast. Check the id, then the rejected events queue.")
        return ExitCode.FINDING
    if not as_json:
        write(*(line for broadcast in answer["broadcasts"] for line in _lines(broadcast)))
    return ExitCode.DONE


def _lines(broadcast: Mapping[str, Any]) -> Iterator[str]:
    rest = {name: value for name, value in broadcast.items() if name not in ("reason", "state")}
    yield f"{broadcast['reason']} {broadcast['state']}: {', '.join(flat(_flat_names(rest)))}"
    if broadcast["state"] == "done" and (waiting := broadcast["waiting"]):
        yield f"  {waiting} still wait: a rule holds them, or it is not their turn. `reengage explain` shows it."


def _flat_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``{"shards": {"done": 3, "all": 16}}`` as ``shards done 3, shards all 16``."""
    return {
        name: {f"{name} {inner}": number for inner, number in value.items()} if isinstance(value, dict) else value
        for name, value in fields.items()
    }
