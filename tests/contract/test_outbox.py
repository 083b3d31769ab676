"""Lists of messages whose events may not be published yet, in every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.domain.outbox import UnpublishedList, list_key
from reengage.domain.reasons import Priority
from reengage.ports import DueKey
from tests.contract.samples import ANNA, BEN, NOW, due_in, reminder
from tests.contract.stores import DynamoDB, Harness

MESSAGES = tuple(reminder(contact=contact, offset=f"PT{n}H").key for contact in (ANNA, BEN) for n in range(3))
MINUTE = timedelta(minutes=1)


def unpublished(priority: Priority = "high", shard: int = 3) -> UnpublishedList:
    return UnpublishedList("list-1", "appointments", priority, shard, NOW, NOW + 2 * MINUTE, MESSAGES)


@pytest.mark.parametrize("priority", ["high", "low"])
def test_a_list_comes_back_as_it_was_written(harness: Harness, priority: Priority) -> None:
    written = unpublished(priority)
    assert harness.store.read_unpublished(written.key) is None
    harness.store.write_unpublished(written)
    assert harness.store.read_unpublished(written.key) == written
    assert harness.store.read_unpublished(list_key("list-2")) is None
    harness.store.delete_unpublished(written.key)
    harness.store.delete_unpublished(written.key)
    assert harness.store.read_unpublished(written.key) is None
    assert harness.size() == 0


def test_a_list_is_due_only_at_its_time_and_place(harness: Harness) -> None:
    written = unpublished()
    harness.store.write_unpublished(written)
    assert due_in(harness.store, 3, written.due_at - timedelta(microseconds=1)) == []
    (due,) = due_in(harness.store, 3, written.due_at)
    assert due == DueKey(written.key, written.due_at, written.valid_until)
    assert due_in(harness.store, 4, written.due_at) == []
    harness.store.delete_unpublished(written.key)
    assert due_in(harness.store, 3, written.due_at) == []


def test_a_list_expires_a_week_after_it_is_due(harness: Harness) -> None:
    written = unpublished()
    harness.store.write_unpublished(written)
    harness.expire(written.due_at + timedelta(days=7) - timedelta(seconds=1))
    assert harness.size() == 1
    harness.expire(written.due_at + timedelta(days=7, seconds=1))
    assert harness.size() == 0


def test_an_erasure_takes_the_contact_from_each_list(harness: Harness) -> None:
    first, other = unpublished(), replace(unpublished(), id="list-2", keys=MESSAGES[3:])
    harness.store.write_unpublished(first)
    harness.store.write_unpublished(other)
    assert harness.store.erase(ANNA, until=NOW) == 0
    assert harness.store.read_unpublished(first.key) == replace(first, keys=MESSAGES[3:])
    assert harness.store.read_unpublished(other.key) == other


def test_a_deleted_list_is_not_created_by_an_erasure(dynamodb: DynamoDB) -> None:
    written = unpublished()
    dynamodb.store.write_unpublished(written)
    with dynamodb.hook(
        "after-call.dynamodb.Query",
        lambda **_: dynamodb.client.delete_item(
            TableName=dynamodb.store.table.name, Key={"pk": {"S": written.key.pk}, "sk": {"S": written.key.sk}}
        ),
    ):
        dynamodb.store.erase(ANNA, until=NOW)
    assert dynamodb.size() == 0


def test_a_list_shows_no_address_in_the_table(dynamodb: DynamoDB) -> None:
    dynamodb.store.write_unpublished(unpublished())
    assert ANNA.address not in str(dynamodb.items())
