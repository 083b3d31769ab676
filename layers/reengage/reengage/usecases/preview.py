"""What an event would plan, before anything is stored: texts, due times, and the policy's forecast of each."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from reengage.domain.broadcast import Broadcast
from reengage.domain.contact import Contact
from reengage.domain.events_out import subject_of
from reengage.domain.instants import iso
from reengage.domain.message import ScheduledMessage, State
from reengage.domain.planning import broadcasts, corrections, planned_messages
from reengage.domain.policy import Action, Decision, PolicyInput, PolicySettings, default_zone
from reengage.domain.recipient import choose
from reengage.domain.same_person import with_aliases
from reengage.domain.subject import BusinessEvent, Subject
from reengage.domain.window_closing import plan_for_closing, with_longest_window
from reengage.ports import Clock, PreviewStore, Render
from reengage.usecases.corrections import is_needed, numbered, sent_about
from reengage.usecases.person import Addresses
from reengage.usecases.plan_diff import aliases_for

HOLDS: Final = 20
"""A message may be held by several rules in turn: by a full cap, then through the night. More is no forecast."""


def preview(
    event: BusinessEvent, *, store: PreviewStore, render: Render, settings: PolicySettings, clock: Clock
) -> dict[str, Any]:
    """``planned``: each message with its due time, its text and its forecast, should nothing change until then;
    ``broadcasts``: what would go to an audience, and its text; ``withdrawn``: those that would no longer be sent;
    ``stale``: newer events replace all of this one. Reads the store, and writes nothing. JSON values.
    """
    now = clock()
    former = store.read_subject(event.subject) or Subject(event.subject)
    subject = former.apply(event)
    addresses = Addresses(store, now)
    if not subject.reflects(event):
        return {"planned": [], "broadcasts": [], "withdrawn": [], "stale": True}
    # It arrives now: an erasure stops only what was planned before.
    zone = default_zone(store.read_brand(subject.ref.brand), settings)
    is_repeat = former.newest_revision == subject.newest_revision
    aliases = aliases_for(event, subject, addresses)
    subject, former = with_aliases(subject, aliases), with_aliases(former, aliases)
    plan = [replace(message, planned_at=now) for message in planned_messages(subject, zone)]
    plan += _corrections(event, subject, former, now, store=store, addresses=addresses)
    wanted = {message.key for message in plan}
    if event.person:
        plan = [message for message in plan if is_repeat or message.version == subject.newest_revision]
    undone = [message.key for message in planned_messages(former, zone) if message.key not in wanted]
    withdrawn = [row for key in undone if (row := store.read_message(key)) and row.state is State.SCHEDULED]
    return {
        "planned": [
            _forecast(message, subject, now, store=store, render=render, settings=settings)
            for message in plan
            if _is_to_come(store.read_message(message.key))
        ],
        "broadcasts": [
            _announced(broadcast, subject, now, store=store, render=render, settings=settings)
            for broadcast in broadcasts(subject, zone)
        ],
        "withdrawn": [_about(row) for row in withdrawn],
        "stale": False,
    }


def _corrections(
    event: BusinessEvent,
    subject: Subject,
    former: Subject,
    now: datetime,
    *,
    store: PreviewStore,
    addresses: Addresses,
) -> list[ScheduledMessage]:
    if event.track not in former.tracks:
        return []
    present = corrections(subject, now)
    sent = [(message, sent_about(message, store, addresses.all(message.contact))) for message in present]
    return [numbered(message, about) for message, about in sent if is_needed(message, about)]


def _announced(
    broadcast: Broadcast,
    subject: Subject,
    now: datetime,
    *,
    store: PreviewStore,
    render: Render,
    settings: PolicySettings,
) -> dict[str, Any]:
    """In the brand's language: what a person reads depends on theirs, and whether they do on the whole policy."""
    message = broadcast.message_for(Contact(broadcast.subject.brand, "sms", ""), None, at=now)
    context = PolicyInput(
        message=message,
        subject=subject,
        profile=None,
        conversation=None,
        now=max(now, broadcast.due_at),
        brand=store.read_brand(broadcast.subject.brand),
        settings=settings,
    )
    wording = render(context)
    about = {name: value for name, value in _about(message).items() if name not in ("contact", "step")}
    return {**about, "audience": message.reason_spec.audience, "text": wording.text, "locale": wording.locale}


def _is_to_come(row: ScheduledMessage | None) -> bool:
    """A plan is not written over what is in a sender's hands, or has an outcome."""
    return row is None or row.state in (State.SCHEDULED, State.SKIPPED)


def _forecast(
    message: ScheduledMessage,
    subject: Subject,
    now: datetime,
    *,
    store: PreviewStore,
    render: Render,
    settings: PolicySettings,
) -> dict[str, Any]:
    about = _about(message)
    if not message.reason_spec.send_if_late and message.due_at < now:
        return {**about, "forecast": "skip", "rule": "too_late", "facts": {"due_at": iso(message.due_at)}}
    snapshot = store.read_snapshot(message)._replace(subject=subject)
    context = PolicyInput.of(snapshot, message, settings, now)
    ahead = plan_for_closing(with_longest_window(context), message.due_at)
    context = replace(context, now=ahead.at if ahead.why == "pull_forward" else max(now, message.due_at))
    chosen, decision = choose(context)
    hold_rules: list[dict[str, Any]] = []
    while decision.action is Action.HOLD and decision.until and len(hold_rules) < HOLDS:
        hold_rules.append({"rule": decision.rule, "until": iso(decision.until)})
        context = replace(context, now=decision.until)
        chosen, decision = choose(context)
    wording = render(chosen)
    return {
        **about,
        "forecast": decision.action,
        **_when(context, decision),
        **({f"{ahead.why}_at": iso(ahead.at)} if ahead.why != "due" else {}),
        "held_by": hold_rules,
        "facts": dict(decision.facts),
        "text": wording.text,
        "locale": wording.locale,
        "template": {"name": wording.template, "parameters": list(wording.parameters)},
    }


def _when(context: PolicyInput, decision: Decision) -> dict[str, Any]:
    return {"sent_at": iso(context.now)} if decision.action is Action.SEND else {"rule": decision.rule}


def _about(message: ScheduledMessage) -> dict[str, Any]:
    # Its id is made when it is planned.
    about = {name: value for name, value in subject_of(message).items() if name != "scheduled_message_id"}
    return about | {
        "step": message.offset,
        "due_at": iso(message.due_at),
        "useful_until": iso(message.valid_until),
    }
