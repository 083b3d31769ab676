"""May this due message go out now? One pure function over a table of rules (CONTRACT.md, "The policy's rules").

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
from .caps import Cap, Places, free_at
from .contact import CHANNELS, Profile
from .conversation import Conversation
from .instants import iso, parse_zone
from .message import ScheduledMessage
from .preferences import Preferences
from .quiet_hours import QuietHours
from .reasons import Category
from .subject import Family, Subject
from .zones import Zones, tzdata_version, zones_of

ASKED_AGAIN: Final = timedelta(hours=1)
"""A message whose person's zone cannot be told is looked at again after this: the zone may be known by then."""

GATE_HOLDS: Final = timedelta(seconds=2)
"""A message is handed over within this time of the gate that said so, or the gate is asked again."""

MEND: Final = "give a timezone in MessageReceived, the event or BrandConfigured, or set DefaultTimezone"


WhenWindowWillClose = Literal["wait", "pull_forward", "warn"]
"""What becomes of a message that is due after the window closes: see ``closing.outlook``."""


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
    def looks_ahead(self) -> bool:
        """Whether it matters for any message that the window will be closed when it is due."""
        return {self.when_window_will_close, *self.when_closing_for.values()} != {"wait"}


def place_of(brand: Brand | None, settings: PolicySettings) -> tzinfo | None:
    """Whose calendar the brand's own days go by."""
    name = (brand and brand.timezone) or settings.default_timezone
    return parse_zone(name) if name else None


@dataclass(frozen=True, slots=True)
class Circumstances:
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
    places: Places = field(default_factory=Places)
    settings: PolicySettings = field(default_factory=PolicySettings)
    interest: Subject | None = None

    def __post_init__(self) -> None:
        channel = self.message.contact.channel
        profile, conversation = self.preferences.remembered(channel, self.profile, self.conversation)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "conversation", conversation)

    @property
    def family(self) -> Family | None:
        return self.subject.families.get(self.message.terms.family) if self.subject else None

    @property
    def is_undone(self) -> bool:
        """Whether the subject's newest word is that there is nothing to say any more."""
        terms = self.message.terms
        return self.subject is None or self.subject.is_undone(terms.family, also_by=terms.undone_with)

    @property
    def category(self) -> Category:
        return self.message.terms.category

    @property
    def caps(self) -> tuple[Cap, ...]:
        return self.settings.caps.get(self.category, ())

    @property
    def place(self) -> tzinfo | None:
        return place_of(self.brand, self.settings)

    @property
    def zones(self) -> Zones:
        """Whose clocks the person goes by."""
        return zones_of(
            self.message.contact,
            contact_zone=self.profile.timezone if self.profile else None,
            event_zone=self.family.get("timezone") if self.family else None,
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


class Answer(NamedTuple):
    """What a rule saw, and whether that stops the message: with ``until`` for a time, without it for good."""

    stops: bool
    facts: Mapping[str, Any] = MappingProxyType({})
    until: datetime | None = None


PASS: Final = Answer(stops=False)
STOP: Final = Answer(stops=True)

Rule = Callable[[Circumstances], Answer]


def _superseded(case: Circumstances) -> Answer:
    """The subject has moved on since it asked for this message."""
    family = case.family
    if not family or case.subject is None or case.is_undone:
        return PASS
    newest = case.subject.revision_of(family)
    if case.message.version == newest:
        return PASS
    return Answer(stops=True, facts={"version": case.message.version, "subject_version": newest})


def _cancelled(case: Circumstances) -> Answer:
    if not case.family:
        return Answer(stops=True, facts={"subject": "gone"})
    if case.is_undone:
        return Answer(stops=True, facts={"subject_version": case.family.revision})
    if case.message.terms.audience == "interested" and (not case.interest or case.interest.is_undone("interest")):
        return Answer(stops=True, facts={"interest": "withdrawn" if case.interest else "gone"})
    return PASS


def _erased(case: Circumstances) -> Answer:
    message = case.message
    return STOP if case.preferences.erased_since(message.contact.channel, message.planned_at) else PASS


def _opted_out(case: Circumstances) -> Answer:
    refused = case.preferences.refused("contact", case.message.contact.channel)
    if not refused:
        return PASS
    word = refused.cause.get("word") if isinstance(refused.cause, Mapping) else None
    return Answer(stops=True, facts={"opted_out_at": iso(refused.at), "word": word})


def _no_conversation(case: Circumstances) -> Answer:
    heard = case.conversation is not None or (case.profile is not None and case.profile.is_kept(case.now))
    return PASS if heard else STOP


def _window_closed(case: Circumstances) -> Answer:
    return PASS if case.conversation and case.conversation.is_open(case.now) else STOP


def _too_late(case: Circumstances) -> Answer:
    late = case.now >= case.message.useful_until
    return Answer(stops=True, facts={"useful_until": iso(case.message.useful_until)}) if late else PASS


def _no_consent(case: Circumstances) -> Answer:
    """Marketing alone needs it: none was taken back, and one is on record where that is asked for."""
    if case.category != "marketing":
        return PASS
    choice = case.preferences.choice("marketing", case.message.contact.channel)
    if choice and choice.allowed:
        return Answer(stops=False, facts={"consent": "recorded"})
    if choice:
        return Answer(stops=True, facts={"consent": "refused", "refused_at": iso(choice.at)})
    required = case.settings.marketing_consent == "required" or case.message.terms.needs_consent
    return Answer(stops=required, facts={"consent": "not recorded"})


def _channel_window(case: Circumstances) -> Answer:
    """Past the channel's own window only an approved template may go."""
    terms, contact = CHANNELS[case.message.contact.channel], case.message.contact
    if terms.free_text_for is None or case.conversation is None:
        return PASS
    until = case.conversation.last_inbound_at + terms.free_text_for
    if case.now < until:
        return PASS
    facts = {"free_text_until": iso(until), "template": case.message.reason}
    if case.message.reason not in case.settings.whatsapp_templates:
        return Answer(stops=True, facts=facts | {"template_is": "not among WhatsAppTemplates"})
    if case.category == "marketing" and contact.address.startswith(terms.no_marketing_templates_to):
        return Answer(stops=True, facts=facts | {"template_is": "marketing to a number that may not get it"})
    return PASS


def _frequency_cap(case: Circumstances) -> Answer:
    if not case.caps:
        return PASS
    # A place is taken at the gate, and the message may have been handed over later by this much.
    sends = [at + GATE_HOLDS for at in case.places.instants(but=case.message.scheduled_message_id)]
    counted = {str(cap): sum(instant > case.now - cap.period for instant in sends) for cap in case.caps}
    until = free_at(case.caps, sends, case.now)
    return Answer(stops=until is not None, facts={"counted": counted}, until=until)


def _unknown_timezone(case: Circumstances) -> Answer:
    """A zone that cannot be told is treated as quiet; so are several that leave no hour in which all allow it."""
    hours = case.settings.quiet_hours.get(case.category)
    if not hours:
        return PASS
    zones = case.zones
    if zones.zones and hours.first_allowed(case.now, zones.zones):
        return PASS
    return Answer(stops=True, facts={"zone_from": zones.source, "mend": MEND}, until=case.now + ASKED_AGAIN)


def _quiet_hours(case: Circumstances) -> Answer:
    hours = case.settings.quiet_hours.get(case.category)
    if not hours:
        return PASS
    source, zones = case.zones
    allowed = hours.first_allowed(case.now, zones)
    assert allowed is not None
    facts = {
        "quiet_hours": str(hours),
        "zone": zones[0].key if len(zones) == 1 else f"{len(zones)} zones",
        "zone_from": source,
        "local_time": case.now.astimezone(zones[0]).isoformat(timespec="minutes"),
        "tzdata": tzdata_version(),
    }
    quiet = allowed > case.now
    return Answer(stops=quiet, facts=facts, until=allowed if quiet else None)


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


def decide(case: Circumstances) -> Decision:
    """The decision on one due message, with the facts that it rests on."""
    facts = _facts(case)
    for name, rule in RULES.items():
        if case.category == "reply" and name not in ASKED_OF_REPLIES:
            continue
        answer = rule(case)
        facts |= {name: value for name, value in answer.facts.items() if value is not None}
        if not answer.stops:
            continue
        if answer.until is None:
            return Decision(Action.SKIP, name, facts)
        return _held(case, name, answer.until, facts)
    return Decision(Action.SEND, None, facts)


def deliver_before(case: Circumstances) -> datetime:
    """The instant from which the message may no longer go out: of no use, outside the window, or in quiet hours."""
    ends = [case.message.useful_until]
    if case.category != "reply" and case.conversation:
        ends.append(case.conversation.closes_at)
    if hours := case.settings.quiet_hours.get(case.category):
        ends.append(hours.first_quiet(case.now, case.zones.zones))
    return min(ends)


def free_text_until(case: Circumstances) -> datetime:
    """The end of the time in which the channel takes free text from us."""
    before = deliver_before(case)
    free_text_for = CHANNELS[case.message.contact.channel].free_text_for
    if free_text_for is None or case.conversation is None:
        return before
    return min(before, case.conversation.last_inbound_at + free_text_for)


def _held(case: Circumstances, rule: str, until: datetime, facts: dict[str, Any]) -> Decision:
    """A hold that would outlast the message's use, or its window, is a skip at once."""
    if until >= case.message.useful_until:
        return Decision(Action.SKIP, "too_late", facts | {"held_by": rule, "until": iso(until)})
    if case.conversation and not case.conversation.is_open(until):
        return Decision(Action.SKIP, "window_closed", facts | {"held_by": rule, "until": iso(until)})
    return Decision(Action.HOLD, rule, facts, until)


def _facts(case: Circumstances) -> dict[str, Any]:
    """What every decision reports: when it was made, and how the window stood."""
    facts: dict[str, Any] = {"decided_at": iso(case.now)}
    if case.conversation:
        facts["last_inbound_at"] = iso(case.conversation.last_inbound_at)
        facts["window_expires_at"] = iso(case.conversation.closes_at)
    return facts
