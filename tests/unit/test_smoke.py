"""``reengage smoke`` plays its story on the app's own use cases, and notices each step that has no effect."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.cli import smoke
from reengage.cli import stack as stacks
from reengage.cli.main import main
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.policy import PolicySettings
from reengage.domain.subject import BusinessEvent
from reengage.usecases.explain import explain
from tests.fakes import World


@dataclass
class Stack:
    """A stack in memory. Each look that finds nothing lets time pass, and the schedule runs each minute."""

    world: World = field(default_factory=World)
    lost: str = ""
    """The detail-type of the events that this stack loses."""
    is_scheduled: bool = True
    status: int = 403
    body: str = ""
    ids: int = 0

    def put(self, _stack: str, envelopes: Sequence[Mapping[str, Any]]) -> None:
        for envelope in envelopes:
            if envelope["detail-type"] == self.lost:
                continue
            self.ids += 1
            at = self.world.clock.now.isoformat()
            event = {"id": f"e-{self.ids}", "time": at, "source": "cli", **envelope}
            if envelope["detail-type"] == "MessageReceived":
                self.world.receive(inbound_message(event))
            elif envelope["detail-type"] == "DeliveryReported":
                self.world.report(receipt(event))
            else:
                command = parse_business_event(event)
                if isinstance(command, EraseContact):
                    self.world.erase(command)
                else:
                    assert isinstance(command, BusinessEvent)
                    self.world.plan(command)

    def invoke(self, _output: str, event: Any) -> Any:
        world, contact = self.world, Contact.of(**event["contact"])
        return json.loads(json.dumps(explain(contact, store=world.store, clock=world.clock, settings=world.policy)))

    def sleep(self, seconds: float) -> None:
        before = self.world.clock.now
        self.world.clock.now += timedelta(seconds=seconds)
        if self.is_scheduled and before.minute != self.world.clock.now.minute:
            self.world.run_sender()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, Any]]]:
    """Run the command on a stack, and return the results of its steps."""

    def run(stack: Stack, *options: str, code: int = 0) -> list[dict[str, Any]]:
        class Now(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a datetime of the stack's own clock
                return stack.world.clock.now.astimezone(tz)

        outputs = {"WebhookUrl": "https://hook.example/"} if stack.status else {}
        monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, outputs, {}))
        monkeypatch.setattr(stacks, "stack_functions", lambda _name: stack.invoke)
        monkeypatch.setattr(stacks, "put_events", stack.put)
        monkeypatch.setattr(time, "sleep", stack.sleep)
        monkeypatch.setattr(smoke, "datetime", Now)
        monkeypatch.setattr(smoke, "_get", lambda _url: (stack.status, stack.body))
        assert main(["smoke", "--json", *options]) == code
        results: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return results

    return run


def test_every_step_of_a_good_stack_is_seen(run: Callable[..., list[dict[str, Any]]]) -> None:
    results = run(Stack())
    assert [result["ok"] for result in results] == [True] * 8
    seen = [result["seen"] for result in results]
    assert seen[0] == "403"
    assert seen[3:] == ["by fake", "delivered", "opted out", "opted_out", "no message is stored"]


def test_it_can_be_played_again(run: Callable[..., list[dict[str, Any]]]) -> None:
    """The opt-out of the first time outlives the erasure; START ends it."""
    stack = Stack()
    run(stack)
    stack.world.clock.forward(minutes=5)
    assert all(result["ok"] for result in run(stack))


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        (Stack(status=200), 0),
        (Stack(body='{"Message":"Forbidden"}'), 0),
        (Stack(lost="MessageReceived"), 1),
        (Stack(lost="AppointmentBooked"), 2),
        (Stack(is_scheduled=False), 3),
        (Stack(lost="DeliveryReported"), 4),
        (Stack(lost="ContactErased"), 7),
    ],
    ids=["open webhook", "no permission", "no message", "no booking", "no schedule", "no receipt", "no erasure"],
)
def test_a_step_without_effect_fails(run: Callable[..., list[dict[str, Any]]], stack: Stack, step: int) -> None:
    results = run(stack, code=1)
    assert [result["ok"] for result in results] == [True] * step + [False]


def test_a_stack_without_a_url_and_with_a_dry_run_is_fine(run: Callable[..., list[dict[str, Any]]]) -> None:
    results = run(Stack(World(policy=PolicySettings(dry_run=True)), status=0))
    assert all(result["ok"] for result in results)
    assert [results[0]["seen"], results[3]["seen"]] == ["no public URL", "skipped by dry_run"]


@pytest.mark.parametrize("hour", range(24))
def test_it_is_daytime_in_one_of_the_zones(hour: int) -> None:
    at = datetime(2026, 7, 1, hour, 30, tzinfo=UTC)
    zones = [name for name in smoke.ZONES if at.astimezone(ZoneInfo(name)).hour in smoke.DAYTIME]
    winter = at.replace(month=1)
    assert zones
    assert [name for name in smoke.ZONES if winter.astimezone(ZoneInfo(name)).hour in smoke.DAYTIME]
