"""Looking up a phrase finds what writing out all templates would find."""

import pytest

from reengage.domain import keyword_lists as lists
from reengage.domain.answers import Answer, _answers, _core
from reengage.domain.phrase_index import PhraseIndex, Template


@pytest.mark.parametrize("language", ["", "de", "en", "es", "fr", "vi"])
def test_every_phrase_of_the_lists_has_its_answer(language: str) -> None:
    """A list whose words an index cannot find fails here: such as "(can|)cel" after a courtesy."""
    others = [name for name in lists.sections() if name not in ("en", language)]
    written_out: dict[str, Answer] = {}
    for locale in dict.fromkeys([*others, "en", language]) if language in lists.sections() else [*others, "en"]:
        for answer in Answer:
            written_out |= dict.fromkeys(map(_core, lists.section_phrases(locale, answer)), answer)
    index = _answers(language)
    assert {phrase: index.get(phrase) for phrase in written_out} == written_out


def test_the_last_template_of_a_phrase_counts() -> None:
    index = PhraseIndex([(Template("(see|meet) you"), 1), (Template("see (you|them)"), 2)], str, ())
    assert [index.get(phrase) for phrase in ("see you", "meet you", "see them", "meet them", "see", "")] == [
        *(2, 1, 2),
        *(None, None, None),
    ]


def test_a_phrase_is_found_by_its_core() -> None:
    index = PhraseIndex([(Template("(please|kindly) (cancel|stop)"), 1)], lambda each: each.split()[-1], {"please"})
    assert index.get("cancel") == 1
    assert index.get("please cancel") is None


def test_unknown_words_take_no_memory() -> None:
    index = PhraseIndex([(Template("yes"), 1)], str, ())
    assert not any(index.get(f"word{number} yes") for number in range(100))
    assert index._found == {}


def test_template_of_several_words_leaves_out_single_ones() -> None:
    assert list(Template("(huy|khong) (den|)", has_several_words=True).phrases()) == ["huy den", "khong den"]
