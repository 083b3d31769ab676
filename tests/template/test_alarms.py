"""Every alarm watches a metric that exists, and every failure that matters has an alarm."""

from __future__ import annotations

from reengage.observability import (
    ALARM_METRICS,
    ALL_HELD_FOR_TIMEZONE,
    LEFT,
    NOT_PUBLISHED,
    OLDEST_DUE,
    PAUSED,
    RECEIPTS_BEYOND_RUNS,
    RETRIED,
    SIGNATURES_REFUSED,
    STACK_SERVICE,
    WITHOUT_RECEIPT,
)
from tests.template.stack import ALARM, COMPOSITE_ALARM, FUNCTION, QUEUE, SCHEDULE, Properties, Stack, arn
from tests.template_resources import template

type Metric = tuple[str, str, str, str]


def test_each_queue_has_an_alarm_that_names_it(stack: Stack) -> None:
    queues = {
        (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "QueueName",
            str({"Fn::GetAtt": [queue, "QueueName"]}),
        )
        for queue in stack.of(QUEUE)
    }
    assert queues <= _watched(stack)


def test_each_scheduled_function_has_an_alarm_for_its_silence(stack: Stack) -> None:
    """A disabled schedule, or one that lost its role, would otherwise go unnoticed: nothing fails, nothing is sent."""
    scheduled = {
        ("AWS/Lambda", "Invocations", "FunctionName", str({"Ref": name}))
        for name in stack.of(FUNCTION)
        if any(schedule["Target"]["Arn"] == arn(name) for schedule in stack.of(SCHEDULE).values())
    }
    assert len(scheduled) == 3
    assert scheduled <= _watched(stack)
    assert len(_silences(stack)) == 3
    for alarm in _silences(stack):
        result, runs = alarm["Metrics"]
        assert result["Expression"] == "IF(RUNNING_SUM(FILL(runs, 0)) > 0, FILL(runs, 0))"
        assert (runs["Id"], runs["ReturnData"]) == ("runs", False)
        assert (runs["MetricStat"]["Stat"], runs["MetricStat"]["Period"]) == ("Sum", 60)
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
        assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (10, 5)
        assert alarm["TreatMissingData"] == "ignore", "a new stack had three alarms until CloudWatch knew the first run"


def test_one_retry_of_a_message_is_enough_for_the_alarm(stack: Stack) -> None:
    """A wrong key ended one reminder after the other as failed, and no alarm went off."""
    (alarm,) = (alarm for alarm in stack.of(ALARM).values() if alarm.get("MetricName") == RETRIED.name)
    # The tries are 1, 2, 4, 8, 16 and 32 minutes apart: one message alone is enough.
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (600, 3, 2)


def test_webhook_has_an_alarm_for_its_own_errors(stack: Stack) -> None:
    assert ("AWS/Lambda", "Errors", "FunctionName", str({"Ref": "WebhookFunction"})) in _watched(stack)


def test_undelivered_refused_and_throttled_alarm(stack: Stack) -> None:
    """A rotated secret refused every STOP, and no one was notified."""
    undelivered = ALARM_METRICS["MessageUndelivered"].name
    assert ("Reengage", undelivered, "service", "record_delivery") in _watched(stack)
    assert ("Reengage", SIGNATURES_REFUSED.name, "service", "webhook") in _watched(stack)
    for function in stack.of(FUNCTION).keys() - {"ExplainFunction"}:
        assert ("AWS/Lambda", "Throttles", "FunctionName", str({"Ref": function})) in _watched(stack)


OF_STACK = (
    ALARM_METRICS["MessageFailed"],
    ALARM_METRICS["MessageUnconfirmed"],
    ALL_HELD_FOR_TIMEZONE,
    LEFT,
    NOT_PUBLISHED,
    OLDEST_DUE,
    PAUSED,
    RETRIED,
    WITHOUT_RECEIPT,
)
"""Of all functions together: each alarm costs $0.10 a month, and the log names the function."""


def test_metrics_of_the_stack_have_one_alarm_each(stack: Stack) -> None:
    for metric in OF_STACK:
        assert metric.of_stack
        assert ("Reengage", metric.name, "service", STACK_SERVICE) in _watched(stack)


def test_computed_alarms_exist_only_if_someone_is_notified(stack: Stack) -> None:
    """The composite alarm costs as much as five; and an emulator knows neither it nor metric math.

    The throttles of a send function only name the cause early: a tick that is not taken has another alarm.
    """
    (name,) = stack.of(COMPOSITE_ALARM)
    computed = {alarm for alarm, properties in stack.of(ALARM).items() if "Metrics" in properties}
    conditional = {logical_id for logical_id, resource in stack.resources.items() if "Condition" in resource}
    named = [each for each in stack.of(FUNCTION) if each.startswith("Send")]
    early = {f"{each.removesuffix('Function')}ThrottledAlarm" for each in named}
    of_url = {"WebhookThrottledAlarm"}
    assert {each for each in conditional if each.endswith("Alarm")} == {name} | computed | early | of_url
    assert stack.resources["WebhookThrottledAlarm"]["Condition"] == "HasUrl", "without a URL no one calls"
    assert {stack.resources[each]["Condition"] for each in {name} | computed | early} == {"HasNotification"}
    conditions = template()["Conditions"]
    parts = [{"Condition": "HasAlarmTopicArn"}, {"Condition": "HasAlarmEmail"}]
    assert conditions["HasNotification"] == {"Fn::Or": parts}
    chosen = [{"Fn::If": ["HasAlarmTopicArn", {"Ref": "AlarmTopicArn"}, {"Ref": "AlarmTopic"}]}]
    for logical_id in {name} | computed | early:
        alarm = stack.resources[logical_id]["Properties"]
        assert (alarm["AlarmActions"], alarm["OKActions"]) == (chosen, chosen)


def test_no_alarm_watches_anything_else(stack: Stack) -> None:
    """An alarm of a metric that no code emits would never change its state."""
    throttled = set(stack.of(FUNCTION)) - {"ExplainFunction"}
    silent = stack.of(SCHEDULE)
    single = 3  # webhook failing, webhook refused, undelivered
    expected = len(stack.of(QUEUE)) + len(throttled) + len(silent) + len(OF_STACK) + single
    assert len(stack.of(ALARM)) == expected
    receipts = {
        ("AWS/Lambda", "Invocations", "FunctionName", str({"Ref": "RecordDeliveryFunction"})),
        ("Reengage", RECEIPTS_BEYOND_RUNS.name, "service", "record_delivery"),
    }
    assert receipts <= _watched(stack), "the rate of undelivered messages is one of the receipts"
    assert len(_watched(stack) - receipts) == expected


def test_custom_metrics_of_alarms_have_no_other_dimension(stack: Stack) -> None:
    """The code adds only ``service`` to these, like the alarms' dimensions."""
    metrics = (*ALARM_METRICS.values(), RECEIPTS_BEYOND_RUNS, SIGNATURES_REFUSED, *OF_STACK)
    emitted = {metric.name for metric in metrics}
    assert {metric for namespace, metric, _, _ in _watched(stack) if namespace == "Reengage"} == emitted
    assert all(not metric.dimensions for metric in metrics)


def test_every_other_alarm_is_quiet_without_data(stack: Stack) -> None:
    thresholds = {SIGNATURES_REFUSED.name: 5, OLDEST_DUE.name: 10, PAUSED.name: 240}
    thresholds |= {WITHOUT_RECEIPT.name: 60}
    periods = {RETRIED.name: 3, LEFT.name: 3, SIGNATURES_REFUSED.name: 2, ALL_HELD_FOR_TIMEZONE.name: 3}
    statistics = {metric.name: "Maximum" for metric in (OLDEST_DUE, PAUSED, WITHOUT_RECEIPT)}
    statistics |= {ALL_HELD_FOR_TIMEZONE.name: "Minimum"}
    for name, alarm in stack.of(ALARM).items():
        if "Metrics" in alarm:
            continue
        metric = alarm["MetricName"]
        usual = "Maximum" if alarm["Namespace"] == "AWS/SQS" else "Sum"
        assert alarm["Statistic"] == statistics.get(metric, usual), name
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold", name
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (thresholds.get(metric, 1), periods.get(metric, 1))
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_undelivered_messages_are_a_rate_of_the_receipts(stack: Stack) -> None:
    """A few wrong numbers are usual; a large stack had twenty of them in each quarter of an hour."""
    (alarm,) = (alarm for name, alarm in stack.of(ALARM).items() if name == "UndeliveredAlarm")
    result, *metrics = alarm["Metrics"]
    assert result["Expression"] == "IF(undelivered >= 20, 100 * undelivered / (runs + FILL(beyond, 0)), 0)"
    assert {(each["Id"], each["MetricStat"]["Stat"], each["MetricStat"]["Period"]) for each in metrics} == {
        ("undelivered", "Sum", 900),
        ("beyond", "Sum", 900),
        ("runs", "Sum", 900),
    }
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (10, 1, "notBreaching")


def test_several_lost_messages_of_an_hour_are_one_alarm(stack: Stack) -> None:
    for name in ("FailedAlarm", "UnconfirmedAlarm"):
        assert stack.of(ALARM)[name]["Period"] == 3600


def test_every_alarm_describes_what_to_do(stack: Stack) -> None:
    for name, alarm in stack.of(ALARM).items():
        assert len(alarm.get("AlarmDescription", "")) > 40, name


def test_every_alarm_notifies_the_topic_or_the_mail(stack: Stack) -> None:
    """Seventeen alarms changed their state and no one was notified."""
    for name, alarm in stack.of(ALARM).items():
        if "Condition" in stack.resources[name]:
            continue
        for actions in ("AlarmActions", "OKActions"):
            own_topic, (arn_of_topic,), else_ = alarm[actions]["Fn::If"]
            assert (own_topic, arn_of_topic) == ("HasAlarmTopicArn", {"Ref": "AlarmTopicArn"}), name
            assert else_["Fn::If"] == ["HasAlarmEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}], name


def _silences(stack: Stack) -> list[Properties]:
    return [alarm for name, alarm in stack.of(ALARM).items() if name.endswith("NotRunningAlarm")]


def _watched(stack: Stack) -> set[Metric]:
    """Namespace, metric, and the one dimension's name and value, of every alarm."""
    return {_metric(metric) for alarm in stack.of(ALARM).values() for metric in _metrics(alarm)}


def _metrics(alarm: Properties) -> list[Properties]:
    """Return the metric that an alarm watches, or those of its expression."""
    queries: list[Properties] = alarm.get("Metrics", [])
    return [query["MetricStat"]["Metric"] for query in queries if "MetricStat" in query] or [alarm]


def _metric(metric: Properties) -> Metric:
    (dimension,) = metric["Dimensions"]
    return metric["Namespace"], metric["MetricName"], dimension["Name"], str(dimension["Value"])
