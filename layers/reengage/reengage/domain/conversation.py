"""A contact's conversation, and the 30 days after each message in which a business may write back."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from .contact import Contact
from .requests import Request

WINDOW: Final = timedelta(days=30)

Opening = Literal["started", "restarted"]

# 9999-12-31: an expiry that was written in milliseconds must not overflow the calendar.
_FAR: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reminder that an answer may be about."""

    subject_id: str
    scheduled_message_id: str


@dataclass(frozen=True, slots=True)
class UnclearAnswer:
    """An answer that changes nothing: what the person answered, why it binds nothing, and what it may be about."""

    given: str
    why: str
    candidates: tuple[Candidate, ...] = ()
    bound_by: str | None = None


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message of a person. ``sent_at`` is the sender's clock, ``arrived_at`` that of the bus or the webhook.

    ``kind`` is ``text``, ``image``, ``location``, ``reaction``, ``button`` and so on; ``text`` is the readable part.
    ``asks`` is the request that a button or the provider states, such as a STOP that the provider has already handled.

    ``quoted_message_id`` is the provider's id of the message that this one replies to. ``payload`` is the data of the
    button that was pressed. ``unclear`` is known only after the message was compared with what was asked.
    """

    contact: Contact
    message_id: str
    sent_at: datetime
    arrived_at: datetime
    text: str
    locale: str | None = None
    timezone: str | None = None
    display_name: str | None = None
    kind: str = "text"
    asks: Request | None = None
    quoted_message_id: str | None = None
    payload: str | None = None
    unclear: tuple[UnclearAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """A contact's conversation. ``expires_at`` is the window's end in epoch seconds, for DynamoDB's TTL.

    ``opened_by`` is the id of the message that opened the conversation, and ``opening`` is how. A repeat of that
    message is recognised by it, and finishes what a crash left undone. ``warned_expires_at`` is the expiry that a
    business was last warned of, at ``warned_at``. ``agent_replied_at`` is when a person of the business last wrote to
    the contact.
    """

    last_inbound_at: datetime
    opened_by: str
    opening: Opening
    expires_at: int
    warned_expires_at: int | None = None
    agent_replied_at: datetime | None = None
    warned_at: datetime | None = None

    @property
    def closes_at(self) -> datetime:
        """Return the window's end; the stored expiry if that is earlier."""
        return min(self.last_inbound_at + WINDOW, datetime.fromtimestamp(max(0, min(self.expires_at, _FAR)), UTC))

    @property
    def already_warned(self) -> bool:
        """Return whether a business was warned of this window's end."""
        return self.warned_expires_at == self.expires_at

    def is_open(self, now: datetime) -> bool:
        """Return whether the business may write at ``now``: the clock decides, not what TTL has deleted."""
        return now < self.closes_at


def expiry(instant: datetime) -> int:
    """Return epoch seconds, rounded up, so that the stored second never shortens a window."""
    return math.ceil(instant.timestamp())


def extend(
    conversation: Conversation | None,
    *,
    is_known_contact: bool,
    message_id: str,
    sent_at: datetime,
    restarts_after: timedelta | None = None,
) -> Conversation:
    """Return the conversation after a message of ``sent_at``; the same object if the message changes nothing.

    A message that is older than the last one never shortens the window. A message after a silence of
    ``restarts_after``, or after the window has closed, opens a new conversation. ``is_known_contact``: the person has
    written before.
    """
    if conversation and sent_at <= conversation.last_inbound_at:
        return conversation
    expires_at = expiry(sent_at + WINDOW)
    if conversation and conversation.is_open(sent_at):
        silence = sent_at - conversation.last_inbound_at
        if restarts_after is None or silence < restarts_after:
            return replace(conversation, last_inbound_at=sent_at, expires_at=expires_at)
    opening: Opening = "restarted" if is_known_contact or conversation else "started"
    agent_replied_at = conversation.agent_replied_at if conversation else None
    return Conversation(sent_at, message_id, opening, expires_at, agent_replied_at=agent_replied_at)
