"""The dictionaries of the store in memory, and the indexes over them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import RLock
from typing import Any, Final, NamedTuple, get_args

from reengage.domain.brand import Brand
from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import BroadcastShard, Recipient, ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.openers import Consent, Opener
from reengage.domain.outbox import UnpublishedList
from reengage.domain.preferences import Preferences, preferences_of
from reengage.domain.reasons import Category
from reengage.domain.silence import Silence
from reengage.domain.subject import Subject, SubjectRef

from .due_index import DueIndex

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
NO_PREFERENCES: Final = Preferences()


class Row(NamedTuple):
    """A scheduled message. ``indexed``: it is in the ``due`` index."""

    message: ScheduledMessage
    expires_at: int
    indexed: bool

    def changed(self, **fields: Any) -> "Row":
        """Return the row with other values of its message's fields."""
        return self._replace(message=replace(self.message, **fields))


class Link(NamedTuple):
    """A subject that names a contact, and when it last did."""

    named_at: datetime
    expires_at: int


class CapItem(NamedTuple):
    """The cap usage of a contact in one category."""

    cap_usage: CapUsage
    expires_at: int


@dataclass(slots=True)
class ContactKeys:
    """The keys of what is stored under one contact, in the order in which they came in."""

    rows: dict[MessageKey, None] = field(default_factory=dict)
    messages: dict[tuple[Contact, str], None] = field(default_factory=dict)
    links: dict[tuple[Contact, SubjectRef], None] = field(default_factory=dict)


@dataclass
class Tables:
    """Everything in dictionaries, under one lock. A contact's items are found by the contact's key."""

    _profiles: dict[Contact, Profile] = field(default_factory=dict)
    _conversations: dict[Contact, Conversation] = field(default_factory=dict)
    _messages: dict[tuple[Contact, str], tuple[InboundMessage, int]] = field(default_factory=dict)
    _subjects: dict[SubjectRef, Subject] = field(default_factory=dict)
    _rows: dict[MessageKey, Row] = field(default_factory=dict)
    _preferences: dict[str, Preferences] = field(default_factory=dict)
    _brands: dict[str, Brand] = field(default_factory=dict)
    _links: dict[tuple[Contact, SubjectRef], Link] = field(default_factory=dict)
    _taken: dict[tuple[Contact, Category], CapItem] = field(default_factory=dict)
    _slots: dict[str, datetime] = field(default_factory=dict)
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _silences: dict[str, Silence] = field(default_factory=dict)
    _shards: dict[MessageKey, BroadcastShard] = field(default_factory=dict)
    _openers: dict[tuple[str, str], Opener] = field(default_factory=dict)
    _consents: dict[tuple[Contact, str], tuple[Consent, int]] = field(default_factory=dict)
    _unpublished: dict[MessageKey, UnpublishedList] = field(default_factory=dict)
    _due: DueIndex = field(default_factory=DueIndex)
    _of_contact: defaultdict[str, ContactKeys] = field(default_factory=lambda: defaultdict(ContactKeys))
    _audience: defaultdict[str, dict[str, tuple[str, Recipient]]] = field(default_factory=lambda: defaultdict(dict))
    _lock: RLock = field(default_factory=RLock)
    hash_address: Callable[[str], str] = str
    """Makes the key of preferences from what identifies a contact; a restored store has the deployed app's."""

    def _stored(self, key: MessageKey) -> ScheduledMessage | BroadcastShard | UnpublishedList | None:
        if row := self._rows.get(key):
            return row.message
        return self._shards.get(key) or self._unpublished.get(key)

    def _put(self, key: MessageKey, row: Row) -> Row:
        message = row.message
        self._rows[key] = row
        self._of_contact[key.pk].rows[key] = None
        if row.indexed:
            queue = (message.send_group, message.reason_spec.priority, message.contact.shard)
            self._due.put(key, queue, message.due_at)
        else:
            self._due.remove(key)
        return row

    def _put_shard(self, shard: BroadcastShard) -> None:
        self._shards[shard.key] = shard
        if shard.state is ShardState.WAITING:
            queue = (shard.reason_spec.send_group, shard.reason_spec.priority, shard.shard)
            self._due.put(shard.key, queue, shard.due_at)
        else:
            self._due.remove(shard.key)

    def _tidy(self, pk: str) -> None:
        """Remove from the indexes of one contact what is not stored any more."""
        indexed = self._of_contact[pk]
        for key in [key for key in indexed.rows if key not in self._rows]:
            del indexed.rows[key]
            self._due.remove(key)
        for message in [key for key in indexed.messages if key not in self._messages]:
            del indexed.messages[message]
        for link in [key for key in indexed.links if key not in self._links]:
            del indexed.links[link]
        if not (indexed.rows or indexed.messages or indexed.links):
            del self._of_contact[pk]

    def _row_keys_of(self, contact: Contact) -> list[MessageKey]:
        indexed = self._of_contact.get(contact.key)
        return [key for key in indexed.rows if key in self._rows] if indexed else []

    def _messages_of(self, contact: Contact) -> list[ScheduledMessage]:
        return [self._rows[key].message for key in self._row_keys_of(contact)]

    def _inbound_of(self, contact: Contact) -> list[tuple[Contact, str]]:
        indexed = self._of_contact.get(contact.key)
        return [key for key in indexed.messages if key in self._messages] if indexed else []

    def _links_of(self, contact: Contact) -> list[tuple[Contact, SubjectRef]]:
        indexed = self._of_contact.get(contact.key)
        return [key for key in indexed.links if key in self._links] if indexed else []

    def _consents_of(self, contact: Contact) -> list[Consent]:
        return [consent for (owner, _), (consent, _) in self._consents.items() if owner == contact]

    def _preferences_of(self, contact: Contact) -> Preferences:
        return self._preferences.get(self.hash_address(preferences_of(contact)), NO_PREFERENCES)


def open_audience(brand: str, shard: int) -> str:
    return f"{brand}#{shard}"


def interested_audience(subject: SubjectRef, shard: int) -> str:
    return f"{subject.brand}#{shard}#{subject.id}"


def drop[K, V](items: dict[K, V], keys: Iterable[K], is_gone: Callable[[V], bool]) -> int:
    """Delete those of ``keys`` that are gone; return how many."""
    gone = [key for key in keys if key in items and is_gone(items[key])]
    for key in gone:
        del items[key]
    return len(gone)
