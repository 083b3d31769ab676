"""The index of appointments by day: booked, moved, cancelled, and only those of the day and the brand."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from reengage.domain.contact import Contact
from reengage.domain.subject import Subject, SubjectRef
from reengage.ports import Store
from tests.contract.samples import ANNA, APPOINTMENT, NOW, TODAY, arrived, planned, reminder
from tests.contract.stores import DynamoDB, Harness
from tests.fakes import business

MIDNIGHT = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), NOW.tzinfo)


def apply(store: Store, event_type: str, *, ref: SubjectRef = APPOINTMENT, at: datetime = NOW, **values: Any) -> None:
    contact = Contact(ref.brand, "sms", ANNA.address)
    event = arrived(business(event_type, at, subject_id=ref.id, contact=contact, **values), at)
    before = store.read_subject(ref) or Subject(ref, expires_at=2_000_000_000)
    assert store.write_subject(replace(before.apply(event), last_event_at=at))


def found(store: Store, day: date = TODAY, brand: str = ANNA.brand) -> list[str]:
    return sorted(subject.ref.id for subject in store.appointments_of_day(brand, day))


def test_an_appointment_is_found_on_its_day_of_utc(harness: Harness) -> None:
    store = harness.store
    tick = timedelta(microseconds=1)
    for name, starts_at in (("first", MIDNIGHT - timedelta(days=1)), ("last", MIDNIGHT - tick), ("next", MIDNIGHT)):
        apply(store, "AppointmentBooked", ref=SubjectRef(ANNA.brand, "appointment", name), starts_at=starts_at)
    assert found(store) == ["first", "last"]
    assert found(store, MIDNIGHT.date()) == ["next"]
    assert found(store, TODAY - timedelta(days=1)) == []


def test_an_offset_of_the_event_changes_no_day(harness: Harness) -> None:
    apply(harness.store, "AppointmentBooked", starts_at="2026-12-01T08:30:00+09:00")
    assert found(harness.store) == [APPOINTMENT.id]


def test_a_moved_appointment_is_found_on_its_new_day_only(harness: Harness) -> None:
    store = harness.store
    apply(store, "AppointmentBooked", starts_at=NOW)
    apply(store, "AppointmentRescheduled", starts_at=NOW + timedelta(days=7))
    assert found(store) == []
    assert found(store, TODAY + timedelta(days=7)) == [APPOINTMENT.id]


def test_a_cancelled_appointment_is_not_found(harness: Harness) -> None:
    apply(harness.store, "AppointmentBooked", starts_at=NOW)
    apply(harness.store, "AppointmentCancelled")
    assert found(harness.store) == []


def test_an_appointment_of_another_brand_is_not_found(harness: Harness) -> None:
    """A brand may be named like a part of the index."""
    apply(harness.store, "AppointmentBooked", ref=SubjectRef("day", "appointment", "A-1"), starts_at=NOW)
    assert found(harness.store) == []
    assert found(harness.store, brand="day") == ["A-1"]


@pytest.mark.parametrize("rows_a_page", [7, 1000])
def test_a_full_day_is_read_page_by_page(harness: Harness, rows_a_page: int) -> None:
    ids = [f"A#{number:03}" for number in range(103)]
    for each in ids:
        apply(harness.store, "AppointmentBooked", ref=SubjectRef(ANNA.brand, "appointment", each), starts_at=NOW)
    with harness.small_pages(rows_a_page):
        assert found(harness.store) == ids


def test_a_booking_costs_one_write_unit_more_for_the_index(local: DynamoDB) -> None:
    with local.calls() as without:
        apply(local.store, "AppointmentCancelled", ref=SubjectRef(ANNA.brand, "appointment", "none"))
    starts_at = NOW.replace(microsecond=0)
    with local.calls() as booked:
        apply(local.store, "AppointmentBooked", starts_at=starts_at)
    with local.calls() as changed:
        apply(
            local.store, "AppointmentBooked", starts_at=starts_at, at=NOW + timedelta(seconds=1), location="Main St 1"
        )
    assert (without.write_units, booked.write_units, changed.write_units) == (1, 2, 1)


def test_messages_are_read_by_key_and_missing_ones_left_out(harness: Harness) -> None:
    rows = [planned(harness.store, reminder(offset=f"PT{hours}H")) for hours in range(103)]
    keys = [row.key for row in rows]
    missing = reminder(offset="P9D").key
    assert harness.store.read_messages([*keys, missing, keys[0]]) == {row.key: row for row in rows}
    assert harness.store.read_messages([]) == {}
