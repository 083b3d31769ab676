"""RCS for Business, and the calls of Google Business Messages for replays."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.rcs import BUSINESS_MESSAGES, parse_business_messages, parse_rcs, set_up, signed_data
from reengage.domain.commands import RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.requests import Request
from reengage.domain.routes import Route, Routes, parse_routes
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    BUSINESS_MESSAGE,
    NOW,
    OURS,
    RCS_DELIVERED,
    RCS_EXPIRED,
    RCS_TEXT,
    ROUTES,
    rcs_call,
)

PERSON: Final = Contact("acme-garden", "rcs", "+14155555555")
SENT: Final = datetime(2014, 10, 2, 15, 1, 23, 45123, tzinfo=UTC)


def read(data: Any) -> ParsedCall:
    return parse_rcs(rcs_call(data), routes=ROUTES, arrived_at=NOW)


# Messages


def test_a_text_is_read_with_the_instant_of_its_sending() -> None:
    assert read(RCS_TEXT) == ParsedCall(
        messages=[InboundMessage(PERSON, "MxPRnmI3l0RF2p46Z", SENT, NOW, "Hi")],
    )


def test_event_without_time_uses_its_arrival() -> None:
    without = {name: value for name, value in RCS_TEXT.items() if name != "sendTime"}
    assert read(without).messages[0].sent_at == NOW


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        ({"suggestionResponse": {"postbackData": "p", "text": "Yes", "type": "REPLY"}}, "button", "Yes"),
        ({"location": {"latitude": 37.422, "longitude": -122.084}}, "location", ""),
        ({"userFile": {"payload": {"mimeType": "image/gif", "fileName": "pic.gif"}}}, "image", ""),
        ({"userFile": {"payload": {"mimeType": "video/mp4"}, "thumbnail": {}}}, "video", ""),
        ({"userFile": {"payload": {"mimeType": "audio/aac"}}}, "audio", ""),
        ({"userFile": {"payload": {"mimeType": "application/pdf"}}}, "document", ""),
        ({"userFile": {}}, "document", ""),
    ],
)
def test_every_kind_of_message_is_read_with_its_readable_part(content: Any, kind: str, text: str) -> None:
    got = read({**{name: value for name, value in RCS_TEXT.items() if name != "text"}, **content})
    assert [(each.kind, each.text) for each in got.messages] == [(kind, text)]


def test_unknown_content_is_a_message_too() -> None:
    got = read({**RCS_TEXT, "text": None, "richThing": {"x": 1}})
    assert [(each.kind, each.text) for each in got.messages] == [("unsupported", "")]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"sendTime": "2014-10-02T15:01:23"}, "expected an ISO 8601 instant with an offset"),
        ({"messageId": None}, "eventId: expected an id of 1 to 512 bytes"),
        ({"messageId": ""}, "messageId: expected an id of 1 to 512 bytes"),
        ({"senderPhoneNumber": "12"}, "expected a phone number in E.164 form, such as +4915112345678"),
    ],
)
def test_invalid_message_is_one_error(more: Any, error: str) -> None:
    assert read({**RCS_TEXT, **more}) == ParsedCall(errors=[f"$: {error}"])


def test_brand_comes_from_the_agent_of_a_route() -> None:
    """Both brands have their own system at a URL, which Google does not know."""
    url = "https://acme.example/out"
    routes = Routes(
        [Route("a", "rcs", "webhook", url, ("acme_agent@rbm.goog",)), Route("b", "rcs", "eventbridge", url, ("other",))]
    )
    assert parse_rcs(rcs_call(RCS_TEXT), routes=routes, arrived_at=NOW).messages[0].contact.brand == "a"
    unknown = parse_rcs(rcs_call({**RCS_TEXT, "agentId": "x"}), routes=routes, arrived_at=NOW)
    assert unknown.errors == ["$: no route of webhook for rcs has this number or account: add it to Routes"]


def test_a_message_without_an_id_of_its_own_has_its_events() -> None:
    """A tap on a suggestion, as on Google's page."""
    tap = {
        "senderPhoneNumber": PERSON.address,
        "suggestionResponse": {"postbackData": "stop"},
        "eventId": "Ms1",
        "sendTime": "2014-10-02T15:01:23.045123456Z",
        "agentId": RCS_TEXT["agentId"],
    }
    assert read(tap) == ParsedCall(
        messages=[InboundMessage(PERSON, "Ms1", SENT, NOW, "", kind="button", asks=Request.STOP, payload="stop")]
    )


# Events


@pytest.mark.parametrize("word", ["DELIVERED", "READ"])
def test_a_receipt_is_of_the_message_that_we_gave_the_id(word: str) -> None:
    assert read({**RCS_DELIVERED, "eventType": word}) == ParsedCall(
        receipts=[RecordDelivery(PERSON, OURS, "delivered", NOW, OURS)],
    )


def test_what_expired_and_was_taken_back_was_not_delivered() -> None:
    at = datetime(2014, 10, 2, 15, 1, 23, tzinfo=UTC)
    assert read(RCS_EXPIRED) == ParsedCall(
        receipts=[RecordDelivery(PERSON, OURS, "undelivered", at, OURS, "TTL_EXPIRATION_REVOKED")],
    )


@pytest.mark.parametrize(
    "data",
    [
        {**RCS_DELIVERED, "eventType": "IS_TYPING"},
        {**RCS_DELIVERED, "eventType": "EVENT_TYPE_UNSPECIFIED"},
        {**RCS_EXPIRED, "eventType": "TTL_EXPIRATION_REVOKE_FAILED"},
        {**RCS_DELIVERED, "messageId": "an id of another system"},
        {"agentId": "acme_agent@rbm.goog", "newLaunchState": "LAUNCHED", "regionId": "/v1/regions/fi-rcs"},
    ],
    ids=["typing", "unspecified", "may be delivered yet", "none of ours", "the agent's launch"],
)
def test_events_of_other_systems_are_ignored(data: Any) -> None:
    assert read(data) == ParsedCall(ignored=1)


@pytest.mark.parametrize(("word", "asks"), [("UNSUBSCRIBE", Request.STOP), ("SUBSCRIBE", Request.START)])
def test_tap_on_a_suggestion_is_a_message(word: str, asks: Request) -> None:
    """A repeat is known by its id: a SUBSCRIBE without a time undid the STOP that had come after it."""
    data = {**RCS_DELIVERED, "eventType": word, "sendTime": "2014-10-02T15:01:23.045123456Z"}
    content = InboundMessage(PERSON, "MsHmdWmmqRR2yVYIJ1S7D3rw", SENT, NOW, "", kind=word.lower(), asks=asks)
    assert read(data) == ParsedCall(messages=[content])


def test_an_event_that_is_not_known_is_an_error() -> None:
    assert read({**RCS_DELIVERED, "eventType": "DREAMT"}).errors == ["$: eventType: expected a known one"]


@pytest.mark.parametrize(
    "payload", [None, {}, {"message": {}}, {"message": {"data": "%"}}, {"message": {"data": 7}}, []]
)
def test_a_call_without_data_is_an_error(payload: Any) -> None:
    assert signed_data(payload) is None
    assert parse_rcs(payload, routes=ROUTES, arrived_at=NOW) == ParsedCall(errors=["$: message.data: expected base64"])


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_data_that_is_no_json_is_an_error(data: bytes) -> None:
    assert read(data) == ParsedCall(errors=["$: expected JSON"])


@pytest.mark.parametrize("data", [b"7", b"[]", b"{}", b"null"])
def test_data_that_is_neither_a_message_nor_an_event_is_an_error(data: bytes) -> None:
    assert read(data) == ParsedCall(errors=["$: message.data: expected a message or an event"])


def test_what_is_signed_is_the_data_as_bytes() -> None:
    assert signed_data({"message": {"data": base64.b64encode(b"what is signed").decode()}}) == b"what is signed"


# Setting up


def test_the_secret_is_given_back_to_who_knows_our_token() -> None:
    call = {"clientToken": "SJENCPGJESMGUFPY", "secret": "1234567890"}
    assert set_up(call, ("an older one", "SJENCPGJESMGUFPY")) == "1234567890"


@each_of(
    "call",
    [
        {"clientToken": "another", "secret": "1234567890"},
        {"clientToken": "", "secret": "1234567890"},
        {"clientToken": None, "secret": "1234567890"},
        {"secret": "1234567890"},
        {"clientToken": "SJENCPGJESMGUFPY"},
        {"clientToken": "SJENCPGJESMGUFPY", "secret": 7},
        {"clientToken": "SJENCPGJESMGUFPY", "secret": "\ud800"},
        None,
        [],
    ],
)
def test_wrong_token_gets_no_secret_back(call: Any) -> None:
    assert set_up(call, ("SJENCPGJESMGUFPY", "")) is None


def test_unset_token_gives_no_secret_back() -> None:
    assert set_up({"clientToken": "", "secret": "1234567890"}, ()) is None


# Google Business Messages


AGENT: Final = "brands/1111/agents/2222"


def replayed(payload: Any) -> ParsedCall:
    routes = parse_routes(f"acme-dental/{BUSINESS_MESSAGES}/eventbridge/{AGENT}")
    return parse_business_messages(payload, routes=routes, arrived_at=NOW)


def test_request_id_identifies_a_replayed_message() -> None:
    assert replayed(BUSINESS_MESSAGE) == ParsedCall(
        messages=[
            InboundMessage(
                contact=Contact("acme-dental", BUSINESS_MESSAGES, "3333"),
                message_id="123123123",
                sent_at=datetime(2020, 10, 2, 15, 5, 23, 45123, tzinfo=UTC),
                arrived_at=NOW,
                text="Hello, I'm World!",
                locale="en-US",
                display_name="Michael",
            )
        ]
    )


def test_a_replayed_suggestion_is_a_button() -> None:
    call = {**BUSINESS_MESSAGE, "suggestionResponse": {"text": "Yes", "createTime": "2020-10-02T15:05:23Z"}}
    del call["message"]
    got = replayed(call)
    assert [(each.kind, each.text) for each in got.messages] == [("button", "Yes")]


@pytest.mark.parametrize("locale", ["", "english please", None, "en-US "])
def test_invalid_locale_is_omitted(locale: Any) -> None:
    got = replayed({**BUSINESS_MESSAGE, "context": {"resolvedLocale": locale}})
    assert [(each.locale, each.display_name) for each in got.messages] == [(None, None)]


def test_replayed_typing_is_ignored_and_nothing_at_all_an_error() -> None:
    assert replayed({"conversationId": "3333", "userStatus": {"isTyping": "true"}}) == ParsedCall(ignored=1)
    assert replayed({}).errors == ["$: expected one of message, suggestionResponse"]
