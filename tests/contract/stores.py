"""Every store behind one harness: what a test may do to it beyond `ports.Store`."""

import os
import ssl
from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol
from unittest.mock import patch

import boto3
import pytest

from reengage.adapters.aws_clients import TABLE_ATTEMPTS
from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.lean_aws.client import LeanClient
from reengage.adapters.lean_aws.surroundings import SERVICES, read_surroundings
from reengage.adapters.memory import MemoryStore
from reengage.ports import Store
from tests.template_resources import table_definition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE: Final = "reengage"
WORKERS: Final = 8
REGION: Final = "eu-central-1"
HASH_KEY: Final = "a secret of 32 letters and digits"

TOO_OLD: Final = timedelta(days=5 * 365)
"""Amazon DynamoDB, "Using time to live (TTL)": an item that expired longer ago is never deleted."""


class Harness(Protocol):
    """A store, empty at first."""

    @property
    def store(self) -> Store: ...

    def expire(self, now: datetime) -> None:
        """Delete everything that TTL would have deleted by `now` at the earliest."""

    def size(self) -> int:
        """Return the number of items of any kind."""

    def small_pages(self, rows: int) -> AbstractContextManager[None]:
        """Limit a page to so many rows during the block, as DynamoDB limits it to 1 MB."""


@dataclass(frozen=True, slots=True)
class Memory:
    store: MemoryStore = field(default_factory=MemoryStore)

    def expire(self, now: datetime) -> None:
        self.store.expire(now)

    def size(self) -> int:
        store = self.store
        kept: list[Sized] = [store._profiles, store._conversations, store._messages, store._subjects, store._rows]
        kept += [store._preferences, store._brands, store._links, store._taken, store._shards, store._unpublished]
        return sum(map(len, kept))

    def small_pages(self, rows: int) -> AbstractContextManager[None]:  # noqa: ARG002 - it has no pages at all
        return nullcontext()


_definition = cache(table_definition)
"""The template takes longer to read than a test to run."""


@dataclass(frozen=True, slots=True)
class DynamoDB:
    """`client` accesses the table for the test itself: its calls are not counted as the store's."""

    store: DynamoDBStore
    client: "DynamoDBClient"

    @classmethod
    def connect(cls, endpoint: str | None = None) -> "DynamoDB":
        """Use the emulator at that endpoint, or else the mock of AWS that is active during the call."""
        with pytest.MonkeyPatch.context() as environment:
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
                environment.delenv(name, raising=False)
            environment.setenv("AWS_DEFAULT_REGION", REGION)
            environment.setenv("AWS_ACCESS_KEY_ID", "testing")
            environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
            if endpoint:
                environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
            store = DynamoDBStore.connect(TABLE, workers=WORKERS, hash_key=lambda: HASH_KEY)
            return cls(store, boto3.client("dynamodb"))

    def create_table(self) -> None:
        self.client.create_table(TableName=TABLE, **_definition())

    def delete_table(self) -> None:
        self.client.delete_table(TableName=TABLE)

    def close(self) -> None:
        self.client.close()
        self.store.table.client.close()

    def expire(self, now: datetime) -> None:
        for item in self.items():
            if "expires_at" not in item:
                continue
            expires_at = float(item["expires_at"]["N"])
            if (now - TOO_OLD).timestamp() < expires_at <= now.timestamp():
                self.client.delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})

    def size(self) -> int:
        return len(self.items())

    def items(self) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [dict(item) for page in pages for item in page["Items"]]

    def item(self, pk: str, sk: str) -> dict[str, Any]:
        answer = self.client.get_item(TableName=TABLE, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        return dict(answer["Item"])

    @contextmanager
    def small_pages(self, rows: int) -> Iterator[None]:
        def limit(params: dict[str, Any], **_: Any) -> None:
            params["Limit"] = rows

        with self.hook("before-parameter-build.dynamodb.Query", limit):
            yield

    @contextmanager
    def calls(self) -> Iterator["Calls"]:
        """Record the store's requests to DynamoDB during the block, and their cost."""
        seen = Calls()
        with (
            self.hook("before-parameter-build.dynamodb", seen.record_request),
            self.hook("after-call.dynamodb", seen.answered),
        ):
            yield seen

    @contextmanager
    def hook(self, event: str, handler: Any) -> Iterator[None]:
        """Call `handler` at that event of the store's botocore client."""
        events: Any = self.store.table.client.meta.events
        events.register(event, handler)
        try:
            yield
        finally:
            events.unregister(event, handler)


def lean_client(endpoint: str) -> LeanClient:
    """Return the client that the functions use, for the emulator at that endpoint."""
    found = read_surroundings(
        {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    )
    assert found
    timeouts = {"connect_timeout": 2, "read_timeout": 2}
    tls = ssl.create_default_context()
    return LeanClient.of(SERVICES["dynamodb"], found, attempts=TABLE_ATTEMPTS, tls=tls, **timeouts)


class LeanDynamoDB(DynamoDB):
    """By the client that the functions use; botocore's hooks see nothing of its calls."""

    @contextmanager
    def small_pages(self, rows: int) -> Iterator[None]:
        call = LeanClient._make_api_call

        def limited(client: LeanClient, operation: str, given: dict[str, Any]) -> dict[str, Any]:
            return call(client, operation, given | ({"Limit": rows} if operation == "Query" else {}))

        with patch.object(LeanClient, "_make_api_call", limited):
            yield


@dataclass(slots=True)
class Call:
    """One request. `units` are those of its answer's `ConsumedCapacity`, the index's among them."""

    operation: str
    params: dict[str, Any]
    units: float = 0

    @property
    def writes(self) -> bool:
        return self.operation in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")


@dataclass(slots=True)
class Calls:
    """The requests, in the order in which they were made."""

    requests: list[Call] = field(default_factory=list)

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.requests]

    @property
    def write_units(self) -> float:
        return sum(call.units for call in self.requests if call.writes)

    @property
    def read_units(self) -> float:
        return sum(call.units for call in self.requests if not call.writes)

    def record_request(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context["call"] = Call(model.name, dict(params))
        self.requests.append(context["call"])

    def answered(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        each = consumed if isinstance(consumed, list) else [consumed]
        context["call"].units = sum(table["CapacityUnits"] for table in each)
