"""The buttons of reminders stay within the limits of every provider, in each language and with a brand's own words.

| limit | source |
|---|---|
| WhatsApp: 3 buttons; titles of 1 to 20 characters, each another one; ids of 256; a body of 1,024 | developers.facebook.com, interactive-reply-buttons-messages |
| WhatsApp templates: payloads of 128 characters | developers.facebook.com, messages/template-messages, "quick reply" |
| RCS: 11 suggestions; texts of 25 characters, data of 2,048; a body of 3,072 | AWS, sms-limitations-rcs; Google, suggested replies |
| Twilio: quick replies with titles of 20 characters, ids of 200 | www.twilio.com/docs/content/twilio-quick-reply |
"""  # noqa: E501 - a table's row

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from reengage.adapters.channels.aws import _suggestions
from reengage.adapters.channels.whatsapp import whatsapp_message
from reengage.adapters.wording import FOLDER, FluentWording
from reengage.domain.policy import Action, Decision, PolicyInput, PolicySettings
from reengage.domain.questions import parse_payload
from reengage.ports import OutboundMessage, QuickReply, Wording
from tests.docs.test_wording import input_of
from tests.unit.adapters.test_wording import APPOINTMENT

LOCALES: Final = sorted(path.stem for path in FOLDER.glob("*.ftl"))
LONG: Final = """question = Coming? 1 or 2
    .confirmed = Yes, of course, I shall be there in time
    .cancel_requested = Yes, of course, I shall stay at home
    .reschedule_requested = { "  " }
"""


def case_of(locale: str, *, is_merged: bool, is_approved: bool = False) -> PolicyInput:
    case = input_of("appointment_reminder", APPOINTMENT, locale=locale)
    if is_approved:
        case = replace(case, settings=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder_answers"})))
    return replace(case, merged=(input_of("appointment_reminder", APPOINTMENT, locale=locale),)) if is_merged else case


def outbound_of(case: PolicyInput, wording: Wording, *, is_free: bool) -> OutboundMessage:
    return OutboundMessage(
        message=case.message,
        wording=wording,
        data={},
        decision=Decision(Action.SEND, None, {}),
        free_text_until=case.now + timedelta(hours=1 if is_free else -1),
        start_before=case.now + timedelta(seconds=1),
        deliver_before=case.now + timedelta(hours=2),
    )


def assert_within_limits(replies: Sequence[QuickReply]) -> None:
    assert 1 <= len(replies) <= 3
    labels = [reply.label for reply in replies]
    assert len({label.casefold() for label in labels}) == len(labels)
    for reply in replies:
        assert 1 <= len(reply.label) <= 20
        assert reply.label == reply.label.strip()
        assert len(reply.payload.encode()) <= 128
        assert parse_payload(reply.payload)


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("locale", LOCALES)
def test_buttons_are_within_all_limits(locale: str, is_merged: bool) -> None:
    case = case_of(locale, is_merged=is_merged)
    wording = FluentWording()(case)
    assert_within_limits(wording.replies)
    assert len(wording.text) <= 1024
    interactive = whatsapp_message(outbound_of(case, wording, is_free=True), case.now)["interactive"]
    assert interactive["type"] == "button"
    assert interactive["body"] == {"text": wording.text}
    assert [button["type"] for button in interactive["action"]["buttons"]] == ["reply"] * len(wording.replies)
    suggestions: list[Any] = _suggestions(outbound_of(case, wording, is_free=True))["Suggestions"]
    assert all(set(each) == {"Reply"} and set(each["Reply"]) == {"Text", "PostbackData"} for each in suggestions)


@pytest.mark.parametrize("locale", LOCALES)
def test_template_buttons_carry_the_same_payloads(locale: str) -> None:
    case = case_of(locale, is_merged=False, is_approved=True)
    wording = FluentWording()(case)
    template = whatsapp_message(outbound_of(case, wording, is_free=False), case.now)["template"]
    buttons = [each for each in template["components"] if each["type"] == "button"]
    assert [(each["sub_type"], each["index"]) for each in buttons] == [("quick_reply", str(n)) for n in range(3)]
    assert [each["parameters"] for each in buttons] == [
        [{"type": "payload", "payload": reply.payload}] for reply in wording.replies
    ]


def brand_of(tmp_path: Path, source: str) -> FluentWording:
    folder = tmp_path / "wording"
    shutil.copytree(FOLDER, folder)
    own = folder / "brands" / "acme-dental" / "en.ftl"
    own.parent.mkdir(parents=True)
    own.write_text(source, encoding="utf-8")
    return FluentWording(folder=folder)


def test_labels_of_a_brand_that_become_equal_are_numbers(tmp_path: Path) -> None:
    """Two labels had the same beginning, so both were cut to the same 20 characters: WhatsApp refused the message."""
    wording = brand_of(tmp_path, LONG)(case_of("en", is_merged=False))
    assert_within_limits(wording.replies)
    assert [reply.label for reply in wording.replies] == ["1", "2", "3"]


def test_a_cut_label_ends_with_no_space(tmp_path: Path) -> None:
    source = LONG.replace("Yes, of course, I shall stay at home", "Sorry, I cannot come then")
    wording = brand_of(tmp_path, source)(case_of("en", is_merged=False))
    assert_within_limits(wording.replies)
    assert [reply.label for reply in wording.replies] == ["Yes, of course, I sh", "Sorry, I cannot come", "3"]
