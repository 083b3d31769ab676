"""A family whose visits are booked under several addresses of one person gets one text that names all visits."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.adapters.wording import FluentWording
from reengage.domain.caps import Cap
from reengage.domain.commands import LinkContact, RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.message import MERGED_INTO, MERGED_WITH, ScheduledMessage, State
from reengage.domain.policy import PolicySettings
from reengage.usecases.link_contact import link_contact
from tests.fakes import ANNA, CLAIM_LASTS, NOON, Crash, Fault, World, business, inbound, worker

CHAT: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
PHONE: Final = Contact(ANNA.brand, "sms", "+447700900123")
HOUR: Final = timedelta(hours=1)
STARTS: Final = NOON + timedelta(days=3)
DUE: Final = STARTS - timedelta(days=1)
QUARTER: Final = timedelta(minutes=15)


def book(world: World, name: str, contact: Contact, starts_at: datetime) -> None:
    fields: dict[str, Any] = {"remind_before": ["P1D"], "timezone": "Europe/Berlin"}
    world.plan(business("AppointmentBooked", subject_id=name, contact=contact, starts_at=starts_at, **fields))


def family(*contacts: Contact, linked: bool = True, **settings: Any) -> World:
    """One visit for each contact, a quarter of an hour apart; all contacts wrote an hour before the first is due."""
    world = World(wording=FluentWording(), policy=PolicySettings(**settings))
    for contact in dict.fromkeys(contacts):
        world.clock.now = DUE - HOUR
        world.receive(inbound(DUE - HOUR, contact=contact, message_id=contact.address))
    world.clock.now = NOON
    for contact in dict.fromkeys(contacts[1:]) if linked else ():
        if contact != contacts[0]:
            link_contact(LinkContact(contacts[0], contact, NOON), store=world.store, publish=world.bus)
    for number, contact in enumerate(contacts):
        book(world, f"v{number}", contact, STARTS + number * QUARTER)
    world.bus.events.clear()
    world.clock.now = DUE
    return world


def rows(world: World) -> dict[str, ScheduledMessage]:
    return {row.subject.id: row for row in world.store.rows()}


@pytest.mark.parametrize("contacts", [(ANNA, CHAT), (CHAT, ANNA), (ANNA, PHONE), (PHONE, ANNA, CHAT, ANNA)])
def test_linked_addresses_get_one_text_of_all_visits(contacts: tuple[Contact, ...]) -> None:
    """One mother booked a child by telephone and one by WhatsApp, and got two texts within a quarter of an hour."""
    world = family(*contacts)
    assert world.run_sender()["sent"] == len(contacts)
    [outbound] = world.provider.handed
    assert f"your {len(contacts)} appointments" in outbound.wording.text
    for number in range(len(contacts)):
        assert f"1:{number * 15:02} PM" in outbound.wording.text
    first, *others = rows(world).values()
    assert sorted(first.facts[MERGED_WITH]) == sorted(other.scheduled_message_id for other in others)
    for row in (first, *others):
        assert row.recipient == outbound.message.recipient
        assert row.sent_to in (None, outbound.message.recipient)
    assert all(other.facts[MERGED_INTO] == first.scheduled_message_id for other in others)


def test_addresses_without_a_link_get_a_text_each() -> None:
    world = family(ANNA, CHAT, linked=False)
    world.run_sender()
    world.clock.now += QUARTER
    world.run_sender()
    assert len(world.provider.handed) == 2


def test_cap_of_the_person_counts_one_text_once() -> None:
    world = family(ANNA, CHAT, PHONE, caps={"utility": (Cap(1, timedelta(days=1)),)})
    assert world.run_sender()["sent"] == 3
    taken = [world.store.read_holdings(contact).cap_usage for contact in (ANNA, CHAT, PHONE)]
    assert sum(len(usage["utility"].taken) for usage in taken if "utility" in usage) == 1


def test_one_visit_under_two_addresses_is_named_once() -> None:
    """The second address is an alias of the first: its reminder is not one more visit."""
    world = family(ANNA, CHAT)
    world.clock.now = NOON
    book(world, "v0", CHAT, STARTS)
    world.clock.now = DUE
    world.run_sender()
    [outbound] = world.provider.handed
    assert "your 2 appointments" in outbound.wording.text


@pytest.mark.parametrize("is_early", [False, True])
def test_receipt_counts_for_visits_of_linked_addresses(is_early: bool) -> None:
    world = family(ANNA, CHAT, ANNA)

    def report() -> None:
        outbound = world.provider.handed[0]
        message_id = outbound.message.scheduled_message_id
        recipient = outbound.message.recipient
        for _ in range(2):
            at = world.clock.now
            world.report(RecordDelivery(recipient, message_id, "delivered", at, "provider-1", event_id="r1"))

    def around(name: str, call: Any) -> Any:
        answer = call()
        if name == "send" and is_early:
            report()
        return answer

    world.run_sender(around=around)
    if not is_early:
        report()
    assert {row.state for row in rows(world).values()} == {State.DELIVERED}
    assert {detail["subject_id"] for detail in world.bus.details("MessageDelivered")} == {"v0", "v1", "v2"}


def test_visits_of_linked_addresses_are_published_after_a_kill() -> None:
    world = family(ANNA, CHAT)
    with pytest.raises(Crash):
        worker(world.sender(around=Fault(only="publish")), ANNA.shard, DUE + HOUR)
    assert world.bus.details("MessageSent") == []
    world.clock.now += CLAIM_LASTS
    world.run_sender()
    published = {detail["scheduled_message_id"] for detail in world.bus.details("MessageSent")}
    assert published == {row.scheduled_message_id for row in rows(world).values()}


@pytest.mark.parametrize("answering", [ANNA, CHAT])
def test_one_answer_confirms_the_visits_of_linked_addresses(answering: Contact) -> None:
    world = family(ANNA, CHAT)
    world.run_sender()
    world.clock.now = DUE + HOUR
    world.receive(inbound(DUE + HOUR, contact=answering, message_id="answer", text="1"))
    answers = [(each["subject_id"], each["answer"]) for each in world.bus.details("AppointmentAnswered")]
    assert sorted(answers) == [("v0", "confirmed"), ("v1", "confirmed")]


def test_undelivered_text_falls_back_as_one_text() -> None:
    world = family(ANNA, CHAT)
    world.run_sender()
    first = world.provider.handed[0].message
    receipt = RecordDelivery(
        first.recipient, first.scheduled_message_id, "undelivered", world.clock.now, "provider-1", event_id="r1"
    )
    world.report(receipt)
    world.clock.now += timedelta(minutes=1)
    world.run_sender()
    assert len(world.provider.handed) == 2
    recipient = world.provider.handed[1].message.recipient
    assert {first.recipient, recipient} == {ANNA, CHAT}
    assert "your 2 appointments" in world.provider.handed[1].wording.text


def test_no_query_more_for_a_contact_without_links() -> None:
    calls: dict[int, list[str]] = {}
    for linked in (False, True):
        world = family(*((ANNA, CHAT, CHAT) if linked else (ANNA, ANNA, ANNA)))
        made = calls.setdefault(linked, [])

        def around(name: str, call: Any, made: list[str] = made) -> Any:
            made.append(name)
            return call()

        world.run_sender(around=around)
        world.provider.handed[0]
    assert calls[False].count("pending_messages") == 1
    assert calls[True].count("pending_messages") == 2
    assert "read_threads" not in calls[False]


def test_opted_out_visit_of_a_linked_address_is_not_named() -> None:
    """An opt-out covers every address of the person: then no visit is named at all."""
    world = family(ANNA, CHAT)
    world.receive(inbound(DUE - timedelta(minutes=5), contact=CHAT, message_id="stop", text="STOP"))
    world.clock.now += QUARTER
    assert world.run_sender()["skipped"] == {"opted_out": 2}
