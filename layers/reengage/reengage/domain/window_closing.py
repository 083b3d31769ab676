"""Planning that knows the window: what is to become of a message that is due only after the window has closed.

The person may write again until then, and the window moves on; so whatever is planned here is asked again when it is
time, with the window as it stands by then.
"""

from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from .planning import earliest
from .policy import PolicyInput
from .preferences import Topic

CLOSING_MARGIN: Final = timedelta(hours=1)
"""A message that is pulled forward has this long for its tries, before the window closes."""


class ClosingPlan(NamedTuple):
    """``at`` is when a message is to be looked at next, and ``why``: because it is due; to be sent before the window
    closes; or to warn a business that it will have closed.
    """

    at: datetime
    why: Literal["due", "pull_forward", "warn"]


def plan_for_closing(context: PolicyInput, due_at: datetime) -> ClosingPlan:
    """For the case's message, which is due at ``due_at``. Where it cannot be pulled forward, a business is warned."""
    conversation = context.conversation
    if (
        conversation is None
        or not conversation.is_open(context.now)
        or conversation.is_open(due_at)
        or is_refused(context)
    ):
        return ClosingPlan(due_at, "due")
    when = context.settings.when_closing(context.message.reason)
    if when == "wait":
        return ClosingPlan(due_at, "due")
    if when == "pull_forward" and (at := _last_instant(context, conversation.closes_at)):
        return ClosingPlan(at, "pull_forward")
    if conversation.already_warned:
        return ClosingPlan(due_at, "due")
    return ClosingPlan(max(context.now, conversation.closes_at - context.settings.closing_notice), "warn")


def is_refused(context: PolicyInput) -> bool:
    """Nobody is to be reached otherwise who does not want to be reached."""
    topics: tuple[Topic, ...] = ("contact", "marketing") if context.category == "marketing" else ("contact",)
    return any(context.preferences.refused(topic, context.message.contact.channel) for topic in topics)


def _last_instant(context: PolicyInput, closes_at: datetime) -> datetime | None:
    """The last allowed instant before the window closes; ``None`` where that is too early, or cannot be told."""
    not_before = earliest(context.message, context.subject, closes_at)
    if not_before is None:
        return None
    first = max(context.now, not_before)
    last = max(closes_at - CLOSING_MARGIN, first)
    if last >= closes_at:
        return None
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return last
    zones = context.zones.zones
    at = hours.last_allowed(first, last, zones) if zones else None
    if at is None or at == last:
        return at
    # A night comes before: its beginning is an end to all tries, as the window's is.
    return hours.last_allowed(first, max(first, at - CLOSING_MARGIN), zones) or at
