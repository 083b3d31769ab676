"""An announcement makes sixteen broadcast shards and one message per recipient, valid for a time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.broadcast import Broadcast, BroadcastShard, ShardState, is_shard_key, shard_key
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.message import State
from reengage.domain.planning import broadcasts, planned_messages, replan
from reengage.domain.reasons import REASONS
from reengage.domain.subject import RETENTION, BusinessEvent, Subject, SubjectRef
from tests.fakes import ANNA, NOON, apply_events, business

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
REF = SubjectRef("acme-dental", "announcement", "N-1")
ITEM = SubjectRef("acme-dental", "item", "shoe/42 #1")


def preview(hours: float = 0, **fields: Any) -> Subject:
    return apply_events(Subject(REF), _announced(hours, **fields))


def _announced(hours: float = 0, **fields: Any) -> Any:
    values = {"title": "Spring shoes", "send_at": NOON + HOUR, **fields}
    return business("ProductPreviewAnnounced", NOON + timedelta(hours=hours), subject_id="N-1", **values)


def holiday(**fields: Any) -> Subject:
    values = {"date": "2026-12-24", "send_at": NOON, "closed": True, **fields}
    return apply_events(Subject(REF), business("HolidayHoursAnnounced", subject_id="N-1", **values))


def one(subject: Subject, place: ZoneInfo | None = None) -> Broadcast:
    (broadcast,) = broadcasts(subject, place)
    return broadcast


# What is asked for


def test_announcement_is_a_broadcast_and_not_a_single_message() -> None:
    broadcast = one(preview())
    assert (broadcast.reason, broadcast.subject) == ("product_preview", REF)
    assert (broadcast.due_at, broadcast.valid_until) == (NOON + HOUR, NOON + HOUR + 2 * DAY)
    assert broadcast.version == preview().tracks["preview"].revision
    assert planned_messages(preview()) == ()


def test_restock_is_announced_at_once_and_valid_for_a_day() -> None:
    broadcast = one(apply_events(Subject(ITEM), business("ItemBackInStock", subject_id=ITEM.id, name="Shoe")))
    assert (broadcast.reason, broadcast.due_at, broadcast.valid_until) == ("back_in_stock", NOON, NOON + DAY)


@pytest.mark.parametrize("subject", [None, Subject(REF), preview(title=None), preview(send_at=None)])
def test_event_without_announcement_makes_no_broadcast(subject: Subject | None) -> None:
    assert broadcasts(subject) == ()


@pytest.mark.parametrize(
    ("began", "undone"),
    [
        (_announced(), business("AnnouncementWithdrawn", NOON + HOUR, subject_id="N-1")),
        (
            business("ItemBackInStock", subject_id="N-1", name="Shoe"),
            business("ItemSoldOut", NOON + HOUR, subject_id="N-1"),
        ),
    ],
)
def test_withdrawn_announcement_makes_no_broadcast_in_any_order(began: Any, undone: Any) -> None:
    assert len(broadcasts(apply_events(Subject(began.subject), began))) == 1
    assert broadcasts(apply_events(Subject(began.subject), began, undone)) == ()
    assert broadcasts(apply_events(Subject(began.subject), undone, began)) == ()


def test_one_announcement_may_be_a_preview_and_holiday_hours() -> None:
    """Two event types share a track: an announcement in both is sent twice, to the same people."""
    subject = apply_events(holiday(), _announced(1))
    assert sorted(broadcast.reason for broadcast in broadcasts(subject)) == ["holiday_hours", "product_preview"]


# Parts


def test_broadcast_has_one_item_for_each_shard() -> None:
    shards = one(preview()).shards()
    assert [broadcast_shard.shard for broadcast_shard in shards] == list(range(SHARDS))
    assert {broadcast_shard.state for broadcast_shard in shards} == {ShardState.WAITING}
    assert {broadcast_shard.due_at for broadcast_shard in shards} == {NOON + HOUR}
    assert all(
        broadcast_shard.cursor is None and broadcast_shard.planned == 0 and not broadcast_shard.outcomes
        for broadcast_shard in shards
    )


def test_each_broadcast_shard_has_a_unique_key() -> None:
    shards = one(preview()).shards() + one(holiday()).shards()
    assert len({broadcast_shard.key for broadcast_shard in shards}) == 2 * SHARDS
    assert {broadcast_shard.key.pk for broadcast_shard in shards} == {REF.key}
    assert all(is_shard_key(broadcast_shard.key) for broadcast_shard in shards)
    assert not is_shard_key(one(preview()).message_for(ANNA, None, at=NOON).key)
    assert shards[0].key == shard_key(REF, "product_preview", 0)


def test_keys_are_in_the_order_of_shards() -> None:
    """They are read by a prefix of the key, which sorts as text."""
    keys = [broadcast_shard.key for broadcast_shard in one(preview()).shards()]
    assert keys == sorted(keys)


def test_withdrawn_shards_have_the_withdrawing_version() -> None:
    shards = one(preview()).shards(ShardState.WITHDRAWN, version=0)
    assert {(broadcast_shard.state, broadcast_shard.version) for broadcast_shard in shards} == {
        (ShardState.WITHDRAWN, 0)
    }


def test_broadcast_shard_is_kept_until_its_last_event_can_return() -> None:
    (broadcast_shard, *_) = one(preview()).shards()
    assert datetime.fromtimestamp(broadcast_shard.expires_at, UTC) == broadcast_shard.valid_until + RETENTION


def test_shard_has_the_spec_of_its_reason() -> None:
    broadcast_shard = BroadcastShard("back_in_stock", ITEM, 3, NOON, NOON + DAY, version=1)
    assert broadcast_shard.reason_spec is REASONS["back_in_stock"]
    assert broadcast_shard.reason_spec.audience == "interested"


# A member's message


def test_recipient_found_twice_has_one_message() -> None:
    early, late = (one(preview()).message_for(ANNA, None, at=at) for at in (NOON, NOON + DAY))
    assert early.key == late.key
    assert early.scheduled_message_id == late.scheduled_message_id
    assert (early.state, early.due_at, early.valid_until) == (State.SCHEDULED, NOON + HOUR, NOON + HOUR + 2 * DAY)


def test_recipient_keeps_the_row_if_announcement_changes() -> None:
    """Otherwise recipients from before the change would get it again."""
    changed = apply_events(preview(), _announced(2, title="Summer shoes", send_at=NOON + 5 * HOUR))
    before, after = one(preview()).message_for(ANNA, None, at=NOON), one(changed).message_for(ANNA, None, at=NOON)
    assert before.key == after.key
    assert before.scheduled_message_id != after.scheduled_message_id


def test_two_interests_of_one_contact_are_two_messages() -> None:
    broadcast = one(apply_events(Subject(ITEM), business("ItemBackInStock", subject_id=ITEM.id, name="Shoe")))
    rows = {broadcast.message_for(ANNA, NOON + days * DAY, at=NOON).key for days in range(3)}
    assert len(rows) == 3


def test_two_contacts_have_two_rows() -> None:
    others = [Contact("acme-dental", channel, "+4915112345678") for channel in ("sms", "whatsapp", "rcs")]
    assert len({one(preview()).message_for(contact, None, at=NOON).key for contact in others}) == 3


def test_replanned_message_follows_the_newest_version() -> None:
    row = one(preview()).message_for(ANNA, None, at=NOON)
    assert replan(row, preview()) == row
    changed = apply_events(preview(), _announced(2, send_at=NOON + 5 * HOUR))
    wanted = replan(row, changed)
    assert wanted is not None
    assert (wanted.key, wanted.due_at) == (row.key, NOON + 5 * HOUR)
    assert wanted.version > row.version
    withdrawn = apply_events(preview(), business("AnnouncementWithdrawn", NOON + 2 * HOUR, subject_id="N-1"))
    assert replan(row, withdrawn) is None
    assert replan(row, None) is None


def test_replanned_message_keeps_the_day_of_the_default_zone() -> None:
    place = ZoneInfo("Pacific/Auckland")
    row = one(holiday(), place).message_for(ANNA, None, at=NOON)
    assert replan(row, holiday(), place) == row


# Until the end of the day


@pytest.mark.parametrize(
    ("zone", "until"),
    [
        ("Pacific/Auckland", datetime(2026, 12, 24, 11, tzinfo=UTC)),
        ("Pacific/Kiritimati", datetime(2026, 12, 24, 10, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 12, 24, 23, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 12, 25, 8, tzinfo=UTC)),
        ("Pacific/Pago_Pago", datetime(2026, 12, 25, 11, tzinfo=UTC)),
    ],
)
def test_holiday_hours_are_valid_until_the_brands_midnight(zone: str, until: datetime) -> None:
    """On both sides of the date line: a day in Auckland ends when the day in Los Angeles has hardly begun."""
    assert one(holiday(), ZoneInfo(zone)).valid_until == until


def test_zone_of_the_announcement_overrides_the_brands_zone() -> None:
    subject = holiday(timezone="America/Los_Angeles")
    assert one(subject, ZoneInfo("Pacific/Auckland")).valid_until == datetime(2026, 12, 25, 8, tzinfo=UTC)


def test_day_uses_the_utc_offset_if_no_zone_is_known() -> None:
    subject = holiday(send_at="2026-12-20T09:00:00+13:00")
    assert one(subject).valid_until == datetime(2026, 12, 24, 11, tzinfo=UTC)


ZONES = (
    "Pacific/Auckland",
    "America/Los_Angeles",
    "Africa/Cairo",  # its clocks change at midnight, both ways
    "America/Santiago",  # the same
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
)


@settings(deadline=None)  # the first look at a zone reads its file
@given(day=st.dates(date(2026, 1, 1), date(2032, 12, 30)), zone=st.sampled_from(ZONES))
def test_the_end_of_use_is_the_instant_at_which_the_day_is_over(day: date, zone: str) -> None:
    """Also if midnight does not exist that night, or comes twice."""
    place = ZoneInfo(zone)
    until = one(holiday(date=day.isoformat()), place).valid_until
    assert (until - MICROSECOND).astimezone(place).date() == day
    assert until.astimezone(place).date() == day + DAY


def valid_preview(at: datetime, send_at: datetime, **fields: Any) -> BusinessEvent:
    return business("ProductPreviewAnnounced", at, subject_id="live", title="Live", send_at=send_at, **fields)


@pytest.mark.parametrize(
    ("moved_to", "lasts"), [(None, timedelta(minutes=30)), (timedelta(minutes=29), timedelta(minutes=1))]
)
def test_preview_is_valid_until_the_given_end(moved_to: timedelta | None, lasts: timedelta) -> None:
    """A preview of this evening's event was sent at nine the next morning."""
    announced = valid_preview(NOON, NOON, valid_until=NOON + timedelta(minutes=30))
    subject = Subject(announced.subject).apply(announced)
    if moved_to:
        subject = subject.apply(valid_preview(NOON + timedelta(minutes=1), NOON + moved_to))
    [broadcast] = broadcasts(subject)
    assert broadcast.valid_until - broadcast.due_at == lasts


def test_preview_moved_past_its_end_lasts_two_days() -> None:
    announced = valid_preview(NOON, NOON, valid_until=NOON + timedelta(minutes=30))
    later = NOON + timedelta(minutes=1)
    moved = business(
        "ProductPreviewAnnounced", later, subject_id="live", title="Live", send_at=NOON + timedelta(days=1)
    )
    [broadcast] = broadcasts(Subject(announced.subject).apply(announced).apply(moved))
    assert broadcast.valid_until - broadcast.due_at == timedelta(days=2)
