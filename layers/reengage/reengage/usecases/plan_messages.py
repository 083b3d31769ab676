"""Plan the messages that a business event calls for, and withdraw those that it does not want any more.

Four steps: store the subject, compare what it wants with what it wanted before, write the rows, publish the events.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from reengage.domain.brand import Brand
from reengage.domain.broadcast import ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.erasure import named_at, names
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.openers import FORECASTS, Invitation
from reengage.domain.person import OtherAddress
from reengage.domain.planning import broadcasts, planned_messages
from reengage.domain.policy import PolicyInput, PolicySettings, Snapshot, default_zone
from reengage.domain.purchases import KIND as PURCHASE
from reengage.domain.reasons import REASONS
from reengage.domain.subject import RETENTION, BusinessEvent, Subject, SubjectRef
from reengage.domain.window_closing import ClosingPlan, DueForecast, forecast_of, plan_for_closing, with_longest_window
from reengage.errors import WriteConflict
from reengage.ports import Clock, PlanStore, Publish, Thread
from reengage.usecases.ended_before import ended_before
from reengage.usecases.erase_contact import forget
from reengage.usecases.openers import Invite, OpenerDesk
from reengage.usecases.person import Addresses, note_new_channels
from reengage.usecases.plan_diff import PlanDiff, plan_diff
from reengage.usecases.retry_conflicts import retry_conflicts

RETRIED_WITHIN: Final = timedelta(minutes=15)
"""Lambda retries an event after one minute and after two more.

An offset that was in the future when the event arrived stays valid in these retries. An offset of an event that is
replayed days later does not.
"""

ANCHORS: Final = frozenset((reason.track, reason.anchor) for reason in REASONS.values() if reason.anchor)
"""The tracks of subjects, each with a field that is an instant."""


@dataclass(frozen=True, slots=True)
class Planned:
    """How many messages the event planned, found past their due time, and withdrew, and how many broadcasts it started
    or stopped. ``stale``: newer events replace all of this one. ``erased``: the contact was erased after the event
    arrived, so nothing of it was stored. ``unknown_contact``: the event ends something for a contact that no event
    added, although others were added.
    """

    planned: int = 0
    too_late: int = 0
    withdrawn: int = 0
    broadcasts: int = 0
    stale: bool = False
    erased: bool = False
    unknown_contact: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """The rows after the plan was written: ``rows`` of ``PlanDiff.wanted`` in its order, then what was withdrawn."""

    rows: Sequence[ScheduledMessage]
    withdrawn: Sequence[ScheduledMessage]


def plan_messages(
    event: BusinessEvent,
    *,
    store: PlanStore,
    publish: Publish,
    clock: Clock,
    settings: PolicySettings,
    invite: Invite | None = None,
) -> Planned:
    """Store the event's subject, then make the rows agree with it. ``invite`` words openers; ``None`` for no openers.

    The subject goes first: from then on no message of an older version is sent, whatever happens to the rows. An event
    that arrives again is applied again, which completes a run that was cut short. Raises ``WriteConflict`` and
    ``NotPublished``; a retry fixes both.
    """
    now = clock()
    last_event_at = min(event.arrived_at, now)
    event = replace(event, arrived_at=last_event_at)
    if event.contact and _is_erased(event.contact, event.subject, last_event_at, store):
        return Planned(erased=True)
    former, subject = _store_subject(event, store=store, now=now, last_event_at=last_event_at)
    track = subject.tracks[event.track]
    addresses, is_repeat = Addresses(store, now), _is_repeat(former, subject)
    if _is_stale(event, subject):
        publish([_ended(row) for row in ended_before(event, subject, store=store, addresses=addresses, now=now)])
        return Planned(stale=True)
    brand = store.read_brand(event.subject.brand)
    zone = default_zone(brand, settings)
    before = replace(subject, tracks=subject.previous)
    diff = plan_diff(event, subject, before, store=store, addresses=addresses, zone=zone, now=now, is_repeat=is_repeat)
    arrived_at = min(now, max(event.arrived_at, now - RETRIED_WITHIN))
    planner = _Planner(store, addresses, settings, brand, subject, now, arrived_at)
    contexts = planner.contexts(diff.wanted)
    diff = replace(diff, wanted=[message for message in diff.wanted if message.key in contexts])
    note_new_channels(contexts.values(), now, store)
    written = planner.write(diff, contexts, version=subject.newest_revision, is_repeat=is_repeat)
    changed_broadcasts = _store_shards(subject, before, version=track.revision, store=store, zone=zone)
    erased = {c for c in _contacts(subject, event, diff) if _is_erased(c, event.subject, last_event_at, store)}
    kept = [row for row in written.rows if row.contact not in erased]
    planned, too_late = _events_of(kept, diff.wanted)
    hidden = ended_before(event, subject, store=store, addresses=addresses, now=now) if is_repeat else []
    ended = {row.key: row for row in (*hidden, *too_late, *written.withdrawn) if row.contact not in erased}
    forecasts = {row.key: forecast_of(row, contexts[row.key]) for row in planned}
    invitations = OpenerDesk(store, invite).invitations(subject, planned, contexts, forecasts, now) if invite else {}
    publish(
        [
            *(
                planned_event(row, contexts[row.key], forecasts[row.key], invitations.get(row.contact))
                for row in planned
            ),
            *map(_ended, ended.values()),
        ]
    )
    if erased:
        # An erasure at the same time has not seen what was written since.
        return Planned(erased=True)
    _check_none_is_in_hand(written.rows, diff.wanted)
    is_unknown = _is_of_unknown_contact(event, subject, addresses)
    return Planned(len(planned), len(too_late), len(written.withdrawn), changed_broadcasts, unknown_contact=is_unknown)


def _is_of_unknown_contact(event: BusinessEvent, subject: Subject, addresses: Addresses) -> bool:
    """Return whether the event ends something for a contact that no event added, although others were added."""
    if event.person is None or not event.ends:
        return False
    added = set().union(*(track.joined for track in subject.tracks.values()))
    if not added or event.person.person in added:
        return False
    return added.isdisjoint(contact.person for contact in addresses.linked(event.person))


def _is_repeat(former: Subject | None, subject: Subject) -> bool:
    """True if the event changed nothing: it was applied before."""
    return former is not None and former.newest_revision == subject.newest_revision


def _is_stale(event: BusinessEvent, subject: Subject) -> bool:
    """Return whether newer events replace all of it. A purchase may still have to publish what it withdrew."""
    return not subject.reflects(event) and event.subject.kind != PURCHASE


def planned_event(
    message: ScheduledMessage, context: PolicyInput, expected: DueForecast, invitation: Invitation | None = None
) -> OutEvent:
    """Build ``MessagePlanned``, with a forecast: what will happen if the person does not write again.

    If they have to write first, it has the opener.
    """
    return out_event(
        "MessagePlanned",
        message,
        due_at=expected.due_at,
        window_expires_at=context.conversation.closes_at if context.conversation else None,
        forecast=expected.forecast,
        **(invitation.as_fields if invitation and expected.forecast in FORECASTS else {}),
    )


def _events_of(
    rows: Sequence[ScheduledMessage], wanted: Sequence[ScheduledMessage]
) -> tuple[list[ScheduledMessage], list[ScheduledMessage]]:
    """Return the rows to publish as planned, and as too late.

    A row with another id was sent, or is being sent, for an older version: that one stays. One with this plan's id is
    published whatever its state is by now: an earlier run may have ended before it published.
    """
    ids = {message.scheduled_message_id for message in wanted}
    ours = [row for row in rows if row.scheduled_message_id in ids]
    too_late = [row for row in ours if row.is_planned_too_late]
    return [row for row in ours if not row.is_planned_too_late], too_late


def _check_none_is_in_hand(rows: Sequence[ScheduledMessage], wanted: Sequence[ScheduledMessage]) -> None:
    """Raise ``WriteConflict`` if a sender has a message of an older version.

    The sender may skip it because of the older version; a retry finds out, and plans it then.
    """
    for row, message in zip(rows, wanted, strict=True):
        if row.state is State.SENDING and row.version < message.version:
            raise WriteConflict("a message of an older version is in a sender's hands")


def _contacts(subject: Subject, event: BusinessEvent, diff: PlanDiff) -> Collection[Contact]:
    """Return the contacts that an erasure at the same time may have had."""
    named = (
        [event.contact] if event.contact else [each.contact for each in subject.tracks[event.track].everyone.values()]
    )
    return dict.fromkeys([*named, *(message.contact for message in diff.wanted)])


@dataclass(frozen=True, slots=True)
class _Planner:
    """Writes the rows of one event. ``arrived_at`` is the time before which an offset counts as past."""

    store: PlanStore
    addresses: Addresses
    settings: PolicySettings
    brand: Brand | None
    subject: Subject
    now: datetime
    arrived_at: datetime

    def contexts(self, wanted: Sequence[ScheduledMessage]) -> Mapping[Any, PolicyInput]:
        """Return the policy's input for each message, from one read a contact; cap usage is not read.

        Messages to a contact that is being erased are left out.
        """
        threads = {contact: self.addresses.thread(contact) for contact in {message.contact for message in wanted}}
        others = {contact: self.addresses.others(contact) for contact in threads}
        erased = {contact for contact in threads if _is_erasing(contact, self.subject, threads[contact], self.store)}
        return {
            message.key: context_of(
                message,
                self.subject,
                threads[message.contact],
                brand=self.brand,
                settings=self.settings,
                now=self.now,
                others=others[message.contact],
            )
            for message in wanted
            if message.contact not in erased
        }

    def write(self, diff: PlanDiff, contexts: Mapping[Any, PolicyInput], *, version: int, is_repeat: bool) -> Written:
        withdrawn = [
            row
            for message, rule in diff.unwanted
            if (row := self._withdraw(message, rule, version=version, is_repeat=is_repeat))
        ]
        rows = [self._write(message, contexts[message.key]) for message in diff.wanted]
        return Written(rows, withdrawn)

    def _withdraw(
        self, message: ScheduledMessage, rule: str, *, version: int, is_repeat: bool
    ) -> ScheduledMessage | None:
        """Return the row if its skip has to be published.

        The run before a repeat may have planned it too late, and died before it published; then a newer event came.
        """
        is_own = message.subject == self.subject.ref or message.subject.kind != self.subject.ref.kind
        # A newer event about the same product at another address is a newer version of that subject.
        version = max(version, message.version) if is_own else message.version
        row = self.store.withdraw(message, version=version, rule=rule, at=self.now)
        if row or not is_repeat:
            return row
        stored = self.store.read_message(message.key)
        return stored if stored and stored.is_planned_too_late else None

    def _write(self, message: ScheduledMessage, context: PolicyInput) -> ScheduledMessage:
        planned, erasures = self._as_planned(message, context), context.preferences
        row = self.store.write_plan(planned, at=self.now)
        if row.state is State.SCHEDULED and erasures.erased_since(row.contact.channel, row.planned_at):
            # An erasure that has not ended yet will delete the row of the former event: it must not take this one's.
            forget(row.contact, erasures.erasures[row.contact.channel].at, store=self.store)
            row = self.store.write_plan(planned, at=self.now)
        return row

    def _as_planned(self, message: ScheduledMessage, context: PolicyInput) -> ScheduledMessage:
        """Return the message; or its skip if its offset was past when the event arrived: it must not fire at once."""
        due_at = message.due_at
        if message.valid_until > self.arrived_at if message.reason_spec.send_if_late else due_at >= self.arrived_at:
            ahead: ClosingPlan = plan_for_closing(context, due_at)
            return message if ahead.at == due_at else replace(message, due_at=ahead.at, planned_due_at=due_at)
        facts = {"decided_at": iso(self.now), "due_at": iso(due_at)}
        return replace(message, state=State.SKIPPED, rule="too_late", facts=facts, settled_at=self.now)


def context_of(
    message: ScheduledMessage,
    subject: Subject | None,
    thread: Thread,
    *,
    brand: Brand | None,
    settings: PolicySettings,
    now: datetime,
    others: tuple[OtherAddress, ...] = (),
) -> PolicyInput:
    """Return the policy's input as far as planning needs it: without cap usage and interest.

    It is that for the person's address whose window is open for longest.
    """
    snapshot = Snapshot(
        subject=subject,
        profile=thread.profile,
        conversation=thread.conversation,
        preferences=thread.preferences,
        brand=brand,
        cap_usage=CapUsage(),
        others=others,
    )
    return with_longest_window(PolicyInput.of(snapshot, message, settings, now))


def _store_shards(subject: Subject, before: Subject, *, version: int, store: PlanStore, zone: tzinfo | None) -> int:
    """Start the broadcasts that the subject wants, and stop those that it does not want any more; return how many."""
    wanted = broadcasts(subject, zone)
    names = {broadcast.reason for broadcast in wanted}
    unwanted = [broadcast for broadcast in broadcasts(before, zone) if broadcast.reason not in names]
    shards = [broadcast.shards() for broadcast in wanted]
    shards += [broadcast.shards(ShardState.WITHDRAWN, version=version) for broadcast in unwanted]
    if not shards:
        return 0
    former = {broadcast_shard.key: broadcast_shard for broadcast_shard in store.read_shards(subject.ref)}
    changed = [
        [store.write_shard(broadcast_shard.merged_with(former.get(broadcast_shard.key))) for broadcast_shard in of_one]
        for of_one in shards
    ]
    return sum(map(any, changed))


def _is_erasing(contact: Contact, subject: Subject, thread: Thread, store: PlanStore) -> bool:
    """Whether an erasure that has not ended yet will take what names the contact: nothing is planned for it then."""
    if not thread.preferences.erased_since(contact.channel, named_at(subject, contact)):
        return False
    forget(contact, thread.preferences.erasures[contact.channel].at, store=store)
    return True


def _is_erased(contact: Contact, ref: SubjectRef, last_event_at: datetime, store: PlanStore) -> bool:
    """Whether the contact was erased after the event arrived; then everything stored of it is deleted."""
    preferences = store.read_preferences(contact)
    if not preferences.erased_since(contact.channel, last_event_at):
        return False
    subject = store.read_subject(ref)
    if subject and names(subject, contact) and preferences.erased_since(contact.channel, named_at(subject, contact)):
        # The erasure may have taken the link before the subject was there.
        store.index_subject(contact, subject)
    forget(contact, preferences.erasures[contact.channel].at, store=store)
    return True


def _store_subject(
    event: BusinessEvent, *, store: PlanStore, now: datetime, last_event_at: datetime
) -> tuple[Subject | None, Subject]:
    """Store the subject with the event; return it as it was before, and as it is now.

    The links of its contacts are stored first: an erasure must find every subject.
    """
    linked: dict[Contact, None] = {}

    def attempt() -> tuple[Subject | None, Subject] | None:
        former = store.read_subject(event.subject)
        if former is None:
            # If an erasure deleted the subject, it has not seen the links.
            for contact in linked:
                _is_erased(contact, event.subject, last_event_at, store)
        subject = (former or Subject(event.subject, era=_milliseconds(last_event_at))).apply(event)
        if subject == former:
            return former, subject
        expires_at = max(subject.expires_at, _expires_at(subject, now))
        subject = replace(subject, expires_at=expires_at, last_event_at=max(subject.last_event_at, last_event_at))
        for contact in _to_link(event, subject, former):
            linked[contact] = None
            store.index_subject(contact, subject)
        return (former, subject) if store.write_subject(subject) else None

    stored = retry_conflicts(attempt, what="the subject")
    for contact in linked.keys() - set(stored[1].all_contacts):
        _forget_former_link(contact, store)
    return stored


def _forget_former_link(contact: Contact, store: PlanStore) -> None:
    """Delete the link of a contact that an erasure has removed from the subject since it was read."""
    if erasure := store.read_preferences(contact).erasures.get(contact.channel):
        forget(contact, erasure.at, store=store)


def _to_link(event: BusinessEvent, subject: Subject, former: Subject | None) -> list[Contact]:
    """Return the contacts whose link to the subject must be stored: the others' have to last as long as the subject."""
    if former and former.expires_at == subject.expires_at and event.contact:
        return [event.contact]
    return subject.all_contacts


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _expires_at(subject: Subject, now: datetime) -> int:
    """Return when it may be deleted: after each instant that it names, and each repeat of the event just stored."""
    return expiry(max([now, *_instants(subject)]) + RETENTION)


def _instants(subject: Subject) -> Iterator[datetime]:
    for message in planned_messages(subject):
        yield from (message.due_at, message.valid_until)
    for broadcast in broadcasts(subject):
        yield from (broadcast.due_at, broadcast.valid_until)
    for name, anchor in ANCHORS:
        if (track := subject.tracks.get(name)) and (text := track.get(anchor)):
            yield parse_instant(text)


def _ended(row: ScheduledMessage) -> OutEvent:
    at = {"at": row.settled_at} if row.state is State.UNDELIVERED else {}
    return out_event(f"Message{row.state.capitalize()}", row, **at, rule=row.rule, facts=_why(row))


def _why(row: ScheduledMessage) -> dict[str, Any]:
    """A withdrawn row has no decision of its own: that its subject changed is the reason."""
    assert row.settled_at is not None
    return dict(row.facts) or {"decided_at": iso(row.settled_at), "version": row.version}
