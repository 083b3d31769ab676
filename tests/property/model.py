"""What may be sent, told a second time and in the plainest way: it shares nothing with the app but the form of values.

The app folds events one by one as they come, in whatever order; here they are sorted and laid over each other.
The app asks rules in a table; here is one function. The app goes by what it reads; here by what was stored.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from reengage.domain.contact import Contact
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.subject import BusinessEvent, SubjectRef

BERLIN = ZoneInfo("Europe/Berlin")
DAYS_30 = timedelta(days=30)


class Wanted(NamedTuple):
    due: datetime
    useful_until: datetime


OFFSETS: Mapping[str, Callable[[datetime], datetime]] = {
    "PT30M": lambda at: at - timedelta(minutes=30),
    "PT2H": lambda at: at - timedelta(hours=2),
    "PT24H": lambda at: at - timedelta(hours=24),
    "P1D": lambda at: (at.astimezone(BERLIN) - timedelta(days=1)).astimezone(UTC),  # on Berlin's clock
    "P7D": lambda at: (at.astimezone(BERLIN) - timedelta(days=7)).astimezone(UTC),
}

FOLLOW_UPS: Mapping[str, Callable[[datetime], datetime]] = {
    "-P3D": lambda at: (at.astimezone(BERLIN) - timedelta(days=3)).astimezone(UTC),
    "P1D": lambda at: (at.astimezone(BERLIN) + timedelta(days=1)).astimezone(UTC),
    "PT1H": lambda at: at + timedelta(hours=1),
}


@dataclass(frozen=True)
class Known:
    """What the events that were stored say of one subject."""

    version: int = -1
    active: bool = False
    wanted: Mapping[MessageKey, Wanted] = field(default_factory=dict)


def known_of(ref: SubjectRef, events: Sequence[BusinessEvent]) -> Known:
    """The events in their order, each over the one before: nothing more."""
    if not events:
        return Known()
    said: dict[str, Any] = {}
    contact: Contact | None = None
    for event in sorted(events, key=lambda event: event.version):
        said |= event.fields
        contact = event.contact or contact
    newest = max(events, key=lambda event: event.version)
    active = not newest.type.endswith(("Cancelled", "Converted"))
    wanted: dict[MessageKey, Wanted] = {}
    anchor = said.get("starts_at") or said.get("ends_at")
    if active and contact and anchor:
        about = datetime.fromisoformat(anchor)
        if ref.kind == "appointment":
            reason, offsets, end = "appointment_reminder", OFFSETS, about
            steps = said.get("remind_before", ["P1D", "PT2H"])
        else:
            reason, offsets, end = "trial_follow_up", FOLLOW_UPS, None
            steps = said.get("follow_up", ["-P3D", "P1D"])
        dues: dict[datetime, str] = {}
        for step in steps:
            dues.setdefault(offsets[step](about), step)
        ordered = sorted(dues)
        for due, following in zip(ordered, [*ordered[1:], end], strict=False):
            sk = f"SCHEDULED#{reason}#{ref.id}#{dues[due]}#{about.astimezone(UTC).isoformat().replace('+00:00', 'Z')}"
            key = MessageKey(f"CONTACT#{contact.brand}#{contact.channel}#{contact.address}", sk)
            wanted[key] = Wanted(due, following or due + timedelta(days=3))
    return Known(newest.version, active, wanted)


@dataclass
class Model:
    """What was stored, as seen at the ports."""

    events: dict[SubjectRef, list[BusinessEvent]] = field(default_factory=lambda: defaultdict(list))
    windows: dict[Contact, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    heard_from: set[Contact] = field(default_factory=set)

    def known(self, ref: SubjectRef) -> Known:
        return known_of(ref, self.events[ref])

    def is_open(self, contact: Contact, now: datetime) -> bool:
        return any(now < sent_at + DAYS_30 for sent_at in self.windows[contact])

    def rule(self, message: ScheduledMessage, now: datetime) -> str | None:
        """The rule that stops the message, in CONTRACT.md's order; ``None``: it may be sent."""
        known = self.known(message.subject)
        if known.active and message.key not in known.wanted:
            return "superseded"
        if not known.active:
            return "cancelled"
        if message.contact not in self.heard_from:
            return "no_conversation"
        if not self.is_open(message.contact, now):
            return "window_closed"
        return "too_late" if now >= known.wanted[message.key].useful_until else None
