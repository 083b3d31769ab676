"""What is stored of a contact: its thread of inbound messages, and its preferences."""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Final

from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation, InboundMessage
from reengage.domain.preferences import Preferences
from reengage.ports import Thread

from .items.base import Item
from .items.contacts import (
    CONTACT,
    CONVERSATION,
    PREFERENCES,
    ConversationItem,
    InboundMessageItem,
    PreferencesItem,
    ProfileItem,
    conversation_item,
    message_sk,
    preferences_item,
    profile_item,
    to_conversation,
    to_preferences,
    to_profile,
    unclear_json,
)
from .table import BATCH, Role, at_revision, unchanged

THREADS_AT_ONCE: Final = BATCH // 3
"""A thread has three items: profile, conversation and preferences."""


class Contacts(Role):
    """Threads and preferences."""

    def read_thread(self, contact: Contact, message_id: str | None = None) -> Thread:
        message = (contact.key, message_sk(message_id)) if message_id is not None else None
        preferences = (self.table.preferences_pk(contact), PREFERENCES)
        items = self.table.read_range(contact.key, CONTACT, CONVERSATION)
        items |= self.table.read([*([message] if message else []), preferences])
        return Thread(
            to_profile(items.get((contact.key, CONTACT))),
            to_conversation(items.get((contact.key, CONVERSATION))),
            known=message in items,
            preferences=to_preferences(items.get(preferences)),
        )

    def read_threads(self, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        threads: dict[Contact, Thread] = {}
        for some in batched(contacts, THREADS_AT_ONCE, strict=False):
            preferences = {contact: (self.table.preferences_pk(contact), PREFERENCES) for contact in some}
            own = [(contact.key, sk) for contact in some for sk in (CONTACT, CONVERSATION)]
            # The channels of one number share their preferences, and BatchGetItem takes no key twice.
            items = self.table.read(dict.fromkeys([*own, *preferences.values()]))
            for contact in some:
                threads[contact] = Thread(
                    to_profile(items.get((contact.key, CONTACT))),
                    to_conversation(items.get((contact.key, CONVERSATION))),
                    preferences=to_preferences(items.get(preferences[contact])),
                )
        return threads

    def write_conversation(
        self, contact: Contact, conversation: Conversation, *, replacing: Conversation | None
    ) -> bool:
        replaced = conversation_item(contact, replacing) if replacing else None
        return self.table.put(conversation_item(contact, conversation), unchanged(ConversationItem, replaced))

    def write_profile(self, contact: Contact, profile: Profile, *, replacing: Profile | None) -> bool:
        replaced = profile_item(contact, replacing) if replacing else None
        return self.table.put(profile_item(contact, profile), unchanged(ProfileItem, replaced))

    def write_message(self, message: InboundMessage, *, expires_at: int) -> None:
        item = InboundMessageItem(
            message.contact.key,
            message_sk(message.message_id),
            sent_at=message.sent_at,
            text=message.text,
            kind=message.kind,
            unclear=unclear_json(message.unclear),
            expires_at=expires_at,
        )
        self.table.put(item, Item.pk.does_not_exist())

    def read_preferences(self, contact: Contact) -> Preferences:
        return self.read_linked(self.preferences_key(contact))

    def write_preferences(self, contact: Contact, preferences: Preferences) -> bool:
        return self.write_linked(self.preferences_key(contact), preferences)

    def preferences_key(self, contact: Contact) -> str:
        return self.table.preferences_key(contact)

    def read_linked(self, key: str) -> Preferences:
        return to_preferences(self.table.read_one((f"{PREFERENCES}#{key}", PREFERENCES)))

    def write_linked(self, key: str, preferences: Preferences) -> bool:
        pk, condition = f"{PREFERENCES}#{key}", at_revision(PreferencesItem, preferences.revision)
        if preferences.is_empty:
            return self.table.delete((pk, PREFERENCES), condition)
        return self.table.put(preferences_item(pk, preferences), condition)
