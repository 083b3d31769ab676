"""The settings that decisions use: the stack's parameters, each of which a brand may override."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, Literal

from .brand import Brand
from .caps import Cap, parse_caps
from .parameters import WhenWindowWillClose, parse_when_closing
from .quiet_hours import QuietHours
from .reasons import Category

PARSED: Final = 1024
"""Texts of brands' settings that are kept parsed: a run decides on thousands of messages of few brands."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The stack's parameters for decisions. A category without an entry has no quiet hours, or no caps.

    ``whatsapp_templates``: the reasons whose template WhatsApp has approved. ``when_window_will_close`` applies to each
    reason that is not in ``when_closing_for``; ``closing_notice`` is how long before that a business is warned.
    ``conversation_pause``: how long after a message in the conversation no marketing is sent; ``None`` for off.
    ``overridden``: the names of the brand's fields that replaced a parameter.
    """

    marketing_consent: Literal["implied", "required"] = "implied"
    quiet_hours: Mapping[Category, QuietHours] = field(default_factory=dict)
    caps: Mapping[Category, tuple[Cap, ...]] = field(default_factory=dict)
    default_timezone: str | None = None
    whatsapp_templates: frozenset[str] = frozenset()
    when_window_will_close: WhenWindowWillClose = "wait"
    when_closing_for: Mapping[str, WhenWindowWillClose] = field(default_factory=dict)
    closing_notice: timedelta = timedelta(days=1)
    conversation_pause: timedelta | None = None
    dry_run: bool = False
    keep_texts: bool = True
    overridden: frozenset[str] = frozenset()

    def when_closing(self, reason: str) -> WhenWindowWillClose:
        return self.when_closing_for.get(reason, self.when_window_will_close)

    @property
    def plans_for_closing(self) -> bool:
        """Return whether any message has a plan for a window that closes before it is due."""
        return {self.when_window_will_close, *self.when_closing_for.values()} != {"wait"}

    def for_brand(self, brand: Brand | None) -> "PolicySettings":
        """Return the settings with the brand's own; the same object if the brand overrides nothing."""
        if brand is None:
            return self
        given = {name: value for name in OVERRIDES if (value := getattr(brand, name)) is not None}
        if not given:
            return self
        settings = self
        for name, value in given.items():
            settings = OVERRIDES[name](settings, value)
        return replace(settings, overridden=frozenset(given))

    def source(self, parameter: str, brand_field: str = "") -> dict[str, Any]:
        """Return the facts that name the setting which decided, and whether the stack or the brand set it.

        Without ``brand_field``, only the stack can set it.
        """
        if brand_field in self.overridden:
            return {"setting": brand_field, "setting_from": "brand"}
        return {"setting": parameter, "setting_from": "stack"}


_quiet_hours = lru_cache(PARSED)(QuietHours.parse)
_caps = lru_cache(PARSED)(parse_caps)
_when_closing: Callable[[str], Mapping[str, WhenWindowWillClose]] = lru_cache(PARSED)(parse_when_closing)

Override = Callable[[PolicySettings, Any], PolicySettings]


def _with_quiet_hours(category: Category) -> Override:
    def apply(settings: PolicySettings, text: str) -> PolicySettings:
        others = {name: hours for name, hours in settings.quiet_hours.items() if name != category}
        hours = _quiet_hours(text)
        return replace(settings, quiet_hours=others | ({category: hours} if hours else {}))

    return apply


def _with_caps(category: Category) -> Override:
    return lambda settings, text: replace(settings, caps={**settings.caps, category: _caps(text)})


def _with_when_closing(settings: PolicySettings, text: str) -> PolicySettings:
    when: Mapping[str, WhenWindowWillClose] = _when_closing(text) if text else {"": "wait"}
    own = {reason: choice for reason, choice in when.items() if reason}
    return replace(settings, when_window_will_close=when[""], when_closing_for=own)


OVERRIDES: Final[Mapping[str, Override]] = {
    "utility_quiet_hours": _with_quiet_hours("utility"),
    "marketing_quiet_hours": _with_quiet_hours("marketing"),
    "utility_caps": _with_caps("utility"),
    "marketing_caps": _with_caps("marketing"),
    "marketing_consent": lambda settings, value: replace(settings, marketing_consent=value),
    "when_window_will_close": _with_when_closing,
    "dry_run": lambda settings, value: replace(settings, dry_run=value),
}
"""The fields of ``BrandConfigured`` that override a parameter of decisions."""
