"""Export all data of a contact, and erase it up to an instant; newer data and other contacts stay."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from reengage.domain.broadcast import Recipient, ShardState
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.planning import broadcasts
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import Preferences
from reengage.domain.subject import BusinessEvent, Subject, SubjectRef
from reengage.ports import Holdings, KeptMessage, Store
from reengage.usecases.erase_contact import erase_contact
from reengage.usecases.expand_broadcast import PAGE, expand_broadcast
from reengage.usecases.explain import export
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    BEN,
    LATER,
    NOW,
    ORDER,
    PREVIEW,
    arrived,
    brand,
    claimed,
    contacts_of_shard,
    conversation,
    ended,
    everything_due,
    inbound,
    interested,
    placed,
    planned,
    preferring,
    profile,
    reminder,
    skip,
    stopped,
    subject,
    viewed,
    whole_audience,
)
from tests.contract.stores import DynamoDB, Harness
from tests.fakes import Bus, apply_events, business

TICK = timedelta(microseconds=1)
NOTHING = Holdings(None, None, Preferences(), [], [], [], {})
KINDS = 6
"""Items under a contact's key. A linked subject is one more, under its own key."""


def _everything(store: Store, contact: Contact = ANNA, at: datetime = NOW, ref: SubjectRef = APPOINTMENT) -> Holdings:
    """Store one of each kind at that instant, and return everything that is stored of the contact."""
    message = planned(store, reminder(contact=contact, subject=ref, planned_at=at))
    assert store.write_subject(subject(ref, last_event_at=at))
    store.index_subject(contact, subject(ref, last_event_at=at))
    assert store.write_conversation(contact, conversation(at), replacing=None)
    assert store.write_profile(contact, profile(at), replacing=None)
    store.write_message(inbound("wamid.1", contact, at), expires_at=2_000_000_000)
    cap_usage = placed(store, message, at=at)
    return Holdings(
        profile=profile(at),
        conversation=conversation(at),
        preferences=store.read_preferences(contact),
        inbound=[KeptMessage("wamid.1", at, "See you tomorrow!")],
        scheduled=[message],
        subjects=[subject(ref, revision=1, last_event_at=at)],
        cap_usage={"utility": cap_usage},
    )


# Reading


def test_unknown_contact_has_no_data(harness: Harness) -> None:
    assert harness.store.read_holdings(ANNA) == NOTHING


def test_all_that_is_stored_of_a_contact_is_read(harness: Harness) -> None:
    preferring(harness.store, ANNA, stopped())
    expected = _everything(harness.store)
    _everything(harness.store, BEN, ref=SubjectRef("acme-dental", "appointment", "B-1"))
    assert harness.store.read_holdings(ANNA) == expected


def _by_id(holdings: Holdings) -> tuple[list[Any], ...]:
    return (
        sorted(holdings.inbound, key=lambda message: message.message_id),
        sorted(holdings.scheduled, key=lambda message: message.key),
        sorted(holdings.subjects, key=lambda subject: subject.ref.key),
    )


def _many(store: Store) -> Holdings:
    """More subjects than one request can read."""
    refs = [SubjectRef("acme-dental", "trial", f"#{number:03}") for number in range(103)]
    for ref in refs:
        assert store.write_subject(subject(ref))
        store.index_subject(ANNA, subject(ref))
    ids = [f"wamid#{number}" for number in range(9)]
    for message_id in ids:
        store.write_message(inbound(message_id), expires_at=2_000_000_000)
    return replace(
        NOTHING,
        inbound=[KeptMessage(message_id, NOW, "See you tomorrow!") for message_id in ids],
        scheduled=[planned(store, reminder(offset=f"PT{hours}H")) for hours in range(9)],
        subjects=[subject(ref, revision=1) for ref in refs],
    )


@pytest.mark.parametrize("rows_a_page", [17, 1000])
def test_all_of_it_is_read_over_many_pages_and_subjects(harness: Harness, rows_a_page: int) -> None:
    expected = _many(harness.store)
    with harness.small_pages(rows_a_page):
        found = harness.store.read_holdings(ANNA)
        assert _by_id(found) == _by_id(expected)
        assert harness.store.erase(ANNA, until=NOW) == 103 + 9 + 9
        assert harness.store.erase(ANNA, until=NOW) == 0
    assert harness.size() == 0


def test_a_link_to_what_is_not_there_leads_to_nothing(harness: Harness) -> None:
    """Its planner was cut short before the subject, or TTL took that one first."""
    harness.store.index_subject(ANNA, subject())
    assert harness.store.read_holdings(ANNA) == NOTHING
    assert harness.store.erase(ANNA, until=NOW) == 1
    assert harness.size() == 0


IDS = {"with the keys' own mark": "a#b##trial#c", "only marks": "###", "empty": "", "any script": "Cuộc hẹn 🦷 e\u0301"}


@pytest.mark.parametrize("kind", ["appointment", "trial"])
@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_subject_of_any_id_is_found_by_its_link(harness: Harness, id_: str, kind: str) -> None:
    ref = SubjectRef("acme-dental", kind, id_)
    assert harness.store.write_subject(subject(ref))
    harness.store.index_subject(ANNA, subject(ref))
    assert harness.store.read_holdings(ANNA).subjects == [subject(ref, revision=1)]
    harness.store.erase(ANNA, until=NOW)
    assert harness.store.read_subject(ref) is None


# A link is kept as long as its subject.


def test_a_link_lasts_as_long_as_its_subject(harness: Harness) -> None:
    first, then = subject(), replace(subject(last_event_at=LATER), expires_at=subject().expires_at + 86400)
    harness.store.index_subject(ANNA, first)
    harness.store.index_subject(ANNA, then)
    assert harness.size() == 1
    harness.expire(datetime.fromtimestamp(first.expires_at, NOW.tzinfo))
    assert harness.size() == 1
    harness.expire(datetime.fromtimestamp(then.expires_at, NOW.tzinfo))
    assert harness.size() == 0


def test_a_link_never_goes_back(harness: Harness) -> None:
    """Two planners raced: the one that read earlier writes later. The erasure must not depend on their order."""
    newer = subject(last_event_at=LATER)
    harness.store.index_subject(ANNA, newer)
    assert harness.store.write_subject(newer)
    harness.store.index_subject(ANNA, replace(subject(last_event_at=NOW), expires_at=int(NOW.timestamp())))
    harness.expire(NOW + TICK)
    assert harness.store.erase(ANNA, until=NOW) == 0
    assert harness.store.read_holdings(ANNA).subjects == [replace(newer, revision=1)]


# Erasing


def test_erasing_an_unknown_contact_erases_nothing(harness: Harness) -> None:
    assert harness.store.erase(ANNA, until=NOW) == 0


@pytest.mark.parametrize("until", [NOW, NOW + TICK, NOW + timedelta(days=9)], ids=["at", "just after", "long after"])
def test_everything_from_before_goes_but_the_preferences(harness: Harness, until: datetime) -> None:
    preferences = preferring(harness.store, ANNA, stopped().erase("sms", asked_at=NOW, at=until))
    assert harness.store.write_brand(brand(name="Acme Dental"))
    _everything(harness.store)
    assert harness.store.erase(ANNA, until=until) == KINDS
    assert harness.store.read_holdings(ANNA) == replace(NOTHING, preferences=preferences)
    assert harness.store.read_subject(APPOINTMENT) is None
    assert everything_due(harness.store, LATER) == []
    assert harness.size() == 2
    assert harness.store.erase(ANNA, until=until) == 0


def test_everything_from_since_stays(harness: Harness) -> None:
    """Cap usage is erased too, and a repeated erasure must not allow one message too many."""
    stored = _everything(harness.store)
    assert harness.store.erase(ANNA, until=NOW - TICK) == 0
    assert harness.store.read_holdings(ANNA) == stored
    assert everything_due(harness.store, NOW) != []
    assert harness.store.erase(ANNA, until=NOW - TICK) == 0


def test_of_one_kind_the_older_go_and_the_younger_stay(harness: Harness) -> None:
    store = harness.store
    young = SubjectRef("acme-dental", "appointment", "young")
    for at, ref in ((NOW, APPOINTMENT), (NOW + TICK, young)):
        assert store.write_subject(subject(ref, last_event_at=at))
        store.index_subject(ANNA, subject(ref, last_event_at=at))
        planned(store, reminder(subject=ref, planned_at=at))
        store.write_message(inbound(f"wamid.{ref.id}", at=at), expires_at=2_000_000_000)
    assert store.erase(ANNA, until=NOW) == 3
    left = store.read_holdings(ANNA)
    assert [message.message_id for message in left.inbound] == ["wamid.young"]
    assert [message.subject for message in left.scheduled] == [subject.ref for subject in left.subjects] == [young]


@pytest.mark.parametrize("at", [NOW - timedelta(days=9), NOW])
@pytest.mark.parametrize("since", [NOW + TICK, NOW + timedelta(days=9)])
def test_subject_is_erased_by_its_newest_event(harness: Harness, at: datetime, since: datetime) -> None:
    store = harness.store
    store.index_subject(ANNA, subject(last_event_at=at))
    assert store.write_subject(subject(last_event_at=at))
    store.index_subject(ANNA, subject(last_event_at=since))
    assert store.write_subject(subject(last_event_at=since, revision=1))
    assert store.erase(ANNA, until=NOW) == 0
    assert [stored.last_event_at for stored in store.read_holdings(ANNA).subjects] == [since]


OTHERS = {
    "another contact": BEN,
    "another channel": replace(ANNA, channel="rcs"),
    "another brand": replace(ANNA, brand="acme"),
    "a longer address": replace(ANNA, address=ANNA.address + "0"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_contacts_stay_unchanged(harness: Harness, other: Contact) -> None:
    _everything(harness.store)
    others = _everything(harness.store, other, ref=SubjectRef(other.brand, "appointment", "of the other"))
    size = harness.size()
    harness.store.erase(ANNA, until=LATER)
    assert harness.size() == size - KINDS - 1
    assert harness.store.read_holdings(other) == others


@pytest.mark.parametrize("state", State)
def test_a_message_in_any_state_goes(harness: Harness, state: State) -> None:
    if state is State.SKIPPED:
        planned(harness.store, skip(reminder()))
    elif state is State.SCHEDULED:
        planned(harness.store)
    else:
        taken = claimed(harness.store)
        assert state is State.SENDING or harness.store.settle(ended(taken, state))
    assert harness.store.erase(ANNA, until=NOW) == 1
    assert harness.size() == 0


def test_erased_claimed_row_cannot_be_settled(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.erase(ANNA, until=NOW) == 1
    for end in (State.SENT, State.SKIPPED, State.FAILED, State.UNCONFIRMED, State.DELIVERED):
        answer = {"provider": "eventbridge", "provider_message_id": "event-1"}
        assert not harness.store.settle(ended(taken, end, **answer))
    for report in (State.SENT, State.DELIVERED, State.UNDELIVERED):
        assert not harness.store.record_receipt(ended(taken, report))
    assert not harness.store.release(taken)
    assert harness.size() == 0


def test_cap_usage_of_an_erased_contact_goes_when_released(harness: Harness) -> None:
    taken = claimed(harness.store)
    assert harness.store.erase(ANNA, until=NOW) == 1
    placed(harness.store, taken)
    harness.store.release_cap(taken)
    assert harness.size() == 0


def test_what_was_erased_can_be_stored_anew(harness: Harness) -> None:
    _everything(harness.store)
    harness.store.erase(ANNA, until=NOW)
    anew = _everything(harness.store, at=LATER)
    assert harness.store.erase(ANNA, until=NOW) == 0
    assert harness.store.read_holdings(ANNA) == anew


def _shared(harness: Harness, *events: BusinessEvent) -> Subject:
    """An appointment of two people, stored and linked to both."""
    shared = replace(
        apply_events(Subject(APPOINTMENT), *(arrived(event, NOW) for event in events)), revision=0, last_event_at=NOW
    )
    for contact in (ANNA, BEN):
        harness.store.index_subject(contact, shared)
    assert harness.store.write_subject(shared)
    stored = harness.store.read_subject(APPOINTMENT)
    assert stored == replace(shared, revision=1)
    return stored


def test_erasure_of_one_of_two_people_keeps_the_other(harness: Harness) -> None:
    """Two people share an appointment. The one who asked for no erasure is still reminded."""
    booked, cancelled = (
        business(name, NOW, subject_id=APPOINTMENT.id, contact=ANNA, starts_at=LATER, check_in_url="https://a.example")
        for name in ("AppointmentBooked", "AppointmentCancelled")
    )
    second = business("AppointmentRescheduled", NOW, subject_id=APPOINTMENT.id, contact=BEN, starts_at=LATER)
    for events in ((booked, second), (booked, second, cancelled)):
        shared = _shared(harness, *events)
        for contact, other in ((ANNA, BEN), (BEN, ANNA)):
            (part,) = harness.store.read_holdings(contact).subjects
            assert part.contacts == [contact]
            assert other.address not in repr(part), "no export holds the other contact's address"
        assert harness.store.erase(ANNA, until=NOW) == 1
        left = harness.store.read_subject(APPOINTMENT)
        assert left
        assert (left.contacts, left.revision) == ([BEN], 2)
        assert ANNA.address not in repr(left)
        assert "a.example" not in repr(left), "her link went with her"
        assert left.for_contact(BEN).tracks == shared.for_contact(BEN).tracks
        assert harness.store.erase(BEN, until=NOW) == 1
        assert harness.store.read_subject(APPOINTMENT) is None


# What is the contact's own: an interest, and what was looked at


@pytest.mark.parametrize("until", [NOW - TICK, NOW], ids=["before", "since"])
def test_interest_and_viewed_product_are_exported_and_erased(harness: Harness, until: datetime) -> None:
    store, item = harness.store, "SKU#7"
    hers = [interested(store, item=item), viewed(store, item=item)]
    others = [
        (contact, [interested(store, contact, item=item), viewed(store, contact, item=item)])
        for contact in OTHERS.values()
    ]
    assert sorted(store.read_holdings(ANNA).subjects, key=str) == sorted(hers, key=str)
    is_due = until >= NOW
    assert store.erase(ANNA, until=until) == (2 if is_due else 0)
    assert sorted(store.read_holdings(ANNA).subjects, key=str) == ([] if is_due else sorted(hers, key=str))
    assert [store.read_subject(each.ref) for each in hers] == ([None, None] if is_due else hers)
    assert bool(whole_audience(store, "interested", SubjectRef(ANNA.brand, "item", item))) is not is_due
    for contact, theirs in others:
        assert sorted(store.read_holdings(contact).subjects, key=str) == sorted(theirs, key=str)
        item_of = SubjectRef(contact.brand, "item", item)
        found = whole_audience(store, "interested", item_of, contact.shard)
        assert Recipient(contact, NOW) in found


def test_withdrawn_interest_is_exported_and_erased(harness: Harness) -> None:
    interested(harness.store)
    withdrawn = interested(harness.store, at=LATER, event_type="InterestWithdrawn")
    assert harness.store.read_holdings(ANNA).subjects == [withdrawn]
    assert harness.store.erase(ANNA, until=LATER) == 1
    assert harness.size() == 0


def test_finished_broadcast_keeps_no_contact_in_its_cursor(dynamodb: DynamoDB) -> None:
    """A shard is kept for weeks; its cursor names a contact only while a run must continue from it."""
    store = dynamodb.store
    people = list(islice(contacts_of_shard(ANNA.shard), PAGE + 1))
    for person in people:
        assert store.write_conversation(person, conversation(), replacing=None)
    announced = business("ProductPreviewAnnounced", NOW, subject_id=PREVIEW.id, title="Spring", send_at=NOW)
    preview = replace(apply_events(Subject(PREVIEW), announced), revision=0, expires_at=2_000_000_000)
    assert store.write_subject(preview)
    (broadcast,) = broadcasts(preview)
    of = broadcast.shards()[ANNA.shard]
    assert store.write_shard(of)
    assert expand_broadcast(
        of.key,
        store=store,
        publish=lambda _: None,
        clock=lambda: NOW,
        settings=PolicySettings(),
        stop_at=LATER,
    )
    ended_shard = store.read_shard(of.key)
    assert ended_shard
    assert (ended_shard.state, ended_shard.planned) == (ShardState.DONE, len(people))
    for person in people:
        store.erase(person, until=LATER)
    assert [item for item in dynamodb.items() if any(person.address in str(item) for person in people)] == []


# What gets younger after it was found


def _write_again(store: Store) -> None:
    assert store.write_conversation(ANNA, conversation(LATER), replacing=conversation())


def _seen_again(store: Store) -> None:
    assert store.write_profile(ANNA, profile(LATER), replacing=profile())


def _planned_again(store: Store) -> None:
    planned(store, reminder(version=2, planned_at=LATER))


def _publish_again(store: Store) -> None:
    store.index_subject(ANNA, subject(last_event_at=LATER))
    assert store.write_subject(subject(last_event_at=LATER, revision=1))


AGAIN: dict[str, tuple[Callable[[Store], None], Callable[[Holdings], Any]]] = {
    "conversation": (_write_again, lambda held: held.conversation == conversation(LATER)),
    "profile": (_seen_again, lambda held: held.profile == profile(LATER)),
    "scheduled message": (_planned_again, lambda held: held.scheduled == [reminder(version=2, planned_at=LATER)]),
    "subject and its link": (_publish_again, lambda held: held.subjects == [subject(last_event_at=LATER, revision=2)]),
}


@pytest.mark.parametrize("kind", AGAIN)
def test_what_gets_younger_between_the_read_and_the_delete_stays(dynamodb: DynamoDB, kind: str) -> None:
    store, (replan, stays) = dynamodb.store, AGAIN[kind]
    _everything(store)
    late = [replan]

    def meanwhile(**_: Any) -> None:
        while late:
            late.pop()(store)

    with dynamodb.hook("after-call.dynamodb.Query", meanwhile):
        assert store.erase(ANNA, until=NOW) == KINDS
    assert stays(store.read_holdings(ANNA))
    assert dynamodb.size() == (2 if kind == "subject and its link" else 1)
    assert store.erase(ANNA, until=NOW) == 0
    assert stays(store.read_holdings(ANNA))


def test_concurrent_deletion_is_no_error(dynamodb: DynamoDB) -> None:
    store = dynamodb.store
    _everything(store)
    late = [dynamodb.items()]

    def meanwhile(**_: Any) -> None:
        while late:
            for item in late.pop():
                dynamodb.client.delete_item(TableName=store.table.name, Key={k: item[k] for k in ("pk", "sk")})

    with dynamodb.hook("after-call.dynamodb.Query", meanwhile):
        assert store.erase(ANNA, until=NOW) == KINDS
    assert dynamodb.size() == 0


# An export in parts


@pytest.mark.parametrize("rows_a_page", [5, 1000])
def test_paged_export_has_everything_once(harness: Harness, rows_a_page: int) -> None:
    preferring(harness.store, ANNA, stopped())
    whole = _everything(harness.store)
    for number in range(1200):
        harness.store.write_message(inbound(f"wamid#{number}"), expires_at=2_000_000_000)
    ids: list[str] = []
    found, cursor, parts = NOTHING, None, 0
    with harness.small_pages(rows_a_page):
        while parts == 0 or cursor:
            part, cursor = harness.store.read_holdings_page(ANNA, cursor)
            ids += [message.message_id for message in part.inbound]
            found = Holdings(
                profile=found.profile or part.profile,
                conversation=found.conversation or part.conversation,
                preferences=part.preferences if parts == 0 else found.preferences,
                inbound=[],
                scheduled=[*found.scheduled, *part.scheduled],
                subjects=[*found.subjects, *part.subjects],
                cap_usage={**found.cap_usage, **part.cap_usage},
            )
            parts += 1
    assert parts > 1
    assert sorted(ids) == sorted(["wamid.1", *(f"wamid#{number}" for number in range(1200))])
    assert found == replace(whole, inbound=[])


def test_each_page_of_an_export_fits_an_answer(moto: DynamoDB) -> None:
    """An export over 6 MB could not be answered at all."""
    text = "\u0000" * 60_000  # six bytes each in JSON, one in DynamoDB
    for number in range(30):
        moto.store.write_message(replace(inbound(f"wamid.{number}"), text=text), expires_at=2_000_000_000)
    cursor, sizes = None, list[int]()
    while not sizes or cursor:
        part, cursor = moto.store.read_holdings_page(ANNA, cursor)
        sizes.append(sum(len(json.dumps(message.text)) for message in part.inbound))
    assert sum(sizes) == 30 * 360_002
    assert max(sizes) < 3_000_000


# A subject that names several contacts


ANNA_BY_WHATSAPP = replace(ANNA, channel="whatsapp")


def _shipped_and_delivered(store: Store, *, at: datetime = NOW) -> Subject:
    """An order whose two tracks name two contacts, stored and linked to both."""
    shipped = business("OrderShipped", at, subject_id=ORDER.id, contact=ANNA)
    delivered = business("OrderDelivered", at, subject_id=ORDER.id, contact=ANNA_BY_WHATSAPP)
    order = Subject(ORDER)
    for event in (shipped, delivered):
        order = replace(order.apply(arrived(event, at)), last_event_at=at, expires_at=2_000_000_000)
        assert event.contact
        store.index_subject(event.contact, order)
        assert store.write_subject(order)
        stored = store.read_subject(ORDER)
        assert stored
        order = stored
    return order


@pytest.mark.parametrize("first", [ANNA, ANNA_BY_WHATSAPP])
def test_two_erasures_remove_a_subject_of_two_contacts(harness: Harness, first: Contact) -> None:
    """An order whose tracks named two contacts kept both addresses after both were erased."""
    store = harness.store
    _shipped_and_delivered(store)
    (second,) = {ANNA, ANNA_BY_WHATSAPP} - {first}
    assert store.erase(first, until=NOW) == 1
    left = store.read_subject(ORDER)
    assert left
    assert {track.contact for track in [*left.tracks.values(), *left.previous.values()]} <= {second}
    assert store.read_holdings(first) == NOTHING
    assert [set(part.tracks) for part in store.read_holdings(second).subjects] == [set(left.tracks)]
    assert store.erase(second, until=NOW) == 1
    assert store.erase(second, until=NOW) == 0
    assert harness.size() == 0


def test_an_export_shows_each_contact_its_own_tracks(harness: Harness) -> None:
    order = _shipped_and_delivered(harness.store)
    for contact, name in ((ANNA, "order"), (ANNA_BY_WHATSAPP, "review")):
        (part,) = harness.store.read_holdings(contact).subjects
        assert part.tracks == {name: order.for_contact(contact).tracks[name]}
        assert {track.contact for track in part.previous.values()} <= {contact}


@pytest.mark.parametrize("named_at", [NOW, NOW + TICK], ids=["named before", "named since"])
def test_erases_a_subject_by_when_it_named_the_contact(harness: Harness, named_at: datetime) -> None:
    """A cancellation without a contact, between an erasure's mark and its end, kept the address for good."""
    store = harness.store
    booked = business("AppointmentBooked", named_at, subject_id=APPOINTMENT.id, contact=ANNA, starts_at=LATER)
    cancelled = business("AppointmentCancelled", LATER, subject_id=APPOINTMENT.id, contact=None)
    appointment = Subject(APPOINTMENT, expires_at=2_000_000_000)
    for event, at in ((booked, named_at), (cancelled, LATER)):
        appointment = replace(appointment.apply(arrived(event, at)), last_event_at=at)
        store.index_subject(ANNA, appointment)
        assert store.write_subject(appointment)
        appointment = replace(appointment, revision=appointment.revision + 1)
    assert store.erase(ANNA, until=NOW) == (1 if named_at <= NOW else 0)
    assert store.read_subject(APPOINTMENT) == (None if named_at <= NOW else appointment)
    assert harness.size() == (0 if named_at <= NOW else 2)


def test_subject_changed_during_the_erasure_is_erased_again(dynamodb: DynamoDB) -> None:
    """The link stays until the subject that it leads to has been erased."""
    store = dynamodb.store
    booked = business("AppointmentBooked", NOW, subject_id=APPOINTMENT.id, contact=ANNA, starts_at=LATER)
    stored = replace(Subject(APPOINTMENT).apply(arrived(booked, NOW)), last_event_at=NOW, expires_at=2_000_000_000)
    store.index_subject(ANNA, stored)
    assert store.write_subject(stored)
    late = [lambda: store.write_subject(replace(stored, revision=1, last_event_at=LATER))]

    def meanwhile(**_: Any) -> None:
        while late:
            assert late.pop()()

    with dynamodb.hook("after-call.dynamodb.BatchGetItem", meanwhile):
        assert store.erase(ANNA, until=NOW) == 1
    assert dynamodb.size() == 2
    assert store.erase(ANNA, until=NOW) == 1
    assert dynamodb.size() == 0


def test_thousands_of_messages_are_erased_in_batches(dynamodb: DynamoDB) -> None:
    """A chat of 20,000 messages took one request a message, and more time than the function has."""
    store = dynamodb.store
    for number in range(120):
        at = NOW if number else NOW + TICK
        store.write_message(inbound(f"wamid.{number}", at=at), expires_at=2_000_000_000)
    with dynamodb.small_pages(50), dynamodb.calls() as calls:
        assert store.erase(ANNA, until=NOW) == 119
    assert Counter(calls.operations) == {"Query": 4, "BatchWriteItem": 5}
    assert [message.message_id for message in store.read_holdings(ANNA).inbound] == ["wamid.0"]


def test_items_that_dynamodb_leaves_unprocessed_are_erased(dynamodb: DynamoDB) -> None:
    """DynamoDB answers a batch under throttling with what it has not written."""
    store = dynamodb.store
    for number in range(25):
        store.write_message(inbound(f"wamid.{number}"), expires_at=2_000_000_000)
    throttled = [9, 3]

    def cut(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if throttled:
            requests = params["RequestItems"][store.table.name]
            left = throttled.pop(0)
            context["left"], params["RequestItems"] = requests[:left], {store.table.name: requests[left:]}

    def leave(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if left := context.pop("left", None):
            keys = [{name: _wire(value) for name, value in each["DeleteRequest"]["Key"].items()} for each in left]
            parsed["UnprocessedItems"] = {store.table.name: [{"DeleteRequest": {"Key": key}} for key in keys]}

    name = "dynamodb.BatchWriteItem"
    with dynamodb.hook(f"before-parameter-build.{name}", cut), dynamodb.hook(f"after-call.{name}", leave):
        assert store.erase(ANNA, until=NOW) == 25
    assert not throttled
    assert dynamodb.size() == 0


def _wire(value: Any) -> Any:
    return value if isinstance(value, dict) else {"S": value}


def test_an_erasure_leaves_nothing_of_the_number(harness: Harness) -> None:
    """Only the marks of its channels are left, and an opt-out."""
    store = harness.store
    _everything(store, ANNA_BY_WHATSAPP)
    _everything(store, ANNA, ref=ORDER)
    _everything(store, BEN, ref=replace(APPOINTMENT, id="A-2"))
    kept = store.read_holdings(BEN)
    preferring(store, ANNA, stopped(NOW))
    bus = Bus()
    for _ in range(2):
        erase_contact(EraseContact(ANNA, LATER), store=store, publish=bus, clock=lambda: LATER)
        for contact in (ANNA, ANNA_BY_WHATSAPP):
            held = store.read_holdings(contact)
            assert held.is_empty
            assert held.preferences.erased_since(contact.channel, NOW)
            assert held.preferences.refused("contact", contact.channel)
    assert store.read_holdings(BEN) == kept
    assert harness.size() == KINDS + 2
    assert [detail["contact"]["channel"] for detail in bus.details("ContactErased")] == ["whatsapp", "sms", "sms"]


def test_an_export_names_the_numbers_channels_with_data(harness: Harness) -> None:
    """Only a message is planned for SMS; the person wrote by WhatsApp."""
    store = harness.store
    planned(store, reminder(contact=ANNA))
    store.write_conversation(ANNA_BY_WHATSAPP, conversation(), replacing=None)
    by_sms = {"channel": "sms", "address": ANNA.address}
    assert export(ANNA_BY_WHATSAPP, store=store, clock=lambda: NOW)["linked"] == [by_sms]
    assert export(ANNA, store=store, clock=lambda: NOW)["linked"] == [by_sms | {"channel": "whatsapp"}]
    assert "linked" not in export(BEN, store=store, clock=lambda: NOW)
