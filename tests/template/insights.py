"""CloudWatch Logs Insights as its reference describes it, for the commands that the dashboard's queries use.

A field of a JSON line is named with dots, such as ``detail.rule``. A line without a field has no value of it.
``bin(1h)`` is the instant rounded down.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

type Line = Mapping[str, Any]
"""A line of a log as flat fields."""

type Row = dict[str, Any]

HOUR_BIN: Final = "bin(1h)"


@dataclass(frozen=True, slots=True)
class Query:
    """The log groups of a query, and its commands, each with its text."""

    groups: Sequence[str]
    commands: Sequence[tuple[str, str]]

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the result."""
        for name, text in self.commands:
            if name == "fields":
                return _names(text)
            if name == "stats":
                counted, by = re.split(r"\s+by\s+", text)
                return [*_names(by), counted.rpartition(" ")[2]]
        raise ValueError("the query shows nothing")

    def rows(self, logs: Mapping[str, Iterable[Line]]) -> list[Row]:
        """Return what the query answers, from the lines of each log group."""
        lines = [line for group in self.groups for line in logs.get(group, ())]
        rows: list[Row] = [dict(line) for line in lines]
        for name, text in self.commands:
            rows = COMMANDS[name](rows, text)
        columns = self.columns
        return [{column: row.get(column) for column in columns} for row in rows]


def parse(query: str) -> Query:
    """Parse a query of a dashboard. Raises ``ValueError`` if it has a command that this module does not know."""
    parts = [part.strip() for part in query.split("|")]
    groups = [match[1] for part in parts if (match := re.fullmatch(r"SOURCE '\$\{(\w+)\}'", part))]
    commands = [(part.partition(" ")[0], part.partition(" ")[2]) for part in parts if not part.startswith("SOURCE")]
    if not groups or {name for name, _ in commands} - COMMANDS.keys():
        raise ValueError(f"no query that can be read: {query}")
    return Query(groups, commands)


def flat(line: Mapping[str, Any], at: datetime, prefix: str = "") -> Row:
    """Return a JSON line as Insights discovers its fields, with ``@timestamp``."""
    found: Row = {} if prefix else {"@timestamp": at}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= flat(value, at, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _fields(rows: list[Row], _: str) -> list[Row]:
    return rows


def _filter(rows: list[Row], text: str) -> list[Row]:
    match = re.fullmatch(r"([\w.@]+) in \[(.+)\]", text)
    if not match:
        raise ValueError(f"no filter that can be read: {text}")
    wanted = {value.strip().strip("'") for value in match[2].split(",")}
    return [row for row in rows if row.get(match[1]) in wanted]


def _sort(rows: list[Row], text: str) -> list[Row]:
    name, order = text.split()
    return sorted(rows, key=lambda row: row[name], reverse=order == "desc")


def _limit(rows: list[Row], text: str) -> list[Row]:
    return rows[: int(text)]


def _stats(rows: list[Row], text: str) -> list[Row]:
    match = re.fullmatch(r"count\(\*\) as (\w+) by (.+)", text)
    if not match:
        raise ValueError(f"no statistics that can be read: {text}")
    names = _names(match[2])
    counts = Counter(tuple(_value(row, name) for name in names) for row in rows)
    return [dict(zip(names, values, strict=True)) | {match[1]: count} for values, count in counts.items()]


def _value(row: Row, name: str) -> Any:
    if name == HOUR_BIN:
        at: datetime = row["@timestamp"]
        return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return row.get(name)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


COMMANDS: Final = {"fields": _fields, "filter": _filter, "sort": _sort, "limit": _limit, "stats": _stats}
