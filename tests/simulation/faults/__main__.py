"""``python -m tests.simulation.faults --seeds 1000``: play fresh seeds; a failing one is shrunk and printed.

With ``--all`` the search goes on after a violation, and ``--jobs`` processes share the seeds.
``--first`` is the first seed; without it, the seeds are fresh. ``--replay FILE`` plays what a failure printed, as
``reengage simulate FILE`` does, and judges it. ``--fences`` removes each fence of the product in turn.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

from reengage.simulation.faults import parse_fault
from tests.simulation.faults.fences import FENCES
from tests.simulation.faults.judge import judge
from tests.simulation.faults.search import Failure, Trial, first_failure, play, shrunk, trial

FRESH: Final = 10**9
REPORTED_EVERY: Final = 100
"""Stories, in a long run."""

CHUNK: Final = 20
"""Stories that a process plays before it reports: so many are lost from the sums if one raises."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--first", type=int, help="the first seed; without it a fresh one")
    parser.add_argument("--seconds", type=float, help="end after this time, whatever the seeds")
    parser.add_argument("--all", action="store_true", help="go on after a violation, and print all of them at the end")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes, with --all")
    parser.add_argument("--replay", type=Path, help="a file that a failure printed")
    parser.add_argument("--fences", action="store_true", help="remove each fence, and count the stories until it shows")
    given = parser.parse_args()
    if given.all and given.seconds:
        parser.error("--all plays all seeds: leave out --seconds")
    if given.replay:
        return _replay(given.replay)
    first = random.SystemRandom().randrange(FRESH) if given.first is None else given.first
    if given.fences:
        return _fences(first, given.seeds)
    if given.all:
        return _search_all(range(first, first + given.seeds), given.jobs)
    return _search(first, given.seeds, given.seconds or float("inf"))


def _search(first: int, seeds: int, seconds: float) -> int:
    sys.stdout.write(f"first seed {first}\n")
    begins, counts, struck = time.monotonic(), Counter[str](), Counter[str]()
    for seed in range(first, first + seeds):
        if time.monotonic() - begins > seconds:
            break
        tried = trial(seed)
        counts += _counts(tried)
        struck += tried.struck
        if tried.failure:
            _print(shrunk(tried.failure))
            return 1
        if counts["stories"] % REPORTED_EVERY == 0:
            sys.stdout.write(f"{_summary(counts, struck, time.monotonic() - begins)}\n")
            sys.stdout.flush()
    last = first + counts["stories"] - 1
    sys.stdout.write(f"seeds {first} to {last}: no violation; {_summary(counts, struck, time.monotonic() - begins)}\n")
    for kind, count in sorted(struck.items()):
        sys.stdout.write(f"  {kind}: {count}\n")
    return 0


class Played(NamedTuple):
    """The outcome of some seeds; ``found``: a line for each seed with a violation."""

    counts: Counter[str]
    struck: Counter[str]
    found: Sequence[str]


def _search_all(seeds: range, jobs: int) -> int:
    """Play all seeds in some processes, and print the sums and each violation; 1 if there is one, or a story raised."""
    sys.stdout.write(f"first seed {seeds.start}\n")
    begins, counts, struck = time.monotonic(), Counter[str](), Counter[str]()
    found: list[str] = []
    for played in _in_processes(seeds, jobs):
        reported = counts["stories"] // REPORTED_EVERY
        counts += played.counts
        struck += played.struck
        found += played.found
        for line in played.found:
            sys.stdout.write(f"{line}\n")
        if counts["stories"] // REPORTED_EVERY > reported:
            sys.stdout.write(f"{_summary(counts, struck, time.monotonic() - begins)}\n")
        sys.stdout.flush()
    sys.stdout.write(f"seeds {seeds.start} to {seeds[-1]}: {len(found)} with a violation; ")
    sys.stdout.write(f"{_summary(counts, struck, time.monotonic() - begins)}\n")
    return 1 if found else 0


def _in_processes(seeds: range, jobs: int) -> Iterator[Played]:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        yield from map(_play_chunk, chunks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_play_chunk, chunk): chunk for chunk in chunks}
        yield from (_played(done, waiting[done]) for done in as_completed(waiting))


def _played(done: "Future[Played]", chunk: range) -> Played:
    error = done.exception()
    raised = Played(Counter(), Counter(), [f"seeds {chunk.start} to {chunk[-1]}: {error!r}"])
    return raised if error else done.result()


def _play_chunk(chunk: range) -> Played:
    counts, struck = Counter[str](), Counter[str]()
    found: list[str] = []
    for seed in chunk:
        tried = trial(seed)
        counts += _counts(tried)
        struck += tried.struck
        if tried.failure:
            texts = (f"{violation.code}: {violation.text}" for violation in tried.failure.found)
            found.append(f"seed {seed}: {'; '.join(texts)}")
    return Played(counts, struck, found)


def _counts(tried: Trial) -> Counter[str]:
    verdict = tried.verdict
    return Counter(stories=1, messages=verdict.due, handovers=verdict.handovers, unhindered=verdict.unhindered)


def _summary(counts: Counter[str], struck: Counter[str], took: float) -> str:
    return (
        f"{counts['stories']} stories, {counts['messages']} messages planned, {counts['handovers']} handed over, "
        f"{counts['unhindered']} unhindered, {struck.total()} faults, {took:.0f} s"
    )


def _fences(first: int, seeds: int) -> int:
    """Print for each fence after how many stories its absence showed; 1 if one did not."""
    missed = 0
    for name, (remove, code) in FENCES.items():
        with remove():
            failure, tried = first_failure(range(first, first + seeds), code)
        missed += failure is None
        result = f"{code} after {tried} stories" if failure else f"NOT found in {tried} stories"
        sys.stdout.write(f"{name}: {result}\n")
        sys.stdout.flush()
    return 1 if missed else 0


def _print(failure: Failure) -> None:
    """Print the story with its faults as lines that ``--replay`` and ``reengage simulate`` take."""
    sys.stderr.write(f"seed {failure.seed}\n")
    for violation in failure.found:
        sys.stderr.write(f"{violation.code}: {violation.text}\n")
    for line in [*failure.lines, *(fault.as_line() for fault in failure.faults)]:
        sys.stdout.write(json.dumps(line) + "\n")


def _replay(path: Path) -> int:
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.startswith("{")]
    faults = [parse_fault(line["fault"]) for line in lines if "fault" in line]
    story = [line for line in lines if "fault" not in line]
    found = judge(story, play(story, faults)).violations
    for violation in found:
        sys.stdout.write(f"{violation.code}: {violation.text}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
