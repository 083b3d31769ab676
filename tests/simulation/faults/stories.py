"""Make a story from a seed: a few contacts, their appointments, and what happens close to what is due."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from reengage.domain.instants import iso

BEGINS: Final = datetime(2026, 3, 2, 15, tzinfo=UTC)
BRAND: Final = "north"
ZONE_NAME: Final = "America/New_York"
ZONE: Final = ZoneInfo(ZONE_NAME)
DAYS: Final = 6
NEAR: Final = (-90, -61, -60, -2, -1, 0, 1, 2, 30, 59, 60, 61, 120)
"""Seconds around an instant at which something is due: what happens there races with sending."""

OLD: Final = 0.25
"""The share of contacts whose window closes during the story."""

Line = dict[str, Any]


@dataclass(slots=True)
class Story:
    """A story while it is made. ``hot`` are the instants at which something is due."""

    chance: random.Random
    lines: list[Line] = field(default_factory=list)
    hot: list[datetime] = field(default_factory=list)

    def add(self, at: datetime, detail_type: str, **detail: Any) -> None:
        self.lines.append({"time": iso(at), "detail-type": detail_type, "detail": detail})

    def some_instant(self) -> datetime:
        """Near a due instant three times out of four."""
        if self.hot and self.chance.random() < 0.75:
            return max(BEGINS, self.chance.choice(self.hot) + timedelta(seconds=self.chance.choice(NEAR)))
        return BEGINS + timedelta(seconds=self.chance.randrange(DAYS * 86_400))


def story_of(seed: int) -> list[Line]:
    """Return the story of a seed, in order of time; each line has an id of its own."""
    story = Story(random.Random(seed))
    people = [_contact(number) for number in range(story.chance.randint(1, 3))]
    for number, contact in enumerate(people):
        left = timedelta(hours=story.chance.randint(1, DAYS * 24))
        age = timedelta(days=30) - left if story.chance.random() < OLD else timedelta()
        _writes(story, contact, BEGINS + timedelta(seconds=number), "Hello", age)
        for _ in range(story.chance.randint(1, 2)):
            _books(story, contact, f"a-{len(story.lines)}")
    for _ in range(story.chance.randint(1, 8)):
        story.chance.choice(HAPPENINGS)(story, story.chance.choice(people))
    story.lines.sort(key=lambda line: str(line["time"]))
    return [line | {"id": f"event-{number}", "source": "test.app"} for number, line in enumerate(story.lines)]


def _contact(number: int) -> Line:
    return {"brand": BRAND, "channel": "sms", "address": f"+1202555{100 + number:04}"}


def _writes(story: Story, contact: Line, at: datetime, text: str, age: timedelta = timedelta()) -> None:
    message_id = f"m-{len(story.lines)}"
    story.add(at, "MessageReceived", contact=contact, message_id=message_id, sent_at=iso(at - age), text=text)


def _starts_at(story: Story) -> datetime:
    day = BEGINS.astimezone(ZONE) + timedelta(days=story.chance.randint(1, DAYS - 1))
    return day.replace(hour=story.chance.choice((8, 10, 11, 14, 17)), minute=story.chance.choice((0, 30)), second=0)


def _books(story: Story, contact: Line, appointment_id: str) -> None:
    starts_at = _starts_at(story)
    story.hot += [starts_at.astimezone(UTC) - timedelta(hours=2), (starts_at - timedelta(days=1)).astimezone(UTC)]
    at = BEGINS + timedelta(minutes=story.chance.randint(1, 60))
    story.add(
        at,
        "AppointmentBooked",
        contact=contact,
        appointment_id=appointment_id,
        starts_at=starts_at.isoformat(),
        timezone=ZONE_NAME,
    )


def _appointments(story: Story, contact: Line) -> Iterator[Line]:
    for line in story.lines:
        if line["detail-type"] == "AppointmentBooked" and line["detail"]["contact"] == contact:
            yield line["detail"]


def _moves(story: Story, contact: Line) -> None:
    booked = story.chance.choice(list(_appointments(story, contact)))
    starts_at = _starts_at(story)
    at = story.some_instant()
    story.hot += [starts_at.astimezone(UTC) - timedelta(hours=2), (starts_at - timedelta(days=1)).astimezone(UTC)]
    story.add(at, "AppointmentRescheduled", **(booked | {"starts_at": starts_at.isoformat()}))


def _cancels(story: Story, contact: Line) -> None:
    booked = story.chance.choice(list(_appointments(story, contact)))
    story.add(story.some_instant(), "AppointmentCancelled", brand=BRAND, appointment_id=booked["appointment_id"])


def _stops(story: Story, contact: Line) -> None:
    _writes(story, contact, story.some_instant(), "STOP")


def _starts(story: Story, contact: Line) -> None:
    _writes(story, contact, story.some_instant(), "START")


def _chats(story: Story, contact: Line) -> None:
    _writes(story, contact, story.some_instant(), "See you soon")


def _opted_out(story: Story, contact: Line) -> None:
    story.add(story.some_instant(), "ContactOptedOut", contact=contact)


def _erased(story: Story, contact: Line) -> None:
    story.add(story.some_instant(), "ContactErased", contact=contact)


def _pauses(story: Story, _: Line) -> None:
    at = story.some_instant()
    story.add(at, "SendingPaused", brand=BRAND)
    story.add(at + timedelta(seconds=story.chance.choice((5, 90, 3_600))), "SendingResumed", brand=BRAND)


def _ships(story: Story, contact: Line) -> None:
    story.add(story.some_instant(), "OrderShipped", contact=contact, order_id=f"o-{len(story.lines)}")


HAPPENINGS: Final = (_moves, _moves, _cancels, _stops, _starts, _chats, _chats, _opted_out, _erased, _pauses, _ships)
