"""Every file of events/ through its function's own handler: the answer, the log, the metrics."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from reengage.observability import METRICS
from tests.integration.log_content import documented, personal
from tests.integration.replays import REPLAYS, play
from tests.integration.stack import FUNCTIONS, Stack, case, cases, deployed


@dataclass(frozen=True, slots=True)
class Played:
    """One file, its function's answer, and the stack after it."""

    name: str
    event: Mapping[str, Any]
    answer: Any
    stack: Stack

    @property
    def function(self) -> str:
        return self.name.split("/", maxsplit=1)[0]


@pytest.fixture(scope="module", params=REPLAYS)
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """All tests of this module share one replay."""
    name: str = request.param
    with deployed() as stack:
        for earlier in REPLAYS[name].after:
            play(stack, earlier)
        stack.published()
        yield Played(name, case(name), play(stack, name), stack)


def test_each_file_is_replayed_and_each_function_has_files() -> None:
    assert sorted(REPLAYS) == cases()
    assert {name.split("/")[0] for name in cases()} == set(FUNCTIONS)


@pytest.mark.parametrize("name", [name for name in cases() if not name.startswith(("send_", "explain/", "webhook/"))])
def test_an_event_is_a_whole_envelope(name: str) -> None:
    envelope = ["account", "detail", "detail-type", "id", "region", "resources", "source", "time", "version"]
    assert sorted(case(name)) == envelope


def test_answer(played: Played) -> None:
    assert REPLAYS[played.name].fits(played.answer), played.answer


def test_the_log_names_the_event(played: Played) -> None:
    for line in played.stack.log_lines():
        assert line["service"] == played.function
        assert line.get("correlation_id") == played.event.get("id")
        assert line["function_request_id"]


def test_log_lines_have_no_more_fields_than_needed(played: Played) -> None:
    """Each byte is paid for; Powertools' whole context would add 250 to each line."""
    context = {"level", "message", "service", "function_request_id", "correlation_id"}
    for line in played.stack.log_lines():
        assert line.keys() - context <= {
            "answer",
            "detail",
            "channel",
            "count",
            "door",
            "status",
            "exception",
            "exception_name",
            "stack_trace",
        }


def test_no_log_line_repeats_another(played: Played) -> None:
    """An answer is logged only if it has more than the lines of the events; the event has a sent message's facts."""
    lines = played.stack.log_lines()
    events = [line for line in lines if line["message"] in METRICS]
    for answer in [line["answer"] for line in lines if "answer" in line]:
        assert all([*answer.values()][1:]), answer
        assert not events or answer.keys() - {"planned"}, answer
        assert not events or answer not in ({"result": "stored"}, {"result": "recorded"})
    assert lines
    assert all("facts" not in line["detail"] for line in events if line["message"] == "MessageSent")


def test_log_names_all_that_an_event_did(played: Played) -> None:
    """What a function answers beside its events is in the log, for the person who looks for the cause."""
    lines = played.stack.log_lines()
    logged = {name for line in lines for name, value in line.get("answer", {}).items() if value}
    if played.function in {"ingest_message", "plan_messages", "record_delivery"}:
        planned = any(line["message"] == "MessagePlanned" for line in lines)
        events = any(line["message"] in METRICS for line in lines)
        shown = {"planned"} if planned else {"result"} if events else set()
        assert {name for name, value in played.answer.items() if value} - shown <= logged


def test_each_event_out_is_a_log_line(played: Played) -> None:
    detail_types = [event["detail-type"] for event in played.stack.published()]
    logged = [line["message"] for line in played.stack.log_lines()]
    # What a channel is asked is no news, and what a function answered or refused is no event.
    assert sorted(set(logged) - {"answered", "refused"}) == sorted(set(detail_types) - {"MessageSendRequested"})


def test_nothing_personal_is_written(played: Played) -> None:
    earlier = [case(name) for name in REPLAYS[played.name].after]
    for secret in personal(played.event, *earlier):
        assert secret not in played.stack.printed
        # As a log line would have it.
        assert json.dumps(secret)[1:-1] not in played.stack.printed


def test_metrics_are_the_documented_ones(played: Played) -> None:
    for metric in played.stack.metrics():
        documented(metric, service=played.function)
