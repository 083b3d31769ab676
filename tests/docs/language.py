"""Find wording that is not plain English in code, tests, the template and documents.

Run ``python -m tests.docs.language`` to print every finding. With paths as arguments, only their findings are printed.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.docs.documents import ROOT, tracked_files, words

MAX_WORDS = 25
MAX_MEAN = 20
MAX_TEST_NAME = 60

BANNED = re.compile(
    r"\b(?:told|said|heard|hears|whoever|whom|nobody|mend(?:s|ed|ing)?|stands|became of|of (?:no )?(?:more )?use"
    r"|(?:is|was|are|were|has|have|had|where|if) (?-i:none)(?! of)"
    r"|speaks?|tell(?:s|ing)? (?:of|the|what|which|how|that|when)|says? (?:what|that|so|which|nothing|of|why|how)"
    r"|came to|comes? of|sake|anybody|somebody|everybody|alike)\b",
    re.IGNORECASE,
)
"""Words that describe data as speech, or a fact by what it is not."""
FORMER_TERMS = re.compile(
    r"\b(?:lanes?|outlooks?|circumstances|(?:the|its|a|no|each|every|second) gates?"
    r"|(?:the|its|a|each|every|another|send|providers') doors?|drains?|contended)\b",
    re.IGNORECASE,
)
"""Terms that the vocabulary has replaced: priority, window closing plan, policy input, track, snapshot, send group or
endpoint, shard worker, conflict.
"""
BANNED_IN_NAMES = frozenset(
    {"told", "said", "says", "heard", "hear", "hears", "whoever", "whom", "nobody", "mend", "mended", "mends", "stands"}
    | {"nobodys", "door", "doors", "lane", "lanes", "gate", "gates", "drain", "drains", "families", "outlook"}
    | {"circumstances", "contended", "anybody", "somebody", "everybody", "tells", "speak", "speaks", "speech"}
)

ALLOWED_FILES = {
    "layers/reengage/reengage/domain/keyword_lists.py": "phrases that people write",
    "layers/reengage/reengage/domain/keywords.py": "phrases that people write",
    "tests/unit/domain/test_keywords.py": "phrases that people write",
    "tests/docs/language.py": "the list of banned words",
    "tests/docs/test_language.py": "examples of what the check finds",
    "tests/docs/test_prose.py": "examples of what the check finds",
}
"""Files that may contain banned words, each with the reason."""
ALLOWED_TERMS = {
    "told_to_close": "stored attribute name",
    "heard_at": "stored attribute name",
    "useful_until": "stored attribute name",
}
"""Names that may contain banned words, each with the reason."""

_WHOLE_TEXTS = ("template.yaml", "Makefile", "pyproject.toml", "samconfig.toml", ".gitignore")
_QUOTED = re.compile(r"``[^`]+``|`[^`]+`|\"[^\"\n]*\"")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])[\"*)]*\s+(?=[\"*(\[A-Z`:])|\n\s*\n|\n\s*(?:[-*]|\d+\.) ")
_TABLE_ROW = re.compile(r"^\s*\|.*$", re.MULTILINE)
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MESSAGE = re.compile(r"[A-Za-z]+ [A-Za-z]+")


@dataclass(frozen=True)
class Finding:
    """One place that is not plain English. ``kind`` is the rule that it breaks."""

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.text}"


def findings_in(path: str, text: str) -> list[Finding]:
    """Return each finding in the text of one file, in the order of the rules."""
    if path.endswith(".py"):
        return list(_in_python(path, text))
    if path.endswith(".ftl"):
        return list(_in_lines(path, [line if line.startswith("#") else "" for line in text.splitlines()]))
    if path in _WHOLE_TEXTS:
        return list(_in_lines(path, text.splitlines()))
    return []


@cache
def all_findings() -> dict[str, list[Finding]]:
    """Return the findings of each tracked file that has one."""
    found = {
        path: findings_in(path, (ROOT / path).read_text(encoding="utf-8"))
        for path in tracked_files()
        if path.endswith((".py", ".ftl")) or path in _WHOLE_TEXTS
    }
    return {path: items for path, items in found.items() if items}


def _in_lines(path: str, lines: list[str]) -> Iterator[Finding]:
    for number, line in enumerate(lines, 1):
        yield from _banned(path, number, line)


def _banned(path: str, line: int, text: str) -> Iterator[Finding]:
    if path not in ALLOWED_FILES:
        for pattern, kind in ((BANNED, "banned word"), (FORMER_TERMS, "former term")):
            for match in pattern.finditer(text):
                yield Finding(path, line, kind, f"{match[0]}: {' '.join(text.split())[:100]}")


def _in_python(path: str, text: str) -> Iterator[Finding]:
    tree = ast.parse(text)
    docstrings = dict(_docstrings(tree))
    yield from _in_names(path, tree)
    for line, docstring in docstrings.values():
        yield from _banned(path, line, _QUOTED.sub("`x`", docstring))
    yield from _in_sentences(path, [(line, docstring) for line, docstring in docstrings.values()])
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from _banned(path, token.start[0], _QUOTED.sub("`x`", token.string))
    if not path.startswith("tests/"):
        yield from _in_messages(path, tree, set(docstrings))


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield the docstrings, also those below constants: the node's id, and its line and text."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):
                    yield id(statement.value), (statement.lineno, value)


def _in_names(path: str, tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        for name in _bound_names(node):
            if name not in ALLOWED_TERMS and not BANNED_IN_NAMES.isdisjoint(_parts(name)):
                yield Finding(path, getattr(node, "lineno", 1), "name", name)
            if name.startswith("test_") and len(name) > MAX_TEST_NAME:
                yield Finding(path, getattr(node, "lineno", 1), "long test name", name)


def _bound_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
            yield name
        case _:
            return


def _parts(name: str) -> set[str]:
    return {part.lower() for part in _NAME_PARTS.findall(name)}


def _in_sentences(path: str, docstrings: list[tuple[int, str]]) -> Iterator[Finding]:
    lengths = []
    for line, docstring in docstrings:
        for sentence in sentences(docstring):
            lengths.append(words(sentence))
            if lengths[-1] > MAX_WORDS:
                yield Finding(path, line, f"{lengths[-1]} words", " ".join(sentence.split())[:100])
    if lengths and sum(lengths) > MAX_MEAN * len(lengths):
        yield Finding(path, 1, "long sentences", f"{sum(lengths) / len(lengths):.1f} words on average")


def sentences(docstring: str) -> list[str]:
    """Return the sentences of a docstring without tables; a code span or a quotation is one word."""
    prose = _QUOTED.sub("`x`", _TABLE_ROW.sub("", docstring))
    return [part for part in _SENTENCE_END.split(prose) if words(part)]


def _in_messages(path: str, tree: ast.AST, docstrings: set[int]) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value
            if _MESSAGE.search(text):
                yield from _banned(path, node.lineno, text)


def main(arguments: list[str]) -> None:
    """Print the findings of the files whose path begins with an argument; without arguments, all."""
    for path, items in all_findings().items():
        if not arguments or path.startswith(tuple(arguments)):
            print(*items, sep="\n")  # noqa: T201 - the output of a command


if __name__ == "__main__":
    main(sys.argv[1:])
