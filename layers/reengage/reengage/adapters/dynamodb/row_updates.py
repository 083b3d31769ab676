"""The attributes that an update of a message's row sets or removes."""

from collections.abc import Sequence

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from reengage.domain.message import MessageKey, ScheduledMessage, brief

from .items.messages import Row, address_json, facts_json, to_message
from .table import Table


def update_row(
    table: Table, key: MessageKey, actions: Sequence[Action], condition: Condition
) -> ScheduledMessage | None:
    """Update the row and return it; ``None`` if the condition is not met. Never creates a row."""
    changed = table.change(key, actions, condition)
    return to_message(Row.from_raw_data(changed)) if changed else None


def outcome(message: ScheduledMessage) -> list[Action]:
    """Settle the row: it has its final state, and leaves the ``due`` index."""
    assert message.settled_at is not None
    sent_to = [Row.sent_to.set(address_json(message.sent_to))] if message.sent_to else []
    return [Row.state.set(message.state), Row.settled_at.set(message.settled_at), Row.due_shard.remove(), *sent_to]


def decision(message: ScheduledMessage) -> list[Action]:
    rule = Row.rule.set(message.rule) if message.rule else Row.rule.remove()
    stored = facts_json(message.facts)
    facts = Row.facts.set(stored) if stored else Row.facts.remove()
    return [rule, facts]


def postponement(message: ScheduledMessage) -> list[Action]:
    at, rules = message.planned_due_at, message.hold_rules
    return [
        Row.planned_due_at.set(at) if at else Row.planned_due_at.remove(),
        Row.hold_rules.set(rules) if rules else Row.hold_rules.remove(),
    ]


def receipt(message: ScheduledMessage) -> list[Action]:
    """Name the receipt that changes the row, with the provider's answer in it."""
    mark = [Row.last_receipt_id.set(message.last_receipt_id)] if message.last_receipt_id else []
    return [*provider_answer(message), *mark]


def provider_answer(message: ScheduledMessage) -> list[Action]:
    """Set the fields of the provider's answer that are known; the others stay."""
    answers = (
        (Row.provider, message.provider),
        (Row.provider_message_id, message.provider_message_id),
        (Row.error, brief(message.error) if message.error else None),
    )
    return [*kept_text(message), *(attribute.set(value) for attribute, value in answers if value)]


def kept_text(message: ScheduledMessage) -> list[Action]:
    """Set the text that was handed over, if texts are kept."""
    texts = (
        (Row.text, message.text),
        (Row.locale, message.locale),
        (Row.template, message.template if message.template != message.reason else None),
    )
    named = [Row.template.remove()] if message.template == message.reason else []
    return [*named, *(attribute.set(value) for attribute, value in texts if value)]


def tries(message: ScheduledMessage) -> Action:
    """Set how often the message failed. Most messages never fail, and have no such attribute."""
    return Row.attempts.set(message.attempts) if message.attempts else Row.attempts.remove()
