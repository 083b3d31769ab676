"""What a person who deploys the app sees: parameters, outputs, and the settings of `sam deploy`."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

import pytest

from functions.first_deployment import ASKED
from reengage.domain.reasons import REASONS
from reengage.settings import InboundSettings
from reengage.simulation.parameters import PARAMETERS
from tests.template_resources import TEMPLATE, environment, template

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
    "WhenWindowWillClose": "wait",
    "WindowClosingNotice": "P1D",
    "ConversationPause": "PT30M",
    "DryRun": "false",
    "KeepTexts": "true",
    "Tracing": "Off",
    # Not named by the contract.
    "HelpReply": "provider",
    "AnswerReply": "on",
    "WhatsAppTemplates": "",
    "Routes": "",
    "MessagesPerSecond": "",
    "SmsConfigurationSet": "",
    "MetaApiVersion": "v26.0",
    "PublicWebhook": "auto",
    "SenderAccountId": "",
    "KmsKeyArn": "",
    "EventConcurrency": "",
    "SendConcurrency": "",
    "SendRuns": "6",
    "PublicWebhookUrl": "",
    "AlarmEmail": "",
    "EventsOut": "all",
    "SchemaRegistry": "false",
    "CreateDashboard": "true",
    "TestNumbers": "",
    "AlarmTopicArn": "",
    "WebhookProxySecretHeader": "",
    "WebhookConcurrency": "",
}

# What each output answers.
OUTPUTS = {
    "DashboardUrl": {
        "Fn::Sub": "https://${AWS::Region}.console.${AWS::URLSuffix}/cloudwatch/home?region=${AWS::Region}"
        "#dashboards/dashboard/${Dashboard}"
    },
    "EventBusName": {"Ref": "EventBus"},
    "TableName": {"Ref": "Table"},
    "RejectedEventsQueueUrl": {"Ref": "RejectedEventsQueue"},
    "FailedEventsQueueUrl": {"Ref": "FailedEventsQueue"},
    "WebhookUrl": {
        "Fn::If": [
            "HasPublicWebhookUrl",
            {"Ref": "PublicWebhookUrl"},
            {"Fn::GetAtt": ["WebhookFunctionUrl", "FunctionUrl"]},
        ]
    },
    "ProviderEventsTopicArn": {"Ref": "ProviderEventsTopic"},
    "ProviderSecretsArn": {"Ref": "ProviderSecrets"},
    "IngestMessageFunctionArn": {"Fn::GetAtt": ["IngestMessageFunction", "Arn"]},
    "PlanMessagesFunctionArn": {"Fn::GetAtt": ["PlanMessagesFunction", "Arn"]},
    "SendAppointmentRemindersFunctionArn": {"Fn::GetAtt": ["SendAppointmentRemindersFunction", "Arn"]},
    "SendTrialFollowUpsFunctionArn": {"Fn::GetAtt": ["SendTrialFollowUpsFunction", "Arn"]},
    "SendUpdatesFunctionArn": {"Fn::GetAtt": ["SendUpdatesFunction", "Arn"]},
    "RecordDeliveryFunctionArn": {"Fn::GetAtt": ["RecordDeliveryFunction", "Arn"]},
    "WebhookFunctionArn": {"Fn::GetAtt": ["WebhookFunction", "Arn"]},
    "ExplainFunctionArn": {"Fn::GetAtt": ["ExplainFunction", "Arn"]},
}


def test_parameters_have_the_public_names_and_defaults() -> None:
    assert {name: parameter.get("Default") for name, parameter in _parameters().items()} == DEFAULTS


def test_each_parameter_has_a_description_and_constraint() -> None:
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
    hours_and_caps = {
        *("UtilityQuietHours", "MarketingQuietHours", "UtilityCaps", "MarketingCaps", "ConversationPause"),
    }
    providers = {"Routes", "MessagesPerSecond", "SmsConfigurationSet", "PublicWebhookUrl"}
    providers |= {"WebhookProxySecretHeader", "WebhookConcurrency", "SenderAccountId", "TestNumbers"}
    limits = {"EventConcurrency", "SendConcurrency", "KmsKeyArn"}
    assert empty == hours_and_caps | providers | limits | {
        "DefaultTimezone",
        "WelcomeBackAfter",
        "WhatsAppTemplates",
        "AlarmEmail",
        "AlarmTopicArn",
    }


WEEK: Final = "Mon-Sat 20:00-09:00, Sun 20:00-12:00"

EDGES = (
    *("21:00-08:00", "24:00-08:00", "8-9", "08:00-08:00", "00:00-23:59"),
    *("1/P1D,3/P7D", "5/PT12H", "0/P1D", "5/P1M", "5/PD", "5/P", "10000/P1D", "5/P1D,", "1/P52W", "9999/PT9999H"),
    *("Europe/Berlin", "europe/berlin", "Etc/GMT+5", "America/Argentina/ComodRivadavia", "UTC", "x y"),
    *("P7D", "P0D", "P", "PT", "P9999D", "PT36H", "P52W", "P1M", "-P1D", "P999D"),
    *("appointment_reminder", "appointment_reminder,trial_follow_up", "foo", "welcome_back", ","),
    *("wait", "pull_forward", "warn,trial_follow_up=pull_forward", "warn,foo=wait", "wait=warn", "warn,", "later"),
    *("P1D", "PT1H", "P29D", "P30D", "PT699H", "PT720H"),
    *("sms=1", "sms=1,whatsapp=80", "sms=0", "fax=1", "sms=1.5", "sms"),
    *(
        "a/sms/aws/+12025550100",
        "a/sms/aws/x,a/sms/twilio/y",
        "a/rcs/meta/1",
        "a/sms/aws/",
        "a/sms/aws/x, b/whatsapp/meta/1",
        "a/sms/aws/pool-1|+12025550100|+12025550101,b/rcs/webhook/https://b.example/out|b_agent",
        "a/sms/aws/pool-1|",
        "a/sms/aws/|+12025550100",
    ),
    *("v26.0", "26", "a-set"),
    *(WEEK, "Sun 20:00", "Sunday 20:00-12:00"),
    *("true", "false", "PT30M", "PT0M"),
    *(
        "https://hooks.acme.example/",
        "https://acme.example/hooks/",
        "https://acme.example/hooks",
        "http://acme.example/",
    ),
)


@pytest.mark.parametrize("value", EDGES)
def test_cloudformation_takes_only_what_the_app_takes(value: str) -> None:
    """A wrong value fails the deployment: at run time it stopped every send, and every STOP."""
    for parameter in (
        *("UtilityQuietHours", "MarketingQuietHours", "UtilityCaps", "MarketingCaps", "WelcomeBackAfter"),
        *("MessagesPerSecond", "SmsConfigurationSet", "WhatsAppTemplates", "DefaultTimezone", "WhenWindowWillClose"),
        *("WindowClosingNotice", "ConversationPause", "DryRun", "KeepTexts", "HelpReply", "AnswerReply", "OptOutScope"),
        *("MarketingConsent", "EventsOut", "ContactRetentionDays"),
    ):
        if _takes(_parameters()[parameter], value):
            variable = PARAMETERS[parameter].variable
            assert variable
            assert InboundSettings.from_env(_deployed() | {variable: value}).policy is not None


def test_the_edges_are_taken_where_they_should_be() -> None:
    taken = {name: [v for v in EDGES if _takes(parameter, v)] for name, parameter in _parameters().items()}
    assert taken["UtilityQuietHours"] == taken["MarketingQuietHours"] == ["21:00-08:00", "00:00-23:59", WEEK]
    caps = ["1/P1D,3/P7D", "5/PT12H", "1/P52W", "9999/PT9999H"]
    assert taken["UtilityCaps"] == taken["MarketingCaps"] == caps
    assert taken["WelcomeBackAfter"] == [
        *("P7D", "PT36H", "P52W", "P999D", "P1D", "PT1H", "P29D", "P30D", "PT699H", "PT720H"),
    ]
    assert taken["WindowClosingNotice"] == ["P7D", "PT36H", "P1D", "PT1H", "P29D", "PT699H"]
    assert taken["ConversationPause"] == ["P7D", "PT36H", "P1D", "PT1H", "PT699H", "PT30M"]
    assert taken["KeepTexts"] == ["true", "false"]
    assert taken["DryRun"] == ["true", "false"]
    assert taken["WhenWindowWillClose"] == ["wait", "pull_forward", "warn,trial_follow_up=pull_forward"]
    assert taken["DefaultTimezone"] == ["Europe/Berlin", "Etc/GMT+5", "America/Argentina/ComodRivadavia", "UTC"]
    assert taken["MessagesPerSecond"] == ["sms=1", "sms=1,whatsapp=80"]
    # Two for one brand and channel only the app can tell.
    assert taken["Routes"] == [
        "a/sms/aws/+12025550100",
        "a/sms/aws/x,a/sms/twilio/y",
        "a/sms/aws/x, b/whatsapp/meta/1",
        "a/sms/aws/pool-1|+12025550100|+12025550101,b/rcs/webhook/https://b.example/out|b_agent",
    ]
    assert taken["MetaApiVersion"] == ["v26.0"]
    assert taken["PublicWebhookUrl"] == ["https://hooks.acme.example/", "https://acme.example/hooks/"]
    assert taken["WhatsAppTemplates"] == ["appointment_reminder", "appointment_reminder,trial_follow_up"]


def test_each_reason_may_have_its_template_and_closing_action() -> None:
    """A reply is not limited: it is sent while the channel accepts free text."""
    templates, closing = _parameters()["WhatsAppTemplates"], _parameters()["WhenWindowWillClose"]
    for name, reason in REASONS.items():
        assert _takes(templates, name) == (reason.category != "reply"), name
        assert _takes(closing, f"wait,{name}=warn") == (reason.category != "reply"), name


def test_every_time_zone_is_taken() -> None:
    pattern = _parameters()["DefaultTimezone"]
    assert [zone for zone in available_timezones() if "/" in zone and not _takes(pattern, zone)] == []


@cache
def _deployed() -> dict[str, str]:
    named = ("Table", "EventBus", "RejectedEventsQueue", "PreferencesKey", "ProviderSecrets", "WebhookFunctionUrl")
    resources = dict.fromkeys(named, "-")
    return environment("IngestMessageFunction", resources)


def test_each_parameter_is_once_in_the_console_form() -> None:
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


@cache  # reading the template takes long
def _parameters() -> dict[str, Any]:
    parameters: dict[str, Any] = template()["Parameters"]
    return parameters


def _takes(parameter: dict[str, Any], value: Any) -> bool:
    """Return whether CloudFormation would accept the value, by the parameter's bounds."""
    if "AllowedValues" in parameter:
        return value in parameter["AllowedValues"]
    if len(str(value)) > parameter.get("MaxLength", 4096):
        return False
    if "AllowedPattern" in parameter:
        return re.fullmatch(parameter["AllowedPattern"], str(value)) is not None
    if "MinValue" in parameter and "MaxValue" in parameter:
        if not str(value).lstrip("-").isdecimal():
            return False
        return bool(parameter["MinValue"] <= float(value) <= parameter["MaxValue"])
    return True


def test_application_repository_has_version_and_files() -> None:
    application = template()["Metadata"]["AWS::ServerlessRepo::Application"]
    project = tomllib.loads(TEMPLATE.with_name("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert application["SemanticVersion"] == project["version"]
    assert application["SpdxLicenseId"] == project["license"]
    assert application["Description"] == project["description"]
    assert all(TEMPLATE.with_name(application[name]).is_file() for name in ("LicenseUrl", "ReadmeUrl"))


def test_settings_name_the_parameters_of_a_first_deployment() -> None:
    """Uncommented, the lines of samconfig.toml are valid TOML with valid values."""
    lines = TEMPLATE.with_name("samconfig.toml").read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("# parameter_overrides"))
    given = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines[start:]))["parameter_overrides"]
    values = dict(text.split("=", 1) for text in given)
    assert tuple(values) == ASKED
    assert all(_takes(_parameters()[name], value) for name, value in values.items())
