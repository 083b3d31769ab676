"""The webhook endpoints: a pure function from a function URL's event to a response and the content of the call.

| call | response |
|---|---|
| ``GET /meta`` | ``hub.challenge``, if ``hub.verify_token`` is correct |
| ``POST /meta`` | 200 |
| ``POST /twilio``, ``POST /twilio/status`` | 200 with an empty TwiML document: no reply |
| ``POST /rcs``, ``POST /google-business-messages`` | 200; ``secret``, if a webhook is set up with the right token |

A call is refused by the first of these, before its body is decoded or parsed:

| status | reason |
|---|---|
| 404, 421, 405, 415 | unknown path, other host, other method, other content type |
| 403 | no proxy header although the parameter names one; no key for this endpoint; no signature |
| 413 | the body is larger than the endpoint's limit |
| 403 | the signature is wrong |
| 400 | its content is older than any provider's last attempt: it may be a recorded call |

A signed call that cannot be parsed gets 200: a repeat could not be parsed either. Its errors are in the content.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.domain.routes import Routes

from . import signatures
from .keys import Key, Secrets, keys_of
from .meta import parse_meta
from .parsing import ParsedCall, ParseError, get, parse_json
from .rcs import parse_business_messages, parse_rcs, set_up, signed_data
from .relay import Relay, to_bus_events
from .twilio import form, has_two_senders, parse_twilio, without_forged_links

RETRIED_FOR: Final = timedelta(days=8)
"""Meta and Google retry for seven days."""

KIB: Final = 1024
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_CHALLENGE: Final = re.compile(r"[\w.=+/-]{1,512}", re.ASCII)
_MAX_BRACKETS: Final = 64
"""Google's envelope has two objects; more brackets mean that it is not Google's, and nested ones take much memory."""

EMPTY_TWIML: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
_SAFE_HEADERS: Final = frozenset({"content-type", "content-length", "host", "user-agent", "x-amzn-trace-id"})


class Answer(NamedTuple):
    """``parsed`` is the content to publish before the response is sent, or ``None``. ``allow`` names the methods."""

    status: int
    body: str = ""
    content_type: str = "text/plain"
    parsed: ParsedCall | None = None
    allow: str = ""

    @property
    def response(self) -> dict[str, Any]:
        """Return the response in the form of a function URL."""
        headers = {"Content-Type": self.content_type} | ({"Allow": self.allow} if self.allow else {})
        return {"statusCode": self.status, "headers": headers, "body": self.body}


FORBIDDEN: Final = Answer(HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Call:
    """One call, and the data to verify it. ``urls`` are those that the provider may know for this endpoint."""

    event: Any
    secrets: Secrets
    routes: Routes
    arrived_at: datetime
    public_url: str = ""
    proxy_header: str = ""

    @cached_property
    def method(self) -> str:
        return str(get(self.event, "requestContext", "http", "method") or "")

    @cached_property
    def path(self) -> str:
        return str(get(self.event, "rawPath") or "").strip("/")

    @cached_property
    def query(self) -> str:
        return str(get(self.event, "rawQueryString") or "")

    @cached_property
    def headers(self) -> Mapping[str, str]:
        headers = get(self.event, "headers")
        return {str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}

    @cached_property
    def urls(self) -> Sequence[str]:
        hosts = (self.public_url.rstrip("/"), f"https://{get(self.event, 'requestContext', 'domainName') or ''}")
        path = str(get(self.event, "rawPath") or "")
        return [host + path + (f"?{self.query}" if self.query else "") for host in hosts if host]

    @cached_property
    def body(self) -> bytes:
        """Decode the body. Raises ``ValueError`` for wrong base64 and for half of a surrogate pair."""
        body = get(self.event, "body")
        if body is None:
            return b""
        if not isinstance(body, str):
            raise TypeError("expected text")
        return base64.b64decode(body, validate=True) if self._is_base64 else body.encode()

    @property
    def size(self) -> int:
        """Return the size of the body in bytes, or less than that, without decoding it."""
        body = get(self.event, "body")
        if not isinstance(body, str):
            return 0
        return len(body) * 3 // 4 - 2 if self._is_base64 else len(body)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def _is_base64(self) -> bool:
        return bool(get(self.event, "isBase64Encoded"))

    def keys(self, name: str) -> tuple[Key, ...]:
        return keys_of(self.secrets, name)


class Endpoint(NamedTuple):
    """How calls of one path are verified and parsed. ``max_body`` is in bytes; ``secret`` names the keys."""

    handle: Callable[[Call], Answer]
    secret: str
    header: str
    max_body: int
    content_type: str = _JSON
    sets_up_without_signature: bool = False
    handle_get: Callable[[Call], Answer] | None = None
    is_replayed: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "POST") if self.handle_get else ("POST",)


def answer(
    event: Any,
    *,
    secrets: Secrets,
    routes: Routes,
    arrived_at: datetime,
    public_url: str = "",
    proxy_header: str = "",
) -> Answer:
    """Verify and parse a call.

    ``event`` is a Lambda function URL's, format 2.0. ``public_url`` is the URL of a proxy, without the path of the
    endpoint. ``proxy_header`` names the header in which that proxy sends the secret ``webhook_proxy_secret``.
    """
    call = Call(event, secrets, routes, arrived_at, public_url, proxy_header)
    endpoint = _ENDPOINTS.get(call.path)
    if status := _refusal(call, endpoint):
        allowed = endpoint.methods if endpoint and status is HTTPStatus.METHOD_NOT_ALLOWED else ()
        return Answer(status, allow=", ".join(allowed))
    assert endpoint
    if call.method == "GET" and endpoint.handle_get:
        return endpoint.handle_get(call)
    try:
        _ = call.body
    except (binascii.Error, ValueError, TypeError):
        return Answer(HTTPStatus.BAD_REQUEST)
    if len(call.body) > endpoint.max_body:
        return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    answered = endpoint.handle(call)
    if answered.parsed and not endpoint.is_replayed and _is_old(answered.parsed, arrived_at):
        return Answer(HTTPStatus.BAD_REQUEST)
    return answered


def handle_call(
    event: Any,
    *,
    secrets: Secrets,
    routes: Routes,
    arrived_at: datetime,
    public_url: str,
    proxy_header: str,
    count_refused: Callable[[str, int], None],
    relay: Relay,
) -> dict[str, Any]:
    """Answer a call: count a refused one, publish the content of another one before the response is sent."""
    answered = answer(
        event,
        secrets=secrets,
        routes=routes,
        arrived_at=arrived_at,
        public_url=public_url,
        proxy_header=proxy_header,
    )
    if answered.status >= HTTPStatus.BAD_REQUEST:
        count_refused(endpoint_of(event), answered.status)
    if answered.parsed:
        relay(without_secrets(event), to_bus_events(answered.parsed), answered.parsed.errors)
    return answered.response


def endpoint_of(event: Any) -> str:
    """Return the path of a call if it is an endpoint's, else "none": metrics must not have the caller's own names."""
    path = str(get(event, "rawPath") or "").strip("/")
    return path if path in _ENDPOINTS else "none"


def without_secrets(event: Any) -> Any:
    """Return a call as it may be kept: with a few headers only, so that it cannot be made again."""
    headers = event.get("headers") if isinstance(event, dict) else None
    if not isinstance(headers, dict):
        return event
    kept = {name: value for name, value in headers.items() if str(name).lower() in _SAFE_HEADERS}
    return {name: value for name, value in event.items() if name != "cookies"} | {"headers": kept}


def _refusal(call: Call, endpoint: Endpoint | None) -> HTTPStatus | None:
    """Return why a call is refused before its body is decoded: the first reason."""
    if endpoint is None:
        return HTTPStatus.NOT_FOUND
    hosts = {url.partition("://")[2].partition("/")[0].lower() for url in call.urls}
    is_get = call.method == "GET"
    checks: tuple[tuple[Callable[[], bool], HTTPStatus], ...] = (
        (lambda: call.headers.get("host", "").lower() in {"", *hosts}, HTTPStatus.MISDIRECTED_REQUEST),
        (lambda: _came_by_proxy(call), HTTPStatus.FORBIDDEN),
        (lambda: call.method in endpoint.methods, HTTPStatus.METHOD_NOT_ALLOWED),
        (lambda: is_get or call.content_type == endpoint.content_type, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        (lambda: is_get or bool(call.keys(endpoint.secret)), HTTPStatus.FORBIDDEN),
        (lambda: call.size <= endpoint.max_body, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (lambda: is_get or _may_be_signed(call, endpoint), HTTPStatus.FORBIDDEN),
    )
    return next((status for is_right, status in checks if not is_right()), None)


def _came_by_proxy(call: Call) -> bool:
    if not call.proxy_header:
        return True
    tokens = [key.value for key in call.keys("webhook_proxy_secret")]
    return signatures.verify_token(tokens, call.headers.get(call.proxy_header.lower()))


def _may_be_signed(call: Call, endpoint: Endpoint) -> bool:
    """Return whether there is a signature of a plausible length, or a small body that may set the webhook up."""
    if len(call.headers.get(endpoint.header, "")) in _SIGNATURE_LENGTHS[endpoint.header]:
        return True
    return endpoint.sets_up_without_signature and call.size <= _MAX_SET_UP


_SIGNATURE_LENGTHS: Final = MappingProxyType(
    {"x-hub-signature-256": (71,), "x-twilio-signature": (28,), "x-goog-signature": (88,)}
)
_MAX_SET_UP: Final = 4 * KIB
"""Bytes of Google's set-up call: a client token and a secret."""


def _is_old(call: ParsedCall, arrived_at: datetime) -> bool:
    """Return whether the newest content is older than any provider's last attempt."""
    instants = [
        *(message.sent_at for message in call.messages),
        *(receipt.at for receipt in call.receipts),
        *(made.choice.at for made in call.choices),
        *(link.at for link in call.links),
        *(move.at for move in call.moves),
        *(reply.at for reply in call.agent_replies),
    ]
    return bool(instants) and max(instants) < arrived_at - RETRIED_FOR


# Meta


def _meta_challenge(call: Call) -> Answer:
    query = dict(form(call.query))
    tokens = [key.value for key in call.keys("meta_verify_token")]
    is_ours = signatures.verify_token(tokens, query.get("hub.verify_token"))
    challenge = query.get("hub.challenge", "")
    if query.get("hub.mode") == "subscribe" and is_ours and _CHALLENGE.fullmatch(challenge):
        return Answer(HTTPStatus.OK, challenge)
    return FORBIDDEN


def _meta(call: Call) -> Answer:
    header = call.headers.get("x-hub-signature-256")
    valid = [key for key in call.keys("meta_app_secret") if signatures.verify_meta([key.value], call.body, header)]
    return _parse(call, valid, parse_meta) if valid else FORBIDDEN


# Twilio


def _twilio(call: Call) -> Answer:
    header = call.headers.get("x-twilio-signature")
    fields = form(call.body.decode(errors="replace"))
    account = dict(fields).get("AccountSid", "")
    valid = [
        key
        for key in call.keys("twilio_auth_token")
        if key.account in ("", account)
        and any(signatures.verify_twilio([key.value], url, fields, header) for url in call.urls)
    ]
    if not valid:
        return FORBIDDEN
    if has_two_senders(fields):
        parsed = ParsedCall(errors=["$: the signed text could be that of two senders"])
    else:
        params = dict(without_forged_links(fields))
        parsed = parse_twilio(params, dict(form(call.query)), routes=call.routes, arrived_at=call.arrived_at)
    return Answer(HTTPStatus.OK, EMPTY_TWIML, "text/xml", _bound(parsed, valid))


# Google


def _rcs(call: Call) -> Answer:
    """Handle a call of RCS for Business. Its signature covers a part of the JSON, so the envelope is parsed first."""
    payload = _envelope(call.body)
    keys, header = call.keys("rcs_client_token"), call.headers.get("x-goog-signature")
    if (secret := set_up(payload, tuple(key.value for key in keys))) is not None:
        return Answer(HTTPStatus.OK, secret)
    data = signed_data(payload)
    valid = [key for key in keys if data is not None and signatures.verify_rcs([key.value], data, header)]
    if not valid:
        return FORBIDDEN
    parsed = parse_rcs(payload, routes=call.routes, arrived_at=call.arrived_at)
    return Answer(HTTPStatus.OK, parsed=_bound(parsed, valid))


def _business_messages(call: Call) -> Answer:
    keys, header = call.keys("google_business_messages_key"), call.headers.get("x-goog-signature")
    valid = [key for key in keys if signatures.verify_business_messages([key.value], call.body, header)]
    if valid:
        payload = _envelope(call.body)
        secret = set_up(payload, tuple(key.value for key in keys))
        return Answer(HTTPStatus.OK, secret) if secret is not None else _parse(call, valid, parse_business_messages)
    secret = set_up(_envelope(call.body), tuple(key.value for key in keys))
    return Answer(HTTPStatus.OK, secret) if secret is not None else FORBIDDEN


def _envelope(body: bytes) -> Any:
    """Parse a small JSON object; ``None`` for anything else."""
    if body.count(b"[") + body.count(b"{") > _MAX_BRACKETS:
        return None
    try:
        return parse_json(body)
    except ParseError:
        return None


# What all have in common


def _parse(call: Call, valid: Sequence[Key], parse: Callable[..., ParsedCall]) -> Answer:
    try:
        payload = parse_json(call.body)
    except ParseError as error:
        return Answer(HTTPStatus.OK, parsed=ParsedCall(errors=[f"$: {error}"]))
    parsed = parse(payload, routes=call.routes, arrived_at=call.arrived_at)
    return Answer(HTTPStatus.OK, parsed=_bound(parsed, valid))


def _bound(parsed: ParsedCall, valid: Sequence[Key]) -> ParsedCall:
    """Return the content for which the keys that signed the call are valid."""
    brands = {key.brand for key in valid}
    return parsed if "" in brands else parsed.only_for(brands)


_ENDPOINTS: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {
        # Meta's calls have up to 3 MB, if many messages come at once.
        "meta": Endpoint(_meta, "meta_app_secret", "x-hub-signature-256", 3 * KIB * KIB, handle_get=_meta_challenge),
        "twilio": Endpoint(_twilio, "twilio_auth_token", "x-twilio-signature", 128 * KIB, _FORM),
        "twilio/status": Endpoint(_twilio, "twilio_auth_token", "x-twilio-signature", 128 * KIB, _FORM),
        "rcs": Endpoint(_rcs, "rcs_client_token", "x-goog-signature", 256 * KIB, sets_up_without_signature=True),
        # The service has ended, so every call is an old one.
        "google-business-messages": Endpoint(
            _business_messages,
            "google_business_messages_key",
            "x-goog-signature",
            256 * KIB,
            sets_up_without_signature=True,
            is_replayed=True,
        ),
    }
)
"""By path."""
