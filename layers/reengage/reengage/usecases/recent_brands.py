"""Share the rows of the stack and of a brand between the decisions of a run: one read for several messages.

A decision that takes them from here rests on the read that found them, so its two seconds begin at that read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from reengage.domain.brand import STACK, Brand
from reengage.domain.policy import SNAPSHOT_VALID_FOR, Snapshot

SHARED_FOR: Final = SNAPSHOT_VALID_FOR / 4
"""After it, a decision reads the rows itself: the rest of the two seconds is for the decision and the connection."""

RENEWED_AFTER: Final = SHARED_FOR / 2
"""After it, one decision reads the rows again, while the others still use the former ones."""


class BrandRows(NamedTuple):
    """The rows of the stack and of a brand; ``None`` for one that is not stored. ``read_at``: before the read."""

    read_at: datetime
    rows: Mapping[str, Brand | None]


@dataclass(slots=True)
class RecentBrands:
    """The rows that a run read last, for each brand."""

    _known: dict[str, BrandRows] = field(default_factory=dict)
    _renewing: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def of(self, brand: str, now: datetime) -> BrandRows | None:
        """Return the rows; ``None`` if the caller has to read them."""
        with self._lock:
            known = self._known.get(brand)
            age = now - known.read_at if known else timedelta.max
            if not timedelta() <= age <= SHARED_FOR:
                return None
            if age > RENEWED_AFTER and brand not in self._renewing:
                self._renewing.add(brand)
                return None
            return known

    def note(self, brand: str, snapshot: Snapshot, read_at: datetime) -> None:
        """Keep what a snapshot found that was read from ``read_at`` on."""
        with self._lock:
            self._renewing.discard(brand)
            known = self._known.get(brand)
            if known is None or known.read_at < read_at:
                self._known[brand] = BrandRows(read_at, {STACK: snapshot.stack, brand: snapshot.brand})
