"""A wrong setting fails the start of a function by name. It never fails a message that is being sent, or a STOP."""

from typing import Final

import pytest

from reengage.domain.message import State
from reengage.errors import ConfigurationError
from tests.integration.replays import BOOKED, TICK, answered, planned, play, summary
from tests.integration.stack import ROUTES, Stack, case

TICK_CASE: Final = "send_appointment_reminders/tick"
WRONG: Final = {
    "DefaultTimezone": "Mars/Olympus",
    "Routes": f"{ROUTES},acme-dental/fax/aws/1",
    "MessagesPerSecond": "sms=0",
    "WhatsAppTemplates": "apointment_reminder",
    "OptOutScope": "all",
}
"""Parameters of the function that has most, each with a wrong value."""


def deploy(stack: Stack, **parameters: str) -> None:
    stack.resources = {**stack.resources, **parameters}


def restore(stack: Stack) -> None:
    deploy(stack, DefaultTimezone="", Routes=ROUTES, MessagesPerSecond="", WhatsAppTemplates="", OptOutScope="brand")


@pytest.mark.parametrize("parameter", WRONG)
def test_stop_is_stored_with_a_wrong_setting(stack: Stack, parameter: str) -> None:
    for name in BOOKED:
        play(stack, name)
    stack.published()
    deploy(stack, **{parameter: WRONG[parameter]})
    with pytest.raises(ConfigurationError, match=f'{parameter} is "'):
        play(stack, "ingest_message/stop")
    assert [event["detail-type"] for event in stack.published()] == ["ContactOptedOut"]
    restore(stack)
    assert play(stack, TICK_CASE) == summary() | {"due": 1, "skipped": {"opted_out": 1}}


def test_retry_after_the_correction_stores_the_message(stack: Stack) -> None:
    deploy(stack, **WRONG)
    for name in ("ingest_message/stop", "ingest_message/first_message"):
        with pytest.raises(ConfigurationError):
            play(stack, name)
    assert len(stack.items()) == 1, "the opt-out, and nothing of the other message"
    restore(stack)
    assert play(stack, "ingest_message/stop") == {"result": "stored"}
    assert len(stack.items()) > 1


@pytest.mark.parametrize(
    ("name", "answer"),
    [("plan_messages/opted_out", {"changed": True}), ("plan_messages/contact_erased", {"erased": 6})],
)
def test_opt_outs_and_erasures_work_with_a_wrong_setting(stack: Stack, name: str, answer: dict[str, object]) -> None:
    for earlier in BOOKED:
        play(stack, earlier)
    deploy(stack, DefaultTimezone="Mars/Olympus")
    assert play(stack, name) == answer
    assert "DefaultTimezone is" in stack.printed


def test_pause_works_with_a_wrong_setting(stack: Stack) -> None:
    deploy(stack, DefaultTimezone="Mars/Olympus")
    event = case("plan_messages/opted_out") | {"detail-type": "SendingPaused", "detail": {"why": "wrong prices"}}
    assert stack.invoke("plan_messages", event, at=TICK) == {"changed": True}
    assert [event["detail-type"] for event in stack.published()] == ["SendingPaused"]


def test_event_is_not_planned_with_a_wrong_setting(stack: Stack) -> None:
    deploy(stack, DefaultTimezone="Mars/Olympus")
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        play(stack, "plan_messages/appointment_booked")
    assert (stack.items(), stack.published()) == ([], [])
    restore(stack)
    assert play(stack, "plan_messages/appointment_booked") == planned(2)


@pytest.mark.parametrize("parameter", WRONG)
def test_sender_claims_nothing_with_a_wrong_setting(stack: Stack, parameter: str) -> None:
    for name in BOOKED:
        play(stack, name)
    stack.published()
    deploy(stack, **{parameter: WRONG[parameter]})
    with pytest.raises(ConfigurationError, match=f'{parameter} is "'):
        play(stack, TICK_CASE)
    assert (stack.published(), stack.rows()[0].state) == ([], State.SCHEDULED)
    restore(stack)
    assert play(stack, TICK_CASE) == summary(sent=1)


def test_webhook_uses_the_routes_that_are_right(stack: Stack) -> None:
    """Not every provider retries: a STOP must not wait until another brand's row is corrected."""
    deploy(stack, Routes=WRONG["Routes"])
    assert play(stack, "webhook/meta_message") == answered()
    assert [event["detail-type"] for event in stack.relayed()] == ["MessageReceived"]
    assert 'unknown channel \\"fax\\"' in stack.printed


def test_call_to_a_wrong_route_is_kept(stack: Stack) -> None:
    deploy(stack, Routes=ROUTES.replace("acme-clinic/whatsapp/meta/", "acme-clinic/whatsapp/mata/"))
    assert play(stack, "webhook/meta_message") == answered()
    assert (stack.relayed(), len(stack.rejected())) == ([], 1)
