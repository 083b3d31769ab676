"""Routes: the provider that delivers for a brand on a channel, and the number or account that it sends from."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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

_COMMON: Final = ("sms", "rcs", "whatsapp")
"""The channels that an error suggests."""

_AGENT: Final = re.compile(r"[\w.-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
"""The service id of an RCS agent: not a URL, and not AWS's name of an agent."""

_NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}")
"""E.164 with its plus sign: Meta's ids of phone numbers have digits only."""

SELF_DELIVERED: Final = frozenset({"webhook", "eventbridge"})
"""The brand's own system delivers, through any provider; that provider's calls may still arrive here."""


class Route(NamedTuple):
    """One row of ``Routes``.

    ``sender_id`` is the provider's name of the sender: a number, an agent, a phone number's id or a URL.
    ``aliases`` are further addresses that people write to: the numbers of a pool, or the agent behind a URL.
    ``rank``: 0 for the first route of a brand and channel, 1 for the second.
    """

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.channel}/{self.sender_id}"

    brand: str
    channel: str
    provider: str
    sender_id: str
    aliases: tuple[str, ...] = ()
    rank: int = 0

    def matches(self, sender_id: str) -> bool:
        return _normalise(sender_id) in map(_normalise, (self.sender_id, *self.aliases))

    @property
    def is_known_by_name(self) -> bool:
        """Return true if the provider's calls contain one of these names.

        Otherwise the calls contain another name: a number if the sender id is a pool, a text or an ARN.
        If it is a URL, they contain the provider's own name.
        """
        if self.aliases or (self.channel == "whatsapp" and self.provider in ("meta", "aws")):
            return True
        return _normalise(self.sender_id).isdecimal() or self.sender_id.startswith(("rcs-", "MG"))


@dataclass(frozen=True, slots=True)
class Routes:
    """The parameter ``Routes``. A brand and channel without a row go to the event bus."""

    routes: Sequence[Route] = ()
    _by_channel: Mapping[tuple[str, str], Sequence[Route]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_channel: dict[tuple[str, str], list[Route]] = {}
        for route in sorted(self.routes, key=lambda route: route.rank):
            by_channel.setdefault((route.brand, route.channel), []).append(route)
        object.__setattr__(self, "_by_channel", by_channel)

    def position(self, contact: Contact) -> int:
        """Return the place of the contact's first row; without a row, a place after all rows."""
        rows = self._by_channel.get((contact.brand, contact.channel))
        return (
            next(number for number, route in enumerate(self.routes) if route is rows[0]) if rows else len(self.routes)
        )

    def of(self, contact: Contact) -> Route:
        """Return the contact's first route."""
        return self.all_of(contact)[0]

    def all_of(self, contact: Contact) -> Sequence[Route]:
        """Return the contact's routes: the first, then the one behind it, if there is one."""
        key = (contact.brand, contact.channel)
        return self._by_channel.get(key) or [Route(*key, "eventbridge", "")]

    @property
    def brands(self) -> frozenset[str]:
        return frozenset(route.brand for route in self.routes)

    def number_of(self, brand: str, channel: str) -> str | None:
        """Return the number that people write to on the channel; ``None`` if its route names no number."""
        for route in self._by_channel.get((brand, channel), ()):
            for name in (route.sender_id, *route.aliases):
                if _NUMBER.fullmatch(name.removeprefix("whatsapp:")):
                    return name.removeprefix("whatsapp:")
        return None

    def agent_of(self, brand: str) -> str | None:
        """Return the service id of the brand's RCS agent, such as ``agent@rbm.goog``, if a route names it."""
        names = (
            name for route in self._by_channel.get((brand, "rcs"), ()) for name in (route.sender_id, *route.aliases)
        )
        return next((name for name in names if _AGENT.fullmatch(name)), None)

    def may_send(self, provider: str, brand: str, channel: str, *identities: str) -> bool:
        """Return whether a provider's message with these identities may be the brand's.

        Not if only other brands' routes have an identity. A brand without a route of the provider may have had one when
        it sent the message.
        """
        able = {provider, *SELF_DELIVERED}
        rows = [route for route in self.routes if route.channel == channel and route.provider in able]
        named = {route.brand for route in rows if any(map(route.matches, filter(None, identities)))}
        return not named or brand in named

    def brand_of(self, provider: str, channel: str, *identities: str) -> str | None:
        """Return the brand that was written to: the brand of the first identity that ``Routes`` contains.

        If ``Routes`` contains no identity, return the only brand without names. Return ``None`` if the brand is not
        clear: a message to another business's number must not open a window.
        """
        candidates = [
            route for route in self.routes if route.channel == channel and route.provider in {provider, *SELF_DELIVERED}
        ]
        named = ({route.brand for route in candidates if route.matches(sender_id)} for sender_id in identities)
        nameless = {route.brand for route in candidates if route.provider == provider and not route.is_known_by_name}
        brands = next(filter(None, named), nameless)
        return next(iter(brands)) if len(brands) == 1 else None


def parse_routes(text: str) -> Routes:
    """Parse ``acme-dental/sms/aws/+12025550100,acme-dental/whatsapp/meta/106540352242922``; empty for no routes.

    Aliases follow the identity: ``acme-dental/sms/aws/pool-1|+12025550100|+12025550101``. A second route follows
    ``>``: ``acme-dental/sms/aws/+12025550100>twilio/+12025550101``. Raises ``ValueError`` with the row's number, its
    text and how to fix it.
    """
    rows = [row.strip() for row in text.split(",")] if text else []
    routes: list[tuple[int, Route]] = []
    for number, row in enumerate(rows, 1):
        try:
            routes += [(number, route) for route in _parse_row(row)]
        except ValueError as error:
            raise ValueError(f'row {number} ("{row}"): {error}') from error
    _check_one_route_each(routes, rows)
    _check_aliases(routes, rows)
    return Routes([route for _, route in routes])


def parse_valid_routes(text: str) -> Routes:
    """Parse the rows that are right and leave out the others, so that a STOP to a right row's number is found."""
    routes: list[Route] = []
    for row in text.split(","):
        with suppress(ValueError):
            routes += _parse_row(row.strip())
    return Routes(routes)


def _check_one_route_each(routes: Sequence[tuple[int, Route]], rows: Sequence[str]) -> None:
    first: dict[tuple[str, str], int] = {}
    for number, route in routes:
        earlier = first.setdefault((route.brand, route.channel), number)
        if earlier != number:
            raise ValueError(
                f'row {number} ("{rows[number - 1]}"): row {earlier} is for the same brand and channel; '
                "keep one row for each, with a second route behind >"
            )


def _check_aliases(routes: Sequence[tuple[int, Route]], rows: Sequence[str]) -> None:
    """A message to an identity must belong to one brand."""
    for (_, route), (number, other) in permutations(routes, 2):
        if route.brand == other.brand or route.channel != other.channel:
            continue
        for name in (*route.aliases, *([route.sender_id] if route.is_known_by_name else [])):
            if other.matches(name):
                raise ValueError(
                    f'row {number} ("{rows[number - 1]}"): {name} is used by two brands: {route.brand}, {other.brand}; '
                    "give it to one brand"
                )


def _parse_row(row: str) -> list[Route]:
    first, *others = row.split(">")
    route = _parse(first)
    if len(others) > 1:
        raise ValueError("more than two routes; keep the first and one behind it")
    return [route, *(_parse(f"{route.brand}/{route.channel}/{other}")._replace(rank=1) for other in others)]


def _parse(row: str) -> Route:
    brand, channel, provider, called = (row.split("/", 3) + [""] * 3)[:4]
    sender_id, *aliases = called.split("|")
    if channel not in CHANNELS:
        raise ValueError(f'unknown channel "{channel}"; use {_or(_COMMON)}')
    if provider not in PROVIDERS:
        raise ValueError(f'unknown provider "{provider}"; use {_or(PROVIDERS)}')
    if channel not in PROVIDERS[provider]:
        able = [name for name, channels in PROVIDERS.items() if channel in channels]
        raise ValueError(f"{provider} does not deliver {channel}; use {_or(able)}")
    if provider == "webhook" and not sender_id.startswith("https://"):
        raise ValueError("the identity of a webhook must be an https URL, such as https://acme.example/send")
    if not all([sender_id, *aliases]):
        raise ValueError("no identity; write brand/channel/provider/identity, such as acme/sms/aws/+12025550100")
    return Route(parse_brand(brand), parse_channel(channel), provider, sender_id, tuple(aliases))


def _or(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _normalise(sender_id: str) -> str:
    """Remove what providers add to a name.

    Numbers come with or without a plus sign. Twilio prepends the channel; Google appends a domain to agents.
    """
    return sender_id.removeprefix("whatsapp:").removeprefix("+").removesuffix("@rbm.goog")
