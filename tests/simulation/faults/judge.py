"""Judge a history by the model: what was handed over, the outcome of each message, and what was lost.

A handover is wrong only if no choice among the uncertain events makes it right.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import Call, Handover, History, place_of
from tests.simulation.faults import model
from tests.simulation.faults.case import ONE_EACH, Case, Violation, is_by
from tests.simulation.faults.liveness import MERGED_WITHIN, liveness, unhindered
from tests.simulation.faults.model import CATEGORIES, NEVER, View, Wanted, at_of, made_at
from tests.simulation.faults.stories import Line, caps_of

FRESH: Final = timedelta(seconds=2)
"""A provider's call starts within this of the read that it rests on."""

SENT: Final = frozenset({"sent", "delivered", "undelivered", "unconfirmed"})
"""The outcomes of a message that a provider took, or may have taken."""

ENDED: Final = SENT | {"skipped", "failed"}
NOT_PLANNED_BY_EVENTS: Final = frozenset({"welcome_back", "help_reply", "answer_reply"})
MINUTE: Final = timedelta(minutes=1)


class Verdict(NamedTuple):
    """What is wrong, and how much was judged: handovers, messages that nothing hindered, and messages planned."""

    violations: list[Violation]
    handovers: int
    unhindered: int
    due: int


def judge(lines: Sequence[Line], history: History) -> Verdict:
    case = Case(lines, history)
    expected = list(unhindered(case))
    found = [
        *_events(case),
        *_once(case),
        *(violation for handover in history.handovers for violation in _handover(case, handover)),
        *_caps(case),
        *_outcomes(case),
        *_lost_rows(case),
        *_erasures(case),
        *_published(case),
        *liveness(case, expected),
    ]
    return Verdict(found, len(history.handovers), len(expected), len(history.planned))


def _events(case: Case) -> Iterator[Violation]:
    for line in case.events:
        if line["id"] not in case.history.done:
            yield Violation("no_loss", f"{line['id']} {line['detail-type']} was never processed")


def _logical(message: ScheduledMessage) -> tuple[object, ...]:
    """What the person would take for the same message."""
    once = message.reason in ONE_EACH
    return (message.contact, message.reason, message.subject.id, message.offset, None if once else message.anchor_at)


def _once(case: Case) -> Iterator[Violation]:
    taken: dict[tuple[object, datetime], list[datetime]] = defaultdict(list)
    for handover in case.history.handovers:
        erased = case.erased_at(handover.message.contact.address, _before(case, handover.read))
        names: tuple[object, object] = (handover.message.key, _logical(handover.message))
        for name in names:
            taken[name, erased].append(handover.call.at)
    for (same, _), instants in taken.items():
        if len(instants) > 1:
            yield Violation("at_most_once", f"{same} was handed over at {', '.join(map(str, instants))}")


def _before(case: Case, call: Call) -> list[Line]:
    return [line for line in case.events if is_by(case.history.started.get(line["id"]), call.number)]


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
    elif at + skew < _earliest(wanted, message, view) - (MERGED_WITHIN if handover.is_merged else timedelta()):
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
        if handover.is_merged:
            continue  # a text counts once, however many messages it names
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
    """Whether the view gives the row's rule a cause."""
    wanted = view.wanted(row.reason, row.subject.id, row.offset)
    is_changed = wanted is None or wanted.anchor_at != row.anchor_at or row.reason in ONE_EACH
    causes = {
        "superseded": is_changed,
        "cancelled": is_changed,
        "erased": view.erased_at > NEVER,
        "opted_out": view.opted_out(),
        "window_closed": not view.window_is_open(at + skew),
        "no_conversation": view.last_inbound_at == NEVER,
        "too_late": wanted is None or at + skew >= min(wanted.valid_until, wanted.due_at),
        "no_consent": view.consents() != {True},
    }
    return causes.get(row.rule or "", False)


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


def _published(case: Case) -> Iterator[Violation]:
    """The bus has ``MessagePlanned``, or the skip, of each message that an event planned, and the outcome of each."""
    named = {
        event.detail["scheduled_message_id"]
        for _, event in case.history.events
        if "scheduled_message_id" in event.detail
    }
    outcomes = {(event.detail.get("scheduled_message_id"), event.type) for _, event in case.history.events}
    for row in case.history.rows:
        if row.reason in NOT_PLANNED_BY_EVENTS or case.erasures(row.contact.address):
            continue
        if row.scheduled_message_id not in named:
            yield Violation("events_out", f"{row.reason} {row.subject.id} {row.offset} is {row.state}: never published")
        elif (row.scheduled_message_id, f"Message{row.state.capitalize()}") not in outcomes:
            yield Violation("events_out", f"{row.reason} {row.subject.id} {row.offset} is {row.state}: no such outcome")
