"""May this due message go out now? One pure function over a table of rules (CONTRACT.md, "The policy's rules").

The rules are asked in order, and the first one that stops the message is the one that is reported. A new rule
is a function and a row in ``RULES``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from .contact import Profile
from .conversation import Conversation
from .instants import iso
from .message import ScheduledMessage
from .subject import Family, Subject


class Action(StrEnum):
    SEND = "send"
    HOLD = "hold"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What one strongly consistent read found, and the clock after it."""

    message: ScheduledMessage
    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    now: datetime

    @property
    def family(self) -> Family | None:
        return self.subject.families.get(self.message.terms.family) if self.subject else None


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` is ``None`` for a send; ``until`` is given with a hold. ``facts`` are JSON values."""

    action: Action
    rule: str | None
    facts: Mapping[str, Any]
    until: datetime | None = None


class Stop(NamedTuple):
    """A rule's answer where it stops the message: with ``until`` a hold, without it a skip."""

    facts: Mapping[str, Any] = MappingProxyType({})
    until: datetime | None = None


Rule = Callable[[Circumstances], Stop | None]


def _superseded(case: Circumstances) -> Stop | None:
    """The subject has moved on since it asked for this message."""
    family = case.family
    if not family or not family.active:
        return None
    if case.message.version == family.revision:
        return None
    return Stop({"version": case.message.version, "subject_version": family.revision})


def _cancelled(case: Circumstances) -> Stop | None:
    if not case.family:
        return Stop({"subject": "gone"})
    return None if case.family.active else Stop({"subject_version": case.family.revision})


def _no_conversation(case: Circumstances) -> Stop | None:
    heard = case.conversation is not None or (case.profile is not None and case.profile.is_kept(case.now))
    return None if heard else Stop()


def _window_closed(case: Circumstances) -> Stop | None:
    return None if case.conversation and case.conversation.is_open(case.now) else Stop()


def _too_late(case: Circumstances) -> Stop | None:
    return Stop({"useful_until": iso(case.message.useful_until)}) if case.now >= case.message.useful_until else None


RULES: Final[Mapping[str, Rule]] = {
    "superseded": _superseded,
    "cancelled": _cancelled,
    "no_conversation": _no_conversation,
    "window_closed": _window_closed,
    "too_late": _too_late,
}


def decide(case: Circumstances) -> Decision:
    """The decision on one due message, with the facts that it rests on."""
    facts = _facts(case)
    for name, rule in RULES.items():
        stop = rule(case)
        if stop is None:
            continue
        facts |= stop.facts
        if stop.until is None:
            return Decision(Action.SKIP, name, facts)
        return _held(case, name, stop.until, facts)
    return Decision(Action.SEND, None, facts)


def deliver_before(case: Circumstances) -> datetime:
    """The instant from which the message may no longer go out: it is of no use, or the window is closed."""
    assert case.conversation is not None
    return min(case.message.useful_until, case.conversation.closes_at)


def _held(case: Circumstances, rule: str, until: datetime, facts: dict[str, Any]) -> Decision:
    """A hold that would outlast the message's use, or its window, is a skip at once."""
    if until >= case.message.useful_until:
        return Decision(Action.SKIP, "too_late", facts | {"held_by": rule, "until": iso(until)})
    if case.conversation and not case.conversation.is_open(until):
        return Decision(Action.SKIP, "window_closed", facts | {"held_by": rule, "until": iso(until)})
    return Decision(Action.HOLD, rule, facts, until)


def _facts(case: Circumstances) -> dict[str, Any]:
    """What every decision reports: when it was made, and how the window stood."""
    facts: dict[str, Any] = {"decided_at": iso(case.now)}
    if case.conversation:
        facts["last_inbound_at"] = iso(case.conversation.last_inbound_at)
        facts["window_expires_at"] = iso(case.conversation.closes_at)
    return facts
