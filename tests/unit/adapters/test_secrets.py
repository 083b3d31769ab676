"""The providers' keys: read again every five minutes, and never quoted."""

from dataclasses import dataclass, field
from datetime import timedelta
from traceback import format_exception
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from reengage.adapters.secrets import FRESH_FOR, NOT_AGAIN_FOR, ProviderSecrets
from reengage.errors import ConfigurationError

ARN: Final = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:providers"
VALUE: Final = "hunter2-hunter2"
ABSENT: Final = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": VALUE}}, "GetSecretValue")


@dataclass(slots=True)
class Client:
    """Secrets Manager: it returns ``value``, or fails with it."""

    value: str | Exception
    requests: list[str] = field(default_factory=list)

    def get_secret_value(self, **request: Any) -> dict[str, str]:
        self.requests.append(request["SecretId"])
        if isinstance(self.value, Exception):
            raise self.value
        return {"SecretString": self.value}


@dataclass(slots=True)
class Time:
    """A clock that counts seconds."""

    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


def test_the_keys_are_the_objects_of_the_secret() -> None:
    client = Client('{"meta_access_token": "a", "webhook": {"acme": "b"}}')
    assert ProviderSecrets(ARN, client)() == {"meta_access_token": "a", "webhook": {"acme": "b"}}
    assert client.requests == [ARN]


def test_nothing_is_read_before_a_key_is_used() -> None:
    client = Client("{}")
    ProviderSecrets(ARN, client)
    assert client.requests == []


def test_a_rotated_key_is_read_after_five_minutes_and_not_before() -> None:
    client, time = Client('{"key": "old"}'), Time()
    secrets = ProviderSecrets(ARN, client, time)
    assert secrets() == {"key": "old"}
    client.value = '{"key": "new"}'
    time.seconds += FRESH_FOR - 0.001
    assert secrets() == {"key": "old"}
    assert len(client.requests) == 1
    time.seconds += 0.001
    assert secrets() == {"key": "new"}
    assert len(client.requests) == 2


def test_keys_are_fresh_for_five_minutes() -> None:
    assert timedelta(seconds=FRESH_FOR) == timedelta(minutes=5)


def test_two_secrets_are_two() -> None:
    one, other = (ProviderSecrets(ARN, Client(f'{{"key": "{value}"}}')) for value in ("one", "other"))
    assert [one(), other(), one()] == [{"key": "one"}, {"key": "other"}, {"key": "one"}]


@pytest.mark.parametrize(
    "value",
    [f"[{VALUE!r}]".replace("'", '"'), f'"{VALUE}"', "17", "null", "true"],
    ids=["a list", "a text", "a number", "null", "true"],
)
def test_json_without_object_is_a_configuration_error(value: str) -> None:
    _fails_without_quoting(Client(value), "^the providers' secret: expected a JSON object of keys$")


@pytest.mark.parametrize("value", [VALUE, f'{{"key": "{VALUE}"', f"{{{VALUE}: 1}}", ""])
def test_invalid_json_is_a_configuration_error(value: str) -> None:
    _fails_without_quoting(Client(value), "^the providers' secret: expected JSON$")


@pytest.mark.parametrize(
    ("why", "name"),
    [
        (ABSENT, "ResourceNotFoundException"),
        (KeyError(VALUE), "KeyError"),
        (TimeoutError(VALUE), "TimeoutError"),
        (EndpointConnectionError(endpoint_url=VALUE), "EndpointConnectionError"),
    ],
)
def test_unreadable_secret_is_a_configuration_error(why: Exception, name: str) -> None:
    _fails_without_quoting(Client(why), f"^the providers' secret: {name}$")


def test_corrected_secret_is_read_at_the_next_use() -> None:
    client = Client(ABSENT)
    secrets = ProviderSecrets(ARN, client)
    with pytest.raises(ConfigurationError):
        secrets()
    client.value = '{"key": "a"}'
    assert secrets() == {"key": "a"}


def test_former_keys_are_used_while_the_secret_is_unreadable(caplog: pytest.LogCaptureFixture) -> None:
    """Secrets Manager failed for a quarter of an hour, and so did messages, although their keys had not changed."""
    client, time = Client('{"key": "a"}'), Time()
    secrets = ProviderSecrets(ARN, client, time)
    secrets()
    client.value = TimeoutError(VALUE)
    time.seconds += FRESH_FOR + 60
    assert secrets() == {"key": "a"}
    assert caplog.messages == ["the former keys are used: the providers' secret: TimeoutError"]
    # It is not asked again for each message: each time it is waited for.
    requests = len(client.requests)
    time.seconds += NOT_AGAIN_FOR - 0.001
    assert secrets() == {"key": "a"}
    assert len(client.requests) == requests
    time.seconds += 0.001
    client.value = '{"key": "b"}'
    assert secrets() == {"key": "b"}


def test_cached_keys_need_no_request() -> None:
    client, time = Client('{"key": "a"}'), Time()
    secrets = ProviderSecrets(ARN, client, time)
    with pytest.raises(ConfigurationError, match=r"^the providers' secret: not read yet$"):
        secrets.in_hand()
    secrets()
    client.value = '{"key": "b"}'
    time.seconds += FRESH_FOR + 60
    assert secrets.in_hand() == {"key": "a"}
    assert len(client.requests) == 1
    secrets()
    assert secrets.in_hand() == {"key": "b"}


def test_a_key_that_was_pasted_with_its_line_is_that_key() -> None:
    read = ProviderSecrets(ARN, Client('{"key": " a\\n", "keys": ["b\\n", 7], "ids": {"x": "y"}}'))()
    assert read == {"key": "a", "keys": ["b", 7], "ids": {"x": "y"}}


def _fails_without_quoting(client: Client, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failed:
        ProviderSecrets(ARN, client)()
    assert VALUE not in "".join(format_exception(failed.value))
