"""Mutated events on the template's own table: DynamoDB's limits of keys, items and numbers apply, too."""

import random
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.integration.stack import Stack, case
from tests.poison.mutations import mutated
from tests.poison.test_poison import EVENTS

NOW: Final = datetime(2031, 3, 19, 15, tzinfo=UTC)
MUTATIONS: Final = 6
LONG: Final = {
    "ingest_message/first_message": ("message_id", "text", "display_name"),
    "plan_messages/appointment_booked": ("appointment_id", "service", "location"),
    "plan_messages/cart_abandoned": ("cart_id", "cart_url"),
    "plan_messages/contact_erased": (),
    "record_delivery/delivered": ("scheduled_message_id", "provider_message_id", "error"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVENTS)
def test_a_mutated_event_is_answered_or_rejected(stack: Stack, name: str) -> None:
    function, fresh = name.split("/", maxsplit=1)[0], random.SystemRandom().randrange(10**9)
    for number, seed in enumerate((*range(MUTATIONS), fresh)):
        event = mutated(case(name), random.Random(seed))
        answer = stack.invoke(function, event, at=NOW, warm=number > 0)
        assert isinstance(answer, dict), seed
    assert all(kept["errors"] for kept in stack.rejected())


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in LONG.items() for field in fields])
@pytest.mark.parametrize("value", ["x" * 1_100, "🦷" * 600, "x" * 300_000, "\x00", "#", "\ud800"], ids=range(6))
def test_a_text_that_a_table_does_not_take_is_no_failure(stack: Stack, name: str, field: str, value: Any) -> None:
    event = case(name)
    event["detail"][field] = value
    assert isinstance(stack.invoke(name.split("/", maxsplit=1)[0], event, at=NOW), dict)
