"""The README's tables and examples, held against the code and the template."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws
from msgspec import UnsetType

from reengage.adapters.inbound.eventbridge import (
    EVENT_SCHEMAS,
    DeliveryReported,
    MessageReceived,
    inbound_message,
    parse_business_event,
)
from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.instants import Duration
from reengage.domain.policy import RULES
from reengage.domain.reasons import REASONS, Reason
from reengage.domain.routes import PROVIDERS
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, EventEffect
from reengage.observability import LEFT, METRICS, NOT_PUBLISHED, RETRIED, SMS_OVER_THREE_SEGMENTS, WEBHOOKS_REFUSED
from tests.template_resources import template

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text below a heading, up to the next one of the same depth or above."""
    depth = len(heading) - len(heading.lstrip("#"))
    after = README.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"\n#{{1,{depth}}} ", after)[0]


def table(heading: str, first_column: str) -> list[list[str]]:
    """The rows of the table under a heading whose first column has that title."""
    lines = iter(section(heading).splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            break
    else:
        pytest.fail(f"no table of {first_column} under {heading}")
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_events_in() -> None:
    documented = {
        event: (set(names(required)), set(names(optional)))
        for cell, required, optional in table("## Events in", "detail-type")
        for event in names(cell)
    }
    types: dict[str, type[msgspec.Struct]] = {
        **EVENT_SCHEMAS,
        "MessageReceived": MessageReceived,
        "DeliveryReported": DeliveryReported,
    }
    expected = {}
    for event, struct in types.items():
        fields = msgspec.structs.fields(struct)
        optional = {field.name for field in fields if UnsetType in getattr(field.type, "__args__", ())}
        expected[event] = ({field.name for field in fields} - optional, optional)
    assert documented == expected


def test_each_event_in_has_a_door_and_each_door_its_events() -> None:
    """One function names what it does not hear; it must be just what the others do."""
    documented = {event for row in table("## Events in", "detail-type") for event in names(row[0])}
    heard: set[str] = set()
    left_to_others: set[str] = set()
    for resource in template()["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        for event in resource["Properties"].get("Events", {}).values():
            for detail_type in event["Properties"].get("Pattern", {}).get("detail-type", []):
                if isinstance(detail_type, str):
                    heard.add(detail_type)
                else:
                    left_to_others |= set(detail_type["anything-but"])
    assert heard == left_to_others
    assert documented == heard | set(EVENT_SCHEMAS)


def test_events_out() -> None:
    """Every event that the code names, and no other; each is counted but the request itself."""
    documented = {event for row in table("## Events out", "detail-type") for event in names(row[0])}
    assert documented == {*METRICS, "MessageSendRequested"}


def test_rules_in_the_order_in_which_they_are_asked() -> None:
    documented = [names(row[0])[0] for row in table("## Why was it sent, or not?", "rule")]
    assert documented == list(RULES)


def test_reasons() -> None:
    rows = {names(row[0])[0]: row for row in table("## Twelve reasons", "reason")}
    assert list(rows) == list(REASONS)
    for name, (_, category, door, planned_by, due, _, undone_by) in rows.items():
        reason = REASONS[name]
        assert category == reason.category, name
        if category == "reply":
            assert (door, due, undone_by) == ("–", "at once", "–"), name
            continue
        assert door == reason.send_group, name
        assert {event for event in names(planned_by) if event in EVENT_TYPES} == _events(reason, ends=False), name
        assert set(names(undone_by)) == _events(reason, ends=True), name
        _check_due(due, reason)
        assert ("once a" in due or "once for" in due) == (reason.once or reason.audience == "interested"), name
        assert ("interest" in due, "open conversations" in due) == (
            reason.audience == "interested",
            reason.audience == "open_conversations",
        ), name


def _events(reason: Reason, *, ends: bool) -> set[str]:
    """The events that begin or change what the reason is about, or undo it."""
    tracks = {reason.track} | ({reason.also_cancelled_by} if ends else set())
    told = {
        event
        for event, terms in EVENT_TYPES.items()
        if terms.kind == reason.kind and terms.track in tracks and (terms.rank is EventEffect.UNDO) == ends
    }
    other = {"title": "HolidayHoursAnnounced", "date": "ProductPreviewAnnounced"}.get(reason.required_field)
    return told if ends else told - {other}


def _check_due(due: str, reason: Reason) -> None:
    """The anchor, where it is a field of the event, else the event's time; then the offsets' field and the defaults."""
    quoted = [name for name in names(due) if name not in EVENT_TYPES]
    default_offsets = [str(offset) for offset in reason.default_offsets if offset != Duration()]
    if reason.anchor in {terms.at for terms in EVENT_TYPES.values() if terms.at}:
        assert due.startswith("the event's time plus" if default_offsets else "at once")
        assert quoted == default_offsets
    else:
        assert quoted == [part for part in (reason.anchor, reason.offsets, *default_offsets) if part]


def test_providers() -> None:
    documented = {
        (names(provider)[0], channel)
        for provider, channels, *_ in table("## Providers", "provider")
        for channel in names(channels) or sorted(CHANNELS)
    }
    assert documented == {(provider, channel) for provider, channels in PROVIDERS.items() for channel in channels}


def test_parameters() -> None:
    documented = {names(name)[0]: "".join(names(default)) for name, default, _ in table("## Parameters", "parameter")}
    assert documented == {name: str(terms["Default"]) for name, terms in template()["Parameters"].items()}


def test_outputs() -> None:
    documented = {names(row[0])[0] for row in table("## Outputs", "output")}
    assert documented == set(template()["Outputs"])


def test_metrics() -> None:
    documented = {
        (names(name)[0], tuple(names(dimensions)), *names(counts)[:1])
        for name, dimensions, counts in table("## Metrics, logs, traces", "metric")
    }
    counted = {(metric.name, metric.dimensions, event) for event, metric in METRICS.items()}
    assert documented == counted | {
        (NOT_PUBLISHED.name, ()),
        (LEFT.name, ()),
        (RETRIED.name, ()),
        (WEBHOOKS_REFUSED.name, WEBHOOKS_REFUSED.dimensions),
        (SMS_OVER_THREE_SEGMENTS.name, SMS_OVER_THREE_SEGMENTS.dimensions),
    }


def test_alarms_that_the_runbook_names() -> None:
    alarms = {
        name for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    for name in re.findall(r"`(…?\w+Alarm)`", README):
        assert any(alarm.endswith(name.removeprefix("…")) for alarm in alarms), name
    assert f"each\nof the {NUMBERS[len(alarms)]} alarms" in README


NUMBERS = {12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen", 17: "seventeen"}


def test_every_file_of_events_is_named_and_every_named_one_exists() -> None:
    documented = {
        (names(function)[0], case)
        for function, files in table("## Try a function alone", "function")
        for case in names(files)
    }
    assert documented == {(path.parent.name, path.name) for path in (ROOT / "events").glob("*/*.json")}
    for path in re.findall(r"--event (\S+)", README):
        assert (ROOT / path).is_file(), path


def test_summary_example_adds_up() -> None:
    (example,) = re.findall(r"`(\{\"due\".*\})`", README)
    summary = json.loads(example)
    due = summary.pop("due")
    assert due == sum(summary.pop("skipped").values()) + sum(summary.values())


def test_the_first_events_are_understood() -> None:
    entries = [
        entry
        for block in re.findall(r"put-events --entries '(\[.*?\])'", README, re.DOTALL)
        for entry in json.loads(block)
    ]
    assert [entry["DetailType"] for entry in entries] == ["MessageReceived", "AppointmentBooked"]
    message = inbound_message(envelope(entries[0]))
    booking = parse_business_event(envelope(entries[1]))
    assert isinstance(booking, BusinessEvent)
    assert message.contact == booking.contact
    assert booking.fields["timezone"] == "America/New_York"


def envelope(entry: dict[str, str]) -> dict[str, Any]:
    """What EventBridge makes of an entry."""
    return {
        "id": "0",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "time": "2026-11-22T12:00:00Z",
        "detail": json.loads(entry["Detail"]),
    }


def test_the_import_of_chats_puts_every_line_on_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet as it stands, over a bus that takes only some entries at a time."""
    (snippet,) = [block for block in blocks("python") if "chats.jsonl" in block]
    lines = [json.dumps({"message_id": f"m{number}"}) for number in range(23)]
    (tmp_path / "chats.jsonl").write_text("\n".join([*lines, "", "bad", ""]), encoding="utf-8")
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.chdir(tmp_path)
    taken: list[str] = []

    class Events:
        def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
            assert len(Entries) <= 10
            return {"Entries": [self.take(n, entry["Detail"].strip()) for n, entry in enumerate(Entries)]}

        def take(self, n: int, detail: str) -> dict[str, str]:
            if not detail.startswith("{"):
                return {"ErrorCode": "MalformedDetail"}
            if n >= 7:
                return {"ErrorCode": "ThrottlingException"}
            taken.append(detail)
            return {"EventId": "1"}

    monkeypatch.setattr(boto3, "client", lambda _service: Events())
    exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102 - our own README
    assert sorted(taken) == sorted(lines)


@pytest.mark.parametrize("wrapper", [None, "requestPayload", "event"])
def test_an_event_put_on_the_bus_again_keeps_its_own_time(wrapper: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A booking from the dead-letter queue was put on the bus again as a new one, and undid the cancel after it."""
    (snippet,) = [block for block in blocks("python") if "def put_again" in block]
    event = json.loads((ROOT / "events/plan_messages/appointment_booked.json").read_text(encoding="utf-8"))
    put: list[dict[str, Any]] = []

    class Events:
        def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
            put.extend(Entries)
            return {"Entries": [{"EventId": "1"}]}

    monkeypatch.setattr(boto3, "client", lambda _service: Events())
    names: dict[str, Any] = {}
    exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 - our own README
    names["put_again"](json.dumps({wrapper: event} if wrapper else event))
    (entry,) = put
    assert entry["Time"] == event["time"]
    assert parse_business_event({**envelope(entry), "time": entry["Time"]}) == parse_business_event(event)


def test_the_ledger_query_finds_scheduled_messages() -> None:
    """The keys in the 3 a.m. query are those that the store writes."""
    (query,) = [block for block in blocks("sh") if "dynamodb query" in block]
    values = json.loads(re.findall(r"--expression-attribute-values '(.*)'", query)[0])
    assert values[":pk"]["S"] == Contact("acme-dental", "sms", "+12025550101").key
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        )
        client.put_item(TableName="t", Item={"pk": values[":pk"], "sk": {"S": "SCHEDULED#x"}})
        client.put_item(TableName="t", Item={"pk": values[":pk"], "sk": {"S": "CONTACT"}})
        condition = re.findall(r"--key-condition-expression '(.*?)'", query)[0]
        found = client.query(TableName="t", KeyConditionExpression=condition, ExpressionAttributeValues=values)
    assert [item["sk"]["S"] for item in found["Items"]] == ["SCHEDULED#x"]


def test_make_targets_that_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    documents = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z][a-z-]+)", documents)) - {"sure"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_folder_that_the_house_names_exists() -> None:
    package = ROOT / "layers" / "reengage" / "reengage"
    for path in re.findall(r"^  (\S+)  ", section("## The house").split("```")[1], re.MULTILINE):
        assert (package / path).exists(), path
    for path in re.findall(r"`((?:domain|usecases|adapters|wording)/[\w/.]*|\w+\.py)`", section("## The house")):
        assert (package / path).exists(), path


def test_no_version_number_contradicts_the_python_that_is_asked_for() -> None:
    assert (ROOT / ".python-version").read_text(encoding="utf-8").strip() in README


def blocks(language: str) -> Iterator[str]:
    return iter(re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL))
