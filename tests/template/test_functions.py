"""Each function has its public name, its logs and alarms, and the variables it needs."""

from __future__ import annotations

import pytest

from tests.template.stack import FUNCTION, LAYER, LOG_GROUP, Stack, ref
from tests.template_resources import environment, template

# Logical id: the folder under functions/, which is also the service's name in logs and metrics.
FOLDERS = {
    "IngestMessageFunction": "ingest_message",
    "PlanMessagesFunction": "plan_messages",
    "SendAppointmentRemindersFunction": "send_appointment_reminders",
    "SendTrialFollowUpsFunction": "send_trial_follow_ups",
    "SendUpdatesFunction": "send_updates",
    "RecordDeliveryFunction": "record_delivery",
    "WebhookFunction": "webhook",
    "ExplainFunction": "explain",
}

EVERY_FUNCTION_HAS = {
    "TABLE_NAME": "the-table",
    "EVENT_BUS_NAME": "the-bus",
    "PREFERENCES_KEY_SECRET": "the-secret",
    "DEFAULT_LOCALE": "en",
    "DEFAULT_TIMEZONE": "",
    "UTILITY_QUIET_HOURS": "21:00-08:00",
    "MARKETING_QUIET_HOURS": "20:00-09:00",
    "UTILITY_CAPS": "5/P1D",
    "MARKETING_CAPS": "1/P1D,3/P7D",
    "MARKETING_CONSENT": "implied",
    "OPT_OUT_SCOPE": "brand",
    "EVENTS_OUT": "all",
    "WHATSAPP_TEMPLATES": "",
    "WHEN_WINDOW_WILL_CLOSE": "wait",
    "WINDOW_CLOSING_NOTICE": "P1D",
    "CONVERSATION_PAUSE": "PT30M",
    "DRY_RUN": "false",
    "KEEP_TEXTS": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "Reengage",
    "TRACING": "Off",
    "PYTHONTZPATH": "/opt/python/tzdata/zoneinfo",
    "TZ": "UTC",
}
REJECTS = {"REJECTED_EVENTS_QUEUE_URL": "the-queue"}
CALLED = {"ROUTES": "", "PROVIDER_SECRETS": "the-providers-secret"}
SENDS = CALLED | {
    "MESSAGES_PER_SECOND": "",
    "SMS_CONFIGURATION_SET": "",
    "META_API_VERSION": "v26.0",
    "TEST_NUMBERS": "",
    "WEBHOOK_URL": "https://webhook.example/",
}
SCHEDULED = SENDS | {"SEND_RUNS": "6"}
ITS_OWN = {
    "IngestMessageFunction": REJECTS
    | SENDS
    | {"CONTACT_RETENTION_DAYS": "365", "WELCOME_BACK_AFTER": "P7D", "HELP_REPLY": "provider", "ANSWER_REPLY": "on"},
    "PlanMessagesFunction": REJECTS | {"ROUTES": ""},
    "RecordDeliveryFunction": REJECTS | {"ROUTES": ""},
    "WebhookFunction": REJECTS | CALLED | {"PUBLIC_WEBHOOK_URL": "", "WEBHOOK_PROXY_SECRET_HEADER": ""},
    "SendAppointmentRemindersFunction": SCHEDULED,
    "SendTrialFollowUpsFunction": SCHEDULED,
    "SendUpdatesFunction": SCHEDULED,
    "ExplainFunction": {"ROUTES": ""},
}


def test_functions_are_the_public_ones_and_explain(stack: Stack) -> None:
    assert stack.of(FUNCTION).keys() == FOLDERS.keys()


def test_each_function_is_built_from_the_folder_of_its_name() -> None:
    resources = template()["Resources"]
    assert {name: resources[name]["Properties"]["CodeUri"] for name in FOLDERS} == {
        name: f"functions/{folder}" for name, folder in FOLDERS.items()
    }


@pytest.mark.parametrize("name", FOLDERS)
def test_each_function_has_exactly_these_environment_variables(name: str) -> None:
    resources = {
        "Table": "the-table",
        "EventBus": "the-bus",
        "RejectedEventsQueue": "the-queue",
        "PreferencesKey": "the-secret",
        "ProviderSecrets": "the-providers-secret",
        "WebhookFunctionUrl": "https://webhook.example/",
    }
    assert environment(name, resources) == (
        EVERY_FUNCTION_HAS | ITS_OWN.get(name, {}) | {"POWERTOOLS_SERVICE_NAME": FOLDERS[name]}
    )


def test_functions_share_the_python_and_the_chosen_processor(stack: Stack) -> None:
    (layer,) = stack.of(LAYER)
    shared = {
        "Runtime": "python3.13",
        "Handler": "app.handler",
        "Architectures": [ref("Architecture")],
        "Layers": [ref(layer)],
        "TracingConfig": {"Mode": {"Fn::If": ["IsTraced", "Active", "PassThrough"]}},
    }
    for name, function in stack.of(FUNCTION).items():
        assert {key: function.get(key) for key in shared} == shared, name


def test_the_layer_is_built_by_its_makefile_for_each_processor(stack: Stack) -> None:
    """A layer of another processor than the functions' deploys well, and then fails at each import."""
    (layer,) = stack.of(LAYER).values()
    assert layer["CompatibleRuntimes"] == ["python3.13"]
    assert layer["CompatibleArchitectures"] == template()["Parameters"]["Architecture"]["AllowedValues"]
    assert template()["Resources"]["ReengageLayer"]["Metadata"]["BuildMethod"] == "makefile"


def test_each_function_has_a_log_group_of_its_own_that_forgets(stack: Stack) -> None:
    used = [function.get("LoggingConfig", {}).get("LogGroup") for function in stack.of(FUNCTION).values()]
    groups = stack.of(LOG_GROUP)
    assert sorted(map(str, used)) == sorted(str(ref(group)) for group in groups)
    for name, group in groups.items():
        assert group.get("RetentionInDays") == ref("LogRetentionDays"), name


def test_one_switch_sets_the_log_level(stack: Stack) -> None:
    """Under Lambda's JSON format its own level overrides POWERTOOLS_LOG_LEVEL without a warning."""
    for name, function in stack.of(FUNCTION).items():
        assert function["LoggingConfig"]["ApplicationLogLevel"] == "INFO", name
        assert "POWERTOOLS_LOG_LEVEL" not in function["Environment"]["Variables"], name


def test_lambda_logs_no_line_of_an_invocation_that_succeeds(stack: Stack) -> None:
    """START, END and REPORT are 280 bytes an invocation. At the level WARN, Lambda logs those that fail.

    Above INFO for the application, Lambda would drop the metrics: a line without a level counts as INFO.
    """
    kept = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "INFO"}
    for name, function in stack.of(FUNCTION).items():
        assert function["LoggingConfig"] | kept == function["LoggingConfig"], name


def test_functions_reserve_concurrency_only_by_parameter() -> None:
    """A flood must not take the capacity of the senders; a new account cannot reserve any."""
    by_function = dict.fromkeys(FOLDERS, "EventConcurrency") | {"WebhookFunction": "WebhookConcurrency"}
    by_function |= {name: "SendConcurrency" for name in FOLDERS if name.startswith("Send")}
    for name, parameter in by_function.items():
        properties = template()["Resources"][name]["Properties"]
        reserved = {"Fn::If": [f"Has{parameter}", {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}
        assert properties.get("ReservedConcurrentExecutions", reserved) == reserved, name
        assert ("ReservedConcurrentExecutions" in properties) == (name != "ExplainFunction"), name
