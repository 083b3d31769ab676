"""A person, or a business with evidence, said whether they want to be written to."""

from dataclasses import replace

from reengage.domain.commands import RecordChoice
from reengage.domain.events_out import out_event
from reengage.domain.preferences import OptOutScope
from reengage.ports import PreferencesStore, Publish
from reengage.usecases.retry_conflicts import retry_conflicts


def store_choice(made: RecordChoice, *, store: PreferencesStore, opt_out_scope: OptOutScope) -> bool:
    """Stores the choice where no later one holds. Answers whether it changed what holds, also when it comes again.

    Raises ``Contended``, mended by a retry.
    """
    scope, topic = made.scope(opt_out_scope), made.topic

    def attempt() -> bool | None:
        before = store.read_preferences(made.contact)
        choice = made.choice
        if before.erased_since(made.contact.channel, choice.at):
            # As of what was stored before an erasure, of what comes late only a "no" remains, without its cause.
            if choice.allowed:
                return False
            choice = replace(choice, cause=None)
        after = before.apply(topic, scope, choice, channel=made.contact.channel)
        if after is before or store.write_preferences(made.contact, after):
            held = (after.contact if topic == "contact" else after.marketing)[scope]
            return held.changed and (held.at, held.allowed) == (choice.at, choice.allowed)
        return None

    return retry_conflicts(attempt, "the preferences")


def announce_choice(made: RecordChoice, publish: Publish) -> None:
    """Tells of an opt-out or an opt-in. Raises ``NotPublished``, mended by a retry."""
    if made.topic != "contact":
        return
    name = "ContactOptedIn" if made.choice.allowed else "ContactOptedOut"
    publish([out_event(name, made.contact, cause=made.choice.cause)])


def record_choice(made: RecordChoice, *, store: PreferencesStore, publish: Publish, opt_out_scope: OptOutScope) -> bool:
    """Stores the choice, then tells of it where it changed what holds; answers whether it did."""
    changed = store_choice(made, store=store, opt_out_scope=opt_out_scope)
    if changed:
        announce_choice(made, publish)
    return changed
