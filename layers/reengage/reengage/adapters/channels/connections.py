"""Connections to providers that are kept open between two calls of one run.

A provider may close an idle connection at any moment. So a connection is reused only shortly after its last call, and
only if nothing has arrived on it since. A call that fails on it is ``Unknown``, as every other failure after the first
byte. Between two runs Lambda freezes the function, so the end of a run closes all connections.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Lock
from time import monotonic
from typing import Final

from reengage.adapters.lean_aws.connections import is_readable

IDLE: Final = 3.0
"""Seconds. Providers and load balancers keep an idle connection for at least 5 seconds."""

Target = tuple[str, str, int | None]
"""Scheme, host and port."""


@dataclass(slots=True)
class KeptConnections:
    """Idle connections, the last used one first."""

    idle: float = IDLE
    _kept: defaultdict[Target, list[tuple[HTTPConnection, float]]] = field(default_factory=lambda: defaultdict(list))
    _lock: Lock = field(default_factory=Lock)

    def take(self, target: Target) -> HTTPConnection | None:
        """Return a connection that can be used at once; close those that cannot."""
        while True:
            with self._lock:
                if not self._kept[target]:
                    return None
                connection, since = self._kept[target].pop()
            # Readable without a request: the other side closed it, or sent what no one asked for.
            if monotonic() < since + self.idle and connection.sock and not is_readable(connection):
                return connection
            connection.close()

    def keep(self, target: Target, connection: HTTPConnection) -> None:
        with self._lock:
            self._kept[target].append((connection, monotonic()))

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle = [connection for kept in self._kept.values() for connection, _ in kept]
            self._kept.clear()
        for connection in idle:
            connection.close()
