"""Subjects, the links by which a contact's subjects are found, and brands."""

from collections.abc import Sequence
from datetime import date

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.erasure import named_at
from reengage.domain.subject import Subject, SubjectRef, starts_on

from .items.base import Item
from .items.subjects import (
    BRAND,
    SUBJECT,
    BrandItem,
    SubjectItem,
    SubjectLinkItem,
    brand_item,
    brand_pk,
    day_shard,
    linked_ref,
    subject_item,
    subject_sk,
    to_brand,
    to_subject,
)
from .table import AUDIENCE, Key, Role, Table, at_revision


class Subjects(Role):
    """Subjects, their links, and brands."""

    def read_subject(self, ref: SubjectRef) -> Subject | None:
        return to_subject(ref, self.table.read_one((ref.key, SUBJECT)))

    def write_subject(self, subject: Subject) -> bool:
        return self.table.put(subject_item(subject), at_revision(SubjectItem, subject.revision))

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        sk = subject_sk(subject.ref)
        link = SubjectLinkItem(contact.key, sk, named_at=named_at(subject, contact), expires_at=subject.expires_at)
        # The later of two planners may know less. The link must not be erased, or expire, before its subject.
        older = (SubjectLinkItem.named_at <= link.named_at) & (Item.expires_at <= link.expires_at)
        if not self.table.put(link, Item.pk.does_not_exist() | older):
            name, expiry = SubjectLinkItem.named_at, Item.expires_at
            self.table.set((contact.key, sk), [name.set(link.named_at)], name < link.named_at)
            self.table.set((contact.key, sk), [expiry.set(subject.expires_at)], expiry < subject.expires_at)

    def appointments_of_day(self, brand: str, day: date) -> list[Subject]:
        refs: dict[Key, SubjectRef] = {}
        for page in self.table.pages(day_shard(brand, day), index_name=AUDIENCE):
            for entry in page:
                _, brand_id, kind, subject_id = entry["pk"]["S"].split("#", 3)
                refs[entry["pk"]["S"], entry["sk"]["S"]] = SubjectRef(brand_id, kind, subject_id)
        stored = self.table.read_all(refs)
        found = (to_subject(ref, stored.get(key)) for key, ref in refs.items())
        # The index may lag behind a move or a cancellation.
        return [subject for subject in found if subject and starts_on(subject, day)]

    def read_brand(self, brand: str) -> Brand | None:
        return to_brand(brand, self.table.read_one((brand_pk(brand), BRAND)))

    def write_brand(self, brand: Brand) -> bool:
        return self.table.put(brand_item(brand), at_revision(BrandItem, brand.revision))


def linked_subjects(table: Table, contact: Contact, items: Sequence[Item]) -> list[Subject]:
    """Read the subjects that the contact's items name; one request for 100."""
    refs = {(ref.key, SUBJECT): ref for ref in (linked_ref(contact, item) for item in items) if ref}
    stored = table.read_all(refs)
    found = (to_subject(ref, stored.get(key)) for key, ref in refs.items())
    return [subject for subject in found if subject]
