"""How many segments an SMS takes, and so what it costs (3GPP TS 23.038, 23.040)."""

from typing import Final

# The default alphabet without its escape, and the extension table, whose characters take an escape before them.
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")

_LAST_OF_BMP: Final = "\uffff"


def sms_segments(text: str) -> int:
    """Septets while every character is in the GSM alphabet, else UTF-16 for the whole text.

    More than one segment costs each of them a header; no escape and no surrogate pair is split between two.
    """
    if set(text) <= _BASIC | _EXTENSION:
        sizes, alone, in_part = [1 + (character in _EXTENSION) for character in text], 160, 153
    else:
        sizes, alone, in_part = [1 + (character > _LAST_OF_BMP) for character in text], 70, 67
    if sum(sizes) <= alone:
        return 1
    segments, used = 1, 0
    for size in sizes:
        if used + size > in_part:
            segments, used = segments + 1, 0
        used += size
    return segments
