"""Which calls a provider can have made: signatures and tokens, written from the providers' pages and independent of the
tested code.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.integration.stack import PROVIDER_KEYS

HEADERS: Final = {
    "meta": "x-hub-signature-256",
    "rcs": "x-goog-signature",
    "google-business-messages": "x-goog-signature",
    "twilio": "x-twilio-signature",
    "twilio/status": "x-twilio-signature",
}
"""The header that has the signature, by path."""


def by_meta(body: bytes) -> str:
    return f"sha256={_hmac('meta_app_secret', body, 'sha256').hex()}"


def by_twilio(url: str, form: list[tuple[str, str]]) -> str:
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return _base64(_hmac("twilio_auth_token", signed.encode("utf-8", "surrogatepass"), "sha1"))


def by_google(key: str, signed: bytes) -> str:
    return _base64(_hmac(key, signed, "sha512"))


def signatures(event: Mapping[str, Any]) -> list[str]:
    """Return the signatures that the provider may write into the header of this call.

    Raises any exception if the call has no valid form, so that no provider can have made it.
    """
    body = body_of(event)
    path = str(event["rawPath"]).strip("/")
    match path:
        case "meta":
            return [by_meta(body)]
        case "rcs":
            return [by_google("rcs_client_token", base64.b64decode(json.loads(body)["message"]["data"]))]
        case "google-business-messages":
            return [by_google("google_business_messages_key", body)]
        case "twilio" | "twilio/status":
            # Twilio does not always agree with itself on whether the port is part of the URL.
            fields = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
            return [by_twilio(_url(event, port), fields) for port in ("", ":443")]
        case _:
            return []


def is_signed(event: Any) -> bool:
    """Return whether a provider can have made this call."""
    return _holds(_has_its_signature, event)


def knows_a_token(event: Any) -> bool:
    """A set-up call has no signature but a token: Meta's in the query, Google's in the body."""
    return _holds(_has_a_token, event)


def body_of(event: Mapping[str, Any]) -> bytes:
    raw = event.get("body") or ""
    return base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()


def _has_its_signature(event: Any) -> bool:
    headers = {str(name).lower(): value for name, value in event["headers"].items()}
    return headers.get(HEADERS[str(event["rawPath"]).strip("/")]) in signatures(event)


def _has_a_token(event: Any) -> bool:
    query = dict(parse_qsl(str(event.get("rawQueryString", "")), keep_blank_values=True))
    if event["requestContext"]["http"]["method"] == "GET":
        return query.get("hub.verify_token") == PROVIDER_KEYS["meta_verify_token"]
    key = "rcs_client_token" if event["rawPath"].strip("/") == "rcs" else "google_business_messages_key"
    return bool(json.loads(body_of(event))["clientToken"] == PROVIDER_KEYS[key])


def _holds(predicate: Callable[[Any], bool], event: Any) -> bool:
    try:
        return predicate(event)
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        return False


def _url(event: Mapping[str, Any], port: str) -> str:
    query = f"?{event['rawQueryString']}" if event.get("rawQueryString") else ""
    return f"https://{event['requestContext']['domainName']}{port}{event['rawPath']}{query}"


def _hmac(key: str, signed: bytes, algorithm: str) -> bytes:
    return hmac.new(PROVIDER_KEYS[key].encode(), signed, getattr(hashlib, algorithm)).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
