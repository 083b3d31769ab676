"""Pausing and resuming: what is held, what it costs, and what goes after a resume."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.commands import ConfigureBrand, PauseSending, ResumeSending
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.planning import reply
from reengage.errors import NotPublished
from reengage.ports import OutboundMessage, Outcome
from reengage.usecases.pause_sending import pause_sending
from reengage.usecases.send_due_messages import send_due_messages
from tests.fakes import ANNA, NOON, Fault, Provider, World, business, inbound

STARTS: Final = NOON + timedelta(days=10)
DUE: Final = STARTS - timedelta(hours=2)
MINUTE: Final = timedelta(minutes=1)


def story() -> World:
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"]))
    world.clock.now = DUE
    return world


def pause(world: World, *, brand: str | None = None, scope: str = "all", at: datetime = DUE, **more: Any) -> bool:
    return pause_sending(PauseSending(brand, scope, at, **more), store=world.store, publish=world.bus)


def resume(world: World, *, brand: str | None = None, scope: str = "all", at: datetime = DUE + MINUTE) -> bool:
    return pause_sending(ResumeSending(brand, scope, at), store=world.store, publish=world.bus)


@pytest.mark.parametrize("brand", [None, "acme-dental"])
def test_a_paused_message_is_held_and_goes_after_the_resume(brand: str | None) -> None:
    world = story()
    assert pause(world, brand=brand, why="wrong text")
    assert world.run_sender()["held"] == 1
    (held,) = world.bus.details("MessageHeld")
    assert (held["rule"], held["until"], held["facts"]["why"]) == ("paused", "2026-03-12T10:01:00Z", "wrong text")
    assert world.provider.handed == []
    world.clock.forward(minutes=30)
    assert resume(world, brand=brand, at=world.clock.now)
    assert world.run_sender()["sent"] == 1


def test_a_held_message_costs_no_write_while_the_pause_lasts() -> None:
    world = story()
    pause(world)
    world.run_sender()
    for _ in range(30):
        world.clock.forward(minutes=1)
        counted = Fault(nth=10_000)
        assert world.run_sender(around=counted)["held"] == 1
        assert {"claim", "release", "settle", "send"}.isdisjoint(counted.calls)
    assert len(world.bus.details("MessageHeld")) == 1


@pytest.mark.slow
def test_a_message_that_expires_in_a_pause_is_skipped() -> None:
    world = story()
    pause(world)
    while world.clock.now < STARTS:
        world.run_sender()
        world.clock.forward(minutes=1)
    assert [(row.state, row.rule) for row in world.store.rows()] == [(State.SKIPPED, "too_late")]
    (skipped,) = world.bus.details("MessageSkipped")
    assert skipped["facts"]["held_by"] == "paused"


def test_after_a_resume_the_earliest_deadline_goes_first() -> None:
    world = World()
    world.receive(inbound())
    for number, hours in enumerate((4, 2, 3)):
        starts = STARTS + timedelta(hours=hours)
        world.plan(
            business("AppointmentBooked", subject_id=f"A-{number}", starts_at=starts, remind_before=[f"PT{hours + 2}H"])
        )
    world.clock.now = DUE
    pause(world)
    world.run_sender()
    world.clock.forward(minutes=10)
    resume(world, at=world.clock.now)
    world.run_sender()
    assert [outbound.message.subject.id for outbound in world.provider.handed] == ["A-1", "A-2", "A-0"]


@dataclass(slots=True)
class OneSlot:
    """A rate limiter that has one slot for a run."""

    is_free: bool = True

    def __call__(self, _channel: str) -> bool:
        was_free, self.is_free = self.is_free, False
        return was_free


def test_under_a_rate_limit_the_earliest_deadline_goes_first() -> None:
    """The limit leaves room for one message a run: those that can wait are the last, and none is sent twice."""
    world = World()
    for number, hours in enumerate((4, 2, 5, 3)):
        anna = Contact("acme-dental", "sms", f"+491511234560{number}")
        world.receive(inbound(contact=anna))
        starts = STARTS + timedelta(hours=hours)
        before = [f"PT{hours + 2}H"]
        booked = business(
            "AppointmentBooked", contact=anna, subject_id=f"A-{number}", starts_at=starts, remind_before=before
        )
        world.plan(booked)
    world.clock.now = DUE
    pause(world)
    world.run_sender()
    resume(world, at=world.clock.now + MINUTE)
    for run in range(1, 6):
        world.clock.forward(minutes=2)
        sender = replace(world.sender(), rate_limiter=OneSlot())
        send_due_messages(sender, stop_at=world.clock.now + MINUTE)
        assert len(world.provider.handed) == min(run, 4)
    assert [outbound.message.subject.id for outbound in world.provider.handed] == ["A-1", "A-3", "A-0", "A-2"]


def test_a_pause_of_another_brand_or_reason_holds_nothing() -> None:
    world = story()
    pause(world, brand="other-brand")
    pause(world, scope="marketing")
    pause(world, scope="welcome_back")
    assert world.run_sender()["sent"] == 1


def test_a_greeting_is_held_too() -> None:
    world = story()
    pause(world)
    message = reply("welcome_back", inbound(world.clock.now), world.clock.now)
    world.sender("updates").send_now(message)
    assert world.provider.handed == []
    assert [detail["rule"] for detail in world.bus.details("MessageHeld")] == ["paused"]


def test_an_older_command_changes_nothing() -> None:
    world = story()
    assert pause(world, at=DUE)
    assert not resume(world, at=DUE - MINUTE)
    assert not resume(world, at=DUE), "at the same instant a pause wins"
    assert world.run_sender()["held"] == 1
    assert [event.type for event in world.bus.events if event.type.startswith("Sending")] == ["SendingPaused"]


def test_a_scope_is_resumed_alone() -> None:
    world = story()
    pause(world, scope="appointment_reminder")
    pause(world, scope="marketing")
    resume(world, scope="marketing")
    assert world.run_sender()["held"] == 1


def test_the_events_name_brand_scope_and_end() -> None:
    world = story()
    pause(world, brand="acme-dental", scope="marketing", why="typo", until=DUE + MINUTE)
    resume(world, brand="acme-dental", scope="marketing")
    assert world.bus.details("SendingPaused") == [
        {
            "brand": "acme-dental",
            "scope": "marketing",
            "occurred_at": "2026-03-12T10:00:00Z",
            "why": "typo",
            "until": "2026-03-12T10:01:00Z",
        }
    ]
    assert world.bus.details("SendingResumed") == [
        {"brand": "acme-dental", "scope": "marketing", "occurred_at": "2026-03-12T10:01:00Z"}
    ]


def test_a_retry_publishes_what_the_first_call_could_not() -> None:
    world = story()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        pause(world)
    assert not pause(world)
    assert len(world.bus.details("SendingPaused")) == 1


def test_a_pause_keeps_the_brands_other_settings() -> None:
    world = story()
    world.configure(ConfigureBrand("acme-dental", 1, {"name": "Acme Dental"}))
    pause(world, brand="acme-dental")
    world.configure(ConfigureBrand("acme-dental", 2, {"name": "Acme"}))
    brand = world.store.read_brand("acme-dental")
    assert brand
    assert brand.name == "Acme"
    assert brand.pauses
    assert list(brand.pauses) == ["all"]


def test_a_dry_run_records_the_text_and_uses_no_cap() -> None:
    world = story()
    world.configure(ConfigureBrand("acme-dental", 1, {"name": "Acme Dental", "dry_run": True}))
    assert world.run_sender()["skipped"] == {"dry_run": 1}
    (row,) = world.store.rows()
    assert row.facts["text"].startswith("appointment_reminder")
    assert row.facts["locale"] == "en"
    assert not world.store.read_holdings(ANNA).cap_usage
    world.configure(ConfigureBrand("acme-dental", 2, {"dry_run": False}))
    assert world.run_sender()["due"] == 0
    assert world.provider.handed == []


def test_a_brands_own_rate_replaces_the_stacks() -> None:
    world = story()
    world.configure(ConfigureBrand("acme-dental", 1, {"messages_per_second": "sms=3"}))
    asked: list[tuple[str, float]] = []

    def own(name: str, rate: float) -> bool:
        asked.append((name, rate))
        return True

    sender = replace(world.sender(), rate_limiter=lambda _: False, brand_rate_limiter=own)
    assert send_due_messages(sender, stop_at=DUE + MINUTE)["sent", ""] == 1
    assert asked == [("acme-dental/sms", 3.0)]


class PausedAfterOne(Provider):
    """While the first message is handed over, someone pauses the brand."""

    world: World

    def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:
        if not self.handed:
            pause(self.world, brand="acme-dental", scope="marketing", at=self.clock.now)
        return Provider.send(self, outbound)


def test_a_pause_stops_a_broadcast_in_the_middle_of_its_run() -> None:
    world = World(workers=1)  # several would send at the same time
    for n in range(5):
        world.receive(inbound(contact=Contact("acme-dental", "sms", f"+491511234560{n}")))
    at = NOON + timedelta(hours=1)
    world.plan(business("HolidayHoursAnnounced", date="2026-04-06", send_at=at, closed=True))
    world.clock.now = at + MINUTE
    world.provider = provider = PausedAfterOne(world.clock)
    provider.world = world
    assert world.run_sender("updates")["sent"] == 1
    world.clock.forward(minutes=2)
    assert world.run_sender("updates")["sent"] == 0
    resume(world, brand="acme-dental", scope="marketing", at=world.clock.now)
    world.clock.forward(minutes=1)
    assert world.run_sender("updates")["sent"] == 4
    assert len(provider.handed) == len({outbound.message.contact for outbound in provider.handed}) == 5
