"""Sending one message: what is due, the claim, the snapshot, the cap, and the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Final

from reengage.domain.brand import STACK, Brand
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.message import FOLLOWS, ScheduledMessage, State
from reengage.domain.person import OtherAddress, explore
from reengage.domain.purchases import purchases_of
from reengage.domain.reasons import Category, Priority, SendGroup
from reengage.domain.same_interest import interest_of, interests_on_other_channels
from reengage.domain.subject import Subject, SubjectRef
from reengage.ports import DueKey, Snapshot

from .row_updates import decision, kept_text, outcome, postponement, provider_answer
from .tables import CapItem, Row, Tables

PAGE: Final = 1000
"""Entries of the ``due`` index at once."""


class Sending(Tables):
    """What a run of a send group reads and writes for one message."""

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        with self._lock:
            stored = [(key, self._stored(key)) for key in self._due.until((send_group, priority, shard), now)]
            entries = [DueKey(key, row.due_at, row.valid_until) for key, row in stored if row]
        return batched(entries, PAGE, strict=False)

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        with self._lock:
            row = self._rows.get(due.key)
            if row is None or row.message.state is not State.SCHEDULED or row.message.due_at != due.due_at:
                return None
            claimed = replace(row.message, state=State.SENDING, claim_id=claim_id, claimed_at=at)
            self._rows[due.key] = row._replace(message=claimed)  # it is due at the same instant
            return claimed

    def read_snapshot(self, message: ScheduledMessage, *, brands: Mapping[str, Brand | None] | None = None) -> Snapshot:
        with self._lock:
            contact, brands = message.contact, self._brands if brands is None else brands
            preferences, conversation = self._preferences_of(contact), self._conversations.get(contact)
            interest = SubjectRef.known_to(contact, "interest", message.subject.id)
            named = [ref.of for ref in interests_on_other_channels(message) if ref.of and ref in self._subjects]
            return Snapshot(
                subject=self._subjects.get(message.subject),
                profile=self._profiles.get(contact),
                conversation=conversation,
                preferences=preferences,
                brand=brands.get(contact.brand),
                stack=brands.get(STACK),
                cap_usage=self._cap_usage(contact, message.reason_spec.category),
                interest=self._subjects.get(interest) if message.reason_spec.audience == "interested" else None,
                purchases=self._purchases(contact, message),
                others=explore(
                    contact,
                    preferences,
                    conversation,
                    lambda contacts: {other: self._address(other, message) for other in contacts},
                    planned_at=message.planned_at,
                    open_at=message.decided_at,
                    named=named,
                ),
            )

    def _address(self, contact: Contact, message: ScheduledMessage) -> OtherAddress:
        return OtherAddress(
            contact,
            self._profiles.get(contact),
            self._conversations.get(contact),
            self._preferences_of(contact),
            self._cap_usage(contact, message.reason_spec.category),
            self._purchases(contact, message),
            self._subjects.get(interest) if (interest := interest_of(message, contact)) else None,
        )

    def _purchases(self, contact: Contact, message: ScheduledMessage) -> Subject | None:
        return self._subjects.get(purchases_of(contact)) if message.reason_spec.ended_by_purchase else None

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        with self._lock:
            contact, category = cap_usage.holder or message.contact, message.reason_spec.category
            stored = self._cap_usage(contact, category)
            if (stored.taken, stored.revision) != (cap_usage.taken, cap_usage.revision):
                return False
            taken = stored.take(message.scheduled_message_id, at, retention)
            taken = replace(taken, revision=stored.revision + 1)
            self._taken[contact, category] = CapItem(taken, expiry(at + retention))
            return True

    def release_cap(self, message: ScheduledMessage) -> None:
        with self._lock:
            key = (message.cap_holder or message.contact, message.reason_spec.category)
            if (stored := self._taken.get(key)) is None:
                return
            left = stored.cap_usage.remove(message.scheduled_message_id)
            if not left.taken:
                del self._taken[key]
            elif left is not stored.cap_usage:
                self._taken[key] = stored._replace(cap_usage=replace(left, revision=left.revision + 1))

    def release(self, message: ScheduledMessage) -> bool:
        with self._lock:
            row = self._held(message, frozenset({State.SENDING}))
            if row is None:
                return False
            released = replace(
                row.message,
                **decision(message),
                **provider_answer(message),
                **postponement(message),
                state=State.SCHEDULED,
                valid_until=message.valid_until,
                version=message.version,
                planned_at=message.planned_at,
                attempts=message.attempts,
            )
            self._put(message.key, Row(released, released.expires_at(released.planned_at), indexed=True))
            return True

    def settle(self, message: ScheduledMessage) -> bool:
        with self._lock:
            if row := self._held(message, FOLLOWS[message.state]):
                ended = outcome(message) | {"attempts": message.attempts}
                learned = decision(message) | provider_answer(message)
                self._put(message.key, row.changed(**learned, **ended)._replace(indexed=False))
                return True
            if row := self._held(message, frozenset({State.DELIVERED, State.UNDELIVERED})):
                if message.state is State.SENT and message.provider:
                    self._put(message.key, row.changed(**decision(message), **provider_answer(message)))
                elif message.state is State.UNCONFIRMED and message.facts and not row.message.is_decided_to_send:
                    self._put(message.key, row.changed(**decision(message), **kept_text(message)))
            return False

    def _cap_usage(self, contact: Contact, category: Category) -> CapUsage:
        taken = self._taken.get((contact, category))
        return taken.cap_usage if taken else CapUsage()

    def _held(self, message: ScheduledMessage, states: frozenset[State]) -> Row | None:
        row = self._rows.get(message.key)
        if row is None or row.message.claim_id != message.claim_id or row.message.state not in states:
            return None
        return row
