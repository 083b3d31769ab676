"""Sample data for each reason, to show or check its text before a real event exists."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact, Profile
from reengage.domain.conversation import expiry
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import PolicyInput
from reengage.domain.reasons import REASONS
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue

_APPOINTMENT: Final = {
    "starts_at": "2031-09-17T15:05:00+02:00",
    "timezone": "Europe/Berlin",
    "location": "12 Example Street, Hamburg",
    "check_in_url": "https://example.com/check-in/7Q2M4K9XB",
}
_CART: Final = {"items": ["Trail Running Shoe", "Rain Jacket"], "cart_url": "https://example.com/cart/7Q2M4K9XB"}

SAMPLE_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "appointment_reminder": _APPOINTMENT,
        "online_check_in": _APPOINTMENT,
        "appointment_moved": _APPOINTMENT,
        "appointment_cancelled": _APPOINTMENT,
        "trial_follow_up": {
            "ends_at": "2031-09-17T14:00:00+02:00",
            "product": "Orbit Notes Professional",
            "upgrade_url": "https://example.com/upgrade/7Q2M4K9X",
        },
        "product_reminder": {"name": "Trail Running Shoe", "url": "https://example.com/p/trail-running"},
        "cart_reminder": _CART,
        "order_shipped": {"carrier": "Example Express", "tracking_url": "https://example.com/t/00340434161094"},
        "review_request": {"review_url": "https://example.com/review/7Q2M4K9XB"},
        "back_in_stock": {"name": "Trail Running Shoe", "url": "https://example.com/p/trail-running"},
        "product_preview": {"title": "The autumn collection", "url": "https://example.com/autumn"},
        "holiday_hours": {"date": "2031-12-24", "opens": "09:00", "closes": "13:30"},
    }
)
"""By reason: the fields of its subject. A reply has no subject."""


def sample_input(reason: str, contact: Contact, *, locale: str, brand: Brand | None, now: datetime) -> PolicyInput:
    """Return the input of the wording for a message of ``reason`` to ``contact``, who reads ``locale``."""
    spec = REASONS[reason]
    message = ScheduledMessage(
        contact=contact,
        reason=reason,
        subject=SubjectRef(contact.brand, spec.kind, "sample"),
        offset="PT0S",
        anchor_at=now,
        due_at=now,
        valid_until=now + timedelta(days=1),
        version=1,
    )
    fields = SAMPLE_FIELDS.get(reason, {})
    track = Track(1, active=True, fields={name: VersionedValue(1, value) for name, value in fields.items()})
    subject = Subject(message.subject, {spec.track: track}) if fields else None
    profile = Profile(now, now, expiry(now + timedelta(days=1)), locale, None, "Ada Example")
    return PolicyInput(message, subject, profile, None, now, brand=brand)
