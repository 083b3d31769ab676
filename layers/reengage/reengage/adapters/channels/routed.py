"""The one channel that the sender uses: it passes each message to the provider of its route."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from botocore.exceptions import BotoCoreError

from reengage.domain.contact import Contact
from reengage.domain.routes import Route, Routes
from reengage.errors import ReengageError
from reengage.ports import OutboundMessage, Outcome, ProviderChannel, Retryable


@dataclass(frozen=True, slots=True)
class RoutedChannel:
    """``provider`` returns the adapter of a provider for a channel, built at its first call; ``make_ready``
    loads the texts, and reads the provider's keys, if it needs any.
    """

    table: Routes
    provider: Callable[[str, str], ProviderChannel]
    make_ready: Callable[[str], None] = lambda _: None

    def routes(self, contact: Contact) -> Sequence[str]:
        return [route.name for route in self.table.all_of(contact)]

    def prepare(self, contact: Contact, route: str = "") -> Retryable | None:
        found = self._named(contact, route)
        try:
            self.provider(found.provider, found.channel)
            self.make_ready(found.provider)
        except ReengageError as error:
            return Retryable(f"{found.provider} cannot be made ready: {error}")
        except BotoCoreError as error:
            return Retryable(f"{found.provider} cannot be made ready: {type(error).__name__}")
        return None

    def send(self, outbound: OutboundMessage, route: str = "") -> Outcome:
        found = self._named(outbound.message.recipient, route)
        channel = self.provider(found.provider, found.channel)
        return channel.send(replace(outbound, sender_id=found.sender_id) if found.rank else outbound)

    def _named(self, contact: Contact, name: str) -> Route:
        """Return the contact's route of that name; without a name, its first one."""
        return next(route for route in self.table.all_of(contact) if name in ("", route.name))
