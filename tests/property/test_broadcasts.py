"""A broadcast that crashes at any step and resumes reaches each allowed recipient exactly once.

The provider's own log is the proof. First each call of one broadcast fails, with one recipient per case.
Then crowds, crashes and errors are random. Then runs, events and people interleave.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reengage.domain.broadcast import ShardState, shard_key
from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.subject import BusinessEvent
from reengage.usecases import expand_broadcast as module
from reengage.usecases.expand_broadcast import expand_broadcast
from tests.fakes import CLAIM_LASTS, NOON, Around, Crash, Fault, Unreachable, World, business, inbound, worker
from tests.property.schedules import Body, Choose, Played, every_order, play

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)

Reason = Literal["product_preview", "holiday_hours", "back_in_stock"]
REASONS: tuple[Reason, ...] = get_args(Reason)

BEGINS: dict[Reason, BusinessEvent] = {
    "product_preview": business("ProductPreviewAnnounced", subject_id="X", title="Spring shoes", send_at=NOON),
    "holiday_hours": business("HolidayHoursAnnounced", subject_id="X", date="2026-04-06", send_at=NOON, closed=True),
    "back_in_stock": business("ItemBackInStock", subject_id="X", name="Shoe"),
}
CHANGES: dict[Reason, BusinessEvent] = {
    "product_preview": business("ProductPreviewAnnounced", NOON + SECOND, subject_id="X", title="Hats", send_at=NOON),
    "holiday_hours": business(
        "HolidayHoursAnnounced", NOON + SECOND, subject_id="X", date="2026-04-07", send_at=NOON, closed=True
    ),
    "back_in_stock": business("ItemBackInStock", NOON + SECOND, subject_id="X", name="Boot", back_at=NOON),
}
STOPS: dict[Reason, BusinessEvent] = {
    "product_preview": business("AnnouncementWithdrawn", NOON + SECOND, subject_id="X"),
    "holiday_hours": business("AnnouncementWithdrawn", NOON + SECOND, subject_id="X"),
    "back_in_stock": business("ItemSoldOut", NOON + SECOND, subject_id="X"),
}

Case = Literal[
    "open", "closed", "closed today", "silent", "opted out", "no consent", "erased", "uninterested", "elsewhere"
]
CASES: tuple[Case, ...] = get_args(Case)
ALLOWED: dict[Reason, frozenset[Case]] = {
    "product_preview": frozenset({"open", "uninterested"}),
    "holiday_hours": frozenset({"open", "no consent", "uninterested"}),
    "back_in_stock": frozenset({"open", "no consent"}),
}
"""The only recipients that may get the message."""

SKIPPED: dict[Case, str] = {
    "closed": "window_closed",
    "closed today": "window_closed",
    "silent": "no_conversation",
    "opted out": "opted_out",
    "no consent": "no_consent",
}
"""Contacts that some audience contains, and why they do not get the message."""

SHARDS = (3, 11)


def _contacts(brand: str) -> Iterator[Contact]:
    """Two shards in turn: a run processes one after the other, in one order of calls."""
    wanted, number = 0, 0
    while True:
        contact = Contact(brand, "sms", f"+49151{number:08}")
        number += 1
        if contact.shard == SHARDS[wanted]:
            wanted = 1 - wanted
            yield contact


@dataclass(slots=True)
class Crowd:
    """A world with one person per case, and one planned broadcast."""

    reason: Reason
    cases: Sequence[Case]
    world: World = field(default_factory=lambda: World(policy=PolicySettings(caps={"marketing": parse_caps("1/P1D")})))
    people: dict[Contact, Case] = field(default_factory=dict)

    def __post_init__(self) -> None:
        brands = {brand: _contacts(brand) for brand in ("acme-dental", "birch-bakery")}
        for days, case in enumerate(self.cases):
            contact = next(brands["birch-bakery" if case == "elsewhere" else "acme-dental"])
            self.people[contact] = case
            self._enters(contact, case, NOON - DAY - days * timedelta(hours=12))
        self.world.clock.now = NOON
        self.world.bus.events.clear()

    def _enters(self, contact: Contact, case: Case, at: datetime) -> None:
        world = self.world
        last_event_at = {"closed": NOON - WINDOW - DAY, "closed today": NOON - WINDOW}.get(case, at)
        world.clock.now = last_event_at
        if case != "silent":
            world.receive(inbound(last_event_at, contact=contact))
        if case != "uninterested":
            world.plan(business("InterestShown", last_event_at, subject_id="X", contact=contact))
        if case != "no consent":
            world.record_choice(RecordChoice(contact, "marketing", Choice(allowed=True, at=last_event_at)))
        if case == "opted out":
            world.record_choice(RecordChoice(contact, "contact", Choice(allowed=False, at=last_event_at)))
        if case == "erased":
            world.clock.now = last_event_at + SECOND
            world.erase(EraseContact(contact, last_event_at + SECOND))

    @property
    def allowed(self) -> list[Contact]:
        return [contact for contact, case in self.people.items() if case in ALLOWED[self.reason]]

    def announce(self, around: Around | None = None) -> None:
        self.world.plan(BEGINS[self.reason], around)

    def tick(self, around: Around | None = None) -> list[Exception]:
        """Process one run in this thread; return the errors that it would raise at its end."""
        sender, stop_at = self.world.sender("updates", around), self.world.clock.now + MINUTE
        return [error for shard in SHARDS for error in worker(sender, shard, stop_at)[1]]

    def run(self, around: Around) -> None:
        self.announce(around)
        self.tick(around)

    def ends(self) -> None:
        """Retry each crashed run, and run until every claim has expired."""
        self.announce()
        for wait in (MINUTE, MINUTE, CLAIM_LASTS):
            self.world.clock.now += wait
            assert self.tick() == []

    def row(self, contact: Contact) -> ScheduledMessage | None:
        rows = [row for row in self.world.store.rows() if row.contact == contact]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    def handed(self) -> Counter[Contact]:
        return Counter(outbound.message.contact for outbound in self.world.provider.handed)

    def check(self, *, kills: int, stopped: bool = False) -> None:
        """Check what holds for every contact; ``stopped``: the broadcast was withdrawn at some time."""
        handed, unconfirmed = self.handed(), 0
        assert max(handed.values(), default=0) <= 1, handed
        assert set(handed) <= set(self.allowed), handed
        for contact, case in self.people.items():
            row = self.row(contact)
            unconfirmed += row is not None and row.state is State.UNCONFIRMED
            if contact in self.allowed:
                self._check_allowed(contact, row, stopped=stopped)
            elif row is not None:
                assert row.state in (State.SKIPPED, State.UNCONFIRMED)
                rules = {SKIPPED.get(case), "cancelled"} if stopped else {SKIPPED.get(case)}
                assert row.state is State.UNCONFIRMED or row.rule in rules, row
        assert unconfirmed <= kills
        shards = [
            broadcast_shard
            for broadcast_shard in self.world.store.read_shards(BEGINS[self.reason].subject)
            if broadcast_shard.shard in SHARDS
        ]
        assert len(shards) == len(SHARDS)
        assert {broadcast_shard.state for broadcast_shard in shards} <= (
            {ShardState.WITHDRAWN} if stopped else {ShardState.DONE}
        )

    def _check_allowed(self, contact: Contact, row: ScheduledMessage | None, *, stopped: bool) -> None:
        was_handed = bool(self.handed()[contact])
        if row is None:
            assert stopped, f"{contact} was missed"
        elif row.state is State.SKIPPED:
            assert stopped, row
            assert row.rule == "cancelled"
            assert not was_handed
        else:
            assert row.state is State.UNCONFIRMED or (row.state is State.SENT and was_handed), row


@pytest.fixture(autouse=True)
def _two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)


# Every call


ALL_CONTACTS: tuple[Case, ...] = (*CASES, "open", "open", "closed", "elsewhere")

CLAIMED = frozenset({"claim", "read_snapshot", "reserve_cap", "send", "settle"})
"""If it was killed at one of these calls, its message may have been sent."""


def _struck(reason: Reason, nth: int, *, after: bool, error: Callable[[], BaseException]) -> str | None:
    """Play a broadcast that fails at its ``nth`` call; return that call, or ``None`` after the last one."""
    crowd, fault = Crowd(reason, ALL_CONTACTS), Fault(error=error, nth=nth, after=after)
    with suppress(Crash, Unreachable):
        crowd.run(fault)
    if not fault.struck:
        return None
    crowd.ends()
    crowd.check(kills=1)
    call = fault.calls[nth - 1]
    unconfirmed = [row for row in crowd.world.store.rows() if row.state is State.UNCONFIRMED]
    if unconfirmed:
        assert call in CLAIMED, call
        assert (call, after) not in {("claim", False), ("settle", True)}
    if call == "send":
        assert len(unconfirmed) == 1
        assert crowd.handed()[unconfirmed[0].contact] == after
    return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("reason", REASONS)
def test_crash_at_any_call_reaches_each_allowed_recipient_once(reason: Reason, *, after: bool) -> None:
    """Lambda ended the announcement's planner, or the run, there: before the call had its effect, or after."""
    calls: Counter[str] = Counter()
    nth = 1
    while call := _struck(reason, nth, after=after, error=Crash):
        calls[call] += 1
        nth += 1
    expected = {
        "write_shard",
        "audience_page",
        "read_threads",
        "write_plan",
        "publish",
        "save_progress",
        "count_outcomes",
    }
    assert expected | CLAIMED | {"due"} <= set(calls)
    assert calls["send"] == len(Crowd(reason, ALL_CONTACTS).allowed)
    assert calls["save_progress"] > len(SHARDS), "there is more than one page"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("reason", REASONS)
def test_unanswered_call_reaches_each_allowed_recipient_once(reason: Reason, *, after: bool) -> None:
    """The same, but the run continues: the table, the bus or the provider was not reachable once."""
    nth = 1
    while _struck(reason, nth, after=after, error=Unreachable):
        nth += 1
    assert nth > 60


# At random


@st.composite
def breaks(draw: st.DrawFn) -> Callable[[], Fault]:
    """A fault somewhere in a run."""
    error = draw(st.sampled_from((Crash, Unreachable)))
    return partial(Fault, error=error, nth=draw(st.integers(1, 90)), after=draw(st.booleans()))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reason=st.sampled_from(REASONS),
    cases=st.lists(st.sampled_from(CASES), min_size=1, max_size=9),
    page=st.integers(1, 4),
    broken=st.lists(breaks(), min_size=1, max_size=4),
    then=st.sampled_from(("nothing", "changes", "stops")),
)
def test_repeated_crashes_reach_each_allowed_recipient_once(
    reason: Reason, cases: list[Case], page: int, broken: list[Callable[[], Fault]], then: str
) -> None:
    """Contacts of every kind; each run is stopped early, some after the announcement was changed or withdrawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE", page)
        crowd = Crowd(reason, cases)
        news = {"nothing": [], "changes": [CHANGES[reason]], "stops": [STOPS[reason]]}[then]
        kills = 0
        for number, make in enumerate(broken):
            fault = make()
            with suppress(Crash, Unreachable):
                crowd.announce(fault)
                for event in news if number else ():
                    crowd.world.plan(event, fault)
                crowd.tick(fault)
            kills += fault.struck
            crowd.world.clock.now += MINUTE
        crowd.announce()
        for event in news:
            crowd.world.plan(event)
        crowd.ends()
        crowd.check(kills=kills, stopped=then == "stops")


# In each other's way


def draws(data: st.DataObject) -> Choose:
    return lambda options: data.draw(st.sampled_from(options))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    reason=st.sampled_from(REASONS),
    cases=st.lists(st.sampled_from(CASES), min_size=1, max_size=5),
    deaths=st.integers(0, 2),
    then=st.sampled_from(("nothing", "changes", "stops")),
)
def test_two_concurrent_runs_reach_each_allowed_recipient_once(
    data: st.DataObject, reason: Reason, cases: list[Case], deaths: int, then: str
) -> None:
    """The schedule fired twice, or a run took longer than its minute; and a contact writes, which changes the index."""
    crowd = Crowd(reason, cases)
    crowd.announce()
    news = {"changes": CHANGES[reason], "stops": STOPS[reason]}.get(then)
    writers = [contact for contact, case in crowd.people.items() if case in ("open", "closed today", "no consent")]
    actors: dict[str, Body] = {"one": crowd.tick, "other": crowd.tick}
    if news:
        actors["news"] = partial(crowd.world.plan, news)
    writer = data.draw(st.sampled_from(writers)) if writers else None
    if writer:
        actors["writes"] = partial(crowd.world.receive, inbound(NOON, contact=writer))
        # Who comes back in time may get it: then the case is that of an open conversation.
        if crowd.people[writer] == "closed today":
            crowd.people[writer] = "open"
    played = play(actors, draws(data), deaths=deaths)
    if news:
        crowd.world.plan(news)
    if writer:
        crowd.world.receive(inbound(NOON, contact=writer))
    kills = len(played.failed)
    _ends_without_announcing(crowd)
    late = [contact for contact in crowd.allowed if (row := crowd.row(contact)) and row.rule == "window_closed"]
    for contact in late:  # they were asked about before they wrote
        assert contact == writer
        crowd.people[contact] = "closed today"
    crowd.check(kills=kills, stopped=then == "stops")


def _ends_without_announcing(crowd: Crowd) -> None:
    for wait in (MINUTE, MINUTE, CLAIM_LASTS):
        crowd.world.clock.now += wait
        assert crowd.tick() == []


# Each order there is, of the calls that matter


def meets(around: Around, *names: str) -> Around:
    """Only calls of these names are interleaved; the others follow at once."""
    return lambda name, call: around(name, call) if name in names else call()


def expands(crowd: Crowd, *names: str) -> Body:
    """Expand the whole first shard, without sending."""

    def body(around: Around) -> None:
        ports = crowd.world.ports(meets(around, *names))
        assert expand_broadcast(
            shard_key(BEGINS[crowd.reason].subject, crowd.reason, SHARDS[0]),
            store=ports.store,
            publish=ports.bus,
            clock=crowd.world.clock,
            settings=crowd.world.policy,
            stop_at=NOON + MINUTE,
        )

    return body


def race(make: Callable[[Crowd], dict[str, Body]], *, deaths: int = 0) -> Iterator[tuple[Crowd, Played]]:
    """Announce holiday hours to three people; two are in the first shard, one per page."""

    def once(choose: Choose) -> tuple[Crowd, Played]:
        crowd = Crowd("holiday_hours", ("open", "open", "open"))
        crowd.announce()
        return crowd, play(make(crowd), choose, deaths=deaths)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE", 1)
        yield from every_order(once)


def test_two_expansions_of_one_shard_count_each_recipient_once() -> None:
    """Both find the waiting shard, and each continues it unless the other has."""
    names = ("write_plan", "save_progress")
    for crowd, _ in race(lambda crowd: {"one": expands(crowd, *names), "other": expands(crowd, *names)}):
        broadcast_shard = crowd.world.store.read_shard(shard_key(BEGINS[crowd.reason].subject, crowd.reason, SHARDS[0]))
        assert broadcast_shard is not None
        assert (broadcast_shard.state, broadcast_shard.planned) == (ShardState.DONE, 2)
        _ends_without_announcing(crowd)
        crowd.check(kills=0)


def test_crashed_expansion_plans_each_recipient_once() -> None:
    names = ("write_plan", "save_progress")
    for crowd, _ in race(lambda crowd: {"one": expands(crowd, *names), "other": expands(crowd, *names)}, deaths=1):
        _ends_without_announcing(crowd)
        crowd.check(kills=0)


def test_withdrawal_during_expansion_stops_all_later_messages() -> None:
    """No message that the expansion still plans is sent, and the shard ends as withdrawn."""

    def of(crowd: Crowd) -> dict[str, Body]:
        stops = STOPS[crowd.reason]

        def receives(around: Around) -> object:
            return crowd.world.plan(stops, meets(around, "write_subject", "write_shard"))

        return {
            "expands": expands(crowd, "read_subject", "write_plan", "save_progress"),
            "stops": _first_shards(receives),
        }

    ended = set()
    for crowd, _ in race(of):
        _ends_without_announcing(crowd)
        assert crowd.handed() == {}
        crowd.check(kills=0, stopped=True)
        ended.add(len(crowd.world.store.rows()))
    assert ended >= {0, 1, 2}


def _first_shards(body: Body) -> Body:
    """Of the sixteen shards, only those up to the tested one are interleaved."""

    def first(around: Around) -> None:
        written = 0

        def few(name: str, call: Callable[[], Any]) -> Any:
            nonlocal written
            written += name == "write_shard"
            return around(name, call) if name != "write_shard" or written == SHARDS[0] + 1 else call()

        body(few)

    return first


def test_new_message_during_expansion_gives_one_announcement() -> None:
    """Their window moves to another day, and so does their entry in the index: before, at or behind the cursor."""
    for who in (0, 1):
        for crowd, _ in race(lambda crowd, who=who: _writes(crowd, who)):  # type: ignore[misc]  # who is bound
            _ends_without_announcing(crowd)
            crowd.check(kills=0)


def _writes(crowd: Crowd, who: int) -> dict[str, Body]:
    contact = [contact for contact in crowd.people if contact.shard == SHARDS[0]][who]
    message = inbound(NOON, contact=contact)
    return {
        "expands": expands(crowd, "audience_page", "read_threads", "write_plan", "save_progress"),
        "writes": lambda around: crowd.world.receive(message, meets(around, "write_conversation", "write_profile")),
    }


def test_an_expansion_against_an_erasure_leaves_nothing_behind() -> None:
    """Anna was erased in the second in which her page was planned; the other two get it."""
    names = ("audience_page", "read_threads", "write_plan")

    def of(crowd: Crowd) -> dict[str, Body]:
        command = EraseContact(_anna(crowd), NOON)
        return {
            "expands": expands(crowd, *names),
            "erases": lambda around: crowd.world.erase(command, meets(around, "write_preferences", "erase")),
        }

    for crowd, _ in race(of):
        held = crowd.world.store.read_holdings(_anna(crowd))
        assert not any((held.profile, held.conversation, held.inbound, held.scheduled))
        _ends_without_announcing(crowd)
        assert _anna(crowd) not in crowd.handed()
        assert len(crowd.handed()) == 2


def _anna(crowd: Crowd) -> Contact:
    return next(iter(crowd.people))
