"""Run a story with faults: each at one call of a port, counted from the story's beginning."""

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from reengage.adapters.memory import MemoryStore
from reengage.domain.events_out import OutEvent
from reengage.domain.instants import parse_instant
from reengage.domain.message import ScheduledMessage
from reengage.errors import NotPublished
from reengage.ports import OutboundMessage, Outcome, Retryable
from reengage.simulation.app import RUN_TIME, SimulatedApp
from reengage.simulation.parameters import environment
from reengage.simulation.provider import SimulatedProvider
from tests.simulation.faults.stories import BEGINS, DAYS, Line

KINDS: Final = (
    *("error", "lost", "crash", "crash_after", "event", "event_after") * 2,
    *("slow", "slow_after", "tick", "tick_after", "ttl", "stale", "throttled"),
)
"""``error`` fails before the effect, ``lost`` after it; ``crash`` and ``crash_after`` end the process. ``slow`` lets
time pass. ``tick`` runs another invocation of the send functions meanwhile, ``event`` delivers the next event. ``ttl``
deletes what has expired. ``stale`` leaves an entry out of the ``due`` index. ``throttled`` is the provider's answer.
"""

SENDS: Final = frozenset({"claim", "read_snapshot", "reserve_cap", "send", "settle", "release"})
SENDING: Final = 4
"""How much likelier a fault is at one of these calls."""

NOT_PORTS: Final = frozenset(
    {"due_shards", "next_due_at", "due_messages", "brands", "due_changes", "rows", "expire", "breakers"}
)
RETRIES: Final = (timedelta(minutes=1), timedelta(minutes=2), *[timedelta(hours=1)] * 17)
"""When Lambda, EventBridge, and then a person deliver an event again that failed."""

ENDS: Final = BEGINS + timedelta(days=DAYS + 2)
"""By then every message of a story has its outcome."""

EVENT_TIME: Final = timedelta(seconds=30)
MINUTE: Final = timedelta(minutes=1)
MOST_TICKS: Final = 1_000
"""A story needs a tenth of these; a message that never ends would need one a minute."""


class Fault(NamedTuple):
    call: int
    kind: str
    seconds: float = 0.0


class Crash(BaseException):
    """The process ends here: no ``except Exception`` catches it, as none catches the end of a Lambda function."""


class Unreachable(Exception):
    """A call failed, or its answer was lost."""


class Handover(NamedTuple):
    """A message that the provider took, by a call that began at ``at``; its snapshot was read from ``read_at`` on.

    ``call`` and ``read_call`` are the numbers of these two calls of ports: they order what happens at one instant.
    """

    at: datetime
    call: int
    read_at: datetime
    read_call: int
    message: ScheduledMessage


@dataclass(slots=True)
class History:
    """What happened, for the judge. ``started`` and ``done`` have the instant of each event, by its line's id, and the
    number of calls of ports before it.
    """

    lines: Sequence[Line]
    started: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    done: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    handovers: list[Handover] = field(default_factory=list)
    faults: list[tuple[datetime, str, str]] = field(default_factory=list)
    events: list[tuple[datetime, OutEvent]] = field(default_factory=list)
    rows: list[ScheduledMessage] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    ended_at: datetime | None = None
    names: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls of ports there were."""
        return len(self.names)


class _Store:
    """Each call of a port's method goes through ``around``."""

    def __init__(self, store: MemoryStore, around: Callable[..., Any]) -> None:
        self._store, self._around = store, around

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in NOT_PORTS or not callable(found):
            return found
        return lambda *args, **kwargs: self._around(name, lambda: found(*args, **kwargs), args)


class FaultyApp(SimulatedApp):
    """The simulated app, whose ports fail as the faults say."""

    def __init__(self, history: History, faults: Sequence[Fault], meanwhile: Mapping[str, Callable[[], None]]) -> None:
        super().__init__(environment({}), rules=(), seed=0, wait=lambda _: None, report=lambda _at, _event: None)
        self.history = history
        self.deadline: datetime | None = None
        self._faults = {fault.call: fault for fault in faults}
        self._meanwhile = meanwhile
        self._read_at: dict[str | None, tuple[datetime, int]] = {}

    @cached_property
    def store(self) -> Any:
        return _Store(self.history.store, self._around)

    @cached_property
    def provider(self) -> Any:
        return _Provider(self)

    def record_events(self, events: Sequence[OutEvent]) -> None:
        if any(event.type == "MessageSendRequested" for event in events):
            super().record_events(events)  # by this route, the request is the provider's call, which fails as such
        elif events:
            self._around("publish", lambda: super(FaultyApp, self).record_events(events), ())

    def take(self, accept: Callable[[], Outcome], outbound: OutboundMessage) -> Outcome:
        begins, number = self.now, self.history.calls

        def taken() -> Outcome:
            message = outbound.message
            self.history.handovers.append(Handover(begins, number, *self._read_at[message.claim_id], message))
            return accept()

        outcome: Outcome = self._around("send", taken, ())
        return outcome

    def _around(self, name: str, call: Callable[[], Any], args: Sequence[Any]) -> Any:
        number = self.history.calls
        self.history.names.append(name)
        if name == "read_snapshot":
            self._read_at[args[0].claim_id] = (self.now, number)
        fault = self._faults.get(number)
        if fault is None:
            return call()
        self.history.faults.append((self.now, fault.kind, name))
        return self._with_fault(fault, name, call)

    def _with_fault(self, fault: Fault, name: str, call: Callable[[], Any]) -> Any:
        before, _, after = fault.kind.partition("_")
        if not after and (answered := self._before(before, name, fault)) is not None:
            return answered
        answer = call()
        if fault.kind == "lost":
            raise _lost(name)
        if fault.kind == "stale" and name == "due":
            return _stale(answer)
        if after:
            self._before(before, name, fault)
        return answer

    def _before(self, kind: str, name: str, fault: Fault) -> Outcome | None:
        match kind:
            case "error":
                raise _lost(name)
            case "crash":
                raise Crash
            case "slow":
                self.now += timedelta(seconds=fault.seconds)
            case "ttl":
                self.history.store.expire(self.now)
            case "tick" | "event":
                deadline = self.deadline
                self._meanwhile[kind]()
                self.deadline = deadline
            case "throttled" if name == "send":
                return Retryable("throttled")
        if self.deadline and self.now > self.deadline:
            raise Crash
        return None


@dataclass(slots=True)
class _Provider:
    app: FaultyApp

    def send(self, provider: str, outbound: OutboundMessage) -> Outcome:
        app = self.app
        accepting = SimulatedProvider((), app.clock, random.Random(0), lambda _at, _event: None)
        return app.take(lambda: accepting.send(provider, outbound), outbound)


def _lost(name: str) -> Exception:
    return NotPublished(1, 1) if name == "publish" else Unreachable(name)


def _stale(pages: Any) -> Any:
    """The index has not seen its newest entry yet."""
    entries = [entry for page in pages for entry in page]
    return iter([entries[:-1]] if len(entries) > 1 else [])


@dataclass(slots=True)
class Runner:
    """One run of a story. ``waiting`` are the deliveries still to come: instant, number, tries, line."""

    lines: Sequence[Line]
    faults: Sequence[Fault]
    waiting: list[tuple[datetime, int, int, Line]] = field(default_factory=list)
    depth: int = 0
    ticks: int = 0
    last_tick: datetime | None = None
    is_idle: bool = False
    history: History = field(init=False)
    app: FaultyApp = field(init=False)

    def run(self) -> History:
        self.history = History(self.lines)
        self.app = FaultyApp(self.history, self.faults, {"tick": self._another_run, "event": self._next_event})
        self.waiting = [(parse_instant(line["time"]), n, 0, line) for n, line in enumerate(self.lines)]
        heapq.heapify(self.waiting)
        while (at := self._next()) is not None and at <= ENDS and self.ticks < MOST_TICKS:
            self.app.now = max(self.app.now, at)
            if self.waiting and self.waiting[0][0] <= self.app.now:
                self._deliver(heapq.heappop(self.waiting))
            else:
                self.last_tick = self.app.now.replace(second=0, microsecond=0)
                self._tick()
        self.history.events = self.app.events
        self.history.rows = self.history.store.rows()
        self.history.ended_at = self.app.now
        return self.history

    def _next(self) -> datetime | None:
        heads = [self.waiting[0][0]] if self.waiting else []
        due_at = self.app.next_change() if self.is_idle else self.history.store.next_due_at()
        if due_at is not None:
            floor = max(due_at, self.app.now).replace(second=0, microsecond=0)
            tick = floor if floor >= max(due_at, self.app.now) else floor + MINUTE
            heads.append(max(tick, self.last_tick + MINUTE) if self.last_tick else tick)
        return min(heads, default=None)

    def _tick(self) -> None:
        changed = [False]
        self.ticks += 1

        def tick() -> None:
            changed[0] = self.app.tick()

        self.is_idle = self._invoke(tick, RUN_TIME) and not changed[0]

    def _deliver(self, entry: tuple[datetime, int, int, Line]) -> None:
        at, number, tries, line = entry
        self.is_idle = False
        self.history.started.setdefault(line["id"], (self.app.now, self.history.calls))
        if self._invoke(lambda: self.app.deliver(line), EVENT_TIME):
            self.history.done.setdefault(line["id"], (self.app.now, self.history.calls))
        elif tries < len(RETRIES):
            heapq.heappush(self.waiting, (max(at, self.app.now) + RETRIES[tries], number, tries + 1, line))

    def _invoke(self, function: Callable[[], None], time: timedelta) -> bool:
        """Run a function as Lambda does; return whether it ended well."""
        self.app.deadline = self.app.now + time
        try:
            function()
        except (Crash, Exception):  # noqa: BLE001 - whatever ends an invocation, the next one begins afresh
            return False
        return True

    def _another_run(self) -> None:
        if self.depth == 0:
            self.depth += 1
            self._tick()
            self.depth -= 1

    def _next_event(self) -> None:
        """The next event arrives now, if it would arrive within ten minutes."""
        if self.depth == 0 and self.waiting and self.waiting[0][0] <= self.app.now + 10 * MINUTE:
            self.depth += 1
            entry = heapq.heappop(self.waiting)
            self.app.now = max(self.app.now, entry[0])
            self._deliver(entry)
            self.depth -= 1


def faults_of(seed: int, names: Sequence[str]) -> Iterator[Fault]:
    """Draw the faults of a seed, for a story that makes about these calls: most strike while a message is sent."""
    chance = random.Random(f"faults-{seed}")
    weights = [SENDING if name in SENDS else 1 for name in names]
    drawn = chance.choices(range(len(names)), weights, k=chance.choice((0, 1, 2, 4, 8, 16)))
    for call in sorted(set(drawn)):
        # An event between a claim and the read after it is the race that matters most.
        races = names[call] == "claim" and chance.random() < 0.5
        kind = "event_after" if races else chance.choice(KINDS)
        yield Fault(call, kind, chance.choice((0.4, 1.1, 1.9, 2.5, 20.0)))


def play(lines: Sequence[Line], faults: Sequence[Fault]) -> History:
    return Runner(lines, faults).run()
