"""Modules are short, and a function of many branches has a reason in CONTRIBUTING.md."""

from pathlib import Path
from typing import Final

import pytest
from radon.complexity import cc_visit  # type: ignore[import-untyped] # radon has no types

from tests.docs.documents import ROOT, document, names

pytestmark = pytest.mark.docs

MAX_LINES: Final = 450
B: Final = 10
"""The highest complexity of radon's grade B."""
C: Final = 20
"""The highest complexity of radon's grade C."""

SOURCES: Final = [path for folder in ("layers", "functions") for path in sorted((ROOT / folder).rglob("*.py"))]


def complexities(path: Path) -> dict[str, int]:
    """Return the complexity of each function of a module, by its name and that of the module."""
    return {
        f"{path.stem}.{block.fullname}": block.complexity
        for block in cc_visit(path.read_text(encoding="utf-8"))
        if block.letter != "C"  # a class counts by its methods
    }


def test_modules_are_short() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES
    }
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_is_worse_than_c() -> None:
    found = {name: value for path in SOURCES for name, value in complexities(path).items() if value > C}
    assert found == {}


def test_each_function_at_c_has_its_reason() -> None:
    rows = document("CONTRIBUTING.md").table("## Complexity", "reason")
    given = [name for _, functions in rows for name in names(functions)]
    found = [name for path in SOURCES for name, value in complexities(path).items() if B < value <= C]
    assert sorted(given) == sorted(found)


# The check can fail


@pytest.mark.parametrize(("branches", "above_b"), [(9, False), (10, True)])
def test_branches_are_counted(tmp_path: Path, branches: int, above_b: bool) -> None:
    lines = ["class A:", "    def f(self, a):", *["        if a: pass"] * branches]
    path = tmp_path / "module.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert complexities(path) == {"module.A.f": branches + 1}
    assert (branches + 1 > B) == above_b
