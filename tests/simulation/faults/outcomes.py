"""Judge how each message ended: every one has one outcome, and no outcome is without a cause."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import place_of
from tests.simulation.faults.case import ONE_EACH, Case, Violation, contact_name, logical
from tests.simulation.faults.model import View
from tests.simulation.faults.reasons import CORRECTIONS, NEVER

SENT: Final = frozenset({"sent", "delivered", "undelivered", "unconfirmed"})
"""The outcomes of a message that a provider took, or may have taken."""

ENDED: Final = SENT | {"skipped", "failed"}
MINUTE: Final = timedelta(minutes=1)


def outcomes(case: Case) -> Iterator[Violation]:
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
    address, at = contact_name(row.contact), row.settled_at
    held = row.facts.get("held_by")
    if row.rule in ("too_late", "window_closed") and held:
        return True  # what held it is judged by what was sent instead
    if row.rule == "superseded" and any(
        is_so(case, row) for is_so in (_has_it_elsewhere, _knows_time, _has_nothing_to_correct)
    ):
        return True
    begun = [call.number for call in case.history.started.values() if call.at <= at + case.skew]
    sure = [call.number for call in case.history.done.values() if call.at < at - MINUTE - case.skew]
    views = case.views(address, row.subject.id, max(sure, default=0), max(begun, default=0), sure_at=at)
    return any(_is_cause(view, row, at, case.skew) for view in views)


def _has_it_elsewhere(case: Case, row: ScheduledMessage) -> bool:
    """Whether the person received the same message, planned for an address that is linked by then: at most once."""
    assert row.settled_at is not None
    people = case.linked_by(contact_name(row.contact), row.settled_at)
    return any(
        logical(other)[1:] == logical(row)[1:]
        and other.contact != row.contact
        and contact_name(other.contact) in people
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
    return row.reason in CORRECTIONS and any(each.anchor_at == row.anchor_at for each in _received_of(case, row))


def _has_nothing_to_correct(case: Case, row: ScheduledMessage) -> bool:
    """Whether the row is a correction, and what was in hand as it was planned did not go to the person."""
    return row.reason in CORRECTIONS and not any(_received_of(case, row))


def _received_of(case: Case, row: ScheduledMessage) -> Iterator[ScheduledMessage]:
    """Each message about the row's subject that the person perhaps received until the row was settled."""
    assert row.settled_at is not None
    for at, other in _perhaps_received(case):
        is_persons = contact_name(other.contact) in case.people[contact_name(row.contact)]
        if is_persons and other.subject == row.subject and at <= row.settled_at + case.skew:
            yield other


def _is_cause(view: View, row: ScheduledMessage, at: datetime, skew: timedelta) -> bool:
    """Whether the view gives the row's rule a cause."""
    wanted = view.wanted(row.reason, row.subject.id, row.offset)
    is_changed = wanted is None or wanted.anchor_at != row.anchor_at or row.reason in ONE_EACH
    is_simple = not view.is_linked and view.erased_at == NEVER  # an erasure forgets an opt-in
    causes = {
        "superseded": is_changed,
        "cancelled": is_changed,
        "erased": view.erased_at > NEVER,
        "opted_out": view.opted_out() if is_simple else view.has_ever_opted_out(),
        "window_closed": not view.window_is_open(at + skew) or view.has_left(contact_name(row.contact)),
        "no_conversation": view.last_inbound_at() == NEVER,
        "channel_window": not view.channel_allows(row.reason, at + skew, contact_name(row.contact)),
        "too_late": wanted is None or at + skew >= min(wanted.valid_until, wanted.due_at),
        "no_consent": any(view.consents(each) != {True} for each in {view.address, *view.channels}),
    }
    is_of_address = row.rule in ("window_closed", "no_conversation", "channel_window")
    tried = {contact_name(contact) for contact in row.undelivered_to}
    if is_of_address and all(view.reaches(row.reason, at + shift, but=tried) for shift in (skew, -skew)):
        return False
    return causes.get(row.rule or "", False)
