"""Faults in a story: what fails, at one call of one port.

``{"fault": {"in": …, "call": …, "nth": 1, "kind": …, "seconds": 2.5}}``

| field | meaning | default |
|---|---|---|
| ``in`` | the ``id`` of an event, the instant of a tick, or a message: ``address reason#subject#offset#instant`` | |
| ``call`` | a method of a port, ``publish``, or ``invoke``: the invocation itself | |
| ``nth`` | which of these calls, from 1 | 1 |
| ``kind`` | what happens, see ``KINDS`` | |
| ``seconds`` | how long, for kinds that take time | 0 |

A call while a message is sent belongs to the message. Any other call belongs to the event or to the tick.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "error": "the call fails before its effect",
        "lost": "the call has its effect, and its answer is lost",
        "partial": "publish: half of the events are on the bus, the others are not",
        "crash": "the process ends before the call",
        "crash_after": "the process ends after the call",
        "slow": "the time `seconds` passes before the call",
        "slow_after": "the time `seconds` passes after the call",
        "tick": "another run of the send functions starts before the call",
        "tick_after": "another run of the send functions starts after the call",
        "event": "the next event arrives before the call",
        "event_after": "the next event arrives after the call",
        "ttl": "TTL deletes what expired `seconds` ago or earlier",
        "stale": "due, audience_page: the index does not have its newest entry yet",
        "backward": "due, audience_page: the index has entries again that it had before",
        "throttled": "the provider, or the table, is too busy and does nothing",
        "unknown": "send: the provider takes the message, and the call times out",
        "refused": "send: the provider does not take the message, for good",
        "receipt": "send: the receipt arrives before the provider's answer",
        "receipt_lost": "send: the receipt arrives, and the provider's answer is lost",
        "skew": "invoke: the function's clock is ahead by `seconds`, or behind if they are negative",
        "late": "invoke: the event arrives, or the tick comes, `seconds` later",
        "again": "invoke: the event arrives a second time `seconds` later",
    }
)
"""What a fault can do. A kind at a call to which it does not apply does nothing."""

INVOKE: Final = "invoke"


class Place(NamedTuple):
    """One call of one port in a run."""

    where: str
    call: str
    nth: int = 1


class Fault(NamedTuple):
    place: Place
    kind: str
    seconds: float = 0.0

    @property
    def time(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def as_line(self) -> dict[str, Any]:
        """Return the fault as a line of a story."""
        where, call, nth = self.place
        value = {"in": where, "call": call, "nth": nth, "kind": self.kind}
        return {"fault": value | ({"seconds": self.seconds} if self.seconds else {})}


def parse_fault(value: Any) -> Fault:
    """Read one fault. Raises ``TypeError`` or ``ValueError`` that names the field and what to do."""
    if not isinstance(value, dict):
        raise TypeError('expected an object such as {"in": "event-1", "call": "publish", "kind": "lost"}')
    fields: dict[str, Any] = {"in": str, "call": str, "nth": int, "kind": str, "seconds": (int, float)}
    if unknown := sorted(value.keys() - fields.keys()):
        raise ValueError(f'unknown field "{unknown[0]}"; use {", ".join(fields)}')
    given: dict[str, Any] = {"nth": 1, "seconds": 0.0, **value}
    for name, kind in fields.items():
        if name not in given:
            raise ValueError(f"{name} is missing")
        if not isinstance(given[name], kind) or isinstance(given[name], bool):
            raise TypeError(f"{name}: {json.dumps(given[name])} is of the wrong type")
    if given["kind"] not in KINDS:
        raise ValueError(f'kind: "{given["kind"]}"; use one of {", ".join(KINDS)}')
    return Fault(Place(given["in"], given["call"], given["nth"]), given["kind"], float(given["seconds"]))
