"""The fields of every event out, and their form."""

from datetime import timedelta, timezone

from reengage.domain.events_out import OutEvent, out_event, subject_of
from reengage.domain.message import ScheduledMessage
from reengage.domain.subject import SubjectRef
from tests.fakes import ANNA, NOON

MESSAGE = ScheduledMessage(
    contact=ANNA,
    reason="appointment_reminder",
    subject=SubjectRef("acme-dental", "appointment", "A-1001"),
    offset="PT2H",
    anchor_at=NOON,
    due_at=NOON - timedelta(hours=2),
    valid_until=NOON,
    version=7,
)
CONTACT = {"brand": "acme-dental", "channel": "sms", "address": "+4915112345678"}


def test_an_event_about_a_contact_names_it() -> None:
    assert subject_of(ANNA) == {"contact": CONTACT}
    assert out_event("ContactErased", ANNA) == OutEvent("ContactErased", {"contact": CONTACT})


def test_message_event_has_contact_reason_and_subject() -> None:
    assert subject_of(MESSAGE) == {
        "contact": CONTACT,
        "scheduled_message_id": MESSAGE.scheduled_message_id,
        "reason": "appointment_reminder",
        "subject_id": "A-1001",
    }


def test_instants_are_utc_and_unknown_fields_are_omitted() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    event = out_event("MessageHeld", MESSAGE, until=elsewhere, rule=None, attempts=0, facts={"word": None})
    assert event.type == "MessageHeld"
    assert event.detail == subject_of(MESSAGE) | {
        "until": "2026-03-02T12:00:00Z",
        "attempts": 0,
        "facts": {"word": None},
    }
