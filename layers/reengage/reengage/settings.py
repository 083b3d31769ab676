"""The settings of each function: frozen values, all parsed together when the function starts.

A class below lists what one group of functions reads. ``from_env`` parses all of it at once. It names each value that
is missing or wrong: a bad value fails the start of a function, and never the send of a message.

A STOP must not wait for a correction. ``from_env(tolerant=True)`` therefore replaces a bad value by its safest one;
only what stores a STOP or leads to it reads its settings like that.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final, Self

from .domain.caps import parse_caps
from .domain.events_out import LEFT_OUT
from .domain.instants import parse_zone
from .domain.parameters import WhenWindowWillClose, parse_length, parse_rates, parse_when_closing
from .domain.policy import PolicySettings
from .domain.preferences import OptOutScope
from .domain.quiet_hours import QuietHours
from .domain.reasons import ASKING_REASONS, REASONS, WITH_REPLIES, Category
from .domain.routes import Routes, parse_routes, parse_valid_routes
from .errors import ConfigurationError
from .usecases.ingest_settings import IngestSettings

SHOWN: Final = 200
"""Characters of a wrong value that its error shows; a list of routes may be longer."""


class Values:
    """The environment's values, each parsed; what is missing or wrong is collected with its name, value and hint."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.missing: list[str] = []
        self.wrong: list[str] = []

    def text(self, variable: str) -> str:
        return self.required(variable, str, "")

    def required[T](self, variable: str, parse: Callable[[str], T], fallback: T) -> T:
        """Parse a value that must not be empty; return ``fallback`` for a wrong or missing one."""
        if not self._environment.get(variable):
            self._miss(variable)
        return self.optional(variable, parse, fallback) if self._environment.get(variable) else fallback

    def optional[T](
        self, variable: str, parse: Callable[[str], T], empty: T, fallback: Callable[[str], T] | None = None
    ) -> T:
        """Return ``empty`` for an empty value; for a wrong one the ``fallback``, which is ``empty`` if not given."""
        value = self._environment.get(variable)
        if value is None:
            self._miss(variable)
        if not value:
            return empty
        try:
            return parse(value)
        except ValueError as error:
            shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
            self.wrong.append(f'{parameter_of(variable)} is "{shown}": {error}')
            return fallback(value) if fallback else empty

    def one_of[T](self, variable: str, values: Mapping[str, T], fallback: T) -> T:
        def parse(text: str) -> T:
            if text not in values:
                raise ValueError(f"expected one of {', '.join(values)}")
            return values[text]

        return self.required(variable, parse, fallback)

    def _miss(self, variable: str) -> None:
        self.missing.append(f"the environment variable {variable} is not set; deploy the stack's template again")


def parameter_of(variable: str) -> str:
    """Return the template's parameter that a variable is set by: ``DEFAULT_LOCALE`` is ``DefaultLocale``."""
    return "".join(word.capitalize() for word in variable.split("_")).replace("Whatsapp", "WhatsApp")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings. Each field is read by its row in ``READERS``."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, *, tolerant: bool = False) -> Self:
        """Parse all fields at once.

        Raises ``ConfigurationError`` that names every missing and every wrong value; if ``tolerant``, only the missing.
        """
        values = Values(os.environ if environment is None else environment)
        parsed = {field.name: READERS[field.name](values) for field in fields(cls)}
        # Two fields may read the same variable.
        if errors := dict.fromkeys([*values.missing, *([] if tolerant else values.wrong)]):
            raise ConfigurationError("; ".join(errors))
        return cls(**parsed)


@dataclass(frozen=True, kw_only=True)
class BusSettings(Settings):
    """What every function has."""

    event_bus_name: str


@dataclass(frozen=True, kw_only=True)
class StackSettings(BusSettings):
    """What every function has that reads or writes the table.

    ``preferences_key_secret`` is the ARN of the secret by which the addresses of preferences are hashed.
    """

    table_name: str
    preferences_key_secret: str
    opt_out_scope: OptOutScope
    events_left_out: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class DecisionSettings(Settings):
    """What a decision and its text depend on."""

    policy: PolicySettings
    default_locale: str


@dataclass(frozen=True, kw_only=True)
class ProviderSettings(BusSettings):
    """``provider_secrets`` is the ARN of the secret with the providers' keys: a JSON object."""

    provider_secrets: str
    routes: Routes


@dataclass(frozen=True, kw_only=True)
class EventSettings(BusSettings):
    """What a function has that receives events, and may reject them."""

    rejected_events_queue_url: str


@dataclass(frozen=True, kw_only=True)
class PlanningSettings(DecisionSettings, StackSettings):
    """What planning needs; an opener names the number of a route."""

    routes: Routes


@dataclass(frozen=True, kw_only=True)
class SendSettings(PlanningSettings, ProviderSettings):
    """What every function has that sends."""

    messages_per_second: Mapping[str, float]
    sms_configuration_set: str | None
    meta_api_version: str
    webhook_url: str
    test_numbers: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class ScheduledSettings(SendSettings):
    """What the three scheduled functions have. ``send_runs``: runs of one function at once, at most."""

    send_runs: int


@dataclass(frozen=True, kw_only=True)
class InboundSettings(SendSettings, EventSettings):
    """What the function has that stores inbound messages, and replies."""

    ingest: IngestSettings


@dataclass(frozen=True, kw_only=True)
class RecordSettings(StackSettings, EventSettings):
    """What the function has that records receipts. AWS names the brand of a message only by its sender's route."""

    routes: Routes


@dataclass(frozen=True, kw_only=True)
class PlanSettings(RecordSettings, PlanningSettings):
    """What the function has that plans messages."""


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(ProviderSettings, EventSettings):
    """What the function has that providers call."""

    public_webhook_url: str
    webhook_proxy_secret_header: str


@dataclass(frozen=True, kw_only=True)
class ExplainSettings(PlanningSettings):
    """What the function has that answers questions."""


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def _days(text: str) -> timedelta:
    if not text.isdecimal():
        raise ValueError("expected a whole number of days")
    return timedelta(days=int(text))


def _reasons(text: str) -> frozenset[str]:
    """Reject unknown reasons: a typo would silently stop WhatsApp messages."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    # A template with buttons for the answers takes the place of the one without.
    names |= {reason for reason in ASKING_REASONS if f"{reason}{WITH_REPLIES}" in names}
    if not names <= {*REASONS, *(f"{reason}{WITH_REPLIES}" for reason in ASKING_REASONS)}:
        raise ValueError(f"expected reasons of {', '.join(REASONS)}, separated by commas")
    return names


def _numbers(text: str) -> frozenset[str]:
    """Parse phone numbers in E.164 form, separated by commas. Raises ``ValueError``."""
    numbers = [part.strip() for part in text.split(",")]
    if not all(number[:1] == "+" and number[1:].isdecimal() and number.isascii() for number in numbers):
        raise ValueError("expected phone numbers with a country code, such as +4915112345678,+12025550101")
    return frozenset(numbers)


def _opt_out_scope(values: Values) -> OptOutScope:
    # The safest is the widest.
    return values.one_of("OPT_OUT_SCOPE", {"brand": "brand", "channel": "channel"}, "brand")


def _ingest(values: Values) -> IngestSettings:
    return IngestSettings(
        contact_retention=values.required("CONTACT_RETENTION_DAYS", _days, timedelta()),
        opt_out_scope=_opt_out_scope(values),
        welcome_back_after=values.optional("WELCOME_BACK_AFTER", parse_length, None),
        answers_help=values.one_of("HELP_REPLY", {"provider": False, "app": True}, fallback=False),
        acknowledges_answers=values.one_of("ANSWER_REPLY", {"on": True, "off": False}, fallback=True),
    )


def _policy(values: Values) -> PolicySettings:
    quiet_hours: dict[Category, QuietHours | None] = {
        "utility": values.optional("UTILITY_QUIET_HOURS", QuietHours.parse, None),
        "marketing": values.optional("MARKETING_QUIET_HOURS", QuietHours.parse, None),
    }
    waits: dict[str, WhenWindowWillClose] = {"": "wait"}
    when = values.optional("WHEN_WINDOW_WILL_CLOSE", parse_when_closing, waits)
    return PolicySettings(
        marketing_consent=values.one_of(
            "MARKETING_CONSENT", {"implied": "implied", "required": "required"}, "required"
        ),
        quiet_hours={category: hours for category, hours in quiet_hours.items() if hours},
        caps={
            "utility": values.optional("UTILITY_CAPS", parse_caps, ()),
            "marketing": values.optional("MARKETING_CAPS", parse_caps, ()),
        },
        default_timezone=values.optional("DEFAULT_TIMEZONE", lambda text: parse_zone(text).key, None),
        whatsapp_templates=values.optional("WHATSAPP_TEMPLATES", _reasons, frozenset()),
        when_window_will_close=when[""],
        when_closing_for={reason: choice for reason, choice in when.items() if reason},
        closing_notice=values.optional("WINDOW_CLOSING_NOTICE", parse_length, timedelta(days=1)),
        conversation_pause=values.optional("CONVERSATION_PAUSE", parse_length, None),
        keep_texts=values.one_of("KEEP_TEXTS", {"true": True, "false": False}, fallback=False),
        dry_run=values.one_of("DRY_RUN", {"true": True, "false": False}, fallback=True),
    )


READERS: Final[Mapping[str, Callable[[Values], Any]]] = {
    "event_bus_name": lambda values: values.text("EVENT_BUS_NAME"),
    "table_name": lambda values: values.text("TABLE_NAME"),
    "preferences_key_secret": lambda values: values.text("PREFERENCES_KEY_SECRET"),
    "rejected_events_queue_url": lambda values: values.text("REJECTED_EVENTS_QUEUE_URL"),
    "events_left_out": lambda values: values.one_of("EVENTS_OUT", LEFT_OUT, fallback=LEFT_OUT["all"]),
    "opt_out_scope": _opt_out_scope,
    "default_locale": lambda values: values.text("DEFAULT_LOCALE"),
    "policy": _policy,
    "ingest": _ingest,
    # A call for a brand whose row is wrong is rejected, and kept.
    "routes": lambda values: values.optional("ROUTES", parse_routes, Routes(), parse_valid_routes),
    "provider_secrets": lambda values: values.text("PROVIDER_SECRETS"),
    "messages_per_second": lambda values: values.optional("MESSAGES_PER_SECOND", parse_rates, dict[str, float]()),
    # One run alone sends everything, only later.
    "send_runs": lambda values: values.required("SEND_RUNS", _number, 1),
    "sms_configuration_set": lambda values: values.optional("SMS_CONFIGURATION_SET", str, None),
    "meta_api_version": lambda values: values.text("META_API_VERSION"),
    "webhook_url": lambda values: values.optional("WEBHOOK_URL", str, ""),
    "test_numbers": lambda values: values.optional("TEST_NUMBERS", _numbers, frozenset[str]()),
    "public_webhook_url": lambda values: values.optional("PUBLIC_WEBHOOK_URL", str, ""),
    "webhook_proxy_secret_header": lambda values: values.optional("WEBHOOK_PROXY_SECRET_HEADER", str, ""),
}
"""How each field is read from the environment."""
