"""Look again, before a message is sent, whether the person needs it: by what they received before.

| the message | what the person received | result |
|---|---|---|
| a correction | see ``corrections.py`` | see there |
| about a subject whose events name another address, too | the same message, planned for that address | skipped |
| of a broadcast, to a person with other addresses | the same message, planned for another address | skipped |
| once a cart or an order, to a person with other addresses | the same message, planned for another address | skipped |
| any of these three | the same message is in a sender's hands | it waits for the outcome |
| any other | any | needed, without a read |

Messages are planned for each address that events name, or that is in the audience. Later, a link may show that two of
them are one person. Another channel of a number is the same person, and messages are planned for the one named last.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.domain.business_events import OF_SEVERAL_PEOPLE
from reengage.domain.contact import Contact
from reengage.domain.instants import parse_instant
from reengage.domain.message import HANDED_OVER, ScheduledMessage, State
from reengage.domain.policy import PolicyInput
from reengage.domain.subject import SubjectRef
from reengage.ports import RunStore, SubjectReader
from reengage.usecases.corrections import Verdict, look_again

WAITS: Final = timedelta(minutes=1)


class Need(NamedTuple):
    """``context``: that of a correction has the reason of the message that it corrects. ``facts`` are of the skip.

    ``wait``: when to look again, if another message is in a sender's hands.
    """

    verdict: Verdict
    context: PolicyInput
    facts: Mapping[str, Any] = MappingProxyType({})
    wait: timedelta = WAITS


SAME_PERSON: Final = MappingProxyType({"same_person": True})
NOT_CORRECTED: Final = MappingProxyType({"corrects": None})


def need_of(context: PolicyInput, store: RunStore) -> Need:
    """Return whether the person needs the message.

    A correction takes reads, and so does a message to a person with other addresses that may have the same message.
    """
    if context.message.reason_spec.correction:
        verdict, corrects = look_again(context.message, store, context.all_addresses)
        return Need(verdict, replace(context, corrects=corrects), NOT_CORRECTED)
    taken = _taken_elsewhere(context, store)
    if not taken:
        return Need("needed", context)
    in_hand = [row.contact.key for row in taken if row.state is State.SENDING]
    if not in_hand:
        return Need("not_needed", context, SAME_PERSON)
    # Of two runs that have one each, both wait: then one of them must come first.
    return Need("wait", context, wait=WAITS if context.message.contact.key < min(in_hand) else 2 * WAITS)


def _taken_elsewhere(context: PolicyInput, store: RunStore) -> list[ScheduledMessage]:
    """Return the rows of the same message at the person's other addresses, if they are handed over or in hand."""
    message = context.message
    twins = _of_audience(context, store) if message.reason_spec.audience else _at_other_addresses(context)
    rows = [row for twin in twins if (row := store.read_message(twin.key))]
    # A run that has both by one claim, for one text, skips the other one.
    return [row for row in rows if row.claim_id != message.claim_id and _may_have_arrived(row, message)]


def _may_have_arrived(row: ScheduledMessage, message: ScheduledMessage) -> bool:
    """Return whether the person may have the row's message; one that did not arrive is not tried there again."""
    if row.state is State.UNDELIVERED:
        return message.recipient in (row.recipient, *row.undelivered_to)
    return row.state in HANDED_OVER


def interest_since(contact: Contact, item_id: str, store: SubjectReader) -> datetime | None:
    """Return since when the contact is interested in the item; ``None`` if it is not."""
    interest = store.read_subject(SubjectRef.known_to(contact, "interest", item_id))
    if interest is None or interest.is_undone("interest"):
        return None
    return parse_instant(interest.tracks["interest"].get("shown_at"))


def _at_other_addresses(context: PolicyInput) -> list[ScheduledMessage]:
    """Return the same message at the person's other addresses that the subject's events name, or may have named."""
    subject, message = context.subject, context.message
    others = [each for each in context.all_addresses if each != message.contact]
    if message.reason_spec.once:
        used = others  # a cart keeps only the address that was named last
    elif subject and subject.ref.kind in OF_SEVERAL_PEOPLE:
        # Of each number, the last channel is kept.
        named = {message.contact.person, *subject.aliases}
        used = [subject.reached_at(each) for each in others if each.person in named]
    else:
        used = []
    return [replace(message, contact=each) for each in dict.fromkeys(used) if each != message.contact]


def _of_audience(context: PolicyInput, store: RunStore) -> list[ScheduledMessage]:
    """Return the same message of a broadcast at the person's other addresses."""
    message = context.message
    others = [address for address in context.all_addresses if address != message.contact]
    if message.reason_spec.audience != "interested":
        return [replace(message, contact=other) for other in others]
    since = {other: interest_since(other, message.subject.id, store) for other in others}
    return [replace(message, contact=other, anchor_at=at) for other, at in since.items() if at]
