"""Tokens of openers: how they are made, and found again in what people write."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.domain.openers import (
    ALPHABET,
    LENGTH,
    MAX_TOKENS,
    Opener,
    as_token,
    find_tokens,
    is_opened,
    link_to,
    shown,
    token_source,
)
from reengage.domain.subject import Subject, SubjectRef
from tests.cases import each_of

REF = SubjectRef("acme-dental", "appointment", "a-17")
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
TOKEN = "K7QMX4TRW9"  # noqa: S105 - no password
TOKENS = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH).filter(
    lambda text: not (text.isalpha() or text.isdecimal())
)


@each_of(
    "text",
    [
        *("K7QMX-4TRW9", "K7QMX4TRW9", "k7qmx-4trw9", "K7QMX 4TRW9", " k7qmx  4trw9 ", "K7QMX–4TRW9", "K7QMX_4TRW9"),
        "K7QM-X4TR-W9",
        *("K7Q MX4 TRW 9", "k 7 q m x 4 t r w 9", "Ｋ７ＱＭＸ－４ＴＲＷ９", "K7QMX\n4TRW9", "K7QMX.4TRW9"),
        *("Please remind me of my appointment. K7QMX-4TRW9", "Hi, my code: K7QMX-4TRW9. Thanks!", "HENRY K7QMX-4TRW9"),
        "(K7QMX-4TRW9)",
    ],
)
def test_finds_the_token_in_a_message(text: str) -> None:
    assert TOKEN in find_tokens(text)


@each_of(
    "text",
    [
        *("", "Hello", "K7QMX-4TRW", "K7QMX-4TRW99", "AK7QMX-4TRW9", "K7QMX4TRW9X", "2345678923", "HAPPY TREES"),
        *("I0QMX-4TRW9", "+4915112345678", "see you at 3 pm", "Kommst Du morgen um 9?"),
    ],
)
def test_finds_no_token_where_there_is_none(text: str) -> None:
    assert TOKEN not in find_tokens(text)


@pytest.mark.parametrize("text", ["", "Hello", "2345678923", "Thanks, see you there!", "Yes", "1", "+4915112345678"])
def test_an_ordinary_message_costs_no_read(text: str) -> None:
    assert find_tokens(text) == []


@given(TOKENS, st.text(max_size=40), st.text(max_size=40), st.booleans())
def test_finds_each_token_between_other_words(token: str, before: str, after: str, is_lower: bool) -> None:
    code = shown(token).lower() if is_lower else shown(token)
    found = find_tokens(f"Anna. {code}. Bert")
    assert found == [token]
    assert len(find_tokens(f"{before} {code} {after}")) <= MAX_TOKENS


def test_a_long_message_names_few_tokens() -> None:
    assert len(find_tokens(" ".join(f"A{n:04}B{n:04}".replace("0", "Z").replace("1", "Y") for n in range(900)))) == 5


@given(st.binary(min_size=32, max_size=32))
def test_a_hash_is_a_token_or_nothing(digest: bytes) -> None:
    token = as_token(digest.hex())
    assert token is None or find_tokens(shown(token)) == [token]


def test_a_token_depends_on_its_subject_person_and_era() -> None:
    subject = Subject(REF, era=1)
    sources = {
        token_source(subject, "anna"),
        token_source(subject, "bert"),
        token_source(Subject(REF, era=2), "anna"),
        token_source(Subject(SubjectRef("acme-dental", "appointment", "a-18"), era=1), "anna"),
        token_source(Subject(SubjectRef("other", "appointment", "a-17"), era=1), "anna"),
        token_source(subject, "anna", 1),
    }
    assert len(sources) == 6


@pytest.mark.parametrize(
    ("used_by", "at", "valid"),
    [
        (None, NOON - timedelta(seconds=1), True),
        (None, NOON, False),
        ("m1", NOON - timedelta(seconds=1), True),
        ("m2", NOON - timedelta(seconds=1), False),
    ],
)
def test_an_opener_is_valid_once_and_until_it_expires(used_by: str | None, at: datetime, valid: bool) -> None:
    assert Opener("acme-dental", TOKEN, REF, "anna", NOON, used_by).is_valid(at, "m1") is valid


@pytest.mark.parametrize(
    ("kind", "opened"),
    [("appointment", True), ("trial", True), ("order", True), ("cart", True), ("product", False), ("item", False)],
)
def test_only_a_subject_with_one_owner_is_opened(kind: str, opened: bool) -> None:
    assert is_opened(kind) is opened


def test_links_write_the_text_to_the_number() -> None:
    text = "Remind me: K7QMX-4TRW9 & más?"
    assert link_to("whatsapp", "+12025550100", text) == (
        "https://wa.me/12025550100?text=Remind%20me%3A%20K7QMX-4TRW9%20%26%20m%C3%A1s%3F"
    )
    assert link_to("sms", "+12025550100", text) == (
        "sms:+12025550100?body=Remind%20me%3A%20K7QMX-4TRW9%20%26%20m%C3%A1s%3F"
    )
