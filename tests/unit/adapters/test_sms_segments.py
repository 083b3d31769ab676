"""How many segments an SMS takes: at every limit, in both alphabets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.sms_segments import sms_segments
from tests.cases import each_of

SIGNS = "@£$¥_!\"#¤%&'()*+,-./0123456789:;<=>? ¡ABCDEFGHIJKLMNOPQRSTUVWXYZ§¿abcdefghijklmnopqrstuvwxyz\n\r"
LETTERS = "èéùìòÇØøÅåÆæßÉÄÖÑÜäöñüàΔΦΓΛΩΠΨΣΘΞ"
ESCAPED = "^{}\\[~]|€\f"


def test_the_default_alphabet_has_all_its_characters() -> None:
    """It has 128 places; one of them is the escape character."""
    assert len(set(SIGNS + LETTERS)) == 127


@each_of("character", SIGNS + LETTERS)
def test_one_septet(character: str) -> None:
    assert sms_segments(character * 160) == 1
    assert sms_segments(character * 161) == 2


@each_of("character", ESCAPED)
def test_two_septets(character: str) -> None:
    assert sms_segments(character * 80) == 1
    assert sms_segments(character * 80 + "a") == 2


@each_of("character", "çêÀ’“„–…\u00a0\u202f\tứđ`Α漢\x1b\ue000")
def test_one_character_outside_makes_the_whole_text_utf_16(character: str) -> None:
    assert sms_segments("a" * 69 + character) == 1
    assert sms_segments("a" * 70 + character) == 2


@each_of(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 459, 3),
        ("a" * 460, 4),
        # An escape and what it escapes stay together: 152 + 2 septets do not fit into 153.
        ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 151 + "€" + "a" * 153, 2),
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("ế" * 70, 1),
        ("ế" * 71, 2),
        ("ế" * 134, 2),
        ("ế" * 135, 3),
        ("ế" * 201, 3),
        ("ế" * 202, 4),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # A surrogate pair stays together: 66 + 2 units do not fit into 67.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
        ("ế" * 66 + "😀" + "ế" * 66, 3),
        ("ế" * 65 + "😀" + "ế" * 67, 2),
        # In UTF-16 an escaped character is one unit.
        ("ế" + "€" * 69, 1),
    ],
)
def test_the_limits(text: str, segments: int) -> None:
    assert sms_segments(text) == segments


@settings(max_examples=100)
@given(st.text(max_size=400), st.characters())
def test_more_text_never_takes_fewer(text: str, character: str) -> None:
    assert sms_segments(text) <= sms_segments(text + character) <= sms_segments(text) * 3 + 1
