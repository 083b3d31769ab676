"""A scheduled message: one message planned for one contact, for one reason, due at one instant."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from .contact import Contact
from .conversation import expiry
from .instants import EARLIEST, iso
from .reasons import REASONS, Reason, SendGroup
from .subject import SubjectRef

RETENTION: Final = timedelta(days=30)
"""How long a message's row outlives the instant at which it was due."""

ONCE_RETENTION: Final = timedelta(days=46)
"""The same for a message that is sent once: longer than its subject is kept (``subject.RETENTION``)."""

ASKED: Final = "asks_for_answer"
"""The fact of a message whose text asked for an answer."""

MERGED_WITH: Final = "merged_with"
MERGED_INTO: Final = "merged_into"
"""The facts of messages that one text named together: the ids of the others; the id of the one that was handed over."""

Facts = Mapping[str, Any]
"""What a decision depends on: JSON values only."""

_NAMESPACE: Final = uuid.UUID("6f0a4f0e-6d0b-5d4e-9a58-0b6c1f6f5a11")


class State(StrEnum):
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


FOLLOWS: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.SENT: frozenset({State.SENDING, State.UNCONFIRMED, State.SENT}),
        State.DELIVERED: frozenset({State.SENDING, State.UNCONFIRMED, State.SENT}),
        State.UNDELIVERED: frozenset({State.SENDING, State.UNCONFIRMED, State.SENT}),
        State.SKIPPED: frozenset({State.SENDING, State.UNCONFIRMED}),
        State.FAILED: frozenset({State.SENDING, State.UNCONFIRMED}),
        State.UNCONFIRMED: frozenset({State.SENDING}),
    }
)
"""For each final state, the states that it may follow once a message has been claimed: states only move forward.

A receipt for a message that is scheduled again shows that an earlier try did reach the person.
"""


HANDED_OVER: Final = (State.SENDING, State.SENT, State.DELIVERED, State.UNDELIVERED, State.UNCONFIRMED)
"""States of a message that the person may have received. An answer may come before the provider's own."""

TOO_LATE: Final = "too_late"

WITHDRAWN: Final = ("superseded", "cancelled")
"""The rules that skip a message because of its subject, which may ask for it again."""


ERROR_BYTES: Final = 150
"""Rows stay under 1,024 bytes, or each write would cost twice as much."""


def brief(error: str) -> str:
    """Return an error in the length that a row has room for."""
    return error.encode()[:ERROR_BYTES].decode(errors="ignore")


PART: Final = "@"
"""After an offset: the part of the subject that the message is about, such as a shipment (``PT0S@S1``)."""


PROVIDER_ID_LENGTH: Final = 128
"""Characters of a provider's id that a row keeps; the ids of all providers in use are shorter."""


def bounded_id(provider_message_id: str) -> str:
    """Return a provider's id, valid as text and in the length that a row has room for."""
    return provider_message_id[:PROVIDER_ID_LENGTH].encode("utf-8", "replace").decode()


ONCE: Final = "once"
"""Replaces the instant in the key of a message that its subject gets only once."""


class GivenAnswer(NamedTuple):
    """What the contact answered to the message, by which inbound message, and when that was sent."""

    answer: str
    message_id: str
    bound_by: str
    at: datetime


class MessageKey(NamedTuple):
    """The row: ``pk`` is the contact's key; ``sk`` has reason, subject, offset and instant."""

    pk: str
    sk: str


@lru_cache(maxsize=1024)
def _id_of(key: MessageKey, version: int) -> str:
    """Hash once: a send reads a message's id some ten times."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join((*key, str(version)))))


@dataclass(frozen=True)
class ScheduledMessage:
    """The plan, and its outcome.

    | field | meaning |
    |---|---|
    | ``version`` | the revision of the subject that asks for it |
    | ``offset`` | ISO 8601 text; after ``@`` the part of the subject, such as a shipment |
    | ``anchor_at`` | the instant that it is about; ``None`` if the subject gets one message, whatever its instants |
    | ``due_at`` | when it is decided next |
    | ``planned_due_at`` | when it was due first, if that differs: it was held, or is sent before the window closes |
    | ``planned_at`` | when the event that asked for it arrived; unknown counts as before all others |
    | ``rule``, ``facts`` | the last decision's |
    | ``hold_rules`` | the rules that held it, in their order |
    | ``attempts`` | tries that certainly failed |
    | ``claim_id`` | the run that claimed it last |
    | ``last_receipt_id`` | the receipt that changed it last |
    | ``sent_to`` | the person's other address that it goes to, if that is not ``contact`` |
    | ``undelivered_to`` | the addresses at which it did not arrive, by a final receipt or a refusal |
    | ``cap_holder`` | the address whose row counts it while it is sent; not stored |
    """

    contact: Contact
    reason: str
    subject: SubjectRef
    offset: str
    anchor_at: datetime | None
    due_at: datetime
    valid_until: datetime
    version: int
    planned_at: datetime = EARLIEST
    planned_due_at: datetime | None = None
    hold_rules: str | None = None
    state: State = State.SCHEDULED
    rule: str | None = None
    facts: Facts = field(default_factory=dict)
    attempts: int = 0
    claim_id: str | None = None
    claimed_at: datetime | None = None
    settled_at: datetime | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    error: str | None = None
    last_receipt_id: str | None = None
    text: str | None = None
    locale: str | None = None
    template: str | None = None

    answer: GivenAnswer | None = None
    sent_to: Contact | None = None
    undelivered_to: tuple[Contact, ...] = ()
    cap_holder: Contact | None = None

    @property
    def recipient(self) -> Contact:
        """Return the address that it is handed over to."""
        return self.sent_to or self.contact

    @cached_property
    def key(self) -> MessageKey:
        # The subject's id may hold any character. No "#" follows it, so no two keys are equal.
        anchor_at = iso(self.anchor_at) if self.anchor_at else ONCE
        sk = f"SCHEDULED#{self.reason}#{self.subject.id}#{self.offset}#{anchor_at}"
        return MessageKey(self.contact.key, sk)

    @cached_property
    def scheduled_message_id(self) -> str:
        """Return an id that is the same for the same plan, so a repeated event or run names the same message."""
        return _id_of(self.key, self.version)

    @property
    def decided_at(self) -> datetime:
        """Return when it is decided on: when it was claimed, or will be due."""
        return max(self.due_at, self.claimed_at or self.due_at)

    @property
    def is_decided_to_send(self) -> bool:
        """Return whether the last decision is to send it: a hold and a skip have a rule."""
        return bool(self.facts) and self.rule is None

    @property
    def was_accepted(self) -> bool:
        """Return whether a provider took it, as far as the row knows."""
        return self.provider is not None or self.provider_message_id is not None

    @property
    def is_withdrawn(self) -> bool:
        """Return whether its subject ended it; one that had been tried, and did not arrive, stays undelivered."""
        return self.state in (State.SKIPPED, State.UNDELIVERED) and self.rule in WITHDRAWN

    @property
    def is_planned_too_late(self) -> bool:
        """Return whether its time was past when it was planned: it was never scheduled."""
        return self.state is State.SKIPPED and self.rule == TOO_LATE and self.claimed_at is None

    @property
    def is_ended_by_event(self) -> bool:
        """Return whether an event ended it, or planned it too late."""
        return self.is_withdrawn or self.is_planned_too_late

    def expires_at(self, written_at: datetime) -> int:
        """Return epoch seconds for a row that is written then: its retention after the latest of its instants."""
        only_one = self.reason_spec.once or self.reason_spec.audience
        latest = max(self.due_at, self.planned_due_at or self.due_at, self.valid_until, written_at)
        return expiry(latest + (ONCE_RETENTION if only_one else RETENTION))

    @property
    def reason_spec(self) -> Reason:
        return REASONS[self.reason]

    @property
    def track(self) -> str:
        """Return the name of the subject's track that the message is about."""
        part = self.offset.partition(PART)[2]
        return f"{self.reason_spec.track}:{unquote(part)}" if part else self.reason_spec.track

    @property
    def send_group(self) -> SendGroup:
        return self.reason_spec.send_group


def again(message: ScheduledMessage, at: datetime) -> ScheduledMessage:
    """Return a failed message as one that is due at ``at``, with one try behind it: a receipt may still settle it."""
    return replace(
        message,
        state=State.SCHEDULED,
        due_at=at,
        planned_due_at=message.planned_due_at or message.due_at,
        attempts=1,
        settled_at=None,
    )
