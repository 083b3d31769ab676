"""Find all addresses of one person: those that a provider or an event has linked with a contact."""

from collections.abc import Mapping, Sequence

from reengage.domain.contact import Contact
from reengage.domain.person import OtherAddress, explore
from reengage.ports import Thread, ThreadsReader


class Addresses:
    """The threads and the other addresses of contacts, each read once."""

    def __init__(self, store: ThreadsReader) -> None:
        self._store = store
        self._threads: dict[Contact, Thread] = {}
        self._others: dict[Contact, tuple[OtherAddress, ...]] = {}

    def thread(self, contact: Contact) -> Thread:
        """Read the contact's thread."""
        if contact not in self._threads:
            self._threads |= self._store.read_threads([contact])
        return self._threads[contact]

    def others(self, contact: Contact) -> tuple[OtherAddress, ...]:
        """Read the person's other addresses."""
        if contact not in self._others:
            self._others[contact] = others_of(contact, self.thread(contact), self._store)
        return self._others[contact]

    def linked(self, contact: Contact) -> list[Contact]:
        """Return the linked addresses, without other channels of one number."""
        return [other.contact for other in self.others(contact) if other.is_linked]

    def all(self, contact: Contact) -> list[Contact]:
        """Return the other addresses, with other channels of one number."""
        return [other.contact for other in self.others(contact)]


def others_of(contact: Contact, thread: Thread, store: ThreadsReader) -> tuple[OtherAddress, ...]:
    """Read the person's other addresses. It makes no request if no address is linked."""

    def read(contacts: Sequence[Contact]) -> Mapping[Contact, OtherAddress]:
        return {
            other: OtherAddress(other, found.profile, found.conversation, found.preferences)
            for other, found in store.read_threads(contacts).items()
        }

    return explore(contact, thread.preferences, thread.conversation, read)


def linked_with(contact: Contact, thread: Thread, store: ThreadsReader) -> list[Contact]:
    """Return the addresses that are linked with the contact, nearest first; without other channels of one number."""
    return [other.contact for other in others_of(contact, thread, store) if other.is_linked]


def addresses_of(contact: Contact, store: ThreadsReader) -> list[Contact]:
    """Read and return all linked addresses of the person, the contact first."""
    thread = store.read_threads([contact])[contact]
    return [contact, *linked_with(contact, thread, store)]
