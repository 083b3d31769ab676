"""Decide by which routes a message may go, before it is claimed: an outage then costs no write a message."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Protocol

from reengage.domain.breaker import OPENS_AFTER, Breaker
from reengage.ports import BreakerStore, Clock, Outcome, Retryable, Unknown


class Health(Protocol):
    """What a sender asks and reports about routes."""

    def usable(self, routes: Sequence[str]) -> Sequence[str]:
        """Return the routes by which one message may go now. A route that needs a probe is returned once."""

    def is_open(self, route: str) -> bool:
        """Whether the route's breaker is open."""

    def is_blocked(self, route: str) -> bool:
        """Whether the route's breaker is open and allows no probe now."""

    def opened_at(self, route: str) -> datetime | None:
        """Return since when the route's breaker is open."""

    def record(self, route: str, outcome: Outcome, *, attempts: int) -> None:
        """Count the outcome of a call; open or close the route's breaker.

        ``attempts``: how often the message failed before, also in other runs.
        """


class AlwaysUsable:
    """No breakers: for a single message that is sent at once."""

    def usable(self, routes: Sequence[str]) -> Sequence[str]:
        return routes

    def is_open(self, route: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def is_blocked(self, route: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def opened_at(self, route: str) -> datetime | None:  # noqa: ARG002 - the protocol's
        return None

    def record(self, route: str, outcome: Outcome, *, attempts: int) -> None:
        """Remember nothing."""


@dataclass(slots=True)
class _Route:
    lock: Lock = field(default_factory=Lock)
    is_read: bool = False
    breaker: Breaker | None = None
    failures: int = 0


@dataclass(slots=True)
class RouteHealth:
    """The breakers of one run's routes. Each is read from the table once a run, when a message first needs it."""

    store: BreakerStore
    clock: Clock
    _routes: defaultdict[str, _Route] = field(default_factory=lambda: defaultdict(_Route))
    _lock: Lock = field(default_factory=Lock)

    def usable(self, routes: Sequence[str]) -> Sequence[str]:
        return [route for route in routes if self._may_use(route)]

    def is_open(self, route: str) -> bool:
        return self._of(route).breaker is not None

    def is_blocked(self, route: str) -> bool:
        breaker = self._read(route).breaker
        return breaker is not None and self.clock() < breaker.probe_at

    def opened_at(self, route: str) -> datetime | None:
        breaker = self._read(route).breaker
        return breaker.opened_at if breaker else None

    def record(self, route: str, outcome: Outcome, *, attempts: int) -> None:
        state = self._of(route)
        with state.lock:
            if is_failure(outcome):
                state.failures = max(state.failures, attempts) + 1
                if state.breaker is None and state.failures >= OPENS_AFTER:
                    state.breaker = Breaker.opened(self.clock())
                    self.store.write_breaker(route, state.breaker, replacing=None)
                return
            state.failures = 0
            if state.breaker is not None:
                self.store.write_breaker(route, None, replacing=state.breaker)
                state.breaker = None

    def _may_use(self, route: str) -> bool:
        state = self._read(route)
        with state.lock:
            if state.breaker is None:
                return True
            now = self.clock()
            if now < state.breaker.probe_at:
                return False
            # Of all runs, one moves the instant of the next probe; its message is the probe.
            probing = state.breaker.after_probe(now)
            is_ours = self.store.write_breaker(route, probing, replacing=state.breaker)
            state.breaker = probing if is_ours else self.store.read_breaker(route)
            return is_ours or state.breaker is None

    def _read(self, route: str) -> _Route:
        """Return what is known of the route, from the table at first."""
        state = self._of(route)
        with state.lock:
            if not state.is_read:
                state.breaker, state.is_read = self.store.read_breaker(route), True
        return state

    def _of(self, route: str) -> _Route:
        with self._lock:
            return self._routes[route]


def is_failure(outcome: Outcome) -> bool:
    """Return whether the outcome shows that the route fails, not that this message or this recipient is refused."""
    return isinstance(outcome, Unknown) or (isinstance(outcome, Retryable) and not outcome.of_recipient)
