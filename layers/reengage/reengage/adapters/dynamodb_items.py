"""The items of the one table: their attributes, their keys, and how they become the domain's values and back."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

from pynamodb.attributes import (
    DiscriminatorAttribute,
    JSONAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute
from pynamodb.models import Model

from reengage.domain.brand import Brand
from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import BroadcastShard, Recipient, ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, expiry
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import ONCE, GivenAnswer, ScheduledMessage, State
from reengage.domain.preferences import Choice, Choices, Erasure, Link, Preferences
from reengage.domain.reasons import REASONS, Category, Priority, SendGroup
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue


class CompactJSONAttribute(JSONAttribute):
    """Without the spaces that pynamodb's has: each write of a row over 1,024 bytes costs twice."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Item(Model):
    """What every item of the table has. ``expires_at`` is the TTL attribute: epoch seconds; without it, it stays."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    type = DiscriminatorAttribute()
    expires_at = NumberAttribute(null=True)


class ProfileItem(Item, discriminator="contact"):
    first_seen_at = InstantAttribute()
    last_seen_at = InstantAttribute()
    locale = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(null=True)
    display_name = UnicodeAttribute(null=True)


class ConversationItem(Item, discriminator="conversation"):
    """``audience_shard`` and ``audience_day`` put it into the index of the brand's open conversations: they change, and
    are written there, only when the window comes to close on another day.
    """

    audience_shard = UnicodeAttribute()
    audience_day = UnicodeAttribute()
    last_inbound_at = InstantAttribute()
    previous_inbound_at = InstantAttribute(null=True)
    opened_by = UnicodeAttribute()
    opening = UnicodeAttribute()
    warned_expires_at = NumberAttribute(attr_name="told_to_close", null=True)
    agent_replied_at = InstantAttribute(null=True)


class InboundMessageItem(Item, discriminator="inbound_message"):
    sent_at = InstantAttribute()
    text = UnicodeAttribute()
    kind = UnicodeAttribute(default="text")


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


class PreferencesItem(Item, discriminator="preferences"):
    contact = CompactJSONAttribute()
    marketing = CompactJSONAttribute()
    erasures = CompactJSONAttribute()
    links = CompactJSONAttribute(null=True)
    moved_at = InstantAttribute(null=True)
    revision = NumberAttribute()


class BrandItem(Item, discriminator="brand"):
    said = CompactJSONAttribute()
    versions = CompactJSONAttribute()
    revision = NumberAttribute()


class PlacesItem(Item, discriminator="places"):
    taken = CompactJSONAttribute()
    revision = NumberAttribute()


class PaceItem(Item, discriminator="pace"):
    """``free_at``: epoch microseconds from which on the channel is not reserved."""

    free_at = NumberAttribute()


class BreakerItem(Item, discriminator="breaker"):
    """The open circuit breaker of a route."""

    opened_at = InstantAttribute()
    probe_at = InstantAttribute()


class ScheduledMessageItem(Item, discriminator="scheduled_message"):
    """``due_shard`` is there only while the message is due some day: it is what puts the row into the index.

    Contact, reason, subject, step and instant stand in the keys.
    """

    due_shard = UnicodeAttribute(null=True)
    due_at = InstantAttribute()
    valid_until = InstantAttribute(attr_name="useful_until")
    version = NumberAttribute()
    planned_at = InstantAttribute()
    planned_due_at = InstantAttribute(attr_name="first_due_at", null=True)
    hold_rules = UnicodeAttribute(attr_name="held_by", null=True)
    scheduled_message_id = UnicodeAttribute()
    state = UnicodeAttribute()
    rule = UnicodeAttribute(null=True)
    facts = CompactJSONAttribute(null=True)
    attempts = NumberAttribute(null=True)
    claim_id = UnicodeAttribute(null=True)
    claimed_at = InstantAttribute(null=True)
    settled_at = InstantAttribute(null=True)
    provider = UnicodeAttribute(null=True)
    provider_message_id = UnicodeAttribute(null=True)
    error = UnicodeAttribute(null=True)
    last_receipt_id = UnicodeAttribute(attr_name="receipt", null=True)
    text = UnicodeAttribute(null=True)
    locale = UnicodeAttribute(null=True)
    template = UnicodeAttribute(null=True)

    answer = CompactJSONAttribute(null=True)


Row = ScheduledMessageItem


class BroadcastPartItem(Item, discriminator="broadcast_part"):
    """Beside its subject; due like a message. ``tally`` counts the outcomes of its messages."""

    due_shard = UnicodeAttribute(null=True)
    due_at = InstantAttribute()
    valid_until = InstantAttribute(attr_name="useful_until")
    version = NumberAttribute()
    state = UnicodeAttribute()
    cursor = UnicodeAttribute(null=True)
    planned = NumberAttribute()
    tally = MapAttribute[str, int]()  # type: ignore[no-untyped-call]  # pynamodb's own gap


CONTACT: Final = "CONTACT"
CONVERSATION: Final = "CONVERSATION"
SUBJECT: Final = "SUBJECT"
SCHEDULED: Final = "SCHEDULED"
PREFERENCES: Final = "PREFERENCES"
BRAND: Final = "BRAND"
PACE: Final = "PACE"
BREAKER: Final = "BREAKER"

BREAKER_RETENTION: Final = timedelta(days=7)
"""How long the breaker of a route outlives its last probe: the route may be gone from the parameter."""

STORED_AT: Final[Mapping[type[Item], str]] = {
    ProfileItem: "last_seen_at",
    ConversationItem: "last_inbound_at",
    InboundMessageItem: "sent_at",
    ScheduledMessageItem: "planned_at",
    SubjectLinkItem: "named_at",
}
"""For each kind of item under a contact's key, the attribute that an erasure compares with its own instant."""


def message_sk(message_id: str) -> str:
    return f"MESSAGE#{message_id}"


def brand_pk(brand: str) -> str:
    return f"{BRAND}#{brand}"


def places_sk(category: Category) -> str:
    return f"CAP#{category}"


def linked(contact: Contact, item: Item) -> SubjectRef | None:
    if not isinstance(item, SubjectLinkItem):
        return None
    _, kind, subject_id = item.sk.split("#", 2)
    return SubjectRef.known_to(contact, kind, subject_id)


def _choices_json(choices: Choices) -> dict[str, Any]:
    return {
        scope: [choice.allowed, choice.at.isoformat(), choice.cause, choice.changed]
        for scope, choice in choices.items()
    }


def _choices(stored: Mapping[str, Any]) -> Choices:
    return {
        scope: Choice(allowed, parse_instant(at), cause, changed)
        for scope, (allowed, at, cause, changed) in stored.items()
    }


def preferences_item(pk: str, preferences: Preferences) -> PreferencesItem:
    return PreferencesItem(
        pk,
        PREFERENCES,
        contact=_choices_json(preferences.contact),
        marketing=_choices_json(preferences.marketing),
        erasures={
            channel: [erasure.asked_at.isoformat(), erasure.at.isoformat()]
            for channel, erasure in preferences.erasures.items()
        },
        links={key: [iso(link.at), link.channel] for key, link in preferences.links.items()} or None,
        moved_at=preferences.moved_at,
        revision=preferences.revision + 1,
        expires_at=preferences.expires_at,
    )


def to_preferences(item: Item | None) -> Preferences:
    if not isinstance(item, PreferencesItem):
        return Preferences()
    erasures = {channel: Erasure(*map(parse_instant, instants)) for channel, instants in item.erasures.items()}
    links = {key: Link(parse_instant(at), channel) for key, (at, channel) in (item.links or {}).items()}
    choices = _choices(item.contact), _choices(item.marketing)
    return Preferences(*choices, erasures, int(item.revision), links, item.moved_at)


def brand_item(brand: Brand) -> BrandItem:
    return BrandItem(
        brand_pk(brand.id),
        BRAND,
        said={name: getattr(brand, name) for name in brand.versions},
        versions=dict(brand.versions),
        revision=brand.revision + 1,
    )


BRAND_FIELDS: Final = frozenset(field.name for field in fields(Brand))


def to_brand(brand: str, item: Item | None) -> Brand | None:
    if not isinstance(item, BrandItem):
        return None
    # A field that a newer version of this code stored is left out.
    known = {name: value for name, value in item.said.items() if name in BRAND_FIELDS}
    return Brand(brand, **known, versions=item.versions, revision=int(item.revision))


def places_item(message: ScheduledMessage, cap_usage: CapUsage, *, revision: int, expires_at: int) -> PlacesItem:
    return PlacesItem(
        message.contact.key,
        places_sk(message.reason_spec.category),
        taken=taken_json(cap_usage),
        revision=revision,
        expires_at=expires_at,
    )


def breaker_item(route: str, breaker: Breaker) -> BreakerItem:
    return BreakerItem(
        f"{BREAKER}#{route}",
        BREAKER,
        opened_at=breaker.opened_at,
        probe_at=breaker.probe_at,
        expires_at=expiry(breaker.probe_at + BREAKER_RETENTION),
    )


def to_breaker(item: Item | None) -> Breaker | None:
    return Breaker(item.opened_at, item.probe_at) if isinstance(item, BreakerItem) else None


def taken_json(cap_usage: CapUsage) -> dict[str, str]:
    """In one order, since it is compared as text."""
    return {message_id: iso(at) for message_id, at in sorted(cap_usage.taken.items())}


def to_places(item: Item | None) -> CapUsage:
    if not isinstance(item, PlacesItem):
        return CapUsage()
    return CapUsage({message_id: parse_instant(at) for message_id, at in item.taken.items()}, int(item.revision))


def profile_item(contact: Contact, profile: Profile) -> ProfileItem:
    return ProfileItem(
        contact.key,
        CONTACT,
        first_seen_at=profile.first_seen_at,
        last_seen_at=profile.last_seen_at,
        locale=profile.locale,
        timezone=profile.timezone,
        display_name=profile.display_name,
        expires_at=profile.expires_at,
    )


def to_profile(item: Item | None) -> Profile | None:
    if not isinstance(item, ProfileItem):
        return None
    return Profile(
        item.first_seen_at,
        item.last_seen_at,
        int(item.expires_at),
        item.locale,
        item.timezone,
        item.display_name,
    )


def conversation_item(contact: Contact, conversation: Conversation) -> ConversationItem:
    return ConversationItem(
        contact.key,
        CONVERSATION,
        audience_shard=audience_shard(contact.brand, contact.shard),
        audience_day=conversation.closes_at.astimezone(UTC).date().isoformat(),
        warned_expires_at=conversation.warned_expires_at,
        agent_replied_at=conversation.agent_replied_at,
        last_inbound_at=conversation.last_inbound_at,
        previous_inbound_at=conversation.previous_inbound_at,
        opened_by=conversation.opened_by,
        opening=conversation.opening,
        expires_at=conversation.expires_at,
    )


def to_conversation(item: Item | None) -> Conversation | None:
    if not isinstance(item, ConversationItem):
        return None
    return Conversation(
        item.last_inbound_at,
        item.opened_by,
        "started" if item.opening == "started" else "restarted",
        int(item.expires_at),
        item.previous_inbound_at,
        int(item.warned_expires_at) if item.warned_expires_at else None,
        item.agent_replied_at,
    )


def audience_shard(brand: str, shard: int, item: str | None = None) -> str:
    """Of those with an open conversation, or of those who showed interest in an item."""
    return f"{brand}#{shard}" if item is None else f"{brand}#{shard}#{item}"


def to_member(key: Mapping[str, str]) -> Recipient:
    """An entry of the index ``audience``, from its keys alone."""
    table, brand, kind, rest = key["pk"].split("#", 3)
    if table == CONTACT:
        return Recipient(Contact(brand, channel=kind, address=rest))
    channel, address, _ = rest.split("#", 2)  # SUBJECT#<brand>#interest#<channel>#<address>#<item id>
    return Recipient(Contact(brand, channel, unquote(address)), parse_instant(key["audience_day"].partition("#")[2]))


def day_shard(brand: str, day: date) -> str:
    """The partition of the index ``audience`` with a brand's appointments of one day of UTC."""
    return f"{brand}#day#{day.isoformat()}"


def _appointment_day(subject: Subject) -> dict[str, Any]:
    """An appointment's entry in the index: one write unit more when it is booked, two when it moves."""
    track = subject.tracks.get("appointment")
    text = track.get("starts_at") if track and not subject.is_undone("appointment") else None
    if text is None:
        return {}
    starts_at = parse_instant(text).astimezone(UTC)
    return {"audience_shard": day_shard(subject.ref.brand, starts_at.date()), "audience_day": iso(starts_at)}


def _audience_of(subject: Subject) -> dict[str, Any]:
    """The attributes that put a subject into the index ``audience``: an interest under its last day, an appointment
    under its own day.
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
        tracks=_families_json(subject.tracks),
        previous=_families_json(subject.previous),
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
        _split_announcement(_families(item.tracks)),
        _split_announcement(_families(item.previous)),
        int(item.expires_at),
        int(item.revision),
        item.last_event_at,
        int(item.era),
    )


def _families_json(tracks: Mapping[str, Track]) -> dict[str, Any]:
    return {
        name: {
            "version": track.version,
            "revision": track.revision,
            "active": track.active,
            **({"named_at": iso(track.named_at)} if track.named_at else {}),
            "said": {field: list(said) for field, said in track.fields.items()},
            **_optional_track_json(track),
        }
        for name, track in tracks.items()
    }


def _families(stored: Mapping[str, Any]) -> dict[str, Track]:
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
        )
        for name, track in stored.items()
    }


def _optional_track_json(track: Track) -> dict[str, Any]:
    """Return what only some tracks have: each byte counts, and old items have none of it."""
    optional: dict[str, Any] = {"began": track.began} if track.began >= 0 else {}
    if track.finally_ended >= 0:
        optional["final"] = track.finally_ended
    if track.history:
        optional["history"] = [list(point) for point in track.history]
    return optional


def _split_announcement(tracks: dict[str, Track]) -> dict[str, Track]:
    """Return the tracks of today. Older items have both announcements of one id in one track, ``announcement``."""
    old = tracks.get("announcement")
    if old is None or not old.active or {"preview", "holiday_hours"} & tracks.keys():
        return tracks
    names = {"preview": "title", "holiday_hours": "date"}
    return {name: old for name, field in names.items() if old.get(field) is not None} or tracks


STORED_PRIORITIES: Final[Mapping[Priority, str]] = {"high": "prompt", "low": "marketing"}
"""Tables that are in use have these words in the key of the ``due`` index."""


def due_shard(send_group: SendGroup, priority: Priority, shard: int) -> str:
    return f"{send_group}#{STORED_PRIORITIES[priority]}#{shard}"


def part_item(part: BroadcastShard) -> BroadcastPartItem:
    waiting = part.state is ShardState.WAITING
    return BroadcastPartItem(
        *part.key,
        due_shard=due_shard(part.reason_spec.send_group, part.reason_spec.priority, part.shard) if waiting else None,
        due_at=part.due_at,
        valid_until=part.valid_until,
        version=part.version,
        state=part.state,
        cursor=part.cursor,
        planned=part.planned,
        tally=dict(part.outcomes),
        expires_at=part.expires_at,
    )


def to_part(item: Item | None) -> BroadcastShard | None:
    if not isinstance(item, BroadcastPartItem):
        return None
    _, brand, kind, subject_id = item.pk.split("#", 3)
    _, reason, shard = item.sk.split("#")
    return BroadcastShard(
        reason=reason,
        subject=SubjectRef(brand, kind, subject_id),
        shard=int(shard),
        due_at=item.due_at,
        valid_until=item.valid_until,
        version=int(item.version),
        state=ShardState(item.state),
        cursor=item.cursor,
        planned=int(item.planned),
        outcomes={way: int(number) for way, number in _plain(item.tally).items()},
    )


def _plain(tally: MapAttribute[str, int]) -> dict[str, int]:
    return tally.as_dict()  # type: ignore[no-untyped-call, no-any-return]  # pynamodb's own gap


def row_item(message: ScheduledMessage, at: datetime) -> ScheduledMessageItem:
    indexed = message.state is State.SCHEDULED
    return Row(
        *message.key,
        due_shard=due_shard(message.send_group, message.reason_spec.priority, message.contact.shard)
        if indexed
        else None,
        due_at=message.due_at,
        planned_due_at=message.planned_due_at,
        valid_until=message.valid_until,
        version=message.version,
        planned_at=message.planned_at,
        scheduled_message_id=message.scheduled_message_id,
        state=message.state,
        rule=message.rule,
        facts=dict(message.facts) or None,
        settled_at=message.settled_at,
        expires_at=message.expires_at(at),
    )


def to_message(item: Item) -> ScheduledMessage:
    assert isinstance(item, ScheduledMessageItem)
    _, brand, channel, address = item.pk.split("#", 3)
    _, reason, rest = item.sk.split("#", 2)
    subject_id, step, about = rest.rsplit("#", 2)
    contact = Contact(brand, channel, address)
    return ScheduledMessage(
        contact=contact,
        reason=reason,
        subject=SubjectRef.known_to(contact, REASONS[reason].kind, subject_id),
        offset=step,
        anchor_at=None if about == ONCE else parse_instant(about),
        due_at=item.due_at,
        valid_until=item.valid_until,
        version=int(item.version),
        planned_at=item.planned_at,
        planned_due_at=item.planned_due_at,
        hold_rules=item.hold_rules,
        state=State(item.state),
        rule=item.rule,
        facts=item.facts or {},
        attempts=int(item.attempts or 0),
        claim_id=item.claim_id,
        claimed_at=item.claimed_at,
        settled_at=item.settled_at,
        provider=item.provider,
        provider_message_id=item.provider_message_id,
        error=item.error,
        last_receipt_id=item.last_receipt_id,
        text=item.text,
        locale=item.locale,
        template=item.template,
        answer=_answer(item.answer),
    )


def answer_json(answer: GivenAnswer) -> list[str]:
    return [answer.answer, answer.message_id, answer.bound_by, answer.at.isoformat()]


def _answer(stored: list[str] | None) -> GivenAnswer | None:
    if stored is None:
        return None
    answer, message_id, bound_by, at = stored
    return GivenAnswer(answer, message_id, bound_by, parse_instant(at))
