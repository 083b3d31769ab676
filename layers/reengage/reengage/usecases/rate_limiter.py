"""No faster than a channel may be sent on, all runs of all functions together."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from reengage.ports import Clock, RateLimitStore

MAX_QUEUE: Final = timedelta(seconds=2)
"""The longest reservation: a run that ends must not leave others waiting for slots that it never uses."""

RECHECK_AFTER: Final = 0.25
"""Seconds between two tries where the queue is that long."""

BATCH: Final = timedelta(milliseconds=100)
"""How much of the channel is reserved by one write, where more than one message fits into it."""


@dataclass(slots=True)
class _Slots:
    """What one run has reserved of one channel, and not used yet."""

    lock: Lock = field(default_factory=Lock)
    next: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class RateLimiter:
    """``per_second``: messages a second, by channel; one that is not there is not limited. ``stop_at`` is the run's."""

    store: RateLimitStore
    clock: Clock
    pause: Callable[[float], None]
    per_second: Mapping[str, float]
    stop_at: datetime
    _slots: defaultdict[str, _Slots] = field(default_factory=lambda: defaultdict(_Slots))

    def __call__(self, channel: str) -> bool:
        """Wait for the channel's next slot; ``False`` if it does not come before ``stop_at``."""
        rate = self.per_second.get(channel)
        return self.wait_for(channel, rate) if rate else True

    def wait_for(self, channel: str, rate: float) -> bool:
        """Wait for a slot of this name: a channel, or a brand's own limit of a channel."""
        spacing = timedelta(seconds=1) / rate
        slots = self._slots[channel]
        with slots.lock:
            slot = self._next(channel, slots, spacing) if self.clock() < self.stop_at else None
        if slot is None or slot >= self.stop_at:
            return False
        wait = (slot - self.clock()).total_seconds()
        if wait > 0:
            self.pause(wait)
        return True

    def _next(self, channel: str, slots: _Slots, spacing: timedelta) -> datetime | None:
        """Return the run's next slot; reserve more if no slot is left, or if their time is past."""
        slot = max(slots.next, self.clock()) if slots.next else None
        if slot is None or slots.end is None or slot + spacing > slots.end:
            duration = spacing * max(1, BATCH // spacing)
            slot = self._reserve(channel, duration)
            if slot is None:
                return None
            slots.end = slot + duration
        slots.next = slot + spacing
        return slot

    def _reserve(self, channel: str, duration: timedelta) -> datetime | None:
        """The channel for that long, as soon as the queue is short enough; ``None``: not before the run ends."""
        while (now := self.clock()) < self.stop_at:
            if first := self.store.reserve_send_slot(channel, now=now, duration=duration, max_wait=MAX_QUEUE):
                return first
            self.pause(RECHECK_AFTER)
        return None
