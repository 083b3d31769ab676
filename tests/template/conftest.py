"""The template as CloudFormation sees it: translated by SAM's own library, offline."""

from __future__ import annotations

import pytest

from tests.template.stack import Stack, translate


@pytest.fixture(scope="session")
def stack() -> Stack:
    return translate()
