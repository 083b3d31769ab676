"""Ids of any form, instants to the microsecond, and expiries that no one should have written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from reengage.domain.contact import Contact
from reengage.domain.conversation import WINDOW
from reengage.domain.message import ERROR_BYTES, State
from reengage.domain.preferences import Choice, Preferences
from reengage.domain.subject import Subject, SubjectRef
from reengage.ports import Holdings
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    BEN,
    CLAIM,
    LATER,
    NOW,
    ORDER,
    brand,
    broadcast_shard,
    brought,
    conversation,
    due_key,
    ended,
    everything_due,
    inbound,
    placed,
    planned,
    preferring,
    profile,
    reminder,
    stopped,
    subject,
    written,
)
from tests.contract.stores import DynamoDB, Harness

IDS = {
    "with the keys' own mark": "a#b##PT2H#2026-12-01T09:00:00Z",
    "only marks": "####",
    "empty": "",
    "spaces": "  a b\t\n",
    "any script": "Cuộc hẹn 🦷 ﷺ é e\u0301",
    "512 bytes": "x" * 512,
    "512 bytes of emoji": "🦷" * 128,
}
ADDRESSES = {
    "phone": "+4915112345678",
    "user id": "DE.1234567890ABCDEF",
    "with the keys' own mark": "a#b##c",
    "256 bytes": "é" * 128,
}


@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_message_about_any_subject_goes_through_its_whole_life(harness: Harness, id_: str) -> None:
    message = reminder(subject=SubjectRef("acme-dental", "appointment", id_))
    delivered = ended(brought(harness.store, State.SENT, message), State.DELIVERED)
    assert harness.store.record_receipt(delivered)
    assert harness.store.find_message(ANNA, message.scheduled_message_id) == delivered
    assert (delivered.subject, delivered.offset, delivered.anchor_at) == (
        message.subject,
        message.offset,
        message.anchor_at,
    )


@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_message_that_comes_but_once_is_about_no_instant(harness: Harness, id_: str) -> None:
    """Rows of orders whose ids end like another key: with an offset, and with the word in place of the instant."""
    ids = [id_, f"{id_}#P3D#once", f"{id_}#once"]
    rows = [
        planned(
            harness.store,
            reminder(reason="order_shipped", subject=replace(ORDER, id=each), offset="P3D", anchor_at=None),
        )
        for each in ids
    ]
    assert [harness.store.read_message(row.key) for row in rows] == rows
    assert {row.anchor_at for row in harness.store.pending_messages(ANNA)} == {None}
    assert sorted(row.subject.id for row in harness.store.pending_messages(ANNA)) == sorted(ids)


@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_message_about_what_is_the_contacts_own_names_it_so(harness: Harness, id_: str) -> None:
    ref = SubjectRef.known_to(ANNA, "product", id_)
    row = planned(harness.store, reminder(reason="product_reminder", subject=ref, offset="PT4H"))
    assert ref.of == ANNA
    assert harness.store.read_message(row.key) == row


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_contact_at_any_address_is_itself(harness: Harness, address: str) -> None:
    contact = Contact("acme.dental_2-x", "whatsapp", address)
    message = brought(harness.store, State.SENDING, reminder(contact=contact))
    assert message.contact == contact
    assert harness.store.find_message(contact, message.scheduled_message_id) == message


@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_message_of_any_id_is_known(harness: Harness, id_: str) -> None:
    harness.store.write_message(inbound(id_), expires_at=2_000_000_000)
    assert harness.store.read_thread(ANNA, id_).known
    assert not harness.store.read_thread(ANNA, id_ + "#").known


def test_no_two_ids_that_look_alike_are_one_row(harness: Harness) -> None:
    """The parts of one id could be read as the step and the instant of another."""
    pairs = [("a", "P1D"), ("a#P1D", "P1D"), ("a#P1D#2026-12-01T08:00:00.123456Z", "P1D"), ("", "P1D"), ("#", "P1D")]
    messages = [
        planned(harness.store, reminder(subject=SubjectRef("acme-dental", "appointment", id_), offset=step))
        for id_, step in pairs
    ]
    assert harness.size() == len(pairs)
    assert [harness.store.read_message(message.key) for message in messages] == messages


INSTANTS = {
    "whole seconds": datetime(2026, 12, 1, 9, tzinfo=UTC),
    "a microsecond": datetime(2026, 12, 1, 9, 0, 0, 1, tzinfo=UTC),
    "the last microsecond of a year": datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "of another offset": datetime(2026, 12, 1, 0, 30, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "the earliest": datetime(1971, 1, 1, tzinfo=UTC),
    "the latest": datetime(8999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
}


@pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS)
def test_an_instant_comes_back_to_the_microsecond(harness: Harness, instant: datetime) -> None:
    store = harness.store
    message = planned(store, reminder(anchor_at=instant, due_at=instant, valid_until=instant, planned_at=instant))
    assert everything_due(store, instant - timedelta(microseconds=1)) == []
    assert everything_due(store, instant) == [due_key(message)]
    (due,) = everything_due(store, instant)
    taken = store.claim(due, claim_id=CLAIM, at=instant)
    assert taken
    instants = (taken.anchor_at, taken.due_at, taken.valid_until, taken.planned_at, taken.claimed_at)
    assert instants == (instant,) * 5
    assert store.settle(ended(taken, State.SENT))
    stored_conversation = conversation(instant, agent_replied_at=instant)
    assert store.write_conversation(ANNA, stored_conversation, replacing=None)
    assert store.write_profile(ANNA, profile(instant), replacing=None)
    thread = store.read_thread(ANNA)
    assert (thread.conversation, thread.profile) == (stored_conversation, profile(instant))
    replan = conversation(instant.astimezone(UTC), agent_replied_at=instant.astimezone(UTC))
    assert store.write_conversation(ANNA, conversation(LATER), replacing=replan)
    assert store.write_subject(subject(last_event_at=instant))
    stored = store.read_subject(APPOINTMENT)
    assert stored
    assert stored.last_event_at == instant
    stored_preferences = stopped(instant).erase("sms", asked_at=instant, at=instant)
    assert preferring(store, ANNA, stored_preferences) == store.read_preferences(ANNA)
    assert placed(store, message, at=instant).taken == {message.scheduled_message_id: instant}


def test_every_instant_that_a_store_gives_is_aware(harness: Harness) -> None:
    message = brought(harness.store, State.SENT)
    instants = (
        *(message.anchor_at, message.due_at, message.valid_until, message.planned_at),
        *(message.claimed_at, message.settled_at),
    )
    assert all(instant and instant.utcoffset() is not None for instant in instants)


# Expiries. TTL is housekeeping: it may be late, it may never come, and it must change no answer when it does.


def test_what_has_expired_is_still_read_until_ttl_comes(harness: Harness) -> None:
    """A reader must compare with the clock: that the item exists proves nothing."""
    stored_conversation = conversation()
    assert harness.store.write_conversation(ANNA, stored_conversation, replacing=None)
    assert harness.store.write_profile(ANNA, profile(), replacing=None)
    read = harness.store.read_thread(ANNA).conversation
    assert read == stored_conversation
    assert read.is_open(NOW + WINDOW - timedelta(microseconds=1))
    assert not read.is_open(NOW + WINDOW)
    harness.expire(NOW + WINDOW + timedelta(seconds=1))
    thread = harness.store.read_thread(ANNA)
    assert thread.conversation is None
    assert thread.profile == profile()


def test_expiry_in_milliseconds_opens_no_window_and_is_kept(harness: Harness) -> None:
    far = conversation(expires_at=int((NOW + WINDOW).timestamp() * 1000))
    assert harness.store.write_conversation(ANNA, far, replacing=None)
    harness.expire(NOW + timedelta(days=3650))
    read = harness.store.read_thread(ANNA).conversation
    assert read == far
    assert read.closes_at == NOW + WINDOW
    assert harness.store.write_conversation(ANNA, conversation(LATER), replacing=read)


def test_expiry_over_five_years_old_opens_no_window_and_is_kept(harness: Harness) -> None:
    old = NOW - timedelta(days=6 * 365)
    forgotten = conversation(old)
    assert harness.store.write_conversation(ANNA, forgotten, replacing=None)
    assert harness.store.write_subject(Subject(APPOINTMENT, expires_at=0))
    harness.expire(NOW)
    read = harness.store.read_thread(ANNA).conversation
    assert read == forgotten
    assert not read.is_open(NOW)
    assert harness.store.read_subject(APPOINTMENT)
    assert harness.store.write_conversation(ANNA, conversation(), replacing=read)


def test_items_that_ttl_never_deletes_can_be_read_and_written(harness: Harness) -> None:
    """Items of other kinds than a conversation's: an erasure's mark, cap usage, and a subject's link."""
    store, old = harness.store, NOW - timedelta(days=6 * 365)
    mark = preferring(store, ANNA, Preferences().erase("sms", asked_at=old, at=old))
    taken = placed(store, reminder(), at=old)
    forgotten = subject(last_event_at=old)
    store.index_subject(ANNA, replace(forgotten, expires_at=int(old.timestamp())))
    harness.expire(NOW)
    assert harness.size() == 3
    assert store.read_preferences(ANNA) == mark
    assert store.read_snapshot(reminder()).cap_usage == taken
    preferring(store, ANNA, mark.apply("contact", "*", Choice(allowed=False, at=NOW)))
    replan = placed(store, reminder(version=2))
    assert replan.taken == {reminder(version=2).scheduled_message_id: NOW}
    store.index_subject(ANNA, subject())
    harness.expire(NOW + timedelta(days=8))
    assert harness.size() == 2, "of the three the places alone have expired"


def test_expired_items_are_found_until_ttl_deletes_them(harness: Harness) -> None:
    store, long_after = harness.store, NOW + timedelta(days=400)
    mark = preferring(store, ANNA, Preferences().erase("sms", asked_at=NOW, at=NOW))
    taken = placed(store, reminder())
    assert store.write_subject(subject())
    store.index_subject(ANNA, subject())
    holdings = store.read_holdings(ANNA)
    assert (holdings.preferences, holdings.cap_usage) == (mark, {"utility": taken})
    assert holdings.subjects == [replace(subject(), revision=1)]
    harness.expire(long_after)
    assert harness.size() == 0
    assert store.read_holdings(ANNA) == Holdings(None, None, Preferences(), [], [], [], {})
    assert not store.reserve_cap(reminder(), taken, at=long_after, retention=timedelta(days=7))
    assert not store.write_preferences(ANNA, mark)


# DynamoDB's own items


def test_every_item_has_its_type_and_expiry(dynamodb: DynamoDB) -> None:
    store = dynamodb.store
    planned(store)
    store.write_message(inbound(), expires_at=2_000_000_000)
    store.write_conversation(ANNA, conversation(), replacing=None)
    store.write_profile(ANNA, profile(), replacing=None)
    store.write_subject(Subject(APPOINTMENT, expires_at=2_000_000_001))
    store.index_subject(ANNA, Subject(APPOINTMENT, expires_at=2_000_000_002))
    placed(store, reminder(), retention=timedelta(days=7))
    preferring(store, ANNA, Preferences().erase("sms", asked_at=NOW, at=LATER))
    preferring(store, BEN, stopped())
    assert store.write_brand(brand(name="Acme Dental"))
    written(store)
    items = {item["type"]["S"]: int(item["expires_at"]["N"]) for item in dynamodb.items() if "expires_at" in item}
    for_ever = sorted(item["type"]["S"] for item in dynamodb.items() if "expires_at" not in item)
    assert for_ever == ["brand", "preferences"]
    assert items == {
        "broadcast_part": int(broadcast_shard().valid_until.timestamp()) + 1 + 45 * 86400,
        "subject_link": 2_000_000_002,
        "places": int(NOW.timestamp()) + 1 + 7 * 86400,
        "preferences": int(LATER.timestamp()) + 1 + 45 * 86400,
        "scheduled_message": int(reminder().valid_until.timestamp()) + 1 + 30 * 86400,
        "inbound_message": 2_000_000_000,
        "conversation": conversation().expires_at,
        "contact": profile().expires_at,
        "subject": 2_000_000_001,
    }


@pytest.mark.parametrize("error", ["x" * 5000, "é" * 5000, "🦷" * 5000], ids=["ascii", "2 bytes", "4 bytes"])
def test_a_long_error_is_cut_so_that_the_row_stays_small(dynamodb: DynamoDB, error: str) -> None:
    failed = brought(dynamodb.store, State.SENDING)
    assert dynamodb.store.settle(ended(failed, State.FAILED, error=error))
    kept = dynamodb.item(*failed.key)["error"]["S"]
    assert error.startswith(kept)
    assert ERROR_BYTES - 4 <= len(kept.encode()) <= ERROR_BYTES
