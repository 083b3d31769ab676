"""What a function may write to its log and metrics, and what it must not."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from reengage.observability import (
    ALARM_METRICS,
    ALL_HELD_FOR_TIMEZONE,
    CONTACTS_UNKNOWN,
    ERROR_CODE,
    FIELDS_MISSPELLED,
    LEFT,
    METRICS,
    NOT_PUBLISHED,
    OLDEST_DUE,
    PAUSED,
    RETRIED,
    SIGNATURES_REFUSED,
    SMS_OVER_THREE_SEGMENTS,
    STACK_SERVICE,
    WEBHOOKS_REFUSED,
    WITHOUT_RECEIPT,
)

_SERIES: Final = (
    *(*METRICS.values(), *ALARM_METRICS.values()),
    *(NOT_PUBLISHED, LEFT, RETRIED, SMS_OVER_THREE_SEGMENTS, WEBHOOKS_REFUSED, SIGNATURES_REFUSED),
    *(CONTACTS_UNKNOWN, FIELDS_MISSPELLED),
    *(OLDEST_DUE, ALL_HELD_FOR_TIMEZONE, PAUSED, WITHOUT_RECEIPT),
)

DIMENSIONS: Final = {
    name: [sorted(("service", *series.dimensions)) for series in _SERIES if series.name == name]
    for name in {series.name for series in _SERIES}
}
"""The dimensions of each metric's series: some metrics have one more series, for an alarm."""

_HARMLESS: Final = frozenset(
    {
        *(
            "brand",
            "channel",
            "reason",
            "timezone",
            "locale",
            "kind",
            "asks",
            "status",
            "scope",
            "marketing",
            "detail-type",
        ),
        *("source", "scheduled_message_id", "id", "account", "region", "time", "version", "resources", "event_id"),
    }
)
"""Fields without personal data: a choice from a list, an instant, or an id of AWS or of this application."""

_PUBLIC_VALUE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T.*)?|-?P[\dTDHWMS]+|\d{2}:\d{2}|.{0,3}", re.DOTALL)
"""Instants, days, durations, times of day, and texts too short to be distinguished from a part of another word."""

_RANDOM_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONGEST_BY_CHANCE: Final = 8


def personal(*events: Any) -> set[str]:
    """Return the values that no log may have: each address, name, id, text and URL, in all their forms."""
    return {form for event in events for text in _texts(_detail_of(event)) for form in (text, text.lstrip("+"))}


def personal_of_call(event: Any) -> set[str]:
    """Return the same for any event of a function. Of a provider's call only some fields are a person's."""
    if not isinstance(event, dict):
        return set()
    bodies = [record.get("Sns", {}).get("Message") for record in event.get("Records", ())]
    if "requestContext" in event:
        bodies.append(_body_of(event))
    elif not bodies:
        return personal(event)
    return {text for body in bodies for text in _texts_of_person(_parsed(body))}


def leaks(secrets: Iterable[str], printed: str) -> list[str]:
    """Return the secrets that the output has, as they are, as JSON has them, or in base64.

    A short one, such as a-17, may be a part of a random id by chance: it is searched beside these.
    """
    beside_ids = _RANDOM_ID.sub("", printed)
    places = {secret: printed if len(secret) > LONGEST_BY_CHANCE else beside_ids for secret in secrets}
    return [secret for secret, place in places.items() if any(form in place for form in _forms(secret))]


@cache
def _forms(secret: str) -> tuple[str, ...]:
    whole = secret.encode(errors="replace")
    return secret, json.dumps(secret)[1:-1], base64.b64encode(whole).decode().rstrip("=")


def _body_of(event: Mapping[str, Any]) -> Any:
    body = event.get("body")
    if not isinstance(body, str) or not event.get("isBase64Encoded"):
        return body
    with suppress(binascii.Error):
        return base64.b64decode(body).decode(errors="replace")
    return None


def _parsed(text: Any) -> Any:
    """Return the content of JSON, of JSON inside JSON, of Google's base64, or of a form."""
    if not isinstance(text, str):
        return text
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return dict(parse_qsl(text))


def _texts_of_person(value: Any, name: str = "") -> Iterator[str]:
    match value:
        case dict():
            for inner, each in value.items():
                yield from _texts_of_person(each, inner)
        case list():
            for each in value:
                yield from _texts_of_person(each, name)
        case str() if name == "whatsAppWebhookEntry":
            yield from _texts_of_person(_parsed(value))
        case str() if name == "data":
            with suppress(binascii.Error):
                yield from _texts_of_person(_parsed(base64.b64decode(value).decode(errors="replace")))
        case str() if name in _OF_A_PERSON and not _PUBLIC_VALUE.fullmatch(value):
            yield from (value, value.lstrip("+"))


_OF_A_PERSON: Final = frozenset(
    {
        *("from", "wa_id", "user_id", "from_user_id", "recipient_id", "body", "text", "name", "payload", "title"),
        *("From", "To", "Body", "ProfileName", "WaId", "MessageSid", "SmsSid", "ButtonText", "ButtonPayload"),
        *("originationNumber", "destinationNumber", "messageBody", "destinationPhoneNumber", "inboundMessageId"),
        *("senderPhoneNumber", "phoneNumber", "messageId", "displayName", "conversationId"),
    }
)
"""The fields of providers' calls that a person fills, or that name a person or a message."""


def _detail_of(event: Any) -> Any:
    return event.get("detail", event) if isinstance(event, dict) else event


def _texts(value: Any, name: str = "") -> Iterator[str]:
    if name in _HARMLESS:
        return
    match value:
        case dict():
            for inner, each in value.items():
                yield from _texts(each, inner)
        case list():
            for each in value:
                yield from _texts(each, name)
        case str() if name == "error" and re.fullmatch(ERROR_CODE, value):
            pass  # a provider's code, which is logged
        case str() if not _PUBLIC_VALUE.fullmatch(value):
            yield value


def documented(written: Mapping[str, Any], *, service: str) -> None:
    """Assert that a line in embedded metric format is one metric of the list, with its dimensions only."""
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Reengage"
    ((name, unit),) = ((metric["Name"], metric["Unit"]) for metric in directive["Metrics"])
    assert unit == "Count"
    (dimensions,) = directive["Dimensions"]
    assert sorted(dimensions) in DIMENSIONS[name]
    of_stack = {(metric.name, frozenset({"service", *metric.dimensions})) for metric in _SERIES if metric.of_stack}
    assert written["service"] == (STACK_SERVICE if (name, frozenset(dimensions)) in of_stack else service)
    assert all(isinstance(written[dimension], str) and written[dimension] for dimension in dimensions)
    assert set(written) == {"_aws", name, *dimensions}
    assert sum(written[name]) > 0 or name == ALL_HELD_FOR_TIMEZONE.name
