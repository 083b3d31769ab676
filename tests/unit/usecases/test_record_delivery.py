"""Receipts come twice, out of order, and before their message was settled; a state only moves forward."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from reengage.domain.message import ScheduledMessage, State
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import NotDelivered, Refused, Unknown
from reengage.usecases.record_delivery import Receipt, Status
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Crash, Fault, World, business, inbound, receipt

STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)


def story() -> World:
    world = World()
    world.receive(inbound())
    world.hear(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"]))
    world.clock.now = DUE
    return world


def sent() -> World:
    world = story()
    world.tick()
    world.bus.events.clear()
    return world


def row(world: World) -> ScheduledMessage:
    (only,) = world.store.rows()
    return only


def about(world: World, status: Status, **more: Any) -> Receipt:
    return receipt(world.provider.handed[0], status, DUE + timedelta(seconds=4), **more)


@pytest.mark.parametrize(
    ("status", "state", "told"),
    [
        ("delivered", State.DELIVERED, "MessageDelivered"),
        ("undelivered", State.UNDELIVERED, "MessageUndelivered"),
        ("opted_out", State.UNDELIVERED, "MessageUndelivered"),
    ],
)
def test_a_receipt_moves_the_message_forward_and_is_told(status: Status, state: State, told: str) -> None:
    world = sent()
    assert world.report(about(world, status, error="30003" if status == "undelivered" else "")) == "recorded"
    assert row(world).state is state
    (event,) = world.bus.events
    assert event.type == told
    assert event.detail["provider_message_id"] == "provider-1"
    assert event.detail["at"] == "2026-03-12T10:00:04Z"
    assert event.detail.get("error") == {"delivered": None, "undelivered": "30003", "opted_out": "opted_out"}[status]
    assert event.detail["scheduled_message_id"] == row(world).scheduled_message_id


def test_a_message_that_was_handed_over_for_another_system_is_sent_when_that_says_so() -> None:
    """Its own id counts, and what it says of a message that is settled as sent is a repeat."""
    world = sent()
    assert world.report(about(world, "sent", provider_message_id="wamid.1")) == "repeated"
    assert world.bus.types() == ["MessageSent"]


STATUSES: tuple[Status, ...] = ("sent", "delivered", "undelivered")


@pytest.mark.parametrize("order", list(product(STATUSES, repeat=3)), ids="-".join)
def test_in_every_order_and_however_often_the_first_final_word_stands(order: tuple[Status, ...]) -> None:
    world = sent()
    for status in order:
        world.report(about(world, status))
    finals: list[Status] = [status for status in order if status != "sent"]
    assert row(world).state == (finals or ["sent"])[0]
    # Told is what moved it, or repeats where it stands; a word that comes too late is not.
    before = order.index(finals[0]) if finals else len(order)
    told = {"MessageSent"} if before else set()
    told |= {f"Message{status.capitalize()}" for status in finals[:1]}
    assert set(world.bus.types()) == told


def test_a_repeat_is_told_again_for_the_first_may_have_been_cut_short() -> None:
    world = sent()
    with pytest.raises(Crash):
        world.report(about(world, "delivered"), Fault(only="publish"))
    assert row(world).state is State.DELIVERED
    assert world.report(about(world, "delivered")) == "repeated"
    assert world.bus.types() == ["MessageDelivered"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_at_any_call_is_mended_by_the_retry(nth: int, after: bool) -> None:
    world = sent()
    with pytest.raises(Crash):
        world.report(about(world, "delivered"), Fault(nth=nth, after=after))
    world.report(about(world, "delivered"))
    assert row(world).state is State.DELIVERED
    assert set(world.bus.types()) == {"MessageDelivered"}


@pytest.mark.parametrize("status", STATUSES)
def test_a_receipt_before_the_owners_settlement_takes_the_row_out_of_the_index(status: Status) -> None:
    """The provider is quick, or the run died right after the hand-over: the receipt knows what became of it."""
    world = story()
    with pytest.raises(Crash):
        world.sender(around=Fault(only="settle"))._drain(ANNA.shard, DUE + timedelta(minutes=1))
    assert row(world).state is State.SENDING
    assert world.report(about(world, status)) == "recorded"
    assert row(world).state == status
    world.clock.now = DUE + CLAIM_LASTS * 2
    assert world.tick()["due"] == 0


@pytest.mark.parametrize("status", STATUSES)
def test_a_receipt_clears_up_what_was_unconfirmed(status: Status) -> None:
    world = story()
    world.provider.script.append(Unknown("ReadTimeoutError"))
    world.tick()
    assert row(world).state is State.UNCONFIRMED
    assert world.report(about(world, status)) == "recorded"
    assert row(world).state == status


def test_a_message_that_was_refused_or_is_still_to_come_ignores_receipts() -> None:
    for outcome, state in ((Refused("no"), State.FAILED), (NotDelivered("later"), State.SCHEDULED)):
        world = story()
        world.provider.script.append(outcome)
        world.tick()
        world.bus.events.clear()
        for status in STATUSES:
            assert world.report(about(world, status)) == "ignored"
        assert row(world).state is state
        assert world.bus.events == []


@pytest.mark.parametrize("of", ["another id", "another contact", "deleted by TTL"])
def test_a_receipt_of_an_unknown_message_is_rejected_by_the_fields_name(of: str) -> None:
    world = sent()
    known = about(world, "delivered")
    unknown = {
        "another id": Receipt(ANNA, "0" * 36, "delivered", DUE),
        "another contact": Receipt(
            inbound(contact=type(ANNA)("other", "sms", ANNA.address)).contact,
            known.scheduled_message_id,
            "delivered",
            DUE,
        ),
        "deleted by TTL": known,
    }[of]
    if of == "deleted by TTL":
        world.store.expire(DUE + timedelta(days=30))
    with pytest.raises(InvalidEvent, match=r"\$\.detail\.scheduled_message_id"):
        world.report(unknown)
    assert world.bus.events == []


def test_what_could_not_be_told_is_retried() -> None:
    world = sent()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.report(about(world, "delivered"))
    assert world.report(about(world, "delivered")) == "repeated"
    assert world.bus.types() == ["MessageDelivered"]
