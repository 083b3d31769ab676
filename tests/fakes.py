"""Stand-ins for the ports, which tests can set, script and break; and builders of what comes in.

The store is the app's own in-memory one (``adapters/memory.py``), held to the contract of the real one.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, cast

from reengage.adapters.memory import MemoryStore
from reengage.domain.commands import ConfigureBrand, EraseContact, RecordChoice, RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.events_out import OutEvent
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.reasons import PRIORITIES, SendGroup
from reengage.domain.subject import (
    EVENT_TYPES,
    OF_ONE_CONTACT,
    OF_THE_BRAND,
    BusinessEvent,
    Subject,
    SubjectRef,
    version_of,
)
from reengage.errors import NotPublished
from reengage.ports import (
    Accepted,
    Channel,
    DueKey,
    OutboundMessage,
    Outcome,
    Publish,
    Render,
    Retryable,
    Store,
    Wording,
)
from reengage.usecases.configure_brand import configure_brand
from reengage.usecases.erase_contact import erase_contact
from reengage.usecases.ingest_message import ingest_message
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.openers import Invite
from reengage.usecases.plan_messages import Planned, plan_messages
from reengage.usecases.recheck_window import recheck_contacts
from reengage.usecases.record_choice import record_choice
from reengage.usecases.record_delivery import Recorded, record_delivery
from reengage.usecases.route_health import AlwaysUsable, RouteHealth
from reengage.usecases.send_due_messages import send_due_messages, send_shards, summary
from reengage.usecases.send_message import Sender
from reengage.usecases.store_thread import Ingested

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When most stories begin: a Monday, a month away from any clock change in Europe."""

RETENTION = timedelta(days=365)
CLAIM_LASTS = timedelta(seconds=120)

Around = Callable[[str, Callable[[], Any]], Any]
"""Called for each call of a port, with the method's name and a function that makes the call."""


class Crash(BaseException):
    """The process ends here: no ``except Exception`` catches it, as none catches a timeout of Lambda."""


class Unreachable(Exception):
    """The other side was not reachable, or its response was lost."""


@dataclass(slots=True)
class Clock:
    """Show ``now`` until it is set; with ``step`` it advances by that much after each reading."""

    now: datetime = NOON
    step: timedelta = timedelta()

    def __call__(self) -> datetime:
        shown = self.now
        self.now += self.step
        return shown

    def forward(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@dataclass(slots=True)
class Bus:
    """A publisher that remembers its events. The next ``failing`` events cannot be published."""

    events: list[OutEvent] = field(default_factory=list)
    failing: int = 0

    def __call__(self, events: Sequence[OutEvent]) -> None:
        failed = min(self.failing, len(events))
        self.failing -= failed
        self.events += events[failed:]
        if failed:
            raise NotPublished(failed, len(events))

    def details(self, detail_type: str) -> list[Mapping[str, Any]]:
        return [event.detail for event in self.events if event.type == detail_type]

    def types(self) -> list[str]:
        return [event.type for event in self.events]


@dataclass(slots=True)
class Provider:
    """A channel that remembers each message, its instant and its outcome, and answers by ``script``, then accepts."""

    clock: Clock
    script: deque[Outcome | BaseException] = field(default_factory=deque)
    handed: list[OutboundMessage] = field(default_factory=list)
    handed_at: list[datetime] = field(default_factory=list)
    answers: list[Outcome | BaseException] = field(default_factory=list)
    blocked_by: Callable[[Contact], Retryable | None] = lambda _: None

    def routes(self, contact: Contact) -> Sequence[str]:
        return [f"fake/{contact.channel}/{contact.brand}"]

    def prepare(self, contact: Contact, _route: str) -> Retryable | None:
        return self.blocked_by(contact)

    def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:
        self.handed.append(outbound)
        self.handed_at.append(self.clock.now)
        answer = self.script.popleft() if self.script else Accepted("fake", f"provider-{len(self.handed)}")
        self.answers.append(answer)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def render(context: PolicyInput) -> Wording:
    """A text that shows the input of the sender."""
    track = context.track
    values = {name: field.value for name, field in track.fields.items() if name != "contact"} if track else {}
    return Wording(f"{context.message.reason} {sorted(values.items())}", "en", context.message.reason)


class _Wrapped:
    """Pass every call of every method through ``around``."""

    def __init__(self, port: object, around: Around) -> None:
        self._port, self._around = port, around

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)
        if name in ("prepare", "routes", "keyed_hash"):  # they make no call
            return method  # type: ignore[no-any-return] # of the wrapped store
        return lambda *args, **kwargs: self._around(name, lambda: method(*args, **kwargs))


@dataclass(slots=True)
class Fault:
    """Break the ``nth`` call (from 1) among those named ``only`` (all, if it is empty), once.

    ``after`` means that the call still has its effect, and only the answer is lost.
    """

    error: Callable[[], BaseException] = Crash
    nth: int = 1
    after: bool = False
    only: str = ""
    calls: list[str] = field(default_factory=list)

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        if self.only and name != self.only:
            return call()
        self.calls.append(name)
        if len(self.calls) != self.nth:
            return call()
        if self.after:
            call()
        raise self.error()

    @property
    def struck(self) -> bool:
        return len(self.calls) >= self.nth


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the use cases."""

    store: Store
    bus: Publish
    channel: Channel


@dataclass(slots=True)
class World:
    """The app with a settable clock, a bus and a provider that remember, and nothing outside."""

    clock: Clock = field(default_factory=Clock)
    store: MemoryStore = field(default_factory=MemoryStore)
    bus: Bus = field(default_factory=Bus)
    policy: PolicySettings = field(default_factory=PolicySettings)
    ingest: IngestSettings = field(default_factory=lambda: IngestSettings(RETENTION))
    provider: Provider = field(init=False)
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    has_breakers: bool = False
    workers: int = 4
    """Of a run. A real run has 16, but starting threads would cost most of a small run's time."""
    invite: Invite | None = None
    wording: Render | None = None

    def __post_init__(self) -> None:
        self.provider = Provider(self.clock)

    def ports(self, around: Around | None = None) -> Ports:
        """The store, the bus and the channel; if ``around`` is given, each call passes through it."""
        if around is None:
            return Ports(self.store, self.bus, self.provider)

        def publish(events: Sequence[OutEvent]) -> None:
            if events:  # a real bus makes no call for an empty list
                around("publish", lambda: self.bus(events))

        return Ports(
            cast("Store", _Wrapped(self.store, around)), publish, cast("Channel", _Wrapped(self.provider, around))
        )

    def receive(self, message: InboundMessage, around: Around | None = None) -> Ingested:
        ports = self.ports(around)
        return ingest_message(
            message,
            settings=self.ingest,
            store=ports.store,
            publish=ports.bus,
            clock=self.clock,
            send_now=self.sender("updates", around).send_now,
            recheck_contacts=partial(recheck_contacts, settings=self.policy, store=ports.store, clock=self.clock),
            bind=partial(self.plan, around=around),
        )

    def plan(self, event: BusinessEvent, around: Around | None = None) -> Planned:
        ports = self.ports(around)
        return plan_messages(
            event,
            store=ports.store,
            publish=ports.bus,
            clock=self.clock,
            settings=self.policy,
            invite=self.invite,
        )

    def record_choice(self, made: RecordChoice, around: Around | None = None) -> bool:
        ports = self.ports(around)
        scope = self.ingest.opt_out_scope
        return record_choice(made, store=ports.store, publish=ports.bus, opt_out_scope=scope)

    def configure(self, command: ConfigureBrand, around: Around | None = None) -> bool:
        return configure_brand(command, store=self.ports(around).store, clock=self.clock)

    def erase(self, command: EraseContact, around: Around | None = None) -> int:
        ports = self.ports(around)
        return erase_contact(command, store=ports.store, publish=ports.bus, clock=self.clock)

    def report(self, receipt: RecordDelivery, around: Around | None = None) -> Recorded:
        ports = self.ports(around)
        scope = self.ingest.opt_out_scope
        return record_delivery(receipt, store=ports.store, publish=ports.bus, clock=self.clock, opt_out_scope=scope)

    def sender(self, send_group: SendGroup = "appointments", around: Around | None = None) -> Sender:
        ports = self.ports(around)
        return Sender(
            send_group=send_group,
            settings=self.policy,
            store=ports.store,
            channel=ports.channel,
            render=self.wording or render,
            publish=ports.bus,
            clock=self.clock,
            new_id=lambda: f"claim-{next(self.ids)}",
            claim_ttl=CLAIM_LASTS,
            health=RouteHealth(ports.store, self.clock) if self.has_breakers else AlwaysUsable(),
        )

    def run_sender(
        self,
        send_group: SendGroup = "appointments",
        around: Around | None = None,
        *,
        budget: timedelta = timedelta(seconds=50),
    ) -> dict[str, Any]:
        """Run one send group, and return the summary."""
        return summary(
            send_due_messages(self.sender(send_group, around), stop_at=self.clock.now + budget, workers=self.workers)
        )

    def states(self) -> list[tuple[str, str, str | None]]:
        """Step, state and rule of every scheduled message, in order of due time."""
        return [(row.offset, str(row.state), row.rule) for row in self.store.rows()]


def worker(sender: Sender, shard: int, stop_at: datetime) -> tuple[Counter[tuple[str, str]], list[Exception]]:
    """Process one shard of a run in the caller's own thread; return the tally and the errors to raise."""
    tally: Counter[tuple[str, str]] = Counter()
    errors: list[Exception] = []
    for priority in PRIORITIES[sender.send_group]:
        drained = send_shards(sender, priority, [shard], stop_at)
        tally += drained.tally
        errors += drained.errors
    return tally, errors


def due_now(store: Store, send_group: SendGroup, shard: int, now: datetime) -> list[DueKey]:
    """Return everything in one shard's index, by priority."""
    return [
        due
        for priority in PRIORITIES[send_group]
        for page in store.due(send_group, priority, shard, now)
        for due in page
    ]


ANNA = Contact("acme-dental", "sms", "+4915112345678")


def inbound(
    sent_at: datetime = NOON,
    *,
    contact: Contact = ANNA,
    message_id: str | None = None,
    text: str = "Is Friday free?",
    **facts: Any,
) -> InboundMessage:
    """Return a message as a chat provider delivers it; by default its id is made from its instant."""
    return InboundMessage(contact, message_id or f"SM{sent_at:%Y%m%d%H%M%S%f}", sent_at, JUST_NOW, text, **facts)


JUST_NOW = datetime(9000, 1, 1, tzinfo=UTC)
"""No event arrives later than the reader's clock, so this one arrives when it is read."""


def apply_events(subject: Subject, *events: BusinessEvent) -> Subject:
    """Return the subject after these events, applied one after the other."""
    for event in events:
        changed = subject.apply(event)
        subject = changed if changed is subject else replace(changed, revision=subject.revision + 1)
    return subject


def business(
    event_type: str,
    occurred_at: datetime = NOON,
    *,
    subject_id: str = "A-1001",
    contact: Contact | None = ANNA,
    brand: str = "acme-dental",
    **fields: Any,
) -> BusinessEvent:
    """Return an event as the inbound adapter parses it; instants among ``fields`` become text."""
    terms = EVENT_TYPES[event_type]
    values = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in fields.items()}
    if terms.at:
        values.setdefault(terms.at, occurred_at.isoformat())
    own = contact if terms.kind in OF_ONE_CONTACT else None
    return BusinessEvent(
        type=event_type,
        subject=SubjectRef(contact.brand if contact else brand, terms.kind, subject_id, own),
        version=version_of(occurred_at, terms.rank),
        arrived_at=JUST_NOW,
        contact=None if terms.kind in OF_THE_BRAND else contact,
        fields=values,
    )


def receipt(outbound: OutboundMessage, status: Status, at: datetime = NOON, **more: str) -> RecordDelivery:
    """Return a business system's report of a message that it delivered."""
    message = outbound.message
    return RecordDelivery(message.recipient, message.scheduled_message_id, status, at, **more)
