"""What an operator asks of a deployed stack, or of an event that nobody has sent yet: ``python -m reengage --help``.

Everything goes through the stack's own functions: who may invoke them may ask, and needs no access to the table.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from .adapters.inbound.eventbridge import parse_business_event
from .adapters.inbound.questions import AboutEvent, question
from .adapters.memory import MemoryStore
from .domain.conversation import extend
from .domain.instants import iso
from .domain.preferences import EVERYWHERE
from .errors import InvalidEvent, ReengageError
from .settings import Settings
from .usecases.preview import preview

AT_ONCE: Final = 8

WITHOUT_A_STACK: Final = {
    "DEFAULT_LOCALE": "en",
    "DEFAULT_TIMEZONE": "",
    "UTILITY_QUIET_HOURS": "21:00-08:00",
    "MARKETING_QUIET_HOURS": "20:00-09:00",
    "UTILITY_CAPS": "5/P1D",
    "MARKETING_CAPS": "1/P1D,3/P7D",
    "MARKETING_CONSENT": "implied",
    "WHATSAPP_TEMPLATES": "",
    "WHEN_WINDOW_WILL_CLOSE": "wait",
    "WINDOW_CLOSING_NOTICE": "P1D",
}
"""The template's defaults, by which an event is previewed where no stack is asked."""


class StackError(ReengageError):
    """The stack, or one of its functions, does not answer."""


class Functions(Protocol):
    """A deployed stack's functions, by the name of the output that has their ARN."""

    def __call__(self, output: str, event: Any) -> Any: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something was wrong with what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m reengage", description=__doc__)
    commands = parser.add_subparsers(required=True)
    asking = commands.add_parser("explain", help="what was planned for a contact, what happened, and why")
    asking.add_argument("contact", help="brand/channel/address, such as acme-dental/sms/+12025550101")
    asking.add_argument("--export", action="store_true", help="all that is held of the contact, as JSON")
    asking.set_defaults(run=_explain)
    previewing = commands.add_parser("preview", help="what an event would plan, before anything is stored")
    previewing.add_argument("event", type=Path, help="a file with one event in, as EventBridge delivers it")
    previewing.set_defaults(run=_preview)
    importing = commands.add_parser("import-opt-outs", help="store who opted out elsewhere; without --apply a dry run")
    importing.add_argument("file", type=Path, help="CSV with a head, or JSON lines: brand, channel, address, …")
    importing.add_argument("--apply", action="store_true", help="store them, and not only check")
    importing.set_defaults(run=_import_opt_outs)
    following = commands.add_parser("progress", help="how far a broadcast has come, and what became of its messages")
    following.add_argument("brand")
    broadcast = following.add_mutually_exclusive_group(required=True)
    broadcast.add_argument("--announcement", dest="announcement_id", help="the id of the announcement")
    broadcast.add_argument("--item", dest="item_id", help="the id of the item that is back in stock")
    following.set_defaults(run=_progress)
    for command, needed in ((asking, True), (previewing, False), (importing, False), (following, True)):
        command.add_argument("--stack", required=needed, help="the name of the deployed stack")
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except InvalidEvent as error:
        print(*error.errors, sep="\n", file=sys.stderr)
    except (ReengageError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
    return 1


def _explain(asked: argparse.Namespace) -> int:
    brand, channel, address = [*asked.contact.split("/", 2), "", ""][:3]
    contact = {"brand": brand, "channel": channel, "address": address}
    event = {"contact": contact, **({"export": True} if asked.export else {})}
    question(event)
    answer = _accepted(stack_functions(asked.stack)("ExplainFunctionArn", event))
    print(*([json.dumps(answer, indent=2, ensure_ascii=False)] if asked.export else ledger(answer)), sep="\n")
    return 0


def ledger(answer: Mapping[str, Any]) -> Iterator[str]:
    """An explanation in lines for a person to read, in order of time."""
    stands = answer["stands"]
    closes = f" until {stands['window_expires_at']}" if stands["window"] == "open" else ""
    consent = {None: "never said", True: "yes", False: "no"}[stands["marketing_consent"]]
    opted_out = "yes" if stands["opted_out"] else "no"
    yield f"{'/'.join(answer['contact'].values())} at {answer['asked_at']}"
    yield f"  window {stands['window']}{closes}; opted out: {opted_out}; marketing: {consent}"
    yield f"  said by the person: time zone {stands['timezone'] or '-'}, language {stands['locale'] or '-'}"
    for subject, tracks in stands["subjects"].items():
        yield _printable(f"  {subject}: {', '.join(f'{track} {state}' for track, state in tracks.items())}")
    if not answer["entries"]:
        yield "  Nothing is held of this contact: nobody wrote from there, and no event named it, or it was long ago."
        yield "  Is the address right? Then look at the queues of rejected and of failed events."
    for entry in answer["entries"]:
        about = [str(entry[name]) for name in ("reason", "subject_id", "step") if name in entry]
        apart = {"at", "what", "reason", "subject_id", "step", "scheduled_message_id", "facts"}
        details = {name: value for name, value in entry.items() if name not in apart} | entry.get("facts", {})
        told = ", ".join(_flat(details))
        yield _printable(f"{entry['at']:<27}  {' '.join([entry['what'], *about])}{': ' if told else ''}{told}")


def _printable(text: str) -> str:
    """Ids and causes come from outside: none of them may forge a line, or drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _flat(details: Mapping[str, Any]) -> Iterator[str]:
    for name, value in details.items():
        if isinstance(value, dict):
            yield from (f"{inner} {told}" for inner, told in value.items())
        else:
            yield f"{name} {'every phone channel' if (name, value) == ('scope', EVERYWHERE) else value}"


def _preview(asked: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    event = json.loads(asked.event.read_text(encoding="utf-8"))
    event = {"time": iso(now), **event} if isinstance(event, dict) else event
    about = question({"preview": event})
    assert isinstance(about, AboutEvent)
    if asked.stack:
        answer = _accepted(stack_functions(asked.stack)("ExplainFunctionArn", {"preview": event}))
    else:
        answer = _preview_alone(about, now)
        print("As if the person had written just now, and nothing else were known; with a stack, what it holds counts.")
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    return 0


def _preview_alone(about: AboutEvent, now: datetime) -> dict[str, Any]:
    """By the template's defaults, for somebody who has just written."""
    from .adapters.wording import FluentWording  # noqa: PLC0415 - 0.2 s to import, and no other command needs it

    settings, store = Settings(WITHOUT_A_STACK), MemoryStore()
    if about.event.contact:
        conversation = extend(None, heard_before=False, message_id="just-now", sent_at=now)
        store.write_conversation(about.event.contact, conversation, replacing=None)
    render = FluentWording(settings.default_locale)
    return preview(about.event, store=store, render=render, settings=settings.policy, clock=lambda: now)


def _progress(asked: argparse.Namespace) -> int:
    ids = {name: value for name in ("announcement_id", "item_id") if (value := getattr(asked, name))}
    event = {"broadcast": {"brand": asked.brand, **ids}}
    question(event)
    answer = _accepted(stack_functions(asked.stack)("ExplainFunctionArn", event))
    if not answer["broadcasts"]:
        print("No such broadcast: was the event rejected, or is it an announcement of another brand?")
    for told in answer["broadcasts"]:
        print(_printable(f"{told.pop('reason')} {told.pop('state')}: {', '.join(_flat(_flat_names(told)))}"))
    return 0


def _flat_names(told: Mapping[str, Any]) -> dict[str, Any]:
    """``{"shards": {"done": 3, "all": 16}}`` as ``shards done 3, shards all 16``."""
    return {
        name: {f"{name} {inner}": number for inner, number in value.items()} if isinstance(value, dict) else value
        for name, value in told.items()
    }


def _import_opt_outs(asked: argparse.Namespace) -> int:
    if asked.apply and not asked.stack:
        raise StackError("--apply needs --stack")
    now = datetime.now(UTC)
    checked = [(number, *_checked(asked.file, number, line, now)) for number, line in _lines(asked.file)]
    wrong = [(number, "; ".join(errors)) for number, _, errors in checked if errors]
    fine = [(number, event) for number, event, errors in checked if not errors]
    for number, errors in wrong:
        print(_printable(f"line {number}: {errors}"))
    if not asked.apply:
        print(*(f"line {number}: would be stored as opted out" for number, _ in fine), sep="\n")
        print(f"A dry run: {len(fine)} would be stored, {len(wrong)} are wrong. Nothing was stored; --apply does it.")
        return 1 if wrong else 0
    functions = stack_functions(asked.stack)
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (number, _), (stored, told) in zip(
            fine, pool.map(lambda line: _stored(functions, line[1]), fine), strict=True
        ):
            failed += not stored
            print(_printable(f"line {number}: {told}"), flush=True)
    print(f"{len(fine) - failed} are stored, {len(wrong) + failed} are wrong.")
    return 1 if wrong or failed else 0


def _stored(functions: Functions, event: Any) -> tuple[bool, str]:
    """Whether the opt-out is stored, and what to say of it: one line that fails must not silence the others."""
    try:
        answer = functions("PlanMessagesFunctionArn", event)
    except StackError as error:
        return False, f"not stored, try again: {error}"
    if "rejected" in answer:
        return False, "; ".join(answer["rejected"])
    return True, "opted out" if answer["changed"] else "had opted out already, or opted in since"


COLUMNS: Final = ("brand", "channel", "address")
HEAD: Final = f"expected a head with the columns {', '.join(COLUMNS)}, separated by commas"


def _lines(file: Path) -> Iterator[tuple[int, Any]]:
    """The number and the fields of each line: of CSV with a head, or of JSON lines. What is wrong with a line stands in
    its place; what makes the lines after it doubtful ends the reading, and is an error of the whole file.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected UTF-8: {error}") from error
    if file.suffix.lower() != ".csv":
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (json.JSONDecodeError, RecursionError) as error:
                    yield number, error
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise ValueError(f"{file}: {HEAD}")
        for row in reader:
            values = [value for value in row.values() if isinstance(value, str)]
            if None in row or any("\n" in value or "\r" in value for value in values):
                # A quote that was never closed takes the lines after it for its own.
                raise ValueError(f"{file}: up to line {reader.line_num}: a quote too many, or a comma without one")
            yield reader.line_num, {name: value for name, value in row.items() if value}
    except csv.Error as error:
        raise ValueError(f"{file}: after line {reader.line_num}: {error}") from error


def _checked(file: Path, number: int, line: Any, now: datetime) -> tuple[dict[str, Any], Sequence[str]]:
    """The event that says so, and what is wrong with it."""
    if not isinstance(line, dict):
        return {}, [f"expected a JSON object with {', '.join(COLUMNS)}: {line}"]
    contact = line.get("contact") or {name: line[name] for name in COLUMNS if name in line}
    detail = {"contact": contact, "cause": line.get("cause") or f"imported from {file.name}, line {number}"}
    if opted_out_at := line.get("opted_out_at"):
        detail["occurred_at"] = opted_out_at
    event = {
        "id": f"{file.name}:{number}",
        "time": iso(now.replace(microsecond=0)),
        "source": "reengage.import",
        "detail-type": "ContactOptedOut",
        "detail": detail,
    }
    try:
        parse_business_event(event)
    except InvalidEvent as error:
        return event, [text.replace("$.detail.occurred_at", "opted_out_at") for text in error.errors]
    return event, ()


def _accepted(answer: Any) -> Any:
    if "rejected" in answer:
        raise InvalidEvent(answer["rejected"])
    return answer


def stack_functions(stack: str) -> Functions:
    """Raises ``StackError`` where there is no such stack, or where a function fails."""
    import boto3  # noqa: PLC0415 - no other command needs it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

    try:
        (described,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"the stack {stack}: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    invoking = boto3.client("lambda")

    def invoke(output: str, event: Any) -> Any:
        if output not in outputs:
            raise StackError(f"the stack {stack} has no output {output}: deploy this version first")
        try:
            answer = invoking.invoke(FunctionName=outputs[output], Payload=json.dumps(event).encode())
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"{output}: {error}") from error
        payload = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise StackError(f"{output}: {payload}")
        return payload

    return invoke


if __name__ == "__main__":
    sys.exit(main())
