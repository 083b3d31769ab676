"""Make a story from a seed: some people, what is planned for them, and what happens close to what is due.

It lasts six weeks, longer than a window, so windows close and TTL deletes. Some people have two addresses, some write
on WhatsApp, some use one number on two channels, and some appointments, trials and orders have two people.
"""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reengage.domain.instants import iso
from tests.simulation.faults.people import BEGINS, BRAND, DAYS, ENDS, NEAR, Person, Story, person_of
from tests.simulation.faults.settings import (
    DAY,
    HOUR,
    OF_SEVERAL_PEOPLE,
    Line,
    configured,
    draw,
    provider_of,
    reconfigured,
)


def story_of(seed: int) -> list[Line]:
    """Return the lines of a seed's story in order of time; each event has an id of its own."""
    story = Story(random.Random(seed))
    settings = draw(story.chance)
    for number in range(story.chance.randint(4, 9)):
        story.people.append(person_of(story, 100 + number))
    for person in story.people:
        _life(story, person)
        if "MarketingConsent" in settings and story.chance.random() < 0.8:
            _consents(story, person, at=story.any_time(3))
    for share, often in ((_joins, (0, 1, 2, 4)), (_shares_a_trial, (0, 1, 2)), (_ships_to_two, (0, 1, 2))):
        for _ in range(story.chance.choice(often)):
            share(story, *story.chance.sample(story.people, 2))
    for _ in range(story.chance.choice((0, 1, 1, 2))):
        story.chance.choice((_previews, _closes_on_a_day, _restocks))(story)
    _reconfigures(story)
    for person in story.people:
        for _ in range(story.chance.choice((0, 1, 2, 4, 6))):
            story.chance.choice(HAPPENINGS)(story, person)
    events = sorted(filter(story.is_kept, story.lines), key=lambda line: str(line["time"]))
    return [
        *configured(settings, BRAND, iso(BEGINS - HOUR), random.Random(f"brand-{seed}")),
        *provider_of(story.chance),
        *(
            story.with_reactions(line) | {"id": f"event-{number}", "source": "test.app"}
            for number, line in enumerate(events)
        ),
        {"until": iso(ENDS)},
    ]


def _life(story: Story, person: Person) -> None:
    """The person writes some times; appointments, a trial, carts and orders come in between."""
    chance = story.chance
    age = 30 * DAY - chance.randint(1, 200) * HOUR if chance.random() < 0.2 else timedelta()
    if chance.random() < 0.85 or (person.other and not person.is_one_number):
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
    booked = _appointment(person, contact, f"a-{len(story.lines)}", starts_at) | _reactions(story.chance)
    story.booked[booked["appointment_id"]] = booked
    earliest = (starts_at.astimezone(UTC) - BEGINS) / timedelta(minutes=1)
    story.add(BEGINS + timedelta(minutes=story.chance.randint(2, max(3, int(earliest)))), "AppointmentBooked", **booked)


def _reactions(chance: random.Random) -> Line:
    """How the person answers a reminder, and whether they send the opener."""
    reacts: Line = {"by": chance.choice(("text", "button", "quote")), "text": chance.choice("1123")}
    reacts |= {"after": chance.choice((3, 20, 130, 200, 900, 7_300))}
    opens = {"after": chance.choice((20, 200, 90_000, 400_000))}
    return ({"reacts": reacts} if chance.random() < 0.5 else {}) | ({"opens": opens} if chance.random() < 0.5 else {})


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
    then = {"contact": person.same_number(contact, story.chance)}
    match story.chance.choice(("", "", "", "out", "empty", "again", "bought")):
        case "out":
            story.add(due, "CartCheckedOut", **then, cart_id=cart)
        case "empty":
            story.add(due, "CartAbandoned", **(given | then | {"items": []}))
        case "again":
            story.add(due, "CartAbandoned", **(given | then))
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
    if person.is_one_number and story.chance.random() < 0.6:
        again = at + story.chance.choice((timedelta(seconds=1), HOUR, 4 * HOUR, 30 * HOUR))
        other = person.same_number(contact, story.chance)
        _hot_after(person, again, 4 * HOUR)
        story.add(again, "ProductViewed", contact=other, product_id=product, name="Tea")
    if story.chance.random() < 0.3:
        added_by = person.same_number(contact, story.chance)
        story.add(story.near(person), "ProductAddedToCart", contact=added_by, product_id=product)


def _orders(story: Story, person: Person) -> None:
    order, at = f"o-{len(story.lines)}", story.any_time(DAYS - 8)
    _hot_after(person, at, timedelta())
    contact = story.chance.choice(person.contacts)
    story.add(at, "OrderShipped", contact=contact, order_id=order)
    if story.chance.random() < 0.7:
        delivered = at + timedelta(minutes=story.chance.choice((1, 60, 3_000)))
        _hot_after(person, delivered, 3 * DAY)
        received_by = person.same_number(contact, story.chance)
        story.add(delivered, "OrderDelivered", contact=received_by, order_id=order)
        if story.chance.random() < 0.3:
            later = delivered + 3 * DAY + timedelta(seconds=story.chance.choice(NEAR))
            story.add(later, story.chance.choice(("ReviewReceived", "OrderReturned")), brand=BRAND, order_id=order)


def _ships_to_two(story: Story, one: Person, other: Person) -> None:
    """An order has two people: it is delivered to both or to one, and both or one may return it."""
    order, at, chance = f"o-{len(story.lines)}", story.any_time(DAYS - 8), story.chance
    contacts = [chance.choice(one.contacts), chance.choice(other.contacts)]
    story.shared.add(order)
    joined = at + timedelta(seconds=chance.choice((1, 60, 3_600, 90_000)))
    delivered = at + timedelta(seconds=chance.choice((30, 3_600, 90_000, 180_000)))
    ended = delivered + chance.choice((timedelta(), 3 * DAY)) + timedelta(seconds=chance.choice(NEAR))
    for contact, shipped in zip(contacts, (at, joined), strict=True):
        story.add(shipped, "OrderShipped", contact=contact, order_id=order)
    for person in (one, other):
        person.hot.extend([at, joined, delivered + 3 * DAY])
    whose: list[Line] = [{"contact": contact} for contact in contacts]
    for who in chance.choice((whose[:1], whose, [{"brand": BRAND}], [])):
        story.add(delivered, "OrderDelivered", **who, order_id=order)
    for who in chance.choice((whose[1:], whose[:1], [{"brand": BRAND}], [], [])):
        story.add(max(ended, at), chance.choice(("ReviewReceived", "OrderReturned")), **who, order_id=order)


def _reconfigures(story: Story) -> None:
    """Settings of the brand change close to what is due to someone, or while quiet hours hold it."""
    for _ in range(story.chance.choice((0, 0, 1, 2, 3))):
        at = story.near(story.chance.choice(story.people)) + story.chance.choice((0, 0, 2, 5)) * HOUR
        story.add(at, "BrandConfigured", **reconfigured(BRAND, story.chance))


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
            other = person.same_number(person.contact, story.chance)
            if other != person.contact:
                story.add(story.any_time(4), "InterestShown", contact=other, item_id=item)
            if story.chance.random() < 0.2:
                withdrawn = back_at + timedelta(seconds=story.chance.choice(NEAR))
                story.add(withdrawn, "InterestWithdrawn", contact=other, item_id=item)
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
    if _is_not_erased(story, person):
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
    if _is_not_erased(story, person):
        return
    line = next(line for line in reversed(story.lines) if line["detail-type"] == "AppointmentBooked")
    at = datetime.fromisoformat(line["time"]) + timedelta(seconds=1)
    story.add(at, "ContactErased", contact=story.chance.choice(person.contacts))
    if person.other:
        story.ends(person, at)


def _is_not_erased(story: Story, person: Person) -> bool:
    """An erasure is of one channel: the model does not know what it leaves on the number's other one."""
    if _is_in_shared(story, person) or person.is_one_number:
        return True
    return person.other is not None and story.chance.random() < 0.6


def _is_in_shared(story: Story, person: Person) -> bool:
    """Whether the person shares a subject: what an erasure leaves of one is not in the model."""
    own = (line["detail"] for line in story.lines if line["detail"].get("contact") in person.contacts)
    return any(detail.get(name) in story.shared for detail in own for name in OF_SEVERAL_PEOPLE)


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
