"""One plain form of what people write: the same letters, whatever keyboard, font, case or accents they used."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final

MAX_LENGTH: Final = 4096
"""Characters: WhatsApp's limit. Longer texts are cut, because composing marks takes quadratic time."""

_APOSTROPHES: Final = "'’‘ʼ`´′＇"  # noqa: RUF001 - all that phones write for one
_ASCII_APOSTROPHES: Final = str.maketrans("", "", "'`")
_INVISIBLE: Final = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
"""Unicode counts these as letters or marks, but they show nothing."""

_BLACK_LETTERS: Final = {first + n: chr(ord("a") + n) for first in (0x1F150, 0x1F170) for n in range(26)}
"""Letters in a black circle or square, which Unicode counts as symbols."""

_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})

# Vietnamese puts the tone of an open syllable on either vowel: "huỷ" is "hủy".
_TONES: Final = dict(
    pair.split("/")
    for pair in (
        *("oà/òa", "oá/óa", "oả/ỏa", "oã/õa", "oạ/ọa", "oè/òe", "oé/óe", "oẻ/ỏe", "oẽ/õe", "oẹ/ọe"),
        *("uỳ/ùy", "uý/úy", "uỷ/ủy", "uỹ/ũy", "uỵ/ụy"),
    )
)


def split_sentences(text: str) -> list[str]:
    """Return the words of each part between marks that end or part a sentence, in plain form."""
    patterns = _patterns()
    sentences = (" ".join(patterns["word"].findall(part)) for part in patterns["break"].split(_plain(text)))
    return [sentence for sentence in sentences if sentence]


def normalise(text: str) -> str:
    """Return letters and digits in one plain form of each, with one space between words."""
    return " ".join(split_sentences(text))


def normalise_template(text: str) -> str:
    """Return lines of templates in plain form. ``(``, ``|``, ``)`` and ``*`` keep their meaning."""
    return _patterns()["other"].sub(" ", _plain(text))


def remove_marks(text: str) -> str:
    """Return plain text without accents and tones, as people write it in haste."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text).replace("đ", "d").replace("ł", "l")
    return _without(letters, _is_mark)


def _plain(text: str) -> str:
    """Remove marks that compose no letter, such as a strikethrough, after the others have composed one."""
    if text.isascii():
        return text.translate(_ASCII_APOSTROPHES).lower()
    seen = _without(text, _is_unseen).translate(_BLACK_LETTERS)
    folded = unicodedata.normalize("NFKC", seen).casefold()
    letters = _without(folded, lambda c: _is_unseen(c) or _is_mark(c))
    composed = unicodedata.normalize("NFC", letters).translate(_UMLAUTS)
    return _patterns()["tone"].sub(lambda tone: _TONES[tone[0]], composed)


def _without(text: str, is_left_out: Callable[[str], bool]) -> str:
    """Return the text without these characters; each different one is looked up once."""
    left_out = {ord(character): None for character in set(text) if is_left_out(character)}
    return text.translate(left_out) if left_out else text


def _is_unseen(character: str) -> bool:
    """Return whether a character shows nothing. An apostrophe counts as such, because "dont" is "don't"."""
    return unicodedata.category(character) == "Cf" or character in _APOSTROPHES + _INVISIBLE


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {
        "break": re.compile(r"[.!?;:,\r\n]"),
        "word": re.compile(r"[^\W_]+"),
        "other": re.compile(r"[^\w()|*\n]|_"),
        "tone": re.compile(rf"(?<!q)(?:{'|'.join(_TONES)})(?!\w)"),
    }
