"""What it costs, by what DynamoDB Local says that it consumed: the whole way through the use cases.

Two figures of DynamoDB Local are not DynamoDB's: an empty query consumes 0 units there, and 0.5 in truth;
so what an empty tick costs is counted in requests.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from reengage.adapters.dynamodb import _row_item
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage
from reengage.domain.subject import BusinessEvent, Rank, SubjectRef, version_of
from reengage.ports import Accepted, Channel, NotDelivered, OutboundMessage, Outcome, Refused, Unknown, Wording
from reengage.usecases.ingest_message import ingest_message
from reengage.usecases.plan_messages import Planned, plan_messages
from reengage.usecases.send_due_messages import Sender, summary
from tests.contract.samples import contacts_of_shard, due_key
from tests.contract.stores import TABLE, Call, Calls, DynamoDB

NOON = datetime(2026, 11, 30, 12, 0, 0, 654321, tzinfo=UTC)
CONTACT = Contact("acme-dental", "whatsapp", "+4915112345678")
APPOINTMENT = SubjectRef("acme-dental", "appointment", str(UUID(int=2**127 + 12345)))


def _ingest(local: DynamoDB, message_id: str, sent_at: datetime, **said: str) -> Calls:
    message = InboundMessage(CONTACT, message_id, sent_at, sent_at, "Can I come a little later?", **said)
    with local.calls() as calls:
        ingest_message(
            message,
            store=local.store,
            publish=lambda _: 0,
            clock=lambda: sent_at + timedelta(seconds=1),
            contact_retention=timedelta(days=365),
        )
    return calls


def _book(local: DynamoDB, *, starts_at: datetime, at: datetime, ref: SubjectRef = APPOINTMENT) -> Calls:
    fields = {
        "starts_at": iso(starts_at),
        "timezone": "Europe/Berlin",
        "location": "Hauptstraße 1",
        "remind_before": ["P1D"],
    }
    event = BusinessEvent("AppointmentBooked", ref, version_of(at, Rank.BEGIN), at, CONTACT, fields)
    with local.calls() as calls:
        planned = plan_messages(event, store=local.store, publish=lambda _: 0, clock=lambda: at)
    assert planned == Planned(planned=1)
    return calls


def _answer(outcome: Outcome) -> Channel:
    class Provider:
        def send(self, outbound: OutboundMessage) -> Outcome:
            assert outbound.message.claim_id
            return outcome

    return Provider()


SENT = Accepted("eventbridge", str(UUID(int=2**127 + 54321)))


def _tick(local: DynamoDB, now: datetime, outcome: Outcome = SENT) -> tuple[dict[str, Any], Calls]:
    sender = Sender(
        door="appointments",
        store=local.store,
        channels={CONTACT.channel: _answer(outcome)},
        render=lambda _: Wording("See you tomorrow!", "en", "appointment_reminder"),
        publish=lambda _: 0,
        clock=lambda: now,
        new_id=lambda: str(uuid4()),
        claim_lasts=timedelta(minutes=2),
    )
    with local.calls() as calls:
        tally = sender.run(stop_at=now + timedelta(minutes=1))
    return summary(tally), calls


def _of_rows(calls: Calls) -> list[Call]:
    """The writes to scheduled messages, without those to their subject."""
    keys = [(call, call.params.get("Item", {}) | call.params.get("Key", {})) for call in calls.requests if call.writes]
    return [call for call, key in keys if key["sk"]["S"].startswith("SCHEDULED#")]


# An inbound message


def test_a_message_of_a_known_contact_on_the_same_day_is_two_write_units(local: DynamoDB) -> None:
    _ingest(local, "wamid." + "A" * 40, NOON, locale="de", timezone="Europe/Berlin", display_name="Anna")
    calls = _ingest(local, "wamid." + "B" * 40, NOON + timedelta(hours=3), locale="de", display_name="Anna")
    assert calls.operations == ["BatchGetItem", "PutItem", "PutItem"]
    assert calls.write_units == 2


def test_a_first_message_is_three_write_units(local: DynamoDB) -> None:
    assert _ingest(local, "wamid.1", NOON).write_units == 3


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_repeated_message_writes_nothing(local: DynamoDB, repeats: int) -> None:
    _ingest(local, "wamid.1", NOON)
    before = local.items()
    for _ in range(repeats):
        calls = _ingest(local, "wamid.1", NOON)
        assert calls.operations == ["BatchGetItem"]
        assert calls.write_units == 0
    assert local.items() == before


# A reminder's life


def test_a_reminders_whole_life_is_five_write_units_beside_its_subject(local: DynamoDB) -> None:
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=3)
    planning = _book(local, starts_at=starts_at, at=NOON)
    answer, sending = _tick(local, starts_at - timedelta(days=1) + timedelta(seconds=40))
    assert answer["sent"] == 1
    lives = [(call.operation, call.units) for calls in (planning, sending) for call in _of_rows(calls)]
    assert lives == [("PutItem", 2), ("UpdateItem", 1), ("UpdateItem", 2)]
    assert planning.write_units + sending.write_units == 5 + 1
    assert sorted(sending.operations) == sorted(["Query"] * SHARDS + ["UpdateItem", "BatchGetItem", "UpdateItem"])


ENDINGS: dict[str, Outcome] = {
    "sent": SENT,
    "failed": Refused("131026: the recipient cannot receive this, and here is what the provider has to say" * 9),
    "unconfirmed": Unknown("ReadTimeoutError: " + "🚫" * 200),
    "retried": NotDelivered("ThrottlingException"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_it_ends_its_row_stays_under_1024_bytes(local: DynamoDB, ending: str) -> None:
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=3)
    _book(local, starts_at=starts_at, at=NOON)
    answer, calls = _tick(local, starts_at - timedelta(days=1), ENDINGS[ending])
    assert answer[ending] == 1
    (row,) = [item for item in local.items() if item["type"]["S"] == "scheduled_message"]
    assert _size(row) < 1024
    assert calls.write_units <= 3 + (ending == "retried")  # due at another time, it leaves the index and enters it


def test_however_the_policy_stops_it_its_row_stays_under_1024_bytes(local: DynamoDB) -> None:
    _ingest(local, "wamid.1", NOON - timedelta(days=29))
    starts_at = NOON + timedelta(days=3)
    _book(local, starts_at=starts_at, at=NOON)
    answer, calls = _tick(local, starts_at - timedelta(days=1))
    assert answer["skipped"] == {"window_closed": 1}
    (row,) = [item for item in local.items() if item["type"]["S"] == "scheduled_message"]
    assert _size(row) < 1024
    assert calls.write_units == 3


def _size(item: dict[str, dict[str, str]]) -> int:
    """Bytes, as "DynamoDB item sizes and formats" counts them; a number counted at its most, 21."""
    return sum(
        len(name.encode()) + (21 if "N" in value else len(next(iter(value.values())).encode()))
        for name, value in item.items()
    )


# A tick


def _rows(how_many: int, *, shards: range, due_at: datetime) -> Iterator[ScheduledMessage]:
    contacts = [next(contacts_of_shard(shard)) for shard in shards]
    for number in range(how_many):
        yield ScheduledMessage(
            contact=contacts[number % len(contacts)],
            reason="appointment_reminder",
            subject=replace(APPOINTMENT, id=f"{due_at:%Y%m%d}-{number}"),
            step="P1D",
            about=due_at + timedelta(days=1),
            due_at=due_at,
            useful_until=due_at + timedelta(days=1),
            version=1,
        )


def _fill(local: DynamoDB, messages: Iterator[ScheduledMessage]) -> None:
    items = [_row_item(message, NOON).serialize() for message in messages]
    for start in range(0, len(items), 25):
        puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not local.client.batch_write_item(RequestItems={TABLE: puts})["UnprocessedItems"]


NOT_YET = NOON + timedelta(seconds=1)


def test_a_tick_with_nothing_due_is_one_query_a_shard_whatever_the_table_holds(local: DynamoDB) -> None:
    _, of_an_empty_table = _tick(local, NOON)
    _fill(local, _rows(2000, shards=range(SHARDS), due_at=NOT_YET))
    answer, calls = _tick(local, NOON)
    assert answer["due"] == 0
    assert calls.operations == of_an_empty_table.operations == ["Query"] * SHARDS
    asked = [call.params["ExpressionAttributeValues"].values() for call in calls.requests]
    shards = {value["S"] for values in asked for value in values if value["S"].startswith("appointments#")}
    assert shards == {f"appointments#{shard}" for shard in range(SHARDS)}
    assert calls.read_units == of_an_empty_table.read_units == 0


def test_what_finding_100_due_rows_costs_does_not_grow_with_the_table(local: DynamoDB) -> None:
    due = list(_rows(100, shards=range(3, 4), due_at=NOON))
    _fill(local, iter(due))

    def found() -> Calls:
        with local.calls() as calls:
            dues = local.store.due("appointments", 3, NOON)
        assert sorted(dues, key=str) == sorted((due_key(message) for message in due), key=str)
        return calls

    small = found()
    _fill(local, _rows(2000, shards=range(3, 4), due_at=NOT_YET))
    large = found()
    assert small.operations == large.operations == ["Query"]
    assert 0 < small.read_units == large.read_units <= 2.5
