"""What providers told, as the events in that business systems put on the bus (events/README.md).

A provider's call is understood at its door, and done with behind the bus, which keeps and repeats what fails: so each
message of a call stands for itself, and whoever listens to the bus hears them all.
"""

from typing import Any, Final

from reengage.domain.commands import RecordChoice, RecordDelivery
from reengage.domain.conversation import InboundMessage
from reengage.domain.events_out import OutEvent, out_event

from .reading import Read

SOURCE: Final = "reengage.webhook"
"""Not ``reengage``: the app's rules leave out what it tells itself."""


def events_in(read: Read) -> list[OutEvent]:
    """Choices first: a person's STOP counts from when it was said, in whichever order the bus hands them on."""
    return [*map(_choice, read.choices), *map(_message, read.messages), *map(_receipt, read.receipts)]


def _message(message: InboundMessage) -> OutEvent:
    return out_event(
        "MessageReceived",
        message.contact,
        message_id=message.message_id,
        sent_at=message.sent_at,
        text=message.text,
        kind=message.kind,
        asks=message.asks,
        locale=message.locale,
        timezone=message.timezone,
        display_name=message.display_name,
        quoted_message_id=message.quoted_message_id,
        payload=message.payload,
    )


def _receipt(receipt: RecordDelivery) -> OutEvent:
    return out_event(
        "DeliveryReported",
        receipt.contact,
        scheduled_message_id=receipt.scheduled_message_id,
        status=receipt.status,
        provider_message_id=receipt.provider_message_id,
        error=receipt.error,
        occurred_at=receipt.at,
    )


def _choice(made: RecordChoice) -> OutEvent:
    contact, choice = made.contact, made.choice
    evidence = {"when": choice.at.isoformat(), "told_by": "provider", "cause": choice.cause}
    said: dict[str, Any] = {"occurred_at": choice.at, "evidence": evidence}
    if made.topic == "marketing":
        return out_event("ConsentChanged", contact, marketing=choice.allowed, **said)
    if choice.allowed:
        return out_event("ContactOptedIn", contact, cause=choice.cause, **said)
    return out_event("ContactOptedOut", contact, cause=choice.cause, occurred_at=choice.at)
