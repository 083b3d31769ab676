"""Faults of AWS: errors and lost responses."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError

Refuses = Callable[[Mapping[str, Any]], bool]


@contextmanager
def failing(operation: str, *, status: int = 400, only: Refuses = lambda _: True) -> Iterator[list[Mapping[str, Any]]]:
    """Answer each call of ``operation`` that ``only`` selects with an HTTP error; yield these calls."""
    real = BaseClient._make_api_call  # type: ignore[attr-defined]  # private, so its stub leaves it out
    failed: list[Mapping[str, Any]] = []

    def call(client: BaseClient, name: str, arguments: Mapping[str, Any]) -> Any:
        if name != operation or not only(arguments):
            return real(client, name, arguments)
        failed.append(arguments)
        error = {
            "Error": {"Code": "ThrottlingException", "Message": "too fast"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        raise ClientError(error, name)  # type: ignore[arg-type]  # its stub wants more than botocore does

    with patch.object(BaseClient, "_make_api_call", call):
        yield failed


def telling(detail_type: str) -> Refuses:
    """Select PutEvents with an event of that type."""
    return lambda arguments: any(entry["DetailType"] == detail_type for entry in arguments["Entries"])
