"""A test message that a person asks for: sample data, a brand's real route, and a number of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contact import Contact


@dataclass(frozen=True, slots=True)
class MessageToTest:
    """``id``: chosen by the caller; the same id is sent at most once. ``fields``: the sample's subject."""

    contact: Contact
    reason: str
    id: str
    locale: str | None
    fields: Mapping[str, Any]
