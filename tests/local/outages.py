"""``python -m tests.local.outages``: a provider that is down for 30 minutes, 2, 6 or 24 hours, with real processes.

Workers are processes that run the deployed functions' own code against Amazon's DynamoDB Local: one plans appointments,
two at once send, each with many threads. While the provider is down, nothing listens at its address. The clock of the
workers is the outage's: it is moved on from run to run, and runs on within one. At the end:

- the provider has each message at most once, in order of deadline as far as threads allow;
- each message that was valid when the provider came back is ``sent``; any other is ``skipped`` with the reason;
- the bus has the outcome of each message.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import boto3
import pytest

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event
from reengage.bootstrap import ingest, sending
from reengage.bootstrap import plan as planning
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.usecases.send_due_messages import WORKERS
from tests.local import dynamodb_local
from tests.local.kills import BRAND, INVOCATION, KEY, TABLE, Log, stub, variables
from tests.local.message_provider import VARIABLE
from tests.local.processes import ForkedCall, exit_code, forked, free_port
from tests.template_resources import table_definition

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
OUTAGES: Final = {"30 minutes": HOUR / 2, "2 hours": 2 * HOUR, "6 hours": 6 * HOUR, "24 hours": 24 * HOUR}

REMINDERS: Final = 48
"""Appointments, whose reminders are due one after the other while the provider is down."""

SENDERS: Final = 2
"""Processes that send at once."""

LOOKS: Final = 8
"""Runs while the provider is down; each minute of an outage would take hours."""

AFTERWARDS: Final = 18
"""Minutes after the outage, each with a run: longer than the longest wait before a message is tried again."""

OUTCOMES: Final = {State.SENT: "MessageSent", State.SKIPPED: "MessageSkipped"}


@dataclass(frozen=True, slots=True)
class Outage:
    """``begins`` is the instant at which the provider goes down, and the first reminder is due."""

    lasts: timedelta
    begins: datetime

    @property
    def ends(self) -> datetime:
        return self.begins + self.lasts

    def contact(self, number: int) -> Contact:
        return Contact(BRAND, "sms", f"+1202555{3000 + number:04}")

    def events(self) -> list[dict[str, Any]]:
        """Each person writes and books; the reminder is due a day before the start, and valid until then."""
        events: list[dict[str, Any]] = []
        at = self.begins - HOUR
        for number in range(REMINDERS):
            contact = {"brand": BRAND, "channel": "sms", "address": self.contact(number).address}
            starts_at = self.begins + number * self.lasts / REMINDERS + timedelta(days=1)
            written = {"contact": contact, "message_id": f"m-{number}", "sent_at": at.isoformat(), "text": "Hello"}
            booked = {"contact": contact, "appointment_id": f"a-{number}", "starts_at": starts_at.isoformat()}
            booked |= {"remind_before": ["P1D"], "timezone": "America/New_York"}
            for detail_type, detail in (("MessageReceived", written), ("AppointmentBooked", booked)):
                envelope = {"id": f"{number}-{detail_type}", "source": "test", "time": at.isoformat()}
                events.append({**envelope, "detail-type": detail_type, "detail": detail})
        return events

    def runs(self) -> list[datetime]:
        """Return the instants of the runs: while the provider is down, and each minute after it."""
        down = [self.begins + number * self.lasts / LOOKS for number in range(LOOKS)]
        return [*down, *(self.ends + number * MINUTE for number in range(AFTERWARDS))]


@dataclass(slots=True)
class Result:
    states: Counter[str] = field(default_factory=Counter)
    provided: int = 0
    runs: int = 0
    problems: list[str] = field(default_factory=list)


def plan(outage: Outage) -> None:
    """Handle the events as the functions of the bus's rules do, an hour before the outage."""
    at = outage.begins - HOUR
    for app in (ingest.app(), planning.app()):
        app.clock = lambda: at  # type: ignore[method-assign] # the outage has a time of its own
    for event in outage.events():
        if event["detail-type"] == "MessageReceived":
            ingest.app().ingest(inbound_message(event), milliseconds=INVOCATION)
        else:
            planning.app().handle(parse_business_event(event))


def send(at: datetime, address: str) -> None:
    """Run one invocation of the function that sends reminders, at an instant; the provider is at ``address``."""
    os.environ[VARIABLE] = address
    app, begun = sending.app(), time.monotonic()
    app.clock = lambda: at + timedelta(seconds=time.monotonic() - begun)  # type: ignore[method-assign] # the same
    app.send_due("appointments", milliseconds=INVOCATION)


def warm() -> None:
    """Build what does not depend on the provider's address before any worker is forked, as on Lambda."""
    for app in (ingest.app(), planning.app(), sending.app()):
        _ = app.store, app.publish
    _ = sending.app().render


def play(outage: Outage, up: str, down: str) -> int:
    """Play the outage in processes; return the number of runs."""
    warm()
    if code := exit_code(forked(plan, outage)):
        raise RuntimeError(f"a planner ended with {code}")
    runs = 0
    for at in outage.runs():
        senders = [forked(send, at, down if at < outage.ends else up) for _ in range(SENDERS)]
        codes = [exit_code(pid) for pid in senders]
        if any(codes):
            raise RuntimeError(f"senders ended with {codes}")
        runs += len(senders)
    return runs


def run(outage: Outage) -> Result:
    """Play the outage on a fresh table, and compare the logs with it."""
    log, result = Log(), Result()
    player = ForkedCall(partial(play, outage))  # first: only a process without threads may be forked
    with dynamodb_local.running() as database, stub(log, 1) as services, pytest.MonkeyPatch.context() as patch:
        given = variables(database, services)
        for name, value in given.items():
            patch.setenv(name, value)
        boto3.client("dynamodb").create_table(TableName=TABLE, **table_definition())
        result.runs = player.run(given, services, f"http://127.0.0.1:{free_port()}")
        store = DynamoDBStore.connect(TABLE, workers=1, hash_key=lambda: KEY)
        rows = [row for n in range(REMINDERS) for row in store.read_holdings(outage.contact(n)).scheduled]
    _compare(result, outage, log, rows)
    return result


def _compare(result: Result, outage: Outage, log: Log, rows: Sequence[ScheduledMessage]) -> None:
    """Note what is wrong."""
    result.provided, result.states = len(log.provided), Counter(str(row.state) for row in rows)
    result.problems += [f"{name} was handed over {n} times" for name, n in Counter(log.provided).items() if n > 1]
    if len(rows) != REMINDERS:
        result.problems.append(f"{REMINDERS} messages were planned, and the table has {len(rows)}")
    events = {(detail.get("scheduled_message_id"), detail_type) for detail_type, detail in log.published}
    for row in rows:
        wanted = State.SENT if row.valid_until > outage.ends else State.SKIPPED
        if row.state is not wanted:
            result.problems.append(f"{row.subject.id}, valid until {row.valid_until}, is {row.state} {row.rule or ''}")
        elif (row.scheduled_message_id, OUTCOMES[wanted]) not in events:
            result.problems.append(f"{row.subject.id} is {row.state}, and the bus has no {OUTCOMES[wanted]}")
        if row.state is State.SKIPPED and (row.rule, bool(row.error)) != ("too_late", True):
            result.problems.append(f"{row.subject.id} is skipped by {row.rule}, with the error {row.error}")
    deadlines = {row.scheduled_message_id: row.valid_until for row in rows}
    handed = [deadlines[name] for name in log.provided]
    overtaken = [sum(other > deadline for other in handed[:place]) for place, deadline in enumerate(handed)]
    if max(overtaken, default=0) > SENDERS * WORKERS:
        result.problems.append(f"{max(overtaken)} messages with a later deadline were sent before one")


def main(names: Sequence[str]) -> int:
    if why := dynamodb_local.why_unavailable():
        raise SystemExit(f"DynamoDB Local cannot run: {why}")
    wrong = 0
    for name in names or OUTAGES:
        begins = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
        begun = time.monotonic()
        result = run(Outage(OUTAGES[name], begins))
        wrong += bool(result.problems)
        sys.stdout.write(
            f"{name}: {result.runs} runs in {time.monotonic() - begun:.0f} s; {dict(result.states)}; "
            f"{result.provided} calls that the provider took\n"
        )
        for problem in result.problems:
            sys.stdout.write(f"  wrong: {problem}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
