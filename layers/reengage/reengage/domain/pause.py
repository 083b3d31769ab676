"""A pause holds what it covers: everything, marketing, or one reason; of the whole stack or of one brand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from .instants import iso, parse_instant
from .reasons import REASONS

EVERYTHING: Final = "all"
MARKETING: Final = "marketing"
SCOPES: Final = (EVERYTHING, MARKETING, *REASONS)

RECHECK: Final = timedelta(minutes=1)
"""A held message is due again at the next whole minute: after a resume, the next run sends it."""

MARK: Final = timedelta(microseconds=1)
"""Taken off that minute. A run recognises a message that a pause holds by its due time, without a read of its row."""


@dataclass(frozen=True, slots=True)
class Pause:
    """``at`` is when the pause was made, ``until`` when it ends by itself."""

    scope: str
    at: datetime
    until: datetime | None = None
    why: str | None = None

    def covers(self, reason: str, now: datetime) -> bool:
        if self.until and now >= self.until:
            return False
        return self.scope in (EVERYTHING, reason) or (
            self.scope == MARKETING and REASONS[reason].category == "marketing"
        )

    def held_until(self, now: datetime) -> datetime:
        """Return the next check: a resume may come at any time, and ``until`` at the latest."""
        next_check = now.replace(second=0, microsecond=0) + RECHECK
        return min(next_check, self.until) if self.until and self.until > now else next_check


def is_held_by_a_pause(due_at: datetime) -> bool:
    minute = due_at + MARK
    return minute.second == minute.microsecond == 0


def stored_pauses(stored: Mapping[str, Any] | None) -> list[Pause]:
    """Return the pauses that last, from the JSON in the table: by scope, ``{"at", "until", "why", "ended"}``."""
    return [
        Pause(
            scope,
            parse_instant(pause["at"]),
            parse_instant(pause["until"]) if pause.get("until") else None,
            pause.get("why"),
        )
        for scope, pause in (stored or {}).items()
        if not pause.get("ended")
    ]


def with_pause(stored: Mapping[str, Any] | None, pause: Pause) -> Mapping[str, Any]:
    """Return the stored pauses with this one, unless a later pause or resume of its scope is stored."""
    value: dict[str, Any] = {"at": iso_exact(pause.at)}
    if pause.until:
        value["until"] = iso_exact(pause.until)
    if pause.why:
        value["why"] = pause.why
    return _newest(stored, pause.scope, pause.at, value, wins_tie=True)


def with_resume(stored: Mapping[str, Any] | None, scope: str, at: datetime) -> Mapping[str, Any]:
    """Return the stored pauses without this scope's. At the same instant a pause wins over a resume."""
    return _newest(stored, scope, at, {"at": iso_exact(at), "ended": True}, wins_tie=False)


def iso_exact(instant: datetime) -> str:
    """ISO 8601 with microseconds: two instants within one second keep their order."""
    return instant.isoformat()


def facts_of(pause: Pause, by: str) -> dict[str, Any]:
    return {
        "paused": pause.scope,
        "paused_at": iso(pause.at),
        "paused_until": iso(pause.until) if pause.until else None,
        "why": pause.why,
        "setting_from": by,
    }


def _newest(
    stored: Mapping[str, Any] | None, scope: str, at: datetime, value: Mapping[str, Any], *, wins_tie: bool
) -> Mapping[str, Any]:
    before = dict(stored or {})
    if scope in before:
        stored_at = parse_instant(before[scope]["at"])
        if stored_at > at or (stored_at == at and not (wins_tie and before[scope].get("ended"))):
            return before
    return before | {scope: value}
