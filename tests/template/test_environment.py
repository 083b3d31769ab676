"""No function's environment can exceed Lambda's limit, whatever the parameters are."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from tests.template_resources import functions, template

LIMIT: Final = 4096
"""Bytes of all variables together as JSON; a longer environment fails late in the deployment (AWS Lambda, quotas)."""

STACK_NAME: Final = 128
"""Characters; AWS CloudFormation, quotas. Names of resources have it, their own name and twelve characters."""

ACCOUNT: Final = len("123456789012")
REGION: Final = len("ap-southeast-99")

LONGEST_RESOURCES: Final = {
    "Table": STACK_NAME + len("-Table-") + 12,
    "EventBus": STACK_NAME,
    "RejectedEventsQueue": len("https://sqs..amazonaws.com.cn//") + REGION + ACCOUNT + 80,
    "PreferencesKey": len("arn:aws-us-gov:secretsmanager:::secret:PreferencesKey--") + REGION + ACCOUNT + 12 + 7,
    "ProviderSecrets": len("arn:aws-us-gov:secretsmanager:::secret:ProviderSecrets--") + REGION + ACCOUNT + 12 + 7,
    "WebhookFunctionUrl": len("https://.lambda-url..on.aws/") + 32 + REGION,
}

BY_PATTERN: Final = {
    "WelcomeBackAfter": "PT9999H",
    "WindowClosingNotice": "PT699H",
    "ConversationPause": "PT699M",
    "MetaApiVersion": "v99.9",
    "SmsConfigurationSet": "x" * 256,
    "WebhookProxySecretHeader": "x" * 64,
    "ContactRetentionDays": "3650",
    "SendRuns": "16",
}
"""The longest value of each parameter whose pattern, not a MaxLength, bounds it."""


def longest(value: Any) -> str:
    """Return a text as long as the longest value of a variable."""
    if not isinstance(value, dict):
        return str(value)
    if "Fn::If" in value:
        return max(map(longest, value["Fn::If"][1:]), key=len)
    name = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    parameter = template()["Parameters"].get(name)
    if parameter is None:
        return "x" * LONGEST_RESOURCES[name]
    if "AllowedValues" in parameter:
        return max(map(str, parameter["AllowedValues"]), key=len)
    return "x" * parameter["MaxLength"] if "MaxLength" in parameter else BY_PATTERN[name]


@pytest.mark.parametrize("name", functions())
def test_the_longest_environment_fits(name: str) -> None:
    """A stack with 100 routes failed to update: 4 KB are the limit of all variables together."""
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    variables = shared | functions()[name]["Environment"]["Variables"]
    text = json.dumps({name: longest(value) for name, value in variables.items()}, separators=(",", ":"))
    assert len(text) <= LIMIT, len(text)


BLANKS: Final = ("ä", "\u4e2d", '"', "\\", "\n")
"""Characters that are longer as JSON, or as UTF-8, than one byte."""


@pytest.mark.parametrize("character", BLANKS, ids=ascii)
def test_no_value_has_a_character_of_several_bytes(character: str) -> None:
    """The limit counts bytes of JSON; a bound of a parameter counts characters."""
    environment = json.dumps([template()["Globals"], functions()], default=str)
    for name, parameter in template()["Parameters"].items():
        if f'"{name}"' in environment and "AllowedPattern" in parameter:
            classes = re.findall(r"\[(?:\\.|[^\]\\])+\]", parameter["AllowedPattern"])
            rest = re.sub(r"\[(?:\\.|[^\]\\])+\]|\\.|\(\?!\(\.\{5\}\)-\\1\$\)", "", parameter["AllowedPattern"])
            assert not [each for each in classes if re.fullmatch(each, character)], name
            assert "." not in rest, name
            assert character not in rest, name


def test_bounds_by_pattern_are_the_longest() -> None:
    for name, value in BY_PATTERN.items():
        parameter = template()["Parameters"][name]
        if "AllowedPattern" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], value), name
            assert not re.fullmatch(parameter["AllowedPattern"], value + "9"), name
        else:
            assert value == str(parameter["MaxValue"]), name


def test_all_reasons_fit_into_the_parameters_that_list_them() -> None:
    parameters = template()["Parameters"]
    pattern = parameters["WhatsAppTemplates"]["AllowedPattern"]
    templates = re.findall(r"[a-z_]{6,}(?:\(_answers\)\?)?", pattern.split("(,")[0])
    names = [name.removesuffix("(_answers)?") for name in templates]
    names += [f"{name.removesuffix('(_answers)?')}_answers" for name in templates if name.endswith("?")]
    every = ",".join(names)
    assert re.fullmatch(pattern, every)
    assert len(every) <= parameters["WhatsAppTemplates"]["MaxLength"]
