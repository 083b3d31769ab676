"""The stored fields of a brand, each with the version of its event."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.domain.brand import STACK, Brand
from tests.contract.samples import ANNA, NOW, brand, conversation, reminder
from tests.contract.stores import TABLE, DynamoDB, Harness

FIELDS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "one text for all": {"name": "Acme Dental", "help_text": "Call +49 30 1234", "stop_text": "Reply STOP"},
    "a text for each locale": {"name": {"de": "Zahnärzte Acme 🦷", "vi": "Nha khoa Acme"}, "stop_text": {"en": "STOP"}},
    "a map without texts": {"help_text": {}},
    "an empty text": {"stop_text": ""},
    "zone and locale": {"timezone": "Europe/Berlin", "locale": "de-AT"},
    "everything": {
        "name": "Acme",
        "timezone": "UTC",
        "locale": "en",
        "help_text": {"en": "Call us"},
        "stop_text": "STOP",
    },
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_reads_back_what_was_written(harness: Harness, fields: dict[str, Any]) -> None:
    written = brand(**fields)
    assert harness.store.write_brand(written)
    stored = replace(written, revision=1)
    read = harness.store.read_brand(written.id)
    assert read == stored
    assert {name: type(getattr(read, name)) for name in fields} == {name: type(value) for name, value in fields.items()}
    assert harness.store.read_snapshot(reminder()).brand == stored


def test_each_field_keeps_the_version_of_its_event(harness: Harness) -> None:
    version = 2_218_000_000_0 * 10**6 + 999_999
    fields = Brand("acme-dental").apply(version, {"name": "New"}).apply(3, {"name": "Old", "locale": "de"})
    assert harness.store.write_brand(fields)
    read = harness.store.read_brand("acme-dental")
    assert read == replace(fields, revision=1)
    assert read.versions == {"name": version, "locale": 3}


@pytest.mark.parametrize("other", ["acme", "acme-dental.sms", "ACME-DENTAL"])
def test_no_other_brand_is_it(harness: Harness, other: str) -> None:
    assert harness.store.read_brand("acme-dental") is None
    assert harness.store.write_brand(brand(name="Acme"))
    assert harness.store.read_brand(other) is None
    assert harness.store.write_brand(Brand(other))
    assert harness.store.read_brand("acme-dental") == replace(brand(name="Acme"), revision=1)


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("revision", [0, 1, 2, 3])
def test_it_is_written_only_over_the_revision_that_was_read(harness: Harness, stored: int, revision: int) -> None:
    for number in range(stored):
        assert harness.store.write_brand(replace(brand(name=f"write {number + 1}"), revision=number))
    before = harness.store.read_brand("acme-dental")
    written = harness.store.write_brand(replace(brand(name="new"), revision=revision))
    assert written is (revision == stored)
    after = replace(brand(name="new"), revision=revision + 1) if written else before
    assert harness.store.read_brand("acme-dental") == after


def test_it_outlives_every_ttl_and_every_contact(harness: Harness) -> None:
    assert harness.store.write_brand(brand(name="Acme"))
    harness.expire(NOW + timedelta(days=4 * 365))
    assert harness.store.erase(ANNA, until=NOW + timedelta(days=4 * 365)) == 0
    assert harness.store.read_brand("acme-dental") == replace(brand(name="Acme"), revision=1)


def test_snapshot_takes_rows_that_the_caller_has_read(harness: Harness) -> None:
    stored = brand(name="Acme")
    assert harness.store.write_brand(stored)
    known = {STACK: None, ANNA.brand: replace(stored, locale="de")}
    snapshot = harness.store.read_snapshot(reminder(), brands=known)
    assert (snapshot.brand, snapshot.stack) == (known[ANNA.brand], None)


def test_rows_that_the_caller_has_read_are_not_read_again(local: DynamoDB) -> None:
    assert local.store.write_conversation(ANNA, conversation(), replacing=None)
    with local.calls() as calls:
        local.store.read_snapshot(reminder(), brands={STACK: None, ANNA.brand: None})
    [read] = calls.requests
    assert len(read.params["RequestItems"][TABLE]["Keys"]) == 7 - 2
