"""A stand-in for the reading calls of Meta and Twilio: the account, the sender, the templates and their approval."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from reengage.cli.inspection import Providers

PHONE_NUMBER_ID: Final = "106540352242922"
ACCOUNT: Final = "102290129340398"
TOKEN: Final = "a token of Meta"  # noqa: S105 - it opens nothing
SID: Final = "AC00000000000000000000000000000000"
AUTH_TOKEN: Final = "t"  # noqa: S105 - it opens nothing
AUTHORIZED: Final = (f"Bearer {TOKEN}", f"Basic {base64.b64encode(f'{SID}:{AUTH_TOKEN}'.encode()).decode()}")
LANGUAGES: Final = ("en", "de", "es", "fr", "vi")
NAMES: Final = ("appointment_reminder", "appointment_reminder_check_in", "appointment_reminder_several")


def all_templates() -> list[dict[str, str]]:
    """Return the templates of appointment reminders, approved in every language."""
    return [{"name": name, "language": language, "status": "APPROVED"} for name in NAMES for language in LANGUAGES]


@dataclass(slots=True)
class ProviderApis:
    """What the providers answer. ``status`` is that of every call; ``page`` is how many templates one page has."""

    port: int = 0
    status: int = 200
    page: int = 10
    is_known: bool = True
    templates: list[dict[str, str]] = field(default_factory=all_templates)
    contents: dict[str, str] = field(default_factory=dict)
    methods: list[str] = field(default_factory=list)

    @property
    def addresses(self) -> Providers:
        url = f"http://127.0.0.1:{self.port}"
        return Providers(meta=url, twilio=url, twilio_content=url)

    def template(self, name: str, language: str, status: str | None) -> None:
        """Change the status of one template, or remove it."""
        self.templates = [each for each in self.templates if (each["name"], each["language"]) != (name, language)]
        if status:
            self.templates.append({"name": name, "language": language, "status": status})

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if self.status != 200:
            return self.status, {"error": {"code": 190}}
        match path.strip("/").split("/"):
            case [_version, number] if number == PHONE_NUMBER_ID and self.is_known:
                entities = [{"entity_type": "PHONE_NUMBER", "id": number}, {"entity_type": "WABA", "id": ACCOUNT}]
                health = {"can_send_message": "AVAILABLE", "entities": entities}
                asked = query["fields"] == ["health_status"]
                return 200, {"id": number} | ({"health_status": health} if asked else {})
            case [version, account, "message_templates"] if account == ACCOUNT:
                return 200, self._templates(version, int(query.get("after", ["0"])[0]))
            case ["2010-04-01", "Accounts", _account]:
                return 200, {"status": "active"}
            case ["v1", "Content", sid, "ApprovalRequests"] if sid in self.contents:
                return 200, {"sid": sid, "whatsapp": {"status": self.contents[sid]}}
            case _:
                return 404, {"error": {"code": 100}}

    def _templates(self, version: str, start: int) -> dict[str, Any]:
        end = start + self.page
        url = f"http://127.0.0.1:{self.port}/{version}/{ACCOUNT}/message_templates?after={end}"
        paging = {"next": url} if end < len(self.templates) else {}
        return {"data": self.templates[start:end], "paging": paging}


@contextmanager
def provider_apis() -> Iterator[ProviderApis]:
    """Run it until the block ends."""
    apis = ProviderApis()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            apis.methods.append(self.command)
            url = urlsplit(self.path)
            given = self.headers["Authorization"]
            status, answer = apis.answer(url.path, parse_qs(url.query)) if given in AUTHORIZED else (401, {})
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no line a call."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        apis.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield apis
        finally:
            server.shutdown()
