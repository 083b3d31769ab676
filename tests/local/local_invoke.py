"""Run each file of events/ through `sam local invoke`: `make local-invoke`.

The functions run in containers of Docker, against the real stack on the emulator. A case fails if
`sam` fails twice, or if the function ends with an error. Without a Docker engine it prints that and ends
with 0; under CI=true it must run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.local import emulator
from tests.local.processes import ROOT, TOOLS

EVENTS = ROOT / "events"
STACK = "local-invoke"
# How a container reaches this machine; Docker fills in the address.
HOST = "host.docker.internal"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one case; `error` is None if it passed."""

    case: Path
    seconds: float
    error: str | None

    def __str__(self) -> str:
        name = f"{self.case.parent.name}/{self.case.name}"
        return f"{'failed' if self.error else 'ok':8}{self.seconds:5.1f} s  {name}"


def logical_id(folder: str) -> str:
    """Return the logical id of the function in template.yaml whose code is in functions/`folder`.

    >>> logical_id("ingest_message")
    'IngestMessageFunction'
    """
    return "".join(word.capitalize() for word in folder.split("_")) + "Function"


def main() -> int:
    """Run every case, print a table, and return the exit code."""
    if not _docker_answers():
        print("No Docker engine answers, so `sam local invoke` cannot run.", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    cases = sorted(EVENTS.glob("*/*.json"))
    if not cases:
        print(f"There is no {EVENTS.name}/<function>/<case>.json to run.", file=sys.stderr)
        return 1
    with emulator.running(host="0.0.0.0") as aws:  # noqa: S104 - a container comes from another address
        emulator.deploy(aws, STACK)
        print(f"Running {len(cases)} cases")
        with tempfile.TemporaryDirectory(prefix="local-invoke-") as folder:
            arguments = _arguments(aws, {case.parent.name for case in cases}, Path(folder))
            # Most of a case is waiting for Docker, so a few run at once.
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                results = []
                for result in pool.map(lambda case: _invoke(aws, case, arguments), cases):
                    results.append(result)
                    print(f"  {result}", flush=True)
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"\n{result}\n{result.error}", file=sys.stderr)
    print(f"{len(results) - len(failed)} of {len(results)} cases passed")
    return 1 if failed else 0


def _docker_answers() -> bool:
    """Ask as `sam` would: with its own Docker client."""
    ask = [str(TOOLS / "sam" / "bin" / "python"), "-c", "import docker; docker.from_env().ping()"]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


def _arguments(aws: emulator.Emulator, folders: set[str], scratch: Path) -> list[str]:
    """Return the environment for `sam local invoke`: the deployed functions' variables and the emulator's endpoint.

    `sam` passes on only those variables that the template declares, so a copy of it declares the endpoint.
    """
    endpoint_url = f"http://{HOST}:{urlsplit(aws.endpoint_url).port}"
    lambda_ = aws.session.client("lambda", endpoint_url=aws.endpoint_url)
    stack = aws.session.client("cloudformation", endpoint_url=aws.endpoint_url)
    environments = {}
    for function in map(logical_id, folders):
        # Not every function's ARN is an output.
        resource = stack.describe_stack_resource(StackName=STACK, LogicalResourceId=function)["StackResourceDetail"]
        deployed = lambda_.get_function_configuration(FunctionName=resource["PhysicalResourceId"])
        environments[function] = deployed["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": endpoint_url}
    env_vars = scratch / "env.json"
    env_vars.write_text(json.dumps(environments))

    template = yaml.safe_load(emulator.BUILT_TEMPLATE.read_text())
    template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = endpoint_url
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # A container's first import, from a cold disk and without bytecode, has been seen to take over 30 s.
            resource["Properties"]["Timeout"] = 300
    # Beside the built one, for its paths are relative.
    with_endpoint = emulator.BUILT_TEMPLATE.with_name("local-invoke.json")
    with_endpoint.write_text(json.dumps(template))
    return [
        *("--template-file", str(with_endpoint), "--env-vars", str(env_vars), "--region", emulator.REGION),
        *("--skip-pull-image", "--add-host", f"{HOST}:host-gateway", *emulator.parameter_overrides()),
    ]


def _invoke(aws: emulator.Emulator, case: Path, arguments: list[str]) -> Result:
    started = time.monotonic()
    command = emulator.sam("local", "invoke", logical_id(case.parent.name), "--event", str(case), *arguments)
    run = subprocess.run(command, cwd=ROOT, env=aws.env, capture_output=True, text=True, check=False)
    if run.returncode:
        # `sam` itself failed, not the function: a busy Docker engine may fail to start a container once.
        print(f"  again: {case.parent.name}/{case.name}: {run.stderr.strip().splitlines()[-1:]}", flush=True)
        run = subprocess.run(command, cwd=ROOT, env=aws.env, capture_output=True, text=True, check=False)
    failed = run.returncode or _is_function_error(run.stdout)
    return Result(case, time.monotonic() - started, f"{run.stdout}\n{run.stderr}" if failed else None)


def _is_function_error(answer: str) -> bool:
    """Whether what a function answered is Lambda's report of an error; nothing at all is one too."""
    lines = answer.strip().splitlines()
    try:
        payload = json.loads(lines[-1]) if lines else {"errorType": "NoAnswer"}
    except json.JSONDecodeError:
        return True
    return isinstance(payload, dict) and "errorType" in payload


if __name__ == "__main__":
    sys.exit(main())
