"""A subject is the sum of its events, in whatever order they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations

import pytest

from reengage.domain.subject import EVENT_TYPES, BusinessEvent, EventEffect, Subject, SubjectRef, Track, version_of
from tests.cases import each_of
from tests.fakes import ANNA, NOON, business

STARTS = NOON + timedelta(days=10)
LATER = STARTS + timedelta(days=2)


def test_versions_go_by_second_then_instant_then_rank() -> None:
    """Without a fraction: first events that begin, then changes, then undoing ones. With one, the instant decides."""
    second = timedelta(seconds=1)
    half = timedelta(milliseconds=500)
    in_order = [
        version_of(NOON, EventEffect.BEGIN),
        version_of(NOON, EventEffect.CHANGE),
        version_of(NOON, EventEffect.UNDO, exact=True),
        version_of(NOON + half, EventEffect.BEGIN),
        version_of(NOON + half, EventEffect.CHANGE),
        version_of(NOON + half, EventEffect.UNDO),
        version_of(NOON + second - timedelta(microseconds=1), EventEffect.BEGIN),
        version_of(NOON, EventEffect.UNDO),
        version_of(NOON + second, EventEffect.BEGIN),
    ]
    assert in_order == sorted(set(in_order))


def test_a_version_knows_no_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert version_of(elsewhere, EventEffect.CHANGE) == version_of(NOON, EventEffect.CHANGE)
    assert version_of(datetime(2026, 1, 1, tzinfo=UTC), EventEffect.BEGIN) > 0


def test_a_version_is_stable() -> None:
    """Stored subjects have these versions: a new formula would mistake old events for new ones."""
    assert version_of(NOON, EventEffect.CHANGE) == 17724528001000000
    assert version_of(NOON + timedelta(milliseconds=250), EventEffect.CHANGE) == 17724528002750001


RANKS = {
    EventEffect.BEGIN: [
        "AppointmentBooked",
        "AppointmentConfirmed",
        "TrialStarted",
        "ProductViewed",
        "CartAbandoned",
        "PurchaseMade",
        "OrderShipped",
        "OrderDelivered",
        "InterestShown",
        "ItemBackInStock",
        "ProductPreviewAnnounced",
        "HolidayHoursAnnounced",
        "OpenerUsed",
    ],
    EventEffect.CHANGE: ["AppointmentRescheduled", "TrialExtended"],
    EventEffect.UNDO: [
        "AppointmentCancelled",
        "CheckInCompleted",
        "TrialConverted",
        "TrialCancelled",
        "ProductAddedToCart",
        "CartCheckedOut",
        "ReviewReceived",
        "OrderReturned",
        "InterestWithdrawn",
        "ItemSoldOut",
        "AnnouncementWithdrawn",
    ],
}


def test_each_event_has_its_rank() -> None:
    of_rank = {rank: {name for name, terms in EVENT_TYPES.items() if terms.rank is rank} for rank in EventEffect}
    assert of_rank == {rank: set(names) for rank, names in RANKS.items()}


def test_tracks_of_the_event_types() -> None:
    """Each of these has its own version."""
    tracks = {(terms.kind, terms.track) for terms in EVENT_TYPES.values()}
    assert tracks == {
        ("appointment", "appointment"),
        ("appointment", "check_in"),
        ("appointment", "confirmation"),
        ("trial", "trial"),
        ("product", "product"),
        ("cart", "cart"),
        ("order", "order"),
        ("purchase", "purchase"),
        ("order", "review"),
        ("interest", "interest"),
        ("item", "item"),
        ("announcement", "announcement"),
        ("announcement", "preview"),
        ("announcement", "holiday_hours"),
        ("", "opener"),  # of a subject of any kind
    }


@each_of("event_type", EVENT_TYPES)
def test_only_what_is_due_by_when_it_happened_keeps_that(event_type: str) -> None:
    """An event that undoes must not set it: a later instant would replace the right one."""
    terms = EVENT_TYPES[event_type]
    assert not (terms.at and terms.rank is EventEffect.UNDO)


def _subject(*events_in_order: object) -> Subject:
    [ref] = {event.subject for event in events_in_order if isinstance(event, BusinessEvent)} or {BOOKED.subject}
    subject = Subject(ref)
    for event in events_in_order:
        assert isinstance(event, BusinessEvent)
        subject = subject.apply(event)
    return subject


BOOKED = business("AppointmentBooked", NOON, starts_at=STARTS, location="Main St 1", timezone="Europe/Berlin")
MOVED = business("AppointmentRescheduled", NOON + timedelta(hours=1), contact=None, starts_at=LATER)
CANCELLED = business("AppointmentCancelled", NOON + timedelta(hours=2), contact=None)
REBOOKED = business(
    "AppointmentBooked", NOON + timedelta(hours=3), contact=None, starts_at=STARTS, location="Main St 2"
)


def test_what_a_newer_event_leaves_out_keeps_its_value() -> None:
    track = _subject(BOOKED, MOVED).tracks["appointment"]
    assert track.get("starts_at") == LATER.isoformat()
    assert track.get("location") == "Main St 1"
    assert track.contact == ANNA
    assert track.version == MOVED.version
    assert track.get("service") is None


def test_late_older_event_fills_only_missing_fields() -> None:
    subject = _subject(MOVED, BOOKED)
    assert subject.tracks == _subject(BOOKED, MOVED).tracks
    track = subject.tracks["appointment"]
    assert (track.get("starts_at"), track.get("location")) == (LATER.isoformat(), "Main St 1")


@each_of("order", list(permutations([BOOKED, MOVED, CANCELLED, REBOOKED])))
def test_every_order_leads_to_the_same_subject(order: tuple[object, ...]) -> None:
    tracks = _subject(*order).tracks
    assert tracks == _subject(BOOKED, MOVED, CANCELLED, REBOOKED).tracks
    assert tracks == _subject(*order, *order).tracks
    assert tracks["appointment"].active


def test_cancelled_track_restarts_with_a_newer_event() -> None:
    assert _subject(BOOKED).tracks["appointment"].active
    assert not _subject(BOOKED, CANCELLED).tracks["appointment"].active
    assert not _subject(CANCELLED, BOOKED, MOVED).tracks["appointment"].active
    assert _subject(CANCELLED, REBOOKED).tracks["appointment"].active


def test_within_a_second_without_fractions_rank_decides() -> None:
    """Envelopes carry whole seconds: a system that books, moves and cancels at once sends one time three times."""
    booked = replace(BOOKED, version=version_of(NOON, EventEffect.BEGIN))
    moved = replace(MOVED, version=version_of(NOON, EventEffect.CHANGE))
    cancelled = replace(CANCELLED, version=version_of(NOON, EventEffect.UNDO))
    for order in permutations([booked, moved]):
        assert _subject(*order).tracks["appointment"].get("starts_at") == LATER.isoformat()
    for everything in permutations([booked, moved, cancelled]):
        assert not _subject(*everything).tracks["appointment"].active


def test_cancel_and_rebook_in_one_second_with_exact_times() -> None:
    """An appointment was cancelled and booked again within a second, and stayed cancelled."""
    cancelled = replace(CANCELLED, version=version_of(NOON + timedelta(milliseconds=100), EventEffect.UNDO))
    booked = replace(BOOKED, version=version_of(NOON + timedelta(milliseconds=700), EventEffect.BEGIN))
    for order in permutations([booked, cancelled]):
        assert _subject(*order).tracks["appointment"].is_active


def test_a_converted_trial_is_not_extended() -> None:
    """A trial was converted, and an older process extended it a minute later: reminders went to a customer."""
    started, converted, extended, again = (
        business(name, NOON + timedelta(minutes=n), ends_at=LATER)
        for n, name in enumerate(["TrialStarted", "TrialConverted", "TrialExtended", "TrialStarted"])
    )
    for order in permutations([started, converted, extended]):
        assert _subject(*order).is_undone("trial")
    for order in permutations([started, converted, extended, again]):
        assert not _subject(*order).is_undone("trial")


def test_history_has_since_when_the_time_is_the_same() -> None:
    moved_twice = [
        business("AppointmentRescheduled", NOON + timedelta(minutes=n), starts_at=at)
        for n, at in enumerate([LATER, STARTS, STARTS, STARTS])
    ]
    for order in permutations([BOOKED, *moved_twice]):
        assert _subject(*order).tracks["appointment"].unchanged_since == moved_twice[1].version


def test_later_arrival_wins_between_equal_versions() -> None:
    """A booking system moved an appointment twice within a second, and sent no ``occurred_at``.

    It is not known which is newer, but most events arrive in the order in which they happened.
    """
    one = business("AppointmentRescheduled", starts_at=STARTS, location="Main St 1")
    other = business("AppointmentRescheduled", starts_at=LATER, location="Broad St 9")
    for order in ([one, other], [other, one], [one, other, one]):
        track = _subject(*order).tracks["appointment"]
        assert {name: track.get(name) for name in other.fields} == dict(order[-1].fields)


def test_subject_keeps_only_its_state_before_the_last_change() -> None:
    """A planner that was stopped finds there what it still had to withdraw."""
    subject = _subject(BOOKED, MOVED)
    assert subject.previous == _subject(BOOKED).tracks
    assert subject.apply(MOVED) is subject
    assert _subject(BOOKED).previous == {}


def test_track_reflects_its_newest_event_and_kept_values() -> None:
    track = _subject(BOOKED, MOVED).tracks["appointment"]
    assert track.reflects(MOVED)
    assert track.reflects(BOOKED), "the place is still as booked"
    everything_again = replace(REBOOKED, contact=ANNA, fields=BOOKED.fields)
    same_time = _subject(BOOKED, everything_again).tracks["appointment"]
    assert same_time.reflects(BOOKED), "the time is unchanged since then"
    other_time = replace(everything_again, fields={**BOOKED.fields, "starts_at": LATER.isoformat()})
    assert not _subject(BOOKED, other_time).tracks["appointment"].reflects(BOOKED)
    assert _subject(BOOKED, CANCELLED).tracks["appointment"].reflects(CANCELLED)


def test_late_former_time_leaves_the_revision() -> None:
    """A late event changed no message, but its track had a new revision, and the reminder waited for another run."""
    subject = replace(_subject(replace(BOOKED, version=MOVED.version + 1)), revision=1)
    before, after = subject.tracks["appointment"], subject.apply(MOVED).tracks["appointment"]
    assert after.history != before.history
    assert (after.revision, after.reflects(MOVED)) == (before.revision, False)


def test_late_event_that_extends_the_time_is_planned() -> None:
    """It may make a completed check-in count again: its planner must plan."""
    subject = replace(_subject(replace(BOOKED, version=MOVED.version + 1)), revision=1)
    same_time = replace(MOVED, fields={"starts_at": BOOKED.fields["starts_at"]})
    before, after = subject.tracks["appointment"], subject.apply(same_time).tracks["appointment"]
    assert after.unchanged_since == MOVED.version < before.unchanged_since
    assert (after.revision > before.revision, after.reflects(same_time)) == (True, True)


def test_a_repeat_is_no_news() -> None:
    subject = _subject(BOOKED)
    assert subject.apply(BOOKED) is subject
    moved = subject.apply(MOVED)
    assert moved.apply(BOOKED) is moved


def test_a_subject_keeps_who_wrote_it_apart_from_what_it_is() -> None:
    """``revision`` and ``expires_at`` belong to the store; applying an event does not change them."""
    subject = replace(_subject(BOOKED), revision=3, expires_at=99)
    assert (subject.apply(MOVED).revision, subject.apply(MOVED).expires_at) == (3, 99)


def test_a_familys_revision_is_the_subjects_next_one_in_its_era() -> None:
    subject = replace(Subject(BOOKED.subject), era=1000, revision=2)
    assert subject.apply(BOOKED).tracks["appointment"].revision == 1003


def test_track_without_contact_has_no_contact() -> None:
    assert Track(1, active=True).contact is None


BEN = replace(ANNA, address="+16502530000")
VIEWED = business("ProductViewed", NOON, subject_id="P-1", name="Shoe")
SHIPPED = business("OrderShipped", NOON, subject_id="O-1")
DELIVERED = business("OrderDelivered", NOON + timedelta(days=2), subject_id="O-1", contact=None)


def test_interest_and_product_view_are_subjects_per_contact() -> None:
    for event_type in ("ProductViewed", "ProductAddedToCart", "InterestShown", "InterestWithdrawn"):
        hers, his = (business(event_type, subject_id="P-1", contact=contact).subject for contact in (ANNA, BEN))
        assert hers.of == ANNA
        assert hers.key != his.key
        assert SubjectRef.known_to(ANNA, hers.kind, "P-1") == hers


def test_subject_with_its_own_id_has_one_key() -> None:
    for kind in ("appointment", "trial", "cart", "order", "item", "announcement"):
        assert SubjectRef.known_to(ANNA, kind, "X-1") == SubjectRef("acme-dental", kind, "X-1")
        assert SubjectRef("acme-dental", kind, "X-1").key == f"SUBJECT#acme-dental#{kind}#X-1"


@pytest.mark.parametrize(
    ("address", "subject_id"), [("a#b", "c"), ("a", "b#c"), ("a%23b", "c"), ("a", "#"), ("a#", "")]
)
def test_no_address_and_id_can_pretend_to_be_others(address: str, subject_id: str) -> None:
    """Both come from outside, and may contain the separator."""
    others = [("a#b", "c"), ("a", "b#c"), ("a%23b", "c"), ("a", "#"), ("a#", "")]

    def key(address: str, subject_id: str) -> str:
        return SubjectRef.known_to(replace(ANNA, channel="whatsapp", address=address), "product", subject_id).key

    same = [other for other in others if key(*other) == key(address, subject_id)]
    assert same == [(address, subject_id)]


def test_track_without_contact_uses_another_tracks_contact() -> None:
    """The parcel service knows only the order's number."""
    for events in permutations([SHIPPED, DELIVERED]):
        subject = Subject(SHIPPED.subject)
        for event in events:
            subject = subject.apply(event)
        assert subject.contact_of(subject.tracks["review"]) == ANNA
        assert subject.tracks["review"].contact is None
    alone = Subject(SHIPPED.subject).apply(DELIVERED)
    assert alone.contact_of(alone.tracks["review"]) is None


def test_tracks_own_contact_goes_before_anothers() -> None:
    subject = Subject(SHIPPED.subject).apply(SHIPPED).apply(replace(DELIVERED, contact=BEN))
    assert subject.contact_of(subject.tracks["review"]) == BEN
    assert subject.contact_of(subject.tracks["order"]) == ANNA
    assert subject.contacts == [BEN, ANNA]


def test_track_is_undone_by_its_own_or_another_later_event() -> None:
    completed = business("CheckInCompleted", NOON + timedelta(minutes=30), contact=None)
    for events in permutations([BOOKED, completed]):
        assert not _subject(*events).is_undone("appointment")
        assert _subject(*events).is_undone("appointment", also_by="check_in")
    for events in permutations([BOOKED, completed, MOVED]):
        assert not _subject(*events).is_undone("appointment", also_by="check_in")
    assert _subject(BOOKED, CANCELLED).is_undone("appointment")
    assert _subject(completed).is_undone("appointment"), "nothing of it is known"
    assert not _subject(BOOKED).is_undone("appointment", also_by="check_in")


def test_a_check_in_of_the_same_version_undoes_nothing() -> None:
    """Only later events count; a rank orders events within a second, so this case has one instant and one rank."""
    completed = replace(business("CheckInCompleted", contact=None), version=BOOKED.version)
    assert not _subject(BOOKED, completed).is_undone("appointment", also_by="check_in")


@pytest.mark.parametrize("order", list(permutations([SHIPPED, DELIVERED])))
def test_each_track_keeps_its_own_version(order: tuple[object, ...]) -> None:
    """An order that was delivered before its dispatch was reported counts as dispatched."""
    subject = Subject(SHIPPED.subject)
    for event in order:
        assert isinstance(event, type(SHIPPED))
        subject = subject.apply(event)
    assert {name: track.version for name, track in subject.tracks.items()} == {
        "order": SHIPPED.version,
        "review": DELIVERED.version,
    }
    assert subject.tracks["order"].get("shipped_at") == NOON.isoformat()
    assert subject.tracks["review"].get("delivered_at") == (NOON + timedelta(days=2)).isoformat()


def test_late_older_view_does_not_count() -> None:
    earlier = business(
        "ProductViewed", NOON - timedelta(hours=3), subject_id="P-1", name="Shoe", url="https://a.example"
    )
    subject = Subject(VIEWED.subject).apply(VIEWED).apply(earlier)
    track = subject.tracks["product"]
    assert (track.get("viewed_at"), track.get("url")) == (NOON.isoformat(), "https://a.example")
