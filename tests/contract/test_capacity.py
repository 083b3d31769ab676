"""Measure the capacity that the use cases consume on DynamoDB Local.

Two figures of DynamoDB Local differ from DynamoDB's. An empty query consumes 0 units there, and 0.5 in DynamoDB.
A key without an item consumes 0 there, and 1 in DynamoDB if the read is strongly consistent. So the cost of an
empty run is counted in requests, and the cost of reads in keys. Each item is below 4 KB.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from math import ceil
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from reengage.adapters.dynamodb.items.base import Item
from reengage.adapters.dynamodb.items.contacts import conversation_item
from reengage.adapters.dynamodb.items.messages import row_item
from reengage.domain.caps import parse_caps
from reengage.domain.contact import SHARDS, Contact, Profile
from reengage.domain.conversation import WINDOW, Conversation, InboundMessage, expiry
from reengage.domain.instants import iso
from reengage.domain.message import GivenAnswer, ScheduledMessage
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Choice, Preferences
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import REASONS, SendGroup
from reengage.domain.subject import BusinessEvent, EventEffect, SubjectRef, version_of
from reengage.ports import Accepted, Channel, OutboundMessage, Outcome, QuickReply, Refused, Retryable, Unknown, Wording
from reengage.usecases.expand_broadcast import PAGE
from reengage.usecases.ingest_message import ingest_message
from reengage.usecases.ingest_settings import IngestSettings
from reengage.usecases.plan_messages import Planned, plan_messages
from reengage.usecases.send_due_messages import send_due_messages, summary
from reengage.usecases.send_message import Sender
from tests.contract.samples import (
    PREVIEW,
    contacts_of_shard,
    due_in,
    due_key,
    interested,
    placed,
    preferring,
    reminder,
    stopped,
    whole_audience,
)
from tests.contract.stores import TABLE, Call, Calls, DynamoDB

NOON = datetime(2026, 11, 30, 12, 0, 0, 654321, tzinfo=UTC)
CONTACT = Contact("acme-dental", "whatsapp", "+4915112345678")
APPOINTMENT = SubjectRef("acme-dental", "appointment", str(UUID(int=2**127 + 12345)))


def _ingest(local: DynamoDB, message_id: str, sent_at: datetime, **more_fields: Any) -> Calls:
    text = more_fields.pop("text", "Can I come a little later?")
    contact = more_fields.pop("contact", CONTACT)
    message = InboundMessage(contact, message_id, sent_at, sent_at, text, **more_fields)
    with local.calls() as calls:
        ingest_message(
            message,
            store=local.store,
            publish=lambda _: None,
            clock=lambda: sent_at + timedelta(seconds=1),
            settings=IngestSettings(timedelta(days=365), acknowledges_answers=False),
            send_now=_no_reply,
            recheck_contacts=lambda _: None,
        )
    return calls


def _no_reply(message: ScheduledMessage) -> None:
    pytest.fail(f"{message.reason} was to be sent")


def _book(local: DynamoDB, *, starts_at: datetime, at: datetime, ref: SubjectRef = APPOINTMENT) -> Calls:
    fields = {
        "starts_at": iso(starts_at),
        "timezone": "Europe/Berlin",
        "location": "Hauptstraße 1",
        "remind_before": ["P1D"],
    }
    event = BusinessEvent("AppointmentBooked", ref, version_of(at, EventEffect.BEGIN), at, CONTACT, fields)
    with local.calls() as calls:
        planned = plan_messages(event, store=local.store, publish=lambda _: None, clock=lambda: at, settings=POLICY)
    assert planned == Planned(planned=1)
    return calls


def _answer(outcome: Outcome) -> Channel:
    class Provider:
        def routes(self, _: Contact) -> Sequence[str]:
            return ["fake"]

        def prepare(self, _: Contact, _route: str) -> None:
            """Nothing to build."""

        def send(self, outbound: OutboundMessage, _route: str) -> Outcome:
            assert outbound.message.claim_id
            return outcome

    return Provider()


REPLIES = (QuickReply("Confirm", "confirmed"),)
SENT = Accepted("eventbridge", str(UUID(int=2**127 + 54321)))


def _tick(
    local: DynamoDB,
    now: datetime,
    outcome: Outcome = SENT,
    *,
    policy: PolicySettings | None = None,
    send_group: SendGroup = "appointments",
    asks: bool = False,
) -> tuple[dict[str, Any], Calls]:
    sender = Sender(
        send_group=send_group,
        settings=policy or WITHOUT_CAPS,
        store=local.store,
        channel=_answer(outcome),
        render=lambda _: Wording("See you tomorrow!", "en", "appointment_reminder", replies=REPLIES if asks else ()),
        publish=lambda _: None,
        clock=lambda: now,
        new_id=lambda: str(uuid4()),
        claim_ttl=timedelta(minutes=2),
    )
    with local.calls() as calls:
        tally = send_due_messages(sender, stop_at=now + timedelta(minutes=1))
    return summary(tally), calls


POLICY = PolicySettings(
    quiet_hours={"utility": QuietHours(time(21), time(8)), "marketing": QuietHours(time(20), time(9))},
    caps={"utility": parse_caps("5/P1D"), "marketing": parse_caps("1/P1D,3/P7D")},
    default_timezone="Europe/Berlin",
    whatsapp_templates=frozenset({"appointment_reminder"}),
)
"""The stack's default quiet hours and caps."""

WITHOUT_CAPS = replace(POLICY, caps={})
POLICIES = {"without caps": WITHOUT_CAPS, "with caps": POLICY}


LIST_UNITS: Final = 4
"""The units of a run with few messages: its list is written and deleted, in the table and in the index."""


def _of_rows(calls: Calls) -> list[Call]:
    """Return the writes to scheduled messages, without those to their subject."""
    keys = [(call, call.params.get("Item", {}) | call.params.get("Key", {})) for call in calls.requests if call.writes]
    return [call for call, key in keys if key["sk"]["S"].startswith("SCHEDULED#")]


def _keys_read(calls: Calls) -> list[int]:
    """How many keys each read asked for."""
    batches = [call for call in calls.requests if call.operation == "BatchGetItem"]
    return [len(call.params["RequestItems"][TABLE]["Keys"]) for call in batches]


# An inbound message


def test_message_of_a_known_contact_costs_two_write_units(local: DynamoDB) -> None:
    _ingest(local, "wamid." + "A" * 40, NOON, locale="de", timezone="Europe/Berlin", display_name="Anna")
    calls = _ingest(local, "wamid." + "B" * 40, NOON + timedelta(minutes=59), locale="de", display_name="Anna")
    assert calls.operations == ["Query", "BatchGetItem", "PutItem", "PutItem", "BatchGetItem"]
    assert _keys_read(calls) == [2, 1]
    assert calls.read_units == 1  # contact and conversation together; there is neither the message nor a preference yet
    assert calls.write_units == 2


def test_message_after_an_hour_reads_the_brand_too(local: DynamoDB) -> None:
    """It may be a return, and the brand may have its own ``welcome_back_after``."""
    _ingest(local, "wamid.1", NOON)
    assert _keys_read(_ingest(local, "wamid.2", NOON + timedelta(hours=1))) == [2, 1, 1]


def test_first_message_reads_the_numbers_other_channels(local: DynamoDB) -> None:
    """The profile is written once a week: two items for each, and the preferences that they share."""
    assert _keys_read(_ingest(local, "wamid.1", NOON)) == [2, 5, 1]


def test_reading_preferences_costs_two_more_read_units(local: DynamoDB) -> None:
    """Preferences are read before anything is written, and after it."""
    _ingest(local, "wamid.1", NOON)
    preferring(local.store, CONTACT, stopped(NOON))
    calls = _ingest(local, "wamid.2", NOON + timedelta(hours=3))
    assert (calls.read_units, calls.write_units) == (1 + 2, 2)


@pytest.mark.parametrize(("stored", "writes"), [(0, 1), (1, 0)], ids=["first", "again"])
def test_a_stop_is_one_write_unit_more(local: DynamoDB, stored: int, writes: int) -> None:
    _ingest(local, "wamid.1", NOON)
    for number in range(stored):
        _ingest(local, f"wamid.stop.{number}", NOON + timedelta(hours=3), text="STOP")
    before = local.store.read_preferences(CONTACT)
    calls = _ingest(local, "wamid.2", NOON + timedelta(hours=3), text="STOP")
    assert calls.operations[0] == "BatchGetItem"
    assert calls.write_units - _CONVERSATION_MOVES_ON[stored] == 1 + writes
    assert before.revision == stored


_CONVERSATION_MOVES_ON = (1, 0)
"""The second of two messages of one instant changes nothing."""


def test_an_answer_to_no_question_is_one_query_more(local: DynamoDB) -> None:
    _ingest(local, "wamid.1", NOON)
    calls = _ingest(local, "wamid.2", NOON + timedelta(hours=3), text="Yes")
    # The reads: links, thread, brand, preferences.
    reads = ["Query", "BatchGetItem", "Query", "BatchGetItem", "BatchGetItem"]
    assert calls.operations == [*reads, "PutItem", "PutItem", "BatchGetItem"]
    assert calls.write_units == 2


def test_an_answer_is_one_write_unit_more(local: DynamoDB) -> None:
    """A query of the contact's reminders, a read of the appointment, and the row that keeps the answer."""
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=2)
    _book(local, starts_at=starts_at, at=NOON)
    _tick(local, starts_at - timedelta(days=1), asks=True)
    at = starts_at - timedelta(hours=23)
    calls = _ingest(local, "wamid.2", at, text="1")
    assert calls.operations == [
        "Query",
        "BatchGetItem",  # links
        "BatchGetItem",
        "Query",
        "BatchGetItem",
        "BatchGetItem",  # the brand
        "PutItem",
        "UpdateItem",
        "Query",  # WhatsApp, more than a day after the last message: what Meta's limit makes wait goes now
        "PutItem",
        "BatchGetItem",
    ]
    [answered] = local.store.sent_questions(CONTACT)
    assert answered.answer == GivenAnswer("confirmed", "wamid.2", "only_open_question", at)
    assert calls.write_units == 5  # two more for the index of audiences, since the window closes on another day


def test_an_answer_on_a_new_channel_reads_the_others(local: DynamoDB) -> None:
    """One read of the number's other channels more, and one query of each on which a conversation is known."""
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=2)
    _book(local, starts_at=starts_at, at=NOON)
    _tick(local, starts_at - timedelta(days=1), asks=True)
    at = starts_at - timedelta(hours=23)
    calls = _ingest(local, "SM-1", at, text="1", contact=replace(CONTACT, channel="sms"))
    assert calls.operations[:5] == ["Query", "BatchGetItem", "BatchGetItem", "Query", "BatchGetItem"]
    assert _keys_read(calls)[:2] == [3, 5]
    [answered] = local.store.sent_questions(CONTACT)
    assert answered.answer == GivenAnswer("confirmed", "SM-1", "only_open_question", at)
    first = _ingest(local, "SM-2", at, contact=replace(CONTACT, channel="rcs"))
    assert calls.write_units == first.write_units + 1, "the row that keeps the answer"


def test_a_first_message_is_four_write_units(local: DynamoDB) -> None:
    """Profile, conversation, message, and the conversation's entry in the index of the audiences."""
    assert _ingest(local, "wamid.1", NOON).write_units == 4


@pytest.mark.parametrize(("days", "units"), [(0, 2), (1, 4), (6, 4)])
def test_the_days_first_message_is_two_write_units_more(local: DynamoDB, days: int, units: int) -> None:
    """Its window closes on another day: the entry of the old one goes, and that of the new one comes."""
    _ingest(local, "wamid.1", NOON)
    calls = _ingest(local, "wamid.2", NOON + timedelta(days=days, seconds=1))
    assert calls.operations.count("PutItem") == 2
    assert calls.write_units == units
    assert _ingest(local, "wamid.3", NOON + timedelta(days=days, seconds=2)).write_units == 2


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_repeated_message_writes_nothing(local: DynamoDB, repeats: int) -> None:
    _ingest(local, "wamid.1", NOON)
    before = local.items()
    for _ in range(repeats):
        calls = _ingest(local, "wamid.1", NOON)
        assert calls.operations == ["Query", "BatchGetItem"]
        assert _keys_read(calls) == [2]
        assert calls.write_units == 0
    assert local.items() == before


# A reminder's life


def test_a_booking_beside_its_reminders_is_three_write_units(local: DynamoDB) -> None:
    """The subject, its entry in the index of the day, and its link under the contact."""
    _ingest(local, "wamid.1", NOON)
    calls = _book(local, starts_at=NOON + timedelta(days=3), at=NOON)
    (planned,) = _of_rows(calls)
    reads, writes = ["BatchGetItem"], ["PutItem"]
    assert calls.operations == reads * 2 + writes * 2 + reads * 2 + writes + reads
    assert _keys_read(calls) == [1, 1, 1, 3, 1]  # preferences, subject, brand, thread, preferences
    assert calls.write_units - planned.units == 3
    assert calls.read_units == 2  # of contact and conversation; there is neither the subject nor any preference yet


@pytest.mark.parametrize("policy", POLICIES)
def test_reminder_costs_five_write_units_and_one_for_caps(local: DynamoDB, policy: str) -> None:
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=3)
    planning = _book(local, starts_at=starts_at, at=NOON)
    now = starts_at - timedelta(days=1) + timedelta(seconds=40)
    answer, sending = _tick(local, now, policy=POLICIES[policy])
    assert answer["sent"] == 1
    lives = [(call.operation, call.units) for calls in (planning, sending) for call in _of_rows(calls)]
    assert lives == [("PutItem", 2), ("UpdateItem", 1), ("UpdateItem", 2)]
    of_the_caps = ["PutItem"] if policy == "with caps" else []
    assert sending.write_units == 3 + len(of_the_caps) + LIST_UNITS
    assert _keys_read(sending) == [7]  # the row of the stack's pauses beside the brand's
    of_the_list = ["PutItem", "DeleteItem"]
    expected = ["Query"] * SHARDS + ["UpdateItem", "BatchGetItem", *of_the_caps, "UpdateItem", *of_the_list]
    assert sorted(sending.operations) == sorted(expected)


@pytest.mark.parametrize(("messages", "units"), [(1, 4), (20, 4), (100, 8)])
def test_a_run_pays_for_its_list_and_not_each_message(local: DynamoDB, messages: int, units: int) -> None:
    """The list of the messages whose events are not published yet: written and deleted, in the table and the index."""
    rows = list(_rows(messages, shards=range(3, 4), due_at=NOON))
    _fill(local, iter(rows))
    answer, calls = _tick(local, NOON)
    assert answer["due"] == messages
    lists = [call for call in calls.requests if call.writes and "UNPUBLISHED#" in str(call.params)]
    assert [call.operation for call in lists] == ["PutItem", "DeleteItem"]
    assert sum(call.units for call in lists) <= units
    assert calls.write_units - sum(call.units for call in lists) == 3 * messages


@pytest.mark.parametrize("earlier", [0, 1])
def test_releasing_cap_usage_costs_two_writes_and_a_read(local: DynamoDB, earlier: int) -> None:
    """The cap usage that was reserved, and its release: an update, or a delete of the last one.

    After a refusal the person's other addresses are read.
    """
    _ingest(local, "wamid.1", NOON)
    starts_at = NOON + timedelta(days=3)
    for number in range(earlier):
        placed(
            local.store, replace(reminder(contact=CONTACT), offset=f"PT{number}H"), at=NOON + timedelta(days=1, hours=1)
        )
    _book(local, starts_at=starts_at, at=NOON)
    answer, calls = _tick(local, starts_at - timedelta(days=1), Refused("131026"), policy=POLICY)
    assert answer["failed"] == 1
    assert calls.write_units == 3 + 2 + LIST_UNITS
    assert _keys_read(calls) == [7, 3, 1]
    assert calls.operations.count("DeleteItem") == (earlier == 0) + 1


def test_usage_of_the_default_caps_is_one_write_unit(local: DynamoDB) -> None:
    """Thirteen sends fit into one unit; caps that allow more cost a unit for each further KB."""
    units = []
    for number in range(14):
        with local.calls() as calls:
            assert local.store.reserve_cap(
                replace(reminder(contact=CONTACT), offset=f"PT{number}H"),
                local.store.read_snapshot(reminder(contact=CONTACT)).cap_usage,
                at=NOON,
                retention=timedelta(days=7),
            )
        units.append(calls.write_units)
    assert units == [1] * 13 + [2]


ENDINGS: dict[str, Outcome] = {
    "sent": SENT,
    "failed": Refused("131026: the recipient cannot receive this, and here is what the provider has to say" * 9),
    "unconfirmed": Unknown("ReadTimeoutError: " + "🚫" * 200),
    "retried": Retryable("ThrottlingException"),
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
    assert (
        calls.write_units <= 3 + (ending == "retried") + LIST_UNITS
    )  # due at another time, it leaves the index and enters it


def test_row_stays_below_1024_bytes_with_any_rule(local: DynamoDB) -> None:
    _ingest(local, "wamid.1", NOON - timedelta(days=29))
    starts_at = NOON + timedelta(days=3)
    _book(local, starts_at=starts_at, at=NOON)
    answer, calls = _tick(local, starts_at - timedelta(days=1))
    assert answer["skipped"] == {"window_closed": 1}
    (row,) = [item for item in local.items() if item["type"]["S"] == "scheduled_message"]
    assert _size(row) < 1024
    assert calls.write_units == 3 + LIST_UNITS


LONGEST = {
    "brand": "northern-lights-dental-group",
    "address": "+491711234567890",
    "timezone": "America/Argentina/ComodRivadavia",
    "provider_message_id": "wamid.HBgPNDkxNzExMjM0NTY3ODkwFQIAERgSOUEzQ0E1QjNENENENkU2N0U3AA==",
}
"""The longest values: E.164 has 15 digits, no zone's name is longer, and WhatsApp's ids have some 66 characters."""


@pytest.mark.parametrize("reason", ["appointment_reminder", "trial_follow_up"])
def test_row_with_all_facts_and_longest_ids_is_below_1024_bytes(local: DynamoDB, reason: str) -> None:
    """Quiet hours, caps, zone, template and, for marketing, a consent. One that was put off may be longer."""
    contact = Contact(LONGEST["brand"], "whatsapp", LONGEST["address"])
    store, last_event_at = local.store, NOON - timedelta(days=9, microseconds=1)
    assert store.write_conversation(
        contact, Conversation(last_event_at, "wamid.1", "started", expiry(last_event_at + WINDOW)), replacing=None
    )
    seen = Profile(last_event_at, last_event_at, expiry(NOON + timedelta(days=365)), timezone=LONGEST["timezone"])
    assert store.write_profile(contact, seen, replacing=None)
    preferring(store, contact, Preferences().apply("marketing", "whatsapp", Choice(allowed=True, at=last_event_at)))
    kind = REASONS[reason].kind
    ref = SubjectRef(contact.brand, kind, str(UUID(int=2**127 + 12345)))
    sources = {"appointment": ("AppointmentBooked", "starts_at", 1), "trial": ("TrialStarted", "ends_at", -3)}
    event_type, anchor, days = sources[kind]
    now = datetime(2026, 12, 4, 16, 0, 0, 654321, tzinfo=UTC)
    fields = {anchor: iso(now + timedelta(days=abs(days))), "remind_before": ["P1D"]}
    event = BusinessEvent(event_type, ref, version_of(NOON, EventEffect.BEGIN), NOON, contact, fields)
    assert plan_messages(event, store=store, publish=lambda _: None, clock=lambda: NOON, settings=POLICY).planned
    send_group = REASONS[reason].send_group
    policy = replace(POLICY, whatsapp_templates=frozenset({reason}))
    sent = Accepted("whatsapp", LONGEST["provider_message_id"])
    answer, calls = _tick(local, now, sent, policy=policy, send_group=send_group)
    assert answer["sent"] == 1
    (row,) = [item for item in local.items() if "claim_id" in item]
    facts = json.loads(row["facts"]["S"])
    seen_by_the_policy = {"counted", "quiet_hours", "zone", "zone_from", "local_time", "tzdata"}
    assert seen_by_the_policy <= set(facts)
    assert (REASONS[reason].category == "marketing") == ("consent" in facts)
    kept_text = ("text", "locale", "template")
    assert _size({name: value for name, value in row.items() if name not in kept_text}) < 1024
    assert calls.write_units == 3 + 1 + (_size(row) > 1024) + LIST_UNITS


def _size(item: dict[str, dict[str, str]]) -> int:
    """Bytes, as "DynamoDB item sizes and formats" counts them: a number takes one, and one for two digits."""
    return sum(
        len(name.encode()) + (len(value["N"]) // 2 + 2 if "N" in value else len(next(iter(value.values())).encode()))
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
            offset="P1D",
            anchor_at=due_at + timedelta(days=1),
            due_at=due_at,
            valid_until=due_at + timedelta(days=1),
            version=1,
        )


def _fill(local: DynamoDB, messages: Iterator[ScheduledMessage]) -> None:
    _put_all(local, (row_item(message, NOON) for message in messages))


def _put_all(local: DynamoDB, made: Iterable[Item]) -> None:
    items = [item.serialize() for item in made]
    for start in range(0, len(items), 25):
        puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not local.client.batch_write_item(RequestItems={TABLE: puts})["UnprocessedItems"]


NOT_YET = NOON + timedelta(seconds=1)


def test_run_with_nothing_due_makes_one_query_per_shard(local: DynamoDB) -> None:
    _, of_an_empty_table = _tick(local, NOON)
    _fill(local, _rows(2000, shards=range(SHARDS), due_at=NOT_YET))
    answer, calls = _tick(local, NOON)
    assert answer["due"] == 0
    assert calls.operations == of_an_empty_table.operations == ["Query"] * SHARDS
    expected = [call.params["ExpressionAttributeValues"].values() for call in calls.requests]
    shards = {value["S"] for values in expected for value in values if value["S"].startswith("appointments#")}
    assert shards == {f"appointments#prompt#{shard}" for shard in range(SHARDS)}
    assert calls.read_units == of_an_empty_table.read_units == 0


def test_cost_of_100_due_rows_does_not_grow_with_the_table(local: DynamoDB) -> None:
    due = list(_rows(100, shards=range(3, 4), due_at=NOON))
    _fill(local, iter(due))

    def found() -> Calls:
        with local.calls() as calls:
            dues = due_in(local.store, 3, NOON)
        assert sorted(dues, key=str) == sorted((due_key(message) for message in due), key=str)
        return calls

    small = found()
    _fill(local, _rows(2000, shards=range(3, 4), due_at=NOT_YET))
    large = found()
    assert small.operations == large.operations == ["Query"]
    assert 0 < small.read_units == large.read_units <= 3


# A broadcast's audience


def _fill_audience(local: DynamoDB, contacts: Iterable[Contact], *, closes_at: datetime) -> None:
    last_event_at = closes_at - WINDOW
    stored_conversation = Conversation(last_event_at, "wamid.1", "started", expiry(closes_at))
    _put_all(local, (conversation_item(contact, stored_conversation) for contact in contacts))


def _paged(local: DynamoDB, *, limit: int = PAGE) -> tuple[int, Calls]:
    """Return how many contacts are in the audience's shard, and the cost to find them."""
    with local.calls() as calls:
        found = whole_audience(local.store, subject=PREVIEW, shard=SHARD, day=NOON.date(), limit=limit)
    return len(found), calls


SHARD: Final = 3
MEMBERS: Final = 1000
CLOSED: Final = 5000


def test_audience_cost_depends_only_on_its_recipients(local: DynamoDB) -> None:
    """Contacts whose window has closed, other brands, shards and items cost nothing."""
    contacts = contacts_of_shard(SHARD)
    units: dict[int, float] = {}
    filled = 0
    for members in (PAGE, MEMBERS // 4, MEMBERS // 2, MEMBERS):
        _fill_audience(local, islice(contacts, members - filled), closes_at=NOON + timedelta(days=9))
        filled = members
        found, calls = _paged(local)
        assert found == members
        assert set(calls.operations) == {"Query"}
        assert len(calls.requests) == members // PAGE + 1
        units[members] = calls.read_units
    _fill_audience(local, islice(contacts, CLOSED), closes_at=NOON - timedelta(days=1))
    _fill_audience(local, islice(contacts_of_shard(SHARD, "another-brand"), 500), closes_at=NOON + timedelta(days=9))
    _fill_audience(local, islice(contacts_of_shard(SHARD + 1), 500), closes_at=NOON + timedelta(days=9))
    for item in ("SKU-7", ""):
        for contact in islice(contacts_of_shard(SHARD), 20):
            interested(local.store, contact, item=item)
    found, calls = _paged(local)
    assert found == MEMBERS
    assert calls.read_units == units[MEMBERS]
    assert units == {members: ceil(members / PAGE) / 2 for members in units}, "half a unit for each page of 33"
