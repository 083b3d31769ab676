"""The one place that builds adapters: lazily, and once for each execution environment."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from .adapters.aws_clients import AwsClients
from .adapters.eventbridge import EventBridgeChannel, EventBus, only_outcomes
from .domain import routes
from .errors import InvalidEvent
from .observability import (
    LEFT,
    NOT_PUBLISHED,
    RETRIED,
    SMS_OVER_THREE_SEGMENTS,
    count,
    count_measures,
    count_refused_webhook,
    observed,
)
from .ports import KeepRejected, ProviderChannel, Publish, Wording
from .settings import Settings

# Each use case, and each adapter that only some functions need, is imported by the method that needs it: a cold start
# pays for nothing else.
if TYPE_CHECKING:
    from .adapters.channels.http import Http
    from .adapters.channels.routed import RoutedChannel
    from .adapters.dynamodb import DynamoDBStore
    from .adapters.inbound.questions import Question
    from .adapters.inbound.relay import Relay
    from .adapters.secrets import ProviderSecrets
    from .domain.commands import (
        Command,
        ConfigureBrand,
        EraseContact,
        LinkContact,
        MoveContact,
        PauseSending,
        RecordAgentReply,
        RecordChoice,
        RecordDelivery,
        ResumeSending,
    )
    from .domain.contact import Contact
    from .domain.conversation import InboundMessage
    from .domain.message import ScheduledMessage
    from .domain.policy import PolicyInput, PolicySettings
    from .domain.reasons import SendGroup
    from .domain.subject import BusinessEvent
    from .usecases.ingest_message import Ingested
    from .usecases.record_delivery import Recorded
    from .usecases.send_message import Sender

SHUTDOWN_MARGIN: Final = timedelta(seconds=15)
"""Before its time limit a run takes on nothing new: what is in hand must be settled, and the answer written."""

CLAIM_GRACE_PERIOD: Final = timedelta(seconds=60)
"""A claim that is older than the run's time limit plus this is abandoned."""

MOST_SEGMENTS: Final = 3
"""Of an SMS; a longer one is sent, and counted by a metric."""

CONNECTIONS: Final = 8
"""Kept open to each service: one for each worker of a run (``send_due_messages.WORKERS``)."""

_MAKING: Final = Lock()
"""An adapter is made once, though a run's threads need it at the same time."""


class App:
    """The adapters of one execution environment."""

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_env()

    @cached_property
    def store(self) -> DynamoDBStore:
        from .adapters.dynamodb import DynamoDBStore

        return DynamoDBStore.connect(
            self.settings.table_name, workers=CONNECTIONS, hash_key=self.preferences_key, make_client=self._aws.table
        )

    def preferences_key(self) -> str:
        """The key that the addresses of preferences are hashed by; a run's threads all ask for it at once."""
        with _MAKING:
            return self._preferences_key

    @cached_property
    def _preferences_key(self) -> str:
        # Read once: with another key, no stored opt-out would be found.
        secret = self._client("secretsmanager").get_secret_value(SecretId=self.settings.preferences_key_secret)
        return str(secret["SecretString"])

    @cached_property
    def publish(self) -> Publish:
        # The bus tries again by itself, entry by entry: no more than 10 s in all, so that a run can end in time.
        bus = EventBus(self._client("events", total_max_attempts=1), self.settings.event_bus_name)
        return observed(only_outcomes(bus) if self.settings.publishes_only_outcomes else bus)

    @cached_property
    def keep_rejected(self) -> KeepRejected:
        from .adapters.rejected_events import RejectedEventsQueue

        return RejectedEventsQueue(self._client("sqs"), self.settings.rejected_events_queue_url)

    @cached_property
    def channel(self) -> RoutedChannel:
        from .adapters.channels.routed import RoutedChannel

        return RoutedChannel(self.settings.routes, self._provider, self._read_keys)

    def _provider(self, provider: str, channel: str) -> ProviderChannel:
        """Build an adapter once, at its first use: most stacks have one or two, and building a client takes long."""
        with _MAKING:
            if (provider, channel) not in self._providers:
                self._providers[provider, channel] = PROVIDERS[provider, channel](self)
            return self._providers[provider, channel]

    def _read_keys(self, provider: str) -> None:
        if provider in WITH_KEYS:
            self.provider_secrets()

    @cached_property
    def _providers(self) -> dict[tuple[str, str], ProviderChannel]:
        return {}

    @cached_property
    def provider_secrets(self) -> ProviderSecrets:
        from .adapters.secrets import ProviderSecrets

        return ProviderSecrets(self.settings.provider_secrets, self._client("secretsmanager"))

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def render(self, circumstances: PolicyInput) -> Wording:
        from reengage.adapters.sms_segments import sms_segments
        from reengage.adapters.wording import FluentWording

        wording = FluentWording(self.settings.default_locale)(circumstances)
        message = circumstances.message
        if message.contact.channel == "sms" and sms_segments(wording.text) > MOST_SEGMENTS:
            count(SMS_OVER_THREE_SEGMENTS, reason=message.reason)
        return wording

    def reject(self, event: Any, why: InvalidEvent) -> dict[str, Any]:
        from .usecases.reject_event import reject_event

        return reject_event(event, why, keep=self.keep_rejected, publish=self.publish)

    def send_due(self, send_group: SendGroup, *, milliseconds: int) -> dict[str, Any]:
        """Send what is due in one send group, within the time that the invocation has left."""
        from .usecases.run_measures import RunMeasures, watch_pauses
        from .usecases.send_due_messages import send_due_messages, summary

        time_left, measures = timedelta(milliseconds=milliseconds), RunMeasures()
        sender = self._sender(send_group, self.settings.policy, time_left)
        try:
            stop_at = self.clock() + time_left - SHUTDOWN_MARGIN
            tally = send_due_messages(sender, stop_at=stop_at, measures=measures)
            if send_group == "updates":
                watch_pauses(measures, self.settings.routes.brands, store=self.store, now=self.clock())
        finally:
            if http := self.__dict__.get("http"):  # built in this run or in an earlier one
                http.close()
            now = self.clock()
            count_measures(
                late_by=measures.late_by(now),
                paused_for=measures.paused_for(now),
                all_held_for_timezone=measures.all_held_for_timezone(),
            )
        answer = summary(tally)
        for metric, outcome in ((LEFT, "left"), (RETRIED, "retried")):
            if answer[outcome]:
                count(metric, answer[outcome])
        return answer

    def ingest(self, message: InboundMessage, *, milliseconds: int) -> Ingested:
        """Records what a person wrote, and answers where an answer is due."""
        from .usecases.ingest_message import ingest_message

        time_left = timedelta(milliseconds=milliseconds)
        return ingest_message(
            message,
            settings=self.settings.ingest,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            # Made when they are needed: a wrong parameter must not stand in the way of a STOP.
            send_now=lambda message: self._send_now(message, time_left),
            recheck_contact=self._recheck,
        )

    def _send_now(self, message: ScheduledMessage, time_left: timedelta) -> None:
        self._sender("updates", self.settings.policy, time_left).send_now(message)

    def _recheck(self, contact: Contact) -> None:
        from .usecases.recheck_window import recheck_contact

        recheck_contact(contact, settings=self.settings.policy, store=self.store, clock=self.clock)

    def handle(self, command: Command) -> dict[str, Any]:  # noqa: PLR0911 - one row for each command
        """Execute the command of a business system's event, and return the result."""
        from .domain.commands import (
            ConfigureBrand,
            EraseContact,
            LinkContact,
            MoveContact,
            PauseSending,
            RecordAgentReply,
            RecordChoice,
            ResumeSending,
        )
        from .domain.subject import BusinessEvent

        match command:
            case BusinessEvent():
                return self._plan(command)
            case RecordChoice():
                return self._choose(command)
            case ConfigureBrand():
                return self._configure(command)
            case EraseContact():
                return self._erase(command)
            case LinkContact() | MoveContact():
                return self._link(command)
            case PauseSending() | ResumeSending():
                return self._pause(command)
            case RecordAgentReply():
                return self._record_agent_reply(command)

    def _plan(self, event: BusinessEvent) -> dict[str, Any]:
        from .usecases.plan_messages import plan_messages

        settings = self.settings.policy
        return asdict(plan_messages(event, store=self.store, publish=self.publish, clock=self.clock, settings=settings))

    def _choose(self, command: RecordChoice) -> dict[str, Any]:
        from .usecases.record_choice import record_choice

        scope = self.settings.opt_out_scope
        return {"changed": record_choice(command, store=self.store, publish=self.publish, opt_out_scope=scope)}

    def _configure(self, command: ConfigureBrand) -> dict[str, Any]:
        from .usecases.configure_brand import configure_brand

        return {"changed": configure_brand(command, store=self.store)}

    def _link(self, command: LinkContact | MoveContact) -> dict[str, Any]:
        from .domain.commands import LinkContact
        from .usecases.link_contact import link_contact, move_contact

        if isinstance(command, LinkContact):
            return {"changed": link_contact(command, store=self.store, publish=self.publish)}
        return {"changed": move_contact(command, store=self.store, publish=self.publish)}

    def _erase(self, command: EraseContact) -> dict[str, Any]:
        from .usecases.erase_contact import erase_contact

        return {"erased": erase_contact(command, store=self.store, publish=self.publish, clock=self.clock)}

    def _record_agent_reply(self, command: RecordAgentReply) -> dict[str, Any]:
        from .usecases.record_agent_reply import record_agent_reply

        return {"changed": record_agent_reply(command, store=self.store, clock=self.clock)}

    def _pause(self, command: PauseSending | ResumeSending) -> dict[str, Any]:
        from .usecases.pause_sending import pause_sending

        return {"changed": pause_sending(command, store=self.store, publish=self.publish)}

    def record(self, receipt: RecordDelivery) -> Recorded:
        """Record the outcome of a message."""
        from .usecases.record_delivery import record_delivery

        return record_delivery(
            receipt,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            opt_out_scope=self.settings.opt_out_scope,
        )

    def webhook(self, event: Any) -> dict[str, Any]:
        """Answer a provider's call. Its content is on the bus by then; if that fails, the provider calls again."""
        from .adapters.inbound.webhook import handle_call

        settings = self.settings
        return handle_call(
            event,
            secrets=self.provider_secrets(),
            routes=settings.routes,
            arrived_at=self.clock(),
            public_url=settings.public_webhook_url or "",
            proxy_header=settings.webhook_proxy_secret_header or "",
            count_refused=count_refused_webhook,
            relay=self._relay,
        )

    def notified(self, event: Any) -> dict[str, Any]:
        """Handle a notification of AWS End User Messaging."""
        from .adapters.inbound.aws import handle_sns

        return handle_sns(event, routes=self.settings.routes, arrived_at=self.clock(), relay=self._relay)

    @property
    def _relay(self) -> Relay:
        from .adapters.inbound.relay import SOURCE
        from .usecases.relay_provider_call import relay_provider_call

        bus = EventBus(self._client("events", total_max_attempts=1), self.settings.event_bus_name, source=SOURCE)
        count_unpublished = partial(count, NOT_PUBLISHED)
        return partial(relay_provider_call, publish=bus, count_unpublished=count_unpublished, reject=self.reject)

    def answer(self, question: Question) -> dict[str, Any]:
        """Read the stored data and return the answer. Nothing is changed."""
        from .adapters.inbound.questions import (
            AboutBroadcast,
            AboutContact,
            AboutDay,
            AboutEvent,
            AboutStory,
            AboutSubject,
        )

        match question:
            case AboutContact(output, contact, after):
                from .usecases.explain import explain, export

                describe = partial(export, cursor=after) if output == "export" else explain
                return describe(contact, store=self.store, clock=self.clock)
            case AboutEvent(event):
                from .usecases.preview import preview

                policy = self.settings.policy
                return preview(event, store=self.store, render=self.render, settings=policy, clock=self.clock)
            case AboutBroadcast(subject):
                from .usecases.progress import progress

                return progress(subject, store=self.store, clock=self.clock)
            case AboutStory(lines):
                from .simulation.answer import answer

                return answer(lines)
            case AboutDay(brand, date):
                return self._day(brand, date)
            case AboutSubject(named, kind, subject_id):
                from .domain.subject import SubjectRef
                from .usecases.explain import explain_subject

                ref = SubjectRef(named or self._only_brand(), kind, subject_id)
                return explain_subject(ref, store=self.store, clock=self.clock)

    def _only_brand(self) -> str:
        """Return the brand of every route. Raises ``InvalidEvent`` if there are several, or none."""
        brands = sorted(self.settings.routes.brands)
        if len(brands) != 1:
            raise InvalidEvent([f"$.subject.brand: is required; brands in Routes: {', '.join(brands) or 'none'}"])
        return brands[0]

    def _day(self, brand: str, date: date) -> dict[str, Any]:
        from .usecases.day import day, day_as_json

        return day_as_json(day(brand, date, store=self.store, settings=self.settings.policy, clock=self.clock))

    def _sender(self, send_group: SendGroup, policy: PolicySettings, time_left: timedelta) -> Sender:
        from .usecases.rate_limiter import RateLimiter
        from .usecases.route_health import RouteHealth
        from .usecases.send_message import Sender

        rate_limiter = RateLimiter(
            store=self.store,
            clock=self.clock,
            pause=self.sleep,
            per_second=self.settings.messages_per_second,
            stop_at=self.clock() + time_left - SHUTDOWN_MARGIN,
        )
        return Sender(
            send_group=send_group,
            settings=policy,
            store=self.store,
            channel=self.channel,
            render=self.render,
            publish=self.publish,
            clock=self.clock,
            new_id=self.new_id,
            claim_ttl=time_left + CLAIM_GRACE_PERIOD,
            health=RouteHealth(self.store, self.clock),
            opt_out_scope=self.settings.opt_out_scope,
            rate_limiter=rate_limiter,
            brand_rate_limiter=rate_limiter.wait_for,
        )

    @cached_property
    def _aws(self) -> AwsClients:
        return AwsClients(max_connections=CONNECTIONS)

    def _client(self, service: str, *, total_max_attempts: int = 3) -> Any:
        return self._aws.client(service, total_max_attempts=total_max_attempts)

    def sending(self, service: str) -> Any:
        """A client that makes one attempt a call, by ``http``: a hidden retry after a lost answer would send twice."""
        from .adapters.channels.aws_client import over

        return over(self.http, self._client(service, total_max_attempts=1))

    @cached_property
    def http(self) -> Http:
        """Trust the system's certificates and those of ``AWS_CA_BUNDLE``."""
        from .adapters.channels.connections import KeptConnections
        from .adapters.channels.http import Http

        context = ssl.create_default_context()
        if bundle := self._aws.session.get_config_variable("ca_bundle"):
            context.load_verify_locations(bundle)
        return Http(context=context, kept=KeptConnections())


def _eventbridge(app: App) -> ProviderChannel:
    return EventBridgeChannel(EventBus(app.sending("events"), app.settings.event_bus_name), app.clock)


def _aws_sms(app: App) -> ProviderChannel:
    from .adapters.channels.aws import AwsSms

    settings = app.settings
    return AwsSms(app.sending(SMS_VOICE), settings.routes, app.clock, settings.sms_configuration_set)


def _aws_rcs(app: App) -> ProviderChannel:
    from .adapters.channels.aws import AwsRcs

    settings = app.settings
    return AwsRcs(app.sending(SMS_VOICE), settings.routes, app.clock, settings.sms_configuration_set)


def _aws_whatsapp(app: App) -> ProviderChannel:
    from .adapters.channels.aws import AwsWhatsApp

    settings = app.settings
    return AwsWhatsApp(app.sending("socialmessaging"), settings.routes, app.clock, settings.meta_api_version)


def _meta(app: App) -> ProviderChannel:
    from .adapters.channels.meta import MetaChannel

    settings = app.settings
    return MetaChannel(
        app.http, app.provider_secrets.in_hand, settings.routes, app.clock, version=settings.meta_api_version
    )


def _twilio(app: App) -> ProviderChannel:
    from .adapters.channels.twilio import TwilioChannel

    settings = app.settings
    return TwilioChannel(app.http, app.provider_secrets.in_hand, settings.routes, app.clock, settings.webhook_url)


def _webhook(app: App) -> ProviderChannel:
    from .adapters.channels.webhook import WebhookChannel

    return WebhookChannel(app.http, app.provider_secrets.in_hand, app.settings.routes, app.clock)


WITH_KEYS: Final = frozenset({"meta", "twilio", "webhook"})
"""The providers that are called with a key of ours; AWS knows us by our role."""

SMS_VOICE: Final = "pinpoint-sms-voice-v2"

PROVIDERS: Final[Mapping[tuple[str, str], Callable[[App], ProviderChannel]]] = {
    ("aws", "sms"): _aws_sms,
    ("aws", "rcs"): _aws_rcs,
    ("aws", "whatsapp"): _aws_whatsapp,
    ("meta", "whatsapp"): _meta,
    ("twilio", "sms"): _twilio,
    ("twilio", "whatsapp"): _twilio,
    **{("webhook", channel): _webhook for channel in routes.PROVIDERS["webhook"]},
    **{("eventbridge", channel): _eventbridge for channel in routes.PROVIDERS["eventbridge"]},
}
"""How each provider of ``routes.PROVIDERS`` is made for a channel."""


@cache
def app() -> App:
    return App()
