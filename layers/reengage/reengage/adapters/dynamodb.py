"""The store in one DynamoDB table (README, "The table").

pynamodb's models turn items into attributes and back, and write its expressions; one ``TableConnection`` a store
makes the calls, so that no class holds a table's name and no call describes the table first. Where a call's answer
is lost and botocore sends it again, the second try may fail on the condition that the first one fulfilled: each
caller that this could mislead reads what stands there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pynamodb.attributes import DiscriminatorAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute
from pynamodb.connection import TableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import PutError, PynamoDBException, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage, expiry
from reengage.domain.instants import parse_instant
from reengage.domain.message import FOLLOWS, RETENTION, WITHDRAWN, MessageKey, ScheduledMessage, State, brief
from reengage.domain.reasons import REASONS, Door
from reengage.domain.subject import Family, Said, Subject, SubjectRef
from reengage.ports import DueKey, Thread

INDEX: Final = "due"

_SCHEMA: Final = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "due_shard", "due_at")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
        }
    ],
}


class Item(Model):
    """What every item of the table has. ``expires_at`` is the TTL attribute: epoch seconds."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    type = DiscriminatorAttribute()
    expires_at = NumberAttribute()


class ProfileItem(Item, discriminator="contact"):
    first_seen_at = InstantAttribute()
    last_seen_at = InstantAttribute()
    locale = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(null=True)
    display_name = UnicodeAttribute(null=True)


class ConversationItem(Item, discriminator="conversation"):
    last_inbound_at = InstantAttribute()
    previous_inbound_at = InstantAttribute(null=True)
    opened_by = UnicodeAttribute()
    opening = UnicodeAttribute()


class InboundMessageItem(Item, discriminator="inbound_message"):
    sent_at = InstantAttribute()
    text = UnicodeAttribute()


class SubjectItem(Item, discriminator="subject"):
    families = JSONAttribute()
    previous = JSONAttribute()
    revision = NumberAttribute()


class ScheduledMessageItem(Item, discriminator="scheduled_message"):
    """``due_shard`` is there only while the message is due some day: it is what puts the row into the index.

    Contact, reason, subject, step and instant stand in the keys.
    """

    due_shard = UnicodeAttribute(null=True)
    due_at = InstantAttribute()
    useful_until = InstantAttribute()
    version = NumberAttribute()
    scheduled_message_id = UnicodeAttribute()
    state = UnicodeAttribute()
    rule = UnicodeAttribute(null=True)
    facts = JSONAttribute(null=True)
    attempts = NumberAttribute(null=True)
    claim_id = UnicodeAttribute(null=True)
    claimed_at = InstantAttribute(null=True)
    settled_at = InstantAttribute(null=True)
    provider = UnicodeAttribute(null=True)
    provider_message_id = UnicodeAttribute(null=True)
    error = UnicodeAttribute(null=True)


Row = ScheduledMessageItem


@dataclass(frozen=True, slots=True)
class DynamoDBStore:
    """The table behind ``ports.Store``; make one with ``connect``."""

    table: TableConnection

    @classmethod
    def connect(cls, table_name: str, *, workers: int) -> "DynamoDBStore":
        """Region, endpoint and credentials come from the environment, as for every AWS client.

        A slow answer is given up after 2 seconds and asked for once more: every write is conditional, and safe
        to send twice.
        """
        table = TableConnection(
            table_name,
            connect_timeout_seconds=2,
            read_timeout_seconds=2,
            max_retry_attempts=1,
            max_pool_connections=workers,
            meta_table=MetaTable({"TableName": table_name, **_SCHEMA}),
        )
        table.connection.client  # made here once: botocore's clients are thread-safe, their making is not  # noqa: B018
        return cls(table)

    # Ingest

    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread:
        message_sk = _message_sk(message_id) if message_id is not None else None
        sks = [sk for sk in (CONTACT, CONVERSATION, message_sk) if sk]
        items = self._read([(contact.key, sk) for sk in sks])
        return Thread(
            _profile(items.get((contact.key, CONTACT))),
            _conversation(items.get((contact.key, CONVERSATION))),
            known=(contact.key, message_sk) in items,
        )

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        replaced = _conversation_item(contact, replacing) if replacing else None
        return self._put(_conversation_item(contact, conversation), _unchanged(ConversationItem, replaced))

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        replaced = _profile_item(contact, replacing) if replacing else None
        return self._put(_profile_item(contact, profile), _unchanged(ProfileItem, replaced))

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        item = InboundMessageItem(
            message.contact.key,
            _message_sk(message.message_id),
            sent_at=message.sent_at,
            text=message.text,
            expires_at=expires_at,
        )
        self._put(item, Item.pk.does_not_exist())

    # Plan

    def read_subject(self, ref: SubjectRef) -> Subject | None:
        return _subject(ref, self._read([(ref.key, SUBJECT)]).get((ref.key, SUBJECT)))

    def write_subject(self, subject: Subject) -> bool:
        item = SubjectItem(
            subject.ref.key,
            SUBJECT,
            families=_families_json(subject.families),
            previous=_families_json(subject.previous),
            revision=subject.revision + 1,
            expires_at=subject.expires_at,
        )
        unchanged = SubjectItem.revision == subject.revision if subject.revision else Item.pk.does_not_exist()
        return self._put(item, unchanged)

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        withdrawn = (Row.state == State.SKIPPED) & Row.rule.is_in(*WITHDRAWN)
        free = Item.pk.does_not_exist() | (withdrawn & (Row.version < message.version))
        in_time = (Row.state == State.SCHEDULED) & (Row.version < message.version)
        if message.state is State.SCHEDULED:
            tries = [(message, free | in_time)]
        else:
            scheduled = replace(message, state=State.SCHEDULED, rule=None, facts={}, settled_at=None)
            tries = [(message, free), (scheduled, in_time)]
        for planned, condition in tries:
            if self._put(_row_item(planned, at), condition):
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

    # Send

    def due(self, door: Door, shard: int, now: datetime) -> list[DueKey]:
        keys: list[DueKey] = []
        page: dict[str, Any] | None = None
        while True:
            answer = self.table.query(
                f"{door}#{shard}",
                range_key_condition=Row.due_at <= now,
                index_name=INDEX,
                exclusive_start_key=page,
            )
            keys += [
                DueKey(MessageKey(item["pk"]["S"], item["sk"]["S"]), datetime.fromisoformat(item["due_at"]["S"]))
                for item in answer["Items"]
            ]
            page = answer.get("LastEvaluatedKey")
            if not page:
                return keys

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        actions = [Row.state.set(State.SENDING), Row.claim_id.set(claim_id), Row.claimed_at.set(at)]
        return self._update(due.key, actions, (Row.state == State.SCHEDULED) & (Row.due_at == due.due_at))

    def read_message(self, key: MessageKey) -> ScheduledMessage | None:
        item = self._read([key]).get(key)
        return _message(item) if item else None

    def read_circumstances(
        self, message: ScheduledMessage
    ) -> tuple[Subject | None, Profile | None, Conversation | None]:
        contact, subject = message.contact.key, message.subject
        items = self._read([(contact, CONTACT), (contact, CONVERSATION), (subject.key, SUBJECT)])
        return (
            _subject(subject, items.get((subject.key, SUBJECT))),
            _profile(items.get((contact, CONTACT))),
            _conversation(items.get((contact, CONVERSATION))),
        )

    def release(self, message: ScheduledMessage) -> bool:
        actions = [
            Row.state.set(State.SCHEDULED),
            Row.due_at.set(message.due_at),
            Row.useful_until.set(message.useful_until),
            Row.version.set(message.version),
            Row.scheduled_message_id.set(message.scheduled_message_id),
            Row.attempts.set(message.attempts),
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
        page: dict[str, Any] | None = None
        while True:
            answer = self.table.query(
                contact.key,
                range_key_condition=Item.sk.startswith(f"{SCHEDULED}#"),
                filter_condition=Row.scheduled_message_id == scheduled_message_id,
                consistent_read=True,
                exclusive_start_key=page,
            )
            for raw in answer["Items"]:
                return _message(Row.from_raw_data(raw))
            page = answer.get("LastEvaluatedKey")
            if not page:
                return None

    def record_receipt(self, message: ScheduledMessage) -> bool:
        actions = [*_ended(message), *_answered(message)]
        before = FOLLOWS[message.state] - {message.state}
        return self._update(message.key, actions, Row.state.is_in(*before)) is not None

    # The calls

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

    def _put(self, item: Item, condition: Condition) -> bool:
        raw = item.serialize()
        pk, sk = raw.pop("pk")["S"], raw.pop("sk")["S"]
        try:
            self.table.put_item(pk, range_key=sk, attributes=raw, condition=condition)
        except PutError as error:
            return _unmet(error)
        return True

    def _update(self, key: MessageKey, actions: Sequence[Action], condition: Condition) -> ScheduledMessage | None:
        """The row after the update; ``None`` where the condition failed. Never creates a row."""
        try:
            answer = self.table.update_item(
                key.pk,
                range_key=key.sk,
                actions=list(actions),
                condition=Item.pk.exists() & condition,
                return_values="ALL_NEW",
            )
        except UpdateError as error:
            _unmet(error)
            return None
        return _message(Row.from_raw_data(answer["Attributes"]))


CONTACT: Final = "CONTACT"
CONVERSATION: Final = "CONVERSATION"
SUBJECT: Final = "SUBJECT"
SCHEDULED: Final = "SCHEDULED"
READS: Final = 3


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
        if name in ("pk", "sk", "type"):
            continue
        value = getattr(item, name)
        condition &= attribute.does_not_exist() if value is None else attribute == value
    return condition


def _message_sk(message_id: str) -> str:
    return f"MESSAGE#{message_id}"


def _profile_item(contact: Contact, profile: Profile) -> ProfileItem:
    return ProfileItem(
        contact.key,
        CONTACT,
        first_seen_at=profile.first_seen_at,
        last_seen_at=profile.last_seen_at,
        locale=profile.locale,
        timezone=profile.timezone,
        display_name=profile.display_name,
        expires_at=profile.expires_at,
    )


def _profile(item: Item | None) -> Profile | None:
    if not isinstance(item, ProfileItem):
        return None
    return Profile(
        item.first_seen_at,
        item.last_seen_at,
        int(item.expires_at),
        item.locale,
        item.timezone,
        item.display_name,
    )


def _conversation_item(contact: Contact, conversation: Conversation) -> ConversationItem:
    return ConversationItem(
        contact.key,
        CONVERSATION,
        last_inbound_at=conversation.last_inbound_at,
        previous_inbound_at=conversation.previous_inbound_at,
        opened_by=conversation.opened_by,
        opening=conversation.opening,
        expires_at=conversation.expires_at,
    )


def _conversation(item: Item | None) -> Conversation | None:
    if not isinstance(item, ConversationItem):
        return None
    return Conversation(
        item.last_inbound_at,
        item.opened_by,
        "started" if item.opening == "started" else "restarted",
        int(item.expires_at),
        item.previous_inbound_at,
    )


def _subject(ref: SubjectRef, item: Item | None) -> Subject | None:
    if not isinstance(item, SubjectItem):
        return None
    return Subject(ref, _families(item.families), _families(item.previous), int(item.expires_at), int(item.revision))


def _families_json(families: Mapping[str, Family]) -> dict[str, Any]:
    return {
        name: {
            "version": family.version,
            "revision": family.revision,
            "active": family.active,
            "said": {field: list(said) for field, said in family.said.items()},
        }
        for name, family in families.items()
    }


def _families(stored: Mapping[str, Any]) -> dict[str, Family]:
    return {
        name: Family(
            family["version"],
            family["active"],
            {field: Said(version, value) for field, (version, value) in family["said"].items()},
            family["revision"],
        )
        for name, family in stored.items()
    }


def _row_item(message: ScheduledMessage, at: datetime) -> ScheduledMessageItem:
    indexed = message.state is State.SCHEDULED
    return Row(
        *message.key,
        due_shard=f"{message.door}#{message.contact.shard}" if indexed else None,
        due_at=message.due_at,
        useful_until=message.useful_until,
        version=message.version,
        scheduled_message_id=message.scheduled_message_id,
        state=message.state,
        rule=message.rule,
        facts=dict(message.facts) or None,
        settled_at=message.settled_at,
        expires_at=expiry(max(message.due_at, at) + RETENTION),
    )


def _message(item: Item) -> ScheduledMessage:
    assert isinstance(item, ScheduledMessageItem)
    _, brand, channel, address = item.pk.split("#", 3)
    _, reason, rest = item.sk.split("#", 2)
    subject_id, step, about = rest.rsplit("#", 2)
    return ScheduledMessage(
        contact=Contact(brand, channel, address),
        reason=reason,
        subject=SubjectRef(brand, REASONS[reason].kind, subject_id),
        step=step,
        about=parse_instant(about),
        due_at=item.due_at,
        useful_until=item.useful_until,
        version=int(item.version),
        state=State(item.state),
        rule=item.rule,
        facts=item.facts or {},
        attempts=int(item.attempts or 0),
        claim_id=item.claim_id,
        claimed_at=item.claimed_at,
        settled_at=item.settled_at,
        provider=item.provider,
        provider_message_id=item.provider_message_id,
        error=item.error,
    )


def _ended(message: ScheduledMessage) -> list[Action]:
    assert message.settled_at is not None
    return [Row.state.set(message.state), Row.settled_at.set(message.settled_at), Row.due_shard.remove()]


def _decided(message: ScheduledMessage) -> list[Action]:
    rule = Row.rule.set(message.rule) if message.rule else Row.rule.remove()
    facts = Row.facts.set(dict(message.facts)) if message.facts else Row.facts.remove()
    return [rule, facts]


def _answered(message: ScheduledMessage) -> list[Action]:
    answers = (
        (Row.provider, message.provider),
        (Row.provider_message_id, message.provider_message_id),
        (Row.error, brief(message.error) if message.error else None),
    )
    return [attribute.set(value) for attribute, value in answers if value]
