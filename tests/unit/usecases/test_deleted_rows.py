"""A late or repeated event announces no skip of a message whose row TTL may have deleted, as it may have been sent."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from reengage.domain.message import State
from reengage.domain.subject import BusinessEvent
from tests.fakes import ANNA, NOON, World, business, inbound

DAY: Final = timedelta(days=1)
BEN: Final = replace(ANNA, address="+16502530000")
ENDS: Final = NOON + 7 * DAY


def arrived(event: BusinessEvent, at: datetime) -> BusinessEvent:
    return replace(event, arrived_at=at)


def trial(at: datetime = NOON, **fields: str) -> BusinessEvent:
    return arrived(business("TrialStarted", at, contact=ANNA, ends_at=ENDS, product="Plan", **fields), at)


def sent_trial() -> World:
    """Anna gets the messages of her trial before it ends."""
    world = World()
    world.receive(inbound(NOON - DAY))
    world.plan(trial())
    for due_at in sorted(row.due_at for row in world.store.rows()):
        world.clock.now = due_at
        world.run_sender("trials")
    assert {row.state for row in world.store.rows()} == {State.SENT}
    world.bus.events.clear()
    return world


def after_ttl(world: World, at: datetime) -> None:
    world.clock.now = at
    world.store.expire(at)
    assert world.store.rows() == []


def test_a_repeat_plans_nothing_that_ttl_has_deleted() -> None:
    """Months later a cancellation for one of two people was retried: the other's sent reminders became skips."""
    world, ben = World(), replace(ANNA, address="+16502530000")
    starts_at = NOON + timedelta(days=7)
    for contact in (ANNA, ben):
        world.plan(business("AppointmentBooked", NOON, contact=contact, starts_at=starts_at))
    world.clock.now = starts_at + timedelta(days=31)
    world.store.expire(world.clock.now)
    assert world.store.rows() == []
    cancelled = replace(business("AppointmentCancelled", world.clock.now, contact=ben), arrived_at=world.clock.now)
    world.plan(cancelled)
    assert world.plan(cancelled).too_late == 0
    assert world.store.rows() == []


def test_a_repeat_announces_no_skip_of_a_deleted_row() -> None:
    """Seed 98001267: the repeat came when the row was gone, its first delivery while the row was there."""
    world = sent_trial()
    world.clock.now = ENDS + 22 * DAY
    converted = arrived(business("TrialConverted", world.clock.now, contact=BEN), world.clock.now)
    world.plan(converted)
    after_ttl(world, ENDS + 40 * DAY)
    assert world.plan(converted).too_late == 0
    assert world.bus.types() == []


@pytest.mark.parametrize("changed", [{}, {"locale": "de"}])
def test_a_late_event_announces_no_skip_of_a_deleted_row(changed: dict[str, str]) -> None:
    """With the row, such an event publishes nothing: that TTL deleted it makes no difference."""
    at = ENDS + 40 * DAY
    results = []
    for deleted in (False, True):
        world = sent_trial()
        world.clock.now = at
        if deleted:
            after_ttl(world, at)
        late = trial(NOON + timedelta(hours=1), **changed) if changed else trial()
        world.plan(replace(late, arrived_at=at) if changed else late)
        results.append(world.bus.types())
    assert results == [[], []]


@pytest.mark.parametrize("days", [29, 40, 400])
def test_a_plan_for_a_past_time_is_skipped_as_too_late(days: int) -> None:
    """A first event that names a time long ago: nothing was sent before, so each message has an outcome."""
    world = World()
    world.clock.now = ENDS + days * DAY
    world.receive(inbound(world.clock.now - DAY))
    world.bus.events.clear()
    late = trial(world.clock.now)
    first = world.plan(late).too_late
    assert first > 0
    assert world.bus.types() == ["MessageSkipped"] * first
    assert world.plan(late).too_late == first
