"""Find all addresses of one person: those that a provider or an event has linked with a contact."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.person import OtherAddress, explore, has_new_owner, other_channels
from reengage.domain.policy_input import PolicyInput
from reengage.domain.preferences import Preferences
from reengage.ports import PreferencesStore, Thread, ThreadsReader
from reengage.usecases.retry_conflicts import retry_conflicts


class KnownThreads:
    """Threads of which each is read once: ``known`` are those that were read before."""

    def __init__(self, store: ThreadsReader, known: Mapping[Contact, Thread]) -> None:
        self._store, self._known = store, dict(known)

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        """Return each contact's thread. It makes no request if all are known."""
        if unknown := [contact for contact in dict.fromkeys(contacts) if contact not in self._known]:
            self._known |= self._store.read_threads(unknown)
        return {contact: self._known[contact] for contact in contacts}


class Addresses:
    """The threads and the other addresses of contacts, each read once; other channels for a window open at ``now``."""

    def __init__(self, store: ThreadsReader, now: datetime) -> None:
        self._store, self._now = store, now
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
            self._others[contact] = others_of(contact, self.thread(contact), self._store, open_at=self._now)
        return self._others[contact]

    def linked(self, contact: Contact) -> list[Contact]:
        """Return the linked addresses, without other channels of one number."""
        return [other.contact for other in self.others(contact) if other.is_linked]

    def all(self, contact: Contact) -> list[Contact]:
        """Return the other addresses, with other channels of one number."""
        return [other.contact for other in self.others(contact)]


def others_of(
    contact: Contact, thread: Thread, store: ThreadsReader, *, open_at: datetime | None = None
) -> tuple[OtherAddress, ...]:
    """Read the person's other addresses. It makes no request if no address is linked.

    If the contact's window is closed at ``open_at``, it reads the number's other channels, too.
    """

    def read(contacts: Sequence[Contact]) -> Mapping[Contact, OtherAddress]:
        return {
            other: OtherAddress(other, found.profile, found.conversation, found.preferences)
            for other, found in store.read_threads(contacts).items()
        }

    return explore(contact, thread.preferences, thread.conversation, read, open_at=open_at)


def linked_with(contact: Contact, thread: Thread, store: ThreadsReader) -> list[Contact]:
    """Return the addresses that are linked with the contact, nearest first; without other channels of one number."""
    return [other.contact for other in others_of(contact, thread, store) if other.is_linked]


def addresses_of(contact: Contact, store: ThreadsReader) -> list[Contact]:
    """Read and return all linked addresses of the person, the contact first."""
    thread = store.read_threads([contact])[contact]
    return [contact, *linked_with(contact, thread, store)]


def channels_of(contact: Contact, preferences: Preferences, store: ThreadsReader) -> list[Contact]:
    """Return the other channels of the contact's number. If the person left the number, those of someone else are left
    out; only then it makes a request.
    """
    channels = other_channels(contact)
    if not channels or preferences.moved_at is None:
        return channels
    threads = store.read_threads([contact, *channels])
    is_new = {each: has_new_owner(preferences, thread.conversation) for each, thread in threads.items()}
    return [each for each in channels if is_new[each] == is_new[contact]]


def merged_at(message: ScheduledMessage, store: ThreadsReader) -> list[Contact]:
    """Read the other addresses of which one text may name messages: linked ones, and the channel that it went to."""
    found = dict.fromkeys([message.recipient, *addresses_of(message.contact, store)])
    return [address for address in found if address != message.contact]


def note_channels(contact: Contact, channels: Iterable[str], at: datetime, store: PreferencesStore) -> None:
    """Record that the number uses several channels: caps, announcements, answers and receipts count them together."""
    channels = [contact.channel, *channels]

    def attempt() -> bool | None:
        before = store.read_preferences(contact)
        after = before.use_channels(channels, at)
        return True if after is before or store.write_preferences(contact, after) else None

    if len(channels) > 1:
        retry_conflicts(attempt, "the preferences")


def note_new_channels(contexts: Iterable[PolicyInput], at: datetime, store: PreferencesStore) -> None:
    """Record, for each contact without an open window, the channel of its number by which it is reached."""
    messages = (each.message for each in contexts if each.is_on_new_channel)
    for contact, channel in {message.contact: message.recipient.channel for message in messages}.items():
        note_channels(contact, [channel], at, store)
