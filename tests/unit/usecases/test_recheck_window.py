"""Messages due after the window closes are left, sent earlier, or published to the business in time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.wording import FluentWording
from reengage.domain.brand import Brand
from reengage.domain.caps import Cap
from reengage.domain.commands import LinkContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.parameters import WhenWindowWillClose
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category, SendGroup
from reengage.domain.subject import BusinessEvent
from reengage.ports import Accepted, Retryable
from reengage.usecases.link_contact import link_contact
from reengage.usecases.recheck_window import recheck_closing
from reengage.usecases.send_due_messages import send_due_messages
from tests.fakes import ANNA, NOON, Fault, Unreachable, World, business, inbound, worker
from tests.property.schedules import Choose, every_order, play

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
BERLIN: Final = ZoneInfo("Europe/Berlin")

CLOSES: Final = NOON + WINDOW
"""1 April, 14:00 in Berlin, where the clocks changed on 29 March. ``ANNA``'s number is of Berlin."""

NIGHT: Final = QuietHours(time(20), time(9))
QUIET: Final[Mapping[Category, QuietHours]] = {"marketing": NIGHT, "utility": NIGHT}
SEND_GROUPS: Final[Sequence[SendGroup]] = ("appointments", "trials", "updates")

SATELLITE: Final = Contact("acme-dental", "sms", "+881612345678")
"""A number without a country: it has no zone."""


def live(world: World, until: datetime, *, seconds: int = 7) -> None:
    """Run every send group once a minute, that many seconds past it. Skip minutes in which nothing is due."""
    earliest = world.clock.now
    while due := [row.due_at for row in world.store.rows() if row.state is State.SCHEDULED]:
        from_then_on = max(earliest, due[0])
        tick = from_then_on.replace(second=seconds, microsecond=0)
        tick += MINUTE * (tick < from_then_on)
        if tick > until:
            break
        world.clock.now, earliest = tick, tick + timedelta(seconds=1)
        shards = {row.contact.shard for row in world.store.rows()}
        for send_group in SEND_GROUPS:
            for shard in shards:
                _, errors = worker(world.sender(send_group), shard, tick + MINUTE)
                assert not errors
    world.clock.now = until


def a_world(when: WhenWindowWillClose = "wait", **policy: Any) -> World:
    world = World(policy=PolicySettings(**{"when_window_will_close": when, "quiet_hours": QUIET, **policy}))
    # As the stack is set by default: who comes back after a week starts anew.
    world.ingest = replace(world.ingest, welcome_back_after=timedelta(days=7))
    return world


def trial(days: float = 30, since: datetime = NOON, **fields: Any) -> BusinessEvent:
    values = {"subject_id": "T-1", "ends_at": since + timedelta(days=days), "product": "Pro", "follow_up": ["P1D"]}
    return business("TrialStarted", since, **{**values, **fields})


def signed_up(world: World, since: datetime = NOON, **fields: Any) -> World:
    """Anna writes as she signs up for a trial of 30 days: it ends when her window closes, and its follow-up is due
    after that.
    """
    world.clock.now = since
    write(world, since)
    world.plan(trial(since=since, **fields))
    return world


def write(world: World, at: datetime, **fields: Any) -> None:
    world.clock.now = max(at, world.clock.now)
    world.receive(inbound(at, **fields))


def sent(world: World, reason: str = "trial_follow_up") -> list[datetime]:
    """Return when messages of a reason were sent."""
    handed = zip(world.provider.handed, world.provider.handed_at, strict=True)
    return [at for outbound, at in handed if outbound.message.reason == reason]


def warnings(world: World) -> list[Mapping[str, Any]]:
    return world.bus.details("ConversationClosing")


def listed(warning: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(detail["subject_id"], detail["due_at"]) for detail in warning["scheduled_messages"]]


def in_berlin(instant: datetime) -> str:
    return f"{instant.astimezone(BERLIN):%d.%m. %H:%M}"


# wait


def test_follow_up_after_the_window_is_skipped_if_set_to_wait() -> None:
    world = signed_up(a_world("wait"))
    assert [detail["forecast"] for detail in world.bus.details("MessagePlanned")] == ["window_closed"]
    live(world, NOON + timedelta(days=35))
    assert world.states() == [("P1D", "skipped", "window_closed")]
    assert sent(world) == []
    assert warnings(world) == []


@pytest.mark.parametrize("when", ["wait", "pull_forward", "warn"])
@pytest.mark.parametrize("day", [3, 10, 29])
def test_new_message_in_time_keeps_the_follow_ups_due_time(when: WhenWindowWillClose, day: int) -> None:
    world = signed_up(a_world(when, closing_notice=HOUR))
    live(world, NOON + day * DAY)
    write(world, NOON + day * DAY)
    live(world, NOON + timedelta(days=35))
    [at] = sent(world)
    assert timedelta() <= at - (NOON + 31 * DAY) < MINUTE
    assert warnings(world) == []


# pull_forward


@pytest.mark.parametrize("seconds", [0, 7, 59])
def test_trial_ending_with_the_window_is_followed_up_once_before(seconds: int) -> None:
    world = signed_up(a_world("pull_forward"))
    [detail] = world.bus.details("MessagePlanned")
    assert (detail["due_at"], detail["forecast"]) == ("2026-04-01T11:00:00Z", "send")
    live(world, NOON + timedelta(days=40), seconds=seconds)
    [at] = sent(world)
    assert CLOSES - HOUR <= at < CLOSES - HOUR + MINUTE
    assert world.states() == [("P1D", "sent", None)]
    assert warnings(world) == []


@pytest.mark.parametrize("seconds", [0, 7, 59])
@pytest.mark.parametrize("minute", range(0, 60, 7))
@pytest.mark.parametrize("hour", [18, 19, 22, 0, 4, 6, 7, 8])
@pytest.mark.slow
def test_window_closing_at_night_sends_before_the_night(hour: int, minute: int, seconds: int) -> None:
    """The last allowed minute would be too late for a run in the next minute: the send is planned some time before."""
    since = datetime(2026, 3, 30, hour, minute, 40, tzinfo=BERLIN).astimezone(UTC) - WINDOW
    world = signed_up(a_world("pull_forward"), since)
    live(world, since + timedelta(days=40), seconds=seconds)
    [at] = sent(world)
    assert not NIGHT.cover(at, BERLIN), in_berlin(at)
    assert since + WINDOW - DAY < at < since + WINDOW
    assert warnings(world) == []


def test_failed_try_before_the_night_is_repeated_before_it() -> None:
    """Five attempts take a quarter of an hour."""
    since = datetime(2026, 3, 30, 23, 30, tzinfo=BERLIN).astimezone(UTC) - WINDOW
    world = signed_up(a_world("pull_forward"), since)
    world.provider.script.extend([Retryable("Throttled")] * 4)
    live(world, since + timedelta(days=40))
    assert [isinstance(answer, Accepted) for answer in world.provider.answers] == [False] * 4 + [True]
    assert not any(NIGHT.cover(at, BERLIN) for at in sent(world))


def test_pulled_follow_up_describes_an_unfinished_trial() -> None:
    world = signed_up(a_world("pull_forward"))
    live(world, CLOSES - HOUR - MINUTE)
    world.clock.now = CLOSES - HOUR
    send_due_messages(replace(world.sender("trials"), render=FluentWording()), stop_at=CLOSES)
    [outbound] = world.provider.handed
    assert "your trial of Pro ends on Wednesday, April 1, 2026" in outbound.wording.text
    assert outbound.deliver_before == CLOSES


def test_first_follow_up_is_pulled_and_the_second_warned_of() -> None:
    """Two messages would have the same content."""
    world = signed_up(a_world("pull_forward"), follow_up=["P1D", "P2D"])
    live(world, NOON + timedelta(days=40))
    assert [CLOSES - HOUR <= at < CLOSES - HOUR + MINUTE for at in sent(world)] == [True]
    assert [listed(warning) for warning in warnings(world)] == [[("T-1", "2026-04-03T12:00:00Z")]]
    assert world.states() == [("P1D", "sent", None), ("P2D", "skipped", "window_closed")]


def test_what_was_pulled_forward_is_never_sent_again() -> None:
    """Whatever follows: the person writes again, the event is repeated, the window is open at the original time."""
    world = signed_up(a_world("pull_forward"))
    live(world, CLOSES - timedelta(minutes=30))
    assert len(sent(world)) == 1
    world.plan(trial())
    write(world, CLOSES - timedelta(minutes=20))
    world.plan(trial())
    live(world, NOON + timedelta(days=40))
    assert len(sent(world)) == 1


def test_trial_event_before_the_first_message_is_followed_up() -> None:
    """The window opens by the first message, which comes an hour after the event."""
    world = a_world("pull_forward")
    world.plan(trial())
    write(world, NOON + HOUR)
    live(world, NOON + timedelta(days=40))
    [at] = sent(world)
    assert timedelta() <= at - CLOSES < MINUTE


@pytest.mark.parametrize("of_stack", ["wait", "warn"])
def test_the_brands_own_setting_decides_as_the_window_opens(of_stack: WhenWindowWillClose) -> None:
    """The stack's setting differs. What was planned before the first message has to be looked at again."""
    world = a_world(of_stack)
    world.store.write_brand(Brand("acme-dental", when_window_will_close="pull_forward"))
    world.plan(trial())
    write(world, NOON + HOUR)
    live(world, NOON + timedelta(days=40))
    [at] = sent(world)
    assert timedelta() <= at - CLOSES < MINUTE
    assert not warnings(world)


def test_nothing_is_pulled_before_its_reason_allows_it() -> None:
    """At its follow-up, a trial of 60 days ends in a week at most: the business is warned instead."""
    world = signed_up(a_world("pull_forward"), ends_at=NOON + 60 * DAY)
    live(world, NOON + timedelta(days=70))
    assert sent(world) == []
    assert [listed(warning) for warning in warnings(world)] == [[("T-1", "2026-05-02T12:00:00Z")]]


def test_full_cap_leaves_a_pulled_message_at_its_own_time() -> None:
    """Another trial's message used the only message of the day; then she writes, and the cap is free when it is due."""
    world = signed_up(a_world("pull_forward", caps={"marketing": (Cap(1, DAY),)}))
    world.plan(trial(subject_id="T-0", ends_at=CLOSES - 5 * HOUR, follow_up=["PT0S"]))
    live(world, CLOSES - 30 * MINUTE)
    assert len(sent(world)) == 1
    assert [row.due_at for row in world.store.rows() if row.state is State.SCHEDULED] == [CLOSES + DAY]
    write(world, CLOSES - 20 * MINUTE)
    live(world, NOON + timedelta(days=40))
    assert timedelta() <= sent(world)[1] - (CLOSES + DAY) < MINUTE


def test_failed_early_send_leaves_the_message_at_its_own_time() -> None:
    """WhatsApp takes free text for a day: none as the window closes. But then Anna wrote, and within that day it was
    due.
    """
    on_whatsapp = replace(ANNA, channel="whatsapp")
    world = a_world("pull_forward")
    write(world, NOON, contact=on_whatsapp)
    world.plan(trial(contact=on_whatsapp, follow_up=["PT20H"]))
    live(world, CLOSES - 30 * MINUTE)
    write(world, CLOSES - 20 * MINUTE, contact=on_whatsapp)
    live(world, NOON + timedelta(days=40))
    [at] = sent(world)
    assert CLOSES + 20 * HOUR <= at < CLOSES + 20 * HOUR + MINUTE


def test_pull_uses_the_clock_before_the_window_closes() -> None:
    """The clocks go forward on 29 March at 02:00, and the window closes an hour and a half later.

    20:00 of the evening before is by the old clocks.
    """
    since = datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN).astimezone(UTC) - WINDOW
    world = signed_up(a_world("pull_forward"), since)
    live(world, since + timedelta(days=40))
    [at] = sent(world)
    assert datetime(2026, 3, 28, 18, 30, tzinfo=BERLIN) <= at < datetime(2026, 3, 28, 20, tzinfo=BERLIN)


def test_unknown_time_zone_warns_the_business_instead() -> None:
    world = a_world("pull_forward")
    write(world, NOON, contact=SATELLITE)
    world.plan(trial(contact=SATELLITE))
    live(world, NOON + timedelta(days=35))
    assert sent(world) == []
    assert len(warnings(world)) == 1


def test_a_brand_whose_zone_is_known_by_then_needs_no_warning() -> None:
    """The plan is checked again when it is due."""
    world = a_world("pull_forward")
    write(world, NOON, contact=SATELLITE)
    world.plan(trial(contact=SATELLITE))
    world.store.write_brand(Brand("acme-dental", timezone="Europe/Berlin"))
    live(world, NOON + timedelta(days=35))
    [at] = sent(world)
    assert CLOSES - DAY <= at < CLOSES
    assert warnings(world) == []


def test_an_extended_trial_is_pulled_forward_by_its_new_end() -> None:
    world = signed_up(a_world("pull_forward"))
    live(world, NOON + 20 * DAY)
    world.plan(business("TrialExtended", world.clock.now, subject_id="T-1", ends_at=NOON + 33 * DAY))
    live(world, NOON + timedelta(days=40))
    [at] = sent(world)
    assert CLOSES - HOUR <= at < CLOSES
    assert [row.anchor_at for row in world.store.rows() if row.state is State.SENT] == [NOON + 33 * DAY]


@pytest.mark.parametrize("undo", ["TrialConverted", "TrialCancelled"])
@pytest.mark.parametrize("when", ["pull_forward", "warn"])
def test_cancelled_trial_sends_and_publishes_nothing(undo: str, when: WhenWindowWillClose) -> None:
    world = signed_up(a_world(when))
    live(world, NOON + 10 * DAY)
    world.plan(business(undo, world.clock.now, subject_id="T-1", contact=None))
    live(world, NOON + timedelta(days=40))
    assert (sent(world), warnings(world)) == ([], [])


@pytest.mark.parametrize("when", ["pull_forward", "warn"])
def test_cancel_cut_short_publishes_no_warning(when: WhenWindowWillClose) -> None:
    """Only the subject was stored: its row is due for a check, which asks whether the subject still plans it."""
    world = signed_up(a_world(when))
    event = business("TrialConverted", NOON + DAY, subject_id="T-1", contact=None)
    subject = world.store.read_subject(event.subject)
    assert subject
    assert world.store.write_subject(subject.apply(event))
    live(world, NOON + timedelta(days=40))
    assert world.states() == [("P1D", "skipped", "cancelled")]
    assert (sent(world), warnings(world)) == ([], [])


# warn


def test_business_is_warned_once_a_day_before_the_window_closes() -> None:
    world = signed_up(a_world("warn"), follow_up=["-P3D", "P1D", "P2D"])
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=NOON + 40 * DAY, remind_before=["P1D"]))
    live(world, CLOSES - DAY - MINUTE)
    assert warnings(world) == []
    live(world, NOON + timedelta(days=45))
    [warning] = warnings(world)
    assert json.loads(json.dumps(warning))["expires_at"] == "2026-04-01T12:00:00Z"
    assert warning["contact"] == {"brand": "acme-dental", "channel": "sms", "address": ANNA.address}
    rows = {(row.offset, row.reason): row.scheduled_message_id for row in world.store.rows()}
    assert warning["scheduled_messages"] == [
        {
            "scheduled_message_id": rows["P1D", "trial_follow_up"],
            "reason": "trial_follow_up",
            "subject_id": "T-1",
            "due_at": "2026-04-02T12:00:00Z",
        },
        {
            "scheduled_message_id": rows["P2D", "trial_follow_up"],
            "reason": "trial_follow_up",
            "subject_id": "T-1",
            "due_at": "2026-04-03T12:00:00Z",
        },
        {
            "scheduled_message_id": rows["P1D", "appointment_reminder"],
            "reason": "appointment_reminder",
            "subject_id": "A-1",
            "due_at": "2026-04-10T12:00:00Z",
        },
    ]
    assert [detail["rule"] for detail in world.bus.details("MessageSkipped")] == ["window_closed"] * 3
    assert len(sent(world)) == 1


@pytest.mark.parametrize("notice", [HOUR, DAY, 5 * DAY])
def test_the_notice_is_as_long_as_it_is_set(notice: timedelta) -> None:
    world = signed_up(a_world("warn", closing_notice=notice))
    live(world, CLOSES - notice - MINUTE)
    assert warnings(world) == []
    live(world, CLOSES - notice + MINUTE)
    assert len(warnings(world)) == 1


def test_booking_within_the_notice_warns_at_once() -> None:
    world = a_world("warn")
    write(world, NOON)
    world.clock.now = CLOSES - HOUR
    world.plan(trial(since=NOON))
    live(world, CLOSES - HOUR + 2 * MINUTE)
    assert len(warnings(world)) == 1
    world.plan(trial(since=NOON, subject_id="T-2"))
    live(world, NOON + timedelta(days=40))
    assert len(warnings(world)) == 1, "once for each closing"


def test_reason_may_have_its_own_action() -> None:
    world = a_world("warn", when_closing_for={"trial_follow_up": "pull_forward"})
    signed_up(world)
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=NOON + 33 * DAY, remind_before=["P1D"]))
    live(world, NOON + timedelta(days=40))
    assert len(sent(world)) == 1
    assert [listed(warning) for warning in warnings(world)] == [[("A-1", "2026-04-03T12:00:00Z")]]


def test_one_reason_alone_may_look_ahead() -> None:
    world = a_world("wait", when_closing_for={"appointment_reminder": "warn"})
    signed_up(world)
    live(world, NOON + timedelta(days=40))
    assert warnings(world) == []


@pytest.mark.parametrize("greets", [timedelta(days=7), None])
def test_new_message_after_warning_moves_send_time(
    greets: timedelta | None,
) -> None:
    """Two trials: one is followed up a day after the window closes, the other a month after that."""
    world = a_world("warn")
    world.ingest = replace(world.ingest, welcome_back_after=greets)
    signed_up(world)
    world.plan(trial(subject_id="T-2", ends_at=CLOSES + 39 * DAY))
    live(world, CLOSES - HOUR)
    write(world, CLOSES - HOUR)
    live(world, NOON + timedelta(days=80))
    assert [at.date() for at in sent(world)] == [(CLOSES + DAY).date()]
    first, second = warnings(world)
    assert listed(first) == [("T-1", "2026-04-02T12:00:00Z"), ("T-2", "2026-05-11T12:00:00Z")]
    assert listed(second) == [("T-2", "2026-05-11T12:00:00Z")]
    assert second["expires_at"] == "2026-05-01T11:00:00Z"


def test_no_second_warning_if_nothing_is_due_after_the_new_end() -> None:
    world = signed_up(a_world("warn"))
    live(world, CLOSES - HOUR)
    write(world, CLOSES - HOUR)
    live(world, NOON + timedelta(days=80))
    assert (len(sent(world)), len(warnings(world))) == (1, 1)


def choice(topic: Any, at: datetime, *, allowed: bool) -> RecordChoice:
    return RecordChoice(ANNA, topic, Choice(allowed=allowed, at=at, cause={"evidence": "a form"}))


@pytest.mark.parametrize("when", ["pull_forward", "warn"])
@pytest.mark.parametrize("before", [True, False])
def test_no_warning_for_an_opted_out_contact(when: WhenWindowWillClose, before: bool) -> None:
    world = a_world(when)
    write(world, NOON)
    if before:
        write(world, NOON + HOUR, text="STOP")
    world.plan(trial())
    write(world, NOON + HOUR, text="STOP")
    live(world, NOON + timedelta(days=40))
    assert (sent(world), warnings(world)) == ([], [])
    assert world.states() == [("P1D", "skipped", "opted_out")]


def test_a_warning_leaves_out_what_the_person_refused() -> None:
    """She wants no marketing: the business may remind her of the appointment by other means, but not of the trial."""
    world = signed_up(a_world("warn"))
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=NOON + 33 * DAY, remind_before=["P1D"]))
    world.record_choice(choice("marketing", NOON + HOUR, allowed=False))
    live(world, NOON + timedelta(days=40))
    assert [listed(warning) for warning in warnings(world)] == [[("A-1", "2026-04-03T12:00:00Z")]]


def test_who_opts_in_again_by_writing_is_sent_it_at_its_time() -> None:
    world = signed_up(a_world("warn"))
    write(world, NOON + HOUR, text="STOP")
    live(world, CLOSES - HOUR)
    write(world, CLOSES - HOUR, text="START")
    live(world, NOON + timedelta(days=40))
    assert len(sent(world)) == 1


def test_unpublished_warning_is_retried() -> None:
    world = signed_up(a_world("warn"))
    live(world, CLOSES - DAY - MINUTE)
    world.bus.failing = 3
    live(world, CLOSES - DAY + timedelta(minutes=2))
    assert warnings(world) == []
    live(world, CLOSES - DAY + timedelta(minutes=5))
    assert len(warnings(world)) == 1
    live(world, NOON + timedelta(days=40))
    assert len(warnings(world)) == 1


@pytest.mark.parametrize("call", ["read_snapshot", "pending_messages", "release", "read_message"])
@pytest.mark.parametrize("nth", [1, 2])
def test_short_table_failure_does_not_lose_the_warning(call: str, nth: int) -> None:
    """Two messages are rechecked in the minute in which one kind of call fails, once."""
    world = signed_up(a_world("warn"))
    world.plan(trial(subject_id="T-2"))
    world.clock.now = CLOSES - DAY
    worker(world.sender("trials", Fault(error=lambda: Unreachable("lost"), only=call, nth=nth)), ANNA.shard, CLOSES)
    live(world, NOON + timedelta(days=40))
    assert 1 <= len(warnings(world)) <= 2


def _two_groups(choose: Choose) -> World:
    """A reminder and a follow-up, each due after the window: two functions decide them in the same minute."""
    world = signed_up(a_world("warn"))
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=NOON + 33 * DAY, remind_before=["P1D"]))
    world.clock.now = CLOSES - DAY

    def run(send_group: SendGroup) -> Any:
        # The two claims, and what they give back, are of two rows: their order is of no matter.
        def body(around: Any) -> None:
            def meeting(name: str, call: Any) -> Any:
                return around(name, call) if name in {"read_snapshot", "write_conversation"} else call()

            worker(world.sender(send_group, meeting), ANNA.shard, CLOSES)

        return body

    play({"appointments": run("appointments"), "trials": run("trials")}, choose)
    return world


def test_two_functions_at_once_warn_once() -> None:
    runs = 0
    for world in every_order(_two_groups):
        runs += 1
        assert len(warnings(world)) == 1
        live(world, CLOSES)
        assert len(warnings(world)) == 1
        assert len(listed(warnings(world)[0])) == 2
    assert runs > 10


def test_new_message_just_before_the_warning_prevents_it() -> None:
    """The mark is stored on the conversation that was read, and on no newer one."""
    world = signed_up(a_world("warn"))
    live(world, CLOSES - DAY - MINUTE)
    world.clock.now = CLOSES - DAY

    def she_writes_first(name: str, call: Any) -> Any:
        if name == "write_conversation":
            write(world, CLOSES - DAY)
        return call()

    worker(world.sender("trials", she_writes_first), ANNA.shard, CLOSES)
    conversation = world.store.read_thread(ANNA).conversation
    assert conversation
    assert (conversation.last_inbound_at, conversation.already_warned) == (CLOSES - DAY, False)
    live(world, NOON + timedelta(days=40))
    assert (len(sent(world)), warnings(world)) == (1, [])


# When a window opens


def test_reopened_window_rechecks_messages_planned_while_closed() -> None:
    """Anna returned after months: meanwhile an appointment had been booked, 35 days ahead."""
    world = a_world("warn")
    write(world, NOON - 90 * DAY)
    world.clock.now = NOON
    world.plan(business("AppointmentBooked", NOON, subject_id="A-1", starts_at=NOON + 35 * DAY, remind_before=["P1D"]))
    write(world, NOON + HOUR)
    live(world, NOON + timedelta(days=40))
    assert [listed(warning) for warning in warnings(world)] == [[("A-1", "2026-04-05T12:00:00Z")]]


def test_an_opening_window_leaves_alone_what_was_put_off() -> None:
    """It was held until her morning: then its sender checks."""
    world = a_world("warn")
    write(world, NOON)
    evening = datetime(2026, 3, 2, 21, tzinfo=BERLIN).astimezone(UTC)
    world.plan(business("AppointmentBooked", NOON, starts_at=evening + 20 * HOUR, remind_before=["PT20H"]))
    live(world, evening + MINUTE)
    [held] = world.store.rows()
    assert held.planned_due_at
    write(world, evening + 2 * MINUTE, message_id="again")
    assert world.store.rows() == [held]


def test_where_nothing_looks_ahead_a_message_reads_no_plans() -> None:
    calls: list[str] = []

    def note(name: str, call: Any) -> Any:
        calls.append(name)
        return call()

    world = a_world("wait")
    world.receive(inbound(), note)
    assert "pending_messages" not in calls


# Whatever the window, the dues, the zone and the mode

ZONES: Final = (None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Auckland")


@st.composite
def _stories(draw: st.DrawFn) -> tuple[World, list[datetime]]:
    """A person in any zone, or in no known one; trials and appointments of any length; messages of theirs, each with
    its time.

    Some windows close in a night in which the clocks change.
    """
    begin = draw(st.sampled_from([datetime(2026, 2, 20, tzinfo=UTC), datetime(2026, 9, 20, tzinfo=UTC)]))
    begin += timedelta(minutes=draw(st.integers(0, 20 * 24 * 60)), seconds=draw(st.integers(0, 59)))
    times = [draw(st.integers(0, 1439)) for _ in range(2)]
    hours = None if times[0] == times[1] else QuietHours.parse("-".join(f"{t // 60:02}:{t % 60:02}" for t in times))
    modes: st.SearchStrategy[WhenWindowWillClose] = st.sampled_from(["wait", "pull_forward", "warn"])
    world = a_world(
        draw(modes),
        quiet_hours={"marketing": hours, "utility": hours} if hours else {},
        when_closing_for=draw(st.dictionaries(st.sampled_from(["trial_follow_up", "appointment_reminder"]), modes)),
        closing_notice=draw(st.sampled_from([HOUR, DAY, 4 * DAY])),
        caps=draw(st.sampled_from([{}, {"marketing": (Cap(1, DAY),)}])),
    )
    world.ingest = replace(world.ingest, welcome_back_after=draw(st.sampled_from([None, timedelta(days=7)])))
    zone = draw(st.sampled_from(ZONES))
    if zone:
        world.store.write_brand(Brand("acme-dental", timezone=zone))
    written = [begin, *(begin + draw(st.integers(1, 80 * 24)) * HOUR for _ in range(draw(st.integers(0, 3))))]
    happening: list[tuple[datetime, Any]] = [(at, None) for at in written]
    for number in range(draw(st.integers(1, 3))):
        at = begin + draw(st.integers(-24, 40 * 24)) * HOUR
        about = at + draw(st.integers(24, 60 * 24)) * HOUR
        offsets = draw(st.lists(st.sampled_from(["-P3D", "P1D", "P2D", "PT5H"]), min_size=1, max_size=3, unique=True))
        event = trial(since=at, subject_id=f"T-{number}", contact=SATELLITE, ends_at=about, follow_up=offsets)
        if draw(st.booleans()):
            event = business("AppointmentBooked", at, subject_id=f"A-{number}", contact=SATELLITE, starts_at=about)
        happening.append((at, event))
    for at, event in sorted(happening, key=lambda pair: pair[0]):
        live(world, max(at, world.clock.now), seconds=draw(st.integers(0, 59)))
        world.clock.now = at
        if event:
            world.plan(event)
        else:
            write(world, at, contact=SATELLITE)
    live(world, begin + timedelta(days=160))
    return world, sorted(written)


def _last_before(instants: Sequence[datetime], at: datetime) -> datetime:
    return max(instant for instant in instants if instant <= at)


EARLIEST: Final = {"trial_follow_up": timedelta(days=7), "appointment_reminder": timedelta(days=7)}
CLOCKS_CHANGE_BY: Final = timedelta(hours=1)


@settings(max_examples=80, deadline=None)
@given(story=_stories())
@pytest.mark.slow
def test_sends_only_in_allowed_time_with_one_warning_per_window(
    story: tuple[World, list[datetime]],
) -> None:
    world, written = story
    brand = world.store.read_brand("acme-dental")
    zone = ZoneInfo(brand.timezone) if brand and brand.timezone else None
    for outbound, at in zip(world.provider.handed, world.provider.handed_at, strict=True):
        message = outbound.message
        if message.reason_spec.category == "reply":
            continue
        assert at < _last_before(written, at) + WINDOW
        hours = world.policy.quiet_hours.get(message.reason_spec.category)
        assert hours is None or (zone is not None and not hours.cover(at, zone))
        assert message.anchor_at
        due_at = _due(message)
        assert at >= min(due_at, message.anchor_at - EARLIEST[message.reason] - CLOCKS_CHANGE_BY)
        pulled = world.policy.when_closing(message.reason) == "pull_forward"
        before_closing = pulled and due_at >= _last_before(written, at) + WINDOW
        allowed = hours.first_allowed(due_at, [zone or UTC]) if hours else None
        before_night = allowed is not None and allowed >= message.valid_until
        # A day before is a day on the wall clock of the brand.
        assert at >= due_at - CLOCKS_CHANGE_BY or before_closing or before_night
        assert at < outbound.deliver_before
    detail = [warning["expires_at"] for warning in warnings(world)]
    assert len(detail) == len(set(detail))
    handed = [outbound.message.scheduled_message_id for outbound in world.provider.handed]
    assert len(handed) == len(set(handed))


def _due(message: ScheduledMessage) -> datetime:
    """Shift by the message's own offset: days on the clock of UTC, in which these events are given."""
    assert message.anchor_at
    steps = {"-P3D": -3 * DAY, "P1D": DAY, "P2D": 2 * DAY, "PT5H": 5 * HOUR}
    if message.reason == "appointment_reminder":
        steps = {"P1D": -DAY, "PT2H": -2 * HOUR}
    return message.anchor_at + steps[message.offset]


@pytest.mark.slow
def test_the_stories_are_of_every_kind() -> None:
    """Otherwise the property above would prove less than it claims."""
    seen = set[str]()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(story=_stories())
    def look(story: tuple[World, list[datetime]]) -> None:
        world, _ = story
        seen.update(world.bus.types())
        for outbound, at in zip(world.provider.handed, world.provider.handed_at, strict=True):
            if outbound.message.reason_spec.category != "reply" and at < _due(outbound.message):
                seen.add("pulled")
        seen.update(row.rule for row in world.store.rows() if row.rule)

    look()
    assert seen >= {"ConversationClosing", "MessageSent", "pulled", "window_closed"}


@pytest.mark.parametrize("linked_first", [False, True])
def test_a_linked_window_pulls_a_message_forward(*, linked_first: bool) -> None:
    """A message for an address that never wrote was not looked at before the window of the linked one closed."""
    world, chat = a_world("pull_forward"), Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
    world.clock.now = NOON

    def link() -> None:
        link_contact(LinkContact(ANNA, chat, world.clock.now), store=world.store, publish=world.bus)
        recheck_closing(ANNA, settings=world.policy, store=world.store, clock=world.clock)

    steps = (link, lambda: write(world, NOON)) if linked_first else (lambda: write(world, NOON), link)
    world.plan(trial(contact=chat))
    for step in steps:
        step()
    live(world, CLOSES + 3 * DAY)
    assert [in_berlin(at) for at in sent(world)] == ["01.04. 13:00"]
    assert world.provider.handed[0].message.recipient == ANNA


def test_a_linked_window_pulls_forward_by_the_brands_setting() -> None:
    world, chat = a_world("wait"), Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
    world.store.write_brand(Brand(ANNA.brand, when_window_will_close="pull_forward"))
    world.clock.now = NOON
    world.plan(trial(contact=chat))
    write(world, NOON)
    link_contact(LinkContact(ANNA, chat, world.clock.now), store=world.store, publish=world.bus)
    recheck_closing(ANNA, settings=world.policy, store=world.store, clock=world.clock)
    live(world, CLOSES + 3 * DAY)
    assert len(sent(world)) == 1
