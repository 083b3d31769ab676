"""What is stored of a contact: profile, conversation, messages."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.domain.conversation import Candidate, Conversation, UnclearAnswer
from reengage.ports import Thread
from tests.contract.samples import ANNA, BEN, LATER, NOW, conversation, inbound, profile
from tests.contract.stores import DynamoDB, Harness

PROFILES = {
    "bare": profile(),
    "whole": profile(locale="de-AT", timezone="Europe/Vienna", display_name="Änna 🌱"),
}
CONVERSATIONS = {
    "started": conversation(),
    "restarted": conversation(opening="restarted", agent_replied_at=NOW - timedelta(days=40)),
    "told to close": conversation(warned_expires_at=conversation().expires_at),
    "told of an earlier closing": conversation(warned_expires_at=1),
}


def test_contact_that_never_wrote_has_no_thread(harness: Harness) -> None:
    assert harness.store.read_thread(ANNA, "wamid.1") == Thread(None, None, known=False)


@pytest.mark.parametrize("stored", PROFILES.values(), ids=PROFILES)
def test_a_profile_comes_back_as_it_was_written(harness: Harness, stored: Any) -> None:
    assert harness.store.write_profile(ANNA, stored, replacing=None)
    assert harness.store.read_thread(ANNA) == Thread(stored, None)


@pytest.mark.parametrize("stored", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_conversation_comes_back_as_it_was_written(harness: Harness, stored: Conversation) -> None:
    assert harness.store.write_conversation(ANNA, stored, replacing=None)
    assert harness.store.read_thread(ANNA) == Thread(None, stored)


def test_stored_message_is_known_only_for_its_contact(harness: Harness) -> None:
    harness.store.write_message(inbound("wamid.1"), expires_at=2_000_000_000)
    assert harness.store.read_thread(ANNA, "wamid.1").known
    assert not harness.store.read_thread(ANNA, "wamid.2").known
    assert not harness.store.read_thread(BEN, "wamid.1").known
    assert not harness.store.read_thread(ANNA).known


@pytest.mark.parametrize("harness", ["memory", "moto"], indirect=True)
def test_a_message_without_text_is_stored_too(harness: Harness) -> None:
    """DynamoDB has taken empty texts outside keys since May 2020; DynamoDB Local is a little older."""
    harness.store.write_message(replace(inbound("wamid.1"), text=""), expires_at=2_000_000_000)
    assert harness.store.read_thread(ANNA, "wamid.1").known


def test_an_unclear_answer_is_kept_with_its_message(harness: Harness) -> None:
    candidates = (Candidate("A-1001", "m-1"), Candidate("B-1", "m-2"))
    unclear = (UnclearAnswer("confirmed", "several_open", candidates), UnclearAnswer("confirmed", "moved", (), "quote"))
    harness.store.write_message(replace(inbound("wamid.1"), unclear=unclear), expires_at=2_000_000_000)
    (kept,) = harness.store.read_holdings(ANNA).inbound
    assert kept.unclear == unclear


def test_a_repeated_message_changes_nothing(harness: Harness) -> None:
    soon = int(NOW.timestamp()) + 60
    harness.store.write_message(inbound("wamid.1"), expires_at=soon)
    harness.store.write_message(inbound("wamid.1", at=LATER), expires_at=soon + 3600)
    assert harness.size() == 1
    harness.expire(LATER)
    assert not harness.store.read_thread(ANNA, "wamid.1").known


# Compare-and-set: each stored value, each expectation. It is written only where the two agree, and nowhere else.

FORMER_PROFILES = {
    "nothing": None,
    "it": profile(),
    "another first_seen_at": profile(first_seen_at=NOW - timedelta(microseconds=1)),
    "another last_seen_at": profile(last_seen_at=LATER),
    "another expires_at": profile(expires_at=1),
    "another locale": profile(locale="en"),
    "another timezone": profile(timezone="UTC"),
    "another display_name": profile(display_name="Anna"),
}
FORMER_CONVERSATIONS = {
    "nothing": None,
    "it": conversation(),
    "another last_inbound_at": conversation(last_inbound_at=NOW + timedelta(microseconds=1)),
    "another opened_by": conversation(opened_by="wamid.2"),
    "another opening": conversation(opening="restarted"),
    "another expires_at": conversation(expires_at=1),
    "another agent_replied_at": conversation(agent_replied_at=LATER),
    "told to close": conversation(warned_expires_at=conversation().expires_at),
    "told of an earlier closing": conversation(warned_expires_at=1),
}


@pytest.mark.parametrize("stored", FORMER_PROFILES)
@pytest.mark.parametrize("expected", FORMER_PROFILES)
def test_a_profile_replaces_only_what_was_read(harness: Harness, stored: str, expected: str) -> None:
    before, new = FORMER_PROFILES[stored], profile(LATER, locale="vi")
    if before:
        assert harness.store.write_profile(ANNA, before, replacing=None)
    written = harness.store.write_profile(ANNA, new, replacing=FORMER_PROFILES[expected])
    assert written is (stored == expected)
    assert harness.store.read_thread(ANNA).profile == (new if written else before)


@pytest.mark.parametrize("stored", FORMER_CONVERSATIONS)
@pytest.mark.parametrize("expected", FORMER_CONVERSATIONS)
def test_a_conversation_replaces_only_what_was_read(harness: Harness, stored: str, expected: str) -> None:
    before, new = FORMER_CONVERSATIONS[stored], conversation(LATER)
    if before:
        assert harness.store.write_conversation(ANNA, before, replacing=None)
    written = harness.store.write_conversation(ANNA, new, replacing=FORMER_CONVERSATIONS[expected])
    assert written is (stored == expected)
    assert harness.store.read_thread(ANNA).conversation == (new if written else before)


def test_a_fact_that_a_newer_value_leaves_out_is_gone(harness: Harness) -> None:
    whole, bare = PROFILES["whole"], PROFILES["bare"]
    assert harness.store.write_profile(ANNA, whole, replacing=None)
    assert harness.store.write_profile(ANNA, bare, replacing=whole)
    assert harness.store.read_thread(ANNA).profile == bare
    assert harness.store.write_profile(ANNA, whole, replacing=bare)


def test_the_kinds_of_items_of_a_contact_leave_each_other_alone(harness: Harness) -> None:
    harness.store.write_message(inbound("wamid.1"), expires_at=2_000_000_000)
    assert harness.store.write_profile(ANNA, profile(), replacing=None)
    assert harness.store.write_conversation(ANNA, conversation(), replacing=None)
    assert harness.store.read_thread(ANNA, "wamid.1") == Thread(profile(), conversation(), known=True)
    assert harness.store.read_thread(BEN, "wamid.1") == Thread(None, None)
    assert harness.size() == 3


def test_nothing_replaces_what_ttl_deleted_meanwhile(harness: Harness) -> None:
    first = conversation()
    assert harness.store.write_conversation(ANNA, first, replacing=None)
    harness.expire(first.closes_at + timedelta(seconds=1))
    assert not harness.store.write_conversation(ANNA, conversation(LATER), replacing=first)
    assert harness.size() == 0
    assert harness.store.write_conversation(ANNA, conversation(LATER), replacing=None)


def test_item_with_an_attribute_of_an_older_version_is_read(dynamodb: DynamoDB) -> None:
    """Until version 0.2.0 a conversation had the instant of the message before its last one."""
    assert dynamodb.store.write_conversation(ANNA, conversation(), replacing=None)
    older = {**dynamodb.item(ANNA.key, "CONVERSATION"), "previous_inbound_at": {"S": NOW.isoformat()}}
    dynamodb.client.put_item(TableName=dynamodb.store.table.name, Item=older)
    stored = dynamodb.store.read_thread(ANNA).conversation
    assert stored == conversation()
    assert dynamodb.store.write_conversation(ANNA, conversation(LATER), replacing=stored)
    assert "previous_inbound_at" not in dynamodb.item(ANNA.key, "CONVERSATION")
