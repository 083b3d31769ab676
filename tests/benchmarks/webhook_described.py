"""Call the webhook by its description (webhook.openapi.yaml) with schemathesis.

The calls are valid and invalid ones, and use methods, headers and credentials that the description does not have.

    pytest -s -p schemathesis.pytest.plugin tests/benchmarks/webhook_described.py

Each call goes to the function's own handler. The events of a signed call must be on the bus or kept as rejected. An
unsigned call must make no AWS request. The examples are the same in each run.
"""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.transport.wsgi import WSGI_TRANSPORT
from werkzeug.test import EnvironBuilder

from tests.benchmarks.webhook_endpoint import FuzzTarget, event_of
from tests.benchmarks.webhook_signatures import HEADERS, signatures
from tests.integration.stack import PROVIDER_KEYS

Case = schemathesis.Case[Any]

EXAMPLES: Final = 100
"""Examples of each operation in each of the two tests. The examples of the description are added."""

DESCRIPTION: Final = Path(__file__).with_name("webhook.openapi.yaml")


def description() -> schemathesis.BaseSchema:
    """Base64 values are generated as their content, and then encoded."""
    raw = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    data = raw["components"]["schemas"]["Pushed"]["properties"]["message"]["properties"]["data"]
    schema = data["contentSchema"]
    data.clear()
    data.update(schema)
    described = schemathesis.openapi.from_dict(raw)
    described.app = target
    described.hook(map_body)
    return described


def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Google's own encoding."""
    if context.operation is not None and context.operation.path == "/rcs" and isinstance(body, dict):
        message = body.get("message")
        if isinstance(message, dict) and "data" in message:
            data = base64.b64encode(json.dumps(message["data"]).encode()).decode()
            return body | {"message": message | {"data": data}}
    return body


target = FuzzTarget()
unsigned, signed = description(), description()
URL: Final = unsigned.raw_schema["servers"][0]["url"]


@signed.auth(refresh_interval=None)  # each call has its own
class Provider:
    """Sign the body as it is sent, or add the token."""

    def get(self, case: Case, _context: schemathesis.AuthContext) -> str | None:
        event = event_of(EnvironBuilder(**WSGI_TRANSPORT.serialize_case(case, base_url=URL)).get_environ())
        try:
            return signatures(event)[0]
        except (KeyError, TypeError, ValueError):  # of no form that any provider has
            return None

    def set(self, case: Case, data: str, _context: schemathesis.AuthContext) -> None:
        if case.method == "GET":
            case.query["hub.verify_token"] = PROVIDER_KEYS["meta_verify_token"]
        else:
            case.headers[HEADERS[case.path.strip("/")]] = data


@pytest.fixture(scope="module", autouse=True)
def _open() -> Iterator[None]:
    with target.open():
        yield
    sys.stdout.write(f"\n{target.tally.report()}\n")


each = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@unsigned.parametrize()
@each
def test_nothing_of_an_unsigned_call_is_taken(case: Case) -> None:
    case.call_and_validate(URL)
    target.settle()


@signed.parametrize()
@each
def test_a_signed_call_is_taken(case: Case) -> None:
    case.call_and_validate(URL, excluded_checks=[negative_data_rejection])
    target.settle()
