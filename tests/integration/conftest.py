"""The stack of template.yaml on moto, empty for each test."""

from collections.abc import Iterator
from threading import RLock
from typing import Any

import pytest
from moto.core.botocore_stubber import BotocoreStubber

from tests.integration.stack import Stack, deployed


@pytest.fixture(autouse=True, scope="session")
def one_call_at_a_time() -> Iterator[None]:
    """Let moto process one request after the other: its tables cannot be read while a thread writes to them."""
    lock, process = RLock(), BotocoreStubber.__call__

    def call(self: BotocoreStubber, *arguments: Any, **options: Any) -> Any:
        with lock:
            return process(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", call)
        yield


@pytest.fixture
def stack() -> Iterator[Stack]:
    with deployed() as stack:
        yield stack
