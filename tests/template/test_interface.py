"""What a person who deploys the app sees: parameters, outputs, and the settings of `sam deploy`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from reengage.domain.caps import parse_caps
from reengage.domain.instants import parse_zone
from reengage.domain.quiet_hours import QuietHours
from tests.template_resources import TEMPLATE, template

DEFAULTS = {
    "Architecture": "arm64",
    "LogRetentionDays": 30,
    "ContactRetentionDays": 365,
    "DefaultLocale": "en",
    "DeletionProtection": "false",
    "DefaultTimezone": "",
    "MarketingConsent": "implied",
    "MarketingQuietHours": "20:00-09:00",
    "UtilityQuietHours": "21:00-08:00",
    "MarketingCaps": "1/P1D,3/P7D",
    "UtilityCaps": "5/P1D",
    "OptOutScope": "brand",
    "WelcomeBackAfter": "P7D",
    # Not named by the contract.
    "HelpReply": "provider",
    "WhatsAppTemplates": "",
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
    "ExplainFunctionArn": {"Fn::GetAtt": ["ExplainFunction", "Arn"]},
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


def test_what_may_be_empty_is_what_can_be_switched_off() -> None:
    empty = {name for name, parameter in _parameters().items() if _takes(parameter, "")}
    hours_and_caps = {"UtilityQuietHours", "MarketingQuietHours", "UtilityCaps", "MarketingCaps"}
    assert empty == hours_and_caps | {"DefaultTimezone", "WelcomeBackAfter", "WhatsAppTemplates"}


@pytest.mark.parametrize(
    ("parameter", "parse"),
    [
        ("UtilityQuietHours", QuietHours.parse),
        ("MarketingQuietHours", QuietHours.parse),
        ("UtilityCaps", parse_caps),
        ("MarketingCaps", parse_caps),
        ("DefaultTimezone", parse_zone),
    ],
)
@pytest.mark.parametrize(
    "value",
    ["21:00-08:00", "24:00-08:00", "8-9", "1/P1D,3/P7D", "5/PT12H", "0/P1D", "Europe/Berlin", "Etc/GMT+5", "x y"],
)
def test_cloudformation_takes_what_the_app_takes(parameter: str, parse: Callable[[str], object], value: str) -> None:
    """A slip of the hand is found when the stack is deployed, not when a message is due."""
    if _takes(_parameters()[parameter], value):
        parse(value)


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
        if not str(value).lstrip("-").isdecimal():
            return False
        return bool(parameter["MinValue"] <= float(value) <= parameter["MaxValue"])
    return True
