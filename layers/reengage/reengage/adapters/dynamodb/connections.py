"""Connections to DynamoDB that are kept open, each for one request at a time, over ``http.client``.

urllib3's pools need as much CPU for a request again as the request itself. Time-outs, certificates and exceptions are
those of botocore's HTTP session.
"""

import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import get_cert_path
from urllib3.util.wait import wait_for_read

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and the whole body."""


@dataclass(slots=True)
class Connections:
    """To one endpoint. ``timeout``: seconds to connect, and without a byte of the answer."""

    url: str
    timeout: float
    tls: ssl.SSLContext | None
    certificates: str | None = None
    _idle: deque[HTTPConnection] = field(default_factory=deque)

    @classmethod
    def of(cls, session: Any, url: str) -> "Connections | None":
        """Return connections as botocore's session makes them; ``None`` if it would use a proxy."""
        if session._proxy_config.proxy_url_for(url):  # noqa: SLF001 - no public name
            return None
        kept = session._manager.connection_pool_kw  # noqa: SLF001 - the options of botocore's own connections
        if not url.startswith("https:"):
            return cls(url, kept["timeout"].read_timeout, None)
        return cls(url, kept["timeout"].read_timeout, kept["ssl_context"], get_cert_path(session._verify))  # noqa: SLF001 - no public name

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
            # Readable without a request: the other side closed it.
            if connection.sock is not None and not wait_for_read(connection.sock, timeout=0):
                return connection
            connection.close()

    def _connected(self) -> HTTPConnection:
        endpoint = urlsplit(self.url)
        host = endpoint.hostname or ""
        if self.tls is None:
            connection = HTTPConnection(host, endpoint.port, timeout=self.timeout)
        else:
            self.tls.load_verify_locations(self.certificates)  # once: the context remembers it
            connection = HTTPSConnection(host, endpoint.port, timeout=self.timeout, context=self.tls)
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
        return connection
