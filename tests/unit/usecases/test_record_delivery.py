"""Receipts are repeated, out of order, or earlier than their message's settlement; a state only moves forward."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from reengage.domain.commands import RecordDelivery, Status
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Choice, OptOutScope
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import Refused, Retryable, Unknown
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Crash, Fault, World, business, inbound, receipt, worker

STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)


def story() -> World:
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"]))
    world.clock.now = DUE
    return world


def sent() -> World:
    world = story()
    world.run_sender()
    world.bus.events.clear()
    return world


def row(world: World) -> ScheduledMessage:
    (only,) = world.store.rows()
    return only


def about(world: World, status: Status, **more: Any) -> RecordDelivery:
    """By one event for each status, so that the same again is a retry of ours, not of the provider's."""
    return receipt(world.provider.handed[0], status, DUE + timedelta(seconds=4), event_id=status, **more)


def replan(world: World, status: Status, **more: Any) -> RecordDelivery:
    """A repeat by the provider: another event, with a later time."""
    return receipt(world.provider.handed[0], status, world.clock.now, event_id=f"again {status}", **more)


@pytest.mark.parametrize(
    ("status", "state", "published"),
    [
        ("delivered", State.DELIVERED, "MessageDelivered"),
        ("undelivered", State.UNDELIVERED, "MessageUndelivered"),
        ("opted_out", State.UNDELIVERED, "MessageUndelivered"),
    ],
)
def test_receipt_advances_the_message_and_is_published(status: Status, state: State, published: str) -> None:
    world = sent()
    assert world.report(about(world, status, error="30003" if status == "undelivered" else "")) == "recorded"
    assert row(world).state is state
    *choices, event = world.bus.events
    assert [choice.type for choice in choices] == ["ContactOptedOut"] * (status == "opted_out")
    assert event.type == published
    assert event.detail["provider_message_id"] == "provider-1"
    assert event.detail["at"] == "2026-03-12T10:00:04Z"
    assert event.detail.get("error") == {"delivered": None, "undelivered": "30003", "opted_out": "opted_out"}[status]
    assert event.detail["scheduled_message_id"] == row(world).scheduled_message_id


def test_delivery_has_no_error_of_an_earlier_try() -> None:
    """A message that an outage delayed was published as delivered with the error of the outage."""
    world = sent()
    key = row(world).key
    world.store._rows[key] = world.store._rows[key].changed(attempts=1, error="503")
    assert world.report(about(world, "delivered")) == "recorded"
    assert "error" not in world.bus.events[-1].detail


def test_sent_is_published_once_by_the_first_to_know() -> None:
    """Three more statuses of Twilio (queued, sending, sent) published and counted each message four times."""
    world = sent()
    for _ in range(3):
        assert world.report(about(world, "sent", provider_message_id="SM1")) == "repeated"
        assert world.report(replan(world, "sent", provider_message_id="SM1")) == "repeated"
    assert world.bus.types() == []


@pytest.mark.parametrize("status", ["delivered", "undelivered", "opted_out"])
def test_repeated_receipt_is_published_once(status: Status) -> None:
    world = sent()
    world.report(about(world, status, error="30003"))
    published = world.bus.types()
    assert world.report(replan(world, status, error="30003")) == "repeated"
    assert world.bus.types() == published


@pytest.mark.parametrize("error", ["30003", "21610"])
def test_opt_out_after_another_failure_is_not_a_repeat(error: str) -> None:
    """Both end as undelivered with the same error: the opt-out was mistaken for a repeat, and lost."""
    world = sent()
    world.report(about(world, "undelivered", error=error))
    world.report(about(world, "opted_out", error="21610"))
    assert refused(world)


def test_event_replayed_by_hand_is_published_again() -> None:
    """It is another event and names the first, which had advanced the row but was not published."""
    world = sent()
    with pytest.raises(Crash):
        world.report(about(world, "delivered"), Fault(only="publish"))
    assert world.report(replan(world, "delivered")) == "repeated"
    assert world.bus.types() == []
    assert world.report(about(world, "delivered")) == "repeated"
    assert world.bus.types() == ["MessageDelivered"]


def test_receipt_without_event_id_is_published_each_time() -> None:
    world = sent()
    published = receipt(world.provider.handed[0], "delivered")
    assert world.report(about(world, "sent")) == "repeated"
    assert [world.report(published), world.report(published)] == ["recorded", "repeated"]
    assert world.bus.types() == ["MessageDelivered"] * 2


def test_receipt_of_an_earlier_version_keeps_the_newer_open() -> None:
    """The row was replaced between two reads, so the newer, unsent message was published as delivered."""
    world = story()
    world.provider.script.append(Retryable("HTTP 429"))
    world.run_sender()
    stale = replace(row(world), state=State.DELIVERED, settled_at=DUE)
    world.plan(business("AppointmentRescheduled", NOON + timedelta(hours=1), starts_at=STARTS, location="Room 2"))
    assert row(world).scheduled_message_id != stale.scheduled_message_id
    assert not world.store.record_receipt(stale)
    assert row(world).state is State.SCHEDULED


STATUSES: tuple[Status, ...] = ("sent", "delivered", "undelivered")


@pytest.mark.parametrize("order", list(product(STATUSES, repeat=3)), ids="-".join)
def test_first_final_state_is_kept_in_any_order(order: tuple[Status, ...]) -> None:
    world = sent()
    for status in order:
        world.report(about(world, status))
    finals: list[Status] = [status for status in order if status != "sent"]
    assert row(world).state == (finals or ["sent"])[0]
    # Only a receipt that advances the message is published.
    assert set(world.bus.types()) == {f"Message{status.capitalize()}" for status in finals[:1]}


def test_repeat_is_published_again_after_an_interrupted_first() -> None:
    world = sent()
    with pytest.raises(Crash):
        world.report(about(world, "delivered"), Fault(only="publish"))
    assert row(world).state is State.DELIVERED
    assert world.report(about(world, "delivered")) == "repeated"
    assert world.bus.types() == ["MessageDelivered"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_retry_completes_after_a_crash_at_any_call(nth: int, after: bool) -> None:
    world = sent()
    with pytest.raises(Crash):
        world.report(about(world, "delivered"), Fault(nth=nth, after=after))
    world.report(about(world, "delivered"))
    assert row(world).state is State.DELIVERED
    assert set(world.bus.types()) == {"MessageDelivered"}


@pytest.mark.parametrize("status", STATUSES)
def test_receipt_before_settlement_removes_the_row_from_index(status: Status) -> None:
    """The provider was quick, or the run crashed right after the send: the receipt has the outcome."""
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="settle")), ANNA.shard, DUE + timedelta(minutes=1))
    assert row(world).state is State.SENDING
    assert world.report(about(world, status)) == "recorded"
    assert row(world).state == status
    world.clock.now = DUE + CLAIM_LASTS * 2
    assert world.run_sender()["due"] == 0


@pytest.mark.parametrize("status", STATUSES)
def test_a_receipt_clears_up_what_was_unconfirmed(status: Status) -> None:
    world = story()
    world.provider.script.append(Unknown("ReadTimeoutError"))
    world.run_sender()
    assert row(world).state is State.UNCONFIRMED
    assert world.report(about(world, status)) == "recorded"
    assert row(world).state == status


def test_refused_or_unsent_message_ignores_receipts() -> None:
    world = story()
    for state in (State.SCHEDULED, State.FAILED):
        if state is State.FAILED:
            world.provider.script.append(Refused("no"))
            world.run_sender()
        world.bus.events.clear()
        for status in STATUSES:
            published = RecordDelivery(ANNA, row(world).scheduled_message_id, status, DUE, event_id=status)
            assert world.report(published) == "ignored"
        assert row(world).state is state
        assert world.bus.types() == []


@pytest.mark.parametrize("status", STATUSES)
def test_a_receipt_of_one_that_is_to_be_tried_again_ends_it(status: Status) -> None:
    """The response was "not accepted", but the message was sent: a retry would have sent it twice."""
    world = story()
    world.provider.script.append(Retryable("HTTP 429"))
    world.run_sender()
    assert (row(world).state, row(world).attempts) == (State.SCHEDULED, 1)
    assert world.report(about(world, status)) == "recorded"
    assert row(world).state == status
    world.clock.now = row(world).due_at
    assert world.run_sender()["due"] == 0
    assert len(world.provider.handed) == 1


@pytest.mark.parametrize("of", ["another id", "another contact", "deleted by TTL"])
def test_receipt_of_an_unknown_message_names_the_field(of: str) -> None:
    world = sent()
    known = about(world, "delivered")
    reported = {
        "another id": RecordDelivery(ANNA, "0" * 36, "delivered", DUE),
        "another contact": RecordDelivery(
            inbound(contact=type(ANNA)("other", "sms", ANNA.address)).contact,
            known.scheduled_message_id,
            "delivered",
            DUE,
        ),
        "deleted by TTL": known,
    }[of]
    if of == "deleted by TTL":
        world.store.expire(row(world).valid_until + timedelta(days=30))
    with pytest.raises(InvalidEvent, match=r"\$\.detail\.scheduled_message_id"):
        world.report(reported)
    assert world.bus.events == []


def test_publish_failure_is_retried() -> None:
    world = sent()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.report(about(world, "delivered"))
    assert world.report(about(world, "delivered")) == "repeated"
    assert world.bus.types() == ["MessageDelivered"]


# Who has opted out at the provider


def refused(world: World, channel: str = "sms") -> Choice | None:
    return world.store.read_preferences(ANNA).refused("contact", channel)


def unknown(at: datetime = DUE) -> RecordDelivery:
    return RecordDelivery(ANNA, "0" * 36, "opted_out", at, error="21610")


@pytest.mark.parametrize("scope", ["brand", "channel"])
def test_opt_out_at_the_provider_counts_from_that_instant(scope: OptOutScope) -> None:
    world = sent()
    world.ingest = replace(world.ingest, opt_out_scope=scope)
    opted_out = about(world, "opted_out", error="21610")
    world.report(opted_out)
    choice = refused(world)
    assert choice
    # A provider's own words may quote the address, and the row outlives the contact.
    cause = {"receipt_of": opted_out.scheduled_message_id}
    assert (choice.at, choice.cause) == (opted_out.at, cause)
    assert (refused(world, "rcs") is not None) == (scope == "brand")
    assert [detail["cause"] for detail in world.bus.details("ContactOptedOut")] == [cause]


def test_opt_out_counts_even_if_the_message_is_unknown() -> None:
    """It may be a provider's list of opt-outs, or a message that another system sent."""
    world = World()
    for _ in range(2):
        with pytest.raises(InvalidEvent, match=r"\$\.detail\.scheduled_message_id"):
            world.report(unknown())
        assert refused(world)
    assert "ContactOptedOut" in world.bus.types()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 9))
def test_opt_out_is_stored_first_and_published_by_the_retry(nth: int, after: bool) -> None:
    world = sent()
    fault = Fault(nth=nth, after=after)
    try:
        world.report(about(world, "opted_out"), fault)
    except Crash:
        assert fault.struck
    assert (refused(world) is not None) == (nth > 3 or (nth == 3 and after))
    world.report(about(world, "opted_out"))
    assert refused(world)
    assert row(world).state is State.UNDELIVERED
    assert set(world.bus.types()) == {"ContactOptedOut", "MessageUndelivered"}


def test_the_next_message_is_not_sent_any_more() -> None:
    world = story()
    world.plan(business("AppointmentBooked", subject_id="A-2", starts_at=STARTS + timedelta(hours=1)))
    world.run_sender()
    world.report(about(world, "opted_out"))
    world.clock.now = DUE + timedelta(hours=1)
    assert world.run_sender()["skipped"] == {"opted_out": 1}


def test_a_repeat_undoes_no_start_from_in_between() -> None:
    """Twilio's callbacks have the instant of their arrival, and a repeated one opted out a person who had returned."""
    world = sent()
    world.report(about(world, "opted_out", error="21610"))
    assert refused(world)
    world.clock.forward(minutes=1)
    world.receive(inbound(world.clock.now, text="START"))
    assert refused(world) is None
    world.bus.events.clear()
    world.clock.forward(minutes=1)
    assert world.report(replan(world, "opted_out", error="21610")) == "repeated"
    assert refused(world) is None
    assert world.bus.types() == []


def test_an_old_receipt_undoes_no_later_start() -> None:
    """Receipts come late; the person's own later choice holds."""
    world = sent()
    world.clock.forward(minutes=1)
    world.receive(inbound(world.clock.now, text="START"))
    world.bus.events.clear()
    world.report(about(world, "opted_out"))
    assert refused(world) is None
    assert world.bus.types() == ["MessageUndelivered"]


def test_a_receipt_does_not_move_the_time_of_the_send() -> None:
    """``explain`` dated a sent message by its receipt, which came an hour later."""
    world = sent()
    sent_at = row(world).settled_at
    world.clock.forward(hours=1)
    world.report(about(world, "delivered"))
    assert row(world).state is State.DELIVERED
    assert row(world).settled_at == sent_at
