"""``explain`` and ``export``: what happened to a contact and why; everything that is stored of one."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, UsageError, command, flat, printable, write, write_json
from reengage.cli.contacts import EXAMPLE, contact_fields, parse_contact
from reengage.domain.preferences import EVERYWHERE

ContactArgument = Annotated[str, typer.Argument(help=f"brand/channel/address, for example {EXAMPLE}")]
StackOption = Annotated[str, typer.Option("--stack", help="name of the deployed stack")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]

CONSENT = {None: "not recorded", True: "yes", False: "no"}


@command
def explain(
    contact: Annotated[str, typer.Argument(help=f"brand/channel/address, for example {EXAMPLE}")] = "",
    *,
    appointment: Annotated[str, typer.Option("--appointment", help="id of an appointment instead")] = "",
    trial: Annotated[str, typer.Option("--trial", help="id of a trial instead")] = "",
    order: Annotated[str, typer.Option("--order", help="id of an order instead")] = "",
    brand: Annotated[str, typer.Option("--brand", help="brand of that id; not needed if Routes has only one")] = "",
    stack: StackOption = "reengage",
    as_json: JsonOption = False,
) -> ExitCode:
    """Show what was planned for a contact, what happened, and why.

    Example: reengage explain acme-dental/sms/+12025550101, or reengage explain --appointment a-17
    """
    ids = {"appointment": appointment, "trial": trial, "order": order}
    given = {kind: subject_id for kind, subject_id in ids.items() if subject_id}
    if len(given) + bool(contact) != 1:
        raise UsageError(
            f"CONTACT (brand/channel/address) is missing. Usage: reengage explain {EXAMPLE}, or --appointment ID"
        )
    if contact:
        event: dict[str, Any] = {"contact": contact_fields(parse_contact(contact))}
    else:
        ((kind, subject_id),) = given.items()
        event = {"subject": {"kind": kind, "id": subject_id, **({"brand": brand} if brand else {})}}
    answer = stacks.accepted(stacks.stack_functions(stack)("ExplainFunctionArn", event))
    ledgers = answer.get("ledgers", [answer])
    if as_json:
        write_json(answer)
    else:
        for found in ledgers:
            write(*ledger(found))
    if not ledgers:
        write("Nothing is stored of it. Check the id and the brand, then the rejected and failed event queues.")
        return ExitCode.FINDING
    return ExitCode.DONE


PARTS: Final = ("inbound", "scheduled", "subjects")
"""The lists of an export; a large export arrives in parts."""


@command
def export(contact: ContactArgument, stack: StackOption = "reengage") -> ExitCode:
    """Write out everything that is stored of a contact, as JSON.

    Example: reengage export acme-dental/sms/+12025550101 > contact.json
    """
    event = {"contact": contact_fields(parse_contact(contact)), "export": True}
    invoke = stacks.stack_functions(stack)
    whole = stacks.accepted(invoke("ExplainFunctionArn", event))
    while following := whole.pop("next", None):
        part = stacks.accepted(invoke("ExplainFunctionArn", {**event, "after": following}))
        for name in PARTS:
            whole[name] += part[name]
        whole["next"] = part.get("next")
        _fill(whole, part)
    write_json(whole)
    return ExitCode.DONE


def _fill(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add what only one part of an export has."""
    for name in ("profile", "conversation"):
        whole[name] = whole[name] or part[name]
    whole["cap_usage"] |= part["cap_usage"]


def ledger(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield an explanation as lines for a person, in order of time."""
    state = answer["stands"]
    closes = f" until {state['window_expires_at']}" if state["window"] == "open" else ""
    opted_out, consent = "yes" if state["opted_out"] else "no", CONSENT[state["marketing_consent"]]
    yield f"{'/'.join(answer['contact'].values())} at {answer['asked_at']}"
    yield f"  window {state['window']}{closes}; opted out: {opted_out}; marketing: {consent}"
    yield f"  reported by the contact: time zone {state['timezone'] or '-'}, language {state['locale'] or '-'}"
    for subject, tracks in state["subjects"].items():
        yield printable(f"  {subject}: {', '.join(f'{track} {status}' for track, status in tracks.items())}")
    if not answer["entries"]:
        yield "  No data for this contact. Check the address, then the rejected and failed event queues."
    for entry in answer["entries"]:
        yield printable(_line(entry))


def _line(entry: Mapping[str, Any]) -> str:
    about = [str(entry[name]) for name in ("reason", "subject_id", "step") if name in entry]
    apart = {"at", "what", "reason", "subject_id", "step", "scheduled_message_id", "facts"}
    details = {name: value for name, value in entry.items() if name not in apart} | entry.get("facts", {})
    if details.get("scope") == EVERYWHERE:
        details["scope"] = "every phone channel"
    text = ", ".join(flat(details))
    return f"{entry['at']:<27}  {' '.join([entry['what'], *about])}{': ' if text else ''}{text}"
