"""Every outcome is published at least once, also if the sender is killed or the bus is down."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from reengage.domain.commands import EraseContact, RecordChoice
from reengage.domain.conversation import WINDOW
from reengage.domain.events_out import OutEvent
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.outbox import event_again, is_list_key
from reengage.domain.planning import reply
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.errors import NotPublished
from reengage.ports import OptedOut, Refused, Unknown
from reengage.usecases.outbox import KEYS_AT_ONCE, PUBLISH_AT_ONCE
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Crash, Fault, World, business, due_now, inbound, receipt, worker

STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)
MINUTE = timedelta(minutes=1)
OPT_OUT = RecordChoice(ANNA, "contact", Choice(allowed=False, at=DUE, cause={"word": "stop", "message_id": "m2"}))


def story(**policy: Any) -> World:
    """Return a world with one reminder of Anna's, due at this moment, with an open window."""
    world = World(policy=PolicySettings(**policy))
    world.receive(inbound(timezone="Europe/Berlin"))
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"]))
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def row(world: World) -> ScheduledMessage:
    (only,) = world.store.rows()
    return only


def later_runs(world: World) -> None:
    """Run until every claim and list of a killed run has expired, and once more."""
    for _ in range(3):
        world.clock.now += CLAIM_LASTS
        world.run_sender()


def lists(world: World) -> int:
    return len(world.store._unpublished)


ENDINGS: dict[str, tuple[str, Callable[[World], Any]]] = {
    "sent": ("MessageSent", lambda _: None),
    "skipped": ("MessageSkipped", lambda world: world.record_choice(OPT_OUT)),
    "failed": ("MessageFailed", lambda world: world.provider.script.append(Refused("131026"))),
    "unconfirmed": ("MessageUnconfirmed", lambda world: world.provider.script.append(Unknown("ReadTimeoutError"))),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_event_of_a_sender_killed_before_publishing_is_published(ending: str) -> None:
    detail_type, prepare = ENDINGS[ending]
    wanted = story()
    prepare(wanted)
    worker(wanted.sender(), ANNA.shard, DUE + MINUTE)
    (event,) = wanted.bus.events[-1:]
    assert event.type == detail_type

    world = story()
    prepare(world)
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish", nth=1)), ANNA.shard, DUE + MINUTE)
    assert row(world).state is State(ending)
    assert world.bus.events[len(wanted.bus.events) - 1 :] == []
    handed = len(world.provider.handed)
    later_runs(world)
    assert world.bus.events[-1:] == [event]
    assert len(world.provider.handed) == handed
    assert lists(world) == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_killed_at_any_call_its_outcome_is_published(ending: str, after: bool) -> None:
    _, prepare = ENDINGS[ending]
    for nth in count(1):
        world = story()
        prepare(world)
        fault = Fault(nth=nth, after=after)
        try:
            worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
        except Crash:
            pass
        else:
            assert not fault.struck
            break
        later_runs(world)
        state = row(world).state
        assert f"Message{state.capitalize()}" in world.bus.types(), (nth, fault.calls)
        assert lists(world) == 0, (nth, fault.calls)
        assert len(world.provider.handed) <= 1
    assert nth > 5


def test_hold_of_a_killed_sender_is_published() -> None:
    quiet = QuietHours.parse("10:00-11:30")
    wanted = story(quiet_hours={"utility": quiet})
    wanted.run_sender()
    (event,) = wanted.bus.events
    assert event.type == "MessageHeld"
    world = story(quiet_hours={"utility": quiet})
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + MINUTE)
    assert row(world).state is State.SCHEDULED
    world.clock.now += CLAIM_LASTS
    world.run_sender()
    assert world.bus.events == [event]


def test_event_that_the_bus_did_not_take_is_published_later() -> None:
    """An outage of the bus lost each event after its retries."""
    world = story()
    world.bus.failing = 1
    world.run_sender()
    assert world.bus.events == []
    assert lists(world) == 1
    world.bus.failing = 1
    world.clock.now += CLAIM_LASTS
    with pytest.raises(ExceptionGroup):
        world.run_sender()
    assert lists(world) == 1
    world.clock.now += MINUTE
    world.run_sender()
    assert world.bus.types() == ["MessageSent"]
    assert lists(world) == 0


def test_only_events_that_failed_are_published_again() -> None:
    world = many(PUBLISH_AT_ONCE + 5)
    world.bus.failing = PUBLISH_AT_ONCE
    worker(world.sender(), ANNA.shard, DUE + MINUTE)
    assert len(world.bus.events) == 5
    assert lists(world) == 1
    world.clock.now += CLAIM_LASTS
    world.run_sender()
    published = [event.detail["scheduled_message_id"] for event in world.bus.events]
    assert sorted(published) == sorted({row.scheduled_message_id for row in world.store.rows()})


def many(messages: int) -> World:
    """Return a world with reminders of Anna's that are due now."""
    world = World()
    world.receive(inbound())
    for number in range(messages):
        world.plan(business("AppointmentBooked", subject_id=f"A-{number}", starts_at=STARTS, remind_before=["PT2H"]))
    world.bus.events.clear()
    world.clock.now = DUE
    return world


@pytest.mark.slow
def test_a_run_writes_one_list_for_many_messages() -> None:
    world = many(KEYS_AT_ONCE)
    fault = Fault(nth=10_000)
    worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
    assert fault.calls.count("write_unpublished") == fault.calls.count("delete_unpublished") == 1
    assert fault.calls.index("write_unpublished") < fault.calls.index("claim")
    assert len(world.bus.events) == len(set(map(str, world.bus.events))) == KEYS_AT_ONCE


@pytest.mark.slow
def test_further_messages_get_further_lists() -> None:
    world = many(KEYS_AT_ONCE + 1)
    fault = Fault(nth=10_000)
    worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
    assert fault.calls.count("write_unpublished") == fault.calls.count("delete_unpublished") == 2
    assert lists(world) == 0


def test_no_message_is_handled_if_the_list_is_not_stored() -> None:
    world = story()
    fault = Fault(error=lambda: ConnectionError("table"), only="write_unpublished")
    _, errors = worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
    assert [type(error) for error in errors] == [ConnectionError]
    assert row(world).state is State.SCHEDULED
    assert world.provider.handed == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_outcome_is_published_if_the_answer_of_its_write_is_lost(ending: str) -> None:
    """The row was settled, the sender got an error, and retried the message."""
    detail_type, prepare = ENDINGS[ending]
    world = story()
    prepare(world)
    world.bus.events.clear()
    fault = Fault(error=lambda: ConnectionError("lost"), only="settle", after=True)
    worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
    assert row(world).state is State(ending)
    assert world.bus.events == []
    later_runs(world)
    assert world.bus.types() == [detail_type]
    assert lists(world) == 0


def test_hold_is_published_if_the_answer_of_its_write_is_lost() -> None:
    world = story(quiet_hours={"utility": QuietHours.parse("10:00-11:30")})
    fault = Fault(error=lambda: ConnectionError("lost"), only="release", after=True)
    worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
    world.clock.now += CLAIM_LASTS
    world.run_sender()
    assert world.bus.types() == ["MessageHeld"]


def test_list_of_a_run_at_work_is_not_published() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + MINUTE)
    world.clock.now += CLAIM_LASTS - timedelta(microseconds=1)
    world.run_sender()
    assert world.bus.events == []
    assert lists(world) == 1


def test_receipt_before_the_recovery_hides_no_event() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + MINUTE)
    world.report(receipt(world.provider.handed[0], "delivered"))
    assert world.bus.types() == ["MessageDelivered"]
    later_runs(world)
    assert world.bus.types() == ["MessageDelivered", "MessageSent"]


def test_outcome_of_another_run_is_not_published_twice() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="read_snapshot")), ANNA.shard, DUE + MINUTE)
    assert row(world).state is State.SENDING
    later_runs(world)
    assert world.bus.types() == ["MessageUnconfirmed"]


def test_erasure_removes_the_contact_from_every_list() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + MINUTE)
    assert ANNA.address in str(world.store._unpublished)
    world.erase(EraseContact(ANNA, DUE))
    assert ANNA.address not in str(world.store._unpublished)
    world.bus.events.clear()
    later_runs(world)
    assert world.bus.events == []


def test_lists_are_due_in_the_index_and_are_no_messages() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + MINUTE)
    (due,) = due_now(world.store, "appointments", ANNA.shard, DUE + CLAIM_LASTS)
    assert is_list_key(due.key)
    world.clock.now = DUE + CLAIM_LASTS
    assert world.run_sender()["due"] == 0


# A reply that is sent at once


def test_reply_of_a_killed_function_is_published_by_the_repeat() -> None:
    world = World()
    message = reply("help_reply", inbound(), NOON)
    with pytest.raises(Crash):
        world.sender(around=Fault(only="publish")).send_now(message)
    assert row(world).state is State.SENT
    world.sender().send_now(message)
    assert world.bus.types() == ["MessageSent"]
    assert len(world.provider.handed) == 1


def test_reply_that_the_bus_did_not_take_is_retried() -> None:
    world = World()
    world.bus.failing = 1
    message = reply("help_reply", inbound(), NOON)
    with pytest.raises(NotPublished):
        world.sender().send_now(message)
    world.sender().send_now(message)
    assert world.bus.types() == ["MessageSent"]
    assert len(world.provider.handed) == 1


# The event from the row


def test_row_without_an_outcome_has_no_event() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="claim")), ANNA.shard, DUE + MINUTE)
    (listed,) = world.store._unpublished.values()
    assert row(world).state is State.SCHEDULED
    assert event_again(row(world), listed) is None


# A closing window, and an opt-out that the provider reports


def closing() -> World:
    """A trial that ends after Anna's window closes: the business is to be warned now."""
    world = World(policy=PolicySettings(when_window_will_close="warn"))
    world.receive(inbound(timezone="Europe/Berlin"))
    ends_at = NOON + WINDOW + timedelta(days=1)
    world.plan(business("TrialStarted", ends_at=ends_at, product="Pro", follow_up=["P1D", "P2D"], subject_id="T-1"))
    world.bus.events.clear()
    world.clock.now = min(row.due_at for row in world.store.rows())
    return world


def closings(world: World) -> list[OutEvent]:
    return [event for event in world.bus.events if event.type == "ConversationClosing"]


@pytest.mark.parametrize("after", [False, True])
def test_closing_window_is_published_after_a_kill_at_any_call(after: bool) -> None:
    """A run was killed after it had marked a conversation, so no run published ``ConversationClosing``."""
    wanted = closing()
    assert not worker(wanted.sender("trials"), ANNA.shard, wanted.clock.now + MINUTE)[1]
    [event] = closings(wanted)
    for nth in count(1):
        world = closing()
        fault = Fault(nth=nth, after=after)
        try:
            worker(world.sender("trials", around=fault), ANNA.shard, world.clock.now + MINUTE)
        except Crash:
            pass
        else:
            assert not fault.struck
            break
        for _ in range(3):
            world.clock.now += CLAIM_LASTS
            world.run_sender("trials")
        assert closings(world), (nth, fault.calls)
        assert closings(world)[0].detail["expires_at"] == event.detail["expires_at"]
        assert {each["subject_id"] for each in closings(world)[0].detail["scheduled_messages"]} == {"T-1"}
        assert lists(world) == 0
    assert nth > 5


def test_closing_window_of_a_run_that_ended_is_published_once() -> None:
    world = closing()
    for _ in range(3):
        world.run_sender("trials")
        world.clock.now += CLAIM_LASTS
    assert len(closings(world)) == 1


@pytest.mark.parametrize("after", [False, True])
def test_opt_out_by_the_provider_survives_a_kill_at_any_call(after: bool) -> None:
    """A provider that knows of a STOP refuses each message, so the next run learns what a killed run has lost."""
    for nth in count(1):
        world = World()
        world.receive(inbound(timezone="Europe/Berlin"))
        world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H", "PT1H"]))
        world.provider.script += [OptedOut("21610")] * 2
        world.clock.now = DUE
        fault = Fault(nth=nth, after=after)
        try:
            worker(world.sender(around=fault), ANNA.shard, DUE + MINUTE)
        except Crash:
            pass
        else:
            assert not fault.struck
            break
        is_stored = world.store.read_preferences(ANNA).refused("contact", "sms") is not None
        assert not is_stored or "ContactOptedOut" in world.bus.types(), (nth, fault.calls)
        later_runs(world)
        world.clock.now = DUE + 61 * MINUTE
        later_runs(world)
        assert world.store.read_preferences(ANNA).refused("contact", "sms"), (nth, fault.calls)
        assert "ContactOptedOut" in world.bus.types(), (nth, fault.calls)
        assert all(row.state is not State.SENT for row in world.store.rows())
        assert len(world.provider.handed) <= 2
    assert nth > 5
