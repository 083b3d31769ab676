"""No input makes a parser raise: a part that it cannot parse is counted, and never quoted."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.inbound import signatures
from reengage.adapters.inbound.aws import parse_sns
from reengage.adapters.inbound.field_types import MAX_ID
from reengage.adapters.inbound.meta import parse_meta
from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.rcs import parse_business_messages, parse_rcs, set_up, signed_data
from reengage.adapters.inbound.twilio import form, parse_twilio
from reengage.adapters.inbound.webhook import answer
from reengage.domain.contact import Contact
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    AWS_RCS_RECEIPT,
    AWS_RECEIPT,
    AWS_SMS,
    BUSINESS_MESSAGE,
    NOW,
    RCS_DELIVERED,
    RCS_EXPIRED,
    RCS_MEDIA,
    RCS_SESSION,
    RCS_SUGGESTION,
    RCS_TEXT,
    RCS_TYPING,
    REENGAGEMENT,
    ROUTES,
    SHEENA,
    TEXT,
    TWILIO_QUERY,
    TWILIO_SMS,
    TWILIO_STATUS,
    TWILIO_WHATSAPP,
    aws_rcs,
    aws_whatsapp,
    meta_call,
    meta_entry,
    meta_message,
    meta_preference,
    meta_status,
    rcs_call,
    sns_event,
)

QUOTED: Final = "ZQXJ-7"  # what no error may quote
TEXTS: Final = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    [QUOTED, "", "1749416383", "+1", "[" * 20_000]
)
SCALARS: Final = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXTS
JSON: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)

Reader = Callable[[Any], ParsedCall]


def by_aws(message: Any) -> ParsedCall:
    """Wrap it in SNS's envelope."""
    return parse_sns(sns_event(json.dumps(message)), routes=ROUTES, arrived_at=NOW)


def by_rcs(data: Any) -> ParsedCall:
    return parse_rcs(rcs_call(json.dumps(data).encode()), routes=ROUTES, arrived_at=NOW)


READERS: Final[dict[str, Reader]] = {
    "meta": lambda payload: parse_meta(payload, routes=ROUTES, arrived_at=NOW),
    "sns": lambda payload: parse_sns(payload, routes=ROUTES, arrived_at=NOW),
    "aws": by_aws,
    "aws whatsapp": lambda entry: by_aws(aws_whatsapp(None) | {"whatsAppWebhookEntry": entry}),
    "twilio": lambda params: parse_twilio(params, TWILIO_QUERY, routes=ROUTES, arrived_at=NOW),
    "twilio query": lambda query: parse_twilio(TWILIO_STATUS, query, routes=ROUTES, arrived_at=NOW),
    "rcs call": lambda payload: parse_rcs(payload, routes=ROUTES, arrived_at=NOW),
    "rcs": by_rcs,
    "business messages": lambda payload: parse_business_messages(payload, routes=ROUTES, arrived_at=NOW),
}

FAILED: Final = {"status": "failed", "errors": [dict(REENGAGEMENT)]}
REAL: Final[list[tuple[str, Any]]] = [
    ("meta", meta_message()),
    ("meta", meta_message({"type": "contacts", "contacts": [{"name": {"formatted_name": "Monica"}}]})),
    ("meta", meta_message({"type": "edit", "edit": {"message": {"type": "text", "text": {"body": "STOP"}}}})),
    ("meta", meta_message({"from": None, "from_user_id": "US.1"}, sender={"user_id": "US.1"})),
    ("meta", meta_status()),
    ("meta", meta_status(FAILED)),
    ("meta", meta_preference()),
    ("meta", meta_call(meta_entry({"contacts": [dict(SHEENA)], "messages": [dict(TEXT)], "errors": [{"code": 1}]}))),
    ("sns", sns_event(AWS_SMS, AWS_RECEIPT)),
    ("sns", sns_event(aws_whatsapp(meta_entry({"messages": [dict(TEXT)]}, number="abcde1234567890")))),
    ("aws", dict(AWS_SMS)),
    ("aws", dict(AWS_RECEIPT)),
    ("aws", dict(AWS_RCS_RECEIPT)),
    *[("aws", aws_rcs(body)) for body in (RCS_TYPING, RCS_SUGGESTION, RCS_SESSION, RCS_MEDIA)],
    ("aws", aws_whatsapp(meta_entry({"messages": [dict(TEXT)]}, number="abcde1234567890"))),
    ("twilio", dict(TWILIO_SMS)),
    ("twilio", {**TWILIO_WHATSAPP, "OptOutType": "STOP", "NumMedia": "1", "MediaContentType0": "image/jpeg"}),
    ("twilio", {**TWILIO_STATUS, "MessageStatus": "failed", "ErrorCode": "30003"}),
    ("rcs call", rcs_call(RCS_TEXT)),
    ("rcs", dict(RCS_TEXT)),
    ("rcs", dict(RCS_DELIVERED)),
    ("rcs", {**RCS_DELIVERED, "eventType": "UNSUBSCRIBE"}),
    ("rcs", dict(RCS_EXPIRED)),
    ("business messages", dict(BUSINESS_MESSAGE)),
]


def cap_usage(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return every place within: each is a path of names and indexes."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from cap_usage(item, (*path, name))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with ``new`` at that place; without the place, if ``new`` is ``...``."""
    if not path:
        return None if new is ... else new
    name, *rest = path
    if isinstance(value, dict):
        changed = {**value, name: put(value[name], tuple(rest), new)}
        return {k: v for k, v in changed.items() if k != name} if new is ... and not rest else changed
    return [put(item, tuple(rest), new) if number == name else item for number, item in enumerate(value)]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a real payload with up to three of its places changed."""
    name, payload = draw(st.sampled_from(REAL))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(cap_usage(payload))))
        payload = put(payload, place, draw(st.just(...) | JSON))
    return name, payload


def holds(read: ParsedCall) -> None:
    """Check that the result can be stored and used, that something was parsed, ignored or wrong, and that no error
    quotes it.
    """
    assert read.messages or read.receipts or read.choices or read.errors or read.ignored or read == ParsedCall()
    for message in read.messages:
        assert 0 < len(message.message_id.encode()) <= MAX_ID
        assert len(json.dumps(message.text)) < 200_000  # EventBridge takes 256 KB
        assert message.sent_at.utcoffset() == timedelta()
        assert message.display_name is None or 0 < len(message.display_name.encode()) <= 4 * 500
    for receipt in read.receipts:
        assert len(receipt.scheduled_message_id) == 36
        assert receipt.at.utcoffset() == timedelta()
        assert len((receipt.error or "").encode()) <= 4 * 120
    wrote, reached = [each.contact for each in read.messages], [each.contact for each in read.receipts]
    for contact in (*wrote, *reached, *(each.contact for each in read.choices)):
        assert contact == Contact.of(contact.brand, contact.channel, contact.address)
        contact.key.encode()
    for error in read.errors:
        assert QUOTED not in error
        assert len(error.encode()) < 500
        assert error.startswith("$")


@given(st.sampled_from(sorted(READERS)), JSON)
@pytest.mark.slow
def test_arbitrary_json_never_raises(name: str, payload: Any) -> None:
    holds(READERS[name](payload))


@given(mutated())
@pytest.mark.slow
def test_a_real_payload_with_anything_changed_never_raises(case: tuple[str, Any]) -> None:
    name, payload = case
    holds(READERS[name](payload))


@each_of("number", range(len(REAL)))
def test_the_real_payloads_themselves_are_understood(number: int) -> None:
    name, payload = REAL[number]
    read = READERS[name](payload)
    holds(read)
    assert all("131047" not in error for error in read.errors)
    assert read.messages or read.receipts or read.choices or read.ignored or name == "business messages"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(REAL)))
def test_parsers_never_raise_if_a_value_is_missing_or_empty(number: int) -> None:
    name, payload = REAL[number]
    for place in cap_usage(payload):
        for new in (..., None, "", QUOTED, 0, 10**400, True, [], {}, [None], {"a": None}, "\ud800"):
            holds(READERS[name](put(payload, place, new)))


@given(payload=JSON, token=TEXTS)
@pytest.mark.slow
def test_functions_before_the_parsers_never_raise(payload: Any, token: str) -> None:
    signed_data(payload)
    assert set_up(payload, ("SJENCPGJESMGUFPY",)) is None
    form(token)
    for header in (token, None):
        assert not signatures.verify_meta([token or "x"], b"body", header)
        assert not signatures.verify_twilio(["12345"], token, [(token, token)], header)
        assert not signatures.verify_rcs(["12345"], b"body", header)


EVENT_FIELDS: Final = ("rawPath", "rawQueryString", "headers", "requestContext", "body", "isBase64Encoded")
PATHS: Final = st.sampled_from(["/meta", "/twilio", "/twilio/status", "/rcs", "/google-business-messages"])
TYPES: Final = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain"])
SIGNATURES: Final = ("x-hub-signature-256", "x-twilio-signature", "x-goog-signature")
HEADERS: Final = JSON | st.fixed_dictionaries(
    {"content-type": TYPES}, optional=dict.fromkeys(SIGNATURES, TEXTS | st.just("sha256="))
)
METHODS: Final = st.sampled_from([{"http": {"method": "POST"}, "domainName": "x"}, {"http": {"method": "GET"}}])


@given(
    event=JSON
    | st.fixed_dictionaries(
        {},
        optional={
            name: {"rawPath": PATHS, "requestContext": METHODS, "headers": HEADERS}.get(name, JSON)
            for name in EVENT_FIELDS
        },
    ),
    secrets=JSON,
)
@pytest.mark.slow
def test_an_unsigned_call_is_never_let_in_and_never_raises(event: Any, secrets: Any) -> None:
    got = answer(event, secrets=secrets, routes=ROUTES, arrived_at=NOW)
    assert got.status in (400, 403, 404, 405, 415)
    assert got.parsed is None


def test_what_was_read_has_a_field_for_everything() -> None:
    assert [each.name for each in fields(ParsedCall)] == [
        "messages",
        "receipts",
        "errors",
        "ignored",
        "choices",
        "links",
        "moves",
        "agent_replies",
    ]
