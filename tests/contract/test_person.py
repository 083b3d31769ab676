"""The addresses of one person in the stores: links, their read before a send, caps, and the fallback."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.preferences import Link, Preferences
from reengage.ports import Store
from reengage.usecases.person import KnownThreads, others_of
from tests.contract.samples import (
    ANNA,
    BEN,
    LATER,
    NOW,
    brought,
    claimed,
    conversation,
    due_key,
    everything_due,
    placed,
    preferring,
    profile,
    reminder,
)
from tests.contract.stores import TABLE, Calls, DynamoDB, Harness

CHAT: Final = Contact(ANNA.brand, "whatsapp", "GB.1112223334445556")
WEEK: Final = timedelta(days=7)


def linked(store: Store, one: Contact = ANNA, other: Contact = CHAT) -> None:
    for contact, beside in ((one, other), (other, one)):
        link = Link(NOW.replace(microsecond=0), contact.channel, beside)
        before = store.read_preferences(contact)
        preferring(store, contact, before.link(store.preferences_key(beside), link))


def test_preferences_keep_links_and_channels(harness: Harness) -> None:
    at = NOW.replace(microsecond=0)
    links = {"a": Link(at, "whatsapp", CHAT), "of an older version": Link(at, "whatsapp")}
    channels = {"sms": at, "whatsapp": at}
    preferences = Preferences(links=links, channels=channels, used_channels=channels, left_channels={"sms": at})
    stored = preferring(harness.store, ANNA, preferences)
    assert harness.store.read_preferences(ANNA) == stored


def test_snapshot_has_the_linked_addresses(harness: Harness) -> None:
    store = harness.store
    linked(store)
    linked(store, CHAT, BEN)
    store.write_profile(CHAT, profile(), replacing=None)
    store.write_conversation(BEN, conversation(), replacing=None)
    used = placed(store, reminder(contact=BEN, offset="PT1H"))
    others = {other.contact: other for other in store.read_snapshot(reminder()).others}
    assert others.keys() == {CHAT, BEN}
    assert others[CHAT].profile == profile()
    assert others[BEN].conversation == conversation()
    assert others[BEN].cap_usage == used
    assert all(other.is_linked for other in others.values())
    assert store.read_snapshot(reminder(contact=Contact(ANNA.brand, "sms", "+4915112345699"))).others == ()


@pytest.mark.parametrize("is_left", [False, True])
def test_a_link_counts_for_each_channel_of_the_number(harness: Harness, *, is_left: bool) -> None:
    """If the person left the number, its other channels may be someone else's."""
    store, whatsapp = harness.store, replace(ANNA, channel="whatsapp")
    linked(store)
    if is_left:
        preferring(store, ANNA, store.read_preferences(ANNA).move(NOW.replace(microsecond=0)))
    others = {other.contact: other.is_linked for other in store.read_snapshot(reminder(contact=whatsapp)).others}
    assert others == ({} if is_left else {CHAT: True})


def test_cap_usage_of_a_person_is_in_one_row(harness: Harness) -> None:
    """Reminders to two addresses of one person were counted in two rows, so twice the cap was sent."""
    store = harness.store
    placed(store, reminder(contact=CHAT, offset="PT9H"))
    linked(store)
    holder = min(ANNA, CHAT, key=lambda each: each.key)
    for number, contact in enumerate((ANNA, CHAT)):
        message = reminder(contact=contact, offset=f"PT{number}H")
        before = PolicyInput.of(store.read_snapshot(message), message, PolicySettings(), NOW).cap_usage
        assert len(before.instants()) == number + 1
        assert store.reserve_cap(message, before, at=NOW, retention=WEEK)
        assert not store.reserve_cap(message, before, at=NOW, retention=WEEK), "another run took it"
        assert before.holder == holder
    taken = replace(reminder(contact=CHAT, offset="PT1H"), cap_holder=holder)
    store.release_cap(taken)
    left = PolicyInput.of(store.read_snapshot(taken), taken, PolicySettings(), NOW).cap_usage
    assert len(left.instants()) == 2


def fallen_back(store: Store, *failed: Contact) -> bool:
    stored = store.read_message(reminder().key)
    assert stored
    return store.fall_back(replace(stored, due_at=LATER, undelivered_to=failed, last_receipt_id="u1", error="30003"))


@pytest.mark.parametrize("state", list(State))
def test_fall_back_from_each_state(harness: Harness, state: State) -> None:
    store = harness.store
    before = brought(store, state)
    handed_over = state in (State.SENDING, State.SENT, State.UNCONFIRMED)
    assert fallen_back(store, CHAT) is handed_over
    after = store.read_message(before.key)
    if not handed_over:
        assert after == before
        return
    assert after
    assert (after.state, after.due_at, after.undelivered_to) == (State.SCHEDULED, LATER, (CHAT,))
    assert (after.last_receipt_id, after.error, after.sent_to) == ("u1", "30003", None)
    assert everything_due(store, LATER) == [due_key(after)]
    assert not fallen_back(store, CHAT), "it is scheduled already"
    assert store.claim(due_key(after), claim_id="claim-2", at=LATER)
    assert not fallen_back(store, CHAT), "the same address again is no news"
    assert fallen_back(store, CHAT, ANNA)


def test_a_withdrawn_fallback_is_undelivered(harness: Harness) -> None:
    """It was handed over and did not arrive; then its subject ended it, and it counted as skipped, as if never sent."""
    store = harness.store
    brought(store, State.SENT)
    assert fallen_back(store, CHAT)
    withdrawn = store.withdraw(reminder(), version=1, rule="cancelled", at=LATER)
    assert withdrawn
    assert (withdrawn.state, withdrawn.rule, withdrawn.settled_at) == (State.UNDELIVERED, "cancelled", LATER)
    assert store.read_message(reminder().key) == withdrawn
    assert everything_due(store, LATER) == []
    assert store.withdraw(reminder(), version=1, rule="cancelled", at=LATER) == withdrawn, "the second says so, too"
    assert store.write_plan(reminder(version=2), at=LATER) == withdrawn, "it is not sent once more"
    assert store.unsent_messages(ANNA) == [withdrawn]


def test_a_newer_plan_keeps_the_addresses_that_failed(harness: Harness) -> None:
    """A cart was abandoned anew while its reminder waited for another address: it went to the first one again."""
    store = harness.store
    brought(store, State.SENT)
    assert fallen_back(store, CHAT)
    stored = store.read_message(reminder().key)
    assert store.write_plan(reminder(version=2), at=LATER) == stored
    assert store.read_message(reminder().key) == stored


def test_the_used_address_is_kept_with_the_outcome(harness: Harness) -> None:
    store = harness.store
    taken = claimed(store)
    assert store.settle(replace(taken, state=State.SENT, settled_at=LATER, sent_to=CHAT, provider="fake"))
    stored = store.read_message(taken.key)
    assert stored
    assert stored.sent_to == CHAT
    assert stored.recipient == CHAT


def test_a_late_delivery_ends_a_fallback(harness: Harness) -> None:
    store = harness.store
    brought(store, State.SENT)
    assert fallen_back(store, CHAT)
    stored = store.read_message(reminder().key)
    assert stored
    delivered = replace(stored, state=State.DELIVERED, settled_at=LATER, sent_to=CHAT)
    assert store.record_receipt(delivered)
    assert everything_due(store, LATER) == []


def keys_read(calls: Calls) -> list[int]:
    return [len(call.params["RequestItems"][TABLE]["Keys"]) for call in calls.requests]


def test_a_linked_address_is_one_request_and_four_reads_more(local: DynamoDB) -> None:
    assert local.store.write_conversation(ANNA, conversation(), replacing=None)
    with local.calls() as alone:
        local.store.read_snapshot(reminder())
    linked(local.store)
    with local.calls() as both:
        assert len(local.store.read_snapshot(reminder()).others) == 1
    assert keys_read(alone) == [7]
    assert keys_read(both) == [7, 4]


def test_a_closed_window_reads_the_numbers_other_channels(local: DynamoDB) -> None:
    """One request with seven keys more; a message whose own window is open makes none."""
    whatsapp, rcs = (replace(ANNA, channel=channel) for channel in ("whatsapp", "rcs"))
    assert local.store.write_conversation(whatsapp, conversation(), replacing=None)
    assert local.store.write_profile(rcs, profile(), replacing=None)
    with local.calls() as calls:
        [other] = local.store.read_snapshot(reminder()).others
    assert (other.contact, other.is_linked) == (whatsapp, False)
    assert keys_read(calls) == [7, 7]
    assert local.store.write_conversation(ANNA, conversation(), replacing=None)
    with local.calls() as calls:
        assert local.store.read_snapshot(reminder()).others == ()
    assert keys_read(calls) == [7]


def test_known_threads_are_not_requested_again(local: DynamoDB) -> None:
    """A page of a broadcast requested the other channels of each recipient a second time."""
    whatsapp = replace(ANNA, channel="whatsapp")
    assert local.store.write_conversation(whatsapp, conversation(), replacing=None)
    with local.calls() as calls:
        own = local.store.read_threads([ANNA])
        known = KnownThreads(local.store, own)
        for _ in range(2):
            assert [other.contact for other in others_of(ANNA, own[ANNA], known, open_at=NOW)] == [whatsapp]
    assert calls.operations == ["BatchGetItem"] * 2
