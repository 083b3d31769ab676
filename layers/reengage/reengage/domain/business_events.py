"""The events of business systems: which subject and track each changes, and how events are ordered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from .contact import Contact

Json = Any
"""A value as ``json.loads`` returns it: an event's field, already validated."""


OPENER: Final = "opener"
"""The track with the address of who used an opener; ``opener:<person>`` for each person of the subject."""

OPENER_OF: Final = "opener_of"
"""Its field with the contact that the subject names for this person."""

OPENER_USED: Final = "OpenerUsed"


class EventEffect(IntEnum):
    """At one second, an undoing event counts as later than a change, and a change as later than a beginning."""

    BEGIN = 0
    CHANGE = 1
    UNDO = 2


class EventType(NamedTuple):
    """How an event of one detail-type changes its subject.

    ``at`` names the field that keeps when it happened. ``final``: only a later event that ``renews`` makes the track
    active again: an extension does not undo a conversion, nor another parcel a review.
    """

    kind: str
    track: str
    id_field: str
    rank: EventEffect
    at: str = ""
    final: bool = False
    renews: bool = False


EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "AppointmentBooked": EventType("appointment", "appointment", "appointment_id", EventEffect.BEGIN),
        "AppointmentRescheduled": EventType("appointment", "appointment", "appointment_id", EventEffect.CHANGE),
        "AppointmentCancelled": EventType("appointment", "appointment", "appointment_id", EventEffect.UNDO),
        "CheckInCompleted": EventType("appointment", "check_in", "appointment_id", EventEffect.UNDO),
        "AppointmentConfirmed": EventType("appointment", "confirmation", "appointment_id", EventEffect.BEGIN),
        # Made by the app itself, for a subject of any kind.
        OPENER_USED: EventType("", OPENER, "", EventEffect.BEGIN),
        "TrialStarted": EventType("trial", "trial", "trial_id", EventEffect.BEGIN, renews=True),
        "TrialExtended": EventType("trial", "trial", "trial_id", EventEffect.CHANGE),
        "TrialConverted": EventType("trial", "trial", "trial_id", EventEffect.UNDO, final=True),
        "TrialCancelled": EventType("trial", "trial", "trial_id", EventEffect.UNDO),
        "ProductViewed": EventType("product", "product", "product_id", EventEffect.BEGIN, at="viewed_at"),
        "ProductAddedToCart": EventType("product", "product", "product_id", EventEffect.UNDO),
        "CartAbandoned": EventType("cart", "cart", "cart_id", EventEffect.BEGIN, at="abandoned_at"),
        "CartCheckedOut": EventType("cart", "cart", "cart_id", EventEffect.UNDO),
        "PurchaseMade": EventType("purchase", "purchase", "", EventEffect.BEGIN),
        "OrderShipped": EventType("order", "order", "order_id", EventEffect.BEGIN, at="shipped_at"),
        "OrderDelivered": EventType("order", "review", "order_id", EventEffect.BEGIN, at="delivered_at"),
        "ReviewReceived": EventType("order", "review", "order_id", EventEffect.UNDO, final=True),
        "OrderReturned": EventType("order", "review", "order_id", EventEffect.UNDO),
        "InterestShown": EventType("interest", "interest", "item_id", EventEffect.BEGIN, at="shown_at"),
        "InterestWithdrawn": EventType("interest", "interest", "item_id", EventEffect.UNDO),
        "ItemBackInStock": EventType("item", "item", "item_id", EventEffect.BEGIN, at="back_at"),
        "ItemSoldOut": EventType("item", "item", "item_id", EventEffect.UNDO),
        # The two announcements may have one id: each has its own track, and a withdrawal ends both.
        "ProductPreviewAnnounced": EventType("announcement", "preview", "announcement_id", EventEffect.BEGIN),
        "HolidayHoursAnnounced": EventType("announcement", "holiday_hours", "announcement_id", EventEffect.BEGIN),
        "AnnouncementWithdrawn": EventType("announcement", "announcement", "announcement_id", EventEffect.UNDO),
    }
)

OF_ONE_CONTACT: Final = frozenset({"product", "interest", "purchase"})
"""Kinds of subject that each contact has separately: many contacts view one product."""

OF_ONE_PERSON: Final = frozenset({"purchase"})
"""Kinds of subject that a phone number has once, over all channels."""

OF_SEVERAL_PEOPLE: Final = frozenset({"appointment", "trial", "order"})
"""Kinds that may have several people: an event that names one adds, or ends, only that one."""

OF_THE_BRAND: Final = frozenset({"item", "announcement"})
"""Kinds that have no contact."""

VERSIONS_A_SECOND: Final = 10_000_000
"""Versions within one second: see ``version_of``."""


def version_of(occurred_at: datetime, rank: EventEffect, *, exact: bool | None = None) -> int:
    """Return a number that orders a track's events.

    The whole second counts first. Within it the instant counts if both are ``exact``: given with a fraction.
    An event without a fraction goes before exact ones if it begins or changes, and after them if it undoes. If two
    tie, the last one to arrive counts. ``exact`` defaults to "has microseconds".
    """
    second = int(occurred_at.replace(microsecond=0).timestamp()) * VERSIONS_A_SECOND
    if exact is None:
        exact = occurred_at.microsecond > 0
    if exact:
        return second + 2_000_000 + occurred_at.microsecond * 3 + rank
    return second + (9_000_000 if rank is EventEffect.UNDO else rank * 1_000_000)


def second_of(version: int) -> datetime:
    """Return the second of the event that has this version, in UTC."""
    return datetime.fromtimestamp(version // VERSIONS_A_SECOND, UTC)


@dataclass(frozen=True, slots=True)
class SubjectRef:
    """The key of a subject. ``of`` is its contact, for the kinds of ``OF_ONE_CONTACT``."""

    brand: str
    kind: str
    id: str
    of: Contact | None = None

    @property
    def key(self) -> str:
        # An address and an id may hold any character. The address is quoted, so the first "#" ends it.
        whose = f"{self.of.channel}#{quote(self.of.address, safe='+')}#" if self.of else ""
        return f"SUBJECT#{self.brand}#{self.kind}#{whose}{self.id}"

    @classmethod
    def known_to(cls, contact: Contact, kind: str, subject_id: str) -> "SubjectRef":
        """Return the subject of that kind and id that a message to the contact is about."""
        if kind in OF_ONE_PERSON and contact.address.startswith("+"):
            contact = replace(contact, channel="phone")
        return cls(contact.brand, kind, subject_id, contact if kind in OF_ONE_CONTACT else None)


@dataclass(frozen=True, slots=True)
class BusinessEvent:
    """What happened in a business system. ``fields`` has only the fields that the event gave.

    ``arrived_at`` is the bus's clock.
    """

    type: str
    subject: SubjectRef
    version: int
    arrived_at: datetime
    contact: Contact | None = None
    fields: Mapping[str, Json] = field(default_factory=dict)

    @property
    def track(self) -> str:
        """Return the track that it changes; each shipment of an order has its own, such as ``order:S1``."""
        track = EVENT_TYPES[self.type].track
        part = self.fields.get("part" if track == OPENER else "shipment_id")
        return f"{track}:{part}" if part is not None else track

    @property
    def rank(self) -> EventEffect:
        return EVENT_TYPES[self.type].rank

    @property
    def person(self) -> Contact | None:
        """Return the one person that the event is about; ``None`` if it is about all people of the subject."""
        return self.contact if self.subject.kind in OF_SEVERAL_PEOPLE else None

    @property
    def ends(self) -> bool:
        """Return whether it ends its track. An abandoned cart without items is an empty cart."""
        emptied = self.type == "CartAbandoned" and self.fields.get("items") == []
        return emptied or self.rank is EventEffect.UNDO


class VersionedValue(NamedTuple):
    """A field's value and the version of the event that gave it."""

    version: int
    value: Json
