"""Decode the events in (events/README.md) into commands. A wrong event raises with every field that is wrong."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from reengage.domain import purchases
from reengage.domain.brand import Brand
from reengage.domain.commands import (
    BusinessEvent,
    Command,
    ConfigureBrand,
    EraseContact,
    InboundMessage,
    LinkContact,
    MoveContact,
    PauseSending,
    RecordAgentReply,
    RecordChoice,
    RecordDelivery,
    ResumeSending,
)
from reengage.domain.contact import Contact
from reengage.domain.instants import Duration, NamedDay, at_wall_clock, parse_instant, parse_zone
from reengage.domain.preferences import Choice, Topic
from reengage.domain.requests import Request
from reengage.domain.subject import (
    EVENT_TYPES,
    OF_ONE_CONTACT,
    OF_THE_BRAND,
    EventEffect,
    SubjectRef,
    version_of,
)
from reengage.domain.zones import zone_if_witness
from reengage.errors import InvalidEvent

from .decoding import decode_contact, decode_detail, decode_fields, fields_of, given, misspelled_fields, plain
from .event_types import (
    BUSINESS_EVENTS,
    EVENT_SCHEMAS,
    EVENTS_IN,
    AddressFields,
    AgentReplied,
    BrandConfigured,
    BroadcastFields,
    BusinessFields,
    ConsentChanged,
    ContactErased,
    ContactFields,
    ContactLinked,
    ContactMoved,
    ContactOptedIn,
    ContactOptedOut,
    DayFields,
    DeliveryReported,
    HolidayHoursAnnounced,
    MessageReceived,
    ProductPreviewAnnounced,
    PurchaseMade,
    SendingPaused,
    SendingResumed,
)
from .field_types import SHORTEST_OFFSET

# An event cannot have happened later than it was sent; envelopes carry whole seconds.
_CLOCK_GRAIN: Final = timedelta(seconds=1)

WESTERNMOST: Final = timezone(timedelta(hours=-12))
"""The last zone in which a day ends."""

COMMON_FIELDS: Final = frozenset({"contact", "brand", "occurred_at", "cleared"})
"""Names that are no fields of the subject or the brand."""


def inbound_message(event: Any) -> InboundMessage:
    """A ``MessageReceived`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = decode_detail(event, {"MessageReceived": MessageReceived})
    assert isinstance(detail, MessageReceived)
    return InboundMessage(
        contact=_contact(detail.contact),
        message_id=str(detail.message_id),
        sent_at=parse_instant(detail.sent_at),
        arrived_at=parse_instant(event["time"]),
        text=detail.text,
        locale=given(detail.locale),
        timezone=given(detail.timezone),
        display_name=given(detail.display_name),
        kind=given(detail.kind) or "text",
        asks=Request(detail.asks) if detail.asks else None,
        quoted_message_id=given(detail.quoted_message_id),
        payload=given(detail.payload),
    )


def parse_business_event(event: Any) -> Command:
    """Decode an event of any detail-type that a business system may send. Raises ``InvalidEvent`` with all errors."""
    detail = decode_detail(event, EVENT_SCHEMAS, names=EVENTS_IN)
    occurred_at = _occurred_at(event, getattr(detail, "occurred_at", UNSET))
    match detail:
        case BusinessFields():
            command: Command = _business_event(event, detail)
        case BrandConfigured():
            command = _configure_brand(detail, occurred_at)
        case ContactOptedIn() | ContactOptedOut() | ConsentChanged():
            command = _record_choice(detail, occurred_at)
        case SendingResumed():
            command = _pause_or_resume(detail, occurred_at)
        case AgentReplied():
            command = RecordAgentReply(_contact(detail.contact), occurred_at)
        case ContactLinked():
            command = LinkContact(*_two_addresses(detail.contact, detail.same_as, "same_as"), occurred_at)
        case ContactMoved():
            command = MoveContact(*_two_addresses(detail.contact, detail.to, "to"), occurred_at)
        case ContactErased():
            command = EraseContact(_contact(detail.contact), parse_instant(event["time"]))
        case _:
            raise AssertionError(type(detail))
    return command


def _business_event(event: Mapping[str, Any], detail: BusinessFields) -> BusinessEvent:
    brand, contact = _brand_and_contact(detail)
    terms = EVENT_TYPES[event["detail-type"]]
    if terms.kind in OF_ONE_CONTACT and contact is None:
        raise InvalidEvent(["$.detail.contact: is required: every contact has this of its own"])
    if isinstance(detail, HolidayHoursAnnounced):
        detail = _hours(detail)
    _check_offsets(detail)
    occurred_at = _occurred_at(event, detail.occurred_at)
    happened = {terms.at: occurred_at.isoformat()} if terms.at else {}
    if isinstance(detail, PurchaseMade):
        subject_id, fields = purchases.ID, purchases.purchase_fields(given(detail.product_ids))
    else:
        subject_id = str(getattr(detail, terms.id_field))
        cleared = _cleared(detail, clearable_fields(event["detail-type"]) or frozenset())
        fields = _fields(detail, apart=frozenset({terms.id_field})) | happened | cleared
    owner = contact or Contact(brand, "", "")
    return BusinessEvent(
        type=event["detail-type"],
        subject=SubjectRef.known_to(owner, terms.kind, subject_id),
        version=version_of(occurred_at, terms.rank, exact=_is_exact(detail.occurred_at, occurred_at)),
        arrived_at=parse_instant(event["time"]),
        contact=None if terms.kind in OF_THE_BRAND else contact,
        fields=fields,
    )


def _cleared(detail: BusinessFields | BrandConfigured, allowed: AbstractSet[str]) -> dict[str, None]:
    """Return the fields that the event clears. Raises ``InvalidEvent`` for one that cannot be cleared, or is given."""
    names = detail.cleared or []
    errors = [
        f"$.detail.cleared[{position}]: "
        + (f"expected one of {', '.join(sorted(allowed))}" if allowed else "this event has no field to clear")
        for position, name in enumerate(names)
        if name not in allowed
    ]
    errors += [
        f"$.detail.{name}: expected a value, or its name in cleared, and not both"
        for name in names
        if name in allowed and getattr(detail, name, UNSET) is not UNSET
    ]
    if errors:
        raise InvalidEvent(errors)
    return dict.fromkeys(names)


def clearable_fields(detail_type: str) -> frozenset[str] | None:
    """Return the fields that an event can clear: the optional ones of all events of its track, which share them.

    ``None`` if the event's ``cleared`` is not read. ``closed`` cannot be cleared: the event always has it.
    """
    if detail_type == "PurchaseMade":
        return None
    if detail_type == "BrandConfigured":
        return _optional_fields(BrandConfigured)
    track = EVENT_TYPES[detail_type].track
    schemas = {schema for name, schema in BUSINESS_EVENTS.items() if EVENT_TYPES[name].track == track}
    return frozenset(name for schema in schemas for name in _optional_fields(schema)) - {"closed"}


def _optional_fields(schema: type[Struct]) -> frozenset[str]:
    fields = {field.name for field in fields_of(schema) if not field.required}
    return frozenset(fields - COMMON_FIELDS)


def _check_offsets(detail: BusinessFields) -> None:
    """Reject messages that expire before the schedule can send them.

    Of two offsets within a minute, the earlier message is valid only until the later one is due.
    """
    for name in ("remind_before", "follow_up"):
        texts = getattr(detail, name, UNSET) or []
        offsets = list(enumerate(map(Duration.parse, texts)))
        exact = [(position, offset.exact) for position, offset in offsets if not offset.months and not offset.days]
        errors = [
            f"$.detail.{name}[{later}]: expected at least one minute between two offsets"
            for index, (later, length) in enumerate(exact)
            if any(timedelta() < abs(length - other) < SHORTEST_OFFSET for _, other in exact[:index])
        ]
        if errors:
            raise InvalidEvent(errors)
    if isinstance(detail, ProductPreviewAnnounced) and detail.valid_until:
        earliest = parse_instant(detail.send_at) + SHORTEST_OFFSET
        if parse_instant(detail.valid_until) < earliest:
            raise InvalidEvent(["$.detail.valid_until: expected an instant at least one minute after $.detail.send_at"])
    if isinstance(detail, HolidayHoursAnnounced):
        last = datetime.combine(date.fromisoformat(detail.date) + timedelta(days=1), time(), WESTERNMOST)
        if zone := zone_if_witness(given(detail.timezone)):
            last = at_wall_clock(last.replace(tzinfo=None), parse_zone(zone))
        if parse_instant(detail.send_at) >= last:
            raise InvalidEvent(["$.detail.send_at: expected an instant before the end of $.detail.date"])


def _hours(detail: HolidayHoursAnnounced) -> HolidayHoursAnnounced:
    """Return closed all day, or open from one time to another: only the newer event counts."""
    if detail.closed is True:
        if detail.opens or detail.closes:
            raise InvalidEvent(["$.detail.closed: expected opens with closes, or closed: true, and not both"])
        return detail
    missing = [name for name in ("opens", "closes") if getattr(detail, name) is UNSET]
    if missing:
        raise InvalidEvent([f"$.detail.{name}: is required, unless closed is true" for name in missing])
    return msgspec.structs.replace(detail, closed=False)


def _pause_or_resume(detail: SendingResumed, at: datetime) -> PauseSending | ResumeSending:
    brand, scope = given(detail.brand), given(detail.scope) or "all"
    if not isinstance(detail, SendingPaused):
        return ResumeSending(brand, scope, at)
    until = parse_instant(detail.until) if detail.until else None
    if until and until <= at:
        raise InvalidEvent(["$.detail.until: expected an instant after the pause began"])
    return PauseSending(brand, scope, at, given(detail.why), until)


def _two_addresses(fields: ContactFields, other: AddressFields, name: str) -> tuple[Contact, Contact]:
    """Return two addresses of one brand that are not the same."""
    contact = _contact(fields)
    second = Contact(contact.brand, str(other.channel), other.address)
    if second == contact:
        raise InvalidEvent([f"$.detail.{name}: expected another address than the contact's own"])
    return contact, second


def _configure_brand(detail: BrandConfigured, occurred_at: datetime) -> ConfigureBrand:
    brand, _ = _brand_and_contact(detail)
    version = version_of(occurred_at, EventEffect.CHANGE)
    fields = _fields(detail) | _cleared(detail, clearable_fields("BrandConfigured") or frozenset())
    if errors := _errors_of_texts(brand, fields):
        raise InvalidEvent(errors)
    return ConfigureBrand(brand, version, fields)


def _errors_of_texts(brand: str, fields: Mapping[str, Any]) -> list[str]:
    """Check the brand's texts with sample data before they count."""
    if not fields.get("texts"):
        return []
    from reengage.adapters.brand_texts import check_texts  # noqa: PLC0415 - Babel and Fluent take 0.2 s to import

    configured = Brand(brand).apply(1, {name: value for name, value in fields.items() if value is not None})
    return check_texts(configured)


def _record_choice(detail: ContactOptedIn | ContactOptedOut | ConsentChanged, at: datetime) -> RecordChoice:
    """Decode a choice. An opt-in counts from when the person agreed: it undoes only earlier opt-outs."""
    evidence = None if isinstance(detail, ContactOptedOut) else given(detail.evidence)
    allowed = detail.marketing if isinstance(detail, ConsentChanged) else isinstance(detail, ContactOptedIn)
    if allowed and evidence is None:
        raise InvalidEvent(["$.detail.evidence: is required for a consent: where, when and by which wording"])
    if evidence and evidence.when:
        at = min(at, parse_instant(evidence.when))
    elif allowed:
        raise InvalidEvent(["$.detail.evidence.when: is required for a consent"])
    cause = None if isinstance(detail, ConsentChanged) else given(detail.cause)
    cause = {"evidence": evidence.whole, **({"cause": cause} if cause else {})} if evidence else cause
    topic: Topic = "marketing" if isinstance(detail, ConsentChanged) else "contact"
    return RecordChoice(_contact(detail.contact), topic, Choice(allowed, at, cause))


def _brand_and_contact(detail: BusinessFields | BrandConfigured) -> tuple[str, Contact | None]:
    """Return the contact, if it is known, and the brand."""
    contact = _contact(detail.contact) if detail.contact else None
    if contact and detail.brand and detail.brand != contact.brand:
        raise InvalidEvent([f"$.detail.brand: expected {contact.brand}, as the contact has it, or nothing"])
    brand: str | None = contact.brand if contact else given(detail.brand)
    if brand is None:
        raise InvalidEvent(["$.detail.contact: is required; where it is not known, give $.detail.brand"])
    return brand, contact


def _fields(detail: Struct, apart: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the event's own fields, without its contact, its time and ``apart``."""
    names = {field.name for field in fields_of(type(detail))} - apart - COMMON_FIELDS
    return {name: plain(value) for name in sorted(names) if (value := getattr(detail, name)) is not UNSET}


def contact_at(value: Any, path: str) -> Contact:
    """A contact, its address in its normal form. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = decode_contact(value, path, errors)
    if fields is None:
        raise InvalidEvent(errors)
    return _contact(fields)


def broadcast_at(value: Any, path: str) -> SubjectRef:
    """What a broadcast is about, by its brand and one id. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = decode_fields(value, BroadcastFields, path, errors)
    if fields is None:
        raise InvalidEvent(errors)
    ids = {"announcement": fields.announcement_id, "item": fields.item_id}
    named = [(kind, str(subject_id)) for kind, subject_id in ids.items() if subject_id]
    if len(named) != 1:
        raise InvalidEvent([f"{path}: expected one of announcement_id, item_id"])
    return SubjectRef(str(fields.brand), *named[0])


def day_at(value: Any, path: str) -> tuple[str, date | NamedDay]:
    """Parse a brand, and a day or its name. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = decode_fields(value, DayFields, path, errors)
    if fields is None:
        raise InvalidEvent(errors)
    names: dict[str, NamedDay] = {"today": "today", "tomorrow": "tomorrow"}
    return str(fields.brand), names.get(fields.date) or date.fromisoformat(fields.date)


def hints(event: Any) -> list[str]:
    """Return a hint for each misspelled field of an event that was accepted."""
    return misspelled_fields(event, EVENTS_IN)


def receipt(event: Any) -> RecordDelivery:
    """A ``DeliveryReported`` event. Raises ``InvalidEvent`` with every field that is wrong."""
    detail = decode_detail(event, {"DeliveryReported": DeliveryReported})
    assert isinstance(detail, DeliveryReported)
    return RecordDelivery(
        contact=_contact(detail.contact),
        scheduled_message_id=str(detail.scheduled_message_id),
        status=detail.status,
        at=_occurred_at(event, detail.occurred_at),
        provider_message_id=given(detail.provider_message_id),
        error=given(detail.error),
        event_id=given(detail.event_id) or str(event.get("id") or ""),
    )


def _occurred_at(event: Mapping[str, Any], occurred_at: str | UnsetType) -> datetime:
    sent = parse_instant(event["time"])
    return min(parse_instant(occurred_at), sent + _CLOCK_GRAIN) if occurred_at else sent


def _is_exact(given_at: str | UnsetType, occurred_at: datetime) -> bool:
    """Whether the event gives the instant with a fraction of a second, and that instant counts."""
    return bool(given_at) and "." in str(given_at) and parse_instant(str(given_at)) == occurred_at


def _contact(fields: ContactFields) -> Contact:
    return Contact(str(fields.brand), str(fields.channel), fields.address)
