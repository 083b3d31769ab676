"""The main job, end to end: the real template on a local AWS, and a short story played through its bus.

    make demo

The schedules themselves fire. The table at the end is read back from the deployed system; the demo fails if the
story did not end as it should.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from reengage.cli.explain import ledger
from reengage.cli.stack import Functions
from reengage.report import render_report, report_data
from tests.local import emulator
from tests.local.emulator import Emulator
from tests.local.processes import ROOT, progress

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef, TargetTypeDef

BRAND: Final = "acme-dental"
STACK: Final = "reengage-demo"
PAGE: Final = ROOT / "build" / "demo.html"
NEXT: Final = """\
What next?
  make up                                    keep a local stack, and send your own events to it
  make preview EVENT=events/plan_messages/appointment_booked.json
                                             see what an event would plan
  sam build && sam deploy                    deploy to AWS; README.md has the three commands"""
PATIENCE: Final = timedelta(minutes=3)
PROGRESS: Final = {1: "Ada wrote", 2: "Ben wrote", 9: "Châu, Dora, Emil, Gus, Han, Ida and Jo wrote"}
"""What the demo prints after so many people have written. The first invocations take seconds each."""

LEAD: Final = timedelta(seconds=30)
"""How far ahead the messages are due, so that all events are stored before."""


def zone_where_it_is(hour: int) -> str:
    """Return a time zone in which it is now that hour, so that the story plays at any time of the day.

    A named place: the app does not believe a chat system that reports ``UTC`` or ``Etc/…``.
    """
    now = datetime.now(UTC)
    places = (name for name in sorted(available_timezones()) if name.partition("/")[0] in CONTINENTS)
    return next(name for name in places if now.astimezone(ZoneInfo(name)).hour == hour)


CONTINENTS: Final = frozenset({"Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Pacific"})
NOON: Final = zone_where_it_is(12)
NIGHT: Final = zone_where_it_is(2)


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    channel: str
    address: str
    locale: str = "en"
    timezone: str = NOON

    @property
    def contact(self) -> dict[str, str]:
        return {"brand": BRAND, "channel": self.channel, "address": self.address}


# Numbers reserved for fiction (NANPA 555-01xx, Ofcom).
ADA = Person("Ada", "sms", "+12025550101")
BEN = Person("Ben", "whatsapp", "447700900102", "en-GB")
CHAU = Person("Châu", "sms", "+12025550103", "vi")
DORA = Person("Dora", "rcs", "+12025550104", "de")
EMIL = Person("Emil", "sms", "+12025550105")
FAY = Person("Fay", "sms", "+12025550106")
GUS = Person("Gus", "sms", "+12025550107")
HAN = Person("Han", "sms", "+12025550108")
IDA = Person("Ida", "rcs", "+12025550109", timezone=NIGHT)
JO = Person("Jo", "sms", "+12025550110", "de")


@dataclass(frozen=True, slots=True)
class Ending:
    """The expected end of one message of the story: its state, and the rule that decided."""

    person: Person
    subject: str
    step: str
    state: str
    rule: str = ""
    story: str = ""


ENDINGS: Final = (
    Ending(ADA, "visit-ada", "PT2H", "delivered", story="wrote 3 days ago"),
    Ending(BEN, "trial-ben", "-P3D", "sent", story="wrote 2 hours ago, and tries the product"),
    Ending(BEN, "trial-ben", "P1D", "scheduled", story="follows when the trial has ended"),
    Ending(CHAU, "visit-chau", "PT2H", "skipped", "window_closed", "last wrote 31 days ago"),
    Ending(DORA, "visit-dora", "PT2H", "skipped", "superseded", "moved to the day after: not at the old time"),
    Ending(DORA, "visit-dora/new", "PT2H", "scheduled", story="but at the new one"),
    Ending(EMIL, "visit-emil", "PT2H", "skipped", "cancelled", "cancelled in time"),
    Ending(FAY, "visit-fay", "PT2H", "skipped", "no_conversation", "never wrote"),
    Ending(GUS, "visit-gus", "P1D", "skipped", "too_late", "booked for tonight: one day before is past"),
    Ending(HAN, "visit-han", "PT2H", "skipped", "opted_out", "wrote STOP after booking"),
    Ending(IDA, "trial-ida", "-P3D", "scheduled", "quiet_hours", "it is night in her time zone: held until nine"),
    Ending(IDA, "trial-ida", "P1D", "scheduled", story="follows when the trial has ended"),
    Ending(JO, "message-Jo-2", "PT0S", "sent", story="came back after ten days: greeted at once"),
)


REJECTED: Final = ("$.detail.starts_at", "$.detail-type")
"""The fields for which the story's two bad events must be rejected."""


def main() -> int:
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {line}", flush=True)

    say("Starting a local AWS")
    with emulator.running() as aws:
        outputs = emulator.deploy(aws, STACK, say=say)
        story = Story(aws, outputs)
        queue = story.listen()
        say("Playing the story: people write; a clinic and a shop publish events")
        story.play(say)
        say("Waiting for the schedules, which fire every minute")
        seen = story.wait(queue, say)
        explained = functions(aws, outputs)("ExplainFunctionArn", {"contact": HAN.contact})
        failed = report(seen, list(ledger(explained)), say)
        page = write_page(story.lines)
        print(f"The whole story as a page: {page.relative_to(Path.cwd())}", NEXT, sep="\n")
        say("Stopping the local AWS")
    say("Done. Everything that was started is stopped.")
    return failed


def write_page(lines: list[dict[str, Any]]) -> Path:
    """Write what really happened on the stack as an HTML page, and return its path."""
    page = PAGE
    page.parent.mkdir(exist_ok=True)
    data = report_data(lines, title="Demo: a clinic and a shop")
    page.write_text(render_report(data), encoding="utf-8")
    return page


def functions(aws: Emulator, outputs: Mapping[str, str]) -> Functions:
    """Return the deployed functions, as the program `reengage` calls them."""
    client = aws.session.client("lambda", endpoint_url=aws.endpoint_url)
    return lambda output, event: json.loads(
        client.invoke(FunctionName=outputs[output], Payload=json.dumps(event).encode())["Payload"].read()
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """The scheduled messages of the table, the texts that were sent, by message id, and the rejected events."""

    rows: list[dict[str, Any]]
    texts: Mapping[str, str]
    rejected: list[str]


class Story:
    """The systems around the app: chat, booking and trials on one side, delivery on the other."""

    def __init__(self, aws: Emulator, outputs: Mapping[str, str]) -> None:
        self.outputs = outputs
        self.events = aws.session.client("events", endpoint_url=aws.endpoint_url)
        self.sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
        self.dynamodb = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
        self.lines: list[dict[str, Any]] = []
        """Every event that went in, and every one that came out, for the report page."""

    def listen(self) -> str:
        """Create a queue that receives every event out, as a business system would; return its URL."""
        bus = self.outputs["EventBusName"]
        url: str = self.sqs.create_queue(QueueName="business-system")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        pattern = json.dumps({"source": ["reengage"]})
        self.events.put_rule(Name="business-system", EventBusName=bus, EventPattern=pattern)
        target: TargetTypeDef = {"Id": "queue", "Arn": attributes["QueueArn"]}
        self.events.put_targets(Rule="business-system", EventBusName=bus, Targets=[target])
        return url

    def put(self, detail_type: str, detail: Mapping[str, Any], source: str = "acme.systems") -> None:
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self.outputs["EventBusName"],
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }
        answer = self.events.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"{detail_type}: {answer['Entries'][0]}")
        self.lines.append({"time": datetime.now(UTC).isoformat(), "detail-type": detail_type, "detail": dict(detail)})

    def play(self, say: emulator.Say) -> None:
        """Play the story. Each event waits for the effect of the one before: a first invocation takes seconds here."""
        now = datetime.now(UTC)
        self.put("BrandConfigured", {"brand": BRAND, "name": "Acme Dental"})
        self.until_there_are(1, "brand", "the clinic set its name", say)
        wrote = {ADA: timedelta(days=3), BEN: timedelta(hours=2), CHAU: timedelta(days=31)}
        wrote |= dict.fromkeys((DORA, EMIL, GUS, HAN, IDA, JO), timedelta(days=10))
        for number, (person, ago) in enumerate(wrote.items(), start=1):
            self.put("MessageReceived", message_received(person, now - ago))
            self.until_there_are(number, "contact", PROGRESS.get(number, ""), say)
        self.put("AppointmentBooked", booked(GUS, now + timedelta(hours=3), ["P1D"]))
        self.until_there_are(1, "scheduled_message", "Gus booked for tonight", say)
        self.put("MessageReceived", message_received(JO, datetime.now(UTC), number=2))
        self.until_there_are(2, "scheduled_message", "Jo wrote again, after ten days", say)

        due_at = datetime.now(UTC).replace(microsecond=0) + LEAD
        visit = due_at + timedelta(hours=2)
        for number, person in enumerate((ADA, CHAU, DORA, EMIL, FAY, HAN), start=3):
            self.put("AppointmentBooked", booked(person, visit, ["PT2H"]))
            what = "Ada, Châu, Dora, Emil, Fay and Han booked" if person is HAN else ""
            self.until_there_are(number, "scheduled_message", what, say)
        product = {"en": "Acme Aligners", "de": "Acme-Schienen"}
        ends_at = due_at + timedelta(days=3)
        trial = {"product": product, "ends_at": ends_at.isoformat()}
        self.put("TrialStarted", {"contact": BEN.contact, "trial_id": "trial-ben", **trial})
        self.until_there_are(10, "scheduled_message", "", say)
        self.put("TrialStarted", {"contact": IDA.contact, "trial_id": "trial-ida", **trial})
        self.until_there_are(12, "scheduled_message", "Ben and Ida started a trial", say)
        self.put("AppointmentRescheduled", booked(DORA, visit + timedelta(days=1), ["PT2H"]))
        self.until_there_are(13, "scheduled_message", "Dora moved her appointment to the day after", say)
        self.put("MessageReceived", message_received(HAN, datetime.now(UTC), "Please stop texting me!", number=2))
        self.until_there_are(1, "preferences", "Han asked for no more messages", say)
        self.put("AppointmentCancelled", {"brand": BRAND, "appointment_id": "visit-emil"})
        self.until(
            lambda: "cancelled" in {row.get("rule") for row in self.rows()}, "Emil cancelled his appointment", say
        )
        self.put("AppointmentBooked", booked(GUS, visit, ["PT2H"]) | {"starts_at": "tomorrow"})
        self.put("AppointmentBoked", booked(GUS, visit, ["PT2H"]))
        say("  one event has an invalid time, and one an unknown name")

    def until_there_are(self, count: int, kind: str, what: str, say: emulator.Say) -> None:
        self.until(lambda: len(self.items(kind)) == count, what, say)

    def until(self, done: Callable[[], bool], what: str, say: emulator.Say) -> None:
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: no effect within {PATIENCE}")
            time.sleep(0.1)  # there is nothing to wait on but the table
        if what:
            say(f"  {what}")

    def wait(self, listening: str, say: emulator.Say) -> Seen:
        """Wait until the story has ended, or the time limit is reached; return what was seen."""
        texts: dict[str, str] = {}
        rejected: list[str] = []
        until = time.monotonic() + PATIENCE.total_seconds()
        with progress(say, lambda: f"  {len(problems(Seen(self.rows(), texts, rejected)))} outcomes still to come"):
            return self._wait(listening, until, texts, rejected, say)

    def _wait(self, queue: str, until: float, texts: dict[str, str], rejected: list[str], say: emulator.Say) -> "Seen":
        while True:
            for event in self.events_out(queue):
                detail = event["detail"]
                match event["detail-type"]:
                    case "MessageSendRequested":
                        texts[detail["scheduled_message_id"]] = detail["text"]
                        if detail["contact"]["address"] == ADA.address:  # her provider confirms, Ben's does not
                            delivered = {"status": "delivered", "provider_message_id": "SM1"}
                            report = {name: detail[name] for name in ("contact", "scheduled_message_id")} | delivered
                            self.put("DeliveryReported", report)
                    case "EventRejected":
                        rejected += [f"{detail['rejected_detail_type']}: {error}" for error in detail["errors"]]
                    case "MessageSent" | "MessageHeld" | "MessageSkipped" | "MessageDelivered" as event_type:
                        why = f" ({detail['rule']})" if detail.get("rule") else ""
                        hold_end = f" until {detail['until']}" if event_type == "MessageHeld" else ""
                        say(f"  {event_type} {detail.get('subject_id', '')}{why}{hold_end}")
                    case _:
                        pass
            seen = Seen(self.rows(), texts, rejected)
            if not problems(seen) or time.monotonic() > until:
                return seen
            time.sleep(1)  # nor here

    def events_out(self, url: str) -> list[dict[str, Any]]:
        """Return the events out since the last call."""
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        events = [json.loads(message["Body"]) for message in messages]
        self.lines += [{name: event[name] for name in ("time", "detail-type", "detail")} for event in events]
        return events

    def rows(self) -> list[dict[str, Any]]:
        """Every scheduled message in the deployed table."""
        return self.items("scheduled_message")

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The table's items of one type, each as a flat dictionary."""
        items = self.dynamodb.scan(TableName=self.outputs["TableName"], ConsistentRead=True)["Items"]
        flat = [{name: next(iter(value.values())) for name, value in item.items()} for item in items]
        return [item for item in flat if item["type"] == kind]


HELLO: Final = "Hello, do you have an appointment for me?"


def message_received(person: Person, at: datetime, text: str = HELLO, *, number: int = 1) -> dict[str, Any]:
    return {
        "contact": person.contact,
        "message_id": f"message-{person.name}-{number}",
        "sent_at": at.isoformat(),
        "text": text,
        "locale": person.locale,
        "timezone": person.timezone,
        "display_name": person.name,
    }


def booked(person: Person, starts_at: datetime, remind_before: list[str]) -> dict[str, Any]:
    return {
        "contact": person.contact,
        "appointment_id": f"visit-{person.name.replace('â', 'a').lower()}",
        "starts_at": starts_at.isoformat(),
        "timezone": "Europe/Berlin",
        "location": "12 Garden Street",
        "remind_before": remind_before,
    }


def problems(seen: Seen) -> list[str]:
    """Return what differs from the story's expected outcome."""
    rows = seen.rows
    found = [] if len(seen.rejected) == len(REJECTED) else [f"rejected: {seen.rejected}, not {REJECTED}"]
    found += [f"rejected: no {wanted}" for wanted in REJECTED if not any(wanted in error for error in seen.rejected)]
    for ending in ENDINGS:
        row = row_of(ending, rows)
        if row is None:
            found.append(f"{ending.person.name}: no {ending.step} message")
        elif (row["state"], row.get("rule", "")) != (ending.state, ending.rule):
            found.append(
                f"{ending.person.name}: {row['state']} {row.get('rule', '')}, not {ending.state} {ending.rule}"
            )
    if len(rows) != len(ENDINGS):
        found.append(f"{len(rows)} messages, not {len(ENDINGS)}")
    return found


def row_of(ending: Ending, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the row of an ending; the later of one subject's two is the "new" one."""
    subject, _, new = ending.subject.partition("/")
    found = [row for row in rows if f"#{subject}#{ending.step}#" in row["sk"]]
    found.sort(key=lambda row: row["due_at"])
    return (found[1] if len(found) > 1 else None) if new else (found[0] if found else None)


def report(seen: Seen, explained: list[str], say: emulator.Say) -> int:
    say("The table holds now:")
    head = ("who", "reason", "due (UTC)", "decision", "why", "story")
    lines = []
    for ending in ENDINGS:
        row = row_of(ending, seen.rows)
        if row:
            reason, due = row["sk"].split("#")[1], row["due_at"][:16].replace("T", " ")
            lines.append((ending.person.name, reason, due, row["state"], row.get("rule", "") or "-", ending.story))
    widths = [max(map(len, column)) for column in zip(*[head, *lines], strict=True)]
    for line in [head, tuple("-" * width for width in widths), *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nSent:")
    for row in seen.rows:
        if text := seen.texts.get(row["scheduled_message_id"]):
            print(f"  “{text}”")
    print("Why did Han get nothing? `make explain` shows:", *explained, sep="\n  ")
    print("Rejected events, kept whole in a queue:", *seen.rejected, sep="\n  ")
    if wrong := problems(seen):
        print("The story did not end as it should:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
