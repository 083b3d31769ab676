"""Run the functions of one version of the app, given as a source tree, against a table on DynamoDB Local.

    PYTHONPATH=TREE:TREE/layers/reengage python tests/upgrade/driver.py ENDPOINT < steps.jsonl > outcomes.jsonl

A step is a line ``{"function", "event", "at"}``, or ``{"case", "at"}`` for a file of the tree's ``events`` folder. Its
outcome is a line ``{"answer", "published"}``. All other services of AWS are moto's, anew for each process. It uses what
both versions have: ``tests/integration/stack.py``.
"""

import json
import os
import sys
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

import boto3
from moto import mock_aws

LOCAL = {"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1:.*"]}}}


def main(endpoint: str) -> None:
    """Play the steps of the standard input."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= credentials | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
    module: Any = import_module("tests.integration.stack")
    module.mock_aws = partial(mock_aws, config=LOCAL)
    table = boto3.client("dynamodb", endpoint_url=endpoint)
    if table.list_tables()["TableNames"]:
        module._clients = partial(_clients_of_a_stored_table, module._clients)
    output = sys.stdout
    with module.deployed() as stack:
        for line in sys.stdin:
            step = json.loads(line)
            function, event = step.get("function"), step.get("event")
            if case := step.get("case"):
                function, event = case.split("/")[0], module.case(case)
            answer = stack.invoke(function, event, at=datetime.fromisoformat(step["at"]))
            events = [[each["detail-type"], each["detail"]] for each in stack.published()]
            print(json.dumps({"answer": answer, "published": events}), file=output, flush=True)


class _Stored:
    """A client of a table that exists already."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def create_table(self, **_: Any) -> None:
        """Leave the table as it is."""


def _clients_of_a_stored_table(clients: Any) -> Any:
    dynamodb, *others = clients()
    return _Stored(dynamodb), *others


if __name__ == "__main__":
    main(sys.argv[1])
