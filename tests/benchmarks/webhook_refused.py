"""Measure the CPU and the memory of each kind of call that the webhook refuses; anyone can make these.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.webhook_refused

Each kind is tried at each endpoint with several bodies; the line has the most that one of them costs. Exits with 1 if a
call costs more than ``MAX_CPU`` or ``MAX_MEMORY``, or has another status. Memory counts beside the call itself, which
Lambda has decoded before the function sees it; the last line has the process's own peak.
"""

import base64
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.adapters.inbound.webhook import _ENDPOINTS, answer
from reengage.domain.routes import Routes

NOW: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
MAX_CPU: Final = 0.2
"""Seconds. A function with 256 MB has a seventh of this processor."""

MAX_MEMORY: Final = 12 * 1024 * 1024
"""Bytes: the functions have 256 MB."""

MIB: Final = 1024 * 1024
SET_UP_BYTES: Final = 4096
"""Google's set-up call has no signature. Only a body of this size is parsed without one."""

PROXY_HEADER: Final = "X-Proxy"
LENGTHS: Final = {"x-hub-signature-256": 71, "x-twilio-signature": 28, "x-goog-signature": 88}
KEYS: Final = {
    "meta_app_secret": "a",
    "meta_verify_token": "v",
    "twilio_auth_token": "b",
    "rcs_client_token": "c",
    "google_business_messages_key": "d",
    "webhook_proxy_secret": "e",
}
BODIES: Final = {
    "nested lists": b"[" + (b"[" * 900 + b"]" * 900 + b",") * 1746 + b"0]",
    "nested objects": b'{"a":' * 600_000,
    "deep list": b"[" * 3_000_000,
    "percent signs": b"%" * 3_000_000,
    "many fields": b"a=1&" * 750_000,
    "one object": b'{"message": {"data": "' + b"A" * 3_000_000 + b'"}}',
    "letters of four bytes": "😀".encode() * 750_000,
}


@dataclass(frozen=True)
class Attempt:
    """A call, the keys that the function has, and whether it expects its proxy's header. ``text``: no base64."""

    path: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)
    proxy_header: str = ""
    text: str | None = None
    is_base64: bool = True

    @property
    def event(self) -> dict[str, Any]:
        body = base64.b64encode(self.body).decode() if self.text is None else self.text
        return {
            "rawPath": f"/{self.path}",
            "rawQueryString": self.query,
            "headers": dict(self.headers),
            "requestContext": {"http": {"method": self.method}, "domainName": "own.example"},
            "body": body,
            "isBase64Encoded": self.is_base64,
        }

    def answer(self, event: dict[str, Any]) -> int:
        return answer(
            event, secrets=self.keys, routes=Routes(()), arrived_at=NOW, proxy_header=self.proxy_header
        ).status


class Kind(NamedTuple):
    """One kind of refusal: the call that leads to it, and its status."""

    change: Callable[[Attempt], Attempt]
    status: int
    endpoints: frozenset[str] = frozenset(_ENDPOINTS)


def with_headers(attempt: Attempt, **headers: str) -> Attempt:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(attempt, headers={**attempt.headers, **named})


def signed(path: str, body: bytes) -> Attempt:
    """Return a call with a wrong signature of the right length, and a body of the largest size that is read."""
    endpoint = _ENDPOINTS[path]
    headers = {"content-type": endpoint.content_type, endpoint.header: "x" * LENGTHS[endpoint.header]}
    return Attempt(path, body[: endpoint.max_body], headers=headers)


def unsigned(attempt: Attempt) -> Attempt:
    header = _ENDPOINTS[attempt.path].header
    headers = {name: value for name, value in attempt.headers.items() if name != header}
    return replace(attempt, headers=headers)


def too_large(attempt: Attempt) -> Attempt:
    size = _ENDPOINTS[attempt.path].max_body + 1
    return replace(attempt, body=(attempt.body * (size // len(attempt.body) + 1))[:size])


def not_base64(attempt: Attempt) -> Attempt:
    size = _ENDPOINTS[attempt.path].max_body
    return replace(attempt, text="A" * (size - 1) + "*")


def wide_letters(attempt: Attempt) -> Attempt:
    """Return a call whose text has few letters and many bytes. Lambda takes no call of more than 6 MB."""
    letters = min(_ENDPOINTS[attempt.path].max_body, 1_500_000)
    return replace(attempt, text="😀" * letters, is_base64=False)


GOOGLE: Final = frozenset({"rcs", "google-business-messages"})
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "unknown path": Kind(lambda each: replace(each, path="wp-login.php"), 404),
        "other host": Kind(lambda each: with_headers(each, host="other.example"), 421),
        "other method": Kind(lambda each: replace(each, method="PUT"), 405),
        "other content type": Kind(lambda each: with_headers(each, content_type="text/plain"), 415),
        "no proxy header": Kind(lambda each: replace(each, proxy_header=PROXY_HEADER), 403),
        "wrong proxy header": Kind(
            lambda each: replace(with_headers(each, x_proxy="x" * 8000), proxy_header=PROXY_HEADER), 403
        ),
        "no key": Kind(lambda each: replace(each, keys={}), 403),
        "too large": Kind(too_large, 413),
        "no signature": Kind(
            lambda each: replace(unsigned(each), body=each.body[: _ENDPOINTS[each.path].max_body]), 403
        ),
        "set-up, wrong token": Kind(lambda each: replace(unsigned(each), body=each.body[:SET_UP_BYTES]), 403, GOOGLE),
        "no base64": Kind(not_base64, 400),
        "too large as bytes": Kind(wide_letters, 413),
        "wrong signature": Kind(lambda each: each, 403),
        "wrong challenge": Kind(
            lambda each: replace(each, method="GET", query="hub.verify_token=x&hub.challenge=" + "%" * 8000),
            403,
            frozenset({"meta"}),
        ),
    }
)


class Cost(NamedTuple):
    """The seconds of CPU and the bytes of memory at the peak, and the status."""

    seconds: float
    peak: int
    status: int


def measure(attempt: Attempt) -> Cost:
    event = attempt.event
    started = time.process_time()
    status = attempt.answer(event)
    seconds = time.process_time() - started
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        attempt.answer(event)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Cost(seconds, peak, status)


def attempts(path: str, kind: Kind) -> Iterator[Attempt]:
    """Yield a call of the kind with each body."""
    for body in BODIES.values():
        yield kind.change(signed(path, body))


def main() -> int:
    sys.stdout.write(f"{'refused for':22}{'endpoint':26}{'status':>7}{'CPU ms':>9}{'KiB':>8}\n")
    too_much = 0
    for name, kind in KINDS.items():
        for path in sorted(kind.endpoints):
            costs = [measure(attempt) for attempt in attempts(path, kind)]
            seconds, peak = max(cost.seconds for cost in costs), max(cost.peak for cost in costs)
            statuses = {cost.status for cost in costs}
            too_much += statuses != {kind.status} or seconds > MAX_CPU or peak > MAX_MEMORY
            status = "/".join(map(str, sorted(statuses)))
            sys.stdout.write(f"{name:22}{path:26}{status:>7}{seconds * 1000:9.1f}{peak >> 10:8}\n")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    sys.stdout.write(f"The process had {most} MiB at most, with its own copies of the bodies.\n")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
