"""The store in memory and DynamoDB's behave as one: they return the same for the same calls."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import count, islice, product
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    multiple,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from reengage.domain.brand import Brand
from reengage.domain.broadcast import BroadcastShard, ShardState
from reengage.domain.caps import CapUsage
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import Conversation
from reengage.domain.message import FOLLOWS, ScheduledMessage, State
from reengage.domain.preferences import Choice, Erasure, Preferences
from reengage.domain.reasons import PRIORITIES, Audience
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue
from reengage.ports import DueKey, Holdings, Store
from tests.contract.samples import (
    ANNA,
    APPOINTMENT,
    BEN,
    PREVIEW,
    TRIAL,
    broadcast_shard,
    contacts_of_shard,
    conversation,
    due_in,
    due_key,
    inbound,
    interested,
    reminder,
    skip,
    whole_audience,
)
from tests.contract.stores import DynamoDB, Memory

# Few values, so that what happens meets what happened before.

START = datetime(2026, 11, 30, tzinfo=UTC)
ABOUT = START + timedelta(days=9)
LINE = timezone(timedelta(hours=13))
CONTACTS = (ANNA, BEN)
SHARD = list(islice(contacts_of_shard(ANNA.shard), 4))
IDS = ("wamid.1", "wamid#2")
KINDS: tuple[dict[str, Any], ...] = (
    {"reason": "appointment_reminder", "subject": APPOINTMENT, "offset": "P1D"},
    {"reason": "trial_follow_up", "subject": TRIAL, "offset": "-P3D"},
)

instants = st.sampled_from(
    [
        START,
        START + timedelta(microseconds=1),
        (START + timedelta(hours=5)).astimezone(LINE),
        START + timedelta(days=40),
        START - timedelta(days=7 * 365),
    ]
)
contacts = st.sampled_from(CONTACTS)
message_ids = st.sampled_from(IDS)
versions = st.integers(1, 3)
texts = st.none() | st.sampled_from(["en", "Änna 🌱"])
expiries = instants.map(lambda at: int(at.timestamp()) + 86400) | st.just(1_800_000_000_000)
facts = st.sampled_from([{}, {"zone": "UTC"}, {"decided_at": "2026-11-30T00:00:00Z", "seen": [1, None, {"a": 0.5}]}])
rules = st.none() | st.sampled_from(["superseded", "cancelled", "too_late", "quiet_hours"])
ids = st.none() | st.sampled_from(["id-1", "id-2"])
errors = st.none() | st.sampled_from(["throttled", "refused 🚫"])

profiles = st.builds(Profile, instants, instants, expiries, texts, texts, texts)
conversations = st.builds(
    Conversation,
    last_inbound_at=instants,
    opened_by=message_ids,
    opening=st.sampled_from(["started", "restarted"]),
    expires_at=expiries,
    warned_expires_at=st.none() | st.sampled_from([1_796_000_000, 1_800_000_000]),
    warned_at=st.none() | instants,
    agent_replied_at=st.none() | instants,
)
# The parser of events lets only an instant through: DynamoDB's index of days reads it.
starting_times = st.none() | instants.map(datetime.isoformat)
versioned_fields = st.fixed_dictionaries(
    {},
    optional={
        "starts_at": st.builds(VersionedValue, versions, starting_times),
        "title": st.builds(VersionedValue, versions, texts),
    },
)
tracks = st.dictionaries(
    st.sampled_from(["appointment", "check_in"]), st.builds(Track, versions, st.booleans(), versioned_fields)
)
subjects = st.builds(
    Subject,
    st.sampled_from([APPOINTMENT, TRIAL]),
    tracks,
    tracks,
    expires_at=expiries,
    revision=st.integers(0, 3),
    last_event_at=instants,
)
causes = st.none() | st.sampled_from(["STOP", {"word": "STOP", "message_id": "wamid.1"}])
choices = st.dictionaries(
    st.sampled_from(["*", "sms", "rcs"]), st.builds(Choice, st.booleans(), instants, causes, st.booleans()), max_size=2
)
erasures = st.dictionaries(st.sampled_from(["sms", "rcs"]), st.builds(Erasure, instants, instants), max_size=2)
preferences = st.builds(Preferences, choices, choices, erasures, st.integers(0, 3))
brand_fields = st.fixed_dictionaries(
    {}, optional={"name": texts | st.just({"en": "Acme"}), "timezone": texts, "stop_text": st.just("")}
)
plans = st.builds(
    lambda kind, due_at, version, at: reminder(**kind, anchor_at=ABOUT, due_at=due_at, version=version, planned_at=at),
    st.sampled_from(KINDS),
    instants,
    versions,
    instants,
)
ends = st.fixed_dictionaries(
    {
        "state": st.sampled_from(tuple(FOLLOWS)),
        "settled_at": instants,
        "rule": rules,
        "facts": facts,
        "attempts": st.integers(0, 5),
        "provider": ids,
        "provider_message_id": ids,
        "error": errors,
    }
)
returns = st.fixed_dictionaries(
    {
        "due_at": instants,
        "valid_until": instants,
        "planned_at": instants,
        "version": versions,
        "attempts": st.integers(0, 5),
        "rule": rules,
        "facts": facts,
        "error": errors,
        "claimed_at": st.none(),
    }
)


def _comparable(held: Holdings) -> Holdings:
    """Compare without an order, because no store guarantees one."""
    return replace(
        held,
        inbound=sorted(held.inbound, key=lambda message: message.message_id),
        scheduled=sorted(held.scheduled, key=lambda message: message.key),
        subjects=sorted(held.subjects, key=lambda subject: subject.ref.key),
    )


class Twins(RuleBasedStateMachine):
    """Each rule does one thing to both stores and compares the results. The end compares all that can be read."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        super().__init__()
        self.memory = Memory()
        self.dynamodb = dynamodb
        self.aws = mock_aws()
        self.aws.start()
        self.dynamodb.create_table()

    def teardown(self) -> None:
        try:
            self.compare_all()
        finally:
            self.aws.stop()

    def both[T](self, act: Callable[[Store], T]) -> T:
        in_memory, in_dynamodb = act(self.memory.store), act(self.dynamodb.store)
        assert in_memory == in_dynamodb
        return in_memory

    def compare_all(self) -> None:
        for message_id, contact in product(IDS, CONTACTS):
            self.both(lambda store, c=contact, m=message_id: store.read_thread(c, m))  # type: ignore[misc]  # mypy infers no default arguments of a lambda
        for ref in (APPOINTMENT, TRIAL):
            self.both(lambda store, r=ref: store.read_subject(r))  # type: ignore[misc]  # mypy infers no default arguments of a lambda
        for kind in KINDS:
            key = reminder(anchor_at=ABOUT, **kind).key
            self.both(lambda store, k=key: store.read_message(k))  # type: ignore[misc]  # mypy infers no default arguments of a lambda
        self.due(START + timedelta(days=60))
        for contact in CONTACTS:
            self.both(lambda store, c=contact: _comparable(store.read_holdings(c)))  # type: ignore[misc]  # mypy infers no default arguments of a lambda
        self.both(lambda store: store.read_brand(ANNA.brand))
        assert self.memory.size() == self.dynamodb.size()

    def due(self, now: datetime) -> list[DueKey]:
        """Compare in order of time; messages due at one instant may have any order."""
        found: list[DueKey] = []
        for send_group, priority in (
            (send_group, priority) for send_group, priorities in PRIORITIES.items() for priority in priorities
        ):
            in_memory, in_dynamodb = (
                due_in(store, ANNA.shard, now, send_group=send_group, priority=priority)
                for store in (self.memory.store, self.dynamodb.store)
            )
            assert [due.due_at for due in in_memory] == [due.due_at for due in in_dynamodb]
            assert sorted(in_memory, key=str) == sorted(in_dynamodb, key=str)
            found += in_memory
        return found

    @rule(now=instants | st.just(START + timedelta(days=71)))
    def ttl_comes_by(self, now: datetime) -> None:
        for harness in (self.memory, self.dynamodb):
            harness.expire(now)
        assert self.memory.size() == self.dynamodb.size()


class Threads(Twins):
    """Rules for stored contacts and subjects."""

    @rule(contact=contacts, new=profiles, expected=st.sampled_from(["stored", "nothing", "nearly"]), locale=texts)
    def write_profile(self, contact: Contact, new: Profile, expected: str, locale: str | None) -> None:
        stored = self.both(lambda store: store.read_thread(contact)).profile
        nearly = replace(stored or new, locale=locale)
        replacing = {"stored": stored, "nothing": None, "nearly": nearly}[expected]
        self.both(lambda store: store.write_profile(contact, new, replacing=replacing))

    @rule(
        contact=contacts,
        new=conversations,
        expected=st.sampled_from(["stored", "nothing", "nearly"]),
        replied_at=st.none() | instants,
    )
    def write_conversation(
        self, contact: Contact, new: Conversation, expected: str, replied_at: datetime | None
    ) -> None:
        stored = self.both(lambda store: store.read_thread(contact)).conversation
        nearly = replace(stored or new, agent_replied_at=replied_at)
        replacing = {"stored": stored, "nothing": None, "nearly": nearly}[expected]
        self.both(lambda store: store.write_conversation(contact, new, replacing=replacing))

    @rule(contact=contacts, message_id=message_ids, expires_at=expiries)
    def write_message(self, contact: Contact, message_id: str, expires_at: int) -> None:
        self.both(lambda store: store.write_message(inbound(message_id, contact), expires_at=expires_at))
        self.both(lambda store: store.read_thread(contact, message_id))

    @rule(subject=subjects, fresh=st.booleans())
    def write_subject(self, subject: Subject, *, fresh: bool) -> None:
        if fresh:
            stored = self.both(lambda store: store.read_subject(subject.ref))
            subject = replace(subject, revision=stored.revision if stored else 0)
        self.both(lambda store: store.write_subject(subject))

    @rule(message=plans)
    def read_snapshot(self, message: ScheduledMessage) -> None:
        self.both(lambda store: store.read_snapshot(message))

    @rule(contact=contacts, subject=subjects)
    def index_subject(self, contact: Contact, subject: Subject) -> None:
        self.both(lambda store: store.index_subject(contact, subject))

    @rule(contact=contacts, until=instants)
    def erase(self, contact: Contact, until: datetime) -> None:
        self.both(lambda store: store.erase(contact, until=until))
        self.both(lambda store: _comparable(store.read_holdings(contact)))


class Choices(Twins):
    """Rules for choices, brands and cap usage."""

    @rule(contact=contacts, new=preferences, fresh=st.booleans())
    def write_preferences(self, contact: Contact, new: Preferences, *, fresh: bool) -> None:
        stored = self.both(lambda store: store.read_preferences(contact))
        new = replace(new, revision=stored.revision) if fresh else new
        self.both(lambda store: store.write_preferences(contact, new))

    @rule(version=versions, fields=brand_fields, revision=st.none() | st.integers(0, 3))
    def write_brand(self, version: int, fields: dict[str, Any], revision: int | None) -> None:
        stored = self.both(lambda store: store.read_brand(ANNA.brand)) or Brand(ANNA.brand)
        new = stored.apply(version, fields)
        new = new if revision is None else replace(new, revision=revision)
        self.both(lambda store: store.write_brand(new))

    cap_usage: Bundle[CapUsage] = Bundle("places")

    @rule(target=cap_usage, message=plans)
    def read_usage(self, message: ScheduledMessage) -> CapUsage:
        return self.both(lambda store: store.read_snapshot(message)).cap_usage

    @rule(message=plans, read=cap_usage, at=instants, days=st.integers(0, 30))
    def reserve_cap(self, message: ScheduledMessage, read: CapUsage, at: datetime, days: int) -> None:
        self.both(lambda store: store.reserve_cap(message, read, at=at, retention=timedelta(days=days)))

    @rule(message=plans, at=instants)
    def reserve_free(self, message: ScheduledMessage, at: datetime) -> None:
        read = self.both(lambda store: store.read_snapshot(message)).cap_usage
        assert self.both(lambda store: store.reserve_cap(message, read, at=at, retention=timedelta(days=7)))

    @rule(message=plans)
    def release_cap(self, message: ScheduledMessage) -> None:
        self.both(lambda store: store.release_cap(message))
        self.both(lambda store: store.read_snapshot(message))

    @rule(contact=contacts, until=instants)
    def erase(self, contact: Contact, until: datetime) -> None:
        self.both(lambda store: store.erase(contact, until=until))
        self.both(lambda store: store.read_holdings(contact))


class Rows(Twins):
    """Rules for scheduled messages."""

    dues: Bundle[DueKey] = Bundle("dues")
    claims: Bundle[ScheduledMessage] = Bundle("claims")

    def __init__(self, dynamodb: DynamoDB) -> None:
        super().__init__(dynamodb)
        self.claim_ids = count(1)

    @rule(target=dues, message=plans, late=st.booleans(), at=instants)
    def write_plan(self, message: ScheduledMessage, at: datetime, *, late: bool) -> DueKey:
        plan = skip(message) if late else message
        return due_key(self.both(lambda store: store.write_plan(plan, at=at)))

    @rule(message=plans, version=versions, why=st.sampled_from(["superseded", "cancelled"]), at=instants)
    def withdraw(self, message: ScheduledMessage, version: int, why: str, at: datetime) -> None:
        self.both(lambda store: store.withdraw(message, version=version, rule=why, at=at))

    @rule(target=dues, now=instants)
    def ask_what_is_due(self, now: datetime) -> MultipleResults[DueKey]:
        return multiple(*self.due(now))

    @rule(target=claims, due=dues, at=instants)
    def claim(self, due: DueKey, at: datetime) -> MultipleResults[ScheduledMessage]:
        return self._claim(due, at)

    def _claim(self, due: DueKey, at: datetime) -> MultipleResults[ScheduledMessage]:
        claim_id = str(next(self.claim_ids))
        taken = self.both(lambda store: store.claim(due, claim_id=claim_id, at=at))
        return multiple(taken) if taken else multiple()

    @rule(target=claims, message=plans, at=instants)
    def plan_and_claim(self, message: ScheduledMessage, at: datetime) -> MultipleResults[ScheduledMessage]:
        planned = self.both(lambda store: store.write_plan(message, at=at))
        return self._claim(due_key(planned), at)

    @rule(target=dues, message=claims, changes=returns)
    def release(self, message: ScheduledMessage, changes: dict[str, Any]) -> DueKey:
        given_back = replace(message, **changes)
        self.both(lambda store: store.release(given_back))
        self.both(lambda store: store.read_message(message.key))
        return due_key(given_back)

    @rule(message=claims, end=ends)
    def settle(self, message: ScheduledMessage, end: dict[str, Any]) -> None:
        self.both(lambda store: store.settle(replace(message, **end)))
        self.both(lambda store: store.read_message(message.key))

    @rule(until=instants)
    def erase(self, until: datetime) -> None:
        self.both(lambda store: store.erase(ANNA, until=until))

    @rule(message=claims, end=ends, state=st.sampled_from([State.SENT, State.DELIVERED, State.UNDELIVERED]))
    def record_receipt(self, message: ScheduledMessage, end: dict[str, Any], state: State) -> None:
        self.both(lambda store: store.find_message(message.contact, message.scheduled_message_id))
        self.both(lambda store: store.record_receipt(replace(message, **{**end, "state": state})))
        self.both(lambda store: store.read_message(message.key))


class Audiences(Twins):
    """Rules for audiences, and for the progress of a broadcast."""

    days = st.sampled_from([START.date() + timedelta(days=days) for days in (0, 29, 30, 31, 44, 45, 46, 75)])
    audiences = st.sampled_from(("open_conversations", "interested"))
    shown_at = st.sampled_from([START + timedelta(days=days, microseconds=days) for days in (0, 1, 2, 30)])
    items = st.sampled_from(["SKU", "SKU#7"])
    ways = st.dictionaries(st.sampled_from(["sent", "skipped:opted_out", "failed"]), st.integers(1, 9), min_size=1)
    states = st.sampled_from(tuple(ShardState))
    cursors = st.none() | st.sampled_from(["a", "b#"])
    parts = st.builds(
        lambda reason, due_at, version, state: broadcast_shard(
            reason=reason, due_at=due_at, valid_until=due_at + timedelta(days=2), version=version, state=state
        ),
        st.sampled_from(["product_preview", "holiday_hours"]),
        instants,
        versions,
        states,
    )

    @rule(contact=st.sampled_from(SHARD), at=shown_at)
    def person_writes(self, contact: Contact, at: datetime) -> None:
        before = self.both(lambda store: store.read_thread(contact)).conversation
        self.both(lambda store: store.write_conversation(contact, conversation(at), replacing=before))

    @rule(
        contact=st.sampled_from(SHARD),
        at=shown_at,
        item=items,
        event_type=st.sampled_from(["InterestShown", "InterestShown", "InterestWithdrawn", "ProductViewed"]),
    )
    def person_is_interested(self, contact: Contact, at: datetime, item: str, event_type: str) -> None:
        self.both(lambda store: interested(store, contact, item=item, at=at, event_type=event_type))

    @rule(contact=st.sampled_from(SHARD), until=shown_at)
    def person_is_erased(self, contact: Contact, until: datetime) -> None:
        self.both(lambda store: store.erase(contact, until=until))

    @rule(audience=audiences, item=items, day=days, limit=st.integers(1, 4))
    def page_to_the_end(self, audience: Audience, item: str, day: date, limit: int) -> None:
        """Compare in order of day; contacts of one day may have any order."""
        ref = SubjectRef(ANNA.brand, "item", item)
        shard = SHARD[0].shard
        whole = self.both(
            lambda store: sorted(whole_audience(store, audience, ref, shard, day=day, limit=limit), key=str)
        )
        assert len({recipient.contact for recipient in whole}) == len(whole)

    @rule(new=parts)
    def write_shard(self, new: BroadcastShard) -> None:
        self.both(lambda store: store.write_shard(new))
        self.both(lambda store: store.read_shard(new.key))

    @rule(of=parts, planned=st.integers(0, 99), cursor=cursors, state=states, read=cursors | st.just("as it stands"))
    def save_progress(
        self, of: BroadcastShard, planned: int, cursor: str | None, state: ShardState, read: str | None
    ) -> None:
        stored = self.both(lambda store: store.read_shard(of.key)) or of
        if stored.state is ShardState.WAITING:
            moved = replace(stored, planned=planned, cursor=cursor, state=state)
            replacing = stored if read == "as it stands" else replace(stored, cursor=read)
            self.both(lambda store: store.save_progress(moved, replacing=replacing))
        self.both(lambda store: store.read_shards(PREVIEW))

    @rule(of=parts, outcomes=ways)
    def count_outcomes(self, of: BroadcastShard, outcomes: dict[str, int]) -> None:
        self.both(lambda store: store.count_outcomes(of.key, of.version, outcomes))
        self.both(lambda store: store.read_shard(of.key))

    @rule(message=plans, due_at=instants, at=instants)
    def reschedule(self, message: ScheduledMessage, due_at: datetime, at: datetime) -> None:
        self.both(lambda store: store.write_plan(message, at=at))
        self.both(lambda store: store.reschedule(message, due_at=due_at, planned_due_at=at))
        self.both(lambda store: sorted(store.pending_messages(ANNA), key=lambda row: row.key))

    @rule(now=instants)
    def ask_what_is_due(self, now: datetime) -> None:
        self.due(now)


@pytest.mark.parametrize(("machine", "examples"), [(Threads, 12), (Choices, 12), (Rows, 20), (Audiences, 20)])
def test_both_stores_return_the_same_for_any_call(moto_client: DynamoDB, machine: type[Twins], examples: int) -> None:
    class Run(machine):  # type: ignore[valid-type, misc]  # Hypothesis wants a class that takes no arguments
        def __init__(self) -> None:
            super().__init__(moto_client)

    often = settings(
        max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Run, settings=often)
