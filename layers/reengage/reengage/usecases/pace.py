"""No faster than a channel may be sent on, all runs of all functions together."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from reengage.ports import Clock, Store

LONGEST_QUEUE: Final = timedelta(seconds=2)
"""Nobody reserves further ahead: a run that ends must not leave others waiting for slots that it never uses."""

ASKED_AGAIN: Final = 0.25
"""Seconds between two tries where the queue is that long."""

AT_ONCE: Final = timedelta(milliseconds=100)
"""How much of the channel is reserved by one write, where more than one message fits into it."""


@dataclass(slots=True)
class _Slots:
    """What one run has reserved of one channel, and not used yet."""

    lock: Lock = field(default_factory=Lock)
    first: datetime | None = None
    left: int = 0


@dataclass(slots=True)
class Pace:
    """``per_second``: messages a second, by channel; one that is not there is not limited. ``stop_at`` is the run's."""

    store: Store
    clock: Clock
    pause: Callable[[float], None]
    per_second: Mapping[str, float]
    stop_at: datetime
    _slots: defaultdict[str, _Slots] = field(default_factory=lambda: defaultdict(_Slots))

    def __call__(self, channel: str) -> bool:
        """Waits for the next message's turn; ``False`` where that does not come before ``stop_at``."""
        rate = self.per_second.get(channel)
        if not rate:
            return True
        spacing = timedelta(seconds=1) / rate
        slots = self._slots[channel]
        with slots.lock:
            slot = self._next(channel, slots, spacing)
        if slot is None:
            return False
        wait = (slot - self.clock()).total_seconds()
        if wait > 0:
            self.pause(wait)
        return True

    def _next(self, channel: str, slots: _Slots, spacing: timedelta) -> datetime | None:
        """The run's next slot; reserves more of them where none is left."""
        while not slots.left or slots.first is None:
            now = self.clock()
            if now >= self.stop_at:
                return None
            at_once = max(1, AT_ONCE // spacing)
            first = self.store.take_slot(channel, now=now, lasts=spacing * at_once, at_most=LONGEST_QUEUE)
            if first is None:
                self.pause(ASKED_AGAIN)
            else:
                slots.first, slots.left = first, at_once
        slot = slots.first
        slots.first, slots.left = slot + spacing, slots.left - 1
        return slot
