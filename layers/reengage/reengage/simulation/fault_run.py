"""Run a story with faults: events that fail are delivered again, as by EventBridge and Lambda.

Otherwise it is the same story: the same use cases, clock and ticks as in ``engine.py``.
"""

import heapq
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..domain.instants import iso
from ..domain.message import ScheduledMessage
from ..ports import Accepted
from .app import RUN_TIME
from .engine import MINUTE, OURS, Line, Summary, environment_of, message_with_text
from .fault_app import Crash, Faults, FaultyApp, History
from .faults import INVOKE, Place
from .story import Story

RETRIES: Final = (MINUTE, 2 * MINUTE, *[timedelta(hours=1)] * 20, *[timedelta(days=1)] * 12)
"""When an event that failed is delivered again: twice by Lambda, then by a person from the queue of failed events.

The queue keeps it for 14 days.
"""

EVENT_TIME: Final = timedelta(seconds=30)
"""The time limit of the functions that handle events."""

NEXT_EVENT_WITHIN: Final = timedelta(minutes=10)
"""A fault lets the next event arrive early only if it would arrive within this time."""

EXPIRES_EVERY: Final = timedelta(days=2)
_NAMESPACE: Final = uuid.UUID("b1f4d43a-8d3a-5a6f-9f2c-0f6d3f2b7c11")


@dataclass(order=True, slots=True)
class _Delivery:
    at: datetime
    number: int
    tries: int = field(compare=False)
    envelope: Mapping[str, Any] = field(compare=False)
    is_settings: bool = field(default=False, compare=False)


@dataclass(slots=True)
class FaultRun:
    """One run of a story, with its own faults or with ``faults``.

    ``most_ticks`` ends a run in which a message never ends.
    """

    story: Story
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    most_ticks: int = 100_000
    faults: Faults | None = None
    history: History = field(default_factory=History)
    app: FaultyApp = field(init=False)
    _faults: Faults = field(init=False)
    _waiting: list[_Delivery] = field(default_factory=list)
    _depth: int = 0
    _ticks: int = 0
    _reported: int = 0
    _last_tick: datetime | None = None
    _last_expiry: datetime | None = None
    _is_idle: bool = False
    _again: set[str] = field(default_factory=set)
    _delayed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._faults = self.faults or {fault.place: fault for fault in self.story.faults}
        settings = dict(self.settings)
        for setting in self.story.settings:
            if setting.at is None:
                settings |= setting.values
        self.settings = settings
        self.app = FaultyApp(
            environment_of(settings),
            self.history,
            self._faults,
            {"tick": self._another_run, "event": self._next_event, "receipt": self._receipt},
            rules=self.story.rules,
            seed=self.seed,
            report=self._report,
        )
        for number, event in enumerate(self.story.events):
            self._add(event.at, {"id": f"event-{number}", **event.envelope})
        for setting in self.story.settings:
            if setting.at is not None:
                self._add(setting.at, setting.values, is_settings=True)

    def run(self) -> History:
        until = self.story.until
        while (at := self._next()) is not None and (until is None or at <= until) and self._ticks < self.most_ticks:
            self.app.now = max(self.app.now, at)
            if self._last_expiry is None or self.app.now >= self._last_expiry + EXPIRES_EVERY:
                self._last_expiry = self.app.now
                self.app.expire(self.app.now - EXPIRES_EVERY)
            if self._waiting and self._waiting[0].at <= self.app.now:
                self._deliver(heapq.heappop(self._waiting))
            else:
                self._last_tick = self.app.now.replace(second=0, microsecond=0)
                self._tick()
        self.history.events = self.app.events
        self.history.rows = self.history.store.rows()
        return self.history

    def lines(self) -> Iterator[Line]:
        """Run the story; yield its events out and its summary, as ``simulate`` does."""
        summary = Summary(self.story)
        for at, event in self.run().events:
            detail = dict(event.detail)
            text = self.app.texts.get(message_with_text(detail))
            if text is not None and event.type == "MessageSent":
                detail["text"] = text
            summary.count(event.type, detail)
            yield {"at": iso(at), "detail-type": event.type, "detail": detail}
        yield {"summary": summary.value(self.app)}

    def _add(self, at: datetime, envelope: Mapping[str, Any], *, tries: int = 0, is_settings: bool = False) -> None:
        self._reported += 1
        heapq.heappush(self._waiting, _Delivery(at, self._reported, tries, envelope, is_settings))

    def _next(self) -> datetime | None:
        heads = [self._waiting[0].at] if self._waiting else []
        due_at = self.app.next_change() if self._is_idle else self.history.store.next_due_at()
        if due_at is not None:
            earliest = max(due_at, self.app.now)
            floor = earliest.astimezone(UTC).replace(second=0, microsecond=0)
            tick = floor if floor == earliest else floor + MINUTE
            heads.append(max(tick, self._last_tick + MINUTE) if self._last_tick else tick)
        return min(heads, default=None)

    def _tick(self) -> None:
        is_over = [False]
        self._ticks += 1

        struck = len(self.history.faults)

        def tick() -> None:
            # What a fault hid, or made fail, is looked at again a minute later.
            is_over[0] = not self.app.tick() and len(self.history.faults) == struck

        minute = self.app.now.replace(second=0, microsecond=0)
        fault = self._faults.get(Place(iso(minute), INVOKE, 1))
        if fault and fault.kind == "late" and self._depth == 0:
            self.history.faults.append((self.app.now, fault))
            self._last_tick, self._is_idle = (minute + fault.time).replace(second=0), False
            return
        self._is_idle = self._invoke(iso(minute), tick, RUN_TIME) and is_over[0]

    def _deliver(self, delivery: _Delivery) -> None:
        if delivery.is_settings:
            self.settings = {**self.settings, **delivery.envelope}
            self.app.configure(environment_of(self.settings))
            self._is_idle = False
            return
        name = delivery.envelope["id"]
        if delivery.envelope.get("source") == OURS or self._is_put_off(name, delivery):
            return
        self.history.started.setdefault(name, self.app.call())
        is_done = self._invoke(name, lambda: self._deliver_one(delivery.envelope), EVENT_TIME)
        self._is_idle = False  # a run that a fault started in between has not seen what was written since
        if is_done:
            self.history.done.setdefault(name, self.app.call())
        elif delivery.tries < len(RETRIES):
            at = max(delivery.at, self.app.now) + RETRIES[delivery.tries]
            self._add(at, delivery.envelope, tries=delivery.tries + 1)

    def _is_put_off(self, name: str, delivery: _Delivery) -> bool:
        """Whether a fault lets the event arrive later; another one lets it arrive a second time, too."""
        fault = self._faults.get(Place(name, INVOKE, 1))
        if fault and fault.kind == "late" and name not in self._delayed:
            self._delayed.add(name)
            self.history.faults.append((self.app.now, fault))
            self._add(self.app.now + fault.time, delivery.envelope)
            return True
        if fault and fault.kind == "again" and name not in self._again:
            self._again.add(name)
            self._add(self.app.now + fault.time, delivery.envelope)
        return False

    def _deliver_one(self, envelope: Mapping[str, Any]) -> None:
        if "detail-type" in envelope:
            self.app.deliver(envelope)
            return
        for position, called in enumerate(self.app.called(envelope)):
            self.app.deliver({"id": f"{envelope['id']}-{position}", **called})

    def _invoke(self, where: str, function: Callable[[], None], time: timedelta) -> bool:
        """Run a function as Lambda does; return whether it ended well."""
        self.app.deadline, self.app.where, self.app.skew = self.app.now + time, where, timedelta()
        try:
            self.app.around(INVOKE, lambda: None, ())
            function()
        except (Crash, Exception):  # noqa: BLE001 - whatever ends an invocation, the next one begins afresh
            return False
        finally:
            self.app.skew = timedelta()
        return True

    def _another_run(self) -> None:
        if self._depth == 0:
            self._depth += 1
            self._tick()
            self._depth -= 1

    def _next_event(self) -> None:
        if self._depth == 0 and self._waiting and self._waiting[0].at <= self.app.now + NEXT_EVENT_WITHIN:
            self._depth += 1
            delivery = heapq.heappop(self._waiting)
            self.app.now = max(self.app.now, delivery.at)
            self._deliver(delivery)
            self._depth -= 1

    def _receipt(self, message: ScheduledMessage, accepted: Accepted) -> None:
        """The provider's receipt arrives before its answer."""
        contact = message.contact
        detail = {
            "contact": {"brand": contact.brand, "channel": contact.channel, "address": contact.address},
            "scheduled_message_id": message.scheduled_message_id,
            "status": "delivered",
            "provider_message_id": accepted.provider_message_id,
            "occurred_at": iso(self.app.now),
        }
        envelope = {"detail-type": "DeliveryReported", "source": "reengage.simulation", "detail": detail}
        kept = self.app.deadline, self.app.where, self.app.skew
        self._deliver(_Delivery(self.app.now, 0, 0, _with_id(self.app.now, envelope)))
        self.app.deadline, self.app.where, self.app.skew = kept

    def _report(self, at: datetime, envelope: Mapping[str, Any]) -> None:
        self._add(at, _with_id(at, envelope))


def _with_id(at: datetime, receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a receipt that arrives at that instant; its id depends on its content alone."""
    detail = receipt["detail"]
    name = f"{detail['scheduled_message_id']} {detail['status']} {detail.get('provider_message_id')}"
    return {"id": str(uuid.uuid5(_NAMESPACE, name)), "time": iso(at), **receipt}
