"""Judge the answers to reminders: each is published, and none is published that no one gave."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from reengage.domain.message import ScheduledMessage
from reengage.simulation.fault_app import Handover
from tests.simulation.faults.bindings import CLOCKS, MEANT, bindings, is_surely_stored
from tests.simulation.faults.case import Case, Violation, contact_name
from tests.simulation.faults.events import at_of, made_at
from tests.simulation.faults.reactions import ANSWERED, ANSWERS, ASKING
from tests.simulation.faults.settings import Line

CALM: Final = timedelta(minutes=2)
"""So long before an answer, and after it was processed, nothing else may happen to the person, if it must count."""

UNREAD: Final = frozenset({"undelivered", "failed", "skipped"})


def answers(case: Case) -> Iterator[Violation]:
    """What nothing hindered is published; and each answer is one that the person gave to a reminder of theirs."""
    published = (event.detail for _, event in case.history.events if event.type == "AppointmentAnswered")
    found = {(detail["message_id"], detail.get("subject_id"), detail["answer"]) for detail in published}
    for line in case.events:
        if line["id"].startswith(ANSWERED) and (handover := _answered(case, line)) and _counts(case, line, handover):
            subject_id, answer = handover.message.subject.id, ANSWERS[line["detail"]["text"]]
            if (line["detail"]["message_id"], subject_id, answer) not in found:
                yield Violation("answer", f"{line['id']} at {line['time']}: {answer} was not published")
    yield from bindings(case)


def _answered(case: Case, line: Line) -> Handover | None:
    """The reminder that the person reacted to: the first one about the appointment."""
    subject_id = line["id"].removeprefix(ANSWERED)
    about = (each for each in case.history.handovers if each.message.subject.id == subject_id)
    return next((each for each in about if each.message.reason in ASKING), None)


def _counts(case: Case, line: Line, handover: Handover) -> bool:
    """Whether the answer must be published: it binds to the reminder, and nothing about it changed meanwhile."""
    message, done = handover.message, case.history.done.get(line["id"])
    row = case.rows.get(message.key)
    if done is None or row is None or row.state in UNREAD or row.undelivered_to or case.skew:
        return False
    lines = case.relevant(contact_name(message.contact), message.subject.id)
    if any(each["id"] not in case.history.done for each in lines):
        return False
    at = at_of(line)
    for each in lines:
        is_around = at - CALM <= case.history.done[each["id"]].at and at_of(each) <= done.at + CALM
        if each["detail-type"] in ("ContactErased", "ContactMoved") or (is_around and each is not line):
            return False
    before = [each for each in lines if at_of(each) < at]
    _, starts_at, takes_part = case.view(contact_name(message.contact), before).appointment(message.subject.id)
    if not takes_part or starts_at != message.anchor_at or starts_at is None or done.at + CALM >= starts_at:
        return False
    return not _is_merged(row) and not _answers_before(before, handover) and _is_bound(case, line, handover, before)


def _is_merged(row: ScheduledMessage) -> bool:
    return bool({"merged_with", "merged_into"} & row.facts.keys())


def _answers_before(before: list[Line], handover: Handover) -> bool:
    """Whether the person wrote what may be an answer since the reminder: one that is repeated is not published."""
    written = (each for each in before if each["detail-type"] == "MessageReceived" and at_of(each) >= handover.call.at)
    return any(each["detail"]["text"] in MEANT for each in written)


def _is_bound(case: Case, line: Line, handover: Handover, before: list[Line]) -> bool:
    """Whether it names the reminder, or no other question is open, and no one of the business wrote."""
    detail, message = line["detail"], handover.message
    if "payload" in detail:
        return True
    if not is_surely_stored(case, message):
        return False
    if "quoted_message_id" in detail:
        return bool(case.rows[message.key].provider_message_id == detail["quoted_message_id"])
    people = case.people[contact_name(message.contact)]
    asked = [(each.call.at, each.message) for each in case.history.handovers]
    asked += [(row.claimed_at, row) for row in case.history.rows if row.state == "unconfirmed" and row.claimed_at]
    others = [
        each
        for at, each in asked
        if contact_name(each.contact) in people and each.subject != message.subject and at <= made_at(line) + CLOCKS
    ]
    talked = any(each["detail-type"] == "AgentReplied" and at_of(each) >= handover.call.at for each in before)
    asks = message.recipient.channel == "sms"  # a template of WhatsApp may ask nothing
    return asks and not talked and not any(each.reason in ASKING and _is_to_come(each, line) for each in others)


def _is_to_come(message: ScheduledMessage, line: Line) -> bool:
    """Whether the message was about a time that is still to come."""
    return message.anchor_at is None or made_at(line) <= message.anchor_at
