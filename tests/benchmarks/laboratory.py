"""The functions as Lambda runs them, each in a process of its own, against DynamoDB Local and a stub of AWS.

The stub is an HTTPS server of this machine that answers at once: the bus, the secrets, SMS of AWS and of Twilio. It
runs in a process of its own, so the CPU of a function is that of its process alone.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
import botocore

from reengage.domain.instants import iso
from tests.integration.channels.wire import certified
from tests.local import dynamodb_local
from tests.template_resources import environment, functions, table_definition

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = "reengage"
FUNCTIONS: Final = {
    properties["CodeUri"].removeprefix("functions/"): logical_id for logical_id, properties in functions().items()
}
"""The logical id of each function, by its folder."""

BRAND: Final = "acme-dental"
SMS_NUMBER: Final = "+12025550100"
SECRET: Final = {"twilio_account_sid": "AC" + "0" * 32, "twilio_auth_token": "a-token-of-32-letters-and-digits"}


class Stub(BaseHTTPRequestHandler):
    """AWS's services in JSON, and Twilio's in forms. Each takes what it is given after ``seconds``."""

    protocol_version = "HTTP/1.1"
    seconds: float = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        answer: dict[str, Any] = {}
        if self.path.endswith("/Messages.json"):
            time.sleep(self.seconds)
            answer = {"sid": f"SM{time.monotonic_ns():032}"}
        elif operation == "PutEvents":
            entries = json.loads(body)["Entries"]
            answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in entries]}
        elif operation == "GetSecretValue":
            answer = {"SecretString": json.dumps(SECRET)}
        elif operation == "SendTextMessage":
            answer = {"MessageId": f"862a8790-60c0-4430-9b2b-{time.monotonic_ns() % 10**12:012}"}
        text = json.dumps(answer).encode()
        self.send_response(201 if self.path.endswith("/Messages.json") else 200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def stub(seconds: float = 0) -> Iterator[tuple[str, Path]]:
    """Start the stub; give its URL and a bundle of certificates that has its own."""
    with TemporaryDirectory() as folder:
        served, _ = certified(Path(folder))
        bundle = Path(folder, "bundle.pem")
        own = Path(folder, "certificate.pem").read_text()
        bundle.write_text((Path(botocore.__file__).parent / "cacert.pem").read_text() + own)
        handler = type("Stub", (Stub,), {"seconds": seconds})
        with _Server(("127.0.0.1", 0), handler) as server:
            server.socket = served.wrap_socket(server.socket, server_side=True)
            process = get_context("fork").Process(target=server.serve_forever, daemon=True)
            process.start()
            try:
                yield f"https://127.0.0.1:{server.server_port}", bundle
            finally:
                process.kill()
                process.join()


def place(services: str, bundle: Path, database: str) -> dict[str, str]:
    """Return the environment that leads to the stub and to DynamoDB Local."""
    return {
        "AWS_ENDPOINT_URL": services,
        "AWS_ENDPOINT_URL_DYNAMODB": database,
        "AWS_CA_BUNDLE": str(bundle),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@dataclass(slots=True)
class Used:
    """What invocations used. ``series``: the metrics, each with its dimensions; ``published``: type and detail."""

    invocations: int = 0
    cpu: float = 0
    calls: dict[str, int] = field(default_factory=dict)
    writes: float = 0
    reads: float = 0
    log_bytes: int = 0
    log_lines: int = 0
    metric_bytes: int = 0
    series: list[str] = field(default_factory=list)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)


class Function:
    """One execution environment of a function."""

    def __init__(self, folder: str, given: Mapping[str, str], **parameters: str) -> None:
        resources = {
            "Table": TABLE,
            "EventBus": "reengage",
            "RejectedEventsQueue": "https://sqs.us-east-1.amazonaws.com/111122223333/rejected",
            "PreferencesKey": "preferences-key",
            "ProviderSecrets": "provider-secrets",
            "WebhookFunctionUrl": "https://abcdefghij.lambda-url.us-east-1.on.aws/",
            **parameters,
        }
        variables = environment(FUNCTIONS[folder], resources)
        variables.pop("PYTHONTZPATH")
        paths = os.pathsep.join(map(str, (ROOT / "functions" / folder, ROOT / "layers" / "reengage", ROOT)))
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": paths} | dict(given) | variables
        properties = functions()[FUNCTIONS[folder]]
        self.folder, self.memory = folder, int(properties.get("MemorySize", 256))
        command = [sys.executable, "-m", "tests.benchmarks.worker", folder, str(self.memory)]
        self._process = subprocess.Popen(  # noqa: S603 - ours
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def invoke(self, events: Sequence[Any], at: datetime) -> Used:
        """Invoke the function once for each event, when its clock shows ``at``."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"events": list(events), "at": iso(at)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.folder} ended with {self._process.wait()}")
        return Used(**json.loads(answer))

    def close(self) -> None:
        with self._process as process:  # it closes the pipes, and waits
            assert process.stdin


@dataclass(slots=True)
class Laboratory:
    """A stack: the table, the stub, and functions that are started when they are first invoked."""

    given: Mapping[str, str]
    database: str
    parameters: dict[str, str] = field(default_factory=dict)
    _functions: dict[str, Function] = field(default_factory=dict)

    def invoke(self, folder: str, events: Sequence[Any], at: datetime) -> Used:
        return self.function(folder).invoke(events, at)

    def function(self, folder: str) -> Function:
        if folder not in self._functions:
            self._functions[folder] = Function(folder, self.given, **self.parameters)
        return self._functions[folder]

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the table, in DynamoDB's own JSON."""
        client = self._client()
        pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def _client(self) -> Any:
        return boto3.client(
            "dynamodb",
            endpoint_url=self.database,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - DynamoDB Local takes any
        )

    def close(self) -> None:
        for function in self._functions.values():
            function.close()


@contextmanager
def laboratory(**parameters: str) -> Iterator[Laboratory]:
    """Start a stack with an empty table. ``parameters``: those of the template that are not at their default."""
    if why := dynamodb_local.why_unavailable():
        raise SystemExit(f"DynamoDB Local cannot run: {why}")
    with stub() as (services, bundle), dynamodb_local.running() as database:
        stack = Laboratory(place(services, bundle, database), database, parameters)
        stack._client().create_table(TableName=TABLE, **table_definition())
        try:
            yield stack
        finally:
            stack.close()
