"""Broadcast shards restart only with a newer version, advance from the last read state, and are counted together.

Also the reads of a broadcast and of the window recheck: threads of contacts and their scheduled messages.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import islice, product
from typing import Any

import pytest

from reengage.domain.broadcast import Broadcast, BroadcastShard, ShardState
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.reasons import REASONS
from reengage.domain.subject import RETENTION, SubjectRef
from reengage.ports import Store
from tests.contract.samples import (
    ANNA,
    BEN,
    CLAIM,
    ITEM,
    LATER,
    NOW,
    PREVIEW,
    QUEUES,
    TRIAL,
    broadcast_shard,
    brought,
    claimed,
    contacts_of_shard,
    conversation,
    due_in,
    due_key,
    interested,
    planned,
    preferring,
    profile,
    reminder,
    skip,
    stopped,
    subject,
    written,
)
from tests.contract.stores import Harness

TICK = timedelta(microseconds=1)
ENDS = [state for state in ShardState if state is not ShardState.WAITING]
OUTCOMES = {"sent": 3, "skipped:opted_out": 2, "skipped:quiet_hours": 1, "failed": 1, "unconfirmed": 1}
CURSOR = '{"pk": {"S": "CONTACT#acme-dental#whatsapp#a#b"}}'


def _due(store: Store, of: BroadcastShard, now: Any = NOW) -> list[Any]:
    return due_in(store, of.shard, now, send_group=of.reason_spec.send_group, priority=of.reason_spec.priority)


def _is_stored(store: Store, expected: BroadcastShard) -> None:
    """The stored part equals that one, and is in the index while it waits."""
    assert store.read_shard(expected.key) == expected
    assert _due(store, expected) == ([due_key(expected)] if expected.state is ShardState.WAITING else [])


# Writing and reading

WHOLE = broadcast_shard(cursor=CURSOR, planned=66, outcomes=OUTCOMES)
PARTS = {
    "new": broadcast_shard(),
    "under way": WHOLE,
    "of the first shard": broadcast_shard(0),
    "of the last shard": broadcast_shard(SHARDS - 1),
    "of an item": broadcast_shard(reason="back_in_stock", subject=ITEM),
    "of holidays": broadcast_shard(reason="holiday_hours", valid_until=NOW + timedelta(days=9, microseconds=1)),
    "of a subject with marks": broadcast_shard(subject=replace(PREVIEW, id="##BROADCAST#holiday_hours#03")),
    "of a subject without a name": broadcast_shard(subject=replace(PREVIEW, id="")),
    "of any script": broadcast_shard(subject=replace(PREVIEW, id="Tết 🎍 e\u0301 " + "é" * 240)),
    "of the newest version": broadcast_shard(version=2_218_000_000_0 * 10**6 + 999_999),
    **{f"that is {state}": replace(WHOLE, state=state) for state in ENDS},
}


def test_empty_table_has_no_shard(harness: Harness) -> None:
    assert harness.store.read_shard(broadcast_shard().key) is None
    assert harness.store.read_shards(PREVIEW) == []


@pytest.mark.parametrize("new", PARTS.values(), ids=PARTS)
def test_shard_is_read_as_written(harness: Harness, new: BroadcastShard) -> None:
    assert harness.store.write_shard(new)
    _is_stored(harness.store, new)
    assert harness.store.read_shards(new.subject) == [new]


@pytest.mark.parametrize("state", ShardState)
@pytest.mark.parametrize("before", ShardState)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_newer_version_replaces_only_its_own_shard(
    harness: Harness, before: ShardState, state: ShardState, version: int
) -> None:
    """The shard restarts: without a cursor, and with zero counts."""
    old = written(harness.store, replace(WHOLE, version=2, state=before))
    due_at = NOW - TICK
    new = broadcast_shard(version=version, state=state, due_at=due_at, valid_until=NOW + timedelta(days=1))
    assert harness.store.write_shard(new) is (version > 2)
    _is_stored(harness.store, new if version > 2 else old)
    assert harness.size() == 1


def test_finds_exactly_the_shards_of_a_subject(harness: Harness) -> None:
    """One announcement may have two reasons; ids may have the same beginning; and a shard is not its subject."""
    store = harness.store
    assert store.write_subject(subject(PREVIEW))
    others = [
        replace(PREVIEW, id="spring"),
        replace(PREVIEW, id="spring#2026#"),
        replace(PREVIEW, brand="acme"),
        replace(PREVIEW, kind="item"),
    ]
    for ref in others:
        written(store, broadcast_shard(subject=ref))
    expected = [
        written(store, each)
        for reason in ("holiday_hours", "product_preview")
        for each in Broadcast(reason, PREVIEW, NOW, NOW + timedelta(days=2), version=7).shards()
    ]
    assert len(expected) == 2 * SHARDS
    for rows in (5, 100):
        with harness.small_pages(rows):
            assert sorted(store.read_shards(PREVIEW), key=lambda each: each.key) == expected
    for ref in others:
        assert store.read_shards(ref) == [broadcast_shard(subject=ref)]


def test_subject_and_its_shards_are_separate_items(harness: Harness) -> None:
    written(harness.store)
    assert harness.store.read_subject(PREVIEW) is None
    assert harness.store.write_subject(subject(PREVIEW))
    assert harness.store.read_shard(broadcast_shard().key) == broadcast_shard()
    assert harness.store.read_subject(PREVIEW) == replace(subject(PREVIEW), revision=1)


# In the index


def test_broadcast_shards_are_due_only_at_their_priority(harness: Harness) -> None:
    store = harness.store
    to_anna = Broadcast("product_preview", PREVIEW, NOW - TICK, NOW + timedelta(days=2), 1).message_for(
        ANNA, None, at=NOW
    )
    message = planned(store, to_anna)
    prompt = planned(store, reminder(reason="order_shipped", offset="PT0S", anchor_at=None))
    preview, other_shard = written(store), written(store, broadcast_shard((ANNA.shard + 1) % SHARDS))
    stock = written(store, broadcast_shard(reason="back_in_stock", subject=ITEM, due_at=NOW - 2 * TICK))
    not_yet = written(store, broadcast_shard(reason="holiday_hours", due_at=NOW + TICK))
    found = {
        (send_group, priority, shard): due
        for send_group, priority, shard in QUEUES
        if (due := due_in(store, shard, NOW, send_group=send_group, priority=priority))
    }
    assert found == {
        ("updates", "high", ANNA.shard): [due_key(prompt)],
        ("updates", "low", ANNA.shard): [due_key(each) for each in (stock, message, preview)],
        ("updates", "low", other_shard.shard): [due_key(other_shard)],
    }
    assert due_key(not_yet) in _due(store, not_yet, NOW + TICK)


@pytest.mark.parametrize("reason", [name for name, terms in REASONS.items() if terms.audience])
@pytest.mark.parametrize("state", ENDS)
def test_ended_shard_is_not_due(harness: Harness, reason: str, state: ShardState) -> None:
    """Return whether it was written, replaced or advanced."""
    store = harness.store
    of = {"reason": reason, "subject": replace(PREVIEW, kind=REASONS[reason].kind)}
    from_the_start, over, moved = (
        broadcast_shard(0, state=state, **of),
        broadcast_shard(1, **of),
        broadcast_shard(2, **of),
    )
    written(store, from_the_start)
    written(store, over)
    written(store, replace(over, version=2, state=state))
    written(store, moved)
    assert _due(store, moved) == [due_key(moved)]
    assert store.save_progress(replace(moved, state=state), replacing=moved)
    assert [_due(store, each, LATER) for each in (from_the_start, over, moved)] == [[], [], []]


def test_shard_cannot_be_claimed(harness: Harness) -> None:
    written(harness.store, WHOLE)
    assert harness.store.claim(due_key(WHOLE), claim_id=CLAIM, at=NOW) is None
    _is_stored(harness.store, WHOLE)


# Moving on

STORED = broadcast_shard(version=2, cursor=CURSOR, planned=33)
READ: Mapping[str, BroadcastShard] = {
    "as it stands": STORED,
    "with other counts": replace(STORED, planned=0, outcomes={"sent": 9}),
    "of an older version": replace(STORED, version=1),
    "of a newer version": replace(STORED, version=3),
    "before the first page": replace(STORED, cursor=None),
    "at another cursor": replace(STORED, cursor=CURSOR + " "),
    "when it had ended": replace(STORED, state=ShardState.DONE),
}
UNCHANGED = ("as it stands", "with other counts")


@pytest.mark.parametrize("state", ShardState)
@pytest.mark.parametrize("cursor", [CURSOR, "the next", None])
@pytest.mark.parametrize("read", READ)
def test_progress_is_saved_only_from_the_read_cursor(
    harness: Harness, read: str, cursor: str | None, state: ShardState
) -> None:
    written(harness.store, STORED)
    moved = replace(STORED, state=state, cursor=cursor, planned=66)
    assert harness.store.save_progress(moved, replacing=READ[read]) is (read in UNCHANGED)
    _is_stored(harness.store, moved if read in UNCHANGED else STORED)


@pytest.mark.parametrize("read", [read for read in READ if read != "before the first page"])
def test_shard_without_cursor_advances_only_from_the_start(harness: Harness, read: str) -> None:
    fresh = written(harness.store, replace(STORED, cursor=None))
    assert not harness.store.save_progress(replace(STORED, planned=66), replacing=READ[read])
    _is_stored(harness.store, fresh)
    assert harness.store.save_progress(STORED, replacing=fresh)
    _is_stored(harness.store, STORED)


@pytest.mark.parametrize("state", ENDS)
def test_withdrawn_shard_stays_withdrawn(harness: Harness, state: ShardState) -> None:
    """A run was in the middle of a page when the announcement was withdrawn or published again."""
    read = written(harness.store)
    anew = written(harness.store, broadcast_shard(version=2, state=state))
    assert not harness.store.save_progress(replace(read, cursor=CURSOR, planned=33), replacing=read)
    _is_stored(harness.store, anew)


def test_advancing_keeps_concurrent_counts_and_identity(harness: Harness) -> None:
    read = written(harness.store)
    harness.store.count_outcomes(read.key, 1, OUTCOMES)
    stranger = replace(read, due_at=LATER, valid_until=LATER, version=9, outcomes={"sent": 1})
    assert harness.store.save_progress(replace(stranger, cursor=CURSOR, planned=33), replacing=read)
    _is_stored(harness.store, replace(read, cursor=CURSOR, planned=33, outcomes=OUTCOMES))


def test_saving_progress_creates_no_shard(harness: Harness) -> None:
    assert not harness.store.save_progress(WHOLE, replacing=broadcast_shard())
    written(harness.store)
    harness.expire(broadcast_shard().valid_until + RETENTION + timedelta(seconds=1))
    assert not harness.store.save_progress(WHOLE, replacing=broadcast_shard())
    assert harness.size() == 0


# Counting


@pytest.mark.parametrize("before", [{}, OUTCOMES, {"held": 1}], ids=["nothing", "some", "another way"])
@pytest.mark.parametrize("state", ShardState)
def test_what_became_of_the_messages_adds_up(harness: Harness, before: dict[str, int], state: ShardState) -> None:
    """The count includes a shard that has ended: its messages may be held for days."""
    of = written(harness.store, replace(WHOLE, outcomes=before, state=state))
    harness.store.count_outcomes(of.key, 1, {"sent": 2})
    harness.store.count_outcomes(of.key, 1, {"sent": 1, "skipped:opted_out": 5})
    total = {"sent": before.get("sent", 0) + 3, "skipped:opted_out": before.get("skipped:opted_out", 0) + 5}
    _is_stored(harness.store, replace(of, outcomes={**before, **total}))


WAYS = ["sent", "skipped:frequency_cap", "skipped:erased", "skipped", "Sent", "size", "tally", ":0", "#0"]


def test_each_outcome_is_counted_separately(harness: Harness) -> None:
    """An id may look like part of a DynamoDB expression: a function or a placeholder."""
    of = written(harness.store)
    for number, way in enumerate(WAYS, 1):
        harness.store.count_outcomes(of.key, 1, {way: number})
    harness.store.count_outcomes(of.key, 1, dict.fromkeys(WAYS, 100))
    _is_stored(harness.store, replace(of, outcomes={way: 100 + number for number, way in enumerate(WAYS, 1)}))


def test_the_messages_of_a_newer_version_are_not_counted(harness: Harness) -> None:
    """Only the writer of that version's shard knows them."""
    of = written(harness.store, replace(WHOLE, version=2))
    harness.store.count_outcomes(of.key, 3, {"sent": 2})
    _is_stored(harness.store, of)


def test_what_becomes_of_an_older_versions_messages_counts_still(harness: Harness) -> None:
    """An announcement was withdrawn midway, and its skipped messages were counted as waiting for ever."""
    of = written(harness.store, replace(WHOLE, version=2))
    harness.store.count_outcomes(of.key, 1, {"skipped:cancelled": 2})
    _is_stored(harness.store, replace(of, outcomes={**of.outcomes, "skipped:cancelled": 2}))


def test_counting_nothing_changes_nothing(harness: Harness) -> None:
    written(harness.store, WHOLE)
    harness.store.count_outcomes(WHOLE.key, 1, {})
    _is_stored(harness.store, WHOLE)


def test_counting_creates_no_shard(harness: Harness) -> None:
    harness.store.count_outcomes(broadcast_shard().key, 1, {"sent": 1})
    written(harness.store)
    harness.expire(broadcast_shard().valid_until + RETENTION + timedelta(seconds=1))
    harness.store.count_outcomes(broadcast_shard().key, 1, {"sent": 1})
    assert harness.size() == 0


# TTL


@pytest.mark.parametrize("state", ShardState)
def test_broadcast_shard_has_the_ttl_of_its_subject(harness: Harness, state: ShardState) -> None:
    of = written(harness.store, broadcast_shard(state=state))
    ends = of.valid_until + RETENTION
    harness.expire(ends - timedelta(seconds=1))
    _is_stored(harness.store, of)
    harness.expire(ends + timedelta(seconds=1))
    assert harness.store.read_shard(of.key) is None
    assert harness.store.read_shards(PREVIEW) == []
    assert _due(harness.store, of) == []
    assert harness.size() == 0
    written(harness.store)


# What is scheduled for a contact


def test_only_what_is_yet_to_be_sent_to_the_contact_is_found(harness: Harness) -> None:
    store = harness.store
    rows = [brought(store, state, reminder(offset=f"PT{hours}H")) for hours, state in enumerate(State)]
    preview = Broadcast("product_preview", PREVIEW, NOW, NOW + timedelta(days=2), 1).message_for(ANNA, None, at=NOW)
    mine = [planned(store, preview), planned(store, reminder(reason="trial_follow_up", subject=TRIAL, due_at=LATER))]
    planned(store, skip(reminder(offset="PT99H")))
    planned(store, reminder(contact=BEN))
    for other in (replace(ANNA, channel="rcs"), replace(ANNA, brand="acme"), replace(ANNA, address="+49151123456789")):
        planned(store, reminder(contact=other))
    to_be_sent = (State.SCHEDULED, State.SENDING)
    expected = sorted([row for row in rows if row.state in to_be_sent] + mine, key=lambda row: row.key)
    assert len(expected) == 4
    for rows_a_page in (2, 100):
        with harness.small_pages(rows_a_page):
            assert sorted(store.pending_messages(ANNA), key=lambda row: row.key) == expected
    assert store.pending_messages(Contact("acme-dental", "sms", "+49")) == []


# Moving it


def _moved(store: Store, message: ScheduledMessage, *, by: timedelta) -> bool:
    return store.reschedule(message, due_at=message.due_at + by, planned_due_at=message.due_at)


@pytest.mark.parametrize("by", [timedelta(days=-3), -TICK, TICK, timedelta(days=3)])
def test_moved_message_keeps_its_planned_due_time(harness: Harness, by: timedelta) -> None:
    message = planned(harness.store, reminder(due_at=NOW))
    assert _moved(harness.store, message, by=by)
    moved = replace(message, due_at=NOW + by, planned_due_at=NOW)
    assert harness.store.read_message(message.key) == moved
    assert due_in(harness.store, ANNA.shard, NOW + by - TICK) == []
    assert due_in(harness.store, ANNA.shard, NOW + by) == [due_key(moved)]
    assert harness.store.claim(due_key(message), claim_id=CLAIM, at=NOW) is None
    assert harness.store.claim(due_key(moved), claim_id=CLAIM, at=NOW)


@pytest.mark.parametrize("planned_due_at", [NOW - TICK, NOW + timedelta(days=40)], ids=["earlier", "later"])
def test_when_it_was_due_at_first_may_be_before_or_after(harness: Harness, planned_due_at: Any) -> None:
    message = planned(harness.store, reminder(planned_due_at=planned_due_at))
    assert harness.store.read_message(message.key) == message
    taken = harness.store.claim(due_key(message), claim_id=CLAIM, at=NOW)
    assert taken
    assert taken.planned_due_at == planned_due_at
    assert harness.store.release(replace(taken, planned_due_at=None))
    assert harness.store.pending_messages(ANNA) == [replace(taken, state=State.SCHEDULED, planned_due_at=None)]


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_what_is_not_scheduled_any_more_is_not_moved(harness: Harness, state: State) -> None:
    row = brought(harness.store, state)
    assert not _moved(harness.store, row, by=timedelta(hours=1))
    assert harness.store.read_message(row.key) == row


@pytest.mark.parametrize("by", [-TICK, TICK])
def test_what_was_moved_meanwhile_is_not_moved_again(harness: Harness, by: timedelta) -> None:
    read = planned(harness.store)
    anew = planned(harness.store, reminder(version=2, due_at=NOW + by))
    assert not _moved(harness.store, read, by=timedelta(hours=1))
    assert harness.store.read_message(read.key) == anew
    assert due_in(harness.store, ANNA.shard, LATER) == [due_key(anew)]


def test_moving_makes_no_row(harness: Harness) -> None:
    assert not _moved(harness.store, reminder(), by=timedelta(hours=1))
    planned(harness.store)
    harness.expire(NOW + timedelta(days=31))
    assert not _moved(harness.store, reminder(), by=timedelta(hours=1))
    assert harness.size() == 0


def test_a_row_that_was_given_back_can_be_moved(harness: Harness) -> None:
    taken = claimed(harness.store)
    held = replace(taken, due_at=LATER, planned_due_at=NOW, rule="quiet_hours", hold_rules="quiet_hours")
    assert harness.store.release(held)
    assert harness.store.reschedule(held, due_at=LATER + TICK, planned_due_at=LATER)
    stored = harness.store.read_message(taken.key)
    assert stored == replace(held, state=State.SCHEDULED, due_at=LATER + TICK, planned_due_at=LATER)


# The threads of many


@pytest.mark.parametrize("how_many", [0, 1, 33, 34, 70])
def test_each_of_many_threads_is_what_one_read_alone_finds(harness: Harness, how_many: int) -> None:
    store = harness.store
    contacts = list(islice(contacts_of_shard(5), how_many))
    for number, contact in enumerate(contacts):
        at = NOW + timedelta(seconds=number)
        if number % 2:
            assert store.write_profile(contact, profile(at, locale="de"), replacing=None)
        if number % 3:
            assert store.write_conversation(contact, conversation(at), replacing=None)
        if number % 5:
            preferring(store, contact, stopped(at))
    threads = store.read_threads(contacts)
    assert threads == {contact: store.read_thread(contact) for contact in contacts}
    assert len(threads) == how_many


def test_channels_of_one_number_share_only_preferences(harness: Harness) -> None:
    store = harness.store
    channels = [replace(ANNA, channel=channel) for channel in ("sms", "rcs", "whatsapp")]
    assert store.write_conversation(ANNA, conversation(), replacing=None)
    preferences = preferring(store, ANNA, stopped())
    threads = store.read_threads([*channels, BEN, ANNA])
    assert threads == {contact: store.read_thread(contact) for contact in (*channels, BEN)}
    assert [threads[contact].preferences for contact in channels] == [preferences] * 3
    assert [threads[contact].conversation for contact in channels] == [conversation(), None, None]


# The snapshot


@pytest.mark.parametrize("reason", [name for name, terms in REASONS.items() if terms.category != "reply"])
def test_snapshot_has_interest_only_if_the_reason_needs_it(harness: Harness, reason: str) -> None:
    terms = REASONS[reason]
    ref = SubjectRef.known_to(ANNA, terms.kind, ITEM.id)
    message = reminder(reason=reason, subject=ref)
    interest = interested(harness.store)
    interested(harness.store, BEN)
    interested(harness.store, item="another")
    goes_by_it = terms.audience == "interested"
    assert harness.store.read_snapshot(message).interest == (interest if goes_by_it else None)


@pytest.mark.parametrize(("shown", "read"), list(product([ANNA, BEN, replace(ANNA, channel="rcs")], repeat=2)))
def test_interest_and_viewed_product_are_separate_per_contact(harness: Harness, shown: Contact, read: Contact) -> None:
    kept = interested(harness.store, shown)
    found = harness.store.read_subject(SubjectRef.known_to(read, "interest", ITEM.id))
    assert found == (kept if shown == read else None)
    assert harness.store.read_subject(SubjectRef.known_to(shown, "product", ITEM.id)) is None
