"""Find the name with which a person signs a message: "1 - Maria", "Ja, Anna Schmidt", "Yes. Thanks, Tom".

| words at the end | a signature |
|---|---|
| begin with a common given name, or are the person's own name | yes |
| a title and capitalised words | yes |
| a common German surname after a mark | yes |
| other capitalised words after a comma or a dash | yes, but not in German: it capitalises all nouns |
| a word of the lists of answers, days or other words that are no names | no |
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import dropwhile
from typing import Final, NamedTuple

from . import keyword_lists as lists
from .plain_text import normalise, remove_marks

MAX_NAMES: Final = 4
"""Words of a signature."""

MAX_SIGNED: Final = 200
"""Characters: a longer message is no short answer with a name."""


class Signed(NamedTuple):
    """A way to read a message: ``answer`` is the text without the ``names``."""

    answer: str
    names: tuple[str, ...]
    is_before: bool = False

    @property
    def thanks(self) -> bool:
        """Whether a courtesy or a sign-off is before the name."""
        return not self.is_before and _ends_with_courtesy(self.answer)

    def is_signed(self, locale: str = "", name: str | None = None) -> bool:
        """Return whether the names are a signature. ``name`` is the person's own, if known."""
        if self.is_before:
            first, *others = self.names
            return first[0].isupper() and _is_listed(first) and all(word[0].isupper() for word in others)
        return _is_name(self.names, self.answer, locale, name)


def possibly_signed(text: str) -> Iterator[Signed]:
    """Yield each way to read the message as a text and up to ``MAX_NAMES`` words that may be a name."""
    if len(text) > MAX_SIGNED:
        return
    patterns = _patterns()
    stripped = patterns["end"].sub("", text)
    words = list(patterns["word"].finditer(stripped))
    for count in range(1, min(MAX_NAMES, len(words)) + 1):
        start = words[-count].start()
        if stripped[:start].strip() and patterns["joined"].fullmatch(stripped[start:]):
            yield Signed(stripped[:start], tuple(word[0] for word in words[-count:]))
    if named := patterns["first"].match(stripped):
        yield Signed(stripped[named.end() :], tuple(named["names"].split()), is_before=True)


def _is_name(words: Sequence[str], before: str, locale: str, name: str | None) -> bool:
    if any(_plain(word) in _plain_set("not names") for word in words):
        return False
    return _is_own_name(words, before, name) or _is_signature(words, before, locale)


def _is_own_name(words: Sequence[str], before: str, name: str | None) -> bool:
    """Return whether it is the person's whole name, its first word or, if it can be a surname, its last word.

    The name of a profile is free text, and often a status: "cancelled", "On Vacation".
    """
    own = normalise(name or "").split()
    if not own or not _is_parted(before) or any(normalise(word) in _other_answers() for word in words):
        return False
    signed = normalise(" ".join(words)).split()
    return signed in (own, own[:1]) or _is_own_surname(words, own)


def _is_own_surname(words: Sequence[str], own: Sequence[str]) -> bool:
    """Return whether it is the last word of a name that begins with a common given name."""
    first, *others = _without_titles(own) or [""]
    is_last = len(words) == 1 and normalise(words[0]).split() == others[-1:]
    return is_last and _is_listed(first) and _is_capitalised(words[0])


def _is_signature(words: Sequence[str], before: str, locale: str) -> bool:
    untitled = _without_titles(words)
    if not untitled or not all(word[0].isupper() for word in untitled[1:]):
        return False
    if _is_listed(untitled[0]):
        return _is_parted(before) or untitled[0][0].isupper()
    if _is_surname(untitled):
        return _is_parted(before)
    return _is_unknown_name(untitled, before, locale, has_title=len(untitled) < len(words))


def _is_surname(words: Sequence[str]) -> bool:
    """Return whether it is one common surname: of a language whose nouns have capital letters, too."""
    return len(words) == 1 and words[0][0].isupper() and _plain(words[0]) in _plain_set("surnames")


def _is_unknown_name(words: Sequence[str], before: str, locale: str, *, has_title: bool) -> bool:
    """Return whether words that no list has may be a name, by their letters and what is before them."""
    if not _is_parted(before) or not all(map(_is_capitalised, words)):
        return False
    is_after_mark = _patterns()["mark"].search(before) is not None
    return has_title or (is_after_mark and not _is_german(before, locale))


def _without_titles(words: Sequence[str]) -> list[str]:
    return list(dropwhile(lambda word: _plain(word) in _plain_set("titles"), words))


def _is_parted(before: str) -> bool:
    return _patterns()["parted"].search(before) is not None or _ends_with_courtesy(before)


def _is_capitalised(word: str) -> bool:
    """Return whether the word may be a name by its letters, and is no word of an answer."""
    return word[0].isupper() and _plain(word) not in _words_of_answers()


def _is_listed(word: str) -> bool:
    return _plain(word) in _plain_set("given names")


def _ends_with_courtesy(before: str) -> bool:
    words = normalise(before)
    return any(words.endswith(phrase) for name in ("courtesies", "sign-offs") for phrase in lists.phrase_set(name))


def _is_german(before: str, locale: str) -> bool:
    words = set(normalise(before).split())
    return locale == "de" or not words.isdisjoint(_own_words("de") - _own_words("en"))


def _plain(word: str) -> str:
    return remove_marks(normalise(word))


@cache
def _plain_set(name: str) -> frozenset[str]:
    return frozenset(map(remove_marks, lists.phrase_set(name)))


_SECTIONS: Final = (
    *("confirmed", "cancel_requested", "reschedule_requested", "answer fillers", "regrets", "request fillers"),
    *("question fillers", "courtesies", "sign-offs", "times", "other times", "stop", "stop exact", "softeners"),
)

_CHANGES: Final = ("cancel_requested", "reschedule_requested", "regrets", "other times", "stop", "stop exact")
"""Sections of phrases that are another answer than the one before them."""


@cache
def _words_of_answers() -> frozenset[str]:
    return frozenset(map(remove_marks, frozenset().union(*(_own_words(locale) for locale in lists.sections()))))


@cache
def _other_answers() -> frozenset[str]:
    """Return the phrases that change an answer before them: "Yes, cancelled" confirms nothing."""
    return frozenset().union(*map(lists.phrase_set, _CHANGES))


@cache
def _own_words(locale: str) -> frozenset[str]:
    phrases = (phrase for name in _SECTIONS for phrase in lists.section_phrases(locale, name))
    return frozenset(word for phrase in phrases for word in phrase.split())


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    word = r"[^\W\d_]+(?:[-'\u2019.][^\W\d_]+)*"
    return {
        "word": re.compile(word),
        "joined": re.compile(rf"{word}(?:\.? +{word}){{0,{MAX_NAMES - 1}}}"),
        "end": re.compile(r"[\W_]+\Z"),
        "parted": re.compile(r"[,;.!:\n\-\u2013\u2014/(|]\s*\Z"),
        "mark": re.compile(r"[,\-\u2013\u2014/(|]\s*\Z"),
        "first": re.compile(rf"\s*(?P<names>{word}(?: {word}){{0,2}})\s*[:,\-\u2013\u2014]\s*"),
    }
