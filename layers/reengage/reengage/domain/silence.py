"""A provider that sends no receipts: the messages since its last one, by provider and channel."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

ENOUGH: Final = 3
"""Messages without a receipt that make a silence: a single phone may be switched off."""


@dataclass(frozen=True, slots=True)
class Silence:
    """``messages`` were handed over from ``since`` on without a receipt. They are counted up to ``ENOUGH``."""

    since: datetime
    messages: int

    def with_more(self, messages: int) -> "Silence":
        return replace(self, messages=min(self.messages + messages, ENOUGH))

    def lasted(self, now: datetime) -> timedelta:
        """Return how long it has lasted; ``None`` before there are enough messages."""
        return now - self.since if self.messages >= ENOUGH else timedelta()


def silence_of(provider: str, channel: str) -> str:
    """Return the name of a provider's silence on a channel."""
    return f"{provider}/{channel}"
