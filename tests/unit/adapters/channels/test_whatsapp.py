"""A WhatsApp message in the form of Meta's Cloud API."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from reengage.adapters.channels.whatsapp import language_code, whatsapp_message
from reengage.domain.contact import CHANNELS, MAX_ADDRESS, Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.subject import SubjectRef
from reengage.ports import OutboundMessage, QuickReply, Wording
from tests.cases import each_of

NOON: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
OUTBOUND: Final = OutboundMessage(
    message=ScheduledMessage(
        contact=Contact("acme-dental", "whatsapp", "+447700900187"),
        reason="appointment_reminder",
        subject=SubjectRef("acme-dental", "appointment", "A-1"),
        offset="PT2H",
        anchor_at=NOON,
        due_at=NOON,
        valid_until=NOON + timedelta(hours=2),
        version=1,
    ),
    wording=Wording("Nhắc bạn: https://example.com", "pt-BR", "appointment_reminder", ("Acme Dental", "12:00")),
    data={},
    decision=Decision(Action.SEND, None, {}),
    free_text_until=NOON,
    start_before=NOON + timedelta(seconds=1),
    deliver_before=NOON + timedelta(hours=2),
)
REPLIES: Final = (QuickReply("Xác nhận", "answer-1"), QuickReply("Hủy lịch hẹn", "answer-2"))
BEFORE: Final = NOON - timedelta(microseconds=1)


def to(address: str) -> OutboundMessage:
    contact = Contact("acme-dental", "whatsapp", address)
    return replace(OUTBOUND, message=replace(OUTBOUND.message, contact=contact))


def worded(**changes: Any) -> dict[str, Any]:
    """Return the template of a message with this wording."""
    message = whatsapp_message(replace(OUTBOUND, wording=replace(OUTBOUND.wording, **changes)), NOON)
    template: dict[str, Any] = message["template"]
    return template


def test_it_is_free_text_within_24_hours_and_shows_no_preview() -> None:
    assert whatsapp_message(OUTBOUND, BEFORE) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+447700900187",
        "type": "text",
        "text": {"body": "Nhắc bạn: https://example.com", "preview_url": False},
        "biz_opaque_callback_data": OUTBOUND.message.scheduled_message_id,
    }


def test_it_is_the_approved_template_from_that_instant_on() -> None:
    assert whatsapp_message(OUTBOUND, NOON) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+447700900187",
        "type": "template",
        "template": {
            "name": "appointment_reminder",
            "language": {"code": "pt_BR"},
            "components": [
                {
                    "type": "body",
                    "parameters": [{"type": "text", "text": "Acme Dental"}, {"type": "text", "text": "12:00"}],
                }
            ],
        },
        "biz_opaque_callback_data": OUTBOUND.message.scheduled_message_id,
    }


def test_a_template_without_parameters_has_no_components() -> None:
    assert worded(parameters=()) == {"name": "appointment_reminder", "language": {"code": "pt_BR"}}


@each_of(
    ("locale", "code"),
    [
        ("en", "en"),
        ("de", "de"),
        ("vi", "vi"),
        ("fil", "fil"),
        ("en-GB", "en_GB"),
        ("pt-BR", "pt_BR"),
        ("zh", "zh_CN"),
        ("zh-Hans", "zh_CN"),
        ("zh-Hant", "zh_TW"),
        ("zh-Hant-HK", "zh_HK"),
        ("sr-Latn", "sr"),
    ],
)
def test_the_language_is_metas_code(locale: str, code: str) -> None:
    assert language_code(locale) == code
    assert worded(locale=locale)["language"] == {"code": code}


def test_a_parameter_is_on_one_line() -> None:
    (body,) = worded(parameters=("Acme\n\tDental", "at     noon"))["components"]
    assert [parameter["text"] for parameter in body["parameters"]] == ["Acme Dental", "at noon"]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("+447700900187", {"to": "+447700900187"}),
        ("447700900187", {"to": "+447700900187"}),
        ("US.13491208655302741918", {"recipient": "US.13491208655302741918"}),
        ("US.ENT.11815799212886844830", {"recipient": "US.ENT.11815799212886844830"}),
    ],
)
def test_a_number_has_its_plus_and_a_user_id_a_field_of_its_own(address: str, named: dict[str, str]) -> None:
    """Each form in which an address arrives and is stored."""
    outbound = to(CHANNELS["whatsapp"].normalise(address))
    message = whatsapp_message(outbound, NOON)
    assert {name: message[name] for name in ("to", "recipient") if name in message} == named
    behind = [address] if "recipient" in named else []
    assert message["biz_opaque_callback_data"].split(" ") == [outbound.message.scheduled_message_id, *behind]


def test_what_comes_back_with_a_status_fits_and_is_json() -> None:
    message = whatsapp_message(to("x" * MAX_ADDRESS), NOON)
    assert len(message["biz_opaque_callback_data"].encode()) <= 512
    assert json.loads(json.dumps(message)) == message


def test_a_question_has_reply_buttons() -> None:
    asking = replace(OUTBOUND, wording=replace(OUTBOUND.wording, replies=REPLIES))
    message = whatsapp_message(asking, BEFORE)
    assert (message["type"], "text" in message) == ("interactive", False)
    assert message["interactive"] == {
        "type": "button",
        "body": {"text": "Nhắc bạn: https://example.com"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": "answer-1", "title": "Xác nhận"}},
                {"type": "reply", "reply": {"id": "answer-2", "title": "Hủy lịch hẹn"}},
            ]
        },
    }


@pytest.mark.parametrize(("length", "kind"), [(1024, "interactive"), (1025, "text")])
def test_a_text_too_long_for_buttons_has_none(length: int, kind: str) -> None:
    wording = replace(OUTBOUND.wording, text="x" * length, replies=REPLIES)
    assert whatsapp_message(replace(OUTBOUND, wording=wording), BEFORE)["type"] == kind


def test_quick_replies_of_a_template_have_their_payloads() -> None:
    assert worded(replies=REPLIES, template_has_replies=True)["components"][1:] == [
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": str(index),
            "parameters": [{"type": "payload", "payload": f"answer-{index + 1}"}],
        }
        for index in range(2)
    ]


def test_a_template_without_buttons_gets_no_payloads() -> None:
    assert [each["type"] for each in worded(replies=REPLIES)["components"]] == ["body"]
