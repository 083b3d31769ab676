"""``simulate``: run a story through the app's own use cases, with a clock of its own."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.cli.console import ExitCode, UsageError, command, write
from reengage.cli.explain import JsonOption
from reengage.domain.instants import parse_instant
from reengage.report import Run, render_report, report_data
from reengage.simulation import Story, StoryError, read_story
from reengage.simulation import simulate as run_story
from reengage.simulation.engine import Progress

SHOWN = ("MessagePlanned", "MessageSent", "MessageHeld", "MessageSkipped", "MessageFailed", "MessageUnconfirmed")
Line = Mapping[str, Any]


@command
def simulate(
    story: Annotated[Path, typer.Argument(help="file of JSON lines, one event envelope a line")],
    *,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="stack parameter as Name=value; repeat it")
    ] = None,
    until: Annotated[str, typer.Option("--until", help="instant at which the simulation ends")] = "",
    seed: Annotated[int, typer.Option("--seed", help="number that chooses ids; the same seed, the same output")] = 0,
    report: Annotated[Path | None, typer.Option("--report", help="write a page of what happened")] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="Name=value of a second run, in the report")
    ] = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Run a story of months in seconds, and show what would be sent, held and skipped.

    Example: reengage simulate events/stories/clinic.jsonl --report build/clinic.html
    """
    values, others = dict(map(_setting, settings or ())), dict(map(_setting, compare or ()))
    if others and not report:
        raise UsageError("--compare needs --report FILE: the page shows both runs")
    try:
        read = read_story(story)
    except StoryError as error:
        raise UsageError(f"{story}: {error}") from error
    except FileNotFoundError as error:
        raise UsageError(f"{story}: no such file") from error
    end = _instant(until) if until else None
    lines = _run(read, values, end, seed, quiet=as_json or not sys.stderr.isatty())
    kept = list(_printed(lines, as_json=as_json)) if report else None
    if kept is None:
        for _ in _printed(lines, as_json=as_json):
            pass
    if report and kept is not None:
        inputs = _story_lines(story)
        second = Run(", ".join(compare or ()), [*inputs, *_run(read, values | others, end, seed)], others)
        data = report_data([*inputs, *kept], title=story.stem, settings=values, compare=second if others else None)
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(render_report(data), encoding="utf-8")
        if not as_json:
            write(f"The page: {report}")
    return ExitCode.DONE


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f'"{text}": expected Parameter=value, for example MarketingCaps=1/P1D')
    return name, value


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f'--until "{text}": {error}') from error


def _run(
    story: Story, settings: Mapping[str, str], until: datetime | None, seed: int, *, quiet: bool = True
) -> Iterator[Line]:
    """Yield the lines of a run. Raises ``UsageError`` for a setting that the app does not accept."""
    try:
        if quiet:
            yield from run_story(story, settings, until=until, seed=seed)
            return
        with _bar() as progress:
            yield from run_story(story, settings, until=until, seed=seed, on_progress=progress)
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
    contact = "/".join(str(part) for part in detail.get("contact", {}).values())
    why = " ".join(str(detail[name]) for name in ("rule", "until", "forecast") if detail.get(name))
    what = line["detail-type"].removeprefix("Message").lower()
    about = " ".join(part for part in (contact, detail.get("reason"), detail.get("subject_id"), why) if part)
    yield f"{line['at']:<22}{what:<12}{about}"
    if detail.get("text"):
        yield f"{'':34}{detail['text']}"


def _story_lines(path: Path) -> list[Line]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8-sig").splitlines() if text.strip()]
