"""A contact's choices are kept forever, under a hashed key that does not identify the contact."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.domain.contact import Contact
from reengage.domain.preferences import LINK_RETENTION, Choice, Link, Preferences
from reengage.ports import Thread
from tests.contract.samples import ANNA, BEN, LATER, NOW, due_in, preferring, reminder, stopped
from tests.contract.stores import HASH_KEY, DynamoDB, Harness

CAUSES = {
    "none": None,
    "a text": "web form",
    "an empty text": "",
    "a map": {"word": "STOP ALL", "message_id": "wamid.1"},
    "any script": "Hủy đăng ký 🚫 e\u0301 #",
    "a nest": {"evidence": [{"at": "2026-11-30T08:00:00Z", "wording": {"de": "Ja, gern"}, "page": 4.5}, True, []]},
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_every_kind_of_cause_comes_back(harness: Harness, cause: Any) -> None:
    stored = preferring(harness.store, ANNA, stopped(cause=cause))
    read = harness.store.read_preferences(ANNA)
    assert read == stored
    assert type(read.contact["*"].cause) is type(cause)


def test_reads_back_all_choices(harness: Harness) -> None:
    berlin = timezone(timedelta(hours=1))
    choices = (
        stopped()
        .apply("contact", "rcs", Choice(allowed=True, at=LATER, cause={"word": "START"}))
        .apply("marketing", "sms", Choice(allowed=True, at=NOW.astimezone(berlin), cause="checkout"))
        .apply("marketing", "sms", Choice(allowed=True, at=LATER, cause="checkout, again"))
        .apply("marketing", "*", Choice(allowed=False, at=NOW - timedelta(days=900)))
        .erase("whatsapp", asked_at=NOW, at=LATER)
        .erase("rcs", asked_at=NOW.astimezone(berlin), at=datetime(2030, 1, 1, 0, 0, 0, 1, UTC))
    )
    stored = preferring(harness.store, ANNA, choices)
    assert harness.store.read_preferences(ANNA) == stored
    assert [stored.marketing[scope].changed for scope in ("sms", "*")] == [False, True]
    assert harness.size() == 1


def test_a_repeated_choice_keeps_when_it_changed(harness: Harness) -> None:
    stored = preferring(harness.store, ANNA, stopped().apply("contact", "*", Choice(allowed=False, at=LATER)))
    read = harness.store.read_preferences(ANNA)
    assert read == stored
    assert (read.contact["*"].changed, read.contact["*"].since) == (False, NOW)


def test_every_read_finds_them(harness: Harness) -> None:
    stored = preferring(harness.store, ANNA, stopped())
    assert harness.store.read_thread(ANNA, "wamid.1") == Thread(None, None, preferences=stored)
    assert harness.store.read_snapshot(reminder()).preferences == stored
    assert harness.store.read_holdings(ANNA).preferences == stored


def test_contact_without_choices_has_no_preferences(harness: Harness) -> None:
    assert harness.store.read_preferences(ANNA) == Preferences()


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("revision", [0, 1, 2, 3])
def test_they_are_written_only_over_the_revision_that_was_read(harness: Harness, stored: int, revision: int) -> None:
    for number in range(stored):
        preferring(harness.store, ANNA, replace(stopped(cause=f"write {number + 1}"), revision=number))
    before = harness.store.read_preferences(ANNA)
    written = harness.store.write_preferences(ANNA, replace(stopped(cause="new"), revision=revision))
    assert written is (revision == stored)
    after = replace(stopped(cause="new"), revision=revision + 1) if written else before
    assert harness.store.read_preferences(ANNA) == after


# Whose they are

PHONE = "+4915112345678"
SAME = [Contact("acme-dental", channel, PHONE) for channel in ("sms", "whatsapp", "rcs")]
OTHERS = {
    "another number": Contact("acme-dental", "sms", "+491511234567"),
    "another brand": Contact("acme", "sms", PHONE),
    "a brand that ends alike": Contact("acme-dental.sms", "sms", PHONE),
    "an opaque id of the same digits": Contact("acme-dental", "whatsapp", PHONE.removeprefix("+")),
    "an opaque id": Contact("acme-dental", "whatsapp", "DE.1234567890"),
    "an opaque id with the name's own marks": Contact("acme-dental", "whatsapp", f"phone#{PHONE}"),
}


@pytest.mark.parametrize("writes", SAME, ids=lambda contact: contact.channel)
@pytest.mark.parametrize("reads", SAME, ids=lambda contact: contact.channel)
def test_a_phone_number_has_one_row_whatever_the_channel(harness: Harness, writes: Contact, reads: Contact) -> None:
    stored = preferring(harness.store, writes, stopped())
    assert harness.store.read_preferences(reads) == stored
    assert not harness.store.write_preferences(reads, stopped())
    preferring(harness.store, reads, stored)
    assert harness.size() == 1


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_anyone_else_has_a_row_of_their_own(harness: Harness, other: Contact) -> None:
    stored = preferring(harness.store, ANNA, stopped())
    assert harness.store.read_preferences(other) == Preferences()
    preferring(harness.store, other, stopped(LATER))
    assert harness.store.read_preferences(ANNA) == stored
    assert harness.size() == 2


def test_an_opaque_id_is_of_its_channel_alone(harness: Harness) -> None:
    """The same id on another channel would be another person."""
    one, other = (Contact("acme-dental", channel, "DE.1234567890") for channel in ("whatsapp", "messenger"))
    preferring(harness.store, one, stopped())
    assert harness.store.read_preferences(other) == Preferences()


# How long they are kept

MARK = Preferences().erase("sms", asked_at=NOW, at=NOW)
LASTING = {
    "an opt-out": stopped(),
    "an opt-in": Preferences().apply("contact", "sms", Choice(allowed=True, at=NOW)),
    "a consent": Preferences().apply("marketing", "sms", Choice(allowed=True, at=NOW)),
    "an opt-out beside an erasure": stopped().erase("sms", asked_at=NOW, at=NOW),
    "an opt-out after an erasure": MARK.apply("contact", "*", Choice(allowed=False, at=LATER)),
}


@pytest.mark.parametrize("choices", LASTING.values(), ids=LASTING)
def test_choices_have_no_ttl(harness: Harness, choices: Preferences) -> None:
    preferring(harness.store, ANNA, choices)
    harness.expire(NOW + timedelta(days=4 * 365))
    assert harness.store.read_preferences(ANNA) == replace(choices, revision=1)


def test_the_mere_mark_of_an_erasure_outlives_it_by_45_days(harness: Harness) -> None:
    preferring(harness.store, ANNA, MARK.erase("rcs", asked_at=LATER, at=LATER))
    end = LATER + timedelta(days=45)
    harness.expire(end - timedelta(seconds=1))
    assert harness.size() == 1
    harness.expire(end + timedelta(seconds=1))
    assert harness.store.read_preferences(ANNA) == Preferences()


def test_erasure_mark_with_a_choice_has_no_ttl(harness: Harness) -> None:
    mark = preferring(harness.store, ANNA, MARK)
    choices = preferring(harness.store, ANNA, mark.apply("contact", "*", Choice(allowed=False, at=LATER)))
    harness.expire(NOW + timedelta(days=400))
    assert harness.store.read_preferences(ANNA) == choices


def test_nothing_replaces_a_mark_that_ttl_deleted_meanwhile(harness: Harness) -> None:
    mark = preferring(harness.store, ANNA, MARK)
    harness.expire(NOW + timedelta(days=46))
    assert not harness.store.write_preferences(ANNA, mark.apply("contact", "*", Choice(allowed=False, at=LATER)))
    assert harness.size() == 0
    preferring(harness.store, ANNA, stopped(LATER))


# DynamoDB's own item


@pytest.mark.parametrize("contact", [ANNA, OTHERS["an opaque id"]], ids=["a number", "an opaque id"])
def test_preferences_item_does_not_identify_the_contact(dynamodb: DynamoDB, contact: Contact) -> None:
    preferring(dynamodb.store, contact, stopped(cause={"word": "STOP", "message_id": "SM1"}))
    (item,) = dynamodb.items()
    assert contact.address.removeprefix("+")[:8] not in str(item)
    assert contact.brand not in str(item)
    assert set(item) == {"pk", "sk", "type", "contact", "marketing", "erasures", "revision"}


def with_hash_key(store: DynamoDBStore, hash_key: Callable[[], str]) -> DynamoDBStore:
    return replace(store, table=replace(store.table, hash_key=hash_key))


def test_by_another_key_nothing_is_found(dynamodb: DynamoDB) -> None:
    stored = preferring(dynamodb.store, ANNA, stopped())
    stranger = with_hash_key(dynamodb.store, HASH_KEY.swapcase)
    assert stranger.read_preferences(ANNA) == Preferences()
    assert stranger.read_thread(ANNA).preferences == Preferences()
    assert with_hash_key(dynamodb.store, lambda: HASH_KEY).read_preferences(ANNA) == stored


def test_hash_key_is_read_only_if_preferences_are_used(dynamodb: DynamoDB) -> None:
    """A run without due messages need not read the secret."""

    def refuse() -> str:
        raise PermissionError("not now")

    without = with_hash_key(dynamodb.store, refuse)
    assert due_in(without, ANNA.shard, NOW) == []
    assert without.read_subject(reminder().subject) is None
    assert without.erase(BEN, until=NOW) == 0
    for read in (without.read_preferences, without.read_thread, without.read_holdings):
        with pytest.raises(PermissionError):
            read(ANNA)


LINKED = replace(ANNA, channel="whatsapp", address="GB.1112223334445556")


def test_links_and_a_move_are_kept_under_the_hashed_key(harness: Harness) -> None:
    store = harness.store
    key = store.preferences_key(LINKED)
    linked = Preferences().link(key, Link(NOW, "sms")).move(NOW)
    stored = preferring(store, ANNA, linked)
    assert store.read_preferences(ANNA) == store.read_linked(store.preferences_key(ANNA)) == stored
    assert store.read_snapshot(reminder()).preferences == stored
    assert store.read_preferences(LINKED) == Preferences()
    assert store.write_linked(key, stopped())
    assert store.read_preferences(LINKED) == replace(stopped(), revision=1)
    assert not store.write_linked(key, stopped())


def test_preferences_without_content_are_deleted(harness: Harness) -> None:
    store = harness.store
    stored = preferring(store, ANNA, Preferences().link(store.preferences_key(LINKED), Link(NOW, "sms")))
    assert harness.size() == 1
    assert not store.write_preferences(ANNA, Preferences(revision=7))
    assert store.write_preferences(ANNA, stored.unlink(*stored.links))
    assert harness.size() == 0
    assert store.write_preferences(ANNA, stopped())


def test_a_link_expires_unless_an_opt_out_is_stored(harness: Harness) -> None:
    store = harness.store
    link = {store.preferences_key(LINKED): Link(NOW, "sms")}
    for contact, preferences in ((ANNA, Preferences(links=link)), (BEN, replace(stopped(), links=link))):
        preferring(store, contact, preferences)
    harness.expire(NOW + LINK_RETENTION)
    assert harness.size() == 2
    harness.expire(NOW + LINK_RETENTION + timedelta(seconds=1))
    assert store.read_preferences(ANNA) == Preferences()
    assert store.read_preferences(BEN).links == link


def test_no_address_is_readable_in_a_link(dynamodb: DynamoDB) -> None:
    store = dynamodb.store
    preferring(store, ANNA, Preferences().link(store.preferences_key(LINKED), Link(NOW, "sms")))
    assert not [item for item in dynamodb.items() if LINKED.address in str(item) or ANNA.address in str(item)]
