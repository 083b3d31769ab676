"""``import-opt-outs``: store opt-outs from another system; a dry run unless ``--apply`` is given."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.cli import stack as stacks
from reengage.cli.brands import known_brands, unknown_brand
from reengage.cli.console import ExitCode, UsageError, command, warn, write
from reengage.cli.endpoints import links, summary
from reengage.cli.opt_out_file import Row, read_rows

WORKERS = 8


@command
def import_opt_outs(
    file: Annotated[Path, typer.Argument(help="CSV with a first line of column names, or JSON lines")],
    *,
    stack: Annotated[str, typer.Option("--stack", help="name of the deployed stack")] = "",
    brand: Annotated[str, typer.Option("--brand", help="brand of lines that name none (Amazon Pinpoint exports)")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="store them; without it, only check")] = False,
    link_users: Annotated[
        bool, typer.Option("--link-users", help="addresses of one User.UserId are one person")
    ] = False,
    new_brand: Annotated[bool, typer.Option("--new-brand", help="also of brands that the stack does not know")] = False,
) -> ExitCode:
    """Store contacts that opted out elsewhere, so that no message is sent to them.

    Columns: brand, channel, address; optional opted_out_at, cause. An Amazon Pinpoint endpoint export
    (ChannelType, Address, OptOut) works with --brand; its User.UserId and Demographic.Timezone are counted.

    A brand that the stack does not know is refused, with the nearest one's name. An opt-out of another spelling would
    stop no message. --new-brand allows it.

    Example: reengage import-opt-outs opt-outs.csv, then with --apply --stack reengage
    """
    if apply and not stack:
        raise UsageError("--apply needs --stack NAME: the stack that stores the opt-outs")
    rows = read_rows(file, datetime.now(UTC), brand)
    parsed = [row for row in rows if not row.errors and not row.skip]
    refused = {} if new_brand or not stack else _unknown(stack, parsed, apply=apply)
    valid = [row for row in parsed if row.brand not in refused]
    outcomes = _not_stored(rows, refused)
    outcomes |= _stored(stack, valid) if apply else {row.number: (True, "would be stored") for row in valid}
    write(*(f"line {number}: {text}" for number, (_, text) in sorted(outcomes.items())))
    wrong = sum(not done for done, _ in outcomes.values())
    write(*_summary(parsed, refused))
    wrong += _users(rows, refused, stack if apply else "", link=link_users)
    fine = len(valid) - sum(not outcomes[row.number][0] for row in valid)
    done = f"{fine} are stored" if apply else f"A dry run: {fine} would be stored"
    write(f"{done}, {wrong} are wrong." + ("" if apply else " Nothing was stored; --apply stores them."))
    return ExitCode.FINDING if wrong else ExitCode.DONE


def _users(rows: Sequence[Row], refused: Mapping[str, str], stack: str, *, link: bool) -> int:
    """Report the users and time zones of endpoints, and ``link`` addresses; return how many could not be linked."""
    endpoints = [row.endpoint for row in rows if row.endpoint and row.endpoint.contact.brand not in refused]
    write(*summary(endpoints))
    return _link(stack, links(endpoints, datetime.now(UTC))) if link else 0


def _link(stack: str, events: Sequence[Any]) -> int:
    """Link addresses of one person, unless ``stack`` is empty; return how many could not be linked."""
    if not stack:
        write(f"{len(events)} addresses would be linked.")
        return 0
    functions = stacks.stack_functions(stack)
    failed = [text for event in events for done, text in [_store(functions, event)] if not done]
    write(*failed, f"{len(events) - len(failed)} addresses are linked.")
    return len(failed)


def _not_stored(rows: Sequence[Row], refused: Mapping[str, str]) -> dict[int, tuple[bool, str]]:
    """Return, by line, whether it is right, and why it is not stored: it is wrong, skipped, or of a refused brand."""
    outcomes: dict[int, tuple[bool, str]] = {}
    for row in rows:
        if row.errors:
            outcomes[row.number] = (False, "; ".join(row.errors))
        elif row.skip:
            outcomes[row.number] = (True, row.skip)
        elif row.brand in refused:
            outcomes[row.number] = (False, f"{refused[row.brand]}; --new-brand stores it")
    return outcomes


def _unknown(stack: str, rows: Sequence[Row], *, apply: bool) -> dict[str, str]:
    """Return each brand of the rows that the stack does not know, with what is wrong.

    A dry run may do without the stack.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - commands without a stack do not need it

    wanted = {row.brand for row in rows}
    try:
        known = known_brands(stacks.describe(stack), wanted)
    except (stacks.StackError, BotoCoreError, ClientError) as error:
        if apply:
            raise stacks.StackError(f"the brands could not be checked: {error}; --new-brand stores all") from error
        warn(f"The brands were not checked: {error}")
        return {}
    return {brand: unknown_brand(brand, known) for brand in wanted - known}


def _summary(rows: Sequence[Row], refused: Mapping[str, str]) -> list[str]:
    counts = Counter(row.brand for row in rows)
    return [
        f"brand {brand}: {count}" + (f", refused: {refused[brand]}" if brand in refused else "")
        for brand, count in sorted(counts.items())
    ]


def _stored(stack: str, rows: Sequence[Row]) -> dict[int, tuple[bool, str]]:
    functions = stacks.stack_functions(stack)
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = pool.map(lambda row: _store(functions, row.event), rows)
        return {row.number: outcome for row, outcome in zip(rows, outcomes, strict=True)}


def _store(functions: stacks.Functions, event: Any) -> tuple[bool, str]:
    """Store one opt-out; an error of one line must not end the others."""
    try:
        answer = functions("PlanMessagesFunctionArn", event)
    except stacks.StackError as error:
        return False, f"not stored, try again: {error}"
    if "rejected" in answer:
        return False, "; ".join(answer["rejected"])
    return True, "opted out" if answer["changed"] else "had opted out already, or opted in since"
