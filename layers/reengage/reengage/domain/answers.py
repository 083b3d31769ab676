"""Detect the answer to a reminder's question: confirm, cancel, or another time."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Final

from . import keyword_lists as lists
from .keywords import Detection, strip_courtesies
from .plain_text import MAX_LENGTH, split_sentences
from .requests import Request


class Answer(StrEnum):
    CONFIRMED = "confirmed"
    CANCEL_REQUESTED = "cancel_requested"
    RESCHEDULE_REQUESTED = "reschedule_requested"


def detect_answer(text: str, locale: str | None = None) -> Answer | None:
    """Detect the answer of a whole message: a digit, or the words of its locale, of English, or of another locale.

    "No" alone is no answer: it may reply to "confirm?" and to "cancel?".
    """
    if len(text) > MAX_LENGTH:
        return None
    answers = _answers((locale or "").replace("_", "-").partition("-")[0].lower())
    cores = [core for core in map(strip_courtesies, split_sentences(text)) if core]
    found = {answers.get(core) for core in cores}
    return found.pop() if len(found) == 1 else None


def is_cancellation(
    detection: Detection,
    answer: Answer | None,
    *,
    channel: str,
    address: str,
    question_is_open: bool,
    stopped_by_provider: bool = False,
) -> bool:
    """Return whether a STOP by a word such as CANCEL asks to cancel the appointment instead.

    | message | result |
    |---|---|
    | no STOP, or a STOP by another word | False |
    | the provider reports that it stopped | False |
    | SMS with a number of the United States or Canada, where carriers treat CANCEL as STOP | False |
    | otherwise | True if a question is open |
    """
    means_both = detection.request is Request.STOP and answer is Answer.CANCEL_REQUESTED
    carrier_stops = stopped_by_provider or (channel == "sms" and _is_us_or_canadian(address))
    return means_both and question_is_open and not carrier_stops


def _is_us_or_canadian(address: str) -> bool:
    return address.startswith("+1") and address[2:5] not in _OTHER_AREA_CODES


_OTHER_AREA_CODES: Final = frozenset(
    {"242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664"}
    | {"721", "758", "767", "784", "809", "829", "849", "868", "869", "876"}
)
"""Area codes of the countries that share +1 with the United States, its territories and Canada (nanpa.com)."""


@cache
def _answers(language: str) -> Mapping[str, Answer]:
    """Return the answers by phrase; a locale's own words come before English ones, and these before others."""
    found: dict[str, Answer] = {}
    for locale in (*(name for name in lists.sections() if name not in ("en", language)), "en", language):
        if locale in lists.sections():
            for answer in Answer:
                found |= dict.fromkeys(map(strip_courtesies, lists.section_phrases(locale, answer)), answer)
    return found
