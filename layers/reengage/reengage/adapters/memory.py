"""The store in memory: a first-class one, held to the same contract as DynamoDB's."""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import batched
from threading import RLock
from typing import Final, NamedTuple, get_args

from reengage.domain.brand import STACK, Brand
from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import BroadcastShard, Recipient, ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import SHARDS, Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage, expiry
from reengage.domain.erasure import named_at, part_of, without_contact
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import FOLLOWS, GivenAnswer, MessageKey, ScheduledMessage, State, brief
from reengage.domain.preferences import Preferences, preferences_of
from reengage.domain.purchases import purchases_of
from reengage.domain.questions import ASKING_REASONS, HANDED_OVER
from reengage.domain.reasons import Audience, Category, Priority, SendGroup
from reengage.domain.subject import Subject, SubjectRef, starts_on
from reengage.ports import DueKey, Holdings, KeptMessage, Page, Snapshot, Thread

NEVER_AFTER: Final = timedelta(days=5 * 365)
"""What expired longer ago than this, TTL takes for a mistake and leaves (Amazon DynamoDB, "Using time to live")."""


@dataclass(frozen=True, slots=True)
class _Row:
    message: ScheduledMessage
    expires_at: int
    indexed: bool


class _Link(NamedTuple):
    named_at: datetime
    expires_at: int


class _Taken(NamedTuple):
    cap_usage: CapUsage
    expires_at: int


Queue = tuple[SendGroup, Priority, int]
"""A send group, a priority and a shard."""

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

PAGE: Final = 1000
"""Entries of the ``due`` index at once."""


class _Entry(NamedTuple):
    """``number`` orders entries of one instant: the one that came first is first."""

    due_at: datetime
    number: int
    key: MessageKey


@dataclass(slots=True)
class _DueIndex:
    """For each queue the keys in it, in order of ``due_at``; a key is in one queue at most, once."""

    _queues: dict[Queue, list[_Entry]] = field(default_factory=dict)
    _places: dict[MessageKey, tuple[Queue, _Entry]] = field(default_factory=dict)
    _number: int = 0
    changes: int = 0

    def put(self, key: MessageKey, queue: Queue, due_at: datetime) -> None:
        if place := self._places.get(key):
            if place[0] == queue and place[1].due_at == due_at:
                return
            self.remove(key)
        self._number += 1
        self.changes += 1
        entry = _Entry(due_at, self._number, key)
        self._places[key] = (queue, entry)
        insort(self._queues.setdefault(queue, []), entry)

    def remove(self, key: MessageKey) -> None:
        if place := self._places.pop(key, None):
            self.changes += 1
            queue, entry = place
            entries = self._queues[queue]
            del entries[bisect_left(entries, entry)]

    def keep(self, is_stored: Callable[[MessageKey], bool]) -> None:
        """Remove every key that is not stored."""
        for key in [key for key in self._places if not is_stored(key)]:
            self.remove(key)

    def until(self, queue: Queue, now: datetime) -> list[MessageKey]:
        """Return the keys that are due at ``now``, oldest first."""
        entries = self._queues.get(queue, [])
        return [entry.key for entry in entries[: bisect_right(entries, now, key=_due_at)]]

    def first(self, after: datetime | None = None) -> datetime | None:
        """Return the earliest ``due_at`` of all queues, or the earliest later than ``after``."""
        if after is None:
            return min((entries[0].due_at for entries in self._queues.values() if entries), default=None)
        later = ((entries, bisect_right(entries, after, key=_due_at)) for entries in self._queues.values())
        return min((entries[at].due_at for entries, at in later if at < len(entries)), default=None)

    def all_until(self, now: datetime) -> list[MessageKey]:
        """Return the keys of all queues that are due at ``now``."""
        return [key for queue in self._queues for key in self.until(queue, now)]

    def is_due(self, queue: Queue, now: datetime) -> bool:
        entries = self._queues.get(queue, [])
        return bool(entries) and entries[0].due_at <= now


def _due_at(entry: _Entry) -> datetime:
    return entry.due_at


@dataclass(slots=True)
class _OfContact:
    """The keys of what is stored under one contact, in the order in which they came in."""

    rows: dict[MessageKey, None] = field(default_factory=dict)
    messages: dict[tuple[Contact, str], None] = field(default_factory=dict)
    links: dict[tuple[Contact, SubjectRef], None] = field(default_factory=dict)


HOLDINGS_PAGE: Final = 1000
"""Messages in one part of an export."""


@dataclass(slots=True)
class MemoryStore:
    """Everything in dictionaries, under one lock; what a contact has is found by the contact's key."""

    _profiles: dict[Contact, Profile] = field(default_factory=dict)
    _conversations: dict[Contact, Conversation] = field(default_factory=dict)
    _messages: dict[tuple[Contact, str], tuple[InboundMessage, int]] = field(default_factory=dict)
    _subjects: dict[SubjectRef, Subject] = field(default_factory=dict)
    _rows: dict[MessageKey, _Row] = field(default_factory=dict)
    _preferences: dict[str, Preferences] = field(default_factory=dict)
    _brands: dict[str, Brand] = field(default_factory=dict)
    _links: dict[tuple[Contact, SubjectRef], _Link] = field(default_factory=dict)
    _taken: dict[tuple[Contact, Category], _Taken] = field(default_factory=dict)
    _slots: dict[str, datetime] = field(default_factory=dict)
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _parts: dict[MessageKey, BroadcastShard] = field(default_factory=dict)
    _due: _DueIndex = field(default_factory=_DueIndex)
    _of_contact: defaultdict[str, _OfContact] = field(default_factory=lambda: defaultdict(_OfContact))
    _audience: defaultdict[str, dict[str, tuple[str, Recipient]]] = field(default_factory=lambda: defaultdict(dict))
    _lock: RLock = field(default_factory=RLock)

    # Ingest

    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread:
        with self._lock:
            known = message_id is not None and (contact, message_id) in self._messages
            preferences = self.read_preferences(contact)
            return Thread(self._profiles.get(contact), self._conversations.get(contact), known, preferences)

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        with self._lock:
            if self._conversations.get(contact) != replacing:
                return False
            self._conversations[contact] = conversation
            closes_on = conversation.closes_at.astimezone(UTC).date().isoformat()
            self._audience[_open(contact.brand, contact.shard)][contact.key] = closes_on, Recipient(contact)
            return True

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        with self._lock:
            if self._profiles.get(contact) != replacing:
                return False
            self._profiles[contact] = profile
            return True

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        with self._lock:
            key = (message.contact, message.message_id)
            self._messages.setdefault(key, (message, expires_at))
            self._of_contact[message.contact.key].messages[key] = None

    # Preferences

    def read_preferences(self, contact: Contact) -> Preferences:
        return self.read_linked(self.preferences_key(contact))

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        return self.write_linked(self.preferences_key(contact), preferences)

    def preferences_key(self, contact: Contact) -> str:
        return preferences_of(contact)

    def read_linked(self, key: str) -> Preferences:
        return self._preferences.get(key, Preferences())

    def write_linked(self, key: str, preferences: Preferences) -> bool:
        with self._lock:
            if self.read_linked(key).revision != preferences.revision:
                return False
            if preferences.is_empty:
                self._preferences.pop(key, None)
            else:
                self._preferences[key] = replace(preferences, revision=preferences.revision + 1)
            return True

    # Brands

    def read_brand(self, brand: str) -> Brand | None:
        return self._brands.get(brand)

    def write_brand(self, brand: Brand) -> bool:
        with self._lock:
            stored = self._brands.get(brand.id)
            if (stored.revision if stored else 0) != brand.revision:
                return False
            self._brands[brand.id] = replace(brand, revision=brand.revision + 1)
            return True

    # Plan

    def read_subject(self, ref: SubjectRef) -> Subject | None:
        return self._subjects.get(ref)

    def write_subject(self, subject: Subject) -> bool:
        with self._lock:
            stored = self._subjects.get(subject.ref)
            if (stored.revision if stored else 0) != subject.revision:
                return False
            self._subjects[subject.ref] = replace(subject, revision=subject.revision + 1)
            if subject.ref.of and subject.ref.kind == "interest":
                self._note_interest(subject.ref.of, subject)
            return True

    def _note_interest(self, contact: Contact, subject: Subject) -> None:
        noted = self._audience[_interested(subject.ref, contact.shard)]
        if subject.is_undone("interest"):
            noted.pop(contact.key, None)
            return
        since = parse_instant(subject.tracks["interest"].get("shown_at"))
        lasts_until = datetime.fromtimestamp(subject.expires_at, UTC).date().isoformat()
        noted[contact.key] = f"{lasts_until}#{iso(since)}", Recipient(contact, since)

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        with self._lock:
            link = _Link(named_at(subject, contact), subject.expires_at)
            stored = self._links.get((contact, subject.ref), link)
            self._links[contact, subject.ref] = _Link(
                max(stored.named_at, link.named_at), max(stored.expires_at, link.expires_at)
            )
            self._of_contact[contact.key].links[contact, subject.ref] = None

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        with self._lock:
            row = self._rows.get(message.key)
            stored = row.message if row else None
            in_time = replace(message, state=State.SCHEDULED, rule=None, facts={}, settled_at=None)
            if stored is None or (stored.state is State.SKIPPED and stored.version < message.version):
                planned = message
            elif stored.state is State.SCHEDULED and stored.version < message.version:
                planned = in_time
            else:
                return stored
            expires_at = message.expires_at(at)
            self._put(_Row(planned, expires_at, planned.state is State.SCHEDULED))
            return planned

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        with self._lock:
            row = self._rows.get(message.key)
            if row and row.message.state is State.SCHEDULED and row.message.version <= version:
                skipped = replace(row.message, state=State.SKIPPED, rule=rule, settled_at=at)
                row = self._put(replace(row, message=skipped, indexed=False))
            return row.message if row and row.message.is_withdrawn else None

    def pending_messages(self, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            rows = self._messages_of(contact)
            return [message for message in rows if message.state in (State.SCHEDULED, State.SENDING)]

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.state is not State.SCHEDULED or row.message.due_at != message.due_at:
                return False
            moved = replace(row.message, due_at=due_at, planned_due_at=planned_due_at)
            self._put(replace(row, message=moved, expires_at=moved.expires_at(row.message.planned_at)))
            return True

    # Broadcast

    def write_shard(self, part: BroadcastShard) -> bool:
        with self._lock:
            stored = self._parts.get(part.key)
            if stored and stored.version >= part.version:
                return False
            self._put_part(part)
            return True

    def read_shard(self, key: MessageKey) -> BroadcastShard | None:
        return self._parts.get(key)

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        with self._lock:
            return [part for key, part in sorted(self._parts.items()) if key.pk == subject.key]

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        name = _interested(subject, shard) if audience == "interested" else _open(subject.brand, shard)
        after = max((day.isoformat(), ""), tuple((cursor or "").split("\n", 1)))
        with self._lock:
            ahead = ((at, key, recipient) for key, (at, recipient) in self._audience[name].items() if (at, key) > after)
            there = (entry for entry in ahead if self._is_there(entry[2], subject))
            page = heapq.nsmallest(limit, there)
        last = "\n".join((page[-1][0], page[-1][1])) if len(page) == limit else None
        return Page([recipient for _, _, recipient in page], last)

    def save_progress(self, part: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        with self._lock:
            stored = self._parts.get(part.key)
            expected_state = (replacing.version, replacing.state, replacing.cursor)
            if stored is None or (stored.version, stored.state, stored.cursor) != expected_state:
                return False
            self._put_part(replace(stored, state=part.state, cursor=part.cursor, planned=part.planned))
            return True

    def count_outcomes(self, part: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        with self._lock:
            stored = self._parts.get(part)
            if stored and stored.version >= version:
                counted = Counter[str]()
                counted.update(stored.outcomes)
                counted.update(outcomes)
                self._parts[part] = replace(stored, outcomes=dict(counted))

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        with self._lock:
            return {contact: self.read_thread(contact) for contact in contacts}

    # Send

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        with self._lock:
            stored = [(key, self._stored(key)) for key in self._due.until((send_group, priority, shard), now)]
            entries = [DueKey(key, row.due_at, row.valid_until) for key, row in stored if row]
        return batched(entries, PAGE, strict=False)

    def _stored(self, key: MessageKey) -> ScheduledMessage | BroadcastShard | None:
        return self.read_message(key) or self._parts.get(key)

    def _put(self, row: _Row) -> _Row:
        message = row.message
        key = message.key
        self._rows[key] = row
        self._of_contact[key.pk].rows[key] = None
        if row.indexed:
            queue = (message.send_group, message.reason_spec.priority, message.contact.shard)
            self._due.put(key, queue, message.due_at)
        else:
            self._due.remove(key)
        return row

    def _put_part(self, part: BroadcastShard) -> None:
        self._parts[part.key] = part
        if part.state is ShardState.WAITING:
            queue = (part.reason_spec.send_group, part.reason_spec.priority, part.shard)
            self._due.put(part.key, queue, part.due_at)
        else:
            self._due.remove(part.key)

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        with self._lock:
            row = self._rows.get(due.key)
            if row is None or row.message.state is not State.SCHEDULED or row.message.due_at != due.due_at:
                return None
            claimed = replace(row.message, state=State.SENDING, claim_id=claim_id, claimed_at=at)
            self._put(replace(row, message=claimed))
            return claimed

    def read_message(self, key: MessageKey) -> ScheduledMessage | None:
        row = self._rows.get(key)
        return row.message if row else None

    def read_snapshot(self, message: ScheduledMessage) -> Snapshot:
        with self._lock:
            contact = message.contact
            interest = SubjectRef.known_to(contact, "interest", message.subject.id)
            return Snapshot(
                subject=self._subjects.get(message.subject),
                profile=self._profiles.get(contact),
                conversation=self._conversations.get(contact),
                preferences=self.read_preferences(contact),
                brand=self._brands.get(contact.brand),
                stack=self._brands.get(STACK),
                cap_usage=self._places(contact, message.reason_spec.category),
                interest=self._subjects.get(interest) if message.reason_spec.audience == "interested" else None,
                purchases=self._subjects.get(purchases_of(contact)) if message.reason_spec.ended_by_purchase else None,
            )

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        with self._lock:
            contact, category = message.contact, message.reason_spec.category
            if self._places(contact, category) != cap_usage:
                return False
            taken = cap_usage.take(message.scheduled_message_id, at, retention)
            taken = replace(taken, revision=cap_usage.revision + 1)
            self._taken[contact, category] = _Taken(taken, expiry(at + retention))
            return True

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        with self._lock:
            free_at = max(now, self._slots.get(channel, now))
            if free_at > now + max_wait:
                return None
            self._slots[channel] = free_at + duration
            return free_at

    def read_breaker(self, route: str) -> Breaker | None:
        return self._breakers.get(route)

    def breakers(self) -> Sequence[Breaker]:
        """Return every open breaker; for a simulation."""
        return list(self._breakers.values())

    def write_breaker(self, route: str, breaker: Breaker | None, *, replacing: Breaker | None) -> bool:
        with self._lock:
            if self._breakers.get(route) != replacing:
                return False
            if breaker is None:
                self._breakers.pop(route, None)
            else:
                self._breakers[route] = breaker
            return True

    def release_cap(self, message: ScheduledMessage) -> None:
        with self._lock:
            key = (message.contact, message.reason_spec.category)
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
                _answered(_decided(row.message, message), message),
                state=State.SCHEDULED,
                due_at=message.due_at,
                valid_until=message.valid_until,
                version=message.version,
                planned_at=message.planned_at,
                planned_due_at=message.planned_due_at,
                hold_rules=message.hold_rules,
                attempts=message.attempts,
            )
            self._put(replace(row, message=released, indexed=True, expires_at=released.expires_at(released.planned_at)))
            return True

    def settle(self, message: ScheduledMessage) -> bool:
        with self._lock:
            if row := self._held(message, FOLLOWS[message.state]):
                ended = replace(_decided(row.message, message), attempts=message.attempts)
                self._put(replace(row, message=_ended(ended, message), indexed=False))
                return True
            if message.provider and (row := self._held(message, frozenset({State.DELIVERED, State.UNDELIVERED}))):
                answered = _answered(_decided(row.message, message), message)
                self._put(replace(row, message=answered))
            return False

    # Receipts

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        with self._lock:
            found = (
                message
                for message in self._messages_of(contact)
                if message.scheduled_message_id == scheduled_message_id
            )
            return next(found, None)

    def record_receipt(self, message: ScheduledMessage) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.scheduled_message_id != message.scheduled_message_id:
                return False
            tried = row.message.state is State.SCHEDULED and row.message.attempts > 0
            if not tried and row.message.state not in FOLLOWS[message.state] - {message.state}:
                return False
            self._put(replace(row, message=_ended(row.message, message), indexed=False))
            return True

    # The front desk's day

    def appointments_of_day(self, brand: str, day: date) -> list[Subject]:
        with self._lock:
            return [
                subject
                for ref, subject in self._subjects.items()
                if (ref.brand, ref.kind) == (brand, "appointment") and starts_on(subject, day)
            ]

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        return {key: row for key in keys if (row := self.read_message(key))}

    # Answers

    def sent_questions(self, contact: Contact) -> list[ScheduledMessage]:
        with self._lock:
            rows = self._messages_of(contact)
            return [row for row in rows if row.reason in ASKING_REASONS and row.state in HANDED_OVER]

    def record_answer(self, message: ScheduledMessage, answer: GivenAnswer) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.state not in HANDED_OVER:
                return False
            if (row.message.scheduled_message_id, row.message.answer) != (message.scheduled_message_id, message.answer):
                return False
            self._put(replace(row, message=replace(row.message, answer=answer)))
            return True

    # All of a contact

    def read_holdings(self, contact: Contact) -> Holdings:
        with self._lock:
            refs = [ref for _, ref in self._links_of(contact)]
            return Holdings(
                profile=self._profiles.get(contact),
                conversation=self._conversations.get(contact),
                preferences=self.read_preferences(contact),
                inbound=[
                    KeptMessage(message.message_id, message.sent_at, message.text, message.kind)
                    for message, _ in (self._messages[key] for key in self._inbound_of(contact))
                ],
                scheduled=self._messages_of(contact),
                subjects=[
                    part for ref in refs if (subject := self._subjects.get(ref)) and (part := part_of(subject, contact))
                ],
                cap_usage={
                    category: self._taken[contact, category].cap_usage
                    for category in CATEGORIES
                    if (contact, category) in self._taken
                },
            )

    def read_holdings_page(self, contact: Contact, cursor: str | None = None) -> tuple[Holdings, str | None]:
        with self._lock:
            held, start = self.read_holdings(contact), int(cursor or 0)
            if start:
                held = Holdings(None, None, Preferences(), held.inbound, [], [], {})
            end = start + HOLDINGS_PAGE
            part = replace(held, inbound=held.inbound[start:end])
            return part, str(end) if end < len(held.inbound) else None

    def erase(self, contact: Contact, *, until: datetime) -> int:
        with self._lock:
            found = 0
            for _, ref in self._links_of(contact):
                subject = self._subjects.get(ref)
                rest = without_contact(subject, contact, until) if subject else None
                if rest and rest is not subject:
                    self._subjects[ref] = replace(rest, revision=rest.revision + 1)
                elif subject and rest is None:
                    del self._subjects[ref]
            found += _drop(self._profiles, [contact], lambda item: item.last_seen_at <= until)
            found += _drop(self._conversations, [contact], lambda item: item.last_inbound_at <= until)
            found += _drop(self._messages, self._inbound_of(contact), lambda item: item[0].sent_at <= until)
            found += _drop(self._rows, self._row_keys_of(contact), lambda row: row.message.planned_at <= until)
            found += _drop(self._links, self._links_of(contact), lambda link: link.named_at <= until)
            found += _drop(
                self._taken,
                [(contact, category) for category in CATEGORIES],
                lambda taken: all(at <= until for at in taken.cap_usage.instants()),
            )
            self._tidy(contact.key)
            return found

    # What tests and simulations do to it

    @property
    def due_changes(self) -> int:
        """A number that grows with each change of the ``due`` index."""
        return self._due.changes

    def next_due_at(self, *, after: datetime | None = None) -> datetime | None:
        """Return the earliest instant, later than ``after``, at which something is due in any send group."""
        with self._lock:
            return self._due.first(after)

    def due_messages(self, now: datetime) -> list[ScheduledMessage]:
        """Return the messages that are due at ``now``, of all send groups."""
        with self._lock:
            return [self._rows[key].message for key in self._due.all_until(now) if key in self._rows]

    def brands(self) -> list[Brand]:
        """Return every brand that was configured."""
        return list(self._brands.values())

    def due_shards(self, send_group: SendGroup, priority: Priority, now: datetime, *, first: int) -> list[int]:
        """Return the shards of which ``due`` would yield anything, from shard ``first`` (modulo ``SHARDS``) on."""
        with self._lock:
            shards = ((first + n) % SHARDS for n in range(SHARDS))
            return [shard for shard in shards if self._due.is_due((send_group, priority, shard), now)]

    def expire(self, now: datetime) -> None:
        """Delete what has expired, as DynamoDB's TTL does some time within days of an item's expiry."""
        first, last = int((now - NEVER_AFTER).timestamp()) + 1, int(now.timestamp())

        def is_gone(expires_at: int | None) -> bool:
            return expires_at is not None and first <= expires_at <= last

        with self._lock:
            _drop(self._profiles, list(self._profiles), lambda item: is_gone(item.expires_at))
            _drop(self._conversations, list(self._conversations), lambda item: is_gone(item.expires_at))
            _drop(self._subjects, list(self._subjects), lambda item: is_gone(item.expires_at))
            _drop(self._rows, list(self._rows), lambda item: is_gone(item.expires_at))
            _drop(self._parts, list(self._parts), lambda item: is_gone(item.expires_at))
            _drop(self._links, list(self._links), lambda item: is_gone(item.expires_at))
            _drop(self._taken, list(self._taken), lambda item: is_gone(item.expires_at))
            _drop(self._preferences, list(self._preferences), lambda item: is_gone(item.expires_at))
            _drop(self._messages, list(self._messages), lambda item: is_gone(item[1]))
            for pk in list(self._of_contact):
                self._tidy(pk)
            self._due.keep(lambda key: self._stored(key) is not None)

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

    def rows(self) -> list[ScheduledMessage]:
        """Every scheduled message, in order of due time."""
        return sorted((row.message for row in self._rows.values()), key=lambda message: message.due_at)

    def _is_there(self, recipient: Recipient, subject: SubjectRef) -> bool:
        """Whether what put them into the audience has not been deleted since."""
        if recipient.since is None:
            return recipient.contact in self._conversations
        return SubjectRef.known_to(recipient.contact, "interest", subject.id) in self._subjects

    def _places(self, contact: Contact, category: Category) -> CapUsage:
        taken = self._taken.get((contact, category))
        return taken.cap_usage if taken else CapUsage()

    def _held(self, message: ScheduledMessage, states: frozenset[State]) -> _Row | None:
        row = self._rows.get(message.key)
        if row is None or row.message.claim_id != message.claim_id or row.message.state not in states:
            return None
        return row


def _open(brand: str, shard: int) -> str:
    return f"{brand}#{shard}"


def _interested(subject: SubjectRef, shard: int) -> str:
    return f"{subject.brand}#{shard}#{subject.id}"


def _decided(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    return replace(stored, rule=message.rule, facts=message.facts)


def _ended(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    return replace(_answered(stored, message), state=message.state, settled_at=message.settled_at)


def _answered(stored: ScheduledMessage, message: ScheduledMessage) -> ScheduledMessage:
    """With what the message knows of the provider's answer; what it does not know stays as it was."""
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


def _drop[K, V](items: dict[K, V], keys: Iterable[K], is_gone: Callable[[V], bool]) -> int:
    """Delete those of ``keys`` that are gone; return how many."""
    gone = [key for key in keys if key in items and is_gone(items[key])]
    for key in gone:
        del items[key]
    return len(gone)
