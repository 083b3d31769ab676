"""ASCII text has a faster path; it gives the same result as the path for all letters."""

from hypothesis import given
from hypothesis import strategies as st

from reengage.domain.plain_text import split_sentences


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_is_read_as_beside_another_letter(text: str) -> None:
    assert split_sentences(text) == split_sentences(f"{text}.\u00f6")[:-1]
