"""Make openers when the person has to write first, read them, and bind the address of the person who uses one.

| step | write units |
|---|---|
| make or extend an opener | 1 for each person of an appointment, and only if the forecast needs it |
| a message without anything like a token | 0, and no request |
| a message with a token | 1 for the use, 1 for the evidence; then the plan, as for any event |
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage, expiry
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.openers import (
    FORECASTS,
    VALID_FOR,
    Consent,
    Invitation,
    Opener,
    as_token,
    find_tokens,
    is_opened,
    no_contact,
    part_of,
    token_source,
)
from reengage.domain.person import OtherAddress
from reengage.domain.planning import planned_messages
from reengage.domain.policy import PolicyInput
from reengage.domain.subject import OPENER_OF, OPENER_USED, BusinessEvent, EventEffect, Subject, version_of
from reengage.domain.window_closing import DueForecast
from reengage.ports import OpenerReader, OpenerStore, OpenerUseStore
from reengage.usecases.person import others_of


class Invite(Protocol):
    """Word an opener for the person, with a link if a number of the brand is known."""

    def __call__(
        self, opener: Opener, channel: str | None, *, brand: Brand | None, locale: str | None
    ) -> Invitation: ...


Bind = Callable[[BusinessEvent], object]
"""Plan the messages of an event that names another address of a person."""


@dataclass(frozen=True, slots=True)
class OpenerDesk:
    """Makes the openers of subjects and reads those that are still valid."""

    store: OpenerStore
    invite: Invite

    def invitations(
        self,
        subject: Subject,
        planned: Iterable[ScheduledMessage],
        contexts: Mapping[MessageKey, PolicyInput],
        forecasts: Mapping[MessageKey, DueForecast],
        now: datetime,
    ) -> Mapping[Contact, Invitation]:
        """Store an opener for each contact that has to write before a message can be sent to it.

        Also for a subject without a contact: it has no message yet, so no invitation is returned.
        """
        if not is_opened(subject.ref.kind):
            return {}
        if not subject.contacts and (ends_at := _end_for_a_sender(subject, now)):
            self._store(subject, no_contact(subject.ref.brand), ends_at, now)
        ends: dict[Contact, datetime] = {}
        context_of: dict[Contact, PolicyInput] = {}
        for message in planned:
            if message.state is State.SCHEDULED and forecasts[message.key].forecast in FORECASTS:
                ends[message.contact] = max(message.valid_until, ends.get(message.contact, message.valid_until))
                context_of[message.contact] = contexts[message.key]
        return {contact: self._make(subject, contact, end, context_of[contact]) for contact, end in ends.items()}

    def _make(self, subject: Subject, contact: Contact, end: datetime, context: PolicyInput) -> Invitation:
        opener = self._store(subject, contact, end, context.now)
        locale = context.profile.locale if context.profile else None
        return self.invite(opener, contact.channel, brand=context.brand, locale=locale)

    def _store(self, subject: Subject, contact: Contact, end: datetime, now: datetime) -> Opener:
        person, expires_at = self._person(subject, contact), min(end, now + VALID_FOR)
        opener = Opener(subject.ref.brand, self._token(subject, person), subject.ref, person, expires_at)
        self.store.write_opener(opener)
        return opener

    def find(
        self, subjects: Sequence[tuple[Subject, Contact]], *, brand: Brand | None, now: datetime
    ) -> Mapping[tuple[str, Contact], Invitation]:
        """Return the valid openers by subject id and contact; one read for all of one brand."""
        wanted = {
            self._token(subject, self._person(subject, contact)): (subject, contact)
            for subject, contact in subjects
            if is_opened(subject.ref.kind)
        }
        if not wanted:
            return {}
        brand_id = next(iter(wanted.values()))[0].ref.brand
        stored = self.store.read_openers(brand_id, list(wanted))
        return {
            (subject.ref.id, contact): self.invite(opener, contact.channel, brand=brand, locale=None)
            for token, opener in stored.items()
            for subject, contact in [wanted[token]]
            if opener.used_by is None and now < opener.expires_at
        }

    def _person(self, subject: Subject, contact: Contact) -> str:
        return person_of(subject, contact, self.store)

    def _token(self, subject: Subject, person: str) -> str:
        hashes = (self.store.keyed_hash(token_source(subject, person, salt)) for salt in range(100))
        return next(token for each in hashes if (token := as_token(each)))


def person_of(subject: Subject, contact: Contact, store: OpenerReader) -> str:
    """Return the keyed hash of the person that the subject names, and reaches at ``contact``."""
    return store.keyed_hash(subject.named_for(contact).person)


def use_opener(
    message: InboundMessage, *, store: OpenerUseStore, retention: timedelta, now: datetime, bind: Bind
) -> bool:
    """Bind the sender's address to what the message's token was made for; return whether it did.

    The use is stored first: another sender who comes at the same moment binds nothing. A repeat of the message does
    the same again, so a retry completes what was cut short.
    """
    tokens = find_tokens(message.text) if message.kind == "text" else []
    if not tokens:
        return False
    message_hash = store.keyed_hash(f"{message.contact.key}|{message.message_id}")
    for opener in store.read_openers(message.contact.brand, tokens).values():
        if not opener.is_valid(message.sent_at, message_hash):
            continue
        event = _binding(opener, message, store=store, now=now)
        if event is None or not store.use_opener(opener, message_hash, at=message.sent_at):
            continue
        consent = Consent(message.message_id, message.sent_at, message.text, opener.subject)
        store.write_consent(message.contact, consent, expires_at=expiry(message.sent_at + retention))
        bind(event)
        return True
    return False


def _binding(opener: Opener, message: InboundMessage, *, store: OpenerUseStore, now: datetime) -> BusinessEvent | None:
    """Return the event that binds the address.

    ``None`` if the subject is over, no longer names the person, or its messages can reach the person elsewhere by now.
    """
    subject = store.read_subject(opener.subject)
    if subject is None:
        return None
    planned = [
        each
        for each in planned_messages(subject)
        if now < each.valid_until and person_of(subject, each.contact, store) == opener.person
    ]
    if not planned and opener.person == store.keyed_hash(no_contact(opener.brand).person):
        return _binding_of_a_sender(subject, message, part_of(opener.person), now)
    if not planned or _is_reached(planned, message.contact, store=store, now=now):
        return None
    owner = subject.named_for(planned[0].contact)
    return BusinessEvent(
        type=OPENER_USED,
        subject=opener.subject,
        version=version_of(message.sent_at, EventEffect.BEGIN),
        arrived_at=message.arrived_at,
        contact=message.contact,
        fields={"part": part_of(opener.person), OPENER_OF: [owner.brand, owner.channel, owner.address]},
    )


def _binding_of_a_sender(subject: Subject, message: InboundMessage, part: str, now: datetime) -> BusinessEvent | None:
    """Return the event that makes the sender the contact of a subject that names no one else."""
    event = BusinessEvent(
        type=OPENER_USED,
        subject=subject.ref,
        version=version_of(message.sent_at, EventEffect.BEGIN),
        arrived_at=message.arrived_at,
        contact=message.contact,
        fields={"part": part},
    )
    is_free = set(subject.contacts) <= {message.contact}
    return event if is_free and _is_to_come(subject.apply(event), now) else None


def _is_to_come(subject: Subject, now: datetime) -> bool:
    return any(now < message.valid_until for message in planned_messages(subject))


def _end_for_a_sender(subject: Subject, now: datetime) -> datetime | None:
    """Return when the last message would be over that the subject has as soon as it has a contact."""
    sender = no_contact(subject.ref.brand)
    version = version_of(now, EventEffect.BEGIN)
    used = BusinessEvent(OPENER_USED, subject.ref, version, now, sender, {"part": ""})
    ends = [message.valid_until for message in planned_messages(subject.apply(used))]
    return max((end for end in ends if now < end), default=None)


def _is_reached(planned: Sequence[ScheduledMessage], sender: Contact, *, store: OpenerUseStore, now: datetime) -> bool:
    """Whether all messages can be sent to another address than the sender's: a forwarded link must not divert them.

    Also to one that is linked with the contact, and to another channel of the number.
    """
    contact = planned[0].contact
    if contact == sender:
        return False
    thread = store.read_threads([contact])[contact]
    own = OtherAddress(contact, thread.profile, thread.conversation, thread.preferences)
    addresses = (own, *others_of(contact, thread, store, open_at=now))
    others = (each for each in addresses if each.contact != sender)
    return any(_receives(each, planned, now) for each in others)


def _receives(address: OtherAddress, planned: Sequence[ScheduledMessage], now: datetime) -> bool:
    conversation, preferences = address.conversation, address.preferences
    if conversation is None or preferences.refused("contact", address.contact.channel):
        return False
    is_left = preferences.left_since(conversation.last_inbound_at, address.contact.channel)
    return not is_left and all(conversation.is_open(max(now, message.due_at)) for message in planned)
