"""Let people react to what the app does: they answer a reminder, or send the code of an opener.

What they write depends on the run: a button has the message's id, a quote the provider's id, and an opener a code. So
the event that books an appointment has how the person reacts, in fields that the app does not know:

| field | the person |
|---|---|
| ``reacts`` | answers the first reminder ``by`` text, button or quote, with ``text``, so many seconds ``after`` it |
| ``opens`` | sends the code, if there is one: each contact of ``by``, so many seconds ``after`` it was made |

No code is sent before ``not_before``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from reengage.domain.contact import Contact
from reengage.domain.instants import iso
from reengage.domain.subject import SubjectRef
from reengage.ports import Accepted
from reengage.simulation.fault_app import Call, Handover, History
from reengage.simulation.fault_run import FaultRun
from tests.simulation.faults.settings import Line

ASKING: Final = ("appointment_reminder", "appointment_moved")
"""The reasons whose texts ask for an answer."""

ANSWERS: Final = {"1": "confirmed", "2": "cancel_requested", "3": "reschedule_requested"}
"""The answers in the order of a reminder's buttons."""

ANSWERED: Final = "event-answer-"
"""The id of an answer is this and the appointment's id."""


class SentOpener(NamedTuple):
    """A code that someone sent: the appointment and the contact that it was made for, and since when it is known."""

    code: str
    subject_id: str
    owner: Contact
    made: Call
    expires_at: datetime


@dataclass(slots=True)
class Played(History):
    """``reactions``: what people wrote in the run, as lines of the story. ``openers``: the codes, by the line's id.

    A line that bound its sender has ``binds``: the appointment, and the contact that the code was made for.
    """

    reactions: list[Line] = field(default_factory=list)
    openers: dict[str, SentOpener] = field(default_factory=dict)


@dataclass(slots=True)
class ReactingRun(FaultRun):
    """A run in which people react as the story's events say."""

    history: Played = field(default_factory=Played)
    _wishes: dict[tuple[str, str], Any] = field(default_factory=dict)
    _handovers: int = 0
    _events: int = 0
    _taken: set[str] = field(default_factory=set)
    _looked_at: int = 0
    _unbound: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        FaultRun.__post_init__(self)
        for event in self.story.events:
            detail = event.envelope.get("detail", {})
            self._taken.add(iso(event.at))
            for name in ("reacts", "opens"):
                if name in detail:
                    self._wishes.setdefault((name, detail["appointment_id"]), detail[name])

    def run(self) -> Played:
        FaultRun.run(self)
        for line in self.history.reactions:
            opener, contact = self.history.openers.get(line["id"]), Contact(**line["detail"]["contact"])
            is_used = (contact, line["detail"]["message_id"]) in self.history.store._consents
            if opener and is_used and line["id"] not in self._unbound:
                line["binds"] = {"subject_id": opener.subject_id, "owner": opener.owner}
        return self.history

    def _next(self) -> datetime | None:
        self._look_at_codes()
        for line in [*self._answers(), *self._openers()]:
            self.history.reactions.append(line)
            self._add(datetime.fromisoformat(line["time"]), line)
        return FaultRun._next(self)

    def _look_at_codes(self) -> None:
        """Note each code that the appointment does not have: a retry may find that it must not bind any more."""
        for line in self.history.reactions[self._looked_at :]:
            if line["id"] not in self.history.done:
                return
            self._looked_at += 1
            if opener := self.history.openers.get(line["id"]):
                contact, subjects = Contact(**line["detail"]["contact"]), self.history.store._subjects
                subject = subjects.get(SubjectRef(contact.brand, "appointment", opener.subject_id))
                uses = subject._opener_uses() if subject else []
                if all(use.contact != contact for use in uses):
                    self._unbound.add(line["id"])

    def _answers(self) -> Iterator[Line]:
        new = self.history.handovers[self._handovers :]
        self._handovers += len(new)
        for handover in new:
            subject_id = handover.message.subject.id
            wish = self._wishes.get(("reacts", subject_id))
            if wish and handover.message.reason in ASKING:
                del self._wishes["reacts", subject_id]
                contact = handover.message.recipient
                address = {"brand": contact.brand, "channel": contact.channel, "address": contact.address}
                written = {"text": wish["text"], **self._bound(handover, wish)}
                yield self._writes(f"{ANSWERED}{subject_id}", address, wish["after"], written)

    def _bound(self, handover: Handover, wish: Line) -> Line:
        """Return what binds the answer to the reminder: the data of a button, or the quoted message."""
        message, outcome = handover.message, handover.outcome
        if wish["by"] == "quote" and isinstance(outcome, Accepted):
            return {"quoted_message_id": outcome.provider_message_id}
        buttons = dict(zip(ANSWERS, self._replies(message.scheduled_message_id), strict=False))
        if wish["by"] == "button" and wish["text"] in buttons:
            return {"payload": buttons[wish["text"]]["payload"], "kind": "button"}
        return {}

    def _replies(self, message_id: str) -> Sequence[Line]:
        requested = (event.detail for _, event in self.app.events if event.type == "MessageSendRequested")
        found = (detail.get("replies") for detail in requested if detail["scheduled_message_id"] == message_id)
        return next(found, None) or ()

    def _openers(self) -> Iterator[Line]:
        new = self.app.events[self._events :]
        self._events += len(new)
        for _, event in new:
            subject_id = event.detail.get("subject_id", "")
            if event.type == "MessagePlanned" and "opener_text" in event.detail:
                yield from self._opens(subject_id, event.detail, self._wishes.pop(("opens", subject_id), {}))

    def _opens(self, subject_id: str, planned: Mapping[str, Any], wish: Line) -> Iterator[Line]:
        not_before = datetime.fromisoformat(wish.get("not_before", iso(self.app.now)))
        for number, sender in enumerate(wish.get("by", ())):
            text, name = planned["opener_text"], f"event-opener-{subject_id}-{number}"
            expires_at = datetime.fromisoformat(planned["opener_expires_at"])
            opener = SentOpener(text, subject_id, Contact(**planned["contact"]), self.app.call(), expires_at)
            self.history.openers[name] = opener
            after = max(wish["after"] * (number + 1), int((not_before - self.app.now).total_seconds()))
            yield self._writes(name, sender, after, {"text": text})

    def _writes(self, name: str, contact: Line, after: int, written: Line) -> Line:
        """Return the message; no two events have the same instant."""
        at = self.app.now.replace(microsecond=0) + timedelta(seconds=after)
        while iso(at) in self._taken:
            at += timedelta(seconds=1)
        self._taken.add(iso(at))
        detail = {"contact": contact, "message_id": name.replace("event", "m"), "sent_at": iso(at), **written}
        return {"time": iso(at), "detail-type": "MessageReceived", "detail": detail, "id": name, "source": "test.app"}
