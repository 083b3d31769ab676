"""Sample values in the form that production has: what the tests plan, claim and settle."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from reengage.domain.brand import Brand
from reengage.domain.broadcast import BroadcastShard, Recipient
from reengage.domain.caps import CapUsage
from reengage.domain.contact import SHARDS, Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Choice, Preferences
from reengage.domain.reasons import PRIORITIES, Audience, Priority, SendGroup
from reengage.domain.subject import RETENTION, BusinessEvent, Subject, SubjectRef, Track, VersionedValue
from reengage.ports import DueKey, Store
from tests.fakes import business

NOW: Final = datetime(2026, 11, 30, 8, 0, 0, 123456, tzinfo=UTC)
TODAY: Final = NOW.date()
LATER: Final = NOW + timedelta(minutes=5)
ANNA: Final = Contact("acme-dental", "sms", "+4915112345678")
BEN: Final = Contact("acme-dental", "sms", "+4915187654321")
APPOINTMENT: Final = SubjectRef("acme-dental", "appointment", "3f2b8c1e-7d54-4c0f-9a57-5be1d2a4c6f0")
TRIAL: Final = SubjectRef("acme-dental", "trial", "trial-77")
ORDER: Final = SubjectRef("acme-dental", "order", "O#77")
ITEM: Final = SubjectRef("acme-dental", "item", "SKU#7/rot")
PREVIEW: Final = SubjectRef("acme-dental", "announcement", "spring#2026")

CLAIM: Final = "claim-1"
OTHER_CLAIM: Final = "claim-2"


def conversation(at: datetime = NOW, **changes: Any) -> Conversation:
    return replace(Conversation(at, "wamid.1", "started", expiry(at + WINDOW)), **changes)


def profile(at: datetime = NOW, **changes: Any) -> Profile:
    return replace(Profile(at, at, expiry(at + timedelta(days=365))), **changes)


def inbound(message_id: str = "wamid.1", contact: Contact = ANNA, at: datetime = NOW) -> InboundMessage:
    return InboundMessage(contact, message_id, at, at, "See you tomorrow!")


def subject(
    ref: SubjectRef = APPOINTMENT, *, revision: int = 0, last_event_at: datetime = NOW, **values: Any
) -> Subject:
    track = Track(1, active=True, fields={name: VersionedValue(1, value) for name, value in values.items()})
    return Subject(
        ref, {ref.kind: track}, expires_at=expiry(NOW + RETENTION), revision=revision, last_event_at=last_event_at
    )


def brand(**values: Any) -> Brand:
    return Brand("acme-dental").apply(1, values)


def arrived(event: BusinessEvent, at: datetime) -> BusinessEvent:
    """The event as the bus delivers it at that instant."""
    return replace(event, arrived_at=at)


def interested(
    store: Store,
    contact: Contact = ANNA,
    *,
    item: str = ITEM.id,
    at: datetime = NOW,
    event_type: str = "InterestShown",
    duration: timedelta = RETENTION,
) -> Subject:
    """The contact's interest in the item after that event, as the store returns it."""
    event = arrived(business(event_type, at, subject_id=item, contact=contact), at)
    before = store.read_subject(event.subject) or Subject(event.subject)
    after = replace(before.apply(event), last_event_at=at, expires_at=expiry(at + duration))
    store.index_subject(contact, after)
    assert store.write_subject(after)
    return replace(after, revision=after.revision + 1)


def viewed(store: Store, contact: Contact = ANNA, *, item: str = ITEM.id, at: datetime = NOW) -> Subject:
    """A product that the contact viewed, stored like an interest."""
    return interested(store, contact, item=item, at=at, event_type="ProductViewed")


def broadcast_shard(shard: int = ANNA.shard, **changes: Any) -> BroadcastShard:
    """A shard's part of the preview, due now; version 1."""
    preview = BroadcastShard(
        "product_preview", PREVIEW, shard, due_at=NOW, valid_until=NOW + timedelta(days=2), version=1
    )
    return replace(preview, **changes)


def written(store: Store, new: BroadcastShard | None = None) -> BroadcastShard:
    new = new or broadcast_shard()
    assert store.write_shard(new)
    return new


ENDLESS: Final = 10_000
"""No audience in these tests has more pages."""


def recipients_in_pages(
    store: Store,
    audience: Audience = "open_conversations",
    subject: SubjectRef = PREVIEW,
    shard: int = ANNA.shard,
    *,
    day: date = TODAY,
    limit: int = 100,
) -> Iterator[Sequence[Recipient]]:
    """Read the audience's shard to its end, each page on request."""
    cursor = None
    for _ in range(ENDLESS):
        page = store.audience_page(audience, subject, shard, day=day, cursor=cursor, limit=limit)
        assert len(page.recipients) <= limit
        yield page.recipients
        cursor = page.cursor
        if cursor is None:
            return
    raise AssertionError("the pages never end")


def whole_audience(
    store: Store,
    audience: Audience = "open_conversations",
    subject: SubjectRef = PREVIEW,
    shard: int = ANNA.shard,
    *,
    day: date = TODAY,
    limit: int = 100,
) -> list[Recipient]:
    pages = recipients_in_pages(store, audience, subject, shard, day=day, limit=limit)
    return [recipient for page in pages for recipient in page]


def stopped(at: datetime = NOW, cause: Any = "STOP", scope: str = "*") -> Preferences:
    """The stored choice of a person who wrote STOP."""
    return Preferences().apply("contact", scope, Choice(allowed=False, at=at, cause=cause))


def preferring(store: Store, contact: Contact, preferences: Preferences) -> Preferences:
    """The preferences as they are read after they were written."""
    assert store.write_preferences(contact, preferences)
    return replace(preferences, revision=preferences.revision + 1)


def placed(
    store: Store, message: ScheduledMessage, *, at: datetime = NOW, retention: timedelta = timedelta(days=7)
) -> CapUsage:
    """The cap usage after the message reserved its part."""
    assert store.reserve_cap(message, store.read_snapshot(message).cap_usage, at=at, retention=retention)
    return store.read_snapshot(message).cap_usage


def reminder(**changes: Any) -> ScheduledMessage:
    """Anna's reminder of an appointment tomorrow: version 1, due now."""
    due_at = changes.pop("due_at", NOW)
    about = changes.pop("about", NOW + timedelta(days=1))
    plan = ScheduledMessage(
        contact=ANNA,
        reason="appointment_reminder",
        subject=APPOINTMENT,
        offset="P1D",
        anchor_at=about,
        due_at=due_at,
        valid_until=(about or NOW + timedelta(days=1)) - timedelta(hours=2),
        version=1,
        planned_at=NOW - timedelta(minutes=3),
    )
    return replace(plan, **changes)


def skip(message: ScheduledMessage, rule: str = "too_late") -> ScheduledMessage:
    """The message as it is planned if its offset is already past."""
    return replace(message, state=State.SKIPPED, rule=rule, facts={"due_at": "2026-11-30T08:00:00Z"}, settled_at=NOW)


def due_key(message: ScheduledMessage | BroadcastShard) -> DueKey:
    return DueKey(message.key, message.due_at, message.valid_until)


def planned(store: Store, message: ScheduledMessage | None = None) -> ScheduledMessage:
    message = message or reminder()
    assert store.write_plan(message, at=NOW) == message
    return message


def claimed(store: Store, message: ScheduledMessage | None = None, claim_id: str = CLAIM) -> ScheduledMessage:
    taken = store.claim(due_key(planned(store, message)), claim_id=claim_id, at=NOW)
    assert taken is not None
    return taken


def ended(message: ScheduledMessage, state: State, **changes: Any) -> ScheduledMessage:
    return replace(message, state=state, settled_at=LATER, **changes)


def _scheduled(store: Store, message: ScheduledMessage) -> None:
    """The message scheduled again, with the claim still in it."""
    assert store.release(claimed(store, message))


def _sending(store: Store, message: ScheduledMessage) -> None:
    claimed(store, message)


def _settled(state: State, **changes: Any) -> Callable[[Store, ScheduledMessage], None]:
    def bring(store: Store, message: ScheduledMessage) -> None:
        assert store.settle(ended(claimed(store, message), state, **changes))

    return bring


def _reported(state: State) -> Callable[[Store, ScheduledMessage], None]:
    def bring(store: Store, message: ScheduledMessage) -> None:
        assert store.record_receipt(ended(claimed(store, message), state))

    return bring


BRING: Final[dict[State, Callable[[Store, ScheduledMessage], None]]] = {
    State.SCHEDULED: _scheduled,
    State.SENDING: _sending,
    State.SENT: _settled(State.SENT, provider="eventbridge", provider_message_id="event-1"),
    State.SKIPPED: _settled(State.SKIPPED, rule="window_closed"),
    State.FAILED: _settled(State.FAILED, error="refused"),
    State.UNCONFIRMED: _settled(State.UNCONFIRMED),
    State.DELIVERED: _reported(State.DELIVERED),
    State.UNDELIVERED: _reported(State.UNDELIVERED),
}
"""How a message gets into each state by the store's own methods."""


def brought(store: Store, state: State, message: ScheduledMessage | None = None) -> ScheduledMessage:
    """A row in that state, claimed once by `CLAIM`."""
    message = message or reminder()
    BRING[state](store, message)
    stored = store.read_message(message.key)
    assert stored is not None
    assert stored.state is state
    return stored


def contacts_of_shard(shard: int, brand: str = "acme-dental") -> Iterator[Contact]:
    """As many contacts as are asked for, all of one shard."""
    number = 0
    while True:
        contact = Contact(brand, "sms", f"+49151{number:08}")
        number += 1
        if contact.shard == shard:
            yield contact


def due_in(
    store: Store, shard: int, now: datetime, *, send_group: SendGroup = "appointments", priority: Priority = "high"
) -> list[DueKey]:
    """Return all pages of one queue, by default that of the reminders."""
    return [due for page in store.due(send_group, priority, shard, now) for due in page]


QUEUES: Final = [
    (send_group, priority, shard)
    for send_group, priorities in PRIORITIES.items()
    for priority in priorities
    for shard in range(SHARDS)
]


def everything_due(store: Store, now: datetime) -> list[DueKey]:
    """Return all pages of the reminders."""
    return [due for shard in range(SHARDS) for due in due_in(store, shard, now)]
