"""Expand a broadcast shard into messages, page by page of its audience, one message per recipient.

A page is planned before the cursor advances. If a run stops, the next one plans the same page again with the same
result: a recipient has one row per broadcast. The policy decides at the send whether the message may go out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import starmap
from typing import Any, Final

from reengage.domain.brand import STACK, Brand
from reengage.domain.broadcast import Broadcast, BroadcastShard, Recipient, ShardState
from reengage.domain.contact import Contact
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.pause import stored_pauses
from reengage.domain.person import other_channels
from reengage.domain.planning import broadcasts
from reengage.domain.policy import PolicyInput, PolicySettings, default_zone
from reengage.domain.subject import Subject
from reengage.domain.window_closing import forecast_of
from reengage.ports import BroadcastStore, Clock, Publish, Thread
from reengage.usecases.erase_contact import forget
from reengage.usecases.person import KnownThreads, linked_with, note_channels, others_of
from reengage.usecases.plan_messages import context_of, planned_event
from reengage.usecases.still_needed import interest_since

PAGE: Final = 33
"""Recipients per page: their rows are read by one BatchGetItem."""


def expand_broadcast(
    key: MessageKey,
    *,
    store: BroadcastStore,
    publish: Publish,
    clock: Clock,
    settings: PolicySettings,
    stop_at: datetime,
) -> bool:
    """Plans the messages of one part, until ``stop_at``; ``False`` where more of it is left to do.

    Raises ``NotPublished``; the next run goes on from the last page.
    """
    broadcast_shard = store.read_shard(key)
    while broadcast_shard and broadcast_shard.state is ShardState.WAITING:
        now = clock()
        if now >= stop_at:
            return False
        subject = store.read_subject(broadcast_shard.subject)
        brand = store.read_brand(broadcast_shard.subject.brand)
        wanted = {broadcast.reason: broadcast for broadcast in broadcasts(subject, default_zone(brand, settings))}
        broadcast = wanted.get(broadcast_shard.reason)
        if broadcast is None:
            moved = replace(broadcast_shard, state=ShardState.WITHDRAWN, cursor=None)
        elif _is_paused(broadcast.reason, brand, store, now):
            return True  # it stays due, and the next run looks again
        elif broadcast.version != broadcast_shard.version or broadcast.due_at > now:
            return True  # the planner of the newer version writes the shard anew
        elif broadcast.valid_until <= now:
            moved = replace(broadcast_shard, state=ShardState.TOO_LATE, cursor=None)
        else:
            page = _Page(broadcast_shard, broadcast, now, subject, brand, settings, store, publish)
            moved = page.plan()
        # Where another run has moved it on, or it was withdrawn meanwhile, that holds.
        store.save_progress(moved, replacing=broadcast_shard)
        broadcast_shard = store.read_shard(key)
    return True


def _is_paused(reason: str, brand: Brand | None, store: BroadcastStore, now: datetime) -> bool:
    """Whether a pause of the stack or of the brand covers the broadcast. Read at each page, as the brand is."""
    rows = (store.read_brand(STACK), brand)
    return any(pause.covers(reason, now) for row in rows for pause in stored_pauses(row.pauses if row else None))


@dataclass(frozen=True, slots=True)
class _Page:
    """The next page of a broadcast shard's audience."""

    shard: BroadcastShard
    broadcast: Broadcast
    now: datetime
    subject: Subject | None
    brand: Brand | None
    settings: PolicySettings
    store: BroadcastStore
    publish: Publish

    def plan(self) -> BroadcastShard:
        """Write and publish the page's messages; return the shard after it."""
        shard, broadcast = self.shard, self.broadcast
        audience = shard.reason_spec.audience
        assert audience is not None
        day = self.now.astimezone(UTC).date()
        page = self.store.audience_page(audience, shard.subject, shard.shard, day=day, cursor=shard.cursor, limit=PAGE)
        threads = self.store.read_threads([recipient.contact for recipient in page.recipients])
        recipients = [
            recipient
            for recipient in page.recipients
            if _is_there(recipient, threads[recipient.contact]) and not _was_reached(recipient, broadcast, self.store)
        ]
        known = KnownThreads(self.store, threads)
        recipients = self._one_for_each_person(recipients, known)
        reflects = {recipient.contact: _rests_on(recipient, threads[recipient.contact]) for recipient in recipients}
        wanted = [
            broadcast.message_for(recipient.contact, recipient.since, at=reflects[recipient.contact])
            for recipient in recipients
        ]
        rows = [self.store.write_plan(message, at=self.now) for message in wanted]
        _forget_erased(reflects, self.store)
        # A row with another id was sent, or is being sent, for an older version. One whose recipient wrote after it was
        # planned is found again on a later day; it is not published and not counted again.
        ours = [
            row
            for row, message in zip(rows, wanted, strict=True)
            if row.scheduled_message_id == message.scheduled_message_id and row.planned_at == reflects[row.contact]
        ]
        # Whatever a row's state is by now: an earlier run may have ended after the write and before the event.
        contexts = [(row, self._context(row, known)) for row in ours]
        self.publish([planned_event(row, context, forecast_of(row, context)) for row, context in contexts])
        # The cursor names a contact: it is removed as soon as it is not needed.
        state = ShardState.WAITING if page.cursor else ShardState.DONE
        return replace(shard, state=state, cursor=page.cursor, planned=shard.planned + len(ours))

    def _one_for_each_person(self, recipients: Sequence[Recipient], known: KnownThreads) -> list[Recipient]:
        """Remove whose person is reached better at another address, or channel: the one that the person used last.

        If another one already has the message, that one stays, even if the person has written here since.
        """
        own_threads = known.read_threads([contact for contact, _ in recipients])
        others = {contact: _beside(contact, own_threads[contact], known) for contact, _ in recipients}
        threads = known.read_threads([*own_threads, *(other for of_one in others.values() for other in of_one)])
        kept = []
        for recipient in recipients:
            own = _used_at(threads[recipient.contact], recipient.contact, self.now)
            rivals = [
                (used_at, other)
                for other in others[recipient.contact]
                if (used_at := _used_at(threads[other], other, self.now)) and self._is_recipient(other, recipient)
            ]
            has_it = any(self._has_message(other, recipient) for _, other in rivals)
            rank = partial(self._rank, threads)
            if not has_it and (not rivals or (own and rank(own, recipient.contact) > max(starmap(rank, rivals)))):
                kept.append(recipient)
                if own is None:
                    self._note_used_channel(recipient.contact, threads)
        return kept

    def _rank(self, threads: Mapping[Contact, Thread], used_at: datetime, contact: Contact) -> tuple[Any, ...]:
        """Return what the best address has most of: consent if it is needed, then the last use.

        No two are equal: at a tie, all of them would be left out.
        """
        is_required = self.settings.for_brand(self.brand).marketing_consent == "required"
        needs_consent = is_required or self.shard.reason_spec.needs_consent
        choice = threads[contact].preferences.choice("marketing", contact.channel) if needs_consent else None
        return choice is not None, used_at, contact.channel, contact.address

    def _note_used_channel(self, contact: Contact, threads: Mapping[Contact, Thread]) -> None:
        """Record the number's channel with the open window, so that the sender finds it."""
        used = [other.channel for other in other_channels(contact) if _used_at(threads[other], other, self.now)]
        note_channels(contact, used, self.now, self.store)

    def _is_recipient(self, other: Contact, recipient: Recipient) -> bool:
        """Whether the broadcast reaches the other channel, too: each channel has its own interest."""
        return recipient.since is None or self._interest_since(other) is not None

    def _interest_since(self, contact: Contact) -> datetime | None:
        return interest_since(contact, self.shard.subject.id, self.store)

    def _has_message(self, other: Contact, recipient: Recipient) -> bool:
        since = self._interest_since(other) if recipient.since else None
        row = self.store.read_message(self.broadcast.message_for(other, since, at=self.now).key)
        return row is not None and row.state is not State.SKIPPED and row.version == self.broadcast.version

    def _context(self, row: ScheduledMessage, known: KnownThreads) -> PolicyInput:
        thread = known.read_threads([row.contact])[row.contact]
        is_open = thread.conversation is not None and thread.conversation.is_open(self.now)
        others = () if is_open else others_of(row.contact, thread, known, open_at=self.now)
        return context_of(
            row, self.subject, thread, brand=self.brand, settings=self.settings, now=self.now, others=others
        )


def _beside(contact: Contact, thread: Thread, known: KnownThreads) -> list[Contact]:
    """Return the number's other channels, and the addresses that are linked with the contact."""
    return list(dict.fromkeys([*other_channels(contact), *linked_with(contact, thread, known)]))


def _used_at(thread: Thread, contact: Contact, now: datetime) -> datetime | None:
    """Return when the person last wrote, if the window is open and they did not refuse."""
    preferences = thread.preferences
    if preferences.refused("contact", contact.channel) or preferences.refused("marketing", contact.channel):
        return None
    _, conversation = preferences.without_erased(contact.channel, None, thread.conversation)
    return conversation.last_inbound_at if conversation and conversation.is_open(now) else None


def _is_there(recipient: Recipient, thread: Thread) -> bool:
    """The index may lag behind: who was erased, or whose conversation is gone, is not in the audience any more."""
    if recipient.since:
        return not thread.preferences.erased_since(recipient.contact.channel, recipient.since)
    _, conversation = thread.preferences.without_erased(recipient.contact.channel, None, thread.conversation)
    return conversation is not None


def _was_reached(recipient: Recipient, broadcast: Broadcast, store: BroadcastStore) -> bool:
    """Return whether a recipient with newer interest already got this broadcast by their former interest."""
    if recipient.since is None or recipient.since <= broadcast.due_at:
        return False
    about = (broadcast.reason, broadcast.subject, broadcast.version)
    rows = store.read_holdings(recipient.contact).scheduled
    return any(
        (row.reason, row.subject, row.version) == about
        and row.anchor_at != recipient.since
        and row.state is not State.SKIPPED  # a skip is no message
        for row in rows
    )


def _rests_on(recipient: Recipient, thread: Thread) -> datetime:
    """What put them into the audience: an erasure after that takes the row with it."""
    if recipient.since:
        return recipient.since
    assert thread.conversation is not None
    return thread.conversation.last_inbound_at


def _forget_erased(reflects: Mapping[Contact, datetime], store: BroadcastStore) -> None:
    """An erasure that came in between has not seen what was written since."""
    for contact, thread in store.read_threads(list(reflects)).items():
        if thread.preferences.erased_since(contact.channel, reflects[contact]):
            forget(contact, thread.preferences.erasures[contact.channel].at, store=store)
