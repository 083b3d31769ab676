"""Write what an inbound message changes of its contact: the conversation, whose window moves on, and the profile."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple

from reengage.domain.contact import CHANNELS, Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry, extend
from reengage.domain.parameters import parse_length
from reengage.domain.person import other_channels
from reengage.domain.preferences import Preferences
from reengage.domain.zones import zone_if_witness
from reengage.ports import ConversationStore, Thread
from reengage.usecases.erase_contact import forget
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.person import note_channels
from reengage.usecases.recheck_window import Changed
from reengage.usecases.retry_conflicts import retry_conflicts

LAST_SEEN_GRAIN: Final = timedelta(days=7)
"""``last_seen_at`` is written at most this often, so that a daily chat costs no write more."""

SOON: Final = timedelta(hours=1)
"""A person who writes again within this does not return, unless ``WelcomeBackAfter`` is shorter."""

Ingested = Literal["stored", "duplicate", "window_closed", "erased"]


class StoredThread(NamedTuple):
    """The effect of a message: the conversation if its window is open, and whether holds may end by it.

    ``settings`` are those of the contact's brand. ``is_linked``: the person has other addresses.
    """

    came_to: Ingested
    conversation: Conversation | None
    changed: Changed
    settings: IngestSettings
    is_linked: bool = False


def store_thread(
    message: InboundMessage, *, settings: IngestSettings, store: ConversationStore, now: datetime
) -> StoredThread:
    """Write the conversation and the profile."""

    def attempt() -> StoredThread | None:
        thread = store.read_thread(message.contact, message.message_id)
        if is_erased(message, thread.preferences, store):
            return StoredThread("erased", None, Changed(), settings)
        if thread.known:
            return StoredThread("duplicate", None, Changed(), settings)
        profile, conversation = _standing(message.contact, thread, now)
        own = _settings_of(message, profile, conversation, settings, store)
        extended = _extended(message, conversation, profile, own) if now < message.sent_at + WINDOW else None
        is_news = extended is not conversation
        seen = _seen(message, profile, conversation, settings.contact_retention)
        if seen is not profile:
            # First: after a crash, the window is no sign that the channels are known.
            _note_channels(message, store)
        write = partial(store.write_conversation, message.contact, replacing=thread.conversation)
        if extended and is_news and not write(extended):
            return None
        if seen is not profile and not store.write_profile(message.contact, seen, replacing=thread.profile):
            return None
        is_linked = bool(thread.preferences.linked_to(message.contact))
        has_moved = seen.timezone != profile.timezone if profile else is_linked and seen.timezone is not None
        changed = Changed(timezone=has_moved, free_text=_reopens_free_text(message, conversation))
        if extended is None:
            return StoredThread("window_closed", None, Changed(), own)
        return StoredThread("stored", extended, changed, own, is_linked)

    return retry_conflicts(attempt, "the conversation")


def _settings_of(
    message: InboundMessage,
    profile: Profile | None,
    conversation: Conversation | None,
    settings: IngestSettings,
    store: ConversationStore,
) -> IngestSettings:
    """Return the settings with the brand's ``welcome_back_after``.

    The brand is read only if the message may be a return: not for a first message, nor soon after the last one.
    """
    if conversation is None:
        may_return = profile is not None
    else:
        soon = min(SOON, settings.welcome_back_after or SOON)
        may_return = message.sent_at >= conversation.last_inbound_at + soon
    brand = store.read_brand(message.contact.brand) if may_return else None
    if brand is None or brand.welcome_back_after is None:
        return settings
    after = parse_length(brand.welcome_back_after) if brand.welcome_back_after else None
    return replace(settings, welcome_back_after=after)


def _note_channels(message: InboundMessage, store: ConversationStore) -> None:
    """Record that the number writes on several channels: then caps and announcements count these together."""
    contact = message.contact
    known = store.read_threads(others) if (others := other_channels(contact)) else {}
    used = [other.channel for other, thread in known.items() if thread.profile or thread.conversation]
    note_channels(contact, used, message.sent_at, store)


def _reopens_free_text(message: InboundMessage, before: Conversation | None) -> bool:
    """Whether the channel allowed only templates, and this message allows free text again."""
    free_text_for = CHANNELS[message.contact.channel].free_text_for
    return bool(free_text_for and before and before.last_inbound_at + free_text_for <= message.sent_at)


def is_erased(message: InboundMessage, preferences: Preferences, store: ConversationStore) -> bool:
    """Whether the contact was erased since the message was sent; then whatever was stored of it is gone."""
    channel = message.contact.channel
    if not preferences.erased_since(channel, message.sent_at):
        return False
    forget(message.contact, preferences.erasures[channel].at, store=store)
    return True


def _standing(contact: Contact, thread: Thread, now: datetime) -> tuple[Profile | None, Conversation | None]:
    """What of the thread still counts: no profile past its retention, and nothing that an erasure has yet to delete."""
    profile, conversation = thread.preferences.without_erased(contact.channel, thread.profile, thread.conversation)
    if profile and not profile.is_kept(now):
        profile = None
    return profile, conversation


def _extended(
    message: InboundMessage, conversation: Conversation | None, profile: Profile | None, settings: IngestSettings
) -> Conversation:
    """The conversation after this message; the very same where it is not news."""
    return extend(
        conversation,
        is_known_contact=profile is not None,
        message_id=message.message_id,
        sent_at=message.sent_at,
        restarts_after=settings.welcome_back_after,
    )


def _seen(
    message: InboundMessage, profile: Profile | None, conversation: Conversation | None, retention: timedelta
) -> Profile:
    """The profile after this message; the very same where nothing changed that is worth a write."""
    # A chat system that does not know the zone reports UTC: that replaces no zone that is known.
    timezone = zone_if_witness(message.timezone)
    fields = {"locale": message.locale, "timezone": timezone, "display_name": message.display_name}
    sent_at = message.sent_at
    if profile is None:
        return Profile(sent_at, sent_at, expiry(sent_at + retention), **fields)
    # A late message fills in what is not known yet; only the newest may change what is.
    late = sent_at < max(profile.last_seen_at, conversation.last_inbound_at if conversation else profile.last_seen_at)
    known = {name: getattr(profile, name) for name in fields}
    facts = {name: value if value and not (late and known[name]) else known[name] for name, value in fields.items()}
    if facts == known and sent_at < profile.last_seen_at + LAST_SEEN_GRAIN:
        return profile
    last_seen_at = max(profile.last_seen_at, sent_at)
    return Profile(min(profile.first_seen_at, sent_at), last_seen_at, expiry(last_seen_at + retention), **facts)
