"""A person wrote: their window opens or moves on."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal

from reengage.domain.contact import Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry, hear
from reengage.domain.events_out import out_event
from reengage.errors import Contended, NotPublished
from reengage.ports import Clock, Publish, Store

LAST_SEEN_GRAIN: Final = timedelta(days=7)
"""``last_seen_at`` is written at most this often, so that a daily chat costs no write more."""

TRIES: Final = 5

Ingested = Literal["stored", "duplicate", "window_closed"]


def ingest_message(
    message: InboundMessage, *, store: Store, publish: Publish, clock: Clock, contact_retention: timedelta
) -> Ingested:
    """Records the message and the window that it opens: 30 days from its own ``sent_at``.

    The message itself is written last: where a crash came before that, the retry does it all again, to the
    same end. Raises ``Contended`` and ``NotPublished``, both mended by a retry.
    """
    now = clock()
    # A clock that runs ahead must not lengthen the window, nor a retry hours later.
    if message.sent_at > now:
        message = replace(message, sent_at=min(message.arrived_at, now))
    opens = now < message.sent_at + WINDOW
    for _ in range(TRIES):
        thread = store.read_thread(message.contact, message.message_id)
        if thread.known:
            return "duplicate"
        profile = thread.profile if thread.profile and thread.profile.is_kept(now) else None
        heard = _heard(message, thread.conversation, profile) if opens else None
        if heard and heard is not thread.conversation:
            written = store.write_conversation(message.contact, heard, replacing=thread.conversation)
            if not written:
                continue
        seen = _seen(message, profile, thread.conversation, contact_retention)
        if seen is not profile and not store.write_profile(message.contact, seen, replacing=thread.profile):
            continue
        break
    else:
        raise Contended(f"the conversation kept changing through {TRIES} tries")
    if heard is None:
        return "window_closed"
    _announce(message, heard, publish)
    store.write_message(message, expires_at=expiry(message.sent_at + WINDOW))
    return "stored"


def _heard(message: InboundMessage, conversation: Conversation | None, profile: Profile | None) -> Conversation:
    """The conversation after this message; the very same where it is not news."""
    heard_before = profile is not None
    sent_at, message_id = message.sent_at, message.message_id
    return hear(conversation, heard_before=heard_before, message_id=message_id, sent_at=sent_at)


def _seen(
    message: InboundMessage, profile: Profile | None, conversation: Conversation | None, retention: timedelta
) -> Profile:
    """The profile after this message; the very same where nothing changed that is worth a write."""
    said = {"locale": message.locale, "timezone": message.timezone, "display_name": message.display_name}
    sent_at = message.sent_at
    if profile is None:
        return Profile(sent_at, sent_at, expiry(sent_at + retention), **said)
    # A late message fills in what is not known yet; only the newest may change what is.
    late = sent_at < max(profile.last_seen_at, conversation.last_inbound_at if conversation else profile.last_seen_at)
    known = {name: getattr(profile, name) for name in said}
    facts = {name: value if value and not (late and known[name]) else known[name] for name, value in said.items()}
    if facts == known and sent_at < profile.last_seen_at + LAST_SEEN_GRAIN:
        return profile
    last_seen_at = max(profile.last_seen_at, sent_at)
    return Profile(min(profile.first_seen_at, sent_at), last_seen_at, expiry(last_seen_at + retention), **facts)


def _announce(message: InboundMessage, conversation: Conversation, publish: Publish) -> None:
    """Tells of the conversation that this very message opened, again where a crash made it come again."""
    if conversation.opened_by != message.message_id:
        return
    opening, last_inbound_at = conversation.opening.capitalize(), conversation.last_inbound_at
    told = out_event(f"Conversation{opening}", message.contact, last_inbound_at=last_inbound_at)
    if publish([told]):
        raise NotPublished(told.type)
