"""The types of the fields of events in: text that is checked, and brought to its one form, when it is decoded."""

import re
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Annotated, Any, Final

from msgspec import Meta, UnsetType

from reengage.domain.caps import parse_caps
from reengage.domain.contact import has_control_characters, parse_brand, parse_channel
from reengage.domain.instants import DAYS_AHEAD, EARLIEST, LATEST, Duration, parse_instant, parse_zone
from reengage.domain.parameters import parse_length, parse_rates, parse_when_closing
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import REASONS
from reengage.domain.requests import Request

from . import patterns

MAX_URL: Final = 2048
MAX_CAUSE: Final = 4096
MAX_ITEMS: Final = 16_384
"""Bytes of JSON: the cart is kept in its subject's row."""

MAX_TEXTS: Final = 8192
"""Bytes of JSON: each decision on a message reads the brand's row, and 4 KB are a read unit."""

SHORTEST_OFFSET: Final = timedelta(minutes=1)
"""The send functions run every minute: a message that is valid for less time may never be sent."""

MAX_ID: Final = 512
"""Bytes: DynamoDB bounds a sort key to 1,024, and the id is one part of it."""


class CheckedText(str):
    """Text that is checked, and brought to its one form, as it is read."""

    __slots__ = ()
    check: Callable[[str], str]


class Brand(CheckedText):
    check = staticmethod(parse_brand)


class Channel(CheckedText):
    check = staticmethod(parse_channel)


class Instant(CheckedText):
    """An instant; a fraction of a second is kept, even if it is zero: its sender knows the exact instant."""

    @staticmethod
    def check(text: str) -> str:
        instant = parse_instant(text)
        if not re.search(patterns.INSTANT, text):  # a week's day, or another letter than T between day and time
            raise ValueError("expected an ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00")
        return instant.isoformat(timespec="microseconds" if "." in text or "," in text else "auto")


class Zone(CheckedText):
    check = staticmethod(lambda text: parse_zone(text).key)


class Ahead(CheckedText):
    """A duration that counts back from the subject's instant, so it cannot be negative."""

    @staticmethod
    def check(text: str) -> str:
        duration = Duration.parse(text)
        if duration.is_negative or (not duration.months and not duration.days and duration.exact < SHORTEST_OFFSET):
            raise ValueError("expected an ISO 8601 duration of at least one minute, such as P1D")
        return str(duration)


class Offset(CheckedText):
    check = staticmethod(lambda text: str(Duration.parse(text)))


class Url(CheckedText):
    @staticmethod
    def check(text: str) -> str:
        if not text.startswith(("https://", "http://")) or any(c.isspace() for c in text) or len(text) > MAX_URL:
            raise ValueError(f"expected an http or https URL of at most {MAX_URL} characters, without spaces")
        return text


class Day(CheckedText):
    @staticmethod
    def check(text: str) -> str:
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("expected a day, such as 2026-12-24") from error
        # Its end is an instant, too.
        if not EARLIEST.date() <= day < LATEST.date() or not re.search(patterns.DAY, text):
            raise ValueError(f"expected a day between the years {EARLIEST.year} and {LATEST.year}")
        return day.isoformat()


class DayText(CheckedText):
    """A day, or its name in the time zone of the brand."""

    check = staticmethod(lambda text: text if text in DAYS_AHEAD else Day.check(text))


class Opening(CheckedText):
    """A time on the wall clock of the place."""

    @staticmethod
    def check(text: str) -> str:
        try:
            read = time.fromisoformat(text)
        except ValueError:
            read = None
        if read is None or not re.search(patterns.OPENING, text):
            raise ValueError("expected a time of the day in whole minutes, such as 09:30")
        return read.isoformat("minutes")


class Identifier(CheckedText):
    @staticmethod
    def check(text: str) -> str:
        if not 0 < len(text.encode()) <= MAX_ID or has_control_characters(text):
            raise ValueError(f"expected an id of 1 to {MAX_ID} bytes, without control characters")
        return text


class Asks(CheckedText):
    """A request, in any case and with blanks around it."""

    check = staticmethod(lambda text: Request.parse(text).value)


class PauseScope(CheckedText):
    """What a pause covers: everything, marketing, or one reason."""

    @staticmethod
    def check(text: str) -> str:
        if text not in ("all", "marketing", *REASONS):
            raise ValueError("expected all, marketing, or a reason such as cart_reminder")
        return text


class HoursText(CheckedText):
    """Quiet hours as in the stack's parameter; empty for none."""

    @staticmethod
    def check(text: str) -> str:
        QuietHours.parse(text)
        return text


class CapsText(CheckedText):
    """Frequency caps as in the stack's parameter; empty for none."""

    @staticmethod
    def check(text: str) -> str:
        parse_caps(text)
        return text


class LengthText(CheckedText):
    """A positive length of time; empty for "off"."""

    @staticmethod
    def check(text: str) -> str:
        if text:
            parse_length(text)
        return text


class WhenClosingText(CheckedText):
    @staticmethod
    def check(text: str) -> str:
        parse_when_closing(text)
        return text


class RatesText(CheckedText):
    """Messages a second as in the stack's parameter; empty for no limit."""

    @staticmethod
    def check(text: str) -> str:
        if text:
            parse_rates(text)
        return text


Document = dict[str, Any]
"""A note of a business, stored unchanged within bounds."""

Locale = Annotated[
    str, Meta(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z", max_length=35, description="a locale, such as de-AT")
]
LinkedChannel = Annotated[str, Meta(pattern=r"^(sms|whatsapp)\Z", description="sms or whatsapp")]
"""A channel on which a link can begin a message."""

Number = Annotated[
    str, Meta(pattern=r"^\+[1-9][0-9]{6,14}\Z", description="a phone number in E.164 form, such as +12025550100")
]
"""A number of the business."""

Line = Annotated[str, Meta(min_length=1, max_length=500)]
Kind = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,39}\Z", description="a kind of message, such as image")]
Payload = Annotated[str, Meta(min_length=1, max_length=2048)]
"""The data of a button. RCS for Business allows the most: 2,048 characters."""

Localised = Line | Annotated[dict[Locale, Line], Meta(min_length=1, max_length=20)]
"""A text for people: one for all, or one for each locale."""

Items = Annotated[list[Line | Document], Meta(max_length=100)]
"""The items of a cart: names, or objects with a ``name``."""

Optional = UnsetType
