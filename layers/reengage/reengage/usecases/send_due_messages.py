"""Send what is due in one send group: all its shards, with several workers, until the run's time ends.

High priority comes before low. The message with the earliest ``valid_until`` comes first; no route takes all workers.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from reengage.domain.contact import SHARDS
from reengage.domain.reasons import PRIORITIES, Priority
from reengage.usecases.run_measures import RunMeasures
from reengage.usecases.send_message import Sender
from reengage.usecases.send_run import Run, Tally

WORKERS: Final = 8


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


def send_due_messages(sender: Sender, *, stop_at: datetime, measures: RunMeasures | None = None) -> Tally:
    """Process every shard until ``stop_at``; return when every worker has ended.

    ``measures`` gets what the run measured for the alarms. One message's error does not delay the others. Raises an
    ``ExceptionGroup`` of all errors at the end.
    """
    # Each minute starts with another shard, so that with a backlog no shard always waits.
    first = int(sender.clock().timestamp()) // 60
    shards = [(first + n) % SHARDS for n in range(SHARDS)]
    tally: Tally = Counter()
    errors: list[Exception] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for priority in PRIORITIES[sender.send_group]:
            run = Run(sender, priority, shards, stop_at, workers=WORKERS)
            list(pool.map(lambda _, run=run: run.work(), range(WORKERS)))
            run.finish()
            tally += run.tally
            errors += run.errors
            if measures:
                measures.add(run.measures)
    if errors:
        raise ExceptionGroup(f"{sender.send_group}: {len(errors)} errors in a run of {summary(tally)}", errors)
    return tally


def send_shard(sender: Sender, priority: Priority, shard: int, stop_at: datetime) -> Run:
    """Process one priority of one shard in the caller's thread; the run holds the tally and the errors."""
    run = Run(sender, priority, [shard], stop_at, workers=1)
    run.work()
    run.finish()
    return run
