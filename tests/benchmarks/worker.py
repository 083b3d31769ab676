"""One function's execution environment: ``python -m tests.benchmarks.worker <folder> <memory>``.

Each line of standard input has events and an instant. The handler is called for each event, and a line of standard
output has what that used. What the function writes goes into a file, and is counted as its log.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any, Final

from botocore.client import BaseClient

from reengage.adapters.dynamodb.requests import Requests
from reengage.adapters.lean_aws.client import LeanClient
from reengage.bootstrap import adapters
from tests.benchmarks.laboratory import Used

ARN: Final = "arn:aws:lambda:us-east-1:111122223333:function:"
REQUEST_ID: Final = "5f0c2d3e-6a1b-4c8d-9e7f-{:012}"
SECONDS: Final = 55


@dataclass(slots=True)
class Clock:
    """Go on from ``at``, which was set at ``began``."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    began: float = 0

    def __call__(self) -> datetime:
        return self.at + timedelta(seconds=time.monotonic() - self.began)


def count_table_units(used: Used) -> None:
    """Count what DynamoDB would bill. DynamoDB Local counts nothing for a key without an item and an empty query."""
    call = Requests._call

    def calling(requests: Requests, operation: str, purpose: str, made: Any) -> Mapping[str, Any]:
        answer, given = call(requests, operation, purpose, made), made.given()
        consumed = answer.get("ConsumedCapacity", [])
        units = sum(table["CapacityUnits"] for table in (consumed if isinstance(consumed, list) else [consumed]))
        used.calls[f"dynamodb.{operation}"] = used.calls.get(f"dynamodb.{operation}", 0) + 1
        if operation == "BatchGetItem":
            used.reads += max(units, sum(len(table["Keys"]) for table in given["RequestItems"].values()))
        elif operation == "Query":
            used.reads += max(units, 1 if given.get("ConsistentRead") else 0.5)
        else:
            used.writes += max(units, 1)
        return answer

    Requests._call = calling  # type: ignore[method-assign, assignment] # to count or to set the time


def count_calls(used: Used) -> None:
    """Count the calls of the other services by either client, and keep the events that go onto the bus."""

    def counted(call: Any, service_of: Callable[[Any], str]) -> Callable[[Any, str, dict[str, Any]], dict[str, Any]]:
        def calling(client: Any, operation: str, given: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = call(client, operation, given)
            service = service_of(client)
            if service != "dynamodb":
                used.calls[f"{service}.{operation}"] = used.calls.get(f"{service}.{operation}", 0) + 1
            if operation == "PutEvents":
                used.published += [(entry["DetailType"], json.loads(entry["Detail"])) for entry in given["Entries"]]
            return answer

        return calling

    whole: Any = BaseClient  # the type has no private names
    whole._make_api_call = counted(whole._make_api_call, lambda client: client.meta.service_model.service_name)
    lean: Any = LeanClient
    lean._make_api_call = counted(lean._make_api_call, lambda client: client.signer.service.name)


def main() -> None:
    folder, memory = sys.argv[1:]
    report = os.fdopen(os.dup(1), "w")
    with TemporaryFile("w+b") as log:
        os.dup2(log.fileno(), 1)
        clock = Clock()
        adapters.Adapters.clock = lambda _: clock()  # type: ignore[method-assign, assignment] # to count or to set the time
        used = Used()
        count_table_units(used)
        count_calls(used)
        from app import handler  # type: ignore[import-not-found] # noqa: PLC0415 - as Lambda does, after the set-up

        for line in sys.stdin:
            given = json.loads(line)
            used.__init__()  # type: ignore[misc] # the hooks count into this object
            written = log.seek(0, os.SEEK_END)
            for number, event in enumerate(given["events"]):
                clock.at, clock.began = datetime.fromisoformat(given["at"]), time.monotonic()
                context = SimpleNamespace(
                    function_name=f"reengage-{folder}-AbCdEfGhIjKl",
                    memory_limit_in_mb=memory,
                    invoked_function_arn=f"{ARN}reengage-{folder}-AbCdEfGhIjKl",
                    aws_request_id=REQUEST_ID.format(number),
                    get_remaining_time_in_millis=lambda began=clock.began: int(
                        1000 * (SECONDS - time.monotonic() + began)
                    ),
                )
                cpu = time.process_time()
                used.answers.append(handler(event, context))
                sys.stdout.flush()
                used.cpu += time.process_time() - cpu
                used.invocations += 1
            log.seek(written)
            count_log(used, log.read())
            report.write(json.dumps(asdict(used)) + "\n")
            report.flush()


def count_log(used: Used, written: bytes) -> None:
    """Count the bytes and lines, and the metrics among them."""
    used.log_bytes = len(written)
    for line in written.splitlines():
        used.log_lines += 1
        entry = json.loads(line) if line.startswith(b"{") else {}
        for metrics in entry.get("_aws", {}).get("CloudWatchMetrics", ()):
            used.metric_bytes += len(line) + 1
            dimensions = [f"{name}={entry[name]}" for name in metrics["Dimensions"][0]]
            used.series += [f"{metric['Name']} {' '.join(dimensions)}" for metric in metrics["Metrics"]]
    used.series = sorted(set(used.series))


if __name__ == "__main__":
    main()
