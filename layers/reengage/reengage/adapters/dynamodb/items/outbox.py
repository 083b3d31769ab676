"""Lists of messages whose events may not be published yet."""

import json
import zlib
from collections.abc import Sequence
from typing import cast

from pynamodb.attributes import BinaryAttribute, UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.message import MessageKey
from reengage.domain.outbox import UnpublishedList
from reengage.domain.reasons import SendGroup

from .base import Item
from .messages import STORED_PRIORITIES, due_shard


class UnpublishedItem(Item, discriminator="unpublished"):
    """``messages``: the keys of a list as compressed JSON, since a write costs by its size."""

    due_shard = UnicodeAttribute()
    due_at = InstantAttribute()
    valid_until = InstantAttribute(attr_name="useful_until")
    at = InstantAttribute()
    messages = BinaryAttribute(legacy_encoding=False)


def unpublished_item(unpublished: UnpublishedList) -> UnpublishedItem:
    return UnpublishedItem(
        *unpublished.key,
        due_shard=due_shard(unpublished.send_group, unpublished.priority, unpublished.shard),
        due_at=unpublished.due_at,
        valid_until=unpublished.valid_until,
        at=unpublished.at,
        messages=packed_keys(unpublished.keys),
        expires_at=unpublished.expires_at,
    )


def to_unpublished(item: Item | None) -> UnpublishedList | None:
    if not isinstance(item, UnpublishedItem):
        return None
    send_group, priority, shard = item.due_shard.split("#")
    return UnpublishedList(
        item.sk.partition("#")[2],
        cast("SendGroup", send_group),
        next(name for name, stored in STORED_PRIORITIES.items() if stored == priority),
        int(shard),
        item.at,
        item.due_at,
        unpacked_keys(item.messages),
    )


def packed_keys(keys: Sequence[MessageKey]) -> bytes:
    return zlib.compress(json.dumps(keys, separators=(",", ":"), ensure_ascii=False).encode())


def unpacked_keys(packed: bytes) -> tuple[MessageKey, ...]:
    return tuple(MessageKey(pk, sk) for pk, sk in json.loads(zlib.decompress(packed)))
