"""Why a message may be sent at all: one row a reason (CONTRACT.md, "Reasons").

A new reason is a row here, an entry in each locale of ``wording`` and a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

from .instants import Duration

Category = Literal["utility", "marketing", "reply"]
Door = Literal["appointments", "trials", "updates"]


@dataclass(frozen=True, slots=True)
class Reason:
    """When messages of one reason are due, and of use.

    They are due at the subject's ``anchor`` (an instant) plus each offset: those of the field ``offsets``
    where an event gave some, else ``defaults``. ``before`` says that offsets count backwards. Each is of use
    until the next one is due; the last one for ``lasts``, or, where that is ``None``, until the anchor.

    A reply has no anchor and no offsets: it is due at once, and what it is about is the message that it answers.
    ``needs_consent``: marketing for which a recorded consent is needed, whatever ``MarketingConsent`` says.
    """

    category: Category
    door: Door
    kind: str
    family: str
    anchor: str = ""
    offsets: str = ""
    defaults: tuple[Duration, ...] = ()
    before: bool = False
    lasts: timedelta | None = None
    needs_consent: bool = False


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
        ),
        # A reply that its door could not hand over at once is due at the next tick of "updates".
        **dict.fromkeys(
            ("welcome_back", "help_reply"),
            Reason(category="reply", door="updates", kind="message", family="message", lasts=timedelta(minutes=10)),
        ),
    }
)
