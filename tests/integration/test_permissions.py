"""Least privilege, both ways: what a function may do is what its code calls, over every file of events/."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

from tests.integration.replays import REPLAYS, play
from tests.integration.stack import FUNCTIONS, deployed
from tests.template_resources import functions

Calls = dict[str, set[str]]

REPLY: Final = {"dynamodb:BatchGetItem", "dynamodb:UpdateItem", "events:PutEvents", "secretsmanager:GetSecretValue"}
GIVES_IT_BACK: Final = {"dynamodb:PutItem", "dynamodb:DeleteItem"}
FORGETS: Final = {"dynamodb:Query", "dynamodb:DeleteItem"}

RARELY: Final = {
    # A message from before an erasure, that comes after it.
    "ingest_message": FORGETS,
    # A place under a cap is given back where nothing was sent.
    "send_appointment_reminders": GIVES_IT_BACK,
    "send_trial_follow_ups": GIVES_IT_BACK,
    # A greeting that its own door could not hand over; nothing else is planned for this one so far.
    "send_updates": REPLY | GIVES_IT_BACK,
}
"""What no file of events/ makes a function do."""


@contextmanager
def recorded(calls: set[str]) -> Iterator[None]:
    """Every AWS call, as the action that IAM asks for."""
    real = BaseClient._make_api_call  # type: ignore[attr-defined]  # private, so its stub leaves it out

    def call(client: BaseClient, name: str, arguments: Mapping[str, Any]) -> Any:
        index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
        calls.add(f"{client.meta.service_model.service_name}:{name}{index}")
        return real(client, name, arguments)

    with patch.object(BaseClient, "_make_api_call", call):
        yield


@pytest.fixture(scope="module")
def calls() -> Calls:
    found: Calls = defaultdict(set)
    for name, replay in REPLAYS.items():
        with deployed() as stack:
            for earlier in replay.after:
                play(stack, earlier)
            with recorded(found[name.split("/", maxsplit=1)[0]]):
                play(stack, name)
    return found


def granted(logical_id: str) -> set[str]:
    """The actions of the function's statements, each with its index where it stands on one."""
    actions: set[str] = set()
    for policy in functions()[logical_id]["Policies"]:
        for statement in policy["Statement"]:
            on_index = "/index/due" if "/index/due" in str(statement["Resource"]) else ""
            named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            actions |= {f"{action}{on_index}" for action in named}
    return actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_nothing_else(function: str, calls: Calls) -> None:
    assert granted(FUNCTIONS[function]) == calls[function] | RARELY.get(function, set())
