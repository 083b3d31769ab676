"""The report of a real simulation: the same counts, and the same messages under other settings."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reengage.report import ReportData, Run, render_report, report_data
from reengage.report.differences import differences
from reengage.simulation import simulate

ZONE: Final = "America/New_York"
START: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)


def envelope(at: datetime, kind: str, **detail: Any) -> dict[str, Any]:
    return {"time": at.isoformat(), "source": "acme", "detail-type": kind, "detail": detail}


def story() -> list[dict[str, Any]]:
    """Six people write, book and leave carts for six weeks, and one of them writes STOP."""
    lines: list[dict[str, Any]] = [{"until": (START + timedelta(days=45)).isoformat()}]
    for number in range(6):
        contact = {"brand": "acme", "channel": "sms", "address": f"+1202555010{number}"}
        wrote = START + timedelta(hours=number)
        values: dict[str, Any] = {"contact": contact, "display_name": f"Person {number}", "timezone": ZONE}
        values |= {"message_id": f"in-{number}", "sent_at": wrote.isoformat(), "text": "Hi"}
        lines.append(envelope(wrote, "MessageReceived", **values))
        starts = (wrote + timedelta(days=12, hours=3)).isoformat()
        booked = {"contact": contact, "appointment_id": f"a-{number}", "starts_at": starts, "timezone": ZONE}
        lines.append(envelope(wrote + timedelta(days=1), "AppointmentBooked", **booked))
        if number < 2:  # one moves by two days, one only to another room: that is planned anew for the same instant
            moved = booked | {
                "location": "Room 2",
                "starts_at": (wrote + timedelta(days=12 + 2 * number, hours=3)).isoformat(),
            }
            lines.append(envelope(wrote + timedelta(days=3), "AppointmentRescheduled", **moved))
        for cart in range(4):
            left = wrote + timedelta(days=2, hours=7 * cart)
            items = {"items": ["A lamp"], "cart_url": "https://acme.example/c"}
            lines.append(envelope(left, "CartAbandoned", contact=contact, cart_id=f"c-{number}-{cart}", **items))
        if number == 5:
            stopped = wrote + timedelta(days=9)
            stop = {"contact": contact, "message_id": "in-stop", "sent_at": stopped.isoformat(), "text": "STOP"}
            lines.append(envelope(stopped, "MessageReceived", **stop))
    return lines


def simulated(**settings: str) -> list[dict[str, Any]]:
    return list(simulate(story(), {"MarketingQuietHours": "20:00-09:00", **settings}))


def report() -> tuple[ReportData, list[dict[str, Any]]]:
    lines = simulated(MarketingCaps="9/P1D")
    second = Run("MarketingCaps=1/P7D", [*story(), *simulated(MarketingCaps="1/P7D")])
    return report_data([*story(), *lines], title="Simulated", compare=second), lines


def test_totals_are_those_of_the_summary() -> None:
    data, lines = report()
    summary = lines[-1]["summary"]
    assert data.totals == summary["reasons"]
    assert len(data.contacts) == summary["contacts"] == 6
    skipped = Counter(message.rule for _, message in data.messages() if message.outcome == "skipped")
    assert skipped == summary["skipped"]
    held = {hold.rule for _, message in data.messages() for hold in message.held}
    assert held == summary["held"].keys() == {"quiet_hours"}


def test_each_contact_has_its_texts_window_and_opt_out() -> None:
    data, _ = report()
    assert [contact.name for contact in data.contacts] == [f"Person {number}" for number in range(6)]
    for contact in data.contacts:
        assert contact.zone == ZONE
        assert len(contact.windows) == 1
        assert all(message.text for message in contact.messages if message.was_sent)
        carts = [message for message in contact.messages if message.was_sent and message.reason == "cart_reminder"]
        assert carts
        assert all(9 <= (message.local_hour or 0) < 20 for message in carts)
    (mark,) = data.contacts[5].opt_outs
    assert mark.kind == "opted_out"
    assert {message.rule for message in data.contacts[5].messages if message.outcome == "skipped"} == {"opted_out"}


def test_other_caps_lose_carts_and_nothing_else() -> None:
    data, _ = report()
    found = differences(data)
    assert {difference.contact for difference in found} == {contact.contact for contact in data.contacts}
    assert {difference.change for difference in found} <= {"lost", "moved"}
    for difference in found:
        assert difference.first
        assert difference.second
        assert difference.first.reason == "cart_reminder"
    assert sum(difference.change == "lost" for difference in found) >= 12


def test_the_same_simulation_gives_the_same_page() -> None:
    assert render_report(report()[0]) == render_report(report()[0])
