"""Find what a business event changes: the messages to write, and those to withdraw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from reengage.domain.business_events import OF_SEVERAL_PEOPLE
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.person import other_channels
from reengage.domain.planning import corrections, planned_messages
from reengage.domain.purchases import KIND, is_bought, purchases_of
from reengage.domain.same_interest import PRODUCT, newest_elsewhere
from reengage.domain.same_person import aliases_of, with_aliases
from reengage.domain.subject import OPENER_USED, BusinessEvent, Subject
from reengage.ports import PlanStore
from reengage.usecases.corrections import is_needed, numbered, sent_about
from reengage.usecases.person import Addresses, addresses_of

EPOCH: Final = datetime.fromtimestamp(0, UTC)

CORRECTED_TRACK: Final = "appointment"

ERA_UNIT: Final = timedelta(milliseconds=1)
"""Of a subject's ``era``."""

TTL_MARGIN: Final = timedelta(minutes=1)
"""TTL may delete a row while the function runs, and by a clock that is ahead."""


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
    now: datetime,
    is_repeat: bool,
) -> PlanDiff:
    """Compare what the subject wants now with what it wanted ``before`` the event.

    Without what the person bought since, and with the corrections of what they last received. A repeated event is
    planned for all its people: the run before may have ended early. Several addresses of one person count as one.
    What may have been sent, and deleted by TTL at ``now``, is not planned again.
    """
    aliases = aliases_for(event, subject, addresses)
    merged = with_aliases(subject, aliases)
    diff = _of_tracks(event, merged, before, aliases, zone=zone, is_repeat=is_repeat)
    diff = _without_bought(event, merged, diff, store, is_repeat=is_repeat)
    diff = _of_one_interest(event, subject, diff, store=store, addresses=addresses, zone=zone, is_repeat=is_repeat)
    before = with_aliases(before, aliases)
    diff = _with_corrections(event, merged, before, diff, store=store, addresses=addresses, is_repeat=is_repeat)
    return replace(diff, wanted=[each for each in diff.wanted if not _may_be_deleted(each, subject, now)])


def aliases_for(event: BusinessEvent, subject: Subject, addresses: Addresses) -> Mapping[str, Contact]:
    """Return which addresses that events name are one person's, of the people that this event is about."""
    return aliases_among([event.person] if event.person else subject.named_people.values(), subject, addresses)


def aliases_among(people: Iterable[Contact], subject: Subject, addresses: Addresses) -> Mapping[str, Contact]:
    """Return which addresses that events name are one person's, of these people."""
    if subject.ref.kind not in OF_SEVERAL_PEOPLE or len(subject.named_people) == 1:
        return {}
    aliases: dict[str, Contact] = {}
    for contact in people:
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
        own = addresses_of(event.contact, store)
        addresses = dict.fromkeys([*own, *(other for address in own for other in other_channels(address))])
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


def _of_one_interest(
    event: BusinessEvent,
    subject: Subject,
    diff: PlanDiff,
    *,
    store: PlanStore,
    addresses: Addresses,
    zone: tzinfo | None,
    is_repeat: bool,
) -> PlanDiff:
    """Keep one message about a product that was viewed at several of the person's addresses: that of the newest event.

    It takes a read for each other address that is known of the person.
    """
    elsewhere = _viewed_elsewhere(event, subject, store, addresses)
    if not elsewhere:
        return diff
    if newest := newest_elsewhere(subject, elsewhere):
        return diff if newest.is_undone(PRODUCT) else replace(diff, wanted=[])
    former = [message for other in elsewhere for message in planned_messages(other, zone)]
    stored = [row for message in former if (row := store.read_message(message.key))]
    rule = "cancelled" if subject.is_undone(PRODUCT) else "superseded"
    unwanted = [(row, rule) for row in stored if row.state is State.SCHEDULED or (is_repeat and row.is_withdrawn)]
    return replace(diff, unwanted=[*diff.unwanted, *unwanted])


def _viewed_elsewhere(event: BusinessEvent, subject: Subject, store: PlanStore, addresses: Addresses) -> list[Subject]:
    """Return the product as viewed at the person's other addresses; empty if the event's own message is refused."""
    contact = event.contact
    if subject.ref.kind != PRODUCT or contact is None:
        return []
    if not subject.is_undone(PRODUCT) and addresses.thread(contact).preferences.refused("contact", contact.channel):
        return []
    known = (
        other._replace(interest=store.read_subject(replace(subject.ref, of=other.contact)))
        for other in addresses.others(contact)
    )
    return [other.interest for other in known if other.interest and other.is_interest_counted]


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

    It is of the event's track, or of one that does not name the person; and the event changed it for this person.
    """
    if event.type == OPENER_USED:
        return message.contact == event.contact
    if message.track != event.track and subject.for_contact(message.contact).tracks[message.track].contact:
        return False
    return is_repeat or event.person is None or message.version == subject.newest_revision


def _may_be_deleted(message: ScheduledMessage, subject: Subject, now: datetime) -> bool:
    """Return whether it may have been sent so long ago that TTL has deleted its row: its skip would be false.

    It was never sent if the subject is younger than the message's valid time: then it is planned too late.
    """
    is_kept = message.expires_at(message.due_at) > (now + TTL_MARGIN).timestamp()
    return not is_kept and message.valid_until >= EPOCH + subject.era * ERA_UNIT
