"""``texts``: every text with sample data, its length and SMS segments."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.adapters.text_list import standard_locales, text_rows
from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, UsageError, check_output, command, printable, write, write_json
from reengage.cli.explain import JsonOption
from reengage.domain.brand import Brand
from reengage.domain.contact import CHANNELS, parse_brand
from reengage.domain.reasons import REASONS

COLUMNS = {"reason": "reason", "locale": "locale", "text": "text", "characters": "characters", "sms_segments": "SMS"}
"""By key of a row: the column's title."""


@command
def texts(
    *,
    brand: Annotated[str, typer.Option("--brand", help="brand id; its own texts in the layer count")] = "acme-dental",
    name: Annotated[str, typer.Option("--name", help="the brand's name, if --stack is not given")] = "",
    locale: Annotated[list[str] | None, typer.Option("--locale", help="only this language; repeat it")] = None,
    reason: Annotated[list[str] | None, typer.Option("--reason", help="only this reason; repeat it")] = None,
    channel: Annotated[str, typer.Option("--channel", help="sms, whatsapp or rcs")] = "sms",
    stack: Annotated[str, typer.Option("--stack", help="a deployed stack, with the brand's stored texts")] = "",
    report: Annotated[Path | None, typer.Option("--report", help="write an HTML page to this file")] = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Print every text with sample data, its length and its SMS segments.

    Without --stack, these are the texts of this version; with it, those that the stack sends for the brand now.

    Example: reengage texts --brand acme-dental --stack reengage --locale de
    """
    _check(locale or (), reason or (), channel, any_locale=bool(stack))
    try:
        parse_brand(brand)
    except ValueError as error:
        raise UsageError(f"--brand: {error}") from error
    check_output("--report", report)
    if stack:
        query = {"brand": brand, "channel": channel, "reasons": reason or [], "locales": locale or []}
        answer = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", {"texts": query}))
    else:
        configured = Brand(brand, name=name or None)
        now = datetime.now(UTC)
        rows = text_rows(configured, channel=channel, now=now, reasons=reason or (), locales=locale or ())
        answer = {"texts": rows, "own_texts_since": None}
    if report:
        report.write_text(page(brand, answer), encoding="utf-8")
        write(f"{report}: {len(answer['texts'])} texts")
    elif as_json:
        write_json(answer["texts"])
    else:
        _print_table(answer["texts"])
        if answer["own_texts_since"]:
            write(f"Texts marked * are the brand's own, as sent in BrandConfigured at {answer['own_texts_since']}.")
    return ExitCode.DONE


def _check(locales: Sequence[str], reasons: Sequence[str], channel: str, *, any_locale: bool) -> None:
    available = standard_locales()
    unknown = [given for given in locales if given not in available and not any_locale]
    unknown += [given for given in reasons if given not in REASONS]
    if unknown:
        raise UsageError(f'unknown "{unknown[0]}"; locales: {", ".join(available)}; reasons: {", ".join(REASONS)}')
    if channel not in CHANNELS:
        raise UsageError(f'unknown --channel "{channel}"; use {", ".join(CHANNELS)}')


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - programs that read JSON do not need it
    from rich.table import Table  # noqa: PLC0415 - the same

    table = Table(show_lines=True)
    for title in COLUMNS.values():
        table.add_column(title)
    for row in rows:
        numbers = (str(row["characters"]), str(row["sms_segments"]))
        table.add_row(row["reason"] + _mark(row), row["locale"], printable(row["text"]), *numbers)
    Console().print(table, markup=False)


def _mark(row: Mapping[str, Any]) -> str:
    return " *" if row["is_own"] else ""


def page(brand: str, answer: Mapping[str, Any]) -> str:
    """Return one HTML page with the texts, which needs no network."""
    since = answer["own_texts_since"]
    note = f"<p>Texts marked * are the brand's own, sent at {escape(since)}.</p>" if since else ""
    head = "".join(f'<th scope="col">{title}</th>' for title in COLUMNS.values())
    body = "\n".join(_html_row(row) for row in answer["texts"])
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Texts of {escape(brand)}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid; padding: .4rem .6rem; text-align: left; vertical-align: top }}
td:nth-child(3) {{ white-space: pre-wrap }}
</style></head>
<body><main><h1>Texts of {escape(brand)}</h1>{note}
<table><thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></main></body>
</html>
"""


def _html_row(row: Mapping[str, Any]) -> str:
    cells = [escape(row["reason"]) + _mark(row), escape(row["locale"])]
    language = escape(row["locale"], quote=True)
    text = f'<td lang="{language}" dir="auto">{escape(row["text"])}</td>'
    first = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr>{first}{text}<td>{row['characters']}</td><td>{row['sms_segments']}</td></tr>"
