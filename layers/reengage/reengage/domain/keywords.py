"""Detect what an inbound message requests: STOP, STOP of marketing, START, HELP, or none of these.

A keyword counts only as the whole message: "I can't stop by on Friday" is no opt-out, "when does it start?" no opt-in.
The keywords of all locales count for every contact, because the language of a STOP is not known in advance. A button
needs clearer words than a text: a "Cancel" button is about an appointment, a "Start" button about a quiz. A location,
a contact card or a reaction requests nothing, whatever its text is.
"""

import re
from collections.abc import Collection
from functools import cache
from typing import Final, NamedTuple

from . import keyword_lists as lists
from .plain_text import MAX_LENGTH, normalise, remove_marks, split_sentences
from .requests import Request

MAX_WORDS: Final = 5
"""A message of at most so many words that begins with STOP is a possible opt-out: "stop - Jordan Vale"."""


class Detection(NamedTuple):
    """``keyword`` is the listed form of the request. ``possible_opt_out``: looks like a STOP, but is not listed."""

    request: Request | None = None
    keyword: str = ""
    possible_opt_out: bool = False


def detect_request(text: str, kind: str = "text") -> Detection:
    """Detect the request of a whole message, whatever its case, punctuation and letters. ``kind`` is the message's."""
    if kind in _NO_REQUEST or _is_reaction(text[:MAX_LENGTH]):
        return Detection()
    if kind in _BUTTONS:
        return detect_button_request(text)
    sentences = split_sentences(text[:MAX_LENGTH])
    detected = _detect_keyword(sentences) if len(text) <= MAX_LENGTH else None
    return detected or Detection(possible_opt_out=_is_possible_opt_out(sentences))


def detect_button_request(text: str) -> Detection:
    """Detect a STOP in the label or the payload of a button."""
    sentences = split_sentences(text[:MAX_LENGTH])
    detected = _detect_phrase(sentences, (Request.STOP, Request.STOP_MARKETING))
    return detected or Detection(possible_opt_out=_matches_possible_opt_out(sentences))


def strip_courtesies(words: str) -> str:
    """Return the words without courtesies; a word that is repeated, once."""
    return _collapse(" ".join(lists.words_pattern("courtesies").sub("", words).split()))


_STOP_WORDS: Final = ("stop ", "stopp ")
_NO_REQUEST: Final = frozenset({"location", "contacts", "reaction"})
_BUTTONS: Final = frozenset({"button", "interactive"})


# Keywords


def _detect_keyword(sentences: list[str]) -> Detection | None:
    """Detect a keyword as the whole message, else the same request in each sentence that is more than courtesy."""
    word = _collapse(" ".join(sentences))
    if request := lists.exact_keywords().get(word):
        return Detection(request, word)
    return _detect_phrase(sentences, tuple(Request))


def _detect_phrase(sentences: list[str], requests: Collection[Request]) -> Detection | None:
    phrases = lists.phrases()
    word = _collapse(" ".join(sentences))
    if " " not in word and (request := phrases.get(word)) and request in requests:
        return Detection(request, word)
    cores = [core for core in map(strip_courtesies, sentences) if core]
    found = {phrases.get(core) for core in cores}
    if len(found) == 1 and (request := found.pop()) and request in requests:
        return Detection(request, cores[0])
    return None


def _collapse(words: str) -> str:
    """Return a word once that is repeated, and in one piece if it is spelled letter by letter."""
    parts = words.split()
    if all(len(part) == 1 for part in parts):
        return "".join(parts)
    return parts[0] if len(set(parts)) == 1 else words


# Reactions


def _is_reaction(text: str) -> bool:
    """Return whether a phone wrote this text for a reaction. It quotes our message, which may well contain STOP."""
    quoted = _quotation().match(text)
    if quoted is None:
        return False
    before, after = normalise(quoted["before"]), normalise(quoted["after"] or "")
    pattern = lists.reactions()
    return pattern.fullmatch(before) is not None and (not after or pattern.fullmatch(after) is not None)


@cache
def _quotation() -> re.Pattern[str]:
    return re.compile(r'(?P<before>[^"“”„«»]{1,80})["“„«](?:[^"“”»]*|.*["“”»](?P<after>[^"“”„«»]*))\Z', re.DOTALL)


# Possible opt-outs


def _is_possible_opt_out(sentences: list[str]) -> bool:
    whole = " ".join(sentences)
    core = strip_courtesies(whole)
    return (
        lists.exact_keywords().get(core) is Request.STOP
        or not lists.phrase_set("near misses").isdisjoint((whole, core))
        or (_begins_with_stop(whole) and whole.count(" ") < MAX_WORDS)
        or (len(sentences) == 1 and _is_stop_in_other_letters(core))
        or _has_misspelled_keyword(core.split())
        or any(map(_is_softened_stop, sentences))
        or _matches_possible_opt_out(sentences)
    )


def _is_softened_stop(sentence: str) -> bool:
    """Return whether a sentence is a STOP with a greeting or a question beside it: "can you stop"."""
    core = strip_courtesies(lists.words_pattern("softeners").sub("", sentence))
    is_other_stop = sentence.startswith(_STOP_WORDS) and not _begins_with_stop(sentence)
    return lists.phrases().get(core) is Request.STOP and not is_other_stop


def _begins_with_stop(words: str) -> bool:
    """Return whether the words begin with STOP, and not with "stop by", "stop light" and the like."""
    stop, _, rest = words.partition(" ")
    is_other_stop = any(f"{rest} ".startswith(f"{phrase} ") for phrase in lists.phrase_set("not after stop"))
    return f"{stop} " in _STOP_WORDS and not is_other_stop


def _matches_possible_opt_out(sentences: list[str]) -> bool:
    forms = {form for sentence in sentences for form in (sentence, strip_courtesies(sentence))}
    return any(map(lists.matches_possible_opt_out, forms))


def _is_stop_in_other_letters(words: str) -> bool:
    shape = _shape(words)
    return bool(shape) and shape in _stop_shapes(shape[0])


def _shape(words: str) -> str:
    """Return Latin letters for those of other scripts that look alike, without repeats and spaces."""
    return re.sub(r"(.)\1+", r"\1", words.translate(_LOOKALIKES).replace(" ", ""))


@cache
def _stop_shapes(initial: str) -> frozenset[str]:
    """Return the shape of each STOP that begins with this letter: a cold function needs no others."""
    stops = (
        phrase
        for locale in lists.sections()
        for section in (Request.STOP, f"{Request.STOP} exact")
        for template in lists.section_templates(locale, section)
        if initial in {_shape(word[0]) for word in template.first_words()}
        for phrase in template.phrases()
    )
    return frozenset(_shape("\n".join(stops)).split("\n"))


_LOOKALIKES: Final = str.maketrans(
    "аеорсѕтухікмнвјԁαερτοσυικνβ05",  # noqa: RUF001 - Cyrillic and Greek lookalikes
    "aeopcstyxikmhbjdaeptosuiknbos",
)


# Misspellings

_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORT_WORD: Final = 7
"""Letters: in a shorter word only slips on the keyboard count, because many words are one letter apart."""

_LONG_WORD: Final = 9
"""Letters: from here on two mistakes count."""

_LONGEST_WORD: Final = 20


def _has_misspelled_keyword(words: list[str]) -> bool:
    """Return whether a short message has a misspelled keyword; a short keyword must be the only word."""
    return len(words) <= MAX_WORDS and any(_is_misspelled(word, alone=len(words) == 1) for word in words)


def _is_misspelled(word: str, *, alone: bool) -> bool:
    if not 1 < len(word) <= _LONGEST_WORD or word in lists.phrase_set("not misspelled"):
        return False
    keywords = {keyword for line in lists.phrase_set("misspelled") for keyword in line.split()}
    plain = remove_marks(word)
    return plain not in keywords and any(
        _is_slip(plain, keyword) for keyword in keywords if alone or len(keyword) >= _SHORT_WORD
    )


def _is_slip(word: str, keyword: str) -> bool:
    if len(keyword) < _SHORT_WORD:
        return word in _keyboard_slips(keyword)
    allowed = 2 if len(keyword) >= _LONG_WORD else 1
    return word[0] == keyword[0] and _distance(word, keyword) <= allowed


@cache
def _keyboard_slips(word: str) -> frozenset[str]:
    """Return the word with two letters swapped, one left out, or one replaced by a neighbour on the keyboard."""
    swapped = {word[:n] + word[n + 1] + word[n] + word[n + 2 :] for n in range(len(word) - 1)}
    left_out = {word[:n] + word[n + 1 :] for n in range(1, len(word))}
    beside = {word[:n] + key + word[n + 1 :] for n, letter in enumerate(word) for key in _neighbours(letter)}
    return frozenset(swapped | left_out | beside)


def _neighbours(letter: str) -> set[str]:
    found = set()
    for row, keys in enumerate(_KEYBOARD):
        if (column := keys.find(letter)) >= 0:
            found |= {*keys[max(0, column - 1) : column + 2]}
            if row:
                found |= {*_KEYBOARD[row - 1][column : column + 2]}
            if row + 1 < len(_KEYBOARD):
                found |= {*_KEYBOARD[row + 1][max(0, column - 1) : column + 1]}
    return found - {letter}


def _distance(one: str, other: str) -> int:
    """Return the number of letters to insert, remove, change, or swap with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        former, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, former[j - 2] + 1)
            row.append(cost)
    return row[-1]
