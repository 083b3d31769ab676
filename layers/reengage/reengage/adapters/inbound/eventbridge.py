"""Events in (CONTRACT.md): one type a detail-type, read field by field, every error with its field's path."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from reengage.domain.contact import Contact, normalise_address, parse_brand, parse_channel
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import Duration, parse_instant, parse_zone
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, SubjectRef, version_of
from reengage.errors import InvalidEvent
from reengage.usecases.record_delivery import Receipt, Status

MAX_URL: Final = 2048
MAX_ID: Final = 512
"""Bytes: DynamoDB bounds a sort key to 1,024, and the id is one part of it."""


class _Checked(str):
    """Text that is checked, and brought to its one form, as it is read."""

    __slots__ = ()
    check: Callable[[str], str]


class Brand(_Checked):
    check = staticmethod(parse_brand)


class Channel(_Checked):
    check = staticmethod(parse_channel)


class Instant(_Checked):
    check = staticmethod(lambda text: parse_instant(text).isoformat())


class Zone(_Checked):
    check = staticmethod(lambda text: parse_zone(text).key)


class Ahead(_Checked):
    """A duration that counts backwards from what it is about, so it cannot be negative."""

    @staticmethod
    def check(text: str) -> str:
        duration = Duration.parse(text)
        if duration.is_negative:
            raise ValueError("expected an ISO 8601 duration of zero or more, such as P1D")
        return str(duration)


class Offset(_Checked):
    check = staticmethod(lambda text: str(Duration.parse(text)))


class Url(_Checked):
    @staticmethod
    def check(text: str) -> str:
        if not text.startswith(("https://", "http://")) or any(c.isspace() for c in text) or len(text) > MAX_URL:
            raise ValueError(f"expected an http or https URL of at most {MAX_URL} characters, without spaces")
        return text


class Identifier(_Checked):
    @staticmethod
    def check(text: str) -> str:
        if not 0 < len(text.encode()) <= MAX_ID:
            raise ValueError(f"expected an id of 1 to {MAX_ID} bytes")
        return text


Locale = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", description="a locale, such as de-AT")]
Line = Annotated[str, Meta(min_length=1, max_length=500)]
Localised = Line | Annotated[dict[Locale, Line], Meta(min_length=1, max_length=20)]
"""What a person will read: one text for all, or one for each locale."""

Optional = UnsetType


class ContactFields(Struct):
    brand: Brand
    channel: Channel
    address: str


class MessageReceived(Struct):
    contact: ContactFields
    message_id: Identifier
    sent_at: Instant
    text: Annotated[str, Meta(max_length=65_536)]
    locale: Locale | Optional = UNSET
    timezone: Zone | Optional = UNSET
    display_name: Line | Optional = UNSET


class DeliveryReported(Struct):
    contact: ContactFields
    scheduled_message_id: Identifier
    status: Status
    provider_message_id: Identifier | Optional = UNSET
    error: str | Optional = UNSET
    occurred_at: Instant | Optional = UNSET


class _Business(Struct):
    """Each has the contact, or, where that is not known, the brand."""

    contact: ContactFields | Optional = UNSET
    brand: Brand | Optional = UNSET
    occurred_at: Instant | Optional = UNSET


class AppointmentBooked(_Business, kw_only=True):
    appointment_id: Identifier
    starts_at: Instant
    timezone: Zone | Optional = UNSET
    service: Localised | Optional = UNSET
    location: Localised | Optional = UNSET
    remind_before: Annotated[list[Ahead], Meta(max_length=10)] | Optional = UNSET
    check_in_url: Url | Optional = UNSET
    check_in_before: Ahead | Optional = UNSET


class AppointmentCancelled(_Business, kw_only=True):
    appointment_id: Identifier


class TrialStarted(_Business, kw_only=True):
    trial_id: Identifier
    product: Localised
    ends_at: Instant
    timezone: Zone | Optional = UNSET
    upgrade_url: Url | Optional = UNSET
    follow_up: Annotated[list[Offset], Meta(max_length=10)] | Optional = UNSET


class TrialConverted(_Business, kw_only=True):
    trial_id: Identifier


BUSINESS_EVENTS: Final[Mapping[str, type[_Business]]] = {
    "AppointmentBooked": AppointmentBooked,
    "AppointmentRescheduled": AppointmentBooked,
    "AppointmentCancelled": AppointmentCancelled,
    "TrialStarted": TrialStarted,
    "TrialExtended": TrialStarted,
    "TrialConverted": TrialConverted,
    "TrialCancelled": TrialConverted,
}

# An event cannot have happened later than it was sent; envelopes carry whole seconds.
_CLOCK_GRAIN: Final = timedelta(seconds=1)


def inbound_message(event: Any) -> InboundMessage:
    """A ``MessageReceived`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = _detail(event, {"MessageReceived": MessageReceived})
    assert isinstance(detail, MessageReceived)
    return InboundMessage(
        contact=_contact(detail.contact),
        message_id=detail.message_id,
        sent_at=parse_instant(detail.sent_at),
        arrived_at=parse_instant(event["time"]),
        text=detail.text,
        locale=_given(detail.locale),
        timezone=_given(detail.timezone),
        display_name=_given(detail.display_name),
    )


def business_event(event: Any) -> BusinessEvent:
    """One of ``BUSINESS_EVENTS``. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = _detail(event, BUSINESS_EVENTS)
    assert isinstance(detail, _Business)
    contact = _contact(detail.contact) if detail.contact else None
    if contact and detail.brand and detail.brand != contact.brand:
        raise InvalidEvent([f"$.detail.brand: expected {contact.brand}, as the contact has it, or nothing"])
    brand = contact.brand if contact else _given(detail.brand)
    if brand is None:
        raise InvalidEvent(["$.detail.contact: is required; where it is not known, give $.detail.brand"])
    terms = EVENT_TYPES[event["detail-type"]]
    names = {field.name for field in msgspec.structs.fields(type(detail))}
    apart = {"contact", "brand", "occurred_at", terms.id_field}
    fields = {name: value for name in sorted(names - apart) if (value := getattr(detail, name)) is not UNSET}
    return BusinessEvent(
        type=event["detail-type"],
        subject=SubjectRef(brand, terms.kind, getattr(detail, terms.id_field)),
        version=version_of(_occurred_at(event, detail.occurred_at), terms.rank),
        arrived_at=parse_instant(event["time"]),
        contact=contact,
        fields=fields,
    )


def receipt(event: Any) -> Receipt:
    """A ``DeliveryReported`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = _detail(event, {"DeliveryReported": DeliveryReported})
    assert isinstance(detail, DeliveryReported)
    return Receipt(
        contact=_contact(detail.contact),
        scheduled_message_id=detail.scheduled_message_id,
        status=detail.status,
        at=_occurred_at(event, detail.occurred_at),
        provider_message_id=_given(detail.provider_message_id),
        error=_given(detail.error),
    )


def _occurred_at(event: Mapping[str, Any], occurred_at: str | UnsetType) -> datetime:
    sent = parse_instant(event["time"])
    return min(parse_instant(occurred_at), sent + _CLOCK_GRAIN) if occurred_at else sent


def _contact(fields: ContactFields) -> Contact:
    return Contact(fields.brand, fields.channel, fields.address)


def _given[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _detail(event: Any, types: Mapping[str, type[Struct]]) -> Struct:
    """The event's detail in the type that its detail-type names."""
    if not isinstance(event, dict):
        raise InvalidEvent(["$: expected an EventBridge event, a JSON object"])
    errors: list[str] = []
    _read(event.get("time"), Instant, "$.time", errors)
    name = event.get("detail-type")
    wanted = types.get(name) if isinstance(name, str) else None
    if wanted is None:
        errors.append(f"$.detail-type: expected one of {', '.join(types)}")
        raise InvalidEvent(errors)
    detail = _read(event.get("detail"), wanted, "$.detail", errors)
    if errors:
        raise InvalidEvent(errors)
    assert isinstance(detail, Struct)
    return detail


def _read(value: Any, wanted: Any, path: str, errors: list[str]) -> Any:
    """``value`` as ``wanted``; what is wrong goes to ``errors``, each with its path. msgspec stops at the first."""
    if wanted is ContactFields:
        return _read_contact(value, path, errors)
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return _read_fields(value, wanted, path, errors)
    if get_origin(wanted) is Literal and value not in get_args(wanted):
        # msgspec would quote the value, which may be anything, and errors are logged.
        errors.append(f"{path}: expected one of {', '.join(get_args(wanted))}")
        return None
    try:
        json.dumps(value, ensure_ascii=False).encode()
        return msgspec.convert(value, wanted, dec_hook=_check)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON lets it through, and no database takes it
        errors.append(f"{path}: expected valid Unicode")
    except msgspec.ValidationError as error:
        errors.append(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}")
    return None


def _read_fields[T: Struct](value: Any, wanted: type[T], path: str, errors: list[str]) -> T | None:
    if not isinstance(value, dict):
        errors.append(f"{path}: expected an object")
        return None
    found = len(errors)
    read: dict[str, Any] = {}
    for field in msgspec.structs.fields(wanted):
        given = value.get(field.name)
        if given is not None:  # many systems write null for what they leave out
            read[field.name] = _read(given, _required(field.type), f"{path}.{field.name}", errors)
        elif field.required:
            errors.append(f"{path}.{field.name}: is required")
    return wanted(**read) if len(errors) == found else None


def _read_contact(value: Any, path: str, errors: list[str]) -> ContactFields | None:
    """With the address in its normal form, which depends on the channel."""
    fields = _read_fields(value, ContactFields, path, errors)
    if fields is None:
        return None
    try:
        return msgspec.structs.replace(fields, address=normalise_address(fields.channel, fields.address))
    except ValueError as error:
        errors.append(f"{path}.address: {error}")
        return None


def _required(wanted: Any) -> Any:
    """The type without its "or left out"."""
    parts = [part for part in get_args(wanted) if part is not UnsetType]
    if UnsetType not in get_args(wanted) or get_origin(wanted) in (Annotated, Literal):
        return wanted
    union = parts[0]
    for part in parts[1:]:
        union = union | part
    return union


def _check(wanted: type, value: Any) -> Any:
    """Msgspec asks here for what it does not know: our checked texts."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    assert issubclass(wanted, _Checked)
    return wanted(wanted.check(value))
