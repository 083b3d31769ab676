"""``doctor``: check a deployed stack, and show what is wrong and how to fix it."""

import re
from dataclasses import replace
from typing import Annotated, Final

import typer

from reengage.cli.checks import CHECKS
from reengage.cli.console import ExitCode, UsageError, command, write, write_json
from reengage.cli.explain import JsonOption, StackOption
from reengage.cli.inspection import Finding, Inspection
from reengage.cli.stack import StackError

DEFAULT_STACK: Final = "reengage"
COMMAND: Final = r"reengage (pause|resume|redrive)\b"


@command
def doctor(
    *,
    stack: StackOption = DEFAULT_STACK,
    only: Annotated[list[str] | None, typer.Option("--only", help="name of a check; repeat it")] = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Check a deployed stack: routes, keys, schedules, alarms, queues, the table, limits.

    Exit code 1 if anything was found. Example: reengage doctor --stack reengage
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - commands without a stack do not need it

    if unknown := sorted(set(only or ()) - CHECKS.keys()):
        raise UsageError(f'unknown --only "{unknown[0]}"; use {", ".join(CHECKS)}')
    inspection = Inspection.of(stack)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if only and name not in only:
            continue
        try:
            found = [_of_stack(finding, stack) for finding in check(inspection)]
        except (BotoCoreError, ClientError) as error:
            found = [Finding("unknown", f"could not be checked: {error}", "Allow your credentials this call.")]
        except StackError as error:
            found = [Finding("unknown", f"could not be checked: {error}", "Look at the finding of deployment.")]
        findings += [finding.of(name) for finding in found]
        if not as_json:
            title = (check.__doc__ or name).partition("\n")[0].removeprefix("Check that ").rstrip(".")
            write(f"{found[0].level:8} {name}; expected: {title}" if found else f"ok       {name}: {title}")
            for finding in found:
                write(f"         {finding.problem}", f"         → {finding.hint}")
    if as_json:
        write_json([finding.as_dict() for finding in findings])
    return ExitCode.FINDING if findings else ExitCode.DONE


def _of_stack(finding: Finding, stack: str) -> Finding:
    """Name the stack in each command of the hint, unless the command would find it without."""
    if stack == DEFAULT_STACK:
        return finding
    return replace(finding, hint=re.sub(COMMAND, rf"\g<0> --stack {stack}", finding.hint))
