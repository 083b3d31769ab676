"""``reengage doctor`` and ``redrive`` over a substitute for AWS with planted faults."""

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from reengage.cli import provider_checks
from reengage.cli import stack as stacks
from reengage.cli.checks import CHECKS, QUEUE_HINTS, present_pauses
from reengage.cli.inspection import Finding, Inspection
from reengage.cli.main import main

OUTPUTS = {
    "EventBusName": "bus",
    "TableName": "table",
    "ExplainFunctionArn": "arn",
    "PlanMessagesFunctionArn": "arn",
    "DashboardUrl": "https://console",
    "ProviderSecretsArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keys",
    "ProviderEventsTopicArn": "arn:aws:sns:eu-central-1:111122223333:events",
    "RecordDeliveryFunctionArn": "record_delivery",
    "WebhookFunctionArn": "webhook",
    "WebhookUrl": "https://hook/",
    "FailedEventsQueueUrl": "failed",
    "RejectedEventsQueueUrl": "rejected",
}
RESOURCES = [
    ("AWS::Scheduler::Schedule", "SendUpdatesFunctionSchedule", "updates"),
    ("AWS::SQS::Queue", "FailedEventsQueue", "failed"),
    ("AWS::CloudWatch::Alarm", "WebhookFailingAlarm", "alarm"),
    ("AWS::CloudWatch::CompositeAlarm", "MessagesNotSentAlarm", "not-sent"),
    ("AWS::Lambda::Function", "WebhookFunction", "webhook"),
    ("AWS::Lambda::Function", "IngestMessageFunction", "ingest"),
    ("AWS::SNS::Topic", "AlarmTopic", "topic"),
    ("AWS::Events::Rule", "IngestMessageFunctionMessageReceived", "bus|rule"),
    ("AWS::SecretsManager::Secret", "PreferencesKey", "arn:key"),
    ("AWS::SecretsManager::Secret", "ProviderSecrets", "arn:keys"),
]


@dataclass
class Healthy:
    """Every AWS client in one: a stack without a fault."""

    routes: str = "acme/sms/twilio/+12025550100"
    keys: Any = field(default_factory=lambda: {"twilio_account_sid": "AC1", "twilio_auth_token": "t"})
    rules: list[Any] = field(default_factory=list)
    state: str = "ENABLED"
    subscription: str = "arn"
    alarm: str = "OK"
    messages: int = 0
    ttl: str = "ENABLED"
    backups: str = "ENABLED"
    calls: float = 3
    published: float = 0
    limit: int = 1000
    brand: dict[str, Any] = field(default_factory=lambda: {"name": "Acme", "timezone": "Europe/Berlin"})
    layers: tuple[str, ...] = ("layer:1",)
    status: int = 200
    composite: str = "OK"
    reserved: int | None = None
    version: str = "0.2.0"
    tables: list[str] = field(default_factory=list)
    paused: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    gone: str = ""
    rate: str = "rate(1 minute)"
    rule: str = "ENABLED"
    targets: int = 1
    expiry: str = "expires_at"
    index: str = "ACTIVE"
    secret: dict[str, Any] = field(default_factory=dict)
    first_key: str = "AWSCURRENT"
    actions: bool = True
    uploaded: str = "the code"
    update: str = "Successful"
    quiet: str = "21:00-08:00"

    def client(self, _service: str) -> "Healthy":
        return self

    def get_paginator(self, _name: str) -> "Healthy":
        return self

    def paginate(self, **request: Any) -> Any:
        if "TableName" in request:
            only_paused = {"versions": {"S": '{"pauses":1}'}}
            paused = [{"pk": {"S": f"BRAND#{brand}"}} | only_paused for brand in self.paused]
            return [{"Items": [{"pk": {"S": pk}} for pk in self.tables] + paused}]
        summaries = [
            {"ResourceType": kind, "LogicalResourceId": logical, "PhysicalResourceId": physical}
            for kind, logical, physical in RESOURCES
        ]
        return [{"StackResourceSummaries": summaries}]

    def get_secret_value(self, **_: Any) -> Any:
        return {"SecretString": self.keys if isinstance(self.keys, str) else json.dumps(self.keys)}

    def list_rules(self, **_: Any) -> Any:
        return {"Rules": self.rules}

    def list_targets_by_rule(self, **_: Any) -> Any:
        return {"Targets": [{"Id": "1"}] * self.targets}

    def find(self, name: str, answer: Any) -> Any:
        """Return the answer, unless this thing was deleted."""
        if name == self.gone:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, name)
        return answer

    def describe_rule(self, **named: str) -> Any:
        assert named == {"Name": "rule", "EventBusName": "bus"}
        return self.find("rule", {"State": self.rule})

    def describe_secret(self, **named: str) -> Any:
        assert named in ({"SecretId": "arn:key"}, {"SecretId": "arn:keys"})
        return self.find("secret", self.secret)

    def list_secret_version_ids(self, **_: Any) -> Any:
        first = {"VersionId": "v1", "CreatedDate": 1, "VersionStages": [self.first_key]}
        second = {"VersionId": "v2", "CreatedDate": 2}
        second |= {} if self.first_key == "AWSCURRENT" else {"VersionStages": ["AWSCURRENT"]}
        return {"Versions": [second, first]}

    def describe_table(self, **_: Any) -> Any:
        indexes = [{"IndexName": "due", "IndexStatus": self.index}, {"IndexName": "audience", "IndexStatus": "ACTIVE"}]
        return {"Table": {"GlobalSecondaryIndexes": indexes}}

    def get_template(self, **_: Any) -> Any:
        code = {"S3Bucket": "packages", "S3Key": "key"}
        function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": code}}
        return {"TemplateBody": {"Resources": {"IngestMessageFunction": function}}}

    def get_object(self, **named: str) -> Any:
        assert named == {"Bucket": "packages", "Key": "key"}
        return {"Body": io.BytesIO(b"the code")}

    def get_schedule(self, **named: str) -> Any:
        assert named == {"Name": "updates"}
        return self.find("schedule", {"State": self.state, "ScheduleExpression": self.rate})

    def list_subscriptions_by_topic(self, **_: Any) -> Any:
        return {"Subscriptions": [{"SubscriptionArn": self.subscription}]}

    def describe_alarms(self, **_: Any) -> Any:
        composite = {"AlarmName": "not-sent", "StateValue": self.composite}
        alarm = {"AlarmName": "alarm", "StateValue": self.alarm, "ActionsEnabled": self.actions}
        return {"MetricAlarms": [] if self.gone == "alarm" else [alarm], "CompositeAlarms": [composite]}

    def get_queue_attributes(self, **_: Any) -> Any:
        return {"Attributes": {"ApproximateNumberOfMessages": str(self.messages)}}

    def describe_time_to_live(self, **_: Any) -> Any:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": self.ttl, "AttributeName": self.expiry}}

    def describe_continuous_backups(self, **_: Any) -> Any:
        status = {"PointInTimeRecoveryStatus": self.backups}
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": status}}

    def get_metric_statistics(self, **asked: Any) -> Any:
        by_name = {dimension["Name"]: dimension["Value"] for dimension in asked["Dimensions"]}
        return {"Datapoints": [{"Sum": self.published if by_name == {"TopicName": "events"} else self.calls}]}

    def get_account_settings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": self.limit}}

    def get_function_concurrency(self, **_: Any) -> Any:
        return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}

    def get_template_summary(self, **_: Any) -> Any:
        application = {"AWS::ServerlessRepo::Application": {"SemanticVersion": self.version}}
        return {"Metadata": json.dumps(application)}

    def get_function_configuration(self, *, FunctionName: str) -> Any:  # noqa: N803 - AWS's name
        layer = {"Arn": self.layers[0] if FunctionName == "webhook" else self.layers[-1]}
        sha = base64.b64encode(hashlib.sha256(self.uploaded.encode()).digest()).decode()
        status = {"State": "Active", "LastUpdateStatus": self.update, "LastUpdateStatusReason": "no such layer"}
        quiet = self.quiet if FunctionName == "webhook" else "21:00-08:00"
        variables = {"POWERTOOLS_SERVICE_NAME": FunctionName, "UTILITY_QUIET_HOURS": quiet}
        return {"Layers": [layer], "CodeSha256": sha, **status, "Environment": {"Variables": variables}}

    def get_item(self, **request: Any) -> Any:
        if request["Key"]["pk"]["S"] == "BRAND#":
            return {}
        return {"Item": {"said": {"S": json.dumps(self.brand)}}}


def inspection(aws: Healthy, outputs: dict[str, str] | None = None) -> Inspection:
    stack = stacks.Stack("reengage", outputs or OUTPUTS, {"Routes": aws.routes, **aws.parameters})
    seen = Inspection(stack, aws.client)
    seen.get = lambda url, authorization: (aws.status if url and authorization else 0, None)  # type: ignore[method-assign]  # no socket
    return seen


def found(aws: Healthy, outputs: dict[str, str] | None = None) -> dict[str, list[str]]:
    seen = inspection(aws, outputs)
    reported = {name: [finding.problem for finding in check(seen)] for name, check in CHECKS.items()}
    return {name: problems for name, problems in reported.items() if problems}


def test_a_healthy_stack_has_no_finding() -> None:
    assert found(Healthy()) == {}


def test_a_notification_of_aws_counts_as_a_call() -> None:
    assert "webhook" in found(Healthy(routes=OVER_AWS, calls=0))
    assert "webhook" not in found(Healthy(routes=OVER_AWS, calls=0, published=1))
    assert "webhook" in found(Healthy(calls=0, published=1)), "no provider of these routes publishes to the topic"


META = "acme/whatsapp/meta/106540352242922"
TWILIO = "acme/sms/twilio/+12025550100"
META_KEYS = {"meta_access_token": "t", "meta_app_secret": "s"}
SHARED = "acme/sms/aws/arn:aws:sms-voice:eu-central-1:999999999999:phone-number/phone-1"
OVER_AWS = "acme/sms/aws/+12025550100"
PAUSED = {"all": {"at": "2026-11-28T09:00:00+00:00", "why": "wrong text"}}


@pytest.mark.parametrize(
    ("aws", "check", "problem"),
    [
        (Healthy(keys={"twilio_account_sid": "AC1"}), "keys", "twilio_auth_token"),
        (Healthy(parameters={"WebhookProxySecretHeader": "x-proxy"}), "keys", "webhook_proxy_secret is missing"),
        (Healthy(status=401), "refused-keys", "twilio refuses the keys of acme with 401"),
        (Healthy(status=404), "refused-keys", "twilio does not know the sender of acme"),
        (Healthy(routes=META, keys=META_KEYS, status=403), "refused-keys", "meta refuses the keys of acme with 403"),
        (Healthy(routes=SHARED), "senders", "of another account"),
        (Healthy(composite="ALARM"), "alarming", "not-sent is on"),
        (Healthy(layers=("layer:1", "layer:2"), brand={"name": "A", "timezone": "UTC"}), "deployment", "different"),
        (Healthy(routes=""), "listener", "no rule takes MessageSendRequested"),
        (Healthy(state="DISABLED"), "schedules", "SendUpdatesFunctionSchedule is disabled"),
        (Healthy(subscription="PendingConfirmation"), "alarms", "no confirmed subscriber"),
        (Healthy(alarm="ALARM"), "alarming", "alarm is on"),
        (Healthy(messages=7), "queues", "FailedEventsQueue has 7 messages"),
        (Healthy(ttl="DISABLED"), "table", "does not delete expired items"),
        (Healthy(backups="DISABLED"), "table", "no point-in-time recovery"),
        (Healthy(calls=0), "webhook", "no provider has called the webhook"),
        (Healthy(limit=10), "concurrency", "allows 10 concurrent executions"),
        (Healthy(brand={"timezone": "Europe/Berlin"}), "brands", "acme has no name"),
        (Healthy(brand={"name": "Acme"}), "brands", "acme has no time zone"),
        (Healthy(brand={"name": "A", "timezone": "UTC", "pauses": PAUSED}), "pauses", "wrong text"),
        (Healthy(brand={"name": "A", "timezone": "UTC", "dry_run": True}), "dry-run", "dry_run of acme is on"),
        (Healthy(parameters={"DryRun": "true"}), "dry-run", "DryRun is on"),
        (Healthy(routes=SHARED, calls=0, parameters={"SenderAccountId": "999999999999"}), "webhook", "no provider"),
        (Healthy(reserved=0), "concurrency", "WebhookFunction never runs: its reserved concurrency is 0"),
        (Healthy(version="0.1.0"), "deployment", "the stack has version 0.1.0"),
        (
            Healthy(parameters={"DefaultTimezone": "Mars/Olympus"}),
            "settings",
            'DefaultTimezone is "Mars/Olympus": expected an IANA time zone, such as Europe/Berlin',
        ),
        (Healthy(routes=f"{TWILIO},{TWILIO}"), "settings", "row 1 is for the same brand and channel"),
        (Healthy(gone="schedule"), "schedules", "SendUpdatesFunctionSchedule was deleted"),
        (Healthy(rate="rate(1 hour)"), "schedules", "SendUpdatesFunctionSchedule runs rate(1 hour)"),
        (Healthy(rule="DISABLED"), "rules", "IngestMessageFunctionMessageReceived is disabled"),
        (Healthy(gone="rule"), "rules", "IngestMessageFunctionMessageReceived was deleted"),
        (Healthy(targets=0), "rules", "IngestMessageFunctionMessageReceived has no target"),
        (Healthy(expiry="expires"), "table", "the table does not delete expired items"),
        (Healthy(index="CREATING"), "table", "the table's index due is not active"),
        (Healthy(gone="secret"), "secrets", "the secret PreferencesKey was deleted"),
        (Healthy(secret={"DeletedDate": "2026-12-05"}), "secrets", "PreferencesKey will be deleted on 2026-12-05"),
        (Healthy(first_key="AWSPREVIOUS"), "secrets", "PreferencesKey was changed"),
        (Healthy(routes=OVER_AWS, keys="twilio"), "secrets", "ProviderSecrets is no JSON object"),
        (Healthy(gone="alarm"), "alarms", "WebhookFailingAlarm was deleted"),
        (Healthy(actions=False), "alarms", "alarm notifies no one"),
        (Healthy(uploaded="an old zip"), "code", "the code of IngestMessageFunction is not that of the last"),
        (Healthy(update="Failed"), "deployment", "Function is in the state Failed. no such layer"),
        (Healthy(quiet="22:00-07:00"), "deployment", "functions have different values of UTILITY_QUIET_HOURS"),
        (Healthy(tables=["BRAND#Acme"]), "brands", "Acme is in the table and has no route, and acme has one"),
        (Healthy(routes=f"{TWILIO},acme/fax/aws/1"), "settings", 'unknown channel "fax"; use sms, rcs or whatsapp'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_fault_is_the_only_finding(aws: Healthy, check: str, problem: str) -> None:
    findings = found(aws)
    assert list(findings) == [check]
    assert problem in findings[check][0]


def test_a_pause_that_has_ended_is_no_finding() -> None:
    ended = {"all": PAUSED["all"] | {"until": "2026-11-28T10:00:00+00:00"}}
    assert found(Healthy(brand={"name": "A", "timezone": "UTC", "pauses": ended})) == {}


def test_present_pauses_have_brand_and_scope() -> None:
    aws = Healthy(brand={"name": "A", "timezone": "UTC", "pauses": {"marketing": PAUSED["all"]}})
    assert [(brand, pause.scope) for brand, pause in present_pauses(inspection(aws), ["", "acme"])] == [
        ("acme", "marketing")
    ]


def test_a_resume_is_named_with_the_scope_and_brand_of_its_pause() -> None:
    aws = Healthy(brand={"name": "A", "timezone": "UTC", "pauses": {"marketing": PAUSED["all"]}})
    (finding,) = CHECKS["pauses"](inspection(aws))
    assert finding.hint == "If the cause is gone: reengage resume --scope marketing --brand acme."


def test_a_pause_of_a_misspelt_brand_is_shown_as_such() -> None:
    """The check ``brands`` asked for the name of a brand that does not exist."""
    aws = Healthy(brand={"name": "A", "timezone": "UTC", "pauses": PAUSED}, paused=("acmee", "acme"))
    assert inspection(aws).misspelt == ["acmee"]
    assert list(CHECKS["brands"](inspection(aws))) == []
    of_acme, of_acmee = CHECKS["pauses"](inspection(aws))
    assert of_acme.hint == "If the cause is gone: reengage resume --scope all --brand acme."
    ends = "To end it: reengage resume --scope all --brand acmee."
    assert of_acmee.hint == f"{ends} It probably holds nothing: no brand acmee is known; did you mean acme?"


def test_a_brand_without_a_route_is_checked() -> None:
    aws = Healthy(routes="acme/sms/twilio/+12025550100", tables=["CONTACT#garden#sms#+1202", "BRAND#", "BRAND#acme"])
    assert inspection(aws).brands == ["acme", "garden"]


def test_the_brand_of_the_smoke_check_is_left_out() -> None:
    assert inspection(Healthy(tables=["SUBJECT#reengage-smoke#appointment#smoke-1"])).brands == ["acme"]


@pytest.mark.parametrize(("reserved", "is_found"), [(6, True), (7, False)])
def test_send_functions_need_one_execution_more_than_runs(reserved: int, *, is_found: bool) -> None:
    aws = Healthy(reserved=reserved, parameters={"SendRuns": "6"})
    RESOURCES.append(("AWS::Lambda::Function", "SendUpdatesFunction", "send"))
    try:
        assert bool(found(aws)) == is_found
    finally:
        RESOURCES.pop()


def test_each_queue_has_its_own_hint() -> None:
    hints = {name: finding.hint for name in QUEUE_HINTS for finding in [_finding_of_queue(name)]}
    assert "reengage redrive --queue rejected" in hints["RejectedEventsQueue"]
    assert "reengage redrive --queue failed" in hints["FailedEventsQueue"]
    assert "redrive" not in hints["FailedSchedulesQueue"]


def _finding_of_queue(name: str) -> Finding:
    aws = Healthy(messages=1)
    seen = inspection(aws)
    seen.resources = {"AWS::SQS::Queue": [(name, "url")]}
    (finding,) = CHECKS["queues"](seen)
    return finding


def test_a_rule_with_a_target_listens() -> None:
    pattern = json.dumps({"source": ["reengage"], "detail-type": ["MessageSendRequested"]})
    rule = {"Name": "delivery", "EventPattern": pattern, "State": "ENABLED"}
    assert found(Healthy(routes="", rules=[rule])) == {}
    assert list(found(Healthy(routes="", rules=[rule | {"State": "DISABLED"}]))) == ["listener"]


def test_a_missing_output_is_found() -> None:
    outputs = {name: value for name, value in OUTPUTS.items() if name != "DashboardUrl"}
    assert found(Healthy(), outputs) == {"deployment": ["the stack has no output DashboardUrl"]}
    assert found(Healthy(parameters={"CreateDashboard": "false"}), outputs) == {}


def test_doctor_exits_with_one_if_anything_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Inspection, "of", lambda _name: inspection(Healthy()))
    assert main(["doctor"]) == 0
    assert "ok       keys" in capsys.readouterr().out
    monkeypatch.setattr(Inspection, "of", lambda _name: inspection(Healthy(messages=1)))
    assert main(["doctor", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["check"] == "queues"
    assert "reengage redrive" in finding["hint"]


def test_doctor_names_the_stack_in_its_hints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the hint ended a pause of another stack."""
    aws = Healthy(brand={"name": "A", "timezone": "UTC", "pauses": {"marketing": PAUSED["all"]}})
    monkeypatch.setattr(Inspection, "of", lambda _: inspection(aws))
    assert main(["doctor", "--only", "pauses", "--stack", "local"]) == 1
    printed = capsys.readouterr().out
    assert "reengage resume --stack local --scope marketing --brand acme." in printed
    assert printed.startswith("problem  pauses; expected: nothing is paused\n")
    assert main(["doctor", "--only", "pauses"]) == 1
    assert "reengage resume --scope marketing --brand acme." in capsys.readouterr().out


def test_a_check_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It checked nothing, and ended as if all were well."""
    assert main(["doctor", "--only", "kyes"]) == 2
    assert 'unknown --only "kyes"; use deployment, ' in capsys.readouterr().err


def test_each_provider_that_needs_keys_is_checked() -> None:
    assert set(provider_checks.KEYS_OF) == {"meta", "twilio", "webhook"}


EVENT: dict[str, Any] = {
    "id": "e-1",
    "time": "2026-11-01T10:00:00Z",
    "source": "acme.booking",
    "detail-type": "AppointmentBooked",
    "detail": {"brand": "acme", "appointment_id": "a-1", "starts_at": "2026-12-01T10:00:00Z"},
}


@dataclass
class Queues:
    """SQS and EventBridge: a queue, and a bus that may refuse."""

    bodies: list[Any]
    refuses: bool = False
    put: list[Any] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)
    read: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    invoked: list[tuple[str, Any]] = field(default_factory=list)
    answer: Any = field(default_factory=lambda: {"receipts": 1, "recorded": 1})
    comes_back: bool = False
    """Whether an event that was put is rejected, so that the queue has it again."""

    hidden: int = 0

    def __post_init__(self) -> None:
        self.at_first = len(self.bodies)

    def get_queue_attributes(self, **_: Any) -> Any:
        return {"Attributes": {"ApproximateNumberOfMessagesNotVisible": str(self.hidden)}}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - AWS's own name
        self.invoked.append((FunctionName, json.loads(Payload)))
        error = {"FunctionError": "Unhandled"} if self.refuses else {}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(self.answer).encode()), **error}

    def client(self, _service: str) -> "Queues":
        return self

    def receive_message(self, **given: Any) -> Any:
        assert given["MessageAttributeNames"] == ["All"]
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in self.attributes.items()}
        batch = self.bodies[self.read : self.read + given["MaxNumberOfMessages"]]
        start, self.read = self.read, self.read + len(batch)
        return {
            "Messages": [
                {
                    "Body": body if isinstance(body, str) else json.dumps(body),
                    "ReceiptHandle": str(number),
                    "MessageAttributes": attributes,
                    "Attributes": {"SentTimestamp": "9999999999999" if number >= self.at_first else "0"},
                }
                for number, body in enumerate(batch, start)
            ]
        }

    def put_events(self, *, Entries: list[Any]) -> Any:  # noqa: N803 - AWS's own name
        if self.refuses:
            return {"FailedEntryCount": 1}
        self.put += Entries
        self.bodies += [EVENT] if self.comes_back else []
        return {"FailedEntryCount": 0}

    def delete_message(self, *, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803 - AWS's own name
        self.deleted.append(ReceiptHandle)

    def change_message_visibility(self, *, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803 - AWS's own name
        self.given_back.append(ReceiptHandle)


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Queues]:
    def made(*bodies: Any, refuses: bool = False, **more: Any) -> Queues:
        aws = Queues(list(bodies), refuses, **more)
        monkeypatch.setattr(boto3, "client", aws.client)
        monkeypatch.setattr(stacks, "describe", lambda name: stacks.Stack(name, OUTPUTS, {}))
        return aws

    return made


def packed(event: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(event).encode())).decode()


def test_redrive_keeps_the_time_and_id_of_each_event(queues: Callable[..., Queues]) -> None:
    aws = queues({"requestPayload": EVENT}, {"errors": [], "gzip": packed(EVENT)}, EVENT)
    assert main(["redrive", "--apply", "--rate", "1000"]) == 0
    assert len(aws.put) == 3
    assert {entry["Time"] for entry in aws.put} == {EVENT["time"]}
    assert json.loads(aws.put[0]["Detail"]) == {"event_id": "e-1"} | EVENT["detail"]
    assert aws.deleted == ["0", "1", "2"]


def test_redrive_dry_run_gives_every_message_back(
    queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    aws = queues(*[EVENT] * 12)
    assert main(["redrive", "--queue", "rejected"]) == 0
    assert (aws.put, aws.deleted, len(aws.given_back)) == ([], [], 12)
    assert "would be put: AppointmentBooked: 12" in capsys.readouterr().out


@pytest.mark.parametrize(("body", "refuses"), [(EVENT, True), ({"Records": []}, False)])
def test_redrive_leaves_what_the_bus_does_not_take(
    body: Any, refuses: bool, queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    aws = queues(body, refuses=refuses)
    assert main(["redrive", "--apply"]) == 1
    assert aws.deleted == []
    assert "left" in capsys.readouterr().out


def test_redrive_puts_each_event_once(queues: Callable[..., Queues]) -> None:
    """An event that failed again was taken from the queue and put again, a thousand times in one run."""
    aws = queues(EVENT, EVENT, comes_back=True)
    assert main(["redrive", "--apply", "--rate", "1000"]) == 0
    assert (len(aws.put), aws.deleted) == (2, ["0", "1"])
    assert aws.given_back == ["2", "3"]


def test_redrive_leaves_events_that_are_still_invalid(
    queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    """The app would reject it again, with an alarm; only the system that sent it can correct it."""
    invalid = EVENT | {"detail": {"appointment_id": "a-1"}}
    aws = queues({"errors": ["$.detail.starts_at: is required"], "event": invalid}, {"errors": [""], "event": EVENT})
    assert main(["redrive", "--queue", "rejected", "--apply", "--rate", "1000"]) == 1
    assert (len(aws.put), aws.deleted, aws.given_back) == (1, ["1"], ["0"])
    assert "left (still invalid: let its system send it again): AppointmentBooked: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "body", ["not JSON", [1], {"gzip": "broken"}, {"gzip": 1}, {"gzip": packed(EVENT)[:40]}, EVENT | {"detail": 1}]
)
def test_redrive_leaves_what_is_no_event(
    body: Any, queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    """One such message ended the command with a traceback; the others of the queue were hidden."""
    aws = queues(body, EVENT)
    assert main(["redrive", "--apply", "--rate", "1000"]) == 1
    assert (len(aws.put), aws.deleted, aws.given_back) == (1, ["1"], ["0"])
    assert "left (no event of the bus: see events/README.md): 1" in capsys.readouterr().out


def test_redrive_reports_messages_that_are_hidden(
    queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    queues()
    assert main(["redrive"]) == 0
    assert "The queue is empty." in capsys.readouterr().out
    queues(hidden=2)
    assert main(["redrive"]) == 1
    assert "2 messages are hidden" in capsys.readouterr().err


FAILED = {
    "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
    "requestPayload": EVENT,
    "responsePayload": {"errorType": "WriteConflict", "errorMessage": "the subject"},
}
NOTIFICATION = {"Type": "Notification", "Message": "{}"}


RECORDS = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}", "Timestamp": "2026-11-01T10:00:00Z"}}]}


@pytest.mark.parametrize(
    ("body", "delivered"),
    [
        (FAILED | {"requestPayload": RECORDS}, RECORDS),
        (NOTIFICATION, {"Records": [{"Sns": NOTIFICATION}]}),
        ({"errors": ["$.Records[0].Sns: expected JSON"], "event": RECORDS}, RECORDS),
    ],
    ids=["kept by Lambda", "kept by SNS", "rejected"],
)
def test_redrive_delivers_a_notification_of_aws_again(
    body: Any, delivered: Any, queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    """A STOP by AWS SMS was in it; it had to be taken out by hand."""
    aws = queues(body)
    assert main(["redrive"]) == 0
    assert (aws.invoked, aws.deleted) == ([], [])
    assert "would be delivered: notification of AWS: 1" in capsys.readouterr().out
    aws = queues(body)
    assert main(["redrive", "--apply", "--rate", "1000"]) == 0
    assert (aws.invoked, aws.put, aws.deleted) == ([(OUTPUTS["RecordDeliveryFunctionArn"], delivered)], [], ["0"])
    aws = queues(body, refuses=True)
    assert main(["redrive", "--apply"]) == 1
    assert aws.deleted == []
    assert "left (the function failed again): 1" in capsys.readouterr().out


def test_redrive_leaves_notifications_to_an_older_stack(
    queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    """The function of the version before rejects the notification of a STOP as an event without a time."""
    aws = queues(NOTIFICATION, EVENT, answer={"rejected": ["$.time: expected text"]})
    assert main(["redrive", "--apply", "--rate", "1000"]) == 1
    assert (len(aws.invoked), aws.deleted) == (1, ["1"])
    left = "left (the stack's function does not know notifications of AWS; deploy this version first): 1\n"
    assert left in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "attributes", "cause"),
    [
        (FAILED, {}, "RetriesExhausted, WriteConflict"),
        (FAILED | {"responsePayload": None}, {}, "RetriesExhausted"),
        (EVENT, {"ERROR_CODE": "NO_PERMISSIONS", "RULE_ARN": "arn"}, "NO_PERMISSIONS"),
        (
            EVENT,
            {"ERROR_CODE": "SDK_CLIENT_ERROR", "EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds"},
            "SDK_CLIENT_ERROR, MaximumEventAgeInSeconds",
        ),
        (NOTIFICATION, {"RequestID": "r", "ErrorCode": "403", "ErrorMessage": "AccessDenied"}, "403, AccessDenied"),
        ({"errors": ["$.detail: missing", "$.id: missing"], "event": EVENT}, {}, "$.detail: missing"),
        (EVENT, {}, "not given"),
    ],
)
def test_redrive_counts_the_causes(
    body: Any, attributes: dict[str, str], cause: str, queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]
) -> None:
    aws = queues(body, body)
    aws.attributes = attributes
    main(["redrive"])
    assert f"cause: {cause}: 2\n" in capsys.readouterr().out


def test_redrive_rejects_an_unknown_queue(queues: Callable[..., Queues], capsys: pytest.CaptureFixture[str]) -> None:
    queues()
    assert main(["redrive", "--queue", "other"]) == 2
    assert 'unknown --queue "other"; use failed, rejected, messages' in capsys.readouterr().err


def test_a_shared_sender_needs_its_account_in_a_parameter() -> None:
    assert found(Healthy(routes=SHARED, parameters={"SenderAccountId": "999999999999"})) == {}
    own = SHARED.replace("999999999999", "111122223333")
    assert found(Healthy(routes=own)) == {}


def test_a_provider_that_does_not_answer_is_no_finding() -> None:
    assert found(Healthy(status=0)) == {}
