"""Send slots of a channel follow each other for all runs, and the queue is never longer than requested."""

from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest

from reengage.ports import Store
from tests.contract.samples import NOW
from tests.contract.stores import WORKERS, Harness
from tests.contract.test_concurrency import together

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
WEEK = timedelta(days=7)


def test_the_first_slot_is_now(harness: Harness) -> None:
    assert harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=timedelta()) == NOW


@pytest.mark.parametrize(
    "duration",
    [SECOND, timedelta(seconds=100), timedelta(microseconds=12_500), timedelta(microseconds=100), MICROSECOND],
    ids=str,
)
def test_slots_follow_one_another_to_the_microsecond(harness: Harness, duration: timedelta) -> None:
    slots = [harness.store.reserve_send_slot("sms", now=NOW, duration=duration, max_wait=WEEK) for _ in range(6)]
    assert slots == [NOW + number * duration for number in range(6)]


def test_each_slot_has_the_requested_duration(harness: Harness) -> None:
    lengths = [timedelta(milliseconds=length) for length in (100, 1, 1000, 10)]
    slots = [harness.store.reserve_send_slot("sms", now=NOW, duration=length, max_wait=WEEK) for length in lengths]
    assert slots == [NOW + sum(lengths[:number], timedelta()) for number in range(4)]


@pytest.mark.parametrize(
    ("max_wait", "is_taken"), [(SECOND, True), (SECOND - MICROSECOND, False), (timedelta(), False)]
)
def test_no_slot_begins_after_the_maximum_wait(harness: Harness, max_wait: timedelta, is_taken: bool) -> None:
    harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=timedelta())
    slot = harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=max_wait)
    assert slot == (NOW + SECOND if is_taken else None)


def test_who_finds_the_queue_too_long_does_not_make_it_longer(harness: Harness) -> None:
    harness.store.reserve_send_slot("sms", now=NOW, duration=2 * SECOND, max_wait=timedelta())
    for _ in range(3):
        assert harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=SECOND) is None
    assert harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=2 * SECOND) == NOW + 2 * SECOND


@pytest.mark.parametrize(
    ("later", "slot"),
    [
        (SECOND - MICROSECOND, SECOND),
        (SECOND, SECOND),
        (SECOND + MICROSECOND, SECOND + MICROSECOND),
        (timedelta(days=30), timedelta(days=30)),
    ],
    ids=["held still", "free at this moment", "free", "free long since"],
)
def test_channel_with_expired_slots_is_free_at_once(harness: Harness, later: timedelta, slot: timedelta) -> None:
    """Unused slots are not saved: two messages at once would be too many."""
    harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=timedelta())
    assert harness.store.reserve_send_slot("sms", now=NOW + later, duration=SECOND, max_wait=WEEK) == NOW + slot
    assert (
        harness.store.reserve_send_slot("sms", now=NOW + later, duration=SECOND, max_wait=WEEK) == NOW + slot + SECOND
    )


def test_a_queue_that_was_too_long_is_short_enough_later(harness: Harness) -> None:
    harness.store.reserve_send_slot("sms", now=NOW, duration=3 * SECOND, max_wait=timedelta())
    assert harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=2 * SECOND) is None
    assert (
        harness.store.reserve_send_slot("sms", now=NOW + SECOND, duration=SECOND, max_wait=2 * SECOND)
        == NOW + 3 * SECOND
    )


def test_a_clock_that_is_slow_gets_no_slot_twice(harness: Harness) -> None:
    """Each run uses the clock of its own machine."""
    harness.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=timedelta())
    assert harness.store.reserve_send_slot("sms", now=NOW - SECOND, duration=SECOND, max_wait=WEEK) == NOW + SECOND


def test_each_channel_has_its_own(harness: Harness) -> None:
    slots = [
        harness.store.reserve_send_slot(channel, now=NOW, duration=SECOND, max_wait=WEEK)
        for channel in ("sms", "whatsapp", "rcs", "sms", "whatsapp", "rcs")
    ]
    assert slots == [NOW] * 3 + [NOW + SECOND] * 3


# Many at once


def test_many_that_take_slots_at_once_never_share_one(concurrent: Harness) -> None:
    """No slot is left out or refused: the queue is never too long here."""
    duration = timedelta(microseconds=12_500)

    def take(_: int) -> list[datetime]:
        taken = [
            concurrent.store.reserve_send_slot("sms", now=NOW, duration=duration, max_wait=WEEK) for _ in range(10)
        ]
        return [slot for slot in taken if slot]

    runs = together(take)
    slots = [slot for run in runs for slot in run]
    assert sorted(slots) == [NOW + number * duration for number in range(len(slots))]
    assert len(slots) == WORKERS * 10
    assert all(earlier < later for run in runs for earlier, later in pairwise(run))


def test_concurrent_reservations_never_exceed_the_queue(concurrent: Harness) -> None:
    # The first is taken beforehand: how a channel is found free by many at once is another test.
    assert concurrent.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=timedelta()) == NOW

    def take(_: int) -> list[bool]:
        return [
            concurrent.store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=20 * SECOND) is not None
            for _ in range(5)
        ]

    assert sum(sum(run) for run in together(take)) == 20  # one begins at each second until the 20th


def test_of_many_that_find_a_channel_free_all_have_a_slot(concurrent: Harness) -> None:
    """A queue of a few is not too long only because it has just formed."""
    for minute in range(5):
        now = NOW + timedelta(minutes=minute)
        slots = together(partial(_take_a_second, concurrent.store, now))
        assert None not in slots
        assert set(slots) == {now + number * SECOND for number in range(WORKERS)}


def _take_a_second(store: Store, now: datetime, _worker: int) -> datetime | None:
    return store.reserve_send_slot("sms", now=now, duration=SECOND, max_wait=WEEK)
