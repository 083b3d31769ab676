"""What a person reads: Fluent texts, one file a locale, with dates and times as that locale writes them.

``wording/<locale>.ftl`` holds our texts. A message in ``wording/brands/<brand>/<locale>.ftl`` takes the place of ours
for that brand. A text of the brand's stored settings takes the place of both. Text from outside is data to Fluent: it
cannot become markup.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from babel import Locale, UnknownLocaleError
from fluent.runtime import FluentBundle, FluentResource
from fluent.syntax.ast import Message, Resource

from reengage.domain.answers import Answer
from reengage.domain.asking import asks_for_answer
from reengage.domain.brand import Brand
from reengage.domain.contact import parse_brand
from reengage.domain.policy import PolicyInput
from reengage.domain.questions import payload_of
from reengage.domain.reasons import WITH_REPLIES
from reengage.errors import ReengageError
from reengage.ports import QuickReply, Wording

from .fluent_patterns import Problem, parse_pattern
from .wording_variables import APPOINTMENT, QUESTION, SEVERAL, TIMES, Context, one_of_several, variables

FOLDER: Final = Path(__file__).parents[1] / "wording"

OPENER_TEXT: Final = "opener"
"""The name of the text of openers."""

LABEL: Final = 20
"""Characters in the label of a button on WhatsApp; RCS allows 25."""

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_REGION: Final = 2
_SCRIPT: Final = 4

_log = logging.getLogger(__name__)


class WordingError(ReengageError):
    """A text of ours that cannot be rendered: a message, a term or a variable is missing."""


@dataclass(frozen=True, slots=True)
class FluentWording:
    """Renders in the person's language, else the brand's, else ``default_locale``, else English."""

    default_locale: str = "en"
    folder: Path = FOLDER
    falls_back: bool = True
    """Render the standard text if a text of the brand's settings cannot be rendered any more."""

    def __call__(self, context: PolicyInput) -> Wording:
        """Raises ``WordingError`` where a text of ours is at fault."""
        own = stored_texts(context.brand, context.message.reason)
        if context.brand and context.brand.texts and self.falls_back:
            try:
                return self._render(context, own)
            except WordingError as error:
                _log.warning("the stored text of the brand cannot be rendered: %s", error)
            return self._render(replace(context, brand=replace(context.brand, texts=None)), {})
        return self._render(context, own)

    def _render(self, context: PolicyInput, own: Mapping[str, str]) -> Wording:
        reason, count = context.message.reason, 1 + len(context.merged)
        wanted = self._wanted(context)
        bundle = self._bundle_for(context, wanted, own)
        locale = bundle.locales[0]
        reader = Context(context, wanted, _writes_dates(wanted, locale))
        values = variables(reader)
        if count > 1:
            if own or not _names_several(self.folder, context, bundle):
                return self._render(replace(context, merged=()), own)
            reason = f"{reason}{SEVERAL}"
            values |= _several(bundle, reader)
        replies = _replies(self._asking(bundle, context), context, values)
        named = _parameters(bundle, reason, values)
        text, template = _format(bundle, reason, None, values), _format(bundle, reason, "template", values)
        has_buttons = bool(replies) and f"{reason}{WITH_REPLIES}" in context.settings.whatsapp_templates
        return Wording(
            text=text,
            locale=locale,
            template=f"{template}{WITH_REPLIES}" if has_buttons else template,
            parameters=tuple(values[name] for name in named),
            replies=replies if replies and values[QUESTION] in text else (),
            template_has_replies=has_buttons,
            names=count,
        )

    def _asking(self, bundle: FluentBundle, context: PolicyInput) -> FluentBundle:
        """Return the texts with the brand's own question, if its settings have one in the locale of the text."""
        locale, brand = bundle.locales[0], context.message.contact.brand
        question = stored_texts(context.brand, QUESTION).get(locale)
        return (_bundle(self.folder, brand, locale, QUESTION, question) if question else None) or bundle

    def _wanted(self, context: PolicyInput) -> tuple[str, ...]:
        """Return the person's locales, then the brand's, then the default; each with what it is a kind of."""
        person = context.profile.locale if context.profile else None
        brand = context.brand.locale if context.brand else None
        return _chain(person, brand, self.default_locale)

    def opener(self, brand: str, kind: str, code: str, *locales: str | None) -> str:
        """Return what a person sends to open the conversation about a subject of this kind."""
        bundle = self._bundle_with(OPENER_TEXT, brand, tuple(chain(*locales, self.default_locale)))
        return _format(bundle, OPENER_TEXT, None, {"kind": kind, "code": code})

    def _bundle_for(self, context: PolicyInput, wanted: Sequence[str], own: Mapping[str, str]) -> FluentBundle:
        return self._bundle_with(context.message.reason, context.message.contact.brand, wanted, own)

    def _bundle_with(
        self, name: str, brand: str, wanted: Sequence[str], own: Mapping[str, str] = MappingProxyType({})
    ) -> FluentBundle:
        """Return the texts of the first locale that has this one; ``own``: the brand's stored texts by locale."""
        for locale in wanted:
            stored = (name, own[locale]) if locale in own else ()
            bundle = _bundle(self.folder, brand, locale, *stored)
            if bundle and bundle.has_message(name):
                return bundle
        raise WordingError(f"{name} has no text in any of {', '.join(wanted)}")


@lru_cache(maxsize=1024)
def _chain(*locales: str | None) -> tuple[str, ...]:
    return tuple(chain(*locales))


def chain(*locales: str | None) -> Iterator[str]:
    """Each locale, then what it is a kind of: ``de-AT``, ``de``; English at the end. No tag can be a path."""
    for locale in (*locales, "en"):
        tag = (locale or "").replace("_", "-")
        parts = tag.split("-") if _TAG.fullmatch(tag) else []
        for length in range(len(parts), 0, -1):
            yield "-".join(_canonical(parts[:length]))


def _canonical(parts: Sequence[str]) -> Iterator[str]:
    """As files are named, and tags are written (BCP 47): ``zh-Hant-TW``."""
    yield parts[0].lower()
    for part in parts[1:]:
        yield part.upper() if len(part) == _REGION else part.title() if len(part) == _SCRIPT else part.lower()


@lru_cache(maxsize=1024)
def _writes_dates(wanted: tuple[str, ...], locale: str) -> Locale:
    """Return the most specific locale of the text's language: a person in London reads English with British dates."""
    language = _language(locale)
    kind = next(name for name in wanted if _language(name) == language)
    try:
        return Locale.parse(kind, sep="-")
    except (ValueError, UnknownLocaleError):  # an unknown region
        return Locale.parse(language)


def _language(locale: str) -> str:
    return locale.partition("-")[0]


def stored_texts(brand: Brand | None, reason: str) -> dict[str, str]:
    """Return the brand's stored texts of the reason by locale, in the spelling of ``chain``."""
    texts = (brand.texts if brand else None) or {}
    return {next(chain(locale)): patterns[reason] for locale, patterns in texts.items() if reason in patterns}


@lru_cache(maxsize=1024)
def _bundle(folder: Path, brand: str, locale: str, reason: str = "", pattern: str = "") -> FluentBundle | None:
    """Return the locale's texts with the brand's overrides; ``None`` if the locale has no texts.

    ``pattern``: the brand's stored text of ``reason``. A locale without a file of ours then takes the rest of its texts
    from the next locale of its chain.
    """
    resources = _resources(folder, brand, locale)
    if pattern and not resources:
        resources = next(found for name in chain(locale) if (found := _resources(folder, brand, name)))
    if not resources:
        return None
    bundle = FluentBundle([locale], use_isolating=False)
    for resource in resources:
        bundle.add_resource(resource, allow_overrides=True)
    if pattern:
        bundle.add_resource(_own(resources, locale, reason, pattern), allow_overrides=True)
    return bundle


def _resources(folder: Path, brand: str, locale: str) -> list[Resource]:
    files = (folder / f"{locale}.ftl", folder / "brands" / parse_brand(brand) / f"{locale}.ftl")
    return [_resource(path) for path in files if path.is_file()]


def _own(resources: Sequence[Resource], locale: str, reason: str, pattern: str) -> Resource:
    """Return the stored text with the template's name and parameters of the text that it replaces."""
    parsed = parse_pattern(reason, pattern)
    if isinstance(parsed, Problem):
        raise WordingError(f"{locale}: {reason}: line {parsed.line}: {parsed.what}")
    replaced = [entry for file in resources for entry in file.body if isinstance(entry, Message)]
    parsed.attributes = next(entry.attributes for entry in reversed(replaced) if entry.id.name == reason)
    return Resource([parsed])


def base_messages(locale: str) -> frozenset[str]:
    """Return the names of our texts in the locale, or in the next one of its chain."""
    path = next(path for name in chain(locale) if (path := FOLDER / f"{name}.ftl").is_file())
    return frozenset(entry.id.name for entry in _resource(path).body if isinstance(entry, Message))


def how_to_stop(context: PolicyInput, locale: str) -> str:
    """Return how the message of this input explains the opt-out."""
    bundle = next(found for name in chain(locale) if (found := _bundle(FOLDER, context.message.contact.brand, name)))
    values = variables(Context(context, (locale,), _writes_dates((locale,), locale)))
    return _format(bundle, "how_to_stop", None, values)


@cache
def _resource(path: Path) -> Resource:
    return FluentResource(path.read_text(encoding="utf-8"))


def _names_several(folder: Path, context: PolicyInput, bundle: FluentBundle) -> bool:
    """Return whether there is a text for several appointments, and the brand has no own text for one."""
    reason, brand = context.message.reason, context.message.contact.brand
    path = folder / "brands" / parse_brand(brand) / f"{bundle.locales[0]}.ftl"
    own = {entry.id.name for entry in _resource(path).body if isinstance(entry, Message)} if path.is_file() else set()
    return bundle.has_message(f"{reason}{SEVERAL}") and (reason not in own or f"{reason}{SEVERAL}" in own)


def _several(bundle: FluentBundle, reader: Context) -> dict[str, str]:
    """Return how many appointments there are, and each different one in the words of the locale."""
    contexts = (reader.policy_input, *reader.policy_input.merged)
    named = {
        _format(bundle, APPOINTMENT, None, one_of_several(replace(reader, policy_input=context))): None
        for context in contexts
    }
    return {"count": str(len(contexts)), "appointments": "; ".join(named)}


def _replies(bundle: FluentBundle, context: PolicyInput, values: dict[str, str]) -> tuple[QuickReply, ...]:
    """Put the question into ``values`` if the message asks one, and return a button for each answer.

    If the text names several appointments, only a confirmation can be about all of them.
    """
    named = (context, *context.merged)
    is_asked = any(asks_for_answer(each.message, each.subject, each.brand) for each in named)
    name, answers = (f"{QUESTION}{SEVERAL}", [Answer.CONFIRMED]) if context.merged else (QUESTION, list(Answer))
    if not is_asked or not bundle.has_message(name):
        return ()
    values[QUESTION] = _format(bundle, name, None, values)
    if not values[QUESTION]:
        return ()
    labels = _labels([_format(bundle, name, answer, values) for answer in answers])
    payloads = [payload_of(context.message.scheduled_message_id, answer) for answer in answers]
    return tuple(map(QuickReply, labels, payloads))


def _labels(texts: Sequence[str]) -> list[str]:
    """Return the labels of buttons; a number for one without text, and for all if two would be equal.

    WhatsApp refuses a message with two equal labels, or with an empty one.
    """
    labels = [text.strip()[:LABEL].strip() or str(number) for number, text in enumerate(texts, start=1)]
    numbers = [str(number) for number in range(1, len(texts) + 1)]
    return labels if len({label.casefold() for label in labels}) == len(labels) else numbers


def _parameters(bundle: FluentBundle, reason: str, values: Mapping[str, str]) -> list[str]:
    """Return the names of the template's parameters; each is a variable of the reason."""
    named = _format(bundle, reason, "parameters", values).split()
    if unknown := set(named) - set(values):
        raise WordingError(f"{bundle.locales[0]}: {reason}.parameters: no such variable: {', '.join(sorted(unknown))}")
    return named


def _format(bundle: FluentBundle, name: str, attribute: str | None, values: Mapping[str, str]) -> str:
    """Render a pattern with its variables; an empty variable leaves no double space."""
    if (constant := _constant(bundle, name, attribute)) is not None:
        return constant
    text, errors = _filled(bundle, name, attribute, values)
    if errors:
        raise WordingError(f"{bundle.locales[0]}: {name}: {'; '.join(map(str, errors))}")
    return _end_once(text, values)


@lru_cache(maxsize=1024)
def _constant(bundle: FluentBundle, name: str, attribute: str | None) -> str | None:
    """Return a text without variables, such as a button's label; ``None`` for one that has some."""
    text, errors = _filled(bundle, name, attribute, {})
    return None if errors else text


def _filled(
    bundle: FluentBundle, name: str, attribute: str | None, values: Mapping[str, str]
) -> tuple[str, Sequence[Exception]]:
    try:
        message = bundle.get_message(name)
        pattern = message.attributes[attribute] if attribute else message.value
    except LookupError as error:
        raise WordingError(f"{bundle.locales[0]}: {name}: {error} is missing") from error
    if pattern is None:
        raise WordingError(f"{bundle.locales[0]}: {name} has no text")
    text, errors = bundle.format_pattern(pattern, dict(values))
    return re.sub(" {2,}", " ", str(text)).strip(), errors


def _end_once(text: str, values: Mapping[str, str]) -> str:
    """Remove a second full stop after a time such as "3:05 p.m.", which ends its sentence."""
    for name in TIMES:
        if (time := values.get(name, "")).endswith("."):
            text = text.replace(f"{time}.", time)
    return text
