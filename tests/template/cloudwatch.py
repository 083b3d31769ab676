"""CloudWatch as its guide describes it, for the template's alarms: series by exact dimensions, periods, missing data.

An alarm looks at its last ``EvaluationPeriods`` periods. It is on if at least ``DatapointsToAlarm`` of them breach its
threshold, where a period without data counts as ``TreatMissingData`` says.
"""

import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from tests.template.stack import ALARM, COMPOSITE_ALARM, Properties, Stack

type State = Literal["ALARM", "OK"]
type Series = tuple[str, str, frozenset[tuple[str, str]]]

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"Sum": sum, "Maximum": max, "Minimum": min}
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}
MISSING: Final = {"breaching": True, "notBreaching": False}


@dataclass(slots=True)
class CloudWatch:
    """The metrics that were put so far."""

    points: defaultdict[Series, list[tuple[datetime, float]]] = field(default_factory=lambda: defaultdict(list))

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

    def state(self, alarm: Properties, at: datetime) -> State:
        """Return the state of an alarm of one series at an instant."""
        dimensions = frozenset((each["Name"], text(each["Value"])) for each in alarm["Dimensions"])
        points = self.points.get((alarm["Namespace"], alarm["MetricName"], dimensions), [])
        period, count = timedelta(seconds=alarm["Period"]), int(alarm["EvaluationPeriods"])
        breaching = 0
        for number in range(count):
            end = at - number * period
            values = [value for instant, value in points if end - period < instant <= end]
            breaching += self._breaches(alarm, values)
        enough: int = alarm.get("DatapointsToAlarm", count)
        return "ALARM" if breaching >= enough else "OK"

    def states(self, stack: Stack, at: datetime) -> dict[str, State]:
        """Return the state of each alarm at an instant; a composite one by its rule."""
        single = {name: self.state(alarm, at) for name, alarm in stack.of(ALARM).items()}
        composite = {name: rule(alarm, single) for name, alarm in stack.of(COMPOSITE_ALARM).items()}
        return single | composite

    def _breaches(self, alarm: Properties, values: Sequence[float]) -> bool:
        if not values:
            return MISSING[alarm["TreatMissingData"]]
        value = STATISTICS[alarm["Statistic"]](values)
        return OPERATORS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def children(alarm: Properties) -> list[str]:
    """Return the logical ids of the alarms that a composite alarm's rule names."""
    separator, terms = alarm["AlarmRule"]["Fn::Join"]
    assert separator == " OR "
    found: Iterable[re.Match[str] | None] = (re.fullmatch(r'ALARM\("\$\{(\w+)\}"\)', term["Fn::Sub"]) for term in terms)
    return [match[1] for match in found if match]


def rule(alarm: Properties, states: Mapping[str, State]) -> State:
    """Return the state of a composite alarm: on if one of its children is."""
    return "ALARM" if any(states[name] == "ALARM" for name in children(alarm)) else "OK"


def text(value: Any) -> str:
    """Return a dimension's value as the test puts it: a literal, or the reference of the template as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
