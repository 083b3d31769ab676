"""What all runs share of a route or a channel: its send slots, its circuit breaker, and its silence."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reengage.domain.breaker import Breaker
from reengage.domain.silence import Silence

from .tables import Tables


class Routes(Tables):
    """Send slots, circuit breakers, and providers that send no receipts."""

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

    def write_breaker(self, route: str, breaker: Breaker | None, *, replacing: Breaker | None) -> bool:
        with self._lock:
            if self._breakers.get(route) != replacing:
                return False
            if breaker is None:
                self._breakers.pop(route, None)
            else:
                self._breakers[route] = breaker
            return True

    def read_silence(self, name: str) -> Silence | None:
        return self._silences.get(name)

    def read_silences(self) -> Mapping[str, Silence]:
        with self._lock:
            return dict(self._silences)

    def write_silence(self, name: str, silence: Silence, *, replacing: Silence | None) -> bool:
        with self._lock:
            if self._silences.get(name) != replacing:
                return False
            self._silences[name] = silence
            return True

    def end_silence(self, name: str) -> None:
        with self._lock:
            self._silences.pop(name, None)
