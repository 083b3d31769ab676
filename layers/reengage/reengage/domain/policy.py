"""May this due message go out now? One pure function over a table of rules (functions/README.md).

The rules are asked in order, and the first one that stops the message is the one that is reported. A new rule
is a function and a row in ``RULES``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from .brand import Brand
from .caps import Cap, CapUsage, free_at
from .contact import CHANNELS, Profile
from .conversation import Conversation
from .instants import iso, parse_zone
from .message import ScheduledMessage
from .parameters import WhenWindowWillClose
from .preferences import Preferences
from .quiet_hours import QuietHours
from .reasons import Category
from .subject import Subject, Track
from .zones import Zones, tzdata_version, zones_of

ASKED_AGAIN: Final = timedelta(hours=1)
"""A message whose person's zone cannot be told is looked at again after this: the zone may be known by then."""

SNAPSHOT_VALID_FOR: Final = timedelta(seconds=2)
"""A message is handed over within this time of the gate that said so, or the gate is asked again."""

HINT: Final = "give a timezone in MessageReceived, the event or BrandConfigured, or set DefaultTimezone"


class Action(StrEnum):
    SEND = "send"
    HOLD = "hold"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What the stack's parameters say. A category that is not in ``quiet_hours`` or ``caps`` has none.

    ``whatsapp_templates``: the reasons whose template WhatsApp has approved. ``when_window_will_close`` holds for each
    reason that is not in ``when_closing_for``; ``closing_notice`` is how long before that a business hears of it.
    """

    marketing_consent: Literal["implied", "required"] = "implied"
    quiet_hours: Mapping[Category, QuietHours] = field(default_factory=dict)
    caps: Mapping[Category, tuple[Cap, ...]] = field(default_factory=dict)
    default_timezone: str | None = None
    whatsapp_templates: frozenset[str] = frozenset()
    when_window_will_close: WhenWindowWillClose = "wait"
    when_closing_for: Mapping[str, WhenWindowWillClose] = field(default_factory=dict)
    closing_notice: timedelta = timedelta(days=1)

    def when_closing(self, reason: str) -> WhenWindowWillClose:
        return self.when_closing_for.get(reason, self.when_window_will_close)

    @property
    def plans_for_closing(self) -> bool:
        """Whether it matters for any message that the window will be closed when it is due."""
        return {self.when_window_will_close, *self.when_closing_for.values()} != {"wait"}


def default_zone(brand: Brand | None, settings: PolicySettings) -> tzinfo | None:
    """Whose calendar the brand's own days go by."""
    name = (brand and brand.timezone) or settings.default_timezone
    return parse_zone(name) if name else None


class Snapshot(NamedTuple):
    """What one strongly consistent read finds for the decision on a message; ``cap_usage`` of its category."""

    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    brand: Brand | None
    cap_usage: CapUsage
    interest: Subject | None = None


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """What one strongly consistent read found, and the clock after it; ``places`` of the message's category.

    ``interest`` is the contact's own in what the message is about, for a reason that goes to those who have shown some.
    What an erasure has marked, and not deleted yet, is left out.
    """

    message: ScheduledMessage
    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    now: datetime
    preferences: Preferences = field(default_factory=Preferences)
    brand: Brand | None = None
    cap_usage: CapUsage = field(default_factory=CapUsage)
    settings: PolicySettings = field(default_factory=PolicySettings)
    interest: Subject | None = None

    @classmethod
    def of(
        cls, snapshot: Snapshot, message: ScheduledMessage, settings: PolicySettings, now: datetime
    ) -> "PolicyInput":
        """Combine the snapshot with the message, the settings and the time after the read."""
        return cls(
            message=message,
            subject=snapshot.subject,
            profile=snapshot.profile,
            conversation=snapshot.conversation,
            now=now,
            preferences=snapshot.preferences,
            brand=snapshot.brand,
            cap_usage=snapshot.cap_usage,
            settings=settings,
            interest=snapshot.interest,
        )

    def __post_init__(self) -> None:
        channel = self.message.contact.channel
        profile, conversation = self.preferences.without_erased(channel, self.profile, self.conversation)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "conversation", conversation)

    @property
    def track(self) -> Track | None:
        return self.subject.tracks.get(self.message.reason_spec.track) if self.subject else None

    @property
    def is_undone(self) -> bool:
        """Whether the subject's newest word is that there is nothing to say any more."""
        reason_spec = self.message.reason_spec
        return self.subject is None or self.subject.is_undone(reason_spec.track, also_by=reason_spec.also_cancelled_by)

    @property
    def category(self) -> Category:
        return self.message.reason_spec.category

    @property
    def caps(self) -> tuple[Cap, ...]:
        return self.settings.caps.get(self.category, ())

    @property
    def default_zone(self) -> tzinfo | None:
        return default_zone(self.brand, self.settings)

    @property
    def zones(self) -> Zones:
        """Whose clocks the person goes by."""
        return zones_of(
            self.message.contact,
            contact_zone=self.profile.timezone if self.profile else None,
            event_zone=self.track.get("timezone") if self.track else None,
            brand_zone=self.brand.timezone if self.brand else None,
            default_zone=self.settings.default_timezone,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` is ``None`` for a send; ``until`` is given with a hold. ``facts`` are JSON values."""

    action: Action
    rule: str | None
    facts: Mapping[str, Any]
    until: datetime | None = None


class RuleResult(NamedTuple):
    """What a rule saw, and whether that stops the message: with ``until`` for a time, without it for good."""

    stops: bool
    facts: Mapping[str, Any] = MappingProxyType({})
    until: datetime | None = None


PASS: Final = RuleResult(stops=False)
STOP: Final = RuleResult(stops=True)

Rule = Callable[[PolicyInput], RuleResult]


def _superseded(context: PolicyInput) -> RuleResult:
    """The subject has moved on since it asked for this message."""
    track = context.track
    if not track or context.subject is None or context.is_undone:
        return PASS
    newest = context.subject.revision_of(track)
    if context.message.version == newest:
        return PASS
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
    return STOP if context.preferences.erased_since(message.contact.channel, message.planned_at) else PASS


def _opted_out(context: PolicyInput) -> RuleResult:
    refused = context.preferences.refused("contact", context.message.contact.channel)
    if not refused:
        return PASS
    word = refused.cause.get("word") if isinstance(refused.cause, Mapping) else None
    return RuleResult(stops=True, facts={"opted_out_at": iso(refused.at), "word": word})


def _no_conversation(context: PolicyInput) -> RuleResult:
    heard = context.conversation is not None or (context.profile is not None and context.profile.is_kept(context.now))
    return PASS if heard else STOP


def _window_closed(context: PolicyInput) -> RuleResult:
    conversation, preferences = context.conversation, context.preferences
    if conversation and preferences.moved_at and preferences.left_since(conversation.last_inbound_at):
        return RuleResult(stops=True, facts={"moved_at": iso(preferences.moved_at)})
    return PASS if conversation and conversation.is_open(context.now) else STOP


def _too_late(context: PolicyInput) -> RuleResult:
    late = context.now >= context.message.valid_until
    return RuleResult(stops=True, facts={"useful_until": iso(context.message.valid_until)}) if late else PASS


def _no_consent(context: PolicyInput) -> RuleResult:
    """Marketing alone needs it: none was taken back, and one is on record where that is asked for."""
    if context.category != "marketing":
        return PASS
    choice = context.preferences.choice("marketing", context.message.contact.channel)
    if choice and choice.allowed:
        return RuleResult(stops=False, facts={"consent": "recorded"})
    if choice:
        return RuleResult(stops=True, facts={"consent": "refused", "refused_at": iso(choice.at)})
    required = context.settings.marketing_consent == "required" or context.message.reason_spec.needs_consent
    return RuleResult(stops=required, facts={"consent": "not recorded"})


def _channel_window(context: PolicyInput) -> RuleResult:
    """Past the channel's own window only an approved template may go."""
    reason_spec, contact = CHANNELS[context.message.contact.channel], context.message.contact
    if reason_spec.free_text_for is None or context.conversation is None:
        return PASS
    until = context.conversation.last_inbound_at + reason_spec.free_text_for
    if context.now < until:
        return PASS
    facts = {"free_text_until": iso(until), "template": context.message.reason}
    if context.message.reason not in context.settings.whatsapp_templates:
        return RuleResult(stops=True, facts=facts | {"template_is": "not among WhatsAppTemplates"})
    if context.category == "marketing" and contact.address.startswith(reason_spec.no_marketing_templates_to):
        return RuleResult(stops=True, facts=facts | {"template_is": "marketing to a number that may not get it"})
    return PASS


def _frequency_cap(context: PolicyInput) -> RuleResult:
    if not context.caps:
        return PASS
    # A place is taken at the gate, and the message may have been handed over later by this much.
    sends = [at + SNAPSHOT_VALID_FOR for at in context.cap_usage.instants(but=context.message.scheduled_message_id)]
    counted = {str(cap): sum(instant > context.now - cap.period for instant in sends) for cap in context.caps}
    until = free_at(context.caps, sends, context.now)
    return RuleResult(stops=until is not None, facts={"counted": counted}, until=until)


def _unknown_timezone(context: PolicyInput) -> RuleResult:
    """A zone that cannot be told is treated as quiet; so are several that leave no hour in which all allow it."""
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return PASS
    zones = context.zones
    if zones.zones and hours.first_allowed(context.now, zones.zones):
        return PASS
    return RuleResult(stops=True, facts={"zone_from": zones.source, "mend": HINT}, until=context.now + ASKED_AGAIN)


def _quiet_hours(context: PolicyInput) -> RuleResult:
    hours = context.settings.quiet_hours.get(context.category)
    if not hours:
        return PASS
    source, zones = context.zones
    allowed = hours.first_allowed(context.now, zones)
    assert allowed is not None
    facts = {
        "quiet_hours": str(hours),
        "zone": zones[0].key if len(zones) == 1 else f"{len(zones)} zones",
        "zone_from": source,
        "local_time": context.now.astimezone(zones[0]).isoformat(timespec="minutes"),
        "tzdata": tzdata_version(),
    }
    quiet = allowed > context.now
    return RuleResult(stops=quiet, facts=facts, until=allowed if quiet else None)


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
        "frequency_cap": _frequency_cap,
        "unknown_timezone": _unknown_timezone,
        "quiet_hours": _quiet_hours,
    }
)

ASKED_OF_REPLIES: Final = ("erased", "opted_out", "too_late")


def decide(context: PolicyInput) -> Decision:
    """The decision on one due message, with the facts that it rests on."""
    facts = _facts(context)
    for name, rule in RULES.items():
        if context.category == "reply" and name not in ASKED_OF_REPLIES:
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
    """The instant from which the message may no longer go out: of no use, outside the window, or in quiet hours."""
    ends = [context.message.valid_until]
    if context.category != "reply" and context.conversation:
        ends.append(context.conversation.closes_at)
    if hours := context.settings.quiet_hours.get(context.category):
        ends.append(hours.first_quiet(context.now, context.zones.zones))
    return min(ends)


def free_text_until(context: PolicyInput) -> datetime:
    """The end of the time in which the channel takes free text from us."""
    before = deliver_before(context)
    free_text_for = CHANNELS[context.message.contact.channel].free_text_for
    if free_text_for is None or context.conversation is None:
        return before
    return min(before, context.conversation.last_inbound_at + free_text_for)


def _held(context: PolicyInput, rule: str, until: datetime, facts: dict[str, Any]) -> Decision:
    """A hold that would outlast the message's use, or its window, is a skip at once."""
    if until >= context.message.valid_until:
        return Decision(Action.SKIP, "too_late", facts | {"held_by": rule, "until": iso(until)})
    if context.conversation and not context.conversation.is_open(until):
        return Decision(Action.SKIP, "window_closed", facts | {"held_by": rule, "until": iso(until)})
    return Decision(Action.HOLD, rule, facts, until)


def _facts(context: PolicyInput) -> dict[str, Any]:
    """What every decision reports: when it was made, and how the window stood."""
    facts: dict[str, Any] = {"decided_at": iso(context.now)}
    if context.conversation:
        facts["last_inbound_at"] = iso(context.conversation.last_inbound_at)
        facts["window_expires_at"] = iso(context.conversation.closes_at)
    return facts
