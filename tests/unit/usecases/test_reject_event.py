"""An invalid event is kept whole, and its rejection is published."""

from collections.abc import Sequence
from typing import Any

import pytest

from reengage.errors import InvalidEvent, NotPublished
from reengage.usecases.reject_event import MOST_ERRORS, reject_event
from tests.fakes import Bus, Unreachable

EVENT = {"id": "e-1", "detail-type": "AppointmentBooked", "detail": {"starts_at": "tomorrow", "secret": [1]}}
WHY = InvalidEvent(["$.detail.contact: is required", "$.detail.starts_at: expected an instant"])


def test_rejected_event_is_kept_whole_and_published_empty() -> None:
    bus = Bus()
    kept: list[tuple[Any, Sequence[str]]] = []
    answer = reject_event(EVENT, WHY, keep=lambda event, errors: kept.append((event, errors)), publish=bus)
    assert kept == [(EVENT, list(WHY.errors))]
    assert answer == {"rejected": list(WHY.errors)}
    (published,) = bus.events
    assert published.type == "EventRejected"
    assert published.detail == {
        "errors": list(WHY.errors),
        "event_id": "e-1",
        "rejected_detail_type": "AppointmentBooked",
    }


@pytest.mark.parametrize("event", [None, "text", 7, [EVENT], {}])
def test_what_is_no_event_at_all_is_kept_too(event: object) -> None:
    bus = Bus()
    kept: list[object] = []
    reject_event(event, WHY, keep=lambda given, _errors: kept.append(given), publish=bus)
    assert kept == [event]
    assert bus.details("EventRejected") == [{"errors": list(WHY.errors)}]


@pytest.mark.parametrize("errors", [MOST_ERRORS, MOST_ERRORS + 1, 20_000])
def test_errors_are_as_many_as_the_bus_takes(errors: int) -> None:
    bus, why = Bus(), InvalidEvent([f"$.entry[{n}]: expected an object" for n in range(errors)])
    published = reject_event(EVENT, why, keep=lambda _event, _errors: None, publish=bus)["rejected"]
    more = [f"and {errors - MOST_ERRORS} more"] if errors > MOST_ERRORS else []
    assert published == [*why.errors[:MOST_ERRORS], *more] == bus.events[0].detail["errors"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Unknown", "Unknown"), ("x" * 9999, "x" * 256), ("a\ud800b", "a?b"), (5, None), (["x"], None)],
)
def test_names_of_the_sender_are_cut_and_valid(name: object, expected: str | None) -> None:
    """Half of a surrogate pair as detail-type raised an error, and a sender could publish a text of any length."""
    bus = Bus()
    reject_event({"detail-type": name, "id": name}, WHY, keep=lambda _event, _errors: None, publish=bus)
    (detail,) = bus.details("EventRejected")
    assert (detail.get("rejected_detail_type"), detail.get("event_id")) == (expected, expected)


def test_event_that_was_not_kept_is_not_published_as_kept() -> None:
    bus = Bus()

    def broken(event: object, errors: Sequence[str]) -> None:
        raise Unreachable(event, errors)

    with pytest.raises(Unreachable):
        reject_event(EVENT, WHY, keep=broken, publish=bus)
    assert bus.events == []


def test_publish_failure_is_retried() -> None:
    with pytest.raises(NotPublished):
        reject_event(EVENT, WHY, keep=lambda _event, _errors: None, publish=Bus(failing=1))
