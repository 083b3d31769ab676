"""The table: the keys that the store uses, and nothing that could lose an opt-out."""

from __future__ import annotations

from typing import Final

import boto3
import pytest
from moto import mock_aws

from tests.template.stack import Stack
from tests.template_resources import table_definition, template, ttl_attribute


def test_there_is_one_table_and_it_is_called_table(stack: Stack) -> None:
    assert stack.of("AWS::DynamoDB::Table").keys() == {"Table"}


def test_its_keys_are_strings_named_pk_and_sk(stack: Stack) -> None:
    table = stack.of("AWS::DynamoDB::Table")["Table"]
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert {(a["AttributeName"], a["AttributeType"]) for a in table["AttributeDefinitions"]} == {
        ("pk", "S"),
        ("sk", "S"),
        ("due_shard", "S"),
        ("due_at", "S"),
        ("audience_shard", "S"),
        ("audience_day", "S"),
    }


def test_due_and_audience_indexes_project_few_attributes(stack: Stack) -> None:
    """A claim changes no attribute of the due index, and so writes nothing there."""
    assert stack.of("AWS::DynamoDB::Table")["Table"]["GlobalSecondaryIndexes"] == [
        {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["useful_until"]},
        },
        {
            "IndexName": "audience",
            "KeySchema": [
                {"AttributeName": "audience_shard", "KeyType": "HASH"},
                {"AttributeName": "audience_day", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
    ]


FIRST_INDEXES: Final = {
    "due": "due_shard due_at INCLUDE useful_until",
    "audience": "audience_shard audience_day KEYS_ONLY",
}
"""The indexes of the last release. Move it on with each release."""


def test_an_update_changes_at_most_one_index(stack: Stack) -> None:
    """CloudFormation refuses a second new or deleted index in one update, and cannot change a projection in place."""
    indexes = {}
    for index in stack.of("AWS::DynamoDB::Table")["Table"]["GlobalSecondaryIndexes"]:
        keys = [key["AttributeName"] for key in index["KeySchema"]]
        projection = index["Projection"]
        names = [*keys, projection["ProjectionType"], *projection.get("NonKeyAttributes", ())]
        indexes[index["IndexName"]] = " ".join(names)
    assert len(indexes.keys() ^ FIRST_INDEXES.keys()) <= 1
    assert {name: indexes[name] for name in indexes.keys() & FIRST_INDEXES.keys()} == {
        name: FIRST_INDEXES[name] for name in indexes.keys() & FIRST_INDEXES.keys()
    }


def test_it_costs_by_use_and_is_encrypted_and_backed_up(stack: Stack) -> None:
    table = stack.of("AWS::DynamoDB::Table")["Table"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    own_key = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "KmsKeyArn"}}
    assert table["SSESpecification"] == {"Fn::If": ["HasKmsKey", own_key, {"SSEEnabled": True}]}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_table_survives_update_and_deletion_of_the_stack(stack: Stack) -> None:
    table = stack.resources["Table"]
    assert table["UpdateReplacePolicy"] == "Retain"
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["Properties"]["DeletionProtectionEnabled"] == {"Fn::If": ["TableIsProtected", True, False]}


def test_deletion_protection_follows_the_parameter() -> None:
    protected = {"Fn::Equals": [{"Ref": "DeletionProtection"}, "true"]}
    assert template()["Conditions"]["TableIsProtected"] == protected


def test_other_tests_can_create_it_from_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-central-1")
        client.create_table(TableName="reengage", **table_definition())
        client.update_time_to_live(
            TableName="reengage",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl_attribute()},
        )
        created = client.describe_table(TableName="reengage")["Table"]
        ttl = client.describe_time_to_live(TableName="reengage")["TimeToLiveDescription"]
    assert [index["IndexName"] for index in created["GlobalSecondaryIndexes"]] == ["due", "audience"]
    assert created["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


# Never change these two blocks: CloudFormation makes a new value if the block differs in anything.
PINNED_SECRETS: Final = {
    "PreferencesKey": ("GenerateSecretString", {"PasswordLength": 64, "ExcludePunctuation": True}),
    "ProviderSecrets": ("SecretString", "{}"),
}


@pytest.mark.parametrize("name", PINNED_SECRETS)
def test_an_update_keeps_the_value_of_a_secret(stack: Stack, name: str) -> None:
    """With another key no opt-out is found again; with another literal the providers' keys are removed."""
    field, value = PINNED_SECRETS[name]
    properties = stack.of("AWS::SecretsManager::Secret")[name]
    assert {each: properties[each] for each in properties if each not in ("Description", "Tags")} == {field: value}


def test_the_key_of_the_opt_outs_outlives_the_stack(stack: Stack) -> None:
    """A replaced or deleted key would make every stored opt-out unfindable."""
    key = stack.resources["PreferencesKey"]
    assert (key["UpdateReplacePolicy"], key["DeletionPolicy"]) == ("Retain", "RetainExceptOnCreate")


def test_no_other_secret_is_made(stack: Stack) -> None:
    assert set(stack.of("AWS::SecretsManager::Secret")) == set(PINNED_SECRETS)
