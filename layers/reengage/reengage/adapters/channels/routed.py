"""The one channel that the sender uses: it passes each message to the provider of its brand and channel."""

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError

from reengage.domain.contact import Contact
from reengage.domain.routes import Routes
from reengage.errors import ReengageError
from reengage.ports import OutboundMessage, Outcome, ProviderChannel, Retryable


@dataclass(frozen=True, slots=True)
class RoutedChannel:
    """``provider`` returns the adapter of a provider for a channel, built at its first call; ``read_keys`` reads the
    provider's keys, if it needs any.
    """

    routes: Routes
    provider: Callable[[str, str], ProviderChannel]
    read_keys: Callable[[str], None] = lambda _: None

    def prepare(self, contact: Contact) -> Retryable | None:
        route = self.routes.of(contact)
        try:
            self.provider(route.provider, route.channel)
            self.read_keys(route.provider)
        except ReengageError as error:
            return Retryable(f"{route.provider} cannot be made ready: {error}")
        except BotoCoreError as error:
            return Retryable(f"{route.provider} cannot be made ready: {type(error).__name__}")
        return None

    def send(self, outbound: OutboundMessage) -> Outcome:
        route = self.routes.of(outbound.message.contact)
        return self.provider(route.provider, route.channel).send(outbound)
