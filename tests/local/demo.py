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
from typing import TYPE_CHECKING, Any, Final

from reengage.cli.explain import ledger
from reengage.cli.stack import Functions
from tests.local import emulator
from tests.local.emulator import Emulator

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef, TargetTypeDef

BRAND: Final = "acme-dental"
STACK: Final = "reengage-demo"
PATIENCE: Final = timedelta(minutes=3)
LEAD: Final = timedelta(seconds=30)
"""How far ahead the story's messages are due, so that all its events are in the table before."""


def zone_where_it_is(hour: int) -> str:
    """A time zone in which that hour of the day has just begun, or is about to end: the story is played at any time."""
    ahead = hour - datetime.now(UTC).hour
    # The sign is the other way round in these names, and they go from 14 hours ahead to 12 behind.
    return f"Etc/GMT{-(ahead + 24 if ahead < -12 else ahead):+d}"


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
    """How one message of the story must end: its state, and the rule, if one decided so."""

    person: Person
    subject: str
    step: str
    state: str
    rule: str = ""
    tells: str = ""


ENDINGS: Final = (
    Ending(ADA, "visit-ada", "PT2H", "delivered", tells="wrote 3 days ago"),
    Ending(BEN, "trial-ben", "-P3D", "sent", tells="wrote 2 hours ago, and tries the product"),
    Ending(BEN, "trial-ben", "P1D", "scheduled", tells="follows when the trial has ended"),
    Ending(CHAU, "visit-chau", "PT2H", "skipped", "window_closed", "last heard from 31 days ago"),
    Ending(DORA, "visit-dora", "PT2H", "skipped", "superseded", "moved to the day after: not at the old time"),
    Ending(DORA, "visit-dora/new", "PT2H", "scheduled", tells="but at the new one"),
    Ending(EMIL, "visit-emil", "PT2H", "skipped", "cancelled", "cancelled in time"),
    Ending(FAY, "visit-fay", "PT2H", "skipped", "no_conversation", "never wrote"),
    Ending(GUS, "visit-gus", "P1D", "skipped", "too_late", "booked for tonight: a day before is past"),
    Ending(HAN, "visit-han", "PT2H", "skipped", "opted_out", "wrote STOP after booking"),
    Ending(IDA, "trial-ida", "-P3D", "scheduled", "quiet_hours", "it is night where she is: held until nine"),
    Ending(IDA, "trial-ida", "P1D", "scheduled", tells="follows when the trial has ended"),
    Ending(JO, "message-Jo-2", "PT0S", "sent", tells="came back after ten days, and was greeted at once"),
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
        listening = story.listen()
        say("Playing the story: people write, a clinic and a shop tell what happens")
        story.tell(say)
        say("Waiting for the schedules to fire; they do so every minute")
        told = story.wait(listening, say)
        asked = functions(aws, outputs)("ExplainFunctionArn", {"contact": HAN.contact})
    return report(told, list(ledger(asked)), say)


def functions(aws: Emulator, outputs: Mapping[str, str]) -> Functions:
    """The deployed functions, as an operator's command reaches them."""
    client = aws.session.client("lambda", endpoint_url=aws.endpoint_url)
    return lambda output, event: json.loads(
        client.invoke(FunctionName=outputs[output], Payload=json.dumps(event).encode())["Payload"].read()
    )


@dataclass(frozen=True, slots=True)
class Told:
    """The scheduled messages as the table has them, the texts that were sent, by message id, and what was rejected."""

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

    def listen(self) -> str:
        """A queue on which a business system hears what the app says; returns its URL."""
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

    def tell(self, say: emulator.Say) -> None:
        """Each event waits for what the one before it did: a function's first invocation takes seconds here."""
        now = datetime.now(UTC)
        wrote = {ADA: timedelta(days=3), BEN: timedelta(hours=2), CHAU: timedelta(days=31)}
        wrote |= dict.fromkeys((DORA, EMIL, GUS, HAN, IDA, JO), timedelta(days=10))
        for number, (person, ago) in enumerate(wrote.items(), start=1):
            self.put("MessageReceived", said(person, now - ago))
            self.until_there_are(number, "contact", f"{person.name} wrote", say)
        self.put("AppointmentBooked", booked(GUS, now + timedelta(hours=3), ["P1D"]))
        self.until_there_are(1, "scheduled_message", "Gus booked for tonight", say)
        self.put("MessageReceived", said(JO, datetime.now(UTC), number=2))
        self.until_there_are(2, "scheduled_message", "Jo wrote again, after ten days", say)

        due_at = datetime.now(UTC).replace(microsecond=0) + LEAD
        visit = due_at + timedelta(hours=2)
        for number, person in enumerate((ADA, CHAU, DORA, EMIL, FAY, HAN), start=3):
            self.put("AppointmentBooked", booked(person, visit, ["PT2H"]))
            self.until_there_are(number, "scheduled_message", f"{person.name} booked", say)
        product = {"en": "Acme Aligners", "de": "Acme-Schienen"}
        ends_at = due_at + timedelta(days=3)
        trial = {"product": product, "ends_at": ends_at.isoformat()}
        self.put("TrialStarted", {"contact": BEN.contact, "trial_id": "trial-ben", **trial})
        self.until_there_are(10, "scheduled_message", "Ben started a trial", say)
        self.put("TrialStarted", {"contact": IDA.contact, "trial_id": "trial-ida", **trial})
        self.until_there_are(12, "scheduled_message", "Ida started one, too", say)
        self.put("AppointmentRescheduled", booked(DORA, visit + timedelta(days=1), ["PT2H"]))
        self.until_there_are(13, "scheduled_message", "Dora moved her appointment to the day after", say)
        self.put("MessageReceived", said(HAN, datetime.now(UTC), "Please stop texting me!", number=2))
        self.until_there_are(1, "preferences", "Han asked not to be written to any more", say)
        self.put("AppointmentCancelled", {"brand": BRAND, "appointment_id": "visit-emil"})
        self.until(lambda: "cancelled" in {row.get("rule") for row in self.rows()}, "Emil cancelled his", say)
        self.put("AppointmentBooked", booked(GUS, visit, ["PT2H"]) | {"starts_at": "tomorrow"})
        self.put("AppointmentBoked", booked(GUS, visit, ["PT2H"]))
        say("  one event has a time that is none, and one a name that nobody knows")

    def until_there_are(self, count: int, kind: str, what: str, say: emulator.Say) -> None:
        self.until(lambda: len(self.items(kind)) == count, what, say)

    def until(self, done: Callable[[], bool], what: str, say: emulator.Say) -> None:
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}, and nothing came of it within {PATIENCE}")
            time.sleep(0.1)  # there is nothing to wait on but the table
        say(f"  {what}")

    def wait(self, listening: str, say: emulator.Say) -> Told:
        """What there is to see once the story has ended, or patience has."""
        texts: dict[str, str] = {}
        rejected: list[str] = []
        until = time.monotonic() + PATIENCE.total_seconds()
        while True:
            for event in self.hear(listening):
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
                    case "MessageSent" | "MessageSkipped" | "MessageDelivered" as said_so:
                        say(f"heard {said_so} {detail.get('subject_id', '')} {detail.get('rule', '')}".rstrip())
                    case _:
                        pass
            told = Told(self.rows(), texts, rejected)
            if not problems(told) or time.monotonic() > until:
                return told
            time.sleep(1)  # nor here

    def hear(self, url: str) -> list[dict[str, Any]]:
        """What the app has said since the last time."""
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    def rows(self) -> list[dict[str, Any]]:
        """Every scheduled message in the deployed table."""
        return self.items("scheduled_message")

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The table's items of one type, each as a flat dictionary."""
        items = self.dynamodb.scan(TableName=self.outputs["TableName"], ConsistentRead=True)["Items"]
        flat = [{name: next(iter(value.values())) for name, value in item.items()} for item in items]
        return [item for item in flat if item["type"] == kind]


HELLO: Final = "Hello, do you have an appointment for me?"


def said(person: Person, at: datetime, text: str = HELLO, *, number: int = 1) -> dict[str, Any]:
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


def problems(told: Told) -> list[str]:
    """What is not as the story wants it."""
    rows = told.rows
    found = [] if len(told.rejected) == len(REJECTED) else [f"rejected: {told.rejected}, not {REJECTED}"]
    found += [f"rejected: no {wanted}" for wanted in REJECTED if not any(wanted in error for error in told.rejected)]
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
    """The row that an ending speaks of; of one subject's two, the later is the "new" one."""
    subject, _, new = ending.subject.partition("/")
    found = [row for row in rows if f"#{subject}#{ending.step}#" in row["sk"]]
    found.sort(key=lambda row: row["due_at"])
    return (found[1] if len(found) > 1 else None) if new else (found[0] if found else None)


def report(told: Told, explained: list[str], say: emulator.Say) -> int:
    say("This is what the table holds now")
    print()
    head = ("who", "reason", "due (UTC)", "decision", "why", "story")
    lines = []
    for ending in ENDINGS:
        row = row_of(ending, told.rows)
        if row:
            reason, due = row["sk"].split("#")[1], row["due_at"][:16].replace("T", " ")
            lines.append((ending.person.name, reason, due, row["state"], row.get("rule", "") or "-", ending.tells))
    widths = [max(map(len, column)) for column in zip(*[head, *lines], strict=True)]
    for line in [head, tuple("-" * width for width in widths), *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()
    print("Sent:")
    for row in told.rows:
        if text := told.texts.get(row["scheduled_message_id"]):
            print(f"  “{text}”")
    print("And why did Han get nothing? `make explain` says:", *explained, sep="\n  ")
    print("Rejected, and kept whole in a queue:", *told.rejected, sep="\n  ")
    print()
    if wrong := problems(told):
        print("The story did not end as it should:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    say("Done. Everything that was started is stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
