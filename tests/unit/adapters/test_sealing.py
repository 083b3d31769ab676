"""A sealed text shows nothing of the contact that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.dynamodb.sealing import seal, unseal

KEY = "the stack's key"


@given(st.text(max_size=300))
def test_unsealed_text_is_the_same(text: str) -> None:
    assert unseal(KEY, seal(KEY, text)) == text
    assert seal(KEY, text) == seal(KEY, text)


@given(st.text(min_size=8, max_size=300))
def test_sealed_text_has_nothing_of_the_text(text: str) -> None:
    sealed = seal(KEY, text)
    assert text not in sealed
    assert sealed != seal("another key", text)


@pytest.mark.parametrize("place", [0, 15, 16, 30, -2])
def test_changed_text_is_refused(place: int) -> None:
    sealed = seal(KEY, '{"pk": {"S": "CONTACT#acme#sms#+4915112345678"}}')
    other = "A" if sealed[place] != "A" else "B"
    changed = sealed[:place] + other + sealed[place:][1:]
    with pytest.raises(ValueError, match="does not fit"):
        unseal(KEY, changed)


def test_text_of_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        unseal("another key", seal(KEY, "text"))
