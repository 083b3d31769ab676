"""How far a broadcast has come: readable while it runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reengage.domain.broadcast import BroadcastShard, ShardState
from reengage.domain.instants import iso
from reengage.domain.subject import SubjectRef
from reengage.ports import Clock, ProgressStore


def progress(subject: SubjectRef, *, store: ProgressStore, clock: Clock) -> dict[str, Any]:
    """``brand``, ``kind``, ``id``, ``asked_at`` and ``broadcasts``: one for each reason. JSON values.

    Of each ``state`` (``scheduled``, ``running``, ``done``, ``withdrawn`` or ``too_late``), ``due_at``, ``shards``
    (``done`` of ``all``), ``planned`` recipients, and of those ``sent``, ``skipped`` by rule, ``failed``,
    ``unconfirmed`` and ``waiting`` (to be sent, or held). Outcomes are counted in small batches. What a crashed
    run had not counted stays ``waiting`` here, and is in each contact's ledger.
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
    skipped = {way.removeprefix("skipped:"): n for way, n in sorted(outcomes.items()) if way.startswith("skipped:")}
    ended = sum(outcomes[way] for way in ("sent", "failed", "unconfirmed")) + sum(skipped.values())
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
