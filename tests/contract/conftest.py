"""The same tests for every store: in memory, DynamoDB by moto, and Amazon's own DynamoDB Local by both clients."""

import os
from collections.abc import Iterator

import pytest
from moto import mock_aws

from reengage.adapters.dynamodb import DynamoDBStore
from tests.contract.stores import HASH_KEY, TABLE, WORKERS, DynamoDB, Harness, LeanDynamoDB, Memory, lean_client
from tests.local import dynamodb_local

ON_DYNAMODB_LOCAL = (pytest.mark.dynamodb_local, pytest.mark.allow_hosts(["127.0.0.1"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever needs DynamoDB Local: it may connect to this machine only."""
    for item in items:
        needs = getattr(item, "fixturenames", ())
        stores = getattr(item, "callspec", None)
        chosen = map(str, stores.params.values()) if stores else ()
        if {"local", "lean"}.intersection([*needs, *chosen]):
            for mark in ON_DYNAMODB_LOCAL:
                item.add_marker(mark)


@pytest.fixture(params=["memory", "moto", "local", "lean"])
def harness(request: pytest.FixtureRequest) -> Harness:
    """Return each store, one after the other."""
    each: Harness = request.getfixturevalue(request.param)
    return each


@pytest.fixture(params=["moto", "local"])
def dynamodb(request: pytest.FixtureRequest) -> DynamoDB:
    """Return each DynamoDB, one after the other."""
    each: DynamoDB = request.getfixturevalue(request.param)
    return each


@pytest.fixture(params=["memory", "local", "lean"])
def concurrent(request: pytest.FixtureRequest) -> Harness:
    """Return each store that many threads may use at once; moto's cannot be shared."""
    each: Harness = request.getfixturevalue(request.param)
    return each


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def moto(moto_client: DynamoDB) -> Iterator[DynamoDB]:
    with mock_aws():
        moto_client.create_table()
        yield moto_client


@pytest.fixture
def local(local_client: DynamoDB) -> Iterator[DynamoDB]:
    local_client.create_table()
    yield local_client
    local_client.delete_table()


@pytest.fixture
def lean(local: DynamoDB, lean_store: DynamoDBStore) -> DynamoDB:
    """Return DynamoDB Local by the client that the functions use."""
    return LeanDynamoDB(lean_store, local.client)


@pytest.fixture(scope="session")
def lean_store(local_client: DynamoDB) -> Iterator[DynamoDBStore]:
    client = lean_client(local_client.store.table.client.meta.endpoint_url)
    yield DynamoDBStore.connect(TABLE, workers=WORKERS, hash_key=lambda: HASH_KEY, make_client=lambda: client)
    client.close()


@pytest.fixture(scope="session")
def moto_client() -> Iterator[DynamoDB]:
    """One client for all: making it takes longer than a test."""
    connected = DynamoDB.connect()
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def local_client() -> Iterator[DynamoDB]:
    if why := dynamodb_local.why_unavailable():
        absent = f"DynamoDB Local cannot run: {why}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{absent}. Under CI=true it must.", pytrace=False)
        pytest.skip(absent)
    with dynamodb_local.running() as endpoint:
        connected = DynamoDB.connect(endpoint)
        yield connected
        connected.close()
