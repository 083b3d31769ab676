"""Calls with the structure of real ones, and the events that they must lead to."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from reengage.adapters.inbound.aws import parse_sns
from reengage.adapters.inbound.meta import parse_meta
from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.rcs import parse_rcs
from reengage.adapters.inbound.relay import to_bus_events
from reengage.adapters.inbound.twilio import form, has_two_senders, parse_twilio
from reengage.domain.routes import parse_routes

FOLDER: Final = Path(__file__).parents[3] / "payloads"
MESSAGE_ID: Final = "f81d4fae-7dec-51d0-a765-00a0c91e6bf6"
NOW: Final = datetime(2026, 11, 20, 15, tzinfo=UTC)
ROUTES: Final = parse_routes(
    "north-clinic/whatsapp/eventbridge/774411220033551|+12025550195,"
    "north-clinic/sms/eventbridge/+12025550190|MG00000000000000000000000000000042|38470,"
    "north-clinic/rcs/eventbridge/north_clinic_agent|rcs-5f2d00000000000000000000000000aa,"
    "south-shop/whatsapp/eventbridge/phone-number-id-9a7b00000000000000000000000000cd,"
    "south-shop/sms/eventbridge/+12025550191"
)


def _meta(case: Mapping[str, Any]) -> ParsedCall:
    return parse_meta(case["payload"], routes=ROUTES, arrived_at=NOW)


def _twilio(case: Mapping[str, Any]) -> ParsedCall:
    if has_two_senders(case["payload"].items()):
        return ParsedCall(errors=["two senders"])
    return parse_twilio(case["payload"], dict(form(case.get("query", ""))), routes=ROUTES, arrived_at=NOW)


def _rcs(case: Mapping[str, Any]) -> ParsedCall:
    data = base64.b64encode(json.dumps(case["payload"]).encode()).decode()
    return parse_rcs({"message": {"data": data}}, routes=ROUTES, arrived_at=NOW)


def _aws(case: Mapping[str, Any]) -> ParsedCall:
    notification = {"Message": json.dumps(case["payload"]), "Timestamp": "2026-11-20T14:59:59.000Z"}
    return parse_sns({"Records": [{"Sns": notification}]}, routes=ROUTES, arrived_at=NOW)


PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any]], ParsedCall]]] = {
    "meta": _meta,
    "twilio": _twilio,
    "rcs": _rcs,
    "aws": _aws,
}


def _cases() -> list[Any]:
    files = {name: (FOLDER / f"{name}.json").read_text(encoding="utf-8") for name in PARSERS}
    return [
        pytest.param(provider, case, id=f"{provider}-{name}")
        for provider, text in files.items()
        for name, case in json.loads(text.replace("{OURS}", MESSAGE_ID)).items()
    ]


@pytest.mark.parametrize(("provider", "case"), _cases())
def test_call_leads_to_its_events(provider: str, case: Mapping[str, Any]) -> None:
    call = PARSERS[provider](case)
    events = to_bus_events(call)
    expected = sorted(case["events"], key=lambda event: str(event["type"]))
    found = sorted(events, key=lambda event: event.type)
    assert [event.type for event in found] == [event["type"] for event in expected]
    for event, wanted in zip(found, expected, strict=True):
        assert {name: event.detail.get(name) for name in wanted["detail"]} == wanted["detail"]
    assert len(call.errors) == case["rejected"]
