"""Frequency caps over rolling periods, to the microsecond, against a count by hand."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.caps import Cap, CapUsage, free_at, longest, parse_caps
from tests.cases import each_of
from tests.fakes import NOON

MICROSECOND: Final = timedelta(microseconds=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

DEFAULT: Final = (Cap(1, DAY), Cap(3, 7 * DAY))


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        ("", ()),
        ("1/P1D,3/P7D", DEFAULT),
        ("5/P1D", (Cap(5, DAY),)),
        ("3/P1W", (Cap(3, 7 * DAY),)),
        ("2/PT36H", (Cap(2, 36 * HOUR),)),
        ("1/P1DT12H", (Cap(1, 36 * HOUR),)),
        ("10/PT30M", (Cap(10, HOUR / 2),)),
    ],
)
def test_caps_are_written_as_a_number_and_a_duration(text: str, caps: tuple[Cap, ...]) -> None:
    assert parse_caps(text) == caps


@each_of(
    "text",
    [
        "1",
        "1/",
        "/P1D",
        "P1D",
        "0/P1D",
        "-1/P1D",
        "+1/P1D",
        "1.5/P1D",
        "one/P1D",
        "1/P1M",  # how many days?
        "1/P1Y",
        "1/P1M1D",
        "1/P0D",
        "1/PT0S",
        "1/-P1D",
        "1/1D",
        "1/day",
        "1/P1D,",
        ",1/P1D",
        "1/P1D,,3/P7D",
        "1/P1D, 3/P7D",
        "1/P1D;3/P7D",
        "99999999999999999999/P1D",
        "1/P99999D",
        " ",
    ],
)
def test_what_is_no_cap_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected (caps such as 1/P1D,3/P7D|an ISO 8601 duration)"):
        parse_caps(text)


@pytest.mark.parametrize("text", ["1/P1D", "3/P7D", "2/P1DT12H", "10/PT30M"])
def test_a_cap_prints_as_it_was_written(text: str) -> None:
    assert [str(cap) for cap in parse_caps(text)] == [text]


def test_a_send_is_remembered_for_the_longest_period() -> None:
    assert longest(DEFAULT) == longest(DEFAULT[::-1]) == 7 * DAY
    assert longest(()) == timedelta()


def test_without_caps_there_is_always_room() -> None:
    assert free_at((), [NOON] * 100, NOON) is None


def test_message_exactly_one_period_old_does_not_count() -> None:
    caps = (Cap(1, DAY),)
    assert free_at(caps, [NOON], NOON + DAY - MICROSECOND) == NOON + DAY
    assert free_at(caps, [NOON], NOON + DAY) is None


def test_every_cap_must_have_room() -> None:
    """Three in the week, the last one two days ago: the day's cap is free, the week's in a day."""
    sends = [NOON - 6 * DAY, NOON - 4 * DAY, NOON - 2 * DAY]
    assert free_at(DEFAULT[:1], sends, NOON) is None
    assert free_at(DEFAULT, sends, NOON) == NOON + DAY
    assert free_at(DEFAULT, [*sends[1:], NOON - HOUR], NOON) == NOON + 3 * DAY
    assert free_at(DEFAULT, [sends[2], NOON - HOUR], NOON) == NOON + 23 * HOUR


def test_a_lowered_cap_waits_until_fewer_than_the_limit_remain() -> None:
    """Five were sent while five were allowed; now two are allowed: the fourth must leave the period, not the oldest."""
    sends = [NOON - n * HOUR for n in (5, 4, 3, 2, 1)]
    assert free_at((Cap(2, DAY),), sends, NOON) == NOON - 2 * HOUR + DAY


def test_a_send_by_a_clock_that_runs_ahead_counts_already() -> None:
    ahead = NOON + timedelta(seconds=1)
    assert free_at((Cap(1, DAY),), [ahead], NOON) == ahead + DAY


def test_the_order_in_which_sends_are_stored_is_all_one() -> None:
    sends = [NOON - 5 * HOUR, NOON - 3 * HOUR, NOON - HOUR, NOON - 2 * DAY]
    assert {free_at((Cap(2, DAY),), order, NOON) for order in permutations(sends)} == {NOON - 3 * HOUR + DAY}


# Against a count by hand. Few different lengths, so that sends often lie exactly one period apart.

LENGTHS: Final = st.sampled_from([MICROSECOND, HOUR, 2 * HOUR, 5 * HOUR, DAY, 3 * DAY])
CAPS: Final = st.lists(
    st.builds(Cap, st.integers(1, 3), LENGTHS.filter(lambda length: length > MICROSECOND)), max_size=3
)
GAPS: Final = st.lists(st.one_of(LENGTHS, st.just(timedelta())), min_size=1, max_size=40)


def instants(gaps: Iterable[timedelta]) -> list[datetime]:
    """Noon, and one more instant after each gap."""
    found = [NOON]
    for gap in gaps:
        found.append(found[-1] + gap)
    return found


def is_free(caps: Sequence[Cap], sends: Sequence[datetime], now: datetime) -> bool:
    return all(sum(now - sent_at < cap.period for sent_at in sends) < cap.limit for cap in caps)


@settings(max_examples=200, deadline=None)
@given(caps=CAPS, gaps=GAPS)
@pytest.mark.slow
def test_the_instant_is_exact(caps: list[Cap], gaps: list[timedelta]) -> None:
    """At that instant the cap allows a message, and one microsecond before it does not."""
    sends = instants(gaps)
    now = sends[-1]
    instant = free_at(caps, sends, now)
    if instant is None:
        assert is_free(caps, sends, now)
    else:
        assert instant > now
        assert is_free(caps, sends, instant)
        assert not is_free(caps, sends, instant - MICROSECOND)
        assert free_at(caps, sends, instant) is None
        assert free_at(caps, sends, instant - MICROSECOND) == instant


@settings(max_examples=200, deadline=None)
@given(caps=CAPS, gaps=GAPS)
@pytest.mark.slow
def test_no_period_ever_has_more_sends_than_its_limit(caps: list[Cap], gaps: list[timedelta]) -> None:
    """A sequence of sends and the remembered usage: instants that it forgets never matter."""
    cap_usage, sent = CapUsage(), list[datetime]()
    for number, now in enumerate(instants(gaps)):
        wait = free_at(caps, cap_usage.instants(), now)
        assert wait == free_at(caps, sent, now)
        if wait is None:
            cap_usage = cap_usage.take(f"m{number}", now, longest(caps))
            sent.append(now)
    for cap in caps:
        # The fullest periods are those that begin with a send.
        assert all(sum(first <= other < first + cap.period for other in sent) <= cap.limit for first in sent)


# Places.


def test_message_reserves_and_releases_usage() -> None:
    cap_usage = CapUsage(revision=4).take("a", NOON, DAY).take("b", NOON + HOUR, DAY)
    assert cap_usage == CapUsage({"a": NOON, "b": NOON + HOUR}, revision=4)
    assert cap_usage.remove("a") == CapUsage({"b": NOON + HOUR}, revision=4)
    assert cap_usage.remove("c") is cap_usage


def test_message_does_not_count_against_itself() -> None:
    cap_usage = CapUsage({"a": NOON, "b": NOON + HOUR})
    assert sorted(cap_usage.instants()) == [NOON, NOON + HOUR]
    assert cap_usage.instants(but="a") == (NOON + HOUR,)
    assert cap_usage.take("a", NOON + 2 * HOUR, DAY).taken == {"a": NOON + 2 * HOUR, "b": NOON + HOUR}


def test_what_no_period_counts_any_more_is_forgotten() -> None:
    cap_usage = CapUsage({"old": NOON - DAY, "counted": NOON - DAY + MICROSECOND, "ahead": NOON + HOUR})
    assert set(cap_usage.take("new", NOON, DAY).taken) == {"counted", "ahead", "new"}
    assert set(cap_usage.take("new", NOON, timedelta()).taken) == {"ahead", "new"}


def test_taking_and_giving_back_leave_the_value_itself_alone() -> None:
    cap_usage = CapUsage({"a": NOON})
    cap_usage.take("b", NOON, DAY)
    cap_usage.remove("a")
    assert cap_usage == CapUsage({"a": NOON})
