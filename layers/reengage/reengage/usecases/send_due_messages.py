"""What is due at one door: each message is claimed, judged by a fresh clock, handed over once, and settled.

A claim makes sure that no two runs have one message in hand. Whatever stops a run, what it held is found again:
a claim that nobody can be working on any more becomes ``unconfirmed``, and is reported instead of repeated.
"""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from reengage.domain.contact import CHANNELS, SHARDS
from reengage.domain.events_out import OutEvent, out_event
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import planned_messages
from reengage.domain.policy import Action, Circumstances, Decision, decide, deliver_before
from reengage.domain.reasons import Door
from reengage.ports import (
    Accepted,
    Channel,
    Clock,
    DueKey,
    NewId,
    NotDelivered,
    OutboundMessage,
    Outcome,
    Publish,
    Refused,
    Render,
    Store,
    Unknown,
)

GATE_HOLDS: Final = timedelta(seconds=2)
"""A provider call starts within this time of its gate, or the gate is asked again."""

GATES: Final = 3
MAX_ATTEMPTS: Final = 5
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


@dataclass(frozen=True, slots=True)
class Sender:
    """One door's engine. ``claim_lasts``: after that time nobody can be working on a claim any more."""

    door: Door
    store: Store
    channels: Mapping[str, Channel]
    render: Render
    publish: Publish
    clock: Clock
    new_id: NewId
    claim_lasts: timedelta

    def run(self, *, stop_at: datetime) -> Tally:
        """Drains every shard until ``stop_at``, and returns once every thread has ended.

        One message's failure does not hold up the others; what failed is raised at the end, together.
        """
        # Each minute another shard comes first, so that under a backlog none is always the one to wait.
        first = int(self.clock().timestamp()) // 60
        with ThreadPoolExecutor(WORKERS) as pool:
            drained = [pool.submit(self._drain, (first + n) % SHARDS, stop_at) for n in range(SHARDS)]
        tally: Tally = Counter()
        errors: list[Exception] = []
        for shard in drained:
            counted, failed = shard.result()
            tally += counted
            errors += failed
        if errors:
            raise ExceptionGroup(f"{self.door}: {len(errors)} errors in a run of {summary(tally)}", errors)
        return tally

    def _drain(self, shard: int, stop_at: datetime) -> tuple[Tally, list[Exception]]:
        tally: Tally = Counter()
        errors: list[Exception] = []
        events: list[OutEvent] = []
        try:
            keys = self.store.due(self.door, shard, self.clock())
        except Exception as error:  # noqa: BLE001 - one shard's failure must not end the others; run() raises it
            return tally, [error]
        for position, due in enumerate(keys):
            if self.clock() >= stop_at:
                tally["left", ""] += len(keys) - position
                break
            try:
                handled = self._handle(due)
            except Exception as error:  # noqa: BLE001 - nor one message's; its claim is found again, and reported
                handled = Handled("left", error=error)
            if handled is None:
                continue
            tally[handled.way, handled.rule] += 1
            errors += [handled.error] if handled.error else []
            events += [handled.event] if handled.event else []
            if len(events) >= PUBLISH_AT_ONCE:
                self.publish(events)
                events = []
        self.publish(events)
        return tally, errors

    def _handle(self, due: DueKey) -> Handled | None:
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
            ready = self._prepare(message)
        except Exception as error:  # noqa: BLE001 - surely not sent, so it may be tried again; run() raises the error
            return self._try_later(message, type(error).__name__)._replace(error=error)
        if isinstance(ready, Handled):
            return ready
        return self._record(message, ready, self.channels[message.contact.channel].send(ready))

    def _abandoned(self, message: ScheduledMessage, now: datetime) -> Handled | None:
        """Another run's claim: left alone while that run may be at work; past that, nobody knows what became of it."""
        assert message.claimed_at is not None
        if now < message.claimed_at + self.claim_lasts:
            return None
        handled = self._settle(replace(message, state=State.UNCONFIRMED), claimed_at=message.claimed_at)
        stands = self.store.read_message(message.key)
        # Its owner, or a receipt, may have said meanwhile what became of it.
        return handled if stands and stands.state is State.UNCONFIRMED else None

    def _prepare(self, message: ScheduledMessage) -> OutboundMessage | Handled:
        """The message ready to be handed over within ``GATE_HOLDS`` of its gate, or what was done with it instead."""
        for _ in range(GATES):
            asked_at = self.clock()
            subject, profile, conversation = self.store.read_circumstances(message)
            case = Circumstances(message, subject, profile, conversation, self.clock())
            if renewed := _renewed(case):
                self.store.release(renewed)
                return Handled("retried")
            decision = decide(case)
            decided = replace(message, rule=decision.rule, facts=decision.facts)
            if decision.action is Action.SKIP:
                return self._settle(replace(decided, state=State.SKIPPED), rule=decision.rule, facts=decision.facts)
            if decision.action is Action.HOLD:
                return self._hold(decided, decision)
            outbound = self._outbound(case, decision)
            now = self.clock()
            if now - asked_at <= GATE_HOLDS and now < outbound.deliver_before:
                return outbound
        return self._try_later(message, "the gate's answer was never fresh enough to act on")

    def _outbound(self, case: Circumstances, decision: Decision) -> OutboundMessage:
        assert case.family is not None
        assert case.conversation is not None
        before = deliver_before(case)
        free_text_for = CHANNELS[case.message.contact.channel].free_text_for
        free_text_until = case.conversation.last_inbound_at + free_text_for if free_text_for else before
        said = {name: said.value for name, said in case.family.said.items() if name != "contact"}
        return OutboundMessage(
            message=case.message,
            wording=self.render(case),
            data={f"{case.message.subject.kind}_id": case.message.subject.id, **said},
            decision=decision,
            free_text_until=min(free_text_until, before),
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
            case NotDelivered(error):
                return self._try_later(decided, error)
            case Unknown(error):
                unknown = replace(decided, state=State.UNCONFIRMED, error=error)
                return self._settle(unknown, claimed_at=message.claimed_at)

    def _hold(self, message: ScheduledMessage, decision: Decision) -> Handled:
        assert decision.until is not None
        self.store.release(replace(message, due_at=decision.until))
        told = out_event("MessageHeld", message, rule=decision.rule, until=decision.until, facts=decision.facts)
        return Handled("held", told)

    def _try_later(self, message: ScheduledMessage, error: str) -> Handled:
        """Back to the schedule, each time twice as far ahead, until the attempts have run out."""
        tried = replace(message, attempts=message.attempts + 1, error=error)
        if tried.attempts >= MAX_ATTEMPTS:
            return self._fail(tried, error)
        self.store.release(replace(tried, due_at=self.clock() + FIRST_BACKOFF * 2**message.attempts))
        return Handled("retried")

    def _fail(self, message: ScheduledMessage, error: str) -> Handled:
        failed = replace(message, state=State.FAILED, error=error)
        return self._settle(failed, error=error, attempts=failed.attempts)

    def _settle(self, message: ScheduledMessage, **told: Any) -> Handled:
        self.store.settle(replace(message, settled_at=self.clock()))
        rule = message.rule or "" if message.state is State.SKIPPED else ""
        return Handled(message.state, out_event(f"Message{message.state.capitalize()}", message, **told), rule)


def _renewed(case: Circumstances) -> ScheduledMessage | None:
    """The same message in the subject's newer version, where that still wants it.

    A change that leaves this message's instant alone (another location, say) finds the row in a sender's hands
    and cannot write the new plan over it. The sender does that, instead of skipping what is wanted still.
    """
    message, family = case.message, case.family
    if not family or family.revision == message.version:
        return None
    for planned in planned_messages(case.subject):
        if planned.key == message.key:
            return replace(planned, attempts=message.attempts, claim_id=message.claim_id)
    return None
