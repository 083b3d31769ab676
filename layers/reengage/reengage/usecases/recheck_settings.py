"""Make due again what is held, if the reason of the hold is gone: a brand's settings change, or a cap becomes free.

No scan: a held message is in the ``due`` index until its hold ends. The index is read for the next days, and of its
entries only the brand's rows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.broadcast import is_shard_key
from reengage.domain.contact import SHARDS
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.reasons import PRIORITIES
from reengage.ports import HeldStore, WindowStore

HOLDING: Final = frozenset(
    {"timezone", "utility_quiet_hours", "marketing_quiet_hours", "utility_caps", "marketing_caps"}
)
"""The brand's fields that decide until when a message is held."""

HELD_BY_BRAND: Final = frozenset({"quiet_hours", "unknown_timezone", "frequency_cap"})

HELD_BY_CAP: Final = frozenset({"frequency_cap"})

LONGEST_HOLD: Final = timedelta(days=8)
"""A hold ends before: quiet hours and the usual caps repeat within a week."""


def recheck_brand(brand: str, *, store: HeldStore, now: datetime) -> int:
    """Make the brand's held messages due now; the sender decides on them anew. Return how many these are."""
    return sum(
        store.reschedule(row, due_at=now, planned_due_at=row.planned_due_at)
        for keys in _pages(brand, store=store, now=now)
        for row in store.read_messages(keys).values()
        if is_held(row, HELD_BY_BRAND, now) and row.planned_due_at
    )


def recheck_cap(message: ScheduledMessage, *, store: WindowStore, now: datetime) -> None:
    """Make due again what waits for the place under a cap that the message, which was not sent, has given back."""
    for row in store.pending_messages(message.contact):
        same = row.reason_spec.category == message.reason_spec.category
        if same and row.planned_due_at and is_held(row, HELD_BY_CAP, now):
            store.reschedule(row, due_at=now, planned_due_at=row.planned_due_at)


def is_held(row: ScheduledMessage, rules: frozenset[str], now: datetime) -> bool:
    """Whether one of the rules holds the message, which was due before."""
    if row.state is not State.SCHEDULED or row.rule not in rules or row.planned_due_at is None:
        return False
    return row.planned_due_at <= now < row.due_at


def _pages(brand: str, *, store: HeldStore, now: datetime) -> Iterator[list[MessageKey]]:
    """Yield the keys of the brand's messages that are due later than now."""
    of_brand = f"CONTACT#{brand}#"
    for send_group, priorities in PRIORITIES.items():
        for priority in priorities:
            for shard in range(SHARDS):
                for page in store.due(send_group, priority, shard, now + LONGEST_HOLD):
                    later = [due.key for due in page if due.due_at > now and due.key.pk.startswith(of_brand)]
                    yield [key for key in later if not is_shard_key(key)]
