"""Plain text of ASCII, which has a shorter way, is what the way for all letters gives."""

from hypothesis import given
from hypothesis import strategies as st

from reengage.domain.plain_text import split_sentences


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_is_read_as_beside_another_letter(text: str) -> None:
    assert split_sentences(text) == split_sentences(f"{text}.\u00f6")[:-1]
