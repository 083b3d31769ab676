"""A provider that is down and comes back, in the simulation: what is still valid is sent, once and in order."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from reengage.domain.instants import iso
from tests.simulation.builders import event, of_type, run

HOUR: Final = timedelta(hours=1)
BEGINS: Final = datetime(2026, 3, 4, 9, tzinfo=UTC)
PEOPLE: Final = 24


def contact(number: int) -> dict[str, str]:
    return {"brand": "acme-dental", "channel": "sms", "address": f"+49151123456{number:02}"}


def story(outage: timedelta, valid_for: timedelta) -> list[dict[str, Any]]:
    """Return a story in which a reminder of each person becomes due while the provider is down.

    ``valid_for``: the time from which a reminder is due until its appointment begins.
    """
    lines: list[dict[str, Any]] = [
        {"set": {"UtilityQuietHours": ""}},
        {"provider": {"from": iso(BEGINS), "to": iso(BEGINS + outage), "answer": "unavailable", "error": "503"}},
    ]
    for number in range(PEOPLE):
        wrote, booked = iso(BEGINS - 3 * 24 * HOUR), iso(BEGINS - 2 * 24 * HOUR)
        message = {"contact": contact(number), "message_id": f"m-{number}", "sent_at": wrote, "text": "Hello"}
        lines.append(event(wrote, "MessageReceived", **message, timezone="Europe/Berlin"))
        starts = BEGINS + number * outage / PEOPLE + valid_for
        details = {"appointment_id": f"A-{number}", "starts_at": iso(starts)}
        before = [f"PT{valid_for // HOUR}H"]
        lines.append(event(booked, "AppointmentBooked", contact=contact(number), **details, remind_before=before))
    return [*lines, {"until": iso(BEGINS + outage + 2 * HOUR)}]


@pytest.mark.parametrize(
    ("outage", "valid_for"),
    [(HOUR / 2, HOUR), (2 * HOUR, HOUR), (6 * HOUR, 8 * HOUR), (24 * HOUR, 24 * HOUR)],
    ids=["30 min", "2 h", "6 h", "24 h"],
)
def test_after_an_outage_all_that_is_valid_is_sent(outage: timedelta, valid_for: timedelta) -> None:
    out = run(*story(outage, valid_for))
    back = BEGINS + outage
    starts = {f"A-{number}": BEGINS + number * outage / PEOPLE + valid_for for number in range(PEOPLE)}
    sent = [(line["at"], line["detail"]["subject_id"]) for line in of_type(out, "MessageSent")]
    skipped = {line["detail"]["subject_id"]: line["detail"] for line in of_type(out, "MessageSkipped")}
    assert set(Counter(subject_id for _, subject_id in sent).values()) <= {1}, "none twice"
    assert {subject_id for _, subject_id in sent} | skipped.keys() == starts.keys(), "none lost"
    probed = back + timedelta(minutes=2)  # an open breaker lets one message a minute through
    assert {subject_id for _, subject_id in sent} >= {each for each, at in starts.items() if at > probed}
    assert {detail["rule"] for detail in skipped.values()} <= {"too_late"}
    assert all(starts[subject_id] <= probed for subject_id in skipped)
    assert all(at >= iso(back) for at, _ in sent)
    assert [starts[subject_id] for _, subject_id in sent] == sorted(starts[subject_id] for _, subject_id in sent)
    assert of_type(out, "MessageFailed") == of_type(out, "MessageUnconfirmed") == []


def paused(valid_for: timedelta) -> list[dict[str, Any]]:
    """Return the same story with a pause of two hours in place of the outage."""
    head, _, *lines = story(2 * HOUR, valid_for)
    pause = event(iso(BEGINS), "SendingPaused", why="wrong text")
    return [head, pause, event(iso(BEGINS + 2 * HOUR), "SendingResumed"), *lines]


@pytest.mark.parametrize("stopped_by", ["an outage", "a pause"])
def test_under_a_rate_limit_the_earliest_deadlines_go_first(stopped_by: str) -> None:
    """One message in ten seconds: the first run has no time for all, and each shard went on its own."""
    lines = story(2 * HOUR, 24 * HOUR) if stopped_by == "an outage" else paused(24 * HOUR)
    lines[0]["set"]["MessagesPerSecond"] = "sms=0.1"
    sent = of_type(run(*lines), "MessageSent")
    assert [line["detail"]["subject_id"] for line in sent] == [f"A-{number}" for number in range(PEOPLE)]
    assert sent[-1]["at"] > iso(BEGINS + 2 * HOUR + timedelta(minutes=2)), "in several runs"
