"""Judge each ``AppointmentAnswered``: the person gave the answer, to the reminder that it names, and it counts once.

| rule | what would be wrong |
|---|---|
| given | the message is no answer, or another one; or the person received no such reminder before |
| named | a button or a quote names another reminder; or it is another one by no name |
| only open | several questions are open for certain, or a person of the business wrote after the reminder |
| to come | the appointment was moved or cancelled before, or is over |
| once | the event comes twice without a fault, or the same answer comes again without a new reminder |
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from reengage.domain.message import ScheduledMessage
from reengage.ports import Accepted, Unknown
from reengage.simulation.fault_app import Call, Handover, place_of
from tests.simulation.faults.case import Case, Violation, contact_name
from tests.simulation.faults.events import address_of, at_of, instant, made_at
from tests.simulation.faults.openers import without_codes
from tests.simulation.faults.reactions import ANSWERS, ASKING
from tests.simulation.faults.settings import Line

MEANT: Final = {**ANSWERS, "See you soon": "confirmed"}
"""What each text answers."""

CLOCKS: Final = timedelta(seconds=5)
"""An answer that came so close to something else may have come before or after it."""

READ: Final = frozenset({"sent", "delivered"})


def bindings(case: Case) -> Iterator[Violation]:
    published = [event.detail for _, event in case.history.events if event.type == "AppointmentAnswered"]
    written = {line["detail"]["message_id"]: line for line in case.events if line["detail-type"] == "MessageReceived"}
    clear = [detail for detail in published if detail["answer"] != "unclear"]
    for detail in published:
        line = written[detail["message_id"]]
        if line["detail"]["text"] not in MEANT:
            yield Violation("answer", f"{line['id']} ({line['detail']['text']}) is no answer")
    for detail in clear:
        line = written[detail["message_id"]]
        if wrong := _Binding(case, line, detail).wrong():
            name = f"{line['id']} ({line['detail']['text']}) at {line['time']}"
            yield Violation("answer", f"{name} is {detail['answer']} about {detail['subject_id']}: {wrong}")
    yield from _again(case, clear, written)
    yield from _repeated(case, clear, written)


def is_surely_stored(case: Case, message: ScheduledMessage) -> bool:
    """Whether the app stored what it sent: if the run dies before, no one knows that the text asked.

    If the provider's answer is late or lost, it is stored.
    """
    faults = [fault for _, fault in case.history.faults if fault.place.where == place_of(message.key)]
    return all(each.place.call == "send" and each.kind in ("unknown", "receipt", "receipt_lost") for each in faults)


def _asked(case: Case) -> Iterator[Handover]:
    """Each message that was handed over, or that may have been: its call failed, or its run died."""
    yield from case.history.handovers
    events = (event.detail for _, event in case.history.events if event.type == "MessageUnconfirmed")
    unknown = {detail["scheduled_message_id"]: detail["claimed_at"] for detail in events}
    for message in case.history.planned.values():
        if claimed_at := unknown.get(message.scheduled_message_id):
            call = Call(instant(claimed_at), -1)
            yield Handover(call, call, message, Unknown("its outcome is not known"))


@dataclass(frozen=True)
class _Binding:
    """An answer that was published, and the message that gave it."""

    case: Case
    line: Line
    detail: Mapping[str, Any]

    def wrong(self) -> str | None:
        """Return what is wrong with it."""
        if MEANT.get(self.line["detail"]["text"]) != self.detail["answer"]:
            return "the person wrote another answer"
        asked = self._asked()
        if not asked:
            return "no such reminder was sent before"
        if not any(self._is_named(handover) for handover in asked):
            return "another reminder is named"
        if not any(self._is_to_come(handover) for handover in asked):
            return "the appointment is not to come at the time that the reminder names"
        if self.detail["bound_by"] == "only_open_question":
            return self._doubt(asked[0])
        return None

    def _asked(self) -> list[Handover]:
        """The handovers of the reminder to the person, before the answer."""
        until = made_at(self.line) + CLOCKS + self.case.skew
        people = self.case.people[address_of(self.line) or ""]
        return [
            each
            for each in _asked(self.case)
            if each.message.scheduled_message_id == self.detail["scheduled_message_id"]
            and each.call.at <= until
            and contact_name(each.message.recipient) in people
        ]

    def _is_named(self, handover: Handover) -> bool:
        """Whether the message names the reminder, or one of the same text, or it names none."""
        written, by = self.line["detail"], self.detail["bound_by"]
        if "payload" in written:
            of_text = (each for each in self.case.history.handovers if each.call == handover.call)
            ids = {each.message.scheduled_message_id for each in of_text}
            return by == "button" and written["payload"].split()[-1] in ids
        if by == "quote":
            outcome = handover.outcome
            return isinstance(outcome, Accepted) and outcome.provider_message_id == written.get("quoted_message_id")
        return bool(by == "only_open_question")

    def _is_to_come(self, handover: Handover) -> bool:
        """Whether a choice of the events makes the appointment one that is to come at that time."""
        message, history = handover.message, self.case.history
        started, done = history.started[self.line["id"]], history.done.get(self.line["id"])
        if message.anchor_at is None or started.at - self.case.skew >= message.anchor_at:
            return False
        begun_by = done.number if done else len(history.places)
        return any(
            takes_part and starts_at == message.anchor_at
            for address in self.case.people[contact_name(message.contact)]
            for view in self.case.views(address, message.subject.id, started.number, begun_by, sure_at=started.at)
            for known in (view, without_codes(view))
            for _, starts_at, takes_part in [known.appointment(message.subject.id)]
        )

    def _doubt(self, handover: Handover) -> str | None:
        """Why it is not certain that this reminder is meant."""
        handovers, confirms = list(_asked(self.case)), self.detail["answer"] == "confirmed"
        in_one_text = {each.message.subject for each in handovers if each.call == handover.call}
        for other in handovers:
            is_meant, subject = confirms and other.message.subject in in_one_text, other.message.subject
            if subject != handover.message.subject and not is_meant and self._is_open(other):
                return f"{subject.id} is open, too"
        sender, asked_at = address_of(self.line), handover.call.at
        talks = (each for each in self.case.of_address[sender or ""] if each["detail-type"] == "AgentReplied")
        begun = self.case.history.started[self.line["id"]].number
        for each in talks:
            done = self.case.history.done.get(each["id"])
            is_between = asked_at + CLOCKS + self.case.skew < at_of(each) < made_at(self.line) - CLOCKS - self.case.skew
            if is_between and done and done.number < begun and not self.case.erasures(sender or ""):
                return f"{each['id']} came in between"
        return None

    def _is_open(self, other: Handover) -> bool:
        """Whether the other reminder is an open question for certain."""
        case, message, sender = self.case, other.message, address_of(self.line) or ""
        row, started = case.rows.get(message.key), case.history.started[self.line["id"]]
        done = case.history.done.get(self.line["id"])
        if message.reason not in ASKING or row is None or row.settled_at is None or message.anchor_at is None:
            return False
        is_read = (
            row.state in READ
            and is_surely_stored(case, message)
            and not row.undelivered_to
            and row.settled_at < started.at - case.skew
        )
        is_theirs = contact_name(message.recipient) in case.siblings(sender) and message.recipient.channel == "sms"
        is_before = other.call.at < made_at(self.line) - CLOCKS - case.skew
        if done is None or not is_read or not is_theirs or not is_before or case.erasures(sender):
            return False
        if done.at + case.skew >= message.anchor_at or self._is_answered(other):
            return False
        lines = case.relevant(contact_name(message.contact), message.subject.id)
        begun = [each for each in lines if _number(case.history.started, each) <= done.number and each != self.line]
        if any(_number(case.history.done, each) >= started.number for each in begun):
            return False
        views = (case.view(address, begun) for address in case.people[contact_name(message.contact)])
        states = (view.appointment(message.subject.id) for view in views)
        return any(takes_part and starts_at == message.anchor_at for _, starts_at, takes_part in states)

    def _is_answered(self, other: Handover) -> bool:
        """Whether another message may have answered it since."""
        history, people = self.case.history, self.case.people[address_of(self.line) or ""]
        last = history.done[self.line["id"]].number
        return any(
            line["detail-type"] == "MessageReceived"
            and line["detail"]["text"] in MEANT
            and line != self.line
            and made_at(line) > other.call.at - CLOCKS - self.case.skew
            and _number(history.started, line) <= last
            for address in people
            for line in self.case.of_address[address]
        )


def _number(calls: Mapping[str, Any], line: Line) -> float:
    """The number of the call; that of an event that did not come is after all others."""
    call = calls.get(line["id"])
    return call.number if call else float("inf")


def _again(case: Case, clear: Sequence[Mapping[str, Any]], written: Mapping[str, Line]) -> Iterator[Violation]:
    """Without a fault while the message is processed, its answer is published once."""
    times = Counter((detail["message_id"], detail["scheduled_message_id"]) for detail in clear)
    for (message_id, _), count in times.items():
        line = written[message_id]
        began, done = case.history.started[line["id"]], case.history.done.get(line["id"])
        struck = [at for at, _ in case.history.faults if began.at <= at and (done is None or at <= done.at)]
        if count > 1 + len(struck):
            yield Violation("answer", f"{line['id']}: its answer was published {count} times")


def _repeated(case: Case, clear: Sequence[Mapping[str, Any]], written: Mapping[str, Line]) -> Iterator[Violation]:
    """The same answer to the same reminder, by another message, is not published again."""
    for position, detail in enumerate(clear):
        line = written[detail["message_id"]]
        before = [each for each in clear[:position] if each["subject_id"] == detail["subject_id"]]
        if not before or before[-1]["answer"] != detail["answer"] or before[-1]["message_id"] == detail["message_id"]:
            continue
        first = written[before[-1]["message_id"]]
        is_same = before[-1]["scheduled_message_id"] == detail["scheduled_message_id"]
        is_before = _number(case.history.done, first) < _number(case.history.started, line)
        is_after = is_before and made_at(first) + CLOCKS + case.skew < made_at(line)
        if is_same and is_after and not _is_asked_between(case, detail, first, line):
            yield Violation("answer", f"{line['id']}: {detail['answer']} repeats {first['id']}")


def _is_asked_between(case: Case, detail: Mapping[str, Any], first: Line, line: Line) -> bool:
    return any(
        each.message.subject.id == detail["subject_id"]
        and made_at(first) - CLOCKS - case.skew <= each.call.at <= made_at(line) + CLOCKS + case.skew
        for each in _asked(case)
    )
