"""What a person who deploys the app sees: parameters, outputs, and the settings of `sam deploy`."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tests.template_resources import TEMPLATE, template

DEFAULTS = {
    "Architecture": "arm64",
    "LogRetentionDays": 30,
    "ContactRetentionDays": 365,
    "DefaultLocale": "en",
    "DeletionProtection": "false",
}

# What each output answers.
OUTPUTS = {
    "EventBusName": {"Ref": "EventBus"},
    "TableName": {"Ref": "Table"},
    "RejectedEventsQueueUrl": {"Ref": "RejectedEventsQueue"},
    "FailedEventsQueueUrl": {"Ref": "FailedEventsQueue"},
    "IngestMessageFunctionArn": {"Fn::GetAtt": ["IngestMessageFunction", "Arn"]},
    "PlanMessagesFunctionArn": {"Fn::GetAtt": ["PlanMessagesFunction", "Arn"]},
    "SendAppointmentRemindersFunctionArn": {"Fn::GetAtt": ["SendAppointmentRemindersFunction", "Arn"]},
    "SendTrialFollowUpsFunctionArn": {"Fn::GetAtt": ["SendTrialFollowUpsFunction", "Arn"]},
    "SendUpdatesFunctionArn": {"Fn::GetAtt": ["SendUpdatesFunction", "Arn"]},
    "RecordDeliveryFunctionArn": {"Fn::GetAtt": ["RecordDeliveryFunction", "Arn"]},
}


def test_the_parameters_have_the_names_and_defaults_of_the_contract() -> None:
    assert {name: parameter.get("Default") for name, parameter in _parameters().items()} == DEFAULTS


def test_each_parameter_says_what_it_is_and_what_it_takes() -> None:
    for name, parameter in _parameters().items():
        assert len(parameter.get("Description", "")) > 30, name
        assert parameter.get("ConstraintDescription", "").startswith("must be"), name


def test_each_parameter_has_bounds_and_its_default_lies_within() -> None:
    for name, parameter in _parameters().items():
        assert _takes(parameter, parameter["Default"]), name
        assert not _takes(parameter, "-1"), f"{name} takes anything"


def test_a_locale_is_a_language_tag() -> None:
    locale = _parameters()["DefaultLocale"]
    assert all(_takes(locale, tag) for tag in ("en", "de-AT", "vi", "zh-Hant-TW", "es-419"))
    assert not any(_takes(locale, tag) for tag in ("", "e", "english", "de_AT", "de-", "de AT"))


def test_each_parameter_stands_once_in_the_form_of_the_console() -> None:
    form = template()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(_parameters())
    assert form["ParameterLabels"].keys() == _parameters().keys()


def test_the_outputs_are_those_of_the_contract() -> None:
    outputs = template()["Outputs"]
    assert {name: output["Value"] for name, output in outputs.items()} == OUTPUTS
    for name, output in outputs.items():
        assert output.get("Description"), name


def test_sam_deploy_needs_no_argument() -> None:
    default = tomllib.loads(TEMPLATE.with_name("samconfig.toml").read_text(encoding="utf-8"))["default"]
    assert default["global"]["parameters"]["stack_name"]
    assert default["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
    assert default["deploy"]["parameters"]["resolve_s3"] is True


def _parameters() -> dict[str, Any]:
    parameters: dict[str, Any] = template()["Parameters"]
    return parameters


def _takes(parameter: dict[str, Any], value: Any) -> bool:
    """Whether CloudFormation would take the value, by the parameter's bounds."""
    if "AllowedValues" in parameter:
        return value in parameter["AllowedValues"]
    if "AllowedPattern" in parameter:
        return re.fullmatch(parameter["AllowedPattern"], str(value)) is not None
    if "MinValue" in parameter and "MaxValue" in parameter:
        return bool(parameter["MinValue"] <= float(value) <= parameter["MaxValue"])
    return True
