"""A provider that is down and comes back, on DynamoDB Local: what is still valid is sent in order, none twice."""

from collections import Counter
from datetime import timedelta
from typing import Any, cast

import pytest

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.ports import OutboundMessage, Outcome, Retryable
from tests.contract.stores import DynamoDB
from tests.fakes import NOON, Provider, World, business, inbound

HOUR = timedelta(hours=1)
BEGINS = NOON + timedelta(days=3)
REMINDERS = 6
DOWN = Retryable("ConnectTimeoutError")


class Down(Provider):
    """A provider that cannot be reached before an instant."""

    until = BEGINS

    def send(self, outbound: OutboundMessage, _route: str = "") -> Outcome:
        if self.clock.now < self.until:
            self.answers.append(DOWN)
            return DOWN
        return Provider.send(self, outbound)


def rows(local: DynamoDB) -> list[ScheduledMessage]:
    return [row for n in range(REMINDERS) for row in local.store.read_holdings(contact(n)).scheduled]


def contact(number: int) -> Contact:
    return Contact("acme-dental", "sms", f"+49151123456{number:02}")


@pytest.mark.slow
@pytest.mark.parametrize("outage", [HOUR / 2, 2 * HOUR, 6 * HOUR, 24 * HOUR], ids=["30 min", "2 h", "6 h", "24 h"])
def test_after_an_outage_what_is_valid_is_sent(local: DynamoDB, outage: timedelta) -> None:
    """Each reminder is valid for a day; those of the outage's first hour were lost after two hours."""
    world = World(store=cast("Any", local.store), has_breakers=True, workers=1)  # several would send at the same time
    world.provider = provider = Down(world.clock)
    provider.until = BEGINS + outage
    apart = outage / REMINDERS
    for n in range(REMINDERS):
        world.receive(inbound(contact=contact(n)))
        starts_at = BEGINS + n * apart + timedelta(days=1)
        booked = business(
            "AppointmentBooked", subject_id=f"A-{n}", contact=contact(n), starts_at=starts_at, remind_before=["P1D"]
        )
        world.plan(booked)
    world.clock.now = BEGINS
    while world.clock.now <= provider.until + HOUR:
        world.run_sender()
        world.clock.now += max(outage / 12, timedelta(minutes=5))
    handed = [outbound.message for outbound in provider.handed]
    assert max(Counter(message.scheduled_message_id for message in handed).values()) == 1
    assert handed == sorted(handed, key=lambda message: message.valid_until)
    stored = rows(local)
    assert len(stored) == REMINDERS
    for row in stored:
        if row.valid_until > provider.until:
            assert row.state is State.SENT, row.subject
        else:
            assert (row.state, row.rule, row.error) == (State.SKIPPED, "too_late", DOWN.error)
    assert sum(row.state is State.SENT for row in stored) == REMINDERS - (outage == 24 * HOUR)
    assert DOWN in provider.answers
