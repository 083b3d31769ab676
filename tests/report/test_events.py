"""Deriving a report from event lines."""

import json
from typing import Any, Final

import pytest

from reengage.report import Run, report_data
from reengage.report.data import ContactHistory, Mark, Message

from .sample import sample_lines

ADA: Final = {"brand": "acme", "channel": "sms", "address": "+12025550101"}


def out(at: str, kind: str, /, **detail: Any) -> dict[str, Any]:
    return {"at": at, "detail-type": kind, "detail": {"contact": ADA} | detail}


def about(at: str, kind: str, name: str = "m-1", /, **detail: Any) -> dict[str, Any]:
    message = {"scheduled_message_id": name, "reason": "appointment_reminder", "subject_id": "a-1"}
    return out(at, kind, **message, **detail)


def wrote(at: str, text: str = "Hi", **detail: Any) -> dict[str, Any]:
    event_fields = {"contact": ADA, "message_id": f"in-{at}", "sent_at": at, "text": text} | detail
    return {"time": at, "source": "chat", "detail-type": "MessageReceived", "detail": event_fields}


def only_contact(*lines: dict[str, Any], **options: Any) -> ContactHistory:
    (contact,) = report_data(lines, title="t", **options).contacts
    return contact


def only_message(*lines: dict[str, Any], **options: Any) -> Message:
    (message,) = only_contact(*lines, **options).messages
    return message


PLANNED: Final = about("2026-09-01T10:00:00Z", "MessagePlanned", due_at="2026-09-03T12:00:00Z", forecast="send")
SENT: Final = about("2026-09-03T12:00:31Z", "MessageSent", sent_at="2026-09-03T12:00:30Z", text="See you", facts={})


def test_a_sent_message_has_time_text_and_lateness() -> None:
    message = only_message(wrote("2026-09-01T09:00:00Z", timezone="America/New_York"), PLANNED, SENT)
    assert (message.outcome, message.at, message.text) == ("sent", "2026-09-03T12:00:30Z", "See you")
    assert (message.planned_at, message.due_at) == ("2026-09-01T10:00:00Z", "2026-09-03T12:00:00Z")
    assert message.lateness_seconds == 30
    assert message.local_hour == 8


def test_zone_of_decision_is_before_zone_of_person() -> None:
    sent = about("2026-09-03T12:00:31Z", "MessageSent", facts={"zone": "Asia/Tokyo"})
    message = only_message(wrote("2026-09-01T09:00:00Z", timezone="America/New_York"), PLANNED, sent)
    assert message.local_hour == 21


def test_without_any_zone_there_is_no_local_hour() -> None:
    several = about("2026-09-03T12:00:31Z", "MessageSent", facts={"zone": "3 zones"})
    assert only_message(PLANNED, several).local_hour is None
    assert only_message(PLANNED, several, default_zone="Europe/Berlin").local_hour == 14
    in_utc = wrote("2026-09-01T09:00:00Z", timezone="UTC")
    assert only_message(in_utc, PLANNED, several, default_zone="Europe/Berlin").local_hour == 14


@pytest.mark.parametrize(
    ("kind", "detail", "outcome", "facts"),
    [
        ("MessageSkipped", {"rule": "opted_out", "facts": {"word": "stop"}}, "skipped", {"word": "stop"}),
        ("MessageFailed", {"error": "21211", "attempts": 7}, "failed", {"error": "21211", "attempts": 7}),
        (
            "MessageUnconfirmed",
            {"claimed_at": "2026-09-03T12:00:00Z"},
            "unconfirmed",
            {"claimed_at": "2026-09-03T12:00:00Z"},
        ),
    ],
)
def test_each_end_without_a_send(kind: str, detail: dict[str, Any], outcome: str, facts: dict[str, Any]) -> None:
    message = only_message(PLANNED, about("2026-09-03T12:01:00Z", kind, **detail))
    assert (message.outcome, message.at, message.facts) == (outcome, "2026-09-03T12:01:00Z", facts)
    assert (message.lateness_seconds, message.local_hour) == (None, None)


@pytest.mark.parametrize("outcome", ["delivered", "undelivered"])
def test_a_receipt_keeps_the_time_of_the_send(outcome: str) -> None:
    receipt = about("2026-09-03T12:05:00Z", f"Message{outcome.capitalize()}", at="2026-09-03T12:04:00Z", error="x")
    message = only_message(PLANNED, SENT, receipt)
    assert (message.outcome, message.at, message.reported_at) == (
        outcome,
        "2026-09-03T12:00:30Z",
        "2026-09-03T12:04:00Z",
    )
    assert message.facts == {"error": "x"}


def test_a_receipt_before_the_send_wins() -> None:
    receipt = about("2026-09-03T12:00:20Z", "MessageDelivered", at="2026-09-03T12:00:20Z")
    assert only_message(PLANNED, receipt, SENT).outcome == "delivered"


def test_a_receipt_alone_gives_the_time() -> None:
    receipt = about("2026-09-03T12:00:20Z", "MessageDelivered", at="2026-09-03T12:00:20Z")
    message = only_message(PLANNED, receipt)
    assert (message.at, message.lateness_seconds) == ("2026-09-03T12:00:20Z", 20)


def test_a_planned_message_is_scheduled_with_its_forecast() -> None:
    message = only_message(PLANNED)
    assert (message.outcome, message.at, message.facts) == ("scheduled", None, {"forecast": "send"})


def test_a_repeated_event_changes_nothing() -> None:
    skipped = about("2026-09-03T12:01:00Z", "MessageSkipped", rule="cancelled", facts={})
    assert only_message(PLANNED, SENT, SENT, PLANNED) == only_message(PLANNED, SENT)
    assert only_message(PLANNED, skipped, skipped) == only_message(PLANNED, skipped)


def test_lines_may_come_in_any_order() -> None:
    lines = [wrote("2026-09-01T09:00:00Z"), PLANNED, SENT]
    assert report_data(lines, title="t") == report_data(lines[::-1], title="t")


def test_a_new_version_replaces_the_planned_message() -> None:
    newer = about("2026-09-02T10:00:00Z", "MessagePlanned", "m-2", due_at="2026-09-03T12:00:00Z")
    message = only_message(PLANNED, newer)
    assert (message.id, message.planned_at) == ("m-2", "2026-09-01T10:00:00Z")


def test_a_new_version_leaves_a_sent_message() -> None:
    newer = about("2026-09-04T10:00:00Z", "MessagePlanned", "m-2", due_at="2026-09-03T12:00:00Z")
    messages = only_contact(PLANNED, SENT, newer).messages
    assert [(message.id, message.outcome) for message in messages] == [("m-1", "sent"), ("m-2", "scheduled")]


def test_holds_are_kept_with_rule_and_end() -> None:
    cap = about("2026-09-03T12:00:30Z", "MessageHeld", rule="frequency_cap", until="2026-09-03T19:00:00Z", facts={})
    quiet = about("2026-09-03T19:00:30Z", "MessageHeld", rule="quiet_hours", until="2026-09-04T09:00:00Z", facts={})
    message = only_message(PLANNED, cap, quiet)
    assert [(hold.rule, hold.at, hold.until) for hold in message.held] == [
        ("frequency_cap", "2026-09-03T12:00:30Z", "2026-09-03T19:00:00Z"),
        ("quiet_hours", "2026-09-03T19:00:30Z", "2026-09-04T09:00:00Z"),
    ]


def test_an_hourly_hold_is_one_hold() -> None:
    holds = [
        about(f"2026-09-03T{h}:00:30Z", "MessageHeld", rule="unknown_timezone", until=f"2026-09-03T{h + 1}:00:30Z")
        for h in (12, 13, 14)
    ]
    (hold,) = only_message(PLANNED, *holds).held
    assert (hold.at, hold.until) == ("2026-09-03T12:00:30Z", "2026-09-03T15:00:30Z")


def test_windows_open_by_messages_and_merge() -> None:
    contact = only_contact(wrote("2026-09-01T09:00:00Z"), wrote("2026-09-11T09:00:00Z"), wrote("2026-11-01T09:00:00Z"))
    assert contact.windows == (
        ("2026-09-01T09:00:00Z", "2026-10-11T09:00:00Z"),
        ("2026-11-01T09:00:00Z", "2026-12-01T09:00:00Z"),
    )


def test_windows_are_known_without_the_messages() -> None:
    planned = about("2026-09-01T10:00:00Z", "MessagePlanned", window_expires_at="2026-09-25T08:00:00Z")
    skipped = about(
        "2026-09-02T10:00:00Z", "MessageSkipped", rule="too_late", facts={"last_inbound_at": "2026-07-01T08:00:00Z"}
    )
    assert only_contact(planned, skipped).windows == (
        ("2026-07-01T08:00:00Z", "2026-07-31T08:00:00Z"),
        ("2026-08-26T08:00:00Z", "2026-09-25T08:00:00Z"),
    )


def test_an_agent_opens_no_window() -> None:
    line = {"time": "2026-09-01T09:00:00Z", "detail-type": "AgentReplied", "detail": {"contact": ADA}}
    contact = only_contact(line)
    assert contact.windows == ()
    assert [message.kind for message in contact.inbound] == ["agent"]


def test_a_repeated_inbound_message_counts_once() -> None:
    assert len(only_contact(wrote("2026-09-01T09:00:00Z"), wrote("2026-09-01T09:00:00Z")).inbound) == 1


def test_opt_outs_are_changes_of_state() -> None:
    lines = [
        out("2026-09-01T09:00:00Z", "ContactOptedOut", cause={"word": "stop"}),
        out("2026-09-02T09:00:00Z", "ContactOptedOut"),
        out("2026-09-03T09:00:00Z", "ContactOptedIn"),
    ]
    assert only_contact(*lines).opt_outs == (
        Mark("2026-09-01T09:00:00Z", "opted_out", "stop"),
        Mark("2026-09-03T09:00:00Z", "opted_in"),
    )


def test_a_note_of_an_unclear_answer_has_its_cause() -> None:
    candidates = [{"subject_id": "a-1"}, {"subject_id": "a-2"}]
    unclear = {"answer": "unclear", "given": "confirmed", "why": "several_open", "candidates": candidates}
    contact = only_contact(
        out("2026-09-01T09:00:00Z", "AppointmentAnswered", answer="confirmed"),
        out("2026-09-02T09:00:00Z", "AppointmentAnswered", **unclear),
    )
    assert [note.note for note in contact.notes] == ["confirmed", "unclear, confirmed, several_open, a-1 and a-2"]


def test_an_erased_contact_has_no_name_and_no_text() -> None:
    contact = only_contact(
        wrote("2026-09-01T09:00:00Z", "my secret", display_name="Ada"),
        PLANNED,
        SENT,
        out("2026-09-05T09:00:00Z", "ContactErased"),
    )
    assert contact.name is None
    assert contact.windows == (("2026-09-01T09:00:00Z", "2026-09-05T09:00:00Z"),)
    assert "my secret" not in repr(contact)
    assert "See you" not in repr(contact)


def test_an_address_in_two_spellings_is_one_contact() -> None:
    loose = ADA | {"address": "+1 (202) 555-0101"}
    line = {"time": "2026-09-01T09:00:00Z", "detail-type": "MessageReceived", "detail": {"contact": loose, "text": "x"}}
    assert only_contact(line, PLANNED).contact == "acme/sms/+12025550101"


def test_text_of_a_deployed_stack_is_from_the_request() -> None:
    request = about("2026-09-03T12:00:29Z", "MessageSendRequested", text="See you")
    bare = about("2026-09-03T12:00:31Z", "MessageSent", sent_at="2026-09-03T12:00:30Z", facts={})
    envelopes = [{"time": line["at"], "source": "reengage"} | line for line in (PLANNED, request, bare)]
    for envelope in envelopes:
        del envelope["at"]
    message = only_message(*envelopes)
    assert (message.outcome, message.text, message.lateness_seconds) == ("sent", "See you", 30)


def test_span_and_settings_come_from_the_lines() -> None:
    lines = [PLANNED, {"set": {"DryRun": "true"}}, {"until": "2026-12-01T00:00:00Z"}, {"summary": {}}]
    data = report_data(lines, title="t", settings={"Brand": "acme"})
    assert data.span == ("2026-09-01T10:00:00Z", "2026-12-01T00:00:00Z")
    assert data.settings == {"DryRun": "true", "Brand": "acme"}


def test_no_line_is_an_empty_report() -> None:
    data = report_data([], title="t")
    assert (data.contacts, data.totals) == ((), {})


def test_what_a_dry_run_would_send_keeps_its_text() -> None:
    skipped = about("2026-09-03T12:01:00Z", "MessageSkipped", rule="dry_run", facts={}, text="See you")
    message = only_message(PLANNED, skipped)
    assert (message.outcome, message.rule, message.text) == ("skipped", "dry_run", "See you")


def test_an_unknown_default_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="IANA time zone"):
        report_data([PLANNED], title="t", default_zone="Mars/Olympus")


def test_a_wrong_instant_is_an_error() -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        report_data([out("yesterday", "ContactOptedOut")], title="t")


def test_totals_count_each_message_once() -> None:
    data = report_data(sample_lines(40), title="t")
    assert sum(sum(row.values()) for row in data.totals.values()) == 40 * 6
    for reason, row in data.totals.items():
        for outcome, count in row.items():
            found = [
                message for _, message in data.messages() if (message.reason, message.outcome) == (reason, outcome)
            ]
            assert len(found) == count > 0


def test_report_data_is_json() -> None:
    data = report_data(sample_lines(9), title="t", compare=Run("caps", sample_lines(9, cap=1)))
    assert json.loads(json.dumps(data.as_json()))["title"] == "t"


def test_a_contact_of_the_second_run_alone_is_listed() -> None:
    data = report_data([wrote("2026-09-01T09:00:00Z")], title="t", compare=Run("b", sample_lines(3)))
    assert len(data.contacts) == 4
    assert data.compare
    assert set(data.compare.messages) <= {contact.contact for contact in data.contacts}


@pytest.mark.parametrize(("brand", "shown"), [(None, True), ("acme", True), ("north", False)])
def test_a_pause_is_on_the_timeline_of_its_contacts(brand: str | None, *, shown: bool) -> None:
    detail = {"scope": "marketing", "why": "stock", **({"brand": brand} if brand else {})}
    paused = {"at": "2026-09-02T08:00:00Z", "detail-type": "SendingPaused", "detail": detail}
    resumed = {"at": "2026-09-02T09:00:00Z", "detail-type": "SendingResumed", "detail": detail}
    marks = (
        Mark("2026-09-02T08:00:00Z", "sending_paused", "marketing, stock"),
        Mark("2026-09-02T09:00:00Z", "sending_resumed", "marketing, stock"),
    )
    assert only_contact(paused, PLANNED, resumed).notes == (marks if shown else ())
