"""The front desk's day: every appointment of a brand on one day, each with one state and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from reengage.domain.answers import Answer
from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.forecast import Forecast, forecast
from reengage.domain.instants import DAYS_AHEAD, NamedDay, at_wall_clock, parse_instant, parse_zone
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.openers import no_contact
from reengage.domain.planning import planned_messages
from reengage.domain.policy import PolicyInput, PolicySettings, default_zone
from reengage.domain.same_person import with_aliases
from reengage.domain.subject import Subject, Track
from reengage.ports import Clock, DayStore, Thread
from reengage.usecases.openers import OpenerDesk
from reengage.usecases.person import Addresses
from reengage.usecases.plan_diff import aliases_among

REMINDER: Final = "appointment_reminder"


class DayState(StrEnum):
    """What the front desk has to know about one appointment."""

    WILL_BE_REMINDED = "will_be_reminded"
    REMINDED = "reminded"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"
    ASKED_TO_CANCEL = "asked_to_cancel"
    ASKED_TO_MOVE = "asked_to_move"
    NOT_REACHED = "not_reached"


class Why(StrEnum):
    """Why no reminder reaches the person."""

    NO_CONTACT = "no_contact"
    NOT_PLANNED = "not_planned"
    NEVER_WROTE = "never_wrote"
    WINDOW_CLOSES_FIRST = "window_closes_first"
    MOVED = "moved"
    OPTED_OUT = "opted_out"
    UNDELIVERABLE = "undeliverable"
    QUIET_HOURS = "quiet_hours"
    ZONE_UNKNOWN = "zone_unknown"
    PAUSED = "paused"
    DRY_RUN = "dry_run"
    OTHER = "other_rule"


WHY_OF_RULE: Final[Mapping[str, Why]] = MappingProxyType(
    {
        "no_conversation": Why.NEVER_WROTE,
        "window_closed": Why.WINDOW_CLOSES_FIRST,
        "channel_window": Why.WINDOW_CLOSES_FIRST,
        "opted_out": Why.OPTED_OUT,
        "erased": Why.NO_CONTACT,
        "unknown_timezone": Why.ZONE_UNKNOWN,
        "quiet_hours": Why.QUIET_HOURS,
        "paused": Why.PAUSED,
        "dry_run": Why.DRY_RUN,
    }
)

WHAT_TO_DO: Final[Mapping[Why, str]] = MappingProxyType(
    {
        Why.NO_CONTACT: "Give the person the opener, or call them, and add the contact to the booking.",
        Why.NOT_PLANNED: "Call the person: the reminder's time had passed when the booking arrived.",
        Why.NEVER_WROTE: "Give the person the opener, or ask them to write to the business once.",
        Why.WINDOW_CLOSES_FIRST: "Give the person the opener, or ask them to write before the window closes.",
        Why.MOVED: "Call the person, and book with the new address.",
        Why.OPTED_OUT: "Call the person: they asked not to be written to.",
        Why.UNDELIVERABLE: "Call the person, and check the number.",
        Why.QUIET_HOURS: "Call the person: quiet hours last until the appointment.",
        Why.ZONE_UNKNOWN: "Set the brand's time zone.",
        Why.PAUSED: "Resume sending, or call the person.",
        Why.DRY_RUN: "Switch the dry run off, or call the person.",
        Why.OTHER: "Call the person, and look at the contact's explanation.",
    }
)

WITHOUT_OPENER: Final[Mapping[Why, str]] = MappingProxyType(
    {
        Why.NO_CONTACT: "Call the person, and add the contact to the booking.",
        Why.NEVER_WROTE: "Ask the person to write to the business once, or call them.",
        Why.WINDOW_CLOSES_FIRST: "Ask the person to write to the business shortly before the reminder, or call them.",
    }
)
"""What to do if no opener is stored: its time has passed, or a provider's own window closes first."""


@dataclass(frozen=True, slots=True)
class DayEntry:
    """One appointment of one contact. ``at``: when the reminder will be or was sent. ``rule`` is the policy's own."""

    appointment_id: str
    starts_at: datetime
    state: DayState
    contact: Contact | None = None
    name: str | None = None
    service: Any = None
    location: Any = None
    at: datetime | None = None
    why: Why | None = None
    rule: str | None = None
    what_to_do: str | None = None
    opener: str | None = None
    """How the person can write first: a link, or a text."""


@dataclass(frozen=True, slots=True)
class Day:
    """The entries in order of their start. ``starts_at`` and ``at`` are in ``zone``."""

    brand: str
    date: date
    zone: str
    entries: Sequence[DayEntry]


@dataclass(frozen=True, slots=True)
class _Result:
    state: DayState
    at: datetime | None = None
    why: Why | None = None
    rule: str | None = None


def day(
    brand: str,
    of: date | NamedDay,
    *,
    store: DayStore,
    settings: PolicySettings,
    clock: Clock,
    desk: OpenerDesk | None = None,
) -> Day:
    """Read the brand's appointments of a day and the state of each. Writes nothing.

    The day is that of the brand's time zone, else of the default zone, else UTC. ``of`` may be any day.
    """
    row = store.read_brand(brand)
    zone = default_zone(row, settings) or UTC
    of = of if isinstance(of, date) else clock().astimezone(zone).date() + DAYS_AHEAD[of]
    addresses = Addresses(store, clock())
    subjects = [_by_person(subject, addresses) for subject in _appointments(brand, of, zone, store)]
    messages = {subject.ref: _reminders(subject) for subject in subjects}
    rows = store.read_messages([message.key for each in messages.values() for message in each])
    people = [(subject, contact) for subject in subjects for contact in _contacts(subject, messages[subject.ref])]
    threads = store.read_threads(list({contact: None for _, contact in people if contact}))
    entries = [
        _entry(
            subject,
            contact,
            threads[contact] if contact else None,
            _result(
                subject,
                contact,
                [message for message in messages[subject.ref] if message.contact == contact],
                rows,
                store=store,
                settings=settings,
                now=clock(),
            ),
            zone,
        )
        for subject, contact in people
    ]
    if desk:
        entries = _with_openers(entries, subjects, desk=desk, brand=row, now=clock())
    name = getattr(zone, "key", None) or "UTC"
    return Day(brand, of, name, sorted(entries, key=lambda entry: (entry.starts_at, entry.appointment_id)))


NEEDS_OPENER: Final = (Why.NEVER_WROTE, Why.WINDOW_CLOSES_FIRST, Why.NO_CONTACT)


def _with_openers(
    entries: Sequence[DayEntry], subjects: Sequence[Subject], *, desk: OpenerDesk, brand: Brand | None, now: datetime
) -> list[DayEntry]:
    """Add the openers of those that must write first; one read for all. Without an opener, no one can give it."""
    by_id = {subject.ref.id: subject for subject in subjects}
    brand_id = next((subject.ref.brand for subject in subjects), "")
    wanted = [
        (by_id[each.appointment_id], each.contact or no_contact(brand_id))
        for each in entries
        if each.why in NEEDS_OPENER
    ]
    found = desk.find(wanted, brand=brand, now=now)
    openers = {key: invitation.link or invitation.text for key, invitation in found.items()}
    return [
        _with_opener(each, openers.get((each.appointment_id, each.contact or no_contact(brand_id)))) for each in entries
    ]


def _with_opener(entry: DayEntry, opener: str | None) -> DayEntry:
    without = WITHOUT_OPENER.get(entry.why) if entry.why and not opener else None
    return replace(entry, opener=opener, what_to_do=without or entry.what_to_do)


def day_as_json(found: Day) -> dict[str, Any]:
    """Return the day as JSON values: instants in ISO 8601 with the offset of their zone."""
    answer: dict[str, Any] = msgspec.to_builtins(found)
    return answer


def _appointments(brand: str, of: date, zone: tzinfo, store: DayStore) -> list[Subject]:
    """The index has days of UTC; a local day touches two of them, or three."""
    start, end = (_midnight(each, zone) for each in (of, of + timedelta(days=1)))
    days = [start.date() + timedelta(days=n) for n in range((end.date() - start.date()).days + 1)]
    found = [subject for each in days for subject in store.appointments_of_day(brand, each)]
    return [subject for subject in found if start <= _starts_at(subject) < end]


def _by_person(subject: Subject, addresses: Addresses) -> Subject:
    """Return the appointment with linked addresses as one person: each may have confirmed."""
    return with_aliases(subject, aliases_among(subject.named_people.values(), subject, addresses))


def _midnight(of: date, zone: tzinfo) -> datetime:
    return at_wall_clock(datetime.combine(of, datetime.min.time()), zone).astimezone(UTC)


def _track(subject: Subject) -> Track:
    return subject.tracks["appointment"]


def _starts_at(subject: Subject) -> datetime:
    return parse_instant(_track(subject).get("starts_at"))


def _reminders(subject: Subject) -> list[ScheduledMessage]:
    return [message for message in planned_messages(subject) if message.reason == REMINDER]


def _contacts(subject: Subject, messages: Iterable[ScheduledMessage]) -> list[Contact | None]:
    """Return the people of the appointment who have not left it; ``None`` if no one is known."""
    views = [view for view in subject.views() if not view.is_undone("appointment")]
    contacts = dict.fromkeys(message.contact for message in messages)
    named = ((view, contact) for view in views if (contact := view.contact_of(_track(view))))
    contacts |= dict.fromkeys(view.reached_at(contact) for view, contact in named)
    return list(contacts) or [None]


def _entry(subject: Subject, contact: Contact | None, thread: Thread | None, result: _Result, zone: tzinfo) -> DayEntry:
    track = _track(subject)
    own = parse_zone(track.timezone) if track.timezone else zone
    return DayEntry(
        appointment_id=subject.ref.id,
        starts_at=_starts_at(subject).astimezone(own),
        state=result.state,
        contact=contact,
        name=thread.profile.display_name if thread and thread.profile else None,
        service=track.get("service"),
        location=track.get("location"),
        at=result.at.astimezone(own) if result.at else None,
        why=result.why,
        rule=result.rule,
        what_to_do=WHAT_TO_DO[result.why] if result.why else None,
    )


def _result(
    subject: Subject,
    contact: Contact | None,
    messages: Sequence[ScheduledMessage],
    rows: Mapping[MessageKey, ScheduledMessage],
    *,
    store: DayStore,
    settings: PolicySettings,
    now: datetime,
) -> _Result:
    """One state: the person's own answer first, then what was sent, then what is to come, then why nothing is."""
    stored = [row for message in messages if (row := rows.get(message.key))]
    if answered := _answered(stored):
        return answered
    if _is_confirmed(subject.for_contact(contact) if contact else subject):
        return _Result(DayState.CONFIRMED)
    if contact is None:
        return _Result(DayState.NOT_REACHED, why=Why.NO_CONTACT)
    if sent := _sent(stored):
        return sent
    return _to_come(stored, store=store, settings=settings, now=now)


STATE_OF_ANSWER: Final[Mapping[str, DayState]] = MappingProxyType(
    {
        Answer.CONFIRMED: DayState.CONFIRMED,
        Answer.CANCEL_REQUESTED: DayState.ASKED_TO_CANCEL,
        Answer.RESCHEDULE_REQUESTED: DayState.ASKED_TO_MOVE,
    }
)


def _answered(stored: Sequence[ScheduledMessage]) -> _Result | None:
    """The person's newest clear answer to a reminder of this start."""
    answers = [row.answer for row in stored if row.answer and row.answer.answer in STATE_OF_ANSWER]
    newest = max(answers, key=lambda given: given.at, default=None)
    return _Result(STATE_OF_ANSWER[newest.answer], at=newest.at) if newest else None


def _sent(stored: Sequence[ScheduledMessage]) -> _Result | None:
    """The outcome of the reminder that was sent; a delivered one counts first."""
    by_state = {row.state: row for row in stored}
    if row := by_state.get(State.DELIVERED):
        return _Result(DayState.DELIVERED, at=row.settled_at)
    if row := by_state.get(State.UNDELIVERED):
        return _Result(DayState.NOT_REACHED, at=row.settled_at, why=Why.UNDELIVERABLE)
    if row := by_state.get(State.SENT):
        return _Result(DayState.REMINDED, at=row.settled_at)
    return None


def _to_come(
    stored: Sequence[ScheduledMessage], *, store: DayStore, settings: PolicySettings, now: datetime
) -> _Result:
    """The earliest reminder that will be sent; else why the first one to come is not, or the last one was not."""
    settled = _Result(DayState.NOT_REACHED, why=Why.NOT_PLANNED)
    expected: _Result | None = None
    for row in sorted(stored, key=lambda each: each.due_at):
        if row.state is State.SENDING:
            return _Result(DayState.REMINDED, at=row.claimed_at)
        if row.state in (State.FAILED, State.UNCONFIRMED):
            settled = _Result(DayState.NOT_REACHED, at=row.settled_at, why=Why.UNDELIVERABLE)
        elif row.state is State.SKIPPED:
            settled = _not_sent(row.rule, row.facts)
        elif row.state is State.SCHEDULED:
            context = PolicyInput.of(store.read_snapshot(row), row, settings, now)
            ahead = forecast(context, row.planned_due_at or row.due_at)
            if ahead.is_sent:
                return _Result(DayState.WILL_BE_REMINDED, at=ahead.at)
            expected = expected or _forecast_result(ahead)
    return expected or settled


def _forecast_result(expected: Forecast) -> _Result:
    rule = expected.held_by[-1] if expected.held_by and expected.decision.rule == "too_late" else expected.decision.rule
    return _not_sent(rule, expected.decision.facts)


def _not_sent(rule: str | None, facts: Mapping[str, Any]) -> _Result:
    """A message that a hold made useless is reported by the rule that held it."""
    held_by = facts.get("held_by")
    cause = held_by if isinstance(held_by, str) and rule in ("too_late", "window_closed") else rule
    why = WHY_OF_RULE.get(cause or "", Why.NOT_PLANNED if cause == "too_late" else Why.OTHER)
    if cause == "window_closed" and "moved_at" in facts:
        why = Why.MOVED
    return _Result(DayState.NOT_REACHED, why=why, rule=rule)


def _is_confirmed(subject: Subject) -> bool:
    """Whether the newest confirmation is about the present start, not about a time from before a move."""
    confirmation = subject.tracks.get("confirmation")
    return confirmation is not None and confirmation.version >= _track(subject).unchanged_since
