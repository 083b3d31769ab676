"""Providers: the message that the sender passes on, and the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Decision
from reengage.domain.preferences import Topic

from .basics import Wording


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message for a channel to deliver.

    The provider's call starts before ``start_before``, or not at all: until then the snapshot is valid. Free text
    is allowed until ``free_text_until``. The provider must not deliver the message at ``deliver_before`` or later.
    ``sender_id``: the route's identity; empty for that of the contact's first route. ``others``: the claimed
    messages whose appointments the text names, too.
    """

    message: ScheduledMessage
    wording: Wording
    data: Mapping[str, Any]
    decision: Decision
    free_text_until: datetime
    start_before: datetime
    deliver_before: datetime
    sender_id: str = ""
    others: Sequence[ScheduledMessage] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message."""

    provider: str
    provider_message_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider rejected the message for good: a retry would be rejected again."""

    error: str


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The provider knows that the contact opted out of everything, or, by ``topic``, of marketing."""

    error: str
    topic: Topic = "contact"


@dataclass(frozen=True, slots=True)
class Retryable:
    """Surely not taken: throttled, or failed before the request left. May be retried after ``retry_after``.

    ``of_recipient``: the cause is, or may be, this message or this recipient, and not the route: no breaker counts it.
    """

    error: str
    retry_after: timedelta | None = None
    of_recipient: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider may or may not have taken the message; it is never retried."""

    error: str


Outcome = Accepted | Refused | OptedOut | Retryable | Unknown


class Channel(Protocol):
    """The way to the providers."""

    def routes(self, contact: Contact) -> Sequence[str]:
        """Return the names of the contact's routes. A later one is used only if an earlier one surely did not send."""

    def prepare(self, contact: Contact, route: str) -> Retryable | None:
        """Build what sending by this route needs; return the error if that fails. It may take seconds."""

    def send(self, outbound: OutboundMessage, route: str) -> Outcome:
        """Make one call to the route's provider."""


class ProviderChannel(Protocol):
    """One provider's adapter, built and ready."""

    def send(self, outbound: OutboundMessage) -> Outcome:
        """Make one call to the provider."""
