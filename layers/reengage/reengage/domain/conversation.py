"""A contact's open thread, and the 30 days in which a business may reach back out."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from .contact import Contact
from .requests import Request

WINDOW: Final = timedelta(days=30)

Opening = Literal["started", "restarted"]

# 9999-12-31: an expiry that somebody wrote in milliseconds must not overflow the calendar.
_FAR: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """What the person sent. ``sent_at`` is the sender's clock, ``arrived_at`` the bus's or the webhook's.

    ``kind`` is ``text``, or what else it was (``image``, ``location``, ``reaction``, ``button`` …); ``text`` then holds
    what of it can be read. ``asks`` is what it asks of us where that is known from elsewhere than its words: from what
    stands behind a button, or from the provider, which has acted on it already.

    ``quoted_message_id`` is the provider's id of the message that this one replies to. ``payload`` is the data of the
    button that was pressed.
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


@dataclass(frozen=True, slots=True)
class Conversation:
    """``expires_at`` is the window's end in epoch seconds, as DynamoDB's TTL wants it.

    ``opened_by`` is the id of the message that opened the conversation, and ``opening`` says how; a repeat
    of that very message can so be told apart, and finishes what a crash left undone. ``warned_expires_at`` is the
    expiry of which a business was last warned.
    ``agent_replied_at`` is when a person of the business last wrote to the contact.
    """

    last_inbound_at: datetime
    opened_by: str
    opening: Opening
    expires_at: int
    warned_expires_at: int | None = None
    agent_replied_at: datetime | None = None

    @property
    def closes_at(self) -> datetime:
        """The earlier of the window's end and of what the stored expiry says, should the two ever differ."""
        return min(self.last_inbound_at + WINDOW, datetime.fromtimestamp(max(0, min(self.expires_at, _FAR)), UTC))

    @property
    def already_warned(self) -> bool:
        """Whether a business was warned of this very closing."""
        return self.warned_expires_at == self.expires_at

    def is_open(self, now: datetime) -> bool:
        """Whether the business may reach out at ``now``: by the clock, whatever TTL has deleted or not yet."""
        return now < self.closes_at


def expiry(instant: datetime) -> int:
    """Epoch seconds, rounded up, so that the stored second never cuts a window short."""
    return math.ceil(instant.timestamp())


def extend(
    conversation: Conversation | None,
    *,
    heard_before: bool,
    message_id: str,
    sent_at: datetime,
    restarts_after: timedelta | None = None,
) -> Conversation:
    """The conversation after a message of ``sent_at``; the very same where that message changes nothing.

    Monotonic: a message that is older than the last one never shortens the window. One that comes after a silence of
    ``restarts_after``, or after the window has closed, starts the conversation anew.
    """
    if conversation and sent_at <= conversation.last_inbound_at:
        return conversation
    expires_at = expiry(sent_at + WINDOW)
    if conversation and conversation.is_open(sent_at):
        silence = sent_at - conversation.last_inbound_at
        if restarts_after is None or silence < restarts_after:
            return replace(conversation, last_inbound_at=sent_at, expires_at=expires_at)
    opening: Opening = "restarted" if heard_before or conversation else "started"
    agent_replied_at = conversation.agent_replied_at if conversation else None
    return Conversation(sent_at, message_id, opening, expires_at, agent_replied_at=agent_replied_at)
