"""``send-test``: one message with sample data through a brand's real route, to a number of your own."""

import uuid
from typing import Annotated, Any

import typer

from reengage.adapters.inbound.test_messages import parse_test_message
from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint
from reengage.cli.completion import reasons
from reengage.cli.console import ExitCode, command, printable, warn, write, write_json
from reengage.cli.explain import JsonOption, StackOption

SENT = ("sent", "delivered")


@command
def send_test(
    *,
    to: Annotated[str, typer.Option("--to", help="phone number that you own, such as +4915112345678")],
    brand: Annotated[str, typer.Option("--brand", help="brand whose route is used")],
    reason: Annotated[
        str, typer.Option("--reason", help="reason whose text is sent", autocompletion=reasons)
    ] = "appointment_reminder",
    channel: Annotated[str, typer.Option("--channel", help="sms, whatsapp or rcs")] = "sms",
    locale: Annotated[str, typer.Option("--locale", help="language of the text, such as de")] = "",
    test_id: Annotated[str, typer.Option("--id", help="id of the test; the same id is sent at most once")] = "",
    stack: StackOption = "reengage",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Send one test message through the deployed stack, at most once, and show its outcome.

    Opt-outs and pauses hold. The window and quiet hours do not count for the numbers of the parameter TestNumbers.

    Example: reengage send-test --to +4915112345678 --brand acme-dental --reason appointment_reminder
    """
    test: dict[str, Any] = {
        "contact": {"brand": brand, "channel": channel, "address": to},
        "reason": reason,
        "id": test_id or uuid.uuid4().hex,
        **({"locale": locale} if locale else {}),
    }
    parse_test_message(test)
    if hint := brand_hint(stack, brand):
        warn(hint)
    if not yes and not typer.confirm(f"Send a real {channel} message to {to} by the stack {stack}?", err=True):
        return ExitCode.FINDING
    answer = stacks.accepted(stacks.stack_functions(stack)("SendUpdatesFunctionArn", {"send_test": test}))
    if as_json:
        write_json(answer)
    else:
        write(*_lines(answer))
    return ExitCode.DONE if answer["state"] in SENT and not hint else ExitCode.FINDING


def _lines(answer: dict[str, Any]) -> list[str]:
    how = f" by {answer['provider']}, {answer.get('provider_message_id')}" if "provider" in answer else ""
    why = f", {answer['rule']}" if "rule" in answer else ""
    lines = [f"{answer['state']}{how}{why}" + (" (this id was sent before)" if answer.get("repeated") else "")]
    if "text" in answer:
        lines.append(f"  {printable(answer['text'])}")
    if answer["state"] not in SENT:
        lines += [f"  {name}: {value}" for name, value in sorted(answer.get("facts", {}).items())]
        lines += [f"  error: {printable(answer['error'])}"] if "error" in answer else []
    return lines
