"""Several invocations share what one run cannot send in its time."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.bootstrap.sending import shards_of
from reengage.domain.contact import SHARDS, Contact
from reengage.usecases import fan_out as module
from reengage.usecases.fan_out import MESSAGES_PER_RUN, FanOut, shard_groups
from reengage.usecases.send_due_messages import send_due_messages, summary
from tests.fakes import NOON, World, business, inbound

COUNTS = st.dictionaries(st.integers(0, SHARDS - 1), st.integers(0, 5000), max_size=SHARDS)


@given(COUNTS, st.integers(1, 16))
def test_each_shard_with_messages_is_in_one_group(due: dict[int, int], most: int) -> None:
    groups = shard_groups(due, most)
    assert sorted(shard for group in groups for shard in group) == sorted(shard for shard, n in due.items() if n)


@given(COUNTS, st.integers(1, 16))
def test_there_are_as_many_groups_as_are_needed(due: dict[int, int], most: int) -> None:
    groups, total = shard_groups(due, most), sum(due.values())
    shards = sum(1 for n in due.values() if n)
    assert len(groups) == max(1, min(most, math.ceil(total / MESSAGES_PER_RUN), shards))


@given(COUNTS, st.integers(2, 16))
def test_groups_are_of_about_equal_size(due: dict[int, int], most: int) -> None:
    sizes = [sum(due[shard] for shard in group) for group in shard_groups(due, most)]
    assert max(sizes) - min(sizes) <= max(due.values(), default=0)


STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)
PEOPLE = 60


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which the reminders of many people are due, and a run that sends ten of them."""
    monkeypatch.setattr(module, "MESSAGES_PER_RUN", 10)
    world = World()
    for number in range(PEOPLE):
        contact = Contact("acme-dental", "sms", f"+49151{12345000 + number}")
        world.receive(inbound(contact=contact))
        booked: dict[str, Any] = {"starts_at": STARTS, "remind_before": ["PT2H"]}
        world.plan(business("AppointmentBooked", contact=contact, subject_id=f"A-{number}", **booked))
    world.clock.now = DUE
    return world


def run(world: World, shards: Sequence[int], fan_out: FanOut | None) -> dict[str, Any]:
    return summary(
        send_due_messages(world.sender(), stop_at=DUE + timedelta(minutes=1), shards=shards, fan_out=fan_out)
    )


def test_runs_together_send_all_and_each_once(world: World) -> None:
    invoked: list[Sequence[int]] = []
    first = run(world, range(SHARDS), FanOut(invoked.append, most=4))
    assert len(invoked) == 3
    assert (first["due"], first["sent"]) == (PEOPLE, PEOPLE - first["shared"])
    others = [run(world, shards, None) for shards in invoked]
    assert first["shared"] == sum(other["sent"] for other in others)
    handed = [outbound.message.key for outbound in world.provider.handed]
    assert len(handed) == len(set(handed)) == PEOPLE


def test_run_keeps_what_no_other_invocation_takes(world: World) -> None:
    def refuse(_: Sequence[int]) -> None:
        raise ConnectionError("TooManyRequestsException")

    answer = run(world, range(SHARDS), FanOut(refuse, most=4))
    assert (answer["sent"], "shared" in answer) == (PEOPLE, False)


def test_one_run_is_enough_for_a_few_messages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_RUN", PEOPLE)
    invoked: list[Sequence[int]] = []
    assert run(world, range(SHARDS), FanOut(invoked.append, most=4))["sent"] == PEOPLE
    assert invoked == []


def test_run_for_some_shards_leaves_the_others(world: World) -> None:
    of_shard = sum(row.contact.shard == 3 for row in world.store.rows())
    assert of_shard
    assert run(world, [3], None)["sent"] == of_shard


@pytest.mark.parametrize(
    ("event", "shards"),
    [
        ({"shards": [0, 5]}, [0, 5]),
        ({"scheduled_at": "2026-11-02T08:00:00Z"}, []),
        ({"shards": [16, "1", -1]}, []),
        ({"shards": "all"}, []),
        (None, []),
    ],
)
def test_shards_of_an_event(event: object, shards: list[int]) -> None:
    assert shards_of(event) == shards
