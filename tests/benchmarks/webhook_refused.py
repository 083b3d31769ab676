"""Measure the CPU and the memory of calls that the webhook refuses; anyone can make these.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.webhook_refused

Exits with 1 if a call costs more than ``MAX_CPU`` or ``MAX_MEMORY``. Memory counts beside the call itself, which Lambda
has decoded before the function sees it.
"""

import base64
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any, Final

from reengage.adapters.inbound.webhook import _ENDPOINTS, answer
from reengage.domain.routes import Routes

NOW: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
MAX_CPU: Final = 0.2
"""Seconds. A function with 256 MB has a seventh of this processor."""

MAX_MEMORY: Final = 12 * 1024 * 1024
"""Bytes: the functions have 256 MB."""

LENGTHS: Final = {"x-hub-signature-256": 71, "x-twilio-signature": 28, "x-goog-signature": 88}
KEYS: Final = {
    "meta_app_secret": "a",
    "twilio_auth_token": "b",
    "rcs_client_token": "c",
    "google_business_messages_key": "d",
}
BODIES: Final = {
    "nested lists": b"[" + (b"[" * 900 + b"]" * 900 + b",") * 1746 + b"0]",
    "percent signs": b"%" * 3_000_000,
    "many fields": b"a=1&" * 750_000,
    "one object": b'{"message": {"data": "' + b"A" * 3_000_000 + b'"}}',
}


def call(path: str, body: bytes, *, signed: bool) -> dict[str, Any]:
    """Return a call with a signature of the right length, or with none."""
    endpoint = _ENDPOINTS[path]
    headers = {"content-type": endpoint.content_type}
    if signed:
        headers[endpoint.header] = "x" * LENGTHS[endpoint.header]
    return {
        "rawPath": f"/{path}",
        "headers": headers,
        "requestContext": {"http": {"method": "POST"}, "domainName": "x"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def measure(event: dict[str, Any], keys: dict[str, str]) -> tuple[int, float, int]:
    """Return the status, the seconds of CPU and the bytes of memory at the peak."""
    started = time.process_time()
    status = answer(event, secrets=keys, routes=Routes(()), arrived_at=NOW).status
    seconds = time.process_time() - started
    tracemalloc.start()
    answer(event, secrets=keys, routes=Routes(()), arrived_at=NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return status, seconds, peak


def main() -> int:
    sys.stdout.write(
        f"{'endpoint':26}{'body':16}{'keys':6}{'signed':8}{'size':8}{'status':>8}{'CPU ms':>9}{'KiB':>9}\n"
    )
    too_much = 0
    for path, endpoint in _ENDPOINTS.items():
        for name, body in BODIES.items():
            for keys, signed, size in (
                (KEYS, True, endpoint.max_body),
                (KEYS, False, len(body)),
                ({}, True, len(body)),
            ):
                status, seconds, peak = measure(call(path, body[:size], signed=signed), keys)
                refused = status in (400, 403, 413)
                too_much += not refused or seconds > MAX_CPU or peak > MAX_MEMORY
                row = f"{path:26}{name:16}{'yes' if keys else 'no':6}{'yes' if signed else 'no':8}{size >> 10:6} K"
                sys.stdout.write(f"{row}{status:8}{seconds * 1000:9.1f}{peak >> 10:9}\n")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
