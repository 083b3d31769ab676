"""The commands of ``reengage``, one module each. Exit codes: 0 done, 1 done with a finding, 2 wrong use."""

from collections.abc import Sequence

import typer

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
    opener,
)

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
    try:
        app(args=None if arguments is None else list(arguments), prog_name="reengage")
    except SystemExit as end:
        return int(end.code or 0)
    return 0
