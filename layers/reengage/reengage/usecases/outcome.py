"""The outcome of one message in a run, and how a message that is not sent yet goes back into the schedule."""

from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from reengage.domain.asking import asks_for_answer
from reengage.domain.commands import RecordChoice
from reengage.domain.events_out import OutEvent
from reengage.domain.message import ASKED, MERGED_INTO, MERGED_WITH, ScheduledMessage, State
from reengage.domain.parameters import parse_rates
from reengage.domain.policy import Decision, PolicyInput, decide, deliver_before, free_text_until
from reengage.domain.preferences import Choice, Topic
from reengage.ports import OutboundMessage, Wording
from reengage.usecases.recheck_window import with_closing_plan


class Handled(NamedTuple):
    """The outcome of one message, the event to publish, and the error of ours that prevented a send."""

    outcome: str
    event: OutEvent | None = None
    rule: str = ""
    error: Exception | None = None
    message: ScheduledMessage | None = None
    others: tuple["Handled", ...] = ()
    """The outcomes of the other messages that the text named."""


def subject_data(context: PolicyInput) -> dict[str, Any]:
    """Return the fields that the business gave about the subject, and its id."""
    fields = context.track.fields if context.track else {}
    given = {name: field.value for name, field in fields.items() if name != "contact"}
    return {f"{context.message.subject.kind}_id": context.message.subject.id, **given}


def merged_into(message: ScheduledMessage, context: PolicyInput, *, asks: bool) -> ScheduledMessage:
    """Return another message that the text of ``message`` names, with the facts of its own decision."""
    is_asked = asks and asks_for_answer(context.message, context.subject, context.brand)
    facts = {**decide(context).facts, **({ASKED: True} if is_asked else {})}
    return replace(context.message, rule=None, facts={**facts, MERGED_INTO: message.scheduled_message_id})


def outbound(
    context: PolicyInput, decision: Decision, wording: Wording, snapshot_valid_until: datetime
) -> OutboundMessage:
    """Return the message with its text, data and time limits."""
    data = subject_data(context)
    own_end = deliver_before(context)
    before, text_until = min([own_end, *map(deliver_before, context.merged)]), free_text_until(context, own_end)
    if wording.replies and asks_for_answer(context.message, context.subject, context.brand):
        decision = replace(decision, facts={**decision.facts, ASKED: True})
    if context.merged:
        ids = [each.message.scheduled_message_id for each in context.merged]
        decision = replace(decision, facts={**decision.facts, MERGED_WITH: ids})
        data["others"] = [subject_data(each) for each in context.merged]
    return OutboundMessage(
        message=_with_cap_holder(context),
        wording=wording,
        data=data,
        decision=decision,
        free_text_until=text_until,
        # A template names one appointment.
        start_before=min(snapshot_valid_until, before, *([text_until] if context.merged else ())),
        deliver_before=before,
        others=[merged_into(context.message, each, asks=bool(wording.replies)) for each in context.merged],
    )


def _with_cap_holder(context: PolicyInput) -> ScheduledMessage:
    """Return the message with the address whose row counts it, if there are caps."""
    if not context.caps:
        return context.message
    return replace(context.message, cap_holder=context.cap_usage.holder or context.message.contact)


def text_fields(outbound: OutboundMessage) -> dict[str, str]:
    """Return the fields of a message with the text that the person has, or may have, received."""
    wording = outbound.wording
    return {"text": wording.text, "locale": wording.locale, "template": wording.template}


def opt_out(message: ScheduledMessage, topic: Topic, at: datetime) -> RecordChoice:
    """Return the opt-out that a provider reports by refusing the message: it holds here from now on."""
    cause = {"refused": message.scheduled_message_id}
    return RecordChoice(message.recipient, topic, Choice(allowed=False, at=at, cause=cause))


def own_rate(context: PolicyInput) -> tuple[str, float] | None:
    """Return the brand's own limit of messages a second on the recipient's channel, with its name."""
    brand, channel = context.brand, context.message.recipient.channel
    rates = parse_rates(brand.messages_per_second) if brand and brand.messages_per_second else {}
    return (f"{brand.id}/{channel}", rates[channel]) if brand and channel in rates else None


def already_settled(message: ScheduledMessage) -> Handled:
    """Return the outcome of a message that a receipt or another run has already settled."""
    is_sent = message.state in (State.SENT, State.DELIVERED, State.UNDELIVERED)
    rule = message.rule or "" if message.state is State.SKIPPED else ""
    return Handled("sent" if is_sent else message.state, rule=rule, message=message)


def ended(message: ScheduledMessage, decision: Decision) -> ScheduledMessage:
    """Return a message that a rule stops, in its final state.

    One that a provider took before, and that did not arrive, stays undelivered. If no address took it, it failed.
    """
    if message.undelivered_to and message.was_accepted:
        return replace(message, state=State.UNDELIVERED)
    is_failed = message.undelivered_to and decision.rule is None
    return replace(message, state=State.FAILED if is_failed else State.SKIPPED)


def postponed(message: ScheduledMessage, due_at: datetime) -> ScheduledMessage:
    return replace(message, due_at=due_at, planned_due_at=message.planned_due_at or message.due_at)


def rebased(context: PolicyInput, wanted: ScheduledMessage) -> ScheduledMessage:
    """Return the same message in the subject's newer version, which still plans it.

    A change that keeps this message's instant (another location, say) finds a claimed row and cannot replace it.
    The sender replaces it, instead of skipping a message that is still planned.
    """
    message = context.message
    renewed = replace(
        wanted,
        planned_at=message.planned_at,
        attempts=message.attempts,
        claim_id=message.claim_id,
        undelivered_to=message.undelivered_to,
    )
    return with_closing_plan(replace(context, message=renewed), renewed)
