"""Each rule alone, their order, their facts, and holds. If a rule is removed from the table, one of these
tests fails.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import reduce
from itertools import combinations
from typing import Any, Final

import pytest

from reengage.domain import policy
from reengage.domain.brand import STACK, Brand
from reengage.domain.caps import CapUsage, parse_caps
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import WINDOW, expiry, extend
from reengage.domain.instants import parse_instant
from reengage.domain.message import ScheduledMessage
from reengage.domain.pause import Pause, with_pause
from reengage.domain.planning import broadcasts, planned_messages, reply
from reengage.domain.policy import (
    RECHECK_AFTER,
    RULES,
    RULES_OF_REPLIES,
    SNAPSHOT_VALID_FOR,
    Action,
    Decision,
    PolicyInput,
    PolicySettings,
    Rule,
    RuleResult,
    decide,
    deliver_before,
    free_text_until,
)
from reengage.domain.preferences import EVERYWHERE, Choice, Preferences, Topic
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import REASONS, Reason
from reengage.domain.subject import Subject
from reengage.domain.zones import tzdata_version
from tests.cases import each_of
from tests.fakes import ANNA, NOON, RETENTION, apply_events, business, inbound

STARTS: Final = NOON + timedelta(days=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
MICROSECOND: Final = timedelta(microseconds=1)

WHATSAPP: Final = replace(ANNA, channel="whatsapp")
AMERICAN: Final = Contact("acme-dental", "whatsapp", "+12125550123")
CANADIAN: Final = Contact("acme-dental", "whatsapp", "+14165550123")
AUSTRALIAN: Final = Contact("acme-dental", "sms", "+61412345678")
"""A mobile number of Australia: it has many zones."""
SATELLITE: Final = Contact("acme-dental", "sms", "+881612345678")
"""A number without a country: it has no zone."""

_booked = business("AppointmentBooked", starts_at=STARTS, remind_before=["PT2H"])
_started = business("TrialStarted", ends_at=NOON + timedelta(days=4), product="Pro")


def _planned(subject: Subject) -> ScheduledMessage:
    return replace(planned_messages(subject)[0], planned_at=NOON)


def _case(subject: Subject) -> PolicyInput:
    """A message that may be sent when it is due."""
    message = _planned(subject)
    return PolicyInput(
        message=message,
        subject=subject,
        profile=Profile(NOON, NOON, expiry(NOON + RETENTION)),
        conversation=extend(None, is_known_contact=False, message_id="m1", sent_at=NOON),
        now=message.due_at,
    )


ALLOWED: Final = _case(apply_events(Subject(_booked.subject), _booked))
"""A reminder, at 11:00 in Berlin: each test changes what it is about."""

MARKETING: Final = _case(apply_events(Subject(_started.subject), _started))
"""A follow-up of a trial, at 13:00 in Berlin."""

REPLY: Final = replace(ALLOWED, message=reply("help_reply", inbound(), NOON), subject=None, now=NOON)


def _apply(event_type: str, **fields: Any) -> Subject:
    assert ALLOWED.subject
    return apply_events(ALLOWED.subject, business(event_type, NOON + HOUR, **fields))


def _to(case: PolicyInput, contact: Contact) -> PolicyInput:
    return replace(case, message=replace(case.message, contact=contact))


def _useful_until(case: PolicyInput, instant: datetime) -> PolicyInput:
    return replace(case, message=replace(case.message, valid_until=instant))


def _last_message(case: PolicyInput, sent_at: datetime) -> PolicyInput:
    return replace(case, conversation=extend(None, is_known_contact=True, message_id="m1", sent_at=sent_at))


def _chose(case: PolicyInput, topic: Topic, *, allowed: bool, scope: str = EVERYWHERE) -> PolicyInput:
    choice = Choice(allowed=allowed, at=NOON, cause={"word": "stop", "message_id": "m1"})
    return replace(case, preferences=case.preferences.apply(topic, scope, choice))


def _set(case: PolicyInput, **settings: Any) -> PolicyInput:
    return replace(case, settings=replace(case.settings, **settings))


def _capped(case: PolicyInput, caps: str, **sent: timedelta) -> PolicyInput:
    """With ``caps``, and earlier messages that were sent so long ago at the latest."""
    cap_usage = CapUsage({message_id: case.now - ago - SNAPSHOT_VALID_FOR for message_id, ago in sent.items()})
    return replace(_set(case, caps={case.category: parse_caps(caps)}), cap_usage=cap_usage)


def _quiet(case: PolicyInput, hours: str) -> PolicyInput:
    return _set(case, quiet_hours={case.category: QuietHours.parse(hours)})


def _short(decision: Decision) -> tuple[Action, str | None, datetime | None]:
    return decision.action, decision.rule, decision.until


def test_send_decision_has_its_facts() -> None:
    assert decide(ALLOWED) == Decision(
        Action.SEND,
        None,
        {
            "decided_at": "2026-03-03T10:00:00Z",
            "last_inbound_at": "2026-03-02T12:00:00Z",
            "window_expires_at": "2026-04-01T12:00:00Z",
        },
    )


# Each rule, and their order

CONTRACTS_ORDER: Final = (
    "superseded",
    "cancelled",
    "erased",
    "opted_out",
    "no_conversation",
    "window_closed",
    "too_late",
    "no_consent",
    "channel_window",
    "paused",
    "in_conversation",
    "frequency_cap",
    "unknown_timezone",
    "quiet_hours",
    "dry_run",
)

Broken = Callable[[PolicyInput], PolicyInput]


def _with_track(case: PolicyInput, **changes: Any) -> PolicyInput:
    assert case.subject
    (name,) = case.subject.tracks
    return replace(case, subject=Subject(case.subject.ref, {name: replace(case.subject.tracks[name], **changes)}))


def _paused_row(scope: str, until: datetime | None = None) -> Brand:
    return Brand(STACK, pauses=with_pause(None, Pause(scope, NOON, until, "wrong text")))


BROKEN: Final[Mapping[str, Broken]] = {
    "superseded": lambda case: _with_track(case, active=True, revision=case.message.version + 1),
    "cancelled": lambda case: _with_track(case, active=False),
    # Long ago, so that the person has written since.
    "erased": lambda case: replace(
        case,
        message=replace(case.message, planned_at=NOON - 401 * DAY),
        preferences=case.preferences.erase(
            case.message.contact.channel, asked_at=NOON - 400 * DAY, at=NOON - 400 * DAY
        ),
    ),
    "opted_out": lambda case: _chose(case, "contact", allowed=False),
    "no_conversation": lambda case: replace(case, conversation=None, profile=None),
    "window_closed": lambda case: _last_message(case, case.now - WINDOW),
    "too_late": lambda case: _useful_until(case, case.now),
    "no_consent": lambda case: _chose(case, "marketing", allowed=False),
    "channel_window": lambda case: _set(_last_message(case, case.now - DAY), whatsapp_templates=frozenset()),
    "paused": lambda case: replace(case, stack=_paused_row("all")),
    "in_conversation": lambda case: _set(case, conversation_pause=DAY + HOUR),
    "frequency_cap": lambda case: _capped(case, "1/PT2H", another=HOUR),
    "unknown_timezone": lambda case: _quiet(_to(case, replace(SATELLITE, channel="whatsapp")), "20:00-09:00"),
    "quiet_hours": lambda case: _quiet(case, "12:00-14:00"),
    "dry_run": lambda case: _set(case, dry_run=True),
}
"""What makes each rule stop the follow-up of a trial on WhatsApp, and stops it by no other rule."""

FINE: Final = _set(_to(MARKETING, WHATSAPP), whatsapp_templates=frozenset({"trial_follow_up"}))


def _broken(rules: Iterable[str]) -> PolicyInput:
    """Break later rules first, so that the changes for earlier rules are kept."""
    return reduce(lambda case, name: BROKEN[name](case), sorted(rules, key=CONTRACTS_ORDER.index, reverse=True), FINE)


def _without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(policy, "RULES", {name: rule for name, rule in RULES.items() if name not in names})


def test_the_rules_are_those_of_the_contract_in_its_order() -> None:
    assert tuple(RULES) == tuple(BROKEN) == CONTRACTS_ORDER
    assert decide(FINE).action is Action.SEND


@pytest.mark.parametrize("rule", CONTRACTS_ORDER)
def test_each_rule_stops_what_no_other_rule_would(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = _broken([rule])
    holds = rule in ("paused", "in_conversation", "frequency_cap", "unknown_timezone", "quiet_hours")
    assert decide(case).action is (Action.HOLD if holds else Action.SKIP)
    assert decide(case).rule == rule
    # Quiet hours need a known zone.
    _without(monkeypatch, rule, *(["quiet_hours"] if rule == "unknown_timezone" else []))
    # A contact that never wrote has no open window either.
    assert decide(case).rule == ("window_closed" if rule == "no_conversation" else None)


NEVER_TOGETHER: Final = {
    ("superseded", "cancelled"),
    ("no_conversation", "channel_window"),
    ("no_conversation", "in_conversation"),
    ("window_closed", "in_conversation"),
    ("unknown_timezone", "quiet_hours"),
}


@pytest.mark.parametrize(
    ("earlier", "later"), [pair for pair in combinations(CONTRACTS_ORDER, 2) if pair not in NEVER_TOGETHER]
)
def test_of_two_rules_that_stop_it_the_earlier_is_reported(
    earlier: str, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = _broken([earlier, later])
    assert RULES[earlier](case).stops
    assert RULES[later](case).stops
    assert decide(case).rule == earlier
    _without(monkeypatch, *(name for name in RULES if name != later))
    alone = decide(case)
    # A hold by the later one may be past what the earlier one is about.
    assert alone.facts.get("held_by", alone.rule) == later


@each_of("first", range(len(CONTRACTS_ORDER)))
def test_next_rule_decides_when_an_earlier_one_no_longer_applies(first: int) -> None:
    assert decide(_broken(CONTRACTS_ORDER[first:])).rule == CONTRACTS_ORDER[first]


@each_of("rule", CONTRACTS_ORDER)
def test_a_reply_checks_its_own_rules_alone(rule: str) -> None:
    assert RULES_OF_REPLIES == ("erased", "opted_out", "too_late", "paused", "in_conversation", "dry_run")
    stopped = BROKEN[rule](replace(_to(REPLY, WHATSAPP), subject=FINE.subject, settings=FINE.settings))
    decision = decide(stopped)
    if rule == "paused":
        assert _short(decision) == (Action.HOLD, "paused", NOON + MINUTE)
    elif rule in ("erased", "opted_out", "too_late", "dry_run"):
        assert _short(decision) == (Action.SKIP, rule, None)
    else:
        assert _short(decision) == (Action.SEND, None, None)


# paused, in_conversation, dry_run, settings of a brand


@each_of(
    ("scope", "case", "covered"),
    [
        ("all", ALLOWED, True),
        ("all", REPLY, True),
        ("marketing", MARKETING, True),
        ("marketing", ALLOWED, False),
        ("marketing", REPLY, False),
        ("appointment_reminder", ALLOWED, True),
        ("appointment_reminder", MARKETING, False),
    ],
)
@each_of("by", ["stack", "brand"])
def test_a_pause_holds_what_its_scope_covers(scope: str, case: PolicyInput, covered: bool, by: str) -> None:
    row = _paused_row(scope)
    decision = decide(replace(case, stack=row) if by == "stack" else replace(case, brand=row))
    assert (decision.rule == "paused") is covered
    if covered:
        facts = {"paused": scope, "paused_at": "2026-03-02T12:00:00Z", "why": "wrong text", "setting_from": by}
        assert facts.items() <= decision.facts.items()


@pytest.mark.parametrize(
    ("until", "rule", "held_until"),
    [
        (None, "paused", timedelta(minutes=1)),
        (timedelta(seconds=30), "paused", timedelta(seconds=30)),
        (timedelta(), None, None),
    ],
)
def test_a_pause_ends_at_its_until(until: timedelta | None, rule: str | None, held_until: timedelta | None) -> None:
    ends = None if until is None else ALLOWED.now + until
    decision = decide(replace(ALLOWED, stack=_paused_row("all", ends)))
    assert (decision.rule, decision.until) == (rule, ALLOWED.now + held_until if held_until else None)


def test_a_pause_that_outlasts_validity_is_a_skip() -> None:
    decision = decide(replace(_useful_until(ALLOWED, ALLOWED.now + SECOND), stack=_paused_row("all")))
    assert (decision.action, decision.rule, decision.facts["held_by"]) == (Action.SKIP, "too_late", "paused")


@pytest.mark.parametrize(("ago", "held"), [(29 * MINUTE, True), (30 * MINUTE, False)])
def test_marketing_waits_for_the_end_of_a_conversation(ago: timedelta, held: bool) -> None:
    talking = _set(_last_message(MARKETING, MARKETING.now - ago), conversation_pause=30 * MINUTE)
    assert _short(decide(talking)) == (
        (Action.HOLD, "in_conversation", MARKETING.now + MINUTE) if held else (Action.SEND, None, None)
    )
    utility = _set(_last_message(ALLOWED, ALLOWED.now - ago), conversation_pause=30 * MINUTE)
    assert decide(utility).action is Action.SEND


def test_a_greeting_does_not_wait_for_the_message_it_answers() -> None:
    greeting = replace(REPLY, message=reply("welcome_back", inbound(), NOON), now=NOON + MINUTE)
    talking = _set(_last_message(greeting, NOON), conversation_pause=5 * MINUTE)
    assert decide(talking).action is Action.SEND
    assert decide(_last_message(talking, NOON + SECOND)).rule == "in_conversation"


def test_a_brand_overrides_the_stacks_settings() -> None:
    night = _quiet(ALLOWED, "09:00-12:00")
    assert decide(night).facts["setting_from"] == "stack"
    assert decide(night).facts["setting"] == "UtilityQuietHours"
    allowed = replace(night, brand=Brand("acme-dental", utility_quiet_hours=""))
    assert decide(allowed).action is Action.SEND
    later = decide(replace(night, brand=Brand("acme-dental", utility_quiet_hours="10:00-12:00")))
    assert (later.rule, later.facts["setting"], later.facts["setting_from"]) == (
        "quiet_hours",
        "utility_quiet_hours",
        "brand",
    )
    dry = decide(replace(ALLOWED, brand=Brand("acme-dental", dry_run=True)))
    assert (dry.rule, dry.facts["setting_from"]) == ("dry_run", "brand")
    assert decide(replace(_set(ALLOWED, dry_run=True), brand=Brand("acme-dental", dry_run=False))).rule is None


def test_a_brands_caps_and_consent_override_the_stacks() -> None:
    capped = _capped(MARKETING, "1/PT2H", another=HOUR)
    assert (decide(capped).facts["setting"], decide(capped).facts["setting_from"]) == ("MarketingCaps", "stack")
    assert decide(replace(capped, brand=Brand("acme-dental", marketing_caps="2/PT2H"))).action is Action.SEND
    consent = decide(replace(MARKETING, brand=Brand("acme-dental", marketing_consent="required")))
    assert (consent.rule, consent.facts["setting_from"]) == ("no_consent", "brand")


def test_reply_goes_to_a_contact_without_stored_data() -> None:
    assert decide(replace(REPLY, profile=None, conversation=None)).action is Action.SEND
    assert deliver_before(replace(REPLY, conversation=None)) == NOON + timedelta(minutes=10)


@each_of("rule", CONTRACTS_ORDER)
def test_facts_are_json(rule: str) -> None:
    for rules in ([rule], CONTRACTS_ORDER[CONTRACTS_ORDER.index(rule) :]):
        facts = dict(decide(_broken(rules)).facts)
        assert json.loads(json.dumps(facts)) == facts
        assert facts["decided_at"] == "2026-03-03T12:00:00Z"


# superseded, cancelled


SUPERSEDED: Final = replace(ALLOWED, subject=_apply("AppointmentRescheduled", starts_at=STARTS + DAY))


def test_a_message_of_an_older_version_is_superseded() -> None:
    decision = decide(SUPERSEDED)
    assert _short(decision) == (Action.SKIP, "superseded", None)
    assert (decision.facts["version"], decision.facts["subject_version"]) == (1, 2)


@pytest.mark.parametrize(
    ("subject", "fact"),
    [
        (_apply("AppointmentCancelled", contact=None), {"subject_version": 2}),
        (None, {"subject": "gone"}),
        (Subject(_booked.subject), {"subject": "gone"}),
    ],
    ids=["ended", "subject gone", "track gone"],
)
def test_a_message_of_what_has_ended_or_gone_is_cancelled(subject: Subject | None, fact: Mapping[str, Any]) -> None:
    decision = decide(replace(ALLOWED, subject=subject))
    assert _short(decision) == (Action.SKIP, "cancelled", None)
    assert fact.items() <= decision.facts.items()


def test_newest_version_with_the_same_message_does_not_supersede() -> None:
    subject = _apply("AppointmentRescheduled", starts_at=STARTS, location="Broad St 9")
    assert decide(replace(ALLOWED, subject=subject, message=_planned(subject))).action is Action.SEND
    assert decide(replace(ALLOWED, subject=subject)).rule == "superseded", "its text may be of yesterday"


def test_a_late_older_event_that_changes_the_plan_supersedes_it() -> None:
    """A late, older event named the reminders; the newest event is the same, but now plans another message."""
    late = business("AppointmentBooked", NOON - HOUR, starts_at=STARTS, remind_before=["PT1H"])
    newest = business("AppointmentRescheduled", NOON, starts_at=STARTS)
    before = apply_events(Subject(newest.subject), newest)
    wanted_before = {m.offset: m for m in planned_messages(before)}
    case = replace(ALLOWED, message=wanted_before["PT2H"], subject=before)
    assert decide(case).action is Action.SEND
    after = replace(case, subject=apply_events(before, late))
    assert decide(after).rule == "superseded"


def test_message_of_a_subject_created_anew_is_superseded() -> None:
    """The event that planned it is not known any more; the sender checks whether the subject still plans it."""
    newer = replace(ALLOWED.message, version=ALLOWED.message.version + 1)
    assert decide(replace(ALLOWED, message=newer)).rule == "superseded"


# erased, opted_out


@pytest.mark.parametrize(
    ("erased_at", "channel", "rule"),
    [
        (NOON - MICROSECOND, "sms", None),
        (NOON, "sms", "erased"),
        (NOON + DAY, "sms", "erased"),
        (NOON + DAY, "rcs", None),
    ],
)
def test_what_was_planned_until_the_erasure_is_not_sent(erased_at: datetime, channel: str, rule: str | None) -> None:
    preferences = Preferences().erase(channel, asked_at=erased_at, at=erased_at)
    assert decide(replace(ALLOWED, preferences=preferences)).rule == rule


def test_what_an_erasure_has_still_to_delete_counts_as_gone() -> None:
    """The function that erased ended after its mark, and the old conversation allowed a new booking's reminder."""
    at = ALLOWED.now - HOUR
    planned_since = replace(ALLOWED.message, planned_at=ALLOWED.now)
    case = replace(ALLOWED, message=planned_since, preferences=Preferences().erase("sms", asked_at=at, at=at))
    assert decide(case) == Decision(Action.SKIP, "no_conversation", {"decided_at": "2026-03-03T10:00:00Z"})
    seen = replace(case, profile=Profile(NOON, ALLOWED.now, expiry(NOON + RETENTION)))
    assert decide(seen).rule == "window_closed"
    extended = extend(None, is_known_contact=True, message_id="m2", sent_at=ALLOWED.now)
    assert decide(replace(seen, conversation=extended)).action is Action.SEND


def test_row_without_planning_time_is_from_before_the_erasure() -> None:
    preferences = Preferences().erase("sms", asked_at=NOON - DAY, at=NOON - DAY)
    message = ScheduledMessage(
        **{
            name: getattr(ALLOWED.message, name)
            for name in ("contact", "reason", "subject", "offset", "anchor_at", "due_at")
        },
        valid_until=STARTS,
        version=1,
    )
    assert decide(replace(ALLOWED, message=message, preferences=preferences)).rule == "erased"


@each_of("case", [ALLOWED, MARKETING, REPLY])
@each_of(("scope", "rule"), [(EVERYWHERE, "opted_out"), ("sms", "opted_out"), ("rcs", None)])
def test_an_opt_out_stops_whatever_it_applies_to(case: PolicyInput, scope: str, rule: str | None) -> None:
    decision = decide(_chose(case, "contact", allowed=False, scope=scope))
    assert decision.rule == rule
    if rule:
        assert {"opted_out_at": "2026-03-02T12:00:00Z", "word": "stop"}.items() <= decision.facts.items()


@pytest.mark.parametrize(
    ("later", "rule"), [(-MICROSECOND, "opted_out"), (timedelta(), "opted_out"), (MICROSECOND, None)]
)
def test_an_opt_in_has_to_be_later_than_the_opt_out(later: timedelta, rule: str | None) -> None:
    out = _chose(ALLOWED, "contact", allowed=False)
    replan = Choice(allowed=True, at=NOON + later)
    assert decide(replace(out, preferences=out.preferences.apply("contact", EVERYWHERE, replan))).rule == rule


@pytest.mark.parametrize("cause", [None, {"evidence": "letter"}, "by letter"])
def test_opt_out_without_cause_counts_and_outlives_erasure(cause: Any) -> None:
    out = Preferences().apply("contact", EVERYWHERE, Choice(allowed=False, at=NOON, cause=cause))
    for preferences in (out, out.erase("sms", asked_at=NOON - DAY, at=NOON - DAY)):
        decision = decide(replace(ALLOWED, preferences=preferences))
        assert decision.rule == "opted_out"
        assert "word" not in decision.facts


# no_conversation, window_closed, too_late


def test_contact_that_never_wrote_gets_no_message() -> None:
    assert _short(decide(replace(ALLOWED, conversation=None, profile=None))) == (Action.SKIP, "no_conversation", None)


@pytest.mark.parametrize(
    ("now", "rule"),
    [(NOON + WINDOW - MICROSECOND, None), (NOON + WINDOW, "window_closed"), (NOON + WINDOW * 3, "window_closed")],
)
def test_the_window_closes_by_the_clock_not_by_ttl(now: datetime, rule: str | None) -> None:
    """The item may still be there for days after its expiry."""
    decision = decide(replace(_useful_until(ALLOWED, NOON + WINDOW * 4), now=now))
    assert decision.rule == rule
    assert decision.facts["last_inbound_at"] == "2026-03-02T12:00:00Z"
    assert decision.facts["window_expires_at"] == "2026-04-01T12:00:00Z"


def test_what_ttl_has_deleted_changes_no_answer() -> None:
    """The last message is 40 days old: the window is closed, even if the conversation's item still exists."""
    there = replace(ALLOWED, now=NOON + timedelta(days=40))
    assert decide(there).rule == decide(replace(there, conversation=None)).rule == "window_closed"


def test_profile_past_its_retention_counts_as_never_contacted() -> None:
    now = NOON + RETENTION
    not_deleted = replace(ALLOWED, conversation=None, now=now)
    assert decide(not_deleted).rule == decide(replace(not_deleted, profile=None)).rule == "no_conversation"
    assert decide(replace(not_deleted, now=now - MICROSECOND)).rule == "window_closed"


@pytest.mark.parametrize(("now", "rule"), [(STARTS - MICROSECOND, None), (STARTS, "too_late")])
def test_a_message_is_of_use_until_its_instant_and_not_at_it(now: datetime, rule: str | None) -> None:
    decision = decide(replace(ALLOWED, now=now))
    assert decision.rule == rule
    if rule:
        assert decision.facts["useful_until"] == "2026-03-03T12:00:00Z"


# no_consent


def _needing_consent(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    terms: Mapping[str, Reason] = {**REASONS, reason: replace(REASONS[reason], needs_consent=True)}
    monkeypatch.setattr("reengage.domain.message.REASONS", terms)


@pytest.mark.parametrize("needs_consent", [False, True])
@pytest.mark.parametrize("consent", ["implied", "required"])
@pytest.mark.parametrize("recorded", [None, True, False])
@pytest.mark.parametrize("case", [ALLOWED, MARKETING], ids=["utility", "marketing"])
def test_marketing_needs_a_consent_that_was_not_taken_back(
    case: PolicyInput, recorded: bool | None, consent: str, needs_consent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if needs_consent:
        _needing_consent(monkeypatch, case.message.reason)
    is_needed = _set(case, marketing_consent=consent)
    decision = decide(is_needed if recorded is None else _chose(is_needed, "marketing", allowed=recorded))
    if case is ALLOWED:
        assert decision.rule is None
        assert "consent" not in decision.facts
        return
    on_record_is_needed = consent == "required" or needs_consent
    may = not on_record_is_needed if recorded is None else recorded
    assert decision.rule == (None if may else "no_consent")
    assert decision.facts["consent"] == {None: "not recorded", True: "recorded", False: "refused"}[recorded]
    assert decision.facts.get("refused_at") == ("2026-03-02T12:00:00Z" if recorded is False else None)


def test_marketing_consent_covers_only_its_channel() -> None:
    required = _set(MARKETING, marketing_consent="required")
    assert decide(_chose(required, "marketing", allowed=True, scope="rcs")).rule == "no_consent"
    assert decide(_chose(required, "marketing", allowed=True, scope="sms")).rule is None


# channel_window


@each_of(
    ("case", "contact", "since", "approved", "template_is"),
    [
        (ALLOWED, WHATSAPP, DAY - MICROSECOND, False, None),
        (ALLOWED, WHATSAPP, DAY, False, "not among WhatsAppTemplates"),
        (ALLOWED, WHATSAPP, DAY, True, None),
        (ALLOWED, WHATSAPP, WINDOW - MICROSECOND, True, None),
        (ALLOWED, AMERICAN, DAY, True, None),
        (MARKETING, WHATSAPP, DAY, True, None),
        (MARKETING, AMERICAN, DAY - MICROSECOND, False, None),
        (MARKETING, AMERICAN, DAY - MICROSECOND, True, None),
        (MARKETING, AMERICAN, DAY, False, "not among WhatsAppTemplates"),
        (MARKETING, AMERICAN, DAY, True, "marketing to a number that may not get it"),
        (MARKETING, CANADIAN, DAY, True, "marketing to a number that may not get it"),
        (MARKETING, Contact("acme-dental", "whatsapp", "anna.1"), DAY, True, None),
        (MARKETING, ANNA, WINDOW - MICROSECOND, False, None),
        (MARKETING, replace(AMERICAN, channel="rcs"), WINDOW - MICROSECOND, False, None),
    ],
)
def test_after_24_hours_whatsapp_allows_only_a_template(
    case: PolicyInput, contact: Contact, since: timedelta, approved: bool, template_is: str | None
) -> None:
    reason = case.message.reason
    # The other reason's template is of no help.
    templates = {"appointment_reminder", "trial_follow_up"} ^ (set() if approved else {reason})
    decision = decide(
        _last_message(_set(_to(case, contact), whatsapp_templates=frozenset(templates)), case.now - since)
    )
    assert _short(decision) == ((Action.SKIP, "channel_window", None) if template_is else (Action.SEND, None, None))
    assert decision.facts.get("template_is") == template_is
    assert decision.facts.get("template") == (reason if template_is else None)
    assert ("free_text_until" in decision.facts) == (template_is is not None)
    is_setting = template_is == "not among WhatsAppTemplates"
    assert decision.facts.get("setting") == ("WhatsAppTemplates" if is_setting else None)
    assert decision.facts.get("setting_from") == ("stack" if is_setting else None)


def test_channel_window_ends_24_hours_after_the_last_message() -> None:
    facts = decide(_last_message(_to(ALLOWED, WHATSAPP), ALLOWED.now - DAY)).facts
    assert facts["free_text_until"] == "2026-03-03T10:00:00Z"


# frequency_cap


@each_of(
    ("sent", "waits", "counted"),
    [
        ({}, None, {"1/P1D": 0, "3/P7D": 0}),
        ({"a": DAY}, None, {"1/P1D": 0, "3/P7D": 1}),
        ({"a": DAY - MICROSECOND}, MICROSECOND, {"1/P1D": 1, "3/P7D": 1}),
        ({"a": HOUR}, DAY - HOUR, {"1/P1D": 1, "3/P7D": 1}),
        ({"a": 6 * DAY, "b": 5 * DAY, "c": 4 * DAY}, DAY, {"1/P1D": 0, "3/P7D": 3}),
        ({"a": 7 * DAY, "b": 5 * DAY, "c": 4 * DAY}, None, {"1/P1D": 0, "3/P7D": 2}),
        # Both are full: until both have a place.
        ({"a": 6 * DAY, "b": 5 * DAY, "c": HOUR}, DAY, {"1/P1D": 1, "3/P7D": 3}),
        ({"a": 7 * DAY - HOUR, "b": 5 * DAY, "c": HOUR}, DAY - HOUR, {"1/P1D": 1, "3/P7D": 3}),
    ],
)
def test_full_cap_holds_until_all_caps_have_room(
    sent: Mapping[str, timedelta], waits: timedelta | None, counted: Mapping[str, int]
) -> None:
    case = _capped(MARKETING, "1/P1D,3/P7D", **sent)
    decision = decide(case)
    assert decision.facts["counted"] == counted
    if waits is None:
        assert _short(decision) == (Action.SEND, None, None)
        return
    assert _short(decision) == (Action.HOLD, "frequency_cap", case.now + waits)
    assert decide(replace(case, now=case.now + waits)).action is Action.SEND
    assert decide(replace(case, now=case.now + waits - MICROSECOND)).rule == "frequency_cap"


def test_message_does_not_count_against_itself() -> None:
    own = ALLOWED.message.scheduled_message_id
    decision = decide(_capped(ALLOWED, "1/P1D", **{own: HOUR}))
    assert decision.action is Action.SEND
    assert decision.facts["counted"] == {"1/P1D": 0}


def test_a_category_without_caps_counts_nothing() -> None:
    decision = decide(replace(_capped(ALLOWED, "1/P1D", a=HOUR), settings=PolicySettings()))
    assert decision.action is Action.SEND
    assert "counted" not in decision.facts


# unknown_timezone, quiet_hours


@pytest.mark.parametrize(
    ("contact", "hours", "source"),
    [
        (SATELLITE, "20:00-09:00", "unknown"),
        (Contact("acme-dental", "whatsapp", "anna.1"), "20:00-09:00", "unknown"),
        # Of Australia's zones from Cocos to Lord Howe some are always quiet, in winter as in summer.
        (AUSTRALIAN, "12:00-10:00", "phone_number"),
    ],
)
def test_unknown_zone_is_rechecked_in_an_hour(contact: Contact, hours: str, source: str) -> None:
    case = _quiet(_to(_last_message(MARKETING, MARKETING.now - HOUR), contact), hours)
    decision = decide(case)
    assert _short(decision) == (Action.HOLD, "unknown_timezone", case.now + HOUR)
    assert timedelta(hours=1) == RECHECK_AFTER
    assert decision.facts["zone_from"] == source
    for way_to_fix in ("MessageReceived", "BrandConfigured", "DefaultTimezone", "timezone"):
        assert way_to_fix in decision.facts["hint"]
    assert decide(replace(case, now=case.now + HOUR)).rule == "unknown_timezone"


def test_zone_matters_only_if_there_are_quiet_hours() -> None:
    somewhere = _to(MARKETING, SATELLITE)
    for case in (somewhere, _set(somewhere, quiet_hours={"utility": QuietHours(time(20), time(9))})):
        decision = decide(case)
        assert decision.action is Action.SEND
        assert "zone_from" not in decision.facts


@pytest.mark.parametrize("zone", ["UTC", "GMT", "Etc/GMT-1"])
def test_an_event_in_utc_makes_no_zone_known(zone: str) -> None:
    """A clinic's system sends UTC with each booking: its patients' nights are not those of UTC."""
    case = _quiet(_to(MARKETING, SATELLITE), "20:00-09:00")
    assert case.subject
    event = business("TrialExtended", NOON + HOUR, ends_at=NOON + timedelta(days=4), timezone=zone)
    subject = apply_events(case.subject, event)
    case = replace(case, subject=subject, message=replace(_planned(subject), contact=SATELLITE))
    assert decide(case).rule == "unknown_timezone"
    decision = decide(_set(case, default_timezone="Asia/Tokyo"))
    assert (decision.rule, decision.facts["zone_from"]) == ("quiet_hours", "default")


@pytest.mark.parametrize("known_source", ["contact", "event", "brand", "default"])
def test_once_the_zone_is_known_it_is_the_one_that_counts(known_source: str) -> None:
    """Tokyo's 21:00 is quiet, Berlin's 13:00 is not."""
    zone = "Asia/Tokyo"
    case = _quiet(_to(MARKETING, SATELLITE), "20:00-09:00")
    assert case.profile
    assert case.subject
    event = business("TrialExtended", NOON + HOUR, ends_at=NOON + timedelta(days=4), timezone=zone)
    subject = apply_events(case.subject, event)
    case = {
        "contact": replace(case, profile=replace(case.profile, timezone=zone)),
        "event": replace(case, subject=subject, message=replace(_planned(subject), contact=SATELLITE)),
        "brand": replace(case, brand=Brand("acme-dental", timezone=zone)),
        "default": _set(case, default_timezone=zone),
    }[known_source]
    decision = decide(case)
    assert _short(decision) == (Action.HOLD, "quiet_hours", parse_instant("2026-03-04T09:00:00+09:00"))
    assert {
        "quiet_hours": "20:00-09:00",
        "zone": "Asia/Tokyo",
        "zone_from": known_source,
        "local_time": "2026-03-03T21:00+09:00",
        "tzdata": tzdata_version(),
    }.items() <= decision.facts.items()


@pytest.mark.parametrize(
    ("local", "until"),
    [
        ("2026-03-03T19:59:59.999999+01:00", None),
        ("2026-03-03T20:00:00+01:00", "2026-03-04T09:00:00+01:00"),
        ("2026-03-04T08:59:59.999999+01:00", "2026-03-04T09:00:00+01:00"),
        ("2026-03-04T09:00:00+01:00", None),
        # The night in which Berlin's clocks go forward.
        ("2026-03-28T20:00:00+01:00", "2026-03-29T09:00:00+02:00"),
    ],
)
def test_quiet_hours_hold_until_the_first_allowed_instant(local: str, until: str | None) -> None:
    now = parse_instant(local)
    case = _useful_until(_quiet(replace(MARKETING, now=now), "20:00-09:00"), NOON + WINDOW)
    decision = decide(case)
    assert decision.facts["local_time"] == now.isoformat(timespec="minutes")
    assert decision.facts["zone_from"] == "phone_number"
    if until is None:
        assert _short(decision) == (Action.SEND, None, None)
    else:
        assert _short(decision) == (Action.HOLD, "quiet_hours", parse_instant(until))
        assert decide(replace(case, now=parse_instant(until))).action is Action.SEND


def test_of_several_zones_all_have_to_allow_it() -> None:
    """Cocos is four and a half hours behind Lord Howe's summer: quiet until it is nine there, too."""
    noon_in_sydney = parse_instant("2026-03-03T12:00:00+11:00")
    case = _quiet(replace(_to(MARKETING, AUSTRALIAN), now=noon_in_sydney), "20:00-09:00")
    decision = decide(case)
    assert _short(decision) == (Action.HOLD, "quiet_hours", parse_instant("2026-03-03T09:00:00+06:30"))
    assert decision.facts["zone"] == "8 zones"
    assert decision.facts["zone_from"] == "phone_number"
    assert decision.until
    sent = replace(case, now=decision.until)
    assert decide(sent).action is Action.SEND
    assert deliver_before(sent) == parse_instant("2026-03-03T20:00:00+11:00")


def test_each_category_has_hours_and_caps_of_its_own() -> None:
    hours, caps = {"marketing": QuietHours(time(10), time(14))}, {"marketing": parse_caps("1/P1D")}
    for case, rule in ((ALLOWED, None), (MARKETING, "frequency_cap")):
        busy = replace(_set(case, quiet_hours=hours, caps=caps), cap_usage=CapUsage({"another": case.now - HOUR}))
        assert decide(busy).rule == rule
        assert decide(replace(busy, cap_usage=CapUsage())).rule == (rule and "quiet_hours")


# Holds


@pytest.fixture(name="holding")
def _holding(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """A rule of this test holds every message until an instant."""

    def hold(until: datetime) -> None:
        rule: Rule = lambda _case: RuleResult(stops=True, facts={"seen": 1}, until=until)  # noqa: E731 - typed by its name
        monkeypatch.setattr(policy, "RULES", {**RULES, "quiet_hours": rule})

    return hold


def test_hold_has_its_end_and_rule(holding: Callable[[datetime], None]) -> None:
    holding(ALLOWED.now + HOUR)
    decision = decide(ALLOWED)
    assert _short(decision) == (Action.HOLD, "quiet_hours", ALLOWED.now + HOUR)
    assert decision.facts["seen"] == 1


@pytest.mark.parametrize(
    ("valid_until", "end", "rule"),
    [
        (STARTS, STARTS, "too_late"),
        (NOON + 2 * WINDOW, NOON + WINDOW, "window_closed"),
        (STARTS, NOON + WINDOW, "too_late"),
    ],
    ids=["use", "window", "both"],
)
@pytest.mark.parametrize("past", [-MICROSECOND, timedelta(), MICROSECOND])
def test_hold_past_validity_or_window_is_a_skip(
    holding: Callable[[datetime], None], valid_until: datetime, end: datetime, rule: str, past: timedelta
) -> None:
    until = end + past
    holding(until)
    decision = decide(_useful_until(ALLOWED, valid_until))
    if until < min(valid_until, NOON + WINDOW):
        assert _short(decision) == (Action.HOLD, "quiet_hours", until)
        assert "held_by" not in decision.facts
        return
    assert _short(decision) == (Action.SKIP, rule, None)
    assert decision.facts["held_by"] == "quiet_hours"
    assert parse_instant(decision.facts["until"]) == until
    assert decision.facts["seen"] == 1


@pytest.mark.parametrize("rule", ["frequency_cap", "unknown_timezone", "quiet_hours"])
@pytest.mark.parametrize("ends", ["too_late", "window_closed"])
def test_each_hold_becomes_a_skip_after_its_validity(rule: str, ends: str) -> None:
    case = _broken([rule])
    until = decide(case).until
    assert until
    case = _useful_until(case, until) if ends == "too_late" else _last_message(case, until - WINDOW)
    decision = decide(case)
    assert _short(decision) == (Action.SKIP, ends, None)
    assert decision.facts["held_by"] == rule


# The deadlines for the channel


@each_of(
    ("case", "before"),
    [
        (ALLOWED, STARTS),
        (_useful_until(ALLOWED, NOON + WINDOW * 2), NOON + WINDOW),
        (_quiet(ALLOWED, "12:00-13:00"), parse_instant("2026-03-03T12:00:00+01:00")),
        (_quiet(ALLOWED, "12:59-13:10"), parse_instant("2026-03-03T12:59:00+01:00")),
        (_quiet(ALLOWED, "13:00-14:00"), STARTS),
        (_quiet(ALLOWED, "20:00-09:00"), STARTS),
        (_set(ALLOWED, quiet_hours={"marketing": QuietHours(time(12), time(13))}), STARTS),
        (REPLY, NOON + timedelta(minutes=10)),
        (_last_message(REPLY, NOON - WINDOW + MICROSECOND), NOON + timedelta(minutes=10)),
    ],
)
def test_deadline_is_the_first_of_validity_window_quiet_hours(case: PolicyInput, before: datetime) -> None:
    assert decide(case).action is Action.SEND
    assert deliver_before(case) == free_text_until(case, deliver_before(case)) == before


@pytest.mark.parametrize(
    ("since", "ends"), [(HOUR, STARTS), (DAY - HOUR, ALLOWED.now + HOUR), (3 * DAY, ALLOWED.now - 2 * DAY)]
)
def test_free_text_ends_with_the_channels_own_window(since: timedelta, ends: datetime) -> None:
    case = _last_message(_to(ALLOWED, WHATSAPP), ALLOWED.now - since)
    assert free_text_until(case, STARTS) == ends
    assert deliver_before(case) == STARTS
    assert free_text_until(_to(case, ANNA), STARTS) == STARTS


# Another track, or the person's own interest, decides about a message.

_with_check_in = business(
    "AppointmentBooked", starts_at=STARTS, remind_before=[], check_in_url="https://a.example", check_in_before="PT2H"
)
CHECK_IN: Final = _case(apply_events(Subject(_with_check_in.subject), _with_check_in))
"""An online check-in, at 11:00 in Berlin."""


def _after(case: PolicyInput, event_type: str, hours: float, **fields: Any) -> PolicyInput:
    assert case.subject
    return replace(case, subject=apply_events(case.subject, business(event_type, NOON + hours * HOUR, **fields)))


def test_completed_check_in_cancels_only_its_invitation() -> None:
    assert decide(CHECK_IN).action is Action.SEND
    decision = decide(_after(CHECK_IN, "CheckInCompleted", 1, contact=None))
    assert (decision.action, decision.rule) == (Action.SKIP, "cancelled")
    assert decision.facts["subject_version"] == 1, "of the appointment, which itself stands"
    assert decide(_after(ALLOWED, "CheckInCompleted", 1, contact=None)).action is Action.SEND


def test_check_in_before_the_move_cancels_nothing() -> None:
    assert decide(_after(CHECK_IN, "CheckInCompleted", -1, contact=None)).action is Action.SEND
    completed = _after(CHECK_IN, "CheckInCompleted", 1, contact=None)
    new_room = _after(completed, "AppointmentRescheduled", 2, starts_at=STARTS, location="Room 2")
    assert decide(new_room).rule == "cancelled", "only another time asks for a new check-in"
    moved = _after(completed, "AppointmentRescheduled", 2, starts_at=STARTS + HOUR)
    assert decide(moved).rule == "superseded"
    assert moved.subject
    replan = _case(moved.subject)
    assert decide(replan).action is Action.SEND


def test_check_in_after_the_move_cancels_and_does_not_supersede() -> None:
    moved = _after(CHECK_IN, "AppointmentRescheduled", 1, starts_at=STARTS)
    assert decide(moved).rule == "superseded"
    assert decide(_after(moved, "CheckInCompleted", 2, contact=None)).rule == "cancelled"


_back = business("ItemBackInStock", subject_id="I-1", name="Shoe")
_interest = business("InterestShown", NOON - DAY, subject_id="I-1")
_withdrawn = business("InterestWithdrawn", NOON - HOUR, subject_id="I-1")


def _back_in_stock(*interest: Any) -> PolicyInput:
    item = apply_events(Subject(_back.subject), _back)
    [broadcast] = broadcasts(item)
    message = broadcast.message_for(ANNA, NOON - DAY, at=NOON)
    own = apply_events(Subject(_interest.subject), *interest) if interest else None
    return replace(MARKETING, message=message, subject=item, now=NOON + HOUR, interest=own)


@pytest.mark.parametrize(
    ("interest", "fact"),
    [
        ((), "gone"),
        ((_interest, _withdrawn), "withdrawn"),
        ((_withdrawn, _interest), "withdrawn"),
        ((_withdrawn,), "withdrawn"),
    ],
)
def test_withdrawn_interest_skips_the_restock_message(interest: tuple[Any, ...], fact: str) -> None:
    decision = decide(_back_in_stock(*interest))
    assert (decision.action, decision.rule, decision.facts["interest"]) == (Action.SKIP, "cancelled", fact)


def test_interest_gets_the_restock_unless_sold_out() -> None:
    case = _back_in_stock(_interest)
    assert decide(case).action is Action.SEND
    assert decide(_after(case, "ItemSoldOut", 0.5, subject_id="I-1")).rule == "cancelled"
    assert decide(_after(case, "ItemBackInStock", 0.5, subject_id="I-1", name="Shoe")).rule == "superseded"
    anew = business("InterestShown", NOON, subject_id="I-1")
    assert decide(_back_in_stock(_interest, _withdrawn, anew)).action is Action.SEND


def test_only_interest_reasons_check_interest() -> None:
    event = business("ProductPreviewAnnounced", subject_id="N-1", title="Autumn", send_at=NOON)
    announced = apply_events(Subject(event.subject), event)
    [broadcast] = broadcasts(announced)
    case = replace(MARKETING, message=broadcast.message_for(ANNA, None, at=NOON), subject=announced, now=NOON + HOUR)
    assert decide(_chose(case, "marketing", allowed=True)).action is Action.SEND
