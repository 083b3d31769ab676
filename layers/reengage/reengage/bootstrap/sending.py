"""The scheduled functions: the sender with the providers' channels."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from ..domain.contact import SHARDS
from ..observability import count_measures, count_segments, count_unsent
from ..settings import ScheduledSettings, SendSettings
from .adapters import MAKING, ProviderKeys, StoreAdapters

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..adapters.channels.connections import KeptConnections
    from ..adapters.channels.http import Http
    from ..adapters.channels.routed import RoutedChannel
    from ..domain.message_to_test import MessageToTest
    from ..domain.policy_input import PolicyInput
    from ..domain.reasons import SendGroup
    from ..ports import ProviderChannel, Render, Wording
    from ..usecases.fan_out import FanOut
    from ..usecases.send_message import Sender

SHUTDOWN_MARGIN: Final = timedelta(seconds=15)
"""In this time before its time limit, a run starts nothing new: it settles what it claimed, and writes its answer."""

CLAIM_GRACE_PERIOD: Final = timedelta(seconds=60)
"""A claim that is older than the run's time limit plus this is abandoned."""

WITH_KEYS: Final = frozenset({"meta", "twilio", "webhook"})
"""The providers that are called with a key of ours; AWS knows us by our role."""


class SendingApp(StoreAdapters, ProviderKeys):
    """Build the sender, and the channel of each provider at its first message."""

    @cached_property
    def settings(self) -> SendSettings:
        return SendSettings.from_env()

    def send_due(
        self,
        send_group: SendGroup,
        *,
        milliseconds: int,
        shards: Collection[int] = range(SHARDS),
        fan_out: FanOut | None = None,
    ) -> dict[str, Any]:
        """Send what is due in one send group, within the time that the invocation has left."""
        from ..usecases.run_measures import RunMeasures, watch
        from ..usecases.send_due_messages import send_due_messages, summary

        time_left, measures = timedelta(milliseconds=milliseconds), RunMeasures()
        sender = self._sender(send_group, time_left)
        try:
            stop_at = self.clock() + time_left - SHUTDOWN_MARGIN
            tally = send_due_messages(sender, stop_at=stop_at, measures=measures, shards=shards, fan_out=fan_out)
            brands, is_watch = self.settings.routes.brands, send_group == "updates" and len(shards) == SHARDS
            watch(measures, brands, store=self.store, now=self.clock(), is_watch=is_watch)
        finally:
            self._kept.close()
            now = self.clock()
            count_measures(
                late_by=measures.late_by(now),
                paused_for=measures.paused_for(now),
                silent_for=measures.silent_for,
                all_held_for_timezone=measures.all_held_for_timezone(),
            )
        return count_unsent(summary(tally))

    def send_test(self, test: MessageToTest, *, milliseconds: int) -> dict[str, Any]:
        """Send a test message, and return its outcome."""
        from dataclasses import replace

        from ..usecases.send_test import send_test

        sender = self._sender("updates", timedelta(milliseconds=milliseconds))
        sender = replace(sender, settings=replace(sender.settings, caps={}))
        return send_test(
            test,
            sender=lambda store, publish: replace(sender, store=store, publish=publish),
            store=self.store,
            publish=self.publish,
            test_numbers=self.settings.test_numbers,
            now=self.clock(),
        )

    def sleep(self, seconds: float) -> None:
        """Wait until the rate limiter's next send slot."""
        time.sleep(seconds)

    @cached_property
    def render(self) -> Render:
        from ..adapters.sms_segments import sms_segments
        from ..adapters.wording import FluentWording

        return count_segments(FluentWording(self.settings.default_locale), sms_segments)

    def _render(self, context: PolicyInput) -> Wording:
        """Render a message's text; a run without a message does not build ``render``."""
        return self.render(context)

    @cached_property
    def channel(self) -> RoutedChannel:
        from ..adapters.channels.routed import RoutedChannel

        return RoutedChannel(self.settings.routes, self._provider, self._prepare)

    def sending(self, service: str) -> Any:
        """Return a client that makes one attempt a call, by ``Http``, and trusts what all clients of AWS trust.

        A hidden retry after a lost answer would send the message twice.
        """
        from ..adapters.channels.aws_client import over
        from ..adapters.channels.http import Http

        http = Http(context=self._aws.trusting_tls(), kept=self._kept)
        return over(http, self._lean(service, total_max_attempts=1))

    @cached_property
    def http(self) -> Http:
        """Trust the system's certificates and those of ``AWS_CA_BUNDLE``."""
        import ssl

        from ..adapters.channels.http import Http

        context = ssl.create_default_context()
        if bundle := self._aws.ca_bundle:
            context.load_verify_locations(bundle)
        return Http(context=context, kept=self._kept)

    @cached_property
    def _kept(self) -> KeptConnections:
        from ..adapters.channels.connections import KeptConnections

        return KeptConnections()

    def _sender(self, send_group: SendGroup, time_left: timedelta) -> Sender:
        from ..usecases.rate_limiter import RateLimiter
        from ..usecases.route_health import RouteHealth
        from ..usecases.send_message import Sender

        # Before anything else: a bad value must not fail a message that is already claimed.
        settings = self.settings
        rate_limiter = RateLimiter(
            store=self.store,
            clock=self.clock,
            pause=self.sleep,
            per_second=settings.messages_per_second,
            stop_at=self.clock() + time_left - SHUTDOWN_MARGIN,
        )
        return Sender(
            send_group=send_group,
            settings=settings.policy,
            store=self.store,
            channel=self.channel,
            render=self._render,
            publish=self.publish,
            clock=self.clock,
            new_id=self.new_id,
            claim_ttl=time_left + CLAIM_GRACE_PERIOD,
            health=RouteHealth(self.store, self.clock),
            opt_out_scope=settings.opt_out_scope,
            rate_limiter=rate_limiter,
            brand_rate_limiter=rate_limiter.wait_for,
            route_position=settings.routes.position,
        )

    def _provider(self, provider: str, channel: str) -> ProviderChannel:
        """Build an adapter once, at its first use: most stacks have one or two, and building a client takes long."""
        from .providers import PROVIDERS

        with MAKING:
            if (provider, channel) not in self._providers:
                self._providers[provider, channel] = PROVIDERS[provider, channel](self)
            return self._providers[provider, channel]

    @cached_property
    def _providers(self) -> dict[tuple[str, str], ProviderChannel]:
        return {}

    def _prepare(self, provider: str) -> None:
        """Load the texts and read the provider's keys: between a decision and its send, this would take too long."""
        with MAKING:
            _ = self.render
        self._read_keys(provider)

    def _read_keys(self, provider: str) -> None:
        if provider in WITH_KEYS:
            self.provider_secrets()


class ScheduledApp(SendingApp):
    """What a schedule runs each minute."""

    @cached_property
    def settings(self) -> ScheduledSettings:
        return ScheduledSettings.from_env()

    def run(self, send_group: SendGroup, event: Any, context: Any) -> dict[str, Any]:
        """Execute one invocation of a scheduled function: by its schedule, or by another run for ``shards``."""
        milliseconds, shards = context.get_remaining_time_in_millis(), shards_of(event)
        fan_out = None if shards else self._fan_out(context.function_name)
        return self.send_due(send_group, milliseconds=milliseconds, shards=shards or range(SHARDS), fan_out=fan_out)

    def _fan_out(self, function_name: str) -> FanOut | None:
        from ..usecases.fan_out import FanOut

        def invoke(shards: Sequence[int]) -> None:
            payload = json.dumps({"shards": list(shards)}).encode()
            self._client("lambda").invoke(FunctionName=function_name, InvocationType="Event", Payload=payload)

        most = self.settings.send_runs
        return FanOut(invoke, most) if most > 1 else None


def shards_of(event: Any) -> list[int]:
    """Return the shards that another run asks this one to send; empty for the schedule's own event."""
    shards = event.get("shards") if isinstance(event, dict) else None
    return [shard for shard in shards if shard in range(SHARDS)] if isinstance(shards, list) else []


@cache
def app() -> ScheduledApp:
    return ScheduledApp()
