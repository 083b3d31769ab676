"""A failure of the app raises an error: Lambda retries, and then keeps the event in the dead-letter queue."""

from typing import Final

import pytest
from pynamodb.exceptions import PynamoDBException

from reengage.domain.message import State
from reengage.errors import ConfigurationError, NotPublished
from tests.integration.faults import failing, telling
from tests.integration.log_content import documented, personal
from tests.integration.replays import BOOKED, REPLAYS, SENT, TICK, TRIED, play, summary
from tests.integration.stack import Stack, case

ONE_OF_EACH: Final = (
    "ingest_message/first_message",
    "plan_messages/appointment_booked",
    "record_delivery/delivered",
)
TICKS: Final = ("send_appointment_reminders/tick", "send_trial_follow_ups/tick", "send_updates/tick")


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_without_a_table_an_event_is_not_taken(stack: Stack, name: str) -> None:
    stack.dynamodb.delete_table(TableName=stack.resources["Table"])
    with pytest.raises(PynamoDBException, match="ResourceNotFoundException"):
        play(stack, name)
    assert stack.rejected() == []
    _logs_nothing_personal(stack, name)


@pytest.mark.parametrize("name", TICKS)
def test_without_a_table_a_tick_fails(stack: Stack, name: str) -> None:
    stack.dynamodb.delete_table(TableName=stack.resources["Table"])
    with pytest.raises(ExceptionGroup) as raised:
        play(stack, name)
    assert raised.group_contains(PynamoDBException, match="ResourceNotFoundException")


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_unpublished_events_are_published_by_the_retry(stack: Stack, name: str) -> None:
    for earlier in REPLAYS[name].after:
        play(stack, earlier)
    stack.published()
    with failing("PutEvents") as failed, pytest.raises(NotPublished):
        play(stack, name)
    assert len(failed) == 3
    _counts_what_was_not_published(stack, name)
    _logs_nothing_personal(stack, name)
    assert stack.published() == []
    play(stack, name)
    assert len(stack.published()) == len(failed[0]["Entries"])


def test_what_the_bus_did_not_take_of_a_run_is_counted(stack: Stack) -> None:
    """The table is right: the message was sent, and a second run must not send it again."""
    for name in BOOKED:
        play(stack, name)
    with failing("PutEvents", only=telling("MessageSent")):
        assert play(stack, TICKS[0]) == summary(sent=1)
    _counts_what_was_not_published(stack, TICKS[0])
    _logs_nothing_personal(stack, *BOOKED)
    assert play(stack, TICKS[0]) == summary()


@pytest.mark.parametrize(
    ("status", "way", "state", "detail_types"),
    [
        (400, "retried", State.SCHEDULED, []),
        (503, "unconfirmed", State.UNCONFIRMED, ["MessageUnconfirmed"]),
    ],
)
def test_a_send_request_that_the_bus_did_not_take(
    stack: Stack, status: int, way: str, state: State, detail_types: list[str]
) -> None:
    for name in BOOKED:
        play(stack, name)
    stack.published()
    with failing("PutEvents", status=status, only=telling("MessageSendRequested")) as requests:
        assert play(stack, TICKS[0]) == summary(**{way: 1})
    assert len(requests) == 1
    assert stack.rows()[0].state is state
    assert [event["detail-type"] for event in stack.published()] == detail_types
    for metric in stack.metrics():
        documented(metric, service="send_appointment_reminders")
    _logs_nothing_personal(stack, *BOOKED)


def test_a_run_without_time_leaves_what_is_due(stack: Stack) -> None:
    for name in BOOKED:
        play(stack, name)
    stack.published()
    answer = stack.invoke("send_appointment_reminders", case(TICKS[0]), at=TICK, seconds_left=10)
    assert answer == summary(left=1)
    (left,) = stack.metrics()
    documented(left, service="send_appointment_reminders")
    assert left["DueMessagesLeft"] == [1]
    assert stack.published() == []
    assert stack.rows()[0].state is State.SCHEDULED


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        *((name, "TABLE_NAME") for name in ONE_OF_EACH),
        ("ingest_message/first_message", "CONTACT_RETENTION_DAYS"),
        ("ingest_message/first_message", "EVENT_BUS_NAME"),
        ("ingest_message/invalid_address_and_instant", "REJECTED_EVENTS_QUEUE_URL"),
        ("plan_messages/appointment_booked", "EVENT_BUS_NAME"),
        ("plan_messages/invalid_naive_instant", "REJECTED_EVENTS_QUEUE_URL"),
        ("record_delivery/unknown_message", "REJECTED_EVENTS_QUEUE_URL"),
        *((name, variable) for name in TICKS for variable in ("TABLE_NAME", "EVENT_BUS_NAME")),
    ],
)
def test_a_missing_variable_is_named(stack: Stack, name: str, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"\\b{variable}\\b"):
        stack.invoke(name.split("/", maxsplit=1)[0], case(name), at=TICK, without={variable})
    assert stack.items() == []
    assert stack.rejected() == []


@pytest.mark.parametrize(("name", "after"), [(TICKS[0], BOOKED), (TICKS[1], TRIED)])
def test_a_sender_without_its_language_sends_nothing(stack: Stack, name: str, after: tuple[str, ...]) -> None:
    for earlier in after:
        play(stack, earlier)
    stack.published()
    with pytest.raises(ConfigurationError, match="DEFAULT_LOCALE"):
        stack.invoke(name.split("/", maxsplit=1)[0], case(name), at=TICK, without={"DEFAULT_LOCALE"})
    assert stack.published() == []
    # Once it is there, the message goes out.
    assert stack.rows()[0].state is State.SCHEDULED


def test_a_providers_own_words_are_not_logged(stack: Stack) -> None:
    """Errors may contain the number, so the log leaves them out. The bus and the table have them."""
    for name in SENT:
        play(stack, name)
    event = case("record_delivery/undelivered")
    event["detail"]["error"] = "cannot reach +44 7700 900142"
    stack.published()
    stack.invoke("record_delivery", event, at=TICK)
    assert "7700" not in stack.printed
    assert stack.rows()[0].error == "cannot reach +44 7700 900142"
    (detail_types,) = stack.published("MessageUndelivered")
    assert detail_types["detail"]["error"] == "cannot reach +44 7700 900142"


def _counts_what_was_not_published(stack: Stack, name: str) -> None:
    service = name.split("/", maxsplit=1)[0]
    for metric in stack.metrics():
        documented(metric, service=service)
    assert [metric for metric in stack.metrics() if "EventsNotPublished" in metric]


def _logs_nothing_personal(stack: Stack, *names: str) -> None:
    for secret in personal(*(case(name) for name in names)):
        assert secret not in stack.printed
