"""``python -m tests.local.kills --rounds 300``: kill workers at random moments, and look at what is left.

Workers are processes that run the deployed functions' own code, as the bootstrap builds it: one plans events, two send
at once. They use Amazon's DynamoDB Local, and a stub of the provider, of the bus and of the secrets, which logs each
call. In each round SIGKILL ends each worker after a random time. At the end a worker runs to its end, later than any
claim lasts. Then:

- the stub's log has no message twice;
- each planned message of the table is sent or ``unconfirmed``, and only a message in hand of a killed worker is;
- the bus has ``MessagePlanned`` and the outcome of each message.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Final

import boto3
import pytest

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event
from reengage.bootstrap import ingest, sending
from reengage.bootstrap import plan as planning
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from tests.local import dynamodb_local
from tests.local.processes import ForkedCall, exit_code, forked
from tests.template_resources import environment, table_definition

TABLE: Final = "reengage"
BRAND: Final = "north"
MESSAGES: Final = 8
"""Orders that are shipped in each round, one message each."""

LONGEST: Final = 1.3
"""A worker lives at most this many times as long as the first one took to finish."""

MORE: Final = 3
"""The exit code of a sender that found something due."""

INVOCATION: Final = 55_000
"""Milliseconds of an invocation of a send function."""

AHEAD: Final = timedelta(minutes=5)
"""How much later the last run is: a claim is valid for two minutes."""

RESOURCES: Final = {
    "Table": TABLE,
    "EventBus": "bus",
    "RejectedEventsQueue": "rejected",
    "PreferencesKey": "key",
    "ProviderSecrets": "secrets",
    "WebhookFunctionUrl": "https://localhost/",
}
OUTCOMES: Final = {State.SENT: "MessageSent", State.UNCONFIRMED: "MessageUnconfirmed"}
KEY: Final = "a secret of 32 letters and digits"


@dataclass(slots=True)
class Log:
    """The stub's calls: the provider's messages and the bus's events, in order."""

    provided: list[str] = field(default_factory=list)
    published: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class _Stub(ThreadingHTTPServer):
    """Answer as Amazon EventBridge, Secrets Manager and AWS End User Messaging do."""

    daemon_threads = True

    def __init__(self, log: Log, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.log, self.chance = log, random.Random(seed)

    def handle_error(self, *_: Any) -> None:
        """Write nothing if a killed worker leaves its connection; raise what else is wrong."""
        if not isinstance(error := sys.exception(), ConnectionError):
            assert error is not None
            raise error

    def answer(self, target: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        with self.log.lock:
            pause = self.chance.uniform(0, 0.03)
            match target:
                case "PutEvents":
                    events = [(each["DetailType"], json.loads(each["Detail"])) for each in body["Entries"]]
                    self.log.published += events
                    answer: Mapping[str, Any] = {"Entries": [{"EventId": "1"} for _ in events], "FailedEntryCount": 0}
                case "SendTextMessage":
                    self.log.provided.append(body["Context"]["scheduled_message_id"])
                    answer = {"MessageId": f"provider-{len(self.log.provided)}"}
                case "GetSecretValue":
                    answer = {"SecretString": KEY}
                case _:
                    raise AssertionError(f"a call of {target}")
        time.sleep(pause)  # so that a kill may come between the effect and the answer
        return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Stub

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        text = self.rfile.read(length)
        if len(text) < length:
            self.close_connection = True  # the worker was killed while it sent the call
            return
        body = json.loads(text)
        answer = json.dumps(self.server.answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker is dead
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Write no line a call."""


@contextmanager
def stub(log: Log, seed: int) -> Iterator[str]:
    """Run the stub; yield its URL."""
    server = _Stub(log, seed)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def variables(database: str, services: str) -> dict[str, str]:
    """Return the environment of the functions, with a route over AWS End User Messaging."""
    return {
        **environment("PlanMessagesFunction", RESOURCES),
        **environment("IngestMessageFunction", RESOURCES),
        **environment("SendUpdatesFunction", RESOURCES),
        "ROUTES": f"{BRAND}/sms/aws/+12025550100",
        "UTILITY_QUIET_HOURS": "",
        "UTILITY_CAPS": "",
        "AWS_ENDPOINT_URL_DYNAMODB": database,
        "AWS_ENDPOINT_URL": services,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "POWERTOOLS_METRICS_NAMESPACE": "reengage",
        "POWERTOOLS_SERVICE_NAME": "kills",
        "POWERTOOLS_DEV": "false",
    }


# The workers


def plan(events: Sequence[Mapping[str, Any]], done: int) -> None:
    """Handle the events as the functions of the bus's rules do; write a byte to the pipe ``done`` after each.

    An event that was handled before changes nothing.
    """
    for event in events:
        if event["detail-type"] == "MessageReceived":
            ingest.app().ingest(inbound_message(event), milliseconds=INVOCATION)
        else:
            planning.app().handle(parse_business_event(event))
        os.write(done, b".")


def send(ahead: timedelta = timedelta()) -> int:
    """Run one invocation of the function that sends updates; return ``MORE`` if it found something due."""
    app = sending.app()
    if ahead:
        app.clock = lambda: datetime.now(UTC) + ahead  # type: ignore[method-assign] # the last run is later than the others
    return MORE if app.send_due("updates", milliseconds=INVOCATION)["due"] else 0


def warm() -> None:
    """Build the clients before any worker is forked, as in a Lambda environment that was used before."""
    for app in (ingest.app(), planning.app(), sending.app()):
        _ = app.store, app.publish
    sending.app()._provider("aws", "sms")
    _ = sending.app().render


# The rounds


@dataclass(slots=True)
class Result:
    """The results. ``killed`` counts workers that SIGKILL ended before they had finished."""

    rounds: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    planned: int = 0
    states: Counter[str] = field(default_factory=Counter)
    provided: int = 0
    published: int = 0
    problems: list[str] = field(default_factory=list)


def contact(number: int) -> Contact:
    """Return the contact of a round."""
    return Contact(BRAND, "sms", f"+1202555{1000 + number:04}")


def events_of(number: int) -> list[Mapping[str, Any]]:
    """A contact writes, and some orders are shipped to them."""
    at = datetime.now(UTC).replace(microsecond=0).isoformat()
    of = contact(number)
    contact_fields = {"brand": of.brand, "channel": of.channel, "address": of.address}
    message = {"contact": contact_fields, "message_id": f"m-{number}", "sent_at": at, "text": "Hello"}
    shipped = [{"contact": contact_fields, "order_id": f"o-{number}-{order}"} for order in range(MESSAGES)]
    details = [("MessageReceived", message), *(("OrderShipped", each) for each in shipped)]
    return [
        {"id": f"{number}-{position}", "source": "test", "time": at, "detail-type": detail_type, "detail": detail}
        for position, (detail_type, detail) in enumerate(details)
    ]


def play(rounds: int, seed: int, seconds: float) -> tuple[int, Counter[str]]:
    """Let workers plan and send, kill them, and let the last ones finish. Returns the rounds, and who was killed."""
    killed: Counter[str] = Counter()
    chance = random.Random(seed)
    warm()
    takes = {"plan": _plan_all(events_of(0)), "send": _send_all()}
    waiting: list[Mapping[str, Any]] = []
    ends, played = time.monotonic() + seconds, 1
    for number in range(1, rounds):
        if time.monotonic() > ends:
            break
        played += 1
        waiting += events_of(number)
        reading, done = os.pipe()
        workers = {forked(plan, waiting, done): "plan", forked(send): "send", forked(send): "send"}
        os.close(done)
        lives = sorted((chance.uniform(0, LONGEST * takes[name]), pid, name) for pid, name in workers.items())
        begins = time.monotonic()
        for life, pid, name in lives:
            time.sleep(max(0.0, begins + life - time.monotonic()))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed[name] += exit_code(pid) == -signal.SIGKILL
        with os.fdopen(reading, "rb") as pipe:
            waiting = waiting[len(pipe.read()) :]
    _plan_all(waiting)
    _send_all()
    _send_all(AHEAD)
    return played, killed


def _plan_all(events: Sequence[Mapping[str, Any]]) -> float:
    """Let a worker handle the events; return how long it took."""
    begins, (reading, done) = time.monotonic(), os.pipe()
    code = exit_code(forked(plan, events, done))
    os.close(reading)
    os.close(done)
    if code:
        raise RuntimeError(f"a planner ended with {code}")
    return time.monotonic() - begins


def _send_all(ahead: timedelta = timedelta()) -> float:
    """Let workers send until nothing is due; return how long the first one took."""
    begins, first = time.monotonic(), 0.0
    while (code := exit_code(forked(send, ahead))) == MORE:
        first = first or time.monotonic() - begins
    if code:
        raise RuntimeError(f"a sender ended with {code}")
    return first


def run(rounds: int, seed: int, seconds: float = float("inf")) -> Result:
    """Play the rounds on a fresh table, and compare the logs with it."""
    log, result = Log(), Result()
    player = ForkedCall(play)  # first: only a process without threads may be forked
    with dynamodb_local.running() as database, stub(log, seed) as services, pytest.MonkeyPatch.context() as patch:
        given = variables(database, services)
        for name, value in given.items():
            patch.setenv(name, value)
        boto3.client("dynamodb").create_table(TableName=TABLE, **table_definition())
        result.rounds, killed = player.run(given, rounds, seed, seconds)
        result.killed = Counter(killed)
        result.planned = result.rounds * MESSAGES
        store = DynamoDBStore.connect(TABLE, workers=1, hash_key=lambda: KEY)
        _compare(
            result, log, [row for number in range(rounds) for row in store.read_holdings(contact(number)).scheduled]
        )
    return result


def _compare(result: Result, log: Log, rows: Sequence[ScheduledMessage]) -> None:
    """Record what is wrong."""
    result.provided, result.published = len(log.provided), len(log.published)
    result.states = Counter(str(row.state) for row in rows)
    result.problems += [f"{name} was handed over {n} times" for name, n in Counter(log.provided).items() if n > 1]
    if len(rows) != result.planned:
        result.problems.append(f"{result.planned} messages were planned, and the table has {len(rows)}")
    events = {(detail.get("scheduled_message_id"), detail_type) for detail_type, detail in log.published}
    handed_over = set(log.provided)
    for row in rows:
        name, outcome = row.scheduled_message_id, OUTCOMES.get(row.state)
        if outcome is None:
            result.problems.append(f"{row.subject.id} is {row.state}")
        elif row.state is State.SENT and name not in handed_over:
            result.problems.append(f"{row.subject.id} is sent, and was not handed over")
        for detail_type in ("MessagePlanned", outcome):
            if detail_type and (name, detail_type) not in events:
                result.problems.append(f"{row.subject.id} is {row.state}, and the bus has no {detail_type}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.local.kills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this time")
    given = parser.parse_args()
    if why := dynamodb_local.why_unavailable():
        raise SystemExit(f"DynamoDB Local cannot run: {why}")
    begins = time.monotonic()
    result = run(given.rounds, given.seed, given.seconds)
    sys.stdout.write(
        f"seed {given.seed}: {result.rounds} rounds, {time.monotonic() - begins:.0f} s; killed {dict(result.killed)}; "
        f"{result.planned} messages, {dict(result.states)}; {result.provided} calls of the provider, "
        f"{result.published} events\n"
    )
    for problem in result.problems:
        sys.stdout.write(f"  wrong: {problem}\n")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
