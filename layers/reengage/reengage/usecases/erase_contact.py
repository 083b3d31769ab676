"""Erase a contact: delete all its data, so that nothing under way can bring it back.

First a mark with the instant is stored. From then on no message that was planned before is sent. A function that writes
older data finds the mark and deletes that data again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.events_out import out_event
from reengage.domain.instants import iso
from reengage.domain.message import State
from reengage.domain.person import has_new_owner
from reengage.domain.preferences import Preferences
from reengage.ports import Clock, Eraser, ErasureStore, Publish
from reengage.usecases.link_contact import unlink
from reengage.usecases.retry_conflicts import retry_conflicts


def erase_contact(command: EraseContact, *, store: ErasureStore, publish: Publish, clock: Clock) -> int:
    """Erase the contact, and each address that is linked with it. Return the number of deleted items.

    Of each address: mark it, publish the cancelled messages, delete all items, and publish the erasure. It deletes
    until a strongly consistent read finds nothing. A repeat finishes an interrupted erasure and keeps newer data.
    Raises ``WriteConflict`` and ``NotPublished``; a retry resolves both.
    """
    return _Erasure(command, store, publish, clock).erase(command.contact)


@dataclass(frozen=True, slots=True)
class _Erasure:
    """Erases a person's addresses, the farthest first: until the mark removes its links, a retry finds them all."""

    command: EraseContact
    store: ErasureStore
    publish: Publish
    clock: Clock
    begun: set[Contact] = field(default_factory=set)

    def erase(self, contact: Contact) -> int:
        self.begun.add(contact)
        now, others = self.clock(), list[int]()
        until = self._mark(contact, now, others)
        scheduled = [row for row in self.store.pending_messages(contact) if row.state is State.SCHEDULED]
        skipped = [
            out_event("MessageSkipped", row, rule="erased", facts={"erased_at": iso(until)})
            for row in scheduled
            if row.planned_at <= until
        ]
        # Publish first: a retry would not find the cancelled messages any more.
        self.publish(skipped)
        found = forget(contact, until, store=self.store)
        self.publish([out_event("ContactErased", contact, cause={"asked_at": iso(self.command.at)})])
        return found + sum(others)

    def _mark(self, contact: Contact, now: datetime, others: list[int]) -> datetime:
        """Erase the linked addresses, then mark this one; add the number of items that were deleted to ``others``.

        Return the instant until which all is to go: the same when the erasure is asked for again.
        """
        store = self.store

        def attempt() -> datetime | None:
            before = store.read_preferences(contact)
            others.extend(self.erase(other) for other in self._linked(contact, before))
            if others:
                before = store.read_preferences(contact)
            if before.links:
                # First: a retry finds the links until they are gone. An address that is erased, too, keeps its link
                # until its own mark: a retry finds this one from there, and deletes what is left of it.
                unlink(contact, before, store=store, but=self.begun)
            after = before.erase(contact.channel, asked_at=self.command.at, at=now)
            if after is before or store.write_preferences(contact, after):
                return after.erasures[contact.channel].at
            return None

        return retry_conflicts(attempt, "the preferences")

    def _linked(self, contact: Contact, preferences: Preferences) -> Iterator[Contact]:
        """Yield the addresses to erase with this one. Nothing is linked with an address that has a new owner."""
        if self._has_new_owner(contact, preferences):
            return
        for other in preferences.linked_to(contact):
            if other not in self.begun and not self._has_new_owner(other, self.store.read_preferences(other)):
                yield other

    def _has_new_owner(self, contact: Contact, preferences: Preferences) -> bool:
        if preferences.moved_at is None:
            return False
        return has_new_owner(preferences, self.store.read_threads([contact])[contact].conversation)


def forget(contact: Contact, until: datetime, *, store: Eraser) -> int:
    """Delete what was stored until then, until a read finds nothing left. Return the number of deleted items."""
    found = 0

    def attempt() -> int | None:
        nonlocal found
        left = store.erase(contact, until=until)
        found += left
        return None if left else found

    return retry_conflicts(attempt, "the contact's data")
