"""Subjects, the links by which a contact's subjects are found, and brands."""

from dataclasses import replace
from datetime import UTC, date, datetime

from reengage.domain.brand import Brand
from reengage.domain.broadcast import Recipient
from reengage.domain.contact import Contact
from reengage.domain.erasure import named_at
from reengage.domain.instants import iso, parse_instant
from reengage.domain.subject import Subject, SubjectRef, starts_on

from .tables import Link, Tables, interested_audience


class Subjects(Tables):
    """Subjects, their links, and brands."""

    def read_subject(self, ref: SubjectRef) -> Subject | None:
        return self._subjects.get(ref)

    def write_subject(self, subject: Subject) -> bool:
        with self._lock:
            stored = self._subjects.get(subject.ref)
            if (stored.revision if stored else 0) != subject.revision:
                return False
            self._subjects[subject.ref] = subject.with_bookkeeping(revision=subject.revision + 1)
            if subject.ref.of and subject.ref.kind == "interest":
                self._note_interest(subject.ref.of, subject)
            return True

    def _note_interest(self, contact: Contact, subject: Subject) -> None:
        recipients = self._audience[interested_audience(subject.ref, contact.shard)]
        if subject.is_undone("interest"):
            recipients.pop(contact.key, None)
            return
        since = parse_instant(subject.tracks["interest"].get("shown_at"))
        lasts_until = datetime.fromtimestamp(subject.expires_at, UTC).date().isoformat()
        recipients[contact.key] = f"{lasts_until}#{iso(since)}", Recipient(contact, since)

    def index_subject(self, contact: Contact, subject: Subject) -> None:
        with self._lock:
            link = Link(named_at(subject, contact), subject.expires_at)
            stored = self._links.get((contact, subject.ref), link)
            self._links[contact, subject.ref] = Link(
                max(stored.named_at, link.named_at), max(stored.expires_at, link.expires_at)
            )
            self._of_contact[contact.key].links[contact, subject.ref] = None

    def appointments_of_day(self, brand: str, day: date) -> list[Subject]:
        with self._lock:
            return [
                subject
                for ref, subject in self._subjects.items()
                if (ref.brand, ref.kind) == (brand, "appointment") and starts_on(subject, day)
            ]

    def read_brand(self, brand: str) -> Brand | None:
        return self._brands.get(brand)

    def write_brand(self, brand: Brand) -> bool:
        with self._lock:
            stored = self._brands.get(brand.id)
            if (stored.revision if stored else 0) != brand.revision:
                return False
            self._brands[brand.id] = replace(brand, revision=brand.revision + 1)
            return True
