"""Fuzz the webhook with atheris: libFuzzer searches inputs that reach new code, and each is a call of a function URL.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.webhook_fuzz
    PYTHONPATH=layers/reengage python -m tests.benchmarks.webhook_fuzz build/fuzz/crash-…

Some calls are signed after all changes, as by a faulty provider. Some are changed after they were signed, as by an
attacker who has seen a call (``webhook_inputs``). The seed is fixed, so that a run can be repeated.

It fails at the first input that raises, takes ten seconds or breaks a rule of ``webhook_verdict``. It writes that input
to a file and prints the name. With that file as the argument, it tries only that input.
"""

import argparse
import json
import shutil
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import atheris
from atheris.import_hook import instrument_imports

with instrument_imports(include=["reengage"]):
    import_module("reengage.adapters.inbound.webhook")
    import_module("reengage.adapters.inbound.eventbridge")
    import_module("reengage.adapters.inbound.relay")

from tests.benchmarks.webhook_inputs import event_of, read, written
from tests.benchmarks.webhook_mutation import SEEDS, crossed, mutated
from tests.benchmarks.webhook_verdict import Tally, answered, check

INPUTS: Final = 100_000
SEED: Final = 20_310_319
FOLDER: Final = Path("build/fuzz")
LARGEST: Final = 64 * 1024
SECONDS: Final = 10
"""Seconds for one answer."""

SHOWN: Final = 4000
"""Characters of a call that is printed."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(slots=True)
class FuzzTarget:
    """Try one input after another. After the last of ``inputs`` print the summary, since libFuzzer ends the process."""

    inputs: int
    tried: int = 0
    tally: Tally = field(default_factory=Tally)

    def try_one(self, data: bytes) -> None:
        self.tried += 1
        if (script := read(data)) is not None:
            self._call(script)
        if self.tried == self.inputs:
            say(self.tally.report())

    def _call(self, script: Any) -> None:
        event = event_of(script)
        try:
            answer = answered(event)
            self.tally.take(script["by"] or "nobody", int(answer.status), answer.parsed)
            check(event, answer, signed=script["by"] is not None)
        except Exception:
            say(f"\nInput {self.tried:,} is a violation. The call: {json.dumps(event)[:SHOWN]}")
            raise


def _corpus() -> Path:
    """The inputs that the search begins with, one file each. Inputs that it finds are added."""
    folder = FOLDER / "corpus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, script in enumerate(SEEDS):
        (folder / f"seed-{number:03}").write_bytes(written(script))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description="Call the webhook with any input.")
    parser.add_argument("input", nargs="?", type=Path, help="a file with the only one that is to be tried")
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    options = [
        f"-runs={arguments.inputs}",
        f"-seed={arguments.seed}",
        f"-max_len={LARGEST}",
        f"-timeout={SECONDS}",
        "-reduce_inputs=0",
    ]
    what = [str(arguments.input)] if arguments.input else [*options, f"-artifact_prefix={FOLDER}/", str(_corpus())]
    target = FuzzTarget(arguments.inputs)
    atheris.Setup([sys.argv[0], *what], target.try_one, custom_mutator=mutated, custom_crossover=crossed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
