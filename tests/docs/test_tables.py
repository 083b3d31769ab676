"""The documents' tables and examples, checked against the code and the template."""

import json
import re
from pathlib import Path
from typing import Any, Final

import boto3
import msgspec
import pytest
from msgspec import UnsetType

from reengage.adapters.inbound.event_types import EVENT_SCHEMAS, DeliveryReported, MessageReceived
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event
from reengage.cli.checks import CHECKS
from reengage.domain.contact import CHANNELS
from reengage.domain.instants import Duration
from reengage.domain.policy import RULES
from reengage.domain.reasons import REASONS, Reason
from reengage.domain.routes import PROVIDERS, parse_routes
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, EventEffect
from reengage.observability import (
    ALL_HELD_FOR_TIMEZONE,
    CONTACTS_UNKNOWN,
    FIELDS_MISSPELLED,
    LEFT,
    METRICS,
    NOT_PUBLISHED,
    OLDEST_DUE,
    PAUSED,
    RECEIPTS_BEYOND_RUNS,
    RETRIED,
    SIGNATURES_REFUSED,
    SMS_OVER_THREE_SEGMENTS,
    WEBHOOKS_REFUSED,
    WITHOUT_RECEIPT,
)
from tests.docs.documents import ROOT, document, names
from tests.template_resources import template

pytestmark = pytest.mark.docs

README: Final = document("README.md")
EVENTS: Final = document("events/README.md")
FUNCTIONS: Final = document("functions/README.md")
LAYERS: Final = document("layers/README.md")
CHANNEL_DOC: Final = document("layers/reengage/reengage/adapters/channels/README.md")


def test_events_in() -> None:
    documented = {
        event: (set(names(required)), set(names(optional)))
        for cell, required, optional in EVENTS.table("## Events in", "detail-type")
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


def test_checks_of_doctor_are_documented_in_their_order() -> None:
    assert [names(row[0])[0] for row in FUNCTIONS.table("## Doctor", "check")] == list(CHECKS)


def test_each_event_in_is_routed_to_one_function() -> None:
    """PlanMessages excludes exactly the events that the other functions receive."""
    documented = {event for row in EVENTS.table("## Events in", "detail-type") for event in names(row[0])}
    received: set[str] = set()
    left_to_others: set[str] = set()
    for resource in template()["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        for event in resource["Properties"].get("Events", {}).values():
            for detail_type in event["Properties"].get("Pattern", {}).get("detail-type", []):
                if isinstance(detail_type, str):
                    received.add(detail_type)
                else:
                    left_to_others |= set(detail_type["anything-but"])
    assert received == left_to_others
    assert documented == received | set(EVENT_SCHEMAS)


def test_events_out() -> None:
    """The table has every event that the code names, and no other. Each is counted except the request."""
    documented = {event for row in EVENTS.table("## Events out", "detail-type") for event in names(row[0])}
    assert documented == {*METRICS, "MessageSendRequested"}


def test_rules_are_in_the_order_of_the_policy() -> None:
    documented = [names(row[0])[0] for row in FUNCTIONS.table("## The rules", "rule")]
    assert documented == list(RULES)


def test_reasons() -> None:
    rows = {names(row[0])[0]: row for row in LAYERS.table("## Reasons", "reason")}
    assert list(rows) == list(REASONS)
    for name, (_, category, send_group, planned_by, due, _, cancelled_by) in rows.items():
        reason = REASONS[name]
        assert category == reason.category, name
        if category == "reply":
            assert (send_group, due, cancelled_by) == ("–", "at once", "–"), name
            continue
        assert send_group == reason.send_group, name
        if reason.correction:
            assert due == "at once", name
            continue
        assert {event for event in names(planned_by) if event in EVENT_TYPES} == _events(reason, ends=False), name
        assert set(names(cancelled_by)) == _events(reason, ends=True), name
        _check_due(due, reason)
        assert ("once a" in due or "once for" in due) == (reason.once or reason.audience == "interested"), name
        assert ("interest" in due, "open conversations" in due) == (
            reason.audience == "interested",
            reason.audience == "open_conversations",
        ), name


def _events(reason: Reason, *, ends: bool) -> set[str]:
    """Return the events that begin, change or undo the reason's subject."""
    tracks = {reason.track} | ({reason.also_cancelled_by} if ends else set())
    ending = {event for event, terms in EVENT_TYPES.items() if ends and terms.track == (reason.ended_by or None)}
    ending |= {"PurchaseMade"} if ends and reason.ended_by_purchase else set()
    events = {
        event
        for event, terms in EVENT_TYPES.items()
        if terms.kind == reason.kind and terms.track in tracks and (terms.rank is EventEffect.UNDO) == ends
    }
    other = {"title": "HolidayHoursAnnounced", "date": "ProductPreviewAnnounced"}.get(reason.required_field)
    return events | ending if ends else events - {other}


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
        for provider, channels, *_ in CHANNEL_DOC.table("## Feature matrix", "provider")
        for channel in names(channels) or sorted(CHANNELS)
    }
    assert documented == {(provider, channel) for provider, channels in PROVIDERS.items() for channel in channels}


def test_parameters() -> None:
    rows = FUNCTIONS.table("## Parameters", "parameter")
    documented = {names(name)[0]: "".join(names(default)) for name, default, _ in rows}
    assert documented == {name: str(terms["Default"]) for name, terms in template()["Parameters"].items()}


def test_outputs() -> None:
    documented = {names(row[0])[0] for row in FUNCTIONS.table("## Outputs", "output")}
    assert documented == set(template()["Outputs"])


def test_metrics() -> None:
    documented = {
        (names(name)[0], tuple(names(dimensions)), *names(counts)[:1])
        for name, dimensions, counts in FUNCTIONS.table("## Metrics, logs and traces", "metric")
    }
    counted = {(metric.name, metric.dimensions, event) for event, metric in METRICS.items()}
    assert documented == counted | {
        (NOT_PUBLISHED.name, ()),
        (LEFT.name, ()),
        (RECEIPTS_BEYOND_RUNS.name, ()),
        (RETRIED.name, ()),
        (OLDEST_DUE.name, ()),
        (ALL_HELD_FOR_TIMEZONE.name, ()),
        (PAUSED.name, ()),
        (WITHOUT_RECEIPT.name, ()),
        (FIELDS_MISSPELLED.name, ()),
        (CONTACTS_UNKNOWN.name, ()),
        (SIGNATURES_REFUSED.name, ()),
        (WEBHOOKS_REFUSED.name, WEBHOOKS_REFUSED.dimensions),
        (SMS_OVER_THREE_SEGMENTS.name, SMS_OVER_THREE_SEGMENTS.dimensions),
    }


def test_alarms_that_the_runbook_names() -> None:
    alarms = {name for name, resource in template()["Resources"].items() if resource["Type"].endswith("Alarm")}
    for name in re.findall(r"`(…?\w+Alarm)`", FUNCTIONS.text):
        assert any(alarm.endswith(name.removeprefix("…")) for alarm in alarms), name
    (composite,) = [name for name in alarms if template()["Resources"][name]["Type"].endswith("::CompositeAlarm")]
    assert f"for each of the {len(alarms) - 1} alarms, and $0.50 for `{composite}`" in FUNCTIONS.text


def test_each_alarm_has_a_paragraph_that_it_names() -> None:
    """The description of an alarm is what a person reads at night: it names the paragraph to read next."""
    headings = {line.removeprefix("### ") for line in FUNCTIONS.text.splitlines() if line.startswith("### ")}
    for name, resource in template()["Resources"].items():
        if not resource["Type"].endswith("Alarm"):
            continue
        link = re.search(r'Runbook: functions/README\.md, "([^"]+)"\.$', resource["Properties"]["AlarmDescription"])
        assert link, name
        assert link[1] in headings, name


def test_every_file_of_events_is_named_and_exists() -> None:
    documented = {
        (names(function)[0], case)
        for function, files in EVENTS.table("## Sample events", "function")
        for case in names(files)
    }
    assert documented == {(path.parent.name, path.name) for path in (ROOT / "events").glob("*/*.json")}
    for path in re.findall(r"--event (\S+)", EVENTS.text):
        assert (ROOT / path).is_file(), path


def test_summary_example_adds_up() -> None:
    (example,) = re.findall(r"`(\{\"due\".*\})`", EVENTS.text)
    summary = json.loads(example)
    due = summary.pop("due")
    assert due == sum(summary.pop("skipped").values()) + sum(summary.values())


def test_the_first_events_are_understood() -> None:
    entries = [
        entry
        for block in re.findall(r"put-events --entries '(\[.*?\])'", README.text, re.DOTALL)
        for entry in json.loads(block)
    ]
    assert [entry["DetailType"] for entry in entries] == ["MessageReceived", "AppointmentBooked"]
    message = inbound_message(envelope(entries[0]))
    booking = parse_business_event(envelope(entries[1]))
    assert isinstance(booking, BusinessEvent)
    assert message.contact == booking.contact
    assert booking.fields["timezone"] == "America/New_York"


def envelope(entry: dict[str, str]) -> dict[str, Any]:
    """Build the event that EventBridge makes of an entry."""
    return {
        "id": "0",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "time": "2026-11-22T12:00:00Z",
        "detail": json.loads(entry["Detail"]),
    }


def test_the_import_of_chats_puts_every_line_on_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the snippet unchanged, over a bus that accepts only some entries at a time."""
    (snippet,) = [block for block in FUNCTIONS.blocks("python") if "chats.jsonl" in block]
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
    exec(compile(snippet, FUNCTIONS.path, "exec"), {})  # noqa: S102 - our own document
    assert sorted(taken) == sorted(lines)


@pytest.mark.parametrize("wrapper", [None, "requestPayload", "event"])
def test_an_event_put_on_the_bus_again_keeps_its_own_time(wrapper: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A booking from the dead-letter queue was put on the bus again as a new one, and undid the cancel after it."""
    (snippet,) = [block for block in EVENTS.blocks("python") if "def put_again" in block]
    event = json.loads((ROOT / "events/plan_messages/appointment_booked.json").read_text(encoding="utf-8"))
    put: list[dict[str, Any]] = []

    class Events:
        def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
            put.extend(Entries)
            return {"Entries": [{"EventId": "1"}]}

    monkeypatch.setattr(boto3, "client", lambda _service: Events())
    names: dict[str, Any] = {}
    exec(compile(snippet, EVENTS.path, "exec"), names)  # noqa: S102 - our own document
    names["put_again"](json.dumps({wrapper: event} if wrapper else event))
    (entry,) = put
    assert entry["Time"] == event["time"]
    assert parse_business_event({**envelope(entry), "time": entry["Time"]}) == parse_business_event(event)


def test_every_path_of_the_layout_exists() -> None:
    package = ROOT / "layers" / "reengage" / "reengage"
    for path in re.findall(r"^  (\S+)  ", LAYERS.section("## Layout").split("```")[1], re.MULTILINE):
        assert (package / path).exists(), path


def test_every_module_of_the_package_is_in_the_layout() -> None:
    package = ROOT / "layers" / "reengage" / "reengage"
    named = set(re.findall(r"^  (\w+)", LAYERS.section("## Layout").split("```")[1], re.MULTILINE))
    there = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "errors"} <= named


def test_alarms_table_covers_every_alarm() -> None:
    alarms = {name for name, resource in template()["Resources"].items() if resource["Type"].endswith("Alarm")}
    documented = [names(row[0])[0].removeprefix("…") for row in FUNCTIONS.table("## Alarms", "alarm")]
    assert {alarm for alarm in alarms if not any(alarm.endswith(name) for name in documented)} == set()


def test_functions_table_lists_every_function() -> None:
    documented = [names(row[0])[0] for row in FUNCTIONS.table("## Functions", "function")]
    functions = {
        name for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
    }
    assert sorted(documented) == sorted(functions)


def test_reasons_of_the_readme_agree_with_the_full_table() -> None:
    full = {row[0]: row for row in LAYERS.table("## Reasons", "reason")}
    short = {row[0]: row for row in README.table("## Reasons", "reason")}
    assert list(short) == list(full)
    for name, (_, category, planned_by, due) in short.items():
        assert category == full[name][1], name
        assert set(names(planned_by)) == set(names(full[name][3])), name
        assert ("at once" in due) == ("at once" in full[name][4]), name


def test_providers_of_the_readme_and_their_sections() -> None:
    linked = re.findall(r"channels/README\.md#(\w+)\)", README.section("## Providers"))
    assert sorted(linked) == sorted(PROVIDERS)
    for provider in PROVIDERS:
        points = [row[0] for row in CHANNEL_DOC.table(f"## {provider}", "point")]
        assert points[:2] == ["channels", "identity"], provider
        assert {"keys", "set up", "example"} <= {point.partition(",")[0] for point in points}, provider


def test_routes_of_the_documents_are_valid() -> None:
    (example,) = CHANNEL_DOC.blocks("")
    assert len(parse_routes(example.strip()).routes) == 2
    cells = [row[1] for row in CHANNEL_DOC.table("### Further names", "case")]
    points = [row for provider in PROVIDERS for row in CHANNEL_DOC.table(f"## {provider}", "point")]
    cells += [row[1] for row in points if row[0] == "example"]
    routes = [name.replace("\\|", "|") for cell in cells for name in names(cell)]
    assert len(routes) == 7
    for route in routes:
        parse_routes(route)


def test_window_closing_table_lists_reasons_pulled_forward() -> None:
    rows = FUNCTIONS.table("## When the window closes first", "reason")
    documented = {name for row in rows for name in names(row[0])}
    assert documented == {name for name, reason in REASONS.items() if reason.earliest_offset is not None}


def test_text_of_the_wording_document_is_the_english_one() -> None:
    folder = ROOT / "layers" / "reengage" / "reengage" / "wording"
    (example,) = document("layers/reengage/reengage/wording/README.md").blocks("")
    assert example in (folder / "en.ftl").read_text(encoding="utf-8")
