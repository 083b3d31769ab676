"""How long a simulation takes: ``python -m tests.benchmarks.simulation [CONTACTS …]``.

Each contact writes three messages in 90 days and makes two bookings, of which each leads to two reminders. No one is
greeted, so four messages are sent to each.
"""

import random
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reengage.domain.instants import iso
from reengage.simulation import parse_story, simulate

BEGINS: Final = datetime(2026, 9, 1, tzinfo=UTC)
DAYS: Final = 90


def lines(contacts: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield a story of 90 days, the same for the same seed."""
    chance = random.Random(seed)
    yield {"set": {"WelcomeBackAfter": ""}}
    for number in range(contacts):
        contact = {"brand": "acme-dental", "channel": "sms", "address": f"+1202555{number % 10000:04}"}
        if number >= 10000:
            contact["address"] = f"+49151{10000000 + number}"
        for n in range(3):
            at = BEGINS + timedelta(days=25 * n, minutes=chance.randrange(20 * 24 * 60))
            text = {"message_id": f"m-{number}-{n}", "sent_at": iso(at), "text": "Hello"}
            yield {"time": iso(at), "detail-type": "MessageReceived", "detail": {"contact": contact} | text}
            if n == 2:
                continue
            booked_at = at + timedelta(minutes=chance.randrange(1, 600))
            starts_at = booked_at + timedelta(days=3, minutes=15 * chance.randrange(4 * 24))
            starts_at = starts_at.replace(hour=14 + chance.randrange(8), minute=15 * chance.randrange(4), second=0)
            booking = {"appointment_id": f"a-{number}-{n}", "starts_at": iso(starts_at), "timezone": "America/New_York"}
            yield {"time": iso(booked_at), "detail-type": "AppointmentBooked", "detail": {"contact": contact} | booking}


def measure(contacts: int) -> None:
    story = parse_story(lines(contacts))
    begins = time.process_time()
    summary = {}
    for line in simulate(story):
        summary = line
    took = time.process_time() - begins
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcomes, events = summary["summary"]["outcomes"], len(story.events)
    per_event = took / events * 1e6
    print(
        f"{contacts} contacts: {took:.1f} s CPU, {per_event:.0f} us an event, {memory:.0f} MB, {events} in, {outcomes}"
    )


if __name__ == "__main__":
    for given in sys.argv[1:] or ["1000", "10000"]:
        measure(int(given))
