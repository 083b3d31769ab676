"""What the documents promise of each reason, and of windows: the model has its own copy, and nothing of the product."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.simulation.faults.settings import DAY, HOUR

WINDOW: Final = 30 * DAY
FREE_TEXT: Final = DAY
"""So long after the person's last message WhatsApp takes any text; then templates alone."""

REPLY_LASTS: Final = timedelta(minutes=10)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
EARLIEST: Final = 8 * DAY
"""A reminder that the night would cost may go out so long before its appointment, or its trial's end."""

CATEGORIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("appointment_reminder", "appointment_moved", "appointment_cancelled", "order_shipped"), "utility"),
    **dict.fromkeys(("trial_follow_up", "product_reminder", "cart_reminder", "review_request"), "marketing"),
    **dict.fromkeys(("back_in_stock", "product_preview", "holiday_hours"), "marketing"),
    **dict.fromkeys(("welcome_back", "help_reply", "answer_reply"), "reply"),
}
OFFSETS: Final = {"appointment_reminder": ("P1D", "PT2H"), "trial_follow_up": ("-P3D", "P1D")}
PULLED: Final = {
    "appointment_reminder": EARLIEST,
    "trial_follow_up": EARLIEST,
    "product_reminder": 3 * HOUR,
    "cart_reminder": 3 * HOUR,
    "review_request": 2 * DAY + HOUR,
}
"""How long before it is due a message may be sent because the window closes; reminders count from the anchor.

Clocks may change in the days of a review."""

CORRECTIONS: Final = ("appointment_moved", "appointment_cancelled")
RANKS: Final = {"AppointmentBooked": 0, "AppointmentRescheduled": 1, "AppointmentCancelled": 2}
SHIPPED: Final = ("OrderShipped",)
RECEIVED: Final = ("OrderDelivered", "OrderReturned", "ReviewReceived")
ENDS: Final = frozenset({"AppointmentCancelled", "TrialConverted", "OrderReturned", "ReviewReceived"})
