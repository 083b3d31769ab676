"""The translated template, and queries that its tests need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped] # it has no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped] # it has no types

from tests.template_resources import template

type Properties = dict[str, Any]

FUNCTION = "AWS::Lambda::Function"
ROLE = "AWS::IAM::Role"
RULE = "AWS::Events::Rule"
SCHEDULE = "AWS::Scheduler::Schedule"
QUEUE = "AWS::SQS::Queue"
QUEUE_POLICY = "AWS::SQS::QueuePolicy"
ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE_ALARM = "AWS::CloudWatch::CompositeAlarm"
LOG_GROUP = "AWS::Logs::LogGroup"
INVOKE_CONFIG = "AWS::Lambda::EventInvokeConfig"
LAYER = "AWS::Lambda::LayerVersion"


def ref(logical_id: str) -> Properties:
    return {"Ref": logical_id}


def arn(logical_id: str) -> Properties:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Stack:
    """The template as `sam deploy` passes it to CloudFormation: SAM's shorthands are resources here."""

    resources: dict[str, dict[str, Any]]

    def of(self, type_: str) -> dict[str, Properties]:
        """The properties of every resource of one type, by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] == type_
        }

    def named(self, resource_arn: Any, type_: str) -> str | None:
        """The logical id behind `!GetAtt X.Arn`, where X is a resource of that type."""
        for logical_id in self.of(type_):
            if resource_arn == arn(logical_id):
                return logical_id
        return None

    def role_statements(self, role_arn: Any) -> list[Properties]:
        """The inline statements of the role behind `!GetAtt X.Arn`."""
        role = self.named(role_arn, ROLE)
        if role is None:
            return []
        documents = [policy["PolicyDocument"] for policy in self.of(ROLE)[role].get("Policies", [])]
        return [statement for document in documents for statement in as_list(document["Statement"])]

    def role_may(self, role_arn: Any, action: str, resource: Any) -> bool:
        return any(
            statement["Effect"] == "Allow"
            and action in as_list(statement["Action"])
            and resource in as_list(statement["Resource"])
            for statement in self.role_statements(role_arn)
        )

    def policy_documents(self) -> Iterator[tuple[str, Properties]]:
        """Every statement that grants something, with the resource that contains it.

        Left out: a role's trust, which names a principal and no resource.
        """
        for logical_id, resource in self.resources.items():
            for document in _documents(resource.get("Properties", {})):
                for statement in as_list(document["Statement"]):
                    yield logical_id, statement


def translate() -> Stack:
    """Translate template.yaml under its default parameters; reaches no network."""
    source = template()
    for resource in source["Resources"].values():
        for uri in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][uri] = "s3://bucket/key"  # where `sam deploy` would put it
    translator = Translator(
        # SAM looks a managed policy up by name only where a template names one: this one does not.
        managed_policy_map={},
        sam_parser=Parser(),
        boto_session=boto3.Session(region_name="eu-central-1"),
    )
    translated = translator.translate(source, parameter_values={})
    # Through JSON: the translator answers with dict and str types of its own.
    return Stack(json.loads(json.dumps(translated["Resources"])))


def _documents(value: Any) -> Iterator[Properties]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "PolicyDocument":
                yield inner
            elif name != "AssumeRolePolicyDocument":
                yield from _documents(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _documents(inner)
