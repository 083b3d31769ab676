"""The stack's parameters: the environment variable of each, and its default.

template.yaml is not part of the layer, so this table repeats it; a test compares the two.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple


class Parameter(NamedTuple):
    """``variable`` is the environment variable that the functions read; ``None`` if they read none."""

    variable: str | None
    default: str


PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(
    {
        "AlarmEmail": Parameter(None, ""),
        "AlarmTopicArn": Parameter(None, ""),
        "EventsOut": Parameter("EVENTS_OUT", "all"),
        "SchemaRegistry": Parameter(None, "false"),
        "CreateDashboard": Parameter(None, "true"),
        "Architecture": Parameter(None, "arm64"),
        "LogRetentionDays": Parameter(None, "30"),
        "Tracing": Parameter("TRACING", "Off"),
        "ContactRetentionDays": Parameter("CONTACT_RETENTION_DAYS", "365"),
        "DefaultLocale": Parameter("DEFAULT_LOCALE", "en"),
        "WelcomeBackAfter": Parameter("WELCOME_BACK_AFTER", "P7D"),
        "HelpReply": Parameter("HELP_REPLY", "provider"),
        "AnswerReply": Parameter("ANSWER_REPLY", "on"),
        "WhatsAppTemplates": Parameter("WHATSAPP_TEMPLATES", ""),
        "DefaultTimezone": Parameter("DEFAULT_TIMEZONE", ""),
        "UtilityQuietHours": Parameter("UTILITY_QUIET_HOURS", "21:00-08:00"),
        "MarketingQuietHours": Parameter("MARKETING_QUIET_HOURS", "20:00-09:00"),
        "UtilityCaps": Parameter("UTILITY_CAPS", "5/P1D"),
        "MarketingCaps": Parameter("MARKETING_CAPS", "1/P1D,3/P7D"),
        "WhenWindowWillClose": Parameter("WHEN_WINDOW_WILL_CLOSE", "wait"),
        "WindowClosingNotice": Parameter("WINDOW_CLOSING_NOTICE", "P1D"),
        "ConversationPause": Parameter("CONVERSATION_PAUSE", "PT30M"),
        "DryRun": Parameter("DRY_RUN", "false"),
        "KeepTexts": Parameter("KEEP_TEXTS", "true"),
        "Routes": Parameter("ROUTES", ""),
        "TestNumbers": Parameter("TEST_NUMBERS", ""),
        "MessagesPerSecond": Parameter("MESSAGES_PER_SECOND", ""),
        "SmsConfigurationSet": Parameter("SMS_CONFIGURATION_SET", ""),
        "MetaApiVersion": Parameter("META_API_VERSION", "v26.0"),
        "WebhookConcurrency": Parameter(None, ""),
        "WebhookProxySecretHeader": Parameter("WEBHOOK_PROXY_SECRET_HEADER", ""),
        "PublicWebhook": Parameter(None, "auto"),
        "SenderAccountId": Parameter(None, ""),
        "KmsKeyArn": Parameter(None, ""),
        "EventConcurrency": Parameter(None, ""),
        "SendConcurrency": Parameter(None, ""),
        "SendRuns": Parameter("SEND_RUNS", "6"),
        "PublicWebhookUrl": Parameter("PUBLIC_WEBHOOK_URL", ""),
        "OptOutScope": Parameter("OPT_OUT_SCOPE", "brand"),
        "MarketingConsent": Parameter("MARKETING_CONSENT", "implied"),
        "DeletionProtection": Parameter(None, "false"),
    }
)


def environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return the functions' environment for these values of parameters; the others have their defaults.

    Raises ``ValueError`` for a name that is not a parameter.
    """
    for name in values:
        if name not in PARAMETERS:
            raise ValueError(f'unknown parameter "{name}"; {hint(name)}')
    given = {name: values.get(name, parameter.default) for name, parameter in PARAMETERS.items()}
    return {variable: given[name] for name, (variable, _) in PARAMETERS.items() if variable}


def parameters_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of parameters in a function's environment, which need not have all of them."""
    return {
        name: environment[parameter.variable]
        for name, parameter in PARAMETERS.items()
        if parameter.variable and parameter.variable in environment
    }


def hint(name: str) -> str:
    """Return which parameter may have been meant, or all of them."""
    folded = {known.casefold(): known for known in PARAMETERS}
    close = get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]}?" if close else f"use one of {', '.join(PARAMETERS)}"
