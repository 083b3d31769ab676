"""Find the messages that the first run of a retried event has ended, if a newer event hides them by now."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.person import other_channels
from reengage.domain.same_interest import PRODUCT
from reengage.domain.subject import BusinessEvent, Subject
from reengage.ports import PlanStore
from reengage.usecases.person import Addresses

RETRIED_AFTER: Final = timedelta(seconds=30)
"""Lambda waits a minute before the first retry; the rest is for clocks that differ."""

CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""The clock of the run before may have been so far behind: what it stored looks older than the event."""


def ended_before(
    event: BusinessEvent, subject: Subject, *, store: PlanStore, addresses: Addresses, now: datetime
) -> list[ScheduledMessage]:
    """Return the messages that an event about the subject has ended since this one arrived.

    If this is a retry, the run before may have ended them, and died before it published. If a newer event came since,
    the subject no longer has what this event replaced. It takes a request for each contact; none in a first run.
    """
    if now - event.arrived_at < RETRIED_AFTER:
        return []
    own = [event.contact] if event.contact else []
    contacts = dict.fromkeys([*subject.all_contacts, *own, *_other_addresses(event, addresses)])
    rows = [row for contact in contacts for row in store.unsent_messages(contact)]
    since = event.arrived_at - CLOCKS_DIFFER
    return [
        row
        for row in rows
        if row.is_ended_by_event and row.settled_at and row.settled_at >= since and _is_ended_by(row, subject)
    ]


def _is_ended_by(row: ScheduledMessage, subject: Subject) -> bool:
    """Return whether an event about the subject may end the message: about a product, that of any address."""
    ref = replace(row.subject, of=subject.ref.of) if subject.ref.kind == PRODUCT else row.subject
    return ref == subject.ref


def _other_addresses(event: BusinessEvent, addresses: Addresses) -> Iterable[Contact]:
    """Return the addresses at which the event may have ended messages, beside its contact."""
    if event.subject.kind != PRODUCT or event.contact is None:
        return ()
    return (*addresses.all(event.contact), *other_channels(event.contact))
