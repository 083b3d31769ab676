"""Two addresses that are linked, both named for one appointment, trial or order: one person, and one message."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import LinkContact, MoveContact
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import State
from reengage.domain.policy_settings import PolicySettings
from reengage.domain.purchases import purchases_of
from reengage.domain.quiet_hours import QuietHours
from reengage.ports import Accepted, DueKey, Unknown
from reengage.usecases.link_contact import link_contact, move_contact
from reengage.usecases.recheck_window import recheck_person
from tests.fakes import ANNA, NOON, Fault, World, business, inbound, receipt

OTHER: Final = Contact(ANNA.brand, "sms", "+447700900123")
CHAT: Final = Contact(ANNA.brand, "whatsapp", ANNA.address)
STRANGER: Final = Contact(ANNA.brand, "sms", "+447700900199")
HOUR: Final = timedelta(hours=1)
STARTS: Final = NOON + timedelta(days=3)
DUE: Final = STARTS - 2 * HOUR


def write(world: World, contact: Contact, at: datetime = NOON) -> None:
    world.clock.now = at
    world.receive(inbound(at, contact=contact, message_id=f"{contact}{at}"))


def link(world: World, one: Contact = ANNA, other: Contact = OTHER) -> None:
    link_contact(LinkContact(one, other, world.clock.now), store=world.store, publish=world.bus)


def move(world: World, one: Contact = ANNA, to: Contact = OTHER) -> None:
    move_contact(MoveContact(one, to, world.clock.now), store=world.store, publish=world.bus)


def book(world: World, contact: Contact | None, name: str = "AppointmentBooked", **fields: Any) -> None:
    if name != "AppointmentCancelled":
        fields = {"starts_at": STARTS, "remind_before": ["P1D", "PT2H"]} | fields
    world.plan(business(name, world.clock.now, contact=contact, subject_id="A-1", **fields))


def run(world: World, at: datetime) -> None:
    """Send what is due then, and what the first run puts back into the schedule."""
    for minutes in range(3):
        world.clock.now = at + timedelta(minutes=minutes)
        world.run_sender("appointments")


def sent(world: World) -> list[tuple[str, Contact]]:
    return [(out.message.reason, out.message.recipient) for out in world.provider.handed]


def both() -> World:
    world = World()
    write(world, ANNA)
    write(world, OTHER)
    return world


@pytest.mark.parametrize("steps", list(permutations(("link", "one", "other"))), ids="-".join)
def test_linked_addresses_of_one_visit_get_one_text(steps: tuple[str, ...]) -> None:
    """A practice booked a patient by two numbers that it had linked, and the patient got each reminder twice."""
    world = both()
    for step in steps:
        world.clock.now += timedelta(minutes=1)
        if step == "link":
            link(world)
        else:
            book(world, ANNA if step == "one" else OTHER)
    run(world, STARTS - 24 * HOUR)
    run(world, DUE)
    assert [reason for reason, _ in sent(world)] == ["appointment_reminder"] * 2
    assert not [row for row in world.store.rows() if row.state is State.SCHEDULED]
    skipped = [event.detail for event in world.bus.events if event.type == "MessageSkipped"]
    assert {event["rule"] for event in skipped} <= {"superseded"}


def test_addresses_that_are_not_linked_are_two_people() -> None:
    world = both()
    write(world, STRANGER)
    link(world, ANNA, STRANGER)
    book(world, ANNA)
    book(world, OTHER)
    run(world, DUE)
    assert {recipient for _, recipient in sent(world)} >= {OTHER}
    assert len(sent(world)) == 2


def test_a_cancellation_by_the_new_address_ends_the_visit() -> None:
    """A patient changed number; the visit was cancelled under the new one, and the reminder went out all the same."""
    world = both()
    book(world, ANNA)
    run(world, STARTS - 24 * HOUR)
    move(world)
    book(world, OTHER, "AppointmentCancelled")
    run(world, STARTS - 20 * HOUR)
    run(world, DUE)
    assert sent(world) == [("appointment_reminder", ANNA), ("appointment_cancelled", OTHER)]


@pytest.mark.parametrize("first", [CHAT, OTHER], ids=["number first", "other first"])
@pytest.mark.parametrize("named", [CHAT, OTHER], ids=["number last", "other last"])
@pytest.mark.parametrize("name", ["AppointmentCancelled", "AppointmentRescheduled"])
def test_a_link_of_one_channel_counts_for_the_number(first: Contact, named: Contact, name: str) -> None:
    """SMS was linked with another number, and the person was reminded of a visit there and on WhatsApp."""
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    write(world, CHAT)
    write(world, OTHER)
    link(world, ANNA, OTHER)
    book(world, first)
    book(world, OTHER if first == CHAT else CHAT)
    world.clock.now += timedelta(minutes=1)
    book(world, named, name, **({} if name == "AppointmentCancelled" else {"remind_before": ["PT2H"]}))
    run(world, DUE)
    assert len(sent(world)) == (name == "AppointmentRescheduled")
    assert not [row for row in world.store.rows() if row.state is State.SCHEDULED]


@pytest.mark.parametrize(("cart", "bought"), [(CHAT, OTHER), (OTHER, CHAT)], ids=["WhatsApp", "other number"])
def test_a_purchase_counts_for_a_number_linked_by_sms(cart: Contact, bought: Contact) -> None:
    world = World()
    write(world, CHAT)
    write(world, OTHER)
    link(world, ANNA, OTHER)
    world.plan(business("CartAbandoned", NOON, subject_id="C-1", contact=cart, items=["Lamp"]))
    purchase = business("PurchaseMade", NOON + HOUR, contact=bought, cart=True)
    world.plan(replace(purchase, subject=purchases_of(bought)))
    assert [row.state for row in world.store.rows()] == [State.SKIPPED]


@pytest.mark.parametrize(("cart", "bought"), [(CHAT, OTHER), (OTHER, CHAT)], ids=["WhatsApp", "other number"])
def test_a_purchase_before_the_link_counts_at_the_send(cart: Contact, bought: Contact) -> None:
    world = World()
    write(world, CHAT)
    write(world, OTHER)
    world.plan(business("CartAbandoned", NOON, subject_id="C-1", contact=cart, items=["Lamp"]))
    purchase = business("PurchaseMade", NOON + HOUR, contact=bought, cart=True)
    world.plan(replace(purchase, subject=purchases_of(bought)))
    link(world, ANNA, OTHER)
    world.clock.now = NOON + 4 * HOUR
    world.run_sender("updates")
    assert sent(world) == []


def test_a_stranger_cannot_cancel_the_visit_of_another() -> None:
    world = both()
    book(world, ANNA)
    book(world, OTHER, "AppointmentCancelled")
    run(world, DUE)
    assert sent(world) == [("appointment_reminder", ANNA)]


def test_a_reschedule_by_the_new_address_is_corrected_once() -> None:
    """After a move to a new number, the rescheduled visit was reminded of twice, both times at the new number."""
    world = both()
    book(world, ANNA)
    run(world, STARTS - 24 * HOUR)
    move(world)
    book(world, OTHER, "AppointmentRescheduled", starts_at=STARTS + HOUR, remind_before=["PT2H"])
    run(world, STARTS - 20 * HOUR)
    run(world, DUE + HOUR)
    assert sent(world) == [
        ("appointment_reminder", ANNA),
        ("appointment_moved", OTHER),
        ("appointment_reminder", OTHER),
    ]


def test_a_correction_follows_to_another_channel_of_the_number() -> None:
    """A visit was moved under the person's WhatsApp contact, and the old time that went by SMS stayed uncorrected."""
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_moved", "appointment_reminder"})))
    write(world, ANNA)
    write(world, CHAT)
    book(world, ANNA)
    run(world, STARTS - 24 * HOUR)
    book(world, CHAT, "AppointmentRescheduled", starts_at=STARTS + HOUR, remind_before=["PT2H"])
    run(world, STARTS - 20 * HOUR)
    assert [reason for reason, _ in sent(world)] == ["appointment_reminder", "appointment_moved"]


@pytest.mark.parametrize("returns", [False, True])
def test_a_move_to_another_channel_leaves_that_channel_only(*, returns: bool) -> None:
    """A person asked to be written to by WhatsApp and not by SMS; then neither channel of the number got a message."""
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    write(world, ANNA)
    write(world, CHAT)
    book(world, ANNA, remind_before=["PT2H"])
    world.clock.now = NOON + HOUR
    move(world, ANNA, CHAT)
    if returns:
        world.clock.now = NOON + 2 * HOUR
        move(world, CHAT, ANNA)
        write(world, ANNA, NOON + 3 * HOUR)
        book(world, ANNA, remind_before=["PT2H"])
    run(world, DUE)
    assert sent(world) == [("appointment_reminder", ANNA if returns else CHAT)]


def test_check_in_and_links_of_both_addresses_are_the_persons() -> None:
    world = both()
    link(world)
    book(world, ANNA, check_in_before="PT5H", remind_before=["PT1H"])
    book(world, OTHER, remind_before=["PT1H"], check_in_url="https://in.example/1")
    run(world, STARTS - 5 * HOUR)
    assert [reason for reason, _ in sent(world)] == ["online_check_in"]
    world.plan(business("CheckInCompleted", world.clock.now, contact=OTHER, subject_id="A-1"))
    run(world, STARTS - HOUR)
    assert [reason for reason, _ in sent(world)] == ["online_check_in", "appointment_reminder"]


@pytest.mark.parametrize(("caps", "counted"), [("1/P1D", True), ("2/P1D", None)])
def test_a_full_cap_makes_no_correction_useless(caps: str, *, counted: bool | None) -> None:
    """A person had all messages of the day, and got none about the visit that was cancelled."""
    world = World(policy=PolicySettings(caps={"utility": parse_caps(caps)}))
    write(world, ANNA)
    book(world, ANNA, remind_before=["PT2H"])
    run(world, DUE)
    book(world, ANNA, "AppointmentCancelled")
    run(world, DUE + HOUR)
    assert [reason for reason, _ in sent(world)] == ["appointment_reminder", "appointment_cancelled"]
    assert world.provider.handed[-1].decision.facts.get("over_cap") is counted


def test_a_cap_holds_a_correction_that_stays_valid() -> None:
    world = World(policy=PolicySettings(caps={"utility": parse_caps("1/PT3H")}))
    write(world, ANNA)
    book(world, ANNA, remind_before=["P1D"])
    run(world, STARTS - 24 * HOUR)
    book(world, ANNA, "AppointmentCancelled")
    run(world, STARTS - 23 * HOUR)
    assert len(sent(world)) == 1
    run(world, STARTS - 20 * HOUR)
    assert [reason for reason, _ in sent(world)] == ["appointment_reminder", "appointment_cancelled"]


@pytest.mark.parametrize("by", ["link", "message"])
def test_a_linked_address_with_a_zone_ends_a_hold(by: str) -> None:
    """A reminder waited for the morning in Berlin, although the other number had reported New York by then."""
    hours = QuietHours.parse("21:00-08:00")
    assert hours
    world = World(policy=PolicySettings(quiet_hours={"utility": hours}))
    night = datetime.fromisoformat("2026-03-03T20:30:00Z")
    german = Contact(ANNA.brand, "sms", "+4915112345601")
    write(world, german)
    starts_at = night + timedelta(days=1)
    world.clock.now = NOON + HOUR
    world.plan(business("AppointmentBooked", NOON, contact=german, starts_at=starts_at, remind_before=["P1D"]))
    run(world, night)
    assert sent(world) == []
    if by == "message":
        relink(world, german)
    world.receive(inbound(world.clock.now, contact=OTHER, message_id="x", timezone="America/New_York"))
    if by == "link":
        relink(world, german)
    run(world, night + HOUR)
    assert [reason for reason, _ in sent(world)] == ["appointment_reminder"]


def relink(world: World, contact: Contact) -> None:
    """Link the other address by the planning function's own path."""
    if link_contact(LinkContact(contact, OTHER, world.clock.now), store=world.store, publish=world.bus):
        recheck_person(contact, settings=world.policy, store=world.store, clock=world.clock)


@pytest.mark.parametrize(
    ("named", "is_unknown"), [(ANNA, False), (OTHER, False), (STRANGER, True), (None, False)], ids=str
)
def test_an_end_for_an_unknown_contact_is_reported(named: Contact | None, *, is_unknown: bool) -> None:
    """A cancellation named a mistyped number; nothing was cancelled, and the answer did not show it."""
    world = both()
    link(world)
    book(world, ANNA)
    event = business("AppointmentCancelled", NOON + HOUR, contact=named, subject_id="A-1")
    assert world.plan(event).unknown_contact is is_unknown
    assert world.plan(event).unknown_contact is is_unknown


def test_an_early_cancellation_is_of_no_unknown_contact() -> None:
    """It may have overtaken its booking."""
    world = both()
    assert not world.plan(business("AppointmentCancelled", NOON, subject_id="A-1")).unknown_contact


def test_a_link_to_a_closing_window_pulls_the_message_forward() -> None:
    """A reminder was due after the other address's window closed; the link came after the plan, and it was skipped."""
    world = World(policy=PolicySettings(when_window_will_close="pull_forward"))
    write(world, OTHER)
    closes_at = NOON + WINDOW
    world.clock.now = closes_at - 48 * HOUR
    book(world, ANNA, starts_at=closes_at + HOUR, remind_before=["P1D", "PT30M"])
    relink(world, ANNA)
    for hours in range(48, 0, -1):
        run(world, closes_at - hours * HOUR)
    assert [recipient for _, recipient in sent(world)] == [OTHER, OTHER]


def planned_for_both(*answers: Any) -> World:
    """Both addresses of one person are booked, ``OTHER`` first; at the first reminder the provider answers so."""
    world = both()
    book(world, OTHER)
    world.clock.now += timedelta(minutes=1)
    book(world, ANNA)
    world.clock.now = STARTS - 24 * HOUR
    world.provider.script.extend(answers)
    return world


def skips(world: World) -> list[tuple[Contact, str | None, Any]]:
    rows = [row for row in world.store.rows() if row.state is State.SKIPPED and row.offset == "P1D"]
    return [(row.contact, row.rule, row.facts.get("same_person")) for row in rows]


@pytest.mark.parametrize("answer", [Accepted("fake", "provider-1"), Unknown("timed out")], ids=["sent", "unconfirmed"])
def test_a_late_link_repeats_no_reminder(answer: Any) -> None:
    """A person got a reminder at one number; the numbers were linked, and the same reminder came at the other one."""
    world = planned_for_both(answer)
    hold(world, OTHER)
    world.run_sender("appointments")
    assert [out.message.contact for out in world.provider.handed] == [ANNA]
    link(world)
    run(world, STARTS - 23 * HOUR)
    assert len(world.provider.handed) == 1
    assert skips(world) == [(OTHER, "superseded", True)]
    run(world, DUE)
    assert [out.message.offset for out in world.provider.handed] == ["P1D", "PT2H"]


def test_a_reminder_waits_for_the_one_in_a_senders_hands() -> None:
    """The run that has it may still release it, so it is not skipped before the outcome is known."""
    world = planned_for_both()
    mine = next(row for row in world.store.rows() if row.contact == ANNA and row.offset == "P1D")
    assert world.store.claim(DueKey(mine.key, mine.due_at, mine.valid_until), claim_id="dead", at=world.clock.now)
    link(world)
    world.run_sender("appointments")
    assert (world.provider.handed, skips(world)) == ([], [])
    run(world, STARTS - 23 * HOUR)
    assert skips(world) == [(OTHER, "superseded", True)]
    states = {row.contact: row.state for row in world.store.rows() if row.offset == "P1D"}
    assert states == {ANNA: State.UNCONFIRMED, OTHER: State.SKIPPED}


def test_a_text_for_two_visits_repeats_no_reminder() -> None:
    """Of two visits that one text could name, the person had got the reminder of the second one elsewhere."""
    world = planned_for_both()
    hold(world, OTHER)
    world.run_sender("appointments")
    link(world)
    world.plan(
        business("AppointmentBooked", world.clock.now, contact=OTHER, subject_id="A-2", starts_at=STARTS + HOUR / 2)
    )
    run(world, STARTS - 23 * HOUR)
    assert [(out.message.subject.id, len(out.others)) for out in world.provider.handed] == [("A-1", 0), ("A-2", 0)]


def test_an_address_that_no_event_names_takes_no_read() -> None:
    world = both()
    link(world)
    book(world, ANNA)
    world.clock.now = STARTS - 24 * HOUR
    reads = Fault(only="read_message")
    world.run_sender("appointments", around=reads)
    assert (len(world.provider.handed), reads.calls) == (1, [])


def hold(world: World, contact: Contact) -> None:
    """Put the contact's first reminder off for an hour, as quiet hours would."""
    row = next(row for row in world.store.rows() if row.contact == contact and row.offset == "P1D")
    assert world.store.reschedule(row, due_at=row.due_at + HOUR, planned_due_at=row.due_at)


def early(first: Contact, second: Contact) -> World:
    """A reminder goes out before the night to ``first``; then an event names ``second``, at the same time of day."""
    hours = QuietHours.parse("21:00-08:00")
    assert hours
    templates = frozenset({"appointment_reminder"})
    world = World(policy=PolicySettings(quiet_hours={"utility": hours}, whatsapp_templates=templates))
    write(world, first)
    write(world, second)
    starts_at = NOON.replace(hour=7) + timedelta(days=3)  # 08:00 in Berlin
    book(world, first, starts_at=starts_at, remind_before=["PT2H"])
    world.clock.now = starts_at - timedelta(hours=12, minutes=15)
    world.run_sender("appointments")
    assert sent(world) == [("appointment_reminder", first)]
    world.clock.now += timedelta(minutes=20)
    book(world, second, "AppointmentRescheduled", starts_at=starts_at, remind_before=["PT2H"])
    return world


@pytest.mark.parametrize(("first", "second"), [(ANNA, CHAT), (CHAT, ANNA)], ids=["to whatsapp", "to sms"])
def test_another_channel_of_a_number_gets_no_second_reminder(first: Contact, second: Contact) -> None:
    """A reminder went out before the night. A room then changed under the person's other channel: it came again."""
    world = early(first, second)
    run(world, world.clock.now)
    assert sent(world) == [("appointment_reminder", first)]
    assert {row.rule for row in world.store.rows() if row.state is State.SKIPPED} == {"superseded"}


def test_what_did_not_arrive_goes_to_the_channel_named_next() -> None:
    world = early(ANNA, CHAT)
    world.report(receipt(world.provider.handed[0], "undelivered", world.clock.now))
    run(world, world.clock.now)
    assert sent(world) == [("appointment_reminder", ANNA), ("appointment_reminder", CHAT)]
