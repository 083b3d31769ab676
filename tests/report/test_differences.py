"""The differences between a first and a second run."""

from dataclasses import replace
from typing import Final

import pytest

from reengage.report.data import Comparison, ContactHistory, Message, ReportData
from reengage.report.differences import differences

SENT: Final = Message(
    id="m-1",
    reason="cart_reminder",
    subject_id="c-1",
    planned_at=None,
    due_at="2026-09-03T12:00:00Z",
    outcome="sent",
    at="2026-09-03T12:00:30Z",
)
SKIPPED: Final = replace(SENT, outcome="skipped", rule="too_late")
KEY: Final = "acme/sms/+12025550101"


def report(first: tuple[Message, ...], second: tuple[Message, ...]) -> ReportData:
    span = ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")
    contacts = (ContactHistory(KEY, messages=first),)
    return ReportData("t", span, {}, {}, contacts, Comparison("b", {}, {KEY: second}))


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [
        (SENT, SENT, None),
        (SENT, replace(SENT, outcome="delivered"), None),
        (SENT, replace(SENT, at="2026-09-03T12:01:29Z"), None),
        (SENT, replace(SENT, at="2026-09-03T12:01:30Z"), "moved"),
        (SENT, SKIPPED, "lost"),
        (SENT, None, "lost"),
        (SKIPPED, replace(SENT, outcome="undelivered"), "gained"),
        (None, SENT, "gained"),
        (SKIPPED, replace(SKIPPED, rule="frequency_cap"), "other_outcome"),
        (SKIPPED, replace(SKIPPED, outcome="failed"), "other_outcome"),
        (SKIPPED, None, "other_outcome"),
        (SKIPPED, replace(SKIPPED, at="2026-09-09T00:00:00Z"), None),
    ],
)
def test_each_change(first: Message | None, second: Message | None, change: str | None) -> None:
    found = differences(report((first,) if first else (), (second,) if second else ()))
    assert [difference.change for difference in found] == ([change] if change else [])


def test_without_a_second_run_nothing_differs() -> None:
    assert differences(replace(report((SENT,), ()), compare=None)) == ()


def test_messages_are_compared_by_their_id() -> None:
    other = replace(SENT, id="m-2")
    found = differences(report((SENT,), (other,)))
    assert [(one.change, one.first, one.second) for one in found] == [("lost", SENT, None), ("gained", None, other)]
