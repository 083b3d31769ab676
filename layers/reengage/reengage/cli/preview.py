"""``preview``: what an event would plan, before anything is stored."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.eventbridge import hints
from reengage.adapters.inbound.questions import AboutEvent, question
from reengage.adapters.memory import MemoryStore
from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, UsageError, command, read_json, read_text, warn, write_json
from reengage.domain.conversation import extend
from reengage.domain.instants import iso, parse_instant
from reengage.errors import InvalidEvent
from reengage.settings import DecisionSettings
from reengage.simulation.parameters import environment
from reengage.usecases.preview import preview as preview_event


@command
def preview(
    event: Annotated[Path, typer.Argument(help="file with one event in, as EventBridge delivers it")],
    stack: Annotated[str, typer.Option("--stack", help="deployed stack whose stored data counts")] = "",
) -> ExitCode:
    """Show what an event would plan, without storing anything.

    Without --stack, the preview assumes that the contact has just written and has no history.

    Example: reengage preview events/plan_messages/appointment_booked.json
    """
    envelope, now = _read(event), datetime.now(UTC)
    if not isinstance(envelope, dict):
        raise UsageError(f"{event}: expected a JSON object with detail-type and detail")
    envelope, moved = arriving_now({"time": iso(now), **envelope}, now)
    if moved:
        warn(f"{event} lies in the future: its instants were moved back by {moved.days} days, so that it arrives now.")
    about = _about(envelope)
    if not isinstance(about, AboutEvent):
        raise UsageError(f"{event}: expected an event that plans messages, or withdraws them")
    for hint in hints(envelope):
        warn(hint)
    if stack:
        answer = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", {"preview": envelope}))
    else:
        warn("Assumes that the contact just wrote and has no history. Give --stack to use stored data.")
        answer = _without_stack(about, now)
    write_json(answer)
    return ExitCode.DONE


def _read(file: Path) -> Any:
    """Read the event. Raises ``UsageError``, also for a story."""
    if file.suffix == ".jsonl" and "\n" in read_text(file).strip():
        raise UsageError(f"{file}: expected one event; a story has its own command: reengage simulate {file}")
    return read_json(file)


def _about(envelope: dict[str, Any]) -> Any:
    """Parse the event. Raises ``InvalidEvent`` with paths of the file, not of the function's question."""
    try:
        return question({"preview": envelope})
    except InvalidEvent as error:
        raise InvalidEvent([text.replace("$.preview", "$", 1) for text in error.errors]) from error


def arriving_now(envelope: dict[str, Any], now: datetime) -> tuple[dict[str, Any], timedelta]:
    """Move an event of the future back by whole days, so that it has just arrived; its hours of the day stay."""
    try:
        ahead = parse_instant(str(envelope["time"])) - now
    except ValueError:
        return envelope, timedelta()
    if ahead <= timedelta():
        return envelope, timedelta()
    back = timedelta(days=ahead.days + 1)
    return _moved(envelope, back), back


def _moved(value: Any, back: timedelta) -> Any:
    match value:
        case dict():
            return {name: _moved(inner, back) for name, inner in value.items()}
        case list():
            return [_moved(inner, back) for inner in value]
        case str():
            return _moved_text(value, back)
        case _:
            return value


def _moved_text(text: str, back: timedelta) -> str:
    """Move an instant with an offset, or a calendar day; leave any other text alone."""
    if len(text) < len("2026-01-01") or not text[:4].isdecimal():
        return text
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return text
    if len(text) == len("2026-01-01"):
        return (instant - back).date().isoformat()
    return (instant - back).isoformat() if instant.tzinfo else text


def _without_stack(about: AboutEvent, now: datetime) -> dict[str, Any]:
    """Preview by the template's defaults, for a contact who has just written."""
    from reengage.adapters.wording import FluentWording  # noqa: PLC0415 - 0.2 s to import, and no other command needs it

    settings, store = DecisionSettings.from_env(environment({})), MemoryStore()
    if about.event.contact:
        conversation = extend(None, is_known_contact=False, message_id="just-now", sent_at=now)
        store.write_conversation(about.event.contact, conversation, replacing=None)
    render = FluentWording(settings.default_locale)
    return preview_event(about.event, store=store, render=render, settings=settings.policy, clock=lambda: now)
