"""The fields of a message's row that an update changes, by their names: the row is copied once with all of them."""

from typing import Any

from reengage.domain.message import ScheduledMessage, brief

Fields = dict[str, Any]


def decision(message: ScheduledMessage) -> Fields:
    return {"rule": message.rule, "facts": message.facts}


def postponement(message: ScheduledMessage) -> Fields:
    return {
        "due_at": message.due_at,
        "planned_due_at": message.planned_due_at,
        "hold_rules": message.hold_rules,
    }


def outcome(message: ScheduledMessage) -> Fields:
    """Return the final state, and the address if it is not the contact's own."""
    sent_to = {"sent_to": message.sent_to} if message.sent_to else {}
    return {"state": message.state, "settled_at": message.settled_at} | sent_to


def receipt(message: ScheduledMessage) -> Fields:
    """Return the name of the receipt that changes the row, with the provider's answer in it."""
    mark = {"last_receipt_id": message.last_receipt_id} if message.last_receipt_id else {}
    return provider_answer(message) | mark


def provider_answer(message: ScheduledMessage) -> Fields:
    """Return the fields of the provider's answer that are known; the others stay."""
    answer = {
        "provider": message.provider,
        "provider_message_id": message.provider_message_id,
        "error": brief(message.error) if message.error else None,
    }
    return {name: value for name, value in answer.items() if value} | kept_text(message)


def kept_text(message: ScheduledMessage) -> Fields:
    """Return the text that was handed over, if texts are kept."""
    text = {"text": message.text, "locale": message.locale, "template": message.template}
    return {name: value for name, value in text.items() if value}
