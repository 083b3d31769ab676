"""How a message is settled: by its claim's owner, by a receipt, or by both in either order. A state never goes back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reengage.domain.message import FOLLOWS, ScheduledMessage, State
from reengage.ports import Store
from tests.contract.samples import (
    ANNA,
    BEN,
    LATER,
    NOW,
    OTHER_CLAIM,
    brought,
    claimed,
    due_key,
    ended,
    everything_due,
    planned,
    reminder,
)
from tests.contract.stores import DynamoDB, Harness

MUCH_LATER = LATER + timedelta(hours=1)
FACTS = {"decided_at": "2026-11-30T08:00:00Z", "window_expires_at": "2026-12-30T08:00:00Z"}


# Settling


@pytest.mark.parametrize("to", FOLLOWS)
@pytest.mark.parametrize("state", State)
def test_the_claims_owner_moves_it_forward_only(harness: Harness, state: State, to: State) -> None:
    before = brought(harness.store, state)
    end = replace(before, state=to, settled_at=MUCH_LATER, attempts=1, rule="a_rule", facts=FACTS, error="an error")
    settled = harness.store.settle(replace(end, provider=None, provider_message_id=None))
    assert settled is (state in FOLLOWS[to])
    is_completed = to is State.UNCONFIRMED and state in (State.DELIVERED, State.UNDELIVERED)
    kept = replace(before, rule="a_rule", facts=FACTS) if is_completed else before
    assert harness.store.read_message(before.key) == (end if settled else kept)
    if settled:
        assert everything_due(harness.store, NOW) == []


@pytest.mark.parametrize("to", FOLLOWS)
@pytest.mark.parametrize("state", State)
def test_a_claim_that_is_not_the_rows_settles_nothing(harness: Harness, state: State, to: State) -> None:
    before = brought(harness.store, state)
    stranger = ended(before, to, claim_id=OTHER_CLAIM, provider="stranger", provider_message_id="not-ours", facts=FACTS)
    assert not harness.store.settle(stranger)
    assert harness.store.read_message(before.key) == before


def test_settling_keeps_decision_attempts_and_answer(harness: Harness) -> None:
    taken = claimed(harness.store)
    sent = ended(taken, State.SENT, provider="eventbridge", provider_message_id="event-1", attempts=2, facts=FACTS)
    assert harness.store.settle(sent)
    assert harness.store.read_message(taken.key) == sent


def test_settling_changes_nothing_of_the_plan(harness: Harness) -> None:
    taken = claimed(harness.store)
    other = replace(taken, version=9, due_at=MUCH_LATER, valid_until=MUCH_LATER, planned_at=MUCH_LATER, claimed_at=None)
    assert harness.store.settle(ended(other, State.FAILED, error="refused"))
    assert harness.store.read_message(taken.key) == ended(taken, State.FAILED, error="refused")


def test_a_decision_without_a_rule_takes_the_earlier_one_away(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.settle(ended(taken, State.UNCONFIRMED, rule="quiet_hours", facts=FACTS))
    sent = ended(taken, State.SENT, provider="eventbridge", provider_message_id="event-1")
    assert harness.store.settle(sent)
    assert harness.store.read_message(taken.key) == sent


def test_owner_may_settle_a_message_marked_unconfirmed(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.settle(ended(taken, State.UNCONFIRMED))
    sent = replace(
        taken, state=State.SENT, settled_at=MUCH_LATER, provider="eventbridge", provider_message_id="event-1"
    )
    assert harness.store.settle(sent)
    assert harness.store.read_message(taken.key) == sent


@pytest.mark.parametrize("state", [State.DELIVERED, State.UNDELIVERED])
def test_a_receipt_before_the_settlement_keeps_both(harness: Harness, state: State) -> None:
    taken = claimed(harness.store)
    error = "unreachable" if state is State.UNDELIVERED else None
    assert harness.store.record_receipt(ended(taken, state, error=error))
    assert everything_due(harness.store, NOW) == []
    sent = replace(
        taken,
        state=State.SENT,
        settled_at=MUCH_LATER,
        attempts=1,
        provider="eventbridge",
        provider_message_id="event-1",
        facts=FACTS,
    )
    assert not harness.store.settle(sent)
    assert harness.store.read_message(taken.key) == ended(
        taken, state, error=error, provider="eventbridge", provider_message_id="event-1", facts=FACTS
    )


def claimed_again(store: Store, message: ScheduledMessage) -> ScheduledMessage:
    """Claim a message that is due once more, as it is stored."""
    due = store.read_message(message.key)
    assert due
    taken = store.claim(due_key(due), claim_id=OTHER_CLAIM, at=LATER)
    assert taken
    return taken


@pytest.mark.parametrize("to", [State.SENT, State.UNCONFIRMED, State.FAILED])
def test_the_sender_of_a_second_address_keeps_the_receipt(harness: Harness, to: State) -> None:
    """Seed 98007584: the sender wrote what the first address had reported over the receipt of the second one."""
    first = brought(harness.store, State.SENT)
    assert harness.store.fall_back(replace(first, undelivered_to=(ANNA,), last_receipt_id="u1"))
    taken = claimed_again(harness.store, first)
    reported = ended(taken, State.DELIVERED, provider_message_id="event-2", last_receipt_id="d2")
    assert harness.store.record_receipt(reported)
    answer: dict[str, Any] = (
        {"provider_message_id": "event-2", "facts": FACTS} if to is State.SENT else {"error": "timed out"}
    )
    assert not harness.store.settle(ended(taken, to, **answer))
    assert harness.store.read_message(taken.key) == (replace(reported, facts=FACTS) if to is State.SENT else reported)


@pytest.mark.parametrize("state", [State.DELIVERED, State.UNDELIVERED])
def test_a_lost_answer_keeps_the_receipt_and_what_was_sent(harness: Harness, state: State) -> None:
    """The facts say whether the text asked for an answer. The error is that of the lost answer, not of the message."""
    taken = claimed(harness.store)
    reported = ended(taken, state, provider_message_id="event-1", last_receipt_id="d1")
    assert harness.store.record_receipt(reported)
    kept: dict[str, Any] = {"facts": FACTS, "text": "See you!", "locale": "en", "template": "a_template"}
    assert not harness.store.settle(ended(taken, State.UNCONFIRMED, error="timed out", **kept))
    assert harness.store.read_message(taken.key) == replace(reported, **kept)


def test_what_was_sent_replaces_the_facts_of_an_earlier_hold(harness: Harness) -> None:
    """A hold has a rule, and its facts are not those of the text that the receipt is about."""
    held = replace(claimed(harness.store), state=State.SCHEDULED, rule="paused", facts={"decided_at": "earlier"})
    assert harness.store.release(held)
    taken = claimed_again(harness.store, held)
    reported = ended(taken, State.DELIVERED, provider_message_id="event-1", last_receipt_id="d1")
    assert harness.store.record_receipt(reported)
    assert not harness.store.settle(ended(taken, State.UNCONFIRMED, rule=None, facts=FACTS))
    assert harness.store.read_message(taken.key) == replace(reported, rule=None, facts=FACTS)


def test_an_abandoned_claim_keeps_the_decision_of_its_owner(harness: Harness) -> None:
    """Another run finds the claim abandoned, while its owner ends: what that run read is older."""
    taken = claimed(harness.store)
    sent = ended(taken, State.DELIVERED, provider="eventbridge", facts=FACTS)
    assert harness.store.record_receipt(ended(taken, State.DELIVERED))
    assert not harness.store.settle(replace(sent, state=State.SENT))
    for facts in ({}, {"decided_at": "2026-11-29T08:00:00Z"}):
        assert not harness.store.settle(ended(taken, State.UNCONFIRMED, facts=facts))
        assert harness.store.read_message(taken.key) == sent


@pytest.mark.parametrize("to", [State.FAILED, State.SKIPPED])
@pytest.mark.parametrize("state", [State.DELIVERED, State.UNDELIVERED])
def test_a_receipt_knows_more_than_a_sender_without_an_answer(harness: Harness, state: State, to: State) -> None:
    taken = claimed(harness.store)
    reported = ended(taken, state, provider_message_id="event-1")
    assert harness.store.record_receipt(reported)
    assert not harness.store.settle(ended(taken, to, rule="window_closed", facts=FACTS, error="timed out"))
    assert harness.store.read_message(taken.key) == reported


def test_a_receipt_of_sent_is_completed_by_the_senders_answer(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.record_receipt(ended(taken, State.SENT))
    sent = ended(taken, State.SENT, provider="eventbridge", provider_message_id="event-1", facts=FACTS)
    assert harness.store.settle(sent)
    assert harness.store.read_message(taken.key) == sent


# Receipts


@pytest.mark.parametrize("to", [State.SENT, State.DELIVERED, State.UNDELIVERED])
@pytest.mark.parametrize("state", State)
def test_a_receipt_moves_it_forward_only(harness: Harness, state: State, to: State) -> None:
    before = brought(harness.store, state)
    receipt = replace(before, state=to, settled_at=MUCH_LATER, provider_message_id="event-2", error="an error")
    recorded = harness.store.record_receipt(receipt)
    assert recorded is (state in FOLLOWS[to] and state is not to)
    assert harness.store.read_message(before.key) == (receipt if recorded else before)
    if recorded:
        assert everything_due(harness.store, NOW) == []


def test_a_receipt_takes_nothing_away(harness: Harness) -> None:
    """The row was read before the sender had settled it: the receipt knows only the state."""
    read_early = claimed(harness.store)
    sent = ended(read_early, State.SENT, provider="eventbridge", provider_message_id="event-1", facts=FACTS)
    assert harness.store.settle(sent)
    assert harness.store.record_receipt(replace(read_early, state=State.DELIVERED, settled_at=MUCH_LATER))
    assert harness.store.read_message(sent.key) == replace(sent, state=State.DELIVERED, settled_at=MUCH_LATER)


def test_a_repeated_receipt_changes_nothing(harness: Harness) -> None:
    delivered = ended(brought(harness.store, State.SENT), State.DELIVERED)
    assert harness.store.record_receipt(delivered)
    assert not harness.store.record_receipt(replace(delivered, settled_at=MUCH_LATER))
    assert harness.store.read_message(delivered.key) == delivered


# Finding


@pytest.mark.parametrize("state", State)
def test_a_message_is_found_by_its_id_in_every_state(harness: Harness, state: State) -> None:
    message = brought(harness.store, state)
    assert harness.store.find_message(ANNA, message.scheduled_message_id) == message


@pytest.mark.parametrize("rows_a_page", [1, 4, 100])
def test_it_is_found_among_many(harness: Harness, rows_a_page: int) -> None:
    messages = [planned(harness.store, reminder(offset=f"PT{hours}H")) for hours in range(10)]
    with harness.small_pages(rows_a_page):
        assert [harness.store.find_message(ANNA, m.scheduled_message_id) for m in messages] == messages
        assert harness.store.find_message(ANNA, reminder(version=2).scheduled_message_id) is None


def test_it_is_found_with_its_own_contact_alone(harness: Harness) -> None:
    message = planned(harness.store)
    assert harness.store.find_message(BEN, message.scheduled_message_id) is None
    assert harness.store.find_message(ANNA, "no such id") is None


def test_of_no_row_nothing_is_read(harness: Harness) -> None:
    assert harness.store.read_message(reminder().key) is None


def test_held_message_keeps_hold_start_and_rules(harness: Harness) -> None:
    store = harness.store
    message = claimed(store)
    held = replace(message, due_at=LATER, planned_due_at=message.due_at, hold_rules="frequency_cap, quiet_hours")
    assert store.release(held)
    kept = store.read_message(message.key)
    assert kept
    assert (kept.due_at, kept.planned_due_at, kept.hold_rules) == (LATER, message.due_at, "frequency_cap, quiet_hours")


@pytest.mark.parametrize("state", [State.SENT, State.UNCONFIRMED])
def test_the_text_that_was_sent_is_kept_until_the_erasure(harness: Harness, state: State) -> None:
    store, kept = harness.store, {"text": "Bis morgen! 🦷", "locale": "de", "template": "appointment_reminder"}
    taken = claimed(store)
    assert store.settle(ended(taken, state, **kept))
    assert store.record_receipt(ended(taken, State.DELIVERED))
    (held,) = store.read_holdings(ANNA).scheduled
    assert (held.text, held.locale, held.template) == tuple(kept.values())
    assert store.erase(ANNA, until=LATER) == 1
    assert harness.size() == 0


def test_the_text_is_kept_if_the_receipt_came_first(harness: Harness) -> None:
    store, taken = harness.store, claimed(harness.store)
    assert store.record_receipt(ended(taken, State.DELIVERED))
    assert not store.settle(ended(taken, State.SENT, provider="eventbridge", text="See you!", locale="en"))
    held = store.read_message(taken.key)
    assert held
    assert (held.state, held.text, held.locale) == (State.DELIVERED, "See you!", "en")


@pytest.mark.parametrize(("length", "units"), [(50, 1), (200, 1), (900, 2)])
def test_a_long_text_costs_one_write_unit_more(local: DynamoDB, length: int, units: int) -> None:
    """The units beside those of the index; each receipt costs the same again."""
    taken = claimed(local.store)
    with local.calls() as settling:
        assert local.store.settle(ended(taken, State.SENT, text="x" * length, locale="en"))
    with local.calls() as reporting:
        assert local.store.record_receipt(ended(taken, State.DELIVERED))
    assert (settling.write_units, reporting.write_units) == (units + 1, units)
