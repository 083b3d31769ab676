"""A provider that is down for hours, with real processes: what is still valid is sent in order, and once."""

import os
import subprocess
import sys

import pytest

from tests.local import dynamodb_local
from tests.local.outages import OUTAGES, REMINDERS
from tests.local.processes import ROOT


@pytest.mark.slow
@pytest.mark.dynamodb_local
@pytest.mark.parametrize("outage", OUTAGES)
def test_two_processes_send_what_an_outage_left(outage: str) -> None:
    """It runs in a process of its own: the tests' process has threads, and must not be forked."""
    if why := dynamodb_local.why_unavailable():
        assert os.environ.get("CI") != "true", why
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    command = [sys.executable, "-m", "tests.local.outages", outage]
    environment = os.environ | {"PYTHONPATH": "layers/reengage"}
    done = subprocess.run(  # noqa: S603 - a command of our own
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expired = 1 if outage == "24 hours" else 0  # the first reminder's appointment begins as the provider comes back
    assert f"'sent': {REMINDERS - expired}" in done.stdout
