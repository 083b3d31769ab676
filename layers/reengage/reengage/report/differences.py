"""Find what a second run under other settings changes: messages gained, lost, moved, or stopped by another rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from .data import Message, ReportData

Change = Literal["gained", "lost", "moved", "other_outcome"]

CHANGES: Final[tuple[Change, ...]] = ("gained", "lost", "moved", "other_outcome")

MOVED_BY: Final = timedelta(minutes=1)
"""A send time that differs by less is the same: the senders run once a minute."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One message that ends otherwise in the second run; ``None`` if that run does not plan it."""

    contact: str
    change: Change
    first: Message | None
    second: Message | None


def differences(data: ReportData) -> tuple[Difference, ...]:
    """Compare the two runs message by message, by the message's id; empty without a second run."""
    if data.compare is None:
        return ()
    first = {history.contact: history.messages for history in data.contacts}
    second = data.compare.messages
    found: list[Difference] = []
    for contact in sorted(first.keys() | second.keys()):
        for one, other in _pairs(first.get(contact, ()), second.get(contact, ())):
            if change := _change(one, other):
                found.append(Difference(contact, change, one, other))
    return tuple(found)


def _pairs(first: tuple[Message, ...], second: tuple[Message, ...]) -> Iterator[tuple[Message | None, Message | None]]:
    others = {message.id: message for message in second}
    for message in first:
        yield message, others.pop(message.id, None)
    for message in others.values():
        yield None, message


def _change(first: Message | None, second: Message | None) -> Change | None:
    before, after = bool(first and first.was_sent), bool(second and second.was_sent)
    if before != after:
        return "gained" if after else "lost"
    if before and first and second and _apart(first.at, second.at) >= MOVED_BY:
        return "moved"
    if not before and _ending(first) != _ending(second):
        return "other_outcome"
    return None


def _apart(one: str | None, other: str | None) -> timedelta:
    if not one or not other:
        return timedelta()
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other))


def _ending(message: Message | None) -> tuple[str, str | None] | None:
    return (message.outcome, message.rule) if message else None
