"""The lean client of the table over a local socket: signature, answers, errors, retries and connections."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from unittest.mock import patch
from zlib import crc32

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.dynamodb.lean_client import DamagedAnswer, LeanClient, Signer

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
        config = Config(connect_timeout=1, read_timeout=0.3)
        made = botocore.session.get_session().create_client(
            "dynamodb",
            region_name="eu-central-1",
            endpoint_url=options.pop("endpoint_url", f"http://127.0.0.1:{server.server_port}"),
            aws_access_key_id="an-id",
            aws_secret_access_key="a-key",  # noqa: S106 - of no account
            config=config,
        )
        lean = LeanClient(made, options.pop("credentials", Credentials("an-id", "a-key")), pause=pauses.append)
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
    operation=st.sampled_from(["PutItem", "BatchGetItem"]),
)
def test_signature_is_that_of_botocore(token: str | None, body: Any, region: str, operation: str) -> None:
    credentials, content = Credentials("AKID", "a/secret+key", token), json.dumps(body).encode()
    host = f"dynamodb.{region}.amazonaws.com"
    found = Signer(host, region).headers(credentials.get_frozen_credentials(), operation, content, NOON)
    unsigned = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    request = AWSRequest("POST", f"https://{host}/", unsigned, content)
    with patch("botocore.auth.get_current_datetime", return_value=NOON):
        SigV4Auth(credentials, "dynamodb", region).add_auth(request)
    assert found["authorization"] == request.headers["Authorization"]
    assert found["x-amz-date"] == request.headers["X-Amz-Date"]
    assert found.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_signing_key_changes_with_day_and_secret() -> None:
    signer, first = Signer("host", "eu-central-1"), Credentials("AKID", "one").get_frozen_credentials()
    other = Credentials("AKID", "two").get_frozen_credentials()
    signed = [
        signer.headers(who, "PutItem", b"{}", at)["authorization"]
        for who, at in ((first, NOON), (other, NOON), (first, NOON.replace(day=8)), (first, NOON))
    ]
    assert len(set(signed)) == 3
    assert signed[0] == signed[3]


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
    assert isinstance(caught.value, lean.exceptions.ConditionalCheckFailedException)
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
        client(endpoint_url="http://127.0.0.1:1") as (lean, _, pauses),
        pytest.raises(EndpointConnectionError, match=r"127\.0\.0\.1:1"),
    ):
        lean._make_api_call("GetItem", GIVEN)
    assert len(pauses) == 1


def test_absent_credentials_raise() -> None:
    with client(credentials=None) as (lean, _, _), pytest.raises(NoCredentialsError):
        lean._make_api_call("GetItem", GIVEN)


def test_proxy_is_used_by_botocores_own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    with client(answer(body={"Item": KEY})) as (through, server, _):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with client(endpoint_url="http://dynamodb.example") as (lean, _, _):
            assert lean._make_api_call("GetItem", GIVEN) == {"Item": KEY}
        assert server.requests[0][0]["host"] == "dynamodb.example"
        assert through.meta.region_name == "eu-central-1"
