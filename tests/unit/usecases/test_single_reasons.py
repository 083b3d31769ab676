"""Each reason from its events to its sent messages: late, repeated, out of order, and several messages of one
person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import permutations
from typing import Any, Final

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.wording_variables import Context, variables
from reengage.domain.caps import Cap
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.purchases import purchases_of
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category
from reengage.domain.subject import EVENT_TYPES, BusinessEvent
from reengage.ports import Wording
from tests.fakes import ANNA, NOON, World, business, inbound, render, worker
from tests.unit.domain.test_reasons import BEGINNINGS, ENDINGS, TABLE, begun
from tests.unit.usecases.test_recheck_window import live

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
STARTS: Final = NOON + 10 * DAY
BEN: Final = Contact("acme-dental", "sms", "+16502530000")
CHECK_IN: Final = "https://acme.example/check-in"


def a_world(at: datetime = NOON) -> World:
    """Anna and Ben wrote this minute."""
    world = World()
    for contact in (ANNA, BEN):
        world.receive(inbound(NOON, contact=contact))
    world.clock.now = at
    return world


def receive_events(world: World, *events: BusinessEvent, at: datetime | None = None) -> World:
    """The events arrive one after the other, all at one instant."""
    world.clock.now = at or world.clock.now
    for event in events:
        world.plan(replace(event, arrived_at=world.clock.now))
    return world


def handed(world: World) -> list[tuple[str, str, datetime]]:
    """Return reason, address and minute of each sent message."""
    return [
        (outbound.message.reason, outbound.message.contact.address, at.replace(second=0))
        for outbound, at in zip(world.provider.handed, world.provider.handed_at, strict=True)
    ]


def sent(world: World, reason: str) -> list[datetime]:
    return [at for name, _, at in handed(world) if name == reason]


def standing(world: World) -> set[tuple[Any, ...]]:
    """Return what is scheduled, of any version."""
    rows = [row for row in world.store.rows() if row.state is State.SCHEDULED]
    return {(row.key, row.due_at, row.valid_until, row.planned_due_at) for row in rows}


# All reasons


@pytest.mark.parametrize(("reason", "event_type"), BEGINNINGS)
def test_each_message_is_handed_over_when_it_is_due_and_once(reason: str, event_type: str) -> None:
    world = receive_events(a_world(), begun(reason, event_type), begun(reason, event_type))
    live(world, NOON + 40 * DAY, seconds=0)
    assert sent(world, reason) == [due for due, _ in TABLE[reason].dues]
    receive_events(world, begun(reason, event_type))
    live(world, NOON + 60 * DAY)
    assert len(sent(world, reason)) == len(TABLE[reason].dues)


@pytest.mark.parametrize("reason", TABLE)
def test_each_message_goes_until_it_is_of_no_use_and_no_later(reason: str) -> None:
    """No function ran from the last message's due time until it expired."""
    [*_, (due, valid_until)] = TABLE[reason].dues
    for at, expected in ((valid_until - timedelta(microseconds=1), 1), (valid_until, 0)):
        world = receive_events(a_world(), begun(reason))
        live(world, due - MINUTE)
        before = len(sent(world, reason))
        world.receive(inbound(due, message_id="again"))
        world.clock.now = at
        world.run_sender(TABLE[reason].send_group)
        assert len(sent(world, reason)) - before == expected


@pytest.mark.parametrize(("reason", "ending"), ENDINGS)
@pytest.mark.parametrize("late", [False, True])
def test_undone_message_is_not_sent_in_any_event_order(reason: str, ending: str, late: bool) -> None:
    ended = business(ending, NOON + MINUTE, subject_id="S-1")
    for events in permutations([begun(reason), ended]):
        world = receive_events(a_world(), *events, at=NOON + HOUR if late else NOON)
        live(world, NOON + 40 * DAY)
        assert sent(world, reason) == []


@pytest.mark.parametrize(("reason", "ending"), ENDINGS)
def test_message_undone_by_an_interrupted_planner_is_not_sent(reason: str, ending: str) -> None:
    """Only the subject was stored, and the snapshot reads it."""
    world = receive_events(a_world(), begun(reason))
    ended = business(ending, NOON + MINUTE, subject_id="S-1")
    subject = world.store.read_subject(ended.subject)
    assert subject
    assert world.store.write_subject(subject.apply(ended))
    live(world, NOON + 40 * DAY)
    assert sent(world, reason) == []
    assert {row.rule for row in world.store.rows() if row.reason == reason} == {"cancelled"}


@pytest.mark.parametrize("reason", [reason for reason in TABLE if reason != "order_shipped"])
def test_event_after_all_due_times_sends_nothing(reason: str) -> None:
    [*_, (due, _)] = TABLE[reason].dues
    world = receive_events(a_world(), begun(reason), at=due + MINUTE)
    live(world, NOON + 40 * DAY)
    assert sent(world, reason) == []
    rows = [row for row in world.store.rows() if row.reason == reason]
    assert {(row.state, row.rule) for row in rows} == {(State.SKIPPED, "too_late")}


# An order that was dispatched


@pytest.mark.parametrize(
    ("late", "is_sent"),
    [(timedelta(), True), (2 * DAY, True), (3 * DAY - MINUTE, True), (3 * DAY, False), (4 * DAY, False)],
)
def test_late_dispatch_event_is_sent_at_once(late: timedelta, is_sent: bool) -> None:
    world = receive_events(a_world(), begun("order_shipped"), at=NOON + late)
    world.run_sender("updates")
    assert sent(world, "order_shipped") == ([NOON + late] if is_sent else [])


def test_order_in_two_parcels_gets_one_message() -> None:
    world = receive_events(a_world(), begun("order_shipped"))
    world.run_sender("updates")
    receive_events(world, begun("order_shipped", at=NOON + DAY), at=NOON + DAY)
    live(world, NOON + 10 * DAY)
    assert sent(world, "order_shipped") == [NOON]


def test_two_parcels_before_the_first_tick_are_one_message() -> None:
    for events in permutations([begun("order_shipped"), begun("order_shipped", at=NOON + HOUR)]):
        world = receive_events(a_world(), *events, at=NOON + 2 * HOUR)
        live(world, NOON + 10 * DAY)
        assert sent(world, "order_shipped") == [NOON + 2 * HOUR]


# A cart, once


def test_cart_abandoned_again_before_its_reminder_moves_it() -> None:
    for events in permutations([begun("cart_reminder"), begun("cart_reminder", at=NOON + 3 * HOUR)]):
        world = receive_events(a_world(), *events, at=NOON + 3 * HOUR)
        live(world, NOON + 10 * DAY)
        assert sent(world, "cart_reminder") == [NOON + 7 * HOUR]


@pytest.mark.parametrize("reason", ["cart_reminder", "product_reminder"])
def test_a_purchase_of_the_same_instant_ends_a_reminder(reason: str) -> None:
    """A shop reported a cart and its purchase in one second, and the person was reminded of what they had bought."""
    bought = replace(business("PurchaseMade", cart=True, product=True), subject=purchases_of(ANNA))
    for events in permutations([begun(reason), bought]):
        world = receive_events(a_world(), *events)
        live(world, NOON + 3 * DAY)
        assert sent(world, reason) == []


def test_cart_abandoned_after_its_reminder_gets_no_other() -> None:
    world = receive_events(a_world(), begun("cart_reminder"))
    live(world, NOON + 5 * HOUR)
    receive_events(world, begun("cart_reminder", at=NOON + 5 * HOUR))
    live(world, NOON + 10 * DAY)
    assert sent(world, "cart_reminder") == [NOON + 4 * HOUR]


@pytest.mark.parametrize(("first_sent", "expected"), [(False, [NOON + 8 * HOUR]), (True, [NOON + 4 * HOUR])])
def test_cart_abandoned_after_checkout_is_reminded_once(first_sent: bool, expected: list[datetime]) -> None:
    world = receive_events(a_world(), begun("cart_reminder"))
    if first_sent:
        live(world, NOON + 4 * HOUR + MINUTE)
    receive_events(world, business("CartCheckedOut", NOON + 3 * HOUR, subject_id="S-1"))
    receive_events(world, begun("cart_reminder", at=NOON + 4 * HOUR), at=NOON + 4 * HOUR + 2 * MINUTE)
    live(world, NOON + 10 * DAY)
    assert sent(world, "cart_reminder") == expected


@pytest.mark.parametrize("reason", ["cart_reminder", "review_request", "order_shipped"])
def test_late_event_does_not_block_the_next_events_message(reason: str) -> None:
    """The first event came days late. Had the second one come before it, the message would have been planned."""
    [(due, valid_until)] = TABLE[reason].dues
    past = valid_until if reason == "order_shipped" else due
    now = past + HOUR
    late, in_time = begun(reason), begun(reason, at=now - MINUTE)
    plans = [standing(receive_events(a_world(), *events, at=now)) for events in permutations([late, in_time])]
    assert [len(plan) for plan in plans] == [1, 1]
    assert plans[0] == plans[1]


# A product, to each who looked at it


def test_two_viewers_of_one_product_are_independent() -> None:
    hers, his = begun("product_reminder"), begun("product_reminder", contact=BEN, at=NOON + HOUR)
    added = business("ProductAddedToCart", NOON + 2 * HOUR, subject_id="S-1")
    for events in permutations([hers, his, added]):
        world = receive_events(a_world(), *events, at=NOON + 2 * HOUR)
        live(world, NOON + 10 * DAY)
        assert handed(world) == [("product_reminder", BEN.address, NOON + 5 * HOUR)]


def test_second_view_moves_or_repeats_the_reminder() -> None:
    world = receive_events(
        a_world(), begun("product_reminder"), begun("product_reminder", at=NOON + HOUR), at=NOON + HOUR
    )
    live(world, NOON + 6 * HOUR)
    receive_events(world, begun("product_reminder", at=NOON + 6 * HOUR))
    live(world, NOON + 10 * DAY)
    assert sent(world, "product_reminder") == [NOON + 5 * HOUR, NOON + 10 * HOUR]


# A review


def test_review_uses_the_contact_of_the_dispatch_event() -> None:
    shipped, delivered = begun("order_shipped"), begun("review_request", at=NOON + DAY, contact=None)
    for events in permutations([shipped, delivered]):
        world = receive_events(a_world(), *events, at=NOON + DAY)
        live(world, NOON + 20 * DAY)
        assert sent(world, "review_request") == [NOON + 4 * DAY]
        assert sent(world, "order_shipped") == [], "delivered before it could be sent"


def test_review_request_goes_to_each_person_of_the_order() -> None:
    delivered = begun("review_request", at=NOON + HOUR, contact=None)
    shipped = [
        begun("order_shipped", at=NOON + n * MINUTE, contact=contact) for n, contact in ((1, ANNA), (2, BEN), (3, ANNA))
    ]
    for named in (shipped[:1], shipped[:2], shipped):
        expected = {(event.contact or ANNA).address for event in named}
        for events in permutations([delivered, *named]):
            world = receive_events(a_world(), *events, at=NOON + HOUR)
            live(world, NOON + 20 * DAY)
            asked = [address for reason, address, _ in handed(world) if reason == "review_request"]
            assert sorted(asked) == sorted(expected)


def test_interrupted_booking_of_another_keeps_the_first() -> None:
    """Ben joined the order. Only that was stored, and a retry planned his message; Anna's stays as it was."""
    world = receive_events(a_world(), begun("order_shipped"), begun("review_request", contact=None))
    bens = begun("order_shipped", at=NOON + HOUR, contact=BEN)
    subject = world.store.read_subject(bens.subject)
    assert subject
    assert world.store.write_subject(subject.apply(bens))
    receive_events(world, bens, at=NOON + HOUR)
    live(world, NOON + 20 * DAY)
    asked = [address for reason, address, _ in handed(world) if reason == "review_request"]
    assert sorted(asked) == sorted([ANNA.address, BEN.address])


@pytest.mark.parametrize("event_type", ["OrderDelivered", "OrderReturned"])
def test_shipped_is_not_sent_after_delivery_or_return(event_type: str) -> None:
    """An order was delivered while "shipped" was held overnight, and "shipped" was sent the next morning."""
    shipped, over = begun("order_shipped"), business(event_type, NOON + MINUTE, subject_id="S-1")
    for events in permutations([shipped, over]):
        world = receive_events(a_world(), *events)
        world.run_sender("updates")
        assert sent(world, "order_shipped") == []


def test_a_delivery_of_the_same_instant_ends_shipped() -> None:
    """A shop reported an order as shipped and as delivered in one second, and "shipped" was sent."""
    for events in permutations([begun("order_shipped"), business("OrderDelivered", NOON, subject_id="S-1")]):
        world = receive_events(a_world(), *events)
        world.run_sender("updates")
        assert sent(world, "order_shipped") == []


def test_a_parcel_after_a_delivery_is_sent() -> None:
    delivered = business("OrderDelivered", NOON - HOUR, subject_id="S-1")
    world = receive_events(a_world(), delivered, begun("order_shipped"))
    world.run_sender("updates")
    assert sent(world, "order_shipped") == [NOON]


# A check-in


def links(world: World) -> Mapping[datetime, tuple[str, str]]:
    """Return the reason and the check-in link of each sent message, by its instant."""
    links_sent: dict[datetime, tuple[str, str]] = {}

    def saying(case: PolicyInput) -> Wording:
        link = variables(Context(case, ("en",), Locale("en"))).get("check_in_url", "")
        links_sent[case.now] = (case.message.reason, link)
        return render(case)

    while due := [row.due_at for row in world.store.rows() if row.state is State.SCHEDULED]:
        world.clock.now = due[0]
        for shard in {ANNA.shard, BEN.shard}:
            _, errors = worker(replace(world.sender(), render=saying), shard, world.clock.now + MINUTE)
            assert not errors
    return links_sent


def booked(hours: float = 0, event_type: str = "AppointmentBooked", **fields: Any) -> BusinessEvent:
    return begun("appointment_reminder", event_type, at=NOON + hours * HOUR, **{"check_in_url": CHECK_IN, **fields})


def completed(hours: float = 1) -> BusinessEvent:
    return business("CheckInCompleted", NOON + hours * HOUR, subject_id="S-1", contact=None)


REMINDER: Final = "appointment_reminder"
DAY_BEFORE: Final = STARTS - DAY
HOURS_BEFORE: Final = STARTS - 2 * HOUR


def test_appointment_without_check_in_gets_no_invitation() -> None:
    links_sent = links(receive_events(a_world(), booked(check_in_url=None)))
    assert links_sent == {DAY_BEFORE: (REMINDER, ""), HOURS_BEFORE: (REMINDER, "")}


def test_only_the_day_before_reminder_has_the_link() -> None:
    links_sent = links(receive_events(a_world(), booked()))
    assert links_sent == {DAY_BEFORE: (REMINDER, CHECK_IN), HOURS_BEFORE: (REMINDER, "")}


def test_check_in_without_a_near_reminder_is_its_own_message() -> None:
    links_sent = links(receive_events(a_world(), booked(check_in_before="PT12H")))
    assert links_sent == {
        DAY_BEFORE: (REMINDER, ""),
        STARTS - 12 * HOUR: ("online_check_in", CHECK_IN),
        HOURS_BEFORE: (REMINDER, ""),
    }


@pytest.mark.parametrize("before", ["PT24H", "PT12H"])
def test_checked_in_contact_is_reminded_without_a_link(before: str) -> None:
    for events in permutations([booked(check_in_before=before), completed(), completed()]):
        links_sent = links(receive_events(a_world(), *events))
        assert links_sent == {DAY_BEFORE: (REMINDER, ""), HOURS_BEFORE: (REMINDER, "")}


def test_a_new_room_asks_for_no_new_check_in() -> None:
    """A person had checked in; then only the room changed, and they got a second invitation."""
    new_room = booked(2, "AppointmentRescheduled", starts_at=STARTS, check_in_before="PT12H", location="Room 2")
    for events in permutations([booked(check_in_before="PT12H"), completed(1), new_room]):
        links_sent = links(receive_events(a_world(), *events))
        assert {reason for reason, _ in links_sent.values()} == {REMINDER}


@pytest.mark.parametrize("starts_at", [STARTS + HOUR, STARTS + DAY])
def test_moved_appointment_invites_to_check_in_again(starts_at: datetime) -> None:
    """The check-in was for the former time."""
    moved = booked(2, "AppointmentRescheduled", starts_at=starts_at, check_in_before="PT12H")
    for events in permutations([booked(check_in_before="PT12H"), completed(1), moved]):
        links_sent = links(receive_events(a_world(), *events))
        assert links_sent[starts_at - 12 * HOUR] == ("online_check_in", CHECK_IN)
        assert len(links_sent) == 3


def test_check_in_after_the_move_gets_no_second_invitation() -> None:
    moved = booked(1, "AppointmentRescheduled", starts_at=STARTS + DAY, check_in_before="PT12H")
    for events in permutations([booked(check_in_before="PT12H"), moved, completed(2)]):
        links_sent = links(receive_events(a_world(), *events))
        assert {reason for reason, _ in links_sent.values()} == {REMINDER}


def test_check_in_between_reminders_removes_the_second_link() -> None:
    world = receive_events(a_world(), booked(check_in_before="PT2H30M"))
    live(world, DAY_BEFORE + MINUTE)
    receive_events(world, completed(24 * 9 + 1), at=DAY_BEFORE + HOUR)
    assert links(world) == {HOURS_BEFORE: (REMINDER, "")}


# In any order, and however often

_CHECK_INS: Final[Mapping[str, Mapping[str, Sequence[Any]]]] = {
    "appointment": {
        "starts_at": [STARTS, STARTS + DAY],
        "check_in_url": [CHECK_IN],
        "check_in_before": ["PT12H", "PT24H"],
        "remind_before": [["P1D", "PT2H"], ["PT30M"], []],
    },
    "trial": {"ends_at": [STARTS, STARTS + DAY], "follow_up": [["-P3D"], ["PT1H", "P1D"]]},
    "product": {"name": ["Shoe"]},
    "cart": {"items": [["Shoe"]]},
    "order": {},
}


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[BusinessEvent], datetime]:
    """Events of one subject, no two of one version, and when all of them arrive: within hours, or much later."""
    kind = draw(st.sampled_from(sorted(_CHECK_INS)))
    names = [name for name, terms in EVENT_TYPES.items() if terms.kind == kind]
    hours = st.integers(0, 6)
    drawn = draw(st.lists(st.tuples(st.sampled_from(names), hours), min_size=1, max_size=5, unique=True))
    contacts = [ANNA] if kind == "product" else [ANNA, ANNA, BEN, None]
    events = []
    for number, (name, hour) in enumerate(drawn):
        of_rank = {
            field: draw(st.sampled_from(values)) for field, values in _CHECK_INS[kind].items() if draw(st.booleans())
        }
        undoes = EVENT_TYPES[name].rank.name == "UNDO"
        at = NOON + hour * HOUR + number * MINUTE
        contact = draw(st.sampled_from(contacts))
        events.append(business(name, at, subject_id="S-1", contact=contact, **{} if undoes else of_rank))
    return events, draw(st.sampled_from([NOON + 7 * HOUR, NOON + 9 * HOUR, NOON + 3 * DAY + 3 * HOUR]))


def _order(detail_type: str, minutes: int, contact: Contact | None) -> BusinessEvent:
    at = NOON + minutes * MINUTE
    fields: dict[str, Any] = {"delivered_at" if detail_type == "OrderDelivered" else "shipped_at": at}
    return business(detail_type, at, subject_id="S-1", contact=contact, **fields)


@pytest.mark.parametrize(
    "events",
    [
        [_order("OrderShipped", 0, ANNA), _order("OrderDelivered", 2, BEN), _order("OrderShipped", 61, None)],
        [_order("OrderDelivered", 2, ANNA), _order("OrderShipped", 3, None), _order("OrderShipped", 64, BEN)],
    ],
)
def test_a_second_person_is_planned_in_any_order(events: list[BusinessEvent]) -> None:
    """An event about all people, or one on another track, may be what adds a message for one of them."""
    plans = []
    for arriving in permutations(events):
        world = a_world()
        live(world, NOON + 7 * HOUR)
        plans.append(standing(receive_events(world, *arriving, at=NOON + 7 * HOUR)))
    assert all(plan == plans[0] for plan in plans)
    assert {key.pk for key, *_ in plans[0] if "order_shipped" in key.sk} == {ANNA.key, BEN.key}


def test_an_old_event_withdraws_what_it_makes_wrong() -> None:
    """Ben returned the order; that he was its only person at its delivery is wrong once Anna's older event arrives."""
    events = [
        business("OrderReturned", NOON, subject_id="S-1", contact=BEN),
        _order("OrderShipped", 1, ANNA),
        business("ReviewReceived", NOON + 3 * MINUTE, subject_id="S-1", contact=ANNA),
        _order("OrderDelivered", 4, None),
        business("ReviewReceived", NOON + 62 * MINUTE, subject_id="S-1", contact=ANNA),
    ]
    for arriving in permutations(events):
        world = a_world()
        live(world, NOON + 7 * HOUR)
        assert standing(receive_events(world, *arriving, at=NOON + 7 * HOUR)) == set()


@pytest.mark.parametrize("reviewer", [None, ANNA])
def test_a_review_counts_for_each_later_parcel(reviewer: Contact | None) -> None:
    """A review came unasked, and the order's second parcel asked for another one."""
    review = business("ReviewReceived", NOON + HOUR, subject_id="S-1", contact=reviewer)
    parcels = [_order("OrderDelivered", minutes, ANNA) for minutes in (0, 120)]
    for arriving in permutations([*parcels, review]):
        world = a_world()
        live(world, NOON + 3 * HOUR)
        assert standing(receive_events(world, *arriving, at=NOON + 3 * HOUR)) == set()


def test_a_review_of_one_person_leaves_the_others_question() -> None:
    world = a_world()
    events = [_order("OrderDelivered", 0, ANNA), _order("OrderDelivered", 1, BEN)]
    reviewed = business("ReviewReceived", NOON + HOUR, subject_id="S-1", contact=ANNA)
    live(world, NOON + 3 * HOUR)
    left = standing(receive_events(world, *events, reviewed, _order("OrderDelivered", 120, None), at=NOON + 3 * HOUR))
    assert {key.pk for key, *_ in left} == {BEN.key}


@settings(max_examples=400, deadline=None)
@given(history=_histories(), data=st.data())
@pytest.mark.slow
def test_order_and_repeats_of_events_do_not_change_the_plan(
    history: tuple[list[BusinessEvent], datetime], data: st.DataObject
) -> None:
    events, now = history
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=3))
    shuffled = data.draw(st.permutations(repeated))
    plans = []
    for arriving in (sorted(events, key=lambda event: event.version), shuffled):
        world = a_world()
        live(world, now)
        plans.append(standing(receive_events(world, *arriving, at=now)))
    assert plans[0] == plans[1]


@settings(max_examples=100, deadline=None)
@given(history=_histories(), data=st.data())
@pytest.mark.slow
def test_any_event_order_sends_each_message_once_and_in_time(
    history: tuple[list[BusinessEvent], datetime], data: st.DataObject
) -> None:
    """They arrive hours apart, and the functions run in between."""
    events, _ = history
    world = a_world()
    for event in data.draw(st.permutations(events)):
        live(world, world.clock.now + data.draw(st.sampled_from([MINUTE, 3 * HOUR, 4 * DAY])))
        receive_events(world, event)
    live(world, NOON + 60 * DAY)
    rows = {outbound.message.key for outbound in world.provider.handed}
    assert len(rows) == len(world.provider.handed)
    for outbound, at in zip(world.provider.handed, world.provider.handed_at, strict=True):
        assert outbound.message.due_at <= at < outbound.message.valid_until


# One person's subjects together


def test_contact_with_several_subjects_gets_messages_in_order() -> None:
    """At most one marketing message and two others a day; none at night."""
    night = QuietHours(time(20), time(9))
    world = a_world()
    caps: dict[Category, tuple[Cap, ...]] = {"marketing": (Cap(1, DAY),), "utility": (Cap(2, DAY),)}
    world.policy = PolicySettings(quiet_hours={"marketing": night, "utility": night}, caps=caps)
    shown = [
        business("TrialStarted", subject_id="T-1", ends_at=NOON + 6 * DAY, product="Pro"),
        business("AppointmentBooked", subject_id="A-1", starts_at=NOON + 3 * DAY),
        business("AppointmentBooked", subject_id="A-2", starts_at=NOON + 3 * DAY + HOUR),
        business("OrderShipped", subject_id="O-1"),
        business("OrderDelivered", NOON + 30 * MINUTE, subject_id="O-1"),
    ]
    receive_events(world, *shown, at=NOON + HOUR)
    live(world, NOON + 20 * DAY, seconds=0)
    sent_messages = [(reason, at) for reason, _, at in handed(world)]
    assert sent_messages == [
        (REMINDER, NOON + 2 * DAY),
        (REMINDER, NOON + 2 * DAY + HOUR),
        ("trial_follow_up", NOON + 3 * DAY),
        # Of the second reminders the one would be too late when the day before's leave room, just after noon.
        (REMINDER, NOON + 3 * DAY + MINUTE),
        ("review_request", NOON + 4 * DAY + MINUTE),
        ("trial_follow_up", NOON + 7 * DAY),
    ]


def test_run_sends_high_priority_first_then_shorter_validity() -> None:
    """All is due when the run begins; marketing is the oldest, and valid no longer than the others."""
    world = a_world()
    receive_events(
        world, begun("review_request", at=NOON - 10 * HOUR), begun("product_reminder", at=NOON + 60 * HOUR), at=NOON
    )
    receive_events(world, business("CartAbandoned", NOON + 61 * HOUR, subject_id="C-1"))
    receive_events(world, business("OrderShipped", NOON + 71 * HOUR, subject_id="O-1"))
    receive_events(world, business("OrderShipped", NOON + 70 * HOUR, subject_id="O-2"))
    world.clock.now = NOON + 72 * HOUR
    world.run_sender("updates")
    assert [(outbound.message.reason, outbound.message.subject.id) for outbound in world.provider.handed] == [
        ("order_shipped", "O-2"),
        ("order_shipped", "O-1"),
        ("product_reminder", "S-1"),
        ("cart_reminder", "C-1"),
        ("review_request", "S-1"),
    ]


def test_full_marketing_cap_holds_no_utility_message() -> None:
    world = a_world()
    world.policy = PolicySettings(caps={"marketing": (Cap(1, DAY),)})
    receive_events(
        world, begun("review_request", at=NOON - 10 * HOUR), begun("product_reminder", at=NOON + 60 * HOUR), at=NOON
    )
    receive_events(world, business("OrderShipped", NOON + 71 * HOUR, subject_id="O-1"))
    world.clock.now = NOON + 72 * HOUR
    assert world.run_sender("updates")["held"] == 1
    assert [outbound.message.reason for outbound in world.provider.handed] == ["order_shipped", "product_reminder"]
    live(world, NOON + 10 * DAY)
    assert len(sent(world, "review_request")) == 1
