"""What a person reads: Fluent texts, one file a locale, with dates and times as that locale writes them.

Text from outside (a product's name, a place) is data to Fluent: it cannot become markup.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from babel.dates import format_date, format_time
from fluent.runtime import FluentBundle, FluentResource

from reengage.domain.instants import parse_instant, parse_zone
from reengage.domain.policy import Circumstances
from reengage.domain.subject import Family
from reengage.errors import ReengageError
from reengage.ports import Wording

LOCALES: Final = ("en", "de", "vi")
"""The locales that there are texts for."""


class WordingError(ReengageError):
    """A text of ours that cannot be rendered: a message, a term or a variable is missing."""


@dataclass(frozen=True, slots=True)
class FluentWording:
    """Renders in the person's language, else ``default_locale``, else English."""

    default_locale: str = "en"

    def __call__(self, case: Circumstances) -> Wording:
        """Raises ``WordingError`` where a text of ours is at fault."""
        assert case.family is not None
        message = case.message
        wanted = list(_chain(case.profile.locale if case.profile else None, self.default_locale))
        locale = next(name for name in wanted if name in LOCALES)
        variables = {"brand": message.contact.brand, "channel": message.contact.channel}
        variables |= VARIABLES[message.reason](case, case.family, wanted, locale)
        bundle = _bundle(locale)
        template = _format(bundle, message.reason, "template", {})
        parameters = _format(bundle, message.reason, "parameters", {}).split()
        text = _format(bundle, message.reason, None, variables)
        return Wording(text, locale, template, tuple(variables[name] for name in parameters))


def _appointment(_case: Circumstances, family: Family, wanted: Sequence[str], locale: str) -> dict[str, str]:
    """In the place's time: the event's zone, else the offset in which the instant was given."""
    starts_at = parse_instant(family.get("starts_at"))
    local = starts_at.astimezone(_zone(family.get("timezone"), starts_at))
    return _day(local, locale) | _optional("location", _localised(family.get("location"), wanted))


def _trial(case: Circumstances, family: Family, wanted: Sequence[str], locale: str) -> dict[str, str]:
    """In the person's time: their own zone, else the event's, else the offset in which the instant was given."""
    ends_at = parse_instant(family.get("ends_at"))
    person = case.profile.timezone if case.profile else None
    local = ends_at.astimezone(_zone(person or family.get("timezone"), ends_at))
    said = {
        "product": _localised(family.get("product"), wanted),
        "ended": "yes" if case.now >= ends_at else "no",
    }
    return said | _day(local, locale) | _optional("upgrade_url", family.get("upgrade_url"))


Variables = Callable[[Circumstances, Family, Sequence[str], str], dict[str, str]]

VARIABLES: Final[Mapping[str, Variables]] = MappingProxyType(
    {"appointment_reminder": _appointment, "trial_follow_up": _trial}
)
"""What each reason's text may speak of, from the subject as it is at the gate."""


def _chain(*locales: str | None) -> Iterator[str]:
    """Each locale, then its language: ``de-AT``, ``de``; English at the end."""
    for locale in (*locales, "en"):
        if locale:
            name = locale.replace("_", "-")
            yield name
            yield name.split("-")[0].lower()


def _localised(value: Any, wanted: Sequence[str]) -> str:
    """A text for all, or out of a map of locale to text the one that is wanted most."""
    if not isinstance(value, dict):
        return str(value or "")
    texts: dict[str, str] = {name.replace("_", "-").lower(): text for name, text in value.items()}
    fitting = (texts[name.lower()] for name in wanted if name.lower() in texts)
    return next(fitting, next(iter(texts.values())))


def _day(local: datetime, locale: str) -> dict[str, str]:
    date = format_date(local, "full", locale=locale)
    time = format_time(local, "short", tzinfo=local.tzinfo, locale=locale)
    return {"date": _plain(date), "time": _plain(time)}


def _plain(text: str) -> str:
    """CLDR's narrow and fixed spaces made ordinary: one of them would halve the length of an SMS (GSM 03.38)."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def _optional(name: str, value: str | None) -> dict[str, str]:
    return {f"has_{name}": "yes" if value else "no", name: value or ""}


def _zone(name: str | None, instant: datetime) -> tzinfo:
    zone = parse_zone(name) if name else instant.tzinfo
    assert zone is not None
    return zone


@cache
def _bundle(locale: str) -> FluentBundle:
    bundle = FluentBundle([locale], use_isolating=False)
    text = resources.files("reengage.wording").joinpath(f"{locale}.ftl").read_text(encoding="utf-8")
    bundle.add_resource(FluentResource(text))
    return bundle


def _format(bundle: FluentBundle, name: str, attribute: str | None, variables: Mapping[str, str]) -> str:
    try:
        message = bundle.get_message(name)
        pattern = message.attributes[attribute] if attribute else message.value
    except LookupError as error:
        raise WordingError(f"{bundle.locales[0]}: {name}: {error} is missing") from error
    if pattern is None:
        raise WordingError(f"{bundle.locales[0]}: {name} has no text")
    text, errors = bundle.format_pattern(pattern, dict(variables))
    if errors:
        raise WordingError(f"{bundle.locales[0]}: {name}: {'; '.join(map(str, errors))}")
    return str(text)
