"""Erase a contact, on all channels of its number: delete all data, so that nothing under way can bring it back.

First a mark with the instant is stored. From then on no message that was planned before is sent. A function that writes
older data finds the mark and deletes that data again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso
from reengage.domain.message import State
from reengage.domain.person import has_new_owner, other_channels
from reengage.domain.preferences import Preferences
from reengage.ports import Clock, Eraser, ErasureStore, Publish
from reengage.usecases.link_contact import unlink
from reengage.usecases.person import channels_of
from reengage.usecases.retry_conflicts import retry_conflicts


def erase_contact(command: EraseContact, *, store: ErasureStore, publish: Publish, clock: Clock) -> int:
    """Erase the contact, the other channels of its number, and each address that is linked with one of these.

    Return the number of deleted items. Of each number: mark all channels at once. Then, of each channel, publish the
    cancelled messages, delete all items, and publish the erasure. It deletes until a strongly consistent read finds
    nothing. A repeat finishes an interrupted erasure and keeps newer data.

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
        now, others = self.clock(), list[int]()
        marks = self._mark(contact, now, others)
        *siblings, _ = marks
        found = sum(self._erase_sibling(sibling, marks[sibling]) for sibling in siblings)
        # Publish first: a retry would not find the cancelled messages any more.
        self.publish(self._skipped(contact, marks[contact]))
        found += forget(contact, marks[contact], store=self.store)
        self.publish([self._erased(contact)])
        return found + sum(others)

    def _erase_sibling(self, sibling: Contact, until: datetime) -> int:
        """Erase another channel of the number. It is published if something is stored: that is known only before."""
        held, _ = self.store.read_holdings_page(sibling)
        if not held.is_empty:
            self.publish([*self._skipped(sibling, until), self._erased(sibling)])
        return forget(sibling, until, store=self.store)

    def _skipped(self, contact: Contact, until: datetime) -> list[OutEvent]:
        return [
            out_event("MessageSkipped", row, rule="erased", facts={"erased_at": iso(until)})
            for row in self.store.pending_messages(contact)
            if row.state is State.SCHEDULED and row.planned_at <= until
        ]

    def _erased(self, contact: Contact) -> OutEvent:
        return out_event("ContactErased", contact, cause={"asked_at": iso(self.command.at)})

    def _mark(self, contact: Contact, now: datetime, others: list[int]) -> dict[Contact, datetime]:
        """Erase the linked addresses, then mark the number's channels; add the number of items that were deleted to
        ``others``.

        Return each channel with the instant until which all is to go: the same when the erasure is asked for again.
        The contact is the last one.
        """
        store = self.store

        def attempt() -> dict[Contact, datetime] | None:
            before = store.read_preferences(contact)
            channels = [*self._siblings(contact, before), contact]
            self.begun.update(channels)
            erased = [self.erase(other) for each in channels for other in self._linked(each, before)]
            if erased:
                others.extend(erased)
                before = store.read_preferences(contact)
            if before.links:
                # First: a retry finds the links until they are gone. An address that is erased, too, keeps its link
                # until its own mark: a retry finds this one from there, and deletes what is left of it.
                for each in channels:
                    unlink(each, before, store=store, but=self.begun)
            after = before
            for each in channels:
                after = after.erase(each.channel, asked_at=self.command.at, at=now)
            if after is before or store.write_preferences(contact, after):
                return {each: after.erasures[each.channel].at for each in channels}
            return None

        return retry_conflicts(attempt, "the preferences")

    def _siblings(self, contact: Contact, preferences: Preferences) -> list[Contact]:
        """Return the other channels of the number to erase with this one.

        A repeat takes those that are marked.
        """
        marked = {name for name, mark in preferences.erasures.items() if mark.asked_at >= self.command.at}
        if contact.channel in marked:
            return [each for each in other_channels(contact) if each.channel in marked]
        return channels_of(contact, preferences, self.store)

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
