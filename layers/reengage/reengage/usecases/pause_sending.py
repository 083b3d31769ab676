"""Pause or resume sending: of the whole stack or of a brand; everything, marketing or one reason."""

from dataclasses import replace

from reengage.domain.brand import STACK, Brand
from reengage.domain.commands import PauseSending, ResumeSending
from reengage.domain.events_out import OutEvent
from reengage.domain.instants import iso
from reengage.domain.pause import Pause, iso_exact, with_pause, with_resume
from reengage.ports import BrandStore, Publish
from reengage.usecases.retry_conflicts import retry_conflicts


def pause_sending(command: PauseSending | ResumeSending, *, store: BrandStore, publish: Publish) -> bool:
    """Store the pause or its end, then publish it; return whether anything changed.

    An older command changes nothing. A repeated one is published again: the first call may have been cut short.
    Raises ``WriteConflict`` and ``NotPublished``; a retry continues.
    """

    def attempt() -> tuple[bool, bool] | None:
        before = store.read_brand(command.brand or STACK) or Brand(command.brand or STACK)
        pauses = _applied(command, before)
        if pauses == (before.pauses or {}):
            return False, _is_stored(command, before)
        after = replace(before, pauses=pauses, versions={**before.versions, "pauses": 1})
        return (True, True) if store.write_brand(after) else None

    changed, is_newest = retry_conflicts(attempt, "the pauses")
    if is_newest:
        publish([_event(command)])
    return changed


def _applied(command: PauseSending | ResumeSending, before: Brand) -> dict[str, dict[str, object]]:
    if isinstance(command, PauseSending):
        return dict(with_pause(before.pauses, Pause(command.scope, command.at, command.until, command.why)))
    return dict(with_resume(before.pauses, command.scope, command.at))


def _is_stored(command: PauseSending | ResumeSending, before: Brand) -> bool:
    stored = (before.pauses or {}).get(command.scope, {})
    ended = isinstance(command, ResumeSending)
    return stored.get("at") == iso_exact(command.at) and bool(stored.get("ended")) is ended


def _event(command: PauseSending | ResumeSending) -> OutEvent:
    detail = {"brand": command.brand, "scope": command.scope, "occurred_at": iso(command.at)}
    if isinstance(command, PauseSending):
        detail |= {"why": command.why, "until": iso(command.until) if command.until else None}
    name = "SendingPaused" if isinstance(command, PauseSending) else "SendingResumed"
    return OutEvent(name, {key: value for key, value in detail.items() if value is not None})
