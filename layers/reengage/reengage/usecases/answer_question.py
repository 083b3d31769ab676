"""Bind an inbound message to the reminder that it answers, store the answer, and publish it.

Only a message that looks like an answer costs requests. It takes one query of the contact's reminders, one read of the
person's other addresses, and one for each of the appointments.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from reengage.domain.answers import Answer, DetectedAnswer, detect_signed_answer, is_cancellation
from reengage.domain.contact import Contact
from reengage.domain.conversation import Candidate, InboundMessage, UnclearAnswer
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.keywords import Detection
from reengage.domain.message import GivenAnswer, ScheduledMessage
from reengage.domain.person import OtherAddress
from reengage.domain.questions import Binding, bind, newest_question, parse_payload
from reengage.domain.requests import Request
from reengage.domain.same_person import merge_people
from reengage.domain.subject import Subject, SubjectRef
from reengage.errors import WriteConflict
from reengage.ports import AnswerStore
from reengage.usecases.person import others_of

ANSWERING_KINDS: Final = frozenset({"text", "button", "interactive", "edit"})
"""The kinds of messages that can answer. A reaction quotes the question, digits and all. An edit is a newer message."""


@dataclass(frozen=True, slots=True)
class AnswerCandidate:
    """A message that looks like an answer, and the reminders that asked. ``now`` is the time of the read.

    ``agent_replied_at`` is when a person of the business last wrote to another address of the person.
    """

    given: Answer
    message: InboundMessage
    asked: Sequence[ScheduledMessage]
    subjects: Mapping[SubjectRef, Subject | None]
    now: datetime
    agent_replied_at: datetime | None = None
    names_someone: bool = False
    is_plain_yes: bool = False

    def bind(self, agent_replied_at: datetime | None = None) -> Binding | None:
        return bind(
            self.given,
            self.message,
            asked=self.asked,
            subjects=self.subjects,
            agent_replied_at=_latest(self.agent_replied_at, agent_replied_at),
            now=self.now,
            names_someone=self.names_someone,
            is_plain_yes=self.is_plain_yes,
        )

    def open_question(self) -> ScheduledMessage | None:
        """Return the newest message that asked about a future appointment; ``None`` if no message did.

        It counts after an answer, too: a repeated CANCEL is no opt-out.
        """
        return newest_question(self.asked, self.subjects, before=self.message.sent_at, now=self.now)

    def is_cancellation(self, detection: Detection) -> bool:
        """Return whether a STOP by a word such as CANCEL asks to cancel the appointment instead."""
        contact = self.message.contact
        return is_cancellation(
            detection,
            self.given,
            channel=contact.channel,
            address=contact.address,
            question_is_open=self.open_question() is not None,
            stopped_by_provider=self.message.asks is Request.STOP,
        )


def answer_candidate(
    message: InboundMessage, detection: Detection, *, store: AnswerStore, now: datetime
) -> AnswerCandidate | None:
    """Read the reminders that asked, if the message looks like an answer; else make no request.

    A START may be an answer, too: Twilio reports each YES as one.
    """
    button = parse_payload(message.payload)
    given, names_someone, is_plain_yes = DetectedAnswer(button[0]) if button else _detect(message)
    is_other_request = detection.request not in (None, Request.START)
    if given is None or (is_other_request and given is not Answer.CANCEL_REQUESTED):
        return None
    others, asked = read_questions(message.contact, store, now)
    subjects = _read_subjects(asked, [message.contact, *(other.contact for other in others)], store)
    agents = (other.conversation.agent_replied_at for other in others if other.conversation)
    return AnswerCandidate(given, message, asked, subjects, now, _latest(*agents), names_someone, is_plain_yes)


def _read_subjects(
    asked: Sequence[ScheduledMessage], person: Sequence[Contact], store: AnswerStore
) -> Mapping[SubjectRef, Subject | None]:
    """Read what was asked about. As for the planner, the person's addresses are one person: a booking of one counts."""
    stored = {ref: store.read_subject(ref) for ref in dict.fromkeys(row.subject for row in asked)}
    return {ref: subject and merge_people(subject, person) for ref, subject in stored.items()}


def read_questions(
    contact: Contact, store: AnswerStore, now: datetime
) -> tuple[Sequence[OtherAddress], list[ScheduledMessage]]:
    """Return the person's other addresses, and the reminders that asked at any of them: linked ones, and the number's
    other channels. The preferences name these; before the first message on a channel they are read.

    A row of one address may have been sent to another one, also to one that is no longer the person's.
    """
    asked = store.sent_questions(contact)
    thread = store.read_threads([contact])[contact]
    others = others_of(contact, thread, store, open_at=now)
    addresses = [contact, *(other.contact for other in others)]
    asked += [row for each in addresses[1:] for row in store.sent_questions(each)]
    return others, [row for row in asked if row.recipient in addresses]


def _latest(*instants: datetime | None) -> datetime | None:
    return max(filter(None, instants), default=None)


def _detect(message: InboundMessage) -> DetectedAnswer:
    if message.kind not in ANSWERING_KINDS:
        return DetectedAnswer(None)
    return detect_signed_answer(message.text, message.locale, message.display_name)


def store_answer(binding: Binding, message: InboundMessage, *, store: AnswerStore) -> None:
    """Store the answer in the row of the reminder that it answers; an unclear one answers no reminder.

    Raises ``WriteConflict`` if another answer was stored meanwhile; a retry of the event binds it anew.
    """
    if binding.answer is None or binding.message is None or binding.bound_by is None:
        return
    answer = GivenAnswer(binding.answer, message.message_id, binding.bound_by, message.sent_at)
    if binding.message.answer == answer:
        return
    if not store.record_answer(binding.message, answer):
        raise WriteConflict("the reminder's row changed while its answer was stored")


def unclear_answers(binding: Binding) -> tuple[UnclearAnswer, ...]:
    """Return what the ledger shows of an answer that changes nothing."""
    return tuple(
        UnclearAnswer(str(each.given), each.why, _candidates(each.candidates or (each.message,)), each.bound_by)
        for each in binding.each
        if each.answer is None and each.why
    )


def _candidates(messages: Iterable[ScheduledMessage | None]) -> tuple[Candidate, ...]:
    return tuple(Candidate(row.subject.id, row.scheduled_message_id) for row in messages if row)


def answered_event(binding: Binding, message: InboundMessage, *, also_opted_out: bool) -> OutEvent:
    """``AppointmentAnswered``: an unclear one has ``given``, ``why`` and the candidates."""
    unclear: dict[str, Any] = {}
    if binding.answer is None:
        candidates = [asdict(candidate) for candidate in _candidates(binding.candidates)]
        unclear = {"given": str(binding.given), "why": binding.why, "candidates": candidates or None}
    return out_event(
        "AppointmentAnswered",
        binding.message or message.contact,
        answer=str(binding.answer or "unclear"),
        message_id=message.message_id,
        bound_by=binding.bound_by,
        also_opted_out=also_opted_out,
        **unclear,
    )
