"""The reasons for which a message is sent: one row for each (layers/README.md, "Reasons").

A new reason is a row here, an entry in each locale of ``wording`` and a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

from .instants import Duration

Category = Literal["utility", "marketing", "reply"]
SendGroup = Literal["appointments", "trials", "updates"]
Priority = Literal["high", "low"]
Audience = Literal["open_conversations", "interested"]
Correction = Literal["moved", "cancelled"]
"""What makes an earlier message false, so that another one corrects it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """When messages of one reason are due and valid, to which contacts, and how often.

    A message is due at the subject's ``anchor`` (an instant) plus each offset of the field ``offsets``. If no event
    gave offsets, ``default_offsets`` count. ``before``: offsets count backwards. A message is valid until the next one
    is due. The last one is valid for ``valid_for``, else until the end of the day in ``valid_until_field``, else until
    the anchor.

    | field | meaning |
    |---|---|
    | ``required_field`` | without this field there is no message |
    | ``also_cancelled_by``, ``ended_by`` | another track of the subject that cancels it too |
    | ``once`` | one message for each subject, also if its anchor moves |
    | ``send_if_late`` | a late event still leads to a message while that is valid |
    | ``earliest_offset`` | the earliest send, if the window closes first; ``None``: not before it is due |
    | ``needs_consent`` | marketing that always needs a recorded consent |
    | ``valid_until_instant`` | the field with the instant until which a message is valid, by the business |
    | ``can_be_merged`` | one text may name several subjects of one contact |
    | ``audience`` | a broadcast to all of these contacts, instead of the subject's own contact |

    A reply has no anchor: it is due at once, and it is about the message that it answers.
    """

    category: Category
    send_group: SendGroup
    kind: str
    track: str
    anchor: str = ""
    offsets: str = ""
    default_offsets: tuple[Duration, ...] = (Duration(),)
    before: bool = False
    valid_for: timedelta | None = None
    valid_until_field: str = ""
    valid_until_instant: str = ""
    required_field: str = ""
    also_cancelled_by: str = ""
    ended_by: str = ""
    ended_by_purchase: bool = False
    correction: Correction | None = None
    once: bool = False
    send_if_late: bool = False
    earliest_offset: Duration | None = None
    needs_consent: bool = False
    can_be_merged: bool = False
    audience: Audience | None = None

    @property
    def priority(self) -> Priority:
        """Utility messages and replies go before all marketing, however much of it is due."""
        return "low" if self.category == "marketing" else "high"


REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "appointment_reminder": Reason(
            category="utility",
            send_group="appointments",
            kind="appointment",
            track="appointment",
            anchor="starts_at",
            offsets="remind_before",
            default_offsets=(Duration.parse("P1D"), Duration.parse("PT2H")),
            before=True,
            earliest_offset=Duration.parse("-P7D"),
            can_be_merged=True,
        ),
        "online_check_in": Reason(
            category="utility",
            send_group="appointments",
            kind="appointment",
            track="appointment",
            anchor="starts_at",
            offsets="check_in_before",
            default_offsets=(Duration.parse("PT24H"),),
            before=True,
            required_field="check_in_url",
            also_cancelled_by="check_in",
            can_be_merged=True,
        ),
        # Planned only if a message with the former time, or about the cancelled appointment, was sent.
        **{
            f"appointment_{correction}": Reason(
                category="utility",
                send_group="appointments",
                kind="appointment",
                track="appointment",
                anchor="starts_at",
                send_if_late=True,
                correction=correction,
                can_be_merged=True,
            )
            for correction in get_args(Correction)
        },
        "trial_follow_up": Reason(
            category="marketing",
            send_group="trials",
            kind="trial",
            track="trial",
            anchor="ends_at",
            offsets="follow_up",
            default_offsets=(Duration.parse("-P3D"), Duration.parse("P1D")),
            valid_for=timedelta(days=3),
            earliest_offset=Duration.parse("-P7D"),
        ),
        "product_reminder": Reason(
            category="marketing",
            send_group="updates",
            kind="product",
            track="product",
            anchor="viewed_at",
            default_offsets=(Duration.parse("PT4H"),),
            valid_for=timedelta(hours=44),  # 48 hours after the event
            ended_by_purchase=True,
            earliest_offset=Duration.parse("PT1H"),
        ),
        "cart_reminder": Reason(
            category="marketing",
            send_group="updates",
            kind="cart",
            track="cart",
            anchor="abandoned_at",
            default_offsets=(Duration.parse("PT4H"),),
            valid_for=timedelta(hours=44),  # 48 hours after the event
            once=True,
            ended_by_purchase=True,
            earliest_offset=Duration.parse("PT1H"),
        ),
        "order_shipped": Reason(
            category="utility",
            send_group="updates",
            kind="order",
            track="order",
            anchor="shipped_at",
            valid_for=timedelta(days=3),
            ended_by="review",  # delivered or returned before the message is sent
            once=True,
            send_if_late=True,
        ),
        "review_request": Reason(
            category="marketing",
            send_group="updates",
            kind="order",
            track="review",
            anchor="delivered_at",
            default_offsets=(Duration.parse("P3D"),),
            valid_for=timedelta(days=14),
            once=True,
            earliest_offset=Duration.parse("P1D"),
        ),
        "back_in_stock": Reason(
            category="marketing",
            send_group="updates",
            kind="item",
            track="item",
            anchor="back_at",
            valid_for=timedelta(days=1),
            send_if_late=True,
            audience="interested",
        ),
        "product_preview": Reason(
            category="marketing",
            send_group="updates",
            kind="announcement",
            track="preview",
            anchor="send_at",
            also_cancelled_by="announcement",
            valid_for=timedelta(days=2),
            valid_until_instant="valid_until",
            required_field="title",
            once=True,
            send_if_late=True,
            needs_consent=True,
            audience="open_conversations",
        ),
        "holiday_hours": Reason(
            category="marketing",
            send_group="updates",
            kind="announcement",
            track="holiday_hours",
            anchor="send_at",
            also_cancelled_by="announcement",
            valid_until_field="date",
            required_field="date",
            once=True,
            send_if_late=True,
            audience="open_conversations",
        ),
        # A reply that could not be sent at once is due at the next tick of "updates".
        **dict.fromkeys(
            ("welcome_back", "help_reply", "answer_reply"),
            Reason(
                category="reply", send_group="updates", kind="message", track="message", valid_for=timedelta(minutes=10)
            ),
        ),
    }
)

_FILLED: Final = frozenset((reason.send_group, reason.priority) for reason in REASONS.values())

PRIORITIES: Final[Mapping[SendGroup, tuple[Priority, ...]]] = MappingProxyType(
    {
        send_group: tuple(priority for priority in get_args(Priority) if (send_group, priority) in _FILLED)
        for send_group in get_args(SendGroup)
    }
)
"""The priorities of each send group, in the order in which a run sends them."""

TELLING_REASONS: Final = ("appointment_reminder", "online_check_in", "appointment_moved", "appointment_cancelled")
"""The reasons whose texts name the time of an appointment."""

ASKING_REASONS: Final = ("appointment_reminder", "appointment_moved")
"""The reasons whose texts ask for an answer."""

WITH_REPLIES: Final = "_answers"
"""Ends the name of a provider's template that has buttons for the answers. ``WhatsAppTemplates`` has it, too:
``appointment_reminder_answers``.
"""
