"""Plan for the window's end: what to do with a message that is due after the window closes.

The contact may write again until then, which moves the window. So each plan is rechecked at its time with the window
of that time.
"""

from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from .message import ScheduledMessage
from .planning import earliest
from .policy import PolicyInput

CLOSING_MARGIN: Final = timedelta(hours=1)
"""A message that is pulled forward has this long for its tries, before the window closes."""


class ClosingPlan(NamedTuple):
    """``at`` is the next time at which a message is processed.

    ``why``: because it is due, to send it before the window closes, or to warn the business.
    """

    at: datetime
    why: Literal["due", "pull_forward", "warn"]


Forecast = Literal["send", "window_closed", "no_conversation", "quiet_hours", "unknown_timezone"]


def forecast(context: PolicyInput, due_at: datetime) -> Forecast:
    """Return what will happen to the message at ``due_at`` if the person does not write again."""
    conversation = context.conversation
    if conversation is None or not conversation.is_open(due_at):
        known = conversation or (context.profile and context.profile.is_kept(due_at))
        return "window_closed" if known else "no_conversation"
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return "send"
    zones = context.zones_at(due_at).zones
    allowed = hours.first_allowed(due_at, zones) if zones else None
    if allowed is None:
        return "unknown_timezone"
    if allowed >= context.message.valid_until:
        return "quiet_hours"
    return "send" if conversation.is_open(allowed) else "window_closed"


class DueForecast(NamedTuple):
    """When a message will be due, and what will happen to it then."""

    due_at: datetime
    forecast: Forecast


def forecast_of(message: ScheduledMessage, context: PolicyInput) -> DueForecast:
    """Return when the message will be due, and what will happen to it then."""
    due_at = message.planned_due_at or message.due_at
    closing = plan_for_closing(context, due_at)
    due_at = closing.at if closing.why == "pull_forward" else due_at
    return DueForecast(due_at, forecast(context, due_at))


def with_longest_window(context: PolicyInput, due_at: datetime | None = None) -> PolicyInput:
    """Return the input for the person's address whose window is open for longest: until then the message can be sent.

    An address does not count if it cannot take the message when it would be sent. ``due_at``: when it is due, if that
    is not what its row has.
    """
    if not context.addresses:
        return context
    due_at = due_at or context.message.planned_due_at or context.message.due_at
    usable = [each for each in (context, *context.elsewhere()) if _is_usable(each, due_at)]
    return max(usable, key=lambda each: each.closes_at or context.now, default=context)


def _is_usable(context: PolicyInput, due_at: datetime) -> bool:
    is_open = context.conversation is not None and context.conversation.is_open(context.now)
    if not is_open or context.is_left or context.is_refused:
        return False
    plan = plan_for_closing(context, due_at)
    return context.takes_text_at(plan.at if plan.why == "pull_forward" else max(context.now, due_at))


def plan_for_closing(context: PolicyInput, due_at: datetime) -> ClosingPlan:
    """Plan the message, which is due at ``due_at``, before quiet hours or a closed window would cost it.

    If it cannot be sent before the window closes, a business is warned.
    """
    if at := _before_quiet_hours(context, due_at):
        return ClosingPlan(at, "pull_forward")
    conversation = context.conversation
    if (
        conversation is None
        or not conversation.is_open(context.now)
        or conversation.is_open(due_at)
        or context.is_refused
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


def _before_quiet_hours(context: PolicyInput, due_at: datetime) -> datetime | None:
    """Return an instant before the quiet hours that last until the message is not valid any more; else ``None``.

    Only for a reason with an earliest offset, and only while the window is open at that instant.
    """
    hours, valid_until = context.settings.quiet_hours.get(context.category), context.message.valid_until
    zones = context.zones.zones
    if not hours or not zones or context.message.reason_spec.earliest_offset is None or context.now >= valid_until:
        return None
    allowed = hours.first_allowed(max(due_at, context.now), zones)
    if allowed is None or allowed < valid_until:
        return None
    last = hours.last_allowed(context.now, due_at, zones)
    not_before = earliest(context.message, context.subject, last, context.default_zone) if last else None
    if last is None or not_before is None or not_before > last:
        return None
    first = max(context.now, not_before)
    at = hours.last_allowed(first, max(first, last - CLOSING_MARGIN), zones)
    return at if at and context.conversation and context.conversation.is_open(at) else None


def _last_instant(context: PolicyInput, closes_at: datetime) -> datetime | None:
    """Return the last allowed instant before the window closes; ``None`` if that is too early or not known."""
    not_before = earliest(context.message, context.subject, closes_at, context.default_zone)
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
