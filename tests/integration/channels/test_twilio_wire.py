"""SMS and WhatsApp by Twilio over real sockets: the request, and what each response means."""

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from reengage.adapters.channels.http import LONGEST
from reengage.adapters.channels.twilio import CODES, TwilioChannel
from reengage.adapters.inbound.twilio import parse_twilio
from reengage.domain.routes import Routes
from reengage.ports import Accepted, OptedOut, OutboundMessage, QuickReply, Refused, Retryable, Unknown, Wording
from tests.integration.channels.wire import (
    ADDRESS,
    NOON,
    TEXT,
    Behaviour,
    Server,
    answer,
    clock,
    closed_port,
    is_silent,
    outbound,
    patient,
    resets,
    routes,
    sends_bytes,
    serving,
    written,
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ACCOUNT: Final = "AC" + "0" * 32
SERVICE: Final = "MG" + "1" * 32
SID: Final = "SM" + "2" * 32
CONTENT: Final = "HX" + "3" * 32
TAKEN: Final = {"sid": SID, "status": "queued", "error_code": None, "error_message": None}
SECRETS: Final = {"twilio_account_sid": ACCOUNT, "twilio_auth_token": "s3cret"}


@pytest.fixture
def twilio() -> Iterator[Server]:
    with serving() as server:
        server.answers(201, TAKEN)
        yield server


def channel(url: str, on: str = "sms", sender_id: str = "+15005550006", **changes: Any) -> TwilioChannel:
    settings: dict[str, Any] = {
        "http": patient(),
        "secrets": lambda: SECRETS,
        "routes": routes(on, "twilio", sender_id),
        "clock": clock,
        "url": url,
        **changes,
    }
    return TwilioChannel(**settings)


def form(server: Server) -> dict[str, str]:
    """Return the form of the only request; no name is repeated."""
    pairs = parse_qsl(server.request.body.decode(), strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def late(**changes: Any) -> OutboundMessage:
    """The instant is more than 24 hours after the person's last message."""
    return outbound(free_text_until=NOON, **changes)


def test_the_request_is_the_one_that_twilio_documents(twilio: Server) -> None:
    message = outbound("sms")
    sender = channel(twilio.url, webhook_url="https://hooks.example/")
    assert sender.send(message) == Accepted("twilio", SID)
    request = twilio.request
    assert (request.method, request.target) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    kind, _, credentials = request.headers["authorization"].partition(" ")
    assert (kind, b64decode(credentials)) == ("Basic", f"{ACCOUNT}:s3cret".encode())
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form(twilio) == {
        "To": ADDRESS,
        "From": "+15005550006",
        "Body": TEXT,
        "ValidityPeriod": "7192",
        "StatusCallback": "https://hooks.example/twilio/status?scheduled_message_id="
        f"{message.message.scheduled_message_id}&brand=acme-dental&channel=sms#rc=5&rp=all",
    }


@pytest.mark.parametrize("url", ["https://hooks.example", "https://hooks.example/"])
def test_the_status_goes_to_the_apps_own_webhook(twilio: Server, url: str) -> None:
    channel(twilio.url, webhook_url=url).send(outbound("sms"))
    assert form(twilio)["StatusCallback"].startswith("https://hooks.example/twilio/status?scheduled_message_id=")


def test_callback_url_lets_twilio_retry_failed_calls(twilio: Server) -> None:
    """A status that met a 5xx was lost: by default Twilio retries only if it could not connect."""
    channel(twilio.url, webhook_url="https://hooks.example").send(outbound("sms"))
    assert dict(parse_qsl(urlsplit(form(twilio)["StatusCallback"]).fragment)) == {"rc": "5", "rp": "all"}


@pytest.mark.parametrize(("on", "sender_id"), [("sms", SERVICE), ("whatsapp", "+15005550006")])
def test_callback_is_read_as_the_contacts_without_a_lookup(twilio: Server, on: str, sender_id: str) -> None:
    """A messaging service sends from any number of its pool, of which no route knows."""
    message = outbound(on)
    channel(twilio.url, on, sender_id, webhook_url="https://hooks.example").send(message)
    sent = form(twilio)
    status_call = {"MessageStatus": "delivered", "MessageSid": SID, "To": sent["To"], "From": "+15005550009"}
    query = dict(parse_qsl(urlsplit(sent["StatusCallback"]).query))
    (receipt,) = parse_twilio(status_call, query, routes=Routes(()), arrived_at=NOON).receipts
    assert receipt.contact == message.message.contact
    assert receipt.scheduled_message_id == message.message.scheduled_message_id


@pytest.mark.parametrize("sender_id", ["+15005550006", "whatsapp:+15005550006"])
def test_whatsapp_is_written_before_both_numbers(twilio: Server, sender_id: str) -> None:
    channel(twilio.url, "whatsapp", sender_id).send(outbound("whatsapp"))
    assert {**form(twilio), "ValidityPeriod": ""} == {
        "To": f"whatsapp:{ADDRESS}",
        "From": "whatsapp:+15005550006",
        "Body": TEXT,
        "ValidityPeriod": "",
    }


@pytest.mark.parametrize(("on", "to"), [("sms", ADDRESS), ("whatsapp", f"whatsapp:{ADDRESS}")])
def test_a_messaging_service_sends_in_its_own_name(twilio: Server, on: str, to: str) -> None:
    channel(twilio.url, on, SERVICE).send(outbound(on))
    sent = form(twilio)
    assert (sent["To"], sent["MessagingServiceSid"], "From" in sent) == (to, SERVICE, False)


@pytest.mark.parametrize(
    "sids",
    [
        {"appointment_reminder/vi": CONTENT, "appointment_reminder": "HX-of-another-language"},
        {"appointment_reminder": CONTENT},
        json.dumps({"appointment_reminder/vi": CONTENT}),
    ],
)
def test_after_24_hours_whatsapp_gets_the_approved_template(twilio: Server, sids: Any) -> None:
    message = late(wording=Wording(TEXT, "vi", "appointment_reminder", ("Acme\nDental", "12:00")))
    secrets = {**SECRETS, "twilio_content_sids": sids}
    channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(message)
    sent = form(twilio)
    assert "Body" not in sent
    assert sent["ContentSid"] == CONTENT
    assert json.loads(sent["ContentVariables"]) == {"1": "Acme Dental", "2": "12:00"}


def test_a_template_without_parameters_has_no_variables(twilio: Server) -> None:
    secrets = {**SECRETS, "twilio_content_sids": {"holiday_hours": CONTENT}}
    channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(late(wording=Wording(TEXT, "vi", "holiday_hours")))
    assert "ContentVariables" not in form(twilio)


@pytest.mark.parametrize(
    "sids", [None, {}, "", "not JSON", "[]", {"appointment_reminder/de": CONTENT}, {"appointment_reminder": ""}]
)
def test_missing_template_is_refused_with_its_reason(twilio: Server, sids: Any) -> None:
    secrets = {**SECRETS, "twilio_content_sids": sids}
    assert channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(late()) == Refused(
        "no ContentSid for appointment_reminder/vi in twilio_content_sids"
    )
    assert twilio.connections == 0


REPLIES: Final = tuple(QuickReply(label, f"id-{label}") for label in ("Xác nhận", "Hủy", "Đổi giờ"))


def test_within_24_hours_whatsapp_gets_three_buttons(twilio: Server) -> None:
    secrets = {**SECRETS, "twilio_content_sids": {"quick_replies": CONTENT}}
    message = outbound("whatsapp", wording=Wording(TEXT, "vi", "appointment_reminder", replies=REPLIES))
    channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(message)
    sent = form(twilio)
    assert (sent["ContentSid"], "Body" in sent) == (CONTENT, False)
    assert json.loads(sent["ContentVariables"]) == {
        "1": TEXT,
        "2": "Xác nhận",
        "3": "id-Xác nhận",
        "4": "Hủy",
        "5": "id-Hủy",
        "6": "Đổi giờ",
        "7": "id-Đổi giờ",
    }


@pytest.mark.parametrize(
    ("sids", "text", "replies"),
    [
        (None, TEXT, REPLIES),
        ({"appointment_reminder": CONTENT}, TEXT, REPLIES),
        ({"quick_replies": CONTENT}, TEXT, ()),
        ({"quick_replies": CONTENT}, TEXT, REPLIES[:1]),
        ({"quick_replies": CONTENT}, "x" * 1025, REPLIES),
        ({"quick_replies": CONTENT}, "two\nlines", REPLIES),
    ],
)
def test_what_does_not_fit_into_buttons_is_text(twilio: Server, sids: Any, text: str, replies: Any) -> None:
    secrets = {**SECRETS, "twilio_content_sids": sids}
    message = outbound("whatsapp", wording=Wording(text, "vi", "appointment_reminder", replies=replies))
    channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(message)
    assert (form(twilio)["Body"], "ContentSid" in form(twilio)) == (text, False)


def test_sms_has_no_buttons(twilio: Server) -> None:
    secrets = {**SECRETS, "twilio_content_sids": {"quick_replies": CONTENT}}
    message = outbound("sms", wording=Wording(TEXT, "vi", "appointment_reminder", replies=REPLIES))
    channel(twilio.url, secrets=lambda: secrets).send(message)
    assert form(twilio)["Body"] == TEXT


@pytest.mark.parametrize("has_replies", [True, False])
def test_a_template_with_buttons_has_their_ids(twilio: Server, has_replies: bool) -> None:
    secrets = {**SECRETS, "twilio_content_sids": {"reminder_answers": CONTENT}}
    parameters = ("Acme Dental", "12:00")
    wording = Wording(TEXT, "vi", "reminder_answers", parameters, REPLIES, template_has_replies=has_replies)
    channel(twilio.url, "whatsapp", secrets=lambda: secrets).send(late(wording=wording))
    ids = {"3": "id-Xác nhận", "4": "id-Hủy", "5": "id-Đổi giờ"} if has_replies else {}
    assert json.loads(form(twilio)["ContentVariables"]) == {"1": "Acme Dental", "2": "12:00", **ids}


def test_sms_is_free_text_at_any_time(twilio: Server) -> None:
    channel(twilio.url).send(late(channel="sms"))
    assert form(twilio)["Body"] == TEXT


@pytest.mark.parametrize(
    ("left", "validity"),
    [
        (timedelta(seconds=1), "1"),
        (timedelta(seconds=1.999), "1"),
        (timedelta(seconds=2), "2"),
        (timedelta(seconds=36_000), "36000"),
        (timedelta(seconds=36_001), "36000"),
        (timedelta(days=3), "36000"),
    ],
)
def test_twilio_may_keep_it_until_it_is_of_no_use(twilio: Server, left: timedelta, validity: str) -> None:
    """The time counts from when Twilio accepts the message, so after the longest request."""
    channel(twilio.url).send(outbound("sms", deliver_before=NOON + LONGEST + left))
    assert form(twilio)["ValidityPeriod"] == validity


@pytest.mark.parametrize("left", [timedelta(seconds=0.999), timedelta(), timedelta(hours=-1)])
def test_nothing_is_sent_with_less_than_a_second_left(twilio: Server, left: timedelta) -> None:
    message = outbound("sms", deliver_before=NOON + LONGEST + left)
    assert channel(twilio.url).send(message) == Retryable("too little time is left to deliver it", of_recipient=True)
    assert twilio.connections == 0


def test_of_several_tokens_the_first_is_ours(twilio: Server) -> None:
    """Calls may come in by several accounts, each with a token; messages go out by one."""
    sender = replace(channel(twilio.url), secrets=lambda: {**SECRETS, "twilio_auth_token": ["s3cret", "another's"]})
    assert isinstance(sender.send(outbound("sms")), Accepted)
    assert b64decode(twilio.request.headers["authorization"].removeprefix("Basic ")) == f"{ACCOUNT}:s3cret".encode()


@pytest.mark.parametrize(
    "keys",
    [
        {"twilio_auth_token": {"acme-dental": "s3cret", "another": "x"}},
        {"twilio_auth_token": {ACCOUNT: "s3cret", "AC2": "x"}},
        {"twilio_auth_token": {f"acme-dental/{ACCOUNT}": ["s3cret"], "acme-dental": "x"}},
        {"twilio_account_sid": {"acme-dental": ACCOUNT, "another": "AC2"}, "twilio_auth_token": {ACCOUNT: "s3cret"}},
    ],
)
def test_sends_with_the_key_of_the_brand(twilio: Server, keys: dict[str, object]) -> None:
    message = outbound("sms")
    brand = message.message.contact.brand
    named = json.loads(json.dumps(keys).replace("acme-dental", brand))
    sender = replace(channel(twilio.url), secrets=lambda: {**SECRETS, **named})
    assert isinstance(sender.send(message), Accepted)
    assert b64decode(twilio.request.headers["authorization"].removeprefix("Basic ")) == f"{ACCOUNT}:s3cret".encode()


def test_without_a_key_of_the_brand_the_message_is_retried(twilio: Server) -> None:
    sender = replace(channel(twilio.url), secrets=lambda: {**SECRETS, "twilio_auth_token": {"another": "x"}})
    assert isinstance(sender.send(outbound("sms")), Retryable)


def test_no_call_begins_after_the_snapshot_expired(twilio: Server) -> None:
    ready = outbound("sms", start_before=NOON)
    assert channel(twilio.url).send(ready) == Retryable("too late to begin")
    assert twilio.requests == []


@pytest.mark.parametrize("name", SECRETS)
def test_missing_secret_is_a_configuration_error(twilio: Server, name: str) -> None:
    secrets = {other: value for other, value in SECRETS.items() if other != name}
    assert channel(twilio.url, secrets=lambda: secrets).send(outbound("sms")) == Retryable(
        f"absent from the secrets: {name}"
    )
    assert twilio.connections == 0


def error(code: int, status: int) -> dict[str, Any]:
    """An error as Twilio writes it, with the address in it."""
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": f"{ADDRESS}: {TEXT}", "more_info": more_info, "status": status}


# https://www.twilio.com/docs/api/errors, written down a second time: the status, the code, and what it means here.
MEANINGS: Final = {
    OptedOut: [(400, 21610), (400, 63050)],
    Retryable: [
        (400, 63049),
        (429, 20429), (429, 14107), (429, 21611), (400, 21730), (400, 30001), (429, 63018), (429, 63038),
        (429, 63017), (400, 63053),
        (401, 20003), (403, 20003), (403, 20005), (403, 20006), (403, 20008), (403, 20403), (404, 20404),
        (403, 10001), (403, 90010), (403, 30002),
        (400, 21212), (400, 21603), (400, 21606), (400, 21607), (400, 21608), (400, 21609),
        (400, 21655), (400, 21659), (400, 21660),
        (404, 21701), (400, 21702), (400, 21703), (400, 21704), (400, 21705),
        (400, 63001), (400, 63007), (400, 63008), (400, 63015), (400, 63020), (400, 63027), (400, 63051),
        (400, 10002), (403, 20010),
        (400, 21264), (400, 21267), (400, 21601), (400, 21616), (400, 21654), (400, 21657), (400, 21661), (400, 21663),
        (400, 21668), (400, 21910),
        (400, 30032), (400, 30033), (400, 30034), (400, 30035), (400, 30037),
        (400, 63022), (400, 63040), (400, 63054), (400, 63056), (400, 63059), (400, 572006),
        (400, 99_999), (401, 99_999), (422, 99_999), (429, 99_999),  # unknown codes
    ],
    Refused: [
        (400, 21211), (400, 21214), (400, 21217), (400, 21408), (400, 21612), (400, 21614), (400, 21635),
        (400, 63003), (400, 63014), (400, 63024), (400, 63031), (400, 63032), (400, 63033),
        (400, 21617), (400, 21656), (400, 63005), (400, 63013), (400, 63016), (400, 63021), (400, 63028),
        (400, 63041), (400, 63042),
        (400, 21265), (400, 21266), (400, 21268),  (400, 63055), (400, 63058),
        (400, 21602), (400, 21618), (400, 21619), (400, 21658),
    ],
    Unknown: [
        (500, 20500), (503, 20503), (500, 63010), (500, 63012), (500, 99_999), (408, 99_999), (302, 99_999),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "code"), [(kind, *each) for kind, those in MEANINGS.items() for each in those]
)
def test_what_a_code_means(twilio: Server, kind: type[Refused | Unknown], status: int, code: int) -> None:
    twilio.answers(status, error(code, status))
    outcome = channel(twilio.url).send(outbound("sms"))
    assert type(outcome) is kind
    assert outcome.error.startswith(f"{code} ")
    assert ADDRESS not in outcome.error
    assert TEXT not in outcome.error
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(("code", "topic"), [(21610, "contact"), (63050, "marketing")])
def test_opt_out_scope_comes_from_twilios_code(twilio: Server, code: int, topic: str) -> None:
    twilio.answers(400, error(code, 400))
    outcome = channel(twilio.url).send(outbound("sms"))
    assert isinstance(outcome, OptedOut)
    assert outcome.topic == topic


def test_every_code_of_the_table_is_tried() -> None:
    assert CODES.keys() <= {code for those in MEANINGS.values() for _, code in those}


def test_throttling_waits_as_long_as_the_provider_requires(twilio: Server) -> None:
    twilio.answers(429, error(20429, 429), {"Retry-After": "7"})
    assert channel(twilio.url).send(outbound("sms")) == Retryable("20429 too many requests", timedelta(seconds=7))


ANSWERS: Final = {
    "throttled at the edge": (
        answer(429, b"<html>", {"Retry-After": "2"}),
        Retryable("HTTP 429", timedelta(seconds=2)),
    ),
    "unauthorized": (answer(401), Retryable("HTTP 401")),
    "bad request": (answer(400, b"<html>"), Refused("HTTP 400")),
    "a bad gateway": (answer(502, b"<html>"), Unknown("HTTP 502")),
    "an error after it was taken": (answer(500, TAKEN), Unknown("HTTP 500")),
    "a redirect": (answer(307, headers={"Location": "/elsewhere"}), Unknown("HTTP 307")),
    "a success without a sid": (answer(201, {"status": "queued"}), Unknown("HTTP 201")),
    "a success that is not JSON": (answer(201, b"<Message/>"), Unknown("HTTP 201")),
    "half an answer": (sends_bytes(written(201, TAKEN)[:-5]), Unknown("IncompleteRead")),
    "no answer": (is_silent, Unknown("TimeoutError")),
    "a reset": (resets, Unknown("ConnectionResetError")),
}


@pytest.mark.parametrize(("behaves", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_means_without_a_code(twilio: Server, behaves: Behaviour, outcome: object) -> None:
    twilio.behaves = behaves
    assert channel(twilio.url, http=patient(read=1)).send(outbound("sms")) == outcome
    assert (twilio.connections, len(twilio.requests)) == (1, 1)


def test_refused_connection_is_retried() -> None:
    with closed_port() as url:
        assert channel(url).send(outbound("sms")) == Retryable("NewConnectionError")


def test_metas_limit_of_a_recipient_waits_a_day(twilio: Server) -> None:
    """Meta limits marketing to one person for a while: the message failed for good, and the route is not to blame."""
    twilio.answers(400, error(63049, 400))
    outcome = channel(twilio.url).send(outbound("sms"))
    assert outcome == Retryable("63049 Meta chose not to deliver", timedelta(days=1), of_recipient=True)
