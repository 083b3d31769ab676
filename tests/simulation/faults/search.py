"""Search seeds for a violation, and shrink what is found: fewer faults first, then fewer events."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

from reengage.simulation.fault_app import OF_A_MESSAGE
from reengage.simulation.faults import INVOKE, Fault, Place
from reengage.simulation.story import parse_story
from tests.simulation.faults.case import Violation
from tests.simulation.faults.judge import Verdict, judge
from tests.simulation.faults.reactions import ANSWERED, Played, ReactingRun
from tests.simulation.faults.settings import CONFIGURED, Line
from tests.simulation.faults.stories import story_of

MOST_TICKS: Final = 4_000
"""Steps of a story: a tenth of these is normal; a message that never ends would need one a minute."""

EVERYWHERE: Final = (
    *("error", "lost", "crash", "crash_after", "event", "event_after") * 2,
    *("slow", "slow_after", "tick", "tick_after", "ttl", "throttled"),
)
OF_CALLS: Final = {
    "send": (*EVERYWHERE, *("unknown", "refused", "throttled", "receipt", "receipt_lost") * 3),
    "publish": (*EVERYWHERE, *("partial", "error") * 4),
    "due": (*EVERYWHERE, *("stale", "backward") * 8),
    "audience_page": (*EVERYWHERE, *("stale", "backward") * 8),
    INVOKE: (*("late", "again") * 4, "skew", "skew", "crash", "error", "ttl", "event"),
}
"""The kinds of faults that a call may have; others have those of ``EVERYWHERE``."""

SECONDS: Final = {
    "late": (1, 30, 61, 3_700, 90_000),
    "again": (1, 61, 3_700, 90_000, 900_000),
    "skew": (-3, -0.5, 0.5, 3),
    "ttl": (0, 3_600, 90_000),
}
SLOW: Final = (0.4, 1.1, 1.9, 2.5, 20.0)
RACES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("claim", "write_subject", "index_subject", "write_conversation", "write_profile", "write_plan", "read_thread"),
        "event_after",
    ),
    "read_snapshot": "tick_after",
}
"""After one of these calls happens the race that matters most."""


class Failure(NamedTuple):
    seed: int
    lines: Sequence[Line]
    faults: Sequence[Fault]
    found: Sequence[Violation]


class Trial(NamedTuple):
    """One seed: what was judged, the faults that struck by their kind, and what is wrong."""

    verdict: Verdict
    struck: Counter[str]
    failure: Failure | None


def play(lines: Sequence[Line], faults: Sequence[Fault] = ()) -> Played:
    story = parse_story([*lines, *(fault.as_line() for fault in faults)])
    return ReactingRun(story, most_ticks=MOST_TICKS).run()


@dataclass(slots=True)
class Draw:
    """The faults of a seed; most strike while a message is sent. ``often``: one call in so many has a fault."""

    seed: int
    often: int
    drawn: dict[Place, Fault | None] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int) -> "Draw":
        return cls(seed, random.Random(f"faults-{seed}").choice((0, 1_000, 300, 150, 80, 40)))

    def get(self, place: Place) -> Fault | None:
        if not self.often or place.where == CONFIGURED:
            return None
        if place not in self.drawn:
            self.drawn[place] = self._draw(place)
        return self.drawn[place]

    def _draw(self, place: Place) -> Fault | None:
        digest = blake2b(f"{self.seed} {place}".encode(), digest_size=8).digest()
        is_likely = place.call in OF_A_MESSAGE or place.call in RACES or place.call == "send"
        often = max(1, self.often // 3) if is_likely else self.often
        if int.from_bytes(digest) % often:
            return None
        chance = random.Random(digest)
        kinds = OF_CALLS.get(place.call, EVERYWHERE)
        races = place.call in RACES and chance.random() < 0.4
        kind = RACES[place.call] if races else chance.choice(kinds)
        if kind == "again" and not place.where.startswith("event"):
            return None
        takes_time = kind in SECONDS or kind.startswith("slow")
        return Fault(place, kind, float(chance.choice(SECONDS.get(kind, SLOW))) if takes_time else 0.0)

    @property
    def faults(self) -> list[Fault]:
        return [fault for fault in self.drawn.values() if fault]


def trial(seed: int) -> Trial:
    """Play a seed's story with its faults; one story in six has no fault."""
    lines, draw = story_of(seed), Draw.of(seed)
    history = ReactingRun(parse_story(lines), most_ticks=MOST_TICKS, faults=draw).run()
    verdict = judge(lines, history)
    struck = Counter(fault.kind for _, fault in history.faults)
    failure = Failure(seed, lines, draw.faults, verdict.violations) if verdict.violations else None
    return Trial(verdict, struck, failure)


def first_failure(seeds: Iterable[int], code: str = "") -> tuple[Failure | None, int]:
    """Return the first failure, of one guarantee if ``code`` names it, and how many stories it took."""
    tried = 0
    for seed in seeds:
        tried += 1
        failure = trial(seed).failure
        if failure and any(violation.code == code or not code for violation in failure.found):
            return failure, tried
    return None, tried


def shrunk(failure: Failure, code: str = "") -> Failure:
    """Return the failure with as few faults and events as still show the violation."""
    code = code or failure.found[0].code

    def fails(lines: Sequence[Line], faults: Sequence[Fault]) -> bool:
        return any(violation.code == code for violation in judge(lines, play(lines, faults)).violations)

    story = next((lines for lines in _as_written(failure) if fails(lines, failure.faults)), failure.lines)
    faults = _fewest(list(failure.faults), lambda some: fails(story, some))
    lines = _fewest(list(story), lambda some: fails(some, faults))
    faults = _fewest(faults, lambda some: fails(lines, some))
    return Failure(failure.seed, lines, faults, judge(lines, play(lines, faults)).violations)


def _as_written(failure: Failure) -> Iterator[Sequence[Line]]:
    """Yield the story with fewer reactions: without any, and with the answers as lines, as ``simulate`` needs them."""
    answers = [line for line in play(failure.lines, failure.faults).reactions if line["id"].startswith(ANSWERED)]
    unanswered = [_without(line, "reacts") for line in failure.lines]
    plain = [_without(line, "opens") for line in unanswered]
    yield from (plain, [*plain, *answers], [*unanswered, *answers])


def _without(line: Line, name: str) -> Line:
    if "detail" not in line:
        return line
    return line | {"detail": {key: value for key, value in line["detail"].items() if key != name}}


def _fewest[T](items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Leave items out, first many at a time, while it still fails."""
    size = max(1, len(items) // 2)
    while size:
        position = 0
        while position < len(items):
            fewer = items[:position] + items[position + size :]
            if fails(fewer):
                items = fewer
            else:
                position += size
        size //= 2
    return items
