"""Send a message that was surely not taken at one address to another address of the same person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.person import OtherAddress
from reengage.ports import DueKey, FallbackStore, PreferencesStore
from reengage.usecases.person import others_of
from reengage.usecases.route_health import Health

LOOKS_FOR: Final = timedelta(minutes=5)
"""How long a message looks for another address, after its breaker opened or it became due.

Each look costs a read. A message that finds none waits for its own route, at no further cost.
"""


def may_go_elsewhere(
    contact: Contact, due: DueKey, routes: Sequence[str], *, health: Health, store: PreferencesStore, now: datetime
) -> bool:
    """Return whether a message whose routes are all blocked may have another address to go to."""
    opened = [at for route in routes if (at := health.opened_at(route))]
    if not opened or now >= max(due.due_at, *opened) + LOOKS_FOR:
        return False
    preferences = store.read_preferences(contact)
    return bool(preferences.linked_to(contact) or preferences.siblings_of(contact))


def fall_back(
    message: ScheduledMessage, address: Contact, *, store: FallbackStore, now: datetime
) -> ScheduledMessage | None:
    """Make the message due again if it is still valid and the person has another address with an open window.

    It surely did not arrive at ``address``, so it may be sent once more, elsewhere. The sender decides anew: an opt-out
    or a cancellation since then stops it. Return it as it is due again; ``None`` if it is not.
    """
    if message.reason_spec.category == "reply" or now >= message.valid_until:
        return None
    thread = store.read_threads([message.contact])[message.contact]
    own = OtherAddress(message.contact, thread.profile, thread.conversation, thread.preferences)
    failed = (*message.undelivered_to, address)
    others = others_of(message.contact, thread, store, open_at=now)
    if not any(other.contact not in failed and _can_receive(other, now) for other in (own, *others)):
        return None
    planned_due_at = message.planned_due_at or message.due_at
    again = replace(message, due_at=now, planned_due_at=planned_due_at, undelivered_to=failed)
    return again if store.fall_back(again) else None


def _can_receive(other: OtherAddress, now: datetime) -> bool:
    preferences, channel = other.preferences, other.contact.channel
    _, conversation = preferences.without_erased(channel, None, other.conversation)
    return (
        not other.has_left
        and conversation is not None
        and conversation.is_open(now)
        and not preferences.refused("contact", channel)
    )
