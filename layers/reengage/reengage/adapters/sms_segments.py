"""Count the segments of an SMS, which decide its price (3GPP TS 23.038, 23.040)."""

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
    """Return the number of segments: septets if every character is in the GSM alphabet, else UTF-16.

    If there is more than one segment, each has a header. No escape and no surrogate pair is split.
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
