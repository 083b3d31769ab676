"""Commands: one frozen value for each thing that the outside can request.

Adapters decode an event or a provider's call into a command; use cases execute it. ``BusinessEvent`` and
``InboundMessage`` are commands too; they are defined beside the state that they change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from .contact import Contact
from .conversation import InboundMessage
from .preferences import EVERYWHERE, Choice, OptOutScope, Topic
from .subject import BusinessEvent

__all__ = [
    "BusinessEvent",
    "Command",
    "ConfigureBrand",
    "EraseContact",
    "InboundMessage",
    "LinkContact",
    "MoveContact",
    "PauseSending",
    "RecordAgentReply",
    "RecordChoice",
    "RecordDelivery",
    "ResumeSending",
    "Status",
]

RECEIPT_ID_LENGTH: Final = 8
"""Characters of an event's id, which is a UUID: one message has only a few receipts."""

Status = Literal["sent", "delivered", "undelivered", "opted_out"]
"""A provider's report about a message."""


@dataclass(frozen=True, slots=True)
class ConfigureBrand:
    """Change a brand's name, texts and settings.

    ``fields`` has only the fields of the event; ``None`` as a value means that the event cleared the field.
    """

    brand: str
    version: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EraseContact:
    """Erase a contact. ``at`` is the bus's time, because a list of erasures may have one date, long past."""

    contact: Contact
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordChoice:
    """Store an opt-out, an opt-in or a consent of a contact."""

    contact: Contact
    topic: Topic
    choice: Choice

    def scope(self, opt_outs: OptOutScope) -> str:
        """Return what the choice applies to.

        A consent to marketing is given for one channel only, and so is an opt-in that only the provider detected.
        """
        one_channel = self.choice.allowed and (self.topic == "marketing" or self.is_detected_by_provider)
        return self.contact.channel if opt_outs == "channel" or one_channel else EVERYWHERE

    @property
    def is_detected_by_provider(self) -> bool:
        """Return whether the provider took a message for a request that has none of this app's keywords."""
        cause = self.choice.cause
        return isinstance(cause, Mapping) and "message_id" in cause and "asks" in cause


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """Store the outcome that a provider reports. ``at`` is the provider's time of the outcome.

    ``event_id`` identifies the event that carries the receipt: equal if that event is delivered again, different if
    the provider reports again.
    """

    contact: Contact
    scheduled_message_id: str
    status: Status
    at: datetime
    provider_message_id: str | None = None
    error: str | None = None
    event_id: str = ""

    @property
    def mark(self) -> str | None:
        """Return what a row keeps of the receipt that changed it: status and event id, short because rows are small."""
        return f"{self.status[0]}{self.event_id[:RECEIPT_ID_LENGTH]}" if self.event_id else None


@dataclass(frozen=True, slots=True)
class PauseSending:
    """Hold what is due. ``brand`` is ``None`` for the whole stack; ``scope`` is ``all``, ``marketing`` or a reason.

    ``at`` is when the pause was made; a later ``ResumeSending`` of the same brand and scope ends it, or ``until``.
    """

    brand: str | None
    scope: str
    at: datetime
    why: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResumeSending:
    """End a pause of the same ``brand`` and ``scope``."""

    brand: str | None
    scope: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordAgentReply:
    """Record that a person of the business wrote to the contact at ``at``."""

    contact: Contact
    at: datetime


@dataclass(frozen=True, slots=True)
class LinkContact:
    """Record that ``contact`` and ``same_as`` are addresses of one person. Both have one brand."""

    contact: Contact
    same_as: Contact
    at: datetime


@dataclass(frozen=True, slots=True)
class MoveContact:
    """Record that the person left the address of ``contact`` for ``to``. Both have one brand."""

    contact: Contact
    to: Contact
    at: datetime


Command = (
    BusinessEvent
    | RecordChoice
    | ConfigureBrand
    | EraseContact
    | PauseSending
    | ResumeSending
    | RecordAgentReply
    | LinkContact
    | MoveContact
)
"""The command of a business system's event."""
