"""All that is stored of one contact, for a report or an export."""

import json
from collections.abc import Sequence
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.erasure import part_of
from reengage.domain.preferences import Preferences
from reengage.domain.reasons import REASONS
from reengage.ports import Holdings, KeptMessage

from .contacts import Contacts
from .items.base import Item
from .items.contacts import (
    CONTACT,
    CONVERSATION,
    InboundMessageItem,
    cap_usage_sk,
    message_sk,
    to_cap_usage,
    to_conversation,
    to_profile,
    to_unclear,
)
from .items.messages import Row, to_message
from .items.openers import ConsentItem, to_consent
from .items.subjects import SUBJECT
from .subjects import linked_subjects
from .table import RawItem, Role

PART_BYTES: Final = 1_500_000
"""Of DynamoDB's JSON in one part of an export: a function's answer may have 6 MB."""

PART_SUBJECTS: Final = 100
"""Subjects in one part of an export: each may hold a cart of 16 KB."""


class ContactHoldings(Role):
    """What a report about one contact reads."""

    def read_holdings(self, contact: Contact) -> Holdings:
        items = list(self.table.items(contact.key))
        return self._holdings(contact, items, Contacts(self.table).read_preferences(contact))

    def read_holdings_page(self, contact: Contact, cursor: str | None = None) -> tuple[Holdings, str | None]:
        start = {"pk": {"S": contact.key}, "sk": {"S": cursor}} if cursor else None
        items, last = self.table.page(contact.key, start=start, consistent_read=True)
        part = _first_part(items)
        preferences = Preferences() if cursor else Contacts(self.table).read_preferences(contact)
        holdings = self._holdings(contact, [Item.from_raw_data(raw) for raw in part], preferences)
        if last is None and len(part) == len(items):
            return holdings, None
        next_key = part[-1] if part else last
        return holdings, next_key["sk"]["S"] if next_key else None

    def _holdings(self, contact: Contact, items: Sequence[Item], preferences: Preferences) -> Holdings:
        by_sk = {item.sk: item for item in items}
        return Holdings(
            profile=to_profile(by_sk.get(CONTACT)),
            conversation=to_conversation(by_sk.get(CONVERSATION)),
            preferences=preferences,
            inbound=[
                KeptMessage(item.sk.removeprefix(message_sk("")), item.sent_at, item.text, item.kind, to_unclear(item))
                for item in items
                if isinstance(item, InboundMessageItem)
            ],
            scheduled=[to_message(item) for item in items if isinstance(item, Row)],
            subjects=[
                part for subject in linked_subjects(self.table, contact, items) if (part := part_of(subject, contact))
            ],
            cap_usage={
                category: to_cap_usage(by_sk[sk])
                for category in {reason.category for reason in REASONS.values()}
                if (sk := cap_usage_sk(category)) in by_sk
            },
            consents=[to_consent(contact, item) for item in items if isinstance(item, ConsentItem)],
        )


def _first_part(items: Sequence[RawItem]) -> Sequence[RawItem]:
    """Return as many items as one part of an export may have; at least one."""
    size = subjects = 0
    for position, item in enumerate(items):
        size += len(json.dumps(item))
        subjects += item["sk"]["S"].startswith(f"{SUBJECT}#")
        if position and (size > PART_BYTES or subjects > PART_SUBJECTS):
            return items[:position]
    return items
