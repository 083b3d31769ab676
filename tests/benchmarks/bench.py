"""All figures of speed, size and use in one table and one JSON file, each with its peer in the same run.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.bench [--rounds 5] [--json build/bench.json] [--quick]

Each row names the peer, and its target if it has one. ``make costs FIGURES=build/bench.json`` prices
its units. ``--quick`` takes fewer rounds and a smaller backlog.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import cold_start, costs, send, starvation, units
from tests.built_layer import ROOT, build, zipped_size

OUTPUT: Final = ROOT / "build" / "bench.json"
MOST_LAYER_MB: Final = 8.0
MOST_COLD: Final = 1.3
LEAST_SEND: Final = 1.5
MOST_DELAY: Final = 1.2
LEAST_SHARD: Final = 0.5
MOST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. ``at_most`` and ``at_least`` are targets; a figure without one is only reported."""

    name: str
    value: float
    unit: str
    against: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        return not (
            (self.at_most is not None and self.value > self.at_most)
            or (self.at_least is not None and self.value < self.at_least)
        )


def figures(measured: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the rows of what was measured."""
    yield Figure("layer, zipped", measured["layer_bytes"] / 1e6, "MB", "", at_most=MOST_LAYER_MB)
    floor = measured["cold_start"]["floor"]["total"]
    for name, each in measured["cold_start"].items():
        if name != "floor":
            yield Figure(f"cold start of {name}", each["total"] / floor, "times", "bare botocore client", MOST_COLD)
    for provider, each in measured["send"].items():
        yield Figure(f"send by {provider}", each["ours"], "ms of CPU", "")
        whole, short = each["ratio to whole peer"], each["ratio to peer"]
        yield Figure(
            f"send by {provider}, messages a CPU-second", whole, "times", "boto3, the same calls", None, LEAST_SEND
        )
        yield Figure(f"send by {provider}, messages a CPU-second", short, "times", "boto3, no cap, no event", None)
    starved = measured["starvation"]
    hanging, shard, backlog = starved["hanging provider"], starved["one shard"], starved["backlog"]
    yield Figure("300 beside 64 that hang", hanging["ratio"], "times", "the 300 alone", MOST_DELAY)
    yield Figure("all in one shard", shard["ratio"], "times", "spread over 16", None, LEAST_SHARD)
    beside = f"{backlog['backlog']:,.0f} due of another brand"
    yield Figure("ten of one brand", backlog["last after"], "seconds", beside, MOST_SECONDS)
    for name, scenario in measured["units"]["scenarios"].items():
        yield Figure(f"{name}: write units", scenario["writes"], "units", "")
        yield Figure(f"{name}: read units", scenario["reads"], "units", "")
        yield Figure(f"{name}: requests", sum(step["requests"] for step in scenario["steps"]), "requests", "")
        yield Figure(f"{name}: log", sum(step["log_bytes"] for step in scenario["steps"]), "bytes", "")
        yield Figure(f"{name}: CPU", sum(step["cpu_ms"] for step in scenario["steps"]), "ms of CPU", "")
    for bill in costs.bills(measured["units"], costs.prices()):
        yield Figure(bill.name, bill.total, "$", "list price", bill.target)
        yield Figure(bill.name, bill.after_free, "$", "after the monthly allowances", bill.target)


def measure(rounds: int, messages: int, backlog: int) -> dict[str, Any]:
    layer = build()
    return {
        "source": {
            "command": "make bench",
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores",
            "load": os.getloadavg()[0],
        },
        "layer_bytes": zipped_size(layer),
        "cold_start": cold_start.measure(layer, rounds),
        "send": send.measure(messages, rounds),
        "starvation": starvation.measure(backlog),
        "units": units.measure(),
    }


def table(measured: Mapping[str, Any]) -> list[str]:
    lines = [f"{'figure':78}{'value':>12} {'unit':12}{'target':>10}  against"]
    for figure in figures(measured):
        bound = "" if figure.at_most is None else f"<= {figure.at_most:g}"
        bound = bound if figure.at_least is None else f">= {figure.at_least:g}"
        verdict = "" if not bound else "" if figure.is_met else "  MISSED"
        lines.append(f"{figure.name:78}{figure.value:12,.2f} {figure.unit:12}{bound:>10}  {figure.against}{verdict}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=OUTPUT)
    given = parser.parse_args()
    rounds, messages, backlog = (3, 100, 20_000) if given.quick else (given.rounds, 200, starvation.BACKLOG)
    measured = measure(rounds, messages, backlog)
    sys.stdout.write("\n".join(table(measured)) + "\n")
    rows = [asdict(figure) | {"is_met": figure.is_met} for figure in figures(measured)]
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(measured | {"figures": rows}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{given.json}\n")


if __name__ == "__main__":
    main()
