"""Events in: the parsed fields, and the field that each error names."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.inbound.event_types import BUSINESS_EVENTS, EVENT_SCHEMAS
from reengage.adapters.inbound.eventbridge import hints, inbound_message, parse_business_event, receipt
from reengage.adapters.inbound.field_types import MAX_CAUSE, MAX_ITEMS
from reengage.domain.commands import (
    ConfigureBrand,
    EraseContact,
    PauseSending,
    RecordChoice,
    RecordDelivery,
    ResumeSending,
)
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.planning import broadcasts
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request
from reengage.domain.subject import (
    EVENT_TYPES,
    OPENER_USED,
    BusinessEvent,
    EventEffect,
    Subject,
    SubjectRef,
    version_of,
)
from reengage.errors import InvalidEvent
from tests.cases import each_of

EVENT_ID: Final = "17793124-05d4-b198-2fde-7ededc63b103"
TIME: Final = "2031-03-04T11:05:20Z"
AT: Final = datetime(2031, 3, 4, 11, 5, 20, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kind:
    """An example value of a field's type, its parsed form, and values that are invalid."""

    good: Any
    bad: tuple[Any, ...]
    read: Any = None

    @property
    def as_read(self) -> Any:
        return self.good if self.read is None else self.read


NO_TEXT: Final[tuple[Any, ...]] = (5, 1.5, True, [], ["text"], {}, {"en": "text"})
ID: Final = Kind("A-20931 #ü", ("", "x" * 513, "é" * 257, "\ud800", *NO_TEXT))
TEXT: Final = Kind("Is Friday free?\n🦷", NO_TEXT)
LINE: Final = Kind("Ada", ("", "x" * 501, *NO_TEXT))
LOCALE: Final = Kind("de-AT", ("", "d", "German, please", "de-", "de-AT-u-x", *NO_TEXT))
ZONE: Final = Kind("Europe/Berlin", ("", "Mars/Olympus", "../../etc/passwd", "CEST!", "\0", *NO_TEXT))
URL: Final = Kind(
    "https://shop.example/a?b=c#d",
    ("", "shop.example", "ftp://shop.example", "javascript:alert(1)", "https://a b", f"https://{'x' * 2048}", *NO_TEXT),
)
INSTANT: Final = Kind(
    "2031-03-20T15:00:00+01:00",
    (
        "",
        "soon",
        "2031-03-20",
        "2031-03-20T15:00:00",
        "2031-02-30T15:00:00Z",
        "1950-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        1_931_698_800,
        *NO_TEXT,
    ),
)
BEFORE: Final = Kind(
    "PT60M", ("", "1 day", "P", "PT", "-P1D", "P1D ", "P9999Y", "PT0S", "P0D", "PT59S", *NO_TEXT), read="PT1H"
)
OFFSETS_BEFORE: Final = Kind(
    ["P1W", "PT2H"], ("P1D", 5, {}, [5], [None], [["P1D"]], ["1 day"], ["P1D", "-P1D"], ["P1D"] * 11), ["P7D", "PT2H"]
)
OFFSETS: Final = Kind(["-P3D", "PT0S"], ("P1D", 5, {}, [5], [None], ["1 day"], ["P1D"] * 11))
LOCALISED: Final = Kind(
    {"en": "Pro", "de-AT": "Profi"},
    (
        *("", "x" * 501, 5, True, [], ["Pro"], {}),
        *({"en": ""}, {"en": 5}, {"en": None}, {"en": ["Pro"]}, {"in English": "Pro"}, {"en": "Pro", "": "Pro"}),
        {f"en-{region:03}": "Pro" for region in range(21)},
    ),
)
FLAG: Final = Kind(True, ("", "true", 0, 1, 1.0, [], {}))
NOT: Final = Kind(False, FLAG.bad)
DAY: Final = Kind(
    "20311224",
    (
        *("", "24.12.2031", "2031-12", "2031-13-24", "2031-02-29", "2031-12-24T00:00:00Z", "Christmas"),
        *("0001-01-01", "1970-12-31", "9000-01-01", "9999-12-31", 20_311_224, *NO_TEXT),
    ),
    read="2031-12-24",
)
OPENING: Final = Kind(
    "09:30:00",
    (
        *("", "9", "9:30", "24:01", "09:60", "9:30 am", "noon", "09:30:01", "09:30:00.5"),
        *("09:30Z", "09:30+01:00", "2031-12-24T09:30", 930, *NO_TEXT),
    ),
    read="09:30",
)
ITEMS: Final = Kind(
    ["Bread knife", {"name": {"en": "Stock pot", "de": "Suppentopf"}, "price": 49.9, "sizes": [24, None]}],
    (
        *("", "Bread knife", 5, True, {}, {"name": "Bread knife"}),
        *(
            [""],
            ["x" * 501],
            [5],
            [True],
            [None],
            [["Bread knife"]],
            ["Bread knife", 5],
            ["\ud800"],
            [{"name": "\ud800"}],
        ),
        *(["Bread knife"] * 101, [{"note": "x" * MAX_ITEMS}]),
    ),
)
CAUSE: Final = Kind(
    {"agent": "7", "by": ["phone", None]}, (5, 1.5, True, [], ["text"], "\ud800", "x" * 4095, {"note": "é" * 2048})
)
EVIDENCE: Final = Kind(
    {"where": "front desk", "when": "2031-03-04T11:00:00+01:00", "wording": {"version": 3}},
    ("", "signed", 5, True, [], [{}], {"where": "\ud800"}, {"where": "x" * 4096}),
)
KIND: Final = Kind("button", ("", "Button", "a button", "x" * 41, *NO_TEXT))
KEYWORD: Final = Kind("Stop_Marketing", ("", "stop it", "unsubscribe", *NO_TEXT))
STATUS: Final = Kind("delivered", ("", "read", "DELIVERED", *NO_TEXT))

CONTACT: Final = {"brand": "acme-dental", "channel": "sms", "address": "+447700900142"}
READ_CONTACT: Final = Contact("acme-dental", "sms", "+447700900142")
PARTS: Final = {
    "brand": Kind("acme-dental", ("", "acme dental", "a#b", "-a", "x" * 65, "açme", *NO_TEXT)),
    "channel": Kind("sms", ("", "fax", "SMS", *NO_TEXT)),
    "address": Kind("+447700900142", ("", "call me", "07700 900142", "+44", "+44770090014x", "\ud800", *NO_TEXT)),
}
OTHER_ADDRESS: Final = Kind(
    {"channel": "sms", "address": "+447700900177"},
    ("", "+447700900177", 5, []),
)
SCOPE: Final = Kind("marketing", ("", "everything", "Marketing", *NO_TEXT))
HOURS: Final = Kind("20:00-09:00", ("20:00", "20:00-20:00", "8-9", *NO_TEXT))
CAPS: Final = Kind("1/P1D,3/P7D", ("0/P1D", "1", "1/P1M", *NO_TEXT))

REQUIRED: Final[dict[str, dict[str, Kind]]] = {
    "MessageReceived": {"message_id": ID, "sent_at": INSTANT, "text": TEXT},
    "AppointmentBooked": {"appointment_id": ID, "starts_at": INSTANT},
    "AppointmentRescheduled": {"appointment_id": ID, "starts_at": INSTANT},
    "AppointmentCancelled": {"appointment_id": ID},
    "AppointmentConfirmed": {"appointment_id": ID},
    "TrialStarted": {"trial_id": ID, "product": LOCALISED, "ends_at": INSTANT},
    "TrialExtended": {"trial_id": ID, "product": LOCALISED, "ends_at": INSTANT},
    "TrialConverted": {"trial_id": ID},
    "TrialCancelled": {"trial_id": ID},
    "CheckInCompleted": {"appointment_id": ID},
    "ProductViewed": {"product_id": ID, "name": LOCALISED},
    "ProductAddedToCart": {"product_id": ID},
    "CartAbandoned": {"cart_id": ID, "items": ITEMS, "cart_url": URL},
    "CartCheckedOut": {"cart_id": ID},
    "PurchaseMade": {},
    "OrderShipped": {"order_id": ID},
    "OrderDelivered": {"order_id": ID},
    "ReviewReceived": {"order_id": ID},
    "OrderReturned": {"order_id": ID},
    "InterestShown": {"item_id": ID},
    "InterestWithdrawn": {"item_id": ID},
    "ItemBackInStock": {"item_id": ID, "name": LOCALISED},
    "ItemSoldOut": {"item_id": ID},
    "ProductPreviewAnnounced": {"announcement_id": ID, "title": LOCALISED, "send_at": INSTANT},
    # The hours where it is not closed all day; see "Holiday hours" below.
    "HolidayHoursAnnounced": {
        "announcement_id": ID,
        "date": DAY,
        "send_at": INSTANT,
        "opens": OPENING,
        "closes": OPENING,
    },
    "AnnouncementWithdrawn": {"announcement_id": ID},
    "BrandConfigured": {"name": LOCALISED},
    "ConsentChanged": {"marketing": FLAG, "evidence": EVIDENCE},
    "ContactOptedOut": {},
    "ContactOptedIn": {"evidence": EVIDENCE},
    "ContactErased": {},
    "SendingPaused": {},
    "SendingResumed": {},
    "AgentReplied": {},
    "ContactLinked": {"same_as": OTHER_ADDRESS},
    "ContactMoved": {"to": OTHER_ADDRESS},
    "DeliveryReported": {"scheduled_message_id": ID, "status": STATUS},
}
_APPOINTMENT: Final = {
    "timezone": ZONE,
    "service": LOCALISED,
    "location": LOCALISED,
    "remind_before": OFFSETS_BEFORE,
    "check_in_url": URL,
    "check_in_before": BEFORE,
    "occurred_at": INSTANT,
}
_TRIAL: Final = {"timezone": ZONE, "upgrade_url": URL, "follow_up": OFFSETS, "occurred_at": INSTANT}
OPTIONAL: Final[dict[str, dict[str, Kind]]] = {
    "MessageReceived": {"locale": LOCALE, "timezone": ZONE, "display_name": LINE, "kind": KIND, "asks": KEYWORD},
    "AppointmentBooked": _APPOINTMENT,
    "AppointmentRescheduled": _APPOINTMENT,
    "AppointmentCancelled": {"occurred_at": INSTANT},
    "AppointmentConfirmed": {"occurred_at": INSTANT},
    "TrialStarted": _TRIAL,
    "TrialExtended": _TRIAL,
    "TrialConverted": {"occurred_at": INSTANT},
    "TrialCancelled": {"occurred_at": INSTANT},
    "CheckInCompleted": {"occurred_at": INSTANT},
    "ProductViewed": {"url": URL, "occurred_at": INSTANT},
    "ProductAddedToCart": {"occurred_at": INSTANT},
    "CartAbandoned": {"occurred_at": INSTANT},
    "CartCheckedOut": {"occurred_at": INSTANT},
    "PurchaseMade": {"order_id": ID, "product_ids": Kind(["lamp"], ("lamp", 5, [5], [""])), "occurred_at": INSTANT},
    "OrderShipped": {"shipment_id": ID, "carrier": LOCALISED, "tracking_url": URL, "occurred_at": INSTANT},
    "OrderDelivered": {"review_url": URL, "occurred_at": INSTANT},
    "ReviewReceived": {"occurred_at": INSTANT},
    "OrderReturned": {"occurred_at": INSTANT},
    "InterestShown": {"occurred_at": INSTANT},
    "InterestWithdrawn": {"occurred_at": INSTANT},
    "ItemBackInStock": {"url": URL, "occurred_at": INSTANT},
    "ItemSoldOut": {"occurred_at": INSTANT},
    "ProductPreviewAnnounced": {"url": URL, "occurred_at": INSTANT},
    "HolidayHoursAnnounced": {"closed": NOT, "timezone": ZONE, "occurred_at": INSTANT},
    "AnnouncementWithdrawn": {"occurred_at": INSTANT},
    "BrandConfigured": {
        "timezone": ZONE,
        "locale": LOCALE,
        "help_text": LOCALISED,
        "stop_text": LOCALISED,
        "utility_quiet_hours": HOURS,
        "marketing_quiet_hours": HOURS,
        "utility_caps": CAPS,
        "marketing_caps": CAPS,
        "marketing_consent": Kind("required", ("", "yes", *NO_TEXT)),
        "welcome_back_after": Kind("P7D", ("P1M", "-P1D", "soon", *NO_TEXT)),
        "when_window_will_close": Kind("wait,trial_follow_up=warn", ("", "hurry", "wait,none=warn", *NO_TEXT)),
        "dry_run": NOT,
        "messages_per_second": Kind(
            "sms=1,whatsapp=80", ("sms", "sms=1\n", "fax=1", "sms=0", "sms=12345", "sms=1.234", *NO_TEXT)
        ),
        "texts": Kind(
            {"en": {"cart_reminder": "{ $brand }: your cart. { ending }"}},
            ("", [], {}, {"en": "text"}, {"en": {"x": 5}}),
        ),
        "occurred_at": INSTANT,
    },
    "ConsentChanged": {"occurred_at": INSTANT},
    "ContactOptedOut": {"cause": CAUSE, "occurred_at": INSTANT},
    "ContactOptedIn": {"cause": CAUSE, "occurred_at": INSTANT},
    "ContactErased": {"occurred_at": INSTANT},
    "SendingPaused": {"brand": PARTS["brand"], "scope": SCOPE, "why": LINE, "until": INSTANT, "occurred_at": INSTANT},
    "SendingResumed": {"brand": PARTS["brand"], "scope": SCOPE, "occurred_at": INSTANT},
    "AgentReplied": {"occurred_at": INSTANT},
    "ContactLinked": {"occurred_at": INSTANT},
    "ContactMoved": {"occurred_at": INSTANT},
    "DeliveryReported": {"provider_message_id": ID, "error": TEXT, "occurred_at": INSTANT},
}
BUSINESS: Final = tuple(BUSINESS_EVENTS)

OF_A_CONTACT: Final = [name for name in REQUIRED if name not in ("SendingPaused", "SendingResumed")]

EACH_CONTACT_S_OWN: Final = ("ProductViewed", "ProductAddedToCart", "InterestShown", "InterestWithdrawn")
"""Several people look at one product: the view of one person changes nothing for the others."""

WITHOUT_CONTACT: Final = (
    "ItemBackInStock",
    "ItemSoldOut",
    "ProductPreviewAnnounced",
    "HolidayHoursAnnounced",
    "AnnouncementWithdrawn",
)
"""Events for an audience, which have no contact."""

KEPT: Final = {
    "ProductViewed": "viewed_at",
    "CartAbandoned": "abandoned_at",
    "OrderShipped": "shipped_at",
    "OrderDelivered": "delivered_at",
    "InterestShown": "shown_at",
    "ItemBackInStock": "back_at",
}
"""The field that keeps the instant at which it happened: messages are due some time after it."""


def read(event: Any) -> Any:
    """Parse the event by its detail-type."""
    readers: dict[Any, Callable[[Any], Any]] = {"MessageReceived": inbound_message, "DeliveryReported": receipt}
    reader = readers.get(event["detail-type"])
    return reader(event) if reader else parse_business_event(event)


def business_event(event: Any) -> BusinessEvent:
    parsed = parse_business_event(event)
    assert isinstance(parsed, BusinessEvent)
    return parsed


def envelope(detail_type: str, detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": EVENT_ID,
        "detail-type": detail_type,
        "source": "clinic.calendar",
        "account": "111122223333",
        "time": TIME,
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }


def minimal(detail_type: str) -> dict[str, Any]:
    return {"contact": dict(CONTACT)} | {name: kind.good for name, kind in REQUIRED[detail_type].items()}


def full(detail_type: str) -> dict[str, Any]:
    return minimal(detail_type) | {name: kind.good for name, kind in OPTIONAL[detail_type].items()}


def errors_of(event: Any, reader: Callable[[Any], Any] = read) -> list[str]:
    with pytest.raises(InvalidEvent) as raised:
        reader(event)
    return list(raised.value.errors)


def test_the_tables_of_this_test_are_whole() -> None:
    assert set(REQUIRED) == set(OPTIONAL) == {*EVENT_SCHEMAS, "MessageReceived", "DeliveryReported"}
    assert set(BUSINESS) == set(EVENT_TYPES) - {OPENER_USED}  # which the app makes itself


def test_a_minimal_message() -> None:
    message = inbound_message(envelope("MessageReceived", minimal("MessageReceived")))
    sent_at = datetime.fromisoformat(INSTANT.good)
    assert message == InboundMessage(READ_CONTACT, ID.good, sent_at, message.arrived_at, TEXT.good)


def test_a_full_message() -> None:
    message = inbound_message(envelope("MessageReceived", full("MessageReceived")))
    assert (message.locale, message.timezone, message.display_name) == (LOCALE.good, ZONE.good, LINE.good)
    assert (message.kind, message.asks) == (KIND.good, Request.STOP_MARKETING)


def test_a_minimal_receipt_happened_when_it_was_sent() -> None:
    read_receipt = receipt(envelope("DeliveryReported", minimal("DeliveryReported")))
    assert read_receipt == RecordDelivery(READ_CONTACT, ID.good, "delivered", AT, event_id=EVENT_ID)


def test_a_full_receipt() -> None:
    detail = full("DeliveryReported") | {"occurred_at": "2031-03-04T12:05:19.5+01:00"}
    at = datetime(2031, 3, 4, 11, 5, 19, 500_000, tzinfo=UTC)
    assert receipt(envelope("DeliveryReported", detail)) == RecordDelivery(
        READ_CONTACT, ID.good, "delivered", at, ID.good, TEXT.good, EVENT_ID
    )


@pytest.mark.parametrize("status", ["sent", "delivered", "undelivered", "opted_out"])
def test_each_status(status: str) -> None:
    assert receipt(envelope("DeliveryReported", minimal("DeliveryReported") | {"status": status})).status == status


@each_of("detail_type", [name for name in BUSINESS if name != "PurchaseMade"])
@each_of("detail_of", [minimal, full])
def test_a_business_event(detail_type: str, detail_of: Callable[[str], dict[str, Any]]) -> None:
    detail = detail_of(detail_type)
    event = business_event(envelope(detail_type, detail))
    terms = EVENT_TYPES[detail_type]
    assert (event.type, event.contact) == (detail_type, None if detail_type in WITHOUT_CONTACT else READ_CONTACT)
    of = READ_CONTACT if detail_type in EACH_CONTACT_S_OWN else None
    assert event.subject == SubjectRef("acme-dental", terms.kind, ID.good, of)
    kinds = REQUIRED[detail_type] | OPTIONAL[detail_type]
    expected_fields = {
        name: kinds[name].as_read for name in detail if name not in ("contact", "occurred_at", terms.id_field)
    }
    expected_fields |= {"closed": False} if detail_type == "HolidayHoursAnnounced" else {}
    # The instant of the full one lies after its envelope's.
    happened = "2031-03-04T11:05:21+00:00" if "occurred_at" in detail else "2031-03-04T11:05:20+00:00"
    expected_fields |= {KEPT[detail_type]: happened} if detail_type in KEPT else {}
    assert event.fields == expected_fields
    # It is stored as JSON.
    assert json.loads(json.dumps(event.fields)) == expected_fields


@each_of(
    ("detail_type", "name"),
    [(kind, name) for kind in REQUIRED for name, of in (REQUIRED[kind] | OPTIONAL[kind]).items() if of is LOCALISED],
)
def test_a_text_for_people_is_one_for_all_or_one_for_each_locale(detail_type: str, name: str) -> None:
    regions = {f"en-{region:03}": "é" * 500 for region in range(20)}
    for text in ("Pro", "x" * 500, {"de_AT": "Profi"}, {"en": "Pro", "zh-Hans-CN": "专业版"}, regions):
        parsed = parse_business_event(envelope(detail_type, full(detail_type) | {name: text}))
        assert isinstance(parsed, BusinessEvent | ConfigureBrand)
        assert parsed.fields[name] == text


# A person's message is not rejected for an optional field.
STRICT: Final = {
    detail_type: {} if detail_type == "MessageReceived" else fields for detail_type, fields in OPTIONAL.items()
}

FIELDS: Final = [
    (detail_type, name) for detail_type in REQUIRED for name in REQUIRED[detail_type] | STRICT[detail_type]
]


def test_an_address_linked_to_itself_is_rejected() -> None:
    itself = {"same_as": {"channel": CONTACT["channel"], "address": CONTACT["address"]}}
    (error,) = errors_of(envelope("ContactLinked", minimal("ContactLinked") | itself))
    assert error.startswith("$.detail.same_as: expected another address")


def test_cleared_fields_have_no_value() -> None:
    detail = minimal("AppointmentRescheduled") | {"cleared": ["location", "check_in_url"]}
    fields = business_event(envelope("AppointmentRescheduled", detail)).fields
    assert fields == {"starts_at": INSTANT.read or INSTANT.good, "location": None, "check_in_url": None}


@pytest.mark.parametrize("name", ["starts_at", "contact", "brand", "occurred_at", "cleared", "appointment_id", "price"])
def test_only_optional_fields_are_cleared(name: str) -> None:
    detail = minimal("AppointmentRescheduled") | {"cleared": ["location", name]}
    (error,) = errors_of(envelope("AppointmentRescheduled", detail))
    assert error.startswith("$.detail.cleared[1]: expected one of check_in_before, check_in_url, location")


def test_a_field_is_not_given_and_cleared() -> None:
    detail = minimal("AppointmentRescheduled") | {"cleared": ["location"], "location": "Room 1"}
    (error,) = errors_of(envelope("AppointmentRescheduled", detail))
    assert error.startswith("$.detail.location: ")


def test_a_brand_clears_a_field() -> None:
    detail = minimal("BrandConfigured") | {"cleared": ["help_text"]}
    command = parse_business_event(envelope("BrandConfigured", detail))
    assert isinstance(command, ConfigureBrand)
    assert command.fields["help_text"] is None


def test_pauses_have_default_scope_and_no_brand() -> None:
    at = datetime.fromisoformat(TIME)
    assert parse_business_event(envelope("SendingPaused", {})) == PauseSending(None, "all", at)
    assert parse_business_event(envelope("SendingResumed", {})) == ResumeSending(None, "all", at)


@each_of(("detail_type", "name"), FIELDS)
def test_a_value_of_another_kind_names_its_field(detail_type: str, name: str) -> None:
    for bad in (REQUIRED[detail_type] | OPTIONAL[detail_type])[name].bad:
        (error,) = errors_of(envelope(detail_type, full(detail_type) | {name: bad}))
        assert error.startswith((f"$.detail.{name}: ", f"$.detail.{name}[", f"$.detail.{name}.")), bad


@each_of("detail_type", OF_A_CONTACT)
@each_of("part", PARTS)
def test_contact_field_of_another_type_is_named(detail_type: str, part: str) -> None:
    for bad in PARTS[part].bad:
        (error,) = errors_of(envelope(detail_type, full(detail_type) | {"contact": CONTACT | {part: bad}}))
        assert error.startswith(f"$.detail.contact.{part}: "), bad


@each_of(("detail_type", "name"), [(kind, name) for kind in REQUIRED for name in REQUIRED[kind]])
@each_of("absent", ["missing", "null"])
def test_what_is_required(detail_type: str, name: str, absent: str) -> None:
    detail = full(detail_type) | {name: None}
    if absent == "missing":
        del detail[name]
    (error,) = errors_of(envelope(detail_type, detail))
    assert error.startswith(f"$.detail.{name}: is required")


@each_of("detail_type", OF_A_CONTACT)
@each_of("part", PARTS)
def test_a_contact_is_whole(detail_type: str, part: str) -> None:
    contact = {name: value for name, value in CONTACT.items() if name != part}
    error = f"$.detail.contact.{part}: is required"
    assert errors_of(envelope(detail_type, full(detail_type) | {"contact": contact})) == [error]


@each_of("detail_type", sorted({*OF_A_CONTACT} - {*BUSINESS, "BrandConfigured"}))
def test_what_a_person_does_or_wants_is_somebodys(detail_type: str) -> None:
    detail = full(detail_type) | {"contact": None, "brand": "acme-dental"}
    assert errors_of(envelope(detail_type, detail)) == ["$.detail.contact: is required"]


@each_of("detail_type", REQUIRED)
def test_null_is_left_out(detail_type: str) -> None:
    nulls = minimal(detail_type) | dict.fromkeys(OPTIONAL[detail_type])
    assert read(envelope(detail_type, nulls)) == read(envelope(detail_type, minimal(detail_type)))


@each_of("detail_type", REQUIRED)
def test_unknown_fields_are_ignored(detail_type: str) -> None:
    event = envelope(detail_type, full(detail_type))
    more: dict[str, Any] = {"priority": 5, "metadata": {"a": [None]}, "": "", "type": "x"}
    wider = event | more | {"detail": event["detail"] | more | {"contact": CONTACT | more}, "replay-name": "r"}
    assert read(wider) == read(event)


@each_of("detail_type", REQUIRED)
@each_of("value", ["x", 5, True, {"": [None]}])
def test_field_of_another_detail_type_is_unknown(detail_type: str, value: Any) -> None:
    """An event's fields are stored with its subject, one by one: an unknown field would stay."""
    known = {name for fields in (REQUIRED, OPTIONAL) for of_one in fields.values() for name in of_one}
    foreign = {*known, *KEPT.values()} - {*REQUIRED[detail_type], *OPTIONAL[detail_type], "occurred_at", "brand"}
    event = envelope(detail_type, full(detail_type))
    assert read(envelope(detail_type, event["detail"] | dict.fromkeys(foreign, value))) == read(event)


@each_of("detail_type", OF_A_CONTACT)
def test_all_errors_are_reported_at_once(detail_type: str) -> None:
    wrong = dict.fromkeys(REQUIRED[detail_type] | OPTIONAL[detail_type], 5)
    event = envelope(detail_type, wrong | {"contact": CONTACT | {"address": "?"}}) | {"time": "now"}
    paths = {error.partition(": ")[0] for error in errors_of(event)}
    named = REQUIRED[detail_type] | STRICT[detail_type]
    assert paths == {"$.time", "$.detail.contact.address", *(f"$.detail.{name}" for name in named)}


@each_of("detail_type", REQUIRED)
@each_of("detail", [None, 5, "{}", [], True])
def test_a_detail_is_an_object(detail_type: str, detail: Any) -> None:
    assert errors_of(envelope(detail_type, detail)) == ["$.detail: expected an object"]


@each_of("detail_type", OF_A_CONTACT)
@each_of("contact", [5, "+447700900142", [], True])
def test_a_contact_is_an_object(detail_type: str, contact: Any) -> None:
    event = envelope(detail_type, full(detail_type) | {"contact": contact})
    assert errors_of(event) == ["$.detail.contact: expected an object"]


@each_of("time", INSTANT.bad)
def test_an_envelope_has_its_time(time: Any) -> None:
    (error,) = errors_of(envelope("TrialConverted", full("TrialConverted")) | {"time": time})
    assert error.startswith("$.time: ")


@each_of("reader", [inbound_message, parse_business_event, receipt])
@each_of("name", [None, "", 5, [], {}, ["TrialStarted"], "trial_begun", "EventRejected"])
def test_a_detail_type_of_another_kind(reader: Callable[[Any], Any], name: Any) -> None:
    (error,) = errors_of(envelope(name, {}), reader)
    assert error.startswith("$.detail-type: expected one of ")


MISSPELLED: Final = {
    "AppointmentBooked": ["AppointmentBoked", "appointmentbooked", "AppointmentBooked "],
    "MessageReceived": ["MessageRecieved", "messagereceived"],
    "DeliveryReported": ["DeliveryReport"],
}


@pytest.mark.parametrize(("meant", "name"), [(meant, name) for meant, names in MISSPELLED.items() for name in names])
def test_a_misspelled_detail_type_is_named_first(meant: str, name: str) -> None:
    """The right name was one of 35 in a line. ``MessageReceived`` was not even one of them."""
    (error,) = errors_of(envelope(name, {}))
    assert error.startswith(
        f"$.detail-type: did you mean {meant}? expected one of MessageReceived, AppointmentBooked, "
    )


@each_of("reader", [inbound_message, parse_business_event, receipt])
@each_of("event", [None, 5, "{}", [], [{}], True])
def test_an_event_is_an_object(reader: Callable[[Any], Any], event: Any) -> None:
    assert errors_of(event, reader) == ["$: expected an EventBridge event, a JSON object"]


def test_an_error_quotes_nothing_of_what_it_found() -> None:
    """Errors are logged, and the value of a wrong field may be personal data."""
    personal = "Ada Beispiel +447700900142"
    for detail_type in REQUIRED:
        names = REQUIRED[detail_type] | OPTIONAL[detail_type]
        wrong = full(detail_type) | {name: [personal] if kind is TEXT else personal for name, kind in names.items()}
        parts = dict.fromkeys(PARTS, personal)
        expected_fields = " ".join(errors_of(envelope(detail_type, wrong | {"contact": parts})))
        assert "Ada" not in expected_fields
        assert "7700" not in expected_fields


# Brands, choices, erasures


@pytest.mark.parametrize("whose", [{"contact": CONTACT}, {"brand": "acme-dental"}])
def test_brand_command_has_only_the_events_fields(whose: dict[str, Any]) -> None:
    version = version_of(AT, EventEffect.CHANGE)
    fields = {name: kind.good for name, kind in OPTIONAL["BrandConfigured"].items() if name != "occurred_at"}
    assert parse_business_event(envelope("BrandConfigured", whose | {"name": "Acme"})) == ConfigureBrand(
        "acme-dental", version, {"name": "Acme"}
    )
    everything = fields | {"name": {"en": "Acme"}}
    assert parse_business_event(envelope("BrandConfigured", whose | everything)) == ConfigureBrand(
        "acme-dental", version, everything
    )


def test_an_erasure_counts_from_when_it_arrived() -> None:
    """A second request with the date of the first erased nothing newer, but reported that it had."""
    assert parse_business_event(envelope("ContactErased", {"contact": CONTACT})) == EraseContact(READ_CONTACT, AT)
    earlier = parse_business_event(
        envelope("ContactErased", {"contact": CONTACT, "occurred_at": "2031-03-04T11:05:19.5Z"})
    )
    assert earlier == EraseContact(READ_CONTACT, AT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("locale", value) for value in ("", "en_US.UTF-8", "de" + "-ab" * 99, 5)),
        *(("timezone", value) for value in ("", "PST", "GMT+2", "Factory", 5)),
        *(("display_name", value) for value in ("", "x" * 501, 5)),
        *(("asks", value) for value in ("", "STOP!", 5)),
    ],
)
def test_a_stop_is_not_lost_for_a_fact_that_cannot_be_read(
    name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every STOP of a chat system that sent "PST" was rejected."""
    detail = minimal("MessageReceived")
    assert inbound_message(envelope("MessageReceived", detail | {name: value})) == inbound_message(
        envelope("MessageReceived", detail)
    )
    (log_line,) = caplog.messages
    assert log_line.startswith(f"left out: $.detail.{name}: ")
    assert str(value) not in log_line or value == ""


@pytest.mark.parametrize("locale", ["de" + "-abcdefgh" * 4, "de" + "-ab" * 100])
def test_a_locale_has_a_length(locale: str) -> None:
    """A language tag of 302 letters was used as a file name, and no message of the brand could be rendered any more."""
    detail = minimal("BrandConfigured") | {"locale": locale}
    (error,) = errors_of(envelope("BrandConfigured", detail))
    assert error.startswith("$.detail.locale: ")


EVIDENCE_AT: Final = datetime.fromisoformat(EVIDENCE.good["when"])


@pytest.mark.parametrize("cause", [None, "by phone", CAUSE.good])
def test_an_opt_out_needs_nothing_but_the_contact(cause: Any) -> None:
    made = parse_business_event(envelope("ContactOptedOut", {"contact": CONTACT, "cause": cause}))
    assert made == RecordChoice(READ_CONTACT, "contact", Choice(allowed=False, at=AT, cause=cause))


@pytest.mark.parametrize("cause", [{}, {"cause": "by phone"}])
def test_an_opt_in_counts_from_its_evidence_and_keeps_it_whole(cause: dict[str, Any]) -> None:
    made = parse_business_event(envelope("ContactOptedIn", {"contact": CONTACT, "evidence": EVIDENCE.good, **cause}))
    choice = Choice(allowed=True, at=EVIDENCE_AT, cause={"evidence": EVIDENCE.good, **cause})
    assert made == RecordChoice(READ_CONTACT, "contact", choice)


def test_a_consent_counts_from_its_evidence_and_keeps_it_whole() -> None:
    detail = {"contact": CONTACT, "marketing": True, "evidence": EVIDENCE.good}
    choice = Choice(allowed=True, at=EVIDENCE_AT, cause={"evidence": EVIDENCE.good})
    assert parse_business_event(envelope("ConsentChanged", detail)) == RecordChoice(READ_CONTACT, "marketing", choice)


def test_evidence_from_after_the_event_counts_from_the_event() -> None:
    late = EVIDENCE.good | {"when": "2031-03-04T11:05:21Z"}
    for detail_type in ("ContactOptedIn", "ConsentChanged"):
        made = parse_business_event(envelope(detail_type, {"contact": CONTACT, "marketing": True, "evidence": late}))
        assert isinstance(made, RecordChoice)
        assert made.choice.at == AT


@pytest.mark.parametrize(
    ("evidence", "at", "cause"),
    [
        (None, AT, None),
        ({"by": "phone"}, AT, {"evidence": {"by": "phone"}}),
        ({"by": "phone", "when": None}, AT, {"evidence": {"by": "phone", "when": None}}),
        (EVIDENCE.good, EVIDENCE_AT, {"evidence": EVIDENCE.good}),
    ],
)
def test_a_refusal_needs_no_evidence_and_keeps_what_there_is(evidence: Any, at: datetime, cause: Any) -> None:
    """Its evidence is optional, so a missing form never rejects it."""
    made = parse_business_event(
        envelope("ConsentChanged", {"contact": CONTACT, "marketing": False, "evidence": evidence})
    )
    assert made == RecordChoice(READ_CONTACT, "marketing", Choice(allowed=False, at=at, cause=cause))


@pytest.mark.parametrize("detail_type", ["ContactOptedIn", "ConsentChanged"])
@pytest.mark.parametrize("when", [{}, {"when": None}])
def test_a_yes_needs_its_instant(detail_type: str, when: dict[str, Any]) -> None:
    detail = full(detail_type) | {"evidence": {"where": "front desk"} | when}
    assert errors_of(envelope(detail_type, detail)) == ["$.detail.evidence.when: is required for a consent"]


@pytest.mark.parametrize("detail_type", ["ContactOptedIn", "ConsentChanged"])
def test_wrong_instant_is_reported_with_all_other_errors(detail_type: str) -> None:
    for bad in INSTANT.bad:
        detail = full(detail_type) | {
            "evidence": {"when": bad},
            "occurred_at": "soon",
            "contact": CONTACT | {"brand": 5},
        }
        paths = [error.partition(": ")[0] for error in errors_of(envelope(detail_type, detail))]
        assert sorted(paths) == ["$.detail.contact.brand", "$.detail.evidence.when", "$.detail.occurred_at"], bad


def test_a_cause_and_evidence_may_be_so_long_and_no_longer() -> None:
    room = MAX_CAUSE - len('{"note": "", "when": ""}') - len(EVIDENCE.good["when"])
    for detail_type, name, of, longest in (
        ("ContactOptedOut", "cause", lambda text: text, MAX_CAUSE - len('""')),
        ("ContactOptedIn", "cause", lambda text: {"a": text}, MAX_CAUSE - len('{"a": ""}')),
        ("ContactOptedIn", "evidence", lambda text: {"note": text, "when": EVIDENCE.good["when"]}, room),
        ("ConsentChanged", "evidence", lambda text: {"note": text, "when": EVIDENCE.good["when"]}, room),
    ):
        detail = minimal(detail_type)
        assert isinstance(parse_business_event(envelope(detail_type, detail | {name: of("x" * longest)})), RecordChoice)
        error = f"$.detail.{name}: expected at most {MAX_CAUSE} bytes of JSON"
        assert errors_of(envelope(detail_type, detail | {name: of("x" * (longest + 1))})) == [error]


# Brand and contact


@each_of("detail_type", sorted({*BUSINESS} - {*EACH_CONTACT_S_OWN, "PurchaseMade"}))
@each_of("contact", [{}, {"contact": None}])
def test_a_brand_is_enough_where_the_contact_is_not_known(detail_type: str, contact: dict[str, Any]) -> None:
    detail = {name: value for name, value in full(detail_type).items() if name != "contact"}
    event = business_event(envelope(detail_type, detail | contact | {"brand": "acme-dental"}))
    assert (event.contact, event.subject.brand) == (None, "acme-dental")


@each_of("detail_type", [*BUSINESS, "BrandConfigured"])
def test_a_contact_has_its_brand_so_another_one_is_a_mistake(detail_type: str) -> None:
    event = envelope(detail_type, full(detail_type) | {"brand": "orbit-notes"})
    assert errors_of(event) == ["$.detail.brand: expected acme-dental, as the contact has it, or nothing"]
    same = envelope(detail_type, full(detail_type) | {"brand": "acme-dental"})
    assert parse_business_event(same) == parse_business_event(envelope(detail_type, full(detail_type)))


@each_of("detail_type", [*BUSINESS, "BrandConfigured"])
def test_one_of_the_two_is_needed(detail_type: str) -> None:
    (error,) = errors_of(envelope(detail_type, full(detail_type) | {"contact": None}))
    assert error.startswith("$.detail.contact: is required")
    if detail_type not in EACH_CONTACT_S_OWN:
        assert error == "$.detail.contact: is required; where it is not known, give $.detail.brand"


@each_of("detail_type", EACH_CONTACT_S_OWN)
@each_of("contact", [{}, {"contact": None}])
def test_per_contact_subject_needs_a_contact(detail_type: str, contact: dict[str, Any]) -> None:
    detail = {name: value for name, value in full(detail_type).items() if name != "contact"}
    (error,) = errors_of(envelope(detail_type, detail | contact | {"brand": "acme-dental"}))
    assert error == "$.detail.contact: is required: every contact has this of its own"


@each_of("detail_type", BUSINESS)
def test_only_per_contact_subjects_differ_between_contacts(detail_type: str) -> None:
    others = [CONTACT, CONTACT | {"address": "+447700900187"}, CONTACT | {"channel": "rcs"}]
    subjects = [
        business_event(envelope(detail_type, full(detail_type) | {"contact": contact})).subject for contact in others
    ]
    # A purchase counts for the number, whichever channel it came by.
    apart = 2 if detail_type == "PurchaseMade" else len(others) if detail_type in EACH_CONTACT_S_OWN else 1
    assert len(set(subjects)) == len({subject.key for subject in subjects}) == apart


@pytest.mark.parametrize("detail_type", WITHOUT_CONTACT)
def test_announcement_keeps_no_contact(detail_type: str) -> None:
    """An announcement with a contact would have reached only that contact.

    An erasure of that contact would have deleted the announcement.
    """
    named = business_event(envelope(detail_type, full(detail_type)))
    detail = full(detail_type) | {"contact": None, "brand": "acme-dental"}
    assert named == business_event(envelope(detail_type, detail))
    assert named.contact is None
    assert CONTACT["address"] not in repr(named)


@each_of("bad", PARTS["brand"].bad)
def test_a_brand_of_another_kind_names_its_field(bad: Any) -> None:
    detail = {"trial_id": "T-1", "brand": bad}
    (error,) = errors_of(envelope("TrialConverted", detail))
    assert error.startswith("$.detail.brand: ")


@pytest.mark.parametrize(
    ("channel", "written", "address"),
    [
        ("sms", "+44 7700 900142", "+447700900142"),
        ("sms", "0044 7700 900142", "+447700900142"),
        ("rcs", "tel:+44-7700-900142", "+447700900142"),
        ("whatsapp", "447700900142", "+447700900142"),
        ("whatsapp", "+447700900142", "+447700900142"),
        ("whatsapp", "US.13491208655302741918", "US.13491208655302741918"),
    ],
)
def test_an_address_is_brought_to_its_one_form(channel: str, written: str, address: str) -> None:
    contact = {"brand": "acme-dental", "channel": channel, "address": written}
    event = business_event(envelope("TrialConverted", {"trial_id": "T-1", "contact": contact}))
    assert event.contact == Contact("acme-dental", channel, address)


# When it happened


@each_of("detail_type", KEPT)
@each_of(
    ("occurred_at", "kept"),
    [
        (None, "2031-03-04T11:05:20+00:00"),
        ("2031-03-01T09:00:00.25+01:00", "2031-03-01T09:00:00.250000+01:00"),
        ("2031-03-04T11:05:21Z", "2031-03-04T11:05:21+00:00"),
        ("2031-03-04T13:05:21.000001+02:00", "2031-03-04T11:05:21+00:00"),
        ("2040-01-01T00:00:00Z", "2031-03-04T11:05:21+00:00"),
    ],
)
def test_event_time_is_kept_unless_it_is_in_the_future(detail_type: str, occurred_at: str | None, kept: str) -> None:
    """It keeps its own offset if days are counted by it, and is never later than the arrival."""
    detail = minimal(detail_type) | {"occurred_at": occurred_at, KEPT[detail_type]: "2035-01-01T00:00:00Z"}
    event = business_event(envelope(detail_type, detail))
    assert event.fields[KEPT[detail_type]] == kept
    rank = EVENT_TYPES[detail_type].rank
    assert event.version == version_of(datetime.fromisoformat(kept), rank)


# Carts


def test_a_cart_has_at_most_a_hundred_things() -> None:
    carts: list[Any] = [[], ["x"], [{}], ["x" * 500, {"name": "x"}], ["x"] * 100]
    for items in carts:
        event = business_event(envelope("CartAbandoned", minimal("CartAbandoned") | {"items": items}))
        assert event.fields["items"] == items


def test_the_things_in_a_cart_take_at_most_so_many_bytes_of_json() -> None:
    """The items are stored in their subject's row, unchanged."""
    room = MAX_ITEMS - len('["pot", {"note": ""}]')
    assert room % 2
    for note in ("x" * room, "é" * (room // 2) + "x", '"' * (room // 2) + "x"):
        items = ["pot", {"note": note}]
        assert len(json.dumps(items, ensure_ascii=False).encode()) == MAX_ITEMS
        event = business_event(envelope("CartAbandoned", minimal("CartAbandoned") | {"items": items}))
        assert event.fields["items"] == items
        longer = minimal("CartAbandoned") | {"items": ["pot", {"note": note + "x"}]}
        error = f"$.detail.items: expected at most {MAX_ITEMS} bytes of JSON"
        assert errors_of(envelope("CartAbandoned", longer)) == [error]


# Holiday hours

_HOURS: Final = ("opens", "closes", "closed")


def hours(**expected_fields: Any) -> dict[str, Any]:
    """Return a full announcement with only the given fields of its hours."""
    return {
        name: value for name, value in full("HolidayHoursAnnounced").items() if name not in _HOURS
    } | expected_fields


@pytest.mark.parametrize("nothing", [{}, {"opens": None, "closes": None}])
def test_a_day_on_which_it_is_closed_needs_no_hours(nothing: dict[str, Any]) -> None:
    fields = business_event(envelope("HolidayHoursAnnounced", hours(closed=True, **nothing))).fields
    assert {name: fields[name] for name in _HOURS if name in fields} == {"closed": True}


@each_of("closed", [{}, {"closed": None}, {"closed": False}])
@each_of(("opens", "closes"), [("09:30", "12:00"), ("00:00", "23:59"), ("18:00", "02:00"), ("00:00", "00:00")])
def test_hours_mean_not_closed(closed: dict[str, Any], opens: str, closes: str) -> None:
    event = business_event(envelope("HolidayHoursAnnounced", hours(opens=opens, closes=closes, **closed)))
    assert {name: event.fields[name] for name in _HOURS} == {"opens": opens, "closes": closes, "closed": False}


@each_of("closed", [{}, {"closed": None}, {"closed": False}])
@each_of("missing", [["opens"], ["closes"], ["opens", "closes"]])
def test_what_is_missing_of_the_hours_is_named_at_once(closed: dict[str, Any], missing: list[str]) -> None:
    given = {name: "09:30" for name in ("opens", "closes") if name not in missing}
    errors = [f"$.detail.{name}: is required, unless closed is true" for name in missing]
    assert errors_of(envelope("HolidayHoursAnnounced", hours(**given, **closed))) == errors


@pytest.mark.parametrize("given", [{"opens": "09:30"}, {"closes": "00:00"}, {"opens": "00:00", "closes": "12:00"}])
def test_it_is_either_closed_or_has_hours(given: dict[str, Any]) -> None:
    error = "$.detail.closed: expected opens with closes, or closed: true, and not both"
    assert errors_of(envelope("HolidayHoursAnnounced", hours(closed=True, **given))) == [error]


@pytest.mark.parametrize("arrives_first", ["older", "newer"])
@pytest.mark.parametrize("newest_is_closed", [True, False])
def test_closed_comes_only_from_the_newest_event(arrives_first: str, *, newest_is_closed: bool) -> None:
    """A missing field keeps its earlier value, so people read "closed" although the shop was open."""
    open_, closed = hours(opens="10:00", closes="14:00"), hours(closed=True)
    older, newer = (
        business_event(envelope("HolidayHoursAnnounced", detail | {"occurred_at": f"2031-03-0{day}T08:00:00Z"}))
        for day, detail in enumerate((open_, closed) if newest_is_closed else (closed, open_), start=1)
    )
    subject = Subject(newer.subject)
    for event in (older, newer) if arrives_first == "older" else (newer, older):
        subject = subject.apply(event)
    assert subject.tracks["holiday_hours"].get("closed") is newest_is_closed


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", None])
def test_hours_announced_after_their_day_are_rejected(zone: str | None) -> None:
    late = hours(closed=True, date="2031-12-24", timezone=zone, send_at="2031-12-25T00:00:00-12:00")
    (error,) = errors_of(envelope("HolidayHoursAnnounced", late))
    assert error.startswith("$.detail.send_at: ")


@pytest.mark.parametrize("offsets", [["PT1H", "PT59M30S"], ["P1D", "PT2H", "PT2H0.5S"]])
def test_offsets_within_a_minute_are_rejected(offsets: list[str]) -> None:
    """The earlier message is valid only until the later one is due, and the send functions run every minute."""
    (error,) = errors_of(envelope(BOOKED, full(BOOKED) | {"remind_before": offsets}))
    assert error.startswith(f"$.detail.remind_before[{len(offsets) - 1}]: ")


def test_wrong_offset_is_named_by_its_index() -> None:
    (error,) = errors_of(envelope(BOOKED, full(BOOKED) | {"remind_before": ["PT1H", "PT0S"]}))
    assert error.startswith("$.detail.remind_before[1]: expected an ISO 8601 duration of at least one minute")


@pytest.mark.parametrize("product_ids", [None, ["lamp"]])
def test_a_purchase_ends_carts_and_products(product_ids: list[str] | None) -> None:
    event = business_event(envelope("PurchaseMade", minimal("PurchaseMade") | {"product_ids": product_ids}))
    assert event.fields == {"cart": True, "product:lamp" if product_ids else "product": True}


@each_of("day", ["2031-12-24", "8999-12-31"])
@each_of("zone", ["Pacific/Kiritimati", "Etc/GMT+12", None])
@each_of("send_at", ["2031-12-01T09:00:00+14:00", "2031-12-01T09:00:00-12:00"])
def test_the_end_of_every_day_that_is_taken_is_an_instant(day: str, zone: str | None, send_at: str) -> None:
    """The date 9999-12-31 has no next day: the event was accepted, and then each attempt to plan it failed."""
    event = business_event(
        envelope("HolidayHoursAnnounced", hours(closed=True, date=day, timezone=zone, send_at=send_at))
    )
    (broadcast,) = broadcasts(Subject(event.subject).apply(event))
    end = datetime.fromisoformat(f"{day}T00:00:00Z") + timedelta(days=1)
    assert abs(broadcast.valid_until - end) <= timedelta(hours=14)


# Versions


def version(detail_type: str, occurred_at: str | None = None, *, time: str = TIME) -> int:
    detail: dict[str, Any] = {"contact": CONTACT, "occurred_at": occurred_at}
    detail |= {name: kind.good for name, kind in REQUIRED[detail_type].items()}
    return business_event(envelope(detail_type, detail) | {"time": time}).version


BOOKED, MOVED, UNDONE = "AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled"


def test_event_time_is_occurred_at_or_else_envelope_time() -> None:
    assert version(BOOKED) == version(BOOKED, TIME) == version(BOOKED, "2031-03-04T12:05:20+01:00")
    assert version(BOOKED, "2031-03-04T11:05:19Z") < version(BOOKED)
    assert version(BOOKED, "2031-03-04T11:05:20.000001Z") > version(BOOKED)


def test_no_event_happened_later_than_a_second_after_it_was_sent() -> None:
    latest = version(BOOKED, "2031-03-04T11:05:21Z")
    assert version(BOOKED, "2031-03-04T11:05:20.999999Z") < latest
    assert version(BOOKED, "2031-03-04T11:05:21.000001Z") == latest
    assert version(BOOKED, "2040-01-01T00:00:00Z") == latest
    at = receipt(envelope("DeliveryReported", minimal("DeliveryReported") | {"occurred_at": "2040-01-01T00:00:00Z"})).at
    assert at == AT + timedelta(seconds=1)


def test_within_a_second_the_exact_instant_decides() -> None:
    """A fraction of zero is exact too: many systems always write milliseconds."""
    early, late, exact = "2031-03-04T11:05:20.1Z", "2031-03-04T11:05:20.9Z", "2031-03-04T11:05:20.000Z"
    ordered = [(UNDONE, exact), (BOOKED, early), (MOVED, early), (UNDONE, early), (BOOKED, late), (UNDONE, late)]
    versions = [version(detail_type, at) for detail_type, at in ordered]
    assert versions == sorted(set(versions))


def test_within_a_second_undo_is_newest_and_begin_oldest() -> None:
    """The same without fractions of a second."""
    at = "2031-03-04T11:05:20Z"
    ordered = [(BOOKED, at), (MOVED, at), (UNDONE, at)]
    versions = [version(detail_type, at) for detail_type, at in ordered]
    assert versions == sorted(set(versions))


@each_of(
    ("undoing", "done"),
    [
        ("CheckInCompleted", "AppointmentBooked"),
        ("CheckInCompleted", "AppointmentRescheduled"),
        ("ProductAddedToCart", "ProductViewed"),
        ("CartCheckedOut", "CartAbandoned"),
        ("ReviewReceived", "OrderDelivered"),
        ("OrderReturned", "OrderDelivered"),
        ("InterestWithdrawn", "InterestShown"),
        ("ItemSoldOut", "ItemBackInStock"),
        ("AnnouncementWithdrawn", "ProductPreviewAnnounced"),
        ("AnnouncementWithdrawn", "HolidayHoursAnnounced"),
    ],
)
def test_undo_has_the_same_subject_and_wins_within_a_second(undoing: str, done: str) -> None:
    subjects = [business_event(envelope(name, full(name))).subject.key for name in (undoing, done)]
    assert subjects[0] == subjects[1]
    assert version(undoing, "2031-03-04T11:05:20Z") > version(done, "2031-03-04T11:05:20.9Z")
    assert version(undoing, "2031-03-04T11:05:20Z") > version(done, "2031-03-04T11:05:20Z")
    assert version(undoing, "2031-03-04T11:05:19.9Z") < version(done, "2031-03-04T11:05:20.1Z")


def test_a_later_second_is_newer_whatever_happened_in_it() -> None:
    assert version(BOOKED, "2031-03-04T11:05:20Z") > version(UNDONE, "2031-03-04T11:05:19.999999Z")


@given(
    st.integers(946_684_800_000_000, 4_102_444_800_000_000),
    st.timedeltas(timedelta(), timedelta(days=400)),
)
@pytest.mark.slow
def test_versions_grow_with_time(microseconds: int, later: timedelta) -> None:
    first = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
    time = "2600-01-01T00:00:00Z"
    older, newer = (version(UNDONE, at.isoformat(), time=time) for at in (first, first + later))
    assert older <= newer
    assert (older == newer) == (later == timedelta())


# Whatever comes in


def errors_if_any(event: Any) -> list[str]:
    try:
        read(event)
    except InvalidEvent as refused:
        return list(refused.errors) or ["no error"]
    return []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("reader", [inbound_message, parse_business_event, receipt])
@given(event=_json)
@pytest.mark.slow
def test_any_json_is_read_or_refused(reader: Callable[[Any], Any], event: Any) -> None:
    assert all(error.startswith("$") for error in errors_of(event, reader))


@given(data=st.data())
@pytest.mark.slow
def test_any_value_is_parsed_or_refused(data: st.DataObject) -> None:
    detail_type = data.draw(st.sampled_from(sorted(REQUIRED)))
    event = envelope(detail_type, full(detail_type))
    spots: list[tuple[dict[str, Any], str]] = [(event, "time"), (event, "detail")]
    event["detail"]["contact"] = dict(CONTACT)
    spots += [(event["detail"], name) for name in event["detail"]]
    spots += [(event["detail"]["contact"], name) for name in CONTACT]
    for holder, name in data.draw(st.lists(st.sampled_from(spots), min_size=1, max_size=3, unique_by=id)):
        holder[name] = data.draw(_json)
    assert all(error.startswith("$.") for error in errors_if_any(event))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"timezon": "Europe/Berlin"}, ["$.detail.timezon: unknown field; did you mean timezone?"]),
        ({"remindBefore": ["P1D"]}, ["$.detail.remindBefore: unknown field; did you mean remind_before?"]),
        ({"timezon": "Europe/Berlin", "timezone": "Europe/Berlin"}, []),
        ({"doctor": "Dr. Who"}, []),
        ({}, []),
    ],
)
def test_hints_name_misspelled_fields_only(fields: dict[str, Any], found: list[str]) -> None:
    """A misspelled time zone was ignored, and no one noticed."""
    detail = {"contact": CONTACT, "appointment_id": "a-1", "starts_at": "2031-03-04T11:05:19Z", **fields}
    event = envelope("AppointmentBooked", detail)
    parse_business_event(event)
    assert hints(event) == found


def test_a_number_that_json_cannot_hold_is_rejected() -> None:
    """1e400 is read as infinity, and the bus refused the message that carried it on."""
    event = {
        "detail-type": "CartAbandoned",
        "time": "2031-03-04T11:05:20Z",
        "detail": {
            "contact": {"brand": "acme", "channel": "sms", "address": "+447700900142"},
            "cart_id": "C-1",
            "cart_url": "https://acme.example/cart",
            "items": [{"name": "Lamp", "price": json.loads("1e400")}],
        },
    }
    with pytest.raises(InvalidEvent) as raised:
        parse_business_event(event)
    assert raised.value.errors == ("$.detail.items: expected finite numbers",)
