"""The main job, from the first message to the receipt, through the real handlers and on the template's own table."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.message import State
from reengage.domain.zones import tzdata_version
from tests.integration.replays import BOOKED, TICK, TRIED, planned, play, summary
from tests.integration.stack import Stack, case

PATIENT: Final = {"brand": "acme-dental", "channel": "sms", "address": "+447700900142"}
REMINDER: Final = {
    "contact": PATIENT,
    # The same plan has the same id on every machine, so files of events/ can name it.
    "scheduled_message_id": case("record_delivery/delivered")["detail"]["scheduled_message_id"],
    "reason": "appointment_reminder",
    "subject_id": "A-20931",
}
MESSAGE_SENT_AT: Final = datetime.fromisoformat("2031-03-03T09:14:05.318Z")
CLOSES_AT: Final = MESSAGE_SENT_AT + timedelta(days=30)


def details(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(event["detail-type"], event["detail"]) for event in events]


def tick(stack: Stack, at: datetime, function: str = "send_appointment_reminders") -> Any:
    return stack.invoke(function, case(f"{function}/tick"), at=at)


def test_a_reminder_from_the_first_message_to_its_receipt(stack: Stack) -> None:
    assert play(stack, "ingest_message/first_message") == {"result": "stored"}
    (started,) = stack.published()
    assert started["source"] == "reengage"
    assert details([started]) == [
        ("ConversationStarted", {"contact": PATIENT, "last_inbound_at": "2031-03-03T09:14:05.318000Z"})
    ]

    play(stack, "plan_messages/appointment_booked")
    first, second = stack.published("MessagePlanned")
    assert first["detail"] == REMINDER | {
        "due_at": "2031-03-19T15:00:00Z",
        "window_expires_at": "2031-04-02T09:14:05.318000Z",
        "forecast": "send",
    }
    assert second["detail"]["due_at"] == "2031-03-20T13:00:00Z"

    assert tick(stack, TICK - timedelta(milliseconds=1)) == summary()
    assert stack.published() == []

    assert tick(stack, TICK) == summary(sent=1)
    requested, sent = stack.published()
    assert requested["detail-type"] == "MessageSendRequested"
    assert requested["detail"] == REMINDER | {
        "text": "acme-dental: a reminder of your appointment on Thursday, March 20, 2031 at 3:00 PM, "
        "12 Example Street, London. Reply 1 to confirm, 2 to cancel, 3 for another time.",
        "locale": "en",
        "replies": [
            {"label": label, "payload": f"reengage-answer {answer} {REMINDER['scheduled_message_id']}"}
            for label, answer in (
                ("Confirm", "confirmed"),
                ("Cancel", "cancel_requested"),
                ("Another time", "reschedule_requested"),
            )
        ],
        "template": {
            "name": "appointment_reminder",
            "parameters": ["acme-dental", "Thursday, March 20, 2031", "3:00 PM"],
        },
        "data": {
            "appointment_id": "A-20931",
            "starts_at": "2031-03-20T15:00:00+00:00",
            "timezone": "Europe/London",
            "service": "Root canal treatment",
            "location": "12 Example Street, London",
            "remind_before": ["P1D", "PT2H"],
        },
        # Until the quiet hours begin, long before the next reminder is due.
        "free_text_until": "2031-03-19T21:00:00Z",
        "deliver_before": "2031-03-19T21:00:00Z",
    }
    facts = {
        "decided_at": "2031-03-19T15:00:00Z",
        "last_inbound_at": "2031-03-03T09:14:05.318000Z",
        "window_expires_at": "2031-04-02T09:14:05.318000Z",
        "counted": {"5/P1D": 0},
        "quiet_hours": "21:00-08:00",
        "zone": "Europe/London",
        "zone_from": "event",
        "local_time": "2031-03-19T15:00+00:00",
        "tzdata": tzdata_version(),
        "asks_for_answer": True,
    }
    assert sent["detail-type"] == "MessageSent"
    assert sent["detail"] == REMINDER | {
        "provider": "eventbridge",
        "provider_message_id": requested["id"],
        "sent_at": "2031-03-19T15:00:00Z",
        "facts": facts,
    }
    row, later = stack.rows()
    assert (row.scheduled_message_id, row.state) == (REMINDER["scheduled_message_id"], State.SENT)
    assert (row.provider, row.provider_message_id, row.settled_at) == ("eventbridge", requested["id"], TICK)
    assert (row.rule, row.facts, row.attempts) == (None, facts, 0)
    assert later.state is State.SCHEDULED

    assert tick(stack, TICK + timedelta(minutes=1)) == summary()
    assert stack.published() == []

    assert play(stack, "record_delivery/delivered") == {"result": "recorded"}
    assert details(stack.published()) == [
        (
            "MessageDelivered",
            REMINDER | {"provider_message_id": "SM7c0d5e3f1a9b4d62b8c7", "at": "2031-03-19T15:00:07.900000Z"},
        )
    ]
    assert stack.rows()[0].state is State.DELIVERED
    assert play(stack, "record_delivery/sent") == {"result": "ignored"}
    assert stack.published() == []


def test_a_trial_follow_up_in_the_persons_language_and_time(stack: Stack) -> None:
    for name in TRIED:
        play(stack, name)
    stack.published()
    assert tick(stack, TICK, "send_trial_follow_ups") == summary(sent=1)
    (requested,) = stack.published("MessageSendRequested")
    detail = requested["detail"]
    assert detail["locale"] == "de"
    assert detail["text"] == (
        "orbit-notes: Ihre Testphase von Orbit Notizen Pro endet am Samstag, 22. März 2031. "
        "Möchten Sie dabeibleiben? https://orbit-notes.example/upgrade"
    )
    assert detail["template"]["parameters"] == ["orbit-notes", "Orbit Notizen Pro", "Samstag, 22. März 2031"]
    assert detail["data"]["product"]["vi"] == "Orbit Ghi chú Pro"
    # WhatsApp takes free text for 24 hours after the person's last message: that is over, templates may still go.
    assert detail["free_text_until"] == detail["deliver_before"] == "2031-03-19T19:00:00Z"


@pytest.mark.parametrize(
    ("change", "rule"),
    [("plan_messages/appointment_cancelled", "cancelled"), ("plan_messages/appointment_rescheduled", "superseded")],
)
def test_what_was_undone_is_not_sent(stack: Stack, change: str, rule: str) -> None:
    for name in (*BOOKED, change):
        play(stack, name)
    assert [event["detail"]["rule"] for event in stack.published("MessageSkipped")] == [rule, rule]
    assert tick(stack, TICK) == summary()
    assert stack.published() == []
    assert [(row.state, row.rule) for row in stack.rows()][:2] == [(State.SKIPPED, rule)] * 2


def test_rescheduled_appointment_is_reminded_at_its_new_time(stack: Stack) -> None:
    for name in (*BOOKED, "plan_messages/appointment_rescheduled"):
        play(stack, name)
    stack.published()
    assert tick(stack, datetime.fromisoformat("2031-03-26T09:30:00Z")) == summary(sent=1)
    (requested,) = stack.published("MessageSendRequested")
    # The place, missing from the newer event, keeps the older value.
    assert "Thursday, March 27, 2031 at 9:30 AM, 12 Example Street, London." in requested["detail"]["text"]


def moved(name: str, **changes: Any) -> Any:
    """Return a case with other values in its detail, at the same time."""
    event = case(name)
    return event | {"detail": event["detail"] | changes}


@pytest.mark.parametrize(
    ("before_the_end", "answer", "forecast"),
    [
        (timedelta(milliseconds=1), summary(sent=1), "send"),
        (timedelta(), {**summary(), "due": 1, "skipped": {"window_closed": 1}}, "window_closed"),
        (timedelta(milliseconds=-1), {**summary(), "due": 1, "skipped": {"window_closed": 1}}, "window_closed"),
    ],
)
def test_the_edge_of_the_window(stack: Stack, before_the_end: timedelta, answer: Any, forecast: str) -> None:
    """The window closes 30 days after the message's own instant, to the millisecond."""
    play(stack, "ingest_message/first_message")
    due = CLOSES_AT - before_the_end
    starts_at = (due + timedelta(hours=2)).isoformat()
    booked = moved("plan_messages/appointment_booked", starts_at=starts_at, remind_before=["PT2H"])
    stack.invoke("plan_messages", booked, at=MESSAGE_SENT_AT)
    (planned,) = stack.published("MessagePlanned")
    assert planned["detail"]["forecast"] == forecast
    assert tick(stack, due) == answer
    requests = 1 if answer == summary(sent=1) else 0
    assert len(stack.published("MessageSendRequested")) == requests


def test_contact_who_never_wrote_gets_nothing(stack: Stack) -> None:
    play(stack, "plan_messages/appointment_booked")
    (planned, _) = stack.published("MessagePlanned")
    assert planned["detail"]["forecast"] == "no_conversation"
    assert "window_expires_at" not in planned["detail"]
    assert tick(stack, TICK)["skipped"] == {"no_conversation": 1}
    ((detail_type, detail),) = details(stack.published())
    assert detail_type == "MessageSkipped"
    assert detail == REMINDER | {"rule": "no_conversation", "facts": {"decided_at": "2031-03-19T15:00:00Z"}}


def test_past_offset_sends_nothing(stack: Stack) -> None:
    play(stack, "ingest_message/first_message")
    late = datetime.fromisoformat("2031-03-20T12:00:00Z")
    answer = stack.invoke("plan_messages", case("plan_messages/appointment_booked"), at=late)
    assert answer == planned(1) | {"too_late": 1}
    (skipped,) = stack.published("MessageSkipped")
    assert skipped["detail"]["rule"] == "too_late"
    assert tick(stack, late) == summary()


def test_a_late_message_never_shortens_the_window(stack: Stack) -> None:
    play(stack, "ingest_message/first_message")
    before = stack.items()
    play(stack, "ingest_message/late_message")
    (added,) = [item for item in stack.items() if item not in before]
    assert added["sk"]["S"].startswith("MESSAGE#")
    assert int(added["expires_at"]["N"]) == datetime.fromisoformat("2031-03-29T17:45:12Z").timestamp()
    assert [item for item in before if item not in stack.items()] == []


@pytest.mark.parametrize("name", ["ingest_message/first_message", "plan_messages/appointment_booked"])
def test_an_event_that_comes_twice_changes_nothing(stack: Stack, name: str) -> None:
    play(stack, name)
    before = stack.items()
    play(stack, name)
    assert stack.items() == before


def test_whatsapp_numbers_without_plus_are_the_same_contact(stack: Stack) -> None:
    play(stack, "ingest_message/whatsapp_without_plus")
    assert {item["pk"]["S"] for item in stack.items()} == {"CONTACT#acme-dental#whatsapp#+447700900187"}


def test_what_is_known_of_a_person_is_kept(stack: Stack) -> None:
    play(stack, "ingest_message/with_profile")
    (contact,) = [item for item in stack.items() if item["sk"]["S"] == "CONTACT"]
    known = {name: contact[name]["S"] for name in ("locale", "timezone", "display_name")}
    assert known == {"locale": "de-AT", "timezone": "Europe/Vienna", "display_name": "Johanna Beispiel"}
