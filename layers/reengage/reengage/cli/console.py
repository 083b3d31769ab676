"""What all commands share: exit codes, errors for a person, and output that cannot drive the terminal."""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import typer

from reengage.errors import InvalidEvent, ReengageError


class ExitCode(IntEnum):
    DONE = 0
    FINDING = 1
    """Done, but with refused lines or a finding; or the stack did not answer."""
    WRONG_USE = 2


class UsageError(ReengageError):
    """The command was called with a wrong or missing argument; the message shows what to type."""


def command[**P](run: Callable[P, ExitCode]) -> Callable[P, None]:
    """Turn a function that returns an exit code, or raises one of the app's errors, into a Typer command."""

    @functools.wraps(run)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            code = run(*arguments, **options)
        except InvalidEvent as error:
            warn(*error.errors)
            code = ExitCode.WRONG_USE
        except UsageError as error:
            warn(str(error))
            code = ExitCode.WRONG_USE
        except (ReengageError, OSError) as error:
            warn(str(error))
            code = ExitCode.FINDING
        raise typer.Exit(code)

    return wrapped


def warn(*lines: str) -> None:
    for line in lines:
        print(printable(line), file=sys.stderr)


def write(*lines: str) -> None:
    for line in lines:
        print(printable(line), flush=True)


def write_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    """Escape what is not printable: text from outside must not forge a line, or drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def flat(details: Mapping[str, Any]) -> Iterator[str]:
    """Yield ``name value`` for each detail, and for each inner name of a nested one."""
    for name, value in details.items():
        if isinstance(value, dict):
            yield from (f"{inner} {number}" for inner, number in value.items())
        else:
            yield f"{name} {value}"


def read_text(file: Path) -> str:
    """Read a text file. Raises ``UsageError`` that names the file and what is wrong with it."""
    if not file.is_file():
        raise UsageError(f"{file}: expected a file, not a folder" if file.is_dir() else f"{file}: no such file")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: expected UTF-8: {error}") from error


def require_one(options: Mapping[str, str], missing: str) -> None:
    """Raise ``UsageError`` with ``missing`` if no option has a value, and with their names if several have one."""
    given = [name for name, value in options.items() if value]
    if not given:
        raise UsageError(missing)
    if len(given) > 1:
        raise UsageError(f"give only one of {', '.join(given)}")


def check_output(option: str, file: Path | None) -> None:
    """Make the folder of a file that will be written. Raises ``UsageError`` before the command does its work."""
    if file is None:
        return
    if file.is_dir():
        raise UsageError(f'{option} "{file}": expected a file, not a folder')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f'{option} "{file}": {error.strerror}') from error


def read_json(file: Path) -> Any:
    """Read a JSON file. Raises ``UsageError`` that names the file and what is wrong with it."""
    try:
        return json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: expected JSON: {error}") from error
