"""The checks of ``doctor``, one function each: what is wrong with a deployed stack, and how to fix it."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from reengage.cli import stack as stacks
from reengage.domain.brand import STACK
from reengage.domain.instants import iso
from reengage.domain.pause import stored_pauses
from reengage.domain.routes import Routes, parse_routes

Level = Literal["problem", "warning", "unknown"]

KEYS_OF = {
    "meta": ("meta_access_token", "meta_app_secret"),
    "twilio": ("twilio_account_sid", "twilio_auth_token"),
    "webhook": ("webhook_secret",),
}
"""By provider: names in the secret without which it cannot send, or its calls are refused."""

TIMEOUT = 10.0
"""Seconds for a provider's answer."""

LOOK_BACK = timedelta(days=7)
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
ACCOUNT = 4
"""Index of the account in the parts of an ARN."""

CONCURRENCY = 50
"""Concurrent executions below which sends and the webhook share too little; new AWS accounts have 10."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    problem: str
    hint: str
    check: str = ""

    def of(self, check: str) -> "Finding":
        return replace(self, check=check)

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "level": self.level, "problem": self.problem, "hint": self.hint}


class Inspection:
    """A stack and its resources, read once; ``client`` makes AWS clients by service name."""

    def __init__(self, stack: stacks.Stack, client: Callable[[str], Any]) -> None:
        self.stack = stack
        self.client = client

    @classmethod
    def of(cls, name: str) -> "Inspection":
        import boto3  # noqa: PLC0415 - commands without a stack do not need it

        make_client: Any = boto3.client  # its overloads know only literal names
        return cls(stacks.describe(name), make_client)

    def get(self, url: str, authorization: str) -> int:
        """Make a GET request that changes nothing; return the status, 0 if there is no answer."""
        request = Request(url, headers={"Authorization": authorization})  # noqa: S310 - https, from this module
        try:
            with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the same  # nosec B310 # https only
                return int(response.status)
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    @cached_property
    def resources(self) -> Mapping[str, list[tuple[str, str]]]:
        """By resource type: logical and physical ids."""
        found: dict[str, list[tuple[str, str]]] = {}
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack.name)
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                ids = (resource["LogicalResourceId"], resource.get("PhysicalResourceId", ""))
                found.setdefault(resource["ResourceType"], []).append(ids)
        return found

    @cached_property
    def routes(self) -> Routes:
        text = self.stack.parameters.get("Routes", "")
        return parse_routes(text) if text else Routes()

    @cached_property
    def keys(self) -> Mapping[str, Any]:
        """The providers' keys; only their names are ever shown."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=self.stack.output("ProviderSecretsArn"))
        keys = json.loads(secret["SecretString"])
        return keys if isinstance(keys, dict) else {}


def keys(inspection: Inspection) -> Iterator[Finding]:
    """Check that each provider in Routes has its keys."""
    for provider in sorted({route.provider for route in inspection.routes.routes} & KEYS_OF.keys()):
        missing = [name for name in KEYS_OF[provider] if not inspection.keys.get(name)]
        if missing:
            hint = f"Put {', '.join(missing)} into the secret {inspection.stack.output('ProviderSecretsArn')}."
            yield Finding("problem", f"{provider} is in Routes, and its keys are missing: {', '.join(missing)}", hint)


def refused_keys(inspection: Inspection) -> Iterator[Finding]:
    """Check that providers accept the keys: a call that reads, and sends nothing."""
    version = inspection.stack.parameters.get("MetaApiVersion", "v26.0")
    for route in inspection.routes.routes:
        call = _reading_call(route.provider, route.sender_id, inspection.keys, version)
        if call is None:
            continue
        url, authorization = call
        status = inspection.get(url, authorization)
        if status in REFUSED:
            yield Finding(
                "problem",
                f"{route.provider} refuses the keys of {route.brand} with {status}",
                f"Correct them in the secret {inspection.stack.output('ProviderSecretsArn')}.",
            )
        elif status == HTTPStatus.NOT_FOUND:
            hint = "Correct the identity in Routes, or give the key access to it."
            yield Finding("problem", f"{route.provider} does not know the sender of {route.brand}", hint)


def _reading_call(provider: str, sender: str, keys: Mapping[str, Any], version: str) -> tuple[str, str] | None:
    """Return the URL of a call that reads the account or the sender, and its authorization; ``None`` without keys."""
    if provider == "twilio" and (sid := keys.get("twilio_account_sid")) and (token := keys.get("twilio_auth_token")):
        basic = base64.b64encode(f"{sid}:{token}".encode()).decode()
        return f"https://api.twilio.com/2010-04-01/Accounts/{quote(str(sid))}.json", f"Basic {basic}"
    if provider == "meta" and (token := keys.get("meta_access_token")):
        return f"https://graph.facebook.com/{version}/{quote(sender)}?fields=id", f"Bearer {token}"
    return None


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


def schedules(inspection: Inspection) -> Iterator[Finding]:
    """Check that the three schedules are enabled."""
    scheduler = inspection.client("scheduler")
    for logical, physical in inspection.resources.get("AWS::Scheduler::Schedule", []):
        name = physical.rpartition("/")[2].rpartition("|")[2]
        if scheduler.get_schedule(Name=name)["State"] != "ENABLED":
            yield Finding(
                "problem",
                f"the schedule {logical} is disabled: its messages are not sent",
                "Enable it; to stop sending, use reengage pause.",
            )


def alarms(inspection: Inspection) -> Iterator[Finding]:
    """Check that alarms notify someone."""
    parameters = inspection.stack.parameters
    topic = parameters.get("AlarmTopicArn") or _topic(inspection)
    if not topic:
        yield Finding("problem", "alarms notify no one", "Set AlarmEmail or AlarmTopicArn.")
        return
    subscriptions = inspection.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    if not any(subscription["SubscriptionArn"] != "PendingConfirmation" for subscription in subscriptions):
        yield Finding(
            "problem",
            "the topic of the alarms has no confirmed subscriber",
            "Confirm the mail from AWS, or subscribe to the topic.",
        )


def _topic(inspection: Inspection) -> str:
    topics = dict(inspection.resources.get("AWS::SNS::Topic", []))
    return topics.get("AlarmTopic", "")


def alarming(inspection: Inspection) -> Iterator[Finding]:
    """Check that no alarm is on."""
    types = ("AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Alarm")
    names = [physical for type_ in types for _, physical in inspection.resources.get(type_, [])]
    for start in range(0, len(names), 100):
        found = inspection.client("cloudwatch").describe_alarms(
            AlarmNames=names[start : start + 100], AlarmTypes=["CompositeAlarm", "MetricAlarm"]
        )
        for alarm in (*found.get("CompositeAlarms", ()), *found["MetricAlarms"]):
            if alarm["StateValue"] == "ALARM":
                yield Finding(
                    "problem", f"{alarm['AlarmName']} is on", alarm.get("AlarmDescription", "See functions/README.md.")
                )


def queues(inspection: Inspection) -> Iterator[Finding]:
    """Check that the queues of rejected and failed events are empty."""
    sqs = inspection.client("sqs")
    for logical, url in inspection.resources.get("AWS::SQS::Queue", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])[
            "Attributes"
        ]
        if count := int(attributes["ApproximateNumberOfMessages"]):
            yield Finding(
                "problem", f"{logical} has {count} messages", "Read why, fix the cause, then: reengage redrive."
            )


def table(inspection: Inspection) -> Iterator[Finding]:
    """Check that the table deletes expired items and has backups."""
    dynamodb, name = inspection.client("dynamodb"), inspection.stack.output("TableName")
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if ttl not in ("ENABLED", "ENABLING"):
        yield Finding(
            "problem", "the table does not delete expired items", "Deploy the template again: TTL is part of it."
        )
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if status != "ENABLED":
        yield Finding(
            "warning",
            "the table has no point-in-time recovery",
            "Deploy the template again, or enable it.",
        )


def webhook(inspection: Inspection) -> Iterator[Finding]:
    """Check that the webhook was called, if a provider in Routes calls it."""
    if not {route.provider for route in inspection.routes.routes} & {"meta", "twilio"}:
        return
    functions = dict(inspection.resources.get("AWS::Lambda::Function", []))
    now = datetime.now(UTC)
    points = inspection.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=[{"Name": "FunctionName", "Value": functions.get("WebhookFunction", "")}],
        StartTime=now - LOOK_BACK,
        EndTime=now,
        Period=86_400,
        Statistics=["Sum"],
    )["Datapoints"]
    if not any(point["Sum"] for point in points):
        url = inspection.stack.outputs.get("WebhookUrl")
        yield Finding(
            "warning",
            "no provider has called the webhook in seven days: no STOP can arrive",
            f"Enter {url}<provider> at the provider." if url else "Set PublicWebhook to auto: there is no public URL.",
        )


def concurrency(inspection: Inspection) -> Iterator[Finding]:
    """Check that the account allows enough concurrent executions."""
    limit = inspection.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit < CONCURRENCY:
        yield Finding(
            "warning",
            f"the account allows {limit} concurrent executions, for all its functions",
            "Ask AWS for more: Service Quotas, Lambda, Concurrent executions.",
        )


def brands(inspection: Inspection) -> Iterator[Finding]:
    """Check that each brand in Routes has a name and a time zone."""
    default_zone = inspection.stack.parameters.get("DefaultTimezone")
    for brand in sorted({route.brand for route in inspection.routes.routes if route.brand}):
        fields = _brand_fields(inspection, brand)
        if not fields.get("name"):
            yield Finding("warning", f"{brand} has no name: texts show its id", "Send BrandConfigured with a name.")
        if not fields.get("timezone") and not default_zone:
            yield Finding(
                "warning",
                f"{brand} has no time zone: contacts without one are held",
                "Send BrandConfigured with a timezone, or set DefaultTimezone.",
            )


def deployment(inspection: Inspection) -> Iterator[Finding]:
    """Check that one version is deployed, with every output that this program needs."""
    for name in ("EventBusName", "TableName", "ExplainFunctionArn", "PlanMessagesFunctionArn", "DashboardUrl"):
        if name not in inspection.stack.outputs:
            yield Finding("problem", f"the stack has no output {name}", "Deploy this version of the template.")
    functions = inspection.client("lambda")
    layers: set[tuple[str, ...]] = set()
    for _, physical in inspection.resources.get("AWS::Lambda::Function", []):
        configuration = functions.get_function_configuration(FunctionName=physical)
        layers.add(tuple(layer["Arn"] for layer in configuration.get("Layers", [])))
    if len(layers) > 1:
        yield Finding("problem", "functions use different versions of the layer", "Deploy again.")


def pauses(inspection: Inspection) -> Iterator[Finding]:
    """Check that nothing is paused."""
    brand_ids = sorted({route.brand for route in inspection.routes.routes if route.brand})
    for brand in (STACK, *brand_ids):
        for pause in stored_pauses(_brand_fields(inspection, brand).get("pauses")):
            what = (
                f"{brand or 'the whole stack'}, {pause.scope}, since {iso(pause.at)}: {pause.why or 'no reason given'}"
            )
            yield Finding("problem", f"sending is paused: {what}", "If the cause is gone: reengage resume.")


def _brand_fields(inspection: Inspection, brand: str) -> Mapping[str, Any]:
    """Return the stored fields of a brand, as the table's ``said`` attribute has them."""
    key = {"pk": {"S": f"BRAND#{brand}"}, "sk": {"S": "BRAND"}}
    name = inspection.stack.output("TableName")
    item = inspection.client("dynamodb").get_item(TableName=name, Key=key, ConsistentRead=True).get("Item", {})
    fields: dict[str, Any] = json.loads(item["said"]["S"]) if "said" in item else {}
    return fields


CHECKS: Mapping[str, Callable[[Inspection], Iterator[Finding]]] = {
    "deployment": deployment,
    "keys": keys,
    "refused-keys": refused_keys,
    "senders": foreign_senders,
    "listener": listener,
    "schedules": schedules,
    "alarms": alarms,
    "alarming": alarming,
    "queues": queues,
    "table": table,
    "webhook": webhook,
    "concurrency": concurrency,
    "brands": brands,
    "pauses": pauses,
}
