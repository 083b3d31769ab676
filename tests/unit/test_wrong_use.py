"""A wrong call of ``reengage`` ends with exit code 2 and shows what to type."""

import re
from pathlib import Path
from typing import Final

import pytest

from reengage.cli.main import COMMANDS, EXAMPLE, main

BOOKED: Final = "events/plan_messages/appointment_booked.json"
STORY: Final = "events/stories/clinic.jsonl"

WRONG: Final = {
    "explain": "CONTACT .* is missing. Usage: reengage explain acme-dental/sms/",
    "explain acme/sms/+12025550101 --appointment a-17": "give only one of CONTACT, --appointment$",
    "explain --trial t-1 --order o-1": "give only one of --trial, --order$",
    "explain foo": 'must look like brand/channel/address, for example acme-dental/sms/.*; got "foo"',
    "explain acme/fax/1": "expected one of sms, rcs, whatsapp",
    "explain acme/sms/abc": "expected a phone number in E.164 form, such as",
    "export": "Missing argument 'contact'. Usage: reengage export acme-dental/sms/",
    "preview": f"Missing argument 'event'. Usage: reengage preview {BOOKED}",
    "preview none.json": "none.json: no such file",
    "preview README.md": "README.md: expected JSON",
    "preview events/ingest_message/first_message.json": "expected an event that plans or cancels messages",
    "preview events/record_delivery/delivered.json": "expected an event that plans or cancels messages",
    "preview events": "events: expected a file, not a folder",
    f"preview {STORY}": f"expected one event; a story has its own command: reengage simulate {STORY}",
    "simulate": "Missing argument 'story'. Usage: reengage simulate events/stories/clinic.jsonl",
    "simulate none.jsonl": "none.jsonl: no such file",
    f"simulate {STORY} {STORY}": "unexpected extra argument.* Usage: reengage simulate events/stories/",
    f"simulate {STORY} --set Foo=1": 'unknown parameter "Foo"; use one of',
    f"simulate {STORY} --set DryRum=true": 'unknown parameter "DryRum"; did you mean DryRun',
    f"simulate {STORY} --set DryRun": "expected Parameter=value, for example",
    f"simulate {STORY} --set DryRun=yes": 'DryRun is "yes": expected one of true, false',
    f"simulate {STORY} --report build/page.html --compare Foo=1": '^unknown parameter "Foo"; use one of',
    f"simulate {STORY} --until tomorrow": "expected an ISO 8601 instant with an offset, such as",
    f"simulate {STORY} --until 2020-01-01T00:00:00Z": "the story begins at .*, after its end at 2020-01-01T00:00:00Z",
    f"simulate {STORY} --report events": '--report "events": expected a file, not a folder',
    f"simulate {STORY} --report README.md/page.html": '--report "README.md/page.html": File exists',
    "texts --report events": '--report "events": expected a file, not a folder',
    "day --brand acme --csv events": '--csv "events": expected a file, not a folder',
    "day --brand acme --page events": '--page "events": expected a file, not a folder',
    "texts --locale xx": 'unknown "xx"; locales: de, en',
    "day": "Missing option '--brand'. Usage: reengage day --brand acme-dental",
    "day --brand acme --at 2026-12-01T09:00:00Z": "--at needs --story FILE",
    "day --brand acme --story none.jsonl": "none.jsonl: no such file",
    "day --brand acme --date later": "expected today, tomorrow, or a day such as",
    "pause --scope foo": 'unknown --scope "foo"; use all, marketing, appointment_reminder',
    "pause --until later": "expected an ISO 8601 instant with an offset",
    "pause --nope": "No such option: --nope.* Usage: reengage pause --why",
    "send": "Missing argument 'event'. Usage: reengage send AppointmentBooked",
    "send Foo": 'unknown event "Foo"; use one of AgentReplied',
    "send AppointmentBooked --in 2x": "expected 2d, 3h, 90m or an ISO 8601 duration such as",
    "send AppointmentBooked --in 9999999999999d": "expected 2d, 3h, 90m",
    "send AppointmentBooked --in 9999d": "expected at most 3650d",
    "send-test": "Missing option '--to'. Usage: reengage send-test --to",
    "progress acme": "Give either --announcement ID or --item ID",
    "import-opt-outs": "Missing argument 'file'. Usage: reengage import-opt-outs opt-outs.csv",
    "import-opt-outs none.csv": "none.csv: no such file",
    "import-opt-outs none.csv --apply": "--apply needs --stack NAME",
    "redrive --queue foo": 'unknown --queue "foo"; use failed, rejected',
    "redrive --rate 0": "expected more than 0",
    "redrive --limit many": "Invalid value for '--limit'.* Usage: reengage redrive",
    "opener": "missing. Usage: reengage opener --appointment ID",
    "opener --trial t-1 --order o-1": "give only one of --trial, --order$",
    "exlpain": "No such command 'exlpain'. Did you mean 'explain'",
    "--foo": "No such option: --foo. `reengage --help` lists the commands",
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_call_shows_what_to_type(call: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(WRONG[call], printed.err), printed.err
    assert "Traceback" not in printed.err


AT: Final = "2026-12-01T09:00:00Z"
WRONG_LINES: Final = {
    "": "no event in it; use an event",
    '{"detail-type": "CartCheckedOut", "detail": {}}': "line 1: time is missing; add the instant at which the bus",
    '{"Time": "2026", "DetailType": "CartCheckedOut", "Detail": "{}"}': "line 1: an entry of PutEvents; use an event",
    '{"provider": {"channel": "fax"}}': "line 1: provider: channel: 'fax': use one of sms, rcs",
    '{"provider": {"reason": "cart"}}': "line 1: provider: reason: 'cart': use one of appointment_reminder",
    f'{{"provider": {{"from": "{AT}", "to": "{AT}"}}}}': "line 1: provider: to: .* expected an instant after from",
}


@pytest.mark.parametrize("line", WRONG_LINES)
def test_wrong_line_of_a_story_shows_a_hint(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = tmp_path / "story.jsonl"
    story.write_text(line, encoding="utf-8")
    assert main(["simulate", str(story)]) == 2
    assert re.search(WRONG_LINES[line], capsys.readouterr().err)


def test_events_before_the_start_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A start after the story left out all of it, and the summary was empty."""
    assert main(["simulate", STORY, "--start", "2027-09-01T00:00:00Z", "--until", "2027-09-02T00:00:00Z"]) == 0
    assert re.search(r"^(\d+) of \1 events are before --start and left out.$", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("run", COMMANDS, ids=lambda run: run.__name__)
def test_help_of_each_command_has_an_example(run: object) -> None:
    assert EXAMPLE.search(run.__doc__ or "")


def test_missing_region_shows_how_to_set(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["explain", "acme-dental/sms/+12025550101"]) == 1
    assert "Set AWS_REGION, such as AWS_REGION=eu-central-1, or run `aws configure`." in capsys.readouterr().err
