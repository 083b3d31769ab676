"""Judge a history by a small model of the guarantees, which uses nothing of the product's policy.

An event counts for sure if it was processed before the read that a handover rests on. It counts perhaps if its
processing began before the handover. A handover is wrong only if no choice among the uncertain events makes it right.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import combinations
from typing import Any, Final, NamedTuple

from reengage.domain.instants import parse_instant
from tests.simulation.faults.run import Handover, History
from tests.simulation.faults.stories import ZONE, Line

WINDOW: Final = timedelta(days=30)
FRESH: Final = timedelta(seconds=2)
"""A provider's call starts within this of the read that it rests on."""

SENT: Final = frozenset({"sent", "delivered", "undelivered", "unconfirmed"})
"""The outcomes of a message that a provider took, or may have taken."""

ENDED: Final = SENT | {"skipped", "failed"}
QUIET_FROM, QUIET_TO = time(21), time(8)
RANKS: Final = {"AppointmentBooked": 0, "AppointmentRescheduled": 1, "AppointmentCancelled": 2}
OFFSETS: Final = {"P1D": timedelta(days=1), "PT2H": timedelta(hours=2)}
UNDISTURBED: Final = timedelta(minutes=15)
MOST_UNSURE: Final = 6


class Violation(NamedTuple):
    """``code`` is the guarantee's name."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """What some of a story's events come to."""

    lines: Sequence[Line]

    def of(self, address: str) -> Iterator[Line]:
        """The events that name this contact."""
        return (line for line in self.lines if line["detail"].get("contact", {}).get("address") == address)

    def erased_at(self, address: str) -> datetime:
        erasures = (parse_instant(line["time"]) for line in self.of(address) if line["detail-type"] == "ContactErased")
        return max(erasures, default=datetime.min.replace(tzinfo=UTC))

    def window_is_open(self, address: str, at: datetime) -> bool:
        sent = [_made_at(line) for line in self.of(address) if line["detail-type"] == "MessageReceived"]
        return any(self.erased_at(address) < instant and at < instant + WINDOW for instant in sent)

    def opted_out(self, address: str) -> bool:
        """The latest choice counts; at one instant, the opt-out."""
        choices = [
            (_made_at(line), wants_none) for line in self.of(address) if (wants_none := _choice(line)) is not None
        ]
        return max(choices, default=(None, False))[1]

    def is_paused(self) -> bool:
        pauses = [
            (parse_instant(line["time"]), line["detail-type"] == "SendingPaused")
            for line in self.lines
            if line["detail-type"] in ("SendingPaused", "SendingResumed")
        ]
        return max(pauses, default=(None, False))[1]

    def starts_at(self, appointment_id: str, address: str) -> datetime | None:
        """When the appointment starts; ``None`` if it is cancelled, or not known."""
        newest: tuple[Any, ...] = ()
        for number, line in enumerate(self.lines):
            detail = line["detail"]
            if line["detail-type"] not in RANKS or detail["appointment_id"] != appointment_id:
                continue
            at = parse_instant(line["time"])
            if at > self.erased_at(address):
                newest = max(newest, (at, RANKS[line["detail-type"]], number, detail.get("starts_at")))
        return parse_instant(newest[3]) if newest and newest[3] else None


def _made_at(line: Line) -> datetime:
    """When the contact wrote a message, or else when the event came."""
    return parse_instant(line["detail"].get("sent_at", line["time"]))


def _choice(line: Line) -> bool | None:
    """Whether the event is an opt-out; ``None`` if it is no choice."""
    if line["detail-type"] == "ContactOptedOut":
        return True
    return {"STOP": True, "START": False}.get(line["detail"].get("text", ""))


def violations(history: History) -> list[Violation]:
    return [
        *_events(history),
        *_once(history),
        *(found for handover in history.handovers for found in _handover(history, handover)),
        *_outcomes(history),
        *_erasures(history),
        *_liveness(history),
    ]


def _events(history: History) -> Iterator[Violation]:
    for line in history.lines:
        if line["id"] not in history.done:
            yield Violation("no_loss", f"{line['id']} {line['detail-type']} was never processed")


def _once(history: History) -> Iterator[Violation]:
    taken: dict[Any, list[datetime]] = defaultdict(list)
    for handover in history.handovers:
        taken[handover.message.key].append(handover.at)
    for key, instants in taken.items():
        if len(instants) > 1:
            yield Violation("at_most_once", f"{key.sk} was handed over at {', '.join(map(str, instants))}")


def _handover(history: History, handover: Handover) -> Iterator[Violation]:
    message, at = handover.message, handover.at
    name = f"{message.reason} {message.subject.id} {message.offset} at {at}"
    if at - handover.read_at > FRESH:
        yield Violation("fresh_decision", f"{name}: read at {handover.read_at}")
    sure = [line for line in history.lines if _is_before(history.done.get(line["id"]), handover.read_call)]
    begun = [line for line in history.lines if _is_before(history.started.get(line["id"]), handover.call)]
    unsure = [line for line in begun if line not in sure]
    wrong = [_wrong(State([*sure, *some]), handover) for some in _choices(unsure)]
    if all(wrong):
        yield Violation(min(wrong[0]), f"{name}: {', '.join(sorted(wrong[0]))}")
    local = at.astimezone(ZONE).time()
    if message.reason_spec.category == "utility" and (local >= QUIET_FROM or local < QUIET_TO):
        yield Violation("quiet_hours", f"{name}: it is {local} there")
    if message.reason == "appointment_reminder" and message.anchor_at and at >= message.anchor_at:
        yield Violation("validity", f"{name}: the appointment has started")


def _is_before(point: tuple[datetime, int] | None, call: int) -> bool:
    return point is not None and point[1] <= call


def _choices(unsure: Sequence[Line]) -> Iterable[Sequence[Line]]:
    if len(unsure) > MOST_UNSURE:
        return [(), unsure, *([line] for line in unsure)]
    return (some for size in range(len(unsure) + 1) for some in combinations(unsure, size))


def _wrong(state: State, handover: Handover) -> set[str]:
    """Which guarantees the handover breaks, if this is what was stored."""
    message, address = handover.message, handover.message.contact.address
    broken = set()
    if message.reason_spec.category != "reply" and not state.window_is_open(address, handover.at):
        broken.add("window")
    if state.opted_out(address):
        broken.add("opt_out")
    if state.is_paused():
        broken.add("pause")
    if message.reason == "appointment_reminder" and (
        state.starts_at(message.subject.id, address) != message.anchor_at or message.offset not in OFFSETS
    ):
        broken.add("newest_version")
    return broken


def _outcomes(history: History) -> Iterator[Violation]:
    """Every row has ended, and one that was handed over as such."""
    taken = {handover.message.key for handover in history.handovers}
    ids = {handover.message.scheduled_message_id for handover in history.handovers}
    for row in history.rows:
        name = f"{row.reason} {row.subject.id} {row.offset} is {row.state} ({row.rule})"
        if row.state not in ENDED:
            yield Violation("one_outcome", f"{name} at the end")
        elif row.scheduled_message_id in ids and row.state not in SENT:
            yield Violation("one_outcome", f"{name}, and was handed over")
        elif row.key not in taken and row.state in SENT - {"unconfirmed"}:
            yield Violation("one_outcome", f"{name}, and was not handed over")


def _erasures(history: History) -> Iterator[Violation]:
    """If nothing came in after an erasure, nothing names the address."""
    last: dict[str, tuple[datetime, datetime, bool]] = {}
    for line in history.lines:
        address = line["detail"].get("contact", {}).get("address")
        if address and line["id"] in history.done:
            at = (parse_instant(line["time"]), history.done[line["id"]][0], line["detail-type"] == "ContactErased")
            last[address] = max(last.get(address, at), at)
    store = history.store
    kept = [store._profiles, store._conversations, store._messages, store._subjects, store._rows, store._links]
    for address, (_, erased_at, is_erasure) in last.items():
        others = [
            history.done[line["id"]][0]
            for line in history.lines
            if line["id"] in history.done and line["detail-type"] != "ContactErased" and _may_name(line, address)
        ]
        if is_erasure and all(done < erased_at for done in others) and any(address in repr(items) for items in kept):
            yield Violation("privacy", f"an address is stored after its erasure at {erased_at}")


def _may_name(line: Mapping[str, Any], address: str) -> bool:
    return bool(line["detail"].get("contact", {}).get("address", address) == address)


def _liveness(history: History) -> Iterator[Violation]:
    """What nothing hindered was sent when it was due."""
    whole = State(history.lines)
    booked = {
        (line["detail"]["appointment_id"], line["detail"]["contact"]["address"])
        for line in history.lines
        if line["detail-type"] == "AppointmentBooked"
    }
    taken = {(one.message.subject.id, one.message.anchor_at, one.message.offset): one.at for one in history.handovers}
    for appointment_id, address in sorted(booked):
        starts_at = whole.starts_at(appointment_id, address)
        for offset, due_at in _dues(starts_at):
            if not _is_undisturbed(history, due_at, whole, address):
                continue
            sent_at = taken.get((appointment_id, starts_at, offset))
            if sent_at is None or sent_at > due_at + timedelta(minutes=1):
                yield Violation("liveness", f"{appointment_id} {offset} was due at {due_at}, and sent at {sent_at}")


def _dues(starts_at: datetime | None) -> Iterator[tuple[str, datetime]]:
    if starts_at is not None:
        local = starts_at.astimezone(ZONE)
        yield "P1D", (local - timedelta(days=1)).astimezone(UTC)
        yield "PT2H", starts_at.astimezone(UTC) - timedelta(hours=2)


def _is_undisturbed(history: History, due_at: datetime, whole: State, address: str) -> bool:
    """Whether all events and faults were over some time before, and the contact may be written to in that hour."""
    calm_from = due_at - UNDISTURBED
    if any(at > calm_from for at, _ in history.done.values()) or any(at > calm_from for at, _, _ in history.faults):
        return False
    local = due_at.astimezone(ZONE).time()
    is_quiet = local >= QUIET_FROM or local < QUIET_TO
    return whole.window_is_open(address, due_at) and not (is_quiet or whole.opted_out(address) or whole.is_paused())
