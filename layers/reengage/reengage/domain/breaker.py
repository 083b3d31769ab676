"""A route's circuit breaker: while it is open, only one probe a minute is handed over by that route."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

OPENS_AFTER: Final = 3
"""Failures in a row, in one run, that open a breaker."""

PROBE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Breaker:
    """An open breaker. At ``probe_at`` one message may try the route; if it is accepted, the breaker closes."""

    opened_at: datetime
    probe_at: datetime

    @classmethod
    def opened(cls, at: datetime) -> "Breaker":
        return cls(at, at + PROBE_EVERY)

    def after_probe(self, at: datetime) -> "Breaker":
        return Breaker(self.opened_at, at + PROBE_EVERY)
