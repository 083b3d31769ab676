"""The messages that a subject plans, with their due times and validity."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reengage.domain.instants import parse_instant
from reengage.domain.message import State
from reengage.domain.planning import carries_check_in, planned_messages, replan, reply
from reengage.domain.subject import Subject, SubjectRef
from tests.cases import each_of
from tests.fakes import ANNA, NOON, business, inbound

STARTS = NOON + timedelta(days=10)


def _subject(event_type: str, **fields: Any) -> Subject:
    event = business(event_type, **fields)
    return Subject(event.subject).apply(event)


def _plan(subject: Subject) -> list[tuple[str, datetime, datetime]]:
    return [(m.offset, m.due_at, m.valid_until) for m in planned_messages(subject)]


def test_appointment_reminders_are_a_day_and_two_hours_before() -> None:
    day, hours = STARTS - timedelta(days=1), STARTS - timedelta(hours=2)
    subject = _subject("AppointmentBooked", starts_at=STARTS)
    assert _plan(subject) == [("P1D", day, hours), ("PT2H", hours, STARTS)]
    (first, second) = planned_messages(subject)
    assert first.contact == second.contact == ANNA
    assert {m.reason for m in (first, second)} == {"appointment_reminder"}
    assert {m.send_group for m in (first, second)} == {"appointments"}
    assert {m.anchor_at for m in (first, second)} == {STARTS}
    assert first.version == subject.tracks["appointment"].revision == 1


def test_trial_follow_ups_are_3_days_before_and_1_day_after_end() -> None:
    before, after = STARTS - timedelta(days=3), STARTS + timedelta(days=1)
    subject = _subject("TrialStarted", ends_at=STARTS, product="Pro")
    assert _plan(subject) == [("-P3D", before, after), ("P1D", after, after + timedelta(days=3))]
    assert {m.send_group for m in planned_messages(subject)} == {"trials"}


def test_offsets_of_the_event_replace_defaults_in_due_order() -> None:
    subject = _subject("AppointmentBooked", starts_at=STARTS, remind_before=["PT30M", "P2D", "PT6H"])
    dues = [STARTS - timedelta(days=2), STARTS - timedelta(hours=6), STARTS - timedelta(minutes=30)]
    assert _plan(subject) == [("P2D", dues[0], dues[1]), ("PT6H", dues[1], dues[2]), ("PT30M", dues[2], STARTS)]


@pytest.mark.parametrize(
    ("event_type", "fields"),
    [
        ("AppointmentBooked", {"starts_at": STARTS, "remind_before": []}),
        ("TrialStarted", {"ends_at": STARTS, "follow_up": []}),
    ],
)
def test_empty_offsets_plan_no_message(event_type: str, fields: Mapping[str, Any]) -> None:
    assert planned_messages(_subject(event_type, **fields)) == ()


def test_of_two_offsets_that_fall_together_the_first_named_stays() -> None:
    """If no clock changes in between, a day and 24 hours are one instant: one message, not two."""
    for offsets in (["P1D", "PT24H"], ["PT24H", "P1D"]):
        subject = _subject("AppointmentBooked", starts_at=STARTS, timezone="Europe/Berlin", remind_before=offsets)
        assert _plan(subject) == [(offsets[0], STARTS - timedelta(days=1), STARTS)]


def test_offsets_split_by_a_clock_change_are_two_messages() -> None:
    concert = parse_instant("2026-10-25T20:00:00+01:00")
    subject = _subject("AppointmentBooked", starts_at=concert, timezone="Europe/Berlin", remind_before=["P1D", "PT24H"])
    assert [(step, due) for step, due, _ in _plan(subject)] == [
        ("P1D", parse_instant("2026-10-24T20:00:00+02:00")),
        ("PT24H", parse_instant("2026-10-24T21:00:00+02:00")),
    ]


def test_days_use_the_events_zone_or_else_its_utc_offset() -> None:
    in_utc = parse_instant("2026-10-25T19:00:00Z")
    with_zone = _subject("AppointmentBooked", starts_at=in_utc, timezone="Europe/Berlin", remind_before=["P1D"])
    without = _subject("AppointmentBooked", starts_at=in_utc, remind_before=["P1D"])
    assert _plan(with_zone)[0][1] == parse_instant("2026-10-24T18:00:00Z")
    assert _plan(without)[0][1] == parse_instant("2026-10-24T19:00:00Z")


def test_an_event_in_utc_has_the_days_of_the_brand() -> None:
    """A clinic's system sent UTC with each booking, and a reminder came an hour late after the clocks had changed."""
    in_utc = parse_instant("2026-10-25T19:00:00Z")
    subject = _subject("AppointmentBooked", starts_at=in_utc, timezone="UTC", remind_before=["P1D"])
    dues = [message.due_at for message in planned_messages(subject, ZoneInfo("Europe/Berlin"))]
    assert dues == [parse_instant("2026-10-24T18:00:00Z")]


def test_one_length_in_two_spellings_is_one_row() -> None:
    keys = {
        planned_messages(_subject("AppointmentBooked", starts_at=STARTS, remind_before=[text]))[0].key
        for text in ("PT2H", "PT120M", "PT1H60M")
    }
    assert len(keys) == 1


def test_new_anchor_makes_a_new_row_and_the_same_does_not() -> None:
    moved = _subject("AppointmentRescheduled", starts_at=STARTS + timedelta(hours=1))
    stayed = _subject("AppointmentRescheduled", starts_at=STARTS, location="Broad St 9")
    booked = _subject("AppointmentBooked", starts_at=STARTS)
    keys = {m.key for m in planned_messages(booked)}
    assert keys.isdisjoint(m.key for m in planned_messages(moved))
    assert keys == {m.key for m in planned_messages(stayed)}


def test_plans_nothing_if_cancelled_unknown_or_without_contact() -> None:
    booked = _subject("AppointmentBooked", starts_at=STARTS)
    cancel = business("AppointmentCancelled", NOON + timedelta(hours=1), contact=None)
    assert planned_messages(None) == ()
    assert planned_messages(Subject(cancel.subject)) == ()
    assert planned_messages(booked.apply(cancel)) == ()
    assert planned_messages(_subject("AppointmentCancelled", contact=None)) == ()
    assert planned_messages(_subject("AppointmentBooked", contact=None, starts_at=STARTS)) == ()


REPLIES = ("welcome_back", "help_reply")


@pytest.mark.parametrize("reason", REPLIES)
def test_reply_is_due_at_once_and_valid_for_ten_minutes(reason: str) -> None:
    now = NOON + timedelta(minutes=4)
    message = reply(reason, inbound(NOON, message_id="SM1"), now)
    assert (message.contact, message.reason, message.state) == (ANNA, reason, State.SCHEDULED)
    assert (message.due_at, message.valid_until) == (now, NOON + timedelta(minutes=10))
    assert (message.anchor_at, message.planned_at) == (None, now)
    assert message.subject == SubjectRef("acme-dental", "message", "SM1")
    assert (message.reason_spec.category, message.send_group) == ("reply", "updates")


@pytest.mark.parametrize("reason", REPLIES)
def test_repeated_message_has_one_reply_per_reason(reason: str) -> None:
    to = inbound(NOON, message_id="SM1")
    repeat = replace(to, sent_at=NOON + timedelta(minutes=1))
    first, replan = reply(reason, to, NOON), reply(reason, repeat, NOON + timedelta(minutes=5))
    assert first.key == replan.key
    assert first.scheduled_message_id == replan.scheduled_message_id


def test_replies_to_two_messages_or_of_two_reasons_are_two() -> None:
    to = inbound(NOON, message_id="SM1")
    others = [inbound(NOON, message_id="SM2"), inbound(NOON, message_id="SM1", contact=replace(ANNA, channel="rcs"))]
    replies = [reply(reason, message, NOON) for reason in REPLIES for message in (to, *others)]
    assert len({message.key for message in replies}) == len(replies)
    assert len({message.scheduled_message_id for message in replies}) == len(replies)


def test_no_subject_wants_a_reply() -> None:
    """Only ingest plans these."""
    subjects = [_subject("AppointmentBooked", starts_at=STARTS), _subject("TrialStarted", ends_at=STARTS)]
    assert {m.reason for subject in subjects for m in planned_messages(subject)}.isdisjoint(REPLIES)
    assert planned_messages(replace(subjects[0], ref=SubjectRef("acme-dental", "message", "SM1"))) == ()


CHECK_IN = "https://acme.example/check-in"


def _carried(**fields: Any) -> tuple[list[str], list[str]]:
    """The offsets of separate check-in messages, and of reminders that contain the link."""
    subject = _subject("AppointmentBooked", **{"starts_at": STARTS, "check_in_url": CHECK_IN, **fields})
    messages = planned_messages(subject)
    own = [message.offset for message in messages if message.reason == "online_check_in"]
    return own, [message.offset for message in messages if carries_check_in(message, subject)]


@each_of(
    ("fields", "own", "carried_by"),
    [
        ({}, [], ["P1D"]),
        ({"check_in_url": None}, [], []),
        ({"remind_before": []}, ["PT24H"], []),
        ({"remind_before": ["PT2H"]}, ["PT24H"], []),
        ({"remind_before": ["PT23H"]}, [], ["PT23H"]),
        ({"remind_before": ["PT22H59M59S"]}, ["PT24H"], []),
        ({"remind_before": ["PT25H"]}, [], ["PT25H"]),
        ({"remind_before": ["PT25H0M1S"]}, ["PT24H"], []),
        ({"remind_before": ["PT24H30M", "PT23H30M", "PT2H"]}, [], ["PT23H30M"]),
        ({"check_in_before": "PT2H30M"}, [], ["PT2H"]),
        ({"check_in_before": "P2D"}, ["P2D"], []),
        ({"check_in_before": "PT0S", "remind_before": ["PT1H"]}, [], ["PT1H"]),
    ],
)
def test_last_reminder_within_an_hour_carries_the_check_in(
    fields: Mapping[str, Any], own: list[str], carried_by: list[str]
) -> None:
    assert _carried(**fields) == (own, carried_by)


def test_a_day_of_25_hours_is_an_hour_from_24_hours() -> None:
    """So the reminder of the day before still contains the link."""
    concert = parse_instant("2026-10-25T20:00:00+01:00")
    assert _carried(starts_at=concert, timezone="Europe/Berlin") == ([], ["P1D"])
    assert _carried(starts_at=concert, timezone="Europe/Berlin", check_in_before="PT23H59M") == (["PT23H59M"], [])


def test_check_in_is_valid_until_the_appointment_begins() -> None:
    subject = _subject("AppointmentBooked", starts_at=STARTS, check_in_url=CHECK_IN, remind_before=[])
    assert _plan(subject) == [("PT24H", STARTS - timedelta(hours=24), STARTS)]


def test_reminder_without_contact_carries_no_check_in() -> None:
    subject = _subject("AppointmentBooked", starts_at=STARTS, check_in_url=CHECK_IN)
    [carrier, other] = planned_messages(subject)
    assert carries_check_in(carrier, subject)
    assert not carries_check_in(other, subject)
    assert not carries_check_in(carrier, None)


def test_completed_check_in_is_dropped_and_the_reminder_stays() -> None:
    subject = _subject("AppointmentBooked", starts_at=STARTS, check_in_url=CHECK_IN)
    completed = subject.apply(business("CheckInCompleted", NOON + timedelta(hours=1), contact=None))
    messages = planned_messages(completed)
    assert [message.key for message in messages] == [message.key for message in planned_messages(subject)]
    assert not any(carries_check_in(message, completed) for message in messages)


def test_replan_returns_the_message_of_the_newest_version() -> None:
    subject = _subject("AppointmentBooked", starts_at=STARTS, timezone="Europe/Berlin")
    first, second = planned_messages(subject)
    change = business(
        "AppointmentRescheduled", NOON + timedelta(hours=1), starts_at=STARTS, remind_before=["P1D", "PT12H"]
    )
    corrected = replace(subject, revision=1).apply(change)
    renewed = replan(first, corrected)
    assert renewed is not None
    assert (renewed.version, first.version) == (2, 1)
    assert renewed.valid_until == STARTS - timedelta(hours=12)
    assert replan(second, corrected) is None
    assert replan(first, None) is None
    assert replan(replace(first, contact=replace(ANNA, channel="rcs")), subject) is None
