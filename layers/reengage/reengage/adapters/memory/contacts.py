"""What is stored of a contact: its thread of inbound messages, and its preferences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from reengage.domain.broadcast import Recipient
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage
from reengage.domain.preferences import Preferences, preferences_of
from reengage.ports import Thread

from .tables import NO_PREFERENCES, Tables, open_audience


class Contacts(Tables):
    """Threads and preferences."""

    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread:
        with self._lock:
            known = message_id is not None and (contact, message_id) in self._messages
            preferences = self.read_preferences(contact)
            return Thread(self._profiles.get(contact), self._conversations.get(contact), known, preferences)

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        with self._lock:
            return {contact: self.read_thread(contact) for contact in contacts}

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        with self._lock:
            if self._conversations.get(contact) != replacing:
                return False
            self._conversations[contact] = conversation
            closes_on = conversation.closes_at.astimezone(UTC).date().isoformat()
            self._audience[open_audience(contact.brand, contact.shard)][contact.key] = closes_on, Recipient(contact)
            return True

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        with self._lock:
            if self._profiles.get(contact) != replacing:
                return False
            self._profiles[contact] = profile
            return True

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        with self._lock:
            key = (message.contact, message.message_id)
            self._messages.setdefault(key, (message, expires_at))
            self._of_contact[message.contact.key].messages[key] = None

    def read_preferences(self, contact: Contact) -> Preferences:
        return self.read_linked(self.preferences_key(contact))

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        return self.write_linked(self.preferences_key(contact), preferences)

    def preferences_key(self, contact: Contact) -> str:
        return self.hash_address(preferences_of(contact))

    def read_linked(self, key: str) -> Preferences:
        return self._preferences.get(key, NO_PREFERENCES)

    def write_linked(self, key: str, preferences: Preferences) -> bool:
        with self._lock:
            if self.read_linked(key).revision != preferences.revision:
                return False
            if preferences.is_empty:
                self._preferences.pop(key, None)
            else:
                self._preferences[key] = replace(preferences, revision=preferences.revision + 1)
            return True
