"""Broadcasts from announcement to send: the recipients, and what may happen in between."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import islice
from typing import Any

import pytest

from reengage.adapters.memory import MemoryStore
from reengage.domain.broadcast import ShardState, shard_key
from reengage.domain.caps import parse_caps
from reengage.domain.commands import ConfigureBrand, EraseContact, RecordChoice
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.errors import NotPublished
from reengage.ports import Thread
from reengage.usecases import expand_broadcast as module
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.plan_messages import Planned
from reengage.usecases.progress import progress
from reengage.usecases.send_due_messages import send_due_messages
from tests.fakes import ANNA, NOON, Around, Crash, Fault, Unreachable, World, business, inbound, worker

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BEN, CLEO = Contact("acme-dental", "sms", "+16502530000"), Contact("acme-dental", "rcs", "+84912345678")
ELSEWHERE = Contact("birch-bakery", "sms", ANNA.address)
SHARD = 5


def shardmates(number: int) -> list[Contact]:
    """Contacts of one shard, so one broadcast shard has all of them."""
    numbered = (Contact("acme-dental", "sms", f"+49151{n:08}") for n in range(10**8))
    return list(islice((contact for contact in numbered if contact.shard == SHARD), number))


def preview(hours: float = 0, **fields: Any) -> BusinessEvent:
    event_fields = {"title": "Spring shoes", "send_at": NOON + HOUR, **fields}
    return business("ProductPreviewAnnounced", NOON + timedelta(hours=hours), subject_id="N-1", **event_fields)


def holiday(hours: float = 0, **fields: Any) -> BusinessEvent:
    event_fields = {"date": "2026-04-06", "send_at": NOON + HOUR, "closed": True, **fields}
    return business("HolidayHoursAnnounced", NOON + timedelta(hours=hours), subject_id="N-1", **event_fields)


def withdrawn(hours: float = 2) -> BusinessEvent:
    return business("AnnouncementWithdrawn", NOON + timedelta(hours=hours), subject_id="N-1")


def back(hours: float = 1) -> BusinessEvent:
    return business("ItemBackInStock", NOON + timedelta(hours=hours), subject_id="shoe", name="Shoe")


def sold_out(hours: float = 2) -> BusinessEvent:
    return business("ItemSoldOut", NOON + timedelta(hours=hours), subject_id="shoe")


def interest(contact: Contact = ANNA, hours: float = 0, event_type: str = "InterestShown") -> BusinessEvent:
    return business(event_type, NOON + timedelta(hours=hours), subject_id="shoe", contact=contact)


ANNOUNCEMENT, ITEM = preview().subject, back().subject


def consents(world: World, contact: Contact) -> None:
    world.record_choice(RecordChoice(contact, "marketing", Choice(allowed=True, at=NOON, cause="a form")))


def of(*contacts: Contact, at: datetime = NOON) -> World:
    """All of them have written by then."""
    world = World()
    world.clock.now = at
    for contact in contacts:
        world.receive(inbound(at, contact=contact))
    world.clock.now = max(at, NOON)
    world.bus.events.clear()
    return world


def reached(world: World) -> list[Contact]:
    """Return the recipients of all sent messages, with repeats."""
    return sorted((outbound.message.contact for outbound in world.provider.handed), key=lambda contact: contact.key)


def ticks(world: World, until: datetime, *, step: timedelta = MINUTE) -> None:
    """Run once a minute or less often, and a last time at that instant."""
    while world.clock.now < until:
        world.clock.now = min(until, world.clock.now + step)
        world.run_sender("updates")


def expand(
    world: World,
    ref: SubjectRef = ANNOUNCEMENT,
    reason: str = "holiday_hours",
    *,
    pages: int = 99,
    around: Around | None = None,
) -> bool:
    """Expand ``SHARD`` alone, for at most so many pages."""
    ports = world.ports(around)
    start, world.clock.step = world.clock.now, SECOND
    try:
        return expand_broadcast(
            shard_key(ref, reason, SHARD),
            store=ports.store,
            publish=ports.bus,
            clock=world.clock,
            settings=world.policy,
            stop_at=start + pages * SECOND,
        )
    finally:
        world.clock.now, world.clock.step = start, timedelta()


def ended(world: World) -> Counter[tuple[str, str | None]]:
    return Counter((str(row.state), row.rule) for row in world.store.rows())


@pytest.fixture
def _one_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)


one_a_page = pytest.mark.usefixtures("_one_a_page")


# Who gets it


def test_announcement_reaches_each_open_conversation_once() -> None:
    """Also on another channel; not a conversation that has closed, nor another brand's."""
    world = of(ANNA, CLEO, ELSEWHERE)
    world.receive(inbound(NOON - WINDOW - DAY, contact=BEN))
    world.bus.events.clear()
    assert world.plan(holiday()) == Planned(broadcasts=1)
    assert world.store.rows() == []
    ticks(world, NOON + HOUR - MINUTE, step=HOUR)
    assert reached(world) == []
    ticks(world, NOON + HOUR)
    assert reached(world) == [CLEO, ANNA]
    assert ended(world) == {("sent", None): 2}
    ticks(world, NOON + 5 * HOUR, step=HOUR)
    assert len(world.provider.handed) == 2
    assert world.bus.types().count("MessagePlanned") == 2
    assert {event["forecast"] for event in world.bus.details("MessagePlanned")} == {"send"}
    assert {broadcast_shard.state for broadcast_shard in world.store.read_shards(ANNOUNCEMENT)} == {ShardState.DONE}


def test_closed_conversations_and_other_brands_cost_no_call_more() -> None:
    """An audience is found through its index: other conversations are never read."""

    def calls(world: World) -> Counter[str]:
        counted = Fault(nth=-1)
        world.plan(holiday(send_at=NOON), counted)
        world.run_sender("updates", counted)
        return Counter(counted.calls)

    alone, among = of(ANNA), of(ANNA)
    for number in range(200):
        among.receive(inbound(NOON - WINDOW - DAY, contact=Contact("acme-dental", "sms", f"+49160{number:08}")))
        among.receive(inbound(contact=Contact("birch-bakery", "sms", f"+49160{number:08}")))
    assert calls(alone) == calls(among)
    assert reached(among) == [ANNA]


def test_conversation_closed_earlier_that_day_is_skipped() -> None:
    """The index knows days; the policy knows the instant."""
    world = of(ANNA, at=NOON - WINDOW + HOUR)
    world.clock.now = NOON
    world.plan(holiday())
    ticks(world, NOON + HOUR)
    assert ended(world) == {("skipped", "window_closed"): 1}
    assert world.bus.details("MessagePlanned")[0]["forecast"] == "window_closed"


def test_restock_reaches_contacts_with_interest() -> None:
    world = of(ANNA, BEN, CLEO)
    world.plan(interest())
    world.plan(replace(interest(BEN), subject=replace(interest(BEN).subject, id="hat")))
    world.plan(interest(ELSEWHERE))
    world.clock.now = NOON + HOUR
    assert world.plan(back()) == Planned(broadcasts=1)
    world.run_sender("updates")
    assert reached(world) == [ANNA]
    assert world.provider.handed[0].data["name"] == "Shoe"


def test_interest_without_a_message_is_skipped_and_published() -> None:
    """It must not disappear: the business may want to reach them otherwise."""
    world = World()
    world.plan(interest())
    world.plan(back(0))
    world.run_sender("updates")
    assert ended(world) == {("skipped", "no_conversation"): 1}
    assert [event["rule"] for event in world.bus.details("MessageSkipped")] == ["no_conversation"]
    assert [event["forecast"] for event in world.bus.details("MessagePlanned")] == ["no_conversation"]


def test_interest_withdrawn_before_the_restock_does_not_count() -> None:
    world = of(ANNA)
    world.plan(interest())
    world.plan(interest(hours=0.5, event_type="InterestWithdrawn"))
    world.clock.now = NOON + HOUR
    world.plan(back())
    world.run_sender("updates")
    assert world.store.rows() == []


def test_interest_withdrawn_before_the_send_does_not_count() -> None:
    (anna,) = shardmates(1)
    world = of(anna)
    world.plan(interest(anna))
    world.clock.now = NOON + HOUR
    world.plan(back())
    assert expand(world, ITEM, "back_in_stock")
    assert ended(world) == {("scheduled", None): 1}
    world.plan(interest(anna, 1, "InterestWithdrawn"))
    world.run_sender("updates")
    assert ended(world) == {("skipped", "cancelled"): 1}
    assert world.store.rows()[0].facts["interest"] == "withdrawn"


def test_second_restock_reaches_only_new_interest() -> None:
    world = of(ANNA, BEN)
    world.plan(interest())
    world.plan(interest(BEN))
    for day, anew in ((1, []), (3, []), (5, [BEN])):
        world.clock.now = NOON + day * DAY
        for contact in anew:
            world.plan(interest(contact, day * 24))
        world.plan(back(day * 24))
        world.run_sender("updates")
        world.clock.now += HOUR
        world.plan(sold_out(day * 24 + 1))
        world.run_sender("updates")
    assert Counter(reached(world)) == {ANNA: 1, BEN: 2}


# The whole policy


ALWAYS_QUIET = PolicySettings(quiet_hours={"marketing": QuietHours(time(9), time(8))}, default_timezone="UTC")

REFUSALS: dict[str, tuple[str, Callable[[World, Contact], object]]] = {
    "opted out": (
        "opted_out",
        lambda world, who: world.record_choice(RecordChoice(who, "contact", Choice(allowed=False, at=NOON))),
    ),
    "no marketing": (
        "no_consent",
        lambda world, who: world.record_choice(RecordChoice(who, "marketing", Choice(allowed=False, at=NOON))),
    ),
    "window closed": ("window_closed", lambda world, who: world.store._conversations.pop(who)),
    "quiet until it is of no use": ("too_late", lambda world, _: setattr(world, "policy", ALWAYS_QUIET)),
}


@pytest.mark.parametrize(("rule", "happens"), REFUSALS.values(), ids=REFUSALS)
def test_each_recipient_is_decided_at_the_send(rule: str, happens: Callable[[World, Contact], object]) -> None:
    """A message that was planned while it was allowed is decided again at its send."""
    (anna,) = shardmates(1)
    world = of(anna)
    world.plan(holiday(date="2026-03-02"))
    world.clock.now = NOON + HOUR
    assert expand(world)
    assert ended(world) == {("scheduled", None): 1}
    happens(world, anna)
    world.run_sender("updates")
    assert ended(world) == {("skipped", rule): 1}
    assert world.provider.handed == []


def test_only_marketing_announcements_need_consent() -> None:
    world = of(ANNA, BEN)
    consents(world, BEN)
    world.plan(preview())
    ticks(world, NOON + HOUR)
    assert reached(world) == [BEN]
    assert ended(world) == {("sent", None): 1, ("skipped", "no_consent"): 1}
    world.plan(replace(holiday(1), subject=replace(ANNOUNCEMENT, id="N-2")))
    ticks(world, NOON + HOUR + MINUTE)
    assert Counter(reached(world)) == {ANNA: 1, BEN: 2}


def test_on_whatsapp_the_template_has_to_be_approved() -> None:
    late, soon = (replace(ANNA, channel="whatsapp", address=address) for address in (ANNA.address, "+84912345678"))
    world = of(late, at=NOON - 2 * DAY)
    world.receive(inbound(contact=soon))
    world.plan(holiday())
    ticks(world, NOON + HOUR)
    assert reached(world) == [soon]
    assert ended(world) == {("sent", None): 1, ("skipped", "channel_window"): 1}


@pytest.mark.slow
def test_evening_announcement_is_held_to_each_contacts_morning() -> None:
    """Ben is in California and Cleo in Vietnam; Anna's number is German."""
    world = of(ANNA, BEN, CLEO)
    world.policy = PolicySettings(quiet_hours={"marketing": QuietHours(time(20), time(9))}, default_timezone="UTC")
    for contact, zone in ((BEN, "America/Los_Angeles"), (CLEO, "Asia/Ho_Chi_Minh")):
        world.clock.now = NOON + MINUTE
        world.receive(inbound(NOON + MINUTE, contact=contact, timezone=zone))
    evening = NOON + 7 * HOUR + 30 * MINUTE
    world.plan(holiday(send_at=evening))
    ticks(world, evening)
    ticks(world, NOON + 2 * DAY, step=15 * MINUTE)
    at = dict(zip((o.message.contact for o in world.provider.handed), world.provider.handed_at, strict=True))
    assert at == {
        BEN: evening,  # 11:30
        CLEO: datetime(2026, 3, 3, 2, tzinfo=UTC),
        ANNA: datetime(2026, 3, 3, 8, tzinfo=UTC),
    }


@pytest.mark.slow
def test_second_announcement_of_a_day_waits_for_the_cap() -> None:
    world = of(ANNA)
    world.policy = PolicySettings(caps={"marketing": parse_caps("1/P1D")})
    world.plan(holiday(send_at=NOON))
    world.run_sender("updates")
    world.plan(replace(holiday(send_at=NOON + HOUR), subject=replace(ANNOUNCEMENT, id="N-2")))
    ticks(world, NOON + HOUR)
    assert ended(world) == {("sent", None): 1, ("scheduled", "frequency_cap"): 1}
    ticks(world, NOON + DAY + MINUTE)
    assert ended(world) == {("sent", None): 2}


# Withdrawn, sold out, changed


def test_announcement_withdrawn_before_due_sends_nothing() -> None:
    world = of(ANNA)
    world.plan(holiday(send_at=NOON + 3 * HOUR))
    world.clock.now = NOON + 2 * HOUR
    assert world.plan(withdrawn()) == Planned(broadcasts=1)
    ticks(world, NOON + 4 * HOUR, step=HOUR)
    assert world.store.rows() == []
    assert {broadcast_shard.state for broadcast_shard in world.store.read_shards(ANNOUNCEMENT)} == {
        ShardState.WITHDRAWN
    }


def test_a_withdrawal_that_comes_before_the_announcement_holds() -> None:
    world = of(ANNA)
    world.plan(withdrawn())
    world.plan(holiday())
    ticks(world, NOON + 3 * HOUR, step=HOUR)
    assert world.store.rows() == []


STOPS: dict[str, tuple[SubjectRef, str, BusinessEvent, BusinessEvent]] = {
    "withdrawn": (ANNOUNCEMENT, "holiday_hours", holiday(send_at=NOON), withdrawn(1)),
    "sold out": (ITEM, "back_in_stock", back(0), sold_out(1)),
}


@one_a_page
@pytest.mark.parametrize(("ref", "reason", "begins", "stops"), STOPS.values(), ids=STOPS)
def test_stopped_broadcast_sends_no_more(
    ref: SubjectRef, reason: str, begins: BusinessEvent, stops: BusinessEvent
) -> None:
    """One of five had the message, one was planned, three were not expanded yet."""
    people = shardmates(5)
    world = of(*people)
    for contact in people:
        world.plan(interest(contact))
    world.plan(begins)
    assert not expand(world, ref, reason, pages=1)
    (first,) = world.store.rows()
    world.sender("updates").handle(_due(world))
    assert not expand(world, ref, reason, pages=1)
    world.clock.now += HOUR
    assert world.plan(stops) == Planned(broadcasts=1)
    assert expand(world, ref, reason)
    ticks(world, world.clock.now + DAY, step=HOUR)
    assert reached(world) == [first.contact]
    assert ended(world) == {("sent", None): 1, ("skipped", "cancelled"): 1}
    assert [event["rule"] for event in world.bus.details("MessageSkipped")] == ["cancelled"]


def _due(world: World) -> Any:
    (key,) = [
        due
        for page in world.store.due("updates", "low", SHARD, world.clock.now)
        for due in page
        if due.key.sk.startswith("SCHEDULED")
    ]
    return key


@one_a_page
def test_shard_stops_when_it_was_withdrawn() -> None:
    """The planner crashed after storing the withdrawal, and its retry is minutes away."""
    world = of(*shardmates(3))
    world.plan(holiday(send_at=NOON))
    expand(world, pages=1)
    with pytest.raises(Crash):
        world.plan(withdrawn(0.5), Fault(only="write_shard"))
    assert expand(world)
    broadcast_shard = world.store.read_shard(shard_key(ANNOUNCEMENT, "holiday_hours", SHARD))
    assert broadcast_shard is not None
    assert (broadcast_shard.state, broadcast_shard.planned) == (ShardState.WITHDRAWN, 1)
    world.run_sender("updates")
    assert ended(world) == {("skipped", "cancelled"): 1}


def test_announcement_made_again_reaches_only_the_rest() -> None:
    first, second = shardmates(2)
    world = of(first)
    world.plan(holiday(send_at=NOON))
    world.run_sender("updates")
    world.clock.now = NOON + HOUR
    world.plan(withdrawn(1))
    world.receive(inbound(NOON + HOUR, contact=second))
    world.clock.now = NOON + 2 * HOUR
    world.plan(holiday(2, send_at=NOON))
    world.run_sender("updates")
    assert reached(world) == sorted([first, second], key=lambda contact: contact.key)


@one_a_page
@pytest.mark.parametrize("later", [0, 3])
def test_changed_announcement_gives_the_rest_the_new_text(later: int) -> None:
    """One had got it, one was planned, one not yet found. The time may have moved too."""
    people = shardmates(3)
    world = of(*people)
    for contact in people:
        consents(world, contact)
    world.plan(preview(send_at=NOON))
    expand(world, reason="product_preview", pages=1)
    world.sender("updates").handle(_due(world))
    expand(world, reason="product_preview", pages=1)
    world.clock.now += HOUR
    assert world.plan(preview(1, title="Summer shoes", send_at=NOON + later * HOUR)) == Planned(broadcasts=1)
    ticks(world, NOON + HOUR + MINUTE)
    assert len(world.provider.handed) == (1 if later else 3)
    ticks(world, NOON + 5 * HOUR, step=HOUR)
    assert reached(world) == people
    assert [outbound.data["title"] for outbound in world.provider.handed] == ["Spring shoes", *["Summer shoes"] * 2]
    assert min(world.provider.handed_at[1:]) >= NOON + later * HOUR


def test_change_after_the_end_sends_nothing_again() -> None:
    world = of(ANNA)
    world.plan(holiday(send_at=NOON))
    world.run_sender("updates")
    world.clock.now = NOON + HOUR
    assert world.plan(holiday(1, send_at=NOON, closed=False, opens="10:00", closes="12:00")) == Planned(broadcasts=1)
    ticks(world, NOON + 3 * HOUR, step=HOUR)
    assert reached(world) == [ANNA]
    (now,) = progress(ANNOUNCEMENT, store=world.store, clock=world.clock)["broadcasts"]
    assert (now["state"], now["waiting"]) == ("done", 0)


@pytest.mark.parametrize("repeats", [1, 3])
def test_an_event_that_comes_again_begins_nothing_anew(repeats: int) -> None:
    world = of(ANNA)
    world.plan(holiday(send_at=NOON))
    world.run_sender("updates")
    before = world.store.read_shards(ANNOUNCEMENT)
    for _ in range(repeats):
        assert world.plan(holiday(send_at=NOON)) == Planned()
    assert world.store.read_shards(ANNOUNCEMENT) == before
    world.run_sender("updates")
    assert reached(world) == [ANNA]


# Too late


def test_announcement_received_after_its_validity_is_too_late() -> None:
    world = of(ANNA)
    consents(world, ANNA)
    world.clock.now = NOON + HOUR + 2 * DAY
    assert world.plan(preview()) == Planned(broadcasts=1)
    world.run_sender("updates")
    assert world.store.rows() == []
    assert {broadcast_shard.state for broadcast_shard in world.store.read_shards(ANNOUNCEMENT)} == {ShardState.TOO_LATE}


def test_late_announcement_that_is_still_valid_is_sent() -> None:
    world = of(ANNA)
    consents(world, ANNA)
    world.clock.now = NOON + 2 * DAY
    world.plan(preview())
    world.run_sender("updates")
    assert reached(world) == [ANNA]


@one_a_page
def test_use_that_ends_midway_ends_the_expansion_too() -> None:
    world = of(*shardmates(3))
    world.plan(holiday(send_at=NOON, date="2026-03-02", timezone="UTC"))
    expand(world, pages=2)
    world.clock.now = NOON + 12 * HOUR
    assert expand(world)
    world.run_sender("updates")
    assert ended(world) == {("skipped", "too_late"): 2}


@pytest.mark.parametrize(
    ("zone", "last"),
    [
        ("Pacific/Auckland", datetime(2026, 4, 6, 12, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 4, 7, 7, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_holiday_hours_are_sent_until_the_brands_day_ends(zone: str, last: datetime, *, late: bool) -> None:
    """On 6 April; in Auckland winter time had begun the day before."""
    world = of(ANNA, at=NOON + 20 * DAY)
    world.configure(ConfigureBrand("acme-dental", 1, {"name": "Acme Dental", "timezone": zone}))
    world.plan(holiday(20 * 24, send_at=NOON + 20 * DAY))
    world.clock.now = last - SECOND + late * SECOND
    world.run_sender("updates")
    assert reached(world) == ([] if late else [ANNA])


# Contacts that come and go meanwhile


@pytest.mark.parametrize("call", ["audience_page", "read_threads", "write_plan", "publish", "save_progress"])
def test_contact_erased_during_expansion_leaves_no_row(call: str) -> None:
    (anna, ben) = shardmates(2)
    world = of(anna, ben)
    world.plan(holiday(send_at=NOON))

    def erases(name: str, go: Callable[[], Any]) -> Any:
        if name == call and not world.store.read_preferences(anna).erasures:
            world.erase(EraseContact(anna, world.clock.now))
        return go()

    assert expand(world, around=erases)
    world.clock.now += MINUTE
    world.run_sender("updates")
    held = world.store.read_holdings(anna)
    assert not any((held.profile, held.conversation, held.scheduled, held.inbound))
    assert reached(world) == [ben]


def test_contact_marked_as_erased_is_not_in_the_audience() -> None:
    """The erasure was stopped after its mark, and its retry is minutes away."""
    anna, ben = shardmates(2)
    world = of(anna, ben)
    for contact in (anna, ben):
        world.plan(interest(contact))
    world.clock.now = NOON + MINUTE
    with pytest.raises(Crash):
        world.erase(EraseContact(anna, world.clock.now), Fault(only="pending_messages"))
    world.clock.now = NOON + HOUR
    world.plan(holiday(1, send_at=NOON + HOUR))
    world.plan(back())
    assert expand(world)
    assert expand(world, ITEM, "back_in_stock")
    assert [row.contact for row in world.store.rows()] == [ben, ben]


def test_interest_of_an_erased_contact_does_not_count() -> None:
    world = of(ANNA)
    world.plan(interest())
    world.clock.now = NOON + HOUR
    world.erase(EraseContact(ANNA, world.clock.now))
    world.clock.now = NOON + 2 * HOUR
    world.plan(back(2))
    world.run_sender("updates")
    assert world.store.rows() == []


@one_a_page
@pytest.mark.parametrize("pages", range(5))
@pytest.mark.parametrize("who", range(4))
def test_contact_who_writes_during_the_run_gets_it_once(who: int, pages: int) -> None:
    """Their window moves to another day, and they move in the index: perhaps to behind the cursor, or before it."""
    people = shardmates(4)
    world = World()
    for days, contact in enumerate(people):
        world.receive(inbound(NOON - days * DAY, contact=contact))
    world.plan(holiday(send_at=NOON))
    expand(world, pages=pages)
    world.clock.now = NOON + MINUTE
    world.receive(inbound(NOON + MINUTE, contact=people[who]))
    assert expand(world)
    world.run_sender("updates")
    assert reached(world) == people


@one_a_page
def test_first_message_during_the_broadcast_gives_it_once() -> None:
    """Their window closes last, so their entries come last in the index."""
    *people, new = shardmates(4)
    world = of(*people, at=NOON - DAY)
    world.plan(holiday(send_at=NOON))
    expand(world, pages=2)
    world.clock.now = NOON + MINUTE
    world.receive(inbound(NOON + MINUTE, contact=new))
    assert expand(world)
    world.run_sender("updates")
    assert reached(world) == [*people, new]


@one_a_page
def test_expansion_past_midnight_continues_at_its_cursor() -> None:
    """A contact whose window has closed by then costs nothing more; one whose window is open is not missed."""
    people = shardmates(4)
    world = World()
    midnight = NOON + 12 * HOUR
    for number, contact in enumerate(people):
        world.receive(inbound(midnight - WINDOW - SECOND + (number // 2) * DAY, contact=contact))
    world.plan(holiday(send_at=NOON))
    world.clock.now = midnight - MINUTE
    assert not expand(world, pages=1)
    world.clock.now = midnight
    assert expand(world)
    world.run_sender("updates")
    assert reached(world) == people[2:]


# Time, and what breaks


@one_a_page
def test_expansion_stops_in_time_and_reports_the_rest() -> None:
    people = shardmates(4)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    assert not expand(world, pages=0)
    assert world.store.rows() == []
    for pages in (1, 2, 1):
        assert not expand(world, pages=pages)
    assert len(world.store.rows()) == 4
    assert expand(world)
    assert world.store.read_shards(ANNOUNCEMENT)[SHARD].planned == 4


def test_what_is_left_is_counted_by_its_run() -> None:
    world = of(*shardmates(2))
    world.plan(holiday(send_at=NOON))
    answer = world.run_sender("updates", budget=timedelta())
    assert answer["left"] == SHARDS
    assert world.store.rows() == []


def test_a_bus_that_is_down_leaves_the_page_to_the_next_run() -> None:
    """The messages were planned but not published: the page is planned again to the same rows, and published."""
    people = shardmates(3)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    world.bus.failing = 2
    with pytest.raises(NotPublished, match="2 of 3 events"):
        expand(world)
    rows = world.store.rows()
    assert len(rows) == 3
    assert expand(world)
    assert world.store.rows() == rows
    assert {event["contact"]["address"] for event in world.bus.details("MessagePlanned")} == {
        contact.address for contact in people
    }


def test_one_broadcast_that_fails_holds_up_no_other_message() -> None:
    (anna,) = shardmates(1)
    world = of(anna)
    world.plan(business("OrderShipped", subject_id="O-1", contact=anna))
    world.plan(business("ProductViewed", NOON - 4 * HOUR, subject_id="P-1", contact=anna, name="Hat"))
    world.plan(holiday(send_at=NOON))
    with pytest.raises(ExceptionGroup) as raised:
        world.run_sender("updates", Fault(partial(RuntimeError, "throttled"), only="audience_page"))
    assert len(raised.value.exceptions) == 1
    world.clock.forward(minutes=1)
    world.run_sender("updates")
    assert Counter(outbound.message.reason for outbound in world.provider.handed) == {
        "order_shipped": 1,
        "holiday_hours": 1,
        "product_reminder": 1,
    }


def test_unfinished_shard_counts_as_left() -> None:
    (anna,) = shardmates(1)
    world = of(anna)
    world.plan(holiday(send_at=NOON))
    broken = world.sender("updates", Fault(Unreachable, only="audience_page"))
    tally, errors = worker(broken, SHARD, NOON + MINUTE)
    assert tally == {("left", ""): 1}
    assert len(errors) == 1
    tally, errors = worker(world.sender("updates"), SHARD, NOON + MINUTE)
    assert (tally, errors) == ({("sent", ""): 1}, [])


def test_deleted_or_finished_shard_plans_nothing() -> None:
    world = of(*shardmates(1))
    assert expand(world)
    world.plan(holiday(send_at=NOON))
    assert expand(world)
    counted = Fault(nth=-1)
    assert expand(world, around=counted)
    assert counted.calls == ["read_shard"]


def test_shard_of_an_older_revision_is_left_alone() -> None:
    """The planner of the change died before it wrote the parts; nothing may go out by the old plan."""
    world = of(*shardmates(2))
    world.plan(holiday(send_at=NOON))
    with pytest.raises(Crash):
        world.plan(holiday(0.1, send_at=NOON, closed=False, opens="10:00", closes="12:00"), Fault(only="write_shard"))
    assert expand(world)
    assert world.store.rows() == []
    world.plan(holiday(0.1, send_at=NOON, closed=False, opens="10:00", closes="12:00"))
    world.run_sender("updates")
    assert [outbound.data["closed"] for outbound in world.provider.handed] == [False, False]


@one_a_page
def test_slower_run_does_not_move_a_shard_back() -> None:
    """It had planned the first page when another run finished."""
    world = of(*shardmates(3))
    world.plan(holiday(send_at=NOON))
    states = []

    def slow(name: str, go: Callable[[], Any]) -> Any:
        if name == "save_progress":
            expand(world)
            answer = go()
            states.append(world.store.read_shards(ANNOUNCEMENT)[SHARD].state)
            return answer
        return go()

    assert expand(world, around=slow)
    assert states == [ShardState.DONE]


def test_one_of_two_runs_advances_and_counts_stay_right() -> None:
    people = shardmates(3)
    world = of(*people)
    world.plan(holiday(send_at=NOON))

    def other(name: str, go: Callable[[], Any]) -> Any:
        if name == "save_progress":
            assert expand(world)
        return go()

    assert expand(world, around=other)
    assert world.store.read_shards(ANNOUNCEMENT)[SHARD].planned == 3
    world.run_sender("updates")
    assert reached(world) == people


def test_page_costs_two_reads_before_and_one_after() -> None:
    """33 of them: three keys each are what BatchGetItem takes at once."""
    people = shardmates(70)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    counted = Fault(nth=-1)
    assert expand(world, around=counted)
    calls = Counter(counted.calls)
    assert (calls["audience_page"], calls["read_threads"], calls["save_progress"]) == (3, 3 * 3, 3)
    assert calls["write_plan"] == 70


def test_page_reads_each_persons_channels_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 20 recipients whose window is closed, a page made 20 requests more, for what it had just read."""
    people = shardmates(20)
    world = of(*people[:2], at=NOON - WINDOW + timedelta(seconds=1))
    for contact in people:
        world.plan(interest(contact))
        consents(world, contact)
    world.clock.now = NOON + HOUR
    world.plan(back())
    read: list[Sequence[Contact]] = []

    def read_threads(store: MemoryStore, contacts: Sequence[Contact]) -> Mapping[Contact, Thread]:
        read.append(contacts)
        return threads_of(store, contacts)

    threads_of = MemoryStore.read_threads
    monkeypatch.setattr(MemoryStore, "read_threads", read_threads)
    assert expand(world, ITEM, "back_in_stock")
    assert len(world.bus.details("MessagePlanned")) == len(people)
    channels = [replace(contact, channel=channel) for contact in people for channel in ("rcs", "whatsapp")]
    assert [sorted(contacts, key=lambda contact: contact.key) for contacts in read] == [
        sorted(contacts, key=lambda contact: contact.key) for contacts in (people, channels, people)
    ]


# What was wrong once


@one_a_page
def test_new_interest_during_the_restock_is_not_sent_twice() -> None:
    people = shardmates(3)
    world = of(*people)
    for n, c in enumerate(people):
        world.plan(interest(c, n / 60))
    world.clock.now = NOON + HOUR
    world.plan(back())
    expand(world, ITEM, "back_in_stock", pages=1)
    who = world.store.rows()[0].contact
    world.clock.now += MINUTE
    world.plan(interest(who, 1.02))
    assert expand(world, ITEM, "back_in_stock")
    world.run_sender("updates")
    assert Counter(reached(world)) == dict.fromkeys(people, 1)


def test_once_an_interest_also_when_ttl_has_taken_the_row() -> None:
    world = of(ANNA)
    world.plan(interest())
    world.clock.now = NOON + HOUR
    world.plan(back())
    world.run_sender("updates")
    assert len(reached(world)) == 1
    world.clock.now = NOON + 20 * DAY
    world.receive(inbound(NOON + 20 * DAY))
    world.plan(sold_out(20 * 24))
    world.clock.now = NOON + 32 * DAY
    world.store.expire(world.clock.now)
    world.plan(back(32 * 24))
    world.run_sender("updates")
    assert len(reached(world)) == 1


def test_broadcast_delayed_over_a_month_sends_nothing_twice() -> None:
    world = of(ANNA)
    world.plan(holiday(send_at=NOON, date="2026-06-01"))
    world.run_sender("updates")
    world.clock.now = NOON + HOUR
    world.plan(holiday(1, send_at=NOON + 35 * DAY, date="2026-06-01"))
    world.clock.now = NOON + 20 * DAY
    world.receive(inbound(NOON + 20 * DAY))
    world.clock.now = NOON + 35 * DAY
    world.store.expire(world.clock.now)
    world.run_sender("updates")
    assert len(reached(world)) == 1


def test_totals_survive_a_withdrawal_midway() -> None:
    people = shardmates(3)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    expand(world)
    send_due_messages(world.sender("updates"), stop_at=world.clock.now + MINUTE)
    world.clock.now += HOUR
    world.plan(withdrawn(1))
    (p,) = progress(ANNOUNCEMENT, store=world.store, clock=world.clock)["broadcasts"]
    assert (p["state"], p["planned"], p["sent"]) == ("withdrawn", 3, 3), p


@one_a_page
def test_totals_survive_a_change_midway() -> None:
    people = shardmates(3)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    world.run_sender("updates")
    world.clock.now += HOUR
    world.plan(holiday(1, send_at=NOON, closed=False, opens="10:00", closes="12:00"))
    world.run_sender("updates")
    (p,) = progress(ANNOUNCEMENT, store=world.store, clock=world.clock)["broadcasts"]
    assert (p["state"], p["planned"], p["sent"]) == ("done", 3, 3), p


@one_a_page
def test_the_skips_after_a_withdrawal_are_counted() -> None:
    people = shardmates(3)
    world = of(*people)
    world.plan(holiday(send_at=NOON))
    expand(world)
    world.clock.now += HOUR
    world.plan(withdrawn(1))
    world.run_sender("updates")
    (p,) = progress(ANNOUNCEMENT, store=world.store, clock=world.clock)["broadcasts"]
    assert (p["planned"], p["skipped"]) == (3, {"cancelled": 3}), p


@one_a_page
def test_contact_found_twice_is_counted_once() -> None:
    people = shardmates(3)
    world = World()
    for days, contact in enumerate(people):
        world.receive(inbound(NOON - days * DAY, contact=contact))
    world.plan(holiday(send_at=NOON))
    expand(world, pages=1)
    world.clock.now = NOON + MINUTE
    who = world.store.rows()[0].contact
    world.receive(inbound(NOON + MINUTE, contact=who))
    world.run_sender("updates")
    (p,) = progress(ANNOUNCEMENT, store=world.store, clock=world.clock)["broadcasts"]
    assert (p["planned"], p["sent"], p["waiting"]) == (3, 3, 0), p


def test_an_erasure_whose_mark_comes_late_leaves_no_row_behind() -> None:
    """It had read its clock before the page did, and marked after: the row was younger than the mark, and stayed."""
    (anna,) = shardmates(1)
    world = of(anna)
    world.plan(holiday(send_at=NOON))
    t0 = NOON + MINUTE
    world.clock.now = t0 + timedelta(milliseconds=5)

    def late(name: str, call: Callable[[], Any]) -> Any:
        if name == "write_plan":
            at, world.clock.now = world.clock.now, t0
            world.clock.step, step = timedelta(), world.clock.step
            world.erase(EraseContact(anna, t0))
            world.clock.now, world.clock.step = at, step
        return call()

    assert expand(world, around=late)
    held = world.store.read_holdings(anna)
    assert not held.scheduled, held.scheduled
