"""The guarantees of layers/README.md hold for any stored data, any time and any parameters.

The rules are written here a second time, from the document: only the decision of the policy is used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from hypothesis import event, given, settings
from hypothesis import strategies as st

from reengage.domain.brand import Brand
from reengage.domain.caps import Cap, CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import extend
from reengage.domain.message import ScheduledMessage
from reengage.domain.planning import planned_messages, reply
from reengage.domain.policy import RULES, Action, PolicyInput, PolicySettings, decide, deliver_before
from reengage.domain.preferences import EVERYWHERE, Choice, Preferences, Topic
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category
from reengage.domain.subject import BusinessEvent, Subject
from tests.fakes import apply_events, business, inbound

BEGIN: Final = datetime(2026, 10, 20, tzinfo=UTC)
"""Clocks change in Europe, America and Australia within the weeks that follow."""

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
DAYS_30: Final = timedelta(days=30)
MICROSECOND: Final = timedelta(microseconds=1)

NUMBERS: Final = {
    "+4915112345678": ("Europe/Berlin",),
    "+12125550123": ("America/New_York",),
    "+61412345678": ("Australia/Sydney", "Australia/Perth", "Australia/Lord_Howe"),
    "+881612345678": (),
    "anna.1": (),
}
"""Addresses, and their possible zones: one, some of many, or none."""

ZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Mars/Olympus")
"""The last one is no zone: a row may hold one that was removed from tzdata."""

ORDER: Final = (
    *("superseded", "cancelled", "erased", "opted_out", "no_conversation", "window_closed", "too_late"),
    *("no_consent", "channel_window", "frequency_cap", "unknown_timezone", "quiet_hours"),
)


@dataclass(frozen=True)
class History:
    """The facts as the people and businesses see them; ``case`` is the app's input for them."""

    case: PolicyInput
    stored_after_the_plan: Sequence[BusinessEvent]
    choices: Sequence[tuple[Topic, str, Choice]]
    inbound_at: datetime | None


CLOCK_TIMES: Final = tuple(time(hour, minute) for hour in range(24) for minute in (0, 30, 59))
CATEGORIES: Final[Sequence[Category]] = ("utility", "marketing")
EVENTS: Final = (
    ("starts_at", "AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled"),
    ("ends_at", "TrialStarted", "TrialExtended", "TrialConverted"),
)


@dataclass(frozen=True)
class Chance:
    """Draw the facts. In most cases nothing is wrong, or the later rules would hardly ever decide."""

    random: Random

    def history(self) -> History:
        contact = Contact("acme", self.one_of(("sms", "whatsapp")), self.one_of(tuple(NUMBERS)))
        subject, message, later = self.planned_for(contact) if self.in_10(9) else self.reply_to(contact)
        last_event_at = self.maybe(9, self.near(message.due_at, *[message.due_at - DAYS_30] * self.in_10(2)))
        conversation = (
            extend(None, is_known_contact=True, message_id="m1", sent_at=last_event_at) if last_event_at else None
        )
        if conversation and self.in_10(1):  # another tool wrote milliseconds
            conversation = replace(conversation, expires_at=conversation.expires_at * 1000)
        ends = [message.valid_until, *([last_event_at + DAYS_30] if last_event_at else [])]
        now = self.near(message.due_at, *ends * self.in_10(2))
        choices = self.choices(message)
        case = PolicyInput(
            message=message,
            subject=self.maybe(9, subject),
            profile=self.maybe(8, self.profile(now)),
            conversation=conversation,
            now=now,
            preferences=self.preferences(message, choices),
            brand=self.maybe(5, Brand("acme", timezone=self.maybe(5, self.one_of(ZONES)))),
            cap_usage=CapUsage({name: self.near(now) for name in "abcdef"[: self.random.randrange(6)]}),
            settings=self.policy(),
        )
        return History(case, later, choices, last_event_at)

    def planned_for(self, contact: Contact) -> tuple[Subject, ScheduledMessage, list[BusinessEvent]]:
        """A subject, a message of one of its plans, and the events that were stored after that plan."""
        anchor, begins, changes, ends = self.one_of(EVENTS)
        types = [begins, *([self.one_of((changes, changes, ends))] if self.in_10(3) else [])]
        events = []
        for number, type_ in enumerate(types):
            fields: dict[str, Any] = {} if type_ == ends else {anchor: self.instant()}
            if self.in_10(3):
                fields["timezone"] = self.one_of(ZONES[:-1])
            events.append(business(type_, BEGIN + number * HOUR, contact=contact, **fields))
        subject = apply_events(Subject(events[0].subject), *events)
        planned_by = self.one_of([n for n in range(len(events)) if events[n].type != ends])
        plan = planned_messages(apply_events(Subject(events[0].subject), *events[: planned_by + 1]))
        message = replace(self.one_of(plan), planned_at=self.instant())
        return subject, message, events[planned_by + 1 :]

    def reply_to(self, contact: Contact) -> tuple[None, ScheduledMessage, list[BusinessEvent]]:
        received_at = self.instant()
        return None, reply("help_reply", inbound(received_at, contact=contact), self.near(received_at)), []

    def profile(self, now: datetime) -> Profile:
        return Profile(BEGIN, BEGIN, int(self.near(now).timestamp()), timezone=self.maybe(5, self.one_of(ZONES)))

    def choices(self, message: ScheduledMessage) -> list[tuple[Topic, str, Choice]]:
        topics: Sequence[Topic] = ("contact", "marketing")
        return [
            (
                self.one_of(topics),
                self.one_of((EVERYWHERE, "sms", "whatsapp")),
                Choice(self.in_10(6), self.one_of((message.due_at, self.near(message.due_at)))),
            )
            for _ in range(self.one_of((0, 0, 1, 2, 3)))
        ]

    def preferences(self, message: ScheduledMessage, choices: Sequence[tuple[Topic, str, Choice]]) -> Preferences:
        preferences = Preferences()
        for choice in choices:
            preferences = preferences.apply(*choice)
        erased_at = self.near(message.planned_at)
        channel = message.contact.channel
        return preferences.erase(channel, asked_at=erased_at, at=erased_at) if self.in_10(2) else preferences

    def clock_times(self) -> tuple[time, time]:
        start, end = self.random.sample(CLOCK_TIMES, 2)
        return start, end

    def policy(self) -> PolicySettings:
        caps = [Cap(self.random.randint(1, 4), period) for period in (HOUR, DAY, 7 * DAY)]
        consents: Sequence[Literal["implied", "required"]] = ("implied", "required")
        return PolicySettings(
            marketing_consent=self.one_of(consents),
            quiet_hours={category: QuietHours(*self.clock_times()) for category in CATEGORIES if self.in_10(7)},
            caps={category: tuple(self.random.sample(caps, 2)) for category in CATEGORIES if self.in_10(5)},
            default_timezone=self.maybe(5, self.one_of(ZONES)),
            whatsapp_templates=frozenset(
                reason for reason in ("appointment_reminder", "trial_follow_up") if self.in_10(7)
            ),
        )

    def instant(self) -> datetime:
        return BEGIN + timedelta(minutes=self.random.randrange(40 * 24 * 60))

    def near(self, *instants: datetime) -> datetime:
        """Draw one of the instants, a microsecond beside it, or hours or days away."""
        off = timedelta(seconds=self.random.randint(-150_000, 150_000))
        return self.one_of(instants) + self.one_of(
            (timedelta(), MICROSECOND, -MICROSECOND, HOUR, -HOUR, DAY, -DAY, off)
        )

    def one_of[T](self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def maybe[T](self, times: int, value: T) -> T | None:
        return value if self.in_10(times) else None

    def in_10(self, times: int) -> bool:
        return self.random.randrange(10) < times


# The guarantees of layers/README.md


def is_reply(case: PolicyInput) -> bool:
    return case.message.reason in ("welcome_back", "help_reply", "answer_reply")


def has_refused(history: History, topic: Topic) -> bool:
    """Sort by the instant of their cause; at a tie, the opt-out wins."""
    channel = history.case.message.contact.channel
    of_topic = [choice for about, scope, choice in history.choices if about == topic and scope in (EVERYWHERE, channel)]
    latest = max((choice.at for choice in of_topic), default=None)
    return any(choice.at == latest and not choice.allowed for choice in of_topic)


def the_persons_zones(case: PolicyInput) -> tuple[str, ...]:
    """Return the contact's own zone, else the number's if it has only one; with the event's if that differs.

    Else the event's, the brand's, the default, or the number's several, in this order.
    """
    by_number = NUMBERS[case.message.contact.address]
    number = by_number[0] if len(by_number) == 1 else None
    track = next(iter(case.subject.tracks.values())) if case.subject else None
    event_zone = track.get("timezone") if track else None
    own = case.profile.timezone if case.profile else None
    if own in (None, "Mars/Olympus") and number and event_zone and event_zone != number:
        return number, event_zone
    singles = (
        own,
        number,
        event_zone,
        case.brand.timezone if case.brand else None,
        case.settings.default_timezone,
    )
    return next(((zone,) for zone in singles if zone not in (None, "Mars/Olympus")), by_number)


def is_quiet(case: PolicyInput, now: datetime) -> bool:
    """An unknown zone counts as quiet; of several zones, one quiet zone is enough. If the number's and the event's zone
    leave no minute in two days, the number's alone counts.
    """
    hours = case.settings.quiet_hours.get("utility" if "appointment" in case.message.reason else "marketing")
    if hours is None:
        return False
    zones = the_persons_zones(case)
    first, last = (60 * at.hour + at.minute for at in (hours.start, hours.end))
    quiet_minutes = (last - first) % (24 * 60)

    def covers(at: datetime) -> bool:
        walls = [at.astimezone(ZoneInfo(zone)) for zone in zones]
        return not zones or any((60 * wall.hour + wall.minute - first) % (24 * 60) < quiet_minutes for wall in walls)

    both = (
        len(zones) == 2 and case.message.contact.address in NUMBERS and len(NUMBERS[case.message.contact.address]) == 1
    )
    if both and all(covers(now + timedelta(minutes=minutes)) for minutes in range(2 * 24 * 60)):
        zones = zones[:1]
    return covers(now)


def broken_by_sending(history: History, now: datetime) -> set[int]:
    """Return the rules under "What always holds" that a send at ``now`` would break."""
    case, last_event_at = history.case, history.inbound_at
    answer = is_reply(case)
    broken = {
        1: not answer and (last_event_at is None or now >= last_event_at + DAYS_30),
        2: has_refused(history, "contact"),
        4: not answer and (case.subject is None or bool(history.stored_after_the_plan)),
        5: now >= case.message.valid_until or (not answer and is_quiet(case, now)),
    }
    return {rule for rule, is_broken in broken.items() if is_broken}


# One number makes the whole history: to draw each part of it would take a hundred times as long.
HISTORIES: Final = st.randoms(use_true_random=True).map(lambda random: Chance(random).history())
MODEST: Final = settings(max_examples=1000, deadline=None)


@MODEST
@given(HISTORIES)
def test_nothing_is_sent_that_must_not_be(history: History) -> None:
    decision = decide(history.case)
    event(str(decision.rule))
    if decision.action is Action.SEND:
        assert broken_by_sending(history, history.case.now) == set()
        if "trial" in history.case.message.reason:
            assert not has_refused(history, "marketing")


@MODEST
@given(HISTORIES)
def test_policy_always_decides_and_can_be_published(history: History) -> None:
    decision = decide(history.case)
    assert (decision.rule is None) == (decision.action is Action.SEND)
    assert (decision.until is None) == (decision.action is not Action.HOLD)
    facts = dict(decision.facts)
    assert json.loads(json.dumps(facts)) == facts


@MODEST
@given(HISTORIES)
def test_hold_ends_in_time_and_its_rule_does_not_hold_again(history: History) -> None:
    case, decision = history.case, decide(history.case)
    if decision.until is None:
        return
    assert case.now < decision.until < case.message.valid_until
    assert history.inbound_at
    assert decision.until < history.inbound_at + DAYS_30
    replan = decide(replace(case, now=decision.until))
    stopped_by = replan.facts.get("held_by", replan.rule)
    if decision.rule != "unknown_timezone":
        assert stopped_by != decision.rule
        return
    # The zone is as unknown as it was; an earlier rule may stop it by now, such as WhatsApp's 24 hours.
    assert stopped_by
    assert ORDER.index(stopped_by) <= ORDER.index("unknown_timezone")


@MODEST
@given(HISTORIES)
def test_the_first_rule_that_stops_it_is_the_one_reported(history: History) -> None:
    case, decision = history.case, decide(history.case)
    rules = ("erased", "opted_out", "too_late") if is_reply(case) else ORDER
    first = next((rule for rule in rules if RULES[rule](case).stops), None)
    assert decision.facts.get("held_by", decision.rule) == first


@MODEST
@given(HISTORIES)
def test_send_is_allowed_exactly_until_its_deadline(history: History) -> None:
    """A business system that delivers for a brand gets the deadline, because it does not check again."""
    case = history.case
    if decide(case).action is not Action.SEND:
        return
    before = deliver_before(case)
    assert case.now < before
    assert broken_by_sending(history, before - MICROSECOND) == set()
    assert decide(replace(case, now=before)).action is not Action.SEND
