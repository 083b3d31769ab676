"""By whom, and as whom, a brand speaks on a channel: which provider delivers, and from which number or account."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from .contact import CHANNELS, Contact, parse_brand, parse_channel

PROVIDERS: Final = MappingProxyType(
    {
        "aws": frozenset({"sms", "rcs", "whatsapp"}),
        "meta": frozenset({"whatsapp"}),
        "twilio": frozenset({"sms", "whatsapp"}),
        "webhook": frozenset(CHANNELS),
        "eventbridge": frozenset(CHANNELS),
    }
)
"""The providers, and the channels that each of them serves."""


class Route(NamedTuple):
    """``identity`` is what the provider calls the sender: a number, an agent, a phone number's id, an URL."""

    brand: str
    channel: str
    provider: str
    identity: str

    @property
    def is_reported(self) -> bool:
        """Whether the provider names just this in what it tells of. It tells a number where the identity is a pool, a
        sender id or an ARN, and something of its own where it is an URL.
        """
        if self.channel == "whatsapp" and self.provider in ("meta", "aws"):
            return True
        return _bare(self.identity).isdecimal() or self.identity.startswith(("rcs-", "MG"))


@dataclass(frozen=True, slots=True)
class Routes:
    """What the parameter ``Routes`` says. A brand and channel without a row are delivered by whoever is on the bus."""

    routes: Sequence[Route] = ()

    def of(self, contact: Contact) -> Route:
        """The way out to a contact."""
        for route in self.routes:
            if (route.brand, route.channel) == (contact.brand, contact.channel):
                return route
        return Route(contact.brand, contact.channel, "eventbridge", "")

    def brand_of(self, provider: str, channel: str, identity: str) -> str | None:
        """The brand that was written to: by the identity, or, where ``Routes`` cannot have that, by there being but one
        brand. ``None`` where it cannot be told: another's number must open nobody's window.
        """
        there = [route for route in self.routes if (route.provider, route.channel) == (provider, channel)]
        named = [route.brand for route in there if _bare(route.identity) == _bare(identity)]
        brands = dict.fromkeys(named or [route.brand for route in there if not route.is_reported])
        return next(iter(brands)) if len(brands) == 1 else None


def parse_routes(text: str) -> Routes:
    """``acme-dental/sms/aws/+12025550100,acme-dental/whatsapp/meta/106540352242922``; empty for none.

    Raises ``ValueError`` that says what is wanted.
    """
    routes = Routes([_parse(row.strip()) for row in text.split(",")] if text else [])
    if len({(route.brand, route.channel) for route in routes.routes}) < len(routes.routes):
        raise ValueError("expected one route for each brand and channel")
    return routes


def _parse(row: str) -> Route:
    match row.split("/", 3):
        case [brand, channel, provider, identity] if identity:
            if provider == "webhook" and not identity.startswith("https://"):
                raise ValueError("expected an https URL as the identity of a webhook")
            if parse_channel(channel) in PROVIDERS.get(provider, ()):
                return Route(parse_brand(brand), channel, provider, identity)
    served = "; ".join(f"{provider} for {', '.join(sorted(channels))}" for provider, channels in PROVIDERS.items())
    raise ValueError(f"expected routes such as acme-dental/sms/aws/+12025550100; providers are {served}")


def _bare(identity: str) -> str:
    """Providers write their own numbers with and without a plus sign, and Twilio with the channel before it."""
    return identity.removeprefix("whatsapp:").removeprefix("+")
