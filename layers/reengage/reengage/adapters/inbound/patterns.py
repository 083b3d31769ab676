"""The forms of instants, days and times that events in may have, as regular expressions.

The schemas of ``events/schemas`` contain the same expressions, so an event is valid for both or for neither. They use
only what Python's ``re`` and ECMA 262 both understand.
"""

from typing import Final

END: Final = r"$(?!\n)"
"""The end of the text. Python's ``$`` alone also matches before a final line end."""

_YEAR: Final = "(?:19(?:7[1-9]|[89][0-9])|[2-8][0-9]{3})"
"""From ``instants.EARLIEST`` to ``LATEST``."""

_LEAP_YEAR: Final = "(?=[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)" + _YEAR
_MONTHS: Final = (
    r"(?:(?:0[13578]|1[02])\1(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)\1(?:0[1-9]|[12][0-9]|30)"
    r"|02\1(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE: Final = rf"(?:{_YEAR}(-?){_MONTHS}|{_LEAP_YEAR}(-?)02\2(?:29))"
"""A day of the calendar, with or without dashes; groups 1 and 2 are the dash."""

_HOUR: Final = "(?:[01][0-9]|2[0-3])"
_FRACTION: Final = "(?:[.,][0-9]+)?"
_CLOCK: Final = rf"{_HOUR}(?:(:?)[0-5][0-9](?:\3[0-5][0-9]{_FRACTION})?)?"
_OFFSET: Final = rf"(?:Z|[+-]{_HOUR}(?:(:?)[0-5][0-9](?:\4[0-5][0-9]{_FRACTION})?)?)"

DAY: Final = f"^{_DATE}{END}"
INSTANT: Final = f"^{_DATE}[Tt ]{_CLOCK}{_OFFSET}{END}"
OPENING: Final = rf"^T?{_HOUR}(?:(:?)[0-5][0-9](?:\1(?:00(?:[.,]0+)?))?)?{END}"
"""A time of the day in whole minutes; seconds may be given as zero."""
