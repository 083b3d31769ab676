"""Erase a contact: after any crash or overlap, no older data remains, returns or is sent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact, LinkContact, MoveContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.instants import iso
from reengage.domain.message import State
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice, Topic
from reengage.domain.subject import BusinessEvent, Track
from reengage.errors import NotPublished, WriteConflict
from reengage.ports import Holdings
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.link_contact import link_contact, move_contact
from tests.fakes import ANNA, NOON, RETENTION, Around, Crash, Fault, Unreachable, World, business, inbound, worker
from tests.property.schedules import Body, Choose, Option, Played, play

SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)
STARTS: Final = NOON + 10 * DAY
DUE: Final = STARTS - timedelta(hours=2)
COMMAND: Final = EraseContact(ANNA, NOON)
BOOKED: Final = business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"], location="Main St 1")
RCS: Final = replace(ANNA, channel="rcs")
WHATSAPP: Final = replace(ANNA, channel="whatsapp")
OTHER: Final = replace(ANNA, channel="whatsapp", address="+4915112345679")
CAPPED: Final = PolicySettings(caps={"utility": parse_caps("5/P1D")})


def arrived(event: BusinessEvent, at: datetime) -> BusinessEvent:
    return replace(event, arrived_at=at)


def story(contact: Contact = ANNA) -> World:
    """Anna has written, got a reminder, has two more to come, and opted out of marketing."""
    world = World(policy=CAPPED)
    world.clock.now = NOON - DAY
    world.receive(inbound(world.clock.now, contact=contact, locale="de", display_name="Anna"))
    soon = business("AppointmentBooked", subject_id="A-0", starts_at=NOON, remind_before=["PT2H"], contact=contact)
    world.plan(soon)
    world.plan(arrived(replace(BOOKED, contact=contact), world.clock.now))
    world.plan(business("TrialStarted", subject_id="T-1", ends_at=STARTS, product="Pro", contact=contact))
    world.clock.now = NOON - timedelta(hours=2)
    assert world.run_sender()["sent"] == 1
    refused = Choice(allowed=False, at=NOON - SECOND, cause={"agent": "7"})
    world.record_choice(RecordChoice(contact, "marketing", refused))
    world.clock.now = NOON
    world.bus.events.clear()
    return world


def is_empty(held: Holdings) -> bool:
    """Nothing is left except the preferences."""
    return not (held.profile or held.conversation or held.inbound or held.scheduled or held.subjects or held.cap_usage)


def holdings(world: World, contact: Contact = ANNA) -> Holdings:
    return world.store.read_holdings(contact)


def nothing_is_left(world: World, contact: Contact = ANNA) -> bool:
    """The address is found neither under the contact nor in the store's lists."""
    store, names = world.store, ("_profiles", "_conversations", "_messages", "_subjects", "_rows", "_links", "_taken")
    return is_empty(holdings(world, contact)) and not any(getattr(store, name) for name in names)


def test_erasure_removes_all_data_and_is_published() -> None:
    world = story()
    held = holdings(world)
    assert held.profile
    assert held.conversation
    assert held.inbound
    assert len(held.scheduled) == 4
    assert len(held.subjects) == 3
    assert held.cap_usage
    to_come = {row.scheduled_message_id for row in held.scheduled if row.state is State.SCHEDULED}
    assert world.erase(COMMAND) > 0
    assert nothing_is_left(world)
    skipped = world.bus.details("MessageSkipped")
    assert {detail["scheduled_message_id"] for detail in skipped} == to_come
    assert len(to_come) == 3
    assert all((d["rule"], d["facts"]) == ("erased", {"erased_at": iso(NOON)}) for d in skipped)
    assert world.bus.types() == ["MessageSkipped"] * 3 + ["ContactErased"]
    assert world.bus.details("ContactErased")[0]["cause"] == {"asked_at": iso(NOON)}


def test_it_is_marked_before_anything_is_read_or_deleted() -> None:
    """After the mark no snapshot allows a send, so nothing that is read later can be sent."""
    world = story()
    calls = Fault(nth=99)
    world.erase(COMMAND, calls)
    assert calls.calls == [
        "read_preferences",
        "write_preferences",
        "read_holdings_page",
        "erase",
        "read_holdings_page",
        "erase",
        "pending_messages",
        "publish",
        "erase",
        "erase",
        "publish",
    ]


@pytest.mark.parametrize("error", [Crash, Unreachable])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 12))
def test_retry_completes_after_a_crash_at_any_call(nth: int, after: bool, error: Callable[[], BaseException]) -> None:
    """Nothing is left, nothing is sent in between, and each cancelled message is published."""
    world = story()
    to_come = {row.scheduled_message_id for row in world.store.rows() if row.state is State.SCHEDULED}
    fault = Fault(error, nth, after)
    with pytest.raises((Crash, Unreachable)):
        world.erase(COMMAND, fault)
    assert fault.struck
    world.clock.forward(minutes=1)
    world.erase(COMMAND)
    assert nothing_is_left(world)
    published = {detail["scheduled_message_id"] for detail in world.bus.details("MessageSkipped")}
    assert published == to_come
    assert world.bus.details("ContactErased")


@pytest.mark.parametrize("nth", range(2, 12))
def test_nothing_goes_out_between_a_crash_and_the_retry(nth: int) -> None:
    world = story()
    with pytest.raises(Crash):
        world.erase(COMMAND, Fault(nth=nth, after=True))
    before = len(world.provider.handed)
    world.clock.now = DUE
    world.run_sender("appointments")
    world.run_sender("trials")
    assert len(world.provider.handed) == before


@pytest.mark.parametrize("failing", [1, 3])
def test_retry_publishes_what_could_not_be_published(failing: int) -> None:
    world = story()
    world.bus.failing = failing
    with pytest.raises(NotPublished):
        world.erase(COMMAND)
    world.erase(COMMAND)
    assert set(world.bus.types()) == {"MessageSkipped", "ContactErased"}
    assert len({detail["scheduled_message_id"] for detail in world.bus.details("MessageSkipped")}) == 3


def test_one_who_loses_every_race_gives_up_loudly() -> None:
    world = story()
    with pytest.raises(WriteConflict):
        world.erase(COMMAND, lambda name, call: False if name == "write_preferences" else call())
    assert holdings(world).profile
    with pytest.raises(WriteConflict):
        world.erase(COMMAND, lambda name, call: call() or 1 if name == "erase" else call())
    world.erase(COMMAND)
    assert nothing_is_left(world)


# Asked for again


def test_repeated_erasure_keeps_newer_data() -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now, display_name="Anna B."))
    world.plan(business("AppointmentBooked", world.clock.now, starts_at=STARTS, remind_before=["PT2H"]))
    before = holdings(world)
    assert len(before.scheduled) == 1
    world.bus.events.clear()
    world.clock.forward(days=1)
    assert world.erase(COMMAND) == 0
    assert holdings(world) == before
    assert world.bus.types() == ["ContactErased"]


def test_event_between_a_mark_and_its_retry_keeps_its_message() -> None:
    """Lambda ended an erasure after its mark. The booking came again before the retry, which deleted its reminder."""
    world = World()
    world.clock.now = NOON - DAY
    world.receive(inbound(world.clock.now))
    world.plan(arrived(BOOKED, world.clock.now))
    wanted = [row.key for row in world.store.rows()]
    world.clock.now = NOON
    with pytest.raises(Crash):
        world.erase(COMMAND, Fault(only="erase"))
    world.clock.forward(minutes=1)
    world.plan(arrived(BOOKED, world.clock.now))
    world.clock.forward(minutes=1)
    world.erase(COMMAND)
    assert [row.key for row in world.store.rows() if row.state is State.SCHEDULED] == wanted


def test_a_later_erasure_takes_that_too() -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now))
    assert world.erase(EraseContact(ANNA, world.clock.now)) > 0
    assert nothing_is_left(world)


def test_who_writes_again_starts_anew() -> None:
    world = story()
    world.erase(COMMAND)
    world.bus.events.clear()
    world.clock.forward(seconds=1)
    world.receive(inbound(world.clock.now))
    assert world.bus.types() == ["ConversationStarted"]
    profile = holdings(world).profile
    assert profile
    assert (profile.display_name, profile.first_seen_at) == (None, world.clock.now)


# What comes late


@pytest.mark.parametrize(
    ("sent_at", "result"), [(NOON - SECOND, "erased"), (NOON, "erased"), (NOON + SECOND, "stored")]
)
def test_a_message_from_before_that_arrives_late_is_not_kept(sent_at: datetime, result: str) -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(days=1)
    assert world.receive(inbound(sent_at)) == result
    assert nothing_is_left(world) == (result == "erased")


def test_a_message_a_month_old_is_not_kept_either() -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(days=31)
    assert world.receive(inbound(NOON - DAY)) == "erased"
    assert nothing_is_left(world)


@pytest.mark.parametrize(("at", "erased"), [(NOON - SECOND, True), (NOON, True), (NOON + SECOND, False)])
def test_an_event_from_before_that_arrives_again_is_not_kept(at: datetime, erased: bool) -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(days=1)
    calls = Fault(nth=99)
    assert world.plan(arrived(BOOKED, at), calls).erased == erased
    assert nothing_is_left(world) == erased
    assert ("write_subject" in calls.calls) == (not erased), "not even for an instant"


# An opt-out survives


@pytest.mark.parametrize("topic", ["contact", "marketing"])
def test_a_no_survives_without_its_cause_and_still_holds(topic: Topic) -> None:
    world = World()
    world.receive(inbound(NOON - DAY))
    cause = {"word": "stop", "message_id": "SM-1"}
    world.record_choice(RecordChoice(ANNA, topic, Choice(allowed=False, at=NOON - SECOND, cause=cause)))
    world.erase(COMMAND)
    refused = holdings(world).preferences.refused(topic, "sms")
    assert refused
    assert (refused.at, refused.cause) == (NOON - SECOND, None)
    world.clock.forward(days=400)
    world.store.expire(world.clock.now)
    world.receive(inbound(world.clock.now))
    ends = world.clock.now + DAY
    world.plan(business("TrialStarted", world.clock.now, ends_at=ends, product="Pro", follow_up=["PT0S"]))
    world.clock.now = ends
    rule = {"contact": "opted_out", "marketing": "no_consent"}[topic]
    assert world.run_sender("trials")["skipped"] == {rule: 1}


def test_late_stop_from_before_erasure_counts_without_cause() -> None:
    """The person wrote STOP, and requested an erasure; the messages arrived late."""
    world = story()
    world.erase(COMMAND)
    world.bus.events.clear()
    world.clock.forward(hours=1)
    late = inbound(NOON - SECOND, text="STOP", message_id="SM-1")
    assert world.receive(late) == "erased"
    refused = holdings(world).preferences.refused("contact", "sms")
    assert refused
    assert refused.cause is None
    assert nothing_is_left(world)
    (published,) = world.bus.details("ContactOptedOut")
    assert published["cause"] == {"word": "stop", "message_id": "SM-1", "channel": "sms"}


def test_a_yes_from_before_does_not_come_back() -> None:
    world = story()
    world.erase(COMMAND)
    world.clock.forward(hours=1)
    yes = Choice(allowed=True, at=NOON - SECOND, cause={"evidence": {"signed_by": "Anna"}})
    before = holdings(world).preferences
    for topic in ("contact", "marketing"):
        assert not world.record_choice(RecordChoice(ANNA, topic, yes))
    assert holdings(world).preferences == before
    assert world.record_choice(RecordChoice(ANNA, "marketing", replace(yes, at=NOON + SECOND)))


# The other channels of the number


USER: Final = replace(ANNA, channel="whatsapp", address="DE.123456789")


def on_two_channels() -> World:
    """As in ``story``. She also wrote by RCS, where a reminder is to come, and consented to marketing there."""
    world = story()
    world.clock.now = NOON - timedelta(hours=1)
    world.receive(inbound(world.clock.now, contact=RCS, display_name="Anna"))
    world.plan(arrived(replace(BOOKED, subject=replace(BOOKED.subject, id="A-2"), contact=RCS), world.clock.now))
    evidence = Choice(allowed=True, at=NOON - SECOND, cause={"evidence": {"where": "web"}})
    world.record_choice(RecordChoice(RCS, "marketing", evidence))
    world.clock.now = NOON
    world.bus.events.clear()
    return world


@pytest.mark.parametrize("asked", [ANNA, RCS, WHATSAPP], ids=["SMS", "RCS", "a channel without data"])
def test_erasure_covers_each_channel_of_the_number(asked: Contact) -> None:
    """After an erasure, the number was still in the table, with the texts that the person wrote on another channel."""
    world = on_two_channels()
    world.erase(EraseContact(asked, NOON))
    assert nothing_is_left(world, ANNA)
    assert nothing_is_left(world, RCS)
    assert {detail["contact"]["channel"] for detail in world.bus.details("ContactErased")} == {
        each.channel for each in (ANNA, RCS, asked)
    }
    assert len(world.bus.details("MessageSkipped")) == 4
    preferences = holdings(world).preferences
    refused = preferences.refused("marketing", "sms")
    assert refused
    assert refused.cause is None
    assert preferences.erasures.keys() == {"sms", "rcs", "whatsapp"}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 16))
def test_retry_completes_the_erasure_of_each_channel(nth: int, after: bool) -> None:
    world = on_two_channels()
    to_come = {row.scheduled_message_id for row in world.store.rows() if row.state is State.SCHEDULED}
    fault = Fault(nth=nth, after=after)
    with suppress(Crash):
        world.erase(COMMAND, fault)
    if (nth, after) > (2, True):
        before = len(world.provider.handed)
        world.clock.now = DUE
        world.run_sender()
        assert len(world.provider.handed) == before, "the mark covers each channel"
    world.clock.forward(minutes=1)
    world.erase(COMMAND)
    assert nothing_is_left(world, ANNA)
    assert nothing_is_left(world, RCS)
    published = {detail["scheduled_message_id"] for detail in world.bus.details("MessageSkipped")}
    assert published == to_come
    assert {detail["contact"]["channel"] for detail in world.bus.details("ContactErased")} == {"sms", "rcs"}


def test_repeated_erasure_keeps_newer_data_of_another_channel() -> None:
    world = on_two_channels()
    world.erase(COMMAND)
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now, contact=RCS))
    before = holdings(world, RCS)
    assert world.erase(COMMAND) == 0
    assert holdings(world, RCS) == before
    assert world.receive(inbound(NOON - SECOND, contact=WHATSAPP)) == "erased"


def test_erasure_covers_what_is_linked_with_another_channel() -> None:
    world = on_two_channels()
    world.receive(inbound(NOON - SECOND, contact=USER))
    link_contact(LinkContact(RCS, USER, NOON - SECOND), store=world.store, publish=world.bus)
    world.erase(COMMAND)
    assert nothing_is_left(world, USER)
    assert not holdings(world, USER).preferences.links


@pytest.mark.parametrize("asked", [ANNA, RCS], ids=["former owner", "new owner"])
@pytest.mark.parametrize("crashes", [False, True])
def test_erasure_leaves_out_a_new_owner_of_the_number(asked: Contact, *, crashes: bool) -> None:
    """The person left the number, and someone else wrote from it by RCS."""
    world = World()
    world.receive(inbound(NOON - DAY, display_name="Anna"))
    move_contact(MoveContact(ANNA, OTHER, NOON - timedelta(hours=2)), store=world.store, publish=world.bus)
    world.receive(inbound(NOON - timedelta(hours=1), contact=RCS))
    if crashes:
        with pytest.raises(Crash):
            world.erase(EraseContact(asked, NOON), Fault(only="erase", after=True, nth=2))
    world.erase(EraseContact(asked, NOON))
    assert is_empty(holdings(world, ANNA)) is (asked == ANNA)
    assert is_empty(holdings(world, RCS)) is (asked == RCS)


# What is under way meanwhile


def erases(world: World) -> Body:
    return lambda around: world.erase(EraseContact(ANNA, world.clock.now), around)


def in_many_orders(
    setting: Callable[[], World], other: Callable[[World, Around], object], *, dies: bool
) -> list[tuple[World, Played]]:
    """Interleave an erasure and another process, and then retry both.

    The other makes some calls, then the erasure some. Then the other ends or crashes, and last the erasure ends.
    """
    ended = []
    for of_other, of_erasure in product(range(12), range(12)):
        world = setting()
        bodies: dict[str, Body] = {"erase": erases(world), "other": lambda around: other(world, around)}  # noqa: B023 - played within this very turn
        turns = iter(["other"] * of_other + ["erase"] * of_erasure)
        played = play(bodies, _in_turn(turns, dies=dies), deaths=dies)
        for name in played.failed:
            replan = play({name: bodies[name]}, lambda options: options[0])
            assert not replan.failed, replan.failed
        ended.append((world, played))
    return ended


def _in_turn(turns: Iterator[str], *, dies: bool) -> Choose:
    """The actor whose turn it is; then the other process, as long as it runs."""

    def choose(options: Sequence[Option]) -> Option:
        actor = next(turns, None)
        wanted = Option(actor or "other", dies=dies and actor is None)
        return next((o for o in options if o == wanted), None) or options[0]

    return choose


def early() -> World:
    """Anna has written, and one reminder of hers is due."""
    world = World(policy=CAPPED)
    world.clock.now = DUE - DAY
    world.receive(inbound(world.clock.now, display_name="Anna"))
    world.plan(arrived(BOOKED, world.clock.now))
    world.clock.now = DUE
    return world


GREETING: Final = IngestSettings(RETENTION, welcome_back_after=timedelta(hours=1), answers_help=True)


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("setting", [World, early])
@pytest.mark.parametrize(("age", "contact"), [(SECOND, ANNA), (40 * DAY, ANNA), (SECOND, RCS)])
@pytest.mark.slow
def test_inbound_in_flight_does_not_survive_erasure(
    setting: Callable[[], World], age: timedelta, contact: Contact, dies: bool
) -> None:
    """Whatever calls the erasure falls between; also one that is a month old, or on another channel."""

    def receives(world: World, around: Around) -> None:
        world.receive(inbound(world.clock.now - age, contact=contact, display_name="Anna"), around)

    for world, played in in_many_orders(setting, receives, dies=dies):
        assert nothing_is_left(world), played.steps


def test_answer_in_flight_does_not_survive_erasure() -> None:
    """Also if the erasure had read its clock before the message was claimed."""
    for nth in range(1, 20):
        world = early()
        world.ingest = GREETING
        seen = 0

        def overtake(_name: str, call: Callable[[], Any]) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth:  # noqa: B023 - it is called within this very turn
                world.clock.now = DUE  # noqa: B023 - the same
                world.erase(EraseContact(ANNA, DUE))  # noqa: B023 - the same
                world.clock.now = DUE + SECOND  # noqa: B023 - the same
            return call()

        world.clock.now = DUE + SECOND
        world.receive(inbound(DUE - SECOND, text="HELP"), overtake)
        if seen < nth:
            return
        assert is_empty(replace(holdings(world), cap_usage={})), nth
    pytest.fail("there are more calls than were tried")


@pytest.mark.parametrize(
    "event",
    [
        BOOKED,
        business("AppointmentRescheduled", NOON + SECOND, starts_at=STARTS + DAY, location="Broad St 9"),
        business("AppointmentCancelled", NOON + SECOND),
        business("AppointmentCancelled", NOON + SECOND, contact=None),
        business("AppointmentRescheduled", NOON + SECOND, contact=None, starts_at=STARTS + DAY),
        replace(BOOKED, subject=replace(BOOKED.subject, id="A-2"), contact=RCS),
    ],
    ids=["booked", "moved", "cancelled", "cancelled without contact", "moved without contact", "on another channel"],
)
@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("setting", [World, early])
@pytest.mark.slow
def test_event_in_flight_is_erased(setting: Callable[[], World], event: BusinessEvent, dies: bool) -> None:
    def receives_stop(world: World, around: Around) -> None:
        world.plan(arrived(event, world.clock.now - SECOND), around)

    for world, played in in_many_orders(setting, receives_stop, dies=dies and event.contact is not None):
        assert is_empty(holdings(world)), played.steps
        assert is_empty(holdings(world, RCS)), played.steps
        assert not [row for row in world.store.rows() if row.contact.address == ANNA.address]
        for subject in world.store._subjects.values():
            assert not any(track.contact for track in subject.tracks.values()), played.steps


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.slow
def test_nothing_is_sent_after_the_erasure_mark(dies: bool) -> None:
    """A message with a snapshot from before the mark may be sent within two seconds; no other."""

    def sends(world: World, around: Around) -> None:
        _, errors = worker(world.sender(around=around), ANNA.shard, world.clock.now + DAY)
        assert not errors

    ways = set()
    for world, played in in_many_orders(early, sends, dies=dies):
        # What a cap counts may be left, for as long as the cap's period.
        assert is_empty(replace(holdings(world), cap_usage={})), played.steps
        mark = played.index("erase", "write_preferences")
        handed = played.index("other", "send")
        if handed is not None and mark is not None and mark < handed:
            snapshot = played.index("other", "read_snapshot", before=handed)
            assert snapshot is not None
            assert snapshot < mark, played.steps
        ways.add(len(world.provider.handed))
    assert ways == {0, 1}


def test_choice_during_the_erasure_is_kept() -> None:
    """A new message arrives when the mark exists, and the old data is not yet deleted: it must not keep the
    old data.
    """
    for nth in range(3, 12):
        world = story()
        world.ingest = GREETING
        seen = 0

        def overtake(_name: str, call: Callable[[], Any]) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth:  # noqa: B023 - it is called within this very turn
                world.clock.forward(seconds=1)  # noqa: B023 - the same
                world.receive(inbound(world.clock.now, message_id="new"))  # noqa: B023 - the same
            return call()

        world.erase(COMMAND, overtake)
        assert seen >= nth
        profile, conversation = holdings(world).profile, holdings(world).conversation
        assert profile, nth
        assert conversation
        assert (profile.display_name, profile.first_seen_at) == (None, NOON + SECOND), nth
        assert conversation.opening == "started"


# A subject that names several contacts, or is changed while the erasure runs


def two_contacts() -> World:
    """One order whose shipping names Anna's number, and whose delivery names another one."""
    world = World()
    world.clock.now = NOON - DAY
    world.receive(inbound(world.clock.now))
    world.receive(inbound(world.clock.now, contact=OTHER))
    world.plan(arrived(business("OrderShipped", subject_id="O-1"), world.clock.now))
    world.plan(arrived(business("OrderDelivered", subject_id="O-1", contact=OTHER), world.clock.now))
    world.clock.now = NOON
    return world


@pytest.mark.parametrize("contacts", [(ANNA, OTHER), (OTHER, ANNA)])
def test_erasing_both_contacts_removes_their_subject(contacts: Sequence[Contact]) -> None:
    """The order kept both addresses after both were erased, and planned for one of them again."""
    world = two_contacts()
    for contact in contacts:
        world.erase(EraseContact(contact, NOON))
        assert nothing_is_left(world, contact) == (contact == contacts[-1])
        assert contact.key not in {track.contact and track.contact.key for track in tracks_of(world)}
    world.clock.forward(minutes=1)
    world.plan(business("OrderDelivered", world.clock.now, subject_id="O-1", contact=None))
    assert world.store.rows() == []


@pytest.mark.parametrize("gone", range(4))
def test_erasing_a_former_contact_of_a_cart_leaves_no_name(gone: int) -> None:
    """A cart went from contact to contact. Weeks later, when links without renewal have expired, one is erased."""
    world, contacts = World(), [replace(ANNA, address=f"+1650253000{number}") for number in range(4)]
    for number, contact in enumerate([*contacts, contacts[-1]]):
        world.clock.now = NOON + 20 * number * DAY
        cart = business("CartAbandoned", world.clock.now, subject_id="C-1", contact=contact, items=["Lamp"])
        world.plan(arrived(cart, world.clock.now))
    world.store.expire(world.clock.now)
    world.clock.forward(minutes=1)
    world.erase(EraseContact(contacts[gone], world.clock.now))
    assert contacts[gone] not in {track.contact for track in tracks_of(world)}
    assert is_empty(holdings(world, contacts[gone]))
    left = {*contacts} - {contacts[gone]} if gone < 3 else set()
    assert {track.contact for track in tracks_of(world)} == left


def tracks_of(world: World) -> list[Track]:
    return [
        track
        for subject in world.store._subjects.values()
        for track in [*subject.tracks.values(), *subject.previous.values()]
    ]


@pytest.mark.parametrize("crashes", [True, False])
@pytest.mark.parametrize(
    "event",
    [
        business("AppointmentCancelled", NOON + SECOND, contact=None),
        business("AppointmentRescheduled", NOON + SECOND, contact=None, starts_at=STARTS + DAY),
        business("CheckInCompleted", NOON + SECOND, contact=None),
    ],
    ids=["cancelled", "moved", "checked in"],
)
def test_an_event_without_contact_after_the_mark_keeps_nothing(event: BusinessEvent, *, crashes: bool) -> None:
    """A cancellation without a contact, between the mark and the deletion, kept the address for good."""
    for nth in range(3, 12):
        world = story()
        seen = 0

        def overtake(_name: str, call: Callable[[], Any]) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth:  # noqa: B023 - it is called within this very turn
                world.clock.forward(seconds=30)  # noqa: B023 - the same
                world.plan(arrived(event, world.clock.now))  # noqa: B023 - the same
                if crashes:
                    raise Crash
            return call()

        if crashes:
            with pytest.raises(Crash):
                world.erase(COMMAND, overtake)
            world.clock.forward(minutes=1)
            world.erase(COMMAND)
        else:
            world.erase(COMMAND, overtake)
        assert seen >= nth
        assert is_empty(holdings(world)), nth
        assert world.store.rows() == [], nth
        assert not world.store._links, nth
        assert not [track for track in tracks_of(world) if track.contact], nth
