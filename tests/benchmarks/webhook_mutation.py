"""Mutate inputs of the fuzzer as trees, so that JSON stays JSON and signatures are made after the change.

Within a text libFuzzer changes the bytes. An input that reached new code is kept and changed again.
"""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import atheris

from tests.benchmarks.webhook_inputs import ODD, content, event_of, read, seeds, text_of, written

SEEDS: Final = tuple(seeds())
PADDINGS: Final = (1, 200_000, 3 * 1024 * 1024)
"""The last is longer than the webhook accepts, with any other content."""

SEEN: Final = 0.4
"""So many of the signed calls are changed after they were signed, as by an attacker who saw them."""

Place = tuple[Any, ...]
"""The names and indexes that lead to the place."""


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """Make one to four changes. An input that would become too large stays unchanged."""
    by = random.Random(seed)
    script = read(data) or deepcopy(by.choice(SEEDS))
    if script["by"] and by.random() < SEEN:
        script = {"by": None, "event": deepcopy(event_of(script))}
    for _ in range(by.randint(1, 4)):
        script = _changed(script, by)
    changed = written(script)
    return changed if len(changed) <= max_size else data


def crossed(data: bytes, other: bytes, max_size: int, seed: int) -> bytes:
    """Copy one place of the second input into the first, at the same path if there is one.

    So a provider's call arrives at another path, or with another provider's headers.
    """
    by = random.Random(seed)
    script, giver = read(data) or deepcopy(by.choice(SEEDS)), read(other) or by.choice(SEEDS)
    given, place = dict(_usages(giver)), by.choice([place for place, _ in _usages(script)])
    if "raw" not in script:
        _put(script, place, given[place if place in given else by.choice(list(given))])
    changed = written(script)
    return changed if len(changed) <= max_size else data


def _changed(script: Any, by: random.Random) -> Any:
    script.pop("padding", None)
    if "raw" in script:
        return script | {"raw": _noise(script["raw"], "latin-1")}
    if script["by"] and by.random() < 0.1:
        return script | _rewritten(script, by)
    if not script["by"] and by.random() < 0.4 and _has_a_body(script["event"]):
        script["event"]["body"] = _other_body(script["event"]["body"], by)
    else:
        _change_a_place(script, by)
    return script


def _rewritten(script: Any, by: random.Random) -> Any:
    """Damage the bytes, add some, encode them otherwise, or change the query."""
    match by.randrange(4):
        case 0:
            return {"raw": _noise(text_of(script).decode("latin-1"), "latin-1")}
        case 1:
            return {"padding": by.choice(PADDINGS)}
        case 2 if "query" in script:
            return {"query": _noise(script["query"])}
        case _:
            return {"ascii": not script.get("ascii", True)}


def _has_a_body(event: Any) -> bool:
    return isinstance(event, dict) and isinstance(event.get("body"), str)


def _other_body(body: str, by: random.Random) -> str:
    """Change a signed call: its JSON, or else its text."""
    try:
        script = {"by": "anybody", "payload": json.loads(body)}
    except (ValueError, RecursionError):
        return _noise(body)
    if by.random() < 0.5:
        return _noise(body)
    _change_a_place(script, by)
    return json.dumps(script["payload"])


def _change_a_place(script: Any, by: random.Random) -> None:
    place, value = by.choice(list(_usages(script)))
    holder, name = _holder(script, place), place[-1]
    match by.randrange(8):
        case 0 if isinstance(holder, dict) and holder is not script:
            del holder[name]
        case 1 if isinstance(holder, list):
            holder.append(deepcopy(value))
        case 2 | 3 if isinstance(value, str):
            holder[name] = _noise(value)
        case 4:
            holder[name] = [value]
        case _:
            _put(script, place, by.choice(ODD))


def _noise(text: str, encoding: str = "utf-8") -> str:
    """Let libFuzzer change some of its bytes."""
    raw = text.encode(encoding, "surrogatepass")
    return bytes(atheris.Mutate(raw, len(raw) + 16)).decode(encoding, "replace")


def _usages(script: Any) -> Iterator[tuple[Place, Any]]:
    """Yield every place within the content with its value."""
    waiting: list[tuple[Place, Any]] = [((content(script),), script[content(script)])]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*place, name), item) for name, item in items]


def _put(script: Any, place: Place, value: Any) -> None:
    """Return a copy, because the inserted value is changed later."""
    _holder(script, place)[place[-1]] = deepcopy(value)


def _holder(script: Any, place: Place) -> Any:
    for step in place[:-1]:
        script = script[step]
    return script
