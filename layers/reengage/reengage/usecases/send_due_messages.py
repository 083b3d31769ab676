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

from reengage.domain.broadcast import is_part, part_key
from reengage.domain.caps import longest
from reengage.domain.closing import outlook
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.instants import iso
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.planning import again
from reengage.domain.policy import (
    GATE_HOLDS,
    Action,
    Circumstances,
    Decision,
    PolicySettings,
    decide,
    deliver_before,
    free_text_until,
)
from reengage.domain.preferences import Choice, ChoiceMade, OptOutScope, Topic
from reengage.domain.reasons import LANES, Door, Lane
from reengage.ports import (
    Accepted,
    Channel,
    Clock,
    DueKey,
    NewId,
    NotDelivered,
    OptedOut,
    OutboundMessage,
    Outcome,
    Publish,
    Refused,
    Render,
    Store,
    Unknown,
)
from reengage.usecases.expand_broadcast import expand_broadcast
from reengage.usecases.look_ahead import looked_ahead, warn
from reengage.usecases.record_choice import announce_choice, store_choice

GATES: Final = 3
READY_WITHIN: Final = GATE_HOLDS / 2
"""After its gate a message must be ready; the rest is for the connection to the provider."""

MAX_ATTEMPTS: Final = 7
"""Over an hour and three minutes, each wait twice as long as the one before."""

FIRST_BACKOFF: Final = timedelta(minutes=1)
WORKERS: Final = 8
PUBLISH_AT_ONCE: Final = 10


Tally = Counter[tuple[str, str]]
"""How many messages ended in each way: ``("sent", "")``, ``("skipped", rule)`` and so on."""


def summary(tally: Tally) -> dict[str, Any]:
    """CONTRACT.md's answer of a scheduled function. ``due`` is the sum of all the others; ``left`` is due still."""
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


def _at_once(_channel: str) -> bool:
    return True


def _is_ready(_contact: Contact) -> None:
    """Nothing has to be made, so nothing stands in the way."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One door's engine. ``claim_lasts``: after that time nobody can be working on a claim any more. ``pace`` waits for
    a channel's turn; ``False`` where that does not come within this run. ``make_ready`` makes what a contact's channel
    needs, before the gate is asked: that may take longer than the gate's answer holds. It answers with what stands in
    the way.
    """

    door: Door
    settings: PolicySettings
    store: Store
    channels: Mapping[str, Channel]
    render: Render
    publish: Publish
    clock: Clock
    new_id: NewId
    claim_lasts: timedelta
    opt_out_scope: OptOutScope = "brand"
    pace: Callable[[str], bool] = _at_once
    make_ready: Callable[[Contact], NotDelivered | None] = _is_ready

    def run(self, *, stop_at: datetime) -> Tally:
        """Drains every shard until ``stop_at``, and returns once every thread has ended.

        One message's failure does not hold up the others; what failed is raised at the end, together.
        """
        # Each minute another shard comes first, so that under a backlog none is always the one to wait.
        first = int(self.clock().timestamp()) // 60
        tally: Tally = Counter()
        errors: list[Exception] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for lane in LANES[self.door]:
                drains = [Drain(self, lane, (first + n) % SHARDS, stop_at) for n in range(SHARDS)]
                list(pool.map(Drain.run, drains))  # a lane begins when the one before it has ended
                for drain in drains:
                    tally += drain.tally
                    errors += drain.errors
        if errors:
            raise ExceptionGroup(f"{self.door}: {len(errors)} errors in a run of {summary(tally)}", errors)
        return tally

    def send_now(self, message: ScheduledMessage) -> None:
        """Sends what cannot wait for a tick, by the same claim: however often it is asked for, it is sent once.

        What could not be handed over now is left for the next tick of its door. Raises what stood in its way.
        """
        row = self.store.write_plan(message, at=message.planned_at)
        handled = self.handle(DueKey(row.key, row.due_at, row.useful_until))
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
                return self._abandoned(message, now)
            # The claim's answer was lost on its way, and a retry of the request found our own claim there.
        try:
            ready = self._prepare(message, self.make_ready(message.contact))
        except Exception as error:  # noqa: BLE001 - surely not sent, so it may be tried again; run() raises the error
            return self._try_later(message, type(error).__name__)._replace(error=error)
        return ready if isinstance(ready, Handled) else self._hand_over(message, ready)

    def _hand_over(self, message: ScheduledMessage, ready: OutboundMessage) -> Handled:
        try:
            outcome = self.channels[message.contact.channel].send(ready)
        except Exception as error:  # noqa: BLE001 - nobody knows what it did before; run() raises the error
            return self._record(message, ready, Unknown(type(error).__name__))._replace(error=error)
        return self._record(message, ready, outcome)

    def _abandoned(self, message: ScheduledMessage, now: datetime) -> Handled | None:
        """Another run's claim: left alone while that run may be at work; past that, nobody knows what became of it."""
        assert message.claimed_at is not None
        if now < message.claimed_at + self.claim_lasts:
            return None
        handled = self._settle(replace(message, state=State.UNCONFIRMED), claimed_at=message.claimed_at)
        # Its owner, or a receipt, may have said meanwhile what became of it.
        return handled if handled.way == State.UNCONFIRMED else None

    def _prepare(self, message: ScheduledMessage, hindered: NotDelivered | None) -> OutboundMessage | Handled:
        """The message ready to be handed over ``READY_WITHIN`` its gate, or what was done with it instead. What its
        channel lacks counts only where nothing else stops it.
        """
        paced = False
        for _ in range(GATES):
            asked_at = self.clock()
            gate = self.store.read_circumstances(message)
            case = Circumstances(message=message, settings=self.settings, now=self.clock(), **gate._asdict())
            wanted = again(message, case.subject, case.place)
            if wanted and (rescheduled := self._rescheduled(case, wanted)):
                return rescheduled
            decision = decide(case)
            if decision.action is not Action.SEND:
                return self._not_sent(case, decision, wanted)
            if hindered:
                return self._try_later(message, hindered.error)
            if not paced and not self.pace(message.contact.channel):
                return self._release(message, Handled("left"))
            paced = True
            if self.clock() - asked_at > READY_WITHIN:
                continue
            outbound = self._outbound(case, decision, asked_at + GATE_HOLDS)
            if not self._take_place(case):
                continue
            now = self.clock()
            if now - asked_at <= READY_WITHIN and now < outbound.start_before:
                return outbound
            self._give_back(message)
        return self._try_later(message, "the gate's answer was never fresh enough to act on")

    def _rescheduled(self, case: Circumstances, wanted: ScheduledMessage) -> Handled | None:
        """For a message that the subject's newer version wants, or that is looked at before it is due; ``None``: it is
        to be decided on now.
        """
        message = case.message
        if wanted.version != message.version:
            return self._release(_renewed(case, wanted), Handled("retried"))
        if case.now >= wanted.due_at:
            return None
        at, why = outlook(case, wanted.due_at)
        if at <= case.now:
            if why == "pull_forward":
                return None
            warned = warn(case, wanted, store=self.store, publish=self.publish)
            at = wanted.due_at if warned else case.now
        moved = replace(message, due_at=at, first_due_at=None if at == wanted.due_at else wanted.due_at)
        return self._release(moved, Handled("held"))

    def _not_sent(self, case: Circumstances, decision: Decision, wanted: ScheduledMessage | None) -> Handled:
        decided = replace(case.message, rule=decision.rule, facts=decision.facts)
        if decision.action is Action.HOLD:
            return self._hold(decided, decision)
        if wanted and case.now < wanted.due_at:
            # What may not go early may go at its own time: the person may still write before that.
            return self._release(replace(decided, due_at=wanted.due_at, first_due_at=None), Handled("held"))
        return self._settle(replace(decided, state=State.SKIPPED), rule=decision.rule, facts=decision.facts)

    def expand(self, part: MessageKey, *, stop_at: datetime) -> bool:
        """Plans a broadcast's messages; ``False`` where more of that is left to do."""
        return expand_broadcast(
            part,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            settings=self.settings,
            stop_at=stop_at,
        )

    def _take_place(self, case: Circumstances) -> bool:
        """``False``: another run took one since the gate was read, and it has to be asked again."""
        if not case.caps:
            return True
        return self.store.take_place(case.message, case.places, at=case.now, keep_for=longest(case.caps) + GATE_HOLDS)

    def _give_back(self, message: ScheduledMessage) -> None:
        if self.settings.caps.get(message.terms.category):
            self.store.give_back(message)

    def _outbound(self, case: Circumstances, decision: Decision, gate_holds_until: datetime) -> OutboundMessage:
        said = {name: said.value for name, said in case.family.said.items() if name != "contact"} if case.family else {}
        before = deliver_before(case)
        return OutboundMessage(
            message=case.message,
            wording=self.render(case),
            data={f"{case.message.subject.kind}_id": case.message.subject.id, **said},
            decision=decision,
            free_text_until=free_text_until(case),
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
            case NotDelivered(error, retry_after):
                return self._try_later(decided, error, retry_after)
            case Unknown(error):
                unknown = replace(decided, state=State.UNCONFIRMED, error=error)
                return self._settle(unknown, claimed_at=message.claimed_at)

    def _hold(self, message: ScheduledMessage, decision: Decision) -> Handled:
        assert decision.until is not None
        told = out_event("MessageHeld", message, rule=decision.rule, until=decision.until, facts=decision.facts)
        rules = dict.fromkeys([*(message.held_by.split(", ") if message.held_by else ()), decision.rule or ""])
        held = replace(_put_off(message, decision.until), held_by=", ".join(rules))
        return self._release(held, Handled("held", told))

    def _note_opt_out(self, message: ScheduledMessage, topic: Topic) -> None:
        """What the provider knows holds here from now on."""
        cause = {"refused": message.scheduled_message_id}
        out = ChoiceMade(message.contact, topic, Choice(allowed=False, at=self.clock(), cause=cause))
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
        return self._unsent(message, self._release(_put_off(tried, due_at), Handled("retried")))

    def _fail(self, message: ScheduledMessage, error: str) -> Handled:
        failed = replace(message, state=State.FAILED, error=error)
        return self._unsent(message, self._settle(failed, error=error, attempts=failed.attempts))

    def _unsent(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """Its place is free, unless a receipt said meanwhile that it was sent after all."""
        return handled if handled.way == "sent" else self._without_place(message, handled)

    def _without_place(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """What became of the message is told also where its place cannot be given back."""
        try:
            self._give_back(message)
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
        return handled if stands.state is State.SCHEDULED else _came_to(stands)

    def _settle(self, message: ScheduledMessage, **told: Any) -> Handled:
        """Its end. Where a receipt came before the provider's answer, that is the end, and has been told."""
        settled = self.store.settle(replace(message, settled_at=self.clock()))
        stands = message if settled else self.store.read_message(message.key)
        if stands and stands.state is not message.state and message.state is not State.SENT:
            return _came_to(stands)
        rule = message.rule or "" if message.state is State.SKIPPED else ""
        event = out_event(f"Message{message.state.capitalize()}", message, **told)
        handled = Handled(message.state, event, rule, message=message)
        # Where the contact was erased meanwhile, nothing of it must come back by this.
        return handled if stands else self._without_place(message, handled)


def _came_to(message: ScheduledMessage) -> Handled:
    """By what others have said of it, and told, since it was claimed."""
    is_sent = message.state in (State.SENT, State.DELIVERED, State.UNDELIVERED)
    rule = message.rule or "" if message.state is State.SKIPPED else ""
    return Handled("sent" if is_sent else message.state, rule=rule, message=message)


def _put_off(message: ScheduledMessage, due_at: datetime) -> ScheduledMessage:
    return replace(message, due_at=due_at, first_due_at=message.first_due_at or message.due_at)


def _renewed(case: Circumstances, wanted: ScheduledMessage) -> ScheduledMessage:
    """The same message in the subject's newer version, which wants it still.

    A change that leaves this message's instant alone (another location, say) finds the row in a sender's hands
    and cannot write the new plan over it. The sender does that, instead of skipping what is wanted still.
    """
    message = case.message
    renewed = replace(wanted, planned_at=message.planned_at, attempts=message.attempts, claim_id=message.claim_id)
    return looked_ahead(replace(case, message=renewed), renewed)


@dataclass(slots=True)
class Drain:
    """One lane of one shard, worked off page by page; ``errors`` are for the run to raise."""

    sender: Sender
    lane: Lane
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
            while self._pass():
                pass
        except Exception as error:  # noqa: BLE001 - one shard's failure must not end the others
            self.errors.append(error)
        try:
            self._tell()
        except Exception as error:  # noqa: BLE001 - the same
            self.errors.append(error)

    def _pass(self) -> bool:
        """All that is due, once; whether a broadcast's part was among it."""
        sender, expanded = self.sender, len(self.expanded)
        for page in sender.store.due(sender.door, self.lane, self.shard, sender.clock()):
            for position, due in enumerate(sorted(page, key=_usefulness)):
                if sender.clock() >= self.stop_at:
                    # At least so many: what the index has beyond this page was not read.
                    self.tally["left", ""] += len(page) - position
                    return False
                if is_part(due.key):
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
        if handled.message and handled.message.terms.audience:
            of = part_key(handled.message.subject, handled.message.reason, self.shard)
            way = f"{handled.way}:{handled.rule}" if handled.rule else handled.way
            self.outcomes[of, handled.message.version][way] += 1
        if len(self.events) >= PUBLISH_AT_ONCE:
            self._tell()

    def _expand(self, part: MessageKey) -> None:
        if part in self.expanded:
            return
        self.expanded.add(part)
        try:
            ended = self.sender.expand(part, stop_at=self.stop_at)
        except Exception as error:  # noqa: BLE001 - nor one broadcast's; its cursor stands where it was
            ended = False
            self.errors.append(error)
        if not ended:
            self.tally["left", ""] += 1

    def _tell(self) -> None:
        """On the bus, and in the broadcasts' own count."""
        events, outcomes = self.events, dict(self.outcomes)
        self.events = []
        self.outcomes.clear()
        self.sender.publish(events)
        for (part, version), counted in outcomes.items():
            self.sender.store.count_outcomes(part, version, counted)


def _usefulness(due: DueKey) -> tuple[bool, datetime]:
    """What is of use for a shorter time comes first; a broadcast, whose messages are yet to be planned, last."""
    return is_part(due.key), due.useful_until
