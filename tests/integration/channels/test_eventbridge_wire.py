"""The channel that publishes a request on the bus: what each response of AWS means, by the real client."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest
from botocore.exceptions import NoCredentialsError, ReadTimeoutError, SSLError

from reengage.adapters.channels.eventbridge import REFUSALS, EventBridgeChannel
from reengage.adapters.eventbridge import EventBus
from reengage.adapters.lean_aws.client import LeanClient
from reengage.bootstrap.sending import SendingApp
from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.events_out import OutEvent
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.subject import SubjectRef
from reengage.errors import NotPublished
from reengage.ports import Accepted, OutboundMessage, Refused, Retryable, Unknown, Wording
from tests.template_resources import environment

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOON: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
OUTBOUND: Final = OutboundMessage(
    message=ScheduledMessage(
        contact=Contact("acme-dental", "whatsapp", "+447700900187"),
        reason="appointment_reminder",
        subject=SubjectRef("acme-dental", "appointment", "A-1"),
        offset="PT2H",
        anchor_at=NOON.replace(hour=14),
        due_at=NOON,
        valid_until=NOON.replace(hour=14),
        version=1,
    ),
    wording=Wording("Nhắc bạn", "vi", "appointment_reminder", ("acme-dental", "12:00")),
    data={"appointment_id": "A-1", "location": {"vi": "Số 12"}},
    decision=Decision(Action.SEND, None, {}),
    free_text_until=NOON,
    start_before=NOON.replace(second=1),
    deliver_before=NOON.replace(hour=14),
)

RESOURCES: Final = ("Table", "EventBus", "PreferencesKey", "ProviderSecrets", "WebhookFunctionUrl")


@dataclass(slots=True)
class Aws:
    """An endpoint that gives every request one response; none if ``status`` is 0."""

    url: str
    status: int = 200
    body: str = '{"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}'
    requests: list[Any] = field(default_factory=list)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            served.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if served.status:
                body = served.body.encode(errors="surrogateescape")
                self.send_response(served.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Aws(f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.url)
        for name, value in environment("SendUpdatesFunction", dict.fromkeys(RESOURCES, "reengage")).items():
            monkeypatch.setenv(name, value)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


LEAN: Final = "lean"
BOTOCORE: Final = "botocore"


@pytest.fixture(params=[LEAN, BOTOCORE])
def channel(aws: Aws, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventBridgeChannel]:
    """Build the channel as bootstrap does, with ``aws`` as its endpoint."""
    assert aws.url
    if request.param == BOTOCORE:
        monkeypatch.setenv("AWS_ACCOUNT_ID", "111122223333")  # one of the variables that the lean client does not read
    built = SendingApp()._provider("eventbridge", "sms")
    assert isinstance(built, EventBridgeChannel)
    yield built
    assert isinstance(built.bus.client, LeanClient) is (request.param == LEAN)
    built.bus.client.close()  # type: ignore[attr-defined] # the real one has it


def error(code: str) -> str:
    return json.dumps({"__type": code, "message": "said AWS"})


def entry(code: str) -> str:
    return json.dumps({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "said AWS"}]})


ANSWERS: Final = {
    "taken": (200, Aws("").body, Accepted("eventbridge", "e-1")),
    "an entry throttled": (200, entry("ThrottlingException"), Retryable("ThrottlingException")),
    "an entry failed": (200, entry("InternalFailure"), Retryable("InternalFailure")),
    **{f"an entry refused: {code}": (200, entry(code), Refused(code)) for code in sorted(REFUSALS)},
    "throttled": (400, error("ThrottlingException"), Retryable("ThrottlingException")),
    "too many requests": (429, error("TooManyRequestsException"), Retryable("TooManyRequestsException")),
    "not allowed": (400, error("AccessDeniedException"), Retryable("AccessDeniedException")),
    "forbidden": (403, error("UnrecognizedClientException"), Retryable("UnrecognizedClientException")),
    "too large": (413, "too large", Retryable("HTTP 413")),
    "an internal failure": (500, error("InternalFailure"), Unknown("InternalFailure")),
    "a bad gateway": (502, "<html>bad gateway</html>", Unknown("HTTP 502")),
    "unavailable": (503, error("ServiceUnavailable"), Unknown("ServiceUnavailable")),
    "a gateway's time-out": (504, "", Unknown("HTTP 504")),
    "a time-out of the request": (408, "", Unknown("HTTP 408")),
    "a status of nobody's": (599, "", Unknown("HTTP 599")),
    "a list": (200, "[1]", Unknown("an answer that cannot be read")),
    "null": (200, "null", Unknown("an answer that cannot be read")),
    "half a letter": (200, '{"Entries": "\udcc3', Unknown("an answer that cannot be read")),
    "a nest": (200, "[" * 50_000, Unknown("an answer that cannot be read")),
    "an id that is none": (200, '{"Entries": [{"EventId": 5}]}', Unknown("an answer without a result")),
    "the connection closed": (0, "", Unknown("RemoteDisconnected")),
}


@pytest.mark.parametrize(("status", "body", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_means(aws: Aws, channel: EventBridgeChannel, status: int, body: str, outcome: object) -> None:
    aws.status, aws.body = status, body
    assert channel.send(OUTBOUND) == outcome
    # A hidden second try after a lost answer would ask twice.
    assert len(aws.requests) == 1


@pytest.mark.parametrize("channel", [BOTOCORE], indirect=True)
@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (NoCredentialsError(), Retryable("NoCredentialsError")),
        (ReadTimeoutError(endpoint_url="-"), Unknown("ReadTimeoutError")),
        (SSLError(endpoint_url="-", error=OSError()), Unknown("SSLError")),
    ],
)
def test_outcome_of_a_connection_failure(channel: EventBridgeChannel, failure: Exception, outcome: object) -> None:
    tries = []

    def fail(**_: Any) -> None:
        tries.append(1)
        raise failure

    channel.bus.client.meta.events.register("before-send.events.PutEvents", fail)  # type: ignore[attr-defined] # as above
    assert channel.send(OUTBOUND) == outcome
    assert len(tries) == 1


def test_refused_connection_is_retried(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert SendingApp()._provider("eventbridge", "sms").send(OUTBOUND) == Retryable("NewConnectionError")
    assert aws.requests == []


def test_request_goes_to_the_bus(aws: Aws, channel: EventBridgeChannel) -> None:
    channel.send(OUTBOUND)
    ((sent_entry,),) = (request["Entries"] for request in aws.requests)
    assert {**sent_entry, "Detail": json.loads(sent_entry["Detail"])} == {
        "EventBusName": "reengage",
        "Source": "reengage",
        "DetailType": "MessageSendRequested",
        "Detail": {
            "contact": {"brand": "acme-dental", "channel": "whatsapp", "address": "+447700900187"},
            "scheduled_message_id": OUTBOUND.message.scheduled_message_id,
            "reason": "appointment_reminder",
            "subject_id": "A-1",
            "text": "Nhắc bạn",
            "locale": "vi",
            "template": {"name": "appointment_reminder", "parameters": ["acme-dental", "12:00"]},
            "data": {"appointment_id": "A-1", "location": {"vi": "Số 12"}},
            "free_text_until": "2031-03-19T12:00:00Z",
            "deliver_before": "2031-03-19T14:00:00Z",
        },
    }


def test_events_are_retried_after_a_failure(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    aws.status, aws.body = 503, error("ServiceUnavailable")
    client = SendingApp()._client("events")
    with pytest.raises(NotPublished):
        EventBus(client, "reengage", lambda _: None)([OutEvent("MessageSent", {})])
    client.close()
    # botocore's three, three times.
    assert len(aws.requests) == 9


def test_each_channel_is_this_one_by_default(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", "")
    built = SendingApp().channel
    for channel in CHANNELS:
        contact = replace(OUTBOUND.message.contact, channel=channel)
        outbound = replace(OUTBOUND, message=replace(OUTBOUND.message, contact=contact))
        assert isinstance(built.send(outbound), Accepted)
    assert len(aws.requests) == len(CHANNELS)
