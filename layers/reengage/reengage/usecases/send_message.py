"""Send one due message: claim it, decide by a fresh snapshot, hand it over once, and settle it.

The claim ensures that no two runs process one message. If a run stops half-way, its claim is found by a later run: a
claim that no running function can own any more becomes ``unconfirmed``. It is reported and never repeated.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from reengage.domain.caps import longest
from reengage.domain.events_out import out_event
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State, bounded_id
from reengage.domain.outbox import falls_back_event, outcome_event
from reengage.domain.pause import MARK
from reengage.domain.planning import replan
from reengage.domain.policy import SNAPSHOT_VALID_FOR, Action, Decision, PolicyInput, PolicySettings
from reengage.domain.preferences import OptOutScope
from reengage.domain.reasons import SendGroup
from reengage.domain.recipient import Choose, Position, choose
from reengage.domain.window_closing import plan_for_closing
from reengage.errors import NotPublished
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
    RunStore,
    Unknown,
)
from reengage.usecases import outcome as outcomes
from reengage.usecases.elsewhere import fall_back
from reengage.usecases.merge_messages import claim_others, may_merge, postponed_with, split
from reengage.usecases.outcome import Handled
from reengage.usecases.recheck_settings import recheck_cap
from reengage.usecases.recheck_window import LONGEST_BACKOFF, warn
from reengage.usecases.recipient_routes import RecipientRoutes
from reengage.usecases.record_choice import announce_choice, store_choice
from reengage.usecases.route_health import AlwaysUsable, Health
from reengage.usecases.still_needed import need_of

MAX_CHECKS: Final = 3
PREPARE_WITHIN: Final = SNAPSHOT_VALID_FOR / 2
"""A message must be ready this long after its snapshot; the rest of the time is for the connection."""

MAX_ATTEMPTS: Final = 7
"""After so many errors of our own, such as a text that cannot be rendered, a message fails: no retry repairs them."""

FIRST_BACKOFF: Final = timedelta(minutes=1)
MAX_BACKOFF: Final = LONGEST_BACKOFF
"""Each wait is twice as long as the one before, up to this; a message is retried for as long as it is valid."""


def _unlimited(_channel: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Sender:
    """Send single messages of a send group.

    ``claim_ttl``: a claim that is older belongs to no running function. ``rate_limiter`` waits for a send slot of the
    channel; ``False`` if this run has no slot left. ``route_position``: the place of a contact's route among all.
    """

    send_group: SendGroup
    settings: PolicySettings
    store: RunStore
    channel: Channel
    render: Render
    publish: Publish
    clock: Clock
    new_id: NewId
    claim_ttl: timedelta
    opt_out_scope: OptOutScope = "brand"
    rate_limiter: Callable[[str], bool] = _unlimited
    brand_rate_limiter: Callable[[str, float], bool] | None = None
    route_position: Position = lambda _: 0
    health: Health = field(default_factory=AlwaysUsable)

    def send_now(self, message: ScheduledMessage) -> None:
        """Send a message that cannot wait for the next run, by the same claim: called twice, it is sent once.

        A message that cannot be handed over now is left for the next run of its send group. The first call may have
        been killed before it published: a later call publishes the outcome again. Raises ``NotPublished``, and the
        error that prevented the send.
        """
        row = self.store.write_plan(message, at=message.planned_at)
        handled = self.handle(DueKey(row.key, row.due_at, row.valid_until))
        event = handled.event if handled else outcome_event(row)
        if event:
            self.publish([event])
        if handled and handled.error:
            raise handled.error

    def handle(self, due: DueKey, routes: Sequence[str] | None = None) -> Handled | None:
        """Process one message from claim to settlement. ``None``: another run has it, or it is gone.

        ``routes``: those that it may use; without them, all of its contact.
        """
        claim_id, now = self.new_id(), self.clock()
        message = self.store.claim(due, claim_id=claim_id, at=now)
        if message is None:
            message = self.store.read_message(due.key)
            if message is None or message.state is not State.SENDING:
                return None
            if message.claim_id != claim_id:
                return self._expire_claim(message, now)
            # The claim's answer was lost, and the retry of the request found our own claim.
        others: list[ScheduledMessage] = []
        try:
            ready = self._prepare(message, RecipientRoutes(self.channel, self.health, message, routes), others)
        except Exception as error:  # noqa: BLE001 - surely not sent, so it is retried; the run raises the error
            handled = self._give_up_or_retry(message, error)
            self._release_all(others)
            return handled
        if isinstance(ready, Handled):
            self._release_all(others)
            return ready
        return self._hand_over(*ready)

    def _hand_over(self, ready: OutboundMessage, routes: Sequence[str]) -> Handled:
        """Hand the message to its first route; to the next one only if the one before surely did not take it."""
        message = ready.message
        outcome: Outcome = Retryable("no route")
        for route in routes:
            try:
                outcome = self.channel.send(ready, route)
            except Exception as error:  # noqa: BLE001 - it may have been sent; the run raises the error
                outcome = Unknown(type(error).__name__)
                self.health.record(route, outcome, attempts=message.attempts)
                return self._record(message, ready, outcome)._replace(error=error)
            self.health.record(route, outcome, attempts=message.attempts)
            if not isinstance(outcome, Retryable) or outcome.of_recipient or self.clock() >= ready.start_before:
                break
        return self._record(message, ready, outcome)

    def _expire_claim(self, message: ScheduledMessage, now: datetime) -> Handled | None:
        """Settle another run's claim as ``unconfirmed`` once it is older than ``claim_ttl``; leave a younger one."""
        assert message.claimed_at is not None
        if now < message.claimed_at + self.claim_ttl:
            return None
        handled = self._settle(replace(message, state=State.UNCONFIRMED), claimed_at=message.claimed_at)
        # Its owner, or a receipt, may have settled it meanwhile.
        return handled if handled.outcome == State.UNCONFIRMED else None

    def _prepare(
        self, message: ScheduledMessage, routes: RecipientRoutes, others: list[ScheduledMessage]
    ) -> tuple[OutboundMessage, Sequence[str]] | Handled:
        """Return the message ready to be handed over within ``PREPARE_WITHIN`` of its snapshot, and the routes of its
        recipient; or its outcome.

        What blocks its routes counts only if no rule stops the message. ``others`` gets the claimed messages whose
        appointments the text names, too.
        """
        has_slot = has_others = False
        for _ in range(MAX_CHECKS):
            read_at = self.clock()
            snapshot = self.store.read_snapshot(message)
            select = partial(choose, position=self.route_position, is_blocked=routes.is_blocked)
            decided = self._decide(PolicyInput.of(snapshot, message, self.settings, self.clock()), select)
            if isinstance(decided, Handled):
                return decided
            context, decision = decided
            ready = self._ready_routes(context.message, routes)
            if isinstance(ready, Handled):
                return ready
            if not has_slot and not self._wait_for_slot(context):
                return self._release(message, Handled("left"))
            has_slot = True
            if not has_others:
                has_others = True
                others += claim_others(context, store=self.store, now=self.clock())
                if others:
                    continue  # the snapshots of all have to be fresh
            context = self._merged(context, others)
            if outbound := self._ready_in_time(context, decision, read_at):
                return outbound, ready
        return self._try_later(message, "no snapshot was fresh enough to act on")

    def _ready_routes(self, message: ScheduledMessage, routes: RecipientRoutes) -> Sequence[str] | Handled:
        """Return the routes that are ready; if no route is, what was done with the message instead."""
        ready, blocked_by = routes.of(message.recipient)
        if blocked_by:
            return self._try_later(message, blocked_by.error)
        is_blocked = not ready and routes.is_blocked(message.recipient)
        return self._release(message, Handled("left")) if is_blocked else ready

    def _needed(self, context: PolicyInput) -> PolicyInput | Handled:
        """Return the input if the person still needs the message, by what they received; else wait, or skip it."""
        verdict, needed, why, wait = need_of(context, self.store)
        if verdict == "wait":
            return self._release(outcomes.postponed(context.message, self.clock() + wait), Handled("held"))
        if verdict == "not_needed":
            facts = {"decided_at": iso(context.now), **why}
            skipped = replace(context.message, state=State.SKIPPED, rule="superseded", facts=facts)
            return self._settle(skipped, rule=skipped.rule, facts=facts)
        return needed

    def _merged(self, context: PolicyInput, others: list[ScheduledMessage]) -> PolicyInput:
        """Return the context with those of the others that may be sent now; release the rest."""
        if not others:
            return context
        fit, unfit = split(context, others, store=self.store, clock=self.clock)
        merged = replace(context, merged=tuple(fit))
        if not may_merge(context) or (fit and self.render(merged).names == 1):
            unfit, merged = list(others), context
        self._release_all(unfit)
        others[:] = [each.message for each in merged.merged]
        return merged

    def _release_all(self, others: Sequence[ScheduledMessage]) -> None:
        """Put the others back into the schedule. Publish at once if one was erased meanwhile."""
        released = [self._release(other, Handled("held")) for other in others]
        if events := [handled.event for handled in released if handled.event]:
            with suppress(NotPublished):  # the erasure deleted the rows: no list can name them
                self.publish(events)

    def _wait_for_slot(self, context: PolicyInput) -> bool:
        """Wait for a slot of the brand's own limit, if it has one for the channel, else of the stack's."""
        if self.brand_rate_limiter and (own := outcomes.own_rate(context)):
            return self.brand_rate_limiter(*own)
        return self.rate_limiter(context.message.recipient.channel)

    def _decide(self, context: PolicyInput, select: Choose) -> tuple[PolicyInput, Decision] | Handled:
        """Return the decision to send and the address that it is for, or what was done with the message instead."""
        wanted = replan(context.message, context.subject, context.default_zone)
        if wanted and (rescheduled := self._rescheduled(context.with_longest_window(), wanted)):
            return rescheduled
        chosen, decision = select(context)
        if decision.action is not Action.SEND:
            return self._not_sent(chosen, decision, wanted)
        needed = self._needed(chosen)
        return needed if isinstance(needed, Handled) else (needed, decision)

    def _ready_in_time(self, context: PolicyInput, decision: Decision, read_at: datetime) -> OutboundMessage | None:
        """Render the text and reserve the cap. ``None``: the snapshot is too old by now, and has to be read again."""
        if self.clock() - read_at > PREPARE_WITHIN:
            return None
        outbound = outcomes.outbound(context, decision, self.render(context), read_at + SNAPSHOT_VALID_FOR)
        if not self._reserve_cap(context):
            return None
        now = self.clock()
        if now - read_at <= PREPARE_WITHIN and now < outbound.start_before:
            return outbound
        self._release_cap(outbound.message)
        return None

    def _rescheduled(self, context: PolicyInput, wanted: ScheduledMessage) -> Handled | None:
        """For a message that the subject's newer version wants, or that is looked at before it is due; ``None``: it is
        to be decided on now.
        """
        message = context.message
        if wanted.version != message.version:
            return self._release(outcomes.rebased(context, wanted), Handled("retried"))
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
        if decision.rule == "dry_run":
            wording = self.render(context)
            decided = replace(decided, facts={**decision.facts, "text": wording.text, "locale": wording.locale})
        ended = outcomes.ended(decided, decision)
        if ended.state is State.FAILED:
            return self._fail(ended, ended.error or "")
        at = context.now if ended.state is State.UNDELIVERED else None
        return self._settle(ended, at=at, rule=decision.rule, facts=decided.facts)

    def _reserve_cap(self, context: PolicyInput) -> bool:
        """Reserve the caps; ``False`` if another run changed them since the snapshot, which must be read again."""
        if not context.caps:
            return True
        return self.store.reserve_cap(
            context.message, context.cap_usage, at=context.now, retention=longest(context.caps) + SNAPSHOT_VALID_FOR
        )

    def _release_cap(self, message: ScheduledMessage) -> None:
        if message.cap_holder or self.settings.caps.get(message.reason_spec.category):
            self.store.release_cap(message)

    def _record(self, message: ScheduledMessage, outbound: OutboundMessage, outcome: Outcome) -> Handled:
        """Store the channel's answer in the row of each message that the text named."""
        handled = self._record_one(message, outbound, outcome)
        if not outbound.others:
            return handled
        is_given = isinstance(outcome, Accepted | Unknown)
        first = None if is_given else self.store.read_message(message.key)
        others = []
        for other in outbound.others:
            if is_given:
                decision = replace(outbound.decision, rule=other.rule, facts=other.facts)
                others.append(self._record_one(other, replace(outbound, decision=decision), outcome))
            else:
                others.append(self._release(postponed_with(other, first), Handled("retried")))
        return handled._replace(others=tuple(others))

    def _record_one(self, message: ScheduledMessage, outbound: OutboundMessage, outcome: Outcome) -> Handled:
        decided = partial(replace, message, rule=outbound.decision.rule, facts=outbound.decision.facts)
        match outcome:
            case Accepted(provider, provider_id):
                answer = {"provider": provider, "provider_message_id": bounded_id(provider_id)}
                sent = decided(state=State.SENT, **answer, **self._kept_text(outbound))
                return self._settle(sent, **answer, sent_at=self.clock(), facts=outbound.decision.facts)
            case Refused(error):
                return self._refused(decided(attempts=message.attempts + 1, error=error), error)
            case OptedOut(error, topic):
                try:
                    opt_out = outcomes.opt_out(message, topic, self.clock())
                    announce_choice(opt_out, self.publish)  # first: once it is stored, no further decision leads here
                    store_choice(opt_out, store=self.store, opt_out_scope=self.opt_out_scope)
                except Exception as failed:  # noqa: BLE001 - surely not sent, so it is asked again; run() raises the error
                    return self._give_up_or_retry(decided(), failed)
                return self._fail(decided(attempts=message.attempts + 1), error)
            case Retryable(error, retry_after):
                return self._try_later(decided(), error, retry_after)
            case Unknown(error):
                unknown = decided(state=State.UNCONFIRMED, error=error, **self._kept_text(outbound))
                return self._settle(unknown, claimed_at=message.claimed_at)

    def _refused(self, message: ScheduledMessage, error: str) -> Handled:
        """Try the person's next address, else fail."""
        now = self.clock()
        again = fall_back(message, message.recipient, store=self.store, now=now)
        if again is None:
            return self._fail(message, error)
        return self._release_cap_unless_sent(message, Handled("retried", falls_back_event(again, now)))

    def _kept_text(self, outbound: OutboundMessage) -> dict[str, str]:
        return outcomes.text_fields(outbound) if self.settings.keep_texts else {}

    def _hold(self, message: ScheduledMessage, decision: Decision) -> Handled:
        assert decision.until is not None
        published = out_event("MessageHeld", message, rule=decision.rule, until=decision.until, facts=decision.facts)
        rules = dict.fromkeys([*(message.hold_rules.split(", ") if message.hold_rules else ()), decision.rule or ""])
        due_at = decision.until - MARK if decision.rule == "paused" else decision.until
        held = replace(outcomes.postponed(message, due_at), hold_rules=", ".join(rules))
        return self._release(held, Handled("held", published))

    def _give_up_or_retry(self, message: ScheduledMessage, error: Exception) -> Handled:
        """Retry after an error of our own, ``MAX_ATTEMPTS`` times in all; the run raises the error."""
        name = type(error).__name__
        if message.attempts + 1 >= MAX_ATTEMPTS:
            return self._fail(replace(message, attempts=message.attempts + 1), name)._replace(error=error)
        return self._try_later(message, name)._replace(error=error)

    def _try_later(self, message: ScheduledMessage, error: str, retry_after: timedelta | None = None) -> Handled:
        """Put the message back into the schedule, each time twice as far ahead, but not before ``retry_after``.

        If a breaker is open, it is due again at the next probe: while the breaker is open, a run leaves it as it is.
        """
        tried = replace(message, attempts=message.attempts + 1, error=error)
        is_down = any(self.health.is_open(route) for route in self.channel.routes(message.recipient))
        exponent = 0 if is_down else min(message.attempts, MAX_ATTEMPTS)
        backoff = min(FIRST_BACKOFF * 2**exponent, MAX_BACKOFF)
        due_at = self.clock() + max(backoff, retry_after or timedelta())
        return self._release_cap_unless_sent(
            message, self._release(outcomes.postponed(tried, due_at), Handled("retried"))
        )

    def _fail(self, message: ScheduledMessage, error: str) -> Handled:
        if message.undelivered_to and message.was_accepted:
            ended = self._settle(replace(message, state=State.UNDELIVERED, error=error), at=self.clock(), error=error)
        else:
            failed = replace(message, state=State.FAILED, error=error)
            ended = self._settle(failed, error=error, attempts=failed.attempts)
        return self._release_cap_unless_sent(message, ended, is_over=True)

    def _release_cap_unless_sent(
        self, message: ScheduledMessage, handled: Handled, *, is_over: bool = False
    ) -> Handled:
        """Release the cap usage, unless the message was sent: to an address that it did not reach, or by a receipt."""
        if handled.outcome == "sent" or (message.undelivered_to and message.was_accepted):
            return handled
        return self._release_cap_safely(message, handled, is_over=is_over)

    def _release_cap_safely(self, message: ScheduledMessage, handled: Handled, *, is_over: bool = False) -> Handled:
        """Release the cap usage, for another message if this one is over; if that fails, the outcome is published."""
        try:
            self._release_cap(message)
            if is_over and message.cap_holder:
                recheck_cap(message, store=self.store, now=self.clock())
        except Exception as error:  # noqa: BLE001 - a place too few, for a while; run() raises the error
            return handled._replace(error=error)
        return handled

    def _release(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """Back to the schedule. Where the row is gone, the contact was erased meanwhile: that is the message's end."""
        if self.store.release(message):
            return handled
        stored = self.store.read_message(message.key)
        if stored is None:
            facts = {"decided_at": iso(self.clock())}
            return Handled("skipped", out_event("MessageSkipped", message, rule="erased", facts=facts), "erased")
        return handled if stored.state is State.SCHEDULED else outcomes.already_settled(stored)

    def _settle(self, message: ScheduledMessage, **published: Any) -> Handled:
        """Store the final state. If a receipt already did, keep that and publish nothing."""
        message = replace(message, settled_at=self.clock())
        stored = message if self.store.settle(message) else self.store.read_message(message.key)
        if stored and stored.state is not message.state and message.state is not State.SENT:
            return outcomes.already_settled(stored)
        rule = message.rule or "" if message.state is State.SKIPPED else ""
        event = out_event(f"Message{message.state.capitalize()}", message, **published)
        # A fallback that did not arrive counts as failed in the run.
        outcome = State.FAILED if message.state is State.UNDELIVERED else message.state
        handled = Handled(outcome, event, rule, message=message)
        # Where the contact was erased meanwhile, nothing of it must come back by this.
        return handled if stored else self._release_cap_safely(message, handled)
