"""Scheduled messages outside a send: their plans, receipts and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reengage.domain.contact import Contact
from reengage.domain.message import FOLLOWS, HANDED_OVER, GivenAnswer, MessageKey, ScheduledMessage, State
from reengage.domain.reasons import ASKING_REASONS, TELLING_REASONS

from .row_updates import outcome, postponement, receipt
from .tables import Row, Tables


class Messages(Tables):
    """Plan, withdraw, find, move and answer scheduled messages."""

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        with self._lock:
            row = self._rows.get(message.key)
            stored = row.message if row else None
            if stored is None or (stored.state is State.SKIPPED and stored.version < message.version):
                planned = message
            elif stored.state is State.SCHEDULED and stored.version < message.version and not stored.undelivered_to:
                planned = replace(message, state=State.SCHEDULED, rule=None, facts={}, settled_at=None)
            else:
                return stored
            self._put(message.key, Row(planned, message.expires_at(at), planned.state is State.SCHEDULED))
            return planned

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        with self._lock:
            row = self._rows.get(message.key)
            if row and row.message.state is State.SCHEDULED and row.message.version <= version:
                ended = State.UNDELIVERED if row.message.undelivered_to else State.SKIPPED
                withdrawn = row.changed(state=ended, rule=rule, settled_at=at)
                row = self._put(message.key, withdrawn._replace(indexed=False))
            return row.message if row and row.message.is_withdrawn else None

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.state is not State.SCHEDULED or row.message.due_at != message.due_at:
                return False
            moved = replace(row.message, due_at=due_at, planned_due_at=planned_due_at)
            self._put(message.key, row._replace(message=moved, expires_at=moved.expires_at(row.message.planned_at)))
            return True

    def read_message(self, key: MessageKey) -> ScheduledMessage | None:
        row = self._rows.get(key)
        return row.message if row else None

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        return {key: row for key in keys if (row := self.read_message(key))}

    def pending_messages(self, contact: Contact, reason: str = "") -> list[ScheduledMessage]:
        with self._lock:
            rows = [row for row in self._messages_of(contact) if reason in ("", row.reason)]
            return [message for message in rows if message.state in (State.SCHEDULED, State.SENDING)]

    def unsent_messages(self, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            rows = self._messages_of(contact)
            return [row for row in rows if row.state in (State.SCHEDULED, State.SENDING) or row.is_ended_by_event]

    def claimed_together(self, message: ScheduledMessage, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            same = (message.reason, message.claim_id)
            rows = [row for row in self._messages_of(contact) if (row.reason, row.claim_id) == same]
            return [row for row in rows if row.key != message.key and row.state in HANDED_OVER]

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        with self._lock:
            found = (
                message
                for message in self._messages_of(contact)
                if message.scheduled_message_id == scheduled_message_id
            )
            return next(found, None)

    def sent_questions(self, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            rows = self._messages_of(contact)
            return [row for row in rows if row.reason in ASKING_REASONS and row.state in HANDED_OVER]

    def sent_about_appointments(self, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            rows = self._messages_of(contact)
            return [row for row in rows if row.reason in TELLING_REASONS and row.state in HANDED_OVER]

    def record_receipt(self, message: ScheduledMessage) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.scheduled_message_id != message.scheduled_message_id:
                return False
            is_tried = row.message.attempts > 0 or bool(row.message.undelivered_to)
            tried = is_tried and row.message.state is State.SCHEDULED
            if not tried and row.message.state not in FOLLOWS[message.state] - {message.state}:
                return False
            answered = row.changed(**outcome(message), **receipt(message))
            self._put(message.key, answered._replace(indexed=False))
            return True

    def fall_back(self, message: ScheduledMessage) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.scheduled_message_id != message.scheduled_message_id:
                return False
            former = row.message.undelivered_to
            if row.message.state not in FOLLOWS[State.UNDELIVERED] or former != message.undelivered_to[:-1]:
                return False
            again = row.changed(
                **receipt(message),
                **postponement(message),
                state=State.SCHEDULED,
                undelivered_to=message.undelivered_to,
                sent_to=None,
                settled_at=None,
            )
            self._put(message.key, again._replace(indexed=True))
            return True

    def record_answer(self, message: ScheduledMessage, answer: GivenAnswer) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.state not in HANDED_OVER:
                return False
            if (row.message.scheduled_message_id, row.message.answer) != (message.scheduled_message_id, message.answer):
                return False
            self._put(message.key, row.changed(answer=answer))
            return True
