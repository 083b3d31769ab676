"""Openers and consents: created once, used once, and deleted after their time or with their contact."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reengage.domain.contact import Contact
from reengage.domain.openers import Consent, Opener
from reengage.domain.subject import SubjectRef
from tests.contract.stores import Harness

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
REF = SubjectRef("acme-dental", "appointment", "a-17")
CODE = "K7QMX4TRW9"
OPENER = Opener("acme-dental", CODE, REF, "a hash", NOON + DAY)
BEN = Contact("acme-dental", "whatsapp", "+4915187654321")


def test_reads_an_opener_by_its_brand_and_token(harness: Harness) -> None:
    store = harness.store
    store.write_opener(OPENER)
    assert store.read_openers("acme-dental", ["A7QMX4TRW9", CODE]) == {CODE: OPENER}
    assert store.read_openers("other", [CODE]) == {}
    assert store.read_openers("acme-dental", [CODE.lower()]) == {}


def test_a_new_end_replaces_the_old_one(harness: Harness) -> None:
    store = harness.store
    store.write_opener(OPENER)
    later = replace(OPENER, expires_at=NOON + 2 * DAY)
    store.write_opener(later)
    assert store.read_openers("acme-dental", [CODE]) == {CODE: later}
    harness.expire(NOON + DAY + timedelta(hours=1))
    assert store.read_openers("acme-dental", [CODE]) == {CODE: later}
    harness.expire(NOON + 2 * DAY + timedelta(hours=1))
    assert store.read_openers("acme-dental", [CODE]) == {}


def test_one_message_uses_an_opener(harness: Harness) -> None:
    store = harness.store
    store.write_opener(OPENER)
    assert store.use_opener(OPENER, "m1", at=NOON)
    assert not store.use_opener(OPENER, "m2", at=NOON)
    assert store.use_opener(OPENER, "m1", at=NOON)
    (used,) = store.read_openers("acme-dental", [CODE]).values()
    assert (used.used_by, used.used_at) == ("m1", NOON)


def test_a_used_opener_stays_used(harness: Harness) -> None:
    store = harness.store
    store.write_opener(OPENER)
    store.use_opener(OPENER, "m1", at=NOON)
    store.write_opener(replace(OPENER, expires_at=NOON + 9 * DAY))
    (used,) = store.read_openers("acme-dental", [CODE]).values()
    assert (used.used_by, used.expires_at) == ("m1", OPENER.expires_at)


def test_an_opener_that_is_gone_cannot_be_used(harness: Harness) -> None:
    assert not harness.store.use_opener(OPENER, "m1", at=NOON)
    assert harness.store.read_openers("acme-dental", [CODE]) == {}


def test_keyed_hash_is_hexadecimal_and_stable(harness: Harness) -> None:
    one, other = harness.store.keyed_hash("anna"), harness.store.keyed_hash("bert")
    assert one == harness.store.keyed_hash("anna") != other
    assert len(one) == 64
    int(one, 16)


def test_consent_is_stored_once_and_erased_with_its_contact(harness: Harness) -> None:
    store, expires_at = harness.store, int((NOON + 365 * DAY).timestamp())
    consent = Consent("W1", NOON, "Remind me: K7QMX-4TRW9", REF)
    store.write_consent(BEN, consent, expires_at=expires_at)
    store.write_consent(BEN, replace(consent, text="another"), expires_at=expires_at)
    assert list(store.read_holdings(BEN).consents) == [consent]
    assert list(store.read_holdings_page(BEN)[0].consents) == [consent]
    assert list(store.read_holdings(replace(BEN, channel="sms")).consents) == []
    store.erase(BEN, until=NOON - timedelta(seconds=1))
    assert list(store.read_holdings(BEN).consents) == [consent]
    assert store.erase(BEN, until=NOON) == 1
    assert list(store.read_holdings(BEN).consents) == []


def test_consent_expires(harness: Harness) -> None:
    consent = Consent("W1", NOON, "Remind me", REF)
    harness.store.write_consent(BEN, consent, expires_at=int((NOON + DAY).timestamp()))
    harness.expire(NOON + 2 * DAY)
    assert list(harness.store.read_holdings(BEN).consents) == []
