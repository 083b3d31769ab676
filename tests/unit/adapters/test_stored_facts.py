"""A message's facts in its row: shorter, and read as they were written."""

from typing import Any

import pytest

from reengage.adapters.dynamodb.items.messages import facts_json, to_facts

LAST = "2026-12-07T15:30:00Z"
FACTS: dict[str, dict[str, Any]] = {
    "none": {},
    "without a conversation": {"decided_at": LAST, "zone": "Europe/Berlin"},
    "whole window": {"decided_at": LAST, "last_inbound_at": LAST, "window_expires_at": "2027-01-06T15:30:00Z", "a": 1},
    "shorter window": {"last_inbound_at": LAST, "window_expires_at": "2027-01-06T15:29:59Z"},
    "only the end": {"window_expires_at": "2027-01-06T15:30:00Z"},
}


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_facts_are_read_as_they_were_written(facts: dict[str, Any]) -> None:
    found = to_facts(facts_json(facts) or {})
    assert list(found.items()) == list(facts.items())


def test_end_of_the_window_is_not_stored_if_it_follows() -> None:
    stored = facts_json(FACTS["whole window"])
    assert stored == {"decided_at": LAST, "last_inbound_at": LAST, "a": 1}
    assert facts_json(FACTS["shorter window"]) == FACTS["shorter window"]
