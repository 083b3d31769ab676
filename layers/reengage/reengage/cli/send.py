"""``send``: put one well-formed event on the stack's bus, and show its outcome."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.eventbridge import hints, inbound_message, parse_business_event
from reengage.cli import stack as stacks
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
    ahead: Annotated[str, typer.Option("--in", help="how far ahead instants lie: 2d, 3h, 90m")] = "2d",
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
    write_json({name: envelope[name] for name in ("detail-type", "detail")})
    functions = stacks.stack_functions(stack)
    if envelope["detail-type"] in EVENT_TYPES:
        _show_preview(stacks.accepted(functions("ExplainFunctionArn", {"preview": envelope})))
    if dry_run:
        return ExitCode.DONE
    if not yes and not typer.confirm(f"Put it on the bus of the stack {stack}?", err=True):
        return ExitCode.FINDING
    stacks.put_events(stack, [envelope])
    receiver = envelope["detail"].get("contact")
    if not receiver:
        write("The event is on the bus.")
        return ExitCode.DONE
    answer = _outcome(functions, receiver, envelope, wait)
    if answer is None:
        warn(f"Nothing is stored of it after {wait:.0f} seconds. Look at the rejected and failed event queues.")
        return ExitCode.FINDING
    if as_json:
        write_json(answer)
    else:
        write(*ledger(answer))
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


def _show_preview(answer: Mapping[str, Any]) -> None:
    for planned in answer["planned"]:
        what = planned.get("sent_at") or planned.get("rule")
        write(f"plans {planned['reason']} due {planned['due_at']}: {planned['forecast']} {what}")
        if "text" in planned:
            write(f"  {planned['text']}")
    if not answer["planned"]:
        write("plans nothing")


def _outcome(functions: stacks.Functions, contact: Any, envelope: Mapping[str, Any], wait: float) -> Any:
    """Ask for the contact until something is stored of this event, or ``wait`` seconds have passed."""
    detail = envelope["detail"]
    spec = EVENT_TYPES.get(envelope["detail-type"])
    wanted = str(detail.get(spec.id_field) if spec else detail.get("message_id", ""))
    deadline = time.monotonic() + wait
    while True:
        answer = stacks.accepted(functions("ExplainFunctionArn", {"contact": contact}))
        known = {*answer["stands"]["subjects"], *(str(e.get("message_id")) for e in answer["entries"])}
        if not wanted or any(name.endswith(wanted) for name in known):
            return answer
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)  # there is nothing to wait on but the table
