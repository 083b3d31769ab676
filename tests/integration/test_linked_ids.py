"""Ids of one person, from a provider's call to the stored preferences."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event
from reengage.adapters.inbound.meta import parse_meta
from reengage.adapters.inbound.relay import to_bus_events
from reengage.domain.commands import LinkContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.usecases.link_contact import link_contact
from reengage.usecases.record_choice import record_choice
from tests.fakes import World
from tests.unit.adapters.inbound.payloads import ROUTES, meta_message, meta_preference
from tests.unit.adapters.inbound.test_relay import on_the_bus

NOW: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
NUMBER: Final = Contact("acme-dental", "whatsapp", "+16505551234")
USER: Final = Contact("acme-dental", "whatsapp", "US.811")
BY_USER_ID: Final = {"profile": {"name": "Robin"}, "user_id": "US.811"}


def receive(world: World, *calls: Any) -> None:
    """Handle the calls as the deployed functions do: parse, publish, decode, execute."""
    for call in calls:
        for event in to_bus_events(parse_meta(call, routes=ROUTES, arrived_at=NOW)):
            envelope = on_the_bus(event, NOW)
            if event.type == "MessageReceived":
                world.receive(inbound_message(envelope))
                continue
            command = parse_business_event(envelope)
            if isinstance(command, LinkContact):
                link_contact(command, store=world.store, publish=world.bus)
            elif isinstance(command, RecordChoice):
                record_choice(command, store=world.store, publish=world.bus, opt_out_scope="brand")


def at(minute: int) -> str:
    return str(int(NOW.timestamp()) - 3600 + 60 * minute)


@pytest.fixture
def world() -> World:
    world = World()
    world.clock.now = NOW
    return world


def test_stop_by_the_user_id_alone_covers_the_number(world: World) -> None:
    """Meta sent number and user id together, later the user id alone: the reminder still went to the number."""
    both = meta_message({"id": "wamid.1", "timestamp": at(0), "from_user_id": "US.811", "text": {"body": "hello"}})
    stop = {"id": "wamid.2", "timestamp": at(40), "from": None, "from_user_id": "US.811", "text": {"body": "STOP"}}
    receive(world, both, meta_message(stop, sender=BY_USER_ID))
    for contact in (NUMBER, USER):
        assert world.store.read_preferences(contact).refused("contact", "whatsapp")


def test_preference_by_the_user_id_alone_covers_the_number(world: World) -> None:
    both = meta_message({"id": "wamid.1", "timestamp": at(0), "from_user_id": "US.811"})
    preference = meta_preference({"wa_id": None, "user_id": "US.811", "value": "stop", "timestamp": int(at(40))})
    receive(world, both, preference)
    for contact in (NUMBER, USER):
        assert world.store.read_preferences(contact).refused("marketing", "whatsapp")
