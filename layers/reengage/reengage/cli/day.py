"""``day``: the front desk's list of one day, and who gets no reminder."""

import csv
import html
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.questions import question
from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint, unknown_brand
from reengage.cli.console import ExitCode, UsageError, check_output, command, printable, warn, write, write_json
from reengage.cli.explain import JsonOption
from reengage.cli.story_files import story_of
from reengage.domain.instants import DAYS_AHEAD, parse_instant, parse_zone
from reengage.simulation import Story
from reengage.simulation.engine import state_at

COLUMNS = ("time", "appointment", "name", "contact", "state", "at", "why", "what to do", "opener")
FILE_WIDTH = 200
"""Characters of a line if the output is no terminal."""

STATES = {
    "will_be_reminded": "will be reminded",
    "reminded": "reminded",
    "delivered": "reminded and delivered",
    "confirmed": "confirmed",
    "asked_to_cancel": "asked to cancel",
    "asked_to_move": "asked for another time",
    "not_reached": "NO REMINDER WILL REACH THEM",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #111; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ border-bottom: 1px solid #bbb; padding: .4rem .6rem; text-align: left; vertical-align: top }}
tr.not_reached td {{ font-weight: 600 }}
@media print {{ body {{ margin: 0 }} tr {{ break-inside: avoid }} }}
</style></head><body><main><h1>{title}</h1><p>{summary}</p>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></main></body></html>
"""


@command
def day(
    *,
    brand: Annotated[str, typer.Option("--brand", help="the brand, for example acme-dental")],
    of: Annotated[str, typer.Option("--date", help="today, tomorrow, or a day such as 2026-12-04")] = "tomorrow",
    stack: Annotated[str, typer.Option("--stack", help="name of the deployed stack")] = "reengage",
    story: Annotated[Path | None, typer.Option("--story", help="a story instead of a stack")] = None,
    at: Annotated[str, typer.Option("--at", help="with --story: the instant at which you ask")] = "",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="write a CSV file")] = None,
    page: Annotated[Path | None, typer.Option("--page", help="write an offline page to print")] = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """List every appointment of a day, and who gets no reminder.

    The list holds personal data. Example: reengage day --brand acme-dental --date tomorrow
    """
    check_output("--csv", csv_file)
    check_output("--page", page)
    now = _asked_at(at, story)
    event = {"day": {"brand": brand, "date": _day(of)}}
    parsed = question(event)
    read = story_of(story) if story else None
    if read:
        found = state_at(read, None, now).answer(parsed)
    else:
        found = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", event))
    if csv_file:
        csv_file.write_text(_csv(found), encoding="utf-8-sig")
    if page:
        page.write_text(_page(found), encoding="utf-8")
    if as_json:
        write_json(found)
    else:
        _print_table(found)
    findings = list(_findings(found, "" if story else stack))
    if read and not found["entries"]:
        warn(_why_empty(read, found))
    warn(*findings)
    return ExitCode.FINDING if findings else ExitCode.DONE


def _why_empty(story: Story, found: Mapping[str, Any]) -> str:
    """Return that the story has no appointment of the day; and if it has no such brand, which one may be meant."""
    brands = {brand for event in story.events if not event.is_call and (brand := _brand(event.envelope.get("detail")))}
    is_known = story.items or found["brand"] in brands or any(event.is_call for event in story.events)
    return f"no appointment on {found['date']}" if is_known else unknown_brand(found["brand"], brands)


def _brand(detail: Any) -> str:
    fields = detail if isinstance(detail, dict) else {}
    contact = fields.get("contact")
    return str(fields.get("brand") or (contact.get("brand", "") if isinstance(contact, dict) else ""))


def _findings(found: Mapping[str, Any], stack: str) -> Iterator[str]:
    missed = sum(entry["state"] == "not_reached" for entry in found["entries"])
    if missed:
        yield f"{missed} of {len(found['entries'])} appointments get no reminder."
    if stack and not found["entries"] and (hint := brand_hint(stack, found["brand"])):
        yield hint


def _day(text: str) -> str:
    """Return the day as text; today and tomorrow are those of the brand's time zone, which the function knows."""
    if text in DAYS_AHEAD:
        return text
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(f'--date "{text}": expected today, tomorrow, or a day such as 2026-12-04') from error


def _asked_at(text: str, story: Path | None) -> datetime:
    """Return ``--at``, or now. Raises ``UsageError``."""
    try:
        at = parse_instant(text) if text else datetime.now(UTC)
    except ValueError as error:
        raise UsageError(f'--at "{text}": {error}') from error
    if text and not story:
        raise UsageError("--at needs --story FILE; a stack shows the day as it is now")
    return at


def _rows(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for entry in found["entries"]:
        contact = entry.get("contact") or {}
        yield (
            _time(entry["starts_at"], parse_zone(found["zone"])),
            entry["appointment_id"],
            entry.get("name") or "",
            "/".join(str(contact[part]) for part in ("channel", "address") if part in contact),
            STATES[entry["state"]],
            (entry.get("at") or "")[:16].replace("T", " "),
            (entry.get("why") or "").replace("_", " "),
            entry.get("what_to_do") or "",
            entry.get("opener") or "",
        )


def _time(starts_at: str, zone: tzinfo) -> str:
    """Return the time on the clock of the appointment's place, with its offset if the day's zone has another one."""
    local = parse_instant(starts_at)
    is_elsewhere = local.utcoffset() != local.astimezone(zone).utcoffset()
    return f"{local:%H:%M} {local:%:z}" if is_elsewhere else f"{local:%H:%M}"


def _csv(found: Mapping[str, Any]) -> str:
    """Return CSV; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([f"'{cell}" if cell[:1] in "=@+-\t\r" and cell else cell for cell in row] for row in _rows(found))
    return out.getvalue()


def _page(found: Mapping[str, Any]) -> str:
    missed = sum(entry["state"] == "not_reached" for entry in found["entries"])
    count, zone = len(found["entries"]), html.escape(found["zone"])
    rows = "\n".join(
        f'<tr class="{html.escape(entry["state"])}">'
        + "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in row)
        + "</tr>"
        for entry, row in zip(found["entries"], _rows(found), strict=True)
    )
    return PAGE.format(
        title=html.escape(f"{found['brand']}, {found['date']}"),
        summary=f"{count} appointments, {missed} without a reminder. Time zone: {zone}.",
        head="".join(f'<th scope="col">{column}</th>' for column in COLUMNS),
        rows=rows,
    )


def _print_table(found: Mapping[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415 - programs that read JSON do not need it
    from rich.table import Table  # noqa: PLC0415 - the same

    write(f"{found['brand']}, {found['date']} ({found['zone']})")
    table = Table()
    for column in COLUMNS:
        table.add_column(column)
    for row in _rows(found):
        table.add_row(*map(printable, row))
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table, markup=False)
