"""A test message through the real send function: who may get one, and what is stored."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.adapters.wording_samples import SAMPLE_FIELDS
from tests.integration.replays import TICK, play
from tests.integration.stack import Stack, case

NUMBER: Final = "+4915112345678"
CONTACT: Final = {"brand": "acme-dental", "channel": "sms", "address": NUMBER}
NOON: Final = datetime.fromisoformat("2031-03-04T12:00:00+01:00")
NIGHT: Final = datetime.fromisoformat("2031-03-04T02:00:00+01:00")


@pytest.fixture
def listed(stack: Stack) -> Stack:
    """A stack whose parameter TestNumbers names the number."""
    stack.resources = {**stack.resources, "TestNumbers": f"+12025550199, {NUMBER}"}
    return stack


def send(stack: Stack, at: datetime = NOON, **test: Any) -> Any:
    given = {"contact": CONTACT, "reason": "appointment_reminder", "id": "t1"} | test
    return stack.invoke("send_updates", {"send_test": given}, at=at)


def requests(stack: Stack) -> list[dict[str, Any]]:
    return [event["detail"] for event in stack.published() if event["detail-type"] == "MessageSendRequested"]


def write_event(stack: Stack, detail_type: str, **detail: Any) -> None:
    event = {**case("plan_messages/appointment_booked"), "detail-type": detail_type, "time": "2031-03-04T00:00:00Z"}
    stack.invoke("plan_messages", event | {"detail": detail}, at=NIGHT)
    stack.published()


@pytest.mark.parametrize("at", [NOON, NIGHT])
def test_listed_number_gets_it_at_any_hour_without_a_window(listed: Stack, at: datetime) -> None:
    answer = send(listed, at, locale="de")
    assert answer["state"] == "sent", answer
    assert answer["provider"] == "eventbridge"
    requested, sent = listed.published()
    assert requested["detail"]["contact"] == CONTACT
    assert requested["detail"]["text"].startswith("acme-dental: ")
    assert requested["detail"]["locale"] == "de"
    assert sent["detail"]["facts"]["test"] is True
    assert sent["detail"]["subject_id"] == "test-t1"


@pytest.mark.parametrize("reason", sorted(SAMPLE_FIELDS))
def test_every_reason_can_be_tested(listed: Stack, reason: str) -> None:
    if reason == "product_preview":
        write_event(
            listed, "ConsentChanged", contact=CONTACT, marketing=True, evidence={"when": "2031-03-01T00:00:00Z"}
        )
    answer = send(listed, reason=reason)
    assert answer["state"] == "sent", answer
    assert len(requests(listed)) == 1


def test_other_number_needs_its_window(listed: Stack) -> None:
    other = {**CONTACT, "address": "+4915112345679"}
    answer = send(listed, contact=other)
    assert (answer["state"], answer["rule"]) == ("skipped", "no_conversation")
    assert requests(listed) == []


def test_other_number_has_its_quiet_hours(stack: Stack) -> None:
    inbound = case("ingest_message/first_message")
    patient = inbound["detail"]["contact"]
    play(stack, "ingest_message/first_message")
    answer = send(stack, datetime.fromisoformat("2031-03-04T02:00:00Z"), contact=patient)
    assert (answer["state"], answer["rule"], answer["facts"]["held_by"]) == ("skipped", "too_late", "quiet_hours")
    assert send(stack, datetime.fromisoformat("2031-03-04T12:00:00Z"), contact=patient, id="t2")["state"] == "sent"


def test_opt_out_holds_for_a_listed_number(listed: Stack) -> None:
    write_event(listed, "ContactOptedOut", contact=CONTACT)
    answer = send(listed)
    assert (answer["state"], answer["rule"]) == ("skipped", "opted_out")
    assert requests(listed) == []


def test_pause_holds_for_a_listed_number(listed: Stack) -> None:
    write_event(listed, "SendingPaused", scope="all")
    answer = send(listed)
    assert answer["state"] != "sent"
    assert requests(listed) == []


def test_same_id_is_sent_once(listed: Stack) -> None:
    assert send(listed)["state"] == "sent"
    again = send(listed, NOON + timedelta(seconds=5))
    assert (again["state"], again["repeated"]) == ("sent", True)
    assert len(requests(listed)) == 1


def test_no_cap_counts_it(listed: Stack) -> None:
    listed.resources = {**listed.resources, "UtilityCaps": "1/P1D"}
    for number in range(3):
        assert send(listed, id=f"t{number}")["state"] == "sent"
    # A cap of a brand does not count it either.
    write_event(listed, "BrandConfigured", brand="acme-dental", name="Acme", utility_caps="1/P1D")
    assert send(listed, id="t9")["state"] == "sent"


def test_no_real_message_goes_along(listed: Stack) -> None:
    """A run merges the due messages of one contact; a test message must not help another one past its rules."""
    patient = case("ingest_message/first_message")["detail"]["contact"]
    listed.resources = {**listed.resources, "TestNumbers": patient["address"]}
    play(listed, "ingest_message/first_message")
    play(listed, "plan_messages/appointment_booked")
    listed.published()
    answer = send(listed, TICK, contact=patient)
    assert answer["state"] == "sent", answer
    (request,) = requests(listed)
    assert request["subject_id"] == "test-t1"
    assert request["text"].count(" at ") == 1
    assert {str(row.state) for row in listed.rows() if not row.subject.id.startswith("test-")} == {"scheduled"}


def test_explain_shows_the_test(listed: Stack) -> None:
    send(listed)
    answer = listed.invoke("explain", {"contact": CONTACT}, at=NOON)
    assert any(entry.get("subject_id") == "test-t1" for entry in answer["entries"])


def test_it_asks_no_question(listed: Stack) -> None:
    """A "1" that answers a test must not confirm an appointment."""
    send(listed)
    (request,) = requests(listed)
    assert "replies" not in request
    assert "Reply 1" not in request["text"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"reason": "welcome_back"}, "$.send_test.reason: expected one of"),
        ({"contact": {**CONTACT, "address": "12"}}, "$.send_test.contact.address"),
        ({"id": ""}, "$.send_test.id"),
    ],
)
def test_wrong_request_names_its_field(listed: Stack, wrong: dict[str, Any], error: str) -> None:
    answer = send(listed, **wrong)
    assert answer["rejected"][0].startswith(error)
    assert requests(listed) == []


def test_tick_is_no_test(stack: Stack) -> None:
    assert "due" in stack.invoke("send_updates", case("send_updates/tick"), at=NOON)
