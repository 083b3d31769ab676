"""The webhook's public URL: reachable by providers, and no obstacle to the first deployment."""

from tests.template.stack import FUNCTION, Stack, ref
from tests.template_resources import template


def test_url_and_both_permissions_name_the_webhook(stack: Stack) -> None:
    (url,) = stack.of("AWS::Lambda::Url").values()
    assert url == {"TargetFunctionArn": ref("WebhookFunction"), "AuthType": "NONE"}
    permissions = [p for p in stack.of("AWS::Lambda::Permission").values() if p["Principal"] == "*"]
    assert {p["Action"] for p in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert all(p["FunctionName"] == ref("WebhookFunction") for p in permissions)
    assert {p.get("FunctionUrlAuthType") or p.get("InvokedViaFunctionUrl") for p in permissions} == {"NONE", True}


def test_guided_deployment_asks_no_question_about_a_url(stack: Stack) -> None:
    """Enter at every question ended the first deployment: SAM asks about FunctionUrlConfig."""
    functions = [r for r in template()["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    assert len(functions) == len(stack.of(FUNCTION))
    assert not [function for function in functions if "FunctionUrlConfig" in function["Properties"]]
