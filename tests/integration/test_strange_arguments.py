"""No value of an option causes a traceback: each command names what is wrong, or does its work."""

import gzip
import inspect
import io
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, get_args

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from typer.models import OptionInfo

from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode
from reengage.cli.main import COMMANDS, EXAMPLE, main
from reengage.cli.stack import Stack

ROOT: Final = Path(__file__).parents[2]


def test_no_value_of_an_option_causes_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option, and the first argument, of each command gets values and files that it cannot use."""
    stack = Stack("reengage", {"TableName": "table"}, {"Routes": "acme/sms/aws/+12025550100"})
    monkeypatch.setattr(boto3, "client", lambda *_, **__: Unreachable())
    monkeypatch.setattr(stacks, "describe", lambda _: stack)
    monkeypatch.chdir(tmp_path)
    for name in ("events", "README.md"):
        Path(name).symlink_to(ROOT / name)
    files = [str(path) for path in strange_files(tmp_path / "files")]
    wrong = []
    for call in calls(files):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
            try:
                code: object = main(call)
            except Exception as error:  # noqa: BLE001 - any of them is the failure, named below
                code = repr(error)
        if code not in set(ExitCode):
            wrong.append((call[0], call[-2:], code))
    assert not wrong, wrong


class Unreachable:
    """An AWS client without a network."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> Any:
            raise EndpointConnectionError(endpoint_url=f"https://{name}.example.com")

        return call


STRANGE: Final = (
    "",
    " ",
    "9" * 60,
    "99999999999d",
    "1e999",
    "[" * 90_000,
    "a=b",
    "=",
    "9999-12-31T23:59:59Z",
    "\U0001f642",
)


def strange_files(folder: Path) -> Iterator[Path]:
    """Write files that are no JSON, no UTF-8, too deep, or half an export; return them and their folder."""
    contents = {
        "binary": bytes(range(256)),
        "empty": b"",
        "deep.json": b"[" * 90_000,
        "array.json": b"[]",
        "number.json": b"1e999",
        "surrogates.jsonl": b'{"time": "2026-01-01T00:00:00Z", "detail-type": "\\ud800", "detail": {}}',
        "quote.csv": b'brand,channel,address\n"acme,sms',
        "latin.csv": b"brand,channel,address\nm\xfcller,sms,+12025550101",
        "export/manifest-summary.json": b'{"exportTime": "2026-01-01T00:00:00Z"}',
        "export/data/cut.json.gz": gzip.compress(b'{"Item": {}}\n' * 99)[:-12],
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield path
    yield folder / "export"


def calls(files: Sequence[str]) -> Iterator[list[str]]:
    """Yield the example of each command with one value changed or added: a file where it takes one."""
    for run in COMMANDS:
        found = EXAMPLE.search(run.__doc__ or "")
        assert found
        example = shlex.split(found[1])[1:]
        for parameter in inspect.signature(run).parameters.values():
            declared, *metadata = get_args(parameter.annotation)
            values = files if declared in (Path, Path | None) else [] if declared is bool else STRANGE
            for value in values:
                for each in metadata:
                    yield [*example, str(each.default), value] if isinstance(each, OptionInfo) else [example[0], value]
