"""The conversation on the front page is the one that the app holds."""

import json
from typing import Any, Final

import pytest

from reengage.simulation import simulate
from tests.docs.documents import document

pytestmark = pytest.mark.docs

ADA: Final = {"brand": "acme-dental", "channel": "sms", "address": "+12025550101"}


def event(time: str, detail_type: str, **detail: Any) -> dict[str, Any]:
    return {"time": time, "detail-type": detail_type, "source": "clinic.app", "detail": detail}


def writes(time: str, text: str) -> dict[str, Any]:
    return event(time, "MessageReceived", contact=ADA, message_id=time, sent_at=time, locale="en", text=text)


def test_conversation_is_what_the_app_sends_and_publishes() -> None:
    """The link, the texts of both sides, and the answer that the business gets."""
    excerpt = next(block for block in document("README.md").blocks("text") if "Acme Dental" in block)
    lines = [" ".join(line.split()) for line in excerpt.replace("\n             ", " ").splitlines()]
    by_ada = [line.removeprefix("Ada ").partition(" → ")[0] for line in lines if line.startswith("Ada ")]
    out = list(
        simulate(
            [
                event("2026-11-30T15:00:00Z", "BrandConfigured", brand="acme-dental", name="Acme Dental"),
                event(
                    "2026-12-01T15:00:00Z",
                    "AppointmentBooked",
                    contact=ADA,
                    appointment_id="a-17",
                    starts_at="2026-12-11T10:00:00-05:00",
                    timezone="America/New_York",
                    remind_before=["P1D"],
                ),
                *map(writes, ("2026-12-01T16:00:00Z", "2026-12-10T16:00:00Z"), by_ada),
                {"until": "2026-12-12T00:00:00Z"},
            ],
            {"Routes": "acme-dental/sms/aws/+12025550100"},
        )
    )
    details = [(line["detail-type"], line["detail"]) for line in out if "detail" in line]
    planned = next(detail for name, detail in details if name == "MessagePlanned")
    assert lines[0].endswith(planned["opener"])
    assert by_ada == [planned["opener_text"], "1"]
    sent = [detail["text"].replace(": ", " ", 1) for name, detail in details if name == "MessageSent"]
    assert [line for line in lines if line.startswith("Acme Dental ")] == sent
    (answered,) = [detail for name, detail in details if name == "AppointmentAnswered"]
    assert f"→ AppointmentAnswered: {answered['answer']}" in json.dumps(lines, ensure_ascii=False)
