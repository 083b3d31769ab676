"""Pack a report's data for the page: columns of numbers, and every text once."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..domain.instants import parse_zone
from ..domain.reasons import REASONS
from .data import OUTCOMES, ContactHistory, Inbound, Mark, Message, ReportData
from .differences import CHANGES, differences

COLUMNS: Final = (
    "id",
    "contact",
    "reason",
    "subject",
    "outcome",
    "rule",
    "text",
    "facts",
    "held",
    "planned",
    "due",
    "at",
    "reported",
    "offset",
    "hour",
    "late",
)
"""The columns of messages. Instants are seconds after ``base``; ``offset`` is the local clock's, in minutes."""


class Texts:
    """Every distinct text once; a value is its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int | None:
        return None if text is None else self.numbers.setdefault(text, len(self.numbers))

    def all(self) -> list[str]:
        return list(self.numbers)


class Packer:
    """Pack one report. ``base`` is the first second of its span."""

    def __init__(self, data: ReportData) -> None:
        self.data = data
        self.base = int(_seconds(data.span[0]))
        self.texts, self.reasons, self.rules, self.shapes = Texts(), Texts(), Texts(), Texts()
        self.offsets: dict[tuple[str, int], int] = {}

    def pack(self) -> dict[str, Any]:
        """Return the page's data: only dicts, lists, texts and numbers."""
        data = self.data
        first = self._columns(
            (number, message) for number, history in enumerate(data.contacts) for message in history.messages
        )
        packed: dict[str, Any] = {
            "base": self.base,
            "span": [self._at(instant) for instant in data.span],
            "outcomes": list(OUTCOMES),
            "changes": list(CHANGES),
            "settings": dict(data.settings),
            "contacts": self._contacts(),
            "messages": first,
            "compare": self._compare() if data.compare else None,
            "reasons": self.reasons.all(),
            "rules": self.rules.all(),
            "shapes": self.shapes.all(),
            "texts": self.texts.all(),
        }
        packed["categories"] = [REASONS[name].category if name in REASONS else "" for name in packed["reasons"]]
        return packed

    def _contacts(self) -> dict[str, list[Any]]:
        histories = self.data.contacts
        return {
            "key": [history.contact for history in histories],
            "name": [history.name for history in histories],
            "zone": [self.texts.number(history.zone) for history in histories],
            "windows": [[self._at(end) for window in history.windows for end in window] for history in histories],
            "inbound": [self._flat(map(self._inbound, history.inbound)) for history in histories],
            "marks": [self._flat(map(self._mark, self._marks(history))) for history in histories],
        }

    @staticmethod
    def _marks(history: ContactHistory) -> list[Mark]:
        return sorted((*history.opt_outs, *history.notes), key=lambda mark: (_seconds(mark.at), mark.kind, mark.note))

    @staticmethod
    def _flat(rows: Iterable[list[Any]]) -> list[Any]:
        return [value for row in rows for value in row]

    def _inbound(self, message: Inbound) -> list[Any]:
        return [self._at(message.at), self.texts.number(message.kind), self.texts.number(message.text)]

    def _mark(self, mark: Mark) -> list[Any]:
        return [self._at(mark.at), self.texts.number(mark.kind), self.texts.number(mark.note)]

    def _columns(self, messages: Iterable[tuple[int, Message]]) -> dict[str, list[Any]]:
        rows = [self._row(number, message) for number, message in messages]
        columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
        return {name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}

    def _row(self, number: int, message: Message) -> tuple[Any, ...]:
        moment = message.at or message.due_at or message.planned_at
        holds = [
            value
            for hold in message.held
            for value in (
                self.rules.number(hold.rule),
                self._at(hold.at),
                self._at(hold.until),
                self._facts(hold.facts),
            )
        ]
        return (
            message.id,
            number,
            self.reasons.number(message.reason),
            self.texts.number(message.subject_id),
            OUTCOMES.index(message.outcome),
            self.rules.number(message.rule),
            self.texts.number(message.text),
            self._facts(message.facts),
            holds or 0,
            self._at(message.planned_at),
            self._at(message.due_at),
            self._at(message.at),
            self._at(message.reported_at),
            self._offset(self.data.contacts[number].zone, moment),
            message.local_hour,
            None if message.lateness_seconds is None else round(message.lateness_seconds),
        )

    def _compare(self) -> dict[str, Any]:
        other = self.data.compare
        assert other is not None
        numbers = {history.contact: number for number, history in enumerate(self.data.contacts)}
        rows = [(numbers[key], message) for key in sorted(other.messages) for message in other.messages[key]]
        before = {message.id: place for place, (_, message) in enumerate(self.data.messages())}
        after = {message.id: place for place, (_, message) in enumerate(rows)}
        found = differences(self.data)
        return {
            "title": other.title,
            "settings": dict(other.settings),
            "messages": self._columns(rows),
            "contact": [numbers[difference.contact] for difference in found],
            "change": [CHANGES.index(difference.change) for difference in found],
            "first": [difference.first and before[difference.first.id] for difference in found],
            "second": [difference.second and after[difference.second.id] for difference in found],
        }

    def _facts(self, facts: Mapping[str, Any]) -> list[Any] | int:
        """Return the number of the facts' shape, then their values: instants in seconds, texts by number."""
        if not facts:
            return 0
        shape: list[str] = []
        values: list[Any] = []
        for name, value in facts.items():
            kind, packed = self._fact(value)
            shape.append(f"{kind}{name}")
            values.append(packed)
        return [self.shapes.number("\n".join(shape)), *values]

    def _fact(self, value: Any) -> tuple[str, Any]:
        if not isinstance(value, str):
            return "=", value
        if len(value) >= _SHORTEST and value[-1] == "Z" and value[10] == "T":
            try:
                return "@", self._at(value)
            except ValueError:
                pass  # looks like an instant and is a text
        return "$", self.texts.number(value)

    def _at(self, instant: str | None) -> int | None:
        return None if instant is None else int(_seconds(instant) // 1) - self.base

    def _offset(self, zone: str | None, instant: str | None) -> int | None:
        """Minutes by which the contact's clock is ahead of UTC at ``instant``; clocks change on quarters of an hour."""
        if not zone or not instant:
            return None
        quarter = int(_seconds(instant) // 900)
        if (zone, quarter) not in self.offsets:
            local = datetime.fromtimestamp(quarter * 900, UTC).astimezone(parse_zone(zone))
            self.offsets[zone, quarter] = int((local.utcoffset() or local - local).total_seconds() // 60)
        return self.offsets[zone, quarter]


_SHORTEST: Final = len("2026-12-01T08:00:00Z")


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
