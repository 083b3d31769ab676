"""By whom, and as whom, a brand speaks on a channel: which provider delivers, and from which number or account."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import Final, NamedTuple

from .contact import CHANNELS, Contact, parse_brand, parse_channel

PROVIDERS: Final = MappingProxyType(
    {
        "aws": frozenset({"sms", "rcs", "whatsapp"}),
        "meta": frozenset({"whatsapp"}),
        "twilio": frozenset({"sms", "whatsapp"}),
        "webhook": frozenset({"sms", "rcs", "whatsapp"}),
        "eventbridge": frozenset(CHANNELS),
    }
)
"""The providers, and the channels that each of them serves."""

SELF_DELIVERED: Final = frozenset({"webhook", "eventbridge"})
"""A system of the brand's own delivers, by whatever provider; what that provider tells may still come in here."""


class Route(NamedTuple):
    """``identity`` is what the provider calls the sender: a number, an agent, a phone number's id, an URL. ``names``
    are what else people write to: the numbers of a pool, the agent behind an URL.
    """

    brand: str
    channel: str
    provider: str
    sender_id: str
    aliases: tuple[str, ...] = ()

    def matches(self, sender_id: str) -> bool:
        return _normalise(sender_id) in map(_normalise, (self.sender_id, *self.aliases))

    @property
    def is_known_by_name(self) -> bool:
        """Whether what the provider tells of bears one of these names. Else it tells a number where the identity is a
        pool, a sender id or an ARN, and something of its own where it is an URL.
        """
        if self.aliases or (self.channel == "whatsapp" and self.provider in ("meta", "aws")):
            return True
        return _normalise(self.sender_id).isdecimal() or self.sender_id.startswith(("rcs-", "MG"))


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

    def brand_of(self, provider: str, channel: str, *identities: str) -> str | None:
        """The brand that was written to: by the first of its names that ``Routes`` has, or, where it has none of them,
        by there being but one brand. ``None`` where it cannot be told: another's number must open nobody's window.
        """
        there = [
            route for route in self.routes if route.channel == channel and route.provider in {provider, *SELF_DELIVERED}
        ]
        named = ({route.brand for route in there if route.matches(sender_id)} for sender_id in identities)
        nameless = {route.brand for route in there if route.provider == provider and not route.is_known_by_name}
        brands = next(filter(None, named), nameless)
        return next(iter(brands)) if len(brands) == 1 else None


def parse_routes(text: str) -> Routes:
    """``acme-dental/sms/aws/+12025550100,acme-dental/whatsapp/meta/106540352242922``; empty for none. Further names
    stand behind the identity: ``acme-dental/sms/aws/pool-1|+12025550100|+12025550101``.

    Raises ``ValueError`` that says what is wanted.
    """
    routes = Routes([_parse(row.strip()) for row in text.split(",")] if text else [])
    if len({(route.brand, route.channel) for route in routes.routes}) < len(routes.routes):
        raise ValueError("expected one route for each brand and channel")
    for route, other in permutations(routes.routes, 2):
        aliases = [*route.aliases, *([route.sender_id] if route.is_known_by_name else [])]
        if route.brand != other.brand and route.channel == other.channel and any(map(other.matches, aliases)):
            raise ValueError("expected numbers, agents and further names that are one brand's alone")
    return routes


def _parse(row: str) -> Route:
    brand, channel, provider, called = (row.split("/", 3) + [""] * 3)[:4]
    sender_id, *aliases = called.split("|")
    if provider == "webhook" and not sender_id.startswith("https://"):
        raise ValueError("expected an https URL as the identity of a webhook")
    if all([sender_id, *aliases]) and parse_channel(channel) in PROVIDERS.get(provider, ()):
        return Route(parse_brand(brand), channel, provider, sender_id, tuple(aliases))
    served = "; ".join(f"{provider} for {', '.join(sorted(channels))}" for provider, channels in PROVIDERS.items())
    raise ValueError(f"expected routes such as acme-dental/sms/aws/+12025550100; providers are {served}")


def _normalise(sender_id: str) -> str:
    """Providers write their own numbers with and without a plus sign, Twilio with the channel before it, and Google its
    agents with a domain behind them.
    """
    return sender_id.removeprefix("whatsapp:").removeprefix("+").removesuffix("@rbm.goog")
