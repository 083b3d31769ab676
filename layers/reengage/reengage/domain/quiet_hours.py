"""Quiet hours: when a contact gets no message, by the clocks of the contact's zone."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
HORIZON: Final = timedelta(days=2)
"""How far ahead an allowed hour is searched, if the hours are the same each day."""

WEEK: Final = timedelta(days=8)
"""The same, if they differ by weekday."""

STEP_BACK: Final = timedelta(minutes=15)
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY: Final = (0, 6)

_WANTED: Final = (
    "expected quiet hours such as 20:00-09:00, or by weekday Mon-Sat 20:00-09:00, Sun 20:00-12:00, or nothing: "
    "two different times of whole minutes, each weekday once"
)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end`` in whole minutes; over midnight if ``end`` is earlier.

    ``days``: the first and the last weekday, 0 for Monday, on which these hours start. ``more``: the hours that start
    on other weekdays.
    """

    start: time
    end: time
    days: tuple[int, int] = EVERY_DAY
    more: tuple["QuietHours", ...] = ()

    @classmethod
    def parse(cls, text: str) -> "QuietHours | None":
        """Parse ``20:00-09:00`` or ``Mon-Sat 20:00-09:00, Sun 20:00-12:00``; empty for none. Raises ``ValueError``."""
        if not text:
            return None
        first, *more = [_parse_span(part.removeprefix(" ")) for part in text.split(",")]
        hours = replace(first, more=tuple(more))
        weekdays = [day for span in hours.spans for day in span.weekdays]
        if len(weekdays) > len(set(weekdays)):
            raise ValueError(_WANTED)
        return hours

    def __str__(self) -> str:
        return ", ".join(span.span_text for span in self.spans)

    @property
    def spans(self) -> tuple["QuietHours", ...]:
        return (self, *self.more)

    @property
    def weekdays(self) -> frozenset[int]:
        first, last = self.days
        return frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))

    @property
    def span_text(self) -> str:
        hours = f"{self.start:%H:%M}-{self.end:%H:%M}"
        if self.days == EVERY_DAY:
            return hours
        first, last = (DAYS[day] for day in self.days)
        return f"{first} {hours}" if first == last else f"{first}-{last} {hours}"

    @property
    def _horizon(self) -> timedelta:
        return HORIZON if self.days == EVERY_DAY and not self.more else WEEK

    def cover(self, instant: datetime, zone: tzinfo) -> bool:
        """Decide by the wall clock alone: a time that a zone has twice is quiet both times."""
        return any(span.span_covers(instant, zone) for span in self.spans)

    def first_allowed(self, now: datetime, zones: Collection[tzinfo]) -> datetime | None:
        """Return the first instant from ``now`` on, in UTC, that is not quiet in any of ``zones``.

        ``None`` if no such instant is within the horizon: zones far apart may cover all hours together.
        """
        instant = now.astimezone(UTC)
        last = instant + self._horizon
        while instant <= last:
            # Neither a zone nor a span allows anything before its own instant, so together not before the latest.
            later = max((span.span_not_before(instant, zone) for zone in zones for span in self.spans), default=instant)
            if later == instant:
                return instant
            instant = later
        return None

    def last_allowed(self, now: datetime, until: datetime, zones: Collection[tzinfo]) -> datetime | None:
        """Return the latest instant from ``now`` to ``until`` that is not quiet in any of ``zones``.

        The search goes back from ``until`` in steps of 15 minutes. ``None`` if no such instant is within the horizon.
        """
        instant = until.astimezone(UTC)
        first = max(now, instant - self._horizon)
        while instant >= first:
            if not any(self.cover(instant, zone) for zone in zones):
                return instant
            instant -= STEP_BACK
        return None if any(self.cover(first, zone) for zone in zones) else first.astimezone(UTC)

    def first_quiet(self, now: datetime, zones: Collection[tzinfo]) -> datetime:
        """Return the first instant from ``now`` on, in UTC, that is quiet in any of ``zones``.

        Without zones or quiet hours before it, return the horizon.
        """
        found = (quiet for zone in zones for span in self.spans for quiet in span.span_starts(now, zone))
        return min(found, default=now.astimezone(UTC) + self._horizon)

    def span_covers(self, instant: datetime, zone: tzinfo) -> bool:
        local = instant.astimezone(zone)
        wall, today = local.time(), local.weekday()
        if self.days == EVERY_DAY:
            return self.start <= wall < self.end if self.start < self.end else wall >= self.start or wall < self.end
        if self.start < self.end:
            return self.start <= wall < self.end and today in self.weekdays
        return (wall >= self.start and today in self.weekdays) or (wall < self.end and (today - 1) % 7 in self.weekdays)

    def span_starts(self, now: datetime, zone: tzinfo) -> Iterator[datetime]:
        """Yield the first instant from ``now`` on that this span covers, if it is within the horizon."""
        daily, the_rest = QuietHours(self.start, self.end), QuietHours(self.end, self.start)
        instant: datetime | None = now
        while instant and instant <= now + WEEK:
            quiet = the_rest.first_allowed(instant, [zone])
            if quiet and self.span_covers(quiet, zone):
                yield quiet
                return
            instant = daily.first_allowed(quiet, [zone]) if quiet else None

    def span_not_before(self, instant: datetime, zone: tzinfo) -> datetime:
        """Return ``instant`` itself if this span does not cover it, else the span's end.

        If the clocks change before the end, return only a point on the way to that change, or the next minute. So gaps
        and overlaps need no separate rule. Clocks change on whole minutes, and not twice in a day.
        """
        if not self.span_covers(instant, zone):
            return instant
        wall = instant.astimezone(zone)
        end = instant + (datetime.combine(wall, self.end) - wall.replace(tzinfo=None)) % DAY
        next_minute = instant.replace(second=0, microsecond=0) + MINUTE
        while end > next_minute and end.astimezone(zone).utcoffset() != wall.utcoffset():
            end = instant + (end - instant) / 2
        return max(end, next_minute)


def _parse_span(text: str) -> QuietHours:
    days, _, hours = text.rpartition(" ")
    try:
        start, end = (time.fromisoformat(part) for part in hours.split("-"))
        names = days.split("-") if days else [DAYS[0], DAYS[-1]]
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    except ValueError as error:
        raise ValueError(_WANTED) from error
    span = QuietHours(start, end, (first, last))
    if start == end or hours != f"{start:%H:%M}-{end:%H:%M}" or len(names) > 2:  # noqa: PLR2004 - a range has two ends
        raise ValueError(_WANTED)
    return span
