"""Each race, in every order of its port calls. Each docstring describes one incident."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from reengage.domain.caps import Cap
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import reply
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent
from reengage.ports import DueKey, Retryable
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Around, World, business, inbound, receipt, worker
from tests.property.schedules import Body, Choose, Played, every_order, play

STARTS = NOON + timedelta(days=10)
DUE = STARTS - timedelta(hours=2)
LATER = STARTS + timedelta(hours=6)
MINUTE = timedelta(minutes=1)

BOOKED = business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"], location="Main St 1")


def change(hours: float, event_type: str = "AppointmentRescheduled", **fields: Any) -> BusinessEvent:
    return business(event_type, NOON + timedelta(hours=hours), **fields)


MOVED = change(1, starts_at=LATER)
CORRECTED = change(1, starts_at=STARTS, location="Broad St 9")
CANCELLED = change(1, "AppointmentCancelled", contact=None)
BOOKED_AGAIN = change(2, "AppointmentBooked", starts_at=STARTS)


class Ended(NamedTuple):
    """One order of the calls, played to its end."""

    world: World
    played: Played

    def rows(self, about: Any = None, reason: str = "appointment_reminder") -> list[ScheduledMessage]:
        rows = [row for row in self.world.store.rows() if row.reason == reason]
        return [row for row in rows if about in (None, row.anchor_at)]

    @property
    def handed(self) -> list[ScheduledMessage]:
        return [outbound.message for outbound in self.world.provider.handed]


def story() -> World:
    """Return a world in which Anna's reminder is due this minute."""
    world = World()
    world.receive(inbound())
    world.plan(BOOKED)
    world.clock.now = DUE
    return world


def tick(world: World, around: Around | None = None) -> None:
    """Process one scheduled run, of the shards that have messages, without threads of its own."""
    for shard in sorted({row.contact.shard for row in world.store.rows()}):
        _, errors = worker(world.sender(around=around), shard, world.clock.now + MINUTE)
        assert not errors


def run(world: World) -> Body:
    return lambda around: tick(world, around)


APART = frozenset({"read_preferences", "index_subject", "read_brand", "read_thread"})
"""A planner's calls that only conflict with erasures, choices and settings, which do not occur in these races."""
OF_RUNS = frozenset({"sent_about_appointments"})
"""A planner's call that only conflicts with runs."""


def receives(world: World, *events: BusinessEvent, apart: Collection[str] = APART) -> Body:
    def body(around: Around) -> None:
        def meeting(name: str, call: Callable[[], Any]) -> Any:
            return call() if name in apart else around(name, call)

        for event in events:
            world.plan(event, meeting)

    return body


def race(
    *,
    plan: tuple[BusinessEvent, ...] = (),
    deaths: int = 0,
    setting: Callable[[], World] = story,
    **others: Callable[[World], Body],
) -> list[Ended]:
    """Play every order of a planner and others, and check the invariants in each.

    Then runs follow, and a planner that crashed or met a claimed row is retried after 1 and 2 more minutes, as
    Lambda does.
    """

    def once(choose: Choose) -> Ended:
        world = setting()
        planner = {"plan": receives(world, *plan)} if plan else {}
        played = play(planner | {name: make(world) for name, make in others.items()}, choose, deaths=deaths)
        waits = "plan" in played.failed
        for minutes in (1, 2):
            world.clock.forward(minutes=minutes)
            tick(world)
            if waits:
                replan = play({"plan": receives(world, *plan)}, lambda options: options[0])
                waits = "plan" in replan.failed
        assert not waits, "it would have ended in the dead-letter queue"
        for now in (world.clock.now + MINUTE, LATER - timedelta(hours=2)):
            world.clock.now = max(now, world.clock.now)
            tick(world)
        world.clock.now += CLAIM_LASTS
        tick(world)
        ended = Ended(world, played)
        _always(ended)
        return ended

    return list(every_order(once))


def _always(ended: Ended) -> None:
    ids = Counter(message.scheduled_message_id for message in ended.handed)
    keys = Counter(message.key for message in ended.handed)
    assert max(ids.values(), default=0) <= 1, ended.played.steps
    assert max(keys.values(), default=0) <= 1, ended.played.steps
    for row in ended.world.store.rows():
        assert row.state not in (State.SCHEDULED, State.SENDING), ended.played.steps
    # A run that sent an older version had read its snapshot before the newer one was stored.
    steps = ended.played.steps
    for position, step in enumerate(steps):
        if step.call != "send":
            continue
        snapshot = ended.played.index(step.actor, "read_snapshot", before=position)
        assert snapshot is not None
        handed = ended.handed[[s.call for s in steps[:position]].count("send")]
        stored = [s.answer for s in steps[:snapshot] if s.call == "write_subject" and s.answer]
        if stored:
            newest = steps[snapshot].answer[0].tracks["appointment"]
            assert newest.active
            assert handed.version == newest.revision


def _assert_corrected(ended: Ended, reason: str) -> None:
    """A correction is sent after each reminder that a change made false, and none if the planner saw no claim.

    One that was planned while the run had the reminder is skipped if the run did not send it.
    """
    corrections = ended.rows(reason=reason)
    reminded = any((row.reason, row.anchor_at) == ("appointment_reminder", STARTS) for row in ended.handed)
    claimed = ended.played.index("run", "claim") is not None
    assert reminded <= any(row.state is State.SENT for row in corrections) <= claimed
    others = [row for row in corrections if row.state is not State.SENT]
    assert all((row.state, row.rule) == (State.SKIPPED, "superseded") for row in others)
    assert not (others and reminded)


def test_two_runs_at_once_hand_over_once() -> None:
    """EventBridge Scheduler invokes at least once: two runs found the same reminder in the same second."""
    for ended in race(one=run, other=run):
        assert len(ended.handed) == 1
        assert [row.state for row in ended.rows()] == [State.SENT]
        assert len(ended.world.bus.details("MessageSent")) == 1


def test_two_runs_and_a_crash_send_at_most_once_and_report_it() -> None:
    """A run timed out between its claim and its settlement, while another was at work.

    A message that may have been sent is reported as unconfirmed, and no one gets it twice.
    """
    for ended in race(one=run, other=run, deaths=1):
        (row,) = ended.rows()
        assert row.state in (State.SENT, State.UNCONFIRMED)
        if row.state is State.UNCONFIRMED:
            assert [d["claimed_at"] for d in ended.world.bus.details("MessageUnconfirmed")] == ["2026-03-12T10:00:00Z"]
        else:
            assert len(ended.handed) == 1


def test_a_throttled_hand_over_is_tried_again_by_one_run_only() -> None:
    """The provider refused the first attempt of one run; the other run found the row released, but postponed."""

    def throttled() -> World:
        world = story()
        world.provider.script.append(Retryable("Throttled"))
        return world

    def once(choose: Choose) -> World:
        world = throttled()
        play({"one": run(world), "other": run(world)}, choose)
        assert len(world.provider.handed) == 1
        world.clock.now += MINUTE
        tick(world)
        return world

    for world in every_order(once):
        assert len(world.provider.handed) == 2
        assert [row.state for row in world.store.rows()] == [State.SENT]


def test_a_run_against_a_reschedule() -> None:
    """Anna moved her appointment to the evening in the second in which its reminder was due. Either it had passed
    its snapshot before that was stored, or it is not sent; the evening's reminder is sent in any case.
    """
    late = 0
    for ended in race(run=run, plan=(MOVED,)):
        (old,), (new,) = ended.rows(STARTS), ended.rows(LATER)
        assert new.state is State.SENT
        assert (old.state, old.rule) in ((State.SENT, None), (State.SKIPPED, "superseded"))
        _assert_corrected(ended, "appointment_moved")
        late += old.state is State.SENT
    assert late, "in one order the snapshot came first"


def test_a_run_against_a_reschedule_and_either_dies() -> None:
    """The same, and Lambda ended one of the two at any of its calls; the planner's event is delivered again."""
    for ended in race(run=run, plan=(MOVED,), deaths=1):
        (old,), (new,) = ended.rows(STARTS), ended.rows(LATER)
        assert new.state is State.SENT
        assert old.state in (State.SENT, State.SKIPPED, State.UNCONFIRMED)
        _assert_corrected(ended, "appointment_moved")


def test_a_run_against_a_change_that_leaves_the_instant_alone() -> None:
    """The practice moved next door while the reminder was in a run's hands. It is sent once: with the old address
    only if its snapshot came before the new one was stored.
    """
    versions = Counter(ended.handed[0].version for ended in race(run=run, plan=(CORRECTED,)))
    first = min(versions)
    assert set(versions) == {first, first + 1}, "as booked, and as corrected"
    for ended in race(run=run, plan=(CORRECTED,)):
        assert [row.state for row in ended.rows()] == [State.SENT]
        assert len(ended.handed) == 1


def test_run_and_change_at_the_same_time_survive_a_crash() -> None:
    for ended in race(run=run, plan=(CORRECTED,), deaths=1):
        (row,) = ended.rows()
        assert row.state in (State.SENT, State.UNCONFIRMED)


def test_a_run_against_a_cancel() -> None:
    """Anna cancelled in the second in which her reminder was due."""
    states = set()
    for ended in race(run=run, plan=(CANCELLED,)):
        (row,) = ended.rows()
        _assert_corrected(ended, "appointment_cancelled")
        states.add((row.state, row.rule))
    assert states == {(State.SENT, None), (State.SKIPPED, "cancelled")}


def test_a_run_against_a_cancel_and_either_dies() -> None:
    for ended in race(run=run, plan=(CANCELLED,), deaths=1):
        (row,) = ended.rows()
        _assert_corrected(ended, "appointment_cancelled")
        assert row.state in (State.SENT, State.SKIPPED, State.UNCONFIRMED)


def test_a_run_against_a_cancel_and_a_new_booking() -> None:
    """An appointment was cancelled and at once booked again for the same time, while a run saw the cancel.

    One reminder is sent, or it is published as too late if the planner waited for the run; never as cancelled. The
    correction of the cancelled appointment is not sent: the appointment takes place.
    """
    for ended in race(run=run, plan=(CANCELLED, BOOKED_AGAIN)):
        (row,) = ended.rows()
        assert all(row.state is State.SKIPPED for row in ended.rows(reason="appointment_cancelled"))
        assert (row.state, row.rule) in ((State.SENT, None), (State.SKIPPED, "too_late"))
        assert len(ended.handed) == (row.state is State.SENT)
        assert ("too_late" in {d["rule"] for d in ended.world.bus.details("MessageSkipped")}) == (row.rule is not None)


def test_a_run_against_the_ttl_deletion_of_what_it_reads() -> None:
    """Anna last wrote 31 days ago, and DynamoDB deleted her conversation during the run or days later.

    Nothing is sent, and the rule is the same in both cases.
    """

    def overdue() -> World:
        world = World()
        world.receive(inbound())
        starts = NOON + WINDOW + timedelta(days=1)
        world.plan(business("AppointmentBooked", starts_at=starts, remind_before=["PT2H"]))
        world.clock.now = starts - timedelta(hours=2)
        return world

    def ttl(world: World) -> Body:
        return lambda around: around("ttl", lambda: world.store.expire(world.clock.now))

    for ended in race(run=run, ttl=ttl, setting=overdue):
        assert [(row.state, row.rule) for row in ended.rows()] == [(State.SKIPPED, "window_closed")]
        assert ended.handed == []


def test_a_run_against_the_ttl_deletion_of_its_own_row() -> None:
    """No function ran for a month. When they ran again, TTL deleted the overdue row from under the run: no write
    of the run may bring it back.
    """

    def shut_for_a_month() -> World:
        world = story()
        world.clock.now = STARTS + timedelta(days=30)
        return world

    def ttl(world: World) -> Body:
        return lambda around: around("ttl", lambda: world.store.expire(world.clock.now))

    for ended in race(run=run, ttl=ttl, setting=shut_for_a_month):
        assert ended.rows() == []
        assert ended.handed == []


def test_a_run_against_the_message_that_opens_the_window_again() -> None:
    """Anna's window had closed, and she wrote in the very second in which her reminder was due."""

    def closed() -> World:
        world = World()
        world.receive(inbound(NOON - WINDOW + timedelta(days=1)))
        world.plan(BOOKED)
        world.clock.now = DUE
        return world

    def writes(world: World) -> Body:
        return lambda around: world.receive(inbound(DUE), around)

    states = set()
    for ended in race(run=run, writes=writes, setting=closed):
        (row,) = ended.rows()
        states.add((row.state, row.rule))
        steps = ended.played.steps
        if sent := ended.played.index("run", "send"):
            snapshot = ended.played.index("run", "read_snapshot", before=sent)
            assert any(step.call == "write_conversation" for step in steps[:snapshot])
    assert states == {(State.SENT, None), (State.SKIPPED, "window_closed")}


@pytest.mark.parametrize("status", ["delivered", "undelivered"])
def test_a_run_against_a_receipt(status: Any) -> None:
    """The provider reported the delivery before the run could write down that it had handed over."""

    def reports(world: World) -> Body:
        def body(around: Around) -> None:
            around("wait", lambda: None)
            if world.provider.handed:
                world.report(receipt(world.provider.handed[0], status), around)

        return body

    states = Counter(ended.rows()[0].state for ended in race(run=run, reports=reports))
    assert set(states) == {State.SENT, State(status)}, "sent: the receipt was looked at before anything was sent"


def test_a_run_that_finds_an_old_claim_against_its_receipt() -> None:
    """A run died after the hand-over, its claim grew old, and the receipt came while the next run reported it."""

    def abandoned() -> World:
        world = story()
        play({"run": run(world)}, lambda options: options[-1 if world.provider.handed else 0], deaths=1)
        assert [row.state for row in world.store.rows()] == [State.SENDING]
        world.clock.now += CLAIM_LASTS
        return world

    def reports(world: World) -> Body:
        return lambda around: world.report(receipt(world.provider.handed[0], "delivered"), around)

    for ended in race(run=run, reports=reports, setting=abandoned):
        assert [row.state for row in ended.rows()] == [State.DELIVERED]
        assert len(ended.handed) == 1


def test_a_run_against_a_stop() -> None:
    """Anna wrote STOP in the second in which her reminder was due: sent if the snapshot came first; never after."""
    stop = inbound(DUE, text="STOP")

    def stops(world: World) -> Body:
        return lambda around: world.receive(stop, around)

    states = set()
    for ended in race(run=run, stops=stops):
        (row,) = ended.rows()
        states.add((row.state, row.rule))
        stored, sent = ended.played.index("stops", "write_preferences"), ended.played.index("run", "send")
        snapshot = ended.played.index("run", "read_snapshot", before=sent)
        assert stored is not None
        assert snapshot is not None
        assert (sent is not None) == (snapshot < stored)
    assert states == {(State.SENT, None), (State.SKIPPED, "opted_out")}


def test_a_run_against_an_erasure() -> None:
    """Anna was erased in the second in which her reminder was due. After the mark no snapshot allows a send, and none
    of her data comes back.
    """
    command = EraseContact(ANNA, DUE)

    def once(choose: Choose) -> bool:
        world = story()
        played = play({"run": run(world), "erases": lambda around: world.erase(command, around)}, choose)
        sent, marked = played.index("run", "send"), played.index("erases", "write_preferences")
        if sent is not None and marked is not None:
            snapshot = played.index("run", "read_snapshot", before=sent)
            assert snapshot is not None
            assert snapshot < marked, played.steps
        held = world.store.read_holdings(ANNA)
        assert not any((held.profile, held.conversation, held.inbound, held.scheduled, held.subjects))
        assert len(world.provider.handed) <= 1
        return sent is not None

    assert set(every_order(once)) == {True, False}


def test_two_runs_share_the_last_cap_slot() -> None:
    """Two of Anna's reminders were due in one second, and two runs took one each.

    The cap is one an hour: the other reminder waits for its hour.
    """

    def two_due() -> World:
        world = story()
        world.policy = PolicySettings(caps={"utility": (Cap(1, timedelta(hours=1)),)})
        world.clock.now = NOON
        world.plan(business("AppointmentBooked", subject_id="A-1002", starts_at=STARTS, remind_before=["PT2H"]))
        world.clock.now = DUE
        return world

    def takes(world: World, number: int) -> Body:
        row = world.store.rows()[number]
        return lambda around: world.sender(around=around).handle(DueKey(row.key, row.due_at, row.valid_until))

    def once(choose: Choose) -> World:
        world = two_due()
        played = play({"one": takes(world, 0), "other": takes(world, 1)}, choose)
        assert not played.failed
        return world

    for world in every_order(once):
        assert len(world.provider.handed) == 1
        world.clock.now += timedelta(hours=1, minutes=1)
        tick(world)
        assert [row.state for row in world.store.rows()] == [State.SENT, State.SENT]


def test_a_greeting_that_is_sent_by_two() -> None:
    """Anna came back, and her message was delivered to two Lambdas at once: she is greeted by one of them."""
    greeting = reply("welcome_back", inbound(DUE), DUE)

    def greets(world: World) -> Body:
        return lambda around: world.sender("updates", around).send_now(greeting)

    def once(choose: Choose) -> World:
        world = World()
        world.clock.now = DUE
        played = play({"one": greets(world), "other": greets(world)}, choose)
        assert not played.failed
        return world

    for world in every_order(once):
        assert len(world.provider.handed) == 1
        assert [row.state for row in world.store.rows()] == [State.SENT]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (MOVED, CANCELLED, set()),
        (MOVED, BOOKED_AGAIN, {STARTS}),
        (CANCELLED, BOOKED_AGAIN, {STARTS}),
        (CORRECTED, change(2, starts_at=LATER), {LATER}),
        (change(1, contact=Contact("acme-dental", "sms", "+16502530000"), starts_at=STARTS), BOOKED_AGAIN, {STARTS}),
        (change(0.2, starts_at=STARTS, contact=None, service="x"), BOOKED_AGAIN, {STARTS}),
    ],
    ids=["moved, cancelled", "moved there and back", "booked again", "twice", "lent to another", "filled in late"],
)
def test_two_planners_at_once(one: BusinessEvent, other: BusinessEvent, wanted: set[Any]) -> None:
    """Two changes of one appointment came in the same second, and two Lambdas took one each.

    The newer change is kept in every order of the writes.
    """

    def morning() -> World:
        world = story()
        world.clock.now = NOON + timedelta(hours=3)
        return world

    def once(choose: Choose) -> World:
        world = morning()
        played = play(
            {
                "one": receives(world, one, apart=APART | OF_RUNS),
                "other": receives(world, other, apart=APART | OF_RUNS),
            },
            choose,
        )
        assert not played.failed
        for due in (DUE, LATER - timedelta(hours=2)):
            world.clock.now = due
            tick(world)
        return world

    for world in every_order(once):
        assert {outbound.message.anchor_at for outbound in world.provider.handed} == wanted
        assert {outbound.message.contact for outbound in world.provider.handed} <= {ANNA}
        assert all(row.state in (State.SENT, State.SKIPPED) for row in world.store.rows())


def test_two_planners_of_older_events_at_once() -> None:
    """The newest event came first, and named no reminders. Then two older ones came in the same second, and each
    named some: the later of the two holds. The planner of the other one must not withdraw what that one planned.
    """
    newest = change(3, starts_at=STARTS)
    oldest = change(0, "AppointmentBooked", starts_at=STARTS, remind_before=["PT6H"])
    between = change(1, starts_at=STARTS, remind_before=["PT2H"])

    def once(choose: Choose) -> World:
        world = World()
        world.receive(inbound())
        world.plan(newest)
        played = play({"oldest": receives(world, oldest), "between": receives(world, between)}, choose)
        assert not played.failed
        world.clock.now = DUE
        tick(world)
        return world

    for world in every_order(once):
        assert [outbound.message.offset for outbound in world.provider.handed] == ["PT2H"]
