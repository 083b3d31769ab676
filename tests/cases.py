"""Run a test over a table of cases as one item of pytest.

An item costs pytest about a millisecond of each worker. So thousands of cheap cases, such as a language's phrases, are
rows of one test. A failure names every row that fails.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest


def each_of(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call the test once for each case, as ``pytest.mark.parametrize`` would.

    All cases run. The test raises a group of the failures, and each of them has a note with its case. Use
    ``parametrize`` if the test takes a fixture that a case changes, or if one case takes longer than some milliseconds.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    is_single = isinstance(names, str) and len(arguments) == 1
    rows = [dict(zip(arguments, (case,) if is_single else case, strict=True)) for case in cases]
    assert rows, f"no case for {names}"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run_all(**fixtures: Any) -> None:
            errors = [error for row in rows if (error := _error(test, row, fixtures))]
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(rows)} cases failed", errors)

        signature = inspect.signature(test)
        others = [parameter for name, parameter in signature.parameters.items() if name not in arguments]
        assert len(others) == len(signature.parameters) - len(arguments), f"{test.__name__} does not take {names}"
        run_all.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined] # pytest reads it
        return run_all

    return decorate


def _error(test: Callable[..., None], row: dict[str, Any], fixtures: dict[str, Any]) -> BaseException | None:
    """Return what the test raises for a row, with a note that shows the row."""
    try:
        test(**row, **fixtures)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the next case runs, and the group shows each
        error.add_note(f"case: {row!r:.300}")
        return error
    return None
