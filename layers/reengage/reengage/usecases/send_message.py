"""Send one due message: claim it, decide by a fresh snapshot, hand it over once, and settle it.

The claim ensures that no two runs process one message. If a run stops half-way, its claim is found by a later run: a
claim that no running function can own any more becomes ``unconfirmed``. It is reported and never repeated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from reengage.domain.caps import longest
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.outbox import outcome_event
from reengage.domain.planning import replan
from reengage.domain.policy import SNAPSHOT_VALID_FOR, Action, Decision, PolicyInput, PolicySettings, Snapshot
from reengage.domain.preferences import OptOutScope
from reengage.domain.reasons import SendGroup
from reengage.domain.recipient import Choose, Position, choose
from reengage.domain.window_closing import plan_for_closing, with_longest_window
from reengage.ports import (
    Channel,
    Clock,
    DueKey,
    NewId,
    OutboundMessage,
    Outcome,
    Publish,
    Render,
    Retryable,
    RunStore,
    Unknown,
)
from reengage.usecases import outcome as outcomes
from reengage.usecases.merge_messages import claim_others, may_merge, split
from reengage.usecases.outcome import Handled
from reengage.usecases.person import note_channels
from reengage.usecases.recent_brands import BrandRows, RecentBrands
from reengage.usecases.recheck_window import warn
from reengage.usecases.recipient_routes import RecipientRoutes
from reengage.usecases.route_health import AlwaysUsable, Health
from reengage.usecases.settle_message import Settler
from reengage.usecases.still_needed import need_of

MAX_CHECKS: Final = 3
PREPARE_WITHIN: Final = SNAPSHOT_VALID_FOR / 2
"""A message must be ready this long after its snapshot; the rest of the time is for the connection."""


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
    recent_brands: RecentBrands = field(default_factory=RecentBrands)
    settler: Settler = field(init=False)

    def __post_init__(self) -> None:
        given = (self.settings, self.store, self.channel, self.publish, self.clock, self.opt_out_scope, self.health)
        object.__setattr__(self, "settler", Settler(*given))

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
            handled = self.settler.give_up_or_retry(message, error)
            self.settler.release_all(others)
            return handled
        if isinstance(ready, Handled):
            self.settler.release_all(others)
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
                return self.settler.record(message, ready, outcome)._replace(error=error)
            self.health.record(route, outcome, attempts=message.attempts)
            if not isinstance(outcome, Retryable) or outcome.of_recipient or self.clock() >= ready.start_before:
                break
        return self.settler.record(message, ready, outcome)

    def _expire_claim(self, message: ScheduledMessage, now: datetime) -> Handled | None:
        """Settle another run's claim as ``unconfirmed`` once it is older than ``claim_ttl``; leave a younger one."""
        assert message.claimed_at is not None
        if now < message.claimed_at + self.claim_ttl:
            return None
        # The rule and the facts of an earlier hold are not those of this claim.
        earlier: dict[str, Any] = {} if message.is_decided_to_send else {"rule": None, "facts": {}}
        unknown = replace(message, state=State.UNCONFIRMED, **earlier)
        handled = self.settler.settle(unknown, claimed_at=message.claimed_at)
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
        brands = self.recent_brands.of(message.contact.brand, self.clock())
        for _ in range(MAX_CHECKS):
            select = partial(choose, position=self.route_position, is_blocked=routes.is_blocked)
            decided, read_at = self._checked(message, brands, select)
            brands = None  # a further check has all of its time
            if isinstance(decided, Handled):
                return decided
            context, decision = decided
            ready = self._ready_routes(context.message, routes)
            if isinstance(ready, Handled):
                return ready
            if not has_slot and not self._wait_for_slot(context):
                return self.settler.release(message, Handled("left"))
            has_slot = True
            if context.is_on_new_channel:
                note_channels(message.contact, [context.message.recipient.channel], context.now, self.store)
                continue  # before it is sent: the answer and the receipt come by that channel
            if not has_others:
                has_others = True
                others += claim_others(context, store=self.store, now=self.clock())
                if others:
                    continue  # the snapshots of all have to be fresh
            context = self._merged(context, others)
            if outbound := self._ready_in_time(context, decision, read_at):
                return outbound, ready
        return self.settler.try_later(message, "no snapshot was fresh enough to act on")

    def _checked(
        self, message: ScheduledMessage, brands: BrandRows | None, select: Choose
    ) -> tuple[tuple[PolicyInput, Decision] | Handled, datetime]:
        """Decide by a snapshot; return with the decision the start of the oldest read that it rests on."""
        snapshot, read_at = self._read_snapshot(message, brands)
        context = PolicyInput.of(snapshot, message, self.settings, self.clock())
        decided = self._decide(context, select, is_shared=brands is not None)
        return self._checked(message, None, select) if decided is None else (decided, read_at)

    def _read_snapshot(self, message: ScheduledMessage, brands: BrandRows | None) -> tuple[Snapshot, datetime]:
        """Return the snapshot and the start of the oldest read that it rests on."""
        if brands:
            return self.store.read_snapshot(message, brands=brands.rows), brands.read_at
        read_at = self.clock()
        snapshot = self.store.read_snapshot(message)
        self.recent_brands.note(message.contact.brand, snapshot, read_at)
        return snapshot, read_at

    def _ready_routes(self, message: ScheduledMessage, routes: RecipientRoutes) -> Sequence[str] | Handled:
        """Return the routes that are ready; if no route is, what was done with the message instead."""
        ready, blocked_by = routes.of(message.recipient)
        if blocked_by:
            return self.settler.try_later(message, blocked_by.error)
        is_blocked = not ready and routes.is_blocked(message.recipient)
        return self.settler.release(message, Handled("left")) if is_blocked else ready

    def _needed(self, context: PolicyInput) -> PolicyInput | Handled:
        """Return the input if the person still needs the message, by what they received; else wait, or skip it."""
        verdict, needed, why, wait = need_of(context, self.store)
        if verdict == "wait":
            return self.settler.release(outcomes.postponed(context.message, self.clock() + wait), Handled("held"))
        if verdict == "not_needed":
            facts = {"decided_at": iso(context.now), **why}
            skipped = replace(context.message, state=State.SKIPPED, rule="superseded", facts=facts)
            return self.settler.settle(skipped, rule=skipped.rule, facts=facts)
        return needed

    def _merged(self, context: PolicyInput, others: list[ScheduledMessage]) -> PolicyInput:
        """Return the context with those of the others that may be sent now; release the rest."""
        if not others:
            return context
        fit, unfit = split(context, others, store=self.store, clock=self.clock)
        merged = replace(context, merged=tuple(fit))
        if not may_merge(context) or (fit and self.render(merged).names == 1):
            unfit, merged = list(others), context
        self.settler.release_all(unfit)
        others[:] = [each.message for each in merged.merged]
        return merged

    def _wait_for_slot(self, context: PolicyInput) -> bool:
        """Wait for a slot of the brand's own limit, if it has one for the channel, else of the stack's."""
        if self.brand_rate_limiter and (own := outcomes.own_rate(context)):
            return self.brand_rate_limiter(*own)
        return self.rate_limiter(context.message.recipient.channel)

    def _decide(
        self, context: PolicyInput, select: Choose, *, is_shared: bool
    ) -> tuple[PolicyInput, Decision] | Handled | None:
        """Return the decision to send and the address that it is for, or what was done with the message instead.

        ``None``: the decision is to delay, hold or skip, and only a send may rest on shared rows of the brand. If
        settings change, what is held by then is decided anew; so a hold must not come later by former settings.
        """
        wanted = replan(context.message, context.subject, context.default_zone)
        if wanted and is_shared and not _is_due(context, wanted):
            return None
        if wanted and (rescheduled := self._rescheduled(with_longest_window(context, wanted.due_at), wanted)):
            return rescheduled
        chosen, decision = select(context)
        if decision.action is not Action.SEND:
            return None if is_shared else self._not_sent(chosen, decision, wanted)
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
        self.settler.release_cap(outbound.message)
        return None

    def _rescheduled(self, context: PolicyInput, wanted: ScheduledMessage) -> Handled | None:
        """For a message that the subject's newer version wants, or that is looked at before it is due; ``None``: it is
        to be decided on now.
        """
        message = context.message
        if _is_due(context, wanted):
            return None
        if wanted.version != message.version:
            return self.settler.release(outcomes.rebased(context, wanted), Handled("retried"))
        at, why = plan_for_closing(context, wanted.due_at)
        if at <= context.now:
            if why == "pull_forward":
                return None
            warned = warn(context, wanted, store=self.store, publish=self.publish)
            at = wanted.due_at if warned else context.now
        moved = replace(message, due_at=at, planned_due_at=None if at == wanted.due_at else wanted.due_at)
        return self.settler.release(moved, Handled("held"))

    def _not_sent(self, context: PolicyInput, decision: Decision, wanted: ScheduledMessage | None) -> Handled:
        decided = replace(context.message, rule=decision.rule, facts=decision.facts)
        if decision.action is Action.HOLD:
            return self.settler.hold(decided, decision)
        if wanted and context.now < wanted.due_at:
            # What may not go early may go at its own time: the person may still write before that.
            return self.settler.release(replace(decided, due_at=wanted.due_at, planned_due_at=None), Handled("held"))
        if decision.rule == "dry_run":
            wording = self.render(context)
            decided = replace(decided, facts={**decision.facts, "text": wording.text, "locale": wording.locale})
        ended = outcomes.ended(decided, decision)
        if ended.state is State.FAILED:
            return self.settler.fail(ended, ended.error or "")
        at = context.now if ended.state is State.UNDELIVERED else None
        return self.settler.settle(ended, at=at, rule=decision.rule, facts=decided.facts)

    def _reserve_cap(self, context: PolicyInput) -> bool:
        """Reserve the caps; ``False`` if another run changed them since the snapshot, which must be read again."""
        if not context.caps:
            return True
        return self.store.reserve_cap(
            context.message, context.cap_usage, at=context.now, retention=longest(context.caps) + SNAPSHOT_VALID_FOR
        )


def _is_due(context: PolicyInput, wanted: ScheduledMessage) -> bool:
    """Return whether the message is the one that the subject wants, and its time has come."""
    return wanted.version == context.message.version and context.now >= wanted.due_at
