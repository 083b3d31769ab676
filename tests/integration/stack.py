"""The app as template.yaml deploys it, on moto: its table, bus and queue, and its functions invoked one at a time.

    with deployed() as stack:
        stack.invoke("ingest_message", case("ingest_message/first_message"), at=instant)
        stack.published()

Every invocation is a cold start, in the environment that the template gives to that function. Only the AWS clients
are kept, because making one takes longer than most tests.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import boto3
from moto import mock_aws

from reengage import observability
from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.eventbridge import EventBus
from reengage.bootstrap import adapters, explain, ingest, opt_outs, plan, record, sending, webhook
from reengage.domain.message import MessageKey, ScheduledMessage
from tests.integration.log_content import leaks, personal_of_call
from tests.template_resources import environment, functions, table_definition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

EVENTS = Path(__file__).parents[2] / "events"

FUNCTIONS = {
    properties["CodeUri"].removeprefix("functions/"): logical_id for logical_id, properties in functions().items()
}
"""The logical id of each function, by its folder."""

APPS: Final = tuple(module.app for module in (explain, ingest, plan, record, sending, webhook))
"""What each function builds in its execution environment."""

SECRETS: Final = {"PreferencesKey": "preferences-key", "ProviderSecrets": "provider-secrets"}
"""The value of a `!Ref` to each secret."""

PROVIDER_KEYS: Final = {
    "meta_app_secret": "a-meta-app-secret-for-tests",
    "meta_verify_token": "a-meta-verify-token-for-tests",
    "twilio_auth_token": "a-twilio-auth-token-for-tests",
    "rcs_client_token": "an-rcs-client-token-for-tests",
    "google_business_messages_key": "a-partner-key-for-tests",
}
"""The calls of events/webhook are signed with these."""

ROUTES: Final = (
    "acme-clinic/whatsapp/meta/106540352242922,"
    "acme-clinic/sms/twilio/+12025550100,"
    "acme-clinic/rcs/webhook/https://rcs.acme.example/send,"
    "acme-optics/sms/aws/+12025550101,"
    "acme-optics/whatsapp/aws/phone-number-id-976c72a700aac43eaf573ae050example"
)
"""Routes of other brands than those of events/, whose messages all go to the bus."""


def cases() -> list[str]:
    """Return every file of events/, as ``<function>/<case>``."""
    return sorted(path.relative_to(EVENTS).with_suffix("").as_posix() for path in EVENTS.glob("*/*.json"))


def case(name: str) -> Any:
    """Return the payload of one file of events/."""
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Context:
    """The context of Lambda, as far as the handlers read it."""

    function_name: str
    seconds_left: int = 55
    aws_request_id: str = "5f0c2d3e-6a1b-4c8d-9e7f-000000000001"
    memory_limit_in_mb: int = 256

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return self.seconds_left * 1000


@dataclass(slots=True)
class Stack:
    """``resources`` has what a ``!Ref`` to each answers, and the parameters that are not at their default; ``printed``
    is all that the last invocation wrote. ``used``: the addresses, names, ids and texts of all events so far, for
    which it is searched, unless ``is_searched`` is false.
    """

    resources: Mapping[str, str]
    dynamodb: "DynamoDBClient"
    secrets: "SecretsManagerClient"
    sqs: "SQSClient"
    listener_url: str
    relay_url: str
    printed: str = ""
    used: set[str] = field(default_factory=set)
    is_searched: bool = True

    def invoke(
        self,
        function: str,
        event: Any,
        *,
        at: datetime,
        without: Collection[str] = (),
        seconds_left: int = 55,
        warm: bool = False,
    ) -> Any:
        """What the function's own handler answers when the clock shows ``at``; what it raises is raised.

        ``without``: environment variables that are left out. ``warm``: in the execution environment of the last
        invocation, which must have been of the same function; what it logs is not caught. Raises ``AssertionError`` if
        the function wrote an address, a name, an id or a text of any event so far.
        """
        if self.is_searched:
            self.used |= personal_of_call(event)
        module = f"functions.{function}.app"
        if not warm:
            # A new execution environment: nothing of an earlier one is left.
            sys.modules.pop(module, None)
            logging.Logger.manager.loggerDict.pop(function, None)
            for built in (*APPS, _keys, observability.logger, observability.tracer):
                built.cache_clear()
        account = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        variables = account | _environment(FUNCTIONS[function], **self.resources)
        given = {name: value for name, value in variables.items() if name not in without}
        with (
            patch.dict(os.environ, given, clear=True),
            patch.object(adapters.Adapters, "clock", lambda _: at),
            patch.object(adapters, "EventBus", partial(EventBus, pause=lambda _: None)),
            # moto sees botocore's requests alone.
            patch.object(adapters.Adapters, "_lean", lambda _, *service, **options: _client(*service, **options)),
            patch.object(adapters.Adapters, "_client", lambda _, *service, **options: _client(*service, **options)),
            patch.object(DynamoDBStore, "connect", _connect),
            _written() as output,
        ):
            try:
                handler: Callable[[Any, Any], Any] = import_module(module).handler
                # Lambda reads the event, and writes the answer, as JSON.
                return json.loads(json.dumps(handler(json.loads(json.dumps(event)), Context(function, seconds_left))))
            finally:
                self.printed = output.getvalue()
                found = leaks(self.used, self.printed)
                assert not found, f"{function} wrote {found}"

    def published(self, *detail_types: str) -> list[dict[str, Any]]:
        """Return the events out since the last call, whole; with ``detail_types`` only those."""
        events = [json.loads(body) for body in self._receive(self.listener_url)]
        return [event for event in events if not detail_types or event["detail-type"] in detail_types]

    def relayed(self) -> list[dict[str, Any]]:
        """Return the events in that the webhook function published since the last call, whole."""
        return [json.loads(body) for body in self._receive(self.relay_url)]

    def rejected(self) -> list[dict[str, Any]]:
        """Return what arrived in the queue of rejected events since the last call."""
        return [json.loads(body) for body in self._receive(self.resources["RejectedEventsQueue"])]

    def items(self) -> list[dict[str, Any]]:
        """Return all items of the table, in DynamoDB's own JSON."""
        return self.dynamodb.scan(TableName=self.resources["Table"])["Items"]

    def rows(self) -> list[ScheduledMessage]:
        """Return every scheduled message, in order of due time."""
        store = _connect(self.resources["Table"], workers=1)
        keys = [MessageKey(item["pk"]["S"], item["sk"]["S"]) for item in self.items()]
        messages = [store.read_message(key) for key in keys if key.sk.startswith("SCHEDULED#")]
        return sorted((message for message in messages if message), key=lambda message: message.due_at)

    def log_lines(self) -> list[dict[str, Any]]:
        """The last invocation's structured log lines."""
        return [line for line in self._json_lines() if "level" in line]

    def metrics(self) -> list[dict[str, Any]]:
        """The last invocation's metrics, in CloudWatch's embedded metric format."""
        return [line for line in self._json_lines() if "_aws" in line]

    def _json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.printed.splitlines() if line.startswith("{")]

    def _receive(self, url: str) -> list[str]:
        bodies: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@contextmanager
def deployed() -> Iterator[Stack]:
    """Create the template's table, bus, secrets and queue, empty, and queues that receive the events out and those of
    the webhook.
    """
    observability._counts.clear()
    with mock_aws():
        dynamodb, events, secrets, sqs = _clients()
        secrets.create_secret(Name=SECRETS["PreferencesKey"], SecretString="a-key-for-tests")
        secrets.create_secret(Name=SECRETS["ProviderSecrets"], SecretString=json.dumps(PROVIDER_KEYS))
        dynamodb.create_table(TableName="reengage-table", **_table_definition())
        events.create_event_bus(Name="reengage")
        resources = {
            "Table": "reengage-table",
            "EventBus": "reengage",
            "RejectedEventsQueue": sqs.create_queue(QueueName="rejected")["QueueUrl"],
            "WebhookFunctionUrl": "https://abcdefghij.lambda-url.us-east-1.on.aws/",
            "Routes": ROUTES,
            **SECRETS,
        }
        listener_url, relay_url = _listening(sqs, events, "reengage"), _listening(sqs, events, "reengage.webhook")
        yield Stack(resources, dynamodb, secrets, sqs, listener_url, relay_url)


def _listening(sqs: "SQSClient", events: "EventBridgeClient", source: str) -> str:
    """Return the URL of a queue that receives every event of that source."""
    name = source.replace(".", "-")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName="reengage", EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=name, EventBusName="reengage", Targets=[{"Id": name, "Arn": arn}])
    return url


@cache
def _clients() -> "tuple[DynamoDBClient, EventBridgeClient, SecretsManagerClient, SQSClient]":
    return boto3.client("dynamodb"), boto3.client("events"), boto3.client("secretsmanager"), boto3.client("sqs")


# Reading the template takes long, too.
_table_definition = cache(table_definition)
_environment = cache(lambda function, **resources: environment(function, resources))
_keys = cache(opt_outs.OptOutApp)
_client = cache(adapters.Adapters()._client)
_connect_to = cache(partial(DynamoDBStore.connect, hash_key=lambda: _keys().preferences_key()))


def _connect(table_name: str, *, workers: int, **_of_the_app: Any) -> DynamoDBStore:
    return _connect_to(table_name, workers=workers)


@contextmanager
def _written() -> Iterator[io.StringIO]:
    """Collect everything that Lambda would log: both streams, and what libraries log."""
    output = io.StringIO()
    root = logging.StreamHandler(output)
    logging.getLogger().addHandler(root)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield output
    finally:
        logging.getLogger().removeHandler(root)
