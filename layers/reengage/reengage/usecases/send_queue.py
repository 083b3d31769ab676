"""A run's queue: earliest deadline first, a bound of workers for each route, one message a contact at a time."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any


class SendQueue[Task]:
    """Not thread-safe: its run guards it. ``workers``: the most that one route may have."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: defaultdict[str, list[tuple[Any, int, str, Task]]] = defaultdict(list)
        self._running: Counter[str] = Counter()
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
        """Yield tasks that come next: of each route those with about the earliest deadlines."""
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

    def put(self, task: Task, route: str, contact: str, deadline: Any) -> None:
        """Add a task. ``contact``: empty for a task of no contact."""
        heapq.heappush(self._waiting[route], (deadline, next(self._numbers), contact, task))
        self._size += 1

    def take(self) -> Task | None:
        """Return the next task that may run now, or ``None``.

        Of the routes below their bound, the one with the fewest workers comes first; then the earliest deadline.
        """
        routes = [
            route for route, waiting in self._waiting.items() if waiting and self._running[route] < self._bound(route)
        ]
        for route in sorted(routes, key=lambda route: (self._waiting[route][0][0][0], self._running[route])):
            if (task := self._take_of(route)) is not None:
                return task
        return None

    def done(self, route: str, contact: str, *, ok: bool | None) -> None:
        """Release the task's worker and contact; ``ok``: whether its route works, ``None`` if that is not known."""
        self._running[route] -= 1
        self._contacts.discard(contact)
        if ok:
            self._limit[route] = min(self._limit[route] + 1, self._workers)
        elif ok is False:
            self._limit[route] //= 2

    def _bound(self, route: str) -> int:
        return min(self._workers, 1 + self._limit[route])

    def _take_of(self, route: str) -> Task | None:
        """Return the route's first task whose contact has no message in hand."""
        waiting, skipped, found = self._waiting[route], [], None
        while waiting:
            entry = heapq.heappop(waiting)
            _, _, contact, task = entry
            if contact and contact in self._contacts:
                skipped.append(entry)
                continue
            found = task
            if contact:
                self._contacts.add(contact)
            self._running[route] += 1
            self._size -= 1
            break
        for entry in skipped:
            heapq.heappush(waiting, entry)
        return found
