"""A scheduled message's key and name, and the order of its states."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from reengage.domain.message import ERROR_BYTES, FOLLOWS, ScheduledMessage, State, bounded_id, brief
from reengage.domain.policy import RULES
from reengage.domain.reasons import REASONS
from reengage.domain.subject import SubjectRef
from tests.cases import each_of
from tests.fakes import ANNA, NOON

MESSAGE = ScheduledMessage(
    contact=ANNA,
    reason="appointment_reminder",
    subject=SubjectRef("acme-dental", "appointment", "A-1001"),
    offset="PT2H",
    anchor_at=NOON,
    due_at=NOON - timedelta(hours=2),
    valid_until=NOON,
    version=7,
)


def test_one_instant_in_two_zones_is_one_row() -> None:
    elsewhere = replace(MESSAGE, anchor_at=NOON.astimezone(timezone(timedelta(hours=9))))
    assert elsewhere.key == MESSAGE.key
    assert elsewhere.scheduled_message_id == MESSAGE.scheduled_message_id


def test_each_key_field_makes_another_row() -> None:
    others = [
        replace(MESSAGE, contact=replace(ANNA, channel="rcs")),
        replace(MESSAGE, reason="trial_follow_up"),
        replace(MESSAGE, subject=SubjectRef("acme-dental", "appointment", "A-1002")),
        replace(MESSAGE, offset="P1D"),
        replace(MESSAGE, anchor_at=NOON + timedelta(microseconds=1)),
    ]
    assert len({message.key for message in [MESSAGE, *others]}) == 6


def test_a_message_that_comes_once_is_one_row_whenever_it_is_due() -> None:
    """A cart that is abandoned again has another instant, and plans no second message."""
    once = replace(MESSAGE, reason="cart_reminder", anchor_at=None)
    assert replace(once, due_at=NOON + timedelta(days=1)).key == once.key
    assert once.key.sk == "SCHEDULED#cart_reminder#A-1001#PT2H#once"
    assert once.key != replace(once, anchor_at=NOON).key


def test_a_subject_id_cannot_pretend_to_be_another_row() -> None:
    """An id is the business's own text, and may contain the separator of the key."""
    step, about = MESSAGE.key.sk.rsplit("#", 2)[1:]
    for subject_id in (f"A-1001#{step}#{about}", "A-1001#", "#", "A#P1D"):
        message = replace(MESSAGE, subject=SubjectRef("acme-dental", "appointment", subject_id))
        assert message.key.sk.split("#", 2)[2].rsplit("#", 2) == [subject_id, step, about]


def test_repeated_plan_gives_the_same_message_id() -> None:
    assert replace(MESSAGE, attempts=3, state=State.SENT).scheduled_message_id == MESSAGE.scheduled_message_id
    assert replace(MESSAGE, version=8).scheduled_message_id != MESSAGE.scheduled_message_id


def test_states_only_move_forward() -> None:
    for state, before in FOLLOWS.items():
        assert State.SCHEDULED not in before, "only a claimed message can end"
        assert state not in (State.SCHEDULED, State.SENDING)
        assert before.isdisjoint({State.SKIPPED, State.FAILED, State.DELIVERED, State.UNDELIVERED})
    assert set(FOLLOWS) == set(State) - {State.SCHEDULED, State.SENDING}


@each_of("rule", RULES)
def test_withdrawn_is_what_was_skipped_because_of_its_subject(rule: str) -> None:
    """Only such a row is replaced by a newer plan: one that the person's choice skipped stays skipped."""
    withdrawn = rule in ("superseded", "cancelled")
    assert replace(MESSAGE, state=State.SKIPPED, rule=rule).is_withdrawn == withdrawn
    assert not replace(MESSAGE, state=State.SCHEDULED, rule=rule).is_withdrawn


@each_of("reason", REASONS)
def test_a_message_goes_by_the_terms_of_its_reason(reason: str) -> None:
    message = replace(MESSAGE, reason=reason)
    assert message.reason_spec is REASONS[reason]
    assert message.send_group == REASONS[reason].send_group


def test_planning_time_and_claim_do_not_change_the_message_id() -> None:
    other = replace(MESSAGE, planned_at=NOON, due_at=NOON, valid_until=NOON, claim_id="c", rule="quiet_hours")
    assert (other.key, other.scheduled_message_id) == (MESSAGE.key, MESSAGE.scheduled_message_id)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        ("Throttled", "Throttled"),
        ("x" * 150, "x" * 150),
        ("x" * 151, "x" * 150),
        ("ä" * 76, "ä" * 75),
        ("x" + "ä" * 75, "x" + "ä" * 74),
    ],
)
def test_an_error_is_kept_in_the_bytes_that_a_row_has_for_it(error: str, kept: str) -> None:
    assert brief(error) == kept
    assert ERROR_BYTES == 150


def test_a_providers_id_is_kept_short_and_valid() -> None:
    assert bounded_id("SM" + "0" * 32) == "SM" + "0" * 32
    assert bounded_id("x" * 60_000) == "x" * 128
    assert bounded_id("a\ud800b") == "a?b"
