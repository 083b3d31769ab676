"""See linked addresses that events name for one subject as one person: one message, one state.

A subject stores each address by itself, because links come and go. Planner and sender merge the people.

| events name two addresses of one person | result |
|---|---|
| both are added | one message, planned for the one that any event named first, also one that ends |
| one is added, the other ended later | the subject has ended for the person |
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from .business_events import OF_SEVERAL_PEOPLE
from .contact import Contact
from .subject import Subject
from .track import Person, Track, newest_of

NEVER = float("inf")


def merge_people(subject: Subject, person: Collection[Contact]) -> Subject:
    """Return the subject with these addresses as one person; the same object if events name one of them at most."""
    return with_aliases(subject, aliases_of(subject, person))


def aliases_of(subject: Subject, person: Collection[Contact]) -> Mapping[str, Contact]:
    """Return the contact that messages are planned for, by the key of each other address that events name."""
    if subject.ref.kind not in OF_SEVERAL_PEOPLE or subject.aliases:
        return {}
    keys = {contact.person for contact in person}
    named = {key: contact for key, contact in subject.named_people.items() if key in keys}
    if len(named) < 2:  # noqa: PLR2004 - one address has no alias
        return {}
    first = min(named, key=lambda key: (_first_added(subject, key), key))
    return {key: named[first] for key in named if key != first}


def with_aliases(subject: Subject, aliases: Mapping[str, Contact]) -> Subject:
    """Return the subject with each address of ``aliases`` as the person of the contact; the same one without any."""
    if not aliases:
        return subject
    tracks = {name: _merged(track, aliases) for name, track in subject.tracks.items()}
    return replace(subject, tracks=tracks, aliases={**subject.aliases, **aliases})


def _first_added(subject: Subject, key: str) -> float:
    people = [track.everyone[key] for track in subject.tracks.values() if key in track.everyone]
    return min((person.first for person in people if person.joined >= 0), default=NEVER)


def _merged(track: Track, aliases: Mapping[str, Contact]) -> Track:
    if track.everyone.keys().isdisjoint(aliases):
        return track
    people: dict[str, Person] = {}
    for key, person in track.everyone.items():
        contact = aliases.get(key, person.contact)
        known = people.get(contact.person)
        people[contact.person] = replace(_both(known, person) if known else person, contact=contact)
    return replace(track, people=people)


def _both(one: Person, other: Person) -> Person:
    """Return the person of two addresses: the newest event about either decides."""
    named = [person.named_at for person in (one, other) if person.named_at]
    return replace(
        one,
        joined=max(one.joined, other.joined),
        ended=max(one.ended, other.ended),
        first=min(one.first, other.first),
        revision=max(one.revision, other.revision),
        named_at=max(named, default=None),
        began=max(one.began, other.began),
        finally_ended=max(one.finally_ended, other.finally_ended),
        fields=newest_of(one.fields, other.fields),
    )
