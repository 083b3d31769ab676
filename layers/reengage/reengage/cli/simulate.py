"""``simulate``: run a story through the app's own use cases, with a clock of its own."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.cli.console import ExitCode, UsageError, check_output, command, read_text, warn, write
from reengage.cli.explain import JsonOption
from reengage.cli.story_files import story_of
from reengage.domain.instants import iso, parse_instant
from reengage.report import Run, render_report, report_data
from reengage.simulation import Story, StoryError
from reengage.simulation import simulate as run_story
from reengage.simulation.engine import Progress, history
from reengage.simulation.story import EVENT_HINT

SHOWN = (
    *("MessagePlanned", "MessageSent", "MessageHeld", "MessageSkipped", "MessageFailed", "MessageUnconfirmed"),
    "EventRejected",
)
Line = Mapping[str, Any]


@command
def simulate(
    story: Annotated[Path, typer.Argument(help="file of JSON lines, one event a line; or a table that was exported")],
    *,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="stack parameter as Name=value; repeat it")
    ] = None,
    start: Annotated[
        str, typer.Option("--start", help="instant at which the simulation begins; of a table, when it was exported")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="instant at which the simulation ends")] = "",
    seed: Annotated[int, typer.Option("--seed", help="number that chooses ids; the same seed, the same output")] = 0,
    preferences_key: Annotated[
        Path | None, typer.Option("--preferences-key", help="file with the stack's secret PreferencesKey, for a table")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="write a page of what happened")] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="Name=value of a second run, in the report")
    ] = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Run a story of months in seconds, and show what would be sent, held and skipped.

    Example: reengage simulate events/stories/clinic.jsonl --report build/clinic.html

    A deployed table, what it will send in the next week:
    aws dynamodb scan --table-name TABLE > build/table.json
    reengage simulate build/table.json --start 2026-12-01T09:00:00Z --until 2026-12-08T09:00:00Z
    """
    values, others = dict(map(_setting, settings or ())), dict(map(_setting, compare or ()))
    if others and not report:
        raise UsageError("--compare needs --report FILE: the page shows both runs")
    check_output("--report", report)
    read = _starting(_story(story), start)
    key, end = _secret(preferences_key) if preferences_key else None, _instant("--until", until) if until else None
    _check_span(read, end)
    run = partial(_run, until=end, seed=seed, key=key)
    other = list(run(read, values | others)) if others else []  # first: what is wrong in it is shown before the lines
    lines = run(read, values, quiet=as_json or not sys.stderr.isatty())
    kept = list(_printed(lines, as_json=as_json)) if report else None
    if kept is None:
        for _ in _printed(lines, as_json=as_json):
            pass
    if report and kept is not None:
        past = history(read, key)
        inputs, changed = [*past, *_story_lines(read, values)], [*past, *_story_lines(read, values | others)]
        second = Run(", ".join(compare or ()), [*changed, *other], others)
        data = report_data([*inputs, *kept], title=story.stem, settings=values, compare=second if others else None)
        report.write_text(render_report(data), encoding="utf-8")
        if not as_json:
            write(f"The page: {report}")
    return ExitCode.DONE


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f'"{text}": expected Parameter=value, for example MarketingCaps=1/P1D')
    return name, value


def _story(path: Path) -> Story:
    story = story_of(path)
    if not (story.events or story.items or story.until):
        raise UsageError(f"{path}: no event in it; {EVENT_HINT}")
    return story


def _starting(story: Story, start: str) -> Story:
    """Leave out the events before ``start``, and show how many they are."""
    if not start:
        return story
    begun = story.starting(_instant("--start", start))
    if left_out := len(story.events) - len(begun.events):
        warn(f"{left_out} of {len(story.events)} events are before --start and left out.")
    return begun


def _check_span(story: Story, until: datetime | None) -> None:
    """Raise ``UsageError`` if the story ends before it begins."""
    begin, end = story.start or next((event.at for event in story.events), None), until or story.until
    if begin and end and end < begin:
        raise UsageError(f"the story begins at {iso(begin)}, after its end at {iso(end)}")


def _secret(path: Path) -> str:
    return read_text(path).strip()


def _instant(option: str, text: str) -> datetime:
    try:
        return parse_instant(text).astimezone(UTC)
    except ValueError as error:
        raise UsageError(f'{option} "{text}": {error}') from error


def _run(
    story: Story,
    settings: Mapping[str, str],
    *,
    until: datetime | None,
    seed: int,
    key: str | None,
    quiet: bool = True,
) -> Iterator[Line]:
    """Yield the lines of a run. Raises ``UsageError`` for a setting that the app does not accept."""
    simulated = partial(
        run_story, story.without_settings(settings), settings, until=until, seed=seed, preferences_key=key
    )
    try:
        if quiet:
            yield from simulated()
            return
        with _bar() as progress:
            yield from simulated(on_progress=progress)
    except StoryError as error:
        raise UsageError(str(error)) from error


class _bar:  # noqa: N801 - a context manager that reads like a function
    """Show on stderr how many of the story's events are delivered."""

    def __enter__(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - programs that read JSON do not need it
        from rich.progress import Progress as Bar  # noqa: PLC0415 - the same

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._bar.start()
        task = self._bar.add_task("events", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _printed(lines: Iterable[Line], *, as_json: bool) -> Iterator[Line]:
    for line in lines:
        if as_json:
            print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
        elif "summary" in line:
            write("", json.dumps(line["summary"], ensure_ascii=False))
        elif line["detail-type"] in SHOWN:
            write(*_text(line))
        yield line


def _text(line: Line) -> Iterator[str]:
    detail = line["detail"]
    if line["detail-type"] == "EventRejected":
        yield f"{line['at']:<22}{'rejected':<12}{detail['rejected_detail_type']}: {'; '.join(detail['errors'])}"
        return
    contact = "/".join(str(part) for part in detail.get("contact", {}).values())
    why = " ".join(str(detail[name]) for name in ("rule", "until", "forecast") if detail.get(name))
    what = line["detail-type"].removeprefix("Message").lower()
    about = " ".join(part for part in (contact, detail.get("reason"), detail.get("subject_id"), why) if part)
    yield f"{line['at']:<22}{what:<12}{about}"
    if detail.get("text"):
        yield f"{'':34}{detail['text']}"


def _story_lines(story: Story, given: Mapping[str, str]) -> list[Line]:
    """Return the story's events, settings and end, for the page; what the command line gives replaces its settings."""
    settings = [{"set": dict(setting.values)} for setting in story.without_settings(given).settings]
    end = [{"until": iso(story.until)}] if story.until else []
    return [*settings, *(event.envelope for event in story.events if not event.is_call), *end]
