"""Cases that the tables of the other tests do not cover."""

from datetime import datetime, timedelta

import pytest

from reengage.domain.brand import Brand
from reengage.domain.planning import planned_messages, reply
from reengage.domain.subject import Subject
from tests.fakes import NOON, business, inbound

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("follow_up", "uses"),
    [
        (["P1D"], [(NOON + DAY, NOON + 4 * DAY)]),
        (
            ["-P3D", "P1D", "P2D"],
            [(NOON - 3 * DAY, NOON + DAY), (NOON + DAY, NOON + 2 * DAY), (NOON + 2 * DAY, NOON + 5 * DAY)],
        ),
    ],
)
def test_only_the_last_follow_up_is_valid_for_three_days(
    follow_up: list[str], uses: list[tuple[datetime, datetime]]
) -> None:
    event = business("TrialStarted", ends_at=NOON, follow_up=follow_up)
    messages = planned_messages(Subject(event.subject).apply(event))
    assert [(message.due_at, message.valid_until) for message in messages] == uses


@pytest.mark.parametrize("reason", ["welcome_back", "help_reply"])
def test_a_reply_is_at_no_offset_and_of_no_version(reason: str) -> None:
    """Both are in its row and its name, so they must not change."""
    message = reply(reason, inbound(), NOON)
    assert (message.offset, message.version) == ("PT0S", 0)


def test_first_value_of_a_field_counts_with_any_version() -> None:
    assert Brand("acme-dental").apply(0, {"name": "Acme"}) == Brand("acme-dental", name="Acme", versions={"name": 0})


def test_a_messages_name_is_stable() -> None:
    """Rows in the table have these ids, and business systems know messages by them."""
    event = business("AppointmentBooked", starts_at=NOON + 10 * DAY)
    first, _ = planned_messages(Subject(event.subject).apply(event))
    assert first.scheduled_message_id == "fa359422-577c-514d-b910-dd12c555786d"


def test_the_name_of_a_message_that_comes_once_is_stable() -> None:
    event = business("CartAbandoned", subject_id="C-1", items=["Shoe"], cart_url="https://acme.example/cart")
    [message] = planned_messages(Subject(event.subject).apply(event))
    assert message.scheduled_message_id == "6f8b1ecc-01c4-537d-9f17-c55242f26253"


def test_keys_of_subjects_are_stable() -> None:
    """Stored ids must not change; an address may hold any character except the separators."""
    cart, product = business("CartAbandoned", subject_id="C-1"), business("ProductViewed", subject_id="P#1")
    assert cart.subject.key == "SUBJECT#acme-dental#cart#C-1"
    assert product.subject.key == "SUBJECT#acme-dental#product#sms#+4915112345678#P#1"
