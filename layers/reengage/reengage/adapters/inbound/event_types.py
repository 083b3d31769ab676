"""The schemas of the events in: one type for each detail-type (events/README.md)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct

from reengage.domain.commands import Status

from .field_types import (
    MAX_CAUSE,
    MAX_ITEMS,
    MAX_TEXTS,
    Ahead,
    Asks,
    Brand,
    CapsText,
    Channel,
    Day,
    DayText,
    Document,
    HoursText,
    Identifier,
    Instant,
    Items,
    Kind,
    LengthText,
    Line,
    LinkedChannel,
    Locale,
    Localised,
    Number,
    Offset,
    Opening,
    Optional,
    PauseScope,
    Payload,
    RatesText,
    Url,
    WhenClosingText,
    Zone,
)


class ContactFields(Struct):
    brand: Brand
    channel: Channel
    address: str


class AddressFields(Struct):
    """Another address of the same brand."""

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
    """Evidence of consent: where, when and by which wording. ``whole`` is stored unchanged; ``when`` counts."""

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


FieldNames = Annotated[list[str], Meta(max_length=50)]
"""The fields that have no value any more."""

Pattern = Annotated[str, Meta(min_length=1, max_length=1000)]
Texts = Annotated[dict[Locale, dict[str, Pattern]], Meta(min_length=1, max_length=20)]
"""For each locale, the brand's own text of some reasons: Fluent patterns with the variables of our texts."""


Numbers = Annotated[dict[LinkedChannel, Number], Meta(min_length=1, max_length=2)]
"""By channel, the number that people write to."""


class BrandConfigured(Struct, kw_only=True):
    """How a brand presents itself, and where it differs from the stack's parameters."""

    name: Localised
    brand: Brand | Optional = UNSET
    contact: ContactFields | Optional = UNSET
    timezone: Zone | Optional = UNSET
    locale: Locale | Optional = UNSET
    help_text: Localised | Optional = UNSET
    stop_text: Localised | Optional = UNSET
    utility_quiet_hours: HoursText | Optional = UNSET
    marketing_quiet_hours: HoursText | Optional = UNSET
    utility_caps: CapsText | Optional = UNSET
    marketing_caps: CapsText | Optional = UNSET
    marketing_consent: Literal["implied", "required"] | Optional = UNSET
    welcome_back_after: LengthText | Optional = UNSET
    when_window_will_close: WhenClosingText | Optional = UNSET
    dry_run: bool | Optional = UNSET
    ask_for_answers: bool | Optional = UNSET
    messages_per_second: RatesText | Optional = UNSET
    texts: Texts | Optional = UNSET
    numbers: Numbers | Optional = UNSET
    cleared: FieldNames | Optional = UNSET
    occurred_at: Instant | Optional = UNSET


class SendingResumed(Struct, kw_only=True):
    brand: Brand | Optional = UNSET
    scope: PauseScope | Optional = UNSET
    occurred_at: Instant | Optional = UNSET


class SendingPaused(SendingResumed, kw_only=True):
    why: Line | Optional = UNSET
    until: Instant | Optional = UNSET


class AgentReplied(ContactErased, kw_only=True):
    """A person of the business wrote to the contact."""


class ContactLinked(ContactErased, kw_only=True):
    same_as: AddressFields


class ContactMoved(ContactErased, kw_only=True):
    to: AddressFields


class BusinessFields(Struct):
    """Each has the contact or, if the contact is not known, the brand."""

    contact: ContactFields | Optional = UNSET
    brand: Brand | Optional = UNSET
    occurred_at: Instant | Optional = UNSET
    cleared: FieldNames | Optional = UNSET


class AppointmentBooked(BusinessFields, kw_only=True):
    appointment_id: Identifier
    starts_at: Instant
    timezone: Zone | Optional = UNSET
    service: Localised | Optional = UNSET
    location: Localised | Optional = UNSET
    remind_before: Annotated[list[Ahead], Meta(max_length=10)] | Optional = UNSET
    check_in_url: Url | Optional = UNSET
    check_in_before: Ahead | Optional = UNSET


class AppointmentCancelled(BusinessFields, kw_only=True):
    appointment_id: Identifier


class AppointmentConfirmed(AppointmentCancelled, kw_only=True):
    pass


class TrialStarted(BusinessFields, kw_only=True):
    trial_id: Identifier
    product: Localised
    ends_at: Instant
    timezone: Zone | Optional = UNSET
    upgrade_url: Url | Optional = UNSET
    follow_up: Annotated[list[Offset], Meta(max_length=10)] | Optional = UNSET


class TrialConverted(BusinessFields, kw_only=True):
    trial_id: Identifier


class ProductAddedToCart(BusinessFields, kw_only=True):
    product_id: Identifier


class ProductViewed(ProductAddedToCart, kw_only=True):
    name: Localised
    url: Url | Optional = UNSET


class CartCheckedOut(BusinessFields, kw_only=True):
    cart_id: Identifier


class CartAbandoned(CartCheckedOut, kw_only=True):
    items: Items
    cart_url: Url


class PurchaseMade(BusinessFields, kw_only=True):
    """The person bought, in any way. Without ``product_ids`` it may have been any product."""

    order_id: Identifier | Optional = UNSET
    product_ids: Annotated[list[Identifier], Meta(max_length=100)] | Optional = UNSET


class OrderReturned(BusinessFields, kw_only=True):
    order_id: Identifier


class OrderShipped(OrderReturned, kw_only=True):
    shipment_id: Identifier | Optional = UNSET
    carrier: Localised | Optional = UNSET
    tracking_url: Url | Optional = UNSET


class OrderDelivered(OrderReturned, kw_only=True):
    review_url: Url | Optional = UNSET


class ItemSoldOut(BusinessFields, kw_only=True):
    item_id: Identifier


class ItemBackInStock(ItemSoldOut, kw_only=True):
    name: Localised
    url: Url | Optional = UNSET


class AnnouncementWithdrawn(BusinessFields, kw_only=True):
    announcement_id: Identifier


class ProductPreviewAnnounced(AnnouncementWithdrawn, kw_only=True):
    title: Localised
    send_at: Instant
    valid_until: Instant | Optional = UNSET
    url: Url | Optional = UNSET


class HolidayHoursAnnounced(AnnouncementWithdrawn, kw_only=True):
    """Open from ``opens`` to ``closes`` on ``date``, by the clocks of ``timezone``; or ``closed``."""

    date: Day
    send_at: Instant
    opens: Opening | Optional = UNSET
    closes: Opening | Optional = UNSET
    closed: bool | Optional = UNSET
    timezone: Zone | Optional = UNSET


BUSINESS_EVENTS: Final[Mapping[str, type[BusinessFields]]] = {
    "AppointmentBooked": AppointmentBooked,
    "AppointmentRescheduled": AppointmentBooked,
    "AppointmentCancelled": AppointmentCancelled,
    "TrialStarted": TrialStarted,
    "TrialExtended": TrialStarted,
    "TrialConverted": TrialConverted,
    "TrialCancelled": TrialConverted,
    "CheckInCompleted": AppointmentCancelled,
    "AppointmentConfirmed": AppointmentConfirmed,
    "ProductViewed": ProductViewed,
    "ProductAddedToCart": ProductAddedToCart,
    "CartAbandoned": CartAbandoned,
    "CartCheckedOut": CartCheckedOut,
    "PurchaseMade": PurchaseMade,
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
    "SendingPaused": SendingPaused,
    "SendingResumed": SendingResumed,
    "AgentReplied": AgentReplied,
    "ContactLinked": ContactLinked,
    "ContactMoved": ContactMoved,
}

EVENTS_IN: Final[Mapping[str, type[Struct]]] = {
    "MessageReceived": MessageReceived,
    **EVENT_SCHEMAS,
    "DeliveryReported": DeliveryReported,
}


class BroadcastFields(Struct):
    brand: Brand
    announcement_id: Identifier | Optional = UNSET
    item_id: Identifier | Optional = UNSET


class DayFields(Struct):
    brand: Brand
    date: DayText


MAX_BYTES: Final[Mapping[Any, int]] = {Cause: MAX_CAUSE, Document: MAX_CAUSE, Items: MAX_ITEMS, Texts: MAX_TEXTS}
"""The type of a value that is stored unchanged, as JSON."""
