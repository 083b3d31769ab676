"""How a brand presents itself: field by field the newest event holds, in whichever order they come."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.domain.brand import Brand
from reengage.domain.commands import ConfigureBrand
from reengage.domain.instants import iso
from reengage.errors import WriteConflict
from tests.fakes import NOON, Crash, Fault, World

ACME: Final = "acme-dental"
FIELDS: Final = ("name", "timezone", "locale", "help_text", "stop_text")


def configured(second: int, **fields: Any) -> ConfigureBrand:
    """Parse the event as the app does."""
    at = iso(NOON + timedelta(seconds=second))
    read = parse_business_event(
        {"detail-type": "BrandConfigured", "time": at, "detail": {"brand": ACME, "name": "Acme", **fields}}
    )
    assert isinstance(read, ConfigureBrand)
    return read


def brand(world: World) -> Brand:
    stored = world.store.read_brand(ACME)
    assert stored is not None
    return stored


def holds(world: World) -> dict[str, Any]:
    return {name: getattr(brand(world), name) for name in FIELDS}


def test_a_brand_is_stored_as_it_was_given() -> None:
    world = World()
    given_fields = {
        "name": {"en": "Acme Dental", "de": "Acme Zahnärzte"},
        "timezone": "Europe/London",
        "locale": "en-GB",
        "help_text": "Call us.",
        "stop_text": {"en": "Text STOP to stop", "de": "STOP beendet"},
    }
    assert world.configure(configured(0, **given_fields))
    assert holds(world) == given_fields


def test_what_a_newer_event_leaves_out_keeps_its_value() -> None:
    world = World()
    world.configure(configured(0, timezone="Europe/London", help_text="Call us."))
    assert world.configure(configured(1, name="Acme Dental", timezone=None))
    assert (brand(world).name, brand(world).timezone, brand(world).help_text) == (
        "Acme Dental",
        "Europe/London",
        "Call us.",
    )


def test_repeat_changes_nothing_and_reports_it() -> None:
    world = World()
    event = configured(0, locale="de")
    assert world.configure(event)
    counted = Fault(nth=99)
    assert not world.configure(event, counted)
    assert counted.calls == ["read_brand"]
    assert not world.configure(configured(-1, locale="fr"))
    assert brand(world).locale == "de"


EVENT_SCHEMAS: Final = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.fixed_dictionaries(
            {"name": st.sampled_from(["A", "B", "C"])},
            optional={
                "timezone": st.sampled_from(["Europe/London", "Asia/Tokyo"]),
                "locale": st.sampled_from(["en", "de", "vi"]),
                "help_text": st.sampled_from(["x", "y"]),
                "stop_text": st.sampled_from(["x", "y"]),
            },
        ),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda pair: pair[0],
)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), events=EVENT_SCHEMAS)
@pytest.mark.slow
def test_each_field_has_its_newest_value_in_any_order(
    data: st.DataObject, events: list[tuple[int, dict[str, Any]]]
) -> None:
    replan = data.draw(st.lists(st.sampled_from(events), max_size=3))
    world = World()
    for second, fields in data.draw(st.permutations([*events, *replan])):
        world.configure(configured(second, **fields))
    newest: dict[str, Any] = dict.fromkeys(FIELDS)
    for _, fields in sorted(events, key=lambda pair: pair[0]):
        newest |= fields
    assert holds(world) == newest


def test_two_brands_are_apart() -> None:
    world = World()
    world.configure(configured(0, locale="de"))
    assert world.store.read_brand("other-brand") is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2])
def test_retry_completes_after_a_crash_at_any_call(nth: int, after: bool) -> None:
    world = World()
    with pytest.raises(Crash):
        world.configure(configured(0, locale="de"), Fault(nth=nth, after=after))
    world.configure(configured(0, locale="de"))
    assert brand(world).locale == "de"


def test_a_lost_race_reads_again_and_keeps_both() -> None:
    world = World()
    raced: list[bool] = []

    def race(name: str, call: Callable[[], Any]) -> Any:
        if name == "write_brand" and not raced:
            raced.append(world.configure(configured(1, timezone="Europe/London")))
        return call()

    assert world.configure(configured(0, locale="de"), race)
    assert raced == [True]
    assert (brand(world).locale, brand(world).timezone) == ("de", "Europe/London")


def test_one_who_loses_every_race_gives_up_loudly() -> None:
    world = World()
    with pytest.raises(WriteConflict):
        world.configure(configured(0), lambda name, call: False if name == "write_brand" else call())
    assert world.configure(configured(0))
