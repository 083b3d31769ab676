"""What AWS publishes to the app's SNS topic, as the function that records receipts gets it."""

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.adapters.inbound.aws import record_sns
from reengage.domain.message import State
from reengage.domain.routes import parse_routes
from reengage.errors import NotPublished
from tests.integration.faults import failing, telling
from tests.integration.replays import SENT, TICK, play
from tests.integration.stack import Stack, case

RECEIPT: Final = "webhook/aws_receipt"
AT: Final = TICK + timedelta(seconds=10)


def notify(stack: Stack, event: Any) -> Any:
    return stack.invoke("record_delivery", event, at=AT)


def receipt(**changes: Any) -> Any:
    """Return the notification of a receipt, with other fields of the message."""
    event = deepcopy(case(RECEIPT))
    sns = event["Records"][0]["Sns"]
    sns["Message"] = json.dumps(json.loads(sns["Message"]) | changes)
    return event


@pytest.fixture
def sent(stack: Stack) -> Stack:
    """Return the stack after it sent the reminder of the examples."""
    for name in SENT:
        play(stack, name)
    stack.published()
    return stack


def statuses(row: str, *names: str) -> Any:
    """Return the notification of several receipts of a WhatsApp message."""
    event = deepcopy(case("webhook/aws_whatsapp"))
    sns = event["Records"][0]["Sns"]
    message = json.loads(sns["Message"])
    entry = json.loads(message["whatsAppWebhookEntry"])
    value = entry["changes"][0]["value"]
    del value["messages"]
    about = {
        "id": "wamid.X",
        "timestamp": "1931698807",
        "recipient_id": "447700900142",
        "biz_opaque_callback_data": row,
    }
    value["statuses"] = [about | {"status": name} for name in names]
    sns["Message"] = json.dumps(message | {"whatsAppWebhookEntry": json.dumps(entry)})
    sns["Timestamp"] = "2031-03-19T15:00:08.123Z"
    return event


def beyond_runs(stack: Stack) -> list[float]:
    return [value for line in stack.metrics() for value in line.get("ReceiptsBeyondRuns", ())]


def test_a_receipt_is_recorded_without_another_event(sent: Stack) -> None:
    assert notify(sent, receipt()) == {"receipts": 1, "recorded": 1}
    assert (sent.relayed(), sent.rejected(), beyond_runs(sent)) == ([], [], [])
    (delivered,) = sent.published()
    assert (delivered["detail-type"], delivered["detail"]["at"]) == ("MessageDelivered", "2031-03-19T15:00:07.900000Z")
    (row,) = [row for row in sent.rows() if row.state is State.DELIVERED]
    assert [line["message"] for line in sent.log_lines() if "message" in line] == ["MessageDelivered"], "one line"
    assert row.last_receipt_id == "da93dff7c", "the id of the notification"


@pytest.mark.parametrize("first", ["webhook", "record_delivery"])
def test_both_subscriptions_of_an_update_publish_once(sent: Stack, first: str) -> None:
    """While a stack is updated, the former subscription and the new one deliver the same notification."""

    def by_webhook() -> list[str]:
        sent.invoke("webhook", receipt(), at=AT)
        (event,) = sent.relayed()
        return [sent.invoke("record_delivery", event, at=AT)["result"]]

    def directly() -> list[str]:
        return [name for name in notify(sent, receipt()) if name != "receipts"]

    ways = (by_webhook, directly) if first == "webhook" else (directly, by_webhook)
    assert [way() for way in ways] == [["recorded"], ["repeated"]]
    assert [event["detail-type"] for event in sent.published()] == ["MessageDelivered"]


def test_a_retry_publishes_what_the_first_try_stored(sent: Stack) -> None:
    with failing("PutEvents"), pytest.raises(NotPublished):
        notify(sent, receipt())
    assert sent.rows()[0].state is State.DELIVERED
    notify(sent, receipt())
    assert [event["detail-type"] for event in sent.published()] == ["MessageDelivered"]


def test_each_receipt_of_a_notification_has_an_id() -> None:
    """With one id for "delivered" and "read", the second counted as a retry of the first, and was published again."""
    event = statuses("b8f88ac8-0ee4-5bbe-8401-8957ed73c20e", "delivered", "read")
    given: list[Any] = []

    def record(receipt: Any) -> dict[str, Any]:
        given.append(receipt)
        return {"result": "recorded"}

    routes = parse_routes("acme-dental/whatsapp/aws/phone-number-id-976c72a700aac43eaf573ae050example")
    for _ in range(2):
        counts = record_sns(event, routes=routes, arrived_at=AT, relay=lambda *_: None, record=record)
        assert counts == {"receipts": 2, "recorded": 2}
    notification = event["Records"][0]["Sns"]["MessageId"]
    assert [each["id"] for each in given] == [notification, f"1-{notification}"] * 2
    assert {each["detail"]["status"] for each in given} == {"delivered"}


def test_a_receipt_of_no_message_is_kept_as_an_event(sent: Stack) -> None:
    """It is kept in the form that `reengage redrive --queue rejected` puts on the bus."""
    context = {"scheduled_message_id": "b8f88ac8-0ee4-5bbe-8401-000000000000", "brand": "acme-dental", "channel": "sms"}
    assert notify(sent, receipt(context=context)) == {"receipts": 1, "rejected": 1}
    (kept,) = sent.rejected()
    assert kept["errors"] == ["$.detail.scheduled_message_id: this contact has no such message"]
    event = kept["event"]
    assert (event["detail-type"], event["source"]) == ("DeliveryReported", "reengage.webhook")
    assert event["id"] == case(RECEIPT)["Records"][0]["Sns"]["MessageId"]
    assert sent.invoke("record_delivery", event, at=AT) == {"rejected": kept["errors"]}


@pytest.mark.parametrize("name", ["aws_sms", "aws_whatsapp"])
def test_a_message_is_published_as_by_the_webhook(stack: Stack, name: str) -> None:
    play(stack, f"webhook/{name}")
    (by_webhook,) = stack.relayed()
    assert stack.invoke("record_delivery", case(f"webhook/{name}"), at=AT) == {"receipts": 0, "published": 1}
    (event,) = stack.relayed()
    same = ("source", "detail-type", "detail")
    assert [event[part] for part in same] == [by_webhook[part] for part in same]
    assert stack.items() == []


def test_a_receipt_of_another_system_is_ignored(sent: Stack) -> None:
    assert notify(sent, receipt(context={})) == {"receipts": 0, "ignored": 1}
    assert beyond_runs(sent) == [-1]
    assert (sent.published(), sent.relayed(), sent.rejected()) == ([], [], [])
    assert sent.rows()[0].state is State.SENT


@pytest.mark.parametrize("message", ["{", "no JSON", '"text"', "[]", '{"eventType": "TEXT_WHATEVER"}', None])
def test_an_unknown_notification_is_kept_whole(stack: Stack, message: str | None) -> None:
    """A filter policy of SNS would drop what is no JSON."""
    event = receipt()
    context = {"context": {"scheduled_message_id": "b8f88ac8-0ee4-5bbe-8401-8957ed73c20e"}}
    unknown = message and message.replace("}", f", {json.dumps(context)[1:]}" if "eventType" in message else "}")
    event["Records"][0]["Sns"]["Message"] = unknown
    assert notify(stack, event) == {"receipts": 0, "rejected": 1}
    (kept,) = stack.rejected()
    assert kept["event"] == event
    assert [each["detail-type"] for each in stack.published()] == ["EventRejected"]


def test_a_stop_is_published_before_a_receipt_that_fails(sent: Stack) -> None:
    event = receipt()
    event["Records"].append(case("webhook/aws_sms")["Records"][0])
    with failing("UpdateItem"):
        assert notify(sent, event) == {"receipts": 0, "retried": 1, "published": 1}
    assert {each["detail-type"] for each in sent.relayed()} == {"MessageReceived", "DeliveryReported"}


@pytest.mark.parametrize("operation", ["UpdateItem", "PutEvents"])
def test_a_receipt_that_fails_is_retried_alone(sent: Stack, operation: str) -> None:
    """The whole notification was retried: what it had recorded and rejected was published and kept again."""
    ids = {"scheduled_message_id": "b8f88ac8-0ee4-5bbe-8401-000000000000", "brand": "acme-dental", "channel": "sms"}
    event, unknown, invalid = receipt(), receipt(context=ids), receipt(eventType="TEXT_WHATEVER")
    event["Records"] += [unknown["Records"][0], invalid["Records"][0]]
    with failing(operation, only=telling("MessageDelivered") if operation == "PutEvents" else lambda _: True):
        assert notify(sent, event) == {"receipts": 1, "retried": 1, "rejected": 2}
    assert [each["event"].get("detail-type") for each in sent.rejected()] == ["DeliveryReported", None]
    assert sent.published("MessageDelivered") == []
    (again,) = sent.relayed()
    assert (again["source"], again["detail"]["event_id"]) == (
        "reengage.webhook",
        event["Records"][0]["Sns"]["MessageId"],
    )
    stored_before = operation == "PutEvents"
    assert sent.invoke("record_delivery", again, at=AT) == {"result": "repeated" if stored_before else "recorded"}
    assert len(sent.published("MessageDelivered")) == 1


def test_a_record_that_the_bus_refuses_delays_no_other(sent: Stack) -> None:
    """The message before the receipt could not be published, and the receipt waited for the retry."""
    event = receipt()
    event["Records"].insert(0, case("webhook/aws_sms")["Records"][0])
    with failing("PutEvents", only=telling("MessageReceived")), pytest.raises(NotPublished):
        notify(sent, event)
    assert [each["detail-type"] for each in sent.published()] == ["MessageDelivered"]


def test_a_wrong_row_of_routes_delays_no_message(stack: Stack) -> None:
    """The row of another brand is wrong: the people of this one still reach the app."""
    # The log shows the beginning of the value, which must not have the number that the message names.
    routes = "acme-dental/fax/aws/1," * 10 + stack.resources["Routes"]
    stack.resources = {**stack.resources, "Routes": routes}
    assert notify(stack, case("webhook/aws_sms")) == {"receipts": 0, "published": 1}
    assert "a setting is wrong" in stack.printed


@pytest.mark.parametrize("name", ["aws_receipt", "aws_sms", "aws_whatsapp"])
def test_nothing_personal_is_logged(stack: Stack, name: str) -> None:
    play(stack, "ingest_message/first_message")
    stack.invoke("record_delivery", case(f"webhook/{name}"), at=AT)
    assert stack.log_lines()
    for text in ("447700900", "Friday", "Ja, bitte", "Johanna", "wamid."):
        assert text not in stack.printed
