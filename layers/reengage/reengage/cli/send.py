"""``send``: put one well-formed event on the stack's bus, and show its outcome."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.eventbridge import hints, inbound_message, parse_business_event
from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint
from reengage.cli.completion import events
from reengage.cli.console import ExitCode, UsageError, command, read_json, warn, write, write_json
from reengage.cli.contacts import EXAMPLE, contact_fields, parse_contact
from reengage.cli.envelope import build
from reengage.cli.explain import JsonOption, StackOption, ledger
from reengage.domain.subject import EVENT_TYPES

POLL_SECONDS = 1.0


@command
def send(
    event: Annotated[
        str,
        typer.Argument(
            help="event name such as AppointmentBooked, or a JSON file with one event", autocompletion=events
        ),
    ],
    *,
    contact: Annotated[str, typer.Option("--contact", help=f"brand/channel/address, for example {EXAMPLE}")] = "",
    brand: Annotated[str, typer.Option("--brand", help="brand of an event that names no contact")] = "",
    ahead: Annotated[str, typer.Option("--in", help="how far ahead of now instants are: 2d, 3h, 90m")] = "2d",
    fields: Annotated[list[str] | None, typer.Option("--set", help="a field as name=value; repeat it")] = None,
    stack: StackOption = "reengage",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the event and what it plans; send nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the outcome")] = 30.0,
    as_json: JsonOption = False,
) -> ExitCode:
    """Put an event on the stack's bus, complete what is missing, and show what it planned.

    Example: reengage send AppointmentBooked --contact acme-dental/sms/+12025550101 --in 2d
    """
    now = datetime.now(UTC)
    envelope = _envelope(event, contact, brand=brand, fields=fields or [], ahead=ahead, now=now)
    shown = {name: envelope[name] for name in ("detail-type", "detail")}
    result: dict[str, Any] = {"event": shown}
    functions = stacks.stack_functions(stack)
    _check_brand(stack, envelope)
    if envelope["detail-type"] in EVENT_TYPES:
        result["preview"] = stacks.accepted(functions("ExplainFunctionArn", {"preview": envelope}))
    if not as_json:
        _show(result)
    code = ExitCode.DONE
    if not dry_run:
        code = _put(functions, stack, envelope, result, wait) if yes or _is_wanted(stack) else ExitCode.FINDING
    if as_json:
        write_json(result)
    elif "outcome" in result:
        write(*ledger(result["outcome"]))
    return code


def _check_brand(stack: str, envelope: Mapping[str, Any]) -> None:
    """Warn of a brand that the stack does not know, unless the event makes it known."""
    detail = envelope["detail"]
    brand = str(detail.get("contact", detail).get("brand", ""))
    if envelope["detail-type"] != "BrandConfigured" and (hint := brand_hint(stack, brand)):
        warn(hint)


def _is_wanted(stack: str) -> bool:
    return typer.confirm(f"Put it on the bus of the stack {stack}?", err=True)


def _put(
    functions: stacks.Functions, stack: str, envelope: Mapping[str, Any], result: dict[str, Any], wait: float
) -> ExitCode:
    """Put the event on the bus; ``result`` gets ``outcome``, what is known of its contact afterwards."""
    receiver = envelope["detail"].get("contact")
    before = _known(functions, receiver)[1] if receiver else None
    stacks.put_events(stack, [envelope])
    if not receiver:
        warn("The event is on the bus.")
        return ExitCode.DONE
    outcome = _outcome(functions, receiver, before, wait)
    if outcome is None:
        warn(f"Nothing has changed after {wait:.0f} seconds. Look at the rejected and failed event queues.")
        return ExitCode.FINDING
    result["outcome"] = outcome
    return ExitCode.DONE


def _envelope(event: str, contact: str, *, brand: str, fields: list[str], ahead: str, now: datetime) -> dict[str, Any]:
    """Return the event, checked as the app checks it. Raises ``UsageError`` and ``InvalidEvent``."""
    if event.endswith(".json"):
        stored = read_json(Path(event))
        if not isinstance(stored, dict):
            raise UsageError(f"{event}: expected a JSON object with detail-type and detail")
        envelope = {"time": datetime.now(UTC).isoformat(), **stored}
    else:
        receiver = contact_fields(parse_contact(contact)) if contact else {}
        envelope = build(event, contact=receiver, brand=brand, fields=fields, ahead=ahead, now=now)
    check = inbound_message if envelope.get("detail-type") == "MessageReceived" else parse_business_event
    check(envelope)
    for hint in hints(envelope):
        warn(hint)
    return envelope


def _show(result: Mapping[str, Any]) -> None:
    write_json(result["event"])
    if "preview" not in result:
        return
    for broadcast in result["preview"].get("broadcasts", ()):
        write(f"plans {broadcast['reason']} due {broadcast['due_at']}, to many people", f"  {broadcast['text']}")
    for planned in result["preview"]["planned"]:
        what = planned.get("sent_at") or planned.get("rule")
        write(f"plans {planned['reason']} due {planned['due_at']}: {planned['forecast']} {what}")
        if "text" in planned:
            write(f"  {planned['text']}")
    if not result["preview"]["planned"] and not result["preview"].get("broadcasts"):
        write("plans nothing")


def _known(functions: stacks.Functions, contact: Any) -> tuple[Any, Any]:
    """Return what is known of the contact, and the part of it that an event can change."""
    answer = stacks.accepted(functions("ExplainFunctionArn", {"contact": contact}))
    return answer, (answer["stands"], answer["entries"])


def _outcome(functions: stacks.Functions, contact: Any, before: Any, wait: float) -> Any:
    """Ask for the contact until something differs from ``before`` and two answers are the same; at most ``wait`` s.

    One event has several effects: a subject is stored before its messages are.
    """
    deadline, last = time.monotonic() + wait, before
    while True:
        answer, now = _known(functions, contact)
        is_over = time.monotonic() >= deadline
        if now != before and (now == last or is_over):
            return answer
        if is_over:
            return None
        last = now
        time.sleep(POLL_SECONDS)  # there is nothing to wait on but the table
