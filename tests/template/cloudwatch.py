"""CloudWatch as its guide describes it, for the template's alarms: series by exact dimensions, periods, missing data.

An alarm looks at its last ``EvaluationPeriods`` periods. It is on if at least ``DatapointsToAlarm`` of them breach its
threshold, where a period without data counts as ``TreatMissingData`` says. With ``ignore`` the alarm may keep the state
that it has, so CloudWatch evaluates it once a minute. A new alarm has the state ``INSUFFICIENT_DATA``.
"""

import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from tests.template.metric_math import evaluate
from tests.template.stack import ALARM, COMPOSITE_ALARM, Properties, Stack

type State = Literal["ALARM", "OK", "INSUFFICIENT_DATA"]
type Series = tuple[str, str, frozenset[tuple[str, str]]]
type Values = Sequence[float | None]

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"Sum": sum, "Maximum": max, "Minimum": min}
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}
MISSING: Final = {"breaching": True, "notBreaching": False}
MINUTE: Final = timedelta(minutes=1)
MORE_PERIODS: Final = 2
"""CloudWatch retrieves some more periods than it evaluates; its guide's example has two more."""


@dataclass(slots=True)
class CloudWatch:
    """The metrics that were put so far, and the states of the alarms that keep theirs."""

    points: defaultdict[Series, list[tuple[datetime, float]]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[str, tuple[datetime, State]] = field(default_factory=dict)
    periods_more: int = MORE_PERIODS

    def put(self, namespace: str, metric: str, dimensions: Mapping[str, str], at: datetime, value: float) -> None:
        self.points[namespace, metric, frozenset(dimensions.items())].append((at, value))

    def put_log_line(self, line: Mapping[str, Any], at: datetime) -> None:
        """Put the metrics of one line in the embedded metric format, in each of its sets of dimensions."""
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(line[name]) for name in names}
                for metric in directive["Metrics"]:
                    values = line[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        self.put(directive["Namespace"], metric["Name"], dimensions, at, value)

    def state(self, name: str, alarm: Properties, at: datetime) -> State:
        """Return the state of an alarm at an instant, not before that of the last call."""
        if alarm["TreatMissingData"] != "ignore":
            return self._state(alarm, at, "INSUFFICIENT_DATA")
        evaluated_at, state = self.kept.get(name, (at - MINUTE, "INSUFFICIENT_DATA"))
        while evaluated_at < at:
            evaluated_at = min(at, evaluated_at + MINUTE)
            state = self._state(alarm, evaluated_at, state)
        self.kept[name] = at, state
        return state

    def _state(self, alarm: Properties, at: datetime, state: State) -> State:
        count = int(alarm["EvaluationPeriods"])
        enough: int = alarm.get("DatapointsToAlarm", count)
        values = self._values(alarm, at, count + self.periods_more)
        if alarm["TreatMissingData"] != "ignore":
            missing = MISSING[alarm["TreatMissingData"]]
            breaching = sum(missing if value is None else _breaches(alarm, value) for value in values[-count:])
            return "ALARM" if breaching >= enough else "OK"
        evaluated = [value for value in values if value is not None][-count:]
        breaching = sum(_breaches(alarm, value) for value in evaluated)
        if breaching == len(evaluated) < enough:
            return state
        return "ALARM" if breaching >= enough else "OK"

    def _values(self, alarm: Properties, at: datetime, count: int) -> Values:
        """Return an alarm's last values, of its metric or of its expression; the oldest first."""
        if "Metrics" not in alarm:
            return self._of_metric(alarm, alarm["Statistic"], alarm["Period"], at, count)
        series: dict[str, Values] = {}
        for query in alarm["Metrics"]:
            if metric := query.get("MetricStat"):
                values = self._of_metric(metric["Metric"], metric["Stat"], metric["Period"], at, count)
                series[query["Id"]] = values
        (expression,) = (query["Expression"] for query in alarm["Metrics"] if query.get("ReturnData", True))
        return evaluate(expression, series)

    def _of_metric(self, metric: Properties, statistic: str, seconds: int, at: datetime, count: int) -> Values:
        dimensions = frozenset((each["Name"], text(each["Value"])) for each in metric["Dimensions"])
        points = self.points.get((metric["Namespace"], metric["MetricName"], dimensions), [])
        period = timedelta(seconds=seconds)
        by_age: defaultdict[int, list[float]] = defaultdict(list)
        for instant, value in points:
            if instant <= at:
                by_age[(at - instant) // period].append(value)
        return [STATISTICS[statistic](by_age[age]) if by_age[age] else None for age in reversed(range(count))]

    def states(self, stack: Stack, at: datetime) -> dict[str, State]:
        """Return the state of each alarm at an instant; a composite one by its rule."""
        single = {name: self.state(name, alarm, at) for name, alarm in stack.of(ALARM).items()}
        composite = {name: rule(alarm, single) for name, alarm in stack.of(COMPOSITE_ALARM).items()}
        return single | composite


def _breaches(alarm: Properties, value: float) -> bool:
    return OPERATORS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def rule_text(alarm: Properties) -> str:
    """Return a composite alarm's rule as CloudFormation passes it on, but with the logical ids of the alarms."""
    separator, terms = alarm["AlarmRule"]["Fn::Join"]
    joined: str = separator.join(term["Fn::Sub"] for term in terms)
    return re.sub(r"\$\{(\w+)\}", r"\1", joined)


def children(alarm: Properties) -> list[str]:
    """Return the logical ids of the alarms that a composite alarm's rule names."""
    return re.findall(r'"(\w+)"', rule_text(alarm))


def rule(alarm: Properties, states: Mapping[str, State]) -> State:
    """Return the state of a composite alarm, by its rule's own words.

    Raises AssertionError if the rule has more than states of alarms that OR joins.
    """
    is_on = False
    for term in rule_text(alarm).split(" OR "):
        match = re.fullmatch(r'(ALARM|OK|INSUFFICIENT_DATA)\("(\w+)"\)', term)
        assert match, term
        is_on |= states[match[2]] == match[1]
    return "ALARM" if is_on else "OK"


def text(value: Any) -> str:
    """Return a dimension's value as the test puts it: a literal, or the reference of the template as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
