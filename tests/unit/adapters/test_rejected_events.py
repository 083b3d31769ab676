"""The queue of rejected events."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from reengage.adapters.rejected_events import RejectedEventsQueue


@dataclass(slots=True)
class Client:
    sent: list[dict[str, str]] = field(default_factory=list)

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - AWS's names
        self.sent.append({"url": QueueUrl, "body": MessageBody})


@pytest.mark.parametrize(
    "event",
    [
        {"id": "1", "detail": {"text": "Đặt lịch 🦷\n\t\"'\\", "n": 1.5, "none": None, "deep": [{"": [True]}]}},
        {"detail": {"text": "\x00\x08\ufffe\ud800"}},
        [],
        None,
        "text",
    ],
)
def test_an_event_is_kept_whole(event: Any) -> None:
    client = Client()
    RejectedEventsQueue(client, "https://sqs.example/q")(event, ("$.id: is wrong", "$.time: too"))
    (message,) = client.sent
    assert message["url"] == "https://sqs.example/q"
    # SQS refuses the characters that XML 1.0 does not know; as escapes they all pass.
    assert message["body"].isascii()
    assert message["body"].isprintable()
    assert json.loads(message["body"]) == {"errors": ["$.id: is wrong", "$.time: too"], "event": event}


def test_a_failure_of_the_queue_is_not_swallowed() -> None:
    class Broken:
        def send_message(self, **_: str) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        RejectedEventsQueue(Broken(), "https://sqs.example/q")({}, [])
