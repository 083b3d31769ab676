"""The booking systems of events/examples, run as programs: what they publish is accepted, planned and cancelled."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.simulation import simulate

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "events" / "examples"
NODE_MODULES: Final = ROOT / ".tools" / "node-sdk" / "node_modules"
NUMBER: Final = "+12025550101"

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.enable_socket]


@dataclass
class Bus:
    """PutEvents as the bus answers it; the first ``failures`` calls are refused as by EventBridge: without an
    exception.
    """

    port: int = 0
    failures: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, target: str, authorization: str, body: bytes) -> dict[str, Any]:
        assert target == "AWSEvents.PutEvents"
        assert authorization.startswith("AWS4-HMAC-SHA256 ")
        (entry,) = json.loads(body)["Entries"]
        if self.failures:
            self.failures -= 1
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
        self.entries.append(entry)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": f"event-{len(self.entries)}"}]}

    def events(self) -> list[dict[str, Any]]:
        """Return the events that EventBridge makes of the entries."""
        return [
            {"detail-type": entry["DetailType"], "source": entry["Source"], "detail": json.loads(entry["Detail"])}
            for entry in self.entries
        ]


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = bus.answer(self.headers["X-Amz-Target"], self.headers["Authorization"], body)
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        bus.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        yield bus
        server.shutdown()


def python() -> list[str]:
    return [sys.executable, str(EXAMPLES / "booking.py")]


def node() -> list[str]:
    if not shutil.which("node") or not NODE_MODULES.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("node or its SDK is missing, and under CI=true it must not be: make node-sdk")
        pytest.skip("node or its SDK is missing: make node-sdk")
    return [shutil.which("node") or "", str(EXAMPLES / "booking.cjs")]


@pytest.fixture(params=["python", "node"])
def program(request: pytest.FixtureRequest) -> list[str]:
    return {"python": python, "node": node}[request.param]()


def run(program: list[str], bus: Bus, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME")},
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bus.port}",
        "BUS": "reengage",
        "NODE_PATH": str(NODE_MODULES),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run([*program, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own programs


def test_events_are_accepted_whole(program: list[str], bus: Bus) -> None:
    for action in (("book", "2031-03-20T10:00:00-04:00"), ("move", "2031-03-21T09:00:00-04:00"), ("cancel",)):
        done = run(program, bus, action[0], "a-17", NUMBER, *action[1:])
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"event-{len(bus.entries)}"
    assert [entry["EventBusName"] for entry in bus.entries] == ["reengage"] * 3
    names = [event["detail-type"] for event in bus.events()]
    assert names == ["AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled"]
    for event in bus.events():
        parse_business_event(event | {"time": datetime.now(UTC).isoformat()})


def test_booking_leads_to_a_reminder(program: list[str], bus: Bus) -> None:
    run(program, bus, "book", "a-17", NUMBER, "2031-03-20T10:00:00-04:00")
    (booked,) = bus.events()
    del booked["detail"]["occurred_at"]  # the program's clock is today; the story is in 2031
    wrote = {
        "contact": booked["detail"]["contact"],
        "message_id": "m1",
        "sent_at": "2031-03-10T15:00:00Z",
        "text": "Hi",
    }
    story = [
        {"time": "2031-03-10T15:00:00Z", "detail-type": "MessageReceived", "detail": wrote},
        {"time": "2031-03-10T16:00:00Z", **booked},
    ]
    sent = [line for line in simulate(story) if line.get("detail-type") == "MessageSent"]
    assert [line["at"] for line in sent] == ["2031-03-19T14:00:00Z", "2031-03-20T12:00:00Z"]
    assert "12 Example Street" in sent[0]["detail"]["text"]


def test_event_that_the_bus_refuses_is_sent_again(program: list[str], bus: Bus) -> None:
    bus.failures = 2
    done = run(program, bus, "cancel", "a-17", NUMBER)
    assert (done.returncode, len(bus.entries)) == (0, 1)


def test_event_that_the_bus_never_takes_is_an_error(program: list[str], bus: Bus) -> None:
    bus.failures = 9
    done = run(program, bus, "cancel", "a-17", NUMBER)
    assert done.returncode != 0
    assert "the bus did not take AppointmentCancelled: ThrottlingException" in done.stderr
