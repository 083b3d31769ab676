"""A message that was surely not taken at one address goes to another one of the person, once."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pytest

from reengage.domain.breaker import Breaker
from reengage.domain.commands import LinkContact, RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.preferences import Choice
from reengage.ports import OutboundMessage, Outcome, Refused, Retryable, Unknown
from reengage.usecases.elsewhere import LOOKS_FOR
from reengage.usecases.link_contact import link_contact
from tests.fakes import ANNA, NOON, Crash, Fault, Provider, World, business, inbound, receipt

CHAT: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
DUE: Final = NOON + timedelta(days=2)
STARTS: Final = DUE + timedelta(hours=6)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DOWN: Final = Retryable("ConnectTimeoutError")
REFUSED: Final = Refused("131026 undeliverable")


@dataclass(slots=True)
class ByChannel(Provider):
    """A provider that answers by the recipient's channel."""

    answers_on: Mapping[str, Outcome] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    def send(self, outbound: OutboundMessage, route: str = "") -> Outcome:
        channel = outbound.message.recipient.channel
        self.tried.append(channel)
        return self.answers_on.get(channel) or Provider.send(self, outbound, route)

    def routes(self, contact: Contact) -> list[str]:
        return [contact.channel]


def write(world: World, contact: Contact, at: datetime, text: str = "Hello") -> None:
    world.clock.now = at
    world.receive(inbound(at, text=text, contact=contact, message_id=f"{contact}{at}"))


def linked(*contacts: Contact, **answers_on: Outcome) -> tuple[World, ByChannel]:
    """A reminder by number that is due now; the person wrote from ``contacts`` an hour before, or the day before."""
    world = World(has_breakers=True)
    provider = world.provider = ByChannel(world.clock, answers_on=answers_on)
    for contact in contacts:
        write(world, contact, DUE - HOUR)
    world.clock.now = NOON
    link_contact(LinkContact(ANNA, CHAT, NOON), store=world.store, publish=world.bus)
    world.plan(business("AppointmentBooked", contact=ANNA, starts_at=STARTS, remind_before=["PT6H"]))
    world.bus.events.clear()
    world.clock.now = DUE
    return world, provider


def runs(world: World, minutes: int) -> list[str]:
    """Run the sender each minute; return the outcomes that are not zero."""
    found: list[str] = []
    for _ in range(minutes):
        done = world.run_sender()
        found += [name for name in ("sent", "failed", "unconfirmed", "retried") for _ in range(done[name])]
        world.clock.now += MINUTE
    return found


def outcome(world: World) -> tuple[State, str | None, str | None]:
    (row,) = world.store.rows()
    return row.state, row.rule, row.error


def test_an_open_breaker_sends_by_the_other_channel() -> None:
    """An outage of WhatsApp kept a reminder for hours, although the person's SMS window was open."""
    world, provider = linked(ANNA, CHAT, whatsapp=DOWN)
    assert runs(world, 8) == ["retried", "retried", "retried", "sent"]
    assert provider.tried == ["whatsapp"] * 3 + ["sms"]
    (sent,) = world.bus.details("MessageSent")
    assert sent["contact"]["channel"] == "sms"


def test_the_breaker_of_the_booked_address_counts_too() -> None:
    world, provider = linked(ANNA, CHAT, sms=DOWN)
    write(world, CHAT, DUE - 30 * HOUR)
    world.clock.now = DUE
    for _ in range(3):
        world.sender().health.record("sms", DOWN, attempts=2)
    assert runs(world, 1) == ["sent"]
    assert provider.tried == ["whatsapp"]


def test_a_message_waits_if_both_breakers_are_open() -> None:
    world, provider = linked(ANNA, CHAT, sms=DOWN, whatsapp=DOWN)
    runs(world, 30)
    assert outcome(world)[0] is State.SCHEDULED
    provider.answers_on = {}
    assert runs(world, 2) == ["sent"]


def test_without_another_address_an_outage_costs_nothing() -> None:
    world, provider = linked(ANNA, sms=DOWN)
    runs(world, 20)
    calls = Fault(nth=10**9)
    world.store.write_breaker(
        "sms", Breaker(world.clock.now, world.clock.now + HOUR), replacing=world.store.read_breaker("sms")
    )
    world.clock.now += LOOKS_FOR
    tried = len(provider.tried)
    world.run_sender(around=calls)
    assert {"claim", "read_preferences", "release"}.isdisjoint(calls.calls)
    assert len(provider.tried) == tried


def test_a_refusal_sends_to_the_next_address() -> None:
    """A number without WhatsApp: the reminder failed, although the person's SMS window was open."""
    world, provider = linked(ANNA, CHAT, whatsapp=REFUSED)
    assert runs(world, 2) == ["retried", "sent"]
    assert provider.tried == ["whatsapp", "sms"]
    (undelivered,) = world.bus.details("MessageUndelivered")
    assert (undelivered["falls_back"], undelivered["error"]) == (True, REFUSED.error)
    assert undelivered["contact"]["channel"] == "whatsapp"
    assert outcome(world)[0] is State.SENT


def test_refusals_everywhere_end_as_failed_once() -> None:
    world, provider = linked(ANNA, CHAT, whatsapp=REFUSED, sms=Refused("30005"))
    assert runs(world, 5) == ["retried", "failed"]
    assert provider.tried == ["whatsapp", "sms"]
    assert outcome(world) == (State.FAILED, None, "30005")
    (failed,) = world.bus.details("MessageFailed")
    assert failed["error"] == "30005"


def test_a_refusal_without_another_address_fails() -> None:
    world, _ = linked(ANNA, sms=REFUSED)
    assert runs(world, 3) == ["failed"]


def test_an_unknown_outcome_is_never_repeated_elsewhere() -> None:
    world, provider = linked(ANNA, CHAT, whatsapp=Unknown("ReadTimeout"))
    assert runs(world, 10) == ["unconfirmed"]
    assert provider.tried == ["whatsapp"]


def test_a_stop_after_the_refusal_skips_the_message() -> None:
    world, provider = linked(ANNA, CHAT, whatsapp=REFUSED)
    runs(world, 1)
    stop = RecordChoice(ANNA, "contact", Choice(allowed=False, at=world.clock.now))
    world.record_choice(stop)
    runs(world, 2)
    assert provider.tried == ["whatsapp"]
    assert outcome(world)[:2] == (State.SKIPPED, "opted_out")


def test_a_late_receipt_of_a_refused_address_repeats_nothing() -> None:
    world, provider = linked(ANNA, CHAT, whatsapp=REFUSED)
    runs(world, 2)
    (handed,) = provider.handed
    late = receipt(handed, "undelivered", world.clock.now)
    assert world.report(type(late)(CHAT, late.scheduled_message_id, "undelivered", late.at)) == "repeated"
    assert outcome(world)[0] is State.SENT


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_around_the_fallback_sends_once(*, after: bool) -> None:
    world, provider = linked(ANNA, CHAT, whatsapp=REFUSED)
    fault = Fault(only="fall_back", after=after)
    with suppress(Crash):
        world.run_sender(around=fault)
    assert fault.struck
    runs(world, 45)
    assert len(provider.handed) <= 1
    assert provider.tried.count("whatsapp") == 1
    assert outcome(world)[0] in (State.SENT, State.UNCONFIRMED)
