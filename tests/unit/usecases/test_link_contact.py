"""Two addresses of one person: an opt-out at one covers the other, and a left address gets no message."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, cast

import pytest

from reengage.domain.commands import EraseContact, LinkContact, MoveContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.preferences import LINK_REFRESH, Choice, Preferences
from reengage.errors import NotPublished
from reengage.ports import Store
from reengage.usecases.link_contact import link_contact, move_contact
from tests.fakes import ANNA, NOON, Around, Crash, Fault, World, _Wrapped, business, inbound

NUMBER: Final = replace(ANNA, channel="whatsapp")
USER_ID: Final = replace(NUMBER, address="GB.1112223334445556")
NEW_NUMBER: Final = replace(NUMBER, address="+447700900123")
SECOND: Final = timedelta(seconds=1)
LINK: Final = LinkContact(NUMBER, USER_ID, NOON)
MOVE: Final = MoveContact(NUMBER, NEW_NUMBER, NOON)


def link(world: World, command: LinkContact = LINK) -> bool:
    return link_contact(command, store=world.store, publish=world.bus)


def move(world: World, command: MoveContact = MOVE) -> bool:
    return move_contact(command, store=world.store, publish=world.bus)


def wrapped(world: World, around: Around) -> Store:
    return cast("Store", _Wrapped(world.store, around))


def write(world: World, contact: Contact, text: str, seconds: int) -> str:
    world.clock.now = max(world.clock.now, NOON + seconds * SECOND)
    return world.receive(inbound(NOON + seconds * SECOND, text=text, contact=contact, message_id=f"{contact}{seconds}"))


def opted_out(world: World, contact: Contact) -> bool:
    return world.store.read_preferences(contact).refused("contact", contact.channel) is not None


@pytest.mark.parametrize("order", [("link", "stop"), ("stop", "link")])
@pytest.mark.parametrize(("writes", "other"), [(NUMBER, USER_ID), (USER_ID, NUMBER)])
def test_a_stop_covers_the_linked_address(order: tuple[str, str], writes: Contact, other: Contact) -> None:
    """A STOP with a number missed the WhatsApp user id of the same person."""
    world = World()
    for step in order:
        if step == "link":
            assert link(world)
        else:
            write(world, writes, "STOP", 1)
    assert opted_out(world, writes)
    assert opted_out(world, other)
    refused = world.store.read_preferences(other).refused("contact", "whatsapp")
    assert refused
    assert refused.cause == {"linked": True, "word": "stop"}, "nothing in it identifies the other address"


def test_a_linked_stop_stops_a_planned_message() -> None:
    world = World()
    write(world, NUMBER, "Hello", 1)
    starts = NOON + timedelta(days=2)
    world.plan(business("AppointmentBooked", contact=NUMBER, starts_at=starts, remind_before=["P1D"]))
    link(world)
    write(world, USER_ID, "STOP", 2)
    world.clock.now = starts - timedelta(days=1)
    assert world.run_sender()["skipped"] == {"opted_out": 1}


def test_an_opt_out_reaches_every_address_over_several_links() -> None:
    world = World()
    for one, other in ((NUMBER, USER_ID), (USER_ID, NEW_NUMBER)):
        assert link(world, LinkContact(one, other, NOON))
    write(world, NUMBER, "STOP", 1)
    assert all(opted_out(world, contact) for contact in (NUMBER, USER_ID, NEW_NUMBER))


def test_a_start_that_the_person_wrote_covers_all_addresses() -> None:
    world = World()
    link(world)
    write(world, NUMBER, "STOP", 1)
    write(world, USER_ID, "START", 2)
    assert not opted_out(world, NUMBER)
    assert not opted_out(world, USER_ID)


def test_a_business_opts_in_one_address_only() -> None:
    world = World()
    link(world)
    write(world, NUMBER, "STOP", 1)
    evidence = {"evidence": {"where": "web"}}
    world.record_choice(RecordChoice(USER_ID, "contact", Choice(allowed=True, at=NOON + 2 * SECOND, cause=evidence)))
    assert opted_out(world, NUMBER)
    assert not opted_out(world, USER_ID)


def test_marketing_refusal_covers_linked_address_not_consent() -> None:
    world = World()
    link(world)
    for allowed, seconds in ((True, 1), (False, 2)):
        choice = Choice(allowed=allowed, at=NOON + seconds * SECOND, cause={"evidence": {"where": "web"}})
        world.record_choice(RecordChoice(NUMBER, "marketing", choice))
        linked = world.store.read_preferences(USER_ID).choice("marketing", "whatsapp")
        assert (linked.allowed if linked else None) == (None if allowed else False)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_crash_while_linking_loses_no_opt_out(nth: int, after: bool) -> None:
    world = World()
    write(world, NUMBER, "STOP", 1)
    fault = Fault(nth=nth, after=after)
    try:
        link_contact(LINK, store=wrapped(world, fault), publish=world.bus)
    except Crash:
        link(world)
    assert opted_out(world, USER_ID)


def test_a_stop_between_any_two_steps_of_a_link_is_copied() -> None:
    for nth in range(1, 9):
        world = World()
        seen = 0

        def overtake(_name: str, call: Callable[[], Any]) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth:  # noqa: B023 - it is called within this very turn
                write(world, NUMBER, "STOP", 1)  # noqa: B023 - the same
            return call()

        link_contact(LINK, store=wrapped(world, overtake), publish=world.bus)
        if seen >= nth:
            assert opted_out(world, USER_ID), nth


def test_a_link_is_published_once_and_again_by_a_retry() -> None:
    world = World()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        link(world)
    assert link(world), "the retry of the event publishes it"
    later = replace(LINK, at=NOON + SECOND)
    assert not link(world, later), "providers report a link with every message"
    assert not link(world, LinkContact(USER_ID, NUMBER, NOON + SECOND))
    (detail,) = world.bus.details("ContactLinked")
    assert detail == {
        "contact": {"brand": "acme-dental", "channel": "whatsapp", "address": NUMBER.address},
        "same_as": {"brand": "acme-dental", "channel": "whatsapp", "address": USER_ID.address},
    }


def test_a_link_in_use_is_refreshed_before_it_expires() -> None:
    world = World()
    link(world)
    later = replace(LINK, at=NOON + LINK_REFRESH)
    link(world, later)
    assert {known.at for known in world.store.read_preferences(NUMBER).links.values()} == {later.at}


def test_two_channels_of_one_number_are_linked_by_an_event() -> None:
    world = World()
    assert link(world, LinkContact(ANNA, NUMBER, NOON))
    assert world.store.read_preferences(ANNA).linked_to(ANNA) == [NUMBER]
    assert world.store.read_preferences(NUMBER).linked_to(NUMBER) == [ANNA]
    assert link(world, LinkContact(ANNA, NUMBER, NOON)), "a retry of the event publishes it"
    assert not link(world, LinkContact(NUMBER, ANNA, NOON + SECOND))
    assert not link(world, LinkContact(ANNA, ANNA, NOON))


def test_one_number_on_two_channels_is_not_linked_by_itself() -> None:
    world = World()
    for contact in (ANNA, NUMBER):
        write(world, contact, "Hello", 1)
    assert world.store.read_preferences(ANNA).linked_to(ANNA) == []


def test_an_erasure_removes_the_links_and_keeps_the_opt_outs() -> None:
    world = World()
    link(world)
    write(world, NUMBER, "STOP", 1)
    world.erase(EraseContact(NUMBER, NOON + 2 * SECOND))
    assert not world.store.read_preferences(NUMBER).links
    assert not world.store.read_preferences(USER_ID).links
    assert opted_out(world, NUMBER)
    assert opted_out(world, USER_ID)


@pytest.mark.parametrize(("asked", "other"), [(NUMBER, USER_ID), (USER_ID, NUMBER)])
def test_an_erasure_covers_every_linked_address(asked: Contact, other: Contact) -> None:
    world = World()
    link(world)
    write(world, other, "Hello", 1)
    world.plan(business("AppointmentBooked", contact=other, starts_at=NOON + timedelta(days=2)))
    world.clock.forward(seconds=5)
    assert world.erase(EraseContact(asked, world.clock.now)) > 0
    for contact in (asked, other):
        held = world.store.read_holdings(contact)
        assert [held.profile, held.conversation, held.inbound, held.scheduled, held.subjects] == [
            None,
            None,
            [],
            [],
            [],
        ]
    assert {detail["contact"]["address"] for detail in world.bus.details("ContactErased")} == {
        asked.address,
        other.address,
    }
    assert not link(world), "a link from before the erasure does not come back"
    for contact in (asked, other):
        stored = world.store.read_preferences(contact)
        assert stored == Preferences(erasures=stored.erasures, revision=stored.revision)


def moved_world() -> World:
    """A person wrote from the old number, has a reminder to come, and left that number."""
    world = World()
    write(world, NUMBER, "Hello", -60)
    starts = NOON + timedelta(days=2)
    world.plan(business("AppointmentBooked", contact=NUMBER, starts_at=starts, remind_before=["P1D"]))
    assert move(world)
    return world


def test_a_left_address_is_not_written_to() -> None:
    world = moved_world()
    world.clock.now = NOON + timedelta(days=1)
    assert world.run_sender()["skipped"] == {"window_closed": 1}
    (skipped,) = world.bus.details("MessageSkipped")
    assert skipped["facts"]["moved_at"] == "2026-03-02T12:00:00Z"
    (moved,) = world.bus.details("ContactMoved")
    assert moved["to"]["address"] == NEW_NUMBER.address


def test_a_left_address_gets_only_what_was_planned_since() -> None:
    """The number was given to someone else, who wrote, and got the reminder of the person who had left it."""
    world = moved_world()
    write(world, NUMBER, "Hello, who is this?", 60)
    starts = NOON + timedelta(days=2)
    world.plan(business("AppointmentBooked", contact=NUMBER, subject_id="new", starts_at=starts, remind_before=["P1D"]))
    world.clock.now = NOON + timedelta(days=1)
    assert world.run_sender()["sent"] == 1
    assert [outbound.message.subject.id for outbound in world.provider.handed] == ["new"]


@pytest.mark.parametrize("stop_first", [True, False])
def test_an_opt_out_follows_a_person_who_moves(*, stop_first: bool) -> None:
    world = World()
    if stop_first:
        write(world, NUMBER, "STOP", -60)
    move(world)
    if not stop_first:
        write(world, NUMBER, "STOP", 60)
    assert opted_out(world, NEW_NUMBER)


def test_an_older_move_changes_nothing() -> None:
    world = World()
    assert move(world)
    assert not move(world, replace(MOVE, at=NOON - SECOND))
    assert move(world), "the same event again is published again"
    assert world.store.read_preferences(NUMBER).moved_at == NOON


@pytest.mark.parametrize("erased", [NUMBER, USER_ID])
@pytest.mark.parametrize("nth", range(1, 8))
def test_an_erasure_meanwhile_leaves_no_link(nth: int, erased: Contact) -> None:
    """A link that was under way named the erased address in the row of the other one."""
    world = World()
    world.clock.now = NOON + SECOND
    calls = 0

    def around(_: str, call: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        answer = call()
        if calls == nth:
            world.erase(EraseContact(erased, NOON + SECOND))
        return answer

    link_contact(LINK, store=wrapped(world, around), publish=world.bus)
    if calls < nth:
        world.erase(EraseContact(erased, NOON + SECOND))
    for contact in (NUMBER, USER_ID):
        assert world.store.read_preferences(contact).links == {}
