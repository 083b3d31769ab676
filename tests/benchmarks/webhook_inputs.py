r"""Inputs of the fuzzer as JSON that can be read and written by hand.

    {"by": "meta", "payload": {…}, "ascii": true, "padding": 0}   a call with this payload, signed as sent
    {"by": "meta", "raw": "{\"entry\": […"}                       the same of bytes, each written as one character
    {"by": "twilio/status", "payload": {…}, "query": "…", …}      Twilio signs the query, too
    {"by": null, "event": {…}}                                    an unsigned event, unchanged

``by`` is the path of the provider that signs the call.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from tests.benchmarks.webhook_signatures import HEADERS, body_of, signatures
from tests.integration.stack import case, cases
from tests.unit.adapters.inbound.payloads import BUSINESS_MESSAGE, OURS

CALLS: Final = tuple(case(name) for name in cases() if name.startswith("webhook/") and "rawPath" in case(name))
META: Final = case("webhook/meta_message")
RCS: Final = case("webhook/rcs_message")
TWILIO: Final = case("webhook/twilio_message")
_VALUE: Final = json.loads(META["body"])["entry"][0]["changes"][0]["value"]
PATHS: Final = ("/meta", "/twilio", "/twilio/status", "/rcs", "/google-business-messages", "/rcs/", "/", "", "/nowhere")
NOTHING_SIGNED: Final = '{"message": {"data": ""}}'
TOO_MANY_DIGITS: Final = "9" * 5000
"""Python refuses to parse a longer number."""


def written(script: Any) -> bytes:
    return json.dumps(script, ensure_ascii=False).encode("utf-8", "surrogatepass")


def read(data: bytes) -> Any | None:
    """Return ``None`` if the input has another form: libFuzzer begins with an empty one."""
    try:
        script = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(script, dict) or script.get("by", "") not in (None, *HEADERS):
        return None
    return script if content(script) in script else None


def content(script: Any) -> str:
    """Return the name of the changed part."""
    return next((name for name in ("raw", "payload") if name in script), "payload") if script["by"] else "event"


def event_of(script: Any) -> Any:
    """Build the function URL's event."""
    return _SENDERS[script["by"]](script) if script["by"] else script["event"]


def text_of(script: Any) -> bytes:
    """Return the body of a provider's call, as bytes."""
    if "raw" in script:
        return str(script["raw"]).encode("latin-1", "replace")
    if script["by"].startswith("twilio"):
        return _form(script["payload"])
    text = json.dumps(script["payload"], ensure_ascii=bool(script.get("ascii", True))).encode("utf-8", "surrogatepass")
    return text + b" " * int(script.get("padding", 0))


def _by_meta(script: Any) -> Any:
    return _signed(META, text_of(script))


def _by_google(script: Any) -> Any:
    return _signed(RCS | {"rawPath": "/google-business-messages"}, text_of(script))


def _by_rcs(script: Any) -> Any:
    data = base64.b64encode(text_of(script)).decode()
    payload = json.loads(RCS["body"])
    payload["message"]["data"] = data
    return _signed(RCS, json.dumps(payload).encode())


def _by_twilio(script: Any) -> Any:
    return _signed(
        TWILIO | {"rawPath": f"/{script['by']}", "rawQueryString": str(script.get("query", ""))}, text_of(script)
    )


_SENDERS: Final = {
    "meta": _by_meta,
    "rcs": _by_rcs,
    "google-business-messages": _by_google,
    "twilio": _by_twilio,
    "twilio/status": _by_twilio,
}


def _signed(call: Any, body: bytes) -> Any:
    try:
        event = call | {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        event = call | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event | {"headers": event["headers"] | {HEADERS[event["rawPath"].strip("/")]: signatures(event)[0]}}


def _form(payload: Any) -> bytes:
    fields = payload if isinstance(payload, dict) else {"Body": payload}
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    # As it arrives: half of a surrogate pair cannot be sent.
    return urlencode(form, errors="replace").encode()


# Where it begins


def seeds() -> Iterator[Any]:
    """Return each call of events/webhook, variants that its provider may send, and forms that no file has."""
    for call in CALLS:
        yield {"by": None, "event": call}
        yield {"by": None, "event": call | {"body": body_of(call).decode(), "isBase64Encoded": False}}
        yield from _content(call)
    yield from _of_each_kind()
    for word in ("UNSUBSCRIBE", "SUBSCRIBE", "DELIVERED", "IS_TYPING"):
        content_of_change = _rcs_event(RCS) | {"eventType": word, "eventId": "MsHmdWmm"}
        yield {"by": "rcs", "payload": content_of_change}
    for word in ("STOP", "START", "HELP"):
        yield {"by": "twilio", "payload": _fields(TWILIO) | {"OptOutType": word, "NumMedia": "1"}, "query": ""}
    for query in ("a=%ff&a=b&=", "%%%"):
        yield {"by": "twilio", "payload": _fields(TWILIO), "query": query}
    yield {"by": "meta", "raw": META["body"].replace("1", TOO_MANY_DIGITS, 1)}
    for path in PATHS:
        yield {"by": None, "event": RCS | {"rawPath": path}}
        yield {"by": None, "event": RCS | {"rawPath": path, "body": NOTHING_SIGNED}}
    yield {"by": None, "event": {}}


def _of_each_kind() -> Iterator[Any]:
    """Return a message with a part of each kind, and a choice by a setting and by an error."""
    text = {"text": "Is Friday free?", "id": "STOP", "title": "More", "caption": "Ours", "emoji": "🦷", "body": "Yes"}
    parts = ("text", "image", "button", "reaction", "location", "order", "contacts", "system", "unsupported")
    more = {**dict.fromkeys(parts, text), "interactive": {"button_reply": text}, "edit": {"message": {"type": "text"}}}
    for kind in more:
        yield _meta({"messages": [_VALUE["messages"][0] | {**more, "type": kind}]})
    wish = {"wa_id": "447700900161", "category": "marketing_messages", "value": "stop", "timestamp": 1931698795}
    yield _meta({"user_preferences": [wish]}, "user_preferences")
    failed = {"status": "failed", "errors": [{"code": 131050}], "recipient_id": "447700900161", "id": "wamid."}
    yield _meta({"statuses": [failed | {"timestamp": "1931698795", "biz_opaque_callback_data": OURS}]})
    for part in ("userFile", "location", "suggestionResponse"):
        yield {
            "by": "rcs",
            "payload": {name: value for name, value in _rcs_event(RCS).items() if name != "text"} | {part: text},
        }
    yield {"by": "twilio", "payload": _fields(TWILIO) | {"ButtonPayload": "STOP", "ButtonText": "No more"}, "query": ""}
    message = text | {"createTime": "2031-03-19T14:59:55Z"}
    yield {"by": "google-business-messages", "payload": {**BUSINESS_MESSAGE, "message": message}}


def _meta(content_of_change: Any, field: str = "messages") -> Any:
    value = {"metadata": _VALUE["metadata"], **content_of_change}
    return {"by": "meta", "payload": {"entry": [{"changes": [{"field": field, "value": value}]}]}}


def _content(call: Any) -> Iterator[Any]:
    """The call that sets a webhook up is not signed."""
    path = call["rawPath"].strip("/")
    if HEADERS.get(path) not in call["headers"]:
        return
    if path == "rcs":
        yield {"by": path, "payload": _rcs_event(call)}
    elif path == "meta":
        yield {"by": path, "payload": json.loads(call["body"]), "ascii": False}
    else:
        yield {"by": path, "payload": _fields(call), "query": call["rawQueryString"]}


def _rcs_event(call: Any) -> Any:
    return json.loads(base64.b64decode(json.loads(call["body"])["message"]["data"]))


def _fields(call: Any) -> dict[str, str]:
    return dict(parse_qsl(body_of(call).decode(), keep_blank_values=True))


# What is put into it

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 10**30, 10**400, float("nan"), float("inf")),
    *("", " ", "0", "-1", "1e999", "\x00", "\ud800", "\udfff\ud800", "ü" * 600, "🦷" * 6000, "[" * 20_000),
    *("STOP", "text", "statuses", "UNSUBSCRIBE", "+447700900161", "447700900161", "whatsapp:+1", "+", "wamid."),
    *(
        "2031-03-19T14:59:59Z",
        "2031-03-19",
        "1749416383",
        "2014-10-02T15:01:23Z",
        "9999-12-31T23:59:59+23:59",
        "1931698799",
        "1931698799000",
        "253402300800",
    ),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": {"c": []}}}, [{}] * 50),
    *({"http": {"method": method}} for method in ("GET", "POST", "PUT", "")),
    *PATHS,
)
