"""Frequency caps: at most so many messages of a category to one contact in any period of a given length."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from .contact import Contact
from .instants import Duration

DAY: Final = timedelta(days=1)

_CAP: Final = re.compile(r"([1-9]\d{0,3})/(P.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``limit`` messages in any ``period``; a day counts 24 hours, since the period rolls."""

    limit: int
    period: timedelta

    def __str__(self) -> str:
        return f"{self.limit}/{Duration(days=self.period.days, exact=self.period % DAY)}"


@dataclass(frozen=True, slots=True)
class CapUsage:
    """The cap usage of one contact in one category: when each message was sent, by its id.

    ``revision`` counts the writes, for compare-and-set. For a person with several addresses, ``holder`` is the
    address whose row is written, and ``elsewhere`` has what the rows of the others hold.
    """

    taken: Mapping[str, datetime] = field(default_factory=dict)
    revision: int = 0
    elsewhere: Mapping[str, datetime] = field(default_factory=dict)
    holder: Contact | None = None

    @classmethod
    def of_person(cls, rows: "Mapping[Contact, CapUsage]") -> "CapUsage":
        """Combine the rows of a person's addresses. All of them agree which row is written, so none counts twice."""
        holder = min(rows, key=lambda contact: contact.key)
        others = [row.taken for contact, row in rows.items() if contact != holder]
        elsewhere = {message_id: at for taken in others for message_id, at in taken.items()}
        return replace(rows[holder], elsewhere=elsewhere, holder=holder)

    def instants(self, *, but: str | None = None) -> tuple[datetime, ...]:
        """Return when the messages were sent; ``but`` is left out: a message never counts against itself."""
        return tuple(at for message_id, at in {**self.elsewhere, **self.taken}.items() if message_id != but)

    def take(self, scheduled_message_id: str, at: datetime, retention: timedelta) -> "CapUsage":
        """Return the usage with a message reserved at ``at``, and without those that no period of ``retention`` counts
        any more.
        """
        kept = {message_id: sent_at for message_id, sent_at in self.taken.items() if sent_at > at - retention}
        return replace(self, taken={**kept, scheduled_message_id: at})

    def remove(self, scheduled_message_id: str) -> "CapUsage":
        """Return this usage without the message, which was not sent; unchanged if it was not counted."""
        if scheduled_message_id not in self.taken:
            return self
        others = {message_id: at for message_id, at in self.taken.items() if message_id != scheduled_message_id}
        return replace(self, taken=others)


def parse_caps(text: str) -> tuple[Cap, ...]:
    """``1/P1D,3/P7D``; empty for none. Raises ``ValueError`` that names what is expected."""
    return tuple(_parse(part) for part in text.split(",")) if text else ()


def _parse(text: str) -> Cap:
    wanted = "expected caps such as 1/P1D,3/P7D: how many messages in any period of days or hours"
    match = _CAP.fullmatch(text)
    if match is None:
        raise ValueError(wanted)
    duration = Duration.parse(match[2])
    period = timedelta(days=duration.days) + duration.exact
    if duration.months or period <= timedelta():
        raise ValueError(wanted)
    return Cap(int(match[1]), period)


def free_at(caps: Sequence[Cap], sends: Collection[datetime], now: datetime) -> datetime | None:
    """Return the first instant at which every cap allows a message, given the instants of earlier sends; ``None``:
    now.

    A message that was sent exactly one period ago no longer counts.
    """
    waits = []
    for cap in caps:
        counted = sorted(instant for instant in sends if instant > now - cap.period)
        if len(counted) >= cap.limit:
            # The period is left one by one, the oldest first: a place is free once fewer than the limit remain.
            waits.append(counted[-cap.limit] + cap.period)
    return max(waits, default=None)


def longest(caps: Sequence[Cap]) -> timedelta:
    """Return how long a send must be remembered."""
    return max((cap.period for cap in caps), default=timedelta())
