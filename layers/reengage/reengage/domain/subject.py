"""What business events are about: one appointment, trial or order. Its events may come in any order.

A subject is the sum of its events: of each field the newest value counts. So the same events lead to the same subject,
in any order and with any repeats.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any, Final

from .business_events import (
    EVENT_TYPES,
    OF_ONE_CONTACT,
    OF_SEVERAL_PEOPLE,
    OF_THE_BRAND,
    OPENER,
    OPENER_OF,
    OPENER_USED,
    BusinessEvent,
    EventEffect,
    EventType,
    SubjectRef,
    VersionedValue,
    version_of,
)
from .contact import Contact
from .instants import EARLIEST, parse_instant
from .reasons import REASONS, Reason
from .track import Track

__all__ = [
    "EVENT_TYPES",
    "OF_ONE_CONTACT",
    "OF_THE_BRAND",
    "OPENER",
    "OPENER_OF",
    "OPENER_USED",
    "RETENTION",
    "BusinessEvent",
    "EventEffect",
    "EventType",
    "Subject",
    "SubjectRef",
    "Track",
    "VersionedValue",
    "appointment_start",
    "starts_on",
    "version_of",
]

RETENTION: Final = timedelta(days=45)
"""A subject outlives every redrive (14 days) and replay (30 days) of its events."""

TRACKS_WITH_REASONS: Final = frozenset(reason.track for reason in REASONS.values())
"""Other tracks only note what happened, such as a check-in or a confirmation."""


FORMER: Final = "former"
"""The tracks of ``previous`` that have only a contact from before it are ``former:0`` and so on, newest first."""

MAX_FORMER: Final = 5
"""More contacts of one cart are not expected within the minutes until the last retry."""

DERIVED: Final = ("plans", "named_people", "by_contact")
"""What a subject derives from its tracks and aliases alone, once."""


@dataclass(frozen=True)
class Subject:
    """``previous`` is what ``tracks`` were before the last event that changed them. A planner that was cut short finds
    there what it had still to withdraw, and the contacts before that. ``expires_at`` (epoch seconds) only grows.
    ``revision`` counts the stored changes, for compare-and-set. ``last_event_at`` is the arrival of the event behind
    the last one. ``era`` is when the subject was made, in milliseconds: a subject that is erased or expires, and is
    made anew, gets other revisions.
    """

    ref: SubjectRef
    tracks: Mapping[str, Track] = field(default_factory=dict)
    previous: Mapping[str, Track] = field(default_factory=dict)
    expires_at: int = 0
    revision: int = 0
    last_event_at: datetime = EARLIEST
    era: int = 0
    aliases: Mapping[str, Contact] = field(default_factory=dict)

    @cached_property
    def by_contact(self) -> dict[Contact, "Subject"]:
        """What ``for_contact`` has made: a send asks for it some ten times."""
        return {}

    @cached_property
    def plans(self) -> dict[tzinfo | None, tuple[Any, ...]]:
        """What ``planning.planned_messages`` has derived, by default zone: a send asks for it three times."""
        return {}

    def with_bookkeeping(self, **changes: Any) -> "Subject":
        """Return the subject with other ``expires_at``, ``revision`` or ``last_event_at``.

        What was derived from its tracks stays: a plan is derived once for the planner and its store.
        """
        changed = replace(self, **changes)
        changed.__dict__.update({name: made for name in DERIVED if (made := self.__dict__.get(name)) is not None})
        return changed

    def contact_of(self, track: Track) -> Contact | None:
        """Return the contact that the track named last; if it named none, the newest of another track."""
        return next((contact for known in (track, *self._namers()) if (contact := known.contact)), None)

    def revision_of(self, track: Track) -> int:
        """Return the revision as of which the track is about its contact. For a subject as one contact sees it."""
        namer = track if track.contact else next((known for known in self._namers() if known.contact), track)
        use = self._opener_of(namer.contact) if namer.contact else None
        return max(track.revision, namer.revision, use.revision if use else 0)

    def reached_at(self, contact: Contact) -> Contact:
        """Return the address from which the person used an opener; else the contact that events name."""
        use = self._opener_of(contact)
        return use.contact or contact if use else contact

    def named_for(self, contact: Contact) -> Contact:
        """Return the contact that events name for the person who is reached at ``contact``."""
        if named := self.named_people.get(contact.person):
            return named
        return next((use.owner for use in self._opener_uses() if use.contact == contact and use.owner), contact)

    def _opener_of(self, contact: Contact) -> Track | None:
        uses = (use for use in self._opener_uses() if use.owner and use.owner.person == contact.person)
        return next(uses, None)

    def _opener_uses(self) -> list[Track]:
        return [track for name, track in self.tracks.items() if _is_opener(name)]

    def _namers(self) -> list[Track]:
        """Return the tracks, newest first; those of openers name only who has no other contact."""
        names = sorted(self.tracks, key=lambda name: (_is_opener(name), -self.tracks[name].version))
        return [self.tracks[name] for name in names]

    @property
    def newest_revision(self) -> int:
        """Return the revision of the last change that messages depend on."""
        return max((revision for track in self.tracks.values() for revision in track.revisions), default=0)

    @property
    def contacts(self) -> list[Contact]:
        """Return every contact that events name, also of people who left."""
        return list({person.contact: None for track in self._namers() for person in track.everyone.values()})

    @property
    def all_contacts(self) -> list[Contact]:
        """Return ``contacts``, and those before the last change."""
        return list(dict.fromkeys([*self.contacts, *replace(self, tracks=self.previous).contacts]))

    @cached_property
    def named_people(self) -> Mapping[str, Contact]:
        """Return the people that business events name; without any, those who used an opener."""
        uses = self._opener_uses()
        named = [person for track in self._namers() if track not in uses for person in track.everyone.values()]
        return {person.contact.person: person.contact for person in named} or {c.person: c for c in self.contacts}

    def for_contact(self, contact: Contact) -> "Subject":
        """Return the subject as it is for one of its people: each track has that one contact, or none.

        Tracks that are about other people only are left out. If only one person is known, it is about that one.
        """
        if self.ref.kind not in OF_SEVERAL_PEOPLE:
            return self
        if contact not in self.by_contact:
            view = self.by_contact[contact] = self._made_for(contact)
            view.by_contact[contact] = view
        return self.by_contact[contact]

    def _made_for(self, contact: Contact) -> "Subject":
        known, contact = self.named_people, self.named_for(contact)
        contact = self.aliases.get(contact.person, contact)
        if contact.person not in known and len(known) == 1:
            [contact] = known.values()
        tracks = {name: own for name in self.tracks if (own := self._of_person(name, contact.person))}
        return replace(self, tracks=tracks)

    def is_planned_elsewhere(self, contact: Contact) -> bool:
        """Return whether the person's messages are planned for another address that events name."""
        planned_for = {self.reached_at(named) for named in self.named_people.values()}
        return contact.person in self.aliases and contact not in planned_for

    def views(self) -> Iterator["Subject"]:
        """Yield the subject as it is for each of its people; a subject of one contact as it is."""
        if self.ref.kind not in OF_SEVERAL_PEOPLE:
            yield self
            return
        yield from map(self.for_contact, self.named_people.values())

    @property
    def only_view(self) -> "Subject | None":
        """Return the view of the only person, if it plans all that the subject plans; ``None`` if it may not."""
        if self.ref.kind not in OF_SEVERAL_PEOPLE or len(self.named_people) != 1 or self._opener_uses():
            return None
        [view] = self.views()
        return view

    def _of_person(self, name: str, person: str) -> Track | None:
        if _is_opener(name):
            return replace(self.tracks[name], for_all=None, people={})
        is_left_out = name.partition(":")[0] in TRACKS_WITH_REASONS and not self._is_in(name, person)
        return None if is_left_out else self.tracks[name].of_person(person)

    def _is_in(self, name: str, person: str) -> bool:
        """Whether the track is about the person: named in it, or all people are those of another track."""
        joined = self.tracks[name].joined
        if not joined or person in joined:
            return True
        others = (track for other, track in self.tracks.items() if other.partition(":")[0] in TRACKS_WITH_REASONS)
        return any(person in track.joined for track in others)

    def is_undone(self, track: str, *, also_by: str = "", ended_by: str = "") -> bool:
        """Whether the track is unknown or was ended by its own newest event; if it has several people, for all of them.

        A later event that ends the track ``also_by`` ends it, and any event of the track ``ended_by`` that is not
        older. "Later" is later than the last change of ``HISTORY_FIELD``: a room that changes asks for no new check-in.
        """
        if any(known.for_all for known in self.tracks.values()) and (views := list(self.views())):
            return all(view.is_undone(track, also_by=also_by, ended_by=ended_by) for view in views)
        known = self.tracks.get(track)
        if known is None or not known.is_active:
            return True
        undoing, ending = self.tracks.get(also_by), self.tracks.get(ended_by)
        undone = undoing is not None and not undoing.is_active and undoing.version > known.unchanged_since
        return undone or (ending is not None and ending.version >= known.version)

    def is_over(self, reason: Reason, track: str = "") -> bool:
        """Return whether the subject wants no message of this reason, or no longer.

        ``track`` is the reason's own if it is empty; it names one shipment of an order. A correction of a cancelled
        appointment is wanted as long as the appointment is cancelled.
        """
        if reason.correction == "cancelled":
            return not self.is_undone(reason.track)
        return self.is_undone(track or reason.track, also_by=reason.also_cancelled_by, ended_by=reason.ended_by)

    def reflects(self, event: BusinessEvent) -> bool:
        """Return whether the event still decides something, on its track or for people that only another track has."""
        track = self.tracks[event.track]
        is_about_others = track.is_newest_for_all(event) and not self.named_people.keys() <= track.everyone.keys()
        return track.reflects(event) or is_about_others

    def apply(self, event: BusinessEvent) -> "Subject":
        """Return this subject with ``event``; the same one if the event adds nothing."""
        before = self.tracks.get(event.track, Track(version=-1, active=False)).prepared_for(self.ref.kind)
        after = before.apply(event)
        if after == before:
            return self
        changed = replace(self, tracks={**self.tracks, event.track: after})
        if after.same_but_for_arrivals(before) or not changed.reflects(event):
            # The event only names the contact again, or adds a former value: no message of the track changes.
            return changed
        after = after.with_revision(self.era + self.revision + 1, event, before)
        return replace(
            self, tracks={**self.tracks, event.track: after}, previous={**self.tracks, **self._former_contacts()}
        )

    def _former_contacts(self) -> dict[str, Track]:
        """Return a track for each contact of ``previous`` that the subject does not name any more."""
        if self.ref.kind in OF_SEVERAL_PEOPLE:
            return {}  # people who left stay in their track
        gone = [track for track in self.previous.values() if track.contact and track.contact not in self.contacts]
        gone = sorted(gone, key=lambda track: track.fields["contact"].version, reverse=True)[:MAX_FORMER]
        return {f"{FORMER}:{number}": track.only_contact for number, track in enumerate(gone)}


def _is_opener(track: str) -> bool:
    return track.partition(":")[0] == OPENER


def appointment_start(subject: Subject) -> datetime | None:
    """Return when the appointment starts, in UTC; ``None`` if it is cancelled for all people, or has no start."""
    track = subject.tracks.get("appointment")
    text = track.get("starts_at") if track else None
    if text is None or subject.is_undone("appointment"):
        return None
    return parse_instant(text).astimezone(UTC)


def starts_on(subject: Subject, day: date) -> bool:
    """Return whether the subject is an appointment that starts on that day of UTC and is not cancelled."""
    starts_at = appointment_start(subject)
    return starts_at is not None and starts_at.date() == day
