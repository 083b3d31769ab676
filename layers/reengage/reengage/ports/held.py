"""The store of messages that a brand's settings hold."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.reasons import Priority, SendGroup

from .store import BrandStore
from .stored import DueKey


class HeldStore(BrandStore, Protocol):
    """What a change of a brand's settings reads and writes."""

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        """Return what is due at ``now``, as of ``DueStore``."""

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]: ...

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool: ...
