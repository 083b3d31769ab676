"""Define what a report shows: values that JSON can hold, every instant as ISO 8601 text in UTC."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Outcome = Literal["sent", "delivered", "undelivered", "skipped", "failed", "unconfirmed", "scheduled"]

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "sent",
    "delivered",
    "undelivered",
    "skipped",
    "failed",
    "unconfirmed",
    "scheduled",
)
"""Every outcome of a message, in the order in which the page lists them."""

SENT: Final[frozenset[Outcome]] = frozenset({"sent", "delivered", "undelivered"})
"""The outcomes of a message that was handed to a provider."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold of a message by ``rule``, from ``at`` to ``until``."""

    rule: str
    at: str
    until: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One scheduled message with its outcome.

    ``at`` is the instant of the outcome. For a sent, delivered or undelivered message it is the send, and
    ``reported_at`` is the receipt. ``local_hour`` (0 to 23, by the contact's zone) and
    ``lateness_seconds`` (hand-over minus ``due_at``) are set only for a message that was sent.
    """

    id: str
    reason: str
    subject_id: str
    planned_at: str | None
    due_at: str | None
    outcome: Outcome
    at: str | None = None
    held: tuple[Hold, ...] = ()
    rule: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    local_hour: int | None = None
    lateness_seconds: float | None = None
    reported_at: str | None = None

    @property
    def was_sent(self) -> bool:
        return self.outcome in SENT


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message of the contact; with kind ``agent``, of a person of the business to the contact."""

    at: str
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant of the contact that is no message: kind ``opted_out``, ``opted_in``, ``erased`` and so on."""

    at: str
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ContactHistory:
    """All that happened with one contact. ``contact`` is ``brand/channel/address``; ``windows`` are [open, close]."""

    contact: str
    name: str | None = None
    zone: str | None = None
    windows: tuple[tuple[str, str], ...] = ()
    inbound: tuple[Inbound, ...] = ()
    opt_outs: tuple[Mark, ...] = ()
    notes: tuple[Mark, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A second run of the same story under other settings: its messages by contact."""

    title: str
    settings: Mapping[str, str]
    messages: Mapping[str, tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class ReportData:
    """The whole report. ``totals`` counts messages by reason and outcome; see ``totals_of``."""

    title: str
    span: tuple[str, str]
    settings: Mapping[str, str]
    totals: Mapping[str, Mapping[str, int]]
    contacts: tuple[ContactHistory, ...]
    compare: Comparison | None = None

    def messages(self) -> Iterator[tuple[ContactHistory, Message]]:
        """Yield every message with its contact, in the order of the contacts."""
        for contact in self.contacts:
            for message in contact.messages:
                yield contact, message

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain dicts and lists for ``json.dumps``."""
        return dataclasses.asdict(self)


def totals_of(contacts: tuple[ContactHistory, ...]) -> dict[str, dict[str, int]]:
    """Count the messages by reason and outcome; reasons sorted, outcomes in the order of ``OUTCOMES``."""
    counts = Counter((message.reason, message.outcome) for contact in contacts for message in contact.messages)
    return {
        reason: {outcome: counts[reason, outcome] for outcome in OUTCOMES if counts[reason, outcome]}
        for reason in sorted({reason for reason, _ in counts})
    }
