"""The types of the events out: what consumers can rely on.

A docstring says when the event is published. A test compares these types with what the code publishes. Consumers must
ignore fields that they do not know: a later version may add some.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct

from reengage.adapters.inbound.field_types import Channel, Instant, Optional


class Contact(Struct):
    brand: str
    channel: Channel
    address: str


class AboutContact(Struct, kw_only=True):
    contact: Contact


class Address(Struct):
    channel: Channel
    address: str


class AboutMessage(AboutContact, kw_only=True):
    scheduled_message_id: str
    reason: str
    subject_id: str
    planned_for: Address | Optional = UNSET


class Button(Struct):
    label: str
    payload: str


class Template(Struct):
    name: str
    parameters: list[str]


class DueMessage(Struct):
    scheduled_message_id: str
    reason: str
    subject_id: str
    due_at: Instant


class Candidate(Struct):
    subject_id: str
    scheduled_message_id: str


Facts = Annotated[dict[str, Any], Meta(description="")]


class MessagePlanned(AboutMessage, kw_only=True):
    """An event led to a scheduled message."""

    due_at: Instant
    window_expires_at: Instant | Optional = UNSET
    forecast: Annotated[
        str, Meta(description="`send`, `no_conversation`, `window_closed`, `quiet_hours`, `unknown_timezone`")
    ]
    opener: Annotated[str, Meta(description="[how the person can write first](#openers)")] | Optional = UNSET
    opener_text: str | Optional = UNSET
    opener_expires_at: Instant | Optional = UNSET


class MessageSendRequested(AboutMessage, kw_only=True):
    """Your system must deliver a message; once for each message."""

    text: str
    locale: str
    template: Template
    replies: Annotated[list[Button], Meta(description="buttons: `label` and `payload`")] | Optional = UNSET
    data: dict[str, Any]
    free_text_until: Instant | Optional = UNSET
    deliver_before: Instant | Optional = UNSET


class MessageSent(AboutMessage, kw_only=True):
    """A provider accepted it."""

    provider: str | Optional = UNSET
    provider_message_id: str | Optional = UNSET
    sent_at: Instant
    facts: Facts | Optional = UNSET


class MessageSkipped(AboutMessage, kw_only=True):
    """A rule rejected it for good, or its offset was past when it was planned."""

    rule: str
    facts: Facts | Optional = UNSET


class MessageHeld(AboutMessage, kw_only=True):
    """A rule postponed it."""

    rule: str
    until: Instant
    facts: Facts | Optional = UNSET


class MessageFailed(AboutMessage, kw_only=True):
    """A provider rejected it for good, or seven attempts failed by an error of the app."""

    error: str
    attempts: int


class MessageUnconfirmed(AboutMessage, kw_only=True):
    """The outcome is unknown after a crash or a time-out; it is not repeated."""

    claimed_at: Instant | Optional = UNSET


class MessageDelivered(AboutMessage, kw_only=True):
    """A receipt arrived."""

    provider_message_id: str | Optional = UNSET
    at: Instant
    error: str | Optional = UNSET


class MessageUndelivered(MessageDelivered, kw_only=True):
    """A receipt arrived, or the provider rejected it and it is tried at another address."""

    falls_back: Annotated[bool, Meta(description="it is tried at another address")] | Optional = UNSET
    rule: Annotated[str, Meta(description="that ended a fallback")] | Optional = UNSET
    facts: Facts | Optional = UNSET


class ConversationStarted(AboutContact, kw_only=True):
    """The first message ever."""

    last_inbound_at: Instant


class ConversationRestarted(ConversationStarted, kw_only=True):
    """The first message after `WelcomeBackAfter`, or after the window closed."""


class ConversationClosing(AboutContact, kw_only=True):
    """[the window closes before a message is due](../functions/README.md#when-the-window-closes-first)."""

    expires_at: Instant
    scheduled_messages: Annotated[
        list[DueMessage],
        Meta(description="each with `scheduled_message_id`, `reason`, `subject_id`, `due_at`"),
    ]


Cause = Annotated[
    Any,
    Meta(
        description="the `word` and the `message_id`, if the person wrote it; `open_question`, if CANCEL came after "
        "a reminder"
    ),
]


class ContactOptedOut(AboutContact, kw_only=True):
    """A contact opted out."""

    cause: Cause | Optional = UNSET


class ContactOptedIn(AboutContact, kw_only=True):
    """A contact opted in."""

    cause: Annotated[Any, Meta(description="the `word` and the `message_id`, or the evidence")] | Optional = UNSET


class AppointmentAnswered(AboutContact, kw_only=True):
    """A person answered a reminder; once an answer."""

    answer: Annotated[
        Literal["confirmed", "cancel_requested", "reschedule_requested", "unclear"],
        Meta(description="`confirmed`, `cancel_requested`, `reschedule_requested`, `unclear`"),
    ]
    message_id: str
    bound_by: (
        Annotated[
            Literal["button", "quote", "only_open_question"],
            Meta(description="`button`, `quote`, `only_open_question`"),
        ]
        | Optional
    ) = UNSET
    also_opted_out: bool
    scheduled_message_id: str | Optional = UNSET
    reason: str | Optional = UNSET
    subject_id: str | Optional = UNSET
    planned_for: Address | Optional = UNSET
    given: Annotated[str, Meta(description="if unclear")] | Optional = UNSET
    why: Annotated[str, Meta(description="if unclear")] | Optional = UNSET
    candidates: (
        Annotated[list[Candidate], Meta(description="if unclear, each with `subject_id` and `scheduled_message_id`")]
        | Optional
    ) = UNSET


class OptOutSuspected(AboutContact, kw_only=True):
    """A message seems to ask for a stop in unlisted words; let a person read it."""

    message_id: str


class ContactErased(AboutContact, kw_only=True):
    """The contact's data was deleted; one event for each channel of the number that had any."""

    cause: Annotated[Any, Meta(description="`asked_at`")] | Optional = UNSET


class ContactLinked(AboutContact, kw_only=True):
    """Two addresses are one person; also if a provider reports it."""

    same_as: Contact


class ContactMoved(AboutContact, kw_only=True):
    """The person left an address; also if a provider reports it."""

    to: Contact


class SendingResumed(Struct, kw_only=True):
    """Sending was resumed."""

    brand: Annotated[str, Meta(description="without it: the whole stack")] | Optional = UNSET
    scope: str
    occurred_at: Instant


class SendingPaused(SendingResumed, kw_only=True):
    """Sending was paused."""

    why: str | Optional = UNSET
    until: Instant | Optional = UNSET


class EventRejected(Struct, kw_only=True):
    """An event was invalid."""

    errors: list[str]
    event_id: str | Optional = UNSET
    rejected_detail_type: str | Optional = UNSET


EVENTS_OUT: Final[Mapping[str, type[Struct]]] = {
    event.__name__: event
    for event in (
        MessagePlanned,
        MessageSendRequested,
        MessageSent,
        MessageSkipped,
        MessageHeld,
        MessageFailed,
        MessageUnconfirmed,
        MessageDelivered,
        MessageUndelivered,
        ConversationStarted,
        ConversationRestarted,
        ConversationClosing,
        ContactOptedOut,
        ContactOptedIn,
        AppointmentAnswered,
        OptOutSuspected,
        ContactErased,
        ContactLinked,
        ContactMoved,
        SendingPaused,
        SendingResumed,
        EventRejected,
    )
}
"""In the order of the document's table."""
