"""The content of template.yaml, for the tests that build on it: the same table, the same environment.

CloudFormation's short tags are read in their long form: `!Ref Table` is `{"Ref": "Table"}`, `!GetAtt Table.Arn` is
`{"Fn::GetAtt": ["Table", "Arn"]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


def template() -> dict[str, Any]:
    """Return the whole template as a copy of its own, which a test may change."""
    return deepcopy(_parsed())


@cache
def _parsed() -> dict[str, Any]:
    loaded: dict[str, Any] = _Loader(TEMPLATE.read_text(encoding="utf-8")).get_single_data()
    return loaded


def functions() -> dict[str, dict[str, Any]]:
    """Each function's own properties, by its logical id; `Globals` are not merged in."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def table_definition() -> dict[str, Any]:
    """The table's keys, indexes and billing, as `create_table(TableName=…, **definition)` takes them.

    Encryption, backups, deletion protection and TTL are left out: they are an account's matter,
    and TTL is a call of its own (see `ttl_attribute`).
    """
    table = template()["Resources"]["Table"]["Properties"]
    names = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {name: table[name] for name in names}


def ttl_attribute() -> str:
    """The attribute in which DynamoDB finds the time to delete an item, in epoch seconds."""
    name: str = template()["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]["AttributeName"]
    return name


def parameter_defaults() -> dict[str, str]:
    """Return each parameter's default, as CloudFormation passes it: a string."""
    return {name: str(parameter["Default"]) for name, parameter in template()["Parameters"].items()}


def environment(function: str, resources: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of one function under the default parameters.

    `function` is its logical id. `resources` has the value of a `!Ref` or a `!GetAtt` of each resource, such as
    `{"Table": "a-table", "EventBus": "a-bus"}`. A missing resource is a `KeyError`.
    """
    variables = {
        **template()["Globals"]["Function"]["Environment"]["Variables"],
        **functions()[function]["Environment"]["Variables"],
    }
    answers = parameter_defaults() | dict(resources)
    return {
        name: answers[_named(value)] if isinstance(value, dict) else str(value) for name, value in variables.items()
    }


def _named(value: Mapping[str, Any]) -> str:
    """Return the parameter or resource of a `!Ref` or a `!GetAtt`. By default no condition holds."""
    if "Fn::If" in value:
        return _named(value["Fn::If"][2])
    name: str = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return name


class _Loader(yaml.SafeLoader):
    """A safe loader that also knows CloudFormation's tags."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            raise ValueError(f"!{tag} before a mapping: write it in its long form{node.start_mark}")
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)
