"""What the merge of messages into one text reads: the contact's due messages, and those of one claim."""

from dataclasses import replace

import pytest

from reengage.domain.message import HANDED_OVER, State
from tests.contract.samples import ANNA, APPOINTMENT, BEN, NOW, OTHER_CLAIM, brought, claimed, planned, reminder
from tests.contract.stores import Harness

SECOND = replace(APPOINTMENT, id="A-2002")


def test_pending_messages_of_one_reason(harness: Harness) -> None:
    store = harness.store
    mine = planned(store, reminder())
    second = claimed(store, reminder(subject=SECOND))
    check_in = planned(store, reminder(reason="online_check_in"))
    planned(store, reminder(contact=BEN))
    assert {row.key for row in store.pending_messages(ANNA, "appointment_reminder")} == {mine.key, second.key}
    assert {row.key for row in store.pending_messages(ANNA)} == {mine.key, second.key, check_in.key}


def test_unsent_messages_are_pending_or_ended_by_an_event(harness: Harness) -> None:
    store = harness.store
    pending = planned(store, reminder())
    in_hand = claimed(store, reminder(subject=SECOND))
    withdrawn = planned(store, reminder(subject=replace(APPOINTMENT, id="A-3")))
    assert store.withdraw(withdrawn, version=withdrawn.version, rule="cancelled", at=NOW)
    brought(store, State.SENT, reminder(subject=replace(APPOINTMENT, id="A-4")))
    brought(store, State.SKIPPED, reminder(subject=replace(APPOINTMENT, id="A-5")))
    late = replace(
        reminder(subject=replace(APPOINTMENT, id="A-6")), state=State.SKIPPED, rule="too_late", settled_at=NOW
    )
    store.write_plan(late, at=NOW)
    planned(store, reminder(contact=BEN))
    assert {row.key for row in store.unsent_messages(ANNA)} == {pending.key, in_hand.key, withdrawn.key, late.key}


@pytest.mark.parametrize("state", State)
def test_messages_of_one_claim_that_were_handed_over(harness: Harness, state: State) -> None:
    store = harness.store
    first = claimed(store, reminder(subject=SECOND))
    claimed(store, reminder(subject=replace(APPOINTMENT, id="A-3003")), OTHER_CLAIM)
    claimed(store, reminder(reason="online_check_in"))
    other = brought(store, state, reminder())
    expected = [other] if state in HANDED_OVER and other.claim_id == first.claim_id else []
    assert store.claimed_together(first, first.contact) == expected
