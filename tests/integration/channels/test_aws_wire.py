"""AWS's channels by the real clients, against a server of ours that uses AWS's wire protocols and misbehaves."""

import json
import os
import socket
import ssl
import struct
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Final

import botocore.session
import pytest
from botocore.config import Config

from reengage.adapters.channels.aws import SMS_AND_RCS, WHATSAPP, AwsRcs, AwsSms, AwsWhatsApp
from reengage.adapters.channels.aws_client import over
from reengage.adapters.channels.http import Http
from reengage.adapters.lean_aws.client import LeanClient
from reengage.adapters.lean_aws.surroundings import SERVICES, read_surroundings
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.routes import Route, Routes
from reengage.domain.subject import SubjectRef
from reengage.ports import (
    Accepted,
    OptedOut,
    OutboundMessage,
    Outcome,
    ProviderChannel,
    Refused,
    Retryable,
    Unknown,
    Wording,
)
from tests.integration.channels.wire import closed_port, full, hasty, patient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

CHANNELS: Final = ("sms", "rcs", "whatsapp")
PHONE_NUMBER_ID: Final = "phone-number-id-01234567890123456789012345678901"
NOON: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
ADDRESS: Final = "+447700900187"
ROUTES: Final = Routes(
    [
        Route("acme-dental", "sms", "aws", "+12025550100"),
        Route("acme-dental", "rcs", "aws", "rcs-0123456789abcdef"),
        Route("acme-dental", "whatsapp", "aws", PHONE_NUMBER_ID),
    ]
)
TAKEN: Final = '{"MessageId": "m-1", "messageId": "m-1"}'
PATIENT: Final = patient()
ENVIRONMENT: Final = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-key",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

Write = Callable[[BaseHTTPRequestHandler], None]
"""The behaviour that a request meets."""


def answering(status: int, body: str | bytes, **headers: str) -> Write:
    """A whole response; a header ``retry_after`` is written as ``Retry-After``."""
    content = body.encode() if isinstance(body, str) else body
    return cut(status, content, len(content), **headers)


def cut(status: int, content: bytes, length: int, **headers: str) -> Write:
    """A response that promises ``length`` bytes."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return write


def cut_chunk(handler: BaseHTTPRequestHandler) -> None:
    """A response whose chunk of 64 bytes ends early."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b'40\r\n{"MessageId": "m-1"')
    handler.close_connection = True


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def nothing(_: BaseHTTPRequestHandler) -> None:
    """The connection is closed without a response."""


@dataclass(slots=True)
class Aws:
    """An endpoint of both services, and the requests that it got."""

    url: str
    write: Write
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    connections: set[object] = field(default_factory=set)

    def dripping(self, handler: BaseHTTPRequestHandler) -> None:
        """A byte at a time, for as long as the test lasts."""
        handler.send_response(200)
        handler.end_headers()
        while not self.released.wait(0.05):
            handler.wfile.write(b" ")

    def late(self, handler: BaseHTTPRequestHandler) -> None:
        """No answer for as long as the test lasts."""
        assert self.released.wait(10)
        handler.close_connection = True


@pytest.fixture(scope="module")
def served() -> Iterator[Aws]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.connections.add(self.client_address)
            endpoint.requests.append((self.headers.get("X-Amz-Target") or self.path, body))
            endpoint.write(self)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint = Aws(f"http://127.0.0.1:{server.server_port}", answering(200, TAKEN))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield endpoint
        server.shutdown()
        thread.join()


@pytest.fixture
def aws(served: Aws) -> Iterator[Aws]:
    """Reset the server: it accepts everything, and has no request."""
    served.write = answering(200, TAKEN)
    served.requests.clear()
    served.connections.clear()
    served.released.clear()
    yield served
    served.released.set()


Connect = Callable[..., ProviderChannel]


LEAN: Final = "lean"
BOTOCORE: Final = "botocore"


@pytest.fixture(scope="module", params=[LEAN, BOTOCORE])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Return the channel of that name, by a real client that calls the URL."""

    @cache
    def client(service: str, url: str, http: Http) -> Any:
        if request.param == LEAN and service in SERVICES:
            found = read_surroundings(ENVIRONMENT | {"AWS_ENDPOINT_URL": url})
            assert found
            options: dict[str, Any] = {"connect_timeout": 1, "read_timeout": 1, "tls": ssl.create_default_context()}
            return over(http, LeanClient.of(SERVICES[service], found, attempts=1, **options))
        config = Config(retries={"total_max_attempts": 1})
        return over(http, session.create_client(service, endpoint_url=url, config=config))

    def make(name: str, url: str, http: Http = PATIENT) -> ProviderChannel:
        if name == "whatsapp":
            return AwsWhatsApp(client("socialmessaging", url, http), ROUTES, lambda: NOON, "v20.0")
        kind = AwsSms if name == "sms" else AwsRcs
        return kind(client("pinpoint-sms-voice-v2", url, http), ROUTES, lambda: NOON, "receipts")

    session = botocore.session.get_session()
    return make


def outbound(channel: str, **changes: Any) -> OutboundMessage:
    return OutboundMessage(
        message=ScheduledMessage(
            contact=Contact("acme-dental", channel, ADDRESS),
            reason=changes.pop("reason", "appointment_reminder"),
            subject=SubjectRef("acme-dental", "appointment", "A-1"),
            offset="PT2H",
            anchor_at=NOON.replace(hour=14),
            due_at=NOON,
            valid_until=NOON.replace(hour=14),
            version=1,
        ),
        wording=Wording("Nhắc bạn lúc 14:00", "vi-VN", "appointment_reminder", ("Acme Dental", "14:00")),
        data={},
        decision=Decision(Action.SEND, None, {}),
        free_text_until=changes.pop("free_text_until", NOON + timedelta(hours=1)),
        start_before=NOON + timedelta(minutes=1),
        deliver_before=NOON + timedelta(hours=2),
    )


def error(code: str, reason: str = "", field_name: str = "") -> str:
    """An error as both services write it, with data that must not reach the logs."""
    error_body: dict[str, Any] = {
        "__type": f"com.amazonaws.any#{code}",
        "message": f"{ADDRESS} said AWS",
        "Message": ADDRESS,
    }
    if reason:
        error_body["Reason"] = reason
    if field_name:
        error_body["Fields"] = [{"Name": field_name, "Message": ADDRESS}]
    return json.dumps(error_body)


def test_what_of_an_sms_is_on_the_wire(aws: Aws, connect: Connect) -> None:
    sent = outbound("sms", reason="trial_follow_up")
    assert connect("sms", aws.url).send(sent) == Accepted("aws", "m-1")
    assert aws.requests == [
        (
            "PinpointSMSVoiceV2.SendTextMessage",
            {
                "DestinationPhoneNumber": ADDRESS,
                "OriginationIdentity": "+12025550100",
                "MessageBody": "Nhắc bạn lúc 14:00",
                "MessageType": "PROMOTIONAL",
                "TimeToLive": 7192,
                "ConfigurationSetName": "receipts",
                "Context": {
                    "scheduled_message_id": sent.message.scheduled_message_id,
                    "brand": "acme-dental",
                    "channel": "sms",
                },
            },
        )
    ]


def test_what_of_an_rcs_message_is_on_the_wire(aws: Aws, connect: Connect) -> None:
    sent = outbound("rcs")
    assert connect("rcs", aws.url).send(sent) == Accepted("aws", "m-1")
    assert aws.requests == [
        (
            "PinpointSMSVoiceV2.SendRcsMessage",
            {
                "DestinationPhoneNumber": ADDRESS,
                "OriginationIdentity": "rcs-0123456789abcdef",
                "RcsMessageContent": {"Content": {"TextMessage": {"Body": "Nhắc bạn lúc 14:00"}}},
                "TimeToLive": 7192,
                "ConfigurationSetName": "receipts",
                "Context": {
                    "scheduled_message_id": sent.message.scheduled_message_id,
                    "brand": "acme-dental",
                    "channel": "rcs",
                },
            },
        )
    ]


def test_what_of_a_whatsapp_message_is_on_the_wire(aws: Aws, connect: Connect) -> None:
    sent = outbound("whatsapp", free_text_until=NOON)
    assert connect("whatsapp", aws.url).send(sent) == Accepted("aws", "m-1")
    ((path, body),) = aws.requests
    assert path == "/v1/whatsapp/send"
    assert {**body, "message": json.loads(b64decode(body["message"]))} == {
        "originationPhoneNumberId": PHONE_NUMBER_ID,
        "metaApiVersion": "v20.0",
        "message": {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": ADDRESS,
            "type": "template",
            "template": {
                "name": "appointment_reminder",
                "language": {"code": "vi_VN"},
                "components": [
                    {
                        "type": "body",
                        "parameters": [{"type": "text", "text": "Acme Dental"}, {"type": "text", "text": "14:00"}],
                    }
                ],
            },
            "biz_opaque_callback_data": sent.message.scheduled_message_id,
        },
    }


DOCUMENTED_SMS: Final[dict[tuple[str, str], type[Outcome]]] = {
    ("ThrottlingException", ""): Retryable,
    ("AccessDeniedException", ""): Retryable,
    ("AccessDeniedException", "ACCOUNT_DISABLED"): Retryable,
    ("AccessDeniedException", "INSUFFICIENT_ACCOUNT_REPUTATION"): Retryable,
    ("ConflictException", ""): Retryable,
    ("ConflictException", "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"): Refused,
    ("ConflictException", "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE"): Refused,
    ("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"): Retryable,
    ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"): OptedOut,
    ("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND"): Retryable,
    ("ConflictException", "RESOURCE_NOT_ACTIVE"): Retryable,
    ("ResourceNotFoundException", ""): Retryable,
    ("ServiceQuotaExceededException", ""): Retryable,
    ("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"): Retryable,
    ("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_RCS"): Retryable,
    ("ValidationException", ""): Retryable,
    ("ValidationException", "CHANNEL_NOT_ENABLED"): Retryable,
    ("ValidationException", "COUNTRY_CODE_MISMATCH"): Refused,
    ("ValidationException", "DESTINATION_COUNTRY_BLOCKED"): Refused,
    ("ValidationException", "INTERNATIONAL_SENDING_NOT_SUPPORTED"): Refused,
    ("ValidationException", "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY"): Refused,
    ("ValidationException", "MAXIMUM_SIZE_EXCEEDED"): Refused,
    ("ValidationException", "SENDER_ID_NOT_REGISTERED"): Retryable,
    ("ValidationException", "SENDER_ID_NOT_SUPPORTED"): Refused,
    ("InternalServerException", ""): Unknown,
}
DOCUMENTED_WHATSAPP: Final[dict[str, tuple[int, type[Outcome]]]] = {
    "AccessDeniedException": (403, Retryable),
    "DependencyException": (502, Unknown),
    "InternalServiceException": (500, Unknown),
    "InvalidParametersException": (400, Retryable),
    "ResourceNotFoundException": (404, Retryable),
    "ThrottledRequestException": (429, Retryable),
    "ValidationException": (400, Retryable),
}


@pytest.mark.parametrize("channel", ["sms", "rcs"])
@pytest.mark.parametrize(("code", "reason"), DOCUMENTED_SMS, ids=[" ".join(case) for case in DOCUMENTED_SMS])
def test_what_each_documented_error_of_sms_and_rcs_means(
    aws: Aws, connect: Connect, channel: str, code: str, reason: str
) -> None:
    aws.write = answering(500 if code == "InternalServerException" else 400, error(code, reason))
    expected = DOCUMENTED_SMS[code, reason](f"{code}: {reason}" if reason else code)  # type: ignore[call-arg] # none of them is Accepted
    assert connect(channel, aws.url).send(outbound(channel)) == expected
    assert len(aws.requests) == 1


@pytest.mark.parametrize("code", DOCUMENTED_WHATSAPP)
def test_what_each_documented_error_of_whatsapp_means(aws: Aws, connect: Connect, code: str) -> None:
    status, outcome = DOCUMENTED_WHATSAPP[code]
    aws.write = answering(status, json.dumps({"message": ADDRESS}), x_amzn_errortype=f"{code}:http://127.0.0.1/")
    assert connect("whatsapp", aws.url).send(outbound("whatsapp")) == outcome(code)  # type: ignore[call-arg] # as above
    assert len(aws.requests) == 1


def test_cases_cover_every_row_of_the_tables() -> None:
    assert set(SMS_AND_RCS) <= set(DOCUMENTED_SMS)
    assert {code for code, _ in WHATSAPP} == set(DOCUMENTED_WHATSAPP)


@pytest.mark.parametrize(
    ("field_name", "outcome"),
    [
        ("DestinationPhoneNumber", Refused),
        ("MessageBody", Refused),
        ("messageBody", Refused),
        ("RcsMessageContent.Content.TextMessage.Body", Refused),
        ("OriginationIdentity", Retryable),
        ("ConfigurationSetName", Retryable),
    ],
)
def test_wrong_field_blames_the_message_or_the_configuration(
    aws: Aws, connect: Connect, field_name: str, outcome: type[Refused] | type[Retryable]
) -> None:
    aws.write = answering(400, error("ValidationException", "FIELD_VALIDATION_FAILED", field_name))
    expected = outcome("ValidationException: FIELD_VALIDATION_FAILED")
    assert connect("sms", aws.url).send(outbound("sms")) == expected


@pytest.mark.parametrize(
    ("channel", "write", "outcome"),
    [
        ("sms", answering(503, error("ThrottlingException")), Retryable("ThrottlingException")),
        ("sms", answering(503, error("ConflictException", "OF_LATER")), Retryable("ConflictException: OF_LATER")),
        ("rcs", answering(400, error("InternalServerException")), Unknown("InternalServerException")),
        ("whatsapp", answering(503, error("ThrottledRequestException")), Retryable("ThrottledRequestException")),
        ("whatsapp", answering(400, error("DependencyException")), Unknown("DependencyException")),
    ],
)
def test_the_table_counts_before_the_status(
    aws: Aws, connect: Connect, channel: str, write: Write, outcome: Outcome
) -> None:
    aws.write = write
    assert connect(channel, aws.url).send(outbound(channel)) == outcome


ANSWERS: Final[dict[str, tuple[Write, Outcome]]] = {
    "a credential that is not known": (
        answering(403, error("UnrecognizedClientException")),
        Retryable("UnrecognizedClientException"),
    ),
    "a signature that is too old": (answering(400, error("RequestExpired")), Retryable("RequestExpired")),
    "a code of a later version of the API": (answering(400, error("NewException")), Retryable("NewException")),
    "too many requests": (answering(429, ""), Retryable("HTTP 429")),
    "too many requests, and when again": (
        answering(429, "", retry_after="7"),
        Retryable("HTTP 429", timedelta(seconds=7)),
    ),
    "too many requests, and when again as a date": (
        answering(429, "", retry_after="Wed, 19 Mar 2031 12:00:07 GMT"),
        Retryable("HTTP 429", timedelta(seconds=7)),
    ),
    "too many requests, and when again in words": (answering(429, "", retry_after="7 days"), Retryable("HTTP 429")),
    "a firewall's page": (answering(403, f"<html>{ADDRESS}</html>"), Retryable("HTTP 403")),
    "a code that is a number": (answering(400, '{"code": 131026}'), Retryable("HTTP 400")),
    "an internal failure": (answering(500, error("InternalFailure")), Unknown("InternalFailure")),
    "a bad gateway": (answering(502, "<html>bad gateway</html>"), Unknown("HTTP 502")),
    "unavailable, and when again": (
        answering(503, error("ServiceUnavailable"), retry_after="7"),
        Unknown("ServiceUnavailable"),
    ),
    "a gateway's time-out": (answering(504, ""), Unknown("HTTP 504")),
    "a time-out of the request": (answering(408, ""), Unknown("HTTP 408")),
    "a redirect": (answering(307, "", location="/elsewhere"), Unknown("HTTP 307")),
    "no message id": (answering(200, "{}"), Unknown("an answer without a message id")),
    "a message id that is none": (
        answering(200, '{"MessageId": 5, "messageId": 5}'),
        Unknown("an answer without a message id"),
    ),
    "half an answer": (cut(200, TAKEN.encode()[:20], len(TAKEN)), Unknown("IncompleteRead")),
    "half a letter": (answering(200, '{"Message": "ế'.encode()[:-1]), Unknown("an answer that cannot be read")),
    "half a chunk": (cut_chunk, Unknown("IncompleteRead")),
    "a list": (answering(200, "[]"), Unknown("an answer that cannot be read")),
    "a nest": (answering(200, "[" * 50_000), Unknown("an answer that cannot be read")),
    "null": (answering(200, "null"), Unknown("an answer that cannot be read")),
    "half an error": (cut(400, error("ConflictException").encode()[:30], 99), Unknown("IncompleteRead")),
    "no answer": (nothing, Unknown("RemoteDisconnected")),
    "a connection reset": (reset, Unknown("ConnectionResetError")),
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(("write", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_means(aws: Aws, connect: Connect, channel: str, write: Write, outcome: Outcome) -> None:
    aws.write = write
    assert connect(channel, aws.url).send(outbound(channel)) == outcome
    # A hidden second try after a lost answer would write twice.
    assert len(aws.requests) == 1


@pytest.mark.parametrize("channel", CHANNELS)
def test_late_response_has_an_unknown_outcome(aws: Aws, connect: Connect, channel: str) -> None:
    aws.write = aws.late
    assert connect(channel, aws.url, hasty()).send(outbound(channel)) == Unknown("TimeoutError")
    assert len(aws.requests) == 1


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_empty_answer_is_no_acceptance(aws: Aws, connect: Connect, channel: str) -> None:
    aws.write = answering(200, "")
    assert isinstance(connect(channel, aws.url).send(outbound(channel)), Unknown)
    assert len(aws.requests) == 1


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_answer_that_drips_is_not_waited_for(aws: Aws, connect: Connect, channel: str) -> None:
    """The SDK's own time-out begins anew with each byte: one answer outlasted the run."""
    aws.write = aws.dripping
    began = time.monotonic()
    assert connect(channel, aws.url, hasty()).send(outbound(channel)) == Unknown("the answer took too long")
    assert time.monotonic() - began < 3
    assert len(aws.requests) == 1


@pytest.mark.parametrize("channel", CHANNELS)
def test_refused_connection_sends_nothing(connect: Connect, channel: str) -> None:
    with closed_port() as url:
        assert connect(channel, url).send(outbound(channel)) == Retryable("NewConnectionError")


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_call_begins_after_the_snapshot_expired(connect: Connect, channel: str) -> None:
    ready = replace(outbound(channel), start_before=NOON + timedelta(seconds=0.2))
    with full() as url:
        assert connect(channel, url).send(ready) == Retryable("ConnectTimeoutError")
        assert connect(channel, url).send(replace(ready, start_before=NOON)) == Retryable("too late to begin")


@pytest.mark.parametrize("connect", [BOTOCORE], indirect=True)
def test_reading_credentials_counts_as_snapshot_time(aws: Aws, connect: Connect) -> None:
    """They were fetched again within the call, for four seconds, and the request left two seconds too late."""
    client: Any = connect("sms", aws.url, patient(read=7))
    client.client.meta.events.register("before-sign", lambda **_: time.sleep(0.2))
    ready = replace(outbound("sms"), start_before=NOON + timedelta(seconds=0.1))
    assert client.send(ready) == Retryable("too late to begin")
    assert aws.requests == []


def test_each_call_has_a_connection_of_its_own(aws: Aws, connect: Connect) -> None:
    """A kept connection may close as the next request goes out, and then its outcome is unknown."""
    for _ in range(2):
        connect("sms", aws.url).send(outbound("sms"))
    assert len(aws.connections) == 2
