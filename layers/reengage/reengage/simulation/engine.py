"""Jump from instant to instant: the next event of the story, or the next minute at which a message is due.

Messages are sent at whole minutes, as by the deployed schedules. A message that is due at 08:00:00 is sent at
08:00:00; if it is due at 08:00:01, at 08:01:00. At one instant, the story's events come before the tick. A minute with
nothing due costs nothing, nor does a minute in which a pause holds everything that is due. Time does not pass while an
event or a tick is processed. Only if the app waits for ``MessagesPerSecond`` does the story go on meanwhile.

The same story, settings and seed give the same lines.
"""

import gc
import heapq
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..domain.instants import iso
from ..domain.message import State
from ..domain.reasons import REASONS
from ..errors import ConfigurationError
from .app import SimulatedApp
from .parameters import environment
from .story import Delivery, Setting, Story, StoryError, parse_story

if TYPE_CHECKING:
    from ..adapters.memory.restored import RestoredStore

MINUTE: Final = timedelta(minutes=1)
EXPIRES_EVERY: Final = timedelta(days=7)
"""How often expired items are deleted; DynamoDB's TTL does it within days, too."""
COLLECT_AFTER: Final = (100_000, 20, 50)
"""``gc.set_threshold``: new objects, then collections of the young and of the middle generation."""
OURS: Final = "reengage"
"""Events of this source are the app's own: its rules on the bus leave them out."""

KEYED: Final = frozenset({"preferences", "opener"})
"""The types of items that are stored under a keyed hash."""
PREFERENCES_KEY_HINT: Final = (
    "the export has opt-outs or openers under keyed hashes; add --preferences-key FILE with the value of the stack's "
    "secret PreferencesKey"
)

Line = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with how many of the story's events have been delivered, and how many there are."""

_NAMESPACE: Final = uuid.UUID("0e6f5f0a-2f57-5d0c-8a8e-1f6f0d0a3c55")


def simulate(
    story: Story | Iterable[Any],
    settings: Mapping[str, str] | None = None,
    *,
    until: datetime | None = None,
    seed: int = 0,
    preferences_key: str | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Line]:
    """Yield ``{"at", "detail-type", "detail"}`` for each event out, in order of time, then ``{"summary": {…}}``.

    ``story`` is what ``read_story`` returns, or parsed lines. ``settings`` are the stack's parameters by their names
    in the template; the story's own ``set`` lines come after them. ``until`` ends the story before its own end.
    Without an end it goes on until nothing is due any more. ``preferences_key`` is the secret by which the addresses
    of a story's items are hashed. Raises ``StoryError`` before the first line.
    """
    read = story if isinstance(story, Story) else parse_story(story)
    if until is not None:
        read = replace(read, until=min(until, read.until) if read.until else until)
    if read.faults and read.items:
        raise StoryError("a story with the items of a table cannot have faults; remove one of them")
    if read.faults:
        from .fault_run import FaultRun  # noqa: PLC0415 - it builds on this module

        return FaultRun(read, dict(settings or {}), seed).lines()
    engine = _Engine(read, dict(settings or {}), seed, on_progress, preferences_key)
    return engine.run()


def state_at(
    story: Story, settings: Mapping[str, str] | None, at: datetime, *, preferences_key: str | None = None
) -> SimulatedApp:
    """Run the story until ``at``, and return the app as it is then. Raises ``StoryError``."""
    engine = _Engine(replace(story, until=at), dict(settings or {}), 0, None, preferences_key)
    for _ in engine.run():
        pass
    engine.app.now = at
    return engine.app


@contextmanager
def few_collections() -> Iterator[None]:
    """Let the garbage collector run seldom: each full collection visits a store that only grows and has no cycles."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


class _Engine:
    def __init__(
        self,
        story: Story,
        settings: dict[str, str],
        seed: int,
        on_progress: Progress | None,
        preferences_key: str | None = None,
    ) -> None:
        self._story = story
        self._on_progress = on_progress
        self._settings = settings
        self._changes = [setting for setting in story.settings if setting.at is not None]
        self._delivered = 0
        self._reports: list[tuple[datetime, int, Mapping[str, Any]]] = []
        self._reported = 0
        self._last_tick: datetime | None = None
        self._is_idle = False
        self._last_expiry: datetime | None = None
        self._summary = Summary(story)
        for setting in story.settings:
            if setting.at is None:
                self._settings |= setting.values
        self.app = SimulatedApp(
            environment_of(self._settings),
            rules=story.rules,
            seed=seed,
            wait=self._wait,
            report=self._report,
            store=_restored(story, preferences_key) if story.items else None,
        )
        if story.start:
            self.app.now = story.start
        self._check()

    def run(self) -> Iterator[Line]:
        with few_collections():
            yield from self._run()

    def _run(self) -> Iterator[Line]:
        while (at := self._next()) is not None and (self._story.until is None or at <= self._story.until):
            self._go_to(at)
            yield from self._lines()
        yield {"summary": self._summary.value(self.app)}

    def _next(self) -> datetime | None:
        """Return the next instant at which something happens."""
        return min((at for at in (self._next_story(), self._next_tick()) if at is not None), default=None)

    def _next_story(self) -> datetime | None:
        heads = [
            *(event.at for event in self._story.events[self._delivered : self._delivered + 1]),
            *(at for at, _, _ in self._reports[:1]),
            *(setting.at for setting in self._changes[:1] if setting.at),
        ]
        return max(min(heads), self.app.now) if heads else None

    def _next_tick(self) -> datetime | None:
        due_at = self.app.next_change() if self._is_idle else self.app.store.next_due_at()
        if due_at is None:
            return None
        tick = _whole_minute(max(due_at, self.app.now))
        return max(tick, self._last_tick + MINUTE) if self._last_tick else tick

    def _go_to(self, at: datetime) -> None:
        """Set the clock to ``at``: deliver the story's events of that instant, then send what is due."""
        if self._last_expiry is None or at >= self._last_expiry + EXPIRES_EVERY:
            self._last_expiry = at
            self.app.store.expire(at)
        if self._next_story() == at:
            self._deliver_until(at)
            self._is_idle = False
        if self._next_tick() == at:
            self.app.now = at
            self._last_tick = at
            self._is_idle = not self.app.tick()

    def _deliver_until(self, at: datetime) -> None:
        """Deliver all of the story up to ``at``, in order of time."""
        while (head := self._next_story()) is not None and head <= at:
            self.app.now = max(self.app.now, head)
            if self._changes and self._changes[0].at == head:
                self._set(self._changes.pop(0))
            elif self._reports and self._reports[0][0] <= head:
                _, number, envelope = heapq.heappop(self._reports)
                self._deliver(f"report-{number}", envelope)
            else:
                event = self._story.events[self._delivered]
                self._delivered += 1
                self._deliver_story(event)
                if self._on_progress:
                    self._on_progress(self._delivered, len(self._story.events))

    def _deliver_story(self, event: Delivery) -> None:
        if not event.is_call:
            self._deliver(str(event.number), event.envelope)
            return
        for position, envelope in enumerate(self.app.called(event.envelope)):
            self._deliver(f"{event.number}-{position}", envelope)

    def _deliver(self, name: str, envelope: Mapping[str, Any]) -> None:
        """Deliver an event; one without an id gets one that depends on its place in the story alone."""
        if envelope.get("source") == OURS:
            return
        event_id = envelope.get("id") or str(uuid.uuid5(_NAMESPACE, name))
        self.app.deliver({**envelope, "id": event_id})

    def _set(self, setting: Setting) -> None:
        self._settings |= setting.values
        self.app.configure(environment_of(self._settings))
        self._check()

    def _check(self) -> None:
        """Raise ``StoryError`` for a parameter's value that the app does not take."""
        try:
            _ = self.app.settings
        except ConfigurationError as error:
            raise StoryError(f"{error}; correct the parameter") from error

    def _wait(self, seconds: float) -> None:
        """The app sleeps: the story goes on meanwhile."""
        end = self.app.now + timedelta(seconds=seconds)
        self._deliver_until(end)
        self.app.now = max(self.app.now, end)

    def _report(self, at: datetime, envelope: Mapping[str, Any]) -> None:
        self._reported += 1
        heapq.heappush(self._reports, (at, self._reported, envelope))

    def _lines(self) -> Iterator[Line]:
        """Take what was published since the last call."""
        published, self.app.events = self.app.events, []
        for at, event in published:
            detail = dict(event.detail)
            text = self.app.texts.get(message_with_text(detail))
            if text is not None and (event.type == "MessageSent" or detail.get("rule") == "dry_run"):
                detail["text"] = text
            self._summary.count(event.type, detail)
            yield {"at": iso(at), "detail-type": event.type, "detail": detail}


def environment_of(values: Mapping[str, str]) -> dict[str, str]:
    try:
        return environment(values)
    except ValueError as error:
        raise StoryError(str(error)) from error


def message_with_text(detail: Mapping[str, Any]) -> str:
    """Return the id of the message whose text a message was sent with: its own, or the one that it was merged into."""
    merged_into = detail.get("facts", {}).get("merged_into")
    return str(merged_into or detail.get("scheduled_message_id", ""))


def history(story: Story, preferences_key: str | None) -> list[Line]:
    """Return what the story's items report about the time before its start, as events. Raises ``StoryError``."""
    if not story.items:
        return []
    lines = _restored(story, preferences_key).history()
    return [{"at": iso(at), "detail-type": detail_type, "detail": detail} for at, detail_type, detail in lines]


def _restored(story: Story, preferences_key: str | None) -> "RestoredStore":
    """Return a store with the story's items. Raises ``StoryError`` if one cannot be read, or needs what is missing."""
    if story.start is None:
        raise StoryError("the instant of the export is not known; add --start with it")
    from ..adapters.dynamodb.items.contacts import keyed_hash  # noqa: PLC0415 - pynamodb, which other stories do without
    from ..adapters.memory.restored import RestoredStore  # noqa: PLC0415 - the same

    store = RestoredStore(hash_address=partial(keyed_hash, preferences_key) if preferences_key else str)
    for number, item in enumerate(story.items, start=1):
        try:
            kind = store.restore(item)
        except ValueError as error:
            raise StoryError(f"item {number}: {error}") from error
        if kind in KEYED and not preferences_key:
            raise StoryError(PREFERENCES_KEY_HINT)
    return store


def _whole_minute(at: datetime) -> datetime:
    """The first whole minute from ``at`` on."""
    floor = at.astimezone(UTC).replace(second=0, microsecond=0)
    return floor if floor == at else floor + MINUTE


OUTCOMES: Final = {
    "MessagePlanned": "scheduled",
    "MessageSent": "sent",
    "MessageDelivered": "delivered",
    "MessageUndelivered": "undelivered",
    "MessageSkipped": "skipped",
    "MessageFailed": "failed",
    "MessageUnconfirmed": "unconfirmed",
}
"""The outcome of a message after each event."""


class Summary:
    """Count what happened. A message counts with its last outcome."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._events: Counter[str] = Counter()
        self._outcomes: dict[str, tuple[str, str]] = {}
        self._rules: dict[str, Counter[str]] = {"MessageHeld": Counter(), "MessageSkipped": Counter()}
        self._contacts: set[tuple[str, ...]] = set()

    def count(self, event: str, detail: Mapping[str, Any]) -> None:
        self._events[event] += 1
        if contact := detail.get("contact"):
            self._contacts.add((contact["brand"], contact["channel"], contact["address"]))
        if event in OUTCOMES:
            self._outcomes[detail["scheduled_message_id"]] = (detail["reason"], OUTCOMES[event])
        if event in self._rules:
            self._rules[event][detail["rule"]] += 1

    def value(self, app: SimulatedApp) -> Line:
        waiting = {
            row.scheduled_message_id for row in app.store.rows() if row.state in (State.SCHEDULED, State.SENDING)
        }
        # A message that is planned anew before it was due has a new id, and its former one has no outcome.
        outcomes = {
            message: ended for message, ended in self._outcomes.items() if ended[1] != "scheduled" or message in waiting
        }
        by_reason: dict[str, Counter[str]] = {}
        for reason, outcome in outcomes.values():
            by_reason.setdefault(reason, Counter())[outcome] += 1
        begins = self._story.start or (self._story.events[0].at if self._story.events else None)
        until = self._story.until
        return {
            "from": iso(begins) if begins else None,
            "until": iso(until or app.now) if begins else None,
            "events_in": sum(until is None or event.at <= until for event in self._story.events),
            "contacts": len(self._contacts),
            "events": dict(sorted(self._events.items())),
            "outcomes": dict(sorted(Counter(outcome for _, outcome in outcomes.values()).items())),
            "reasons": {reason: dict(sorted(by_reason[reason].items())) for reason in REASONS if reason in by_reason},
            "held": dict(sorted(self._rules["MessageHeld"].items())),
            "skipped": dict(sorted(self._rules["MessageSkipped"].items())),
            "errors": dict(sorted(Counter(type(error).__name__ for error in app.errors).items())),
        }
