"""What the stores return: values that are no domain's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from reengage.domain.broadcast import Recipient
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Profile
from reengage.domain.conversation import Conversation, UnclearAnswer
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.openers import Consent
from reengage.domain.preferences import Preferences
from reengage.domain.reasons import Category
from reengage.domain.subject import Subject


@dataclass(frozen=True, slots=True)
class Thread:
    """What is stored of a contact when a message arrives. ``known``: that message is stored already."""

    profile: Profile | None
    conversation: Conversation | None
    known: bool = False
    preferences: Preferences = field(default_factory=Preferences)


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """What is stored of an inbound message."""

    message_id: str
    sent_at: datetime
    text: str
    kind: str = "text"
    unclear: Sequence[UnclearAnswer] = ()


@dataclass(frozen=True, slots=True)
class Holdings:
    """All data stored of a contact."""

    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    inbound: Sequence[KeptMessage]
    scheduled: Sequence[ScheduledMessage]
    subjects: Sequence[Subject]
    cap_usage: Mapping[Category, CapUsage]
    consents: Sequence[Consent] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stored under the contact; the preferences are of the whole number."""
        items = (self.inbound, self.scheduled, self.subjects, self.cap_usage, self.consents)
        return not (self.profile or self.conversation or any(items))


@dataclass(frozen=True, slots=True)
class DueKey:
    """An entry of the ``due`` index: a message, a broadcast shard, or a list of messages with unpublished events.

    It is a hint: only the item itself is true.
    """

    key: MessageKey
    due_at: datetime
    valid_until: datetime


class Page(NamedTuple):
    """Some recipients of an audience. ``cursor``: where to go on; ``None`` after the last page."""

    recipients: Sequence[Recipient]
    cursor: str | None
