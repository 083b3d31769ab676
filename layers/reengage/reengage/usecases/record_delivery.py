"""A provider, or a business system that delivers for us, says what became of a message."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from reengage.domain.contact import Contact
from reengage.domain.events_out import out_event
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Choice, ChoiceMade, OptOutScope
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import Clock, Publish, Store
from reengage.usecases.record_choice import record_choice

Status = Literal["sent", "delivered", "undelivered", "opted_out"]

STATES: Final[dict[Status, State]] = {
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "opted_out": State.UNDELIVERED,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """``at`` is when the provider says that it happened."""

    contact: Contact
    scheduled_message_id: str
    status: Status
    at: datetime
    provider_message_id: str | None = None
    error: str | None = None


Recorded = Literal["recorded", "repeated", "ignored"]


def record_delivery(
    receipt: Receipt, *, store: Store, publish: Publish, clock: Clock, opt_out_scope: OptOutScope
) -> Recorded:
    """Moves the message's state forward, never back; receipts may come twice and out of order.

    Where the provider says that the person has opted out, that is stored before anything else is, and holds since the
    message was handed over: some date a receipt by when they call, and a repeat must not undo a START from in between.
    Raises ``InvalidEvent`` where the contact has no such message, so that the receipt is kept with the reason.
    """
    message = store.find_message(receipt.contact, receipt.scheduled_message_id)
    if receipt.status == "opted_out":
        cause = {"receipt_of": receipt.scheduled_message_id}
        out = ChoiceMade(receipt.contact, "contact", Choice(allowed=False, at=_held_at(receipt, message), cause=cause))
        record_choice(out, store=store, publish=publish, opt_out_scope=opt_out_scope)
    if message is None:
        raise InvalidEvent(["$.detail.scheduled_message_id: this contact has no such message"])
    state = STATES[receipt.status]
    moved = replace(
        message,
        state=state,
        provider_message_id=receipt.provider_message_id or message.provider_message_id,
        error=receipt.error or ("opted_out" if receipt.status == "opted_out" else message.error),
        settled_at=message.settled_at or clock(),
    )
    recorded = store.record_receipt(moved)
    if not recorded:
        message = store.find_message(receipt.contact, receipt.scheduled_message_id)
        if message is None or message.state is not state:
            return "ignored"
    # A repeat is told again: the first time may have been cut short before it was.
    told = out_event(f"Message{state.capitalize()}", moved, **_told(moved, receipt))
    if publish([told]):
        raise NotPublished(told.type)
    return "recorded" if recorded else "repeated"


def _held_at(receipt: Receipt, message: ScheduledMessage | None) -> datetime:
    """Since when, at the latest, what the provider says of the person has held."""
    handed_over_at = message and (message.claimed_at or message.settled_at)
    return min(receipt.at, handed_over_at or receipt.at)


def _told(message: ScheduledMessage, receipt: Receipt) -> dict[str, Any]:
    if message.state is State.SENT:
        return {
            "provider": message.provider,
            "provider_message_id": message.provider_message_id,
            "sent_at": receipt.at,
            "facts": message.facts,
        }
    return {"provider_message_id": message.provider_message_id, "at": receipt.at, "error": message.error}
