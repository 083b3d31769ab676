"""What all runs share of a route or a channel: its send slots and its circuit breaker."""

from datetime import UTC, datetime, timedelta
from typing import Final

from reengage.domain.breaker import Breaker

from .items.base import Item
from .items.messages import BREAKER, SEND_SLOT, BreakerItem, SendSlotItem, breaker_item, to_breaker
from .table import Role

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Routes(Role):
    """Send slots and circuit breakers."""

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        key = (f"{SEND_SLOT}#{channel}", SEND_SLOT)
        present, length = _microseconds(now), duration // timedelta(microseconds=1)
        latest = present + max_wait // timedelta(microseconds=1)
        free_at = SendSlotItem.free_at
        # After the last reservation; without one, from now on. Each condition fails if the other is met.
        after = (free_at + length, (free_at > present) & (free_at <= latest))
        at_once = (present + length, free_at.does_not_exist() | (free_at <= present))
        for moved, condition in (after, at_once, after):  # once more: another may have taken it in between
            if taken := self.table.set(key, [free_at.set(moved)], condition):
                return EPOCH + timedelta(microseconds=int(taken["free_at"]["N"]) - length)
        return None

    def read_breaker(self, route: str) -> Breaker | None:
        return to_breaker(self.table.read_one((f"{BREAKER}#{route}", BREAKER)))

    def write_breaker(self, route: str, breaker: Breaker | None, *, replacing: Breaker | None) -> bool:
        unchanged = BreakerItem.probe_at == replacing.probe_at if replacing else Item.pk.does_not_exist()
        if breaker is None:
            return replacing is None or self.table.delete((f"{BREAKER}#{route}", BREAKER), unchanged)
        return self.table.put(breaker_item(route, breaker), unchanged)


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
