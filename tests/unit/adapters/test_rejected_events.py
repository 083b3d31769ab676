"""The queue of rejected events."""

import base64
import gzip
import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from reengage.adapters.rejected_events import BODY, RejectedEventsQueue


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


def test_event_too_large_for_a_message_is_kept_whole() -> None:
    """Each of its letters became six characters, and the queue refused it at every retry."""
    client, event = Client(), {"detail": {"text": "ệ" * 60_000}}
    RejectedEventsQueue(client, "https://sqs.example/q")(event, ["$.id: is wrong"])
    body = client.sent[0]["body"]
    assert len(body) <= BODY
    kept = json.loads(body)
    assert kept["errors"] == ["$.id: is wrong"]
    assert json.loads(gzip.decompress(base64.b64decode(kept["gzip"]))) == event


def test_of_one_that_cannot_be_made_small_the_beginning_is_kept() -> None:
    client, event = Client(), random.Random(7).randbytes(300_000).hex()
    RejectedEventsQueue(client, "https://sqs.example/q")(event, ["$.id: is wrong"])
    body = client.sent[0]["body"]
    assert len(body) <= BODY
    assert json.dumps(event).startswith(json.loads(body)["cut"])


@pytest.mark.parametrize("more", [0, 1])
def test_what_just_fits_is_kept_as_it_is(more: int) -> None:
    client = Client()
    frame = len(json.dumps({"errors": [], "event": ""}))
    RejectedEventsQueue(client, "https://sqs.example/q")("x" * (BODY - frame + more), [])
    assert ("event" in json.loads(client.sent[0]["body"])) == (more == 0)


def test_a_failure_of_the_queue_is_not_swallowed() -> None:
    class Broken:
        def send_message(self, **_: str) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        RejectedEventsQueue(Broken(), "https://sqs.example/q")({}, [])
