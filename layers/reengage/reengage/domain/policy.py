"""Decide whether a due message may be sent now: one pure function over a table of rules (functions/README.md).

The rules are checked in order, and the first one that stops the message is reported. A new rule is a function and a
row in ``RULES``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from .caps import free_at
from .contact import CHANNELS
from .instants import iso
from .pause import facts_of
from .policy_input import PolicyInput, Snapshot, default_zone
from .policy_settings import PolicySettings
from .zones import tzdata_version

__all__ = [
    "PASS",
    "RULES",
    "SNAPSHOT_VALID_FOR",
    "STOP",
    "Action",
    "Decision",
    "PolicyInput",
    "PolicySettings",
    "Rule",
    "RuleResult",
    "Snapshot",
    "decide",
    "default_zone",
    "deliver_before",
    "free_text_until",
]

RECHECK_AFTER: Final = timedelta(hours=1)
"""A message of a contact without a known zone is checked again after this: the zone may be known by then."""

SNAPSHOT_VALID_FOR: Final = timedelta(seconds=2)
"""A message is handed over within this time of the read that the decision depends on, or the read is repeated."""

HINT: Final = "give a timezone in MessageReceived, the event or BrandConfigured, or set DefaultTimezone"


class Action(StrEnum):
    SEND = "send"
    HOLD = "hold"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` is ``None`` for a send; ``until`` is given with a hold. ``facts`` are JSON values."""

    action: Action
    rule: str | None
    facts: Mapping[str, Any]
    until: datetime | None = None


class RuleResult(NamedTuple):
    """What a rule found, and whether it stops the message: with ``until`` for a time, without it for good."""

    stops: bool
    facts: Mapping[str, Any] = MappingProxyType({})
    until: datetime | None = None


PASS: Final = RuleResult(stops=False)
STOP: Final = RuleResult(stops=True)

Rule = Callable[[PolicyInput], RuleResult]


def _superseded(context: PolicyInput) -> RuleResult:
    """The subject has changed since it planned this message."""
    track = context.track
    if not track or context.subject is None or context.is_undone:
        return PASS
    if context.subject.is_planned_elsewhere(context.message.contact):
        return RuleResult(stops=True, facts={"same_person": True})
    newest = context.subject.revision_of(track)
    if context.message.version == newest:
        is_elsewhere = context.message.reason_spec.audience is None and context.newest_elsewhere is not None
        return RuleResult(stops=True, facts={"same_person": True}) if is_elsewhere else PASS
    return RuleResult(stops=True, facts={"version": context.message.version, "subject_version": newest})


def _cancelled(context: PolicyInput) -> RuleResult:
    if not context.track:
        return RuleResult(stops=True, facts={"subject": "gone"})
    if context.is_undone:
        return RuleResult(stops=True, facts={"subject_version": context.track.revision})
    if context.message.reason_spec.audience == "interested" and (
        not context.interest or context.interest.is_undone("interest")
    ):
        return RuleResult(stops=True, facts={"interest": "withdrawn" if context.interest else "gone"})
    return PASS


def _erased(context: PolicyInput) -> RuleResult:
    message = context.message
    return STOP if context.preferences.erased_since(message.recipient.channel, message.planned_at) else PASS


MAX_WORD: Final = 40
"""Characters of a STOP that the facts quote: facts are kept in the row."""


def _opted_out(context: PolicyInput) -> RuleResult:
    refused = context.preferences.refused("contact", context.message.recipient.channel)
    if not refused:
        return PASS
    return RuleResult(stops=True, facts={"opted_out_at": iso(refused.at), "word": _word(refused.cause)})


def _word(cause: Any) -> str | None:
    """Return the person's own keyword, shortened; a business's cause may contain anything."""
    written = isinstance(cause, Mapping) and ("message_id" in cause or cause.get("linked") is True)
    word = cause.get("word") if written else None
    return word[:MAX_WORD] if isinstance(word, str) else None


def _no_conversation(context: PolicyInput) -> RuleResult:
    has_written = context.conversation is not None or (
        context.profile is not None and context.profile.is_kept(context.now)
    )
    return PASS if has_written else STOP


def _window_closed(context: PolicyInput) -> RuleResult:
    conversation = context.conversation
    moved_at = context.preferences.left_at(context.message.recipient.channel)
    if conversation and moved_at and context.is_left:
        return RuleResult(stops=True, facts={"moved_at": iso(moved_at)})
    return PASS if conversation and conversation.is_open(context.now) else STOP


def _too_late(context: PolicyInput) -> RuleResult:
    message = context.message
    if context.now < message.valid_until:
        return PASS
    held_by = message.hold_rules.split(", ")[-1] if message.hold_rules else None
    return RuleResult(stops=True, facts={"useful_until": iso(message.valid_until), "held_by": held_by})


def _no_consent(context: PolicyInput) -> RuleResult:
    """Check marketing consent: none was withdrawn, and one is on record if it is required."""
    if context.category != "marketing":
        return PASS
    choice = context.preferences.choice("marketing", context.message.recipient.channel)
    if choice and choice.allowed:
        return RuleResult(stops=False, facts={"consent": "recorded"})
    if choice:
        return RuleResult(stops=True, facts={"consent": "refused", "refused_at": iso(choice.at)})
    if context.message.reason_spec.needs_consent:
        return RuleResult(stops=True, facts={"consent": "not recorded"})
    if context.settings.marketing_consent != "required":
        return RuleResult(stops=False, facts={"consent": "not recorded"})
    source = context.settings.source("MarketingConsent", "marketing_consent")
    return RuleResult(stops=True, facts={"consent": "not recorded", **source})


def _channel_window(context: PolicyInput) -> RuleResult:
    """Allow only an approved template after the channel's own window."""
    if context.takes_text_at(context.now):
        return PASS
    assert context.conversation
    terms = CHANNELS[context.message.recipient.channel]
    assert terms.free_text_for
    until = context.conversation.last_inbound_at + terms.free_text_for
    facts = {"free_text_until": iso(until), "template": context.message.reason}
    if context.message.reason not in context.settings.whatsapp_templates:
        source = context.settings.source("WhatsAppTemplates")
        return RuleResult(stops=True, facts=facts | {"template_is": "not among WhatsAppTemplates", **source})
    return RuleResult(stops=True, facts=facts | {"template_is": "marketing to a number that may not get it"})


def _frequency_cap(context: PolicyInput) -> RuleResult:
    if not context.caps:
        return PASS
    # Cap usage is reserved at the snapshot, and the message may be handed over later by this much.
    sends = [at + SNAPSHOT_VALID_FOR for at in context.cap_usage.instants(but=context.message.scheduled_message_id)]
    counted = {str(cap): sum(instant > context.now - cap.period for instant in sends) for cap in context.caps}
    until = free_at(context.caps, sends, context.now)
    if until is None:
        return RuleResult(stops=False, facts={"counted": counted})
    if context.message.reason_spec.correction and until >= context.message.valid_until:
        # Else the person would act on what is false. It counts for the messages after it.
        return RuleResult(stops=False, facts={"counted": counted, "over_cap": True})
    name = {"utility": "UtilityCaps", "marketing": "MarketingCaps"}.get(context.category, "")
    source = context.settings.source(name, f"{context.category}_caps")
    return RuleResult(stops=True, facts={"counted": counted, **source}, until=until)


def _unknown_timezone(context: PolicyInput) -> RuleResult:
    """An unknown zone counts as quiet; so do several zones that have no allowed hour in common."""
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return PASS
    if context.allowed_from:
        return PASS
    facts = {"zone_from": context.zones.source, "hint": HINT}
    return RuleResult(stops=True, facts=facts, until=context.now + RECHECK_AFTER)


def _quiet_hours(context: PolicyInput) -> RuleResult:
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return PASS
    (zone_from, zones), allowed = context.zones, context.allowed_from
    assert allowed is not None
    facts = {
        "quiet_hours": str(hours),
        "zone": zones[0].key if len(zones) == 1 else f"{len(zones)} zones",
        "zone_from": zone_from,
        "local_time": context.now.astimezone(zones[0]).isoformat(timespec="minutes"),
        "tzdata": tzdata_version(),
    }
    if allowed <= context.now:
        return RuleResult(stops=False, facts=facts)
    name = {"utility": "UtilityQuietHours", "marketing": "MarketingQuietHours"}.get(context.category, "")
    setting = context.settings.source(name, f"{context.category}_quiet_hours")
    return RuleResult(stops=True, facts=facts | setting, until=allowed)


def _paused(context: PolicyInput) -> RuleResult:
    """Hold what a pause of the stack or of the brand covers, replies too."""
    found = context.pause
    if found is None:
        return PASS
    pause, source = found
    return RuleResult(stops=True, facts=facts_of(pause, source), until=pause.held_until(context.now))


ANSWERS_FOR: Final = timedelta(days=1)
"""How long a message of a person of the business may wait for its answer."""


def _in_conversation(context: PolicyInput) -> RuleResult:
    """Hold marketing and a greeting while the contact and the business write to each other.

    A person who writes within a day of a message of the business answers it, and gets no greeting.
    """
    pause, is_greeting = context.settings.conversation_pause, context.message.reason == "welcome_back"
    if pause is None or not (context.category == "marketing" or is_greeting):
        return PASS
    until = max(_talks_until(context, pause, max(pause, ANSWERS_FOR) if is_greeting else pause), default=context.now)
    if context.now >= until:
        return PASS
    facts = {"conversation_until": iso(until), "setting": "ConversationPause", "setting_from": "stack"}
    return RuleResult(stops=True, facts=facts, until=until)


def _talks_until(context: PolicyInput, pause: timedelta, agents_pause: timedelta) -> Iterator[datetime]:
    """Yield until when what the person and the business last wrote counts, at each address.

    A greeting does not wait for the message that it answers.
    """
    is_greeting = context.message.reason == "welcome_back"
    for conversation in context.conversations:
        if not is_greeting or conversation.last_inbound_at > _answered_at(context):
            yield conversation.last_inbound_at + pause
        if conversation.agent_replied_at:
            yield conversation.agent_replied_at + agents_pause


def _answered_at(context: PolicyInput) -> datetime:
    """Return when the message was sent that a reply answers."""
    return context.message.valid_until - (context.message.reason_spec.valid_for or timedelta())


def _dry_run(context: PolicyInput) -> RuleResult:
    """Skip what would be sent. It is the last rule, so the decision shows what would have been sent."""
    if not context.settings.dry_run:
        return PASS
    return RuleResult(stops=True, facts=context.settings.source("DryRun", "dry_run"))


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "superseded": _superseded,
        "cancelled": _cancelled,
        "erased": _erased,
        "opted_out": _opted_out,
        "no_conversation": _no_conversation,
        "window_closed": _window_closed,
        "too_late": _too_late,
        "no_consent": _no_consent,
        "channel_window": _channel_window,
        "paused": _paused,
        "in_conversation": _in_conversation,
        "frequency_cap": _frequency_cap,
        "unknown_timezone": _unknown_timezone,
        "quiet_hours": _quiet_hours,
        "dry_run": _dry_run,
    }
)

RULES_OF_REPLIES: Final = ("erased", "opted_out", "too_late", "paused", "in_conversation", "dry_run")


def decide(context: PolicyInput) -> Decision:
    """Decide on one due message, and return the facts of the decision."""
    facts, is_reply = _facts(context), context.category == "reply"
    for name, rule in RULES.items():
        if is_reply and name not in RULES_OF_REPLIES:
            continue
        answer = rule(context)
        facts |= {name: value for name, value in answer.facts.items() if value is not None}
        if not answer.stops:
            continue
        if answer.until is None:
            return Decision(Action.SKIP, name, facts)
        return _held(context, name, answer.until, facts)
    return Decision(Action.SEND, None, facts)


def deliver_before(context: PolicyInput) -> datetime:
    """Return the instant from which the message may not be sent: expired, outside the window, or in quiet hours."""
    ends = [context.message.valid_until]
    if context.category != "reply" and context.conversation:
        ends.append(context.conversation.closes_at)
    if hours := context.settings.quiet_hours.get(context.category):
        ends.append(hours.first_quiet(context.now, context.zones.zones))
    return min(ends)


def free_text_until(context: PolicyInput, before: datetime) -> datetime:
    """Return the end of the time in which the channel accepts free text; at most ``before``, its ``deliver_before``."""
    free_text_for = CHANNELS[context.message.recipient.channel].free_text_for
    if free_text_for is None or context.conversation is None:
        return before
    return min(before, context.conversation.last_inbound_at + free_text_for)


def _held(context: PolicyInput, rule: str, until: datetime, facts: dict[str, Any]) -> Decision:
    """Skip the message at once if the hold would outlast its validity, or its window."""
    if until >= context.message.valid_until:
        return Decision(Action.SKIP, "too_late", facts | {"held_by": rule, "until": iso(until)})
    if context.conversation and not context.conversation.is_open(until):
        return Decision(Action.SKIP, "window_closed", facts | {"held_by": rule, "until": iso(until)})
    return Decision(Action.HOLD, rule, facts, until)


def _facts(context: PolicyInput) -> dict[str, Any]:
    """Return the facts of every decision: its instant, and the state of the window."""
    facts: dict[str, Any] = {"decided_at": iso(context.now)}
    if context.conversation:
        facts["last_inbound_at"] = iso(context.conversation.last_inbound_at)
        facts["window_expires_at"] = iso(context.conversation.closes_at)
    return facts
