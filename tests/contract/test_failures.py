"""Messages that ended as failed are found, and go back into the schedule once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.domain.message import State
from tests.contract.samples import ANNA, BEN, LATER, NOW, claimed, due_key, ended, everything_due, planned, reminder
from tests.contract.stores import Harness


def failed(harness: Harness, **changes: object) -> None:
    message = claimed(harness.store, reminder(**changes))
    assert harness.store.settle(ended(message, State.FAILED, error="21211", attempts=3))


def test_only_failed_messages_are_found(harness: Harness) -> None:
    failed(harness)
    planned(harness.store, reminder(contact=BEN))
    sent = claimed(harness.store, reminder(offset="PT2H"))
    harness.store.settle(ended(sent, State.SENT))
    (found,) = harness.store.failed_messages()
    assert (found.contact, found.state, found.error, found.attempts) == (ANNA, State.FAILED, "21211", 3)


def test_a_requeued_message_is_due_and_claimed_once(harness: Harness) -> None:
    failed(harness)
    (message,) = harness.store.failed_messages()
    assert everything_due(harness.store, LATER) == []
    assert harness.store.requeue(message, at=LATER)
    assert not harness.store.requeue(message, at=LATER)
    (due,) = everything_due(harness.store, LATER)
    stored = harness.store.read_message(message.key)
    assert stored
    assert due == due_key(stored)
    assert (stored.state, stored.attempts, stored.settled_at) == (State.SCHEDULED, 1, None)
    assert (stored.due_at, stored.planned_due_at, stored.error) == (LATER, NOW, "21211")
    assert harness.store.claim(due, claim_id="next", at=LATER)
    assert harness.store.claim(due, claim_id="another", at=LATER) is None


@pytest.mark.parametrize("state", [State.SENT, State.UNCONFIRMED, State.SCHEDULED])
def test_a_message_that_changed_meanwhile_stays(harness: Harness, state: State) -> None:
    failed(harness)
    (message,) = harness.store.failed_messages()
    assert harness.store.requeue(message, at=LATER)
    if state is not State.SCHEDULED:
        stored = harness.store.read_message(message.key)
        assert stored
        taken = harness.store.claim(due_key(stored), claim_id="next", at=LATER)
        assert taken
        assert harness.store.settle(ended(taken, state))
    assert not harness.store.requeue(message, at=LATER + timedelta(minutes=1))
    assert list(harness.store.failed_messages()) == []
    assert not harness.store.requeue(replace(message, claim_id="next"), at=LATER)
