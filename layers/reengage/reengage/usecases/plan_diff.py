"""Find what a business event changes: the messages to write, and those to withdraw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final

from reengage.domain.business_events import OF_SEVERAL_PEOPLE
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.person import other_channels
from reengage.domain.planning import corrections, planned_messages
from reengage.domain.purchases import KIND, is_bought, purchases_of
from reengage.domain.same_person import aliases_of, with_aliases
from reengage.domain.subject import OPENER_USED, BusinessEvent, Subject
from reengage.ports import PlanStore
from reengage.usecases.corrections import is_needed, numbered, sent_about
from reengage.usecases.person import Addresses, addresses_of

CORRECTED_TRACK: Final = "appointment"


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What an event changes: the messages to write, and those to withdraw, each with its rule."""

    wanted: Sequence[ScheduledMessage]
    unwanted: Sequence[tuple[ScheduledMessage, str]]


def plan_diff(
    event: BusinessEvent,
    subject: Subject,
    before: Subject,
    *,
    store: PlanStore,
    addresses: Addresses,
    zone: tzinfo | None,
    is_repeat: bool,
) -> PlanDiff:
    """Compare what the subject wants now with what it wanted ``before`` the event.

    Without what the person bought since, and with the corrections of what they last received. A repeated event is
    planned for all its people: the run before may have ended early. Several addresses of one person count as one.
    """
    aliases = aliases_for(event, subject, addresses)
    merged = with_aliases(subject, aliases)
    diff = _of_tracks(event, merged, before, aliases, zone=zone, is_repeat=is_repeat)
    diff = _without_bought(event, merged, diff, store, is_repeat=is_repeat)
    before = with_aliases(before, aliases)
    return _with_corrections(event, merged, before, diff, store=store, addresses=addresses, is_repeat=is_repeat)


def aliases_for(event: BusinessEvent, subject: Subject, addresses: Addresses) -> Mapping[str, Contact]:
    """Return which addresses that events name are one person's, of the people that this event is about."""
    if subject.ref.kind not in OF_SEVERAL_PEOPLE or len(subject.named_people) == 1:
        return {}
    aliases: dict[str, Contact] = {}
    for contact in [event.person] if event.person else subject.named_people.values():
        if contact.person not in aliases:
            aliases |= aliases_of(subject, [contact, *addresses.linked(contact)])
    return aliases


def _of_tracks(
    event: BusinessEvent,
    subject: Subject,
    before: Subject,
    aliases: Mapping[str, Contact],
    *,
    zone: tzinfo | None,
    is_repeat: bool,
) -> PlanDiff:
    """Compare the messages that the subject's own tracks want.

    Before a link was known, messages were planned for each address.
    """
    wanted, former = planned_messages(subject, zone), planned_messages(before, zone)
    if aliases:
        former = tuple(
            {each.key: each for each in (*planned_messages(with_aliases(before, aliases), zone), *former)}.values()
        )
    added = _without(wanted, former)  # also on another track: a delivery to one more person may name who is on it
    return PlanDiff(
        wanted=[
            replace(message, planned_at=event.arrived_at)
            for message in wanted
            if message in added or _concerns(event, message, subject, is_repeat=is_repeat)
        ],
        unwanted=_with_rules(_without(former, wanted), subject),
    )


def _with_rules(messages: Sequence[ScheduledMessage], subject: Subject) -> list[tuple[ScheduledMessage, str]]:
    """Return each unwanted message with the rule that it is skipped by."""
    views = {message.contact: subject.for_contact(message.contact) for message in messages}
    over = [views[message.contact].is_over(message.reason_spec, message.track) for message in messages]
    return [
        (message, "cancelled" if is_over else "superseded") for message, is_over in zip(messages, over, strict=True)
    ]


def _without_bought(
    event: BusinessEvent, subject: Subject, diff: PlanDiff, store: PlanStore, *, is_repeat: bool
) -> PlanDiff:
    """Remove what the person bought since. For a purchase, withdraw the reminders of carts and products before it.

    A repeated purchase withdraws them again: the run before may have ended before it published.
    """
    if event.subject.kind == KIND and event.contact:
        addresses = dict.fromkeys([*addresses_of(event.contact, store), *other_channels(event.contact)])
        bought = [
            (row, "cancelled")
            for address in addresses
            for row in (store.unsent_messages(address) if is_repeat else store.pending_messages(address))
            if row.reason_spec.ended_by_purchase
            and is_bought(subject, store.read_subject(row.subject), row.reason_spec)
        ]
        return replace(diff, unwanted=[*diff.unwanted, *bought])
    reminders = [message for message in diff.wanted if message.reason_spec.ended_by_purchase]
    bought_keys = {
        message.key
        for message in reminders
        if is_bought(store.read_subject(purchases_of(message.contact)), subject, message.reason_spec)
    }
    return replace(diff, wanted=[message for message in diff.wanted if message.key not in bought_keys])


def _with_corrections(
    event: BusinessEvent,
    subject: Subject,
    before: Subject,
    diff: PlanDiff,
    *,
    store: PlanStore,
    addresses: Addresses,
    is_repeat: bool,
) -> PlanDiff:
    """Add the message to each person that corrects what they last received about the appointment."""
    if event.track != CORRECTED_TRACK or event.track not in before.tracks:
        return diff  # no message about it was sent before its first event
    present = corrections(subject, event.arrived_at)
    changed = [message for message in present if _concerns(event, message, subject, is_repeat=is_repeat)]
    sent = {message.contact: sent_about(message, store, addresses.all(message.contact)) for message in changed}
    wanted = _numbered([each for each in changed if is_needed(each, sent[each.contact])], sent)
    former = _numbered(corrections(before, event.arrived_at), sent)
    return PlanDiff([*diff.wanted, *wanted], [*diff.unwanted, *_with_rules(_without(former, wanted), subject)])


def _without(messages: Sequence[ScheduledMessage], others: Sequence[ScheduledMessage]) -> list[ScheduledMessage]:
    keys = {other.key for other in others}
    return [message for message in messages if message.key not in keys]


def _numbered(
    messages: Sequence[ScheduledMessage], sent: Mapping[Contact, Sequence[ScheduledMessage]]
) -> list[ScheduledMessage]:
    """Return the corrections to the contacts of ``sent``, each with a key of its own."""
    return [numbered(message, sent[message.contact]) for message in messages if message.contact in sent]


def _concerns(event: BusinessEvent, message: ScheduledMessage, subject: Subject, *, is_repeat: bool) -> bool:
    """Whether the event may have changed the message.

    It is of the event's track, or of one without people of its own; and the event changed it for this person.
    """
    if event.type == OPENER_USED:
        return message.contact == event.contact
    if message.track != event.track and subject.tracks[message.track].everyone:
        return False
    # What TTL may have deleted was handed over, or skipped, long ago: a repeat must not plan it again.
    is_kept = message.expires_at(message.due_at) > event.arrived_at.timestamp()
    return (is_repeat and is_kept) or event.person is None or message.version == subject.newest_revision
