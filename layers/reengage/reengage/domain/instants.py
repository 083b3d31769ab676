"""Instants, time zones and ISO 8601 durations, where a day is a calendar day.

Every instant is an aware ``datetime``; a naive one is rejected at the edge. ``P1D`` before a
concert at 20:00 is 20:00 on the day before, even if the clocks change between. ``PT24H`` is 24 hours.
"""

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Wide enough for any real appointment, narrow enough that no sum of an instant and a duration overflows.
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
LONGEST: Final = timedelta(days=3660)

NamedDay = Literal["today", "tomorrow"]
DAYS_AHEAD: Final[Mapping[str, timedelta]] = MappingProxyType({"today": timedelta(), "tomorrow": timedelta(days=1)})

_DURATION: Final = re.compile(
    r"(?P<sign>[+-])?P"
    r"(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,5})M)?(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6}(?:[.,]\d{1,6})?)H)?"
    r"(?:(?P<minutes>\d{1,8}(?:[.,]\d{1,6})?)M)?"
    r"(?:(?P<seconds>\d{1,10}(?:[.,]\d{1,6})?)S)?)?",
    re.ASCII,
)


def parse_instant(text: str) -> datetime:
    """Parse ISO 8601 text into an aware instant and keep its offset.

    Raises ``ValueError`` with the expected form if the text has no offset or is out of range.
    """
    wanted = "an ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00"
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected {wanted}") from error
    if instant.tzinfo is None:
        raise ValueError(f"expected {wanted}; this one has no offset")
    # The offset is removed first, because the comparison could overflow at the ends of the calendar.
    if not EARLIEST <= instant.replace(tzinfo=UTC) <= LATEST:
        raise ValueError(f"expected {wanted}, between the years {EARLIEST.year} and {LATEST.year}")
    return instant


def iso(instant: datetime) -> str:
    """Return text such as ``2026-12-01T08:00:00Z``: in UTC, with a fraction only if it is not zero."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of that name. Raises ``ValueError`` if it is unknown."""
    wanted = "expected an IANA time zone, such as Europe/Berlin"
    if name == "Factory":  # the zone of a machine whose zone is not configured
        raise ValueError(wanted)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(wanted) from error


@dataclass(frozen=True, slots=True)
class Duration:
    """A signed ISO 8601 duration: calendar months and days, then exact seconds.

    Two spellings of one length are equal and print the same: ``P1W`` is ``P7D``, ``PT60M`` is ``PT1H``. ``P1D`` is
    not ``PT24H``.
    """

    months: int = 0
    days: int = 0
    exact: timedelta = timedelta()

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Parse a duration such as ``P1D``. Raises ``ValueError`` with the expected form."""
        match = _DURATION.fullmatch(text)
        if match is None or text[-1] in "PT":
            raise ValueError("expected an ISO 8601 duration, such as P1D or PT2H")
        part = {
            name: float((value or "0").replace(",", ".")) for name, value in match.groupdict().items() if name != "sign"
        }
        sign = -1 if match["sign"] == "-" else 1
        months = sign * int(part["years"] * 12 + part["months"])
        days = sign * int(part["weeks"] * 7 + part["days"])
        exact = sign * timedelta(hours=part["hours"], minutes=part["minutes"], seconds=part["seconds"])
        if abs(months) * timedelta(days=31) + abs(days) * timedelta(days=1) + abs(exact) > LONGEST:
            raise ValueError(f"expected an ISO 8601 duration of at most {LONGEST.days} days")
        return cls(months, days, exact)

    @lru_cache(maxsize=1024)  # noqa: B019 - few lengths are in use, and each is small
    def __str__(self) -> str:
        negative = self.months < 0 or self.days < 0 or self.exact < timedelta()
        minutes, seconds = divmod(abs(self.exact), timedelta(minutes=1))
        hours, minutes = divmod(minutes, 60)
        second = f"{seconds.total_seconds():.6f}".rstrip("0").rstrip(".")
        date = _parts((abs(self.months), "M"), (abs(self.days), "D"))
        time = _parts((hours, "H"), (minutes, "M")) + (f"{second}S" if second != "0" else "")
        return f"{'-' if negative else ''}P{date}{'T' + time if time else ''}" if date or time else "PT0S"

    def __neg__(self) -> "Duration":
        return Duration(-self.months, -self.days, -self.exact)

    @property
    def is_negative(self) -> bool:
        return self.months < 0 or self.days < 0 or self.exact < timedelta()


def _parts(*parts: tuple[int, str]) -> str:
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def shift(instant: datetime, by: Duration, zone: tzinfo) -> datetime:
    """Return ``instant`` moved by ``by``, in UTC: months and days on the wall clock of ``zone``, the rest exactly.

    A skipped wall-clock time becomes the first instant after the gap. A repeated one becomes the first of the
    two (events/README.md, "Fields").
    """
    if by.months or by.days:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        instant = at_wall_clock(_add_months(wall, by.months) + timedelta(days=by.days), zone)
    return instant.astimezone(UTC) + by.exact


def at_wall_clock(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant, in UTC, at which clocks in ``zone`` show ``wall`` (naive). ``shift`` explains gaps."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # In a gap: the change of offset lies between the two readings of the skipped time (PEP 495).
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    # Zones change on whole seconds, and the search above ends within one.
    return after.replace(microsecond=0)


def _add_months(wall: datetime, months: int) -> datetime:
    years, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, calendar.monthrange(years, month + 1)[1])
    return wall.replace(year=years, month=month + 1, day=day)
