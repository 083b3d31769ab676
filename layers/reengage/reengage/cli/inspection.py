"""A deployed stack as ``doctor`` looks at it: its resources, its keys, and calls of providers that change nothing."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from reengage.cli import stack as stacks
from reengage.cli.brands import TableBrands, brands_in_table
from reengage.domain.routes import Routes, parse_valid_routes

Level = Literal["problem", "warning", "unknown"]

TIMEOUT: Final = 10.0
"""Seconds for a provider's answer."""

BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of an answer: more than a page of 250 templates has."""

SMOKE: Final = "reengage-smoke"
"""The brand of ``reengage smoke``, which has no configuration."""

NO_ANSWER: Final = 0
"""In place of a status: the provider did not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    problem: str
    hint: str
    check: str = ""

    def of(self, check: str) -> "Finding":
        return replace(self, check=check)

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "level": self.level, "problem": self.problem, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Providers:
    """The addresses of the providers' APIs."""

    meta: str = "https://graph.facebook.com"
    twilio: str = "https://api.twilio.com"
    twilio_content: str = "https://content.twilio.com"


class Inspection:
    """A stack and its resources, read once; ``client`` makes AWS clients by service name."""

    def __init__(self, stack: stacks.Stack, client: Callable[[str], Any], providers: Providers | None = None) -> None:
        self.stack = stack
        self.client = client
        self.providers = providers or Providers()

    @classmethod
    def of(cls, name: str) -> "Inspection":
        import boto3  # noqa: PLC0415 - commands without a stack do not need it

        make_client: Any = boto3.client  # its overloads know only literal names
        return cls(stacks.describe(name), make_client)

    def get(self, url: str, authorization: str) -> tuple[int, Any]:
        """Make a GET request that changes nothing; return the status and the JSON, ``NO_ANSWER`` without an answer."""
        request = Request(url, headers={"Authorization": authorization})  # noqa: S310 - a provider's https address
        try:
            with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the same  # nosec B310 # https only
                return int(response.status), _json(response.read(BODY_LIMIT))
        except HTTPError as error:
            return error.code, None
        except OSError:
            return NO_ANSWER, None

    @cached_property
    def resources(self) -> Mapping[str, list[tuple[str, str]]]:
        """By resource type: logical and physical ids."""
        found: dict[str, list[tuple[str, str]]] = {}
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack.name)
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                ids = (resource["LogicalResourceId"], resource.get("PhysicalResourceId", ""))
                found.setdefault(resource["ResourceType"], []).append(ids)
        return found

    @cached_property
    def routes(self) -> Routes:
        """The rows of ``Routes`` that are right; the check ``settings`` finds the others."""
        return parse_valid_routes(self.stack.parameters.get("Routes", ""))

    @cached_property
    def brands(self) -> list[str]:
        """The brands of ``Routes``, and those of the table: without a route, messages go to the bus."""
        return sorted((self.routes.brands | self._in_table.known) - {"", SMOKE})

    @property
    def misspelt(self) -> list[str]:
        """The brands of which only a pause is stored, and no route: probably no such brand exists."""
        return sorted(self._in_table.only_paused - self.routes.brands)

    @cached_property
    def _in_table(self) -> TableBrands:
        return brands_in_table(self.client("dynamodb"), self.stack.output("TableName"))

    @cached_property
    def keys(self) -> Mapping[str, Any]:
        """The providers' keys; only their names are ever shown. Without any, ``keys_problem`` has the cause."""
        keys = self._stored_keys
        return keys if isinstance(keys, dict) else {}

    @property
    def keys_problem(self) -> str:
        """What is wrong with the secret's text; empty if it is an object, as it must be."""
        return "" if isinstance(self._stored_keys, dict) else "is no JSON object"

    @cached_property
    def _stored_keys(self) -> Any:
        """The secret's JSON; ``None`` if it is no JSON."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=self.stack.output("ProviderSecretsArn"))
        return _json(secret["SecretString"])

    @property
    def keys_hint(self) -> str:
        return f"Correct them in the secret {self.stack.output('ProviderSecretsArn')}."


def is_refused(status: int) -> bool:
    return status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _json(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
