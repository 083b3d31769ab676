"""A held message is decided again when what holds it changes: the brand's settings, or a cap that becomes free."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import ConfigureBrand
from reengage.domain.message import State
from reengage.domain.policy_settings import PolicySettings
from reengage.domain.quiet_hours import QuietHours
from reengage.ports import OutboundMessage, Outcome, Refused
from reengage.usecases.outcome import Handled
from tests.fakes import ANNA, NOON, Crash, Fault, Provider, World, business, inbound

HOUR: Final = timedelta(hours=1)
NIGHT: Final = QuietHours(time(11), time(20))


def held(*, brand: str = ANNA.brand, **settings: Any) -> World:
    """A reminder that quiet hours hold at noon until 20:00, for an appointment at 23:00."""
    policy = PolicySettings(quiet_hours={"utility": NIGHT}, default_timezone="UTC")
    world = World(policy=replace(policy, **settings))
    contact = replace(ANNA, brand=brand)
    world.receive(inbound(NOON - HOUR, contact=contact, timezone="Europe/London"))
    world.clock.now = NOON - HOUR
    event = business("AppointmentBooked", contact=contact, brand=brand, starts_at=NOON + 11 * HOUR)
    world.plan(replace(event, fields={**event.fields, "remind_before": ["PT11H"]}))
    world.clock.now = NOON
    assert world.run_sender()["held"] == 1
    return world


def configure(world: World, version: int = 1, brand: str = ANNA.brand, **fields: Any) -> bool:
    return world.configure(ConfigureBrand(brand, version, fields))


def test_a_held_message_follows_the_brands_new_hours() -> None:
    """The brand allowed the hour, and the message still waited for the end of the former quiet hours."""
    world = held()
    world.clock.forward(minutes=5)
    assert configure(world, utility_quiet_hours="22:00-08:00")
    assert world.run_sender()["sent"] == 1


@pytest.mark.parametrize("fields", [{"name": "Acme"}, {"utility_quiet_hours": "11:00-21:00"}])
def test_other_changes_send_nothing_early(fields: dict[str, Any]) -> None:
    world = held()
    world.clock.forward(minutes=5)
    assert configure(world, **fields)
    assert world.run_sender()["sent"] == 0
    assert world.store.rows()[0].state is State.SCHEDULED


def test_another_brands_messages_stay_held() -> None:
    world = held(brand="other")
    world.clock.forward(minutes=5)
    configure(world, utility_quiet_hours="22:00-08:00")
    assert world.run_sender()["due"] == 0


@pytest.mark.slow
def test_a_crash_while_rechecking_is_made_good_by_the_retry() -> None:
    for nth in range(1, 200):
        world = held()
        world.clock.forward(minutes=5)
        command = ConfigureBrand(ANNA.brand, 1, {"utility_quiet_hours": "22:00-08:00"})
        try:
            world.configure(command, Fault(nth=nth))
        except Crash:
            world.configure(command)
        else:
            return
        assert world.run_sender()["sent"] == 1, nth


def test_an_older_event_rechecks_nothing() -> None:
    world = held()
    configure(world, 2, utility_quiet_hours="11:00-20:00")
    before = world.store.due_changes
    assert not configure(world, 1, utility_quiet_hours="22:00-08:00")
    assert world.store.due_changes == before


def carts(world: World) -> None:
    world.receive(inbound(NOON - HOUR))
    for name in ("first", "second"):
        world.plan(business("CartAbandoned", NOON, subject_id=name, items=["Lamp"]))
    world.clock.now = NOON + 4 * HOUR


def test_a_brands_new_cap_ends_a_hold() -> None:
    world = World(policy=PolicySettings(caps={"marketing": parse_caps("1/P1D")}))
    carts(world)
    assert world.run_sender("updates")["held"] == 1
    world.clock.forward(minutes=1)
    configure(world, marketing_caps="2/P1D")
    assert world.run_sender("updates")["sent"] == 1


class Slow(Provider):
    """While it processes the first message, another run decides the second one."""

    def meanwhile(self, decide: Callable[[], Handled | None]) -> "Slow":
        self._decide: Callable[[], Handled | None] | None = decide
        return self

    def send(self, outbound: OutboundMessage, route: str = "") -> Outcome:
        decide, self._decide = self._decide, None
        if decide:
            handled = decide()
            assert handled
            assert handled.outcome == "held"
            return Refused("30006")
        return super().send(outbound, route)


def test_a_place_given_back_frees_the_held_message() -> None:
    """A refused message released its part of the cap, but the next one still waited for a day."""
    world = World(policy=PolicySettings(caps={"marketing": parse_caps("1/P1D")}))
    carts(world)
    ((first, second),) = world.store.due("updates", "low", ANNA.shard, world.clock.now)
    other_run = world.sender("updates")
    world.provider = Slow(world.clock).meanwhile(lambda: other_run.handle(second))
    failed = world.sender("updates").handle(first)
    assert failed
    assert failed.outcome == "failed"
    world.clock.forward(minutes=1)
    assert world.run_sender("updates")["sent"] == 1
