"""The people of a story, and the story while it is made."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from reengage.domain.instants import iso
from tests.simulation.faults.settings import Line

BEGINS: Final = datetime(2026, 3, 2, 15, tzinfo=UTC)
"""Clocks change in the story: on 8 March in New York, on 29 March in Berlin."""

DAYS: Final = 42
ENDS: Final = BEGINS + timedelta(days=DAYS + 25)
"""By then every message of a story has its outcome."""

BRAND: Final = "north"
ZONES: Final = (
    ("America/New_York", "+1202555{:04}"),
    ("Europe/Berlin", "+4915112345{:03}"),
    ("Europe/Madrid", "+34612345{:03}"),
)
CHATS: Final = {
    "America/New_York": "+1202556{:04}",
    "Europe/Berlin": "+4915198765{:03}",
    "Europe/Madrid": "+34698765{:03}",
}
"""The numbers that are on WhatsApp alone."""

NEAR: Final = (-600, -90, -61, -60, -2, -1, 0, 1, 2, 30, 59, 60, 61, 120, 1800)
"""Seconds around an instant at which something is due: what happens there races with sending."""


class Person(NamedTuple):
    """``hot`` are the instants at which something is due to the person.

    ``other`` is a second address, which is linked at ``linked_at``, or to which the person ``moves`` then. If it is
    another channel of the number, nothing links it. ``writes_on`` is the only address from which the person writes.
    """

    contact: Line
    zone_name: str
    hot: list[datetime]
    other: Line | None = None
    linked_at: datetime = BEGINS
    moves: bool = False
    writes_on: Line | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    @property
    def contacts(self) -> list[Line]:
        return [self.contact, self.other] if self.other else [self.contact]

    @property
    def is_one_number(self) -> bool:
        return self.other is not None and self.other["address"] == self.contact["address"]

    def same_number(self, contact: Line, chance: random.Random) -> Line:
        """Return the contact, or another channel of its number."""
        return chance.choice(self.contacts) if self.is_one_number else contact

    def contact_at(self, at: datetime, chance: random.Random) -> Line:
        """Return an address that the person uses then."""
        if self.writes_on:
            return self.writes_on
        if self.other and self.moves:
            return self.contact if at < self.linked_at else self.other
        return chance.choice(self.contacts)


@dataclass(slots=True)
class Story:
    """A story while it is made. No two events have the same instant: which of them is newer must be certain."""

    chance: random.Random
    people: list[Person] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    booked: dict[str, Line] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    erased: dict[str, datetime] = field(default_factory=dict)
    taken: set[datetime] = field(default_factory=set)

    def add(self, at: datetime, detail_type: str, **detail: Any) -> None:
        at = at.astimezone(UTC).replace(microsecond=0)
        while at in self.taken:
            at += timedelta(seconds=1)
        self.taken.add(at)
        self.lines.append({"time": iso(at), "detail-type": detail_type, "detail": detail})

    def any_time(self, days: int = DAYS) -> datetime:
        return BEGINS + timedelta(seconds=self.chance.randrange(60, days * 86_400))

    def near(self, person: Person) -> datetime:
        """Near an instant at which something is due to the person, three times out of four."""
        if person.hot and self.chance.random() < 0.75:
            return max(BEGINS, self.chance.choice(person.hot) + timedelta(seconds=self.chance.choice(NEAR)))
        return self.any_time()

    def writes(self, person: Person, at: datetime, text: str, age: timedelta = timedelta()) -> None:
        message_id = f"m-{len(self.lines)}"
        sent_at = iso(at.replace(microsecond=0) - age)
        contact = person.contact_at(at, self.chance)
        self.add(at, "MessageReceived", contact=contact, message_id=message_id, sent_at=sent_at, text=text)

    def ends(self, person: Person, at: datetime) -> None:
        """Let nothing of the person come after the erasure: nothing links the two addresses any more."""
        for contact in person.contacts:
            address = contact["address"]
            self.erased[address] = min(self.erased.get(address, at), at) + timedelta(seconds=30)

    def with_reactions(self, line: Line) -> Line:
        """The line, with what people do about it: those who are erased, and have two addresses, do nothing."""
        detail = {name: value for name, value in line["detail"].items() if name not in ("reacts", "opens")}
        if detail.get("contact", {}).get("address") in self.erased:
            return line | {"detail": detail}
        reacts = {"reacts": line["detail"]["reacts"]} if "reacts" in line["detail"] else {}
        opens = {"opens": wish} if (wish := self._opens(line["detail"])) else {}
        return line | {"detail": detail | reacts | opens}

    def _opens(self, detail: Line) -> Line:
        """Who sends the code: the person, another channel of the number, someone else, or two of them.

        Not if the appointment has two people, or the person two linked addresses, or was not erased by then.
        """
        if "opens" not in detail or detail["appointment_id"] in self.shared:
            return {}
        owner = next(person for person in self.people if detail["contact"] in person.contacts)
        if owner.other and not owner.is_one_number:
            return {}
        gone = [line for line in self.lines if line["detail-type"] == "ContactErased"]
        erased = [line["detail"]["contact"]["address"] for line in gone]
        strangers = [
            person.contact
            for person in self.people
            if person.other is None and person.zone_name == owner.zone_name and person.contact["address"] not in erased
        ]
        senders = [detail["contact"], *owner.contacts, *strangers, *strangers]
        last = max((line["time"] for line in gone if line["detail"]["contact"] in owner.contacts), default=None)
        not_before = {"not_before": last} if last else {}
        return {**detail["opens"], "by": self.chance.choices(senders, k=self.chance.choice((1, 1, 2))), **not_before}

    def is_kept(self, line: Line) -> bool:
        """Whether no erasure of a person with two addresses came before: afterwards nothing links them any more."""
        address = line["detail"].get("contact", {}).get("address")
        return address not in self.erased or datetime.fromisoformat(line["time"]) <= self.erased[address]


def person_of(story: Story, number: int) -> Person:
    """Most write by SMS alone; the others by WhatsApp, from two addresses, or from one number on two channels."""
    chance = story.chance
    zone_name, form = chance.choice(ZONES)
    text = {"brand": BRAND, "channel": "sms", "address": form.format(number)}
    chat = {"brand": BRAND, "channel": "whatsapp", "address": CHATS[zone_name].format(number)}
    kind = chance.choice(("text", "text", "text", "text", "chat", "both", "both", "moves", "number", "number"))
    if kind == "number":
        channels = [text, text | {"channel": "whatsapp"}]
        chance.shuffle(channels)
        writes_on = chance.choice(channels) if chance.random() < 0.3 else None
        return Person(channels[0], zone_name, [], channels[1], writes_on=writes_on)
    first, second = (text, chat) if kind == "text" or chance.random() < 0.6 else (chat, text)
    if kind in ("text", "chat"):
        return Person(first if kind == "text" else chat, zone_name, [])
    linked_at = story.any_time() if kind == "moves" or chance.random() < 0.3 else story.any_time(1)
    linked_at = linked_at.replace(microsecond=0)
    person = Person(first, zone_name, [], second, linked_at, moves=kind == "moves")
    name, field_name = ("ContactMoved", "to") if person.moves else ("ContactLinked", "same_as")
    story.add(linked_at, name, contact=first, **{field_name: {key: second[key] for key in ("channel", "address")}})
    person.hot.append(linked_at)
    return person
