"""Two versions of the app on one table: the first one from the history, and this one.

    PYTHONPATH=layers/reengage python -m tests.upgrade.versions > tests/upgrade/first_version.json

writes anew what the first version stored: ``FIRST`` plays ``STORY``.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from tests.local import dynamodb_local
from tests.template_resources import table_definition

ROOT: Final = Path(__file__).parents[2]
DRIVER: Final = Path(__file__).with_name("driver.py")
DATA: Final = Path(__file__).with_name("first_version.json")

FIRST: Final = "884e36cfc870150436e3646340723ae6e500eba8"
"""The last commit before the first version with a number; what it stored must be read for ever."""

TABLE: Final = "reengage-table"
TICK: Final = "2031-03-19T15:00:00+00:00"
"""The first reminder is due then, and the first follow-up has been for an hour."""

Step = Mapping[str, Any]

STOPPED: Final = {"brand": "acme-dental", "channel": "sms", "address": "+447700900199"}
"""A contact who opted out, and has an appointment."""


def event(detail_type: str, at: str, **detail: Any) -> dict[str, Any]:
    """Return an event as EventBridge delivers it."""
    envelope = {"version": "0", "id": f"{detail_type}-{at}", "source": "clinic", "account": "111122223333"}
    return envelope | {"region": "us-east-1", "resources": [], "detail-type": detail_type, "time": at, "detail": detail}


def step(function: str, detail_type: str, at: str, **detail: Any) -> Step:
    """Return a step: a function gets an event at its own time."""
    return {"function": function, "event": event(detail_type, at, **detail), "at": at}


STORY: Final[Sequence[Step]] = (
    step(
        *("ingest_message", "MessageReceived", "2031-03-04T09:00:00Z"),
        contact=STOPPED,
        message_id="m-1",
        sent_at="2031-03-04T09:00:00Z",
        text="Hello",
    ),
    step(
        *("plan_messages", "AppointmentBooked", "2031-03-04T09:05:00Z"),
        contact=STOPPED,
        appointment_id="A-STOPPED",
        starts_at="2031-03-20T15:00:00Z",
        timezone="Europe/London",
    ),
    step(
        *("ingest_message", "MessageReceived", "2031-03-04T09:10:00Z"),
        contact=STOPPED,
        message_id="m-2",
        sent_at="2031-03-04T09:10:00Z",
        text="STOP",
    ),
    {"case": "plan_messages/brand_configured", "at": "2031-03-03T09:00:00+00:00"},
    {"case": "ingest_message/first_message", "at": "2031-03-03T09:14:07+00:00"},
    {"case": "ingest_message/with_profile", "at": "2031-03-05T09:14:07+00:00"},
    {"case": "plan_messages/appointment_booked", "at": "2031-03-05T11:05:21+00:00"},
    {"case": "plan_messages/trial_started", "at": "2031-03-06T11:05:21+00:00"},
    {"case": "plan_messages/consent_given", "at": "2031-03-07T11:05:21+00:00"},
    {"case": "plan_messages/interest_shown", "at": "2031-03-08T11:05:21+00:00"},
    {"case": "plan_messages/cart_abandoned", "at": "2031-03-17T11:05:21+00:00"},
    {"case": "plan_messages/product_preview_announced", "at": "2031-03-17T12:00:00+00:00"},
    {"case": "send_appointment_reminders/tick", "at": TICK},
    {"case": "record_delivery/delivered", "at": "2031-03-19T15:01:00+00:00"},
)


@dataclass(frozen=True)
class Version:
    """A source tree of the app, on one table."""

    tree: Path
    endpoint: str

    def play(self, *steps: Step) -> list[dict[str, Any]]:
        """Play the steps in one process, and return their outcomes."""
        lines = "".join(json.dumps(step) + "\n" for step in steps)
        path = os.pathsep.join((str(self.tree), str(self.tree / "layers" / "reengage")))
        ran = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, str(DRIVER), self.endpoint],
            input=lines,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            cwd=self.tree,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{self.tree.name}: {ran.stderr[-2000:]}")
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"answer"')]


def is_in_history() -> bool:
    """Whether the first version can be taken from the history of this clone."""
    found = subprocess.run(["git", "cat-file", "-e", FIRST], cwd=ROOT, check=False, capture_output=True)  # noqa: S603, S607 - the same
    return found.returncode == 0


@contextmanager
def first_version(endpoint: str) -> Iterator[Version]:
    """The tree of the first version, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="first-version-") as folder:
        archive = Path(folder) / "tree.tar"
        subprocess.run(["git", "archive", "-o", str(archive), FIRST], cwd=ROOT, check=True)  # noqa: S603, S607 - the same
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        yield Version(Path(folder), endpoint)


def items(endpoint: str) -> list[dict[str, Any]]:
    """Return all that the table holds, in DynamoDB's own JSON."""
    found: list[dict[str, Any]] = _client(endpoint).scan(TableName=TABLE)["Items"]
    return found


def fill(endpoint: str, stored: Sequence[Mapping[str, Any]]) -> None:
    """Create the table of the template, with these items."""
    client = _client(endpoint)
    client.create_table(TableName=TABLE, **table_definition())
    for item in stored:
        client.put_item(TableName=TABLE, Item=item)


def empty(endpoint: str) -> None:
    """Delete the table."""
    _client(endpoint).delete_table(TableName=TABLE)


def _client(endpoint: str) -> Any:
    session = boto3.Session("test", "test", region_name="us-east-1")
    return session.client("dynamodb", endpoint_url=endpoint)


def main() -> None:
    """Print what the first version stores."""
    with dynamodb_local.running() as endpoint, first_version(endpoint) as first:
        first.play(*STORY)
        stored = sorted(items(endpoint), key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    sys.stdout.write(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
