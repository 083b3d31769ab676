"""The reasons are the table of layers/README.md: what plans and cancels each, when it is due and valid.

The same table is written here a second time, in instants instead of offsets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Final, get_args

import pytest

from reengage.domain.instants import Duration
from reengage.domain.planning import planned_messages
from reengage.domain.reasons import PRIORITIES, REASONS, Category, SendGroup
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, EventEffect, Subject
from tests.cases import each_of
from tests.fakes import ANNA, NOON, apply_events, business

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
ABOUT: Final = NOON + 10 * DAY
CHECK_IN: Final = "https://acme.example/check-in"


@dataclass(frozen=True)
class Row:
    """``dues``: when each message of the reason is due, and until when it is valid, after ``planned_by``."""

    category: Category
    send_group: SendGroup
    planned_by: Sequence[str]
    event_fields: Mapping[str, Any]
    dues: Sequence[tuple[datetime, datetime]]
    undone_by: Sequence[str] = ()


TABLE: Final[Mapping[str, Row]] = {
    "appointment_reminder": Row(
        "utility",
        "appointments",
        ["AppointmentBooked", "AppointmentRescheduled"],
        {"starts_at": ABOUT},
        [(ABOUT - DAY, ABOUT - 2 * HOUR), (ABOUT - 2 * HOUR, ABOUT)],
        ["AppointmentCancelled"],
    ),
    "online_check_in": Row(
        "utility",
        "appointments",
        ["AppointmentBooked", "AppointmentRescheduled"],
        {"starts_at": ABOUT, "check_in_url": CHECK_IN, "remind_before": ["PT2H"]},
        [(ABOUT - 24 * HOUR, ABOUT)],
        ["AppointmentCancelled", "CheckInCompleted"],
    ),
    "trial_follow_up": Row(
        "marketing",
        "trials",
        ["TrialStarted", "TrialExtended"],
        {"ends_at": ABOUT, "product": "Pro"},
        [(ABOUT - 3 * DAY, ABOUT + DAY), (ABOUT + DAY, ABOUT + 4 * DAY)],
        ["TrialConverted", "TrialCancelled"],
    ),
    "product_reminder": Row(
        "marketing",
        "updates",
        ["ProductViewed"],
        {"name": "Shoe"},
        [(NOON + 4 * HOUR, NOON + 48 * HOUR)],
        ["ProductAddedToCart"],
    ),
    "cart_reminder": Row(
        "marketing",
        "updates",
        ["CartAbandoned"],
        {"items": ["Shoe"], "cart_url": "https://acme.example/cart"},
        [(NOON + 4 * HOUR, NOON + 48 * HOUR)],
        ["CartCheckedOut"],
    ),
    "order_shipped": Row("utility", "updates", ["OrderShipped"], {}, [(NOON, NOON + 3 * DAY)]),
    "review_request": Row(
        "marketing",
        "updates",
        ["OrderDelivered"],
        {},
        [(NOON + 3 * DAY, NOON + 17 * DAY)],
        ["ReviewReceived", "OrderReturned"],
    ),
}
"""The reasons of which each message has one recipient, named by its event."""

BROADCASTS: Final = {"back_in_stock", "product_preview", "holiday_hours"}
REPLIES: Final = {"welcome_back", "help_reply", "answer_reply"}

BEGINNINGS: Final = [(reason, event_type) for reason, row in TABLE.items() for event_type in row.planned_by]
ENDINGS: Final = [(reason, event_type) for reason, row in TABLE.items() for event_type in row.undone_by]


def begun(reason: str, event_type: str | None = None, at: datetime = NOON, **fields: Any) -> BusinessEvent:
    """Return the event that plans a reason's messages; it happened at ``at``."""
    row = TABLE[reason]
    return business(event_type or row.planned_by[0], at, subject_id="S-1", **{**row.event_fields, **fields})


def plan(subject: Subject, reason: str) -> list[tuple[datetime, datetime]]:
    return [(m.due_at, m.valid_until) for m in planned_messages(subject) if m.reason == reason]


def after(*events: BusinessEvent) -> Subject:
    return apply_events(Subject(events[0].subject), *events)


CORRECTIONS: Final = {"appointment_moved", "appointment_cancelled"}
"""They depend on what was sent before: see ``test_corrections``."""


def test_the_table_is_of_all_reasons() -> None:
    assert set(TABLE) | BROADCASTS | REPLIES | CORRECTIONS == set(REASONS)
    assert {name for name, reason in REASONS.items() if reason.correction} == CORRECTIONS
    assert {name for name, reason in REASONS.items() if reason.audience} == BROADCASTS
    assert {name for name, reason in REASONS.items() if reason.category == "reply"} == REPLIES


def test_every_event_belongs_to_a_reason() -> None:
    """A broadcast needs an interest, which can begin and end. A confirmation changes a text only."""
    named = {event_type for row in TABLE.values() for event_type in (*row.planned_by, *row.undone_by)}
    kinds = {REASONS[name].kind for name in BROADCASTS} | {"interest"}
    # Of what a reminder asks, of all carts, and of where a person is reached.
    named |= {"AppointmentConfirmed", "PurchaseMade", "OpenerUsed"}
    assert named | {name for name, terms in EVENT_TYPES.items() if terms.kind in kinds} == set(EVENT_TYPES)


@pytest.mark.parametrize("reason", TABLE)
def test_each_reason_has_its_category_and_send_group(reason: str) -> None:
    assert (REASONS[reason].category, REASONS[reason].send_group) == (TABLE[reason].category, TABLE[reason].send_group)


@each_of(("reason", "event_type"), BEGINNINGS)
def test_each_event_plans_what_it_is_to_plan(reason: str, event_type: str) -> None:
    subject = after(begun(reason, event_type))
    assert plan(subject, reason) == list(TABLE[reason].dues)
    assert {message.contact for message in planned_messages(subject)} == {ANNA}


@each_of(("reason", "event_type"), ENDINGS)
def test_each_event_undoes_its_messages_in_any_order(reason: str, event_type: str) -> None:
    ended = business(event_type, NOON + HOUR, subject_id="S-1")
    for events in ([begun(reason), ended], [ended, begun(reason)], [ended, begun(reason), ended]):
        assert plan(after(*events), reason) == []


@each_of(("reason", "event_type"), ENDINGS)
def test_within_a_second_what_undoes_counts_as_the_later(reason: str, event_type: str) -> None:
    ended = business(event_type, NOON, subject_id="S-1")
    begins = begun(reason, at=NOON + timedelta(milliseconds=900))
    for events in permutations([begins, ended]):
        assert plan(after(*events), reason) == []


@each_of(("reason", "event_type"), ENDINGS)
def test_what_happens_after_it_was_undone_plans_it_anew(reason: str, event_type: str) -> None:
    ended, anew = business(event_type, NOON - HOUR, subject_id="S-1"), begun(reason)
    # A check-in stays one until the appointment has another time. A review counts for all parcels of the order.
    wanted = [] if event_type in ("CheckInCompleted", "ReviewReceived") else list(TABLE[reason].dues)
    for events in permutations([begun(reason, at=NOON - 2 * HOUR), ended, anew]):
        assert plan(after(*events), reason) == wanted


@each_of(("reason", "event_type"), BEGINNINGS)
def test_subject_without_contact_plans_nothing(reason: str, event_type: str) -> None:
    event = begun(reason, event_type)
    assert planned_messages(after(replace(event, contact=None))) == ()


@pytest.mark.parametrize("reason", TABLE)
def test_no_event_plans_another_kinds_messages(reason: str) -> None:
    wanted = {message.reason for message in planned_messages(after(begun(reason)))}
    beside = {"appointment_reminder"} if reason == "online_check_in" else set()
    assert wanted == {reason} | beside


@pytest.mark.parametrize("reason", ["cart_reminder", "order_shipped", "review_request"])
def test_what_comes_once_is_one_message_whenever_it_happened(reason: str) -> None:
    first, second = planned_messages(after(begun(reason)))[0], planned_messages(after(begun(reason, at=NOON + HOUR)))[0]
    assert first.anchor_at is second.anchor_at is None
    assert first.key == second.key
    assert second.due_at - first.due_at == HOUR
    assert REASONS[reason].once


def test_each_view_of_a_product_is_a_message_of_its_own() -> None:
    first, second = (planned_messages(after(begun("product_reminder", at=at)))[0] for at in (NOON, NOON + HOUR))
    assert (first.anchor_at, second.anchor_at) == (NOON, NOON + HOUR)
    assert first.key != second.key


def test_only_what_is_sent_at_once_catches_up() -> None:
    """Of messages that were due when the event came, all others are too late."""
    catching_up = {name for name, reason in REASONS.items() if reason.send_if_late}
    assert catching_up == {"order_shipped"} | BROADCASTS | CORRECTIONS


def test_only_a_preview_needs_a_recorded_consent_in_any_case() -> None:
    assert {name for name, reason in REASONS.items() if reason.needs_consent} == {"product_preview"}


@each_of("name", REASONS)
def test_a_message_is_pulled_forward_only_to_before_it_is_due(name: str) -> None:
    """The longest default offset is the latest instant at which it is due."""
    reason = REASONS[name]
    if reason.earliest_offset is None:
        return

    def length(duration: Duration) -> timedelta:
        return duration.days * DAY + duration.exact

    dues = [length(-offset if reason.before else offset) for offset in reason.default_offsets]
    assert length(reason.earliest_offset) < min(dues)


def test_send_group_sends_high_priority_first() -> None:
    assert PRIORITIES["updates"] == ("high", "low")
    assert PRIORITIES["appointments"] == ("high",)
    assert PRIORITIES["trials"] == ("low",)
    assert set(PRIORITIES) == set(get_args(SendGroup))


@each_of("name", REASONS)
def test_priority_of_a_reason_follows_its_category(name: str) -> None:
    reason = REASONS[name]
    assert reason.priority == ("low" if reason.category == "marketing" else "high")
    assert reason.priority in PRIORITIES[reason.send_group]


@each_of("name", [name for name in REASONS if name not in REPLIES])
def test_each_anchor_field_is_a_field_of_some_event(name: str) -> None:
    """Its anchor is a field of an event, or the instant at which an event of its track happened."""
    reason = REASONS[name]
    of_track = [terms for terms in EVENT_TYPES.values() if (terms.kind, terms.track) == (reason.kind, reason.track)]
    assert {terms.rank for terms in of_track} >= {EventEffect.BEGIN}
    assert reason.anchor in {"starts_at", "ends_at", "send_at"} | {terms.at for terms in of_track}
    assert not reason.also_cancelled_by or reason.also_cancelled_by in {terms.track for terms in EVENT_TYPES.values()}
