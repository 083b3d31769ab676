"""Record the receipt of a provider, or of a business system that delivers messages."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal

from reengage.domain.commands import RecordChoice, RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.message import MERGED_WITH, ScheduledMessage, State, bounded_id
from reengage.domain.preferences import Choice, OptOutScope
from reengage.errors import InvalidEvent
from reengage.ports import Clock, Publish, ReceiptStore
from reengage.usecases.elsewhere import fall_back
from reengage.usecases.person import merged_at, others_of
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
    message = _find(receipt, store)
    if message and _is_repeat(receipt, message):
        return "repeated"
    if receipt.status == "opted_out":
        record_choice(_opt_out(receipt), store=store, publish=publish, opt_out_scope=opt_out_scope)
    if message is None:
        raise InvalidEvent(["$.detail.scheduled_message_id: this contact has no such message"])
    address = _address(receipt, message)
    moved = _moved(message, receipt, address, clock())
    end_silence(message.provider, address.channel, store=store)
    if address in message.undelivered_to and not _is_delivered_after_all(moved, message):
        # The message has gone on to another address since. The event that made it do so is published again.
        if moved.state is State.UNDELIVERED and not _is_of_another_event(receipt, address, message):
            publish([_undelivered(moved, receipt)])
        return "repeated"
    others = _others(moved, message, store)
    if receipt.status == "undelivered" and fall_back(moved, address, store=store, now=clock()):
        publish([_undelivered(each, receipt) for each in (moved, *others) if _falls_back(each, moved, address, store)])
        return "recorded"
    recorded = store.record_receipt(moved)
    if not recorded and (result := _already_recorded(moved, receipt, store)):
        return result
    named = [moved, *(other for other in others if store.record_receipt(other) or _has(other, store))]
    publish([out_event(f"Message{each.state.capitalize()}", each, **_details(each, receipt)) for each in named])
    return "recorded" if recorded else "repeated"


def _already_recorded(moved: ScheduledMessage, receipt: RecordDelivery, store: ReceiptStore) -> Recorded | None:
    """Return the result of a receipt that changes nothing; ``None`` if this event stored the state before.

    Its first attempt may have stopped before it published.
    """
    stored = store.read_message(moved.key)
    if stored is None or stored.state is not moved.state:
        return "ignored"
    return "repeated" if receipt.mark not in (None, stored.last_receipt_id) else None


def _opt_out(receipt: RecordDelivery) -> RecordChoice:
    cause = {"receipt_of": receipt.scheduled_message_id}
    return RecordChoice(receipt.contact, "contact", Choice(allowed=False, at=receipt.at, cause=cause))


def _moved(message: ScheduledMessage, receipt: RecordDelivery, address: Contact, now: datetime) -> ScheduledMessage:
    """Return the message in the state of the receipt."""
    provider_message_id = receipt.provider_message_id
    return replace(
        message,
        state=STATES[receipt.status],
        provider_message_id=bounded_id(provider_message_id) if provider_message_id else message.provider_message_id,
        error=_error(receipt) or message.error,
        settled_at=message.settled_at or now,
        last_receipt_id=receipt.mark,
        sent_to=None if address == message.contact else address,
    )


def _others(message: ScheduledMessage, before: ScheduledMessage, store: ReceiptStore) -> list[ScheduledMessage]:
    """Return the other messages that the text named, in the state of the receipt. ``before``: the row until then."""
    # In a sender's hands, and until the sender stores what it sent, the row has the facts of an earlier decision.
    is_settled = before.is_decided_to_send and before.state is not State.SENDING
    return [
        replace(
            other,
            state=message.state,
            provider_message_id=message.provider_message_id,
            error=message.error,
            settled_at=other.settled_at or message.settled_at,
            last_receipt_id=message.last_receipt_id,
            sent_to=None if other.contact == message.recipient else message.recipient,
        )
        for other in _named_with(message, store, is_settled=is_settled)
    ]


def _named_with(message: ScheduledMessage, store: ReceiptStore, *, is_settled: bool) -> list[ScheduledMessage]:
    """Find the other messages that the text named; those of other addresses only if some are missing.

    The receipt may come before the row has the fact that it was merged.
    """
    if not message.reason_spec.can_be_merged or (is_settled and MERGED_WITH not in message.facts):
        return []
    found = store.claimed_together(message, message.contact)
    missing = set(message.facts.get(MERGED_WITH, ())) - {other.scheduled_message_id for other in found}
    if missing or not is_settled:
        elsewhere = merged_at(message, store)
        found += [other for address in elsewhere for other in store.claimed_together(message, address)]
    return found


def _has(other: ScheduledMessage, store: ReceiptStore) -> bool:
    """Whether an earlier try stored this receipt: it may have stopped before it published."""
    stored = store.read_message(other.key)
    return stored is not None and (stored.state, stored.last_receipt_id) == (other.state, other.last_receipt_id)


def _falls_back(each: ScheduledMessage, first: ScheduledMessage, address: Contact, store: ReceiptStore) -> bool:
    """Make one of the other messages due again, as the first one is by now."""
    if each is first:
        return True
    planned_due_at = each.planned_due_at or each.due_at
    failed = (*each.undelivered_to, address)
    assert first.settled_at is not None
    due_at = max(each.due_at, first.settled_at)
    return store.fall_back(replace(each, due_at=due_at, planned_due_at=planned_due_at, undelivered_to=failed))


def _find(receipt: RecordDelivery, store: ReceiptStore) -> ScheduledMessage | None:
    """Find the message under the address that it was sent to; else under the person's others."""
    contact, message_id = receipt.contact, receipt.scheduled_message_id
    if message := store.find_message(contact, message_id):
        return message
    others = others_of(contact, store.read_threads([contact])[contact], store)
    found = (store.find_message(other.contact, message_id) for other in others)
    return next((message for message in found if message), None)


def _address(receipt: RecordDelivery, message: ScheduledMessage) -> Contact:
    """Return the address that the receipt is about. A business may report by the one that it planned for."""
    is_stored = receipt.mark is not None and receipt.mark == message.last_receipt_id
    fell_back = receipt.status == "undelivered" and message.state is not State.UNDELIVERED
    if message.undelivered_to and is_stored and fell_back:
        return message.undelivered_to[-1]  # the very event that made the message fall back
    never_tried = receipt.contact == message.contact and message.contact not in message.undelivered_to
    return message.sent_to if message.sent_to and never_tried else receipt.contact


def _is_of_another_event(receipt: RecordDelivery, address: Contact, message: ScheduledMessage) -> bool:
    """Return whether the row names another event as the one that made the message go on.

    A later receipt replaces that name. Then this event may be the one, and its first attempt may not have published.
    """
    is_newest = address == message.undelivered_to[-1] and message.state is not State.UNDELIVERED
    by_receipt = (message.last_receipt_id or "").startswith(receipt.status[0])
    return is_newest and by_receipt and receipt.mark != message.last_receipt_id


def _is_delivered_after_all(moved: ScheduledMessage, message: ScheduledMessage) -> bool:
    return moved.state is State.DELIVERED and message.state is State.SCHEDULED


def _undelivered(moved: ScheduledMessage, receipt: RecordDelivery) -> OutEvent:
    return out_event("MessageUndelivered", moved, **_details(moved, receipt), falls_back=True)


def _is_repeat(receipt: RecordDelivery, message: ScheduledMessage) -> bool:
    """Return whether another event has reported the same of the message.

    Not if the message has gone on from the receipt's address: what is stored is about the next one.
    """
    if receipt.mark is None or message.last_receipt_id in (None, receipt.mark):
        return False
    if receipt.status == "undelivered" and receipt.contact in message.undelivered_to:
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
    # An earlier try may have left an error, but this one arrived.
    error = _error(receipt) if message.state is State.DELIVERED else message.error
    return {"provider_message_id": message.provider_message_id, "at": receipt.at, "error": error}
