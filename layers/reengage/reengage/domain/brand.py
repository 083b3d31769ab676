"""A brand's presentation: its name, and the defaults for contacts about which nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

STACK: Final = ""
"""The id of the row that applies to all brands; no brand has an empty id."""

Localised = str | Mapping[str, str]
"""One text for all, or one for each locale."""


@dataclass(frozen=True, slots=True)
class Brand:
    """``id`` is the brand of its contacts.

    ``help_text`` is its answer to HELP; ``stop_text`` its way to say, at the end of marketing on SMS, how to stop.
    The fields from ``utility_quiet_hours`` on override the stack's parameters, in the parameters' own syntax:
    ``None`` for "as the stack", an empty text for "none". ``texts`` holds the brand's own Fluent patterns, by locale
    and reason.

    ``numbers``: by channel, the number that people write to, if ``Routes`` does not name it.

    ``ask_for_answers``: ``False`` for reminders without a question.

    ``pauses``: by scope, as ``domain/pause.py`` stores them; the whole stack's are in the row ``STACK``.

    ``versions`` names the event of each field; ``revision`` counts the writes, for compare-and-set.
    """

    id: str
    name: Localised | None = None
    timezone: str | None = None
    locale: str | None = None
    help_text: Localised | None = None
    stop_text: Localised | None = None
    utility_quiet_hours: str | None = None
    marketing_quiet_hours: str | None = None
    utility_caps: str | None = None
    marketing_caps: str | None = None
    marketing_consent: str | None = None
    welcome_back_after: str | None = None
    when_window_will_close: str | None = None
    dry_run: bool | None = None
    ask_for_answers: bool | None = None
    messages_per_second: str | None = None
    texts: Mapping[str, Mapping[str, str]] | None = None
    numbers: Mapping[str, str] | None = None
    pauses: Mapping[str, Any] | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    def apply(self, version: int, fields: Mapping[str, Any]) -> "Brand":
        """Return this brand with the event's fields; an older event never replaces a newer value."""
        newer = {name: value for name, value in fields.items() if version >= self.versions.get(name, 0)}
        return replace(self, **newer, versions={**self.versions, **dict.fromkeys(newer, version)})
