"""The Markdown documents of the repository, and the parts that the tests need of them."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PARTS = re.compile(r"^(?:[ ]*```.*?^[ ]*```[ ]*$)", re.DOTALL | re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"*)]*\s+(?=[\"*(\[A-Z`])")
_LIST_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
_COMMAND_SPAN = re.compile(r"`((?:BUS=\w+ )?(?:make|sam|aws|reengage|python|node)\s[^`]+)`")
_TABLE_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")


@cache
def tracked_files() -> tuple[str, ...]:
    """Return the paths of all files that Git tracks or would add, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
    return tuple(path for path in listed.splitlines() if (ROOT / path).is_file())


@dataclass(frozen=True)
class Document:
    """One Markdown file. ``path`` is relative to the root, such as ``events/README.md``."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def folder(self) -> Path:
        return (ROOT / self.path).parent

    @cached_property
    def without_blocks(self) -> str:
        """The text without fenced blocks; each leaves an empty line."""
        return _PARTS.sub("", self.text)

    @cached_property
    def prose(self) -> str:
        """The text without fenced blocks, code spans, link targets and quotations."""
        text = re.sub(r"`[^`\n]+`", "`x`", self.without_blocks)
        text = re.sub(r"\]\([^)]*\)", "]", text)
        return re.sub(r'"[^"]*"', '"x"', text)

    def blocks(self, *languages: str) -> list[str]:
        """Return the content of the fenced blocks of these languages."""
        found = re.findall(r"^```(\w*)\n(.*?)^```", self.text, re.DOTALL | re.MULTILINE)
        return [block for language, block in found if language in languages]

    def section(self, heading: str) -> str:
        """Return the text below a heading, up to the next heading of the same depth or above."""
        depth = len(heading) - len(heading.lstrip("#"))
        after = self.text.split(f"\n{heading}\n", 1)[1]
        return re.split(rf"\n#{{1,{depth}}} ", after)[0]

    def table(self, heading: str, first_column: str) -> list[list[str]]:
        """Return the rows of the table under a heading whose first column has that title."""
        lines = iter(self.section(heading).splitlines())
        if not any(line.startswith(f"| {first_column} |") for line in lines):
            raise AssertionError(f"{self.path}: no table of {first_column} under {heading}")
        next(lines)
        rows = []
        for line in lines:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        return rows

    def sentences(self) -> Iterator[str]:
        """Yield each sentence outside code, tables, headings and the table of contents."""
        paragraph: list[str] = []
        for line in [*self.prose.splitlines(), ""]:
            is_left_out = not line.strip() or line.startswith(("|", "#", "- [")) or " · [" in line
            if is_left_out or _LIST_ITEM.match(line):
                yield from _split(" ".join(paragraph))
                paragraph = []
            if not is_left_out:
                paragraph.append(_LIST_ITEM.sub("", line).strip())

    def headless_tables(self) -> Iterator[int]:
        """Yield the number of each line that begins a table without a head and a rule below it."""
        lines = self.without_blocks.splitlines()
        for number, line in enumerate(lines):
            begins = line.startswith("|") and not (number and lines[number - 1].startswith("|"))
            if begins and not (number + 1 < len(lines) and _TABLE_RULE.fullmatch(lines[number + 1].strip())):
                yield number + 1

    @cached_property
    def anchors(self) -> set[str]:
        """The fragments that GitHub gives to the headings."""
        headings = re.findall(r"^#+ (.+)$", self.without_blocks, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@dataclass(frozen=True)
class Command:
    """A command of a document, on one line and without its comment, and the heading above it."""

    heading: str
    text: str


def shell_lines(block: str) -> Iterator[str]:
    """Yield the commands of a block; a quotation or a backslash may continue over lines."""
    pending = ""
    for line in block.replace("\\\n", " ").splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:
            continue
        if words and not all(map(_ASSIGNMENT.fullmatch, words)):
            yield pending
        pending = ""
    assert not pending, pending


def commands_of(doc: Document) -> Iterator[Command]:
    """Yield each command of the shell blocks and of the code spans, with the heading above it."""
    fenced = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    parts = re.split(r"^#+ (.+)$", fenced.sub(_hide_headings, doc.text), flags=re.MULTILINE)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in shell_lines(block.replace("\0", "#")):
                yield Command(heading, " ".join(re.sub(r"\s+#\s.*", "", line).split()))
        for span in _COMMAND_SPAN.findall(fenced.sub("", text)):
            yield Command(heading, " ".join(span.split()))


def _hide_headings(block: re.Match[str]) -> str:
    """Let a comment of a block not look like a heading."""
    return re.sub(r"^#", "\0", block[0], flags=re.MULTILINE)


def _split(paragraph: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(paragraph):
        if words(sentence):
            yield sentence


def words(sentence: str) -> int:
    """Return the number of words; a code span is one word."""
    return len([word for word in sentence.split() if re.search(r"\w", word)])


def documents() -> list[Document]:
    """Return every Markdown document of the repository that is not vendored."""
    return [Document(path) for path in tracked_files() if path.endswith(".md") and "/vendor/" not in path]


def document(path: str) -> Document:
    """Return the document with this path."""
    return Document(path)


def names(cell: str) -> list[str]:
    """Return the code spans of a table's cell."""
    return re.findall(r"`([^`]+)`", cell)
