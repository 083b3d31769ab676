"""WhatsApp by Meta over real sockets: the request, each response, and each way in which a request can fail."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.client import HTTPConnection
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from reengage.adapters.channels.http import BODY_LIMIT, Http
from reengage.adapters.channels.meta import CODES, VERSION, MetaChannel
from reengage.errors import ConfigurationError
from reengage.ports import Accepted, OptedOut, Refused, Retryable, Unknown
from tests.integration.channels.wire import (
    ADDRESS,
    NOON,
    TEXT,
    Behaviour,
    Server,
    answer,
    clock,
    closed_port,
    drips,
    full,
    hasty,
    is_silent,
    outbound,
    patient,
    resets,
    routes,
    sends_bytes,
    serving,
    stops_after,
    written,
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN: Final = "EAAJB-token"  # noqa: S105 - not a real token
WAMID: Final = "wamid.HBgLNDQ3NzAwOTAwMTg3FQIAERgS"
TAKEN: Final = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": ADDRESS, "wa_id": "447700900187"}],
    "messages": [{"id": WAMID, "message_status": "accepted"}],
}


@pytest.fixture
def meta() -> Iterator[Server]:
    with serving() as server:
        server.answers(200, TAKEN)
        yield server


def channel(url: str, http: Http | None = None, **changes: Any) -> MetaChannel:
    settings: dict[str, Any] = {
        "http": http or patient(),
        "secrets": lambda: {"meta_access_token": TOKEN},
        "routes": routes("whatsapp", "meta", "106540352242922"),
        "clock": clock,
        "url": url,
        **changes,
    }
    return MetaChannel(**settings)


def error(code: int, **more: Any) -> dict[str, Any]:
    """An error as Meta writes it, with the address in it."""
    return {"error": {"message": f"(#{code}) {ADDRESS}: {TEXT}", "type": "OAuthException", "code": code, **more}}


def test_the_request_is_the_one_that_meta_documents(meta: Server) -> None:
    message = outbound()
    assert channel(meta.url).send(message) == Accepted("meta", WAMID)
    request = meta.request
    assert (request.method, request.target) == ("POST", f"/{VERSION}/106540352242922/messages")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": ADDRESS,
        "type": "text",
        "text": {"body": TEXT, "preview_url": False},
        "biz_opaque_callback_data": message.message.scheduled_message_id,
    }


def test_an_identity_cannot_change_the_path(meta: Server) -> None:
    channel(meta.url, routes=routes("whatsapp", "meta", "../me?x=1")).send(outbound())
    assert meta.request.target == f"/{VERSION}/..%2Fme%3Fx%3D1/messages"


def test_secret_is_read_at_each_send(meta: Server) -> None:
    tokens = iter(["first", "second"])
    sender = channel(meta.url, secrets=lambda: {"meta_access_token": next(tokens)})
    sender.send(outbound())
    sender.send(outbound())
    assert [request.headers["authorization"] for request in meta.requests] == ["Bearer first", "Bearer second"]


def unreadable() -> dict[str, str]:
    raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")


def no_object() -> dict[str, str]:
    raise ConfigurationError("expected a JSON object")


@pytest.mark.parametrize(
    ("secrets", "error_text"),
    [
        (dict, "absent from the secrets: meta_access_token"),
        (lambda: {"meta_access_token": ""}, "absent from the secrets: meta_access_token"),
        (lambda: {"meta_access_token": "two\nlines"}, "ValueError"),
        (lambda: {"meta_access_token": "Ω"}, "UnicodeEncodeError"),
        (unreadable, "the secrets cannot be read: ClientError"),
        (no_object, "the secrets cannot be read: ConfigurationError"),
    ],
)
def test_unusable_secret_is_a_configuration_error(meta: Server, secrets: Any, error_text: str) -> None:
    assert channel(meta.url, secrets=secrets).send(outbound()) == Retryable(error_text)
    assert meta.requests == []


# https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes, written down a second
# time: the status that comes with the code, the code, and what it means here.
MEANINGS: Final = {
    Retryable: [
        (400, 131049),
        (400, 4), (400, 17), (400, 613), (400, 80007), (400, 80008), (400, 130429), (400, 131048), (400, 131056),
        (400, 131064), (400, 132069),
        (400, 2500), (401, 0), (500, 3), (403, 10), (401, 190), (403, 200), (403, 299), (403, 131005),
        (400, 33), (403, 368), (400, 131030), (403, 131031), (400, 131037), (400, 131042), (500, 131045),
        (500, 131057), (404, 132001), (400, 133010),
        (400, 131063), (400, 134011), (400, 134101), (500, 134102), (400, 2494100),
        (400, 999_999), (404, 999_999), (410, 999_999), (429, 999_999),  # unknown codes
    ],
    OptedOut: [(400, 131050)],
    Refused: [
        (400, 130403), (400, 130472), (403, 130497), (400, 131021), (400, 131026), (400, 131047),
        (400, 131055), (400, 131062), (400, 132018), (400, 132068), (400, 134100),
        (400, 100), (400, 131008), (400, 131009), (400, 131051), (400, 132000), (400, 132005),
        (400, 132007), (400, 132012), (400, 132015), (400, 132016), (400, 135000),
    ],
    Unknown: [
        (400, 1), (503, 2), (500, 131000), (500, 131016), (503, 133004),
        (500, 999_999), (408, 999_999), (302, 999_999), (200, 999_999),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "code"), [(kind, *each) for kind, those in MEANINGS.items() for each in those]
)
def test_what_a_code_means(meta: Server, kind: type[Refused | Unknown], status: int, code: int) -> None:
    meta.answers(status, error(code))
    outcome = channel(meta.url).send(outbound())
    assert type(outcome) is kind
    assert outcome.error.startswith(f"{code} ")
    assert ADDRESS not in outcome.error
    assert TEXT not in outcome.error
    assert len(meta.requests) == 1


def test_no_code_of_the_table_opts_out_of_the_brand() -> None:
    tried = {code for those in MEANINGS.values() for _, code in those}
    assert {code for code in CODES if code not in range(201, 299)} - tried == set()
    outcomes = [kind(title) for kind, title in CODES.values()]
    assert {outcome.topic for outcome in outcomes if isinstance(outcome, OptedOut)} == {"marketing"}


def test_who_has_stopped_marketing_has_stopped_that_alone(meta: Server) -> None:
    """The opt-out was stored if a later status reported it, but not if the response did."""
    meta.answers(400, error(131050))
    outcome = channel(meta.url).send(outbound())
    assert outcome == OptedOut("131050 user has stopped receipt of marketing messages", topic="marketing")


@pytest.mark.parametrize("is_transient", [True, False])
def test_unknown_code_is_retried(meta: Server, is_transient: bool) -> None:
    """The message was refused for good, even if Meta called the error temporary."""
    meta.answers(400, error(131_999, is_transient=is_transient))
    assert channel(meta.url).send(outbound()) == Retryable("131999 with HTTP 400", of_recipient=True)


def test_the_errors_text_is_metas_short_title(meta: Server) -> None:
    meta.answers(400, error(131047, error_data={"details": TEXT}))
    assert channel(meta.url).send(outbound()) == Refused("131047 re-engagement message")


def test_wrong_phone_number_id_is_a_configuration_error(meta: Server) -> None:
    meta.answers(400, error(100, error_subcode=33))
    assert channel(meta.url).send(outbound()) == Retryable("100/33 no such phone number id")


HINTS: Final = {
    "seconds": ("90", timedelta(seconds=90)),
    "a date": (format_datetime(NOON + timedelta(minutes=5), usegmt=True), timedelta(minutes=5)),
    "a date without a zone": ((NOON + timedelta(minutes=5)).strftime("%d %b %Y %H:%M:%S -0000"), timedelta(minutes=5)),
    "a date that is past": (format_datetime(NOON - timedelta(hours=1), usegmt=True), timedelta()),
    "a date in a hundred years": ("Fri, 01 Jan 2131 00:00:00 GMT", timedelta(days=1)),
    "a date beyond the calendar": ("Mon, 01 Jan 99999999999999999999999 00:00:00 GMT", None),
    "many digits": ("9" * 5000, timedelta(days=1)),
    "a digit that is none": ("\u00b2", None),
    "a word": ("soon", None),
    "nothing": ("", None),
    "a fraction": ("1.5", None),
}


@pytest.mark.parametrize(("header", "wait"), HINTS.values(), ids=HINTS)
def test_throttling_waits_as_long_as_the_provider_requires(meta: Server, header: str, wait: timedelta | None) -> None:
    meta.behaves = sends_bytes(
        written(429, error(130429), {"Retry-After": "?"}).replace(b"?", header.encode("latin-1"), 1)
    )
    assert channel(meta.url).send(outbound()) == Retryable("130429 rate limit hit", wait)


def used(*minutes: Any) -> str:
    """The header in which Meta reports the use of each limit of a business."""
    limits: list[dict[str, Any]] = [{"type": "whatsapp", "call_count": 100, "total_time": 25} for _ in minutes]
    for limit, each in zip(limits, minutes, strict=True):
        if each is not ...:
            limit["estimated_time_to_regain_access"] = each
    return json.dumps({"106540352242922": limits[:1], "another": limits[1:]})


HUGE: Final = 10**400
USAGES: Final = {
    "minutes": (used(19), timedelta(minutes=19)),
    "the longest of several": (used(3, 19, 7), timedelta(minutes=19)),
    "of another limit": (used(0, 5), timedelta(minutes=5)),
    "beside what cannot be read": (used("soon", 5), timedelta(minutes=5)),
    "more than a day": (used(10_000), timedelta(days=1)),
    "more than there are days": (used(HUGE), timedelta(days=1)),
    "not throttled": (used(0), None),
    "negative": (used(-5), None),
    "not said": (used(...), None),
    "a word": (used("19"), None),
    "a fraction": (used(19.5), None),
    "yes": (used(True), None),
    "not a number": (used(float("nan")), None),
    "nothing": ("", None),
    "no JSON": ("19", None),
    "half of it": (used(19)[:-5], None),
    "a list": ("[19]", None),
    "no list": ('{"1": {"estimated_time_to_regain_access": 19}}', None),
    "a list of numbers": ('{"1": [19]}', None),
    "nested for ever": ("[" * 20_000, None),
    "twice": (f"{used(19)}, {used(19)}", None),
}


@pytest.mark.parametrize(("header", "wait"), USAGES.values(), ids=USAGES)
def test_throttling_wait_may_be_in_minutes(meta: Server, header: str, wait: timedelta | None) -> None:
    meta.answers(400, error(80007), {"X-Business-Use-Case-Usage": header})
    assert channel(meta.url).send(outbound()) == Retryable("80007 rate limit issues", wait)


def test_retry_after_comes_before_the_minutes(meta: Server) -> None:
    meta.answers(429, error(130429), {"Retry-After": "90", "X-Business-Use-Case-Usage": used(19)})
    assert channel(meta.url).send(outbound()) == Retryable("130429 rate limit hit", timedelta(seconds=90))


@pytest.mark.parametrize(
    ("status", "body", "wait"),
    [
        (429, b"slow down", timedelta(minutes=19)),
        (429, error(999_999), timedelta(minutes=19)),
        (401, error(190), None),
        (400, error(999_999), None),
        (500, error(131_000), None),
        (400, error(131_047), None),
    ],
)
def test_only_a_throttle_is_waited_for_by_the_minute(
    meta: Server, status: int, body: Any, wait: timedelta | None
) -> None:
    meta.answers(status, body, {"X-Business-Use-Case-Usage": used(19)})
    assert getattr(channel(meta.url).send(outbound()), "retry_after", None) == wait


@pytest.mark.parametrize("name", ["X-App-Usage", "X-Ad-Account-Usage"])
def test_other_usage_headers_give_no_wait(meta: Server, name: str) -> None:
    meta.answers(400, error(4), {name: used(19)})
    assert channel(meta.url).send(outbound()) == Retryable("4 API too many calls")


STATUSES: Final = {
    "bad request": (answer(400, b"<html>"), Refused("HTTP 400")),
    "unauthorized": (answer(401), Retryable("HTTP 401")),
    "payment required": (answer(402), Retryable("HTTP 402")),
    "forbidden": (answer(403), Retryable("HTTP 403")),
    "not found": (answer(404), Retryable("HTTP 404")),
    "method not allowed": (answer(405), Retryable("HTTP 405")),
    "a request that took too long": (answer(408), Unknown("HTTP 408")),
    "gone": (answer(410), Refused("HTTP 410")),
    "too large": (answer(413), Refused("HTTP 413")),
    "throttled": (answer(429, b"slow down"), Retryable("HTTP 429")),
    "a status of nobody's": (answer(499), Refused("HTTP 499")),
    "an internal error": (answer(500), Unknown("HTTP 500")),
    "a bad gateway": (answer(502, b"<html>bad gateway</html>"), Unknown("HTTP 502")),
    "unavailable": (answer(503, headers={"Retry-After": "5"}), Unknown("HTTP 503")),
    "a redirect": (answer(302, headers={"Location": "/elsewhere"}), Unknown("HTTP 302")),
    "a redirect that keeps the method": (answer(307, headers={"Location": "/elsewhere"}), Unknown("HTTP 307")),
    "an error after it was taken": (answer(500, TAKEN), Unknown("HTTP 500")),
    "a success without an id": (answer(200, {"messages": []}), Unknown("HTTP 200")),
    "a success that is not JSON": (answer(200, b"OK"), Unknown("HTTP 200")),
    "a success that is no text": (answer(200, b"\xff\xfe\xff"), Unknown("HTTP 200")),
    "a success that nests for ever": (answer(200, b"[" * BODY_LIMIT), Unknown("HTTP 200")),
    "a success that is packed": (
        answer(200, gzip.compress(json.dumps(TAKEN).encode()), {"Content-Encoding": "gzip"}),
        Unknown("HTTP 200"),
    ),
    "a success beyond any measure": (
        answer(200, {**TAKEN, "padding": "x" * BODY_LIMIT}),
        Unknown("HTTP 200"),
    ),
    "a no beyond any measure": (answer(400, {**error(131047), "padding": "x" * BODY_LIMIT}), Refused("HTTP 400")),
    "nothing to read": (answer(204), Unknown("HTTP 204")),
    "a success after a hundred": (
        sends_bytes(b"HTTP/1.1 100 Continue\r\n\r\n" + written(200, TAKEN)),
        Accepted("meta", WAMID),
    ),
}


@pytest.mark.parametrize(("behaves", "outcome"), STATUSES.values(), ids=STATUSES)
def test_what_an_answer_means_without_a_code(meta: Server, behaves: Behaviour, outcome: object) -> None:
    meta.behaves = behaves
    assert channel(meta.url).send(outbound()) == outcome
    assert (meta.connections, len(meta.requests)) == (1, 1)


WHOLE: Final = written(200, TAKEN)
FATES: Final = {
    "no answer": is_silent,
    "reset after the body": resets,
    "closed after the body": sends_bytes(b""),
    "half a status line": sends_bytes(b"HTTP/1.1 20"),
    "half the headers": stops_after(WHOLE[:30]),
    "half the body, then closed": sends_bytes(WHOLE[:-10]),
    "half the body, then silence": stops_after(WHOLE[:-10]),
    "half a no, then closed": sends_bytes(written(400, error(131047))[:-10]),
    "half a chunk": sends_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"),
    "a chunk of no length": sends_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}"),
    "a chunk of a length below zero": sends_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}"),
    "two lengths": sends_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "no HTTP at all": sends_bytes(b"220 mail.example ESMTP\r\n"),
    "a header without an end": sends_bytes(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000),
    "a drip of headers": drips(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000),
    "a drip of the body": drips(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b" " * 2000),
    "a drip of a body without a length": drips(b"HTTP/1.1 400 No\r\n\r\n" + b" " * 2000),
    "a hundred for ever": drips(b"HTTP/1.1 100 Continue\r\n\r\n" * 200, pause=0.02),
}


@pytest.mark.parametrize("behaves", FATES.values(), ids=FATES)
def test_failure_after_the_body_was_sent_is_unknown(meta: Server, behaves: Behaviour) -> None:
    meta.behaves = behaves
    began = time.monotonic()
    outcome = channel(meta.url, hasty()).send(outbound())
    assert type(outcome) is Unknown
    assert ADDRESS not in outcome.error
    assert time.monotonic() - began < 4
    assert (meta.connections, len(meta.requests)) == (1, 1)


def test_a_no_that_comes_before_all_was_read_counts(meta: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled call was answered and closed before its body was read, and was reported as unknown."""

    def breaks(self: HTTPConnection, *args: Any, **kwargs: Any) -> None:
        total_timeout(self, *args, **kwargs)
        raise BrokenPipeError

    total_timeout = HTTPConnection.request
    monkeypatch.setattr(HTTPConnection, "request", breaks)
    meta.answers(429, headers={"Retry-After": "120"})
    assert channel(meta.url).send(outbound()) == Retryable("HTTP 429", timedelta(minutes=2))


def test_an_answer_that_drips_but_ends_in_time_counts(meta: Server) -> None:
    meta.behaves = drips(WHOLE, pause=0.001)
    assert channel(meta.url).send(outbound()) == Accepted("meta", WAMID)


def test_silence_is_waited_for_no_longer_than_it_may_last(meta: Server) -> None:
    meta.behaves = is_silent
    began = time.monotonic()
    assert channel(meta.url, patient(read=0.1)).send(outbound()) == Unknown("TimeoutError")
    assert time.monotonic() - began < 3


def test_refused_connection_is_retried() -> None:
    with closed_port() as url:
        assert channel(url).send(outbound()) == Retryable("NewConnectionError")


def test_connecting_takes_too_long() -> None:
    with full() as url:
        assert channel(url, patient(connect=0.2)).send(outbound()) == Retryable("ConnectTimeoutError")


def test_there_is_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert channel("http://graph.invalid").send(outbound()) == Retryable("NameResolutionError")


def test_slow_name_server_leaves_no_time_to_send(meta: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def slow(*args: Any) -> Any:
        time.sleep(0.15)
        return look_up(*args)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert channel(meta.url, patient(connect=0.1)).send(outbound()) == Retryable("connecting took too long")
    assert meta.requests == []


@pytest.mark.parametrize(
    ("left", "error"), [(0, "too late to begin"), (-1, "too late to begin"), (0.2, "ConnectTimeoutError")]
)
def test_no_call_begins_after_the_snapshot_expired(left: float, error: str) -> None:
    """The connection had two seconds of its own, however little of the snapshot, the window or the day was left."""
    began = time.monotonic()
    with full() as url:
        ready = outbound(start_before=NOON + timedelta(seconds=left))
        assert channel(url).send(ready) == Retryable(error)
    assert time.monotonic() - began < 2


def test_late_connection_is_not_used(meta: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def slow(*args: Any) -> Any:
        time.sleep(0.15)
        return look_up(*args)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    ready = outbound(start_before=NOON + timedelta(seconds=0.1))
    assert channel(meta.url).send(ready) == Retryable("connecting took too long")
    assert meta.requests == []


@pytest.mark.parametrize("url", [f"http://{'x' * 64}.invalid", "http://[::1", "http://127.0.0.1:x"])
def test_invalid_url_is_a_configuration_error(url: str) -> None:
    assert channel(url).send(outbound()) == Retryable("InvalidURL")


def test_each_message_has_a_connection_of_its_own(meta: Server) -> None:
    """A kept connection may close as the next request goes out, and then its outcome is unknown."""
    sender = channel(meta.url)
    sender.send(outbound())
    sender.send(outbound())
    assert meta.connections == 2
    assert {request.headers["connection"] for request in meta.requests} == {"close"}


def test_metas_limit_of_a_recipient_waits_a_day(meta: Server) -> None:
    """Meta limits marketing to one person for a while: the message failed for good, and the route is not to blame."""
    meta.answers(400, error(131049))
    outcome = channel(meta.url).send(outbound())
    assert outcome == Retryable("131049 Meta chose not to deliver", timedelta(days=1), of_recipient=True)
