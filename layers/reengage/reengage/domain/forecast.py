"""Forecast a scheduled message: what the policy decides if nothing changes until it is due."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .policy import Action, Decision, PolicyInput
from .recipient import choose
from .window_closing import plan_for_closing, with_longest_window

MAX_HOLDS: Final = 20
"""Several rules may hold a message in turn: first a full cap, then quiet hours. More would be no forecast."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """``decision`` is made at ``at``, after the holds of ``held_by``."""

    decision: Decision
    at: datetime
    held_by: tuple[str, ...] = ()

    @property
    def is_sent(self) -> bool:
        return self.decision.action is Action.SEND


def forecast(context: PolicyInput, due_at: datetime) -> Forecast:
    """Decide at the instant at which the message is sent, and again after each hold."""
    plan = plan_for_closing(with_longest_window(context, due_at), due_at)
    at = plan.at if plan.why == "pull_forward" else max(context.now, due_at)
    held_by: list[str] = []
    _, decision = choose(replace(context, now=at))
    while decision.action is Action.HOLD and decision.until and len(held_by) < MAX_HOLDS:
        held_by.append(decision.rule or "")
        at = decision.until
        _, decision = choose(replace(context, now=at))
    return Forecast(decision, at, tuple(held_by))
