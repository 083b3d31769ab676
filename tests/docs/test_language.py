"""Names, docstrings, comments and messages are plain English."""

import re

import pytest

from tests.docs import language
from tests.docs.documents import ROOT, tracked_files

pytestmark = pytest.mark.docs

FIXED = "layers/reengage/reengage/domain/example.py"


def kinds(text: str, path: str = FIXED) -> list[str]:
    return [finding.kind for finding in language.findings_in(path, text)]


def test_code_and_template_are_plain_english() -> None:
    assert [str(item) for items in language.all_findings().values() for item in items] == []


def test_each_suppression_has_a_reason() -> None:
    """A comment that silences Ruff or mypy says why, on its own line."""
    silent = re.compile(
        r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[a-z, -]+\])?)\s*$", re.MULTILINE
    )
    sources = [path for path in tracked_files() if path.endswith(".py")]
    found = {path: silent.findall((ROOT / path).read_text(encoding="utf-8")) for path in sources}
    assert {path: comments for path, comments in found.items() if comments} == {}


def test_allowed_files_and_terms_exist() -> None:
    assert [path for path in language.ALLOWED_FILES if not (ROOT / path).is_file()] == []
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "layers/reengage/reengage").rglob("*.py"))
    assert [term for term in language.ALLOWED_TERMS if term not in code] == []


# The check can fail


@pytest.mark.parametrize(
    "text",
    [
        "def was_told() -> None: ...",
        "class WhatWasSaid: ...",
        "def store(heard: str) -> None: ...",
        "hears = 1",
        "self.mended = 1",
        "try:\n    pass\nexcept ValueError as said:\n    pass",
        "def test_nobody_is_notified() -> None: ...",
        "families = 1",
        "class SendDoor: ...",
    ],
)
def test_check_finds_banned_names(text: str) -> None:
    assert kinds(text) == ["name"]


@pytest.mark.parametrize(
    "text",
    [
        '"""Return what was told."""',
        'LIMIT = 3\n"""Nobody needs more."""',
        "LIMIT = 3  # whoever comes first",
        'raise ValueError("what became of it")',
        'print(f"a zone that is none: {1}")',
        '"""Return what the event tells of the person."""',
        '"""Raise an error that says what to do."""',
        "LIMIT = 3  # the parts that speak",
    ],
)
def test_check_finds_banned_words(text: str) -> None:
    assert kinds(text) == ["banned word"]


@pytest.mark.parametrize(
    "text", ['"""Read the gate again."""', "x = 1  # the lane of a message", "LIMIT = 1  # by outlook"]
)
def test_check_finds_former_terms(text: str) -> None:
    assert kinds(text) == ["former term"]


@pytest.mark.parametrize(
    "text",
    [
        "told_to_close = 1",
        '"""Read ``told_to_close`` and "I told you"."""',
        'KEY = "told"',
        '"""Return the outcome."""\n# One reason.\nvalue = 1',
        '"""Say hello; tell a person; call for the last time."""',
    ],
)
def test_check_accepts_plain_text_and_stored_names(text: str) -> None:
    assert kinds(text) == []


def test_check_finds_banned_words_of_the_template() -> None:
    assert kinds("Description: What was told\n", "template.yaml") == ["banned word"]


def test_check_reads_only_comments_of_wordings() -> None:
    assert kinds("# Nobody\nname = as you said\n", "layers/reengage/reengage/wording/en.ftl") == ["banned word"]


def test_check_leaves_quoted_messages_of_tests_alone() -> None:
    assert kinds('TEXT = "I told you"', "tests/unit/test_example.py") == []


def test_check_finds_long_sentences() -> None:
    sentence = f"Store {'one ' * 25}value."
    assert kinds(f'"""{sentence}"""') == ["27 words", "long sentences"]


def test_check_finds_long_averages() -> None:
    sentence = f"Store {'one ' * 19}value."
    assert kinds(f'"""{sentence} {sentence}"""') == ["long sentences"]


def test_check_finds_long_test_names() -> None:
    assert kinds(f"def test_{'x' * 56}() -> None: ...") == ["long test name"]
