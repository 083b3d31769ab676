"""Values of production's shape: what the tests plan, claim and settle."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reengage.domain.brand import Brand
from reengage.domain.caps import Places
from reengage.domain.contact import SHARDS, Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Choice, Preferences
from reengage.domain.subject import RETENTION, Family, Said, Subject, SubjectRef
from reengage.ports import DueKey, Store

NOW: Final = datetime(2026, 11, 30, 8, 0, 0, 123456, tzinfo=UTC)
LATER: Final = NOW + timedelta(minutes=5)
ANNA: Final = Contact("acme-dental", "sms", "+4915112345678")
BEN: Final = Contact("acme-dental", "sms", "+4915187654321")
APPOINTMENT: Final = SubjectRef("acme-dental", "appointment", "3f2b8c1e-7d54-4c0f-9a57-5be1d2a4c6f0")
TRIAL: Final = SubjectRef("acme-dental", "trial", "trial-77")

CLAIM: Final = "claim-1"
OTHER_CLAIM: Final = "claim-2"


def conversation(at: datetime = NOW, **changes: Any) -> Conversation:
    return replace(Conversation(at, "wamid.1", "started", expiry(at + WINDOW)), **changes)


def profile(at: datetime = NOW, **changes: Any) -> Profile:
    return replace(Profile(at, at, expiry(at + timedelta(days=365))), **changes)


def inbound(message_id: str = "wamid.1", contact: Contact = ANNA, at: datetime = NOW) -> InboundMessage:
    return InboundMessage(contact, message_id, at, at, "See you tomorrow!")


def subject(ref: SubjectRef = APPOINTMENT, *, revision: int = 0, heard_at: datetime = NOW, **said: Any) -> Subject:
    family = Family(1, active=True, said={name: Said(1, value) for name, value in said.items()})
    return Subject(ref, {ref.kind: family}, expires_at=expiry(NOW + RETENTION), revision=revision, heard_at=heard_at)


def brand(**said: Any) -> Brand:
    return Brand("acme-dental").hear(1, said)


def stopped(at: datetime = NOW, cause: Any = "STOP", scope: str = "*") -> Preferences:
    """What is stored of a person who wrote STOP."""
    return Preferences().hear("contact", scope, Choice(allowed=False, at=at, cause=cause))


def preferring(store: Store, contact: Contact, preferences: Preferences) -> Preferences:
    """The preferences as they are read once they were written."""
    assert store.write_preferences(contact, preferences)
    return replace(preferences, revision=preferences.revision + 1)


def placed(
    store: Store, message: ScheduledMessage, *, at: datetime = NOW, keep_for: timedelta = timedelta(days=7)
) -> Places:
    """The places as they are read once the message has taken one."""
    assert store.take_place(message, store.read_circumstances(message).places, at=at, keep_for=keep_for)
    return store.read_circumstances(message).places


def reminder(**changes: Any) -> ScheduledMessage:
    """Anna's reminder of an appointment tomorrow: version 1, due now."""
    due_at = changes.pop("due_at", NOW)
    about = changes.pop("about", NOW + timedelta(days=1))
    plan = ScheduledMessage(
        contact=ANNA,
        reason="appointment_reminder",
        subject=APPOINTMENT,
        step="P1D",
        about=about,
        due_at=due_at,
        useful_until=about - timedelta(hours=2),
        version=1,
        planned_at=NOW - timedelta(minutes=3),
    )
    return replace(plan, **changes)


def skip(message: ScheduledMessage, rule: str = "too_late") -> ScheduledMessage:
    """The message as it is planned where its offset is past already."""
    return replace(message, state=State.SKIPPED, rule=rule, facts={"due_at": "2026-11-30T08:00:00Z"}, settled_at=NOW)


def due_key(message: ScheduledMessage) -> DueKey:
    return DueKey(message.key, message.due_at)


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
    """Scheduled again, so that it still carries the claim."""
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
"""How a message comes into each state, by the store's own methods."""


def brought(store: Store, state: State, message: ScheduledMessage | None = None) -> ScheduledMessage:
    """A row in that state, claimed once by `CLAIM`."""
    message = message or reminder()
    BRING[state](store, message)
    stored = store.read_message(message.key)
    assert stored is not None
    assert stored.state is state
    return stored


def contacts_of_shard(shard: int) -> Iterator[Contact]:
    """As many contacts as are asked for, all of one shard."""
    number = 0
    while True:
        contact = Contact("acme-dental", "sms", f"+49151{number:08}")
        number += 1
        if contact.shard == shard:
            yield contact


def everything_due(store: Store, now: datetime) -> list[DueKey]:
    return [due for shard in range(SHARDS) for due in store.due("appointments", shard, now)]
