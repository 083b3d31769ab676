"""Merge messages: one text names the appointments of several messages to one contact.

Each message keeps its own row and outcome. All rows are claimed before the one call to the provider.

| message of the same reason to the same person | result |
|---|---|
| about another appointment, due within an hour, and no rule stops it at the first one's address | named in the text |
| a rule stops it, or its appointment has changed | released: it goes its own way at its own time |
| only an approved template may be sent (WhatsApp after 24 hours) | not merged: a template names one appointment |
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import replan
from reengage.domain.policy import Action, PolicyInput
from reengage.domain.recipient import decide_at
from reengage.domain.subject import SubjectRef
from reengage.ports import Clock, DueKey, RunStore
from reengage.usecases.corrections import CANCELLED
from reengage.usecases.still_needed import need_of

MERGED_WITHIN: Final = timedelta(hours=1)
MAX_MERGED: Final = 10
"""Messages in one text: about 500 characters."""


def may_merge(context: PolicyInput) -> bool:
    """Whether the text of the message may name other appointments, too."""
    free_text_for = CHANNELS[context.message.recipient.channel].free_text_for
    if not context.message.reason_spec.can_be_merged or context.conversation is None or context.corrects == CANCELLED:
        return False
    return free_text_for is None or context.now < context.conversation.last_inbound_at + free_text_for


def claim_others(context: PolicyInput, *, store: RunStore, now: datetime) -> list[ScheduledMessage]:
    """Claim the messages that one text can name together with this one; one for each appointment and address.

    It makes one query, and one more for each address that is linked with the contact.
    """
    message = context.message
    if not may_merge(context):
        return []
    assert message.claim_id is not None
    addresses = dict.fromkeys([message.contact, message.recipient, *context.linked])
    pending = (row for address in addresses for row in store.pending_messages(address, message.reason))
    due = sorted((row for row in pending if _is_due(row, now)), key=lambda row: row.due_at)
    due = [row for row in due if row.subject != message.subject and row.undelivered_to == message.undelivered_to]
    firsts = {(row.contact, row.subject): row for row in reversed(due)}
    others = sorted(firsts.values(), key=lambda row: row.due_at)[: MAX_MERGED - 1]
    claimed = (_claim(row, message.claim_id, store=store, now=now) for row in others)
    return [other for other in claimed if other]


def _is_due(row: ScheduledMessage, now: datetime) -> bool:
    if row.state is not State.SCHEDULED or (row.attempts and row.due_at > now):
        return False  # after a failed try it waits for its own time
    return max(row.due_at, row.planned_due_at or row.due_at) <= now + MERGED_WITHIN


def _claim(row: ScheduledMessage, claim_id: str, *, store: RunStore, now: datetime) -> ScheduledMessage | None:
    claimed = store.claim(DueKey(row.key, row.due_at, row.valid_until), claim_id=claim_id, at=now)
    if claimed:
        return claimed
    stored = store.read_message(row.key)
    # If the claim's answer was lost, the retry of the request found our own claim.
    return stored if stored and stored.state is State.SENDING and stored.claim_id == claim_id else None


def split(
    first: PolicyInput, others: Iterable[ScheduledMessage], *, store: RunStore, clock: Clock
) -> tuple[list[PolicyInput], list[ScheduledMessage]]:
    """Read each message's snapshot; return those that may be sent now to the first one's recipient, and the rest."""
    fit: dict[SubjectRef, PolicyInput] = {}
    unfit: list[ScheduledMessage] = []
    for other in others:
        context = PolicyInput.of(store.read_snapshot(other), other, first.settings, clock())
        chosen = _sendable(context, first.message.recipient, store=store)
        if chosen and other.subject not in fit:
            fit[other.subject] = chosen
        else:
            unfit.append(other)
    return list(fit.values()), unfit


def _is_needed(context: PolicyInput, store: RunStore) -> bool:
    """Return whether it is needed, with the content of the others; an appointment that is on again has its own text."""
    need = need_of(context, store)
    return need.verdict == "needed" and need.context.corrects != CANCELLED


def _sendable(context: PolicyInput, recipient: Contact, *, store: RunStore) -> PolicyInput | None:
    wanted = replan(context.message, context.subject, context.default_zone)
    if wanted is None or wanted.version != context.message.version or wanted.due_at > context.now + MERGED_WITHIN:
        return None
    if not _is_needed(context, store):
        return None
    found = decide_at(context, recipient)
    return found[0] if found and found[1].action is Action.SEND else None


def postponed_with(other: ScheduledMessage, first: ScheduledMessage | None) -> ScheduledMessage:
    """Return a message that was surely not sent, due again together with the one that it was merged into."""
    if first is None or first.state is not State.SCHEDULED or first.due_at <= other.due_at:
        return other
    return replace(other, due_at=first.due_at, planned_due_at=other.planned_due_at or other.due_at)
