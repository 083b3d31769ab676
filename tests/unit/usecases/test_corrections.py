"""A message that corrects an earlier one: the appointment was moved or cancelled after its reminder was sent."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from reengage.adapters.wording import FluentWording
from reengage.domain.message import GivenAnswer, State
from reengage.domain.subject import BusinessEvent
from reengage.errors import WriteConflict
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


# The last thing that the person received is never false


def test_rebooking_at_the_same_time_is_sent() -> None:
    """A visit was cancelled and booked again for the same time, and the person knew only that it was cancelled."""
    world = reminded()
    world.wording = FluentWording()
    for hours, event_type in ((9, "AppointmentCancelled"), (8, "AppointmentBooked"), (7, "AppointmentCancelled")):
        starts_at = STARTS if event_type == "AppointmentBooked" else None
        change(world, event_type, STARTS - hours * HOUR, starts_at)
        change(world, event_type, STARTS - hours * HOUR, starts_at)
    corrected = ["appointment_cancelled", "appointment_moved", "appointment_cancelled"]
    assert texts(world) == ["appointment_reminder", *corrected]
    assert "takes place after all" in world.provider.handed[2].wording.text
    change(world, "AppointmentBooked", STARTS - 6 * HOUR, STARTS + HOUR)
    assert texts(world)[-1] == "appointment_moved"
    assert "takes place after all" in world.provider.handed[-1].wording.text


def test_move_there_and_back_and_there_is_sent_each_time() -> None:
    world = reminded()
    for hours, starts_at in ((9, STARTS + HOUR), (8, STARTS), (7, STARTS + HOUR), (6, STARTS)):
        change(world, "AppointmentRescheduled", STARTS - hours * HOUR, starts_at)
    assert texts(world) == ["appointment_reminder", *["appointment_moved"] * 4]
    assert len({outbound.message.scheduled_message_id for outbound in world.provider.handed}) == 5


def test_change_of_the_room_corrects_nothing() -> None:
    world = reminded()
    change(world, "AppointmentRescheduled", STARTS - 9 * HOUR, STARTS + HOUR)
    world.clock.now = STARTS - 8 * HOUR
    fields: dict[str, Any] = {"starts_at": STARTS + HOUR, "location": "Room 2"}
    world.plan(business("AppointmentRescheduled", STARTS - 8 * HOUR, subject_id="A-1", **fields))
    run(world, STARTS - 7 * HOUR)
    assert texts(world) == ["appointment_reminder", "appointment_moved"]


def test_check_in_names_the_time_too() -> None:
    """The person checked in for the old time, and got no correction, because no reminder was sent."""
    world = World()
    world.receive(inbound(NOON))
    fields: dict[str, Any] = {"remind_before": [], "check_in_url": "https://acme.example/c", "check_in_before": "P1D"}
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=STARTS, **fields))
    run(world, STARTS - 24 * HOUR)
    change(world, "AppointmentRescheduled", STARTS - 9 * HOUR, STARTS + HOUR)
    assert texts(world)[:2] == ["online_check_in", "appointment_moved"]


@pytest.mark.parametrize("event_type", ["AppointmentRescheduled", "AppointmentCancelled"])
def test_reminder_that_was_claimed_and_not_sent_is_not_corrected(event_type: str) -> None:
    """The event arrived while the sender had the reminder in hand, and the sender skipped it because of the event."""
    world = World()
    world.receive(inbound(NOON))
    world.plan(booked("AppointmentBooked", NOON, STARTS))
    moved = booked(event_type, STARTS - 24 * HOUR, None if "Cancelled" in event_type else STARTS + 100 * HOUR)

    def around(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "claim":
            with suppress(WriteConflict):
                world.plan(moved)
        return answer

    world.clock.now = STARTS - 24 * HOUR
    world.run_sender(around=around)
    for minutes in range(1, 10):
        world.clock.now = STARTS - 24 * HOUR + timedelta(minutes=minutes)
        world.plan(moved)
        world.run_sender()
    assert texts(world) == []
    corrections = [row for row in world.store.rows() if row.reason_spec.correction]
    assert {(row.state, row.rule) for row in corrections} <= {(State.SKIPPED, "superseded")}


def test_correction_waits_for_a_reminder_in_a_senders_hands() -> None:
    """The reminder was handed over, and its run had not stored that yet: only then is the correction needed."""
    world = World()
    world.receive(inbound(NOON))
    world.plan(booked("AppointmentBooked", NOON, STARTS))
    moved = booked("AppointmentRescheduled", STARTS - 24 * HOUR, STARTS + HOUR)

    def around(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "send":
            with suppress(WriteConflict):
                world.plan(moved)
            world.run_sender()
        return answer

    world.clock.now = STARTS - 24 * HOUR
    world.run_sender(around=around)
    assert texts(world) == ["appointment_reminder"]
    run(world, STARTS - 24 * HOUR + timedelta(minutes=2))
    assert texts(world) == ["appointment_reminder", "appointment_moved"]
