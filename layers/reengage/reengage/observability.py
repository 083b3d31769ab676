"""Logs, metrics and traces by Powertools, in one place: each published event is logged and counted.

Logs hold no personal data: no address, no text, only ids, reasons, rules and instants.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache, wraps
from http import HTTPStatus
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from .domain.events_out import OutEvent
from .errors import NotPublished
from .ports import Publish, Render, Wording

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

    from .domain.policy import PolicyInput

Handler = Callable[[Any, Any], Any]


class Metric(NamedTuple):
    """A metric in the namespace ``Reengage``, unit ``Count``; ``service`` is a dimension of each.

    ``of_stack``: its ``service`` is ``stack`` in all functions, so that one alarm watches them together.
    """

    name: str
    dimensions: tuple[str, ...] = ()
    of_stack: bool = False


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "ConversationStarted": Metric("ConversationsStarted", ("channel",)),
        "ConversationRestarted": Metric("ConversationsRestarted", ("channel",)),
        "ConversationClosing": Metric("ConversationsClosing", ("channel",)),
        "ContactOptedOut": Metric("ContactsOptedOut", ("channel",)),
        "ContactOptedIn": Metric("ContactsOptedIn", ("channel",)),
        "ContactErased": Metric("ContactsErased", ("channel",)),
        "ContactLinked": Metric("ContactsLinked", ("channel",)),
        "ContactMoved": Metric("ContactsMoved", ("channel",)),
        "AppointmentAnswered": Metric("AppointmentsAnswered", ("answer",)),
        "OptOutSuspected": Metric("OptOutsSuspected", ("channel",)),
        "EventRejected": Metric("EventsRejected"),
        "MessagePlanned": Metric("MessagesPlanned", ("reason", "forecast")),
        "MessageSent": Metric("MessagesSent", ("reason", "channel")),
        "MessageSkipped": Metric("MessagesSkipped", ("reason", "rule")),
        "MessageHeld": Metric("MessagesHeld", ("reason", "rule")),
        "MessageFailed": Metric("MessagesFailed", ("reason", "channel")),
        "MessageUnconfirmed": Metric("MessagesUnconfirmed", ("reason", "channel")),
        "MessageDelivered": Metric("MessagesDelivered", ("reason", "channel")),
        "MessageUndelivered": Metric("MessagesUndelivered", ("reason", "channel")),
        "SendingPaused": Metric("SendingPaused", ("scope",)),
        "SendingResumed": Metric("SendingResumed", ("scope",)),
    }
)
"""For each event out, the metric that counts it."""

PRIVATE: Final = frozenset(
    {
        *("contact", "same_as", "to", "error", "provider_message_id", "message_id", "cause", "why"),
        *("subject_id", "scheduled_messages", "rejected_detail_type", "opener"),
    }
)
"""Fields of events out that are not logged: the contact's, and all free text of a sender.

A business may use a phone number as an appointment's id. ``error`` may quote an address. WhatsApp's message ids
contain it, encoded. The ``scheduled_message_id`` of a log line finds the rest in the table.
"""

ALARM_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "MessageFailed": Metric("MessagesFailed", of_stack=True),
        "MessageUnconfirmed": Metric("MessagesUnconfirmed", of_stack=True),
        "MessageUndelivered": Metric("MessagesUndelivered"),
    }
)
"""For some events out, one more series without dimensions of its own: an alarm can watch only one series."""

ELSEWHERE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"MessageSent": frozenset({"facts"}), "MessagePlanned": frozenset({"window_expires_at"})}
)
"""Fields of events out that are not logged, as each byte is paid for: the event has them, and `explain` shows them."""

SHOWN_BY_EVENTS: Final[Sequence[Mapping[str, Any]]] = (
    {"result": "stored"},
    {"result": "recorded"},
    {"receipts": 1, "recorded": 1},
)
"""Answers that are not logged beside the lines of the events that the same invocation published."""

PRIVATE_FACTS: Final = frozenset({"text", "why", "word"})
"""Facts of a decision that are not logged: the text of a dry run, and a business's text about a pause or an opt-out."""

MEASURED: Final = ("subject_id", "scheduled_messages", "rejected_detail_type")
"""Fields of which only the length is logged, as ``…_length``."""

ERROR_CODE: Final = r"(?:\d{3,6}|HTTP \d{3}|[A-Za-z]{3,40}(?:Error|Exception))(?!\S)"
"""The beginning of an ``error`` that is logged as ``error_code``: a provider's code, shorter than an address."""

NOT_PUBLISHED: Final = Metric("EventsNotPublished", of_stack=True)
LEFT: Final = Metric("DueMessagesLeft", of_stack=True)
RETRIED: Final = Metric("MessagesRetried", of_stack=True)
OLDEST_DUE: Final = Metric("OldestDueMinutes", of_stack=True)
ALL_HELD_FOR_TIMEZONE: Final = Metric("AllHeldForTimezone", of_stack=True)
PAUSED: Final = Metric("PausedMinutes", of_stack=True)
WITHOUT_RECEIPT: Final = Metric("MinutesWithoutReceipt", of_stack=True)
RECEIPTS_BEYOND_RUNS: Final = Metric("ReceiptsBeyondRuns")
"""Receipts of an SNS notification beyond its first, -1 without one. An alarm adds them to the runs."""

WEBHOOKS_REFUSED: Final = Metric("WebhooksRefused", ("door", "status"))
SIGNATURES_REFUSED: Final = Metric("WebhookSignaturesRefused")
FIELDS_MISSPELLED: Final = Metric("FieldsMisspelled")
CONTACTS_UNKNOWN: Final = Metric("ContactsUnknown")
SMS_OVER_THREE_SEGMENTS: Final = Metric("SmsOverThreeSegments", ("reason",))

UNKNOWN_CONTACT: Final = "$.detail.contact: no event added this contact, so nothing ended for anyone else"

MOST_SEGMENTS: Final = 3
"""An SMS should have no more segments; each is billed."""

ENDPOINTS: Final = frozenset({"meta", "twilio", "rcs", "google-business-messages"})
"""The webhook endpoints whose refusals may mean a rotated secret; calls to other paths do not."""

STACK_SERVICE: Final = "stack"
MINUTE: Final = timedelta(minutes=1)

_counts: Counter[tuple[Metric, tuple[str, ...]]] = Counter()
_lock = Lock()
_event_logged = Event()
"""Whether the invocation has logged an event out."""


@cache
def logger() -> Logger:
    """Return the logger, named by POWERTOOLS_SERVICE_NAME, with the level that Lambda is set to.

    Lambda adds the time to each line, and CloudWatch stores it as ``@timestamp``: the logger writes none.
    """
    return Logger(location=None, timestamp=None)


@cache
def tracer() -> "Tracer | None":
    """Return X-Ray's tracer if the parameter `Tracing` is `Active`; the import alone takes 50 ms."""
    if os.environ.get("TRACING") != "Active":
        return None
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - 50 ms to import

    return Tracer()


def lambda_handler(handler: Handler, *, logs_answer: Callable[[Any], bool] | bool = True) -> Handler:
    """Wrap a Lambda handler: add the request's ids to each log line, trace it, and write its metrics at the end.

    ``logs_answer``: whether to log what it returns; false, also for single answers, if that may contain personal data.
    """

    @cache
    def decorated() -> Handler:
        traces = tracer()
        return traces.capture_lambda_handler(capture_response=False)(handler) if traces else handler

    @wraps(handler)
    def handle(event: Any, context: Any) -> Any:
        # Not Powertools' whole context: the log group names the function, and each line would be 250 bytes longer.
        event_id = event.get("id") if isinstance(event, dict) else None
        logger().append_keys(function_request_id=context.aws_request_id, correlation_id=event_id)
        _event_logged.clear()
        try:
            answer = decorated()(event, context)
            _log_answer(answer, is_whole=logs_answer(answer) if callable(logs_answer) else logs_answer)
        finally:
            write_metrics()
        return answer

    return handle


def _log_answer(answer: Any, *, is_whole: bool) -> None:
    """Log what a function answered, unless the lines of its events show it. ``is_whole`` is false for a bare line."""
    result = _without_zeros(answer) if is_whole else {}
    if _event_logged.is_set() and (not result or result.keys() == {"planned"} or result in SHOWN_BY_EVENTS):
        return
    fields: dict[str, Any] = {"answer": result} if is_whole else {}
    logger().info("answered", **fields)


def _without_zeros(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer without what is zero, false or empty; the first field stays in any case."""
    first = next(iter(answer), None)
    return {name: value for name, value in answer.items() if value or name == first}


def observed(publish: Publish) -> Publish:
    """Return ``publish`` with a log line and a metric for each event."""

    def observing(events: Sequence[OutEvent]) -> None:
        failed: NotPublished | None = None
        try:
            publish(events)
        except NotPublished as error:
            failed = error
        for event in events:
            detail = _loggable(event)
            channel = event.detail.get("contact", {}).get("channel")
            logger().info(event.type, detail=detail, channel=channel)
            _event_logged.set()
            metric = METRICS[event.type]
            count(metric, **{name: (detail | {"channel": channel})[name] for name in metric.dimensions})
            if event.type in ALARM_METRICS:
                count(ALARM_METRICS[event.type])
        if failed:
            logger().error("events could not be published", count=failed.failed)
            count(NOT_PUBLISHED, failed.failed)
            raise failed

    return observing


def count_refused_webhook(endpoint: str, status: int) -> None:
    """Log and count a refused call of a provider, by webhook endpoint and status."""
    logger().warning("refused", door=endpoint, status=int(status))
    count(WEBHOOKS_REFUSED, door=endpoint, status=str(int(status)))
    if status == HTTPStatus.FORBIDDEN and endpoint in ENDPOINTS:
        count(SIGNATURES_REFUSED)


def count_measures(
    *, late_by: timedelta, paused_for: timedelta, silent_for: timedelta, all_held_for_timezone: bool | None
) -> None:
    """Count what a run measured for the alarms: minutes of delay, pause and silence; 1 or 0 for the time zones."""
    for metric, duration in ((OLDEST_DUE, late_by), (PAUSED, paused_for), (WITHOUT_RECEIPT, silent_for)):
        if duration >= MINUTE:
            count(metric, duration // MINUTE)
    if all_held_for_timezone is not None:
        count(ALL_HELD_FOR_TIMEZONE, int(all_held_for_timezone))


def _loggable(event: OutEvent) -> dict[str, Any]:
    """Remove what may be personal data, also within the facts, and what is elsewhere; log the length of some fields."""
    left_out = PRIVATE | ELSEWHERE.get(event.type, frozenset())
    detail = {name: value for name, value in event.detail.items() if name not in left_out}
    if isinstance(facts := detail.get("facts"), Mapping):
        detail["facts"] = {name: value for name, value in facts.items() if name not in PRIVATE_FACTS}
    if code := re.match(ERROR_CODE, str(event.detail.get("error") or "")):
        detail["error_code"] = code[0]
    lengths = {f"{name}_length": len(value) for name in MEASURED if (value := event.detail.get(name)) is not None}
    return detail | lengths


def with_hints(answer: dict[str, Any], hints: Sequence[str]) -> dict[str, Any]:
    """Return the answer with the hints about misspelled fields, if there are any, and count them."""
    if not hints:
        return answer
    count(FIELDS_MISSPELLED, len(hints))
    return answer | {"hints": [*hints, *answer.get("hints", ())]}


def with_unknown_contact(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with a hint, and count it, if the event ended something for a contact that no event added."""
    if answer.pop("unknown_contact"):
        count(CONTACTS_UNKNOWN)
        answer["hints"] = [UNKNOWN_CONTACT]
    return answer


def count_unsent(summary: dict[str, Any]) -> dict[str, Any]:
    """Count what a run left or tried again, and return its summary."""
    for metric, outcome in ((LEFT, "left"), (RETRIED, "retried")):
        if summary[outcome]:
            count(metric, summary[outcome])
    return summary


def count_segments(render: Render, sms_segments: Callable[[str], int]) -> Render:
    """Return ``render`` with a metric for each SMS of more than ``MOST_SEGMENTS``; it is sent nevertheless."""

    def rendering(context: "PolicyInput") -> Wording:
        wording = render(context)
        if context.message.contact.channel == "sms" and sms_segments(wording.text) > MOST_SEGMENTS:
            count(SMS_OVER_THREE_SEGMENTS, reason=context.message.reason)
        return wording

    return rendering


def count(metric: Metric, value: int = 1, **dimensions: str) -> None:
    """Add to a metric. It is written once at the end of the invocation, so that a busy run writes few log lines."""
    with _lock:
        _counts[metric, tuple(dimensions[name] for name in metric.dimensions)] += value


def write_metrics() -> None:
    with _lock:
        counts = dict(_counts)
        _counts.clear()
    for (metric, values), value in counts.items():
        with single_metric(
            name=metric.name,
            unit=MetricUnit.Count,
            value=value,
            default_dimensions={"service": STACK_SERVICE if metric.of_stack else logger().service},
        ) as written:
            for name, dimension in zip(metric.dimensions, values, strict=True):
                written.add_dimension(name=name, value=dimension)
