"""One text names the appointments of several messages; each message keeps its own row and outcome."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reengage.adapters.wording import FluentWording
from reengage.domain.brand import Brand
from reengage.domain.caps import Cap
from reengage.domain.commands import RecordDelivery
from reengage.domain.message import MERGED_INTO, MERGED_WITH, ScheduledMessage, State
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent
from reengage.ports import OptedOut, Refused, Retryable, Unknown
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Crash, Fault, World, business, inbound, worker

HOUR = timedelta(hours=1)
STARTS = NOON + timedelta(days=3)
DUE = STARTS - timedelta(days=1)
QUARTER = timedelta(minutes=15)
WHATSAPP = replace(ANNA, channel="whatsapp")


def booked(name: str, starts_at: datetime = STARTS, **fields: Any) -> BusinessEvent:
    fields = {"remind_before": ["P1D"], "timezone": "Europe/Berlin", **fields}
    return business("AppointmentBooked", subject_id=name, starts_at=starts_at, **fields)


def a_world(*events: BusinessEvent, **settings: Any) -> World:
    world = World(wording=FluentWording(), policy=PolicySettings(**settings))
    for contact in {event.contact for event in events}:
        assert contact
        world.receive(inbound(NOON, contact=contact))
    for event in events:
        world.plan(event)
    world.clock.now = DUE
    return world


FAMILY = tuple(booked(name, STARTS + n * QUARTER) for n, name in enumerate(["first", "second", "third"]))


def rows(world: World) -> dict[str, ScheduledMessage]:
    return {row.subject.id: row for row in world.store.rows() if row.reason == "appointment_reminder"}


def states(world: World) -> dict[str, State]:
    return {name: row.state for name, row in rows(world).items()}


def test_family_gets_one_text_with_all_appointments() -> None:
    """A mother of three got six reminders in a quarter of an hour."""
    world = a_world(*FAMILY)
    assert world.run_sender()["sent"] == 3
    [outbound] = world.provider.handed
    for time in ("1:00", "1:15", "1:30"):
        assert f"{time} PM" in outbound.wording.text
    assert "your 3 appointments" in outbound.wording.text
    assert set(states(world).values()) == {State.SENT}
    first, *others = rows(world).values()
    assert first.facts[MERGED_WITH] == [other.scheduled_message_id for other in others]
    for other in others:
        assert other.facts[MERGED_INTO] == first.scheduled_message_id
        assert other.provider_message_id == first.provider_message_id == "provider-1"
    assert len(world.bus.details("MessageSent")) == 3


def test_each_named_message_is_published_after_a_kill() -> None:
    """The others were settled before they were due, so no list has them: the first one's row does."""
    world = a_world(*FAMILY)
    world.bus.events.clear()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + HOUR)
    assert set(states(world).values()) == {State.SENT}
    assert world.bus.events == []
    world.clock.now += CLAIM_LASTS
    world.run_sender()
    published = [detail["scheduled_message_id"] for detail in world.bus.details("MessageSent")]
    assert sorted(published) == sorted(row.scheduled_message_id for row in rows(world).values())


def test_same_place_and_time_is_named_once() -> None:
    world = a_world(booked("first"), booked("second"))
    world.run_sender()
    [outbound] = world.provider.handed
    assert outbound.wording.text.count("1:00 PM") == 1
    assert "2 appointments" in outbound.wording.text


def test_message_due_more_than_an_hour_later_waits() -> None:
    late = booked("late", STARTS + HOUR + timedelta(seconds=1))
    world = a_world(booked("first"), booked("second", STARTS + HOUR), late)
    world.run_sender()
    assert states(world) == {"first": State.SENT, "second": State.SENT, "late": State.SCHEDULED}


def test_other_contacts_and_reasons_are_not_merged() -> None:
    ben = replace(ANNA, address="+4915112345679")
    checked_in = booked("second", remind_before=["PT2H"], check_in_url="https://acme.example/a", check_in_before="P1D")
    world = a_world(booked("first"), booked("other", contact=ben), checked_in)
    world.run_sender()
    assert len(world.provider.handed) == 3
    assert all(not outbound.others for outbound in world.provider.handed)


def test_cap_counts_one_text_once() -> None:
    """The sixth reminder of a family was held by the cap until half an hour before its visit."""
    world = a_world(*FAMILY, caps={"utility": (Cap(1, timedelta(days=1)),)})
    world.run_sender()
    assert set(states(world).values()) == {State.SENT}
    [contact] = {row.contact for row in world.store.rows()}
    assert len(world.store.read_holdings(contact).cap_usage["utility"].taken) == 1


def test_cancelled_and_held_ones_are_left_out() -> None:
    world = a_world(*FAMILY)
    cancelled = business("AppointmentCancelled", NOON, subject_id="second")
    subject = world.store.read_subject(cancelled.subject)
    assert subject
    # The planner was cut short: only the subject is stored.
    assert world.store.write_subject(subject.apply(cancelled))
    world.run_sender()
    assert "2 appointments" in world.provider.handed[0].wording.text
    assert "1:15" not in world.provider.handed[0].wording.text
    world.clock.now += QUARTER
    world.run_sender()
    assert states(world) == {"first": State.SENT, "second": State.SKIPPED, "third": State.SENT}
    assert len(world.provider.handed) == 1


def test_template_names_one_appointment() -> None:
    """Later than 24 hours after the person wrote, WhatsApp takes only approved templates."""
    events = [booked(name, contact=WHATSAPP) for name in ("first", "second")]
    world = a_world(*events, whatsapp_templates=frozenset({"appointment_reminder"}))
    world.run_sender()
    assert len(world.provider.handed) == 2
    assert set(states(world).values()) == {State.SENT}
    world = a_world(*events, whatsapp_templates=frozenset({"appointment_reminder"}))
    world.receive(inbound(DUE - HOUR, contact=WHATSAPP))
    world.run_sender()
    [outbound] = world.provider.handed
    assert outbound.start_before <= outbound.free_text_until


def test_own_text_of_a_brand_is_not_replaced() -> None:
    world = a_world(*FAMILY)
    texts = {"en": {"appointment_reminder": "Come at { $time }."}}
    assert world.store.write_brand(Brand(ANNA.brand, texts=texts, versions={"texts": 1}))
    world.run_sender()
    assert all(not outbound.others for outbound in world.provider.handed)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Unknown("no answer"), State.UNCONFIRMED),
        (Retryable("busy"), State.SCHEDULED),
        (Retryable("busy", timedelta(minutes=30)), State.SCHEDULED),
    ],
)
def test_all_share_the_outcome_of_the_call(answer: Unknown | Retryable, state: State) -> None:
    world = a_world(*FAMILY)
    world.provider.script.append(answer)
    world.run_sender()
    assert len(world.provider.handed) == 1
    assert set(states(world).values()) == {state}
    world.clock.now += timedelta(minutes=30)
    world.run_sender()
    if state is State.UNCONFIRMED:
        assert len(world.provider.handed) == 1, "never repeated"
        return
    assert len(world.provider.handed) == 2, "together again"
    assert set(states(world).values()) == {State.SENT}


@pytest.mark.parametrize("answer", [Refused("too long"), OptedOut("stopped")])
def test_refused_text_leaves_the_others_to_their_own_try(answer: Refused | OptedOut) -> None:
    world = a_world(*FAMILY)
    world.provider.script.append(answer)
    world.run_sender()
    world.clock.now += HOUR
    world.run_sender()
    found = states(world)
    assert found["first"] is State.FAILED
    others = {State.SENT} if isinstance(answer, Refused) else {State.SKIPPED}
    assert {found["second"], found["third"]} == others


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 16))
def test_crash_at_any_call_sends_no_appointment_twice(nth: int, after: bool) -> None:
    world = a_world(*FAMILY)
    with suppress(Crash, BaseExceptionGroup):
        world.run_sender(around=Fault(Crash, nth, after))
    for _ in range(4):
        world.clock.now += CLAIM_LASTS
        world.run_sender()
    named = [
        message.subject.id for outbound in world.provider.handed for message in (outbound.message, *outbound.others)
    ]
    assert len(named) == len(set(named))
    assert set(states(world).values()) <= {State.SENT, State.UNCONFIRMED}


@pytest.mark.parametrize("is_early", [False, True])
def test_receipt_counts_for_all_appointments_of_the_text(is_early: bool) -> None:
    world = a_world(*FAMILY)

    def report() -> None:
        first = rows(world)["first"]
        receipt = RecordDelivery(
            first.contact, first.scheduled_message_id, "delivered", world.clock.now, "provider-1", event_id="receipt-1"
        )
        for _ in range(2):
            world.report(receipt)

    def around(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "send" and is_early:
            report()
        return answer

    world.run_sender(around=around)
    if not is_early:
        report()
    assert set(states(world).values()) == {State.DELIVERED}
    delivered = {detail["subject_id"] for detail in world.bus.details("MessageDelivered")}
    assert delivered == {"first", "second", "third"}


def test_two_senders_name_each_appointment_once() -> None:
    """Another run claims one of the others between the search and the claim."""
    world = a_world(*FAMILY)
    is_first = True

    def around(name: str, call: Callable[[], Any]) -> Any:
        nonlocal is_first
        answer = call()
        if name == "pending_messages" and is_first:
            is_first = False
            world.run_sender()
        return answer

    world.run_sender(around=around)
    named = [m.subject.id for outbound in world.provider.handed for m in (outbound.message, *outbound.others)]
    assert sorted(named) == ["first", "second", "third"]


# Answers


def answers(world: World) -> list[tuple[str | None, str]]:
    return [(detail.get("subject_id"), detail["answer"]) for detail in world.bus.details("AppointmentAnswered")]


@pytest.mark.parametrize("quotes", [False, True])
def test_one_confirms_all_appointments_of_the_text(quotes: bool) -> None:
    world = a_world(*FAMILY)
    world.run_sender()
    quoted: dict[str, Any] = {"quoted_message_id": "provider-1"} if quotes else {}
    for number in range(2):
        world.receive(inbound(DUE + HOUR, message_id=f"in-{number}", text="1", **quoted))
    assert sorted(answers(world)) == [(name, "confirmed") for name in ("first", "second", "third")]
    assert world.provider.handed[-1].message.facts == {"answer": "confirmed", "count": 3}


@pytest.mark.parametrize("text", ["2", "cancel", "3"])
@pytest.mark.parametrize("quotes", [False, True])
def test_cancel_of_one_of_several_is_unclear(text: str, quotes: bool) -> None:
    """The text offers only to confirm all: nothing else is bound by a guess."""
    world = a_world(*FAMILY)
    world.run_sender()
    quoted: dict[str, Any] = {"quoted_message_id": "provider-1"} if quotes else {}
    world.receive(inbound(DUE + HOUR, text=text, **quoted))
    [detail] = world.bus.details("AppointmentAnswered")
    assert detail["answer"] == "unclear"
    assert {each["subject_id"] for each in detail["candidates"]} == {"first", "second", "third"}
    assert all(row.answer is None for row in rows(world).values())


def test_cancel_may_mean_a_confirmed_one_of_the_text() -> None:
    """The business knew that the first of two children comes. A "2" to the text about both cancelled the second one."""
    world = a_world(*FAMILY[:2])
    world.plan(business("AppointmentConfirmed", NOON + HOUR, subject_id="first"))
    world.run_sender()
    world.receive(inbound(DUE + HOUR, text="2"))
    [detail] = world.bus.details("AppointmentAnswered")
    assert (detail["answer"], len(detail["candidates"])) == ("unclear", 2)


def test_confirmation_of_a_moved_one_is_unclear_for_it_alone() -> None:
    world = a_world(*FAMILY)
    world.run_sender()
    world.clock.now = DUE + HOUR
    world.plan(business("AppointmentRescheduled", DUE + HOUR, subject_id="second", starts_at=STARTS + 5 * HOUR))
    world.receive(inbound(DUE + HOUR, text="1", quoted_message_id="provider-1"))
    assert sorted(answers(world)) == [("first", "confirmed"), ("second", "unclear"), ("third", "confirmed")]
    assert world.provider.handed[-1].message.facts == {"answer": "confirmed", "count": 2}


def test_another_open_question_makes_a_confirmation_unclear() -> None:
    world = a_world(*FAMILY, booked("later", STARTS + 3 * HOUR))
    world.run_sender()
    world.clock.now += 3 * HOUR
    world.run_sender()
    assert len(world.provider.handed) == 2
    world.receive(inbound(world.clock.now, text="1"))
    assert answers(world) == [(None, "unclear")]
