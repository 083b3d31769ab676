"""``opener``: the link by which a person opens the conversation about an appointment, as text and as a QR code."""

from pathlib import Path
from typing import Annotated, Any

import typer

from reengage.cli import stack as stacks
from reengage.cli.console import (
    ExitCode,
    UsageError,
    check_output,
    command,
    printable,
    require_one,
    warn,
    write,
    write_json,
)
from reengage.cli.explain import JsonOption, StackOption

QR_FORMATS = (".svg", ".png")


@command
def opener(
    *,
    appointment: Annotated[str, typer.Option("--appointment", help="id of an appointment")] = "",
    trial: Annotated[str, typer.Option("--trial", help="id of a trial instead")] = "",
    order: Annotated[str, typer.Option("--order", help="id of an order instead")] = "",
    brand: Annotated[str, typer.Option("--brand", help="brand of that id; not needed if Routes has only one")] = "",
    qr: Annotated[Path | None, typer.Option("--qr", help="write the link as a QR code: a .svg or .png file")] = None,
    stack: StackOption = "reengage",
    as_json: JsonOption = False,
) -> ExitCode:
    """Print the link by which a person opens the conversation, so that reminders can be sent.

    Example: reengage opener --appointment a-17 --qr out.svg
    """
    ids = {"appointment": appointment, "trial": trial, "order": order}
    require_one(
        {f"--{kind}": subject_id for kind, subject_id in ids.items()},
        "an id is missing. Usage: reengage opener --appointment ID",
    )
    if qr and qr.suffix not in QR_FORMATS:
        raise UsageError(f'--qr "{qr}": expected a file that ends with {" or ".join(QR_FORMATS)}')
    check_output("--qr", qr)
    ((kind, subject_id),) = ((kind, subject_id) for kind, subject_id in ids.items() if subject_id)
    event = {"opener": {"kind": kind, "id": subject_id, **({"brand": brand} if brand else {})}}
    found = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", event))
    return show(found, qr, as_json=as_json)


def show(found: dict[str, Any], qr: Path | None, *, as_json: bool) -> ExitCode:
    """Print the openers and write the QR code; a finding if there is no opener."""
    openers = found["openers"]
    if as_json:
        write_json(found)
    for each in openers if not as_json else ():
        write(printable(each["opener"]), f"  text: {printable(each['opener_text'])}")
        person = "/".join(each["contact"].values()) if "contact" in each else "the first person who sends it"
        write(f"  for {person}, until {each['opener_expires_at']}")
    if not found["found"]:
        warn("Nothing is stored of it. Check the id and the brand, then the rejected and failed event queues.")
    elif not openers:
        warn("No opener is valid: the conversation is open, the code was used or has expired, or nothing is planned.")
    if qr and len(openers) > 1:
        warn(f"{len(openers)} people have an opener; the QR code is of the first one.")
    if qr and openers:
        write_qr(openers[0]["opener"], qr)
    return ExitCode.DONE if openers else ExitCode.FINDING


def write_qr(text: str, path: Path) -> None:
    """Write a QR code of error correction M, so that a stain on paper does not matter."""
    import segno  # noqa: PLC0415 - only a QR code needs it

    segno.make_qr(text, error="m").save(str(path), scale=6, border=4)
