"""Make a story from a seed: some people, what is planned for them, and what happens close to what is due.

It lasts six weeks, longer than a window, so windows close and TTL deletes. Some people have two addresses, some write
on WhatsApp, and some appointments and trials have two people.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from reengage.domain.instants import iso
from tests.simulation.faults.settings import DAY, HOUR, Line, configured, draw, provider_of

BEGINS: Final = datetime(2026, 3, 2, 15, tzinfo=UTC)
"""Clocks change in the story: on 8 March in New York, on 29 March in Berlin."""

DAYS: Final = 42
ENDS: Final = BEGINS + timedelta(days=DAYS + 25)
"""By then every message of a story has its outcome."""

BRAND: Final = "north"
ZONES: Final = (("America/New_York", "+1202555{:04}"), ("Europe/Berlin", "+4915112345{:03}"))
CHATS: Final = {"America/New_York": "+1202556{:04}", "Europe/Berlin": "+4915198765{:03}"}
"""The numbers on WhatsApp: all other numbers are on SMS."""

NEAR: Final = (-600, -90, -61, -60, -2, -1, 0, 1, 2, 30, 59, 60, 61, 120, 1800)
"""Seconds around an instant at which something is due: what happens there races with sending."""


class Person(NamedTuple):
    """``hot`` are the instants at which something is due to the person.

    ``other`` is a second address, which is linked at ``linked_at``, or to which the person ``moves`` then.
    """

    contact: Line
    zone_name: str
    hot: list[datetime]
    other: Line | None = None
    linked_at: datetime = BEGINS
    moves: bool = False

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    @property
    def contacts(self) -> list[Line]:
        return [self.contact, self.other] if self.other else [self.contact]

    def contact_at(self, at: datetime, chance: random.Random) -> Line:
        """Return an address that the person uses then."""
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

    def is_kept(self, line: Line) -> bool:
        """Whether no erasure of a person with two addresses came before: afterwards nothing links them any more."""
        address = line["detail"].get("contact", {}).get("address")
        return address not in self.erased or datetime.fromisoformat(line["time"]) <= self.erased[address]


def story_of(seed: int) -> list[Line]:
    """Return the lines of a seed's story in order of time; each event has an id of its own."""
    story = Story(random.Random(seed))
    settings = draw(story.chance)
    for number in range(story.chance.randint(4, 9)):
        story.people.append(_person(story, 100 + number))
    for person in story.people:
        _life(story, person)
        if "MarketingConsent" in settings and story.chance.random() < 0.8:
            _consents(story, person, at=story.any_time(3))
    for _ in range(story.chance.choice((0, 1, 2, 4))):
        _joins(story, *story.chance.sample(story.people, 2))
    for _ in range(story.chance.choice((0, 1, 2))):
        _shares_a_trial(story, *story.chance.sample(story.people, 2))
    for _ in range(story.chance.choice((0, 1, 1, 2))):
        story.chance.choice((_previews, _closes_on_a_day, _restocks))(story)
    for person in story.people:
        for _ in range(story.chance.choice((0, 1, 2, 4, 6))):
            story.chance.choice(HAPPENINGS)(story, person)
    events = sorted(filter(story.is_kept, story.lines), key=lambda line: str(line["time"]))
    return [
        *configured(settings, BRAND, iso(BEGINS - HOUR), random.Random(f"brand-{seed}")),
        *provider_of(story.chance),
        *(line | {"id": f"event-{number}", "source": "test.app"} for number, line in enumerate(events)),
        {"until": iso(ENDS)},
    ]


def _person(story: Story, number: int) -> Person:
    """Most write by SMS alone; the others by WhatsApp, or from two addresses."""
    chance = story.chance
    zone_name, form = chance.choice(ZONES)
    text = {"brand": BRAND, "channel": "sms", "address": form.format(number)}
    chat = {"brand": BRAND, "channel": "whatsapp", "address": CHATS[zone_name].format(number)}
    kind = chance.choice(("text", "text", "text", "text", "chat", "both", "both", "moves"))
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


def _life(story: Story, person: Person) -> None:
    """The person writes some times; appointments, a trial, carts and orders come in between."""
    chance = story.chance
    age = 30 * DAY - chance.randint(1, 200) * HOUR if chance.random() < 0.2 else timedelta()
    story.writes(person, BEGINS + timedelta(seconds=chance.randint(0, 50)), "Hello", age)
    for _ in range(chance.choice((0, 1, 2, 3)) + (2 if person.other else 0)):
        story.writes(person, story.any_time(), chance.choice(("Hello again", "1", "2", "Help")))
    for _ in range(chance.randint(2, 6)):
        _books(story, person)
    for make in (_tries, _fills_a_cart, _fills_a_cart, _views, _orders, _orders):
        if chance.random() < 0.6:
            make(story, person)


def _local(story: Story, person: Person, first: int, last: int) -> datetime:
    day = BEGINS.astimezone(person.zone) + timedelta(days=story.chance.randint(first, last))
    hour = story.chance.choice((8, 10, 11, 11, 14, 14, 17))
    return day.replace(hour=hour, minute=story.chance.choice((0, 0, 30)), second=0, microsecond=0)


def _appointment(person: Person, contact: Line, appointment_id: str, starts_at: datetime) -> Line:
    person.hot.extend([(starts_at - DAY).astimezone(UTC), starts_at.astimezone(UTC) - 2 * HOUR])
    return {
        "contact": contact,
        "appointment_id": appointment_id,
        "starts_at": starts_at.isoformat(),
        "timezone": person.zone_name,
    }


def _books(story: Story, person: Person) -> None:
    starts_at = _local(story, person, 2, DAYS)
    contact = story.chance.choice(person.contacts)
    booked = _appointment(person, contact, f"a-{len(story.lines)}", starts_at)
    story.booked[booked["appointment_id"]] = booked
    earliest = (starts_at.astimezone(UTC) - BEGINS) / timedelta(minutes=1)
    story.add(BEGINS + timedelta(minutes=story.chance.randint(2, max(3, int(earliest)))), "AppointmentBooked", **booked)


def _joins(story: Story, one: Person, other: Person) -> None:
    """The second person joins an appointment of the first, and may leave it."""
    booked = _of(story, one)
    if booked is None or one.zone_name != other.zone_name:
        return
    appointment_id, contact = booked["appointment_id"], story.chance.choice(other.contacts)
    story.shared.add(appointment_id)
    starts_at = datetime.fromisoformat(booked["starts_at"])
    joined = _appointment(other, contact, appointment_id, starts_at) | {"starts_at": booked["starts_at"]}
    story.add(story.any_time(10), "AppointmentBooked", **joined | {"timezone": booked["timezone"]})
    if story.chance.random() < 0.4:
        story.add(story.near(other), "AppointmentCancelled", contact=contact, appointment_id=appointment_id)


def _shares_a_trial(story: Story, one: Person, other: Person) -> None:
    """The second person joins a trial of the first, and may buy alone."""
    started = [line for line in story.lines if line["detail-type"] == "TrialStarted"]
    own = [line for line in started if line["detail"]["contact"] in one.contacts]
    if not own or one.zone_name != other.zone_name:
        return
    trial = story.chance.choice(own)["detail"] | {"contact": story.chance.choice(other.contacts)}
    story.shared.add(trial["trial_id"])
    ends_at = datetime.fromisoformat(trial["ends_at"])
    other.hot.extend([(ends_at - 3 * DAY).astimezone(UTC), (ends_at + DAY).astimezone(UTC)])
    story.add(story.any_time(10), "TrialStarted", **trial)
    if story.chance.random() < 0.4:
        gone = {"contact": trial["contact"], "trial_id": trial["trial_id"]}
        story.add(story.near(other), "TrialConverted", **gone)


def _of(story: Story, person: Person) -> Line | None:
    own = [booked for booked in story.booked.values() if booked["contact"] in person.contacts]
    return story.chance.choice(own) if own else None


def _moves(story: Story, person: Person) -> None:
    if booked := _of(story, person):
        at = story.near(person)
        passed = max(0, (at - BEGINS).days)
        starts_at = _local(story, person, passed if story.chance.random() < 0.1 else passed + 1, max(DAYS, passed + 2))
        contact = booked["contact"] if story.chance.random() < 0.6 else story.chance.choice(person.contacts)
        moved = _appointment(person, contact, booked["appointment_id"], starts_at)
        if booked["appointment_id"] in story.shared and story.chance.random() < 0.5:
            moved = {"brand": BRAND} | {name: value for name, value in moved.items() if name != "contact"}
        story.add(at, "AppointmentRescheduled", **moved)


def _cancels(story: Story, person: Person) -> None:
    if booked := _of(story, person):
        is_alone = booked["appointment_id"] in story.shared and story.chance.random() < 0.5
        who = {"contact": booked["contact"]} if is_alone else {"brand": BRAND}
        story.add(story.near(person), "AppointmentCancelled", **who, appointment_id=booked["appointment_id"])


def _tries(story: Story, person: Person) -> None:
    ends_at, at = _local(story, person, 6, DAYS - 2), story.any_time(5)
    trial = {
        "contact": story.chance.choice(person.contacts),
        "trial_id": f"t-{len(story.lines)}",
        "product": "Plan",
        "ends_at": ends_at.isoformat(),
        "timezone": person.zone_name,
    }
    person.hot.extend([(ends_at - 3 * DAY).astimezone(UTC), (ends_at + DAY).astimezone(UTC)])
    story.add(at, "TrialStarted", **trial)
    match story.chance.choice(("", "", "extend", "convert")):
        case "extend":
            ends_at = _local(story, person, 8, DAYS - 2)
            person.hot.extend([(ends_at - 3 * DAY).astimezone(UTC), (ends_at + DAY).astimezone(UTC)])
            story.add(max(at, story.near(person)), "TrialExtended", **(trial | {"ends_at": ends_at.isoformat()}))
        case "convert":
            story.add(max(at, story.near(person)), "TrialConverted", brand=BRAND, trial_id=trial["trial_id"])
        case _:
            pass


def _rushes(story: Story, person: Person) -> None:
    """Several marketing messages are due in one minute: two runs at once must not both take the last place of a cap."""
    at = story.any_time()
    _hot_after(person, at, 4 * HOUR)
    for _ in range(3):
        story.add(
            at,
            "ProductViewed",
            contact=story.chance.choice(person.contacts),
            product_id=f"w-{len(story.lines)}",
            name="Tea",
        )


def _hot_after(person: Person, at: datetime, delay: timedelta) -> None:
    person.hot.append(at + delay)


def _fills_a_cart(story: Story, person: Person) -> None:
    cart, at = f"c-{len(story.lines)}", story.any_time()
    contact = story.chance.choice(person.contacts)
    given = {"contact": contact, "cart_id": cart, "items": ["Tea"], "cart_url": "https://example.com/c"}
    _hot_after(person, at, 4 * HOUR)
    story.add(at, "CartAbandoned", **given)
    due = at + 4 * HOUR + timedelta(seconds=story.chance.choice(NEAR))
    match story.chance.choice(("", "", "", "out", "empty", "again", "bought")):
        case "out":
            story.add(due, "CartCheckedOut", contact=contact, cart_id=cart)
        case "empty":
            story.add(due, "CartAbandoned", **(given | {"items": []}))
        case "again":
            story.add(due, "CartAbandoned", **given)
        case "bought":
            bought_by = story.chance.choice(person.contacts)
            story.add(due, "PurchaseMade", contact=bought_by, order_id=f"p-{len(story.lines)}")
        case _:
            pass


def _views(story: Story, person: Person) -> None:
    product, at = f"w-{len(story.lines)}", story.any_time()
    _hot_after(person, at, 4 * HOUR)
    contact = story.chance.choice(person.contacts)
    story.add(at, "ProductViewed", contact=contact, product_id=product, name="Tea")
    if story.chance.random() < 0.3:
        story.add(story.near(person), "ProductAddedToCart", contact=contact, product_id=product)


def _orders(story: Story, person: Person) -> None:
    order, at = f"o-{len(story.lines)}", story.any_time(DAYS - 8)
    _hot_after(person, at, timedelta())
    contact = story.chance.choice(person.contacts)
    story.add(at, "OrderShipped", contact=contact, order_id=order)
    if story.chance.random() < 0.7:
        delivered = at + timedelta(minutes=story.chance.choice((1, 60, 3_000)))
        _hot_after(person, delivered, 3 * DAY)
        story.add(delivered, "OrderDelivered", contact=contact, order_id=order)
        if story.chance.random() < 0.3:
            later = delivered + 3 * DAY + timedelta(seconds=story.chance.choice(NEAR))
            story.add(later, story.chance.choice(("ReviewReceived", "OrderReturned")), brand=BRAND, order_id=order)


def _announces(story: Story, detail_type: str, send_at: datetime, **detail: Any) -> None:
    announcement = f"n-{len(story.lines)}"
    for person in story.people:
        person.hot.append(send_at.astimezone(UTC))
    given = {"brand": BRAND, "announcement_id": announcement, "send_at": send_at.isoformat()}
    story.add(send_at - story.chance.choice((1, 3, 30)) * HOUR, detail_type, **given, **detail)
    if story.chance.random() < 0.2:
        withdrawn = send_at + timedelta(seconds=story.chance.choice(NEAR))
        story.add(withdrawn, "AnnouncementWithdrawn", brand=BRAND, announcement_id=announcement)


def _previews(story: Story) -> None:
    for person in story.people:
        if story.chance.random() < 0.8:
            _consents(story, person, at=story.any_time(9))
    _announces(story, "ProductPreviewAnnounced", _local(story, story.people[0], 10, DAYS - 4), title="New tea")


def _closes_on_a_day(story: Story) -> None:
    person = story.people[0]
    send_at = _local(story, person, 3, DAYS - 5)
    date = (send_at + timedelta(days=story.chance.choice((0, 1, 3)))).date().isoformat()
    _announces(story, "HolidayHoursAnnounced", send_at, date=date, closed=True, timezone=person.zone_name)


def _restocks(story: Story) -> None:
    item, back_at = f"i-{len(story.lines)}", _local(story, story.people[0], 5, DAYS - 4)
    for person in story.people:
        if story.chance.random() < 0.7:
            person.hot.append(back_at.astimezone(UTC))
            story.add(story.any_time(4), "InterestShown", contact=person.contact, item_id=item)
            if story.chance.random() < 0.2:
                withdrawn = back_at + timedelta(seconds=story.chance.choice(NEAR))
                story.add(withdrawn, "InterestWithdrawn", contact=person.contact, item_id=item)
    story.add(back_at, "ItemBackInStock", brand=BRAND, item_id=item, name="Tea")
    if story.chance.random() < 0.3:
        gone = back_at + timedelta(seconds=story.chance.choice(NEAR))
        story.add(gone, "ItemSoldOut", brand=BRAND, item_id=item)


def _consents(story: Story, person: Person, at: datetime | None = None) -> None:
    at = at or story.near(person)
    given = at.replace(microsecond=0)
    allowed = story.chance.random() < 0.8
    evidence = {"evidence": {"when": iso(given), "where": "form"}} if allowed else {}
    contact = person.contact_at(given, story.chance)
    story.add(given, "ConsentChanged", contact=contact, marketing=allowed, **evidence)


def _stops(story: Story, person: Person) -> None:
    at = story.near(person)
    story.writes(person, at, "STOP")
    if story.chance.random() < 0.6:
        story.writes(person, at + timedelta(seconds=story.chance.choice((1, 60, 86_400))), "START")


def _chats(story: Story, person: Person) -> None:
    story.writes(person, story.near(person), story.chance.choice(("See you soon", "1", "Help")))


def _opted_out(story: Story, person: Person) -> None:
    at = story.near(person)
    story.add(at, "ContactOptedOut", contact=person.contact_at(at, story.chance))


def _erased(story: Story, person: Person) -> None:
    if _is_in_shared(story, person) or (person.other and story.chance.random() < 0.6):
        return
    at = story.near(person).astimezone(UTC).replace(microsecond=0)
    story.add(at, "ContactErased", contact=story.chance.choice(person.contacts))
    if person.other:
        story.ends(person, at)
    elif story.chance.random() < 0.7:
        story.writes(person, at + timedelta(seconds=story.chance.choice((-1, 1, 60, 86_400))), "Hello")
        _books(story, person)


def _booked_and_erased(story: Story, person: Person) -> None:
    """The erasure arrives while the booking, or the message, is being processed."""
    _books(story, person)
    if _is_in_shared(story, person) or (person.other and story.chance.random() < 0.6):
        return
    line = next(line for line in reversed(story.lines) if line["detail-type"] == "AppointmentBooked")
    at = datetime.fromisoformat(line["time"]) + timedelta(seconds=1)
    story.add(at, "ContactErased", contact=story.chance.choice(person.contacts))
    if person.other:
        story.ends(person, at)


def _is_in_shared(story: Story, person: Person) -> bool:
    """Whether the person shares an appointment or a trial: what an erasure leaves of one is not in the model."""
    own = (line["detail"] for line in story.lines if line["detail"].get("contact") in person.contacts)
    return any(detail.get(name) in story.shared for detail in own for name in ("appointment_id", "trial_id"))


def _pauses(story: Story, person: Person) -> None:
    at, chance = story.near(person), story.chance
    named = chance.choice(({"brand": BRAND}, {}))
    scope = {"scope": chance.choice(("all", "all", "marketing", "appointment_reminder"))}
    story.add(at, "SendingPaused", **named, **scope)
    lasts = timedelta(seconds=chance.choice((5, 90, 3_600, 90_000)))
    story.add(at + lasts, "SendingResumed", **named, **scope)


def _agent_replies(story: Story, person: Person) -> None:
    at = story.near(person)
    story.add(at, "AgentReplied", contact=person.contact_at(at, story.chance))


HAPPENINGS: Final[Sequence[Callable[[Story, Person], None]]] = (
    *(_moves, _moves, _cancels, _stops, _chats, _chats, _pauses),
    *(_rushes, _booked_and_erased, _opted_out, _erased, _booked_and_erased, _agent_replies, _consents),
)
