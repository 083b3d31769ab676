"""Broadcast shards, and the audience that they are for."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from reengage.domain.broadcast import BroadcastShard, Recipient
from reengage.domain.message import MessageKey
from reengage.domain.reasons import Audience
from reengage.domain.subject import SubjectRef
from reengage.ports import Page

from .tables import Tables, interested_audience, open_audience


class Broadcasts(Tables):
    """Broadcast shards and audiences."""

    def write_shard(self, broadcast_shard: BroadcastShard) -> bool:
        with self._lock:
            stored = self._shards.get(broadcast_shard.key)
            if stored and stored.version >= broadcast_shard.version:
                return False
            self._put_shard(broadcast_shard)
            return True

    def read_shard(self, key: MessageKey) -> BroadcastShard | None:
        return self._shards.get(key)

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        with self._lock:
            return [shard for key, shard in sorted(self._shards.items()) if key.pk == subject.key]

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        name = interested_audience(subject, shard) if audience == "interested" else open_audience(subject.brand, shard)
        after = max((day.isoformat(), ""), tuple((cursor or "").split("\n", 1)))
        with self._lock:
            ahead = ((at, key, recipient) for key, (at, recipient) in self._audience[name].items() if (at, key) > after)
            there = (entry for entry in ahead if self._is_there(entry[2], subject))
            page = heapq.nsmallest(limit, there)
        last = "\n".join((page[-1][0], page[-1][1])) if len(page) == limit else None
        return Page([recipient for _, _, recipient in page], last)

    def save_progress(self, broadcast_shard: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        with self._lock:
            stored = self._shards.get(broadcast_shard.key)
            expected_state = (replacing.version, replacing.state, replacing.cursor)
            if stored is None or (stored.version, stored.state, stored.cursor) != expected_state:
                return False
            state, cursor, planned = broadcast_shard.state, broadcast_shard.cursor, broadcast_shard.planned
            self._put_shard(replace(stored, state=state, cursor=cursor, planned=planned))
            return True

    def count_outcomes(self, broadcast_shard: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        with self._lock:
            stored = self._shards.get(broadcast_shard)
            if stored and stored.version >= version:
                counted = Counter[str]()
                counted.update(stored.outcomes)
                counted.update(outcomes)
                self._shards[broadcast_shard] = replace(stored, outcomes=dict(counted))

    def _is_there(self, recipient: Recipient, subject: SubjectRef) -> bool:
        """Return whether the item that put the contact into the audience is still stored."""
        if recipient.since is None:
            return recipient.contact in self._conversations
        return SubjectRef.known_to(recipient.contact, "interest", subject.id) in self._subjects
