"""An invalid event is kept whole and published as rejected, and the function succeeds."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from reengage.errors import NotPublished
from tests.integration.faults import failing
from tests.integration.replays import NO_OFFSET
from tests.integration.stack import Stack, case

NOW: Final = datetime(2031, 3, 4, 12, tzinfo=UTC)


def broken(name: str, **detail: Any) -> Any:
    """Return a case with wrong values in these fields of its detail."""
    event = case(name)
    return event | {"detail": event["detail"] | detail}


BROKEN: Final = {
    "not an object": ("plan_messages", ["AppointmentBooked"], ["$: expected an EventBridge event, a JSON object"]),
    "nothing": ("ingest_message", None, ["$: expected an EventBridge event, a JSON object"]),
    "an empty object": (
        "record_delivery",
        {},
        ["$.time: expected text, got NoneType", "$.detail-type: expected one of DeliveryReported"],
    ),
    "another function's event": (
        "ingest_message",
        case("plan_messages/appointment_booked"),
        ["$.detail-type: expected one of MessageReceived"],
    ),
    "an instant without an offset": (
        "plan_messages",
        broken("plan_messages/appointment_booked", starts_at="2031-03-20T15:00:00", service="Füllung 🦷 „mittel“"),
        [f"$.detail.starts_at: {NO_OFFSET}"],
    ),
    "a text that is a number": (
        "ingest_message",
        broken("ingest_message/first_message", text=5),
        ["$.detail.text: expected `str`, got `int`"],
    ),
    "a status of another kind": (
        "record_delivery",
        broken("record_delivery/sent", status="read"),
        ["$.detail.status: expected one of sent, delivered, undelivered, opted_out"],
    ),
}


@pytest.mark.parametrize(("function", "event", "errors"), BROKEN.values(), ids=BROKEN)
def test_rejected_event_is_kept_whole_and_published(stack: Stack, function: str, event: Any, errors: list[str]) -> None:
    assert stack.invoke(function, event, at=NOW) == {"rejected": errors}
    (kept,) = stack.rejected()
    assert kept["errors"] == errors
    assert json.dumps(kept["event"]) == json.dumps(event)
    (published_event,) = stack.published()
    assert published_event["detail-type"] == "EventRejected"
    assert published_event["detail"]["errors"] == errors
    envelope = event if isinstance(event, dict) else {}
    assert published_event["detail"].get("event_id") == envelope.get("id")
    assert published_event["detail"].get("rejected_detail_type") == envelope.get("detail-type")
    assert stack.items() == []


def test_a_status_that_quotes_the_person_is_not_logged(stack: Stack) -> None:
    stack.invoke("record_delivery", broken("record_delivery/sent", status="she said: never again"), at=NOW)
    assert "never again" not in stack.printed


def test_queue_failure_publishes_nothing_and_is_retried(stack: Stack) -> None:
    with failing("SendMessage"), pytest.raises(ClientError, match="ThrottlingException"):
        stack.invoke("plan_messages", case("plan_messages/invalid_naive_instant"), at=NOW)
    assert stack.published() == []


def test_bus_failure_is_retried(stack: Stack) -> None:
    with failing("PutEvents"), pytest.raises(NotPublished, match="1 of 1 events"):
        stack.invoke("plan_messages", case("plan_messages/invalid_naive_instant"), at=NOW)
    assert len(stack.rejected()) == 1
