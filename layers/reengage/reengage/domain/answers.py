"""Detect the answer to a reminder's question: confirm, cancel, or another time."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple

from . import keyword_lists as lists
from .keywords import Detection, strip_courtesies
from .phrase_index import PhraseIndex
from .plain_text import MAX_LENGTH, normalise, split_sentences
from .requests import Request
from .signatures import possibly_signed


class Answer(StrEnum):
    CONFIRMED = "confirmed"
    CANCEL_REQUESTED = "cancel_requested"
    RESCHEDULE_REQUESTED = "reschedule_requested"


MAX_WORDS: Final = 20
"""A longer message is not parsed phrase by phrase."""


MAX_NAMES: Final = 3
"""Words of a signature after a sign-off."""


class DetectedAnswer(NamedTuple):
    """``names_someone``: a name is beside it, perhaps that of the one family member that it is about.

    ``is_plain_yes``: it is only "yes", and may reply to anything, such as our reply to the answer before.
    """

    answer: Answer | None
    names_someone: bool = False
    is_plain_yes: bool = False


def detect_answer(text: str, locale: str | None = None) -> Answer | None:
    """Detect the answer of a whole message; see ``detect_signed_answer``."""
    return detect_signed_answer(text, locale).answer


def detect_signed_answer(text: str, locale: str | None = None, name: str | None = None) -> DetectedAnswer:
    """Detect the answer of a whole message: a digit, or the words of its locale, of English, or of another locale.

    ``name`` is the person's own, if known.

    | message | answer |
    |---|---|
    | one phrase of the lists, with courtesies around it | its answer |
    | several phrases and fillers, and nothing else: "Ja, ich komme", "Sorry, I can't make it" | the one that all have |
    | "I can't make it, another time please" | another time |
    | an answer with a signature: "Ich sage ab. LG Anna Schmidt", "1 - Maria" | the answer |
    | asks for a day or an hour: "can we do Thursday instead?" | another time |
    | phrases of different answers, or any other word | none |
    | "Confirmed?", "Cancelled?", "1?": a question to us; "Could you cancel?" is an answer | none |
    | "OK", "thanks", an emoji: perhaps only "I have read it" | none |
    | "Yes, unfortunately" | none |
    | "No" alone: it may reply to "confirm?" and to "cancel?" | none |
    | "No, I can't come" | cancel |
    | "no cancelar", "No, cancel": perhaps "do not cancel" | none |
    | "I can't come another day", "no puedo cancelar", "I can't come right now" | none |
    | "2 reschedule": a number and another answer | none |
    | "Yes, hello": it answers a call, or begins a talk | none |
    """
    if len(text) > MAX_LENGTH:
        return DetectedAnswer(None)
    language = (locale or "").replace("_", "-").partition("-")[0].lower()
    if answer := _detect(text, language) or _detect_after_no(text, language):
        return DetectedAnswer(answer, is_plain_yes=_is_plain_yes(text))
    return _detect_signed(text, language, name)


def _detect_signed(text: str, language: str, name: str | None) -> DetectedAnswer:
    found = [
        DetectedAnswer(answer, names_someone=not each.thanks)
        for each in possibly_signed(text)
        if (answer := _detect(each.answer, language)) and each.is_signed(language, name)
    ]
    return found[0] if found and len({each.answer for each in found}) == 1 else DetectedAnswer(None)


def _detect_after_no(text: str, language: str) -> Answer | None:
    """Return what a message asks for after "No" and a mark: "No, I can't come". Without a mark, it negates."""
    found = _no_and_the_rest().match(text.strip())
    if found is None or normalise(found["no"]) not in lists.phrase_set("noes"):
        return None
    answer = _detect(found["rest"], language)
    negates = not lists.phrase_set("negations").isdisjoint(normalise(found["rest"]).split())
    is_clear = answer is Answer.RESCHEDULE_REQUESTED or (answer is Answer.CANCEL_REQUESTED and negates)
    return answer if is_clear else None


@cache
def _no_and_the_rest() -> re.Pattern[str]:
    return re.compile(r"(?P<no>[^.!?;:,\r\n]+)[.!;:,\r\n](?P<rest>.+)", re.DOTALL)


def _detect(text: str, language: str) -> Answer | None:
    answers = _answers(language)
    text = _number_sign().sub("", text)
    sentences = split_sentences(text)
    whole = " ".join(sentences)
    if not lists.phrase_set("no answers").isdisjoint((whole, strip_courtesies(whole))):
        return None
    if any(_is_doubtful(sentence.split(), answers) for sentence in sentences):
        return None
    cores = [core for core in map(strip_courtesies, sentences) if core]
    found = {answers.get(core) for core in cores}
    is_question = "?" in unicodedata.normalize("NFKC", text)
    if len(found) == 1 and not is_question and (answer := found.pop()):
        return answer
    unsigned = strip_courtesies(_without_signature(whole))
    return _parse(unsigned.split(), answers, is_question=is_question)


def _is_plain_yes(text: str) -> bool:
    words = strip_courtesies(normalise(text))
    for section in ("plain yes", "answer fillers"):
        words = " ".join(lists.words_pattern(section).sub("", words).split())
    return not words


def _is_doubtful(words: Sequence[str], answers: PhraseIndex[Answer]) -> bool:
    """Return whether a part without a mark in it refuses only something, or has two answers side by side.

    The first is "I can't come right now" or "another day", and "no puedo cancelar"; the second is "2 reschedule".
    """
    if len(words) > MAX_WORDS:
        return False
    if _is_negated(words) and lists.words_pattern("right now").search(" ".join(words)):
        return True
    spans = [
        (start, end)
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if answers.get(" ".join(words[start:end]))
    ]
    return any(
        _is_doubtful_pair(" ".join(words[start:middle]), " ".join(words[middle:end]), answers)
        for start, middle in spans
        for begin, end in spans
        if begin == middle
    )


def _is_doubtful_pair(before: str, after: str, answers: PhraseIndex[Answer]) -> bool:
    is_other = answers.get(before) is not answers.get(after)
    if _is_negated(before.split()):
        return before in lists.phrase_set("cannot") or answers.get(after) is not Answer.CANCEL_REQUESTED
    return is_other and any(word in _NUMBERS for word in f"{before} {after}".split())


_NUMBERS: Final = frozenset({"1", "2", "3"})


def _is_negated(words: Sequence[str]) -> bool:
    return not lists.phrase_set("negations").isdisjoint(words)


@cache
def _number_sign() -> re.Pattern[str]:
    """Return a pattern of "nº" and the like before a digit: in plain text it would be "no"."""
    return re.compile(r"(?:\b[nN]\.?\s*[º°]|№)\s*(?=\d)")


def _without_signature(words: str) -> str:
    """Return the words before a sign-off such as "Kind regards" that at most ``MAX_NAMES`` names follow."""
    signed = lists.words_pattern("sign-offs").search(words)
    names = words[signed.end() :].split() if signed else []
    return words[: signed.start()] if signed and len(names) <= MAX_NAMES else words


def _parse(words: Sequence[str], answers: PhraseIndex[Answer], *, is_question: bool) -> Answer | None:
    """Return the one answer of all ways to read the words as phrases and fillers, without a word left over."""
    if len(words) > MAX_WORDS:
        return None
    # By end of what is read: the sets of parts that the words before it may have.
    read: list[set[frozenset[str]]] = [{frozenset()}, *(set[frozenset[str]]() for _ in words)]
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1) if read[start] else ():
            for part in _parts(" ".join(words[start:end]), answers, is_question=is_question):
                read[end] |= {before | part for before in read[start]}
    unasked = _UNASKED if is_question else ()
    found = {_CLEAR[parts] for parts in read[-1] if parts in _CLEAR and parts - {_REGRET} not in unasked}
    return found.pop() if len(found) == 1 else None


def _parts(phrase: str, answers: PhraseIndex[Answer], *, is_question: bool) -> Iterator[frozenset[str]]:
    """Yield what a phrase may add to the parts of a message: a filler adds nothing."""
    if phrase in lists.phrase_set("answer fillers"):
        yield frozenset()
    for part, section in _FILLERS:
        if phrase in lists.phrase_set(section):
            yield frozenset({part})
    if phrase in lists.phrase_set("other times") or (is_question and phrase in lists.phrase_set("asked times")):
        yield frozenset({_OTHER_TIMES})
    if phrase in lists.phrase_set("times") or _hours().fullmatch(phrase):
        yield frozenset({_TIMES})
    if answer := answers.get(phrase):
        yield frozenset({answer})


_REQUEST: Final = "request"
"""The part of a message that has words such as "can you": "can you cancel?" cancels, "can you confirm?" asks us."""

_REGRET: Final = "regret"
"""The part of a message that has words such as "unfortunately": "Yes, unfortunately" does not confirm."""

_QUESTION: Final = "question"
"""The part of a message that has words such as "can I": "can I cancel?" may only ask how."""

_FILLERS: Final = ((_REQUEST, "request fillers"), (_QUESTION, "question fillers"), (_REGRET, "regrets"))
"""Parts, and the sections of the words that add them."""

_TIMES: Final = "times"
"""The part of a message that names a day or an hour. It counts only beside words that ask for another time."""

_OTHER_TIMES: Final = "other times"
"""The part of a message that has words such as "instead" or "move it to": they ask for the time that it names."""


@cache
def _hours() -> re.Pattern[str]:
    """Return a pattern of an hour, such as "3 pm" or "at 15 30": with a word before or after, or with minutes."""
    before, perhaps, after = (
        "|".join(sorted(lists.phrase_set(f"{side} hours"), reverse=True))
        for side in ("before", "before clear", "after")
    )
    hour = r"\d{1,2}(?: ?[h ] ?[0-5]\d)?"
    clear = rf"(?:{hour} ?(?:{after})|\d{{1,2}}[h ][0-5]\d)"
    return re.compile(rf"(?:{before}) {hour}(?: ?(?:{after}))?|(?:{perhaps}) (?:[4-9]|[12]\d|{clear})|{clear}")


_POLITE: Final = tuple(
    frozenset(part for part, is_there in zip((_REQUEST, _QUESTION, _REGRET), given, strict=True) if is_there)
    for given in product((False, True), repeat=3)
)

_CLEAR: Final[Mapping[frozenset[str], Answer]] = MappingProxyType(
    {
        frozenset({Answer.CONFIRMED}): Answer.CONFIRMED,
        **{
            frozenset({*asked, *polite}): asked[-1]
            for asked in (
                (Answer.CANCEL_REQUESTED,),
                (Answer.RESCHEDULE_REQUESTED,),
                (Answer.CANCEL_REQUESTED, Answer.RESCHEDULE_REQUESTED),
            )
            for polite in _POLITE
        },
        **{
            frozenset({*asked, _TIMES, *cancels, *polite}): Answer.RESCHEDULE_REQUESTED
            for asked in ((_OTHER_TIMES,), (Answer.RESCHEDULE_REQUESTED,), (_OTHER_TIMES, Answer.RESCHEDULE_REQUESTED))
            for cancels in ((), (Answer.CANCEL_REQUESTED,))
            for polite in _POLITE
        },
    }
)
"""The answer of a message with these parts. A person who cannot come and asks for another time wants that."""

_UNASKED: Final = (
    frozenset({Answer.CONFIRMED}),
    frozenset({Answer.CANCEL_REQUESTED}),
    frozenset({Answer.CANCEL_REQUESTED, _QUESTION}),
)
"""What is no answer if it ends with a question mark."""


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
def _answers(language: str) -> PhraseIndex[Answer]:
    """Return the answers by phrase; a locale's own words come before English ones, and these before others."""
    last = [locale for locale in ("en", language) if locale in lists.sections()]
    locales = dict.fromkeys([*(name for name in lists.sections() if name not in last), *last])
    templates = (
        (template, answer)
        for locale in locales
        for answer in Answer
        for template in lists.section_templates(locale, answer)
    )
    return PhraseIndex(templates, _core, optional=_courtesy_words())


def _core(phrase: str) -> str:
    """Return the phrase as it is left of a message: without courtesies. Most phrases have no courtesy."""
    return phrase if _courtesy_words().isdisjoint(phrase.split()) else strip_courtesies(phrase)


@cache
def _courtesy_words() -> frozenset[str]:
    return frozenset(word for courtesy in lists.phrase_set("courtesies") for word in courtesy.split())
