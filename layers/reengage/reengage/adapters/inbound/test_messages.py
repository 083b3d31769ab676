"""Parse the request for a test message, with which a person invokes ``SendUpdatesFunction``."""

from typing import Any

from msgspec import UNSET, Struct

from reengage.adapters.wording_samples import SAMPLE_FIELDS
from reengage.domain.contact import Contact
from reengage.domain.message_to_test import MessageToTest
from reengage.errors import InvalidEvent

from .decoding import decode_fields, given
from .event_types import ContactFields
from .field_types import Identifier, Locale, Optional


class FieldsOfTest(Struct):
    contact: ContactFields
    reason: str
    id: Identifier
    locale: Locale | Optional = UNSET


def parse_test_message(value: Any) -> MessageToTest:
    """Parse the object of ``send_test``. Raises ``InvalidEvent`` with every field that is wrong."""
    errors: list[str] = []
    fields = decode_fields(value, FieldsOfTest, "$.send_test", errors)
    if fields and fields.reason not in SAMPLE_FIELDS:
        errors.append(f"$.send_test.reason: expected one of {', '.join(SAMPLE_FIELDS)}")
    if fields is None or errors:
        raise InvalidEvent(errors)
    contact = Contact(str(fields.contact.brand), str(fields.contact.channel), fields.contact.address)
    sample = dict(SAMPLE_FIELDS[fields.reason])
    return MessageToTest(contact, fields.reason, str(fields.id), given(fields.locale), sample)
