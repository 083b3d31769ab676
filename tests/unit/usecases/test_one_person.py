"""One person, several addresses: a message goes to the one with an open window, the cheapest first, and once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from operator import ne
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact, LinkContact, MoveContact, RecordChoice, Status
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.policy_settings import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import Refused, Retryable, Unknown
from reengage.usecases.explain import explain, explain_subject, export
from reengage.usecases.link_contact import link_contact, move_contact
from tests.fakes import ANNA, NOON, Crash, Fault, World, business, inbound, receipt

CHAT: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
WHATSAPP: Final = replace(ANNA, channel="whatsapp")
OTHER_PHONE: Final = Contact(ANNA.brand, "sms", "+447700900123")
DUE: Final = NOON + timedelta(days=2)
STARTS: Final = DUE + timedelta(hours=2)
HOUR: Final = timedelta(hours=1)


def write(world: World, contact: Contact, at: datetime, text: str = "Hello", **more: Any) -> None:
    world.clock.now = at
    world.receive(inbound(at, text=text, contact=contact, message_id=f"{contact}{at}", **more))


def link(world: World, one: Contact = ANNA, other: Contact = CHAT) -> None:
    link_contact(LinkContact(one, other, world.clock.now), store=world.store, publish=world.bus)


def book(world: World, contact: Contact = ANNA, **more: Any) -> None:
    world.plan(business("AppointmentBooked", contact=contact, starts_at=STARTS, remind_before=["PT2H"], **more))


def unlinked(*written: tuple[Contact, timedelta], booked: Contact = ANNA) -> World:
    """A reminder that is due now. Each contact wrote so long before that; none is linked with another."""
    world = World()
    for contact, before in written:
        write(world, contact, DUE - before)
    world.clock.now = NOON
    book(world, booked)
    world.clock.now = DUE
    return world


def story(*written: tuple[Contact, timedelta], booked: Contact = ANNA, **settings: Any) -> World:
    """A reminder that is due now. Each contact wrote so long before that; all are linked with the booked one."""
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"}), **settings))
    for contact, before in written:
        write(world, contact, DUE - before)
    world.clock.now = NOON
    for contact in dict.fromkeys([contact for contact, _ in written] + [CHAT]):
        if contact != booked:
            link(world, booked, contact)
    book(world, booked)
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def sent_by_whatsapp() -> World:
    """A reminder that was booked for SMS, of a person who wrote only by WhatsApp; it was due and sent."""
    world = unlinked((WHATSAPP, HOUR))
    world.run_sender()
    return world


def sent_to(world: World) -> list[Contact]:
    return [outbound.message.recipient for outbound in world.provider.handed]


def report(world: World, status: Status, number: int = -1, *, event_id: str = "", **more: Any) -> str:
    given = receipt(world.provider.handed[number], status, world.clock.now, event_id=event_id or status, **more)
    return world.report(given)


def state(world: World) -> tuple[State, str | None]:
    (row,) = world.store.rows()
    return row.state, row.rule


DAYS: Final = timedelta(days=1)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ([(CHAT, HOUR)], CHAT),
        ([(ANNA, 5 * DAYS), (CHAT, HOUR)], CHAT),
        ([(ANNA, HOUR), (CHAT, 2 * HOUR)], CHAT),
        ([(ANNA, 5 * DAYS), (CHAT, 25 * HOUR)], ANNA),
        ([(CHAT, 25 * HOUR)], CHAT),
        ([(ANNA, HOUR)], ANNA),
        ([(ANNA, 31 * DAYS), (CHAT, 29 * DAYS)], CHAT),
        ([(OTHER_PHONE, 2 * DAYS), (ANNA, 3 * DAYS)], ANNA),
        ([(OTHER_PHONE, 2 * DAYS)], OTHER_PHONE),
    ],
)
def test_goes_to_the_open_window_the_cheapest_first(written: list[tuple[Contact, timedelta]], wanted: Contact) -> None:
    """A booking by number was skipped although the person had written with a username a day before."""
    world = story(*written)
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [wanted]
    (sent,) = world.bus.details("MessageSent")
    assert sent["contact"]["address"] == wanted.address
    planned_for = {"channel": "sms", "address": ANNA.address}
    assert sent.get("planned_for") == (None if wanted == ANNA else planned_for)
    (row,) = world.store.rows()
    assert row.sent_to == (None if wanted == ANNA else wanted)
    assert world.run_sender()["due"] == 0


def test_the_row_of_routes_decides_between_sms_and_rcs() -> None:
    rcs = replace(ANNA, channel="rcs")
    for first in (ANNA, rcs):
        world = story((ANNA, HOUR), (rcs, HOUR))
        sender = replace(world.sender(), route_position=partial(ne, first))
        (row,) = world.store.rows()
        (due,) = [each for page in world.store.due("appointments", "high", row.contact.shard, DUE) for each in page]
        sender.handle(due)
        assert sent_to(world) == [first]


def test_all_closed_windows_skip_by_the_contacts_own_rule() -> None:
    world = story((ANNA, 31 * DAYS), (CHAT, 31 * DAYS))
    assert world.run_sender()["skipped"] == {"window_closed": 1}


def test_a_channel_with_no_window_gives_way_to_an_open_one() -> None:
    """The booking named SMS, the person had only ever written by WhatsApp: the reminder was skipped."""
    world = World()
    write(world, WHATSAPP, DUE - HOUR)
    world.clock.now = NOON
    book(world)
    (planned,) = world.bus.details("MessagePlanned")
    assert (planned["forecast"], "opener" in planned) == ("send", False)
    world.clock.now = DUE
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [WHATSAPP]
    (sent,) = world.bus.details("MessageSent")
    assert sent["facts"]["instead_of"] == "sms"


def test_the_named_channel_is_kept_if_its_window_is_open() -> None:
    world = unlinked((ANNA, 2 * HOUR), (WHATSAPP, HOUR))
    world.run_sender()
    assert sent_to(world) == [ANNA]


def test_an_answer_on_the_other_channel_is_bound() -> None:
    """The reminder is planned for SMS and sent by WhatsApp: "1" by WhatsApp answers it."""
    world = sent_by_whatsapp()
    ask(world)
    assert asked(world, "1", WHATSAPP, 1) == ["confirmed"]


def test_a_receipt_of_the_other_channel_is_recorded() -> None:
    world = sent_by_whatsapp()
    report(world, "delivered")
    assert state(world)[0] is State.DELIVERED


def test_a_reminder_is_pulled_forward_on_the_other_channel() -> None:
    """It was booked before the person wrote at all; WhatsApp's window closes a day before the reminder is due."""
    templates = frozenset({"appointment_reminder"})
    world = World(policy=PolicySettings(when_window_will_close="pull_forward", whatsapp_templates=templates))
    world.clock.now = DUE - 31 * DAYS
    book(world)
    write(world, WHATSAPP, DUE - 30 * DAYS - HOUR)
    (row,) = world.store.rows()
    assert row.due_at < DUE


@pytest.mark.parametrize("refused", [False, True])
def test_an_unusable_channel_leaves_the_plan_to_its_own(*, refused: bool) -> None:
    """WhatsApp is open for longer, but has no template; or RCS is, but was refused. The window of SMS decides."""
    world = World(policy=PolicySettings(when_window_will_close="pull_forward"))
    world.ingest = replace(world.ingest, opt_out_scope="channel")
    other = replace(ANNA, channel="rcs" if refused else "whatsapp")
    write(world, ANNA, DUE - 30 * DAYS - HOUR)
    write(world, other, DUE - 20 * DAYS, "STOP" if refused else "Hello")
    book(world)
    (row,) = world.store.rows()
    (planned,) = world.bus.details("MessagePlanned")
    assert (row.due_at, planned["forecast"]) == (DUE - 2 * HOUR, "send")
    world.clock.now = row.due_at
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [ANNA]


def test_a_plan_before_the_night_counts_the_channels_own_window() -> None:
    """WhatsApp takes free text until the evening; the reminder is due at night, and a day later."""
    hours = QuietHours.parse("21:00-08:00")
    assert hours
    world = World(policy=PolicySettings(quiet_hours={"utility": hours}))
    world.ingest = replace(world.ingest, opt_out_scope="channel")
    wrote = datetime(2026, 3, 10, 21, 30, tzinfo=UTC)
    write(world, WHATSAPP, wrote, timezone="Europe/London")
    starts_at = wrote + timedelta(hours=33)  # half past six
    world.plan(business("AppointmentBooked", wrote, contact=ANNA, starts_at=starts_at, remind_before=["PT2H"]))
    (row,) = world.store.rows()
    assert wrote < row.due_at < wrote + timedelta(hours=24)
    world.clock.now = row.due_at
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [WHATSAPP]


def test_a_message_on_whatsapp_keeps_what_is_planned_for_sms() -> None:
    """It is due after the window of SMS, and after WhatsApp's free text: it was planned for an hour before."""
    world = World(policy=PolicySettings(when_window_will_close="pull_forward"))
    write(world, ANNA, DUE - 30 * DAYS - 20 * HOUR)
    book(world)
    (row,) = world.store.rows()
    assert row.due_at == DUE - 21 * HOUR
    write(world, WHATSAPP, DUE - 36 * HOUR)
    world.clock.now = row.due_at
    assert world.run_sender()["sent"] == 1


@pytest.mark.parametrize("text", ["Hello", "STOP"])
def test_an_unusable_channel_changes_no_forecast(text: str) -> None:
    """Only WhatsApp is open, without a template when it is due; or only RCS, which was refused."""
    world = World()
    world.ingest = replace(world.ingest, opt_out_scope="channel")
    write(world, replace(ANNA, channel="rcs" if text == "STOP" else "whatsapp"), NOON, text)
    book(world)
    (planned,) = world.bus.details("MessagePlanned")
    assert planned["forecast"] == "no_conversation"
    world.clock.now = DUE
    assert world.run_sender()["skipped"] == {"no_conversation": 1}


def test_a_message_goes_to_what_is_linked_with_another_channel() -> None:
    """The booking names SMS; WhatsApp of that number is linked with the number on which the person wrote."""
    world = World()
    theirs = replace(OTHER_PHONE, channel="whatsapp")
    write(world, theirs, DUE - 2 * HOUR)
    link(world, WHATSAPP, theirs)
    book(world)
    world.clock.now = DUE
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [theirs]
    assert (report(world, "delivered"), state(world)[0]) == ("recorded", State.DELIVERED)
    ask(world)
    assert asked(world, "1", theirs, 1) == ["confirmed"]


def test_a_number_that_the_person_left_leads_to_no_other() -> None:
    """The person left the number on WhatsApp; the booking names it on SMS, where it may be someone else's."""
    world = World()
    theirs = replace(OTHER_PHONE, channel="whatsapp")
    write(world, theirs, DUE - 2 * HOUR)
    move_contact(MoveContact(WHATSAPP, theirs, world.clock.now), store=world.store, publish=world.bus)
    book(world)
    (planned,) = world.bus.details("MessagePlanned")
    assert planned["forecast"] == "no_conversation"
    world.clock.now = DUE
    assert world.run_sender()["skipped"] == {"no_conversation": 1}
    assert sent_to(world) == []


@pytest.mark.parametrize("is_open", [False, True])
def test_marketing_refused_on_the_named_channel_goes_nowhere(*, is_open: bool) -> None:
    world = World()
    world.ingest = replace(world.ingest, opt_out_scope="channel")
    write(world, ANNA, NOON - (1 if is_open else 31) * DAYS)
    write(world, ANNA, NOON - (1 if is_open else 31) * DAYS, "STOP PROMOTIONS")
    assert world.store.read_preferences(ANNA).refused("marketing", "sms")
    write(world, replace(ANNA, channel="rcs"), NOON)
    world.plan(business("CartAbandoned", contact=ANNA, subject_id="C-1"))
    world.clock.now = NOON + 4 * HOUR
    assert world.run_sender("updates")["skipped"] == {"no_consent" if is_open else "window_closed": 1}
    assert sent_to(world) == []


def test_an_opt_out_covers_the_other_channel() -> None:
    world = World()
    write(world, WHATSAPP, DUE - HOUR)
    world.clock.now = NOON
    book(world)
    write(world, WHATSAPP, DUE - HOUR / 2, "STOP")
    world.clock.now = DUE
    assert world.run_sender()["skipped"] == {"opted_out": 1}


def test_a_template_free_channel_gives_way_to_an_open_one() -> None:
    """WhatsApp was used two days ago and has no template; the window of SMS is open."""
    world = unlinked((ANNA, 3 * DAYS), (WHATSAPP, 2 * DAYS), booked=WHATSAPP)
    world.run_sender()
    assert sent_to(world) == [ANNA]


def test_an_undelivered_message_falls_back_to_the_other_channel() -> None:
    world = unlinked((ANNA, 2 * HOUR), (WHATSAPP, HOUR))
    world.run_sender()
    report(world, "undelivered")
    world.clock.forward(seconds=60)
    world.run_sender()
    assert sent_to(world) == [ANNA, WHATSAPP]


def test_the_zone_reported_on_the_other_channel_counts() -> None:
    hours = QuietHours.parse("21:00-08:00")
    assert hours
    world = World(policy=PolicySettings(quiet_hours={"utility": hours}))
    write(world, WHATSAPP, DUE - HOUR, timezone="America/Los_Angeles")
    world.clock.now = NOON
    book(world)
    world.clock.now = DUE
    world.run_sender()
    (decided,) = world.bus.details("MessageHeld") + world.bus.details("MessageSkipped")
    assert decided["facts"]["zone"] == "America/Los_Angeles"


def test_a_link_between_channels_of_one_number_counts() -> None:
    whatsapp = replace(ANNA, channel="whatsapp")
    world = story((whatsapp, HOUR))
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [whatsapp]


def test_a_link_over_a_third_address_counts() -> None:
    world = World()
    write(world, CHAT, DUE - HOUR)
    link(world, ANNA, OTHER_PHONE)
    link(world, CHAT, OTHER_PHONE)
    world.clock.now = NOON
    book(world)
    world.clock.now = DUE
    world.run_sender()
    assert sent_to(world) == [CHAT]


def test_a_stop_that_is_not_copied_yet_stops_all_addresses() -> None:
    """A STOP at one address must hold at the next send, even if its copy to the other address is still under way."""
    for stops, other in permutations([ANNA, CHAT]):
        world = story((ANNA, HOUR), (CHAT, HOUR), booked=other)
        fault = Fault(only="write_linked")
        world.clock.now = DUE + timedelta(seconds=1)
        stop = inbound(world.clock.now, text="STOP", contact=stops, message_id="stop")
        with pytest.raises(Crash):
            world.receive(stop, fault)
        assert world.run_sender()["skipped"] == {"opted_out": 1}
        assert sent_to(world) == []


def test_caps_count_the_person() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR), caps={"utility": parse_caps("1/P1D")})
    book(world, CHAT, subject_id="another")
    book(world, ANNA, subject_id="a third")
    world.run_sender()
    assert len(world.provider.handed) == 1
    assert {row.rule for row in world.store.rows() if row.state is not State.SENT} <= {"frequency_cap", "too_late"}


def test_a_cap_is_released_where_it_was_reserved() -> None:
    for booked in (ANNA, CHAT):
        world = story((ANNA, HOUR), (CHAT, HOUR), booked=booked, caps={"utility": parse_caps("1/P1D")})
        world.provider.script.append(Retryable("down"))
        world.run_sender()
        (row,) = world.store.rows()
        snapshot = world.store.read_snapshot(row)
        assert not snapshot.cap_usage.taken
        assert not any(other.cap_usage.taken for other in snapshot.others)


def test_the_persons_zone_is_the_one_reported_last() -> None:
    hours = QuietHours.parse("20:00-09:00")
    assert hours
    world = World(policy=PolicySettings(quiet_hours={"utility": hours}))
    write(world, CHAT, DUE - HOUR, timezone="Asia/Tokyo")  # 12:00 in Berlin is 21:00 there
    write(world, ANNA, DUE - timedelta(minutes=30))
    world.clock.now = NOON
    link(world)
    book(world)
    world.clock.now = DUE
    world.run_sender()
    (decided,) = world.bus.details("MessageHeld") + world.bus.details("MessageSkipped")
    assert decided["facts"]["zone"] == "Asia/Tokyo"


def test_marketing_waits_while_the_person_talks_elsewhere() -> None:
    world = World(policy=PolicySettings(conversation_pause=timedelta(minutes=30)))
    write(world, ANNA, NOON)
    link(world)
    world.plan(business("CartAbandoned", contact=ANNA, at=NOON, items=["Lamp"]))
    write(world, CHAT, NOON + 4 * HOUR - timedelta(minutes=10))
    world.clock.now = NOON + 4 * HOUR
    assert world.run_sender("updates")["held"] == 1


@pytest.mark.parametrize("planned_first", [True, False])
def test_a_purchase_reaches_linked_addresses(*, planned_first: bool) -> None:
    """A purchase at one address left the cart reminder of another address of the person."""
    world = World()
    for contact in (ANNA, CHAT):
        write(world, contact, NOON)
    link(world)

    def abandon() -> None:
        world.plan(business("CartAbandoned", NOON, contact=ANNA, items=["Lamp"]))

    def buy() -> None:
        at = NOON + timedelta(minutes=5)
        world.plan(business("PurchaseMade", at, subject_id="all", contact=CHAT, cart=True))

    for step in (abandon, buy) if planned_first else (buy, abandon):
        step()
    world.clock.now = NOON + 5 * HOUR
    world.run_sender("updates")
    assert sent_to(world) == []
    (row,) = [row for row in world.store.rows() if row.reason == "cart_reminder"]
    assert (row.state, row.rule) == (State.SKIPPED, "cancelled")


def test_a_move_takes_planned_messages_along() -> None:
    world = World()
    write(world, ANNA, NOON - HOUR)
    book(world)
    world.clock.now = NOON
    move_contact(MoveContact(ANNA, OTHER_PHONE, NOON), store=world.store, publish=world.bus)
    write(world, OTHER_PHONE, DUE - HOUR)
    world.clock.now = DUE
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [OTHER_PHONE]


def test_nothing_goes_to_an_address_that_has_a_new_owner() -> None:
    """A number was given to someone else, who wrote from it: the reminder is not for them."""
    world = World()
    write(world, OTHER_PHONE, NOON - HOUR)
    world.clock.now = NOON
    move_contact(MoveContact(ANNA, OTHER_PHONE, NOON), store=world.store, publish=world.bus)
    book(world, OTHER_PHONE)
    write(world, ANNA, DUE - HOUR)
    world.clock.now = DUE
    world.run_sender()
    assert sent_to(world) == [OTHER_PHONE]


def test_a_new_owners_start_does_not_opt_in_the_person() -> None:
    world = World()
    write(world, OTHER_PHONE, NOON - HOUR, "STOP")
    world.clock.now = NOON
    move_contact(MoveContact(ANNA, OTHER_PHONE, NOON), store=world.store, publish=world.bus)
    write(world, ANNA, NOON + HOUR, "START")
    assert world.store.read_preferences(OTHER_PHONE).refused("contact", "sms")


# The fallback


def test_an_undelivered_message_falls_back_once() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR), caps={"utility": parse_caps("1/P1D")})
    world.run_sender()
    assert report(world, "undelivered", error="131026") == "recorded"
    (undelivered,) = world.bus.details("MessageUndelivered")
    assert undelivered["falls_back"] is True
    assert undelivered["contact"]["address"] == CHAT.address
    world.clock.forward(minutes=1)
    assert world.run_sender()["sent"] == 1
    assert sent_to(world) == [CHAT, ANNA]
    assert report(world, "delivered") == "recorded"
    assert state(world)[0] is State.DELIVERED
    assert len({outbound.message.scheduled_message_id for outbound in world.provider.handed}) == 1
    assert world.run_sender()["due"] == 0


def test_it_ends_undelivered_if_no_address_is_left() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    world.run_sender()
    assert report(world, "undelivered", event_id="second") == "recorded"
    assert state(world)[0] is State.UNDELIVERED
    assert "falls_back" not in world.bus.details("MessageUndelivered")[-1]
    assert world.run_sender()["due"] == 0


def test_no_fallback_for_a_contact_without_links() -> None:
    world = World()
    write(world, ANNA, NOON)
    book(world)
    world.clock.now = DUE
    world.run_sender()
    report(world, "undelivered")
    assert state(world)[0] is State.UNDELIVERED
    assert world.run_sender()["due"] == 0


def test_no_fallback_after_the_message_is_useless() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    world.clock.now = STARTS
    report(world, "undelivered")
    assert state(world)[0] is State.UNDELIVERED


RECEIPTS: Final[list[tuple[Status, str]]] = [("undelivered", "u1"), ("undelivered", "u2"), ("sent", "s1")]


@pytest.mark.parametrize("order", list(permutations(RECEIPTS)))
@pytest.mark.parametrize("run_after", range(1, 4))
def test_repeated_receipts_lead_to_one_fallback(order: list[tuple[Status, str]], run_after: int) -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    for number, (status, event_id) in enumerate([*order, *order], 1):
        report(world, status, 0, event_id=event_id)
        if number == run_after:
            world.run_sender()
    world.run_sender()
    assert sent_to(world) == [CHAT, ANNA]
    assert state(world)[0] is State.SENT
    assert world.store.rows()[0].sent_to is None


def test_delivered_before_undelivered_means_no_fallback() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "delivered")
    assert report(world, "undelivered") == "ignored"
    assert world.run_sender()["due"] == 0


def test_delivered_after_undelivered_ends_the_fallback() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    assert report(world, "delivered") == "recorded"
    assert state(world)[0] is State.DELIVERED
    assert world.run_sender()["due"] == 0


def test_delivered_after_the_fallback_was_sent_changes_nothing() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    world.run_sender()
    assert report(world, "delivered", 0) == "repeated"
    assert state(world)[0] is State.SENT


def test_an_opt_out_in_between_ends_it_undelivered() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    write(world, CHAT, DUE + timedelta(seconds=20), "STOP")
    assert world.run_sender()["failed"] == 1
    assert sent_to(world) == [CHAT]
    assert state(world) == (State.UNDELIVERED, "opted_out")
    last = world.bus.details("MessageUndelivered")[-1]
    assert (last["rule"], last.get("falls_back")) == ("opted_out", None)


def test_a_refused_fallback_ends_undelivered() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    world.provider.script.append(Refused("30006"))
    assert world.run_sender()["failed"] == 1
    assert state(world)[0] is State.UNDELIVERED
    assert world.bus.details("MessageFailed") == []


@pytest.mark.parametrize("then", ["delivered", "undelivered"])
def test_a_fallback_is_published_after_the_next_receipt(then: Status) -> None:
    """The receipt's first try is cut short, and the second address reports before it is tried again."""
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        report(world, "undelivered", 0)
    world.run_sender()
    report(world, then, event_id="second")
    report(world, "undelivered", 0)
    falls_back = [detail.get("falls_back") for detail in world.bus.details("MessageUndelivered")]
    assert falls_back == ([True] if then == "delivered" else [None, True])


@pytest.mark.parametrize(("refused_first", "sent"), [(False, 0), (True, 1)])
def test_a_failed_fallback_counts_if_one_took_it(*, refused_first: bool, sent: int) -> None:
    """The person may have received what a provider took, whatever the receipt reports."""
    world = story((ANNA, HOUR), (CHAT, HOUR), caps={"utility": parse_caps("1/P1D")})
    world.provider.script += [Refused("30006")] * (2 if refused_first else 0)
    world.run_sender()
    if not refused_first:
        report(world, "undelivered")
        world.provider.script.append(Refused("30006"))
    world.run_sender()
    book(world, subject_id="a-2")
    world.clock.forward(minutes=1)
    assert world.run_sender()["sent"] == sent


def test_an_opt_out_by_receipt_leads_to_no_fallback() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "opted_out")
    assert state(world)[0] is State.UNDELIVERED
    assert world.store.read_preferences(ANNA).refused("contact", "sms")


@pytest.mark.parametrize("erased_first", [True, False])
@pytest.mark.parametrize("contact", [ANNA, CHAT])
def test_an_erasure_in_between_ends_all(contact: Contact, *, erased_first: bool) -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    world.clock.forward(seconds=5)

    def erase() -> None:
        world.erase(EraseContact(contact, world.clock.now))

    def undelivered() -> None:
        try:
            report(world, "undelivered")
        except InvalidEvent:
            assert erased_first

    for step in (erase, undelivered) if erased_first else (undelivered, erase):
        step()
    world.run_sender()
    assert sent_to(world) == [CHAT]
    assert world.store.rows() == []


def test_a_cancellation_in_between_ends_it() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    report(world, "undelivered")
    world.plan(business("AppointmentCancelled", DUE, contact=ANNA))
    world.run_sender()
    assert sent_to(world) == [CHAT]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_crash_of_the_receipt_is_made_good_by_its_retry(nth: int, *, after: bool) -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    given = receipt(world.provider.handed[0], "undelivered", world.clock.now, event_id="u1")
    try:
        world.report(given, Fault(nth=nth, after=after))
    except Crash:
        world.report(given)
    assert len(world.bus.details("MessageUndelivered")) >= 1
    world.run_sender()
    assert sent_to(world) == [CHAT, ANNA]


@pytest.mark.parametrize("status", ["delivered", "undelivered"])
def test_a_crash_of_a_fallbacks_receipt_is_made_good(status: Status) -> None:
    """The receipt of the second address was stored, and not published: its retry took it for the first address's."""
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    world.report(receipt(world.provider.handed[0], "undelivered", world.clock.now, event_id="u1"))
    world.run_sender()
    assert sent_to(world) == [CHAT, ANNA]
    world.bus.events.clear()
    given = receipt(world.provider.handed[1], status, world.clock.now, event_id="r2")
    with pytest.raises(Crash):
        world.report(given, Fault(only="record_receipt", after=True))
    world.report(given)
    (published,) = world.bus.details(f"Message{status.capitalize()}")
    assert published["contact"]["channel"] == ANNA.channel
    assert "falls_back" not in published


def test_an_unpublished_fallback_is_published_by_the_retry() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        report(world, "undelivered")
    report(world, "undelivered")
    assert len(world.bus.details("MessageUndelivered")) == 1


def test_an_unconfirmed_message_is_never_repeated_elsewhere() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.provider.script.append(Unknown("timeout"))
    assert world.run_sender()["unconfirmed"] == 1
    world.clock.forward(minutes=10)
    assert world.run_sender()["due"] == 0
    assert sent_to(world) == [CHAT]


def test_a_receipt_by_the_planned_address_is_about_the_used_one() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    given = receipt(world.provider.handed[0], "undelivered", world.clock.now, event_id="u1")
    assert world.report(replace(given, contact=ANNA)) == "recorded"
    world.run_sender()
    assert sent_to(world) == [CHAT, ANNA]


@pytest.mark.parametrize("has_template", [False, True])
def test_forecast_looks_at_the_linked_window(*, has_template: bool) -> None:
    """Two days later, WhatsApp takes a template only."""
    templates = frozenset({"appointment_reminder"} if has_template else ())
    world = World(policy=PolicySettings(whatsapp_templates=templates))
    write(world, CHAT, NOON)
    link(world)
    book(world)
    (planned,) = world.bus.details("MessagePlanned")
    assert planned["forecast"] == ("send" if has_template else "no_conversation")
    world.clock.now = DUE
    world.run_sender()
    assert sent_to(world) == ([CHAT] if has_template else [])


def test_a_reply_stays_at_its_address() -> None:
    world = World(ingest=replace(World().ingest, answers_help=True))
    write(world, CHAT, NOON - HOUR)
    link(world)
    write(world, ANNA, NOON, "HELP")
    assert sent_to(world) == [ANNA]


def asked(world: World, text: str, contact: Contact, minutes: int) -> list[Any]:
    write(world, contact, DUE + timedelta(minutes=minutes), text)
    return [detail["answer"] for detail in world.bus.details("AppointmentAnswered")]


@pytest.mark.parametrize("answers_from", [ANNA, CHAT])
def test_a_person_answers_at_any_of_their_addresses(answers_from: Contact) -> None:
    """A reminder for the number went to the user id: the answer from either was bound to nothing."""
    world = story((ANNA, HOUR), (CHAT, HOUR))
    world.run_sender()
    ask(world)
    assert asked(world, "1", answers_from, 1) == ["confirmed"]
    other = ANNA if answers_from is CHAT else CHAT
    assert asked(world, "1", other, 2) == ["confirmed"], "the same answer again is not published again"
    (row,) = [row for row in world.store.rows() if row.reason == "appointment_reminder"]
    assert row.answer
    assert row.answer.answer == "confirmed"


def test_an_answer_counts_if_another_address_was_booked_again() -> None:
    """The visit was cancelled, then moved with the number in its event: an answer to its reminder was ``cancelled``."""
    world = World()
    write(world, ANNA, NOON - HOUR)
    link(world)
    world.clock.now = NOON
    book(world, CHAT)
    world.clock.forward(seconds=60)
    world.plan(business("AppointmentCancelled", world.clock.now, contact=None))
    world.clock.forward(seconds=60)
    world.plan(
        business("AppointmentRescheduled", world.clock.now, contact=ANNA, starts_at=STARTS, remind_before=["PT2H"])
    )
    world.clock.now = DUE
    world.run_sender()
    assert sent_to(world) == [ANNA]
    ask(world)
    assert asked(world, "1", ANNA, 1) == ["confirmed"]


def test_two_open_questions_at_one_address_are_unclear() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    book(world, CHAT, subject_id="another")
    world.run_sender()
    ask(world)
    assert len(sent_to(world)) == 2
    assert asked(world, "1", CHAT, 1) == ["unclear"]


def ask(world: World) -> None:
    """Let the reminders ask for an answer."""
    for row in world.store.rows():
        world.store._rows[row.key] = world.store._rows[row.key].changed(facts={"asks_for_answer": True})


# One number on two channels


def test_caps_count_one_number_on_two_channels() -> None:
    """A marketing cap of one a day allowed one message for each channel."""
    world = World(policy=PolicySettings(caps={"marketing": parse_caps("1/P1D")}))
    for contact, minutes in ((ANNA, 0), (WHATSAPP, 1)):
        write(world, contact, NOON + timedelta(minutes=minutes))
    for contact in (ANNA, WHATSAPP):
        at = NOON + timedelta(minutes=5)
        world.plan(business("CartAbandoned", at, subject_id=contact.channel, contact=contact, items=["Lamp"]))
    world.clock.now = NOON + 5 * HOUR
    summary = world.run_sender("updates")
    assert (summary["sent"], summary["held"]) == (1, 1)


def test_a_row_of_before_the_update_still_counts() -> None:
    """The cap rows of each channel stay where they are: both count, and one is written from now on."""
    world = World(policy=PolicySettings(caps={"marketing": parse_caps("1/P1D")}))
    write(world, WHATSAPP, NOON)
    for name in ("first", "second"):
        world.plan(business("CartAbandoned", NOON, subject_id=name, contact=WHATSAPP, items=["Lamp"]))
    world.clock.now = NOON + 4 * HOUR
    assert world.run_sender("updates")["sent"] == 1
    write(world, ANNA, NOON + 4 * HOUR)
    world.plan(business("CartAbandoned", NOON + 4 * HOUR, subject_id="third", contact=ANNA, items=["Lamp"]))
    world.clock.now = NOON + 8 * HOUR
    assert world.run_sender("updates")["sent"] == 0


def interest(world: World, contact: Contact) -> None:
    world.plan(business("InterestShown", world.clock.now, subject_id="SKU", contact=contact))


def restock(world: World) -> list[Contact]:
    world.plan(business("ItemBackInStock", world.clock.now, subject_id="SKU", contact=None, name="Lamp"))
    for _ in range(3):
        world.run_sender("updates")
        world.clock.forward(minutes=1)
    return sent_to(world)


@pytest.mark.parametrize("interested", [[ANNA], [WHATSAPP], [ANNA, WHATSAPP]])
@pytest.mark.parametrize(
    ("written", "wanted"),
    [([WHATSAPP], WHATSAPP), ([ANNA], ANNA), ([ANNA, WHATSAPP], WHATSAPP), ([WHATSAPP, ANNA], ANNA)],
)
def test_interest_of_one_number_leads_to_one_message(
    interested: list[Contact], written: list[Contact], wanted: Contact
) -> None:
    """The channel with the open window; of two, the one that the person used last."""
    world = World()
    for number, contact in enumerate(written):
        write(world, contact, NOON + timedelta(minutes=number))
    for contact in interested:
        interest(world, contact)
    world.clock.forward(minutes=10)
    sent = restock(world)
    assert len(sent) == 1
    if wanted in interested or len(written) == 1:
        assert sent == [wanted]


@pytest.mark.parametrize(
    ("gap", "used", "wanted"),
    [
        (timedelta(minutes=1), [ANNA, CHAT, OTHER_PHONE], OTHER_PHONE),
        (timedelta(), [ANNA, OTHER_PHONE], max(ANNA, OTHER_PHONE, key=lambda each: each.address)),
    ],
)
def test_an_announcement_reaches_a_linked_person_once(gap: timedelta, used: list[Contact], wanted: Contact) -> None:
    """A person wrote from two numbers in one second. Each was left out for the other one, and got nothing."""
    world = World()
    for number, contact in enumerate(used):
        write(world, contact, NOON + number * gap)
    for contact in used[1:]:
        link(world, ANNA, contact)
    day, at = "2026-03-04", NOON + HOUR
    event = business("HolidayHoursAnnounced", subject_id="winter", contact=None, date=day, closed=True, send_at=at)
    world.plan(event)
    world.clock.now = NOON + HOUR
    for _ in range(3):
        world.run_sender("updates")
    assert sent_to(world) == [wanted]


@pytest.mark.parametrize("allowing", [ANNA, WHATSAPP])
@pytest.mark.parametrize(
    ("event_type", "settings", "fields"),
    [
        ("ProductPreviewAnnounced", {}, {"title": "Lamps"}),
        ("HolidayHoursAnnounced", {"marketing_consent": "required"}, {"date": "2026-03-04", "closed": True}),
    ],
)
def test_an_announcement_uses_the_channel_with_consent(
    event_type: str, settings: dict[str, Any], fields: dict[str, Any], allowing: Contact
) -> None:
    """A person agreed to marketing by SMS, then wrote by WhatsApp. The preview ended there, without consent."""
    world = World(policy=PolicySettings(**settings))
    write(world, ANNA, NOON)
    write(world, WHATSAPP, NOON + timedelta(minutes=1))
    world.record_choice(RecordChoice(allowing, "marketing", Choice(True, NOON, {"where": "till"})))
    at = NOON + HOUR
    world.plan(business(event_type, subject_id="news", contact=None, send_at=at, **fields))
    world.clock.now = at
    for _ in range(3):
        world.run_sender("updates")
    assert sent_to(world) == [allowing]


# What is stored of a person


def test_the_ledger_covers_linked_addresses() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR), booked=CHAT)
    world.run_sender()
    ledger = explain(ANNA, store=world.store, clock=world.clock)
    assert [(each["channel"], each["address"]) for each in ledger["linked"]] == [(CHAT.channel, CHAT.address)]
    assert ledger["linked"][0]["stands"]["window"] == "open"
    (sent,) = [entry for entry in ledger["entries"] if entry["what"] == "sent"]
    assert (sent["channel"], sent["address"]) == (CHAT.channel, CHAT.address)
    assert [entry["at"] for entry in ledger["entries"]] == sorted(entry["at"] for entry in ledger["entries"])


def test_an_export_names_linked_addresses() -> None:
    world = story((ANNA, HOUR), (CHAT, HOUR))
    assert export(ANNA, store=world.store, clock=world.clock)["linked"] == [
        {"channel": CHAT.channel, "address": CHAT.address}
    ]


@pytest.mark.parametrize(("asked", "other"), [(WHATSAPP, ANNA), (ANNA, WHATSAPP)], ids=["WhatsApp", "SMS"])
def test_ledger_and_export_cover_the_numbers_channels(asked: Contact, other: Contact) -> None:
    """The ledger of a person on WhatsApp had no reminder, because the booking named SMS. No one wrote there."""
    world = World()
    write(world, WHATSAPP, NOON)
    world.plan(business("AppointmentBooked", NOON, contact=ANNA, starts_at=DUE, remind_before=["PT2H"]))
    world.record_choice(RecordChoice(ANNA, "contact", Choice(allowed=False, at=NOON)))
    ledger = explain(asked, store=world.store, clock=world.clock)
    about = {"channel": other.channel, "address": other.address}
    (state,) = ledger["linked"]
    assert about.items() <= state.items()
    reminders = [entry for entry in ledger["entries"] if entry.get("reason") == "appointment_reminder"]
    assert [entry["what"] for entry in reminders] == ["planned", "scheduled"]
    assert [entry.get("channel") for entry in reminders] == [None if asked == ANNA else "sms"] * 2
    assert [entry["what"] for entry in ledger["entries"]].count("opted out") == 1
    assert export(asked, store=world.store, clock=world.clock)["linked"] == [about]


def test_the_ledger_leaves_out_a_new_owner_of_the_number() -> None:
    world = World()
    write(world, ANNA, NOON)
    move_contact(MoveContact(ANNA, CHAT, NOON + HOUR), store=world.store, publish=world.bus)
    write(world, WHATSAPP, NOON + 2 * HOUR)
    for contact, linked in ((ANNA, [CHAT.channel]), (WHATSAPP, [])):
        ledger = explain(contact, store=world.store, clock=world.clock)
        assert [(each["channel"], each["address"]) for each in ledger.get("linked", ())] == [
            (channel, CHAT.address) for channel in linked
        ]


def test_an_appointment_on_two_channels_has_one_ledger() -> None:
    world = World()
    write(world, WHATSAPP, NOON)
    for contact in (ANNA, WHATSAPP):
        world.plan(business("AppointmentBooked", NOON, contact=contact, starts_at=DUE, remind_before=["PT2H"]))
    ref = business("AppointmentBooked", contact=ANNA, starts_at=DUE).subject
    assert len(explain_subject(ref, store=world.store, clock=world.clock)["ledgers"]) == 1


def test_nothing_is_linked_without_a_link() -> None:
    world = World()
    write(world, ANNA, NOON)
    assert "linked" not in explain(ANNA, store=world.store, clock=world.clock)
    assert "linked" not in export(ANNA, store=world.store, clock=world.clock)


def test_a_skip_has_the_rule_of_the_address_that_is_reached() -> None:
    """A cap outlasted the message at the only open address, and the skip was put down to the closed one."""
    at = DUE - HOUR
    world = story((OTHER_PHONE, 2 * HOUR), booked=CHAT, caps={"utility": parse_caps("1/P1D")})
    world.clock.now = at
    world.plan(business("OrderShipped", at, subject_id="o-1", contact=OTHER_PHONE))
    assert world.run_sender("updates")["sent"] == 1
    world.clock.now = DUE
    assert world.run_sender()["skipped"] == {"too_late": 1}
    (skipped,) = world.bus.details("MessageSkipped")
    assert skipped["facts"]["held_by"] == "frequency_cap"


def test_a_delivery_ends_a_fallback_as_undelivered() -> None:
    """An order arrived while the message that it was shipped waited for another address: it became skipped."""
    world = story((ANNA, 2 * HOUR), (CHAT, HOUR), booked=ANNA)
    world.plan(business("OrderShipped", DUE, subject_id="o-1", contact=ANNA))
    assert world.run_sender("updates")["sent"] == 1
    (sent,) = [row for row in world.store.rows() if row.reason == "order_shipped"]
    world.report(receipt(world.provider.handed[0], "undelivered", world.clock.now, event_id="u1"))
    world.clock.forward(seconds=20)
    world.plan(business("OrderDelivered", world.clock.now, subject_id="o-1", contact=ANNA))
    row = world.store.read_message(sent.key)
    assert row
    assert (row.state, row.rule) == (State.UNDELIVERED, "cancelled")
    assert [event["rule"] for event in world.bus.details("MessageUndelivered") if "rule" in event] == ["cancelled"]
    assert world.run_sender("updates")["due"] == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 18))
def test_a_retry_erases_each_linked_address(nth: int, *, after: bool) -> None:
    """A crash after the second address was marked left its data for good: the first one had lost the link to it."""
    world = story((ANNA, HOUR), (CHAT, HOUR))
    command, fault = EraseContact(ANNA, world.clock.now), Fault(nth=nth, after=after)
    with pytest.raises(Crash):
        world.erase(command, fault)
    world.erase(command)
    for contact in (ANNA, CHAT):
        holdings = world.store.read_holdings(contact)
        assert (holdings.profile, holdings.conversation, holdings.scheduled, holdings.subjects) == (None, None, [], [])
        assert not world.store.read_preferences(contact).links
