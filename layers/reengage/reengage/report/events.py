"""Derive a report from event lines: of a simulation (``reengage simulate --json``) or of a deployed stack's bus."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..domain.contact import Contact
from ..domain.conversation import WINDOW
from ..domain.instants import iso, parse_instant, parse_zone
from ..domain.zones import zone_if_witness
from .data import SENT, Comparison, ContactHistory, Hold, Inbound, Mark, Outcome, ReportData, totals_of
from .drafts import ContactDraft, MessageDraft, zone_of

Line = Mapping[str, Any]

CONTINUES: Final = timedelta(minutes=5)
"""A hold by the same rule that starts within this time after the last one is the same hold.

A due message is read about every minute.
"""


class Run(NamedTuple):
    """One run to compare with: its title, its event lines, and settings beside those of its ``set`` lines."""

    title: str
    lines: Iterable[Line]
    settings: Mapping[str, str] = MappingProxyType({})


def report_data(
    lines: Iterable[Line],
    *,
    title: str,
    settings: Mapping[str, str] | None = None,
    default_zone: str | None = None,
    compare: Run | None = None,
) -> ReportData:
    """Build the report's data from event lines in any order.

    A line is an event ``{"at" or "time", "detail-type", "detail"}``, ``{"until": instant}``, ``{"set": {…}}`` or
    ``{"summary": …}``, which is ignored. Events of other types are ignored too. ``default_zone`` is the zone of a
    contact that no event names one for. Raises ``ValueError`` for an instant that is not ISO 8601 with an offset, and
    for an unknown ``default_zone``.
    """
    if default_zone is not None:
        parse_zone(default_zone)
    first = _read(lines, default_zone)
    contacts = first.histories()
    comparison = None
    if compare is not None:
        second = _read(compare.lines, default_zone)
        comparison = Comparison(
            title=compare.title,
            settings=second.settings | dict(compare.settings),
            messages={history.contact: history.messages for history in second.histories() if history.messages},
        )
        known = {history.contact for history in contacts}
        only_second = [replace(new, messages=()) for new in second.histories() if new.contact not in known]
        contacts = tuple(sorted((*contacts, *only_second), key=lambda history: history.contact))
    return ReportData(
        title=title,
        span=first.span(),
        settings=first.settings | dict(settings or {}),
        totals=totals_of(contacts),
        contacts=contacts,
        compare=comparison,
    )


class _Reader:
    """Apply events, in order of time, to the contacts that they are about."""

    def __init__(self, default_zone: str | None) -> None:
        self.default_zone = default_zone
        self.contacts: dict[str, ContactDraft] = {}
        self.settings: dict[str, str] = {}
        self.pauses: list[tuple[str | None, Mark]] = []
        self.starts: list[datetime] = []
        self.until: datetime | None = None

    def span(self) -> tuple[str, str]:
        if not self.starts:
            end = iso(self.until) if self.until else "1970-01-01T00:00:00Z"
            return end, end
        return iso(min(self.starts)), iso(self.until or max(self.starts))

    def histories(self) -> tuple[ContactHistory, ...]:
        for contact in self.contacts.values():
            of_brand = (mark for brand, mark in self.pauses if brand in (None, contact.key.partition("/")[0]))
            contact.notes |= dict.fromkeys(of_brand)
        return tuple(self.contacts[key].finished(self.default_zone) for key in sorted(self.contacts))

    def apply(self, at: datetime, kind: str, detail: Mapping[str, Any]) -> None:
        if kind in _PAUSES:
            what = ", ".join(str(value) for value in _named(detail, "scope", "why", "until").values())
            self.pauses.append((detail.get("brand"), Mark(iso(at), _PAUSES[kind], what)))
            return
        where = detail.get("contact")
        if not isinstance(where, Mapping):
            return
        key = _contact_key(where.get("brand"), where.get("channel"), where.get("address"))
        contact = self.contacts.get(key)
        if contact is None:
            contact = self.contacts[key] = ContactDraft(key)
        _APPLY[kind](contact, at, detail)


def _read(lines: Iterable[Line], default_zone: str | None) -> _Reader:
    reader = _Reader(default_zone)
    events: list[tuple[datetime, bool, int, str, Mapping[str, Any]]] = []
    for number, line in enumerate(lines):
        kind = line.get("detail-type")
        if kind is not None:
            at = parse_instant(str(line.get("at") or line["time"]))
            is_out = "at" in line or line.get("source") == "reengage"
            reader.starts.append(at)
            if (kind in _APPLY or kind in _PAUSES) and (is_out or kind in _INPUTS):
                events.append((at, is_out, number, kind, line["detail"]))
        elif "until" in line:
            reader.until = parse_instant(str(line["until"]))
        elif "set" in line:
            reader.settings |= {str(name): str(value) for name, value in line["set"].items()}
    # What came in at an instant is before what it led to at that instant.
    for at, _, _, kind, detail in sorted(events):
        reader.apply(at, kind, detail)
    return reader


@cache
def _contact_key(brand: object, channel: object, address: object) -> str:
    """``brand/channel/address`` with the address in its normal form, or unchanged if it is not an address."""
    try:
        contact = Contact.of(str(brand), str(channel), str(address))
    except ValueError:
        return f"{brand}/{channel}/{address}"
    return f"{contact.brand}/{contact.channel}/{contact.address}"


def _instant(value: object) -> datetime | None:
    """Return a field's instant; ``None`` if it is not one: only the envelope's instant must be right."""
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _zone(value: object) -> str | None:
    """Return the zone's name, if it is one: facts may hold ``3 zones``."""
    return value if isinstance(value, str) and zone_of(value) else None


def _received(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    sent_at = _instant(detail.get("sent_at")) or at
    contact.opened_at.add(sent_at)
    contact.name = detail.get("display_name") or contact.name
    contact.given_zone = zone_if_witness(_zone(detail.get("timezone"))) or contact.given_zone
    message = Inbound(iso(sent_at), str(detail.get("text", "")), str(detail.get("kind") or "text"))
    contact.inbound.setdefault((str(detail.get("message_id", "")), message.at, message.text), message)


def _agent_replied(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    message = Inbound(iso(_instant(detail.get("occurred_at")) or at), str(detail.get("text", "")), "agent")
    contact.inbound.setdefault(("agent", message.at, message.text), message)


def _draft(contact: ContactDraft, detail: Mapping[str, Any]) -> MessageDraft:
    name = str(detail.get("scheduled_message_id", ""))
    if name not in contact.messages:
        draft = MessageDraft(name, str(detail.get("reason", "")), str(detail.get("subject_id", "")))
        contact.messages[name] = draft
    return contact.messages[name]


def _planned(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    draft = _draft(contact, detail)
    if draft.outcome in SENT:
        return  # published twice
    due_at = _instant(detail.get("due_at"))
    plan = (draft.reason, draft.subject_id, due_at)
    before = contact.messages.get(contact.open_plans.get(plan, ""))
    draft.planned_at = draft.planned_at or at
    if before and before is not draft and before.outcome == "scheduled":
        # A newer event of the subject: the new version replaces the message that was not sent yet.
        draft.planned_at, draft.held = before.planned_at, before.held
        del contact.messages[before.id]
    contact.open_plans[plan] = draft.id
    draft.due_at, draft.outcome, draft.at, draft.rule = due_at, "scheduled", None, None
    names = ("forecast", "window_expires_at", "opener")
    draft.facts = {name: detail[name] for name in names if detail.get(name) is not None}
    if closes := _instant(detail.get("window_expires_at")):
        contact.opened_at.add(closes - WINDOW)


def _requested(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    draft = _draft(contact, detail)
    draft.text = detail.get("text") or draft.text
    draft.at = draft.at or at


def _held(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    draft = _draft(contact, detail)
    rule, until, facts = (
        str(detail.get("rule", "")),
        _instant(detail.get("until")) or at,
        dict(detail.get("facts") or {}),
    )
    _learn(contact, facts)
    last = draft.held[-1] if draft.held else None
    if last and draft.held_until and last.rule == rule and at <= draft.held_until + CONTINUES:
        draft.held[-1] = Hold(rule, last.at, iso(max(until, draft.held_until)), facts)
    else:
        draft.held.append(Hold(rule, iso(at), iso(until), facts))
    draft.held_until = until


def _sent(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    draft = _draft(contact, detail)
    draft.text = detail.get("text") or draft.text
    draft.facts = dict(detail.get("facts") or {}) | _named(detail, "provider")
    draft.rule = None
    _learn(contact, draft.facts)
    draft.at = _instant(detail.get("sent_at")) or at
    if draft.outcome not in SENT:
        draft.outcome = "sent"


def _receipt(outcome: Outcome) -> Callable[[ContactDraft, datetime, Mapping[str, Any]], None]:
    def reported(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
        draft = _draft(contact, detail)
        draft.reported_at = _instant(detail.get("at")) or at
        draft.outcome = outcome
        draft.at = draft.at or draft.reported_at  # the receipt came before the provider's own response
        draft.facts = dict(draft.facts) | _named(detail, "error")

    return reported


def _ended(outcome: Outcome, *named: str) -> Callable[[ContactDraft, datetime, Mapping[str, Any]], None]:
    def ended(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
        draft = _draft(contact, detail)
        if draft.outcome in SENT:
            return  # the receipt of a message that counted as unconfirmed or failed was first
        draft.outcome, draft.at = outcome, at
        draft.rule = detail.get("rule")
        draft.text = detail.get("text") or draft.text
        draft.facts = dict(detail.get("facts") or {}) | _named(detail, *named)
        _learn(contact, draft.facts)

    return ended


def _named(detail: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: detail[name] for name in names if detail.get(name) is not None}


def _learn(contact: ContactDraft, facts: Mapping[str, Any]) -> None:
    """Take the zone and the window from the facts of a decision."""
    contact.used_zone = _zone(facts.get("zone")) or contact.used_zone
    if last := _instant(facts.get("last_inbound_at")):
        contact.opened_at.add(last)


def _choice(kind: str) -> Callable[[ContactDraft, datetime, Mapping[str, Any]], None]:
    def chosen(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
        if contact.opt_outs and contact.opt_outs[-1].kind == kind:
            return  # nothing changed
        cause = detail.get("cause")
        word = cause.get("word") if isinstance(cause, Mapping) else cause
        contact.opt_outs.append(Mark(iso(_instant(detail.get("occurred_at")) or at), kind, str(word or "")))

    return chosen


def _note(kind: str, *named: str) -> Callable[[ContactDraft, datetime, Mapping[str, Any]], None]:
    def noted(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
        note = ", ".join(str(value) for value in _named(detail, *named).values())
        contact.notes[Mark(iso(at), kind, note)] = None

    return noted


def _answered(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
    """Note the answer; of an unclear one also what was given, why it binds nothing, and what it may be about."""
    subjects = " and ".join(str(candidate.get("subject_id")) for candidate in detail.get("candidates") or ())
    parts = [*_named(detail, "answer", "given", "why").values(), *([subjects] if subjects else [])]
    contact.notes[Mark(iso(at), "appointment_answered", ", ".join(map(str, parts)))] = None


def _opened(kind: str) -> Callable[[ContactDraft, datetime, Mapping[str, Any]], None]:
    def opened(contact: ContactDraft, at: datetime, detail: Mapping[str, Any]) -> None:
        if last := _instant(detail.get("last_inbound_at")):
            contact.opened_at.add(last)
        contact.notes[Mark(iso(at), kind)] = None

    return opened


def _erased(contact: ContactDraft, at: datetime, _detail: Mapping[str, Any]) -> None:
    """Forget the name and every text so far: the report shows no more than the table holds."""
    contact.erased_at.append(at)
    contact.name = None
    contact.inbound = {
        (str(number), inbound.at, ""): Inbound(inbound.at, "", "erased")
        for number, inbound in enumerate(contact.inbound.values())
    }
    for draft in contact.messages.values():
        draft.text = None
    contact.notes[Mark(iso(at), "erased")] = None


_PAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {"SendingPaused": "sending_paused", "SendingResumed": "sending_resumed"}
)
"""Events of a brand, or of the whole stack, that the timeline of each of its contacts shows."""

_INPUTS: Final = frozenset({"MessageReceived", "AgentReplied"})
"""The events in that the report shows. Of the others it shows the outcome."""

_APPLY: Final[Mapping[str, Callable[[ContactDraft, datetime, Mapping[str, Any]], None]]] = MappingProxyType(
    {
        "MessageReceived": _received,
        "AgentReplied": _agent_replied,
        "MessagePlanned": _planned,
        "MessageSendRequested": _requested,
        "MessageHeld": _held,
        "MessageSent": _sent,
        "MessageDelivered": _receipt("delivered"),
        "MessageUndelivered": _receipt("undelivered"),
        "MessageSkipped": _ended("skipped"),
        "MessageFailed": _ended("failed", "error", "attempts"),
        "MessageUnconfirmed": _ended("unconfirmed", "claimed_at"),
        "ContactOptedOut": _choice("opted_out"),
        "ContactOptedIn": _choice("opted_in"),
        "ContactErased": _erased,
        "ConversationStarted": _opened("conversation_started"),
        "ConversationRestarted": _opened("conversation_restarted"),
        "ConversationClosing": _note("conversation_closing", "expires_at"),
        "OptOutSuspected": _note("opt_out_suspected"),
        "AppointmentAnswered": _answered,
        "ContactLinked": _note("contact_linked"),
        "ContactMoved": _note("contact_moved"),
    }
)
