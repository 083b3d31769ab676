"""The door that providers call over HTTP, as a pure function: a function URL's event in, an answer out, and with it
what was read.

| call | answered |
|---|---|
| ``GET /meta`` | ``hub.challenge``, where ``hub.verify_token`` is ours |
| ``POST /meta`` | 200 |
| ``POST /twilio``, ``POST /twilio/status`` | 200, an empty TwiML document: nothing is to be said back |
| ``POST /rcs``, ``POST /google-business-messages`` | 200; ``secret``, where a webhook is set up with our client token |

A wrong signature is answered with 403, and nothing of the call is read; so is an unknown path (404), another method
(405), another host (421), a body that is too large (413) or of another content type (415), and one of so long ago that
no provider would still try (400): its signature is right, and whoever sends it has it from somewhere. What is signed
and cannot be understood is answered with 200, for it would not be understood better when it came again: its errors are
in what was read.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.domain.routes import Routes

from . import signatures
from .meta import meta
from .rcs import data_of, google_business_messages, rcs, set_up
from .reading import Read, Unreadable, at, parsed
from .twilio import form, twilio

Secrets = Mapping[str, Any]
"""By name, each a text or a list of texts. While one is changed, the former may stand beside it as
``<name>_previous``.
"""

MAX_BODY: Final = 3 * 1024 * 1024
"""Bytes. Meta's calls have up to 3 MB, where many messages come at once."""

TRIED_FOR: Final = timedelta(days=8)
"""Meta and Google try for seven days."""

_SENDER: Final = re.compile(r"From(?:\+|whatsapp:|rcs:)")
_CHALLENGE: Final = re.compile(r"[\w.=+/-]{1,512}", re.ASCII)


class Answer(NamedTuple):
    """``read`` is what is to be recorded before the answer is given; ``None`` where the call said nothing. ``allow``
    names the methods that would do.
    """

    status: int
    body: str = ""
    content_type: str = "text/plain"
    read: Read | None = None
    allow: str = ""

    @property
    def response(self) -> dict[str, Any]:
        """As a function URL wants it."""
        headers = {"Content-Type": self.content_type} | ({"Allow": self.allow} if self.allow else {})
        return {"statusCode": self.status, "headers": headers, "body": self.body}


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and what it is judged by. ``urls`` are those under which the caller may know this door."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    urls: Sequence[str]
    secrets: Secrets
    routes: Routes
    arrived_at: datetime

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def keys(self, name: str) -> tuple[str, ...]:
        """All that are valid: the secret is one, or a list where several accounts or agents call."""
        found = (at(self.secrets, name), at(self.secrets, f"{name}_previous"))
        keys = [key for each in found for key in (each if isinstance(each, list) else [each])]
        return tuple(key for key in keys if isinstance(key, str) and key)


def answer(event: Any, *, secrets: Secrets, routes: Routes, arrived_at: datetime, public_url: str = "") -> Answer:
    """``event``: a Lambda function URL's, format 2.0. ``public_url``: where a proxy stands before it, the URL that the
    providers were given, without the path of each.
    """
    body = _body(event)
    if body is None:
        return Answer(HTTPStatus.BAD_REQUEST)
    path, query = str(at(event, "rawPath") or ""), str(at(event, "rawQueryString") or "")
    hosts = (public_url.rstrip("/"), f"https://{at(event, 'requestContext', 'domainName') or ''}")
    headers = at(event, "headers")
    call = Call(
        method=str(at(event, "requestContext", "http", "method") or ""),
        path=path.strip("/"),
        query=query,
        headers={str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
        body=body,
        urls=[host + path + (f"?{query}" if query else "") for host in hosts if host],
        secrets=secrets,
        routes=routes,
        arrived_at=arrived_at,
    )
    if wrong := _wrong(call):
        allow = ", ".join(_DOORS[call.path]) if wrong is HTTPStatus.METHOD_NOT_ALLOWED else ""
        return Answer(wrong, allow=allow)
    answered = _DOORS[call.path][call.method](call)
    is_old = answered.read and call.path not in _REPLAYED and _is_old(answered.read, arrived_at)
    return Answer(HTTPStatus.BAD_REQUEST) if is_old else answered


def door_of(event: Any) -> str:
    """The path that was called, where it is one of ours: what a caller may choose freely is not to be counted apart."""
    path = str(at(event, "rawPath") or "").strip("/")
    return path if path in _DOORS else "none"


def _wrong(call: Call) -> HTTPStatus | None:
    """What is wrong with a call before anything of it is read; the first of these."""
    hosts = {url.partition("://")[2].partition("/")[0].lower() for url in call.urls}
    content_type = _CONTENT_TYPES.get(call.path, "application/json")
    checks = (
        (call.path in _DOORS, HTTPStatus.NOT_FOUND),
        (call.headers.get("host", "").lower() in {"", *hosts}, HTTPStatus.MISDIRECTED_REQUEST),
        (call.method in _DOORS.get(call.path, ()), HTTPStatus.METHOD_NOT_ALLOWED),
        (len(call.body) <= MAX_BODY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (call.method == "GET" or call.content_type == content_type, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    )
    return next((status for is_right, status in checks if not is_right), None)


def _is_old(read: Read, arrived_at: datetime) -> bool:
    """Whether the newest that it tells is older than any provider's last try."""
    told = [
        *(message.sent_at for message in read.messages),
        *(receipt.at for receipt in read.receipts),
        *(made.choice.at for made in read.choices),
    ]
    return bool(told) and max(told) < arrived_at - TRIED_FOR


def _body(event: Any) -> bytes | None:
    body = at(event, "body")
    if not isinstance(body, str):
        return b"" if body is None else None
    try:
        return base64.b64decode(body, validate=True) if at(event, "isBase64Encoded") else body.encode()
    except (binascii.Error, ValueError):  # no base64, or half of a surrogate pair
        return None


_CONTENT_TYPES: Final = dict.fromkeys(("twilio", "twilio/status"), "application/x-www-form-urlencoded")
FORBIDDEN: Final = Answer(HTTPStatus.FORBIDDEN)
NO_WORDS: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


def _meta_challenge(call: Call) -> Answer:
    query = dict(form(call.query))
    told, challenge = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
    is_ours = query.get("hub.mode") == "subscribe" and signatures.is_ours(call.keys("meta_verify_token"), told)
    return Answer(HTTPStatus.OK, challenge) if is_ours and _CHALLENGE.fullmatch(challenge) else FORBIDDEN


def _meta(call: Call) -> Answer:
    if not signatures.meta(call.keys("meta_app_secret"), call.body, call.headers.get("x-hub-signature-256")):
        return FORBIDDEN
    return _understood(call, meta)


def _twilio(call: Call) -> Answer:
    tokens, header = call.keys("twilio_auth_token"), call.headers.get("x-twilio-signature")
    fields = form(call.body.decode(errors="replace"))
    if not any(signatures.twilio(tokens, url, fields, header) for url in call.urls):
        return FORBIDDEN
    if _reads_two_ways(fields):
        read = Read(errors=["$: what is signed can be read as from two senders"])
    else:
        read = twilio(dict(fields), dict(form(call.query)), routes=call.routes, arrived_at=call.arrived_at)
    return Answer(HTTPStatus.OK, NO_WORDS, "text/xml", read)


def _reads_two_ways(fields: Iterable[tuple[str, str]]) -> bool:
    """Twilio signs names and values without anything between them: who wrote "STOPFrom+12025550123" could cut their own
    signed call anew, into a STOP from that number. Nobody else's text has a second sender in it.
    """
    return len(_SENDER.findall("".join(name + value for name, value in sorted(set(fields))))) > 1


def _google(secret: str, is_signed: Callable[[Call, Any], bool], read: Callable[..., Read], call: Call) -> Answer:
    try:
        payload = parsed(call.body)
    except Unreadable:
        payload = None
    if (proof := set_up(payload, call.keys(secret))) is not None:
        return Answer(HTTPStatus.OK, proof)
    return _understood(call, read) if is_signed(call, payload) else FORBIDDEN


def _is_signed_rcs(call: Call, payload: Any) -> bool:
    data = data_of(payload)
    header = call.headers.get("x-goog-signature")
    return data is not None and signatures.rcs(call.keys("rcs_client_token"), data, header)


def _is_signed_business_message(call: Call, _payload: Any) -> bool:
    keys, header = call.keys("google_business_messages_key"), call.headers.get("x-goog-signature")
    return signatures.google_business_messages(keys, call.body, header)


def _understood(call: Call, read: Callable[..., Read]) -> Answer:
    try:
        payload = parsed(call.body)
    except Unreadable as why:
        return Answer(HTTPStatus.OK, read=Read(errors=[f"$: {why}"]))
    return Answer(HTTPStatus.OK, read=read(payload, routes=call.routes, arrived_at=call.arrived_at))


_DOORS: Final[Mapping[str, Mapping[str, Callable[[Call], Answer]]]] = MappingProxyType(
    {
        "meta": {"GET": _meta_challenge, "POST": _meta},
        "twilio": {"POST": _twilio},
        "twilio/status": {"POST": _twilio},
        "rcs": {"POST": partial(_google, "rcs_client_token", _is_signed_rcs, rcs)},
        "google-business-messages": {
            "POST": partial(
                _google, "google_business_messages_key", _is_signed_business_message, google_business_messages
            )
        },
    }
)
"""By path and method."""

_REPLAYED: Final = frozenset({"google-business-messages"})
"""Whose provider is gone: whatever comes by it is old."""
