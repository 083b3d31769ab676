"""The state of one track of a subject, and of the people in it.

| event | effect on the people of an appointment, a trial or an order |
|---|---|
| begins or changes, with a contact | adds the person; times and texts apply to all people |
| begins or changes, without a contact | applies to all people; brings back those that a cancellation of all ended |
| ends, with a contact | ends the track for that person |
| ends, without a contact | ends the track for all people |

The newest event that is about a person decides. Other kinds have one contact, the one that was named last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final, NamedTuple

from .business_events import (
    EVENT_TYPES,
    OF_SEVERAL_PEOPLE,
    OPENER_OF,
    VERSIONS_A_SECOND,
    BusinessEvent,
    Json,
    VersionedValue,
)
from .contact import Contact
from .instants import EARLIEST, parse_instant
from .zones import zone_if_witness

MAX_FIELDS: Final = 200
"""Fields of a track. A person may buy much: the oldest fields are dropped, so the item stays small."""

HISTORY_FIELD: Final = "starts_at"
"""The field of which a track keeps earlier values: a check-in or an answer is about one time of an appointment."""

HISTORY_LENGTH: Final = 20
"""Values; more reschedules than this of one appointment are not expected within its retention."""

PERSONAL_FIELDS: Final = frozenset({"check_in_url", "upgrade_url", "review_url"})
"""Links that may show a person's own data: if the event names a person, only that person gets the link."""

Fields = Mapping[str, VersionedValue]


class ForAll(NamedTuple):
    """The version of the newest event about all people, and whether it left the track active."""

    version: int = -1
    active: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a track. All numbers are versions of events that name the person, or -1.

    ``joined`` and ``ended`` are of the newest event that adds and ends; ``first`` is of the oldest one. ``began`` and
    ``finally_ended`` are as in ``Track``. ``revision`` is the subject's at the last change that concerns this person.
    """

    contact: Contact
    joined: int = -1
    ended: int = -1
    first: int = -1
    revision: int = 0
    named_at: datetime | None = None
    began: int = -1
    finally_ended: int = -1
    fields: Fields = field(default_factory=dict)

    @property
    def version(self) -> int:
        return max(self.joined, self.ended)

    @property
    def versions(self) -> set[int]:
        """Return the versions that decide whether the person takes part, or a field of the person's own."""
        deciding = {self.joined, self.ended, self.began, self.finally_ended}
        return deciding | {value.version for value in self.fields.values()}

    @property
    def last_named_at(self) -> datetime:
        """Return when the newest event that names the person arrived."""
        return self.named_at or datetime.fromtimestamp(self.version // VERSIONS_A_SECOND, UTC)

    def apply(self, event: BusinessEvent, fields: Mapping[str, Json]) -> "Person":
        assert event.contact is not None
        version, is_newest = event.version, event.version >= self.version
        event_type = EVENT_TYPES[event.type]
        return replace(
            self,
            contact=event.contact if is_newest else self.contact,
            joined=self.joined if event.ends else max(self.joined, version),
            ended=max(self.ended, version) if event.ends else self.ended,
            first=version if self.first < 0 else min(self.first, version),
            named_at=max(self.named_at or event.arrived_at, event.arrived_at) if is_newest else self.named_at,
            began=max(self.began, version) if event_type.renews else self.began,
            finally_ended=max(self.finally_ended, version) if event_type.final else self.finally_ended,
            fields=newest_fields(self.fields, fields, version),
        )


@dataclass(frozen=True)
class Track:
    """One track's state: the newest event's version, whether that event ended the track, and the newest fields.

    ``revision`` is the subject's, in its era, at the last change of this track that concerns all people. Messages carry
    it, so no two plans of one track have the same version, whatever their events' versions. ``began`` and
    ``finally_ended`` are the versions of the newest event that ``renews`` and of the newest ``final`` one. ``history``
    has the values of ``HISTORY_FIELD`` in order of version.

    ``for_all`` is ``None`` for a track of one contact: every event is about it. ``people`` is empty if all that is
    known of them follows from the field ``contact``; see ``everyone``.
    """

    version: int
    active: bool
    fields: Fields = field(default_factory=dict)
    revision: int = 0
    named_at: datetime | None = None
    """The arrival of the newest event that named the contact; ``None`` for a track that an older version stored."""
    began: int = -1
    finally_ended: int = -1
    history: tuple[VersionedValue, ...] = ()
    for_all: ForAll | None = None
    people: Mapping[str, Person] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Return whether the newest event that counts left the track active."""
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
        """Return the newest value of a field; ``None`` if no event gave one."""
        held = self.fields.get(name)
        return held.value if held else None

    @property
    def timezone(self) -> str | None:
        """Return the zone that events name; ``None`` for UTC, which systems send if they do not know the place's."""
        return zone_if_witness(self.get("timezone"))

    @property
    def contact(self) -> Contact | None:
        """Return the contact that was named last."""
        parts = self.get("contact")
        return Contact(*parts) if parts else None

    @property
    def only_contact(self) -> "Track":
        """Return the name of the contact without the rest; for a track that has one contact."""
        named = self.fields["contact"]
        return Track(named.version, active=False, fields={"contact": named}, named_at=self.named_at)

    @property
    def owner(self) -> Contact | None:
        """Return the contact whose opener was used, if this is the track of an opener."""
        parts = self.get(OPENER_OF)
        return Contact(*parts) if parts else None

    @property
    def contact_named_at(self) -> datetime:
        """Return when the track's contact was named: only a later erasure removes the track."""
        if self.named_at is not None:
            return self.named_at
        held = self.fields.get("contact")
        return datetime.fromtimestamp(held.version // VERSIONS_A_SECOND, UTC) if held else EARLIEST

    @cached_property
    def everyone(self) -> Mapping[str, Person]:
        """Return each person that events of the track name, by the person's key; also those who left."""
        return self.people or self._only_person()

    @cached_property
    def joined(self) -> set[str]:
        """Return the keys of the people that an event added, also of those who left."""
        return {key for key, person in self.everyone.items() if person.joined >= 0}

    def _only_person(self) -> dict[str, Person]:
        contact = self.contact
        if contact is None:
            return {}
        version = self.fields["contact"].version
        own = {name: value for name, value in self.fields.items() if name in PERSONAL_FIELDS}
        named = Person(contact, version, -1, version, self.revision, self.named_at)
        return {contact.person: named if self.for_all else replace(named, fields=own)}

    @property
    def joined_after(self) -> int | None:
        """Return by how much the only person's ``joined`` is later than ``first``. A short number keeps the item short.

        ``None`` if more of ``people`` is needed, because it does not follow from the field ``contact``.
        """
        if self.for_all is None or not self.everyone:
            return None
        if not self.people:
            return 0
        people = {key: replace(person, first=person.joined) for key, person in self.people.items()}
        if len(people) != 1 or people != replace(self, people={}).everyone:
            return None
        [person] = self.people.values()
        return person.joined - person.first

    def with_first(self, joined_after: int | None) -> "Track":
        """Return the track with ``first`` of its only person; the opposite of ``joined_after``."""
        if not joined_after:
            return self
        people = {key: replace(person, first=person.joined - joined_after) for key, person in self.everyone.items()}
        return replace(self, people=people)

    @property
    def revisions(self) -> list[int]:
        return [self.revision, *(person.revision for person in self.people.values())]

    def of_person(self, person: str) -> "Track | None":
        """Return the track as it is for one person, as a track of one contact.

        ``None`` if no event of the track is about this person.
        """
        if not self.everyone:
            return replace(self, for_all=None)
        known, for_all = self.everyone.get(person), self._for_all
        fields = {name: value for name, value in self.fields.items() if name != "contact"}
        if known is None:
            plain = replace(self, for_all=None, people={}, named_at=None, fields=fields)
            return replace(plain, version=for_all.version, active=for_all.active) if for_all.version >= 0 else None
        contact = known.contact
        named = {"contact": VersionedValue(known.version, [contact.brand, contact.channel, contact.address])}
        return Track(
            version=max(for_all.version, known.version),
            active=self._takes_part(person, known),
            fields=newest_of(fields, known.fields) | named,
            revision=max(self.revision, known.revision),
            named_at=known.named_at,
            began=max(self.began, known.began),
            finally_ended=max(self.finally_ended, known.finally_ended),
            history=self.history,
        )

    @property
    def _for_all(self) -> ForAll:
        return self.for_all or ForAll(self.version, self.active)

    def _takes_part(self, key: str, person: Person) -> bool:
        for_all = self._for_all
        if person.joined > person.ended:
            return for_all.active or person.joined > for_all.version
        # A newer event about all brings back the person who was the only one then.
        others = (other for name, other in self.everyone.items() if name != key)
        is_newer = for_all.active and for_all.version > person.ended
        return is_newer and all(other.first > for_all.version for other in others)

    def is_newest_for_all(self, event: BusinessEvent) -> bool:
        """Return whether no newer event is about all people."""
        return event.version == self._for_all.version

    def reflects(self, event: BusinessEvent) -> bool:
        """Return whether the event is the newest, or still decides a field, ``is_active`` or ``unchanged_since``."""
        deciding = {self.version, self.began, self.finally_ended}
        people, for_all = self.everyone.values(), self._for_all
        if any(person.version <= for_all.version for person in people):
            deciding.add(for_all.version)
        if len(people) > 1:
            deciding |= {person.first for person in people}  # whether another one was the only person then
        deciding |= {value.version for value in self.fields.values()}
        deciding |= {version for person in self.people.values() for version in person.versions}
        return event.version in deciding or self._without(event).unchanged_since != self.unchanged_since

    def _without(self, event: BusinessEvent) -> "Track":
        """Return the track as if its history did not have the event's value."""
        return replace(self, history=tuple(point for point in self.history if point.version != event.version))

    def prepared_for(self, kind: str) -> "Track":
        """Return the same track in the form in which it can have several people, if its kind may have some."""
        if kind not in OF_SEVERAL_PEOPLE or self.for_all is not None:
            return self
        if self.version < 0:
            return replace(self, for_all=ForAll())
        people = self.everyone
        own = {name for person in people.values() for name in person.fields}
        fields = {name: value for name, value in self.fields.items() if name not in own}
        return replace(self, for_all=self._for_all, fields=fields).with_people(people)

    def apply(self, event: BusinessEvent) -> "Track":
        """Return this track with ``event``: an older event changes nothing that a newer one gave."""
        base = self.prepared_for(event.subject.kind)
        own = {name: value for name, value in event.fields.items() if event.person and name in PERSONAL_FIELDS}
        given = {name: value for name, value in event.fields.items() if name not in own}
        named_at = base.named_at
        if event.contact:
            given["contact"] = [event.contact.brand, event.contact.channel, event.contact.address]
            if "contact" not in base.fields or event.version >= base.fields["contact"].version:
                named_at = max(named_at or event.arrived_at, event.arrived_at)
        values = newest_fields(base.fields, given, event.version)
        if len(values) > MAX_FIELDS:
            values = dict(sorted(values.items(), key=lambda item: item[1].version)[-MAX_FIELDS:])
        after = replace(base, fields=values, named_at=named_at, history=base.history_with(event))
        if event.version >= base.version:
            after = replace(after, version=event.version, active=not event.ends)
        if event.person:
            before = base.everyone.get(event.person.person, Person(event.person))
            return after.with_people({**base.everyone, event.person.person: before.apply(event, own)})
        return after.with_people(base.everyone).apply_to_all(event)

    def apply_to_all(self, event: BusinessEvent) -> "Track":
        event_type = EVENT_TYPES[event.type]
        after = replace(
            self,
            began=max(self.began, event.version) if event_type.renews else self.began,
            finally_ended=max(self.finally_ended, event.version) if event_type.final else self.finally_ended,
        )
        if after.for_all is None or event.version < after.for_all.version:
            return after
        return replace(after, for_all=ForAll(event.version, not event.ends))

    def with_people(self, people: Mapping[str, Person]) -> "Track":
        """Store the people, unless they follow from the field ``contact``."""
        if self.for_all is None:
            return self
        plain = replace(self, people={})
        return plain if people == plain.everyone else replace(self, people=people)

    def with_revision(self, revision: int, event: BusinessEvent, before: "Track") -> "Track":
        """Return the track as of a change by ``event``. Other people keep theirs if nothing changes for them."""
        if self.for_all is None or event.person is None:
            return replace(self, revision=revision)
        key = event.person.person
        everyone = {**self.everyone, key: replace(self.everyone[key], revision=revision)}
        is_shared = len(everyone) == 1 or before.version < 0 or self.shared_values() != before.shared_values()
        return replace(self, revision=revision if is_shared else self.revision).with_people(everyone)

    def shared_values(self) -> dict[str, Json]:
        return {name: held.value for name, held in self.fields.items() if name != "contact"}

    def same_but_for_arrivals(self, other: "Track") -> bool:
        """Whether the two differ at most in when their people were named."""
        return _without_arrivals(self) == _without_arrivals(other)

    def history_with(self, event: BusinessEvent) -> tuple[VersionedValue, ...]:
        value = event.fields.get(HISTORY_FIELD)
        if value is None:
            return self.history
        known = self.history or ((self.fields[HISTORY_FIELD],) if HISTORY_FIELD in self.fields else ())
        others = [point for point in known if point.version != event.version]
        return tuple(sorted([*others, VersionedValue(event.version, value)]))[-HISTORY_LENGTH:]

    def without_people(self, gone: Iterable[str]) -> "Track | None":
        """Return the track without these people; ``None`` if no one else is left of those it named."""
        gone = set(gone)
        left = {key: person for key, person in self.everyone.items() if key not in gone}
        if len(left) == len(self.everyone):
            return self
        if not left:
            return None
        last = max(left.values(), key=lambda person: person.version)
        named = [last.contact.brand, last.contact.channel, last.contact.address]
        fields = {**self.fields, "contact": VersionedValue(last.version, named)}
        return replace(self, fields=fields, named_at=last.named_at, people={}).with_people(left)


def newest_fields(known: Fields, given: Mapping[str, Json], version: int) -> dict[str, VersionedValue]:
    """Return the fields with those of an event of that version: an older value replaces none."""
    return newest_of(known, {name: VersionedValue(version, value) for name, value in given.items()})


def newest_of(known: Fields, others: Fields) -> dict[str, VersionedValue]:
    values = dict(known)
    for name, value in others.items():
        if name not in values or value.version >= values[name].version:
            values[name] = value
    return values


def _without_arrivals(track: Track) -> Track:
    people = {key: replace(person, named_at=None) for key, person in track.everyone.items()}
    return replace(track, named_at=None, people=people)
