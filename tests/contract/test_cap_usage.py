"""Cap usage: no two senders reserve the same part, and a released part is free again."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from reengage.domain.caps import CapUsage
from reengage.domain.message import ScheduledMessage
from reengage.domain.subject import SubjectRef
from reengage.ports import Store
from tests.contract.samples import ANNA, BEN, LATER, NOW, TRIAL, placed, reminder
from tests.contract.stores import WORKERS, Harness
from tests.contract.test_concurrency import together

WEEK = timedelta(days=7)


def _number(number: int) -> ScheduledMessage:
    return reminder(subject=SubjectRef("acme-dental", "appointment", f"a#{number}"))


def _usages(store: Store) -> CapUsage:
    """The usage of Anna's utility messages."""
    return store.read_snapshot(reminder()).cap_usage


def test_reserved_usage_is_counted(harness: Harness) -> None:
    first = placed(harness.store, _number(1))
    second = placed(harness.store, _number(2), at=LATER)
    assert first.taken == {_number(1).scheduled_message_id: NOW}
    assert second.taken == {**first.taken, _number(2).scheduled_message_id: LATER}
    assert second.revision == first.revision + 1
    assert harness.size() == 1


def test_message_that_reserves_twice_counts_once(harness: Harness) -> None:
    """The first response was lost: the later instant counts."""
    placed(harness.store, _number(1))
    assert placed(harness.store, _number(1), at=LATER).taken == {_number(1).scheduled_message_id: LATER}


@pytest.mark.parametrize(
    ("at", "left"),
    [(NOW + WEEK - timedelta(microseconds=1), 2), (NOW + WEEK, 1), (NOW + WEEK + timedelta(days=1), 1)],
    ids=["just before", "at", "after"],
)
def test_usage_expires_when_no_cap_counts_it(harness: Harness, at: datetime, left: int) -> None:
    placed(harness.store, _number(1))
    assert len(placed(harness.store, _number(2), at=at).taken) == left


def test_each_contact_and_category_has_its_own(harness: Harness) -> None:
    messages = [
        reminder(),
        reminder(reason="trial_follow_up", subject=TRIAL),
        reminder(contact=BEN),
        reminder(contact=replace(ANNA, channel="rcs")),
    ]
    for message in messages:
        assert placed(harness.store, message) == CapUsage({message.scheduled_message_id: NOW}, 1)
    assert harness.size() == len(messages)
    cap_usage = {"utility": messages[0], "marketing": messages[1]}
    assert harness.store.read_holdings(ANNA).cap_usage == {
        category: CapUsage({message.scheduled_message_id: NOW}, 1) for category, message in cap_usage.items()
    }


def test_they_last_as_long_as_the_last_of_them_is_counted(harness: Harness) -> None:
    placed(harness.store, _number(1), retention=WEEK)
    placed(harness.store, _number(2), at=LATER, retention=WEEK)
    harness.expire(LATER + WEEK - timedelta(seconds=1))
    assert harness.size() == 1
    harness.expire(LATER + WEEK + timedelta(seconds=1))
    assert _usages(harness.store) == CapUsage()


def test_release_keeps_the_retention_of_the_others(harness: Harness) -> None:
    placed(harness.store, _number(1))
    before = placed(harness.store, _number(2), at=LATER)
    harness.store.release_cap(_number(2))
    after = _usages(harness.store)
    assert after == CapUsage({_number(1).scheduled_message_id: NOW}, before.revision + 1)
    harness.expire(LATER + WEEK - timedelta(seconds=1))
    assert _usages(harness.store) == after
    harness.expire(LATER + WEEK + timedelta(seconds=1))
    assert harness.size() == 0


def test_releasing_the_last_usage_deletes_the_item(harness: Harness) -> None:
    placed(harness.store, _number(1))
    harness.store.release_cap(_number(1))
    assert harness.size() == 0
    assert _usages(harness.store) == CapUsage()


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_releasing_unreserved_cap_usage_changes_nothing(harness: Harness, taken: int) -> None:
    for number in range(taken):
        placed(harness.store, _number(number))
    before = _usages(harness.store)
    harness.store.release_cap(_number(9))
    harness.store.release_cap(replace(_number(0), contact=BEN))
    assert _usages(harness.store) == before


def test_giving_back_twice_is_giving_back_once(harness: Harness) -> None:
    placed(harness.store, _number(1))
    placed(harness.store, _number(2))
    harness.store.release_cap(_number(1))
    before = _usages(harness.store)
    harness.store.release_cap(_number(1))
    assert _usages(harness.store) == before


# A reservation succeeds only if it read the current cap usage.


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("read", [0, 1, 2])
def test_reservation_needs_the_usage_that_was_read(harness: Harness, stored: int, read: int) -> None:
    states = [CapUsage()]
    for number in range(2):
        states.append(states[-1].take(_number(number).scheduled_message_id, NOW, WEEK))
    states = [replace(cap_usage, revision=revision) for revision, cap_usage in enumerate(states)]
    for number in range(stored):
        placed(harness.store, _number(number))
    assert harness.store.reserve_cap(_number(9), states[read], at=NOW, retention=WEEK) is (stored == read)
    ids = {_number(number).scheduled_message_id for number in [*range(stored), *([9] if stored == read else [])]}
    assert set(_usages(harness.store).taken) == ids


def test_new_usage_is_not_the_usage_that_was_read(harness: Harness) -> None:
    """A deleted item counts its revisions from the beginning, so the number alone would be the same."""
    read = placed(harness.store, _number(1))
    harness.store.release_cap(_number(1))
    anew = placed(harness.store, _number(2))
    assert anew.revision == read.revision
    assert not harness.store.reserve_cap(_number(3), read, at=NOW, retention=WEEK)
    assert _usages(harness.store) == anew


def test_no_write_replaces_usage_that_ttl_deleted(harness: Harness) -> None:
    read = placed(harness.store, _number(1))
    harness.expire(NOW + WEEK + timedelta(seconds=1))
    assert not harness.store.reserve_cap(_number(2), read, at=NOW, retention=WEEK)
    harness.store.release_cap(_number(1))
    assert harness.size() == 0


# Many at once


def test_one_of_many_equal_readers_reserves(concurrent: Harness) -> None:
    store = concurrent.store
    for number in range(10):
        before = _usages(store)
        message = partial(reminder, offset=f"PT{number}H")

        def take(worker: int, before: CapUsage = before, message: partial[ScheduledMessage] = message) -> str | None:
            mine = message(version=worker + 1)
            return mine.scheduled_message_id if store.reserve_cap(mine, before, at=NOW, retention=WEEK) else None

        (winner,) = [message_id for message_id in together(take) if message_id]
        assert _usages(store).taken == {**before.taken, winner: NOW}


def test_many_that_try_until_they_have_one_all_have_one(concurrent: Harness) -> None:
    def take(worker: int) -> None:
        while not concurrent.store.reserve_cap(_number(worker), _usages(concurrent.store), at=NOW, retention=WEEK):
            pass

    together(take)
    assert set(_usages(concurrent.store).taken) == {_number(worker).scheduled_message_id for worker in range(WORKERS)}


def test_many_that_give_back_at_once_all_have(concurrent: Harness) -> None:
    for _ in range(5):
        for number in range(WORKERS):
            placed(concurrent.store, _number(number))
        stays = placed(concurrent.store, _number(99))
        together(lambda worker: concurrent.store.release_cap(_number(worker)))
        assert _usages(concurrent.store).taken == {_number(99).scheduled_message_id: NOW}
        assert _usages(concurrent.store).revision == stays.revision + WORKERS
        concurrent.store.release_cap(_number(99))
        assert concurrent.size() == 0


def test_taking_and_giving_back_at_once_lose_nothing(concurrent: Harness) -> None:
    store = concurrent.store

    def take_and_give_back(worker: int) -> None:
        for round_ in range(3):
            while not store.reserve_cap(_number(worker), _usages(store), at=NOW, retention=WEEK):
                pass
            if worker % 2 or round_ < 2:
                store.release_cap(_number(worker))

    together(take_and_give_back)
    assert set(_usages(store).taken) == {_number(worker).scheduled_message_id for worker in range(0, WORKERS, 2)}
