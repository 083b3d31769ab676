"""Read a table that was exported: the folder that DynamoDB exports to S3, or what ``aws dynamodb scan`` printed.

An export to S3 has ``manifest-summary.json`` and, in ``data``, compressed JSON lines of ``{"Item": {…}}``. A scan
prints one object with ``Items``. Both write the items in DynamoDB's JSON (Amazon DynamoDB, "DynamoDB table export
output format").
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..domain.instants import parse_instant

MANIFEST: Final = "manifest-summary.json"
DATA: Final = "*.json.gz"

Item = Mapping[str, Any]


def export_of(folder: Path) -> tuple[datetime, Iterator[Any]]:
    """Return when the export in a folder was made, and its lines.

    Raises ``ValueError`` if the folder has no export, or more than one.
    """
    found = sorted(folder.rglob(MANIFEST))
    if len(found) != 1:
        raise ValueError(f"{len(found)} files {MANIFEST} in this folder; name the folder of one export to S3")
    exported_at = parse_instant(json.loads(found[0].read_text(encoding="utf-8"))["exportTime"]).astimezone(UTC)
    return exported_at, _lines(sorted(found[0].parent.glob(f"data/{DATA}")))


def _lines(files: list[Path]) -> Iterator[Any]:
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(text) for text in file if text.strip())


def scanned(text: str) -> list[Item] | None:
    """Return the items that a scan printed; ``None`` if the text is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    items = value.get("Items") if isinstance(value, dict) else None
    return items if isinstance(items, list) else None
