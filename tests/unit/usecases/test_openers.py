"""Openers: made when the person must write first; a use binds the sender's own address, once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.adapters.opener_links import OpenerLinks
from reengage.adapters.wording import FluentWording
from reengage.domain.brand import Brand
from reengage.domain.commands import ConfigureBrand, EraseContact
from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.openers import find_tokens
from reengage.domain.routes import Routes, parse_routes
from reengage.domain.subject import SubjectRef
from reengage.ports import OutboundMessage
from reengage.usecases.day import DayEntry, day
from reengage.usecases.explain import explain
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.openers import OpenerDesk
from reengage.usecases.read_openers import read_openers
from tests.fakes import ANNA, NOON, RETENTION, Crash, Fault, World, business, inbound

ROUTES = parse_routes("acme-dental/sms/aws/+12025550100,acme-dental/whatsapp/meta/106540352242922|+493012345678")
BEN = Contact("acme-dental", "whatsapp", "+4915187654321")
CARO = Contact("acme-dental", "sms", "+4915100000003")
REMINDER = "appointment_reminder"
DAY = timedelta(days=1)


def clinic(routes: Routes = ROUTES) -> World:
    return World(invite=OpenerLinks(routes, FluentWording()))


INVITE = OpenerLinks(ROUTES, FluentWording())
REF = SubjectRef("acme-dental", "appointment", "A-1001")


def book(world: World, *, contact: Contact | None = ANNA, days: int = 3, **fields: Any) -> str:
    """Book the appointment, and return the token of its opener."""
    world.plan(business("AppointmentBooked", world.clock.now, contact=contact, starts_at=NOON + days * DAY, **fields))
    planned = world.bus.details("MessagePlanned")
    return token_of(planned[-1]["opener_text"])


def token_of(text: str) -> str:
    (token,) = find_tokens(text)
    return token


def write(world: World, sender: Contact, text: str, **facts: Any) -> str:
    world.clock.forward(minutes=1)
    return world.receive(inbound(world.clock.now, contact=sender, text=text, **facts))


def handed(outbound: OutboundMessage) -> tuple[Contact, str]:
    return outbound.message.contact, outbound.message.reason


def rows(world: World, contact: Contact, state: State = State.SCHEDULED) -> Sequence[ScheduledMessage]:
    held = world.store.read_holdings(contact).scheduled
    return [row for row in held if row.state is state and row.reason != "answer_reply"]


def test_plan_without_conversation_has_an_opener() -> None:
    world = clinic()
    token = book(world)
    planned = world.bus.details("MessagePlanned")
    assert {detail["forecast"] for detail in planned} == {"no_conversation"}
    assert {detail["opener"] for detail in planned} == {
        f"sms:+12025550100?body=Please%20remind%20me%20of%20my%20appointment.%20{token[:5]}-{token[5:]}"
    }
    assert {detail["opener_expires_at"] for detail in planned} == {"2026-03-05T12:00:00Z"}


def test_window_that_closes_first_has_an_opener() -> None:
    world = clinic()
    world.receive(inbound())
    book(world, days=40)
    forecasts = {detail["forecast"]: "opener" in detail for detail in world.bus.details("MessagePlanned")}
    assert forecasts == {"window_closed": True}
    (opener,) = world.store._openers.values()
    assert opener.expires_at == NOON + WINDOW


def test_open_conversation_needs_no_opener() -> None:
    world = clinic()
    world.receive(inbound())
    world.plan(business("AppointmentBooked", starts_at=NOON + 3 * DAY))
    assert [("opener" in detail) for detail in world.bus.details("MessagePlanned")] == [False, False]
    assert world.store._openers == {}


def test_opener_is_stored_once_for_all_reminders_and_repeats() -> None:
    world = clinic()
    token = book(world)
    assert book(world) == token
    assert [key[1] for key in world.store._openers] == [token]


@pytest.mark.parametrize(
    ("routes", "channel", "numbers", "start"),
    [
        ("acme-dental/sms/aws/+12025550100", "sms", None, "sms:+12025550100?"),
        ("acme-dental/whatsapp/meta/106540352242922|+493012345678", "whatsapp", None, "https://wa.me/493012345678?"),
        ("acme-dental/whatsapp/meta/106540352242922|+493012345678", "sms", None, "https://wa.me/493012345678?"),
        ("acme-dental/whatsapp/twilio/+12025550100", "rcs", None, "https://wa.me/12025550100?"),
        ("acme-dental/whatsapp/meta/106540352242922", "whatsapp", None, "Please remind me"),
        (
            "acme-dental/rcs/webhook/https://acme.example/out|acme_agent@rbm.goog,acme-dental/sms/aws/+12025550100",
            "rcs",
            None,
            "sms:+12025550100?service_id=acme_agent%40rbm.goog&body=Please%20remind",
        ),
        ("acme-dental/rcs/aws/rcs-a|acme@rbm.goog", "rcs", None, "sms:acme%40rbm.goog?body=Please%20remind"),
        ("acme-dental/rcs/aws/rcs-a,acme-dental/sms/aws/+12025550100", "rcs", None, "sms:+12025550100?body="),
        ("acme-dental/sms/twilio/MG0123456789abcdef", "sms", None, "Please remind me"),
        ("", "sms", None, "Please remind me"),
        ("", "sms", {"sms": "+12025550111"}, "sms:+12025550111?"),
        ("acme-dental/sms/aws/+12025550100", "sms", {"sms": "+12025550111"}, "sms:+12025550111?"),
        ("", "sms", {"whatsapp": "+12025550111"}, "https://wa.me/12025550111?"),
    ],
)
def test_link_opens_a_number_of_the_brand(routes: str, channel: str, numbers: Any, start: str) -> None:
    world = clinic(parse_routes(routes))
    world.configure(ConfigureBrand("acme-dental", 1, {"name": "Acme", "numbers": numbers}))
    book(world, contact=replace(ANNA, channel=channel))
    assert world.bus.details("MessagePlanned")[0]["opener"].startswith(start)


def test_opener_text_is_in_the_brands_language() -> None:
    world = clinic()
    world.configure(ConfigureBrand("acme-dental", 1, {"name": "Acme", "locale": "fr-CA"}))
    book(world)
    assert world.bus.details("MessagePlanned")[0]["opener_text"].startswith("Merci de me rappeler mon rendez-vous. ")


def test_token_binds_the_senders_address() -> None:
    world = clinic()
    token = book(world, days=2)
    write(world, BEN, f"Please remind me of my appointment. {token}")
    assert [row.offset for row in rows(world, BEN)] == ["P1D", "PT2H"]
    assert rows(world, ANNA) == []
    assert {row.rule for row in rows(world, ANNA, State.SKIPPED)} == {"superseded"}
    assert [detail["forecast"] for detail in world.bus.details("MessagePlanned")][2:] == ["send", "send"]
    world.clock.now = NOON + DAY
    world.run_sender()
    assert [handed(outbound) for outbound in world.provider.handed] == [(BEN, "answer_reply"), (BEN, REMINDER)]


def test_token_of_the_booked_address_opens_its_conversation() -> None:
    world = clinic()
    token = book(world)
    write(world, ANNA, token)
    assert [row.offset for row in rows(world, ANNA)] == ["P1D", "PT2H"]
    assert [detail["forecast"] for detail in world.bus.details("MessagePlanned")][2:] == ["send", "send"]


def test_second_sender_binds_nothing() -> None:
    """The first person forwarded the link to a friend."""
    world = clinic()
    token = book(world)
    write(world, BEN, token)
    write(world, CARO, token)
    assert rows(world, CARO) == []
    assert len(rows(world, BEN)) == 2
    assert world.store.read_holdings(CARO).consents == []
    assert world.store.read_thread(CARO).conversation is not None


def test_forwarded_link_diverts_no_reachable_person() -> None:
    """The patient wrote from the booked number, so a friend with the link binds nothing."""
    world = clinic()
    token = book(world)
    write(world, ANNA, "Hello")
    write(world, BEN, token)
    assert len(rows(world, ANNA)) == 2
    assert rows(world, BEN) == []
    write(world, ANNA, token)
    assert len(rows(world, ANNA)) == 2
    assert len(world.store.read_holdings(ANNA).consents) == 1


def test_a_link_diverts_no_one_who_is_reached_elsewhere() -> None:
    """The patient wrote from the booked number by WhatsApp: the reminders reach them there."""
    world = clinic()
    token = book(world)
    write(world, replace(ANNA, channel="whatsapp"), "Hello")
    write(world, BEN, token)
    assert rows(world, BEN) == []
    assert len(rows(world, ANNA)) == 2


def test_person_who_opted_out_may_ask_elsewhere() -> None:
    world = clinic()
    token = book(world)
    write(world, ANNA, "STOP")
    write(world, BEN, token)
    assert len(rows(world, BEN)) == 2


def test_first_sender_cannot_use_the_token_again() -> None:
    world = clinic()
    token = book(world)
    write(world, BEN, token)
    before = world.store.read_holdings(BEN)
    write(world, BEN, f"again {token}")
    assert world.store.read_holdings(BEN).consents == before.consents
    assert rows(world, BEN) == [row for row in before.scheduled if row.state is State.SCHEDULED]


def test_new_token_after_a_use_whose_window_closes_first() -> None:
    world = clinic()
    first = book(world, days=50)
    write(world, BEN, first)
    second = token_of(world.bus.details("MessagePlanned")[-1]["opener_text"])
    assert second != first
    write(world, CARO, first)
    assert rows(world, CARO) == []
    write(world, CARO, second)
    assert len(rows(world, CARO)) == 2
    assert rows(world, BEN) == []


@pytest.mark.parametrize(
    ("change", "sender"),
    [
        ({"text": "K7QMX-4TRW9"}, BEN),
        ({"text": "STOP {token}"}, BEN),
        ({"kind": "location"}, BEN),
        ({"kind": "reaction"}, BEN),
        ({}, Contact("other", "whatsapp", "+4915187654321")),
    ],
)
def test_other_messages_bind_nothing(change: dict[str, str], sender: Contact) -> None:
    world = clinic()
    token = book(world)
    facts = {"text": "{token}", **change}
    write(world, sender, facts.pop("text").format(token=token), **facts)
    assert rows(world, sender) == []
    assert len(rows(world, ANNA)) == 2


def test_stop_with_a_token_is_stored() -> None:
    world = clinic()
    token = book(world)
    write(world, BEN, f"STOP. {token}")
    suspected = world.bus.details("OptOutSuspected")
    assert world.store.read_preferences(BEN).refused("contact", "whatsapp") or suspected


def test_token_undoes_no_earlier_stop() -> None:
    world = clinic()
    token = book(world)
    write(world, BEN, "STOP")
    write(world, BEN, token)
    world.clock.now = NOON + 2 * DAY
    world.run_sender()
    assert world.provider.handed == []
    assert {row.rule for row in rows(world, BEN, State.SKIPPED)} == {"opted_out"}


def test_expired_token_binds_nothing() -> None:
    world = clinic()
    token = book(world, days=60)
    world.clock.now = NOON + WINDOW
    write(world, BEN, token)
    assert rows(world, BEN) == []


def test_token_after_the_start_binds_nothing() -> None:
    world = clinic()
    token = book(world)
    world.clock.now = NOON + 3 * DAY
    write(world, BEN, token)
    assert world.store.read_holdings(BEN).consents == []


def test_token_of_a_cancelled_appointment_binds_nothing() -> None:
    world = clinic()
    token = book(world)
    world.clock.forward(minutes=5)
    world.plan(business("AppointmentCancelled", world.clock.now, contact=None))
    write(world, BEN, token)
    assert rows(world, BEN) == []
    assert world.store.read_holdings(BEN).subjects == []


def test_cancellation_after_a_use_reaches_the_sender() -> None:
    world = clinic()
    write(world, BEN, book(world))
    world.clock.forward(minutes=5)
    world.plan(business("AppointmentCancelled", world.clock.now, contact=ANNA))
    assert rows(world, BEN) == []
    assert {row.rule for row in rows(world, BEN, State.SKIPPED)} == {"cancelled"}


def test_late_cancellation_from_before_the_use_counts() -> None:
    world = clinic()
    token = book(world)
    cancelled = business("AppointmentCancelled", world.clock.now + timedelta(seconds=30), contact=ANNA)
    write(world, BEN, token)
    world.plan(cancelled)
    assert rows(world, BEN) == []


def test_move_after_a_use_plans_for_the_sender() -> None:
    """The booking system still names the address that it knows."""
    world = clinic()
    write(world, BEN, book(world))
    world.clock.forward(minutes=5)
    world.plan(business("AppointmentRescheduled", world.clock.now, contact=ANNA, starts_at=NOON + 4 * DAY))
    assert {row.anchor_at for row in rows(world, BEN)} == {NOON + 4 * DAY}
    assert rows(world, ANNA) == []


def test_token_is_still_good_after_a_move() -> None:
    world = clinic()
    token = book(world)
    world.clock.forward(minutes=5)
    world.plan(business("AppointmentRescheduled", world.clock.now, starts_at=NOON + 5 * DAY))
    world.clock.now = NOON + 4 * DAY
    write(world, BEN, token)
    assert [row.offset for row in rows(world, BEN)] == ["PT2H"]


def test_token_after_an_erasure_binds_nothing() -> None:
    world = clinic()
    token = book(world)
    world.clock.forward(minutes=5)
    world.erase(EraseContact(ANNA, world.clock.now))
    world.clock.forward(minutes=5)
    write(world, BEN, token)
    assert rows(world, BEN) == []
    assert world.store.read_holdings(BEN).subjects == []


def test_booking_after_an_erasure_has_another_token() -> None:
    world = clinic()
    token = book(world)
    world.clock.forward(minutes=5)
    world.erase(EraseContact(ANNA, world.clock.now))
    world.clock.forward(minutes=5)
    assert book(world) != token


def test_erasure_of_the_sender_removes_address_and_evidence() -> None:
    world = clinic()
    write(world, BEN, f"Please remind me of my appointment. {book(world)}")
    world.clock.forward(minutes=5)
    world.erase(EraseContact(BEN, world.clock.now))
    held = world.store.read_holdings(BEN)
    assert (held.consents, held.subjects, held.inbound, list(held.scheduled)) == ([], [], [], [])
    assert BEN.address not in repr(world.store._subjects)
    assert ANNA.address in repr(world.store._subjects)


def test_erasure_of_the_booked_contact_leaves_no_trace() -> None:
    world = clinic()
    write(world, BEN, book(world))
    world.clock.forward(minutes=5)
    world.erase(EraseContact(ANNA, world.clock.now))
    assert ANNA.address not in repr(world.store._subjects)
    assert ANNA.address not in repr(world.store._openers)


def test_export_shows_each_only_the_own_address() -> None:
    world = clinic()
    write(world, BEN, book(world))
    assert ANNA.address not in repr(world.store.read_holdings(BEN))
    assert BEN.address not in repr(world.store.read_holdings(ANNA))


def test_message_is_kept_as_evidence_of_consent() -> None:
    world = clinic()
    token = book(world)
    write(world, BEN, f"Remind me: {token}", message_id="W1")
    (consent,) = world.store.read_holdings(BEN).consents
    assert (consent.message_id, consent.text, consent.subject.id) == ("W1", f"Remind me: {token}", "A-1001")
    world.store.expire(NOON + WINDOW + 9 * DAY)
    assert world.store.read_holdings(BEN).inbound == []
    assert world.store.read_holdings(BEN).consents == [consent]
    world.store.expire(NOON + RETENTION + DAY)
    assert world.store.read_holdings(BEN).consents == []


@pytest.mark.parametrize("acknowledges", [True, False])
def test_use_of_an_opener_is_acknowledged(acknowledges: bool) -> None:
    world = clinic()
    world.ingest = IngestSettings(RETENTION, acknowledges_answers=acknowledges)
    write(world, BEN, book(world))
    assert [outbound.message.reason for outbound in world.provider.handed] == ["answer_reply"] * acknowledges


def test_text_in_free_words_reads_the_same_calls_as_before() -> None:
    world = clinic()
    counted = Fault(nth=99)
    world.receive(inbound(text="Is Friday free?"), counted)
    assert not {"read_openers", "use_opener", "write_consent"} & set(counted.calls)


@pytest.mark.slow
@pytest.mark.parametrize("nth", range(1, 40))
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("sender", [BEN, replace(ANNA, channel="whatsapp")])
def test_crash_at_any_call_is_completed_by_a_retry(nth: int, after: bool, sender: Contact) -> None:
    """A run died after it had withdrawn the rows of the number's own channel: no retry published that they ended."""
    world = clinic()
    token = book(world)
    world.clock.forward(minutes=1)
    message = inbound(world.clock.now, contact=sender, text=token, message_id="W1")
    fault = Fault(Crash, nth=nth, after=after)
    try:
        world.receive(message, fault)
    except Crash:
        assert fault.struck
        world.receive(message)
    assert len(rows(world, sender)) == 2
    assert rows(world, ANNA) == []
    assert len(world.store.read_holdings(sender).consents) == 1
    ended = {detail["scheduled_message_id"] for detail in world.bus.details("MessageSkipped")}
    assert ended == {row.scheduled_message_id for row in rows(world, ANNA, State.SKIPPED)}


def test_trial_has_an_opener_too() -> None:
    world = clinic()
    world.plan(business("TrialStarted", contact=ANNA, subject_id="T-1", ends_at=NOON + 9 * DAY, product="Orbit"))
    assert world.bus.details("MessagePlanned")[0]["opener_text"].startswith("Please keep me informed. ")


def test_product_of_one_contact_has_no_opener() -> None:
    world = clinic()
    world.plan(business("ProductViewed", contact=ANNA, subject_id="P-1", name="Shoe"))
    assert "opener" not in world.bus.details("MessagePlanned")[0]


def test_number_of_a_brand_is_a_field_of_the_brand() -> None:
    assert Brand("acme-dental", numbers={"sms": "+12025550111"}).numbers == {"sms": "+12025550111"}


def test_question_about_a_subject_has_its_opener() -> None:
    world = clinic()
    token = book(world)

    def ask() -> dict[str, Any]:
        return read_openers(REF, store=world.store, invite=INVITE, clock=world.clock)

    (found,) = ask()["openers"]
    assert token_of(found["opener_text"]) == token
    assert found["opener"].startswith("sms:+12025550100?body=")
    assert found["contact"] == {"brand": "acme-dental", "channel": "sms", "address": ANNA.address}
    write(world, BEN, token)
    assert ask() == {"brand": "acme-dental", "kind": "appointment", "id": "A-1001", "found": True, "openers": []}
    assert not read_openers(replace(REF, id="A-9"), store=world.store, invite=INVITE, clock=world.clock)["found"]


def test_explanation_has_the_opener_until_it_is_used() -> None:
    world = clinic()
    token = book(world)
    desk = OpenerDesk(world.store, INVITE)
    found = explain(ANNA, store=world.store, clock=world.clock, settings=world.policy, desk=desk)
    scheduled = [entry for entry in found["entries"] if entry["what"] == "scheduled"]
    assert [token_of(entry["opener_text"]) for entry in scheduled] == [token, token]
    write(world, BEN, token)
    found = explain(BEN, store=world.store, clock=world.clock, settings=world.policy, desk=desk)
    assert [entry for entry in found["entries"] if "opener" in entry] == []
    assert [entry["subject_id"] for entry in found["entries"] if entry["what"] == "agreed to messages"] == ["A-1001"]


def test_day_has_the_opener_of_who_must_write_first() -> None:
    world = clinic()
    book(world)
    starts_on = (NOON + 3 * DAY).date()

    def entries() -> Sequence[DayEntry]:
        desk = OpenerDesk(world.store, INVITE)
        found = day("acme-dental", starts_on, store=world.store, settings=world.policy, clock=world.clock, desk=desk)
        return found.entries

    (entry,) = entries()
    assert entry.opener == world.bus.details("MessagePlanned")[0]["opener"]
    write(world, replace(BEN, channel="sms"), token_of((entry.opener or "").replace("%20", " ")))
    (entry,) = entries()
    assert (entry.contact, entry.opener, entry.state) == (replace(BEN, channel="sms"), None, "will_be_reminded")


@pytest.mark.parametrize("second", [False, True])
def test_one_of_two_people_uses_an_opener(second: bool) -> None:
    """Each person of an appointment has an opener, which binds only their own reminders."""
    world = clinic()
    dora = Contact("acme-dental", "sms", "+4915100000004")
    tokens = [book(world, contact=ANNA), book(world, contact=dora)]
    assert tokens[0] != tokens[1]
    write(world, BEN, tokens[second])
    assert len(rows(world, BEN)) == 2
    assert [len(rows(world, each)) for each in (ANNA, dora)] == ([2, 0] if second else [0, 2])
