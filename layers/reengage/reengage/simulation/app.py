"""The app as it is deployed, with a store in memory, a clock of its own, and providers that are simulated."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

from ..adapters.eventbridge import send_requested, without
from ..adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from ..adapters.memory import MemoryStore
from ..adapters.wording import FluentWording
from ..bootstrap.explain import ExplainApp
from ..bootstrap.ingest import IngestApp
from ..bootstrap.plan import PlanApp
from ..bootstrap.record import RecordApp
from ..bootstrap.webhook import WebhookApp
from ..domain.events_out import OutEvent
from ..domain.instants import iso
from ..domain.pause import RECHECK, stored_pauses
from ..domain.policy import PolicyInput
from ..domain.reasons import PRIORITIES, SendGroup
from ..errors import InvalidEvent, ReengageError
from ..ports import OutboundMessage, Outcome, ProviderChannel, Wording
from ..settings import (
    ExplainSettings,
    InboundSettings,
    PlanSettings,
    RecordSettings,
    ScheduledSettings,
    WebhookSettings,
)
from ..usecases.send_due_messages import send_shards
from ..usecases.send_message import Sender
from .archive import HOST, SECRETS
from .provider import ProviderRule, SimulatedProvider

RUN_TIME: Final = timedelta(seconds=55)
"""The time limit of the scheduled functions in template.yaml."""

NO_RESOURCE: Final = "simulation"
"""The name of each resource: a simulation does not use them."""

SIMULATED: Final = {
    "TABLE_NAME": NO_RESOURCE,
    "EVENT_BUS_NAME": NO_RESOURCE,
    "REJECTED_EVENTS_QUEUE_URL": NO_RESOURCE,
    "PREFERENCES_KEY_SECRET": NO_RESOURCE,
    "PROVIDER_SECRETS": NO_RESOURCE,
    "WEBHOOK_URL": f"https://{HOST}/",
}
"""What a stack's resources give to the functions' environment."""

SEND_GROUPS: Final[tuple[SendGroup, ...]] = ("appointments", "trials", "updates")


@dataclass(frozen=True, slots=True)
class _Route:
    """One provider of the route table."""

    app: "SimulatedApp"
    provider: str

    def send(self, outbound: OutboundMessage) -> Outcome:
        return self.app.provider.send(self.provider, outbound)


class CallRefused(ReengageError):
    """The webhook endpoint refused a provider's call of the story."""


@dataclass(slots=True)
class _Bus:
    """``put_events`` of botocore's ``events`` client: what the webhook function puts on the bus."""

    entries: list[Mapping[str, str]] = field(default_factory=list)

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:  # noqa: N803 - botocore's name
        self.entries += Entries
        return {"Entries": [{"EventId": "simulated"} for _ in Entries]}


@dataclass(frozen=True, kw_only=True)
class SimulatedSettings(
    InboundSettings, ScheduledSettings, PlanSettings, RecordSettings, WebhookSettings, ExplainSettings
):
    """What all functions have together that a simulation runs."""


class SimulatedApp(IngestApp, PlanApp, RecordApp, WebhookApp, ExplainApp):
    """``events`` are the events out that no one has taken yet, each with the instant at which it was published.

    ``wait`` is called when the app would sleep, with seconds. ``report`` gets the receipts of the providers.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        rules: Sequence[ProviderRule],
        seed: int,
        wait: Callable[[float], None],
        report: Callable[[datetime, Mapping[str, Any]], None],
        store: MemoryStore | None = None,
    ) -> None:
        self._restored = store
        self.environment = environment
        self.now = datetime.min.replace(tzinfo=UTC)
        self.events: list[tuple[datetime, OutEvent]] = []
        self.texts: dict[str, str] = {}
        self.errors: list[Exception] = []
        self._rules = rules
        self._chance = random.Random(seed)  # nosec B311 # a simulation that can be repeated
        self._wait = wait
        self._report = report
        self._ids = 0

    @cached_property
    def settings(self) -> SimulatedSettings:
        return SimulatedSettings.from_env({**SIMULATED, **self.environment})

    def configure(self, environment: Mapping[str, str]) -> None:
        """Run with this environment from now on, as after a deployment."""
        self.environment = environment
        for built in ("settings", "channel", "_providers"):
            self.__dict__.pop(built, None)

    @cached_property
    def store(self) -> MemoryStore:  # type: ignore[override] # the deployed app names DynamoDB's
        return MemoryStore() if self._restored is None else self._restored

    def _provider(self, provider: str, channel: str) -> ProviderChannel:
        return self._providers.setdefault((provider, channel), _Route(self, provider))

    def _read_keys(self, provider: str) -> None:
        """Read nothing: simulated providers have no keys."""

    @cached_property
    def provider(self) -> SimulatedProvider:
        return SimulatedProvider(self._rules, self.clock, self._chance, self._report, self.request_delivery)

    def request_delivery(self, provider: str, outbound: OutboundMessage) -> None:
        """Publish the request to deliver a message, if its route leads over the bus."""
        if provider == "eventbridge":
            self.record_events([send_requested(outbound)])

    def publish(self, events: Sequence[OutEvent]) -> None:
        without(self.settings.events_left_out, self.record_events)(events)

    def record_events(self, events: Sequence[OutEvent]) -> None:
        self.events += [(self.now, event) for event in events]

    def keep_rejected(self, event: Any, errors: Sequence[str]) -> None:
        """Keep nothing: the story has the event, and EventRejected has the errors."""

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._wait(seconds)

    def new_id(self) -> str:
        self._ids += 1
        return f"simulated-{self._ids}"

    def render(self, context: PolicyInput) -> Wording:
        wording = FluentWording(self.settings.default_locale)(context)
        self.texts[context.message.scheduled_message_id] = wording.text
        return wording

    def deliver(self, envelope: Mapping[str, Any]) -> None:
        """Invoke the function that the bus's rules give the event to; one that is invalid is rejected."""
        event = dict(envelope)
        try:
            match event.get("detail-type"):
                case "MessageReceived":
                    message = inbound_message(event)
                case "DeliveryReported":
                    self._record(event)
                    return
                case _:
                    self.handle(parse_business_event(event))
                    return
        except InvalidEvent as error:
            self.reject(event, error)
            return
        self.ingest(message, milliseconds=int(RUN_TIME / timedelta(milliseconds=1)))

    def _record(self, event: Any) -> dict[str, Any]:
        try:
            return {"result": self.record(receipt(event))}
        except InvalidEvent as error:
            return self.reject(event, error)

    def count_refused(self, endpoint: str, status: int) -> None:
        """Log nothing: the output has the events alone, and the summary counts the refused calls."""

    def called(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Invoke the function that a provider calls, or SNS; return the events that it puts on the bus."""
        self._webhook_bus.entries.clear()
        if "Records" in event:
            self.record_notification(event, self._record)
        elif (status := self.webhook(event)["statusCode"]) != HTTPStatus.OK:
            self.errors.append(CallRefused(str(status)))
        return [
            {
                "time": iso(self.now),
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "detail": json.loads(entry["Detail"]),
            }
            for entry in self._webhook_bus.entries
        ]

    def provider_secrets(self) -> Mapping[str, str]:  # type: ignore[override] # the deployed app has a property
        return SECRETS

    @cached_property
    def _webhook_bus(self) -> "_Bus":
        return _Bus()

    def _client(self, service: str, *, total_max_attempts: int = 3) -> Any:  # noqa: ARG002 - there are no attempts
        if service != "events":
            raise AssertionError(f"a simulation has no {service}")
        return self._webhook_bus

    _lean = _client  # the bus has a client without botocore

    def tick(self) -> bool:
        """Invoke the scheduled functions, one after another, each for all that is due now.

        Return whether anything changed: a message was sent, moved or ended, or an event was published.
        """
        before = (self.store.due_changes, len(self.events), self._ids)
        first = int(self.now.timestamp()) // 60
        for send_group in SEND_GROUPS:
            sender: Sender | None = None
            for priority in PRIORITIES[send_group]:
                if shards := list(self.store.due_shards(send_group, priority, self.now, first=first)):
                    sender = sender or self._sender(send_group, RUN_TIME)
                    self.errors += send_shards(sender, priority, shards, self.now + RUN_TIME).errors
        return before != (self.store.due_changes, len(self.events), self._ids)

    def next_change(self) -> datetime | None:
        """Return when a tick may do more than the last one, which changed nothing.

        That is when another message is due, a pause ends, a held message expires, or a breaker allows a probe.
        """
        edges = [message.valid_until - 2 * RECHECK for message in self.store.due_messages(self.now)]
        for brand in self.store.brands():
            edges += [pause.until for pause in stored_pauses(brand.pauses) if pause.until]
        edges += [breaker.probe_at for breaker in self.store.breakers()]
        later = [edge for edge in edges if edge > self.now]
        due_at = self.store.next_due_at(after=self.now)
        return min([*later, *([due_at] if due_at else [])], default=None)
