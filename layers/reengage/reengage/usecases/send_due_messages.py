"""Send what is due in one send group: all its shards, with several workers, until the run's time ends.

High priority comes before low. Of a brand, the message with the earliest ``valid_until`` comes first. No route takes
all workers, and no brand those of a route.
"""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from reengage.domain.contact import SHARDS
from reengage.domain.reasons import PRIORITIES, Priority
from reengage.usecases.fan_out import FanOut, shard_groups
from reengage.usecases.run_measures import RunMeasures
from reengage.usecases.send_message import Sender
from reengage.usecases.send_run import Run, Tally

WORKERS: Final = 24
"""Of a run. With a provider that answers in 200 ms they send some 100 messages a second."""

READERS: Final = 4
"""Workers that look for what is due: each opens a connection, and in most minutes nothing is due."""

_log = logging.getLogger(__name__)


def summary(tally: Tally) -> dict[str, Any]:
    """Return the summary of a run (events/README.md). ``due`` is the sum of all the others; ``left`` is still due.

    ``shared`` messages, if there are any, are in the hands of other invocations.
    """
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
    } | ({"shared": shared} if (shared := tally["shared", ""]) else {})


def send_due_messages(
    sender: Sender,
    *,
    stop_at: datetime,
    measures: RunMeasures | None = None,
    shards: Collection[int] = range(SHARDS),
    fan_out: FanOut | None = None,
    workers: int = WORKERS,
) -> Tally:
    """Process every shard of ``shards`` until ``stop_at``; return when every worker has ended.

    With ``fan_out``, other invocations get a part of the shards if more is due than one run can send. ``measures`` gets
    what the run measured for the alarms. One message's error does not delay the others. Raises an ``ExceptionGroup`` of
    all errors at the end.
    """
    # Each minute starts with another shard, so that with a backlog no shard always waits.
    first = int(sender.clock().timestamp()) // 60
    own = [shard for n in range(SHARDS) if (shard := (first + n) % SHARDS) in shards]
    tally: Tally = Counter()
    errors: list[Exception] = []
    with ThreadPoolExecutor(workers) as pool:
        for priority in PRIORITIES[sender.send_group]:
            run = Run(sender, priority, own, stop_at, workers=workers)
            list(pool.map(lambda _, run=run: run.read_first_pages(), range(READERS)))
            if fan_out:
                given = _share(run, fan_out)
                own = [shard for shard in own if shard not in given]
            list(pool.map(lambda _, run=run: run.work(), range(workers)))
            run.finish()
            tally += run.tally
            errors += run.errors
            if measures:
                measures.add(run.measures)
    if errors:
        # The queue of failed runs keeps this text alone: it names the causes.
        causes = dict(Counter(type(error).__name__ for error in errors))
        raise ExceptionGroup(
            f"{sender.send_group}: {len(errors)} errors in a run of {summary(tally)}: {causes}", errors
        )
    return tally


def _share(run: Run, fan_out: FanOut) -> set[int]:
    """Start other runs for what this one cannot send in its time; return the shards that they have.

    A group whose invocation fails stays with this run. Lambda may refuse it: an account has a limit of invocations.
    """
    given: set[int] = set()
    for group in shard_groups(run.due_by_shard(), fan_out.most)[1:]:
        try:
            fan_out.invoke(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages are sent, only later
            _log.warning("this run keeps %d shards: %s", len(group), type(error).__name__)
        else:
            given.update(group)
            run.tally["shared", ""] += run.give_away(group)
    return given


def send_shards(sender: Sender, priority: Priority, shards: Sequence[int], stop_at: datetime) -> Run:
    """Process one priority of some shards as a single worker would; the run holds the tally and the errors."""
    run = Run(sender, priority, shards, stop_at, workers=1)
    run.read_first_pages()
    run.work()
    run.finish()
    return run
