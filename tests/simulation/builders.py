"""Lines of stories, and questions to what a simulation yields."""

from collections.abc import Iterable, Mapping
from typing import Any

from reengage.simulation import simulate

Line = dict[str, Any]

ANNA = {"brand": "acme-dental", "channel": "sms", "address": "+4915112345678"}
BERLIN = "Europe/Berlin"


def event(time: str, detail_type: str, **detail: Any) -> Line:
    return {"time": time, "detail-type": detail_type, "source": "test.app", "detail": detail}


def writes(time: str, *, contact: Mapping[str, str] = ANNA, text: str = "Hello", **detail: Any) -> Line:
    """A message of a person, sent at the instant at which it arrives."""
    return event(time, "MessageReceived", contact=contact, message_id=f"m-{time}", sent_at=time, text=text, **detail)


def books(time: str, starts_at: str, *, contact: Mapping[str, str] = ANNA, **detail: Any) -> Line:
    booked: Line = {"appointment_id": "A-1", "starts_at": starts_at, "timezone": BERLIN} | detail
    return event(time, "AppointmentBooked", contact=contact, **booked)


def run(*lines: Line, settings: Mapping[str, str] | None = None, **options: Any) -> list[Line]:
    return list(simulate(lines, settings, **options))


def of_type(out: Iterable[Line], detail_type: str) -> list[Line]:
    return [line for line in out if line.get("detail-type") == detail_type]


def instants(out: Iterable[Line], detail_type: str) -> list[str]:
    return [line["at"] for line in of_type(out, detail_type)]


def summary(out: list[Line]) -> Line:
    found: Line = out[-1]["summary"]
    return found
