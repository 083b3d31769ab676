"""What runs share of routes and channels: send slots, circuit breakers, and providers that send no receipts."""

from datetime import timedelta
from typing import Final

from pynamodb.attributes import NumberAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.breaker import Breaker
from reengage.domain.conversation import expiry
from reengage.domain.silence import Silence

from .base import Item

SEND_SLOT: Final = "PACE"
BREAKER: Final = "BREAKER"
SILENCE: Final = "SILENCE"

BREAKER_RETENTION: Final = timedelta(days=7)
"""How long a breaker is kept after its last probe: the parameter may not have the route any more."""

SILENCE_RETENTION: Final = timedelta(days=30)
"""How long a silence is kept after its beginning: the provider may not be in use any more."""


class SendSlotItem(Item, discriminator="pace"):
    """``free_at``: the end of the channel's last reserved send slot, in epoch microseconds."""

    free_at = NumberAttribute()


class BreakerItem(Item, discriminator="breaker"):
    """The open circuit breaker of a route."""

    opened_at = InstantAttribute()
    probe_at = InstantAttribute()


class SilenceItem(Item, discriminator="silence"):
    """A provider that took messages since its last receipt. The name is the sort key."""

    since = InstantAttribute()
    messages = NumberAttribute()


def breaker_item(route: str, breaker: Breaker) -> BreakerItem:
    return BreakerItem(
        f"{BREAKER}#{route}",
        BREAKER,
        opened_at=breaker.opened_at,
        probe_at=breaker.probe_at,
        expires_at=expiry(breaker.probe_at + BREAKER_RETENTION),
    )


def to_breaker(item: Item | None) -> Breaker | None:
    return Breaker(item.opened_at, item.probe_at) if isinstance(item, BreakerItem) else None


def silence_item(name: str, silence: Silence) -> SilenceItem:
    return SilenceItem(
        SILENCE,
        name,
        since=silence.since,
        messages=silence.messages,
        expires_at=expiry(silence.since + SILENCE_RETENTION),
    )


def to_silence(item: Item | None) -> Silence | None:
    return Silence(item.since, int(item.messages)) if isinstance(item, SilenceItem) else None
