"""A product that was viewed at several of a person's addresses is planned once: for the newest event."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.errors import NotPublished
from tests.fakes import ANNA, NOON, Fault, World, business, inbound

WHATSAPP: Final = replace(ANNA, channel="whatsapp")
RCS: Final = replace(ANNA, channel="rcs")
MINUTE: Final = timedelta(minutes=1)


def talking(*contacts: Contact) -> World:
    world = World()
    for number, contact in enumerate(contacts):
        world.clock.now = NOON + number * MINUTE
        world.receive(inbound(world.clock.now, contact=contact, message_id=f"m{number}"))
    world.clock.now = NOON + 10 * MINUTE
    world.bus.events.clear()
    return world


def view(world: World, contact: Contact, at: datetime, kind: str = "ProductViewed") -> None:
    world.clock.now = max(world.clock.now, at)
    world.plan(business(kind, at, subject_id="lamp", contact=contact))


def still_planned(world: World) -> list[Contact]:
    return [row.contact for row in world.store.rows() if row.state is State.SCHEDULED]


def skips(world: World) -> list[tuple[str, str]]:
    return [(event["contact"]["channel"], event["rule"]) for event in world.bus.details("MessageSkipped")]


def test_the_second_view_replaces_the_first_ones_plan() -> None:
    """Each channel had a planned message for four hours; a dashboard counted two."""
    world = talking(ANNA, WHATSAPP)
    view(world, WHATSAPP, NOON + 10 * MINUTE)
    view(world, ANNA, NOON + 20 * MINUTE)
    assert still_planned(world) == [ANNA]
    assert skips(world) == [("whatsapp", "superseded")]
    world.clock.now = NOON + timedelta(hours=5)
    assert world.run_sender("updates")["sent"] == 1


def test_further_views_publish_no_skip_again() -> None:
    world = talking(ANNA, WHATSAPP)
    for number, contact in enumerate((WHATSAPP, ANNA, ANNA, ANNA)):
        view(world, contact, NOON + (10 + number) * MINUTE)
    assert skips(world).count(("whatsapp", "superseded")) == 1
    assert still_planned(world) == [ANNA]


def test_an_older_view_that_comes_late_is_not_planned() -> None:
    world = talking(ANNA, WHATSAPP)
    view(world, ANNA, NOON + 20 * MINUTE)
    view(world, WHATSAPP, NOON + 10 * MINUTE)
    assert still_planned(world) == [ANNA]
    assert skips(world) == []


def test_a_view_after_a_withdrawal_is_planned_again() -> None:
    """The former channel's row was withdrawn by the other one's event: a newer view there wants a message."""
    world = talking(ANNA, WHATSAPP)
    for number, contact in enumerate((ANNA, WHATSAPP, ANNA)):
        view(world, contact, NOON + (10 + number) * MINUTE)
    assert still_planned(world) == [ANNA]
    world.clock.now = NOON + timedelta(hours=5)
    assert world.run_sender("updates")["sent"] == 1


def test_a_purchase_step_on_one_channel_ends_the_others_plan() -> None:
    world = talking(ANNA, WHATSAPP)
    view(world, ANNA, NOON + 10 * MINUTE)
    view(world, WHATSAPP, NOON + 20 * MINUTE, "ProductAddedToCart")
    assert still_planned(world) == []
    assert skips(world) == [("sms", "cancelled")]


def test_a_channel_without_a_window_counts_too() -> None:
    """Only WhatsApp was ever used. The view by SMS is planned for the number, the one by WhatsApp replaces it."""
    world = talking(WHATSAPP)
    view(world, ANNA, NOON + 10 * MINUTE)
    view(world, WHATSAPP, NOON + 20 * MINUTE)
    assert still_planned(world) == [WHATSAPP]
    world.clock.now = NOON + timedelta(hours=5)
    assert world.run_sender("updates")["sent"] == 1
    (sent,) = world.provider.handed
    assert sent.message.recipient == WHATSAPP


def test_a_repeated_event_completes_the_withdrawal() -> None:
    world = talking(ANNA, WHATSAPP)
    view(world, WHATSAPP, NOON + 10 * MINUTE)
    view(world, ANNA, NOON + 20 * MINUTE)
    world.bus.events.clear()
    view(world, ANNA, NOON + 20 * MINUTE)
    assert ("whatsapp", "superseded") in skips(world)
    assert still_planned(world) == [ANNA]


@pytest.mark.parametrize("newer", [[WHATSAPP], [RCS], [WHATSAPP, RCS], [RCS, WHATSAPP]])
def test_a_stale_view_publishes_the_other_channels_skip(newer: list[Contact]) -> None:
    """A view by WhatsApp withdrew the SMS and died; newer views came before the retry, and the SMS had no outcome."""
    world = talking(ANNA, WHATSAPP, RCS)
    view(world, ANNA, NOON + 10 * MINUTE)
    at = world.clock.now = NOON + 20 * MINUTE
    seen = replace(business("ProductViewed", at, subject_id="lamp", contact=WHATSAPP), arrived_at=at)
    with pytest.raises(NotPublished):
        world.plan(seen, Fault(error=lambda: NotPublished(1, 1), only="publish"))
    for number, contact in enumerate(newer, 1):
        view(world, contact, at + number * timedelta(seconds=10))
    world.clock.now = at + MINUTE
    world.plan(seen)
    assert ("sms", "superseded") in skips(world)
    published = {event["scheduled_message_id"] for event in world.bus.details("MessageSkipped")}
    assert published >= {row.scheduled_message_id for row in world.store.rows() if row.state is State.SKIPPED}


def test_a_view_of_another_product_skips_nothing_again() -> None:
    world = talking(ANNA, WHATSAPP)
    view(world, ANNA, NOON + 20 * MINUTE)
    view(world, WHATSAPP, NOON + 21 * MINUTE)
    at = NOON + 20 * MINUTE
    seen = replace(business("ProductViewed", at, subject_id="desk", contact=WHATSAPP), arrived_at=at)
    world.plan(seen)
    world.bus.events.clear()
    world.clock.now = NOON + 22 * MINUTE
    world.plan(seen)
    assert skips(world) == []


def test_an_interest_on_a_closed_channel_is_forecast_as_sent() -> None:
    """The forecast was no_conversation, and a moment later the message went out by WhatsApp."""
    world = talking(WHATSAPP)
    world.plan(business("InterestShown", world.clock.now, subject_id="chair", contact=ANNA))
    world.clock.forward(minutes=1)
    world.plan(business("ItemBackInStock", world.clock.now, subject_id="chair"))
    world.run_sender("updates")
    assert [event["forecast"] for event in world.bus.details("MessagePlanned")] == ["send"]
    assert [outbound.message.recipient for outbound in world.provider.handed] == [WHATSAPP]
