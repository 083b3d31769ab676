"""The commands of the program ``reengage``: output, errors and exit codes."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import pytest

from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event
from reengage.adapters.inbound.questions import AboutSubject, AboutTexts, question
from reengage.adapters.wording_samples import SAMPLE_FIELDS
from reengage.cli import envelope
from reengage.cli import stack as stacks
from reengage.cli.main import main
from reengage.domain.brand import STACK
from reengage.domain.commands import LinkContact, PauseSending, ResumeSending
from reengage.domain.contact import Contact
from reengage.domain.pause import stored_pauses
from reengage.domain.reasons import REASONS
from reengage.domain.subject import SubjectRef
from reengage.errors import InvalidEvent
from reengage.usecases.explain import explain, explain_subject
from reengage.usecases.pause_sending import pause_sending
from tests.fakes import ANNA as FAKE_ANNA
from tests.fakes import NOON, World, business, inbound

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
ANNA = {"brand": "acme-dental", "channel": "sms", "address": "+12025550101"}

Answer = Callable[[str, Any], Any]


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """A deployed stack that records its invocations."""
    questions: list[tuple[str, Any]] = []

    def invoke(output: str, event: Any) -> Any:
        questions.append((output, event))
        return ANSWERS[output](event)

    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
    parameters = {"Routes": "acme-dental/sms/aws/+12025550100"}
    monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, {"TableName": "table"}, parameters))
    monkeypatch.setattr(boto3, "client", lambda _service: BrandTable())
    return questions


class BrandTable:
    """A table with the configuration of one brand, a contact of another one, and pauses of two misspelt ones."""

    def get_item(self, **request: Any) -> Any:
        return {"Item": item} if (item := self.items().get(request["Key"]["pk"]["S"])) else {}

    def items(self) -> dict[str, Any]:
        paused, named = ({"versions": {"S": json.dumps(versions)}} for versions in ({"pauses": 1}, {"name": 1}))
        keys = {"BRAND#acme": named, "BRAND#": paused, "CONTACT#Smile.Clinic#sms#+12025550101": {}}
        keys |= {"BRAND#acme-dentla": paused, "BRAND#zebra": paused}
        return {key: {"pk": {"S": key}} | item for key, item in keys.items()}

    def get_paginator(self, _name: str) -> "BrandTable":
        return self

    def paginate(self, **_: Any) -> Any:
        return [{"Items": list(self.items().values())}]


def _explained(event: Any) -> Any:
    return EXPORT if event.get("export") else LEDGER if "contact" in event else {"planned": [], "withdrawn": []}


def _stored(event: Any) -> Any:
    number = int(event["id"].split(":")[1])
    return {"rejected": ["$.detail: no"]} if number == 4 else {"changed": number % 2 == 0}


ANSWERS: dict[str, Callable[[Any], Any]] = {"ExplainFunctionArn": _explained, "PlanMessagesFunctionArn": _stored}
EXPORT = {"contact": ANNA, "inbound": [{"text": "Grüße"}]}
LEDGER: dict[str, Any] = {
    "contact": ANNA,
    "asked_at": "2026-11-22T03:00:00Z",
    "stands": {
        "window": "open",
        "window_expires_at": "2026-12-20T09:30:00Z",
        "opted_out": True,
        "marketing_consent": None,
        "timezone": None,
        "locale": "en",
        "subjects": {"appointment a-17": {"appointment": "active"}},
    },
    "times": {"appointment a-17": {"starts_at": "2026-11-23T10:00:00+01:00", "timezone": "Europe/Berlin"}},
    "entries": [
        {"at": "2026-11-20T09:30:00Z", "what": "wrote", "message_id": "SM-1"},
        {
            "at": "2026-11-20T09:30:00Z",
            "what": "unclear answer",
            "message_id": "SM-1",
            "given": "confirmed",
            "why": "moved",
            "candidates": [
                {"subject_id": "a", "scheduled_message_id": "m-1"},
                {"subject_id": "b", "scheduled_message_id": "m-2"},
            ],
        },
        {
            "at": "2026-11-22T02:00:00Z",
            "what": "skipped",
            "reason": "appointment_reminder",
            "subject_id": "a-17",
            "step": "P1D",
            "scheduled_message_id": "m-1",
            "rule": "opted_out",
            "facts": {"word": "stop"},
        },
    ],
}


def test_explain_prints_the_state_and_the_ledger(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--stack", "reengage", "acme-dental/sms/+12025550101"]) == 0
    assert invoked == [("ExplainFunctionArn", {"contact": ANNA})]
    assert capsys.readouterr().out.splitlines() == [
        "acme-dental/sms/+12025550101 at 2026-11-22T03:00:00Z",
        "  window open until 2026-12-20T09:30:00Z; opted out: yes; marketing: not recorded",
        "  reported by the contact: time zone -, language en",
        "  appointment a-17: appointment active, starts_at 2026-11-23T10:00:00+01:00, timezone Europe/Berlin",
        "2026-11-20T09:30:00Z         wrote: message_id SM-1",
        "2026-11-20T09:30:00Z         unclear answer: message_id SM-1, given confirmed, why moved, candidates a and b",
        "2026-11-22T02:00:00Z         skipped appointment_reminder a-17 P1D: rule opted_out, word stop",
    ]


def test_explain_without_data_names_the_next_step(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEDGER, "entries", [])
    monkeypatch.setitem(LEDGER["stands"], "subjects", {})
    assert main(["explain", "--stack", "reengage", "acme-dental/sms/+12025550101"]) == 0
    assert len(invoked) == 1
    assert "No data for this contact" in capsys.readouterr().out


def test_explain_of_who_only_cancelled_denies_no_data(
    invoked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The appointment that the cancellation named was shown, and below it that there is no data."""
    monkeypatch.setitem(ANSWERS, "ExplainFunctionArn", lambda _: {**LEDGER, "entries": []})
    assert main(["explain", "acme-dental/sms/+12025550101"]) == 0
    out = capsys.readouterr().out
    assert "appointment a-17: appointment active" in out
    assert "No data" not in out
    assert len(invoked) == 1


@pytest.mark.parametrize(
    ("state", "waiting", "is_shown"), [("done", 2, True), ("done", 0, False), ("running", 2, False)]
)
def test_progress_shows_that_messages_of_a_done_broadcast_wait(
    state: str,
    waiting: int,
    *,
    is_shown: bool,
    invoked: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An announcement of the evening was "done", and half of the people had it only in the morning."""
    broadcast = {"reason": "holiday_hours", "state": state, "planned": 4, "sent": 4 - waiting, "waiting": waiting}
    monkeypatch.setitem(ANSWERS, "ExplainFunctionArn", lambda _: {"broadcasts": [broadcast]})
    assert main(["progress", "acme-dental", "--announcement", "h-1"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"holiday_hours {state}: planned 4, sent {4 - waiting}, waiting {waiting}"
    assert [line[:14] for line in others] == (["  2 still wait"] if is_shown else [])
    assert len(invoked) == 1


def test_export_is_json(invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--stack", "reengage", "acme-dental/sms/+12025550101"]) == 0
    assert invoked == [("ExplainFunctionArn", {"contact": ANNA, "export": True})]
    assert json.loads(capsys.readouterr().out) == EXPORT


@pytest.mark.parametrize("contact", ["acme-dental", "acme-dental/sms", "acme-dental/fax/1", "acme-dental/sms/12", ""])
def test_explain_rejects_a_malformed_contact(
    contact: str, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--stack", "reengage", contact]) == 2
    assert invoked == []
    error = capsys.readouterr().err
    assert "brand/channel/address" in error
    assert "acme-dental/sms/+12025550101" in error


def test_preview_without_a_stack_forecasts_send(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", str(EVENTS / "plan_messages/appointment_booked.json")]) == 0
    assert invoked == []
    captured = capsys.readouterr()
    assert "just wrote" in captured.err
    assert [planned["forecast"] for planned in json.loads(captured.out)["planned"]] == ["send"] * 2


def test_preview_with_a_stack_invokes_its_function(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    file = EVENTS / "plan_messages/appointment_booked.json"
    assert main(["preview", "--stack", "reengage", str(file)]) == 0
    ((_, event),) = invoked
    assert event["preview"]["detail-type"] == "AppointmentBooked"
    assert event["preview"]["time"] <= datetime.now(UTC).isoformat()
    assert json.loads(capsys.readouterr().out) == {"planned": [], "withdrawn": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"detail-type": "ContactErased"}', "$.detail: "),
        ("[]", "event.json: expected a JSON object"),
        ("{", "event.json: expected JSON: Expecting property name"),
    ],
)
def test_preview_rejects_an_invalid_file(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "event.json"
    file.write_text(text, encoding="utf-8")
    assert main(["preview", str(file)]) == 2
    assert message in capsys.readouterr().err


CSV = """brand,channel,address,opted_out_at,cause
acme-dental,sms,+12025550101,2026-01-31T10:00:00-05:00,at the front desk
acme-dental,sms,+12025550102,,
acme-dental,sms,+12025550103
acme-dental,sms,nobody,yesterday,
"""


def test_import_dry_run_stores_nothing(
    invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text("\ufeff" + CSV, encoding="utf-8")  # as a spreadsheet saves it
    assert main(["import-opt-outs", "--stack", "reengage", str(file)]) == 1
    assert invoked == []
    assert capsys.readouterr().out.splitlines() == [
        "line 2: would be stored",
        "line 3: would be stored",
        "line 4: would be stored",
        (
            "line 5: $.detail.contact.address: expected a phone number in E.164 form, such as +4915112345678; "
            "opted_out_at: expected an ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00"
        ),
        "brand acme-dental: 3",
        "A dry run: 3 would be stored, 1 are wrong. Nothing was stored; --apply stores them.",
    ]


def test_import_stores_valid_lines_and_reports_each(
    invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text(CSV, encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 1
    details = {event["id"]: event["detail"] for _, event in invoked}
    assert details["opt-outs.csv:2"] == {
        "contact": ANNA,
        "cause": "at the front desk",
        "occurred_at": "2026-01-31T10:00:00-05:00",
    }
    assert details["opt-outs.csv:3"]["cause"] == "imported from opt-outs.csv, line 3"
    assert {output for output, _ in invoked} == {"PlanMessagesFunctionArn"}
    assert {event["detail-type"] for _, event in invoked} == {"ContactOptedOut"}
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("line 5")] == [
        "line 2: opted out",
        "line 3: had opted out already, or opted in since",
        "line 4: $.detail: no",
        "brand acme-dental: 3",
        "2 are stored, 2 are wrong.",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            'acme,sms,+12025550101,"please stop\nacme,sms,+12025550102,\nacme,sms,+12025550103,"\n',
            "up to line 4: a quote",
        ),
        ('acme,sms,"+12025550101,\nacme,sms,+12025550102,\n', "after line 1: unexpected end"),
        ("acme,sms,+12025550101,wrote us, twice\n", "up to line 2: a quote too many, or a comma"),
        ("acme,sms,+12025550101," + "x" * 200_000 + "\n", "after line 1: field larger"),
    ],
    ids=["a quote over three people", "a quote to the end", "a comma", "a book"],
)
def test_import_rejects_a_file_with_an_open_quote(
    rows: str, message: str, invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One open quotation mark included the next lines, and the dry run reported one line."""
    file = tmp_path / "opt-outs.csv"
    file.write_text("brand,channel,address,cause\n" + rows, encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 2
    assert message in capsys.readouterr().err
    assert invoked == []


@pytest.mark.parametrize(
    ("head", "encoding", "message"),
    [
        ("brand;channel;address", "utf-8", "expected a first line with the columns brand, channel, address"),
        ("number,name", "utf-8", "expected a first line with the columns brand, channel, address"),
        ("brand,channel,address", "utf-16", "expected UTF-8"),
        ("", "utf-8", "expected a first line"),
    ],
)
def test_import_rejects_a_file_of_another_kind(
    head: str, encoding: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text(f"{head}\nacme,sms,+12025550101\n", encoding=encoding)
    assert main(["import-opt-outs", str(file)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_import_goes_on_after_a_failed_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def invoke(_output: str, event: Any) -> Any:
        if event["id"].endswith(":3"):
            raise stacks.StackError("throttled")
        return {"changed": True}

    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
    parameters = {"Routes": "acme-dental/sms/aws/+12025550100"}
    monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, {}, parameters))
    file = tmp_path / "opt-outs.csv"
    file.write_text("\n".join(CSV.splitlines()[:4]), encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "line 2: opted out",
        "line 3: not stored, try again: throttled",
        "line 4: opted out",
        "brand acme-dental: 3",
        "2 are stored, 1 are wrong.",
    ]


def test_explain_escapes_text_from_outside(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = {"at": "2026-11-20T09:30:00Z", "what": "wrote", "message_id": "1\n2026-11-20  sent\x1b[2J"}
    monkeypatch.setitem(LEDGER, "entries", [forged])
    assert main(["explain", "--stack", "reengage", "acme-dental/sms/+12025550101"]) == 0
    assert len(invoked) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(r"wrote: message_id 1\n2026-11-20  sent\x1b[2J")


def test_import_reads_json_lines(
    invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "opt-outs.jsonl"
    lines = [json.dumps(ANNA), "", json.dumps({"contact": ANNA, "cause": {"list": 7}}), "[]", "{"]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 1
    assert [event["detail"]["contact"] for _, event in invoked] == [ANNA, ANNA]
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if not line.startswith(("line 1", "line 3"))]
    assert lines[0].startswith("line 4: expected a JSON object with brand, channel, address: []")
    assert lines[1].startswith("line 5: expected a JSON object with brand, channel, address: Expecting")


def test_import_without_errors_exits_zero(invoked: list[tuple[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "opt-outs.jsonl"
    file.write_text(json.dumps(ANNA), encoding="utf-8")
    assert main(["import-opt-outs", str(file)]) == 0
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 0
    assert len(invoked) == 1


def test_import_needs_a_stack_to_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text(CSV, encoding="utf-8")
    assert main(["import-opt-outs", "--apply", str(file)]) == 2
    assert main(["import-opt-outs", str(tmp_path / "another.csv")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "--apply needs --stack NAME: the stack that stores the opt-outs"
    assert second.endswith("another.csv: no such file")


class Aws:
    """CloudFormation and Lambda, as far as these tests call them."""

    def __init__(self, outputs: dict[str, str], answer: Any, *, fails: bool = False) -> None:
        self.outputs, self.answer, self.fails = outputs, answer, fails
        self.clock: datetime | None = None

    def client(self, _service: str) -> "Aws":
        return self

    def describe_stacks(self, **_name: str) -> Any:
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        headers = {"date": format_datetime(self.clock)} if self.clock else {}
        return {"Stacks": [{"Outputs": outputs}], "ResponseMetadata": {"HTTPHeaders": headers}}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - AWS's names
        assert FunctionName == self.outputs["ExplainFunctionArn"]
        assert json.loads(Payload) == {"contact": ANNA}
        payload = io.BytesIO(json.dumps(self.answer).encode())
        return {"Payload": payload, **({"FunctionError": "Unhandled"} if self.fails else {})}


@pytest.mark.parametrize(
    ("aws", "code", "message"),
    [
        (Aws({"ExplainFunctionArn": "arn"}, LEDGER), 0, ""),
        (Aws({"ExplainFunctionArn": "arn"}, {"errorType": "Contended"}, fails=True), 1, "Contended"),
        (Aws({"ExplainFunctionArn": "arn"}, {"rejected": ["$.contact: no"]}), 2, "$.contact: no"),
        (Aws({}, LEDGER), 1, "has no output ExplainFunctionArn"),
    ],
)
def test_stack_functions_are_found_by_output(
    aws: Aws, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3, "client", aws.client)
    assert main(["explain", "--stack", "reengage", "acme-dental/sms/+12025550101"]) == code
    assert message in capsys.readouterr().err


PINPOINT = """Id,ChannelType,Address,OptOut,User.UserId,Demographic.Timezone,Location.Country
1,SMS,+12025550101,ALL,u-1,America/New_York,USA
2,SMS,+12025550102,NONE,u-2,Atlantis,USA
3,EMAIL,anna@example.com,ALL,u-1,,
4,VOICE,+12025550103,NONE,u-1,,USA
"""


def test_imports_opt_outs_of_a_pinpoint_export(
    invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "endpoints.csv"
    file.write_text(PINPOINT, encoding="utf-8")
    assert main(["import-opt-outs", "--brand", "acme-dental", "--link-users", str(file)]) == 0
    assert invoked == []
    assert capsys.readouterr().out.splitlines() == [
        "line 2: would be stored",
        "line 3: has not opted out",
        "line 4: EMAIL has no counterpart here",
        "line 5: has not opted out",
        "brand acme-dental: 1",
        "brand acme-dental: 3 addresses with a user id, 1 to link; 1 with a time zone, 1 with an unknown one",
        "1 addresses would be linked.",
        "A dry run: 1 would be stored, 0 are wrong. Nothing was stored; --apply stores them.",
    ]


def test_links_the_addresses_of_one_pinpoint_user(
    invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON lines nest the user; the addresses are linked only if the business links them as one person."""
    endpoints = [
        {"ChannelType": "SMS", "Address": f"+1202555010{n}", "OptOut": out, "User": {"UserId": "u-1"}, "Location": {}}
        for n, out in enumerate(("ALL", "NONE", "NONE"))
    ]
    file = tmp_path / "endpoints.jsonl"
    file.write_text("\n".join(map(json.dumps, endpoints)), encoding="utf-8")
    arguments = ["import-opt-outs", "--brand", "acme-dental", "--stack", "reengage", "--apply", str(file)]
    assert main(arguments) == 0
    assert [event["detail-type"] for _, event in invoked] == ["ContactOptedOut"]
    invoked.clear()
    assert main([*arguments, "--link-users"]) == 0
    linked = [event for _, event in invoked if event["detail-type"] == "ContactLinked"]
    assert [event["detail"]["same_as"]["address"] for event in linked] == ["+12025550101", "+12025550102"]
    assert all(isinstance(parse_business_event(event), LinkContact) for event in linked)
    assert "2 addresses are linked." in capsys.readouterr().out


class Bus(Aws):
    """A stack with a bus that records the entries it takes."""

    def __init__(self, failed: int = 0) -> None:
        super().__init__({"EventBusName": "bus"}, None)
        self.entries: list[Any] = []
        self.failed = failed

    def put_events(self, *, Entries: list[Any]) -> Any:  # noqa: N803 - AWS's names
        self.entries += Entries
        return {"FailedEntryCount": self.failed, "Entries": [{"ErrorCode": "Throttled"}] * self.failed}


def test_pause_and_resume_are_events_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus()
    monkeypatch.setattr(boto3, "client", bus.client)
    assert main(["pause", "--why", "wrong text", "--scope", "marketing", "--until", "2026-12-01T08:00:00Z"]) == 0
    assert main(["resume", "--brand", "acme", "--scope", "cart_reminder"]) == 0
    paused, resumed = ((entry["DetailType"], json.loads(entry["Detail"])) for entry in bus.entries)
    assert paused[0] == "SendingPaused"
    assert paused[1]["scope"] == "marketing"
    assert paused[1]["why"].startswith("wrong text (by ")
    assert paused[1]["until"] == "2026-12-01T08:00:00+00:00"
    assert resumed[0] == "SendingResumed"
    assert {**resumed[1], "occurred_at": ""} == {"brand": "acme", "scope": "cart_reminder", "occurred_at": ""}


def test_a_pause_is_dated_by_the_clock_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this machine is an hour behind; another operator's is not."""
    bus = Bus()
    bus.clock = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(boto3, "client", bus.client)
    assert main(["pause"]) == 0
    occurred_at = datetime.fromisoformat(json.loads(bus.entries[0]["Detail"])["occurred_at"])
    assert abs(occurred_at - bus.clock) < timedelta(minutes=1)


def test_a_resume_ends_a_pause_of_the_same_second(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus()
    monkeypatch.setattr(boto3, "client", bus.client)
    assert main(["pause"]) == main(["resume"]) == 0
    sent_at = datetime.now(UTC).replace(microsecond=0).isoformat()  # of both, as the bus would say
    world = World()
    for entry in bus.entries:
        event = {"detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"]), "time": sent_at, "id": "e"}
        command = parse_business_event({**event, "source": entry["Source"]})
        assert isinstance(command, PauseSending | ResumeSending)
        assert pause_sending(command, store=world.store, publish=world.bus)
    stored = world.store.read_brand(STACK)
    assert stored is not None
    assert stored_pauses(stored.pauses) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["pause", "--scope", "everything"], 'unknown --scope "everything"; use all, marketing, appointment_reminder'),
        (["pause", "--until", "tomorrow"], '--until "tomorrow": expected an ISO 8601 instant'),
    ],
)
def test_pause_rejects_an_unknown_scope_or_instant(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert error in capsys.readouterr().err


def test_pause_rejects_an_end_in_the_past(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command printed "Paused", and the app rejected the event."""
    bus = Bus()
    monkeypatch.setattr(boto3, "client", bus.client)
    assert main(["pause", "--until", "2020-01-01T08:00:00Z"]) == 2
    assert bus.entries == []
    assert "expected an instant in the future" in capsys.readouterr().err


@pytest.fixture
def misspelt(monkeypatch: pytest.MonkeyPatch) -> str:
    """A stack that knows only acme-dental."""
    stack = stacks.Stack("reengage", {"TableName": "table", "EventBusName": "bus"}, {})
    monkeypatch.setattr(stacks, "describe", lambda _name: stack)
    monkeypatch.setattr("reengage.cli.brands.known_brands", lambda _stack, _wanted: {"acme-dental"})
    monkeypatch.setattr(stacks, "put_events", lambda _stack, _envelopes: None)
    return "no brand acme-dentl is known; did you mean acme-dental?"


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_pause_of_an_unknown_brand_is_a_finding(
    command: str, misspelt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It printed "Paused: acme-dentl", and acme-dental sent on."""
    assert main([command, "--brand", "acme-dentl"]) == 1
    assert misspelt in capsys.readouterr().err
    assert main([command, "--brand", "acme-dental"]) == 0


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_pause_waits_for_no_search_of_the_table(command: str, misspelt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command looked through up to 200 MB for the brand, and sending went on meanwhile."""
    done: list[str] = []

    def known_brands(_stack: Any, _wanted: Any) -> set[str]:
        done.append("brands")
        return set()

    def pauses(_inspection: Any, brands: Any = None) -> list[Any]:
        done.append("one" if brands else "all")
        return []

    monkeypatch.setattr(stacks, "put_events", lambda _stack, _envelopes: done.append("put"))
    monkeypatch.setattr("reengage.cli.brands.known_brands", known_brands)
    monkeypatch.setattr("reengage.cli.pause.Inspection.of", lambda _stack: None)
    monkeypatch.setattr("reengage.cli.pause._pauses", pauses)
    assert main([command, "--brand", "acme-dentl"]) == 1
    assert done == {"pause": ["put", "brands"], "resume": ["one", "put", "brands", "all"]}[command]
    assert misspelt


def test_a_pause_alone_makes_no_brand_known(
    invoked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After "Paused: acme-dentla" every command took the misspelling for a brand of the stack."""
    puts: list[Any] = []
    monkeypatch.setattr(stacks, "put_events", lambda _stack, envelopes: puts.extend(envelopes))
    assert main(["pause", "--brand", "acme-dentla"]) == 1
    assert "no brand acme-dentla is known; did you mean acme-dental?" in capsys.readouterr().err
    assert main(["pause", "--brand", "acme"]) == 0
    assert [envelope["detail"]["brand"] for envelope in puts] == ["acme-dentla", "acme"]
    assert invoked == []


def test_a_resume_that_ends_a_misspelt_pause_has_an_effect(
    misspelt: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reengage.cli.pause.Inspection.of", lambda _stack: None)
    monkeypatch.setattr("reengage.cli.pause._pauses", lambda _inspection, _brands=(): [("acme-dentl", "all")])
    assert main(["resume", "--brand", "acme-dentl"]) == 0
    assert misspelt not in capsys.readouterr().err


def test_resume_names_what_is_still_paused(
    misspelt: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It printed "Resumed", and the pause of another scope went on."""
    pauses = [("", "marketing"), ("acme-dental", "all")]
    monkeypatch.setattr("reengage.cli.pause.Inspection.of", lambda _stack: None)
    monkeypatch.setattr("reengage.cli.pause._pauses", lambda _inspection, _brands=(): pauses)
    assert main(["resume", "--brand", "acme-dental"]) == 0
    assert capsys.readouterr().err == "Still paused: the whole stack, marketing.\n"
    assert main(["resume", "--scope", "cart_reminder"]) == 0
    assert capsys.readouterr().err.endswith("Still paused: acme-dental, all.\nNo such pause was stored.\n")
    assert misspelt


def test_commands_name_the_brand_that_may_be_meant(
    misspelt: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty day, an empty export and a test that no one got looked like a right answer."""
    answers = {
        "day": {"brand": "acme-dentl", "date": "2026-12-04", "zone": "UTC", "entries": []},
        "export": {"contact": ANNA, "profile": None},
        "send-test": {"state": "sent", "provider": "eventbridge"},
        "progress": {"broadcasts": []},
    }
    calls = {
        "day": ["--brand", "acme-dentl"],
        "export": ["acme-dentl/sms/+12025550101"],
        "send-test": ["--to", "+12025550101", "--brand", "acme-dentl", "--yes"],
        "progress": ["acme-dentl", "--item", "i-1"],
    }
    for name, arguments in calls.items():
        monkeypatch.setattr(stacks, "stack_functions", lambda _, name=name: lambda *_: answers[name])
        assert main([name, *arguments]) == 1
        assert misspelt in capsys.readouterr().err


def test_pause_fails_if_the_bus_does_not_take_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3, "client", Bus(failed=1).client)
    assert main(["pause"]) == 1
    assert "did not take 1 events" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(envelope.EVENT_TYPES))
def test_send_builds_a_valid_event_of_each_type(name: str) -> None:
    contact = {} if name in {"BrandConfigured", "SendingPaused", "SendingResumed"} else ANNA
    given = ['evidence={"when": "2026-11-01T09:00:00Z"}', 'same_as={"channel": "whatsapp", "address": "+12025550101"}']
    given += ['to={"channel": "sms", "address": "+12025550102"}', "closed=true"]
    fields = [field for field in given if field.partition("=")[0] in envelope.EVENT_TYPES[name].__struct_fields__]
    brand = "" if name in {"SendingPaused", "SendingResumed"} else "acme-dental"
    built = envelope.build(name, contact=contact, brand=brand, fields=fields, ahead="2d", now=NOW)
    check = inbound_message if name == "MessageReceived" else parse_business_event
    check(built)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["send", "AppointmentBoked"], 'unknown event "AppointmentBoked"; did you mean AppointmentBooked?'),
        (["send", "Nonsense"], 'unknown event "Nonsense"; use one of AgentReplied'),
        (
            ["send", "AppointmentBooked", "--contact", "acme/sms/+12025550101", "--in", "soon"],
            '--in "soon": expected 2d',
        ),
        (["send", "AppointmentBooked", "--contact", "anna"], "CONTACT must look like brand/channel/address"),
        (["send", "TrialStarted", "--brand", "acme", "--set", "timezon=UTC"], "did you mean timezone?"),
        (["send", "nothing.json"], "nothing.json: no such file"),
        (
            ["send", "AppointmentBooked", "--brand", "acme", "--set", "location"],
            '--set "location": expected name=value',
        ),
    ],
)
def test_send_shows_what_to_type(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert error.partition("; use one of AgentReplied")[0] in capsys.readouterr().err


def test_send_dry_run_shows_the_plan_and_sends_nothing(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", "AppointmentBooked", "--contact", "acme-dental/sms/+12025550101", "--dry-run"]) == 0
    assert [output for output, _ in invoked] == ["ExplainFunctionArn"]
    assert capsys.readouterr().out.endswith("plans nothing\n")


def test_texts_prints_each_reason_in_each_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texts", "--name", "Acme Dental", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["reason"], row["locale"]) for row in rows} == set(product(REASONS, ("de", "en", "es", "fr", "vi")))
    assert all(row["characters"] == len(row["text"]) for row in rows)
    assert all(1 <= row["sms_segments"] <= 5 for row in rows)
    assert all("Acme Dental" in row["text"] for row in rows if row["reason"] == "appointment_reminder")


def test_texts_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texts", "--locale", "en", "--reason", "order_shipped"]) == 0
    assert "order_shipped" in capsys.readouterr().out
    assert main(["texts", "--locale", "ja"]) == 2
    assert 'unknown "ja"; locales: de, en, es, fr, vi' in capsys.readouterr().err


def test_texts_of_a_stack_are_asked_of_its_function(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"reason": "cart_reminder", "locale": "nl", "text": "<b>Acme</b>", "characters": 11, "sms_segments": 1}
    answer = {"texts": [{**row, "is_own": True}], "own_texts_since": "2026-12-01T09:00:00Z"}
    asked: list[Any] = []

    def ask(*query: Any) -> Any:
        asked.append(query)
        return answer

    monkeypatch.setattr("reengage.cli.stack.stack_functions", lambda _: ask)
    assert main(["texts", "--brand", "acme", "--stack", "prod", "--locale", "nl"]) == 0
    assert asked == [
        ("ExplainFunctionArn", {"texts": {"brand": "acme", "channel": "sms", "reasons": [], "locales": ["nl"]}})
    ]
    out = capsys.readouterr().out
    assert "cart_reminder *" in out
    assert "2026-12-01T09:00:00Z" in out
    page = tmp_path / "texts.html"
    assert main(["texts", "--brand", "acme", "--stack", "prod", "--report", str(page)]) == 0
    assert '<td lang="nl" dir="auto">&lt;b&gt;Acme&lt;/b&gt;</td>' in page.read_text(encoding="utf-8")


SENT_TO = {"brand": "acme-dental", "channel": "sms", "address": "+12025550101"}


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A stack in which an event shows after the second look; the list has what was put on the bus."""
    put: list[Any] = []
    looks: list[Any] = []

    def invoke(_output: str, event: Any) -> Any:
        if "preview" in event:
            return {"planned": [{"reason": "appointment_reminder", "due_at": "soon", "forecast": "send"}]}
        looks.append(event)
        subjects: dict[str, Any] = {"appointment a-17": {}} if put and len(looks) > 2 else {}
        return {"contact": SENT_TO, "asked_at": str(len(looks)), "stands": {"subjects": subjects}, "entries": []}

    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
    monkeypatch.setattr(stacks, "put_events", lambda _stack, envelopes: put.extend(envelopes))
    monkeypatch.setattr("reengage.cli.send.POLL_SECONDS", 0)
    return put


ARGUMENTS = ["send", "AppointmentBooked", "--contact", "acme-dental/sms/+12025550101", "--set", "appointment_id=a-17"]


def test_send_waits_until_the_event_shows(sending: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Data from before the event is no outcome; programs read one JSON object."""
    assert main([*ARGUMENTS, "--yes", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["event"]["detail"]["appointment_id"] == "a-17"
    assert result["preview"]["planned"][0]["reason"] == "appointment_reminder"
    assert result["outcome"]["stands"]["subjects"] == {"appointment a-17": {}}
    assert [envelope["detail-type"] for envelope in sending] == ["AppointmentBooked"]


def test_send_waits_for_all_effects_of_the_event(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It showed the subject without its messages, as if nothing were planned."""
    looks: list[Any] = []

    def invoke(_output: str, event: Any) -> Any:
        if "preview" in event:
            return {"planned": []}
        looks.append(event)
        entries = [{"at": "2026-11-27", "what": "planned"}] if len(looks) > 2 else []
        subjects: dict[str, Any] = {"appointment a-17": {}} if len(looks) > 1 else {}
        return {"contact": SENT_TO, "asked_at": "", "stands": {"subjects": subjects}, "entries": entries}

    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
    monkeypatch.setattr(stacks, "put_events", lambda *_: None)
    monkeypatch.setattr("reengage.cli.send.POLL_SECONDS", 0)
    assert main([*ARGUMENTS, "--yes", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["outcome"]["entries"]) == 1


def test_send_shows_the_text_of_an_announcement(
    sending: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It printed "plans nothing" for a message to every open conversation."""
    broadcast = {"reason": "holiday_hours", "due_at": "2026-12-20T09:00:00Z", "text": "We are closed."}
    answer = {"planned": [], "broadcasts": [broadcast]}
    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: lambda *_: answer)
    event = ["send", "HolidayHoursAnnounced", "--brand", "acme", "--set", "closed=true", "--dry-run"]
    assert main(event) == 0
    printed = capsys.readouterr().out
    assert "plans holiday_hours due 2026-12-20T09:00:00Z, to many people\n  We are closed." in printed
    assert "plans nothing" not in printed
    assert sending == []


def test_send_takes_a_number_as_text(sending: list[Any]) -> None:
    """The answer "1" to a reminder was refused as a number."""
    message = ["send", "MessageReceived", "--contact", "acme-dental/sms/+12025550101", "--yes", "--wait", "0"]
    main([*message, "--set", "text=1", "--set", "message_id=17"])
    assert [sending[0]["detail"][name] for name in ("text", "message_id")] == ["1", "17"]
    main(["send", "HolidayHoursAnnounced", "--brand", "acme", "--set", "closed=true", "--yes"])
    assert sending[1]["detail"]["closed"] is True


def test_preview_reports_a_misspelled_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan looked right; the time zone of the event did not count."""
    detail = {"contact": SENT_TO, "appointment_id": "a", "starts_at": "2031-03-20T10:00:00Z", "timezon": "UTC"}
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"detail-type": "AppointmentBooked", "detail": detail}), encoding="utf-8")
    assert main(["preview", str(file)]) == 0
    assert "$.detail.timezon: unknown field; did you mean timezone?" in capsys.readouterr().err


def test_send_reports_that_nothing_changed(sending: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--yes", "--wait", "0"]) == 1
    assert "Nothing has changed after 0 seconds" in capsys.readouterr().err
    assert len(sending) == 1


def test_send_puts_nothing_on_the_bus_without_a_yes(
    sending: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert main(ARGUMENTS) == 1
    assert main([*ARGUMENTS, "--dry-run", "--json"]) == 0
    assert sending == []
    assert "outcome" not in capsys.readouterr().out


def test_send_reports_a_misspelled_field_of_a_file(
    sending: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = {"contact": SENT_TO, "appointment_id": "a", "starts_at": "2031-03-20T10:00:00Z", "timezon": "UTC"}
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"detail-type": "AppointmentBooked", "detail": detail}), encoding="utf-8")
    assert main(["send", str(file), "--dry-run"]) == 0
    assert "$.detail.timezon: unknown field; did you mean timezone?" in capsys.readouterr().err
    assert sending == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("reengage se", ["send", "send-test"]),
        ("reengage send AppointmentB", ["AppointmentBooked"]),
        ("reengage send-test --reason appointment_m", ["appointment_moved"]),
        ("reengage send-test --loc", ["--locale"]),
    ],
)
def test_shell_completes(words: str, completed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell asks the program by these variables, as the script of --install-completion does."""
    monkeypatch.setenv("_REENGAGE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    output = io.StringIO()
    monkeypatch.setattr("sys.stdout", output)
    assert (main(), output.getvalue().split()) == (0, completed)


def test_send_test_invokes_the_send_function_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    answers = [
        {"state": "sent", "provider": "twilio", "provider_message_id": "SM1", "text": "Acme: hello", "facts": {}},
        {"state": "skipped", "rule": "opted_out", "facts": {"word": "stop"}},
    ]

    def invoke(*query: Any) -> Any:
        asked.append(query)
        return answers[len(asked) - 1]

    monkeypatch.setattr("reengage.cli.stack.stack_functions", lambda _: invoke)
    arguments = ["send-test", "--to", "+4915112345678", "--brand", "acme", "--locale", "de", "--yes"]
    assert main([*arguments, "--id", "t1"]) == 0
    contact = {"brand": "acme", "channel": "sms", "address": "+4915112345678"}
    test = {"contact": contact, "reason": "appointment_reminder", "id": "t1", "locale": "de"}
    assert asked == [("SendUpdatesFunctionArn", {"send_test": test})]
    assert capsys.readouterr().out == "sent by twilio, SM1\n  Acme: hello\n"
    assert main(arguments) == 1
    assert asked[1][1]["send_test"]["id"] != "t1"
    assert capsys.readouterr().out == "skipped, opted_out\n  word: stop\n"


def test_send_test_names_a_wrong_field_without_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send-test", "--to", "12", "--brand", "acme", "--yes"]) == 2
    assert "$.send_test.contact.address: expected a phone number" in capsys.readouterr().err


def test_question_about_texts_names_each_wrong_field() -> None:
    assert question({"texts": {"brand": "acme", "locales": ["de"]}}) == AboutTexts("acme", "sms", [], ["de"])
    with pytest.raises(InvalidEvent) as raised:
        question({"texts": {"brand": "a b", "channel": "fax", "reasons": ["x"]}})
    assert [error.partition(":")[0] for error in raised.value.errors] == ["$.texts.brand", "$.texts.channel"]
    with pytest.raises(InvalidEvent, match=r"\$\.texts\.reasons: expected some of appointment_reminder"):
        question({"texts": {"brand": "acme", "reasons": ["x"]}})


def test_every_reason_with_a_subject_has_sample_data() -> None:
    assert set(SAMPLE_FIELDS) == {name for name, reason in REASONS.items() if reason.category != "reply"}


STORY = [
    {
        "time": "2026-12-01T09:00:00Z",
        "detail-type": "MessageReceived",
        "detail": {
            "contact": ANNA,
            "message_id": "m1",
            "sent_at": "2026-12-01T09:00:00Z",
            "text": "Hello",
            "timezone": "America/New_York",
        },
    },
    {
        "time": "2026-12-01T10:00:00Z",
        "detail-type": "AppointmentBooked",
        "detail": {"contact": ANNA, "appointment_id": "a-1", "starts_at": "2026-12-04T15:00:00Z"},
    },
]


@pytest.fixture
def story(tmp_path: Path) -> Path:
    file = tmp_path / "story.jsonl"
    file.write_text("\n".join(map(json.dumps, STORY)), encoding="utf-8")
    return file


def test_simulate_prints_json_lines_and_a_summary(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(story), "--json"]) == 0
    *events, last = map(json.loads, capsys.readouterr().out.splitlines())
    sent = [event for event in events if event["detail-type"] == "MessageSent"]
    assert [event["at"] for event in sent] == ["2026-12-03T15:00:00Z", "2026-12-04T13:00:00Z"]
    assert all("appointment" in event["detail"]["text"] for event in sent)
    assert last["summary"]["outcomes"] == {"sent": 2}


def test_simulate_logs_nothing_between_its_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log line of a refused call was among the lines for programs."""
    file = tmp_path / "story.jsonl"
    call = {"path": "rcs", "body": {"message": {"data": "e30"}}}
    file.write_text(json.dumps({"time": "2026-12-01T09:00:00Z", "call": call}), encoding="utf-8")
    assert main(["simulate", str(file), "--json"]) == 2
    assert "cannot be replayed: Incorrect padding" in capsys.readouterr().err
    call["body"] = {"message": {"data": "%%%"}}
    file.write_text(json.dumps({"time": "2026-12-01T09:00:00Z", "call": call}), encoding="utf-8")
    assert main(["simulate", str(file), "--json"]) == 0
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["summary"]["errors"] == {"CallRefused": 1}


def test_simulate_shows_what_was_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A story with a wrong field seemed to plan nothing, without a word about the field."""
    file = tmp_path / "story.jsonl"
    event = {"time": "2026-12-01T09:00:00Z", "detail-type": "OrderShipped", "detail": {"brand": "acme"}}
    file.write_text(json.dumps(event), encoding="utf-8")
    assert main(["simulate", str(file)]) == 0
    assert "rejected    OrderShipped: $.detail.order_id: is required" in capsys.readouterr().out


def test_simulate_set_replaces_what_the_story_sets(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The story's own value was used, and a comparison with another one showed no change."""
    file = story.parent / "capped.jsonl"
    capped = json.dumps({"set": {"UtilityCaps": "1/P7D"}})
    file.write_text(f"{capped}\n{story.read_text(encoding='utf-8')}", encoding="utf-8")
    sent = []
    for more in ([], ["--set", "UtilityCaps=5/P1D"]):
        assert main(["simulate", str(file), "--json", *more]) == 0
        sent.append(json.loads(capsys.readouterr().out.splitlines()[-1])["summary"]["outcomes"].get("sent"))
    assert sent == [1, 2]
    page = story.parent / "page.html"
    assert main(["simulate", str(file), "--report", str(page), "--compare", "UtilityCaps=5/P1D"]) == 0
    data = page.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert len(json.loads(data)["compare"]["change"]) == 1


def test_simulate_writes_a_page_that_compares(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = story.parent / "out" / "page.html"
    arguments = ["simulate", str(story), "--report", str(page), "--compare", "UtilityCaps=1/P7D"]
    assert main(arguments) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "planned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--set", "UtilityCaps"], '"UtilityCaps": expected Parameter=value'),
        (["--set", "UtilityCap=1/P1D"], "UtilityCap"),
        (["--until", "soon"], '--until "soon": expected an ISO 8601 instant'),
        (["--compare", "UtilityCaps=1/P1D"], "--compare needs --report FILE"),
    ],
)
def test_simulate_names_what_is_wrong(
    arguments: list[str], error: str, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(story), *arguments]) == 2
    assert error in capsys.readouterr().err
    assert main(["simulate", str(story.parent / "another.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_explain_finds_the_contacts_of_an_appointment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", subject_id="a-17", starts_at=NOON + timedelta(days=3)))
    world.plan(business("AppointmentBooked", subject_id="a-18", starts_at=NOON + timedelta(days=3)))
    invocations: list[Any] = []

    def invoke(_output: str, event: Any) -> Any:
        invocations.append(event)
        query = question(event)
        assert isinstance(query, AboutSubject)
        ref = SubjectRef(query.brand or FAKE_ANNA.brand, query.kind, query.id)
        return explain_subject(ref, store=world.store, clock=world.clock)

    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
    assert main(["explain", "--appointment", "a-17"]) == 0
    out = capsys.readouterr().out
    assert invocations == [{"subject": {"kind": "appointment", "id": "a-17"}}]
    assert "planned appointment_reminder a-17 P1D" in out
    assert "a-18 P1D" not in out
    assert main(["explain", "--appointment", "a-99"]) == 1
    assert f"Nothing is stored of it in the brand {FAKE_ANNA.brand}." in capsys.readouterr().out
    assert main(["explain"]) == 2
    assert "is missing" in capsys.readouterr().err


UNKNOWN = {
    "ACME-DENTAL": "did you mean acme-dental?",
    "acme_dental": "did you mean acme-dental?",
    "acme-dentla": "did you mean acme-dental?",
    "smile-clinic": "did you mean Smile.Clinic?",
    "zebra": "known brands: Smile.Clinic, acme, acme-dental",
}


@pytest.mark.parametrize("brand", UNKNOWN)
def test_import_refuses_a_brand_that_is_not_known(
    brand: str, invoked: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Opt-outs of ACME-DENTAL were stored, and the contact of acme-dental still got messages."""
    file = tmp_path / "opt-outs.csv"
    file.write_text(f"brand,channel,address\n{brand},sms,+12025550101\nacme,sms,+12025550104\n", encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", str(file)]) == 1
    printed = capsys.readouterr().out
    assert f"line 2: no brand {brand} is known; {UNKNOWN[brand]}; --new-brand stores it" in printed
    assert f"brand {brand}: 1, refused: no brand {brand} is known; {UNKNOWN[brand]}" in printed
    assert "brand acme: 1\n" in printed
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 1
    assert [event["detail"]["contact"]["brand"] for _, event in invoked] == ["acme"]
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", "--new-brand", str(file)]) == 0
    assert len(invoked) == 3


def test_import_stores_nothing_if_brands_cannot_be_checked(
    invoked: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def missing(name: str) -> stacks.Stack:
        raise stacks.StackError(f"the stack {name}: does not exist")

    monkeypatch.setattr(stacks, "describe", missing)
    file = tmp_path / "opt-outs.csv"
    file.write_text("brand,channel,address\nacme,sms,+12025550104\n", encoding="utf-8")
    assert main(["import-opt-outs", "--stack", "reengage", str(file)]) == 0
    assert "The brands were not checked" in capsys.readouterr().err
    assert main(["import-opt-outs", "--stack", "reengage", "--apply", str(file)]) == 1
    assert invoked == []


@pytest.mark.parametrize(
    "phone",
    [
        "+12025550101",
        "+1 (202) 555-0101",
        "001 202 555 0101",
        "(202) 555-0101",
        "tel:+1-202-555-0101",
        "1-202-555-0101",
        "202.555.0101",
        "011 1 202 555 0101",
        "\N{FULLWIDTH PLUS SIGN}1\N{NO-BREAK SPACE}202\N{NON-BREAKING HYPHEN}555\N{NON-BREAKING HYPHEN}0101",
        "(+1) 202 555 0101",
        "whatsapp:+12025550101",
    ],
)
def test_explain_takes_a_phone_number_in_any_spelling(
    phone: str, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    def on_sms(event: dict[str, Any]) -> dict[str, Any]:
        return LEDGER if event["contact"]["channel"] == "sms" else {**LEDGER, "entries": []}

    monkeypatch.setitem(ANSWERS, "ExplainFunctionArn", on_sms)
    assert main(["explain", "--phone", phone]) == 0
    asked = [event["contact"] for _, event in invoked]
    assert asked == [ANNA | {"channel": channel} for channel in ("sms", "whatsapp", "rcs")]
    assert capsys.readouterr().out.count("acme-dental/sms/+12025550101 at") == 1


def test_explain_of_a_phone_shows_all_channels_once(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each channel's ledger has the others'. It is of the first channel on which something is stored itself."""
    world, whatsapp, rcs = World(), replace(FAKE_ANNA, channel="whatsapp"), replace(FAKE_ANNA, channel="rcs")
    world.receive(inbound(contact=whatsapp))
    starts_at = NOON + timedelta(days=2)
    world.plan(business("AppointmentBooked", contact=rcs, subject_id="a-17", starts_at=starts_at))

    def stored(event: dict[str, Any]) -> dict[str, Any]:
        return explain(Contact(**event["contact"]), store=world.store, clock=world.clock)

    monkeypatch.setitem(ANSWERS, "ExplainFunctionArn", stored)
    assert main(["explain", "--phone", FAKE_ANNA.address]) == 0
    assert [event["contact"]["channel"] for _, event in invoked] == ["sms", "whatsapp"]
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"acme-dental/whatsapp/{FAKE_ANNA.address} at ")
    assert out[1].startswith("  window open until ")
    after = out[out.index(f"and rcs/{FAKE_ANNA.address}") :]
    assert after[1].startswith("  window never opened")
    assert after[3].startswith("  appointment a-17: appointment active, starts_at ")
    assert sum("planned appointment_reminder a-17" in line for line in out) == 2


@pytest.mark.parametrize("phone", ["4915112345678", "49 1511 2345678"])
def test_explain_takes_a_foreign_number_without_its_plus(phone: str, invoked: list[tuple[str, Any]]) -> None:
    """The brand's own number is of the United States, where no number has so many digits."""
    assert main(["explain", "--phone", phone]) == 0
    assert {event["contact"]["address"] for _, event in invoked} == {"+4915112345678"}


@pytest.mark.parametrize("phone", ["0202 555", "+1 202", "someone"])
def test_explain_asks_for_the_country_of_a_number(
    phone: str, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--phone", phone]) == 2
    expected = f'--phone: write the number with its country, such as "+1 202 555 0101"; got "{phone}"'
    assert expected in capsys.readouterr().err
    assert invoked == []


def test_explain_of_a_phone_needs_a_brand_if_there_are_several(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"Routes": "acme/sms/aws/+12025550100,beta/sms/aws/+12025550109"}
    monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, {}, parameters))
    assert main(["explain", "--phone", "+12025550101"]) == 2
    assert "--brand is missing; brands in Routes: acme, beta" in capsys.readouterr().err
    assert main(["explain", "--phone", "+12025550101", "--brand", "beta"]) == 0
    assert {event["contact"]["brand"] for _, event in invoked} == {"beta"}


def test_explain_hints_at_a_brand_of_close_spelling(
    invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEDGER, "entries", [])
    assert main(["explain", "Acme-Dental/sms/+12025550101"]) == 0
    assert "no brand Acme-Dental is known; did you mean acme-dental?" in capsys.readouterr().err
    assert main(["explain", "acme-dental/sms/+12025550101"]) == 0
    assert capsys.readouterr().err == ""
    assert len(invoked) == 2
