"""Store an opt-out, an opt-in or a consent, for every address that is known to be the same person."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from reengage.domain.commands import RecordChoice
from reengage.domain.events_out import out_event
from reengage.domain.preferences import Choice, OptOutScope, Preferences, Topic
from reengage.ports import PreferencesStore, Publish
from reengage.usecases.retry_conflicts import retry_conflicts


def store_choice(
    made: RecordChoice,
    *,
    store: PreferencesStore,
    opt_out_scope: OptOutScope,
    is_repeat: Callable[[], bool] | None = None,
) -> bool:
    """Store the choice unless a later one is stored. Return whether it has to be published, also if it is repeated.

    ``is_repeat`` returns whether the opt-out's message was stored before. It is called only if an opt-in is stored: a
    provider's repeat must not undo an opt-in that came after it.

    Raises ``WriteConflict``; a retry of the event stores the choice.
    """
    scope, topic, channel = made.scope(opt_out_scope), made.topic, made.contact.channel

    def attempt() -> tuple[bool, Preferences] | None:
        before = store.read_preferences(made.contact)
        choice = made.choice
        if before.erased_since(channel, choice.at):
            # A choice from before an erasure: only a "no" is kept, without its cause.
            if choice.allowed:
                return False, before
            choice = replace(choice, cause=None)
        present = before.choice(topic, channel)
        if is_repeat and not choice.allowed and present and present.allowed and is_repeat():
            return False, Preferences()
        if choice.allowed and made.is_detected_by_provider and _is_of_another_channel(present, channel):
            return False, before
        after = before.apply(topic, scope, choice, channel=channel)
        if after is before or store.write_preferences(made.contact, after):
            stored = (after.contact if topic == "contact" else after.marketing)[scope]
            return _is_news(choice, stored), after
        return None

    changed, preferences = retry_conflicts(attempt, "the preferences")
    if preferences.moved_at and made.choice.allowed and made.choice.at > preferences.moved_at:
        return changed  # the person has left the address: a "yes" from there is someone else's
    if preferences.links and (copied := copy_for_links(topic, made.choice)):
        apply_to_links(
            preferences.links, {(topic, scope): copied}, store=store, but=store.preferences_key(made.contact)
        )
    return changed


def _is_news(choice: Choice, stored: Choice) -> bool:
    """Return whether the choice has to be published, if ``stored`` is what is stored by now.

    Of equal choices the first one is published. If its publish failed, and another one came before the retry, then only
    that one is stored, as one that changed nothing since the first.
    """
    changed_at = stored.at if stored.changed else stored.since
    return (choice.allowed, choice.at) == (stored.allowed, changed_at)


def _is_of_another_channel(choice: Choice | None, channel: str) -> bool:
    """Return whether the choice is an opt-out by a message on another channel: "YES" to an SMS does not undo it."""
    cause = choice.cause if choice and not choice.allowed else None
    return isinstance(cause, Mapping) and cause.get("channel", channel) != channel


def copy_for_links(topic: Topic, choice: Choice) -> Choice | None:
    """Return the choice as the person's other addresses keep it; ``None`` if it applies to its own address only.

    An opt-in applies to the person only if the person wrote it. A cause may identify an address, so only its word is
    kept.
    """
    word = choice.cause.get("word") if isinstance(choice.cause, Mapping) else None
    if choice.allowed and (topic == "marketing" or word is None):
        return None
    cause: dict[str, Any] = {"linked": True, **({"word": word} if word else {})}
    return replace(choice, cause=cause)


def apply_to_links(
    links: Iterable[str], choices: Mapping[tuple[Topic, str], Choice], *, store: PreferencesStore, but: str
) -> None:
    """Apply the choices, each with its topic and scope, to all addresses that can be reached by links."""
    done, waiting = {but}, list(links)
    while waiting:
        key = waiting.pop()
        if key in done:
            continue
        done.add(key)
        waiting += _apply_to_one(key, choices, store=store).links


def _apply_to_one(key: str, choices: Mapping[tuple[Topic, str], Choice], *, store: PreferencesStore) -> Preferences:
    def attempt() -> Preferences | None:
        before = store.read_linked(key)
        after = before
        for (topic, scope), choice in choices.items():
            erased = any(before.erased_since(channel, choice.at) for channel in before.erasures)
            if not (erased and choice.allowed):
                after = after.apply(topic, scope, choice)
        return after if after is before or store.write_linked(key, after) else None

    return retry_conflicts(attempt, "the preferences of a linked address")


def announce_choice(made: RecordChoice, publish: Publish) -> None:
    """Publish an opt-out or an opt-in. Raises ``NotPublished``; a retry of the event publishes it."""
    if made.topic != "contact":
        return
    name = "ContactOptedIn" if made.choice.allowed else "ContactOptedOut"
    publish([out_event(name, made.contact, cause=made.choice.cause)])


def record_choice(made: RecordChoice, *, store: PreferencesStore, publish: Publish, opt_out_scope: OptOutScope) -> bool:
    """Store the choice, then publish it if it changed what applies; return whether it did."""
    changed = store_choice(made, store=store, opt_out_scope=opt_out_scope)
    if changed:
        announce_choice(made, publish)
    return changed
