"""The store's requests to DynamoDB: one for each method, none that describes the table, every write conditional."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from math import ceil
from typing import Any, get_protocol_members

import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import PynamoDBException

from reengage.domain.breaker import Breaker
from reengage.domain.broadcast import ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.instants import iso
from reengage.domain.message import GivenAnswer, ScheduledMessage, State
from reengage.domain.openers import Consent, Opener
from reengage.domain.outbox import UnpublishedList
from reengage.domain.preferences import Preferences
from reengage.domain.silence import Silence
from reengage.ports import Store, Thread
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    CLAIM,
    LATER,
    NOW,
    PREVIEW,
    TODAY,
    brand,
    broadcast_shard,
    claimed,
    contacts_of_shard,
    conversation,
    due_in,
    due_key,
    ended,
    inbound,
    placed,
    planned,
    preferring,
    profile,
    reminder,
    skip,
    stopped,
    subject,
    written,
)
from tests.contract.stores import TABLE, DynamoDB

Act = Callable[[Store], object]


def _prepare(act: Callable[[Store, Any], object], prepare: Callable[[Store], Any]) -> Callable[[Store], Act]:
    def ready(store: Store) -> Act:
        prepared = prepare(store)
        return lambda store: act(store, prepared)

    return ready


def _alone(act: Act) -> Callable[[Store], Act]:
    return lambda _: act


PUT, UPDATE, DELETE, QUERY, BATCH = "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem"
BATCH_WRITE, SCAN = "BatchWriteItem", "Scan"
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)


def _another(store: Store) -> None:
    """Anna's other reminder, which has also reserved a part of the cap."""
    placed(store, reminder(offset="PT2H"))


def _two_usages(store: Store) -> None:
    _another(store)
    placed(store, reminder())


def _all_kinds(store: Store) -> None:
    """One item of each kind under the contact's key, and the subject that one of them links to."""
    claimed(store)
    assert store.write_subject(subject())
    store.index_subject(ANNA, subject())
    assert store.write_conversation(ANNA, conversation(), replacing=None)
    assert store.write_profile(ANNA, profile(), replacing=None)
    store.write_message(inbound(), expires_at=2_000_000_000)
    _another(store)


def _booked(store: Store) -> None:
    assert store.write_subject(subject(starts_at=iso(NOW)))


def _stopped(store: Store) -> None:
    assert store.write_preferences(ANNA, stopped())


def _recipients(store: Store) -> object:
    return store.audience_page("open_conversations", PREVIEW, ANNA.shard, day=TODAY, cursor=None, limit=33)


def _talking(store: Store) -> ScheduledMessage:
    assert store.write_conversation(ANNA, conversation(), replacing=None)
    return planned(store)


def _failed(store: Store) -> ScheduledMessage:
    failed = ended(claimed(store), State.FAILED)
    assert store.settle(failed)
    return failed


def _delivered(store: Store) -> ScheduledMessage:
    sent = ended(claimed(store), State.SENT)
    assert store.settle(sent)
    return sent


def _fall_back(store: Store, sent: ScheduledMessage) -> bool:
    return store.fall_back(replace(sent, state=State.SCHEDULED, undelivered_to=(ANNA,)))


OPENER = Opener("acme-dental", "K7QMX4TRW9", APPOINTMENT, "a hash", LATER)
CONSENT = Consent("wamid.1", NOW, "Remind me: K7QMX-4TRW9", APPOINTMENT)
MANY = list(islice(contacts_of_shard(5), 70))

UNPUBLISHED = UnpublishedList("list-1", "appointments", "high", 3, NOW, LATER, (reminder().key,))


METHODS: dict[str, tuple[Callable[[Store], Act], list[str]]] = {
    "read_thread": (_alone(lambda store: store.read_thread(ANNA, "wamid.1")), [QUERY, BATCH]),
    "write_conversation": (_alone(lambda store: store.write_conversation(ANNA, conversation(), replacing=None)), [PUT]),
    "write_profile": (_alone(lambda store: store.write_profile(ANNA, profile(), replacing=None)), [PUT]),
    "write_message": (_alone(lambda store: store.write_message(inbound(), expires_at=2_000_000_000)), [PUT]),
    "read_preferences": (_alone(lambda store: store.read_preferences(ANNA)), [BATCH]),
    "write_preferences": (_alone(lambda store: store.write_preferences(ANNA, stopped())), [PUT]),
    "preferences_key": (_alone(lambda store: store.preferences_key(ANNA)), []),
    "read_linked": (_alone(lambda store: store.read_linked(store.preferences_key(ANNA))), [BATCH]),
    "write_linked": (_alone(lambda store: store.write_linked(store.preferences_key(ANNA), stopped())), [PUT]),
    "write_linked, empty": (
        _prepare(lambda store, _: store.write_linked(store.preferences_key(ANNA), Preferences(revision=1)), _stopped),
        [DELETE],
    ),
    "read_breaker": (_alone(lambda store: store.read_breaker("twilio/sms/+12025550100")), [BATCH]),
    "write_breaker": (
        _alone(lambda store: store.write_breaker("twilio/sms/+12025550100", Breaker(NOW, NOW), replacing=None)),
        [PUT],
    ),
    "write_unpublished": (_alone(lambda store: store.write_unpublished(UNPUBLISHED)), [PUT]),
    "read_unpublished": (_alone(lambda store: store.read_unpublished(UNPUBLISHED.key)), [BATCH]),
    "delete_unpublished": (_alone(lambda store: store.delete_unpublished(UNPUBLISHED.key)), [DELETE]),
    "read_silence": (_alone(lambda store: store.read_silence("twilio")), [BATCH]),
    "read_silences": (_alone(lambda store: store.read_silences()), [QUERY]),
    "write_silence": (_alone(lambda store: store.write_silence("twilio", Silence(NOW, 1), replacing=None)), [PUT]),
    "end_silence": (_alone(lambda store: store.end_silence("twilio")), [DELETE]),
    "keyed_hash": (_alone(lambda store: store.keyed_hash("a text")), []),
    "read_openers": (_alone(lambda store: store.read_openers(OPENER.brand, [OPENER.token])), [BATCH]),
    "write_opener": (_alone(lambda store: store.write_opener(OPENER)), [PUT]),
    "write_opener, known": (
        _prepare(lambda store, _: store.write_opener(OPENER), lambda store: store.write_opener(OPENER)),
        [PUT, UPDATE],
    ),
    "use_opener": (
        _prepare(
            lambda store, _: store.use_opener(OPENER, "wamid.1", at=NOW), lambda store: store.write_opener(OPENER)
        ),
        [UPDATE],
    ),
    "write_consent": (_alone(lambda store: store.write_consent(ANNA, CONSENT, expires_at=2_000_000_000)), [PUT]),
    "failed_messages": (_alone(lambda store: list(store.failed_messages())), [SCAN]),
    "requeue": (_prepare(lambda store, m: store.requeue(m, at=NOW), _failed), [UPDATE]),
    "fall_back": (_prepare(_fall_back, _delivered), [UPDATE]),
    "read_brand": (_alone(lambda store: store.read_brand(ANNA.brand)), [BATCH]),
    "write_brand": (_alone(lambda store: store.write_brand(brand(name="Acme Dental"))), [PUT]),
    "index_subject": (_alone(lambda store: store.index_subject(ANNA, subject())), [PUT]),
    "appointments_of_day": (_alone(lambda store: store.appointments_of_day("acme-dental", TODAY)), [QUERY]),
    "appointments_of_day, found": (
        _prepare(lambda store, _: store.appointments_of_day("acme-dental", TODAY), _booked),
        [QUERY, BATCH],
    ),
    "read_messages": (_alone(lambda store: store.read_messages([reminder().key])), [BATCH]),
    "read_messages, many": (
        _alone(lambda store: store.read_messages([reminder(offset=f"PT{hours}H").key for hours in range(101)])),
        [BATCH, BATCH],
    ),
    "sent_about_appointments": (
        _prepare(lambda store, _: store.sent_about_appointments(ANNA), claimed),
        [QUERY, QUERY],
    ),
    "claimed_together": (_prepare(lambda store, row: store.claimed_together(row, row.contact), claimed), [QUERY]),
    "sent_questions": (_prepare(lambda store, _: store.sent_questions(ANNA), claimed), [QUERY]),
    "record_answer": (
        _prepare(lambda store, m: store.record_answer(m, GivenAnswer("confirmed", "wamid.7", "quote", NOW)), claimed),
        [UPDATE],
    ),
    "read_subject": (_alone(lambda store: store.read_subject(APPOINTMENT)), [BATCH]),
    "write_subject": (_alone(lambda store: store.write_subject(subject())), [PUT]),
    "write_plan, new": (_alone(lambda store: store.write_plan(reminder(), at=NOW)), [PUT]),
    "write_plan, newer": (
        _prepare(lambda store, _: store.write_plan(reminder(version=2), at=NOW), planned),
        [PUT],
    ),
    "write_plan, too late": (_alone(lambda store: store.write_plan(skip(reminder()), at=NOW)), [PUT]),
    "write_plan, too late over scheduled": (
        _prepare(lambda store, _: store.write_plan(skip(reminder(version=2)), at=NOW), planned),
        [PUT, PUT],
    ),
    "write_plan, in vain": (
        _prepare(lambda store, _: store.write_plan(reminder(version=2), at=NOW), claimed),
        [PUT, BATCH],
    ),
    "withdraw": (
        _prepare(lambda store, m: store.withdraw(m, version=1, rule="cancelled", at=NOW), planned),
        [UPDATE],
    ),
    "withdraw, in vain": (
        _prepare(lambda store, m: store.withdraw(m, version=1, rule="cancelled", at=NOW), claimed),
        [UPDATE, BATCH],
    ),
    "pending_messages": (_prepare(lambda store, _: store.pending_messages(ANNA), planned), [QUERY]),
    "unsent_messages": (_prepare(lambda store, _: store.unsent_messages(ANNA), planned), [QUERY]),
    "reschedule": (_prepare(lambda store, m: store.reschedule(m, due_at=LATER, planned_due_at=NOW), planned), [UPDATE]),
    "write_shard": (_alone(lambda store: store.write_shard(broadcast_shard())), [PUT]),
    "write_shard, in vain": (_prepare(lambda store, of: store.write_shard(of), written), [PUT]),
    "read_shard": (_prepare(lambda store, of: store.read_shard(of.key), written), [BATCH]),
    "read_shards": (_prepare(lambda store, of: store.read_shards(of.subject), written), [QUERY]),
    "audience_page": (_alone(_recipients), [QUERY]),
    "save_progress": (
        _prepare(lambda store, of: store.save_progress(replace(of, cursor="a", planned=33), replacing=of), written),
        [UPDATE],
    ),
    "save_progress, to the end": (
        _prepare(lambda store, of: store.save_progress(replace(of, state=ShardState.DONE), replacing=of), written),
        [UPDATE],
    ),
    "count_outcomes": (_prepare(lambda store, of: store.count_outcomes(of.key, 1, {"sent": 1}), written), [UPDATE]),
    "read_threads": (_alone(lambda store: store.read_threads(MANY[:33])), [BATCH]),
    "read_threads, of many": (_alone(lambda store: store.read_threads(MANY)), [BATCH] * 3),
    "due": (_prepare(lambda store, _: due_in(store, ANNA.shard, NOW), planned), [QUERY]),
    "claim": (_prepare(lambda store, m: store.claim(due_key(m), claim_id=CLAIM, at=NOW), planned), [UPDATE]),
    "read_message": (_prepare(lambda store, m: store.read_message(m.key), planned), [BATCH]),
    "read_snapshot": (_prepare(lambda store, m: store.read_snapshot(m), _talking), [BATCH]),
    "read_snapshot, of a closed window": (_prepare(lambda store, m: store.read_snapshot(m), planned), [BATCH, BATCH]),
    "release": (_prepare(lambda store, m: store.release(m), claimed), [UPDATE]),
    "settle": (_prepare(lambda store, m: store.settle(ended(m, State.FAILED)), claimed), [UPDATE]),
    "find_message": (
        _prepare(lambda store, m: store.find_message(ANNA, m.scheduled_message_id), planned),
        [QUERY],
    ),
    "record_receipt": (
        _prepare(lambda store, m: store.record_receipt(ended(m, State.DELIVERED)), claimed),
        [UPDATE],
    ),
    "reserve_cap": (_alone(lambda store: store.reserve_cap(reminder(), CapUsage(), at=NOW, retention=WEEK)), [PUT]),
    "reserve_send_slot": (
        _alone(lambda store: store.reserve_send_slot("sms", now=NOW, duration=SECOND, max_wait=WEEK)),
        [UPDATE, UPDATE],
    ),
    "release_cap": (_prepare(lambda store, _: store.release_cap(reminder()), _two_usages), [BATCH, PUT]),
    "release_cap, the last": (
        _prepare(lambda store, _: store.release_cap(reminder(offset="PT2H")), _another),
        [BATCH, DELETE],
    ),
    "release_cap, of none": (_prepare(lambda store, _: store.release_cap(reminder()), _another), [BATCH]),
    "read_holdings": (_prepare(lambda store, _: store.read_holdings(ANNA), claimed), [QUERY, BATCH]),
    "read_holdings, with subjects": (
        _prepare(lambda store, _: store.read_holdings(ANNA), _all_kinds),
        [QUERY, BATCH, BATCH],
    ),
    "read_holdings_page": (
        _prepare(lambda store, _: store.read_holdings_page(ANNA), _all_kinds),
        [QUERY, BATCH, BATCH],
    ),
    "read_holdings_page, further": (_alone(lambda store: store.read_holdings_page(ANNA, "MESSAGE#1")), [QUERY]),
    "erase": (
        _prepare(lambda store, _: store.erase(ANNA, until=LATER), _all_kinds),
        [QUERY, BATCH_WRITE, BATCH, *[DELETE] * 6, QUERY],
    ),
    "erase, of nothing": (_alone(lambda store: store.erase(ANNA, until=LATER)), [QUERY, QUERY]),
    "erase, of what is younger": (
        _prepare(lambda store, m: store.erase(ANNA, until=m.planned_at - timedelta(days=1)), planned),
        [QUERY, QUERY],
    ),
}


INDEXES = {"due": "due", "audience_page": "audience", "appointments_of_day": "audience"}


def test_every_method_of_the_store_is_in_the_table() -> None:
    assert {name.split(",")[0] for name in METHODS} == get_protocol_members(Store)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_makes_these_requests_and_no_other(moto: DynamoDB, method: str) -> None:
    prepare, expected = METHODS[method]
    act = prepare(moto.store)
    with moto.calls() as calls:
        act(moto.store)
    assert calls.operations == expected
    for call in calls.requests:
        if call.operation == BATCH_WRITE:
            assert method == "erase", "only messages, which never change, are deleted without a condition"
        elif call.writes:
            assert "ConditionExpression" in call.params
        elif call.operation == BATCH:
            assert call.params["RequestItems"][TABLE]["ConsistentRead"] is True
        elif call.operation == SCAN:
            assert method == "failed_messages", "an operator's list may be a second old: what follows has a condition"
        elif (name := method.split(",", maxsplit=1)[0]) in INDEXES:
            assert call.params["IndexName"] == INDEXES[name]
        else:
            assert call.params["ConsistentRead"] is True


@pytest.mark.parametrize("rows_a_page", [2, 3, 4])
def test_what_is_due_takes_one_request_a_page(dynamodb: DynamoDB, rows_a_page: int) -> None:
    for hours in range(5):
        planned(dynamodb.store, reminder(offset=f"PT{hours}H"))
    with dynamodb.calls() as calls, dynamodb.small_pages(rows_a_page):
        assert len(due_in(dynamodb.store, ANNA.shard, NOW)) == 5
    assert calls.operations == [QUERY] * ceil(5 / rows_a_page)


@contextmanager
def _unprocessed(moto: DynamoDB, sk: str, *, times: int) -> Iterator[None]:
    """DynamoDB leaves that key unprocessed so many times, as it may under load."""
    left = times

    def leave_out(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal left
        items = parsed["Responses"][TABLE]
        held_back = [item for item in items if item["sk"]["S"] == sk]
        if held_back and left:
            left -= 1
            keys = [{"pk": item["pk"], "sk": item["sk"]} for item in held_back]
            parsed["Responses"][TABLE] = [item for item in items if item not in held_back]
            parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys, "ConsistentRead": True}}

    with moto.hook("after-call.dynamodb.BatchGetItem", leave_out):
        yield


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("sk", ["MESSAGE#wamid.1", "PREFERENCES"])
def test_unprocessed_keys_are_requested_again(moto: DynamoDB, sk: str, times: int) -> None:
    """An item that was not read must not look like a missing one."""
    moto.store.write_profile(ANNA, profile(), replacing=None)
    moto.store.write_conversation(ANNA, conversation(), replacing=None)
    moto.store.write_message(inbound("wamid.1"), expires_at=2_000_000_000)
    preferences = preferring(moto.store, ANNA, stopped())
    with moto.calls() as calls, _unprocessed(moto, sk, times=times):
        thread = moto.store.read_thread(ANNA, "wamid.1")
    assert thread == Thread(profile(), conversation(), known=True, preferences=preferences)
    own, *batches = calls.requests
    requested = [call.params["RequestItems"][TABLE] for call in batches]
    assert [len(each["Keys"]) for each in requested] == [2, *[1] * times]
    assert all(each["ConsistentRead"] for each in (own.params, *requested))


def test_a_key_that_stays_unprocessed_is_an_error_not_an_absence(moto: DynamoDB) -> None:
    preferring(moto.store, ANNA, stopped())
    with _unprocessed(moto, "PREFERENCES", times=100), pytest.raises(TimeoutError, match="1 keys"):
        moto.store.read_thread(ANNA)


THROTTLED = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "Slow down"}}


@pytest.mark.parametrize("method", [name for name, (_, requests) in METHODS.items() if requests])
def test_an_error_that_is_no_unmet_condition_is_raised(moto: DynamoDB, method: str) -> None:
    act = METHODS[method][0](moto.store)

    def refuse(model: Any, **_: Any) -> None:
        raise ClientError(THROTTLED, model.name)  # type: ignore[arg-type]  # its stub wants more than botocore does

    with moto.hook("before-call.dynamodb", refuse), pytest.raises(PynamoDBException) as caught:
        act(moto.store)
    assert caught.value.cause_response_code == "ProvisionedThroughputExceededException"


# Where an answer is lost on its way, botocore sends the request again: the second one finds what the first one did.


@contextmanager
def _sent_again(moto: DynamoDB) -> Iterator[None]:
    """Send every write twice, and use the second response."""
    last: object = None

    def replan(request_dict: dict[str, Any], operation: Any, **_: Any) -> int | None:
        nonlocal last
        if operation.name not in (PUT, UPDATE, DELETE) or request_dict is last:
            return None
        last = request_dict
        return 0  # seconds to wait before the next try

    with moto.hook("needs-retry.dynamodb", replan):
        yield


COUNTS_TWICE = {"count_outcomes", "reserve_send_slot"}
"""If the response is lost, the same message is counted again, and one slot more remains free. The count decides
nothing.
"""


@pytest.mark.parametrize("method", [method for method in METHODS if method not in COUNTS_TWICE])
def test_a_request_that_is_sent_twice_leaves_what_one_leaves(moto: DynamoDB, method: str) -> None:
    prepare, expected = METHODS[method]
    prepare(moto.store)(moto.store)
    once = moto.items()
    moto.delete_table()
    moto.create_table()
    act = prepare(moto.store)
    sent: list[str] = []
    with (
        moto.hook("before-send.dynamodb", lambda request, **_: sent.append(request.headers["X-Amz-Target"])),
        _sent_again(moto),
    ):
        act(moto.store)
    assert len(sent) >= len(expected) + sum(map(expected.count, (PUT, UPDATE, DELETE)))
    assert moto.items() == once


@pytest.mark.parametrize("message", [reminder(), skip(reminder())], ids=["scheduled", "too late"])
def test_a_plan_that_is_sent_twice_answers_as_one(moto: DynamoDB, message: ScheduledMessage) -> None:
    with _sent_again(moto):
        assert moto.store.write_plan(message, at=NOW) == message


def test_a_withdrawal_that_is_sent_twice_answers_as_one(moto: DynamoDB) -> None:
    message = planned(moto.store)
    with _sent_again(moto):
        withdrawn = moto.store.withdraw(message, version=1, rule="cancelled", at=NOW)
    assert withdrawn == replace(message, state=State.SKIPPED, rule="cancelled", settled_at=NOW)


def test_a_claim_that_is_sent_twice_is_known_by_its_own_id(moto: DynamoDB) -> None:
    due = due_key(planned(moto.store))
    with _sent_again(moto):
        assert moto.store.claim(due, claim_id=CLAIM, at=NOW) is None
    stored = moto.store.read_message(due.key)
    assert stored
    assert (stored.state, stored.claim_id) == (State.SENDING, CLAIM)
