"""Phone numbers as a regular expression: for each country code, the lengths that a number can have."""

from collections.abc import Iterator
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from .text_patterns import whole

NO_COUNTRY: Final = "001"
"""libphonenumber's region of numbers that belong to no country, such as +800."""

_SEPARATOR: Final = "[ ().-]{0,2}"
_DIGIT: Final = f"(?:{_SEPARATOR}[0-9])"


def phone_pattern(*, plus: str) -> str:
    """Return a pattern of phone numbers. ``plus`` is the pattern of what comes before the country code."""
    return whole(f" *{plus}(?:{'|'.join(_numbers())}) *")


def _numbers() -> Iterator[str]:
    """Yield a pattern for the country codes that have the same lengths."""
    codes: dict[tuple[int, ...], list[str]] = {}
    for code in COUNTRY_CODE_TO_REGION_CODE:
        codes.setdefault(_lengths(code), []).append(str(code))
    for lengths, of_length in sorted(codes.items()):
        yield f"(?:{'|'.join(of_length)})(?:{'|'.join(_repeated(lengths))})(?![0-9])"


def _lengths(code: int) -> tuple[int, ...]:
    """Return the lengths without the country code; numbers that can only be dialled within a town do not count."""
    region = COUNTRY_CODE_TO_REGION_CODE[code][0]
    metadata = (
        PhoneMetadata.metadata_for_nongeo_region(code)
        if region == NO_COUNTRY
        else PhoneMetadata.metadata_for_region(region)
    )
    assert metadata is not None, code
    assert metadata.general_desc is not None, code
    return tuple(sorted(length for length in metadata.general_desc.possible_length if length > 0))


def _repeated(lengths: tuple[int, ...]) -> Iterator[str]:
    """Yield a pattern for each run of lengths that follow one another; the longest first."""
    runs: list[list[int]] = []
    for length in lengths:
        if runs and runs[-1][-1] == length - 1:
            runs[-1].append(length)
        else:
            runs.append([length])
    for run in reversed(runs):
        yield f"{_DIGIT}{{{run[0]},{run[-1]}}}" if len(run) > 1 else f"{_DIGIT}{{{run[0]}}}"
