"""All that is stored of one contact, for a report or an export."""

from dataclasses import replace
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.erasure import part_of
from reengage.domain.preferences import Preferences
from reengage.ports import Holdings, KeptMessage

from .tables import CATEGORIES, Tables

HOLDINGS_PAGE: Final = 1000
"""Messages in one part of an export."""


class ContactHoldings(Tables):
    """What a report about one contact reads."""

    def read_holdings(self, contact: Contact) -> Holdings:
        with self._lock:
            refs = [ref for _, ref in self._links_of(contact)]
            return Holdings(
                profile=self._profiles.get(contact),
                conversation=self._conversations.get(contact),
                preferences=self._preferences_of(contact),
                inbound=[
                    KeptMessage(message.message_id, message.sent_at, message.text, message.kind, message.unclear)
                    for message, _ in (self._messages[key] for key in self._inbound_of(contact))
                ],
                scheduled=self._messages_of(contact),
                subjects=[
                    part for ref in refs if (subject := self._subjects.get(ref)) and (part := part_of(subject, contact))
                ],
                cap_usage={
                    category: self._taken[contact, category].cap_usage
                    for category in CATEGORIES
                    if (contact, category) in self._taken
                },
                consents=self._consents_of(contact),
            )

    def read_holdings_page(self, contact: Contact, cursor: str | None = None) -> tuple[Holdings, str | None]:
        with self._lock:
            held, start = self.read_holdings(contact), int(cursor or 0)
            if start:
                held = Holdings(None, None, Preferences(), held.inbound, [], [], {})
            end = start + HOLDINGS_PAGE
            part = replace(held, inbound=held.inbound[start:end])
            return part, str(end) if end < len(held.inbound) else None
