"""Send one POST over ``http.client`` and classify it: not sent, unknown, or a response.

Nothing is retried and no redirect is followed: one call is one request. A call has a connection of its own, or one
that an earlier call of the same run left open (``connections.py``). The import of urllib3 would take 19 ms.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead, InvalidURL
from socket import SHUT_RDWR, gaierror, socket
from threading import Timer
from time import monotonic
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from reengage.errors import ReengageError
from reengage.ports import Outcome, Refused, Retryable, Unknown

from .connections import KeptConnections

BODY_LIMIT: Final = 64 * 1024
"""Bytes of a response. A longer one is not read: no provider sends one."""

CONNECT: Final = 2
WHOLE: Final = 6
LONGEST: Final = timedelta(seconds=CONNECT + WHOLE)
"""After this time from its start, no call can still be accepted."""

LONGEST_HINT: Final = timedelta(days=1)
"""A ``Retry-After`` beyond this counts as this."""

BROKEN: Final = (HTTPException, OSError, ValueError)
"""The errors of a broken response, such as a chunk with a negative length."""

NOT_CONNECTED: Final[Mapping[type[Exception], str]] = MappingProxyType(
    {
        gaierror: "NameResolutionError",
        TimeoutError: "ConnectTimeoutError",
        **dict.fromkeys((ConnectionRefusedError, OSError), "NewConnectionError"),
    }
)
"""The names of errors of a connection that was not made; any other has the name of its type."""

HTTP_1_1: Final = 11
"""As ``http.client`` writes the version."""

Secrets = Callable[[], Mapping[str, Any]]
"""The providers' secrets by name, read at each send, so that a rotated one is used."""


OutcomeFactory = Callable[[str], Outcome]
"""An outcome of the error's text: its class, or what makes one of it."""

Codes = Mapping[int, tuple[OutcomeFactory, str]]
"""The outcome of each provider code, and its short title."""

OF_MESSAGE: Final[OutcomeFactory] = partial(Retryable, of_recipient=True)
"""Errors such as a missing template: the route delivers other messages."""

WAIT_A_DAY: Final[OutcomeFactory] = partial(Retryable, retry_after=timedelta(days=1), of_recipient=True)
"""Meta limits marketing to one recipient for a while; its documents advise to wait at least a day."""

STATUSES: Final[Mapping[int, OutcomeFactory]] = MappingProxyType(
    {
        # An operator must fix the credentials, the account or the address of the API.
        HTTPStatus.UNAUTHORIZED: Retryable,
        HTTPStatus.PAYMENT_REQUIRED: Retryable,
        HTTPStatus.FORBIDDEN: Retryable,
        HTTPStatus.NOT_FOUND: Retryable,
        HTTPStatus.METHOD_NOT_ALLOWED: Retryable,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Retryable,
        HTTPStatus.TOO_MANY_REQUESTS: Retryable,
        # A time-out, as any other.
        HTTPStatus.REQUEST_TIMEOUT: Unknown,
    }
)
"""The outcome of a status (RFC 9110) without a code of the provider.

Any other 4xx refuses this message. After any other status (a 5xx, a redirect) the outcome is unknown.
"""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response. ``body`` is empty if it was longer than ``BODY_LIMIT``."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def json(self) -> Any:
        """``None`` where the body is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def classify(self, kind: OutcomeFactory, error: str, now: datetime) -> Outcome:
        outcome = kind(error)
        if not isinstance(outcome, Retryable):
            return outcome
        hint = retry_after(self.headers.get("Retry-After", ""), now)
        return outcome if hint is None else replace(outcome, retry_after=hint)

    def classify_by_code(self, code: int, codes: Codes, now: datetime) -> Outcome:
        """Return the outcome of the provider's own code.

        A 4xx with an unknown code was not accepted. It may be temporary, or an operator may fix it, so it is retried.
        """
        if code not in codes:
            is_no = self._is_no and self.status != HTTPStatus.REQUEST_TIMEOUT
            return self.classify(OF_MESSAGE if is_no else Unknown, f"{code} with HTTP {self.status}", now)
        kind, title = codes[code]
        return self.classify(kind, f"{code} {title}", now)

    def classify_by_status(self, now: datetime) -> Outcome:
        return self.classify(self._kind, f"HTTP {self.status}", now)

    @property
    def _kind(self) -> OutcomeFactory:
        return STATUSES.get(self.status, Refused if self._is_no else Unknown)

    @property
    def _is_no(self) -> bool:
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True)
class Http:
    """An HTTP client with time-outs in seconds.

    ``connect``: until the connection is open, TLS included. ``read``: without a byte. ``total_timeout``: from the
    connection to the end of the response, even if bytes arrive steadily.
    """

    connect: float = CONNECT
    read: float = 5
    total_timeout: float = WHOLE
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    kept: KeptConnections | None = None

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, start_within: timedelta
    ) -> HttpResponse | Retryable | Unknown:
        """Send the body. ``Retryable``: no byte of it was sent; ``Unknown``: the outcome is not known.

        ``start_within`` is the time in which the body may begin to be sent, if that is shorter than ``connect``.
        """
        connect_timeout = min(self.connect, start_within.total_seconds())
        if connect_timeout <= 0:
            return Retryable("too late to begin")
        try:
            parsed = urlsplit(url)
            target = (parsed.scheme, parsed.hostname or "", parsed.port)
            kept = self.kept.take(target) if self.kept else None
            connection = kept or self._connection(*target, connect_timeout)
        except (HTTPException, ValueError):
            return Retryable(InvalidURL.__name__)
        is_reusable = False
        try:
            if kept is None and (failed := _connect(connection, connect_timeout)):
                return failed
            answer, is_reusable = self._exchange(connection, _path(parsed), headers, body)
            return answer
        finally:
            if self.kept and is_reusable:
                self.kept.keep(target, connection)
            else:
                connection.close()

    def _connection(self, scheme: str, host: str, port: int | None, connect_timeout: float) -> HTTPConnection:
        if scheme == "https":
            return HTTPSConnection(host, port, timeout=connect_timeout, context=self.context)
        return HTTPConnection(host, port, timeout=connect_timeout)

    def _exchange(
        self, connection: HTTPConnection, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[HttpResponse | Retryable | Unknown, bool]:
        """Send the request and read the answer; also return whether the connection can be used again."""
        connection.timeout = self.read
        if connection.sock:
            connection.sock.settimeout(self.read)
        ends = monotonic() + self.total_timeout
        watchdog = Timer(self.total_timeout, _cut, (connection.sock,))
        watchdog.daemon = True
        watchdog.start()
        answer: HttpResponse | Retryable | Unknown
        try:
            answer, is_reusable = _ask(connection, target, headers, body, keep=self.kept is not None)
        except BROKEN as error:
            answer, is_reusable = Unknown(_name(error)), False
        finally:
            watchdog.cancel()
        # An answer without a length looks whole when it was cut off.
        return (answer, is_reusable) if monotonic() < ends else (Unknown("the answer took too long"), False)


def _path(url: SplitResult) -> str:
    """Return what the request names, with each character that may not be in it percent-encoded."""
    path, query = (quote(part, safe="/%:@!$&'()*+,;=?") for part in (url.path or "/", url.query))
    return f"{path}?{query}" if query else path


def _connect(connection: HTTPConnection, connect_timeout: float) -> Retryable | None:
    """Connect as a step of its own: if it fails, no byte of the request has left."""
    began = monotonic()
    try:
        connection.connect()
    except OSError as error:
        return Retryable(NOT_CONNECTED.get(type(error), _name(error)))
    except ValueError:  # a host that can be no name
        return Retryable(InvalidURL.__name__)
    # A slow name server, or several addresses each tried for so long.
    return Retryable("connecting took too long") if monotonic() > began + connect_timeout else None


def retry_after(text: str, now: datetime) -> timedelta | None:
    """``Retry-After``, in seconds or as a date (RFC 9110, 10.2.3); ``None`` where it cannot be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_HINT)  # nine digits are years
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return min(max(at - now, timedelta()), LONGEST_HINT)
    except (ValueError, OverflowError):
        return None


def _ask(
    connection: HTTPConnection, target: str, headers: Mapping[str, str], body: bytes, *, keep: bool
) -> tuple[HttpResponse | Retryable, bool]:
    """Send and read; also return whether the connection can be used again: the answer has an end of its own."""
    own = {"User-Agent": "reengage", **({} if keep else {"Connection": "close"})}
    try:
        connection.request("POST", target, body, {**own, **headers})
    except BrokenPipeError:
        pass  # It was answered before all of it was read, as a throttle may be.
    except ValueError as error:  # a header that cannot be written: found before anything is
        return Retryable(_name(error)), False
    response = connection.getresponse()
    content = b""
    # To its end, or past the limit: that the rest is missing, the last read tells.
    while len(content) <= BODY_LIMIT and (more := response.read(BODY_LIMIT + 1)):
        content += more
    is_whole = len(content) <= BODY_LIMIT
    if is_whole and response.length:  # ``read`` with a limit does not look for what is missing
        raise IncompleteRead(content, response.length)
    received: Any = response.headers  # an email.Message is read as a mapping
    answer = HttpResponse(response.status, received, content if is_whole else b"")
    closes = response.version < HTTP_1_1 or "close" in response.headers.get("Connection", "").lower()
    has_end = "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return answer, keep and is_whole and has_end and not closes


def _cut(sock: socket) -> None:
    """End what another thread waits for, below TLS: that thread still holds the TLS session."""
    with suppress(OSError):
        socket.shutdown(sock, SHUT_RDWR)


def _name(error: Exception) -> str:
    """Return the type only: a message may contain the recipient's address."""
    return type(error).__name__


def credentials(secrets: Secrets, *aliases: str, brand: str = "") -> Mapping[str, Any] | Retryable:
    """Return all secrets, if those of these names are among them.

    Of a list, the first one counts. Of an object, the one of the brand, else of the account in the secret before it.
    """
    try:
        found = secrets()
    except (ReengageError, BotoCoreError, ClientError) as error:
        return Retryable(f"the secrets cannot be read: {_name(error)}")
    first: dict[str, Any] = {}
    for name in aliases:
        first[name] = _first(found.get(name), brand, *map(str, first.values()))
    absent = [name for name, key in first.items() if not isinstance(key, str) or not key]
    return Retryable(f"absent from the secrets: {', '.join(absent)}") if absent else {**found, **first}


def _first(key: Any, brand: str, *accounts: str) -> Any:
    """Return the key for a message of the brand: see ``inbound/keys.py`` for the forms of a key."""
    if isinstance(key, Mapping):
        names = [f"{brand}/{account}" for account in accounts] + [brand, *accounts]
        key = next((key[name] for name in names if name in key), None)
    return next(iter(key), None) if isinstance(key, list) else key
