"""A run's queue: a bound of workers for each route, shared by its brands; one message a contact at a time.

Of a brand, the message with the earliest deadline comes first.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple


class Share(NamedTuple):
    """The messages of one brand that go by one route."""

    route: str
    brand: str = ""


class SendQueue[Task]:
    """Not thread-safe: its run guards it. ``workers``: the most that one route may have."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: defaultdict[Share, list[tuple[Any, int, str, Task]]] = defaultdict(list)
        self._running: Counter[str] = Counter()
        self._running_of: Counter[Share] = Counter()
        self._limit: Counter[str] = Counter()
        self._contacts: set[str] = set()
        self._numbers = count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def waiting(self) -> Iterator[Task]:
        """Yield every task that is not taken, in no order."""
        for waiting in self._waiting.values():
            yield from (task for _, _, _, task in waiting)

    def upcoming(self, most: int) -> Iterator[Task]:
        """Yield tasks that come next: of each route and brand those with about the earliest deadlines."""
        for waiting in self._waiting.values():
            yield from (task for _, _, _, task in waiting[:most])

    def remove(self, is_removed: Callable[[Task], bool]) -> int:
        """Remove the waiting tasks for which ``is_removed`` is true; return how many."""
        before = self._size
        for waiting in self._waiting.values():
            waiting[:] = [entry for entry in waiting if not is_removed(entry[3])]
            heapq.heapify(waiting)
        self._size = sum(map(len, self._waiting.values()))
        return before - self._size

    def put(self, task: Task, share: Share, contact: str, deadline: Any) -> None:
        """Add a task. ``contact``: empty for a task of no contact."""
        heapq.heappush(self._waiting[share], (deadline, next(self._numbers), contact, task))
        self._size += 1

    def take(self) -> Task | None:
        """Return the next task that may run now, or ``None``.

        Of the routes below their bound, the one with the fewest workers comes first. Of its brands, the one with the
        fewest workers comes first; then the earliest deadline. So a brand with many messages does not delay others.
        """
        shares = [share for share, waiting in self._waiting.items() if waiting and self._is_free(share.route)]
        for share in sorted(shares, key=self._order):
            if (task := self._take_of(share)) is not None:
                return task
        return None

    def done(self, share: Share, contact: str, *, ok: bool | None) -> None:
        """Release the task's worker and contact; ``ok``: whether its route works, ``None`` if that is not known."""
        route = share.route
        self._running[route] -= 1
        self._running_of[share] -= 1
        self._contacts.discard(contact)
        if ok:
            self._limit[route] = min(self._limit[route] + 1, self._workers)
        elif ok is False:
            self._limit[route] //= 2

    def _is_free(self, route: str) -> bool:
        return self._running[route] < min(self._workers, 1 + self._limit[route])

    def _order(self, share: Share) -> tuple[Any, ...]:
        deadline, *_ = self._waiting[share][0]
        return (deadline[0], self._running[share.route], self._running_of[share], deadline)

    def _take_of(self, share: Share) -> Task | None:
        """Return the first task whose contact has no message in hand."""
        waiting, skipped, found = self._waiting[share], [], None
        while waiting:
            entry = heapq.heappop(waiting)
            _, _, contact, task = entry
            if contact and contact in self._contacts:
                skipped.append(entry)
                continue
            found = task
            if contact:
                self._contacts.add(contact)
            self._running[share.route] += 1
            self._running_of[share] += 1
            self._size -= 1
            break
        for entry in skipped:
            heapq.heappush(waiting, entry)
        return found
