"""How a brand presents itself: its name, and what holds where nothing is known of the person."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Localised = str | Mapping[str, str]
"""One text for all, or one for each locale."""


@dataclass(frozen=True, slots=True)
class Brand:
    """``id`` is the brand of its contacts.

    ``help_text`` is its answer to HELP; ``stop_text`` its way to say, at the end of marketing on SMS, how to stop.
    ``versions`` says of each field which event gave it; ``revision`` counts the writes, for compare-and-set.
    """

    id: str
    name: Localised | None = None
    timezone: str | None = None
    locale: str | None = None
    help_text: Localised | None = None
    stop_text: Localised | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    def apply(self, version: int, fields: Mapping[str, Any]) -> "Brand":
        """With what an event said; an older event changes nothing that a newer one said."""
        newer = {name: value for name, value in fields.items() if version >= self.versions.get(name, 0)}
        return replace(self, **newer, versions={**self.versions, **dict.fromkeys(newer, version)})
