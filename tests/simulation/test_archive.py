"""Archived calls of providers are replayed at their own time, with any signature."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from reengage.simulation import StoryError
from tests.simulation.builders import Line, instants, of_type, run, summary

WEBHOOK: Final = Path(__file__).parents[2] / "events" / "webhook"
ROUTES: Final = {
    "set": {
        "Routes": "acme-dental/sms/twilio/+12025550100, acme-retail/sms/aws/+12025550101, "
        "acme-dental/whatsapp/meta/106540352242922, acme-shop/google_business_messages/eventbridge/brands/a/agents/b"
    }
}


def archived(name: str) -> Line:
    event: Line = json.loads((WEBHOOK / f"{name}.json").read_text(encoding="utf-8"))
    return event


def contacts(out: list[Line]) -> list[str]:
    return [line["detail"]["contact"]["address"] for line in of_type(out, "ConversationStarted")]


@pytest.mark.parametrize(
    ("name", "address", "at"),
    [
        ("meta_message", "+447700900161", "2031-03-19T14:59:58Z"),
        ("twilio_message", "+447700900162", "2031-03-19T14:59:58Z"),
        ("aws_sms", "+447700900164", "2031-03-19T14:59:56.123000Z"),
    ],
)
def test_a_lambda_event_is_replayed_at_its_time(name: str, address: str, at: str) -> None:
    out = run(archived(name), ROUTES)
    assert contacts(out) == [address]
    assert instants(out, "ConversationStarted") == [at]
    assert summary(out)["errors"] == {}


def business_message(text: str, created_at: str) -> Any:
    return {
        "agent": "brands/a/agents/b",
        "conversationId": "conversation-1",
        "requestId": f"request-{created_at}",
        "message": {"messageId": "m", "text": text, "createTime": created_at},
        "context": {"resolvedLocale": "en", "userInfo": {"displayName": "Ida"}},
        "sendTime": created_at,
    }


def test_a_body_alone_is_replayed_at_its_newest_time() -> None:
    call = {"path": "google-business-messages", "body": business_message("Hello", "2024-03-04T10:00:00.5Z")}
    out = run({"call": call}, ROUTES)
    assert instants(out, "ConversationStarted") == ["2024-03-04T10:00:00.500000Z"]
    assert contacts(out) == ["conversation-1"]


def test_an_archived_stop_opts_out() -> None:
    calls = [
        {"call": {"path": "google-business-messages", "body": business_message(text, at)}}
        for text, at in (("Hello", "2024-03-04T10:00:00Z"), ("STOP", "2024-03-05T10:00:00Z"))
    ]
    assert instants(run(*calls, ROUTES), "ContactOptedOut") == ["2024-03-05T10:00:00Z"]


def test_a_form_needs_a_time() -> None:
    body = {"From": "+447700900162", "To": "+12025550100", "Body": "Hello", "MessageSid": "SM1", "SmsSid": "SM1"}
    call = {"path": "twilio", "body": body}
    with pytest.raises(StoryError, match='add "time"'):
        run({"call": call}, ROUTES)
    out = run({"call": call, "time": "2026-03-02T12:00:00Z"}, ROUTES)
    assert instants(out, "ConversationStarted") == ["2026-03-02T12:00:00Z"]


def test_a_call_of_rcs_is_decoded_for_its_time() -> None:
    content = {
        "senderPhoneNumber": "+447700900163",
        "messageId": "r-1",
        "sendTime": "2026-03-02T12:00:00Z",
        "text": "Hello",
        "agentId": "reengage",
    }
    body = {"message": {"data": base64.b64encode(json.dumps(content).encode()).decode()}}
    out = run({"call": {"path": "rcs", "body": body}}, {"until": "2026-03-03T00:00:00Z"})
    assert summary(out)["from"] == "2026-03-02T12:00:00Z"


@pytest.mark.parametrize(
    "line",
    [
        {"call": {"path": "telegram", "body": {}}},
        {"call": {"path": "meta"}},
        {"requestContext": {"timeEpoch": 1}, "rawPath": "/elsewhere", "body": ""},
        {"Records": []},
    ],
)
def test_a_call_that_cannot_be_replayed_names_its_line(line: Line) -> None:
    with pytest.raises(StoryError, match="line 1"):
        run(line)


def test_what_a_call_holds_that_is_unknown_is_rejected() -> None:
    call = {"path": "google-business-messages", "body": {"sendTime": "2024-03-04T10:00:00Z", "agent": "x"}}
    out = run({"call": call}, ROUTES)
    assert len(of_type(out, "EventRejected")) == 1
