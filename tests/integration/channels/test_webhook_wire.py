"""A business system's own endpoint over TLS: the request, its signature, and what each response means."""

import json
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import pytest

from reengage.adapters.channels.webhook import WebhookChannel, signature
from reengage.ports import Accepted, Refused, Retryable, Unknown
from tests.integration.channels.wire import (
    ADDRESS,
    NOON,
    TEXT,
    Behaviour,
    Server,
    answer,
    certified,
    clock,
    drips,
    hasty,
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

SECRET: Final = "whsec-of-nobody"  # noqa: S105 - so it says
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return certified(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def receiver(contexts: Contexts) -> Iterator[Server]:
    with serving(contexts[0]) as server:
        server.answers(202, {"id": "queue-17"})
        yield server


@pytest.fixture
def channel(receiver: Server, contexts: Contexts) -> WebhookChannel:
    return sender(f"{receiver.url}/hooks/send?tenant=7", contexts[1])


def sender(url: str, trusting: ssl.SSLContext, **changes: Any) -> WebhookChannel:
    settings: dict[str, Any] = {
        "http": patient(context=trusting),
        "secrets": lambda: {"webhook_secret": SECRET},
        "routes": routes("sms", "webhook", url),
        "clock": clock,
        **changes,
    }
    return WebhookChannel(**settings)


def test_request_body_equals_the_event_detail(receiver: Server, channel: WebhookChannel) -> None:
    message = outbound("sms")
    assert channel.send(message) == Accepted("webhook", "queue-17")
    request = receiver.request
    assert (request.method, request.target) == ("POST", "/hooks/send?tenant=7")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == message.message.scheduled_message_id
    assert json.loads(request.body) == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": ADDRESS},
        "scheduled_message_id": message.message.scheduled_message_id,
        "reason": "appointment_reminder",
        "subject_id": "A-1",
        "text": TEXT,
        "locale": "vi",
        "template": {"name": "appointment_reminder", "parameters": ["Acme Dental", "12:00"]},
        "data": {"appointment_id": "A-1", "location": {"vi": "Số 12"}},
        "free_text_until": "2031-03-19T13:00:00Z",
        "deliver_before": "2031-03-19T14:00:00Z",
    }


# Made by `printf '%s' "<t>.<body>" | openssl dgst -sha256 -hmac "<secret>"`.
VECTORS: Final = {
    "plain": ("secret", '{"id": 1}', "77d49e28a90edb7970a94175a17edbe71cab049fda13f7b92df9679a73eaa5a2"),
    "empty": ("secret", "", "4bc5f74d868b97888288889c5d9d65df02526f94c1592a79fdf4fe8b26e311e5"),
    "not ASCII": ("whsec-ñ", '{"text": "Nhắc"}', "84ad519395bee8444132e60593a48867ae93e0aca6ff0bb49b2035728f2059ef"),
}


@pytest.mark.parametrize(("secret", "body", "v1"), VECTORS.values(), ids=VECTORS)
def test_the_signature_is_what_openssl_makes_of_it(secret: str, body: str, v1: str) -> None:
    assert signature(secret, body.encode(), datetime.fromtimestamp(1_700_000_000.9, NOON.tzinfo)) == (
        f"t=1700000000,v1={v1}"
    )


def test_what_is_signed_is_what_is_sent(receiver: Server, channel: WebhookChannel) -> None:
    channel.send(outbound("sms"))
    request = receiver.request
    assert request.headers["x-reengage-signature"] == signature(SECRET, request.body, NOON)
    assert request.headers["x-reengage-signature"].startswith(f"t={int(NOON.timestamp())},v1=")


def test_secret_is_read_at_each_send(receiver: Server, contexts: Contexts) -> None:
    secrets = iter(["first", "second"])
    rotating = sender(receiver.url, contexts[1], secrets=lambda: {"webhook_secret": next(secrets)})
    rotating.send(outbound("sms"))
    rotating.send(outbound("sms"))
    assert [request.headers["x-reengage-signature"] for request in receiver.requests] == [
        signature(secret, request.body, NOON)
        for secret, request in zip(["first", "second"], receiver.requests, strict=True)
    ]


OWN_ID: Final = outbound("sms").message.scheduled_message_id
ANSWERS: Final = {
    "taken": (answer(200, {"id": "queue-17"}), Accepted("webhook", "queue-17")),
    "created": (answer(201, {"id": "x" * 128}), Accepted("webhook", "x" * 128)),
    "taken, nothing said": (answer(204), Accepted("webhook", OWN_ID)),
    "taken, an empty id": (answer(200, {"id": ""}), Accepted("webhook", OWN_ID)),
    "taken, a number": (answer(200, {"id": 17}), Accepted("webhook", OWN_ID)),
    "taken, an id too long": (answer(200, {"id": "x" * 129}), Accepted("webhook", OWN_ID)),
    "taken, half a character": (answer(200, b'{"id": "\\ud800"}'), Accepted("webhook", OWN_ID)),
    "taken, a list": (answer(200, ["queue-17"]), Accepted("webhook", OWN_ID)),
    "taken, not JSON": (answer(200, b"OK"), Accepted("webhook", OWN_ID)),
    "taken, at length": (answer(200, b'{"id": "a"}' + b" " * 1_000_000), Accepted("webhook", OWN_ID)),
    "taken before": (answer(409, {"id": "queue-17"}), Accepted("webhook", "queue-17")),
    "taken before, nothing said": (answer(409), Accepted("webhook", OWN_ID)),
    "throttled": (answer(429), Retryable("HTTP 429")),
    "throttled for a while": (
        answer(429, headers={"Retry-After": "120"}),
        Retryable("HTTP 429", timedelta(minutes=2)),
    ),
    "throttled until": (
        answer(429, headers={"Retry-After": format_datetime(NOON + timedelta(minutes=3), usegmt=True)}),
        Retryable("HTTP 429", timedelta(minutes=3)),
    ),
    "unavailable": (answer(503), Retryable("HTTP 503")),
    "unavailable for a while": (
        answer(503, headers={"Retry-After": "30"}),
        Retryable("HTTP 503", timedelta(seconds=30)),
    ),
    "not by this signature": (answer(401), Retryable("HTTP 401")),
    "forbidden": (answer(403), Retryable("HTTP 403")),
    "not here": (answer(404), Retryable("HTTP 404")),
    "no": (answer(400, {"error": ADDRESS}), Refused("HTTP 400")),
    "gone": (answer(410), Refused("HTTP 410")),
    "too large": (answer(413), Refused("HTTP 413")),
    "not to be processed": (answer(422), Refused("HTTP 422")),
    "took too long": (answer(408), Unknown("HTTP 408")),
    "an internal error": (answer(500), Unknown("HTTP 500")),
    "an error after it was taken": (answer(500, {"id": "queue-17"}), Unknown("HTTP 500")),
    "a bad gateway": (answer(502), Unknown("HTTP 502")),
    "a gateway's time-out": (answer(504), Unknown("HTTP 504")),
    "moved": (answer(301, headers={"Location": "/"}), Unknown("HTTP 301")),
    "see other": (answer(303, headers={"Location": "/"}), Unknown("HTTP 303")),
    "moved, with its method": (answer(308, headers={"Location": "/"}), Unknown("HTTP 308")),
    "half an answer": (sends_bytes(written(200, {"id": "queue-17"})[:-5]), Unknown("IncompleteRead")),
    "a reset": (resets, Unknown("ConnectionResetError")),
    "an end": (sends_bytes(b""), Unknown("RemoteDisconnected")),
}


@pytest.mark.parametrize(("behaves", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_means(receiver: Server, channel: WebhookChannel, behaves: Behaviour, outcome: object) -> None:
    receiver.behaves = behaves
    assert channel.send(outbound("sms")) == outcome
    assert (receiver.connections, len(receiver.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("", "/"),
        ("?tenant=7", "/?tenant=7"),
        ("/hooks/a b/é?to=x y&for=ü", "/hooks/a%20b/%C3%A9?to=x%20y&for=%C3%BC"),
        ("/hooks/a%20b?to=%2B1", "/hooks/a%20b?to=%2B1"),
    ],
)
def test_what_may_not_be_in_a_target_is_encoded(receiver: Server, contexts: Contexts, given: str, target: str) -> None:
    """Without that, the client raises an error before it sends, and the outcome would count as unknown."""
    assert sender(f"{receiver.url}{given}", contexts[1]).send(outbound("sms")) == Accepted("webhook", "queue-17")
    assert receiver.request.target == target


@pytest.mark.parametrize(
    ("behaves", "error_text"),
    [(is_silent, "TimeoutError"), (drips(written(200, b" " * 2000)), "the answer took too long")],
)
def test_missing_response_has_an_unknown_outcome(
    receiver: Server, contexts: Contexts, behaves: Behaviour, error_text: str
) -> None:
    receiver.behaves = behaves
    assert sender(receiver.url, contexts[1], http=hasty(context=contexts[1])).send(outbound("sms")) == Unknown(
        error_text
    )
    assert (receiver.connections, len(receiver.requests)) == (1, 1)


def test_untrusted_certificate_gets_no_request(receiver: Server) -> None:
    assert sender(receiver.url, ssl.create_default_context()).send(outbound("sms")) == Retryable(
        "SSLCertVerificationError"
    )
    assert receiver.requests == []


def test_certificate_of_another_host_gets_no_request(tmp_path: Path) -> None:
    server, client = certified(tmp_path, "127.0.0.2")
    with serving(server) as receiver:
        assert sender(receiver.url, client).send(outbound("sms")) == Retryable("SSLCertVerificationError")
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("behaves", "error_text"),
    [
        (resets, "ConnectionResetError"),
        (sends_bytes(b"HTTP/1.1 400 No\r\n\r\n"), "SSLError"),
        (is_silent, "ConnectTimeoutError"),
    ],
)
def test_a_failure_before_the_body_left_is_tried_again(contexts: Contexts, behaves: Behaviour, error_text: str) -> None:
    """The TLS handshake never ends, so no byte of the request was sent."""
    with serving() as receiver:
        receiver.unread, receiver.behaves = True, behaves
        secure = sender(
            receiver.url.replace("http:", "https:"), contexts[1], http=patient(connect=1, context=contexts[1])
        )
        assert secure.send(outbound("sms")) == Retryable(error_text)
        assert receiver.connections == 1


@pytest.mark.parametrize("sender_id", ["http://127.0.0.1/", "127.0.0.1", "", "file:///etc/passwd", "HTTP://x"])
def test_route_without_https_is_a_configuration_error(contexts: Contexts, sender_id: str) -> None:
    assert sender(sender_id, contexts[1]).send(outbound("sms")) == Retryable("the route's identity is no https URL")


@pytest.mark.parametrize("sender_id", ["https://", "https:///path", f"https://{'x' * 64}.invalid/"])
def test_url_without_host_is_a_configuration_error(contexts: Contexts, sender_id: str) -> None:
    assert type(sender(sender_id, contexts[1]).send(outbound("sms"))) is Retryable


def test_no_call_begins_after_the_snapshot_expired(receiver: Server, channel: WebhookChannel) -> None:
    assert channel.send(outbound("sms", start_before=NOON)) == Retryable("too late to begin")
    assert receiver.requests == []


def test_missing_secret_is_a_configuration_error(receiver: Server, contexts: Contexts) -> None:
    assert sender(receiver.url, contexts[1], secrets=dict).send(outbound("sms")) == Retryable(
        "absent from the secrets: webhook_secret"
    )
    assert receiver.connections == 0
