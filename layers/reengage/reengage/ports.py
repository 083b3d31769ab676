"""What the use cases need of the world: time, chance, a table, a bus, and channels to people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from .domain.brand import Brand
from .domain.broadcast import BroadcastShard, Recipient
from .domain.caps import CapUsage
from .domain.contact import Contact, Profile
from .domain.conversation import Conversation, InboundMessage
from .domain.events_out import OutEvent
from .domain.message import MessageKey, ScheduledMessage
from .domain.policy import Decision, PolicyInput
from .domain.preferences import Preferences, Topic
from .domain.reasons import Audience, Category, Priority, SendGroup
from .domain.subject import Subject, SubjectRef

Clock = Callable[[], datetime]
"""Now, in UTC; each call is fresh."""

NewId = Callable[[], str]
"""An identifier that nobody else has."""


@dataclass(frozen=True, slots=True)
class Thread:
    """What is stored of a contact when a message comes in. ``known`` says whether that message is stored already."""

    profile: Profile | None
    conversation: Conversation | None
    known: bool = False
    preferences: Preferences = field(default_factory=Preferences)


class Snapshot(NamedTuple):
    """What one strongly consistent read finds of a message's circumstances; ``places`` are those of its category."""

    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    brand: Brand | None
    cap_usage: CapUsage
    interest: Subject | None = None


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """What is kept of an inbound message."""

    message_id: str
    sent_at: datetime
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that is stored of a contact."""

    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    inbound: Sequence[KeptMessage]
    scheduled: Sequence[ScheduledMessage]
    subjects: Sequence[Subject]
    cap_usage: Mapping[Category, CapUsage]


@dataclass(frozen=True, slots=True)
class DueKey:
    """An entry of the ``due`` index: of a message, or of a broadcast's part. Hints at work: only the row itself says
    whether there is any.
    """

    key: MessageKey
    due_at: datetime
    valid_until: datetime


class Page(NamedTuple):
    """Some members of an audience. ``cursor`` says where to go on; ``None``: those were the last."""

    recipients: Sequence[Recipient]
    cursor: str | None


class Store(Protocol):
    """The table. Every method is one round trip or, where it says so, one a page; reads are strongly consistent,
    but for the index. A write that depends on what was read is conditional on that still being so.
    """

    # Ingest
    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread: ...

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        """Compare-and-set; ``False`` where what is stored is not ``replacing`` any more."""

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        """Compare-and-set; ``False`` where what is stored is not ``replacing`` any more."""

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        """Stores the message once; a repeat changes nothing."""

    # Preferences
    def read_preferences(self, contact: Contact) -> Preferences: ...

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        """Compare-and-set on ``preferences.revision``; ``False`` where the stored ones have moved on."""

    # Brands
    def read_brand(self, brand: str) -> Brand | None: ...

    def write_brand(self, brand: Brand) -> bool:
        """Compare-and-set on ``brand.revision``; ``False`` where the stored one has moved on."""

    # Plan
    def read_subject(self, ref: SubjectRef) -> Subject | None: ...

    def write_subject(self, subject: Subject) -> bool:
        """Compare-and-set on ``subject.revision``; ``False`` where the stored one has moved on."""

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        """Notes under the contact that the subject speaks of it, for as long as the subject is kept."""

    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        """Stores a planned message (``scheduled``, or ``skipped`` as its state says) and answers with the row as it
        then stands. It is written over nothing, over an older version that is still ``scheduled``, or over an older
        one that was skipped as superseded or cancelled: never over one that is being, or was, sent.
        A message that is ``skipped`` from the start gives way to one still ``scheduled``: that one was planned in
        time, and is brought up to the new version instead. Of those of which there is but one, one that was skipped
        as too late gives way to a newer one that is not.
        """

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        """Skips a row that is still ``scheduled`` and not newer than ``version``. Answers with the row if it is now
        withdrawn, by this call or by an earlier one; else ``None``.
        """

    def pending_messages(self, contact: Contact) -> list[ScheduledMessage]:
        """The contact's messages that are ``scheduled``, or in a sender's hands; one request a page."""

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        """Moves a row that is still ``scheduled`` for ``message.due_at``; ``False`` where it is not any more."""

    # Broadcast
    def write_shard(self, broadcast_shard: BroadcastShard) -> bool:
        """Stores a part anew, over nothing or over one of an older version; ``False`` where one as new stands there."""

    def read_shard(self, key: MessageKey) -> BroadcastShard | None: ...

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        """All parts of the subject's broadcasts; one request a page."""

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        """One page of the audience's shard: of the brand's conversations those whose window closes on ``day`` or later,
        or of those who showed interest in the subject those in whom it lasts until then. Closed ones cost nothing.
        Eventually consistent.
        """

    def save_progress(self, broadcast_shard: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        """Notes how far the part has come (``cursor``, ``planned``, ``state``); one that is not ``waiting`` any more
        leaves the index. ``False`` where the stored one is not at ``replacing``'s version, state and cursor any more.
        """

    def count_outcomes(self, broadcast_shard: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        """Adds to what became of the part's messages; nothing where the part is of an older version than theirs."""

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        """What stands of each contact; one request for 33."""

    # Send
    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        """What is due at ``now``, oldest first, page by page; one request each."""

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        """Takes the row in hand if it is still ``scheduled`` for that instant; else ``None``."""

    def read_message(self, key: MessageKey) -> ScheduledMessage | None: ...

    def read_snapshot(self, message: ScheduledMessage) -> Snapshot:
        """The gate's one strongly consistent read."""

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        """Adds a send to the contact's ``places`` of the message's category, as they were read; ``False`` where they
        have changed since. Sends are forgotten ``keep_for`` after they were made.
        """

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        """Reserves the channel for ``lasts``, after whoever has reserved it before, and answers from when on; ``None``
        where that would be later than ``at_most`` from ``now``. Whoever sends on a channel, in any run, shares it.
        """

    def release_cap(self, message: ScheduledMessage) -> None:
        """Takes the message's place away again: it was surely not sent."""

    def release(self, message: ScheduledMessage) -> bool:
        """Gives a claimed row back to the schedule as ``message`` has it: version, due time, attempts, decision."""

    def settle(self, message: ScheduledMessage) -> bool:
        """Ends a claimed row in ``message.state``; it leaves the index. Conditional on the claim, and never backwards:
        ``False`` where a receipt has already told more, or the claim is not ours. The provider's answer is kept
        in either case while the claim is ours.
        """

    # Receipts
    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        """Among the contact's messages; one request a page."""

    def record_receipt(self, message: ScheduledMessage) -> bool:
        """Moves a row forward to ``message.state``; ``False`` where it is not in a state that this may follow, or is of
        another version by now. One that was tried, and is scheduled again, did reach the person after all.
        """

    # All of a contact
    def read_holdings(self, contact: Contact) -> Holdings:
        """Everything; one request a page of items, and of subjects."""

    def erase(self, contact: Contact, *, until: datetime) -> int:
        """Deletes what was stored of the contact until then, its subjects included, its preferences not; answers how
        much of that it found. What the person, or a business, has said since stays.
        """


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in one locale, and what a provider's approved template needs: its name and its parameters in order."""

    text: str
    locale: str
    template: str
    parameters: Sequence[str] = ()


class Render(Protocol):
    def __call__(self, circumstances: PolicyInput, /) -> Wording: ...


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """What a channel is asked to deliver. ``free_text_until`` is the end of the time in which it may be free text.

    The provider's call begins before ``start_before``, or not at all: until then the gate's answer holds. What takes it
    later must not deliver it from ``deliver_before`` on.
    """

    message: ScheduledMessage
    wording: Wording
    data: Mapping[str, Any]
    decision: Decision
    free_text_until: datetime
    start_before: datetime
    deliver_before: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    provider: str
    provider_message_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """For good: trying again would be refused again."""

    error: str


@dataclass(frozen=True, slots=True)
class OptedOut:
    """For good: the provider knows that the person does not want to be written to, or, by ``topic``, not with
    marketing.
    """

    error: str
    topic: Topic = "contact"


@dataclass(frozen=True, slots=True)
class Retryable:
    """Surely not taken: throttled, or failed before the request had left. May be tried again, not before
    ``retry_after``, where the provider says so.
    """

    error: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have been taken; it is never tried again."""

    error: str


Outcome = Accepted | Refused | OptedOut | Retryable | Unknown


class Channel(Protocol):
    def send(self, outbound: OutboundMessage) -> Outcome: ...


class Publish(Protocol):
    """Puts events on the bus, each at least once; answers how many could not be put, after trying again."""

    def __call__(self, events: Sequence[OutEvent]) -> int: ...


class KeepRejected(Protocol):
    """Keeps a rejected event whole, with what is wrong with it."""

    def __call__(self, event: Any, errors: Sequence[str]) -> None: ...
