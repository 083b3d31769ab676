"""What a decision on a message depends on: one strongly consistent read, the settings and the clock."""

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple

from .brand import Brand
from .caps import Cap, CapUsage
from .contact import Profile
from .conversation import Conversation
from .instants import parse_zone
from .message import ScheduledMessage
from .pause import Pause, stored_pauses
from .policy_settings import PolicySettings
from .preferences import Preferences
from .purchases import is_bought
from .reasons import Category
from .subject import Subject, Track
from .zones import BOTH, Zones, zones_of


def default_zone(brand: Brand | None, settings: PolicySettings) -> tzinfo | None:
    """Return the zone of the brand's own days."""
    name = (brand and brand.timezone) or settings.default_timezone
    return parse_zone(name) if name else None


class Snapshot(NamedTuple):
    """What one strongly consistent read finds for the decision on a message; ``cap_usage`` of its category."""

    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    brand: Brand | None
    cap_usage: CapUsage
    interest: Subject | None = None
    stack: Brand | None = None
    purchases: Subject | None = None


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """What one strongly consistent read found, and the clock after it; ``cap_usage`` of the message's category.

    ``interest``: the contact's own interest in the subject, for a reason whose audience is the interested. ``stack``:
    what applies to all brands. ``settings`` are the stack's parameters with what the brand overrides. What an erasure
    has marked, and not deleted yet, is left out.
    """

    message: ScheduledMessage
    subject: Subject | None
    profile: Profile | None
    conversation: Conversation | None
    now: datetime
    preferences: Preferences = field(default_factory=Preferences)
    brand: Brand | None = None
    cap_usage: CapUsage = field(default_factory=CapUsage)
    settings: PolicySettings = field(default_factory=PolicySettings)
    interest: Subject | None = None
    stack: Brand | None = None
    purchases: Subject | None = None

    @classmethod
    def of(
        cls, snapshot: Snapshot, message: ScheduledMessage, settings: PolicySettings, now: datetime
    ) -> "PolicyInput":
        """Combine the snapshot with the message, the settings and the time after the read."""
        return cls(
            message=message,
            subject=snapshot.subject,
            profile=snapshot.profile,
            conversation=snapshot.conversation,
            now=now,
            preferences=snapshot.preferences,
            brand=snapshot.brand,
            cap_usage=snapshot.cap_usage,
            settings=settings,
            interest=snapshot.interest,
            stack=snapshot.stack,
            purchases=snapshot.purchases,
        )

    def __post_init__(self) -> None:
        channel = self.message.contact.channel
        profile, conversation = self.preferences.without_erased(channel, self.profile, self.conversation)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "conversation", conversation)
        if self.subject:
            object.__setattr__(self, "subject", self.subject.for_contact(self.message.contact))
        object.__setattr__(self, "settings", self.settings.for_brand(self.brand))

    @property
    def track(self) -> Track | None:
        return self.subject.tracks.get(self.message.track) if self.subject else None

    @property
    def is_undone(self) -> bool:
        """Whether the subject's newest event cancelled the message's reason."""
        reason_spec = self.message.reason_spec
        if self.subject is None or self.subject.is_over(reason_spec, self.message.track):
            return True
        return is_bought(self.purchases, self.subject, reason_spec)

    @property
    def category(self) -> Category:
        return self.message.reason_spec.category

    @property
    def caps(self) -> tuple[Cap, ...]:
        return self.settings.caps.get(self.category, ())

    @property
    def default_zone(self) -> tzinfo | None:
        return default_zone(self.brand, self.settings)

    @property
    def zones(self) -> Zones:
        """Return the contact's possible zones, and their source. Two that leave no hour count as the better one."""
        found = zones_of(
            self.message.contact,
            contact_zone=self.profile.timezone if self.profile else None,
            event_zone=self.track.get("timezone") if self.track else None,
            brand_zone=self.brand.timezone if self.brand else None,
            default_zone=self.settings.default_timezone,
        )
        hours = self.settings.quiet_hours.get(self.category)
        if hours and found.source == BOTH and not hours.first_allowed(self.now, found.zones):
            return Zones("phone_number", found.zones[:1])
        return found

    @property
    def pause(self) -> tuple[Pause, str] | None:
        """Return the pause that covers the message, and whether it is the stack's or the brand's."""
        for row, source in ((self.stack, "stack"), (self.brand, "brand")):
            for pause in stored_pauses(row.pauses if row else None):
                if pause.covers(self.message.reason, self.now):
                    return pause, source
        return None
