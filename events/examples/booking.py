"""A booking system in Python that tells Reengage about its appointments.

    python booking.py book    a-17 +12025550101 2026-12-11T10:00:00-05:00
    python booking.py move    a-17 +12025550101 2026-12-12T09:00:00-05:00
    python booking.py cancel  a-17 +12025550101

Needs boto3, AWS credentials that may call events:PutEvents, and BUS, the stack's output EventBusName.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime

import boto3

BRAND = "acme-dental"
ATTEMPTS = 4


def publish(detail_type: str, detail: dict, attempts: int = ATTEMPTS) -> str:
    """Put one event on the bus and return its id; try again if the bus does not take it.

    PutEvents can fail without an exception, so look at FailedEntryCount. ``occurred_at`` is your own clock: the newest
    event counts, also if two arrive in the wrong order.
    """
    detail = {"occurred_at": datetime.now(UTC).isoformat(), **detail}
    entry = {
        "EventBusName": os.environ["BUS"],
        "Source": "acme.booking",
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
    }
    client = boto3.client("events")
    for attempt in range(attempts):
        answer = client.put_events(Entries=[entry])
        if not answer["FailedEntryCount"]:
            return answer["Entries"][0]["EventId"]
        time.sleep(0.2 * 2**attempt)  # the bus may be throttled: wait twice as long each time
    raise RuntimeError(f"the bus did not take {detail_type}: {answer['Entries'][0]['ErrorCode']}")


def contact(number: str) -> dict:
    return {"brand": BRAND, "channel": "sms", "address": number}


def book(appointment: str, number: str, starts_at: str) -> str:
    detail = {"contact": contact(number), "appointment_id": appointment, "starts_at": starts_at}
    return publish("AppointmentBooked", {**detail, "timezone": "America/New_York", "location": "12 Example Street"})


def move(appointment: str, number: str, starts_at: str) -> str:
    detail = {"contact": contact(number), "appointment_id": appointment, "starts_at": starts_at}
    return publish("AppointmentRescheduled", {**detail, "timezone": "America/New_York"})


def cancel(appointment: str, number: str) -> str:
    return publish("AppointmentCancelled", {"contact": contact(number), "appointment_id": appointment})


if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    print({"book": book, "move": move, "cancel": cancel}[action](*arguments))
