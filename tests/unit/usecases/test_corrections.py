"""A message that corrects an earlier one: the appointment was moved or cancelled after its reminder was sent."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from reengage.domain.message import GivenAnswer, State
from reengage.domain.subject import BusinessEvent
from tests.fakes import ANNA, NOON, World, business, inbound

HOUR = timedelta(hours=1)
STARTS = NOON + timedelta(days=3)


def reminded() -> World:
    world = World()
    world.receive(inbound(NOON))
    world.plan(booked("AppointmentBooked", NOON, STARTS))
    run(world, STARTS - 24 * HOUR)
    assert texts(world) == ["appointment_reminder"]
    return world


def booked(event_type: str, at: datetime, starts_at: datetime | None = None) -> BusinessEvent:
    fields: dict[str, Any] = {} if starts_at is None else {"starts_at": starts_at, "remind_before": ["P1D"]}
    return business(event_type, at, subject_id="A-1", **fields)


def run(world: World, at: datetime) -> None:
    world.clock.now = at
    world.run_sender("appointments")


def change(world: World, event_type: str, at: datetime, starts_at: datetime | None = None) -> None:
    world.clock.now = at
    world.plan(booked(event_type, at, starts_at))
    run(world, at + timedelta(minutes=1))


def texts(world: World) -> list[str]:
    return [outbound.message.reason for outbound in world.provider.handed]


def test_a_move_after_the_reminder_is_sent_once() -> None:
    """A person was reminded of 3 PM; then the visit was moved to 2 PM, and got no second message."""
    world = reminded()
    moved = booked("AppointmentRescheduled", STARTS - 5 * HOUR, STARTS - HOUR)
    change(world, "AppointmentRescheduled", STARTS - 5 * HOUR, STARTS - HOUR)
    world.plan(moved)
    run(world, STARTS - 4 * HOUR)
    assert texts(world) == ["appointment_reminder", "appointment_moved"]


def test_a_cancellation_after_the_reminder_is_sent() -> None:
    world = reminded()
    change(world, "AppointmentCancelled", STARTS - 5 * HOUR)
    assert texts(world) == ["appointment_reminder", "appointment_cancelled"]


def test_a_new_room_is_no_move() -> None:
    world = reminded()
    change(world, "AppointmentRescheduled", STARTS - 5 * HOUR, STARTS)
    assert texts(world) == ["appointment_reminder"]


@pytest.mark.parametrize("event_type", ["AppointmentRescheduled", "AppointmentCancelled"])
def test_without_a_reminder_nothing_is_corrected(event_type: str) -> None:
    world = World()
    world.receive(inbound(NOON))
    world.plan(booked("AppointmentBooked", NOON, STARTS))
    moved = STARTS + HOUR if event_type == "AppointmentRescheduled" else None
    change(world, event_type, NOON + HOUR, moved)
    assert texts(world) == []


@pytest.mark.parametrize(
    ("answer", "event_type", "starts_at"),
    [
        ("cancel_requested", "AppointmentCancelled", None),
        ("reschedule_requested", "AppointmentRescheduled", STARTS + 48 * HOUR),
    ],
)
def test_a_change_that_the_person_asked_for_is_not_sent(
    answer: str, event_type: str, starts_at: datetime | None
) -> None:
    world = reminded()
    (row,) = (row for row in world.store.rows() if row.state is State.SENT)
    assert world.store.record_answer(row, GivenAnswer(answer, "SM2", "button", world.clock.now))
    change(world, event_type, STARTS - 5 * HOUR, starts_at)
    assert texts(world) == ["appointment_reminder"]


def test_a_move_that_is_undone_before_it_is_sent_is_not_sent() -> None:
    world = reminded()
    world.clock.now = STARTS - 5 * HOUR
    world.plan(booked("AppointmentRescheduled", STARTS - 5 * HOUR, STARTS + HOUR))
    change(world, "AppointmentRescheduled", STARTS - 4 * HOUR, STARTS)
    assert texts(world) == ["appointment_reminder"]
    assert ANNA.address in {row.contact.address for row in world.store.rows()}


def test_a_cancellation_after_the_start_is_too_late() -> None:
    world = reminded()
    change(world, "AppointmentCancelled", STARTS + HOUR)
    assert texts(world) == ["appointment_reminder"]
    assert [event.detail["rule"] for event in world.bus.events if event.detail.get("reason") == "appointment_cancelled"]
