"""Each run has connections of its own: one that died while the environment was frozen makes an outcome unknowable."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from reengage.bootstrap import App

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ANSWER = b'{"Entries": [{"EventId": "1"}], "FailedEntryCount": 0}'


class Bus(BaseHTTPRequestHandler):
    """PutEvents, and a count of the connections that it came by."""

    protocol_version = "HTTP/1.1"
    connections: list[object]

    def setup(self) -> None:
        self.connections.append(self)
        super().setup()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: Any) -> None:
        """Nothing: a test has its own words."""


@pytest.fixture
def bus() -> Iterator[ThreadingHTTPServer]:
    Bus.connections = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bus)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_no_run_sends_over_a_connection_of_the_one_before(
    bus: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", f"http://127.0.0.1:{bus.server_port}")
    app = App()
    client = app.sending("events")
    for _ in range(2):
        client.put_events(Entries=[{"Detail": "{}"}])
    assert len(Bus.connections) == 1
    app.begin_run()
    client.put_events(Entries=[{"Detail": "{}"}])
    assert len(Bus.connections) == 2
