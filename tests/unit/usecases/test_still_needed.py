"""A broadcast that was planned for two addresses, before they were linked, reaches the person once."""

from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.domain.commands import LinkContact
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.ports import Accepted, DueKey, Outcome, Retryable, Unknown
from reengage.usecases.link_contact import link_contact
from tests.fakes import ANNA, NOON, Fault, World, business, inbound

OTHER: Final = Contact(ANNA.brand, "sms", "+447700900123")
MINUTE: Final = timedelta(minutes=1)
FIRST, SECOND = sorted((ANNA, OTHER), key=lambda contact: contact.key)
DOWN: Final = Retryable("ConnectTimeoutError")


def link(world: World) -> None:
    link_contact(LinkContact(ANNA, OTHER, world.clock.now), store=world.store, publish=world.bus)


def planned(reason: str) -> World:
    """Both addresses have the message; the provider was down when it was due."""
    world = World()
    for minutes, contact in enumerate((ANNA, OTHER)):
        world.clock.now = NOON + minutes * MINUTE
        world.receive(inbound(world.clock.now, contact=contact, message_id=contact.address))
        world.plan(business("InterestShown", world.clock.now, subject_id="SKU", contact=contact))
    world.clock.now = NOON + 5 * MINUTE
    if reason == "back_in_stock":
        world.plan(business("ItemBackInStock", world.clock.now, subject_id="SKU", contact=None, name="Lamp"))
    else:
        given: dict[str, Any] = {"date": "2026-03-04", "closed": True, "send_at": world.clock.now}
        world.plan(business("HolidayHoursAnnounced", world.clock.now, subject_id="winter", contact=None, **given))
    world.provider.script.extend([DOWN, DOWN])
    world.run_sender("updates")
    assert [row.state for row in world.store.rows()] == [State.SCHEDULED] * 2
    world.provider.handed.clear()
    world.clock.now += MINUTE
    return world


def run(world: World, minutes: int) -> None:
    for _ in range(minutes):
        world.run_sender("updates")
        world.clock.now += MINUTE


def row_of(world: World, contact: Contact) -> ScheduledMessage:
    return next(row for row in world.store.rows() if row.contact == contact)


@pytest.mark.parametrize("reason", ["holiday_hours", "back_in_stock"])
@pytest.mark.parametrize("answer", [Accepted("fake", "provider-1"), Unknown("timed out")], ids=["sent", "unconfirmed"])
def test_a_broadcast_reaches_a_person_who_is_linked_late_once(reason: str, answer: Outcome) -> None:
    """Two addresses were linked while an announcement was held, and the person got it at both."""
    world = planned(reason)
    world.provider.script.append(answer)
    link(world)
    run(world, 5)
    assert len(world.provider.handed) == 1
    (skipped,) = [row for row in world.store.rows() if row.state is State.SKIPPED]
    assert (skipped.rule, skipped.facts["same_person"]) == ("superseded", True)


@pytest.mark.parametrize("reason", ["holiday_hours", "back_in_stock"])
def test_two_people_get_the_broadcast_both(reason: str) -> None:
    world = planned(reason)
    run(world, 2)
    assert {out.message.recipient for out in world.provider.handed} == {ANNA, OTHER}


@pytest.mark.parametrize(("in_hand", "other", "minutes"), [(SECOND, FIRST, 1), (FIRST, SECOND, 2)])
def test_of_two_that_wait_for_each_other_one_comes_first(in_hand: Contact, other: Contact, minutes: int) -> None:
    """Two runs that claim one each, at the same time, would wait for each other in each minute."""
    world = planned("holiday_hours")
    link(world)
    row = row_of(world, in_hand)
    claimed = world.store.claim(
        DueKey(row.key, row.due_at, row.valid_until), claim_id="another run", at=world.clock.now
    )
    assert claimed
    world.run_sender("updates")
    assert world.provider.handed == []
    assert row_of(world, other).due_at == world.clock.now + minutes * MINUTE
    assert world.store.release(claimed)
    run(world, 5)
    assert len(world.provider.handed) == 1


def test_a_broadcast_to_a_single_address_takes_no_read() -> None:
    world = planned("holiday_hours")
    reads = Fault(only="read_message")
    world.run_sender("updates", around=reads)
    assert (len(world.provider.handed), reads.calls) == (2, [])
