"""The sender: claim, snapshot, send and settlement, and every failure in between."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest

from reengage.adapters.memory import MemoryStore
from reengage.domain import policy
from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact, RecordChoice, Status
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import reply
from reengage.domain.policy import PASS, RULES, SNAPSHOT_VALID_FOR, PolicyInput, PolicySettings, Rule, RuleResult
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Priority, SendGroup
from reengage.domain.subject import BusinessEvent
from reengage.errors import WriteConflict
from reengage.ports import DueKey, OptedOut, Outcome, Refused, Retryable, Unknown, Wording
from reengage.usecases.send_due_messages import send_due_messages, summary
from reengage.usecases.send_message import MAX_CHECKS, Sender
from reengage.usecases.settle_message import FIRST_BACKOFF, MAX_ATTEMPTS, MAX_BACKOFF
from tests.fakes import (
    ANNA,
    CLAIM_LASTS,
    NOON,
    Around,
    Crash,
    Fault,
    Unreachable,
    World,
    business,
    due_now,
    inbound,
    receipt,
    worker,
)
from tests.property.schedules import Body, Choose, Option, every_order, play

STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)
MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NOTHING = {
    "due": 0,
    "sent": 0,
    "held": 0,
    "skipped": {},
    "failed": 0,
    "unconfirmed": 0,
    "retried": 0,
    "left": 0,
}


def story(**fields: Any) -> World:
    """Return a world with one reminder of Anna's, due now, with an open window."""
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", **{"starts_at": STARTS, "remind_before": ["PT2H"], **fields}))
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def row(world: World) -> ScheduledMessage:
    (only,) = world.store.rows()
    return only


def moved(**fields: Any) -> BusinessEvent:
    return business("AppointmentRescheduled", NOON + timedelta(hours=1), **fields)


CANCELLED = business("AppointmentCancelled", NOON + timedelta(hours=1), contact=None)
OPT_OUT = RecordChoice(ANNA, "contact", Choice(allowed=False, at=DUE, cause={"word": "stop", "message_id": "m2"}))
ERASURE = EraseContact(ANNA, DUE)


# What is due


def test_run_with_nothing_due_reads_each_shard_once() -> None:
    world = story()
    world.clock.now = DUE - MICROSECOND
    counted = Fault(nth=999)
    assert world.run_sender(around=counted) == NOTHING
    assert counted.calls == ["due"] * SHARDS


def test_due_message_is_sent_once_and_published() -> None:
    world = story(location="Main St 1")
    assert world.run_sender() == {**NOTHING, "due": 1, "sent": 1}
    (outbound,) = world.provider.handed
    assert outbound.message.offset == "PT2H"
    assert outbound.data == {
        "appointment_id": "A-1001",
        "starts_at": STARTS.isoformat(),
        "remind_before": ["PT2H"],
        "location": "Main St 1",
    }
    assert outbound.deliver_before == outbound.free_text_until == STARTS
    assert outbound.decision.facts["window_expires_at"] == "2026-04-01T12:00:00Z"
    sent = row(world)
    assert (sent.state, sent.provider, sent.provider_message_id) == (State.SENT, "fake", "provider-1")
    assert sent.settled_at == DUE
    (published,) = world.bus.events
    assert published.type == "MessageSent"
    assert published.detail == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": ANNA.address},
        "scheduled_message_id": sent.scheduled_message_id,
        "reason": "appointment_reminder",
        "subject_id": "A-1001",
        "provider": "fake",
        "provider_message_id": "provider-1",
        "sent_at": "2026-03-12T10:00:00Z",
        "facts": dict(outbound.decision.facts),
    }
    world.clock.forward(minutes=1)
    assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == 1


@pytest.mark.parametrize("send_group", ["trials", "updates"])
def test_another_send_group_does_not_send_it(send_group: SendGroup) -> None:
    world = story()
    assert world.run_sender(send_group) == NOTHING
    assert row(world).state is State.SCHEDULED


def test_free_text_ends_a_day_after_the_last_message_on_whatsapp() -> None:
    """Meta accepts free text for 24 hours; the business system that delivers must know until when."""
    whatsapp = replace(ANNA, channel="whatsapp")
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    world.receive(inbound(contact=whatsapp))
    starts = NOON + timedelta(hours=4)
    world.plan(business("AppointmentBooked", contact=whatsapp, starts_at=starts, remind_before=["PT2H"]))
    world.plan(
        business("AppointmentBooked", subject_id="2", contact=whatsapp, starts_at=STARTS, remind_before=["PT2H"])
    )
    world.clock.now = starts - timedelta(hours=2)
    world.run_sender()
    world.clock.now = DUE
    world.run_sender()
    soon, late = world.provider.handed
    assert soon.free_text_until == starts
    assert late.free_text_until == NOON + timedelta(hours=24)
    assert late.deliver_before == STARTS


# The snapshot


SNAPSHOTS_THAT_STOP: dict[str, tuple[str, Callable[[World], object]]] = {
    "moved": ("superseded", lambda world: _store_subject(world, moved(starts_at=STARTS + timedelta(days=1)))),
    "cancelled": ("cancelled", lambda world: _store_subject(world, CANCELLED)),
    "subject gone": ("cancelled", lambda world: world.store._subjects.clear()),
    "never heard from": (
        "no_conversation",
        lambda world: [items.clear() for items in (world.store._conversations, world.store._profiles)],
    ),
    "conversation deleted": ("window_closed", lambda world: world.store._conversations.clear()),
    "30 days": ("window_closed", lambda world: setattr(world.clock, "now", NOON + WINDOW)),
    "appointment has begun": ("too_late", lambda world: setattr(world.clock, "now", STARTS)),
    "opted out": ("opted_out", lambda world: world.record_choice(OPT_OUT)),
    "quiet until it begins": (
        "too_late",
        lambda world: setattr(world, "policy", PolicySettings(quiet_hours={"utility": QuietHours(time(10), time(13))})),
    ),
}


@pytest.mark.parametrize("why", SNAPSHOTS_THAT_STOP)
def test_each_rule_skips_with_its_name_and_facts(why: str) -> None:
    rule, change = SNAPSHOTS_THAT_STOP[why]
    world = story()
    change(world)
    assert world.run_sender() == {**NOTHING, "due": 1, "skipped": {rule: 1}}
    assert world.provider.handed == []
    skipped = row(world)
    assert (skipped.state, skipped.rule) == (State.SKIPPED, rule)
    (published,) = world.bus.details("MessageSkipped")
    assert published["rule"] == rule
    assert published["facts"] == skipped.facts
    assert published["facts"]["decided_at"]
    assert world.run_sender() == NOTHING


def _store_subject(world: World, event: BusinessEvent) -> None:
    """Store the subject only, as a planner does before it changes any row."""
    subject = world.store.read_subject(event.subject)
    assert subject is not None
    assert world.store.write_subject(subject.apply(event))


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize(
    ("since", "sent"),
    [(WINDOW - timedelta(seconds=1), 1), (WINDOW - MICROSECOND, 1), (WINDOW, 0), (WINDOW + timedelta(seconds=1), 0)],
)
def test_the_window_decides_to_the_microsecond_whatever_ttl_did(
    since: timedelta,
    sent: int,
    deleted: bool,
) -> None:
    world = World()
    world.receive(inbound())
    due = NOON + since
    world.plan(business("AppointmentBooked", starts_at=due + timedelta(hours=2), remind_before=["PT2H"]))
    world.clock.now = due
    if deleted:
        world.store.expire(due)
    summary = world.run_sender()
    assert summary["sent"] == len(world.provider.handed) == sent
    assert summary["skipped"] == ({} if sent else {"window_closed": 1})


def test_policy_uses_the_clock_after_the_snapshot() -> None:
    """The run came in time, but the claim's response took so long that the appointment had begun."""
    world = story()
    world.clock.now = STARTS - timedelta(seconds=1)

    def slow(name: str, call: Callable[[], Any]) -> Any:
        if name == "claim":
            world.clock.forward(seconds=2)
        return call()

    assert world.run_sender(around=slow)["skipped"] == {"too_late": 1}


def test_a_decision_is_dated_after_the_read_that_it_rests_on() -> None:
    """The read took most of a second: a decision by the older instant would be wrong."""
    world = story()

    def slow(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "read_snapshot":
            world.clock.forward(seconds=0.75)
        return answer

    assert world.run_sender(around=slow)["sent"] == 1
    assert world.provider.handed[0].decision.facts["decided_at"] == "2026-03-12T10:00:00.750000Z"


@pytest.mark.parametrize(("seconds", "snapshots"), [(0.999999, 1), (1, 1), (1.000001, 2)])
def test_snapshot_older_than_a_second_is_read_again(seconds: float, snapshots: int) -> None:
    """Connecting to a provider took two seconds more, and a STOP that arrived meanwhile was ignored."""
    world = story()
    delays = deque([timedelta(seconds=seconds)])
    counted = Fault(nth=999, only="read_snapshot")

    def slow_text(context: PolicyInput) -> Wording:
        world.clock.now += delays.popleft() if delays else timedelta()
        return Wording("text", "en", context.message.reason)

    tally = send_due_messages(replace(world.sender(around=counted), render=slow_text), stop_at=DUE + MINUTE)
    assert tally == Counter({("sent", ""): 1})
    assert len(counted.calls) == snapshots
    (handed,) = world.provider.handed
    snapshot_at = DUE if snapshots == 1 else world.clock.now
    assert handed.start_before == snapshot_at + SNAPSHOT_VALID_FOR


@pytest.mark.parametrize("change", [CANCELLED, moved(starts_at=STARTS + timedelta(days=1))], ids=["cancelled", "moved"])
def test_second_snapshot_decides(change: BusinessEvent) -> None:
    """While the text was rendered for three seconds the appointment was cancelled."""
    world = story()

    def slow_text(context: PolicyInput) -> Wording:
        world.clock.forward(seconds=3)
        world.plan(change)
        return Wording("text", "en", context.message.reason)

    send_due_messages(replace(world.sender(), render=slow_text), stop_at=DUE + MINUTE)
    assert world.provider.handed == []


def test_message_is_retried_if_no_snapshot_is_fresh() -> None:
    world = story()
    counted = Fault(nth=999)

    def slow(name: str, call: Callable[[], Any]) -> Any:
        answer = counted(name, call)
        if name == "read_snapshot":
            world.clock.forward(seconds=3)
        return answer

    assert world.run_sender(around=slow) == {**NOTHING, "due": 1, "retried": 1}
    assert counted.calls.count("read_snapshot") == MAX_CHECKS
    assert row(world).state is State.SCHEDULED
    assert row(world).attempts == 1
    world.clock.now = row(world).due_at
    assert world.run_sender()["sent"] == 1


def test_expired_message_makes_no_call() -> None:
    world = story()
    world.clock.now = STARTS - timedelta(seconds=1)
    assert world.run_sender()["sent"] == 1
    (handed,) = world.provider.handed
    assert handed.start_before == handed.deliver_before == STARTS


@pytest.mark.parametrize("closing", ["window", "use"])
def test_window_or_validity_ending_after_the_snapshot_stops_it(closing: str) -> None:
    """The policy allowed the send a millisecond before the end, and rendering the text took two."""
    world = World()
    world.receive(inbound())
    starts = NOON + WINDOW + timedelta(hours=1) if closing == "window" else STARTS
    end = NOON + WINDOW if closing == "window" else STARTS
    world.plan(business("AppointmentBooked", starts_at=starts, remind_before=["PT2H"]))
    world.clock.now = end - timedelta(milliseconds=1)

    def slow_text(context: PolicyInput) -> Wording:
        world.clock.forward(milliseconds=2)
        return Wording("text", "en", context.message.reason)

    tally = send_due_messages(replace(world.sender(), render=slow_text), stop_at=end + MINUTE)
    assert world.provider.handed == []
    assert tally == Counter({("skipped", "window_closed" if closing == "window" else "too_late"): 1})


# Holds


@pytest.fixture(name="add_rule")
def _add_rule(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Rule], None]:
    return lambda name, rule: monkeypatch.setattr(policy, "RULES", {**RULES, name: rule})


def test_hold_delays_the_message_and_has_its_end(add_rule: Callable[[str, Rule], None]) -> None:
    until = DUE + timedelta(minutes=30)
    add_rule("quiet_hours", lambda case: RuleResult(True, {"zone": "UTC"}, until) if case.now < until else PASS)
    world = story()
    assert world.run_sender() == {**NOTHING, "due": 1, "held": 1}
    held = row(world)
    assert (held.state, held.due_at, held.rule, held.attempts) == (State.SCHEDULED, until, "quiet_hours", 0)
    (published,) = world.bus.details("MessageHeld")
    assert (published["rule"], published["until"]) == ("quiet_hours", "2026-03-12T10:30:00Z")
    assert published["facts"]["zone"] == "UTC"
    assert world.run_sender() == NOTHING
    world.clock.now = until
    assert world.run_sender()["sent"] == 1


def test_quiet_hours_put_a_message_off_to_their_end() -> None:
    """At 11:00 in Berlin, where it is quiet until 12:30."""
    world = story()
    world.policy = PolicySettings(quiet_hours={"utility": QuietHours(time(22), time(12, 30))})
    assert world.run_sender()["held"] == 1
    (published,) = world.bus.details("MessageHeld")
    assert (published["rule"], published["until"]) == ("quiet_hours", "2026-03-12T11:30:00Z")
    assert published["facts"]["local_time"] == "2026-03-12T11:00+01:00"
    world.clock.now = row(world).due_at
    assert world.run_sender()["sent"] == 1
    (outbound,) = world.provider.handed
    assert outbound.deliver_before == STARTS


def test_quiet_hours_beginning_after_the_snapshot_hold_it() -> None:
    """The policy allowed the send a millisecond before 11:30, and reserving the cap took two."""
    world = story()
    world.policy = PolicySettings(
        quiet_hours={"utility": QuietHours(time(11, 30), time(12))}, caps={"utility": parse_caps("5/P1D")}
    )
    world.clock.now = DUE + timedelta(minutes=30) - timedelta(milliseconds=1)

    def slow(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "reserve_cap":
            world.clock.forward(milliseconds=2)
        return answer

    assert world.run_sender(around=slow)["held"] == 1
    assert world.provider.handed == []
    assert row(world).due_at == DUE + timedelta(hours=1)
    assert taken(world) == set()


def test_a_hold_beyond_its_use_is_a_skip_at_once(add_rule: Callable[[str, Rule], None]) -> None:
    add_rule("quiet_hours", lambda _case: RuleResult(True, {}, STARTS))
    world = story()
    assert world.run_sender()["skipped"] == {"too_late": 1}
    assert row(world).facts["held_by"] == "quiet_hours"


# What the channel answers


def test_a_refusal_is_final() -> None:
    world = story()
    world.provider.script.append(Refused("InvalidArgument"))
    assert world.run_sender() == {**NOTHING, "due": 1, "failed": 1}
    assert (row(world).state, row(world).error, row(world).attempts) == (State.FAILED, "InvalidArgument", 1)
    (published,) = world.bus.details("MessageFailed")
    assert (published["error"], published["attempts"]) == ("InvalidArgument", 1)
    assert world.run_sender() == NOTHING


def test_an_unknown_outcome_is_reported_and_never_repeated() -> None:
    world = story()
    world.provider.script.append(Unknown("ReadTimeoutError"))
    assert world.run_sender() == {**NOTHING, "due": 1, "unconfirmed": 1}
    assert (row(world).state, row(world).error) == (State.UNCONFIRMED, "ReadTimeoutError")
    (published,) = world.bus.details("MessageUnconfirmed")
    assert published["claimed_at"] == "2026-03-12T10:00:00Z"
    world.clock.forward(hours=1)
    assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == 1


def test_throttled_message_is_retried_while_it_is_valid() -> None:
    """After seven tries in 63 minutes a reminder failed that was valid for two hours."""
    world = story()
    world.provider.script += [Retryable("Throttled")] * 11
    at = [world.clock.now]
    for attempt in range(1, 12):
        assert world.run_sender() == {**NOTHING, "due": 1, "retried": 1}
        assert (row(world).state, row(world).attempts) == (State.SCHEDULED, attempt)
        world.clock.now = row(world).due_at - MICROSECOND
        assert world.run_sender() == NOTHING
        world.clock.now = row(world).due_at
        at.append(world.clock.now)
    assert [(later - earlier) // MINUTE for earlier, later in pairwise(at)] == [1, 2, 4, 8, *[15] * 7]
    assert (FIRST_BACKOFF, MAX_BACKOFF) == (MINUTE, 15 * MINUTE)
    assert world.clock.now == STARTS
    assert world.run_sender() == {**NOTHING, "due": 1, "skipped": {"too_late": 1}}
    assert len(world.provider.handed) == 11
    assert row(world).error == "Throttled"


def test_one_that_was_throttled_and_then_taken_is_sent() -> None:
    world = story()
    world.provider.script.append(Retryable("Throttled"))
    world.run_sender()
    world.clock.now = row(world).due_at
    assert world.run_sender()["sent"] == 1
    assert row(world).state is State.SENT


def test_retry_reads_a_new_snapshot() -> None:
    """It was throttled; at its next attempt, the appointment had begun."""
    world = story()
    world.clock.now = STARTS - timedelta(seconds=30)
    world.provider.script.append(Retryable("Throttled"))
    world.run_sender()
    world.clock.now = row(world).due_at
    assert world.run_sender()["skipped"] == {"too_late": 1}


@pytest.mark.parametrize("error", [Unreachable(), RuntimeError()], ids=["unreachable", "bug"])
def test_broken_channel_leaves_unknown_and_the_run_fails(error: Exception) -> None:
    """The outcome is unknown: it is reported at once, and not retried."""
    world = story()
    world.provider.script.append(error)
    with pytest.raises(ExceptionGroup) as raised:
        world.run_sender()
    assert raised.value.exceptions == (error,)
    assert (row(world).state, row(world).error) == (State.UNCONFIRMED, type(error).__name__)
    assert [detail["claimed_at"] for detail in world.bus.details("MessageUnconfirmed")] == ["2026-03-12T10:00:00Z"]
    world.clock.now = DUE + CLAIM_LASTS
    assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == 1


# What fails before the hand-over


def test_render_failure_is_retried_and_the_run_fails() -> None:
    world = story()

    def broken(context: PolicyInput) -> Wording:
        raise Unreachable(context.message.reason)

    with pytest.raises(ExceptionGroup, match="appointments: 1 errors") as raised:
        send_due_messages(replace(world.sender(), render=broken), stop_at=DUE + MINUTE)
    assert isinstance(raised.value.exceptions[0], Unreachable)
    assert (row(world).state, row(world).attempts, row(world).due_at) == (State.SCHEDULED, 1, DUE + MINUTE)
    world.clock.forward(minutes=1)
    assert world.run_sender()["sent"] == 1


def test_one_that_can_never_be_rendered_fails_in_the_end() -> None:
    world = story()

    def broken(context: PolicyInput) -> Wording:
        raise Unreachable(context.message.reason)

    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(ExceptionGroup):
            send_due_messages(replace(world.sender(), render=broken), stop_at=world.clock.now + MINUTE)
        world.clock.now = max(world.clock.now, row(world).due_at)
    assert (row(world).state, row(world).error) == (State.FAILED, "Unreachable")
    assert [detail["error"] for detail in world.bus.details("MessageFailed")] == ["Unreachable"]


def test_one_message_that_fails_does_not_hold_up_the_others() -> None:
    """Neither the other messages of its shard nor those of another one stop."""
    world = World()
    contacts = [Contact("acme-dental", "sms", f"+49151123456{n}") for n in range(10, 40)]
    for n, contact in enumerate(contacts):
        world.receive(inbound(contact=contact))
        world.plan(
            business(
                "AppointmentBooked", subject_id=f"A-{n}", contact=contact, starts_at=STARTS, remind_before=["PT2H"]
            )
        )
    world.clock.now = DUE

    def broken_once(context: PolicyInput) -> Wording:
        if context.message.contact == contacts[7]:
            raise Unreachable
        return Wording("text", "en", context.message.reason)

    with pytest.raises(ExceptionGroup):
        send_due_messages(replace(world.sender(), render=broken_once), stop_at=DUE + MINUTE)
    assert len(world.provider.handed) == 29
    assert len(world.bus.details("MessageSent")) == 29
    assert {o.message.contact for o in world.provider.handed} == set(contacts) - {contacts[7]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [None, Refused("no"), Retryable("later"), Unknown("who knows"), Unreachable("lost")],
    ids=["accepted", "refused", "not delivered", "unknown", "broken"],
)
@pytest.mark.parametrize("error", [Unreachable, Crash])
@pytest.mark.parametrize("after", [False, True])
def test_failure_at_any_call_never_sends_twice(
    answer: Outcome | Exception | None,
    error: Callable[[], BaseException],
    after: bool,
) -> None:
    """The provider may have accepted it whenever it was sent and not surely refused. After any failure, and any number
    of later runs, the row has one outcome.
    """
    for nth in range(1, 60):
        world = story()
        world.policy = PolicySettings(caps={"utility": parse_caps("5/P1D")})
        if answer is not None:
            world.provider.script.append(answer)
        fault = Fault(error, nth, after)
        sender = world.sender(around=fault)
        try:
            worker(sender, ANNA.shard, DUE + MINUTE)
        except (Crash, Unreachable):
            assert error is Crash or fault.calls[-1] == "publish"
        for _ in range(6):
            world.clock.forward(minutes=3)
            with suppress(ExceptionGroup):  # the channel's own breakdown, where it was not reached before
                world.run_sender()
        surely_not = isinstance(answer, Retryable)
        assert len(world.provider.handed) <= 1 + surely_not, fault.calls
        assert row(world).state not in (State.SCHEDULED, State.SENDING), fault.calls
        if not isinstance(answer, Refused | Retryable):
            assert taken(world) >= set(handed(world)), "what may have gone out counts"
        if not fault.struck:
            return
    pytest.fail("there are more calls than were tried")


# Claims


def test_the_claims_answer_lost_on_its_way_is_still_our_claim() -> None:
    """A lower layer sent the request again, and it failed on the condition that its first attempt had fulfilled."""
    world = story()

    def lost(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        return None if name == "claim" else answer

    assert world.run_sender(around=lost)["sent"] == 1


def test_claim_of_another_run_is_kept_until_it_expires() -> None:
    world = story()
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="read_snapshot")), ANNA.shard, DUE + MINUTE)
    assert row(world).state is State.SENDING
    world.clock.now = DUE + CLAIM_LASTS - MICROSECOND
    assert world.run_sender() == NOTHING
    assert row(world).state is State.SENDING
    world.clock.now = DUE + CLAIM_LASTS
    assert world.run_sender() == {**NOTHING, "due": 1, "unconfirmed": 1}
    (published,) = world.bus.details("MessageUnconfirmed")
    assert published["claimed_at"] == "2026-03-12T10:00:00Z"
    assert world.provider.handed == []
    assert world.run_sender() == NOTHING


def test_an_expired_claim_shows_no_rule_of_an_earlier_hold() -> None:
    """A message was held in quiet hours, and its next run died: `explain` showed `quiet_hours` beside `unconfirmed`."""
    world = story()
    world.policy = PolicySettings(quiet_hours={"utility": QuietHours(time(22), time(12, 30))})
    assert world.run_sender() == {**NOTHING, "due": 1, "held": 1}
    assert (row(world).rule, bool(row(world).facts)) == ("quiet_hours", True)
    world.clock.now = row(world).due_at
    world.provider.script.append(Crash("the run died"))
    with pytest.raises(Crash):
        world.run_sender()
    world.clock.now += CLAIM_LASTS
    assert world.run_sender() == {**NOTHING, "due": 1, "unconfirmed": 1}
    assert (row(world).state, row(world).rule, dict(row(world).facts)) == (State.UNCONFIRMED, None, {})
    assert len(world.provider.handed) == 1


def test_a_stale_entry_of_the_index_is_no_work() -> None:
    """The index is behind: it still names messages that were settled, postponed or deleted."""
    world = story()
    (stale,) = due_now(world.store, "appointments", ANNA.shard, DUE)
    world.run_sender()
    assert world.sender().handle(stale) is None
    world.store._rows.clear()
    assert world.sender().handle(stale) is None
    assert len(world.provider.handed) == 1


def test_late_owner_records_the_real_outcome() -> None:
    """A run hung for minutes in the provider's call; its message had been given up as unconfirmed."""
    world = story()

    def hang(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "send":
            world.clock.now = DUE + CLAIM_LASTS
            assert world.run_sender()["unconfirmed"] == 1
        return answer

    world.run_sender(around=hang)
    assert row(world).state is State.SENT
    assert len(world.provider.handed) == 1


# Changes while a run has the message in hand


def _while(method: str, act: Callable[[], object]) -> Callable[[str, Callable[[], Any]], Any]:
    """Do ``act`` just before the first call of ``method``."""
    acted: list[object] = []

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == method and not acted:
            acted.append(act())
        return call()

    return around


def _in_vain(world: World, event: BusinessEvent) -> None:
    """The planner stores the subject, finds that a run has claimed the row, and needs a retry."""
    with pytest.raises(WriteConflict):
        world.plan(event)


def test_change_with_the_same_time_is_sent_in_its_new_version() -> None:
    """The practice moved next door while a run had the reminder in hand: the planner cannot write over it. The run
    finds the new version in its snapshot and updates the row; the next tick sends it.
    """
    world = story(location="Main St 1")
    booked = row(world).version
    corrected = moved(starts_at=STARTS, location="Broad St 9")
    assert world.run_sender(around=_while("read_snapshot", lambda: _in_vain(world, corrected))) == {
        **NOTHING,
        "due": 1,
        "retried": 1,
    }
    changed = row(world).version
    assert (row(world).state, changed) == (State.SCHEDULED, booked + 1)
    assert world.run_sender()["sent"] == 1
    (outbound,) = world.provider.handed
    assert outbound.data["location"] == "Broad St 9"
    assert outbound.message.version == changed


def test_change_after_the_snapshot_keeps_a_sent_message() -> None:
    world = story(location="Main St 1")
    corrected = moved(starts_at=STARTS, location="Broad St 9")
    assert world.run_sender(around=_while("send", lambda: _in_vain(world, corrected)))["sent"] == 1
    world.clock.forward(minutes=1)
    assert world.plan(corrected).planned == 0
    assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == 1


def test_change_after_the_snapshot_is_sent_after_a_retryable() -> None:
    world = story(location="Main St 1")
    world.provider.script.append(Retryable("Throttled"))
    corrected = moved(starts_at=STARTS, location="Broad St 9")
    world.run_sender(around=_while("send", lambda: _in_vain(world, corrected)))
    for _ in range(3):
        world.clock.forward(minutes=1)
        world.run_sender()
    first, *later = [outbound.message.version for outbound in world.provider.handed]
    assert later == [first + 1]
    assert row(world).state is State.SENT


def test_a_renewal_keeps_count_of_the_attempts() -> None:
    world = story()
    world.provider.script.append(Retryable("Throttled"))
    world.run_sender()
    world.clock.now = row(world).due_at
    corrected = moved(starts_at=STARTS, location="Broad St 9")
    world.run_sender(around=_while("read_snapshot", lambda: _in_vain(world, corrected)))
    assert (row(world).state, row(world).attempts) == (State.SCHEDULED, 1)
    assert row(world).planned_at == NOON, "an erasure since then must still stop it"


def test_booking_again_before_the_skip_is_settled_is_sent() -> None:
    """A run had claimed the reminder and read the cancel, when the appointment was booked again for the same time.

    The planner cannot replace a claimed row, and retries a minute later, when the reminder's time is past.
    The reminder is published as too late and not as cancelled, which would mislead the business.
    """
    world = story()
    replan = business("AppointmentBooked", NOON + timedelta(hours=2), starts_at=STARTS, remind_before=["PT2H"])
    rebook = _while("settle", lambda: _in_vain(world, replan))
    cancel = _while("read_snapshot", lambda: world.plan(CANCELLED))
    world.run_sender(around=lambda name, call: cancel(name, lambda: rebook(name, call)))
    world.clock.forward(minutes=1)
    assert world.plan(replan).too_late == 1
    assert [state for state in world.states() if state[0] == "PT2H"] == [("PT2H", "skipped", "too_late")]
    skips = [skip for skip in world.bus.details("MessageSkipped") if skip["reason"] == "appointment_reminder"]
    assert skips[-1]["rule"] == "too_late"


# The run


def test_run_stops_in_time_and_reports_the_rest() -> None:
    world = World()
    world.receive(inbound())
    for n in range(5):
        world.plan(business("AppointmentBooked", subject_id=f"A-{n}", starts_at=STARTS, remind_before=["PT2H"]))
    world.clock.now = DUE

    def slow(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "settle":
            world.clock.forward(seconds=1)
        return answer

    answer = world.run_sender(around=slow, budget=timedelta(seconds=2))
    assert answer == {**NOTHING, "due": 5, "sent": 2, "left": 3}
    assert world.run_sender()["sent"] == 3


def test_the_oldest_goes_first() -> None:
    world = World()
    world.receive(inbound())
    for n in (3, 1, 2):
        starts = STARTS + timedelta(seconds=n)
        world.plan(business("AppointmentBooked", subject_id=f"A-{n}", starts_at=starts, remind_before=["PT2H"]))
    world.clock.now = DUE + MINUTE
    world.run_sender()
    assert [outbound.message.subject.id for outbound in world.provider.handed] == ["A-1", "A-2", "A-3"]


def test_the_summary_adds_up_to_what_was_due() -> None:
    world = World()
    world.receive(inbound())
    outcomes: list[Outcome | Exception] = [Refused("no"), Retryable("later"), Unknown("?"), Unreachable("lost")]
    for n in range(8):
        world.plan(business("AppointmentBooked", subject_id=f"A-{n}", starts_at=STARTS, remind_before=["PT2H"]))
    _store_subject(world, business("AppointmentCancelled", NOON + timedelta(hours=1), subject_id="A-7"))
    world.clock.now = DUE
    world.provider.script += outcomes
    tally, errors = worker(world.sender(), ANNA.shard, DUE + MINUTE)
    answer = summary(tally)
    assert len(errors) == 1
    assert answer == {
        "due": 8,
        "sent": 3,
        "held": 0,
        "skipped": {"cancelled": 1},
        "failed": 1,
        "unconfirmed": 2,
        "retried": 1,
        "left": 0,
    }
    counts = [value for name, value in answer.items() if name not in ("due", "skipped")]
    assert answer["due"] == sum(counts) + sum(answer["skipped"].values())


def test_events_are_published_in_full_batches() -> None:
    world = World()
    world.receive(inbound())
    for n in range(25):
        world.plan(business("AppointmentBooked", subject_id=f"A-{n}", starts_at=STARTS, remind_before=["PT2H"]))
    world.bus.events.clear()
    world.clock.now = DUE
    counted = Fault(nth=999, only="publish")
    world.run_sender(around=counted)
    assert len(counted.calls) == 3
    assert len({detail["scheduled_message_id"] for detail in world.bus.details("MessageSent")}) == 25


def test_a_shard_that_cannot_be_read_does_not_end_the_others() -> None:
    world = story()

    class OneShardDown(MemoryStore):
        def due(
            self, send_group: SendGroup, priority: Priority, shard: int, now: datetime
        ) -> Iterator[Sequence[DueKey]]:
            if shard == (ANNA.shard + 1) % SHARDS:
                raise Unreachable
            return super().due(send_group, priority, shard, now)

    broken = OneShardDown(*(getattr(world.store, field.name) for field in fields(world.store)))
    with pytest.raises(ExceptionGroup) as raised:
        send_due_messages(replace(world.sender(), store=broken), stop_at=DUE + MINUTE)
    assert len(raised.value.exceptions) == 1
    assert len(world.provider.handed) == 1


def test_receipt_before_the_settlement_is_final() -> None:
    world = story()

    def early(name: str, call: Callable[[], Any]) -> Any:
        if name == "settle":
            world.report(receipt(world.provider.handed[0], "delivered", provider_message_id="p-1"))
        return call()

    world.run_sender(around=early)
    assert (row(world).state, row(world).provider, row(world).provider_message_id) == (
        State.DELIVERED,
        "fake",
        "provider-1",
    )
    assert due_now(world.store, "appointments", ANNA.shard, datetime.max.replace(tzinfo=NOON.tzinfo)) == []


def test_snapshot_is_valid_for_two_seconds() -> None:
    """The number of the guarantee, on which a test of the clock above depends."""
    assert timedelta(seconds=2) == SNAPSHOT_VALID_FOR


def test_each_minute_another_shard_comes_first() -> None:
    """Under a backlog the last shards of every run were never read, and their messages expired."""
    replying: list[int] = []

    class Recording(MemoryStore):
        def due(
            self, send_group: SendGroup, priority: Priority, shard: int, now: datetime
        ) -> Iterator[Sequence[DueKey]]:
            replying.append(shard)
            return super().due(send_group, priority, shard, now)

    for minute in range(SHARDS):
        now = NOON + timedelta(minutes=minute)
        sender = Sender(
            send_group="appointments",
            settings=PolicySettings(),
            store=Recording(),
            channel=World().provider,
            render=lambda _: pytest.fail("nothing is due"),
            publish=lambda _: None,
            clock=lambda now=now: now,  # type: ignore[misc]  # mypy infers no default arguments of a lambda
            new_id=lambda: "claim",
            claim_ttl=timedelta(minutes=2),
        )
        send_due_messages(sender, stop_at=now + timedelta(minutes=1), workers=1)
    runs = [replying[start : start + SHARDS] for start in range(0, len(replying), SHARDS)]
    assert all(sorted(run) == list(range(SHARDS)) for run in runs)
    assert sorted(run[0] for run in runs) == list(range(SHARDS))


def test_receipt_before_a_claim_expires_is_kept() -> None:
    """A run crashed after the send, and the receipt arrived just before the next run reported it as unconfirmed.

    The bus published "delivered" and then "unconfirmed".
    """
    world = story()
    world.provider.script.append(Crash("the run died"))
    with pytest.raises(Crash):
        world.run_sender()
    world.clock.now = DUE + CLAIM_LASTS
    delivered = receipt(world.provider.handed[0], "delivered")
    assert world.run_sender(around=_while("settle", lambda: world.report(delivered))) == NOTHING
    assert row(world).state is State.DELIVERED
    assert world.bus.details("MessageUnconfirmed") == []


ANSWERS: list[Outcome] = [Refused("HTTP 400"), OptedOut("21610"), Retryable("HTTP 429"), Unknown("TimeoutError")]


@pytest.mark.parametrize("status", ["sent", "delivered", "undelivered"])
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_receipt_before_the_response_is_kept(answer: Outcome, status: Status) -> None:
    """The provider sent the receipt during the call, and then dropped the call: two final events were published."""
    world = follow_ups(caps="1/P1D", count=1)
    world.provider.script.append(answer)
    reports = _after("send", lambda: world.report(receipt(world.provider.handed[0], status)))
    assert world.run_sender("trials", around=reports) == {**NOTHING, "due": 1, "sent": 1}
    assert row(world).state == status
    ends = {"MessageSent", "MessageDelivered", "MessageUndelivered", "MessageFailed", "MessageUnconfirmed"}
    assert [end for end in world.bus.types() if end in ends] == [f"Message{status.capitalize()}"]
    # It counts under the cap: it did reach the provider.
    assert taken(world) == {row(world).scheduled_message_id}


@pytest.mark.parametrize("answer", [Refused("HTTP 400"), Retryable("HTTP 429")], ids=["failed", "retried"])
def test_outcome_is_published_if_the_cap_release_fails(answer: Outcome) -> None:
    """The table was throttled: the message had failed, but no event was published and no run found it again."""
    world = follow_ups(caps="1/P1D", count=1)
    world.provider.script.append(answer)
    with pytest.raises(ExceptionGroup) as raised:
        world.run_sender("trials", Fault(error=Unreachable, only="release_cap"))
    assert isinstance(raised.value.exceptions[0], Unreachable)
    ends = State.FAILED if isinstance(answer, Refused) else State.SCHEDULED
    assert row(world).state is ends
    assert world.bus.types() == (["MessageFailed"] if ends is State.FAILED else [])


def test_an_answer_that_comes_after_its_receipt_is_still_news() -> None:
    world = story()
    reports = _after("send", lambda: world.report(receipt(world.provider.handed[0], "delivered")))
    assert world.run_sender(around=reports)["sent"] == 1
    assert (row(world).state, row(world).provider) == (State.DELIVERED, "fake")
    assert world.bus.types()[-2:] == ["MessageDelivered", "MessageSent"]


def _after(method: str, act: Callable[[], object]) -> Around:
    """Do ``act`` just after the first call of ``method``."""
    acted: list[object] = []

    def around(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == method and not acted:
            acted.append(act())
        return answer

    return around


# Caps: a place is taken before the hand-over, and given back where that surely failed


def follow_ups(caps: str = "1/P1D", count: int = 2) -> World:
    """Return a world with this many of Anna's follow-ups due now, each valid for three days."""
    world = World(policy=PolicySettings(caps={"marketing": parse_caps(caps)}))
    world.receive(inbound())
    for n in range(count):
        world.plan(business("TrialStarted", subject_id=f"T-{n}", product="Pro", ends_at=DUE, follow_up=["PT0S"]))
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def taken(world: World) -> set[str]:
    """Return the messages that have reserved a part of the cap."""
    return {
        message_id for cap_usage in world.store.read_holdings(ANNA).cap_usage.values() for message_id in cap_usage.taken
    }


def handed(world: World) -> list[str]:
    return [outbound.message.scheduled_message_id for outbound in world.provider.handed]


def handles(world: World, due: DueKey) -> Body:
    return lambda around: world.sender("trials", around).handle(due)


def most_in_any(period: timedelta, instants: Sequence[datetime]) -> int:
    return max((sum(last - period < instant <= last for instant in instants) for last in instants), default=0)


def test_last_cap_slot_goes_to_one_message() -> None:
    world = follow_ups()
    assert world.run_sender("trials") == {**NOTHING, "due": 2, "sent": 1, "held": 1}
    (published,) = world.bus.details("MessageHeld")
    assert (published["rule"], published["until"]) == ("frequency_cap", "2026-03-13T10:00:02Z")
    assert published["facts"]["counted"] == {"1/P1D": 1}
    assert taken(world) == {*handed(world)}
    # By then a day has passed since the latest instant at which it may have been handed over.
    world.clock.now = DUE + DAY + SNAPSHOT_VALID_FOR - MICROSECOND
    assert world.run_sender("trials") == NOTHING
    world.clock.now = DUE + DAY + SNAPSHOT_VALID_FOR
    assert world.run_sender("trials")["sent"] == 1
    assert len(set(handed(world))) == 2


def test_usage_is_kept_for_the_longest_cap() -> None:
    world = follow_ups("1/PT1H,2/P2D", count=3)
    hour = timedelta(hours=1)
    second, third = DUE + hour + SNAPSHOT_VALID_FOR, DUE + 2 * DAY + SNAPSHOT_VALID_FOR
    for at, held in ((DUE, 2), (second, 1), (DUE + 3 * hour, 0), (third, 0)):
        world.clock.now = at
        assert world.run_sender("trials")["held"] == held
    assert world.provider.handed_at == [DUE, second, third]


@pytest.mark.parametrize(
    ("caps", "before", "now", "deaths"),
    [("1/P1D", 0, 1, 0), ("1/P1D", 0, 1, 1), ("2/P1D,3/P7D", 1, 1, 0), ("2/P1D", 0, 2, 0)],
)
@pytest.mark.slow
def test_however_two_runs_interleave_no_cap_is_passed(caps: str, before: int, now: int, deaths: int) -> None:
    """Each saw one free slot in its snapshot, and there was only one."""

    def once(choose: Choose) -> World:
        world = follow_ups(caps, count=before + 2)
        shard = ANNA.shard
        for due in due_now(world.store, "trials", shard, DUE)[:before]:
            world.sender("trials").handle(due)
        one, other = due_now(world.store, "trials", shard, DUE)
        # At most one dies, and of the two it may as well be the first.
        played = play(
            {"one": handles(world, one), "other": handles(world, other)},
            lambda options: choose([option for option in options if option != Option("other", dies=True)]),
            deaths=deaths,
        )
        if not played.failed:
            assert len(world.provider.handed) == before + now
            assert sorted(str(row.rule) for row in world.store.rows()) == sorted(
                ["None"] * (before + now) + ["frequency_cap"] * (2 - now)
            )
        for later in (CLAIM_LASTS, DAY - MICROSECOND, DAY, 2 * DAY):
            world.clock.now = DUE + later
            worker(world.sender("trials"), shard, DUE + 9 * DAY)
        return world

    for world in every_order(once):
        assert len(set(handed(world))) == len(handed(world)) <= before + 2
        for cap in parse_caps(caps):
            assert most_in_any(cap.period, world.provider.handed_at) <= cap.limit
        assert {row.state for row in world.store.rows()} <= {State.SENT, State.UNCONFIRMED}


def test_changed_cap_usage_is_never_taken_for_the_snapshots() -> None:
    """Between a snapshot and its reservation, the only slot is released, and another message reserves it."""
    world = follow_ups("2/P1D", count=3)
    world.provider.script.append(Retryable("Throttled"))
    order = deque("xxxaaxxxyyyyyaaaaaa")

    def in_order(options: Sequence[Option]) -> Option:
        return next((option for name in iter(order.popleft, None) if (option := Option(name)) in options), options[0])

    first = dict(zip("xay", due_now(world.store, "trials", ANNA.shard, DUE), strict=True))
    played = play({name: handles(world, due) for name, due in first.items()}, in_order)
    steps = [(step.actor, step.call) for step in played.steps]
    snapshot, place = steps.index(("a", "read_snapshot")), steps.index(("a", "reserve_cap"))
    assert snapshot < steps.index(("x", "release_cap")) < steps.index(("y", "reserve_cap")) < place
    world.clock.forward(minutes=1)
    assert world.run_sender("trials")["held"] == 1
    assert len(taken(world)) == 2 == len(world.provider.handed) - 1


@pytest.mark.parametrize(
    ("answer", "keeps"),
    [
        (None, True),
        (Unknown("ReadTimeoutError"), True),
        (Unreachable("lost"), True),
        (Crash(), True),
        (Refused("InvalidArgument"), False),
        (Retryable("Throttled"), False),
    ],
    ids=["accepted", "unknown", "broken", "crash", "refused", "not delivered"],
)
def test_cap_is_released_only_if_the_message_surely_failed(answer: Outcome | BaseException | None, keeps: bool) -> None:
    world = follow_ups()
    if answer:
        world.provider.script.append(answer)
    one, other = due_now(world.store, "trials", ANNA.shard, DUE)
    with suppress(Crash, Unreachable):
        world.sender("trials").handle(one)
    assert taken(world) == (set(handed(world)) if keeps else set())
    published = world.sender("trials").handle(other)
    assert published
    assert published.outcome == ("held" if keeps else "sent")


def test_crashed_run_keeps_its_cap_usage() -> None:
    """The outcome is unknown, so the message counts for the cap until its period ends."""
    world = follow_ups()
    one, other = due_now(world.store, "trials", ANNA.shard, DUE)
    with pytest.raises(Crash):
        world.sender("trials", Fault(only="send")).handle(one)
    assert world.provider.handed == []
    assert len(taken(world)) == 1
    published = world.sender("trials").handle(other)
    assert published
    assert published.outcome == "held"
    world.clock.now = DUE + CLAIM_LASTS
    assert world.run_sender("trials")["unconfirmed"] == 1
    world.clock.now = DUE + DAY + SNAPSHOT_VALID_FOR
    assert world.run_sender("trials")["sent"] == 1


def test_retried_message_keeps_its_own_cap_usage() -> None:
    world = follow_ups(count=1)
    world.provider.script.append(Retryable("Throttled"))
    assert world.run_sender("trials")["retried"] == 1
    world.clock.now = row(world).due_at
    assert world.run_sender("trials")["sent"] == 1
    assert world.store.read_holdings(ANNA).cap_usage["marketing"].instants() == (DUE + MINUTE,)


@pytest.mark.parametrize(("slow_snapshots", "way"), [(1, "sent"), (MAX_CHECKS, "retried")])
def test_expired_snapshot_releases_its_cap_usage(slow_snapshots: int, way: str) -> None:
    world = follow_ups(count=1)
    delays = deque([timedelta(seconds=3)] * slow_snapshots)

    def slow(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name == "reserve_cap":
            world.clock.now += delays.popleft() if delays else timedelta()
        return answer

    assert world.run_sender("trials", around=slow)[way] == 1
    assert taken(world) == set(handed(world))
    if way == "sent":
        cap_usage = world.store.read_holdings(ANNA).cap_usage["marketing"]
        assert cap_usage.instants() == (DUE + timedelta(seconds=3),), "the usage is the second snapshot's"


def test_message_is_retried_if_reservations_conflict() -> None:
    world = follow_ups(count=1)

    def conflicted(name: str, call: Callable[[], Any]) -> Any:
        return False if name == "reserve_cap" else call()

    assert world.run_sender("trials", around=conflicted)["retried"] == 1
    assert world.provider.handed == []
    assert (row(world).state, row(world).attempts) == (State.SCHEDULED, 1)


def test_without_caps_nothing_is_reserved() -> None:
    world = story()
    counted = Fault(nth=999)
    assert world.run_sender(around=counted)["sent"] == 1
    assert {"reserve_cap", "release_cap"}.isdisjoint(counted.calls)


# What a person, or an erasure, says meanwhile


@pytest.mark.parametrize(
    ("before", "sent"),
    [("claim", False), ("read_snapshot", False), ("reserve_cap", True), ("send", True), ("settle", True)],
)
def test_opt_out_stored_before_the_snapshot_counts(before: str, sent: bool) -> None:
    world = story()
    world.policy = PolicySettings(caps={"utility": parse_caps("5/P1D")})
    summed = world.run_sender(around=_while(before, lambda: world.record_choice(OPT_OUT)))
    assert len(world.provider.handed) == summed["sent"] == sent
    assert summed["skipped"] == ({} if sent else {"opted_out": 1})


def test_opt_out_before_the_due_time_skips_with_its_keyword() -> None:
    world = story()
    world.record_choice(OPT_OUT)
    world.run_sender()
    (published,) = world.bus.details("MessageSkipped")
    assert published["rule"] == "opted_out"
    assert published["facts"]["word"] == "stop"
    assert published["facts"]["opted_out_at"] == "2026-03-12T10:00:00Z"


CALLS = ("claim", "read_snapshot", "reserve_cap", "send", "settle", "release")


@pytest.mark.parametrize("before", CALLS)
@pytest.mark.parametrize(
    "answer",
    [None, Refused("no"), Retryable("later"), Unknown("who knows")],
    ids=["accepted", "refused", "not delivered", "unknown"],
)
def test_erasure_during_a_send_leaves_no_data(before: str, answer: Outcome | None) -> None:
    world = story()
    world.policy = PolicySettings(caps={"utility": parse_caps("5/P1D")})
    if answer:
        world.provider.script.append(answer)
    reached = Fault(nth=999, only=before)
    erase = _while(before, lambda: world.erase(ERASURE))
    world.run_sender(around=lambda name, call: erase(name, lambda: reached(name, call)))
    if not reached.calls:
        assert before == ("settle" if isinstance(answer, Retryable) else "release")
        world.erase(ERASURE)
    for _ in range(3):
        assert is_forgotten(world)
        world.clock.forward(minutes=5)
        assert world.run_sender() == NOTHING
    assert len(world.provider.handed) == (before not in ("claim", "read_snapshot"))
    assert len(final_events(world)) == 1


@pytest.mark.parametrize(
    ("before", "rule"), [("claim", "erased"), ("read_snapshot", "cancelled"), ("release", "erased")]
)
def test_held_message_of_an_erased_contact_ends(before: str, rule: str) -> None:
    """The snapshot shows first that the subject is deleted, too."""
    world = story()
    world.policy = PolicySettings(quiet_hours={"utility": QuietHours(time(10), time(12))})
    world.run_sender(around=_while(before, lambda: world.erase(ERASURE)))
    assert is_forgotten(world)
    assert final_events(world) == ["MessageSkipped"]
    assert world.bus.details("MessageSkipped")[0]["rule"] == rule
    assert world.bus.details("MessageHeld") == []


def test_message_given_up_before_its_hold_ends_once() -> None:
    """The run hung for minutes after a throttle, and another one reported its claim."""
    world = story()
    world.provider.script.append(Retryable("Throttled"))

    def give_up() -> None:
        world.clock.now = DUE + CLAIM_LASTS
        assert world.run_sender()["unconfirmed"] == 1

    world.run_sender(around=_while("release", give_up))
    assert row(world).state is State.UNCONFIRMED
    assert final_events(world) == ["MessageUnconfirmed"]


def is_forgotten(world: World) -> bool:
    """Nothing is stored of Anna except the mark of her erasure."""
    holdings = world.store.read_holdings(ANNA)
    found = (holdings.profile, holdings.conversation, holdings.inbound, holdings.scheduled, holdings.subjects)
    return not any(found) and holdings.cap_usage == {} and holdings.preferences.erased_since("sms", DUE)


def final_events(world: World) -> list[str]:
    ends = ("MessageSent", "MessageSkipped", "MessageFailed", "MessageUnconfirmed")
    return [published for published in world.bus.types() if published in ends]


def test_returning_erased_contact_gets_only_newer_plans() -> None:
    """A run had claimed the old reminder: in its snapshot the person who returned looks like the erased one."""
    world = story()

    def come_back() -> None:
        world.erase(ERASURE)
        world.clock.forward(milliseconds=1)
        world.receive(inbound(world.clock.now))
        world.plan(
            business("AppointmentBooked", world.clock.now, subject_id="A-2", starts_at=STARTS, remind_before=["PT1H"])
        )

    world.run_sender(around=_while("read_snapshot", come_back))
    assert world.provider.handed == []
    assert world.bus.details("MessageSkipped")[-1]["subject_id"] == "A-1001"
    assert [(m.subject.id, m.state) for m in world.store.rows()] == [("A-2", State.SCHEDULED)]
    world.clock.now = STARTS - timedelta(hours=1)
    assert world.run_sender()["sent"] == 1


def test_new_booking_after_erasure_ignores_the_old_time() -> None:
    """The appointment's versions restarted as well, and the claimed reminder looked like one of the newest version."""
    world = story()

    def book_again() -> None:
        world.erase(ERASURE)
        world.clock.forward(milliseconds=1)
        world.receive(inbound(world.clock.now))
        world.plan(business("AppointmentBooked", world.clock.now, starts_at=STARTS + DAY, remind_before=["PT2H"]))

    world.run_sender(around=_while("read_snapshot", book_again))
    assert world.provider.handed == []
    assert [published["rule"] for published in world.bus.details("MessageSkipped")] == ["superseded"]
    assert [(m.anchor_at, m.state) for m in world.store.rows()] == [(STARTS + DAY, State.SCHEDULED)]
    world.clock.now = DUE + DAY
    assert world.run_sender()["sent"] == 1


# What cannot wait for a tick


QUESTION = inbound(DUE, message_id="SM-help", text="HELP")


def replying() -> tuple[World, ScheduledMessage]:
    """Anna has just asked for help; an answer to her passes quiet hours, caps and all rules that are not about her
    choice.
    """
    hours, caps = QuietHours(time(0), time(23, 59)), parse_caps("1/P7D")
    world = World(policy=PolicySettings("required", {"utility": hours, "marketing": hours}, {"utility": caps}))
    world.clock.now = DUE
    return world, reply("help_reply", QUESTION, DUE)


def test_reply_is_sent_at_once_and_published() -> None:
    world, message = replying()
    counted = Fault(nth=999)
    world.sender("updates", counted).send_now(message)
    assert counted.calls == ["write_plan", "claim", "read_snapshot", "send", "settle", "publish"]
    (outbound,) = world.provider.handed
    assert outbound.data == {"message_id": "SM-help"}
    assert outbound.deliver_before == outbound.free_text_until == DUE + timedelta(minutes=10)
    assert row(world).state is State.SENT
    (published,) = world.bus.details("MessageSent")
    assert published["scheduled_message_id"] == message.scheduled_message_id
    assert published["reason"] == "help_reply"


def test_repeated_reply_is_sent_once() -> None:
    world, message = replying()
    world.sender("updates").send_now(message)
    world.clock.forward(minutes=1)
    world.sender("updates").send_now(reply("help_reply", QUESTION, world.clock.now))
    world.run_sender("updates")
    assert len(world.provider.handed) == 1
    # The first call may have been killed before it published.
    first, again = world.bus.details("MessageSent")
    assert first == again


def test_planned_reply_is_sent_when_requested_again() -> None:
    world, message = replying()
    with pytest.raises(Crash):
        world.sender("updates", Fault(only="claim")).send_now(message)
    world.clock.forward(minutes=1)
    world.sender("updates").send_now(reply("help_reply", QUESTION, world.clock.now))
    assert len(world.provider.handed) == 1


def test_concurrent_replies_are_sent_once_in_any_order() -> None:
    def once(choose: Choose) -> World:
        world, message = replying()

        def sends(around: Around) -> None:
            world.sender("updates", around).send_now(message)

        assert not play({"one": sends, "other": sends}, choose).failed
        return world

    for world in every_order(once):
        assert len(world.provider.handed) == len({str(sent) for sent in world.bus.details("MessageSent")}) == 1
        assert row(world).state is State.SENT


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [Unreachable, Crash])
def test_crash_at_any_call_sends_a_reply_at_most_once(error: Callable[[], BaseException], after: bool) -> None:
    """Ingest retries a minute later, and the updates function runs every minute."""
    for nth in range(1, 20):
        world, message = replying()
        fault = Fault(error, nth, after)
        try:
            world.sender("updates", fault).send_now(message)
        except (Crash, Unreachable):
            assert fault.struck
        world.clock.forward(minutes=1)
        world.sender("updates").send_now(reply("help_reply", QUESTION, world.clock.now))
        for _ in range(4):
            world.clock.forward(minutes=1)
            world.run_sender("updates")
        assert len(world.provider.handed) <= 1, fault.calls
        assert row(world).state in (State.SENT, State.UNCONFIRMED), fault.calls
        if row(world).state is State.UNCONFIRMED:
            assert len({str(detail) for detail in world.bus.details("MessageUnconfirmed")}) == 1
        if not fault.struck:
            return
    pytest.fail("there are more calls than were tried")


def test_reply_left_by_a_crash_is_reported_by_send_updates() -> None:
    world, message = replying()
    with pytest.raises(Crash):
        world.sender("updates", Fault(only="send")).send_now(message)
    assert row(world).state is State.SENDING
    world.clock.now = DUE + CLAIM_LASTS - MICROSECOND
    assert world.run_sender("updates") == NOTHING
    assert world.run_sender("appointments") == NOTHING
    world.clock.now = DUE + CLAIM_LASTS
    assert world.run_sender("updates") == {**NOTHING, "due": 1, "unconfirmed": 1}
    assert world.provider.handed == []


def test_undelivered_reply_is_sent_by_the_next_run() -> None:
    world, message = replying()
    world.provider.script.append(Retryable("Throttled"))
    world.sender("updates").send_now(message)
    assert (row(world).state, row(world).due_at) == (State.SCHEDULED, DUE + MINUTE)
    world.clock.forward(minutes=1)
    assert world.run_sender("updates")["sent"] == 1


@pytest.mark.parametrize(("past", "way"), [(-MICROSECOND, "sent"), (timedelta(), "skipped")])
def test_reply_expires_ten_minutes_after_the_question(past: timedelta, way: str) -> None:
    world, message = replying()
    world.provider.script.append(Retryable("Throttled"))
    world.sender("updates").send_now(message)
    world.clock.now = DUE + timedelta(minutes=10) + past
    world.run_sender("updates")
    assert row(world).state == way
    assert [published["rule"] for published in world.bus.details("MessageSkipped")] == (
        [] if way == "sent" else ["too_late"]
    )


def test_blocked_reply_raises_and_waits_for_the_next_run() -> None:
    world, message = replying()

    def broken(context: PolicyInput) -> Wording:
        raise Unreachable(context.message.reason)

    with pytest.raises(Unreachable):
        replace(world.sender("updates"), render=broken).send_now(message)
    assert (row(world).state, row(world).attempts, row(world).error) == (State.SCHEDULED, 1, "Unreachable")
    world.clock.forward(minutes=1)
    assert world.run_sender("updates")["sent"] == 1


@pytest.mark.parametrize("before", ["claim", "read_snapshot", "send", "settle"])
def test_erasure_during_a_reply_leaves_no_data(before: str) -> None:
    world, message = replying()
    world.sender("updates", _while(before, lambda: world.erase(ERASURE))).send_now(message)
    assert is_forgotten(world)
    world.clock.forward(minutes=1)
    assert world.run_sender("updates") == NOTHING
    assert len(final_events(world)) == 1
    assert len(world.provider.handed) == (before in ("send", "settle"))


def test_a_person_who_opted_out_is_not_replied_to() -> None:
    world, message = replying()
    world.record_choice(OPT_OUT)
    world.sender("updates").send_now(message)
    assert world.provider.handed == []
    assert [published["rule"] for published in world.bus.details("MessageSkipped")] == ["opted_out"]
