"""How a brand presents itself: field by field the newest event holds, in whichever order they come."""

from dataclasses import replace
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.domain.brand import Brand

Event = tuple[int, dict[str, Any]]

FIRST: Event = (
    1,
    {"name": "Acme Dental", "timezone": "Europe/Berlin", "help_text": {"en": "Call us", "de": "Anrufen"}},
)
MOVED: Event = (2, {"name": "Acme Dental", "timezone": "Europe/Lisbon"})
RENAMED: Event = (3, {"name": "Acme Smiles", "locale": "pt"})


def apply_all(*events: Event) -> Brand:
    return reduce(lambda brand, event: brand.apply(*event), events, Brand("acme-dental"))


def test_brand_without_events_has_no_values() -> None:
    brand = Brand("acme-dental")
    assert (brand.name, brand.timezone, brand.locale, brand.help_text, brand.stop_text) == (None,) * 5
    assert brand.apply(1, {}) == brand


@pytest.mark.parametrize("events", [*permutations((FIRST, MOVED, RENAMED))])
def test_each_field_has_the_value_of_its_newest_event(events: tuple[Event, ...]) -> None:
    brand = apply_all(*events)
    assert (brand.name, brand.timezone, brand.locale) == ("Acme Smiles", "Europe/Lisbon", "pt")
    assert brand.help_text == {"en": "Call us", "de": "Anrufen"}
    assert brand.stop_text is None
    assert brand.versions == {"name": 3, "timezone": 2, "locale": 3, "help_text": 1}


def test_an_event_that_comes_again_changes_nothing() -> None:
    brand = apply_all(FIRST, RENAMED)
    assert brand.apply(*RENAMED) == brand
    assert brand.apply(*FIRST) == brand


def test_later_arrival_wins_between_equal_versions() -> None:
    """Envelopes have whole seconds, and most events arrive in the order in which they happened."""
    assert apply_all((1, {"name": "Acme"}), (1, {"name": "Acme Smiles"})).name == "Acme Smiles"


def test_events_cannot_set_key_or_revision() -> None:
    stored = replace(Brand("acme-dental"), revision=7)
    known = stored.apply(*FIRST)
    assert (known.id, known.revision) == ("acme-dental", 7)
    assert stored == replace(Brand("acme-dental"), revision=7)


FIELDS = st.dictionaries(st.sampled_from(("name", "timezone", "locale", "help_text", "stop_text")), st.text(max_size=3))


@given(st.data(), st.dictionaries(st.integers(1, 9), FIELDS, max_size=5))
def test_the_order_of_arrival_and_repeats_are_all_one(data: st.DataObject, events: dict[int, dict[str, str]]) -> None:
    shuffled = data.draw(st.permutations([*events.items(), *events.items()]))
    in_order: dict[str, str] = {}
    for version in sorted(events):
        in_order |= events[version]
    brand = apply_all(*shuffled)
    assert brand == apply_all(*sorted(events.items()))
    assert {name: getattr(brand, name) for name in in_order} == in_order
    assert set(brand.versions) == set(in_order)
