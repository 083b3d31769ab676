"""Time, unique ids, the event bus, the queue of rejected events, and texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from reengage.domain.events_out import OutEvent
from reengage.domain.policy import PolicyInput

Clock = Callable[[], datetime]
"""Return the current time in UTC; each call reads the clock."""

NewId = Callable[[], str]
"""Return a unique id."""


class Publish(Protocol):
    """Put events on the bus, each at least once. Raises ``NotPublished`` with how many failed after the retries."""

    def __call__(self, events: Sequence[OutEvent]) -> None: ...


class KeepRejected(Protocol):
    """Store a rejected event whole, with its errors."""

    def __call__(self, event: Any, errors: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class QuickReply:
    """A button under a message: its label of at most 20 characters, and the data that it sends back."""

    label: str
    payload: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in one locale, and what a provider's approved template needs: its name and its parameters in order.

    ``replies`` are the buttons for a text that asks for an answer; ``template_has_replies``: the template has them
    too. ``names``: how many appointments the text names.
    """

    text: str
    locale: str
    template: str
    parameters: Sequence[str] = ()
    replies: Sequence[QuickReply] = ()
    template_has_replies: bool = False
    names: int = 1


class Render(Protocol):
    """Render a message's text."""

    def __call__(self, context: PolicyInput, /) -> Wording: ...
