"""Which reminder an answer is bound to: by button, by quote, or because one question is open; never by guess."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.answers import Answer
from reengage.domain.asking import asks_for_answer
from reengage.domain.brand import Brand
from reengage.domain.conversation import InboundMessage
from reengage.domain.message import ASKED, GivenAnswer, ScheduledMessage, State
from reengage.domain.planning import planned_messages
from reengage.domain.questions import (
    Binding,
    bind,
    newest_question,
    parse_payload,
    payload_of,
)
from reengage.domain.reasons import ASKING_REASONS, REASONS
from reengage.domain.subject import Subject, SubjectRef
from tests.cases import each_of
from tests.fakes import ANNA, NOON, apply_events, business, inbound

DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
YES, NO, OTHER = Answer


def appointment(subject_id: str = "A-1", starts_at: datetime = NOON + DAY) -> Subject:
    event = business("AppointmentBooked", NOON - DAY, subject_id=subject_id, starts_at=starts_at)
    return apply_events(Subject(event.subject), event)


def asked(subject: Subject, at: datetime = NOON, number: int = 0, **changes: Any) -> ScheduledMessage:
    """The subject's reminder, sent at that instant with a question."""
    message = [m for m in planned_messages(subject) if m.reason == "appointment_reminder"][number]
    sent = replace(
        message, state=State.SENT, claimed_at=at, settled_at=at, facts={ASKED: True}, provider_message_id=f"P{at}"
    )
    return replace(sent, **changes)


def answered(message: ScheduledMessage, answer: Answer, at: datetime, message_id: str = "earlier") -> ScheduledMessage:
    return replace(message, answer=GivenAnswer(answer, message_id, "only_open_question", at))


def bound(
    given: Answer,
    messages: list[ScheduledMessage],
    *subjects: Subject,
    agent_replied_at: datetime | None = None,
    channel: str = "whatsapp",
    minutes: int = 10,
    **message: Any,
) -> Binding | None:
    now = NOON + minutes * MINUTE
    to: InboundMessage = inbound(now, contact=replace(ANNA, channel=channel), **message)
    known = {subject.ref: subject for subject in subjects}
    return bind(given, to, asked=messages, subjects=known, agent_replied_at=agent_replied_at, now=now)


def test_one_open_question_is_answered() -> None:
    subject = appointment()
    message = asked(subject)
    assert bound(YES, [message], subject) == Binding(YES, YES, message, "only_open_question")


def test_no_question_no_answer() -> None:
    subject = appointment()
    assert bound(YES, [], subject) is None
    assert bound(YES, [asked(subject, facts={})], subject) is None


def test_two_open_questions_are_unclear() -> None:
    one, two = appointment("A-1"), appointment("A-2")
    messages = [asked(one), asked(two, NOON + MINUTE)]
    assert bound(YES, messages, one, two) == Binding(YES, why="several_open", candidates=tuple(messages))


def test_two_reminders_of_one_visit_are_one_question() -> None:
    subject = appointment()
    first, second = asked(subject), asked(subject, NOON + MINUTE, number=1)
    assert bound(NO, [first, second], subject) == Binding(NO, NO, second, "only_open_question")


@pytest.mark.parametrize("number", [0, 1])
def test_a_button_names_its_own_reminder(number: int) -> None:
    subjects = [appointment("A-1"), appointment("A-2")]
    messages = [asked(subject) for subject in subjects]
    payload = payload_of(messages[number].scheduled_message_id, NO)
    assert bound(NO, messages, *subjects, payload=payload) == Binding(NO, NO, messages[number], "button")


@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_quote_names_its_own_reminder(number: int, channel: str) -> None:
    subjects = [appointment("A-1"), appointment("A-2")]
    messages = [asked(subject, NOON + n * MINUTE) for n, subject in enumerate(subjects)]
    quoted = messages[number].provider_message_id
    found = bound(OTHER, messages, *subjects, channel=channel, quoted_message_id=quoted)
    assert found == Binding(OTHER, OTHER, messages[number], "quote")


def test_a_quote_of_another_message_is_unclear() -> None:
    subject = appointment()
    message = asked(subject)
    found = bound(YES, [message], subject, quoted_message_id="wamid.agent")
    assert found == Binding(YES, why="other_message_quoted", candidates=(message,))


def test_the_last_message_to_a_number_is_no_quote() -> None:
    """AWS names with each SMS the last message to its sender: after a receipt of another kind, "1" was unclear."""
    subject = appointment()
    found = bound(YES, [asked(subject)], subject, channel="sms", quoted_message_id="another")
    assert found is not None
    assert found.answer is YES


@pytest.mark.parametrize(("after", "why"), [(-1, None), (0, "agent_replied"), (5, "agent_replied"), (11, None)])
def test_a_person_of_the_business_in_between(after: int, why: str | None) -> None:
    subject = appointment()
    found = bound(YES, [asked(subject)], subject, agent_replied_at=NOON + after * MINUTE)
    assert found is not None
    assert (found.why, found.answer) == (why, None if why else YES)


def test_a_button_counts_in_a_talk_too() -> None:
    subject = appointment()
    message = asked(subject)
    payload = payload_of(message.scheduled_message_id, YES)
    found = bound(YES, [message], subject, agent_replied_at=NOON + MINUTE, payload=payload)
    assert found == Binding(YES, YES, message, "button")


@pytest.mark.parametrize("by", ["button", "quote", None])
@pytest.mark.parametrize(("event", "why"), [("AppointmentRescheduled", "moved"), ("AppointmentCancelled", "cancelled")])
def test_an_answer_to_another_version_applies_to_none(by: str | None, event: str, why: str) -> None:
    subject = appointment()
    message = asked(subject)
    fields: dict[str, Any] = {"starts_at": NOON + 2 * DAY} if why == "moved" else {}
    changed = apply_events(subject, business(event, NOON + MINUTE, subject_id="A-1", **fields))
    ways = {
        "button": {"payload": payload_of(message.scheduled_message_id, YES)},
        "quote": {"quoted_message_id": message.provider_message_id},
    }
    how: Any = ways.get(by or "", {})
    expected: Any = (by, why)
    assert bound(YES, [message], changed, **how) == Binding(YES, None, message, *expected)


def test_an_answer_after_the_visit_is_none() -> None:
    subject = appointment(starts_at=NOON + MINUTE)
    message = asked(subject)
    assert bound(YES, [message], subject) is None
    payload = payload_of(message.scheduled_message_id, YES)
    assert bound(YES, [message], subject, payload=payload) == Binding(YES, None, message, "button", "over")


def test_a_button_of_no_known_reminder_is_unclear() -> None:
    found = bound(YES, [], payload=payload_of("gone", YES))
    assert found == Binding(YES, None, None, "button", "unknown_question")


def test_the_same_answer_counts_once() -> None:
    subject = appointment()
    message = answered(asked(subject), YES, NOON + MINUTE)
    assert bound(YES, [message], subject) is None
    assert bound(YES, [message], subject, payload=payload_of(message.scheduled_message_id, YES)) is None


def test_a_repeat_of_the_answers_own_message_is_bound_again() -> None:
    """A crash after the answer was stored must not lose its event."""
    subject = appointment()
    message = answered(asked(subject), YES, NOON + 10 * MINUTE, message_id="SM-7")
    assert bound(YES, [message], subject, message_id="SM-7") == Binding(YES, YES, message, "only_open_question")


def test_a_changed_answer_counts() -> None:
    subject = appointment()
    message = answered(asked(subject), YES, NOON + MINUTE)
    assert bound(NO, [message], subject) == Binding(NO, NO, message, "only_open_question")


def test_an_answered_question_leaves_the_other_open() -> None:
    one, two = appointment("A-1"), appointment("A-2")
    messages = [answered(asked(one), YES, NOON + MINUTE), asked(two, NOON + 2 * MINUTE)]
    assert bound(NO, messages, one, two) == Binding(NO, NO, messages[1], "only_open_question")


def test_a_question_that_is_asked_again_is_open_again() -> None:
    """A later reminder of the first visit asks again: "1" may answer it, or the other visit's question."""
    one, two = appointment("A-1"), appointment("A-2")
    first, again = answered(asked(one), YES, NOON + MINUTE), asked(one, NOON + 3 * MINUTE, number=1)
    found = bound(YES, [first, asked(two, NOON + 2 * MINUTE), again], one, two)
    assert found is not None
    assert (found.why, len(found.candidates)) == ("several_open", 2)


def test_a_button_of_a_later_reminder_answers_again() -> None:
    """The digit of a second reminder was published, and its button was not."""
    one = appointment("A-1")
    first, again = answered(asked(one), YES, NOON + MINUTE), asked(one, NOON + 3 * MINUTE, number=1)
    payload = payload_of(again.scheduled_message_id, YES)
    assert bound(YES, [first, again], one, payload=payload) == Binding(YES, YES, again, "button")
    again = answered(again, YES, NOON + 4 * MINUTE)
    assert bound(YES, [first, again], one, payload=payload) is None


@pytest.mark.parametrize("state", [State.SENDING, State.UNDELIVERED])
def test_a_message_that_was_not_read_asks_nothing(state: State) -> None:
    subject = appointment()
    message = asked(subject, state=state)
    assert bound(YES, [message], subject) is None
    payload = payload_of(message.scheduled_message_id, YES)
    assert bound(YES, [message], subject, payload=payload) == Binding(YES, YES, message, "button")


def test_a_message_sent_before_the_question_is_no_answer() -> None:
    subject = appointment()
    assert bound(YES, [asked(subject, NOON + 20 * MINUTE)], subject) is None


def test_newest_question_counts_after_its_answer() -> None:
    """CANCEL that came twice was an opt-out at the second time."""
    subject = appointment()
    message = answered(asked(subject), NO, NOON + MINUTE)
    known = {subject.ref: subject}
    assert newest_question([message], known, before=NOON + DAY / 2, now=NOON + DAY / 2) == message
    assert newest_question([message], known, before=NOON + DAY, now=NOON + DAY) is None
    assert newest_question([], {}, before=NOON, now=NOON) is None


@pytest.mark.parametrize("answer", Answer)
def test_payloads_are_read_back(answer: Answer) -> None:
    payload = payload_of("6aa4212b-dbba-567f-abc4-54615ba6e522", answer)
    assert parse_payload(payload) == (answer, "6aa4212b-dbba-567f-abc4-54615ba6e522")
    assert len(payload) <= 128


@pytest.mark.parametrize(
    "payload", [None, "", "STOP", "reengage-answer", "reengage-answer maybe x", "other confirmed x"]
)
def test_another_payload_is_no_answer(payload: str | None) -> None:
    assert parse_payload(payload) is None


def test_a_confirmed_visit_is_asked_about_no_more() -> None:
    subject = appointment()
    message = asked(subject)
    assert asks_for_answer(message, subject, None)
    assert not asks_for_answer(message, subject, Brand("acme-dental", ask_for_answers=False))
    assert not asks_for_answer(message, None, None)
    confirmed = apply_events(subject, business("AppointmentConfirmed", NOON, subject_id="A-1"))
    assert not asks_for_answer(message, confirmed, None)
    moved = business("AppointmentRescheduled", NOON + MINUTE, subject_id="A-1", starts_at=NOON + 2 * DAY)
    assert asks_for_answer(message, apply_events(confirmed, moved), None)


@each_of("reason", sorted(set(REASONS) - set(ASKING_REASONS)))
def test_other_reasons_ask_nothing(reason: str) -> None:
    subject = appointment()
    assert not asks_for_answer(replace(asked(subject), reason=reason), subject, None)


def test_another_contacts_button_binds_nothing() -> None:
    subject = replace(appointment(), ref=SubjectRef("acme-dental", "appointment", "A-9"))
    found = bound(YES, [], subject, payload=payload_of(asked(appointment()).scheduled_message_id, YES))
    assert found is not None
    assert found.answer is None
