"""``explain`` and ``export``: what happened to a contact and why; everything that is stored of one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint
from reengage.cli.console import ExitCode, UsageError, command, flat, printable, require_one, warn, write, write_json
from reengage.cli.contacts import EXAMPLE, contact_fields, parse_contact
from reengage.domain.preferences import EVERYWHERE
from reengage.domain.routes import Routes, parse_valid_routes

ContactArgument = Annotated[str, typer.Argument(help=f"brand/channel/address, for example {EXAMPLE}")]
StackOption = Annotated[str, typer.Option("--stack", help="name of the deployed stack")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]

PHONE_CHANNELS: Final = ("sms", "whatsapp", "rcs")
"""The channels whose addresses are phone numbers."""

NO_NUMBER: Final = '--phone: write the number with its country, such as "+1 202 555 0101"; got "{}"'

CONSENT = {None: "not recorded", True: "yes", False: "no"}


@command
def explain(
    contact: Annotated[str, typer.Argument(help=f"brand/channel/address, for example {EXAMPLE}")] = "",
    *,
    appointment: Annotated[str, typer.Option("--appointment", help="id of an appointment instead")] = "",
    trial: Annotated[str, typer.Option("--trial", help="id of a trial instead")] = "",
    order: Annotated[str, typer.Option("--order", help="id of an order instead")] = "",
    phone: Annotated[str, typer.Option("--phone", help="a phone number in any spelling instead")] = "",
    brand: Annotated[str, typer.Option("--brand", help="brand of that id; not needed if Routes has only one")] = "",
    stack: StackOption = "reengage",
    as_json: JsonOption = False,
) -> ExitCode:
    """Show what was planned for a contact, what happened, and why.

    Example: reengage explain acme-dental/sms/+12025550101, or reengage explain --appointment a-17, or
    reengage explain --phone "+1 (202) 555-0101"
    """
    ids = {"appointment": appointment, "trial": trial, "order": order}
    given = {kind: subject_id for kind, subject_id in ids.items() if subject_id}
    require_one(
        {"CONTACT": contact, "--phone": phone, **{f"--{kind}": subject_id for kind, subject_id in ids.items()}},
        f"CONTACT (brand/channel/address) is missing. Usage: reengage explain {EXAMPLE}, or --appointment ID",
    )
    parsed = parse_contact(contact) if contact else None
    invoke = stacks.stack_functions(stack)
    if phone:
        answer = _of_phone(invoke, stack, brand, phone)
    elif parsed:
        answer = stacks.accepted(invoke("ExplainFunctionArn", {"contact": contact_fields(parsed)}))
        brand = parsed.brand
    else:
        ((kind, subject_id),) = given.items()
        about = {"kind": kind, "id": subject_id, **({"brand": brand} if brand else {})}
        answer = stacks.accepted(invoke("ExplainFunctionArn", {"subject": about}))
    ledgers = answer.get("ledgers", [answer])
    if as_json:
        write_json(answer)
    else:
        for found in ledgers:
            write(*ledger(found))
    if not any(found["entries"] for found in ledgers) and (hint := brand_hint(stack, brand)):
        warn(hint)
    for opener in answer.get("openers", ()):
        write(
            f"No contact is known. The first person who sends this becomes the contact: {printable(opener['opener'])}"
        )
    if not ledgers and not answer.get("openers"):
        write(
            f"Nothing is stored of it{_of_brand(answer)}. Check the id and the brand. `reengage doctor` shows rejected "
            "and failed events, and brands that a system spells differently."
        )
        return ExitCode.FINDING
    return ExitCode.DONE


def _of_brand(answer: Mapping[str, Any]) -> str:
    return f" in the brand {answer['brand']}" if answer.get("brand") else ""


def _of_phone(invoke: stacks.Functions, stack: str, brand: str, phone: str) -> dict[str, Any]:
    """Return the ledgers of a phone number: one for all channels, but for those that someone else has."""
    text = stacks.describe(stack).parameters.get("Routes", "")
    routes = parse_valid_routes(text) if text else Routes()
    brands = [brand] if brand else sorted(routes.brands)
    if len(brands) != 1:
        raise UsageError(f"--brand is missing; brands in Routes: {', '.join(brands) or 'none'}")
    number = _international(phone.strip(), [route.sender_id for route in routes.routes if route.brand == brands[0]])
    contacts = [_contact_fields(brands[0], channel, number, phone) for channel in PHONE_CHANNELS]
    return {"brand": brands[0], "ledgers": _ledgers(contacts, invoke)}


def _ledgers(contacts: Sequence[Mapping[str, str]], invoke: stacks.Functions) -> list[dict[str, Any]]:
    """Return the ledger of each contact that no ledger before has, and of which something is stored."""
    ledgers: list[dict[str, Any]] = []
    for contact in contacts:
        if not any(_covers(found, contact) for found in ledgers):
            answer = stacks.accepted(invoke("ExplainFunctionArn", {"contact": contact}))
            ledgers += [answer] if _has_own(answer) else []
    return ledgers


def _contact_fields(brand: str, channel: str, number: str, phone: str) -> dict[str, str]:
    try:
        return contact_fields(parse_contact(f"{brand}/{channel}/{number}"))
    except UsageError:
        raise UsageError(NO_NUMBER.format(phone)) from None


def _covers(found: Mapping[str, Any], contact: Mapping[str, str]) -> bool:
    """Whether the ledger of another contact has this one, too, as an address of the same person."""
    return any(other.items() <= contact.items() for other in map(_address, found.get("linked", ())))


def _address(of: Mapping[str, Any]) -> dict[str, str]:
    return {"channel": of["channel"], "address": of["address"]}


def _has_own(found: Mapping[str, Any]) -> bool:
    """Whether an entry is about the contact itself, not about another address of the person alone."""
    return any("channel" not in entry for entry in found["entries"])


def _international(phone: str, senders: Sequence[str]) -> str:
    """Return the number with its country, which is that of the brand's own number if it is written without one."""
    import phonenumbers  # noqa: PLC0415 - 0.1 s to import

    if phone.startswith(("+", "00", "tel:")):
        return phone
    for sender in senders:
        if sender.startswith("+"):
            region = phonenumbers.region_code_for_number(phonenumbers.parse(sender))
            try:
                number = phonenumbers.parse(phone, region)
            except phonenumbers.NumberParseException:
                break
            if phonenumbers.is_possible_number(number):
                return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    digits = f"+{re.sub(r'[^0-9]', '', phone)}"
    with suppress(phonenumbers.NumberParseException):
        if phonenumbers.is_valid_number(phonenumbers.parse(digits)):
            return digits
    raise UsageError(NO_NUMBER.format(phone))


PARTS: Final = ("inbound", "scheduled", "subjects", "consents")
"""The lists of an export; a large export arrives in parts."""


@command
def export(contact: ContactArgument, stack: StackOption = "reengage") -> ExitCode:
    """Write out everything that is stored of a contact, as JSON.

    Example: reengage export acme-dental/sms/+12025550101 > contact.json
    """
    fields = contact_fields(parse_contact(contact))
    invoke = stacks.stack_functions(stack)
    whole = _whole(fields, invoke)
    if linked := whole.pop("linked", []):
        whole["linked"] = [_whole({**fields, **other}, invoke) for other in linked]
    write_json(whole)
    if hint := brand_hint(stack, fields["brand"]):
        warn(hint)
        return ExitCode.FINDING
    return ExitCode.DONE


def _whole(contact: Mapping[str, str], invoke: stacks.Functions) -> dict[str, Any]:
    """Return the whole export of one address."""
    event = {"contact": contact, "export": True}
    whole: dict[str, Any] = stacks.accepted(invoke("ExplainFunctionArn", event))
    while following := whole.pop("next", None):
        part = stacks.accepted(invoke("ExplainFunctionArn", {**event, "after": following}))
        for name in PARTS:
            whole[name] += part[name]
        whole["next"] = part.get("next")
        _fill(whole, part)
    return whole


def _fill(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add what only one part of an export has."""
    for name in ("profile", "conversation"):
        whole[name] = whole[name] or part[name]
    whole["cap_usage"] |= part["cap_usage"]


def ledger(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield an explanation as lines for a person, in order of time."""
    yield f"{'/'.join(answer['contact'].values())} at {answer['asked_at']}"
    yield from _state_lines(answer)
    for other in answer.get("linked", ()):
        yield printable(f"and {other['channel']}/{other['address']}")
        yield from _state_lines(other)
    if not answer["entries"] and not answer["stands"]["subjects"]:
        yield "  No data for this contact. Check the address, then the rejected and failed event queues."
    for entry in answer["entries"]:
        yield printable(_line(entry))


def _state_lines(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield the state of one address: its window, choices and subjects."""
    state = about["stands"]
    closes = f" until {state['window_expires_at']}" if state["window"] == "open" else ""
    opted_out, consent = "yes" if state["opted_out"] else "no", CONSENT[state["marketing_consent"]]
    yield f"  window {state['window']}{closes}; opted out: {opted_out}; marketing: {consent}"
    yield f"  reported by the contact: time zone {state['timezone'] or '-'}, language {state['locale'] or '-'}"
    for subject, tracks in state["subjects"].items():
        statuses = [f"{track} {status}" for track, status in tracks.items()]
        times = [f"{name} {value}" for name, value in about.get("times", {}).get(subject, {}).items()]
        yield printable(f"  {subject}: {', '.join((*statuses, *times))}")


def _line(entry: Mapping[str, Any]) -> str:
    about = [str(entry[name]) for name in ("reason", "subject_id", "step") if name in entry]
    apart = {"at", "what", "reason", "subject_id", "step", "scheduled_message_id", "facts"}
    details = {name: value for name, value in entry.items() if name not in apart} | entry.get("facts", {})
    if candidates := details.get("candidates"):
        details["candidates"] = " and ".join(candidate["subject_id"] for candidate in candidates)
    if details.get("scope") == EVERYWHERE:
        details["scope"] = "every phone channel"
    text = ", ".join(flat(details))
    return f"{entry['at']:<27}  {' '.join([entry['what'], *about])}{': ' if text else ''}{text}"
