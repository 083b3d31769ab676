"""The checks of ``doctor`` on the stack's own parts: each is there, switched on, and of the last deployment."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from reengage.cli.inspection import Finding, Inspection

MISSING: Final = ("ResourceNotFoundException", "NoSuchKey", "404")
"""Codes of AWS for something that does not exist."""

EVERY_MINUTE: Final = "rate(1 minute)"
RESTORE: Final = (
    "A deployment skips what has not changed in the template. Create a change set with --deployment-mode REVERT_DRIFT: "
    "it restores what was changed or deleted by hand."
)
EXPIRY: Final = "expires_at"
"""The attribute by which DynamoDB deletes items."""

OWN_VARIABLE: Final = "POWERTOOLS_SERVICE_NAME"
"""The only environment variable that differs from function to function."""

INDEXES: Final = frozenset({"due", "audience"})


def _found(call: Callable[..., Any], **given: str) -> Any:
    """Make a call of AWS and return its answer; ``None`` if the thing does not exist."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - commands without a stack do not need it

    try:
        return call(**given)
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            return None
        raise


def schedules(inspection: Inspection) -> Iterator[Finding]:
    """Check that the three schedules are enabled, and run every minute."""
    scheduler = inspection.client("scheduler")
    for logical, physical in inspection.resources.get("AWS::Scheduler::Schedule", []):
        name = physical.rpartition("/")[2].rpartition("|")[2]
        schedule = _found(scheduler.get_schedule, Name=name)
        if schedule is None:
            yield Finding("problem", f"the schedule {logical} was deleted: its messages are not sent", RESTORE)
        elif schedule["State"] != "ENABLED":
            yield Finding(
                "problem",
                f"the schedule {logical} is disabled: its messages are not sent",
                "Enable it; to stop sending, use reengage pause.",
            )
        elif schedule["ScheduleExpression"] != EVERY_MINUTE:
            problem = f"the schedule {logical} runs {schedule['ScheduleExpression']}: messages are late"
            yield Finding("problem", problem, f"Set it to {EVERY_MINUTE}.")


def rules(inspection: Inspection) -> Iterator[Finding]:
    """Check that the rules of the bus are enabled: they bring the functions their events."""
    events, bus = inspection.client("events"), inspection.stack.output("EventBusName")
    for logical, physical in inspection.resources.get("AWS::Events::Rule", []):
        name = physical.rpartition("|")[2]
        rule = _found(events.describe_rule, Name=name, EventBusName=bus)
        if rule is None:
            yield Finding("problem", f"the rule {logical} was deleted: its function gets no events", RESTORE)
        elif rule["State"] == "DISABLED":
            hint = f"Run aws events enable-rule --name {name} --event-bus-name {bus}. The bus keeps no event: let the "
            hint += "systems send again what they published meanwhile."
            yield Finding("problem", f"the rule {logical} is disabled: its function gets no events", hint)
        elif not events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]:
            yield Finding("problem", f"the rule {logical} has no target: its function gets no events", RESTORE)


def alarms(inspection: Inspection) -> Iterator[Finding]:
    """Check that each alarm is there and notifies someone."""
    known = _alarms(inspection)
    for logical, physical in _alarm_names(inspection):
        alarm = known.get(physical)
        if alarm is None:
            yield Finding("problem", f"{logical} was deleted", RESTORE)
        elif not alarm.get("ActionsEnabled", True):
            hint = f"Run aws cloudwatch enable-alarm-actions --alarm-names {physical}."
            yield Finding("problem", f"{physical} notifies no one: its actions are disabled", hint)
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
    for alarm in _alarms(inspection).values():
        if alarm["StateValue"] == "ALARM":
            hint = alarm.get("AlarmDescription", "See functions/README.md.")
            yield Finding("problem", f"{alarm['AlarmName']} is on", hint)


def _alarm_names(inspection: Inspection) -> list[tuple[str, str]]:
    """Return the logical and physical ids, composite alarms first."""
    types = ("AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Alarm")
    return [ids for type_ in types for ids in inspection.resources.get(type_, [])]


def _alarms(inspection: Inspection) -> Mapping[str, Any]:
    """Return what CloudWatch knows of the stack's alarms, by name."""
    names = [physical for _, physical in _alarm_names(inspection)]
    found: dict[str, Any] = {}
    for start in range(0, len(names), 100):
        page = inspection.client("cloudwatch").describe_alarms(
            AlarmNames=names[start : start + 100], AlarmTypes=["CompositeAlarm", "MetricAlarm"]
        )
        found |= {each["AlarmName"]: each for each in (*page.get("CompositeAlarms", ()), *page["MetricAlarms"])}
    return found


def table(inspection: Inspection) -> Iterator[Finding]:
    """Check that the table has its indexes, deletes expired items and has backups."""
    dynamodb, name = inspection.client("dynamodb"), inspection.stack.output("TableName")
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    is_on = ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and ttl.get("AttributeName", EXPIRY) == EXPIRY
    if not is_on:
        specification = f"Enabled=true,AttributeName={EXPIRY}"
        command = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {specification}"
        yield Finding("problem", "the table does not delete expired items", f"Run {command}.")
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if status != "ENABLED":
        option = "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        command = f"aws dynamodb update-continuous-backups --table-name {name} {option}"
        yield Finding("warning", "the table has no point-in-time recovery", f"Run {command}.")
    indexes = dynamodb.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", ())
    active = {index["IndexName"] for index in indexes if index.get("IndexStatus", "ACTIVE") == "ACTIVE"}
    for index in sorted(INDEXES - active):
        hint = "Wait until its update ends, or deploy the stack again."
        yield Finding("problem", f"the table's index {index} is not active: due messages are not found", hint)


def secrets(inspection: Inspection) -> Iterator[Finding]:
    """Check that the two secrets are there, and the key of the opt-outs is still the first one."""
    client = inspection.client("secretsmanager")
    for logical, arn in inspection.resources.get("AWS::SecretsManager::Secret", []):
        secret = _found(client.describe_secret, SecretId=arn)
        restore = f"aws secretsmanager restore-secret --secret-id {arn}"
        if secret is None:
            yield Finding("problem", f"the secret {logical} was deleted", "Pause sending, and restore it from a copy.")
        elif secret.get("DeletedDate"):
            hint = f"Run {restore} at once: after that day it is lost."
            yield Finding("problem", f"the secret {logical} will be deleted on {secret['DeletedDate']}", hint)
        elif logical == "PreferencesKey" and (restoring := _to_first_version(arn, client)):
            problem = "PreferencesKey was changed: no opt-out from before can be found"
            yield Finding("problem", problem, f"Pause sending, then run {restoring}.")
        elif logical == "ProviderSecrets" and inspection.keys_problem:
            hint = 'Correct it: an object such as {"twilio_auth_token": "…"}.'
            yield Finding("problem", f"the secret {logical} {inspection.keys_problem}: no message can be sent", hint)


def _to_first_version(arn: str, client: Any) -> str:
    """Return the command that makes the first version current again; empty if it is."""
    versions = client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
    first = min(versions, key=lambda version: version["CreatedDate"])
    (current,) = [version for version in versions if "AWSCURRENT" in version.get("VersionStages", ())]
    if first == current:
        return ""
    moved = f"--move-to-version-id {first['VersionId']} --remove-from-version-id {current['VersionId']}"
    return f"aws secretsmanager update-secret-version-stage --secret-id {arn} --version-stage AWSCURRENT {moved}"


def deployment(inspection: Inspection) -> Iterator[Finding]:
    """Check that one version is deployed, with every output that this program needs."""
    dashboard = ["DashboardUrl"] if inspection.stack.parameters.get("CreateDashboard") != "false" else []
    for name in ("EventBusName", "TableName", "ExplainFunctionArn", "PlanMessagesFunctionArn", *dashboard):
        if name not in inspection.stack.outputs:
            yield Finding("problem", f"the stack has no output {name}", "Deploy this version of the template.")
    yield from _functions(inspection)
    deployed, own = _deployed_version(inspection), version("reengage")
    if deployed and deployed != own:
        problem = f"the stack has version {deployed}, and this program is {own}"
        yield Finding("warning", problem, "Deploy this version, or install the program of the stack's version.")


def _functions(inspection: Inspection) -> Iterator[Finding]:
    """Find functions that AWS could not update, and those with another version of the layer or other settings."""
    functions = inspection.client("lambda")
    known = {
        logical: functions.get_function_configuration(FunctionName=physical)
        for logical, physical in inspection.resources.get("AWS::Lambda::Function", [])
    }
    for logical, configuration in known.items():
        if "Failed" in (configuration.get("State"), configuration.get("LastUpdateStatus")):
            reason = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason") or ""
            yield Finding("problem", f"{logical} is in the state Failed. {reason}".rstrip(), RESTORE)
    if len({tuple(layer["Arn"] for layer in each.get("Layers", [])) for each in known.values()}) > 1:
        yield Finding("problem", "functions use different versions of the layer", RESTORE)
    yield from _variables(known.values())


def _variables(configurations: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Find settings that differ: the template gives each variable one value for all functions that have it."""
    values: dict[str, set[str]] = {}
    for configuration in configurations:
        for name, value in configuration.get("Environment", {}).get("Variables", {}).items():
            values.setdefault(name, set()).add(value)
    for name in sorted(name for name, found in values.items() if len(found) > 1 and name != OWN_VARIABLE):
        yield Finding("problem", f"functions have different values of {name}: one was changed by hand", RESTORE)


def _deployed_version(inspection: Inspection) -> str | None:
    """Return the version in the metadata of the stack's template."""
    summary = inspection.client("cloudformation").get_template_summary(StackName=inspection.stack.name)
    metadata = json.loads(summary.get("Metadata") or "{}")
    found: str | None = metadata.get("AWS::ServerlessRepo::Application", {}).get("SemanticVersion")
    return found


def code(inspection: Inspection) -> Iterator[Finding]:
    """Check that each function runs the code of the last deployment, not an older or a foreign one."""
    functions, storage = inspection.client("lambda"), inspection.client("s3")
    physical_ids = dict(inspection.resources.get("AWS::Lambda::Function", []))
    for logical, (bucket, key) in _packages(inspection):
        if logical not in physical_ids:
            continue
        package = _found(storage.get_object, Bucket=bucket, Key=key)
        if package is None:
            continue  # an old package may be deleted
        wanted = base64.b64encode(hashlib.sha256(package["Body"].read()).digest()).decode()
        if functions.get_function_configuration(FunctionName=physical_ids[logical])["CodeSha256"] != wanted:
            target = f"--function-name {physical_ids[logical]} --s3-bucket {bucket} --s3-key {key}"
            hint = f"Run aws lambda update-function-code {target}."
            yield Finding("problem", f"the code of {logical} is not that of the last deployment", hint)


def _packages(inspection: Inspection) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each function's logical id, and the bucket and key of its code, by the deployed template."""
    template = inspection.client("cloudformation").get_template(
        StackName=inspection.stack.name, TemplateStage="Processed"
    )["TemplateBody"]
    body = json.loads(template) if isinstance(template, str) else template
    for logical, resource in body["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            package = resource["Properties"]["Code"]
            yield logical, (package["S3Bucket"], package["S3Key"])
