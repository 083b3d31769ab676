"""What a refused call costs: anyone can make one, so it is refused with little memory, before its body is parsed."""

import pytest

from tests.benchmarks.webhook_refused import KINDS, MAX_MEMORY, attempts, measure

pytestmark = pytest.mark.slow

BEFORE_DECODING = {
    "unknown path",
    "other host",
    "other method",
    "other content type",
    "no proxy header",
    "wrong proxy header",
    "no key",
    "no signature",
    "set-up, wrong token",
}
WITHOUT_THE_BODY = 64 * 1024
"""Bytes. The bodies have 3 MB, and Google's set-up call has 4 KiB."""


@pytest.mark.parametrize("name", KINDS)
def test_refused_call_costs_little_memory(name: str) -> None:
    """Three megabytes of nested lists took 150 MB before a key was looked at, of the 256 MB that the function has."""
    kind = KINDS[name]
    for path in kind.endpoints:
        for attempt in attempts(path, kind):
            cost = measure(attempt)
            assert cost.status == kind.status, path
            assert cost.peak < (WITHOUT_THE_BODY if name in BEFORE_DECODING else MAX_MEMORY), path
