"""The lean client over a local socket: signature, answers, errors, retries and connections."""

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlsplit
from zlib import crc32

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.lean_aws.client import DamagedAnswer, LeanClient
from reengage.adapters.lean_aws.connections import Connections
from reengage.adapters.lean_aws.signer import Signer
from reengage.adapters.lean_aws.surroundings import SERVICES, Credentials

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOON: Final = datetime(2026, 12, 7, 12, 30, 15, tzinfo=UTC)
KEY: Final = {"pk": {"S": "a"}, "sk": {"S": "ü"}}
GIVEN: Final = {"TableName": "reengage", "Key": KEY}
ERROR: Final = "com.amazonaws.dynamodb.v20120810#"

Answer = tuple[int, bytes, dict[str, str]]


def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return status, content, {"x-amz-crc32": str(crc32(content))} | {n.replace("_", "-"): v for n, v in headers.items()}


class Server(ThreadingHTTPServer):
    """Answers in the order of ``answers``; a callable is what happens instead of an answer."""

    daemon_threads = True

    def __init__(self, answers: list[Answer | Callable[[BaseHTTPRequestHandler], None]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = answers, list[tuple[dict[str, str], bytes]]()
        self.connections = set[Any]()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        self.server.connections.add(self.client_address)
        planned = self.server.answers.pop(0)
        if callable(planned):
            planned(self)
            return
        status, content, headers = planned
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def say_nothing(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1)
    handler.close_connection = True


@contextmanager
def client(*answers: Any, **options: Any) -> Iterator[tuple[LeanClient, Server, list[float]]]:
    """Yield a client, its server, and the pauses that the client made."""
    pauses: list[float] = []
    with Server([*answers]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = options.get("url", f"http://127.0.0.1:{server.server_port}")
        service = SERVICES[options.get("service", "dynamodb")]
        signer = Signer(service, urlsplit(url).netloc, "eu-central-1", Credentials("an-id", "a-key"))
        tls = ssl.create_default_context()
        connections = Connections(url, connect_timeout=1, read_timeout=0.3, tls=tls, certificates="none.pem")
        lean = LeanClient(signer, connections, options.get("attempts", 2), pause=pauses.append)
        try:
            yield lean, server, pauses
        finally:
            lean.close()
            server.shutdown()
            thread.join()


@given(
    token=st.none() | st.text("abcXYZ/+=", min_size=1, max_size=40),
    body=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4),
    region=st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"]),
    operation=st.sampled_from(["PutItem", "PutEvents"]),
    service=st.sampled_from(sorted(SERVICES)),
)
def test_signature_is_that_of_botocore(token: str | None, body: Any, region: str, operation: str, service: str) -> None:
    key, content, name = ("AKID", "a/secret+key", token), json.dumps(body).encode(), SERVICES[service].name
    host = f"{name}.{region}.amazonaws.com"
    found = Signer(SERVICES[service], host, region, Credentials(*key)).headers(operation, content, NOON)
    unsigned = {name: found[name] for name in ("content-type", "x-amz-target")}
    request = AWSRequest("POST", f"https://{host}/", unsigned, content)
    with patch("botocore.auth.get_current_datetime", return_value=NOON):
        SigV4Auth(BotocoreCredentials(*key), name, region).add_auth(request)
    assert found["authorization"] == request.headers["Authorization"]
    assert found["x-amz-date"] == request.headers["X-Amz-Date"]
    assert found.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_signing_key_changes_with_day() -> None:
    signer = Signer(SERVICES["dynamodb"], "host", "eu-central-1", Credentials("AKID", "one"))
    signed = [signer.headers("PutItem", b"{}", at)["authorization"] for at in (NOON, NOON.replace(day=8), NOON)]
    assert len(set(signed)) == 2
    assert signed[0] == signed[2]


def test_request_is_json_with_its_operation() -> None:
    with client(answer(body={"Attributes": KEY})) as (lean, server, pauses):
        assert lean._make_api_call("UpdateItem", GIVEN) == {"Attributes": KEY}
        [(headers, body)] = server.requests
    assert json.loads(body) == GIVEN
    assert headers["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=an-id/")
    assert pauses == []


def test_bytes_go_as_base64_and_come_back_as_bytes() -> None:
    item = {"keys": {"B": b64encode(b"\x00\xff").decode()}, "n": {"N": "1"}}
    with client(answer(body={"Item": item})) as (lean, server, _):
        found = lean._make_api_call("PutItem", {"Item": {"keys": {"B": b"\x00\xff"}}})
        assert json.loads(server.requests[0][1])["Item"]["keys"] == item["keys"]
    assert found["Item"] == {"keys": {"B": b"\x00\xff"}, "n": {"N": "1"}}
    with client() as (lean, _, _), pytest.raises(TypeError, match="datetime"):
        lean._make_api_call("PutItem", {"Item": {"at": NOON}})


def test_connection_is_used_again() -> None:
    with client(*[answer()] * 3) as (lean, server, _):
        for _ in range(3):
            lean._make_api_call("GetItem", GIVEN)
        assert len(server.connections) == 1


def test_closed_connection_is_not_used_again() -> None:
    with client(answer(Connection="close"), answer(), answer()) as (lean, server, pauses):
        for _ in range(3):
            lean._make_api_call("GetItem", GIVEN)
        assert len(server.connections) == 2
    assert pauses == []


def test_condition_that_is_not_met_is_not_tried_again() -> None:
    refused = {"__type": f"{ERROR}ConditionalCheckFailedException", "message": "The conditional request failed"}
    with client(answer(400, refused, x_amzn_RequestId="r-1")) as (lean, server, pauses):
        with pytest.raises(ClientError) as caught:
            lean._make_api_call("PutItem", GIVEN)
        assert len(server.requests) == 1
    assert caught.value.response["Error"] == {
        "Code": "ConditionalCheckFailedException",
        "Message": "The conditional request failed",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"] == "r-1"
    assert pauses == []


TEMPORARY: Final[dict[str, Any]] = {
    "throttled": answer(400, {"__type": f"{ERROR}ThrottlingException"}),
    "too fast for the table": answer(400, {"__type": f"{ERROR}ProvisionedThroughputExceededException"}),
    "a failure of DynamoDB": answer(500, {"__type": f"{ERROR}InternalServerError"}),
    "a load balancer's page": answer(503, b"<html>"),
    "hung up": hang_up,
    "no answer": say_nothing,
    "a damaged answer": (200, b"{}", {"x-amz-crc32": "1"}),
    "no JSON": (200, b"[]", {}),
}


@pytest.mark.parametrize("first", TEMPORARY)
def test_temporary_failure_is_tried_once_more(first: str) -> None:
    with client(TEMPORARY[first], answer(body={"Item": KEY})) as (lean, server, pauses):
        assert lean._make_api_call("GetItem", GIVEN) == {"Item": KEY}
        assert len(server.requests) == 2
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= 1


RAISED: Final[dict[str, type[Exception]]] = {
    "throttled": ClientError,
    "a load balancer's page": ClientError,
    "hung up": ConnectionClosedError,
    "no answer": ReadTimeoutError,
    "a damaged answer": DamagedAnswer,
}


@pytest.mark.parametrize("failure", RAISED)
def test_second_failure_is_raised_as_botocore_does(failure: str) -> None:
    with client(TEMPORARY[failure], TEMPORARY[failure]) as (lean, server, _):
        with pytest.raises(RAISED[failure]):
            lean._make_api_call("GetItem", GIVEN)
        assert len(server.requests) == 2


def test_endpoint_that_is_not_there_is_named() -> None:
    with (
        client(url="http://127.0.0.1:1") as (lean, _, pauses),
        pytest.raises(EndpointConnectionError, match=r"127\.0\.0\.1:1"),
    ):
        lean._make_api_call("GetItem", GIVEN)
    assert len(pauses) == 1


def test_one_attempt_is_one_request() -> None:
    with client(answer(503), attempts=1) as (lean, server, pauses):
        with pytest.raises(ClientError, match="503"):
            lean.put_events(Entries=[])
        assert len(server.requests) == 1
    assert pauses == []


def test_third_attempt_waits_up_to_two_seconds() -> None:
    with client(hang_up, hang_up, answer(), attempts=3) as (lean, _, pauses), patch("random.random", return_value=0.5):
        lean.send_message(QueueUrl="-", MessageBody="{}")
    assert pauses == [0.5, 1.0]


CALLS: Final[dict[str, tuple[Callable[[LeanClient], Any], str, str]]] = {
    "events": (lambda lean: lean.put_events(Entries=[]), "AWSEvents.PutEvents", "application/x-amz-json-1.1"),
    "secretsmanager": (
        lambda lean: lean.get_secret_value(SecretId="a"),
        "secretsmanager.GetSecretValue",
        "application/x-amz-json-1.1",
    ),
    "sqs": (
        lambda lean: lean.send_message(QueueUrl="-", MessageBody="{}"),
        "AmazonSQS.SendMessage",
        "application/x-amz-json-1.0",
    ),
}


@pytest.mark.parametrize("service", CALLS)
def test_each_service_is_called_by_its_own_name(service: str) -> None:
    call, target, content_type = CALLS[service]
    with client(answer(body={"a": 1}), service=service) as (lean, server, _):
        assert call(lean) == {"a": 1}
        [(headers, _)] = server.requests
    assert (headers["x-amz-target"], headers["content-type"]) == (target, content_type)
    assert f"/eu-central-1/{service}/aws4_request" in headers["authorization"]


def test_code_of_sqs_is_that_of_its_former_protocol() -> None:
    refused = answer(
        400,
        {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no queue"},
        x_amzn_query_error="AWS.SimpleQueueService.NonExistentQueue;Sender",
    )
    with client(refused, service="sqs") as (lean, _, _), pytest.raises(ClientError) as caught:
        lean.send_message(QueueUrl="-", MessageBody="{}")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
