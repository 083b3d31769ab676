"""Opt-outs, opt-ins and consents of a person, or of a business with evidence. They outlive every TTL.

A choice is stored for the scope that it applies to: ``EVERYWHERE`` (any phone channel of the number, or that one opaque
address), or one channel. The latest that applies counts, in whatever order the choices arrive.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from .business_events import Json
from .contact import Contact, Profile
from .conversation import Conversation, expiry

EVERYWHERE: Final = "*"
ERASURE_MARK_LASTS: Final = timedelta(days=45)
"""Longer than any event can be delayed: see ``subject.RETENTION``."""

Topic = Literal["contact", "marketing"]
"""What a choice is about: any message, or marketing."""

OptOutScope = Literal["brand", "channel"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Yes or no, with its instant and its cause: a word and its message, or evidence.

    ``changed``: it changed what applies when it was stored. If not, ``since`` is the instant of the choice that did;
    ``None`` if an older version stored it.
    """

    allowed: bool
    at: datetime
    cause: Json = None
    changed: bool = True
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure. ``asked_at`` is the event's instant; all data that was stored until ``at`` is deleted."""

    asked_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """Another address of the same person, since ``at``. ``channel`` is that of the contact in whose row the link is.

    ``other`` is the other address; ``None`` in a link that an older version stored: it copies opt-outs only.
    """

    at: datetime
    channel: str
    other: Contact | None = None


LINK_RETENTION: Final = timedelta(days=400)
"""Longer than a contact's profile is kept by default."""

LINK_REFRESH: Final = timedelta(days=30)
"""A link that is reported again is written at most this often."""

MAX_LINKS: Final = 20
"""Addresses of one person in one row; the oldest link is dropped."""

Choices = Mapping[str, Choice]
"""Choices by scope: ``EVERYWHERE`` or a channel."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's choices: one row, under a keyed hash of the address.

    ``erasures`` are by channel. ``revision`` counts the writes, for compare-and-set.

    ``links`` are by the keys of the same person's other addresses, hashed too. ``moved_at``: the person left this
    address; a conversation from before is closed. ``channels`` are those of one phone number that are linked by an
    event, each since when; ``used_channels`` those on which someone wrote, if there are several; ``left_channels``
    those that the person left for another channel of the number.
    """

    contact: Choices = field(default_factory=dict)
    marketing: Choices = field(default_factory=dict)
    erasures: Mapping[str, Erasure] = field(default_factory=dict)
    revision: int = 0
    links: Mapping[str, Link] = field(default_factory=dict)
    moved_at: datetime | None = None
    channels: Mapping[str, datetime] = field(default_factory=dict)
    used_channels: Mapping[str, datetime] = field(default_factory=dict)
    left_channels: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is stored: such a row is deleted."""
        choices = self.contact or self.marketing or self.erasures
        return not (choices or self.links or self.moved_at or self.channels or self.used_channels or self.left_channels)

    def link(self, key: str, link: Link) -> "Preferences":
        """Add a link; the same object if it is known and not old."""
        known = self.links.get(key)
        if known and link.at < known.at + LINK_REFRESH and known.other == link.other:
            return self
        newest = sorted({**self.links, key: link}.items(), key=lambda each: each[1].at)[-MAX_LINKS:]
        return replace(self, links=dict(newest))

    def link_channels(self, channels: Iterable[str], at: datetime) -> "Preferences":
        """Link channels of one number; the same object if they are linked and that is not old."""
        channels = _marked(self.channels, channels, at)
        return self if channels is self.channels else replace(self, channels=channels)

    def use_channels(self, channels: Iterable[str], at: datetime) -> "Preferences":
        """Record that someone wrote on these channels of the number; the same object if that is known and not old."""
        used = _marked(self.used_channels, channels, at)
        return self if used is self.used_channels else replace(self, used_channels=used)

    def linked_to(self, contact: Contact) -> list[Contact]:
        """Return the addresses that are linked with the contact, whose row this is.

        What is linked with one channel of the number is linked with all. After the person left the number, another
        channel of it may be someone else's.
        """
        own = set(self.channels) if contact.channel in self.channels else {contact.channel}
        siblings = [replace(contact, channel=channel) for channel in sorted(own - {contact.channel})]
        links = (link for link in self.links.values() if link.channel in own or self.moved_at is None)
        return siblings + [link.other for link in links if link.other]

    def leads_to(self, channel: str) -> bool:
        """Return whether this channel of the number is found from an address that is linked with the number."""
        return channel in {*self.used_channels, *self.channels, *(link.channel for link in self.links.values())}

    def siblings_of(self, contact: Contact) -> list[Contact]:
        """Return the number's other channels on which someone wrote."""
        return [
            replace(contact, channel=channel) for channel in sorted(self.used_channels) if channel != contact.channel
        ]

    def with_refusals_of(self, others: Iterable["Preferences"]) -> "Preferences":
        """Add each "no" that another address of the person has: its copy may not be stored here yet."""
        merged = self
        for other in others:
            topics: tuple[tuple[Topic, Choices], ...] = (("contact", other.contact), ("marketing", other.marketing))
            for topic, choices in topics:
                for scope, choice in choices.items():
                    merged = merged if choice.allowed else merged.apply(topic, scope, choice)
        return merged

    def unlink(self, *keys: str) -> "Preferences":
        """Remove links; the same object if it has no such link."""
        if not self.links.keys() & set(keys):
            return self
        return replace(self, links={key: link for key, link in self.links.items() if key not in keys})

    def move(self, at: datetime) -> "Preferences":
        """Record that the person left the address; the same object if a later move is known."""
        return self if self.moved_at and self.moved_at >= at else replace(self, moved_at=at)

    def move_channel(self, channel: str, to: str, at: datetime) -> "Preferences":
        """Record that the person left a channel of the number; the same object if a later move is known."""
        if channel in self.left_channels and self.left_channels[channel] >= at:
            return self
        left = {name: since for name, since in self.left_channels.items() if name != to}
        return replace(self, left_channels={**left, channel: at})

    def left_at(self, channel: str) -> datetime | None:
        """Return when the person left the number, or this channel of it."""
        instants = [at for at in (self.moved_at, self.left_channels.get(channel)) if at]
        return max(instants, default=None)

    def left_since(self, instant: datetime, channel: str) -> bool:
        """Return whether the person left the address at or after ``instant``, usually that of their last message."""
        left_at = self.left_at(channel)
        return left_at is not None and instant <= left_at

    def moved_since(self, instant: datetime) -> bool:
        """Return whether the person left the number, on all channels, at or after ``instant``."""
        return self.moved_at is not None and instant <= self.moved_at

    def choice(self, topic: Topic, channel: str) -> Choice | None:
        """Return the latest choice that applies to the channel; at a tie "no". ``None``: no choice is stored."""
        choices: Choices = getattr(self, topic)
        applying = (choices[scope] for scope in (EVERYWHERE, channel) if scope in choices)
        return max(applying, key=_order, default=None)

    def refused(self, topic: Topic, channel: str) -> Choice | None:
        """Return the latest choice if it is a "no"."""
        choice = self.choice(topic, channel)
        return choice if choice and not choice.allowed else None

    def apply(self, topic: Topic, scope: str, choice: Choice, *, channel: str | None = None) -> "Preferences":
        """Return the preferences with ``choice``; the same object if a later one is stored, or at a tie a "no".

        ``channel`` is that of the person who made the choice: what applies there decides whether it ``changed``.
        Without a channel, the scope decides.
        """
        choices: Choices = getattr(self, topic)
        old = choices.get(scope)
        if old and _order(choice) <= _order(old):
            return self
        before = self.choice(topic, channel or scope)
        held = self._with(topic, {**choices, scope: choice}).choice(topic, channel or scope)
        if before is None or (held is not None and held.allowed != before.allowed):
            stored = replace(choice, changed=True, since=None)
        else:
            stored = replace(choice, changed=False, since=_changed_at(before, choice))
        return self._with(topic, {**choices, scope: stored})

    def _with(self, topic: Topic, choices: Choices) -> "Preferences":
        return replace(self, contact=choices) if topic == "contact" else replace(self, marketing=choices)

    def erased_since(self, channel: str, instant: datetime) -> bool:
        """Return whether the contact was erased at or after ``instant``: older data may not be stored again."""
        return channel in self.erasures and instant <= self.erasures[channel].at

    def without_erased(
        self, channel: str, profile: Profile | None, conversation: Conversation | None
    ) -> tuple[Profile | None, Conversation | None]:
        """Remove what an erasure has marked and not deleted yet."""
        if profile and self.erased_since(channel, profile.last_seen_at):
            profile = None
        if conversation and self.erased_since(channel, conversation.last_inbound_at):
            conversation = None
        return profile, conversation

    def erase(self, channel: str, *, asked_at: datetime, at: datetime) -> "Preferences":
        """Keep this channel's opt-outs, and the opt-ins that override them, without their causes.

        Return the same object for a repeated erasure: choices that were stored since then stay.
        """
        former = self.erasures.get(channel)
        if former and asked_at <= former.asked_at:
            return self
        at = max(at, former.at) if former else at
        return replace(
            self,
            contact=_without_causes(self.contact, channel),
            marketing=_without_causes(self.marketing, channel),
            erasures={**self.erasures, channel: Erasure(asked_at, at)},
            links={key: link for key, link in self.links.items() if link.channel != channel},
            channels=_several(self.channels, but=channel),
            used_channels=_several(self.used_channels, but=channel),
            left_channels={name: at for name, at in self.left_channels.items() if name != channel},
        )

    @property
    def expires_at(self) -> int | None:
        """Return epoch seconds; ``None`` for never. Choices never expire; erasures, links and moves do."""
        if self.contact or self.marketing:
            return None
        ends = [erasure.at + ERASURE_MARK_LASTS for erasure in self.erasures.values()]
        ends += [link.at + LINK_RETENTION for link in self.links.values()]
        ends += [at + LINK_RETENTION for at in (*self.channels.values(), *self.used_channels.values())]
        ends += [at + LINK_RETENTION for at in self.left_channels.values()]
        ends += [self.moved_at + LINK_RETENTION] if self.moved_at else []
        return expiry(max(ends)) if ends else None


def preferences_of(contact: Contact) -> str:
    """What the row is named by, before it is hashed: a phone number has one of each brand, whatever the channel."""
    return contact.person


def _marked(marks: Mapping[str, datetime], channels: Iterable[str], at: datetime) -> Mapping[str, datetime]:
    """Return the marks with these channels; the same object if all are known and not old."""
    channels = list(channels)
    if all(channel in marks and at < marks[channel] + LINK_REFRESH for channel in channels):
        return marks
    return {**marks, **{channel: max(at, marks.get(channel, at)) for channel in channels}}


def _several(marks: Mapping[str, datetime], *, but: str) -> Mapping[str, datetime]:
    """Return the marks without one channel; none if fewer than two are left."""
    left = {channel: at for channel, at in marks.items() if channel != but}
    return left if len(left) > 1 else {}


def _order(choice: Choice) -> tuple[datetime, bool]:
    return choice.at, not choice.allowed


def _changed_at(before: Choice, choice: Choice) -> datetime | None:
    """Return when an equal choice before changed what applies; ``None`` if it is another one, or not known."""
    if before.allowed != choice.allowed:
        return None
    return before.at if before.changed else before.since


def _without_causes(choices: Choices, channel: str) -> Choices:
    """A "yes" stays where a "no" that applies to the same channel does: it may be the later of the two."""
    kept = dict(choices)
    for scope in (EVERYWHERE, channel):
        if scope not in choices:
            continue
        choice = choices[scope]
        beside = any(not other.allowed and EVERYWHERE in (scope, name) for name, other in choices.items())
        if choice.allowed and not beside:
            del kept[scope]
        else:
            kept[scope] = replace(choice, cause=None)
    return kept
