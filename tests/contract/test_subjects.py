"""Subjects are stored whole, and never replaced without a condition."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reengage.domain.conversation import expiry
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue
from tests.contract.samples import APPOINTMENT, NOW, subject
from tests.contract.stores import Harness

VALUES = {
    "text": "2026-12-01T09:00:00+01:00",
    "an empty text": "",
    "any script": "Đặt lịch 🦷 \u0000\u2028 ﷺ",
    "a whole number": 2**63 + 1,
    "a fraction": 0.1,
    "true": True,
    "false": False,
    "null": None,
    "an empty list": [],
    "a list": ["P1D", "PT2H"],
    "a map of locales": {"en": "Check-up", "de": "Kontrolle"},
    "a nest": {"items": [{"name": "Seife", "price": 4.5, "tags": [], "more": {"": None}}]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_every_kind_of_value_comes_back(harness: Harness, value: Any) -> None:
    written = subject(service=value)
    assert harness.store.write_subject(written)
    stored = harness.store.read_subject(APPOINTMENT)
    assert stored == replace(written, revision=1)
    assert type(stored.tracks["appointment"].get("service")) is type(value)


def test_tracks_are_read_with_their_former_state(harness: Harness) -> None:
    version = 2_218_000_000_0 * 10**6 + 999_999
    tracks = {
        "appointment": Track(
            version, active=True, fields={"location": VersionedValue(version, "x"), "service": VersionedValue(3, "y")}
        ),
        "check_in": Track(2, active=False),
    }
    previous = {
        "appointment": Track(3, active=False, fields={"service": VersionedValue(3, None)}),
        "trial": Track(1, active=True),
    }
    written = Subject(APPOINTMENT, tracks, previous, expires_at=4_102_444_800)
    assert harness.store.write_subject(written)
    assert harness.store.read_subject(APPOINTMENT) == replace(written, revision=1)


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json)
def test_reads_back_any_json_value(harness: Harness, value: Any) -> None:
    before = harness.store.read_subject(APPOINTMENT)
    written = subject(revision=before.revision if before else 0, anything=value)
    assert harness.store.write_subject(written)
    assert harness.store.read_subject(APPOINTMENT) == replace(written, revision=written.revision + 1)


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("revision", [0, 1, 2, 3])
def test_it_is_written_only_over_the_revision_that_was_read(harness: Harness, stored: int, revision: int) -> None:
    for number in range(stored):
        assert harness.store.write_subject(subject(revision=number, title=f"revision {number + 1}"))
    before = harness.store.read_subject(APPOINTMENT)
    written = harness.store.write_subject(subject(revision=revision, title="new"))
    assert written is (revision == stored)
    after = harness.store.read_subject(APPOINTMENT)
    assert after == (replace(subject(title="new"), revision=revision + 1) if written else before)


def test_one_that_ttl_deleted_meanwhile_does_not_rise_again(harness: Harness) -> None:
    assert harness.store.write_subject(subject())
    harness.expire(NOW + timedelta(days=46))
    assert harness.store.read_subject(APPOINTMENT) is None
    assert not harness.store.write_subject(subject(revision=1))
    assert harness.size() == 0


def test_no_two_subjects_are_alike(harness: Harness) -> None:
    ids = ["1", "1#2", "1#", "#1", "", "é", "e\u0301", "🦷" * 128]
    refs = [SubjectRef(brand, kind, id_) for brand in ("a", "b") for kind in ("appointment", "trial") for id_ in ids]
    for number, ref in enumerate(refs):
        assert harness.store.write_subject(Subject(ref, expires_at=expiry(NOW) + number))
    found = [harness.store.read_subject(ref) for ref in refs]
    assert found == [Subject(ref, expires_at=expiry(NOW) + number, revision=1) for number, ref in enumerate(refs)]


@pytest.mark.parametrize("days", [0, 45])
def test_it_stays_until_it_expires(harness: Harness, days: int) -> None:
    until: datetime = NOW + timedelta(days=45)
    assert harness.store.write_subject(subject())
    harness.expire(until - timedelta(days=days, seconds=1))
    assert harness.store.read_subject(APPOINTMENT)
