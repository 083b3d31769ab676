"""A person writes: the window, the profile, the published events, and the replies."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.message import ScheduledMessage, State
from reengage.errors import NotPublished, WriteConflict
from reengage.ports import Retryable
from reengage.usecases.ingest_message import FRESH_FOR
from reengage.usecases.ingest_settings import IngestSettings
from tests.fakes import ANNA, CLAIM_LASTS, NOON, RETENTION, Crash, Fault, Unreachable, World, business, inbound
from tests.property.schedules import Body, Option, play

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def conversation(world: World) -> Conversation:
    stored = world.store.read_thread(ANNA).conversation
    assert stored is not None
    return stored


def profile(world: World) -> Profile:
    stored = world.store.read_thread(ANNA).profile
    assert stored is not None
    return stored


def calls(world: World, *, locale: str) -> list[str]:
    """Return the names of the store's calls for one more message of the known contact."""
    counted = Fault(nth=99)
    assert world.receive(inbound(world.clock.now, locale=locale), counted) == "stored"
    return [name for name in counted.calls if name != "publish"]


def test_first_message_opens_the_window_from_its_sent_time() -> None:
    world = World()
    sent_at = NOON - timedelta(hours=5)
    assert world.receive(inbound(sent_at, locale="de-AT")) == "stored"
    assert conversation(world).closes_at == sent_at + WINDOW
    assert conversation(world).expires_at == int((sent_at + WINDOW).timestamp())
    assert profile(world) == Profile(sent_at, sent_at, expiry(sent_at + RETENTION), locale="de-AT")
    (event,) = world.bus.events
    assert event.type == "ConversationStarted"
    assert event.detail == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": "+4915112345678"},
        "last_inbound_at": "2026-03-02T07:00:00Z",
    }


def test_repeated_message_changes_and_publishes_nothing() -> None:
    world = World()
    world.receive(inbound())
    before = world.store.read_thread(ANNA)
    world.clock.forward(days=3)
    counted = Fault(nth=99)
    assert world.receive(inbound(), counted) == "duplicate"
    assert counted.calls == ["read_thread"]
    assert world.store.read_thread(ANNA) == before
    assert world.bus.types() == ["ConversationStarted"]


def test_late_older_message_never_shortens_the_window() -> None:
    world = World()
    world.receive(inbound(NOON))
    before = conversation(world)
    assert world.receive(inbound(NOON - 3 * DAY)) == "stored"
    assert conversation(world) == before
    assert world.bus.types() == ["ConversationStarted"]


@pytest.mark.parametrize(
    ("age", "result"),
    [(WINDOW - MICROSECOND, "stored"), (WINDOW, "window_closed"), (WINDOW + timedelta(seconds=1), "window_closed")],
)
def test_message_30_days_old_counts_but_opens_no_window(age: timedelta, result: str) -> None:
    world = World()
    assert world.receive(inbound(NOON - age)) == result
    thread = world.store.read_thread(ANNA)
    assert (thread.conversation is None) == (result == "window_closed")
    assert thread.profile is not None
    assert world.bus.types() == ([] if result == "window_closed" else ["ConversationStarted"])


def test_an_old_message_leaves_an_open_window_alone() -> None:
    world = World()
    world.receive(inbound(NOON))
    before = conversation(world)
    assert world.receive(inbound(NOON - WINDOW)) == "window_closed"
    assert conversation(world) == before


def test_an_old_message_again_after_ttl_opens_nothing() -> None:
    """A redrive of the dead-letter queue brings messages that are two weeks old, when nothing about them is stored any
    more.
    """
    world = World()
    world.receive(inbound(NOON))
    world.store.expire(world.clock.forward(days=31))
    assert world.receive(inbound(NOON)) == "window_closed"
    assert world.store.read_thread(ANNA).conversation is None


def test_message_sent_in_its_arrival_second_keeps_its_instant() -> None:
    """Envelopes' times are cut to whole seconds: a START right after a STOP was mistaken for one at the same
    instant.
    """
    world = World()
    world.clock.now = NOON + timedelta(seconds=2)
    for milliseconds, text in ((200, "STOP"), (900, "START")):
        sent_at = NOON + timedelta(milliseconds=milliseconds)
        assert world.receive(replace(inbound(sent_at, text=text), arrived_at=NOON)) == "stored"
    thread = world.store.read_thread(ANNA)
    assert thread.conversation
    assert thread.conversation.last_inbound_at == NOON + timedelta(milliseconds=900)
    assert not thread.preferences.refused("contact", "sms")


@pytest.mark.parametrize(("first", "last"), [("START", "STOP"), ("STOP", "START")])
def test_a_slow_clock_keeps_the_order_of_choices(first: str, last: str) -> None:
    """The clock of the second call's function was three seconds behind: its STOP counted as older than the START."""
    world = World()
    world.receive(inbound(NOON, text=first, message_id="first"))
    world.clock.now = NOON + timedelta(seconds=1) - timedelta(seconds=3)
    world.receive(inbound(NOON + timedelta(seconds=1), text=last, message_id="last"))
    refused = world.store.read_thread(ANNA).preferences.refused("contact", "sms")
    assert (refused is not None) is (last == "STOP")


def test_a_clock_far_ahead_makes_no_later_choice() -> None:
    world = World()
    world.receive(replace(inbound(NOON + timedelta(hours=1), text="START", message_id="ahead"), arrived_at=NOON))
    world.clock.now = NOON + timedelta(minutes=1)
    world.receive(inbound(NOON + timedelta(minutes=1), text="STOP", message_id="stop"))
    assert world.store.read_thread(ANNA).preferences.refused("contact", "sms")


@pytest.mark.parametrize("ahead", [MICROSECOND, timedelta(hours=1), timedelta(days=400)])
def test_a_message_from_the_future_is_clamped_to_its_arrival(ahead: timedelta) -> None:
    world = World()
    message = inbound(NOON + ahead)
    assert world.receive(message) == "stored"
    assert conversation(world).closes_at == NOON + WINDOW
    assert profile(world).last_seen_at == NOON
    world.clock.forward(minutes=5)
    assert world.receive(message) == "duplicate"
    assert conversation(world).closes_at == NOON + WINDOW


def test_first_message_after_the_window_restarts_conversation() -> None:
    world = World()
    world.receive(inbound(NOON))
    world.clock.forward(days=30)
    message = inbound(world.clock.now)
    world.receive(message)
    assert conversation(world).opened_by == message.message_id
    assert world.bus.types() == ["ConversationStarted", "ConversationRestarted"]


def test_it_restarts_too_where_ttl_has_deleted_the_conversation() -> None:
    """Deleted or not yet: the answer is the same."""
    world = World()
    world.receive(inbound(NOON))
    world.store.expire(world.clock.forward(days=40))
    assert world.store.read_thread(ANNA).conversation is None
    world.receive(inbound(world.clock.now))
    assert world.bus.types() == ["ConversationStarted", "ConversationRestarted"]


@pytest.mark.parametrize("deleted", [True, False])
def test_contact_past_its_retention_starts_anew(deleted: bool) -> None:
    world = World()
    world.receive(inbound(NOON, locale="de"))
    world.clock.forward(days=365)
    if deleted:
        world.store.expire(world.clock.now)
    else:
        world.store._conversations.clear()
    world.receive(inbound(world.clock.now, timezone="Asia/Ho_Chi_Minh"))
    assert world.bus.types()[-1] == "ConversationStarted"
    assert (profile(world).locale, profile(world).timezone) == (None, "Asia/Ho_Chi_Minh")
    assert profile(world).first_seen_at == world.clock.now


# The profile


@pytest.mark.parametrize("vague", ["UTC", "GMT", "Etc/GMT+8", None])
def test_utc_of_a_chat_system_replaces_no_known_zone(vague: str | None) -> None:
    """A second chat system reported UTC for everyone. A person on holiday in California was woken at five."""
    world = World()
    for day, zone in enumerate(["America/Los_Angeles", vague]):
        world.receive(inbound(NOON + timedelta(days=day), timezone=zone))
    assert profile(world).timezone == "America/Los_Angeles"


def test_profile_combines_the_fields_of_all_messages() -> None:
    world = World()
    world.receive(inbound(NOON, locale="de", display_name="Anna"))
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now, locale="en", timezone="Europe/Berlin"))
    known = profile(world)
    assert (known.locale, known.timezone, known.display_name) == ("en", "Europe/Berlin", "Anna")


def test_late_message_fills_only_unknown_fields() -> None:
    world = World()
    world.receive(inbound(NOON, locale="en"))
    world.receive(inbound(NOON - DAY, locale="de", display_name="Anna"))
    known = profile(world)
    assert (known.locale, known.display_name) == ("en", "Anna")
    assert known.last_seen_at == NOON
    assert known.first_seen_at == NOON - DAY


def test_lateness_goes_by_the_last_message_though_last_seen_lags() -> None:
    """``last_seen_at`` is up to a week behind; a message older than the last one must not count as the newest."""
    world = World()
    world.receive(inbound(NOON, locale="de"))
    world.clock.forward(days=3)
    world.receive(inbound(world.clock.now))
    world.receive(inbound(NOON + DAY, locale="fr"))
    assert profile(world).locale == "de"


def test_an_unchanged_profile_is_written_at_most_once_a_week() -> None:
    world = World()
    world.receive(inbound(NOON, locale="de"))
    written = []
    for _ in range(16):
        world.clock.forward(days=1)
        names = calls(world, locale="de")
        assert [name for name in names if name not in ("write_profile", "read_threads")] == [
            "read_thread",
            "read_brand",
            "write_conversation",
            "write_message",
            "read_preferences",
        ]
        written.append("write_profile" in names)
        assert ("read_threads" in names) is written[-1], "the number's other channels"
    assert [day for day, was in enumerate(written, 1) if was] == [7, 14]
    assert profile(world).last_seen_at == NOON + 14 * DAY
    assert profile(world).expires_at == expiry(NOON + 14 * DAY + RETENTION)


def test_two_contacts_of_one_address_are_apart() -> None:
    """Another brand, or another channel, is another conversation."""
    world = World()
    for contact in (Contact("acme-dental", "rcs", ANNA.address), Contact("other-brand", "sms", ANNA.address)):
        world.receive(inbound(contact=contact))
    assert world.store.read_thread(ANNA).conversation is None


# Crashes and races


@pytest.mark.parametrize("error", [Crash, Unreachable])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 9))
def test_retry_completes_after_a_crash_at_any_call(nth: int, after: bool, error: type[BaseException]) -> None:
    """The function crashed at some call and the event was retried: the result is the same as without the crash.

    The opening is published at least once.
    """
    calm = World()
    calm.receive(inbound(locale="de"))
    world = World()
    fault = Fault(error, nth, after)
    with pytest.raises(error):
        world.receive(inbound(locale="de"), fault)
    thread = ["read_thread", "read_threads", "write_conversation", "write_profile"]
    assert fault.calls == [*thread, "publish", "read_brand", "write_message", "read_preferences"][:nth]
    world.clock.forward(minutes=1)
    world.receive(inbound(locale="de"))
    assert world.store.read_thread(ANNA, inbound().message_id) == calm.store.read_thread(ANNA, inbound().message_id)
    assert set(world.bus.types()) == {"ConversationStarted"}


def test_retry_publishes_the_opening_after_another_message() -> None:
    world = World()
    with pytest.raises(Crash):
        world.receive(inbound(NOON), Fault(only="publish"))
    world.clock.forward(seconds=30)
    world.receive(inbound(world.clock.now))
    assert world.bus.types() == []
    world.receive(inbound(NOON))
    assert world.bus.types() == ["ConversationStarted"]


def test_publish_failure_raises_to_be_retried() -> None:
    world = World()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.receive(inbound())
    assert world.receive(inbound()) == "stored"
    assert world.bus.types() == ["ConversationStarted"]


@pytest.mark.parametrize("write", ["write_conversation", "write_profile"])
def test_a_lost_race_reads_again_and_keeps_both_messages(write: str) -> None:
    """Two messages of one person at once: the second write must not undo the first."""
    world = World()
    raced: list[str] = []

    def race(name: str, call: object) -> object:
        assert callable(call)
        if name == write and not raced:
            raced.append(world.receive(inbound(NOON + timedelta(seconds=2), locale="de")))
        return call()

    world.clock.forward(seconds=5)
    assert world.receive(inbound(NOON, display_name="Anna"), race) == "stored"
    assert raced == ["stored"]
    assert conversation(world).closes_at == NOON + timedelta(seconds=2) + WINDOW
    assert (profile(world).locale, profile(world).display_name) == ("de", "Anna")


def test_one_who_loses_every_race_gives_up_loudly() -> None:
    world = World()

    def lose(name: str, call: object) -> object:
        assert callable(call)
        return False if name == "write_conversation" else call()

    with pytest.raises(WriteConflict):
        world.receive(inbound(), lose)
    assert world.receive(inbound()) == "stored"


def test_clock_ahead_is_limited_to_the_arrival_in_retries_too() -> None:
    """A phone's clock was two days ahead, and the first try crashed before the message was stored. The retry came
    twenty hours later, and its clock must not have opened the window for twenty hours more.
    """
    world = World()
    early = replace(inbound(NOON + timedelta(days=2)), arrived_at=NOON)
    with pytest.raises(Crash):
        world.receive(early, Fault(Crash, only="write_message"))
    world.clock.forward(hours=20)
    world.receive(early)
    conversation = world.store.read_thread(early.contact).conversation
    assert conversation is not None
    assert conversation.last_inbound_at == NOON


@pytest.mark.parametrize("ahead", [timedelta(seconds=30), timedelta(hours=1)])
def test_clock_slightly_ahead_makes_no_second_message(ahead: timedelta) -> None:
    """By the time of the retry, the sender's instant was past. It must still be limited to the arrival.

    Otherwise the retry would see a later message, move the window, and reply a second time.
    """
    world = silent(days=7)
    message = replace(inbound(world.clock.now + ahead), arrived_at=world.clock.now)
    with pytest.raises(Crash):
        world.receive(message, Fault(only="write_message"))
    world.clock.forward(minutes=1)
    world.receive(message)
    assert conversation(world).last_inbound_at == message.arrived_at
    assert len(greetings(world)) == 1


# Who comes back is greeted

WELCOME = IngestSettings(RETENTION, welcome_back_after=timedelta(days=7))


def silent(*, days: float, ingest: IngestSettings = WELCOME) -> World:
    """Anna wrote once, and then nothing for so long."""
    world = World(ingest=ingest)
    world.receive(inbound())
    world.bus.events.clear()
    world.clock.forward(days=days)
    return world


def greetings(world: World, reason: str = "welcome_back") -> list[ScheduledMessage]:
    """Return the messages that were sent."""
    return [outbound.message for outbound in world.provider.handed if outbound.message.reason == reason]


def tick_until_all_is_settled(world: World) -> None:
    world.clock.forward(minutes=1)
    world.run_sender("updates")
    world.clock.now += CLAIM_LASTS
    world.run_sender("updates")


@pytest.mark.parametrize(("silence", "greeted"), [(WELCOME.welcome_back_after, True), (7 * DAY - MICROSECOND, False)])
def test_who_writes_after_the_silence_is_greeted_once(silence: timedelta, greeted: bool) -> None:
    world = silent(days=0)
    world.clock.now += silence
    message = inbound(world.clock.now)
    world.receive(message)
    assert len(greetings(world)) == greeted
    assert world.bus.types() == (["ConversationRestarted", "MessageSent"] if greeted else [])
    for _ in range(3):
        world.clock.forward(minutes=1)
        world.receive(message)
        world.receive(inbound(world.clock.now))
        world.run_sender("updates")
    assert len(greetings(world)) == greeted


@pytest.mark.parametrize("deleted", [True, False])
def test_who_writes_after_the_window_has_closed_is_greeted(deleted: bool) -> None:
    """Also if the silence is shorter than the configured one, and whatever TTL has deleted."""
    world = silent(days=31, ingest=replace(WELCOME, welcome_back_after=60 * DAY))
    if deleted:
        world.store.expire(world.clock.now)
        assert world.store.read_thread(ANNA).conversation is None
    world.receive(inbound(world.clock.now))
    assert [message.reason for message in greetings(world)] == ["welcome_back"]
    assert world.bus.details("ConversationRestarted")


def test_who_writes_for_the_first_time_ever_is_not_greeted() -> None:
    world = World(ingest=WELCOME)
    world.receive(inbound())
    assert world.bus.types() == ["ConversationStarted"]
    assert world.provider.handed == []


@pytest.mark.parametrize("days", [7, 31])
def test_no_greeting_if_it_is_switched_off(days: int) -> None:
    world = silent(days=days, ingest=IngestSettings(RETENTION))
    world.receive(inbound(world.clock.now))
    assert world.bus.types() == (["ConversationRestarted"] if days > 30 else [])
    assert world.provider.handed == []


@pytest.mark.parametrize(("age", "greeted"), [(FRESH_FOR - MICROSECOND, True), (FRESH_FOR, False), (DAY, False)])
def test_an_old_message_is_not_greeted(age: timedelta, greeted: bool) -> None:
    """Imported or long delayed messages need no reply."""
    world = silent(days=20)
    world.receive(inbound(world.clock.now - age))
    assert len(greetings(world)) == len(world.store.rows()) == greeted
    assert world.bus.types() == ["ConversationRestarted"] + ["MessageSent"] * greeted


@pytest.mark.parametrize("text", ["STOP", "START", "HELP", "stop sending me these stupid ads", "Hör auf damit!"])
def test_returning_contact_with_a_keyword_is_not_greeted(text: str) -> None:
    world = silent(days=31)
    world.receive(inbound(world.clock.now, text=text))
    assert world.bus.details("ConversationRestarted")
    assert world.provider.handed == []


def test_opted_out_contact_is_not_greeted_and_that_is_published() -> None:
    world = silent(days=0)
    world.receive(inbound(NOON + MICROSECOND, text="STOP"))
    world.clock.forward(days=31)
    world.receive(inbound(world.clock.now))
    assert world.provider.handed == []
    assert [detail["rule"] for detail in world.bus.details("MessageSkipped")] == ["opted_out"]


def test_failed_greeting_is_sent_by_the_next_run() -> None:
    world = silent(days=7)
    world.provider.script.append(Retryable("throttled"))
    world.receive(inbound(world.clock.now))
    world.clock.forward(minutes=1)
    assert world.run_sender("updates")["sent"] == 1
    assert world.bus.details("MessageSent")


@pytest.mark.slow
@pytest.mark.parametrize("error", [Crash, Unreachable])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("text", "reason"), [("Is Friday free?", "welcome_back"), ("HELP", "help_reply")])
def test_crash_at_any_call_gives_one_reply_or_reports_it(
    text: str, reason: str, after: bool, error: Callable[[], BaseException]
) -> None:
    """The reply was sent once, or its outcome is unknown and published."""
    ends: Counter[State] = Counter()
    for nth in range(1, 30):
        world = silent(days=7, ingest=replace(WELCOME, answers_help=True))
        message = inbound(world.clock.now, text=text)
        fault = Fault(error, nth, after)
        try:
            world.receive(message, fault)
        except (Crash, Unreachable):
            assert fault.struck
        world.clock.forward(minutes=1)
        world.receive(message)
        tick_until_all_is_settled(world)
        (row,) = world.store.rows()
        handed = greetings(world, reason)
        assert len(handed) == (row.state is State.SENT) or (len(handed) <= 1 and row.state is State.UNCONFIRMED)
        assert row.state in (State.SENT, State.UNCONFIRMED), f"call {nth}: {fault.calls}"
        outcomes = {event.type for event in world.bus.events if event.type in ("MessageSent", "MessageUnconfirmed")}
        assert outcomes == {f"Message{row.state.capitalize()}"}
        assert world.bus.details("ConversationRestarted")
        ends[row.state] += 1
        if not fault.struck:
            assert ends[State.SENT] > ends[State.UNCONFIRMED] > 0
            return
    pytest.fail("there are more calls than were tried")


def receives(world: World, message: InboundMessage) -> Body:
    return lambda around: world.receive(message, around)


@pytest.mark.parametrize("apart", [None, timedelta(), timedelta(seconds=1), -timedelta(seconds=1)])
def test_two_concurrent_deliveries_greet_once(apart: timedelta | None) -> None:
    """``None``: the same message twice; else two messages with this distance."""
    for nth in range(1, 30):
        world = silent(days=7)
        now = world.clock.forward(seconds=5)
        first = inbound(now - timedelta(seconds=2), message_id="first")
        second = first if apart is None else inbound(first.sent_at + apart, message_id="second")
        seen = 0

        def overtake(_name: str, call: Callable[[], Any]) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth:  # noqa: B023 - it is called within this very turn
                world.receive(second)  # noqa: B023 - the same
            return call()

        world.receive(first, overtake)
        assert len(greetings(world)) == 1, f"before call {nth}"
        assert {detail["last_inbound_at"] for detail in world.bus.details("ConversationRestarted")}
        if seen < nth:
            return
    pytest.fail("there are more calls than were tried")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), same=st.booleans(), deaths=st.integers(0, 2))
@pytest.mark.slow
def test_interleaved_deliveries_with_crashes_greet_at_most_once(data: st.DataObject, same: bool, deaths: int) -> None:
    world = silent(days=7)
    now = world.clock.forward(seconds=5)
    messages = {"one": inbound(now, message_id="one")}
    messages["two"] = messages["one"] if same else inbound(now - timedelta(seconds=1), message_id="two")

    def choose(options: Sequence[Option]) -> Option:
        return data.draw(st.sampled_from(options))

    played = play({name: receives(world, message) for name, message in messages.items()}, choose, deaths=deaths)
    world.clock.forward(minutes=1)
    for name in played.failed:
        world.receive(messages[name])
    tick_until_all_is_settled(world)
    assert len(greetings(world)) <= 1
    (row,) = world.store.rows()
    assert row.state is State.UNCONFIRMED or len(greetings(world)) == 1
    assert len(world.bus.details("MessageUnconfirmed")) == (row.state is State.UNCONFIRMED)
    assert world.bus.details("ConversationRestarted")


# HELP


@pytest.mark.parametrize("answers_help", [True, False])
def test_help_is_answered_once_if_the_provider_does_not(answers_help: bool) -> None:
    world = silent(days=1, ingest=replace(WELCOME, answers_help=answers_help))
    message = inbound(world.clock.now, text="Help!")
    for _ in range(3):
        world.receive(message)
        world.run_sender("updates")
    assert [m.reason for m in greetings(world, "help_reply")] == ["help_reply"] * answers_help
    assert len(world.provider.handed) == answers_help


@pytest.mark.parametrize(("age", "answered"), [(FRESH_FOR - MICROSECOND, True), (FRESH_FOR, False)])
def test_an_old_cry_for_help_is_not_answered(age: timedelta, answered: bool) -> None:
    world = silent(days=1, ingest=replace(WELCOME, answers_help=True))
    world.receive(inbound(world.clock.now - age, text="HELP"))
    assert len(greetings(world, "help_reply")) == len(world.store.rows()) == answered


def test_opted_out_contact_gets_no_help_and_that_is_published() -> None:
    world = silent(days=1, ingest=replace(WELCOME, answers_help=True))
    world.receive(inbound(NOON + MICROSECOND, text="STOP"))
    world.receive(inbound(world.clock.now, text="HELP"))
    assert world.provider.handed == []
    assert [detail["rule"] for detail in world.bus.details("MessageSkipped")] == ["opted_out"]


# A suspicion


@pytest.mark.parametrize("age", [timedelta(), WINDOW])
def test_possible_opt_out_is_only_published(age: timedelta) -> None:
    """Also for an old message: the person may write any day, and then get messages."""
    world = silent(days=31)
    message = inbound(world.clock.now - age, text="stop sending me these stupid ads", message_id="SM-1")
    world.receive(message)
    assert [detail["message_id"] for detail in world.bus.details("OptOutSuspected")] == ["SM-1"]
    assert {*world.bus.types()} <= {"OptOutSuspected", "ConversationRestarted"}
    assert world.store.read_preferences(ANNA) == World().store.read_preferences(ANNA)
    assert world.provider.handed == []
    world.plan(business("AppointmentBooked", starts_at=world.clock.now + DAY, remind_before=["PT2H"]))
    world.clock.forward(hours=22)
    assert world.run_sender()["sent"] == (not age)


def test_repeated_start_does_not_undo_a_later_stop() -> None:
    """A repeated call had the instant of its arrival, and so counted as the latest choice."""
    world = World()
    start = inbound(NOON, message_id="SM-start", text="START")
    world.receive(start)
    world.clock.forward(hours=1)
    world.receive(inbound(NOON + timedelta(hours=1), message_id="SM-stop", text="STOP"))
    world.clock.forward(hours=1)
    assert world.receive(replace(start, sent_at=NOON + timedelta(hours=2))) == "duplicate"
    assert world.store.read_preferences(ANNA).refused("contact", "sms") is not None


def test_a_repeated_stop_does_not_undo_a_later_start() -> None:
    """A provider repeated a STOP without its own time: it counted as later than the START in between."""
    world = World()
    result = ""
    for text, message_id, minutes in (("STOP", "SM-1", 0), ("START", "SM-2", 5), ("STOP", "SM-1", 9)):
        world.clock.now = NOON + timedelta(minutes=minutes)
        result = world.receive(inbound(world.clock.now, text=text, message_id=message_id))
    assert result == "duplicate"
    assert world.store.read_preferences(ANNA).refused("contact", "sms") is None
    assert world.bus.types().count("ContactOptedOut") == 1
    world.clock.forward(minutes=1)
    world.receive(inbound(world.clock.now, text="STOP", message_id="SM-3"))
    assert world.store.read_preferences(ANNA).refused("contact", "sms")


def test_a_repeat_with_another_time_is_greeted_once() -> None:
    """One message was greeted twice because its repeat carried another instant."""
    world = World(ingest=IngestSettings(RETENTION, welcome_back_after=timedelta(hours=1)))
    world.receive(inbound(NOON))
    world.clock.now = NOON + timedelta(hours=2)
    back = inbound(world.clock.now, message_id="back")

    def repeated(name: str, call: Callable[[], Any]) -> Any:
        if name == "write_message":  # the first handling is slow: the repeat overtakes it
            world.clock.forward(seconds=30)
            world.receive(replace(back, sent_at=back.sent_at - timedelta(seconds=1)))
            world.receive(replace(back, sent_at=back.sent_at + timedelta(seconds=20)))
        return call()

    world.receive(back, repeated)
    assert [outbound.message.reason for outbound in world.provider.handed] == ["welcome_back"]
