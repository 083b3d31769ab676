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
from .reasons import Reason

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
    """How an event of one detail-type changes its subject.

    ``at`` names the field that keeps when it happened. ``final``: only a later BEGIN event makes the track active
    again, not a CHANGE.
    """

    kind: str
    track: str
    id_field: str
    rank: EventEffect
    at: str = ""
    final: bool = False


EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "AppointmentBooked": EventType("appointment", "appointment", "appointment_id", EventEffect.BEGIN),
        "AppointmentRescheduled": EventType("appointment", "appointment", "appointment_id", EventEffect.CHANGE),
        "AppointmentCancelled": EventType("appointment", "appointment", "appointment_id", EventEffect.UNDO),
        "CheckInCompleted": EventType("appointment", "check_in", "appointment_id", EventEffect.UNDO),
        "AppointmentConfirmed": EventType("appointment", "confirmation", "appointment_id", EventEffect.BEGIN),
        "TrialStarted": EventType("trial", "trial", "trial_id", EventEffect.BEGIN),
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
        "ReviewReceived": EventType("order", "review", "order_id", EventEffect.UNDO),
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

TRACKS_WITH_AN_END: Final = frozenset(event_type.track for event_type in EVENT_TYPES.values() if event_type.final)

OF_ONE_CONTACT: Final = frozenset({"product", "interest", "purchase"})
"""Kinds of which every contact has its own: many look at one product."""

OF_ONE_PERSON: Final = frozenset({"purchase"})
"""Kinds of which a phone number has one, whatever the channel."""

MAX_FIELDS: Final = 200
"""Of a track: a person may buy much. The oldest fields are dropped, and the item stays small."""

OF_THE_BRAND: Final = frozenset({"item", "announcement"})
"""Kinds that are about nobody in particular."""


VERSIONS_A_SECOND: Final = 10_000_000
"""Room within a second: see ``version_of``."""

HISTORY_FIELD: Final = "starts_at"
"""The field of which a track keeps earlier values: a check-in or an answer is about one time of an appointment."""

HISTORY_LENGTH: Final = 20
"""Values; more reschedules than this of one appointment are not expected within its retention."""


def version_of(occurred_at: datetime, rank: EventEffect, *, exact: bool | None = None) -> int:
    """Return a number that orders a track's events.

    By whole second; within a second by the instant if both are ``exact``, that is given with a fraction of a second;
    an event without a fraction goes before these if it begins or changes, and after these if it undoes. Of events that
    tie, the last one to arrive counts. ``exact`` defaults to "has microseconds".
    """
    second = int(occurred_at.replace(microsecond=0).timestamp()) * VERSIONS_A_SECOND
    if exact is None:
        exact = occurred_at.microsecond > 0
    if exact:
        return second + 2_000_000 + occurred_at.microsecond * 3 + rank
    return second + (9_000_000 if rank is EventEffect.UNDO else rank * 1_000_000)


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
        if kind in OF_ONE_PERSON and contact.address.startswith("+"):
            contact = replace(contact, channel="phone")
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
        """Return the track that it changes; each shipment of an order has its own, such as ``order:S1``."""
        track, shipment = EVENT_TYPES[self.type].track, self.fields.get("shipment_id")
        return f"{track}:{shipment}" if shipment is not None else track

    @property
    def rank(self) -> EventEffect:
        return EVENT_TYPES[self.type].rank

    @property
    def ends(self) -> bool:
        """Whether it ends its track. An abandoned cart without items is an empty cart."""
        emptied = self.type == "CartAbandoned" and self.fields.get("items") == []
        return emptied or self.rank is EventEffect.UNDO


class VersionedValue(NamedTuple):
    """A field's value and the version of the event that said so."""

    version: int
    value: Json


@dataclass(frozen=True, slots=True)
class Track:
    """One track's state: the newest event's version, whether that event ended the track, and the newest fields.

    ``revision`` is the subject's, in its era, at the last change of this track. Its messages carry it, so no two plans
    of one track have the same version, whatever their events' versions. ``began`` and ``finally_ended`` are the
    versions of the newest BEGIN event and of the newest ``final`` one. ``history`` has the values of
    ``HISTORY_FIELD`` in order of version.
    """

    version: int
    active: bool
    fields: Mapping[str, VersionedValue] = field(default_factory=dict)
    revision: int = 0
    named_at: datetime | None = None
    """The arrival of the newest event that named the contact; ``None`` for a track that an older version stored."""
    began: int = -1
    finally_ended: int = -1
    history: tuple[VersionedValue, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether the newest event that counts did not end the track."""
        return self.active and self.finally_ended <= self.began

    @property
    def former_time(self) -> datetime | None:
        """Return the newest value of ``HISTORY_FIELD`` that is another instant than now."""
        times = [parse_instant(point.value) for point in self.history]
        return next((time for time in reversed(times) if time != times[-1]), None)

    @property
    def unchanged_since(self) -> int:
        """Return the version since which ``HISTORY_FIELD`` is the same instant; without it, of the newest event."""
        if not self.history:
            return self.version
        newest = parse_instant(self.history[-1].value)
        since = self.history[-1].version
        for version, value in reversed(self.history):
            if parse_instant(value) != newest:
                break
            since = version
        return since

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
        """Whether the event is the newest one, or still decides a field, whether the track is active, or
        ``unchanged_since``.
        """
        deciding = {self.version, self.began, self.finally_ended}
        return event.version in deciding | {value.version for value in self.fields.values()} or (
            self._without(event).unchanged_since != self.unchanged_since
        )

    def _without(self, event: BusinessEvent) -> "Track":
        """Return the track as if its history did not have the event's value."""
        return replace(self, history=tuple(point for point in self.history if point.version != event.version))

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
        if len(values) > MAX_FIELDS:
            values = dict(sorted(values.items(), key=lambda item: item[1].version)[-MAX_FIELDS:])
        event_type = EVENT_TYPES[event.type]
        is_final, begins = event_type.final, event.rank is EventEffect.BEGIN and event_type.track in TRACKS_WITH_AN_END
        after = replace(
            self,
            fields=values,
            named_at=named_at,
            began=max(self.began, event.version) if begins else self.began,
            finally_ended=max(self.finally_ended, event.version) if is_final else self.finally_ended,
            history=self._history_with(event),
        )
        if event.version < self.version:
            return after
        return replace(after, version=event.version, active=not event.ends)

    def _history_with(self, event: BusinessEvent) -> tuple[VersionedValue, ...]:
        value = event.fields.get(HISTORY_FIELD)
        if value is None:
            return self.history
        known = self.history or ((self.fields[HISTORY_FIELD],) if HISTORY_FIELD in self.fields else ())
        others = [point for point in known if point.version != event.version]
        return tuple(sorted([*others, VersionedValue(event.version, value)]))[-HISTORY_LENGTH:]


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

    def is_undone(self, track: str, *, also_by: str = "", ended_by: str = "") -> bool:
        """Whether the track is unknown or was ended: by its own newest event, by a later event that ends the track
        ``also_by``, or by any later event of the track ``ended_by``.

        "Later" is later than the last change of ``HISTORY_FIELD``, if the track has it: a room that changes asks for no
        new check-in.
        """
        known = self.tracks.get(track)
        if known is None or not known.is_active:
            return True
        undoing, ending = self.tracks.get(also_by), self.tracks.get(ended_by)
        undone = undoing is not None and not undoing.is_active and undoing.version > known.unchanged_since
        return undone or (ending is not None and ending.version > known.version)

    def is_over(self, reason: Reason, track: str = "") -> bool:
        """Whether the subject does not want messages of this reason any more, or never did. ``track``: if not the
        reason's own, one of its parts. A correction of a cancelled appointment is wanted as long as it is cancelled.
        """
        if reason.correction == "cancelled":
            return not self.is_undone(reason.track)
        return self.is_undone(track or reason.track, also_by=reason.also_cancelled_by, ended_by=reason.ended_by)

    def is_about(self, contact: Contact) -> bool:
        """Whether nobody else is known to be the one that it speaks of."""
        return all(track.contact in (None, contact) for track in self.tracks.values())

    def apply(self, event: BusinessEvent) -> "Subject":
        """This subject with ``event``; equal to ``self`` where the event said nothing new."""
        before = self.tracks.get(event.track, Track(version=-1, active=False))
        after = before.apply(event)
        if after == before:
            return self
        if replace(after, named_at=before.named_at) == before or not after.reflects(event):
            # The event only names the contact again, or adds a former value: no message of the track changes.
            return replace(self, tracks={**self.tracks, event.track: after})
        after = replace(after, revision=self.era + self.revision + 1)
        return replace(self, tracks={**self.tracks, event.track: after}, previous=self.tracks)


def starts_on(subject: Subject, day: date) -> bool:
    """Whether the subject is an appointment that starts on that day of UTC and is not cancelled."""
    track = subject.tracks.get("appointment")
    text = track.get("starts_at") if track and not subject.is_undone("appointment") else None
    return text is not None and parse_instant(text).astimezone(UTC).date() == day
