"""Scheduled messages and broadcast shards."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.broadcast import BroadcastShard, ShardState
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import ONCE, GivenAnswer, ScheduledMessage, State
from reengage.domain.reasons import REASONS, Priority, SendGroup
from reengage.domain.subject import SubjectRef

from .base import CompactJSONAttribute, Item

SCHEDULED: Final = "SCHEDULED"

STORED_PRIORITIES: Final[Mapping[Priority, str]] = {"high": "prompt", "low": "marketing"}
"""Tables that are in use have these words in the key of the ``due`` index."""


def due_shard(send_group: SendGroup, priority: Priority, shard: int) -> str:
    return f"{send_group}#{STORED_PRIORITIES[priority]}#{shard}"


class ScheduledMessageItem(Item, discriminator="scheduled_message"):
    """``due_shard`` puts the row into the index ``due``; only a message that is ``scheduled`` or ``sending`` has it.

    Contact, reason, subject, offset and instant are in the keys.
    """

    due_shard = UnicodeAttribute(null=True)
    due_at = InstantAttribute()
    valid_until = InstantAttribute(attr_name="useful_until")
    version = NumberAttribute()
    planned_at = InstantAttribute()
    planned_due_at = InstantAttribute(attr_name="first_due_at", null=True)
    hold_rules = UnicodeAttribute(attr_name="held_by", null=True)
    scheduled_message_id = UnicodeAttribute()
    state = UnicodeAttribute()
    rule = UnicodeAttribute(null=True)
    facts = CompactJSONAttribute(null=True)
    attempts = NumberAttribute(null=True)
    claim_id = UnicodeAttribute(null=True)
    claimed_at = InstantAttribute(null=True)
    settled_at = InstantAttribute(null=True)
    provider = UnicodeAttribute(null=True)
    provider_message_id = UnicodeAttribute(null=True)
    error = UnicodeAttribute(null=True)
    last_receipt_id = UnicodeAttribute(attr_name="receipt", null=True)
    text = UnicodeAttribute(null=True)
    locale = UnicodeAttribute(null=True)
    template = UnicodeAttribute(null=True)
    answer = CompactJSONAttribute(null=True)
    sent_to = CompactJSONAttribute(null=True)
    undelivered_to = CompactJSONAttribute(null=True)


Row = ScheduledMessageItem


class BroadcastShardItem(Item, discriminator="broadcast_part"):
    """Beside its subject; due like a message. ``tally`` counts the outcomes of its messages."""

    due_shard = UnicodeAttribute(null=True)
    due_at = InstantAttribute()
    valid_until = InstantAttribute(attr_name="useful_until")
    version = NumberAttribute()
    state = UnicodeAttribute()
    cursor = UnicodeAttribute(null=True)
    planned = NumberAttribute()
    tally = MapAttribute[str, int]()  # type: ignore[no-untyped-call]  # pynamodb's own gap


LAST_INBOUND: Final = "last_inbound_at"
CLOSES: Final = "window_expires_at"


def facts_json(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the facts without the window's end if it follows from the last message: a row over 1 KB costs double."""
    stored = dict(facts)
    if stored.get(CLOSES) == _closes_at(stored):
        stored.pop(CLOSES, None)
    return stored or None


def to_facts(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts with the window's end, at its own place."""
    if CLOSES in stored or (closes_at := _closes_at(stored)) is None:
        return dict(stored)
    found: dict[str, Any] = {}
    for name, fact in stored.items():
        found[name] = fact
        if name == LAST_INBOUND:
            found[CLOSES] = closes_at
    return found


def _closes_at(facts: Mapping[str, Any]) -> str | None:
    last = facts.get(LAST_INBOUND)
    return iso(parse_instant(last) + WINDOW) if isinstance(last, str) else None


def row_item(message: ScheduledMessage, at: datetime) -> ScheduledMessageItem:
    indexed = message.state is State.SCHEDULED
    return Row(
        *message.key,
        due_shard=due_shard(message.send_group, message.reason_spec.priority, message.contact.shard)
        if indexed
        else None,
        due_at=message.due_at,
        planned_due_at=message.planned_due_at,
        valid_until=message.valid_until,
        version=message.version,
        planned_at=message.planned_at,
        scheduled_message_id=message.scheduled_message_id,
        state=message.state,
        rule=message.rule,
        facts=facts_json(message.facts),
        settled_at=message.settled_at,
        expires_at=message.expires_at(at),
    )


def to_message(item: Item) -> ScheduledMessage:
    assert isinstance(item, ScheduledMessageItem)
    _, brand, channel, address = item.pk.split("#", 3)
    _, reason, rest = item.sk.split("#", 2)
    subject_id, offset, anchor_at = rest.rsplit("#", 2)
    contact = Contact(brand, channel, address)
    return ScheduledMessage(
        contact=contact,
        reason=reason,
        subject=SubjectRef.known_to(contact, REASONS[reason].kind, subject_id),
        offset=offset,
        anchor_at=None if anchor_at == ONCE else parse_instant(anchor_at),
        due_at=item.due_at,
        valid_until=item.valid_until,
        version=int(item.version),
        planned_at=item.planned_at,
        planned_due_at=item.planned_due_at,
        hold_rules=item.hold_rules,
        state=State(item.state),
        rule=item.rule,
        facts=to_facts(item.facts or {}),
        attempts=int(item.attempts or 0),
        claim_id=item.claim_id,
        claimed_at=item.claimed_at,
        settled_at=item.settled_at,
        provider=item.provider,
        provider_message_id=item.provider_message_id,
        error=item.error,
        last_receipt_id=item.last_receipt_id,
        text=item.text,
        locale=item.locale,
        # A template that has the reason's name is not stored.
        template=item.template or (reason if item.text else None),
        answer=_answer(item.answer),
        sent_to=Contact(brand, *item.sent_to) if item.sent_to else None,
        undelivered_to=tuple(Contact(brand, *address) for address in item.undelivered_to or ()),
    )


def address_json(contact: Contact) -> list[str]:
    """Return an address without its brand, which is that of the row."""
    return [contact.channel, contact.address]


def answer_json(answer: GivenAnswer) -> list[str]:
    return [answer.answer, answer.message_id, answer.bound_by, answer.at.isoformat()]


def _answer(stored: list[str] | None) -> GivenAnswer | None:
    if stored is None:
        return None
    answer, message_id, bound_by, at = stored
    return GivenAnswer(answer, message_id, bound_by, parse_instant(at))


def broadcast_shard_item(shard: BroadcastShard) -> BroadcastShardItem:
    waiting = shard.state is ShardState.WAITING
    return BroadcastShardItem(
        *shard.key,
        due_shard=due_shard(shard.reason_spec.send_group, shard.reason_spec.priority, shard.shard) if waiting else None,
        due_at=shard.due_at,
        valid_until=shard.valid_until,
        version=shard.version,
        state=shard.state,
        cursor=shard.cursor,
        planned=shard.planned,
        tally=dict(shard.outcomes),
        expires_at=shard.expires_at,
    )


def to_broadcast_shard(item: Item | None) -> BroadcastShard | None:
    if not isinstance(item, BroadcastShardItem):
        return None
    _, brand, kind, subject_id = item.pk.split("#", 3)
    _, reason, shard = item.sk.split("#")
    return BroadcastShard(
        reason=reason,
        subject=SubjectRef(brand, kind, subject_id),
        shard=int(shard),
        due_at=item.due_at,
        valid_until=item.valid_until,
        version=int(item.version),
        state=ShardState(item.state),
        cursor=item.cursor,
        planned=int(item.planned),
        outcomes={outcome: int(number) for outcome, number in _plain(item.tally).items()},
    )


def _plain(tally: MapAttribute[str, int]) -> dict[str, int]:
    return tally.as_dict()  # type: ignore[no-untyped-call, no-any-return]  # pynamodb's own gap
