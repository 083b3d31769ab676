"""A brand's texts change through the real handlers, without a deployment."""

from datetime import datetime, timedelta
from typing import Any

from tests.integration.replays import TICK, play
from tests.integration.stack import Stack, case

TEXTS = {"en": {"appointment_reminder": "{ $brand }: see you on { $date } at { $time }."}}


def configure(stack: Stack, texts: Any, at: str) -> Any:
    detail = {"brand": "acme-dental", "name": "Acme Dental", "texts": texts}
    event = case("plan_messages/brand_configured") | {"detail": detail, "time": at}
    return stack.invoke("plan_messages", event, at=datetime.fromisoformat(at))


def test_next_reminder_has_the_new_text(stack: Stack) -> None:
    play(stack, "ingest_message/first_message")
    play(stack, "plan_messages/appointment_booked")
    assert configure(stack, TEXTS, "2031-03-04T09:00:00Z") == {"changed": True}
    stack.published()

    stack.invoke("send_appointment_reminders", case("send_appointment_reminders/tick"), at=TICK)
    requested = next(event for event in stack.published() if event["detail-type"] == "MessageSendRequested")
    assert requested["detail"]["text"] == "Acme Dental: see you on Thursday, March 20, 2031 at 3:00 PM."
    assert requested["detail"]["template"]["name"] == "appointment_reminder"

    asked = {"texts": {"brand": "acme-dental", "reasons": ["appointment_reminder"], "locales": ["en"]}}
    answer = stack.invoke("explain", asked, at=TICK + timedelta(minutes=1))
    assert answer["own_texts_since"] == "2031-03-04T09:00:00Z"
    assert [(row["locale"], row["is_own"]) for row in answer["texts"]] == [("en", True)]
    assert answer["texts"][0]["text"].startswith("Acme Dental: see you on ")


def test_wrong_texts_change_nothing_and_are_kept(stack: Stack) -> None:
    assert configure(stack, TEXTS, "2031-03-04T09:00:00Z") == {"changed": True}
    wrong = {"en": {"appointment_reminder": "{ $brand }: see you\non { $dat }."}}
    error = "$.detail.texts.en.appointment_reminder: line 2: unknown variable $dat; did you mean $date?"
    assert configure(stack, wrong, "2031-03-05T09:00:00Z") == {"rejected": [error]}
    (rejected,) = stack.published("EventRejected")
    assert rejected["detail"]["errors"] == [error]
    answer = stack.invoke("explain", {"texts": {"brand": "acme-dental", "locales": ["en"]}}, at=TICK)
    assert answer["own_texts_since"] == "2031-03-04T09:00:00Z"
