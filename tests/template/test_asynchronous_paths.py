"""Nothing that is passed on asynchronously is lost: each path ends in a queue."""

from __future__ import annotations

import json

from tests.template.stack import (
    FUNCTION,
    INVOKE_CONFIG,
    QUEUE,
    QUEUE_POLICY,
    RULE,
    SCHEDULE,
    Properties,
    Stack,
    arn,
    as_list,
    ref,
)

SUBSCRIPTION = "AWS::SNS::Subscription"
TOPIC = "ProviderEventsTopic"
SNS = "sns.amazonaws.com"
DETAIL_TYPES = {
    "IngestMessageFunction": ["MessageReceived"],
    # All else: what it does not know either, it rejects aloud.
    "PlanMessagesFunction": [{"anything-but": ["MessageReceived", "DeliveryReported"]}],
    "RecordDeliveryFunction": ["DeliveryReported"],
}
SCHEDULED = {
    "SendAppointmentRemindersFunction",
    "SendTrialFollowUpsFunction",
    "SendUpdatesFunction",
}

NAME_PROPERTIES = {
    "AWS::CloudWatch::Alarm": {"AlarmName"},
    "AWS::DynamoDB::Table": {"TableName"},
    "AWS::Events::EventBus": {"Name"},
    "AWS::Events::Rule": {"Name"},
    "AWS::IAM::Role": {"RoleName"},
    "AWS::Lambda::Function": {"FunctionName"},
    "AWS::Logs::LogGroup": {"LogGroupName"},
    "AWS::SNS::Topic": {"TopicName"},
    "AWS::SQS::Queue": {"QueueName"},
    "AWS::Scheduler::Schedule": {"Name"},
    "AWS::SecretsManager::Secret": {"Name"},
}


def test_events_reach_the_function_that_they_are_for(stack: Stack) -> None:
    found = {
        stack.named(target["Arn"], FUNCTION): rule["EventPattern"]["detail-type"]
        for rule in stack.of(RULE).values()
        for target in rule["Targets"]
    }
    assert found == DETAIL_TYPES
    assert sum(len(rule["Targets"]) for rule in stack.of(RULE).values()) == len(DETAIL_TYPES)


def test_no_rule_matches_the_apps_own_events(stack: Stack) -> None:
    for name, rule in stack.of(RULE).items():
        assert rule["EventBusName"] == ref("EventBus"), name
        assert rule["EventPattern"].get("source") == [{"anything-but": "reengage"}], name


def test_each_rule_keeps_what_it_cannot_deliver(stack: Stack) -> None:
    for name, rule in stack.of(RULE).items():
        for target in rule["Targets"]:
            queue = stack.named(target.get("DeadLetterConfig", {}).get("Arn"), QUEUE)
            assert queue == "FailedEventsQueue", name
            assert _rule_may_send(stack, name, queue), f"{name} may not write to {queue}"


def test_each_rule_tries_for_as_long_as_eventbridge_allows(stack: Stack) -> None:
    for name, rule in stack.of(RULE).items():
        for target in rule["Targets"]:
            assert target.get("RetryPolicy") == {
                "MaximumRetryAttempts": 185,
                "MaximumEventAgeInSeconds": 86400,
            }, name


def test_each_send_group_has_its_own_schedule(stack: Stack) -> None:
    schedules = stack.of(SCHEDULE)
    found = {stack.named(schedule["Target"]["Arn"], FUNCTION) for schedule in schedules.values()}
    assert found == SCHEDULED
    assert len(schedules) == len(SCHEDULED)
    for name, schedule in schedules.items():
        assert schedule["ScheduleExpression"] == "rate(1 minute)", name
        assert json.loads(schedule["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}, name


def test_a_second_stack_in_the_account_does_not_clash(stack: Stack) -> None:
    """Only the bus has a fixed name, and that is the stack's."""
    named = {
        logical_id: value
        for logical_id, resource in stack.resources.items()
        for key, value in resource.get("Properties", {}).items()
        if key in NAME_PROPERTIES.get(resource["Type"], ())
    }
    assert named == {"EventBus": ref("AWS::StackName")}


def test_each_schedule_keeps_what_it_cannot_deliver(stack: Stack) -> None:
    for name, schedule in stack.of(SCHEDULE).items():
        target = schedule["Target"]
        queue = stack.named(target.get("DeadLetterConfig", {}).get("Arn"), QUEUE)
        assert queue == "FailedSchedulesQueue", name
        assert stack.role_may(target["RoleArn"], "sqs:SendMessage", arn(queue)), name


def test_each_schedule_may_invoke_its_function(stack: Stack) -> None:
    for name, schedule in stack.of(SCHEDULE).items():
        target = schedule["Target"]
        assert stack.role_may(target["RoleArn"], "lambda:InvokeFunction", target["Arn"]), name


def test_a_tick_is_never_tried_again(stack: Stack) -> None:
    for name, schedule in stack.of(SCHEDULE).items():
        assert schedule["Target"].get("RetryPolicy") == {
            "MaximumRetryAttempts": 0,
            "MaximumEventAgeInSeconds": 60,
        }, name
    for function in SCHEDULED:
        config = _invoke_config(stack, function)
        assert config["MaximumRetryAttempts"] == 0, function
        assert config["MaximumEventAgeInSeconds"] == 60, function


def test_a_tick_ends_before_the_next_one(stack: Stack) -> None:
    for name in SCHEDULED:
        assert stack.of(FUNCTION)[name]["Timeout"] < 60, name


def test_an_event_is_tried_again_after_a_failure_of_ours(stack: Stack) -> None:
    for function in DETAIL_TYPES:
        assert _invoke_config(stack, function)["MaximumRetryAttempts"] == 2, function


def test_each_function_keeps_what_it_failed_on(stack: Stack) -> None:
    """All but the function that people call: they wait for its answer, and see it fail."""
    for name, function in stack.of(FUNCTION).items():
        if name == "ExplainFunction":
            continue
        on_failure = _invoke_config(stack, name).get("DestinationConfig", {}).get("OnFailure", {})
        queue = stack.named(on_failure.get("Destination"), QUEUE)
        assert queue == ("FailedSchedulesQueue" if name in SCHEDULED else "FailedEventsQueue"), name
        assert stack.role_may(function["Role"], "sqs:SendMessage", arn(queue)), name


def test_each_queue_is_encrypted_and_keeps_messages_14_days(stack: Stack) -> None:
    queues = stack.of(QUEUE)
    assert queues.keys() == {"RejectedEventsQueue", "FailedEventsQueue", "FailedSchedulesQueue"}
    for name, queue in queues.items():
        assert queue.get("SqsManagedSseEnabled") is True, name
        assert queue.get("MessageRetentionPeriod") == 14 * 24 * 60 * 60, name


def test_what_aws_publishes_reaches_one_function(stack: Stack) -> None:
    """With two filter policies, what matches neither would be lost, and what matches both stored twice."""
    (subscription,) = (each for each in stack.of(SUBSCRIPTION).values() if each["TopicArn"] == ref(TOPIC))
    assert subscription["Protocol"] == "lambda"
    assert stack.named(subscription["Endpoint"], FUNCTION) == "RecordDeliveryFunction"
    assert not {"FilterPolicy", "FilterPolicyScope"} & subscription.keys()
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": arn("FailedEventsQueue")}
    permissions = stack.of("AWS::Lambda::Permission").values()
    by_sns = [(each["FunctionName"], each["SourceArn"]) for each in permissions if each["Principal"] == SNS]
    assert by_sns == [(ref("RecordDeliveryFunction"), ref(TOPIC))]


def _invoke_config(stack: Stack, function: str) -> Properties:
    """It is the function's only one: a second would be another path to watch."""
    (config,) = (config for config in stack.of(INVOKE_CONFIG).values() if config["FunctionName"] == ref(function))
    return config


def _rule_may_send(stack: Stack, rule: str, queue: str) -> bool:
    return any(
        ref(queue) in policy["Queues"]
        and statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and statement["Action"] == "sqs:SendMessage"
        and statement["Resource"] == arn(queue)
        and arn(rule) in as_list(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
        for policy in stack.of(QUEUE_POLICY).values()
        for statement in policy["PolicyDocument"]["Statement"]
    )
