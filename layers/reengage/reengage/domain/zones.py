"""The person's time zone for quiet hours, from the best source that is known."""

from contextlib import suppress
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # it has no types

from .contact import NUMBERS, Contact
from .instants import parse_zone

Source = Literal["contact", "event", "phone_number", "phone_number_and_event", "brand", "default", "unknown"]

BOTH: Final = "phone_number_and_event"

NO_WITNESS: Final = frozenset({"UTC", "UCT", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "Universal", "Zulu"})
"""Zones that a system reports if it does not know the person's or the place's; so are all of ``Etc/``."""


class Zones(NamedTuple):
    """The possible zones of the contact and their source; empty if no zone is known."""

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
    """Return the zones of the first source that knows any: the contact, the phone number, the event, the brand, the
    default.

    An event's zone is often the place's, not the person's. So if it differs from the number's single zone, both count.
    """
    if is_witness(contact_zone) and (known := _known(contact_zone)):
        return Zones("contact", known)
    by_event, names = _known(event_zone), _names_by_number(contact.address)
    by_number = _known(*names)
    own_number = by_number if len(names) == len(by_number) == 1 else ()
    both = own_number + by_event if own_number and by_event and by_event != own_number else ()
    sources: tuple[tuple[Source, tuple[ZoneInfo, ...]], ...] = (
        (BOTH, both),
        ("phone_number", own_number),
        ("event", by_event),
        ("brand", _known(brand_zone)),
        ("default", _known(default_zone)),
        ("phone_number", by_number),
    )
    return next((Zones(source, zones) for source, zones in sources if zones), UNKNOWN)


def tzdata_version() -> str:
    """The release of the time zone database, such as 2026f: a decision's facts name the rules that it went by."""
    return str(tzdata.IANA_VERSION)


def zone_if_witness(name: str | None) -> str | None:
    """Return a reported zone if it says where the person, or the place, is."""
    return name if is_witness(name) else None


def is_witness(name: str | None) -> bool:
    """Return whether a reported zone says where the person, or the place, is."""
    return name is not None and name not in NO_WITNESS and not name.startswith("Etc/")


@lru_cache(maxsize=1024)
def _known(*names: str | None) -> tuple[ZoneInfo, ...]:
    """Return the zone of a stored name; a name that tzdata no longer has counts as never given, so that no
    send fails.
    """
    zones = []
    for name in filter(None, names):
        with suppress(ValueError):
            zones.append(parse_zone(name))
    return tuple(zones)


@lru_cache(maxsize=NUMBERS)
def _names_by_number(address: str) -> tuple[str, ...]:
    """Return the zones in which a phone number may be used; ``Etc/Unknown``, which tzdata has not, if it has no
    country.
    """
    if not address.startswith("+"):
        return ()
    import phonenumbers  # noqa: PLC0415 - 0.1 s to import, and most sends know the zone without it
    from phonenumbers.timezone import time_zones_for_number  # noqa: PLC0415 - the same

    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:  # an opaque address may begin with a plus too
        return ()
    return time_zones_for_number(number)
