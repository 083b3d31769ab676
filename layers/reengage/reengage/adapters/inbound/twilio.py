"""Parse Twilio's form-encoded calls: messages by SMS and WhatsApp, and status callbacks.

Shapes: www.twilio.com/docs/messaging/guides/webhook-request (messages) and
www.twilio.com/docs/messaging/guides/track-outbound-message-status (status callbacks). Neither has a reliable time, so
both count from their arrival. The query of the callback's URL has ``scheduled_message_id``, ``brand`` and ``channel``.

Twilio signs names and values without separators, so a signed call could be cut into another form. Therefore addresses
count only in Twilio's exact spelling: see ``has_two_senders``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from reengage.domain.commands import LinkContact, RecordChoice, RecordDelivery, Status
from reengage.domain.contact import CHANNELS, Contact, parse_brand
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .parsing import (
    Parsed,
    ParsedCall,
    ParseError,
    button_request,
    find_brand,
    get,
    get_id,
    get_name,
    get_optional_id,
    get_own_message_id,
    get_payload,
    get_text,
    has_no_reply_address,
    log_label,
    media_kind,
    parse_contact,
    parse_json,
    parse_single,
    with_plus,
)

PROVIDER: Final = "twilio"
OPTED_OUT: Final = "21610"
"""Error "Attempt to send to unsubscribed recipient"."""

STOPPED_MARKETING: Final = "63050"
"""Error "WhatsApp User Opted Out of Receiving Marketing Messages": an outcome, and a choice of the person."""

MAX_FIELDS: Final = 500

_NUMBER: Final = r"\+[1-9][0-9]{6,14}"
_USER_ID: Final = r"[A-Z]{2}\.[A-Za-z0-9._-]{1,250}"
_ADDRESS: Final = re.compile(
    rf"(?:(?P<prefix>whatsapp|rcs):)?(?P<address>{_NUMBER})|whatsapp:(?P<user>{_USER_ID})", re.ASCII
)
_OWN_ADDRESS: Final = re.compile(r"(?:(?:whatsapp|rcs):)?(?:\+[1-9][0-9]{6,14}|[0-9]{3,6}|[A-Za-z][\w.-]*)", re.ASCII)
_SENDER: Final = re.compile(r"From(?:\+|whatsapp:|rcs:)")


def form(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a form or a query in their order. Too many of them count as none."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def has_two_senders(fields: Iterable[tuple[str, str]]) -> bool:
    """Return whether the signed text of a form could be that of another form with another sender.

    A person who texts "STOPFrom+12025550123" could cut their own signed call into a STOP from that number.
    """
    return len(_SENDER.findall(_signed_text(fields))) > 1


def without_forged_links(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the fields with further addresses of the sender if they may have been cut out of the person's text.

    A person who texts "hiExternalUserIdUS.1349" could cut their own signed call into one that links that user id. Each
    message of WhatsApp has one ``ChannelMetadata``, so a second one, or a field without it, shows the cut.
    """
    signed = _signed_text(fields)
    if signed.count("ChannelMetadata") == 1 and signed.count("ExternalUserId") <= 1:
        return list(fields)
    return [(name, value) for name, value in fields if name not in _LINKING]


_LINKING: Final = ("ChannelMetadata", "ExternalUserId")
"""``WaId`` is signed after the sender's own address: no text of the person can become that."""


def _signed_text(fields: Iterable[tuple[str, str]]) -> str:
    return "".join(name + value for name, value in sorted(set(fields)))


def parse_twilio(
    params: Mapping[str, str], query: Mapping[str, str], *, routes: Routes, arrived_at: datetime
) -> ParsedCall:
    """Parse the form of a call, and the query of its URL."""
    return parse_single(partial(_parse, params, query, routes, arrived_at))


def _parse(
    params: Mapping[str, str], query: Mapping[str, str], routes: Routes, arrived_at: datetime
) -> Iterable[Parsed]:
    if get(params, "MessageStatus"):
        return _parse_status(params, query, routes, arrived_at)
    if get(params, "From") and get(params, "MessageSid"):
        return _parse_message(params, routes, arrived_at)
    raise ParseError("expected a message or a status callback")


def _split_address(params: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the channel and the address in a field. Raises ``ParseError`` for any spelling but Twilio's own."""
    match = _ADDRESS.fullmatch(get_text(params, name))
    if match is None:
        raise ParseError(f"{name}: expected +15558675310, with whatsapp: or rcs: before it if it is not SMS")
    if match["user"]:
        return "whatsapp", match["user"]
    return _CHANNELS[match["prefix"]], match["address"]


def _contact(params: Mapping[str, str], theirs: str, ours: str, routes: Routes) -> Contact:
    """Return the contact. Its brand is that of our number, else of the messaging service of the number."""
    channel, address = _split_address(params, theirs)
    if not _OWN_ADDRESS.fullmatch(get_text(params, ours)):
        raise ParseError(f"{ours}: expected a number, a short code or an agent")
    brand = find_brand(routes, PROVIDER, channel, get(params, ours), get(params, "MessagingServiceSid"))
    return parse_contact(brand, channel, address)


# A messaging service may send an SMS as RCS by itself; for this app it is the same route.
_CHANNELS: Final = MappingProxyType({None: "sms", "whatsapp": "whatsapp", "rcs": "sms"})


# Messages


def _parse_message(params: Mapping[str, str], routes: Routes, arrived_at: datetime) -> Iterator[Parsed]:
    """Parse a message. ``OptOutType`` shows that Twilio handled it as STOP or START, whatever its words are.

    Twilio has then replied, and after a STOP it refuses messages to the person (21610).
    """
    if has_no_reply_address(get_text(params, "From")):
        return
    contact = _contact(params, "From", "To", routes)
    payload = get_payload(params, "ButtonPayload") or get_payload(params, "ListId")
    message = InboundMessage(
        contact=contact,
        message_id=get_id(params, "MessageSid"),
        sent_at=arrived_at,
        arrived_at=arrived_at,
        text=next(filter(None, (get_text(params, name) for name in _TEXTS)), ""),
        display_name=get_name(params, "ProfileName"),
        kind=_kind(params),
        asks=_OPT_OUT_TYPES.get(get_text(params, "OptOutType").upper())
        or button_request(get_text(params, "ButtonPayload"), get_text(params, "ListId")),
        quoted_message_id=get_optional_id(params, "OriginalRepliedMessageSid"),
        payload=payload,
    )
    yield from _links(params, contact, arrived_at)
    yield message


def _links(params: Mapping[str, str], contact: Contact, arrived_at: datetime) -> Iterator[LinkContact]:
    """Return a link to each further WhatsApp address that Twilio gives for the sender."""
    if contact.channel != "whatsapp":
        return
    seen = {contact.address}
    for address in (get_text(params, "ExternalUserId"), get_text(params, "WaId"), _channel_number(params)):
        if _ADDRESS.fullmatch(f"whatsapp:{with_plus(address)}"):
            other = parse_contact(contact.brand, "whatsapp", with_plus(address))
            if other.address not in seen:
                seen.add(other.address)
                yield LinkContact(contact, other, arrived_at)


def _channel_number(params: Mapping[str, str]) -> str:
    try:
        metadata = parse_json(get(params, "ChannelMetadata"))
    except ParseError:
        return ""
    return get_text(metadata, "data", "context", "WaId")


def _kind(params: Mapping[str, str]) -> str:
    """Return the kind by the first field that only such a message has."""
    if get_text(params, "NumMedia") not in ("", "0"):
        return media_kind(get_text(params, "MediaContentType0"))
    return next((kind for name, kind in _KINDS.items() if get_text(params, name)), "text")


_OPT_OUT_TYPES: Final = MappingProxyType({"STOP": Request.STOP, "START": Request.START})

_TEXTS: Final = ("Body", "ButtonText", "ListTitle", "Label", "Address")
"""The fields of the text: the first of these that is not empty counts."""

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


# Statuses


def _parse_status(
    params: Mapping[str, str], query: Mapping[str, str], routes: Routes, arrived_at: datetime
) -> Iterator[Parsed]:
    """Parse a status callback. Without an id of this app, it concerns another system's message."""
    scheduled_message_id = get_own_message_id(query, "scheduled_message_id")
    if scheduled_message_id is None:
        return
    word = get_text(params, "MessageStatus").lower()
    if word in _INBOUND:
        return
    if word not in _STATUSES:
        raise ParseError("MessageStatus: expected a known one")
    status, code = _STATUSES[word], get_text(params, "ErrorCode")
    if status == "undelivered" and code == OPTED_OUT:
        status = "opted_out"
    failed = status in ("undelivered", "opted_out")
    contact = _recipient(params, query, routes)
    yield RecordDelivery(
        contact=contact,
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=arrived_at,
        provider_message_id=get_id(params, "MessageSid"),
        error=log_label(code or word) if failed else None,
    )
    if status == "undelivered" and code == STOPPED_MARKETING:
        cause = {"receipt_of": scheduled_message_id, "error": code}
        yield RecordChoice(contact, "marketing", Choice(allowed=False, at=arrived_at, cause=cause))


def _recipient(params: Mapping[str, str], query: Mapping[str, str], routes: Routes) -> Contact:
    """Return the recipient by the query, which is signed with the URL.

    A message of a messaging service has as ``From`` any number of its pool, and not always the service. One account's
    key signs for all of its brands, so the sender must not be another brand's.
    """
    channel = get_text(query, "channel")
    try:
        brand = parse_brand(get_text(query, "brand"))
    except ValueError:
        return _contact(params, "To", "From", routes)
    if channel not in CHANNELS:
        return _contact(params, "To", "From", routes)
    recipient = parse_contact(brand, channel, _split_address(params, "To")[1])
    if not routes.may_send(PROVIDER, brand, channel, get_text(params, "From"), get_text(params, "MessagingServiceSid")):
        raise ParseError("From: expected a sender of the brand that the URL names")
    return recipient


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
