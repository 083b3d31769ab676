"""Least privilege in detail: named actions on one named resource, and nothing unused."""

from __future__ import annotations

import re
from typing import Any

from tests.template.stack import FUNCTION, ROLE, Stack, as_list

ACTION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z]+")

# What SAM itself attaches to write logs and traces, neither of which has a narrower resource there.
MANAGED = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
}

# The environment variable by which a function finds a resource that it may use.
FOUND_BY = {
    "Table": "TABLE_NAME",
    "EventBus": "EVENT_BUS_NAME",
    "RejectedEventsQueue": "REJECTED_EVENTS_QUEUE_URL",
    "PreferencesKey": "PREFERENCES_KEY_SECRET",
    "ProviderSecrets": "PROVIDER_SECRETS",
}

# Numbers, agents and phone number ids are the account's, not the stack's.
TO_PROVIDERS = {
    ("sms-voice:SendTextMessage", "sms-voice:SendRcsMessage"): "sms-voice",
    ("social-messaging:SendWhatsAppMessage",): "social-messaging",
}


def test_each_statement_names_its_actions(stack: Stack) -> None:
    for owner, statement in stack.policy_documents():
        assert statement["Effect"] == "Allow", owner
        assert "NotAction" not in statement, owner
        for action in as_list(statement["Action"]):
            assert ACTION.fullmatch(action), f"{owner}: {action}"


def test_each_statement_is_about_one_resource_of_this_stack(stack: Stack) -> None:
    for owner, statement in stack.policy_documents():
        assert "NotResource" not in statement, owner
        if service := TO_PROVIDERS.get(tuple(as_list(statement["Action"]))):
            own, other = (
                {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{{account}}}:*"}
                for account in ("AWS::AccountId", "SenderAccountId")
            )
            shared = {"Fn::If": ["HasSenderAccount", other, {"Ref": "AWS::NoValue"}]}
            assert statement["Resource"] == [own, shared], owner
            continue
        assert _resource(statement["Resource"]) in stack.resources, f"{owner}: {statement['Resource']}"


def test_topic_accepts_only_aws_messages_for_this_account(stack: Stack) -> None:
    (policy,) = stack.of("AWS::SNS::TopicPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": ["sms-voice.amazonaws.com", "social-messaging.amazonaws.com"]}
    assert (statement["Action"], statement["Resource"]) == ("sns:Publish", {"Ref": "ProviderEventsTopic"})
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_queue_takes_messages_only_from_named_senders(stack: Stack) -> None:
    open_to_others = [
        statement
        for owner, statement in stack.policy_documents()
        if "Principal" in statement and owner != "ProviderEventsTopicPolicy"
    ]
    assert open_to_others
    for statement in open_to_others:
        assert statement["Principal"].keys() == {"Service"}
        for source in as_list(statement["Condition"]["ArnEquals"]["aws:SourceArn"]):
            assert _resource(source) in stack.resources


def test_each_permission_to_invoke_names_who_may(stack: Stack) -> None:
    permissions = stack.of("AWS::Lambda::Permission")
    assert permissions
    public = {name for name, permission in permissions.items() if permission["Principal"] == "*"}
    # The one public endpoint: it verifies the caller itself.
    assert {str(permissions[name]["FunctionName"]) for name in public} == {str({"Ref": "WebhookFunction"})}
    assert all("Url" in str(permissions[name]) for name in public)
    for name, permission in permissions.items():
        if name in public:
            continue
        assert _resource(permission["SourceArn"]) in stack.resources, name


def test_only_the_policies_that_sam_adds_are_broader(stack: Stack) -> None:
    attached = {str(policy) for role in stack.of(ROLE).values() for policy in role.get("ManagedPolicyArns", [])}
    assert attached == MANAGED


def test_each_function_has_a_role_of_its_own(stack: Stack) -> None:
    roles = [str(function["Role"]) for function in stack.of(FUNCTION).values()]
    assert len(set(roles)) == len(roles)


def test_function_may_use_only_what_its_variables_name(stack: Stack) -> None:
    """Beside the queue for its own failures, which Lambda writes to in its name."""
    for name, function in stack.of(FUNCTION).items():
        statements = stack.role_statements(function["Role"])
        sends = any(tuple(as_list(statement["Action"])) in TO_PROVIDERS for statement in statements)
        assert sends == ("META_API_VERSION" in function["Environment"]["Variables"]), name
        may_use = {
            _resource(statement["Resource"])
            for statement in statements
            if tuple(as_list(statement["Action"])) not in TO_PROVIDERS
        }
        variables_of = {
            resource
            for resource, variable in FOUND_BY.items()
            if function["Environment"]["Variables"].get(variable) == {"Ref": resource}
        }
        # Every function gets the bus, the table and its key, but explain only answers and webhook only checks calls.
        silent = {
            "ExplainFunction": {"EventBus"},
            "WebhookFunction": {"Table", "PreferencesKey"},
        }.get(name, set())
        assert may_use - {"FailedEventsQueue", "FailedSchedulesQueue"} == variables_of - silent, name


def test_no_function_scans(stack: Stack) -> None:
    """Due messages are found by the index, and a contact's data by its key."""
    granted = {action for _, statement in stack.policy_documents() for action in as_list(statement["Action"])}
    assert "dynamodb:Scan" not in granted


def test_explain_function_only_reads(stack: Stack) -> None:
    role = stack.of(FUNCTION)["ExplainFunction"]["Role"]
    granted = {action for statement in stack.role_statements(role) for action in as_list(statement["Action"])}
    assert granted == {"dynamodb:BatchGetItem", "dynamodb:Query", "secretsmanager:GetSecretValue"}


def test_only_senders_and_the_planner_query_due_messages(stack: Stack) -> None:
    """The planner finds the messages that a brand's former settings hold."""
    senders = {name for name in stack.of(FUNCTION) if name.startswith("Send")} | {"PlanMessagesFunction"}
    asking = {
        name
        for name, function in stack.of(FUNCTION).items()
        if stack.role_may(function["Role"], "dynamodb:Query", {"Fn::Sub": "${Table.Arn}/index/due"})
    }
    assert asking == senders


def _resource(value: Any) -> str | None:
    """Return the logical id of an ARN; ``None`` if it is a list, or not fully named."""
    match value:
        case {"Fn::GetAtt": [str(logical_id), "Arn"]} | {"Ref": str(logical_id)}:
            return logical_id
        case {"Fn::Sub": str(text)} if parsed := re.fullmatch(r"\$\{(\w+)\.Arn\}(/[\w-]+)+", text):
            return parsed[1]
    return None
