"""Contacts and their messages while the report reads events; ``finished`` gives what the report shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from ..domain.conversation import WINDOW
from ..domain.instants import iso, parse_instant, parse_zone
from .data import SENT, ContactHistory, Hold, Inbound, Mark, Message, Outcome


@dataclass(slots=True)
class MessageDraft:
    """A message while its events are read."""

    id: str
    reason: str
    subject_id: str
    planned_at: datetime | None = None
    due_at: datetime | None = None
    outcome: Outcome = "scheduled"
    at: datetime | None = None
    reported_at: datetime | None = None
    held: list[Hold] = field(default_factory=list)
    held_until: datetime | None = None
    rule: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None

    def finished(self, zone: str | None) -> Message:
        sent_at = self.at if self.outcome in SENT else None
        late = (sent_at - self.due_at).total_seconds() if sent_at and self.due_at else None
        return Message(
            id=self.id,
            reason=self.reason,
            subject_id=self.subject_id,
            planned_at=_iso(self.planned_at),
            due_at=_iso(self.due_at),
            outcome=self.outcome,
            at=_iso(self.at) if self.outcome != "scheduled" else None,
            held=tuple(self.held),
            rule=self.rule,
            facts=self.facts,
            text=self.text,
            local_hour=sent_at.astimezone(zone_of(zone)).hour if sent_at and zone else None,
            lateness_seconds=late,
            reported_at=_iso(self.reported_at),
        )


@dataclass(slots=True)
class ContactDraft:
    """A contact while its events are read. ``opened_at`` are the instants of messages, which open a window."""

    key: str
    name: str | None = None
    given_zone: str | None = None
    used_zone: str | None = None
    opened_at: set[datetime] = field(default_factory=set)
    erased_at: list[datetime] = field(default_factory=list)
    inbound: dict[tuple[str, str, str], Inbound] = field(default_factory=dict)
    opt_outs: list[Mark] = field(default_factory=list)
    notes: dict[Mark, None] = field(default_factory=dict)
    messages: dict[str, MessageDraft] = field(default_factory=dict)
    open_plans: dict[tuple[str, str, datetime | None], str] = field(default_factory=dict)

    def windows(self) -> tuple[tuple[str, str], ...]:
        """Return the spans in which the window is open, merged; an erasure closes it."""
        spans: list[list[datetime]] = []
        for opens in sorted(self.opened_at):
            closes = min(
                (erased for erased in self.erased_at if opens <= erased < opens + WINDOW), default=opens + WINDOW
            )
            if spans and opens <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], closes)
            else:
                spans.append([opens, closes])
        return tuple((iso(opens), iso(closes)) for opens, closes in spans)

    def finished(self, default_zone: str | None) -> ContactHistory:
        zone = self.used_zone or self.given_zone or default_zone
        return ContactHistory(
            contact=self.key,
            name=self.name,
            zone=zone,
            windows=self.windows(),
            inbound=tuple(sorted(self.inbound.values(), key=lambda message: parse_instant(message.at))),
            opt_outs=tuple(self.opt_outs),
            notes=tuple(sorted(self.notes, key=lambda note: parse_instant(note.at))),
            messages=tuple(draft.finished(zone) for draft in self.messages.values()),
        )


@cache
def zone_of(name: str) -> ZoneInfo | None:
    try:
        return parse_zone(name)
    except ValueError:
        return None


def _iso(instant: datetime | None) -> str | None:
    return iso(instant) if instant else None
