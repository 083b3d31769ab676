"""Providers that fail for minutes or hours: all that is still valid is sent in order, none twice, none lost."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Final

import pytest

from reengage.domain.breaker import OPENS_AFTER, PROBE_EVERY
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.policy import PolicySettings
from reengage.ports import Accepted, OutboundMessage, Outcome, Refused, Retryable, Unknown
from reengage.usecases.route_health import RouteHealth
from reengage.usecases.send_due_messages import WORKERS
from tests.fakes import NOON, Clock, Fault, Provider, World, business, inbound

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
BEGINS: Final = NOON + timedelta(days=3)
DOWN: Final = Retryable("ConnectTimeoutError")


@dataclass(slots=True)
class Failing(Provider):
    """A provider that answers by the clock."""

    answers_at: Callable[[datetime], Outcome | None] = field(default=lambda _: None)

    def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:
        answer = self.answers_at(self.clock.now)
        if answer is None:
            return Provider.send(self, outbound)
        self.answers.append(answer)
        return answer


def world_with(reminders: int, answers_at: Callable[[datetime], Outcome | None], *, apart: timedelta) -> World:
    """Contacts whose reminders, valid for a day, are due one after the other from the beginning of the outage."""
    world = World(has_breakers=True, workers=WORKERS)
    world.provider = Failing(world.clock, answers_at=answers_at)
    for n in range(reminders):
        contact = Contact("acme-dental", "sms", f"+49151123456{n:02}")
        world.receive(inbound(contact=contact))
        starts = BEGINS + n * apart + timedelta(days=1)
        world.plan(
            business("AppointmentBooked", subject_id=f"A-{n}", contact=contact, starts_at=starts, remind_before=["P1D"])
        )
    world.clock.now = BEGINS
    return world


def run_until(world: World, end: datetime, *, every: timedelta) -> Counter[str]:
    total: Counter[str] = Counter()
    while world.clock.now < end:
        answer = world.run_sender()
        total.update({outcome: number for outcome, number in answer.items() if isinstance(number, int)})
        total["skipped"] += sum(answer["skipped"].values())
        world.clock.now += every
    return total


@pytest.mark.parametrize(
    ("outage", "every"),
    [(HOUR / 2, MINUTE), (2 * HOUR, 2 * MINUTE), (6 * HOUR, 5 * MINUTE), (24 * HOUR, 20 * MINUTE)],
    ids=["30 minutes", "2 hours", "6 hours", "24 hours"],
)
@pytest.mark.slow
def test_after_an_outage_all_that_is_valid_is_sent_in_order(outage: timedelta, every: timedelta) -> None:
    """Reminders of the outage's first hour failed for good, although they were valid for another day."""
    apart = timedelta(minutes=7)
    ends = BEGINS + outage
    world = world_with(24, lambda now: DOWN if now < ends else None, apart=apart)
    world.workers = 1  # several would send at the same time
    run_until(world, ends + 2 * HOUR + 24 * apart, every=every)
    handed = [outbound.message for outbound in world.provider.handed]
    assert max(Counter(message.scheduled_message_id for message in handed).values()) == 1
    rows = world.store.rows()
    assert len(rows) == 24
    for row in rows:
        if row.valid_until > ends:
            assert row.state is State.SENT, row.subject
        else:
            assert (row.state, row.rule, row.error) == (State.SKIPPED, "too_late", DOWN.error)
    assert sum(row.state is State.SENT for row in rows) == (24 if outage < 24 * HOUR else 23)
    waited = [message for message in handed if (message.planned_due_at or message.due_at) <= ends]
    assert waited == sorted(waited, key=lambda message: message.valid_until)


def test_an_outage_costs_no_write_a_message() -> None:
    world = world_with(40, lambda _: DOWN, apart=timedelta())
    world.run_sender()
    for _ in range(30):
        world.clock.now += MINUTE
        counted = Fault(nth=10_000)
        assert world.run_sender(around=counted)["left"] >= 37
        assert counted.calls.count("claim") <= 1, "one probe"
        assert "reserve_cap" not in counted.calls


def test_breaker_opens_after_failures_in_a_row_for_all_runs() -> None:
    world = world_with(40, lambda _: DOWN, apart=timedelta())
    first = world.run_sender()
    assert OPENS_AFTER <= first["retried"] < 2 * OPENS_AFTER
    tried = len(world.provider.answers)
    world.clock.now += PROBE_EVERY - timedelta(seconds=1)
    assert world.run_sender()["left"] > 0
    assert len(world.provider.answers) == tried
    world.clock.now += timedelta(seconds=1)
    world.run_sender()
    assert len(world.provider.answers) == tried + 1


def test_refusals_of_single_messages_open_no_breaker() -> None:
    world = world_with(20, lambda _: Refused("invalid number"), apart=timedelta())
    assert world.run_sender()["failed"] == 20


def test_waits_of_single_recipients_open_no_breaker() -> None:
    later = Retryable("131049", timedelta(days=1), of_recipient=True)
    world = world_with(20, lambda _: later, apart=timedelta())
    assert world.run_sender()["retried"] == 20


def test_a_provider_that_hangs_costs_few_messages() -> None:
    """Each message that was handed to a hanging provider ends as unconfirmed: the breaker keeps them few."""
    ends = BEGINS + HOUR
    world = world_with(60, lambda now: Unknown("ReadTimeoutError") if now < ends else None, apart=timedelta())
    run_until(world, ends + 10 * MINUTE, every=10 * MINUTE)
    states = Counter(row.state for row in world.store.rows())
    assert states[State.UNCONFIRMED] <= 2 * OPENS_AFTER + 6
    assert states[State.SENT] == 60 - states[State.UNCONFIRMED]


@dataclass(slots=True)
class TwoRoutes(Failing):
    """A first route that answers by the clock, and a second one that accepts."""

    used: list[str] = field(default_factory=list)

    def routes(self, contact: Contact) -> list[str]:  # noqa: ARG002 - the protocol's
        return ["first", "second"]

    def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:  # noqa: ARG002 - the protocol's
        self.used.append(_route)
        answer = self.answers_at(self.clock.now) if _route == "first" else Accepted("second", "m-1")
        return answer or Accepted("first", "m-1")


def second_route(answer: Outcome | None) -> tuple[World, TwoRoutes]:
    world = world_with(1, lambda _: None, apart=timedelta())
    provider = TwoRoutes(world.clock, answers_at=lambda _: answer)
    world.provider = provider
    return world, provider


@pytest.mark.parametrize(
    ("answer", "used", "outcome"),
    [
        (DOWN, ["first", "second"], "sent"),
        (None, ["first"], "sent"),
        (Unknown("ReadTimeoutError"), ["first"], "unconfirmed"),
        (Refused("invalid number"), ["first"], "failed"),
        (Retryable("131049", of_recipient=True), ["first"], "retried"),
    ],
)
def test_second_route_is_used_only_if_the_first_is_retryable(
    answer: Outcome | None, used: list[str], outcome: str
) -> None:
    world, provider = second_route(answer)
    assert world.run_sender()[outcome] == 1
    assert provider.used == used


def test_open_breaker_of_the_first_route_uses_only_the_second() -> None:
    world, provider = second_route(DOWN)
    health = RouteHealth(world.store, world.clock)
    for _ in range(OPENS_AFTER):
        health.record("first", DOWN, attempts=0)
    assert world.run_sender()["sent"] == 1
    assert provider.used == ["second"]


def test_a_single_message_opens_the_breaker_over_several_runs() -> None:
    world = world_with(1, lambda _: DOWN, apart=timedelta())
    for _ in range(OPENS_AFTER):
        world.run_sender()
        world.clock.now = world.store.rows()[0].due_at
    assert world.store.rows()[0].attempts == OPENS_AFTER
    assert RouteHealth(world.store, world.clock).usable(["fake/sms/acme-dental"]), "the probe"
    assert not RouteHealth(world.store, world.clock).usable(["fake/sms/acme-dental"])


def test_one_run_of_several_gets_the_probe() -> None:
    clock, world = Clock(), World()
    first, second = RouteHealth(world.store, clock), RouteHealth(world.store, clock)
    for _ in range(OPENS_AFTER):
        first.record("r", DOWN, attempts=0)
    clock.now += PROBE_EVERY
    assert [list(health.usable(["r"])) for health in (first, second, first)] == [["r"], [], []]
    first.record("r", Accepted("p", "m"), attempts=0)
    assert list(RouteHealth(world.store, clock).usable(["r"])) == ["r"]


def test_a_provider_that_hangs_delays_no_other_route() -> None:
    """64 messages of a brand whose provider hung took all workers: 49 of 300 others were left, and 59 unconfirmed."""
    hangs, hanging = "hanging-brand", Event()
    world = world_with(0, lambda _: None, apart=timedelta())
    for n in range(60):
        contact = Contact(hangs if n % 3 == 0 else "acme-dental", "sms", f"+49151123456{n:02}")
        world.receive(inbound(contact=contact))
        starts = BEGINS + timedelta(days=1)
        world.plan(
            business("AppointmentBooked", subject_id=f"A-{n}", contact=contact, starts_at=starts, remind_before=["P1D"])
        )

    @dataclass(slots=True)
    class Hanging(Provider):
        """It answers nothing until every other message is handed over."""

        def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:
            if outbound.message.contact.brand == hangs:
                assert hanging.wait(timeout=20), "the others waited for it"
                return Unknown("ReadTimeoutError")
            answer = Provider.send(self, outbound)
            if len(self.handed) == 40:
                hanging.set()
            return answer

    world.provider = Hanging(world.clock)
    world.clock.now = BEGINS
    answer = world.run_sender()
    assert (answer["sent"], answer["unconfirmed"]) == (40, OPENS_AFTER)
    assert answer["left"] == 20 - OPENS_AFTER


@pytest.mark.parametrize("writes", [True, False], ids=["the contact writes", "silence"])
def test_a_limit_of_one_recipient_waits_until_they_write(writes: bool) -> None:
    """Meta's 131049 does not count within a day of the person's own message, so that message ends the wait."""
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    contact = Contact("acme-dental", "whatsapp", "+4915112345678")
    world.receive(inbound(contact=contact))
    world.clock.now = NOON + timedelta(days=3)
    world.plan(business("AppointmentBooked", contact=contact, starts_at=NOON + 6 * DAY, remind_before=["P3D"]))
    world.provider.script.append(Retryable("131049 Meta chose not to deliver", DAY, of_recipient=True))
    assert world.run_sender()["retried"] == 1
    world.clock.forward(hours=2)
    if writes:
        world.receive(inbound(world.clock.now, contact=contact))
    assert world.run_sender()["sent"] == int(writes)
    world.clock.forward(hours=22)
    world.run_sender()
    assert [row.state for row in world.store.rows()] == [State.SENT]
    assert len(world.provider.handed) == 2, "once refused, once taken"


def test_a_message_in_a_usual_backoff_is_not_hurried() -> None:
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    contact = Contact("acme-dental", "whatsapp", "+4915112345678")
    world.receive(inbound(contact=contact))
    world.clock.now = NOON + timedelta(days=3)
    world.plan(business("AppointmentBooked", contact=contact, starts_at=NOON + 6 * DAY, remind_before=["P3D"]))
    world.provider.script.append(DOWN)
    assert world.run_sender()["retried"] == 1
    (before,) = world.store.rows()
    world.clock.forward(seconds=10)
    world.receive(inbound(world.clock.now, contact=contact))
    assert world.store.rows()[0].due_at == before.due_at
