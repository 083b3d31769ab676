"""Parse a Fluent pattern that a business sends as the text of one reason."""

from typing import Final, NamedTuple

from fluent.syntax import FluentParser, ast

INDENT: Final = "    "


class Problem(NamedTuple):
    """What is wrong in a pattern; ``line`` counts from 1."""

    line: int
    what: str


def parse_pattern(reason: str, pattern: str) -> ast.Message | Problem:
    """Parse a pattern into a message of that reason, or return the first problem."""
    if not pattern.strip():
        return Problem(1, "expected a text that is not empty")
    source = source_of(reason, pattern)
    entries = FluentParser(with_spans=True).parse(source).body
    if junk := next((entry for entry in entries if isinstance(entry, ast.Junk)), None):
        return _problem_of(source, junk)
    message = entries[0] if len(entries) == 1 else None
    if not isinstance(message, ast.Message) or message.value is None:
        return Problem(1, "expected one text")
    if message.attributes:
        return Problem(_line_of(source, message.attributes[0].span), "expected a text alone, without attributes")
    return message


def _problem_of(source: str, junk: ast.Junk) -> Problem:
    note = junk.annotations[0] if junk.annotations else None
    span = note.span if note else junk.span
    return Problem(_line_of(source, span), f"not a Fluent text: {note.message if note else 'cannot be read'}")


def _line_of(source: str, span: ast.Span | None) -> int:
    return line_at(source, span.start) if span else 1


def source_of(reason: str, pattern: str) -> str:
    """Return the pattern as a file of Fluent: the reason, then the pattern's lines."""
    return f"{reason} =\n" + "".join(f"{INDENT}{line}\n" for line in pattern.splitlines())


def line_at(source: str, offset: int) -> int:
    """Return the pattern's line, from 1: the reason is a line before it."""
    last = source.count("\n") - 1
    return max(min(source.count("\n", 0, offset), last), 1)
