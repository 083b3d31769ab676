"""The keyword lists of all locales, read from ``wording/keywords/<locale>.txt`` when they are first used.

A list is a section of plain lines, because that loads in a tenth of the time of TOML and needs no quotes:

- ``#`` begins a comment line, ``[name]`` a section.
- ``(a|b) c`` is the template of "a c" and "b c". Groups do not nest.
- ``<name>`` in a pattern is replaced by the pattern of that name in ``[names]``.
- A section may be missing: that list is empty. ``[possible opt-outs]`` need ``[cues]``.

A phrase counts without accents too. A single Vietnamese word does not: "hủy" would be a name.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from .phrase_index import PhraseIndex, Template
from .plain_text import normalise_template, remove_marks
from .requests import Request

FOLDER: Final = Path(__file__).parents[1] / "wording" / "keywords"

_MARKS_MATTER: Final = frozenset({"vi"})
"""Locales in which a single word without its marks is another word."""

Sections = Mapping[str, str]


@cache
def sections() -> Mapping[str, Sections]:
    """Read the raw lines of each section, by locale."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.txt"))}


@cache
def exact_keywords() -> Mapping[str, Request]:
    """Return the keywords that count only with no word beside them: "please cancel" may be about an appointment."""
    return {phrase: request for request in Request for phrase in phrase_set(f"{request} exact")}


@cache
def phrases() -> PhraseIndex[Request]:
    """Return the keywords that count with courtesies around them."""
    templates = (
        (template, request)
        for request in Request
        for locale in sections()
        for template in section_templates(locale, request)
    )
    return PhraseIndex(templates, lambda phrase: phrase, optional=())


@cache
def phrase_set(name: str) -> frozenset[str]:
    """Return all phrases of the section ``name``, of all locales."""
    return frozenset(phrase for locale in sections() for phrase in section_phrases(locale, name))


@cache
def words_pattern(name: str) -> re.Pattern[str]:
    """Return a pattern that finds each phrase of the section ``name``; of two that begin alike, the longer."""
    return re.compile(rf"\b(?:{'|'.join(sorted(phrase_set(name), reverse=True))})\b")


@cache
def reactions() -> re.Pattern[str]:
    """Return a pattern of what phones write before or after the message that a reaction quotes."""
    return re.compile("|".join(map(_with_blanks, sorted(phrase_set("reactions")))))


def matches_possible_opt_out(text: str) -> bool:
    """Return whether plain text has an opt-out in free words, in any locale.

    Each pattern takes a bounded number of words, so its time grows only with the length of the text.
    """
    unmarked = remove_marks(text)
    return any(
        _cues(locale).search(unmarked)
        and possible_opt_outs(locale).search(text if locale in _MARKS_MATTER else unmarked)
        for locale in sections()
    )


@cache
def possible_opt_outs(locale: str) -> re.Pattern[str]:
    """Return the pattern of a locale's opt-outs in free words, written without marks (Vietnamese: with or without)."""
    lists = sections()[locale]
    names = dict(line.split(" = ", 1) for line in lists.get("names", "").splitlines())
    patterns = "|".join(re.sub(r"<(\w+)>", lambda name: names[name[1]], lists["possible opt-outs"]).splitlines())
    return re.compile(
        rf"\b(?:{patterns}|{remove_marks(patterns)})\b" if locale in _MARKS_MATTER else rf"\b(?:{patterns})\b"
    )


@cache
def _cues(locale: str) -> re.Pattern[str]:
    """Return a pattern of the words of which an opt-out in free words has at least one; of nothing without any."""
    return re.compile("|".join(map(re.escape, sections()[locale].get("cues", "").split())) or r"(?!)")


def section_phrases(locale: str, name: str) -> Iterator[str]:
    """Return each phrase that the templates of a section stand for, with and without marks."""
    for template in section_templates(locale, name):
        yield from template.phrases()


@cache
def section_templates(locale: str, name: str) -> tuple[Template, ...]:
    """Return the templates of a section in plain form, with and without marks."""
    lines = normalise_template(sections()[locale].get(name, "")).splitlines()
    return tuple(template for line in lines for template in _written(line, marks_matter=locale in _MARKS_MATTER))


def _written(line: str, *, marks_matter: bool) -> Iterator[Template]:
    yield Template(line)
    if not line.isascii():
        yield Template(remove_marks(line), has_several_words=marks_matter)


def _with_blanks(phrase: str) -> str:
    """Return a pattern in which ``*`` is up to three words."""
    if phrase.startswith("* "):
        return rf"(?:\w+ ){{0,3}}{phrase[2:]}"
    return phrase.replace(" *", r"(?: \w+){0,3}")


def _read(path: Path) -> Sections:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}
