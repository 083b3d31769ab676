"""The one channel that the sender knows: it hands each message to whoever delivers for its brand."""

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError

from reengage.domain.routes import Routes
from reengage.errors import ReengageError
from reengage.ports import Channel, OutboundMessage, Outcome, Retryable


@dataclass(frozen=True, slots=True)
class RoutedChannel:
    """``provider`` answers with the adapter of a provider for a channel; asked for when first needed."""

    routes: Routes
    provider: Callable[[str, str], Channel]

    def send(self, outbound: OutboundMessage) -> Outcome:
        route = self.routes.of(outbound.message.contact)
        try:
            channel = self.provider(route.provider, route.channel)
        except (ReengageError, BotoCoreError) as error:
            return Retryable(f"{route.provider} cannot be made: {type(error).__name__}")
        return channel.send(outbound)
