"""What a message uses: units, requests, events, CPU, log bytes and metrics, of the real functions on DynamoDB Local.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.units [--json FILE]

The first message to each contact and the first call of each function are not counted. Amazon DynamoDB bills some reads
that DynamoDB Local does not: a key without an item, and an empty query. They are counted as Amazon bills them.
"""

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from reengage.domain.instants import iso
from reengage.observability import METRICS
from reengage.usecases.send_due_messages import WORKERS
from tests.benchmarks.laboratory import BRAND, ROOT, SMS_NUMBER, Laboratory, Used, laboratory
from tests.template_resources import functions

BEGINS: Final = datetime(2026, 12, 7, 15, 0, 5, tzinfo=UTC)
"""Ten in the morning in New York."""

STARTS: Final = datetime(2026, 12, 10, 20, tzinfo=UTC)
PERSONS: Final = 24
"""Bookings, and reminders of one minute: a million a month, evenly spread, are 23 a minute."""

RECIPIENTS: Final = 240
"""Of the announcement, at least ``PERSONS``: enough that its 16 shards cost little a recipient."""

PARAMETERS: Final = {"Routes": f"{BRAND}/sms/aws/{SMS_NUMBER}"}
"""AWS End User Messaging delivers, and reports each delivery by SNS."""

ITEM_OVERHEAD: Final = 100
"""Bytes of an item that DynamoDB bills beside its content (Amazon DynamoDB, "Pricing": storage)."""

DAY: Final = 86400


@dataclass(slots=True)
class Step:
    """What one function used, for one unit of its scenario."""

    function: str
    memory: int
    invocations: float
    cpu_ms: float
    requests: float
    log_bytes: float
    log_lines: float
    workers: int = 1


@dataclass(slots=True)
class Scenario:
    """What one message uses, or one month. ``byte_days``: bytes in the table, each for as long as it is kept."""

    name: str
    steps: list[Step] = field(default_factory=list)
    writes: float = 0
    reads: float = 0
    events_in: float = 0
    events_out: dict[str, float] = field(default_factory=dict)
    relayed: float = 0
    sns: float = 0
    byte_days: float = 0
    series: list[str] = field(default_factory=list)

    def add(self, lab: Laboratory, folder: str, used: Used, units: float, *, workers: int = 1) -> None:
        """Add what the invocations used, divided by ``units``."""
        memory = lab.function(folder).memory
        requests = sum(used.calls.values()) / units
        self.steps.append(
            Step(
                folder,
                memory,
                used.invocations / units,
                used.cpu * 1000 / units,
                requests,
                used.log_bytes / units,
                used.log_lines / units,
                workers,
            )
        )
        self.writes += used.writes / units
        self.reads += used.reads / units
        for event, _ in used.published:
            if event in METRICS:
                self.events_out[event] = self.events_out.get(event, 0) + 1 / units
            else:  # the function passed on what a provider reported
                self.relayed += 1 / units
        self.series = sorted({*self.series, *used.series})


def envelope(detail_type: str, detail: Mapping[str, Any], at: datetime, number: int, source: str) -> dict[str, Any]:
    """Return an event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": f"538be29f-85a3-52b9-9fab-{number:012}",
        "detail-type": detail_type,
        "source": source,
        "account": "111122223333",
        "time": iso(at),
        "region": "us-east-1",
        "resources": [],
        "detail": dict(detail),
    }


def contact(number: int) -> dict[str, str]:
    return {"brand": BRAND, "channel": "sms", "address": f"+1202555{1000 + number:04}"}


def inbound(number: int, message: int, at: datetime) -> dict[str, Any]:
    """Return what a person writes, as the SMS gateway of a business puts it on the bus."""
    detail = {
        "contact": contact(number),
        "message_id": f"SM{message:032}",
        "sent_at": iso(at),
        "text": "Can I come a little later?",
        "timezone": "America/New_York",
    }
    return envelope("MessageReceived", detail, at, message, "sms.gateway")


def booking(number: int, at: datetime) -> dict[str, Any]:
    """Return a booking that leads to the two reminders of the defaults."""
    detail = {
        "contact": contact(number),
        "appointment_id": f"7d{number:030}",
        "starts_at": iso(STARTS),
        "timezone": "America/New_York",
        "location": "Main Street 1",
    }
    return envelope("AppointmentBooked", detail, at, 10_000 + number, "booking.system")


def announcement(at: datetime) -> dict[str, Any]:
    detail = {
        "brand": BRAND,
        "announcement_id": "winter-2026",
        "date": "2026-12-24",
        "closed": True,
        "send_at": iso(at),
        "timezone": "America/New_York",
    }
    return envelope("HolidayHoursAnnounced", detail, at, 20_000, "back.office")


def receipts(sent: Sequence[tuple[str, dict[str, Any]]], at: datetime) -> list[dict[str, Any]]:
    """Return the receipt of each sent message, as SNS gives it to a function."""
    case = (ROOT / "events" / "webhook" / "aws_receipt.json").read_text(encoding="utf-8")
    calls = []
    for detail_type, detail in sent:
        if detail_type != "MessageSent":
            continue
        call = json.loads(case)
        [record] = call["Records"]
        message = json.loads(record["Sns"]["Message"])
        message |= {
            "destinationPhoneNumber": detail["contact"]["address"],
            "originationPhoneNumber": SMS_NUMBER,
            "messageId": detail["provider_message_id"],
            "eventTimestamp": int(at.timestamp() * 1000),
            "context": {
                "scheduled_message_id": detail["scheduled_message_id"],
                "brand": BRAND,
                "channel": "sms",
            },
        }
        record["Sns"] |= {"Message": json.dumps(message), "Timestamp": iso(at)}
        calls.append(call)
    return calls


def _deliver(
    lab: Laboratory, into: Scenario, sent: Sequence[tuple[str, dict[str, Any]]], at: datetime, units: float
) -> None:
    """Report each delivery to the functions that the template subscribes to the topic of AWS's notifications.

    Raises ``SystemExit`` if they do not record all of them.
    """
    calls = receipts(sent, at)
    into.sns += len(calls) / units
    for folder in subscribers():
        recorded = lab.invoke(folder, calls, at + timedelta(seconds=1))
        if recorded.answers != [{"receipts": 1, "recorded": 1}] * len(calls):
            raise SystemExit(f"{folder} did not record the receipts: {recorded.answers}")
        into.add(lab, folder, recorded, units)


def subscribers() -> list[str]:
    """Return the folder of each function to which SNS delivers what AWS publishes, by the template."""
    return [
        properties["CodeUri"].removeprefix("functions/")
        for properties in functions().values()
        if any(event["Type"] == "SNS" for event in properties.get("Events", {}).values())
    ]


def _warm(lab: Laboratory, recipients: int) -> None:
    """Let each function have its first call, and each contact its first message."""
    lab.invoke("ingest_message", [inbound(n, n, BEGINS) for n in range(recipients)], BEGINS)
    for folder in SENDERS:
        lab.invoke(folder, [TICK], BEGINS)
    # One more person gets all, from the booking to the receipt, before anything is counted.
    person, at = recipients, BEGINS
    lab.invoke("ingest_message", [inbound(person, 50_000, at)], at)
    early = booking(person, at)
    # Its only reminder: another one would be due in a run that counts as idle.
    early["detail"] |= {"starts_at": iso(BEGINS + timedelta(days=1, minutes=5)), "remind_before": ["P1D"]}
    lab.invoke("plan_messages", [early], at)
    at = BEGINS + timedelta(minutes=6)
    sent = lab.invoke("send_appointment_reminders", [TICK], at).published
    _deliver(lab, Scenario("first"), sent, at, 1)


TICK: Final = {"scheduled_at": "<aws.scheduler.scheduled-time>"}
SENDERS: Final = ("send_appointment_reminders", "send_trial_follow_ups", "send_updates")


def _kept(lab: Laboratory, at: datetime) -> dict[tuple[str, str], float]:
    """Return for each item its bytes times the days that it is kept from ``at`` on; what never expires, for 30 days."""
    found = {}
    for item in lab.items():
        size = ITEM_OVERHEAD + sum(
            len(name) + len(next(iter(value.values())).encode() if isinstance(next(iter(value.values())), str) else b"")
            for name, value in item.items()
        )
        # An index has a copy of the keys, and for the due index the deadline.
        size += sum(ITEM_OVERHEAD + 120 for index in ("due_shard", "audience_shard", "day_shard") if index in item)
        expires_at = item.get("expires_at", {}).get("N")
        days = (int(expires_at) - at.timestamp()) / DAY if expires_at else 30
        found[item["pk"]["S"], item["sk"]["S"]] = size * days
    return found


def measure_inbound(lab: Laboratory) -> Scenario:
    """Of a known contact, half an hour after the last message."""
    scenario, before = Scenario("inbound"), _kept(lab, BEGINS)
    at = BEGINS + timedelta(minutes=30)
    used = lab.invoke("ingest_message", [inbound(n, 1000 + n, at) for n in range(PERSONS)], at + timedelta(seconds=1))
    scenario.add(lab, "ingest_message", used, PERSONS)
    scenario.events_in = 1
    scenario.byte_days = (sum(_kept(lab, BEGINS).values()) - sum(before.values())) / PERSONS
    return scenario


def measure_reminders(lab: Laboratory) -> Scenario:
    """Half a booking, the reminder that it planned, and its receipt; without the run that each minute has anyway."""
    scenario, before = Scenario("reminder"), _kept(lab, BEGINS)
    at, reminders = BEGINS + timedelta(minutes=40), PERSONS * 2
    planned = lab.invoke("plan_messages", [booking(n, at) for n in range(PERSONS)], at + timedelta(seconds=1))
    if sum(answer["planned"] for answer in planned.answers) != reminders:
        raise SystemExit(f"not every reminder was planned: {planned.answers}")
    scenario.add(lab, "plan_messages", planned, reminders)
    scenario.events_in = PERSONS / reminders
    for before_start in (timedelta(days=1), timedelta(hours=2)):
        at = STARTS - before_start + timedelta(seconds=20)
        idle = lab.invoke("send_appointment_reminders", [TICK], at - timedelta(minutes=5))
        run = lab.invoke("send_appointment_reminders", [TICK], at)
        if run.answers[0]["sent"] != PERSONS:
            raise SystemExit(f"not every reminder was sent: {run.answers}")
        scenario.add(lab, "send_appointment_reminders", _without(run, idle), reminders, workers=WORKERS)
        _deliver(lab, scenario, run.published, at + timedelta(seconds=15), reminders)
    scenario.byte_days = (sum(_kept(lab, BEGINS).values()) - sum(before.values())) / reminders
    return scenario


def _without(run: Used, idle: Used) -> Used:
    """Return what the run used beyond a run with nothing due."""
    calls = {name: count - idle.calls.get(name, 0) for name, count in run.calls.items()}
    return Used(
        0,
        run.cpu - idle.cpu,
        calls,
        run.writes - idle.writes,
        run.reads - idle.reads,
        run.log_bytes - idle.log_bytes,
        run.log_lines - idle.log_lines,
        run.metric_bytes,
        run.series,
        run.published,
        run.answers,
    )


def measure_announcement(lab: Laboratory, recipients: int) -> Scenario:
    """One recipient's share of an announcement to all, with the receipt."""
    scenario, before = Scenario("announcement"), _kept(lab, BEGINS)
    at = BEGINS + timedelta(hours=5)
    planned = lab.invoke("plan_messages", [announcement(at)], at)
    recipients += 1  # the person that was first
    scenario.add(lab, "plan_messages", planned, recipients)
    scenario.events_in = 1 / recipients
    sent: list[tuple[str, dict[str, Any]]] = []
    for minute in range(1, 5):
        run = lab.invoke("send_updates", [TICK], at + timedelta(minutes=minute))
        scenario.add(lab, "send_updates", run, recipients, workers=WORKERS)
        sent += [each for each in run.published if each[0] == "MessageSent"]
        if not run.answers[0]["due"]:
            break
    if len(sent) != recipients:
        raise SystemExit(f"{len(sent)} of {recipients} announcements were sent")
    _deliver(lab, scenario, sent, at + timedelta(minutes=6), recipients)
    scenario.byte_days = (sum(_kept(lab, BEGINS).values()) - sum(before.values())) / recipients
    return scenario


def measure_quiet_minute(lab: Laboratory) -> Scenario:
    """Of ten minutes with nothing due, in which the pauses and silences are looked at once: the average one."""
    scenario, minutes = Scenario("quiet minute"), 10
    for folder in SENDERS:
        for minute in range(minutes):
            used = lab.invoke(folder, [TICK], BEGINS + timedelta(days=20, minutes=minute))
            scenario.add(lab, folder, used, minutes, workers=WORKERS)
    scenario.steps = [_sum([step for step in scenario.steps if step.function == folder]) for folder in SENDERS]
    return scenario


def _sum(steps: Sequence[Step]) -> Step:
    numbers = ("invocations", "cpu_ms", "requests", "log_bytes", "log_lines")
    return replace(steps[0], **{name: sum(getattr(step, name) for step in steps) for name in numbers})


def measure(recipients: int = RECIPIENTS) -> dict[str, Any]:
    """Measure all scenarios, and say where and when."""
    with laboratory(**PARAMETERS) as lab:
        _warm(lab, recipients)
        found = [
            measure_inbound(lab),
            measure_reminders(lab),
            measure_announcement(lab, recipients),
            measure_quiet_minute(lab),
        ]
    return {
        "source": {
            "command": "python -m tests.benchmarks.units",
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": f"CPython {platform.python_version()}, {platform.machine()}, DynamoDB Local",
            "provider": "AWS End User Messaging SMS, receipts by SNS",
            "parameters": PARAMETERS,
        },
        "scenarios": {scenario.name: asdict(scenario) for scenario in found},
    }


def table(figures: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines."""
    columns = ("write", "read", "events", "requests", "CPU ms", "log bytes", "series")
    lines = [f"{'of one':16}" + "".join(f"{column:>11}" for column in columns)]
    for name, scenario in figures["scenarios"].items():
        steps = scenario["steps"]
        events = scenario["events_in"] + scenario["relayed"] + sum(scenario["events_out"].values())
        values = (
            scenario["writes"],
            scenario["reads"],
            events,
            sum(step["requests"] for step in steps),
            sum(step["cpu_ms"] for step in steps),
            sum(step["log_bytes"] for step in steps),
            len(scenario["series"]),
        )
        lines.append(f"{name:16}" + "".join(f"{value:11.2f}" for value in values))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args()
    figures = measure()
    sys.stdout.write("\n".join(table(figures)) + "\n")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
