"""Which contacts are in a broadcast's audience: every open conversation and every interest. Concurrent changes hide
none.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import islice, pairwise, product

import pytest

from reengage.domain.broadcast import Recipient
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.subject import SubjectRef
from reengage.ports import Page, Store
from tests.contract.samples import (
    ANNA,
    BEN,
    ITEM,
    LATER,
    NOW,
    PREVIEW,
    TODAY,
    TRIAL,
    contacts_of_shard,
    conversation,
    interested,
    profile,
    recipients_in_pages,
    subject,
    viewed,
    whole_audience,
)
from tests.contract.stores import DynamoDB, Harness

DAY = timedelta(days=1)
SHARD = 3
PAGES = [1, 2, 3, 100]


def _receive(store: Store, contact: Contact, at: datetime = NOW) -> None:
    """The contact's conversation, as of a message at that instant."""
    before = store.read_thread(contact).conversation
    assert store.write_conversation(contact, conversation(at), replacing=before)


def _open(
    store: Store, contacts: list[Contact], *, day: date = TODAY, limit: int = 100, shard: int = SHARD
) -> list[Contact]:
    """Those of the contacts' brand, sorted."""
    subject = replace(PREVIEW, brand=contacts[0].brand)
    found = whole_audience(store, "open_conversations", subject, shard, day=day, limit=limit)
    assert all(recipient.since is None for recipient in found)
    return _sorted([recipient.contact for recipient in found])


def _sorted(contacts: list[Contact]) -> list[Contact]:
    return sorted(contacts, key=lambda contact: contact.key)


# The brand's open conversations


def test_audience_without_conversations_is_empty(harness: Harness) -> None:
    empty = Page([], None)
    assert harness.store.audience_page("open_conversations", PREVIEW, SHARD, day=TODAY, cursor=None, limit=33) == empty
    assert harness.store.audience_page("interested", ITEM, SHARD, day=TODAY, cursor=None, limit=33) == empty


@pytest.mark.parametrize("limit", PAGES)
def test_audience_has_each_open_conversation_of_the_shard_once(harness: Harness, limit: int) -> None:
    store = harness.store
    contacts = list(islice(contacts_of_shard(SHARD), 12))
    closing_on = [-9, -1, -1, 0, 0, 0, 1, 1, 5, 17, 30, 30]
    for contact, days in zip(contacts, closing_on, strict=True):
        _receive(store, contact, NOW - WINDOW + days * DAY)
    for brand in ("acme", "acme-dental-2"):
        _receive(store, next(contacts_of_shard(SHARD, brand)))
    for shard in (1, 2, 13):  # "3" begins none of them, and ends one
        _receive(store, next(contacts_of_shard(shard)))
    for contact in contacts:
        interested(store, contact)
    assert store.write_profile(BEN, profile(), replacing=None)
    assert _open(store, contacts, limit=limit) == _sorted(contacts[3:])


def test_each_shard_has_its_own(harness: Harness) -> None:
    """Together the shards have all contacts, and no contact is in two of them."""
    contacts = [contact for shard in range(SHARDS) for contact in islice(contacts_of_shard(shard), 2)]
    for contact in contacts:
        _receive(harness.store, contact)
    found = {shard: _open(harness.store, contacts, shard=shard) for shard in range(SHARDS)}
    assert found == {shard: _sorted(contacts[2 * shard : 2 * shard + 2]) for shard in range(SHARDS)}


MIDNIGHT = datetime.combine(TODAY, time(), UTC)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
CLOSINGS = {
    "at the day's first instant": (MIDNIGHT, True),
    "at its last": (MIDNIGHT + DAY - timedelta(microseconds=1), True),
    "just before it": (MIDNIGHT - timedelta(microseconds=1), False),
    "on the day before where the person is": ((MIDNIGHT + timedelta(hours=1)).astimezone(timezone(-DAY / 2)), True),
    "on that day where the person is, and not in UTC": ((MIDNIGHT - timedelta(hours=1)).astimezone(KATHMANDU), False),
}


@pytest.mark.parametrize(("closes_at", "is_in"), CLOSINGS.values(), ids=CLOSINGS)
def test_audience_has_windows_that_close_on_the_day_or_later(
    harness: Harness, closes_at: datetime, *, is_in: bool
) -> None:
    """The day is UTC's. The policy decides whether the window is open at that instant."""
    _receive(harness.store, ANNA, closes_at - WINDOW)
    assert _open(harness.store, [ANNA], shard=ANNA.shard) == ([ANNA] if is_in else [])


def test_shortened_expiry_moves_the_audience_day_too(harness: Harness) -> None:
    soon = conversation(expires_at=int((MIDNIGHT + 2 * DAY).timestamp()))
    assert harness.store.write_conversation(ANNA, soon, replacing=None)
    assert _open(harness.store, [ANNA], shard=ANNA.shard, day=TODAY + 2 * DAY) == [ANNA]
    assert _open(harness.store, [ANNA], shard=ANNA.shard, day=TODAY + 3 * DAY) == []


def test_a_conversation_is_found_on_its_latest_day_alone(harness: Harness) -> None:
    for at in (NOW - 3 * DAY, NOW, NOW + timedelta(seconds=1), NOW + 9 * DAY):
        _receive(harness.store, ANNA, at)
    for limit in PAGES:
        assert whole_audience(harness.store, limit=limit) == [Recipient(ANNA)]
    last_day = (NOW + 9 * DAY + WINDOW).date()
    assert _open(harness.store, [ANNA], shard=ANNA.shard, day=last_day) == [ANNA]
    assert _open(harness.store, [ANNA], shard=ANNA.shard, day=last_day + DAY) == []


def test_closing_notice_keeps_the_conversation_in_the_audience(harness: Harness) -> None:
    warned = conversation(warned_expires_at=conversation().expires_at)
    _receive(harness.store, ANNA)
    assert harness.store.write_conversation(ANNA, warned, replacing=conversation())
    assert whole_audience(harness.store) == [Recipient(ANNA)]


def test_one_that_ttl_deleted_is_not_in_the_audience(harness: Harness) -> None:
    _receive(harness.store, ANNA)
    harness.expire(NOW + WINDOW + timedelta(seconds=1))
    assert whole_audience(harness.store) == []


ADDRESSES = {
    "phone": "+4915112345678",
    "user id": "DE.1234567890ABCDEF",
    "with the keys' own mark": "a#b##c",
    "only marks": "###",
    "percent": "a%23b%2523#",
    "lines": "a\nb\n",
    "any script": "Cuộc hẹn 🦷 ﷺ é e\u0301/+ ",
    "256 bytes": "é" * 128,
}


@pytest.mark.parametrize("limit", [1, 33])
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_any_address_is_found_once_in_both_audiences(harness: Harness, address: str, limit: int) -> None:
    contact = Contact("acme.dental_2-x", "whatsapp", address)
    _receive(harness.store, contact)
    shown = interested(harness.store, contact)
    assert shown.ref.of == contact
    brand, shard = contact.brand, contact.shard
    found = whole_audience(harness.store, subject=replace(PREVIEW, brand=brand), shard=shard, limit=limit)
    assert found == [Recipient(contact)]
    found = whole_audience(harness.store, "interested", replace(ITEM, brand=brand), shard, limit=limit)
    assert found == [Recipient(contact, NOW)]


# While a run reads pages


def _five(store: Store) -> list[Contact]:
    """Closing on five days, in this order."""
    contacts = list(islice(contacts_of_shard(SHARD), 5))
    for number, contact in enumerate(contacts):
        _receive(store, contact, NOW - WINDOW + (number + 1) * DAY)
    return contacts


def _later(store: Store, contact: Contact) -> None:
    _receive(store, contact, NOW + DAY)


def _erased(store: Store, contact: Contact) -> None:
    assert store.erase(contact, until=NOW + WINDOW)


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("mover", range(5))
def test_contact_who_writes_during_paging_is_found(harness: Harness, limit: int, mover: int) -> None:
    """Before the cursor, at the cursor, or behind it: their window closes later now, so they move behind it."""
    contacts = _five(harness.store)
    pages = recipients_in_pages(harness.store, shard=SHARD, limit=limit)
    found = [recipient.contact for recipient in next(pages)]
    _later(harness.store, contacts[mover])
    found += [recipient.contact for page in pages for recipient in page]
    expected = contacts[:mover] + contacts[mover + 1 :] + [contacts[mover]]
    assert found == (contacts[:limit] + expected[limit - 1 :] if mover < limit else expected)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_contacts_may_write_after_every_page(harness: Harness, limit: int) -> None:
    """A contact that keeps writing is found again, but the pages end: its window moves by a day at most."""
    contacts = _five(harness.store)
    found: list[Contact] = []
    for page in recipients_in_pages(harness.store, shard=SHARD, limit=limit):
        found += [recipient.contact for recipient in page]
        for contact in contacts:
            _later(harness.store, contact)
    assert set(found) == set(contacts)
    assert len(found) <= len(contacts) + limit


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("gone", range(5))
def test_erasure_between_pages_loses_no_other_contact(harness: Harness, limit: int, gone: int) -> None:
    contacts = _five(harness.store)
    pages = recipients_in_pages(harness.store, shard=SHARD, limit=limit)
    found = [recipient.contact for recipient in next(pages)]
    _erased(harness.store, contacts[gone])
    found += [recipient.contact for page in pages for recipient in page]
    assert found == [contact for number, contact in enumerate(contacts) if number < limit or number != gone]


@pytest.mark.parametrize("limit", [1, 2])
def test_erasing_the_cursors_contact_loses_no_other_of_its_day(harness: Harness, limit: int) -> None:
    """Contacts of one day have a store-specific order; the cursor must work after its contact is erased."""
    contacts = list(islice(contacts_of_shard(SHARD), 7))
    for contact in contacts:
        _receive(harness.store, contact)
    found: list[Contact] = []
    for page in recipients_in_pages(harness.store, shard=SHARD, limit=limit):
        found += [recipient.contact for recipient in page]
        if page:
            _erased(harness.store, page[-1].contact)
    assert _sorted(found) == _sorted(contacts)


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize("days", [1, 2, 9])
def test_cursor_of_a_past_day_continues_after_that_day(harness: Harness, limit: int, days: int) -> None:
    """A run was cut short at its time limit, and the next one came after midnight: DynamoDB refuses to begin outside
    of what is asked for, "The provided starting key is outside query boundaries".
    """
    contacts = _five(harness.store)
    first = harness.store.audience_page("open_conversations", PREVIEW, SHARD, day=TODAY, cursor=None, limit=limit)
    assert [recipient.contact for recipient in first.recipients] == contacts[:limit]
    found: list[Contact] = []
    cursor = first.cursor
    while cursor:
        page = harness.store.audience_page(
            "open_conversations", PREVIEW, SHARD, day=TODAY + days * DAY, cursor=cursor, limit=limit
        )
        found += [recipient.contact for recipient in page.recipients]
        cursor = page.cursor
    assert found == contacts[max(limit, days - 1) :]


# Those who showed interest in an item


def _interested(
    store: Store, contact: Contact = ANNA, item: str = ITEM.id, *, day: date = TODAY, limit: int = 100
) -> list[Recipient]:
    """In the contact's shard."""
    return whole_audience(
        store, "interested", SubjectRef(contact.brand, "item", item), contact.shard, day=day, limit=limit
    )


def test_interest_is_in_the_audience_until_it_is_withdrawn(harness: Harness) -> None:
    store = harness.store
    interested(store, at=NOW)
    assert _interested(store) == [Recipient(ANNA, NOW)]
    interested(store, at=LATER, event_type="InterestWithdrawn")
    assert _interested(store) == []
    interested(store, at=LATER + DAY)
    assert _interested(store) == [Recipient(ANNA, LATER + DAY)]


def test_repeated_interest_is_found_once_with_the_newer_instant(harness: Harness) -> None:
    for at in (NOW, LATER, LATER + DAY):
        interested(harness.store, at=at)
        assert _interested(harness.store, limit=1) == [Recipient(ANNA, at)]


def test_an_older_word_that_comes_late_changes_nothing(harness: Harness) -> None:
    interested(harness.store, at=LATER)
    interested(harness.store, at=NOW, event_type="InterestWithdrawn")
    assert _interested(harness.store) == [Recipient(ANNA, LATER)]
    interested(harness.store, BEN, at=LATER, event_type="InterestWithdrawn")
    interested(harness.store, BEN, at=NOW)
    assert _interested(harness.store, BEN) == []


ITEMS = ["SKU-7", "SKU", "SKU-7#red", "#SKU-7", "SKU-7#", "#", "", "ü/é e\u0301 🦷", "x" * 512]


def test_whatever_the_items_id_its_audience_is_its_own(harness: Harness) -> None:
    """Items and addresses whose parts could be mistaken for those of another one."""
    contacts = [Contact(ANNA.brand, "whatsapp", address) for address in ("a", "a#SKU-7", "a#", "#a", "é")]
    shown = {pair: NOW + number * timedelta(seconds=1) for number, pair in enumerate(product(contacts, ITEMS))}
    for (contact, item), at in shown.items():
        interested(harness.store, contact, item=item, at=at)
    for item in ITEMS:
        found = [
            recipient
            for shard in sorted({contact.shard for contact in contacts})
            for recipient in whole_audience(harness.store, "interested", replace(ITEM, id=item), shard, limit=2)
        ]
        expected = [Recipient(contact, shown[contact, item]) for contact in contacts]
        assert sorted(found, key=str) == sorted(expected, key=str)


def test_an_audience_is_of_its_brand_item_and_shard_alone(harness: Harness) -> None:
    store = harness.store
    same_shard = next(contact for contact in contacts_of_shard(ANNA.shard) if contact != ANNA)
    elsewhere = next(contacts_of_shard((ANNA.shard + 1) % SHARDS))
    other_brand = next(contacts_of_shard(ANNA.shard, "acme"))
    for contact in (ANNA, same_shard, elsewhere, other_brand):
        interested(store, contact)
    interested(store, BEN, item="another")
    viewed(store, BEN)
    _receive(store, BEN)
    assert sorted(_interested(store), key=str) == sorted([Recipient(ANNA, NOW), Recipient(same_shard, NOW)], key=str)
    assert _interested(store, elsewhere) == [Recipient(elsewhere, NOW)]
    assert _interested(store, other_brand) == [Recipient(other_brand, NOW)]


INSTANTS = {
    "whole seconds": datetime(2026, 12, 1, 9, tzinfo=UTC),
    "a microsecond": datetime(2026, 12, 1, 9, 0, 0, 1, tzinfo=UTC),
    "the last microsecond of a year": datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "of another offset": datetime(2026, 12, 1, 0, 30, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=45))),
}


@pytest.mark.parametrize("at", INSTANTS.values(), ids=INSTANTS)
def test_since_when_comes_back_to_the_microsecond(harness: Harness, at: datetime) -> None:
    interested(harness.store, at=at)
    ((contact, since),) = _interested(harness.store, day=at.date())
    assert (contact, since) == (ANNA, at)
    assert since is not None
    assert since.utcoffset() is not None


@pytest.mark.parametrize(("days", "is_in"), [(0, True), (44, True), (45, True), (46, False)])
def test_an_interest_lasts_to_the_day_on_which_it_expires(harness: Harness, days: int, *, is_in: bool) -> None:
    interested(harness.store, duration=45 * DAY)
    assert _interested(harness.store, day=TODAY + days * DAY) == ([Recipient(ANNA, NOW)] if is_in else [])


def test_an_interest_that_ttl_deleted_is_not_in_the_audience(harness: Harness) -> None:
    interested(harness.store, duration=45 * DAY)
    harness.expire(NOW + 45 * DAY + timedelta(seconds=1))
    assert _interested(harness.store) == []


@pytest.mark.parametrize("limit", PAGES)
def test_all_interested_contacts_are_found(harness: Harness, limit: int) -> None:
    contacts = list(islice(contacts_of_shard(SHARD), 9))
    members = [Recipient(contact, NOW + (number % 4) * DAY) for number, contact in enumerate(contacts)]
    for contact, since in members:
        assert since
        interested(harness.store, contact, at=since)
    found = whole_audience(harness.store, "interested", ITEM, SHARD, limit=limit)
    assert sorted(found, key=str) == sorted(members, key=str)
    assert all(a.since <= b.since for a, b in pairwise(found) if a.since and b.since), "those that last longest, last"


@pytest.mark.parametrize("limit", [1, 2])
def test_interest_changed_between_pages_loses_no_other_contact(harness: Harness, limit: int) -> None:
    contacts = list(islice(contacts_of_shard(SHARD), 6))
    for contact in contacts:
        interested(harness.store, contact)
    found: list[Contact] = []
    for turn, page in enumerate(recipients_in_pages(harness.store, "interested", ITEM, SHARD, limit=limit)):
        found += [recipient.contact for recipient in page]
        if page:
            event_type = ("InterestWithdrawn", "InterestShown")[turn % 2]
            interested(harness.store, page[-1].contact, at=LATER, event_type=event_type)
    assert set(found) == set(contacts)


# Who is erased


@pytest.mark.parametrize("until", [NOW, LATER], ids=["at", "after"])
def test_erasure_removes_only_that_contact_from_both_audiences(harness: Harness, until: datetime) -> None:
    store = harness.store
    same_shard = next(contact for contact in contacts_of_shard(ANNA.shard) if contact != ANNA)
    for contact in (ANNA, same_shard):
        _receive(store, contact)
        interested(store, contact)
    store.erase(ANNA, until=until)
    assert whole_audience(store) == [Recipient(same_shard)]
    assert _interested(store) == [Recipient(same_shard, NOW)]


def test_data_newer_than_the_erasure_stays_in_the_audience(harness: Harness) -> None:
    store = harness.store
    _receive(store, ANNA, LATER)
    interested(store, at=LATER)
    store.erase(ANNA, until=NOW)
    assert whole_audience(store) == [Recipient(ANNA)]
    assert _interested(store) == [Recipient(ANNA, LATER)]


def test_contact_that_returns_after_erasure_is_found_again(harness: Harness) -> None:
    store = harness.store
    _receive(store, ANNA)
    interested(store)
    store.erase(ANNA, until=NOW)
    _receive(store, ANNA, LATER)
    interested(store, at=LATER)
    assert whole_audience(store) == [Recipient(ANNA)]
    assert _interested(store) == [Recipient(ANNA, LATER)]


# DynamoDB's own items


def test_cursor_shows_no_address(dynamodb: DynamoDB) -> None:
    """The row of a broadcast that was paused kept the address of a contact that was erased meanwhile."""
    contacts = _five(dynamodb.store)
    page = dynamodb.store.audience_page("open_conversations", PREVIEW, SHARD, day=TODAY, cursor=None, limit=2)
    assert page.cursor
    assert not [contact for contact in contacts if contact.address in page.cursor]
    plain = dynamodb.store.table.unseal(page.cursor)
    assert page.recipients[-1].contact.address in plain
    # A cursor that an older version stored is not sealed.
    pages = [
        dynamodb.store.audience_page("open_conversations", PREVIEW, SHARD, day=TODAY, cursor=cursor, limit=2)
        for cursor in (page.cursor, plain)
    ]
    assert pages[0] == pages[1]


def test_index_has_only_conversations_and_live_interests(dynamodb: DynamoDB) -> None:
    """Each write of a new day pays for every attribute in the index."""
    store = dynamodb.store
    _receive(store, ANNA)
    assert store.write_profile(ANNA, profile(), replacing=None)
    interested(store, ANNA)
    interested(store, BEN)
    interested(store, BEN, at=LATER, event_type="InterestWithdrawn")
    viewed(store, ANNA)
    for ref in (ITEM, PREVIEW, TRIAL):
        assert store.write_subject(subject(ref))
    indexed = [item["pk"]["S"] for item in dynamodb.items() if {"audience_shard", "audience_day"} & item.keys()]
    assert sorted(indexed) == sorted([ANNA.key, SubjectRef.known_to(ANNA, "interest", ITEM.id).key])


def test_conversation_without_audience_attributes_can_be_updated(dynamodb: DynamoDB) -> None:
    """A table that was in use before it had this index holds conversations without a day."""
    _receive(dynamodb.store, ANNA)
    item = dynamodb.item(ANNA.key, "CONVERSATION")
    older = {name: value for name, value in item.items() if not name.startswith("audience_")}
    dynamodb.client.put_item(TableName=dynamodb.store.table.name, Item=older)
    assert whole_audience(dynamodb.store) == []
    _receive(dynamodb.store, ANNA, LATER)
    assert whole_audience(dynamodb.store) == [Recipient(ANNA)]
