"""Lists of messages whose outcomes may not be published yet, and the event that publishes an outcome again.

A run writes a list before it handles the messages of it, and deletes it after it published their events. A list that
becomes due belongs to a run that was killed, or that could not publish.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from .conversation import expiry
from .events_out import OutEvent, out_event
from .message import MessageKey, ScheduledMessage, State
from .pause import MARK
from .reasons import Priority, SendGroup

PARTITION: Final = "UNPUBLISHED"

RETENTION: Final = timedelta(days=7)
"""How long a list is kept that no run publishes: the send functions may be switched off."""


@dataclass(frozen=True, slots=True)
class UnpublishedList:
    """Messages that a run handles from ``at`` on. ``due_at``: from then on no run can be at work on them any more.

    ``send_group``, ``priority`` and ``shard`` say where it is due.
    """

    id: str
    send_group: SendGroup
    priority: Priority
    shard: int
    at: datetime
    due_at: datetime
    keys: tuple[MessageKey, ...]

    @property
    def key(self) -> MessageKey:
        return list_key(self.id)

    @property
    def valid_until(self) -> datetime:
        return self.due_at + RETENTION

    @property
    def expires_at(self) -> int:
        return expiry(self.valid_until)


def list_key(list_id: str) -> MessageKey:
    return MessageKey(PARTITION, f"{PARTITION}#{list_id}")


def is_list_key(key: MessageKey) -> bool:
    return key.pk == PARTITION


def event_again(message: ScheduledMessage, unpublished: UnpublishedList) -> OutEvent | None:
    """Return the event of what the list's run did with the message; ``None`` if it did nothing.

    What was done later is another run's, which has a list of its own.
    """
    if message.settled_at:
        return outcome_event(message) if unpublished.at <= message.settled_at < unpublished.due_at else None
    is_of_run = message.claimed_at and unpublished.at <= message.claimed_at < unpublished.due_at
    return _event_of_scheduled(message) if is_of_run and message.state is State.SCHEDULED else None


def _event_of_scheduled(message: ScheduledMessage) -> OutEvent | None:
    """Return the event of a message that a run put back into the schedule."""
    if message.undelivered_to and not message.was_accepted:
        return falls_back_event(message, message.claimed_at)
    return _held_event(message) if message.hold_rules and message.attempts == 0 else None


def outcome_event(message: ScheduledMessage) -> OutEvent | None:
    """Return the event of the message's outcome, as its row has it; ``None`` if it has no outcome."""
    state = message.state
    if state in (State.DELIVERED, State.UNDELIVERED) and message.provider and not message.undelivered_to:
        state = State.SENT  # a receipt came since; its own event is another
    fields: dict[State, dict[str, Any]] = {
        State.SENT: {
            "provider": message.provider,
            "provider_message_id": message.provider_message_id,
            "sent_at": message.settled_at,
            "facts": message.facts,
        },
        State.SKIPPED: {"rule": message.rule, "facts": message.facts},
        State.FAILED: {"error": message.error, "attempts": message.attempts},
        State.UNCONFIRMED: {"claimed_at": message.claimed_at},
        State.UNDELIVERED: {"at": message.settled_at, "error": message.error},
    }
    return out_event(f"Message{state.capitalize()}", message, **fields[state]) if state in fields else None


def falls_back_event(message: ScheduledMessage, at: datetime | None) -> OutEvent:
    """Return the event of a message that its provider refused, and that is tried at another address."""
    refused_by = message.undelivered_to[-1]
    refused = replace(message, sent_to=None if refused_by == message.contact else refused_by)
    return out_event("MessageUndelivered", refused, at=at, error=message.error, falls_back=True)


def _held_event(message: ScheduledMessage) -> OutEvent:
    until = message.due_at + MARK if message.rule == "paused" else message.due_at
    return out_event("MessageHeld", message, rule=message.rule, until=until, facts=message.facts)
