"""A stand-in for AWS End User Messaging: takes, refuses or throttles what the deployed functions send, and logs it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

VARIABLE: Final = "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2"
"""Where botocore looks for the address of this one service."""

TAKES: Final = ""
REFUSES: Final = "ValidationException"
THROTTLES: Final = "ThrottlingException"
REASONS: Final = {REFUSES: {"Reason": "COUNTRY_CODE_MISMATCH"}}
"""Of the documented reasons, one that a retry does not change."""


@dataclass(slots=True)
class MessageProvider:
    """``answer`` is ``TAKES``, or the error that each call gets. ``taken``: time and id of each message it took."""

    port: int = 0
    answer: str = TAKES
    taken: list[tuple[float, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def called(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.answer:
            return 400, {"__type": self.answer, "Message": "as the test wants it", **REASONS.get(self.answer, {})}
        self.taken.append((time.time(), request["Context"]["scheduled_message_id"]))
        return 200, {"MessageId": f"provider-{len(self.taken)}"}


@contextmanager
def message_provider() -> Iterator[MessageProvider]:
    """Run it until the block ends."""
    provider = MessageProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = provider.called(request)
            body = json.dumps(answer).encode()
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no line a call."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield provider
        finally:
            server.shutdown()
