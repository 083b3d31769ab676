"""Histories of weeks, drawn at random, against what always holds (CONTRACT.md).

Events come shuffled, twice and late; people write; runs, planners and TTL are stepped among each other; anything
may die, or lose an answer, at any call; clocks stop just before, at and just after each edge. The model beside
this file says what may be sent.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.message import MessageKey, ScheduledMessage, State
from reengage.domain.subject import BusinessEvent
from reengage.ports import NotDelivered, OutboundMessage, Outcome, Refused, Unknown
from reengage.usecases.record_delivery import Status
from tests.fakes import ANNA, CLAIM_LASTS, Around, Fault, Unreachable, World, business, inbound, receipt
from tests.property.model import DAYS_30, FOLLOW_UPS, OFFSETS, Model
from tests.property.schedules import Body, Option, play

BEGIN = datetime(2026, 10, 1, 12, tzinfo=UTC)
"""Clocks in Berlin go back on the 25th."""

CONTACTS = (ANNA, Contact("acme-dental", "whatsapp", "+16502530000"))
SHARDS = tuple(sorted({contact.shard for contact in CONTACTS}))
APPOINTMENTS = ("AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled")
TRIALS = ("TrialStarted", "TrialExtended", "TrialConverted")
MINUTE = timedelta(minutes=1)
FINAL = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED, State.FAILED, State.UNCONFIRMED})


@dataclass(frozen=True)
class Gate:
    """A run's last look: when it asked, and which rule stopped each row when it had the answer."""

    asked_at: datetime
    rules: Mapping[MessageKey, str | None]


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, and in which order things happen; where a list ends, it begins again."""

    order: Sequence[int]
    pauses: Sequence[float]
    deaths: int
    lost: int
    """Which call of the first actor fails, if it has so many; 0 for none."""
    lost_after: bool
    answer: Outcome | Exception | None = None
    """What the provider answers first; ``None``: it accepts."""


TROUBLE = st.builds(
    Trouble,
    order=st.lists(st.integers(0, 9), min_size=1, max_size=16),
    pauses=st.lists(st.sampled_from([0, 0, 0, 0.4, 1.1, 2.5]), min_size=1, max_size=6),
    deaths=st.sampled_from([0, 0, 1]),
    lost=st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    lost_after=st.booleans(),
    answer=st.sampled_from(
        [None, None, None, NotDelivered("Throttled"), Refused("no"), Unknown("who knows"), Unreachable("lost")]
    ),
)

CALM = Trouble([0], [0], deaths=0, lost=0, lost_after=False)
SHORT = st.sampled_from([timedelta(), timedelta(microseconds=1), timedelta(seconds=1), MINUTE])
AGES = st.sampled_from(
    [
        timedelta(hours=-1),
        timedelta(),
        timedelta(seconds=1),
        timedelta(days=3),
        timedelta(days=29),
        DAYS_30,
        DAYS_30 * 2,
    ]
)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.clock.now = BEGIN
        self.model = Model()
        self.gates: dict[str, Gate] = {}
        self.claims: dict[str, str] = {}
        self.violations: list[str] = []
        self.said: list[tuple[datetime, BusinessEvent]] = []
        self.written: list[InboundMessage] = []
        self.retries: list[BusinessEvent | InboundMessage] = []
        self.deleted: dict[MessageKey, ScheduledMessage] = {}
        self.ended: dict[MessageKey, State] = {}

    # What happens

    @initialize(known=st.sampled_from([CONTACTS, CONTACTS[:1], ()]))
    def people_have_written(self, known: Sequence[Contact]) -> None:
        for contact in known:
            self.person_writes(contact, timedelta(days=3), timedelta(), CALM)
            starts = BEGIN + timedelta(days=1)
            event = business("AppointmentBooked", BEGIN, subject_id="1", contact=contact, starts_at=starts)
            self.said.append((self.world.clock.now, event))
            self._play(CALM, event)

    @rule(
        what=st.sampled_from(APPOINTMENTS[:2] * 2 + TRIALS[:2] + APPOINTMENTS[2:] + TRIALS[2:]),
        number=st.sampled_from(["1", "2"]),
        contact=st.sampled_from([ANNA, *CONTACTS, None]),
        age=st.timedeltas(timedelta(), timedelta(days=2)),
        whole=st.booleans(),
        ahead=st.sampled_from([timedelta(hours=3), timedelta(days=1), timedelta(days=2), timedelta(days=8), DAYS_30]),
        steps=st.none() | st.lists(st.sampled_from(range(5)), max_size=3, unique=True),
        trouble=TROUBLE,
        busy=st.booleans(),
    )
    def business_event(
        self,
        *,
        what: str,
        number: str,
        contact: Contact | None,
        age: timedelta,
        whole: bool,
        ahead: timedelta,
        steps: list[int] | None,
        trouble: Trouble,
        busy: bool,
    ) -> None:
        """Something was said; by a system whose clock shows whole seconds, or not; while a run is at work, or not."""
        occurred_at = self.world.clock.now - age
        if whole:
            occurred_at = occurred_at.replace(microsecond=0)
        anchor = self.world.clock.now.replace(hour=12, minute=0, second=0, microsecond=0) + ahead
        fields: dict[str, Any] = {}
        if what in APPOINTMENTS[:2]:
            fields = {"starts_at": anchor, "timezone": "Europe/Berlin"}
            if steps is not None:
                fields["remind_before"] = [list(OFFSETS)[step] for step in steps]
        elif what in TRIALS[:2]:
            fields = {"ends_at": anchor, "timezone": "Europe/Berlin", "product": "Pro"}
            if steps is not None:
                fields["follow_up"] = [list(FOLLOW_UPS)[step] for step in steps if step < len(FOLLOW_UPS)]
        event = business(what, occurred_at, subject_id=number, contact=contact, **fields)
        self.said.append((self.world.clock.now, event))
        self._play(trouble, event, *(("run",) if busy else ()))

    @precondition(lambda self: self._recent())
    @rule(which=st.integers(0, 99), trouble=TROUBLE)
    def business_event_again(self, which: int, trouble: Trouble) -> None:
        self._play(trouble, self._one(which), "run")

    @precondition(lambda self: self._recent())
    @rule(which=st.integers(0, 99), other=st.integers(0, 99), trouble=TROUBLE)
    def two_planners(self, which: int, other: int, trouble: Trouble) -> None:
        self._play(trouble, self._one(which), self._one(other))

    @rule(contact=st.sampled_from(CONTACTS), age=AGES, near=SHORT, trouble=TROUBLE)
    def person_writes(self, contact: Contact, age: timedelta, near: timedelta, trouble: Trouble) -> None:
        sent_at = self.world.clock.now - age + near
        message = inbound(sent_at, contact=contact, message_id=f"m{len(self.written)}")
        self.written.append(message)
        self._play(trouble, message, "run")

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0, 99), trouble=TROUBLE)
    def message_again(self, which: int, trouble: Trouble) -> None:
        self._play(trouble, self.written[which % len(self.written)])

    @precondition(lambda self: self.retries)
    @rule(trouble=TROUBLE)
    def lambda_retries(self, trouble: Trouble) -> None:
        self._play(trouble, self.retries.pop(0), "run")

    @rule(trouble=TROUBLE, actors=st.sampled_from([("run",), ("run", "other run"), ("run", "ttl"), ("ttl",)]))
    def tick(self, trouble: Trouble, actors: tuple[str, ...]) -> None:
        self._play(trouble, *actors)

    @precondition(lambda self: self.world.provider.handed)
    @rule(which=st.integers(0, 99), status=st.sampled_from(["sent", "delivered", "undelivered"]))
    def provider_reports(self, which: int, status: Status) -> None:
        handed = self.world.provider.handed
        outbound = handed[which % len(handed)]
        if self.world.store.find_message(outbound.message.contact, outbound.message.scheduled_message_id):
            self.world.report(receipt(outbound, status))

    @rule(which=st.integers(0, 99), near=SHORT, past=st.booleans(), trouble=TROUBLE, runs=st.integers(0, 2))
    def time_comes_to_an_edge(self, which: int, near: timedelta, past: bool, trouble: Trouble, runs: int) -> None:
        """To a due time, an appointment, a window's or a claim's end; or just before or after it. Then a run or two."""
        edges = [edge for row in self.world.store.rows() for edge in (row.due_at, row.useful_until)]
        edges += [sent_at + DAYS_30 for sent in self.model.windows.values() for sent_at in sent]
        edges += [row.claimed_at + CLAIM_LASTS for row in self.world.store.rows() if row.claimed_at]
        ahead = sorted({edge for edge in edges if edge > self.world.clock.now})
        if ahead:
            self._time_goes_on(ahead[which % min(len(ahead), 4)] + (near if past else -near))
        self._play(trouble, *("run", "other run")[:runs])

    @precondition(lambda self: any(row.state is State.SCHEDULED for row in self.world.store.rows()))
    @rule(late=SHORT, trouble=TROUBLE, runs=st.integers(1, 2), which=st.integers(0, 99), says=st.booleans())
    def a_message_falls_due(self, *, late: timedelta, trouble: Trouble, runs: int, which: int, says: bool) -> None:
        """And a run or two find it; just then an event may come again."""
        due = min(row.due_at for row in self.world.store.rows() if row.state is State.SCHEDULED)
        self._time_goes_on(due + late)
        again = (self._one(which),) if says and self._recent() else ()
        self._play(trouble, *("run", "other run")[:runs], *again)

    @rule(hours=st.sampled_from([0.05, 1, 24, 24 * 9]))
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
        assert not self.violations, self.violations
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

    def teardown(self) -> None:
        """Nothing goes wrong any more, and time goes on, until there is nothing left to do."""
        self._retry_all()
        for _ in range(200):
            self._play(CALM, "run")
            waiting = [row for row in self.world.store.rows() if row.state in (State.SCHEDULED, State.SENDING)]
            if not waiting:
                break
            nearest = min(row.due_at for row in waiting)
            self.world.clock.now = max(self.world.clock.now + MINUTE, nearest)
        self.holds()
        rows = self.deleted | {row.key: row for row in self.world.store.rows()}
        for row in rows.values():
            assert row.state not in (State.SCHEDULED, State.SENDING), f"{row} was left"
            assert row.state is not State.SKIPPED or row.rule, f"{row} says no reason"
        for ref in self.model.events:
            for key in self.model.known(ref).wanted:
                assert key in rows, f"{key.sk} was never planned"
                assert rows[key].rule not in ("superseded", "cancelled"), f"{rows[key]} is wanted after all"

    # The machinery

    def _recent(self) -> list[BusinessEvent]:
        """What may come again: no queue and no archive keeps an event for longer."""
        return [event for said_at, event in self.said if self.world.clock.now < said_at + DAYS_30]

    def _one(self, which: int) -> BusinessEvent:
        recent = self._recent()
        return recent[which % len(recent)]

    def _retry_all(self) -> None:
        while self.retries:
            self._play(CALM, "run")
            self._play(CALM, self.retries.pop(0))
            self.world.clock.forward(minutes=1)

    def _taken(self) -> list[OutboundMessage]:
        """What a provider may have taken: all that it did not surely refuse."""
        return [
            outbound
            for outbound, answer in zip(self.world.provider.handed, self.world.provider.answers, strict=True)
            if not isinstance(answer, NotDelivered)
        ]

    def _play(self, trouble: Trouble, *actors: str | BusinessEvent | InboundMessage) -> None:
        """The actors at once, in that order and with that trouble; what failed of them comes again later."""
        self.world.provider.script.clear()
        if trouble.answer is not None:
            self.world.provider.script.append(trouble.answer)
        fault = Fault(Unreachable, trouble.lost, trouble.lost_after)
        bodies: dict[str, Body] = {}
        inputs: dict[str, BusinessEvent | InboundMessage] = {}
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
            if name in inputs:
                self.retries.append(inputs[name])

    def _body(
        self, name: str, actor: str | BusinessEvent | InboundMessage, trouble: Trouble, fault: Fault | None
    ) -> Body:
        def body(around: Around) -> None:
            watched = self._watch(name, actor, around, fault, trouble.pauses)
            match actor:
                case BusinessEvent():
                    self.world.hear(actor, watched)
                case InboundMessage():
                    self.world.receive(actor, watched)
                case "ttl":
                    around("ttl", self._ttl)
                case _:
                    self._run(name, watched)

        return body

    def _run(self, name: str, watched: Around) -> None:
        for door in ("appointments", "trials"):
            sender = self.world.sender(door, watched)

            def new_id(made: Callable[[], str] = sender.new_id) -> str:
                self.claims[name] = made()
                return self.claims[name]

            for shard in SHARDS:
                replace(sender, new_id=new_id)._drain(shard, self.world.clock.now + MINUTE)

    def _ttl(self) -> None:
        """Deletes what has expired; of the rows only those that are done, for ticks come every minute."""
        rows = dict(self.world.store._rows)
        self.world.store.expire(self.world.clock.now)
        for key in rows.keys() - self.world.store._rows.keys():
            if rows[key].message.state in (State.SCHEDULED, State.SENDING):
                self.world.store._rows[key] = rows[key]
            else:
                self.deleted[key] = rows[key].message

    def _watch(self, name: str, actor: object, around: Around, fault: Fault | None, pauses: Sequence[float]) -> Around:
        """Sees each call at the moment at which it is made; time passes after it."""
        started = self.world.clock.now
        made = iter(range(1_000_000))

        def pass_time() -> None:
            self.world.clock.now += timedelta(seconds=pauses[next(made) % len(pauses)])

        def watched(call_name: str, call: Callable[[], Any]) -> Any:
            looked_at = self.world.clock.now  # when the code last saw the clock: others may act before the call

            def seen() -> Any:
                before = {row.key: row for row in self.world.store.rows()}
                if call_name == "send":
                    self._check_hand_over(name, before.values(), looked_at)
                answer = call()
                pass_time()
                match actor:
                    case BusinessEvent() if answer and call_name == "write_subject":
                        self.model.events[actor.subject].append(actor)
                    case InboundMessage() if answer and call_name in ("write_conversation", "write_profile"):
                        self.model.heard_from.add(actor.contact)
                        if call_name == "write_conversation":
                            self.model.windows[actor.contact].append(min(actor.sent_at, started))
                if call_name == "read_circumstances":
                    now = self.world.clock.now
                    self.gates[name] = Gate(looked_at, {k: self.model.rule(row, now) for k, row in before.items()})
                if call_name in ("settle", "write_plan"):
                    self._check_skips(name, call_name, before, started)
                return answer

            return around(call_name, (lambda: fault(call_name, seen)) if fault else seen)

        return watched

    def _check_hand_over(self, name: str, rows: Any, now: datetime) -> None:
        (row,) = [row for row in rows if row.claim_id == self.claims[name]]
        gate = self.gates[name]
        wanted = self.model.known(row.subject).wanted.get(row.key)
        until = wanted.useful_until if wanted else row.useful_until
        broken = {
            "its gate was too old": now - gate.asked_at > timedelta(seconds=2),
            f"its gate should have said {gate.rules[row.key]}": gate.rules[row.key],
            "the window was closed": not self.model.is_open(row.contact, now),
            "it was of no use any more": now >= until,
            "the appointment had begun": row.reason == "appointment_reminder" and now >= row.about,
            "it was not due": now < row.due_at,
        }
        self.violations += [f"{row.key.sk} handed over at {now}: {why}" for why, holds in broken.items() if holds]

    def _check_skips(
        self, name: str, call_name: str, before: Mapping[MessageKey, ScheduledMessage], started: datetime
    ) -> None:
        """What was just skipped was skipped by the rule that the model names."""
        for row in self.world.store.rows():
            was = before.get(row.key)
            if row.state is not State.SKIPPED or (was and was.state is State.SKIPPED and was.version == row.version):
                continue
            planned = "too_late" if row.due_at < started else None
            expected = planned if call_name == "write_plan" else self.gates[name].rules[row.key]
            if row.rule != expected:
                self.violations.append(f"{row.key.sk} skipped by {row.rule}, not by {expected}")


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=200,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,  # the same histories for everyone; more of them: --hypothesis-seed, and this line out
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
