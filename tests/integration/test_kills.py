"""Workers that SIGKILL ends at random moments send no message twice, and lose no message."""

import os
import random

import pytest

from tests.local import dynamodb_local, kills

ROUNDS = 4


@pytest.mark.slow
@pytest.mark.dynamodb_local
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_killed_workers_send_nothing_twice_and_lose_nothing() -> None:
    if why := dynamodb_local.why_unavailable():
        assert os.environ.get("CI") != "true", why
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    seed = random.SystemRandom().randrange(10**6)
    result = kills.run(ROUNDS, seed)
    assert result.problems == [], seed
    assert result.killed.total() > ROUNDS, seed
    assert result.provided >= result.states["sent"] > 0, seed
