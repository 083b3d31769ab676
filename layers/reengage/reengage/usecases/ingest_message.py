"""A person wrote: what they ask for comes first, then their window moves on, and who comes back is greeted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from reengage.domain.commands import RecordChoice
from reengage.domain.contact import CHANNELS, Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry, extend
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.keywords import Detection, detect_request
from reengage.domain.message import ScheduledMessage
from reengage.domain.openers import OPENED
from reengage.domain.parameters import parse_length
from reengage.domain.person import other_channels
from reengage.domain.planning import reply
from reengage.domain.preferences import Choice, OptOutScope, Preferences, Topic
from reengage.domain.questions import Binding
from reengage.domain.requests import Request
from reengage.ports import Clock, ConversationStore, Publish, Thread
from reengage.usecases.answer_question import AnswerCandidate, answer_candidate, answered_event, store_answer
from reengage.usecases.erase_contact import forget
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.openers import Bind, use_opener
from reengage.usecases.person import addresses_of
from reengage.usecases.recheck_window import Changed, recheck_holds
from reengage.usecases.record_choice import announce_choice, store_choice
from reengage.usecases.retry_conflicts import retry_conflicts

LAST_SEEN_GRAIN: Final = timedelta(days=7)
"""``last_seen_at`` is written at most this often, so that a daily chat costs no write more."""

FRESH_FOR: Final = timedelta(minutes=10)
"""A message older than this was imported or long delayed, and needs no reply."""

ARRIVAL_GRAIN: Final = timedelta(seconds=1)
"""An envelope's time is cut to whole seconds: what was sent within that second is no clock that runs ahead."""

CLOCK_ERROR: Final = timedelta(seconds=5)
"""A function's clock may be behind the bus by this: a STOP that follows a START must not count as the earlier one."""

CHOICES: Final[Mapping[Request | None, tuple[Topic, bool]]] = MappingProxyType(
    {Request.STOP: ("contact", False), Request.STOP_MARKETING: ("marketing", False), Request.START: ("contact", True)}
)
"""What a message is a choice about, and whether it is a yes."""

OPT_OUTS: Final = (Request.STOP, Request.STOP_MARKETING)

ANSWERS_FOR: Final = timedelta(days=1)
"""A person who writes this soon after a message about an appointment does not return: no greeting goes out."""

SOON: Final = timedelta(hours=1)
"""A person who writes again within this does not return, unless ``WelcomeBackAfter`` is shorter."""

Ingested = Literal["stored", "duplicate", "window_closed", "erased"]


class _Stored(NamedTuple):
    """The effect of a message: the conversation if the window is open, and what changed of what messages are held for.

    ``settings`` are those of the contact's brand. ``is_linked``: the person has other addresses.
    """

    came_to: Ingested
    conversation: Conversation | None
    changed: Changed
    settings: IngestSettings
    is_linked: bool = False


def ingest_message(
    message: InboundMessage,
    *,
    settings: IngestSettings,
    store: ConversationStore,
    publish: Publish,
    clock: Clock,
    send_now: Callable[[ScheduledMessage], None],
    recheck_contact: Callable[[Contact], None],
    bind: Bind | None = None,
) -> Ingested:
    """Store the message and open its window: 30 days from its own ``sent_at``.

    A STOP is stored before anything else. The message itself is written last: after a crash before that, the retry
    repeats everything with the same result. Raises ``WriteConflict`` and ``NotPublished``; a retry resolves both.
    """
    now = clock()
    chosen_at = _sent_at(message, now + CLOCK_ERROR)
    message = replace(message, sent_at=_sent_at(message, now))
    detection = _detect(message)
    candidate = answer_candidate(message, detection, store=store, now=now)
    if candidate and candidate.is_cancellation(detection):
        detection = Detection()
    choice = _choice(message, chosen_at, detection, candidate)

    def is_stored() -> bool:
        return store.read_thread(message.contact, message.message_id).known

    store_it = partial(store_choice, store=store, opt_out_scope=settings.opt_out_scope)
    changed = choice is not None and not choice.choice.allowed and store_it(choice, is_repeat=is_stored)
    stored = _store_thread(message, settings=settings, store=store, now=now)
    came_to, conversation, settings = stored.came_to, stored.conversation, stored.settings
    if came_to == "duplicate":
        return came_to
    if choice and choice.choice.allowed:
        # Not before it is known to be news: a START that comes again must not undo the STOP that came after it.
        changed = store_it(choice)
    # Also for an erased contact, whose choice is kept.
    if choice and changed:
        announce_choice(choice, publish)
    if came_to == "erased":
        return came_to
    binding = _bind(candidate, conversation, choice, store=store, publish=publish)
    _announce(message, conversation, None if binding else detection, publish)
    if conversation:
        _recheck_holds(message.contact, stored, store=store, now=now)
        _recheck_closing(message, conversation, stored, store=store, recheck_contact=recheck_contact)
        opened = _use_opener(message, detection, settings=settings, store=store, now=now, bind=bind)
        if answer := _reply(
            message, conversation, detection, binding, choice, opened=opened, settings=settings, store=store, now=now
        ):
            # An erasure takes what the message led to along with the message.
            send_now(replace(answer, planned_at=message.sent_at))
        store.write_message(message, expires_at=expiry(message.sent_at + WINDOW))
    # An erasure that came in between has not seen what was written since.
    return "erased" if _is_erased(message, store.read_preferences(message.contact), store) else came_to


def _sent_at(message: InboundMessage, now: datetime) -> datetime:
    """A clock that runs ahead must not lengthen the window; nor may a retry take the message for a later one."""
    arrived_at = min(message.arrived_at, now)
    is_past = message.sent_at <= now and message.sent_at < arrived_at + ARRIVAL_GRAIN
    return message.sent_at if is_past else arrived_at


def _store_thread(
    message: InboundMessage, *, settings: IngestSettings, store: ConversationStore, now: datetime
) -> _Stored:
    """Write the conversation and the profile."""

    def attempt() -> _Stored | None:
        thread = store.read_thread(message.contact, message.message_id)
        if _is_erased(message, thread.preferences, store):
            return _Stored("erased", None, Changed(), settings)
        if thread.known:
            return _Stored("duplicate", None, Changed(), settings)
        profile, conversation = _standing(message.contact, thread, now)
        own = _settings_of(message, profile, conversation, settings, store)
        extended = _extended(message, conversation, profile, own) if now < message.sent_at + WINDOW else None
        is_news = extended is not conversation
        write = partial(store.write_conversation, message.contact, replacing=thread.conversation)
        if extended and is_news and not write(extended):
            return None
        seen = _seen(message, profile, conversation, settings.contact_retention)
        if seen is not profile:
            _note_channels(message, store)
            if not store.write_profile(message.contact, seen, replacing=thread.profile):
                return None
        is_linked = bool(thread.preferences.linked_to(message.contact))
        has_moved = seen.timezone != profile.timezone if profile else is_linked and seen.timezone is not None
        changed = Changed(timezone=has_moved, free_text=_reopens_free_text(message, conversation))
        if extended is None:
            return _Stored("window_closed", None, Changed(), own)
        return _Stored("stored", extended, changed, own, is_linked)

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
    if not used:
        return

    def attempt() -> bool | None:
        before = store.read_preferences(contact)
        after = before.use_channels([contact.channel, *used], message.sent_at)
        return True if after is before or store.write_preferences(contact, after) else None

    retry_conflicts(attempt, "the preferences")


def _recheck_holds(contact: Contact, stored: _Stored, *, store: ConversationStore, now: datetime) -> None:
    """Make due again what waits for the changes, at each address of the person."""
    if any(stored.changed):
        for address in _addresses(contact, stored, store):
            recheck_holds(address, store=store, now=now, changed=stored.changed)


def _recheck_closing(
    message: InboundMessage,
    conversation: Conversation,
    stored: _Stored,
    *,
    store: ConversationStore,
    recheck_contact: Callable[[Contact], None],
) -> None:
    """Look again at what is due after the window closes, if the message opened the window, or followed a warning.

    Nothing else waits for the window: what is to be looked at in time is asked again by then.
    """
    if conversation.opened_by == message.message_id or conversation.warned_expires_at:
        for address in _addresses(message.contact, stored, store):
            recheck_contact(address)


def _addresses(contact: Contact, stored: _Stored, store: ConversationStore) -> list[Contact]:
    return addresses_of(contact, store) if stored.is_linked else [contact]


def _reopens_free_text(message: InboundMessage, before: Conversation | None) -> bool:
    """Whether the channel allowed only templates, and this message allows free text again."""
    free_text_for = CHANNELS[message.contact.channel].free_text_for
    return bool(free_text_for and before and before.last_inbound_at + free_text_for <= message.sent_at)


def _is_erased(message: InboundMessage, preferences: Preferences, store: ConversationStore) -> bool:
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


def _detect(message: InboundMessage) -> Detection:
    """Return the request of a message. The provider's word counts; the person's own keyword is kept if it agrees."""
    detection = detect_request(message.text, message.kind)
    return detection if message.asks in (None, detection.request) else Detection(message.asks)


def _choice(
    message: InboundMessage, at: datetime, detection: Detection, candidate: AnswerCandidate | None = None
) -> RecordChoice | None:
    """Return the opt-out, of marketing alone or of everything, or the opt-in that the message makes.

    The cause of an opt-out by CANCEL names the question that was open: the slot must not be lost with the contact.
    """
    if detection.request not in CHOICES:
        return None
    topic, allowed = CHOICES[detection.request]
    fields = {"word": detection.keyword} if detection.keyword else {"asks": str(detection.request)}
    # An opt-out may cover other channels than the one that it came by.
    cause: dict[str, Any] = {**fields, "message_id": message.message_id, "channel": message.contact.channel}
    if candidate and (question := candidate.open_question()):
        cause["open_question"] = {
            "subject_id": question.subject.id,
            "scheduled_message_id": question.scheduled_message_id,
        }
    return RecordChoice(message.contact, topic, Choice(allowed, at, cause))


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
    fields = {"locale": message.locale, "timezone": message.timezone, "display_name": message.display_name}
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


def _announce(
    message: InboundMessage, conversation: Conversation | None, detection: Detection | None, publish: Publish
) -> None:
    """Publish the conversation that this message opened, again where a crash made it come again."""
    events: list[OutEvent] = []
    if conversation and conversation.opened_by == message.message_id:
        opening, last_inbound_at = conversation.opening.capitalize(), conversation.last_inbound_at
        events.append(out_event(f"Conversation{opening}", message.contact, last_inbound_at=last_inbound_at))
    if detection and detection.possible_opt_out:
        events.append(out_event("OptOutSuspected", message.contact, message_id=message.message_id))
    if events:
        publish(events)


def record_opt_out(
    message: InboundMessage, *, store: ConversationStore, publish: Publish, clock: Clock, opt_out_scope: OptOutScope
) -> bool:
    """Store and publish the opt-out that a message makes, and nothing else of it; return whether it changed anything.

    For a function whose settings are wrong: a STOP must not wait for their correction. The message itself is handled by
    the retry.
    """
    chosen_at = _sent_at(message, clock() + CLOCK_ERROR)
    message = replace(message, sent_at=_sent_at(message, clock()))
    detection = _detect(message)
    candidate = answer_candidate(message, detection, store=store, now=clock())
    if candidate and candidate.is_cancellation(detection):
        return False
    choice = _choice(message, chosen_at, detection, candidate)
    if choice is None or choice.choice.allowed:
        return False

    def is_stored() -> bool:
        return store.read_thread(message.contact, message.message_id).known

    changed = store_choice(choice, store=store, opt_out_scope=opt_out_scope, is_repeat=is_stored)
    if changed:
        announce_choice(choice, publish)
    return changed


def _bind(
    candidate: AnswerCandidate | None,
    conversation: Conversation | None,
    choice: RecordChoice | None,
    *,
    store: ConversationStore,
    publish: Publish,
) -> Binding | None:
    """Store and publish the answer to a reminder; return ``None`` if the message is not an answer."""
    binding = candidate.bind(conversation.agent_replied_at) if candidate and conversation else None
    if candidate and binding:
        for each in binding.each:
            store_answer(each, candidate.message, store=store)
        publish([answered_event(each, candidate.message, also_opted_out=choice is not None) for each in binding.each])
    return binding


def _use_opener(
    message: InboundMessage,
    detection: Detection,
    *,
    settings: IngestSettings,
    store: ConversationStore,
    now: datetime,
    bind: Bind | None,
) -> bool:
    """Bind the sender to what the token in the message was made for. Not if the message seems to opt out."""
    if bind is None or detection.possible_opt_out or detection.request in OPT_OUTS:
        return False
    return use_opener(message, store=store, retention=settings.contact_retention, now=now, bind=bind)


def _reply(
    message: InboundMessage,
    conversation: Conversation,
    detection: Detection,
    binding: Binding | None,
    choice: RecordChoice | None,
    *,
    opened: bool,
    settings: IngestSettings,
    store: ConversationStore,
    now: datetime,
) -> ScheduledMessage | None:
    """Return our reply, if there is one; none to an old message."""
    if now >= message.sent_at + FRESH_FOR:
        return None
    if binding:
        is_acknowledged = settings.acknowledges_answers and choice is None and not binding.is_in_a_talk
        answer = {"answer": str(binding.answer or binding.why)}
        return replace(reply("answer_reply", message, now), facts=answer) if is_acknowledged else None
    if opened:
        thanks = replace(reply("answer_reply", message, now), facts={"answer": OPENED})
        return thanks if settings.acknowledges_answers else None
    reason = _reason_to_reply(message, conversation, detection, settings, store)
    return reply(reason, message, now) if reason else None


def _reason_to_reply(
    message: InboundMessage,
    conversation: Conversation,
    detection: Detection,
    settings: IngestSettings,
    store: ConversationStore,
) -> str | None:
    """Return the reason: HELP, or a person who returns and requests nothing."""
    if detection.request is Request.HELP:
        return "help_reply" if settings.answers_help else None
    comes_back = conversation.opened_by == message.message_id and conversation.opening == "restarted"
    if not comes_back or settings.welcome_back_after is None or detection.request or detection.possible_opt_out:
        return None
    return None if _was_written_to(message, store) else "welcome_back"


def _was_written_to(message: InboundMessage, store: ConversationStore) -> bool:
    """Return whether a message about an appointment went out shortly before: the person answers it, in free words."""
    sent = (row.claimed_at for row in store.sent_questions(message.contact) if row.recipient == message.contact)
    return any(at and at <= message.sent_at < at + ANSWERS_FOR for at in sent)
