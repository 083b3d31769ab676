"""Where the lean client finds AWS: as botocore does, or not at all."""

import os
from pathlib import Path
from typing import Any, Final

import botocore
import botocore.session
import pytest

from reengage.adapters.aws_clients import AwsClients
from reengage.adapters.lean_aws.client import LeanClient
from reengage.adapters.lean_aws.surroundings import SERVICES, read_surroundings

ON_LAMBDA: Final = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-key",
    "AWS_SESSION_TOKEN": "a-token",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "reengage-webhook",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture
def on_lambda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in ON_LAMBDA.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def regions() -> list[str]:
    session = botocore.session.get_session()
    known = {region for partition in ("aws", "aws-cn", "aws-us-gov") for region in _regions(session, partition)}
    return sorted(known | {"eu-new-9"})


def _regions(session: Any, partition: str) -> list[str]:
    named = [session.get_available_regions(service, partition_name=partition) for service in SERVICES]
    return [region for each in named for region in each if "fips" not in region and region != "local"]


@pytest.mark.parametrize("service", SERVICES)
def test_endpoint_of_every_region_is_that_of_botocore(service: str) -> None:
    session = botocore.session.get_session()
    keys: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    found = {}
    for region in (every := regions()):
        lean = read_surroundings(ON_LAMBDA | {"AWS_DEFAULT_REGION": region})
        found[region] = lean and lean.url(SERVICES[service])
    clients = {region: session.create_client(service, region_name=region, **keys) for region in every}
    assert found == {region: client.meta.endpoint_url for region, client in clients.items()}
    assert len(found) > 30


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "own"])
@pytest.mark.parametrize("service", SERVICES)
def test_configured_endpoint_is_that_of_botocore(service: str, variable: str, on_lambda: pytest.MonkeyPatch) -> None:
    on_lambda.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    if variable == "own":
        on_lambda.setenv(SERVICES[service].endpoint_variable, "https://localhost:8000/")
    found = read_surroundings(os.environ)
    client = botocore.session.get_session().create_client(service)
    assert found
    assert found.url(SERVICES[service]) == client.meta.endpoint_url.rstrip("/")


def test_credentials_and_certificates_are_those_of_botocore(on_lambda: pytest.MonkeyPatch) -> None:
    found, wanted = read_surroundings(os.environ), botocore.session.get_session().get_credentials()
    assert found
    assert wanted
    key = found.credentials
    assert (key.access_key, key.secret_key, key.token) == (wanted.access_key, wanted.secret_key, wanted.token)
    assert found.certificates == str(Path(botocore.__file__).parent / "cacert.pem")
    on_lambda.setenv("AWS_CA_BUNDLE", "/etc/bundle.pem")
    again = read_surroundings(os.environ)
    assert again
    assert again.certificates == "/etc/bundle.pem"


OTHERS: Final[dict[str, dict[str, str]]] = {
    "no region": {"AWS_DEFAULT_REGION": ""},
    "a region of another partition": {"AWS_DEFAULT_REGION": "us-iso-east-1"},
    "no credentials": {"AWS_ACCESS_KEY_ID": ""},
    "half of the credentials": {"AWS_SECRET_ACCESS_KEY": ""},
    "credentials that expire": {"AWS_CREDENTIAL_EXPIRATION": "2026-12-07T12:00:00Z"},
    "a profile": {"AWS_PROFILE": "acme"},
    "FIPS": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "dual stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "endpoints that are ignored": {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    "an endpoint with a path": {"AWS_ENDPOINT_URL": "https://proxy.example/aws"},
    "an endpoint without a scheme": {"AWS_ENDPOINT_URL_SQS": "proxy.example"},
    "a proxy": {"HTTPS_PROXY": "http://proxy.example"},
    "a proxy in small letters": {"http_proxy": "http://proxy.example"},
    "a file of settings": {"AWS_CONFIG_FILE": __file__},
    "a file of credentials": {"AWS_SHARED_CREDENTIALS_FILE": __file__},
}


@pytest.mark.parametrize("other", OTHERS)
def test_whatever_else_is_set_is_left_to_botocore(other: str) -> None:
    assert read_surroundings(ON_LAMBDA)
    assert read_surroundings(ON_LAMBDA | OTHERS[other]) is None


def test_clients_on_lambda_are_lean(on_lambda: pytest.MonkeyPatch) -> None:
    clients = AwsClients(max_connections=1)
    made = [clients.lean_table(), *map(clients.lean_client, sorted({*SERVICES} - {"dynamodb"}))]
    assert {type(client) for client in made} == {LeanClient}
    assert [client.attempts for client in made] == [2, 3, 3, 3, 3]
    assert clients.lean_client("events", total_max_attempts=1).attempts == 1
    assert (made[0].connections.connect_timeout, made[1].connections.connect_timeout) == (2, 1)
    on_lambda.setenv("HTTPS_PROXY", "http://proxy.example")
    behind = AwsClients(max_connections=1)
    assert [behind.lean_table().meta.endpoint_url, behind.lean_client("events").meta.endpoint_url] == [
        "https://dynamodb.eu-central-1.amazonaws.com",
        "https://events.eu-central-1.amazonaws.com",
    ]


def test_service_without_a_lean_client_has_botocores(on_lambda: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - its keys
    assert AwsClients(max_connections=1).lean_client("lambda").meta.service_model.service_name == "lambda"


def test_certificates_of_the_environment_are_for_providers_too(on_lambda: pytest.MonkeyPatch) -> None:
    assert AwsClients(max_connections=1).ca_bundle is None
    on_lambda.setenv("AWS_CA_BUNDLE", "/etc/bundle.pem")
    assert AwsClients(max_connections=1).ca_bundle == "/etc/bundle.pem"
    on_lambda.setenv("HTTPS_PROXY", "http://proxy.example")
    assert AwsClients(max_connections=1).ca_bundle == "/etc/bundle.pem"
