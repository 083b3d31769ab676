"""Broadcast shards, and the audience that they are for."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from reengage.domain.broadcast import SORT_KEY, BroadcastShard, ShardState
from reengage.domain.message import MessageKey
from reengage.domain.reasons import Audience
from reengage.domain.subject import SubjectRef
from reengage.ports import Page

from .items.base import Item
from .items.contacts import ConversationItem, audience_shard, to_recipient
from .items.messages import BroadcastShardItem, broadcast_shard_item, to_broadcast_shard
from .table import AUDIENCE, Role


class Broadcasts(Role):
    """Broadcast shards and audiences."""

    def write_shard(self, broadcast_shard: BroadcastShard) -> bool:
        older = BroadcastShardItem.version < broadcast_shard.version
        return self.table.put(broadcast_shard_item(broadcast_shard), Item.pk.does_not_exist() | older)

    def read_shard(self, key: MessageKey) -> BroadcastShard | None:
        return to_broadcast_shard(self.table.read_one(key))

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        begins = Item.sk.startswith(f"{SORT_KEY}#")
        pages = self.table.pages(subject.key, range_key_condition=begins, consistent_read=True)
        shards = (to_broadcast_shard(Item.from_raw_data(raw)) for page in pages for raw in page)
        return [shard for shard in shards if shard]

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        start = self._start(cursor)
        if start and start["audience_day"]["S"] < day.isoformat():
            start = None  # those days are over; DynamoDB takes no start outside the range
        items, last = self.table.page(
            audience_shard(subject.brand, shard, subject.id if audience == "interested" else None),
            range_key_condition=ConversationItem.audience_day >= day.isoformat(),
            index_name=AUDIENCE,
            start=start,
            limit=limit,
        )
        recipients = [to_recipient({name: value["S"] for name, value in item.items()}) for item in items]
        return Page(recipients, self.table.seal(json.dumps(last, sort_keys=True)) if last else None)

    def _start(self, cursor: str | None) -> dict[str, Any] | None:
        """Return DynamoDB's start key. It names a contact, so the cursor is sealed; that of an older version is not."""
        if cursor is None:
            return None
        start: dict[str, Any] = json.loads(cursor if cursor.startswith("{") else self.table.unseal(cursor))
        return start

    def save_progress(self, broadcast_shard: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        state, planned, cursor = BroadcastShardItem.state, BroadcastShardItem.planned, BroadcastShardItem.cursor
        actions = [state.set(broadcast_shard.state), planned.set(broadcast_shard.planned)]
        actions.append(cursor.set(broadcast_shard.cursor) if broadcast_shard.cursor else cursor.remove())
        if broadcast_shard.state is not ShardState.WAITING:
            actions.append(BroadcastShardItem.due_shard.remove())
        unmoved = (
            (BroadcastShardItem.version == replacing.version)
            & (state == replacing.state)
            & (cursor == replacing.cursor if replacing.cursor else cursor.does_not_exist())
        )
        return self.table.change(broadcast_shard.key, actions, unmoved) is not None

    def count_outcomes(self, broadcast_shard: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        counts = [(Path(["tally", outcome]), number) for outcome, number in outcomes.items()]
        actions: list[Action] = [count.set((count | 0) + number) for count, number in counts]
        if actions:
            self.table.change(broadcast_shard, actions, BroadcastShardItem.version >= version)
