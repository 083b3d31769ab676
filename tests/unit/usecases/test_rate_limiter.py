"""All runs together send no faster than the channel allows: many runs and threads, with a simulated clock."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from math import ceil
from threading import Event, Lock
from typing import Any, Final, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reengage.adapters.memory import MemoryStore
from reengage.ports import Store
from reengage.usecases.rate_limiter import RateLimiter, _Slots
from tests.fakes import NOON, Clock

SECOND: Final = timedelta(seconds=1)
MICROSECOND: Final = timedelta(microseconds=1)
MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class Time:
    """A clock that advances only if every thread waits, and then to the earliest wake-up."""

    now: datetime = NOON
    awake: int = 0
    _guard: Any = field(default_factory=Lock)
    _asleep: list[tuple[datetime, int, Event]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def __call__(self) -> datetime:
        return self.now

    def pause(self, seconds: float) -> None:
        bell = Event()
        with self._guard:
            heapq.heappush(self._asleep, (self.now + timedelta(seconds=seconds), next(self._numbers), bell))
            self._rest()
        assert bell.wait(timeout=10)

    def together(self, *bodies: Callable[[], None]) -> None:
        """Run each body in a thread of its own, until all have ended."""

        def run(body: Callable[[], None]) -> None:
            try:
                body()
            finally:
                with self._guard:
                    self._rest()

        self.awake = len(bodies)
        with ThreadPoolExecutor(len(bodies)) as pool:
            list(pool.map(run, bodies))

    def _rest(self) -> None:
        self.awake -= 1
        if not self.awake and self._asleep:
            self.now, _, bell = heapq.heappop(self._asleep)
            self.awake = 1
            bell.set()


@dataclass(slots=True)
class TimedLock:
    """A lock that ``Time`` knows: time passes while a thread waits for it."""

    time: Time
    held: bool = False
    waiting: list[Event] = field(default_factory=list)

    def __enter__(self) -> None:
        bell = None
        with self.time._guard:
            if self.held:
                bell = Event()
                self.waiting.append(bell)
                self.time._rest()
            self.held = True
        assert bell is None or bell.wait(timeout=10)

    def __exit__(self, *_: object) -> None:
        with self.time._guard:
            if self.waiting:  # it is handed on
                self.time.awake += 1
                self.waiting.pop(0).set()
            else:
                self.held = False


@dataclass(slots=True)
class Counting:
    """The store, and each reservation: its beginning and its length."""

    store: MemoryStore = field(default_factory=MemoryStore)
    requests: int = 0
    reserved: list[tuple[str, datetime, timedelta]] = field(default_factory=list)

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        self.requests += 1
        slot = self.store.reserve_send_slot(channel, now=now, duration=duration, max_wait=max_wait)
        if slot:
            self.reserved.append((channel, slot, duration))
        return slot


def rate_of(time: Time, store: Counting, rate: float, *, duration: timedelta = 60 * SECOND) -> RateLimiter:
    """Return the rate limiter of one run."""
    return RateLimiter(
        store=cast("Store", store),
        clock=time,
        pause=time.pause,
        per_second={"sms": rate},
        stop_at=time.now + duration,
        _slots=defaultdict(lambda: _Slots(cast("Lock", TimedLock(time)))),
    )


def most_in_a_second(sent: Sequence[datetime]) -> int:
    """Return a millisecond less: a spacing is a whole number of microseconds, and three thirds are not quite one."""
    return max(sum(first <= at < first + SECOND - MILLISECOND for at in sent) for first in sent)


def simulated(rate: float, runs: Sequence[Sequence[Sequence[float]]]) -> list[datetime]:
    """Return when each message was sent: by runs, of threads, with so many seconds of work after each message."""
    time, store, sent = Time(), Counting(), list[datetime]()

    def thread(rate_limiter: RateLimiter, works: Sequence[float]) -> Callable[[], None]:
        def body() -> None:
            for work in works:
                assert rate_limiter("sms")
                sent.append(time.now)
                time.pause(work)

        return body

    bodies = []
    for threads in runs:
        rate_limiter = rate_of(time, store, rate, duration=timedelta(hours=1))
        bodies += [thread(rate_limiter, works) for works in threads]
    time.together(*bodies)
    assert len(sent) == sum(len(works) for threads in runs for works in threads)
    return sorted(sent)


RATES: Final = st.sampled_from([0.25, 0.5, 1.0, 2.5, 3.0, 10.0, 20.0, 80.0])
WORK: Final = st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.3, 2.0])
RUNS: Final = st.lists(
    st.lists(st.lists(WORK, min_size=1, max_size=12), min_size=1, max_size=4), min_size=1, max_size=3
)


@settings(max_examples=60, deadline=None)
@given(rate=RATES, runs=RUNS)
@example(rate=1.0, runs=[[[0.0] * 4] * 4] * 3)
@example(rate=80.0, runs=[[[0.0] * 40] * 8] * 2)
@pytest.mark.slow
def test_in_no_second_more_is_sent_than_the_channel_takes(rate: float, runs: list[list[list[float]]]) -> None:
    assert most_in_a_second(simulated(rate, runs)) <= ceil(rate)


@pytest.mark.parametrize("held_up", [0.03, 0.099, 0.1, 2.0])
def test_late_slots_are_not_sent_on_top_of_others(held_up: float) -> None:
    """A run reserved a tenth of a second for eight messages, and was delayed after the first.

    When it continued, that time was nearly over, and another run used the channel in full.
    """
    slow, busy = [held_up] + [0.0] * 20, [0.0] * 300
    assert most_in_a_second(simulated(80.0, [[slow], [busy]])) <= 80


def test_a_run_with_much_to_send_loses_no_time() -> None:
    sent = simulated(80.0, [[[0.0] * 30] * 8])
    assert sent[-1] - sent[0] == 239 * SECOND / 80


def test_runs_share_the_channel_without_leaving_it_idle() -> None:
    sent = simulated(10.0, [[[0.0] * 5] * 2] * 3)
    assert sent == [NOON + number * SECOND / 10 for number in range(30)]


# What costs nothing


@pytest.mark.parametrize("per_second", [{}, {"whatsapp": 1.0}])
def test_a_channel_without_a_limit_costs_no_call_and_no_wait(per_second: dict[str, float]) -> None:
    def never(seconds: float) -> None:
        raise AssertionError(seconds)

    store = Counting()
    rate_limiter = RateLimiter(cast("Store", store), lambda: NOON, never, per_second, NOON + SECOND)
    assert all(rate_limiter("sms") for _ in range(100))
    assert store.requests == 0


def test_a_channel_without_a_limit_is_not_stopped_either() -> None:
    assert RateLimiter(cast("Store", Counting()), lambda: NOON, lambda _: None, {}, NOON)("sms")


def test_channels_do_not_wait_for_one_another() -> None:
    time, store = Time(), Counting()
    rate_limiter = RateLimiter(cast("Store", store), time, time.pause, {"sms": 1.0, "rcs": 1.0}, NOON + 60 * SECOND)
    sent: list[tuple[str, datetime]] = []

    def body() -> None:
        for channel in ("sms", "rcs", "sms", "rcs"):
            assert rate_limiter(channel)
            sent.append((channel, time.now))

    time.together(body)
    assert sent == [("sms", NOON), ("rcs", NOON), ("sms", NOON + SECOND), ("rcs", NOON + SECOND)]


# What is reserved


@pytest.mark.parametrize("rate", [0.25, 1.0, 3.0, 9.0, 10.0, 15.0])
def test_slots_of_a_tenth_of_a_second_are_reserved_singly(rate: float) -> None:
    store = _sent_by_one(rate, 5)
    assert len(store.reserved) == 5
    assert {duration for _, _, duration in store.reserved} == {SECOND / rate}


@pytest.mark.parametrize(("rate", "at_once"), [(20.0, 2), (80.0, 8), (1000.0, 100)])
def test_one_write_reserves_at_most_a_tenth_of_a_second(rate: float, at_once: int) -> None:
    store = _sent_by_one(rate, at_once + 1)
    assert store.requests == len(store.reserved) == 2
    assert {duration for _, _, duration in store.reserved} == {SECOND / 10}


def _sent_by_one(rate: float, messages: int) -> Counting:
    """Only this thread runs."""
    time, store = Time(), Counting()
    rate_limiter = rate_of(time, store, rate)

    def body() -> None:
        for _ in range(messages):
            assert rate_limiter("sms")

    time.together(body)
    return store


# A run that stops


@pytest.mark.parametrize("past", [timedelta(), MILLISECOND, 60 * SECOND])
def test_a_run_at_its_end_reserves_nothing_and_sends_nothing(past: timedelta) -> None:
    time, store = Time(), Counting()
    rate_limiter = rate_of(time, store, 1.0, duration=SECOND)
    time.now += SECOND + past
    assert not rate_limiter("sms")
    assert store.requests == 0


def test_a_run_whose_turn_does_not_come_ends_within_its_time() -> None:
    """Others use the channel until the end; the run checks again, and stops when its time is over."""
    time, store = Time(), Counting()
    store.store.reserve_send_slot("sms", now=NOON, duration=3600 * SECOND, max_wait=SECOND)
    rate_limiter, ended = rate_of(time, store, 1.0, duration=5 * SECOND), list[tuple[bool, datetime]]()
    time.together(*[lambda: ended.append((rate_limiter("sms"), time.now))] * 4)
    assert [sent for sent, _ in ended] == [False] * 4
    assert all(NOON + 5 * SECOND <= at <= NOON + 5.25 * SECOND for _, at in ended)
    assert store.reserved == []


def test_slot_after_the_end_of_the_run_is_not_awaited() -> None:
    time, store = Time(), Counting()
    rate_limiter, ended = rate_of(time, store, 1.0, duration=1.5 * SECOND), list[tuple[bool, datetime]]()
    time.together(*[lambda: ended.append((rate_limiter("sms"), time.now))] * 6)
    assert [at for sent, at in sorted(ended) if sent] == [NOON, NOON + SECOND]
    assert len(ended) == 6


@pytest.mark.parametrize("rate", [1.0, 10.0, 80.0])
def test_unused_slots_of_an_ended_run_delay_no_other_run(rate: float) -> None:
    """Killed with all of its threads in the queue, a run blocks the channel for two seconds and one
    reservation more.
    """
    time, store = Time(), Counting()
    killed, sent = rate_of(time, store, rate, duration=SECOND), list[datetime]()

    def until_the_end() -> None:
        while killed("sms"):
            pass

    def after_it() -> None:
        time.pause(1)
        assert rate_of(time, store, rate)("sms")
        sent.append(time.now)

    time.together(*[until_the_end] * 8, after_it)
    one_reservation, one_look = max(SECOND / 10, SECOND / rate), SECOND / 4
    assert sent[0] - NOON <= SECOND + 2 * SECOND + one_reservation + one_look


def test_store_failure_gives_no_slot() -> None:
    class Broken(Counting):
        def reserve_send_slot(self, channel: str, **_: Any) -> datetime | None:
            raise ConnectionError(channel)

    time = Time()
    with pytest.raises(ConnectionError):
        rate_of(time, Broken(), 1.0)("sms")


@pytest.mark.parametrize(("ahead", "comes"), [(SECOND - MICROSECOND, True), (SECOND, False)])
def test_a_slot_at_the_end_of_the_run_is_not_used(ahead: timedelta, comes: bool) -> None:
    """A run that ends at 12:00:01 uses a slot just before that, and none at that instant."""
    store, clock = MemoryStore(), Clock()
    store.reserve_send_slot("sms", now=NOON, duration=ahead, max_wait=timedelta())

    def pause(seconds: float) -> None:
        clock.now += timedelta(seconds=seconds)

    limiter = RateLimiter(store=store, clock=clock, pause=pause, per_second={"sms": 1}, stop_at=NOON + SECOND)
    assert limiter("sms") is comes


def test_a_brands_own_limit_is_apart_from_the_stacks() -> None:
    store, clock = MemoryStore(), Clock()
    waits: list[float] = []
    limiter = RateLimiter(
        store=store, clock=clock, pause=waits.append, per_second={"sms": 1}, stop_at=NOON + 10 * SECOND
    )
    assert limiter("sms")
    assert limiter.wait_for("acme-dental/sms", 5)
    assert waits == []
    assert limiter.wait_for("acme-dental/sms", 5)
    assert waits == [0.2]
