"""Search seeds for a violation, and shrink what is found: fewer faults first, then fewer events."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tests.simulation.faults.judge import Violation, violations
from tests.simulation.faults.run import Fault, faults_of, play
from tests.simulation.faults.stories import Line, story_of


class Failure(NamedTuple):
    seed: int
    lines: Sequence[Line]
    faults: Sequence[Fault]
    found: Sequence[Violation]


class Trial(NamedTuple):
    """One seed: the messages that a provider took, without faults and with, and what is wrong."""

    handovers: int
    failure: Failure | None


def trial(seed: int) -> Trial:
    """Play a seed's story twice: calmly, and with its faults."""
    lines = story_of(seed)
    calm = play(lines, ())
    faults = list(faults_of(seed, calm.names))
    stormy = play(lines, faults) if faults else calm
    handovers = len(calm.handovers) + (len(stormy.handovers) if faults else 0)
    for used, history in (((), calm), (faults, stormy)):
        if found := violations(history):
            return Trial(handovers, Failure(seed, lines, used, found))
    return Trial(handovers, None)


def first_failure(seeds: Iterable[int], code: str = "") -> tuple[Failure | None, int]:
    """Return the first failure, of one guarantee if ``code`` names it, and how many stories it took."""
    tried = 0
    for seed in seeds:
        tried += 1
        failure = trial(seed).failure
        if failure and any(violation.code == code or not code for violation in failure.found):
            return failure, tried
    return None, tried


def shrunk(failure: Failure) -> Failure:
    """Return the failure with as few faults and events as still show its first violation."""
    code = failure.found[0].code

    def fails(lines: Sequence[Line], faults: Sequence[Fault]) -> bool:
        return any(violation.code == code for violation in violations(play(lines, faults)))

    faults = _fewest(list(failure.faults), lambda some: fails(failure.lines, some))
    lines = _fewest(list(failure.lines), lambda some: fails(some, faults))
    faults = _fewest(faults, lambda some: fails(lines, some))
    return Failure(failure.seed, lines, faults, violations(play(lines, faults)))


def _fewest[T](items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Leave items out, one at a time, while it still fails."""
    position = 0
    while position < len(items):
        fewer = items[:position] + items[position + 1 :]
        if fails(fewer):
            items = fewer
        else:
            position += 1
    return items
