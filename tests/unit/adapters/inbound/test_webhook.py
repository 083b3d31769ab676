"""The webhook endpoints: which calls are accepted, the responses, and the parsed content."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.webhook import _ENDPOINTS, RETRIED_FOR, Answer, answer, without_secrets
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    BUSINESS_MESSAGE,
    NOW,
    OURS,
    RCS_TEXT,
    ROUTES,
    SHEENA,
    TEXT,
    TWILIO_SMS,
    TWILIO_STATUS,
    meta_call,
    meta_entry,
    meta_message,
    meta_preference,
    meta_status,
    rcs_call,
)

SECRETS: Final = {
    "meta_app_secret": "the app's",
    "meta_verify_token": "verify me",
    "twilio_auth_token": "12345",
    "rcs_client_token": "SJENCPGJESMGUFPY",
    "google_business_messages_key": "the partner's",
}
SIGNATURE_LENGTHS: Final = {"x-hub-signature-256": 71, "x-twilio-signature": 28, "x-goog-signature": 88}
EPOCH: Final = int(NOW.timestamp())
MESSAGE: Final = json.dumps(meta_message({"timestamp": str(EPOCH - 60)})).encode()
DOMAIN: Final = "abcdefghij.lambda-url.eu-central-1.on.aws"


JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


def event(
    path: str,
    body: str | bytes = b"",
    *,
    method: str = "POST",
    query: str = "",
    headers: Any = None,
    content_type: str = JSON,
) -> dict[str, Any]:
    """docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html: bytes come as base64."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": content_type} | (headers or {}),
        "requestContext": {"domainName": DOMAIN, "http": {"method": method, "path": path}},
        "body": body if isinstance(body, str) else base64.b64encode(body).decode(),
        "isBase64Encoded": isinstance(body, bytes),
    }


def answered(call: Any, *, secrets: Mapping[str, Any] = SECRETS, public_url: str = "") -> Answer:
    return answer(call, secrets=secrets, routes=ROUTES, arrived_at=NOW, public_url=public_url)


def from_meta(body: bytes, key: str = "the app's") -> dict[str, Any]:
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return event("/meta", body, headers={"x-hub-signature-256": f"sha256={signature}"})


def from_twilio(params: Mapping[str, str], *, path: str = "/twilio", query: str = "", host: str = "") -> dict[str, Any]:
    url = (host or f"https://{DOMAIN}") + path + (f"?{query}" if query else "")
    signed = url + "".join(name + params[name] for name in sorted(params))
    signature = base64.b64encode(hmac.digest(b"12345", signed.encode(), "sha1")).decode()
    headers = {"X-Twilio-Signature": signature}
    return event(path, urlencode(params), query=query, headers=headers, content_type=FORM)


def from_google(path: str, body: Any, signed: bytes, key: str) -> dict[str, Any]:
    signature = base64.b64encode(hmac.digest(key.encode(), signed, "sha512")).decode()
    return event(path, body if isinstance(body, str) else json.dumps(body), headers={"x-goog-signature": signature})


# Meta


def test_metas_call_is_read_where_it_is_signed() -> None:
    got = answered(from_meta(MESSAGE))
    assert (got.status, got.body) == (200, "")
    assert got.parsed
    assert len(got.parsed.messages) == 1


def test_the_former_secret_is_good_while_it_is_changed() -> None:
    call = from_meta(MESSAGE, "the former one")
    assert answered(call).status == 403
    assert answered(call, secrets={**SECRETS, "meta_app_secret_previous": "the former one"}).status == 200


def test_of_several_secrets_each_is_good() -> None:
    """Two accounts of Twilio call, each with its own token; so do agents of RCS."""
    several = {**SECRETS, "meta_app_secret": ["the app's", "another's", "", 7]}
    assert answered(from_meta(MESSAGE), secrets=several).status == 200
    assert answered(from_meta(MESSAGE, "another's"), secrets=several).status == 200
    assert answered(from_meta(MESSAGE, ""), secrets=several).status == 403


@each_of(
    "secrets",
    [{}, *({"meta_app_secret": none} for none in ("", None, 7, [], [""], {"the app's": ""}, [["the app's"]]))],
)
def test_no_call_is_accepted_without_a_secret(secrets: Any) -> None:
    assert answered(from_meta(b"{}", ""), secrets=secrets) == Answer(403)


def test_a_call_of_twilios_cannot_be_cut_anew() -> None:
    """A person who had texted "STOPFrom+12025559999FromA" cut their own signed call into a STOP from that number."""
    texted = {"Body": "STOPFrom+12025559999FromA", "From": "+12025550123", "FromCity": "RENO", "MessageSid": "SM1"}
    cut = {"Body": "STOP", "From": "+12025559999", "FromA": "From+12025550123", "FromCity": "RENO", "MessageSid": "SM1"}
    both = [from_twilio(each) for each in (texted, cut)]
    assert both[0]["headers"]["X-Twilio-Signature"] == both[1]["headers"]["X-Twilio-Signature"]
    expected = ParsedCall(errors=["$: the signed text could be that of two senders"])
    assert [answered(each).parsed for each in both] == [expected] * 2


@pytest.mark.parametrize("text", ["Fromage: yes", "From Reno?", "from+12025550123", "I got it From: you"])
def test_what_merely_looks_like_a_sender_is_a_text(text: str) -> None:
    got = answered(from_twilio({**TWILIO_SMS, "Body": text}))
    assert got.parsed
    assert [each.text for each in got.parsed.messages] == [text]


def test_nothing_is_read_of_a_call_with_a_wrong_signature() -> None:
    call = from_meta(MESSAGE)
    call["body"] = base64.b64encode(MESSAGE.replace(b"color", b"colour")).decode()
    assert answered(call) == Answer(403)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xff", b"[" * 100_000])
def test_signed_body_that_is_no_json_is_an_error(body: bytes) -> None:
    assert answered(from_meta(body)) == Answer(200, parsed=ParsedCall(errors=["$: expected JSON"]))


def challenge(**more: str) -> dict[str, Any]:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "verify me", **more}
    return event("/meta", "", method="GET", query=urlencode(query))


def test_metas_challenge_is_given_back_to_who_knows_the_token() -> None:
    assert answered(challenge()) == Answer(200, "1158201444")


@pytest.mark.parametrize(
    "more",
    [
        {"hub.verify_token": "verify you"},
        {"hub.verify_token": ""},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": ""},
        {"hub.challenge": "<script>"},
        {"hub.challenge": "1" * 513},
    ],
)
def test_wrong_token_gets_no_challenge_back(more: dict[str, str]) -> None:
    assert answered(challenge(**more)) == Answer(403)


def test_without_a_token_of_ours_there_is_no_challenge() -> None:
    assert answered(challenge(**{"hub.verify_token": ""}), secrets={}) == Answer(403)


# Twilio


def test_twilio_message_gets_an_empty_response() -> None:
    got = answered(from_twilio(TWILIO_SMS))
    assert (got.status, got.content_type) == (200, "text/xml")
    assert got.body.endswith("<Response/>")
    assert got.parsed
    assert [each.text for each in got.parsed.messages] == ["Ahoy! Is Saturday free?"]


def test_twilios_callback_names_our_message_in_its_query() -> None:
    got = answered(from_twilio(TWILIO_STATUS, path="/twilio/status", query=f"scheduled_message_id={OURS}"))
    assert got.parsed
    assert [each.scheduled_message_id for each in got.parsed.receipts] == [OURS]


def test_our_id_in_the_query_is_part_of_what_is_signed() -> None:
    call = from_twilio(TWILIO_STATUS, path="/twilio/status", query=f"scheduled_message_id={OURS}")
    call["rawQueryString"] = f"scheduled_message_id={OURS.replace('f', '0')}"
    assert answered(call) == Answer(403)


def test_twilio_signature_uses_the_public_url_of_a_proxy() -> None:
    call = from_twilio(TWILIO_SMS, host="https://hooks.acme.example/v1")
    assert answered(call) == Answer(403)
    assert answered(call, public_url="https://hooks.acme.example/v1/").status == 200
    assert answered(from_twilio(TWILIO_SMS), public_url="https://hooks.acme.example/v1").status == 200


def test_a_field_that_twilio_did_not_sign_is_not_let_in() -> None:
    call = from_twilio(TWILIO_SMS)
    call["body"] += "&OptOutType=STOP"
    assert answered(call) == Answer(403)


def test_a_form_is_signed_as_it_is_meant_whatever_its_letters() -> None:
    got = answered(from_twilio({**TWILIO_SMS, "Body": "Hủy & 100 % 👍 + \n"}))
    assert got.parsed
    assert [each.text for each in got.parsed.messages] == ["Hủy & 100 % 👍 + \n"]


# Google


def test_rcs_signs_the_data_inside_the_call() -> None:
    data = json.dumps({**RCS_TEXT, "sendTime": "2031-05-06T07:08:08.045123456Z"}).encode()
    got = answered(from_google("/rcs", rcs_call(data), data, "SJENCPGJESMGUFPY"))
    assert got.parsed
    assert [each.text for each in got.parsed.messages] == ["Hi"]
    assert answered(from_google("/rcs", rcs_call(data), data + b" ", "SJENCPGJESMGUFPY")) == Answer(403)
    assert answered(from_google("/rcs", rcs_call(data), data, "another")) == Answer(403)


def test_business_messages_signs_the_whole_body() -> None:
    """The call is of 2020, as all replayed calls are: the service was retired in 2024."""
    body = json.dumps(dict(BUSINESS_MESSAGE))
    got = answered(from_google("/google-business-messages", body, body.encode(), "the partner's"))
    assert got.status == 200
    assert got.parsed
    assert [each.text for each in got.parsed.messages] == ["Hello, I'm World!"]
    assert answered(from_google("/google-business-messages", body, b"another", "the partner's")) == Answer(403)


@pytest.mark.parametrize(
    ("path", "token"), [("/rcs", "SJENCPGJESMGUFPY"), ("/google-business-messages", "the partner's")]
)
def test_setting_up_is_answered_with_the_secret(path: str, token: str) -> None:
    call = event(path, json.dumps({"clientToken": token, "secret": "1234567890"}))
    assert answered(call) == Answer(200, "1234567890")
    assert answered(event(path, json.dumps({"clientToken": "x", "secret": "1234567890"}))) == Answer(403)


@each_of("path", ["/rcs", "/google-business-messages"])
@each_of("body", ["", "{", "[]", "[" * 100_000])
def test_what_is_neither_is_not_let_in(path: str, body: str) -> None:
    assert answered(event(path, body)) == Answer(403)


def test_signed_business_message_without_json_is_an_error() -> None:
    call = from_google("/google-business-messages", "{", b"{", "the partner's")
    assert answered(call) == Answer(200, parsed=ParsedCall(errors=["$: expected JSON"]))


# Paths, methods and hosts


@pytest.mark.parametrize("path", ["", "/", "/elsewhere", "/meta/x", "/META"])
def test_refuses_every_other_path(path: str) -> None:
    assert answered(event(path)) == Answer(404)


@pytest.mark.parametrize(("path", "method"), [("/meta", "PUT"), ("/twilio", "GET"), ("/rcs", "GET"), ("/rcs", "")])
def test_each_path_has_its_own_methods(path: str, method: str) -> None:
    refused = answered(event(path, method=method))
    allowed = "GET, POST" if path == "/meta" else "POST"
    assert refused == Answer(405, allow=allowed)
    assert refused.response["headers"]["Allow"] == allowed


@pytest.mark.parametrize("body", ["%%%", "ü", "\ud800"])
def test_missing_body_is_refused(body: str) -> None:
    signed = from_meta(MESSAGE)
    assert answered({**signed, "body": body, "isBase64Encoded": True}) == Answer(400)
    assert answered({**signed, "body": "\ud800", "isBase64Encoded": False}) == Answer(400)


@pytest.mark.parametrize("path", _ENDPOINTS)
def test_refuses_a_body_over_the_limit_of_its_endpoint(path: str) -> None:
    """The limit counts bytes, as they were before base64."""
    endpoint = _ENDPOINTS[path]
    headers = {endpoint.header: "x" * SIGNATURE_LENGTHS[endpoint.header]}
    for body in ("x", "\u00fc", b"x"):
        length = len(body.encode() if isinstance(body, str) else body)
        for size, status in ((endpoint.max_body // length, 403), (endpoint.max_body // length + 1, 413)):
            call = event(f"/{path}", body * size, content_type=endpoint.content_type, headers=headers)
            assert answered(call) == Answer(status)


@pytest.mark.parametrize("path", _ENDPOINTS)
def test_refuses_without_decoding_if_no_key_is_configured(path: str) -> None:
    """Three megabytes of JSON were parsed before any key was looked at."""
    endpoint = _ENDPOINTS[path]
    headers = {endpoint.header: "x" * SIGNATURE_LENGTHS[endpoint.header]}
    call = event(f"/{path}", "%" * 5_000_000, content_type=endpoint.content_type, headers=headers)
    assert answered(call | {"isBase64Encoded": True}, secrets={}) == Answer(403)


@pytest.mark.parametrize("path", _ENDPOINTS)
def test_refuses_without_decoding_if_no_signature_is_present(path: str) -> None:
    endpoint = _ENDPOINTS[path]
    for headers in ({}, {endpoint.header: "sha256=0"}):
        call = event(f"/{path}", "%" * 100_000, content_type=endpoint.content_type, headers=headers)
        assert answered(call | {"isBase64Encoded": True}) == Answer(403)


def test_refuses_a_nested_envelope_without_parsing_it() -> None:
    nested = "[" + "[" * 900 + "]" * 900 + "]"
    assert answered(from_google("/rcs", nested, b"", "SJENCPGJESMGUFPY")) == Answer(403)


PROXY: Final = {**SECRETS, "webhook_proxy_secret": "through the proxy"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-proxy": ""}, 403),
        ({"x-proxy": "guessed"}, 403),
        ({"x-other": "through the proxy"}, 403),
        ({"x-proxy": "through the proxy"}, 200),
        ({"X-Proxy": "through the proxy"}, 200),
    ],
)
def test_direct_calls_are_refused_if_a_proxy_header_is_set(headers: dict[str, str], status: int) -> None:
    call = from_meta(MESSAGE)
    call["headers"] |= headers
    got = answer(call, secrets=PROXY, routes=ROUTES, arrived_at=NOW, proxy_header="X-Proxy")
    assert got.status == status


def test_refuses_every_call_if_the_proxy_secret_is_missing() -> None:
    call = from_meta(MESSAGE)
    call["headers"]["x-proxy"] = ""
    assert answer(call, secrets=SECRETS, routes=ROUTES, arrived_at=NOW, proxy_header="X-Proxy") == Answer(403)


# Keys of brands and accounts

ACCOUNT: Final = "AC" + "0" * 31 + "1"
OTHER: Final = "AC" + "0" * 31 + "2"


@each_of(
    ("tokens", "account", "status"),
    [
        ({ACCOUNT: "12345"}, ACCOUNT, 200),
        ({ACCOUNT: "12345"}, OTHER, 403),
        ({ACCOUNT: "12345"}, None, 403),
        ({ACCOUNT: "another", OTHER: "12345"}, ACCOUNT, 403),
        ({ACCOUNT: ["another", "12345"]}, ACCOUNT, 200),
        (["another", "12345"], OTHER, 200),
        ({f"acme-dental/{ACCOUNT}": "12345"}, ACCOUNT, 200),
        ({f"acme-dental/{ACCOUNT}": "12345"}, OTHER, 403),
    ],
)
def test_a_token_is_valid_for_its_account_only(tokens: Any, account: str | None, status: int) -> None:
    params = {**TWILIO_SMS, "AccountSid": account} if account else {**TWILIO_SMS}
    params = {name: value for name, value in params.items() if account or name != "AccountSid"}
    assert answered(from_twilio(params), secrets={**SECRETS, "twilio_auth_token": tokens}).status == status


@pytest.mark.parametrize(
    ("name", "secret", "call"),
    [
        ("meta_app_secret", "the app's", from_meta(MESSAGE)),
        ("twilio_auth_token", "12345", from_twilio(TWILIO_SMS)),
    ],
)
def test_a_key_is_valid_for_its_brand_only(name: str, secret: str, call: dict[str, Any]) -> None:
    """With the token of one brand's account, opt-ins and receipts of another brand could be forged."""
    own = answered(call, secrets={**SECRETS, name: {"acme-dental": secret}}).parsed
    other = answered(call, secrets={**SECRETS, name: {"acme-optics": secret, "acme-dental": "x"}}).parsed
    assert own
    assert other
    assert (len(own.messages), own.errors) == (1, [])
    assert other.messages == []
    assert other.errors == ["$: the key of this call belongs to another brand than 1 of its entries"]


def test_a_kept_call_has_only_safe_headers() -> None:
    kept = {"content-type": "application/json", "User-Agent": "curl"}
    call = {"headers": {**kept, "authorization": "Basic x", "cookie": "a=b", "x-hub-signature-256": "sha256=0"}}
    assert without_secrets(call | {"cookies": ["a=b"], "body": "{}"}) == {"headers": kept, "body": "{}"}
    assert without_secrets({"Records": []}) == {"Records": []}


def test_the_largest_body_that_is_signed_is_read() -> None:
    whole = MESSAGE + b" " * (_ENDPOINTS["meta"].max_body - len(MESSAGE))
    got = answered(from_meta(whole))
    assert got.status == 200
    assert got.parsed
    assert len(got.parsed.messages) == 1
    assert answered(from_meta(whole + b" ")) == Answer(413)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/jsonp", "multipart/form-data; boundary=x", ";"]
)
def test_another_content_type_is_not_read_though_it_is_signed(content_type: str) -> None:
    assert answered(from_meta(MESSAGE) | {"headers": _with(from_meta(MESSAGE), content_type)}) == Answer(415)
    assert answered(from_twilio(TWILIO_SMS) | {"headers": _with(from_twilio(TWILIO_SMS), content_type)}) == Answer(415)


def test_json_is_no_form_and_a_form_no_json() -> None:
    assert answered(from_meta(MESSAGE) | {"headers": _with(from_meta(MESSAGE), FORM)}) == Answer(415)
    assert answered(from_twilio(TWILIO_SMS) | {"headers": _with(from_twilio(TWILIO_SMS), JSON)}) == Answer(415)
    assert answered(event("/rcs", "{}", content_type=FORM)) == Answer(415)
    assert answered(event("/twilio/status", "", content_type=JSON)) == Answer(415)


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/JSON", "application/json; charset=utf-8", " application/json ;x"]
)
def test_content_type_may_have_parameters_and_case(content_type: str) -> None:
    assert answered(from_meta(MESSAGE) | {"headers": _with(from_meta(MESSAGE), content_type)}).status == 200


def test_a_challenge_has_no_body_and_so_no_content_type() -> None:
    assert answered(challenge() | {"headers": {}}).status == 200


def _with(call: Mapping[str, Any], content_type: str) -> dict[str, Any]:
    return {**call["headers"], "content-type": content_type}


# Old calls


def event_at(*instants: datetime) -> bytes:
    """Return a call of Meta's with one message for each instant."""
    messages = [{**TEXT, "id": f"wamid.{number}", "timestamp": _epoch(at)} for number, at in enumerate(instants)]
    return json.dumps(meta_call(meta_entry({"contacts": [dict(SHEENA)], "messages": messages}))).encode()


def _epoch(at: datetime) -> str:
    return str(int(at.timestamp()))


OLD: Final = NOW - RETRIED_FOR - timedelta(seconds=1)


def test_signed_call_older_than_any_retry_is_refused() -> None:
    """It may be a recorded call: an old message would open a window, and undo a STOP, today."""
    assert answered(from_meta(event_at(OLD))) == Answer(400)
    assert answered(from_meta(event_at(OLD, OLD - timedelta(days=900)))) == Answer(400)
    got = answered(from_meta(event_at(NOW - RETRIED_FOR)))
    assert got.status == 200
    assert got.parsed
    assert len(got.parsed.messages) == 1


def test_eight_days_are_longer_than_any_provider_tries() -> None:
    assert timedelta(days=7) < RETRIED_FOR == timedelta(days=8)


def test_age_of_a_call_is_that_of_its_newest_event() -> None:
    got = answered(from_meta(event_at(OLD, NOW)))
    assert got.parsed
    assert len(got.parsed.messages) == 2


def test_an_old_receipt_and_an_old_choice_are_not_read_either() -> None:
    assert answered(from_meta(json.dumps(meta_status({"timestamp": _epoch(OLD)})).encode())) == Answer(400)
    assert answered(from_meta(json.dumps(meta_status({"timestamp": _epoch(NOW)})).encode())).status == 200
    for at, status in ((OLD, 400), (NOW, 200)):
        preference = meta_preference({"timestamp": int(at.timestamp())})
        assert answered(from_meta(json.dumps(preference).encode())).status == status


def test_an_old_call_of_googles_is_not_read() -> None:
    data = json.dumps(dict(RCS_TEXT)).encode()  # of 2014
    assert answered(from_google("/rcs", rcs_call(data), data, "SJENCPGJESMGUFPY")) == Answer(400)


def test_what_is_ahead_of_our_clock_is_not_old() -> None:
    assert answered(from_meta(event_at(NOW + timedelta(days=1)))).status == 200


def test_call_without_instants_is_never_too_old() -> None:
    """Errors are kept, and ignored parts do no harm."""
    broken = meta_message({"timestamp": "yesterday"})
    got = answered(from_meta(json.dumps(broken).encode()))
    assert got.status == 200
    assert got.parsed
    assert len(got.parsed.errors) == 1


def test_unsigned_old_call_gets_403_not_400() -> None:
    assert answered(from_meta(event_at(OLD), "another")) == Answer(403)


# Its form


def test_slash_at_the_end_is_the_same_path() -> None:
    assert answered(event("/meta/")) == Answer(403)


def test_the_answer_is_in_the_form_of_a_function_url() -> None:
    assert Answer(200, "1158201444").response == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain"},
        "body": "1158201444",
    }


@pytest.mark.parametrize(
    ("host", "status"), [(DOMAIN, 200), (DOMAIN.upper(), 200), ("chat.acme.example", 200), ("evil.example", 421)]
)
def test_refuses_a_call_for_another_host(host: str, status: int) -> None:
    call = from_meta(MESSAGE)
    call["headers"]["host"] = host
    assert answered(call, public_url="https://chat.acme.example/hooks").status == status
