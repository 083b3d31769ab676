"""Openers of appointments that name no one: the first person who sends the code becomes the contact."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.adapters.opener_links import OpenerLinks
from reengage.adapters.wording import FluentWording
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.openers import find_tokens
from reengage.domain.routes import parse_routes
from reengage.domain.subject import SubjectRef
from reengage.usecases.day import day
from reengage.usecases.explain import explain_subject
from reengage.usecases.openers import OpenerDesk
from reengage.usecases.read_openers import read_openers
from tests.fakes import ANNA, NOON, Crash, Fault, World, business, inbound

BEN = Contact("acme-dental", "sms", "+4915187654321")
INVITE = OpenerLinks(parse_routes("acme-dental/sms/aws/+12025550100"), FluentWording())
REF = SubjectRef("acme-dental", "appointment", "A-1001")
DAY = timedelta(days=1)


def booked(*, days: int = 3, **fields: Any) -> World:
    world = World(invite=INVITE)
    world.plan(business("AppointmentBooked", NOON, contact=None, starts_at=NOON + days * DAY, **fields))
    return world


def openers(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_openers(REF, store=world.store, invite=INVITE, clock=world.clock)["openers"]
    return found


def token(world: World) -> str:
    (opener,) = openers(world)
    (found,) = find_tokens(opener["opener_text"])
    return found


def write(world: World, sender: Contact, text: str, around: Fault | None = None) -> None:
    world.clock.forward(minutes=1)
    world.receive(inbound(world.clock.now, contact=sender, text=text), around)


def reminded(world: World) -> list[Contact]:
    world.clock.now = NOON + 2 * DAY
    world.run_sender()
    return [outbound.message.contact for outbound in world.provider.handed if outbound.message.reason != "answer_reply"]


def test_a_booking_without_contact_has_an_opener() -> None:
    world = booked()
    (opener,) = openers(world)
    assert "contact" not in opener
    assert opener["opener"].startswith("sms:+12025550100?body=Please%20remind%20me%20of%20my%20appointment.")
    assert opener["opener_expires_at"] == "2026-03-05T12:00:00Z"
    assert world.bus.events == [], "no message is planned for no one"


def test_the_first_sender_becomes_the_contact() -> None:
    world = booked()
    write(world, BEN, f"Please remind me. {token(world)}")
    planned = world.bus.details("MessagePlanned")
    assert {(each["contact"]["address"], each["forecast"]) for each in planned} == {(BEN.address, "send")}
    assert world.store.read_holdings(BEN).consents
    assert openers(world) == []
    assert reminded(world) == [BEN]


def test_a_second_sender_binds_nothing() -> None:
    world = booked()
    code = token(world)
    write(world, BEN, code)
    write(world, ANNA, code)
    assert reminded(world) == [BEN]


def test_a_contact_of_the_booking_comes_first() -> None:
    """The desk enters the person's number before the code on paper is used by someone else."""
    world = booked()
    code = token(world)
    world.plan(business("AppointmentBooked", NOON + timedelta(minutes=1), contact=ANNA, starts_at=NOON + 3 * DAY))
    write(world, ANNA, "Hello")
    write(world, BEN, code)
    assert reminded(world) == [ANNA]


@pytest.mark.parametrize("change", ["AppointmentCancelled", "started"])
def test_nothing_is_bound_if_nothing_is_to_come(change: str) -> None:
    world = booked()
    code = token(world)
    if change == "started":
        world.clock.now = NOON + 4 * DAY
    else:
        world.plan(business(change, NOON + timedelta(minutes=1), contact=None))
    write(world, BEN, code)
    assert world.bus.details("MessagePlanned") == []


def test_a_stop_with_the_code_binds_nothing() -> None:
    world = booked()
    write(world, BEN, f"STOP {token(world)}")
    assert world.bus.details("MessagePlanned") == []


def test_moved_appointment_reminds_the_sender_of_the_new_time() -> None:
    world = booked()
    write(world, BEN, token(world))
    moved = business("AppointmentRescheduled", NOON + timedelta(minutes=9), contact=None, starts_at=NOON + 5 * DAY)
    world.plan(moved)
    world.clock.now = NOON + 4 * DAY
    world.run_sender()
    assert [each.message.contact for each in world.provider.handed if each.message.reason != "answer_reply"] == [BEN]


def test_the_day_and_the_explanation_show_the_opener() -> None:
    world = booked()
    desk = OpenerDesk(world.store, INVITE)
    (opener,) = openers(world)
    of = (NOON + 3 * DAY).date()
    (entry,) = day("acme-dental", of, store=world.store, settings=world.policy, clock=world.clock, desk=desk).entries
    assert (entry.why, entry.opener) == ("no_contact", opener["opener"])
    explained = explain_subject(REF, store=world.store, clock=world.clock, desk=desk)
    assert (explained["ledgers"], explained["openers"]) == ([], [opener])


def test_an_erasure_of_the_sender_takes_the_binding_along() -> None:
    world = booked()
    write(world, BEN, token(world))
    world.clock.forward(minutes=5)
    world.erase(EraseContact(BEN, world.clock.now))
    assert BEN.address not in repr(world.store.read_subject(REF))
    assert reminded(world) == []


@pytest.mark.parametrize("nth", range(1, 30))
def test_a_crash_at_any_call_is_completed_by_the_retry(nth: int) -> None:
    world = booked()
    code = token(world)
    fault = Fault(nth=nth)
    try:
        write(world, BEN, code, fault)
    except Crash:
        world.clock.forward(minutes=-1)
        write(world, BEN, code)
    assert reminded(world) == [BEN]


def test_a_subject_of_one_contact_or_of_the_brand_has_none() -> None:
    world = World(invite=INVITE)
    world.plan(business("ItemBackInStock", NOON, contact=None, subject_id="lamp", name="Lamp"))
    ref = replace(REF, kind="item", id="lamp")
    assert read_openers(ref, store=world.store, invite=INVITE, clock=world.clock)["openers"] == []
