"""Business events become rows, in any order; rows that an event undoes are withdrawn."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW, expiry
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.policy import PolicyInput, PolicySettings, decide
from reengage.domain.subject import RETENTION, BusinessEvent, Subject, Track
from reengage.errors import NotPublished, WriteConflict
from reengage.usecases.plan_messages import Planned
from tests.fakes import ANNA, NOON, Crash, Fault, Unreachable, World, business, inbound

STARTS = NOON + timedelta(days=10)
LATER = STARTS + timedelta(days=2)
BEN = Contact("acme-dental", "sms", "+16502530000")
MICROSECOND = timedelta(microseconds=1)


def booked(hours: float = 0, **fields: Any) -> BusinessEvent:
    return business("AppointmentBooked", NOON + timedelta(hours=hours), **{"starts_at": STARTS, **fields})


def moved(hours: float = 1, **fields: Any) -> BusinessEvent:
    return business("AppointmentRescheduled", NOON + timedelta(hours=hours), **{"starts_at": LATER, **fields})


def cancelled(hours: float = 2, **fields: Any) -> BusinessEvent:
    return business("AppointmentCancelled", NOON + timedelta(hours=hours), **{"contact": None, **fields})


def standing(world: World) -> list[ScheduledMessage]:
    return [row for row in world.store.rows() if row.state is State.SCHEDULED]


def subject(world: World) -> Subject:
    stored = world.store.read_subject(booked().subject)
    assert stored is not None
    return stored


def test_booked_appointment_is_planned_and_published() -> None:
    world = World()
    world.receive(inbound())
    world.bus.events.clear()
    assert world.plan(booked()) == Planned(planned=2)
    day, hours = world.store.rows()
    assert (day.due_at, hours.due_at) == (STARTS - timedelta(days=1), STARTS - timedelta(hours=2))
    assert day.state is hours.state is State.SCHEDULED
    assert world.bus.types() == ["MessagePlanned", "MessagePlanned"]
    assert world.bus.events[0].detail == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": ANNA.address},
        "scheduled_message_id": day.scheduled_message_id,
        "reason": "appointment_reminder",
        "subject_id": "A-1001",
        "due_at": "2026-03-11T12:00:00Z",
        "window_expires_at": "2026-04-01T12:00:00Z",
        "forecast": "send",
    }


def test_trial_is_planned_in_its_own_send_group() -> None:
    world = World()
    world.plan(business("TrialStarted", subject_id="T-1", ends_at=STARTS, product="Pro"))
    assert [row.send_group for row in world.store.rows()] == ["trials", "trials"]
    world.plan(business("TrialConverted", NOON + timedelta(hours=1), subject_id="T-1", contact=None))
    assert {(row.state, row.rule) for row in world.store.rows()} == {(State.SKIPPED, "cancelled")}


@pytest.mark.parametrize("undo", ["TrialConverted", "TrialCancelled"])
def test_what_undoes_a_trial_is_final_until_a_newer_event(undo: str) -> None:
    world = World()
    world.plan(business("TrialStarted", subject_id="T-1", ends_at=STARTS, product="Pro"))
    world.plan(business(undo, NOON + timedelta(hours=2), subject_id="T-1"))
    late = business("TrialExtended", NOON + timedelta(hours=1), subject_id="T-1", ends_at=LATER, product="Pro")
    assert world.plan(late).planned == 0
    assert standing(world) == []


# The forecast


@pytest.mark.parametrize(
    ("last_event_at", "forecast"),
    [
        (STARTS - timedelta(hours=2) - WINDOW, "window_closed"),
        (STARTS - timedelta(hours=2) - WINDOW + MICROSECOND, "send"),
        (NOON - WINDOW * 2, "window_closed"),
        (None, "no_conversation"),
    ],
)
@pytest.mark.parametrize("deleted", [False, True])
def test_forecast_shows_if_the_window_is_open_when_due(
    last_event_at: Any,
    forecast: str,
    deleted: bool,
) -> None:
    """TTL has deleted the expired items or not: the forecast is the same."""
    world = World()
    if last_event_at is not None:
        world.clock.now = last_event_at
        world.receive(inbound(last_event_at))
    world.clock.now = NOON
    if deleted:
        world.store.expire(NOON)
    world.plan(booked(remind_before=["PT2H"]))
    (planned_event,) = world.bus.details("MessagePlanned")
    assert planned_event["forecast"] == forecast


def test_the_forecast_is_of_the_messages_own_contact() -> None:
    world = World()
    world.receive(inbound(contact=BEN))
    world.plan(booked())
    assert {detail["forecast"] for detail in world.bus.details("MessagePlanned")} == {"no_conversation"}


# Too late from the start


def test_past_offset_is_stored_as_too_late_and_never_sent() -> None:
    """A booking at noon for two o'clock: the day before is past, and must not fire at once."""
    world = World()
    world.receive(inbound())
    world.bus.events.clear()
    starts = NOON + timedelta(hours=20)
    assert world.plan(booked(starts_at=starts)) == Planned(planned=1, too_late=1)
    assert world.states() == [("P1D", "skipped", "too_late"), ("PT2H", "scheduled", None)]
    (planned_event,) = world.bus.details("MessageSkipped")
    assert planned_event["rule"] == "too_late"
    assert planned_event["facts"] == {"decided_at": "2026-03-02T12:00:00Z", "due_at": "2026-03-02T08:00:00Z"}
    for _ in range(3):
        assert world.run_sender()["due"] == 0
        world.clock.forward(minutes=1)


@pytest.mark.parametrize(("before", "planned"), [(timedelta(), 1), (MICROSECOND, 0)])
def test_an_offset_due_at_this_very_moment_is_not_past(before: timedelta, planned: int) -> None:
    world = World()
    result = world.plan(booked(starts_at=NOON - before + timedelta(hours=2), remind_before=["PT2H"]))
    assert (result.planned, result.too_late) == (planned, 1 - planned)


def test_change_after_the_due_time_keeps_the_message() -> None:
    """The reminder was due a second ago, the next run is about to send it, and the practice's address is corrected. The
    reminder must not become one that came too late.
    """
    world = World()
    world.receive(inbound())
    world.plan(booked(remind_before=["PT2H"]))
    world.clock.now = STARTS - timedelta(hours=2) + timedelta(seconds=1)
    corrected = moved(200, starts_at=STARTS, location="Broad St 9")
    assert world.plan(corrected) == Planned(planned=1)
    assert world.run_sender()["sent"] == 1
    assert world.provider.handed[0].data["location"] == "Broad St 9"


def test_the_retry_of_an_event_that_was_planned_in_time_keeps_it() -> None:
    world = World()
    world.clock.now = STARTS - timedelta(hours=2, minutes=1)
    with pytest.raises(Crash):
        world.plan(booked(remind_before=["PT2H"]), Fault(only="publish"))
    world.clock.forward(minutes=2)
    assert world.plan(booked(remind_before=["PT2H"])) == Planned(planned=1)
    assert world.states() == [("PT2H", "scheduled", None)]


# Newest wins


def test_a_reschedule_withdraws_the_old_times_and_plans_the_new() -> None:
    world = World()
    world.plan(booked())
    world.bus.events.clear()
    assert world.plan(moved()) == Planned(planned=2, withdrawn=2)
    assert {row.anchor_at for row in standing(world)} == {LATER}
    old = [row for row in world.store.rows() if row.anchor_at == STARTS]
    assert {(row.state, row.rule) for row in old} == {(State.SKIPPED, "superseded")}
    assert {detail["rule"] for detail in world.bus.details("MessageSkipped")} == {"superseded"}


def test_cancel_withdraws_all_and_publishes_it() -> None:
    world = World()
    world.plan(booked())
    world.bus.events.clear()
    assert world.plan(cancelled()) == Planned(withdrawn=2)
    assert world.states() == [("P1D", "skipped", "cancelled"), ("PT2H", "skipped", "cancelled")]
    assert [detail["rule"] for detail in world.bus.details("MessageSkipped")] == ["cancelled", "cancelled"]


def test_change_with_the_same_time_keeps_rows_in_new_version() -> None:
    world = World()
    world.plan(booked())
    world.bus.events.clear()
    corrected = moved(starts_at=STARTS, location="Broad St 9")
    assert world.plan(corrected) == Planned(planned=2)
    subject = world.store.read_subject(corrected.subject)
    assert subject
    assert {row.version for row in standing(world)} == {subject.tracks["appointment"].revision}
    assert len(world.store.rows()) == 2
    assert world.bus.types() == ["MessagePlanned", "MessagePlanned"]


def test_booked_again_after_a_cancel_it_is_planned_again() -> None:
    world = World()
    world.receive(inbound())
    for event in (booked(), cancelled(), booked(3)):
        world.plan(event)
    assert [state for _, state, _ in world.states()] == ["scheduled", "scheduled"]
    world.clock.now = STARTS - timedelta(hours=2)
    assert world.run_sender()["sent"] == 1


def test_move_and_move_back_restores_the_first_times() -> None:
    world = World()
    for event in (booked(), moved(), moved(2, starts_at=STARTS)):
        world.plan(event)
    assert {row.anchor_at for row in standing(world)} == {STARTS}
    assert len(standing(world)) == 2


def test_what_was_sent_is_not_planned_again_by_a_newer_version() -> None:
    world = World()
    world.receive(inbound())
    world.plan(booked())
    world.clock.now = STARTS - timedelta(days=1)
    assert world.run_sender()["sent"] == 1
    assert world.plan(moved(240, starts_at=STARTS, location="Broad St 9")) == Planned(planned=1)
    assert world.run_sender()["due"] == 0
    assert [state for _, state, _ in world.states()] == ["sent", "scheduled"]


def test_second_contact_is_a_second_person() -> None:
    """The second person who booked a class took the first one's place, and the first got no reminder."""
    world = World()
    for contact in (ANNA, BEN):
        world.receive(inbound(contact=contact))
    world.plan(booked())
    assert world.plan(moved(starts_at=STARTS, contact=BEN)) == Planned(planned=2)
    assert {row.contact for row in standing(world)} == {ANNA, BEN}
    world.clock.now = STARTS - timedelta(hours=2)
    world.run_sender()
    assert {outbound.message.contact for outbound in world.provider.handed} == {ANNA, BEN}


def test_cancellation_and_booking_replace_a_person() -> None:
    world = World()
    world.plan(booked())
    assert world.plan(cancelled(contact=ANNA)) == Planned(withdrawn=2)
    assert world.plan(booked(3, contact=BEN)) == Planned(planned=2)
    assert {row.contact for row in standing(world)} == {BEN}


def test_a_cancel_needs_no_contact_and_a_booking_waits_for_one() -> None:
    world = World()
    assert world.plan(booked(contact=None)) == Planned()
    assert world.plan(moved(starts_at=STARTS, location="Broad St 9")) == Planned(planned=2)
    assert world.plan(cancelled()) == Planned(withdrawn=2)


def test_older_event_fills_only_missing_fields() -> None:
    """The reschedule overtakes its booking, which alone names the contact: the new time is planned."""
    world = World()
    overtaking = moved(contact=None)
    assert world.plan(overtaking) == Planned()
    assert world.plan(booked(location="Main St 1")) == Planned(planned=2)
    assert {row.anchor_at for row in standing(world)} == {LATER}
    assert subject(world).tracks["appointment"].get("location") == "Main St 1"


def test_an_older_event_after_a_cancel_plans_nothing() -> None:
    world = World()
    assert world.plan(cancelled()) == Planned()
    assert world.plan(booked()).planned == 0
    assert world.plan(moved()).planned == 0
    assert world.store.rows() == []


def test_old_event_without_new_fields_is_stale() -> None:
    world = World()
    world.plan(moved())
    world.plan(booked())
    counted = Fault(nth=99)
    assert world.plan(booked(), counted) == Planned(stale=True)
    assert counted.calls == ["read_preferences", "read_subject"]
    assert world.plan(moved()) == Planned(planned=2), "the newest is applied again"


def without_revisions(track: Track) -> Track:
    people = {key: replace(person, revision=0) for key, person in track.people.items()}
    return replace(track, revision=0, people=people)


EVENTS = (booked(), moved(contact=None), cancelled(), booked(3, location="Broad St 9"), moved(4, starts_at=STARTS))


@pytest.mark.parametrize("order", list(permutations(EVENTS[:4])))
def test_in_every_order_the_same_is_planned(order: tuple[BusinessEvent, ...]) -> None:
    world = World()
    for event in (*order, *order[::-1]):
        world.plan(event)
    assert {row.anchor_at for row in standing(world)} == {STARTS}
    assert len(standing(world)) == 2
    undisturbed = World()
    for event in EVENTS[:4]:
        undisturbed.plan(event)
    published, published_undisturbed = (
        {name: without_revisions(track) for name, track in subject(each).tracks.items()}
        for each in (world, undisturbed)
    )
    assert published == published_undisturbed


def test_reminders_renamed_and_renamed_back_are_restored() -> None:
    """The newest event names no reminders, and comes first: the defaults are planned. The oldest comes next, names
    others, and the defaults are withdrawn. Then comes the one in between, and asks for one of the defaults after
    all. All that time the newest event was the same, and the row must come back nevertheless.
    """
    world = World()
    newest = moved(3, starts_at=STARTS)
    between = moved(2, starts_at=STARTS, remind_before=["PT2H"])
    oldest = booked(remind_before=["PT6H"])
    for event in (newest, oldest, between):
        world.plan(event)
    assert [row.offset for row in standing(world)] == ["PT2H"]


def test_two_moves_in_a_second_and_a_repeat_keep_reminders() -> None:
    """Both have the same whole second. Whichever wins, a reminder of one of the two times exists all the time."""
    one, other = moved(starts_at=STARTS), moved(starts_at=LATER)
    for order in permutations([one, other, one, other]):
        world = World()
        for event in order:
            world.plan(event)
        assert len(standing(world)) == 2


def test_one_subject_id_of_two_brands_or_kinds_is_two_subjects() -> None:
    world = World()
    world.plan(booked())
    elsewhere = booked(contact=replace(ANNA, brand="other"), brand="other")
    world.plan(elsewhere)
    world.plan(business("TrialStarted", subject_id="A-1001", ends_at=STARTS, product="Pro"))
    world.plan(cancelled(brand="other"))
    assert sorted(row.contact.brand for row in standing(world)) == ["acme-dental"] * 4


def test_subject_outlives_its_messages_and_expiry_never_shrinks() -> None:
    world = World()
    world.plan(booked())
    assert subject(world).expires_at == expiry(STARTS + RETENTION)
    world.plan(moved())
    assert subject(world).expires_at == expiry(LATER + RETENTION)
    world.plan(moved(2, starts_at=STARTS))
    assert subject(world).expires_at == expiry(LATER + RETENTION)
    world.plan(cancelled(3))
    assert subject(world).expires_at == expiry(LATER + RETENTION)


def test_cancel_is_kept_until_its_booking_can_arrive() -> None:
    world = World()
    world.plan(cancelled())
    assert subject(world).expires_at == expiry(NOON + RETENTION)
    world.store.expire(world.clock.forward(days=44))
    assert world.plan(booked(starts_at=NOON + timedelta(days=50))) == Planned()


# Crashes and races

_STORIES: dict[str, tuple[BusinessEvent, ...]] = {
    "booked": (booked(),),
    "moved": (booked(), moved()),
    "cancelled": (booked(), cancelled()),
    "moved to another contact": (booked(), moved(contact=BEN)),
    "booked again": (booked(), cancelled(), booked(3)),
    "overtaken booking": (moved(contact=None), booked()),
    "overtaken booking of other reminders": (moved(), booked(remind_before=["PT6H"]), moved(0.5, remind_before=[])),
}


@pytest.mark.slow
@pytest.mark.parametrize("error", [Crash, Unreachable])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("story", _STORIES)
def test_retry_completes_after_a_crash_at_any_call(story: str, after: bool, error: Callable[[], BaseException]) -> None:
    """Lambda's time ended between two writes, and the event was retried: the result is the same as without it.

    A row of the old plan that was not withdrawn is stopped before its send.
    """
    *before, last = _STORIES[story]
    undisturbed = World()
    for event in _STORIES[story]:
        undisturbed.plan(event)
    for nth in range(1, 30):
        world = World()
        for event in before:
            world.plan(event)
        fault = Fault(error, nth, after)
        try:
            world.plan(last, fault)
        except (Crash, Unreachable):
            assert fault.struck
        world.plan(last)
        assert subject(world).tracks == subject(undisturbed).tracks
        wanted = {row.key: row for row in standing(undisturbed)}
        assert wanted.items() <= {row.key: row for row in standing(world)}.items(), f"call {nth}: {fault.calls}"
        planned_event = {detail["scheduled_message_id"] for detail in world.bus.details("MessagePlanned")}
        assert {row.scheduled_message_id for row in wanted.values()} <= planned_event
        for row in standing(world):
            snapshot = world.store.read_snapshot(row)
            decision = decide(PolicyInput.of(snapshot, row, PolicySettings(), row.due_at))
            assert (decision.rule in ("superseded", "cancelled")) == (row.key not in wanted)
        if not fault.struck:
            return
    pytest.fail("the story has more calls than were tried")


def test_publish_failure_raises_and_the_retry_publishes() -> None:
    world = World()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.plan(booked())
    assert world.plan(booked()) == Planned(planned=2)
    assert len({detail["scheduled_message_id"] for detail in world.bus.details("MessagePlanned")}) == 2


@pytest.mark.parametrize("error", [Crash, Unreachable])
def test_retry_publishes_a_stored_withdrawal(error: Callable[[], BaseException]) -> None:
    """The reschedule withdrew the old reminder, and the bus did not answer. A system that waits for each message's
    outcome would wait for ever.
    """
    world = World()
    world.plan(booked(remind_before=["PT2H"]))
    (old,) = world.store.rows()
    with pytest.raises((Crash, Unreachable)):
        world.plan(moved(), Fault(error, only="publish"))
    world.plan(moved())
    assert [detail["scheduled_message_id"] for detail in world.bus.details("MessageSkipped")] == [
        old.scheduled_message_id
    ]


def test_a_lost_race_reads_the_subject_again() -> None:
    """A reschedule and a cancel at once: the one that writes second builds on the first."""
    world = World()
    world.plan(booked())
    raced: list[Planned] = []

    def race(name: str, call: Callable[[], Any]) -> Any:
        if name == "write_subject" and not raced:
            raced.append(world.plan(cancelled()))
        return call()

    assert world.plan(moved(), race).planned == 0
    assert raced == [Planned(withdrawn=2)]
    assert standing(world) == []


def test_one_who_loses_every_race_gives_up_loudly() -> None:
    world = World()
    with pytest.raises(WriteConflict):
        world.plan(booked(), lambda name, call: False if name == "write_subject" else call())
    assert world.store.rows() == []
    assert world.plan(booked()) == Planned(planned=2)


@pytest.mark.parametrize(("late", "planned"), [(timedelta(minutes=3), 1), (timedelta(minutes=16), 0)])
def test_offset_due_during_retries_is_still_planned(late: timedelta, planned: int) -> None:
    """The planner crashed half a minute before the reminder was due, and Lambda retried after 1 and 2 minutes.

    The reminder was still valid for two hours. An event that is replayed much later sends nothing.
    """
    world = World()
    world.receive(inbound())
    due = STARTS - timedelta(hours=2)
    event = replace(booked(remind_before=["PT2H"]), arrived_at=due - timedelta(seconds=30))
    world.clock.now = event.arrived_at + late
    assert world.plan(event) == Planned(planned=planned, too_late=1 - planned)
