"""One number on several channels: a product, or an interest, leads to one message to the person."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.commands import LinkContact
from reengage.domain.contact import Contact
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent
from reengage.usecases.link_contact import link_contact
from tests.fakes import ANNA, NOON, World, business, inbound

CHAT: Final = replace(ANNA, channel="whatsapp")
RCS: Final = replace(ANNA, channel="rcs")
USER: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
LATER: Final = NOON + timedelta(days=3)


def world_of(*written: tuple[Contact, timedelta], **settings: Any) -> World:
    """Each contact wrote so long before noon."""
    world = World(policy=PolicySettings(**settings))
    for contact, before in sorted(written, key=lambda each: each[1], reverse=True):
        world.clock.now = NOON - before
        world.receive(inbound(NOON - before, contact=contact, message_id=f"{contact.channel}{before}"))
    world.clock.now = NOON
    return world


def viewed(contact: Contact, at: datetime = NOON, name: str = "p1") -> BusinessEvent:
    return business("ProductViewed", at, subject_id=name, contact=contact, viewed_at=at, name="Lamp")


def in_cart(contact: Contact, at: datetime, name: str = "p1") -> BusinessEvent:
    return business("ProductAddedToCart", at, subject_id=name, contact=contact)


def play(world: World, events: Sequence[BusinessEvent], until: datetime = LATER) -> list[Contact]:
    """Plan each event, then run the sender every hour; return who got a message."""
    for event in events:
        world.plan(event)
    while world.clock.now < until:
        world.run_sender("updates")
        world.clock.now += HOUR
    return [outbound.message.recipient for outbound in world.provider.handed]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ([(ANNA, 3 * HOUR), (CHAT, 2 * HOUR)], CHAT),
        ([(ANNA, 2 * HOUR), (CHAT, 3 * HOUR)], ANNA),
        ([(ANNA, 2 * HOUR)], ANNA),
        ([(CHAT, 2 * HOUR)], CHAT),
        ([(ANNA, 2 * HOUR), (CHAT, timedelta(days=31))], ANNA),
        ([(ANNA, timedelta(days=31)), (CHAT, 2 * HOUR)], CHAT),
    ],
)
@pytest.mark.parametrize("gap", [-MINUTE, timedelta(), MINUTE])
def test_a_product_viewed_on_two_channels_is_one_message(
    written: list[tuple[Contact, timedelta]], wanted: Contact, gap: timedelta
) -> None:
    """The person got one reminder by SMS, and the next day the same by WhatsApp."""
    events = [viewed(ANNA), viewed(CHAT, NOON + gap)]
    for order in permutations(events):
        world = world_of(*written)
        assert play(world, order) == [wanted]
        skipped = [detail["rule"] for detail in world.bus.details("MessageSkipped")]
        planned = len(world.bus.details("MessagePlanned"))
        assert (skipped, planned) in [([], 1), (["superseded"], 2)]


@pytest.mark.parametrize("linked", [False, True])
def test_views_at_linked_addresses_are_one_message(linked: bool) -> None:
    world = world_of((ANNA, 3 * HOUR), (USER, 2 * HOUR))
    if linked:
        link_contact(LinkContact(ANNA, USER, NOON), store=world.store, publish=world.bus)
    assert len(play(world, [viewed(ANNA), viewed(USER, NOON + MINUTE)])) == (1 if linked else 2)


def test_different_products_on_two_channels_are_two_messages() -> None:
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    events = [viewed(ANNA), viewed(CHAT, NOON + MINUTE, "p2")]
    assert sorted(each.channel for each in play(world, events)) == ["sms", "whatsapp"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_the_cart_on_another_channel_ends_the_reminder(order: tuple[int, ...]) -> None:
    events = [viewed(ANNA), viewed(CHAT, NOON + MINUTE), in_cart(RCS, NOON + 2 * MINUTE)]
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    assert play(world, [events[index] for index in order]) == []


def test_a_view_after_the_cart_on_another_channel_reminds() -> None:
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    assert play(world, [in_cart(CHAT, NOON), viewed(ANNA, NOON + MINUTE)]) == [ANNA]


def test_a_channel_where_the_product_was_in_the_cart_is_used() -> None:
    """A product was in the cart on WhatsApp, then viewed on SMS, whose window is closed: no reminder was sent."""
    world = world_of((CHAT, 2 * HOUR))
    assert play(world, [in_cart(CHAT, NOON), viewed(ANNA, NOON + MINUTE)]) == [CHAT]


def test_opt_out_of_one_channel_leaves_the_view_on_the_other() -> None:
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    world.ingest = replace(world.ingest, opt_out_scope="channel")
    world.receive(inbound(NOON, contact=CHAT, message_id="stop", text="STOP"))
    assert play(world, [viewed(ANNA), viewed(CHAT, NOON + MINUTE)]) == [ANNA]


def shown(contact: Contact, at: datetime) -> BusinessEvent:
    return business("InterestShown", at, subject_id="i1", contact=contact, shown_at=at)


def withdrawn(contact: Contact, at: datetime) -> BusinessEvent:
    return business("InterestWithdrawn", at, subject_id="i1", contact=contact)


BACK: Final = replace(
    business("ItemBackInStock", NOON + HOUR, subject_id="i1", back_at=NOON + HOUR, name="Lamp"), contact=None
)


@pytest.mark.parametrize("ended", [CHAT, ANNA, RCS])
def test_interest_withdrawn_on_one_channel_ends_for_all(ended: Contact) -> None:
    """A person who waited on SMS withdrew it on WhatsApp, and was written to nevertheless."""
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    events = [shown(ANNA, NOON), shown(CHAT, NOON + MINUTE), withdrawn(ended, NOON + 2 * MINUTE), BACK]
    assert play(world, events) == []


def test_interest_shown_after_a_withdrawal_elsewhere_counts() -> None:
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    assert play(world, [withdrawn(CHAT, NOON), shown(ANNA, NOON + MINUTE), BACK]) == [ANNA]


def test_caps_count_a_product_that_went_to_another_channel() -> None:
    """The view named RCS, on which no one wrote; the next message must find the place in the cap that it took."""
    world = world_of((ANNA, 2 * HOUR), caps={"marketing": parse_caps("1/P2D")})
    events = [viewed(ANNA), viewed(RCS, NOON + MINUTE), viewed(ANNA, NOON + 2 * MINUTE, "p2")]
    assert play(world, events, NOON + 47 * HOUR) == [ANNA]


# Once a cart, once an order


def abandoned(contact: Contact, at: datetime, name: str = "c1") -> BusinessEvent:
    items = [{"name": "Lamp"}]
    url = "https://acme.example/c1"
    return business("CartAbandoned", at, subject_id=name, contact=contact, abandoned_at=at, items=items, cart_url=url)


def shipped(contact: Contact, at: datetime) -> BusinessEvent:
    return business("OrderShipped", at, subject_id="o1", contact=contact, shipped_at=at)


@pytest.mark.parametrize("event", [abandoned, shipped])
@pytest.mark.parametrize("other", [CHAT, USER])
def test_once_a_cart_or_order_counts_all_addresses(
    event: Callable[[Contact, datetime], BusinessEvent], other: Contact
) -> None:
    """The shop named the SMS number, and after the reminder the WhatsApp number: the person got it twice."""
    world = world_of((ANNA, 3 * HOUR), (other, 2 * HOUR))
    link_contact(LinkContact(ANNA, USER, NOON), store=world.store, publish=world.bus)
    assert len(play(world, [event(ANNA, NOON)], NOON + 6 * HOUR)) == 1
    later = world.clock.now
    assert len(play(world, [event(other, later)], later + timedelta(days=2))) == 1
    assert all(detail["facts"]["same_person"] for detail in world.bus.details("MessageSkipped"))


def test_another_cart_on_another_channel_is_another_message() -> None:
    world = world_of((ANNA, 3 * HOUR), (CHAT, 2 * HOUR))
    events = [abandoned(ANNA, NOON), abandoned(CHAT, NOON + MINUTE, "c2")]
    assert len(play(world, events)) == 2
