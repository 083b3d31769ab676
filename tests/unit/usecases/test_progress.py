"""The progress of a broadcast: before it begins, while it runs, and after its end."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from reengage.domain.broadcast import shard_key
from reengage.domain.caps import parse_caps
from reengage.domain.commands import RecordChoice
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.ports import Outcome, Refused, Unknown
from reengage.usecases import expand_broadcast as module
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.progress import progress
from tests.fakes import NOON, Crash, Fault, World, business, inbound, worker

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DUE = NOON + HOUR
SHARD = 5
REF = SubjectRef("acme-dental", "announcement", "N-1")

PEOPLE = list(
    islice(
        (contact for n in range(10**8) if (contact := Contact("acme-dental", "sms", f"+49151{n:08}")).shard == SHARD), 5
    )
)
"""Contacts of one shard."""


def announced(hours: float = 0, **fields: Any) -> BusinessEvent:
    values = {"date": "2026-04-06", "send_at": DUE, "closed": True, **fields}
    return business("HolidayHoursAnnounced", NOON + timedelta(hours=hours), subject_id="N-1", **values)


def story(*answers: Outcome) -> World:
    """Five people, and an announcement that is due in an hour."""
    world = World()
    for contact in PEOPLE:
        world.receive(inbound(contact=contact))
    world.plan(announced())
    world.provider.script.extend(answers)
    return world


def progress_of(world: World) -> dict[str, Any]:
    """Return the one broadcast's progress."""
    (shown,) = progress(REF, store=world.store, clock=world.clock)["broadcasts"]
    assert isinstance(shown, dict)
    return shown


def expand(world: World, *, pages: int) -> None:
    start, world.clock.step = world.clock.now, SECOND
    key = shard_key(REF, "holiday_hours", SHARD)
    ports = world.ports()
    expand_broadcast(
        key,
        store=ports.store,
        publish=ports.bus,
        clock=world.clock,
        settings=world.policy,
        stop_at=start + pages * SECOND,
    )
    world.clock.now, world.clock.step = start, timedelta()


@pytest.fixture(autouse=True)
def _one_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)


NOTHING_YET = {
    "reason": "holiday_hours",
    "state": "scheduled",
    "due_at": "2026-03-02T13:00:00Z",
    "shards": {"done": 0, "all": SHARDS},
    "planned": 0,
    "sent": 0,
    "skipped": {},
    "failed": 0,
    "unconfirmed": 0,
    "waiting": 0,
}


def test_unknown_announcement_has_no_progress() -> None:
    world = World()
    assert progress(REF, store=world.store, clock=world.clock) == {
        "brand": "acme-dental",
        "kind": "announcement",
        "id": "N-1",
        "asked_at": "2026-03-02T12:00:00Z",
        "broadcasts": [],
    }


def test_before_it_is_due_it_is_scheduled() -> None:
    world = story()
    assert progress_of(world) == NOTHING_YET
    world.clock.now = DUE - SECOND
    world.run_sender("updates")
    assert progress_of(world) == NOTHING_YET


def test_what_is_due_and_not_begun_is_running() -> None:
    world = story()
    world.clock.now = DUE
    assert progress_of(world) == {**NOTHING_YET, "state": "running"}


def test_running_broadcast_shows_recipients_and_outcomes() -> None:
    """A run's time ended after two pages of the shard; the next one's after its first message; then one finishes."""
    world = story()
    world.clock.now = DUE
    expand(world, pages=2)
    running = {**NOTHING_YET, "state": "running"}
    assert progress_of(world) == {**running, "planned": 2, "waiting": 2}

    def is_late(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        world.clock.now += MINUTE if name == "settle" else timedelta()
        return answer

    _, errors = worker(world.sender("updates", is_late), SHARD, world.clock.now + MINUTE)
    assert errors == []
    assert progress_of(world) == {**running, "planned": 2, "sent": 1, "waiting": 1}
    world.run_sender("updates")
    assert (progress_of(world)["state"], progress_of(world)["planned"], progress_of(world)["sent"]) == ("done", 5, 5)


def test_finished_broadcast_shows_all_outcomes() -> None:
    world = story(Refused("no such number"), Unknown("ReadTimeoutError"))
    world.record_choice(RecordChoice(PEOPLE[0], "contact", Choice(allowed=False, at=NOON)))
    world.record_choice(RecordChoice(PEOPLE[1], "marketing", Choice(allowed=False, at=NOON)))
    world.clock.now = DUE
    world.run_sender("updates")
    assert progress_of(world) == {
        **NOTHING_YET,
        "state": "done",
        "shards": {"done": SHARDS, "all": SHARDS},
        "planned": 5,
        "sent": 1,
        "skipped": {"no_consent": 1, "opted_out": 1},
        "failed": 1,
        "unconfirmed": 1,
    }


def test_every_shard_is_counted_in() -> None:
    world = World()
    people = [Contact("acme-dental", "sms", f"+49160{number:08}") for number in range(60)]
    for contact in people:
        world.receive(inbound(contact=contact))
    assert {contact.shard for contact in people} == set(range(SHARDS))
    world.plan(announced())
    world.clock.now = DUE
    world.run_sender("updates")
    assert (progress_of(world)["planned"], progress_of(world)["sent"], progress_of(world)["state"]) == (60, 60, "done")


def test_what_is_held_is_waiting() -> None:
    world = story()
    world.policy = PolicySettings(caps={"marketing": parse_caps("1/P1D")})
    world.clock.now = DUE
    world.run_sender("updates")
    world.plan(business("HolidayHoursAnnounced", subject_id="N-2", date="2026-04-06", send_at=DUE, closed=True))
    world.run_sender("updates")
    (second,) = progress(SubjectRef("acme-dental", "announcement", "N-2"), store=world.store, clock=world.clock)[
        "broadcasts"
    ]
    assert (second["state"], second["planned"], second["waiting"], second["sent"]) == ("done", 5, 5, 0)
    world.clock.forward(days=1, minutes=1)
    world.run_sender("updates")
    (second,) = progress(SubjectRef("acme-dental", "announcement", "N-2"), store=world.store, clock=world.clock)[
        "broadcasts"
    ]
    assert (second["waiting"], second["sent"]) == (0, 5)


def test_a_page_that_is_planned_twice_is_counted_once() -> None:
    """A run was killed after it had planned a page, and before it could store that."""
    world = story()
    world.clock.now = DUE
    with pytest.raises(Crash):
        worker(world.sender("updates", Fault(only="save_progress", nth=3)), SHARD, world.clock.now + MINUTE)
    assert len(world.store.rows()) == 3
    assert progress_of(world)["planned"] == 2
    world.clock.forward(minutes=1)
    world.run_sender("updates")
    assert (progress_of(world)["planned"], progress_of(world)["sent"]) == (5, 5)


def test_what_a_killed_run_had_not_counted_stays_waiting() -> None:
    world = story()
    world.clock.now = DUE
    with pytest.raises(Crash):
        worker(world.sender("updates", Fault(only="count_outcomes")), SHARD, world.clock.now + MINUTE)
    world.clock.forward(minutes=1)
    world.run_sender("updates")
    assert len(world.provider.handed) == 5
    shown = progress_of(world)
    assert (shown["state"], shown["planned"], shown["sent"], shown["waiting"]) == ("done", 5, 0, 5)


def test_withdrawn_broadcast_is_shown_before_and_after_due() -> None:
    world = story()
    world.clock.now = NOON + MINUTE
    world.plan(business("AnnouncementWithdrawn", NOON + MINUTE, subject_id="N-1"))
    for now in (NOON + MINUTE, DUE):
        world.clock.now = now
        world.run_sender("updates")
        assert (progress_of(world)["state"], progress_of(world)["planned"]) == ("withdrawn", 0)


def test_late_announcement_is_shown_as_too_late() -> None:
    world = World()
    world.receive(inbound(contact=PEOPLE[0]))
    world.clock.now = NOON + DAY
    world.plan(announced(date="2026-03-02", timezone="UTC"))
    world.run_sender("updates")
    assert (progress_of(world)["state"], progress_of(world)["planned"]) == ("too_late", 0)


def test_other_id_or_brand_has_no_progress() -> None:
    world = story()
    for ref in (SubjectRef("acme-dental", "announcement", "N"), SubjectRef("birch-bakery", "announcement", "N-1")):
        assert progress(ref, store=world.store, clock=world.clock)["broadcasts"] == []


def test_two_broadcasts_of_one_announcement_are_separate() -> None:
    world = story()
    world.plan(business("ProductPreviewAnnounced", subject_id="N-1", title="Shoes", send_at=DUE))
    shown = progress(REF, store=world.store, clock=world.clock)["broadcasts"]
    assert [each["reason"] for each in shown] == ["holiday_hours", "product_preview"]


def test_it_can_be_read_as_json_at_any_time() -> None:
    world = story(Refused("no"))
    for now in (NOON, DUE, DUE + MINUTE):
        world.clock.now = now
        world.run_sender("updates")
        shown = progress(REF, store=world.store, clock=world.clock)
        assert json.loads(json.dumps(shown)) == shown


def test_progress_query_changes_nothing() -> None:
    world = story()
    world.clock.now = DUE
    counted = Fault(nth=-1)
    progress(REF, store=world.ports(counted).store, clock=world.clock)
    assert counted.calls == ["read_shards"]
