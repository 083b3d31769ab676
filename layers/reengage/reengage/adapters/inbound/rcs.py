"""Parse the calls of Google's RCS for Business: messages, receipts, subscriptions.

Shapes, under developers.google.com/business-communications: rcs-business-messaging/reference/rest/v1/UserMessage,
UserEvent and ServerEvent, each base64-encoded as ``message.data``. rcs-business-messaging/guides/integrate/webhooks
describes the set-up call. ``messageId`` of a receipt is the id that the agent gave its message: the
``scheduled_message_id``.

Google Business Messages, a related service, was retired on 2024-07-31. Its calls are parsed for replays.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from . import signatures
from .parsing import (
    Parsed,
    ParsedCall,
    ParseError,
    button_request,
    find_brand,
    from_iso,
    get,
    get_id,
    get_locale,
    get_name,
    get_own_message_id,
    get_payload,
    get_text,
    get_word,
    is_unicode,
    log_label,
    media_kind,
    parse_contact,
    parse_json,
    parse_single,
    with_plus,
)

CHANNEL: Final = "rcs"
PROVIDER: Final = "webhook"
"""A system of the brand sends for an agent at Google: this app has no adapter that calls Google."""

BUSINESS_MESSAGES: Final = "google_business_messages"
"""The channel of the retired service. Its address is the conversation's id."""


@dataclass(frozen=True, slots=True)
class _RcsEvent:
    content: Any
    routes: Routes
    arrived_at: datetime
    provider: str

    @property
    def at(self) -> datetime:
        """Return ``sendTime``, or the arrival: some events have no time."""
        sent_at = get(self.content, "sendTime")
        return self.arrived_at if sent_at is None else from_iso(sent_at)

    def contact(self, name: str) -> Contact:
        brand = find_brand(self.routes, self.provider, CHANNEL, get(self.content, "agentId"))
        return parse_contact(brand, CHANNEL, with_plus(get(self.content, name)))


def set_up(payload: Any, tokens: tuple[str, ...]) -> str | None:
    """Return the secret with which Google expects a set-up call to be answered; ``None`` for a wrong token."""
    token, secret = get(payload, "clientToken"), get(payload, "secret")
    if isinstance(token, str) and isinstance(secret, str) and is_unicode(secret):
        return secret if signatures.verify_token(tokens, token) else None
    return None


def signed_data(payload: Any) -> bytes | None:
    """Return what Google signed: ``message.data`` as bytes, or ``None``."""
    data = get(payload, "message", "data")
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        return None


def parse_rcs(payload: Any, *, routes: Routes, arrived_at: datetime, provider: str = PROVIDER) -> ParsedCall:
    """Parse the decoded body of a call."""
    return parse_single(partial(_parse, payload, routes, arrived_at, provider))


def _parse(payload: Any, routes: Routes, arrived_at: datetime, provider: str) -> Iterable[Parsed]:
    data = signed_data(payload)
    if data is None:
        raise ParseError("message.data: expected base64")
    event = _RcsEvent(parse_json(data), routes, arrived_at, provider)
    if get(event.content, "eventType") is not None:
        return _parse_event(event)
    if get(event.content, "senderPhoneNumber") is not None:
        return _parse_message(event)
    if get(event.content, "agentId") is not None:  # the agent was launched or withdrawn
        return ()
    raise ParseError("message.data: expected a message or an event")


# Messages


def _parse_message(event: _RcsEvent) -> Iterator[Parsed]:
    """Parse a message. Unknown content is a message too: the person did write."""
    content = next((name for name in _CONTENTS if get(event.content, name) is not None), None)
    kind, path = _CONTENTS[content] if content else ("unsupported", ())
    if content == "userFile":
        kind = media_kind(get_text(event.content, "userFile", "payload", "mimeType"))
    postback = ("suggestionResponse", "postbackData")
    yield InboundMessage(
        contact=event.contact("senderPhoneNumber"),
        # Google's own samples have one or the other.
        message_id=get_id(event.content, "messageId" if get(event.content, "messageId") is not None else "eventId"),
        sent_at=event.at,
        arrived_at=event.arrived_at,
        text=get_text(event.content, *path) if path else "",
        kind=kind,
        asks=button_request(get_text(event.content, *postback)),
        payload=get_payload(event.content, *postback),
    )


_CONTENTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "text": ("text", ("text",)),
        "suggestionResponse": ("button", ("suggestionResponse", "text")),
        "location": ("location", ()),
        "userFile": ("document", ()),
    }
)
"""Each content of a message: its kind, and the path of its text."""


# Events


def _parse_event(event: _RcsEvent) -> Iterator[Parsed]:
    word = get_word(event.content, "eventType")
    if word in _IGNORED_EVENTS:
        return
    if word in _REQUESTS:
        yield InboundMessage(
            contact=event.contact("senderPhoneNumber"),
            message_id=get_id(event.content, "eventId"),
            sent_at=event.at,
            arrived_at=event.arrived_at,
            text="",
            kind=word.lower(),
            asks=_REQUESTS[word],
        )
        return
    if word not in _RECEIPTS:
        raise ParseError("eventType: expected a known one")
    status, number = _RECEIPTS[word]
    scheduled_message_id = get_own_message_id(event.content, "messageId")
    if scheduled_message_id is None:
        return
    yield RecordDelivery(
        contact=event.contact(number),
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=event.at,
        provider_message_id=scheduled_message_id,
        error=log_label(word) if status == "undelivered" else None,
    )


_REQUESTS: Final = MappingProxyType({"UNSUBSCRIBE": Request.STOP, "SUBSCRIBE": Request.START})
"""Requests by a tap in the app. Each is a message like the keyword, identified by its id: some have no time."""

_RECEIPTS: Final[Mapping[str, tuple[Status, str]]] = MappingProxyType(
    {
        "DELIVERED": ("delivered", "senderPhoneNumber"),
        "READ": ("delivered", "senderPhoneNumber"),
        "TTL_EXPIRATION_REVOKED": ("undelivered", "phoneNumber"),
    }
)
"""The status of a message of this app, and the field with the person's number."""

_IGNORED_EVENTS: Final = frozenset({"IS_TYPING", "EVENT_TYPE_UNSPECIFIED", "TTL_EXPIRATION_REVOKE_FAILED"})
"""After the last one the message may still be delivered: it was too late to take it back."""


# Google Business Messages


def parse_business_messages(
    payload: Any, *, routes: Routes, arrived_at: datetime, provider: str = PROVIDER
) -> ParsedCall:
    """Parse the decoded body of a call. ``requestId`` identifies the message: a repeat has the same one."""
    return parse_single(partial(_parse_business_message, _RcsEvent(payload, routes, arrived_at, provider)))


def _parse_business_message(event: _RcsEvent) -> Iterator[Parsed]:
    content = next((name for name in _BUSINESS_CONTENTS if get(event.content, name) is not None), None)
    if content is None:
        if get(event.content, "conversationId") is None:
            raise ParseError(f"expected one of {', '.join(_BUSINESS_CONTENTS)}")
        return  # typing, a receipt, a survey
    brand = find_brand(event.routes, event.provider, BUSINESS_MESSAGES, get(event.content, "agent"))
    sent_at = get(event.content, content, "createTime")
    yield InboundMessage(
        contact=parse_contact(brand, BUSINESS_MESSAGES, get(event.content, "conversationId")),
        message_id=get_id(event.content, "requestId"),
        sent_at=event.at if sent_at is None else from_iso(sent_at),
        arrived_at=event.arrived_at,
        text=get_text(event.content, content, "text"),
        locale=get_locale(event.content, "context", "resolvedLocale"),
        display_name=get_name(event.content, "context", "userInfo", "displayName"),
        kind=_BUSINESS_CONTENTS[content],
        payload=get_payload(event.content, "suggestionResponse", "postbackData"),
    )


_BUSINESS_CONTENTS: Final = MappingProxyType({"message": "text", "suggestionResponse": "button"})
