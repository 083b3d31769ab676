"""``reengage day`` over a story: each appointment with one state, as a table, CSV, JSON and a page."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from reengage.cli.main import main

ADA = {"brand": "acme-dental", "channel": "sms", "address": "+12025550101"}
BEN = {"brand": "acme-dental", "channel": "sms", "address": "+12025550102"}
FORMULA = "=HYPERLINK(1)<script>"


def line(at: str, detail_type: str, **detail: Any) -> str:
    return json.dumps({"time": at, "detail-type": detail_type, "detail": detail})


@pytest.fixture
def story(tmp_path: Path) -> Path:
    file = tmp_path / "story.jsonl"
    hello = {"message_id": "m1", "sent_at": "2026-12-01T09:00:00Z", "text": "Hello", "timezone": "America/New_York"}
    brand = {"brand": "acme-dental", "name": "Acme Dental", "timezone": "America/New_York"}
    lines = [
        line("2026-12-01T08:00:00Z", "BrandConfigured", **brand),
        line("2026-12-01T09:00:00Z", "MessageReceived", contact=ADA, display_name=FORMULA, **hello),
        line(
            "2026-12-01T10:00:00Z",
            "AppointmentBooked",
            contact=ADA,
            appointment_id="a-1",
            starts_at="2026-12-04T15:00:00Z",
        ),
        line(
            "2026-12-01T10:00:00Z",
            "AppointmentBooked",
            contact=BEN,
            appointment_id="a-2",
            starts_at="2026-12-04T16:00:00Z",
        ),
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_day_lists_each_appointment_with_one_state(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["day", "--brand", "acme-dental", "--date", "2026-12-04", "--story", str(story)]
    assert main([*arguments, "--at", "2026-12-02T12:00:00Z", "--json"]) == 1
    captured = capsys.readouterr()
    states = {entry["appointment_id"]: entry["state"] for entry in json.loads(captured.out)["entries"]}
    assert states == {"a-1": "will_be_reminded", "a-2": "not_reached"}
    assert "1 of 2 appointments get no reminder." in captured.err
    assert main([*arguments, "--at", "2026-12-03T16:00:00Z", "--json"]) == 1
    states = {entry["appointment_id"]: entry["state"] for entry in json.loads(capsys.readouterr().out)["entries"]}
    assert states["a-1"] == "reminded"


def test_day_writes_csv_and_a_page_without_code(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the evening of New York it is the next day in UTC: tomorrow was the day after it."""
    rows, page = story.parent / "day.csv", story.parent / "day.html"
    arguments = ["day", "--brand", "acme-dental", "--story", str(story), "--at", "2026-12-04T01:00:00Z"]
    assert main([*arguments, "--csv", str(rows), "--page", str(page)]) == 1
    assert "NO REMINDER WILL REACH THEM" in capsys.readouterr().out
    table = list(csv.DictReader(io.StringIO(rows.read_text(encoding="utf-8-sig"))))
    assert [row["appointment"] for row in table] == ["a-1", "a-2"]
    assert table[0]["time"] == "10:00"
    assert table[0]["name"] == "'" + FORMULA
    text = page.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "2 appointments, 1 without a reminder" in text


def test_day_names_no_opener_that_is_not_there(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list named the opener although its time had passed."""
    booked = {"contact": ADA, "appointment_id": "a-3", "starts_at": "2027-01-20T15:00:00Z"}
    lines = [story.read_text(encoding="utf-8"), line("2026-12-01T10:00:00Z", "AppointmentBooked", **booked)]
    story.write_text("\n".join(lines), encoding="utf-8")
    arguments = ["day", "--brand", "acme-dental", "--date", "2027-01-20", "--story", str(story), "--json"]
    for at, opener in (("2026-12-20T12:00:00Z", "the opener"), ("2027-01-18T12:00:00Z", "Ask the person to write")):
        assert main([*arguments, "--at", at]) == 1
        [entry] = json.loads(capsys.readouterr().out)["entries"]
        assert (entry["why"], opener in entry["what_to_do"]) == ("window_closes_first", True)
        assert (entry["opener"] is not None) == (opener == "the opener")


def test_day_shows_the_offset_of_another_place(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A booking of another place showed its own clock beside the times of the brand's zone."""
    booked = {"contact": ADA, "appointment_id": "a-3", "starts_at": "2026-12-04T15:30:00Z", "timezone": "Europe/Berlin"}
    lines = [story.read_text(encoding="utf-8"), line("2026-12-01T10:00:00Z", "AppointmentBooked", **booked)]
    story.write_text("\n".join(lines), encoding="utf-8")
    rows = story.parent / "day.csv"
    arguments = ["day", "--brand", "acme-dental", "--date", "2026-12-04", "--story", str(story)]
    assert main([*arguments, "--at", "2026-12-02T12:00:00Z", "--csv", str(rows)]) == 1
    capsys.readouterr()
    table = csv.DictReader(io.StringIO(rows.read_text(encoding="utf-8-sig")))
    assert [row["time"] for row in table] == ["10:00", "16:30 +01:00", "11:00"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--date", "soon"], '--date "soon": expected today, tomorrow'),
        (["--at", "soon"], '--at "soon": expected an ISO 8601 instant'),
        (["--story", "no.jsonl"], "no.jsonl"),
    ],
)
def test_day_shows_what_to_type(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", "--brand", "acme-dental", *arguments]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("brand", "hint"),
    [
        ("acme-dental", "no appointment on 2027-05-01"),
        ("ACME-Dental", "no brand ACME-Dental is known; did you mean acme-dental?"),
    ],
)
def test_an_empty_day_has_a_hint(brand: str, hint: str, story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A story of last month, and one with another spelling of the brand, gave an empty table."""
    assert main(["day", "--brand", brand, "--date", "2027-05-01", "--story", str(story)]) == 0
    assert hint in capsys.readouterr().err
