"""A person of the business writes to a contact: marketing waits, reminders do not."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from reengage.domain.commands import ConfigureBrand, EraseContact, LinkContact, RecordAgentReply
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.policy import PolicySettings
from reengage.usecases.link_contact import link_contact
from reengage.usecases.record_agent_reply import record_agent_reply
from tests.fakes import ANNA, NOON, World, business, inbound

MINUTE: Final = timedelta(minutes=1)
LATER: Final = NOON + timedelta(days=1)


def talking() -> World:
    world = World(policy=PolicySettings(conversation_pause=30 * MINUTE))
    world.receive(inbound())
    world.clock.now = LATER
    return world


def replies(world: World, at: timedelta = timedelta()) -> bool:
    return record_agent_reply(RecordAgentReply(ANNA, LATER + at), store=world.store, clock=world.clock)


def test_marketing_waits_half_an_hour_after_the_reply() -> None:
    world = talking()
    world.plan(business("TrialStarted", subject_id="T-1", ends_at=LATER + timedelta(days=3), follow_up_after=["P1D"]))
    row = world.store.rows()[0]
    world.clock.now = row.due_at
    record_agent_reply(RecordAgentReply(ANNA, row.due_at - MINUTE), store=world.store, clock=world.clock)
    assert world.run_sender("trials")["held"] == 1
    (held,) = world.bus.details("MessageHeld")
    assert held["rule"] == "in_conversation"
    world.clock.now = row.due_at + 29 * MINUTE
    assert world.run_sender("trials")["sent"] == 1


def test_a_later_message_of_the_contact_keeps_the_reply() -> None:
    world = talking()
    assert replies(world)
    world.clock.forward(minutes=1)
    world.receive(inbound(world.clock.now))
    conversation = world.store.read_thread(ANNA).conversation
    assert conversation
    assert (conversation.last_inbound_at, conversation.agent_replied_at) == (LATER + MINUTE, LATER)


@pytest.mark.parametrize(("at", "changed"), [(-MINUTE, False), (timedelta(), False), (MINUTE, True)])
def test_only_a_later_reply_changes_anything(at: timedelta, changed: bool) -> None:
    world = talking()
    world.clock.now = LATER + 2 * MINUTE
    assert replies(world)
    assert replies(world, at) is changed


def test_a_reply_from_the_future_counts_as_now() -> None:
    world = talking()
    assert replies(world, timedelta(days=400))
    conversation = world.store.read_thread(ANNA).conversation
    assert conversation
    assert conversation.agent_replied_at == LATER


def test_a_reply_on_another_channel_counts_for_the_number() -> None:
    """The business named the SMS number, and the person wrote on WhatsApp: marketing did not wait."""
    whatsapp, world = replace(ANNA, channel="whatsapp"), World()
    world.receive(inbound(contact=whatsapp))
    world.clock.now = LATER
    assert replies(world)
    conversation = world.store.read_thread(whatsapp).conversation
    assert conversation
    assert conversation.agent_replied_at == LATER


def test_a_contact_without_a_conversation_has_nothing_to_record() -> None:
    assert not replies(World())


def test_an_erased_contact_does_not_come_back() -> None:
    world = talking()
    world.erase(EraseContact(ANNA, LATER))
    assert not replies(world)
    assert world.store.read_thread(ANNA).conversation is None


@pytest.mark.slow
def test_a_pause_that_outlasts_a_message_is_in_the_ledger() -> None:
    """Marketing that is valid for 48 hours met a conversation that continued: the ledger names it at each hold."""
    world = talking()
    world.plan(business("CartAbandoned", LATER, contact=ANNA, items=["Lamp"]))
    world.clock.now = LATER + timedelta(hours=4)
    while world.store.rows()[0].state is State.SCHEDULED:
        record_agent_reply(RecordAgentReply(ANNA, world.clock.now), store=world.store, clock=world.clock)
        world.run_sender("updates")
        world.clock.forward(minutes=20)
    (row,) = world.store.rows()
    (skipped,) = world.bus.details("MessageSkipped")
    assert (skipped["rule"], skipped["facts"]["held_by"]) == ("too_late", "in_conversation")
    assert row.hold_rules == "in_conversation"
    assert {held["rule"] for held in world.bus.details("MessageHeld")} == {"in_conversation"}


@pytest.mark.parametrize("reason", ["welcome_back", "marketing", "utility"])
def test_a_greeting_and_marketing_wait_and_a_reminder_does_not(reason: str) -> None:
    world = World(
        policy=PolicySettings(conversation_pause=30 * MINUTE),
        ingest=replace(World().ingest, welcome_back_after=timedelta(days=7)),
    )
    world.receive(inbound(NOON))
    world.clock.now = NOON + timedelta(days=9)
    if reason == "welcome_back":
        record_agent_reply(RecordAgentReply(ANNA, world.clock.now), store=world.store, clock=world.clock)
        world.receive(inbound(world.clock.now))
        (skipped,) = world.bus.details("MessageSkipped")
        assert (skipped["rule"], skipped["facts"]["held_by"]) == ("too_late", "in_conversation")
    elif reason == "marketing":
        world.plan(business("CartAbandoned", world.clock.now, items=["Lamp"]))
        world.clock.forward(hours=4)
        world.receive(inbound(world.clock.now))
        assert world.run_sender("updates")["held"] == 1
    else:
        world.plan(business("AppointmentBooked", starts_at=world.clock.now + timedelta(hours=3)))
        world.clock.forward(hours=1)
        world.receive(inbound(world.clock.now))
        assert world.run_sender()["sent"] == 1


@pytest.mark.parametrize(
    ("stack", "brand", "greeted"),
    [(7, "P10D", False), (7, "P9D", True), (None, "P1D", True), (7, "", False), (7, None, True), (20, "PT2H", True)],
)
def test_a_brand_sets_after_which_silence_a_greeting_comes(stack: int | None, brand: str | None, greeted: bool) -> None:
    """A brand's own ``welcome_back_after`` had no effect."""
    after = timedelta(days=stack) if stack else None
    world = World(ingest=replace(World().ingest, welcome_back_after=after))
    world.configure(ConfigureBrand(ANNA.brand, 1, {"name": "Acme", "welcome_back_after": brand}))
    world.receive(inbound(NOON))
    world.clock.now = NOON + timedelta(days=9)
    world.receive(inbound(world.clock.now))
    assert [detail["reason"] for detail in world.bus.details("MessageSent")] == ["welcome_back"] * greeted


def test_a_reply_to_a_silent_address_counts_for_the_person() -> None:
    """The business wrote to an address that was linked and had never written, and marketing went to the other one."""
    world, chat = talking(), Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
    link_contact(LinkContact(ANNA, chat, NOON), store=world.store, publish=world.bus)
    assert record_agent_reply(RecordAgentReply(chat, LATER), store=world.store, clock=world.clock)
    conversation = world.store.read_thread(ANNA).conversation
    assert conversation
    assert conversation.agent_replied_at == LATER
    assert world.store.read_thread(chat).conversation is None
