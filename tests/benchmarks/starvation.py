"""What delays messages that could be sent: a provider that hangs, one full shard, another brand's backlog.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.starvation [--json FILE]

The real sender runs with its workers over the store in memory, so that the waits count and not the CPU. A provider
that works answers after 50 ms. A call that hangs ends after 5 s, its time limit, and its outcome is unknown. The
brand with the backlog and the other one share a route, and the other one's messages are due last.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from reengage.adapters.memory import MemoryStore
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent, EventEffect, SubjectRef, version_of
from reengage.ports import Accepted, OutboundMessage, Outcome, Unknown, Wording
from reengage.usecases.ingest_message import ingest_message
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.plan_messages import plan_messages
from reengage.usecases.route_health import RouteHealth
from reengage.usecases.send_due_messages import send_due_messages, summary
from reengage.usecases.send_message import Sender
from tests.benchmarks.broadcast import NOON, RUN
from tests.benchmarks.fan_out import DUE, POLICY, STARTS

WORKS: Final = 0.05
HANGS: Final = 5.0
"""Seconds."""

LATER: Final = DUE + timedelta(minutes=1)
"""When the runs begin."""

HANGING: Final = "hanging"
GOOD: Final = "good"
OTHER: Final = "other"

BACKLOG: Final = 100_000


@dataclass(slots=True)
class Provider:
    """Take each brand's messages after its time; note when. ``route``: that of all brands, else each has its own."""

    seconds: dict[str, float]
    route: str = ""
    began: float = 0
    at: dict[str, list[float]] = field(default_factory=dict)

    def routes(self, contact: Contact) -> Sequence[str]:
        return [self.route or contact.brand]

    def prepare(self, _contact: Contact, _route: str) -> None:
        """Build nothing."""

    def send(self, outbound: OutboundMessage, _route: str) -> Outcome:
        brand = outbound.message.contact.brand
        time.sleep(self.seconds[brand])
        if self.seconds[brand] >= HANGS:
            return Unknown("ReadTimeoutError")
        self.at.setdefault(brand, []).append(time.monotonic() - self.began)
        return Accepted("fake", outbound.message.scheduled_message_id)


def contacts(brand: str, number: int, shard: int | None = None) -> list[Contact]:
    """Return so many contacts of the brand; with ``shard``, all of that one."""
    every: Iterator[Contact] = (Contact(brand, "sms", f"+49151{n:08}") for n in count())
    return list(islice((each for each in every if shard is None or each.shard == shard), number))


def fill(store: MemoryStore, recipients: Sequence[Contact], after: timedelta = timedelta()) -> None:
    """Give each of them a reminder that is due at ``DUE``, or so long after that."""
    for contact in recipients:
        message = InboundMessage(contact, f"m-{contact.address}", NOON, NOON, "Hello", locale="en")
        ingest_message(
            message,
            settings=IngestSettings(timedelta(days=365)),
            store=store,
            publish=lambda _: None,
            clock=lambda: NOON,
            send_now=lambda _: None,
            recheck_contacts=lambda _: None,
        )
        ref = SubjectRef(contact.brand, "appointment", f"A-{contact.address}")
        fields = {"starts_at": (STARTS + after).isoformat(), "remind_before": ["PT2H"]}
        event = BusinessEvent("AppointmentBooked", ref, version_of(NOON, EventEffect.BEGIN), NOON, contact, fields)
        plan_messages(event, store=store, publish=lambda _: None, clock=lambda: NOON, settings=POLICY)


def run(store: MemoryStore, provider: Provider, seconds: float = RUN.total_seconds()) -> tuple[dict[str, Any], float]:
    """Run one invocation of the send function; return its summary and how long it took."""
    provider.began = began = time.monotonic()
    ids = count()
    clock: Callable[[], datetime] = lambda: LATER + timedelta(seconds=time.monotonic() - began)  # noqa: E731 - a clock
    sender = Sender(
        send_group="appointments",
        settings=PolicySettings(default_timezone="Europe/Berlin"),
        store=store,
        channel=provider,
        render=lambda _: Wording("See you!", "en", "appointment_reminder"),
        publish=lambda _: None,
        clock=clock,
        new_id=lambda: f"id-{next(ids)}",
        claim_ttl=RUN + timedelta(seconds=75),
        health=RouteHealth(store, clock),
    )
    answer = summary(send_due_messages(sender, stop_at=clock() + timedelta(seconds=seconds)))
    return answer, time.monotonic() - began


def beside_a_hanging_provider(good: int = 300, hanging: int = 64) -> dict[str, float]:
    """How long the good ones take alone, and beside those of a brand whose provider hangs."""
    found: dict[str, float] = {}
    for name, brands in (("alone", {GOOD: good}), ("beside", {GOOD: good, HANGING: hanging})):
        store = MemoryStore()
        for brand, number in brands.items():
            fill(store, contacts(brand, number))
        provider = Provider({GOOD: WORKS, HANGING: HANGS})
        run(store, provider)
        if len(provider.at[GOOD]) != good:
            raise SystemExit(f"{len(provider.at[GOOD])} of {good} were sent")
        found[name] = max(provider.at[GOOD])
    return found | {"ratio": found["beside"] / found["alone"]}


def in_one_shard(messages: int = 240) -> dict[str, float]:
    """Messages a second if all are in one shard, and if they are spread."""
    rates: dict[str, float] = {}
    for name, shard in (("spread", None), ("one shard", 3)):
        store = MemoryStore()
        fill(store, contacts(GOOD, messages, shard))
        answer, seconds = run(store, Provider({GOOD: 0.2}))
        if answer["sent"] != messages:
            raise SystemExit(f"not all was sent: {answer}")
        rates[name] = messages / seconds
    return rates | {"ratio": rates["one shard"] / rates["spread"]}


def beside_a_backlog(backlog: int = BACKLOG, others: int = 10) -> dict[str, float]:
    """After how many seconds the last of another brand's ten is sent, beside so many due messages of the first."""
    store = MemoryStore()
    fill(store, contacts(GOOD, backlog))
    fill(store, contacts(OTHER, others), LATER - DUE)
    provider = Provider({GOOD: WORKS, OTHER: WORKS}, "shared")
    run(store, provider)
    if len(provider.at.get(OTHER, [])) != others:
        raise SystemExit(f"{len(provider.at.get(OTHER, []))} of {others} were sent in a run")
    return {"backlog": backlog, "others": others, "last after": max(provider.at[OTHER]), "shards": SHARDS}


def measure(backlog: int = BACKLOG) -> dict[str, dict[str, float]]:
    return {
        "hanging provider": beside_a_hanging_provider(),
        "one shard": in_one_shard(),
        "backlog": beside_a_backlog(backlog),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=BACKLOG)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.backlog)
    for name, each in found.items():
        sys.stdout.write(name + "".join(f"  {key} {value:.2f}" for key, value in each.items()) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
