"""Whose clock quiet hours go by: the person's, from the best source that there is (functions/README.md)."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # it has no types

from .contact import Contact
from .instants import parse_zone

Source = Literal["contact", "event", "phone_number", "brand", "default", "unknown"]


class Zones(NamedTuple):
    """The zones that the person may be in, and the source that says so; none where it cannot be told."""

    source: Source
    zones: tuple[ZoneInfo, ...]


UNKNOWN: Final = Zones("unknown", ())


def zones_of(
    contact: Contact,
    *,
    contact_zone: str | None,
    event_zone: str | None,
    brand_zone: str | None,
    default_zone: str | None,
) -> Zones:
    """From the first source that knows any zone. Never a guess: where none does, none."""

    def sources() -> Iterator[Zones]:
        yield Zones("contact", _known(contact_zone))
        yield Zones("event", _known(event_zone))
        names = _names_by_number(contact.address)
        by_number = Zones("phone_number", _known(*names))
        if len(names) == 1:
            yield by_number
        yield Zones("brand", _known(brand_zone))
        yield Zones("default", _known(default_zone))
        yield by_number

    return next((source for source in sources() if source.zones), UNKNOWN)


def tzdata_version() -> str:
    """The release of the time zone database, such as 2026f: a decision's facts name the rules that it went by."""
    return str(tzdata.IANA_VERSION)


def _known(*names: str | None) -> tuple[ZoneInfo, ...]:
    """A name that was once accepted and that tzdata has no more counts as never given: no send may fail of it."""
    zones = []
    for name in filter(None, names):
        with suppress(ValueError):
            zones.append(parse_zone(name))
    return tuple(zones)


def _names_by_number(address: str) -> tuple[str, ...]:
    """The zones in which a phone number may be used; for a number of nowhere ``Etc/Unknown``, which tzdata has not."""
    if not address.startswith("+"):
        return ()
    import phonenumbers  # noqa: PLC0415 - 0.1 s to import, and most sends know the zone without it
    from phonenumbers.timezone import time_zones_for_number  # noqa: PLC0415 - the same

    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:  # an opaque address may begin with a plus too
        return ()
    return time_zones_for_number(number)
