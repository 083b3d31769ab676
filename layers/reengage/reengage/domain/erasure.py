"""Which people of a subject are one contact: an erasure removes them, an export shows only them.

A subject may name several contacts: several people, one in each track, and others before the last change.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from .contact import Contact
from .subject import OPENER_OF, Subject, Track

Tracks = Mapping[str, Track]


def named_at(subject: Subject, contact: Contact) -> datetime:
    """Return the instant at which the subject last named the contact; without any name, its last event's."""
    people = (person for track in _all(subject) for person in track.everyone.values())
    return max((each.last_named_at for each in people if each.contact == contact), default=subject.last_event_at)


def part_of(subject: Subject, contact: Contact) -> Subject | None:
    """Return the subject with the contact's data only; ``None`` if it names only other contacts."""
    if not _names_someone(subject):
        return subject
    own, before = subject.for_contact(contact), replace(subject, tracks=subject.previous).for_contact(contact)
    tracks = {name: track for name, track in own.tracks.items() if own.contact_of(track) == contact}
    previous = {name: track for name, track in before.tracks.items() if track.contact in (None, contact)}
    tracks = {**_only_named(subject.tracks, contact), **tracks}
    previous = {**_only_named(subject.previous, contact), **previous}
    if not tracks and not any(track.contact for track in previous.values()):
        return None
    return replace(subject, tracks=_without_owners(tracks), previous=_without_owners(previous))


def _only_named(tracks: Tracks, contact: Contact) -> Tracks:
    """Return the name that each track has of the contact. Its other fields may be about other people."""
    named = {}
    for name, track in tracks.items():
        own = track.of_person(contact.person) if track.everyone else None
        if own and own.contact == contact:
            fields = {field: value for field, value in own.fields.items() if field == "contact"}
            named[name] = replace(own, fields=fields, history=())
    return named


def without_contact(subject: Subject, contact: Contact, until: datetime) -> Subject | None:
    """Remove the person whose contact was named at or before ``until``, and the tracks about that person alone.

    ``None`` if no track is left. The same object is returned if there is nothing to remove.
    """
    subject = _without_openers_of(subject, contact, until)
    if not _names_someone(subject):
        return None if subject.last_event_at <= until else subject
    is_all = _is_only(subject, contact) and named_at(subject, contact) <= until
    tracks = _left(subject.tracks, contact, until, keep_unnamed=not is_all)
    previous = _left(subject.previous, contact, until, keep_unnamed=True)
    if not tracks:
        return None
    if tracks == subject.tracks and previous == subject.previous:
        return subject
    return replace(subject, tracks=tracks, previous=previous)


def names(subject: Subject | None, contact: Contact) -> bool:
    """Whether any track, now or before the last change, names the contact."""
    return subject is not None and any(
        person.contact == contact for track in _all(subject) for person in track.everyone.values()
    )


def _left(tracks: Tracks, contact: Contact, until: datetime, *, keep_unnamed: bool) -> dict[str, Track]:
    """Return the tracks without the contact. A track without people of its own belongs to those of the others."""
    left = {}
    for name, track in tracks.items():
        if not track.everyone:
            rest = track if keep_unnamed else None
        else:
            rest = track.without_people(
                key
                for key, person in track.everyone.items()
                if person.contact == contact and person.last_named_at <= until
            )
        if rest:
            left[name] = rest
    return left


def _is_only(subject: Subject, contact: Contact) -> bool:
    return subject.contacts == [contact]


def _without_owners(tracks: Tracks) -> dict[str, Track]:
    """Leave out the person that an opener was made for: that may be another one than who used it."""
    return {
        name: replace(track, fields={field: value for field, value in track.fields.items() if field != OPENER_OF})
        for name, track in tracks.items()
    }


def _without_openers_of(subject: Subject, contact: Contact, until: datetime) -> Subject:
    """Remove the uses of openers that were made for the contact; the same object without any."""
    tracks, previous = (
        {name: track for name, track in each.items() if track.owner != contact or track.contact_named_at > until}
        for each in (subject.tracks, subject.previous)
    )
    if len(tracks) == len(subject.tracks) and len(previous) == len(subject.previous):
        return subject
    return replace(subject, tracks=tracks, previous=previous)


def _names_someone(subject: Subject) -> bool:
    return any(track.everyone for track in _all(subject))


def _all(subject: Subject) -> list[Track]:
    return [*subject.tracks.values(), *subject.previous.values()]
