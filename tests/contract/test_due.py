"""Due messages are found by the index alone, and one run at a time handles each."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import pytest

from reengage.domain.brand import Brand
from reengage.domain.caps import CapUsage
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Preferences
from reengage.domain.subject import SubjectRef
from reengage.ports import DueKey, Snapshot, Store
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    BEN,
    CLAIM,
    LATER,
    NOW,
    ORDER,
    OTHER_CLAIM,
    QUEUES,
    TRIAL,
    brand,
    brought,
    claimed,
    contacts_of_shard,
    conversation,
    due_in,
    due_key,
    ended,
    everything_due,
    placed,
    planned,
    preferring,
    profile,
    reminder,
    skip,
    stopped,
    subject,
)
from tests.contract.stores import Harness

TICK = timedelta(microseconds=1)
INDEXED = (State.SCHEDULED, State.SENDING)


# The index


def test_nothing_is_due_of_nothing(harness: Harness) -> None:
    assert everything_due(harness.store, NOW) == []


@pytest.mark.parametrize(
    ("now", "is_due"), [(NOW - TICK, False), (NOW, True), (NOW + TICK, True)], ids=["before", "at", "after"]
)
def test_a_message_is_due_from_its_instant_on(harness: Harness, now: datetime, *, is_due: bool) -> None:
    message = planned(harness.store, reminder(due_at=NOW))
    assert due_in(harness.store, ANNA.shard, now) == ([due_key(message)] if is_due else [])


def test_due_index_uses_shard_group_and_priority(harness: Harness) -> None:
    message = planned(harness.store)
    follow_up = planned(harness.store, reminder(reason="trial_follow_up", subject=TRIAL, offset="-P3D"))
    shipped = planned(harness.store, reminder(reason="order_shipped", subject=ORDER, offset="PT0S", anchor_at=None))
    review = planned(harness.store, reminder(reason="review_request", subject=ORDER, offset="P3D", anchor_at=None))
    found = {
        (send_group, priority, shard): due
        for send_group, priority, shard in QUEUES
        if (due := due_in(harness.store, shard, NOW, send_group=send_group, priority=priority))
    }
    assert found == {
        ("appointments", "high", ANNA.shard): [due_key(message)],
        ("trials", "low", ANNA.shard): [due_key(follow_up)],
        ("updates", "high", ANNA.shard): [due_key(shipped)],
        ("updates", "low", ANNA.shard): [due_key(review)],
    }


@pytest.mark.parametrize("rows_a_page", [1, 3, 100])
def test_the_oldest_comes_first_over_all_pages(harness: Harness, rows_a_page: int) -> None:
    minutes = [5, 2, 9, 0, 7, 3, -4, -8]
    contacts = islice(contacts_of_shard(3), len(minutes))
    messages = [
        planned(harness.store, reminder(contact=contact, due_at=NOW - timedelta(minutes=minute)))
        for contact, minute in zip(contacts, minutes, strict=True)
    ]
    oldest_first = [due_key(m) for m in sorted(messages, key=lambda m: m.due_at) if m.due_at <= NOW]
    with harness.small_pages(rows_a_page):
        assert due_in(harness.store, 3, NOW) == oldest_first
    assert len(oldest_first) == 6


def test_messages_due_at_one_instant_are_all_read_across_pages(harness: Harness) -> None:
    messages = [planned(harness.store, reminder(offset=f"PT{hours}H")) for hours in range(5)]
    with harness.small_pages(2):
        found = due_in(harness.store, ANNA.shard, NOW)
    assert sorted(due.key for due in found) == sorted(message.key for message in messages)


@pytest.mark.parametrize("rows_a_page", [1, 2])
def test_settling_between_pages_loses_no_message(harness: Harness, rows_a_page: int) -> None:
    """The entry at which a page ended has left the index when the next page is requested."""
    dues = [NOW - timedelta(minutes=minutes) for minutes in (9, 9, 9, 5, 4, 4, 0)]
    for due_at, contact in zip(dues, contacts_of_shard(3), strict=False):
        planned(harness.store, reminder(contact=contact, due_at=due_at))
    found = []
    with harness.small_pages(rows_a_page):
        for page in harness.store.due("appointments", "high", 3, NOW):
            for due in page:
                taken = harness.store.claim(due, claim_id=CLAIM, at=NOW)
                assert taken
                assert harness.store.settle(ended(taken, State.SENT))
                found.append(due.due_at)
    assert found == dues


@pytest.mark.parametrize("state", State)
def test_only_what_is_scheduled_or_in_hand_is_in_the_index(harness: Harness, state: State) -> None:
    """A claim stays visible, so that a crashed one is found again."""
    message = brought(harness.store, state)
    assert everything_due(harness.store, NOW) == ([due_key(message)] if state in INDEXED else [])


def test_what_was_skipped_from_the_start_is_not_in_the_index(harness: Harness) -> None:
    planned(harness.store, skip(reminder()))
    assert everything_due(harness.store, NOW) == []


def test_index_has_valid_until_of_the_newest_plan(harness: Harness) -> None:
    planned(harness.store)
    anew = planned(harness.store, reminder(version=2, valid_until=LATER))
    assert everything_due(harness.store, NOW) == [DueKey(anew.key, NOW, LATER)]
    taken = harness.store.claim(due_key(anew), claim_id=CLAIM, at=NOW)
    assert taken
    assert harness.store.release(replace(taken, valid_until=LATER + TICK))
    assert everything_due(harness.store, NOW) == [DueKey(anew.key, NOW, LATER + TICK)]


# Claiming


def test_a_claim_answers_with_the_whole_row(harness: Harness) -> None:
    message = planned(harness.store)
    taken = harness.store.claim(due_key(message), claim_id=CLAIM, at=LATER)
    assert taken == replace(message, state=State.SENDING, claim_id=CLAIM, claimed_at=LATER)
    assert harness.store.read_message(message.key) == taken


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_only_what_is_scheduled_can_be_claimed(harness: Harness, state: State) -> None:
    message = brought(harness.store, state)
    assert harness.store.claim(due_key(message), claim_id=OTHER_CLAIM, at=LATER) is None
    assert harness.store.read_message(message.key) == message


@pytest.mark.parametrize("by", [-TICK, TICK], ids=["earlier", "later"])
def test_a_stale_entry_claims_nothing(harness: Harness, by: timedelta) -> None:
    """The row was planned again, or held, after the index had been read."""
    stale = due_key(planned(harness.store))
    moved = planned(harness.store, reminder(version=2, due_at=NOW + by))
    assert harness.store.claim(stale, claim_id=CLAIM, at=LATER) is None
    assert harness.store.read_message(moved.key) == moved


def _withdrawn(store: Store, message: ScheduledMessage) -> None:
    assert store.withdraw(message, version=message.version, rule="cancelled", at=NOW)


def _held(store: Store, message: ScheduledMessage) -> None:
    taken = store.claim(due_key(message), claim_id=OTHER_CLAIM, at=NOW)
    assert taken
    assert store.release(replace(taken, due_at=LATER))


def _sent(store: Store, message: ScheduledMessage) -> None:
    taken = store.claim(due_key(message), claim_id=OTHER_CLAIM, at=NOW)
    assert taken
    assert store.settle(ended(taken, State.SENT, provider="eventbridge", provider_message_id="event-1"))


@pytest.mark.parametrize("meanwhile", [_withdrawn, _held, _sent], ids=["withdrawn", "held", "sent"])
def test_first_write_is_not_overwritten(harness: Harness, meanwhile: Callable[[Store, ScheduledMessage], None]) -> None:
    message = planned(harness.store)
    stale = due_key(message)
    meanwhile(harness.store, message)
    before = harness.store.read_message(message.key)
    assert harness.store.claim(stale, claim_id=CLAIM, at=LATER) is None
    assert harness.store.read_message(message.key) == before


def test_a_row_that_ttl_deleted_is_not_made_again_by_any_update(harness: Harness) -> None:
    taken = claimed(harness.store)
    harness.expire(NOW + timedelta(days=31))
    assert harness.size() == 0
    assert harness.store.claim(due_key(taken), claim_id=CLAIM, at=LATER) is None
    assert not harness.store.release(taken)
    for state in (State.SENT, State.SKIPPED, State.FAILED, State.UNCONFIRMED):
        assert not harness.store.settle(ended(taken, state, provider="eventbridge", provider_message_id="event-1"))
    for state in (State.SENT, State.DELIVERED, State.UNDELIVERED):
        assert not harness.store.record_receipt(ended(taken, state))
    assert harness.size() == 0


# Giving back


def test_a_row_given_back_is_as_the_message_has_it(harness: Harness) -> None:
    taken = claimed(harness.store)
    changed = replace(
        taken,
        version=2,
        due_at=LATER,
        valid_until=LATER + timedelta(hours=1),
        planned_at=LATER + TICK,
        attempts=1,
        rule="quiet_hours",
        facts={"zone": "Europe/Berlin"},
    )
    assert harness.store.release(changed)
    given_back = replace(changed, state=State.SCHEDULED)
    assert harness.store.read_message(taken.key) == given_back
    assert harness.store.find_message(ANNA, given_back.scheduled_message_id) == given_back
    assert harness.store.find_message(ANNA, taken.scheduled_message_id) is None
    assert everything_due(harness.store, LATER - TICK) == []
    assert everything_due(harness.store, LATER) == [due_key(given_back)]
    assert harness.store.claim(due_key(taken), claim_id=OTHER_CLAIM, at=LATER) is None
    assert harness.store.claim(due_key(given_back), claim_id=OTHER_CLAIM, at=LATER)


def test_released_row_without_decision_clears_the_old_one(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.release(replace(taken, rule="quiet_hours", facts={"zone": "UTC"}))
    replan = harness.store.claim(due_key(taken), claim_id=OTHER_CLAIM, at=LATER)
    assert replan
    assert harness.store.release(replace(replan, rule=None, facts={}))
    assert harness.store.read_message(taken.key) == replace(replan, state=State.SCHEDULED, rule=None, facts={})


def test_fields_outside_the_plan_stay_unchanged(harness: Harness) -> None:
    """A renewed plan has neither the claim's instant nor the former error."""
    taken = claimed(harness.store)
    assert harness.store.release(reminder(version=2, attempts=1, claim_id=CLAIM))
    expected = replace(taken, state=State.SCHEDULED, version=2, attempts=1)
    assert harness.store.read_message(taken.key) == expected


@pytest.mark.parametrize("state", [state for state in State if state is not State.SENDING])
def test_only_what_is_in_hand_can_be_given_back(harness: Harness, state: State) -> None:
    before = brought(harness.store, state)
    assert not harness.store.release(replace(before, due_at=LATER, attempts=4))
    assert harness.store.read_message(before.key) == before


def test_only_the_claim_in_hand_can_give_back(harness: Harness) -> None:
    first = claimed(harness.store)
    assert harness.store.release(first)
    second = harness.store.claim(due_key(first), claim_id=OTHER_CLAIM, at=LATER)
    assert not harness.store.release(replace(first, due_at=LATER))
    assert harness.store.read_message(first.key) == second


# The snapshot


NOTHING = Snapshot(None, None, None, Preferences(), None, CapUsage())


def test_snapshot_of_an_empty_table_is_empty(harness: Harness) -> None:
    assert harness.store.read_snapshot(reminder()) == NOTHING


def test_snapshot_has_nothing_of_another_contact(harness: Harness) -> None:
    """Cap usage of another subject, contact, brand or category."""
    store = harness.store
    trial = SubjectRef("acme-dental", "trial", APPOINTMENT.id)
    assert store.write_subject(subject(trial))
    assert store.write_profile(BEN, profile(), replacing=None)
    assert store.write_conversation(BEN, conversation(), replacing=None)
    preferring(store, BEN, stopped())
    preferring(store, replace(ANNA, brand="acme"), stopped())
    assert store.write_brand(Brand("acme"))
    placed(store, reminder(contact=BEN))
    placed(store, reminder(contact=replace(ANNA, channel="rcs")))
    placed(store, reminder(reason="trial_follow_up", subject=TRIAL))
    assert harness.size() == 9
    assert store.read_snapshot(reminder()) == NOTHING


def test_snapshot_has_everything_about_a_message(harness: Harness) -> None:
    store = harness.store
    assert store.write_subject(subject())
    assert store.write_profile(ANNA, profile(), replacing=None)
    assert store.write_conversation(ANNA, conversation(), replacing=None)
    assert store.write_brand(brand(name="Acme Dental"))
    preferences, taken = preferring(store, ANNA, stopped()), placed(store, reminder())
    assert store.read_snapshot(reminder()) == Snapshot(
        subject=replace(subject(), revision=1),
        profile=profile(),
        conversation=conversation(),
        preferences=preferences,
        brand=replace(brand(name="Acme Dental"), revision=1),
        cap_usage=taken,
    )
    assert taken.taken == {reminder().scheduled_message_id: NOW}
