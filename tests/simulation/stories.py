"""The stories of events/stories and their expected outcomes. ``python -m tests.simulation.stories NAME`` prints a
story's present outcome in the form of its file of expectations. Read it before you keep it.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reengage.simulation import read_story, simulate

FOLDER: Final = Path(__file__).parents[2] / "events" / "stories"

NOT_COMPARED: Final = frozenset({"MessagePlanned", "MessageSendRequested"})
"""What was planned shows in the outcome, and a request to deliver in what was sent. A file of expectations that names
one of them compares it, too.
"""

KEPT: Final = (
    "contact",
    "reason",
    "subject_id",
    "rule",
    "until",
    "text",
    "error",
    "errors",
    "answer",
    "bound_by",
    "also_opted_out",
    "why",
    "candidates",
    "expires_at",
    "scope",
    "same_as",
    "to",
)
"""What a file of expectations keeps of an event's detail."""

OF_ONE_KEY: Final = frozenset({"opened_by_a_token"})
"""Stories with a token of the simulation's own key in a text: it is another one in a table with another key."""

Line = dict[str, Any]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.jsonl") if not path.stem.endswith(".expected"))


def expected(name: str) -> list[Line]:
    return [json.loads(line) for line in (FOLDER / f"{name}.expected.jsonl").read_text(encoding="utf-8").splitlines()]


def outcome(name: str, compared: Iterable[str] = ()) -> list[Line]:
    """The events out of a story that are compared."""
    left_out = NOT_COMPARED - set(compared)
    out = simulate(read_story(FOLDER / f"{name}.jsonl"))
    return [line for line in out if "summary" not in line and line["detail-type"] not in left_out]


def differences(name: str) -> list[str]:
    """How a story's outcome differs from what is expected; each expectation names some fields of one event."""
    wanted = expected(name)
    found = outcome(name, {line["detail-type"] for line in wanted})
    missing = [line for line in wanted if not any(has(each, line) for each in found)]
    extra = [each for each in found if not any(has(each, line) for line in wanted)]
    found_wrong = [f"missing: {json.dumps(line)}" for line in missing] + [
        f"not expected: {json.dumps(each)}" for each in extra
    ]
    if not found_wrong and (len(found) != len(wanted) or not all(map(has, found, wanted))):
        found_wrong.append(f"another order or number: {len(found)} events, {len(wanted)} expected")
    return found_wrong


def has(value: Any, wanted: Any) -> bool:
    """Whether ``value`` has all of ``wanted``, at any depth."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(name in value and has(value[name], wanted[name]) for name in wanted)
    return bool(value == wanted)


def as_expectations(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        detail = {name: value for name, value in line["detail"].items() if name in KEPT}
        if "contact" in detail:
            detail["contact"] = {name: value for name, value in detail["contact"].items() if name != "brand"}
        yield line | {"detail": detail}


if __name__ == "__main__":
    for each in as_expectations(outcome(sys.argv[1])):
        sys.stdout.write(json.dumps(each, ensure_ascii=False) + "\n")
