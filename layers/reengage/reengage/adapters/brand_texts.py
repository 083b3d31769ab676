"""The texts of ``BrandConfigured.texts``: parse each Fluent pattern, and check it before it counts.

A pattern is the text of one reason. The template's name and parameters stay those of the standard text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from fluent.syntax.visitor import Visitor

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.policy import PolicyInput
from reengage.domain.reasons import ASKING_REASONS, REASONS
from reengage.domain.subject import VersionedValue

from .fluent_patterns import Problem, line_at, parse_pattern, source_of
from .sms_segments import sms_segments
from .wording import FluentWording, WordingError, base_messages, how_to_stop
from .wording_samples import sample_input
from .wording_variables import QUESTION, Context, variables

MOST_SEGMENTS: Final = 3
CHANNELS: Final = ("sms", "whatsapp")
"""Marketing on SMS ends with how to stop, so both kinds of channel are tried."""

OPTIONAL: Final = (
    *("location", "check_in_url", "upgrade_url", "url", "items", "carrier", "tracking_url", "review_url"),
    *("service",),
)
"""Fields that an event may leave out."""

NOW: Final = datetime(2031, 9, 16, 12, tzinfo=UTC)
"""Before the instants of the samples."""


def check_texts(brand: Brand) -> list[str]:
    """Return what is wrong with the brand's texts, each with its locale, reason and line; empty if all are right."""
    return [
        f"$.detail.texts.{locale}{name}: {problem}"
        for locale, patterns in (brand.texts or {}).items()
        for name, problem in _problems(brand, locale, patterns)
    ]


def _problems(brand: Brand, locale: str, patterns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not _is_language(locale):
        yield "", "expected a locale of a known language, such as de-AT"
        return
    for reason, pattern in patterns.items():
        if reason == QUESTION:
            if problem := _problem_of_question(brand, locale, pattern):
                yield f".{reason}", f"line {problem.line}: {problem.what}"
            continue
        if reason not in REASONS:
            close = get_close_matches(reason, REASONS, n=1)
            hint = f'; "{close[0]}" is one' if close else f", such as {next(iter(REASONS))}"
            yield "", f"expected names of reasons{hint}"
            continue
        problem = _problem_of(brand, locale, reason, pattern)
        if problem:
            yield f".{reason}", f"line {problem.line}: {problem.what}"


def _is_language(locale: str) -> bool:
    """Return whether CLDR knows the language: dates and times are written in it."""
    try:
        Locale.parse(locale.replace("_", "-").partition("-")[0])
    except (ValueError, UnknownLocaleError):
        return False
    return True


def _problem_of(brand: Brand, locale: str, reason: str, pattern: str) -> Problem | None:
    message = parse_pattern(reason, pattern)
    if isinstance(message, Problem):
        return message
    names = _Names(known_variables(reason), base_messages(locale) - REASONS.keys() - {QUESTION})
    names.visit(message)
    if names.found:
        offset, what = names.found[0]
        return Problem(line_at(source_of(reason, pattern), offset), what)
    wrong = (_wrong_in(case) for case in _cases(brand, locale, reason))
    return next((Problem(1, what) for what in wrong if what), None)


def _problem_of_question(brand: Brand, locale: str, pattern: str) -> Problem | None:
    """Check the question at the end of reminders, in the texts that ask it."""
    if re.search(r"\bCANCEL\b", pattern):
        return Problem(1, "carriers treat an answer of CANCEL as STOP; ask for a digit")
    message = parse_pattern(QUESTION, pattern)
    if isinstance(message, Problem):
        return message
    names = _Names(known_variables(ASKING_REASONS[0]) - {QUESTION}, base_messages(locale) - REASONS.keys() - {QUESTION})
    names.visit(message)
    if names.found:
        offset, what = names.found[0]
        return Problem(line_at(source_of(QUESTION, pattern), offset), what)
    wrong = (_wrong_in(case) for reason in ASKING_REASONS for case in _cases(brand, locale, reason))
    return next((Problem(1, what) for what in wrong if what), None)


@cache
def known_variables(reason: str) -> frozenset[str]:
    """Return the variables that a text of the reason may name; they do not depend on the event."""
    context = sample_input(reason, Contact("sample", "sms", "+12025550100"), locale="en", brand=None, now=NOW)
    return frozenset(variables(Context(context, ("en",), Locale("en"))))


class _Names(Visitor):
    """Collect names that do not exist, each with its offset."""

    def __init__(self, known: frozenset[str], messages: frozenset[str]) -> None:
        self.known, self.messages = known, messages
        self.found: list[tuple[int, str]] = []

    def visit_VariableReference(self, node: Any) -> None:  # noqa: N802 - the name of the visitor's method
        if node.id.name not in self.known:
            self._note(node, f"unknown variable ${node.id.name}", [f"${name}" for name in sorted(self.known)])

    def visit_MessageReference(self, node: Any) -> None:  # noqa: N802 - the same
        if node.id.name not in self.messages or node.attribute:
            self._note(node, f"unknown text {node.id.name}", sorted(self.messages))

    def visit_TermReference(self, node: Any) -> None:  # noqa: N802 - the same
        self._note(node, f"unknown term -{node.id.name}", ())

    def visit_FunctionReference(self, node: Any) -> None:  # noqa: N802 - the same
        self._note(node, f"function {node.id.name}: variables are texts already", ())

    def _note(self, node: Any, what: str, known: Any) -> None:
        close = get_close_matches(what.rpartition(" ")[2], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; use one of {', '.join(known)}" if known else ""
        self.found.append((node.span.start, what + hint))


def _cases(brand: Brand, locale: str, reason: str) -> Iterator[PolicyInput]:
    """Yield the reason's sample with all of its fields, without each optional one, and without all of them."""
    for channel in CHANNELS:
        contact = Contact(brand.id, channel, "+12025550100")
        full = sample_input(reason, contact, locale=locale, brand=brand, now=NOW)
        yield full
        if reason == "holiday_hours":
            yield _with(full, closed=True)
        if full.profile:
            yield replace(full, profile=replace(full.profile, display_name=None))
        if full.track:
            yield replace(full, now=NOW + timedelta(days=5))
            there = [name for name in OPTIONAL if full.track.get(name) is not None]
            for missing in [*([name] for name in there), there]:
                yield _with(full, **dict.fromkeys(missing))


def _with(context: PolicyInput, **values: Any) -> PolicyInput:
    """Return the input with other values in its subject's fields; ``None`` for left out."""
    assert context.subject is not None
    tracks = {
        name: replace(track, fields={**track.fields, **{field: VersionedValue(1, v) for field, v in values.items()}})
        for name, track in context.subject.tracks.items()
    }
    return replace(context, subject=replace(context.subject, tracks=tracks))


def _wrong_in(context: PolicyInput) -> str | None:
    """Return what is wrong with the text of this sample."""
    message = context.message
    assert context.brand is not None
    try:
        wording = FluentWording(context.brand.locale or "en", falls_back=False)(context)
    except WordingError as error:
        return str(error)
    name = Context(context, (wording.locale,), Locale("en")).brand
    if name not in wording.text:
        return "the text does not name the brand; use { $brand }"
    if message.contact.channel != "sms":
        return None
    if (segments := _segments(context)) > MOST_SEGMENTS:
        return f"the text has {segments} SMS segments with sample data; at most {MOST_SEGMENTS}"
    if REASONS[message.reason].category == "marketing" and not wording.text.endswith(
        how_to_stop(context, wording.locale)
    ):
        return "a marketing text must end with how to opt out; put { ending } at its end"
    return None


def _segments(context: PolicyInput) -> int:
    """Return the SMS segments without the brand's ``stop_text`` and ``help_text``, which have their own lengths."""
    assert context.brand is not None
    brand = replace(context.brand, stop_text=None, help_text=None)
    return sms_segments(FluentWording(brand.locale or "en", falls_back=False)(replace(context, brand=brand)).text)
