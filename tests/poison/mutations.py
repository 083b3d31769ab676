"""Put something wrong into an event or a call: a value of another type, a hostile text, a missing field."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

HOSTILE: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 2**63, 10**400, 1.5, float("inf"), float("nan"), [], {}, [None], {"": ""}),
    *("", " ", "\n", "\x00", "\u200b", "\ud800", "a\x00b", "#", "a#b\nc", "%", "{}", "null", "é" * 700, "🦷" * 300),
    *("STOP\n", "ſtop", "stop", "START", "help", "+", "+1", "tel:+12025550101", "whatsapp:+12025550101", "00" * 40),
    *("2031-03-20T15:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2031-02-30T00:00:00Z"),
    *("2016-12-31T23:59:60Z", "P1D", "-P1D", "P9999999D", "PT0S", "P1Y", "Europe/Berlin", "../../etc/passwd", "en\n"),
    *("x" * 3_000, "x" * 300_000, ["x"] * 2_000, {"name": "x"}, [{"name": 1}], {"en": "x"}, {"xx": 5}, "1e400", -0.0),
)
"""Values that once caused an error somewhere, and similar ones."""

DEEPEST: Final = 12
"""Levels of the events themselves, and some more."""

DEEP: Final = 300
"""Levels of a value that is nested; JSON's own parser takes no more than some thousand."""


def nested() -> Any:
    value: Any = "x"
    for _ in range(DEEP):
        value = [value]
    return value


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in a JSON value, including the value itself."""
    yield path
    if len(path) > DEEPEST:
        return
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        yield from paths(each, (*path, name))


def mutated(value: Any, chance: random.Random) -> Any:
    """Return a copy with one to three places changed."""
    changed = json.loads(json.dumps(value))
    for _ in range(chance.choice((1, 1, 2, 3))):
        changed = _changed(changed, chance.choice(list(paths(changed))), chance)
    return changed


def _changed(value: Any, path: tuple[Any, ...], chance: random.Random) -> Any:
    if not path:
        return value if chance.random() < 0.9 else copy.deepcopy(chance.choice(HOSTILE))
    *before, last = path
    parent = value
    for name in before:
        parent = parent[name]
    match chance.choice(("replace", "replace", "replace", "remove", "wrap", "deep", "twice", "rename")):
        case "remove":
            del parent[last]
        case "wrap":
            parent[last] = [parent[last]]
        case "deep":
            parent[last] = nested()
        case "twice":
            parent[last] = parent[last] * 2 if isinstance(parent[last], str | list) else parent[last]
        case "rename" if isinstance(parent, dict):
            parent[f"{last}\u0130"] = parent.pop(last)
        case _:
            parent[last] = copy.deepcopy(chance.choice(HOSTILE))
    return value
