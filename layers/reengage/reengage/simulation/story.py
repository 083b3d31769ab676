"""Read a story: JSON lines, each an event, a setting, a line of the provider's script, an item, or the end.

| line | meaning |
|---|---|
| ``{"time", "detail-type", "detail"}``, optional ``source``, ``id`` | an event that the bus delivers at ``time`` |
| ``{"set": {"Parameter": "value"}}``, optional ``time`` | the stack's parameters, from the start or from ``time`` |
| ``{"provider": {…}}`` | what the simulated provider answers (``provider.py``) |
| a provider's archived call, or ``{"call": {"path", "body"}}``, optional ``time`` | see ``archive.py`` |
| ``{"fault": {…}}`` | what fails, at one call of a port (``faults.py``) |
| ``{"Item": {…}}`` | an item of a table that was exported, there from the start (``table_export.py``) |
| ``{"until": instant}`` | the end of the story, which is included |

A folder of DynamoDB's export to S3 is a story too, and so is the output of ``aws dynamodb scan``.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..domain.instants import parse_instant
from ..errors import ReengageError
from .archive import event_of, is_call, time_of
from .faults import Fault, parse_fault
from .parameters import PARAMETERS, hint
from .provider import ProviderRule, parse_rule
from .table_export import export_of, scanned

KINDS: Final = ("set", "until", "provider", "Item", "fault")
EVENT_HINT: Final = (
    'use an event {"time": …, "detail-type": …, "detail": {…}}, {"set": {…}}, {"provider": {…}}, {"Item": {…}} '
    'or {"until": …}'
)


class StoryError(ReengageError):
    """A line of a story is wrong. The text names the line, the value and what to do."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What comes in at ``at``: an event's envelope, or the Lambda event of a provider's call.

    ``number`` is its line, and orders what comes in at one instant.
    """

    at: datetime
    number: int
    envelope: Mapping[str, Any]
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """Values of parameters from ``at`` on; ``None`` is from the start."""

    at: datetime | None
    number: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Story:
    """All lines of a story: ``events`` and ``settings`` in order of time, ``rules`` in the order of their lines.

    ``items`` are the table at ``start``, in DynamoDB's JSON; without ``start`` the first event is the start.
    """

    events: tuple[Delivery, ...] = ()
    settings: tuple[Setting, ...] = ()
    rules: tuple[ProviderRule, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()
    start: datetime | None = None
    until: datetime | None = None
    faults: tuple[Fault, ...] = ()

    def without_settings(self, names: Collection[str]) -> "Story":
        """Leave out what the story sets from its start for these parameters; what it sets later stays."""
        settings = (
            each if each.at else replace(each, values={k: v for k, v in each.values.items() if k not in names})
            for each in self.settings
        )
        return replace(self, settings=tuple(settings))

    def starting(self, at: datetime) -> "Story":
        """Leave out the events before ``at``. Settings from before it apply from the start."""
        settings = (replace(each, at=None) if each.at and each.at <= at else each for each in self.settings)
        return replace(
            self, start=at, events=tuple(event for event in self.events if event.at >= at), settings=tuple(settings)
        )


@dataclass(slots=True)
class _Draft:
    """A story while its lines are read."""

    events: list[Delivery] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    rules: list[ProviderRule] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    items: list[Mapping[str, Any]] = field(default_factory=list)
    until: datetime | None = None


def read_story(path: str | Path) -> Story:
    """Read a file of JSON lines, the output of a scan, or the folder of an export to S3; empty lines are ignored.

    Raises ``StoryError`` for the first line that is wrong, and ``OSError`` if the file cannot be read.
    """
    if Path(path).is_dir():
        return _export(Path(path))
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoryError(f"expected UTF-8: {error}") from error
    if (items := scanned(text)) is not None:
        return parse_story({"Item": item} for item in items)
    lines = enumerate(text.split("\n"), start=1)  # JSON allows the other line separators in a string
    return _story((number, _parsed(number, line)) for number, line in lines if line.strip())


def parse_story(lines: Iterable[Any]) -> Story:
    """Read a story from lines that are parsed already. Raises ``StoryError``."""
    return _story(enumerate(lines, start=1))


def _export(folder: Path) -> Story:
    try:
        exported_at, lines = export_of(folder)
        items = [line["Item"] for line in lines]
    except (KeyError, TypeError, ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StoryError(f"no full export of a table: {error}") from error
    return replace(parse_story({"Item": item} for item in items), start=exported_at)


def _parsed(number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoryError(f"line {number}: {error}; use one JSON object a line") from error


def _story(lines: Iterable[tuple[int, Any]]) -> Story:
    draft = _Draft()
    for number, line in lines:
        _read(number, line, draft)
    return Story(
        events=tuple(sorted(draft.events, key=lambda event: event.at)),
        settings=tuple(sorted(draft.settings, key=lambda setting: (setting.at is not None, setting.at))),
        rules=tuple(draft.rules),
        items=tuple(draft.items),
        until=draft.until,
        faults=tuple(draft.faults),
    )


def _read(number: int, line: Any, draft: _Draft) -> None:
    if not isinstance(line, dict):
        raise StoryError(f"line {number}: expected a JSON object; {EVENT_HINT}")
    kinds = [kind for kind in KINDS if kind in line]
    if len(kinds) > 1 or (kinds and "detail-type" in line):
        raise StoryError(f"line {number}: {' and '.join(kinds)} in one line; use one line for each")
    match kinds:
        case ["set"]:
            draft.settings.append(_setting(number, line))
        case ["until"]:
            if draft.until is not None:
                raise StoryError(f"line {number}: a second until; leave one")
            draft.until = _instant(number, "until", line["until"])
        case ["provider"]:
            draft.rules.append(_value(number, "provider", parse_rule, line))
        case ["fault"]:
            draft.faults.append(_value(number, "fault", parse_fault, line))
        case ["Item"]:
            draft.items.append(_value(number, "Item", _item, line))
        case _:
            draft.events.append(_event(number, line))


def _value[T](number: int, kind: str, parse: Callable[[Any], T], line: Mapping[str, Any]) -> T:
    try:
        return parse(line[kind])
    except (TypeError, ValueError) as error:
        raise StoryError(f"line {number}: {kind}: {error}") from error


def _item(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError('expected an object such as {"pk": {"S": …}, …}')
    return value


def _event(number: int, line: Mapping[str, Any]) -> Delivery:
    if is_call(line):
        try:
            event = event_of(line)
            return Delivery(time_of(line, event).astimezone(UTC), number, event, is_call=True)
        except ValueError as error:
            raise StoryError(f"line {number}: a provider's call that cannot be replayed: {error}") from error
        except (KeyError, IndexError, TypeError) as error:
            raise StoryError(f"line {number}: a provider's call that cannot be replayed: {error!r}") from error
    if "DetailType" in line:
        raise StoryError(f"line {number}: an entry of PutEvents; {EVENT_HINT}")
    if "detail-type" in line and "time" not in line:
        raise StoryError(f"line {number}: time is missing; add the instant at which the bus delivers the event")
    if "time" not in line or "detail-type" not in line:
        raise StoryError(f"line {number}: neither an event nor another line of a story; {EVENT_HINT}")
    return Delivery(_instant(number, "time", line["time"]), number, line)


def _setting(number: int, line: Mapping[str, Any]) -> Setting:
    values = line["set"]
    if not isinstance(values, dict):
        raise StoryError(f'line {number}: set: expected an object such as {{"MarketingCaps": "1/P1D"}}')
    for name, value in values.items():
        if name not in PARAMETERS:
            raise StoryError(f'line {number}: set: unknown parameter "{name}"; {hint(name)}')
        if not isinstance(value, str):
            raise StoryError(f"line {number}: set: {name}: {json.dumps(value)} is not text; use quotes")
    return Setting(_instant(number, "time", line["time"]) if "time" in line else None, number, values)


def _instant(number: int, name: str, value: Any) -> datetime:
    try:
        return parse_instant(value).astimezone(UTC)
    except (TypeError, ValueError) as error:
        hint = "use an ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00"
        raise StoryError(f"line {number}: {name}: {json.dumps(value)} is no instant; {hint}") from error
