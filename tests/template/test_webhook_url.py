"""The webhook's public URL: reachable by providers, and no obstacle to the first deployment."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.template.stack import FUNCTION, Stack, ref
from tests.template_resources import functions, parameter_defaults, template


def test_url_and_both_permissions_name_the_webhook(stack: Stack) -> None:
    (url,) = stack.of("AWS::Lambda::Url").values()
    assert url == {"TargetFunctionArn": ref("WebhookFunction"), "AuthType": "NONE"}
    permissions = [p for p in stack.of("AWS::Lambda::Permission").values() if p["Principal"] == "*"]
    assert {p["Action"] for p in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert all(p["FunctionName"] == ref("WebhookFunction") for p in permissions)
    assert {p.get("FunctionUrlAuthType") or p.get("InvokedViaFunctionUrl") for p in permissions} == {"NONE", True}


def test_guided_deployment_asks_no_question_about_a_url(stack: Stack) -> None:
    """The first deployment ended after Enter at every question: SAM asks about FunctionUrlConfig."""
    functions = [r for r in template()["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    assert len(functions) == len(stack.of(FUNCTION))
    assert not [function for function in functions if "FunctionUrlConfig" in function["Properties"]]


def holds(condition: Any, parameters: Mapping[str, str]) -> bool:
    """Evaluate a condition of the template, or a value in it, as CloudFormation does."""
    return bool(evaluated(condition, parameters))


def evaluated(value: Any, parameters: Mapping[str, str]) -> Any:  # noqa: PLR0911 - one row for each function
    match value:
        case {"Condition": name}:
            return holds(template()["Conditions"][name], parameters)
        case {"Fn::Not": [inner]}:
            return not evaluated(inner, parameters)
        case {"Fn::Or": parts}:
            return any(evaluated(part, parameters) for part in parts)
        case {"Fn::And": parts}:
            return all(evaluated(part, parameters) for part in parts)
        case {"Fn::Equals": [one, other]}:
            return evaluated(one, parameters) == evaluated(other, parameters)
        case {"Fn::Join": [separator, items]}:
            return separator.join(evaluated(items, parameters))
        case {"Fn::Split": [separator, text]}:
            return evaluated(text, parameters).split(separator)
        case {"Ref": name}:
            return parameters[name]
        case _:
            return value


@pytest.mark.parametrize(
    ("changed", "has_url"),
    [
        ({}, False),
        ({"Routes": "acme/sms/aws/+12025550100"}, False),
        ({"Routes": "acme/sms/eventbridge/x"}, False),
        ({"Routes": "acme/whatsapp/aws/phone-number-id-1"}, False),
        ({"Routes": "acme/sms/twilio/+12025550100"}, True),
        ({"Routes": "acme/sms/aws/+12025550100,acme/whatsapp/meta/106540352242922"}, True),
        ({"Routes": "acme/sms/webhook/https://acme.example/out"}, True),
        ({"Routes": "acme/rcs/aws/agent-1"}, True),
        ({"Routes": "acme/google_business_messages/eventbridge/x"}, True),
        ({"PublicWebhookUrl": "https://acme.example/"}, True),
        ({"PublicWebhook": "on"}, True),
        ({"PublicWebhook": "off", "Routes": "acme/sms/twilio/+12025550100"}, False),
    ],
    ids=str,
)
def test_there_is_a_url_only_if_something_needs_it(changed: dict[str, str], has_url: bool) -> None:
    """The first deployment, Enter throughout, opens nothing to the public."""
    parameters = parameter_defaults() | changed
    assert holds({"Condition": "HasUrl"}, parameters) == has_url
    assert holds({"Condition": "IsWithoutUrl"}, parameters) != has_url


def test_url_its_permissions_and_output_are_conditional(stack: Stack) -> None:
    public = [name for name, p in stack.of("AWS::Lambda::Permission").items() if p["Principal"] == "*"]
    for name in (*public, *stack.of("AWS::Lambda::Url")):
        assert stack.resources[name]["Condition"] == "HasUrl", name
    assert template()["Outputs"]["WebhookUrl"]["Condition"] == "HasUrl"


def test_each_sender_gets_a_url_only_if_there_is_one() -> None:
    url = {"Fn::GetAtt": ["WebhookFunctionUrl", "FunctionUrl"]}
    expected = {"Fn::If": ["HasPublicWebhookUrl", ref("PublicWebhookUrl"), {"Fn::If": ["IsWithoutUrl", "", url]}]}
    given = [function["Environment"]["Variables"].get("WEBHOOK_URL") for function in functions().values()]
    assert [value for value in given if value is not None] == [expected] * 4


@pytest.mark.parametrize(
    ("changed", "is_refused"),
    [
        ({}, False),
        ({"PublicWebhookUrl": "https://acme.example/"}, True),
        ({"PublicWebhookUrl": "https://acme.example/", "WebhookProxySecretHeader": "x-proxy-secret"}, False),
        ({"WebhookProxySecretHeader": "x-proxy-secret"}, False),
    ],
    ids=str,
)
def test_a_proxy_without_a_secret_is_refused(changed: dict[str, str], is_refused: bool) -> None:
    """With the URL of a proxy alone, a call to the function's own URL went around the proxy's firewall."""
    parameters = parameter_defaults() | changed
    broken = [
        assertion["AssertDescription"]
        for rule in template()["Rules"].values()
        if evaluated(rule["RuleCondition"], parameters)
        for assertion in rule["Assertions"]
        if not evaluated(assertion["Assert"], parameters)
    ]
    assert bool(broken) == is_refused
    assert all("WebhookProxySecretHeader" in description for description in broken)
