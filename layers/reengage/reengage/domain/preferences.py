"""Opt-outs, opt-ins and consents of a person, or of a business with evidence. They outlive every TTL.

A choice is stored for the scope that it applies to: ``EVERYWHERE`` (any phone channel of the number, or that one opaque
address), or one channel. The latest that applies counts, in whatever order the choices arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from .business_events import Json
from .contact import Contact, Profile
from .conversation import Conversation, expiry

EVERYWHERE: Final = "*"
ERASURE_MARK_LASTS: Final = timedelta(days=45)
"""Longer than any event in flight may take: see ``subject.RETENTION``."""

Topic = Literal["contact", "marketing"]
"""To be written to at all; to be sent marketing."""

OptOutScope = Literal["brand", "channel"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Yes or no, with the instant of its cause and what that cause was: a word and its message, or evidence.

    ``changed`` says that it was news when it was stored.
    """

    allowed: bool
    at: datetime
    cause: Json = None
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Erasure:
    """``asked_at`` is the event's instant; what was stored of the contact until ``at`` is deleted."""

    asked_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """Another address of the same person, since ``at``. ``channel`` is that of the contact in whose row the link is."""

    at: datetime
    channel: str


LINK_RETENTION: Final = timedelta(days=400)
"""Longer than a contact's profile is kept by default."""

LINK_REFRESH: Final = timedelta(days=30)
"""A link that is reported again is written at most this often."""

MAX_LINKS: Final = 20
"""Addresses of one person in one row; the oldest link gives way."""

Choices = Mapping[str, Choice]
"""By scope: ``EVERYWHERE`` or a channel."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """All of it is one row, under a keyed hash of the address. ``erasures`` are by channel; ``revision`` counts the
    writes, for compare-and-set.

    ``links`` are the keys of the same person's other addresses, hashed too. ``moved_at``: the person left this address;
    a conversation from before is closed.
    """

    contact: Choices = field(default_factory=dict)
    marketing: Choices = field(default_factory=dict)
    erasures: Mapping[str, Erasure] = field(default_factory=dict)
    revision: int = 0
    links: Mapping[str, Link] = field(default_factory=dict)
    moved_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stored: such a row is deleted."""
        return not (self.contact or self.marketing or self.erasures or self.links or self.moved_at)

    def link(self, key: str, link: Link) -> "Preferences":
        """Add a link; the same object if it is known and not old."""
        known = self.links.get(key)
        if known and link.at < known.at + LINK_REFRESH:
            return self
        newest = sorted({**self.links, key: link}.items(), key=lambda each: each[1].at)[-MAX_LINKS:]
        return replace(self, links=dict(newest))

    def unlink(self, *keys: str) -> "Preferences":
        """Remove links; the same object if there are none."""
        if not self.links.keys() & set(keys):
            return self
        return replace(self, links={key: link for key, link in self.links.items() if key not in keys})

    def move(self, at: datetime) -> "Preferences":
        """Record that the person left the address; the same object if a later move is known."""
        return self if self.moved_at and self.moved_at >= at else replace(self, moved_at=at)

    def left_since(self, instant: datetime) -> bool:
        """Whether the person left the address at or after ``instant``, usually that of their last message."""
        return self.moved_at is not None and instant <= self.moved_at

    def choice(self, topic: Topic, channel: str) -> Choice | None:
        """The latest choice that applies to the channel; at a tie "no". ``None``: there is none."""
        choices: Choices = getattr(self, topic)
        applying = (choices[scope] for scope in (EVERYWHERE, channel) if scope in choices)
        return max(applying, key=_order, default=None)

    def refused(self, topic: Topic, channel: str) -> Choice | None:
        """The latest choice where that is a "no"."""
        choice = self.choice(topic, channel)
        return choice if choice and not choice.allowed else None

    def apply(self, topic: Topic, scope: str, choice: Choice, *, channel: str | None = None) -> "Preferences":
        """With ``choice``; the very same where a later one, or at a tie a "no", holds already.

        Whether it is news is a matter of ``channel``, that of who made it; the scope itself where none is given.
        """
        choices: Choices = getattr(self, topic)
        old = choices.get(scope)
        if old and _order(choice) <= _order(old):
            return self
        before = self.choice(topic, channel or scope)
        held = self._with(topic, {**choices, scope: choice}).choice(topic, channel or scope)
        changed = before is None or (held is not None and held.allowed != before.allowed)
        return self._with(topic, {**choices, scope: replace(choice, changed=changed)})

    def _with(self, topic: Topic, choices: Choices) -> "Preferences":
        return replace(self, contact=choices) if topic == "contact" else replace(self, marketing=choices)

    def erased_since(self, channel: str, instant: datetime) -> bool:
        """Whether the contact was erased at or after ``instant``: then nothing from before may be stored again."""
        return channel in self.erasures and instant <= self.erasures[channel].at

    def without_erased(
        self, channel: str, profile: Profile | None, conversation: Conversation | None
    ) -> tuple[Profile | None, Conversation | None]:
        """Without what an erasure has marked, and not deleted yet."""
        if profile and self.erased_since(channel, profile.last_seen_at):
            profile = None
        if conversation and self.erased_since(channel, conversation.last_inbound_at):
            conversation = None
        return profile, conversation

    def erase(self, channel: str, *, asked_at: datetime, at: datetime) -> "Preferences":
        """Of what applies to the channel, only a "no" remains, and a "yes" that it is excepted by; without causes.

        The same object for a repeated erasure: what was stored since stays.
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
        )

    @property
    def expires_at(self) -> int | None:
        """Epoch seconds; ``None``: never. A choice never expires; marks of erasures, links and moves do."""
        if self.contact or self.marketing:
            return None
        ends = [erasure.at + ERASURE_MARK_LASTS for erasure in self.erasures.values()]
        ends += [link.at + LINK_RETENTION for link in self.links.values()]
        ends += [self.moved_at + LINK_RETENTION] if self.moved_at else []
        return expiry(max(ends)) if ends else None


def preferences_of(contact: Contact) -> str:
    """What the row is named by, before it is hashed: a phone number has one of each brand, whatever the channel."""
    return contact.person


def _order(choice: Choice) -> tuple[datetime, bool]:
    return choice.at, not choice.allowed


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
