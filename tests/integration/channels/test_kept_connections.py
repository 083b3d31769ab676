"""A run keeps its connections to a provider. A call on a closed connection never counts as "not sent"."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import pytest

from reengage.adapters.channels.connections import KeptConnections
from reengage.adapters.channels.http import BODY_LIMIT, Http, HttpResponse
from reengage.ports import Retryable, Unknown

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SOON: Final = timedelta(seconds=2)


@dataclass(slots=True)
class Seen:
    """The requests that the server received; ``behave`` may respond otherwise than with an empty 200."""

    url: str = ""
    connections: int = 0
    requests: int = 0
    behave: Callable[[BaseHTTPRequestHandler], None] | None = None
    ended: list[bool] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Seen]:
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            seen.connections += 1
            super().setup()

        def finish(self) -> None:
            seen.ended.append(True)
            super().finish()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.requests += 1
            if seen.behave:
                seen.behave(self)
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        seen.url = f"http://127.0.0.1:{server.server_address[1]}/send"
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def keeping(idle: float = 3.0) -> Iterator[Http]:
    kept = KeptConnections(idle)
    try:
        yield Http(read=1, kept=kept)
    finally:
        kept.close()


def post(http: Http, seen: Seen) -> HttpResponse | Retryable | Unknown:
    return http.post(seen.url, {}, b"{}", start_within=SOON)


def answered(http: Http, seen: Seen) -> bool:
    answer = post(http, seen)
    return isinstance(answer, HttpResponse) and answer.body == b"ok"


def test_calls_of_one_run_share_a_connection() -> None:
    with serving() as seen, keeping() as http:
        assert all(answered(http, seen) for _ in range(5))
        assert (seen.connections, seen.requests) == (1, 5)


def test_without_keeping_each_call_has_its_own() -> None:
    with serving() as seen:
        http = Http()
        assert all(answered(http, seen) for _ in range(3))
        assert seen.connections == 3


def test_an_idle_connection_is_dropped() -> None:
    with serving() as seen, keeping(idle=0.05) as http:
        assert answered(http, seen)
        time.sleep(0.1)
        assert answered(http, seen)
        assert seen.connections == 2


def test_the_end_of_a_run_closes_them() -> None:
    with serving() as seen, keeping() as http:
        assert answered(http, seen)
        assert http.kept
        http.kept.close()
        assert answered(http, seen)
        assert seen.connections == 2


def _close(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(b"ok")


def _hang_up_quietly(handler: BaseHTTPRequestHandler) -> None:
    """Respond as if the connection stayed open, and close it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.end_headers()
    handler.wfile.write(b"ok")
    handler.close_connection = True


def _without_length(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"ok")
    handler.close_connection = True


@pytest.mark.parametrize("behave", [_close, _hang_up_quietly, _without_length])
def test_a_connection_that_the_provider_closed_is_not_used_again(
    behave: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    with serving() as seen, keeping() as http:
        seen.behave = behave
        for number in range(1, 4):
            assert answered(http, seen)
            while len(seen.ended) < number:
                time.sleep(0.01)
        assert (seen.connections, seen.requests) == (3, 3)


def test_a_kept_connection_that_ends_within_a_call_is_unknown() -> None:
    """The provider may have accepted the request before it closed: it is not sent again."""
    with serving() as seen, keeping() as http:
        assert answered(http, seen)

        def dies(handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True

        seen.behave = dies
        assert isinstance(post(http, seen), Unknown)
        assert (seen.connections, seen.requests) == (1, 2)


def test_an_answer_that_is_too_long_ends_the_connection() -> None:
    def long(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 * BODY_LIMIT))
        handler.end_headers()
        handler.wfile.write(b"x" * 2 * BODY_LIMIT)

    with serving() as seen, keeping() as http:
        seen.behave = long
        answer = post(http, seen)
        assert isinstance(answer, HttpResponse)
        assert answer.body == b""
        seen.behave = None
        assert answered(http, seen)
        assert seen.connections == 2


def test_a_call_that_is_too_late_leaves_the_connection_alone() -> None:
    with serving() as seen, keeping() as http:
        assert answered(http, seen)
        assert isinstance(http.post(seen.url, {}, b"{}", start_within=timedelta()), Retryable)
        assert answered(http, seen)
        assert (seen.connections, seen.requests) == (1, 2)
