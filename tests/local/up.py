"""A local stack that stays: the template on the emulator, until it is stopped.

    make up       start it, deploy, print its outputs and the next commands
    make down     stop it

`make up SET='DefaultTimezone=Europe/Berlin HelpReply=app'` deploys it with these parameters.

In a terminal, `make up` then prints the events that the app publishes, until Ctrl-C stops the stack. Otherwise it
ends, and the stack stays until `make down`.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from tests.local import emulator
from tests.local.demo import Story
from tests.local.processes import TOOLS, ServerError, answers, free_port

STACK: Final = "local"
DEFAULT_PORT: Final = 4566
STATE: Final = TOOLS / "local-stack.json"
ENV_FILE: Final = TOOLS / "local-stack.env"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
BRAND: Final = "acme-dental"
PARAMETERS: Final = {"Routes": f"{BRAND}/sms/eventbridge/+12025550100", "TestNumbers": "+4915112345678"}
"""What the documents' commands assume: one brand with a number that people write to, and a number for tests."""

STAND_INS: Final = "AWS_ENDPOINT_URL_"
"""Variables with this beginning reach the functions: they name a stand-in for one service, such as a provider."""

NEXT: Final = """
The stack runs until `make down`. Try:

  make send STACK=local EVENT=MessageReceived CONTACT=acme-dental/sms/+12025550101
  make send STACK=local EVENT=AppointmentBooked CONTACT=acme-dental/sms/+12025550101 IN=2d
  make explain STACK=local CONTACT=acme-dental/sms/+12025550101

For the AWS CLI and your own programs, set the environment first:

  set -a; . .tools/local-stack.env; set +a
"""


def main(arguments: list[str]) -> int:
    match arguments:
        case ["up", *given]:
            return up(given)
        case ["down"]:
            return down()
        case _:
            print("Usage: make up [SET='Name=value …'], or make down", file=sys.stderr)
            return 2


def up(given: list[str]) -> int:
    """Start the emulator, deploy the stack with the parameters of ``given`` and print what to do next."""
    pairs = [pair.partition("=") for words in given for pair in shlex.split(words)]
    if wrong := [name for name, is_pair, _ in pairs if not is_pair]:
        print(f"SET has {' '.join(wrong)}; expected Name=value, such as SET='HelpReply=app'", file=sys.stderr)
        return 2
    parameters = PARAMETERS | {name: value for name, _, value in pairs}
    if _running():
        print("The local stack is already running. Stop it with `make down`.", file=sys.stderr)
        return 1
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {line}", flush=True)

    say("Starting a local AWS")
    try:
        aws = _start()
        outputs = emulator.deploy(aws, STACK, parameters, say=say)
        story = Story(aws, outputs)
        queue = story.listen()
        story.put("BrandConfigured", {"brand": BRAND, "name": "Acme Dental", "timezone": "America/New_York"})
    except BaseException:
        down()
        raise
    print("\nOutputs:")
    for name in sorted(outputs):
        print(f"  {name:32} {outputs[name]}")
    print(NEXT)
    if sys.stdout.isatty():
        _follow(story, queue)
    return 0


def down() -> int:
    """Stop the emulator with all that it started, and remove its files."""
    state = _state()
    if not state:
        print("No local stack is running.")
        return 0
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(int(state["pid"]), how)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and _running():
            time.sleep(0.1)  # there is nothing to wait on but the process
    shutil.rmtree(state["folder"], ignore_errors=True)
    STATE.unlink(missing_ok=True)
    ENV_FILE.unlink(missing_ok=True)
    print("The local stack is stopped.")
    return 0


def _start() -> emulator.Emulator:
    """Start the emulator apart from this process. Raises ``ServerError`` if it does not come up."""
    port = free_port() if answers(DEFAULT_PORT, "/") else DEFAULT_PORT
    folder = tempfile.mkdtemp(prefix="local-stack-", dir=emulator.scratch())
    stand_ins = {name: value for name, value in os.environ.items() if name.startswith(STAND_INS)}
    with emulator.LOG.open("w") as log:
        process = subprocess.Popen(
            emulator.COMMAND,
            env=emulator.server_env(port, "127.0.0.1", folder) | stand_ins,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    STATE.write_text(json.dumps({"pid": process.pid, "folder": folder, "port": port}), encoding="utf-8")
    deadline = time.monotonic() + START_SECONDS
    while not answers(port, emulator.READY_PATH):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"the emulator did not come up; its log is {emulator.LOG}")
        time.sleep(0.1)  # nothing tells us but the port
    aws = emulator.at(f"http://127.0.0.1:{port}")
    ENV_FILE.write_text(_env_file(aws.env), encoding="utf-8")
    return aws


def _env_file(env: Mapping[str, str]) -> str:
    names = sorted(name for name in env if name.startswith(("AWS_", "NO_PROXY")))
    return "".join(f"{name}={env[name]}\n" for name in names)


def _state() -> dict[str, str]:
    if not STATE.is_file():
        return {}
    state: dict[str, str] = json.loads(STATE.read_text(encoding="utf-8"))
    return state


def _running() -> bool:
    state = _state()
    if not state:
        return False
    pid = int(state["pid"])
    with suppress(ChildProcessError):  # it is another process's child, unless this very one has started it
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _follow(story: Story, queue: str) -> None:
    """Print each event out until Ctrl-C, which stops the stack."""
    print("Events out, as they are published (Ctrl-C stops the stack):")
    try:
        while True:
            for event in story.events_out(queue):
                print(f"  {event['time']} {event['detail-type']} {json.dumps(event['detail'])}", flush=True)
            time.sleep(1)
    except KeyboardInterrupt:
        print()
        down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
