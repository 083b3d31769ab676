"""Replay archived calls of providers at their own time, through the app's own webhook endpoint.

A line is a call as Lambda received it (a function URL's event, or SNS's with ``Records``), or its body alone:
``{"call": {"path": "google-business-messages", "body": {…}}}``. An archive holds no keys, so each call is signed anew:
what is simulated is the parsing, not who called.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from ..domain.instants import parse_instant

KEY: Final = "simulation"
SECRETS: Final[Mapping[str, str]] = dict.fromkeys(
    ("meta_app_secret", "twilio_auth_token", "rcs_client_token", "google_business_messages_key"), KEY
)
"""What the simulated app reads in place of the stack's secret of keys."""

HOST: Final = "simulation.invalid"
PATHS: Final = ("meta", "twilio", "twilio/status", "rcs", "google-business-messages")
TIMES: Final = frozenset({"sendTime", "createTime", "publishTime", "timestamp"})
"""The fields in which providers write when something happened."""

MILLISECONDS: Final = 10**11
"""A number of seconds from here on is one of milliseconds."""


def is_call(line: Mapping[str, Any]) -> bool:
    return "call" in line or "requestContext" in line or isinstance(line.get("Records"), list)


def event_of(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the Lambda event of a line; a function URL's is signed. Raises ``ValueError`` that shows what to do."""
    if "Records" in line:
        return line
    if "call" in line:
        return _signed(_event(line["call"]))
    return _signed(line)


def time_of(line: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    """Return when the call was made: the line's own ``time``, the envelope's, or the newest instant in the body.

    Raises ``ValueError`` if it has no instant.
    """
    if "time" in line:
        return parse_instant(line["time"])
    if "Records" in event:
        return parse_instant(event["Records"][0]["Sns"]["Timestamp"])
    epoch = event["requestContext"].get("timeEpoch")
    if epoch is not None:
        return _from_epoch(int(epoch))
    found = list(_times(_json(event)))
    if not found:
        raise ValueError('no instant in the call; add "time"')
    return max(found)


def _event(call: Any) -> dict[str, Any]:
    """Build the function URL's event of a body that was archived alone."""
    if not isinstance(call, dict) or call.get("path") not in PATHS or "body" not in call:
        raise ValueError(f'call: use {{"path": one of {", ".join(PATHS)}, "body": the body}}')
    path, body = call["path"], call["body"]
    is_form = path.startswith("twilio")
    if not isinstance(body, str):
        body = urlencode(body) if is_form else json.dumps(body, ensure_ascii=False)
    content_type = "application/x-www-form-urlencoded" if is_form else "application/json"
    return {
        "rawPath": f"/{path}",
        "rawQueryString": call.get("query", ""),
        "headers": {"content-type": content_type, "host": HOST},
        "requestContext": {"domainName": HOST, "http": {"method": "POST"}},
        "body": body,
        "isBase64Encoded": False,
    }


def _signed(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with a signature by ``KEY``, addressed to the simulated endpoint."""
    path = str(event.get("rawPath", "")).strip("/")
    if path not in PATHS:
        raise ValueError(f'rawPath: "{path}" is no webhook endpoint; use one of {", ".join(PATHS)}')
    header, sign = _SIGNATURES[path]
    headers = {str(name).lower(): value for name, value in event.get("headers", {}).items()}
    context = {**event["requestContext"], "domainName": HOST}
    signed = {**event, "headers": {**headers, "host": HOST, header: sign(event)}, "requestContext": context}
    return {name: value for name, value in signed.items() if name != "time"}


def body_of(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def _meta(event: Mapping[str, Any]) -> str:
    return "sha256=" + hmac.new(KEY.encode(), body_of(event), hashlib.sha256).hexdigest()


def _twilio(event: Mapping[str, Any]) -> str:
    query = f"?{event['rawQueryString']}" if event.get("rawQueryString") else ""
    fields = sorted(set(parse_qsl(body_of(event).decode(), keep_blank_values=True)))
    text = f"https://{HOST}{event['rawPath']}{query}" + "".join(name + value for name, value in fields)
    # Twilio signs with SHA-1.
    return base64.b64encode(hmac.new(KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _rcs(event: Mapping[str, Any]) -> str:
    data = base64.b64decode(json.loads(body_of(event))["message"]["data"])
    return base64.b64encode(hmac.new(KEY.encode(), data, hashlib.sha512).digest()).decode()


def _business_messages(event: Mapping[str, Any]) -> str:
    return base64.b64encode(hmac.new(KEY.encode(), body_of(event), hashlib.sha512).digest()).decode()


_SIGNATURES: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = {
    "meta": ("x-hub-signature-256", _meta),
    "twilio": ("x-twilio-signature", _twilio),
    "twilio/status": ("x-twilio-signature", _twilio),
    "rcs": ("x-goog-signature", _rcs),
    "google-business-messages": ("x-goog-signature", _business_messages),
}
"""The header of each endpoint's signature, and how it is computed."""


def _json(event: Mapping[str, Any]) -> Any:
    """Return the body as JSON, that of RCS decoded; ``None`` if it is a form."""
    try:
        body = json.loads(body_of(event))
        data = body["message"]["data"] if event.get("rawPath") == "/rcs" else None
        return json.loads(base64.b64decode(data)) if data else body
    except ValueError:
        return None


def _times(value: Any) -> Iterator[datetime]:
    if isinstance(value, list):
        for each in value:
            yield from _times(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in TIMES and isinstance(each, str | int):
                yield _from_epoch(int(each)) if str(each).isdecimal() else parse_instant(str(each))
            else:
                yield from _times(each)


def _from_epoch(number: int) -> datetime:
    return datetime.fromtimestamp(number / 1000 if number >= MILLISECONDS else number, UTC)
