"""The table, as role protocols: a use case names the few methods that it needs. ``Store`` is their sum.

Every method is one round trip, or one a page if its docstring states it. Reads are strongly consistent, except reads of
an index. A write that depends on an earlier read is conditional (compare-and-set) and returns ``False`` on a conflict.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from reengage.domain.brand import Brand
from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import BroadcastShard
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage
from reengage.domain.message import GivenAnswer, MessageKey, ScheduledMessage
from reengage.domain.openers import Consent, Opener
from reengage.domain.outbox import UnpublishedList
from reengage.domain.policy import Snapshot
from reengage.domain.preferences import Preferences
from reengage.domain.reasons import Audience, Priority, SendGroup
from reengage.domain.silence import Silence
from reengage.domain.subject import Subject, SubjectRef

from .stored import DueKey, Holdings, Page, Thread


class MessageReader(Protocol):
    def read_message(self, key: MessageKey) -> ScheduledMessage | None: ...


class SnapshotReader(Protocol):
    def read_snapshot(self, message: ScheduledMessage, *, brands: Mapping[str, Brand | None] | None = None) -> Snapshot:
        """Read all that the decision depends on, strongly consistent, but ``brands``: rows that the caller has read.
        If other addresses are linked with the contact, they take one more read; each further step of links another.
        """


class PreferencesStore(Protocol):
    """Opt-outs, opt-ins and erasures."""

    def read_preferences(self, contact: Contact) -> Preferences: ...

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        """Compare-and-set on ``preferences.revision``. Empty preferences are deleted."""

    def preferences_key(self, contact: Contact) -> str:
        """Return the key of the contact's preferences, by which links name it: a keyed hash; no request."""

    def read_linked(self, key: str) -> Preferences:
        """Read the preferences behind a link."""

    def write_linked(self, key: str, preferences: Preferences) -> bool:
        """Compare-and-set, like ``write_preferences``, of the preferences behind a link."""


class Eraser(Protocol):
    def erase(self, contact: Contact, *, until: datetime) -> int:
        """Delete what was stored of the contact until then, its subjects included, except its preferences; return how
        many items that were. Data that arrived later stays.
        """


class ContactStore(Protocol):
    """What a report about one contact reads."""

    def read_holdings(self, contact: Contact) -> Holdings:
        """Return everything; one request a page of items, and of subjects."""

    def read_holdings_page(self, contact: Contact, cursor: str | None = None) -> tuple[Holdings, str | None]:
        """Return a part of everything, less than about 2 MB, and where to go on; ``None`` after the last part. Only
        the first part has the preferences.
        """


class PendingReader(Protocol):
    def pending_messages(self, contact: Contact, reason: str = "") -> list[ScheduledMessage]:
        """Return the contact's messages that are ``scheduled`` or being sent, of one reason or of all; one request a
        page.
        """


class ThreadsReader(Protocol):
    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        """Return each contact's thread; one request for 33."""


class ErasureStore(PreferencesStore, ContactStore, PendingReader, Eraser, ThreadsReader, Protocol):
    """What an erasure reads and writes."""


class BrandReader(Protocol):
    def read_brand(self, brand: str) -> Brand | None: ...


class BrandStore(BrandReader, Protocol):
    """Brands; the one with the id ``""`` holds what applies to the whole stack."""

    def write_brand(self, brand: Brand) -> bool:
        """Compare-and-set on ``brand.revision``."""


class SubjectReader(Protocol):
    def read_subject(self, ref: SubjectRef) -> Subject | None: ...


class ConversationWriter(Protocol):
    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        """Compare-and-set: ``replacing`` is the conversation as it was read."""


class ThreadReader(Protocol):
    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread: ...


class QuestionReader(Protocol):
    def sent_about_appointments(self, contact: Contact) -> list[ScheduledMessage]:
        """Return the contact's messages of ``TELLING_REASONS`` that were handed over; one request a page of reminders
        and corrections, and of check-ins.
        """


class AnswerStore(ThreadsReader, Protocol):
    """What binding an answer to its question reads and writes."""

    def read_subject(self, ref: SubjectRef) -> Subject | None: ...

    def sent_questions(self, contact: Contact) -> list[ScheduledMessage]:
        """Return the contact's messages of ``ASKING_REASONS`` that were handed over; one request a page."""

    def record_answer(self, message: ScheduledMessage, answer: GivenAnswer) -> bool:
        """Store the answer in the message's row. ``False`` if the row has another answer than ``message``, is of
        another version, or is not handed over any more.
        """


class OpenerReader(Protocol):
    """Openers that are made for a person who has to write first."""

    def keyed_hash(self, text: str) -> str:
        """Return a hash in hexadecimal digits that no one can make without the stack's secret; no request."""

    def read_openers(self, brand: str, tokens: Sequence[str]) -> Mapping[str, Opener]:
        """Return the openers that exist, used or expired ones too; one request for 100."""


class OpenerStore(OpenerReader, Protocol):
    def write_opener(self, opener: Opener) -> None:
        """Store it, or its new end; a used one stays as it is. A new end takes a second request."""


class OpenerUseStore(ThreadsReader, OpenerReader, Protocol):
    """What using an opener reads and writes."""

    def read_subject(self, ref: SubjectRef) -> Subject | None: ...

    def use_opener(self, opener: Opener, message: str, *, at: datetime) -> bool:
        """Store the keyed hash of the message that used it. ``False`` if another message did, or if it is gone."""

    def write_consent(self, contact: Contact, consent: Consent, *, expires_at: int) -> None:
        """Store the evidence once; a repeat changes nothing."""


class ConversationStore(
    ThreadReader, ConversationWriter, PreferencesStore, Eraser, AnswerStore, OpenerUseStore, Protocol
):
    """What receiving a message reads and writes."""

    def read_brand(self, brand: str) -> Brand | None: ...

    def pending_messages(self, contact: Contact, reason: str = "") -> list[ScheduledMessage]:
        """Return the contact's messages that are ``scheduled`` or being sent, of one reason or of all; one request a
        page.
        """

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        """Move a row that is still ``scheduled`` for ``message.due_at``."""

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        """Compare-and-set: ``replacing`` is the profile as it was read."""

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        """Store the message once; a repeat changes nothing."""


class PlanWriter(Protocol):
    def write_plan(self, message: ScheduledMessage, *, at: datetime) -> ScheduledMessage:
        """Store a planned message (``scheduled``, or ``skipped`` as its state says); return the row as it then is.

        It replaces no row, or an older version that is still ``scheduled`` or was ``skipped``: a skip is no message.
        Never one that is being sent, was sent or failed. A message that is ``skipped`` from the start does not replace
        one still ``scheduled``. That one was planned in time, and moves to the new version.
        """


class PlanStore(
    MessageReader,
    SnapshotReader,
    ThreadReader,
    BrandReader,
    SubjectReader,
    PreferencesStore,
    PendingReader,
    Eraser,
    ThreadsReader,
    PlanWriter,
    OpenerStore,
    QuestionReader,
    Protocol,
):
    """What planning messages reads and writes."""

    def write_subject(self, subject: Subject) -> bool:
        """Compare-and-set on ``subject.revision``."""

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        """Store under the contact that the subject is about it, for as long as the subject is stored."""

    def withdraw(self, message: ScheduledMessage, *, version: int, rule: str, at: datetime) -> ScheduledMessage | None:
        """Skip a row that is still ``scheduled`` and not newer than ``version``. Return the row if it is withdrawn
        now, by this call or by an earlier one; else ``None``. One that was handed over before becomes ``undelivered``.
        """

    def unsent_messages(self, contact: Contact) -> list[ScheduledMessage]:
        """Return the contact's messages that are ``scheduled``, being sent, withdrawn or planned too late; one request
        a page.
        """

    def write_shard(self, broadcast_shard: BroadcastShard) -> bool:
        """Store a broadcast shard if no shard, or one of an older version, is stored."""

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        """Return all shards of the subject's broadcasts; one request a page."""


class DayStore(SnapshotReader, BrandReader, Protocol):
    """What the front desk's day reads."""

    def appointments_of_day(self, brand: str, day: date) -> list[Subject]:
        """Return the brand's appointments that start on that day of UTC and are not cancelled.

        It makes one request per page of the index, which is eventually consistent, and one per 100 appointments.
        """

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        """Read the rows that exist; one request for 100."""

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]: ...


class PreviewStore(MessageReader, SnapshotReader, BrandReader, SubjectReader, ThreadsReader, QuestionReader, Protocol):
    """What a preview reads."""


class WindowStore(SnapshotReader, ConversationWriter, PendingReader, Protocol):
    """What the plan for a closing window reads and writes."""

    def read_brand(self, brand: str) -> Brand | None: ...

    def reschedule(self, message: ScheduledMessage, *, due_at: datetime, planned_due_at: datetime) -> bool:
        """Move a row that is still ``scheduled`` for ``message.due_at``."""


class LinkedWindowStore(WindowStore, ThreadsReader, Protocol):
    """The same for all addresses of a person."""


class ProgressStore(Protocol):
    """What a report about a broadcast reads."""

    def read_shards(self, subject: SubjectRef) -> list[BroadcastShard]:
        """Return all shards of the subject's broadcasts; one request a page."""


class BroadcastStore(MessageReader, BrandReader, SubjectReader, ErasureStore, PlanWriter, Protocol):
    """What expanding a broadcast reads and writes."""

    def read_shard(self, key: MessageKey) -> BroadcastShard | None: ...

    def audience_page(
        self, audience: Audience, subject: SubjectRef, shard: int, *, day: date, cursor: str | None, limit: int
    ) -> Page:
        """Return one page of the audience's shard; eventually consistent.

        The audience is the brand's conversations whose window closes on ``day`` or later, or the contacts whose
        interest in the subject lasts until then.
        """

    def save_progress(self, broadcast_shard: BroadcastShard, *, replacing: BroadcastShard) -> bool:
        """Store ``cursor``, ``planned`` and ``state``; a shard that is not ``waiting`` any more leaves the index.
        Compare-and-set on ``replacing``'s version, state and cursor.
        """


class SilenceStore(Protocol):
    """Providers from which no receipt comes."""

    def read_silence(self, name: str) -> Silence | None: ...

    def read_silences(self) -> Mapping[str, Silence]:
        """Return every silence by its name; one request."""

    def write_silence(self, name: str, silence: Silence, *, replacing: Silence | None) -> bool:
        """Compare-and-set: ``replacing`` is the silence as it was read."""

    def end_silence(self, name: str) -> None:
        """Delete it."""


class FallbackStore(ThreadsReader, Protocol):
    """What it takes to send a message to another address."""

    def fall_back(self, message: ScheduledMessage) -> bool:
        """Put a row that was handed over, but not delivered, back into the schedule: with ``due_at``, ``error``,
        ``last_receipt_id`` and ``undelivered_to``, whose last entry is new. ``False`` if the row has another end, or
        other entries before that one.
        """


class ReceiptStore(MessageReader, PreferencesStore, SilenceStore, FallbackStore, Protocol):
    """What recording a delivery receipt reads and writes."""

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        """Find the message among the contact's; one request a page."""

    def claimed_together(self, message: ScheduledMessage, contact: Contact) -> list[ScheduledMessage]:
        """Return this contact's other messages of the same reason and claim that were handed over; one request a
        page.
        """

    def record_receipt(self, message: ScheduledMessage) -> bool:
        """Move a row forward to ``message.state``. ``False`` if that state cannot follow the row's, or if the row is of
        another version now. A row that was tried and is scheduled again was delivered after all.
        """


class BreakerStore(Protocol):
    """The open circuit breakers of routes."""

    def read_breaker(self, route: str) -> Breaker | None: ...

    def write_breaker(self, route: str, breaker: Breaker | None, *, replacing: Breaker | None) -> bool:
        """Store an open breaker, or close it with ``None``. Compare-and-set: ``replacing`` is the breaker as read."""


class FailureStore(Protocol):
    """What a redrive of failed messages reads and writes."""

    def failed_messages(self) -> Iterator[ScheduledMessage]:
        """Yield every message that ended as ``failed``; one request a page of the whole table."""

    def requeue(self, message: ScheduledMessage, *, at: datetime) -> bool:
        """Schedule it again for ``at`` if it is still ``failed`` by the same claim."""

    def count_outcomes(self, broadcast_shard: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        """Add to the outcomes of the shard's messages, unless the shard is of an older version than they are."""


class RateLimitStore(Protocol):
    """Send slots."""

    def reserve_send_slot(
        self, channel: str, *, now: datetime, duration: timedelta, max_wait: timedelta
    ) -> datetime | None:
        """Reserve the channel for ``duration`` after every earlier reservation of any run; return its start.
        ``None`` if it would start later than ``max_wait`` from ``now``.
        """


class OutboxStore(Protocol):
    """Lists of messages whose events may not be published yet."""

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]: ...

    def write_unpublished(self, unpublished: UnpublishedList) -> None:
        """Store a list; it enters the ``due`` index."""

    def read_unpublished(self, key: MessageKey) -> UnpublishedList | None: ...

    def delete_unpublished(self, key: MessageKey) -> None: ...

    def find_message(self, contact: Contact, scheduled_message_id: str) -> ScheduledMessage | None:
        """Find the message among the contact's; one request a page."""

    def read_messages(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, ScheduledMessage]:
        """Read the rows that exist; one request for 100."""


class SendStore(MessageReader, SnapshotReader, PlanWriter, Protocol):
    """What sending one message reads and writes."""

    def claim(self, due: DueKey, *, claim_id: str, at: datetime) -> ScheduledMessage | None:
        """Claim the row if it is still ``scheduled`` for that instant; else ``None``."""

    def reserve_cap(
        self, message: ScheduledMessage, cap_usage: CapUsage, *, at: datetime, retention: timedelta
    ) -> bool:
        """Add a send to the cap usage of the message's category: in the row of its ``holder``, if it has one, else of
        the contact. Compare-and-set on ``cap_usage``. Sends are forgotten after ``retention``.
        """

    def release_cap(self, message: ScheduledMessage) -> None:
        """Remove the message, which was surely not sent, from the cap usage of ``cap_holder``, else of its contact."""

    def release(self, message: ScheduledMessage) -> bool:
        """Put a claimed row back into the schedule as ``message`` has it: version, due time, attempts, decision."""

    def settle(self, message: ScheduledMessage) -> bool:
        """End a claimed row in ``message.state``; it leaves the index. ``False`` if a receipt already stored a later
        state, or if the claim is not ours. While it is ours, the provider's answer is stored in either case; without an
        answer, decision and text if the row lacks them. ``last_receipt_id`` stays as the receipt stored it.
        """


class DueStore(SendStore, OutboxStore, Protocol):
    """What a run reads and writes besides."""

    def due(self, send_group: SendGroup, priority: Priority, shard: int, now: datetime) -> Iterator[Sequence[DueKey]]:
        """Return what is due at ``now``, oldest first, page by page; one request each."""

    def count_outcomes(self, broadcast_shard: MessageKey, version: int, outcomes: Mapping[str, int]) -> None:
        """Add to the outcomes of the shard's messages, unless the shard is of an older version than they are."""


class RunStore(DueStore, WindowStore, BroadcastStore, SilenceStore, FallbackStore, QuestionReader, Protocol):
    """What a run of a send group needs in all: messages, closing windows, broadcasts, opt-outs."""


class Store(
    RunStore,
    PlanStore,
    DayStore,
    PreviewStore,
    ConversationStore,
    ReceiptStore,
    BrandStore,
    RateLimitStore,
    BreakerStore,
    FailureStore,
    SilenceStore,
    ProgressStore,
    Protocol,
):
    """The whole table: for the adapters and their contract suite."""
