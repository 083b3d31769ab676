"""Parse what AWS End User Messaging publishes to SNS: messages by SMS, RCS and WhatsApp, and receipts.

Shapes, under docs.aws.amazon.com:

- sms-voice/latest/userguide/two-way-sms-payload.html and rcs-inbound.html: messages, by SNS's time.
- sms-voice/latest/userguide/rcs-events.html and rcs-inbound-media.html: what else ``messageBody`` can be.
- sms-voice/latest/userguide/configuration-sets-event-format.html and configuration-sets-event-types.html: receipts.
  ``context`` is what the message was sent with.
- social-messaging/latest/userguide/managing-event-destination-dlrs.html: WhatsApp, one entry of Meta as text.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.domain.commands import RecordDelivery, Status
from reengage.domain.contact import CHANNELS, parse_brand
from reengage.domain.conversation import InboundMessage
from reengage.domain.events_out import OutEvent
from reengage.domain.instants import iso
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .meta import ParseContext, parse_entry
from .parsing import (
    CallParser,
    Parsed,
    ParsedCall,
    ParseError,
    button_request,
    find_brand,
    from_iso,
    from_milliseconds,
    get,
    get_id,
    get_optional_id,
    get_own_message_id,
    get_payload,
    get_text,
    get_word,
    has_no_reply_address,
    log_label,
    media_kind,
    parse_contact,
    parse_json,
    with_plus,
)
from .relay import SOURCE, Relay, to_bus_events

PROVIDER: Final = "aws"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Notification:
    """``published_at`` is SNS's time."""

    message: Any
    published_at: datetime
    arrived_at: datetime
    routes: Routes


class _Content(NamedTuple):
    """``request`` is known from other fields than the text."""

    kind: str
    text: str = ""
    request: Request | None = None
    payload: str | None = None


def parse_sns(event: Any, *, routes: Routes, arrived_at: datetime) -> ParsedCall:
    """Parse an event of SNS for Lambda: ``Records[].Sns`` with ``Message``, as JSON, and ``Timestamp``."""
    parser = CallParser()
    if not isinstance(get(event, "Records"), list):
        parser.add_error("$.Records: expected a list")
    else:
        for path, record in parser.items(event, "Records", "$"):
            _parse_record(record, f"{path}.Sns", parser, routes, arrived_at)
    return parser.result()


def handle_sns(event: Any, *, routes: Routes, arrived_at: datetime, relay: Relay) -> dict[str, int]:
    """Publish what AWS published to SNS; return how much of each kind it was."""
    parsed = parse_sns(event, routes=routes, arrived_at=arrived_at)
    relay(event, to_bus_events(parsed), parsed.errors)
    return {
        "messages": len(parsed.messages),
        "receipts": len(parsed.receipts),
        "choices": len(parsed.choices),
        "ignored": parsed.ignored,
        "rejected": len(parsed.errors),
    }


def record_sns(
    event: Any, *, routes: Routes, arrived_at: datetime, relay: Relay, record: Callable[[Any], Mapping[str, Any]]
) -> dict[str, int]:
    """Record the receipts that AWS published to SNS; publish the rest, as ``handle_sns`` does.

    ``record`` takes a receipt as the event that ``handle_sns`` would publish. SNS's id of the notification is the id of
    that event: it stays the same if the notification is delivered again. A receipt may fail, so it comes after what may
    be a STOP. A receipt that fails goes to the bus under its id: a retry of the notification would publish the others
    again. Return how many receipts there were, how many had each result, and how much else there was. Raises the first
    error of the bus or the queue, after all else is done.
    """
    counts, positions, errors = Counter(receipts=0), count(), list[Exception]()

    def attempt(notification: Any, events: Sequence[OutEvent], wrong: Sequence[str] = ()) -> None:
        try:
            relay(notification, events, wrong)
        except Exception as error:  # noqa: BLE001 - the other records must not wait for it; it is raised at the end
            errors.append(error)

    for each in _single_records(event):
        parsed = parse_sns(each, routes=routes, arrived_at=arrived_at)
        if rest := to_bus_events(replace(parsed, receipts=[])):
            attempt(each, rest)
        receipts = to_bus_events(ParsedCall(receipts=parsed.receipts))
        failed = _record_receipts(
            (_as_delivered(one, each["Records"][0], next(positions)) for one in receipts), record, counts
        )
        if failed:
            attempt(each, failed)
        if parsed.errors:
            attempt(each, (), parsed.errors)
        counts.update({"published": len(rest), "ignored": parsed.ignored, "rejected": len(parsed.errors)})
    if errors:
        raise errors[0]
    return {name: number for name, number in counts.items() if number or name == "receipts"}


def _record_receipts(
    receipts: Iterable[Mapping[str, Any]], record: Callable[[Any], Mapping[str, Any]], counts: Counter[str]
) -> list[OutEvent]:
    """Record each receipt and count its result; return those that failed, as events to put on the bus."""
    failed: list[OutEvent] = []
    for receipt in receipts:
        try:
            result = record(receipt).get("result", "rejected")
        except Exception as error:  # noqa: BLE001 - the bus delivers this receipt alone again
            _log.warning("a receipt failed, and is put on the bus: %s", type(error).__name__)
            failed.append(_to_retry(receipt))
        else:
            counts.update({"receipts": 1, str(result): 1})
    counts["retried"] += len(failed)
    return failed


def _single_records(event: Any) -> list[Any]:
    """Return an event for each record: each has an id and a time of its own. Lambda gets one at a time."""
    records = get(event, "Records")
    return [{"Records": [record]} for record in records] if isinstance(records, list) and records else [event]


def _as_delivered(receipt: OutEvent, record: Any, position: int) -> dict[str, Any]:
    """Return the event of a receipt as the bus would deliver it; each of one notification has an id of its own."""
    message_id = get(record, "Sns", "MessageId")
    prefix = f"{position}-" if position else ""
    return {
        "id": f"{prefix}{message_id}" if isinstance(message_id, str) else "",
        "source": SOURCE,
        "detail-type": receipt.type,
        "time": iso(from_iso(get(record, "Sns", "Timestamp"))),
        "detail": dict(receipt.detail),
    }


def _to_retry(delivered: Mapping[str, Any]) -> OutEvent:
    """Return the event with its id: then it is no other event, which would count as the provider's repeat."""
    own_id = {"event_id": delivered["id"]} if delivered["id"] else {}
    return OutEvent(delivered["detail-type"], delivered["detail"] | own_id)


def _parse_record(record: Any, path: str, parser: CallParser, routes: Routes, arrived_at: datetime) -> None:
    try:
        message = parse_json(get(record, "Sns", "Message"))
        published_at = from_iso(get(record, "Sns", "Timestamp"))
        entry = parse_json(get(message, "whatsAppWebhookEntry")) if get(message, "whatsAppWebhookEntry") else None
    except ParseError as error:
        parser.add_error(f"{path}: {error}")
        return
    if entry is not None:
        context = ParseContext(routes, arrived_at, PROVIDER, partial(_aliases, message))
        parse_entry(entry, f"{path}.Message.whatsAppWebhookEntry", parser, context)
        return
    notification = _Notification(message, published_at, arrived_at, routes)
    parser.parse(f"{path}.Message", partial(_parse, notification))


def _parse(notification: _Notification) -> Iterable[Parsed]:
    if get(notification.message, "eventType") is not None:
        return _parse_receipt(notification)
    if get(notification.message, "inboundMessageId") is not None:
        return _parse_message(notification)
    raise ParseError("expected a message, a receipt or an entry of WhatsApp")


def _aliases(message: Any, number: Any) -> Iterator[Any]:
    """Return AWS's names for Meta's phone number: its ARN, and the id in it as the API takes it."""
    numbers = get(message, "context", "MetaPhoneNumberIds")
    for item in numbers if isinstance(numbers, list) else ():
        arn = get(item, "arn")
        if get(item, "metaPhoneNumberId") == number and isinstance(arn, str):
            yield arn
            yield f"phone-number-id-{arn.rpartition('/')[2]}"


# Messages


def _parse_message(notification: _Notification) -> Iterator[Parsed]:
    """Parse a message. It came by RCS if it was sent to an agent; then the body may be JSON with more than text."""
    message = notification.message
    sender, receiver = get(message, "originationNumber"), get(message, "destinationNumber")
    if isinstance(sender, str) and has_no_reply_address(sender):
        return
    channel = "rcs" if isinstance(receiver, str) and receiver.startswith("rcs-") else "sms"
    body = get_text(message, "messageBody")
    content = _rcs_content(body) if channel == "rcs" else _Content("text", body)
    if content.kind in _IGNORED_KINDS:
        return
    brand = find_brand(notification.routes, PROVIDER, channel, receiver)
    yield InboundMessage(
        contact=parse_contact(brand, channel, with_plus(sender)),
        message_id=get_id(message, "inboundMessageId"),
        sent_at=notification.published_at,
        arrived_at=notification.arrived_at,
        text=content.text,
        kind=content.kind,
        asks=content.request,
        quoted_message_id=get_optional_id(message, "previousPublishedMessageId"),
        payload=content.payload,
    )


def _rcs_content(body: str) -> _Content:
    """Return the content of an RCS message. JSON of no known type is what the person typed.

    Raises ``ParseError`` for an unknown type of AWS's own.
    """
    try:
        found = parse_json(body)
    except ParseError:
        return _Content("text", body)
    if isinstance(get(found, "mediaStatus"), str):
        return _Content(media_kind(get_text(found, "mimeType")))
    name = get(found, "type")
    if isinstance(name, str) and name in _RCS_KINDS:
        kind, payload = _RCS_KINDS[name], get_payload(found, "postbackData")
        request = Request.STOP if kind == "unsubscribe" else button_request(get_text(found, "postbackData"))
        return _Content(kind, get_text(found, "text"), request, payload)
    if isinstance(name, str) and name.startswith("RCS_"):
        raise ParseError("messageBody: expected a known type of event")
    return _Content("text", body)


_RCS_KINDS: Final = MappingProxyType(
    {
        "SUGGESTION": "button",
        "LOCATION": "location",
        "UNSUBSCRIBE": "unsubscribe",
        "RCS_TYPING": "typing",
        "CONVERSATION_STARTED": "pricing",
    }
)
_IGNORED_KINDS: Final = frozenset({"typing", "pricing"})


# Receipts


def _parse_receipt(notification: _Notification) -> Iterator[Parsed]:
    """Parse a receipt such as ``TEXT_DELIVERED`` or ``RCS_READ``. For RCS, ``messageStatus`` is more exact.

    A message can be sent by another channel than planned: RCS falls back to SMS, and a pool picks a number. So the
    context names ``brand`` and ``channel`` beside the ``scheduled_message_id``. Without it, another system sent it.
    """
    message, context = notification.message, get(notification.message, "context")
    sent_by, _, event = get_word(message, "eventType").partition("_")
    scheduled_message_id = get_own_message_id(context, "scheduled_message_id")
    if scheduled_message_id is None or sent_by not in _CHANNELS:
        return
    if event not in _STATUSES:
        raise ParseError("eventType: expected a known one")
    by_status = _RCS_STATUSES.get(get_text(message, "messageStatus"))
    outcome = by_status if by_status and sent_by == "RCS" and event not in _FALLBACKS else _STATUSES[event]
    status = outcome(get(message, "isFinal") is not False)
    if status is None:
        return
    planned = get(context, "channel")
    channel = planned if isinstance(planned, str) and planned in CHANNELS else _CHANNELS[sent_by]
    label = log_label(get(message, "eventType"), get(message, "messageStatus"))
    yield RecordDelivery(
        contact=parse_contact(
            _brand(notification, channel), channel, with_plus(get(message, "destinationPhoneNumber"))
        ),
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=from_milliseconds(get(message, "eventTimestamp")),
        provider_message_id=get_id(message, "messageId"),
        error=label if status == "undelivered" else None,
    )


def _brand(notification: _Notification, channel: str) -> str:
    brand = get(notification.message, "context", "brand")
    if isinstance(brand, str):
        try:
            return parse_brand(brand)
        except ValueError as error:
            raise ParseError("context.brand: expected a brand") from error
    return find_brand(notification.routes, PROVIDER, channel, get(notification.message, "originationPhoneNumber"))


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
        # Accepted by the carrier. In some countries there is no later event, and then it is final.
        "SUCCESSFUL": _when_final("delivered", until="sent"),
        "DELIVERED": _always("delivered"),
        "READ": _always("delivered"),
        "FALLEN_BACK_TO_SMS": _always("sent"),
        # The carrier reported nothing for 72 hours: the outcome is unknown.
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
"""The status of each event of ``pinpoint-sms-voice-v2``, by whether it is final. ``None``: no status."""

_RCS_STATUSES: Final[Mapping[str, Callable[[bool], Status | None]]] = MappingProxyType(
    {
        "PENDING": _always("sent"),
        "UNDELIVERABLE": _when_final("undelivered"),
        "REJECTED": _when_final("undelivered"),
        "TTL_EXPIRATION_REVOKED": _when_final("undelivered"),
        # It was too late to take the message back, so it may still be delivered.
        "TTL_EXPIRATION_REVOKE_FAILED": _always(None),
    }
)
"""The status of a ``messageStatus`` of RCS, whatever its event is: with ``RCS_DELIVERED`` it may be ``DELIVERED`` or
one of the first three (rcs-events.html). For any other, the event decides.
"""

_FALLBACKS: Final = frozenset({"FALLEN_BACK_TO_SMS"})
"""After this event the message continues by SMS; ``messageStatus`` is that of the attempt by RCS."""
