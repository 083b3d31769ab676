"""The names of the providers' approved templates, as the texts have them in their attribute ``template``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fluent.syntax import FluentParser, ast

from reengage.domain.reasons import REASONS

from .wording import FOLDER
from .wording_variables import SEVERAL

LANGUAGE: Final = "en"
"""The file that is read: a template has the same name in all languages."""


def template_names(reason: str, folder: Path = FOLDER) -> dict[str, bool]:
    """Return the template names of a reason; true for the one that is used if the message has nothing special."""
    if reason not in REASONS:
        return {}
    resource = FluentParser().parse((folder / f"{LANGUAGE}.ftl").read_text(encoding="utf-8"))
    found: dict[str, bool] = {}
    for message in resource.body:
        if isinstance(message, ast.Message) and message.id.name in (reason, f"{reason}{SEVERAL}"):
            usual = message.id.name == reason
            for attribute in message.attributes:
                if attribute.id.name == "template":
                    found |= {name: is_default and usual for name, is_default in _names(attribute.value)}
    return found


def _names(pattern: ast.Pattern, *, is_default: bool = True) -> Iterator[tuple[str, bool]]:
    for element in pattern.elements:
        if isinstance(element, ast.TextElement) and (name := element.value.strip()):
            yield name, is_default
        if isinstance(element, ast.Placeable) and isinstance(element.expression, ast.SelectExpression):
            for variant in element.expression.variants:
                yield from _names(variant.value, is_default=is_default and variant.default)
