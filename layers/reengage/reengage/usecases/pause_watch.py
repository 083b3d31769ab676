"""Leave messages that a pause holds as they are: a run neither claims nor writes them while the pause lasts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from reengage.domain.brand import STACK
from reengage.domain.pause import RECHECK, Pause, is_held_by_a_pause, stored_pauses
from reengage.ports import BrandReader, Clock, DueKey

READ_AGAIN: Final = timedelta(seconds=5)
"""A resume is seen after at most this long. A pause is not seen here: the policy reads it at each decision."""


@dataclass(slots=True)
class PauseWatch:
    """The pauses of the stack and of the brands, as a run last read them."""

    store: BrandReader
    clock: Clock
    _read: dict[str, tuple[datetime, Sequence[Pause]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def holds(self, due: DueKey) -> bool:
        """Whether a pause holds this message already and still covers it. One that expires soon is decided instead."""
        now = self.clock()
        if not is_held_by_a_pause(due.due_at) or due.valid_until <= now + 2 * RECHECK:
            return False
        brand, reason = due.key.pk.split("#", 2)[1], due.key.sk.split("#", 2)[1]
        return any(pause.covers(reason, now) for name in (STACK, brand) for pause in self._pauses(name, now))

    def known(self) -> Sequence[Pause]:
        """Return the pauses that the run has read: those that hold a message of it."""
        with self._lock:
            return [pause for _, pauses in self._read.values() for pause in pauses]

    def _pauses(self, brand: str, now: datetime) -> Sequence[Pause]:
        with self._lock:
            known = self._read.get(brand)
            if known is None or now >= known[0] + READ_AGAIN:
                row = self.store.read_brand(brand)
                known = self._read[brand] = (now, stored_pauses(row.pauses if row else None))
            return known[1]
