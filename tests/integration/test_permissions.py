"""Least privilege in both directions: a function may do exactly what its code calls, over every file of events/."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

from tests.integration.replays import REPLAYS, play
from tests.integration.stack import FUNCTIONS, SECRETS, deployed
from tests.template_resources import functions

Calls = dict[str, set[str]]

KEY, KEYS = "secretsmanager:GetSecretValue of PreferencesKey", "secretsmanager:GetSecretValue of ProviderSecrets"

REPLY: Final = {"dynamodb:BatchGetItem", "dynamodb:UpdateItem", "events:PutEvents", KEY}
GIVES_IT_BACK: Final = {"dynamodb:PutItem", "dynamodb:DeleteItem"}
FORGETS: Final = {"dynamodb:Query", "dynamodb:DeleteItem"}
BY_PROVIDERS: Final = {
    KEYS,
    "sms-voice:SendTextMessage",
    "sms-voice:SendRcsMessage",
    "social-messaging:SendWhatsAppMessage",
}
LOOKS_AHEAD: Final = {"dynamodb:Query"}
ERASES: Final = {"dynamodb:BatchWriteItem"}
"""Calls of a write that overlaps an erasure, and removes what it wrote."""

RARELY: Final = {
    # A message from before an erasure, that comes after it; and an answer by a provider.
    "ingest_message": FORGETS | ERASES | BY_PROVIDERS,
    # A place under a cap is given back where nothing was sent.
    "send_appointment_reminders": GIVES_IT_BACK | ERASES | LOOKS_AHEAD | BY_PROVIDERS,
    "send_trial_follow_ups": GIVES_IT_BACK | ERASES | LOOKS_AHEAD | BY_PROVIDERS,
    # The appointments of a day.
    "explain": {"dynamodb:Query of audience"},
    # A call of which something cannot be understood.
    "webhook": {"sqs:SendMessage"},
    # A greeting that the ingest function could not send.
    "send_updates": REPLY | GIVES_IT_BACK | ERASES | LOOKS_AHEAD | BY_PROVIDERS,
}
"""Calls that no file of events/ causes: each brand there delivers by the bus, and no window closes.

In these files each brand has its own system on the bus, and no window closes.
"""


@contextmanager
def recorded(calls: set[str]) -> Iterator[None]:
    """Record every AWS call as an action of IAM, with its index or secret."""
    named = {physical_id: logical_id for logical_id, physical_id in SECRETS.items()}
    real = BaseClient._make_api_call  # type: ignore[attr-defined]  # private, so its stub leaves it out

    def call(client: BaseClient, name: str, arguments: Mapping[str, Any]) -> Any:
        about = f" of {arguments['IndexName']}" if "IndexName" in arguments else ""
        about = f" of {named[arguments['SecretId']]}" if "SecretId" in arguments else about
        calls.add(f"{client.meta.service_model.service_name}:{name}{about}")
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
    """Return the actions of the function's statements, each with its index or secret if it has one."""
    actions: set[str] = set()
    for policy in functions()[logical_id]["Policies"]:
        for statement in policy["Statement"]:
            resource = str(statement["Resource"])
            index = re.search(r"/index/(\w+)", resource)
            about = index[1] if index else next((secret for secret in SECRETS if secret in resource), None)
            named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            actions |= {f"{action} of {about}" if about else action for action in named}
    return actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_nothing_else(function: str, calls: Calls) -> None:
    assert granted(FUNCTIONS[function]) == calls[function] | RARELY.get(function, set())
