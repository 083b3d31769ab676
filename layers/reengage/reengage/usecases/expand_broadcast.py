"""A broadcast's part becomes messages: page by page of its audience, each member planned once.

A page is planned before the cursor moves on. Whatever stops a run, the next one plans the same page again, to the same
end: a member has one row for it, whoever writes it. Whether it may go out is for the whole policy to say, when it is
sent.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from reengage.domain.broadcast import Broadcast, Member, Part, PartState
from reengage.domain.contact import Contact
from reengage.domain.message import MessageKey, State
from reengage.domain.planning import broadcasts
from reengage.domain.policy import PolicySettings, place_of
from reengage.errors import NotPublished
from reengage.ports import Clock, Publish, Store, Thread
from reengage.usecases.erase_contact import forget
from reengage.usecases.plan_messages import planned_event

PAGE: Final = 33
"""Members at once: what stands of them is one BatchGetItem."""


def expand_broadcast(
    key: MessageKey,
    *,
    store: Store,
    publish: Publish,
    clock: Clock,
    settings: PolicySettings,
    stop_at: datetime,
) -> bool:
    """Plans the messages of one part, until ``stop_at``; ``False`` where more of it is left to do.

    Raises ``NotPublished``; the next run goes on from the last page.
    """
    part = store.read_part(key)
    while part and part.state is PartState.WAITING:
        now = clock()
        if now >= stop_at:
            return False
        subject = store.read_subject(part.subject)
        brand = store.read_brand(part.subject.brand)
        wanted = {broadcast.reason: broadcast for broadcast in broadcasts(subject, place_of(brand, settings))}
        broadcast = wanted.get(part.reason)
        if broadcast is None:
            moved = replace(part, state=PartState.WITHDRAWN, cursor=None)
        elif broadcast.version != part.version or broadcast.due_at > now:
            return True  # whoever heard the newer version writes the part anew
        elif broadcast.useful_until <= now:
            moved = replace(part, state=PartState.TOO_LATE, cursor=None)
        else:
            moved = _next_page(part, broadcast, now, store=store, publish=publish)
        # Where another run has moved it on, or it was withdrawn meanwhile, that holds.
        store.advance(moved, replacing=part)
        part = store.read_part(key)
    return True


def _next_page(part: Part, broadcast: Broadcast, now: datetime, *, store: Store, publish: Publish) -> Part:
    """The part after one more page of its audience has been planned, and told."""
    audience = part.terms.audience
    assert audience is not None
    day = now.astimezone(UTC).date()
    page = store.members(audience, part.subject, part.shard, day=day, cursor=part.cursor, limit=PAGE)
    threads = store.read_threads([member.contact for member in page.members])
    members = [
        member
        for member in page.members
        if _is_there(member, threads[member.contact]) and not _was_told(member, broadcast, store)
    ]
    rests_on = {member.contact: _rests_on(member, threads[member.contact]) for member in members}
    wanted = [broadcast.to(member.contact, member.since, at=rests_on[member.contact]) for member in members]
    rows = [store.write_plan(message, at=now) for message in wanted]
    _forget_erased(rests_on, store)
    # By another id it was sent, or is being sent, for an older version.
    ours = [row for row, m in zip(rows, wanted, strict=True) if row.scheduled_message_id == m.scheduled_message_id]
    told = [planned_event(row, threads[row.contact]) for row in ours if row.state is State.SCHEDULED]
    if failed := publish(told):
        raise NotPublished(f"{failed} of {len(told)} events")
    # Who has written since they were found comes again, on a later day, and is not counted twice.
    found = sum(row.planned_at == rests_on[row.contact] for row in ours)
    # The cursor names somebody: it does not outlive its use.
    state = PartState.WAITING if page.cursor else PartState.DONE
    return replace(part, state=state, cursor=page.cursor, planned=part.planned + found)


def _is_there(member: Member, thread: Thread) -> bool:
    """The index may lag behind: who was erased, or whose conversation is gone, is not in the audience any more."""
    if member.since:
        return not thread.preferences.erased_since(member.contact.channel, member.since)
    _, conversation = thread.preferences.remembered(member.contact.channel, None, thread.conversation)
    return conversation is not None


def _was_told(member: Member, broadcast: Broadcast, store: Store) -> bool:
    """Whether somebody who has shown interest anew since it began was told of this by their former interest."""
    if member.since is None or member.since <= broadcast.due_at:
        return False
    about = (broadcast.reason, broadcast.subject, broadcast.version)
    rows = store.read_holdings(member.contact).scheduled
    return any((row.reason, row.subject, row.version) == about and row.about != member.since for row in rows)


def _rests_on(member: Member, thread: Thread) -> datetime:
    """What put them into the audience: an erasure after that takes the row with it."""
    if member.since:
        return member.since
    assert thread.conversation is not None
    return thread.conversation.last_inbound_at


def _forget_erased(rests_on: Mapping[Contact, datetime], store: Store) -> None:
    """An erasure that came in between has not seen what was written since."""
    for contact, thread in store.read_threads(list(rests_on)).items():
        if thread.preferences.erased_since(contact.channel, rests_on[contact]):
            forget(contact, thread.preferences.erasures[contact.channel].at, store=store)
