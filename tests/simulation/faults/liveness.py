"""Liveness: what nothing hindered was sent when it was due."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import place_of
from tests.simulation.faults.case import ONE_EACH, Case, Violation, contact_name
from tests.simulation.faults.events import address_of, at_of, made_at, number_of, other_address, subject_of
from tests.simulation.faults.model import View, Wanted
from tests.simulation.faults.reasons import CATEGORIES, NEVER, OFFSETS, PULLED, WINDOW
from tests.simulation.faults.settings import DAY, HOUR, OF_SEVERAL_PEOPLE, Line, Settings

MINUTE: Final = timedelta(minutes=1)
MERGED_WITHIN: Final = HOUR
"""A text may name a message that is due so much later than the one that it is for."""

FAR: Final = datetime(2030, 1, 1, tzinfo=UTC)
"""After all stories."""

UNDISTURBED: Final = timedelta(minutes=75)
"""So long before a message is due nothing may happen, if it must be sent then: a retry waits for up to an hour."""


class Unhindered(NamedTuple):
    """A message that nothing hinders, and when it is sent. ``strictly``: no fault was near, so it is sent at once.

    ``released_by``: the id of the event whose new settings end the quiet hours that hold it. ``held_until``: the latest
    instant until which a decision may have held it.
    """

    address: str
    reason: str
    subject_id: str
    offset: str
    wanted: Wanted
    due_at: datetime
    strictly: bool
    released_by: str = ""
    held_until: datetime = NEVER


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
    for address, planned_by, reason, subject_id, offsets in _plans(case):
        lines = case.relevant(address, subject_id)
        if any(each["id"] not in case.history.done for each in lines):
            continue
        named = [line for line in lines if at_of(line) <= at_of(planned_by)]
        for offset in offsets:
            wanted = case.view(address, named).wanted(reason, subject_id, offset)
            if wanted is None:
                continue
            found = Unhindered(address, reason, subject_id, offset, wanted, wanted.due_at, strictly=True)
            at = _sent_at(case, lines, planned_by, found)
            found = found._replace(due_at=at or wanted.due_at)
            found = _after_quiet(case, lines, found) if at == wanted.due_at else found
            if at and _nothing_hinders(case, lines, planned_by, found):
                yield found._replace(strictly=_is_calm(case, found))


def _plans(case: Case) -> Iterator[tuple[str, Line, str, str, Sequence[str]]]:
    """Each event that plans messages, with each contact that it plans them for."""
    for opened, use in case.uses.items():
        yield address_of(use) or "", use, "appointment_reminder", opened, OFFSETS["appointment_reminder"]
    for types, reason, offsets in PLANNED:
        for line in case.events:
            subject_id = subject_of(line)
            if line["detail-type"] not in types or subject_id is None:
                continue
            of_subject = [*case.of_subject[subject_id], *(each for each in [case.uses.get(subject_id)] if each)]
            named = [each for other in of_subject if (each := address_of(other))]
            people = named if any(name in line["detail"] for name in OF_SEVERAL_PEOPLE) else [address_of(line)]
            for address in dict.fromkeys(people):
                if address:
                    yield address, line, reason, subject_id, offsets


def _sent_at(case: Case, lines: Sequence[Line], planned_by: Line, message: Unhindered) -> datetime | None:
    """When it is sent: when it is due, or an hour before a window closes; ``None`` if that is not certain."""
    due = message.due_at
    if case.settings.closing != "pull_forward" or message.reason not in PULLED:
        return due
    if any(other_address(line) and at_of(line) > at_of(planned_by) for line in lines):
        return None
    if len(case.siblings(message.address)) > 1 or message.subject_id in case.uses:
        return None  # each channel, or person, has a window of its own
    lines, chats = _by_template(case, lines, message)
    if any(at_of(line) > due - DAY for line in chats):
        return None
    # An earlier event may have planned the same message, and a window that closed since may have sent it.
    begins = min(map(at_of, case.of_subject[message.subject_id]))
    for closes_at, next_at in _closings(lines):
        # What comes after it was sent does not matter any more.
        seen = [line for line in lines if at_of(line) < min(closes_at - HOUR, next_at)]
        view = case.view(message.address, seen)
        earliest = view.earliest(message.reason, message.subject_id, message.offset, message.wanted)
        if closes_at > due or min(closes_at, next_at) <= max(earliest, begins):
            continue
        # A reminder's earliest instant is known to a day, for clocks may change.
        slack = DAY + 2 * HOUR if message.reason in OFFSETS else 2 * HOUR + 5 * MINUTE
        zones = view.zones(message.subject_id)
        is_at_night = view.settings.is_quiet(CATEGORIES[message.reason], closes_at - HOUR, *zones)
        is_certain = closes_at > max(earliest + slack, at_of(planned_by) + UNDISTURBED + HOUR)
        is_in_time = next_at > closes_at - HOUR
        return closes_at - HOUR if is_certain and is_in_time and not is_at_night else None
    return due


def _after_quiet(case: Case, lines: Sequence[Line], message: Unhindered) -> Unhindered:
    """The message as it is sent after the quiet hours that hold it, if any; new settings of the brand may end them."""
    at = message.due_at
    changes = (line for line in lines if line["detail-type"] == "BrandConfigured" and at_of(line) > at)
    for change in [None, *sorted(changes, key=at_of)]:
        if change:
            at = at_of(change)
        view = case.view(message.address, [line for line in lines if at_of(line) <= at])
        zones = view.zones(message.subject_id)
        allowed = view.settings.allowed_from(CATEGORIES[message.reason], at, *zones)
        message = message._replace(held_until=max(message.held_until, allowed))
        later = [line for line in lines if line["detail-type"] == "BrandConfigured" and at < at_of(line) < allowed]
        if not later:
            return message._replace(due_at=allowed, released_by=change["id"] if change and allowed == at else "")
    return message


def _by_template(case: Case, lines: Sequence[Line], message: Unhindered) -> tuple[list[Line], list[Line]]:
    """Part the lines: those whose window counts, and what was written where a template is missing, or that was left.

    Without a template, WhatsApp's window counts only if the message is due within a day of the person's message.
    """
    view = case.view(message.address, lines)

    def counts(address: str) -> bool:
        return view.channel_allows(message.reason, FAR, address) and not view.has_left(address)

    written = [line for line in lines if line["detail-type"] == "MessageReceived"]
    others = [line for line in written if not counts(address_of(line) or "")]
    return [line for line in lines if line not in others], others


def _closings(lines: Sequence[Line]) -> Iterator[tuple[datetime, datetime]]:
    """Each instant at which the window would close, and when the person writes next: then, or in the day before."""
    closes_at = NEVER
    for line in sorted(lines, key=at_of):
        if line["detail-type"] == "MessageReceived":
            if closes_at > NEVER and closes_at - DAY < at_of(line):
                yield closes_at, at_of(line)
            closes_at = max(closes_at, made_at(line) + WINDOW)
    if closes_at > NEVER:
        yield closes_at, closes_at


def _is_calm(case: Case, message: Unhindered) -> bool:
    """Whether no fault is near, and none struck the message, which may be looked at before it is due.

    A fault that delays lasts until its end.
    """
    due = message.due_at
    own = f"{number_of(message.address)} {message.reason}#{message.subject_id}#{message.offset}#"
    # Also of a row that an erasure deleted. A run looks at other messages, too: its fault may be at one of those.
    claims = [at for key, at in case.history.claimed.items() if place_of(key).startswith(own)]
    return not any(
        fault.place.where.startswith(own)
        or (due - UNDISTURBED <= at + (fault.time if fault.kind == "late" else timedelta()) and at <= due + MINUTE)
        or any(claimed - MINUTE <= at <= claimed + 3 * MINUTE for claimed in claims)
        for at, fault in case.history.faults
    )


def _nothing_hinders(case: Case, lines: Sequence[Line], planned_by: Line, message: Unhindered) -> bool:
    """Whether nothing hinders the message when it is due, and when the quiet hours end that hold it."""
    due, wanted = message.due_at, message.wanted
    if message.reason in ONE_EACH and _is_planned_again(case, planned_by, message):
        return False  # the first one may have been sent
    if _may_precede_a_night(case, lines, message):
        return False
    if due > wanted.due_at:
        held = _then(case, lines, planned_by, message._replace(due_at=wanted.due_at, released_by=""))
        ends = message.held_until
        if ends + MINUTE >= wanted.valid_until or held is None or not held.reaches(message.reason, ends):
            return False
    then = _then(case, lines, planned_by, message)
    return then is not None and not _is_quiet(then, message)


def _may_precede_a_night(case: Case, lines: Sequence[Line], message: Unhindered) -> bool:
    """Whether former settings let a night cost the message: it may have been sent before that night."""
    wanted, category = message.wanted, CATEGORIES[message.reason]
    lines = [line for line in lines if line["detail-type"] != "BrandConfigured" or at_of(line) <= message.due_at]
    changes = [line for line in lines if line["detail-type"] == "BrandConfigured"]
    for number in range(len(changes)):
        view = case.view(message.address, [line for line in lines if line not in changes[number:]])
        zones = view.zones(message.subject_id)
        if view.settings.allowed_from(category, wanted.due_at, *zones) >= wanted.valid_until:
            return True
    return False


def _then(case: Case, lines: Sequence[Line], planned_by: Line, message: Unhindered) -> View | None:
    """The view as the message is due, if it allows it but for quiet hours.

    ``None`` also if an event about the contact was not over some time before, or began before the end.
    """
    due, history = message.due_at, case.history
    is_at_once = message.reason == "order_shipped" and due == message.wanted.due_at
    begins, ends = (due if is_at_once else due - UNDISTURBED), due + MINUTE
    before = [line for line in lines if at_of(line) <= ends]
    causes = {planned_by["id"], message.released_by} if message.reason == "order_shipped" else {message.released_by}
    around = [line for line in before if line["id"] not in causes]
    if any(begins <= at_of(line) or begins < history.done[line["id"]].at for line in around):
        return None
    if any(history.done[each].at > due + MINUTE / 2 for each in causes if each) or any(
        history.started[line["id"]].at <= ends for line in lines if line not in before
    ):
        return None
    then = case.view(message.address, before)
    name = (message.reason, message.subject_id, message.offset)
    if then.wanted(*name) != message.wanted or any(line["detail-type"] == "ContactErased" for line in before):
        return None
    is_allowed = _allows(then, message) and not _is_near_cap(case, then.settings, message.address, name, message)
    return then if is_allowed else None


def _is_planned_again(case: Case, planned_by: Line, message: Unhindered) -> bool:
    concerned = (None, *case.people[message.address])
    of_subject = [line for line in case.of_subject[message.subject_id] if address_of(line) in concerned]
    again = [line for line in of_subject if line["detail-type"] == planned_by["detail-type"]]
    return again != [planned_by]


def _allows(then: View, message: Unhindered) -> bool:
    """Whether the view allows the message when it is due, and for a while after, if it is not sent before a closing."""
    reason, due, category, settings = message.reason, message.due_at, CATEGORIES[message.reason], then.settings
    is_pulled = due < message.wanted.due_at
    lasts = 5 * MINUTE if is_pulled else HOUR
    agrees = {answer for each in {then.address, *then.channels} for answer in then.consents(each)}
    is_alone = not then.is_linked
    is_marketing = category == "marketing"
    refused = is_marketing and (False in agrees or (settings.needs_consent and agrees != {True}))
    out = then.opted_out() if is_alone else then.has_ever_opted_out()
    talks = is_marketing and then.is_in_conversation(due)
    reached = then.reaches(reason, due) and then.reaches(reason, due + lasts)
    return reached and not (refused or out or talks or then.is_paused(reason, due + MINUTE))


def _is_quiet(then: View, message: Unhindered) -> bool:
    """Whether it is quiet when the message is due, or a night would cost it: then it is sent before that night."""
    category, due, wanted = CATEGORIES[message.reason], message.due_at, message.wanted
    zones, settings = then.zones(message.subject_id), then.settings
    if any(settings.is_quiet(category, at, *zones) for at in (due, due + 5 * MINUTE)):
        return True
    return due < wanted.due_at and settings.allowed_from(category, wanted.due_at, *zones) >= wanted.valid_until


def _is_near_cap(
    case: Case, settings: Settings, address: str, name: tuple[str, str, str], unhindered: Unhindered
) -> bool:
    """Whether other messages of the category, or of a former version, may fill a cap when it is due."""
    category, due, people = CATEGORIES[name[0]], unhindered.due_at, case.people[address]
    others = [
        handover.call.at
        for handover in case.history.handovers
        if contact_name(handover.message.contact) in people
        and CATEGORIES[handover.message.reason] == category
        and not _is_same(handover.message, name, unhindered)
    ]
    # A message that is unconfirmed keeps its place.
    others += [at for at, fault in case.history.faults if fault.place.where.startswith(tuple(map(number_of, people)))]
    return any(
        sum(due - period - HOUR <= at <= due + MINUTE for at in others) >= limit
        for limit, period in settings.caps[category]
    )


def _is_same(message: ScheduledMessage, name: tuple[str, str, str], unhindered: Unhindered) -> bool:
    anchor_at = unhindered.wanted.anchor_at
    is_newest = anchor_at is None or message.anchor_at == anchor_at
    is_own = contact_name(message.contact) == unhindered.address
    return is_own and is_newest and (message.reason, message.subject.id, message.offset) == name


def liveness(case: Case, expected: Iterable[Unhindered]) -> Iterator[Violation]:
    """What nothing hindered was sent when it was due; after a fault, it has an outcome at least."""
    taken: dict[tuple[str, str, str, str], list[datetime]] = defaultdict(list)
    for handover in case.history.handovers:
        message = handover.message
        name = (contact_name(message.contact), message.reason, message.subject.id, message.offset)
        taken[name].append(handover.call.at)
    planned = case.history.planned.values()
    known = {(contact_name(row.contact), row.reason, row.subject.id, row.offset) for row in planned}
    for address, reason, subject_id, offset, wanted, due_at, strictly, *_ in expected:
        name = (address, reason, subject_id, offset)
        last = due_at + MINUTE if strictly else wanted.valid_until
        first = due_at - (MERGED_WITHIN if reason == "appointment_reminder" else timedelta())
        if any(first - case.skew <= at <= last + case.skew for at in taken[name]):
            continue
        if not strictly and name in known:
            continue  # its outcome is judged as such
        elsewhere = case.linked_by(address, first) - {address}
        if any(at <= last for other in elsewhere for at in taken[(other, *name[1:])]):
            continue  # at most once to a person: it was sent for another address before the two were linked
        text = f"{reason} {subject_id} {offset} was due at {due_at}, and sent at {taken[name]}"
        yield Violation("liveness", text)
