"""A history with what the judge needs to find in it: events by contact and by subject, and the views that are possible.

An event counts for sure if it was processed before the read that a decision rests on. It counts perhaps if its
processing began before the decision.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final, NamedTuple

from reengage.domain.contact import Contact
from reengage.domain.message import MessageKey, ScheduledMessage
from reengage.simulation.fault_app import Call, History
from tests.simulation.faults.events import (
    address_of,
    at_of,
    linked,
    made_at,
    named,
    number_of,
    other_address,
    subject_of,
)
from tests.simulation.faults.model import View
from tests.simulation.faults.reactions import Played
from tests.simulation.faults.reasons import NEVER
from tests.simulation.faults.settings import OF_SEVERAL_PEOPLE, Line, Settings, settings_of

MOST_UNSURE: Final = 6
ONE_EACH: Final = frozenset({"cart_reminder", "order_shipped", "review_request", "product_preview", "holiday_hours"})
"""Reasons with one message a subject and contact, whatever its instants."""

OF_THE_BRAND: Final = frozenset({"SendingPaused", "SendingResumed", "BrandConfigured"})
"""What applies to all contacts. The decisions of a run may share one read of it, within the two seconds."""


class Violation(NamedTuple):
    """``code`` is the guarantee's name."""

    code: str
    text: str


@dataclass
class Case:
    """A history with its events by contact and by subject. ``skew``: how far a function's clock was wrong, at most.

    ``people`` has all addresses of a person by each of them, as if all links were known from the start. ``channels``
    has the addresses of each number. ``uses`` has the message that bound its sender to an appointment, by a code.
    """

    lines: Sequence[Line]
    history: History
    settings: Settings = field(init=False)
    events: list[Line] = field(init=False)
    people: dict[str, frozenset[str]] = field(init=False)
    channels: defaultdict[str, set[str]] = field(init=False)
    of_address: defaultdict[str, list[Line]] = field(init=False)
    of_subject: defaultdict[str, list[Line]] = field(init=False)
    of_brand: list[Line] = field(init=False)
    uses: dict[str, Line] = field(init=False)
    known: dict[tuple[str, ...], Settings] = field(default_factory=dict)
    skew: timedelta = field(init=False)
    rows: dict[MessageKey, ScheduledMessage] = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.history, Played):
            self.lines = [*self.lines, *self.history.reactions]
        self.settings = settings_of(self.lines)
        self.events = [line for line in self.lines if "detail-type" in line]
        self.of_address, self.of_subject = defaultdict(list), defaultdict(list)
        self.of_brand = [line for line in self.events if line["detail-type"] in OF_THE_BRAND]
        for line in self.events:
            if address := address_of(line):
                self.of_address[address].append(line)
            if other := other_address(line):
                self.of_address[other].append(line)
            if subject := subject_of(line):
                self.of_subject[subject].append(line)
        self.uses = {line["binds"]["subject_id"]: line for line in self.events if "binds" in line}
        links = [line for line in self.events if other_address(line)]
        self.channels = defaultdict(set)
        for address in self.of_address:
            self.channels[number_of(address)].add(address)
        self.people = {address: linked(links, address) | self.siblings(address) for address in self.of_address}
        skews = [abs(fault.time) for _, fault in self.history.faults if fault.kind == "skew"]
        self.skew = max(skews, default=timedelta())
        self.rows = {row.key: row for row in self.history.rows}

    def siblings(self, address: str) -> frozenset[str]:
        """The addresses of the same number, this one among them."""
        return frozenset({address, *self.channels[number_of(address)]})

    def relevant(self, address: str, subject: str) -> list[Line]:
        """The events about the person, and about the subject: those of its other people, too."""
        people = self.people.get(address, frozenset({address}))
        of_subject = self.of_subject[subject]
        if not any(name in line["detail"] for line in of_subject for name in OF_SEVERAL_PEOPLE):
            of_subject = [line for line in of_subject if address_of(line) in (None, *people)]
        found = {line["id"]: line for line in of_subject}
        if use := self.uses.get(subject):
            found[use["id"]] = use
            people |= self.siblings(contact_name(use["binds"]["owner"])) if address == address_of(use) else set()
        found |= {line["id"]: line for each in people for line in self.of_address[each]}
        return [*found.values(), *self.of_brand]

    def people_of(self, subject: str) -> set[str]:
        """The addresses that the subject's events name."""
        return {address for line in self.of_subject[subject] if (address := address_of(line))}

    def erasures(self, address: str) -> list[Line]:
        """The erasures of the person, at whichever address."""
        people = self.people.get(address, frozenset({address}))
        return [line for each in people for line in self.of_address[each] if line["detail-type"] == "ContactErased"]

    def erased_at(self, people: frozenset[str], lines: Iterable[Line]) -> datetime:
        """Until when the person was erased, by the erasures among ``lines``: at least until the first one began."""
        started = self.history.started
        ends = (
            started[line["id"]].at
            for line in lines
            if line["detail-type"] == "ContactErased" and address_of(line) in people and line["id"] in started
        )
        last = max(ends, default=NEVER)
        return last - self.skew if last > NEVER else last  # a slow clock dates the erasure before that

    def linked_by(self, address: str, at: datetime) -> frozenset[str]:
        """All addresses of the person by the links that had come in by then."""
        started = self.history.started
        lines = [line for line in self.events if line["id"] in started and started[line["id"]].at <= at + self.skew]
        return linked(lines, address) | self.siblings(address)

    def view(self, address: str, lines: Sequence[Line]) -> View:
        """The view of these lines for the contact."""
        channels = self.siblings(address)
        people = linked(lines, address) | channels
        return View(lines, address, self.settings_by(lines), people, self.erased_at(people, lines), channels)

    def settings_by(self, lines: Iterable[Line]) -> Settings:
        """What the settings are by these events: most stories have few different ones."""
        changes = [line for line in lines if line["detail-type"] == "BrandConfigured"]
        names = tuple(line["id"] for line in changes)
        if names not in self.known:
            self.known[names] = settings_of([*(line for line in self.lines if "set" in line), *changes])
        return self.known[names]

    def settings_at(self, sure_at: datetime, begun_by: int) -> list[Settings]:
        """Each settings that may count: by the events that ended before, with any choice of those that began."""
        changes = [line for line in self.of_brand if line["detail-type"] == "BrandConfigured"]
        begun = [line for line in changes if is_by(self.history.started.get(line["id"]), begun_by)]
        sure = [line for line in begun if self._ended_by(line, sure_at)]
        unsure = [line for line in begun if line not in sure]
        return [self.settings_by([*sure, *some]) for some in _choices(unsure)]

    def _ended_by(self, line: Line, at: datetime) -> bool:
        done = self.history.done.get(line["id"])
        return done is not None and done.at < at

    def is_perhaps_erased(self, line: Line) -> bool:
        """Whether the event came in while an erasure of its contact ran: then its data may be erased or not."""
        address, history = address_of(line), self.history
        if address is None or line["detail-type"] == "ContactErased":
            return False
        for erasure in self.erasures(address):
            began, ended = history.started.get(erasure["id"]), history.done.get(erasure["id"])
            if began is None:
                continue
            if other_address(line) and not is_by(self.history.done.get(line["id"]), began.number):
                return True
            last = ended.at if ended else datetime.max.replace(tzinfo=began.at.tzinfo)
            if began.at - self.skew <= made_at(line) <= last + (self.skew if ended else timedelta()):
                return True
            if began.at - self.skew <= at_of(line) <= last + (self.skew if ended else timedelta()):
                return True
        return False

    def views(self, address: str, subject: str, sure_by: int, begun_by: int, sure_at: datetime) -> Iterator[View]:
        """Return every possible view: the certain events with any choice of the uncertain ones.

        ``sure_at``: what was stored for the brand until then counts for certain.
        """
        lines = self.relevant(address, subject)
        begun = [line for line in lines if is_by(self.history.started.get(line["id"]), begun_by)]
        sure = [
            line
            for line in begun
            if is_by(self.history.done.get(line["id"]), sure_by)
            and (line["detail-type"] not in OF_THE_BRAND or self._ended_by(line, sure_at))
        ]
        sure = [line for line in sure if not self.is_perhaps_erased(line)]
        unsure = [line for line in begun if line not in sure]
        for some in _choices(unsure):
            yield self.view(address, [*sure, *some])
            if any(line["detail-type"] == "ContactMoved" for line in some):
                yield self.view(address, [*sure, *map(_only_linked, some)])


def _only_linked(line: Line) -> Line:
    """A move stores the link first: an unfinished one may have stored no more."""
    return line | {"detail-type": "ContactLinked"} if line["detail-type"] == "ContactMoved" else line


def contact_name(contact: Contact) -> str:
    """The contact's name in the model."""
    return named(contact.channel, contact.address)


def is_by(call: Call | None, number: int) -> bool:
    return call is not None and call.number <= number


def _choices(unsure: Sequence[Line]) -> Iterable[Sequence[Line]]:
    if len(unsure) > MOST_UNSURE:
        return [(), unsure, *([line] for line in unsure)]
    return (some for size in range(len(unsure) + 1) for some in combinations(unsure, size))


def logical(message: ScheduledMessage) -> tuple[object, ...]:
    """What the person would take for the same message."""
    once = message.reason in ONE_EACH
    return (message.recipient, message.reason, message.subject.id, message.offset, None if once else message.anchor_at)
