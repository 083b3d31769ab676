"""Update a deployed stack of the first version in place, while its reminders become due.

    make e2e-upgrade

It deploys the first version on a local AWS, lets people write, book and opt out, and then deploys this version onto the
same stack. A reminder becomes due every 20 seconds, before, during and after the update. At the end:

- the table, the two secrets and the bus are the same ones;
- each reminder was sent once, and its row and the bus agree; none was sent to the person who opted out;
- this version explains what the first one stored, cancels and moves what the first one planned.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from tests.local import emulator
from tests.local.emulator import Emulator, Say
from tests.local.stage import Person, Stage
from tests.upgrade.versions import first_version, is_in_history

STACK: Final = "upgrade"
BRAND: Final = "acme"
REMINDERS: Final = 18
APART: Final = timedelta(seconds=20)
LEAD: Final = timedelta(seconds=60)
BEFORE: Final = timedelta(hours=2)
KEPT: Final = ("Table", "PreferencesKey", "ProviderSecrets", "EventBus")
PATIENCE: Final = 180.0
"""Seconds after the last reminder is due until it must be sent."""


class Upgrade:
    """The stack and its people."""

    def __init__(self, aws: Emulator, outputs: dict[str, str]) -> None:
        self.stage, self.wrong = Stage(aws, outputs), list[str]()
        self.cloudformation = aws.session.client("cloudformation", endpoint_url=aws.endpoint_url)
        self.kept = self.resources()

    def resources(self) -> dict[str, str]:
        """Return the physical ids of what must stay."""
        found = self.cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found if each["LogicalResourceId"] in KEPT
        }

    def book(self) -> None:
        """Let everyone write and book, and one person opt out; one appointment is moved later, and one is cancelled."""
        self.people = [self.stage.person(brand=BRAND) for _ in range(REMINDERS + 3)]
        self.begins = self.stage.now() + LEAD
        for number, person in enumerate(self.people):
            due_at = self.begins + min(number, REMINDERS) * APART
            starts_at = due_at + BEFORE + (timedelta(days=1) if number >= REMINDERS else timedelta())
            fields: dict[str, Any] = {"starts_at": starts_at, "remind_before": ["PT2H"]}
            self.stage.happens("AppointmentBooked", person, appointment_id=f"u-{number}", **fields)
        self.stopped, self.cancelled, self.moved = self.people[REMINDERS:]
        self.stage.writes(self.stopped, self.stage.now(), "STOP")

    def change(self) -> None:
        """Let this version cancel and move what the first one planned; what is moved, and the STOP, are due at once."""
        self.stage.happens("AppointmentCancelled", self.cancelled, appointment_id=f"u-{REMINDERS + 1}")
        soon = self.stage.now() + BEFORE + timedelta(seconds=5)
        for number in (REMINDERS, REMINDERS + 2):
            self.stage.happens(
                "AppointmentRescheduled", self.people[number], appointment_id=f"u-{number}", starts_at=soon
            )

    def settled(self) -> bool:
        rows = self.rows()
        return len(rows) >= len(self.people) and not {"scheduled", "sending"} & {state for _, state in rows}

    def rows(self) -> list[tuple[str, str]]:
        """Return the appointment and the state of each reminder in the table."""
        return [(row["sk"].split("#")[2], row["state"]) for row in self.stage.rows()]

    def judge(self) -> None:
        """Note what is not as expected."""
        if (now := self.resources()) != self.kept:
            self.wrong.append(f"the update replaced {self.kept.items() ^ now.items()}")
        seen = self.stage.look()
        sent = Counter(detail["scheduled_message_id"] for detail in seen.published("MessageSent"))
        self.wrong += [f"{name} was sent {count} times" for name, count in sent.items() if count > 1]
        subjects = Counter(detail["subject_id"] for detail in seen.published("MessageSent"))
        wanted = [*range(REMINDERS), REMINDERS + 2]
        self.wrong += [
            f"u-{number} was sent {subjects[f'u-{number}']} times" for number in wanted if subjects[f"u-{number}"] != 1
        ]
        self.wrong += [f"u-{number} was sent" for number in (REMINDERS, REMINDERS + 1) if f"u-{number}" in subjects]
        if not self.settled():
            self.wrong.append(f"not settled: {[row for row in self.rows() if row[1] in ('scheduled', 'sending')]}")
        for number, person in enumerate(self.people):
            self._explains(number, person)

    def _explains(self, number: int, person: Person) -> None:
        ledger = self.stage.ask("ExplainFunctionArn", {"contact": person.contact})
        whats = {entry["what"] for entry in ledger["entries"]}
        end = "skipped" if number in (REMINDERS, REMINDERS + 1) else "sent"
        if not {"wrote", "planned", end} <= whats:
            self.wrong.append(f"explain of u-{number} has {sorted(whats)}")


def play(aws: Emulator, say: Say) -> list[str]:
    with first_version("") as first:
        outputs = emulator.deploy(aws, STACK, template=first.tree / "template.yaml", say=say)
    upgrade = Upgrade(aws, outputs)
    upgrade.book()
    say(f"{len(upgrade.people)} people booked; the first reminder is due at {upgrade.begins:%H:%M:%S}")
    to_first = (upgrade.begins - upgrade.stage.now()).total_seconds()
    wait(lambda: bool(upgrade.stage.look().published("MessageSent")), to_first + PATIENCE)
    before = len(upgrade.stage.look().published("MessageSent"))
    if not before:
        return ["the first version sent nothing"]
    upgrade.stage.outputs = emulator.deploy(aws, STACK, say=say)
    during = len(upgrade.stage.look().published("MessageSent")) - before
    upgrade.change()
    say(f"{before} reminders were sent before the update, {during} during it")
    to_last = (upgrade.begins + REMINDERS * APART - upgrade.stage.now()).total_seconds()
    wait(upgrade.settled, to_last + PATIENCE)
    upgrade.judge()
    return upgrade.wrong


def wait(is_met: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition is met, or the time is over."""
    deadline = time.monotonic() + seconds
    while not is_met() and time.monotonic() < deadline:
        time.sleep(1)  # there is nothing to wait on but the table


def main() -> int:
    if not is_in_history():
        raise SystemExit("the clone has not the first version's commit: fetch the whole history")
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", flush=True)

    with emulator.running() as aws:
        wrong = play(aws, say)
    print(*wrong, sep="\n")
    print(f"{len(wrong)} problems" if wrong else "The update lost nothing, and sent nothing twice")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
