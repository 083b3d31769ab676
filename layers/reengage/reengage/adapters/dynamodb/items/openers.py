"""The item of an opener, under the keyed hash of its token, and the evidence of consent under its contact."""

from collections.abc import Callable
from typing import Final

from pynamodb.attributes import UnicodeAttribute
from pynamodb.attributes import UTCDateTimeAttribute as InstantAttribute

from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.openers import Consent, Opener
from reengage.domain.subject import SubjectRef

from .base import Item

OPENER: Final = "OPENER"
CONSENT: Final = "CONSENT"


class OpenerItem(Item, discriminator="opener"):
    """No address, and not the token itself: the table alone opens nothing."""

    kind = UnicodeAttribute()
    subject_id = UnicodeAttribute()
    person = UnicodeAttribute()
    valid_until = InstantAttribute()
    used_by = UnicodeAttribute(null=True)
    used_at = InstantAttribute(null=True)


class ConsentItem(Item, discriminator="consent"):
    at = InstantAttribute()
    text = UnicodeAttribute()
    kind = UnicodeAttribute()
    subject_id = UnicodeAttribute()


def opener_pk(brand: str, token: str, keyed_hash: Callable[[str], str]) -> str:
    return f"{OPENER}#{keyed_hash(f'opener|{brand}|{token}')}"


def opener_item(pk: str, opener: Opener) -> OpenerItem:
    return OpenerItem(
        pk,
        OPENER,
        kind=opener.subject.kind,
        subject_id=opener.subject.id,
        person=opener.person,
        valid_until=opener.expires_at,
        expires_at=expiry(opener.expires_at),
    )


def to_opener(brand: str, token: str, item: Item | None) -> Opener | None:
    if not isinstance(item, OpenerItem):
        return None
    ref = SubjectRef(brand, item.kind, item.subject_id)
    return Opener(brand, token, ref, item.person, item.valid_until, item.used_by, item.used_at)


def consent_sk(message_id: str) -> str:
    return f"{CONSENT}#{message_id}"


def consent_item(contact: Contact, consent: Consent, expires_at: int) -> ConsentItem:
    return ConsentItem(
        contact.key,
        consent_sk(consent.message_id),
        at=consent.at,
        text=consent.text,
        kind=consent.subject.kind,
        subject_id=consent.subject.id,
        expires_at=expires_at,
    )


def to_consent(contact: Contact, item: ConsentItem) -> Consent:
    ref = SubjectRef(contact.brand, item.kind, item.subject_id)
    return Consent(item.sk.removeprefix(consent_sk("")), item.at, item.text, ref)
