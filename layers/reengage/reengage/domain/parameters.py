"""Parse the parameters that both the stack and ``BrandConfigured`` can set."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, get_args

from .contact import CHANNELS, parse_channel
from .instants import Duration
from .reasons import REASONS

WhenWindowWillClose = Literal["wait", "pull_forward", "warn"]
"""What to do with a message that is due after the window closes."""

MAX_RATE: Final = 9999
FRACTION: Final = 2
"""Digits of a rate after the point."""


def parse_length(text: str) -> timedelta:
    """Parse a positive length of days and hours, such as P7D. Raises ``ValueError``."""
    duration = Duration.parse(text)
    length = timedelta(days=duration.days) + duration.exact
    if duration.months or length <= timedelta():
        raise ValueError("expected an ISO 8601 duration of days or hours, such as P7D")
    return length


def parse_when_closing(text: str) -> dict[str, WhenWindowWillClose]:
    """Parse ``warn,trial_follow_up=pull_forward``: the choice for all reasons (key ``""``), then for some reasons.

    Raises ``ValueError``.
    """
    for_all, *others = (part.strip() for part in text.split(","))
    own = {reason: choice for reason, _, choice in (other.partition("=") for other in others)}
    known: Mapping[str, WhenWindowWillClose] = {name: name for name in get_args(WhenWindowWillClose)}
    if not {for_all, *own.values()} <= known.keys() or not own.keys() <= REASONS.keys():
        raise ValueError(
            f"expected one of {', '.join(known)}, and for a reason that differs its own, such as "
            "wait,trial_follow_up=warn"
        )
    return {reason: known[choice] for reason, choice in {"": for_all, **own}.items()}


def parse_rates(text: str) -> dict[str, float]:
    """Parse ``sms=1,whatsapp=80``: messages a second for each channel. Raises ``ValueError``."""
    rates = {}
    for part in text.split(","):
        channel, _, rate = part.strip(" ").partition("=")
        if not _is_rate(rate):
            raise ValueError(f"expected messages a second for some of {', '.join(CHANNELS)}, such as sms=1,whatsapp=80")
        rates[parse_channel(channel)] = float(rate)
    return rates


def _is_rate(text: str) -> bool:
    """Accept up to four digits, and ``FRACTION`` after the point; not zero."""
    whole, point, fraction = text.partition(".")
    digits = all(part.isascii() and part.isdigit() for part in ([whole, fraction] if point else [whole]))
    return digits and len(whole) <= len(str(MAX_RATE)) and len(fraction) <= FRACTION and float(text) > 0
