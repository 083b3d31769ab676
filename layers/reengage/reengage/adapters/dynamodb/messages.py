"""Scheduled messages outside a send: their plans, receipts and answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pynamodb.expressions.condition import Condition

from reengage.domain.contact import Contact
from reengage.domain.message import (
    FOLLOWS,
    HANDED_OVER,
    TOO_LATE,
    WITHDRAWN,
    GivenAnswer,
    MessageKey,
    ScheduledMessage,
    State,
)
from reengage.domain.reasons import ASKING_REASONS, TELLING_REASONS

from .items.base import Item
from .items.messages import SCHEDULED, Row, address_json, answer_json, due_shard, row_item, to_message
from .row_updates import outcome, postponement, receipt, update_row
from .table import Role


class Messages(Role):
    """Plan, withdraw, find, move and answer scheduled messages."""

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        free = Item.pk.does_not_exist() | ((Row.state == State.SKIPPED) & (Row.version < message.version))
        untried = Row.undelivered_to.does_not_exist()
        in_time = (Row.state == State.SCHEDULED) & (Row.version < message.version) & untried
        if message.state is State.SCHEDULED:
            tries = [(message, free | in_time)]
        else:
            scheduled = replace(message, state=State.SCHEDULED, rule=None, facts={}, settled_at=None)
            tries = [(message, free), (scheduled, in_time)]
        for planned, condition in tries:
            if self.table.put(row_item(planned, at), condition):
                return planned
        stored = self.read_message(message.key)
        # TTL, or an erasure, may have deleted the row between the two calls; then nothing prevents the write.
        return stored or self.write_plan(message, at=at)

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        actions = [Row.rule.set(rule), Row.settled_at.set(at), Row.due_shard.remove()]
        withdrawable = (Row.state == State.SCHEDULED) & (Row.version <= version)

        def end(state: State, condition: Condition) -> ScheduledMessage | None:
            return update_row(self.table, message.key, [Row.state.set(state), *actions], withdrawable & condition)

        row = end(State.SKIPPED, Row.undelivered_to.does_not_exist()) or self.read_message(message.key)
        if row and row.state is State.SCHEDULED and row.undelivered_to:
            row = end(State.UNDELIVERED, Row.undelivered_to.exists()) or self.read_message(message.key)
        return row if row and row.is_withdrawn else None

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        moved = replace(message, due_at=due_at, planned_due_at=planned_due_at)
        actions = [
            Row.due_at.set(due_at),
            Row.planned_due_at.set(planned_due_at),
            Row.expires_at.set(moved.expires_at(message.planned_at)),
        ]
        untouched = (Row.state == State.SCHEDULED) & (Row.due_at == message.due_at)
        return update_row(self.table, message.key, actions, untouched) is not None

    def read_message(self, key: MessageKey) -> ScheduledMessage | None:
        item = self.table.read_one(key)
        return to_message(item) if item else None

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        stored = self.table.read_all(dict.fromkeys(keys))
        return {MessageKey(*key): to_message(item) for key, item in stored.items()}

    def pending_messages(self, contact: Contact, reason: str = "") -> list[ScheduledMessage]:
        pending = Row.state.is_in(State.SCHEDULED, State.SENDING)
        return list(self._find(contact, pending, reasons=f"{reason}#" if reason else ""))

    def unsent_messages(self, contact: Contact) -> list[ScheduledMessage]:
        withdrawn = Row.state.is_in(State.SKIPPED, State.UNDELIVERED) & Row.rule.is_in(*WITHDRAWN)
        too_late = (Row.state == State.SKIPPED) & (Row.rule == TOO_LATE) & Row.claimed_at.does_not_exist()
        return list(self._find(contact, Row.state.is_in(State.SCHEDULED, State.SENDING) | withdrawn | too_late))

    def claimed_together(self, message: ScheduledMessage, contact: Contact) -> list[ScheduledMessage]:
        same = (Row.claim_id == message.claim_id) & Row.state.is_in(*HANDED_OVER)
        found = self._find(contact, same, reasons=f"{message.reason}#")
        return [other for other in found if other.key != message.key]

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        return next(self._find(contact, Row.scheduled_message_id == scheduled_message_id), None)

    def sent_questions(self, contact: Contact) -> list[ScheduledMessage]:
        messages = self._find(contact, Row.state.is_in(*HANDED_OVER), reasons="appointment_")
        return [message for message in messages if message.reason in ASKING_REASONS]

    def sent_about_appointments(self, contact: Contact) -> list[ScheduledMessage]:
        sent = Row.state.is_in(*HANDED_OVER)
        prefixes = dict.fromkeys(f"{reason.partition('_')[0]}_" for reason in TELLING_REASONS)
        return [row for prefix in prefixes for row in self._find(contact, sent, reasons=prefix)]

    def _find(self, contact: Contact, condition: Condition, *, reasons: str = "") -> Iterator[ScheduledMessage]:
        """Yield the contact's messages that meet the condition, of the reasons that begin so; one request a page."""
        pages = self.table.pages(
            contact.key,
            range_key_condition=Item.sk.startswith(f"{SCHEDULED}#{reasons}"),
            filter_condition=condition,
            consistent_read=True,
        )
        return (to_message(Row.from_raw_data(raw)) for page in pages for raw in page)

    def record_receipt(self, message: ScheduledMessage) -> bool:
        actions = [*outcome(message), *receipt(message)]
        before = Row.state.is_in(*(FOLLOWS[message.state] - {message.state}))
        tried = (Row.state == State.SCHEDULED) & ((Row.attempts > 0) | Row.undelivered_to.exists())
        same = Row.scheduled_message_id == message.scheduled_message_id
        return update_row(self.table, message.key, actions, same & (before | tried)) is not None

    def fall_back(self, message: ScheduledMessage) -> bool:
        failed = [address_json(contact) for contact in message.undelivered_to]
        actions = [
            Row.state.set(State.SCHEDULED),
            Row.due_at.set(message.due_at),
            Row.due_shard.set(due_shard(message.send_group, message.reason_spec.priority, message.contact.shard)),
            Row.undelivered_to.set(failed),
            Row.sent_to.remove(),
            Row.settled_at.remove(),
            *postponement(message),
            *receipt(message),
        ]
        former = Row.undelivered_to
        unchanged = former == failed[:-1] if failed[:-1] else former.does_not_exist()
        same = Row.scheduled_message_id == message.scheduled_message_id
        handed_over = Row.state.is_in(*FOLLOWS[State.UNDELIVERED])
        return update_row(self.table, message.key, actions, same & handed_over & unchanged) is not None

    def record_answer(self, message: ScheduledMessage, answer: GivenAnswer) -> bool:
        stored = Row.answer.does_not_exist() if message.answer is None else Row.answer == answer_json(message.answer)
        same = Row.scheduled_message_id == message.scheduled_message_id
        condition = same & Row.state.is_in(*HANDED_OVER) & stored
        return update_row(self.table, message.key, [Row.answer.set(answer_json(answer))], condition) is not None
