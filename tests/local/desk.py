"""An operator's desk at the local stack: makes situations, and runs the documents' commands as a person would."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tests.local import emulator, up
from tests.local.emulator import Emulator, Say
from tests.local.message_provider import MessageProvider
from tests.local.processes import ROOT, TOOLS
from tests.local.stage import Person, Stage

BRAND: Final = up.BRAND
NUMBER: Final = "+12025550101"
"""The number of the documents' examples."""

COMMAND_SECONDS: Final = 420.0
EFFECT_SECONDS: Final = 60.0


type Situation = Callable[["Desk"], object]
"""Makes or ends a situation."""


@dataclass(frozen=True, slots=True)
class Case:
    """A documented command, what a person types for it, and what it must print.

    ``completed`` replaces parts of the command: placeholders by real values, and a command that the text only mentions
    by a whole one. ``shows`` and ``hides`` are patterns. ``answer`` is typed at its question. ``before`` runs first.
    """

    command: str
    shows: Sequence[str] = ()
    hides: Sequence[str] = ()
    code: int = 0
    completed: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    before: Situation | None = None

    def typed(self, desk: "Desk") -> str:
        text = self.command
        for part, value in (*self.completed.items(), *desk.placeholders.items()):
            text = text.replace(part, value)
        return text


@dataclass(frozen=True, slots=True)
class Scene:
    """A paragraph of a document: the situation that it is about, its commands in order, and the situation's end."""

    document: str
    heading: str
    cases: Sequence[Case]
    before: Situation | None = None
    after: Situation | None = None


class Desk:
    """The local stack of ``make up``, its people and its operator."""

    def __init__(self, aws: Emulator, provider: MessageProvider, folder: Path) -> None:
        self.aws, self.provider, self.folder = aws, provider, folder
        self.outputs = emulator.outputs(aws, up.STACK)
        self.stage = Stage(aws, self.outputs)
        self.stage.people = 10  # the numbers before are those of the documents
        self.wrong: list[str] = []
        bin_folders = (ROOT / ".venv" / "bin", TOOLS / "awscli" / "bin")
        self.env = {
            **aws.env,
            "PATH": os.pathsep.join([*map(str, bin_folders), aws.env["PATH"]]),
            "PYTHONPATH": str(ROOT / "layers" / "reengage"),
            "STACK": up.STACK,
            "TABLE_NAME": self.outputs["TableName"],
            "BUS": self.outputs["EventBusName"],
            "NODE_PATH": str(TOOLS / "node-sdk" / "node_modules"),
            "COLUMNS": "200",
        }
        self.placeholders: dict[str, str] = {
            "--stack reengage": f"--stack {up.STACK}",
            "--stack-name reengage": f"--stack-name {up.STACK}",
            "--event-bus-name reengage": f"--event-bus-name {up.STACK}",
            "BUS=reengage": f"BUS={up.STACK}",
            "opt-outs.csv": str(folder / "opt-outs.csv"),
            "endpoints.csv": str(folder / "endpoints.csv"),
            "out.svg": str(folder / "out.svg"),
        }

    def play(self, scene: Scene, say: Say) -> None:
        """Make the situation, run its commands, and note what they should have printed."""
        begun = time.monotonic()
        if scene.before:
            scene.before(self)
        for case in scene.cases:
            self.check(scene, case)
        if scene.after:
            scene.after(self)
        say(f"{scene.heading}: {len(scene.cases)} commands, {time.monotonic() - begun:.0f} s")

    def check(self, scene: Scene, case: Case) -> None:
        typed = case.typed(self)
        if case.before:
            case.before(self)
        code, printed = self.run(typed, case.answer)
        problems = [f"exit code {code}, not {case.code}"] if code != case.code else []
        problems += [f"does not show {each}" for each in case.shows if not re.search(each, printed, re.MULTILINE)]
        problems += [f"shows {each}" for each in case.hides if re.search(each, printed)]
        if problems:
            self.wrong.append(f"{scene.heading}: {typed}: {'; '.join(problems)}\n{printed}")

    def run(self, command: str, answer: str = "") -> tuple[int, str]:
        """Run a command in a shell, as a person would; return its exit code and all that it prints.

        An exit code of the program reaches us through ``make`` as the number in its error, also below another ``make``.
        """
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=self.env,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        printed = done.stdout + done.stderr
        ended = re.search(r"^make(?:\[\d+\])?: \*\*\* .* Error (\d+)$", printed, re.MULTILINE)
        return int(ended[1]) if ended else done.returncode, printed

    # Situations

    def writes(
        self, address: str, text: str = "Hello!", *, channel: str = "sms", ago: timedelta | None = None
    ) -> Person:
        """Let a person write to the brand, in whose zone it is noon."""
        at = self.stage.now() - (ago or timedelta(minutes=1))
        person = Person(BRAND, address, at, channel)
        self.stage.writes(person, at, text)
        return person

    def happens(self, detail_type: str, about: Person | str, **fields: Any) -> None:
        self.stage.happens(detail_type, about, **fields)

    def tick(self, *outputs: str) -> None:
        """Run send functions now, as their schedules do each minute."""
        for output in outputs or ("SendUpdatesFunctionArn",):
            self.stage.ask(output, {"scheduled_at": "now"})

    def entries(self, person: Person) -> list[dict[str, Any]]:
        """Return what the stack knows of a person's messages."""
        answer = self.stage.ask("ExplainFunctionArn", {"contact": person.contact})
        found: list[dict[str, Any]] = answer["entries"]
        return found

    def until(self, is_met: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + EFFECT_SECONDS
        while not is_met():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not seen within {EFFECT_SECONDS:.0f} s")
            time.sleep(0.2)  # there is nothing to wait on but the stack

    def client(self, service: str) -> Any:
        make: Any = self.aws.session.client
        return make(service, endpoint_url=self.aws.endpoint_url)

    def resource(self, logical_id: str) -> str:
        answer = self.client("cloudformation").describe_stack_resource(StackName=up.STACK, LogicalResourceId=logical_id)
        physical: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return physical

    def pauses(self) -> dict[str, Any]:
        """Return the stored pauses of the whole stack, by scope; an ended one has ``ended``."""
        item = self.client("dynamodb").get_item(
            TableName=self.outputs["TableName"], Key={"pk": {"S": "BRAND#"}, "sk": {"S": "BRAND"}}, ConsistentRead=True
        )
        fields = json.loads(item["Item"]["said"]["S"]) if "Item" in item else {}
        found: dict[str, Any] = fields.get("pauses", {})
        return {scope: pause for scope, pause in found.items() if not pause.get("ended")}
