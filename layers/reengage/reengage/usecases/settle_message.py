"""Store the outcome of a claimed message: settle it, or put it back into the schedule."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from reengage.domain.events_out import out_event
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State, bounded_id
from reengage.domain.outbox import falls_back_event
from reengage.domain.pause import MARK
from reengage.domain.policy import Decision, PolicySettings
from reengage.domain.preferences import OptOutScope
from reengage.errors import NotPublished
from reengage.ports import (
    Accepted,
    Channel,
    Clock,
    OptedOut,
    OutboundMessage,
    Outcome,
    Publish,
    Refused,
    Retryable,
    RunStore,
    Unknown,
)
from reengage.usecases import outcome as outcomes
from reengage.usecases.elsewhere import fall_back
from reengage.usecases.merge_messages import postponed_with
from reengage.usecases.outcome import Handled
from reengage.usecases.recheck_settings import recheck_cap
from reengage.usecases.recheck_window import LONGEST_BACKOFF
from reengage.usecases.record_choice import announce_choice, store_choice
from reengage.usecases.route_health import Health

MAX_ATTEMPTS: Final = 7
"""After so many errors of our own, such as a text that cannot be rendered, a message fails: no retry repairs them."""

FIRST_BACKOFF: Final = timedelta(minutes=1)
MAX_BACKOFF: Final = LONGEST_BACKOFF
"""Each wait is twice as long as the one before, up to this; a message is retried for as long as it is valid."""


@dataclass(frozen=True, slots=True)
class Settler:
    """Store what a decision or a channel's answer makes of a message that this run has claimed.

    Each method returns what was done, with the event to publish. Where the contact was erased meanwhile, nothing of the
    message is stored again.
    """

    settings: PolicySettings
    store: RunStore
    channel: Channel
    publish: Publish
    clock: Clock
    opt_out_scope: OptOutScope
    health: Health

    def record(self, message: ScheduledMessage, outbound: OutboundMessage, outcome: Outcome) -> Handled:
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
                others.append(self.release(postponed_with(other, first), Handled("retried")))
        return handled._replace(others=tuple(others))

    def _record_one(self, message: ScheduledMessage, outbound: OutboundMessage, outcome: Outcome) -> Handled:
        decided = partial(replace, message, rule=outbound.decision.rule, facts=outbound.decision.facts)
        match outcome:
            case Accepted(provider, provider_id):
                answer = {"provider": provider, "provider_message_id": bounded_id(provider_id)}
                sent = decided(state=State.SENT, **answer, **self._kept_text(outbound))
                return self.settle(sent, **answer, sent_at=self.clock(), facts=outbound.decision.facts)
            case Refused(error):
                return self._refused(decided(attempts=message.attempts + 1, error=error), error)
            case OptedOut(error, topic):
                try:
                    opt_out = outcomes.opt_out(message, topic, self.clock())
                    announce_choice(opt_out, self.publish)  # first: once it is stored, no further decision leads here
                    store_choice(opt_out, store=self.store, opt_out_scope=self.opt_out_scope)
                except Exception as failed:  # noqa: BLE001 - surely not sent, so it is asked again; run() raises the error
                    return self.give_up_or_retry(decided(), failed)
                return self.fail(decided(attempts=message.attempts + 1), error)
            case Retryable(error, retry_after):
                return self.try_later(decided(), error, retry_after)
            case Unknown(error):
                unknown = decided(state=State.UNCONFIRMED, error=error, **self._kept_text(outbound))
                return self.settle(unknown, claimed_at=message.claimed_at)

    def _refused(self, message: ScheduledMessage, error: str) -> Handled:
        """Try the person's next address, else fail."""
        now = self.clock()
        again = fall_back(message, message.recipient, store=self.store, now=now)
        if again is None:
            return self.fail(message, error)
        return self._release_cap_unless_sent(message, Handled("retried", falls_back_event(again, now)))

    def _kept_text(self, outbound: OutboundMessage) -> dict[str, str]:
        return outcomes.text_fields(outbound) if self.settings.keep_texts else {}

    def hold(self, message: ScheduledMessage, decision: Decision) -> Handled:
        assert decision.until is not None
        published = out_event("MessageHeld", message, rule=decision.rule, until=decision.until, facts=decision.facts)
        rules = dict.fromkeys([*(message.hold_rules.split(", ") if message.hold_rules else ()), decision.rule or ""])
        due_at = decision.until - MARK if decision.rule == "paused" else decision.until
        held = replace(outcomes.postponed(message, due_at), hold_rules=", ".join(rules))
        return self.release(held, Handled("held", published))

    def give_up_or_retry(self, message: ScheduledMessage, error: Exception) -> Handled:
        """Retry after an error of our own, ``MAX_ATTEMPTS`` times in all; the run raises the error."""
        name = type(error).__name__
        if message.attempts + 1 >= MAX_ATTEMPTS:
            return self.fail(replace(message, attempts=message.attempts + 1), name)._replace(error=error)
        return self.try_later(message, name)._replace(error=error)

    def try_later(self, message: ScheduledMessage, error: str, retry_after: timedelta | None = None) -> Handled:
        """Put the message back into the schedule, each time twice as far ahead, but not before ``retry_after``.

        If a breaker is open, it is due again at the next probe: while the breaker is open, a run leaves it as it is.
        """
        tried = replace(message, attempts=message.attempts + 1, error=error)
        is_down = any(self.health.is_open(route) for route in self.channel.routes(message.recipient))
        exponent = 0 if is_down else min(message.attempts, MAX_ATTEMPTS)
        backoff = min(FIRST_BACKOFF * 2**exponent, MAX_BACKOFF)
        due_at = self.clock() + max(backoff, retry_after or timedelta())
        return self._release_cap_unless_sent(
            message, self.release(outcomes.postponed(tried, due_at), Handled("retried"))
        )

    def fail(self, message: ScheduledMessage, error: str) -> Handled:
        if message.undelivered_to and message.was_accepted:
            ended = self.settle(replace(message, state=State.UNDELIVERED, error=error), at=self.clock(), error=error)
        else:
            failed = replace(message, state=State.FAILED, error=error)
            ended = self.settle(failed, error=error, attempts=failed.attempts)
        return self._release_cap_unless_sent(message, ended, is_over=True)

    def release_all(self, others: Sequence[ScheduledMessage]) -> None:
        """Put the others back into the schedule. Publish at once if one was erased meanwhile."""
        released = [self.release(other, Handled("held")) for other in others]
        if events := [handled.event for handled in released if handled.event]:
            with suppress(NotPublished):  # the erasure deleted the rows: no list can name them
                self.publish(events)

    def release_cap(self, message: ScheduledMessage) -> None:
        if message.cap_holder or self.settings.caps.get(message.reason_spec.category):
            self.store.release_cap(message)

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
            self.release_cap(message)
            if is_over and message.cap_holder:
                recheck_cap(message, store=self.store, now=self.clock())
        except Exception as error:  # noqa: BLE001 - a place too few, for a while; run() raises the error
            return handled._replace(error=error)
        return handled

    def release(self, message: ScheduledMessage, handled: Handled) -> Handled:
        """Back to the schedule. Where the row is gone, the contact was erased meanwhile: that is the message's end."""
        if self.store.release(message):
            return handled
        stored = self.store.read_message(message.key)
        if stored is None:
            facts = {"decided_at": iso(self.clock())}
            return Handled("skipped", out_event("MessageSkipped", message, rule="erased", facts=facts), "erased")
        return handled if stored.state is State.SCHEDULED else outcomes.already_settled(stored)

    def settle(self, message: ScheduledMessage, **published: Any) -> Handled:
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
