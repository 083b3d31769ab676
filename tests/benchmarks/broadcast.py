"""Measure a broadcast: 100,000 contacts in memory and 5,000 on DynamoDB Local, through the real use cases.

DynamoDB Local runs it three times, with more and more conversations outside the audience: closed ones of the brand, and
open ones of another brand. One run sends everything there, and a second finds nothing left. So the units do not depend
on the speed of the machine. In memory there are as many runs as needed.

Units are counted as DynamoDB bills them. DynamoDB Local counts 0 for a key without an item and for an empty query; here
they count 1 and 0.5. The benchmark fails if a contact is lost or gets two messages; it has no time limit.
"""

import argparse
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time
from itertools import batched, count
from typing import Any, Final, NamedTuple, cast

from reengage.adapters.dynamodb.items.contacts import conversation_item, profile_item
from reengage.adapters.eventbridge import SOURCE
from reengage.adapters.memory import MemoryStore
from reengage.adapters.wording import FluentWording
from reengage.domain.caps import parse_caps
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.events_out import OutEvent
from reengage.domain.policy import PolicySettings
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.subject import BusinessEvent, EventEffect, SubjectRef, version_of
from reengage.ports import Accepted, OutboundMessage, Outcome, Store
from reengage.usecases.ingest_message import ingest_message
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.plan_messages import plan_messages
from reengage.usecases.progress import progress
from reengage.usecases.send_due_messages import send_due_messages, summary
from reengage.usecases.send_message import Sender
from tests.contract.stores import TABLE, DynamoDB
from tests.local import dynamodb_local

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
BRAND, OTHER_BRAND = "acme-dental", "birch-bakery"
ANNOUNCEMENT: Final = SubjectRef(BRAND, "announcement", "easter-2026")
RUN: Final = timedelta(seconds=40)
"""A scheduled function has 55 s, and starts nothing new in the last 15."""

POLICY: Final = PolicySettings(
    quiet_hours={"marketing": QuietHours(wall_time(20), wall_time(9))},
    caps={"marketing": parse_caps("1/P1D,3/P7D")},
    default_timezone="Europe/Berlin",
)
"""The stack's default settings."""

MILLION: Final = 1_000_000
PER_WRITE_UNIT: Final = 0.625 / MILLION
PER_READ_UNIT: Final = 0.125 / MILLION
PER_EVENT: Final = 1.00 / MILLION
PER_INVOCATION: Final = 0.20 / MILLION
PER_GB_SECOND: Final = 0.0000133334
VCPU_MB: Final = 1769
"""With this memory a Lambda function has one vCPU; with less, the same share of one."""

MEMORY_MB: Final = 1769
"""The memory that template.yaml gives the send functions."""

EXPANSION: Final = frozenset(
    {
        *("write_subject", "write_shard", "read_shard", "read_shards", "read_subject", "read_brand"),
        *("audience_page", "read_threads", "write_plan", "save_progress"),
    }
)
"""The store's calls that lead from the announcement to a planned message. The others settle that message."""


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# The world outside


@dataclass(slots=True)
class Clock:
    """A clock that runs from ``now`` on as fast as the machine's, or is frozen so that a run never ends by time."""

    now: datetime
    is_frozen: bool
    started: float = field(default_factory=time.monotonic)

    def __call__(self) -> datetime:
        return self.now if self.is_frozen else self.now + timedelta(seconds=time.monotonic() - self.started)


@dataclass(slots=True)
class Outside:
    """A bus that counts its events, and a provider that accepts every message and remembers its contact."""

    events: Counter[str] = field(default_factory=Counter)
    handed: list[Contact] = field(default_factory=list)

    def publish(self, events: Sequence[OutEvent]) -> None:
        self.events.update(event.type for event in events)

    def routes(self, _contact: Contact) -> Sequence[str]:
        return ["fake"]

    def prepare(self, _contact: Contact, _route: str) -> None:
        """Nothing to build."""

    def send(self, outbound: OutboundMessage, _route: str) -> Outcome:
        self.handed.append(outbound.message.contact)
        self.events["MessageSendRequested"] += 1  # it would ask on the bus
        return Accepted(SOURCE, f"event-{len(self.handed)}")


# What the store is asked


@dataclass(slots=True)
class Cost:
    requests: int = 0
    writes: float = 0
    reads: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.requests + other.requests, self.writes + other.writes, self.reads + other.reads)


@dataclass(slots=True)
class Meter:
    """The cost of each method of the store. The threads of a run share it."""

    of: defaultdict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    at: threading.local = field(default_factory=threading.local)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count_keys(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        tables = params.get("RequestItems", {})
        context["keys"] = sum(len(table["Keys"]) for table in tables.values())

    def answered(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        each = consumed if isinstance(consumed, list) else [consumed]
        units = sum(table["CapacityUnits"] for table in each)
        with self.lock:
            cost = self.of[self.at.method]
            cost.requests += 1
            match model.name:
                case "BatchGetItem":
                    cost.reads += max(units, context["keys"])
                case "Query":
                    cost.reads += max(units, 0.5)
                case _:
                    cost.writes += max(units, 1)

    def total(self, *, sending: bool | None = None) -> Cost:
        return sum((cost for name, cost in self.of.items() if sending in (None, name not in EXPANSION)), Cost())


@dataclass(frozen=True, slots=True)
class Metered:
    """A store that counts requests by the method that made them."""

    store: Store
    meter: Meter

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.store, name)

        def call(*args: Any, **keywords: Any) -> Any:
            self.meter.at.method = name
            answer = method(*args, **keywords)
            return self._pages(answer) if name == "due" else answer

        return call

    def _pages(self, pages: Iterator[Any]) -> Iterator[Any]:
        """Each page is a request of its own, made when it is asked for."""
        while True:
            self.meter.at.method = "due"
            page = next(pages, None)
            if page is None:
                return
            yield page


@contextmanager
def metered(local: DynamoDB) -> Iterator[tuple[Store, Meter]]:
    meter = Meter()
    with (
        local.hook("before-parameter-build.dynamodb", meter.count_keys),
        local.hook("after-call.dynamodb", meter.answered),
    ):
        yield cast("Store", Metered(local.store, meter)), meter


# One broadcast


class Measured(NamedTuple):
    """The figures of one broadcast, from its announcement to its end."""

    contacts: int
    events: Counter[str]
    ticks: int
    wall: float
    cpu: float

    @property
    def all_events(self) -> int:
        return self.events.total()


def audience(size: int) -> list[Contact]:
    return [Contact(BRAND, "sms", f"+49151{number:08}") for number in range(size)]


def write(contacts: Sequence[Contact], store: Store, now: datetime = NOON) -> None:
    """Each contact wrote at some time of the last 29 days."""
    for number, contact in enumerate(contacts):
        sent_at = now - timedelta(hours=1 + number % (29 * 24))
        ingest_message(
            InboundMessage(contact, f"SM{number:032}", sent_at, sent_at, "Is Friday free?", locale="en"),
            settings=IngestSettings(timedelta(days=365)),
            store=store,
            publish=lambda _: None,
            clock=lambda at=sent_at: at,  # type: ignore[misc]  # a default that a Clock is never asked to fill
            send_now=lambda _: None,
            recheck_contacts=lambda _: None,
        )


def broadcast(contacts: Sequence[Contact], store: Store, *, clock: Clock) -> Measured:
    """Announce, expand and send in several runs. Raises ``SystemExit`` if a contact was lost or reached twice."""
    outside, ids = Outside(), count(1)
    wall, cpu = time.monotonic(), time.process_time()
    event_fields = {"date": "2026-04-06", "send_at": NOON.isoformat(), "closed": True}
    event = BusinessEvent(
        "HolidayHoursAnnounced", ANNOUNCEMENT, version_of(NOON, EventEffect.BEGIN), NOON, fields=event_fields
    )
    plan_messages(event, store=store, publish=outside.publish, clock=clock, settings=POLICY)
    sender = Sender(
        send_group="updates",
        settings=POLICY,
        store=store,
        channel=outside,
        render=FluentWording("en"),
        publish=outside.publish,
        clock=clock,
        new_id=lambda: f"claim-{next(ids):032}",
        claim_ttl=RUN + timedelta(seconds=75),
    )
    ticks = 0
    while True:
        ticks += 1
        answer = summary(send_due_messages(sender, stop_at=clock() + RUN))
        if not answer["due"]:
            break
    measured = Measured(len(contacts), outside.events, ticks, time.monotonic() - wall, time.process_time() - cpu)
    _check(contacts, outside, store)
    return measured


def _check(contacts: Sequence[Contact], outside: Outside, store: Store) -> None:
    handed = Counter(outside.handed)
    (report,) = progress(ANNOUNCEMENT, store=store, clock=lambda: NOON)["broadcasts"]
    once = handed == Counter(contacts)
    if not once or (report["state"], report["sent"], report["waiting"]) != ("done", len(contacts), 0):
        raise SystemExit(f"{len(handed)} of {len(contacts)} were told, at most {max(handed.values())} times; {report}")


# Beside the audience


def beside(size: int, local: DynamoDB) -> None:
    """Add as many closed conversations of the brand, not deleted yet, and as many open ones of another brand."""
    items = [item.serialize() for number in range(size) for item in _none_of_the_audience(number)]
    for some in batched(items, 25, strict=False):
        puts: Any = [{"PutRequest": {"Item": item}} for item in some]
        left = local.client.batch_write_item(RequestItems={TABLE: puts})["UnprocessedItems"]
        if left:
            raise SystemExit("DynamoDB Local left items unprocessed")


def _none_of_the_audience(number: int) -> Iterator[Any]:
    closed, elsewhere = Contact(BRAND, "sms", f"+49160{number:08}"), Contact(OTHER_BRAND, "sms", f"+49151{number:08}")
    hours = timedelta(hours=1 + number % (28 * 24))
    for contact, last_event_at in ((closed, NOON - WINDOW - timedelta(days=1) - hours), (elsewhere, NOON - hours)):
        yield conversation_item(contact, Conversation(last_event_at, "SM1", "started", expiry(last_event_at + WINDOW)))
        yield profile_item(
            contact, Profile(last_event_at, last_event_at, expiry(last_event_at + timedelta(days=365)), "en")
        )


# What it prints


def _rate(measured: Measured) -> str:
    return (
        f"{measured.contacts:,} contacts, each told once: {measured.ticks} ticks, {measured.wall:.0f} s, "
        f"{measured.contacts / measured.wall:.0f} messages a second; "
        f"{measured.cpu / measured.contacts * 1000:.2f} ms of CPU a message"
    )


def _table(measured: Measured, meter: Meter) -> None:
    each = measured.contacts
    say(f"{'a contact':24}{'requests':>10}{'write units':>13}{'read units':>12}")
    for sending, title in ((False, "expansion"), (True, "sending")):
        for name, cost in sorted(meter.of.items(), key=lambda item: -item[1].requests):
            if (name not in EXPANSION) is sending:
                _line(f"  {name}", cost, each)
        _line(title, meter.total(sending=sending), each)
    _line("together", meter.total(), each)


def _line(title: str, cost: Cost, each: int) -> None:
    say(f"{title:24}{cost.requests / each:10.3f}{cost.writes / each:13.3f}{cost.reads / each:12.3f}")


def _a_million(measured: Measured, meter: Meter) -> None:
    """The same figures for a million recipients, in money and time, from the cost of one contact."""
    each, total = measured.contacts, meter.total()
    vcpu = MEMORY_MB / VCPU_MB
    cpu = measured.cpu / each
    a_run = RUN.total_seconds() * vcpu / cpu
    gb_seconds = MILLION * cpu / vcpu * MEMORY_MB / 1024
    lines = [
        ("write units", total.writes / each * MILLION, PER_WRITE_UNIT),
        ("read units", total.reads / each * MILLION, PER_READ_UNIT),
        ("events", measured.all_events / each * MILLION, PER_EVENT),
        ("GB-seconds", gb_seconds, PER_GB_SECOND),
        ("invocations", MILLION / a_run, PER_INVOCATION),
    ]
    say("A million contacts:")
    for what, amount, price in lines:
        say(f"  {amount:14,.0f} {what:12} {amount * price:8.2f} $")
    say(f"  {'':14} {'together':12} {sum(amount * price for _, amount, price in lines):8.2f} $")
    say(
        f"  one run of {RUN.total_seconds():.0f} s at {MEMORY_MB} MB ({vcpu:.2f} vCPU) sends {a_run:,.0f}, "
        f"so a run a minute needs {MILLION / a_run / 60:.1f} hours"
    )


def on_dynamodb_local(size: int, others: Sequence[int]) -> None:
    contacts = audience(size)
    with dynamodb_local.running() as endpoint:
        totals: list[Cost] = []
        for number in others:
            local = DynamoDB.connect(endpoint)
            local.create_table()
            write(contacts, local.store)
            beside(number, local)
            with metered(local) as (store, meter):
                measured = broadcast(contacts, store, clock=Clock(NOON, is_frozen=True))
            local.delete_table()
            local.close()
            totals.append(meter.total())
            say(f"\nDynamoDB Local, beside {number:,} closed conversations and {number:,} of another brand")
            say(_rate(measured))
            if number == others[0]:
                _table(measured, meter)
                say(f"events a contact: {dict(measured.events)}")
                _a_million(measured, meter)
        say(f"\n{'beside':>10}{'requests':>12}{'write units':>13}{'read units':>12}{'ratio':>8}")
        for number, total in zip(others, totals, strict=True):
            units = (total.writes + total.reads) / (totals[0].writes + totals[0].reads)
            say(f"{number:10,}{total.requests:12,}{total.writes:13,.0f}{total.reads:12,.1f}{units:8.4f}")


def in_memory(size: int) -> None:
    store, contacts = MemoryStore(), audience(size)
    write(contacts, store)
    say("In memory")
    say(_rate(broadcast(contacts, store, clock=Clock(NOON, is_frozen=False))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, default=100_000, help="contacts in memory; 0 for none")
    parser.add_argument("--dynamodb", type=int, default=5_000, help="contacts on DynamoDB Local; 0 for none")
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 5_000, 20_000], help="conversations beside them")
    arguments = parser.parse_args()
    if arguments.memory:
        in_memory(arguments.memory)
    if not arguments.dynamodb:
        return
    if why := dynamodb_local.why_unavailable():
        raise SystemExit(f"DynamoDB Local cannot run: {why}")
    on_dynamodb_local(arguments.dynamodb, arguments.beside)


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    main()
