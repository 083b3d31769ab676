"""What AWS End User Messaging tells through SNS: messages of people by SMS, RCS and WhatsApp, and receipts of ours.

Shapes, under docs.aws.amazon.com:

- sms-voice/latest/userguide/two-way-sms-payload.html and rcs-inbound.html: messages; no time inside, so SNS's counts
- sms-voice/latest/userguide/rcs-events.html and rcs-inbound-media.html: what else comes as ``messageBody``
- sms-voice/latest/userguide/configuration-sets-event-format.html and configuration-sets-event-types.html: receipts;
  ``context`` is what the message was sent with
- social-messaging/latest/userguide/managing-event-destination-dlrs.html: WhatsApp, one entry of Meta's as text
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import RecordDelivery, Status
from reengage.domain.contact import CHANNELS, parse_brand
from reengage.domain.conversation import InboundMessage
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .meta import Setting, read_entry
from .reading import (
    Read,
    Reading,
    Said,
    Unreadable,
    asks_of,
    at,
    brand_of,
    contact,
    from_iso,
    from_milliseconds,
    identifier_at,
    label,
    ours_at,
    parsed,
    text_at,
    with_plus,
    word_at,
)

PROVIDER: Final = "aws"


@dataclass(frozen=True, slots=True)
class _Notice:
    """One notification: ``published_at`` is SNS's time."""

    message: Any
    published_at: datetime
    arrived_at: datetime
    routes: Routes


def sns(event: Any, *, routes: Routes, arrived_at: datetime) -> Read:
    """An event of SNS for Lambda: ``Records[].Sns`` with ``Message``, as JSON, and ``Timestamp``."""
    reading = Reading()
    if not isinstance(at(event, "Records"), list):
        reading.error("$.Records: expected a list")
    else:
        for path, record in reading.each(event, "Records", "$"):
            _read_record(record, f"{path}.Sns", reading, routes, arrived_at)
    return reading.done()


def _read_record(record: Any, path: str, reading: Reading, routes: Routes, arrived_at: datetime) -> None:
    try:
        message = parsed(at(record, "Sns", "Message"))
        published_at = from_iso(at(record, "Sns", "Timestamp"))
        entry = parsed(at(message, "whatsAppWebhookEntry")) if at(message, "whatsAppWebhookEntry") else None
    except Unreadable as why:
        reading.error(f"{path}: {why}")
        return
    if entry is not None:
        setting = Setting(routes, arrived_at, PROVIDER, partial(_names, message))
        read_entry(entry, f"{path}.Message.whatsAppWebhookEntry", reading, setting)
        return
    notice = _Notice(message, published_at, arrived_at, routes)
    reading.take(f"{path}.Message", partial(_read, notice))


def _read(notice: _Notice) -> Iterable[Said]:
    if at(notice.message, "eventType") is not None:
        return _receipt(notice)
    if at(notice.message, "inboundMessageId") is not None:
        return _message(notice)
    raise Unreadable("expected a message, a receipt or an entry of WhatsApp's")


def _names(message: Any, number: Any) -> Iterator[Any]:
    """What AWS calls the phone number that Meta calls so: its ARN, and the id in it as the API takes it."""
    numbers = at(message, "context", "MetaPhoneNumberIds")
    for each in numbers if isinstance(numbers, list) else ():
        arn = at(each, "arn")
        if at(each, "metaPhoneNumberId") == number and isinstance(arn, str):
            yield arn
            yield f"phone-number-id-{arn.rpartition('/')[2]}"


# Messages


def _message(notice: _Notice) -> Iterator[Said]:
    """By RCS where it was sent to an agent; then the body may be JSON, and about more than text."""
    message, to = notice.message, at(notice.message, "destinationNumber")
    channel = "rcs" if isinstance(to, str) and to.startswith("rcs-") else "sms"
    body = text_at(message, "messageBody")
    kind, text, asks = _rcs_body(body) if channel == "rcs" else ("text", body, None)
    if kind in _NOT_SAID:
        return
    yield InboundMessage(
        contact=contact(
            brand_of(notice.routes, PROVIDER, channel, to), channel, with_plus(at(message, "originationNumber"))
        ),
        message_id=identifier_at(message, "inboundMessageId"),
        sent_at=notice.published_at,
        arrived_at=notice.arrived_at,
        text=text,
        kind=kind,
        asks=asks,
    )


def _rcs_body(body: str) -> tuple[str, str, Request | None]:
    """The kind of the message, its readable part, and what it asks beyond that. Raises ``Unreadable`` for an event that
    is not known.
    """
    try:
        told = parsed(body)
    except Unreadable:
        return "text", body, None
    if isinstance(at(told, "mediaStatus"), str):
        return _MEDIA.get(text_at(told, "mimeType").partition("/")[0], "document"), "", None
    if not isinstance(at(told, "type"), str):
        return "text", body, None
    if told["type"] not in _RCS_KINDS:
        raise Unreadable("messageBody: expected a type of event that is known")
    kind = _RCS_KINDS[told["type"]]
    asks = Request.STOP if kind == "unsubscribe" else asks_of([text_at(told, "postbackData")])
    return kind, text_at(told, "text"), asks


_RCS_KINDS: Final = MappingProxyType(
    {
        "SUGGESTION": "button",
        "LOCATION": "location",
        "UNSUBSCRIBE": "unsubscribe",
        "RCS_TYPING": "typing",
        "CONVERSATION_STARTED": "pricing",
    }
)
_NOT_SAID: Final = frozenset({"typing", "pricing"})
_MEDIA: Final = MappingProxyType({"image": "image", "audio": "audio", "video": "video"})


# Receipts


def _receipt(notice: _Notice) -> Iterator[Said]:
    """``TEXT_DELIVERED``, ``RCS_READ``: the channel that it went by, and what became of it. By RCS, ``messageStatus``
    may say otherwise, and is right.

    A message may have gone by another channel than it was planned for: RCS falls back to SMS, and a pool picks. So the
    context may name ``brand`` and ``channel``, beside the ``scheduled_message_id``, without which it is none of ours.
    """
    message, context = notice.message, at(notice.message, "context")
    by, _, became = word_at(message, "eventType").partition("_")
    scheduled_message_id = ours_at(context, "scheduled_message_id")
    if scheduled_message_id is None or by not in _CHANNELS:
        return
    if became not in _STATUSES:
        raise Unreadable("eventType: expected one that is known")
    told = _RCS_STATUSES.get(text_at(message, "messageStatus")) if by == "RCS" and became not in _ELSEWHERE else None
    status = (told or _STATUSES[became])(at(message, "isFinal") is not False)
    if status is None:
        return
    planned = at(context, "channel")
    channel = planned if isinstance(planned, str) and planned in CHANNELS else _CHANNELS[by]
    yield RecordDelivery(
        contact=contact(_brand(notice, channel), channel, with_plus(at(message, "destinationPhoneNumber"))),
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=from_milliseconds(at(message, "eventTimestamp")),
        provider_message_id=identifier_at(message, "messageId"),
        error=label(at(message, "eventType"), at(message, "messageStatus")) if status == "undelivered" else None,
    )


def _brand(notice: _Notice, channel: str) -> str:
    told = at(notice.message, "context", "brand")
    if isinstance(told, str):
        try:
            return parse_brand(told)
        except ValueError as why:
            raise Unreadable("context.brand: expected a brand") from why
    return brand_of(notice.routes, PROVIDER, channel, at(notice.message, "originationPhoneNumber"))


_CHANNELS: Final = MappingProxyType({"TEXT": "sms", "MEDIA": "sms", "RCS": "rcs"})


def _always(status: Status | None) -> Callable[[bool], Status | None]:
    return lambda _: status


def _when_final(status: Status | None, until: Status | None = None) -> Callable[[bool], Status | None]:
    return lambda is_final: status if is_final else until


_STATUSES: Final[Mapping[str, Callable[[bool], Status | None]]] = MappingProxyType(
    {
        "QUEUED": _always("sent"),
        "PENDING": _always("sent"),
        "SENT": _always("sent"),
        # Accepted by the carrier: in some countries all that is ever told, and then final.
        "SUCCESSFUL": _when_final("delivered", until="sent"),
        "DELIVERED": _always("delivered"),
        "READ": _always("delivered"),
        "FALLEN_BACK_TO_SMS": _always("sent"),
        # After 72 hours without a word from the carrier: nothing is known, so nothing is told.
        "UNKNOWN": _always(None),
        **dict.fromkeys(
            (
                "INVALID",
                "INVALID_MESSAGE",
                "UNREACHABLE",
                "CARRIER_UNREACHABLE",
                "BLOCKED",
                "CARRIER_BLOCKED",
                "PROTECT_BLOCKED",
                "SPAM",
                "TTL_EXPIRED",
                "FAILED",
                "FILE_INACCESSIBLE",
                "FILE_TYPE_UNSUPPORTED",
                "FILE_SIZE_EXCEEDED",
            ),
            _when_final("undelivered"),
        ),
    }
)
"""What each event of ``pinpoint-sms-voice-v2`` comes to, by whether it is the last; ``None`` for nothing to tell."""

_RCS_STATUSES: Final[Mapping[str, Callable[[bool], Status | None]]] = MappingProxyType(
    {
        "PENDING": _always("sent"),
        "UNDELIVERABLE": _when_final("undelivered"),
        "REJECTED": _when_final("undelivered"),
        "TTL_EXPIRATION_REVOKED": _when_final("undelivered"),
        # It came too late to be taken back, and may be delivered yet.
        "TTL_EXPIRATION_REVOKE_FAILED": _always(None),
    }
)
"""What a ``messageStatus`` of RCS comes to, whatever its event is called: with ``RCS_DELIVERED`` "(and related RCS
status event types)" it may be ``DELIVERED`` or one of the first three (rcs-events.html). Any other leaves it to the
event.
"""

_ELSEWHERE: Final = frozenset({"FALLEN_BACK_TO_SMS"})
"""After this the message goes on by SMS, and its status is of the attempt by RCS."""
