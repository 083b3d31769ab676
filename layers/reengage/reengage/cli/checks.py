"""The checks of ``doctor``, one function each: what is wrong with a deployed stack, and how to fix it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from reengage.cli.brands import nearest, unknown_brand
from reengage.cli.inspection import Finding, Inspection
from reengage.cli.provider_checks import keys, refused_keys, templates
from reengage.cli.settings_check import settings
from reengage.cli.stack_checks import alarming, alarms, code, deployment, rules, schedules, secrets, table
from reengage.domain.brand import STACK
from reengage.domain.instants import iso
from reengage.domain.pause import Pause, stored_pauses

LOOK_BACK = timedelta(days=7)
ACCOUNT = 4
"""Index of the account in the parts of an ARN."""

CONCURRENCY = 50
"""Concurrent executions below which sends and the webhook share too little; new AWS accounts have 10."""


def foreign_senders(inspection: Inspection) -> Iterator[Finding]:
    """Check that the functions may send by the ARNs in Routes."""
    own = inspection.stack.output("ProviderSecretsArn").split(":")
    allowed = {own[4] if len(own) > ACCOUNT else "", inspection.stack.parameters.get("SenderAccountId", "")}
    for route in inspection.routes.routes:
        parts = route.sender_id.split(":")
        if route.provider == "aws" and parts[0] == "arn" and len(parts) > ACCOUNT and parts[ACCOUNT] not in allowed:
            yield Finding(
                "problem",
                f"{route.brand} sends by {route.sender_id}, of another account: AWS denies it",
                f"Set SenderAccountId to {parts[ACCOUNT]}.",
            )


def listener(inspection: Inspection) -> Iterator[Finding]:
    """Check that something delivers what is routed to EventBridge."""
    uses = not inspection.routes.routes or any(route.provider == "eventbridge" for route in inspection.routes.routes)
    if not uses:
        return
    events, bus = inspection.client("events"), inspection.stack.output("EventBusName")
    ours = {physical for _, physical in inspection.resources.get("AWS::Events::Rule", [])}
    for rule in events.list_rules(EventBusName=bus)["Rules"]:
        pattern = json.loads(rule.get("EventPattern") or "{}")
        types = pattern.get("detail-type", ["MessageSendRequested"])
        source = pattern.get("source", ["reengage"])
        is_ours = rule["Name"] in ours or any(rule["Name"] in name for name in ours)
        matches = "MessageSendRequested" in types and "reengage" in source and rule.get("State") != "DISABLED"
        if matches and not is_ours and events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]:
            return
    yield Finding(
        "problem",
        "Routes sends messages to EventBridge, and no rule takes MessageSendRequested: they end as sent, to no one",
        "Add a rule with a target for MessageSendRequested on the bus, or name a provider in Routes.",
    )


QUEUE_HINTS: Mapping[str, str] = {
    "RejectedEventsQueue": "reengage redrive --queue rejected shows the wrong fields. Correct the sender.",
    "FailedEventsQueue": "Read the function's log, fix the cause, then: reengage redrive --queue failed.",
    "FailedSchedulesQueue": "The next run sends what is due. Read the function's log, then delete the message.",
}


def queues(inspection: Inspection) -> Iterator[Finding]:
    """Check that the queues of rejected and failed events are empty."""
    sqs = inspection.client("sqs")
    counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    for logical, url in inspection.resources.get("AWS::SQS::Queue", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(counts))["Attributes"]
        if count := sum(int(attributes.get(name, 0)) for name in counts):
            messages = "1 message" if count == 1 else f"{count} messages"
            yield Finding("problem", f"{logical} has {messages}", QUEUE_HINTS.get(logical, "Read them."))


CALLING = ("meta", "twilio", "aws")
"""The providers that call the webhook, or notify the topic, with each message and receipt."""


def webhook(inspection: Inspection) -> Iterator[Finding]:
    """Check that the webhook was called, if a provider in Routes calls it."""
    providers = {route.provider for route in inspection.routes.routes} & set(CALLING)
    if not providers:
        return
    functions = dict(inspection.resources.get("AWS::Lambda::Function", []))
    topic = inspection.stack.outputs.get("ProviderEventsTopicArn", "")
    if _was_used(inspection, "AWS/Lambda", "Invocations", FunctionName=functions.get("WebhookFunction", "")):
        return
    name = topic.rpartition(":")[2]
    if "aws" in providers and _was_used(inspection, "AWS/SNS", "NumberOfMessagesPublished", TopicName=name):
        return
    problem = "no provider has called the webhook in seven days: no STOP can arrive"
    if providers == {"aws"}:
        yield Finding("warning", problem, f"Let AWS End User Messaging publish to {topic}: two-way SMS, and receipts.")
        return
    url = inspection.stack.outputs.get("WebhookUrl")
    hint = f"Enter {url}<provider> at the provider." if url else "Set PublicWebhook to auto: there is no public URL."
    yield Finding("warning", problem, hint)


def _was_used(inspection: Inspection, namespace: str, metric: str, **dimension: str) -> bool:
    """Return whether a metric of AWS counted anything in seven days."""
    now = datetime.now(UTC)
    points = inspection.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimension.items()],
        StartTime=now - LOOK_BACK,
        EndTime=now,
        Period=86_400,
        Statistics=["Sum"],
    )["Datapoints"]
    return any(point["Sum"] for point in points)


def concurrency(inspection: Inspection) -> Iterator[Finding]:
    """Check that the account, and each function's reserved concurrency, allow enough executions."""
    functions = inspection.client("lambda")
    limit = functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit < CONCURRENCY:
        yield Finding(
            "warning",
            f"the account allows {limit} concurrent executions, for all its functions",
            "Ask AWS for more: Service Quotas, Lambda, Concurrent executions.",
        )
    runs = int(inspection.stack.parameters.get("SendRuns") or 1)
    for logical, physical in inspection.resources.get("AWS::Lambda::Function", []):
        reserved = functions.get_function_concurrency(FunctionName=physical).get("ReservedConcurrentExecutions")
        if reserved == 0:
            hint = "Set its reserved concurrency to none; to stop sending, use reengage pause."
            yield Finding("problem", f"{logical} never runs: its reserved concurrency is 0", hint)
        elif reserved is not None and logical.startswith("Send") and reserved <= runs:
            hint = f"Set SendConcurrency to {runs + 1}, or SendRuns to {max(reserved - 1, 1)}."
            yield Finding("warning", f"{logical} has {reserved} executions for its {runs} runs", hint)


def brands(inspection: Inspection) -> Iterator[Finding]:
    """Check that each brand has a name and a time zone, and one spelling."""
    default_zone = inspection.stack.parameters.get("DefaultTimezone")
    routed = inspection.routes.brands
    for brand in inspection.brands:
        if brand not in routed and (meant := nearest(brand, routed)):
            problem = f"{brand} is in the table and has no route, and {meant} has one: perhaps a wrong spelling"
            hint = f"Let the system that sends {brand} send {meant}; its opt-outs do not count for {meant}."
            yield Finding("warning", problem, hint)
            continue
        fields = _brand_fields(inspection, brand)
        if not fields.get("name"):
            yield Finding("warning", f"{brand} has no name: texts show its id", "Send BrandConfigured with a name.")
        if not fields.get("timezone") and not default_zone:
            yield Finding(
                "warning",
                f"{brand} has no time zone: contacts without one are held",
                "Send BrandConfigured with a timezone, or set DefaultTimezone.",
            )


def pauses(inspection: Inspection) -> Iterator[Finding]:
    """Check that nothing is paused."""
    misspelt = inspection.misspelt
    for brand, pause in present_pauses(inspection, (STACK, *inspection.brands, *misspelt)):
        ends = f", until {iso(pause.until)}" if pause.until else ""
        what = f"{brand or 'the whole stack'}, {pause.scope}, since {iso(pause.at)}{ends}"
        command = f"reengage resume --scope {pause.scope}" + (f" --brand {brand}" if brand else "")
        problem = f"sending is paused: {what}: {pause.why or 'no reason given'}"
        hint = f"If the cause is gone: {command}."
        if brand in misspelt:
            hint = f"To end it: {command}. It probably holds nothing: {unknown_brand(brand, inspection.brands)}"
        yield Finding("problem", problem, hint)


def present_pauses(inspection: Inspection, brands: Iterable[str]) -> Iterator[tuple[str, Pause]]:
    """Yield each pause of ``brands`` that still lasts, with its brand; that of the stack has an empty one."""
    now = datetime.now(UTC)
    for brand in brands:
        for pause in stored_pauses(_brand_fields(inspection, brand).get("pauses")):
            if not pause.until or pause.until > now:
                yield brand, pause


def dry_run(inspection: Inspection) -> Iterator[Finding]:
    """Check that messages are sent, and not only recorded."""
    if inspection.stack.parameters.get("DryRun") == "true":
        yield Finding("problem", "DryRun is on: every message is skipped as dry_run", "Deploy with DryRun=false.")
    for brand in inspection.brands:
        if _brand_fields(inspection, brand).get("dry_run"):
            hint = "Send BrandConfigured with dry_run false."
            yield Finding("problem", f"dry_run of {brand} is on: its messages are skipped as dry_run", hint)


def _brand_fields(inspection: Inspection, brand: str) -> Mapping[str, Any]:
    """Return the stored fields of a brand, as the table's ``said`` attribute has them."""
    key = {"pk": {"S": f"BRAND#{brand}"}, "sk": {"S": "BRAND"}}
    name = inspection.stack.output("TableName")
    item = inspection.client("dynamodb").get_item(TableName=name, Key=key, ConsistentRead=True).get("Item", {})
    fields: dict[str, Any] = json.loads(item["said"]["S"]) if "said" in item else {}
    return fields


CHECKS: Mapping[str, Callable[[Inspection], Iterator[Finding]]] = {
    "deployment": deployment,
    "code": code,
    "settings": settings,
    "secrets": secrets,
    "keys": keys,
    "refused-keys": refused_keys,
    "templates": templates,
    "senders": foreign_senders,
    "listener": listener,
    "rules": rules,
    "schedules": schedules,
    "alarms": alarms,
    "alarming": alarming,
    "queues": queues,
    "table": table,
    "webhook": webhook,
    "concurrency": concurrency,
    "brands": brands,
    "pauses": pauses,
    "dry-run": dry_run,
}
