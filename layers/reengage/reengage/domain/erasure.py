"""Which tracks of a subject belong to one contact: an erasure removes these, an export shows these.

A subject may name several contacts: one in each track, and others before the last change.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from .contact import Contact
from .subject import Subject, Track

Tracks = Mapping[str, Track]


def named_at(subject: Subject, contact: Contact) -> datetime:
    """Return the instant at which the subject last named the contact; without any name, its last event's."""
    instants = [track.contact_named_at for track in _all(subject) if track.contact == contact]
    return max(instants, default=subject.last_event_at)


def part_of(subject: Subject, contact: Contact) -> Subject | None:
    """Return the subject with the contact's tracks only; ``None`` if it names only other contacts."""
    if not _names_someone(subject):
        return subject
    tracks = {name: track for name, track in subject.tracks.items() if subject.contact_of(track) == contact}
    previous = {name: track for name, track in subject.previous.items() if track.contact in (None, contact)}
    if not tracks and not any(track.contact for track in previous.values()):
        return None
    return replace(subject, tracks=tracks, previous=previous)


def without_contact(subject: Subject, contact: Contact, until: datetime) -> Subject | None:
    """Remove the tracks whose contact was named at or before ``until``; ``None`` if no track is left.

    The same object is returned if there is nothing to remove.
    """
    if not _names_someone(subject):
        return None if subject.last_event_at <= until else subject
    tracks = {name: track for name, track in subject.tracks.items() if not _is_erased(subject, track, contact, until)}
    previous = {
        name: track
        for name, track in subject.previous.items()
        if not (track.contact == contact and track.contact_named_at <= until)
    }
    if not tracks:
        return None
    if tracks == subject.tracks and previous == subject.previous:
        return subject
    return replace(subject, tracks=tracks, previous=previous)


def names(subject: Subject | None, contact: Contact) -> bool:
    """Whether any track, now or before the last change, names the contact."""
    return subject is not None and any(track.contact == contact for track in _all(subject))


def _is_erased(subject: Subject, track: Track, contact: Contact, until: datetime) -> bool:
    """A track without a contact of its own belongs to the one that the newest other track names."""
    if subject.contact_of(track) != contact:
        return False
    return (track.contact_named_at if track.contact else named_at(subject, contact)) <= until


def _names_someone(subject: Subject) -> bool:
    return any(track.contact for track in _all(subject))


def _all(subject: Subject) -> list[Track]:
    return [*subject.tracks.values(), *subject.previous.values()]
