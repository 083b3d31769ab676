"""What Google's RCS for Business tells an agent: messages of people, what became of ours, who unsubscribed.

Shapes, under developers.google.com/business-communications: rcs-business-messaging/reference/rest/v1/UserMessage,
UserEvent and ServerEvent, each base64-encoded as ``message.data``; the set-up call is described in
rcs-business-messaging/guides/integrate/webhooks. Of a receipt ``messageId`` is the id that the agent gave its message:
ours, where it is sent as ``scheduled_message_id``.

Google Business Messages, of the same family, was retired on 2024-07-31; its calls are read for the sake of replays.
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
from .reading import (
    Read,
    Said,
    Unreadable,
    asks_of,
    at,
    brand_of,
    contact,
    from_iso,
    identifier_at,
    is_unicode,
    label,
    locale_at,
    name_at,
    ours_at,
    parsed,
    read_one,
    text_at,
    with_plus,
    word_at,
)

CHANNEL: Final = "rcs"
PROVIDER: Final = "webhook"
"""Who delivers for an agent at Google: no adapter here speaks to Google, so it is a system of the brand's own."""

BUSINESS_MESSAGES: Final = "google_business_messages"
"""The channel of the retired service. Its address is the conversation's id."""


@dataclass(frozen=True, slots=True)
class _Told:
    what: Any
    routes: Routes
    arrived_at: datetime
    provider: str

    @property
    def at(self) -> datetime:
        """``sendTime``, which some events leave out."""
        return self.arrived_at if at(self.what, "sendTime") is None else from_iso(at(self.what, "sendTime"))

    def person(self, number: str) -> Contact:
        brand = brand_of(self.routes, self.provider, CHANNEL, at(self.what, "agentId"))
        return contact(brand, CHANNEL, with_plus(at(self.what, number)))


def set_up(payload: Any, tokens: tuple[str, ...]) -> str | None:
    """The secret that Google wants to hear back when a webhook is set up; ``None`` where the token is not ours."""
    token, secret = at(payload, "clientToken"), at(payload, "secret")
    if isinstance(token, str) and isinstance(secret, str) and is_unicode(secret) and signatures.is_ours(tokens, token):
        return secret
    return None


def data_of(payload: Any) -> bytes | None:
    """What Google signed: ``message.data`` as bytes. ``None`` where there is none."""
    data = at(payload, "message", "data")
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        return None


def rcs(payload: Any, *, routes: Routes, arrived_at: datetime, provider: str = PROVIDER) -> Read:
    """The body of a call, as parsed."""
    return read_one(partial(_read, payload, routes, arrived_at, provider))


def _read(payload: Any, routes: Routes, arrived_at: datetime, provider: str) -> Iterable[Said]:
    data = data_of(payload)
    if data is None:
        raise Unreadable("message.data: expected base64")
    told = _Told(parsed(data), routes, arrived_at, provider)
    if at(told.what, "eventType") is not None:
        return _event(told)
    if at(told.what, "senderPhoneNumber") is not None:
        return _message(told)
    if at(told.what, "agentId") is not None:  # the agent itself was launched, or is not any more
        return ()
    raise Unreadable("message.data: expected a message or an event")


# Messages


def _message(told: _Told) -> Iterator[Said]:
    content = next((name for name in _CONTENTS if at(told.what, name) is not None), None)
    if content is None:
        raise Unreadable(f"expected one of {', '.join(_CONTENTS)}")
    kind, path = _CONTENTS[content]
    if content == "userFile":
        mime_type = text_at(told.what, "userFile", "payload", "mimeType")
        kind = _MEDIA.get(mime_type.partition("/")[0], kind)
    yield InboundMessage(
        contact=told.person("senderPhoneNumber"),
        # Some of Google's own samples have the one, some the other.
        message_id=identifier_at(told.what, "messageId" if at(told.what, "messageId") is not None else "eventId"),
        sent_at=told.at,
        arrived_at=told.arrived_at,
        text=text_at(told.what, *path) if path else "",
        kind=kind,
        asks=asks_of([text_at(told.what, "suggestionResponse", "postbackData")]),
    )


_CONTENTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "text": ("text", ("text",)),
        "suggestionResponse": ("button", ("suggestionResponse", "text")),
        "location": ("location", ()),
        "userFile": ("document", ()),
    }
)
"""Each content of a message: its kind, and where its readable part stands."""

_MEDIA: Final = MappingProxyType({"image": "image", "audio": "audio", "video": "video"})


# Events


def _event(told: _Told) -> Iterator[Said]:
    word = word_at(told.what, "eventType")
    if word in _NOT_SAID:
        return
    if word in _ASKED:
        yield InboundMessage(
            contact=told.person("senderPhoneNumber"),
            message_id=identifier_at(told.what, "eventId"),
            sent_at=told.at,
            arrived_at=told.arrived_at,
            text="",
            kind=word.lower(),
            asks=_ASKED[word],
        )
        return
    if word not in _RECEIPTS:
        raise Unreadable("eventType: expected one that is known")
    status, number = _RECEIPTS[word]
    scheduled_message_id = ours_at(told.what, "messageId")
    if scheduled_message_id is None:
        return
    yield RecordDelivery(
        contact=told.person(number),
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=told.at,
        provider_message_id=scheduled_message_id,
        error=label(word) if status == "undelivered" else None,
    )


_ASKED: Final = MappingProxyType({"UNSUBSCRIBE": Request.STOP, "SUBSCRIBE": Request.START})
"""What a person asks by a tap in the app. It is a message like the word, and is told apart by its id as one is: Google
does not always say when it was.
"""
_RECEIPTS: Final[Mapping[str, tuple[Status, str]]] = MappingProxyType(
    {
        "DELIVERED": ("delivered", "senderPhoneNumber"),
        "READ": ("delivered", "senderPhoneNumber"),
        "TTL_EXPIRATION_REVOKED": ("undelivered", "phoneNumber"),
    }
)
"""What became of a message of ours, and where the event holds the person's number."""

_NOT_SAID: Final = frozenset({"IS_TYPING", "EVENT_TYPE_UNSPECIFIED", "TTL_EXPIRATION_REVOKE_FAILED"})
"""The last: it came too late to be taken back, and may be delivered yet."""


# Google Business Messages


def google_business_messages(payload: Any, *, routes: Routes, arrived_at: datetime, provider: str = PROVIDER) -> Read:
    """The body of a call, as parsed. A repeat has the same ``requestId``, which so is the message's id."""
    return read_one(partial(_business_message, _Told(payload, routes, arrived_at, provider)))


def _business_message(told: _Told) -> Iterator[Said]:
    content = next((name for name in _BUSINESS_CONTENTS if at(told.what, name) is not None), None)
    if content is None:
        if at(told.what, "conversationId") is None:
            raise Unreadable(f"expected one of {', '.join(_BUSINESS_CONTENTS)}")
        return  # typing, a receipt, a survey
    brand = brand_of(told.routes, told.provider, BUSINESS_MESSAGES, at(told.what, "agent"))
    sent_at = at(told.what, content, "createTime")
    yield InboundMessage(
        contact=contact(brand, BUSINESS_MESSAGES, at(told.what, "conversationId")),
        message_id=identifier_at(told.what, "requestId"),
        sent_at=told.at if sent_at is None else from_iso(sent_at),
        arrived_at=told.arrived_at,
        text=text_at(told.what, content, "text"),
        locale=locale_at(told.what, "context", "resolvedLocale"),
        display_name=name_at(told.what, "context", "userInfo", "displayName"),
        kind=_BUSINESS_CONTENTS[content],
    )


_BUSINESS_CONTENTS: Final = MappingProxyType({"message": "text", "suggestionResponse": "button"})
