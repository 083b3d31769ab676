"""The simulated app with ports that fail as a story's faults define."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

from ..adapters.memory import MemoryStore
from ..domain.events_out import OutEvent
from ..domain.message import MessageKey, ScheduledMessage
from ..errors import NotPublished
from ..ports import Accepted, OutboundMessage, Outcome, Refused, Retryable, Unknown
from .app import SimulatedApp
from .faults import INVOKE, Fault, Place
from .provider import ProviderRule, SimulatedProvider

OF_A_MESSAGE: Final = frozenset({"claim", "read_snapshot", "reserve_cap", "release_cap", "settle", "release"})
"""The calls of the table while a message is sent."""

NOT_PORTS: Final = frozenset(
    {"due_shards", "next_due_at", "due_messages", "brands", "due_changes", "rows", "expire", "breakers"}
    | {"preferences_key"}
)
"""What the simulation itself calls, and what makes no request."""


class Faults(Protocol):
    """The fault of each call, if it has one: a mapping, or a draw."""

    def get(self, place: Place, /) -> Fault | None:
        """Return the fault of a call; each time the same."""


class Crash(BaseException):
    """The process ends here: no ``except Exception`` catches it, as none catches the end of a Lambda function."""


class Unreachable(Exception):
    """A call failed, or its answer was lost."""


class Call(NamedTuple):
    """The number of a call of a port, and its instant: the number orders what happens at one instant."""

    at: datetime
    number: int


class Handover(NamedTuple):
    """A message that a provider took, or may have taken. ``read`` is the call of the snapshot that it rests on.

    ``is_merged``: it was named in the text of another message.
    """

    call: Call
    read: Call
    message: ScheduledMessage
    outcome: Outcome
    is_merged: bool = False


@dataclass(slots=True)
class History:
    """What happened. ``started`` and ``done`` name each event by its id, ``faults`` each fault that did something.

    ``claimed``: when each message was claimed last, also one whose row is gone.
    """

    started: dict[str, Call] = field(default_factory=dict)
    done: dict[str, Call] = field(default_factory=dict)
    handovers: list[Handover] = field(default_factory=list)
    faults: list[tuple[datetime, Fault]] = field(default_factory=list)
    events: list[tuple[datetime, OutEvent]] = field(default_factory=list)
    rows: list[ScheduledMessage] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    places: list[Place] = field(default_factory=list)
    planned: dict[MessageKey, ScheduledMessage] = field(default_factory=dict)
    deleted: dict[MessageKey, tuple[datetime, ScheduledMessage]] = field(default_factory=dict)
    claimed: dict[MessageKey, datetime] = field(default_factory=dict)


class _Store:
    """Each call of a port's method goes through ``around``."""

    def __init__(self, store: MemoryStore, around: Callable[..., Any]) -> None:
        self._store, self._around = store, around

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in NOT_PORTS or not callable(found):
            return found
        around = self._around

        def call(*args: Any, **kwargs: Any) -> Any:
            return around(name, lambda: found(*args, **kwargs), args)

        self.__dict__[name] = call
        return call


class FaultyApp(SimulatedApp):
    """``meanwhile`` has what a fault lets happen in the middle: ``tick``, ``event``, and ``receipt`` of a message."""

    def __init__(
        self,
        environment: Mapping[str, str],
        history: History,
        faults: Faults,
        meanwhile: Mapping[str, Callable[..., None]],
        *,
        rules: Sequence[ProviderRule] = (),
        seed: int = 0,
        report: Callable[[datetime, Mapping[str, Any]], None],
    ) -> None:
        super().__init__(environment, rules=rules, seed=seed, wait=self._pass, report=report)
        self.history = history
        self.deadline: datetime | None = None
        self.where = ""
        self.skew = timedelta()
        self._faults = faults
        self._meanwhile = meanwhile
        self._counts: Counter[tuple[str, str]] = Counter()
        self._read_at: dict[MessageKey, Call] = {}
        self._former: defaultdict[Any, dict[Any, None]] = defaultdict(dict)

    @cached_property
    def store(self) -> Any:
        return _Store(self.history.store, self.around)

    @cached_property
    def provider(self) -> Any:
        return _Provider(
            self, SimulatedProvider(self._rules, self.clock, self._chance, self._report, self.request_delivery)
        )

    def clock(self) -> datetime:
        return self.now + self.skew

    def _pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def call(self) -> Call:
        return Call(self.now, len(self.history.places))

    def record_events(self, events: Sequence[OutEvent]) -> None:
        if any(event.type == "MessageSendRequested" for event in events):
            super().record_events(events)  # by this route, the request is the provider's call, which fails as such
        elif events:
            self.around("publish", lambda: super(FaultyApp, self).record_events(events), (events,))

    def expire(self, before: datetime) -> None:
        """Delete what expired before that instant; a row that is gone has had its time."""
        rows = {row.key: row for row in self.history.store.rows()}
        self.history.store.expire(before)
        for key in rows.keys() - {row.key for row in self.history.store.rows()}:
            self.history.deleted[key] = (self.now, rows[key])

    def around(self, name: str, call: Callable[[], Any], args: Sequence[Any]) -> Any:
        """Make one call of a port, with the fault that strikes it."""
        where = place_of(args[0].key) if name in OF_A_MESSAGE or name == "send" else self.where
        self._counts[where, name] += 1
        place = Place(where, name, self._counts[where, name])
        began = self.call()
        self.history.places.append(place)
        if name == "read_snapshot":
            self._read_at[args[0].key] = began
        if name == "write_plan":
            call = self._noting_plan(call, args[0])
        if name == "claim":
            call = self._noting_claim(call)
        fault = self._faults.get(place)
        if name in ("due", "audience_page"):
            return self._indexed(fault, name, call, args)
        if fault is None:
            return call()
        self.history.faults.append((self.now, fault))
        return self._with_fault(fault, name, call, args)

    def _noting_plan(self, write: Callable[[], Any], message: ScheduledMessage) -> Callable[[], Any]:
        def noting() -> Any:
            written = write()
            self.history.planned[message.key] = message
            return written

        return noting

    def _noting_claim(self, claim: Callable[[], Any]) -> Callable[[], Any]:
        def noting() -> Any:
            claimed = claim()
            if claimed:
                self.history.claimed[claimed.key] = self.now
            return claimed

        return noting

    def handed_over(self, outbound: OutboundMessage, accept: Callable[[], Outcome]) -> Outcome:
        """Make the provider's call, and note each message of its text if the provider took it or may have."""
        call = self.call()

        def take() -> Outcome:
            outcome = accept()
            if isinstance(outcome, Accepted | Unknown):
                self.history.handovers += [
                    Handover(
                        call, self._read_at[message.key], message, outcome, is_merged=message is not outbound.message
                    )
                    for message in (outbound.message, *outbound.others)
                ]
            return outcome

        outcome: Outcome = self.around("send", take, (outbound.message,))
        return outcome

    def _with_fault(self, fault: Fault, name: str, call: Callable[[], Any], args: Sequence[Any]) -> Any:
        if name == "send" and (answer := _ANSWERS.get(fault.kind)):
            return answer
        kind, _, after = fault.kind.partition("_")
        if name == "publish" and kind == "partial":
            events = args[0]
            super().record_events(events[: len(events) // 2])
            raise NotPublished(len(events) - len(events) // 2, len(events))
        if not after:
            self._before(kind, name, fault)
        answer = call()
        if name == "send" and kind in ("unknown", "receipt"):
            return self._answered(fault.kind, args[0], answer)
        if kind == "lost":
            raise _lost(name)
        if after:
            self._before(kind, name, fault)
        return answer

    def _answered(self, kind: str, message: ScheduledMessage, answer: Outcome) -> Outcome:
        if kind == "unknown":
            return Unknown("timed out")
        if isinstance(answer, Accepted):
            self._meanwhile["receipt"](message, answer)
        if kind == "receipt_lost":
            raise _lost("send")
        return answer

    def _before(self, kind: str, name: str, fault: Fault) -> None:
        match kind:
            case "error" | "throttled":
                raise _lost(name)
            case "crash":
                raise Crash
            case "slow":
                self.now += fault.time
            case "ttl":
                self.expire(self.now - fault.time)
            case "skew" if name == INVOKE:
                self.skew = fault.time
            case "tick" | "event":
                kept = self.deadline, self.where, self.skew
                self._meanwhile[kind]()
                self.deadline, self.where, self.skew = kept
            case _:
                pass  # a kind that does nothing at this call
        if self.deadline and self.now > self.deadline:
            raise Crash

    def _indexed(self, fault: Fault | None, name: str, call: Callable[[], Any], args: Sequence[Any]) -> Any:
        """Read an index: ``stale`` leaves out its newest entry, ``backward`` brings back what it had before."""
        is_of_index = fault is not None and fault.kind in ("stale", "backward")
        if fault and not is_of_index:
            self.history.faults.append((self.now, fault))
            return self._with_fault(fault, name, call, args)
        answer = call()
        entries = [each for page in answer for each in page] if name == "due" else list(answer.recipients)
        known = self._former[name, *args[:3]]
        former = [entry for entry in known if entry not in entries]
        known |= dict.fromkeys(entries)
        if fault:
            self.history.faults.append((self.now, fault))
            entries = [*former, *entries] if fault.kind == "backward" else entries[:-1]
        return iter([entries] if entries else []) if name == "due" else answer._replace(recipients=entries)


@dataclass(slots=True)
class _Provider:
    app: FaultyApp
    simulated: SimulatedProvider

    def send(self, provider: str, outbound: OutboundMessage) -> Outcome:
        return self.app.handed_over(outbound, lambda: self.simulated.send(provider, outbound))


_ANSWERS: Final[Mapping[str, Outcome]] = {"throttled": Retryable("throttled"), "refused": Refused("refused")}


def _lost(name: str) -> Exception:
    return NotPublished(1, 1) if name == "publish" else Unreachable(name)


def place_of(key: MessageKey) -> str:
    """Return the name of a message in ``Fault``'s ``in``."""
    return f"{key.pk.rpartition('#')[2]} {key.sk.removeprefix('SCHEDULED#')}"
