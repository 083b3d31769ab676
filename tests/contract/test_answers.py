"""What was asked of a contact, and the answer that a reminder's row keeps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.domain.message import HANDED_OVER, GivenAnswer, State
from reengage.usecases.explain import explain
from tests.contract.samples import ANNA, BEN, NOW, brought, claimed, reminder
from tests.contract.stores import Harness

ANSWER = GivenAnswer("confirmed", "wamid.7", "quote", NOW)
CHANGED = GivenAnswer("cancel_requested", "wamid.8", "only_open_question", NOW + timedelta(minutes=1))


@pytest.mark.parametrize("state", State)
def test_questions_are_the_messages_handed_over(harness: Harness, state: State) -> None:
    message = brought(harness.store, state)
    assert harness.store.sent_questions(ANNA) == ([message] if state in HANDED_OVER else [])
    assert harness.store.sent_questions(BEN) == []


def test_other_reasons_are_no_questions(harness: Harness) -> None:
    harness.store.write_plan(reminder(reason="online_check_in"), at=NOW)
    claimed(harness.store, reminder(reason="online_check_in"))
    assert harness.store.sent_questions(ANNA) == []


@pytest.mark.parametrize("state", State)
def test_messages_that_name_a_time_and_were_handed_over(harness: Harness, state: State) -> None:
    message = brought(harness.store, state)
    check_in = claimed(harness.store, reminder(reason="online_check_in"))
    claimed(harness.store, reminder(contact=BEN))
    expected = [check_in, message] if state in HANDED_OVER else [check_in]
    found = harness.store.sent_about_appointments(ANNA)
    assert sorted(found, key=lambda row: row.key) == sorted(expected, key=lambda row: row.key)


@pytest.mark.parametrize("state", State)
def test_an_answer_is_stored_with_a_message_handed_over(harness: Harness, state: State) -> None:
    message = brought(harness.store, state)
    assert harness.store.record_answer(message, ANSWER) is (state in HANDED_OVER)
    stored = harness.store.read_message(message.key)
    assert stored == (replace(message, answer=ANSWER) if state in HANDED_OVER else message)


def test_a_changed_answer_replaces_the_one_that_was_read(harness: Harness) -> None:
    message = brought(harness.store, State.SENT)
    assert harness.store.record_answer(message, ANSWER)
    assert not harness.store.record_answer(message, CHANGED)
    assert harness.store.record_answer(replace(message, answer=ANSWER), CHANGED)
    assert harness.store.read_message(message.key) == replace(message, answer=CHANGED)


def test_an_answer_to_another_version_is_not_stored(harness: Harness) -> None:
    message = brought(harness.store, State.SENT)
    assert not harness.store.record_answer(replace(message, version=9), ANSWER)
    assert not harness.store.record_answer(reminder(offset="PT2H"), ANSWER)
    assert harness.store.read_message(message.key) == message


def test_a_receipt_keeps_the_answer(harness: Harness) -> None:
    message = brought(harness.store, State.SENT)
    assert harness.store.record_answer(message, ANSWER)
    assert harness.store.record_receipt(replace(message, state=State.DELIVERED, settled_at=NOW))
    assert harness.store.sent_questions(ANNA)[0].answer == ANSWER


def test_an_explanation_shows_the_answer(harness: Harness) -> None:
    assert harness.store.record_answer(brought(harness.store, State.SENT), ANSWER)
    entries = explain(ANNA, store=harness.store, clock=lambda: NOW)["entries"]
    shown = [entry["answer"] for entry in entries if "answer" in entry]
    assert shown == [
        {"answer": "confirmed", "bound_by": "quote", "message_id": "wamid.7", "at": "2026-11-30T08:00:00.123456Z"}
    ]


def test_an_erasure_takes_the_answer(harness: Harness) -> None:
    assert harness.store.record_answer(brought(harness.store, State.SENT), ANSWER)
    harness.store.erase(ANNA, until=NOW + timedelta(days=1))
    assert harness.store.sent_questions(ANNA) == []
