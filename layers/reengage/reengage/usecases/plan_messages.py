"""A business system said what happened: the messages that this calls for are planned, and those undone withdrawn."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from reengage.domain.broadcast import ShardState
from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.erasure import named_at, names
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import broadcasts, planned_messages
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.reasons import REASONS
from reengage.domain.subject import RETENTION, BusinessEvent, Subject, SubjectRef
from reengage.domain.window_closing import ClosingPlan, plan_for_closing
from reengage.errors import WriteConflict
from reengage.ports import Clock, PlanStore, Publish, Thread
from reengage.usecases.erase_contact import forget

TRIES: Final = 5
RETRIED_WITHIN: Final = timedelta(minutes=15)
"""Lambda tries an event again after one minute and after two more. An offset that was to come when the event arrived
is not past for that; one of an event that was put on the bus again, days later, is.
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """How many messages the event planned, found past their due time, and withdrew; ``broadcasts`` are those that it
    began, or stopped. ``stale``: an older event, of which nothing holds any more. ``erased``: one from before its
    contact was erased, of which nothing was kept.
    """

    planned: int = 0
    too_late: int = 0
    withdrawn: int = 0
    broadcasts: int = 0
    stale: bool = False
    erased: bool = False


def plan_messages(
    event: BusinessEvent, *, store: PlanStore, publish: Publish, clock: Clock, settings: PolicySettings
) -> Planned:
    """Stores what the event says of its subject, then makes the rows agree with it.

    The subject goes first: from then on no gate lets a message of an older version pass, whatever happens to
    the rows. An event that comes again is applied again, which mends a crash in the middle. Raises
    ``Contended`` and ``NotPublished``, both mended by a retry.
    """
    now = clock()
    last_event_at = min(event.arrived_at, now)
    event = replace(event, arrived_at=last_event_at)
    if event.contact and _is_erased(event.contact, event.subject, last_event_at, store):
        return Planned(erased=True)
    subject = _store_subject(event, store=store, now=now, last_event_at=last_event_at)
    track = subject.tracks[event.track]
    if not track.reflects(event):
        return Planned(stale=True)
    before = replace(subject, tracks=subject.previous)
    rule = "superseded" if track.active else "cancelled"
    plan = [replace(message, planned_at=last_event_at) for message in _concerned(event, subject)]
    wanted = {message.key for message in planned_messages(subject)}
    undone = [message for message in planned_messages(before) if message.key not in wanted]
    withdrawn = [row for m in undone if (row := store.withdraw(m, version=track.revision, rule=rule, at=now))]
    began = _store_shards(subject, before, version=track.revision, store=store)
    arrived_at = min(now, max(event.arrived_at, now - RETRIED_WITHIN))
    threads = {contact: store.read_thread(contact) for contact in {message.contact for message in plan}}
    erased = {contact for contact in threads if _is_erasing(contact, subject, threads[contact], store)}
    plan = [message for message in plan if message.contact not in erased]
    outlooks = {
        message.key: _outlook(message, subject, threads[message.contact], now=now, settings=settings, store=store)
        for message in plan
    }
    rows = [store.write_plan(_as_planned(message, outlooks[message.key], arrived_at, now), at=now) for message in plan]
    if track.contact and _is_erased(track.contact, event.subject, last_event_at, store):
        # An erasure that came in between has not seen what was written since.
        return Planned(erased=True)
    # What stands there by another id was sent, or is being sent, for an older version: that one stays.
    standing = [row for row, m in zip(rows, plan, strict=True) if row.scheduled_message_id == m.scheduled_message_id]
    planned = [row for row in standing if row.state is State.SCHEDULED]
    too_late = [row for row in standing if row.state is State.SKIPPED and row.rule == "too_late"]
    # One that is to be looked at in time for a warning is due as it was.
    dues = {row.key: row.due_at if outlooks[row.key].why == "pull_forward" else row.planned_due_at for row in planned}
    events = [planned_event(row, threads[row.contact], dues[row.key]) for row in planned]
    events += [out_event("MessageSkipped", row, rule=row.rule, facts=_why(row)) for row in too_late + withdrawn]
    publish(events)
    if any(row.state is State.SENDING and row.version < m.version for row, m in zip(rows, plan, strict=True)):
        # Its sender may skip it for the older version's sake; a retry finds out, and plans it then.
        raise WriteConflict("a message of an older version is in a sender's hands")
    return Planned(len(planned), len(too_late), len(withdrawn), began)


def _concerned(event: BusinessEvent, subject: Subject) -> list[ScheduledMessage]:
    """The subject's messages that the event may have changed: those of its family, and those whose own family has yet
    to say whose they are.
    """
    return [
        message
        for message in planned_messages(subject)
        if message.reason_spec.track == event.track or subject.tracks[message.reason_spec.track].contact is None
    ]


def _store_shards(subject: Subject, before: Subject, *, version: int, store: PlanStore) -> int:
    """Begins the broadcasts that the subject asks for, and stops those that it does no more; answers how many."""
    wanted = broadcasts(subject)
    names = {broadcast.reason for broadcast in wanted}
    undone = [broadcast for broadcast in broadcasts(before) if broadcast.reason not in names]
    shards = [broadcast.shards() for broadcast in wanted]
    shards += [broadcast.shards(ShardState.WITHDRAWN, version=version) for broadcast in undone]
    if not shards:
        return 0
    former = {broadcast_shard.key: broadcast_shard for broadcast_shard in store.read_shards(subject.ref)}
    changed = [
        [store.write_shard(broadcast_shard.merged_with(former.get(broadcast_shard.key))) for broadcast_shard in of_one]
        for of_one in shards
    ]
    return sum(map(any, changed))


def _outlook(
    message: ScheduledMessage,
    subject: Subject,
    thread: Thread,
    *,
    now: datetime,
    settings: PolicySettings,
    store: PlanStore,
) -> ClosingPlan:
    """When the message is to be looked at: when it is due, or, should the window close before, in time for that."""
    conversation = thread.conversation
    if not settings.plans_for_closing or conversation is None or conversation.is_open(message.due_at):
        return ClosingPlan(message.due_at, "due")
    snapshot = store.read_snapshot(message)._replace(subject=subject)
    return plan_for_closing(PolicyInput.of(snapshot, message, settings, now), message.due_at)


def _is_erasing(contact: Contact, subject: Subject, thread: Thread, store: PlanStore) -> bool:
    """Whether an erasure that has not ended yet will take what names the contact: nothing is planned for it then."""
    if not thread.preferences.erased_since(contact.channel, named_at(subject, contact)):
        return False
    forget(contact, thread.preferences.erasures[contact.channel].at, store=store)
    return True


def _is_erased(contact: Contact, ref: SubjectRef, last_event_at: datetime, store: PlanStore) -> bool:
    """Whether the contact was erased since the event arrived; then whatever was stored of it is gone."""
    preferences = store.read_preferences(contact)
    if not preferences.erased_since(contact.channel, last_event_at):
        return False
    subject = store.read_subject(ref)
    if subject and names(subject, contact) and preferences.erased_since(contact.channel, named_at(subject, contact)):
        # The erasure may have taken the link before the subject was there.
        store.index_subject(contact, subject)
    forget(contact, preferences.erasures[contact.channel].at, store=store)
    return True


def _store_subject(event: BusinessEvent, *, store: PlanStore, now: datetime, last_event_at: datetime) -> Subject:
    """The subject with the event. Whose it is, is noted first: an erasure must find every subject of a contact."""
    linked = None
    for _ in range(TRIES):
        former = store.read_subject(event.subject)
        if linked and former is None:
            # Was it an erasure that took the subject away, then it has not seen the link.
            _is_erased(linked, event.subject, last_event_at, store)
        subject = (former or Subject(event.subject, era=_milliseconds(last_event_at))).apply(event)
        if subject == former:
            return subject
        expires_at = max(subject.expires_at, _expires_at(subject, now))
        subject = replace(subject, expires_at=expires_at, last_event_at=max(subject.last_event_at, last_event_at))
        linked = subject.contact_of(subject.tracks[event.track])
        if linked:
            store.index_subject(linked, subject)
        if store.write_subject(subject):
            return subject
    raise WriteConflict(f"the subject kept changing through {TRIES} tries")


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _expires_at(subject: Subject, now: datetime) -> int:
    """It outlives every instant that it speaks of, and every repeat of the event that was just stored."""
    anchors = {(reason.track, reason.anchor) for reason in REASONS.values() if reason.kind == subject.ref.kind}
    instants = [now, *(message.due_at for message in planned_messages(subject))]
    instants += [broadcast.due_at for broadcast in broadcasts(subject)]
    for name, anchor in anchors:
        if (track := subject.tracks.get(name)) and (text := track.get(anchor)):
            instants.append(parse_instant(text))
    return expiry(max(instants) + RETENTION)


def _as_planned(message: ScheduledMessage, ahead: ClosingPlan, arrived_at: datetime, now: datetime) -> ScheduledMessage:
    """The message, or, where its offset was already past when the event arrived, its skip: it must not fire at once."""
    due_at = message.due_at
    if message.valid_until > arrived_at if message.reason_spec.send_if_late else due_at >= arrived_at:
        return message if ahead.at == due_at else replace(message, due_at=ahead.at, planned_due_at=due_at)
    facts = {"decided_at": iso(now), "due_at": iso(due_at)}
    return replace(message, state=State.SKIPPED, rule="too_late", facts=facts, settled_at=now)


def _why(row: ScheduledMessage) -> dict[str, Any]:
    """A withdrawn row has no decision of its own: that its subject changed is the reason."""
    assert row.settled_at is not None
    return dict(row.facts) or {"decided_at": iso(row.settled_at), "version": row.version}


def planned_event(message: ScheduledMessage, thread: Thread, due_at: datetime | None = None) -> OutEvent:
    """``MessagePlanned`` tells at once whether the window will still be open, should the person not write again."""
    conversation, due_at = thread.conversation, due_at or message.due_at
    if conversation and conversation.is_open(due_at):
        forecast = "send"
    else:
        heard = conversation or (thread.profile and thread.profile.is_kept(due_at))
        forecast = "window_closed" if heard else "no_conversation"
    closes_at = conversation.closes_at if conversation else None
    return out_event("MessagePlanned", message, due_at=due_at, window_expires_at=closes_at, forecast=forecast)
