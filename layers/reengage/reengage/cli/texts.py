"""``texts``: every text with sample data, its length and SMS segments."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from reengage.adapters.sms_segments import sms_segments
from reengage.adapters.wording import FOLDER, FluentWording
from reengage.adapters.wording_samples import sample_input
from reengage.cli.console import ExitCode, UsageError, command, printable, write_json
from reengage.cli.explain import JsonOption
from reengage.domain.brand import Brand
from reengage.domain.contact import CHANNELS, Contact, parse_brand
from reengage.domain.reasons import REASONS

SAMPLE_NUMBER = "+12025550100"
"""Reserved for fiction: NANPA 555-0100 to 555-0199."""


@command
def texts(
    *,
    brand: Annotated[str, typer.Option("--brand", help="brand id; its own texts in the layer count")] = "acme-dental",
    name: Annotated[str, typer.Option("--name", help="the brand's name, as BrandConfigured sets it")] = "",
    locale: Annotated[list[str] | None, typer.Option("--locale", help="only this language; repeat it")] = None,
    reason: Annotated[list[str] | None, typer.Option("--reason", help="only this reason; repeat it")] = None,
    channel: Annotated[str, typer.Option("--channel", help="sms, whatsapp or rcs")] = "sms",
    as_json: JsonOption = False,
) -> ExitCode:
    """Print every text with sample data, its length and its SMS segments.

    Example: reengage texts --brand acme-dental --name "Acme Dental" --locale de
    """
    available = sorted(path.stem for path in FOLDER.glob("*.ftl"))
    unknown = [given for given in locale or () if given not in available]
    unknown += [given for given in reason or () if given not in REASONS]
    if unknown:
        raise UsageError(f'unknown "{unknown[0]}"; locales: {", ".join(available)}; reasons: {", ".join(REASONS)}')
    if channel not in CHANNELS:
        raise UsageError(f'unknown --channel "{channel}"; use {", ".join(CHANNELS)}')
    try:
        contact = Contact(parse_brand(brand), channel, SAMPLE_NUMBER)
    except ValueError as error:
        raise UsageError(f"--brand: {error}") from error
    configured = Brand(brand, name=name or None)
    rows = [
        _row(each_reason, contact, each_locale, configured)
        for each_reason in reason or REASONS
        for each_locale in locale or available
    ]
    if as_json:
        write_json(rows)
    else:
        _print_table(rows)
    return ExitCode.DONE


def _row(reason: str, contact: Contact, locale: str, brand: Brand) -> dict[str, Any]:
    now = datetime.now(UTC)
    wording = FluentWording(locale)(sample_input(reason, contact, locale=locale, brand=brand, now=now))
    return {
        "reason": reason,
        "locale": wording.locale,
        "text": wording.text,
        "characters": len(wording.text),
        "sms_segments": sms_segments(wording.text),
        "template": {"name": wording.template, "parameters": list(wording.parameters)},
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - programs that read JSON do not need it
    from rich.table import Table  # noqa: PLC0415 - the same

    table = Table(show_lines=True)
    for title in ("reason", "locale", "text", "characters", "SMS"):
        table.add_column(title)
    for row in rows:
        numbers = (str(row["characters"]), str(row["sms_segments"]))
        table.add_row(row["reason"], row["locale"], printable(row["text"]), *numbers)
    Console().print(table, markup=False)
