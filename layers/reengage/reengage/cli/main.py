"""The commands of ``reengage``, one module each. Exit codes: 0 done, 1 done with a finding, 2 wrong use."""

import re
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.exceptions import TyperException

from reengage.cli.console import ExitCode, warn
from reengage.cli.day import day
from reengage.cli.doctor import doctor
from reengage.cli.explain import explain, export
from reengage.cli.import_opt_outs import import_opt_outs
from reengage.cli.opener import opener
from reengage.cli.pause import pause, resume
from reengage.cli.preview import preview
from reengage.cli.progress import progress
from reengage.cli.redrive import redrive
from reengage.cli.send import send
from reengage.cli.send_test import send_test
from reengage.cli.simulate import simulate
from reengage.cli.smoke import smoke
from reengage.cli.texts import texts

COMMANDS = (
    explain,
    export,
    day,
    preview,
    simulate,
    send,
    send_test,
    texts,
    progress,
    import_opt_outs,
    pause,
    resume,
    doctor,
    redrive,
    smoke,
    opener,
)

EXAMPLE: Final = re.compile(r"Example: (reengage .*?)(?:,\s|\.?$)", re.MULTILINE)
"""The first example of a command's help."""

app = typer.Typer(
    name="reengage",
    help="Ask a deployed Reengage stack, preview events, import opt-outs, and stop or start sending.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for run in COMMANDS:
    app.command(run.__name__.replace("_", "-"))(run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = None if arguments is None else list(arguments)
    try:
        return int(app(args=given, prog_name="reengage", standalone_mode=False) or ExitCode.DONE)
    except SystemExit as end:  # of the shell's completion
        return int(end.code or 0)
    except typer.Abort:
        warn("Stopped.")
        return ExitCode.FINDING
    except TyperException as error:
        warn(what_to_type(error))
        return ExitCode.WRONG_USE


def what_to_type(error: TyperException) -> str:
    """Return what is wrong with the arguments, and the example of the command's help."""
    context: Any = getattr(error, "ctx", None)  # a wrong command has no context
    message = error.format_message() if isinstance(error, typer.BadParameter.__base__ or ()) else str(error)
    example = EXAMPLE.search(context.command.help or "") if context else None
    hint = f"Usage: {example[1]}" if example else "`reengage --help` lists the commands"
    return f"{message} {hint}" if message.endswith((".", "?")) else f"{message}. {hint}"
