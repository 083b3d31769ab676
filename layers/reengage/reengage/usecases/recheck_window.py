"""Recheck messages that are due after the window closes: send them before, or warn the business.

The window moves whenever the contact writes. So a message only gets a time for the recheck, and then it is decided
again whether the window will close before it is due.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from reengage.domain.contact import Contact
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import replan
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.window_closing import plan_for_closing, with_longest_window
from reengage.errors import NotPublished
from reengage.ports import Clock, ConversationStore, LinkedWindowStore, Publish, WindowStore
from reengage.usecases.person import addresses_of

HELD_BY_FACTS: Final = frozenset({"quiet_hours", "unknown_timezone"})
"""The rules whose hold may end before its time: they depend on the person's zone, which a message may name."""

LONGEST_BACKOFF: Final = timedelta(minutes=15)
"""The longest wait between two tries, unless the provider asks for a longer one."""


def with_closing_plan(context: PolicyInput, message: ScheduledMessage) -> ScheduledMessage:
    """The message as it is to be scheduled, given that it is due at ``message.due_at``."""
    at = plan_for_closing(context, message.due_at).at
    return message if at == message.due_at else replace(message, due_at=at, planned_due_at=message.due_at)


def recheck_contacts(
    contacts: Iterable[Contact], *, settings: PolicySettings, store: WindowStore, clock: Clock
) -> None:
    """The window of a person has moved: what was planned before, and is due after it will have closed, is marked.

    ``contacts`` are the person's addresses, of one brand. The brand is read if the stack itself plans nothing.
    """
    addresses = list(dict.fromkeys(contacts))
    of_brand = settings if settings.plans_for_closing else settings.for_brand(store.read_brand(addresses[0].brand))
    if of_brand.plans_for_closing:
        for contact in addresses:
            _recheck(contact, settings=settings, store=store, clock=clock)


def _recheck(contact: Contact, *, settings: PolicySettings, store: WindowStore, clock: Clock) -> None:
    for row in store.pending_messages(contact):
        context = with_longest_window(PolicyInput.of(store.read_snapshot(row), row, settings, clock()))
        wanted = replan(row, context.subject, context.default_zone)
        # One that was put off, or that a newer version moves, is asked by its sender.
        if wanted and wanted.version == row.version and wanted.due_at == row.due_at:
            ahead = with_closing_plan(context, row)
            if ahead is not row:
                store.reschedule(row, due_at=ahead.due_at, planned_due_at=row.due_at)


def recheck_closing(contact: Contact, *, settings: PolicySettings, store: LinkedWindowStore, clock: Clock) -> None:
    """An address was linked: a message for one address may be sent while another one's window is open."""
    recheck_contacts(addresses_of(contact, store), settings=settings, store=store, clock=clock)


class PersonStore(ConversationStore, WindowStore, Protocol):
    """What a recheck of all of a person's messages reads and writes."""


class Changed(NamedTuple):
    """What a contact's message changed: the person's time zone; or the channel allows free text again."""

    timezone: bool = False
    free_text: bool = False


def recheck_holds(contact: Contact, *, store: ConversationStore, now: datetime, changed: Changed) -> None:
    """Make due again what waits for what the contact's message changed."""
    if not any(changed):
        return
    for row in store.pending_messages(contact):
        waits = (changed.timezone and _is_held_by_timezone(row)) or (changed.free_text and _waits_for_contact(row, now))
        if row.state is State.SCHEDULED and waits and row.planned_due_at and row.planned_due_at <= now < row.due_at:
            store.reschedule(row, due_at=now, planned_due_at=row.planned_due_at)


def recheck_person(contact: Contact, *, settings: PolicySettings, store: PersonStore, clock: Clock) -> None:
    """Recheck the person's messages after an address was linked: it may have the time zone, or an open window."""
    addresses = addresses_of(contact, store)
    for address in addresses:
        recheck_holds(address, store=store, now=clock(), changed=Changed(timezone=True))
    recheck_contacts(addresses, settings=settings, store=store, clock=clock)


def _is_held_by_timezone(row: ScheduledMessage) -> bool:
    return row.rule in HELD_BY_FACTS and row.attempts == 0


def _waits_for_contact(row: ScheduledMessage, now: datetime) -> bool:
    """Whether the provider asked for a wait that is longer than any of our own, as Meta's 131049 does."""
    return row.attempts > 0 and row.due_at > now + LONGEST_BACKOFF


def warn(context: PolicyInput, due_after: ScheduledMessage, *, store: WindowStore, publish: Publish) -> bool:
    """``ConversationClosing``, once for each closing: when the window closes, and what is due after that.

    ``due_after`` is one of those, as it is due. ``False`` where the person has written meanwhile, or the bus did not
    take the event: then it has to be asked again.
    """
    conversation, contact = context.conversation, context.message.recipient
    assert conversation is not None
    late = [due_after, *_also_after(context, due_after, store)]
    warned = replace(conversation, warned_expires_at=conversation.expires_at, warned_at=context.now)
    # Two functions may warn in the same minute: the one that marks the conversation does.
    if not store.write_conversation(contact, warned, replacing=conversation):
        return False
    try:
        publish([_closing_event(contact, conversation.closes_at, late)])
    except NotPublished:
        store.write_conversation(contact, conversation, replacing=warned)
        return False
    return True


def closing_again(
    row: ScheduledMessage,
    *,
    store: WindowStore,
    settings: PolicySettings,
    now: datetime,
    since: datetime,
    until: datetime,
) -> OutEvent | None:
    """Return ``ConversationClosing`` once more, if a run marked the conversation then: it may not have published it."""
    context = with_longest_window(PolicyInput.of(store.read_snapshot(row), row, settings, now))
    conversation = context.conversation
    if conversation is None or conversation.warned_at is None or not conversation.already_warned:
        return None
    if not since <= conversation.warned_at < until:
        return None
    return _closing_event(context.message.recipient, conversation.closes_at, [row, *_also_after(context, row, store)])


def _closing_event(contact: Contact, closes_at: datetime, late: Sequence[ScheduledMessage]) -> OutEvent:
    about = [_about(message) for message in sorted(late, key=lambda message: message.due_at)]
    return out_event("ConversationClosing", contact, expires_at=closes_at, scheduled_messages=about)


def _also_after(context: PolicyInput, due_after: ScheduledMessage, store: WindowStore) -> Iterator[ScheduledMessage]:
    """The contact's other messages that will still be due when the window has closed, each as it is due."""
    for row in store.pending_messages(due_after.contact):
        if row.key == due_after.key:
            continue
        snapshot = store.read_snapshot(row)._replace(conversation=context.conversation)
        other = PolicyInput.of(snapshot, row, context.settings, context.now)
        wanted = replan(row, other.subject, other.default_zone)
        if wanted is None or context.conversation is None or context.conversation.is_open(wanted.due_at):
            continue
        if not other.is_refused and plan_for_closing(other, wanted.due_at).why != "pull_forward":
            yield wanted


def _about(message: ScheduledMessage) -> dict[str, Any]:
    return {
        "scheduled_message_id": message.scheduled_message_id,
        "reason": message.reason,
        "subject_id": message.subject.id,
        "due_at": iso(message.due_at),
    }
