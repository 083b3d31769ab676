"""Every command in a shell block of a document is executed: here, or by a target of ``.ci/run`` that a table names.

The commands of functions/README.md need a stack that runs: ``make runbook`` plays them (``runbook_scenes.py``).
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import boto3
import botocore.session
import jmespath  # type: ignore[import-untyped] # it has no types
import pytest
from botocore import xform_name
from botocore.stub import Stubber
from moto import mock_aws

from reengage.cli import stack as stacks
from reengage.cli.main import main
from tests.docs.documents import ROOT, documents, shell_lines
from tests.integration.stack import Stack

MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
CI: Final = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
SMALL_TEST: Final = "tests/unit/domain/test_zones.py"
"""A file of few tests, in place of a folder: the options are what such a command can get wrong."""

OUTPUTS: Final = {"EventBusName": "reengage", "TableName": "reengage-table", "ExplainFunctionArn": "explain"}
FUNCTIONS: Final = {"ExplainFunctionArn": "explain", "PlanMessagesFunctionArn": "plan_messages"}
OPT_OUTS: Final = (
    "ChannelType,Address,OptOut,User.UserId\nSMS,+12025550101,ALL,ada\nSMS,+12025550102,NONE,ada\n"
    "EMAIL,ada@example.com,ALL,ada\n"
)


class Place(NamedTuple):
    """Where a command is executed: a target of .ci/run, a file of that target, and the text of the call there."""

    target: str
    file: str
    call: str


EXECUTED_BY: Final = {
    "make demo": Place("demo", ".ci/run", "step make demo"),
    "make test": Place("test", ".ci/run", "step make test"),
    "make up": Place("runbook", "tests/local/runbook.py", '["make", "up"]'),
    "sam build": Place("demo", "tests/local/emulator.py", 'build = ["build", "--template-file"'),
    "sam deploy": Place("demo", "tests/local/emulator.py", '"deploy",'),
    ".venv/bin/ruff check --fix .": Place("check", "Makefile", "@$(BIN)/ruff check\n"),
    ".venv/bin/ruff format .": Place("check", "Makefile", "@$(BIN)/ruff format --check\n"),
    ".venv/bin/mypy": Place("check", "Makefile", "@$(BIN)/mypy\n"),
    **{
        f"sam local invoke {name} --event events/{event}.json": Place(
            "local-invoke", "tests/local/local_invoke.py", 'EVENTS.glob("*/*.json")'
        )
        for name, event in {
            "IngestMessageFunction": "ingest_message/first_message",
            "PlanMessagesFunction": "plan_messages/appointment_booked",
            "SendAppointmentRemindersFunction": "send_appointment_reminders/tick",
            "SendTrialFollowUpsFunction": "send_trial_follow_ups/tick",
            "SendUpdatesFunction": "send_updates/tick",
            "RecordDeliveryFunction": "record_delivery/delivered",
            "WebhookFunction": "webhook/meta_message",
            "ExplainFunction": "explain/contact",
        }.items()
    },
}

PARSED_BY_SAM: Final = (
    "sam package --resolve-s3 --output-template-file packaged.yaml",
    "sam package --s3-bucket my-bucket --output-template-file packaged.yaml",
    "sam publish --template packaged.yaml --region us-east-1",
)
"""No emulator has the Serverless Application Repository. The SAM CLI itself parses these, and nothing more."""


def commands() -> dict[str, str]:
    """Return each command of the shell blocks, without its comment, with the document that has it."""
    found: dict[str, str] = {}
    for doc in documents():
        for block in re.findall(r"^ *```sh\n(.*?)^ *```$", doc.text, re.DOTALL | re.MULTILINE):
            for line in shell_lines(block):
                for command in re.split(r" && ", _without_comment(line)):
                    found.setdefault(command.strip(), doc.path)
    return found


def _without_comment(line: str) -> str:
    words = shlex.split(line, comments=True)
    for comment in re.finditer(r"\s+#", line):
        try:
            if shlex.split(line[: comment.start()]) == words:
                return line[: comment.start()].strip()
        except ValueError:  # the # is in a quotation
            continue
    return line.strip()


# Commands that run in a process of their own


def run(*command: str) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "layers" / "reengage"), "TERM": "dumb"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - a command of our own documents
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def recipe(command: str) -> list[str]:
    """Return the last command that ``make`` would run, as its words."""
    lines = run(*shlex.split(command), "--dry-run").splitlines()
    return shlex.split(next(line for line in reversed(lines) if ".venv/bin/" in line))


def run_reengage(command: str, *replaced: tuple[str, str]) -> str:
    """Run what ``make`` would run of ``reengage``."""
    words = recipe(command)
    arguments = words[words.index("reengage") + 1 :]
    for old, new in replaced:
        assert arguments.count(old) == 1, arguments
        arguments[arguments.index(old)] = new
    return run(sys.executable, "-m", "reengage", *arguments)


def run_pytest(words: list[str]) -> None:
    """Run the tests of the command; a folder of thousands of tests is replaced by one file, and so is no folder."""
    assert words[0].endswith("pytest")
    paths = [word for word in words[1:] if word.startswith("tests/")]
    arguments = [word for word in words[1:] if word != "tests/unit"]
    if paths in ([], ["tests/unit"]):
        arguments.append(SMALL_TEST)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments)
    assert re.search(r"^\d+ passed|\b\d+ passed", run(*command), re.MULTILINE)


def simulate(command: str, folder: Path) -> None:
    report = folder / "clinic.html"
    printed = run_reengage(command, ("build/clinic.html", str(report)))
    assert "MessageSent" in printed
    assert report.read_text(encoding="utf-8").startswith("<!")


def preview(command: str, _folder: Path) -> None:
    (first, *_) = json.loads(run_reengage(command))["planned"]
    assert (first["reason"], first["forecast"]) == ("appointment_reminder", "send")


IN_A_PROCESS: Final[dict[str, Callable[[str, Path], None]]] = {
    "make unit": lambda command, _: run_pytest(recipe(command)),
    "make coverage": lambda command, _: run_pytest(recipe(command)),
    ".venv/bin/pytest -q tests/unit/domain/test_policy.py": lambda command, _: run_pytest(command.split()),
    ".venv/bin/pytest -q tests/unit/domain -k quiet_hours": lambda command, _: run_pytest(command.split()),
    ".venv/bin/pytest -q --numprocesses auto tests/unit": lambda command, _: run_pytest(command.split()),
    "make simulate STORY=events/stories/clinic.jsonl REPORT=build/clinic.html": simulate,
    "make preview EVENT=events/plan_messages/appointment_booked.json": preview,
}


# Commands on a stack: the real handlers on the template's table


def aws(command: str, answer: Any = None) -> Any:
    """Run a command of the AWS CLI by boto3: its options are those of the operation, and its query is applied.

    Without ``answer``, moto answers.
    """
    service, operation, *rest = shlex.split(command)[1:]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    query = options.pop("--query", "@")
    options.pop("--output", None)
    model = botocore.session.get_session().get_service_model(service)
    name = next(name for name in model.operation_names if xform_name(name, "-") == operation)
    shape = model.operation_model(name).input_shape
    assert shape is not None
    members = {f"--{xform_name(member, '-')}": (member, kind.type_name) for member, kind in shape.members.items()}
    given = {
        members[option][0]: json.loads(value) if members[option][1] in {"list", "map", "structure"} else value
        for option, value in options.items()
    }
    client: Any = boto3.client(service)  # type: ignore[call-overload] # the service is a text of a document
    if answer is None:
        return jmespath.search(query, getattr(client, xform_name(name))(**given))
    with Stubber(client) as stub:
        stub.add_response(xform_name(name), answer, given)
        return jmespath.search(query, getattr(client, xform_name(name))(**given))


MORNING: Final = datetime(2026, 11, 27, 15, tzinfo=UTC)
"""10:00 in New York, for which the README books: neither its quiet hours, nor the hour of the test, matter."""


def first_events(commands: list[str]) -> list[str]:
    """Return the commands with instants as the README asks: the first in the past, the second a day or more ahead."""
    instants = iter([MORNING - timedelta(hours=1), MORNING + timedelta(days=2)])
    pattern = r"\d{4}-\d\d-\d\dT[\d:+-]+"
    return [re.sub(pattern, lambda _: next(instants).isoformat(timespec="seconds"), line) for line in commands]


@pytest.fixture
def reengage(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Run the program on the stack's own functions."""

    def invoke(output: str, event: Any) -> Any:
        return stack.invoke(FUNCTIONS[output], event, at=MORNING)

    monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, OUTPUTS, {}))
    monkeypatch.setattr(stacks, "stack_functions", lambda _name: invoke)
    return lambda command: main(shlex.split(command)[1:])


def put_events_of_the_readme() -> list[str]:
    return [command for command in commands() if command.startswith("aws events put-events")]


def test_first_two_events_of_the_readme_lead_to_a_reminder(
    stack: Stack, reengage: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """As the text below them states: two messages planned, and a text for the system that delivers it."""
    listened = first_events(put_events_of_the_readme())
    assert len(listened) == 2
    for number, command in enumerate(listened):
        assert aws(command)["FailedEntryCount"] == 0
        (entry,) = json.loads(shlex.split(command)[4])
        event = {
            "id": f"e-{number}",
            "time": MORNING.isoformat(),
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
        stack.invoke(("ingest_message", "plan_messages")[number], event, at=MORNING)
    assert len(stack.published("MessagePlanned")) == 2
    assert [row.offset for row in stack.rows()] == ["P1D", "PT2H"]
    due = max(row.due_at for row in stack.rows())
    stack.invoke("send_appointment_reminders", {"scheduled_at": due.isoformat()}, at=due - timedelta(hours=22))
    (requested,) = stack.published("MessageSendRequested")
    assert "a reminder of your appointment" in requested["detail"]["text"]
    (explained,) = [command for command in commands() if command == EXPLAIN]
    words = recipe(explained)
    assert reengage(shlex.join(words[words.index("reengage") :])) == 0
    assert "sent appointment_reminder a-17 P1D" in capsys.readouterr().out


EXPLAIN: Final = "make explain CONTACT=acme-dental/sms/+12025550101"
IMPORTS: Final = tuple(
    f"reengage import-opt-outs endpoints.csv --brand acme-dental --stack reengage{more}"
    for more in ("", " --link-users --apply")
)


@pytest.mark.usefixtures("stack")
def test_opt_outs_of_pinpoint_are_imported_as_documented(
    stack: Stack,
    reengage: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "endpoints.csv").write_text(OPT_OUTS, encoding="utf-8")
    booked = json.loads((ROOT / "events/plan_messages/brand_configured.json").read_text(encoding="utf-8"))
    stack.invoke(
        "plan_messages", booked | {"detail": booked["detail"] | {"brand": "acme-dental"}}, at=datetime.now(UTC)
    )
    monkeypatch.chdir(tmp_path)
    before = len(stack.items())
    assert reengage(IMPORTS[0]) == 0
    assert "Nothing was stored" in capsys.readouterr().out
    assert len(stack.items()) == before
    assert reengage(IMPORTS[1]) == 0
    assert "1 are stored" in capsys.readouterr().out
    assert len(stack.items()) > before


def test_outputs_of_a_stack_are_listed() -> None:
    outputs = [{"OutputKey": "EventBusName", "OutputValue": "reengage"}]
    now = datetime.now(UTC)
    stack = {"StackName": "reengage", "CreationTime": now, "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
    assert aws(DESCRIBE, {"Stacks": [stack]}) == outputs


DESCRIBE: Final = "aws cloudformation describe-stacks --stack-name reengage --query 'Stacks[0].Outputs' --output table"


def test_keys_of_providers_are_stored() -> None:
    (command,) = [command for command in commands() if command.startswith("aws secretsmanager put-secret-value")]
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="keys", SecretString="{}")
        aws(command.replace("$SECRET", "keys"))
        stored = boto3.client("secretsmanager").get_secret_value(SecretId="keys")["SecretString"]
    assert "meta_app_secret" in json.loads(stored)


ON_MOTO: Final = {EXPLAIN, DESCRIBE, *IMPORTS}


@pytest.mark.slow
@pytest.mark.parametrize("command", IN_A_PROCESS)
def test_command_runs(command: str, tmp_path: Path) -> None:
    IN_A_PROCESS[command](command, tmp_path)


@pytest.mark.parametrize("command", PARSED_BY_SAM)
def test_sam_knows_the_options(command: str) -> None:
    name, *arguments = shlex.split(command)[1:]
    program = (
        f"from samcli.commands.{name}.command import cli; import sys; cli.make_context({name!r}, sys.argv[1:]).params"
    )
    sam = ROOT / ".tools" / "sam" / "bin" / "python"
    assert sam.exists(), "run `make setup`"
    run(str(sam), "-c", program, *arguments)


@pytest.mark.docs
def test_each_command_is_executed_somewhere() -> None:
    found = {command for command, path in commands().items() if path != "functions/README.md"}
    by_test = {*put_events_of_the_readme(), *(c for c in found if c.startswith("aws secretsmanager put-secret-value"))}
    executed = [*IN_A_PROCESS, *EXECUTED_BY, *PARSED_BY_SAM, *ON_MOTO, *by_test]
    assert len(executed) == len(set(executed))
    assert found - set(executed) == set(), "add them to a table above"
    assert set(executed) - set(commands()) == set(), "no document has them any more"


@pytest.mark.docs
@pytest.mark.parametrize("command", EXECUTED_BY)
def test_place_executes_the_command(command: str) -> None:
    """.ci/run makes the target, the target runs the file, and the file has the call."""
    place = EXECUTED_BY[command]
    assert re.search(rf"^ *step make {place.target}\b", CI, re.MULTILINE)
    assert place.call in (ROOT / place.file).read_text(encoding="utf-8")
    if place.file.startswith("tests/local/"):
        target = MAKEFILE.split(f"\n{place.target}: ")[1].split("\n\n")[0]
        module = re.search(r"-m (tests\.local\.\w+)", target)
        assert module
        reached = (ROOT / f"{module[1].replace('.', '/')}.py").read_text(encoding="utf-8")
        assert place.file == f"{module[1].replace('.', '/')}.py" or Path(place.file).stem in reached
