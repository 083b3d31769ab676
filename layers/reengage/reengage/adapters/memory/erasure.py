"""Erase a contact: its own items, and its part of each subject that names it."""

from dataclasses import replace
from datetime import datetime

from reengage.domain.contact import Contact
from reengage.domain.erasure import without_contact

from .tables import CATEGORIES, Tables, drop


class Erasures(Tables):
    """Delete what was stored of a contact until an instant."""

    def erase(self, contact: Contact, *, until: datetime) -> int:
        with self._lock:
            found = 0
            self._erase_subjects(contact, until)
            found += drop(self._profiles, [contact], lambda item: item.last_seen_at <= until)
            found += drop(self._conversations, [contact], lambda item: item.last_inbound_at <= until)
            found += drop(self._messages, self._inbound_of(contact), lambda item: item[0].sent_at <= until)
            found += drop(self._rows, self._row_keys_of(contact), lambda row: row.message.planned_at <= until)
            found += drop(self._links, self._links_of(contact), lambda link: link.named_at <= until)
            given = [(contact, consent.message_id) for consent in self._consents_of(contact)]
            found += drop(self._consents, given, lambda item: item[0].at <= until)
            found += drop(
                self._taken,
                [(contact, category) for category in CATEGORIES],
                lambda taken: all(at <= until for at in taken.cap_usage.instants()),
            )
            self._forget_unpublished(contact)
            self._tidy(contact.key)
            return found

    def _erase_subjects(self, contact: Contact, until: datetime) -> None:
        for _, ref in self._links_of(contact):
            subject = self._subjects.get(ref)
            rest = without_contact(subject, contact, until) if subject else None
            if rest and rest is not subject:
                self._subjects[ref] = replace(rest, revision=rest.revision + 1)
            elif subject and rest is None:
                del self._subjects[ref]

    def _forget_unpublished(self, contact: Contact) -> None:
        """Remove the contact's messages from every list."""
        for key, unpublished in self._unpublished.items():
            left = tuple(key for key in unpublished.keys if key.pk != contact.key)
            self._unpublished[key] = replace(unpublished, keys=left)
