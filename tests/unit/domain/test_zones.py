"""The zone for quiet hours, from the best source that exists."""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.util import find_spec, module_from_spec
from typing import Final

import pytest

from reengage.domain.contact import Contact
from reengage.domain.zones import Zones, _names_by_number, tzdata_version, zones_of
from tests.cases import each_of

GERMAN: Final = "+4915112345678"
NEW_YORKER: Final = "+12125550123"
TOLL_FREE: Final = "+18005550123"
RUSSIAN_MOBILE: Final = "+79161234567"
AUSTRALIAN_MOBILE: Final = "+61412345678"
SATELLITE: Final = "+881612345678"

CONTACT: Final = "Asia/Tokyo"
EVENT: Final = "Asia/Ho_Chi_Minh"
BRAND: Final = "Europe/Lisbon"
DEFAULT: Final = "America/Lima"


@pytest.fixture(autouse=True)
def without_cached_numbers() -> Iterator[None]:
    """The zones of a number are cached; these tests replace their sources."""
    _names_by_number.cache_clear()
    yield
    _names_by_number.cache_clear()


def zones(
    address: str,
    *,
    channel: str = "sms",
    contact: str | None = None,
    event: str | None = None,
    brand: str | None = None,
    default: str | None = None,
) -> Zones:
    who = Contact("acme", channel, address)
    return zones_of(who, contact_zone=contact, event_zone=event, brand_zone=brand, default_zone=default)


def keys(found: Zones) -> set[str]:
    return {zone.key for zone in found.zones}


@each_of(
    ("address", "given", "source", "names"),
    [
        (GERMAN, {"contact": CONTACT, "event": EVENT, "brand": BRAND, "default": DEFAULT}, "contact", {CONTACT}),
        (GERMAN, {"event": EVENT, "brand": BRAND}, "phone_number_and_event", {"Europe/Berlin", EVENT}),
        (GERMAN, {"event": "Europe/Berlin", "brand": BRAND}, "phone_number", {"Europe/Berlin"}),
        (GERMAN, {"contact": "UTC", "brand": BRAND}, "phone_number", {"Europe/Berlin"}),
        (AUSTRALIAN_MOBILE, {"contact": "Etc/GMT+5", "event": EVENT}, "event", {EVENT}),
        (SATELLITE, {"contact": "Zulu", "brand": "Etc/UTC"}, "brand", {"Etc/UTC"}),
        (GERMAN, {"brand": BRAND, "default": DEFAULT}, "phone_number", {"Europe/Berlin"}),
        (GERMAN, {}, "phone_number", {"Europe/Berlin"}),
        (NEW_YORKER, {"brand": BRAND}, "phone_number", {"America/New_York"}),
        (AUSTRALIAN_MOBILE, {"contact": CONTACT, "brand": BRAND}, "contact", {CONTACT}),
        (AUSTRALIAN_MOBILE, {"event": EVENT, "brand": BRAND}, "event", {EVENT}),
        (AUSTRALIAN_MOBILE, {"brand": BRAND, "default": DEFAULT}, "brand", {BRAND}),
        (AUSTRALIAN_MOBILE, {"default": DEFAULT}, "default", {DEFAULT}),
        (SATELLITE, {"brand": BRAND, "default": DEFAULT}, "brand", {BRAND}),
        (SATELLITE, {"default": DEFAULT}, "default", {DEFAULT}),
        (SATELLITE, {}, "unknown", set()),
    ],
)
def test_zone_comes_from_the_best_source(address: str, given: Mapping[str, str], source: str, names: set[str]) -> None:
    found = zones(address, **given)
    assert (found.source, keys(found)) == (source, names)


@pytest.mark.parametrize(
    ("address", "at_least", "among"),
    [
        (TOLL_FREE, 30, {"America/New_York", "Pacific/Honolulu", "America/Puerto_Rico"}),
        (RUSSIAN_MOBILE, 10, {"Europe/Moscow", "Asia/Vladivostok"}),
        (AUSTRALIAN_MOBILE, 5, {"Australia/Sydney", "Australia/Perth"}),
    ],
)
def test_last_of_all_comes_each_zone_that_the_number_may_be_in(address: str, at_least: int, among: set[str]) -> None:
    found = zones(address)
    assert found.source == "phone_number"
    assert len(found.zones) >= at_least
    assert keys(found) >= among


NEVER_GIVEN: Final = [None, "", "Mars/Olympus_Mons", "Etc/Unknown", "europe", "Europe", "../Europe/Berlin", "CEST+2"]


@each_of("name", NEVER_GIVEN)
def test_a_name_that_tzdata_does_not_know_counts_as_never_given(name: str | None) -> None:
    """A stored name may have gone from tzdata since it was accepted."""
    assert zones(SATELLITE, contact=name, event=EVENT).source == "event"
    assert zones(GERMAN, contact=name, event=name).source == "phone_number"
    assert zones(SATELLITE, contact=name, brand=name, default=DEFAULT).source == "default"
    assert zones(SATELLITE, contact=name, event=name, brand=name, default=name) == Zones("unknown", ())


def test_a_number_that_no_plan_knows_is_in_no_zone() -> None:
    for address in (SATELLITE, "+80012345678", "+4900000000"):
        assert zones(address) == Zones("unknown", ())


@pytest.mark.parametrize("address", ["1234567890", "US.13491208655302741918", "+the.opaque.one", "+", "+1", ""])
def test_opaque_address_has_no_zone(address: str) -> None:
    assert zones(address, channel="whatsapp") == Zones("unknown", ())
    assert zones(address, channel="whatsapp", brand=BRAND).source == "brand"


def test_number_with_two_zones_is_not_surely_in_the_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbering plans may name a zone before tzdata does: then the brand's zone counts before the number's."""
    names = ("Europe/Berlin", "Europe/Yet_To_Come")
    monkeypatch.setattr("phonenumbers.timezone.time_zones_for_number", lambda _number: names)
    assert zones(GERMAN, brand=BRAND).source == "brand"
    assert zones(GERMAN) == zones(GERMAN, contact=names[0])._replace(source="phone_number")
    assert zones(GERMAN, event=EVENT).source == "event"


def test_the_numbering_plans_are_read_only_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a cold start 0.1 s, so neither the module itself nor a known zone may ask for them."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    spec = find_spec("reengage.domain.zones")
    assert spec
    assert spec.loader
    spec.loader.exec_module(module_from_spec(spec))
    assert zones(GERMAN, contact=CONTACT).source == "contact"
    assert zones("1234567890", channel="whatsapp", event=EVENT).source == "event"
    assert zones("1234567890", channel="whatsapp", brand=BRAND).source == "brand"
    with pytest.raises(ModuleNotFoundError):
        zones(GERMAN, brand=BRAND)


def test_the_zones_are_of_the_tzdata_package_that_is_named() -> None:
    assert re.fullmatch(r"20\d\d[a-z]", tzdata_version())
    text = files("tzdata.zoneinfo").joinpath("tzdata.zi").read_text(encoding="ascii")
    assert text.startswith(f"# version {tzdata_version()}\n")
