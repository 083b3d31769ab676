"""Judge a history by the model: what was handed over, what came of each message, and what was lost.

An event counts for sure if it was processed before the read that a handover rests on. It counts perhaps if its
processing began before the handover. A handover is wrong only if no choice among the uncertain events makes it right.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final, NamedTuple

from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.simulation.fault_app import Call, Handover, History, place_of
from tests.simulation.faults import model
from tests.simulation.faults.model import CATEGORIES, NEVER, View, Wanted, address_of, at_of, made_at, subject_of
from tests.simulation.faults.stories import HOUR, Line, caps_of

FRESH: Final = timedelta(seconds=2)
"""A provider's call starts within this of the read that it rests on."""

SENT: Final = frozenset({"sent", "delivered", "undelivered", "unconfirmed"})
"""The outcomes of a message that a provider took, or may have taken."""

ENDED: Final = SENT | {"skipped", "failed"}
ONE_EACH: Final = frozenset({"cart_reminder", "order_shipped", "review_request", "product_preview", "holiday_hours"})
"""Reasons with one message a subject and contact, whatever its instants."""

NOT_PLANNED_BY_EVENTS: Final = frozenset({"welcome_back", "help_reply", "answer_reply"})
BROADCASTS: Final = frozenset({"back_in_stock", "product_preview", "holiday_hours"})
MOST_UNSURE: Final = 6
MINUTE: Final = timedelta(minutes=1)
UNDISTURBED: Final = timedelta(minutes=75)
"""So long before a message is due nothing may happen, if it must be sent then: a retry waits for up to an hour."""


class Violation(NamedTuple):
    """``code`` is the guarantee's name."""

    code: str
    text: str


class Verdict(NamedTuple):
    """``judged``: how many handovers, and how many messages that nothing hindered, were compared with the model."""

    violations: list[Violation]
    handovers: int
    unhindered: int
    due: int


def violations(lines: Sequence[Line], history: History) -> list[Violation]:
    return judge(lines, history).violations


def judge(lines: Sequence[Line], history: History) -> Verdict:
    case = Case(lines, history)
    unhindered = list(_unhindered(case))
    found = [
        *_events(case),
        *_once(case),
        *(violation for handover in history.handovers for violation in _handover(case, handover)),
        *_caps(case),
        *_outcomes(case),
        *_lost_rows(case),
        *_erasures(case),
        *_told(case),
        *_liveness(case, unhindered),
    ]
    return Verdict(found, len(history.handovers), len(unhindered), len({*history.planned}))


@dataclass
class Case:
    """A history with its events by contact and by subject. ``skew``: how far a function's clock was wrong, at most."""

    lines: Sequence[Line]
    history: History
    events: list[Line] = field(init=False)
    of_address: defaultdict[str, list[Line]] = field(init=False)
    of_subject: defaultdict[str, list[Line]] = field(init=False)
    pauses: list[Line] = field(init=False)
    skew: timedelta = field(init=False)
    rows: dict[MessageKey, ScheduledMessage] = field(init=False)

    def __post_init__(self) -> None:
        self.events = [line for line in self.lines if "detail-type" in line]
        self.of_address, self.of_subject = defaultdict(list), defaultdict(list)
        self.pauses = [line for line in self.events if line["detail-type"] in ("SendingPaused", "SendingResumed")]
        for line in self.events:
            if address := address_of(line):
                self.of_address[address].append(line)
            if subject := subject_of(line):
                self.of_subject[subject].append(line)
        skews = [abs(fault.time) for _, fault in self.history.faults if fault.kind == "skew"]
        self.skew = max(skews, default=timedelta())
        self.rows = {row.key: row for row in self.history.rows}

    def relevant(self, address: str, subject: str) -> list[Line]:
        of_subject = [line for line in self.of_subject[subject] if address_of(line) in (None, address)]
        others = [line for line in self.of_address[address] if line not in of_subject]
        return [*of_subject, *others, *self.pauses]

    def erasures(self, address: str) -> list[Line]:
        return [line for line in self.of_address[address] if line["detail-type"] == "ContactErased"]

    def erased_at(self, address: str, lines: Iterable[Line]) -> datetime:
        """Until when the contact was erased, by the erasures among ``lines``: at least until the first one began."""
        started = self.history.started
        ends = (
            started[line["id"]].at
            for line in lines
            if line["detail-type"] == "ContactErased" and address_of(line) == address and line["id"] in started
        )
        return max(ends, default=NEVER)

    def is_perhaps_erased(self, line: Line) -> bool:
        """Whether the event came in while an erasure of its contact ran: then that may have taken it, or not."""
        address, history = address_of(line), self.history
        if address is None or line["detail-type"] == "ContactErased":
            return False
        for erasure in self.erasures(address):
            began, ended = history.started.get(erasure["id"]), history.done.get(erasure["id"])
            if began is None:
                continue
            last = ended.at if ended else datetime.max.replace(tzinfo=began.at.tzinfo)
            if began.at - self.skew <= made_at(line) <= last + (self.skew if ended else timedelta()):
                return True
            if began.at - self.skew <= at_of(line) <= last + (self.skew if ended else timedelta()):
                return True
        return False

    def views(self, address: str, subject: str, sure_by: int, begun_by: int) -> Iterator[View]:
        """Every view that is possible: what is sure, with any choice of what is not."""
        lines = self.relevant(address, subject)
        begun = [line for line in lines if _is_by(self.history.started.get(line["id"]), begun_by)]
        sure = [line for line in begun if _is_by(self.history.done.get(line["id"]), sure_by)]
        sure = [line for line in sure if not self.is_perhaps_erased(line)]
        unsure = [line for line in begun if line not in sure]
        for some in _choices(unsure):
            seen = [*sure, *some]
            yield View(seen, address, self.erased_at(address, seen))


def _is_by(call: Call | None, number: int) -> bool:
    return call is not None and call.number <= number


def _choices(unsure: Sequence[Line]) -> Iterable[Sequence[Line]]:
    if len(unsure) > MOST_UNSURE:
        return [(), unsure, *([line] for line in unsure)]
    return (some for size in range(len(unsure) + 1) for some in combinations(unsure, size))


def _events(case: Case) -> Iterator[Violation]:
    for line in case.events:
        if line["id"] not in case.history.done:
            yield Violation("no_loss", f"{line['id']} {line['detail-type']} was never processed")


def _logical(message: ScheduledMessage) -> tuple[object, ...]:
    """What the person would take for the same message."""
    once = message.reason in ONE_EACH
    return (message.contact, message.reason, message.subject.id, message.offset, None if once else message.anchor_at)


def _once(case: Case) -> Iterator[Violation]:
    for name in (lambda message: message.key, _logical):
        taken: dict[object, list[datetime]] = defaultdict(list)
        for handover in case.history.handovers:
            erased = case.erased_at(handover.message.contact.address, _before(case, handover.read))
            taken[name(handover.message), erased].append(handover.call.at)
        for (key, _), instants in taken.items():
            if len(instants) > 1:
                yield Violation("at_most_once", f"{key} was handed over at {', '.join(map(str, instants))}")


def _before(case: Case, call: Call) -> list[Line]:
    return [line for line in case.events if _is_by(case.history.started.get(line["id"]), call.number)]


def _handover(case: Case, handover: Handover) -> Iterator[Violation]:
    message, at = handover.message, handover.call.at
    name = f"{message.reason} {message.subject.id} {message.offset} to {message.contact.address} at {at}"
    if at - handover.read.at > FRESH:
        yield Violation("fresh_decision", f"{name}: read at {handover.read.at}")
    least: set[str] | None = None
    views = case.views(message.contact.address, message.subject.id, handover.read.number, handover.call.number)
    for view in views:
        wrong = _wrong(view, handover, case.skew)
        if not wrong:
            least = None
            break
        least = wrong if least is None or len(wrong) < len(least) else least
    if least:
        yield Violation(min(least), f"{name}: {', '.join(sorted(least))}")
    category = CATEGORIES[message.reason]
    zone = model.zone_of(message.contact.address)
    if all(model.is_quiet(category, at + shift, zone) for shift in (timedelta(), case.skew, -case.skew)):
        yield Violation("quiet_hours", f"{name}: it is {at.astimezone(zone)} there")


def _wrong(view: View, handover: Handover, skew: timedelta) -> set[str]:
    """Which guarantees the handover breaks, if the view is what was stored."""
    message, at = handover.message, handover.call.at
    reason, category = message.reason, CATEGORIES[message.reason]
    broken = set()
    if category != "reply" and not view.window_is_open(at - skew):
        broken.add("window")
    if view.opted_out():
        broken.add("opt_out")
    if view.is_paused(reason, at - skew):
        broken.add("pause")
    if category == "marketing":
        consents = view.consents()
        if consents == {False} or (reason == "product_preview" and True not in consents):
            broken.add("consent")
        if view.is_in_conversation(at + skew):
            broken.add("in_conversation")
    wanted = view.wanted(reason, message.subject.id, message.offset)
    if wanted is None or (wanted.anchor_at and message.anchor_at != wanted.anchor_at):
        broken.add("newest_version")
    elif at - skew >= wanted.valid_until:
        broken.add("validity")
    elif at + skew < _earliest(wanted, message, view):
        broken.add("not_early")
    return broken


def _earliest(wanted: Wanted, message: ScheduledMessage, view: View) -> datetime:
    """The instant from which it may be sent: when it is due, or before the night that would cost it."""
    category, zone = CATEGORIES[message.reason], model.zone_of(view.address)
    if wanted.anchor_at and model.allowed_from(category, wanted.due_at, zone) >= wanted.valid_until:
        return wanted.anchor_at - model.EARLIEST
    return wanted.due_at


def _caps(case: Case) -> Iterator[Violation]:
    caps = caps_of(case.lines)
    sends: dict[tuple[str, str, datetime], list[datetime]] = defaultdict(list)
    for handover in case.history.handovers:
        address, category = handover.message.contact.address, CATEGORIES[handover.message.reason]
        erased = case.erased_at(address, _before(case, handover.read))
        sends[address, category, erased].append(handover.call.at)
    for (address, category, _), instants in sends.items():
        for limit, period in caps.get(category, ()):
            for first, last in zip(instants, instants[limit:], strict=False):
                if last - first < period - 2 * case.skew:
                    yield Violation("cap", f"{address}: more than {limit} {category} in {period}, from {first}")


def _outcomes(case: Case) -> Iterator[Violation]:
    """Every row has ended, and one that was handed over as such; no outcome is without a cause."""
    history = case.history
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
        elif row.state in ("unconfirmed", "failed") and not _has_cause(case, row):
            yield Violation("one_outcome", f"{name} without a fault")
        elif row.state == "skipped" and not _may_be_skipped(case, row):
            yield Violation("one_outcome", f"{name}, at {row.settled_at}, and the model knows no cause")


def _has_cause(case: Case, row: ScheduledMessage) -> bool:
    """Whether a fault struck the message, or its run, while it was in hand."""
    assert row.claimed_at is not None
    for at, fault in case.history.faults:
        if fault.place.where == place_of(row.key) or row.claimed_at - MINUTE <= at <= row.claimed_at + 3 * MINUTE:
            return True
    return False


def _may_be_skipped(case: Case, row: ScheduledMessage) -> bool:
    """Whether a choice of the events that began before gives the rule a cause."""
    assert row.settled_at is not None
    address, at = row.contact.address, row.settled_at
    held = row.facts.get("held_by")
    if row.rule in ("too_late", "window_closed") and held:
        return True  # what held it is judged by what was sent instead
    begun = [call.number for call in case.history.started.values() if call.at <= at + case.skew]
    sure = [call.number for call in case.history.done.values() if call.at < at - MINUTE - case.skew]
    views = case.views(address, row.subject.id, max(sure, default=0), max(begun, default=0))
    return any(_is_cause(view, row, at, case.skew) for view in views)


def _is_cause(view: View, row: ScheduledMessage, at: datetime, skew: timedelta) -> bool:
    wanted = view.wanted(row.reason, row.subject.id, row.offset)
    match row.rule:
        case "superseded" | "cancelled":
            return wanted is None or wanted.anchor_at != row.anchor_at or row.reason in ONE_EACH
        case "erased":
            return view.erased_at > NEVER
        case "opted_out":
            return view.opted_out()
        case "window_closed":
            return not view.window_is_open(at + skew)
        case "no_conversation":
            return view.last_inbound_at == NEVER
        case "too_late":
            return wanted is None or at + skew >= min(wanted.valid_until, wanted.due_at)
        case "no_consent":
            return view.consents() != {True}
        case _:
            return False


def _lost_rows(case: Case) -> Iterator[Violation]:
    """No planned message disappears: not by TTL before its outcome, and otherwise only by an erasure."""
    history = case.history
    for key, message in history.planned.items():
        if key in case.rows:
            continue
        gone = history.deleted.get(key)
        name = f"{message.reason} {message.subject.id} {message.offset}"
        if gone is not None:
            if gone[1].state not in ENDED:
                yield Violation("one_outcome", f"{name} was deleted at {gone[0]} while it was {gone[1].state}")
        elif not case.erasures(message.contact.address):
            yield Violation("one_outcome", f"{name} has disappeared")


def _erasures(case: Case) -> Iterator[Violation]:
    """If nothing about the contact came in after an erasure, nothing names the address."""
    store = case.history.store
    kept = [store._profiles, store._conversations, store._messages, store._subjects, store._rows, store._links]
    kept += [store._taken, store._audience]
    held: str | None = None
    for address, lines in case.of_address.items():
        erasures = [line for line in lines if line["detail-type"] == "ContactErased"]
        begun = [case.history.started[line["id"]].at for line in erasures if line["id"] in case.history.done]
        if not begun:
            continue
        others = [line for line in lines if line["detail-type"] != "ContactErased"]
        if all(max(at_of(line), made_at(line)) < max(begun) - case.skew for line in others):
            held = held or repr([items for items in kept if items is not store._audience])
            if address in held:
                yield Violation("privacy", f"{address} is stored after its erasure at {max(begun)}")


def _told(case: Case) -> Iterator[Violation]:
    """The bus has ``MessagePlanned``, or the skip, of each message that an event planned."""
    told = {
        event.detail["scheduled_message_id"]
        for _, event in case.history.events
        if "scheduled_message_id" in event.detail
    }
    for row in case.history.rows:
        if row.reason in NOT_PLANNED_BY_EVENTS or case.erasures(row.contact.address):
            continue
        if row.scheduled_message_id not in told:
            yield Violation("events_out", f"{row.reason} {row.subject.id} {row.offset} is {row.state}: never published")


class Unhindered(NamedTuple):
    """A message that nothing hinders. ``strictly``: no fault was near, so it is sent at once."""

    address: str
    reason: str
    subject_id: str
    offset: str
    wanted: Wanted
    strictly: bool


PLANNED: Final = (
    (("AppointmentBooked", "AppointmentRescheduled"), "appointment_reminder", ("P1D", "PT2H")),
    (("TrialStarted", "TrialExtended"), "trial_follow_up", ("-P3D", "P1D")),
    (("CartAbandoned",), "cart_reminder", ("PT4H",)),
    (("ProductViewed",), "product_reminder", ("PT4H",)),
    (("OrderShipped",), "order_shipped", ("PT0S",)),
    (("OrderDelivered",), "review_request", ("P3D",)),
)
"""The events that plan messages of one contact: the reason and its offsets."""


def _unhindered(case: Case) -> Iterator[Unhindered]:
    """Each message that nothing hinders, found by the event that planned it last."""
    for types, reason, offsets in PLANNED:
        for line in case.events:
            address, subject_id = address_of(line), subject_of(line)
            if line["detail-type"] not in types or address is None or subject_id is None:
                continue
            lines = case.relevant(address, subject_id)
            if any(each["id"] not in case.history.done for each in lines):
                continue
            for offset in offsets:
                wanted = View([line], address).wanted(reason, subject_id, offset)
                if wanted and _nothing_hinders(case, lines, line, (reason, subject_id, offset), wanted):
                    yield Unhindered(address, reason, subject_id, offset, wanted, _is_calm(case, wanted.due_at))


def _is_calm(case: Case, due: datetime) -> bool:
    return not any(due - UNDISTURBED <= at <= due + MINUTE for at, _ in case.history.faults)


def _nothing_hinders(
    case: Case, lines: Sequence[Line], planned_by: Line, name: tuple[str, str, str], wanted: Wanted
) -> bool:
    """Whether all events about the contact were over some time before or begin after, and allow the message."""
    (reason, _, _), due, history = name, wanted.due_at, case.history
    address, is_at_once = str(address_of(planned_by)), reason == "order_shipped"
    begins, ends = (due if is_at_once else due - UNDISTURBED), due + MINUTE
    before = [line for line in lines if at_of(line) <= ends]
    around = [line for line in before if line is not planned_by or not is_at_once]
    if any(begins <= at_of(line) or begins < history.done[line["id"]].at for line in around):
        return False
    if history.done[planned_by["id"]].at > ends or any(
        history.started[line["id"]].at <= ends for line in lines if line not in before
    ):
        return False
    if (
        reason in ONE_EACH
        and sum(line["detail-type"] == planned_by["detail-type"] for line in case.of_subject[name[1]]) > 1
    ):
        return False  # the first one may have been sent
    then, category = View(before, address), CATEGORIES[reason]
    if then.wanted(*name) != wanted or any(line["detail-type"] == "ContactErased" for line in before):
        return False
    if any(model.is_quiet(category, at, model.zone_of(address)) for at in (due, due + 5 * MINUTE)):
        return False
    is_allowed = then.window_is_open(due + HOUR) and not then.opted_out() and not then.is_paused(reason, ends)
    agrees = category != "marketing" or False not in then.consents()
    return is_allowed and agrees and not _is_near_cap(case, address, name, due)


def _is_near_cap(case: Case, address: str, name: tuple[str, str, str], due: datetime) -> bool:
    """Whether other messages of the category may fill a cap at that instant."""
    category = CATEGORIES[name[0]]
    others = [
        handover.call.at
        for handover in case.history.handovers
        if handover.message.contact.address == address
        and CATEGORIES[handover.message.reason] == category
        and (handover.message.reason, handover.message.subject.id, handover.message.offset) != name
    ]
    # A message that is unconfirmed keeps its place.
    others += [at for at, fault in case.history.faults if fault.place.where.startswith(address)]
    return any(
        sum(due - period - HOUR <= at <= due + MINUTE for at in others) >= limit
        for limit, period in caps_of(case.lines)[category]
    )


def _liveness(case: Case, unhindered: Iterable[Unhindered]) -> Iterator[Violation]:
    """What nothing hindered was sent when it was due; after a fault, it has an outcome at least."""
    taken: dict[tuple[str, str, str, str], list[datetime]] = defaultdict(list)
    for handover in case.history.handovers:
        message = handover.message
        name = (message.contact.address, message.reason, message.subject.id, message.offset)
        taken[name].append(handover.call.at)
    planned = case.history.planned.values()
    known = {(row.contact.address, row.reason, row.subject.id, row.offset) for row in planned}
    for address, reason, subject_id, offset, wanted, strictly in unhindered:
        name = (address, reason, subject_id, offset)
        last = wanted.due_at + MINUTE if strictly else wanted.valid_until
        if any(wanted.due_at - case.skew <= at <= last + case.skew for at in taken[name]):
            continue
        if not strictly and name in known:
            continue  # its outcome is judged as such
        text = f"{reason} {subject_id} {offset} was due at {wanted.due_at}, and sent at {taken[name]}"
        yield Violation("liveness", text)
