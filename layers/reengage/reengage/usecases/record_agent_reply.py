"""Record that a person of the business wrote to a contact: marketing waits for the end of their conversation."""

from dataclasses import replace

from reengage.domain.commands import RecordAgentReply
from reengage.ports import Clock, ConversationStore
from reengage.usecases.retry_conflicts import retry_conflicts


def record_agent_reply(command: RecordAgentReply, *, store: ConversationStore, clock: Clock) -> bool:
    """Store when the business last wrote; return whether that changed.

    Without a conversation nothing is stored. Raises ``WriteConflict``; a retry continues.
    """
    at = min(command.at, clock())

    def attempt() -> bool | None:
        thread = store.read_thread(command.contact)
        _, conversation = thread.preferences.without_erased(command.contact.channel, None, thread.conversation)
        if conversation is None or (conversation.agent_replied_at and conversation.agent_replied_at >= at):
            return False
        after = replace(conversation, agent_replied_at=at)
        return True if store.write_conversation(command.contact, after, replacing=thread.conversation) else None

    return retry_conflicts(attempt, "the conversation")
