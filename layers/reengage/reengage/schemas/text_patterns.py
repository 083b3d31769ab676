"""The texts that the app accepts in events, as regular expressions for JSON Schema.

Each expression accepts only texts that the field's parser accepts. A few rare spellings that the parser accepts are
missing (events/README.md, "What a schema cannot say").
"""

from collections.abc import Iterable
from typing import Final

from reengage.adapters.inbound.field_types import MAX_ID
from reengage.adapters.inbound.patterns import END
from reengage.domain.contact import CHANNELS, MAX_ADDRESS
from reengage.domain.instants import LONGEST
from reengage.domain.quiet_hours import DAYS
from reengage.domain.reasons import REASONS
from reengage.domain.requests import Request

UTF8_BYTES: Final = 4
"""The most bytes that one character takes."""

_FRACTION: Final = "(?:[.,][0-9]{1,6})?"
_POINT: Final = "(?:[.][0-9]{1,6})?"
"""The fraction where a comma separates two values."""


def whole(*alternatives: str) -> str:
    """Return a pattern of texts that match one of the alternatives from beginning to end."""
    return f"^(?:{'|'.join(alternatives)}){END}"


def up_to(most: int) -> str:
    """Return a pattern of the whole numbers from 0 to ``most`` without leading zeros."""
    digits, parts = str(most), []
    for position, digit in enumerate(digits):
        first = 1 if position == 0 and len(digits) > 1 else 0
        if int(digit) > first:
            parts.append(f"{digits[:position]}[{first}-{int(digit) - 1}]{'[0-9]' * (len(digits) - position - 1)}")
    parts += ["[0-9]" * length for length in range(1, len(digits))]
    return f"(?:{'|'.join([digits, *parts])})"


def _combined(days: str, fraction: str = _FRACTION) -> str:
    """Return a pattern of durations of several units: of ``days``, then of hours, minutes and seconds."""
    day_units = [f"(?:{_COMBINED[unit]}{unit})?" for unit in days]
    time_units = [f"(?:{_COMBINED['T' + unit]}{fraction}{unit})?" for unit in "HMS"]
    return f"P(?=[0-9T]){''.join(day_units)}(?:T(?=[0-9]){''.join(time_units)})?"


_DAYS: Final = LONGEST.days
_COMBINED: Final = {
    "Y": up_to(2),
    "M": up_to(12),
    "W": up_to(52),
    "D": "[0-9]{1,3}",
    "TH": "[0-9]{1,4}",
    "TM": "[0-9]{1,5}",
    "TS": "[0-9]{1,7}",
}
"""Together at most 3,081 days, which is less than ``instants.LONGEST``."""

_ALONE: Final = (
    *(f"P{up_to(most)}{unit}" for unit, most in (("Y", 9), ("M", 118), ("W", _DAYS // 7), ("D", _DAYS))),
    *(f"PT{up_to(_DAYS * most)}{unit}" for unit, most in (("H", 24), ("M", 1440), ("S", 86_400))),
)
_ALONE_WITHOUT_MONTHS: Final = tuple(f for f in _ALONE if f[-1] == "D" or f.startswith("PT"))

_A_MINUTE: Final = (
    rf"(?=.*(?:[PYMWDTH]0*[1-9][0-9]*{_FRACTION}[YMWDH]"
    rf"|T0[.,](?:[1-9]|0[2-9])[0-9]*H|[THM](?:[6-9][0-9]|[1-9][0-9]{{2,}}){_FRACTION}S))"
)
"""A duration of at least a minute."""

_DURATION: Final = f"(?:{'|'.join([_combined('YMWD'), *_ALONE])})"
OFFSET: Final = whole(f"[+-]?{_DURATION}")
AHEAD: Final = whole(rf"\+?{_A_MINUTE}{_DURATION}")
LENGTH: Final = whole("", f"(?=.*[1-9])(?:{'|'.join([_combined('D'), *_ALONE_WITHOUT_MONTHS])})")
_PERIOD: Final = f"(?=[^,]*[1-9])(?:{'|'.join([_combined('D', _POINT), *_ALONE_WITHOUT_MONTHS])})"
_CAP: Final = f"[1-9][0-9]{{0,3}}/{_PERIOD}"
CAPS: Final = whole("", f"{_CAP}(?:,{_CAP})*")


def _hours() -> str:
    """Return a pattern of quiet hours: one span, or spans of ascending weekdays that do not meet."""
    clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    span = f"{clock}-{clock}"
    different = rf"(?!.*({clock})-\1)"
    any_day = "|".join(DAYS)
    days = "|".join(first if first == last else f"{first}-{last}" for n, first in enumerate(DAYS) for last in DAYS[n:])
    ascending = "".join(f"(?!.*{last} {span}, ?(?:{'|'.join(DAYS[: n + 1])}))" for n, last in enumerate(DAYS))
    one = f"(?:(?:{any_day})(?:-(?:{any_day}))? )?{span}"
    many = f"{ascending}(?:{days}) {span}(?:, ?(?:{days}) {span})+"
    return whole("", f"{different}(?:{one}|{many})")


HOURS: Final = _hours()

_RATE: Final = rf" *(?:{'|'.join(CHANNELS)})=(?=[0-9.]*[1-9])[0-9]{{1,4}}(?:\.[0-9]{{1,2}})? *"
RATES: Final = whole("", f"{_RATE}(?:,{_RATE})*")

_CHOICE: Final = "(?:wait|pull_forward|warn)"
WHEN_CLOSING: Final = whole(f" *{_CHOICE} *(?:, *(?:{'|'.join(REASONS)})={_CHOICE} *)*")

URL: Final = whole(r"https?://\S*")
BRAND: Final = whole("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _any_case(words: Iterable[str]) -> str:
    return "|".join("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in words)


ASKS: Final = whole(rf"[ \t\r\n]*(?:{_any_case(Request)})[ \t\r\n]*")

_NO_CONTROL: Final = r"[^\u0000-\u001f\u007f-\u009f]"


def _bytes(most: int, least: int = 1) -> tuple[str, str]:
    """Return patterns of texts without control characters that have at most so many bytes of UTF-8."""
    return f"[ -~]{{{least},{most}}}", f"{_NO_CONTROL}{{{least},{most // UTF8_BYTES}}}"


IDENTIFIER: Final = whole(*_bytes(MAX_ID))
CONVERSATION: Final = whole(*_bytes(MAX_ADDRESS))
USER_ID: Final = rf"^ *(?!tel:)(?=.*[A-Za-z])[!-~](?:[ -~]{{0,{MAX_ADDRESS - 2}}}[!-~])? *{END}"
"""An id of a WhatsApp user has a letter."""
