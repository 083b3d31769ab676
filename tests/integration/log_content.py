"""What a function may write to its log and metrics, and what it must not."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reengage.observability import (
    ALARM_METRICS,
    ALL_HELD_FOR_TIMEZONE,
    LEFT,
    METRICS,
    NOT_PUBLISHED,
    OLDEST_DUE,
    PAUSED,
    RETRIED,
    SIGNATURES_REFUSED,
    SMS_OVER_THREE_SEGMENTS,
    STACK_SERVICE,
    WEBHOOKS_REFUSED,
    WITHOUT_RECEIPT,
)

_SERIES: Final = (
    *(*METRICS.values(), *ALARM_METRICS.values()),
    *(NOT_PUBLISHED, LEFT, RETRIED, SMS_OVER_THREE_SEGMENTS, WEBHOOKS_REFUSED, SIGNATURES_REFUSED),
    *(OLDEST_DUE, ALL_HELD_FOR_TIMEZONE, PAUSED, WITHOUT_RECEIPT),
)

DIMENSIONS: Final = {
    name: [sorted(("service", *series.dimensions)) for series in _SERIES if series.name == name]
    for name in {series.name for series in _SERIES}
}
"""The dimensions of each metric's series: some metrics have one more series, for an alarm."""

_HARMLESS: Final = frozenset(
    {
        *("brand", "channel", "timezone", "locale", "kind", "asks", "status", "scope", "marketing", "detail-type"),
        *("source", "scheduled_message_id", "id", "account", "region", "time", "version", "resources", "event_id"),
    }
)
"""Fields without personal data: a choice from a list, an instant, or an id of AWS or of this application."""

_PUBLIC_VALUE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T.*)?|-?P[\dTDHWMS]+|\d{2}:\d{2}|.{0,3}", re.DOTALL)
"""Instants, days, durations, times of day, and texts too short to be distinguished from a part of another word."""


def personal(*events: Any) -> set[str]:
    """Return the values that no log may have: each address, name, id, text and URL, in all their forms."""
    return {form for event in events for text in _texts(_detail_of(event)) for form in (text, text.lstrip("+"))}


def _detail_of(event: Any) -> Any:
    return event.get("detail", event) if isinstance(event, dict) else event


def _texts(value: Any, name: str = "") -> Iterator[str]:
    if name in _HARMLESS:
        return
    match value:
        case dict():
            for inner, each in value.items():
                yield from _texts(each, inner)
        case list():
            for each in value:
                yield from _texts(each, name)
        case str() if not _PUBLIC_VALUE.fullmatch(value):
            yield value


def documented(written: Mapping[str, Any], *, service: str) -> None:
    """Assert that a line in embedded metric format is one metric of the list, with its dimensions only."""
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Reengage"
    ((name, unit),) = ((metric["Name"], metric["Unit"]) for metric in directive["Metrics"])
    assert unit == "Count"
    (dimensions,) = directive["Dimensions"]
    assert sorted(dimensions) in DIMENSIONS[name]
    of_stack = {metric.name for metric in _SERIES if metric.of_stack}
    assert written["service"] == (STACK_SERVICE if name in of_stack else service)
    assert all(isinstance(written[dimension], str) and written[dimension] for dimension in dimensions)
    assert set(written) == {"_aws", name, *dimensions}
    assert sum(written[name]) > 0 or name == ALL_HELD_FOR_TIMEZONE.name
