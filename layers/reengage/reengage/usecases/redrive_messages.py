"""Put messages that ended as ``failed`` back into the schedule, by a person's decision.

The next run sends them by the same claim, after the same rules. What is not valid any more is skipped.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from reengage.domain.broadcast import shard_key
from reengage.domain.message import ScheduledMessage
from reengage.ports import Clock, FailureStore

Redriven = Literal["would be sent again", "put back", "left: no longer valid", "left: changed meanwhile"]


class Selection(NamedTuple):
    """Which failed messages; empty for all."""

    brand: str = ""
    reason: str = ""

    def has(self, message: ScheduledMessage) -> bool:
        return self.brand in ("", message.contact.brand) and self.reason in ("", message.reason)


def redrive_messages(
    selection: Selection,
    *,
    store: FailureStore,
    clock: Clock,
    limit: int,
    apply: bool,
    pause: Callable[[], None] = lambda: None,
) -> Iterator[tuple[ScheduledMessage, Redriven]]:
    """Yield each failed message with what was done with it, at most ``limit``; ``pause`` is called after each write."""
    found = (message for message in store.failed_messages() if selection.has(message))
    for message, _ in zip(found, range(limit), strict=False):
        if message.valid_until <= clock():
            yield message, "left: no longer valid"
        elif not apply:
            yield message, "would be sent again"
        elif store.requeue(message, at=clock()):
            _uncount(message, store)
            yield message, "put back"
            pause()
        else:
            yield message, "left: changed meanwhile"


def _uncount(message: ScheduledMessage, store: FailureStore) -> None:
    """The message of a broadcast will have another outcome, which is counted then."""
    if message.reason_spec.audience:
        shard = shard_key(message.subject, message.reason, message.contact.shard)
        store.count_outcomes(shard, message.version, Counter(failed=-1))
