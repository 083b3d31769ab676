"""The input of a decision on a message: one strongly consistent read, the settings and the clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import cached_property
from typing import NamedTuple

from .brand import Brand
from .caps import Cap, CapUsage
from .contact import CHANNELS, Contact, Profile
from .conversation import Conversation
from .instants import parse_zone
from .message import ScheduledMessage
from .pause import Pause, stored_pauses
from .person import OtherAddress, newest_zone
from .policy_settings import PolicySettings
from .preferences import Preferences, Topic
from .purchases import is_bought
from .reasons import Category
from .same_interest import newest_elsewhere
from .same_person import merge_people
from .subject import OF_THE_BRAND, Subject, Track
from .zones import BOTH, Zones, zones_of


def default_zone(brand: Brand | None, settings: PolicySettings) -> tzinfo | None:
    """Return the zone of the brand's own days."""
    name = (brand and brand.timezone) or settings.default_timezone
    return parse_zone(name) if name else None


def _is_counted(address: OtherAddress, addresses: Sequence[OtherAddress]) -> bool:
    """Return whether caps count the address: not a channel of the number on which no one wrote, and that no link names.

    Messages about other things do not read such a channel, and would not find what is counted there.
    """
    is_used = address.conversation is not None or address.profile is not None
    is_own = address is addresses[0]
    return is_used or (any(other.is_linked for other in addresses[1:]) if is_own else address.is_linked)


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
    others: tuple[OtherAddress, ...] = ()


@dataclass(frozen=True)
class PolicyInput:
    """What one strongly consistent read found, and the clock after it; ``cap_usage`` of the message's category.

    ``interest``: the contact's own interest in the subject, for a reason whose audience is the interested. ``stack``:
    what applies to all brands. ``settings`` are the stack's parameters with what the brand overrides. What an erasure
    has marked, and not deleted yet, is left out.

    ``addresses`` are all of the person's, the contact's own first; empty for a contact without links. ``merged``:
    the inputs of other messages that the text names, too. ``corrects``: the reason of the message that it corrects.
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
    addresses: tuple[OtherAddress, ...] = ()
    merged: tuple["PolicyInput", ...] = ()
    corrects: str | None = None

    @classmethod
    def of(
        cls, snapshot: Snapshot, message: ScheduledMessage, settings: PolicySettings, now: datetime
    ) -> "PolicyInput":
        """Combine the snapshot with the message, the settings and the time after the read."""
        own = OtherAddress(
            message.contact,
            snapshot.profile,
            snapshot.conversation,
            snapshot.preferences,
            snapshot.cap_usage,
            snapshot.purchases,
        )
        addresses = (own, *snapshot.others) if snapshot.others else ()
        usage = {address.contact: address.cap_usage for address in addresses if _is_counted(address, addresses)}
        return cls(
            message=message,
            subject=snapshot.subject,
            profile=snapshot.profile,
            conversation=snapshot.conversation,
            now=now,
            preferences=snapshot.preferences.with_refusals_of(
                other.preferences for other in snapshot.others if other.is_linked
            ),
            brand=snapshot.brand,
            cap_usage=CapUsage.of_person(usage) if usage else snapshot.cap_usage,
            settings=settings,
            interest=snapshot.interest,
            stack=snapshot.stack,
            purchases=snapshot.purchases,
            addresses=addresses,
        )

    def elsewhere(self, *, on_all_channels: bool = True) -> "list[PolicyInput]":
        """Return the input for the same message at each of the person's other addresses.

        Without ``on_all_channels``, another channel of the same number is left out. It counts for a broadcast, and for
        a product that was viewed there, too, unless the person has ended the interest there. If the message was refused
        there, or at the own one, it does not.
        """
        others = self.addresses[1:]
        return [self._at(other) for other in others if self._counts(other, on_all_channels=on_all_channels)]

    def _counts(self, other: OtherAddress, *, on_all_channels: bool) -> bool:
        if other.is_linked or (self.message.reason_spec.audience is not None and not other.has_ended_interest):
            return True
        return (on_all_channels or other.has_interest) and not (self.is_refused or self._at(other).is_refused)

    def _at(self, other: OtherAddress) -> "PolicyInput":
        return replace(
            self,
            message=replace(self.message, sent_to=other.contact),
            profile=other.profile,
            conversation=other.conversation,
            preferences=other.preferences.with_refusals_of([self.preferences]),
        )

    @property
    def is_refused(self) -> bool:
        """Whether the contact has opted out of this kind of message at the recipient's address."""
        topics: tuple[Topic, ...] = ("contact", "marketing") if self.category == "marketing" else ("contact",)
        return any(self.preferences.refused(topic, self.message.recipient.channel) for topic in topics)

    def takes_text_at(self, at: datetime) -> bool:
        """Whether the channel takes free text then, or has a template that it takes at any time."""
        recipient, terms = self.message.recipient, CHANNELS[self.message.recipient.channel]
        if terms.free_text_for is None or self.conversation is None:
            return True
        if at < self.conversation.last_inbound_at + terms.free_text_for:
            return True
        is_barred = self.category == "marketing" and recipient.address.startswith(terms.no_marketing_templates_to)
        return self.message.reason in self.settings.whatsapp_templates and not is_barred

    @property
    def is_on_new_channel(self) -> bool:
        """Whether it goes to another address, and nothing is stored that leads from there to the contact's channel."""
        own, recipient = self.message.contact, self.message.recipient
        if recipient == own:
            return False
        if recipient.person != own.person:
            return not self.addresses[0].preferences.leads_to(own.channel)
        return own not in (*self.preferences.siblings_of(recipient), *self.preferences.linked_to(recipient))

    @property
    def is_left(self) -> bool:
        """Whether the person left the recipient's address after the message was planned, or has not written since."""
        since = [self.message.planned_at, *([self.conversation.last_inbound_at] if self.conversation else [])]
        return any(self.preferences.left_since(instant, self.message.recipient.channel) for instant in since)

    @property
    def closes_at(self) -> datetime | None:
        return self.conversation.closes_at if self.conversation else None

    @property
    def conversations(self) -> list[Conversation]:
        """Return the person's conversations at all addresses."""
        own = [self.conversation] if self.conversation else []
        found = (
            address.preferences.without_erased(address.contact.channel, None, address.conversation)[1]
            for address in self.addresses
            if not address.has_new_owner
        )
        return [conversation for conversation in found if conversation] or own

    def __post_init__(self) -> None:
        channel = self.message.recipient.channel
        profile, conversation = self.preferences.without_erased(channel, self.profile, self.conversation)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "conversation", conversation)
        if self.subject:
            subject = merge_people(self.subject, self.linked) if self.addresses else self.subject
            object.__setattr__(self, "subject", subject.for_contact(self.message.contact))
        object.__setattr__(self, "settings", self.settings.for_brand(self.brand))

    @property
    def all_addresses(self) -> list[Contact]:
        """Return the person's addresses, and the other channels of one number; empty for a contact without any."""
        return [each.contact for each in self.addresses]

    @property
    def linked(self) -> list[Contact]:
        """Return the person's linked addresses, the contact's own among them; empty for a contact without links."""
        return [each.contact for each in self.addresses if each.is_linked and not each.has_new_owner]

    @property
    def track(self) -> Track | None:
        return self.subject.tracks.get(self.message.track) if self.subject else None

    @property
    def is_undone(self) -> bool:
        """Whether the subject's newest event cancelled the message's reason."""
        reason_spec = self.message.reason_spec
        if self.subject is None or self.subject.is_over(reason_spec, self.message.track):
            return True
        if (newest := self.newest_elsewhere) and newest.is_undone(newest.ref.kind):
            return True
        known = [self.purchases, *(address.purchases for address in self.addresses if address.is_linked)]
        return any(is_bought(purchases, self.subject, reason_spec) for purchases in known)

    @property
    def newest_elsewhere(self) -> Subject | None:
        """Return the same product or interest at another address, if that has the newest event; what was erased, or
        refused there, does not count.
        """
        own = self.interest if self.message.reason_spec.audience else self.subject
        others = [other.interest for other in self.addresses[1:] if other.interest and other.is_interest_counted]
        return newest_elsewhere(own, others)

    @property
    def category(self) -> Category:
        return self.message.reason_spec.category

    @property
    def caps(self) -> tuple[Cap, ...]:
        return self.settings.caps.get(self.category, ())

    @property
    def default_zone(self) -> tzinfo | None:
        return default_zone(self.brand, self.settings)

    @cached_property
    def zones(self) -> Zones:
        return self.zones_at(self.now)

    @cached_property
    def allowed_from(self) -> datetime | None:
        """Return the first instant from now on without quiet hours; ``None`` if it is not known, or no hour is."""
        hours, zones = self.settings.quiet_hours.get(self.category), self.zones.zones
        return hours.first_allowed(self.now, zones) if hours and zones else None

    def zones_at(self, instant: datetime) -> Zones:
        """Return the contact's possible zones, and their source. Two that leave no hour count as the better one."""
        found, hours = self._known_zones, self.settings.quiet_hours.get(self.category)
        if hours and found.source == BOTH and not hours.first_allowed(instant, found.zones):
            return Zones("phone_number", found.zones[:1])
        return found

    @cached_property
    def _known_zones(self) -> Zones:
        event_zone = self.track.timezone if self.track else None
        brand_zone = self.brand.timezone if self.brand else None
        if self.subject and self.subject.ref.kind in OF_THE_BRAND:
            # An announcement's zone is that of the brand's place, not that of a person.
            event_zone, brand_zone = None, brand_zone or event_zone
        return zones_of(
            self.message.recipient,
            contact_zone=self._contact_zone,
            event_zone=event_zone,
            brand_zone=brand_zone,
            default_zone=self.settings.default_timezone,
        )

    @property
    def _contact_zone(self) -> str | None:
        """Return the zone that the person reported last, at whichever address."""
        profiles = [
            address.preferences.without_erased(address.contact.channel, address.profile, None)[0]
            for address in self.addresses
            if not address.has_new_owner
        ]
        return newest_zone(profiles or [self.profile])

    @property
    def pause(self) -> tuple[Pause, str] | None:
        """Return the pause that covers the message, and whether it is the stack's or the brand's."""
        for row, source in ((self.stack, "stack"), (self.brand, "brand")):
            for pause in stored_pauses(row.pauses if row else None):
                if pause.covers(self.message.reason, self.now):
                    return pause, source
        return None
