"""A person of the business writes to a contact: marketing waits, reminders do not."""

from datetime import timedelta
from typing import Final

import pytest

from reengage.domain.commands import EraseContact, RecordAgentReply
from reengage.domain.policy import PolicySettings
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


def test_a_contact_without_a_conversation_has_nothing_to_record() -> None:
    assert not replies(World())


def test_an_erased_contact_does_not_come_back() -> None:
    world = talking()
    world.erase(EraseContact(ANNA, LATER))
    assert not replies(world)
    assert world.store.read_thread(ANNA).conversation is None
