"""Run every command of the runbook on the local stack, as an operator would who sees it for the first time.

    make runbook

It starts the stack with `make up`, and measures how long a newcomer waits for the first planned reminder. Then each
paragraph of ``runbook_scenes.py`` makes its situation, runs the commands of the document, and compares what they print.
`make smoke` runs beside them. At the end, faults are planted, and `reengage doctor` must find each of them.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.local import emulator, up
from tests.local.desk import Desk
from tests.local.emulator import Emulator, Say
from tests.local.message_provider import VARIABLE, MessageProvider, message_provider
from tests.local.pause_check import pause_problems
from tests.local.planted_faults import undetected
from tests.local.processes import ROOT
from tests.local.runbook_scenes import scenes, unplayed

ROUTES: Final = f"{up.PARAMETERS['Routes']},{up.BRAND}/rcs/aws/rcs-agent-1"
PARAMETERS: Final = f"Routes={ROUTES} MessagesPerSecond=rcs=5 PublicWebhook=off"
"""A route of its own for what the stand-in of a provider takes, so slow that a pause finds a broadcast running.

No name server knows the emulator's public URL, so it is off: `make e2e-providers` calls it."""

FIRST_EVENT_SECONDS: Final = 300.0
"""A newcomer's first event must be planned within five minutes."""


@contextmanager
def local_stack(provider: MessageProvider) -> Iterator[Emulator]:
    """Start the stack as the documents do, and stop it so."""
    env = {**os.environ, VARIABLE: provider.url, "SET": PARAMETERS}
    subprocess.run(["make", "up"], cwd=ROOT, env=env, check=True, stdin=subprocess.DEVNULL)
    try:
        lines = up.ENV_FILE.read_text(encoding="utf-8").splitlines()
        yield emulator.at(dict(line.split("=", 1) for line in lines)["AWS_ENDPOINT_URL"])
    finally:
        subprocess.run(["make", "down"], cwd=ROOT, check=True)


def play(desk: Desk, say: Say, begun: float) -> None:
    """Play all scenes, with the smoke check beside them."""
    smoke = subprocess.Popen(
        ["make", "smoke"], cwd=ROOT, env=desk.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    first, *others = scenes()
    desk.play(first, say)
    if (took := time.monotonic() - begun) > FIRST_EVENT_SECONDS:
        desk.wrong.append(f"the first reminder was planned after {took:.0f} s")
    say(f"A newcomer's first reminder is planned after {took:.0f} s")
    for scene in others:
        desk.play(scene, say)
    desk.wrong += pause_problems(desk, say)
    say("Waiting for `make smoke`")
    printed, _ = smoke.communicate()
    if smoke.returncode:
        desk.wrong.append(f"make smoke ended with {smoke.returncode}:\n{printed}")


def main() -> int:
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", flush=True)

    wrong = list(unplayed())
    with message_provider() as provider, local_stack(provider) as aws, tempfile.TemporaryDirectory() as folder:
        desk = Desk(aws, provider, Path(folder))
        play(desk, say, begun)
        wrong += desk.wrong
        wrong += undetected(desk, say)
    print(*wrong, sep="\n\n")
    print(f"{len(wrong)} problems" if wrong else "Every command shows what its paragraph says; doctor finds each fault")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
