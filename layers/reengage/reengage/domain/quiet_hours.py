"""Hours in which nobody wants to be written to, by the wall clocks of the person's zone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
HORIZON: Final = timedelta(days=2)
STEP_BACK: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end`` of each day, whole minutes, over midnight where ``end`` comes first."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "QuietHours | None":
        """``20:00-09:00``; empty for none. Raises ``ValueError`` that says what is wanted."""
        if not text:
            return None
        wanted = "expected two different times of whole minutes, such as 20:00-09:00, or nothing"
        try:
            start, end = (time.fromisoformat(part) for part in text.split("-"))
        except ValueError as error:
            raise ValueError(wanted) from error
        hours = cls(start, end)
        if start == end or str(hours) != text:
            raise ValueError(wanted)
        return hours

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def cover(self, instant: datetime, zone: tzinfo) -> bool:
        """By the wall clock alone: a time that a zone has twice is quiet both times."""
        wall = instant.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end

    def first_allowed(self, now: datetime, zones: Collection[tzinfo]) -> datetime | None:
        """The first instant from ``now`` on, in UTC, that is quiet in none of ``zones``.

        ``None`` where there is none in two days: zones far apart may cover all hours together.
        """
        instant = now.astimezone(UTC)
        last = instant + HORIZON
        while instant <= last:
            # None of the zones allows anything before its own instant, so all of them together not before the latest.
            later = max((self._not_before(instant, zone) for zone in zones), default=instant)
            if later == instant:
                return instant
            instant = later
        return None

    def last_allowed(self, now: datetime, until: datetime, zones: Collection[tzinfo]) -> datetime | None:
        """The latest instant from ``now`` to ``until``, in steps of a quarter of an hour back from there, that is quiet
        in none of ``zones``; ``None`` where there is none within two days of ``until``.
        """
        instant = until.astimezone(UTC)
        first = max(now, instant - HORIZON)
        while instant >= first:
            if not any(self.cover(instant, zone) for zone in zones):
                return instant
            instant -= STEP_BACK
        return None if any(self.cover(first, zone) for zone in zones) else first.astimezone(UTC)

    def first_quiet(self, now: datetime, zones: Collection[tzinfo]) -> datetime:
        """The first instant from ``now`` on, in UTC, that is quiet in any of ``zones``; two days on, without any."""
        the_rest = QuietHours(self.end, self.start)
        found = (the_rest.first_allowed(now, [zone]) for zone in zones)
        return min(filter(None, found), default=now.astimezone(UTC) + HORIZON)

    def _not_before(self, instant: datetime, zone: tzinfo) -> datetime:
        """``instant`` itself where it is not quiet, else the end of the quiet hours.

        Where the clocks change until then, only a point on the way to that change, at last the next minute: so gaps and
        overlaps need no rule of their own. Clocks change on whole minutes, and not twice in a day.
        """
        if not self.cover(instant, zone):
            return instant
        wall = instant.astimezone(zone)
        end = instant + (datetime.combine(wall, self.end) - wall.replace(tzinfo=None)) % DAY
        next_minute = instant.replace(second=0, microsecond=0) + MINUTE
        while end > next_minute and end.astimezone(zone).utcoffset() != wall.utcoffset():
            end = instant + (end - instant) / 2
        return max(end, next_minute)
