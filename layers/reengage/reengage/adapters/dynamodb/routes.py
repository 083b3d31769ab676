"""What all runs share of a route or a channel: its send slots, its circuit breaker, and its silence."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from reengage.domain.breaker import Breaker
from reengage.domain.silence import Silence

from .items.base import Item
from .items.routes import (
    BREAKER,
    SEND_SLOT,
    SILENCE,
    BreakerItem,
    SendSlotItem,
    SilenceItem,
    breaker_item,
    silence_item,
    to_breaker,
    to_silence,
)
from .table import Role

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Routes(Role):
    """Send slots, circuit breakers, and providers that send no receipts."""

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

    def read_silence(self, name: str) -> Silence | None:
        return to_silence(self.table.read_one((SILENCE, name)))

    def read_silences(self) -> Mapping[str, Silence]:
        found = ((str(item.sk), to_silence(item)) for item in self.table.items(SILENCE))
        return {name: silence for name, silence in found if silence}

    def write_silence(self, name: str, silence: Silence, *, replacing: Silence | None) -> bool:
        unchanged = Item.pk.does_not_exist()
        if replacing:
            unchanged = (SilenceItem.since == replacing.since) & (SilenceItem.messages == replacing.messages)
        return self.table.put(silence_item(name, silence), unchanged)

    def end_silence(self, name: str) -> None:
        self.table.delete((SILENCE, name), Item.pk.exists())


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
