"""Judge a history by the model: what was handed over, the outcome of each message, and what was lost.

A handover is wrong only if no choice among the uncertain events makes it right.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import Call, Handover, History, place_of
from tests.simulation.faults import model
from tests.simulation.faults.case import ONE_EACH, Case, Violation, is_by
from tests.simulation.faults.liveness import MERGED_WITHIN, liveness, unhindered
from tests.simulation.faults.model import CATEGORIES, NEVER, View, at_of, linked, made_at, other_address
from tests.simulation.faults.settings import Line

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
    expected = list(dict.fromkeys(unhindered(case)))
    found = [
        *_events(case),
        *_once(case),
        *(violation for handover in history.handovers for violation in _handover(case, handover)),
        *_caps(case),
        *_outcomes(case),
        *_lost_rows(case),
        *_erasures(case),
        *_published(case),
        *_opt_outs_published(case),
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
    return (message.recipient, message.reason, message.subject.id, message.offset, None if once else message.anchor_at)


def _once(case: Case) -> Iterator[Violation]:
    """No message twice; but one that did not arrive may go to another address of the person, once to each."""
    taken: dict[tuple[object, datetime], list[Handover]] = defaultdict(list)
    fallbacks = Counter(
        event.detail["scheduled_message_id"] for _, event in case.history.events if event.detail.get("falls_back")
    )
    for handover in case.history.handovers:
        message = handover.message
        erased = case.erased_at(case.people[message.contact.address], _before(case, handover.read))
        for name in (message.key, _logical(message)):
            taken[name, erased].append(handover)
    for (same, _), handovers in taken.items():
        addresses = {handover.message.recipient for handover in handovers}
        allowed = 1 + fallbacks[handovers[0].message.scheduled_message_id]
        if len(handovers) > min(allowed, len(addresses)):
            instants = ", ".join(str(handover.call.at) for handover in handovers)
            yield Violation("at_most_once", f"{same} was handed over at {instants}")
    yield from _once_a_person(case)


def _once_a_person(case: Case) -> Iterator[Violation]:
    """The same message, planned for two addresses of a person, goes to one of them, as soon as a link is stored."""
    taken: dict[tuple[object, ...], list[Handover]] = defaultdict(list)
    for handover in case.history.handovers:
        taken[_logical(handover.message)[1:]].append(handover)
    for handovers in taken.values():
        for position, last in enumerate(handovers):
            address = last.message.contact.address
            known = linked(_done_before(case, address, last.read), address) - {address}
            before = [each for each in handovers[:position] if each.message.contact.address in known]
            if any(_may_have_arrived(case, each.message) for each in before):
                same = f"{last.message.reason} {last.message.subject.id} {last.message.offset}"
                yield Violation("at_most_once", f"{same} to {address} at {last.call.at}, and before to {known}")


def _may_have_arrived(case: Case, message: ScheduledMessage) -> bool:
    row = case.rows.get(message.key)
    return row is None or row.state != "undelivered"


def _before(case: Case, call: Call) -> list[Line]:
    return [line for line in case.events if is_by(case.history.started.get(line["id"]), call.number)]


def _handover(case: Case, handover: Handover) -> Iterator[Violation]:
    message, at = handover.message, handover.call.at
    name = f"{message.reason} {message.subject.id} {message.offset} to {message.recipient.address} at {at}"
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
    zone = model.zone_of(message.recipient.address)
    if all(case.settings.is_quiet(category, at + shift, zone) for shift in (timedelta(), case.skew, -case.skew)):
        yield Violation("quiet_hours", f"{name}: it is {at.astimezone(zone)} there")


def _wrong(view: View, handover: Handover, skew: timedelta) -> set[str]:
    """Which guarantees the handover breaks, if the view is what was stored."""
    message, at = handover.message, handover.call.at
    reason = message.reason
    broken = _wrong_address(view, handover, at - skew) if CATEGORIES[reason] != "reply" else set()
    if view.opted_out():
        broken.add("opt_out")
    if view.is_paused(reason, at - skew):
        broken.add("pause")
    if CATEGORIES[reason] == "marketing":
        consents = view.consents()
        is_needed = reason == "product_preview" or view.settings.needs_consent
        if consents == {False} or (is_needed and True not in consents):
            broken.add("consent")
        if view.is_in_conversation(at + skew):
            broken.add("in_conversation")
    wanted = view.wanted(reason, message.subject.id, message.offset)
    if wanted is None or (wanted.anchor_at and message.anchor_at != wanted.anchor_at):
        broken.add("newest_version")
    elif at - skew >= wanted.valid_until:
        broken.add("validity")
    else:
        earliest = view.earliest(reason, message.subject.id, message.offset, wanted)
        if at + skew < earliest - (MERGED_WITHIN if handover.is_merged else timedelta()):
            broken.add("not_early")
    return broken


def _wrong_address(view: View, handover: Handover, at: datetime) -> set[str]:
    """What is wrong with the address that was used."""
    recipient = handover.message.recipient.address
    checks = {
        "not_the_person": recipient not in view.people,
        "window": not view.window_is_open(at, recipient),
        "channel_window": not view.channel_allows(handover.message.reason, at, recipient),
        "left_address": view.has_left(recipient),
    }
    return {name for name, is_wrong in checks.items() if is_wrong}


def _caps(case: Case) -> Iterator[Violation]:
    """The person's messages count, at whichever address; of before the last one's read, by the links of then.

    A correction exceeds a cap if it would be useless by the time that the cap allows it.
    """
    sends: dict[tuple[frozenset[str], str, datetime], list[Handover]] = defaultdict(list)
    times = Counter(handover.message.key for handover in case.history.handovers)
    for handover in case.history.handovers:
        if handover.is_merged or times[handover.message.key] > 1:
            continue  # a text counts once, however many messages it names; and so does one that was tried elsewhere
        people, category = case.people[handover.message.contact.address], CATEGORIES[handover.message.reason]
        erased = case.erased_at(people, _before(case, handover.read))
        sends[people, category, erased].append(handover)
    for (_, category, _), handovers in sends.items():
        for limit, period in case.settings.caps.get(category, ()):
            for position, last in enumerate(handovers):
                address = last.message.contact.address
                known = linked(_done_before(case, address, last.read), address)
                counted = [each.call.at for each in handovers[:position] if each.message.contact.address in known]
                is_over = len(counted) >= limit and last.call.at - counted[-limit] < period - 2 * case.skew
                if is_over and not _is_useless_at(last.message, counted[-limit] + period + FRESH + case.skew):
                    since = counted[-limit]
                    yield Violation("cap", f"{address}: more than {limit} {category} in {period}, from {since}")


def _is_useless_at(message: ScheduledMessage, at: datetime) -> bool:
    return message.reason in model.CORRECTIONS and at >= message.valid_until


def _done_before(case: Case, address: str, call: Call) -> list[Line]:
    """The links of the person that were stored before the call, for certain."""
    return [
        line
        for line in case.of_address[address]
        if other_address(line)
        and is_by(case.history.done.get(line["id"]), call.number)
        and not case.is_perhaps_erased(line)
    ]


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
        elif row.key not in taken and row.state in SENT - {"unconfirmed"} and not _is_refused(case, row):
            yield Violation("one_outcome", f"{name}, and was not handed over")
        elif row.state in ("unconfirmed", "failed") and not _has_cause(case, row):
            yield Violation("one_outcome", f"{name} without a fault")
        elif row.state == "skipped" and not _may_be_skipped(case, row):
            yield Violation("one_outcome", f"{name}, at {row.settled_at}, and the model knows no cause")


def _is_refused(case: Case, row: ScheduledMessage) -> bool:
    """Whether one address refused it, and no other one took it."""
    name = place_of(row.key)
    return row.state == "undelivered" and any(
        fault.kind == "refused" and fault.place.where == name for _, fault in case.history.faults
    )


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
    if row.rule == "superseded" and any(
        is_so(case, row) for is_so in (_has_it_elsewhere, _knows_time, _has_nothing_to_correct)
    ):
        return True
    begun = [call.number for call in case.history.started.values() if call.at <= at + case.skew]
    sure = [call.number for call in case.history.done.values() if call.at < at - MINUTE - case.skew]
    views = case.views(address, row.subject.id, max(sure, default=0), max(begun, default=0))
    return any(_is_cause(view, row, at, case.skew) for view in views)


def _has_it_elsewhere(case: Case, row: ScheduledMessage) -> bool:
    """Whether the person received the same message, planned for an address that is linked by then: at most once."""
    assert row.settled_at is not None
    people = case.linked_by(row.contact.address, row.settled_at)
    return any(
        _logical(other)[1:] == _logical(row)[1:]
        and other.contact != row.contact
        and other.contact.address in people
        and at <= row.settled_at + case.skew
        for at, other in _perhaps_received(case)
    )


def _perhaps_received(case: Case) -> Iterator[tuple[datetime, ScheduledMessage]]:
    """Each message that was handed over, or whose outcome is unknown after a crash, and since when."""
    yield from ((handover.call.at, handover.message) for handover in case.history.handovers)
    unconfirmed = (row for row in case.history.rows if row.state == "unconfirmed")
    yield from ((row.settled_at, row) for row in unconfirmed if row.settled_at)


def _knows_time(case: Case, row: ScheduledMessage) -> bool:
    """Whether the row is a correction, and the person received another message with the time that it names."""
    return row.reason in model.CORRECTIONS and any(each.anchor_at == row.anchor_at for each in _received_of(case, row))


def _has_nothing_to_correct(case: Case, row: ScheduledMessage) -> bool:
    """Whether the row is a correction, and what was in hand as it was planned did not go to the person."""
    return row.reason in model.CORRECTIONS and not any(_received_of(case, row))


def _received_of(case: Case, row: ScheduledMessage) -> Iterator[ScheduledMessage]:
    """Each message about the row's subject that the person perhaps received until the row was settled."""
    assert row.settled_at is not None
    for at, other in _perhaps_received(case):
        is_persons = other.contact.address in case.people[row.contact.address]
        if is_persons and other.subject == row.subject and at <= row.settled_at + case.skew:
            yield other


def _is_cause(view: View, row: ScheduledMessage, at: datetime, skew: timedelta) -> bool:
    """Whether the view gives the row's rule a cause."""
    wanted = view.wanted(row.reason, row.subject.id, row.offset)
    is_changed = wanted is None or wanted.anchor_at != row.anchor_at or row.reason in ONE_EACH
    is_simple = len(view.people) == 1 and view.erased_at == NEVER  # an erasure forgets an opt-in
    causes = {
        "superseded": is_changed,
        "cancelled": is_changed,
        "erased": view.erased_at > NEVER,
        "opted_out": view.opted_out() if is_simple else view.has_ever_opted_out(),
        "window_closed": not view.window_is_open(at + skew) or view.has_left(row.contact.address),
        "no_conversation": view.last_inbound_at() == NEVER,
        "channel_window": not view.channel_allows(row.reason, at + skew, row.contact.address),
        "too_late": wanted is None or at + skew >= min(wanted.valid_until, wanted.due_at),
        "no_consent": view.consents() != {True},
    }
    is_of_address = row.rule in ("window_closed", "no_conversation", "channel_window")
    tried = {contact.address for contact in row.undelivered_to}
    if is_of_address and all(view.reaches(row.reason, at + shift, but=tried) for shift in (skew, -skew)):
        return False
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
    for address, own in case.of_address.items():
        erasures = [line for line in own if line["detail-type"] == "ContactErased"]
        begun = [case.history.started[line["id"]].at for line in erasures if line["id"] in case.history.done]
        lines = [line for each in case.people[address] for line in case.of_address[each]]
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


def _opt_outs_published(case: Case) -> Iterator[Violation]:
    """The bus has the opt-out of each contact who has one address and was out at the end."""
    named = {event.detail["contact"]["address"] for _, event in case.history.events if event.type == "ContactOptedOut"}
    for address, lines in case.of_address.items():
        is_certain = case.people[address] == {address} and not case.erasures(address)
        done = [line for line in lines if line["id"] in case.history.done]
        if is_certain and case.view(address, done).opted_out() and address not in named:
            yield Violation("events_out", f"{address} is opted out: never published")
