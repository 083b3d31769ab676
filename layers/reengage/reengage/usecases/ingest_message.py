"""A person wrote: what they ask for comes first, then their window moves on, and who comes back is greeted."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.keywords import Detection, detect_request
from reengage.domain.message import ScheduledMessage
from reengage.domain.openers import OPENED
from reengage.domain.person import other_channels
from reengage.domain.planning import reply
from reengage.domain.preferences import Choice, OptOutScope, Topic
from reengage.domain.questions import Binding
from reengage.domain.requests import Request
from reengage.ports import Clock, ConversationStore, Publish
from reengage.usecases.answer_question import (
    AnswerCandidate,
    answer_candidate,
    answered_event,
    read_questions,
    store_answer,
    unclear_answers,
)
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.openers import Bind, use_opener
from reengage.usecases.person import addresses_of
from reengage.usecases.recheck_window import recheck_holds
from reengage.usecases.record_choice import announce_choice, store_choice
from reengage.usecases.store_thread import Ingested, StoredThread, is_erased, store_thread

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


def ingest_message(
    message: InboundMessage,
    *,
    settings: IngestSettings,
    store: ConversationStore,
    publish: Publish,
    clock: Clock,
    send_now: Callable[[ScheduledMessage], None],
    recheck_contacts: Callable[[Iterable[Contact]], None],
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
    stored = store_thread(message, settings=settings, store=store, now=now)
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
        _recheck_closing(message, conversation, stored, store=store, recheck_contacts=recheck_contacts)
        opened = _use_opener(message, detection, settings=settings, store=store, now=now, bind=bind)
        if answer := _reply(
            message, conversation, detection, binding, choice, opened=opened, settings=settings, store=store, now=now
        ):
            # An erasure takes what the message led to along with the message.
            send_now(replace(answer, planned_at=message.sent_at))
        unclear = unclear_answers(binding) if binding else ()
        store.write_message(replace(message, unclear=unclear), expires_at=expiry(message.sent_at + WINDOW))
    # An erasure that came in between has not seen what was written since.
    return "erased" if is_erased(message, store.read_preferences(message.contact), store) else came_to


def _sent_at(message: InboundMessage, now: datetime) -> datetime:
    """A clock that runs ahead must not lengthen the window; nor may a retry take the message for a later one."""
    arrived_at = min(message.arrived_at, now)
    is_past = message.sent_at <= now and message.sent_at < arrived_at + ARRIVAL_GRAIN
    return message.sent_at if is_past else arrived_at


def _recheck_holds(contact: Contact, stored: StoredThread, *, store: ConversationStore, now: datetime) -> None:
    """Make due again what waits for the changes, at each address of the person."""
    if any(stored.changed):
        channels = other_channels(contact) if stored.changed.timezone else []
        for address in dict.fromkeys([*_addresses(contact, stored, store), *channels]):
            recheck_holds(address, store=store, now=now, changed=stored.changed)


def _recheck_closing(
    message: InboundMessage,
    conversation: Conversation,
    stored: StoredThread,
    *,
    store: ConversationStore,
    recheck_contacts: Callable[[Iterable[Contact]], None],
) -> None:
    """Look again at what is due after the window closes, if the message opened the window, or followed a warning.

    Nothing else waits for the window: what is to be looked at in time is asked again by then.
    """
    if conversation.opened_by == message.message_id or conversation.warned_expires_at:
        recheck_contacts([*_addresses(message.contact, stored, store), *other_channels(message.contact)])


def _addresses(contact: Contact, stored: StoredThread, store: ConversationStore) -> list[Contact]:
    return addresses_of(contact, store) if stored.is_linked else [contact]


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
    if candidate and not allowed and (question := candidate.open_question()):
        cause["open_question"] = {
            "subject_id": question.subject.id,
            "scheduled_message_id": question.scheduled_message_id,
        }
    return RecordChoice(message.contact, topic, Choice(allowed, at, cause))


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
        opts_out = _is_opt_out(choice)
        publish([answered_event(each, candidate.message, also_opted_out=opts_out) for each in binding.each])
    return binding


def _is_opt_out(choice: RecordChoice | None) -> bool:
    return choice is not None and not choice.choice.allowed


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
        is_acknowledged = settings.acknowledges_answers and not _is_opt_out(choice) and not binding.is_in_a_talk
        return replace(reply("answer_reply", message, now), facts=binding.facts) if is_acknowledged else None
    if opened:
        thanks = replace(reply("answer_reply", message, now), facts={"answer": OPENED})
        return thanks if settings.acknowledges_answers else None
    reason = _reason_to_reply(message, conversation, detection, settings=settings, store=store, now=now)
    return reply(reason, message, now) if reason else None


def _reason_to_reply(
    message: InboundMessage,
    conversation: Conversation,
    detection: Detection,
    *,
    settings: IngestSettings,
    store: ConversationStore,
    now: datetime,
) -> str | None:
    """Return the reason: HELP, or a person who returns and requests nothing."""
    if detection.request is Request.HELP:
        return "help_reply" if settings.answers_help else None
    comes_back = conversation.opened_by == message.message_id and conversation.opening == "restarted"
    if not comes_back or settings.welcome_back_after is None or detection.request or detection.possible_opt_out:
        return None
    return None if _was_written_to(message, store, now) else "welcome_back"


def _was_written_to(message: InboundMessage, store: ConversationStore, now: datetime) -> bool:
    """Return whether a message about an appointment went out shortly before: the person answers it, in free words."""
    sent = (row.claimed_at for row in read_questions(message.contact, store, now)[1])
    return any(at and at <= message.sent_at < at + ANSWERS_FOR for at in sent)
