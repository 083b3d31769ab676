"""The dashboard shows metrics that the code emits, and logs that it writes."""

import json
import re
from typing import Any

from reengage.observability import (
    ALARM_METRICS,
    LEFT,
    METRICS,
    OLDEST_DUE,
    PAUSED,
    RETRIED,
    STACK_SERVICE,
    WEBHOOKS_REFUSED,
    WITHOUT_RECEIPT,
)
from tests.template.stack import Stack

EMITTED = {metric.name: ("service", *metric.dimensions) for metric in (*METRICS.values(), WEBHOOKS_REFUSED)}
GAUGES = {metric.name for metric in (OLDEST_DUE, PAUSED, WITHOUT_RECEIPT)}
"""Their widget shows the maximum."""

SINGLE = {
    metric.name: metric for metric in (*ALARM_METRICS.values(), LEFT, RETRIED, OLDEST_DUE, PAUSED, WITHOUT_RECEIPT)
}


def widgets(stack: Stack) -> list[dict[str, Any]]:
    (dashboard,) = stack.of("AWS::CloudWatch::Dashboard").values()
    body: list[dict[str, Any]] = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    return body


SEARCH = re.compile(r"""SEARCH\('\{Reengage,([\w,]+)\} MetricName="(\w+)"'""")
"""The dimensions and the metric of a search."""


def test_searches_name_emitted_metrics_and_dimensions(stack: Stack) -> None:
    queries = [row[0] for widget in widgets(stack) for row in widget["properties"].get("metrics", [])]
    found = [SEARCH.findall(query["expression"]) for query in queries if isinstance(query, dict)]
    found = [match for (match,) in found]
    assert len(found) == 5
    for dimensions, name in found:
        assert tuple(dimensions.split(",")) == EMITTED[name], name


def test_single_series_name_emitted_metrics(stack: Stack) -> None:
    rows = [row for widget in widgets(stack) for row in widget["properties"].get("metrics", []) if row[0] == "Reengage"]
    assert {row[1] for row in rows} == SINGLE.keys()
    assert all(row[2] == "service" and len(row) == 4 for row in rows)
    assert all((row[3] == STACK_SERVICE) == SINGLE[row[1]].of_stack for row in rows)
    for widget in widgets(stack):
        names = {row[1] for row in widget["properties"].get("metrics", []) if row[0] == "Reengage"}
        assert (widget["properties"].get("stat") == "Maximum") == bool(names & GAUGES)


def test_log_queries_name_events_out_and_logged_fields(stack: Stack) -> None:
    queries = [widget["properties"]["query"] for widget in widgets(stack) if widget["type"] == "log"]
    assert len(queries) == 4
    for query in queries:
        assert set(re.findall(r"'((?:Message|Sending)\w+)'", query)) <= set(METRICS)
        groups = re.findall(r"SOURCE '\$\{(\w+)\}'", query)
        assert set(groups) <= set(stack.of("AWS::Logs::LogGroup"))


def test_widgets_do_not_overlap(stack: Stack) -> None:
    cells = [
        (x, y)
        for widget in widgets(stack)
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)


def test_the_widget_of_pauses_asks_the_function_of_questions(stack: Stack) -> None:
    """It is invoked with the rights of the person who looks at the dashboard; the function reads only."""
    (widget,) = [widget for widget in widgets(stack) if widget["type"] == "custom"]
    assert widget["properties"]["endpoint"] == "${ExplainFunction.Arn}"
    assert widget["properties"]["params"] == {"pauses": True}
    assert widget["properties"]["updateOn"]["refresh"] is True
    assert (widget["x"], widget["y"]) == (0, 0), "it is the first question"
