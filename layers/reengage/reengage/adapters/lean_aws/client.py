"""The client: it writes JSON, signs it, and tries once more what may succeed then.

It leaves out what botocore does for every service: models, validation, hooks, endpoint rules. Callers make valid
requests, those to DynamoDB in its own JSON.
"""

import json
import random
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from zlib import crc32

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from .connections import Answer, Connections
from .signer import Signer
from .surroundings import Service, Surroundings

LONGEST_PAUSE: Final = 1.0
"""Seconds before the second attempt, doubled for each more; a random part of them, as botocore's mode `standard`."""

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
        "RequestThrottled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Errors that the next attempt may not meet (botocore, ``retries/standard.py``)."""


class DamagedAnswer(HTTPClientError):
    """The answer is not the one that AWS sent: its checksum differs, or it is no JSON."""

    fmt = "The answer of AWS is damaged: {error}"


class Requests(Protocol):
    """Make requests to the endpoint ``url``."""

    @property
    def url(self) -> str: ...

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LeanClient:
    """Make the calls of one service that the app makes. ``attempts``: requests for one call."""

    signer: Signer
    connections: Requests
    attempts: int
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of(cls, service: Service, surroundings: Surroundings, *, attempts: int, **connections: Any) -> "LeanClient":
        """Make a client; for ``connections`` see there."""
        url = surroundings.url(service)
        signer = Signer(service, urlsplit(url).netloc, surroundings.region, surroundings.credentials)
        return cls(signer, Connections(url, certificates=surroundings.certificates, **connections), attempts)

    def put_events(self, **given: Any) -> Mapping[str, Any]:
        return self._make_api_call("PutEvents", given)

    def get_secret_value(self, **given: Any) -> Mapping[str, Any]:
        return self._make_api_call("GetSecretValue", given)

    def send_message(self, **given: Any) -> Mapping[str, Any]:
        return self._make_api_call("SendMessage", given)

    def send_text_message(self, **given: Any) -> Mapping[str, Any]:
        return self._make_api_call("SendTextMessage", given)

    def send_rcs_message(self, **given: Any) -> Mapping[str, Any]:
        return self._make_api_call("SendRcsMessage", given)

    def close(self) -> None:
        """Close the connections that are kept."""
        self.connections.close()

    def _make_api_call(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call, as botocore's client does under this name. Raises botocore's exceptions."""
        body = json.dumps(given, separators=(",", ":"), default=_base64).encode()
        for attempt in range(1, self.attempts + 1):
            try:
                signed = self.signer.headers(operation, body, self.clock())
                status, headers, content = self.connections.post(signed, body)
                answer = _parsed(headers, content, is_success=status == HTTPStatus.OK)
            except (NoConnection, HTTPClientError):
                if attempt == self.attempts:
                    raise
            else:
                if status == HTTPStatus.OK:
                    return answer
                error = _error(operation, status, headers, answer)
                if attempt == self.attempts or not _is_temporary(status, error):
                    raise error
            # A random part, so that not all try again at once.
            self.pause(random.random() * LONGEST_PAUSE * 2 ** (attempt - 1))  # nosec B311 # a pause guards no secret
        raise AssertionError("unreachable")


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


def _error(operation: str, status: int, headers: Mapping[str, str], answer: dict[str, Any]) -> ClientError:
    """Return the exception that botocore would raise, but for its class: that is `ClientError` for each code."""
    code = str(answer.pop("__type", status)).rpartition("#")[2].partition(":")[0]
    code = headers.get("x-amzn-query-error", code).partition(";")[0]  # SQS keeps the codes of its former protocol
    message = str(answer.pop("message", None) or answer.pop("Message", ""))
    parsed: Any = {
        **answer,
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "RequestId": headers.get("x-amzn-RequestId", ""),
            "HTTPStatusCode": status,
            "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
        },
    }
    return ClientError(parsed, operation)


def _base64(value: object) -> str:
    """Return the JSON form of bytes. Raises ``TypeError`` for anything else."""
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"{type(value).__name__} is no value of AWS")
    return b64encode(value).decode()


def _with_bytes(parsed: dict[str, Any]) -> dict[str, Any]:
    if isinstance(text := parsed.get("B"), str) and len(parsed) == 1:
        return {"B": b64decode(text)}
    return parsed


def _is_temporary(status: int, error: ClientError) -> bool:
    return status in TRANSIENT or error.response["Error"]["Code"] in THROTTLED
