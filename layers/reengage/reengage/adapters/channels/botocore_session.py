"""``Http`` as the HTTP session of botocore's clients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from .aws_client import post
from .http import Http


@dataclass(frozen=True, slots=True)
class Session:
    """Replacement of botocore's own HTTP session."""

    http: Http

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        raw_headers: Any = request.headers  # botocore has made bytes of them
        body: Any = request.body  # and of this, for these services' protocols
        headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in raw_headers.items()}
        answer = post(self.http, request.url, headers, body)
        received: Any = answer.headers
        raw: Any = _Body(answer.body)
        return AWSResponse(request.url, answer.status, received, raw)

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.content
