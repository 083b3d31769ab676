"""A plan replaces nothing, or a message that may still change: never one that is being sent or was sent."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.domain.message import ScheduledMessage, State
from reengage.ports import Store
from tests.contract.samples import (
    LATER,
    NOW,
    brought,
    claimed,
    due_key,
    ended,
    everything_due,
    planned,
    reminder,
    skip,
)
from tests.contract.stores import Harness

ROW = reminder(version=2, due_at=NOW - timedelta(minutes=1))
"""The stored version is 2. The plans that are written over it have versions 1, 2 and 3."""


def _withdrawn(rule: str) -> Callable[[Store], None]:
    def bring(store: Store) -> None:
        planned(store, ROW)
        assert store.withdraw(ROW, version=2, rule=rule, at=NOW)

    return bring


def _skipped(rule: str) -> Callable[[Store], None]:
    def bring(store: Store) -> None:
        assert store.settle(ended(claimed(store, ROW), State.SKIPPED, rule=rule, facts={"seen": 1}))

    return bring


def _ended_with_a_rule(state: State) -> Callable[[Store], None]:
    def bring(store: Store) -> None:
        assert store.settle(ended(claimed(store, ROW), state, rule="cancelled"))

    return bring


def _late_from_the_start(store: Store) -> None:
    planned(store, skip(ROW))


def _in(state: State) -> Callable[[Store], object]:
    return lambda store: brought(store, state, ROW)


WITHDRAWN: Mapping[str, Callable[[Store], object]] = {
    rule: _withdrawn(rule) for rule in ("superseded", "cancelled")
} | {f"{rule} at the snapshot": _skipped(rule) for rule in ("superseded", "cancelled")}
GIVES_WAY: Mapping[str, Callable[[Store], object]] = {
    **{f"skipped {rule}": _skipped(rule) for rule in ("no_conversation", "window_closed", "too_late", "opted_out")},
    "too_late from the start": _late_from_the_start,
}
FIXED: Mapping[str, Callable[[Store], object]] = {
    **{f"{state} with a rule": _ended_with_a_rule(state) for state in (State.SENT, State.FAILED, State.UNCONFIRMED)},
    **{
        state: _in(state)
        for state in (
            State.SENDING,
            State.SENT,
            State.DELIVERED,
            State.UNDELIVERED,
            State.FAILED,
            State.UNCONFIRMED,
        )
    },
}
PLANS: Mapping[str, Callable[..., ScheduledMessage]] = {
    "scheduled": reminder,
    "too late": lambda **changes: skip(reminder(**changes)),
}


def _is_stored(harness: Harness, message: ScheduledMessage) -> None:
    """The row equals that message, and is in the index if it is scheduled."""
    assert harness.store.read_message(message.key) == message
    due = [due_key(message)] if message.state is State.SCHEDULED else []
    assert everything_due(harness.store, message.due_at) == due
    assert harness.size() == 1


@pytest.mark.parametrize("plan", PLANS)
def test_over_nothing_it_is_written(harness: Harness, plan: str) -> None:
    message = PLANS[plan]()
    assert harness.store.write_plan(message, at=NOW) == message
    _is_stored(harness, message)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_over_a_scheduled_one_it_is_written_by_a_newer_version(harness: Harness, plan: str, version: int) -> None:
    """A message that is late from the start gets the new version instead: it was planned in time."""
    planned(harness.store, ROW)
    message = PLANS[plan](version=version, due_at=NOW + timedelta(microseconds=1))
    in_time = reminder(version=version, due_at=message.due_at)
    expected = in_time if version > 2 else ROW
    assert harness.store.write_plan(message, at=NOW) == expected
    _is_stored(harness, expected)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("row", WITHDRAWN)
def test_over_a_withdrawn_one_it_is_written_by_a_newer_version(
    harness: Harness, row: str, plan: str, version: int
) -> None:
    WITHDRAWN[row](harness.store)
    before = harness.store.read_message(ROW.key)
    assert before is not None
    message = PLANS[plan](version=version)
    expected = message if version > 2 else before
    assert harness.store.write_plan(message, at=NOW) == expected
    _is_stored(harness, expected)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("row", GIVES_WAY)
def test_newer_version_replaces_a_skip(harness: Harness, row: str, plan: str, version: int) -> None:
    """A cart whose reminder was skipped once got no reminder ever again."""
    GIVES_WAY[row](harness.store)
    before = harness.store.read_message(ROW.key)
    assert before is not None
    message = PLANS[plan](version=version)
    expected = message if version > 2 else before
    assert harness.store.write_plan(message, at=NOW) == expected
    _is_stored(harness, expected)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("row", FIXED)
def test_over_any_other_it_is_never_written(harness: Harness, row: str, plan: str, version: int) -> None:
    FIXED[row](harness.store)
    before = harness.store.read_message(ROW.key)
    assert before is not None
    assert harness.store.write_plan(PLANS[plan](version=version), at=NOW) == before
    assert harness.store.read_message(ROW.key) == before


def test_a_plan_over_a_row_that_was_given_back_starts_afresh(harness: Harness) -> None:
    taken = claimed(harness.store, ROW)
    assert harness.store.release(replace(taken, attempts=2, rule="quiet_hours", facts={"zone": "UTC"}, due_at=LATER))
    new = reminder(version=3)
    assert harness.store.write_plan(new, at=NOW) == new
    _is_stored(harness, new)


def test_claim_from_before_the_new_plan_cannot_settle(harness: Harness) -> None:
    taken = claimed(harness.store, ROW)
    assert harness.store.release(taken)
    new = planned(harness.store, reminder(version=3))
    assert not harness.store.settle(ended(taken, State.SENT, provider="eventbridge", provider_message_id="event-1"))
    assert not harness.store.release(taken)
    _is_stored(harness, new)


def test_a_plan_where_ttl_has_deleted_the_row_is_written(harness: Harness) -> None:
    brought(harness.store, State.SENT, ROW)
    harness.expire(NOW + timedelta(days=31))
    message = planned(harness.store, reminder(version=3))
    _is_stored(harness, message)


@pytest.mark.parametrize("late", [timedelta(), timedelta(days=100)], ids=["planned in time", "planned late"])
def test_a_row_outlives_its_due_time_and_its_planning_by_30_days(harness: Harness, late: timedelta) -> None:
    message = reminder(due_at=NOW)
    harness.store.write_plan(message if not late else skip(message), at=NOW + late)
    end = max(NOW + late, message.valid_until) + timedelta(days=30)
    harness.expire(end - timedelta(seconds=1))
    assert harness.store.read_message(message.key)
    harness.expire(end + timedelta(seconds=1))
    assert harness.store.read_message(message.key) is None


# Withdrawing


@pytest.mark.parametrize("rule", ["superseded", "cancelled"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_scheduled_row_is_withdrawn(harness: Harness, rule: str, version: int) -> None:
    planned(harness.store, ROW)
    withdrawn = harness.store.withdraw(ROW, version=version, rule=rule, at=LATER)
    assert withdrawn == ended(ROW, State.SKIPPED, rule=rule)
    _is_stored(harness, withdrawn)


def test_a_newer_row_is_not_withdrawn(harness: Harness) -> None:
    planned(harness.store, ROW)
    assert harness.store.withdraw(ROW, version=1, rule="cancelled", at=LATER) is None
    _is_stored(harness, ROW)


@pytest.mark.parametrize("version", [1, 2, 9])
@pytest.mark.parametrize("row", WITHDRAWN)
def test_earlier_withdrawn_message_is_returned_again_unchanged(harness: Harness, row: str, version: int) -> None:
    """A planner that was stopped can publish it later."""
    WITHDRAWN[row](harness.store)
    before = harness.store.read_message(ROW.key)
    assert before is not None
    assert harness.store.withdraw(ROW, version=version, rule="cancelled", at=LATER) == before
    assert harness.store.read_message(ROW.key) == before


@pytest.mark.parametrize("row", FIXED)
def test_no_other_row_is_withdrawn(harness: Harness, row: str) -> None:
    FIXED[row](harness.store)
    before = harness.store.read_message(ROW.key)
    assert harness.store.withdraw(ROW, version=9, rule="cancelled", at=LATER) is None
    assert harness.store.read_message(ROW.key) == before


def test_withdrawing_makes_no_row(harness: Harness) -> None:
    assert harness.store.withdraw(ROW, version=9, rule="cancelled", at=LATER) is None
    planned(harness.store, ROW)
    harness.expire(NOW + timedelta(days=31))
    assert harness.store.withdraw(ROW, version=9, rule="cancelled", at=LATER) is None
    assert harness.size() == 0


def test_one_withdrawn_after_a_hold_keeps_what_was_decided(harness: Harness) -> None:
    taken = claimed(harness.store, ROW)
    held = replace(taken, rule="quiet_hours", facts={"zone": "UTC"}, due_at=LATER)
    assert harness.store.release(held)
    withdrawn = harness.store.withdraw(ROW, version=2, rule="superseded", at=LATER)
    assert withdrawn == ended(replace(held, claimed_at=taken.claimed_at), State.SKIPPED, rule="superseded")
    _is_stored(harness, withdrawn)
