"""AWS clients that share one botocore session and one TLS context.

With separate sessions, botocore would read its data again for each client. With separate TLS contexts, each client
would read the trusted certificates again. botocore reads them for each connection, which takes 17 ms of CPU.
"""

import ssl
from functools import cached_property
from threading import Lock
from typing import Any, Final

import botocore
import botocore.session
from botocore.config import Config

_LOADING: Final = Lock()

USER_AGENT: Final = f"Botocore/{botocore.__version__} reengage"
"""Without it botocore puts the string together again for each request: a tenth of a send's CPU."""


class AwsClients:
    """Makes clients. Region, endpoint and credentials come from the environment."""

    def __init__(self, *, max_connections: int) -> None:
        self._max_connections = max_connections
        self._making = Lock()

    @cached_property
    def session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    @cached_property
    def _tls(self) -> "ClientContext":
        return ClientContext(ssl.PROTOCOL_TLS_CLIENT)

    def table(self) -> Any:
        """Make the client of the table.

        A request without a response after 2 seconds is sent once more. Every write is conditional, so this is safe.
        pynamodb makes valid requests, so botocore does not validate them again.
        """
        return self._make("dynamodb", total_max_attempts=2, connect_timeout=2, parameter_validation=False)

    def lean_table(self) -> Any:
        """Make the client of the table that needs a third of the CPU; botocore's hooks see nothing of it."""
        from .dynamodb.lean_client import LeanClient  # noqa: PLC0415 - only for a function that has the table

        return LeanClient(self.table(), self.session.get_credentials())

    def client(self, service: str, *, total_max_attempts: int = 3) -> Any:
        """Make the client of another service."""
        return self._make(service, total_max_attempts=total_max_attempts, connect_timeout=1)

    def _make(self, service: str, *, total_max_attempts: int, **options: Any) -> Any:
        config = Config(
            read_timeout=2,
            retries={"mode": "standard", "total_max_attempts": total_max_attempts},
            max_pool_connections=self._max_connections,
            user_agent=USER_AGENT,
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
