"""Opt-outs from another system: a CSV or JSON lines file, read line by line into ``ContactOptedOut`` events."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.cli.console import UsageError, read_text
from reengage.cli.endpoints import PINPOINT_CHANNELS, WITHOUT_COUNTERPART, Endpoint, endpoint_of, flat
from reengage.domain.instants import iso
from reengage.errors import InvalidEvent

COLUMNS = ("brand", "channel", "address")
HEAD = f"expected a first line with the columns {', '.join(COLUMNS)}, separated by commas"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the event to store, what is wrong with it, or why there is nothing to store (``skip``)."""

    number: int
    event: dict[str, Any]
    errors: Sequence[str] = ()
    skip: str = ""
    endpoint: Endpoint | None = None

    @property
    def brand(self) -> str:
        contact = self.event.get("detail", {}).get("contact", {})
        return str(contact.get("brand", "")) if isinstance(contact, dict) else ""


def read_rows(file: Path, now: datetime, brand: str = "") -> list[Row]:
    """Read each line. ``brand`` is that of lines which name none, as a Pinpoint export does.

    Raises ``UsageError`` if the file itself cannot be read.
    """
    return [_row(file, number, line, now, brand) for number, line in _lines(file)]


def _lines(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and fields of each line; an error takes the place of a line that cannot be parsed."""
    text = read_text(file)
    yield from _csv_lines(file, text) if file.suffix.lower() == ".csv" else _json_lines(text)


def _json_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # JSON allows the other line separators in a string
        if line.strip():
            try:
                yield number, json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                yield number, error


def _csv_lines(file: Path, text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = {_column(name) for name in reader.fieldnames or ()}
        if not names >= {"channel", "address"} or not names & {"brand", "optout"}:
            raise UsageError(f"{file}: {HEAD}")
        for row in reader:
            values = [value for value in row.values() if isinstance(value, str)]
            if None in row or any("\n" in value or "\r" in value for value in values):
                # A quote that is not closed takes in the lines after it.
                raise UsageError(f"{file}: up to line {reader.line_num}: a quote too many, or a comma without one")
            yield reader.line_num, {_column(name): value for name, value in row.items() if value}
    except csv.Error as error:
        raise UsageError(f"{file}: after line {reader.line_num}: {error}") from error


def _column(name: str) -> str:
    """Return our name of a column: in lower case; Pinpoint's ``ChannelType`` is the channel."""
    lower = name.strip().lower().replace("-", "_")
    return {"channeltype": "channel"}.get(lower, lower)


def _row(file: Path, number: int, line: Any, now: datetime, brand: str) -> Row:
    if not isinstance(line, dict):
        return Row(number, {}, [f"expected a JSON object with {', '.join(COLUMNS)}: {line}"])
    fields = {_column(name): value for name, value in flat(line).items()}
    if str(fields.get("channel", "")).upper() in WITHOUT_COUNTERPART:
        return Row(number, {}, skip=f"{str(fields['channel']).upper()} has no counterpart here")
    contact = fields.get("contact") or _contact(fields, brand)
    endpoint = endpoint_of(fields, contact)
    if str(fields.get("optout", "ALL")).upper() == "NONE":
        return Row(number, {}, skip="has not opted out", endpoint=endpoint)
    detail = {"contact": contact, "cause": fields.get("cause") or f"imported from {file.name}, line {number}"}
    if opted_out_at := fields.get("opted_out_at"):
        detail["occurred_at"] = opted_out_at
    event = {
        "id": f"{file.name}:{number}",
        "time": iso(now.replace(microsecond=0)),
        "source": "reengage.import",
        "detail-type": "ContactOptedOut",
        "detail": detail,
    }
    try:
        parse_business_event(event)
    except InvalidEvent as error:
        return Row(number, event, [text.replace("$.detail.occurred_at", "opted_out_at") for text in error.errors])
    return Row(number, event, endpoint=endpoint)


def _contact(fields: dict[str, Any], brand: str) -> dict[str, Any]:
    contact = {name: fields[name] for name in COLUMNS if name in fields}
    if brand:
        contact.setdefault("brand", brand)
    if isinstance(channel := contact.get("channel"), str):
        contact["channel"] = PINPOINT_CHANNELS.get(channel.upper(), channel.lower())
    return contact
