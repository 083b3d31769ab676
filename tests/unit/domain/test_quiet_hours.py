"""Quiet hours by the wall clock, across every change of clocks of three years, and across a change of the rules."""

import io
import struct
from bisect import bisect
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.quiet_hours import QuietHours
from tests.cases import each_of

MICROSECOND: Final = timedelta(microseconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY_IN_MINUTES: Final = 24 * 60

BERLIN: Final = ZoneInfo("Europe/Berlin")


def hours(text: str) -> QuietHours:
    parsed = QuietHours.parse(text)
    assert parsed is not None
    return parsed


# What the tests compare with: nothing but the wall clock, minute by minute.


def quiet_minutes(text: str) -> frozenset[int]:
    """The minutes of a day that are quiet."""
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return frozenset(minute % DAY_IN_MINUTES for minute in range(start, end if end > start else end + DAY_IN_MINUTES))


def minute_of_day(instant: datetime, zone: tzinfo) -> int:
    wall = instant.astimezone(zone)
    return wall.hour * 60 + wall.minute


def scan(text: str, now: datetime, zones: Collection[tzinfo], *, for_quiet: bool = False) -> datetime | None:
    """Return the first minute from ``now`` on that is quiet in no zone; with ``for_quiet``, quiet in some zone."""
    quiet, instant = quiet_minutes(text), now
    while instant <= now + timedelta(days=2):
        if any(minute_of_day(instant, zone) in quiet for zone in zones) is for_quiet:
            return instant
        instant = instant.replace(second=0, microsecond=0) + MINUTE
    return None


class Transition(NamedTuple):
    """A change of a zone's offset from UTC: from ``at`` on the clocks are ``by`` ahead of, or behind, the old ones."""

    at: datetime
    by: timedelta


@cache
def transitions(zone: tzinfo, first_year: int, last_year: int) -> tuple[Transition, ...]:
    """Every change of offset in those years, found by looking at each hour."""
    return tuple(_transitions(zone, first_year, last_year))


def _transitions(zone: tzinfo, first_year: int, last_year: int) -> Iterator[Transition]:
    start, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    hourly = (start + n * HOUR for n in range((end - start) // HOUR + 1))
    for before, after in pairwise((instant, offset(instant, zone)) for instant in hourly):
        if before[1] == after[1]:
            continue
        early, late = before[0], after[0]
        while late - early > timedelta(seconds=1):
            middle = early + (late - early) // 2
            early, late = (middle, late) if offset(middle, zone) == before[1] else (early, middle)
        yield Transition(late.replace(microsecond=0), after[1] - before[1])


def offset(instant: datetime, zone: tzinfo) -> timedelta:
    of_zone = instant.astimezone(zone).utcoffset()
    assert of_zone is not None
    return of_zone


# How they are written.


@pytest.mark.parametrize("text", ["20:00-09:00", "21:00-08:00", "00:00-06:30", "23:59-00:00", "12:00-13:00"])
def test_quiet_hours_parse_and_print_as_written(text: str) -> None:
    assert str(hours(text)) == text


def test_an_empty_text_is_no_quiet_hours() -> None:
    assert QuietHours.parse("") is None


@each_of(
    "text",
    [
        "20:00",
        "20:00-",
        "-",
        " ",
        "20:00-09:00-10:00",
        "20:00 - 09:00",
        "20-09",
        "2000-0900",
        "8:00-9:00",
        "24:00-09:00",
        "20:60-09:00",
        "20:00:00-09:00",
        "20:00-09:00:30",
        "20:00-09:00Z",
        "T20:00-T09:00",
        "20:00-20:00",  # never or always: not defined
        "late",
    ],
)
def test_what_is_no_quiet_hours_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected quiet hours such as 20:00-09:00, or by weekday Mon-Sat 20:00-"):
        QuietHours.parse(text)


@each_of(
    "text",
    [
        "Mon 20:00",
        "Mon-20:00-09:00",
        "mon 20:00-09:00",
        "Monday 20:00-09:00",
        "Mon-Tue-Wed 20:00-09:00",
        "Mon-Sat 20:00-09:00, Sat 20:00-12:00",
        "20:00-09:00, Sun 20:00-12:00",
        "Mon 20:00-09:00,",
        "Mon  20:00-09:00",
    ],
)
def test_invalid_weekdays_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected quiet hours such as"):
        QuietHours.parse(text)


WEEK: Final = "Mon-Sat 20:00-09:00, Sun 20:00-12:00"


@pytest.mark.parametrize("text", [WEEK, "Sat-Sun 00:00-23:59", "Fri 20:00-09:00", "Sat-Mon 10:00-11:00"])
def test_weekdays_are_written_as_they_are_read(text: str) -> None:
    assert str(QuietHours.parse(text)) == text


BERLIN_ZONE: Final = ZoneInfo("Europe/Berlin")


def _berlin(*local: int) -> datetime:
    return datetime(2026, *local, tzinfo=BERLIN_ZONE)  # type: ignore[arg-type,misc] # of any length


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        # 1 March 2026 is a Sunday.
        (_berlin(2, 28, 19, 59), _berlin(2, 28, 19, 59)),
        (_berlin(2, 28, 20, 0), _berlin(3, 1, 9, 0)),
        (_berlin(3, 1, 20, 0), _berlin(3, 2, 12, 0)),
        (_berlin(3, 2, 11, 59), _berlin(3, 2, 12, 0)),
        (_berlin(3, 3, 11, 59), _berlin(3, 3, 11, 59)),
    ],
)
def test_each_weekday_has_its_own_hours(now: datetime, allowed: datetime) -> None:
    hours = QuietHours.parse(WEEK)
    assert hours
    assert hours.first_allowed(now, [BERLIN_ZONE]) == allowed
    assert hours.cover(now, BERLIN_ZONE) is (now != allowed)


@pytest.mark.parametrize(
    ("text", "now", "quiet"),
    [
        ("Sun 20:00-12:00", _berlin(3, 2, 12, 0), _berlin(3, 8, 20, 0)),
        ("Sun 20:00-12:00", _berlin(3, 2, 11, 0), _berlin(3, 2, 11, 0)),
        (WEEK, _berlin(3, 2, 12, 0), _berlin(3, 2, 20, 0)),
        ("Sat-Sun 08:00-20:00", _berlin(3, 6, 9, 0), _berlin(3, 7, 8, 0)),
    ],
)
def test_the_first_quiet_instant_may_be_days_ahead(text: str, now: datetime, quiet: datetime) -> None:
    hours = QuietHours.parse(text)
    assert hours
    assert hours.first_quiet(now, [BERLIN_ZONE]) == quiet


def test_a_quiet_weekend_ends_on_monday() -> None:
    hours = QuietHours.parse("Fri 20:00-19:59, Sat 19:59-19:58, Sun 19:58-09:00")
    assert hours
    assert hours.first_allowed(_berlin(3, 6, 20, 0), [BERLIN_ZONE]) == _berlin(3, 9, 9, 0)


# What they cover.


@each_of(
    ("text", "wall", "quiet"),
    [
        ("20:00-09:00", "19:59:59.999999", False),
        ("20:00-09:00", "20:00:00", True),
        ("20:00-09:00", "00:00:00", True),
        ("20:00-09:00", "08:59:59.999999", True),
        ("20:00-09:00", "09:00:00", False),
        ("12:00-13:30", "11:59:59.999999", False),
        ("12:00-13:30", "12:00:00", True),
        ("12:00-13:30", "13:29:59.999999", True),
        ("12:00-13:30", "13:30:00", False),
        ("12:00-13:30", "00:00:00", False),
        ("22:00-00:00", "23:59:59.999999", True),
        ("22:00-00:00", "00:00:00", False),
    ],
)
def test_quiet_hours_include_the_start_and_exclude_the_end(text: str, wall: str, quiet: bool) -> None:
    """By the clock of the person's zone, whatever zone the instant has."""
    instant = datetime.fromisoformat(f"2026-07-01T{wall}").replace(tzinfo=BERLIN)
    for same in (instant, instant.astimezone(UTC), instant.astimezone(timezone(-9 * HOUR))):
        assert hours(text).cover(same, BERLIN) is quiet


def test_a_time_that_the_clocks_show_twice_is_quiet_both_times() -> None:
    """New York, 1 November 2026: from 01:00 to 02:00 in summer time, then once more in winter time."""
    zone, quiet = ZoneInfo("America/New_York"), hours("01:15-01:45")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert [quiet.cover(first + n * HOUR, zone) for n in (-1, 0, 1, 2)] == [False, True, True, False]
    assert quiet.first_allowed(first, [zone]) == first + timedelta(minutes=15)
    assert quiet.first_allowed(first + HOUR, [zone]) == first + timedelta(minutes=75)


# The first allowed instant.


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        ("2026-07-01T12:34:56.789+00:00", "2026-07-01T12:34:56.789+00:00"),
        ("2026-07-01T17:59:59.999999+00:00", "2026-07-01T17:59:59.999999+00:00"),
        ("2026-07-01T18:00:00+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-07-01T23:00:30.5+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-07-02T06:59:59.999999+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-07-02T07:00:00+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-07-01T22:00:00-04:00", "2026-07-02T07:00:00+00:00"),
    ],
)
def test_it_is_now_or_the_end_of_the_quiet_hours(now: str, allowed: str) -> None:
    instant = hours("20:00-09:00").first_allowed(datetime.fromisoformat(now), [BERLIN])
    assert instant == datetime.fromisoformat(allowed)
    assert instant.tzinfo is UTC


def test_skipped_allowed_hour_moves_to_the_next_day() -> None:
    """Berlin, 29 March 2026: from 02:00 at once to 03:00."""
    now = datetime(2026, 3, 28, 3, tzinfo=BERLIN)
    assert hours("03:00-02:00").first_allowed(now, [BERLIN]) == datetime(2026, 3, 30, 0, tzinfo=UTC)


def test_without_a_zone_nothing_is_quiet() -> None:
    """Another rule decides whether a zone is known at all."""
    now = datetime(2026, 7, 1, 3, tzinfo=UTC)
    assert hours("20:00-09:00").first_allowed(now, []) == now


def test_several_zones_must_all_allow() -> None:
    """A toll-free number from Alaska to the Atlantic: 09:00 in Anchorage is 13:00 in New York."""
    zones = [ZoneInfo("America/New_York"), ZoneInfo("America/Anchorage"), ZoneInfo("America/Chicago")]
    now = datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
    assert hours("20:00-09:00").first_allowed(now, zones[:1]) == now
    assert hours("20:00-09:00").first_allowed(now, zones) == datetime(2026, 7, 1, 17, tzinfo=UTC)


def test_zones_that_cover_all_hours_together_never_allow() -> None:
    zones = [timezone(12 * HOUR), timezone(timedelta())]
    now = datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
    assert hours("20:00-09:00").first_allowed(now, zones) is None
    assert hours("20:00-08:00").first_allowed(now, zones) is None
    assert hours("21:00-08:00").first_allowed(now, zones) == datetime(2026, 7, 1, 20, tzinfo=UTC)


# The first quiet instant.


@pytest.mark.parametrize(
    ("now", "quiet"),
    [
        ("2026-07-01T12:34:56.789+00:00", "2026-07-01T18:00:00+00:00"),
        ("2026-07-01T17:59:59.999999+00:00", "2026-07-01T18:00:00+00:00"),
        ("2026-07-01T18:00:00.5+00:00", "2026-07-01T18:00:00.5+00:00"),
        ("2026-07-02T09:00:00+02:00", "2026-07-02T18:00:00+00:00"),
    ],
)
def test_it_is_now_or_the_start_of_the_quiet_hours(now: str, quiet: str) -> None:
    instant = hours("20:00-09:00").first_quiet(datetime.fromisoformat(now), [BERLIN])
    assert instant == datetime.fromisoformat(quiet)
    assert instant.tzinfo is UTC


def test_of_several_zones_the_first_that_is_quiet_counts() -> None:
    zones = [ZoneInfo("America/Chicago"), ZoneInfo("America/New_York"), ZoneInfo("America/Anchorage")]
    now = datetime(2026, 7, 1, 18, tzinfo=UTC)
    assert hours("20:00-09:00").first_quiet(now, zones) == datetime(2026, 7, 2, 0, tzinfo=UTC)


def test_no_zone_means_no_quiet_hours_for_48_hours() -> None:
    """Also from an instant of a zone whose clocks go forward between."""
    now = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    instant = hours("20:00-09:00").first_quiet(now, [])
    assert instant == datetime(2026, 3, 30, 11, tzinfo=UTC)
    assert instant.tzinfo is UTC


# Every change of clocks.

ZONES: Final = (
    "Africa/Cairo",  # at midnight
    "Africa/Casablanca",  # back for Ramadan
    "Africa/El_Aaiun",
    "America/Havana",  # at midnight
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",  # on a Saturday evening
    "America/Santiago",  # at midnight
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Troll",  # by two hours
    "Asia/Beirut",  # at midnight
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",  # by half an hour
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Chisinau",
    "Europe/Dublin",  # winter time is the exception
    "Europe/London",
    "Pacific/Auckland",
    "Pacific/Chatham",  # 45 minutes off the hour
    "Pacific/Norfolk",
)

CHANGED_RULES: Final = (
    ("Africa/Cairo", 2022, 2024),  # took up summer time again
    ("America/Asuncion", 2023, 2025),  # stays in summer time
    ("America/Mexico_City", 2021, 2023),  # gave summer time up
    ("Asia/Almaty", 2023, 2025),  # moved to another offset
    ("Asia/Amman", 2021, 2023),  # stays in summer time
    ("Asia/Pyongyang", 2014, 2019),  # half an hour there, and back
    ("Europe/Volgograd", 2018, 2021),
    ("Pacific/Apia", 2011, 2011),  # left a whole day out
)

QUIET: Final = (
    "20:00-09:00",
    "21:00-08:00",
    "00:00-01:00",
    "01:00-03:00",
    "01:15-02:30",
    "02:00-02:30",
    "02:15-01:45",
    "03:00-02:00",
    "23:30-00:30",
)

BEFORE: Final = timedelta(hours=28)
AFTER: Final = timedelta(hours=50)

# From a day before a change to half a day after it, densest around it; beside whole minutes, fractions of one.
INSTANTS: Final = sorted(
    {timedelta(minutes=n) for n in (*range(-24 * 60, 12 * 60, 180), *range(-120, 121, 30), -1, 1)}
    | {timedelta(minutes=n, seconds=30, milliseconds=1) for n in (-600, -91, -31, -1, 0, 29, 59, 89, 119)}
    | {-MICROSECOND, MICROSECOND}
)


def check_around(change: Transition, zone: tzinfo) -> None:
    """For each of ``QUIET`` and ``INSTANTS``, compare with the wall clock of every minute around the change."""
    start = change.at - BEFORE
    minutes = [minute_of_day(start + n * MINUTE, zone) for n in range((BEFORE + AFTER) // MINUTE)]
    for text in QUIET:
        searched, quiet = hours(text), quiet_minutes(text)
        those = {kind: [n for n, shown in enumerate(minutes) if (shown in quiet) is kind] for kind in (False, True)}
        for distance in INSTANTS:
            now = change.at + distance
            minute = (now - start) // MINUTE
            found = {kind: start + these[bisect(these, minute)] * MINUTE for kind, these in those.items()}
            found[minutes[minute] in quiet] = now
            assert searched.first_allowed(now, [zone]) == found[False], (text, now, change)
            assert searched.first_quiet(now, [zone]) == found[True], (text, now, change)


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.slow
def test_every_change_of_clocks_of_three_years(name: str) -> None:
    """2026 to 2028, both ways."""
    zone = ZoneInfo(name)
    changes = transitions(zone, 2026, 2028)
    assert {change.by > timedelta() for change in changes} == {True, False}
    for change in changes:
        check_around(change, zone)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first_year", "last_year"), CHANGED_RULES)
def test_every_change_of_clocks_where_a_zone_changed_its_rule(name: str, first_year: int, last_year: int) -> None:
    zone = ZoneInfo(name)
    changes = transitions(zone, first_year, last_year)
    assert changes
    for change in changes:
        check_around(change, zone)


@pytest.mark.slow
def test_the_changes_are_of_every_kind() -> None:
    """Otherwise the tests above would prove less than they claim."""
    changes = [change for name in ZONES for change in transitions(ZoneInfo(name), 2026, 2028)]
    assert len(changes) >= 120
    assert {abs(change.by) for change in changes} >= {timedelta(minutes=30), HOUR, 2 * HOUR}
    at_midnight = [
        name
        for name in ZONES
        for change in transitions(ZoneInfo(name), 2026, 2028)
        if minute_of_day(change.at - MINUTE, ZoneInfo(name)) == DAY_IN_MINUTES - 1
    ]
    assert {"Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut"} <= set(at_midnight)


@pytest.mark.slow
def test_clocks_change_on_whole_minutes_and_not_twice_in_a_day() -> None:
    """The search relies on this."""
    for name in ZONES:
        instants = [change.at for change in transitions(ZoneInfo(name), 2026, 2028)]
        assert all(instant.second == 0 for instant in instants)
        assert all(after - before > timedelta(days=1) for before, after in pairwise(instants))


@settings(max_examples=150, deadline=None)
@given(
    times=st.lists(st.times(), min_size=2, max_size=2, unique_by=lambda time: (time.hour, time.minute)),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 29), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis wants them naive
    zones=st.lists(st.sampled_from(ZONES).map(ZoneInfo), max_size=4, unique=True),
)
@pytest.mark.slow
def test_it_is_what_a_look_at_every_minute_finds(times: list[time], now: datetime, zones: list[ZoneInfo]) -> None:
    text = "-".join(f"{time:%H:%M}" for time in times)
    assert hours(text).first_allowed(now, zones) == scan(text, now, zones)
    quiet_again = scan(text, now, zones, for_quiet=True)
    assert hours(text).first_quiet(now, zones) == (quiet_again or now + timedelta(days=2))


# A zone that changes its rule while a message is held.

EUROPEAN: Final = "CET-1CEST,M3.5.0,M10.5.0/3"
ALWAYS_SUMMER: Final = "CEST-2"
ALWAYS_WINTER: Final = "CET-1"


def zone_by(rule: str) -> ZoneInfo:
    """A zone of one POSIX rule, from a TZif file made by hand (RFC 9636): no transitions, one type, and a footer."""
    header = struct.pack(">4sc15x6I", b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    block = header + struct.pack(">lBB", 3600, 0, 0) + b"CET\0"
    return ZoneInfo.from_file(io.BytesIO(block + block + f"\n{rule}\n".encode()), key="Made/Up")


@pytest.mark.parametrize(
    ("old", "new", "now", "held_until", "rechecked"),
    [
        # The new rule has summer time on: 09:00 was at 07:00Z already, and it is allowed when it is asked.
        (EUROPEAN, ALWAYS_SUMMER, "2026-11-10T20:00Z", "2026-11-11T08:00Z", "2026-11-11T08:00Z"),
        # The new rule has no summer time any more: at 07:00Z it is 08:00 only.
        (EUROPEAN, ALWAYS_WINTER, "2027-06-10T20:00Z", "2027-06-11T07:00Z", "2027-06-11T08:00Z"),
        # The same, held over the very change that the new rule gives up.
        (EUROPEAN, ALWAYS_WINTER, "2027-03-27T20:00Z", "2027-03-28T07:00Z", "2027-03-28T08:00Z"),
        (EUROPEAN, ALWAYS_SUMMER, "2026-10-24T20:00Z", "2026-10-25T08:00Z", "2026-10-25T08:00Z"),
        # The new rule takes summer time up.
        (ALWAYS_WINTER, EUROPEAN, "2027-06-10T20:00Z", "2027-06-11T08:00Z", "2027-06-11T08:00Z"),
        (ALWAYS_SUMMER, EUROPEAN, "2026-10-24T20:00Z", "2026-10-25T07:00Z", "2026-10-25T08:00Z"),
    ],
)
def test_held_message_uses_the_new_quiet_hours(old: str, new: str, now: str, held_until: str, rechecked: str) -> None:
    quiet = hours("20:00-09:00")
    until = quiet.first_allowed(datetime.fromisoformat(now), [zone_by(old)])
    assert until == datetime.fromisoformat(held_until)
    replan = quiet.first_allowed(until, [zone_by(new)])
    assert replan == datetime.fromisoformat(rechecked)
    assert not quiet.cover(replan, zone_by(new))


def test_a_zone_made_by_hand_is_the_zone_of_its_rule() -> None:
    """Otherwise the test above would prove nothing."""
    assert transitions(zone_by(EUROPEAN), 2026, 2028) == transitions(BERLIN, 2026, 2028)
    for rule, ahead in ((ALWAYS_SUMMER, 2 * HOUR), (ALWAYS_WINTER, HOUR)):
        assert transitions(zone_by(rule), 2026, 2028) == ()
        assert offset(datetime(2026, 7, 1, tzinfo=UTC), zone_by(rule)) == ahead


# The last allowed instant, which a message is sent at before its window closes.

QUARTER: Final = timedelta(minutes=15)


def scan_back(text: str, now: datetime, until: datetime, zones: Collection[tzinfo]) -> datetime | None:
    """Return the last minute before ``until`` that is quiet in no zone, and not before ``now``."""
    quiet, first = quiet_minutes(text), max(now, until - timedelta(days=2))
    minutes = [until]
    while (minute := (minutes[-1] - MICROSECOND).replace(second=0, microsecond=0)) > first:
        minutes.append(minute)
    fitting = (at for at in (*minutes, first) if not any(minute_of_day(at, zone) in quiet for zone in zones))
    return next(fitting, None)


@each_of(
    ("now", "until", "last"),
    [
        ("2026-03-02T12:00Z", "2026-03-02T18:00Z", "2026-03-02T18:00Z"),  # 19:00 in Berlin
        ("2026-03-02T12:00Z", "2026-03-02T19:05Z", "2026-03-02T18:50Z"),  # from 20:05 a quarter of an hour back
        ("2026-03-02T12:00Z", "2026-03-02T19:00Z", "2026-03-02T18:45Z"),  # 20:00 is quiet
        ("2026-03-02T12:00Z", "2026-03-03T07:59Z", "2026-03-02T18:59Z"),
        ("2026-03-02T12:00Z", "2026-03-03T08:00Z", "2026-03-03T08:00Z"),  # 09:00 is not
        ("2026-03-02T18:50Z", "2026-03-02T19:05Z", "2026-03-02T18:50Z"),
        ("2026-03-02T18:51Z", "2026-03-02T19:05Z", "2026-03-02T18:51Z"),  # no quarter of an hour fits, but now does
        ("2026-03-02T18:59Z", "2026-03-03T07:30Z", "2026-03-02T18:59Z"),
        ("2026-03-02T19:00Z", "2026-03-03T07:30Z", None),
        ("2026-03-28T12:00Z", "2026-03-29T04:00Z", "2026-03-28T18:45Z"),  # the night in which the clocks go forward
        ("2026-10-24T12:00Z", "2026-10-25T04:00Z", "2026-10-24T17:45Z"),  # and back
    ],
)
def test_the_last_allowed_instant_is_before_the_night(now: str, until: str, last: str | None) -> None:
    found = hours("20:00-09:00").last_allowed(datetime.fromisoformat(now), datetime.fromisoformat(until), [BERLIN])
    assert found == (datetime.fromisoformat(last) if last else None)


def test_no_last_allowed_instant_if_zones_cover_all_hours() -> None:
    zones = [ZoneInfo("Pacific/Auckland"), BERLIN]
    start = datetime(2026, 3, 2, tzinfo=UTC)
    assert hours("08:00-20:30").last_allowed(start, start + timedelta(days=5), zones) is None


def test_last_allowed_instant_is_searched_for_two_days() -> None:
    zones = [ZoneInfo("Pacific/Auckland"), BERLIN]
    start = datetime(2026, 3, 2, tzinfo=UTC)
    assert hours("08:00-20:30").last_allowed(start - timedelta(days=365), start, zones) is None
    assert hours("08:00-20:30").last_allowed(start - timedelta(days=365), start, []) == start


@settings(max_examples=150, deadline=None)
@given(
    times=st.lists(st.times(), min_size=2, max_size=2, unique_by=lambda time: (time.hour, time.minute)),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 29), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis wants them naive
    lasting=st.timedeltas(timedelta(), timedelta(days=3)),
    zones=st.lists(st.sampled_from(ZONES).map(ZoneInfo), max_size=3, unique=True),
)
@pytest.mark.slow
def test_last_allowed_instant_is_within_15_minutes_of_the_exact(
    times: list[time], now: datetime, lasting: timedelta, zones: list[ZoneInfo]
) -> None:
    text, until = "-".join(f"{time:%H:%M}" for time in times), now + lasting
    found, last = hours(text).last_allowed(now, until, zones), scan_back(text, now, until, zones)
    # It may step over a stretch that is shorter than its step, and a change of clocks takes up to two hours from one.
    long = len(zones) <= 1 and 24 * 60 - len(quiet_minutes(text)) >= 15 + 120
    if found is None:
        assert last is None or not long
        return
    assert last is not None
    assert max(now, until - timedelta(days=2)) <= found <= until
    assert not any(hours(text).cover(found, zone) for zone in zones)
    if long:
        assert last - QUARTER <= found
