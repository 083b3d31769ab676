"""The dashboard's widgets show what the handlers emit and log: each query is evaluated on real lines."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from unittest.mock import patch

import pytest

from reengage.adapters.channels.routed import RoutedChannel
from reengage.cli.contacts import contact_fields
from reengage.domain.message import State
from reengage.observability import ERROR_CODE
from reengage.ports import Outcome, Refused, Retryable, Unknown
from tests.integration.replays import ANNOUNCED, BOOKED, TICK, TRIED, play
from tests.integration.stack import FUNCTIONS, Stack, case, deployed
from tests.template import insights
from tests.template.cloudwatch import CloudWatch
from tests.template.stack import FUNCTION, translate
from tests.template.test_dashboard import SEARCH, widgets

MINUTE: Final = timedelta(minutes=1)
SENDERS: Final = {
    "send_appointment_reminders": BOOKED,
    "send_trial_follow_ups": TRIED,
    "send_updates": ANNOUNCED,
}
WHY: Final = "Ada was <b>angry</b> (by otto)"
PAUSE: Final = {"id": "pause", "source": "ops", "detail-type": "SendingPaused", "detail": {"why": WHY}}
RESUME: Final = PAUSE | {"id": "resume", "detail-type": "SendingResumed", "detail": {}}
STOP: Final = {"text": "STOP", "message_id": "stop"}


@dataclass(slots=True)
class Seen:
    """What CloudWatch has: the metrics, and the lines of each log group."""

    cloudwatch: CloudWatch = field(default_factory=CloudWatch)
    logs: defaultdict[str, list[insights.Line]] = field(default_factory=lambda: defaultdict(list))

    def run(self, stack: Stack, function: str, event: Any, at: datetime = TICK, **how: Any) -> None:
        stack.invoke(function, event, at=at, **how)
        for line in stack.metrics():
            self.cloudwatch.put_log_line(line, at)
        group = f"{FUNCTIONS[function].removesuffix('Function')}LogGroup"
        self.logs[group] += [insights.flat(line, at) for line in stack.log_lines()]

    def send(self, function: str, outcome: Outcome | None = None, *, paused: bool = False, **how: Any) -> None:
        """Let a message of the function be due, and run the function once."""
        with deployed() as stack:
            for name in SENDERS[function]:
                play(stack, name)
            if paused:
                self.run(stack, "plan_messages", PAUSE | {"time": TICK.isoformat()})
            answer = patch.object(RoutedChannel, "send", lambda *_: outcome) if outcome else nullcontext()
            with answer:
                self.run(stack, function, case(f"{function}/tick"), TICK + 11 * MINUTE, **how)
            if paused:
                self.run(stack, "send_updates", case("send_updates/tick"), TICK + 20 * MINUTE)
                self.run(stack, "plan_messages", RESUME | {"time": (TICK + 21 * MINUTE).isoformat()})


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Everything that the dashboard shows has happened once."""
    seen = Seen()
    for function in SENDERS:
        for outcome in (None, Retryable("ConnectTimeoutError"), Refused("21211 invalid number"), Unknown("HTTP 503")):
            seen.send(function, outcome)
        seen.send(function, seconds_left=10)
        seen.send(function, paused=True)
    with deployed() as stack:
        skipped(seen, stack)
    with deployed() as stack:
        receipts(seen, stack)
    refused = case("webhook/meta_message")
    refused["headers"]["x-hub-signature-256"] = f"sha256={'0' * 64}"
    with deployed() as stack:
        seen.run(stack, "webhook", refused)
    return seen


def skipped(seen: Seen, stack: Stack) -> None:
    """The person opts out after booking."""
    for name in BOOKED:
        play(stack, name)
    stop = case("ingest_message/first_message")
    stop["detail"] |= STOP | {"sent_at": (TICK - MINUTE).isoformat()}
    seen.run(stack, "ingest_message", stop, TICK - MINUTE)
    seen.run(stack, "send_appointment_reminders", case("send_appointment_reminders/tick"))


def receipts(seen: Seen, stack: Stack) -> None:
    """Three messages are handed over, one after an hour without a receipt; then one arrives, and one does not."""
    for number in range(3):
        chat, booked = case("ingest_message/first_message"), case("plan_messages/appointment_booked")
        contact = chat["detail"]["contact"] | {"address": f"+44770090014{number}"}
        chat["detail"] |= {"contact": contact, "message_id": f"SM{number}"}
        booked["detail"] |= {"contact": contact, "appointment_id": f"A-{number}"}
        seen.run(stack, "ingest_message", chat, TICK - 120 * MINUTE)
        seen.run(stack, "plan_messages", booked, TICK - 120 * MINUTE)
    seen.run(stack, "send_appointment_reminders", case("send_appointment_reminders/tick"))
    seen.run(stack, "send_updates", case("send_updates/tick"), TICK + 60 * MINUTE)
    sent = [row for row in stack.rows() if row.state is State.SENT]
    for row, status in zip(sent, ("delivered", "undelivered"), strict=False):
        receipt = case("record_delivery/delivered")
        receipt["detail"] |= {"contact": contact_fields(row.contact), "scheduled_message_id": row.scheduled_message_id}
        receipt["detail"] |= {"status": status} | ({"error": "30003"} if status == "undelivered" else {})
        seen.run(stack, "record_delivery", receipt, TICK + 62 * MINUTE)


def rows(seen: Seen, title: str) -> list[insights.Row]:
    """Return what the log widget of this title shows."""
    (widget,) = [widget for widget in widgets(translate()) if title in widget["properties"]["title"]]
    return insights.parse(widget["properties"]["query"]).rows(seen.logs)


def test_every_metric_of_a_widget_was_emitted(seen: Seen) -> None:
    """By its exact dimensions: CloudWatch draws an empty line for any other."""
    emitted = {(namespace, name, dimensions) for namespace, name, dimensions in seen.cloudwatch.points}
    shown = [row for widget in widgets(translate()) for row in widget["properties"].get("metrics", [])]
    single = [row for row in shown if row[0] == "Reengage"]
    assert len(single) == 8
    for namespace, name, dimension, value in single:
        assert (namespace, name, frozenset({(dimension, value)})) in emitted, (name, value)


def test_every_search_finds_emitted_series(seen: Seen) -> None:
    shown = [row for widget in widgets(translate()) for row in widget["properties"].get("metrics", [])]
    searches = [SEARCH.findall(row[0]["expression"]) for row in shown if isinstance(row[0], dict)]
    assert len(searches) == 5
    for ((dimensions, name),) in searches:
        wanted = set(dimensions.split(","))
        found = [
            series
            for namespace, metric, series in seen.cloudwatch.points
            if (namespace, metric) == ("Reengage", name) and {each for each, _ in series} == wanted
        ]
        assert found, name


def test_metrics_of_aws_name_resources_of_the_stack() -> None:
    stack = translate()
    shown = [row for widget in widgets(stack) for row in widget["properties"].get("metrics", [])]
    of_aws = [row for row in shown if isinstance(row[0], str) and row[0].startswith("AWS/")]
    kinds = {"FunctionName": FUNCTION, "TableName": "AWS::DynamoDB::Table"}
    assert {row[1] for row in of_aws} == {
        "Invocations",
        "Duration",
        "ConsumedWriteCapacityUnits",
        "ConsumedReadCapacityUnits",
    }
    for _, _, dimension, reference, *_ in of_aws:
        assert reference.removeprefix("${").removesuffix("}") in stack.of(kinds[dimension])


def test_the_last_messages_that_were_not_sent(seen: Seen) -> None:
    """Each row names the message and the cause: the rule, until when, or what the provider answered."""
    found = rows(seen, "Why were messages not sent")
    assert [row["@timestamp"] for row in found] == sorted((row["@timestamp"] for row in found), reverse=True)
    assert {row["message"] for row in found} == {"MessageHeld", "MessageSkipped", "MessageFailed", "MessageUnconfirmed"}
    assert all(row["detail.reason"] for row in found)
    by_message = {message: [row for row in found if row["message"] == message] for message in set(_of(found))}
    assert {row["detail.rule"] for row in by_message["MessageHeld"]} == {"paused"}
    assert all(row["detail.until"] for row in by_message["MessageHeld"])
    assert "opted_out" in {row["detail.rule"] for row in by_message["MessageSkipped"]}
    assert {row["detail.error_code"] for row in by_message["MessageFailed"]} == {"21211"}


def _of(found: list[insights.Row]) -> Iterator[str]:
    return (row["message"] for row in found)


def test_holds_and_skips_by_rule(seen: Seen) -> None:
    found = rows(seen, "Holds and skips")
    counted: Mapping[str, int] = {row["detail.rule"]: row["messages"] for row in found}
    assert counted["paused"] == len(SENDERS) - 1, "a paused announcement is not expanded"
    assert counted["opted_out"] == 1
    assert all(row[insights.HOUR_BIN].minute == 0 for row in found)


def test_errors_of_providers_by_code(seen: Seen) -> None:
    counted = {
        (row["message"], row["detail.error_code"]): row["messages"] for row in rows(seen, "What do providers answer")
    }
    assert counted == {
        ("MessageFailed", "21211"): len(SENDERS),
        ("MessageUnconfirmed", None): len(SENDERS),
        ("MessageUndelivered", "30003"): 1,
    }


def test_pauses_and_their_ends(seen: Seen) -> None:
    found = rows(seen, "Pauses")
    assert {(row["message"], row["detail.scope"]) for row in found} == {
        ("SendingPaused", "all"),
        ("SendingResumed", "all"),
    }


def test_the_reason_of_a_pause_is_not_logged(seen: Seen) -> None:
    """It is free text, and may name a person."""
    assert not [name for name in ("Ada", "otto") if name in str(dict(seen.logs))]


def test_what_is_paused_who_paused_and_why() -> None:
    """CloudWatch invokes the widget's function with its parameters, and shows the HTML; nothing of it is logged."""
    stack = translate()
    (widget,) = [widget for widget in widgets(stack) if widget["type"] == "custom"]
    endpoint = widget["properties"]["endpoint"].removeprefix("${").removesuffix(".Arn}")
    (function,) = [name for name, logical_id in FUNCTIONS.items() if logical_id == endpoint]
    context = {
        "dashboardName": "Dashboard-1A2B3C4D",
        "widgetId": "widget-16",
        "accountId": "111122223333",
        "theme": "light",
    }
    asked = widget["properties"]["params"] | {"widgetContext": context}
    with deployed() as deployment:

        def shown(at: datetime) -> str:
            html: str = deployment.invoke(function, asked, at=at)
            assert "otto" not in str(deployment.log_lines())
            return html

        assert "Nothing is paused" in shown(TICK)
        of_brand = {"brand": "acme-clinic", "scope": "marketing", "until": (TICK + 60 * MINUTE).isoformat()}
        for name, detail in (("stack", {"why": WHY}), ("brand", of_brand)):
            event = PAUSE | {"id": name, "time": TICK.isoformat(), "detail": detail}
            deployment.invoke("plan_messages", event, at=TICK)
        since = TICK.strftime("%Y-%m-%dT%H:%M:%SZ")
        stack_row = f"<td>the whole stack</td><td>all</td><td>{since}</td><td>someone resumes it</td>"
        why = "<td>Ada was &lt;b&gt;angry&lt;/b&gt; (by otto)</td>"
        assert stack_row + why in shown(TICK + MINUTE)
        assert "<td>acme-clinic</td><td>marketing</td>" in shown(TICK + MINUTE)
        assert "acme-clinic" not in shown(TICK + 61 * MINUTE)
        deployment.invoke("plan_messages", RESUME | {"time": (TICK + 62 * MINUTE).isoformat()}, at=TICK + 62 * MINUTE)
        assert "Nothing is paused" in shown(TICK + 63 * MINUTE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("21211 invalid number", "21211"),
        ("HTTP 503", "HTTP 503"),
        ("ConnectTimeoutError", "ConnectTimeoutError"),
        ("+12025550101 is not a mobile number", None),
        ("12025550101", None),
        ("Ada has no number", None),
        ("30003,ada@example.com", None),
    ],
)
def test_only_a_code_of_an_error_is_logged(error: str, code: str | None) -> None:
    match = re.match(ERROR_CODE, error)
    assert (match[0] if match else None) == code


@pytest.mark.parametrize("query", ["fields message", "SOURCE '${A}' | parse @message '*' as x"])
def test_a_query_that_cannot_be_evaluated_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="can be read"):
        insights.parse(query)
