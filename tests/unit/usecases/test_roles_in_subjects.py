"""A subject that names several contacts: each is exported by itself, and an erasure leaves nothing of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.domain.commands import EraseContact, LinkContact
from reengage.domain.contact import Contact
from reengage.domain.subject import BusinessEvent
from reengage.usecases.erase_contact import erase_contact
from reengage.usecases.explain import export
from reengage.usecases.link_contact import link_contact
from tests.fakes import ANNA, NOON, World, business, inbound

BEN: Final = replace(ANNA, address="+4915112340002")
CHAT: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
STARTS: Final = NOON + timedelta(days=5)
MINUTE: Final = timedelta(minutes=1)

BEGINS: Final[dict[str, dict[str, Any]]] = {
    "AppointmentBooked": {"starts_at": STARTS, "remind_before": ["P1D"], "location": "Elm Road 12"},
    "TrialStarted": {"ends_at": STARTS, "product": "Pro"},
    "OrderShipped": {"shipped_at": NOON, "carrier": "DHL"},
    "OrderDelivered": {"delivered_at": NOON},
}
ALSO: Final[dict[str, list[str]]] = {
    "AppointmentBooked": ["AppointmentCancelled", "AppointmentConfirmed", "CheckInCompleted", "AppointmentBooked"],
    "TrialStarted": ["TrialCancelled", "TrialConverted", "TrialStarted"],
    "OrderShipped": ["ReviewReceived", "OrderReturned", "OrderDelivered"],
    "OrderDelivered": ["ReviewReceived", "OrderReturned", "OrderShipped"],
}
PAIRS: Final = [(one, other) for one, others in ALSO.items() for other in others]


def event(name: str, number: int, contact: Contact) -> BusinessEvent:
    at = NOON + number * MINUTE
    return replace(business(name, at, subject_id="S-1", contact=contact, **BEGINS.get(name, {})), arrived_at=at)


def played(one: str, other: str, *, swapped: bool, linked: bool = False) -> World:
    """Anna is named by the first event, Ben by the other one."""
    world = World()
    for contact in (ANNA, BEN, CHAT):
        world.clock.now = NOON - MINUTE
        world.receive(inbound(world.clock.now, contact=contact, message_id=contact.address))
    if linked:
        link_contact(LinkContact(BEN, CHAT, NOON - MINUTE), store=world.store, publish=world.bus)
    events = [(one, ANNA), (other, CHAT if linked else BEN)]
    for number, (name, contact) in enumerate(reversed(events) if swapped else events):
        world.clock.now = NOON + number * MINUTE
        world.plan(event(name, number, contact))
    world.clock.now += MINUTE
    return world


def exported(world: World, contact: Contact) -> dict[str, Any]:
    return export(contact, store=world.store, clock=world.clock)


def texts(world: World) -> Iterator[str]:
    """Yield all that the store holds, but for preferences, whose keys are hashed in a real table."""
    for name in ("_profiles", "_conversations", "_messages", "_subjects", "_rows", "_links", "_taken"):
        yield repr(getattr(world.store, name))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_export_has_each_subject_that_names_the_contact(one: str, other: str, swapped: bool) -> None:
    """A person whose event had only ended another one's visit was named in the table, and in no export."""
    world = played(one, other, swapped=swapped)
    for contact, stranger in ((ANNA, BEN), (BEN, ANNA)):
        held = exported(world, contact)
        assert [subject["ref"]["id"] for subject in held["subjects"]] == ["S-1"]
        assert contact.address in repr(held["subjects"])
        assert stranger.address not in repr(held)


def test_who_only_cancelled_learns_nothing_of_the_visit() -> None:
    held = exported(played("AppointmentBooked", "AppointmentCancelled", swapped=False), BEN)
    assert "Elm Road" not in repr(held)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_erasure_leaves_no_name_and_others_untouched(one: str, other: str, swapped: bool, linked: bool) -> None:
    world = played(one, other, swapped=swapped, linked=linked)
    others = [row for row in world.store.rows() if row.contact == ANNA]
    erase_contact(EraseContact(BEN, world.clock.now), store=world.store, publish=world.bus, clock=world.clock)
    gone = [BEN.address, *([CHAT.address] if linked else [])]
    assert not [address for address in gone for text in texts(world) if address in text]
    assert [row for row in world.store.rows() if row.contact == ANNA] == others
    # An event without a contact, which was in flight.
    late = replace(event(one, 9, BEN), contact=None, arrived_at=world.clock.now + MINUTE)
    world.clock.now += MINUTE
    world.plan(late)
    assert not [address for address in gone for text in texts(world) if address in text]


@pytest.mark.parametrize("nth", range(1, 12))
@pytest.mark.parametrize("named", [True, False])
def test_no_link_is_left_of_who_is_erased_meanwhile(nth: int, named: bool) -> None:
    """The planner renewed the links of all people of a visit, read before one of them was erased."""
    world = played("AppointmentBooked", "AppointmentBooked", swapped=False)
    at, starts_at = world.clock.now, STARTS + timedelta(days=3)
    moved = business("AppointmentRescheduled", at, subject_id="S-1", contact=ANNA, starts_at=starts_at)
    moved = replace(moved, contact=ANNA if named else None, arrived_at=at)
    calls = 0

    def around(_: str, call: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = call()
        if calls == nth:
            erase_contact(EraseContact(BEN, at), store=world.store, publish=world.bus, clock=world.clock)
        return answer

    world.plan(moved, around=around)
    assert calls >= nth
    assert not [text for text in texts(world) if BEN.address in text]
