"""AWS clients that share one TLS context: lean ones, and botocore's with one session.

With separate sessions, botocore would read its data again for each client. With separate TLS contexts, each client
would read the trusted certificates again. By default, each connection reads them, which takes 17 ms of CPU.
The import of botocore takes 0.1 s, so only a client of its own imports it.
"""

import os
import ssl
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from .lean_aws.client import LeanClient
from .lean_aws.surroundings import SERVICES, Surroundings, certificates, read_surroundings

if TYPE_CHECKING:
    import botocore.session

_LOADING: Final = Lock()

READ_TIMEOUT: Final = 2.0
TABLE_CONNECT_TIMEOUT: Final = 2.0
CONNECT_TIMEOUT: Final = 1.0
"""Seconds: without a byte of the answer; and until there is a connection, to the table and to other services."""

TABLE_ATTEMPTS: Final = 2
"""Of a call to the table. Every write is conditional, so a repeat is safe."""


class AwsClients:
    """Makes clients. Region, endpoint and credentials come from the environment."""

    def __init__(self, *, max_connections: int) -> None:
        self._max_connections = max_connections
        self._making = Lock()

    @cached_property
    def session(self) -> "botocore.session.Session":
        from botocore.session import get_session  # noqa: PLC0415 - 0.1 s to import; lean clients do not need it

        return get_session()

    @cached_property
    def _tls(self) -> "ClientContext":
        return ClientContext(ssl.PROTOCOL_TLS_CLIENT)

    @property
    def _surroundings(self) -> Surroundings | None:
        return read_surroundings(os.environ)

    @property
    def ca_bundle(self) -> str | None:
        """Return the file of trusted certificates that the environment names."""
        found = os.environ.get("AWS_CA_BUNDLE") if self._surroundings else self.session.get_config_variable("ca_bundle")
        return found or None

    def trusting_tls(self) -> ssl.SSLContext:
        """Return the TLS context of all clients, with the certificates that they trust.

        Each file of certificates takes 15 ms of CPU to load, so it is loaded once.
        """
        self._tls.load_verify_locations(certificates(self.ca_bundle))
        return self._tls

    def table(self) -> Any:
        """Make botocore's client of the table.

        The table's adapter makes valid requests, so botocore does not validate them again.
        """
        return self._make(
            "dynamodb",
            total_max_attempts=TABLE_ATTEMPTS,
            connect_timeout=TABLE_CONNECT_TIMEOUT,
            parameter_validation=False,
        )

    def lean_table(self) -> Any:
        """Make the client of the table that needs a third of the CPU, if it fits the environment."""
        return self._lean("dynamodb", TABLE_ATTEMPTS, TABLE_CONNECT_TIMEOUT) or self.table()

    def client(self, service: str, *, total_max_attempts: int = 3) -> Any:
        """Make botocore's client of another service."""
        return self._make(service, total_max_attempts=total_max_attempts, connect_timeout=CONNECT_TIMEOUT)

    def lean_client(self, service: str, *, total_max_attempts: int = 3) -> Any:
        """Make the lean client of another service, if there is one and it fits the environment."""
        lean = self._lean(service, total_max_attempts, CONNECT_TIMEOUT)
        return lean or self.client(service, total_max_attempts=total_max_attempts)

    def _lean(self, service: str, attempts: int, connect_timeout: float) -> LeanClient | None:
        found = self._surroundings
        if found is None or service not in SERVICES:
            return None
        timeouts = {"connect_timeout": connect_timeout, "read_timeout": READ_TIMEOUT}
        return LeanClient.of(SERVICES[service], found, attempts=attempts, tls=self._tls, **timeouts)

    def _make(self, service: str, *, total_max_attempts: int, **options: Any) -> Any:
        import botocore  # noqa: PLC0415 - slow to import; lean clients do not need it
        from botocore.config import Config  # noqa: PLC0415 - slow to import; lean clients do not need it

        config = Config(
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": total_max_attempts},
            max_pool_connections=self._max_connections,
            # Without one, botocore puts it together again for each request: a tenth of a send's CPU.
            user_agent=f"Botocore/{botocore.__version__} reengage",
            **options,
        )
        with self._making:  # botocore's clients are thread-safe, their making is not
            client: Any = self.session.create_client(service, config=config)
            pools = client._endpoint.http_session._manager  # noqa: SLF001 - botocore takes no TLS context
            pools.connection_pool_kw["ssl_context"] = self._tls
            return client


class ClientContext(ssl.SSLContext):
    """A client's TLS context that loads a file of trusted certificates once, not for each connection."""

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        with _LOADING:
            loaded: set[Any] = self.__dict__.setdefault("_loaded", set())
            if (wanted := (cafile, capath, cadata)) not in loaded:
                super().load_verify_locations(cafile, capath, cadata)
                loaded.add(wanted)
