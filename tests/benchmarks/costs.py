"""What Reengage costs, line by line: a quiet month, and a million of each kind of message.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.costs [--figures FILE] [--json] [--check]

The quantities are those that ``tests.benchmarks.units`` measures. ``--figures`` names a file of them, else they are
measured now. Each price in ``prices.json`` has its source and date. Amounts are at list price. The last line of a bill
has what is left after the allowances that AWS gives each account every month.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from reengage.domain.events_out import LEFT_OUT
from tests.benchmarks import units
from tests.template_resources import template

PRICES: Final = Path(__file__).with_name("prices.json")
MILLION: Final = 1_000_000
MINUTES: Final = 30 * 24 * 60
"""Of a month."""

VCPU_MB: Final = 1769
"""Memory that has one vCPU (AWS Lambda, "Configure Lambda function memory")."""

WAIT_MS: Final = 5.0
"""Of a request to AWS in one region: an assumption, because this machine cannot measure it."""

LINE_OVERHEAD: Final = 26
"""Bytes that CloudWatch Logs adds to each line (Amazon CloudWatch Logs, "PutLogEvents")."""

LAMBDA_LINES: Final = (
    "START RequestId: 5f0c2d3e-6a1b-4c8d-9e7f-000000000000 Version: $LATEST\n",
    "END RequestId: 5f0c2d3e-6a1b-4c8d-9e7f-000000000000\n",
    "REPORT RequestId: 5f0c2d3e-6a1b-4c8d-9e7f-000000000000\tDuration: 1234.56 ms\tBilled Duration: 1235 ms\t",
    "Memory Size: 1769 MB\tMax Memory Used: 123 MB\t\n",
)
"""What Lambda itself logs for each invocation: three lines, the last of them in two parts here.

At the system log level WARN it logs only invocations that fail (AWS Lambda, "Log-level filtering").
"""

LINES: Final = 3

TIMESTAMP: Final = len('"timestamp":"2026-11-29T12:34:56.789Z",')
"""Bytes that Lambda adds in its JSON format to a line without a time (AWS Lambda, "Log-level filtering")."""

QUIET: Final = "quiet month"
NO_DASHBOARD: Final = f"{QUIET}; CreateDashboard=false"
INBOUND: Final = "million inbound"
REMINDERS: Final = "million reminders, each with half a booking and a receipt"
OUTCOMES: Final = f"{REMINDERS}; EventsOut=outcomes"
EXCEPTIONS: Final = f"{REMINDERS}; EventsOut=exceptions"
ANNOUNCEMENTS: Final = "million announcements, each with a receipt"
TARGETS: Final = {QUIET: 3.0, NO_DASHBOARD: 3.0, INBOUND: 3.6, OUTCOMES: 12.0, EXCEPTIONS: 12.0}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill: so many of ``price``."""

    text: str
    price: str
    quantity: float
    amount: float


@dataclass(frozen=True, slots=True)
class Bill:
    """``target``: what it may cost at most. ``after_free``: what is left after the account's allowances."""

    name: str
    lines: Sequence[Line]
    total: float
    after_free: float
    target: float | None = None


def prices() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return found


def bill(name: str, used: Sequence[tuple[str, str, float]], table: Mapping[str, Any]) -> Bill:
    """Price what was used: a text, a price's name and a quantity each."""
    lines, of_price = [], dict[str, float]()
    for text, price, quantity in used:
        if quantity:
            lines.append(Line(text, price, quantity, quantity * _each(table, price)))
            of_price[price] = of_price.get(price, 0) + quantity
    free = table["free_each_month"]
    left = sum(max(quantity - free.get(price, 0), 0) * _each(table, price) for price, quantity in of_price.items())
    return Bill(name, lines, sum(line.amount for line in lines), left, TARGETS.get(name))


def _each(table: Mapping[str, Any], price: str) -> float:
    row = table["aws"][price]
    return float(row["price"]) / float(row["per"])


def of_messages(scenario: Mapping[str, Any], count: int) -> list[tuple[str, str, float]]:
    """What ``count`` messages of a scenario use."""
    gigabyte_months = scenario["byte_days"] * count / 30 / 1e9
    events = {"events in": scenario["events_in"], "events of the provider's calls": scenario["relayed"]}
    events |= scenario["events_out"]
    return [
        ("table: write units", "write_unit", scenario["writes"] * count),
        ("table: read units", "read_unit", scenario["reads"] * count),
        ("table: storage", "storage", gigabyte_months),
        ("table: point-in-time recovery", "backup", gigabyte_months),
        *((f"bus: {name}", "event", each * count) for name, each in events.items()),
        ("receipts by SNS", "sns", scenario["sns"] * count),
        *_of_functions(scenario["steps"], count),
        (f"metrics: {len(scenario['series'])} series", "metric", len(scenario["series"])),
    ]


def of_quiet_month(
    scenario: Mapping[str, Any], without: Sequence[str] = ("HasNotification", "HasUrl")
) -> list[tuple[str, str, float]]:
    """What the stack uses if no message comes and none is due. ``without``: conditions that are not met."""
    resources = [each for each in template()["Resources"].values() if each.get("Condition") not in without]
    kinds = [resource["Type"] for resource in resources]
    alarms = sum(
        max(1, sum("MetricStat" in query for query in resource["Properties"].get("Metrics", ())))
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )
    return [
        ("alarms", "alarm", alarms),
        ("dashboard", "dashboard", kinds.count("AWS::CloudWatch::Dashboard")),
        ("secrets", "secret", kinds.count("AWS::SecretsManager::Secret")),
        ("table: read units of the ticks", "read_unit", scenario["reads"] * MINUTES),
        ("table: write units of the ticks", "write_unit", scenario["writes"] * MINUTES),
        ("schedules", "schedule", len(scenario["steps"]) * MINUTES),
        *_of_functions(scenario["steps"], MINUTES),
    ]


def _of_functions(steps: Sequence[Mapping[str, Any]], count: int) -> list[tuple[str, str, float]]:
    lines: dict[str, tuple[str, str, float]] = {}

    def add(text: str, price: str, quantity: float) -> None:
        lines[text] = (text, price, lines.get(text, ("", "", 0.0))[2] + quantity)

    for step in steps:
        add("Lambda: requests", "invocation", step["invocations"] * count)
        add(f"Lambda: time of {step['function']}", "gb_second", gigabyte_seconds(step) * count)
    config = template()["Globals"]["Function"]["LoggingConfig"]  # a function adds only its log group
    added = LINE_OVERHEAD + TIMESTAMP * (config.get("LogFormat") == "JSON")
    for step in steps:
        own = step["log_bytes"] + step["log_lines"] * added
        add(f"logs of {step['function']}", "log", own * count / 1e9)
        if config.get("SystemLogLevel") != "WARN":
            of_lambda = sum(map(len, LAMBDA_LINES)) + LINES * LINE_OVERHEAD
            add("logs: Lambda's own lines", "log", step["invocations"] * of_lambda * count / 1e9)
    return [*lines.values()]


def gigabyte_seconds(step: Mapping[str, Any]) -> float:
    """Return what Lambda bills: the CPU at the function's share of a vCPU, or longer if the answers take longer."""
    cpu, memory = float(step["cpu_ms"]), float(step["memory"])
    waits = float(step["requests"]) * WAIT_MS / float(step["workers"])
    return max(cpu / min(memory / VCPU_MB, 1.0), cpu + waits) / 1000 * memory / 1024


def bills(figures: Mapping[str, Any], table: Mapping[str, Any]) -> list[Bill]:
    scenarios = figures["scenarios"]
    reminder, quiet = scenarios["reminder"], scenarios["quiet minute"]

    def publishing(events_out: str) -> dict[str, Any]:
        left_out = LEFT_OUT[events_out]
        return {**reminder, "events_out": {k: v for k, v in reminder["events_out"].items() if k not in left_out}}

    return [
        bill(QUIET, of_quiet_month(quiet), table),
        bill(NO_DASHBOARD, of_quiet_month(quiet, ("HasNotification", "HasUrl", "HasDashboard")), table),
        bill(INBOUND, of_messages(scenarios["inbound"], MILLION), table),
        bill(REMINDERS, of_messages(publishing("all"), MILLION), table),
        bill(OUTCOMES, of_messages(publishing("outcomes"), MILLION), table),
        bill(EXCEPTIONS, of_messages(publishing("exceptions"), MILLION), table),
        bill(ANNOUNCEMENTS, of_messages(scenarios["announcement"], MILLION), table),
    ]


def alternatives(table: Mapping[str, Any]) -> list[tuple[str, float]]:
    """What a million reminders cost by other means; the sending itself comes on top everywhere."""
    schedule = (_each(table, "schedule") + _each(table, "invocation")) * MILLION
    found = [("one EventBridge schedule and Lambda request a reminder, without decision and receipt", schedule)]
    for hosted in table["hosted"]:
        price = hosted["monthly"] + max(MILLION - hosted["included"], 0) * hosted["each"]
        found.append((f"{hosted['service']} ({hosted['dated']}): {hosted['unit']}", price))
    return found


def traces(figures: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, float]:
    """What X-Ray adds with `Tracing` `Active`, if each invocation is the first of its second: all are traced."""
    each = _each(table, "trace")
    found = {
        name: sum(step["invocations"] for step in figures["scenarios"][scenario]["steps"]) * MILLION * each
        for name, scenario in ((INBOUND, "inbound"), (REMINDERS, "reminder"))
    }
    return {QUIET: len(figures["scenarios"]["quiet minute"]["steps"]) * MINUTES * each} | found


def report(figures: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    source = figures["source"]
    lines = [
        f"Measured on {source['measured_on']} by `{source['command']}`: {source['machine']}; {source['provider']}.",
        f"List prices of {table['region']}, from prices.json. Lambda time: measured CPU, {WAIT_MS:.0f} ms a request.",
    ]
    for each in bills(figures, table):
        lines += ["", f"{each.name}", f"  {'quantity':>16}  {'$':>8}"]
        lines += [f"  {line.quantity:16,.2f}  {line.amount:8.2f}  {line.text}" for line in each.lines]
        target = (
            f"; target {each.target:.2f}: {'met' if each.total <= each.target else 'MISSED'}" if each.target else ""
        )
        lines.append(f"  {'':16}  {each.total:8.2f}  together{target}")
        lines.append(f"  {'':16}  {each.after_free:8.2f}  after the account's monthly allowances")
    lines += ["", "X-Ray, if it is switched on (off by default)"]
    lines += [f"  {'':16}  {amount:8.2f}  {name}" for name, amount in traces(figures, table).items()]
    lines += ["", "a million reminders by other means"]
    lines += [f"  {'':16}  {amount:8.2f}  {text}" for text, amount in alternatives(table)]
    return lines


def _verdict(amount: float, target: float | None) -> str:
    return f"; target {target:.2f}: {'met' if amount <= target else 'MISSED'}" if target else ""


def as_json(figures: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source": figures["source"],
        "prices": table,
        "bills": {each.name: asdict(each) for each in bills(figures, table)},
        "traces": traces(figures, table),
        "alternatives": dict(alternatives(table)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, help="figures that were measured before")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", action="store_true", help="end with 1 if a target is missed")
    given = parser.parse_args()
    figures = json.loads(given.figures.read_text(encoding="utf-8")) if given.figures else units.measure()
    figures = figures.get("units", figures)
    table = prices()
    if given.json:
        sys.stdout.write(json.dumps(as_json(figures, table), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(report(figures, table)) + "\n")
    return int(given.check and any(each.target and each.total > each.target for each in bills(figures, table)))


if __name__ == "__main__":
    sys.exit(main())
