"""One call of one of AWS's clients: one request over ``Http``, and what came of it.

botocore signs the request and reads the answer; what lies between goes by ``Http``, as with every other provider:
botocore's own session would keep a connection for the next call, and wait for an answer that drips for as long as it
drips.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from reengage.ports import OptedOut, Outcome, Refused, Retryable, Unknown

from .http import Http, HttpResponse, retry_after

OutcomeFactory = type[Refused] | type[OptedOut] | type[Retryable] | type[Unknown]
Kinds = Mapping[tuple[str, str], OutcomeFactory]
"""By an exception's code and its ``Reason``; an empty reason stands for every other one."""

NO_KINDS: Final[Kinds] = MappingProxyType({})

BEFORE_SENDING: Final = (CredentialRetrievalError, NoCredentialsError, ParamValidationError, PartialCredentialsError)
"""Raised before any of the request has left."""

GARBLED: Final = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What botocore's parsers raise on a body that is cut within a character, nests too deep, or is JSON but no object."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
_BEGINS_BY: Final[ContextVar[float]] = ContextVar("begins_by")
"""By ``monotonic``; until then botocore looks for credentials, and signs."""


class _Interrupted(Exception):
    """There is no answer."""

    def __init__(self, outcome: Retryable | Unknown) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Session:
    """Stands where botocore has its own HTTP session."""

    http: Http

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        headers: Any = request.headers  # botocore has made bytes of them
        body: Any = request.body  # and of this, for these services' protocols
        said = {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}
        answer = self.http.post(request.url, said, body, start_within=timedelta(seconds=_BEGINS_BY.get() - monotonic()))
        if not isinstance(answer, HttpResponse):
            raise _Interrupted(answer)
        told: Any = answer.headers
        raw: Any = _Body(answer.body)
        return AWSResponse(request.url, answer.status, told, raw)

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.content


def over(http: Http, client: Any) -> Any:
    """The client, each of whose calls goes by ``http``. It is to make one attempt a call (``total_max_attempts=1``)."""
    client._endpoint.http_session = _Session(http)  # noqa: SLF001 - botocore has no other place for a session of one's own
    return client


def ask(
    call: Callable[..., Mapping[str, Any]], request: Mapping[str, Any], *, start_within: timedelta
) -> Mapping[str, Any] | ClientError | Retryable | Unknown:
    """What the service answers, the error that it tells, or what else came of the one call."""
    token = _BEGINS_BY.set(monotonic() + start_within.total_seconds())
    try:
        return call(**request)
    except _Interrupted as interrupted:
        return interrupted.outcome
    except ClientError as error:
        return error
    except BotoCoreError as error:
        return (Retryable if isinstance(error, BEFORE_SENDING) else Unknown)(type(error).__name__)
    except GARBLED:
        return Unknown("an answer that cannot be read")
    finally:
        _BEGINS_BY.reset(token)


def told(error: ClientError, outcomes: Kinds, now: datetime) -> Outcome:
    """What an error means: by the table, else by the status. A 4xx without a code that can be read was not taken
    either: its status line says enough.
    """
    response: Mapping[str, Any] = {**error.response}
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", HTTPStatus.INTERNAL_SERVER_ERROR)
    code, reason = _name(response.get("Error", {}).get("Code")), _name(response.get("Reason"))
    kind = outcomes.get((code, reason)) or outcomes.get((code, "")) or _of_status(status)
    said = ": ".join(filter(None, (code, reason))) or f"HTTP {status}"
    if kind is Retryable:
        return Retryable(said, retry_after(metadata.get("HTTPHeaders", {}).get("retry-after", ""), now))
    return kind(said)


def _of_status(status: int) -> OutcomeFactory:
    """Of an error that has no row: a 4xx is about the request's signature or form, and was not taken. Nobody knows
    after a time-out, whichever side calls it so, and after anything else.
    """
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Unknown
    return Retryable if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR else Unknown


def _name(text: object) -> str:
    """A code or a reason; empty for what is none, which may hold anything and must not get into the error."""
    return text if isinstance(text, str) and _NAME.fullmatch(text) else ""
