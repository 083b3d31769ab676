"""Instants, durations, and a calendar day across every change of clocks."""

import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple

import pytest

from reengage.domain.instants import Duration, at_wall_clock, iso, parse_instant, parse_zone, shift
from tests.cases import each_of

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        ("2026-12-01T09:00+05:45", "2026-12-01T03:15:00Z"),
        ("20261201T090000-0330", "2026-12-01T12:30:00Z"),
        ("2026-12-01T09:00:00.250+00:00", "2026-12-01T09:00:00.250000Z"),
        ("2026-12-31T23:30:00-08:00", "2027-01-01T07:30:00Z"),
    ],
)
def test_an_instant_is_iso_8601_with_an_offset(text: str, utc: str) -> None:
    assert iso(parse_instant(text)) == utc


def test_an_instant_keeps_its_offset() -> None:
    """Without a time zone, a calendar day uses the offset of the event."""
    assert parse_instant("2026-12-01T09:00:00-03:30").utcoffset() == -timedelta(hours=3, minutes=30)


@each_of(
    "text",
    [
        "2026-12-01T09:00:00",  # naive
        "2026-12-01",
        "tomorrow at nine",
        "",
        "1764579600",
        "2026-02-30T09:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1764579600000",
        "2026-12-01T09:00:00+24:00",
    ],
)
def test_what_is_no_instant_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an ISO 8601 instant with an offset, such as .*T09:00:00"):
        parse_instant(text)


def test_the_years_have_an_end_on_either_side() -> None:
    for text in ("1971-01-01T00:00:00Z", "9000-01-01T00:00:00Z"):
        assert iso(parse_instant(text)) == text
    for text in ("1970-12-31T23:59:59.999999Z", "9000-01-01T00:00:00.000001Z"):
        with pytest.raises(ValueError, match=r"between the years 1971 and 9000$"):
            parse_instant(text)


@pytest.mark.parametrize(
    "name", ["", "Europe/Nowhere", "../etc/passwd", "/etc/localtime", "CEST+2", "Europe", "Factory"]
)
def test_what_is_no_zone_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an IANA time zone, such as Europe/Berlin"):
        parse_zone(name)


@each_of(
    ("spellings", "canonical"),
    [
        (("PT60M", "PT1H", "PT3600S", "PT0.5H30M", "PT0,5H30M", "+PT1H"), "PT1H"),
        (("P1W", "P7D"), "P7D"),
        (("P1Y", "P12M"), "P12M"),
        (("P1W1D", "P8D"), "P8D"),
        (("P1DT2H", "P1DT120M"), "P1DT2H"),
        (("P1Y2M3D", "P14M3D"), "P14M3D"),
        (("PT90M", "PT1H30M"), "PT1H30M"),
        (("-P3D", "-P3DT0H"), "-P3D"),
        (("PT24H", "PT1440M"), "PT24H"),
        (("PT0S", "P0D", "-PT0M"), "PT0S"),
        (("PT1.5S", "PT1,50S"), "PT1.5S"),
        (("PT0.000001S",), "PT0.000001S"),
        (("P1M", "P1MT0M"), "P1M"),
    ],
)
def test_spellings_of_one_length_are_equal_and_print_alike(spellings: tuple[str, ...], canonical: str) -> None:
    durations = {Duration.parse(text) for text in spellings}
    assert len(durations) == 1
    assert str(durations.pop()) == canonical
    assert Duration.parse(canonical) == Duration.parse(spellings[0])


def test_a_calendar_day_is_not_24_hours() -> None:
    assert Duration.parse("P1D") != Duration.parse("PT24H")


@each_of(
    "text",
    ["", "P", "PT", "P1DT", "1D", "P1H", "PT1D", "P-1D", "P1.5D", "PT1H2H", "p1d", " P1D", "P1D ", "P1S", "--P1D"],
)
def test_what_is_no_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601 duration"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["P3660D", "-P3660D", "P118M2D", "P3659DT24H", "PT87840H"])
def test_duration_is_at_most_3660_days_with_longest_months(text: str) -> None:
    assert Duration.parse(text) != Duration()


@pytest.mark.parametrize(
    "text", ["P99999D", "P9999Y", "PT9999999999S", "-P99999W", "P3660DT1S", "P118M3D", "PT87840H0.000001S"]
)
def test_a_duration_too_long_to_add_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="at most 3660 days"):
        Duration.parse(text)


def test_the_sign_turns_all_parts_and_minus_turns_it_back() -> None:
    duration = Duration.parse("-P1M2DT3H")
    assert duration == Duration(-1, -2, -timedelta(hours=3))
    assert duration.is_negative
    assert -duration == Duration.parse("P1M2DT3H")
    assert not (-duration).is_negative
    assert not Duration().is_negative
    assert all(Duration.parse(text).is_negative for text in ("-P1M", "-P2D", "-PT3H"))


@each_of(
    ("start", "by", "end"),
    [
        ("2026-01-31T10:00:00+01:00", "P1M", "2026-02-28T10:00:00+01:00"),
        ("2028-01-31T10:00:00+01:00", "P1M", "2028-02-29T10:00:00+01:00"),
        ("2028-02-29T10:00:00+01:00", "P1Y", "2029-02-28T10:00:00+01:00"),
        ("2026-03-31T10:00:00+02:00", "-P1M", "2026-02-28T10:00:00+01:00"),
        ("2026-12-31T10:00:00+01:00", "P2M", "2027-02-28T10:00:00+01:00"),
        ("2027-01-01T00:00:00+01:00", "-P1D", "2026-12-31T00:00:00+01:00"),
        ("2026-01-15T10:00:00+01:00", "-P13M", "2024-12-15T10:00:00+01:00"),
        ("2026-01-31T10:00:00+01:00", "P1M1DT1H", "2026-03-01T11:00:00+01:00"),
    ],
)
def test_months_end_on_their_last_day(start: str, by: str, end: str) -> None:
    assert shift(parse_instant(start), Duration.parse(by), BERLIN) == parse_instant(end)


def test_a_day_keeps_the_clock_time_and_24_hours_do_not() -> None:
    """Clocks in Berlin go back on 2026-10-25 at 03:00, so the day before 20:00 is 25 hours before."""
    concert = parse_instant("2026-10-25T20:00:00+01:00")
    assert shift(concert, Duration.parse("-P1D"), BERLIN) == parse_instant("2026-10-24T20:00:00+02:00")
    assert shift(concert, Duration.parse("-PT24H"), BERLIN) == parse_instant("2026-10-24T21:00:00+02:00")


def test_without_a_zone_a_day_goes_by_the_offset_of_the_instant() -> None:
    concert = parse_instant("2026-10-25T20:00:00+01:00")
    assert concert.tzinfo is not None
    assert shift(concert, Duration.parse("-P1D"), concert.tzinfo) == parse_instant("2026-10-24T20:00:00+01:00")


def test_exact_time_is_added_after_the_days() -> None:
    """2026-03-28 02:30 exists in Berlin; a day later it does not, so the day ends at 03:00, and an hour later it is
    04:00.
    """
    start = parse_instant("2026-03-28T02:30:00+01:00")
    assert shift(start, Duration.parse("P1DT1H"), BERLIN) == parse_instant("2026-03-29T04:00:00+02:00")


def test_repeated_clock_time_is_the_first_one() -> None:
    """New York, 2026-11-01: 01:30 comes at -04:00 and again at -05:00."""
    second_half_past_one = parse_instant("2026-11-01T01:30:00-05:00")
    week_before = shift(second_half_past_one, Duration.parse("-P7D"), NEW_YORK)
    assert week_before == parse_instant("2026-10-25T01:30:00-04:00")
    assert shift(week_before, Duration.parse("P7D"), NEW_YORK) == parse_instant("2026-11-01T01:30:00-04:00")


@pytest.mark.parametrize("by", ["PT0S", "PT1H", "-PT90M"])
def test_an_exact_duration_never_touches_the_wall_clock(by: str) -> None:
    """The second 01:30 of an overlap stays the second one."""
    second_half_past_one = parse_instant("2026-11-01T01:30:00-05:00")
    assert shift(second_half_past_one, Duration.parse(by), NEW_YORK) == second_half_past_one + Duration.parse(by).exact


# Every change of clocks in three years


ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",  # back for Ramadan, and forth again
    "America/Asuncion",
    "America/Havana",  # at midnight
    "America/Los_Angeles",
    "America/Miquelon",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",  # half an hour off
    "Antarctica/Troll",  # two hours at once
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Atlantic/Azores",  # over midnight in UTC
    "Australia/Adelaide",
    "Australia/Lord_Howe",  # half an hour at once
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Chisinau",
    "Europe/Dublin",  # its winter time is the daylight saving time
    "Europe/London",
    "Pacific/Auckland",
    "Pacific/Chatham",  # three quarters of an hour off
    "Pacific/Easter",
    "Pacific/Norfolk",
)


class Change(NamedTuple):
    """At ``at`` the clocks of ``zone`` change from offset ``old`` to ``new``."""

    zone: str
    at: datetime
    old: timedelta
    new: timedelta


def _offset(instant: datetime, zone: zoneinfo.ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _changes() -> Iterator[Change]:
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(3 * 365 + 2)]
    for name in ZONES:
        zone = zoneinfo.ZoneInfo(name)
        for early, late in pairwise(days):
            before, after = early, late
            if _offset(before, zone) == _offset(after, zone):
                continue
            while after - before > timedelta(seconds=1):
                middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
                if _offset(middle, zone) == _offset(early, zone):
                    before = middle
                else:
                    after = middle
            yield Change(name, after, _offset(before, zone), _offset(after, zone))


CHANGES = tuple(_changes())
GAPS = tuple(change for change in CHANGES if change.new > change.old)
OVERLAPS = tuple(change for change in CHANGES if change.new < change.old)


def test_the_years_have_enough_changes_of_clocks() -> None:
    assert len({change.zone for change in CHANGES}) >= 20
    assert len(GAPS) > 60
    assert len(OVERLAPS) > 60


@each_of("change", GAPS)
def test_skipped_clock_time_becomes_the_end_of_the_gap(change: Change) -> None:
    zone = zoneinfo.ZoneInfo(change.zone)
    length = change.new - change.old
    first_skipped = change.at.replace(tzinfo=None) + change.old
    for into in (timedelta(), timedelta(microseconds=1), length / 2, length - timedelta(microseconds=1)):
        skipped = first_skipped + into
        assert at_wall_clock(skipped, zone) == change.at
        for days in (1, -1, 7, -7):
            start = at_wall_clock(skipped - timedelta(days=days), zone)
            if start.astimezone(zone).replace(tzinfo=None) == skipped - timedelta(days=days):
                assert shift(start, Duration(days=days), zone) == change.at
    last, next_one = first_skipped - timedelta(seconds=1), first_skipped + length
    assert at_wall_clock(last, zone) == change.at - timedelta(seconds=1)
    assert at_wall_clock(next_one, zone) == change.at


@each_of("change", OVERLAPS)
def test_of_a_time_that_the_clock_shows_twice_it_is_the_first(change: Change) -> None:
    zone = zoneinfo.ZoneInfo(change.zone)
    length = change.old - change.new
    first_repeated = change.at.replace(tzinfo=None) + change.new
    for into in (timedelta(), length / 2, length - timedelta(microseconds=1)):
        repeated = first_repeated + into
        first = change.at - length + into
        assert at_wall_clock(repeated, zone) == at_wall_clock(repeated.replace(fold=1), zone) == first
        for days in (1, -1, 7, -7):
            start = at_wall_clock(repeated - timedelta(days=days), zone)
            assert shift(start, Duration(days=days), zone) == first
    assert at_wall_clock(first_repeated + length, zone) == change.at + length
    assert at_wall_clock(first_repeated - timedelta(seconds=1), zone) == change.at - length - timedelta(seconds=1)


@each_of("change", CHANGES)
def test_clock_change_moves_24_hours_but_not_a_day(change: Change) -> None:
    zone = zoneinfo.ZoneInfo(change.zone)
    before = change.at - timedelta(hours=12)
    day, hours = (shift(before, Duration.parse(text), zone) for text in ("P1D", "PT24H"))
    wall = before.astimezone(zone).replace(tzinfo=None)
    assert day.astimezone(zone).replace(tzinfo=None) == wall + timedelta(days=1)
    assert hours == before + timedelta(hours=24)
    assert hours - day == change.new - change.old


def test_what_comes_out_is_utc() -> None:
    start = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=7)))
    for by in ("P1D", "PT1H"):
        assert shift(start, Duration.parse(by), BERLIN).tzinfo is UTC
    for wall in (datetime(2026, 3, 29, 1, 30), datetime(2026, 3, 29, 2, 30)):  # noqa: DTZ001 - a wall clock's
        assert at_wall_clock(wall, BERLIN).tzinfo is UTC


def test_instant_prints_in_utc_in_any_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    instant = parse_instant("2026-12-01T09:00:00+01:00")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        printed = iso(instant)
    time.tzset()
    assert printed == "2026-12-01T08:00:00Z"
