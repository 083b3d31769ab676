"""Liveness: what nothing hindered was sent when it was due."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reengage.domain.message import ScheduledMessage
from tests.simulation.faults import model
from tests.simulation.faults.case import ONE_EACH, Case, Violation
from tests.simulation.faults.model import CATEGORIES, View, Wanted, address_of, at_of, subject_of
from tests.simulation.faults.stories import HOUR, Line, caps_of

MINUTE: Final = timedelta(minutes=1)
MERGED_WITHIN: Final = HOUR
"""A text may name a message that is due so much later than the one that it is for."""

UNDISTURBED: Final = timedelta(minutes=75)
"""So long before a message is due nothing may happen, if it must be sent then: a retry waits for up to an hour."""


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


def unhindered(case: Case) -> Iterator[Unhindered]:
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
    """Whether no fault is near; one that delays lasts until its end."""
    return not any(
        due - UNDISTURBED <= at + (fault.time if fault.kind == "late" else timedelta()) and at <= due + MINUTE
        for at, fault in case.history.faults
    )


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
    return is_allowed and agrees and not _is_near_cap(case, address, name, wanted)


def _is_near_cap(case: Case, address: str, name: tuple[str, str, str], wanted: Wanted) -> bool:
    """Whether other messages of the category, or of a former version, may fill a cap when it is due."""
    category, due = CATEGORIES[name[0]], wanted.due_at
    others = [
        handover.call.at
        for handover in case.history.handovers
        if handover.message.contact.address == address
        and CATEGORIES[handover.message.reason] == category
        and not _is_same(handover.message, name, wanted)
    ]
    # A message that is unconfirmed keeps its place.
    others += [at for at, fault in case.history.faults if fault.place.where.startswith(address)]
    return any(
        sum(due - period - HOUR <= at <= due + MINUTE for at in others) >= limit
        for limit, period in caps_of(case.lines)[category]
    )


def _is_same(message: ScheduledMessage, name: tuple[str, str, str], wanted: Wanted) -> bool:
    is_newest = wanted.anchor_at is None or message.anchor_at == wanted.anchor_at
    return is_newest and (message.reason, message.subject.id, message.offset) == name


def liveness(case: Case, expected: Iterable[Unhindered]) -> Iterator[Violation]:
    """What nothing hindered was sent when it was due; after a fault, it has an outcome at least."""
    taken: dict[tuple[str, str, str, str], list[datetime]] = defaultdict(list)
    for handover in case.history.handovers:
        message = handover.message
        name = (message.contact.address, message.reason, message.subject.id, message.offset)
        taken[name].append(handover.call.at)
    planned = case.history.planned.values()
    known = {(row.contact.address, row.reason, row.subject.id, row.offset) for row in planned}
    for address, reason, subject_id, offset, wanted, strictly in expected:
        name = (address, reason, subject_id, offset)
        last = wanted.due_at + MINUTE if strictly else wanted.valid_until
        first = wanted.due_at - (MERGED_WITHIN if reason == "appointment_reminder" else timedelta())
        if any(first - case.skew <= at <= last + case.skew for at in taken[name]):
            continue
        if not strictly and name in known:
            continue  # its outcome is judged as such
        text = f"{reason} {subject_id} {offset} was due at {wanted.due_at}, and sent at {taken[name]}"
        yield Violation("liveness", text)
