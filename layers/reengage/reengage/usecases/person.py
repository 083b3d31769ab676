"""Find all addresses of one person: those that a provider or an event has linked with a contact."""

from collections.abc import Mapping, Sequence

from reengage.domain.contact import Contact
from reengage.domain.person import OtherAddress, explore
from reengage.ports import Thread, ThreadsReader


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
