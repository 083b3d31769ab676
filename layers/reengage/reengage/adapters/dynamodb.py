"""The store in one DynamoDB table (layers/README.md, "Table").

pynamodb's models turn items into attributes and back, and write its expressions; one ``TableConnection`` a store
makes the calls, so that no class holds a table's name and no call describes the table first. Where a call's answer
is lost and botocore sends it again, the second try may fail on the condition that the first one fulfilled: each
caller that this could mislead reads the stored item.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import batched
from time import sleep
from typing import Any, Final

from pynamodb.connection import TableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import DeleteError, PutError, PynamoDBException, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from reengage.adapters.aws_clients import AwsClients
from reengage.adapters.dynamodb_items import (
    BRAND,
    BREAKER,
    CONTACT,
    CONVERSATION,
    PACE,
    PREFERENCES,
    SCHEDULED,
    STORED_AT,
    SUBJECT,
    BrandItem,
    BreakerItem,
    ConversationItem,
    InboundMessageItem,
    Item,
    PaceItem,
    PlacesItem,
    PreferencesItem,
    ProfileItem,
    Row,
    SubjectItem,
    SubjectLinkItem,
    answer_json,
    audience_shard,
    brand_item,
    brand_pk,
    breaker_item,
    conversation_item,
    day_shard,
    due_shard,
    linked,
    message_sk,
    part_item,
    places_item,
    places_sk,
    preferences_item,
    profile_item,
    row_item,
    subject_item,
    taken_json,
    to_brand,
    to_breaker,
    to_conversation,
    to_member,
    to_message,
    to_part,
    to_places,
    to_preferences,
    to_profile,
    to_subject,
)
from reengage.adapters.dynamodb_items import (
    BroadcastPartItem as PartItem,
)
from reengage.domain.brand import STACK, Brand
from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import SORT_KEY, BroadcastShard, ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage, expiry
from reengage.domain.erasure import named_at, part_of, without_contact
from reengage.domain.message import FOLLOWS, GivenAnswer, MessageKey, ScheduledMessage, State, brief
from reengage.domain.preferences import Preferences, preferences_of
from reengage.domain.purchases import purchases_of
from reengage.domain.questions import ASKING_REASONS, HANDED_OVER
from reengage.domain.reasons import REASONS, Audience, Priority, SendGroup
from reengage.domain.subject import Subject, SubjectRef, starts_on
from reengage.ports import DueKey, Holdings, KeptMessage, Page, Snapshot, Thread

DUE: Final = "due"
AUDIENCE: Final = "audience"

_SCHEMA: Final = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", "due_shard", "due_at", "audience_shard", "audience_day")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": index,
            "KeySchema": [
                {"AttributeName": shard, "KeyType": "HASH"},
                {"AttributeName": order, "KeyType": "RANGE"},
            ],
        }
        for index, shard, order in ((DUE, "due_shard", "due_at"), (AUDIENCE, "audience_shard", "audience_day"))
    ],
}


@dataclass(frozen=True, slots=True)
class DynamoDBStore:
    """The table behind ``ports.Store``; make one with ``connect``.

    ``hash_key`` returns the secret by which the addresses of preferences are hashed; it is called when first needed.
    """

    table: TableConnection
    hash_key: Callable[[], str]

    @classmethod
    def connect(
        cls,
        table_name: str,
        *,
        workers: int,
        hash_key: Callable[[], str],
        make_client: Callable[[], Any] | None = None,
    ) -> "DynamoDBStore":
        """Connect to the table by the app's one botocore session (``AwsClients.table``)."""
        table = TableConnection(table_name, meta_table=MetaTable({"TableName": table_name, **_SCHEMA}))
        # pynamodb would make a botocore session of its own.
        table.connection._client = (make_client or AwsClients(max_connections=workers).table)()  # noqa: SLF001
        return cls(table, hash_key)

    # Ingest

    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread:
        message = message_sk(message_id) if message_id is not None else None
        preferences = (self._preferences_pk(contact), PREFERENCES)
        keys = [(contact.key, sk) for sk in (CONTACT, CONVERSATION, message) if sk]
        items = self._read([*keys, preferences])
        return Thread(
            to_profile(items.get((contact.key, CONTACT))),
            to_conversation(items.get((contact.key, CONVERSATION))),
            known=(contact.key, message) in items,
            preferences=to_preferences(items.get(preferences)),
        )

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        replaced = conversation_item(contact, replacing) if replacing else None
        return self._put(conversation_item(contact, conversation), _unchanged(ConversationItem, replaced))

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        replaced = profile_item(contact, replacing) if replacing else None
        return self._put(profile_item(contact, profile), _unchanged(ProfileItem, replaced))

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        item = InboundMessageItem(
            message.contact.key,
            message_sk(message.message_id),
            sent_at=message.sent_at,
            text=message.text,
            kind=message.kind,
            expires_at=expires_at,
        )
        self._put(item, Item.pk.does_not_exist())

    # Preferences

    def read_preferences(self, contact: Contact) -> Preferences:
        return self.read_linked(self.preferences_key(contact))

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        return self.write_linked(self.preferences_key(contact), preferences)

    def preferences_key(self, contact: Contact) -> str:
        return hmac.new(self.hash_key().encode(), preferences_of(contact).encode(), hashlib.sha256).hexdigest()

    def read_linked(self, key: str) -> Preferences:
        keys = (f"{PREFERENCES}#{key}", PREFERENCES)
        return to_preferences(self._read([keys]).get(keys))

    def write_linked(self, key: str, preferences: Preferences) -> bool:
        pk, unchanged = f"{PREFERENCES}#{key}", _at_revision(PreferencesItem, preferences.revision)
        if preferences.is_empty:
            return self._delete((pk, PREFERENCES), unchanged)
        return self._put(preferences_item(pk, preferences), unchanged)

    # Brands

    def read_brand(self, brand: str) -> Brand | None:
        key = (brand_pk(brand), BRAND)
        return to_brand(brand, self._read([key]).get(key))

    def write_brand(self, brand: Brand) -> bool:
        item = brand_item(brand)
        return self._put(item, _at_revision(BrandItem, brand.revision))

    # Plan

    def read_subject(self, ref: SubjectRef) -> Subject | None:
        return to_subject(ref, self._read([(ref.key, SUBJECT)]).get((ref.key, SUBJECT)))

    def write_subject(self, subject: Subject) -> bool:
        item = subject_item(subject)
        return self._put(item, _at_revision(SubjectItem, subject.revision))

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        sk = f"{SUBJECT}#{subject.ref.kind}#{subject.ref.id}"
        link = SubjectLinkItem(contact.key, sk, named_at=named_at(subject, contact), expires_at=subject.expires_at)
        # The later of two planners may know less. The link must not be erased, or expire, before its subject.
        older = (SubjectLinkItem.named_at <= link.named_at) & (Item.expires_at <= link.expires_at)
        if not self._put(link, Item.pk.does_not_exist() | older):
            name, expiry_ = SubjectLinkItem.named_at, Item.expires_at
            self._set((contact.key, sk), [name.set(link.named_at)], name < link.named_at)
            self._set((contact.key, sk), [expiry_.set(subject.expires_at)], expiry_ < subject.expires_at)

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        free = Item.pk.does_not_exist() | ((Row.state == State.SKIPPED) & (Row.version < message.version))
        in_time = (Row.state == State.SCHEDULED) & (Row.version < message.version)
        if message.state is State.SCHEDULED:
            tries = [(message, free | in_time)]
        else:
            scheduled = replace(message, state=State.SCHEDULED, rule=None, facts={}, settled_at=None)
            tries = [(message, free), (scheduled, in_time)]
        for planned, condition in tries:
            if self._put(row_item(planned, at), condition):
                return planned
        stored = self.read_message(message.key)
        # TTL, or an erasure, may have taken the row between the two calls; then there is none to stand in the way.
        return stored or self.write_plan(message, at=at)

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        actions = [
            Row.state.set(State.SKIPPED),
            Row.rule.set(rule),
            Row.settled_at.set(at),
            Row.due_shard.remove(),
        ]
        withdrawable = (Row.state == State.SCHEDULED) & (Row.version <= version)
        row = self._update(message.key, actions, withdrawable) or self.read_message(message.key)
        return row if row and row.is_withdrawn else None

    def pending_messages(self, contact: Contact) -> list[ScheduledMessage]:
        rows = self._pages(
            contact.key,
            range_key_condition=Item.sk.startswith(f"{SCHEDULED}#"),
            filter_condition=Row.state.is_in(State.SCHEDULED, State.SENDING),
            consistent_read=True,
        )
        return [to_message(Row.from_raw_data(raw)) for page in rows for raw in page]

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        moved = replace(message, due_at=due_at, planned_due_at=planned_due_at)
        actions = [
            Row.due_at.set(due_at),
            Row.planned_due_at.set(planned_due_at),
            Row.expires_at.set(moved.expires_at(message.planned_at)),
        ]
        untouched = (Row.state == State.SCHEDULED) & (Row.due_at == message.due_at)
        return self._update(message.key, actions, untouched) is not None

    # Broadcast

    def write_shard(self, part: BroadcastShard) -> bool:
        return self._put(part_item(part), Item.pk.does_not_exist() | (PartItem.version < part.version))

    def read_shard(self, key: MessageKey) -> BroadcastShard | None:
        return to_part(self._read([key]).get(key))

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        pages = self._pages(subject.key, range_key_condition=Item.sk.startswith(f"{SORT_KEY}#"), consistent_read=True)
        parts = (to_part(Item.from_raw_data(raw)) for page in pages for raw in page)
        return [part for part in parts if part]

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        last: dict[str, Any] | None = json.loads(cursor) if cursor else None
        if last and last["audience_day"]["S"] < day.isoformat():
            last = None  # those days are over; DynamoDB takes no start outside the range
        answer = self.table.query(
            audience_shard(subject.brand, shard, subject.id if audience == "interested" else None),
            range_key_condition=ConversationItem.audience_day >= day.isoformat(),
            index_name=AUDIENCE,
            exclusive_start_key=last,
            limit=limit,
        )
        members = [to_member({name: value["S"] for name, value in item.items()}) for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        return Page(members, json.dumps(last, sort_keys=True) if last else None)

    def save_progress(self, part: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        actions = [PartItem.state.set(part.state), PartItem.planned.set(part.planned)]
        actions.append(PartItem.cursor.set(part.cursor) if part.cursor else PartItem.cursor.remove())
        if part.state is not ShardState.WAITING:
            actions.append(PartItem.due_shard.remove())
        cursor = PartItem.cursor
        unmoved = (
            (PartItem.version == replacing.version)
            & (PartItem.state == replacing.state)
            & (cursor == replacing.cursor if replacing.cursor else cursor.does_not_exist())
        )
        return self._change(part.key, actions, unmoved) is not None

    def count_outcomes(self, part: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        ways = [(Path(["tally", way]), number) for way, number in outcomes.items()]
        actions: list[Action] = [way.set((way | 0) + number) for way, number in ways]
        if actions:
            self._change(part, actions, PartItem.version >= version)

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        threads: dict[Contact, Thread] = {}
        for some in batched(contacts, BATCH // 3, strict=False):
            preferences = {contact: (self._preferences_pk(contact), PREFERENCES) for contact in some}
            own = [(contact.key, sk) for contact in some for sk in (CONTACT, CONVERSATION)]
            # The channels of one number share their preferences, and BatchGetItem takes no key twice.
            items = self._read(dict.fromkeys([*own, *preferences.values()]))
            for contact in some:
                threads[contact] = Thread(
                    to_profile(items.get((contact.key, CONTACT))),
                    to_conversation(items.get((contact.key, CONVERSATION))),
                    preferences=to_preferences(items.get(preferences[contact])),
                )
        return threads

    # Send

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        pages = self._pages(
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
        return self._update(due.key, actions, (Row.state == State.SCHEDULED) & (Row.due_at == due.due_at))

    def read_message(self, key: MessageKey) -> ScheduledMessage | None:
        item = self._read([key]).get(key)
        return to_message(item) if item else None

    def read_snapshot(self, message: ScheduledMessage) -> Snapshot:
        contact, subject = message.contact, message.subject
        cap_usage = (contact.key, places_sk(message.reason_spec.category))
        preferences = (self._preferences_pk(contact), PREFERENCES)
        brand, stack = (brand_pk(contact.brand), BRAND), (brand_pk(STACK), BRAND)
        keys = [
            (contact.key, CONTACT),
            (contact.key, CONVERSATION),
            (subject.key, SUBJECT),
            preferences,
            brand,
            stack,
            cap_usage,
        ]
        interest = SubjectRef.known_to(contact, "interest", subject.id)
        if message.reason_spec.audience == "interested":
            keys.append((interest.key, SUBJECT))
        purchases = purchases_of(contact)
        if message.reason_spec.ended_by_purchase:
            keys.append((purchases.key, SUBJECT))
        items = self._read(keys)
        return Snapshot(
            subject=to_subject(subject, items.get((subject.key, SUBJECT))),
            profile=to_profile(items.get((contact.key, CONTACT))),
            conversation=to_conversation(items.get((contact.key, CONVERSATION))),
            preferences=to_preferences(items.get(preferences)),
            brand=to_brand(contact.brand, items.get(brand)),
            stack=to_brand(STACK, items.get(stack)),
            cap_usage=to_places(items.get(cap_usage)),
            interest=to_subject(interest, items.get((interest.key, SUBJECT))),
            purchases=to_subject(purchases, items.get((purchases.key, SUBJECT))),
        )

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        taken = cap_usage.take(message.scheduled_message_id, at, retention)
        item = places_item(message, taken, revision=cap_usage.revision + 1, expires_at=expiry(at + retention))
        return self._put(item, _still(cap_usage))

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        key = (f"{PACE}#{channel}", PACE)
        present, length = _microseconds(now), duration // timedelta(microseconds=1)
        latest = present + max_wait // timedelta(microseconds=1)
        free_at = PaceItem.free_at
        # After the reservation before; if there is none, from now on. Each condition fails if the other is met.
        after = (free_at + length, (free_at > present) & (free_at <= latest))
        at_once = (present + length, free_at.does_not_exist() | (free_at <= present))
        for moved, condition in (after, at_once, after):  # once more: another may have taken it in between
            if taken := self._set(key, [free_at.set(moved)], condition):
                return EPOCH + timedelta(microseconds=int(taken["free_at"]["N"]) - length)
        return None

    def read_breaker(self, route: str) -> Breaker | None:
        key = (f"{BREAKER}#{route}", BREAKER)
        return to_breaker(self._read([key]).get(key))

    def write_breaker(self, route: str, breaker: Breaker | None, *, replacing: Breaker | None) -> bool:
        unchanged = BreakerItem.probe_at == replacing.probe_at if replacing else Item.pk.does_not_exist()
        if breaker is None:
            return replacing is None or self._delete((f"{BREAKER}#{route}", BREAKER), unchanged)
        return self._put(breaker_item(route, breaker), unchanged)

    def release_cap(self, message: ScheduledMessage) -> None:
        key = (message.contact.key, places_sk(message.reason_spec.category))
        while True:  # a try fails only where another's has succeeded
            stored = self._read([key]).get(key)
            cap_usage = to_places(stored)
            left = cap_usage.remove(message.scheduled_message_id)
            if stored is None or left is cap_usage:
                return
            item = places_item(message, left, revision=left.revision + 1, expires_at=int(stored.expires_at))
            if self._put(item, _still(cap_usage)) if left.taken else self._delete(key, _still(cap_usage)):
                return

    def release(self, message: ScheduledMessage) -> bool:
        actions = [
            Row.state.set(State.SCHEDULED),
            Row.due_at.set(message.due_at),
            Row.valid_until.set(message.valid_until),
            Row.version.set(message.version),
            Row.planned_at.set(message.planned_at),
            *_postponed(message),
            Row.scheduled_message_id.set(message.scheduled_message_id),
            Row.attempts.set(message.attempts),
            Row.expires_at.set(message.expires_at(message.planned_at)),
            *_decided(message),
            *_answered(message),
        ]
        held = (Row.claim_id == message.claim_id) & (Row.state == State.SENDING)
        return self._update(message.key, actions, held) is not None

    def settle(self, message: ScheduledMessage) -> bool:
        actions = [
            *_ended(message),
            Row.attempts.set(message.attempts),
            *_decided(message),
            *_answered(message),
        ]
        ours = Row.claim_id == message.claim_id
        if self._update(message.key, actions, ours & Row.state.is_in(*FOLLOWS[message.state])):
            return True
        if message.provider:  # a receipt came first; the provider's answer is still news
            reported = Row.state.is_in(State.DELIVERED, State.UNDELIVERED)
            self._update(message.key, [*_decided(message), *_answered(message)], ours & reported)
        return False

    # Receipts

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        pages = self._pages(
            contact.key,
            range_key_condition=Item.sk.startswith(f"{SCHEDULED}#"),
            filter_condition=Row.scheduled_message_id == scheduled_message_id,
            consistent_read=True,
        )
        return next((to_message(Row.from_raw_data(raw)) for page in pages for raw in page), None)

    def record_receipt(self, message: ScheduledMessage) -> bool:
        actions = [*_ended(message), *_answered(message)]
        before = Row.state.is_in(*(FOLLOWS[message.state] - {message.state}))
        tried = (Row.state == State.SCHEDULED) & (Row.attempts > 0)
        same = Row.scheduled_message_id == message.scheduled_message_id
        return self._update(message.key, actions, same & (before | tried)) is not None

    # The front desk's day

    def appointments_of_day(self, brand: str, day: date) -> list[Subject]:
        refs: dict[tuple[str, str], SubjectRef] = {}
        for page in self._pages(day_shard(brand, day), index_name=AUDIENCE):
            for entry in page:
                _, brand_id, kind, subject_id = entry["pk"]["S"].split("#", 3)
                refs[entry["pk"]["S"], entry["sk"]["S"]] = SubjectRef(brand_id, kind, subject_id)
        stored = self._read_all(refs)
        found = (to_subject(ref, stored.get(key)) for key, ref in refs.items())
        # The index may lag behind a move or a cancellation.
        return [subject for subject in found if subject and starts_on(subject, day)]

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        return {MessageKey(*key): to_message(item) for key, item in self._read_all(dict.fromkeys(keys)).items()}

    def _read_all(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        """Strongly consistent; one request for 100 keys."""
        items: dict[tuple[str, str], Item] = {}
        for some in batched(keys, BATCH, strict=False):
            items |= self._read(some)
        return items

    # Answers

    def sent_questions(self, contact: Contact) -> list[ScheduledMessage]:
        pages = self._pages(
            contact.key,
            range_key_condition=Item.sk.startswith(f"{SCHEDULED}#appointment_"),
            filter_condition=Row.state.is_in(*HANDED_OVER),
            consistent_read=True,
        )
        messages = (to_message(Row.from_raw_data(raw)) for page in pages for raw in page)
        return [message for message in messages if message.reason in ASKING_REASONS]

    def record_answer(self, message: ScheduledMessage, answer: GivenAnswer) -> bool:
        stored = Row.answer.does_not_exist() if message.answer is None else Row.answer == answer_json(message.answer)
        same = Row.scheduled_message_id == message.scheduled_message_id
        actions = [Row.answer.set(answer_json(answer))]
        return self._update(message.key, actions, same & Row.state.is_in(*HANDED_OVER) & stored) is not None

    # All of a contact

    def read_holdings(self, contact: Contact) -> Holdings:
        return self._holdings(contact, list(self._query(contact)), self.read_preferences(contact))

    def read_holdings_page(self, contact: Contact, cursor: str | None = None) -> tuple[Holdings, str | None]:
        start = {"pk": {"S": contact.key}, "sk": {"S": cursor}} if cursor else None
        answer = self.table.query(contact.key, exclusive_start_key=start, consistent_read=True)
        page = _first_part(answer["Items"])
        is_last = len(page) == len(answer["Items"]) and "LastEvaluatedKey" not in answer
        preferences = Preferences() if cursor else self.read_preferences(contact)
        held = self._holdings(contact, [Item.from_raw_data(raw) for raw in page], preferences)
        last_key = page[-1] if page else answer.get("LastEvaluatedKey")
        return held, None if is_last or not last_key else last_key["sk"]["S"]

    def _holdings(self, contact: Contact, items: Sequence[Item], preferences: Preferences) -> Holdings:
        by_sk = {item.sk: item for item in items}
        return Holdings(
            profile=to_profile(by_sk.get(CONTACT)),
            conversation=to_conversation(by_sk.get(CONVERSATION)),
            preferences=preferences,
            inbound=[
                KeptMessage(item.sk.removeprefix(message_sk("")), item.sent_at, item.text, item.kind)
                for item in items
                if isinstance(item, InboundMessageItem)
            ],
            scheduled=[to_message(item) for item in items if isinstance(item, Row)],
            subjects=[part for s in self._linked_subjects(contact, items) if (part := part_of(s, contact))],
            cap_usage={
                category: to_places(by_sk[sk])
                for category in {reason.category for reason in REASONS.values()}
                if (sk := places_sk(category)) in by_sk
            },
        )

    def erase(self, contact: Contact, *, until: datetime) -> int:
        found, kept = 0, set[str]()
        for page in self._pages(contact.key, consistent_read=True):
            messages, items = _divided(page)
            found += self._erase_messages(contact, messages, until)
            for subject in self._linked_subjects(contact, items):
                rest = without_contact(subject, contact, until)
                if rest is subject or self._replace_subject(subject, rest):
                    continue
                found += 1  # another writer changed it: the caller erases again
                kept.add(f"{SUBJECT}#{subject.ref.kind}#{subject.ref.id}")
            found += sum(self._erase_item(item, until) for item in items if item.sk not in kept)
        return found

    def _replace_subject(self, subject: Subject, rest: Subject | None) -> bool:
        """``False`` if another writer changed the stored subject."""
        if rest:
            return self.write_subject(rest)
        key = (subject.ref.key, SUBJECT)
        unchanged = SubjectItem.revision == subject.revision
        return self._delete(key, unchanged) or key not in self._read([key])

    def _erase_messages(self, contact: Contact, raw: Sequence[Mapping[str, Any]], until: datetime) -> int:
        """Delete inbound messages 25 at a time: a message never changes, so no condition is needed."""
        latest: str = InboundMessageItem.sent_at.serialize(until)  # type: ignore[no-untyped-call]  # pynamodb's own gap
        old = [item["sk"]["S"] for item in raw if item["sent_at"]["S"] <= latest]
        batches = list(batched(old, BATCH_WRITE, strict=False))
        if len(batches) > 1:
            with ThreadPoolExecutor(ERASE_THREADS) as pool:
                list(pool.map(partial(self._delete_all, contact.key), batches))
        else:
            for keys in batches:
                self._delete_all(contact.key, keys)
        return len(old)

    def _delete_all(self, pk: str, keys: Sequence[str]) -> None:
        """One BatchWriteItem; others for keys that DynamoDB left unprocessed."""
        wanted: list[Any] = [{"pk": pk, "sk": sk} for sk in keys]
        for tries in range(WRITES):
            if tries:
                sleep(UNPROCESSED_PAUSE * 2**tries)  # DynamoDB throttles: a batch gets no retry of its own
            answer = self.table.batch_write_item(delete_items=wanted)
            unprocessed = (answer or {}).get("UnprocessedItems", {}).get(self.table.table_name, ())
            if not unprocessed:
                return
            requests = [request["DeleteRequest"]["Key"] for request in unprocessed]
            wanted = [{name: value["S"] for name, value in key.items()} for key in requests]
        raise TimeoutError(f"{len(wanted)} items were left unprocessed in {WRITES} writes")

    def _erase_item(self, item: Item, until: datetime) -> bool:
        """Delete one item under the contact's key if it was stored at or before ``until``."""
        if isinstance(item, PlacesItem):
            cap_usage = to_places(item)
            old, unchanged = all(at <= until for at in cap_usage.instants()), _still(cap_usage)
        else:
            stored_at = STORED_AT[type(item)]
            old, unchanged = getattr(item, stored_at) <= until, getattr(type(item), stored_at) <= until
        if old:
            self._delete((item.pk, item.sk), unchanged)
        return old

    # The calls

    def _query(self, contact: Contact) -> Iterator[Item]:
        """Every item under the contact's key, strongly consistent."""
        for page in self._pages(contact.key, consistent_read=True):
            yield from map(Item.from_raw_data, page)

    def _pages(self, pk: str, **query: Any) -> Iterator[Sequence[dict[str, Any]]]:
        """Yield the items of a query as DynamoDB writes them; one request a page, made when the page is needed."""
        last: dict[str, Any] | None = None
        while True:
            answer = self.table.query(pk, exclusive_start_key=last, **query)
            yield answer["Items"]
            last = answer.get("LastEvaluatedKey")
            if not last:
                return

    def _linked_subjects(self, contact: Contact, items: Sequence[Item]) -> list[Subject]:
        """Read the subjects that the contact's items name; one request for 100."""
        refs = {(ref.key, SUBJECT): ref for ref in (linked(contact, item) for item in items) if ref}
        stored = self._read_all(refs)
        found = (to_subject(ref, stored.get(key)) for key, ref in refs.items())
        return [subject for subject in found if subject]

    def _delete(self, key: tuple[str, str], condition: Condition) -> bool:
        """Delete the item if the condition is met; return whether it was."""
        pk, sk = key
        try:
            self.table.delete_item(pk, range_key=sk, condition=condition)
        except DeleteError as error:
            return _unmet(error)
        return True

    def _preferences_pk(self, contact: Contact) -> str:
        """A keyed hash: the table alone does not show whose preferences they are."""
        return f"{PREFERENCES}#{self.preferences_key(contact)}"

    def _read(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        """One strongly consistent BatchGetItem; another for keys that DynamoDB left unprocessed."""
        wanted: Any = [{"pk": pk, "sk": sk} for pk, sk in keys]  # pynamodb says Sequence[str], and takes keys
        items: dict[tuple[str, str], Item] = {}
        for _ in range(READS):
            answer = self.table.batch_get_item(wanted, consistent_read=True)
            for raw in answer["Responses"].get(self.table.table_name, ()):
                items[raw["pk"]["S"], raw["sk"]["S"]] = Item.from_raw_data(raw)
            unread = answer["UnprocessedKeys"].get(self.table.table_name, {}).get("Keys")
            if not unread:
                return items
            wanted = [{name: value["S"] for name, value in key.items()} for key in unread]
        raise TimeoutError(f"{len(wanted)} keys were left unprocessed in {READS} reads")

    def _put(self, item: Item, condition: Condition | None = None) -> bool:
        raw = item.serialize()
        pk, sk = raw.pop("pk")["S"], raw.pop("sk")["S"]
        try:
            self.table.put_item(pk, range_key=sk, attributes=raw, condition=condition)
        except PutError as error:
            return _unmet(error)
        return True

    def _update(self, key: MessageKey, actions: Sequence[Action], condition: Condition) -> ScheduledMessage | None:
        """The row after the update; ``None`` where the condition failed. Never creates a row."""
        changed = self._change(key, actions, condition)
        return to_message(Row.from_raw_data(changed)) if changed else None

    def _change(self, key: MessageKey, actions: Sequence[Action], condition: Condition) -> dict[str, Any] | None:
        """The item's attributes after the update; ``None`` where the condition failed. Never creates an item."""
        return self._set(key, actions, Item.pk.exists() & condition)

    def _set(self, key: tuple[str, str], actions: Sequence[Action], condition: Condition) -> dict[str, Any] | None:
        """The same, and creates the item where the condition allows it."""
        pk, sk = key
        try:
            answer = self.table.update_item(
                pk, range_key=sk, actions=list(actions), condition=condition, return_values="ALL_NEW"
            )
        except UpdateError as error:
            _unmet(error)
            return None
        changed: dict[str, Any] = answer["Attributes"]
        return changed


READS: Final = 3
WRITES: Final = 5
UNPROCESSED_PAUSE: Final = 0.05
"""Seconds, doubled before each further try."""

ERASE_THREADS: Final = 4
"""Batches at once: the function waits for its own CPU, not for DynamoDB."""

BATCH_WRITE: Final = 25
"""BatchWriteItem takes no more items."""

BATCH: Final = 100
"""BatchGetItem takes no more keys."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


PART_BYTES: Final = 1_500_000
"""Of DynamoDB's JSON in one part of an export: a function's answer may have 6 MB."""

PART_SUBJECTS: Final = 100
"""Subjects in one part of an export: each may hold a cart of 16 KB."""


def _first_part(items: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """As many items as one part of an export may have; at least one."""
    size = subjects = 0
    for position, item in enumerate(items):
        size += len(json.dumps(item))
        subjects += item["sk"]["S"].startswith(f"{SUBJECT}#")
        if position and (size > PART_BYTES or subjects > PART_SUBJECTS):
            return items[:position]
    return items


def _divided(page: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Item]]:
    """Split a page of a contact's items into inbound messages, as DynamoDB writes them, and all others.

    A long chat has thousands of messages: parsing each one would take longer than deleting it.
    """
    messages = [raw for raw in page if raw["sk"]["S"].startswith(message_sk(""))]
    others = [Item.from_raw_data(raw) for raw in page if not raw["sk"]["S"].startswith(message_sk(""))]
    return messages, others


def _unmet(error: PynamoDBException) -> bool:
    """``False`` for a condition that was not met; any other error is raised again."""
    if error.cause_response_code == "ConditionalCheckFailedException":
        return False
    raise error


def _unchanged(model: type[Item], item: Item | None) -> Condition:
    """The stored item is just this one still, or still there is none."""
    if item is None:
        return Item.pk.does_not_exist()
    condition = Item.pk.exists()
    for name, attribute in model.get_attributes().items():
        # What puts it into an index is made from the rest.
        if name in ("pk", "sk", "type", "audience_shard", "audience_day"):
            continue
        value = getattr(item, name)
        condition &= attribute.does_not_exist() if value is None else attribute == value
    return condition


def _at_revision(model: type[PreferencesItem | BrandItem | SubjectItem | PlacesItem], revision: int) -> Condition:
    """The stored item is the one that was read: at its revision, or, at 0, not there."""
    return model.revision == revision if revision else Item.pk.does_not_exist()


def _still(cap_usage: CapUsage) -> Condition:
    """The stored places are those that were read. An item that was deleted meanwhile, and made anew, counts its
    revisions from the beginning: only what it holds tells the two apart.
    """
    unchanged = _at_revision(PlacesItem, cap_usage.revision)
    return unchanged & (PlacesItem.taken == taken_json(cap_usage)) if cap_usage.revision else unchanged


def _ended(message: ScheduledMessage) -> list[Action]:
    assert message.settled_at is not None
    return [Row.state.set(message.state), Row.settled_at.set(message.settled_at), Row.due_shard.remove()]


def _decided(message: ScheduledMessage) -> list[Action]:
    rule = Row.rule.set(message.rule) if message.rule else Row.rule.remove()
    facts = Row.facts.set(dict(message.facts)) if message.facts else Row.facts.remove()
    return [rule, facts]


def _postponed(message: ScheduledMessage) -> list[Action]:
    at, rules = message.planned_due_at, message.hold_rules
    return [
        Row.planned_due_at.set(at) if at else Row.planned_due_at.remove(),
        Row.hold_rules.set(rules) if rules else Row.hold_rules.remove(),
    ]


def _answered(message: ScheduledMessage) -> list[Action]:
    answers = (
        (Row.provider, message.provider),
        (Row.provider_message_id, message.provider_message_id),
        (Row.error, brief(message.error) if message.error else None),
        (Row.last_receipt_id, message.last_receipt_id),
        (Row.text, message.text),
        (Row.locale, message.locale),
        (Row.template, message.template),
    )
    return [attribute.set(value) for attribute, value in answers if value]
