"""No guarantee breaks under faults; and the judge finds each fence that is removed."""

import random
from typing import Final

import pytest

from tests.simulation.faults.fences import FENCES
from tests.simulation.faults.judge import violations
from tests.simulation.faults.run import KINDS, Fault, faults_of, play
from tests.simulation.faults.search import first_failure, shrunk, trial
from tests.simulation.faults.stories import story_of

SEEDS: Final = 12
FRESH: Final = 10**9


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_guarantee_breaks_under_a_seeds_faults(seed: int) -> None:
    assert trial(seed).failure is None


def test_no_guarantee_breaks_under_fresh_seeds() -> None:
    """Each run of the tests tries other stories; a failure names its seed."""
    first = random.SystemRandom().randrange(FRESH)
    failure, _ = first_failure(range(first, first + SEEDS))
    assert failure is None, shrunk(failure)


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_each_kind_of_fault_is_drawn(kind: str) -> None:
    assert any(fault.kind == kind for seed in range(200) for fault in faults_of(seed, ["claim"] * 100))


def test_the_same_seed_gives_the_same_history() -> None:
    lines, faults = story_of(3), list(faults_of(3, ["claim"] * 100))
    first, second = play(lines, faults), play(lines, faults)
    assert first.rows == second.rows
    assert first.handovers == second.handovers
    assert first.events == second.events


def test_stories_reach_the_provider() -> None:
    """A story in which nothing is sent would break no guarantee."""
    assert sum(trial(seed).handovers for seed in range(SEEDS)) > 4 * SEEDS


@pytest.mark.parametrize("fence", FENCES)
def test_the_judge_finds_a_removed_fence(fence: str) -> None:
    remove, code = FENCES[fence]
    with remove():
        failure, _ = first_failure(range(400), code)
    assert failure is not None


def test_a_failure_shrinks_to_few_events_and_faults() -> None:
    remove, code = FENCES["opt-out"]
    with remove():
        failure, _ = first_failure(range(100), code)
        assert failure is not None
        small = shrunk(failure)
        assert [violation.code for violation in violations(play(small.lines, small.faults))][:1] == [code]
    assert len(small.lines) <= 4
    assert small.faults == []


def test_an_error_before_the_send_is_retried_by_the_next_run() -> None:
    """A fault of each first call leaves the story's messages sent all the same."""
    lines = story_of(0)
    calm = play(lines, ())
    wanted = {handover.message.key for handover in calm.handovers}
    for call in range(0, calm.calls, 9):
        stormy = play(lines, [Fault(call, "error")])
        assert violations(stormy) == []
        missing = wanted - {handover.message.key for handover in stormy.handovers}
        assert len(missing) <= 1
