"""Contacts, as a person types them: ``brand/channel/address``."""

from reengage.cli.console import UsageError
from reengage.domain.contact import Contact

EXAMPLE = "acme-dental/sms/+12025550101"


def parse_contact(text: str) -> Contact:
    """Parse ``brand/channel/address``. Raises ``UsageError`` with an example and what is wrong."""
    parts = text.split("/", 2)
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - the three parts that the docstring names
        raise UsageError(f'CONTACT must look like brand/channel/address, for example {EXAMPLE}; got "{text}"')
    try:
        return Contact.of(*parts)
    except ValueError as error:
        raise UsageError(f"CONTACT is brand/channel/address, for example {EXAMPLE}: {error}") from error


def contact_fields(contact: Contact) -> dict[str, str]:
    return {"brand": contact.brand, "channel": contact.channel, "address": contact.address}
