"""The progress of a broadcast, also while it runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reengage.domain.broadcast import BroadcastShard, ShardState
from reengage.domain.instants import iso
from reengage.domain.subject import SubjectRef
from reengage.ports import Clock, ProgressStore


def progress(subject: SubjectRef, *, store: ProgressStore, clock: Clock) -> dict[str, Any]:
    """Return ``brand``, ``kind``, ``id``, ``asked_at`` and ``broadcasts``: one for each reason. JSON values.

    | field | value |
    |---|---|
    | ``state`` | ``scheduled``, ``running``, ``done``, ``withdrawn`` or ``too_late`` |
    | ``due_at`` | an instant |
    | ``shards`` | ``done`` of ``all`` |
    | ``planned`` | recipients with a planned message |
    | ``sent``, ``skipped`` by rule, ``failed``, ``unconfirmed`` | their outcomes |
    | ``waiting`` | to be sent, or held |

    Outcomes are counted in small batches. If a run crashes before it has counted, the recipient stays ``waiting`` here;
    the contact's ledger has the outcome.
    """
    now = clock()
    by_reason: defaultdict[str, list[BroadcastShard]] = defaultdict(list)
    for broadcast_shard in store.read_shards(subject):
        by_reason[broadcast_shard.reason].append(broadcast_shard)
    return {
        "brand": subject.brand,
        "kind": subject.kind,
        "id": subject.id,
        "asked_at": iso(now),
        "broadcasts": [_of(reason, shards, now) for reason, shards in by_reason.items()],
    }


def _of(reason: str, shards: Sequence[BroadcastShard], now: datetime) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    for broadcast_shard in shards:
        outcomes.update(broadcast_shard.outcomes)
    skipped = {name.removeprefix("skipped:"): n for name, n in sorted(outcomes.items()) if name.startswith("skipped:")}
    ended = sum(outcomes[name] for name in ("sent", "failed", "unconfirmed")) + sum(skipped.values())
    planned = max(ended, sum(broadcast_shard.planned for broadcast_shard in shards))
    return {
        "reason": reason,
        "state": _state(shards, now),
        "due_at": iso(min(broadcast_shard.due_at for broadcast_shard in shards)),
        "shards": {
            "done": sum(broadcast_shard.state is not ShardState.WAITING for broadcast_shard in shards),
            "all": len(shards),
        },
        "planned": planned,
        "sent": outcomes["sent"],
        "skipped": skipped,
        "failed": outcomes["failed"],
        "unconfirmed": outcomes["unconfirmed"],
        "waiting": planned - ended,
    }


def _state(shards: Sequence[BroadcastShard], now: datetime) -> str:
    states = {broadcast_shard.state for broadcast_shard in shards}
    if ShardState.WITHDRAWN in states:
        return "withdrawn"
    if ShardState.WAITING not in states:
        return "too_late" if ShardState.TOO_LATE in states else "done"
    started = states != {ShardState.WAITING} or any(broadcast_shard.cursor for broadcast_shard in shards)
    return "running" if started or min(broadcast_shard.due_at for broadcast_shard in shards) <= now else "scheduled"
