"""One person with several addresses: which addresses they are, and which one a message uses.

Addresses are linked by a provider or by an event of the business, never by a guess. Channels of one phone number
count as one person for frequency caps and announcements.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from .caps import CapUsage
from .contact import CHANNELS, Contact, Profile
from .conversation import Conversation
from .instants import EARLIEST
from .preferences import Preferences
from .subject import Subject
from .zones import is_witness

PHONE_CHANNELS: Final = ("sms", "rcs", "whatsapp")


class OtherAddress(NamedTuple):
    """What a decision reads of the person's other address.

    ``is_linked``: by a provider or an event; else it is another channel of one of the numbers. ``cap_usage`` is of the
    message's category. ``interest`` is the product or interest that the message is about, as known at this address.
    """

    contact: Contact
    profile: Profile | None
    conversation: Conversation | None
    preferences: Preferences
    cap_usage: CapUsage = CapUsage()
    purchases: Subject | None = None
    interest: Subject | None = None
    is_linked: bool = True

    @property
    def has_new_owner(self) -> bool:
        """Whether someone wrote from the address after the person left it."""
        return has_new_owner(self.preferences, self.conversation)

    @property
    def has_interest(self) -> bool:
        """Whether events name the address for the interest, and the newest of them did not end it."""
        return self.interest is not None and not self.has_ended_interest

    @property
    def has_ended_interest(self) -> bool:
        return self.interest is not None and self.interest.is_undone(self.interest.ref.kind)

    @property
    def is_interest_counted(self) -> bool:
        """Whether the interest counts for the person: not what was erased, or refused there."""
        if self.interest is None or self.preferences.erased_since(self.contact.channel, self.interest.last_event_at):
            return False
        return not (self.has_interest and self.preferences.refused("contact", self.contact.channel))

    @property
    def has_left(self) -> bool:
        if self.preferences.moved_at is not None and not self.has_new_owner:
            return True
        written_at = self.conversation.last_inbound_at if self.conversation else EARLIEST
        return self.preferences.left_since(written_at, self.contact.channel)


def has_new_owner(preferences: Preferences, conversation: Conversation | None) -> bool:
    """Return whether someone wrote from an address after the person left it: its links are not about that person."""
    if preferences.moved_at is None or conversation is None:
        return False
    return not preferences.moved_since(conversation.last_inbound_at)


def other_channels(contact: Contact) -> list[Contact]:
    """Return the same phone number on the other channels."""
    if not contact.address.startswith("+") or contact.channel not in PHONE_CHANNELS:
        return []
    return [
        Contact(contact.brand, channel, contact.address) for channel in PHONE_CHANNELS if channel != contact.channel
    ]


Found = Mapping[Contact, OtherAddress]


def explore(
    contact: Contact,
    preferences: Preferences,
    conversation: Conversation | None,
    read: Callable[[Sequence[Contact]], Found],
    *,
    planned_at: datetime | None = None,
    named: Collection[Contact] = (),
    open_at: datetime | None = None,
) -> tuple[OtherAddress, ...]:
    """Read the person's other addresses, link by link; no request for a contact without links.

    ``preferences`` and ``conversation`` are the contact's own. An address that has a new owner is not the person's;
    but what was planned before the person left it, at ``planned_at``, still is. ``named`` are other channels of the
    number that events name for the same interest.

    ``open_at``: when a window has to be open. If the contact's own is closed then, other channels of the number are
    read, and those with a conversation returned.
    """
    if has_new_owner(preferences, conversation) and not (planned_at and preferences.moved_since(planned_at)):
        return ()
    others: dict[Contact, OtherAddress] = {}
    seen = {contact}
    channels = set(other_channels(contact) if open_at and not _is_open(conversation, open_at) else ())
    channels -= {*named, *preferences.linked_to(contact), *preferences.siblings_of(contact)}
    waiting = dict.fromkeys([*named, *channels], False) | _next_to(contact, preferences)
    while waiting := {other: is_linked for other, is_linked in waiting.items() if other not in seen}:
        seen |= waiting.keys()
        read_now = [address for address in read(list(waiting)).values() if not address.has_new_owner]
        found = [address._replace(is_linked=waiting[address.contact]) for address in read_now]
        others |= {
            address.contact: address for address in found if address.contact not in channels or address.conversation
        }
        waiting = _beside(found)
    return tuple(others.values())


def _is_open(conversation: Conversation | None, at: datetime) -> bool:
    return conversation is not None and conversation.is_open(at)


def _beside(found: Sequence[OtherAddress]) -> dict[Contact, bool]:
    """Return the addresses beside the linked ones, each with whether any of these links it with the person.

    Another channel of a number has the number's links. If the person left the number, its own may be someone else's.
    """
    beside: dict[Contact, bool] = {}
    for address in found:
        for other, is_linked in _next_to(address.contact, address.preferences).items() if address.is_linked else ():
            beside[other] = beside.get(other, False) or is_linked
    return beside


def _next_to(contact: Contact, preferences: Preferences) -> dict[Contact, bool]:
    """Return the addresses beside the contact, each with whether it is linked with it."""
    linked = dict.fromkeys(preferences.linked_to(contact), True)
    return dict.fromkeys(preferences.siblings_of(contact), False) | linked


def is_free(contact: Contact, conversation: Conversation | None, now: datetime) -> bool:
    """Return whether a message is free: WhatsApp charges nothing within 24 hours of the person's message."""
    free_for = CHANNELS[contact.channel].free_text_for
    return free_for is not None and conversation is not None and now < conversation.last_inbound_at + free_for


def newest_zone(profiles: Iterable[Profile | None]) -> str | None:
    """Return the person's time zone: of the address that they used last, of those of which one is known."""
    known = [profile for profile in profiles if profile and is_witness(profile.timezone)]
    return max(known, key=lambda profile: profile.last_seen_at).timezone if known else None
