"""Events in (events/README.md): one type a detail-type, read field by field, every error with its field's path."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from reengage.domain.contact import Contact, has_control_characters, normalise_address, parse_brand, parse_channel
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import EARLIEST, LATEST, Duration, parse_instant, parse_zone
from reengage.domain.preferences import Choice, RecordChoice, Topic
from reengage.domain.requests import Request
from reengage.domain.subject import (
    EVENT_TYPES,
    OF_ONE_CONTACT,
    OF_THE_BRAND,
    BusinessEvent,
    EventEffect,
    SubjectRef,
    version_of,
)
from reengage.errors import InvalidEvent
from reengage.usecases.configure_brand import ConfigureBrand
from reengage.usecases.erase_contact import EraseContact
from reengage.usecases.record_delivery import RecordDelivery, Status

MAX_URL: Final = 2048
MAX_CAUSE: Final = 4096
MAX_ITEMS: Final = 16_384
"""Bytes of JSON: the cart is kept in its subject's row."""

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


class Day(_Checked):
    @staticmethod
    def check(text: str) -> str:
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("expected a day, such as 2026-12-24") from error
        # Its end is an instant, too.
        if not EARLIEST.date() <= day < LATEST.date():
            raise ValueError(f"expected a day between the years {EARLIEST.year} and {LATEST.year}")
        return day.isoformat()


class Opening(_Checked):
    """A time on the wall clock of the place."""

    @staticmethod
    def check(text: str) -> str:
        try:
            read = time.fromisoformat(text)
        except ValueError:
            read = None
        if read is None or read.tzinfo or read.second or read.microsecond:
            raise ValueError("expected a time of the day in whole minutes, such as 09:30")
        return read.isoformat("minutes")


class Identifier(_Checked):
    @staticmethod
    def check(text: str) -> str:
        if not 0 < len(text.encode()) <= MAX_ID or has_control_characters(text):
            raise ValueError(f"expected an id of 1 to {MAX_ID} bytes, without control characters")
        return text


class Asks(_Checked):
    """A request, in any case and with blanks around it."""

    check = staticmethod(lambda text: Request.parse(text).value)


Document = dict[str, Any]
"""Whatever a business notes: kept as it is, within bounds."""

Locale = Annotated[
    str, Meta(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z", max_length=35, description="a locale, such as de-AT")
]
Line = Annotated[str, Meta(min_length=1, max_length=500)]
Kind = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,39}\Z", description="a kind of message, such as image")]
Payload = Annotated[str, Meta(min_length=1, max_length=2048)]
"""The data of a button. RCS for Business allows the most: 2,048 characters."""

Localised = Line | Annotated[dict[Locale, Line], Meta(min_length=1, max_length=20)]
"""What a person will read: one text for all, or one for each locale."""

Items = Annotated[list[Line | Document], Meta(max_length=100)]
"""What is in a cart: names, or objects with a ``name``."""

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
    kind: Kind | Optional = UNSET
    asks: Asks | Optional = UNSET
    quoted_message_id: Identifier | Optional = UNSET
    payload: Payload | Optional = UNSET


class DeliveryReported(Struct):
    contact: ContactFields
    scheduled_message_id: Identifier
    status: Status
    provider_message_id: Identifier | Optional = UNSET
    error: str | Optional = UNSET
    occurred_at: Instant | Optional = UNSET
    event_id: Identifier | Optional = UNSET


class ContactErased(Struct):
    contact: ContactFields
    occurred_at: Instant | Optional = UNSET


Cause = str | Document


class Evidence(Struct):
    """Where, when and by which wording somebody agreed: ``whole`` is kept as it is, and ``when`` counts."""

    whole: Document
    when: Instant | Optional = UNSET


class ContactOptedOut(ContactErased, kw_only=True):
    cause: Cause | Optional = UNSET


class ContactOptedIn(ContactErased, kw_only=True):
    evidence: Evidence
    cause: Cause | Optional = UNSET


class ConsentChanged(ContactErased, kw_only=True):
    marketing: bool
    evidence: Evidence | Optional = UNSET


class BrandConfigured(Struct, kw_only=True):
    name: Localised
    brand: Brand | Optional = UNSET
    contact: ContactFields | Optional = UNSET
    timezone: Zone | Optional = UNSET
    locale: Locale | Optional = UNSET
    help_text: Localised | Optional = UNSET
    stop_text: Localised | Optional = UNSET
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


class ProductAddedToCart(_Business, kw_only=True):
    product_id: Identifier


class ProductViewed(ProductAddedToCart, kw_only=True):
    name: Localised
    url: Url | Optional = UNSET


class CartCheckedOut(_Business, kw_only=True):
    cart_id: Identifier


class CartAbandoned(CartCheckedOut, kw_only=True):
    items: Items
    cart_url: Url


class OrderReturned(_Business, kw_only=True):
    order_id: Identifier


class OrderShipped(OrderReturned, kw_only=True):
    carrier: Localised | Optional = UNSET
    tracking_url: Url | Optional = UNSET


class OrderDelivered(OrderReturned, kw_only=True):
    review_url: Url | Optional = UNSET


class ItemSoldOut(_Business, kw_only=True):
    item_id: Identifier


class ItemBackInStock(ItemSoldOut, kw_only=True):
    name: Localised
    url: Url | Optional = UNSET


class AnnouncementWithdrawn(_Business, kw_only=True):
    announcement_id: Identifier


class ProductPreviewAnnounced(AnnouncementWithdrawn, kw_only=True):
    title: Localised
    send_at: Instant
    url: Url | Optional = UNSET


class HolidayHoursAnnounced(AnnouncementWithdrawn, kw_only=True):
    """Open from ``opens`` to ``closes`` on ``date``, by the clocks of ``timezone``; or ``closed``."""

    date: Day
    send_at: Instant
    opens: Opening | Optional = UNSET
    closes: Opening | Optional = UNSET
    closed: bool | Optional = UNSET
    timezone: Zone | Optional = UNSET


BUSINESS_EVENTS: Final[Mapping[str, type[_Business]]] = {
    "AppointmentBooked": AppointmentBooked,
    "AppointmentRescheduled": AppointmentBooked,
    "AppointmentCancelled": AppointmentCancelled,
    "TrialStarted": TrialStarted,
    "TrialExtended": TrialStarted,
    "TrialConverted": TrialConverted,
    "TrialCancelled": TrialConverted,
    "CheckInCompleted": AppointmentCancelled,
    "ProductViewed": ProductViewed,
    "ProductAddedToCart": ProductAddedToCart,
    "CartAbandoned": CartAbandoned,
    "CartCheckedOut": CartCheckedOut,
    "OrderShipped": OrderShipped,
    "OrderDelivered": OrderDelivered,
    "ReviewReceived": OrderReturned,
    "OrderReturned": OrderReturned,
    "InterestShown": ItemSoldOut,
    "InterestWithdrawn": ItemSoldOut,
    "ItemBackInStock": ItemBackInStock,
    "ItemSoldOut": ItemSoldOut,
    "ProductPreviewAnnounced": ProductPreviewAnnounced,
    "HolidayHoursAnnounced": HolidayHoursAnnounced,
    "AnnouncementWithdrawn": AnnouncementWithdrawn,
}

EVENT_SCHEMAS: Final[Mapping[str, type[Struct]]] = {
    **BUSINESS_EVENTS,
    "BrandConfigured": BrandConfigured,
    "ConsentChanged": ConsentChanged,
    "ContactOptedOut": ContactOptedOut,
    "ContactOptedIn": ContactOptedIn,
    "ContactErased": ContactErased,
}

MAX_BYTES: Final[Mapping[Any, int]] = {Cause: MAX_CAUSE, Document: MAX_CAUSE, Items: MAX_ITEMS}
"""Of JSON, for what is kept as it comes."""

_log = logging.getLogger(__name__)

# An event cannot have happened later than it was sent; envelopes carry whole seconds.
_CLOCK_GRAIN: Final = timedelta(seconds=1)


def inbound_message(event: Any) -> InboundMessage:
    """A ``MessageReceived`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = _detail(event, {"MessageReceived": MessageReceived})
    assert isinstance(detail, MessageReceived)
    return InboundMessage(
        contact=_contact(detail.contact),
        message_id=str(detail.message_id),
        sent_at=parse_instant(detail.sent_at),
        arrived_at=parse_instant(event["time"]),
        text=detail.text,
        locale=_given(detail.locale),
        timezone=_given(detail.timezone),
        display_name=_given(detail.display_name),
        kind=_given(detail.kind) or "text",
        asks=Request(detail.asks) if detail.asks else None,
        quoted_message_id=_given(detail.quoted_message_id),
        payload=_given(detail.payload),
    )


Command = BusinessEvent | RecordChoice | ConfigureBrand | EraseContact
"""What a business system may say, beside what a person wrote and what became of a message."""


def parse_business_event(event: Any) -> Command:
    """An event of any detail-type that a business system may send. Raises ``InvalidEvent`` with all that is wrong."""
    detail = _detail(event, EVENT_SCHEMAS)
    match detail:
        case _Business():
            return _business_event(event, detail)
        case BrandConfigured():
            return _configure_brand(event, detail)
        case ContactOptedIn() | ContactOptedOut() | ConsentChanged():
            return _record_choice(event, detail)
        case ContactErased():
            return EraseContact(_contact(detail.contact), parse_instant(event["time"]))
        case _:
            raise AssertionError(type(detail))


def _business_event(event: Mapping[str, Any], detail: _Business) -> BusinessEvent:
    brand, contact = _brand_and_contact(detail)
    terms = EVENT_TYPES[event["detail-type"]]
    if terms.kind in OF_ONE_CONTACT and contact is None:
        raise InvalidEvent(["$.detail.contact: is required: every contact has this of its own"])
    if isinstance(detail, HolidayHoursAnnounced):
        detail = _hours(detail)
    occurred_at = _occurred_at(event, detail.occurred_at)
    happened = {terms.at: occurred_at.isoformat()} if terms.at else {}
    subject_id = str(getattr(detail, terms.id_field))
    return BusinessEvent(
        type=event["detail-type"],
        subject=SubjectRef(brand, terms.kind, subject_id, contact if terms.kind in OF_ONE_CONTACT else None),
        version=version_of(occurred_at, terms.rank),
        arrived_at=parse_instant(event["time"]),
        contact=None if terms.kind in OF_THE_BRAND else contact,
        fields=_fields(detail, apart=frozenset({terms.id_field})) | happened,
    )


def _hours(detail: HolidayHoursAnnounced) -> HolidayHoursAnnounced:
    """Closed all day, or open from one time to another: the newer event's word alone holds."""
    if detail.closed is True:
        if detail.opens or detail.closes:
            raise InvalidEvent(["$.detail.closed: expected opens with closes, or closed: true, and not both"])
        return detail
    missing = [name for name in ("opens", "closes") if getattr(detail, name) is UNSET]
    if missing:
        raise InvalidEvent([f"$.detail.{name}: is required, unless closed is true" for name in missing])
    return msgspec.structs.replace(detail, closed=False)


def _configure_brand(event: Mapping[str, Any], detail: BrandConfigured) -> ConfigureBrand:
    brand, _ = _brand_and_contact(detail)
    version = version_of(_occurred_at(event, detail.occurred_at), EventEffect.CHANGE)
    return ConfigureBrand(brand, version, _fields(detail))


def _record_choice(event: Mapping[str, Any], detail: ContactOptedIn | ContactOptedOut | ConsentChanged) -> RecordChoice:
    """An opt-in counts from when the person agreed, so that it undoes only what they said before."""
    at = _occurred_at(event, detail.occurred_at)
    evidence = None if isinstance(detail, ContactOptedOut) else _given(detail.evidence)
    allowed = detail.marketing if isinstance(detail, ConsentChanged) else isinstance(detail, ContactOptedIn)
    if allowed and evidence is None:
        raise InvalidEvent(["$.detail.evidence: is required for a consent: where, when and by which wording"])
    if evidence and evidence.when:
        at = min(at, parse_instant(evidence.when))
    elif allowed:
        raise InvalidEvent(["$.detail.evidence.when: is required for a consent"])
    cause = None if isinstance(detail, ConsentChanged) else _given(detail.cause)
    cause = {"evidence": evidence.whole, **({"cause": cause} if cause else {})} if evidence else cause
    topic: Topic = "marketing" if isinstance(detail, ConsentChanged) else "contact"
    return RecordChoice(_contact(detail.contact), topic, Choice(allowed, at, cause))


def _brand_and_contact(detail: _Business | BrandConfigured) -> tuple[str, Contact | None]:
    """The contact, where it is known, and the brand in any case."""
    contact = _contact(detail.contact) if detail.contact else None
    if contact and detail.brand and detail.brand != contact.brand:
        raise InvalidEvent([f"$.detail.brand: expected {contact.brand}, as the contact has it, or nothing"])
    brand: str | None = contact.brand if contact else _given(detail.brand)
    if brand is None:
        raise InvalidEvent(["$.detail.contact: is required; where it is not known, give $.detail.brand"])
    return brand, contact


def _fields(detail: Struct, apart: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the event gave of its own, beside whose it is, when it happened, and ``apart``."""
    names = {field.name for field in msgspec.structs.fields(type(detail))} - apart - {"contact", "brand", "occurred_at"}
    return {name: _plain(value) for name in sorted(names) if (value := getattr(detail, name)) is not UNSET}


def contact_at(value: Any, path: str) -> Contact:
    """A contact, its address in its normal form. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = _read_contact(value, path, errors)
    if fields is None:
        raise InvalidEvent(errors)
    return _contact(fields)


class BroadcastFields(Struct):
    brand: Brand
    announcement_id: Identifier | Optional = UNSET
    item_id: Identifier | Optional = UNSET


def broadcast_at(value: Any, path: str) -> SubjectRef:
    """What a broadcast is about, by its brand and one id. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = _read_fields(value, BroadcastFields, path, errors)
    if fields is None:
        raise InvalidEvent(errors)
    ids = {"announcement": fields.announcement_id, "item": fields.item_id}
    given = [(kind, str(subject_id)) for kind, subject_id in ids.items() if subject_id]
    if len(given) != 1:
        raise InvalidEvent([f"{path}: expected one of announcement_id, item_id"])
    return SubjectRef(str(fields.brand), *given[0])


def receipt(event: Any) -> RecordDelivery:
    """A ``DeliveryReported`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = _detail(event, {"DeliveryReported": DeliveryReported})
    assert isinstance(detail, DeliveryReported)
    return RecordDelivery(
        contact=_contact(detail.contact),
        scheduled_message_id=str(detail.scheduled_message_id),
        status=detail.status,
        at=_occurred_at(event, detail.occurred_at),
        provider_message_id=_given(detail.provider_message_id),
        error=_given(detail.error),
        event_id=_given(detail.event_id) or str(event.get("id") or ""),
    )


def _occurred_at(event: Mapping[str, Any], occurred_at: str | UnsetType) -> datetime:
    sent = parse_instant(event["time"])
    return min(parse_instant(occurred_at), sent + _CLOCK_GRAIN) if occurred_at else sent


def _contact(fields: ContactFields) -> Contact:
    return Contact(str(fields.brand), str(fields.channel), fields.address)


def _given[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else _plain(value)


def _plain(value: Any) -> Any:
    """Without our types of text, which have done their work, and which nobody behind this module knows."""
    match value:
        case str():
            return str(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case _:
            return value


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
    if wanted is Evidence:
        return _read_evidence(value, path, errors)
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return _read_fields(value, wanted, path, errors)
    if get_origin(wanted) is Literal and value not in get_args(wanted):
        # msgspec would quote the value, which may be anything, and errors are logged.
        errors.append(f"{path}: expected one of {', '.join(get_args(wanted))}")
        return None
    try:
        written = json.dumps(value, ensure_ascii=False).encode()
        read = msgspec.convert(value, wanted, dec_hook=_check)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON lets it through, and no database takes it
        errors.append(f"{path}: expected valid Unicode")
    except RecursionError:
        errors.append(f"{path}: expected fewer nested values")
    except msgspec.ValidationError as error:
        errors.append(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}")
    else:
        most = MAX_BYTES.get(wanted, len(written))
        if len(written) <= most:
            return read
        errors.append(f"{path}: expected at most {most} bytes of JSON")
    return None


def _read_fields[T: Struct](value: Any, wanted: type[T], path: str, errors: list[str]) -> T | None:
    if not isinstance(value, dict):
        errors.append(f"{path}: expected an object")
        return None
    found = len(errors)
    read: dict[str, Any] = {}
    for field in msgspec.structs.fields(wanted):
        given = value.get(field.name)
        if given is None:  # many systems write null for what they leave out
            errors += [f"{path}.{field.name}: is required"] if field.required else []
            continue
        wrong: list[str] = []
        read[field.name] = _read(given, _required(field.type), f"{path}.{field.name}", wrong)
        if wrong and wanted is MessageReceived and not field.required:
            # What the person wrote may be a STOP: it is not lost for a time zone that is none.
            _log.warning("left out: %s", "; ".join(wrong))
            del read[field.name]
            continue
        errors += wrong
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


def _read_evidence(value: Any, path: str, errors: list[str]) -> Evidence | None:
    """Of its fields only ``when`` is ours to check; a consent alone needs one."""
    found = len(errors)
    whole = _read(value, Document, path, errors) or {}
    given = whole.get("when")
    when = UNSET if given is None else _read(given, Instant, f"{path}.when", errors)
    return Evidence(whole, when) if len(errors) == found else None


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
