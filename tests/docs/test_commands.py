"""Every command in a document exists; those that need no network are executed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
import botocore.session
import jmespath  # type: ignore[import-untyped] # it has no types
import pytest
import typer
from botocore import xform_name
from moto import mock_aws

from reengage.cli.explain import ledger
from reengage.cli.main import app
from reengage.domain.contact import Contact
from reengage.usecases.explain import explain
from tests.docs.documents import ROOT, commands_of, document, documents, shell_lines
from tests.fakes import ANNA, NOON, World, business, inbound
from tests.local import runbook_scenes
from tests.template_resources import template

if TYPE_CHECKING:
    import click

pytestmark = pytest.mark.docs

MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS: Final = set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", MAKEFILE, re.MULTILINE))
SAM: Final = {"build", "deploy", "delete", "validate", "local invoke", "package", "publish"}
GLOBAL_OPTIONS: Final = {"--query", "--output", "--region", "--profile"}
SUBCOMMANDS: Final = cast("click.Group", typer.main.get_command(app)).commands
ASSIGNMENT: Final = re.compile(r"[A-Z_]+=.*")


def commands() -> Iterator[list[str]]:
    """Yield each command of the shell blocks, and each command in a code span, as its words."""
    for doc in documents():
        for block in doc.blocks("sh"):
            for line in shell_lines(block):
                for part in re.split(r" && ", line):
                    yield shlex.split(part, comments=True)
        for span in re.findall(r"`((?:make|sam|aws|reengage) [^`]+)`", doc.without_blocks):
            yield span.replace("'", "").split()


def of(program: str) -> list[list[str]]:
    """Return the arguments of each command of a program, each once."""
    found = [command[1:] for command in commands() if command[0].removeprefix(".venv/bin/") == program]
    return [list(arguments) for arguments in dict.fromkeys(map(tuple, found))]


def test_programs_in_shell_blocks_are_known() -> None:
    programs = {command[0].removeprefix(".venv/bin/") for command in commands()}
    assert programs <= {"make", "sam", "aws", "reengage", "pytest", "ruff", "mypy"}
    assert {"make", "sam", "aws", "pytest"} <= programs


@pytest.mark.parametrize("arguments", of("make"), ids=" ".join)
def test_make_targets_and_variables_exist(arguments: list[str]) -> None:
    targets = [word for word in arguments if not ASSIGNMENT.fullmatch(word)]
    assert targets
    assert set(targets) <= TARGETS, targets
    for assignment in filter(ASSIGNMENT.fullmatch, arguments):
        name = assignment.partition("=")[0]
        assert re.search(rf"\$\([^)]*\b{name}\b", MAKEFILE), name


@pytest.mark.parametrize("arguments", of("sam"), ids=" ".join)
def test_sam_commands_name_functions_and_files(arguments: list[str]) -> None:
    command = " ".join(arguments[: 2 if arguments[0] == "local" else 1])
    assert command in SAM
    if "--event" in arguments:
        function, path = arguments[2], ROOT / arguments[arguments.index("--event") + 1]
        assert path.is_file(), path
        assert template()["Resources"][function]["Properties"]["CodeUri"] == f"functions/{path.parent.name}"


@pytest.mark.parametrize(
    "arguments", [pytest.param(words, id=f"{words[1]}-{n}") for n, words in enumerate(of("aws"), 1)]
)
def test_aws_commands_fit_the_service_models(arguments: list[str]) -> None:
    service, operation, *rest = arguments
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(operations[operation]).input_shape
    assert shape is not None
    members = {f"--{xform_name(name, '-')}": member for name, member in shape.members.items()}
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    assert set(options) <= set(members) | GLOBAL_OPTIONS
    assert {f"--{xform_name(name, '-')}" for name in shape.required_members} <= set(options)
    jmespath.compile(options.get("--query", "@"))
    for option, value in options.items():
        if option in members and members[option].type_name in {"map", "list", "structure"}:
            json.loads(value)


@pytest.mark.parametrize("arguments", of("pytest"), ids=" ".join)
def test_pytest_commands_name_tests(arguments: list[str]) -> None:
    paths = [word for word in arguments if word.startswith("tests/")]
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
    if "-k" in arguments:
        word = arguments[arguments.index("-k") + 1]
        files = [ROOT / paths[0]] if paths[0].endswith(".py") else sorted((ROOT / paths[0]).rglob("test_*.py"))
        assert any(word in file.name or f"{word}" in file.read_text(encoding="utf-8") for file in files)


def reengage_arguments(arguments: Sequence[str]) -> list[str]:
    """Return what ``make`` would pass to the program ``reengage``; empty if the target does not run it."""
    dry_run = subprocess.run(  # noqa: S603 - a command of our own documents
        ["make", *arguments, "--dry-run"],  # noqa: S607 - as a person runs it
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [shlex.split(line) for line in dry_run.stdout.splitlines() if " -m reengage " in line]
    return lines[0][lines[0].index("reengage") + 1 :] if lines else []


def programs() -> list[list[str]]:
    """Return the arguments of each ``reengage`` command, named directly or through ``make``."""
    through_make = [arguments for arguments in of("make") if arguments[0] in SUBCOMMANDS]
    direct = [arguments for arguments in of("reengage") if arguments != ["--help"]]
    return [*direct, *map(reengage_arguments, through_make)]


def test_commands_of_reengage_have_valid_arguments() -> None:
    """`make export` passed an option that the program no longer had."""
    commands = programs()
    assert {"explain", "export", "preview", "progress", "import-opt-outs"} <= {command[0] for command in commands}
    for command, *arguments in commands:
        if arguments:
            SUBCOMMANDS[command].make_context(command, list(arguments))
        else:
            assert command in SUBCOMMANDS, command


def test_make_targets_exist_for_the_documented_subcommands() -> None:
    assert {command for command, *_ in programs()} <= TARGETS


def test_preview_of_the_documents_runs_offline() -> None:
    """The command as ``make`` would run it, without a stack and without AWS."""
    (arguments,) = [words for words in of("make") if words[0] == "preview" and len(words) > 1]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "layers" / "reengage")}
    ran = subprocess.run(  # noqa: S603 - the same
        [sys.executable, "-m", "reengage", *reengage_arguments(arguments)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    texts = json.loads(ran.stdout)
    assert "appointment_reminder" in json.dumps(texts)


def test_explanation_of_the_readme_is_what_the_command_prints() -> None:
    world = World()
    world.receive(inbound(text="Hello!"))
    world.clock.forward(hours=1)
    starts_at = NOON + timedelta(days=3)
    world.plan(business("AppointmentBooked", world.clock.now, starts_at=starts_at, remind_before=["PT2H"]))
    world.clock.forward(days=1)
    world.receive(inbound(world.clock.now, text="STOP", message_id="SM-2"))
    world.clock.now = starts_at - timedelta(hours=2)
    world.run_sender()
    printed = list(ledger(explain(ANNA, store=world.store, clock=world.clock)))
    (excerpt,) = [block for block in document("README.md").blocks("text") if "planned" in block]
    for line in excerpt.splitlines():
        beginning, shortened, _ = line.partition("…")
        assert [found for found in printed if (found.startswith(beginning) if shortened else found == line)], line


def test_keys_of_the_documents_are_one_json_object() -> None:
    (arguments,) = [arguments for arguments in of("aws") if arguments[:2] == ["secretsmanager", "put-secret-value"]]
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        client.create_secret(Name="s", SecretString="{}")
        client.put_secret_value(SecretId="s", SecretString=arguments[-1])
        stored = json.loads(client.get_secret_value(SecretId="s")["SecretString"])
    assert set(stored) == {"meta_access_token", "meta_app_secret", "meta_verify_token"}


def test_query_of_the_documents_finds_scheduled_messages() -> None:
    """The keys in the query are those that the store writes."""
    (arguments,) = [arguments for arguments in of("aws") if arguments[:2] == ["dynamodb", "query"]]
    options: dict[str, str] = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    values: dict[str, Any] = json.loads(options["--expression-attribute-values"])
    assert values[":pk"]["S"] == Contact("acme-dental", "sms", "+12025550101").key
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        )
        client.put_item(TableName="t", Item={"pk": values[":pk"], "sk": {"S": "SCHEDULED#x"}})
        client.put_item(TableName="t", Item={"pk": values[":pk"], "sk": {"S": "CONTACT"}})
        condition = options["--key-condition-expression"]
        found = client.query(TableName="t", KeyConditionExpression=condition, ExpressionAttributeValues=values)
    assert [item["sk"]["S"] for item in found["Items"]] == ["SCHEDULED#x"]


def test_key_pages_name_the_python_version() -> None:
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert f"Python {version}" in document("README.md").text


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_terraform_snippet_is_well_formed(tmp_path: Path) -> None:
    """`terraform fmt` parses the file and compares its form; it needs no network."""
    (snippet,) = document("functions/DEPLOY.md").blocks("hcl")
    (tmp_path / "main.tf").write_text(snippet, encoding="utf-8")
    command = ["terraform", "fmt", "-check", "-diff", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own document
    assert (done.returncode, done.stdout) == (0, "")


def test_every_command_of_the_runbook_is_run_on_the_local_stack() -> None:
    """`make runbook` runs them; a new command needs a scene, or a reason in ``NOT_RUN``."""
    assert list(runbook_scenes.unplayed()) == []
    documented = {command.text for path in runbook_scenes.DOCUMENTS for command in commands_of(document(path))}
    assert set(runbook_scenes.NOT_RUN) <= documented
