"""Each exception of bandit and of checkov has its reason beside it."""

import re

import pytest

from tests.docs.documents import ROOT

pytestmark = pytest.mark.docs

REASON = re.compile(r"# nosec B\d{3} # \w+ \w+")


def test_each_nosec_names_its_check_and_a_reason() -> None:
    files = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines() if "nosec" in line]
    assert lines
    assert [line for line in lines if not REASON.search(line)] == []


def test_each_check_that_is_left_out_has_a_reason_above() -> None:
    above, unexplained, skipped = False, [], 0
    for line in (ROOT / ".checkov.yaml").read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"  - CKV_AWS_\d+", line):
            skipped += 1
            unexplained += [] if above else [line]
        else:
            above = line.startswith("  # ")
    assert skipped > 0
    assert unexplained == []


def test_each_skip_of_bandit_has_a_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    skips = re.findall(r'^    "B\d{3}",(.*)$', project.partition("[tool.bandit]")[2], re.MULTILINE)
    assert skips
    assert all(re.search(r"# \w+ \w+", rest) for rest in skips)
