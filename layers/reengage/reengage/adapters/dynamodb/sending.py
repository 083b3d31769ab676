"""Sending one message: what is due, the claim, the snapshot, the cap, and the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from pynamodb.expressions.condition import Condition

from reengage.domain.brand import STACK, Brand
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.message import FOLLOWS, MessageKey, ScheduledMessage, State
from reengage.domain.person import OtherAddress, explore
from reengage.domain.purchases import purchases_of
from reengage.domain.reasons import Priority, SendGroup
from reengage.domain.same_interest import interest_of, interests_on_other_channels
from reengage.domain.subject import SubjectRef
from reengage.ports import DueKey, Snapshot

from .items.base import Item
from .items.contacts import (
    CONTACT,
    CONVERSATION,
    PREFERENCES,
    CapUsageItem,
    cap_usage_item,
    cap_usage_sk,
    sends_json,
    to_cap_usage,
    to_conversation,
    to_preferences,
    to_profile,
)
from .items.messages import Row, due_shard
from .items.subjects import BRAND, SUBJECT, brand_pk, to_brand, to_subject
from .row_updates import decision, kept_text, outcome, postponement, provider_answer, tries, update_row
from .table import DUE, Key, Role, at_revision


class Sending(Role):
    """What a run of a send group reads and writes for one message."""

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        pages = self.table.pages(
            due_shard(send_group, priority, shard), range_key_condition=Row.due_at <= now, index_name=DUE
        )
        for page in pages:
            yield [
                DueKey(
                    MessageKey(item["pk"]["S"], item["sk"]["S"]),
                    datetime.fromisoformat(item["due_at"]["S"]),
                    datetime.fromisoformat(item["useful_until"]["S"]),
                )
                for item in page
            ]

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        actions = [Row.state.set(State.SENDING), Row.claim_id.set(claim_id), Row.claimed_at.set(at)]
        return update_row(self.table, due.key, actions, (Row.state == State.SCHEDULED) & (Row.due_at == due.due_at))

    def read_snapshot(self, message: ScheduledMessage, *, brands: Mapping[str, Brand | None] | None = None) -> Snapshot:
        contact, subject = message.contact, message.subject
        cap_usage = (contact.key, cap_usage_sk(message.reason_spec.category))
        preferences = (self.table.preferences_pk(contact), PREFERENCES)
        keys = [
            (contact.key, CONTACT),
            (contact.key, CONVERSATION),
            (subject.key, SUBJECT),
            preferences,
            cap_usage,
            *_brand_keys(contact, brands),
        ]
        interest = SubjectRef.known_to(contact, "interest", subject.id)
        if message.reason_spec.audience == "interested":
            keys.append((interest.key, SUBJECT))
        purchases = purchases_of(contact)
        if message.reason_spec.ended_by_purchase:
            keys.append((purchases.key, SUBJECT))
        beside = {ref.key: ref.of for ref in interests_on_other_channels(message) if ref.of}
        keys += [(key, SUBJECT) for key in beside]
        items = self.table.read(keys)
        rows = _brands(contact, items) if brands is None else brands
        conversation = to_conversation(items.get((contact.key, CONVERSATION)))
        own = to_preferences(items.get(preferences))
        return Snapshot(
            subject=to_subject(subject, items.get((subject.key, SUBJECT))),
            profile=to_profile(items.get((contact.key, CONTACT))),
            conversation=conversation,
            preferences=own,
            brand=rows[contact.brand],
            stack=rows[STACK],
            cap_usage=to_cap_usage(items.get(cap_usage)),
            interest=to_subject(interest, items.get((interest.key, SUBJECT))),
            purchases=to_subject(purchases, items.get((purchases.key, SUBJECT))),
            others=explore(
                contact,
                own,
                conversation,
                partial(self._read_addresses, message),
                planned_at=message.planned_at,
                open_at=message.decided_at,
                named=[other for key, other in beside.items() if (key, SUBJECT) in items],
            ),
        )

    def _read_addresses(self, message: ScheduledMessage, contacts: Sequence[Contact]) -> Mapping[Contact, OtherAddress]:
        """Read what the decision on the message needs of the person's other addresses; one request for 20."""
        cap_usage, bought = cap_usage_sk(message.reason_spec.category), message.reason_spec.ended_by_purchase
        keys: dict[Key, None] = {}
        for contact in contacts:
            keys |= dict.fromkeys((contact.key, sk) for sk in (CONTACT, CONVERSATION, cap_usage))
            # The channels of one number share these.
            keys[self.table.preferences_pk(contact), PREFERENCES] = None
            if bought:
                keys[purchases_of(contact).key, SUBJECT] = None
            if interest := interest_of(message, contact):
                keys[interest.key, SUBJECT] = None
        items = self.table.read_all(keys)
        return {
            contact: OtherAddress(
                contact,
                to_profile(items.get((contact.key, CONTACT))),
                to_conversation(items.get((contact.key, CONVERSATION))),
                to_preferences(items.get((self.table.preferences_pk(contact), PREFERENCES))),
                to_cap_usage(items.get((contact.key, cap_usage))),
                to_subject(purchases_of(contact), items.get((purchases_of(contact).key, SUBJECT))),
                to_subject(interest, items.get((interest.key, SUBJECT))) if interest else None,
            )
            for contact in contacts
            for interest in [interest_of(message, contact)]
        }

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        taken = cap_usage.take(message.scheduled_message_id, at, retention)
        holder, category = cap_usage.holder or message.contact, message.reason_spec.category
        item = cap_usage_item(
            holder, category, taken, revision=cap_usage.revision + 1, expires_at=expiry(at + retention)
        )
        return self.table.put(item, same_cap_usage(cap_usage))

    def release_cap(self, message: ScheduledMessage) -> None:
        holder, category = message.cap_holder or message.contact, message.reason_spec.category
        key = (holder.key, cap_usage_sk(category))
        while True:  # an attempt fails only if another writer's has succeeded
            stored = self.table.read_one(key)
            cap_usage = to_cap_usage(stored)
            left = cap_usage.remove(message.scheduled_message_id)
            if stored is None or left is cap_usage:
                return
            item = cap_usage_item(holder, category, left, revision=left.revision + 1, expires_at=int(stored.expires_at))
            unchanged = same_cap_usage(cap_usage)
            if self.table.put(item, unchanged) if left.taken else self.table.delete(key, unchanged):
                return

    def release(self, message: ScheduledMessage) -> bool:
        actions = [
            Row.state.set(State.SCHEDULED),
            Row.due_at.set(message.due_at),
            Row.valid_until.set(message.valid_until),
            Row.version.set(message.version),
            Row.planned_at.set(message.planned_at),
            *postponement(message),
            Row.scheduled_message_id.set(message.scheduled_message_id),
            tries(message),
            Row.expires_at.set(message.expires_at(message.planned_at)),
            *decision(message),
            *provider_answer(message),
        ]
        held = (Row.claim_id == message.claim_id) & (Row.state == State.SENDING)
        return self.table.change_unread(message.key, actions, held)

    def settle(self, message: ScheduledMessage) -> bool:
        learned = [*decision(message), *provider_answer(message)]
        actions = [*outcome(message), tries(message), *learned]
        ours = Row.claim_id == message.claim_id
        if self.table.change_unread(message.key, actions, ours & Row.state.is_in(*FOLLOWS[message.state])):
            return True
        reported = ours & Row.state.is_in(State.DELIVERED, State.UNDELIVERED)
        if message.state is State.SENT and message.provider:
            # A receipt came first. The provider's answer is still news.
            self.table.change_unread(message.key, learned, reported)
        elif message.state is State.UNCONFIRMED and message.facts:
            # The receipt does not have the decision, and the person's reply is bound by it. A hold has a rule.
            sent = [*decision(message), *kept_text(message)]
            is_undecided = Row.facts.does_not_exist() | Row.rule.exists()
            self.table.change_unread(message.key, sent, reported & is_undecided)
        return False


def _brand_keys(contact: Contact, known: Mapping[str, Brand | None] | None) -> list[Key]:
    """Return the keys of the rows of the contact's brand and of the stack, if they are not known."""
    return [(brand_pk(contact.brand), BRAND), (brand_pk(STACK), BRAND)] if known is None else []


def _brands(contact: Contact, items: Mapping[Key, Item]) -> Mapping[str, Brand | None]:
    return {name: to_brand(name, items.get((brand_pk(name), BRAND))) for name in (contact.brand, STACK)}


def same_cap_usage(cap_usage: CapUsage) -> Condition:
    """Return the condition that the stored cap usage is the one that was read.

    An item that was deleted and created again counts its revisions from the beginning: only its content differs.
    """
    unchanged = at_revision(CapUsageItem, cap_usage.revision)
    return unchanged & (CapUsageItem.taken == sends_json(cap_usage)) if cap_usage.revision else unchanged
