"""A client of the table with a third of the CPU of botocore's: it writes JSON, and signs it by Signature Version 4.

botocore's client keeps its part: endpoint, credentials, TLS and exceptions. This client leaves out what botocore does
for every service: validation by models, hooks, endpoint rules. pynamodb makes requests in DynamoDB's own JSON already.
"""

import hashlib
import hmac
import json
import random
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit
from zlib import crc32

from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError, NoCredentialsError

from .connections import Connections

CONTENT_TYPE: Final = "application/x-amz-json-1.0"
TARGET: Final = "DynamoDB_20120810"

ATTEMPTS: Final = 2
"""Of a request, as those of botocore's client of the table. Every write is conditional, so a repeat is safe."""

LONGEST_PAUSE: Final = 1.0
"""Seconds before the second attempt; a random part of them, as botocore's mode `standard` waits."""

TRANSIENT: Final = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
THROTTLED: Final = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
"""Errors that the second attempt may not meet (botocore, ``retries/standard.py``)."""


class DamagedAnswer(HTTPClientError):
    """The answer is not the one that DynamoDB sent: its checksum differs, or it is no JSON."""

    fmt = "The answer of DynamoDB is damaged: {error}"


@dataclass(slots=True)
class Signer:
    """Sign requests to DynamoDB (AWS General Reference, "Signature Version 4 signing process")."""

    host: str
    region: str
    _key: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, credentials: Any, operation: str, body: bytes, now: datetime) -> dict[str, str]:
        """Return the headers of a POST of the body to ``/``."""
        at = f"{now:%Y%m%dT%H%M%SZ}"
        headers = {
            "content-type": CONTENT_TYPE,
            "host": self.host,
            "x-amz-date": at,
            **({"x-amz-security-token": credentials.token} if credentials.token else {}),
            "x-amz-target": f"{TARGET}.{operation}",
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{at[:8]}/{self.region}/dynamodb/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(credentials.secret_key, at[:8]), text.encode(), "sha256").hex()
        return headers | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        }

    def _signing_key(self, secret: str, day: str) -> bytes:
        """Return the day's key, which is made once."""
        known = self._key
        if known[:2] != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self.region, "dynamodb", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = known = (secret, day, key)  # one assignment: several threads may make it
        return known[2]


@dataclass(slots=True)
class LeanClient:
    """Make the requests that pynamodb makes of a botocore client. ``client`` is botocore's, and has all else."""

    client: Any
    credentials: Any
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _url: str = field(init=False)
    _signer: Signer = field(init=False)
    _connections: Connections | None = field(init=False)

    def __post_init__(self) -> None:
        endpoint = urlsplit(self.client.meta.endpoint_url)
        self._url = f"{endpoint.scheme}://{endpoint.netloc}/"
        self._signer = Signer(endpoint.netloc, self.client.meta.region_name)
        self._connections = Connections.of(self.client._endpoint.http_session, self._url)  # noqa: SLF001 - no public name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def close(self) -> None:
        """Close the connections that are kept, not those of botocore's client."""
        if self._connections is not None:
            self._connections.close()

    def _make_api_call(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Make a request; one more if there is no answer, or one that says to try again. pynamodb calls it."""
        body = json.dumps(given, separators=(",", ":"), default=_base64).encode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, headers, content = self._send(operation, body)
                answer = _parsed(headers, content, is_success=status == HTTPStatus.OK)
            except (NoConnection, HTTPClientError):
                if attempt == ATTEMPTS:
                    raise
            else:
                if status == HTTPStatus.OK:
                    return answer
                error = self._error(operation, status, headers, answer)
                if attempt == ATTEMPTS or not _is_temporary(status, error):
                    raise error
            # A random part, so that not all try again at once.
            self.pause(random.random() * LONGEST_PAUSE)  # nosec B311 # a pause guards no secret
        raise AssertionError("unreachable")

    def _send(self, operation: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if self.credentials is None:
            raise NoCredentialsError
        signed = self._signer.headers(self.credentials.get_frozen_credentials(), operation, body, self.clock())
        if self._connections is not None:
            return self._connections.post(signed, body)
        sent: Any = HeadersDict(signed)  # the types name another class than botocore uses
        request = AWSPreparedRequest("POST", self._url, sent, body, stream_output=False)
        answer = self.client._endpoint.http_session.send(request)  # noqa: SLF001 - it knows how to use a proxy
        return answer.status_code, answer.headers, answer.content

    def _error(self, operation: str, status: int, headers: Mapping[str, str], answer: dict[str, Any]) -> Any:
        """Return the exception that botocore would raise."""
        code = str(answer.pop("__type", status)).rpartition("#")[2].partition(":")[0]
        message = str(answer.pop("message", None) or answer.pop("Message", ""))
        parsed = {
            **answer,
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "RequestId": headers.get("x-amzn-RequestId", ""),
                "HTTPStatusCode": status,
                "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
            },
        }
        return self.client.exceptions.from_code(code)(parsed, operation)


def _parsed(headers: Mapping[str, str], content: bytes, *, is_success: bool) -> dict[str, Any]:
    checksum = headers.get("x-amz-crc32")
    if checksum and int(checksum) != crc32(content):
        raise DamagedAnswer(error="its checksum differs")
    try:
        # A hook for each object costs more than the parsing, and few answers have bytes.
        answer = json.loads(content, object_hook=_with_bytes if b'"B":' in content else None)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    if is_success:
        raise DamagedAnswer(error="it is no JSON object")
    return {}  # a proxy or a load balancer has answered: its status counts


def _base64(value: object) -> str:
    """Return the JSON form of bytes. Raises ``TypeError`` for anything else."""
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"{type(value).__name__} is no value of DynamoDB")
    return b64encode(value).decode()


def _with_bytes(parsed: dict[str, Any]) -> dict[str, Any]:
    if isinstance(text := parsed.get("B"), str) and len(parsed) == 1:
        return {"B": b64decode(text)}
    return parsed


def _is_temporary(status: int, error: Any) -> bool:
    return status in TRANSIENT or error.response["Error"]["Code"] in THROTTLED
