"""The checks that no log line has personal data can fail."""

import logging
from unittest.mock import patch

import pytest

from reengage import observability
from tests.integration.log_content import leaks, personal_of_call
from tests.integration.replays import CHATTED, TICK, play
from tests.integration.stack import Stack, case
from tests.log_check import checked_log

CALLS = {
    "webhook/meta_message": "447700900161",
    "webhook/twilio_message": "+44770090016",
    "webhook/aws_sms": "447700900164",
}


def test_a_subject_id_in_the_log_fails_any_invocation(stack: Stack) -> None:
    """A trial's id was an e-mail address, and stood in each log line of its messages."""
    play(stack, CHATTED)
    with (
        patch.object(observability, "PRIVATE", observability.PRIVATE - {"subject_id"}),
        pytest.raises(AssertionError, match="plan_messages wrote"),
    ):
        play(stack, "plan_messages/appointment_booked")


def test_a_text_of_an_earlier_event_is_found(stack: Stack) -> None:
    stack.invoke("ingest_message", case(CHATTED), at=TICK)
    number = case(CHATTED)["detail"]["contact"]["address"]
    assert {number, number.lstrip("+")} <= stack.used
    with (
        patch.object(observability, "_loggable", lambda event: {"to": event.detail["contact"]["address"]}),
        pytest.raises(AssertionError, match="wrote"),
    ):
        play(stack, "plan_messages/appointment_booked")


@pytest.mark.parametrize("name", CALLS)
def test_the_persons_fields_of_a_provider_call_are_searched(name: str) -> None:
    assert any(CALLS[name].lstrip("+") in text for text in personal_of_call(case(name)))


@pytest.mark.parametrize("printed", ["Ngọc", '"Ng\\u1ecdc"', "x Tmfhu41j", "the Ngọc Anh"])
def test_a_secret_is_found_in_each_form(printed: str) -> None:
    assert leaks({"Ngọc", "Johanna"}, printed) == ["Ngọc"]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("sent to +4915112345678", True),
        ("from US.1112223334445556", True),
        ("id wamid.HBgM", True),
        ("at 2026-12-01T09:00:00+01:00", False),
        ("+49 is Germany, and +12 pieces", False),
        ("botocore 1.44", False),
    ],
)
@pytest.mark.logs_an_address
def test_an_address_in_any_tests_log_fails_it(written: str, *, found: bool) -> None:
    def log() -> None:
        with checked_log():
            logging.getLogger("reengage.anything").warning(written)

    if found:
        with pytest.raises(AssertionError, match="an address was logged"):
            log()
    else:
        log()


def test_a_short_id_is_searched_beside_random_ids() -> None:
    random_id = "0d1e2f3a-1756-4c8d-9e7f-0123456789ab"
    assert leaks({"a-17"}, f"request {random_id}") == []
    assert leaks({"a-17"}, f"request {random_id} of a-17") == ["a-17"]
    assert leaks({random_id}, f"request {random_id}") == [random_id]
