"""How far a broadcast has come: readable while it runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reengage.domain.broadcast import Part, PartState
from reengage.domain.instants import iso
from reengage.domain.subject import SubjectRef
from reengage.ports import Clock, Store


def progress(subject: SubjectRef, *, store: Store, clock: Clock) -> dict[str, Any]:
    """``brand``, ``kind``, ``id``, ``asked_at`` and ``broadcasts``: one for each reason. JSON values.

    Of each ``state`` (``scheduled``, ``running``, ``done``, ``withdrawn`` or ``too_late``), ``due_at``, ``shards``
    (``done`` of ``all``), ``planned`` members, and of those ``sent``, ``skipped`` by rule, ``failed``, ``unconfirmed``
    and ``waiting``: to be sent yet, or held. What became of messages is counted a few at a time: what a killed run had
    not counted yet stays ``waiting`` here, and is in each contact's ledger.
    """
    now = clock()
    by_reason: defaultdict[str, list[Part]] = defaultdict(list)
    for part in store.read_parts(subject):
        by_reason[part.reason].append(part)
    return {
        "brand": subject.brand,
        "kind": subject.kind,
        "id": subject.id,
        "asked_at": iso(now),
        "broadcasts": [_of(reason, parts, now) for reason, parts in by_reason.items()],
    }


def _of(reason: str, parts: Sequence[Part], now: datetime) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    for part in parts:
        outcomes.update(part.outcomes)
    skipped = {way.removeprefix("skipped:"): n for way, n in sorted(outcomes.items()) if way.startswith("skipped:")}
    ended = sum(outcomes[way] for way in ("sent", "failed", "unconfirmed")) + sum(skipped.values())
    planned = max(ended, sum(part.planned for part in parts))
    return {
        "reason": reason,
        "state": _state(parts, now),
        "due_at": iso(min(part.due_at for part in parts)),
        "shards": {"done": sum(part.state is not PartState.WAITING for part in parts), "all": len(parts)},
        "planned": planned,
        "sent": outcomes["sent"],
        "skipped": skipped,
        "failed": outcomes["failed"],
        "unconfirmed": outcomes["unconfirmed"],
        "waiting": planned - ended,
    }


def _state(parts: Sequence[Part], now: datetime) -> str:
    states = {part.state for part in parts}
    if PartState.WITHDRAWN in states:
        return "withdrawn"
    if PartState.WAITING not in states:
        return "too_late" if PartState.TOO_LATE in states else "done"
    started = states != {PartState.WAITING} or any(part.cursor for part in parts)
    return "running" if started or min(part.due_at for part in parts) <= now else "scheduled"
