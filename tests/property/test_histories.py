"""Histories of weeks, drawn at random, against what always holds (layers/README.md).

Events arrive shuffled, repeated and late. People write, stop, start and are erased. Runs, planners and TTL interleave.
Any call may crash or lose its response. Clocks stop just before, at and just after each edge. Each history has its
own settings. ``model.py`` decides what may be sent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import count
from threading import current_thread
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reengage.domain.caps import Cap
from reengage.domain.commands import ConfigureBrand, EraseContact, RecordChoice, RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.policy import PolicySettings
from reengage.domain.preferences import ERASURE_MARK_LASTS, Choice, Topic
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.reasons import SendGroup
from reengage.domain.subject import BusinessEvent, EventEffect, version_of
from reengage.errors import InvalidEvent
from reengage.ports import OutboundMessage, Outcome, Refused, Retryable, Unknown
from reengage.usecases.ingest_settings import IngestSettings
from tests.fakes import ANNA, CLAIM_LASTS, Around, Fault, Unreachable, World, business, inbound, receipt, worker
from tests.property.model import CATEGORIES, DAYS_30, FOLLOW_UPS, NEVER, OFFSETS, Model, Verdict, is_quiet, order_of
from tests.property.schedules import Body, Option, play

BEGINNINGS = (
    datetime(2026, 10, 1, 12, tzinfo=UTC),
    datetime(2026, 10, 24, 16, tzinfo=UTC),  # clocks go back in Berlin this night, in Los Angeles a week later
    datetime(2026, 3, 28, 16, tzinfo=UTC),  # clocks go forward in Berlin this night
)

# Four people. One person on two channels: tests/unit/usecases/test_one_person.py.
CONTACTS = (
    ANNA,
    Contact("acme-dental", "whatsapp", "+4915112345679"),
    Contact("acme-dental", "whatsapp", "+16502530000"),
    Contact("acme-dental", "whatsapp", "ben.1"),  # zone unknown
)
SHARDS = tuple(sorted({contact.shard for contact in CONTACTS}))
SEND_GROUPS: tuple[SendGroup, ...] = ("appointments", "trials", "updates")
APPOINTMENTS = ("AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled")
TRIALS = ("TrialStarted", "TrialExtended", "TrialConverted")
TEXTS = {
    "Is Friday free?": None,
    "I can't stop by on Friday": None,
    "When does it start?": None,
    "Stop!": False,
    "unsubscribe please": False,
    "START": True,
    "Help": None,
}
"""People's texts, and whether each is an opt-in, an opt-out or neither."""

ZONES = ("Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FINAL = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED, State.FAILED, State.UNCONFIRMED})

Input = BusinessEvent | InboundMessage | RecordChoice | EraseContact | ConfigureBrand | RecordDelivery
"""The events from outside; one that failed is delivered again."""


@dataclass(frozen=True)
class Snapshot:
    """A run's last snapshot: when it was requested and received, and the model's decision at that time."""

    read_at: datetime
    now: datetime
    verdicts: Mapping[MessageKey, Verdict]


@dataclass(frozen=True)
class Trouble:
    """The faults, and the order of the steps; at its end, a list restarts."""

    order: Sequence[int]
    pauses: Sequence[float]
    deaths: int
    lost: int
    """The call of the first actor that fails, if it makes so many; 0 for none."""
    lost_after: bool
    answer: Outcome | Exception | None = None
    """The provider's first answers; ``None``: it accepts."""


TROUBLE = st.builds(
    Trouble,
    order=st.lists(st.integers(0, 9), min_size=1, max_size=16),
    pauses=st.lists(st.sampled_from([0, 0, 0, 0.4, 1.1, 2.5]), min_size=1, max_size=6),
    deaths=st.sampled_from([0, 0, 1]),
    lost=st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    lost_after=st.booleans(),
    answer=st.sampled_from(
        [None, None, None, Retryable("Throttled"), Refused("no"), Unknown("who knows"), Unreachable("lost")]
    ),
)

CALM = Trouble([0], [0], deaths=0, lost=0, lost_after=False)
SHORT = st.sampled_from([timedelta(), timedelta(microseconds=1), timedelta(seconds=1), MINUTE])
AGES = st.sampled_from([timedelta(), timedelta(hours=-1), timedelta(seconds=1), 3 * DAY, 29 * DAY, DAYS_30, 60 * DAY])
LONG = timedelta(days=3650)

POLICIES = st.builds(
    PolicySettings,
    marketing_consent=st.sampled_from(["implied", "implied", "required"]),
    quiet_hours=st.sampled_from(
        [
            {},
            {"utility": QuietHours(time(21), time(8)), "marketing": QuietHours(time(20), time(9))},
            {"utility": QuietHours(time(0, 30), time(2, 30)), "marketing": QuietHours(time(9), time(17))},
        ]
    ),
    caps=st.sampled_from([{}, {"utility": (Cap(1, DAY),), "marketing": (Cap(1, timedelta(hours=6)), Cap(2, 7 * DAY))}]),
    default_timezone=st.sampled_from([None, None, "Asia/Kathmandu"]),
    whatsapp_templates=st.sampled_from([frozenset({"appointment_reminder", "trial_follow_up"}), frozenset()]),
)
INGESTS = st.builds(
    IngestSettings,
    contact_retention=st.just(LONG),
    opt_out_scope=st.sampled_from(["brand", "channel"]),
    welcome_back_after=st.sampled_from([None, DAY, 7 * DAY]),
    answers_help=st.booleans(),
)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(ids=self._claim_numbers())
        self.model = Model()
        self.snapshots: dict[str, Snapshot] = {}
        self.claims: dict[str, str] = {}
        self.firsts: dict[str, MessageKey] = {}
        self.violations: list[str] = []
        self.entries: list[tuple[datetime, Input]] = []
        self.written: list[InboundMessage] = []
        self.retries: list[Input] = []
        self.deleted: dict[MessageKey, ScheduledMessage] = {}
        self.ended: dict[MessageKey, State] = {}
        self.people = {"1": ANNA, "2": ANNA}
        self.undisturbed = True
        self.sends: list[tuple[ScheduledMessage, datetime]] = []

    # What happens

    @initialize(
        begin=st.sampled_from(BEGINNINGS),
        policy=POLICIES,
        ingest=INGESTS,
        known=st.sampled_from([CONTACTS, CONTACTS[:1], ()]),
    )
    def people_have_written(
        self, begin: datetime, policy: PolicySettings, ingest: IngestSettings, known: Sequence[Contact]
    ) -> None:
        self.world.clock.now = begin
        self.world.policy = self.model.policy = policy
        self.world.ingest = self.model.ingest = ingest
        for number, contact in enumerate(known, start=1):
            self.people[str(number)] = contact
            self._play(CALM, self._message(contact, 3 * DAY))
            for what, anchor, subject_id in (
                ("AppointmentBooked", "starts_at", str(number)),
                ("AppointmentBooked", "starts_at", f"{number}, second guest"),
                ("TrialStarted", "ends_at", str(number)),
            ):
                fields: dict[str, Any] = {anchor: begin + DAY}
                event = business(what, begin, subject_id=subject_id, contact=contact, **fields)
                self._play(CALM, self._records(replace(event, arrived_at=begin)))

    @rule(
        what=st.sampled_from(APPOINTMENTS[:2] * 2 + TRIALS[:2] * 3 + APPOINTMENTS[2:] + TRIALS[2:]),
        number=st.sampled_from(["1", "2"]),
        is_named=st.booleans(),
        age=st.timedeltas(timedelta(), timedelta(days=2)),
        whole=st.booleans(),
        ahead=st.sampled_from([timedelta(hours=3), DAY, DAY, 2 * DAY, 8 * DAY, DAYS_30]),
        steps=st.none() | st.lists(st.sampled_from(range(5)), max_size=3, unique=True),
        timezone=st.sampled_from(["Europe/Berlin", "Europe/Berlin", None]),
        trouble=TROUBLE,
        busy=st.booleans(),
    )
    def business_event(
        self,
        *,
        what: str,
        number: str,
        is_named: bool,
        age: timedelta,
        whole: bool,
        ahead: timedelta,
        steps: list[int] | None,
        timezone: str | None,
        trouble: Trouble,
        busy: bool,
    ) -> None:
        """Send a business event; its clock may show whole seconds, and a run may be at work.

        The model knows one person for each number; test_subjects.py knows several.
        """
        contact = self.people[number] if is_named else None
        now = self.world.clock.now
        occurred_at = (now - age).replace(microsecond=0) if whole else now - age
        anchor = now.replace(hour=12, minute=0, second=0, microsecond=0) + ahead
        fields: dict[str, Any] = {"timezone": timezone} if timezone else {}
        if what in APPOINTMENTS[:2]:
            fields |= {"starts_at": anchor}
            if steps is not None:
                fields["remind_before"] = [list(OFFSETS)[step] for step in steps]
        elif what in TRIALS[:2]:
            fields |= {"ends_at": anchor, "product": "Pro"}
            if steps is not None:
                fields["follow_up"] = [list(FOLLOW_UPS)[step] for step in steps if step < len(FOLLOW_UPS)]
        else:
            fields = {}
        event = business(what, occurred_at, subject_id=number, contact=contact, **fields)
        self._play(trouble, self._records(replace(event, arrived_at=now)), *(("run",) if busy else ()))

    @rule(
        contact=st.sampled_from([ANNA, *CONTACTS]),
        age=AGES,
        near=SHORT,
        text=st.sampled_from(["Is Friday free?"] * 4 + [*TEXTS]),
        timezone=st.sampled_from([None, None, *ZONES]),
        trouble=TROUBLE,
    )
    def person_writes(
        self, *, contact: Contact, age: timedelta, near: timedelta, text: str, timezone: str | None, trouble: Trouble
    ) -> None:
        """Zones are reported only by new messages."""
        zone = {"timezone": timezone} if timezone and age <= timedelta() else {}
        self._play(trouble, self._message(contact, age - near, text=text, **zone), "run")

    @rule(
        what=st.sampled_from(["contact", "contact", "marketing", "zone", "erasure"]),
        contact=st.sampled_from([ANNA, *CONTACTS]),
        allowed=st.booleans(),
        timezone=st.sampled_from([None, *ZONES]),
        age=st.sampled_from([timedelta(), timedelta(hours=1), 3 * DAY, 60 * DAY]),
        trouble=TROUBLE,
        due=st.booleans(),
    )
    def business_sends_more(
        self,
        *,
        what: str,
        contact: Contact,
        allowed: bool,
        timezone: str | None,
        age: timedelta,
        trouble: Trouble,
        due: bool,
    ) -> None:
        """Record a choice with evidence, configure a brand, or erase a contact: now, or with an old instant. It may
        arrive exactly when a message of the contact is due.
        """
        if due:
            dues = [row.due_at for row in self.world.store.rows() if row.state is State.SCHEDULED]
            self._time_goes_on(min(dues, default=self.world.clock.now))
        at = self.world.clock.now - age
        entry: Input
        match what:
            case "zone":
                entry = ConfigureBrand("acme-dental", version_of(at, EventEffect.CHANGE), {"timezone": timezone})
            case "erasure":
                entry = EraseContact(contact, at)
            case _:
                topic: Topic = "marketing" if what == "marketing" else "contact"
                entry = RecordChoice(contact, topic, Choice(allowed, at, {"where": "the front desk"}))
        self._play(trouble, self._records(entry), "run")

    @precondition(lambda self: self._recent())
    @rule(which=st.integers(0, 99), anew=st.booleans(), trouble=TROUBLE)
    def something_comes_again(self, which: int, anew: bool, trouble: Trouble) -> None:
        """Deliver it again: in the same envelope, or in a new one."""
        replan = self._one(which)
        if anew and isinstance(replan, BusinessEvent | InboundMessage):
            replan = replace(replan, arrived_at=self.world.clock.now)
        self._play(trouble, replan, "run")

    @precondition(lambda self: self._recent())
    @rule(which=st.integers(0, 99), other=st.integers(0, 99), trouble=TROUBLE)
    def two_come_again(self, which: int, other: int, trouble: Trouble) -> None:
        self._play(trouble, self._one(which), self._one(other))

    @precondition(lambda self: self.retries)
    @rule(trouble=TROUBLE)
    def lambda_retries(self, trouble: Trouble) -> None:
        self._play(trouble, self.retries.pop(0), "run")

    @rule(trouble=TROUBLE, actors=st.sampled_from([("run", "other run"), ("run",), ("run", "ttl"), ("ttl",)]))
    def tick(self, trouble: Trouble, actors: tuple[str, ...]) -> None:
        self._play(trouble, *actors)

    @precondition(lambda self: self.world.provider.handed)
    @rule(
        which=st.integers(0, 99),
        status=st.sampled_from(["sent", "delivered", "undelivered", "opted_out"]),
        trouble=TROUBLE,
    )
    def provider_reports(self, which: int, status: Status, trouble: Trouble) -> None:
        outbound = self.world.provider.handed[which % len(self.world.provider.handed)]
        self._play(trouble, self._records(receipt(outbound, status, self.world.clock.now)), "run")

    @rule(which=st.integers(0, 99), near=SHORT, past=st.booleans(), trouble=TROUBLE, runs=st.integers(0, 2))
    def time_comes_to_an_edge(self, which: int, near: timedelta, past: bool, trouble: Trouble, runs: int) -> None:
        """Advance to a due time, an appointment, or the end of a window or a claim; or just before or after it. Then a
        run or two follow.
        """
        edges = [edge for row in self.world.store.rows() for edge in (row.due_at, row.valid_until)]
        edges += [sent_at + DAYS_30 for sent in self.model.windows.values() for sent_at in sent]
        edges += [row.claimed_at + CLAIM_LASTS for row in self.world.store.rows() if row.claimed_at]
        ahead = sorted({edge for edge in edges if edge > self.world.clock.now})
        if ahead:
            self._time_goes_on(ahead[which % min(len(ahead), 4)] + (near if past else -near))
        self._play(trouble, *("run", "other run")[:runs])

    @precondition(lambda self: any(row.state is State.SCHEDULED for row in self.world.store.rows()))
    @rule(late=SHORT, trouble=TROUBLE, runs=st.integers(1, 2), which=st.integers(0, 99), is_certain=st.booleans())
    def a_message_falls_due(
        self, *, late: timedelta, trouble: Trouble, runs: int, which: int, is_certain: bool
    ) -> None:
        """A run or two find it; at that moment an event may arrive again."""
        due = min(row.due_at for row in self.world.store.rows() if row.state is State.SCHEDULED)
        self._time_goes_on(due + late)
        replan = (self._one(which),) if is_certain and self._recent() else ()
        self._play(trouble, *("run", "other run")[:runs], *replan)

    @rule(hours=st.sampled_from([0.05, 1, 10, 24, 24, 24 * 9]))
    def time_passes(self, hours: float) -> None:
        self._time_goes_on(self.world.clock.now + timedelta(hours=hours))

    def _time_goes_on(self, to: datetime) -> None:
        """Lambda retries for six hours at most."""
        if to > self.world.clock.now + timedelta(hours=6):
            self._retry_all()
        self.world.clock.now = max(self.world.clock.now, to)

    # What always holds

    @invariant()
    def holds(self) -> None:
        assert not self.violations, "\n".join(self.violations)
        taken = self._taken()
        ids = Counter(outbound.message.scheduled_message_id for outbound in taken)
        keys = Counter(outbound.message.key for outbound in taken)
        assert max(ids.values(), default=0) <= 1, "handed over twice"
        assert max(keys.values(), default=0) <= 1, "handed over twice, in two versions"
        for row in self.world.store.rows():
            was = self.ended.get(row.key)
            if was in (State.DELIVERED, State.UNDELIVERED, State.SENT, State.FAILED):
                assert row.state is was or (was is State.SENT and row.state in FINAL), "a state moved back"
            if row.state in FINAL:
                self.ended[row.key] = row.state
        if not self.retries:
            self._forgotten()

    def _forgotten(self) -> None:
        """Check after the last write: all data of an erased contact is newer than the erasure."""
        for contact, erased_at in self.model.erased.items():
            held = self.world.store.read_holdings(contact)
            instants = {
                "profile": [held.profile.first_seen_at] if held.profile else [],
                "conversation": [held.conversation.last_inbound_at] if held.conversation else [],
                "message": [kept.sent_at for kept in held.inbound],
                "scheduled message": [row.planned_at for row in held.scheduled],
                "subject": [
                    subject.last_event_at
                    for subject in self.world.store._subjects.values()
                    if contact in {track.contact for track in subject.tracks.values()}
                ],
            }
            if self.world.clock.now > erased_at + ERASURE_MARK_LASTS:
                continue  # no queue and no archive keeps what is older than the mark
            for name, stored in instants.items():
                assert all(instant > erased_at for instant in stored), f"a {name} of {contact} outlived its erasure"

    def teardown(self) -> None:
        """No more faults, and time advances until nothing is due."""
        self._retry_all()
        for _ in range(300):
            self._play(CALM, "run")
            waiting = [row for row in self.world.store.rows() if row.state in (State.SCHEDULED, State.SENDING)]
            if not waiting:
                break
            # An unknown zone is rechecked every hour; twice a day is enough here.
            nearest = min(row.due_at + (row.rule == "unknown_timezone") * DAY / 2 for row in waiting)
            self.world.clock.now = max(self.world.clock.now + MINUTE, nearest)
        self.holds()
        rows = self.deleted | {row.key: row for row in self.world.store.rows()}
        for row in rows.values():
            assert row.state not in (State.SCHEDULED, State.SENDING), f"{row} was left"
            assert row.state is not State.SKIPPED or row.rule, f"{row} says no reason"
        for ref in self.model.events:
            for key in self.model.known(ref).wanted:
                if key not in rows and self._is_forgotten(key):
                    continue  # it was sent, and erased; a repeat of its event came while the erasure was not finished
                assert key in rows, f"{key.sk} was never planned"
                assert rows[key].rule not in ("superseded", "cancelled"), f"{rows[key]} is wanted after all"

    def _is_forgotten(self, key: MessageKey) -> bool:
        return key.pk in {contact.key for contact in self.model.erased}

    # The machinery

    def _claim_numbers(self) -> Iterator[int]:
        """Record which actor has which claim: each is a thread of its own, with its name."""
        for number in count(1):
            self.claims[current_thread().name] = f"claim-{number}"
            yield number

    def _records[T: Input](self, entry: T) -> T:
        self.entries.append((self.world.clock.now, entry))
        return entry

    def _message(self, contact: Contact, age: timedelta, **facts: str) -> InboundMessage:
        now = self.world.clock.now
        self.written.append(inbound(now - age, contact=contact, message_id=f"m{len(self.written)}", **facts))
        return self._records(replace(self.written[-1], arrived_at=now))

    def _recent(self) -> list[Input]:
        """The events that may be delivered again: no queue and no archive keeps an event for longer."""
        return [entry for happened_at, entry in self.entries if self.world.clock.now < happened_at + DAYS_30]

    def _one(self, which: int) -> Input:
        recent = self._recent()
        return recent[which % len(recent)]

    def _retry_all(self) -> None:
        while self.retries:
            self._play(CALM, "run")
            self._play(CALM, self.retries.pop(0))
            self.world.clock.forward(minutes=1)

    def _taken(self) -> list[OutboundMessage]:
        """The messages that a provider may have accepted: all that it did not surely refuse. Erased contacts are left
        out.
        """
        return [
            outbound
            for outbound, answer in zip(self.world.provider.handed, self.world.provider.answers, strict=True)
            if not isinstance(answer, Retryable)
            and outbound.message.planned_at > self.model.erased.get(outbound.message.contact, NEVER)
        ]

    def _play(self, trouble: Trouble, *actors: str | Input) -> None:
        """Run the actors at once, in that order and with those faults; what failed is delivered again later."""
        self.undisturbed = trouble is CALM
        self.world.provider.script.clear()
        if trouble.answer is not None:
            self.world.provider.script.append(trouble.answer)
        fault = Fault(Unreachable, trouble.lost, trouble.lost_after)
        bodies: dict[str, Body] = {}
        inputs: dict[str, Input] = {}
        for number, actor in enumerate(actors):
            name = f"{number} {actor if isinstance(actor, str) else ''}"
            if not isinstance(actor, str):
                inputs[name] = actor
            bodies[name] = self._body(name, actor, trouble, None if number else fault)
        made = iter(range(1_000_000))

        def choose(options: Sequence[Option]) -> Option:
            return options[trouble.order[next(made) % len(trouble.order)] % len(options)]

        played = play(bodies, choose, deaths=trouble.deaths)
        for name, error in played.failed.items():
            assert not isinstance(error, AssertionError), error
            if name in inputs and not isinstance(error, InvalidEvent):
                self.retries.append(inputs[name])

    def _body(self, name: str, actor: str | Input, trouble: Trouble, fault: Fault | None) -> Body:
        def body(around: Around) -> None:
            watched = self._watch(name, actor, around, fault, trouble.pauses)
            if actor == "ttl":
                around("ttl", self._ttl)
            elif isinstance(actor, str):
                self._run(watched)
            else:
                made = self._choice(actor)
                before = self.model.chosen(made) if made else NEVER
                self._use_case(actor, watched)
                if made:
                    self._check_stored(made, before)

        return body

    def _use_case(self, entry: Input, watched: Around) -> None:
        match entry:
            case BusinessEvent():
                self.world.plan(entry, watched)
            case InboundMessage():
                self.world.receive(entry, watched)
            case RecordChoice():
                self.world.record_choice(entry, watched)
            case EraseContact():
                self.world.erase(entry, watched)
            case ConfigureBrand():
                self.world.configure(entry, watched)
            case RecordDelivery():
                self.world.report(entry, watched)

    def _run(self, watched: Around) -> None:
        for send_group in SEND_GROUPS:
            sender = self.world.sender(send_group, watched)
            for shard in SHARDS:
                worker(sender, shard, self.world.clock.now + MINUTE)

    def _ttl(self) -> None:
        """Delete what has expired; of the rows only those with an outcome, because ticks come every minute."""
        rows = dict(self.world.store._rows)
        self.world.store.expire(self.world.clock.now)
        for key in rows.keys() - self.world.store._rows.keys():
            if rows[key].message.state in (State.SCHEDULED, State.SENDING):
                self.world.store._rows[key] = rows[key]
            else:
                self.deleted[key] = rows[key].message
        self._forget_what_is_gone()

    def _forget_what_is_gone(self) -> None:
        store, model = self.world.store, self.model
        for contact in CONTACTS:
            if contact not in store._conversations:
                model.windows[contact].clear()
            if contact not in store._profiles:
                model.received[contact].clear()
                model.zones.pop(contact, None)
        for key in self.ended.keys() - store._rows.keys():
            del self.ended[key]
        for ref in model.events.keys() - store._subjects.keys():
            del model.events[ref]

    def _choice(self, entry: Input) -> RecordChoice | None:
        """Compare the stored choices with the model's."""
        match entry:
            case RecordChoice():
                return entry
            case InboundMessage() if TEXTS[entry.text] is not None:
                # A sender's clock may be ahead; a repeat of the message changes nothing.
                at = min(entry.sent_at, entry.arrived_at, *self._arrivals_of(entry.message_id))
                return RecordChoice(entry.contact, "contact", Choice(TEXTS[entry.text] is True, at))
            case RecordDelivery() if entry.status == "opted_out":
                return RecordChoice(entry.contact, "contact", Choice(allowed=False, at=entry.at))
            case _:
                return None

    def _arrivals_of(self, message_id: str) -> list[datetime]:
        entries = [entry for _, entry in self.entries if isinstance(entry, InboundMessage)]
        return [entry.arrived_at for entry in entries if entry.message_id == message_id]

    def _check_stored(self, made: RecordChoice, before: Any) -> None:
        """An answered choice is stored, except a "yes" that an erasure removed."""
        taken_along = made.choice.allowed and made.choice.at <= self.model.erased.get(made.contact, NEVER)
        if order_of(made) > before and self.model.chosen(made) < order_of(made) and not taken_along:
            self.violations.append(f"{made} was answered for, and is not stored")

    def _watch(self, name: str, actor: object, around: Around, fault: Fault | None, pauses: Sequence[float]) -> Around:
        """Observe each call at the moment at which it is made; time passes after it."""
        started = self.world.clock.now
        made = iter(range(1_000_000))

        def pass_time() -> None:
            self.world.clock.now += timedelta(seconds=pauses[next(made) % len(pauses)])

        def watched(call_name: str, call: Callable[[], Any]) -> Any:
            looked_at = self.world.clock.now  # when the code last saw the clock: others may act before the call

            def seen() -> Any:
                before = {row.key: row for row in self.world.store.rows()}
                if call_name == "send":
                    return self._hand_over(name, call, looked_at)
                answer = call()
                pass_time()
                self._see_stored(call_name, answer, actor, started)
                self._see_run(name, call_name, answer, before, looked_at)
                if call_name in ("settle", "write_plan", "release"):
                    self._check_decisions(name, call_name, before, actor, started)
                return answer

            return around(call_name, (lambda: fault(call_name, seen)) if fault else seen)

        return watched

    def _see_stored(self, call_name: str, answer: Any, actor: object, started: datetime) -> None:
        """Record in the model what this call stored."""
        if not answer and call_name != "erase":
            return
        match call_name, actor:
            case "write_subject", BusinessEvent():
                self.model.events[actor.subject].append(actor)
            case "write_conversation", InboundMessage():
                self.model.receives(actor, min(actor.sent_at, actor.arrived_at))
            case "write_profile", InboundMessage():
                self.model.sees(actor, min(actor.sent_at, actor.arrived_at))
            case "write_brand", ConfigureBrand():
                self.model.presents(actor)
            case "write_preferences", EraseContact():
                self.model.erases(actor.contact, started)
            case "write_preferences", InboundMessage() | RecordChoice() | RecordDelivery():
                if made := self._choice(actor):  # else it stored a link between two addresses
                    self.model.chooses(made)
            case "erase", _:
                self._forget_what_is_gone()
            case _:
                pass

    def _see_run(
        self, name: str, call_name: str, answer: Any, before: Mapping[MessageKey, ScheduledMessage], looked_at: datetime
    ) -> None:
        """Record a run's snapshot, and the cap usage that it reserved or released."""
        now = self.world.clock.now
        # A text may name several messages: they have one claim, and the first one was claimed first.
        claimed = [row for row in before.values() if row.claim_id is not None and row.claim_id == self.claims.get(name)]
        if call_name == "claim" and answer:
            self.firsts.setdefault(answer.claim_id, answer.key)
        row = next((row for row in claimed if row.key == self.firsts.get(row.claim_id or "")), None)
        if call_name == "erase":
            for (contact, _), taken in self.model.cap_usage.items():
                erased_at = self.model.erased.get(contact, NEVER)
                for message_id in [message_id for message_id, at in taken.items() if at <= erased_at]:
                    del taken[message_id]
        if row is None:
            return
        cap_usage = self.model.cap_usage[row.contact, CATEGORIES[row.reason]]
        if call_name == "read_snapshot":
            verdicts = {key: each for other in claimed for key, each in self._verdicts(other, now).items()}
            self.snapshots[name] = Snapshot(looked_at, now, verdicts)
        elif call_name == "reserve_cap" and answer:
            cap_usage[row.scheduled_message_id] = self.snapshots[name].now
        elif call_name == "release_cap":
            cap_usage.pop(row.scheduled_message_id, None)

    def _hand_over(self, name: str, call: Callable[[], Any], now: datetime) -> Any:
        try:
            return call()
        finally:
            message = self.world.provider.handed[-1].message
            answer = self.world.provider.answers[-1]
            broken = self._broken_by(message, self.snapshots[name], now) if name in self.snapshots else {"no snapshot"}
            self.violations += [f"{message.key.sk} handed over at {now}: {why}" for why in sorted(broken)]
            if not isinstance(answer, Retryable | Refused):
                self.sends.append((message, now))

    def _verdicts(self, row: ScheduledMessage, now: datetime) -> Mapping[MessageKey, Verdict]:
        return {} if row.reason_spec.correction else {row.key: self.model.verdict(row, now)}

    def _broken_by(self, message: ScheduledMessage, snapshot: Snapshot, now: datetime) -> set[str]:
        """Invariants that are broken."""
        if message.reason_spec.correction:
            return set()  # the model does not know corrections; test_corrections.py and test_races.py do
        verdict = snapshot.verdicts.get(message.key)
        if verdict is None:
            return {"it was not claimed"}
        category, erased_at = CATEGORIES[message.reason], self.model.erased.get(message.contact, NEVER)
        arrivals = [event.arrived_at for event in self.model.events[message.subject]]
        before = [
            sent_at
            for sent, sent_at in self.sends
            if (sent.contact, CATEGORIES[sent.reason]) == (message.contact, category) and sent_at > erased_at
        ]
        greeted = [sent.subject.id for sent, _ in self.sends if sent.contact == message.contact]
        restarts = self.model.restarts[message.contact]
        broken = {
            "its snapshot was too old": now - snapshot.read_at > timedelta(seconds=2),
            f"its snapshot should have led to {verdict.rule}": verdict.rule is not None,
            "its window was closed, or it was of no use any more": now >= verdict.ends,
            "it was quiet": is_quiet(verdict.hours, verdict.zone, now),
            "the appointment had begun": message.reason == "appointment_reminder" and now >= (message.anchor_at or now),
            "it was not due": category != "reply" and now < message.due_at,
            "it was asked for before the erasure": any(arrivals) and max(arrivals) <= erased_at < snapshot.read_at,
            "the person had not come back": message.reason == "welcome_back" and message.subject.id not in restarts,
            "the person was greeted already": message.reason == "welcome_back" and message.subject.id in greeted,
        }
        for cap in self.world.policy.caps.get(category, ()):
            full = sum(sent_at > now - cap.period for sent_at in before) >= cap.limit
            broken |= {f"more than {cap}": full}
        return {why for why, holds in broken.items() if holds}

    def _check_decisions(
        self, name: str, call_name: str, before: Mapping[MessageKey, ScheduledMessage], actor: object, started: datetime
    ) -> None:
        """A message that was just skipped or held has the rule that the model names, and the end of its hold."""
        for row in self.world.store.rows():
            was = before.get(row.key)
            if row == was or row.state not in (State.SKIPPED, State.SCHEDULED) or _is_left_out(row, was):
                continue
            if row.state is State.SKIPPED and was and was.state is State.SKIPPED and was.version == row.version:
                continue
            entry: object
            expected: object
            if call_name == "write_plan":
                arrived_at = actor.arrived_at if isinstance(actor, BusinessEvent) else started
                earliest = max(arrived_at, started - 15 * MINUTE)
                in_time = row.valid_until > earliest if row.reason_spec.send_if_late else row.due_at >= earliest
                entry, expected = row.rule, None if in_time else "too_late"
                if row.state is State.SCHEDULED:
                    continue
            elif row.state is State.SKIPPED:
                entry, expected = row.rule, self.snapshots[name].verdicts[row.key].rule
            elif was and was.attempts == row.attempts and was.version == row.version:
                verdict = self.snapshots[name].verdicts[row.key]
                entry, expected = (row.rule, row.due_at), (verdict.rule, verdict.until)
            elif self.undisturbed and was and was.version == row.version:
                entry, expected = "later, after a try that failed", self.snapshots[name].verdicts[row.key].rule
            else:
                continue
            if entry != expected:
                self.violations.append(f"{row.key.sk}: the policy said {entry}, not {expected}")


def _is_left_out(row: ScheduledMessage, was: ScheduledMessage | None) -> bool:
    """Return whether the model does not know the row: a correction, a move before the night or back from it.

    So is a row that was claimed for the text of another message, and put back as it was.
    """
    if row.reason_spec.correction:
        return True
    if was is None or row.state is not State.SCHEDULED or was.attempts != row.attempts:
        return False
    is_back_at_its_time = was.planned_due_at is not None and row.planned_due_at is None
    is_put_back = was.state is State.SENDING and (was.rule, was.due_at) == (row.rule, row.due_at)
    return row.rule is None or is_back_at_its_time or is_put_back


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,  # the same histories for everyone; more of them: --hypothesis-seed, and this line out
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
