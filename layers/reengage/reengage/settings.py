"""The environment, as one frozen object that fails by name."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from .domain.caps import parse_caps
from .domain.instants import parse_zone
from .domain.parameters import parse_length, parse_rates, parse_when_closing
from .domain.policy import PolicySettings
from .domain.preferences import OptOutScope
from .domain.quiet_hours import QuietHours
from .domain.reasons import ASKING_REASONS, REASONS, WITH_REPLIES, Category
from .domain.routes import Routes, parse_routes
from .errors import ConfigurationError
from .usecases.ingest_settings import IngestSettings


@dataclass(frozen=True)
class Settings:
    """The parameters as parsed values. Each is parsed once, when a function first needs it: not every function has all.

    Raises ``ConfigurationError`` that names the variable.
    """

    environment: Mapping[str, str]

    @classmethod
    def from_env(cls) -> "Settings":
        return cls(dict(os.environ))

    @cached_property
    def table_name(self) -> str:
        return self._text("TABLE_NAME")

    @cached_property
    def event_bus_name(self) -> str:
        return self._text("EVENT_BUS_NAME")

    @cached_property
    def publishes_only_outcomes(self) -> bool:
        return self._one_of("EVENTS_OUT", {"all": False, "outcomes": True})

    @cached_property
    def rejected_events_queue_url(self) -> str:
        return self._text("REJECTED_EVENTS_QUEUE_URL")

    @cached_property
    def preferences_key_secret(self) -> str:
        """The ARN of the secret by which the addresses of preferences are hashed."""
        return self._text("PREFERENCES_KEY_SECRET")

    @cached_property
    def default_locale(self) -> str:
        return self._text("DEFAULT_LOCALE")

    @cached_property
    def opt_out_scope(self) -> OptOutScope:
        return self._one_of("OPT_OUT_SCOPE", {"brand": "brand", "channel": "channel"})

    @cached_property
    def routes(self) -> Routes:
        return self._parsed("ROUTES", parse_routes) or Routes()

    @cached_property
    def provider_secrets(self) -> str:
        """The ARN of the secret with the providers' keys: a JSON object."""
        return self._text("PROVIDER_SECRETS")

    @cached_property
    def messages_per_second(self) -> Mapping[str, float]:
        return self._parsed("MESSAGES_PER_SECOND", parse_rates) or {}

    @cached_property
    def sms_configuration_set(self) -> str | None:
        return self._parsed("SMS_CONFIGURATION_SET", str)

    @cached_property
    def meta_api_version(self) -> str:
        return self._text("META_API_VERSION")

    @cached_property
    def webhook_url(self) -> str:
        return self._text("WEBHOOK_URL")

    @cached_property
    def public_webhook_url(self) -> str | None:
        return self._parsed("PUBLIC_WEBHOOK_URL", str)

    @cached_property
    def webhook_proxy_secret_header(self) -> str | None:
        return self._parsed("WEBHOOK_PROXY_SECRET_HEADER", str)

    @cached_property
    def ingest(self) -> IngestSettings:
        days = self._text("CONTACT_RETENTION_DAYS")
        if not days.isdecimal():
            raise ConfigurationError("CONTACT_RETENTION_DAYS: expected a whole number of days")
        return IngestSettings(
            contact_retention=timedelta(days=int(days)),
            opt_out_scope=self.opt_out_scope,
            welcome_back_after=self._parsed("WELCOME_BACK_AFTER", parse_length),
            answers_help=self._one_of("HELP_REPLY", {"provider": False, "app": True}),
            acknowledges_answers=self._one_of("ANSWER_REPLY", {"on": True, "off": False}),
        )

    @cached_property
    def policy(self) -> PolicySettings:
        quiet_hours: dict[Category, QuietHours | None] = {
            "utility": self._parsed("UTILITY_QUIET_HOURS", QuietHours.parse),
            "marketing": self._parsed("MARKETING_QUIET_HOURS", QuietHours.parse),
        }
        when = self._parsed("WHEN_WINDOW_WILL_CLOSE", parse_when_closing) or {"": "wait"}
        return PolicySettings(
            marketing_consent=self._one_of("MARKETING_CONSENT", {"implied": "implied", "required": "required"}),
            quiet_hours={category: hours for category, hours in quiet_hours.items() if hours},
            caps={
                "utility": self._parsed("UTILITY_CAPS", parse_caps) or (),
                "marketing": self._parsed("MARKETING_CAPS", parse_caps) or (),
            },
            default_timezone=self._parsed("DEFAULT_TIMEZONE", lambda text: parse_zone(text).key),
            whatsapp_templates=self._parsed("WHATSAPP_TEMPLATES", _reasons) or frozenset(),
            when_window_will_close=when[""],
            when_closing_for={reason: choice for reason, choice in when.items() if reason},
            closing_notice=self._parsed("WINDOW_CLOSING_NOTICE", parse_length) or timedelta(days=1),
            conversation_pause=self._parsed("CONVERSATION_PAUSE", parse_length),
            keep_texts=self._one_of("KEEP_TEXTS", {"true": True, "false": False}),
            dry_run=self._one_of("DRY_RUN", {"true": True, "false": False}),
        )

    def _text(self, name: str) -> str:
        value = self.environment.get(name)
        if not value:
            raise ConfigurationError(f"the environment variable {name} is not set")
        return value

    def _parsed[T](self, name: str, parse: Callable[[str], T]) -> T | None:
        """``None`` where it is set to nothing."""
        text = self.environment.get(name)
        if text is None:
            raise ConfigurationError(f"the environment variable {name} is not set")
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from error

    def _one_of[T](self, name: str, values: Mapping[str, T]) -> T:
        text = self._text(name)
        if text not in values:
            raise ConfigurationError(f"{name}: expected one of {', '.join(values)}")
        return values[text]


def _reasons(text: str) -> frozenset[str]:
    """Reject unknown reasons: a typo would silently stop WhatsApp messages."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    # A template with buttons for the answers takes the place of the one without.
    names |= {reason for reason in ASKING_REASONS if f"{reason}{WITH_REPLIES}" in names}
    if not names <= {*REASONS, *(f"{reason}{WITH_REPLIES}" for reason in ASKING_REASONS)}:
        raise ValueError(f"expected reasons of {', '.join(REASONS)}, separated by commas")
    return names
