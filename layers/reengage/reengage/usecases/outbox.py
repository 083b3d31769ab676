"""Publish the events of a run at least once, also if the run is killed between a write and its event.

Before a run handles messages, it writes a list of them. After it has published their events, it deletes the list. A
killed run leaves its lists, and a later run publishes again what they name. A run pays for its lists, not a message:
about four write units for up to 25 messages, and eight for 100.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from threading import Lock
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.events_out import OutEvent
from reengage.domain.message import MERGED_WITH, MessageKey, ScheduledMessage
from reengage.domain.outbox import UnpublishedList, event_again
from reengage.domain.reasons import Priority, SendGroup
from reengage.errors import NotPublished
from reengage.ports import Clock, NewId, OutboxStore, Publish
from reengage.usecases.person import merged_at

PUBLISH_AT_ONCE: Final = 10
"""Events; PutEvents takes no more in one call."""

KEYS_AT_ONCE: Final = 100
"""Messages in one list: one request reads their rows again."""


@dataclass(slots=True)
class Outbox:
    """The events of one run. ``lists_last``: the longest time that the run may be at work on a list."""

    store: OutboxStore
    publish: Publish
    clock: Clock
    new_id: NewId
    send_group: SendGroup
    priority: Priority
    shard: int
    lists_last: timedelta
    _events: list[tuple[MessageKey, OutEvent]] = field(default_factory=list)
    _failed: dict[MessageKey, None] = field(default_factory=dict)
    _lists: dict[MessageKey, tuple[MessageKey, ...]] = field(default_factory=dict)
    _list_of: dict[MessageKey, MessageKey] = field(default_factory=dict)
    _to_do: dict[MessageKey, set[MessageKey]] = field(default_factory=dict)
    _began_at: datetime | None = None
    _lock: Lock = field(default_factory=Lock)
    _listing: Lock = field(default_factory=Lock)
    _publishing: Lock = field(default_factory=Lock)

    def cover(self, key: MessageKey, upcoming: Callable[[], Iterable[MessageKey]]) -> None:
        """List a message before it is handled, unless it is listed; along with it, those that come next."""
        if self._is_covered(key):
            return
        with self._listing:
            if not self._is_covered(key):
                keys = dict.fromkeys([key, *upcoming()])
                self._write([key for key in keys if key not in self._list_of][:KEYS_AT_ONCE])

    def add(self, key: MessageKey, events: Iterable[OutEvent], *, failed: bool = False) -> bool:
        """Note that a message was handled, and its events. Return whether there is enough to publish.

        ``failed``: an error came in between, and only the message's row shows what was done. It stays in a list.
        """
        with self._lock:
            self._events += [(key, event) for event in events]
            if failed:
                self._failed[key] = None
            if list_key := self._list_of.get(key):
                self._to_do[list_key].discard(key)
            return len(self._events) >= PUBLISH_AT_ONCE

    def flush(self, *, wait: bool = False) -> None:
        """Publish the events, unless another thread is at it, and delete the lists that are done."""
        if not self._publishing.acquire(blocking=wait):
            return
        try:
            self._publish(self._take_events())
            with self._lock:
                published = [list_key for list_key in self._lists if self._is_published(list_key)]
            self._delete(published)
        finally:
            self._publishing.release()

    def close(self) -> None:
        """Publish what is left, and leave a list only of the messages that failed: the bus did not take their events.

        Call it after every worker has ended.
        """
        self.flush(wait=True)
        written = list(self._lists)
        for some in batched(self._failed, KEYS_AT_ONCE, strict=False):
            self._write(some, at=self._began_at)
        self._delete(written)

    def _is_covered(self, key: MessageKey) -> bool:
        with self._lock:
            if list_key := self._list_of.get(key):
                self._to_do[list_key].add(key)
            return list_key is not None

    def _write(self, keys: Iterable[MessageKey], at: datetime | None = None) -> None:
        now = self.clock()
        self._began_at = self._began_at or now
        written = UnpublishedList(
            self.new_id(), self.send_group, self.priority, self.shard, at or now, now + self.lists_last, tuple(keys)
        )
        self.store.write_unpublished(written)
        with self._lock:
            self._lists[written.key] = written.keys
            self._to_do[written.key] = set(written.keys)
            self._list_of |= dict.fromkeys(written.keys, written.key)

    def _take_events(self) -> list[tuple[MessageKey, OutEvent]]:
        """Return the events, and cover by new lists what is handled from now on of the lists that are done."""
        with self._lock:
            events, self._events = self._events, []
            done = [list_key for list_key, to_do in self._to_do.items() if not to_do]
            for list_key in done:
                del self._to_do[list_key]
                for key in self._lists[list_key]:
                    self._list_of.pop(key, None)
            return events

    def _publish(self, events: list[tuple[MessageKey, OutEvent]]) -> None:
        """Publish; ``publish`` itself logs and counts what failed, and a later run publishes it again."""
        failed = True
        try:
            self.publish([event for _, event in events])
            failed = False
        except NotPublished:
            pass
        finally:
            if failed:
                with self._lock:
                    self._failed |= dict.fromkeys(key for key, _ in events)

    def _is_published(self, list_key: MessageKey) -> bool:
        return list_key not in self._to_do and self._failed.keys().isdisjoint(self._lists[list_key])

    def _delete(self, list_keys: Iterable[MessageKey]) -> None:
        for list_key in list_keys:
            self.store.delete_unpublished(list_key)
            with self._lock:
                del self._lists[list_key]


Closings = Callable[[Sequence[ScheduledMessage], UnpublishedList], Sequence[OutEvent]]
"""Return the events of the conversations that the list's run marked as closing."""


def publish_list(key: MessageKey, *, store: OutboxStore, publish: Publish, closings: Closings) -> None:
    """Publish the events of a list that a run left behind, and delete the list. Raises ``NotPublished``.

    An event may have been published before: each is published at least once.
    """
    if listed := store.read_unpublished(key):
        found = list(store.read_messages(listed.keys).values())
        rows = [row for first in found for row in (first, *_others(first, store))]
        publish([*(event for row in rows if (event := event_again(row, listed))), *closings(found, listed)])
        store.delete_unpublished(key)


def _others(message: ScheduledMessage, store: OutboxStore) -> list[ScheduledMessage]:
    """Return the other messages that the text of this one named; those of other addresses only if some are missing."""
    ids = message.facts.get(MERGED_WITH, ())
    found = _found(ids, [message.contact], store)
    known = {row.scheduled_message_id for row in found}
    if missing := [each for each in ids if each not in known]:
        found += _found(missing, merged_at(message, store), store)
    return found


def _found(ids: Sequence[str], contacts: Sequence[Contact], store: OutboxStore) -> list[ScheduledMessage]:
    rows = (store.find_message(contact, each) for each in ids for contact in contacts)
    return [row for row in rows if row]
