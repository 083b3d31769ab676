"""Record that a person of the business wrote to a contact: marketing waits for the end of their conversation."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from reengage.domain.commands import RecordAgentReply
from reengage.domain.contact import Contact
from reengage.ports import Clock, ConversationStore
from reengage.usecases.person import others_of
from reengage.usecases.retry_conflicts import retry_conflicts


def record_agent_reply(command: RecordAgentReply, *, store: ConversationStore, clock: Clock) -> bool:
    """Store when the business last wrote; return whether that changed.

    If the contact never wrote from that address, it is stored with a linked one, and with another channel of the
    number. Without a conversation at any, nothing is stored. Raises ``WriteConflict``; a retry continues.
    """
    contact, at = command.contact, min(command.at, clock())
    thread = store.read_thread(contact)
    _, conversation = thread.preferences.without_erased(contact.channel, None, thread.conversation)
    others = [] if conversation else others_of(contact, thread, store, open_at=at)
    contacts = [contact] if conversation else [other.contact for other in others]
    changed = [retry_conflicts(partial(_attempt, each, at, store), "the conversation") for each in contacts]
    return any(changed)


def _attempt(contact: Contact, at: datetime, store: ConversationStore) -> bool | None:
    thread = store.read_thread(contact)
    _, conversation = thread.preferences.without_erased(contact.channel, None, thread.conversation)
    if conversation is None or (conversation.agent_replied_at and conversation.agent_replied_at >= at):
        return False
    after = replace(conversation, agent_replied_at=at)
    return True if store.write_conversation(contact, after, replacing=thread.conversation) else None
