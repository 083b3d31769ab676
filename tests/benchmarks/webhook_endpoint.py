"""The Lambda function behind its URL as a WSGI app: no socket, and moto in place of AWS."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from unittest.mock import patch
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore.client import BaseClient

from reengage.adapters.inbound.relay import to_bus_events
from tests.benchmarks.webhook_signatures import is_signed, knows_a_token
from tests.benchmarks.webhook_verdict import ALL_ROUTES, NOW, Tally, answered
from tests.integration.stack import case, deployed

CALL: Final[dict[str, Any]] = case("webhook/unsigned")


def event_of(environ: WSGIEnvironment) -> dict[str, Any]:
    """Build the event that a function URL makes of a request."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers |= {"content-type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
    http = CALL["requestContext"]["http"] | {"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}
    return CALL | {
        "rawPath": environ["PATH_INFO"],
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": CALL["requestContext"] | {"http": http},
        **_sent(body, headers.get("content-type", "")),
    }


def _sent(body: bytes, content_type: str) -> dict[str, Any]:
    """JSON bodies are passed as text, all others as base64."""
    if content_type.startswith("application/json"):
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


class FuzzTarget:
    """Call the function for each request, once it is ``open``."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._calls: list[tuple[dict[str, Any], int]] = []
        self._operations: list[str] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start with an empty stack; every AWS request is recorded."""
        real = BaseClient._make_api_call  # type: ignore[attr-defined]  # private, so its stub leaves it out

        def call(client: BaseClient, name: str, arguments: Mapping[str, Any]) -> Any:
            self._operations.append(name)
            return real(client, name, arguments)

        with deployed() as stack, patch.object(BaseClient, "_make_api_call", call):
            # Random names and texts are often words that the function writes, such as a provider's name.
            self._stack = replace(stack, resources={**stack.resources, "Routes": ALL_ROUTES}, is_searched=False)
            yield

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        event = event_of(environ)
        answer = self._stack.invoke("webhook", event, at=NOW, warm=bool(self.tally.by_status))
        who = "signed" if is_signed(event) else "with a token" if knows_a_token(event) else "nobody's"
        status = answer["statusCode"]
        self.tally.take(f"{who} {environ['PATH_INFO']}"[:39], status, answered(event).parsed)
        self._calls.append((event, status))
        start_response(f"{status} {HTTPStatus(status).phrase}", list(answer["headers"].items()))
        return [answer["body"].encode()]

    def settle(self) -> None:
        """Check the calls since the last check.

        Events of signed calls are on the bus, and their invalid parts are kept. Unsigned calls made no AWS request.
        """
        calls, operations = self._calls, set(self._operations) - {"GetSecretValue"}
        relayed, rejected, published = self._behind() if operations else ([], [], [])
        self._calls, self._operations = [], []

        signed = [(event, status) for event, status in calls if is_signed(event)]
        assert [event for event, status in signed if status == HTTPStatus.FORBIDDEN] == []
        read = [found for event, _ in signed if (found := answered(event).parsed) is not None]
        assert relayed == [(event.type, event.detail) for each in read for event in to_bus_events(each)]
        assert rejected == published == [each.errors for each in read if each.errors]
        assert operations <= ({"PutEvents", "SendMessage"} if signed else set())

    def _behind(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the events of the bus, the rejected ones, and the rejections that the bus reports."""
        relayed = [(event["detail-type"], event["detail"]) for event in self._stack.relayed()]
        rejected = [event["errors"] for event in self._stack.rejected()]
        return relayed, rejected, [event["detail"]["errors"] for event in self._stack.published()]
