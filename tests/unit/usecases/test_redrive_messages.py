"""Failed messages go back into the schedule by a person's decision, and are sent once at most."""

from collections import Counter
from datetime import timedelta

import pytest

from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.ports import Refused
from reengage.usecases.progress import progress
from reengage.usecases.redrive_messages import Selection, redrive_messages
from tests.fakes import NOON, World, business, inbound

ALL = Selection()
HOUR = timedelta(hours=1)
DUE = NOON + timedelta(days=3)


def with_failures(*brands: str) -> World:
    """A contact of each brand, whose reminder for tomorrow was refused."""
    world = World()
    for brand in brands:
        contact = Contact(brand, "sms", "+4915112345678")
        world.receive(inbound(contact=contact))
        starts_at = DUE + timedelta(days=1)
        world.plan(business("AppointmentBooked", contact=contact, starts_at=starts_at, remind_before=["P1D"]))
    world.clock.now = DUE
    world.provider.script.extend(Refused("21606 wrong sender") for _ in brands)
    assert world.run_sender()["failed"] == len(brands)
    return world


def redrive(world: World, selection: Selection = ALL, *, apply: bool = True, limit: int = 100) -> Counter[str]:
    done = redrive_messages(selection, store=world.store, clock=world.clock, limit=limit, apply=apply)
    return Counter(what for _, what in done)


def test_a_failed_message_is_sent_after_the_redrive() -> None:
    world = with_failures("acme")
    world.clock.now += HOUR
    assert redrive(world) == {"put back": 1}
    assert redrive(world) == {}
    assert world.run_sender()["sent"] == 1
    assert world.run_sender()["due"] == 0
    assert [row.state for row in world.store.rows()] == [State.SENT]


def test_a_dry_run_changes_nothing() -> None:
    world = with_failures("acme", "other")
    assert redrive(world, apply=False) == {"would be sent again": 2}
    assert world.run_sender()["due"] == 0


def test_what_is_no_longer_valid_is_left() -> None:
    world = with_failures("acme")
    world.clock.now += timedelta(days=2)
    assert redrive(world) == {"left: no longer valid": 1}
    assert [row.state for row in world.store.rows()] == [State.FAILED]


@pytest.mark.parametrize(
    ("selection", "count"),
    [(Selection(brand="acme"), 1), (Selection(reason="trial_follow_up"), 0), (Selection(brand="none"), 0)],
)
def test_a_redrive_can_be_limited(selection: Selection, count: int) -> None:
    assert redrive(with_failures("acme", "other"), selection).total() == count


def test_the_limit_counts_messages() -> None:
    world = with_failures("a", "b", "c")
    assert redrive(world, limit=2) == {"put back": 2}
    assert redrive(world, limit=2) == {"put back": 1}


def test_the_rules_are_checked_again() -> None:
    """The contact opted out after the failure."""
    world = with_failures("acme")
    contact = Contact("acme", "sms", "+4915112345678")
    world.clock.now += HOUR
    assert redrive(world) == {"put back": 1}
    world.receive(inbound(world.clock.now, contact=contact, text="STOP"))
    assert world.run_sender()["skipped"] == {"opted_out": 1}


def test_two_redrives_at_once_put_it_back_once() -> None:
    world = with_failures("acme")
    first = redrive_messages(Selection(), store=world.store, clock=world.clock, limit=9, apply=True)
    found = list(world.store.failed_messages())
    assert [what for _, what in first] == ["put back"]
    assert not world.store.requeue(found[0], at=world.clock.now)


def test_a_broadcast_counts_the_new_outcome_only() -> None:
    world = World()
    world.receive(inbound())
    announced = business("HolidayHoursAnnounced", date="2026-04-06", send_at=NOON, closed=True)
    world.plan(announced)
    world.clock.now += timedelta(minutes=1)
    world.provider.script.append(Refused("21606 wrong sender"))
    assert world.run_sender("updates")["failed"] == 1
    assert redrive(world) == {"put back": 1}
    world.clock.now += timedelta(minutes=1)
    assert world.run_sender("updates")["sent"] == 1
    (broadcast,) = progress(announced.subject, store=world.store, clock=world.clock)["broadcasts"]
    assert (broadcast["planned"], broadcast["sent"], broadcast["failed"], broadcast["waiting"]) == (1, 1, 0, 0)
