"""The settings of each function: parsed together; an error names the parameter."""

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import time, timedelta
from typing import Any, Final, NamedTuple

import pytest

from reengage.domain.caps import Cap
from reengage.domain.events_out import LEFT_OUT
from reengage.domain.policy import PolicySettings
from reengage.domain.quiet_hours import QuietHours
from reengage.domain.routes import Route, Routes
from reengage.errors import ConfigurationError
from reengage.settings import (
    READERS,
    ExplainSettings,
    InboundSettings,
    PlanSettings,
    RecordSettings,
    ScheduledSettings,
    Settings,
    StackSettings,
    WebhookSettings,
    parameter_of,
)
from reengage.simulation.app import SimulatedSettings
from reengage.simulation.parameters import PARAMETERS
from reengage.usecases.ingest_settings import IngestSettings
from tests.cases import each_of
from tests.template_resources import environment, functions

DAY: Final = timedelta(days=1)
ENVIRONMENT: Final = {
    "TABLE_NAME": "reengage-table",
    "EVENT_BUS_NAME": "reengage",
    "REJECTED_EVENTS_QUEUE_URL": "https://sqs.example/rejected",
    "PREFERENCES_KEY_SECRET": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key",
    "CONTACT_RETENTION_DAYS": "365",
    "EVENTS_OUT": "outcomes",
    "DEFAULT_LOCALE": "de-AT",
    "OPT_OUT_SCOPE": "channel",
    "WELCOME_BACK_AFTER": "P7D",
    "HELP_REPLY": "app",
    "ANSWER_REPLY": "off",
    "UTILITY_QUIET_HOURS": "21:00-08:00",
    "MARKETING_QUIET_HOURS": "20:00-09:00",
    "UTILITY_CAPS": "5/P1D",
    "MARKETING_CAPS": "1/P1D,3/P7D",
    "MARKETING_CONSENT": "required",
    "DEFAULT_TIMEZONE": "Europe/Vienna",
    "WHATSAPP_TEMPLATES": "appointment_reminder, trial_follow_up",
    "WHEN_WINDOW_WILL_CLOSE": "warn, trial_follow_up=pull_forward",
    "WINDOW_CLOSING_NOTICE": "PT12H",
    "CONVERSATION_PAUSE": "PT30M",
    "DRY_RUN": "true",
    "KEEP_TEXTS": "false",
    "ROUTES": "acme-dental/sms/aws/+12025550100, acme-dental/whatsapp/meta/106540352242922",
    "PROVIDER_SECRETS": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:providers",
    "MESSAGES_PER_SECOND": "sms=1, whatsapp=0.25",
    "SEND_RUNS": "6",
    "TEST_NUMBERS": "+4915112345678, +12025550101",
    "SMS_CONFIGURATION_SET": "receipts",
    "META_API_VERSION": "v20.0",
    "WEBHOOK_URL": "https://abcdef.lambda-url.example/",
    "PUBLIC_WEBHOOK_URL": "https://hooks.acme.example/",
    "WEBHOOK_PROXY_SECRET_HEADER": "x-proxy-secret",
}


class Variable(NamedTuple):
    """How a variable is read, its parsed value, its value if it is empty, and wrong values."""

    read: Callable[[SimulatedSettings], Any]
    value: Any
    wrong: tuple[str, ...] = ()
    empty: Any = ConfigurationError


READ: Final = {
    "TABLE_NAME": Variable(lambda settings: settings.table_name, "reengage-table"),
    "EVENT_BUS_NAME": Variable(lambda settings: settings.event_bus_name, "reengage"),
    "REJECTED_EVENTS_QUEUE_URL": Variable(
        lambda settings: settings.rejected_events_queue_url, "https://sqs.example/rejected"
    ),
    "PREFERENCES_KEY_SECRET": Variable(
        lambda settings: settings.preferences_key_secret, ENVIRONMENT["PREFERENCES_KEY_SECRET"]
    ),
    "EVENTS_OUT": Variable(
        lambda settings: settings.events_left_out, LEFT_OUT["outcomes"], ("none", "All", "outcomes,all", " ")
    ),
    "DEFAULT_LOCALE": Variable(lambda settings: settings.default_locale, "de-AT"),
    "CONTACT_RETENTION_DAYS": Variable(
        lambda settings: settings.ingest.contact_retention, 365 * DAY, ("a year", "-1", "1.5", " ", "365 days")
    ),
    "OPT_OUT_SCOPE": Variable(
        lambda settings: (settings.opt_out_scope, settings.ingest.opt_out_scope),
        ("channel", "channel"),
        ("Brand", "none", " "),
    ),
    "WELCOME_BACK_AFTER": Variable(
        lambda settings: settings.ingest.welcome_back_after,
        7 * DAY,
        ("7", "P", "P1M", "P1Y", "-P7D", "PT0S", "P0D", "a week", " "),
        None,
    ),
    "HELP_REPLY": Variable(
        lambda settings: settings.ingest.answers_help, value=True, wrong=("yes", "true", "App", "none")
    ),
    "ANSWER_REPLY": Variable(
        lambda settings: settings.ingest.acknowledges_answers, value=False, wrong=("yes", "true", "On", "none")
    ),
    "UTILITY_QUIET_HOURS": Variable(
        lambda settings: settings.policy.quiet_hours.get("utility"),
        QuietHours(time(21), time(8)),
        ("21-8", "21:00", "21:00-21:00", "24:00-08:00", "21:00-08:00 ", "none"),
        None,
    ),
    "MARKETING_QUIET_HOURS": Variable(
        lambda settings: settings.policy.quiet_hours.get("marketing"), QuietHours(time(20), time(9)), ("20:00-",), None
    ),
    "UTILITY_CAPS": Variable(
        lambda settings: settings.policy.caps["utility"],
        (Cap(5, DAY),),
        ("5", "0/P1D", "5/P1M", "5/PT0S", "5/P1D,", "5 a day", "-1/P1D"),
        (),
    ),
    "MARKETING_CAPS": Variable(
        lambda settings: settings.policy.caps["marketing"], (Cap(1, DAY), Cap(3, 7 * DAY)), ("1/P1D;3/P7D",), ()
    ),
    "MARKETING_CONSENT": Variable(
        lambda settings: settings.policy.marketing_consent, "required", ("Required", "none", " ")
    ),
    "DEFAULT_TIMEZONE": Variable(
        lambda settings: settings.policy.default_timezone, "Europe/Vienna", ("Mars/Olympus", "../etc", " "), None
    ),
    "WHATSAPP_TEMPLATES": Variable(
        lambda settings: settings.policy.whatsapp_templates,
        {"appointment_reminder", "trial_follow_up"},
        ("apointment_reminder", "appointment_reminder trial_follow_up"),
        frozenset(),
    ),
    "WHEN_WINDOW_WILL_CLOSE": Variable(
        lambda settings: (settings.policy.when_window_will_close, settings.policy.when_closing_for),
        ("warn", {"trial_follow_up": "pull_forward"}),
        (
            "Warn",
            " ",
            "warn,",
            "trial_follow_up=warn",
            "wait,trial=warn",
            "wait,trial_follow_up",
            "wait,warn",
            "wait,=warn",
        ),
        ("wait", {}),
    ),
    "WINDOW_CLOSING_NOTICE": Variable(
        lambda settings: settings.policy.closing_notice,
        timedelta(hours=12),
        ("1", "P1M", "-P1D", "PT0S", "a day", " "),
        DAY,
    ),
    "CONVERSATION_PAUSE": Variable(
        lambda settings: settings.policy.conversation_pause,
        timedelta(minutes=30),
        ("30", "P1M", "PT0S", " "),
        None,
    ),
    "KEEP_TEXTS": Variable(lambda settings: settings.policy.keep_texts, False, ("no", "FALSE", " ")),
    "DRY_RUN": Variable(lambda settings: settings.policy.dry_run, True, ("yes", "TRUE", " ")),
    "ROUTES": Variable(
        lambda settings: settings.routes,
        Routes(
            [
                Route("acme-dental", "sms", "aws", "+12025550100"),
                Route("acme-dental", "whatsapp", "meta", "106540352242922"),
            ]
        ),
        ("acme-dental/sms/aws", "acme-dental/sms/meta/1", "acme-dental/sms/aws/1,acme-dental/sms/aws/2", " "),
        Routes(),
    ),
    "PROVIDER_SECRETS": Variable(lambda settings: settings.provider_secrets, ENVIRONMENT["PROVIDER_SECRETS"]),
    "MESSAGES_PER_SECOND": Variable(
        lambda settings: settings.messages_per_second,
        {"sms": 1.0, "whatsapp": 0.25},
        ("1", "sms", "sms=", "sms=0", "sms=0.00", "sms=-1", "sms=1.234", "sms=10000", "sms=inf", "pigeon=1", "sms=1,"),
        {},
    ),
    "TEST_NUMBERS": Variable(
        lambda settings: settings.test_numbers,
        {"+4915112345678", "+12025550101"},
        ("4915112345678", "+49 151", "+12025550101,", "sms"),
        frozenset(),
    ),
    "SEND_RUNS": Variable(lambda settings: settings.send_runs, 6, ("0", "-1", "six", "1.5")),
    "SMS_CONFIGURATION_SET": Variable(lambda settings: settings.sms_configuration_set, "receipts", empty=None),
    "META_API_VERSION": Variable(lambda settings: settings.meta_api_version, "v20.0"),
    "WEBHOOK_URL": Variable(lambda settings: settings.webhook_url, ENVIRONMENT["WEBHOOK_URL"], empty=""),
    "PUBLIC_WEBHOOK_URL": Variable(
        lambda settings: settings.public_webhook_url, ENVIRONMENT["PUBLIC_WEBHOOK_URL"], empty=""
    ),
    "WEBHOOK_PROXY_SECRET_HEADER": Variable(
        lambda settings: settings.webhook_proxy_secret_header, ENVIRONMENT["WEBHOOK_PROXY_SECRET_HEADER"], empty=""
    ),
}
WRONG: Final = [(name, value) for name, variable in READ.items() for value in variable.wrong]

FUNCTIONS: Final[dict[str, type[Settings]]] = {
    "ingest_message": InboundSettings,
    "plan_messages": PlanSettings,
    "record_delivery": RecordSettings,
    "send_appointment_reminders": ScheduledSettings,
    "send_trial_follow_ups": ScheduledSettings,
    "send_updates": ScheduledSettings,
    "webhook": WebhookSettings,
    "explain": ExplainSettings,
}
RESOURCES: Final = (
    *("Table", "EventBus", "RejectedEventsQueue", "PreferencesKey", "ProviderSecrets", "WebhookFunctionUrl"),
)


def test_the_tables_of_this_test_are_whole() -> None:
    assert set(READ) == set(ENVIRONMENT)
    assert {field.name for field in fields(SimulatedSettings)} == set(READERS)


@pytest.mark.parametrize("name", READ)
def test_reads_each_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    assert READ[name].read(SimulatedSettings.from_env()) == READ[name].value


@each_of("name", READ)
def test_a_missing_setting_is_named(name: str) -> None:
    environment = {other: value for other, value in ENVIRONMENT.items() if other != name}
    for tolerant in (False, True):
        with pytest.raises(ConfigurationError, match=f"^the environment variable {name} is not set; deploy "):
            SimulatedSettings.from_env(environment, tolerant=tolerant)


@each_of("name", READ)
def test_empty_setting_counts_as_unset(name: str) -> None:
    environment, variable = ENVIRONMENT | {name: ""}, READ[name]
    if variable.empty is not ConfigurationError:
        assert variable.read(SimulatedSettings.from_env(environment)) == variable.empty
        return
    with pytest.raises(ConfigurationError, match=f"^the environment variable {name} is not set; deploy "):
        SimulatedSettings.from_env(environment)


@each_of(("name", "wrong"), WRONG)
def test_wrong_setting_is_named_with_value_and_hint(name: str, wrong: str) -> None:
    begins = re.escape(f'{parameter_of(name)} is "{wrong}": ')
    with pytest.raises(ConfigurationError, match=rf"^{begins}(expected |row \d+ )"):
        SimulatedSettings.from_env(ENVIRONMENT | {name: wrong})


def test_all_wrong_settings_are_named_at_once() -> None:
    wrong = {"DRY_RUN": "yes", "OPT_OUT_SCOPE": "all", "ROUTES": "acme/fax/aws/1"}
    without = {name: value for name, value in ENVIRONMENT.items() if name != "TABLE_NAME"}
    with pytest.raises(ConfigurationError) as refused:
        SimulatedSettings.from_env(without | wrong)
    for name in ("TABLE_NAME is not set", 'DryRun is "yes"', 'OptOutScope is "all"', 'unknown channel "fax"'):
        assert str(refused.value).count(name) == 1, name


def test_an_error_shows_the_beginning_of_a_long_value() -> None:
    with pytest.raises(ConfigurationError) as refused:
        SimulatedSettings.from_env(ENVIRONMENT | {"MESSAGES_PER_SECOND": "sms=0," * 200})
    assert len(str(refused.value)) < 400


def test_a_function_refuses_only_what_it_uses() -> None:
    wrong = ENVIRONMENT | {"ROUTES": "-", "DRY_RUN": "-"}
    assert StackSettings.from_env(wrong).table_name == "reengage-table"
    assert RecordSettings.from_env(ENVIRONMENT | {"DRY_RUN": "-"}).table_name == "reengage-table"
    with pytest.raises(ConfigurationError, match=r"^DryRun is [^;]*$"):
        PlanSettings.from_env(ENVIRONMENT | {"DRY_RUN": "-", "META_API_VERSION": "-"})


@each_of("function", FUNCTIONS)
def test_template_gives_each_function_its_settings(function: str) -> None:
    """The variables of the template, and no other, with the default parameters."""
    logical_id = next(name for name, own in functions().items() if own["CodeUri"] == f"functions/{function}")
    given = environment(logical_id, dict.fromkeys(RESOURCES, "-"))
    settings = FUNCTIONS[function].from_env(given)
    assert settings == FUNCTIONS[function].from_env(given | {"ANOTHER": "-"})


def test_an_error_names_the_parameter_as_the_template_does() -> None:
    variables = {parameter.variable: name for name, parameter in PARAMETERS.items() if parameter.variable}
    assert {variable: parameter_of(variable) for variable in variables} == variables


# A STOP must not wait for a correction.


def test_tolerant_settings_replace_a_wrong_value_by_the_safest() -> None:
    wrong = ENVIRONMENT | {"OPT_OUT_SCOPE": "all", "EVENTS_OUT": "some", "DRY_RUN": "yes", "MARKETING_CONSENT": "no"}
    settings = SimulatedSettings.from_env(wrong, tolerant=True)
    assert (settings.opt_out_scope, settings.events_left_out) == ("brand", frozenset())
    assert (settings.policy.dry_run, settings.policy.marketing_consent) == (True, "required")


def test_tolerant_settings_keep_the_routes_that_are_right() -> None:
    rows = "acme/sms/aws/+12025550100,acme/fax/aws/1,birch/whatsapp/meta/106540352242922"
    settings = WebhookSettings.from_env(ENVIRONMENT | {"ROUTES": rows}, tolerant=True)
    assert settings.routes.brands == {"acme", "birch"}
    assert settings.routes.brand_of("aws", "sms", "+12025550100") == "acme"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("OPT_OUT_SCOPE", "brand", "brand"),
        ("HELP_REPLY", "provider", False),
        ("ANSWER_REPLY", "on", True),
        ("MARKETING_CONSENT", "implied", "implied"),
        *(("EVENTS_OUT", value, left_out) for value, left_out in LEFT_OUT.items()),
    ],
)
def test_the_other_choices(name: str, value: str, read: object) -> None:
    settings = SimulatedSettings.from_env(ENVIRONMENT | {name: value})
    found = {
        "OPT_OUT_SCOPE": settings.opt_out_scope,
        "HELP_REPLY": settings.ingest.answers_help,
        "ANSWER_REPLY": settings.ingest.acknowledges_answers,
        "MARKETING_CONSENT": settings.policy.marketing_consent,
        "EVENTS_OUT": settings.events_left_out,
    }
    assert found[name] == read


def test_the_settings_of_ingest_and_of_the_policy_are_whole() -> None:
    settings = SimulatedSettings.from_env(ENVIRONMENT)
    assert settings.ingest == IngestSettings(
        365 * DAY, "channel", 7 * DAY, answers_help=True, acknowledges_answers=False
    )
    assert settings.policy == PolicySettings(
        marketing_consent="required",
        quiet_hours={"utility": QuietHours(time(21), time(8)), "marketing": QuietHours(time(20), time(9))},
        caps={"utility": (Cap(5, DAY),), "marketing": (Cap(1, DAY), Cap(3, 7 * DAY))},
        default_timezone="Europe/Vienna",
        whatsapp_templates=frozenset({"appointment_reminder", "trial_follow_up"}),
        when_window_will_close="warn",
        when_closing_for={"trial_follow_up": "pull_forward"},
        closing_notice=timedelta(hours=12),
        conversation_pause=timedelta(minutes=30),
        dry_run=True,
        keep_texts=False,
    )


@pytest.mark.parametrize("choice", ["wait", "pull_forward", "warn"])
def test_closing_action_may_be_one_for_all_reasons(choice: str) -> None:
    policy = SimulatedSettings.from_env(ENVIRONMENT | {"WHEN_WINDOW_WILL_CLOSE": choice}).policy
    assert (policy.when_window_will_close, policy.when_closing_for) == (choice, {})


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = StackSettings.from_env()
    monkeypatch.setenv("TABLE_NAME", "after")
    assert settings.table_name == "reengage-table"
    with pytest.raises(FrozenInstanceError):
        settings.table_name = "after"  # type: ignore[misc] # it is frozen
