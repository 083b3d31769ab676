"""Send one message with sample data through a brand's real route, to a number that the operator owns.

The message passes every rule that a real one passes: opt-outs, pauses, consent and the channel's own window. Only for
the numbers of the parameter ``TestNumbers`` the window counts as open, and no hour is quiet. It takes no cap usage and
asks no question. It is recorded under the contact, with ``test`` among its facts.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, expiry
from reengage.domain.events_out import OutEvent
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.message_to_test import MessageToTest
from reengage.domain.policy import Snapshot
from reengage.domain.reasons import REASONS
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue
from reengage.ports import Publish, RunStore
from reengage.usecases.send_message import Sender

VALID_FOR: Final = timedelta(minutes=2)
"""Shorter than any hold of quiet hours: what holds the message skips it."""

LAST_WROTE: Final = timedelta(days=2)
"""How long ago a test number counts as having written: the window is open, WhatsApp's 24 hours are not."""

TEST: Final = "test"
"""The fact that marks a message as a test, and the beginning of its subject's id."""


def send_test(
    test: MessageToTest,
    *,
    sender: Callable[[RunStore, Publish], Sender],
    store: RunStore,
    publish: Publish,
    test_numbers: Collection[str],
    now: datetime,
) -> dict[str, Any]:
    """Send it now, and return its state with the rule and facts of the decision. JSON values."""
    message = _message(test, now)
    former = store.read_message(message.key)
    if former is None:
        wrapped = StoreOfTest(store, test, is_listed=test.contact.address in test_numbers, now=now)
        sender(cast("RunStore", wrapped), _marked(publish)).send_now(message)
    stored = store.read_message(message.key)
    return _answer(stored, repeated=former is not None)


def _answer(stored: ScheduledMessage | None, *, repeated: bool) -> dict[str, Any]:
    if stored is None:
        return {"state": "gone"}
    known = {
        "state": str(stored.state),
        "scheduled_message_id": stored.scheduled_message_id,
        "rule": stored.rule,
        "facts": dict(stored.facts),
        "provider": stored.provider,
        "provider_message_id": stored.provider_message_id,
        "text": stored.text,
        "error": stored.error,
        "repeated": repeated or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _message(test: MessageToTest, now: datetime) -> ScheduledMessage:
    """Return the message; its key depends on the test's id alone."""
    ref = SubjectRef.known_to(test.contact, REASONS[test.reason].kind, f"{TEST}-{test.id}")
    message = ScheduledMessage(
        contact=test.contact,
        reason=test.reason,
        subject=ref,
        offset="PT0S",
        anchor_at=None,
        due_at=now,
        valid_until=now + VALID_FOR,
        version=0,
        planned_at=now,
    )
    return replace(message, facts={TEST: True})


def _marked(publish: Publish) -> Publish:
    """Return ``publish`` that marks each event with facts as one of a test."""

    def publishing(events: Any) -> None:
        publish([OutEvent(e.type, {**e.detail, "facts": {**e.detail.get("facts", {}), TEST: True}}) for e in events])

    return publishing


@dataclass(frozen=True, slots=True)
class StoreOfTest:
    """The store, with the sample's subject in each snapshot, and without caps."""

    store: RunStore
    test: MessageToTest
    is_listed: bool
    now: datetime

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def read_snapshot(self, message: ScheduledMessage, *, brands: Mapping[str, Brand | None] | None = None) -> Snapshot:
        snapshot = self.store.read_snapshot(message, brands=brands)
        spec = message.reason_spec
        fields = {name: VersionedValue(0, value) for name, value in self.test.fields.items()}
        track = Track(0, active=spec.correction != "cancelled", fields=fields)
        subject = Subject(message.subject, {spec.track: track})
        interest = Subject(message.subject, {"interest": Track(0, active=True)})
        return snapshot._replace(
            subject=subject,
            interest=interest,
            purchases=None,
            cap_usage=type(snapshot.cap_usage)(),
            brand=self._brand(snapshot.brand, message),
            conversation=self._conversation(snapshot.conversation),
            profile=self._profile(snapshot.profile),
            others=(),
        )

    def pending_messages(self, *_: Any) -> list[ScheduledMessage]:
        """Return nothing: a test never takes a real message of the contact along."""
        return []

    def sent_about_appointments(self, _contact: Contact) -> list[ScheduledMessage]:
        """Return the reminder that a test of a correction corrects: one with another time."""
        message = _message(self.test, self.now)
        reminder = replace(message, reason="appointment_reminder", offset="PT2H", anchor_at=self.now, state=State.SENT)
        return [reminder] if message.reason_spec.correction else []

    def settle(self, message: ScheduledMessage) -> bool:
        return self.store.settle(replace(message, facts={**message.facts, TEST: True}))

    def _brand(self, brand: Brand | None, message: ScheduledMessage) -> Brand:
        """Return the brand without caps and questions; without quiet hours for a listed number."""
        found = brand or Brand(message.contact.brand)
        found = replace(found, utility_caps="", marketing_caps="", ask_for_answers=False)
        return replace(found, utility_quiet_hours="", marketing_quiet_hours="") if self.is_listed else found

    def _conversation(self, conversation: Conversation | None) -> Conversation | None:
        if not self.is_listed or (conversation and conversation.is_open(self.now)):
            return conversation
        wrote_at = self.now - LAST_WROTE
        return Conversation(wrote_at, TEST, "started", expiry(wrote_at + WINDOW))

    def _profile(self, profile: Profile | None) -> Profile | None:
        """Return the profile with the test's locale."""
        if self.test.locale is None:
            return profile
        found = profile or Profile(self.now, self.now, expiry(self.now + WINDOW))
        return replace(found, locale=self.test.locale)
