"""Erase a contact: delete all its data, so that nothing under way can bring it back.

First a mark with the instant is stored. From then on no message that was planned before is sent. A function that writes
older data finds the mark and deletes that data again.
"""

from datetime import datetime

from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.events_out import out_event
from reengage.domain.instants import iso
from reengage.domain.message import State
from reengage.ports import Clock, Eraser, ErasureStore, PreferencesStore, Publish
from reengage.usecases.link_contact import unlink
from reengage.usecases.retry_conflicts import retry_conflicts


def erase_contact(command: EraseContact, *, store: ErasureStore, publish: Publish, clock: Clock) -> int:
    """Mark the contact, publish the cancelled messages, delete all items, and publish the erasure.

    It deletes until a strongly consistent read finds nothing, and returns the number of deleted items. A repeat
    finishes an interrupted erasure and keeps newer data. Raises ``WriteConflict`` and ``NotPublished``; a retry
    resolves both.
    """
    until = _mark(command, store=store, now=clock())
    scheduled = [row for row in store.pending_messages(command.contact) if row.state is State.SCHEDULED]
    skipped = [
        out_event("MessageSkipped", row, rule="erased", facts={"erased_at": iso(until)})
        for row in scheduled
        if row.planned_at <= until
    ]
    # Publish first: a retry would not find the cancelled messages any more.
    publish(skipped)
    found = forget(command.contact, until, store=store)
    publish([out_event("ContactErased", command.contact, cause={"asked_at": iso(command.at)})])
    return found


def forget(contact: Contact, until: datetime, *, store: Eraser) -> int:
    """Delete what was stored until then, until a read finds nothing left. Return the number of deleted items."""
    found = 0

    def attempt() -> int | None:
        nonlocal found
        left = store.erase(contact, until=until)
        found += left
        return None if left else found

    return retry_conflicts(attempt, "the contact's data")


def _mark(command: EraseContact, *, store: PreferencesStore, now: datetime) -> datetime:
    """Store the mark; return the instant until which all data is deleted. A repeated command has the same instant."""

    def attempt() -> datetime | None:
        before = store.read_preferences(command.contact)
        if before.links:
            unlink(command.contact, before, store=store)  # first: a retry finds the links until they are gone
        after = before.erase(command.contact.channel, asked_at=command.at, at=now)
        if after is before or store.write_preferences(command.contact, after):
            return after.erasures[command.contact.channel].at
        return None

    return retry_conflicts(attempt, "the preferences")
