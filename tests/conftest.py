"""Give every test a dummy AWS account and the time zones that a function has."""

import os
import zoneinfo
from collections.abc import Iterator

import pytest

from tests.log_check import checked_log

# Time zones come from the tzdata package, as in Lambda by PYTHONTZPATH, whatever the machine has of its own.
zoneinfo.reset_tzpath(to=())


@pytest.fixture(autouse=True, scope="session")
def dummy_account() -> Iterator[None]:
    """Set dummy credentials and a region, so that no test reaches a real AWS account."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Search the log of each test for addresses; a test that needs one in its log has the mark ``logs_an_address``."""
    if item.get_closest_marker("logs_an_address"):
        return (yield)
    with checked_log():
        return (yield)
