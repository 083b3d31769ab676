"""Record the receipt of a provider, or of a business system that delivers messages."""

from dataclasses import replace
from typing import Any, Final, Literal

from reengage.domain.commands import RecordChoice, RecordDelivery, Status
from reengage.domain.events_out import out_event
from reengage.domain.message import ScheduledMessage, State, bounded_id
from reengage.domain.preferences import Choice, OptOutScope
from reengage.errors import InvalidEvent
from reengage.ports import Clock, Publish, ReceiptStore
from reengage.usecases.receipt_watch import end_silence
from reengage.usecases.record_choice import record_choice

STATES: Final[dict[Status, State]] = {
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "opted_out": State.UNDELIVERED,
}


Recorded = Literal["recorded", "repeated", "ignored"]


def record_delivery(
    receipt: RecordDelivery, *, store: ReceiptStore, publish: Publish, clock: Clock, opt_out_scope: OptOutScope
) -> Recorded:
    """Advance the message's state, never back; receipts may arrive twice and out of order.

    If the provider reports an opt-out, that is stored first. A repeated receipt changes and publishes nothing: some
    providers date receipts by the call, and a repeat must not undo a START from in between.

    Raises ``InvalidEvent`` if the contact has no such message, so that the receipt is kept with the reason.
    """
    message = store.find_message(receipt.contact, receipt.scheduled_message_id)
    if message and _is_repeat(receipt, message):
        return "repeated"
    if receipt.status == "opted_out":
        cause = {"receipt_of": receipt.scheduled_message_id}
        out = RecordChoice(receipt.contact, "contact", Choice(allowed=False, at=receipt.at, cause=cause))
        record_choice(out, store=store, publish=publish, opt_out_scope=opt_out_scope)
    if message is None:
        raise InvalidEvent(["$.detail.scheduled_message_id: this contact has no such message"])
    moved = replace(
        message,
        state=STATES[receipt.status],
        provider_message_id=bounded_id(receipt.provider_message_id)
        if receipt.provider_message_id
        else message.provider_message_id,
        error=_error(receipt) or message.error,
        settled_at=message.settled_at or clock(),
        last_receipt_id=receipt.mark,
    )
    end_silence(message.provider, message.contact.channel, store=store)
    recorded = store.record_receipt(moved)
    if not recorded:
        stored = store.find_message(receipt.contact, receipt.scheduled_message_id)
        if stored is None or stored.state is not moved.state:
            return "ignored"
        if receipt.mark not in (None, stored.last_receipt_id):
            return "repeated"
        # The event is repeated: the first attempt may have stopped before it published.
    event = out_event(f"Message{moved.state.capitalize()}", moved, **_details(moved, receipt))
    publish([event])
    return "recorded" if recorded else "repeated"


def _is_repeat(receipt: RecordDelivery, message: ScheduledMessage) -> bool:
    """Return whether another event has reported the same of the message."""
    if receipt.mark is None or message.last_receipt_id in (None, receipt.mark):
        return False
    return message.state is STATES[receipt.status] and message.last_receipt_id[0] == receipt.mark[0]


def _error(receipt: RecordDelivery) -> str | None:
    return receipt.error or ("opted_out" if receipt.status == "opted_out" else None)


def _details(message: ScheduledMessage, receipt: RecordDelivery) -> dict[str, Any]:
    if message.state is State.SENT:
        return {
            "provider": message.provider,
            "provider_message_id": message.provider_message_id,
            "sent_at": receipt.at,
            "facts": message.facts,
        }
    return {"provider_message_id": message.provider_message_id, "at": receipt.at, "error": message.error}
