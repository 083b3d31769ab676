"""Each rule on its own, their order, and holds. A rule taken out of the table turns one of these red."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.domain.contact import Profile
from reengage.domain.conversation import WINDOW, expiry, hear
from reengage.domain.planning import planned_messages
from reengage.domain.policy import RULES, Action, Circumstances, Decision, Rule, Stop, decide, deliver_before
from reengage.domain.subject import Subject
from tests.fakes import NOON, RETENTION, business, told

STARTS = NOON + timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

_booked = business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"])
_subject = told(Subject(_booked.subject), _booked)
(_message,) = planned_messages(_subject)

ALLOWED = Circumstances(
    message=_message,
    subject=_subject,
    profile=Profile(NOON, NOON, expiry(NOON + RETENTION)),
    conversation=hear(None, heard_before=False, message_id="m1", sent_at=NOON),
    now=_message.due_at,
)
"""A reminder that may go out: each test changes what it is about."""


def _heard(event_type: str, **fields: Any) -> Subject:
    return told(_subject, business(event_type, NOON + timedelta(hours=1), **fields))


SUPERSEDED = replace(ALLOWED, subject=_heard("AppointmentRescheduled", starts_at=STARTS + timedelta(days=1)))
CANCELLED = replace(ALLOWED, subject=_heard("AppointmentCancelled", contact=None))
NEVER_HEARD = replace(ALLOWED, conversation=None, profile=None)
CLOSED = replace(ALLOWED, now=NOON + WINDOW)
TOO_LATE = replace(ALLOWED, now=STARTS)


def test_with_nothing_against_it_a_message_is_sent_with_the_facts_it_rests_on() -> None:
    assert decide(ALLOWED) == Decision(
        Action.SEND,
        None,
        {
            "decided_at": "2026-03-03T10:00:00Z",
            "last_inbound_at": "2026-03-02T12:00:00Z",
            "window_expires_at": "2026-04-01T12:00:00Z",
        },
    )


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        ("superseded", SUPERSEDED),
        ("cancelled", CANCELLED),
        ("cancelled", replace(ALLOWED, subject=None)),
        ("cancelled", replace(ALLOWED, subject=Subject(_subject.ref))),
        ("no_conversation", NEVER_HEARD),
        ("window_closed", replace(ALLOWED, conversation=None)),
        ("too_late", TOO_LATE),
    ],
)
def test_each_rule_stops_a_message_for_good(rule: str, case: Circumstances) -> None:
    decision = decide(case)
    assert (decision.action, decision.rule, decision.until) == (Action.SKIP, rule, None)


def test_every_rule_has_its_case_here() -> None:
    """The rules that CONTRACT.md asks for by now, in its order."""
    assert list(RULES) == ["superseded", "cancelled", "no_conversation", "window_closed", "too_late"]


ORDER = [SUPERSEDED, CANCELLED, NEVER_HEARD, CLOSED, TOO_LATE]


@pytest.mark.parametrize("first", range(len(ORDER) - 1))
def test_the_first_rule_that_stops_it_is_the_one_reported(first: int) -> None:
    """Each case here breaks its own rule and every later one."""
    names = list(RULES)
    late = CLOSED.now  # past the window and past the appointment
    cases = {
        "superseded": replace(NEVER_HEARD, subject=SUPERSEDED.subject, now=late),
        "cancelled": replace(NEVER_HEARD, subject=CANCELLED.subject, now=late),
        "no_conversation": replace(NEVER_HEARD, now=late),
        "window_closed": replace(ALLOWED, now=late),
    }
    assert decide(cases[names[first]]).rule == names[first]


def test_the_newest_version_that_wants_this_very_message_does_not_supersede_it() -> None:
    subject = _heard("AppointmentRescheduled", starts_at=STARTS, location="Broad St 9")
    (message,) = planned_messages(subject)
    assert decide(replace(ALLOWED, subject=subject, message=message)).action is Action.SEND
    assert decide(replace(ALLOWED, subject=subject)).rule == "superseded", "its text may be of yesterday"


def test_a_late_older_event_that_changes_the_plan_supersedes_it() -> None:
    """An older event, late, named the reminders; the newest event is the same, but wants another message now."""
    late = business("AppointmentBooked", NOON - timedelta(hours=1), starts_at=STARTS, remind_before=["PT1H"])
    newest = business("AppointmentRescheduled", NOON, starts_at=STARTS)
    before = told(Subject(newest.subject), newest)
    wanted_before = {m.step: m for m in planned_messages(before)}
    case = replace(ALLOWED, message=wanted_before["PT2H"], subject=before)
    assert decide(case).action is Action.SEND
    after = replace(case, subject=told(before, late))
    assert decide(after).rule == "superseded"


def test_a_message_of_a_subject_that_was_lost_and_began_anew_is_superseded() -> None:
    """Whatever asked for it is not known any more; the sender looks whether the subject wants it still."""
    newer = replace(ALLOWED.message, version=ALLOWED.message.version + 1)
    assert decide(replace(ALLOWED, message=newer)).rule == "superseded"


@pytest.mark.parametrize(
    ("now", "rule"),
    [(NOON + WINDOW - MICROSECOND, None), (NOON + WINDOW, "window_closed"), (NOON + WINDOW * 3, "window_closed")],
)
def test_the_window_closes_by_the_clock_not_by_ttl(now: Any, rule: str | None) -> None:
    """The item may still be there for days after its expiry."""
    useful = replace(ALLOWED.message, useful_until=NOON + WINDOW * 4)
    assert decide(replace(ALLOWED, message=useful, now=now)).rule == rule


def test_what_ttl_has_deleted_changes_no_answer() -> None:
    """Heard from 40 days ago: whether the conversation's item is still there or not, the window is closed."""
    now = NOON + timedelta(days=40)
    there = replace(ALLOWED, now=now)
    assert decide(there).rule == decide(replace(there, conversation=None)).rule == "window_closed"


def test_a_profile_past_its_retention_counts_as_never_heard_from_deleted_or_not() -> None:
    now = NOON + RETENTION
    not_deleted = replace(ALLOWED, conversation=None, now=now)
    assert decide(not_deleted).rule == decide(replace(not_deleted, profile=None)).rule == "no_conversation"
    assert decide(replace(not_deleted, now=now - MICROSECOND)).rule == "window_closed"


@pytest.mark.parametrize(("now", "rule"), [(STARTS - MICROSECOND, None), (STARTS, "too_late")])
def test_a_message_is_of_use_until_its_instant_and_not_at_it(now: Any, rule: str | None) -> None:
    decision = decide(replace(ALLOWED, now=now))
    assert decision.rule == rule
    if rule:
        assert decision.facts["useful_until"] == "2026-03-03T12:00:00Z"


def test_it_is_delivered_before_both_its_use_and_the_window_end() -> None:
    assert deliver_before(ALLOWED) == STARTS
    useful = replace(ALLOWED.message, useful_until=NOON + WINDOW * 2)
    assert deliver_before(replace(ALLOWED, message=useful)) == NOON + WINDOW


# Holds: no rule of today holds a message, so a rule of the test does


def _holding(until: Any) -> Callable[[Circumstances], Stop]:
    return lambda _case: Stop({"cap": "1/P1D"}, until)


@pytest.fixture(name="add_rule")
def _add_rule(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Rule], None]:
    return lambda name, rule: monkeypatch.setitem(RULES, name, rule)


def test_a_hold_says_until_when_and_why(add_rule: Callable[[str, Rule], None]) -> None:
    until = ALLOWED.now + timedelta(minutes=30)
    add_rule("quiet_hours", _holding(until))
    decision = decide(ALLOWED)
    assert (decision.action, decision.rule, decision.until) == (Action.HOLD, "quiet_hours", until)
    assert decision.facts["cap"] == "1/P1D"


def test_an_earlier_skip_wins_over_a_hold(add_rule: Callable[[str, Rule], None]) -> None:
    add_rule("quiet_hours", _holding(ALLOWED.now + timedelta(minutes=30)))
    assert decide(TOO_LATE).rule == "too_late"


@pytest.mark.parametrize(
    ("past", "action", "rule"),
    [(-MICROSECOND, Action.HOLD, "quiet_hours"), (timedelta(), Action.SKIP, "too_late")],
)
def test_a_hold_that_would_outlast_the_messages_use_is_a_skip_at_once(
    add_rule: Callable[[str, Rule], None], past: timedelta, action: Action, rule: str
) -> None:
    add_rule("quiet_hours", _holding(STARTS + past))
    decision = decide(ALLOWED)
    assert (decision.action, decision.rule) == (action, rule)
    if action is Action.SKIP:
        assert decision.until is None
        assert decision.facts["held_by"] == "quiet_hours"


@pytest.mark.parametrize(
    ("past", "action", "rule"),
    [(-MICROSECOND, Action.HOLD, "quiet_hours"), (timedelta(), Action.SKIP, "window_closed")],
)
def test_a_hold_that_would_outlast_the_window_is_a_skip_at_once(
    add_rule: Callable[[str, Rule], None], past: timedelta, action: Action, rule: str
) -> None:
    add_rule("quiet_hours", _holding(NOON + WINDOW + past))
    useful = replace(ALLOWED.message, useful_until=NOON + WINDOW * 2)
    decision = decide(replace(ALLOWED, message=useful))
    assert (decision.action, decision.rule) == (action, rule)
    if action is Action.SKIP:
        assert decision.facts["held_by"] == "quiet_hours"
        assert decision.facts["until"] == "2026-04-01T12:00:00Z"
