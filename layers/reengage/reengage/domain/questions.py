"""Bind an answer to the one reminder that it answers: by its button, its quote, or because one question is open.

| the person's message | result |
|---|---|
| pressed a button of ours, or quotes a reminder | the answer to that reminder |
| neither, and one question is open | the answer to that question |
| confirms, and one text asked all open questions | confirms all of them |
| several questions are open, or a person of the business wrote after the question | unclear, with the candidates |
| quotes another message while a question is open | unclear |
| the appointment has moved or was cancelled since the reminder | unclear; it applies to nothing |
| the same answer as before, and no reminder asked since | nothing |
| only "yes" after another answer, and no reminder asked since | nothing: it may be about our reply |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from .answers import Answer
from .asking import is_confirmed
from .conversation import InboundMessage
from .instants import parse_instant
from .message import ASKED, MERGED_INTO, MERGED_WITH, ScheduledMessage, State
from .subject import Subject, SubjectRef

CLOCK_GRAIN: Final = timedelta(seconds=1)
"""Providers cut the time of a message to whole seconds."""

COUNT: Final = "count"
"""The fact of our reply to an answer that is noted for several appointments."""

_UNREAD: Final = (State.SENDING, State.UNDELIVERED)
_PAYLOAD: Final = "reengage-answer"

BoundBy = Literal["button", "quote", "only_open_question"]
Why = Literal["several_open", "agent_replied", "other_message_quoted", "moved", "cancelled", "over", "unknown_question"]


@dataclass(frozen=True, slots=True)
class Binding:
    """``given`` is what the person wrote; ``answer`` is ``None`` if it is unclear, and ``why`` names the reason.

    ``message`` is the reminder that it answers; ``candidates`` are those that it may answer. ``others`` are bindings
    to other reminders that one text named together with this one.
    """

    given: Answer
    answer: Answer | None = None
    message: ScheduledMessage | None = None
    bound_by: BoundBy | None = None
    why: Why | None = None
    candidates: tuple[ScheduledMessage, ...] = ()
    others: tuple["Binding", ...] = ()

    @property
    def each(self) -> tuple["Binding", ...]:
        """Return the binding to each reminder: one text may ask about several appointments."""
        return (self, *self.others)

    @property
    def facts(self) -> dict[str, str | int]:
        """Return the facts of our reply: the answer, and the number of appointments if it is noted for several."""
        count = len({each.message.subject for each in self.each if each.answer and each.message})
        return {"answer": str(self.answer or self.why), **({COUNT: count} if count > 1 else {})}

    @property
    def is_in_a_talk(self) -> bool:
        """Whether a person of the business is in the conversation: they reply themselves."""
        return self.why in ("agent_replied", "other_message_quoted")


def newest_question(
    asked: Iterable[ScheduledMessage],
    subjects: Mapping[SubjectRef, Subject | None],
    *,
    before: datetime,
    now: datetime,
) -> ScheduledMessage | None:
    """Return the newest message that asked about an appointment to come, answered or not, and was sent before."""
    questions = _questions(_sent_before(asked, before), subjects, now)
    newest = (question.newest for question in questions if question.is_asked and question.status is None)
    return max(newest, key=_sent_at, default=None)


def payload_of(scheduled_message_id: str, answer: Answer) -> str:
    """Return the data of a button: at most 78 characters. WhatsApp allows 128, RCS 2,048."""
    return f"{_PAYLOAD} {answer} {scheduled_message_id}"


def parse_payload(payload: str | None) -> tuple[Answer, str] | None:
    """Return the answer and the scheduled message's id behind a button of ours; else ``None``."""
    parts = (payload or "").split(" ")
    if len(parts) != len(("name", "answer", "id")) or parts[0] != _PAYLOAD or parts[1] not in set(Answer):
        return None
    return Answer(parts[1]), parts[2]


def bind(
    given: Answer,
    to: InboundMessage,
    *,
    asked: Iterable[ScheduledMessage],
    subjects: Mapping[SubjectRef, Subject | None],
    agent_replied_at: datetime | None,
    now: datetime,
    names_someone: bool = False,
    is_plain_yes: bool = False,
) -> Binding | None:
    """Bind the answer; ``None`` if no question was asked, or the same answer was given before.

    ``asked`` are the contact's messages of ``ASKING_REASONS`` that were handed over, ``subjects`` what they are about.
    ``names_someone``: of several appointments in one text, it may be about that family member's alone.
    ``is_plain_yes``: it changes no answer, for it may be about our reply to that.
    """
    messages = _sent_before(asked, to.sent_at)
    questions = _questions(messages, subjects, now)
    if button := parse_payload(to.payload):
        pressed = [m for m in messages if m.scheduled_message_id == button[1]]
        return _named(given, to, _in_one_text(pressed, messages), questions, "button")
    quoted = [m for m in messages if to.quoted_message_id and m.provider_message_id == to.quoted_message_id]
    if quoted:
        bound = _named(given, to, _in_one_text(quoted, messages), questions, "quote")
    else:
        bound = _only_open(given, to, questions, agent_replied_at, is_plain_yes=is_plain_yes)
    return _of_one(bound) if bound and names_someone else bound


def _of_one(bound: Binding) -> Binding:
    """Return the binding; an unclear one if it is to several appointments, and the person named someone."""
    messages = [each.message for each in bound.each if each.answer and each.message]
    if len(messages) < 2:  # noqa: PLR2004 - one appointment is the one of the person who is named
        return bound
    return Binding(bound.given, None, None, bound.bound_by, "several_open", _without_repeats(messages))


@dataclass(frozen=True, slots=True)
class _Question:
    """All messages that asked about one appointment at one time; ``status`` is ``None`` if that is still to come.

    ``is_confirmed``: the business knows by other means that the person comes, and asks no more.
    """

    messages: tuple[ScheduledMessage, ...]
    status: Why | None
    is_confirmed: bool = False

    @property
    def newest(self) -> ScheduledMessage:
        asking = [m for m in self.messages if m.facts.get(ASKED) and m.state not in _UNREAD]
        return max(asking or self.messages, key=_sent_at)

    @property
    def is_asked(self) -> bool:
        return any(message.facts.get(ASKED) and message.state not in _UNREAD for message in self.messages)

    def answers(self, given: Answer, message_id: str) -> bool:
        """Whether ``given`` was the answer before, by another message."""
        known = [message.answer for message in self.messages if message.answer]
        newest = max(known, key=lambda answer: answer.at, default=None)
        return newest is not None and newest.answer == given and newest.message_id != message_id

    def is_open(self, message_id: str) -> bool:
        """Whether no answer came since it was last asked, other than by this message."""
        if self.is_confirmed:
            return False
        answers = [message.answer for message in self.messages if message.answer]
        return all(
            answer.message_id == message_id or answer.at + CLOCK_GRAIN < _sent_at(self.newest) for answer in answers
        )


def _sent_before(asked: Iterable[ScheduledMessage], instant: datetime) -> list[ScheduledMessage]:
    return [message for message in asked if message.claimed_at and message.claimed_at <= instant + CLOCK_GRAIN]


def _questions(
    messages: Sequence[ScheduledMessage], subjects: Mapping[SubjectRef, Subject | None], now: datetime
) -> list[_Question]:
    groups: dict[tuple[SubjectRef, datetime | None], list[ScheduledMessage]] = {}
    for message in messages:
        groups.setdefault((message.subject, message.anchor_at), []).append(message)
    return [_question(tuple(group), subjects.get(ref), now) for (ref, _), group in groups.items()]


def _question(group: tuple[ScheduledMessage, ...], subject: Subject | None, now: datetime) -> _Question:
    subject = subject.for_contact(group[0].contact) if subject else None
    return _Question(group, _status(group[0], subject, now), subject is not None and is_confirmed(subject))


def _status(message: ScheduledMessage, subject: Subject | None, now: datetime) -> Why | None:
    """Return why the message's appointment is not to come at the time that the message names."""
    track = subject.tracks.get("appointment") if subject else None
    if subject is None or track is None or subject.is_undone("appointment"):
        return "cancelled"
    starts_at = track.get("starts_at")
    if starts_at is None or message.anchor_at is None or parse_instant(starts_at) != message.anchor_at:
        return "moved"
    return None if now < message.anchor_at else "over"


def _named(
    given: Answer, to: InboundMessage, found: Sequence[ScheduledMessage], questions: Sequence[_Question], by: BoundBy
) -> Binding | None:
    if not found:
        return Binding(given, bound_by=by, why="unknown_question")
    if len(found) > 1:
        return _all_of(given, to, found, questions, by)
    message = found[0]
    question = next(each for each in questions if message in each.messages)
    if question.status:
        return Binding(given, None, message, by, question.status)
    is_repeat = question.answers(given, to.message_id) and not question.is_open(to.message_id)
    return None if is_repeat else Binding(given, given, message, by)


def _all_of(
    given: Answer, to: InboundMessage, found: Sequence[ScheduledMessage], questions: Sequence[_Question], by: BoundBy
) -> Binding | None:
    """Bind a confirmation to each appointment that one text named; any other answer does not name one."""
    to_come = [m for m in found if next(each for each in questions if m in each.messages).status is None]
    if given is not Answer.CONFIRMED and to_come:
        return Binding(given, None, None, by, "several_open", tuple(sorted(to_come, key=_next_visit)))
    bound = [binding for m in found if (binding := _named(given, to, [m], questions, by))]
    clear_first = sorted(bound, key=lambda binding: binding.answer is None)
    return replace(clear_first[0], others=tuple(clear_first[1:])) if clear_first else None


def _in_one_text(named: Sequence[ScheduledMessage], messages: Sequence[ScheduledMessage]) -> list[ScheduledMessage]:
    """Return the messages that went out in the same text as the first of ``named``."""
    if not named:
        return []
    first = named[0]
    if not {MERGED_WITH, MERGED_INTO} & first.facts.keys():
        return [first]
    return [m for m in messages if m.provider_message_id == first.provider_message_id and m.reason == first.reason]


def _only_open(
    given: Answer,
    to: InboundMessage,
    questions: Sequence[_Question],
    agent_replied_at: datetime | None,
    *,
    is_plain_yes: bool,
) -> Binding | None:
    in_time = [question for question in questions if question.status is None]
    to_come = [question for question in in_time if question.is_asked]
    if not to_come:
        return _about_a_former_time(given, to, questions)
    waiting = [question for question in to_come if question.is_open(to.message_id)]
    if not waiting and _adds_nothing(given, to, to_come, is_plain_yes=is_plain_yes):
        return None
    candidates = waiting or to_come
    named = tuple(sorted((question.newest for question in candidates), key=_next_visit))
    in_one_text = _in_one_text(named, [question.newest for question in in_time])
    confirms = given is Answer.CONFIRMED
    if not confirms and len(in_one_text) > 1:
        # The text offered only to confirm all: it may be about one that is confirmed already.
        named = _without_repeats([*named, *in_one_text])
    why = _doubt(to, named, agent_replied_at)
    if why is None:
        return Binding(given, given, named[0], "only_open_question")
    if why == "several_open" and confirms and all(message in in_one_text for message in named):
        return _all_of(given, to, named, questions, "only_open_question")
    return Binding(given, None, None, None, why, named)


def _without_repeats(messages: Sequence[ScheduledMessage]) -> tuple[ScheduledMessage, ...]:
    return tuple(sorted({message.key: message for message in messages}.values(), key=_next_visit))


def _adds_nothing(given: Answer, to: InboundMessage, questions: Sequence[_Question], *, is_plain_yes: bool) -> bool:
    """Return whether every question has this answer already, or any has an answer that a plain yes would change."""
    if is_plain_yes:
        return any(message.answer for question in questions for message in question.messages)
    return all(question.answers(given, to.message_id) for question in questions)


def _about_a_former_time(given: Answer, to: InboundMessage, questions: Sequence[_Question]) -> Binding | None:
    """Bind to a moved or cancelled appointment, if the time that the question named is not over yet."""
    former = [q for q in questions if q.is_asked and q.status in ("moved", "cancelled")]
    old = [q.newest for q in former if _is_to_come(q.newest, to.sent_at)]
    newest = max(old, key=_sent_at, default=None)
    status = next((q.status for q in former if newest in q.messages), None)
    return Binding(given, None, newest, None, status) if newest else None


def _next_visit(message: ScheduledMessage) -> tuple[datetime, str]:
    """Of several candidates, the visit that comes first is named first."""
    assert message.anchor_at
    return message.anchor_at, message.subject.id


def _doubt(to: InboundMessage, candidates: Sequence[ScheduledMessage], agent_replied_at: datetime | None) -> Why | None:
    """Return why the answer may be about something else."""
    if to.quoted_message_id and to.contact.channel != "sms":  # AWS names the last message to a number: no quote
        return "other_message_quoted"
    if agent_replied_at and any(_sent_at(message) <= agent_replied_at <= to.sent_at for message in candidates):
        return "agent_replied"
    return "several_open" if len(candidates) > 1 else None


def _is_to_come(message: ScheduledMessage, now: datetime) -> bool:
    return message.anchor_at is not None and now < message.anchor_at


def _sent_at(message: ScheduledMessage) -> datetime:
    assert message.claimed_at is not None
    return message.claimed_at
