"""The page as text: one complete file, the same for the same data, and safe with any text."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from reengage.report import ContactHistory, Inbound, Message, ReportData, Run, render_report, report_data

from .sample import sample_lines

EVIL: Final = (
    '</script ><script >window.hit = 1</script><script>window.hit = 1</script><!--<script > & "quoted" '
    '<img src=x onerror="hit()"> </script/ \u2028\u2029'
)


class Parts(HTMLParser):
    """The elements of a page, with the text of each script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = "" if ("type", "application/json") in attrs else tag
        if tag in ("script", "style") and ("type", "application/json") not in attrs:
            self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class names it
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture(scope="module")
def page() -> str:
    data = report_data(sample_lines(20), title="Autumn", compare=Run("MarketingCaps=1/P7D", sample_lines(20, cap=1)))
    return render_report(data)


def evil() -> ReportData:
    message = Message(
        id=EVIL,
        reason=EVIL,
        subject_id=EVIL,
        planned_at="2026-09-02T10:00:00Z",
        due_at="2026-09-02T10:00:00Z",
        outcome="sent",
        at="2026-09-02T10:00:00Z",
        rule=EVIL,
        facts={EVIL: EVIL},
        text=EVIL,
    )
    inbound = Inbound("2026-09-01T10:00:00Z", EVIL, EVIL)
    contact = ContactHistory(f"acme/sms/{EVIL}", name=EVIL, inbound=(inbound,), messages=(message,))
    span = ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")
    return ReportData(EVIL, span, {EVIL: EVIL}, {EVIL: {"sent": 1}}, (contact,))


def test_the_same_data_gives_the_same_bytes(page: str) -> None:
    again = report_data(sample_lines(20), title="Autumn", compare=Run("MarketingCaps=1/P7D", sample_lines(20, cap=1)))
    assert render_report(again).encode() == page.encode()


def test_nothing_in_the_page_names_another_file(page: str) -> None:
    for tag, attributes in Parts(page).tags:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "video", "audio")
        assert not {"src", "srcset", "action", "formaction", "style", "data"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    styles = [text for tag, text in Parts(page).texts if tag == "style"]
    assert not re.search(r"url\(|@import", "".join(styles))


def test_the_policy_allows_only_the_page_s_own_code(page: str) -> None:
    parts = Parts(page)
    (policy,) = [a["content"] or "" for tag, a in parts.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy).split(";"))
    own: dict[str, list[str]] = {"script": [], "style": []}
    for tag, text in parts.texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        own[tag].append(f"'sha256-{digest}'")
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(own["script"]),
        "style-src": " ".join(own["style"]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(own["script"]) == 2


def test_no_text_becomes_markup() -> None:
    page = render_report(evil())
    plain = render_report(replace(evil(), title="t", settings={"a": "b"}, contacts=()))
    assert [tag for tag, _ in Parts(page).tags] == [tag for tag, _ in Parts(plain).tags]
    assert "window.hit = 1</script>" not in page


def test_every_text_arrives_unchanged() -> None:
    packed = data_of(render_report(evil()))
    assert packed["contacts"]["name"] == [EVIL]
    assert packed["texts"][packed["messages"]["text"][0]] == EVIL
    assert packed["settings"] == {EVIL: EVIL}


def test_half_a_surrogate_pair_does_not_break_the_file() -> None:
    data = replace(evil(), title="half \ud83d")
    assert render_report(data).encode("utf-8").decode("utf-8") == render_report(data)


def test_columns_hold_the_values_of_the_messages() -> None:
    data = report_data(sample_lines(20), title="t")
    packed = data_of(render_report(data))
    columns, base = packed["messages"], packed["base"]
    for i, (contact, message) in enumerate(data.messages()):
        assert packed["contacts"]["key"][columns["contact"][i]] == contact.contact
        assert packed["reasons"][columns["reason"][i]] == message.reason
        assert packed["outcomes"][columns["outcome"][i]] == message.outcome
        assert columns["hour"][i] == message.local_hour
        assert (columns["due"][i], columns["at"][i]) == tuple(
            None if text is None else int(_epoch(text)) - base for text in (message.due_at, message.at)
        )
        assert len(columns["held"][i] or ()) == 4 * len(message.held)
    assert len(columns["id"]) == i + 1


def test_offset_is_the_local_clock_s() -> None:
    message = replace(evil().contacts[0].messages[0], at="2026-12-01T08:00:00Z")
    for zone, minutes in (("Asia/Kathmandu", 345), ("America/New_York", -300), (None, None)):
        data = replace(evil(), contacts=(replace(evil().contacts[0], zone=zone, messages=(message,)),))
        assert data_of(render_report(data))["messages"]["offset"] == [minutes]


def test_settings_that_differ_are_marked(page: str) -> None:
    assert '<tr class="differs"><th scope="row">MarketingCaps</th><td>9/P7D</td><td>1/P7D</td></tr>' in page
    assert '<tr><th scope="row">UtilityQuietHours</th>' in page


def test_the_document_s_example_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = files("reengage.report").joinpath("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for name, cap in (("story", 9), ("other", 1)):
        lines = "\n".join(json.dumps(line) for line in sample_lines(6, cap=cap))
        Path(f"{name}.out.jsonl").write_text(lines, encoding="utf-8")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own document
    page = Path("page.html").read_text(encoding="utf-8")
    assert data_of(page)["compare"]["title"] == "MarketingCaps=1/P7D"


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
