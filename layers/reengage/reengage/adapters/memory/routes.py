"""What all runs share of a route or a channel: its send slots and its circuit breaker."""

from datetime import datetime, timedelta

from reengage.domain.breaker import Breaker

from .tables import Tables


class Routes(Tables):
    """Send slots and circuit breakers."""

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
