"""What Twilio tells in form-encoded calls: messages of people by SMS and WhatsApp, and what became of ours.

Shapes: www.twilio.com/docs/messaging/guides/webhook-request (messages) and
www.twilio.com/docs/messaging/guides/track-outbound-message-status (status callbacks). Neither has a time inside that
can be relied on, so both happened when they arrived. The id of our message comes back in the query of the callback's
URL, as ``scheduled_message_id``, and with it ``brand`` and ``channel``.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from reengage.domain.commands import RecordChoice, RecordDelivery, Status
from reengage.domain.contact import CHANNELS, Contact, parse_brand
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .reading import (
    Read,
    Said,
    Unreadable,
    asks_of,
    at,
    brand_of,
    contact,
    identifier_at,
    label,
    name_at,
    ours_at,
    read_one,
    text_at,
)

PROVIDER: Final = "twilio"
OPTED_OUT: Final = "21610"
"""The error "Attempt to send to unsubscribed recipient"."""

STOPPED_MARKETING: Final = "63050"
"""The error "WhatsApp User Opted Out of Receiving Marketing Messages": of a message of ours, and a choice of theirs."""

MAX_FIELDS: Final = 500


def form(text: str) -> list[tuple[str, str]]:
    """The names and values of a form or a query, in their order, blank ones too. Too many of them are none at all."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def twilio(params: Mapping[str, str], query: Mapping[str, str], *, routes: Routes, arrived_at: datetime) -> Read:
    """The form of a call, and the query of the URL that it went to."""
    return read_one(partial(_read, params, query, routes, arrived_at))


def _read(params: Mapping[str, str], query: Mapping[str, str], routes: Routes, arrived_at: datetime) -> Iterable[Said]:
    if at(params, "MessageStatus"):
        return _status(params, query, routes, arrived_at)
    if at(params, "From") and at(params, "MessageSid"):
        return _message(params, routes, arrived_at)
    raise Unreadable("expected a message or a status callback")


def _person(params: Mapping[str, str], theirs: str, ours: str, routes: Routes) -> Contact:
    """Who they are, and of which brand: by our number, else by the messaging service that it belongs to."""
    prefix, _, address = text_at(params, theirs).rpartition(":")
    if prefix not in _CHANNELS:
        raise Unreadable(f"{theirs}: expected a number, or whatsapp: before it")
    channel = _CHANNELS[prefix]
    brand = brand_of(routes, PROVIDER, channel, at(params, ours), at(params, "MessagingServiceSid"))
    return contact(brand, channel, address)


# A messaging service may send an SMS as RCS by itself, and tells so; to us it is the same route.
_CHANNELS: Final = MappingProxyType({"": "sms", "whatsapp": "whatsapp", "rcs": "sms"})


# Messages


def _message(params: Mapping[str, str], routes: Routes, arrived_at: datetime) -> Iterator[Said]:
    """With ``OptOutType``, Twilio has taken the message for a STOP or a START, whatever its words are.

    Of these two it has also told the person so, and refuses what is sent after a STOP (21610).
    """
    payloads = (text_at(params, name) for name in ("ButtonPayload", "ListId"))
    yield InboundMessage(
        contact=_person(params, "From", "To", routes),
        message_id=identifier_at(params, "MessageSid"),
        sent_at=arrived_at,
        arrived_at=arrived_at,
        text=next(filter(None, (text_at(params, name) for name in _TEXTS)), ""),
        display_name=name_at(params, "ProfileName"),
        kind=_kind(params),
        asks=_OPT_OUT_TYPES.get(text_at(params, "OptOutType").upper()) or asks_of(payloads),
    )


def _kind(params: Mapping[str, str]) -> str:
    """By the first of the fields that only such a message has."""
    if text_at(params, "NumMedia") not in ("", "0"):
        media_type = text_at(params, "MediaContentType0").lower()
        return _MEDIA.get(media_type) or _MEDIA.get(media_type.partition("/")[0], "document")
    return next((kind for name, kind in _KINDS.items() if text_at(params, name)), "text")


_OPT_OUT_TYPES: Final = MappingProxyType({"STOP": Request.STOP, "START": Request.START})

_TEXTS: Final = ("Body", "ButtonText", "ListTitle", "Label", "Address")
"""The readable part: the first of these that is not empty."""

_KINDS: Final = MappingProxyType(
    {
        "Latitude": "location",
        "ButtonText": "button",
        "ButtonPayload": "button",
        "ListId": "interactive",
        "ListTitle": "interactive",
        "FlowData": "interactive",
        "InteractiveData": "interactive",
    }
)
_MEDIA: Final = MappingProxyType(
    {"image": "image", "audio": "audio", "video": "video", "text/vcard": "contacts", "text/x-vcard": "contacts"}
)


# What became of ours


def _status(
    params: Mapping[str, str], query: Mapping[str, str], routes: Routes, arrived_at: datetime
) -> Iterator[Said]:
    """A callback without our id is about a message that is none of ours."""
    scheduled_message_id = ours_at(query, "scheduled_message_id")
    if scheduled_message_id is None:
        return
    word = text_at(params, "MessageStatus").lower()
    if word in _INBOUND:
        return
    if word not in _STATUSES:
        raise Unreadable("MessageStatus: expected one that is known")
    status, code = _STATUSES[word], text_at(params, "ErrorCode")
    if status == "undelivered" and code == OPTED_OUT:
        status = "opted_out"
    failed = status in ("undelivered", "opted_out")
    person = _addressee(params, query, routes)
    yield RecordDelivery(
        contact=person,
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=arrived_at,
        provider_message_id=identifier_at(params, "MessageSid"),
        error=label(code or word) if failed else None,
    )
    if status == "undelivered" and code == STOPPED_MARKETING:
        cause = {"receipt_of": scheduled_message_id, "error": code}
        yield RecordChoice(person, "marketing", Choice(allowed=False, at=arrived_at, cause=cause))


def _addressee(params: Mapping[str, str], query: Mapping[str, str], routes: Routes) -> Contact:
    """As the query says, which is signed with the URL: a message of a messaging service names as ``From`` any number of
    its pool, and not always the service.
    """
    channel = text_at(query, "channel")
    try:
        brand = parse_brand(text_at(query, "brand"))
    except ValueError:
        return _person(params, "To", "From", routes)
    if channel not in CHANNELS:
        return _person(params, "To", "From", routes)
    return contact(brand, channel, text_at(params, "To").rpartition(":")[2])


_INBOUND: Final = frozenset({"receiving", "received"})
_STATUSES: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "accepted": "sent",
        "scheduled": "sent",
        "queued": "sent",
        "sending": "sent",
        "sent": "sent",
        "partially_delivered": "sent",
        "delivered": "delivered",
        "read": "delivered",
        "undelivered": "undelivered",
        "failed": "undelivered",
        "canceled": "undelivered",
    }
)
"""www.twilio.com/docs/messaging/api/message-resource, "Message Status values"."""
