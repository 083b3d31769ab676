"""What is due at one door: each message is claimed, judged by a fresh clock, handed over once, and settled.

The more useful goes first: what is prompt before all marketing, and then what is of use for a shorter time.

A claim makes sure that no two runs have one message in hand. Whatever stops a run, what it held is found again:
a claim that nobody can be working on any more becomes ``unconfirmed``, and is reported instead of repeated.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from reengage.domain.broadcast import is_shard_key, shard_key
from reengage.domain.caps import longest
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.planning import replan
from reengage.domain.policy import (
    SNAPSHOT_VALID_FOR,
    Action,
    Decision,
    PolicyInput,
    PolicySettings,
    decide,
    deliver_before,
    free_text_until,
)
from reengage.domain.preferences import Choice, OptOutScope, RecordChoice, Topic
from reengage.domain.reasons import PRIORITIES, Priority, SendGroup
from reengage.domain.window_closing import plan_for_closing
from reengage.ports import (
    Accepted,
    Channel,
    Clock,
    DueKey,
    NewId,
    OptedOut,
    OutboundMessage,
    Outcome,
    Publish,
    Refused,
    Render,
    Retryable,
    Store,
    Unknown,
)
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.recheck_window import warn, with_closing_plan
from reengage.usecases.record_choice import announce_choice, store_choice

MAX_CHECKS: Final = 3
PREPARE_WITHIN: Final = SNAPSHOT_VALID_FOR / 2
"""After its gate a message must be ready; the rest is for the connection to the provider."""

MAX_ATTEMPTS: Final = 7
"""Over an hour and three minutes, each wait twice as long as the one before."""

FIRST_BACKOFF: Final = timedelta(minutes=1)
WORKERS: Final = 8
PUBLISH_AT_ONCE: Final = 10


Tally = Counter[tuple[str, str]]
"""How many messages ended in each way: ``("sent", "")``, ``("skipped", rule)`` and so on."""


def summary(tally: Tally) -> dict[str, Any]:
    """Return the summary of a run (events/README.md). ``due`` is the sum of all the others; ``left`` is due still."""
    counts = {way: tally[way, ""] for way in ("sent", "held", "failed", "unconfirmed", "retried", "left")}
    skipped = {rule: count for (way, rule), count in sorted(tally.items()) if way == "skipped"}
    return {
        "due": tally.total(),
        "sent": counts["sent"],
        "held": counts["held"],
        "skipped": skipped,
        "failed": counts["failed"],
        "unconfirmed": counts["unconfirmed"],
        "retried": counts["retried"],
        "left": counts["left"],
    }


class Handled(NamedTuple):
    """What became of one message, what to tell of it, and the error of ours that stood in the way."""

    way: str
    event: OutEvent | None = None
    rule: str = ""
    error: Exception | None = None
    message: ScheduledMessage | None = None


def _unlimited(_channel: str) -> bool:
    return True


def _no_preparation(_contact: Contact) -> None:
    """Nothing has to be made, so nothing stands in the way."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One door's engine. ``claim_lasts``: after that time nobody can be working on a claim any more. ``pace`` waits for
    a channel's turn; ``False`` where that does not come within this run. ``make_ready`` makes what a contact's channel
    needs, before the gate is asked: that may take longer than the gate's answer holds. It answers with what stands in
    the way.
    """

    send_group: SendGroup
    settings: PolicySettings
    store: Store
    channels: Mapping[str, Channel]
    render: Render
    publish: Publish
    clock: Clock
    new_id: NewId
    claim_ttl: timedelta
    opt_out_scope: OptOutScope = "brand"
    rate_limiter: Callable[[str], bool] = _unlimited
    prepare: Callable[[Contact], Retryable | None] = _no_preparation

    def run(self, *, stop_at: datetime) -> Tally:
        """Drains every shard until ``stop_at``, and returns once every thread has ended.

        One message's failure does not hold up the others; what failed is raised at the end, together.
        """
        # Each minute another shard comes first, so that under a backlog none is always the one to wait.
        first = int(self.clock().timestamp()) // 60
        tally: Tally = Counter()
        errors: list[Exception] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for priority in PRIORITIES[self.send_group]:
                workers = [ShardWorker(self, priority, (first + n) % SHARDS, stop_at) for n in range(SHARDS)]
                list(pool.map(ShardWorker.run, workers))  # a lane begins when the one before it has ended
                for worker in workers:
                    tally += worker.tally
                    errors += worker.errors
        if errors:
            raise ExceptionGroup(f"{self.send_group}: {len(errors)} errors in a run of {summary(tally)}", errors)
        return tally

    def send_now(self, message: ScheduledMessage) -> None:
        """Sends what cannot wait for a tick, by the same claim: however often it is asked for, it is sent once.

        What could not be handed over now is left for the next tick of its door. Raises what stood in its way.
        """
        row = self.store.write_plan(message, at=message.planned_at)
        handled = self.handle(DueKey(row.key, row.due_at, row.valid_until))
        if handled and handled.event:
            self.publish([handled.event])
        if handled and handled.error:
            raise handled.error

    def handle(self, due: DueKey) -> Handled | None:
        """One message, from claim to settlement. ``None``: it was not ours to handle."""
        claim_id, now = self.new_id(), self.clock()
        message = self.store.claim(due, claim_id=claim_id, at=now)
        if message is None:
            message = self.store.read_message(due.key)
            if message is None or message.state is not State.SENDING:
                return None
            if message.claim_id != claim_id:
                return self._expire_claim(message, now)
            # The claim's answer was lost on its way, and a retry of the request found our own claim there.
        try:
            ready = self._prepare(message, self.prepare(message.contact))
        except Exception as error:  # noqa: BLE001 - surely not sent, so it may be tried again; run() raises the error
            return self._try_later(message, type(error).__name__)._replace(error=error)
        return ready if isinstance(ready, Handled) else self._hand_over(message, ready)

    def _hand_over(self, message: ScheduledMessage, ready: OutboundMessage) -> Handled:
        try:
            outcome = self.channels[message.contact.channel].send(ready)
        except Exception as error:  # noqa: BLE001 - nobody knows what it did before; run() raises the error
            return self._record(message, ready, Unknown(type(error).__name__))._replace(error=error)
        return self._record(message, ready, outcome)

    def _expire_claim(self, message: ScheduledMessage, now: datetime) -> Handled | None:
        """Another run's claim: left alone while that run may be at work; past that, nobody knows what became of it."""
        assert message.claimed_at is not None
        if now < message.claimed_at + self.claim_ttl:
            return None
        handled = self._settle(replace(message, state=State.UNCONFIRMED), claimed_at=message.claimed_at)
        # Its owner, or a receipt, may have said meanwhile what became of it.
        return handled if handled.way == State.UNCONFIRMED else None

    def _prepare(self, message: ScheduledMessage, blocked_by: Retryable | None) -> OutboundMessage | Handled:
        """The message ready to be handed over ``READY_WITHIN`` its gate, or what was done with it instead. What its
        channel lacks counts only where nothing else stops it.
        """
        paced = False
        for _ in range(MAX_CHECKS):
            asked_at = self.clock()
            snapshot = self.store.read_snapshot(message)
            context = PolicyInput(message=message, settings=self.settings, now=self.clock(), **snapshot._asdict())
            wanted = replan(message, context.subject, context.default_zone)
            if wanted and (rescheduled := self._rescheduled(context, wanted)):
                return rescheduled
            decision = decide(context)
            if decision.action is not Action.SEND:
                return self._not_sent(context, decision, wanted)
            if blocked_by:
                return self._try_later(message, blocked_by.error)
            if not paced and not self.rate_limiter(message.contact.channel):
                return self._release(message, Handled("left"))
            paced = True
            if self.clock() - asked_at > PREPARE_WITHIN:
                continue
            outbound = self._outbound(context, decision, asked_at + SNAPSHOT_VALID_FOR)
            if not self._reserve_cap(context):
                continue
            now = self.clock()
            if now - asked_at <= PREPARE_WITHIN and now < outbound.start_before:
                return outbound
            self._release_cap(message)
        return self._try_later(message, "the gate's answer was never fresh enough to act on")

    def _rescheduled(self, context: PolicyInput, wanted: ScheduledMessage) -> Handled | None:
        """For a message that the subject's newer version wants, or that is looked at before it is due; ``None``: it is
        to be decided on now.
        """
        message = context.message
        if wanted.version != message.version:
            return self._release(_rebased(context, wanted), Handled("retried"))
        if context.now >= wanted.due_at:
            return None
        at, why = plan_for_closing(context, wanted.due_at)
        if at <= context.now:
            if why == "pull_forward":
                return None
            warned = warn(context, wanted, store=self.store, publish=self.publish)
            at = wanted.due_at if warned else context.now
        moved = replace(message, due_at=at, planned_due_at=None if at == wanted.due_at else wanted.due_at)
        return self._release(moved, Handled("held"))

    def _not_sent(self, context: PolicyInput, decision: Decision, wanted: ScheduledMessage | None) -> Handled:
        decided = replace(context.message, rule=decision.rule, facts=decision.facts)
        if decision.action is Action.HOLD:
            return self._hold(decided, decision)
        if wanted and context.now < wanted.due_at:
            # What may not go early may go at its own time: the person may still write before that.
            return self._release(replace(decided, due_at=wanted.due_at, planned_due_at=None), Handled("held"))
        return self._settle(replace(decided, state=State.SKIPPED), rule=decision.rule, facts=decision.facts)

    def expand(self, broadcast_shard: MessageKey, *, stop_at: datetime) -> bool:
        """Plans a broadcast's messages; ``False`` where more of that is left to do."""
        return expand_broadcast(
            broadcast_shard,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            settings=self.settings,
            stop_at=stop_at,
        )

    def _reserve_cap(self, context: PolicyInput) -> bool:
        """``False``: another run took one since the gate was read, and it has to be asked again."""
        if not context.caps:
            return True
        return self.store.reserve_cap(
            context.message, context.cap_usage, at=context.now, retention=longest(context.caps) + SNAPSHOT_VALID_FOR
        )

    def _release_cap(self, message: ScheduledMessage) -> None:
        if self.settings.caps.get(message.reason_spec.category):
            self.store.release_cap(message)

    def _outbound(self, context: PolicyInput, decision: Decision, gate_holds_until: datetime) -> OutboundMessage:
        said = (
            {name: said.value for name, said in context.track.fields.items() if name != "contact"}
            if context.track
            else {}
        )
        before = deliver_before(context)
        return OutboundMessage(
            message=context.message,
            wording=self.render(context),
            data={f"{context.message.subject.kind}_id": context.message.subject.id, **said},
            decision=decision,
            free_text_until=free_text_until(context),
            start_before=min(gate_holds_until, before),
            deliver_before=before,
        )

    def _record(self, message: ScheduledMessage, outbound: OutboundMessage, outcome: Outcome) -> Handled:
        """What the channel answered, in the table and then on the bus."""
        decided = replace(message, rule=outbound.decision.rule, facts=outbound.decision.facts)
        match outcome:
            case Accepted(provider, provider_message_id):
                sent = replace(decided, state=State.SENT, provider=provider, provider_message_id=provider_message_id)
                return self._settle(
                    sent,
                    provider=provider,
                    provider_message_id=provider_message_id,
                    sent_at=self.clock(),
                    facts=outbound.decision.facts,
                )
            case Refused(error):
                return self._fail(replace(decided, attempts=decided.attempts + 1), error)
            case OptedOut(error, topic):
                try:
                    self._note_opt_out(message, topic)
                except Exception as failed:  # noqa: BLE001 - surely not sent, so it is asked again; run() raises the error
                    return self._try_later(decided, type(failed).__name__)._replace(error=failed)
                return self._fail(replace(decided, attempts=decided.attempts + 1), error)
            case Retryable(error, retry_after):
                return self._try_later(decided, error, retry_after)
            case Unknown(error):
                unknown = replace(decided, state=State.UNCONFIRMED, error=error)
                return self._settle(unknown, claimed_at=message.claimed_at)

    def _hold(self, message: ScheduledMessage, decision: Decision) -> Handled:
        assert decision.until is not None
        told = out_event("MessageHeld", message, rule=decision.rule, until=decision.until, facts=decision.facts)
        rules = dict.fromkeys([*(message.hold_rules.split(", ") if message.hold_rules else ()), decision.rule or ""])
        held = replace(_postponed(message, decision.until), hold_rules=", ".join(rules))
        return self._release(held, Handled("held", told))

    def _note_opt_out(self, message: ScheduledMessage, topic: Topic) -> None:
        """What the provider knows holds here from now on."""
        cause = {"refused": message.scheduled_message_id}
        out = RecordChoice(message.contact, topic, Choice(allowed=False, at=self.clock(), cause=cause))
        announce_choice(out, self.publish)  # first: once it is stored, the gate lets nothing come here again
        store_choice(out, store=self.store, opt_out_scope=self.opt_out_scope)

    def _try_later(self, message: ScheduledMessage, error: str, retry_after: timedelta | None = None) -> Handled:
        """Back to the schedule, each time twice as far ahead, until the attempts have run out; not before
        ``retry_after``.
        """
        tried = replace(message, attempts=message.attempts + 1, error=error)
        if tried.attempts >= MAX_ATTEMPTS:
            return self._fail(tried, error)
        due_at = self.clock() + max(FIRST_BACKOFF * 2**message.attempts, retry_after or timedelta())
        return self._release_cap_unless_sent(message, self._release(_postponed(tried, due_at), Handled("retried")))

    def _fail(self, message: ScheduledMessage, error: str) -> Handled:
        failed = replace(message, state=State.FAILED, error=error)
        return self._release_cap_unless_sent(message, self._settle(failed, error=error, attempts=failed.attempts))

    def _release_cap_unless_sent(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """Its place is free, unless a receipt said meanwhile that it was sent after all."""
        return handled if handled.way == "sent" else self._release_cap_safely(message, handled)

    def _release_cap_safely(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """What became of the message is told also where its place cannot be given back."""
        try:
            self._release_cap(message)
        except Exception as error:  # noqa: BLE001 - a place too few, for a while; run() raises the error
            return handled._replace(error=error)
        return handled

    def _release(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """Back to the schedule. Where the row is gone, the contact was erased meanwhile: that is the message's end."""
        if self.store.release(message):
            return handled
        stands = self.store.read_message(message.key)
        if stands is None:
            facts = {"decided_at": iso(self.clock())}
            return Handled("skipped", out_event("MessageSkipped", message, rule="erased", facts=facts), "erased")
        return handled if stands.state is State.SCHEDULED else _already_settled(stands)

    def _settle(self, message: ScheduledMessage, **told: Any) -> Handled:
        """Its end. Where a receipt came before the provider's answer, that is the end, and has been told."""
        settled = self.store.settle(replace(message, settled_at=self.clock()))
        stands = message if settled else self.store.read_message(message.key)
        if stands and stands.state is not message.state and message.state is not State.SENT:
            return _already_settled(stands)
        rule = message.rule or "" if message.state is State.SKIPPED else ""
        event = out_event(f"Message{message.state.capitalize()}", message, **told)
        handled = Handled(message.state, event, rule, message=message)
        # Where the contact was erased meanwhile, nothing of it must come back by this.
        return handled if stands else self._release_cap_safely(message, handled)


def _already_settled(message: ScheduledMessage) -> Handled:
    """By what others have said of it, and told, since it was claimed."""
    is_sent = message.state in (State.SENT, State.DELIVERED, State.UNDELIVERED)
    rule = message.rule or "" if message.state is State.SKIPPED else ""
    return Handled("sent" if is_sent else message.state, rule=rule, message=message)


def _postponed(message: ScheduledMessage, due_at: datetime) -> ScheduledMessage:
    return replace(message, due_at=due_at, planned_due_at=message.planned_due_at or message.due_at)


def _rebased(context: PolicyInput, wanted: ScheduledMessage) -> ScheduledMessage:
    """The same message in the subject's newer version, which wants it still.

    A change that leaves this message's instant alone (another location, say) finds the row in a sender's hands
    and cannot write the new plan over it. The sender does that, instead of skipping what is wanted still.
    """
    message = context.message
    renewed = replace(wanted, planned_at=message.planned_at, attempts=message.attempts, claim_id=message.claim_id)
    return with_closing_plan(replace(context, message=renewed), renewed)


@dataclass(slots=True)
class ShardWorker:
    """One lane of one shard, worked off page by page; ``errors`` are for the run to raise."""

    sender: Sender
    priority: Priority
    shard: int
    stop_at: datetime
    tally: Tally = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)
    events: list[OutEvent] = field(default_factory=list)
    outcomes: dict[tuple[MessageKey, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    expanded: set[MessageKey] = field(default_factory=set)

    def run(self) -> None:
        """Until ``stop_at``; again where a broadcast was expanded, whose messages are due by now."""
        try:
            while self._run_once():
                pass
        except Exception as error:  # noqa: BLE001 - one shard's failure must not end the others
            self.errors.append(error)
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - the same
            self.errors.append(error)

    def _run_once(self) -> bool:
        """All that is due, once; whether a broadcast's part was among it."""
        sender, expanded = self.sender, len(self.expanded)
        for page in sender.store.due(sender.send_group, self.priority, self.shard, sender.clock()):
            for position, due in enumerate(sorted(page, key=_priority)):
                if sender.clock() >= self.stop_at:
                    # At least so many: what the index has beyond this page was not read.
                    self.tally["left", ""] += len(page) - position
                    return False
                if is_shard_key(due.key):
                    self._expand(due.key)
                else:
                    self._handle(due)
        return len(self.expanded) > expanded and sender.clock() < self.stop_at

    def _handle(self, due: DueKey) -> None:
        try:
            handled = self.sender.handle(due)
        except Exception as error:  # noqa: BLE001 - nor one message's; its claim is found again, and reported
            handled = Handled("left", error=error)
        if handled is None:
            return
        self.tally[handled.way, handled.rule] += 1
        self.errors += [handled.error] if handled.error else []
        self.events += [handled.event] if handled.event else []
        if handled.message and handled.message.reason_spec.audience:
            of = shard_key(handled.message.subject, handled.message.reason, self.shard)
            way = f"{handled.way}:{handled.rule}" if handled.rule else handled.way
            self.outcomes[of, handled.message.version][way] += 1
        if len(self.events) >= PUBLISH_AT_ONCE:
            self._flush()

    def _expand(self, broadcast_shard: MessageKey) -> None:
        if broadcast_shard in self.expanded:
            return
        self.expanded.add(broadcast_shard)
        try:
            ended = self.sender.expand(broadcast_shard, stop_at=self.stop_at)
        except Exception as error:  # noqa: BLE001 - nor one broadcast's; its cursor stands where it was
            ended = False
            self.errors.append(error)
        if not ended:
            self.tally["left", ""] += 1

    def _flush(self) -> None:
        """On the bus, and in the broadcasts' own count."""
        events, outcomes = self.events, dict(self.outcomes)
        self.events = []
        self.outcomes.clear()
        self.sender.publish(events)
        for (broadcast_shard, version), counted in outcomes.items():
            self.sender.store.count_outcomes(broadcast_shard, version, counted)


def _priority(due: DueKey) -> tuple[bool, datetime]:
    """What is of use for a shorter time comes first; a broadcast, whose messages are yet to be planned, last."""
    return is_shard_key(due.key), due.valid_until
