"""Concurrent calls: each row is claimed by one caller, and no update is lost."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from threading import Barrier

from reengage.domain.message import ScheduledMessage, State
from reengage.domain.preferences import Choice
from reengage.domain.subject import BusinessEvent, Subject
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    NOW,
    claimed,
    contacts_of_shard,
    conversation,
    due_in,
    due_key,
    ended,
    planned,
    reminder,
    written,
)
from tests.contract.stores import WORKERS, Harness


def together[T](work: Callable[[int], T]) -> list[T]:
    """Let eight threads start at once, each with its work."""
    start = Barrier(WORKERS)

    def begin(number: int) -> T:
        start.wait(timeout=10)
        return work(number)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(begin, range(WORKERS)))


def test_each_row_is_claimed_exactly_once(concurrent: Harness) -> None:
    store = concurrent.store
    rows = [planned(store, reminder(contact=contact)) for contact in islice(contacts_of_shard(0), 50)]

    def claim_all(number: int) -> list[tuple[str, str]]:
        dues = due_in(store, 0, NOW)
        assert len(dues) == len(rows)
        turned = dues[number * 6 :] + dues[: number * 6]
        taken = [store.claim(due, claim_id=f"claim-{number}", at=NOW) for due in turned]
        return [(message.contact.address, message.claim_id or "") for message in taken if message]

    claims = [claim for run in together(claim_all) for claim in run]
    assert Counter(address for address, _ in claims) == Counter(row.contact.address for row in rows)
    stored = [store.read_message(row.key) for row in rows]
    assert {(m.contact.address, m.claim_id) for m in stored if m} == set(claims)


def test_no_event_of_a_subject_is_lost(concurrent: Harness) -> None:
    store = concurrent.store

    def apply_event(number: int) -> int:
        tries = 0
        for round_ in range(5):
            name = f"field-{number}-{round_}"
            event = BusinessEvent("AppointmentBooked", APPOINTMENT, version=1, arrived_at=NOW, fields={name: number})
            written = False
            while not written:
                tries += 1
                before = store.read_subject(APPOINTMENT) or Subject(APPOINTMENT)
                written = store.write_subject(before.apply(event))
        return tries

    tries = sum(together(apply_event))
    stored = store.read_subject(APPOINTMENT)
    assert stored
    assert len(stored.tracks["appointment"].fields) == stored.revision == WORKERS * 5
    assert tries >= stored.revision


def test_no_choice_of_a_person_is_lost(concurrent: Harness) -> None:
    store = concurrent.store

    def choose(number: int) -> None:
        written = False
        while not written:
            choice = Choice(allowed=bool(number % 2), at=NOW, cause=number)
            written = store.write_preferences(ANNA, store.read_preferences(ANNA).apply("contact", str(number), choice))

    together(choose)
    stored = store.read_preferences(ANNA)
    assert {scope: choice.cause for scope, choice in stored.contact.items()} == {str(n): n for n in range(WORKERS)}
    assert stored.revision == WORKERS


def test_of_many_first_messages_one_opens_the_conversation(concurrent: Harness) -> None:
    def write(number: int) -> bool:
        opened = conversation(opened_by=f"wamid.{number}")
        return concurrent.store.write_conversation(ANNA, opened, replacing=None)

    written = together(write)
    assert sum(written) == 1
    stored = concurrent.store.read_thread(ANNA).conversation
    assert stored
    assert stored.opened_by == f"wamid.{written.index(True)}"


def test_newest_of_many_concurrent_plans_is_kept(concurrent: Harness) -> None:
    def plan(number: int) -> None:
        concurrent.store.write_plan(reminder(version=number + 1), at=NOW)

    together(plan)
    assert concurrent.store.read_message(reminder().key) == reminder(version=WORKERS)


def test_a_claim_and_a_withdrawal_exclude_each_other(concurrent: Harness) -> None:
    def race(message: ScheduledMessage, number: int) -> State | None:
        if number % 2:
            won = concurrent.store.claim(due_key(message), claim_id=str(number), at=NOW)
        else:
            won = concurrent.store.withdraw(message, version=1, rule="cancelled", at=NOW)
        return won.state if won else None

    for hours in range(10):
        message = planned(concurrent.store, reminder(offset=f"PT{hours}H"))
        won = [state for state in together(partial(race, message)) if state]
        stored = concurrent.store.read_message(message.key)
        assert stored
        # Every withdrawal of a withdrawn row reports it; a claim succeeds once.
        assert won == [stored.state] * (1 if stored.state is State.SENDING else WORKERS // 2)


def test_no_outcome_of_a_broadcast_is_lost_while_it_moves_on(concurrent: Harness) -> None:
    """Several runs count while another one plans the next page."""
    store, of = concurrent.store, written(concurrent.store)

    def count(number: int) -> int:
        moved = 0
        for _ in range(5):
            if number:
                store.count_outcomes(of.key, 1, {"sent": number, f"skipped:rule_{number}": 1})
                continue
            before = store.read_shard(of.key)
            assert before
            after = replace(before, cursor=f"page {before.planned}", planned=before.planned + 33, outcomes={})
            moved += store.save_progress(after, replacing=before)
        return moved

    moved = sum(together(count))
    expected = {"sent": 5 * sum(range(WORKERS)), **{f"skipped:rule_{n}": 5 for n in range(1, WORKERS)}}
    assert moved == 5
    assert store.read_shard(of.key) == replace(of, cursor="page 132", planned=165, outcomes=expected)


def test_only_one_of_many_runs_advances_the_page(concurrent: Harness) -> None:
    store, of = concurrent.store, written(concurrent.store)

    def move(number: int) -> bool:
        return store.save_progress(replace(of, cursor=f"by {number}", planned=33), replacing=of)

    moved = together(move)
    assert sum(moved) == 1
    assert store.read_shard(of.key) == replace(of, cursor=f"by {moved.index(True)}", planned=33)


def test_receipts_and_the_settlement_lose_nothing_of_each_other(concurrent: Harness) -> None:
    def race(taken: ScheduledMessage, number: int) -> None:
        if number == 0:
            answer = {"provider": "eventbridge", "provider_message_id": "event-1"}
            concurrent.store.settle(ended(taken, State.SENT, **answer))
        else:
            concurrent.store.record_receipt(ended(taken, State.DELIVERED))

    for hours in range(10):
        taken = claimed(concurrent.store, reminder(offset=f"PT{hours}H"))
        together(partial(race, taken))
        stored = concurrent.store.read_message(taken.key)
        assert stored == ended(taken, State.DELIVERED, provider="eventbridge", provider_message_id="event-1")
