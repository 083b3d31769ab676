"""The events that the app publishes (events/README.md, "Events out")."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .contact import Contact
from .instants import iso
from .message import ScheduledMessage

_BEFORE_THE_OUTCOME: Final = frozenset(
    {"ConversationStarted", "ConversationRestarted", "MessagePlanned", "MessageHeld"}
)
"""Nothing has been sent, skipped or decided by a person yet."""

LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "all": frozenset(),
    "outcomes": _BEFORE_THE_OUTCOME,
    "exceptions": _BEFORE_THE_OUTCOME | {"MessageSent", "MessageDelivered"},
}
"""The events that are not published, for each value of ``EventsOut``. They are logged and counted all the same."""


@dataclass(frozen=True, slots=True)
class OutEvent:
    """One event out: its detail-type and its detail with JSON values only."""

    type: str
    detail: Mapping[str, Any]


def out_event(detail_type: str, about: Contact | ScheduledMessage, **detail: Any) -> OutEvent:
    """Build an event about a contact or a scheduled message, without ``None``; instants become ISO 8601."""
    return OutEvent(detail_type, subject_of(about) | {k: _json(v) for k, v in detail.items() if v is not None})


def subject_of(about: Contact | ScheduledMessage) -> dict[str, Any]:
    """Return the fields that every event out has."""
    if isinstance(about, Contact):
        return {"contact": {"brand": about.brand, "channel": about.channel, "address": about.address}}
    planned_for = {"channel": about.contact.channel, "address": about.contact.address}
    return subject_of(about.recipient) | {
        "scheduled_message_id": about.scheduled_message_id,
        "reason": about.reason,
        "subject_id": about.subject.id,
        **({"planned_for": planned_for} if about.recipient != about.contact else {}),
    }


def _json(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value
