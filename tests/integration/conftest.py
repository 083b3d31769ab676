"""The stack of template.yaml on moto, empty for each test."""

from collections.abc import Iterator

import pytest

from tests.integration.stack import Stack, deployed


@pytest.fixture
def stack() -> Iterator[Stack]:
    with deployed() as stack:
        yield stack
