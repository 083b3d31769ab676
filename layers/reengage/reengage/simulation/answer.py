"""Simulate a story inside the deployed explain function, with the stack's own parameters."""

import os
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidEvent
from .engine import simulate
from .parameters import parameters_of
from .story import StoryError


def answer(lines: Sequence[Any]) -> dict[str, Any]:
    """Return ``{"events": [events out], "summary": {…}}``. Raises ``InvalidEvent`` for a line that is wrong."""
    try:
        *events, last = simulate(lines, parameters_of(os.environ))
    except StoryError as error:
        raise InvalidEvent([f"$.simulate: {error}"]) from error
    return {"events": events, **last}
