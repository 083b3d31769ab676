"""Connections to one service that are kept open, each for one request at a time, over ``http.client``.

urllib3's pools need as much CPU for a request again as the request itself. The exceptions are botocore's.
"""

import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from select import POLLIN, poll
from urllib.parse import urlsplit

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and the whole body."""


@dataclass(frozen=True, slots=True)
class Connections:
    """To one endpoint. ``connect_timeout`` and ``read_timeout``, without a byte of the answer, are in seconds."""

    url: str
    connect_timeout: float
    read_timeout: float
    tls: ssl.SSLContext
    certificates: str
    _idle: deque[HTTPConnection] = field(default_factory=deque)

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make one request. Raises botocore's exceptions."""
        connection = self._take() or self._connected()
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            answer = response.status, response.headers, response.read()
        except TimeoutError as error:
            connection.close()
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from error
        except (OSError, HTTPException) as error:
            connection.close()
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from error
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:  # else the other side closes it after this answer
            self._idle.append(connection)
        return answer  # type: ignore[return-value] # an email.Message is read as a mapping

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> HTTPConnection | None:
        """Return the connection that was used last and is still open."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.sock is not None and not is_readable(connection):
                return connection
            connection.close()

    def _connected(self) -> HTTPConnection:
        endpoint = urlsplit(self.url)
        host = endpoint.hostname or ""
        if endpoint.scheme == "http":
            connection = HTTPConnection(host, endpoint.port, timeout=self.connect_timeout)
        else:
            self.tls.load_verify_locations(self.certificates)  # once: the context remembers it
            connection = HTTPSConnection(host, endpoint.port, timeout=self.connect_timeout, context=self.tls)
        try:
            connection.connect()
        except ssl.SSLError as error:
            connection.close()
            raise SSLError(endpoint_url=self.url, error=error) from error
        except TimeoutError as error:
            connection.close()
            raise ConnectTimeoutError(endpoint_url=self.url, error=error) from error
        except OSError as error:
            connection.close()
            raise EndpointConnectionError(endpoint_url=self.url, error=error) from error
        connection.sock.settimeout(self.read_timeout)
        return connection


def is_readable(connection: HTTPConnection) -> bool:
    """Return whether there are bytes although nothing was requested: the other side has closed the connection."""
    waiting = poll()
    waiting.register(connection.sock, POLLIN)
    return bool(waiting.poll(0))
