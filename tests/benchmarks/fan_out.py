"""How long 10,000 reminders of one minute take if several runs share them: ``python -m tests.benchmarks.fan_out``.

Each run is a process, with the real sender on DynamoDB Local, and a provider that answers after 50 or 200 ms. This
machine has few cores, so processes beyond them show only that the runs do not disturb each other. The model gives what
they need on Lambda: a run has one vCPU, and 24 workers that wait for the table and the provider.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final, NamedTuple

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.dynamodb.items.base import Item
from reengage.adapters.dynamodb.items.contacts import conversation_item, profile_item
from reengage.adapters.dynamodb.items.messages import row_item
from reengage.adapters.dynamodb.items.subjects import subject_item
from reengage.adapters.dynamodb.requests import Requests
from reengage.adapters.dynamodb.table import Table
from reengage.adapters.memory import MemoryStore
from reengage.adapters.wording import FluentWording
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.events_out import OutEvent
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent, EventEffect, SubjectRef, version_of
from reengage.ports import Accepted, OutboundMessage, Outcome
from reengage.usecases.fan_out import shard_groups
from reengage.usecases.plan_messages import plan_messages
from reengage.usecases.send_due_messages import WORKERS, send_due_messages, summary
from reengage.usecases.send_message import Sender
from tests.benchmarks.broadcast import BRAND, NOON, RUN, audience, write
from tests.contract.stores import HASH_KEY, TABLE, DynamoDB, lean_client
from tests.local import dynamodb_local

BOOKED_BEFORE: Final = timedelta(days=1, hours=2)
STARTS: Final = NOON + BOOKED_BEFORE
DUE: Final = STARTS - timedelta(hours=2)
POLICY: Final = PolicySettings(default_timezone="Europe/Berlin")
RUNS_ON_LAMBDA: Final = 6
"""The default of the parameter SendRuns."""

JAVA_MEMORY: Final = ("-Xmx3g", "-XX:+UseParallelGC")
"""With 10,000 contacts in 512 MB, DynamoDB Local spent a quarter of the time on garbage collection."""


class Measured(NamedTuple):
    """The result of one run. ``handed`` names each message that the provider accepted.

    ``skipped``: those whose window closed since the booking.
    """

    handed: list[str]
    skipped: int
    seconds: float
    cpu: float


@dataclass(slots=True)
class Provider:
    """Accept every message after ``seconds``."""

    seconds: float
    handed: list[str] = field(default_factory=list)

    def routes(self, _contact: Contact) -> Sequence[str]:
        return ["fake"]

    def prepare(self, _contact: Contact, _route: str) -> None:
        """Build nothing."""

    def send(self, outbound: OutboundMessage, _route: str) -> Outcome:
        time.sleep(self.seconds)
        self.handed.append(outbound.message.scheduled_message_id)
        return Accepted("fake", f"fake-{len(self.handed)}")


def send(endpoint: str, shards: Sequence[int], seconds: float) -> Measured:
    """Send what is due in these shards, in this process, until nothing is left."""
    provider, events = Provider(seconds), list[OutEvent]()
    table = Table(Requests(lean_client(endpoint), TABLE), lambda: HASH_KEY)
    begun = time.monotonic()
    ids = iter(range(10**9))
    sender = Sender(
        send_group="appointments",
        settings=POLICY,
        store=DynamoDBStore(table),
        channel=provider,
        render=FluentWording("en"),
        publish=lambda published: events.extend(published),  # noqa: PLW0108 - with the name that a publisher takes
        clock=lambda: DUE + timedelta(seconds=time.monotonic() - begun),
        new_id=lambda: f"claim-{os.getpid()}-{next(ids)}",
        claim_ttl=RUN + timedelta(seconds=75),
    )
    cpu = time.process_time()
    answer = summary(send_due_messages(sender, stop_at=DUE + timedelta(minutes=10), shards=shards))
    skipped = answer["skipped"].get("window_closed", 0)
    measured = Measured(provider.handed, skipped, time.monotonic() - begun, time.process_time() - cpu)
    if answer["sent"] + skipped != answer["due"] or len(events) != answer["due"]:
        # The pool passes this on; it would wait forever for a worker that exits.
        raise RuntimeError(f"not all was sent and published: {answer}, {len(events)} events")
    return measured


def fill(local: DynamoDB, contacts: Sequence[Contact], *, first: int = 0) -> None:
    """Store a reminder that is due now for each contact, as if all had booked an appointment."""
    put(local, booked(contacts, first=first))


def booked(contacts: Sequence[Contact], *, first: int = 0, now: datetime = NOON) -> list[dict[str, Any]]:
    """Return the items of a table in which each contact books an appointment now, in DynamoDB's own JSON.

    The only reminder is due a day later.
    """
    store = MemoryStore()
    write(contacts, store, now)
    for number, contact in enumerate(contacts, first):
        fields = {"starts_at": (now + BOOKED_BEFORE).isoformat(), "remind_before": ["PT2H"]}
        event = BusinessEvent(
            "AppointmentBooked",
            SubjectRef(BRAND, "appointment", f"A-{number}"),
            version_of(now, EventEffect.BEGIN),
            now,
            contact,
            fields,
        )
        plan_messages(event, store=store, publish=lambda _: None, clock=lambda: now, settings=POLICY)
    items: list[Item] = [row_item(row, now) for row in store.rows()]
    for row in store.rows():
        thread, subject = store.read_thread(row.contact), store.read_subject(row.subject)
        assert thread.conversation
        assert thread.profile
        assert subject
        items += [conversation_item(row.contact, thread.conversation), profile_item(row.contact, thread.profile)]
        items.append(subject_item(subject))
    return [item.serialize() for item in items]


def put(local: DynamoDB, items: Sequence[dict[str, Any]]) -> None:
    for some in batched(items, 25, strict=False):
        puts: Any = [{"PutRequest": {"Item": item}} for item in some]
        if local.client.batch_write_item(RequestItems={TABLE: puts})["UnprocessedItems"]:
            raise SystemExit("DynamoDB Local left items unprocessed")


def shared(endpoint: str, contacts: Sequence[Contact], runs: int, seconds: float) -> list[Measured]:
    groups = shard_groups(Counter(contact.shard for contact in contacts), runs)
    with multiprocessing.get_context("spawn").Pool(len(groups)) as pool:
        return pool.starmap(send, [(endpoint, group, seconds) for group in groups])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    messages = parser.parse_args().messages
    if why := dynamodb_local.why_unavailable():
        raise SystemExit(f"DynamoDB Local cannot run: {why}")
    contacts = audience(messages)
    items = booked(contacts)
    print(f"{messages:,} messages in {SHARDS} shards, {WORKERS} workers a run, {os.cpu_count()} cores")
    on_lambda = f"on Lambda, {RUNS_ON_LAMBDA} runs"
    print(f"{'provider':>10}{'runs':>6}{'seconds':>9}{'CPU ms a message':>18}{on_lambda:>22}")
    with dynamodb_local.running(memory=JAVA_MEMORY) as endpoint:
        for seconds in (0.05, 0.2):
            for runs in (2, 4):
                local = DynamoDB.connect(endpoint)
                local.create_table()
                put(local, items)
                measured = shared(endpoint, contacts, runs, seconds)
                local.delete_table()
                local.close()
                handed = Counter(name for run in measured for name in run.handed)
                skipped = sum(run.skipped for run in measured)
                if len(handed) + skipped != messages or max(handed.values()) > 1:
                    raise SystemExit(f"{len(handed)} of {messages} messages, at most {max(handed.values())} times")
                cpu = sum(run.cpu for run in measured) / messages
                each = messages / RUNS_ON_LAMBDA
                # A run is as slow as its vCPU, or as its workers' waits for the provider and five requests of 5 ms.
                model = each * max(cpu, (seconds + 0.025 + cpu) / WORKERS)
                print(
                    f"{seconds * 1000:7.0f} ms{len(measured):6}{max(run.seconds for run in measured):9.1f}"
                    f"{cpu * 1000:18.2f}{model:20.1f} s"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    main()
