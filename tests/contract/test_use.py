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


@pytest.fixture(scope="module")
def scenarios() -> dict[str, Any]:
    if why := dynamodb_local.why_unavailable():
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    found: dict[str, Any] = measure(PERSONS)["scenarios"]
    return found


@pytest.mark.parametrize("name", MOST)
def test_message_uses_no_more_than_its_budget(scenarios: dict[str, Any], name: str) -> None:
    scenario = scenarios[name]
    used = {"writes": scenario["writes"], "reads": scenario["reads"]}
    used |= {"requests": sum(step["requests"] for step in scenario["steps"])}
    used |= {"log": sum(step["log_bytes"] for step in scenario["steps"])}
    assert {kind: value for kind, value in used.items() if value > MOST[name][kind]} == {}
    assert used["log"] > MOST[name]["log"] / 2
