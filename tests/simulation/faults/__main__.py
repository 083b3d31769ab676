"""``python -m tests.simulation.faults --seeds 1000``: play fresh seeds; a failing one is shrunk and printed.

``--first`` is the first seed; without it, the seeds are fresh. ``--replay FILE`` plays what a failure printed.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Final

from tests.simulation.faults.judge import violations
from tests.simulation.faults.run import Fault, play
from tests.simulation.faults.search import Failure, shrunk, trial

FRESH: Final = 10**9


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--first", type=int, help="the first seed; without it a fresh one")
    parser.add_argument("--replay", type=Path, help="a file that a failure printed")
    given = parser.parse_args()
    if given.replay:
        return _replay(given.replay)
    first = random.SystemRandom().randrange(FRESH) if given.first is None else given.first
    begins, handovers = time.monotonic(), 0
    for seed in range(first, first + given.seeds):
        tried = trial(seed)
        handovers += tried.handovers
        if tried.failure:
            _print(shrunk(tried.failure))
            return 1
    took = time.monotonic() - begins
    sys.stdout.write(f"seeds {first} to {first + given.seeds - 1}: {handovers} handovers, no violation, {took:.0f} s\n")
    return 0


def _print(failure: Failure) -> None:
    """Print the story and its faults as lines that ``--replay`` takes; without the faults, so does simulate."""
    sys.stderr.write(f"seed {failure.seed}\n")
    for violation in failure.found:
        sys.stderr.write(f"{violation.code}: {violation.text}\n")
    for line in failure.lines:
        sys.stdout.write(json.dumps(line) + "\n")
    for fault in failure.faults:
        sys.stdout.write(json.dumps({"fault": fault._asdict()}) + "\n")


def _replay(path: Path) -> int:
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
    faults = [Fault(**line["fault"]) for line in lines if "fault" in line]
    found = violations(play([line for line in lines if "fault" not in line], faults))
    for violation in found:
        sys.stdout.write(f"{violation.code}: {violation.text}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
