"""What was planned for a contact, what happened, and why: the decision ledger, and all that is held of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from reengage.domain.business_events import second_of
from reengage.domain.contact import Contact
from reengage.domain.conversation import UnclearAnswer
from reengage.domain.events_out import subject_of
from reengage.domain.forecast import Forecast, forecast
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.openers import FORECASTS
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.preferences import Choice, Preferences
from reengage.domain.subject import Subject, SubjectRef
from reengage.ports import Clock, ContactStore, Holdings, SnapshotReader, ThreadsReader
from reengage.usecases.openers import OpenerDesk
from reengage.usecases.person import addresses_of, channels_of
from reengage.usecases.read_openers import OpenerQueryStore, read_openers

Entry = dict[str, Any]
"""``at`` (ISO 8601, UTC), ``what`` happened or will happen, and details; JSON values; ``None`` if not known."""

TIMES: Final = ("starts_at", "ends_at", "timezone")
"""Fields of a subject that say when it is."""

UNSETTLED: Final = (State.SCHEDULED, State.SENDING)

CHOICE_LABELS: Final = {
    ("contact", False): "opted out",
    ("contact", True): "opted in",
    ("marketing", False): "refused marketing",
    ("marketing", True): "consented to marketing",
}


class LedgerStore(ContactStore, SnapshotReader, ThreadsReader, Protocol):
    """What a ledger reads."""


class SubjectLedgerStore(LedgerStore, OpenerQueryStore, Protocol):
    """What the ledgers of a subject read."""


FORMER_FACTS: Final = {"mend": "hint"}
"""Names of facts in rows of older versions, and today's names."""


def explain(
    contact: Contact,
    *,
    store: LedgerStore,
    clock: Clock,
    settings: PolicySettings | None = None,
    desk: OpenerDesk | None = None,
) -> dict[str, Any]:
    """The ledger: ``contact``, ``asked_at``, ``stands`` (the present state) and ``entries``, in order of time.

    With ``settings``, each message that is still scheduled has its forecast, and its opener with ``desk``. JSON values;
    the person's own texts are not among them. ``linked`` has the state of each other address of the person: linked
    ones, and the number's other channels. An entry about such an address has its ``channel`` and ``address``.
    """
    ledger_of = partial(_ledger, store=store, clock=clock, settings=settings, desk=desk)
    ledger = ledger_of(contact)
    linked, entries, known = [], list(ledger["entries"]), list(ledger["entries"])
    for other in _others_of(contact, store):
        about, theirs = _address(other), ledger_of(other)
        linked.append(
            {**about, "stands": theirs["stands"], **({"times": theirs["times"]} if "times" in theirs else {})}
        )
        # Two channels of one number have the same choices.
        news = [entry for entry in theirs["entries"] if entry not in known]
        known += news
        entries += [entry | about for entry in news]
    if linked:
        entries.sort(key=lambda entry: datetime.fromisoformat(entry["at"]))
        ledger |= {"linked": linked, "entries": entries}
    return ledger


def _others_of(contact: Contact, store: LedgerStore) -> list[Contact]:
    """Return the person's linked addresses, and each other channel of their numbers of which something is stored."""
    addresses = addresses_of(contact, store)
    threads = store.read_threads(addresses)
    channels = [other for each in addresses for other in channels_of(each, threads[each].preferences, store)]
    used = [each for each in dict.fromkeys(channels) if each not in addresses and _is_stored(each, store)]
    return [*addresses[1:], *used]


def _is_stored(contact: Contact, store: LedgerStore) -> bool:
    return not store.read_holdings_page(contact)[0].is_empty


def _address(contact: Contact) -> dict[str, str]:
    return {"channel": contact.channel, "address": contact.address}


def _ledger(
    contact: Contact,
    *,
    store: LedgerStore,
    clock: Clock,
    settings: PolicySettings | None,
    desk: OpenerDesk | None,
) -> dict[str, Any]:
    """Return the ledger of one address."""
    held, now = store.read_holdings(contact), clock()
    entries = [*_messages_in(held), *_choices(contact, held.preferences), *_consents(held)]
    for message in held.scheduled:
        expected = {}
        if settings and message.state is State.SCHEDULED:
            context = PolicyInput.of(store.read_snapshot(message), message, settings, now)
            ahead = forecast(context, max(message.due_at, message.planned_due_at or message.due_at))
            expected = _forecast(ahead) | (_opener(context, desk) if ahead.decision.rule in FORECASTS and desk else {})
        entries += _of_message(message, expected)
    times = {f"{of.ref.kind} {of.ref.id}": found for of in held.subjects if (found := _times(of))}
    return {
        **subject_of(contact),
        "asked_at": iso(now),
        "stands": _state(contact, held, now),
        **({"times": times} if times else {}),
        "entries": sorted(entries, key=lambda entry: datetime.fromisoformat(entry["at"])),
    }


def explain_subject(
    ref: SubjectRef,
    *,
    store: SubjectLedgerStore,
    clock: Clock,
    settings: PolicySettings | None = None,
    desk: OpenerDesk | None = None,
) -> dict[str, Any]:
    """Return the ledgers of the contacts that an appointment, a trial or an order names, one for each person.

    Each has only the entries about this subject, beside those about the contact. Empty if the subject is not stored. If
    it names no contact, ``openers`` has the one that binds its sender.
    """
    subject = store.read_subject(ref)
    named = subject.contacts if subject else ()
    no_one = read_openers(ref, store=store, invite=desk.invite, clock=clock) if desk and subject and not named else None
    ledgers = _of_each(named, partial(explain, store=store, clock=clock, settings=settings, desk=desk))
    for ledger in ledgers:
        ledger["entries"] = [entry for entry in ledger["entries"] if _is_about(entry, ref)]
    openers = {"openers": no_one["openers"]} if no_one else {}
    return {"brand": ref.brand, "kind": ref.kind, "id": ref.id, "ledgers": ledgers, **openers}


def _is_about(entry: Entry, ref: SubjectRef) -> bool:
    """Whether an entry is about this subject, or about the contact alone."""
    named = [entry, *entry.get("candidates", ())]
    ids = {each["subject_id"] for each in named if "subject_id" in each}
    return not ids or ref.id in ids


def _of_each(contacts: Iterable[Contact], explained: Callable[[Contact], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ledger of each contact that no ledger before has."""
    ledgers: list[dict[str, Any]] = []
    for contact in contacts:
        if not any(_covers(ledger, contact) for ledger in ledgers):
            ledgers.append(explained(contact))
    return ledgers


def _covers(ledger: Mapping[str, Any], contact: Contact) -> bool:
    """Whether the ledger of another contact has this one, too, as an address of the same person."""
    return any(_address(contact).items() <= other.items() for other in ledger.get("linked", ()))


def export(contact: Contact, *, store: LedgerStore, clock: Clock, cursor: str | None = None) -> dict[str, Any]:
    """Return all data stored of a contact, its texts included, as JSON values, in parts.

    ``next`` is in every part but the last: give it as ``cursor`` for the next part. ``linked``, in the first part,
    names the person's other addresses: linked ones, and the number's other channels. Each is exported by itself.
    """
    linked = [_address(other) for other in _others_of(contact, store)] if cursor is None else []
    holdings, following = store.read_holdings_page(contact, cursor)
    held: dict[str, Any] = msgspec.to_builtins(holdings)
    part = {**subject_of(contact), "exported_at": iso(clock()), **held}
    return part | ({"next": following} if following else {}) | ({"linked": linked} if linked else {})


def _state(contact: Contact, held: Holdings, now: datetime) -> dict[str, Any]:
    conversation, preferences = held.conversation, held.preferences
    window = "never opened" if held.profile is None or not held.profile.is_kept(now) else "closed"
    if conversation:
        window = "open" if conversation.is_open(now) else "closed"
    marketing = preferences.choice("marketing", contact.channel)
    return {
        "window": window,
        "window_expires_at": iso(conversation.closes_at) if conversation else None,
        "conversation": conversation.opening if conversation else None,
        "opted_out": preferences.refused("contact", contact.channel) is not None,
        "marketing_consent": marketing.allowed if marketing else None,
        "timezone": held.profile.timezone if held.profile else None,
        "locale": held.profile.locale if held.profile else None,
        "subjects": {
            f"{subject.ref.kind} {subject.ref.id}": {
                name: "active" if track.active else "ended" for name, track in subject.tracks.items()
            }
            for subject in held.subjects
        },
    }


def _times(subject: Subject) -> dict[str, str]:
    """Return when it starts or ends, as its newest event has it, and the instant of that event.

    A wrong offset or zone explains a wrong hour. A cancellation without effect did not arrive, or is older.
    """
    found = {name: track.get(name) for track in subject.tracks.values() for name in TIMES}
    versions = [track.version for track in subject.tracks.values() if track.version >= 0]
    newest = {"newest_event_at": iso(second_of(max(versions)))} if versions else {}
    return {name: str(value) for name, value in found.items() if value is not None} | newest


def _messages_in(held: Holdings) -> Iterator[Entry]:
    if held.profile:
        yield _entry(held.profile.first_seen_at, "first message")
    for message in held.inbound:
        yield _entry(message.sent_at, "wrote", message_id=message.message_id)
        for answer in message.unclear:
            yield _entry(message.sent_at, "unclear answer", message_id=message.message_id, **_unclear(answer))
    if held.conversation:
        yield _entry(held.conversation.closes_at, "window closes", last_inbound_at=held.conversation.last_inbound_at)


def _unclear(answer: UnclearAnswer) -> Entry:
    """Why an answer changed nothing, and what it may be about; not the person's words."""
    candidates = [asdict(candidate) for candidate in answer.candidates]
    return {"given": answer.given, "why": answer.why, "bound_by": answer.bound_by, "candidates": candidates or None}


def _choices(contact: Contact, preferences: Preferences) -> Iterator[Entry]:
    def entry(topic: str, scope: str, choice: Choice) -> Entry:
        return _entry(choice.at, CHOICE_LABELS[topic, choice.allowed], scope=scope, cause=choice.cause)

    for scope, choice in preferences.contact.items():
        yield entry("contact", scope, choice)
    for scope, choice in preferences.marketing.items():
        yield entry("marketing", scope, choice)
    if erasure := preferences.erasures.get(contact.channel):
        yield _entry(erasure.at, "erased", asked_at=erasure.asked_at)


def _consents(held: Holdings) -> Iterator[Entry]:
    for consent in held.consents:
        yield _entry(consent.at, "agreed to messages", message_id=consent.message_id, subject_id=consent.subject.id)


def _opener(context: PolicyInput, desk: OpenerDesk) -> Entry:
    """How the person can write first, if a valid opener is stored."""
    contact, subject = context.message.contact, context.subject
    found = desk.find([(subject, contact)], brand=context.brand, now=context.now) if subject else {}
    return next((dict(invitation.as_fields) for invitation in found.values()), {})


def _forecast(expected: Forecast) -> Entry:
    """What the policy would decide if nothing changed until then."""
    return {
        "forecast": str(expected.decision.action),
        "forecast_at": expected.at if expected.is_sent else None,
        "forecast_rule": None if expected.is_sent else expected.decision.rule,
        "forecast_held_by": ", ".join(dict.fromkeys(expected.held_by)) or expected.decision.facts.get("held_by"),
    }


def _of_message(message: ScheduledMessage, expected: Entry) -> Iterator[Entry]:
    """Yield a message twice: when it was planned, and when it was settled, or is due."""
    # A broadcast plans its messages as they fall due.
    planned_at = message.planned_due_at or message.due_at if message.reason_spec.audience else message.planned_at
    yield _entry(planned_at, "planned", **_about(message), due_at=message.planned_due_at or message.due_at)
    settled, due_at = message.settled_at, max(message.due_at, message.planned_due_at or message.due_at)
    at = due_at if message.state in UNSETTLED or settled is None else settled
    yield _entry(
        at,
        message.state,
        **_about(message),
        looked_at_before_the_window_closes=message.due_at if at == due_at > message.due_at else None,
        held_by=message.hold_rules,
        rule=message.rule,
        facts=_facts(message) or None,
        answer=_answer(message),
        attempts=message.attempts or None,
        provider=message.provider,
        provider_message_id=message.provider_message_id,
        error=message.error,
        text=message.text,
        locale=message.locale,
        template=message.template,
        **expected,
    )


def _facts(message: ScheduledMessage) -> Entry:
    """Return the facts of the last decision, also of an older version, by today's names."""
    return {FORMER_FACTS.get(name, name): value for name, value in message.facts.items()}


def _answer(message: ScheduledMessage) -> Entry | None:
    """What the contact answered to the message."""
    if message.answer is None:
        return None
    answer = message.answer
    return {"answer": answer.answer, "bound_by": answer.bound_by, "message_id": answer.message_id, "at": iso(answer.at)}


def _about(message: ScheduledMessage) -> Entry:
    return {
        "reason": message.reason,
        "subject_id": message.subject.id,
        "step": message.offset,
        "scheduled_message_id": message.scheduled_message_id,
    }


def _entry(at: datetime, what: str, **details: Any) -> Entry:
    given = {name: value for name, value in details.items() if value is not None}
    return {"at": iso(at), "what": str(what)} | {
        name: iso(value) if isinstance(value, datetime) else value for name, value in given.items()
    }
