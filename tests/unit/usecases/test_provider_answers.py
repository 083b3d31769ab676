"""A provider's possible responses, their effects, and the wait for the channel's rate limit before the call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.policy import SNAPSHOT_VALID_FOR, PolicySettings
from reengage.domain.preferences import Choice, OptOutScope
from reengage.ports import Accepted, OptedOut, Outcome, Refused, Retryable, Unknown
from reengage.usecases.send_due_messages import send_due_messages, summary
from reengage.usecases.send_message import PREPARE_WITHIN, Sender
from reengage.usecases.settle_message import FIRST_BACKOFF
from tests.fakes import ANNA, NOON, Around, Fault, Unreachable, World, business, inbound

STARTS: Final = NOON + timedelta(days=10)
DUE: Final = STARTS - timedelta(hours=2)
MINUTE: Final = timedelta(minutes=1)
MICROSECOND: Final = timedelta(microseconds=1)
CAPPED: Final = PolicySettings(caps={"utility": parse_caps("5/P1D")})
STOP: Final = RecordChoice(ANNA, "contact", Choice(allowed=False, at=DUE, cause={"word": "stop", "message_id": "m2"}))
NOTHING: Final = {"due": 0, "sent": 0, "held": 0, "skipped": {}, "failed": 0, "unconfirmed": 0, "retried": 0, "left": 0}


def story(*answers: Outcome, policy: PolicySettings = CAPPED) -> World:
    """Return a world with one reminder of Anna's, due now, with an open window; the provider responds so."""
    world = World(policy=policy)
    world.provider.script.extend(answers)
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"]))
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def row(world: World) -> ScheduledMessage:
    (only,) = world.store.rows()
    return only


def cap_usage(world: World) -> Mapping[str, datetime]:
    """Return the cap usage of Anna's reminders."""
    return world.store.read_snapshot(row(world)).cap_usage.taken


def run(sender: Sender) -> dict[str, Any]:
    return summary(send_due_messages(sender, stop_at=sender.clock() + timedelta(seconds=50)))


# How each answer ends


@pytest.mark.parametrize(
    ("answer", "state", "published", "attempts", "keeps_usage"),
    [
        (Accepted("aws", "m-1"), State.SENT, ["MessageSent"], 0, True),
        (Refused("no such number"), State.FAILED, ["MessageFailed"], 1, False),
        (OptedOut("21610 opted out"), State.FAILED, ["ContactOptedOut", "MessageFailed"], 1, False),
        (OptedOut("131050 stopped", "marketing"), State.FAILED, ["MessageFailed"], 1, False),
        (Retryable("HTTP 429"), State.SCHEDULED, [], 1, False),
        (Unknown("ReadTimeoutError"), State.UNCONFIRMED, ["MessageUnconfirmed"], 0, True),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Outcome) else None,
)
def test_what_comes_of_an_answer(
    answer: Outcome, state: State, published: list[str], attempts: int, keeps_usage: bool
) -> None:
    world = story(answer)
    world.run_sender()
    stored = row(world)
    assert (stored.state, stored.attempts) == (state, attempts)
    assert stored.error == (None if isinstance(answer, Accepted) else answer.error)
    assert world.bus.types() == published
    assert list(cap_usage(world)) == ([stored.scheduled_message_id] if keeps_usage else [])
    assert len(world.provider.handed) == 1


@pytest.mark.parametrize(
    "answer", [Accepted("aws", "m-1"), Refused("no"), OptedOut("stop"), Unknown("?")], ids=lambda of: type(of).__name__
)
def test_what_has_ended_is_never_handed_over_again(answer: Outcome) -> None:
    world = story(answer)
    world.run_sender()
    world.clock.forward(minutes=30)
    assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == 1


# An opt-out that the provider knows of


def refusal(world: World, contact: Contact = ANNA) -> Choice | None:
    return world.store.read_preferences(contact).refused("contact", contact.channel)


def test_a_providers_opt_out_is_one_of_ours_from_then_on() -> None:
    world = story(OptedOut("21610 opted out"))
    assert world.run_sender() == {**NOTHING, "due": 1, "failed": 1}
    cause = {"refused": row(world).scheduled_message_id}
    assert refusal(world) == Choice(allowed=False, at=DUE, cause=cause)
    (published,) = world.bus.details("ContactOptedOut")
    assert published == {"contact": {"brand": "acme-dental", "channel": "sms", "address": ANNA.address}, "cause": cause}
    (failed,) = world.bus.details("MessageFailed")
    assert (failed["error"], failed["attempts"]) == ("21610 opted out", 1)


def test_opt_out_at_the_provider_stops_all_messages() -> None:
    world = story(OptedOut("21610 opted out"))
    world.plan(business("AppointmentBooked", subject_id="A-2", starts_at=STARTS + MINUTE, remind_before=["PT2H"]))
    world.run_sender()
    world.clock.forward(minutes=1)
    assert world.run_sender() == {**NOTHING, "due": 1, "skipped": {"opted_out": 1}}
    assert len(world.provider.handed) == 1


@pytest.mark.parametrize(("scope", "is_refused"), [("brand", True), ("channel", False)])
def test_it_covers_as_much_as_any_opt_out(scope: OptOutScope, is_refused: bool) -> None:
    world = story(OptedOut("21610 opted out"))
    run(replace(world.sender(), opt_out_scope=scope))
    assert refusal(world) is not None
    assert (refusal(world, replace(ANNA, channel="rcs")) is not None) is is_refused


def test_who_writes_start_afterwards_is_written_to_again() -> None:
    world = story(OptedOut("21610 opted out"))
    world.run_sender()
    opt_in = Choice(allowed=True, at=DUE + MINUTE, cause={"word": "start", "message_id": "m3"})
    world.record_choice(RecordChoice(ANNA, "contact", opt_in))
    assert refusal(world) is None


def test_marketing_opt_out_still_gets_reminders() -> None:
    world = story(OptedOut("131050 user has stopped receipt of marketing messages", topic="marketing"))
    cause = {"refused": row(world).scheduled_message_id}
    world.run_sender()
    preferences = world.store.read_preferences(ANNA)
    assert preferences.refused("marketing", "sms") == Choice(allowed=False, at=DUE, cause=cause)
    assert refusal(world) is None
    world.plan(business("AppointmentBooked", subject_id="A-2", starts_at=STARTS + MINUTE, remind_before=["PT2H"]))
    world.plan(business("TrialStarted", DUE, ends_at=DUE + MINUTE, follow_up=["PT0S"], product="Pro"))
    world.clock.forward(minutes=1)
    assert world.run_sender() == {**NOTHING, "due": 1, "sent": 1}
    assert world.run_sender("trials") == {**NOTHING, "due": 1, "skipped": {"no_consent": 1}}


@pytest.mark.parametrize("method", ["read_preferences", "write_preferences"])
def test_unstored_marketing_choice_is_not_lost(method: str) -> None:
    stopped = OptedOut("131050", topic="marketing")
    world = story(stopped, stopped)
    with pytest.raises(ExceptionGroup):
        world.run_sender(around=broken(method))
    assert row(world).state is State.SCHEDULED
    world.clock.forward(minutes=1)
    world.run_sender()
    assert row(world).state is State.FAILED
    assert world.store.read_preferences(ANNA).refused("marketing", "sms")


def broken(method: str, *, after: bool = False) -> Fault:
    return Fault(error=lambda: Unreachable("no answer"), only=method, after=after)


FAULTS: Final = {
    "its preferences cannot be read": lambda: broken("read_preferences"),
    "its preferences cannot be written": lambda: broken("write_preferences"),
    "the write's answer is lost": lambda: broken("write_preferences", after=True),
    "the bus cannot be reached": lambda: broken("publish"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_opt_out_that_failed_to_store_or_publish_is_not_lost(fault: Callable[[], Around]) -> None:
    """The provider reports it once, and perhaps never again; the business must be notified."""
    world = story(OptedOut("21610"), OptedOut("21610"))
    with pytest.raises(ExceptionGroup):
        world.run_sender(around=fault())
    assert cap_usage(world) == {}
    _goes_on(world)


def test_an_opt_out_that_the_bus_did_not_take_is_not_lost() -> None:
    world = story(OptedOut("21610"), OptedOut("21610"))
    world.bus.failing = 1
    with pytest.raises(ExceptionGroup):
        world.run_sender()
    _goes_on(world)


def test_message_with_unstored_opt_out_is_retried() -> None:
    world = story(OptedOut("21610"), OptedOut("21610"))
    with pytest.raises(ExceptionGroup) as failed:
        world.run_sender(around=broken("write_preferences"))
    assert [type(error) for error in failed.value.exceptions] == [Unreachable]
    stored = row(world)
    assert (stored.state, stored.attempts, stored.due_at) == (State.SCHEDULED, 1, DUE + FIRST_BACKOFF)
    assert stored.error == "Unreachable"
    assert world.bus.details("MessageFailed") == []


def _goes_on(world: World) -> None:
    """Return the expected result of the next runs, whatever stopped this one."""
    for _ in range(3):
        world.clock.forward(minutes=5)
        world.run_sender()
    assert refusal(world) is not None
    assert world.bus.details("ContactOptedOut")
    assert row(world).state in {State.FAILED, State.SKIPPED}
    assert cap_usage(world) == {}


# Surely not delivered


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (None, FIRST_BACKOFF),
        (timedelta(), FIRST_BACKOFF),
        (timedelta(seconds=59), FIRST_BACKOFF),
        (timedelta(seconds=61), timedelta(seconds=61)),
        (timedelta(minutes=45), timedelta(minutes=45)),
    ],
)
def test_provider_is_not_called_before_retry_after(retry_after: timedelta | None, wait: timedelta) -> None:
    world = story(Retryable("HTTP 429", retry_after))
    assert world.run_sender() == {**NOTHING, "due": 1, "retried": 1}
    assert (row(world).due_at, row(world).planned_due_at) == (DUE + wait, DUE)
    world.clock.now = DUE + wait - MICROSECOND
    assert world.run_sender() == NOTHING
    world.clock.now = DUE + wait
    assert world.run_sender() == {**NOTHING, "due": 1, "sent": 1}
    assert world.provider.handed_at == [DUE, DUE + wait]


def test_our_own_patience_grows_beyond_a_short_hint() -> None:
    world = story(*[Retryable("HTTP 429", timedelta(seconds=90))] * 6)
    waits = []
    for _ in range(6):
        started_at = world.clock.now
        world.run_sender()
        waits.append(row(world).due_at - started_at)
        world.clock.now = row(world).due_at
    assert waits == [timedelta(seconds=90), *(n * MINUTE for n in (2, 4, 8, 15, 15))]
    assert world.run_sender() == {**NOTHING, "due": 1, "sent": 1}


def test_a_wait_beyond_its_use_ends_the_message_and_not_the_rule() -> None:
    world = story(Retryable("HTTP 429", timedelta(hours=3)))
    world.run_sender()
    world.clock.now = row(world).due_at
    assert world.run_sender() == {**NOTHING, "due": 1, "skipped": {"too_late": 1}}
    assert len(world.provider.handed) == 1


# The channel's turn


@dataclass(slots=True)
class Turn:
    """A rate limiter that does ``meanwhile`` and takes ``wait``, and then returns ``comes``."""

    world: World
    wait: timedelta = timedelta()
    comes: bool = True
    meanwhile: Callable[[], object] = lambda: None
    channels: list[str] = field(default_factory=list)

    def __call__(self, channel: str) -> bool:
        self.channels.append(channel)
        self.world.clock.now += self.wait
        self.meanwhile()
        return self.comes


def test_a_message_whose_turn_does_not_come_is_left_as_it_was() -> None:
    world = story()
    before = row(world)
    never = Turn(world, timedelta(seconds=1), comes=False)
    assert run(replace(world.sender(), rate_limiter=never)) == {**NOTHING, "due": 1, "left": 1}
    after = row(world)
    assert after.state is State.SCHEDULED
    assert (after.due_at, after.planned_due_at, after.attempts) == (before.due_at, None, 0)
    assert (after.error, after.rule, after.hold_rules) == (None, None, before.hold_rules)
    assert world.provider.handed == []
    assert world.bus.events == []
    assert cap_usage(world) == {}
    assert never.channels == ["sms"]


def test_the_next_tick_sends_what_was_left() -> None:
    """The message has no claim, so it need not wait until one expires."""
    world = story()
    run(replace(world.sender(), rate_limiter=Turn(world, comes=False)))
    assert world.run_sender() == {**NOTHING, "due": 1, "sent": 1}
    assert world.provider.handed_at == [DUE]


def test_what_may_not_be_sent_waits_for_no_turn() -> None:
    world = story()
    world.record_choice(STOP)
    turn = Turn(world)
    assert run(replace(world.sender(), rate_limiter=turn)) == {**NOTHING, "due": 1, "skipped": {"opted_out": 1}}
    assert turn.channels == []


@pytest.mark.parametrize(
    ("wait", "looks"),
    [(timedelta(), 1), (PREPARE_WITHIN, 1), (PREPARE_WITHIN + MICROSECOND, 2), (3 * SNAPSHOT_VALID_FOR, 2)],
)
def test_wait_over_a_second_reads_a_new_snapshot(wait: timedelta, looks: int) -> None:
    world = story()
    turn, counted = Turn(world, wait), Fault(nth=999)
    assert run(replace(world.sender(around=counted), rate_limiter=turn)) == {**NOTHING, "due": 1, "sent": 1}
    assert counted.calls.count("read_snapshot") == looks
    assert counted.calls.count("reserve_cap") == 1
    assert turn.channels == ["sms"]
    assert world.provider.handed_at == [DUE + wait]
    assert list(cap_usage(world).values()) == [DUE + wait if looks > 1 else DUE]


def test_stop_during_the_wait_for_a_slot_stops_the_message() -> None:
    world = story()
    turn = Turn(world, timedelta(seconds=2, milliseconds=1), meanwhile=lambda: world.record_choice(STOP))
    assert run(replace(world.sender(), rate_limiter=turn)) == {**NOTHING, "due": 1, "skipped": {"opted_out": 1}}
    assert world.provider.handed == []
    assert cap_usage(world) == {}


def test_cancellation_during_the_wait_stops_the_message() -> None:
    world = story()
    cancelled = business("AppointmentCancelled", NOON + MINUTE, contact=None)
    turn = Turn(world, timedelta(seconds=3), meanwhile=lambda: world.plan(cancelled))
    assert run(replace(world.sender(), rate_limiter=turn)) == {**NOTHING, "due": 1, "skipped": {"cancelled": 1}}
    assert world.provider.handed == []


@pytest.mark.parametrize("wait", [timedelta(seconds=1), timedelta(seconds=5)])
def test_a_message_whose_turn_comes_too_late_is_not_sent(wait: timedelta) -> None:
    world = story()
    world.clock.now = STARTS - timedelta(seconds=1)
    assert run(replace(world.sender(), rate_limiter=Turn(world, wait))) == {
        **NOTHING,
        "due": 1,
        "skipped": {"too_late": 1},
    }
    assert world.provider.handed == []
    assert cap_usage(world) == {}


def test_failed_slot_reservation_does_not_end_the_message() -> None:
    world = story()

    def unreachable() -> None:
        raise Unreachable

    with pytest.raises(ExceptionGroup):
        run(replace(world.sender(), rate_limiter=Turn(world, meanwhile=unreachable)))
    assert (row(world).state, row(world).attempts) == (State.SCHEDULED, 1)
    assert world.provider.handed == []


def test_reply_without_a_slot_waits_for_the_next_run() -> None:
    world = story()
    run(replace(world.sender(), rate_limiter=Turn(world, comes=False)))
    stored = row(world)
    replace(world.sender(), rate_limiter=Turn(world, comes=False)).send_now(stored)
    assert row(world).state is State.SCHEDULED
    assert world.provider.handed == []


def test_provider_is_prepared_before_the_snapshot() -> None:
    """A cold start built its client after the snapshot, and ignored a STOP that arrived meanwhile."""
    world = story()
    order: list[str] = []

    def noting(name: str, call: Callable[[], Any]) -> Any:
        order.append(name)
        return call()

    def prepare(_: Contact) -> None:
        order.append("prepare")

    world.provider.blocked_by = prepare
    run(world.sender(around=noting))
    assert order.index("prepare") < order.index("read_snapshot") < order.index("send")


def without_keys(world: World) -> Sender:
    world.provider.blocked_by = lambda _: Retryable("no keys")
    return world.sender()


def test_what_cannot_be_made_ready_is_tried_again() -> None:
    """The keys were read again after the snapshot, and the call began six seconds late."""
    world = story()
    assert run(without_keys(world)) == {**NOTHING, "due": 1, "retried": 1}
    assert (row(world).state, row(world).attempts, row(world).error) == (State.SCHEDULED, 1, "no keys")
    assert world.provider.handed == []
    assert cap_usage(world) == {}


def test_what_may_not_be_sent_does_not_wait_for_keys() -> None:
    """A night without keys ended messages as failed that would have been held until the morning."""
    world = story()
    world.record_choice(STOP)
    assert run(without_keys(world)) == {**NOTHING, "due": 1, "skipped": {"opted_out": 1}}
