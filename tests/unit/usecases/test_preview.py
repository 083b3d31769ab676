"""The plan of an event: the same messages as the planner's, their texts, and the policy's forecast of each."""

import copy
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.instants import iso
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import Category
from reengage.domain.subject import BusinessEvent
from reengage.ports import Wording
from reengage.usecases.preview import preview
from tests.fakes import ANNA, NOON, World, business, inbound, render

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
STARTS: Final = NOON + 10 * DAY
LATER: Final = STARTS + 6 * HOUR
NIGHT: Final = QuietHours(time(21), time(8))
QUIET: Final[dict[Category, QuietHours]] = {"utility": NIGHT}
AT_NIGHT: Final = PolicySettings(quiet_hours=QUIET, default_timezone="Europe/Berlin")


def booked(starts_at: datetime = STARTS, **fields: Any) -> BusinessEvent:
    return business("AppointmentBooked", starts_at=starts_at, **fields)


def moved(hours: float = 1, **fields: Any) -> BusinessEvent:
    return business("AppointmentRescheduled", NOON + hours * HOUR, **{"starts_at": LATER, **fields})


CANCELLED: Final = business("AppointmentCancelled", NOON + HOUR, contact=None)


def apply(*events: BusinessEvent, policy: PolicySettings | None = None) -> World:
    """Anna has written, and these events have arrived."""
    world = World(policy=policy or PolicySettings())
    world.receive(inbound())
    for event in events:
        world.plan(event)
    world.bus.events.clear()
    return world


def previewed(world: World, event: BusinessEvent) -> dict[str, Any]:
    """Return the answer as the caller gets it, and check that nothing has changed."""
    before = copy.deepcopy({name: getattr(world.store, name) for name in CONTENTS})
    answer = preview(event, store=world.store, render=render, settings=world.policy, clock=world.clock)
    assert {name: getattr(world.store, name) for name in CONTENTS} == before
    assert world.bus.events == []
    assert world.provider.handed == []
    read: dict[str, Any] = json.loads(json.dumps(answer))
    return read


CONTENTS: Final = tuple(name for name in vars(World().store) if name != "_lock")


def about(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return sorted((message["reason"], message["subject_id"]) for message in messages)


TRIAL: Final = business("TrialStarted", subject_id="T-1", ends_at=STARTS, product="Pro")


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ((), booked()),
        ((), TRIAL),
        ((booked(),), booked()),
        ((booked(),), moved()),
        ((booked(),), moved(starts_at=STARTS, location="Broad St 9")),
        ((booked(),), moved(starts_at=STARTS, remind_before=["PT2H"])),
        ((booked(),), CANCELLED),
        ((booked(), CANCELLED), moved(2)),
        ((CANCELLED,), booked()),
        ((moved(contact=None),), booked()),
        ((moved(),), booked()),
        ((), CANCELLED),
    ],
)
def test_it_plans_and_withdraws_as_the_planner_does(before: tuple[BusinessEvent, ...], event: BusinessEvent) -> None:
    world = apply(*before)
    foreseen = previewed(world, event)
    came = world.plan(event)
    planned = world.bus.details("MessagePlanned")
    assert about(foreseen["planned"]) == about(planned)
    assert [message["due_at"] for message in foreseen["planned"]] == [detail["due_at"] for detail in planned]
    skipped = world.bus.details("MessageSkipped")
    assert about(foreseen["withdrawn"]) == about(skipped)
    assert foreseen["stale"] == came.stale


def test_a_message_with_its_text_and_its_forecast() -> None:
    world = apply()
    (message,) = previewed(world, booked(location="Main St 1", remind_before=["PT2H"]))["planned"]
    world.plan(booked(location="Main St 1", remind_before=["PT2H"]))
    world.clock.now = STARTS - 2 * HOUR
    world.run_sender()
    (handed,) = world.provider.handed
    assert message == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": ANNA.address},
        "reason": "appointment_reminder",
        "subject_id": "A-1001",
        "step": "PT2H",
        "due_at": iso(STARTS - 2 * HOUR),
        "useful_until": iso(STARTS),
        "forecast": "send",
        "sent_at": iso(STARTS - 2 * HOUR),
        "held_by": [],
        "facts": handed.decision.facts,
        "text": handed.wording.text,
        "locale": "en",
        "template": {"name": "appointment_reminder", "parameters": []},
    }
    assert "Main St 1" in message["text"]


def test_text_is_rendered_from_the_unstored_event() -> None:
    def shout(case: PolicyInput) -> Wording:
        assert case.track
        return Wording(str(case.track.get("service")).upper(), "de-AT", "tpl", ("a", "b"))

    world = apply(booked(service="check-up"))
    event = moved(service="cleaning", remind_before=["PT2H"])
    answer = preview(event, store=world.store, render=shout, settings=world.policy, clock=world.clock)
    (message,) = answer["planned"]
    assert (message["text"], message["locale"]) == ("CLEANING", "de-AT")
    assert message["template"] == {"name": "tpl", "parameters": ["a", "b"]}


def test_message_held_at_night_goes_at_the_first_allowed_instant() -> None:
    """A concert at six in the morning: the reminder of the day before would be sent at six, and is sent at eight."""
    world = apply(policy=AT_NIGHT)
    event = booked(datetime.fromisoformat("2026-03-12T06:00+01:00"), remind_before=["P1D"])
    (message,) = previewed(world, event)["planned"]
    allowed = "2026-03-11T07:00:00Z"
    assert message["held_by"] == [{"rule": "quiet_hours", "until": allowed}]
    assert (message["forecast"], message["sent_at"]) == ("send", allowed)
    world.plan(event)
    world.clock.now = datetime.fromisoformat(allowed) - timedelta(hours=2)
    assert world.run_sender()["held"] == 1
    world.clock.now = datetime.fromisoformat(allowed)
    assert world.run_sender()["sent"] == 1


def test_one_rule_after_the_other_may_hold_it() -> None:
    """The cap is full until the middle of the night."""
    policy = PolicySettings(quiet_hours=QUIET, default_timezone="UTC", caps={"utility": parse_caps("1/PT10H")})
    world = apply(booked(NOON + 3 * HOUR, subject_id="A-0", remind_before=["PT2H"]), policy=policy)
    world.clock.now = NOON + HOUR
    assert world.run_sender()["sent"] == 1
    world.provider.handed.clear()
    world.bus.events.clear()
    (message,) = previewed(world, booked(NOON + 30 * HOUR, remind_before=["PT20H"]))["planned"]
    assert [held["rule"] for held in message["held_by"]] == ["frequency_cap", "quiet_hours"]
    assert message["sent_at"] == "2026-03-03T07:00:00Z", "eight o'clock in Berlin"


def test_booking_without_contact_plans_nothing() -> None:
    assert previewed(apply(), booked(contact=None)) == {
        "planned": [],
        "broadcasts": [],
        "withdrawn": [],
        "stale": False,
    }


def test_unknown_zone_holds_until_it_is_known() -> None:
    templates = frozenset({"appointment_reminder"})
    world = World(policy=PolicySettings(quiet_hours=QUIET, whatsapp_templates=templates))
    unplaced = Contact.of("acme-dental", "whatsapp", "US.13491208655302741918")
    world.receive(inbound(contact=unplaced))
    world.bus.events.clear()
    (message,) = previewed(world, booked(NOON + 2 * DAY, remind_before=["P1D"], contact=unplaced))["planned"]
    assert (message["forecast"], message["rule"]) == ("hold", "unknown_timezone")
    assert {held["rule"] for held in message["held_by"]} == {"unknown_timezone"}


@pytest.mark.parametrize(
    ("last_event_at", "rule"), [(NOON - timedelta(days=25), "window_closed"), (None, "no_conversation")]
)
def test_skipped_message_has_its_rule(last_event_at: datetime | None, rule: str) -> None:
    world = World()
    if last_event_at:
        world.receive(inbound(last_event_at))
        world.bus.events.clear()
    (message,) = previewed(world, booked(remind_before=["PT2H"]))["planned"]
    assert (message["forecast"], message["rule"]) == ("skip", rule)
    assert "sent_at" not in message


def test_an_offset_already_past_is_too_late() -> None:
    world = apply()
    day, hours = previewed(world, booked(NOON + 20 * HOUR))["planned"]
    assert (day["forecast"], day["rule"], day["due_at"]) == ("skip", "too_late", iso(NOON - 4 * HOUR))
    assert hours["forecast"] == "send"
    assert world.plan(booked(NOON + 20 * HOUR)).too_late == 1


def test_what_was_sent_is_neither_planned_again_nor_withdrawn() -> None:
    for event, planned, withdrawn in ((moved(240, starts_at=STARTS), 1, 0), (CANCELLED, 1, 1)):
        world = apply(booked())
        world.clock.now = STARTS - DAY
        assert world.run_sender()["sent"] == 1
        world.provider.handed.clear()
        world.bus.events.clear()
        foreseen = previewed(world, event)
        assert (len(foreseen["planned"]), len(foreseen["withdrawn"])) == (planned, withdrawn)
        came = world.plan(event)
        assert (came.planned, came.withdrawn) == (planned, withdrawn)


def test_earlier_erasure_does_not_block_a_new_booking() -> None:
    world = apply()
    world.erase(EraseContact(ANNA, NOON))
    world.clock.forward(seconds=1)
    world.receive(inbound(world.clock.now))
    world.bus.events.clear()
    assert {message["forecast"] for message in previewed(world, booked())["planned"]} == {"send"}
