"""Look up phrases among templates, without writing out each of their phrases.

The keywords are some 5,000 phrases of 260 templates, the answers 8,000 of 350. A message has few words, so a cold
function writes out only the templates that a phrase with such a first word may be of.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import product
from typing import NamedTuple


class Template(NamedTuple):
    """``(a|b) c`` is short for "a c" and "b c". ``has_several_words``: a phrase of one word is left out."""

    text: str
    has_several_words: bool = False

    def phrases(self) -> Iterator[str]:
        """Write out each phrase."""
        for chosen in product(*self._choices()):
            words = "".join(chosen).split()
            if len(words) > self.has_several_words:
                yield " ".join(words)

    def first_words(self) -> set[str]:
        """Return the words that a phrase may begin with, from as few choices as show them."""
        begun = {""}
        for choices in self._choices():
            begun = {text + chosen for text in begun for chosen in choices}
            if all(" " in text.lstrip() for text in begun):
                break
        return {text.split()[0] for text in begun if text.strip()}

    def words(self) -> set[str]:
        """Return all words of the template."""
        return set(re.findall(r"\w+", self.text))

    def _choices(self) -> list[list[str]]:
        return [part.split("|") for part in re.split(r"[()]", self.text)]


class PhraseIndex[T]:
    """The values of the phrases of templates; of a phrase in several templates, that of the last one.

    ``core`` returns a phrase as it is looked up: ``optional`` words before another word of the template may be missing.
    """

    def __init__(
        self, templates: Iterable[tuple[Template, T]], core: Callable[[str], str], optional: Container[str]
    ) -> None:
        self._core = core
        self._templates = dict[str, list[tuple[Template, T]]]()
        self._found = dict[str, dict[str, T]]()
        for template, value in templates:
            words = template.first_words()
            for word in template.words() if any(each in optional for each in words) else words:
                self._templates.setdefault(word, []).append((template, value))

    def get(self, phrase: str) -> T | None:
        """Return the value of the phrase; ``None`` for any other text."""
        word = phrase.partition(" ")[0]
        if word not in self._templates:
            return None
        if word not in self._found:
            self._found[word] = {
                self._core(each): value for template, value in self._templates[word] for each in template.phrases()
            }
        return self._found[word].get(phrase)
