"""The ``due`` index of the store in memory."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from reengage.domain.message import MessageKey
from reengage.domain.reasons import Priority, SendGroup

Queue = tuple[SendGroup, Priority, int]
"""A send group, a priority and a shard."""


class _Entry(NamedTuple):
    """``number`` orders entries of one instant: the one that came first is first."""

    due_at: datetime
    number: int
    key: MessageKey


@dataclass(slots=True)
class DueIndex:
    """For each queue the keys in it, in order of ``due_at``; a key is in one queue at most, once."""

    _queues: dict[Queue, list[_Entry]] = field(default_factory=dict)
    _places: dict[MessageKey, tuple[Queue, _Entry]] = field(default_factory=dict)
    _number: int = 0
    _first: tuple[int, datetime | None] = (-1, None)
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
            if self._first[0] != self.changes:
                heads = (entries[0].due_at for entries in self._queues.values() if entries)
                self._first = self.changes, min(heads, default=None)
            return self._first[1]
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
