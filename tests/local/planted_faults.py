"""Plant each fault that ``reengage doctor`` must see into the deployed stack, and look at what it finds.

The stack is made healthy first: ``doctor`` must find nothing. Then each fault is planted alone, must be the only
finding, and is undone.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reengage.cli import stack as stacks
from reengage.cli.checks import CHECKS
from reengage.cli.inspection import Inspection
from tests.local import emulator, up
from tests.local.desk import BRAND, Desk
from tests.local.emulator import Say
from tests.local.provider_apis import AUTH_TOKEN, PHONE_NUMBER_ID, SID, TOKEN, ProviderApis, provider_apis

SHARED: Final = "arn:aws:sms-voice:us-east-1:999999999999:phone-number/phone-1"
ROUTES: Final = (
    f"{BRAND}/sms/eventbridge/+12025550100,{BRAND}/whatsapp/meta/{PHONE_NUMBER_ID},acme-optics/sms/twilio/+12025550188"
)
BRANDS: Final = (BRAND, "acme-optics")
KEYS: Final = {
    "meta_access_token": TOKEN,
    "meta_app_secret": "s",
    "twilio_account_sid": SID,
    "twilio_auth_token": AUTH_TOKEN,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """``plant`` makes it and ``undo`` ends it; ``check`` must find it, in words that contain ``problem``."""

    check: str
    problem: str
    plant: Callable[["Patient"], object]
    undo: Callable[["Patient"], object]


class Patient:
    """The deployed stack, with routes over Meta and Twilio and a topic for alarms."""

    def __init__(self, desk: Desk, apis: ProviderApis, topic: str) -> None:
        self.desk, self.stage, self.apis, self.topic = desk, desk.stage, apis, topic
        self.parameters: dict[str, str] = {}
        self.subscription = ""
        self.kept: dict[str, Any] = {}

    def findings(self) -> dict[str, list[str]]:
        """Return what doctor finds, by check."""
        stack = stacks.Stack(up.STACK, self.desk.outputs, self._deployed() | self.parameters)
        inspection = Inspection(stack, self.desk.client, self.apis.addresses)
        found = {name: [each.problem for each in check(inspection)] for name, check in CHECKS.items()}
        return {name: problems for name, problems in found.items() if problems}

    def _deployed(self) -> dict[str, str]:
        (stack,) = self.desk.client("cloudformation").describe_stacks(StackName=up.STACK)["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

    def heal(self) -> None:
        """Do what a careful operator does after a deployment, and what the emulator's CloudFormation leaves out."""
        self.keys(**KEYS)
        table = {"TableName": self.desk.outputs["TableName"]}
        dynamodb = self.desk.client("dynamodb")
        if dynamodb.describe_time_to_live(**table)["TimeToLiveDescription"]["TimeToLiveStatus"] != "ENABLED":
            self.expiry(enabled=True)
        self.backups(enabled=True)
        self.purge()
        self.subscribe()
        self.webhook_is_called()
        for brand in BRANDS:
            self.desk.happens("BrandConfigured", brand, name=brand.title(), timezone="America/New_York")

    def webhook_is_called(self) -> None:
        """Count a call of a provider, as Lambda does; else doctor finds that the webhook was never called."""
        self.desk.client("cloudwatch").put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[
                {
                    "MetricName": "Invocations",
                    "Dimensions": [{"Name": "FunctionName", "Value": self.desk.resource("WebhookFunction")}],
                    "Timestamp": datetime.now(UTC),
                    "Value": 1,
                }
            ],
        )

    def keys(self, **keys: Any) -> None:
        secret = self.desk.outputs["ProviderSecretsArn"]
        self.desk.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=json.dumps(keys))

    def expiry(self, *, enabled: bool) -> None:
        attribute = {"Enabled": enabled, "AttributeName": "expires_at"}
        self.desk.client("dynamodb").update_time_to_live(
            TableName=self.desk.outputs["TableName"], TimeToLiveSpecification=attribute
        )

    def backups(self, *, enabled: bool) -> None:
        self.desk.client("dynamodb").update_continuous_backups(
            TableName=self.desk.outputs["TableName"],
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )

    def subscribe(self) -> None:
        arn = self.desk.client("sqs").get_queue_attributes(QueueUrl=self.stage.queue, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        answer = self.desk.client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        self.subscription = answer["SubscriptionArn"]

    def unsubscribe(self) -> None:
        self.desk.client("sns").unsubscribe(SubscriptionArn=self.subscription)

    def rule(self, *, enabled: bool) -> None:
        events, rule = self.desk.client("events"), {"Name": "business-system", "EventBusName": up.STACK}
        (events.enable_rule if enabled else events.disable_rule)(**rule)

    def alarm(self, state: str) -> None:
        self.desk.client("cloudwatch").set_alarm_state(
            AlarmName=self.desk.resource("OverdueAlarm"), StateValue=state, StateReason="a planted fault"
        )

    def message(self, output: str) -> None:
        self.desk.client("sqs").send_message(QueueUrl=self.desk.outputs[output], MessageBody="{}")

    def purge(self) -> None:
        for queue in ("RejectedEventsQueue", "FailedEventsQueue", "FailedSchedulesQueue"):
            self.desk.client("sqs").purge_queue(QueueUrl=self.desk.resource(queue))

    def reserve(self, function: str, executions: int | None) -> None:
        functions, name = self.desk.client("lambda"), {"FunctionName": self.desk.resource(function)}
        if executions is None:
            functions.delete_function_concurrency(**name)
        else:
            functions.put_function_concurrency(**name, ReservedConcurrentExecutions=executions)

    def brand(self, brand: str, **fields: Any) -> None:
        self.desk.happens("BrandConfigured", brand, **fields)

    def pause(self, **detail: Any) -> None:
        self.stage.publish("SendingPaused", {"why": "a planted fault", **_now(), **detail})

    def resume(self, **detail: Any) -> None:
        self.stage.publish("SendingResumed", {**_now(), **detail})

    def layer(self, *, former: bool) -> None:
        """Let one function use another version of the layer, as after an update that stopped half-way."""
        functions, name = self.desk.client("lambda"), self.desk.resource("IngestMessageFunction")
        whole = functions.get_function_configuration(FunctionName=self.desk.resource("WebhookFunction"))["Layers"]
        layers = [each["Arn"] for each in whole]
        if former:
            package = {"ZipFile": _zip("python/reengage/__init__.py", "")}
            published = functions.publish_layer_version(LayerName=layers[0].split(":")[-2], Content=package)
            layers = [published["LayerVersionArn"]]
        functions.update_function_configuration(FunctionName=name, Layers=layers)

    def code(self, *, former: bool) -> None:
        """Let one function have the code of an older version: someone uploaded it by hand."""
        functions, name = self.desk.client("lambda"), {"FunctionName": self.desk.resource("RecordDeliveryFunction")}
        if former:
            functions.update_function_code(**name, ZipFile=_zip("app.py", "def handler(event, context): ..."))
        else:
            template = self.desk.client("cloudformation").get_template(StackName=up.STACK)["TemplateBody"]
            package = template["Resources"]["RecordDeliveryFunction"]["Properties"]["Code"]
            functions.update_function_code(**name, S3Bucket=package["S3Bucket"], S3Key=package["S3Key"])

    def variable(self, *, changed: bool) -> None:
        """Change a setting of one function in the console, where the next person will not look for it."""
        functions, name = self.desk.client("lambda"), {"FunctionName": self.desk.resource("SendUpdatesFunction")}
        variables = functions.get_function_configuration(**name)["Environment"]["Variables"]
        variables["UTILITY_QUIET_HOURS"] = "" if changed else "21:00-08:00"
        functions.update_function_configuration(**name, Environment={"Variables": variables})

    def own_rule(self, *, enabled: bool) -> None:
        """Switch the rule by which the app gets its messages."""
        events = self.desk.client("events")
        rule = {"Name": self._rule_name(), "EventBusName": up.STACK}
        (events.enable_rule if enabled else events.disable_rule)(**rule)

    def rule_target(self, *, present: bool) -> None:
        """Remove the function from its rule, or let it be its target again."""
        events, rule = self.desk.client("events"), {"Rule": self._rule_name(), "EventBusName": up.STACK}
        if present:
            events.put_targets(**rule, Targets=self.kept["targets"])
            return
        self.kept["targets"] = events.list_targets_by_rule(**rule)["Targets"]
        events.remove_targets(**rule, Ids=[each["Id"] for each in self.kept["targets"]])

    def _rule_name(self) -> str:
        resources = self.desk.client("cloudformation").describe_stack_resources(StackName=up.STACK)["StackResources"]
        rules = [each for each in resources if each["ResourceType"] == "AWS::Events::Rule"]
        (rule,) = [each for each in rules if each["LogicalResourceId"].startswith("IngestMessageFunction")]
        name: str = rule["PhysicalResourceId"].rpartition("|")[2]
        return name

    def schedule(self, *, present: bool) -> None:
        """Delete a schedule by hand, or create it as it was."""
        scheduler = self.desk.client("scheduler")
        if present:
            fields = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")
            scheduler.create_schedule(**{name: self.kept["schedule"][name] for name in fields})
            return
        name = self.desk.resource("SendTrialFollowUpsFunctionEveryMinute").rpartition("/")[2].rpartition("|")[2]
        self.kept["schedule"] = scheduler.get_schedule(Name=name)
        scheduler.delete_schedule(Name=name)

    def slow_schedule(self, rate: str) -> None:
        scheduler = self.desk.client("scheduler")
        name = self.desk.resource("SendTrialFollowUpsFunctionEveryMinute").rpartition("/")[2].rpartition("|")[2]
        fields = ("Name", "FlexibleTimeWindow", "Target", "State")
        known = scheduler.get_schedule(Name=name)
        scheduler.update_schedule(**{each: known[each] for each in fields}, ScheduleExpression=rate)

    def secret_text(self, text: str) -> None:
        secret = self.desk.outputs["ProviderSecretsArn"]
        self.desk.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=text)

    def key_of_opt_outs(self, *, deleted: bool) -> None:
        """Delete the key with a time to restore it, as a person who tidies up would."""
        secrets, key = self.desk.client("secretsmanager"), {"SecretId": self.desk.resource("PreferencesKey")}
        if deleted:
            secrets.delete_secret(**key, RecoveryWindowInDays=7)
        else:
            secrets.restore_secret(**key)

    def rotate_key_of_opt_outs(self, *, back: bool) -> None:
        """Rotate the key as one does with every other secret, and make its first version current again."""
        secrets, key = self.desk.client("secretsmanager"), {"SecretId": self.desk.resource("PreferencesKey")}
        if not back:
            self.kept["version"] = secrets.get_secret_value(**key)["VersionId"]
            secrets.put_secret_value(**key, SecretString="another key of 32 letters and more")
            return
        moved = {
            "MoveToVersionId": self.kept["version"],
            "RemoveFromVersionId": secrets.get_secret_value(**key)["VersionId"],
        }
        secrets.update_secret_version_stage(**key, VersionStage="AWSCURRENT", **moved)

    def failed_schedule(self) -> None:
        self.desk.client("sqs").send_message(QueueUrl=self.desk.resource("FailedSchedulesQueue"), MessageBody="{}")

    def alarm_actions(self, *, enabled: bool) -> None:
        cloudwatch, names = self.desk.client("cloudwatch"), {"AlarmNames": [self.desk.resource("WebhookRefusedAlarm")]}
        (cloudwatch.enable_alarm_actions if enabled else cloudwatch.disable_alarm_actions)(**names)

    def contact(self, brand: str, *, present: bool) -> None:
        """Let a system send a message of a brand that is spelled differently, or erase its contact."""
        if present:
            self.kept["person"] = self.desk.stage.person(brand=brand)
        else:
            self.desk.happens("ContactErased", self.kept["person"])


def _zip(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr(name, text)
    return packed.getvalue()


def _now() -> dict[str, str]:
    """Return the exact instant: an event's own time has whole seconds, and of two in one second the pause stays."""
    return {"occurred_at": datetime.now(UTC).isoformat()}


def faults() -> Iterator[Fault]:
    """Yield what an operator may meet: the list of the runbook's paragraph about doctor, in its order.

    A webhook that was never called is none of them: the scenes before have called it. tests/unit/test_doctor.py has it.
    """
    lacking = {name: value for name, value in KEYS.items() if name != "twilio_auth_token"}
    yield Fault("keys", "twilio_auth_token", lambda p: p.keys(**lacking), lambda p: p.keys(**KEYS))
    yield Fault(
        "refused-keys",
        f"meta refuses the keys of {BRAND} with 401",
        lambda p: p.keys(**KEYS | {"meta_access_token": "an old token"}),
        lambda p: p.keys(**KEYS),
    )
    yield Fault(
        "templates",
        "appointment_reminder of acme-dental is paused in en",
        lambda p: p.apis.template("appointment_reminder", "en", "PAUSED"),
        lambda p: p.apis.template("appointment_reminder", "en", "APPROVED"),
    )
    yield Fault(
        "settings",
        "Europe/Atlantis",
        lambda p: p.parameters.update(DefaultTimezone="Europe/Atlantis"),
        lambda p: p.parameters.clear(),
    )
    yield Fault(
        "senders",
        "of another account",
        lambda p: p.parameters.update(Routes=f"{ROUTES},acme-optics/rcs/aws/{SHARED}"),
        lambda p: p.parameters.clear(),
    )
    yield Fault(
        "settings",
        'DefaultTimezone is "Mars/Olympus"',
        lambda p: p.parameters.update(DefaultTimezone="Mars/Olympus"),
        lambda p: p.parameters.clear(),
    )
    yield Fault("listener", "no rule takes", lambda p: p.rule(enabled=False), lambda p: p.rule(enabled=True))
    yield Fault(
        "schedules",
        "SendUpdatesFunctionEveryMinute is disabled",
        lambda p: p.stage.schedules(enabled=False),
        lambda p: p.stage.schedules(enabled=True),
    )
    yield Fault(
        "schedules",
        "SendTrialFollowUpsFunctionEveryMinute was deleted",
        lambda p: p.schedule(present=False),
        lambda p: p.schedule(present=True),
    )
    yield Fault(
        "schedules",
        "SendTrialFollowUpsFunctionEveryMinute runs rate(1 hour)",
        lambda p: p.slow_schedule("rate(1 hour)"),
        lambda p: p.slow_schedule("rate(1 minute)"),
    )
    yield Fault("alarms", "no confirmed subscriber", lambda p: p.unsubscribe(), lambda p: p.subscribe())
    yield Fault("alarming", "OverdueAlarm", lambda p: p.alarm("ALARM"), lambda p: p.alarm("OK"))
    yield _in_queue("RejectedEventsQueue")
    yield _in_queue("FailedEventsQueue")
    yield Fault("queues", "FailedSchedulesQueue has 1", lambda p: p.failed_schedule(), lambda p: p.purge())
    yield Fault("table", "expired", lambda p: p.expiry(enabled=False), lambda p: p.expiry(enabled=True))
    yield Fault("table", "recovery", lambda p: p.backups(enabled=False), lambda p: p.backups(enabled=True))
    yield Fault(
        "concurrency",
        "RecordDeliveryFunction never runs",  # no schedule invokes it: a refused run would put an alarm on
        lambda p: p.reserve("RecordDeliveryFunction", 0),
        lambda p: p.reserve("RecordDeliveryFunction", None),
    )
    yield Fault(
        "concurrency",
        "SendUpdatesFunction has 3 executions for its 6 runs",
        lambda p: p.reserve("SendUpdatesFunction", 3),
        lambda p: p.reserve("SendUpdatesFunction", None),
    )
    yield Fault("deployment", "versions of the layer", lambda p: p.layer(former=True), lambda p: p.layer(former=False))
    yield from _changed_by_hand()
    garden: dict[str, Any] = {"name": "Acme Garden", "timezone": "America/New_York"}
    yield Fault(
        "brands",
        "acme-garden has no time zone",
        lambda p: p.brand("acme-garden", name="Acme Garden"),
        lambda p: p.brand("acme-garden", **garden),
    )
    yield Fault(
        "brands",
        "acme-roses has no name",
        lambda p: p.stage.person(brand="acme-roses"),
        lambda p: p.brand("acme-roses", **garden),
    )
    yield Fault(
        "pauses",
        "acme-garden, all",
        lambda p: p.pause(brand="acme-garden"),
        lambda p: p.resume(brand="acme-garden"),
    )
    yield Fault(
        "pauses",
        "the whole stack, marketing",
        lambda p: p.pause(scope="marketing"),
        lambda p: p.resume(scope="marketing"),
    )
    yield Fault(
        "dry-run",
        "dry_run of acme-garden is on",
        lambda p: p.brand("acme-garden", **garden, dry_run=True),
        lambda p: p.brand("acme-garden", **garden, dry_run=False),
    )


def _changed_by_hand() -> Iterator[Fault]:
    """Yield what a person does in the console, without a deployment."""
    yield Fault(
        "code",
        "the code of RecordDeliveryFunction is not that of the last deployment",
        lambda p: p.code(former=True),
        lambda p: p.code(former=False),
    )
    yield Fault(
        "deployment",
        "different values of UTILITY_QUIET_HOURS",
        lambda p: p.variable(changed=True),
        lambda p: p.variable(changed=False),
    )
    yield Fault("rules", "is disabled", lambda p: p.own_rule(enabled=False), lambda p: p.own_rule(enabled=True))
    yield Fault("rules", "has no target", lambda p: p.rule_target(present=False), lambda p: p.rule_target(present=True))
    yield Fault(
        "secrets",
        "PreferencesKey will be deleted",
        lambda p: p.key_of_opt_outs(deleted=True),
        lambda p: p.key_of_opt_outs(deleted=False),
    )
    yield Fault(
        "secrets",
        "PreferencesKey was changed",
        lambda p: p.rotate_key_of_opt_outs(back=False),
        lambda p: p.rotate_key_of_opt_outs(back=True),
    )
    yield Fault(
        "alarms",
        "WebhookRefusedAlarm",
        lambda p: p.alarm_actions(enabled=False),
        lambda p: p.alarm_actions(enabled=True),
    )
    yield Fault(
        "refused-keys",
        "twilio refuses the keys of acme-optics with 401",
        lambda p: p.keys(**KEYS | {"twilio_auth_token": "a token of another account"}),
        lambda p: p.keys(**KEYS),
    )
    yield Fault(
        "brands",
        "Acme-Dental is in the table and has no route, and acme-dental has one",
        lambda p: p.contact("Acme-Dental", present=True),
        lambda p: p.contact("Acme-Dental", present=False),
    )


def _in_queue(queue: str) -> Fault:
    return Fault("queues", f"{queue} has 1 message", lambda p: p.message(f"{queue}Url"), lambda p: p.purge())


def undetected(desk: Desk, say: Say) -> Sequence[str]:
    """Return what doctor does not find, and what it finds on a healthy stack."""
    topic = desk.client("sns").create_topic(Name="alarms")["TopicArn"]
    parameters = {"Routes": ROUTES, "WhatsAppTemplates": "appointment_reminder", "AlarmTopicArn": topic}
    # tests/integration/test_alarm_states.py drives the alarms that the emulator does not know.
    desk.outputs |= emulator.deploy(
        desk.aws, up.STACK, up.PARAMETERS | parameters, without_computed_alarms=True, is_built=True, say=say
    )
    wrong: list[str] = []
    with provider_apis() as apis:
        patient = Patient(desk, apis, topic)
        patient.heal()
        planted = list(faults())
        for fault in planted:
            fault.plant(patient)
            found = patient.findings()
            fault.undo(patient)
            if list(found) != [fault.check] or not any(fault.problem in each for each in found[fault.check]):
                wrong.append(f"doctor finds {found}; planted was {fault.check}: {fault.problem}")
        if found := patient.findings():
            wrong.append(f"doctor still finds {found}")
    say(f"doctor was shown {len(planted)} faults; {len(wrong)} times it was wrong")
    return wrong
