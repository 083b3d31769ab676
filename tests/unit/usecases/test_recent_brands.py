"""The decisions of a run share one read of the brand's rows, for a part of a second; only a send may rest on them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.domain.brand import STACK, Brand
from reengage.domain.caps import CapUsage
from reengage.domain.commands import ConfigureBrand, PauseSending
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import SNAPSHOT_VALID_FOR, PolicyInput, Snapshot
from reengage.domain.preferences import Preferences
from reengage.ports import Wording
from reengage.usecases.pause_sending import pause_sending
from reengage.usecases.recent_brands import RENEWED_AFTER, SHARED_FOR, RecentBrands
from reengage.usecases.send_due_messages import send_due_messages
from tests.fakes import NOON, World, business, inbound

BRAND: Final = "acme-dental"
STARTS: Final = NOON + timedelta(days=10)
DUE: Final = STARTS - timedelta(hours=2)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass
class Counting:
    """The store, which counts the snapshots that read the brand's rows, and runs ``after`` each snapshot."""

    world: World
    after: Callable[[], object] = lambda: None
    own: list[bool] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.store, name)

    def read_snapshot(self, message: ScheduledMessage, *, brands: Any = None) -> Snapshot:
        self.own.append(brands is None)
        found = self.world.store.read_snapshot(message, brands=brands)
        self.after()
        return found


def story(people: int) -> World:
    world = World(workers=1)
    for n in range(people):
        contact = Contact(BRAND, "sms", f"+49151123456{n:02}")
        world.receive(inbound(contact=contact))
        world.plan(
            business(
                "AppointmentBooked", subject_id=f"a-{n}", contact=contact, starts_at=STARTS, remind_before=["PT2H"]
            )
        )
    world.clock.now = DUE
    return world


def send(world: World, store: Counting, **changes: Any) -> dict[tuple[str, str], int]:
    sender = replace(world.sender(), store=store, **changes)
    return dict(send_due_messages(sender, stop_at=DUE + timedelta(seconds=50), workers=1))


def pause(world: World) -> None:
    command = PauseSending(BRAND, "all", world.clock.now)
    pause_sending(command, store=world.store, publish=world.bus)


def test_messages_of_one_run_share_one_read_of_the_brand() -> None:
    world = story(5)
    store = Counting(world)
    assert send(world, store) == {("sent", ""): 5}
    assert store.own == [True, False, False, False, False]


def test_messages_further_apart_read_the_brand_themselves() -> None:
    world = story(4)
    store = Counting(world, after=lambda: world.clock.forward(seconds=0.6))
    assert send(world, store) == {("sent", ""): 4}
    assert store.own == [True] * 4


def test_a_message_starts_within_two_seconds_of_the_shared_read() -> None:
    """The pause came after the shared read. The second message is handed over while that read is still valid."""
    world = story(2)
    store = Counting(world, after=lambda: pause(world) if len(store.own) == 1 else None)
    assert send(world, store) == {("sent", ""): 2}
    assert [each.start_before for each in world.provider.handed] == [DUE + SNAPSHOT_VALID_FOR] * 2


def test_slow_text_makes_the_shared_rows_too_old() -> None:
    """The second text takes longer than the rest of the second: the brand is read again, and shows the pause."""
    world = story(2)
    texts: list[str] = []

    def slow(context: PolicyInput) -> Wording:
        texts.append(context.message.scheduled_message_id)
        world.clock.forward(seconds=0.2 if len(texts) == 1 else 0.9)
        return Wording("text", "en", context.message.reason)

    store = Counting(world, after=lambda: pause(world) if len(store.own) == 1 else None)
    assert send(world, store, render=slow) == {("sent", ""): 1, ("held", ""): 1}
    assert store.own == [True, False, True]


def test_only_a_send_rests_on_shared_rows() -> None:
    """The brand had no quiet hours any more when the second message was skipped by the former ones."""
    world = story(2)
    world.configure(ConfigureBrand(BRAND, 1, {"utility_quiet_hours": "00:00-23:59"}))
    open_again = ConfigureBrand(BRAND, 2, {"utility_quiet_hours": ""})
    store = Counting(world, after=lambda: world.configure(open_again) if len(store.own) == 2 else None)
    assert send(world, store) == {("skipped", "too_late"): 1, ("sent", ""): 1}
    assert store.own == [True, False, True]


def test_no_delay_rests_on_shared_rows() -> None:
    """The brand asked again to send before the window closes. By the former rows, the message waited too long."""
    world = World(workers=1)
    contacts = [Contact(BRAND, "sms", f"+49151123456{number:02}") for number in range(2)]
    world.configure(ConfigureBrand(BRAND, 1, {"when_window_will_close": "pull_forward"}))
    starts_at = NOON + timedelta(days=33)
    for number, contact in enumerate(contacts):
        world.receive(inbound(contact=contact))
        booked = business("AppointmentBooked", contact=contact, starts_at=starts_at, remind_before=["P1D"])
        world.plan(replace(booked, subject=replace(booked.subject, id=f"a-{number}")))
    world.clock.now = min(row.due_at for row in world.store.rows())
    world.configure(ConfigureBrand(BRAND, 2, {"when_window_will_close": "wait"}))
    again = ConfigureBrand(BRAND, 3, {"when_window_will_close": "pull_forward"})
    store = Counting(world, after=lambda: world.configure(again) if len(store.own) == 1 else None)
    sender = replace(world.sender(), store=store)
    done = dict(send_due_messages(sender, stop_at=world.clock.now + timedelta(seconds=50), workers=1))
    assert store.own == [True, False, True]
    assert done == {("held", ""): 1, ("sent", ""): 1}


def snapshot(name: str = "") -> Snapshot:
    return Snapshot(None, None, None, Preferences(), Brand(BRAND, name=name) if name else None, CapUsage())


@pytest.mark.parametrize(
    ("age", "is_known"),
    [(-MICROSECOND, False), (timedelta(), True), (SHARED_FOR, True), (SHARED_FOR + MICROSECOND, False)],
)
def test_rows_are_shared_for_half_a_second(age: timedelta, *, is_known: bool) -> None:
    brands = RecentBrands()
    assert brands.of(BRAND, NOON) is None
    brands.note(BRAND, snapshot("Acme"), NOON)
    if age > RENEWED_AFTER:
        assert brands.of(BRAND, NOON + age) is None  # the one that reads them again
    found = brands.of(BRAND, NOON + age)
    assert (found is not None) == is_known
    assert brands.of("other", NOON) is None
    if found:
        assert (found.read_at, found.rows[STACK]) == (NOON, None)
        assert found.rows[BRAND] == Brand(BRAND, name="Acme")


def test_one_decision_renews_the_rows_for_all() -> None:
    brands, later = RecentBrands(), NOON + RENEWED_AFTER + MICROSECOND
    brands.note(BRAND, snapshot(), NOON)
    assert [brands.of(BRAND, later) is None for _ in range(3)] == [True, False, False]
    brands.note(BRAND, snapshot("new"), later)
    brands.note(BRAND, snapshot("late"), NOON)  # the answer to an earlier read comes last
    found = brands.of(BRAND, later)
    assert found
    assert found.read_at == later
    assert found.rows[BRAND] == Brand(BRAND, name="new")
