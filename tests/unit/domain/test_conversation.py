"""The 30 days, to the microsecond."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from reengage.domain.conversation import WINDOW, Conversation, expiry, extend
from tests.fakes import NOON

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


def receive(*sent: datetime, is_known_contact: bool = False, restarts_after: timedelta | None = None) -> Conversation:
    conversation: Conversation | None = None
    for number, sent_at in enumerate(sent, 1):
        conversation = extend(
            conversation,
            is_known_contact=is_known_contact,
            message_id=f"m{number}",
            sent_at=sent_at,
            restarts_after=restarts_after,
        )
    assert conversation is not None
    return conversation


@pytest.mark.parametrize("fraction", [0, 1, 500_000, 999_999])
def test_window_is_open_to_its_last_microsecond(fraction: int) -> None:
    sent_at = NOON.replace(microsecond=fraction)
    conversation = receive(sent_at)
    for early in (MICROSECOND, SECOND, WINDOW):
        assert conversation.is_open(sent_at + WINDOW - early)
    for late in (timedelta(), MICROSECOND, SECOND, timedelta(days=400)):
        assert not conversation.is_open(sent_at + WINDOW + late)


def test_30_days_are_720_hours_whatever_the_clocks_do() -> None:
    """From winter into summer time, and in any zone of the sender."""
    sent_at = datetime(2026, 3, 10, 9, tzinfo=timezone(timedelta(hours=-8)))
    conversation = receive(sent_at)
    assert conversation.closes_at == sent_at + timedelta(hours=720)
    assert conversation.expires_at == int((sent_at + timedelta(hours=720)).timestamp())


def test_stored_expiry_rounds_up_to_whole_seconds() -> None:
    assert expiry(NOON) == int(NOON.timestamp())
    assert expiry(NOON + MICROSECOND) == int(NOON.timestamp()) + 1
    conversation = receive(NOON + MICROSECOND)
    assert isinstance(conversation.expires_at, int)
    assert conversation.closes_at == NOON + MICROSECOND + WINDOW


def test_an_expiry_in_milliseconds_does_not_keep_the_window_open() -> None:
    """Milliseconds in the TTL attribute look like the year 58000: DynamoDB never deletes the item. Neither the
    calendar nor the window may care.
    """
    conversation = receive(NOON)
    wrong = replace(conversation, expires_at=conversation.expires_at * 1000)
    assert wrong.is_open(NOON + WINDOW - MICROSECOND)
    assert not wrong.is_open(NOON + WINDOW)


def test_expiry_over_five_years_old_means_closed() -> None:
    long_ago = NOON - timedelta(days=6 * 365)
    conversation = receive(long_ago)
    assert not conversation.is_open(NOON)


def test_earlier_of_expiry_and_last_message_counts() -> None:
    conversation = receive(NOON)
    for expires_at in (0, 1, int((NOON + timedelta(days=3)).timestamp())):
        early = replace(conversation, expires_at=expires_at)
        assert early.closes_at == datetime.fromtimestamp(expires_at, UTC)
        assert not early.is_open(early.closes_at)


def test_newer_message_moves_the_window_and_keeps_its_opener() -> None:
    conversation = receive(NOON, NOON + timedelta(days=3))
    assert conversation.closes_at == NOON + timedelta(days=33)
    assert (conversation.opened_by, conversation.opening) == ("m1", "started")


@pytest.mark.parametrize("earlier", [timedelta(), MICROSECOND, timedelta(days=3), timedelta(days=60)])
def test_an_older_message_never_shortens_the_window(earlier: timedelta) -> None:
    conversation = receive(NOON)
    assert extend(conversation, is_known_contact=True, message_id="late", sent_at=NOON - earlier) is conversation


@pytest.mark.parametrize(
    ("after", "opening", "opened_by"),
    [(WINDOW - MICROSECOND, "started", "m1"), (WINDOW, "restarted", "m2"), (timedelta(days=90), "restarted", "m2")],
)
def test_message_after_the_window_restarts_the_conversation(after: timedelta, opening: str, opened_by: str) -> None:
    conversation = receive(NOON, NOON + after)
    assert (conversation.opening, conversation.opened_by) == (opening, opened_by)
    assert conversation.last_inbound_at == NOON + after


@pytest.mark.parametrize(("is_known_contact", "opening"), [(False, "started"), (True, "restarted")])
def test_profile_decides_first_or_return_after_ttl_deletion(is_known_contact: bool, opening: str) -> None:
    assert receive(NOON, is_known_contact=is_known_contact).opening == opening


SILENCE = timedelta(days=7)


@pytest.mark.parametrize(
    ("after", "restarts_after", "opening", "opened_by"),
    [
        (SILENCE - MICROSECOND, SILENCE, "started", "m1"),
        (SILENCE, SILENCE, "restarted", "m2"),
        (SILENCE + MICROSECOND, SILENCE, "restarted", "m2"),
        (SILENCE, None, "started", "m1"),
        # A silence that is longer than the window adds nothing to it.
        (WINDOW - MICROSECOND, WINDOW * 2, "started", "m1"),
        (WINDOW, WINDOW * 2, "restarted", "m2"),
    ],
)
def test_message_after_silence_restarts_an_open_conversation(
    after: timedelta, restarts_after: timedelta | None, opening: str, opened_by: str
) -> None:
    conversation = receive(NOON, NOON + after, restarts_after=restarts_after)
    assert (conversation.opening, conversation.opened_by) == (opening, opened_by)
    assert conversation.last_inbound_at == NOON + after
    assert conversation.closes_at == NOON + after + WINDOW


def test_silence_counts_from_the_last_message() -> None:
    chat = [NOON + timedelta(days=day) for day in range(20)]
    assert receive(*chat, restarts_after=SILENCE).opened_by == "m1"
    assert receive(*chat, chat[-1] + SILENCE, restarts_after=SILENCE).opened_by == "m21"


def test_late_message_from_within_the_silence_changes_nothing() -> None:
    """It was delayed until the contact had already returned, so it publishes no second restart."""
    back = receive(NOON, NOON + SILENCE, restarts_after=SILENCE)
    sent_at = NOON + SILENCE / 2
    assert extend(back, is_known_contact=True, message_id="late", sent_at=sent_at, restarts_after=SILENCE) is back
