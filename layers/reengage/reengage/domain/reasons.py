"""Why a message may be sent at all: one row a reason (CONTRACT.md, "Reasons").

A new reason is a row here, an entry in each locale of ``wording`` and a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

from .instants import Duration

Category = Literal["utility", "marketing", "reply"]
Door = Literal["appointments", "trials", "updates"]
Lane = Literal["prompt", "marketing"]
Audience = Literal["open_conversations", "interested"]


@dataclass(frozen=True, slots=True)
class Reason:
    """When messages of one reason are due, and of use; to whom, and how often.

    They are due at the subject's ``anchor`` (an instant) plus each offset: those of the field ``offsets``
    where an event gave some, else ``defaults``. ``before`` says that offsets count backwards. Each is of use
    until the next one is due; the last one for ``lasts``, else until the end of the day in the field ``until``,
    else until the anchor.

    ``needs`` names a field without which there is nothing to say. ``undone_with``: another family of the subject by
    which it is undone too. ``once``: one message a subject, wherever its anchor moves. ``catches_up``: an event that
    comes late still leads to a message while that is of use. ``earliest``: how far from the anchor, at the earliest,
    it may be sent if the window closes before it is due; ``None``: not before it is due. ``needs_consent``: marketing
    for which a recorded consent is needed, whatever ``MarketingConsent`` says.

    Where there is an ``audience``, the message is a broadcast: it goes to everybody in it, instead of the subject's
    own contact. A reply has no anchor: it is due at once, and what it is about is the message that it answers.
    """

    category: Category
    door: Door
    kind: str
    family: str
    anchor: str = ""
    offsets: str = ""
    defaults: tuple[Duration, ...] = (Duration(),)
    before: bool = False
    lasts: timedelta | None = None
    until: str = ""
    needs: str = ""
    undone_with: str = ""
    once: bool = False
    catches_up: bool = False
    earliest: Duration | None = None
    needs_consent: bool = False
    audience: Audience | None = None

    @property
    def lane(self) -> Lane:
        """What is due in the lane "prompt" goes before all marketing, whatever has piled up there."""
        return "marketing" if self.category == "marketing" else "prompt"


REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "appointment_reminder": Reason(
            category="utility",
            door="appointments",
            kind="appointment",
            family="appointment",
            anchor="starts_at",
            offsets="remind_before",
            defaults=(Duration.parse("P1D"), Duration.parse("PT2H")),
            before=True,
            earliest=Duration.parse("-P7D"),
        ),
        "online_check_in": Reason(
            category="utility",
            door="appointments",
            kind="appointment",
            family="appointment",
            anchor="starts_at",
            offsets="check_in_before",
            defaults=(Duration.parse("PT24H"),),
            before=True,
            needs="check_in_url",
            undone_with="check_in",
        ),
        "trial_follow_up": Reason(
            category="marketing",
            door="trials",
            kind="trial",
            family="trial",
            anchor="ends_at",
            offsets="follow_up",
            defaults=(Duration.parse("-P3D"), Duration.parse("P1D")),
            lasts=timedelta(days=3),
            earliest=Duration.parse("-P7D"),
        ),
        "product_reminder": Reason(
            category="marketing",
            door="updates",
            kind="product",
            family="product",
            anchor="viewed_at",
            defaults=(Duration.parse("PT4H"),),
            lasts=timedelta(hours=44),  # 48 hours after the event
            earliest=Duration.parse("PT1H"),
        ),
        "cart_reminder": Reason(
            category="marketing",
            door="updates",
            kind="cart",
            family="cart",
            anchor="abandoned_at",
            defaults=(Duration.parse("PT4H"),),
            lasts=timedelta(hours=44),  # 48 hours after the event
            once=True,
            earliest=Duration.parse("PT1H"),
        ),
        "order_shipped": Reason(
            category="utility",
            door="updates",
            kind="order",
            family="order",
            anchor="shipped_at",
            lasts=timedelta(days=3),
            once=True,
            catches_up=True,
        ),
        "review_request": Reason(
            category="marketing",
            door="updates",
            kind="order",
            family="review",
            anchor="delivered_at",
            defaults=(Duration.parse("P3D"),),
            lasts=timedelta(days=14),
            once=True,
            earliest=Duration.parse("P1D"),
        ),
        "back_in_stock": Reason(
            category="marketing",
            door="updates",
            kind="item",
            family="item",
            anchor="back_at",
            lasts=timedelta(days=1),
            catches_up=True,
            audience="interested",
        ),
        "product_preview": Reason(
            category="marketing",
            door="updates",
            kind="announcement",
            family="announcement",
            anchor="send_at",
            lasts=timedelta(days=2),
            needs="title",
            once=True,
            catches_up=True,
            needs_consent=True,
            audience="open_conversations",
        ),
        "holiday_hours": Reason(
            category="marketing",
            door="updates",
            kind="announcement",
            family="announcement",
            anchor="send_at",
            until="date",
            needs="date",
            once=True,
            catches_up=True,
            audience="open_conversations",
        ),
        # A reply that its door could not hand over at once is due at the next tick of "updates".
        **dict.fromkeys(
            ("welcome_back", "help_reply"),
            Reason(category="reply", door="updates", kind="message", family="message", lasts=timedelta(minutes=10)),
        ),
    }
)

_FILLED: Final = frozenset((reason.door, reason.lane) for reason in REASONS.values())

LANES: Final[Mapping[Door, tuple[Lane, ...]]] = MappingProxyType(
    {door: tuple(lane for lane in get_args(Lane) if (door, lane) in _FILLED) for door in get_args(Door)}
)
"""The lanes of each door, in the order in which a run drains them."""
