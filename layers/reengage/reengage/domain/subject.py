"""What business events are about: one appointment, trial or order, told by events that may come in any order.

A subject is the sum of what its events said, newest first, field by field: so the same events lead to the
same subject in whichever order they arrive, and however often.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from .contact import Contact
from .instants import EARLIEST, parse_instant

RETENTION: Final = timedelta(days=45)
"""A subject outlives every redrive (14 days) and replay (30 days) of its events."""

Json = Any
"""What ``json.loads`` can give: a field's value as the event brought it, already validated."""


class EventEffect(IntEnum):
    """At one second, an undoing event counts as later than a change, and a change as later than a beginning."""

    BEGIN = 0
    CHANGE = 1
    UNDO = 2


class EventType(NamedTuple):
    """How an event of one detail-type bears on its subject. ``at`` names the field that keeps when it happened."""

    kind: str
    track: str
    id_field: str
    rank: EventEffect
    at: str = ""


EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "AppointmentBooked": EventType("appointment", "appointment", "appointment_id", EventEffect.BEGIN),
        "AppointmentRescheduled": EventType("appointment", "appointment", "appointment_id", EventEffect.CHANGE),
        "AppointmentCancelled": EventType("appointment", "appointment", "appointment_id", EventEffect.UNDO),
        "CheckInCompleted": EventType("appointment", "check_in", "appointment_id", EventEffect.UNDO),
        "AppointmentConfirmed": EventType("appointment", "confirmation", "appointment_id", EventEffect.BEGIN),
        "TrialStarted": EventType("trial", "trial", "trial_id", EventEffect.BEGIN),
        "TrialExtended": EventType("trial", "trial", "trial_id", EventEffect.CHANGE),
        "TrialConverted": EventType("trial", "trial", "trial_id", EventEffect.UNDO),
        "TrialCancelled": EventType("trial", "trial", "trial_id", EventEffect.UNDO),
        "ProductViewed": EventType("product", "product", "product_id", EventEffect.BEGIN, at="viewed_at"),
        "ProductAddedToCart": EventType("product", "product", "product_id", EventEffect.UNDO),
        "CartAbandoned": EventType("cart", "cart", "cart_id", EventEffect.BEGIN, at="abandoned_at"),
        "CartCheckedOut": EventType("cart", "cart", "cart_id", EventEffect.UNDO),
        "OrderShipped": EventType("order", "order", "order_id", EventEffect.BEGIN, at="shipped_at"),
        "OrderDelivered": EventType("order", "review", "order_id", EventEffect.BEGIN, at="delivered_at"),
        "ReviewReceived": EventType("order", "review", "order_id", EventEffect.UNDO),
        "OrderReturned": EventType("order", "review", "order_id", EventEffect.UNDO),
        "InterestShown": EventType("interest", "interest", "item_id", EventEffect.BEGIN, at="shown_at"),
        "InterestWithdrawn": EventType("interest", "interest", "item_id", EventEffect.UNDO),
        "ItemBackInStock": EventType("item", "item", "item_id", EventEffect.BEGIN, at="back_at"),
        "ItemSoldOut": EventType("item", "item", "item_id", EventEffect.UNDO),
        "ProductPreviewAnnounced": EventType("announcement", "announcement", "announcement_id", EventEffect.BEGIN),
        "HolidayHoursAnnounced": EventType("announcement", "announcement", "announcement_id", EventEffect.BEGIN),
        "AnnouncementWithdrawn": EventType("announcement", "announcement", "announcement_id", EventEffect.UNDO),
    }
)

OF_ONE_CONTACT: Final = frozenset({"product", "interest"})
"""Kinds of which every contact has its own: many look at one product."""

OF_THE_BRAND: Final = frozenset({"item", "announcement"})
"""Kinds that are about nobody in particular."""


VERSIONS_A_SECOND: Final = 10_000_000
"""Ten ranks of a million microseconds."""


def version_of(occurred_at: datetime, rank: EventEffect) -> int:
    """A number that orders a family's events: by whole second, then rank, then the exact instant.

    Envelopes have whole seconds, so two events may tie; then the one that is heard last holds, since most arrive in
    the order in which they happened. A system that tells the instant itself has no ties.
    """
    second = int(occurred_at.replace(microsecond=0).timestamp())
    return second * VERSIONS_A_SECOND + rank * 1_000_000 + occurred_at.microsecond


@dataclass(frozen=True, slots=True)
class SubjectRef:
    """``of`` is whose it is, for the kinds of which every contact has its own."""

    brand: str
    kind: str
    id: str
    of: Contact | None = None

    @property
    def key(self) -> str:
        # An address, and an id, may hold any character: the "#" that ends the address is the first one there.
        whose = f"{self.of.channel}#{quote(self.of.address, safe='+')}#" if self.of else ""
        return f"SUBJECT#{self.brand}#{self.kind}#{whose}{self.id}"

    @classmethod
    def known_to(cls, contact: Contact, kind: str, subject_id: str) -> "SubjectRef":
        """The subject of that kind and id that a message to the contact, or a note under it, speaks of."""
        return cls(contact.brand, kind, subject_id, contact if kind in OF_ONE_CONTACT else None)


@dataclass(frozen=True, slots=True)
class BusinessEvent:
    """What a business system says happened. ``fields`` holds only what it said; nothing is a left-out field.

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
        return EVENT_TYPES[self.type].track

    @property
    def ends(self) -> bool:
        return EVENT_TYPES[self.type].rank is EventEffect.UNDO


class VersionedValue(NamedTuple):
    """A field's value and the version of the event that said so."""

    version: int
    value: Json


@dataclass(frozen=True, slots=True)
class Track:
    """One family's state: the newest event's version, whether that one undid it, and what all of them said.

    ``revision`` is the subject's, in its era, at the last change of this family. Its messages bear it, and so no two
    plans of one family can be taken for each other, whatever their events' versions.
    """

    version: int
    active: bool
    fields: Mapping[str, VersionedValue] = field(default_factory=dict)
    revision: int = 0
    named_at: datetime | None = None
    """The arrival of the newest event that named the contact; ``None`` for a track that an older version stored."""

    def get(self, name: str) -> Json:
        """The newest value of a field, or ``None`` where no event gave one."""
        held = self.fields.get(name)
        return held.value if held else None

    @property
    def contact(self) -> Contact | None:
        parts = self.get("contact")
        return Contact(*parts) if parts else None

    @property
    def contact_named_at(self) -> datetime:
        """When the track's contact was named: a later erasure takes the track, an earlier one leaves it."""
        if self.named_at is not None:
            return self.named_at
        held = self.fields.get("contact")
        return datetime.fromtimestamp(held.version // VERSIONS_A_SECOND, UTC) if held else EARLIEST

    def reflects(self, event: BusinessEvent) -> bool:
        """Whether the event is the newest one, or anything that it said still holds."""
        return event.version in {self.version, *(said.version for said in self.fields.values())}

    def apply(self, event: BusinessEvent) -> "Track":
        """This family with ``event``: an older event changes nothing that a newer one said."""
        fields = dict(event.fields)
        named_at = self.named_at
        if event.contact:
            fields["contact"] = [event.contact.brand, event.contact.channel, event.contact.address]
        values = dict(self.fields)
        for name, value in fields.items():
            if name not in values or event.version >= values[name].version:
                values[name] = VersionedValue(event.version, value)
                if name == "contact":
                    named_at = max(named_at or event.arrived_at, event.arrived_at)
        if event.version < self.version:
            return replace(self, fields=values, named_at=named_at)
        return replace(self, version=event.version, active=not event.ends, fields=values, named_at=named_at)


@dataclass(frozen=True, slots=True)
class Subject:
    """``previous`` is what ``families`` were before the last event that changed them: a planner that was cut short
    finds there what it had still to withdraw. ``expires_at`` (epoch seconds) only grows. ``revision`` counts the
    changes that were stored, for compare-and-set; ``heard_at`` is when what led to the last one arrived. ``era`` is
    when the subject was made, in milliseconds: one that was erased, or has expired, and is made anew must not give
    its families the revisions of the former again.
    """

    ref: SubjectRef
    tracks: Mapping[str, Track] = field(default_factory=dict)
    previous: Mapping[str, Track] = field(default_factory=dict)
    expires_at: int = 0
    revision: int = 0
    last_event_at: datetime = EARLIEST
    era: int = 0

    def contact_of(self, track: Track) -> Contact | None:
        """Whom the family speaks of; where no event of its own said so, the one that another family's newest named."""
        others = sorted(self.tracks.values(), key=lambda other: other.version, reverse=True)
        return next((contact for known in (track, *others) if (contact := known.contact)), None)

    def revision_of(self, track: Track) -> int:
        """As of which revision the family speaks of whom it speaks of."""
        if track.contact:
            return track.revision
        others = sorted(self.tracks.values(), key=lambda other: other.version, reverse=True)
        namer = next((known for known in others if known.contact), track)
        return max(track.revision, namer.revision)

    def is_undone(self, track: str, *, also_by: str = "") -> bool:
        """Whether the family's newest event undid it, or a later one of the family ``also_by``; or it is unknown."""
        known, other = self.tracks.get(track), self.tracks.get(also_by)
        if known is None or not known.active:
            return True
        return other is not None and not other.active and other.version > known.version

    def is_about(self, contact: Contact) -> bool:
        """Whether nobody else is known to be the one that it speaks of."""
        return all(track.contact in (None, contact) for track in self.tracks.values())

    def apply(self, event: BusinessEvent) -> "Subject":
        """This subject with ``event``; equal to ``self`` where the event said nothing new."""
        before = self.tracks.get(event.track, Track(version=-1, active=False))
        after = before.apply(event)
        if after == before:
            return self
        if replace(after, named_at=before.named_at) == before:
            # The event only names the contact again: no message of the track changes.
            return replace(self, tracks={**self.tracks, event.track: after})
        after = replace(after, revision=self.era + self.revision + 1)
        return replace(self, tracks={**self.tracks, event.track: after}, previous=self.tracks)


def starts_on(subject: Subject, day: date) -> bool:
    """Whether the subject is an appointment that starts on that day of UTC and is not cancelled."""
    track = subject.tracks.get("appointment")
    text = track.get("starts_at") if track and not subject.is_undone("appointment") else None
    return text is not None and parse_instant(text).astimezone(UTC).date() == day
