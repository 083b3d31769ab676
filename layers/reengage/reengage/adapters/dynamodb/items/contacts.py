"""The items of a contact, under its own key, and its preferences, under a keyed hash."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import UTC
from typing import Any, Final
from urllib.parse import unquote

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.broadcast import Recipient
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Candidate, Conversation, UnclearAnswer
from reengage.domain.instants import iso, parse_instant
from reengage.domain.preferences import Choice, Choices, Erasure, Link, Preferences
from reengage.domain.reasons import Category

from .base import CompactJSONAttribute, Item

CONTACT: Final = "CONTACT"


CONVERSATION: Final = "CONVERSATION"


PREFERENCES: Final = "PREFERENCES"


class ProfileItem(Item, discriminator="contact"):
    first_seen_at = InstantAttribute()
    last_seen_at = InstantAttribute()
    locale = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(null=True)
    display_name = UnicodeAttribute(null=True)


class ConversationItem(Item, discriminator="conversation"):
    """``audience_shard`` and ``audience_day`` put it into the index of the brand's open conversations.

    The index is written only if the window then closes on another day.
    """

    audience_shard = UnicodeAttribute()
    audience_day = UnicodeAttribute()
    last_inbound_at = InstantAttribute()
    opened_by = UnicodeAttribute()
    opening = UnicodeAttribute()
    warned_expires_at = NumberAttribute(attr_name="told_to_close", null=True)
    warned_at = InstantAttribute(null=True)
    agent_replied_at = InstantAttribute(null=True)


class InboundMessageItem(Item, discriminator="inbound_message"):
    sent_at = InstantAttribute()
    text = UnicodeAttribute()
    kind = UnicodeAttribute(default="text")
    unclear = CompactJSONAttribute(null=True)


class PreferencesItem(Item, discriminator="preferences"):
    contact = CompactJSONAttribute()
    marketing = CompactJSONAttribute()
    erasures = CompactJSONAttribute()
    links = CompactJSONAttribute(null=True)
    moved_at = InstantAttribute(null=True)
    channels = CompactJSONAttribute(null=True)
    used_channels = CompactJSONAttribute(null=True)
    left_channels = CompactJSONAttribute(null=True)
    revision = NumberAttribute()


class CapUsageItem(Item, discriminator="places"):
    taken = CompactJSONAttribute()
    revision = NumberAttribute()


def message_sk(message_id: str) -> str:
    return f"MESSAGE#{message_id}"


def cap_usage_sk(category: Category) -> str:
    return f"CAP#{category}"


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
        warned_at=conversation.warned_at,
        agent_replied_at=conversation.agent_replied_at,
        last_inbound_at=conversation.last_inbound_at,
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
        int(item.warned_expires_at) if item.warned_expires_at else None,
        item.agent_replied_at,
        item.warned_at,
    )


def unclear_json(answers: Sequence[UnclearAnswer]) -> list[list[Any]] | None:
    return [
        [answer.given, answer.why, answer.bound_by, list(map(astuple, answer.candidates))] for answer in answers
    ] or None


def to_unclear(item: InboundMessageItem) -> tuple[UnclearAnswer, ...]:
    return tuple(
        UnclearAnswer(given, why, tuple(Candidate(*ids) for ids in candidates), bound_by)
        for given, why, bound_by, candidates in item.unclear or ()
    )


def audience_shard(brand: str, shard: int, item: str | None = None) -> str:
    """Return the partition of the audience: contacts with an open conversation, or interested in the item."""
    return f"{brand}#{shard}" if item is None else f"{brand}#{shard}#{item}"


def to_recipient(key: Mapping[str, str]) -> Recipient:
    """Return the recipient of an entry of the index ``audience``, from its keys alone."""
    table, brand, kind, rest = key["pk"].split("#", 3)
    if table == CONTACT:
        return Recipient(Contact(brand, channel=kind, address=rest))
    channel, address, _ = rest.split("#", 2)  # SUBJECT#<brand>#interest#<channel>#<address>#<item id>
    return Recipient(Contact(brand, channel, unquote(address)), parse_instant(key["audience_day"].partition("#")[2]))


def keyed_hash(key: str, text: str) -> str:
    """Return HMAC-SHA256 in hexadecimal: who has the table but not the key cannot find an address by trying."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


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
        links={key: _link_json(link) for key, link in preferences.links.items()} or None,
        moved_at=preferences.moved_at,
        channels={channel: iso(at) for channel, at in preferences.channels.items()} or None,
        used_channels={channel: iso(at) for channel, at in preferences.used_channels.items()} or None,
        left_channels={channel: iso(at) for channel, at in preferences.left_channels.items()} or None,
        revision=preferences.revision + 1,
        expires_at=preferences.expires_at,
    )


def to_preferences(item: Item | None) -> Preferences:
    if not isinstance(item, PreferencesItem):
        return Preferences()
    erasures = {channel: Erasure(*map(parse_instant, instants)) for channel, instants in item.erasures.items()}
    links = {key: _link(link) for key, link in (item.links or {}).items()}
    choices = _choices(item.contact), _choices(item.marketing)
    channels = (
        {channel: parse_instant(at) for channel, at in (marks or {}).items()}
        for marks in (item.channels, item.used_channels, item.left_channels)
    )
    return Preferences(*choices, erasures, int(item.revision), links, item.moved_at, *channels)


def _link_json(link: Link) -> list[str]:
    other = [link.other.brand, link.other.channel, link.other.address] if link.other else []
    return [iso(link.at), link.channel, *other]


def _link(stored: list[str]) -> Link:
    at, channel, *other = stored
    return Link(parse_instant(at), channel, Contact(*other) if other else None)


def _choices_json(choices: Choices) -> dict[str, Any]:
    return {
        scope: [choice.allowed, choice.at.isoformat(), choice.cause, _changed_json(choice)]
        for scope, choice in choices.items()
    }


def _changed_json(choice: Choice) -> bool | str:
    """Return ``changed``, or ``since`` in its place: former versions read four values, in a rollback, too."""
    return choice.since.isoformat() if choice.since else choice.changed


def _choices(stored: Mapping[str, Any]) -> Choices:
    return {scope: _choice(*values) for scope, values in stored.items()}


def _choice(allowed: Any, at: str, cause: Any, changed: Any) -> Choice:
    """Return the choice. Rows of former versions have a boolean as ``changed``, never an instant."""
    since = parse_instant(changed) if isinstance(changed, str) else None
    return Choice(allowed, parse_instant(at), cause, changed is True, since)


def cap_usage_item(
    contact: Contact, category: Category, cap_usage: CapUsage, *, revision: int, expires_at: int
) -> CapUsageItem:
    return CapUsageItem(
        contact.key,
        cap_usage_sk(category),
        taken=sends_json(cap_usage),
        revision=revision,
        expires_at=expires_at,
    )


def sends_json(cap_usage: CapUsage) -> dict[str, str]:
    """Return the sends in one order, since they are compared as text."""
    return {message_id: iso(at) for message_id, at in sorted(cap_usage.taken.items())}


def to_cap_usage(item: Item | None) -> CapUsage:
    if not isinstance(item, CapUsageItem):
        return CapUsage()
    return CapUsage({message_id: parse_instant(at) for message_id, at in item.taken.items()}, int(item.revision))
