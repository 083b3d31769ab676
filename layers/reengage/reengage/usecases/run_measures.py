"""What a run measures for the alarms, beside its summary: how late it is, and what keeps it from sending."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from reengage.domain.brand import STACK
from reengage.domain.message import State
from reengage.domain.pause import Pause, stored_pauses
from reengage.domain.reasons import REASONS
from reengage.domain.silence import silence_of
from reengage.ports import BrandReader, DueKey, SilenceStore
from reengage.usecases.outcome import Handled
from reengage.usecases.receipt_watch import note_handed_over

AFTER_TIMEZONE: Final = "quiet_hours"
"""The rule that only a message with a known time zone reaches."""

HANDED_OVER: Final = (State.SENT, State.FAILED, State.UNCONFIRMED)

WATCH_EVERY: Final = timedelta(minutes=10)
"""How often the pauses and silences are read: a query, and one read for the stack and for each brand of Routes."""


@dataclass(slots=True)
class RunMeasures:
    """Not thread-safe: its run guards it.

    ``oldest_left``: when the oldest message was due that the run left. ``timezone_unknown``, ``timezone_known``: how
    many messages were held for an unknown time zone, and how many passed that rule. ``paused_since``: the start of the
    oldest pause that lasts, of those that the run knows. ``handed_over``: messages that a provider took, by the name of
    its silence. ``silent_for``: how long a provider has sent no receipt.
    """

    oldest_left: datetime | None = None
    timezone_unknown: int = 0
    timezone_known: int = 0
    paused_since: datetime | None = None
    handed_over: Counter[str] = field(default_factory=Counter)
    silent_for: timedelta = timedelta()

    def left(self, due: DueKey) -> None:
        """Count a message that is still due. Announcements may take hours, so they do not count as late."""
        reason = REASONS.get(due.key.sk.split("#", 2)[1])
        if reason and not reason.audience:
            self.oldest_left = min(self.oldest_left or due.due_at, due.due_at)

    def handled(self, due: DueKey, handled: Handled) -> None:
        """Count what happened to a message."""
        rule = handled.event.detail.get("rule") if handled.event else None
        if handled.outcome == "left":
            self.left(due)
        elif handled.outcome == "held":
            self.timezone_unknown += rule == "unknown_timezone"
            self.timezone_known += rule == AFTER_TIMEZONE
        elif handled.outcome in HANDED_OVER and handled.message:
            self.timezone_known += handled.message.reason_spec.category != "reply"
            if handled.message.state is State.SENT and handled.message.provider:
                self.handed_over[silence_of(handled.message.provider, handled.message.recipient.channel)] += 1

    def paused(self, pauses: Iterable[Pause], now: datetime) -> None:
        """Count the pauses that still last."""
        for pause in pauses:
            if not pause.until or now < pause.until:
                self.paused_since = min(self.paused_since or pause.at, pause.at)

    def late_by(self, now: datetime) -> timedelta:
        """How long ago the oldest message was due that is still due."""
        return now - self.oldest_left if self.oldest_left else timedelta()

    def paused_for(self, now: datetime) -> timedelta:
        return now - self.paused_since if self.paused_since else timedelta()

    def all_held_for_timezone(self) -> bool | None:
        """Whether every message was held for an unknown time zone; ``None`` if no message depended on one."""
        if self.timezone_known:
            return False
        return True if self.timezone_unknown else None

    def add(self, other: "RunMeasures") -> None:
        """Add what another priority of the same run measured."""
        self.oldest_left = _earlier(self.oldest_left, other.oldest_left)
        self.paused_since = _earlier(self.paused_since, other.paused_since)
        self.timezone_unknown += other.timezone_unknown
        self.timezone_known += other.timezone_known
        self.handed_over += other.handed_over


class WatchStore(BrandReader, SilenceStore, Protocol):
    """What is read for the alarms, beside what a run reads."""


def watch(measures: RunMeasures, brands: Iterable[str], *, store: WatchStore, now: datetime, is_watch: bool) -> None:
    """Measure providers without receipts after a run that sent something.

    ``is_watch``: the run is that of the function that also watches every ``WATCH_EVERY``, even if nothing was due. It
    then reads the pauses of the stack and of these brands.
    """
    is_time = is_watch and now.minute % (WATCH_EVERY // timedelta(minutes=1)) == 0
    if measures.handed_over or is_time:
        measures.silent_for = note_handed_over(measures.handed_over, store=store, now=now)
    for brand in (STACK, *sorted(brands)) if is_time else ():
        row = store.read_brand(brand)
        measures.paused(stored_pauses(row.pauses if row else None), now)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((instant for instant in (one, other) if instant), default=None)
