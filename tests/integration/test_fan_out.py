"""A scheduled function invokes itself, by the name that Lambda gave it, and may invoke nothing else."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from reengage.bootstrap.sending import ScheduledApp
from reengage.usecases.fan_out import FanOut
from tests.template_resources import environment, template

RESOURCES = dict.fromkeys(
    ("Table", "EventBus", "PreferencesKey", "ProviderSecrets", "WebhookFunctionUrl"), "https://example.com/"
)
SEND_FUNCTIONS = ("SendAppointmentReminders", "SendTrialFollowUps", "SendUpdates")
CONTEXT: Any = SimpleNamespace(function_name="reengage-SendUpdates-1", get_remaining_time_in_millis=lambda: 55_000)


class App(ScheduledApp):
    """The function without a table: ``given`` has its input, ``invoked`` its invocations of Lambda."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []
        self.invoked: list[dict[str, Any]] = []

    def send_due(self, *_: Any, **given: Any) -> dict[str, Any]:
        self.given.append(given)
        return {}

    def _client(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(invoke=lambda **call: self.invoked.append(call))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    for name, value in environment("SendUpdatesFunction", RESOURCES).items():
        monkeypatch.setenv(name, value)
    return App()


def fan_out_of(app: App, event: Any) -> FanOut | None:
    app.run("updates", event, CONTEXT)
    found: FanOut | None = app.given[-1]["fan_out"]
    return found


def test_run_of_the_schedule_invokes_its_own_function(app: App) -> None:
    fan_out = fan_out_of(app, {"scheduled_at": "2026-11-02T08:00:00Z"})
    assert fan_out
    assert (fan_out.most, list(app.given[-1]["shards"])) == (6, list(range(16)))
    fan_out.invoke([3, 7])
    [call] = app.invoked
    assert (call["FunctionName"], call["InvocationType"]) == ("reengage-SendUpdates-1", "Event")
    assert json.loads(call["Payload"]) == {"shards": [3, 7]}


def test_run_for_shards_invokes_nothing(app: App) -> None:
    assert fan_out_of(app, {"shards": [3, 7]}) is None
    assert list(app.given[-1]["shards"]) == [3, 7]


def test_one_run_at_once_turns_it_off(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEND_RUNS", "1")
    assert fan_out_of(app, {}) is None


@pytest.mark.parametrize("name", SEND_FUNCTIONS)
def test_a_send_function_may_invoke_itself_alone(name: str) -> None:
    policy = template()["Resources"][f"{name}RunsPolicy"]["Properties"]
    assert policy["Roles"] == [{"Ref": f"{name}FunctionRole"}]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        "lambda:InvokeFunction",
        {"Fn::GetAtt": [f"{name}Function", "Arn"]},
    )
