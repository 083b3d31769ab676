"""The snapshot of a message about a product or an item has what the number's other channels know of it."""

from dataclasses import replace

import pytest

from reengage.domain.contact import Contact
from reengage.domain.reasons import REASONS
from reengage.domain.subject import Subject, SubjectRef, VersionedValue
from tests.contract.samples import ANNA, BEN, conversation, reminder, subject
from tests.contract.stores import Harness

CHAT = replace(ANNA, channel="whatsapp")


def known(contact: Contact, kind: str, name: str = "lamp") -> Subject:
    ref = SubjectRef.known_to(contact, kind, name)
    track = subject().tracks["appointment"]
    shown = {"shown_at": VersionedValue(track.version, "2026-03-02T12:00:00Z")}
    return replace(subject(ref), tracks={kind: replace(track, fields={**track.fields, **shown})}, previous={})


@pytest.mark.parametrize(("reason", "kind"), [("product_reminder", "product"), ("back_in_stock", "interest")])
def test_snapshot_has_the_interest_of_another_channel(harness: Harness, reason: str, kind: str) -> None:
    store = harness.store
    about = SubjectRef.known_to(ANNA, REASONS[reason].kind, "lamp")
    message = replace(reminder(), reason=reason, subject=about, offset="PT0S")
    for contact, name in ((ANNA, "lamp"), (CHAT, "lamp"), (CHAT, "rug"), (BEN, "lamp")):
        assert store.write_subject(known(contact, kind, name))
    assert store.write_conversation(CHAT, conversation(), replacing=None)
    [other] = store.read_snapshot(message).others
    assert (other.contact, other.is_linked, other.conversation) == (CHAT, False, conversation())
    assert other.interest == replace(known(CHAT, kind), revision=1)
    assert store.write_conversation(ANNA, conversation(), replacing=None)
    assert store.read_snapshot(reminder()).others == ()
