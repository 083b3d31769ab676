"""Answer which openers a subject has, one for each person that must write first."""

from typing import Any, Protocol

from reengage.domain.contact import Contact
from reengage.domain.events_out import subject_of
from reengage.domain.openers import no_contact
from reengage.domain.planning import planned_messages
from reengage.domain.subject import Subject, SubjectRef
from reengage.ports import BrandReader, Clock, OpenerStore
from reengage.usecases.openers import Invite, OpenerDesk


class OpenerQueryStore(OpenerStore, BrandReader, Protocol):
    """What the question about a subject's openers reads."""

    def read_subject(self, ref: SubjectRef) -> Subject | None: ...


def read_openers(ref: SubjectRef, *, store: OpenerQueryStore, invite: Invite, clock: Clock) -> dict[str, Any]:
    """Return the valid openers as JSON values. ``found``: whether the subject is stored.

    An opener without ``contact`` is of a subject that names no one: it binds its sender.
    """
    subject, now = store.read_subject(ref), clock()
    planned = [message for message in planned_messages(subject) if now < message.valid_until]
    contacts: dict[Contact, None] = dict.fromkeys(message.contact for message in planned)
    openers = []
    if subject and not subject.contacts:
        contacts = {no_contact(ref.brand): None}
    if subject:
        desk, brand = OpenerDesk(store, invite), store.read_brand(ref.brand)
        found = desk.find([(subject, contact) for contact in contacts], brand=brand, now=now)
        openers = [
            {**(subject_of(contact) if contact.address else {}), **invitation.as_fields}
            for (_, contact), invitation in found.items()
        ]
    return {"brand": ref.brand, "kind": ref.kind, "id": ref.id, "found": subject is not None, "openers": openers}
