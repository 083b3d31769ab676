"""Workers that SIGKILL ends at random moments send no message twice, and lose no message."""

import os
import re
import subprocess
import sys

import pytest

from tests.local import dynamodb_local
from tests.local.processes import ROOT

ROUNDS = 4
TRIES = 4


@pytest.mark.slow
@pytest.mark.dynamodb_local
def test_killed_workers_send_nothing_twice_and_lose_nothing() -> None:
    """It runs in a separate process: the tests' process has threads, and must not be forked."""
    if why := dynamodb_local.why_unavailable():
        assert os.environ.get("CI") != "true", why
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    killed_senders = any(_kills_a_sender() for _ in range(TRIES))
    assert killed_senders, f"no sender was killed in {TRIES} times {ROUNDS} rounds"


def _kills_a_sender() -> bool:
    """Play the rounds. On a busy machine the senders may all finish before their random end."""
    command = [sys.executable, "-m", "tests.local.kills", "--rounds", str(ROUNDS)]
    environment = os.environ | {"PYTHONPATH": "layers/reengage"}
    done = subprocess.run(  # noqa: S603 - a command of our own
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.search(r"'send': [1-9]", done.stdout) is not None
