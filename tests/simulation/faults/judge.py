"""Judge a history by the model: what was handed over, the outcome of each message, and what was lost.

A handover is wrong only if no choice among the uncertain events makes it right.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import Call, Handover, History
from tests.simulation.faults.answers import answers
from tests.simulation.faults.case import Case, Violation, contact_name, is_by, logical
from tests.simulation.faults.events import address_of, at_of, linked, made_at, named, number_of, other_address
from tests.simulation.faults.liveness import MERGED_WITHIN, liveness, unhindered
from tests.simulation.faults.model import View
from tests.simulation.faults.openers import openers
from tests.simulation.faults.outcomes import ENDED, outcomes
from tests.simulation.faults.reasons import CATEGORIES, CORRECTIONS
from tests.simulation.faults.settings import Line, Settings

FRESH: Final = timedelta(seconds=2)
"""A provider's call starts within this of the read that it rests on."""

NOT_PLANNED_BY_EVENTS: Final = frozenset({"welcome_back", "help_reply", "answer_reply"})
TO_ALL: Final = frozenset({"product_preview", "holiday_hours"})
ONE_A_NUMBER: Final = TO_ALL | {"back_in_stock"}
"""Each such message goes to a number once, on whichever channels it is known."""

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
        *outcomes(case),
        *_lost_rows(case),
        *_erasures(case),
        *_published(case),
        *_opt_outs_published(case),
        *answers(case),
        *openers(case),
        *liveness(case, expected),
    ]
    return Verdict(found, len(history.handovers), len(expected), len(history.planned))


def _events(case: Case) -> Iterator[Violation]:
    for line in case.events:
        if line["id"] not in case.history.done:
            yield Violation("no_loss", f"{line['id']} {line['detail-type']} was never processed")


def _once(case: Case) -> Iterator[Violation]:
    """No message twice; but one that did not arrive may go to another address of the person, once to each."""
    taken: dict[tuple[object, datetime], list[Handover]] = defaultdict(list)
    fallbacks = Counter(
        event.detail["scheduled_message_id"] for _, event in case.history.events if event.detail.get("falls_back")
    )
    for handover in case.history.handovers:
        message = handover.message
        erased = case.erased_at(case.people[contact_name(message.contact)], _before(case, handover.read))
        for name in (message.key, logical(message)):
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
        taken[logical(handover.message)[1:]].append(handover)
        if len(case.siblings(contact_name(handover.message.contact))) > 1 and handover.message.reason in ONE_A_NUMBER:
            taken[number_of(contact_name(handover.message.contact)), handover.message.subject.id].append(handover)
    for handovers in taken.values():
        for position, last in enumerate(handovers):
            address = contact_name(last.message.contact)
            known = (linked(_done_before(case, address, last.read), address) | case.siblings(address)) - {address}
            before = [each for each in handovers[:position] if contact_name(each.message.contact) in known]
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
    name = f"{message.reason} {message.subject.id} {message.offset} to {contact_name(message.recipient)} at {at}"
    if at - handover.read.at > FRESH:
        yield Violation("fresh_decision", f"{name}: read at {handover.read.at}")
    least: set[str] | None = None
    for view in _views(case, handover):
        wrong = _wrong(view, handover, case.skew)
        if not wrong:
            least = None
            break
        least = wrong if least is None or len(wrong) < len(least) else least
    if least:
        yield Violation(min(least), f"{name}: {', '.join(sorted(least))}")


def _views(case: Case, handover: Handover) -> Iterator[View]:
    address, subject = contact_name(handover.message.contact), handover.message.subject.id
    read, call = handover.read, handover.call
    return case.views(address, subject, read.number, call.number, sure_at=call.at - FRESH - case.skew)


def _wrong(view: View, handover: Handover, skew: timedelta) -> set[str]:
    """Which guarantees the handover breaks, if the view is what was stored."""
    message, at = handover.message, handover.call.at
    reason, recipient = message.reason, contact_name(message.recipient)
    broken = _wrong_address(view, handover, at - skew) if CATEGORIES[reason] != "reply" else set()
    zones = view.zones(message.subject.id, recipient)
    if all(view.settings.is_quiet(CATEGORIES[reason], at + shift, *zones) for shift in (timedelta(), skew, -skew)):
        broken.add("quiet_hours")
    if view.opted_out():
        broken.add("opt_out")
    if view.is_paused(reason, at - skew):
        broken.add("pause")
    if CATEGORIES[reason] == "marketing":
        if not view.agrees(reason, recipient):
            broken.add("consent")
        if view.is_in_conversation(at + skew, but=view.channels - {recipient}):
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
    message, recipient = handover.message, contact_name(handover.message.recipient)
    checks = {
        "not_the_person": recipient not in view.people,
        "window": not view.window_is_open(at, recipient),
        "channel_window": not view.channel_allows(message.reason, at, recipient),
        "left_address": view.has_left(recipient),
        "channel": recipient in view.channels and not _is_right_channel(view, message, at),
    }
    return {name for name, is_wrong in checks.items() if is_wrong}


def _is_right_channel(view: View, message: ScheduledMessage, at: datetime) -> bool:
    """Whether the message goes to the right channel of the number: the named one, if that can be used.

    A broadcast goes to the channel that was used last, and so does what the person viewed on several channels.
    """
    own, recipient = contact_name(message.contact), contact_name(message.recipient)
    tried = {contact_name(contact) for contact in message.undelivered_to}
    usable = {
        each
        for each in view.channels - tried
        if view.takes(message.reason, at, each) and view.agrees(message.reason, each)
    }
    is_last = recipient == max(usable, key=view.last_inbound_at, default=recipient)
    newest = {address_of(line): line["detail-type"] for line in sorted(view.of(message.subject.id), key=at_of)}
    viewed_on = {address for address in view.channels if newest.get(address) == "ProductViewed"}
    if message.reason in TO_ALL or len(viewed_on) > 1:
        return is_last
    # The offer of an item goes to all of its people; whether that counts as a broadcast, the documents leave open.
    return recipient == own or own not in usable or (message.reason == "back_in_stock" and is_last)


def _caps(case: Case) -> Iterator[Violation]:
    """The person's messages count, at whichever address; of before the last one's read, by the links of then.

    A correction exceeds a cap if it would be useless by the time that the cap allows it.
    """
    sends: dict[tuple[frozenset[str], str, datetime], list[Handover]] = defaultdict(list)
    times = Counter(handover.message.key for handover in case.history.handovers)
    for handover in case.history.handovers:
        if handover.is_merged or times[handover.message.key] > 1:
            continue  # a text counts once, however many messages it names; and so does one that was tried elsewhere
        people, category = case.people[contact_name(handover.message.contact)], CATEGORIES[handover.message.reason]
        erased = case.erased_at(people, _before(case, handover.read))
        sends[people, category, erased].append(handover)
    for (_, category, _), handovers in sends.items():
        for position, last in enumerate(handovers):
            address = contact_name(last.message.contact)
            known = linked(_done_before(case, address, last.read), address) | case.siblings(address)
            before = [each for each in handovers[:position] if contact_name(each.message.contact) in known]
            over = [_over(case, settings, category, before, last) for settings in _settings_of(case, last)]
            if all(over):
                yield Violation("cap", f"{address}: {over[0]}")


def _settings_of(case: Case, handover: Handover) -> list[Settings]:
    """The settings that may count for it, by the brand's events before and at its time."""
    return case.settings_at(handover.call.at - FRESH - case.skew, handover.call.number)


def _over(case: Case, settings: Settings, category: str, before: Sequence[Handover], last: Handover) -> str:
    """The cap that the last one exceeds, if it does."""
    for limit, period in settings.caps.get(category, ()):
        counted = [each.call.at for each in before if _is_kept_for(case, category, each, last.call.at)]
        is_over = len(counted) >= limit and last.call.at - counted[-limit] < period - 2 * case.skew
        if is_over and not _is_useless_at(last.message, counted[-limit] + period + FRESH + case.skew):
            return f"more than {limit} {category} in {period}, from {counted[-limit]}"
    return ""


def _is_kept_for(case: Case, category: str, each: Handover, at: datetime) -> bool:
    """Whether the caps of its time kept it until then: what was sent without a cap, or for a shorter one, is not."""
    return all(
        any(at - each.call.at <= period for _, period in settings.caps.get(category, ()))
        for settings in _settings_of(case, each)
    )


def _is_useless_at(message: ScheduledMessage, at: datetime) -> bool:
    return message.reason in CORRECTIONS and at >= message.valid_until


def _done_before(case: Case, address: str, call: Call) -> list[Line]:
    """The links of the person that were stored before the call, for certain."""
    return [
        line
        for line in case.of_address[address]
        if other_address(line)
        and is_by(case.history.done.get(line["id"]), call.number)
        and not case.is_perhaps_erased(line)
    ]


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
        elif not case.erasures(contact_name(message.contact)):
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
            if number_of(address) in held:
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
        if row.reason in NOT_PLANNED_BY_EVENTS or case.erasures(contact_name(row.contact)):
            continue
        if row.scheduled_message_id not in named:
            yield Violation("events_out", f"{row.reason} {row.subject.id} {row.offset} is {row.state}: never published")
        elif (row.scheduled_message_id, f"Message{row.state.capitalize()}") not in outcomes:
            yield Violation("events_out", f"{row.reason} {row.subject.id} {row.offset} is {row.state}: no such outcome")


def _opt_outs_published(case: Case) -> Iterator[Violation]:
    """The bus has the opt-out of each contact who has one address and was out at the end."""
    out = (event.detail["contact"] for _, event in case.history.events if event.type == "ContactOptedOut")
    published = {named(contact["channel"], contact["address"]) for contact in out}
    for address in case.of_address:
        channels = case.siblings(address)
        is_certain = case.people[address] == channels and not case.erasures(address)
        lines = (line for each in channels for line in case.of_address[each])
        done = [line for line in lines if line["id"] in case.history.done]
        if is_certain and case.view(address, done).opted_out() and not published & channels:
            yield Violation("events_out", f"{address} is opted out: never published")
