"""A contact's ledger has the whole story without the person's words; an export leaves nothing out."""

import json
from dataclasses import replace
from datetime import time, timedelta
from typing import Any, Final

import pytest

from reengage.adapters.memory import HOLDINGS_PAGE
from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.instants import iso
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category
from reengage.ports import Refused, Retryable
from reengage.usecases.explain import explain, export
from tests.fakes import ANNA, NOON, World, business, inbound

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
STARTS: Final = NOON + 10 * DAY
MOVED_TO: Final = STARTS + 2 * HOUR
EVENING: Final = QuietHours(time(19), time(9))
QUIET: Final[dict[Category, QuietHours]] = {"marketing": EVENING, "utility": EVENING}
WHOSE: Final = {"brand": "acme-dental", "channel": "sms", "address": "+4915112345678"}


def explained(world: World, contact: Contact = ANNA) -> dict[str, Any]:
    """Return the ledger as the caller gets it."""
    answer: dict[str, Any] = json.loads(json.dumps(explain(contact, store=world.store, clock=world.clock)))
    return answer


def exported(world: World, contact: Contact = ANNA) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(export(contact, store=world.store, clock=world.clock)))
    return answer


def whats(ledger: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the instants and labels in the order of the ledger."""
    return [(entry["at"], entry["what"]) for entry in ledger["entries"]]


def story() -> World:
    """Booked, reminded, moved, corrected, not reminded again: Anna has opted out in between."""
    world = World(policy=PolicySettings(caps={"utility": parse_caps("5/P1D")}))
    world.receive(inbound(text="I love your dentist, he is so gentle", display_name="Anna Beispiel", locale="de"))
    world.clock.forward(hours=1)
    world.plan(business("AppointmentBooked", world.clock.now, starts_at=STARTS, location="Main St 1"))
    world.clock.now = STARTS - DAY
    assert world.run_sender()["sent"] == 1
    world.clock.forward(hours=1)
    world.plan(business("AppointmentRescheduled", world.clock.now, starts_at=MOVED_TO, remind_before=["PT2H"]))
    assert world.run_sender()["sent"] == 1
    world.clock.forward(hours=1)
    world.receive(inbound(world.clock.now, text="STOP", message_id="SM-stop"))
    world.clock.now = MOVED_TO - 2 * HOUR
    assert world.run_sender()["skipped"] == {"opted_out": 1}
    world.clock.forward(hours=1)
    return world


def test_a_whole_story_in_order_of_time_with_rule_and_facts() -> None:
    world = story()
    ledger = explained(world)
    assert ledger["contact"] == WHOSE
    assert ledger["asked_at"] == iso(world.clock.now)
    stopped_at = STARTS - DAY + 2 * HOUR
    assert whats(ledger) == [
        (iso(NOON), "first message"),
        (iso(NOON), "wrote"),
        (iso(NOON + HOUR), "planned"),
        (iso(NOON + HOUR), "planned"),
        (iso(STARTS - DAY), "sent"),
        (iso(STARTS - DAY + HOUR), "skipped"),
        (iso(STARTS - DAY + HOUR), "planned"),
        (iso(STARTS - DAY + HOUR), "planned"),
        (iso(STARTS - DAY + HOUR), "sent"),
        (iso(stopped_at), "wrote"),
        (iso(stopped_at), "opted out"),
        (iso(MOVED_TO - 2 * HOUR), "skipped"),
        (iso(stopped_at + timedelta(days=30)), "window closes"),
    ]
    *_, opted_out, skipped, _ = ledger["entries"]
    assert opted_out["cause"] == {"word": "stop", "message_id": "SM-stop", "channel": "sms"}
    assert opted_out["scope"] == "*"
    assert (skipped["reason"], skipped["subject_id"], skipped["step"]) == ("appointment_reminder", "A-1001", "PT2H")
    assert skipped["rule"] == "opted_out"
    assert skipped["facts"]["opted_out_at"] == iso(stopped_at)
    superseded = ledger["entries"][5]
    assert superseded["rule"] == "superseded"
    sent = ledger["entries"][4]
    assert (sent["provider"], sent["provider_message_id"]) == ("fake", "provider-1")
    assert sent["facts"]["window_expires_at"] == iso(NOON + timedelta(days=30))
    assert {entry["scheduled_message_id"] for entry in ledger["entries"] if entry["what"] == "planned"} == {
        row.scheduled_message_id for row in world.store.rows()
    }


def test_ledger_shows_the_current_state() -> None:
    world = story()
    assert explained(world)["stands"] == {
        "window": "open",
        "window_expires_at": iso(STARTS - DAY + 2 * HOUR + timedelta(days=30)),
        "conversation": "started",
        "opted_out": True,
        "marketing_consent": None,
        "timezone": None,
        "locale": "de",
        "subjects": {"appointment A-1001": {"appointment": "active"}},
    }
    yes = Choice(allowed=True, at=world.clock.now, cause={"evidence": {"where": "web"}})
    world.record_choice(RecordChoice(ANNA, "marketing", yes))
    world.record_choice(RecordChoice(ANNA, "contact", yes))
    world.plan(business("AppointmentCancelled", world.clock.now, contact=None))
    world.clock.forward(days=40)
    state = explained(world)["stands"]
    assert (state["window"], state["opted_out"], state["marketing_consent"]) == ("closed", False, True)
    assert state["subjects"] == {"appointment A-1001": {"appointment": "ended"}}
    assert {"opted in", "consented to marketing"} <= {what for _, what in whats(explained(world))}
    world.store._conversations.clear()
    state = explained(world)["stands"]
    assert (state["window"], state["window_expires_at"]) == ("closed", None)


def test_each_kind_of_refusal_is_named() -> None:
    world = World()
    for scope, seconds in ((ANNA, 1), (replace(ANNA, channel="rcs"), 2)):
        no = Choice(allowed=False, at=NOON + timedelta(seconds=seconds), cause="by phone")
        world.record_choice(RecordChoice(scope, "marketing", no))
    (entry,) = explained(world)["entries"]
    assert entry == {
        "at": iso(NOON + timedelta(seconds=2)),
        "what": "refused marketing",
        "scope": "*",
        "cause": "by phone",
    }
    assert explained(world)["stands"]["marketing_consent"] is False


def test_held_and_failed_messages_have_their_rule() -> None:
    world = World(policy=PolicySettings(quiet_hours=QUIET, default_timezone="UTC"))
    world.receive(inbound(timezone="Europe/Berlin"))
    night = NOON + 8 * HOUR
    world.plan(business("AppointmentBooked", subject_id="A-1", starts_at=night + DAY, remind_before=["P1D"]))
    world.plan(business("AppointmentBooked", subject_id="A-2", starts_at=NOON + 3 * HOUR, remind_before=["PT2H"]))
    world.provider.script.append(Refused("30003"))
    for world.clock.now in (NOON + HOUR, night):
        world.run_sender()
    scheduled, failed = (
        next(entry for entry in explained(world)["entries"] if entry["what"] == what)
        for what in ("scheduled", "failed")
    )
    assert (scheduled["rule"], scheduled["at"]) == ("quiet_hours", "2026-03-03T08:00:00Z")
    assert scheduled["facts"]["zone"] == "Europe/Berlin"
    assert scheduled["held_by"] == "quiet_hours"
    assert (failed["error"], failed["attempts"]) == ("30003", 1)


def test_what_an_outage_outlasted_has_the_providers_error() -> None:
    """It is skipped as too late; the error shows why it was not sent in time."""
    world = World()
    world.receive(inbound())
    starts = NOON + 5 * HOUR
    world.plan(business("AppointmentBooked", starts_at=starts, remind_before=["PT2H"]))
    world.provider.script.extend([Retryable("HTTP 503")] * 100)
    for minutes in range(0, 150, 5):
        world.clock.now = starts - 2 * HOUR + timedelta(minutes=minutes)
        world.run_sender()
    (skipped,) = [entry for entry in explained(world)["entries"] if entry["what"] == "skipped"]
    assert (skipped["rule"], skipped["error"]) == ("too_late", "HTTP 503")


def test_sent_message_keeps_its_earlier_hold() -> None:
    """The ledger showed the morning as the due time of a message that was held at night."""
    world = World(policy=PolicySettings(quiet_hours=QUIET, default_timezone="UTC"))
    world.receive(inbound(timezone="Europe/Berlin"))
    night, morning = NOON + 8 * HOUR, NOON + 20 * HOUR
    world.plan(business("AppointmentBooked", subject_id="A-1", starts_at=night + DAY, remind_before=["P1D"]))
    for world.clock.now in (night, morning):
        world.run_sender()
    planned, sent = (entry for entry in explained(world)["entries"] if entry.get("subject_id") == "A-1")
    assert (planned["what"], planned["due_at"]) == ("planned", iso(night))
    assert (sent["what"], sent["at"], sent["held_by"]) == ("sent", iso(morning), "quiet_hours")
    assert "rule" not in sent


def test_after_erasure_only_the_mark_and_opt_out_are_shown() -> None:
    world = story()
    world.erase(EraseContact(ANNA, world.clock.now - HOUR))
    ledger = explained(world)
    assert whats(ledger) == [(iso(STARTS - DAY + 2 * HOUR), "opted out"), (iso(world.clock.now), "erased")]
    opted_out, erased = ledger["entries"]
    assert "cause" not in opted_out
    assert erased["asked_at"] == iso(world.clock.now - HOUR)
    assert (ledger["stands"]["opted_out"], ledger["stands"]["window"]) == (True, "never opened")


def test_a_late_stop_is_after_the_decisions_last_message() -> None:
    """The person wrote STOP before the reminder, and the provider delivered it after: the runbook compares the two."""
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", world.clock.now, starts_at=STARTS, remind_before=["P1D"]))
    world.clock.now = STARTS - DAY
    assert world.run_sender()["sent"] == 1
    stopped_at = STARTS - DAY - timedelta(minutes=10)
    world.clock.forward(hours=1)
    world.receive(inbound(stopped_at, text="STOP"))
    entries = {entry["what"]: entry for entry in explained(world)["entries"]}
    assert entries["opted out"]["at"] == iso(stopped_at) < entries["sent"]["facts"]["decided_at"]
    assert entries["sent"]["facts"]["last_inbound_at"] == iso(NOON)


def test_ledger_shows_when_an_appointment_is() -> None:
    """A reminder with a wrong hour comes from a wrong offset or zone of the event, so both are shown as they came."""
    world = story()
    moved_at = explained(world)["times"]["appointment A-1001"].pop("newest_event_at")
    starts_at = (STARTS + 2 * HOUR).isoformat()
    assert explained(world)["times"] == {"appointment A-1001": {"starts_at": starts_at, "newest_event_at": moved_at}}
    given: dict[str, Any] = {"starts_at": "2026-03-12T14:00:00+01:00", "timezone": "Europe/Berlin"}
    world.plan(business("AppointmentRescheduled", world.clock.now + HOUR, **given))
    shown = given | {"newest_event_at": iso(world.clock.now + HOUR)}
    assert explained(world)["times"] == {"appointment A-1001": shown}


@pytest.mark.parametrize(("minutes", "status"), [(-1, "active"), (1, "ended")])
def test_ledger_shows_the_instant_of_the_newest_event(minutes: int, status: str) -> None:
    """A person got a reminder for a cancelled appointment: the cancellation was dated before the booking."""
    world = World()
    world.receive(inbound())
    booked_at = world.clock.now
    world.plan(business("AppointmentBooked", booked_at, starts_at=STARTS, remind_before=["P1D"]))
    cancelled_at = booked_at + timedelta(minutes=minutes)
    world.clock.forward(hours=1)
    world.plan(business("AppointmentCancelled", cancelled_at))
    ledger = explained(world)
    assert ledger["stands"]["subjects"] == {"appointment A-1001": {"appointment": status}}
    assert ledger["times"]["appointment A-1001"]["newest_event_at"] == iso(max(booked_at, cancelled_at))


def test_unknown_contact_has_an_empty_ledger() -> None:
    state: dict[str, Any] = {
        "window": "never opened",
        "window_expires_at": None,
        "conversation": None,
        "opted_out": False,
        "marketing_consent": None,
        "timezone": None,
        "locale": None,
        "subjects": {},
    }
    assert explained(World()) == {"contact": WHOSE, "asked_at": iso(NOON), "stands": state, "entries": []}


@pytest.mark.parametrize(("days", "window"), [(364, "closed"), (365, "never opened")])
def test_contact_past_its_retention_counts_as_unknown(days: int, window: str) -> None:
    """It is so although TTL may not have deleted the profile yet."""
    world = World()
    world.receive(inbound())
    world.store._conversations.clear()
    world.clock.forward(days=days)
    assert explained(world)["stands"]["window"] == window


def test_explain_shows_no_texts_and_changes_nothing() -> None:
    world = story()
    before = repr(world.store)
    ledger_text = json.dumps(explained(world))
    assert "gentle" not in ledger_text
    assert "Beispiel" not in ledger_text
    assert exported(world)
    assert repr(world.store) == before


def test_an_export_holds_everything() -> None:
    world = story()
    given = exported(world)
    assert given["contact"] == WHOSE
    assert given["exported_at"] == iso(world.clock.now)
    assert [message["text"] for message in given["inbound"]] == ["I love your dentist, he is so gentle", "STOP"]
    assert given["profile"]["display_name"] == "Anna Beispiel"
    assert given["conversation"]["opening"] == "started"
    assert given["preferences"]["contact"]["*"]["cause"] == {"word": "stop", "message_id": "SM-stop", "channel": "sms"}
    assert [row["state"] for row in given["scheduled"]] == ["sent", "skipped", "skipped", "sent"]
    assert "Main St 1" in json.dumps(given["subjects"])
    assert len(given["cap_usage"]["utility"]["taken"]) == 2


def test_export_of_an_unknown_contact_is_empty() -> None:
    given = exported(World())
    assert [given[name] for name in ("profile", "conversation", "inbound", "scheduled", "subjects", "cap_usage")] == [
        None,
        None,
        [],
        [],
        [],
        {},
    ]


@pytest.mark.parametrize("keeps", [True, False])
def test_the_text_that_was_sent_is_shown_if_it_is_kept(*, keeps: bool) -> None:
    """The question "what did you send me?" had no answer."""
    world = World(policy=PolicySettings(keep_texts=keeps))
    world.receive(inbound(NOON))
    starts = NOON + timedelta(days=2)
    world.plan(business("AppointmentBooked", starts_at=starts, remind_before=["P1D"]))
    world.clock.now = starts - timedelta(days=1)
    assert world.run_sender()["sent"] == 1
    (sent,) = [
        each for each in explain(ANNA, store=world.store, clock=world.clock)["entries"] if each["what"] == "sent"
    ]
    (held,) = export(ANNA, store=world.store, clock=world.clock)["scheduled"]
    text = world.provider.handed[0].wording.text if keeps else None
    assert (sent.get("text"), held["text"]) == (text, text)
    assert (sent.get("locale"), sent.get("template")) == (("en", "appointment_reminder") if keeps else (None, None))
    assert not {"text", "locale", "template"} & world.bus.details("MessageSent")[0].keys()


def test_long_export_is_paged() -> None:
    world = World()
    for number in range(HOLDINGS_PAGE + 1):
        world.receive(inbound(NOON, message_id=f"SM{number}"))
    first = export(ANNA, store=world.store, clock=world.clock)
    last = export(ANNA, store=world.store, clock=world.clock, cursor=first["next"])
    assert (len(first["inbound"]), len(last["inbound"]), "next" in last) == (HOLDINGS_PAGE, 1, False)
    assert (first["profile"] is None, last["profile"] is None) == (False, True)


def forecasts(world: World) -> list[dict[str, Any]]:
    ledger = explain(ANNA, store=world.store, clock=world.clock, settings=world.policy)
    return [entry for entry in ledger["entries"] if entry["what"] == "scheduled"]


def test_what_is_scheduled_has_its_forecast() -> None:
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["P1D"]))
    (entry,) = forecasts(world)
    assert (entry["forecast"], entry["forecast_at"]) == ("send", iso(STARTS - DAY))
    assert "forecast_rule" not in entry


@pytest.mark.parametrize("rule", ["no_conversation", "opted_out", "window_closed"])
def test_a_certain_skip_is_forecast_with_its_rule(rule: str) -> None:
    """25 seconds before its skip, a message was shown as just scheduled."""
    world = World()
    starts_at = STARTS + 40 * DAY if rule == "window_closed" else STARTS
    if rule != "no_conversation":
        world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=starts_at, remind_before=["P1D"]))
    if rule == "opted_out":
        world.receive(inbound(world.clock.forward(hours=1), text="STOP"))
    (entry,) = forecasts(world)
    assert (entry["forecast"], entry["forecast_rule"]) == ("skip", rule)


def test_a_hold_is_forecast_with_its_end() -> None:
    world = World(policy=PolicySettings(quiet_hours=QUIET))
    world.receive(inbound())
    at_eight = STARTS.replace(hour=20)
    world.plan(business("AppointmentBooked", starts_at=at_eight + DAY, remind_before=["P1D"]))
    (entry,) = forecasts(world)
    assert (entry["forecast"], entry["forecast_held_by"]) == ("send", "quiet_hours")
    assert entry["forecast_at"] > iso(at_eight)


def test_a_forecast_of_too_late_names_the_hold() -> None:
    """A full cap holds the second reminder past its end: it was "too_late" hours before it was due, without a cause."""
    world = World(policy=PolicySettings(caps={"utility": parse_caps("1/P1D")}))
    world.receive(inbound())
    world.plan(business("AppointmentBooked", subject_id="A-1", starts_at=STARTS, remind_before=["PT1H"]))
    world.clock.now = STARTS - timedelta(hours=1)
    world.run_sender()
    world.plan(
        business("AppointmentBooked", subject_id="A-2", starts_at=STARTS + timedelta(hours=4), remind_before=["PT1H"])
    )
    entry = forecasts(world)[-1]
    assert (entry["forecast_rule"], entry["forecast_held_by"]) == ("too_late", "frequency_cap")


def test_without_settings_there_is_no_forecast() -> None:
    world = World()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=STARTS, remind_before=["P1D"]))
    (entry,) = [entry for entry in explained(world)["entries"] if entry["what"] == "scheduled"]
    assert "forecast" not in entry
