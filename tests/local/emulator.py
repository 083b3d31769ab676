"""A local AWS in one process, and the real template deployed onto it: no account, no Docker.

    with emulator.running() as aws:
        outputs = emulator.deploy(aws, "reengage")
        events = aws.session.client("events", endpoint_url=aws.endpoint_url)

The emulator runs each concurrent invocation in its own process of Python 3.13 with its own copy of the layer. So a
function's first invocation takes seconds, and a burst of events takes longer.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import boto3

from tests.local.processes import ROOT, TOOLS, free_port, progress, serving, started

REGION = "us-east-1"
LOG = TOOLS / "emulator.log"
COMMAND = (str(TOOLS / "emulator" / "bin" / "python"), "-m", "ministack")
READY_PATH = "/_ministack/ready"
SCRATCH_BYTES = 2 * 1024**3
"""Eight functions with their copies of the layer take less than half of it."""
# Apart from .aws-sam/build: that is for the real account, and for another processor.
BUILD = ROOT / ".aws-sam" / "local" / "build"
BUILT_TEMPLATE = BUILD / "template.yaml"
COMPUTED_ALARMS = 5
"""One for each scheduled function, undelivered messages, and the composite alarm."""

type Say = Callable[[str], None]


class SamError(RuntimeError):
    """`sam` ended with an error; the message has all that it printed."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    `env` is a whole environment for another program: the endpoint, dummy credentials, the region, and
    nothing of a real AWS account. `session` has the same credentials for boto3 in this process.
    """

    endpoint_url: str
    env: Mapping[str, str]
    session: boto3.Session


def host_architecture() -> str:
    """The processor of this machine, as the template's parameter `Architecture` names it."""
    return "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


@contextmanager
def running(
    port: int | None = None, *, host: str = "127.0.0.1", environment: Mapping[str, str] | None = None
) -> Iterator[Emulator]:
    """Start an empty emulator on `port`, or on a free one; stop all that it started when the block ends.

    `host` is the address to listen on: "0.0.0.0" lets containers in. Its log is `LOG`. `environment` is added to
    the emulator's own, which the functions inherit.
    Raises ServerError if it does not come up.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="emulator-", dir=scratch(), ignore_cleanup_errors=True) as folder:
        env = server_env(port, host, folder) | dict(environment or {})
        with serving(COMMAND, port=port, path=READY_PATH, env=env, cwd=Path(folder), log=LOG):
            yield at(f"http://127.0.0.1:{port}")


def scratch() -> str | None:
    """Return a folder in memory, if there is one: the emulator copies the layer for each function, file by file."""
    in_memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    is_large = in_memory.is_dir() and shutil.disk_usage(in_memory).free > SCRATCH_BYTES
    return str(in_memory) if is_large else None


def server_env(port: int, host: str, folder: str) -> dict[str, str]:
    """Return the emulator's environment. The functions inherit it, so it holds no more than the emulator needs."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "TMPDIR": folder,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": host,
        "AWS_DEFAULT_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }


def at(endpoint_url: str) -> Emulator:
    """Return how to reach the emulator that runs at ``endpoint_url``."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= credentials | {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
    }
    session = boto3.Session(
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    return Emulator(endpoint_url, MappingProxyType(env), session)


def deploy(
    aws: Emulator,
    stack_name: str,
    parameters: Mapping[str, str] | None = None,
    *,
    template: Path = ROOT / "template.yaml",
    without_computed_alarms: bool = False,
    is_built: bool = False,
    say: Say = print,
) -> dict[str, str]:
    """Build `template` for this machine's processor, deploy it as `stack_name`, and return the outputs.

    `parameters` are the stack's; what they leave out has the template's default, but for `Architecture`.
    A second call builds and changes only what differs. `say` gets a line for each step. The emulator knows no
    alarm that is computed from others or by metric math: with an address for alarms, leave these out by
    `without_computed_alarms`. `is_built`: deploy what the last call built.
    Raises SamError.
    """
    given = parameter_overrides(parameters)
    if not is_built:
        _build(template, given, aws, say)
    if without_computed_alarms:
        _leave_out_computed_alarms()
    say(f"Deploying the stack {stack_name}")
    deploy = [
        "deploy",
        "--template-file",
        str(BUILT_TEMPLATE),
        "--stack-name",
        stack_name,
        "--region",
        REGION,
    ]
    onto = ["--resolve-s3", "--capabilities", "CAPABILITY_IAM"]
    quietly = ["--no-progressbar", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    _sam([*deploy, *onto, *quietly, *given], {**aws.env, "SAM_CLI_POLL_DELAY": "1"}, say)
    return outputs(aws, stack_name)


def _build(template: Path, given: Sequence[str], aws: Emulator, say: Say) -> None:
    say(f"Building {template.name} for {host_architecture()}")
    build = ["build", "--template-file", str(template), "--build-dir", str(BUILD), "--parallel"]
    cache = ["--cached", "--cache-dir", str(BUILD.parent / "cache")]
    _sam([*build, *cache, *given], aws.env, say)


def _leave_out_computed_alarms() -> None:
    """Take these alarms out of the built template, which is YAML with a line `  Name:` a resource."""
    resources = re.split(r"(?m)^(?=  \w+:$)", BUILT_TEMPLATE.read_text(encoding="utf-8"))
    marks = ("\n    Type: AWS::CloudWatch::CompositeAlarm\n", "\n      Metrics:\n")
    left_out = [text for text in resources if any(mark in text for mark in marks)]
    if not all("\n    Condition: HasNotification\n" in text for text in left_out) or len(left_out) != COMPUTED_ALARMS:
        raise SamError(f"the built template has other computed alarms: {[text.split(':')[0] for text in left_out]}")
    BUILT_TEMPLATE.write_text("".join(text for text in resources if text not in left_out), encoding="utf-8")


def outputs(aws: Emulator, stack_name: str) -> dict[str, str]:
    """The outputs of a deployed stack, by name."""
    cloudformation = aws.session.client("cloudformation", endpoint_url=aws.endpoint_url)
    (stack,) = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def parameter_overrides(parameters: Mapping[str, str] | None = None) -> list[str]:
    """Return the arguments for `sam` that set the stack's parameters, and `Architecture` to this machine's."""
    values = {"Architecture": host_architecture(), **(parameters or {})}
    return ["--parameter-overrides", *(f"{name}={json.dumps(value)}" for name, value in values.items())]


def sam(*arguments: str) -> list[str]:
    """The command line of `sam` as this project has it.

    It names an environment that samconfig.toml does not have. A profile or a region that a user saved there
    is not meant for the emulator.
    """
    return [str(TOOLS / "sam" / "bin" / "sam"), *arguments, "--config-env", "emulator"]


def _sam(arguments: Sequence[str], env: Mapping[str, str], say: Say) -> None:
    """Run `sam` at the project's root; report its progress from time to time, and at the end what it built."""
    begun = time.monotonic()
    printed: list[str] = []
    steps: Counter[str] = Counter()
    command = sam(*arguments)
    # COLUMNS keeps the names in its tables whole; `sam build` takes pip from the Python first on the path.
    path = f"{Path(command[0]).parent}{os.pathsep}{env['PATH']}"
    env = {**env, "COLUMNS": "250", "PATH": path}

    def so_far() -> str:
        return f"  {_counts(steps) or 'at work'} after {time.monotonic() - begun:.0f} s"

    with started(command, env=env, cwd=ROOT, output=subprocess.PIPE) as process, progress(say, so_far):
        for line in process.stdout or ():
            printed.append(line)
            if step := _step(line):
                steps[step] += 1
        process.wait()
    if process.returncode:
        raise SamError(f"sam {arguments[0]} ended with {process.returncode}:\n{''.join(printed)}")
    say(f"  done in {time.monotonic() - begun:.0f} s: {_counts(steps) or 'nothing had changed'}")


def _counts(steps: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in steps.items())


def _step(line: str) -> str | None:
    """Return what a line of `sam build` or `sam deploy` reports, to be counted."""
    match line.split():
        case ["Building", "layer", _]:
            return "layer built"
        case ["Building", "codeuri:", *_, "functions:", _]:
            return "functions built"
        case ["CREATE_COMPLETE", _, _, *_]:
            return "resources created"
        case ["UPDATE_COMPLETE", _, _, *_]:
            return "resources updated"
        case _:
            return None
