"""Every link and every path in a document leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Document, documents, tracked_files

pytestmark = pytest.mark.docs

PACKAGE = ROOT / "layers" / "reengage" / "reengage"
EXTENSIONS = ("py", "md", "ftl", "yaml", "toml", "txt", "json", "jsonl")
FOLDERS = ("domain", "ports", "usecases", "adapters", "wording", "functions", "events", "layers", "tests")

each_document = pytest.mark.parametrize("doc", documents(), ids=lambda doc: doc.path)


def links(doc: Document) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", doc.without_blocks) if "://" not in link]


@each_document
def test_links_between_documents_resolve(doc: Document) -> None:
    for link in links(doc):
        path, _, fragment = link.partition("#")
        target = (doc.folder / path).resolve() if path else ROOT / doc.path
        assert target.exists(), link
        if fragment:
            assert fragment in Document(str(target.relative_to(ROOT))).anchors, link


def paths(doc: Document) -> list[str]:
    """Return the code spans that look like a path of this repository."""
    spans = re.findall(r"`([\w./-]+)`", doc.without_blocks)
    return [
        span
        for span in spans
        if (span.rpartition(".")[2] in EXTENSIONS and "." in span) or ("/" in span and span.split("/")[0] in FOLDERS)
    ]


@each_document
def test_paths_in_documents_exist(doc: Document) -> None:
    basenames = {Path(path).name for path in tracked_files()}
    for path in paths(doc):
        if path.startswith("build/"):  # written by a command
            continue
        places = (ROOT, doc.folder, PACKAGE, PACKAGE / "adapters")
        is_bare_name = "/" not in path and path in basenames
        assert is_bare_name or any((place / path).exists() for place in places), path


@each_document
def test_tables_of_contents_are_complete(doc: Document) -> None:
    """Each second-level heading of a long document is in its list at the top."""
    head = doc.text.split("\n## ")[0]
    contents = re.findall(r"\]\(#([\w-]+)\)", head)
    if contents:
        headings = re.findall(r"^## (.+)$", doc.without_blocks, re.MULTILINE)
        assert set(contents) == {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings}
