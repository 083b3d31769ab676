"""Record that two addresses are one person, or that the person left one of them for the other.

Each address keeps the other's key in its preferences. An opt-out of one is copied to the other when it is stored, so a
send reads only its own preferences. The first write of a link also reads the choices that are stored there. So a choice
that is stored at the same moment is copied either by its own command or by this one.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

from reengage.domain.commands import LinkContact, MoveContact
from reengage.domain.contact import Contact
from reengage.domain.events_out import out_event, subject_of
from reengage.domain.preferences import Choice, Link, Preferences, Topic
from reengage.ports import PreferencesStore, Publish
from reengage.usecases.record_choice import apply_to_links, copy_for_links
from reengage.usecases.retry_conflicts import retry_conflicts


def link_contact(command: LinkContact, *, store: PreferencesStore, publish: Publish) -> bool:
    """Link two addresses and copy the opt-outs of each to the other. Return whether the link is new.

    Raises ``NotPublished`` and ``WriteConflict``; a retry of the event links again.
    """
    is_new = _link(command.contact, command.same_as, command.at, store=store)
    if is_new:
        publish([out_event("ContactLinked", command.contact, same_as=subject_of(command.same_as)["contact"])])
    return is_new


def move_contact(command: MoveContact, *, store: PreferencesStore, publish: Publish) -> bool:
    """Record that the person left an address, and link it with the new one. Return whether that is news.

    The opt-outs of the old address apply to the new one. The old address is not written to any more, until someone
    writes from there.
    """
    _link(command.contact, command.to, command.at, store=store)

    def attempt() -> bool | None:
        before = store.read_preferences(command.contact)
        if before.erased_since(command.contact.channel, command.at):
            return False
        after = _moved(before, command)
        if after is before or store.write_preferences(command.contact, after):
            return after.left_at(command.contact.channel) == command.at
        return None

    is_new = retry_conflicts(attempt, "the preferences")
    if is_new:
        publish([out_event("ContactMoved", command.contact, to=subject_of(command.to)["contact"])])
    return is_new


def _moved(preferences: Preferences, command: MoveContact) -> Preferences:
    """Return the preferences after the move. A move to another channel of the same number leaves that channel only."""
    if command.contact.person == command.to.person:
        return preferences.move_channel(command.contact.channel, command.to.channel, command.at)
    return preferences.move(command.at)


def unlink(
    contact: Contact, preferences: Preferences, *, store: PreferencesStore, but: Collection[Contact] = ()
) -> None:
    """Remove the contact's key from the preferences of the addresses that its own preferences link to, ``but`` some."""
    own = store.preferences_key(contact)
    for key, link in preferences.links.items():
        if link.channel == contact.channel and link.other not in but:
            retry_conflicts(partial(_unlink, key, own, store), "the preferences of a linked address")


def _unlink(key: str, own: str, store: PreferencesStore) -> bool | None:
    before = store.read_linked(key)
    after = before.unlink(own)
    return True if after is before or store.write_linked(key, after) else None


def _link(one: Contact, other: Contact, at: datetime, *, store: PreferencesStore) -> bool:
    """Return whether the link is news, also if this very command is repeated."""
    keys = {contact: store.preferences_key(contact) for contact in (one, other)}
    if any(store.read_preferences(contact).erased_since(contact.channel, at) for contact in keys):
        return False
    if keys[one] == keys[other]:
        return one != other and _link_channels(one, other, at, store)
    stored = [
        _add_link(contact, keys[linked], Link(at, contact.channel, linked), store)
        for contact, linked in ((one, other), (other, one))
    ]
    if any(each.is_written for each in stored) and _undone_by_erasure(keys, at, store):
        return False
    for added, linked in zip(stored, (other, one), strict=True):
        if choices := _copied(added.preferences):
            own = keys[one if linked is other else other]
            apply_to_links([keys[linked]], choices, store=store, but=own)
    return any(each.is_new for each in stored)


def _undone_by_erasure(keys: Mapping[Contact, str], at: datetime, store: PreferencesStore) -> bool:
    """Remove the link again if one of the two was erased meanwhile: the erasure may not have seen it."""
    erased = [each for each in keys if store.read_preferences(each).erased_since(each.channel, at)]
    for key in keys.values() if erased else ():
        for other in keys.values():
            retry_conflicts(partial(_unlink, key, other, store), "the preferences of a linked address")
    return bool(erased)


def _link_channels(one: Contact, other: Contact, at: datetime, store: PreferencesStore) -> bool:
    """Link two channels of one number, which have one row of preferences. Return whether that is news."""

    def attempt() -> bool | None:
        before = store.read_preferences(one)
        channels = (one.channel, other.channel)
        is_known = all(channel in before.channels and before.channels[channel] != at for channel in channels)
        after = before.link_channels(channels, at)
        return not is_known if after is before or store.write_preferences(one, after) else None

    return retry_conflicts(attempt, "the preferences")


class _Added(NamedTuple):
    preferences: Preferences
    is_new: bool
    is_written: bool


def _add_link(contact: Contact, key: str, link: Link, store: PreferencesStore) -> _Added:
    def attempt() -> _Added | None:
        before = store.read_preferences(contact)
        is_known = key in before.links and before.links[key].at != link.at
        after = before.link(key, link)
        is_written = after is not before
        if not is_written or store.write_preferences(contact, after):
            return _Added(after, not is_known, is_written)
        return None

    return retry_conflicts(attempt, "the preferences")


def _copied(preferences: Preferences) -> Mapping[tuple[Topic, str], Choice]:
    topics: dict[Topic, Mapping[str, Choice]] = {"contact": preferences.contact, "marketing": preferences.marketing}
    return {
        (topic, scope): copied
        for topic, choices in topics.items()
        for scope, choice in choices.items()
        if (copied := copy_for_links(topic, choice))
    }
