"""What a function may say in its log and metrics, and what it may not."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reengage.observability import LEFT, METRICS, NOT_PUBLISHED, RETRIED, SMS_OVER_THREE_SEGMENTS, WEBHOOKS_REFUSED

METRICS_BY_NAME: Final = {
    metric.name: metric
    for metric in (*METRICS.values(), NOT_PUBLISHED, LEFT, RETRIED, SMS_OVER_THREE_SEGMENTS, WEBHOOKS_REFUSED)
}

_PERSONAL: Final = ("text", "display_name", "service", "location", "error", "message_id")


def personal(*events: Mapping[str, Any]) -> set[str]:
    """What of these events belongs in no log: who it is about, what was written, what the appointment is for."""
    return {secret for event in events for secret in _of_one(event.get("detail", event))}


def _of_one(detail: Mapping[str, Any]) -> Iterator[str]:
    address = detail.get("contact", {}).get("address")
    if address:
        yield address
        yield address.lstrip("+")
    for name in _PERSONAL:
        value = detail.get(name)
        yield from value.values() if isinstance(value, dict) else [value] if value else []


def documented(written: Mapping[str, Any], *, service: str) -> None:
    """Asserts that a line in embedded metric format is one metric of the list, with just its dimensions."""
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Reengage"
    ((name, unit),) = ((metric["Name"], metric["Unit"]) for metric in directive["Metrics"])
    assert unit == "Count"
    metric = METRICS_BY_NAME[name]
    (dimensions,) = directive["Dimensions"]
    assert sorted(dimensions) == sorted(("service", *metric.dimensions))
    assert written["service"] == service
    assert all(isinstance(written[dimension], str) and written[dimension] for dimension in dimensions)
    assert set(written) == {"_aws", name, *dimensions}
    assert sum(written[name]) > 0
