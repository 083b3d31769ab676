"""The plan for a message that is due only after the window has closed, as it is known now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW, extend
from reengage.domain.parameters import WhenWindowWillClose
from reengage.domain.planning import earliest, planned_messages
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.preferences import EVERYWHERE, Choice, Preferences, Topic
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import REASONS
from reengage.domain.subject import BusinessEvent, Subject
from reengage.domain.window_closing import CLOSING_MARGIN, ClosingPlan, plan_for_closing
from tests.cases import each_of
from tests.fakes import ANNA, NOON, business

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
CLOSES: Final = NOON + WINDOW
BERLIN: Final = ZoneInfo("Europe/Berlin")
NIGHT: Final = QuietHours.parse("20:00-09:00")
SATELLITE: Final = Contact("acme-dental", "sms", "+881612345678")
"""A number of no country: it has no zone."""


def a_trial(**fields: Any) -> BusinessEvent:
    return business("TrialStarted", **{"ends_at": CLOSES, "product": "Pro", "follow_up": ["P1D"], **fields})


def case(
    event: BusinessEvent,
    when: WhenWindowWillClose,
    *,
    now: datetime = NOON,
    written_at: datetime = NOON,
    step: int = 0,
    **settings: Any,
) -> PolicyInput:
    """Return one of the event's messages, by default the first."""
    subject = Subject(event.subject).apply(event)
    return PolicyInput(
        message=planned_messages(subject)[step],
        subject=subject,
        profile=None,
        conversation=extend(None, is_known_contact=False, message_id="m1", sent_at=written_at),
        now=now,
        settings=PolicySettings(when_window_will_close=when, **settings),
    )


def seen(of: PolicyInput) -> ClosingPlan:
    return plan_for_closing(of, of.message.due_at)


def test_a_message_that_is_due_while_the_window_is_open_is_due() -> None:
    for when in ("wait", "pull_forward", "warn"):
        within = case(a_trial(ends_at=CLOSES - DAY - timedelta(microseconds=1)), when)
        assert seen(within) == ClosingPlan(CLOSES - timedelta(microseconds=1), "due")


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("wait", ClosingPlan(CLOSES, "due")),
        ("pull_forward", ClosingPlan(CLOSES - HOUR, "pull_forward")),
        ("warn", ClosingPlan(CLOSES - DAY, "warn")),
    ],
)
def test_message_due_at_the_end_of_the_window_is_after_it(when: WhenWindowWillClose, expected: ClosingPlan) -> None:
    assert seen(case(a_trial(ends_at=CLOSES - DAY), when)) == expected


@pytest.mark.parametrize("when", ["pull_forward", "warn"])
def test_closed_window_has_no_closing_plan(when: WhenWindowWillClose) -> None:
    after = case(a_trial(), when, now=CLOSES)
    assert seen(after) == ClosingPlan(CLOSES + DAY, "due")
    assert seen(replace(after, conversation=None)) == ClosingPlan(CLOSES + DAY, "due")


@each_of(
    ("topic", "event", "waits"),
    [
        ("contact", a_trial(), True),
        ("marketing", a_trial(), True),
        ("contact", business("AppointmentBooked", starts_at=CLOSES + 2 * DAY), True),
        ("marketing", business("AppointmentBooked", starts_at=CLOSES + 2 * DAY), False),
    ],
)
@each_of("when", ["pull_forward", "warn"])
def test_opted_out_contact_gets_no_closing_plan(
    topic: Topic, event: BusinessEvent, waits: bool, when: WhenWindowWillClose
) -> None:
    refused = Preferences().apply(topic, EVERYWHERE, Choice(allowed=False, at=NOON, cause={}))
    assert (seen(replace(case(event, when), preferences=refused)).why == "due") is waits


def test_action_of_a_reason_overrides_the_default() -> None:
    own: dict[str, WhenWindowWillClose] = {"trial_follow_up": "warn"}
    assert seen(case(a_trial(), "wait", when_closing_for=own)).why == "warn"
    assert seen(case(a_trial(), "pull_forward", when_closing_for={"trial_follow_up": "wait"})).why == "due"
    assert seen(case(a_trial(), "pull_forward", when_closing_for={"cart_reminder": "wait"})).why == "pull_forward"


@pytest.mark.parametrize(
    ("way", "for_one", "looks"),
    [
        ("wait", {}, False),
        ("wait", {"cart_reminder": "wait"}, False),
        ("wait", {"cart_reminder": "warn"}, True),
        ("warn", {"cart_reminder": "wait"}, True),
        ("pull_forward", {}, True),
    ],
)
def test_it_looks_ahead_where_that_matters_for_any_reason(
    way: WhenWindowWillClose, for_one: dict[str, WhenWindowWillClose], looks: bool
) -> None:
    assert PolicySettings(when_window_will_close=way, when_closing_for=for_one).plans_for_closing is looks


def test_a_warning_comes_its_notice_before_the_end_or_at_once() -> None:
    assert seen(case(a_trial(), "warn", closing_notice=2 * HOUR)).at == CLOSES - 2 * HOUR
    assert seen(case(a_trial(), "warn", now=CLOSES - HOUR)).at == CLOSES - HOUR


def test_who_was_warned_is_not_warned_again() -> None:
    of = case(a_trial(), "warn")
    assert of.conversation
    warned = replace(of, conversation=replace(of.conversation, warned_expires_at=of.conversation.expires_at))
    assert seen(warned) == ClosingPlan(CLOSES + DAY, "due")
    before = replace(of, conversation=replace(of.conversation, warned_expires_at=of.conversation.expires_at - 60))
    assert seen(before).why == "warn", "that was of an earlier end"
    pulls = replace(warned, settings=PolicySettings(when_window_will_close="pull_forward"))
    assert seen(pulls).why == "pull_forward", "though it may still be sent before"


@pytest.mark.parametrize(
    ("now", "at"),
    [
        (NOON, CLOSES - HOUR),
        (CLOSES - HOUR, CLOSES - HOUR),
        (CLOSES - HOUR + MINUTE, CLOSES - HOUR + MINUTE),
        (CLOSES - timedelta(microseconds=1), CLOSES - timedelta(microseconds=1)),
    ],
)
def test_it_is_pulled_to_an_hour_before_the_end_or_to_now(now: datetime, at: datetime) -> None:
    assert CLOSING_MARGIN == HOUR
    assert seen(case(a_trial(), "pull_forward", now=now)) == ClosingPlan(at, "pull_forward")


@pytest.mark.parametrize(
    ("event", "not_before"),
    [
        (a_trial(ends_at=CLOSES + 7 * DAY - MINUTE), CLOSES - MINUTE),
        (business("AppointmentBooked", starts_at=CLOSES + 7 * DAY - MINUTE), CLOSES - MINUTE),
        (business("ProductViewed", CLOSES - 90 * MINUTE, subject_id="P-1", name="Shoe"), CLOSES - 30 * MINUTE),
        (
            business(
                "CartAbandoned", CLOSES - 90 * MINUTE, subject_id="C-1", items=["Shoe"], cart_url="https://a.example"
            ),
            CLOSES - 30 * MINUTE,
        ),
        (business("OrderDelivered", CLOSES - DAY - 30 * MINUTE, subject_id="O-1"), CLOSES - 30 * MINUTE),
    ],
)
def test_it_is_pulled_no_further_than_its_reason_allows(event: BusinessEvent, not_before: datetime) -> None:
    assert seen(case(event, "pull_forward")) == ClosingPlan(not_before, "pull_forward")


@pytest.mark.parametrize(
    "event",
    [
        a_trial(ends_at=CLOSES + 7 * DAY),
        business("AppointmentBooked", starts_at=CLOSES + 7 * DAY),
        business("ProductViewed", CLOSES - HOUR, subject_id="P-1", name="Shoe"),
        business("OrderDelivered", CLOSES - DAY, subject_id="O-1"),
        business(
            "AppointmentBooked",
            starts_at=CLOSES + DAY,
            check_in_url="https://a.example",
            remind_before=[],
            check_in_before="PT1H",
        ),
    ],
)
def test_business_is_warned_if_the_reason_is_due_after_the_end(event: BusinessEvent) -> None:
    assert seen(case(event, "pull_forward")) == ClosingPlan(CLOSES - DAY, "warn")


def test_only_the_first_of_several_is_pulled() -> None:
    both = a_trial(follow_up=["P1D", "P2D"])
    assert seen(case(both, "pull_forward")).why == "pull_forward"
    assert seen(case(both, "pull_forward", step=1)).why == "warn"
    one_within = a_trial(follow_up=["-P3D", "P1D"])
    assert seen(case(one_within, "pull_forward", step=1)).why == "pull_forward"


def test_one_that_its_subject_wants_no_more_is_not_pulled() -> None:
    of = case(a_trial(), "pull_forward")
    moved = business("TrialExtended", NOON + HOUR, ends_at=CLOSES + DAY)
    assert of.subject
    assert earliest(of.message, of.subject, CLOSES) == CLOSES - 7 * DAY
    assert earliest(of.message, of.subject.apply(moved), CLOSES) is None
    assert earliest(of.message, None, CLOSES) is None


def test_a_week_before_goes_by_the_wall_clock_of_the_events_zone() -> None:
    """The clocks went forward on 29 March."""
    event = a_trial(timezone="Europe/Berlin")
    of = case(event, "pull_forward")
    assert earliest(of.message, of.subject, CLOSES) == CLOSES - 7 * DAY + HOUR


@each_of("name", REASONS)
def test_no_reason_sends_before_its_facts_are_known(name: str) -> None:
    """A week before an appointment; but not before a product was viewed, or an order delivered."""
    reason = REASONS[name]
    if reason.earliest_offset and reason.anchor not in {"starts_at", "ends_at"}:
        assert not reason.earliest_offset.is_negative


def test_unknown_zone_or_all_quiet_hours_makes_a_warning() -> None:
    unknown = case(a_trial(contact=SATELLITE), "pull_forward", quiet_hours={"marketing": NIGHT})
    assert seen(unknown).why == "warn"
    assert seen(replace(unknown, brand=Brand("acme-dental", timezone="Europe/Berlin"))).why == "pull_forward"
    assert seen(replace(unknown, settings=replace(unknown.settings, quiet_hours={}))).why == "pull_forward"
    no_hour = QuietHours.parse("00:00-23:59")
    assert no_hour
    always = case(
        a_trial(contact=replace(ANNA, address="+61412345678")), "pull_forward", quiet_hours={"marketing": no_hour}
    )
    assert seen(always).why == "warn"


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.integers(0, 60 * 24 * 30),
    now_before=st.integers(0, 60 * 24 * 30),
    hours=st.lists(st.integers(0, 1439), min_size=2, max_size=2, unique=True),
    steps=st.lists(st.sampled_from(["-P10D", "-P3D", "PT1H", "P1D", "P9D"]), min_size=1, unique=True),
    ends_after=st.integers(-5 * 24, 9 * 24),
)
@pytest.mark.slow
def test_pulled_message_goes_as_late_as_quiet_hours_allow(
    minutes: int, now_before: int, hours: Sequence[int], steps: list[str], ends_after: int
) -> None:
    written_at = datetime(2026, 2, 14, tzinfo=UTC) + minutes * MINUTE
    closes_at = written_at + WINDOW
    quiet = QuietHours.parse("-".join(f"{at // 60:02}:{at % 60:02}" for at in hours))
    assert quiet
    now = closes_at - max(1, now_before) * MINUTE
    event = a_trial(ends_at=closes_at + ends_after * HOUR, follow_up=steps)
    for step in range(len(steps)):
        of = case(event, "pull_forward", now=now, written_at=written_at, step=step, quiet_hours={"marketing": quiet})
        at, why = seen(of)
        if why != "pull_forward":
            continue
        not_before = max(now, closes_at + ends_after * HOUR - 7 * DAY)
        assert not_before <= at < closes_at <= of.message.due_at
        assert not quiet.cover(at, BERLIN)
        # Whatever is left of the time between is too near to the end, or to the night.
        after = at
        while after + CLOSING_MARGIN + 16 * MINUTE < closes_at:
            after += MINUTE
            end_of_tries = quiet.first_quiet(after, [BERLIN])
            assert quiet.cover(after, BERLIN) or end_of_tries - after <= CLOSING_MARGIN + 16 * MINUTE
