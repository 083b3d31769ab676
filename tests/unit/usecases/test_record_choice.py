"""Opt-outs and opt-ins: a person's choice counts at once and from its own instant; a business needs evidence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.domain.commands import RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW, InboundMessage
from reengage.domain.instants import iso
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice, OptOutScope, Topic
from reengage.domain.requests import Request
from reengage.errors import NotPublished, WriteConflict
from reengage.usecases.ingest_settings import IngestSettings
from tests.fakes import ANNA, NOON, RETENTION, Crash, Fault, Unreachable, World, business, inbound

SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)
CHANNELS: Final = ("sms", "whatsapp", "rcs")
EVIDENCE: Final = {"where": "front desk", "wording": "v3", "signed": True, "pages": [1, 2]}


def world_with(scope: OptOutScope = "brand") -> World:
    """Anna wrote a month ago, so a message that she writes now may have an earlier instant."""
    world = World(ingest=IngestSettings(RETENTION, opt_out_scope=scope))
    world.clock.now = NOON - WINDOW + DAY
    world.receive(inbound(world.clock.now))
    world.clock.now = NOON
    world.bus.events.clear()
    return world


def stop(at: datetime = NOON, contact: Contact = ANNA) -> InboundMessage:
    return inbound(at, contact=contact, text="Stop.", message_id=f"out {iso(at)}")


def start(at: datetime = NOON) -> InboundMessage:
    return inbound(at, text="START", message_id=f"in {iso(at)}")


def spoken(detail_type: str, occurred_at: datetime = NOON, **fields: Any) -> RecordChoice:
    """Parse a business system's event as the app does."""
    detail = {
        "contact": {"brand": ANNA.brand, "channel": ANNA.channel, "address": ANNA.address},
        "occurred_at": iso(occurred_at),
        **fields,
    }
    made = parse_business_event({"detail-type": detail_type, "time": iso(NOON + DAY), "detail": detail})
    assert isinstance(made, RecordChoice)
    return made


def agreed(when: datetime) -> dict[str, Any]:
    return {**EVIDENCE, "when": iso(when)}


def is_out(world: World, contact: Contact = ANNA, topic: Topic = "contact") -> bool:
    return world.store.read_preferences(contact).refused(topic, contact.channel) is not None


def on(channel: str) -> Contact:
    return replace(ANNA, channel=channel)


# A person's STOP


@pytest.mark.parametrize("error", [Crash, Unreachable])
@pytest.mark.parametrize("after", [False, True])
def test_stop_is_stored_first_and_published_by_the_retry(after: bool, error: Callable[[], BaseException]) -> None:
    undisturbed = world_with()
    undisturbed.receive(stop())
    (published,) = undisturbed.bus.events
    assert (published.type, published.detail["cause"]) == (
        "ContactOptedOut",
        {"word": "stop", "message_id": stop().message_id, "channel": "sms"},
    )
    for nth in range(1, 20):
        world = world_with()
        fault = Fault(error, nth, after)
        try:
            world.receive(stop(), fault)
        except (Crash, Unreachable):
            assert fault.struck
        assert fault.calls[:2] == ["read_preferences", "write_preferences"][:nth]
        assert is_out(world) == (nth > 2 or (nth == 2 and after))
        world.clock.forward(minutes=1)
        world.receive(stop())
        assert is_out(world)
        assert set(world.bus.types()) == {"ContactOptedOut"}
        assert all(event == published for event in world.bus.events)
        world.bus.events.clear()
        assert world.receive(stop()) == "duplicate"
        assert world.bus.events == []
        if not fault.struck:
            return
    pytest.fail("there are more calls than were tried")


def test_after_a_stop_nothing_that_was_planned_goes_out() -> None:
    world = world_with()
    world.plan(business("AppointmentBooked", starts_at=NOON + 2 * DAY, remind_before=["PT2H"]))
    with pytest.raises(Crash):
        world.receive(stop(), Fault(only="read_thread"))
    world.clock.now = NOON + 2 * DAY - timedelta(hours=2)
    assert world.run_sender()["skipped"] == {"opted_out": 1}
    assert world.provider.handed == []


def test_retry_publishes_an_unpublished_stop() -> None:
    world = world_with()
    world.bus.failing = 1
    with pytest.raises(NotPublished):
        world.receive(stop())
    world.receive(stop())
    assert world.bus.types() == ["ContactOptedOut"]


@pytest.mark.parametrize("age", [WINDOW, WINDOW * 3])
def test_a_stop_counts_however_old_the_message_is(age: timedelta) -> None:
    world = World()
    assert world.receive(stop(NOON - age)) == "window_closed"
    assert is_out(world)
    assert world.bus.types() == ["ContactOptedOut"]


def test_late_stop_keeps_a_later_start_and_is_not_published() -> None:
    world = world_with()
    world.receive(start(NOON - SECOND))
    world.bus.events.clear()
    world.receive(stop(NOON - DAY))
    assert not is_out(world)
    assert world.bus.events == []


TIED: Final = (start(NOON - SECOND), stop(NOON - SECOND))
OUT_IN: Final = (stop(NOON - 2 * SECOND), start(NOON - SECOND))
IN_OUT: Final = (start(NOON - 2 * SECOND), stop(NOON - SECOND))
OUT_IN_OUT: Final = (stop(NOON - 3 * SECOND), start(NOON - 2 * SECOND), stop(NOON - SECOND))


@pytest.mark.parametrize(
    ("messages_of_anna", "out"),
    [(TIED, True), (OUT_IN, False), (IN_OUT, True), (OUT_IN_OUT, True), ((*OUT_IN_OUT, start(NOON)), False)],
)
def test_any_order_of_arrival_and_any_repeat_end_the_same(
    messages_of_anna: tuple[InboundMessage, ...], out: bool
) -> None:
    for order in permutations(messages_of_anna):
        world = world_with()
        for message in (*order, *order, *reversed(order)):
            world.receive(message)
        assert is_out(world) == out
        published = [event.type for event in world.bus.events]
        assert published[-1] == ("ContactOptedOut" if out else "ContactOptedIn")


def test_stop_without_a_change_is_not_published_again() -> None:
    world = world_with()
    world.receive(stop(NOON - SECOND))
    world.receive(stop(NOON))
    assert world.bus.types() == ["ContactOptedOut"]


@pytest.mark.parametrize(("scope", "out"), [("brand", CHANNELS), ("channel", ("sms",))])
def test_stop_on_one_channel_covers_its_scope(scope: OptOutScope, out: tuple[str, ...]) -> None:
    world = world_with(scope)
    world.receive(stop())
    assert tuple(channel for channel in CHANNELS if is_out(world, on(channel))) == out
    assert not is_out(world, replace(ANNA, brand="other-brand"))
    assert not is_out(world, replace(ANNA, address="+4915112345679"))
    assert not is_out(world, Contact(ANNA.brand, "whatsapp", "US.1349120865"))


def test_a_start_by_the_person_brings_them_back() -> None:
    world = world_with()
    world.receive(stop(NOON - SECOND))
    world.receive(start(NOON))
    assert not any(is_out(world, on(channel)) for channel in CHANNELS)
    assert [(event.type, event.detail["cause"]["word"]) for event in world.bus.events] == [
        ("ContactOptedOut", "stop"),
        ("ContactOptedIn", "start"),
    ]


# What a message asks beyond its words


@pytest.mark.parametrize("asks", [Request.STOP, Request.STOP_MARKETING])
def test_request_by_button_or_provider_overrides_the_text(asks: Request) -> None:
    world = world_with()
    world.receive(inbound(text="Nein danke", kind="button", asks=asks, message_id="SM-1"))
    topics: dict[Request, Topic] = {Request.STOP: "contact", Request.STOP_MARKETING: "marketing"}
    out = world.store.read_preferences(ANNA).refused(topics[asks], ANNA.channel)
    assert out is not None
    assert out.cause == {"asks": str(asks), "message_id": "SM-1", "channel": "sms"}
    assert (is_out(world), is_out(world, topic="marketing")) == (asks is Request.STOP, asks is Request.STOP_MARKETING)


def test_marketing_stop_keeps_reminders_and_window() -> None:
    world = world_with()
    world.receive(inbound(text="Stop promotions"))
    world.plan(business("AppointmentBooked", starts_at=NOON + DAY, remind_before=["PT2H"]))
    world.plan(business("TrialStarted", product="Pro", ends_at=NOON + DAY, follow_up=["-PT2H"]))
    world.clock.now = NOON + DAY - timedelta(hours=2)
    assert world.run_sender()["sent"] == 1
    assert world.run_sender("trials")["skipped"] == {"no_consent": 1}


def test_repeated_provider_start_does_not_undo_a_later_stop() -> None:
    """Twilio sends no time, and its repeat of a START counted as a new one: the STOP in between was undone."""
    world = world_with()
    world.receive(stop(NOON - SECOND))
    replan = inbound(text="basta", asks=Request.START, message_id="SM-1")
    world.receive(replan)
    assert not is_out(world)
    world.clock.now = NOON + 2 * SECOND
    world.receive(stop(NOON + SECOND))
    world.clock.now = NOON + DAY
    world.receive(replace(replan, sent_at=world.clock.now))
    assert is_out(world)


@pytest.mark.parametrize(
    ("text", "kind"), [("END.", "location"), ("TD", "contacts"), ("Cancel", "button"), ("Remove", "interactive")]
)
def test_location_card_or_appointment_button_is_no_opt_out(text: str, kind: str) -> None:
    world = world_with()
    world.receive(inbound(text=text, kind=kind))
    assert not is_out(world)
    assert world.bus.types() == []


@pytest.mark.parametrize(("text", "kind"), [("Start", "location"), ("Start", "contacts"), ("Start", "button")])
def test_a_place_a_card_or_a_button_undoes_no_stop(text: str, kind: str) -> None:
    world = world_with()
    world.receive(stop(NOON - SECOND))
    world.receive(inbound(text=text, kind=kind))
    assert is_out(world)


def test_losing_every_race_raises_and_the_retry_stores_it() -> None:
    world = world_with()
    with pytest.raises(WriteConflict):
        world.receive(stop(), lambda name, call: False if name == "write_preferences" else call())
    assert not is_out(world)
    world.receive(stop())
    assert is_out(world)


def test_two_choices_at_once_are_both_kept() -> None:
    """One for marketing and one for all: one row has both, so the second write keeps the first."""
    world = world_with()
    refused = RecordChoice(ANNA, "marketing", Choice(allowed=False, at=NOON))
    raced: list[bool] = []

    def race(name: str, call: Callable[[], Any]) -> Any:
        if name == "write_preferences" and not raced:
            raced.append(world.record_choice(refused))
        return call()

    world.receive(stop(), race)
    assert raced == [True]
    assert is_out(world)
    assert is_out(world, topic="marketing")


# A choice of a business


def test_a_business_opts_a_person_out_with_its_cause() -> None:
    world = world_with()
    made = spoken("ContactOptedOut", cause={"agent": "7", "by": "phone"})
    assert world.record_choice(made)
    assert is_out(world)
    (published,) = world.bus.details("ContactOptedOut")
    assert published["cause"] == {"agent": "7", "by": "phone"}
    world.bus.events.clear()
    assert not world.record_choice(replace(made, choice=replace(made.choice, at=NOON - SECOND)))
    assert world.bus.events == []


@pytest.mark.parametrize(("evidence_at", "back"), [(NOON - SECOND, False), (NOON, False), (NOON + SECOND, True)])
def test_only_evidence_from_after_a_stop_undoes_it(evidence_at: datetime, back: bool) -> None:
    """Whenever the business sends it."""
    world = world_with()
    world.receive(stop(NOON))
    made = spoken("ContactOptedIn", NOON + 12 * SECOND, evidence=agreed(evidence_at))
    assert world.record_choice(made) == back
    assert is_out(world) == (not back)
    assert bool(world.bus.details("ContactOptedIn")) == back


def test_evidence_is_dated_by_the_event_at_the_latest() -> None:
    """A business cannot give it a later instant to override a STOP that is still to come."""
    world = world_with()
    world.record_choice(spoken("ContactOptedIn", NOON, evidence=agreed(NOON + DAY)))
    world.clock.forward(hours=1)
    world.receive(stop(world.clock.now))
    assert is_out(world)


@pytest.mark.parametrize("detail_type", ["ContactOptedIn", "ConsentChanged"])
def test_evidence_is_kept_whole(detail_type: str) -> None:
    world = world_with()
    marketing: dict[str, Any] = {"marketing": True} if detail_type == "ConsentChanged" else {}
    made = spoken(detail_type, evidence=agreed(NOON - DAY), **marketing)
    world.record_choice(made)
    held = world.store.read_preferences(ANNA).choice(made.topic, "sms")
    assert held is not None
    assert (held.at, held.cause) == (NOON - DAY, {"evidence": agreed(NOON - DAY)})


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_retry_completes_after_a_crash_at_any_call(nth: int, after: bool) -> None:
    world = world_with()
    made = spoken("ContactOptedOut", cause="by phone")
    with pytest.raises(Crash):
        world.record_choice(made, Fault(nth=nth, after=after))
    assert world.record_choice(made)
    assert is_out(world)
    assert set(world.bus.types()) == {"ContactOptedOut"}


def test_repeat_is_published_again_and_not_written_again() -> None:
    """The first attempt may have stopped before it published."""
    world = world_with()
    made = spoken("ContactOptedOut", cause="by phone")
    world.record_choice(made)
    counted = Fault(nth=99)
    assert world.record_choice(made, counted)
    assert counted.calls == ["read_preferences", "publish"]


# Consent to marketing


def consents(marketing: bool, at: datetime = NOON) -> RecordChoice:
    return spoken("ConsentChanged", at, marketing=marketing, evidence=agreed(at) if marketing else None)


@pytest.mark.parametrize("scope", ["brand", "channel"])
def test_a_yes_applies_to_its_channel_only(scope: OptOutScope) -> None:
    """A consent covers only its channel, even if an opt-out covers the brand."""
    world = world_with(scope)
    assert world.record_choice(consents(marketing=True))
    choices = {channel: world.store.read_preferences(ANNA).choice("marketing", channel) for channel in CHANNELS}
    assert [channel for channel, choice in choices.items() if choice and choice.allowed] == ["sms"]


@pytest.mark.parametrize(("scope", "refused"), [("brand", CHANNELS), ("channel", ("sms",))])
def test_opt_out_covers_its_scope(scope: OptOutScope, refused: tuple[str, ...]) -> None:
    world = world_with(scope)
    assert world.record_choice(consents(marketing=False))
    assert tuple(channel for channel in CHANNELS if is_out(world, on(channel), "marketing")) == refused
    assert not is_out(world)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("choices", "sent"),
    [((), None), ((True,), True), ((False,), False), ((True, False), False), ((False, True), True)],
)
def test_latest_marketing_choice_counts_without_an_event(
    choices: tuple[bool, ...], sent: bool | None, required: bool
) -> None:
    world = world_with()
    world.policy = PolicySettings(marketing_consent="required" if required else "implied")
    ends = NOON + 4 * DAY
    world.receive(inbound())
    world.plan(business("TrialStarted", subject_id="T-1", ends_at=ends, product="Pro", follow_up=["-P1D"]))
    world.plan(business("AppointmentBooked", starts_at=ends, remind_before=["P1D"]))
    world.bus.events.clear()
    for seconds, marketing in enumerate(choices):
        world.record_choice(consents(marketing, NOON + seconds * SECOND))
    assert world.bus.events == []
    world.clock.now = ends - DAY
    wanted = not required if sent is None else sent
    assert world.run_sender("trials")["skipped"] == ({} if wanted else {"no_consent": 1})
    assert world.run_sender("appointments")["sent"] == 1, "a reminder of one's own appointment is no marketing"


# Opt-ins that only the provider detected


def yes(at: datetime, contact: Contact, text: str = "YES") -> InboundMessage:
    """Return a message that Twilio interpreted as START."""
    return inbound(at, contact=contact, message_id=f"SM-{text}", text=text, asks=Request.START)


SMS: Final = replace(ANNA, channel="sms")
WHATSAPP: Final = replace(ANNA, channel="whatsapp")


def is_opted_out(world: World, contact: Contact) -> bool:
    return world.store.read_preferences(contact).refused("contact", contact.channel) is not None


def test_provider_start_does_not_undo_a_stop_of_another_channel() -> None:
    """The person wrote STOP by WhatsApp; Twilio interpreted a later YES by SMS as START, and every channel was open."""
    world = world_with()
    world.receive(stop(NOON - timedelta(minutes=40), contact=WHATSAPP))
    world.receive(yes(NOON, SMS))
    assert is_opted_out(world, WHATSAPP)
    assert is_opted_out(world, SMS)


def test_provider_start_undoes_a_stop_of_its_own_channel_only() -> None:
    world = world_with()
    world.receive(stop(NOON - timedelta(minutes=40), contact=SMS))
    world.receive(yes(NOON, SMS))
    assert not is_opted_out(world, SMS)
    assert is_opted_out(world, WHATSAPP)


def test_start_by_keyword_undoes_a_stop_of_every_channel() -> None:
    world = world_with()
    world.receive(stop(NOON - timedelta(minutes=40), contact=WHATSAPP))
    world.receive(yes(NOON, SMS, "START"))
    assert not is_opted_out(world, WHATSAPP)
    assert not is_opted_out(world, SMS)
