"""Events out: in batches, in order, and refused entries are published again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from reengage.adapters.eventbridge import EventBus, without
from reengage.domain.events_out import LEFT_OUT, OutEvent
from reengage.errors import NotPublished
from reengage.observability import METRICS

THROTTLED: Final = ClientError({"Error": {"Code": "ThrottlingException", "Message": "too fast"}}, "PutEvents")
UNREACHABLE: Final = EndpointConnectionError(endpoint_url="https://events.example")

Answer = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


@dataclass(slots=True)
class Client:
    """Answer by ``script``, then accept everything."""

    script: list[Answer | Exception] = field(default_factory=list)
    calls: list[list[int]] = field(default_factory=list)
    entries: list[Mapping[str, Any]] = field(default_factory=list)

    def put_events(self, *, Entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:  # noqa: N803 - AWS's name
        self.calls.append([json.loads(entry["Detail"])["n"] for entry in Entries])
        self.entries += Entries
        answer = self.script.pop(0) if self.script else refusing()
        if isinstance(answer, Exception):
            raise answer
        return answer(Entries)


def refusing(*numbers: int) -> Answer:
    """Accept every entry except these."""

    def answer(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        failed = [json.loads(entry["Detail"])["n"] in numbers for entry in entries]
        return {
            "FailedEntryCount": sum(failed),
            "Entries": [{"ErrorCode": "InternalFailure"} if fails else {"EventId": "e"} for fails in failed],
        }

    return answer


def events(count: int) -> list[OutEvent]:
    return [OutEvent("MessagePlanned", {"n": n}) for n in range(count)]


def bus(*script: Answer | Exception) -> tuple[EventBus, Client, list[float]]:
    client, pauses = Client(list(script)), list[float]()
    return EventBus(client, "reengage", pauses.append), client, pauses


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_ten_at_once_and_in_order(count: int, sizes: list[int]) -> None:
    publish, client, pauses = bus()
    publish(events(count))
    assert [len(call) for call in client.calls] == sizes
    assert [n for call in client.calls for n in call] == list(range(count))
    assert pauses == []


@pytest.mark.parametrize(("letters", "sizes"), [(20_000, [10]), (60_000, [4, 4, 2]), (300_000, [1] * 10)])
def test_no_more_at_once_than_putevents_takes(letters: int, sizes: list[int]) -> None:
    """Ten long texts of one call made a batch that was refused as a whole, however often the call was repeated."""
    publish, client, _ = bus()
    publish([OutEvent("MessageReceived", {"n": n, "text": "x" * letters}) for n in range(10)])
    assert [len(call) for call in client.calls] == sizes


def test_an_entry() -> None:
    publish, client, _ = bus()
    publish([OutEvent("MessageSent", {"n": 1, "text": "Đặt lịch 🦷", "facts": {"a": [1, None]}})])
    (entry,) = client.entries
    assert {**entry, "Detail": json.loads(str(entry["Detail"]))} == {
        "EventBusName": "reengage",
        "Source": "reengage",
        "DetailType": "MessageSent",
        "Detail": {"n": 1, "text": "Đặt lịch 🦷", "facts": {"a": [1, None]}},
    }


def test_only_what_was_not_taken_is_tried_again() -> None:
    publish, client, pauses = bus(refusing(1, 3), refusing(3))
    publish(events(5))
    assert client.calls == [[0, 1, 2, 3, 4], [1, 3], [3]]
    assert pauses == [0.4, 0.8]


@pytest.mark.parametrize("error", [THROTTLED, UNREACHABLE])
def test_a_call_that_failed_is_tried_again_whole(error: Exception) -> None:
    publish, client, _ = bus(error, error)
    publish(events(2))
    assert client.calls == [[0, 1]] * 3


def test_batch_fails_after_three_tries_and_the_next_starts_anew() -> None:
    publish, client, pauses = bus(refusing(0, 1), THROTTLED, refusing(1))
    with pytest.raises(NotPublished, match="1 of 12 events"):
        publish(events(12))
    assert client.calls == [[*range(10)], [0, 1], [0, 1], [10, 11]]
    assert len(pauses) == 2


def test_what_fails_in_several_batches_adds_up() -> None:
    publish, _, _ = bus(*[THROTTLED] * 3, refusing(), *[UNREACHABLE] * 3)
    with pytest.raises(NotPublished) as raised:
        publish(events(25))
    assert (raised.value.failed, raised.value.total) == (10 + 5, 25)


def test_a_mistake_of_ours_is_not_taken_for_a_failure_of_the_bus() -> None:
    publish, client, _ = bus(ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        publish(events(1))
    assert len(client.calls) == 1


EARLY: Final = {"ConversationStarted", "ConversationRestarted", "MessagePlanned", "MessageHeld"}


@pytest.mark.parametrize(
    ("events_out", "left_out"),
    [("all", set()), ("outcomes", EARLY), ("exceptions", EARLY | {"MessageSent", "MessageDelivered"})],
)
def test_events_out_leaves_events_out(events_out: str, left_out: set[str]) -> None:
    calls: list[list[str]] = []
    publish = without(LEFT_OUT[events_out], lambda events: calls.append([event.type for event in events]))
    publish([OutEvent(name, {}) for name in METRICS])
    assert set(METRICS) - set(calls[0]) == left_out
    for name in left_out:
        publish([OutEvent(name, {})])
    assert len(calls) == 1
