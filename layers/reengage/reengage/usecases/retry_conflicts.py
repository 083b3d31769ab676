"""The compare-and-set loop: read, change, write; start again if another writer was faster."""

from collections.abc import Callable
from typing import Final

from reengage.errors import WriteConflict

TRIES: Final = 5


def retry_conflicts[T](attempt: Callable[[], T | None], what: str) -> T:
    """Call ``attempt`` until it returns a value; ``None`` means that its conditional write lost against another writer.

    Raises ``WriteConflict`` after ``TRIES`` attempts; the event's retry starts again. ``what`` names the written data.
    """
    for _ in range(TRIES):
        if (result := attempt()) is not None:
            return result
    raise WriteConflict(f"{what} kept changing through {TRIES} tries")
