"""Subjects, the links by which a contact's subjects are found, and brands."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any, Final

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.instants import iso, parse_instant
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue, appointment_start
from reengage.domain.track import ForAll, Person

from .base import CompactJSONAttribute, Item
from .contacts import audience_shard

SUBJECT: Final = "SUBJECT"


BRAND: Final = "BRAND"


class SubjectItem(Item, discriminator="subject"):
    """The interest of a contact in an item is in the audience of that item, until it expires."""

    tracks = CompactJSONAttribute(attr_name="families")
    previous = CompactJSONAttribute()
    revision = NumberAttribute()
    last_event_at = InstantAttribute(attr_name="heard_at")
    era = NumberAttribute()
    audience_shard = UnicodeAttribute(null=True)
    audience_day = UnicodeAttribute(null=True)


class SubjectLinkItem(Item, discriminator="subject_link"):
    """Under the contact: a subject that names it, and when it was last named."""

    named_at = InstantAttribute(attr_name="heard_at")


class BrandItem(Item, discriminator="brand"):
    values = CompactJSONAttribute(attr_name="said")
    versions = CompactJSONAttribute()
    revision = NumberAttribute()


def subject_sk(ref: SubjectRef) -> str:
    """Return the sort key of the link under a contact that the subject names."""
    return f"{SUBJECT}#{ref.kind}#{ref.id}"


def linked_ref(contact: Contact, item: Item) -> SubjectRef | None:
    """Return the subject that an item under the contact's key names; ``None`` for items of other kinds."""
    if not isinstance(item, SubjectLinkItem):
        return None
    _, kind, subject_id = item.sk.split("#", 2)
    return SubjectRef.known_to(contact, kind, subject_id)


def day_shard(brand: str, day: date) -> str:
    """Return the partition of the index ``audience`` with a brand's appointments of one day of UTC."""
    return f"{brand}#day#{day.isoformat()}"


def _appointment_day(subject: Subject) -> dict[str, Any]:
    """Return an appointment's entry in the index. It costs one write unit if it is booked, two if it moves."""
    starts_at = appointment_start(subject)
    if starts_at is None:
        return {}
    return {"audience_shard": day_shard(subject.ref.brand, starts_at.date()), "audience_day": iso(starts_at)}


def _audience_of(subject: Subject) -> dict[str, Any]:
    """Return the attributes that put a subject into the index ``audience``.

    An interest is under its last day, an appointment under its own day.
    """
    if subject.ref.kind == "appointment":
        return _appointment_day(subject)
    if subject.ref.kind != "interest" or subject.ref.of is None or subject.is_undone("interest"):
        return {}
    last_day = datetime.fromtimestamp(subject.expires_at, UTC).date()
    since = parse_instant(subject.tracks["interest"].get("shown_at"))
    return {
        "audience_shard": audience_shard(subject.ref.brand, subject.ref.of.shard, subject.ref.id),
        "audience_day": f"{last_day}#{iso(since)}",
    }


def subject_item(subject: Subject) -> SubjectItem:
    return SubjectItem(
        subject.ref.key,
        SUBJECT,
        tracks=tracks_json(subject.tracks),
        previous=tracks_json(subject.previous),
        revision=subject.revision + 1,
        last_event_at=subject.last_event_at,
        era=subject.era,
        expires_at=subject.expires_at,
        **_audience_of(subject),
    )


def to_subject(ref: SubjectRef, item: Item | None) -> Subject | None:
    if not isinstance(item, SubjectItem):
        return None
    return Subject(
        ref,
        _split_announcement(to_tracks(item.tracks)),
        _split_announcement(to_tracks(item.previous)),
        int(item.expires_at),
        int(item.revision),
        item.last_event_at,
        int(item.era),
    )


def tracks_json(tracks: Mapping[str, Track]) -> dict[str, Any]:
    return {
        name: {
            "version": track.version,
            "revision": track.revision,
            "active": track.active,
            **({"named_at": iso(track.named_at)} if track.named_at else {}),
            "said": {field: list(value) for field, value in track.fields.items()},
            **_optional_track_json(track),
        }
        for name, track in tracks.items()
    }


def to_tracks(stored: Mapping[str, Any]) -> dict[str, Track]:
    return {
        name: Track(
            track["version"],
            track["active"],
            {field: VersionedValue(version, value) for field, (version, value) in track["said"].items()},
            track["revision"],
            parse_instant(track["named_at"]) if "named_at" in track else None,
            track.get("began", -1),
            track.get("final", -1),
            tuple(VersionedValue(version, value) for version, value in track.get("history", ())),
            ForAll(*track.get("all", ())) if "all" in track or "later" in track else None,
            {person.contact.person: person for person in map(_to_person, track.get("people", ()))},
        ).with_first(track.get("later"))
        for name, track in stored.items()
    }


def _person_json(person: Person) -> list[Any]:
    contact = person.contact
    numbers = [person.joined, person.ended, person.first, person.revision, person.began, person.finally_ended]
    own = {name: list(value) for name, value in person.fields.items()}
    return [[contact.brand, contact.channel, contact.address], numbers, person.named_at and iso(person.named_at), own]


def _to_person(stored: list[Any]) -> Person:
    contact, (joined, ended, first, revision, began, final), named_at, own = stored
    return Person(
        Contact(*contact),
        joined,
        ended,
        first,
        revision,
        parse_instant(named_at) if named_at else None,
        began,
        final,
        {name: VersionedValue(*value) for name, value in own.items()},
    )


def _optional_track_json(track: Track) -> dict[str, Any]:
    """Return what only some tracks have: each byte counts, and old items have none of it."""
    optional: dict[str, Any] = {"began": track.began} if track.began >= 0 else {}
    if track.finally_ended >= 0:
        optional["final"] = track.finally_ended
    if track.history:
        optional["history"] = [list(point) for point in track.history]
    joined_after = track.joined_after
    if track.for_all and (track.for_all != ForAll() or joined_after is None):
        optional["all"] = list(track.for_all)
    if joined_after is not None:
        optional["later"] = joined_after
    elif track.people:
        optional["people"] = [_person_json(person) for person in track.people.values()]
    return optional


def _split_announcement(tracks: dict[str, Track]) -> dict[str, Track]:
    """Return the tracks of today. Older items have both announcements of one id in one track, ``announcement``."""
    old = tracks.get("announcement")
    if old is None or not old.active or {"preview", "holiday_hours"} & tracks.keys():
        return tracks
    names = {"preview": "title", "holiday_hours": "date"}
    return {name: old for name, field in names.items() if old.get(field) is not None} or tracks


def brand_pk(brand: str) -> str:
    return f"{BRAND}#{brand}"


def brand_item(brand: Brand) -> BrandItem:
    return BrandItem(
        brand_pk(brand.id),
        BRAND,
        values={name: getattr(brand, name) for name in brand.versions},
        versions=dict(brand.versions),
        revision=brand.revision + 1,
    )


BRAND_FIELDS: Final = frozenset(field.name for field in fields(Brand))


def to_brand(brand: str, item: Item | None) -> Brand | None:
    if not isinstance(item, BrandItem):
        return None
    # A field that a newer version of this code stored is left out.
    known = {name: value for name, value in item.values.items() if name in BRAND_FIELDS}
    return Brand(brand, **known, versions=item.versions, revision=int(item.revision))
