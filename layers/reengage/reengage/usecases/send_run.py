"""One run of a send group: due messages of all shards in one queue, from which every worker takes the next.

No shard and no route is bound to a worker. A route starts with one worker, and gets one more for each message that does
not fail. So a provider that does not answer delays no other route. The brands of a route share its workers.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Condition
from typing import Final, NamedTuple

from reengage.domain.broadcast import is_shard_key, shard_key
from reengage.domain.contact import Contact
from reengage.domain.events_out import OutEvent
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.outbox import UnpublishedList, is_list_key
from reengage.domain.reasons import Priority
from reengage.ports import DueKey
from reengage.usecases.elsewhere import may_go_elsewhere
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.outbox import KEYS_AT_ONCE, Outbox, publish_list
from reengage.usecases.outcome import Handled
from reengage.usecases.pause_watch import PauseWatch
from reengage.usecases.recheck_window import closing_again
from reengage.usecases.run_measures import RunMeasures
from reengage.usecases.send_message import Sender
from reengage.usecases.send_queue import SendQueue, Share

READ_AHEAD: Final = 200_000
"""Due keys in memory, about 100 MB; further pages are read as the queue gets shorter. A run must read far: the message
that is due last may be the only one of its brand."""

WAIT: Final = 0.05
"""Seconds after which a worker without work looks at the clock again."""

Tally = Counter[tuple[str, str]]
"""How many messages had each outcome: ``("sent", "")``, ``("skipped", rule)`` and so on."""

FAILED_CALLS: Final = frozenset({"retried", "unconfirmed"})


class _Reader(NamedTuple):
    shard: int
    pages: Iterator[Sequence[DueKey]]
    is_first: bool = True


class _Task(NamedTuple):
    due: DueKey
    shard: int
    share: Share


@dataclass(slots=True)
class Run:
    """One priority of a send group. ``errors`` are for the caller to raise."""

    sender: Sender
    priority: Priority
    shards: Sequence[int]
    stop_at: datetime
    workers: int
    tally: Tally = field(default_factory=Counter)
    measures: RunMeasures = field(default_factory=RunMeasures)
    errors: list[Exception] = field(default_factory=list)
    _pauses: PauseWatch = field(init=False)
    _outbox: Outbox = field(init=False)
    _queue: SendQueue[_Task] = field(init=False)
    _unread: deque[_Reader] = field(default_factory=deque)
    _busy: int = 0
    _in_hand: set[MessageKey] = field(default_factory=set)
    _expanded: set[MessageKey] = field(default_factory=set)
    _outcomes: defaultdict[tuple[MessageKey, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _changed: Condition = field(default_factory=Condition)

    def __post_init__(self) -> None:
        self._pauses = PauseWatch(self.sender.store, self.sender.clock)
        sender = self.sender
        self._outbox = Outbox(
            sender.store,
            sender.publish,
            sender.clock,
            sender.new_id,
            sender.send_group,
            self.priority,
            self.shards[0],
            sender.claim_ttl,
        )
        self._queue = SendQueue(self.workers)
        self._unread.extend(self._reader(shard) for shard in self.shards)

    def read_first_pages(self) -> None:
        """Read the first page of each shard that no other worker reads."""
        while (reader := self._first_reader()) is not None:
            self._read(reader)

    def due_by_shard(self) -> Counter[int]:
        """Return how many of the messages that were read are due in each shard."""
        return Counter(task.shard for task in self._queue.waiting())

    def give_away(self, shards: Collection[int]) -> int:
        """Leave what is due in these shards to another run; return how many messages of them were read."""
        self._unread = deque(reader for reader in self._unread if reader.shard not in shards)
        return self._queue.remove(lambda task: task.shard in shards)

    def work(self) -> None:
        """Take and process one task after another, until no task is left or the time ends."""
        while (task := self._take()) is not None:
            ok: bool | None = None
            try:
                if isinstance(task, _Reader):
                    self._read(task)
                elif is_shard_key(task.due.key):
                    self._expand(task)
                elif is_list_key(task.due.key):
                    self._publish_list(task)
                else:
                    ok = self._send(task)
            finally:
                with self._changed:
                    self._busy -= 1
                    if isinstance(task, _Task):
                        self._in_hand.discard(task.due.key)
                        self._queue.done(task.share, task.due.key.pk, ok=ok)
                    self._changed.notify_all()

    def finish(self) -> None:
        """Publish what is left of the events. Call it after every worker has ended."""
        # At least this many are still due: the index beyond the pages that were read is not counted.
        if left := len(self._queue):
            self.tally["left", ""] += left
        for task in self._queue.waiting():
            self.measures.left(task.due)
        self.measures.paused(self._pauses.known(), self.sender.clock())
        try:
            self._outbox.close()
            self._count_outcomes()
        except Exception as error:  # noqa: BLE001 - for the caller to raise, with the others
            self.errors.append(error)

    def _take(self) -> _Reader | _Task | None:
        with self._changed:
            while (in_time := self.sender.clock() < self.stop_at) or self._has_unread_shard():
                # Each shard's first page is read in any case: what is left has to be counted.
                if self._unread and (self._unread[0].is_first or len(self._queue) < READ_AHEAD):
                    self._busy += 1
                    return self._unread.popleft()
                if not in_time:
                    return None
                if task := self._queue.take():
                    self._busy += 1
                    self._in_hand.add(task.due.key)
                    return task
                if not self._busy:
                    return None
                self._changed.wait(WAIT)
        return None

    def _first_reader(self) -> _Reader | None:
        with self._changed:
            return self._unread.popleft() if self._has_unread_shard() else None

    def _has_unread_shard(self) -> bool:
        return bool(self._unread) and self._unread[0].is_first

    def _reader(self, shard: int) -> _Reader:
        return _Reader(shard, self._pages(shard))

    def _pages(self, shard: int) -> Iterator[Sequence[DueKey]]:
        sender = self.sender
        yield from sender.store.due(sender.send_group, self.priority, shard, sender.clock())

    def _read(self, reader: _Reader) -> None:
        """Put one page into the queue; what is behind it is read later."""
        try:
            page = next(reader.pages, None)
        except Exception as error:  # noqa: BLE001 - one shard's failure must not end the others
            self._note(error)
            return
        if page is None:
            return
        tasks = [_Task(due, reader.shard, self._share_of(due)) for due in page]
        with self._changed:
            for task in tasks:
                last = is_shard_key(task.due.key)  # its messages are not planned yet
                contact = task.due.key.pk if _is_message(task.due) else ""
                self._queue.put(task, task.share, contact, (last, task.due.valid_until))
            self._unread.append(reader._replace(is_first=False))

    def _share_of(self, due: DueKey) -> Share:
        if not _is_message(due):
            return Share("")
        contact = _contact(due)
        return Share(next(iter(self.sender.channel.routes(contact)), ""), contact.brand)

    def _send(self, task: _Task) -> bool | None:
        """Process one message. ``False``: its route failed; ``None``: nothing is known of its route."""
        try:
            if self._pauses.holds(task.due):
                self._count(Handled("held"), task)
                return None
            routes = self.sender.channel.routes(_contact(task.due))
            if task.due.valid_until > self.sender.clock():  # else it is settled as too late, by whatever route
                usable = self.sender.health.usable(routes)
                if not usable and not self._may_go_elsewhere(task.due, routes):
                    self._count(Handled("left"), task)
                    return None
                routes = usable
            self._outbox.cover(task.due.key, self._upcoming)
            handled = self.sender.handle(task.due, routes)
        except Exception as error:  # noqa: BLE001 - one message's failure; its claim is found again, and reported
            handled = Handled("left", error=error)
        if handled is None:
            self._outbox.add(task.due.key, ())
            return None
        self._count(handled, task)
        return handled.outcome not in FAILED_CALLS

    def _may_go_elsewhere(self, due: DueKey, routes: Sequence[str]) -> bool:
        sender = self.sender
        now = sender.clock()
        return may_go_elsewhere(_contact(due), due, routes, health=sender.health, store=sender.store, now=now)

    def _count(self, handled: Handled, task: _Task) -> None:
        """Count the message's outcome, and those of the others that its text named."""
        every = (handled, *handled.others)
        for each in every:
            self._count_one(each, task)
        failed = any(each.error and not each.event for each in every)
        if self._outbox.add(task.due.key, [each.event for each in every if each.event], failed=failed):
            try:
                self._outbox.flush()
                self._count_outcomes()
            except Exception as error:  # noqa: BLE001 - the messages are settled; the run raises the error
                self._note(error)

    def _count_one(self, handled: Handled, task: _Task) -> None:
        with self._changed:
            self.tally[handled.outcome, handled.rule] += 1
            self.measures.handled(task.due, handled)
            self.errors += [handled.error] if handled.error else []
            if handled.message and handled.message.reason_spec.audience:
                of = shard_key(handled.message.subject, handled.message.reason, task.shard)
                outcome = f"{handled.outcome}:{handled.rule}" if handled.rule else handled.outcome
                self._outcomes[of, handled.message.version][outcome] += 1

    def _expand(self, task: _Task) -> None:
        """Plan a broadcast shard's messages once a run, then read the shard again: they are due now."""
        with self._changed:
            if task.due.key in self._expanded:
                return
            self._expanded.add(task.due.key)
        sender, ended = self.sender, False
        try:
            ended = expand_broadcast(
                task.due.key,
                store=sender.store,
                publish=sender.publish,
                clock=sender.clock,
                settings=sender.settings,
                stop_at=self.stop_at,
            )
        except Exception as error:  # noqa: BLE001 - one broadcast's failure; its cursor is where it was
            self._note(error)
        with self._changed:
            if not ended:
                self.tally["left", ""] += 1
            self._unread.append(self._reader(task.shard))

    def _upcoming(self) -> list[MessageKey]:
        """Return the messages that the workers have in hand, or take next."""
        with self._changed:
            tasks = self._queue.upcoming(KEYS_AT_ONCE)
            return [*filter(_is_message_key, self._in_hand), *(task.due.key for task in tasks if _is_message(task.due))]

    def _publish_list(self, task: _Task) -> None:
        """Publish the events that a killed run, or the bus, has left."""
        try:
            sender = self.sender
            publish_list(task.due.key, store=sender.store, publish=sender.publish, closings=self._closings)
        except Exception as error:  # noqa: BLE001 - it stays due; the run raises the error
            self._note(error)

    def _closings(self, rows: Sequence[ScheduledMessage], listed: UnpublishedList) -> list[OutEvent]:
        """Return the events of the conversations that the list's run marked as closing: one for each contact."""
        sender = self.sender
        known = partial(closing_again, store=sender.store, settings=sender.settings, now=sender.clock())
        first = {row.contact: row for row in reversed(rows)}
        found = (known(row, since=listed.at, until=listed.due_at) for row in first.values())
        return [event for event in found if event]

    def _count_outcomes(self) -> None:
        """Add to the broadcasts' own counts."""
        with self._changed:
            outcomes = dict(self._outcomes)
            self._outcomes.clear()
        for (broadcast_shard, version), counted in outcomes.items():
            self.sender.store.count_outcomes(broadcast_shard, version, counted)

    def _note(self, error: Exception) -> None:
        with self._changed:
            self.errors.append(error)


def _is_message_key(key: MessageKey) -> bool:
    return not is_shard_key(key) and not is_list_key(key)


def _is_message(due: DueKey) -> bool:
    return _is_message_key(due.key)


def _contact(due: DueKey) -> Contact:
    _, brand, channel, address = due.key.pk.split("#", 3)
    return Contact(brand, channel, address)
