"""The documents are short, plain and complete."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Document, document, documents, tracked_files, words
from tests.docs.language import BANNED, MAX_MEAN, MAX_WORDS

pytestmark = pytest.mark.docs

MAX_README_LINES = 160

each_document = pytest.mark.parametrize("doc", documents(), ids=lambda doc: doc.path)


def test_readme_is_a_front_page() -> None:
    assert len(document("README.md").text.splitlines()) <= MAX_README_LINES


@each_document
def test_documents_use_no_banned_word(doc: Document) -> None:
    assert BANNED.findall(doc.prose) == []


@each_document
def test_sentences_are_short(doc: Document) -> None:
    sentences = list(doc.sentences())
    assert [sentence for sentence in sentences if words(sentence) > MAX_WORDS] == []
    assert sum(map(words, sentences)) <= MAX_MEAN * len(sentences)


@each_document
def test_tables_have_a_head(doc: Document) -> None:
    """A blank line cut the decision table; nine decisions appeared as raw text."""
    assert list(doc.headless_tables()) == []


@each_document
def test_table_rows_have_as_many_cells_as_the_head(doc: Document) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", doc.without_blocks, re.MULTILINE):
        cells = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table.splitlines()[0]


@each_document
def test_no_table_has_a_row_twice(doc: Document) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", doc.without_blocks, re.MULTILINE):
        rows = Counter(table.splitlines())
        assert [row for row, count in rows.items() if count > 1] == []


def test_repository_names_no_document_outside_it() -> None:
    """Fourteen places named a document that the repository does not have."""
    known = {Path(path).name for path in tracked_files()}
    suffixes = (".md", ".py", ".ftl", ".yaml", ".toml", ".txt", "Makefile", ".ci/run")
    outside = {
        f"{path}: {name}"
        for path in tracked_files()
        if path.endswith(suffixes)
        for name in re.findall(r"\b[\w-]+\.md\b", (ROOT / path).read_text(encoding="utf-8"))
        if name not in known
    }
    assert outside == set()


def test_every_folder_of_the_table_of_documents_has_one() -> None:
    linked = set(re.findall(r"\]\(([\w/]+\.md)\)", document("README.md").section("## Documents")))
    assert linked == {doc.path for doc in documents()} - {"README.md"}


# The checks can fail


def written(folder: Path, text: str) -> Document:
    path = folder / "README.md"
    path.write_text(text, encoding="utf-8")
    return Document(str(path))


def test_check_finds_a_headless_table(tmp_path: Path) -> None:
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n\n| 3 | 4 |\n"
    assert list(written(tmp_path, text).headless_tables()) == [5]


def test_check_splits_sentences(tmp_path: Path) -> None:
    text = "# Head\n\nOne two. `code in a span` five\nsix:\n\n- an item. Another\n  line\n\n| no | table |\n|---|---|\n"
    assert list(written(tmp_path, text).sentences()) == ["One two.", "`x` five six:", "an item.", "Another line"]


def test_check_leaves_quotations_and_code_alone(tmp_path: Path) -> None:
    text = 'He wrote "I told you". `nobody` ```\n```\nwhom\n```\nThe person who was told.\n'
    assert BANNED.findall(written(tmp_path, text).prose) == ["told"]
