"""What a connection of its own costs a message: PutEvents over TLS to this machine, by the CPU of the calling process.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.connection

Botocore's own session keeps its connection; the app's (``aws_client.over``) makes one a call. Both alternate in
one run, and the median of each counts. The server is a separate process.
"""

import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import botocore.session
from botocore.config import Config

from reengage.adapters.channels.aws_client import invoke, over
from reengage.adapters.channels.http import Http
from tests.integration.channels.wire import certified

TURNS: Final = 5
CALLS: Final = 200
TAKEN: Final = b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
REQUEST: Final = {
    "Entries": [{"EventBusName": "reengage", "Source": "reengage", "Detail": json.dumps({"t": "x" * 400})}]
}
PLACE: Final = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-central-1"}


class Bus(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(TAKEN)))
        self.end_headers()
        self.wfile.write(TAKEN)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(tls: ssl.SSLContext) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bus) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        process = get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
        yield f"https://127.0.0.1:{server.server_port}"
        process.kill()
        process.join()


def milliseconds(client: Any) -> float:
    """Seconds of CPU for each call."""
    began = time.process_time()
    for _ in range(CALLS):
        answer = invoke(client.put_events, REQUEST, start_within=timedelta(seconds=2))
        assert isinstance(answer, dict), answer
    return (time.process_time() - began) / CALLS * 1000


def main() -> int:
    os.environ.update(PLACE)
    with TemporaryDirectory() as folder:
        served, trusting = certified(Path(folder))
        with serving(served) as url:
            session, once = botocore.session.get_session(), Config(retries={"total_max_attempts": 1})
            kept = session.create_client(
                "events", endpoint_url=url, config=once, verify=str(Path(folder, "certificate.pem"))
            )
            fresh = over(Http(context=trusting), session.create_client("events", endpoint_url=url, config=once))
            turns = [(milliseconds(kept), milliseconds(fresh)) for _ in range(TURNS + 1)][1:]  # the first warms up
            kept.close()
    one_kept, one_each = (median(each) for each in zip(*turns, strict=True))
    sys.stdout.write(
        f"a call: {one_kept:.1f} ms of CPU over a connection that is kept, {one_each:.1f} over one of its own "
        f"({one_each / one_kept:.2f})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
