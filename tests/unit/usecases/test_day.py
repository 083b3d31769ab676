"""The front desk's day: each appointment has one state, the reason, and what to do."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.commands import RecordChoice, Status
from reengage.domain.contact import Contact
from reengage.domain.message import GivenAnswer
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.ports import Refused
from reengage.usecases.day import WHAT_TO_DO, Day, DayEntry, DayState, Why, day, day_as_json
from reengage.usecases.explain import explain_subject
from tests.fakes import ANNA, NOON, World, business, inbound, receipt
from tests.unit.usecases.test_same_person import link

STARTS: Final = NOON + timedelta(days=2)
OF: Final = STARTS.date()
Step = Callable[[World], object]


def read(world: World, of: date = OF, settings: PolicySettings | None = None) -> Day:
    return day(ANNA.brand, of, store=world.store, settings=settings or world.policy, clock=world.clock)


def entry(world: World, settings: PolicySettings | None = None) -> DayEntry:
    (found,) = read(world, settings=settings).entries
    return found


def write(world: World, contact: Contact = ANNA) -> None:
    world.receive(inbound(world.clock.now, contact=contact, display_name="Anna"))


def book(
    world: World,
    contact: Contact | None = ANNA,
    *,
    starts_at: datetime = STARTS,
    name: str = "A-1",
    offsets: tuple[str, ...] = ("P1D", "PT2H"),
) -> None:
    fields: dict[str, Any] = {"starts_at": starts_at, "remind_before": list(offsets), "service": "Cleaning"}
    booked = business("AppointmentBooked", contact=contact, subject_id=name, **fields)
    world.plan(replace(booked, arrived_at=NOON))


def send(world: World) -> None:
    world.clock.now = max(world.clock.now, STARTS - timedelta(days=1))
    world.run_sender()


def report(world: World, status: Status) -> None:
    world.report(receipt(world.provider.handed[-1], status, world.clock.now))


def delivered(world: World) -> None:
    report(world, "delivered")


def undelivered(world: World) -> None:
    report(world, "undelivered")


def opt_out(world: World) -> None:
    world.record_choice(RecordChoice(ANNA, "contact", Choice(allowed=False, at=world.clock.now)))


def confirm(world: World) -> None:
    world.plan(business("AppointmentConfirmed", world.clock.now, subject_id="A-1"))


def refuse(world: World) -> None:
    world.provider.script.extend([Refused("no such number")] * 2)


def later(world: World) -> None:
    world.clock.now = STARTS - timedelta(hours=1)
    world.run_sender()


CASES: dict[str, tuple[list[Step], DayState, Why | None]] = {
    "has written": ([write, book], DayState.WILL_BE_REMINDED, None),
    "was reminded": ([write, book, send], DayState.REMINDED, None),
    "has the reminder": ([write, book, send, delivered], DayState.DELIVERED, None),
    "did not get it": (
        [write, book, send, undelivered],
        DayState.NOT_REACHED,
        Why.UNDELIVERABLE,
    ),
    "was refused": ([write, book, refuse, send, later], DayState.NOT_REACHED, Why.UNDELIVERABLE),
    "has confirmed": ([write, book, send, confirm], DayState.CONFIRMED, None),
    "never wrote": ([book], DayState.NOT_REACHED, Why.NEVER_WROTE),
    "never wrote, skipped": ([book, send, later], DayState.NOT_REACHED, Why.NEVER_WROTE),
    "opted out": ([write, book, opt_out], DayState.NOT_REACHED, Why.OPTED_OUT),
    "is not known": ([lambda w: book(w, None)], DayState.NOT_REACHED, Why.NO_CONTACT),
}


@pytest.mark.parametrize("name", CASES)
def test_an_appointment_has_one_state(name: str) -> None:
    steps, state, why = CASES[name]
    world = World()
    for step in steps:
        step(world)
    found = entry(world)
    assert (found.state, found.why) == (state, why)
    assert found.what_to_do == (WHAT_TO_DO[why] if why else None)
    assert (found.appointment_id, found.starts_at, found.service) == ("A-1", STARTS, "Cleaning")


def test_day_shows_when_the_reminder_will_be_sent() -> None:
    world = World()
    write(world)
    book(world)
    found = entry(world)
    assert (found.at, found.name, found.contact) == (STARTS - timedelta(days=1), "Anna", ANNA)


def test_day_shows_a_window_that_closes_first() -> None:
    world = World()
    world.clock.now = NOON - timedelta(days=29, hours=12)
    write(world)
    world.clock.now = NOON
    book(world)
    assert entry(world).why is Why.WINDOW_CLOSES_FIRST


def hours(text: str) -> QuietHours:
    parsed = QuietHours.parse(text)
    assert parsed
    return parsed


UNTIL_FOUR: Final = PolicySettings(quiet_hours={"utility": hours("20:00-16:00")}, default_timezone="UTC")
NO_ZONE: Final = PolicySettings(
    quiet_hours={"utility": hours("20:00-08:00")}, whatsapp_templates=frozenset({"appointment_reminder"})
)
USER_ID: Final = replace(ANNA, channel="whatsapp", address="GB.1112223334445556")


def test_day_shows_quiet_hours_until_the_appointment() -> None:
    """A reminder that quiet hours would outlast is sent before them; if it is booked within them, it cannot."""
    world = World()
    write(world)
    world.clock.now = NOON + timedelta(hours=44)
    book(world, offsets=("PT2H",))
    assert entry(world, UNTIL_FOUR).why is Why.QUIET_HOURS


def test_day_shows_an_unknown_zone() -> None:
    world = World()
    write(world, USER_ID)
    book(world, USER_ID)
    assert entry(world, NO_ZONE).why is Why.ZONE_UNKNOWN


def test_the_day_is_that_of_the_brands_zone() -> None:
    """23:30 in UTC is the next day in Berlin."""
    world = World(policy=PolicySettings(default_timezone="Europe/Berlin"))
    late = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
    for name, starts_at in (("next", late), ("same", late - timedelta(hours=1)), ("early", late - timedelta(days=1))):
        book(world, starts_at=starts_at, name=name)
    assert [found.appointment_id for found in read(world, date(2026, 3, 10)).entries] == ["early", "same"]
    (found,) = read(world, date(2026, 3, 11)).entries
    assert found.appointment_id == "next"
    assert found.starts_at.isoformat() == "2026-03-11T00:30:00+01:00"


def test_a_cancelled_appointment_is_left_out() -> None:
    world = World()
    book(world)
    world.plan(business("AppointmentCancelled", NOON + timedelta(seconds=1), subject_id="A-1"))
    assert read(world).entries == []


def test_a_move_after_a_confirmation_needs_another_one() -> None:
    world = World()
    write(world)
    book(world)
    confirm(world)
    moved = business(
        "AppointmentRescheduled", NOON + timedelta(hours=1), subject_id="A-1", starts_at=STARTS + timedelta(hours=1)
    )
    world.clock.forward(hours=1)
    world.plan(moved)
    assert entry(world).state is DayState.WILL_BE_REMINDED


def test_the_day_writes_nothing() -> None:
    world = World()
    write(world)
    book(world)
    before = world.store.read_holdings(ANNA)
    read(world)
    assert world.store.read_holdings(ANNA) == before
    assert world.bus.types() == ["ConversationStarted", "MessagePlanned", "MessagePlanned"]


def test_day_has_only_json_values() -> None:
    world = World(policy=PolicySettings(default_timezone="Europe/Berlin"))
    write(world)
    book(world)
    assert json.loads(json.dumps(day_as_json(read(world)))) == {
        "brand": "acme-dental",
        "date": "2026-03-04",
        "zone": "Europe/Berlin",
        "entries": [
            {
                "appointment_id": "A-1",
                "starts_at": "2026-03-04T13:00:00+01:00",
                "state": "will_be_reminded",
                "contact": {"brand": "acme-dental", "channel": "sms", "address": ANNA.address},
                "name": "Anna",
                "service": "Cleaning",
                "location": None,
                "at": "2026-03-03T13:00:00+01:00",
                "why": None,
                "rule": None,
                "what_to_do": None,
                "opener": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        (["confirmed"], DayState.CONFIRMED),
        (["cancel_requested"], DayState.ASKED_TO_CANCEL),
        (["reschedule_requested"], DayState.ASKED_TO_MOVE),
        (["unclear"], DayState.REMINDED),
        (["confirmed", "cancel_requested"], DayState.ASKED_TO_CANCEL),
    ],
)
def test_the_persons_newest_answer_is_the_state(answers: list[str], state: DayState) -> None:
    world = World()
    for step in (write, book, send):
        step(world)
    for number, text in enumerate(answers):
        row = world.store.read_message(world.provider.handed[-1].message.key)
        assert row
        at = world.clock.forward(minutes=1)
        assert world.store.record_answer(row, GivenAnswer(text, f"SM-{number}", "only_open_question", at))
    assert entry(world).state is state


def test_each_person_of_an_appointment_has_a_row() -> None:
    """Two people share a class: one confirmed, one was not reminded, and a third one left."""
    ben, carl = (replace(ANNA, address=f"+491511234567{number}") for number in (7, 9))
    world = World()
    write(world)
    write(world, ben)
    for contact in (ANNA, ben, carl):
        book(world, contact)
    world.plan(business("AppointmentConfirmed", NOON + timedelta(seconds=1), subject_id="A-1", contact=ANNA))
    world.plan(business("AppointmentCancelled", NOON + timedelta(seconds=2), subject_id="A-1", contact=carl))
    states = {found.contact: found.state for found in read(world).entries}
    assert states == {ANNA: DayState.CONFIRMED, ben: DayState.WILL_BE_REMINDED}


@pytest.mark.parametrize("event", ["AppointmentConfirmed", "AppointmentBooked"])
def test_linked_addresses_are_one_person_of_the_day(event: str) -> None:
    """The desk would have called a person who had confirmed at the linked address."""
    world, chat = World(), replace(ANNA, channel="whatsapp", address="+447700900155")
    write(world)
    link(world, ANNA, chat)
    book(world)
    fields: dict[str, Any] = {"starts_at": STARTS} if event == "AppointmentBooked" else {}
    world.plan(business(event, NOON + timedelta(seconds=1), contact=chat, subject_id="A-1", **fields))
    found = entry(world)
    wanted = DayState.CONFIRMED if event == "AppointmentConfirmed" else DayState.WILL_BE_REMINDED
    assert (found.contact, found.state) == (ANNA, wanted)


def test_explanation_of_an_appointment_shows_each_person() -> None:
    ben = replace(ANNA, address="+4915112345677")
    world = World()
    book(world)
    book(world, ben)
    ref = business("AppointmentCancelled", subject_id="A-1").subject
    ledgers = explain_subject(ref, store=world.store, clock=world.clock)["ledgers"]
    assert {ledger["contact"]["address"] for ledger in ledgers} == {ANNA.address, ben.address}
    for ledger in ledgers:
        assert {entry["step"] for entry in ledger["entries"] if entry.get("subject_id") == "A-1"} == {"P1D", "PT2H"}
