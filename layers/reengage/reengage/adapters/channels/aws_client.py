"""Call an AWS client with one request over ``Http``, and classify the outcome.

The client signs the request and parses the response; ``Http`` carries them, as with every other provider. With
its own session, botocore would keep the connection, and would wait without limit for a slow response.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from reengage.adapters.lean_aws.client import DamagedAnswer, LeanClient
from reengage.adapters.lean_aws.connections import Answer
from reengage.ports import OptedOut, Outcome, Refused, Retryable, Unknown

from .http import Http, HttpResponse, retry_after

OutcomeFactory = type[Refused] | type[OptedOut] | type[Retryable] | type[Unknown]
Kinds = Mapping[tuple[str, str], OutcomeFactory]
"""Outcomes by an exception's code and its ``Reason``; an empty reason matches every other reason."""

NO_KINDS: Final[Kinds] = MappingProxyType({})

BEFORE_SENDING: Final = (CredentialRetrievalError, NoCredentialsError, ParamValidationError, PartialCredentialsError)
"""Raised before any byte of the request is sent."""

GARBLED: Final = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""Raised by botocore's parsers if a body is cut within a character, is nested too deep, or is no JSON object."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
_BEGINS_BY: Final[ContextVar[float]] = ContextVar("begins_by")
"""Until this time of ``monotonic``, botocore may look for credentials and sign."""


class _Interrupted(Exception):
    """The call has no response."""

    def __init__(self, outcome: Retryable | Unknown) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def post(http: Http, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    """Make the request of an AWS client within ``invoke``, which catches what this raises."""
    answer = http.post(url, headers, body, start_within=timedelta(seconds=_BEGINS_BY.get() - monotonic()))
    if not isinstance(answer, HttpResponse):
        raise _Interrupted(answer)
    return answer


@dataclass(frozen=True, slots=True)
class _Requests:
    """Replacement of the lean client's own connections."""

    http: Http
    url: str

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = post(self.http, f"{self.url}/", headers, body)
        return answer.status, answer.headers, answer.body

    def close(self) -> None:
        """Nothing is kept open."""


def over(http: Http, client: Any) -> Any:
    """Make the client use ``http`` for its calls, and return it. It must make one attempt a call.

    That is ``total_max_attempts=1``.
    """
    if isinstance(client, LeanClient):
        return replace(client, connections=_Requests(http, client.connections.url))
    from .botocore_session import Session  # noqa: PLC0415 - slow to import; lean clients do not need it

    client._endpoint.http_session = Session(http)  # noqa: SLF001 - botocore has no other place for a session of one's own
    return client


def invoke(
    call: Callable[..., Mapping[str, Any]], request: Mapping[str, Any], *, start_within: timedelta
) -> Mapping[str, Any] | ClientError | Retryable | Unknown:
    """Call the service once. Return its response, its error, or the outcome if there is no response."""
    token = _BEGINS_BY.set(monotonic() + start_within.total_seconds())
    try:
        return call(**request)
    except _Interrupted as interrupted:
        return interrupted.outcome
    except ClientError as error:
        return error
    except (DamagedAnswer, *GARBLED):
        return Unknown("an answer that cannot be read")
    except BotoCoreError as error:
        return (Retryable if isinstance(error, BEFORE_SENDING) else Unknown)(type(error).__name__)
    finally:
        _BEGINS_BY.reset(token)


def classify_error(error: ClientError, outcomes: Kinds, now: datetime) -> Outcome:
    """Return the outcome of an error, by the table or else by the status.

    A 4xx without a readable code was not accepted either: its status is enough.
    """
    response: Mapping[str, Any] = {**error.response}
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", HTTPStatus.INTERNAL_SERVER_ERROR)
    code, reason = _name(response.get("Error", {}).get("Code")), _name(response.get("Reason"))
    kind = outcomes.get((code, reason)) or outcomes.get((code, "")) or _of_status(status)
    text = ": ".join(filter(None, (code, reason))) or f"HTTP {status}"
    if kind is Retryable:
        return Retryable(text, retry_after(metadata.get("HTTPHeaders", {}).get("retry-after", ""), now))
    return kind(text)


def _of_status(status: int) -> OutcomeFactory:
    """Return the outcome of an error that is not in the table.

    A 4xx is about the request's signature or form, and was not accepted. After a time-out of either side, and after
    any other status, the outcome is unknown.
    """
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Unknown
    return Retryable if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR else Unknown


def _name(text: object) -> str:
    """Return the error code if it is well-formed, else "". Untrusted text must not reach the logs."""
    return text if isinstance(text, str) and _NAME.fullmatch(text) else ""
