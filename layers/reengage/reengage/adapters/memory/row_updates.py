"""How an update changes a message's row."""

from dataclasses import replace

from reengage.domain.message import ScheduledMessage, brief


def with_decision(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    return replace(stored, rule=message.rule, facts=message.facts)


def settled(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    sent_to = message.sent_to or stored.sent_to
    return replace(with_answer(stored, message), state=message.state, settled_at=message.settled_at, sent_to=sent_to)


def with_answer(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    """Return the row with what the message knows of the provider's answer; what it does not know stays as it is."""
    return replace(
        stored,
        provider=message.provider or stored.provider,
        provider_message_id=message.provider_message_id or stored.provider_message_id,
        error=brief(message.error) if message.error else stored.error,
        last_receipt_id=message.last_receipt_id or stored.last_receipt_id,
        text=message.text or stored.text,
        locale=message.locale or stored.locale,
        template=message.template or stored.template,
    )
