"""A person writes: the window, the profile, and what is told of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, expiry
from reengage.errors import Contended, NotPublished
from tests.fakes import ANNA, NOON, RETENTION, Crash, Fault, Unreachable, World, inbound

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
    """The names of the store's calls that one more message from the known contact makes."""
    counted = Fault(nth=99)
    assert world.receive(inbound(world.clock.now, locale=locale), counted) == "stored"
    return [name for name in counted.calls if name != "publish"]


def test_a_first_message_opens_the_window_from_its_own_time_not_from_its_arrival() -> None:
    world = World()
    sent_at = NOON - timedelta(hours=5)
    assert world.receive(inbound(sent_at, locale="de-AT")) == "stored"
    assert conversation(world).closes_at == sent_at + WINDOW
    assert conversation(world).expires_at == int((sent_at + WINDOW).timestamp())
    assert profile(world) == Profile(sent_at, sent_at, expiry(sent_at + RETENTION), locale="de-AT")
    (told,) = world.bus.events
    assert told.type == "ConversationStarted"
    assert told.detail == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": "+4915112345678"},
        "last_inbound_at": "2026-03-02T07:00:00Z",
    }


def test_the_same_message_twice_changes_nothing_and_tells_nothing() -> None:
    world = World()
    world.receive(inbound())
    before = world.store.read_thread(ANNA)
    world.clock.forward(days=3)
    counted = Fault(nth=99)
    assert world.receive(inbound(), counted) == "duplicate"
    assert counted.calls == ["read_thread"]
    assert world.store.read_thread(ANNA) == before
    assert world.bus.types() == ["ConversationStarted"]


def test_an_older_message_that_arrives_late_never_shortens_the_window() -> None:
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
def test_a_message_already_30_days_old_counts_as_heard_from_and_opens_no_window(age: timedelta, result: str) -> None:
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
    """A redrive from the dead-letter queue brings messages that are two weeks old, when nothing knows them any more."""
    world = World()
    world.receive(inbound(NOON))
    world.store.expire(world.clock.forward(days=31))
    assert world.receive(inbound(NOON)) == "window_closed"
    assert world.store.read_thread(ANNA).conversation is None


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


def test_a_first_message_after_the_window_has_closed_restarts_the_conversation() -> None:
    world = World()
    world.receive(inbound(NOON))
    world.clock.forward(days=30)
    world.receive(inbound(world.clock.now))
    assert conversation(world).previous_inbound_at == NOON
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
def test_who_was_heard_from_longer_ago_than_the_retention_starts_anew(deleted: bool) -> None:
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


def test_a_profile_is_the_sum_of_what_messages_said() -> None:
    world = World()
    world.receive(inbound(NOON, locale="de", display_name="Anna"))
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now, locale="en", timezone="Europe/Berlin"))
    known = profile(world)
    assert (known.locale, known.timezone, known.display_name) == ("en", "Europe/Berlin", "Anna")


def test_a_late_message_fills_in_what_is_unknown_and_changes_nothing_that_is_known() -> None:
    world = World()
    world.receive(inbound(NOON, locale="en"))
    world.receive(inbound(NOON - DAY, locale="de", display_name="Anna"))
    known = profile(world)
    assert (known.locale, known.display_name) == ("en", "Anna")
    assert known.last_seen_at == NOON
    assert known.first_seen_at == NOON - DAY


def test_lateness_goes_by_the_last_message_though_last_seen_lags() -> None:
    """``last_seen_at`` is up to a week behind; a message older than the last one must not pass for the newest."""
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
        assert [name for name in names if name != "write_profile"] == [
            "read_thread",
            "write_conversation",
            "write_message",
        ]
        written.append("write_profile" in names)
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
@pytest.mark.parametrize("nth", range(1, 6))
def test_a_crash_at_any_call_is_mended_by_the_retry(nth: int, after: bool, error: type[BaseException]) -> None:
    """Whatever Lambda got done before it died, the event comes again, and the end is as if nothing had happened;
    the opening is told at least once.
    """
    calm = World()
    calm.receive(inbound(locale="de"))
    world = World()
    fault = Fault(error, nth, after)
    with pytest.raises(error):
        world.receive(inbound(locale="de"), fault)
    assert fault.calls == ["read_thread", "write_conversation", "write_profile", "publish", "write_message"][:nth]
    world.clock.forward(minutes=1)
    world.receive(inbound(locale="de"))
    assert world.store.read_thread(ANNA, inbound().message_id) == calm.store.read_thread(ANNA, inbound().message_id)
    assert set(world.bus.types()) == {"ConversationStarted"}


def test_an_opening_is_told_again_though_another_message_came_before_the_retry() -> None:
    world = World()
    with pytest.raises(Crash):
        world.receive(inbound(NOON), Fault(only="publish"))
    world.clock.forward(seconds=30)
    world.receive(inbound(world.clock.now))
    assert world.bus.types() == []
    world.receive(inbound(NOON))
    assert world.bus.types() == ["ConversationStarted"]


def test_what_could_not_be_published_raises_so_that_it_is_retried() -> None:
    world = World()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.receive(inbound())
    assert world.receive(inbound()) == "stored"
    assert world.bus.types() == ["ConversationStarted"]


@pytest.mark.parametrize("write", ["write_conversation", "write_profile"])
def test_a_lost_race_reads_again_and_keeps_both_messages(write: str) -> None:
    """Two messages of one person at once: whichever writes second must not undo the first."""
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

    with pytest.raises(Contended):
        world.receive(inbound(), lose)
    assert world.receive(inbound()) == "stored"


def test_a_clock_that_runs_ahead_is_clamped_to_the_arrival_also_by_a_retry_hours_later() -> None:
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
