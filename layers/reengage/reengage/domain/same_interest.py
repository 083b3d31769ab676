"""See what a person viewed, or waits for, as one interest, by whichever address events name it.

Each address has its own subject of a product or an interest. Of all of them the one with the newest event counts.

| the newest event about the product or item | result |
|---|---|
| names this address | this message may be sent, at any address that events named |
| names another address, and began or repeated it | the message of that address counts; this one is superseded |
| names another address, and ended it | cancelled |
"""

from collections.abc import Sequence
from dataclasses import replace

from .business_events import SubjectRef
from .contact import Contact
from .message import ScheduledMessage
from .person import other_channels
from .subject import Subject

PRODUCT = "product"
KINDS = (PRODUCT, "interest")


def interest_of(message: ScheduledMessage, contact: Contact) -> SubjectRef | None:
    """Return the reference of the product or interest behind the message, as known at one of the person's addresses."""
    if message.reason_spec.audience == "interested":
        return SubjectRef.known_to(contact, "interest", message.subject.id)
    if message.subject.kind in KINDS:
        return replace(message.subject, of=contact)
    return None


def interests_on_other_channels(message: ScheduledMessage) -> list[SubjectRef]:
    """Return the references of the same on the number's other channels."""
    found = (interest_of(message, other) for other in other_channels(message.contact))
    return [ref for ref in found if ref]


def newest_elsewhere(own: Subject | None, others: Sequence[Subject]) -> Subject | None:
    """Return the other address's subject that has the newest event; ``None`` if that names this address.

    At a tie, all addresses agree on the same one.
    """
    if own is None or not others:
        return None
    newest = max([own, *others], key=lambda each: (each.tracks[each.ref.kind].version, each.ref.key))
    return None if newest is own else newest
