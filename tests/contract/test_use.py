"""What a message uses may not grow unnoticed: units, requests and log bytes of the real functions on DynamoDB Local."""

from typing import Any, Final

import pytest

from tests.benchmarks.units import PERSONS, measure
from tests.local import dynamodb_local

pytestmark = [pytest.mark.dynamodb_local, pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1"])]

MOST: Final[dict[str, dict[str, float]]] = {
    "inbound": {"writes": 2, "reads": 4, "requests": 5, "log": 225},
    "reminder": {"writes": 8.9, "reads": 12.0, "requests": 15.6, "log": 1_540},
    "quiet minute": {"writes": 0, "reads": 33, "requests": 65, "log": 475},
}
"""Of one message, or one minute of all three send functions: what was measured, and a little more."""


TRIES: Final = 3
"""Measurements. On a busy machine a run takes longer than the half second for which rows are shared, and reads more."""


@pytest.fixture(scope="module")
def scenarios() -> dict[str, Any]:
    if why := dynamodb_local.why_unavailable():
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    found: dict[str, Any] = {}
    for _ in range(TRIES):
        found = measure(PERSONS)["scenarios"]
        if not any(_beyond(found[name], most) for name, most in MOST.items()):
            break
    return found


@pytest.mark.parametrize("name", MOST)
def test_message_uses_no_more_than_its_budget(scenarios: dict[str, Any], name: str) -> None:
    assert _beyond(scenarios[name], MOST[name]) == {}
    assert _used(scenarios[name])["log"] > MOST[name]["log"] / 2


def _beyond(scenario: dict[str, Any], most: dict[str, float]) -> dict[str, float]:
    return {kind: value for kind, value in _used(scenario).items() if value > most[kind]}


def _used(scenario: dict[str, Any]) -> dict[str, float]:
    steps = scenario["steps"]
    return {
        "writes": scenario["writes"],
        "reads": scenario["reads"],
        "requests": sum(step["requests"] for step in steps),
        "log": sum(step["log_bytes"] for step in steps),
    }
