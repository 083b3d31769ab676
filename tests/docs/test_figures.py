"""The figures of the documents are those that `make bench` measured and `tests/benchmarks/measured.json` keeps."""

import json
from typing import Any, Final

import pytest

from tests.benchmarks.bench import figures
from tests.benchmarks.costs import bills, prices
from tests.docs.documents import ROOT, document

pytestmark = pytest.mark.docs

MEASURED: Final[dict[str, Any]] = json.loads((ROOT / "tests" / "benchmarks" / "measured.json").read_text("utf-8"))
FUNCTIONS: Final = document("functions/README.md")
LAYERS: Final = document("layers/README.md")


def bound(at_most: float | None, at_least: float | None) -> str:
    if at_most is not None:
        return f"at most {at_most:g}"
    return f"at least {at_least:g}" if at_least is not None else "–"


def test_figures_are_those_that_were_measured() -> None:
    documented = [tuple(row[:4]) for row in LAYERS.table("## Figures", "figure")]
    measured = [
        (each.name, f"{each.value:.2f} {each.unit}", each.against or "–", bound(each.at_most, each.at_least))
        for each in figures(MEASURED)
        if each.unit != "$" and ":" not in each.name
    ]
    assert documented == measured
    source = MEASURED["source"]
    assert f"On {source['measured_on']}, {source['machine']}" in LAYERS.text


def test_missed_targets_are_named() -> None:
    documented = [row[4] for row in LAYERS.table("## Figures", "figure")]
    measured = [each for each in figures(MEASURED) if each.unit != "$" and ":" not in each.name]
    assert [verdict == "missed" for verdict in documented] == [not each.is_met for each in measured]


def test_bills_are_those_of_the_measured_units() -> None:
    documented = [tuple(row) for row in FUNCTIONS.table("### The whole bill", "bill")]
    measured = [
        (each.name, f"${each.total:.2f}", f"${each.after_free:.2f}", f"${each.target:.2f}" if each.target else "–")
        for each in bills(MEASURED["units"], prices())
    ]
    assert documented == measured
