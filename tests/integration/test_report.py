"""The report of the published events agrees with the table about each message."""

import pytest

from reengage.domain.message import State
from reengage.report import render_report, report_data
from tests.integration.replays import ANNOUNCED, BACK_IN_STOCK, BOOKED, DELIVERED, LEFT_CART, SENT, TRIED, play
from tests.integration.stack import Stack, case


@pytest.mark.parametrize(
    "names",
    [
        (*SENT, "record_delivery/delivered"),
        (*SENT, "record_delivery/undelivered"),
        (*BOOKED, "plan_messages/appointment_rescheduled", "send_appointment_reminders/tick"),
        (*BOOKED, "plan_messages/appointment_cancelled", "send_appointment_reminders/tick"),
        (*BOOKED, "ingest_message/stop", "send_appointment_reminders/tick"),
        (*TRIED, "plan_messages/trial_extended", "send_trial_follow_ups/tick"),
        (*DELIVERED, "send_updates/tick"),
        (*BACK_IN_STOCK, "send_updates/tick"),
        (*ANNOUNCED, "send_updates/tick"),
        (*LEFT_CART, "plan_messages/cart_checked_out", "send_updates/tick"),
    ],
    ids=lambda names: " then ".join(name.partition("/")[2] for name in names[-2:]),
)
def test_report_agrees_with_the_table(stack: Stack, names: tuple[str, ...]) -> None:
    lines = []
    for name in names:
        play(stack, name)
        lines += [case(name)] if name.startswith("ingest_message/") else []
        lines += stack.published()
    data = report_data(lines, title="Replay")
    found = {message.id: message for _, message in data.messages()}
    rows = {row.scheduled_message_id: row for row in stack.rows()}
    assert {name: (message.outcome, message.rule) for name, message in found.items()} == {
        name: (row.state.value, row.rule) for name, row in rows.items()
    }
    for name, message in found.items():
        if rows[name].state in (State.SENT, State.DELIVERED, State.UNDELIVERED):
            assert message.text
    assert all(contact.windows for contact in data.contacts)
    assert render_report(data)
