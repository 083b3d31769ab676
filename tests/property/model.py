"""A second, simpler implementation of what may be sent; it shares only the types of values with the app.

The app folds events one by one in any order; the model sorts them and merges them.
The app has a table of rules; the model has one function. The app computes with clocks; the model steps by minutes.
The app uses what it reads; the model uses what was stored.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from reengage.domain.caps import Cap
from reengage.domain.commands import ConfigureBrand, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.domain.policy import PolicySettings
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.usecases.ingest_settings import IngestSettings

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAYS_30 = timedelta(days=30)
NEVER = datetime.min.replace(tzinfo=UTC)

ZONE_OF_NUMBER: Mapping[str, str] = {
    "+4915112345678": "Europe/Berlin",
    "+4915112345679": "Europe/Berlin",
    "+16502530000": "America/Los_Angeles",
}
CATEGORIES: Mapping[str, Category] = {
    "appointment_reminder": "utility",
    "appointment_moved": "utility",
    "appointment_cancelled": "utility",
    "online_check_in": "utility",
    "trial_follow_up": "marketing",
    "product_reminder": "marketing",
    "cart_reminder": "marketing",
    "order_shipped": "utility",
    "review_request": "marketing",
    "back_in_stock": "marketing",
    "product_preview": "marketing",
    "holiday_hours": "marketing",
    "welcome_back": "reply",
    "help_reply": "reply",
    "answer_reply": "reply",
}
EVERY_CHANNEL = "every channel"


class Wanted(NamedTuple):
    due: datetime
    valid_until: datetime


type Plans = Callable[[Mapping[str, Any]], list[Planned]]


def days(at: datetime, number: int, zone: tzinfo) -> datetime:
    """Return the same time of day on that zone's clock; no history uses one that the zone skips."""
    return (at.astimezone(zone) + timedelta(days=number)).astimezone(UTC)


OFFSETS: Mapping[str, Callable[[datetime, tzinfo], datetime]] = {
    "PT30M": lambda at, _: at - timedelta(minutes=30),
    "PT2H": lambda at, _: at - timedelta(hours=2),
    "PT12H": lambda at, _: at - timedelta(hours=12),
    "PT24H": lambda at, _: at - timedelta(hours=24),
    "P1D": lambda at, zone: days(at, -1, zone),
    "P7D": lambda at, zone: days(at, -7, zone),
}

FOLLOW_UPS: Mapping[str, Callable[[datetime, tzinfo], datetime]] = {
    "-P3D": lambda at, zone: days(at, -3, zone),
    "P1D": lambda at, zone: days(at, 1, zone),
    "PT1H": lambda at, _: at + timedelta(hours=1),
}


TRACKS: Mapping[str, str] = {
    "CheckInCompleted": "check_in",
    "AppointmentConfirmed": "confirmation",
    "OrderDelivered": "review",
    "ReviewReceived": "review",
    "OrderReturned": "review",
}
"""Fields whose event has another name than their subject."""

UNDOING = (
    "Cancelled",
    "Converted",
    "CheckInCompleted",
    "AddedToCart",
    "CheckedOut",
    "ReviewReceived",
    "OrderReturned",
    "Withdrawn",
    "SoldOut",
)


@dataclass(frozen=True)
class Known:
    """The stored events of one subject. ``standing``: the reasons that were not cancelled."""

    standing: Collection[str] = ()
    wanted: Mapping[MessageKey, Wanted] = field(default_factory=dict)
    timezone: str | None = None


@dataclass(frozen=True)
class TrackState:
    """The merged events of one track, for one person."""

    version: int
    active: bool
    known_fields: Mapping[str, Any]
    contact: Contact | None
    since: int = 0


SEVERAL_PEOPLE = ("appointment", "trial", "order")
ONES_OWN = ("check_in_url", "upgrade_url", "review_url")


def state_of(events: Sequence[BusinessEvent], whose: object, *, about_all: bool) -> TrackState | None:
    """Merge the events in their order, each over the one before. ``about_all``: every event is about all people."""
    of_others = [event for event in events if not about_all and event.contact and person(event.contact) != whose]
    own = [event for event in events if event not in of_others]
    if not own:
        return None
    known_fields: dict[str, Any] = {}
    for event in sorted(events, key=lambda event: event.version):
        known_fields |= {name: value for name, value in event.fields.items() if event in own or name not in ONES_OWN}
    named = [event for event in sorted(own, key=lambda event: event.version) if event.contact]
    newest = max(own, key=lambda event: event.version)
    final = max((event.version for event in own if event.type in ("TrialConverted", "ReviewReceived")), default=-1)
    began = max((event.version for event in own if event.type == "TrialStarted"), default=-1)
    takes_part = not newest.type.endswith(UNDOING) if about_all else _takes_part(events, whose)
    contact = named[-1].contact if named else None
    return TrackState(
        newest.version, takes_part and final <= began, known_fields, contact, _since(events, newest.version)
    )


def _takes_part(events: Sequence[BusinessEvent], whose: object) -> bool:
    """Walk through the events: a person who left by name returns by name, or with all if no one else was there."""
    taking_part = left = False
    others = set[object]()
    for event in sorted(events, key=lambda event: event.version):
        ends = event.type.endswith(UNDOING)
        if event.contact and person(event.contact) != whose:
            others.add(person(event.contact))
        elif event.contact:
            taking_part, left = not ends, ends
        elif ends:
            taking_part = False
        elif not left or not others:
            taking_part, left = True, False
    return taking_part


def _since(events: Sequence[BusinessEvent], newest: int) -> int:
    """Return the version since which the appointment has its present time."""
    since, time = newest, None
    for event in sorted(events, key=lambda event: event.version, reverse=True):
        if (starts_at := event.fields.get("starts_at")) is None:
            continue
        if time is None:
            time = datetime.fromisoformat(starts_at)
        if datetime.fromisoformat(starts_at) != time:
            break
        since = event.version
    return since


def known_of(ref: SubjectRef, events: Sequence[BusinessEvent]) -> Known:
    """Merge track by track, for each person; a track that names no one is about the people of the other tracks."""
    by_track: dict[str, list[BusinessEvent]] = defaultdict(list)
    for event in events:
        by_track[TRACKS.get(event.type, ref.kind)].append(event)
    people = {person(event.contact) for event in events if event.contact} if ref.kind in SEVERAL_PEOPLE else {None}
    standing = set[str]()
    wanted: dict[MessageKey, Wanted] = {}
    for whose in people or {None}:
        of_person, ones_own = _known_of(ref, by_track, whose)
        standing |= of_person
        wanted |= ones_own
    zones = [
        event.fields["timezone"]
        for event in sorted(events, key=lambda event: event.version)
        if event.fields.get("timezone")
    ]
    return Known(standing, wanted, zones[-1] if zones else None)


def _known_of(
    ref: SubjectRef, by_track: Mapping[str, Sequence[BusinessEvent]], whose: object
) -> tuple[set[str], dict[MessageKey, Wanted]]:
    about_all = ref.kind not in SEVERAL_PEOPLE
    states = {name: state_of(events, whose, about_all=about_all) for name, events in by_track.items()}
    tracks = {name: state for name, state in states.items() if state}
    # Who only ended a track that others joined is not in it: such an event does not say where to write to.
    about = {name: state for name, state in tracks.items() if about_all or _is_about(name, by_track, whose)}
    named = [state for state in sorted(about.values(), key=lambda state: state.version) if state.contact]
    standing = set[str]()
    wanted: dict[MessageKey, Wanted] = {}
    for name, state in tracks.items():
        contact = state.contact or (named[-1].contact if named else None)
        if not state.active or name not in about:
            continue
        checked_in = tracks.get("check_in")
        completed = name == "appointment" and checked_in is not None and checked_in.version > state.since
        delivered = name == "order" and "review" in tracks and tracks["review"].version >= state.version
        for planned in PLANS[name](state.known_fields) if name in PLANS else []:
            if (planned.reason == "online_check_in" and completed) or delivered:
                continue
            standing.add(planned.reason)
            if contact is not None and planned.use:
                anchor = planned.about.astimezone(UTC).isoformat().replace("+00:00", "Z") if planned.about else "once"
                sk = f"SCHEDULED#{planned.reason}#{ref.id}#{planned.step}#{anchor}"
                key = MessageKey(f"CONTACT#{contact.brand}#{contact.channel}#{contact.address}", sk)
                wanted[key] = planned.use
    return standing, wanted


def _is_about(track: str, by_track: Mapping[str, Sequence[BusinessEvent]], whose: object) -> bool:
    """Return whether the person is in the track: they joined it, or no one did and they are in another one."""
    joined = {
        name: {person(event.contact) for event in events if event.contact and not event.type.endswith(UNDOING)}
        for name, events in by_track.items()
        if name in PLANS
    }
    others = set[object]().union(*joined.values())
    return not joined.get(track) or whose in joined[track] or whose in others


class Planned(NamedTuple):
    """One message of the plan; without ``use``, only the fact that the reason has a message."""

    reason: str
    step: str = ""
    about: datetime | None = None
    use: Wanted | None = None


def plans_of_appointment(known_fields: Mapping[str, Any]) -> list[Planned]:
    if "starts_at" not in known_fields:
        return []
    about = datetime.fromisoformat(known_fields["starts_at"])
    zone = zone_of(known_fields, about)
    steps = in_order({step: OFFSETS[step](about, zone) for step in known_fields.get("remind_before", ["P1D", "PT2H"])})
    plans = [Planned("appointment_reminder")]
    plans += [Planned("appointment_reminder", step, about, use) for step, use in uses(steps, about)]
    if known_fields.get("check_in_url"):
        step = known_fields.get("check_in_before", "PT24H")
        due = OFFSETS[step](about, zone)
        near = any(abs(reminded - due) <= HOUR for _, reminded in steps)
        plans.append(Planned("online_check_in", step, about, None if near else Wanted(due, about)))
    return plans


def plans_of_trial(known_fields: Mapping[str, Any]) -> list[Planned]:
    if "ends_at" not in known_fields:
        return []
    about = datetime.fromisoformat(known_fields["ends_at"])
    zone = zone_of(known_fields, about)
    steps = in_order({step: FOLLOW_UPS[step](about, zone) for step in known_fields.get("follow_up", ["-P3D", "P1D"])})
    plans = [Planned("trial_follow_up")]
    return plans + [Planned("trial_follow_up", step, about, use) for step, use in uses(steps, None)]


def after(reason: str, anchor: str, step: str, waits: timedelta, of_use: timedelta, *, once: bool) -> Plans:
    """Plan one message after an event, valid for some time after its due time."""

    def plans(known_fields: Mapping[str, Any]) -> list[Planned]:
        if anchor not in known_fields:
            return []
        at = datetime.fromisoformat(known_fields[anchor])
        return [Planned(reason, step, None if once else at, Wanted(at + waits, at + waits + of_use))]

    return plans


PLANS: Mapping[str, Plans] = {
    "appointment": plans_of_appointment,
    "trial": plans_of_trial,
    "product": after("product_reminder", "viewed_at", "PT4H", 4 * HOUR, 44 * HOUR, once=False),
    "cart": after("cart_reminder", "abandoned_at", "PT4H", 4 * HOUR, 44 * HOUR, once=True),
    "order": after("order_shipped", "shipped_at", "PT0S", 0 * HOUR, 72 * HOUR, once=True),
    "review": after("review_request", "delivered_at", "P3D", 72 * HOUR, 14 * 24 * HOUR, once=True),
}
"""Return the messages that each track plans; a day has 24 hours if instants are given in UTC."""


def zone_of(known_fields: Mapping[str, Any], about: datetime) -> tzinfo:
    zone = ZoneInfo(known_fields["timezone"]) if "timezone" in known_fields else about.tzinfo
    assert zone
    return zone


def in_order(dues: Mapping[str, datetime]) -> list[tuple[str, datetime]]:
    """Sort by due time; of two with one due time, the first in the plan."""
    steps: dict[datetime, str] = {}
    for step, due in dues.items():
        steps.setdefault(due, step)
    return [(steps[due], due) for due in sorted(steps)]


def uses(steps: Sequence[tuple[str, datetime]], end: datetime | None) -> list[tuple[str, Wanted]]:
    """Set each message valid until the next; the last until ``end``, or for three days."""
    following = [*(due for _, due in steps[1:]), end]
    return [
        (step, Wanted(due, until or due + timedelta(days=3)))
        for (step, due), until in zip(steps, following, strict=False)
    ]


def is_quiet(hours: QuietHours | None, zone: str | None, instant: datetime) -> bool:
    """Return whether the wall clock is in quiet hours; an unknown zone counts as quiet."""
    if hours is None or zone is None:
        return hours is not None
    wall = instant.astimezone(ZoneInfo(zone))
    minute, start, end = (60 * at.hour + at.minute for at in (wall, hours.start, hours.end))
    return start <= minute < end if start < end else minute >= start or minute < end


def first_allowed(hours: QuietHours | None, zone: str | None, instant: datetime) -> datetime:
    while is_quiet(hours, zone, instant):
        instant = instant.replace(second=0, microsecond=0) + MINUTE
    return instant


def first_free(caps: Collection[Cap], sends: Sequence[datetime], now: datetime) -> datetime:
    """Return the first instant at which no cap is full; a cap is free when a period that began with a send ends."""
    ends = sorted(end for cap in caps for sent_at in sends if (end := sent_at + cap.period) > now)
    return next(at for at in (now, *ends) if all(sends_in(sends, cap.period, at) < cap.limit for cap in caps))


def sends_in(sends: Sequence[datetime], period: timedelta, end: datetime) -> int:
    return sum(sent_at > end - period for sent_at in sends)


@dataclass(frozen=True)
class Verdict:
    """Return the rule that stops the message, and the end of a hold. From ``ends`` on it must not be sent, nor in
    ``hours`` on the clock of ``zone``.
    """

    rule: str | None
    until: datetime | None
    ends: datetime
    hours: QuietHours | None = None
    zone: str | None = None


Order = tuple[datetime, bool]
"""A choice: the instant of its cause, and whether it is a "no", which wins at a tie."""


@dataclass
class Model:
    """The stored data, as the ports show it."""

    policy: PolicySettings = field(default_factory=PolicySettings)
    ingest: IngestSettings = field(default_factory=lambda: IngestSettings(timedelta(days=365)))
    events: dict[SubjectRef, list[BusinessEvent]] = field(default_factory=lambda: defaultdict(list))
    windows: dict[Contact, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    received: dict[Contact, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    zones: dict[Contact, str] = field(default_factory=dict)
    brand: tuple[int, str | None] = (-1, None)
    choices: dict[tuple[object, str], dict[str, Order]] = field(default_factory=lambda: defaultdict(dict))
    erased: dict[Contact, datetime] = field(default_factory=dict)
    cap_usage: dict[tuple[Contact, Category], dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))
    restarts: dict[Contact, list[str]] = field(default_factory=lambda: defaultdict(list))

    def known(self, ref: SubjectRef) -> Known:
        return known_of(ref, self.events[ref])

    def is_open(self, contact: Contact, now: datetime) -> bool:
        return any(now < sent_at + DAYS_30 for sent_at in self.windows[contact])

    # What is stored

    def receives(self, message: InboundMessage, sent_at: datetime) -> None:
        """Move the window. It restarts if the person returns after silence, or after it had closed."""
        contact, erased_at = message.contact, self.erased.get(message.contact, NEVER)
        silence = min(self.ingest.welcome_back_after or DAYS_30, DAYS_30)
        before = [last_event_at for last_event_at in self.windows[contact] if last_event_at > erased_at]
        wrote_since = any(last_event_at > erased_at for last_event_at in self.received[contact])
        if wrote_since and (not before or sent_at >= max(before) + silence):
            self.restarts[contact].append(message.message_id)
        self.windows[contact].append(sent_at)
        self.received[contact].append(sent_at)

    def sees(self, message: InboundMessage, sent_at: datetime) -> None:
        """Store the newest zone of the contact; a late one counts only if no zone was known."""
        contact = message.contact
        known_since = max(self.received[contact], default=NEVER)
        if known_since <= self.erased.get(contact, NEVER):
            self.zones.pop(contact, None)
        if message.timezone and (contact not in self.zones or sent_at >= known_since):
            self.zones[contact] = message.timezone
        self.received[contact].append(sent_at)

    def presents(self, known_fields: ConfigureBrand) -> None:
        if known_fields.version >= self.brand[0]:
            self.brand = known_fields.version, known_fields.fields["timezone"]

    def chooses(self, made: RecordChoice) -> None:
        of_topic, scope = self._where(made)
        of_topic[scope] = max(of_topic.get(scope, (NEVER, False)), order_of(made))

    def chosen(self, made: RecordChoice) -> Order:
        """Return the latest choice with the same scope."""
        of_topic, scope = self._where(made)
        return of_topic.get(scope, (NEVER, False))

    def _where(self, made: RecordChoice) -> tuple[dict[str, Order], str]:
        """Return the scope: a consent to marketing is for its channel; all others for the brand, or the channel if so
        set.
        """
        for_channel = self.ingest.opt_out_scope == "channel" or (made.topic == "marketing" and made.choice.allowed)
        scope = made.contact.channel if for_channel else EVERY_CHANNEL
        return self.choices[person(made.contact), made.topic], scope

    def erases(self, contact: Contact, at: datetime) -> None:
        """Keep a "no", and a "yes" without which another "no" would count."""
        self.erased[contact] = at
        for topic in ("contact", "marketing"):
            of_topic = self.choices[person(contact), topic]
            if not any(no for _, no in of_topic.values()):
                of_topic.pop(EVERY_CHANNEL, None)
                of_topic.pop(contact.channel, None)

    # What may be sent

    def has_refused(self, contact: Contact, topic: str) -> bool | None:
        """Return the latest choice; ``None`` if there is no choice."""
        of_topic = self.choices[person(contact), topic]
        applying = [of_topic[scope] for scope in (EVERY_CHANNEL, contact.channel) if scope in of_topic]
        return max(applying)[1] if applying else None

    def zone(self, message: ScheduledMessage) -> str | None:
        """Return the zone of the contact, else of the event, the number, the brand, the default."""
        sources = (
            self.zones.get(message.contact),
            self.known(message.subject).timezone,
            ZONE_OF_NUMBER.get(message.contact.address),
            self.brand[1],
            self.policy.default_timezone,
        )
        return next((zone for zone in sources if zone), None)

    def verdict(self, message: ScheduledMessage, now: datetime) -> Verdict:
        """Return the first rule that stops the message, in the order of functions/README.md; ``None`` if it may be
        sent.
        """
        contact, category = message.contact, CATEGORIES[message.reason]
        erased = message.planned_at <= self.erased.get(contact, NEVER)
        opted_out = self.has_refused(contact, "contact") is True
        if category == "reply":
            ends = message.anchor_at + timedelta(minutes=10) if message.anchor_at else message.valid_until
            checks = {"erased": erased, "opted_out": opted_out, "too_late": now >= ends}
            return Verdict(next((rule for rule, stops in checks.items() if stops), None), None, ends)
        known, closes_at = self.known(message.subject), max(self.windows[contact], default=now - DAYS_30) + DAYS_30
        valid_until = known.wanted.get(message.key, message).valid_until
        consent = self.has_refused(contact, "marketing")
        no_consent = consent is True or (consent is None and self.policy.marketing_consent == "required")
        checks = {
            "superseded": message.reason in known.standing and message.key not in known.wanted,
            "cancelled": message.reason not in known.standing,
            "erased": erased,
            "opted_out": opted_out,
            "no_conversation": not self.received[contact],
            "window_closed": now >= closes_at,
            "too_late": now >= valid_until,
            "no_consent": category == "marketing" and no_consent,
            "channel_window": not self._channel_allows(message, category, now),
        }
        hours, zone = self.policy.quiet_hours.get(category), self.zone(message)
        ends = min(valid_until, closes_at)
        rule, until = next((rule for rule, stops in checks.items() if stops), None), None
        if rule is None:
            rule, until = self._hold(message, category, now)
            if until and until >= ends:
                rule, until = "too_late" if until >= valid_until else "window_closed", None
        return Verdict(rule, until, ends, hours, zone)

    def _channel_allows(self, message: ScheduledMessage, category: Category, now: datetime) -> bool:
        """WhatsApp accepts free text for 24 hours, then templates; no marketing to +1."""
        contact = message.contact
        if contact.channel != "whatsapp" or any(now < sent_at + 24 * HOUR for sent_at in self.windows[contact]):
            return True
        to_america = category == "marketing" and contact.address.startswith("+1")
        return message.reason in self.policy.whatsapp_templates and not to_america

    def _hold(self, message: ScheduledMessage, category: Category, now: datetime) -> tuple[str | None, datetime | None]:
        hours, zone = self.policy.quiet_hours.get(category), self.zone(message)
        taken = self.cap_usage[message.contact, category].items()
        # Handed over within 2 seconds of the snapshot that its reservation used.
        sends = [at + timedelta(seconds=2) for taken_by, at in taken if taken_by != message.scheduled_message_id]
        free = first_free(self.policy.caps.get(category, ()), sends, now)
        if free > now:
            return "frequency_cap", free
        if hours and zone is None:
            return "unknown_timezone", now + HOUR
        allowed = first_allowed(hours, zone, now)
        return ("quiet_hours", allowed) if allowed > now else (None, None)


def person(contact: Contact) -> object:
    """One phone number is one person on every channel of a brand."""
    return contact.brand, contact.address, contact.channel * (not contact.address.startswith("+"))


def order_of(made: RecordChoice) -> Order:
    return made.choice.at, not made.choice.allowed
