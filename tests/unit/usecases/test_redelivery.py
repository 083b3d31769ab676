"""A function is killed after it stored something and before it published: the repeated event publishes it.

EventBridge, SQS and SNS deliver an event again to a function that was killed. The table has one row for each event
out that such a function publishes. What a run of a send group publishes is in ``test_outbox``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.answers import Answer
from reengage.domain.asking import asks_for_answer
from reengage.domain.commands import (
    EraseContact,
    LinkContact,
    MoveContact,
    PauseSending,
    RecordChoice,
    ResumeSending,
)
from reengage.domain.events_out import OutEvent
from reengage.domain.message import State
from reengage.domain.policy import PolicyInput
from reengage.domain.preferences import Choice
from reengage.domain.questions import payload_of
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import QuickReply, Wording
from reengage.usecases.link_contact import link_contact, move_contact
from reengage.usecases.pause_sending import pause_sending
from reengage.usecases.reject_event import reject_event
from tests import fakes
from tests.fakes import ANNA, NOON, Around, Crash, Fault, World, business, inbound, receipt

DAY: Final = timedelta(days=1)
STARTS: Final = NOON + 10 * DAY
OTHER: Final = replace(ANNA, address="+4915187654321")
Act = Callable[[World, Around | None, datetime], Any]
"""The instant is that of the event, in each delivery."""

plain_render = fakes.render


def asking_render(context: PolicyInput) -> Wording:
    asks = asks_for_answer(context.message, context.subject, context.brand)
    replies = (QuickReply("Confirm", payload_of(context.message.scheduled_message_id, Answer.CONFIRMED)),)
    return replace(plain_render(context), replies=replies if asks else ())


def nothing(_: World) -> None:
    """Nothing is published before."""


def written(world: World) -> None:
    world.receive(inbound(NOON - DAY, message_id="first"))


def booked(world: World) -> None:
    written(world)
    world.plan(business("AppointmentBooked", NOON - DAY, starts_at=STARTS, remind_before=["P2D"]))


def reminded(world: World) -> None:
    booked(world)
    world.clock.now = STARTS - 2 * DAY
    assert world.run_sender()["sent"] == 1
    world.clock.forward(minutes=10)


def opted_out(world: World) -> None:
    world.record_choice(choice(allowed=False, at=NOON - DAY))


def choice(*, allowed: bool, at: Any = NOON) -> RecordChoice:
    return RecordChoice(ANNA, "contact", Choice(allowed=allowed, at=at, cause={"word": "word", "message_id": "m"}))


def receives(text: str) -> Act:
    def act(world: World, around: Around | None, at: datetime) -> None:
        world.receive(inbound(at, message_id="now", text=text), around)

    return act


def plans(detail_type: str, **fields: Any) -> Act:
    def act(world: World, around: Around | None, _: datetime) -> None:
        world.plan(business(detail_type, NOON, **fields), around)

    return act


def ports(act: Callable[..., Any], command: Any) -> Act:
    def call(world: World, around: Around | None, _: datetime) -> None:
        given = world.ports(around)
        act(command, store=given.store, publish=given.bus)

    return call


def rejects(world: World, around: Around | None, _: datetime) -> None:
    event = {"id": "event-1", "detail-type": "Nonsense"}
    reject_event(event, InvalidEvent(["$: wrong"]), keep=lambda *_: None, publish=world.ports(around).bus)


def erases(world: World, around: Around | None, _: datetime) -> None:
    world.erase(EraseContact(ANNA, NOON), around)


@dataclass(frozen=True, slots=True)
class Case:
    """``prepare`` makes the world, ``act`` is the function that is killed and then repeated."""

    prepare: Callable[[World], None]
    act: Act


CASES: Final = {
    "ConversationStarted": Case(nothing, receives("Hello")),
    "OptOutSuspected": Case(written, receives("I want you to stop texting me all the time")),
    "ContactOptedOut": Case(written, receives("STOP")),
    "ContactOptedIn": Case(opted_out, receives("START")),
    "AppointmentAnswered": Case(reminded, receives("1")),
    "MessagePlanned": Case(written, plans("AppointmentBooked", starts_at=STARTS, remind_before=["P2D"])),
    "MessageSkipped of a cancellation": Case(booked, plans("AppointmentCancelled", contact=None)),
    "MessageSkipped of a reschedule": Case(
        booked, plans("AppointmentRescheduled", starts_at=STARTS + DAY, remind_before=["P2D"])
    ),
    "MessageSkipped of one planned too late": Case(
        written, plans("AppointmentBooked", starts_at=NOON + DAY, remind_before=["P2D"])
    ),
    "MessageSkipped of an erasure": Case(
        booked, lambda world, around, _: world.erase(EraseContact(ANNA, NOON), around)
    ),
    "ContactErased": Case(written, lambda world, around, _: world.erase(EraseContact(ANNA, NOON), around)),
    "MessageDelivered": Case(
        reminded, lambda world, around, _: world.report(receipt(world.provider.handed[0], "delivered"), around)
    ),
    "MessageUndelivered": Case(
        reminded, lambda world, around, _: world.report(receipt(world.provider.handed[0], "undelivered"), around)
    ),
    "ContactOptedOut of a receipt": Case(
        reminded, lambda world, around, _: world.report(receipt(world.provider.handed[0], "opted_out"), around)
    ),
    "ContactOptedOut of a business": Case(
        written, lambda world, around, _: world.record_choice(choice(allowed=False), around)
    ),
    "ContactLinked": Case(written, ports(link_contact, LinkContact(ANNA, OTHER, NOON))),
    "ContactMoved": Case(written, ports(move_contact, MoveContact(ANNA, OTHER, NOON))),
    "SendingPaused": Case(nothing, ports(pause_sending, PauseSending(None, "all", NOON))),
    "SendingResumed": Case(
        lambda world: ports(pause_sending, PauseSending(None, "all", NOON - DAY))(world, None, NOON),
        ports(pause_sending, ResumeSending(None, "all", NOON)),
    ),
    "EventRejected": Case(nothing, rejects),
}
"""Return the published event and its rule."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("meanwhile", [False, True])
def test_repeat_publishes_what_a_killed_function_stored(
    monkeypatch: pytest.MonkeyPatch, name: str, *, meanwhile: bool
) -> None:
    """``meanwhile``: the send groups run for three days before the repeat comes."""
    monkeypatch.setattr(fakes, "render", asking_render)
    case, detail_type = CASES[name], name.partition(" ")[0]

    def published(world: World) -> list[OutEvent]:
        return [event for event in world.bus.events if event.type == detail_type]

    wanted = prepared(case)
    case.act(wanted, None, wanted.clock.now)
    assert published(wanted)
    for nth in range(1, len(wanted.bus.events) + 2):
        world = prepared(case)
        at = world.clock.now
        try:
            case.act(world, Fault(only="publish", nth=nth), at)
        except Crash:
            pass
        else:
            break
        world.clock.forward(minutes=1)
        if meanwhile:
            world.clock.now = max(at, STARTS - 2 * DAY) + timedelta(minutes=1)
            world.run_sender()
        case.act(world, None, at)
        ids = {event.detail.get("scheduled_message_id") for event in published(world)}
        assert {event.detail.get("scheduled_message_id") for event in published(wanted)} <= ids, nth
    assert nth > 1


def prepared(case: Case) -> World:
    world = World()
    case.prepare(world)
    world.bus.events.clear()
    return world


@pytest.mark.parametrize("bought_again", [False, True])
def test_a_repeated_purchase_publishes_what_it_withdrew(*, bought_again: bool) -> None:
    """A purchase withdrew a cart's reminder, and its publish failed: no retry published the skip."""
    world = World()
    world.receive(inbound(NOON, message_id="m-1"))
    world.plan(business("CartAbandoned", NOON, contact=ANNA, items=["Lamp"]))
    bought = business("PurchaseMade", NOON + timedelta(minutes=5), subject_id="all", contact=ANNA, cart=True)
    world.clock.now = NOON + timedelta(minutes=5)
    with pytest.raises(NotPublished):
        world.plan(bought, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    if bought_again:
        later = replace(bought, version=bought.version + 1, arrived_at=bought.arrived_at + timedelta(seconds=1))
        world.plan(later)
    world.plan(bought)
    assert [skipped["rule"] for skipped in world.bus.details("MessageSkipped")] == ["cancelled"]


def test_a_stale_retry_publishes_what_it_withdrew() -> None:
    """A function died after it withdrew the reminders, and a newer event came before the retry."""
    world = World()
    starts_at = NOON + timedelta(days=7)
    world.plan(business("AppointmentBooked", NOON, contact=ANNA, starts_at=starts_at))
    world.clock.now = NOON + timedelta(seconds=2)
    later = [
        replace(business("AppointmentRescheduled", at, starts_at=starts_at + timedelta(days=n)), arrived_at=at)
        for n, at in ((1, NOON + timedelta(seconds=1)), (2, NOON + timedelta(seconds=2)))
    ]
    with pytest.raises(NotPublished):
        world.plan(later[0], Fault(error=lambda: NotPublished(1, 1), only="publish"))
    world.plan(later[1])
    world.bus.events.clear()
    world.clock.forward(minutes=1)
    assert world.plan(later[0]).stale
    rules = [skipped["rule"] for skipped in world.bus.details("MessageSkipped")]
    assert rules == ["superseded"] * 4, "two of the first time, and two of the second one"


@pytest.mark.parametrize(
    "newer",
    [
        {"detail_type": "AppointmentCancelled"},
        {"detail_type": "AppointmentCancelled", "contact": ANNA},
        {"detail_type": "AppointmentRescheduled", "location": "Room 2"},
        {"detail_type": "AppointmentRescheduled", "starts_at": NOON + timedelta(days=9)},
    ],
)
def test_retry_publishes_what_a_newer_event_hides(newer: dict[str, Any]) -> None:
    """Part of a publish failed, and a visit was cancelled a second later: the retry published the newer skips only."""
    world = World()
    world.plan(business("AppointmentBooked", NOON, contact=ANNA, starts_at=NOON + timedelta(days=7)))
    first, second = NOON + timedelta(seconds=1), NOON + timedelta(seconds=2)
    world.clock.now = first
    moved = replace(business("AppointmentRescheduled", first, starts_at=NOON + timedelta(days=8)), arrived_at=first)
    with pytest.raises(NotPublished):
        world.plan(moved, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    world.clock.now = second
    world.plan(replace(business(newer["detail_type"], second, **_fields(newer)), arrived_at=second))
    world.clock.forward(minutes=1)
    world.plan(moved)
    assert skips(world) == {row.scheduled_message_id for row in world.store.rows() if row.state is State.SKIPPED}
    assert len(skips(world)) >= 2, "both reminders of the first time"


def test_retry_publishes_the_skip_of_a_former_contact() -> None:
    """A checkout ended a cart and died; the cart was filled again for another contact, and the skip was lost."""
    world, ben = World(), replace(ANNA, address="+16502530000")
    world.plan(business("CartAbandoned", NOON, contact=ANNA, items=["Lamp"]))
    first, second = NOON + timedelta(seconds=1), NOON + timedelta(seconds=2)
    world.clock.now = first
    paid = replace(business("CartCheckedOut", first), arrived_at=first)
    with pytest.raises(NotPublished):
        world.plan(paid, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    world.clock.now = second
    world.plan(replace(business("CartAbandoned", second, contact=ben, items=["Lamp"]), arrived_at=second))
    world.clock.forward(minutes=1)
    world.plan(paid)
    assert skips(world) == {row.scheduled_message_id for row in world.store.rows() if row.state is State.SKIPPED}
    assert len(skips(world)) == 1


@pytest.mark.parametrize("later", range(1, 5))
def test_retry_publishes_the_skip_of_a_contact_long_gone(later: int) -> None:
    """A second contact's cart was stored and its publish failed; further contacts came before the retry."""
    world, contacts = World(), [replace(ANNA, address=f"+1650253000{number}") for number in range(2 + later)]
    carts = [
        replace(business("CartAbandoned", at, contact=contact, items=["Lamp"]), arrived_at=at)
        for contact, at in ((contact, NOON + timedelta(seconds=number)) for number, contact in enumerate(contacts))
    ]
    for number, cart in enumerate(carts):
        world.clock.now = cart.arrived_at
        if number == 1:
            with pytest.raises(NotPublished):
                world.plan(cart, Fault(error=lambda: NotPublished(1, 1), only="publish"))
        else:
            world.plan(cart)
    world.clock.forward(minutes=1)
    world.plan(carts[1])
    assert skips(world) == {row.scheduled_message_id for row in world.store.rows() if row.state is State.SKIPPED}
    assert len(skips(world)) == 1 + later
    published = [event["scheduled_message_id"] for event in world.bus.details("MessageSkipped")]
    assert published.count(world.bus.details("MessagePlanned")[0]["scheduled_message_id"]) == 1


def chooses(*, allowed: bool) -> Act:
    def act(world: World, around: Around | None, at: datetime) -> None:
        world.record_choice(choice(allowed=allowed, at=at), around)

    return act


TWICE: Final = {
    "ContactOptedOut of two messages": Case(written, receives("STOP")),
    "ContactOptedOut of two events": Case(written, chooses(allowed=False)),
    "ContactOptedIn of two messages": Case(opted_out, receives("START")),
    "ContactOptedIn of two events": Case(opted_out, chooses(allowed=True)),
}


@pytest.mark.parametrize("name", TWICE)
def test_the_first_of_two_equal_choices_is_published(name: str) -> None:
    """STOP came twice within a second, and the first one's publish failed: the bus never had the opt-out."""
    case, detail_type = TWICE[name], name.partition(" ")[0]
    world = prepared(case)
    at = world.clock.now
    with pytest.raises(Crash):
        case.act(world, Fault(only="publish", nth=1), at)
    world.bus.events.clear()
    world.clock.forward(seconds=1)
    if name.endswith("messages"):
        text = "STOP" if detail_type == "ContactOptedOut" else "START"
        world.receive(inbound(world.clock.now, message_id="again", text=text))
    else:
        case.act(world, None, world.clock.now)
    world.clock.forward(minutes=1)
    case.act(world, None, at)
    assert [event.type for event in world.bus.events].count(detail_type) == 1


@pytest.mark.parametrize("late", [NOON - timedelta(minutes=30), NOON + timedelta(minutes=30)])
@pytest.mark.parametrize("detail_type", ["ContactOptedOut", "ContactOptedIn"])
def test_an_older_equal_choice_that_comes_late_is_no_news(detail_type: str, late: datetime) -> None:
    """Opt-outs of 12:00 and 13:00 were stored, then one of 12:30 came: it was published, though it changed nothing."""
    allowed = detail_type == "ContactOptedIn"
    world = prepared(Case(opted_out if allowed else written, chooses(allowed=allowed)))
    hour = timedelta(hours=1)
    for at in (NOON, NOON + hour, NOON + 2 * hour, late):
        world.clock.now = max(world.clock.now, at)
        chooses(allowed=allowed)(world, None, at)
    assert [event.type for event in world.bus.events] == [detail_type]


def test_the_retry_after_several_equal_choices_is_published() -> None:
    """The first of three opt-outs failed to publish: its retry is the only one that publishes."""
    world = prepared(Case(written, chooses(allowed=False)))
    at = world.clock.now
    with pytest.raises(Crash):
        chooses(allowed=False)(world, Fault(only="publish", nth=1), at)
    world.bus.events.clear()
    again = [at + timedelta(seconds=seconds) for seconds in (1, 2)]
    for instant in again:
        world.clock.now = instant
        chooses(allowed=False)(world, None, instant)
    world.clock.forward(minutes=1)
    for instant in again:
        chooses(allowed=False)(world, None, instant)
    assert not world.bus.events
    chooses(allowed=False)(world, None, at)
    assert [event.type for event in world.bus.events] == ["ContactOptedOut"]


@pytest.mark.parametrize(("first", "then", "kept"), [(False, True, "ContactOptedIn"), (True, False, "ContactOptedOut")])
def test_a_retry_never_publishes_a_choice_that_was_undone(*, first: bool, then: bool, kept: str) -> None:
    """The newest choice is the last one on the bus: a system that reads it in order must not undo it."""
    world = prepared(Case(opted_out if first else written, chooses(allowed=first)))
    at = world.clock.now
    with pytest.raises(Crash):
        chooses(allowed=first)(world, Fault(only="publish", nth=1), at)
    world.bus.events.clear()
    world.clock.forward(seconds=1)
    chooses(allowed=then)(world, None, world.clock.now)
    world.clock.forward(minutes=1)
    chooses(allowed=first)(world, None, at)
    assert [event.type for event in world.bus.events] == [kept]


def skips(world: World) -> set[str]:
    return {event["scheduled_message_id"] for event in world.bus.details("MessageSkipped")}


def _fields(newer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in newer.items() if name != "detail_type"}


def test_a_stale_retry_publishes_what_it_planned_too_late() -> None:
    """A function found a reminder too late, and died; a newer event came before the retry, and the skip was lost."""
    world = World()
    at = NOON + timedelta(minutes=1)
    soon = replace(business("AppointmentBooked", at, contact=ANNA, starts_at=NOON + timedelta(hours=5)), arrived_at=at)
    moved = business("AppointmentRescheduled", at + timedelta(seconds=1), starts_at=STARTS)
    world.clock.now = at
    with pytest.raises(NotPublished):
        world.plan(soon, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    world.plan(moved)
    assert [skipped["rule"] for skipped in world.bus.details("MessageSkipped")] == ["superseded"]
    world.clock.forward(minutes=1)
    assert world.plan(soon).stale
    skipped = {event["scheduled_message_id"]: event["rule"] for event in world.bus.details("MessageSkipped")}
    assert skipped == {row.scheduled_message_id: row.rule for row in world.store.rows() if row.state is State.SKIPPED}
    assert sorted(skipped.values()) == ["superseded", "too_late"]


@pytest.mark.parametrize("seconds_behind", [0, 3])
def test_a_retry_publishes_a_correction_that_was_too_late(seconds_behind: int) -> None:
    """A visit was cancelled after it, and booked again before the retry: the bus had no outcome of the correction."""
    world = World()
    written(world)
    world.plan(business("AppointmentBooked", NOON, contact=ANNA, starts_at=NOON + DAY, remind_before=["PT2H"]))
    world.clock.now = NOON + timedelta(hours=22)
    world.run_sender()
    assert len(world.provider.handed) == 1
    at = NOON + 2 * DAY
    cancelled = replace(business("AppointmentCancelled", at, contact=ANNA), arrived_at=at)
    again = business("AppointmentRescheduled", at + timedelta(seconds=2), starts_at=STARTS)
    world.clock.now = at - timedelta(seconds=seconds_behind)
    with pytest.raises(NotPublished):
        world.plan(cancelled, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    world.clock.now = at + timedelta(seconds=2)
    world.plan(replace(again, arrived_at=world.clock.now))
    world.clock.forward(minutes=1)
    world.plan(cancelled)
    published = {event["reason"]: event["rule"] for event in world.bus.details("MessageSkipped")}
    assert published["appointment_cancelled"] == "too_late"
