"""What tests and simulations read of the store, and time's effect on it. No other store has these methods."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.brand import Brand
from reengage.domain.breaker import Breaker
from reengage.domain.contact import SHARDS
from reengage.domain.conversation import expiry
from reengage.domain.message import ScheduledMessage
from reengage.domain.reasons import Priority, SendGroup

from .tables import Tables, drop

NEVER_AFTER: Final = timedelta(days=5 * 365)
"""What expired longer ago is a mistake for TTL, and stays (Amazon DynamoDB, "Using time to live")."""


class Inspection(Tables):
    """The due index as a whole, and TTL."""

    @property
    def due_changes(self) -> int:
        """A number that grows with each change of the ``due`` index."""
        return self._due.changes

    def next_due_at(self, *, after: datetime | None = None) -> datetime | None:
        """Return the earliest instant, later than ``after``, at which something is due in any send group."""
        with self._lock:
            return self._due.first(after)

    def due_messages(self, now: datetime) -> list[ScheduledMessage]:
        """Return the messages that are due at ``now``, of all send groups."""
        with self._lock:
            return [self._rows[key].message for key in self._due.all_until(now) if key in self._rows]

    def due_shards(self, send_group: SendGroup, priority: Priority, now: datetime, *, first: int) -> list[int]:
        """Return the shards of which ``due`` would yield anything, from shard ``first`` (modulo ``SHARDS``) on."""
        with self._lock:
            shards = ((first + n) % SHARDS for n in range(SHARDS))
            return [shard for shard in shards if self._due.is_due((send_group, priority, shard), now)]

    def rows(self) -> list[ScheduledMessage]:
        """Return every scheduled message, in order of due time."""
        return sorted((row.message for row in self._rows.values()), key=lambda message: message.due_at)

    def brands(self) -> list[Brand]:
        """Return every brand that was configured."""
        return list(self._brands.values())

    def breakers(self) -> Sequence[Breaker]:
        """Return every open breaker."""
        return list(self._breakers.values())

    def expire(self, now: datetime) -> None:
        """Delete what has expired, as DynamoDB's TTL does some time within days of an item's expiry."""
        first, last = int((now - NEVER_AFTER).timestamp()) + 1, int(now.timestamp())

        def is_gone(expires_at: int | None) -> bool:
            return expires_at is not None and first <= expires_at <= last

        with self._lock:
            drop(self._profiles, list(self._profiles), lambda item: is_gone(item.expires_at))
            drop(self._conversations, list(self._conversations), lambda item: is_gone(item.expires_at))
            drop(self._subjects, list(self._subjects), lambda item: is_gone(item.expires_at))
            drop(self._rows, list(self._rows), lambda item: is_gone(item.expires_at))
            drop(self._shards, list(self._shards), lambda item: is_gone(item.expires_at))
            drop(self._unpublished, list(self._unpublished), lambda item: is_gone(item.expires_at))
            drop(self._links, list(self._links), lambda item: is_gone(item.expires_at))
            drop(self._taken, list(self._taken), lambda item: is_gone(item.expires_at))
            drop(self._preferences, list(self._preferences), lambda item: is_gone(item.expires_at))
            drop(self._messages, list(self._messages), lambda item: is_gone(item[1]))
            drop(self._openers, list(self._openers), lambda item: is_gone(expiry(item.expires_at)))
            drop(self._consents, list(self._consents), lambda item: is_gone(item[1]))
            for pk in list(self._of_contact):
                self._tidy(pk)
            self._due.keep(lambda key: self._stored(key) is not None)
