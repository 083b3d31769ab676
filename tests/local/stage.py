"""The people, business systems and listeners around the deployed app while each of its reasons is played.

Every event waits until its function has run, so that one process of each function is enough. The schedules are disabled
while events are published, and then fire by themselves. So even on a slow machine, messages are undone before they
could be sent.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.local.demo import NOON, Story, functions
from tests.local.emulator import Emulator, Say

LEAD: Final = timedelta(seconds=45)
"""How far ahead a message is planned: longer than any event takes to arrive."""

PATIENCE: Final = timedelta(minutes=5)
WINDOW: Final = timedelta(days=30)

BRAND: Final = "acme"
NAME: Final = "Acme Living"
"""The brand's name in its texts; a brand that is not configured uses its id."""

HELLO: Final = "Hello, is there any news?"

SEND_FUNCTIONS: Final = (
    "SendAppointmentRemindersFunctionArn",
    "SendTrialFollowUpsFunctionArn",
    "SendUpdatesFunctionArn",
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    brand: str
    address: str
    wrote_at: datetime | None
    channel: str = "sms"

    @property
    def closes_at(self) -> datetime:
        """Return when the window of the first message closes."""
        assert self.wrote_at
        return self.wrote_at + WINDOW

    @property
    def contact(self) -> dict[str, str]:
        return {"brand": self.brand, "channel": self.channel, "address": self.address}

    @property
    def pk(self) -> str:
        return f"CONTACT#{self.brand}#{self.channel}#{self.address}"


@dataclass(frozen=True, slots=True)
class Message:
    """One expected message of a case, and its end.

    ``due_at`` is the documented instant; ``None`` for a reply, which is due at once. ``first`` is its state before
    anything was undone or sent; ``None`` if it does not exist yet. ``sent_before``: it is pulled forward, before
    that instant.
    """

    row: str
    story: str
    person: Person
    reason: str
    subject: str
    step: str
    due_at: datetime | None
    first: str | None = "scheduled"
    ends: str = "sent"
    rule: str = ""
    must_contain: tuple[str, ...] = ()
    must_not_contain: str = ""
    sent_before: datetime | None = None

    def __str__(self) -> str:
        return f"{self.row}, {self.story}: {self.reason} {self.subject} {self.step}"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One broadcast, and the answer that the app must give about its progress at the end."""

    row: str
    named: Mapping[str, str]
    due_at: datetime
    state: str = "done"
    planned: int = 0
    sent: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.row}, the broadcast {dict(self.named)}"


@dataclass(frozen=True, slots=True)
class Closing:
    """A ``ConversationClosing`` that must be published once, with the subject ids of what is due after the window."""

    person: Person
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The scheduled messages in the table, all published events, and the progress of each broadcast."""

    rows: list[Json]
    received: list[Json]
    progress: list[Json]

    def published(self, detail_type: str) -> list[Json]:
        return [event["detail"] for event in self.received if event["detail-type"] == detail_type]


class Stage(Story):
    """The events of every reason, and the expected outcome."""

    def __init__(self, aws: Emulator, outputs: Mapping[str, str]) -> None:
        super().__init__(aws, outputs)
        self.ask = functions(aws, outputs)
        self.scheduler = aws.session.client("scheduler", endpoint_url=aws.endpoint_url)
        self.logs = aws.session.client("logs", endpoint_url=aws.endpoint_url)
        functions_of = aws.session.client("lambda", endpoint_url=aws.endpoint_url)
        self.log_groups = {
            output: functions_of.get_function_configuration(FunctionName=arn)["LoggingConfig"]["LogGroup"]
            for output, arn in outputs.items()
            if output.endswith("FunctionArn")
        }
        self.queue = self.listen()
        self.received: list[Json] = []
        self.row = ""
        self.people = 0
        self.messages: list[Message] = []
        self.broadcasts: list[Broadcast] = []
        self.closings: list[Closing] = []
        self.wrong: list[str] = []

    # Events

    def person(self, *, brand: str = BRAND, wrote: timedelta | None = timedelta(days=2), text: str = HELLO) -> Person:
        """Return a new person whose local time is noon; they wrote that long ago, or never."""
        # Numbers reserved for fiction: NANPA 555-0100 to 555-0199.
        person = Person(brand, f"+1202555{100 + self.people:04}", self.now() - wrote if wrote else None)
        self.people += 1
        assert self.people <= 100, "the numbers have run out"
        if person.wrote_at:
            self.writes(person, person.wrote_at, text)
        return person

    def writes(self, person: Person, at: datetime, text: str = HELLO) -> Json:
        """Publish the event; return its detail."""
        detail = {
            "contact": person.contact,
            "message_id": f"message-{uuid.uuid4()}",
            "sent_at": at.isoformat(),
            "text": text,
            "locale": "en",
            "timezone": NOON,
        }
        self.publish("MessageReceived", detail)
        return detail

    def happens(self, detail_type: str, about: Person | str, **fields: Any) -> Json:
        """Publish a business event about a person, or about a brand; return its detail."""
        whose = {"brand": about} if isinstance(about, str) else {"contact": about.contact}
        values = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
        self.publish(detail_type, whose | values)
        return whose | values

    def replan(self, function: str, detail_type: str, detail: Json) -> Json:
        """Deliver the same event again, as the bus may; return the function's answer."""
        answer: Json = self.ask(
            function,
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": detail_type,
                "source": "acme.systems",
                "account": "000000000000",
                "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "region": "us-east-1",
                "resources": [],
                "detail": detail,
            },
        )
        return answer

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC).replace(microsecond=0)

    def soon(self) -> datetime:
        return self.now() + LEAD

    # The expected effects.

    def wants(
        self, story: str, person: Person, reason: str, *, subject: str, step: str, due_at: datetime | None, **more: Any
    ) -> None:
        self.messages.append(Message(self.row, story, person, reason, subject, step, due_at, **more))

    def wants_broadcast(self, named: Mapping[str, str], due_at: datetime, **more: Any) -> None:
        self.broadcasts.append(Broadcast(self.row, named, due_at, **more))

    def wants_closing(self, person: Person, *subjects: str) -> None:
        self.closings.append(Closing(person, subjects))

    def check(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.wrong.append(f"{self.row}, {what}: {found}, not {wanted}")

    # What is seen.

    def schedules(self, *, enabled: bool) -> None:
        """Enable or disable the template's schedules; what they invoke, and how often, stays the same."""
        taken = ("ScheduleExpression", "FlexibleTimeWindow", "Target", "Description", "ScheduleExpressionTimezone")
        names = [schedule["Name"] for schedule in self.scheduler.list_schedules()["Schedules"]]
        assert len(names) == len(SEND_FUNCTIONS), f"not one schedule a send function: {names}"
        for name in names:
            schedule: Any = self.scheduler.get_schedule(Name=name)
            kept = {key: schedule[key] for key in taken if key in schedule}
            self.scheduler.update_schedule(Name=name, State="ENABLED" if enabled else "DISABLED", **kept)

    def look(self) -> Seen:
        while new := self.events_out(self.queue):
            self.received += new
        progress = [self.ask("ExplainFunctionArn", {"broadcast": dict(wanted.named)}) for wanted in self.broadcasts]
        return Seen(self.rows(), self.received, progress)

    def until_all_is_well(self, deviations: Callable[["Stage", Seen], list[str]], say: Say) -> list[str]:
        """Return what still differs when the time is over; return at once if nothing differs."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        known: int | None = None
        while (found := deviations(self, self.look())) and time.monotonic() < deadline:
            if len(found) != known:
                known = len(found)
                say(f"  {known} still to come, the first: {found[0]}")
            time.sleep(1)  # there is nothing to wait on but the table and the queue
        return found

    def failures(self) -> list[str]:
        """Return the errors in the functions' logs: a failing run may still have done all that the tests see."""
        found: list[str] = []
        for output in self.log_groups:
            lines = self._logged(output)
            found += [f"{output}: {line}" for line in lines if '"level":"ERROR"' in line]
            ends = [number for number, line in enumerate(lines) if line.startswith("END RequestId")]
            for end, before in zip(ends, [0, *ends], strict=False):
                run = [line.strip(" |+-") for line in lines[before:end]]
                if any("Traceback (most recent call last)" in line for line in run):
                    found.append(f"{output} failed: {[line for line in run if line][-1]}")
        return found

    def publish(self, detail_type: str, detail: Json) -> None:
        """Put the event on the bus and wait until its function has run."""
        function = "IngestMessageFunctionArn" if detail_type == "MessageReceived" else "PlanMessagesFunctionArn"
        before = self._runs(function)
        self.put(detail_type, detail)
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while self._runs(function) == before:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{detail_type} {detail}: its function did not run within {PATIENCE}")
            time.sleep(0.05)  # there is nothing to wait on but the log

    def _runs(self, output: str) -> int:
        return len(self._logged(output, "REPORT"))

    def _logged(self, output: str, only: str = "") -> list[str]:
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.log_groups[output], filterPattern=only
        )
        return [event["message"] for page in pages for event in page["events"]]
