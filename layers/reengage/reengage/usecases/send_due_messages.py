"""Send what is due in one send group: shard by shard, with several workers, until the run's time ends.

High priority comes before low; within a page, the message with the earliest ``valid_until`` comes first.
"""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from reengage.domain.broadcast import is_shard_key, shard_key
from reengage.domain.contact import SHARDS
from reengage.domain.events_out import OutEvent
from reengage.domain.message import MessageKey
from reengage.domain.reasons import PRIORITIES, Priority
from reengage.ports import DueKey
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.pause_watch import PauseWatch
from reengage.usecases.send_message import Handled, Sender, publish_if_possible

WORKERS: Final = 8
PUBLISH_AT_ONCE: Final = 10
"""Events; PutEvents takes no more in one call."""

Tally = Counter[tuple[str, str]]
"""How many messages had each outcome: ``("sent", "")``, ``("skipped", rule)`` and so on."""


def summary(tally: Tally) -> dict[str, Any]:
    """Return the summary of a run (events/README.md). ``due`` is the sum of all the others; ``left`` is still due."""
    counts = {outcome: tally[outcome, ""] for outcome in ("sent", "held", "failed", "unconfirmed", "retried", "left")}
    skipped = {rule: count for (outcome, rule), count in sorted(tally.items()) if outcome == "skipped"}
    return {
        "due": tally.total(),
        "sent": counts["sent"],
        "held": counts["held"],
        "skipped": skipped,
        "failed": counts["failed"],
        "unconfirmed": counts["unconfirmed"],
        "retried": counts["retried"],
        "left": counts["left"],
    }


def send_due_messages(sender: Sender, *, stop_at: datetime) -> Tally:
    """Process every shard until ``stop_at``; return when every worker has ended.

    One message's error does not delay the others. Raises an ``ExceptionGroup`` of all errors at the end.
    """
    # Each minute starts with another shard, so that with a backlog no shard always waits.
    first = int(sender.clock().timestamp()) // 60
    tally: Tally = Counter()
    errors: list[Exception] = []
    pauses = PauseWatch(sender.store, sender.clock)
    with ThreadPoolExecutor(WORKERS) as pool:
        for priority in PRIORITIES[sender.send_group]:
            workers = [ShardWorker(sender, priority, (first + n) % SHARDS, stop_at, pauses) for n in range(SHARDS)]
            list(pool.map(ShardWorker.run, workers))  # the next priority starts when this one has ended
            for worker in workers:
                tally += worker.tally
                errors += worker.errors
    if errors:
        raise ExceptionGroup(f"{sender.send_group}: {len(errors)} errors in a run of {summary(tally)}", errors)
    return tally


@dataclass(slots=True)
class ShardWorker:
    """Process one priority of one shard, page by page; ``errors`` are for the run to raise."""

    sender: Sender
    priority: Priority
    shard: int
    stop_at: datetime
    pauses: PauseWatch | None = None
    tally: Tally = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)
    events: list[OutEvent] = field(default_factory=list)
    outcomes: dict[tuple[MessageKey, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    expanded: set[MessageKey] = field(default_factory=set)

    def run(self) -> None:
        """Run until ``stop_at``; again if a broadcast was expanded, since its messages are due now."""
        try:
            while self._run_once():
                pass
        except Exception as error:  # noqa: BLE001 - one shard's failure must not end the others
            self.errors.append(error)
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - the same
            self.errors.append(error)

    def _run_once(self) -> bool:
        """Process what is due, once; return whether a broadcast shard was expanded."""
        sender, expanded = self.sender, len(self.expanded)
        for page in sender.store.due(sender.send_group, self.priority, self.shard, sender.clock()):
            for position, due in enumerate(sorted(page, key=_deadline)):
                if sender.clock() >= self.stop_at:
                    # At least this many: the index beyond this page was not read.
                    self.tally["left", ""] += len(page) - position
                    return False
                if is_shard_key(due.key):
                    self._expand(due.key)
                elif self._is_left_paused(due):
                    self.tally["held", ""] += 1
                else:
                    self._handle(due)
        return len(self.expanded) > expanded and sender.clock() < self.stop_at

    def _is_left_paused(self, due: DueKey) -> bool:
        if self.pauses is None:
            self.pauses = PauseWatch(self.sender.store, self.sender.clock)
        return self.pauses.holds(due)

    def _handle(self, due: DueKey) -> None:
        try:
            handled = self.sender.handle(due)
        except Exception as error:  # noqa: BLE001 - one message's failure; its claim is found again, and reported
            handled = Handled("left", error=error)
        if handled is None:
            return
        self.tally[handled.outcome, handled.rule] += 1
        self.errors += [handled.error] if handled.error else []
        self.events += [handled.event] if handled.event else []
        if handled.message and handled.message.reason_spec.audience:
            of = shard_key(handled.message.subject, handled.message.reason, self.shard)
            outcome = f"{handled.outcome}:{handled.rule}" if handled.rule else handled.outcome
            self.outcomes[of, handled.message.version][outcome] += 1
        if len(self.events) >= PUBLISH_AT_ONCE:
            self._flush()

    def _expand(self, broadcast_shard: MessageKey) -> None:
        if broadcast_shard in self.expanded:
            return
        self.expanded.add(broadcast_shard)
        sender = self.sender
        try:
            ended = expand_broadcast(
                broadcast_shard,
                store=sender.store,
                publish=sender.publish,
                clock=sender.clock,
                settings=sender.settings,
                stop_at=self.stop_at,
            )
        except Exception as error:  # noqa: BLE001 - one broadcast's failure; its cursor is where it was
            ended = False
            self.errors.append(error)
        if not ended:
            self.tally["left", ""] += 1

    def _flush(self) -> None:
        """Publish the events, and add to the broadcasts' own counts."""
        events, outcomes = self.events, dict(self.outcomes)
        self.events = []
        self.outcomes.clear()
        publish_if_possible(self.sender.publish, events)
        for (broadcast_shard, version), counted in outcomes.items():
            self.sender.store.count_outcomes(broadcast_shard, version, counted)


def _deadline(due: DueKey) -> tuple[bool, datetime]:
    """Sort the earliest ``valid_until`` first, and a broadcast shard, whose messages are not planned yet, last."""
    return is_shard_key(due.key), due.valid_until
