"""A store in memory that holds the items of a deployed table, for simulations of what comes next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import singledispatchmethod
from typing import Any, Final
from urllib.parse import unquote

from reengage.adapters.dynamodb.items.base import Item
from reengage.adapters.dynamodb.items.contacts import (
    CapUsageItem,
    ConversationItem,
    InboundMessageItem,
    PreferencesItem,
    ProfileItem,
    to_cap_usage,
    to_conversation,
    to_preferences,
    to_profile,
    to_unclear,
)
from reengage.adapters.dynamodb.items.messages import (
    BroadcastShardItem,
    ScheduledMessageItem,
    to_broadcast_shard,
    to_message,
)
from reengage.adapters.dynamodb.items.openers import ConsentItem, OpenerItem, opener_pk, to_consent, to_opener
from reengage.adapters.dynamodb.items.outbox import UnpublishedItem, to_unpublished
from reengage.adapters.dynamodb.items.routes import BreakerItem, SendSlotItem, SilenceItem, to_breaker, to_silence
from reengage.adapters.dynamodb.items.subjects import (
    BrandItem,
    SubjectItem,
    SubjectLinkItem,
    linked_ref,
    to_brand,
    to_subject,
)
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import iso
from reengage.domain.message import State
from reengage.domain.openers import Opener
from reengage.domain.subject import OF_ONE_CONTACT, SubjectRef

from .store import MemoryStore
from .tables import CATEGORIES, CapItem, Link, Row

MICROSECONDS: Final = 1_000_000
SENT: Final = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED})


@dataclass
class RestoredStore(MemoryStore):
    """The store of a table's items. An opener of the table is known by its token when the token is used."""

    _opener_items: dict[str, OpenerItem] = field(default_factory=dict)

    def keyed_hash(self, text: str) -> str:
        return self.hash_address(text)

    def read_openers(self, brand: str, tokens: Sequence[str]) -> Mapping[str, Opener]:
        for token in tokens:
            self._find_opener(brand, token)
        return super().read_openers(brand, tokens)

    def write_opener(self, opener: Opener) -> None:
        self._find_opener(opener.brand, opener.token)
        super().write_opener(opener)

    def use_opener(self, opener: Opener, message: str, *, at: datetime) -> bool:
        self._find_opener(opener.brand, opener.token)
        return super().use_opener(opener, message, at=at)

    def _find_opener(self, brand: str, token: str) -> None:
        item = self._opener_items.pop(opener_pk(brand, token, self.hash_address), None)
        if opener := to_opener(brand, token, item):
            self._openers[brand, token] = opener

    def restore(self, attributes: Mapping[str, Any]) -> str:
        """Store one item of the table, in DynamoDB's JSON, and return its type.

        Raises ``ValueError`` for an item that this app did not write.
        """
        try:
            item = Item.from_raw_data(dict(attributes))
            self._restore(item)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            kind = attributes.get("type", {}).get("S")
            raise ValueError(f"an item of type {kind!r} that cannot be read: {error!r}") from error
        return str(attributes["type"]["S"])

    def history(self) -> Iterator[tuple[datetime, str, Mapping[str, Any]]]:
        """Yield what came in, what is planned and what was sent, as instants, detail-types and details of events."""
        for message, _ in self._messages.values():
            detail = {"message_id": message.message_id, "sent_at": iso(message.sent_at), "text": message.text}
            profile = self._profiles.get(message.contact)
            known = {"timezone": profile.timezone, "display_name": profile.display_name} if profile else {}
            yield message.sent_at, "MessageReceived", _named(message.contact) | detail | {"kind": message.kind} | known
        for row in self.rows():
            about = {"scheduled_message_id": row.scheduled_message_id, "reason": row.reason}
            detail = _named(row.contact) | about | {"subject_id": row.subject.id}
            yield row.planned_at, "MessagePlanned", detail | {"due_at": iso(row.planned_due_at or row.due_at)}
            if row.settled_at and row.state in SENT:
                sent = {"sent_at": iso(row.settled_at), "text": row.text, "facts": dict(row.facts)}
                yield row.settled_at, "MessageSent", detail | sent

    @singledispatchmethod
    def _restore(self, item: Item) -> None:
        raise TypeError(f"no way to restore {type(item).__name__}")

    @_restore.register
    def _(self, item: ProfileItem) -> None:
        profile = to_profile(item)
        assert profile
        self._profiles[_contact(item)] = profile

    @_restore.register
    def _(self, item: ConversationItem) -> None:
        conversation = to_conversation(item)
        assert conversation
        self.write_conversation(_contact(item), conversation, replacing=None)

    @_restore.register
    def _(self, item: InboundMessageItem) -> None:
        message_id = item.sk.partition("#")[2]
        message = InboundMessage(_contact(item), message_id, item.sent_at, item.sent_at, item.text, kind=item.kind)
        self.write_message(replace(message, unclear=to_unclear(item)), expires_at=int(item.expires_at))

    @_restore.register
    def _(self, item: PreferencesItem) -> None:
        self._preferences[item.pk.partition("#")[2]] = to_preferences(item)

    @_restore.register
    def _(self, item: CapUsageItem) -> None:
        category = next(each for each in CATEGORIES if item.sk.endswith(f"#{each}"))
        self._taken[_contact(item), category] = CapItem(to_cap_usage(item), int(item.expires_at))

    @_restore.register
    def _(self, item: SubjectItem) -> None:
        subject = to_subject(_subject_ref(item.pk), item)
        assert subject
        self._subjects[subject.ref] = subject
        if subject.ref.of and subject.ref.kind == "interest":
            self._note_interest(subject.ref.of, subject)

    @_restore.register
    def _(self, item: SubjectLinkItem) -> None:
        contact = _contact(item)
        ref = linked_ref(contact, item)
        assert ref
        self._links[contact, ref] = Link(item.named_at, int(item.expires_at))
        self._of_contact[contact.key].links[contact, ref] = None

    @_restore.register
    def _(self, item: BrandItem) -> None:
        brand_id = item.pk.partition("#")[2]
        brand = to_brand(brand_id, item)
        assert brand
        self._brands[brand_id] = brand

    @_restore.register
    def _(self, item: ScheduledMessageItem) -> None:
        message = to_message(item)
        self._put(message.key, Row(message, int(item.expires_at), item.due_shard is not None))

    @_restore.register
    def _(self, item: BroadcastShardItem) -> None:
        shard = to_broadcast_shard(item)
        assert shard
        self._put_shard(shard)

    @_restore.register
    def _(self, item: UnpublishedItem) -> None:
        unpublished = to_unpublished(item)
        assert unpublished
        self.write_unpublished(unpublished)

    @_restore.register
    def _(self, item: SendSlotItem) -> None:
        self._slots[item.pk.partition("#")[2]] = datetime.fromtimestamp(int(item.free_at) / MICROSECONDS, UTC)

    @_restore.register
    def _(self, item: BreakerItem) -> None:
        breaker = to_breaker(item)
        assert breaker
        self._breakers[item.pk.partition("#")[2]] = breaker

    @_restore.register
    def _(self, item: OpenerItem) -> None:
        self._opener_items[item.pk] = item

    @_restore.register
    def _(self, item: ConsentItem) -> None:
        contact = _contact(item)
        self.write_consent(contact, to_consent(contact, item), expires_at=int(item.expires_at))

    @_restore.register
    def _(self, item: SilenceItem) -> None:
        silence = to_silence(item)
        assert silence
        self._silences[item.sk] = silence


def _named(contact: Contact) -> dict[str, Any]:
    return {"contact": {"brand": contact.brand, "channel": contact.channel, "address": contact.address}}


def _contact(item: Item) -> Contact:
    _, brand, channel, address = item.pk.split("#", 3)
    return Contact(brand, channel, address)


def _subject_ref(pk: str) -> SubjectRef:
    _, brand, kind, rest = pk.split("#", 3)
    if kind not in OF_ONE_CONTACT:
        return SubjectRef(brand, kind, rest)
    channel, address, subject_id = rest.split("#", 2)
    return SubjectRef(brand, kind, subject_id, Contact(brand, channel, unquote(address)))
