"""``reengage opener``: the link on the screen, for programs, and as a QR code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reengage.cli import stack as stacks
from reengage.cli.main import main

CONTACT = {"brand": "acme-dental", "channel": "sms", "address": "+12025550101"}
OPENER = {
    "contact": CONTACT,
    "opener": "https://wa.me/12025550100?text=Please%20remind%20me.%20K7QMX-4TRW9",
    "opener_text": "Please remind me. K7QMX-4TRW9",
    "opener_expires_at": "2026-12-01T09:00:00Z",
}
Answering = Callable[[list[dict[str, Any]], bool], list[Any]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """A stack that answers with these openers; the events that it was invoked with."""
    events: list[Any] = []

    def answer(openers: list[dict[str, Any]], found: bool) -> list[Any]:
        def invoke(_output: str, event: Any) -> Any:
            events.append(event)
            return {"brand": "acme-dental", "kind": "appointment", "id": "a-17", "found": found, "openers": openers}

        monkeypatch.setattr(stacks, "stack_functions", lambda _stack: invoke)
        return events

    return answer


def test_opener_prints_link_text_and_end(answering: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    events = answering([OPENER], True)
    assert main(["opener", "--appointment", "a-17"]) == 0
    assert events == [{"opener": {"kind": "appointment", "id": "a-17"}}]
    assert capsys.readouterr().out == (
        "https://wa.me/12025550100?text=Please%20remind%20me.%20K7QMX-4TRW9\n"
        "  text: Please remind me. K7QMX-4TRW9\n"
        "  for acme-dental/sms/+12025550101, until 2026-12-01T09:00:00Z\n"
    )


def test_opener_without_a_contact_names_no_one(answering: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    answering([{name: value for name, value in OPENER.items() if name != "contact"}], True)
    assert main(["opener", "--appointment", "a-17"]) == 0
    assert "  for the first person who sends it, until 2026-12-01T09:00:00Z\n" in capsys.readouterr().out


def test_explain_shows_the_opener_of_no_contact(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"brand": "acme-dental", "kind": "appointment", "id": "a-17", "ledgers": [], "openers": [OPENER]}
    monkeypatch.setattr(stacks, "stack_functions", lambda _stack: lambda _output, _event: answer)
    assert main(["explain", "--appointment", "a-17"]) == 0
    assert capsys.readouterr().out == (
        f"No contact is known. The first person who sends this becomes the contact: {OPENER['opener']}\n"
    )


def test_opener_prints_json(answering: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    events = answering([OPENER], True)
    assert main(["opener", "--trial", "t-1", "--brand", "acme-dental", "--json"]) == 0
    assert events == [{"opener": {"kind": "trial", "id": "t-1", "brand": "acme-dental"}}]
    assert json.loads(capsys.readouterr().out)["openers"] == [OPENER]


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_opener_writes_a_qr_code(answering: Answering, tmp_path: Path, suffix: str) -> None:
    answering([OPENER], True)
    path = tmp_path / "codes" / f"out{suffix}"
    assert main(["opener", "--appointment", "a-17", "--qr", str(path)]) == 0
    written = path.read_bytes()
    assert written.startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")
    assert len(written) > 500


@pytest.mark.parametrize(
    ("openers", "found", "warning"), [([], True, "No opener is valid"), ([], False, "Nothing is stored of it")]
)
def test_no_opener_is_a_finding(
    answering: Answering, capsys: pytest.CaptureFixture[str], openers: list[Any], found: bool, warning: str
) -> None:
    answering(openers, found)
    assert main(["opener", "--appointment", "a-17"]) == 1
    assert warning in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "an id is missing"),
        (["--appointment", "a", "--order", "b"], "give only one of --appointment, --order"),
        (["--appointment", "a", "--qr", "out.gif"], "expected a file"),
    ],
)
def test_opener_shows_what_to_type(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opener", *arguments]) == 2
    assert error in capsys.readouterr().err
