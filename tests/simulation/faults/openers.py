"""Judge the codes of openers: each binds the sender that it must bind, and no other one.

| rule | the code binds no one |
|---|---|
| once | a second time |
| erasure | after the person that it was made for was erased |
| over | after the appointment was cancelled, or has started |
| windows | as long as the messages reach the person elsewhere: a window of theirs is open until all are due |

What nothing hindered binds its sender. Where the messages go then, the other judges see.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tests.simulation.faults.case import Case, Violation, contact_name
from tests.simulation.faults.events import address_of, at_of, instant, made_at, number_of
from tests.simulation.faults.model import View
from tests.simulation.faults.reactions import Played, SentOpener
from tests.simulation.faults.reasons import WINDOW
from tests.simulation.faults.settings import HOUR, Line

CALM: Final = timedelta(minutes=10)
"""So long before and after a code was sent, nothing else may happen to the people, if it must bind."""


def openers(case: Case) -> Iterator[Violation]:
    if not isinstance(case.history, Played):
        return
    bound: dict[str, Line] = {}
    by_id = {line["id"]: line for line in case.history.reactions}
    uses = [_Use(case, by_id[name], opener, case.history.openers) for name, opener in case.history.openers.items()]
    for use in uses:
        name = f"{use.line['id']} at {use.line['time']}"
        if "binds" not in use.line:
            if use.must_bind():
                yield Violation("opener", f"{name} bound no one")
            continue
        if use.opener.code in bound:
            yield Violation("opener", f"{name} bound, and so did {bound[use.opener.code]['id']}")
        bound[use.opener.code] = use.line
        if wrong := use.wrong():
            yield Violation("opener", f"{name} bound: {wrong}")


@dataclass(frozen=True)
class _Use:
    """A message with a code."""

    case: Case
    line: Line
    opener: SentOpener
    others: Mapping[str, SentOpener]

    def wrong(self) -> str | None:
        """Why it must not bind its sender, for certain."""
        history, owner = self.case.history, contact_name(self.opener.owner)
        started, done = history.started[self.line["id"]], history.done.get(self.line["id"])
        for erasure in self._own("ContactErased"):
            began, ended = history.started.get(erasure["id"]), history.done.get(erasure["id"])
            if began and ended and self.opener.made.number < began.number and ended.number < started.number:
                return f"{erasure['id']} came before"
        views = self.case.views(
            owner,
            self.opener.subject_id,
            started.number,
            done.number if done else len(history.places),
            sure_at=started.at,
        )
        after = started.at - self.case.skew
        if not any((at := _starts_at(view, self.opener)) and at > after for view in views):
            return "the appointment is over or cancelled"
        return self._reached()

    def _reached(self) -> str | None:
        """The window that the messages reach the person through, if one is open for certain until all are due."""
        history, sender = self.case.history, address_of(self.line)
        started, last = history.started[self.line["id"]], self._last_due()
        own = self._own()
        quits = ("ContactErased", "ContactOptedOut", "ContactOptedIn")
        if sender == contact_name(self.opener.owner) or any(each["detail-type"] in quits for each in own):
            return None
        if any(each["detail"].get("text") in ("STOP", "START") for each in own):
            return None
        for line in self._own("MessageReceived"):
            done = history.done.get(line["id"])
            is_sure = done is not None and done.number < started.number and made_at(line) + WINDOW > last
            if is_sure and number_of(sender or "") != self.opener.owner.address:
                return f"the window of {line['id']} is open"
        return None

    def _last_due(self) -> datetime:
        """The latest instant at which a message of the appointment may be due, by any event."""
        starts = (line["detail"].get("starts_at") for line in self.case.of_subject[self.opener.subject_id])
        return max(map(instant, filter(None, starts)))

    def _own(self, *types: str) -> list[Line]:
        """The events of these types, or all, about the person that the code was made for."""
        channels = self.case.siblings(contact_name(self.opener.owner))
        lines = (line for address in channels for line in self.case.of_address[address])
        return [line for line in lines if not types or line["detail-type"] in types]

    def must_bind(self) -> bool:
        """Whether nothing hinders it."""
        case, history, line = self.case, self.case.history, self.line
        done, owner = history.done.get(line["id"]), contact_name(self.opener.owner)
        same = [name for name, other in self.others.items() if other.code == self.opener.code and name != line["id"]]
        if done is None or case.skew or any(history.started[name].at <= done.at for name in same):
            return False
        if made_at(line) + CALM >= self.opener.expires_at or case.erasures(owner):
            return False
        sender = address_of(line) or ""
        subject = case.of_subject[self.opener.subject_id]
        around = [*subject, *self._own(), *case.of_address[sender], *case.of_brand]
        for each in around:
            ended = history.done.get(each["id"])
            is_around = ended is None or (at_of(line) - CALM <= ended.at and at_of(each) <= done.at + CALM)
            if is_around and each["id"] != line["id"]:
                return False
        before = [each for each in case.relevant(owner, self.opener.subject_id) if at_of(each) < at_of(line)]
        starts_at = _starts_at(case.view(owner, before), self.opener)
        if starts_at is None or starts_at <= done.at + CALM:
            return False
        written = [each for each in self._own("MessageReceived") if at_of(each) < at_of(line)]
        return all(made_at(each) + WINDOW <= starts_at - 2 * HOUR for each in written)


def without_codes(view: View) -> View:
    """The view as if no code had bound anyone: who has had a reminder still knows of the appointment."""
    return replace(view, lines=[line for line in view.lines if "binds" not in line])


def _starts_at(view: View, opener: SentOpener) -> datetime | None:
    """When the appointment of the person starts, as it was before any code was used; ``None`` if it is cancelled."""
    before = without_codes(view)
    for address in {view.address, *view.channels}:
        _, starts_at, takes_part = replace(before, address=address).appointment(opener.subject_id)
        if takes_part:
            return starts_at
    return None
