"""Answers to "Reply 1 to confirm, 2 to cancel, 3 for another time"."""

from itertools import combinations

import pytest

from reengage.domain import keyword_lists as lists
from reengage.domain.answers import Answer, detect_answer, is_cancellation
from reengage.domain.keywords import detect_request
from reengage.domain.plain_text import MAX_LENGTH
from reengage.domain.requests import Request

ANSWERS = {
    Answer.CONFIRMED: "1|1.|1️⃣|1 please|①|yes|Yes!|YES, thanks|y|confirm|Confirmed 👍|Yes, I'll be there|ja"
    "|Ja bitte|passt|bestätigt|có|Có ạ|vâng|xác nhận|xac nhan|sí|Sí, confirmo|confirmo|oui|Oui merci|je confirme|sim|sì"
    "|confermo|ja graag|tak|potwierdzam",
    Answer.CANCEL_REQUESTED: "2|2)|cancel|Cancel please|CANCEL|Cancel my appointment|I can't make it|absagen"
    "|Bitte absagen|Termin absagen|stornieren|hủy|hủy lịch hẹn|huy lich hen|cancelar|cancelar mi cita|annuler|j'annule"
    "|desmarcar|disdire|annuleren|odwołaj",
    Answer.RESCHEDULE_REQUESTED: "3|reschedule|another time|Can I reschedule?|verschieben"
    "|Bitte Termin verschieben|đổi lịch|doi lich|reprogramar|déplacer|remarcar|spostare|verzetten|przełożyć",
}


@pytest.mark.parametrize(("answer", "text"), [(a, text) for a, texts in ANSWERS.items() for text in texts.split("|")])
@pytest.mark.parametrize("locale", [None, "de-AT", "xx"])
def test_detects_an_answer(answer: Answer, text: str, locale: str | None) -> None:
    assert detect_answer(text, locale) is answer


@pytest.mark.parametrize(
    "text",
    [
        *("", "👍", "no", "nein", "không", "ok", "thanks", "1 or 2?", "12", "4", "0", "1 2", "yes but later", "11:30"),
        *(
            "Can I cancel?",
            "yes, cancel",
            "Yes. 2",
            "I'll come at 1",
            "ja nein",
            "2 people",
            "cancel Tuesday",
            "C",
            "stop",
        ),
        *("I confirm that I am ill", "1".ljust(MAX_LENGTH + 1)),
    ],
)
def test_other_messages_are_no_answer(text: str) -> None:
    assert detect_answer(text, "en") is None


def test_no_phrase_has_two_answers() -> None:
    phrases = [lists.phrase_set(answer) for answer in Answer]
    assert [one & other for one, other in combinations(phrases, 2)] == [frozenset()] * 3


def test_only_cancel_words_are_both_answer_and_request() -> None:
    both = {phrase for answer in Answer for phrase in lists.phrase_set(answer) if detect_request(phrase).request}
    assert both == {"cancel", "hủy"}


@pytest.mark.parametrize(
    ("text", "channel", "address", "question_is_open", "stopped_by_provider", "expected"),
    [
        ("CANCEL", "sms", "+12025550123", True, False, False),  # the United States
        ("CANCEL", "sms", "+16135550123", True, False, False),  # Canada
        ("CANCEL", "sms", "+18765550123", True, False, True),  # Jamaica
        ("CANCEL", "sms", "+447700900123", True, False, True),
        ("CANCEL", "sms", "+447700900123", True, True, False),
        ("CANCEL", "sms", "+447700900123", False, False, False),
        ("CANCEL", "whatsapp", "+12025550123", True, False, True),
        ("CANCEL", "rcs", "+12025550123", True, False, True),
        ("hủy", "sms", "+84912345678", True, False, True),
        ("STOP", "sms", "+447700900123", True, False, False),
        ("END", "whatsapp", "+447700900123", True, False, False),
        ("absagen", "sms", "+4915112345678", True, False, False),  # no STOP at all
    ],
)
def test_cancel_is_an_answer_only_if_carriers_allow(  # noqa: PLR0917 - a table
    text: str, channel: str, address: str, question_is_open: bool, stopped_by_provider: bool, expected: bool
) -> None:
    found = is_cancellation(
        detect_request(text),
        detect_answer(text),
        channel=channel,
        address=address,
        question_is_open=question_is_open,
        stopped_by_provider=stopped_by_provider,
    )
    assert found is expected


def test_detects_cancel_as_stop_by_itself() -> None:
    """Whether it is an answer instead depends on the open question."""
    assert detect_request("Cancel").request is Request.STOP
